/* Log lines: one event per line, a name and fields, never prose: log_event(log, LOG_WARN, "wal.slow", "ms=%u", ms).
 * A struct logger is handed to every long-lived object (many nodes run in one process under simulation). */
#ifndef QUORATE_BASE_LOG_H
#define QUORATE_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct logger {
    enum log_level level;                                             /* lines below it are dropped unformatted */
    void (*write)(struct logger *, enum log_level, const char *line); /* line: no newline; borrowed */
    void *ctx;
};

const char *log_level_name(enum log_level level);
void log_event(struct logger *log, enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
