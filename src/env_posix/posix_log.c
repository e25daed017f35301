#define _GNU_SOURCE /* gmtime_r */
#include "env_posix/posix_int.h"

#include "base/mem.h"
#include "env_posix/crash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct posix_log {
    struct logger logger; /* first */
    int fd;
};

static void log_write(struct logger *logger, enum log_level level, const char *line)
{
    const struct posix_log *log = (const struct posix_log *)(const void *)logger;
    struct timespec now;
    struct tm t;
    char head[64];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &t);
    int n = snprintf(head, sizeof(head), "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %-5s ", t.tm_year + 1900, t.tm_mon + 1,
                     t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, now.tv_nsec / 1000000, log_level_name(level));
    char text[1200];
    int size = snprintf(text, sizeof(text), "%.*s%s\n", n, head, line);
    if (size < 0) return;
    if ((size_t)size >= sizeof(text)) {
        size = (int)sizeof(text) - 1;
        text[size - 1] = '\n';
    }
    crash_note(text, (size_t)size - 1);
    ssize_t written;
    do {
        written = write(log->fd, text, (size_t)size);
    } while (written < 0 && errno == EINTR);
    /* A log that cannot be written (a full disk) must not stop the process that it tells about. */
}

struct logger *posix_log_new(const char *path, enum log_level level, struct errbuf *err)
{
    int fd = STDERR_FILENO;
    if (path != NULL) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0) {
            errbuf_set(err,
                       "log file %s cannot be opened: %s; name another file or give this user the right to write it",
                       path, strerror(errno));
            return NULL;
        }
    }
    struct posix_log *log = mem_zalloc(sizeof(*log));
    log->logger.level = level;
    log->logger.write = log_write;
    log->fd = fd;
    return &log->logger;
}

bool posix_log_is_stderr(const struct logger *log)
{
    return ((const struct posix_log *)(const void *)log)->fd == STDERR_FILENO;
}

void posix_log_free(struct logger *logger)
{
    if (logger == NULL) return;
    struct posix_log *log = (struct posix_log *)(void *)logger;
    if (log->fd != STDERR_FILENO) (void)close(log->fd);
    mem_free(log);
}
