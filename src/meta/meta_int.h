/* Private to meta/. */
#ifndef QUORATE_META_META_INT_H
#define QUORATE_META_META_INT_H

#include "meta/meta.h"
#include "meta/state.h"
#include "range/identity.h"

struct meta {
    struct actor actor;
    struct env *env;
    struct meta_options options;
    char *addresses[LIMIT_VOTERS];
    struct identity identity;
    struct rpc_identity self;
    struct rpc_server *server;
    struct host *host;
    struct meta_state state;
    struct meta_applied applied;
    bool loaded;  /* state agrees with the store */
    bool loading; /* a block is being fetched for the first scan */
    bool leads, stopping;
    uint64_t term; /* in which it leads */
    uint64_t stop_deadline_ns;
    uint32_t requests; /* under way */
    /* timestamps.c */
    uint64_t ts_next; /* 0: not yet known in this term */
    bool ts_bound_busy;
    struct list ts_parked; /* struct meta_request: confirmed, but the bound is too near */
    struct proposal ts_proposal;
    /* duties.c */
    uint64_t duties_at_ns, leads_since_ns;
    bool default_busy;
    struct proposal default_proposal;
    struct arena arena;
    struct buf scratch;
};

/* A request under way: confirmed by a quorum (reads, timestamps) or proposed (commands); ends in one reply. */
struct meta_request {
    struct list link; /* in ts_parked */
    struct meta *meta;
    struct rpc_request *req;
    struct read_wait read;
    struct proposal proposal;
    uint32_t ts_count;
    uint64_t term; /* in which it was accepted: its confirmation is worth nothing in another */
};

/* serve.c */
void meta_on_request(void *ctx, struct rpc_request *req);
void meta_refuse(struct meta_request *q, enum status s, bool unknown, const char *message);
void meta_answer(struct meta_request *q, struct slice payload);
void meta_candidates(struct meta *m, struct meta_command *c); /* live nodes, in m->arena */

/* timestamps.c */
void timestamps_serve(struct meta_request *q);
void timestamps_reset(struct meta *m); /* leadership came or went */
void timestamps_step(struct meta *m);
/* For graces: near what is handed out, neither issued nor confirmed. */
uint64_t timestamps_about_now(const struct meta *m);

/* duties.c */
uint64_t duties_pass(struct meta *m, uint64_t now_ns);
bool meta_node_alive(const struct meta *m, const struct meta_node *n, uint64_t now_ns);

#endif
