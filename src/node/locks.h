/* Private to node/: transactions, and what waits for one that holds a lock. */
#ifndef QUORATE_NODE_LOCKS_H
#define QUORATE_NODE_LOCKS_H

#include "node/node_int.h"
#include "txn/table.h"

/* What the key-value machine remembers of a replica: held transactions; and requests that wait for one. */
struct kv_state {
    struct node *node;
    struct txn_table *table;
    struct list parked; /* struct node_request */
    struct list link;   /* in lock_states while any is parked */
    uint64_t range_id;
    struct list steps; /* steps.c: Decides and Forgets that wait to be proposed */
    struct list steps_link;
    uint64_t steps_due_ns;
    unsigned steps_count;
    uint64_t named_ns;         /* when an abandoned transaction was looked for */
    bool changed;              /* a transaction was decided since the last pass */
    struct watched *watched;   /* watch.c; NULL: nobody watches */
    struct prepares *prepares; /* prepares.c: gathered, for as long as timestamps are given out; NULL: none */
};

/* txn.c */
void node_on_txn(struct node *n, struct rpc_request *req);
void txn_propose(struct node_request *q, uint64_t ts); /* ts: 0 for what has none of its own */
void txn_answered(struct node_request *q, enum status s, bool unknown, struct slice answer);

/* prepares.c */
bool prepares_may_share(const struct node_request *q, const struct txn *part);
void prepares_gather(struct node_request *q, uint64_t ts); /* what its timestamp was asked for */
void prepares_propose(struct node *n, uint64_t group);
void prepares_propose_all(struct node *n);

/* steps.c */
void steps_gather(struct node_request *q, struct kv_state *s);
uint64_t steps_pass(struct node *n, uint64_t now_ns);
void steps_fail(struct kv_state *s, const char *why);
void steps_fail_all(struct node *n);

/* locks.c */
void *locks_state_new(void *ctx, const struct range_desc *desc);
void locks_state_free(void *ctx, void *state);
void locks_changed(struct kv_state *s); /* a Decide was applied */
/* The request will not wait: the router is told who holds the lock, to settle it when it has for too long. */
void locks_refuse(struct node_request *q, const struct txn_id *by, const char *why);
/* Waits until the transaction is decided, then resumes; or refuses, when that takes too long. */
void locks_park(struct node_request *q, const struct txn_id *by, void (*resume)(struct node_request *q));
/* False: the read waits for a lock and resumes later, or has been refused. ts: LSM_TS_MAX: the newest. */
bool locks_let_read(struct node_request *q, struct slice store_key, uint64_t ts,
                    void (*resume)(struct node_request *q));
bool locks_let_scan(struct node_request *q, struct slice start, struct slice end, uint64_t ts,
                    void (*resume)(struct node_request *q));
uint64_t locks_pass(struct node *n, uint64_t now_ns);
void locks_fail_all(struct node *n);

#endif
