/* What the files of env_posix/ share. Each part (exec, disk, net) is made and freed by env_posix.c in that order,
 * and knows the others only through struct env_posix. */
#ifndef QUORATE_ENV_POSIX_POSIX_INT_H
#define QUORATE_ENV_POSIX_POSIX_INT_H

#include "env_posix/env_posix.h"

#include <event2/event.h>
#include <sys/socket.h>
#include <sys/time.h>

struct posix_exec;
struct posix_net;

struct env_posix {
    struct env env;     /* first: a struct env * is this */
    struct logger *log; /* ours: posix_log.c */
    struct event_base *base;
    struct posix_exec *exec;
    struct posix_net *net;
    struct net *tls; /* over net; NULL: connections are plain */

    struct list actors;
    struct list *cursor; /* the actor after the one whose pass runs; detach moves it on */
    struct event *timer; /* armed for the earliest deadline of the actors */
    bool woken;          /* another pass is wanted: do not sleep before it */
    bool stopping;
    bool quiesced;
    int exit_code;

    _Atomic uint64_t suspended_ns; /* by the machine, as far as we know: posix_clock.c */

    struct event *signal_event;
    void (*on_stop)(void *ctx);
    void *on_stop_ctx;
};

static inline struct env_posix *env_posix_of(struct env *e)
{
    return (struct env_posix *)(void *)e;
}
static inline struct timeval posix_timeval(uint64_t ns)
{
    return (struct timeval){.tv_sec = (time_t)(ns / 1000000000u), .tv_usec = (suseconds_t)(ns % 1000000000u / 1000u)};
}

/* posix_clock.c */
uint64_t posix_mono_ns(struct env *e);
uint64_t posix_wall_ms(struct env *e);
void posix_random(struct env *e, void *bytes, size_t size);

/* posix_log.c: lines "time level event fields", one write(2) each, so that threads and processes may share a file. */
struct logger *posix_log_new(const char *path, enum log_level level, struct errbuf *err);
void posix_log_free(struct logger *log);
bool posix_log_is_stderr(const struct logger *log);

/* posix_signal.c */
void posix_signal_init(struct env_posix *p); /* SIGPIPE */
void posix_signal_free(struct env_posix *p);

/* posix_exec.c */
struct posix_exec *posix_exec_new(struct env_posix *p, unsigned read_threads, unsigned background_threads);
struct exec *posix_exec_seam(struct posix_exec *x);
void posix_exec_quiesce(struct posix_exec *x);
void posix_exec_free(struct posix_exec *x);

/* posix_disk.c */
struct disk *posix_disk_new(const char *root, struct logger *log,
                            struct errbuf *err); /* makes the directory if absent */
void posix_disk_free(struct disk *d);
enum status posix_status_of_errno(int code);

/* posix_addr.c */
#define POSIX_HOST_MAX 256
#define POSIX_ADDRS_MAX 8 /* of one name that are tried */
#define POSIX_ADDR_TEXT_MAX 128
struct posix_addr {
    struct sockaddr_storage storage;
    socklen_t size;
};
struct posix_target { /* an address as text, taken apart */
    bool is_unix;
    char host[POSIX_HOST_MAX]; /* or the path of a Unix socket */
    uint16_t port;
};
/* STATUS_INVALID with a text when malformed. */
enum status posix_target_parse(const char *address, struct posix_target *out, struct errbuf *err);
bool posix_target_numeric(const struct posix_target *t, struct posix_addr *out); /* false: a name, to be resolved */
/* Blocks. Returns the number of addresses, 0 when the name is unknown. */
size_t posix_target_resolve(const struct posix_target *t, struct posix_addr *out, size_t max);
void posix_addr_format(const struct posix_addr *a, char text[POSIX_ADDR_TEXT_MAX]);
/* A listening, non-blocking socket, or a text that names the address, the cause and the cure. May block on a name: a
 * server listens once, before it serves. `bound` is the address that it got. */
enum status posix_listen_socket(const char *address, int *fd, char bound[POSIX_ADDR_TEXT_MAX], struct errbuf *err);

/* posix_net.c */
struct posix_net *posix_net_new(struct env_posix *p, size_t connections_max);
struct net *posix_net_seam(struct posix_net *n);
void posix_net_deliver(struct posix_net *n); /* before the pass: failures noted since the last one */
void posix_net_flush(struct posix_net *n);   /* after the pass: sends and frees */
void posix_net_free(struct posix_net *n);

#endif
