#define _GNU_SOURCE /* sigaction */
#include "env_posix/posix_int.h"

#include "base/assert.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A signal handler has no argument of ours, so this one number is the process's. -1: nobody listens. */
static volatile sig_atomic_t signal_wake_fd = -1;

/* From here on the system's default stands: a second signal ends the process even when its loop hangs. */
static void handle_signal(int number)
{
    int saved = errno;
    (void)number;
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    uint64_t one = 1;
    if (signal_wake_fd >= 0) {
        ssize_t written = write((int)signal_wake_fd, &one, sizeof(one));
        (void)written; /* an eventfd takes it; nothing could be done here otherwise */
    }
    errno = saved;
}

static void signal_wake_cb(evutil_socket_t fd, short what, void *ctx)
{
    struct env_posix *p = ctx;
    (void)what;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) != (ssize_t)sizeof(count)) return;
    log_event(p->log, LOG_INFO, "process.stop_asked", "by=signal");
    p->on_stop(p->on_stop_ctx);
}

void posix_signal_init(struct env_posix *p)
{
    (void)p;
    (void)signal(SIGPIPE, SIG_IGN); /* a closed connection is told by send */
}

void env_posix_on_signal(struct env *env, void (*on_stop)(void *ctx), void *ctx)
{
    struct env_posix *p = env_posix_of(env);
    ASSERT(p->signal_event == NULL);
    ASSERT(signal_wake_fd < 0);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ASSERT(fd >= 0);
    p->on_stop = on_stop;
    p->on_stop_ctx = ctx;
    p->signal_event = event_new(p->base, fd, EV_READ | EV_PERSIST, signal_wake_cb, p);
    int rc = event_add(p->signal_event, NULL);
    ASSERT(rc == 0);
    signal_wake_fd = fd;
    struct sigaction action = {.sa_handler = handle_signal, .sa_flags = SA_RESTART};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaddset(&action.sa_mask, SIGTERM);
    (void)sigaddset(&action.sa_mask, SIGINT);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
}

void posix_signal_free(struct env_posix *p)
{
    if (p->signal_event == NULL) return;
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    int fd = (int)signal_wake_fd;
    signal_wake_fd = -1;
    event_free(p->signal_event);
    p->signal_event = NULL;
    (void)close(fd);
}
