/* What a process says when it dies of a bug: a report for support, written by the dying thread with calls that are allowed in a signal handler. */
#define _GNU_SOURCE /* sigaction, sigaltstack */
#include "env_posix/crash.h"

#include "base/assert.h"

#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINES 64u
#define LINE_BYTES 400u
#define FRAMES_MAX 64
#define STACK_BYTES 65536u
#define REPORTS_BYTES_MAX (256 * 1024)

/* A handler has no argument of ours: this is the process's. */
static struct {
    char path[1100]; /* "": standard error */
    char release[32];
    char line[LINES]
             [LINE_BYTES]; /* of the log: a ring. A line that is being written while the process dies may be of two */
    _Atomic unsigned next;
    char failed[512]; /* the assertion */
    uint8_t stack[STACK_BYTES];
} crash;
static _Atomic bool crash_told;

void crash_note(const char *line, size_t size)
{
    char *to = crash.line[atomic_fetch_add(&crash.next, 1) % LINES];
    if (size >= LINE_BYTES) size = LINE_BYTES - 1;
    memcpy(to, line, size);
    to[size] = '\0';
}

/* In the place of the weak one in base/assert.c. */
void assert_noted(const char *file, int line, const char *function, const char *what)
{
    (void)snprintf(crash.failed, sizeof crash.failed, "%s:%d: %s: %s", file, line, function, what);
}

static void put(int fd, const char *text)
{
    ssize_t written = write(fd, text, strlen(text));
    (void)written; /* nobody is left to be told */
}

static void put_number(int fd, const char *before, uint64_t n, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n > 0);
    put(fd, before);
    put(fd, digits + at);
}

static void put_report(int fd, int number, const siginfo_t *info)
{
    void *frames[FRAMES_MAX];
    struct timespec now = {.tv_sec = 0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    put(fd, "quorate ");
    put(fd, crash.release);
    put_number(fd, " ended by signal ", (uint64_t)number, 10);
    put_number(fd, ", process ", (uint64_t)getpid(), 10);
    put_number(fd, ", seconds since 1970: ", (uint64_t)now.tv_sec, 10);
    if (number == SIGSEGV || number == SIGBUS)
        put_number(fd, ", at address 0x", (uint64_t)(uintptr_t)info->si_addr, 16);
    put(fd, "\n");
    if (crash.failed[0] != '\0') {
        put(fd, "failed: ");
        put(fd, crash.failed);
        put(fd, "\n");
    }
    put(fd, "frames, innermost first (addr2line -e quorate ADDRESS, for what stands behind the +):\n");
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), fd);
    put(fd, "last events, oldest first:\n");
    unsigned next = atomic_load(&crash.next);
    for (unsigned i = 0; i < LINES; i++) {
        const char *line = crash.line[(next + i) % LINES];
        if (line[0] == '\0') continue;
        put(fd, "  ");
        put(fd, line);
        put(fd, "\n");
    }
    put(fd, "end of report\n");
}

/* The default stands again: raised once more, the signal ends the process, with a core file where they are wanted. */
static void on_crash(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!atomic_exchange(&crash_told, true)) {
        int fd =
            crash.path[0] != '\0' ? open(crash.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640) : STDERR_FILENO;
        put_report(fd >= 0 ? fd : STDERR_FILENO, number, info);
        if (fd >= 0 && fd != STDERR_FILENO) (void)fsync(fd);
    }
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* A process that dies again and again must not fill the disk. */
static void keep_small(const char *dir)
{
    struct stat now;
    char former[sizeof crash.path];
    if (stat(crash.path, &now) != 0 || now.st_size < REPORTS_BYTES_MAX) return;
    (void)snprintf(former, sizeof former, "%.1000s/" CRASH_FORMER_NAME, dir);
    (void)rename(crash.path, former);
}

void crash_reports_begin(const char *dir, const char *release)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    void *frames[1];
    stack_t stack = {.ss_sp = crash.stack,
                     .ss_size = sizeof crash.stack}; /* of the loop's thread: its own may be used up */
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    (void)snprintf(crash.release, sizeof crash.release, "%s", release);
    if (dir != NULL && strlen(dir) < 1000) {
        (void)snprintf(crash.path, sizeof crash.path, "%s/" CRASH_NAME, dir);
        keep_small(dir);
    }
    (void)backtrace(frames, 1); /* loads what it needs: not when the process dies */
    (void)sigemptyset(&action.sa_mask);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they tell more */
    (void)sigaltstack(&stack, NULL);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) (void)sigaction(signals[i], &action, NULL);
#else
    (void)signals;
    (void)stack;
#endif
}
