/* An echo server and a client, each an actor on a host of a fakenet. */
#ifndef QUORATE_TESTS_RPC_RIG_H
#define QUORATE_TESTS_RPC_RIG_H

#include "base/buf.h"
#include "lib/fakenet.h"
#include "rpc/rpc.h"

#define MS NS_PER_MS
#define SECOND (1000 * NS_PER_MS)

struct echo { /* answers each request with its params, or keeps it */
    struct actor actor;
    struct env *env;
    struct rpc_identity self;
    struct rpc_server *server;
    bool hold; /* keep requests in `held` */
    struct list held;
    size_t held_count;
    uint64_t requests, notifies;
    uint64_t last_number; /* requests carry ascending numbers: order is checked */
    bool out_of_order;
};

void echo_start(struct echo *e, struct env *env, const char *address);
void echo_stop(struct echo *e);                  /* drops what is held */
void echo_release(struct echo *e, size_t count); /* answers the oldest that are held */

struct caller {
    struct actor actor;
    struct env *env;
    struct rpc_identity self;
    struct rpc_peer *peer;
    bool inside;       /* rpc_call is running: no callback may come */
    uint64_t number;   /* of the last call */
    uint64_t answered; /* OK with the right payload */
    uint64_t failed, failed_sent;
    uint64_t last_answer;
    bool out_of_order;
    enum status last_status;
    enum status last_head;
    bool last_unknown;
    bool last_sent;
    uint64_t last_ns;
    char last_message[512];
};

struct caller_call {
    struct caller *caller;
    uint64_t number;
    unsigned done_count;
    uint64_t id;
};

void caller_start(struct caller *c, struct env *env, const char *address);
void caller_stop(struct caller *c);
/* A call with `size` bytes of params; its context is returned (freed by its callback). */
struct caller_call *caller_call(struct caller *c, size_t size, uint64_t timeout_ns);
bool caller_idle(void *ctx); /* of a caller: every call has ended */
/* The params of such a call, for the caller of this to free. */
void caller_params(struct buf *params, uint64_t number, size_t size);

/* Bytes by hand, for what no peer of ours would send. */
struct raw {
    struct env *env;
    struct net_conn *conn;
    bool open, closed;
    struct buf in;
};

void raw_connect(struct raw *r, struct fakenet *n, struct env *env, const char *address);
void raw_hello(struct raw *r, uint32_t version, const struct cluster_id *cluster);
bool raw_is_closed(void *ctx); /* of a raw */
/* The first whole response that has come in. */
bool raw_reply(struct raw *r, struct arena *arena, struct reply_head *head);
void raw_stop(struct raw *r);

#endif
