/* The production environment: env/{env,disk,exec,net,http}.h over Linux, threads and libevent. One env is one event loop
 * with its worker threads; every call below comes from the thread that made it. Life of a server:
 *     env_posix_new, objects made, env_posix_on_signal, env_posix_run, env_posix_quiesce, objects freed, env_posix_free.
 * Between run and quiesce no task of the objects is lost: a running one ends, a queued one completes as cancelled. */
#ifndef QUORATE_ENV_POSIX_ENV_POSIX_H
#define QUORATE_ENV_POSIX_ENV_POSIX_H

#include "env/env.h"

struct tls_options; /* tls/tls.h */

#define ENV_POSIX_EXIT_FATAL 70 /* the exit code of a process that stopped itself (env_ops.fatal) */

struct env_posix_options {
    const char *data_dir; /* made if absent; NULL: env->disk is NULL */
    enum log_level log_level;
    const char *log_path;        /* appended to; NULL: stderr */
    unsigned read_threads;       /* LANE_READ; 0: 2 */
    unsigned background_threads; /* LANE_BACKGROUND; 0: 1 */
    unsigned connections_max;    /* accepted at a time; 0: a third of RLIMIT_NOFILE, two without a disk */
    bool precise_timers;         /* deadlines to the microsecond, not the millisecond, for a system call more a turn */
    unsigned http_timeout_ms;    /* an HTTP client that is idle or slow for so long is cut off; 0: 75,000 */
    const struct tls_options
        *tls; /* all connections, HTTP's too, are encrypted; NULL: none is. Borrowed for the call */
};

/* NULL with a text for a person: an unusable data directory or log file. Threads start when their lane is first used.
 * SIGPIPE is ignored from here on, and the soft limit of open files is raised to the hard one. */
struct env *env_posix_new(const struct env_posix_options *options, struct errbuf *err);

/* SIGTERM or SIGINT calls on_stop on the loop, once; a second signal of either kind ends the process at once. For one env
 * of a process. on_stop usually begins an orderly stop that ends in env_posix_stop. */
void env_posix_on_signal(struct env *env, void (*on_stop)(void *ctx), void *ctx);

/* The loop: until env_posix_stop; returns its exit code. */
int env_posix_run(struct env *env);
/* Runs the loop until done(ctx), or until timeout_ns have passed (DEADLINE_NONE: no limit); done is asked after each pass. */
void env_posix_run_until(struct env *env, bool (*done)(void *ctx), void *ctx, uint64_t timeout_ns);
void env_posix_stop(struct env *env, int exit_code); /* from the loop: env_posix_run returns after this pass */

/* Connections made from now on use these certificates; STATUS_INVALID: they cannot be used, and nothing has changed. For an env
 * that was made with some. */
MUST_CHECK enum status env_posix_tls_reload(struct env *env, const struct tls_options *tls, struct errbuf *err);

/* Ends the worker threads: running tasks are waited for, queued ones and those submitted from now on complete as
 * cancelled; all completions are delivered before it returns. */
void env_posix_quiesce(struct env *env);
/* Quiesces, tries once to send what is unsent, closes every connection without a callback. The actors are gone before. */
void env_posix_free(struct env *env);

/* The bound address, with the port that the system chose for port 0: "127.0.0.1:41234". Borrowed from the listener. */
const char *env_posix_listener_address(const struct net_listener *listener);
const char *env_posix_http_address(const struct http_server *server);

#endif
