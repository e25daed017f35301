#define _GNU_SOURCE /* MSG_NOSIGNAL */
#include "env_posix/posix_net_int.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <unistd.h>

#define RECEIVE_BYTES (256u * 1024u)            /* one read per connection and turn: also the bound of its share */
#define UNSENT_BYTES_MAX (256u * 1024u * 1024u) /* senders look at `unsent` long before */
#define IDLE_CAPACITY_BYTES (256u * 1024u)      /* an empty send buffer above it is given back */
#define DRAIN_STALL_NS (5000u * NS_PER_MS)
#define DRAIN_MAX_NS (60000u * NS_PER_MS)
#define LINGER_NS (2000u * NS_PER_MS)

static size_t conn_unsent(const struct net_conn *c)
{
    return c->out.size - c->sent;
}

static void conn_check(const struct net_conn *c)
{
    ASSERT(c->sent <= c->out.size);
    if (c->state == CONN_OPEN || c->state == CONN_DRAINING || c->state == CONN_LINGERING) ASSERT(c->fd >= 0);
    if (c->state == CONN_DRAINING || c->state == CONN_LINGERING) ASSERT(c->handler == NULL);
    if (c->state == CONN_DEAD) ASSERT(c->fd < 0);
}

/* The table of moves. */
void posix_conn_set_state(struct net_conn *c, enum conn_state to)
{
    switch (to) {
    case CONN_RESOLVING: BUG("a connection begins so, and never returns to it");
    case CONN_CONNECTING: ASSERT(c->state == CONN_RESOLVING || c->state == CONN_CONNECTING); break;
    case CONN_OPEN: ASSERT(c->state == CONN_CONNECTING); break;
    case CONN_FAILED: ASSERT(c->state <= CONN_OPEN); break;
    case CONN_DRAINING: ASSERT(c->state == CONN_OPEN); break;
    case CONN_LINGERING: ASSERT(c->state == CONN_DRAINING); break;
    case CONN_DEAD: ASSERT(c->state != CONN_DEAD); break;
    }
    c->state = to;
    conn_check(c);
}

static void conn_want_work(struct net_conn *c, struct list *where)
{
    list_remove(&c->work);
    list_push_back(where, &c->work);
}

static void conn_shut(struct net_conn *c)
{
    if (c->has_events) {
        (void)event_del(&c->reading);
        (void)event_del(&c->writing);
        c->has_events = false;
    }
    if (c->fd >= 0) (void)close(c->fd);
    c->fd = -1;
}

void posix_conn_die(struct net_conn *c)
{
    conn_shut(c);
    c->handler = NULL;
    posix_conn_set_state(c, CONN_DEAD);
    conn_want_work(c, &c->net->dead);
}

void posix_conn_fail(struct net_conn *c, enum status why)
{
    conn_shut(c);
    c->why = why;
    posix_conn_set_state(c, CONN_FAILED);
    conn_want_work(c, &c->net->failed);
    c->net->p->woken = true;
}

/* From a callback of the loop: the owner learns at once. */
static void conn_end(struct net_conn *c, enum status why)
{
    const struct net_handler *handler = c->handler;
    posix_conn_die(c);
    if (handler != NULL) handler->on_close(c->ctx, c, why);
}

/* ---- reading ----------------------------------------------------------------------------------------------------------- */

static void conn_linger_read(struct net_conn *c, bool timeout)
{
    ssize_t got = timeout ? 0 : recv(c->fd, c->net->received, RECEIVE_BYTES, 0);
    bool wait = got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
    if (!wait || posix_mono_ns(&c->net->p->env) - c->closed_ns > DRAIN_MAX_NS) posix_conn_die(c);
}

static void conn_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct net_conn *c = ctx;
    if (c->state == CONN_LINGERING) {
        conn_linger_read(c, (what & EV_TIMEOUT) != 0);
        return;
    }
    if (c->state != CONN_OPEN || c->paused) return;
    ssize_t got = recv(fd, c->net->received, RECEIVE_BYTES, 0);
    if (got > 0)
        c->handler->on_data(c->ctx, c, slice_make(c->net->received, (size_t)got));
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        conn_end(c, STATUS_CLOSED);
}

/* ---- writing ----------------------------------------------------------------------------------------------------------- */

static void conn_all_sent(struct net_conn *c)
{
    buf_clear(&c->out);
    c->sent = 0;
    if (c->out.capacity > IDLE_CAPACITY_BYTES) buf_free(&c->out);
    if (c->state != CONN_DRAINING) return;
    struct timeval wait = posix_timeval(LINGER_NS);
    if (shutdown(c->fd, SHUT_WR) != 0) {
        posix_conn_die(c);
        return;
    }
    posix_conn_set_state(c, CONN_LINGERING);
    (void)event_add(&c->reading, &wait);
}

/* Waits for the socket to take more. A connection that its owner has closed has so much patience and no more. */
static void conn_wait_writable(struct net_conn *c)
{
    struct timeval wait = posix_timeval(DRAIN_STALL_NS);
    c->blocked = true;
    if (c->state == CONN_DRAINING && posix_mono_ns(&c->net->p->env) - c->closed_ns > DRAIN_MAX_NS) {
        posix_conn_die(c);
        return;
    }
    (void)event_add(&c->writing, c->state == CONN_DRAINING ? &wait : NULL);
}

static void conn_send_failed(struct net_conn *c)
{
    if (c->state == CONN_DRAINING)
        posix_conn_die(c);
    else
        posix_conn_fail(c, STATUS_CLOSED);
}

/* One send per connection and pass; the rest waits until the socket is writable. */
static void conn_flush(struct net_conn *c)
{
    conn_check(c);
    if (c->state != CONN_OPEN && c->state != CONN_DRAINING) return;
    if (c->out.overflow) {
        log_event(c->net->p->log, LOG_WARN, "net.unsent_overflow", "peer=%s max=%u", c->peer, UNSENT_BYTES_MAX);
        conn_send_failed(c);
        return;
    }
    if (c->blocked) return;
    size_t size = conn_unsent(c);
    ssize_t n = size > 0 ? send(c->fd, c->out.data + c->sent, size, MSG_NOSIGNAL) : 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        conn_send_failed(c);
        return;
    }
    if (n > 0) c->sent += (size_t)n;
    if (conn_unsent(c) == 0)
        conn_all_sent(c);
    else
        conn_wait_writable(c);
}

static void conn_writable(evutil_socket_t fd, short what, void *ctx)
{
    struct net_conn *c = ctx;
    (void)fd;
    bool timeout = (what & EV_TIMEOUT) != 0;
    c->blocked = false;
    if (c->state == CONN_CONNECTING)
        posix_connect_writable(c, timeout);
    else if (c->state == CONN_DRAINING && timeout)
        posix_conn_die(c);
    else if (c->state == CONN_OPEN || c->state == CONN_DRAINING)
        conn_want_work(c, &c->net->dirty);
}

/* ---- the seam's calls -------------------------------------------------------------------------------------------------- */

struct net_conn *posix_conn_new(struct posix_net *n, const char *peer)
{
    struct net_conn *c = mem_zalloc(sizeof(*c));
    c->net = n;
    c->fd = -1;
    c->state = CONN_RESOLVING;
    buf_init(&c->out, UNSENT_BYTES_MAX);
    list_init(&c->work);
    list_push_back(&n->conns, &c->link);
    size_t size = strlen(peer);
    if (size >= sizeof(c->peer)) size = sizeof(c->peer) - 1;
    memcpy(c->peer, peer, size);
    return c;
}

bool posix_conn_open(struct net_conn *c, int fd)
{
    c->fd = fd;
    if (event_assign(&c->reading, c->net->p->base, fd, EV_READ | EV_PERSIST, conn_readable, c) != 0) return false;
    if (event_assign(&c->writing, c->net->p->base, fd, EV_WRITE, conn_writable, c) != 0) return false;
    c->has_events = true;
    return true;
}

static void net_attach(struct net_conn *c, const struct net_handler *handler, void *ctx)
{
    ASSERT(c->handler == NULL);
    ASSERT(c->state == CONN_OPEN);
    c->handler = handler;
    c->ctx = ctx;
    if (!c->paused) (void)event_add(&c->reading, NULL);
}

static void net_send(struct net_conn *c, struct slice bytes)
{
    ASSERT(c->handler != NULL);
    if (c->state == CONN_FAILED || bytes.size == 0) return; /* on_close is on its way */
    if (c->sent > 0 &&
        c->sent >= c->out.size / 2) { /* the part that has left makes room; each byte moves once at most */
        buf_consume(&c->out, c->sent);
        c->sent = 0;
    }
    buf_append_slice(&c->out, bytes);
    if (list_empty(&c->work)) list_push_back(&c->net->dirty, &c->work);
}

static size_t net_unsent(const struct net_conn *c)
{
    return conn_unsent(c);
}

static void net_pause(struct net_conn *c, bool paused)
{
    if (c->paused == paused) return;
    c->paused = paused;
    if (c->state != CONN_OPEN || c->handler == NULL) return; /* heeded when it opens */
    if (paused)
        (void)event_del(&c->reading);
    else
        (void)event_add(&c->reading, NULL);
}

static void net_close(struct net_conn *c)
{
    ASSERT(c->state != CONN_DEAD);
    ASSERT(c->state != CONN_DRAINING);
    ASSERT(c->state != CONN_LINGERING);
    c->handler = NULL;
    if (c->state != CONN_OPEN || conn_unsent(c) == 0) {
        posix_conn_die(c);
        return;
    }
    c->closed_ns = posix_mono_ns(&c->net->p->env);
    (void)event_del(&c->reading);
    posix_conn_set_state(c, CONN_DRAINING);
    if (c->blocked) {
        (void)event_del(&c->writing);
        conn_wait_writable(c); /* with a limit from now on */
    } else if (list_empty(&c->work)) {
        list_push_back(&c->net->dirty, &c->work);
    }
}

static const char *net_peer(const struct net_conn *c)
{
    return c->peer;
}

/* ---- the loop's calls -------------------------------------------------------------------------------------------------- */

void posix_net_deliver(struct posix_net *n)
{
    struct list batch;
    list_init(&batch);
    for (struct list *node; (node = list_pop_front(&n->failed)) != NULL;) list_push_back(&batch, node);
    /* A handler may close another connection of the batch: that one leaves this list for the dead. */
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;) {
        struct net_conn *c = LIST_ENTRY(node, struct net_conn, work);
        conn_end(c, c->why);
    }
}

static void conn_free(struct net_conn *c)
{
    ASSERT(c->resolve == NULL);
    list_remove(&c->work);
    list_remove(&c->link);
    if (c->accepted) c->net->accepted_count--;
    buf_free(&c->out);
    mem_free(c);
}

void posix_net_flush(struct posix_net *n)
{
    for (struct list *node; (node = list_pop_front(&n->dirty)) != NULL;)
        conn_flush(LIST_ENTRY(node, struct net_conn, work));
    LIST_FOR(it, &n->dead)
    {
        struct net_conn *c = LIST_ENTRY(it, struct net_conn, work);
        if (c->resolve == NULL) conn_free(c);
    }
}

struct posix_net *posix_net_new(struct env_posix *p, size_t connections_max)
{
    static const struct net_ops ops = {
        .listen = posix_net_listen,
        .unlisten = posix_net_unlisten,
        .connect = posix_net_connect,
        .attach = net_attach,
        .send = net_send,
        .unsent = net_unsent,
        .pause = net_pause,
        .close = net_close,
        .peer = net_peer,
    };
    struct posix_net *n = mem_zalloc(sizeof(*n));
    n->seam.ops = &ops;
    n->p = p;
    n->accepted_max = connections_max;
    n->received = mem_alloc(RECEIVE_BYTES);
    list_init(&n->conns);
    list_init(&n->listeners);
    list_init(&n->dirty);
    list_init(&n->failed);
    list_init(&n->dead);
    return n;
}

struct net *posix_net_seam(struct posix_net *n)
{
    return &n->seam;
}

void posix_net_free(struct posix_net *n)
{
    while (!list_empty(&n->listeners)) posix_net_unlisten(LIST_ENTRY(n->listeners.next, struct net_listener, link));
    posix_net_flush(n);
    LIST_FOR(it, &n->conns)
    {
        struct net_conn *c = LIST_ENTRY(it, struct net_conn, link);
        if (c->state != CONN_DEAD) posix_conn_die(c);
        conn_free(c);
    }
    mem_free(n->received);
    mem_free(n);
}
