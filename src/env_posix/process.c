#define _GNU_SOURCE /* POSIX_SPAWN_SETSID */
#include "env_posix/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX (1024u * 1024u)
#define BACKGROUND_NICE 10
/* Of what is freed glibc keeps 7 blocks of a size for a thread; a server's loop frees them by the hundred, and takes as many again. It
 * reads this when a program starts, and from nowhere else. */
#define BLOCKS_KEPT "glibc.malloc.tcache_count=512"

extern char **environ;

/* posix_spawn's own type for argv is not const; it does not write there. */
union argv {
    const char *const *given;
    char *const *wanted;
};

struct spawn_plan {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
};

static void plan_init(struct spawn_plan *p)
{
    sigset_t none, reset;
    (void)posix_spawn_file_actions_init(&p->files);
    (void)posix_spawnattr_init(&p->attributes);
    (void)sigemptyset(&none);
    (void)sigemptyset(&reset);
    (void)sigaddset(&reset, SIGPIPE); /* ignored here; an ignored signal would stay ignored in the child */
    (void)sigaddset(&reset, SIGTERM);
    (void)sigaddset(&reset, SIGINT);
    (void)posix_spawnattr_setsigmask(&p->attributes, &none);
    (void)posix_spawnattr_setsigdefault(&p->attributes, &reset);
    (void)posix_spawn_file_actions_addopen(&p->files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
}

static int plan_run(struct spawn_plan *p, short flags, const char *const argv[], pid_t *pid) /* returns errno */
{
    union argv a = {.given = argv};
    (void)posix_spawn_file_actions_addclosefrom_np(&p->files, STDERR_FILENO + 1); /* what we were born with, too */
    (void)posix_spawnattr_setflags(&p->attributes, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | flags));
    int code = posix_spawnp(pid, argv[0], &p->files, &p->attributes, a.wanted, environ);
    (void)posix_spawn_file_actions_destroy(&p->files);
    (void)posix_spawnattr_destroy(&p->attributes);
    return code;
}

static int open_log(const char *log_path, struct errbuf *err)
{
    const char *path = log_path != NULL ? log_path : "/dev/null";
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0) errbuf_set(err, "log file %s cannot be opened: %s", path, strerror(errno));
    return fd;
}

enum status process_spawn(const char *const argv[], const char *log_path, struct process_id *out, struct errbuf *err)
{
    struct spawn_plan plan;
    pid_t pid = -1;
    int log = open_log(log_path, err);
    if (log < 0) return STATUS_IO;
    plan_init(&plan);
    (void)setenv("GLIBC_TUNABLES", BLOCKS_KEPT, 0); /* what the caller was given stands */
    (void)posix_spawn_file_actions_adddup2(&plan.files, log, STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&plan.files, log, STDERR_FILENO);
    int code = plan_run(&plan, POSIX_SPAWN_SETSID, argv, &pid);
    (void)close(log);
    if (code != 0) {
        errbuf_set(err, "%s cannot be started: %s", argv[0], strerror(code));
        return code == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
    }
    *out = (struct process_id){.pid = (int)pid};
    (void)process_identify((int)pid, out); /* it may have ended already: then it is not alive, which is true */
    return STATUS_OK;
}

static bool redirect_standard_files(int log)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0) return false;
    bool done = dup2(null, STDIN_FILENO) >= 0 && dup2(log, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0;
    (void)close(null);
    return done;
}

int process_daemonize(const char *log_path, struct errbuf *err)
{
    int log = open_log(log_path, err);
    if (log < 0) return -1;
    pid_t pid = fork();
    if (pid < 0) errbuf_set(err, "no process can be made: %s", strerror(errno));
    if (pid == 0 && (setsid() < 0 || !redirect_standard_files(log))) _exit(1);
    (void)close(log);
    return (int)pid;
}

bool process_reap(int pid, bool wait, int *exit_code)
{
    int how;
    pid_t ended;
    do {
        ended = waitpid((pid_t)pid, &how, wait ? 0 : WNOHANG);
    } while (ended < 0 && errno == EINTR);
    if (ended != (pid_t)pid) return false;
    *exit_code = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    return true;
}

/* ---- a command's output ------------------------------------------------------------------------------------------------- */

struct line_reader {
    struct buf pending;
    bool (*each_line)(void *ctx, struct slice line);
    void *ctx;
    bool stopped;
};

static void lines_feed(struct line_reader *l, struct slice bytes)
{
    buf_append_slice(&l->pending, bytes);
    size_t done = 0;
    while (!l->stopped && !l->pending.overflow) {
        const uint8_t *from = l->pending.data + done;
        const uint8_t *end = l->pending.size > done ? memchr(from, '\n', l->pending.size - done) : NULL;
        if (end == NULL) break;
        l->stopped = !l->each_line(l->ctx, slice_make(from, (size_t)(end - from)));
        done += (size_t)(end - from) + 1;
    }
    if (done > 0) buf_consume(&l->pending, done);
}

static int lines_read(struct line_reader *l, int fd) /* returns errno */
{
    char part[65536];
    while (!l->stopped) {
        ssize_t got = read(fd, part, sizeof(part));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        if (got == 0) break;
        lines_feed(l, slice_make(part, (size_t)got));
        if (l->pending.overflow) return EOVERFLOW;
    }
    if (!l->stopped && l->pending.size > 0)
        (void)l->each_line(l->ctx, buf_slice(&l->pending)); /* no line end at the end */
    return 0;
}

static enum status lines_result(const char *name, int code, bool stopped, int exit_code, struct errbuf *err)
{
    if (code == EOVERFLOW) {
        errbuf_set(err, "%s: a line of its output is longer than %u bytes", name, LINE_BYTES_MAX);
        return STATUS_TOO_LARGE;
    }
    if (code != 0) {
        errbuf_set(err, "%s: its output cannot be read: %s", name, strerror(code));
        return STATUS_IO;
    }
    if (stopped || exit_code == 0) return STATUS_OK;
    errbuf_set(err, "%s failed with exit code %d", name, exit_code);
    return STATUS_IO;
}

enum status process_read_lines(const char *const argv[], bool (*each_line)(void *ctx, struct slice line), void *ctx,
                               struct errbuf *err)
{
    struct spawn_plan plan;
    struct line_reader lines = {.each_line = each_line, .ctx = ctx};
    int ends[2], exit_code = 0;
    pid_t pid = -1;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        errbuf_set(err, "%s cannot be started: %s", argv[0], strerror(errno));
        return STATUS_IO;
    }
    plan_init(&plan);
    (void)posix_spawn_file_actions_adddup2(&plan.files, ends[1], STDOUT_FILENO);
    int code = plan_run(&plan, 0, argv, &pid);
    (void)close(ends[1]);
    if (code != 0) {
        (void)close(ends[0]);
        errbuf_set(err, "%s cannot be started: %s", argv[0], strerror(code));
        return code == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
    }
    buf_init(&lines.pending, LINE_BYTES_MAX);
    code = lines_read(&lines, ends[0]);
    (void)close(ends[0]);                                     /* a command that still writes gets SIGPIPE */
    if (code != 0 || lines.stopped) (void)kill(pid, SIGTERM); /* one that does not write, this */
    (void)process_reap((int)pid, true, &exit_code);
    buf_free(&lines.pending);
    return lines_result(argv[0], code, lines.stopped, exit_code, err);
}

/* ---- small questions ---------------------------------------------------------------------------------------------------- */

bool process_executable(char *path, size_t size)
{
    ssize_t got = readlink("/proc/self/exe", path, size);
    if (got < 0 || (size_t)got >= size) return false;
    path[got] = '\0';
    return true;
}

const char *process_getenv(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

bool process_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

bool process_read_byte(int fd, uint8_t *byte)
{
    ssize_t n;
    do {
        n = read(fd, byte, 1);
    } while (n < 0 && errno == EINTR);
    return n == 1;
}

bool process_terminal_raw(int fd, bool raw)
{
    const tcflag_t modes = ICANON | ECHO | ISIG | IEXTEN;
    struct termios t;
    if (tcgetattr(fd, &t) != 0) return false;
    t.c_lflag = raw ? t.c_lflag & ~modes : t.c_lflag | modes;
    t.c_iflag = raw ? t.c_iflag & ~(tcflag_t)(IXON | ICRNL) : t.c_iflag | ICRNL;
    return tcsetattr(fd, TCSADRAIN, &t) == 0;
}

bool process_reader_gone(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

unsigned process_terminal_width(int fd)
{
    struct winsize w;
    return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

unsigned process_terminal_height(int fd)
{
    struct winsize w;
    return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_row > 0 ? w.ws_row : 24;
}

void process_give_way(void)
{
    (void)nice(BACKGROUND_NICE); /* refused or not, the work is done */
}

void process_sleep_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

uint64_t process_wall_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec;
}

uint64_t process_mono_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}
