#include "base/log.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#define LOG_LINE_MAX 1024

const char *log_level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG: return "debug";
    case LOG_INFO: return "info";
    case LOG_WARN: return "warn";
    case LOG_ERROR: return "error";
    }
    BUG("log level");
}

/* A control character in a field (bytes from a peer, say) must not forge a second line. */
static void make_one_line(char *line)
{
    for (; *line != '\0'; line++) {
        if ((unsigned char)*line < 0x20 || *line == 0x7f) *line = ' ';
    }
}

void log_event(struct logger *log, enum log_level level, const char *event, const char *fmt, ...)
{
    if (log == NULL || level < log->level) return;
    char line[LOG_LINE_MAX];
    int n = snprintf(line, sizeof(line), "%s ", event);
    if (n < 0 || (size_t)n >= sizeof(line)) return;
    va_list args;
    va_start(args, fmt);
    int fields = vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, args);
    va_end(args);
    if (fields <= 0) line[n - 1] = '\0'; /* no fields: the name alone */
    make_one_line(line);
    log->write(log, level, line);
}
