/* Connections and listeners. A connection is in exactly one state; `work` puts it on at most one of the net's lists of
 * connections that need a look.
 *
 *                       next address
 *                        .------.
 *                        v      |
 *   RESOLVING -------> CONNECTING ---------> OPEN --close, bytes unsent--> DRAINING --all sent--> LINGERING
 *       |                  |                  |                           |                     |
 *       '--- unknown ------+--- refused ------+--- end, reset             |  5 s no progress,   |  peer's end,
 *                          v                                              |  60 s in all        |  2 s
 *                       FAILED --on_close delivered--> DEAD <-------------+---------------------'
 *                                                       ^
 *   any state, close with nothing to send --------------'   freed at the end of the pass, when no resolver works for it
 *
 * woken by:  RESOLVING a task; CONNECTING writable or 10 s; OPEN readable, writable; FAILED the next turn of the loop.
 * LINGERING reads and drops what still comes: closing a socket with unread bytes would reset it, and the peer would lose
 * the last reply. */
#ifndef QUORATE_ENV_POSIX_POSIX_NET_INT_H
#define QUORATE_ENV_POSIX_POSIX_NET_INT_H

#include <event2/event_struct.h> /* before base/list.h: it has a LIST_ENTRY of its own, for a moment */

#include "base/buf.h"
#include "env_posix/posix_int.h"

enum conn_state { CONN_RESOLVING, CONN_CONNECTING, CONN_OPEN, CONN_FAILED, CONN_DRAINING, CONN_LINGERING, CONN_DEAD };

struct resolve; /* a name being looked up */

struct net_conn {
    struct posix_net *net;
    const struct net_handler *handler; /* NULL: accepted and not attached yet, or closed by its owner */
    void *ctx;
    struct list link; /* net->conns */
    struct list work; /* net->dirty (has bytes to send), net->failed or net->dead */
    enum conn_state state;
    enum status why; /* of FAILED */
    int fd;          /* -1: none */
    bool paused;
    bool accepted;        /* counts against the cap */
    bool blocked;         /* the socket took less than we had: its writability is waited for */
    bool has_events;      /* reading and writing are initialised */
    struct event reading; /* persistent */
    struct event writing;
    struct buf out; /* out.data[sent..size) is unsent */
    size_t sent;
    uint64_t closed_ns; /* when its owner closed it: DRAINING, LINGERING */
    struct resolve *resolve;
    struct posix_addr addrs[POSIX_ADDRS_MAX]; /* still to be tried: [addr_next, addr_count) */
    size_t addr_next, addr_count;
    char peer[POSIX_ADDR_TEXT_MAX];
};

struct net_listener {
    struct posix_net *net;
    struct list link; /* net->listeners */
    struct event *readable;
    struct event *retry; /* a timer: accepting rests when the cap or the file limit is reached */
    void (*accept)(void *ctx, struct net_conn *);
    void *ctx;
    int fd;
    char address[POSIX_ADDR_TEXT_MAX];
    bool is_unix;
};

struct posix_net {
    struct net seam; /* first */
    struct env_posix *p;
    uint8_t *received; /* shared by all connections: bytes are borrowed for one on_data */
    struct list conns, listeners, dirty, failed, dead;
    size_t accepted_count, accepted_max;
};

struct net_conn *posix_conn_new(struct posix_net *n, const char *peer);
void posix_conn_set_state(struct net_conn *c, enum conn_state state);
void posix_conn_fail(struct net_conn *c, enum status why); /* on_close follows in the next turn */
void posix_conn_die(struct net_conn *c);
bool posix_conn_open(struct net_conn *c, int fd); /* makes its events */

/* posix_connect.c */
struct net_conn *posix_net_connect(struct net *net, const char *address, const struct net_handler *handler, void *ctx);
void posix_connect_writable(struct net_conn *c, bool timeout);

/* posix_listen.c */
enum status posix_net_listen(struct net *net, const char *address, void (*accept)(void *ctx, struct net_conn *),
                             void *ctx, struct net_listener **out, struct errbuf *err);
void posix_net_unlisten(struct net_listener *l);

#endif
