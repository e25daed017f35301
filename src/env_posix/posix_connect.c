#define _GNU_SOURCE /* SOCK_NONBLOCK */
#include "env_posix/posix_net_int.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_NS (10000u * NS_PER_MS) /* of one address; the caller's deadline is usually shorter */

/* Looks a name up on a worker, because the system's resolver blocks. Outlives its connection's close: the connection is
 * freed after it. */
struct resolve {
    struct task task; /* first */
    struct net_conn *conn;
    struct posix_target target;
    struct posix_addr addrs[POSIX_ADDRS_MAX];
    size_t addr_count;
};

static enum status status_of_connect(int code)
{
    return code == ETIMEDOUT ? STATUS_TIMEOUT : STATUS_UNAVAILABLE;
}

static int connect_begin(struct net_conn *c, const struct posix_addr *a) /* returns errno, or 0 when it is under way */
{
    int one = 1;
    int fd = socket(a->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    if (a->storage.ss_family != AF_UNIX) (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (const struct sockaddr *)(const void *)&a->storage, a->size) != 0 && errno != EINPROGRESS) {
        int code = errno;
        (void)close(fd);
        return code;
    }
    struct timeval wait = posix_timeval(CONNECT_TIMEOUT_NS);
    bool made = posix_conn_open(c, fd);
    ASSERT(made);
    (void)event_add(&c->writing, &wait); /* also when it is connected already: on_open comes from the loop */
    return 0;
}

/* Tries the addresses that are left. */
static void connect_next(struct net_conn *c, int code)
{
    posix_conn_set_state(c, CONN_CONNECTING);
    while (c->addr_next < c->addr_count) {
        code = connect_begin(c, &c->addrs[c->addr_next++]);
        if (code == 0) return;
    }
    posix_conn_fail(c, status_of_connect(code));
}

void posix_connect_writable(struct net_conn *c, bool timeout)
{
    int code = ETIMEDOUT;
    socklen_t size = (socklen_t)sizeof(code);
    if (!timeout && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0) code = errno;
    if (code != 0) {
        (void)event_del(&c->reading);
        (void)event_del(&c->writing);
        c->has_events = false;
        (void)close(c->fd);
        c->fd = -1;
        connect_next(c, code);
        return;
    }
    posix_conn_set_state(c, CONN_OPEN);
    if (!c->paused) (void)event_add(&c->reading, NULL);
    if (c->out.size > 0 && list_empty(&c->work)) list_push_back(&c->net->dirty, &c->work);
    c->handler->on_open(c->ctx, c);
}

static void resolve_execute(struct task *t)
{
    struct resolve *r = (struct resolve *)(void *)t;
    r->addr_count = posix_target_resolve(&r->target, r->addrs, POSIX_ADDRS_MAX);
}

static void resolve_complete(struct task *t)
{
    struct resolve *r = (struct resolve *)(void *)t;
    struct net_conn *c = r->conn;
    c->resolve = NULL;
    if (c->state == CONN_RESOLVING) { /* otherwise closed meanwhile, and on the list of the dead */
        c->addr_count = r->addr_count;
        memcpy(c->addrs, r->addrs, r->addr_count * sizeof(r->addrs[0]));
        connect_next(c, EHOSTUNREACH);
    }
    mem_free(r);
}

static void resolve_begin(struct net_conn *c, const struct posix_target *target)
{
    struct resolve *r = mem_zalloc(sizeof(*r));
    r->task.execute = resolve_execute;
    r->task.complete = resolve_complete;
    r->conn = c;
    r->target = *target;
    c->resolve = r;
    exec_submit(c->net->p->env.exec, LANE_READ, &r->task);
}

struct net_conn *posix_net_connect(struct net *net, const char *address, const struct net_handler *handler, void *ctx)
{
    struct posix_net *n = (struct posix_net *)(void *)net;
    struct net_conn *c = posix_conn_new(n, address);
    c->handler = handler;
    c->ctx = ctx;
    struct posix_target target;
    struct errbuf err;
    if (posix_target_parse(address, &target, &err) != STATUS_OK) {
        log_event(n->p->log, LOG_WARN, "net.bad_address", "%s", err.text);
        posix_conn_fail(c, STATUS_INVALID);
    } else if (posix_target_numeric(&target, &c->addrs[0])) {
        c->addr_count = 1;
        connect_next(c, 0);
    } else {
        resolve_begin(c, &target);
    }
    return c;
}
