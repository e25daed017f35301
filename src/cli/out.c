/* The only place that prints. */
#include <stdarg.h>
#include <stdio.h>

#include "cli/cli_int.h"
#include "cli/files.h"
#include "env_posix/process.h"

void out_bytes(struct slice s)
{
    if (s.size > 0) (void)fwrite(s.data, 1, s.size, stdout);
    (void)fflush(stdout); /* a closed pipe shows at the exit: cli_main looks at the stream's error */
}

bool out_failed(void)
{
    return ferror(stdout) != 0;
}

void out_buf(struct buf *b)
{
    if (b->size > 0) out_bytes(buf_slice(b));
    buf_clear(b);
}

void out_printf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vprintf(fmt, args);
    va_end(args);
    (void)fflush(stdout);
}

static void complain(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));
static void complain(const char *fmt, va_list args)
{
    (void)fflush(stdout);
    (void)fputs("quorate: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
}

void cli_note(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fflush(stdout);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

int cli_fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    complain(fmt, args);
    va_end(args);
    return CLI_FAILED;
}

int cli_usage(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    complain(fmt, args);
    va_end(args);
    return CLI_USAGE;
}

int cli_client_failed(const char *what, const struct client_error *e)
{
    struct slice message = e->message.size > 0 ? e->message : slice_str(status_text(e->status));
    return cli_fail("%s: %.*s (%s%s)", what, (int)message.size, (const char *)message.data, status_name(e->status),
                    e->unknown_outcome ? "; it may or may not have happened" : "");
}

enum status file_read_all(const char *path, struct buf *out, struct errbuf *err)
{
    return process_file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, out, err);
}

void file_tail(const char *path, unsigned lines, struct buf *out)
{
    struct buf whole;
    buf_init(&whole, 64u << 20);
    if (process_file_read(path, &whole, NULL) == STATUS_OK && whole.size > 0) {
        size_t at = whole.size;
        while (at > 0 && lines > 0) {
            at--;
            if (at > 0 && whole.data[at - 1] == '\n') lines--;
        }
        buf_append(out, whole.data + at, whole.size - at);
    }
    buf_free(&whole);
}
