/* Private to node/: watches of ranges that are led here: watch.c. */
#ifndef QUORATE_NODE_WATCH_H
#define QUORATE_NODE_WATCH_H

#include "node/locks.h"
#include "txn/feed.h"

void node_on_watch(struct node *n, struct rpc_request *req);
void watch_release(struct node_request *q);
void watched_take(struct kv_state *s, const struct txn_writes *writes, uint64_t ts); /* an entry was applied */
void watched_free(struct kv_state *s); /* the replica's rows are being replaced: who waits is refused */
uint64_t watches_pass(struct node *n, uint64_t now_ns);
void watches_fail_all(struct node *n);

#endif
