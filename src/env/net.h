/* The network seam: byte streams. Callbacks come from the loop, never from inside a call of ours; they note facts and
 * return. After any callback, or when a deadline is due, the loop runs every actor's pass (env/env.h).
 * Addresses: "127.0.0.1:7480", "[::1]:7480", "host:port" or "unix:/path". */
#ifndef QUORATE_ENV_NET_H
#define QUORATE_ENV_NET_H

#include "base/slice.h"
#include "base/status.h"

struct net;
struct net_conn; /* lives until net_close or until on_close was called; never use it after either */
struct net_listener;

struct net_handler {
    void (*on_open)(void *ctx, struct net_conn *); /* outgoing only: the connection is established */
    void (*on_data)(void *ctx, struct net_conn *, struct slice bytes); /* bytes are borrowed for the call */
    /* The peer closed, reset, refused or could not be found. Not called after our own net_close. */
    void (*on_close)(void *ctx, struct net_conn *, enum status why);
};

struct net_ops {
    /* `accept` hands over a new connection and must answer with net_attach before it returns, or net_close it. */
    enum status (*listen)(struct net *, const char *address, void (*accept)(void *ctx, struct net_conn *), void *ctx,
                          struct net_listener **out, struct errbuf *);
    void (*unlisten)(struct net_listener *);
    struct net_conn *(*connect)(struct net *, const char *address, const struct net_handler *,
                                void *ctx); /* never NULL */
    void (*attach)(struct net_conn *, const struct net_handler *, void *ctx);
    void (*send)(struct net_conn *, struct slice bytes); /* copied; sent at the end of the pass at the latest */
    size_t (*unsent)(const struct net_conn *);           /* bytes that wait in our memory: the sender's backpressure */
    /* Stops or resumes on_data: the receiver's backpressure. */
    void (*pause)(struct net_conn *, bool paused);
    /* Unsent bytes are still tried, within reason; the peer then sees the end. */
    void (*close)(struct net_conn *);
    const char *(*peer)(const struct net_conn *); /* for log lines; borrowed until close */
};
struct net {
    const struct net_ops *ops;
};

#endif
