#define _GNU_SOURCE /* accept4 */
#include "env_posix/posix_net_int.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <unistd.h>

#define ACCEPT_PER_TURN 64u
#define ACCEPT_REST_NS (100u * NS_PER_MS)

/* The kernel would report a connection that we cannot take again and again: look away for a while, it waits in the
 * backlog. */
static void listener_rest(struct net_listener *l, const char *why)
{
    struct timeval wait = posix_timeval(ACCEPT_REST_NS);
    log_event(l->net->p->log, LOG_WARN, "net.accept_rests", "address=%s connections=%zu why=\"%s\"", l->address,
              l->net->accepted_count, why);
    (void)event_del(l->readable);
    (void)event_add(l->retry, &wait);
}

static void listener_retry_cb(evutil_socket_t fd, short what, void *ctx)
{
    struct net_listener *l = ctx;
    (void)fd;
    (void)what;
    (void)event_add(l->readable, NULL);
}

static void listener_hand_over(struct net_listener *l, int fd, const struct posix_addr *from)
{
    char peer[POSIX_ADDR_TEXT_MAX];
    posix_addr_format(from, peer);
    struct net_conn *c = posix_conn_new(l->net, peer);
    c->accepted = true;
    l->net->accepted_count++;
    bool made = posix_conn_open(c, fd);
    ASSERT(made);
    posix_conn_set_state(c, CONN_CONNECTING);
    posix_conn_set_state(c, CONN_OPEN);
    l->accept(l->ctx, c);
    if (c->state == CONN_OPEN) ASSERT(c->handler != NULL); /* attached or closed before it returns */
}

/* Returns whether to go on. */
static bool listener_accept_one(struct net_listener *l)
{
    if (l->net->accepted_count >= l->net->accepted_max) {
        listener_rest(l, "the cap of connections is reached");
        return false;
    }
    struct posix_addr from = {.size = (socklen_t)sizeof(from.storage)};
    int fd = accept4(l->fd, (struct sockaddr *)(void *)&from.storage, &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        listener_hand_over(l, fd, &from);
        return true;
    }
    switch (errno) {
    case EAGAIN: return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: listener_rest(l, strerror(errno)); return false;
    default: return true; /* that one connection broke before we took it */
    }
}

static void listener_readable_cb(evutil_socket_t fd, short what, void *ctx)
{
    struct net_listener *l = ctx;
    (void)fd;
    (void)what;
    for (unsigned i = 0; i < ACCEPT_PER_TURN && l->fd >= 0; i++) {
        if (!listener_accept_one(l)) return;
    }
}

enum status posix_net_listen(struct net *net, const char *address, void (*accept)(void *ctx, struct net_conn *),
                             void *ctx, struct net_listener **out, struct errbuf *err)
{
    struct posix_net *n = (struct posix_net *)(void *)net;
    int fd = -1;
    char bound[POSIX_ADDR_TEXT_MAX];
    *out = NULL;
    enum status s = posix_listen_socket(address, &fd, bound, err);
    if (s != STATUS_OK) return s;
    struct net_listener *l = mem_zalloc(sizeof(*l));
    l->net = n;
    l->fd = fd;
    l->accept = accept;
    l->ctx = ctx;
    l->is_unix = strncmp(bound, "unix:", 5) == 0;
    memcpy(l->address, bound, sizeof(bound));
    l->readable = event_new(n->p->base, fd, EV_READ | EV_PERSIST, listener_readable_cb, l);
    l->retry = event_new(n->p->base, -1, 0, listener_retry_cb, l);
    (void)event_add(l->readable, NULL);
    list_push_back(&n->listeners, &l->link);
    *out = l;
    return STATUS_OK;
}

/* Not from inside its own accept callback. */
void posix_net_unlisten(struct net_listener *l)
{
    list_remove(&l->link);
    event_free(l->readable);
    event_free(l->retry);
    (void)close(l->fd);
    if (l->is_unix) (void)unlink(l->address + 5);
    mem_free(l);
}

const char *env_posix_listener_address(const struct net_listener *l)
{
    return l->address;
}
