/* Private to node/: ranges that change (docs/ranges.md). */
#ifndef QUORATE_NODE_CHANGES_H
#define QUORATE_NODE_CHANGES_H

#include "node/node_int.h"

/* split.c */
void split_asked(struct node *n, struct rpc_request *req);
void split_ordered(struct node *n, const struct range_order *o); /* at a key of our choice */
uint64_t splits_pass(struct node *n, uint64_t now_ns);
void splits_free(struct node *n);

/* merge.c */
void merge_asked(struct node *n, struct rpc_request *req);
void merge_ordered(struct node *n, const struct range_order *o); /* with the range behind it, which is led or not */
void merge_notice(struct node *n, const struct replica *r);      /* it has changed, or begun to lead */
/* A range of this host that is frozen, or may be when its log is applied, can tell from left as it is that a merge was given up, and could
 * not when left has changed once more: left waits until it has thawed. Only where left does not know since when its end has stood. */
bool merge_awaited(const struct host *h, const struct replica *left);
uint64_t merges_pass(struct node *n, uint64_t now_ns);
void merges_free(struct node *n);

/* check.c */
void check_asked(struct node *n, struct rpc_request *req);

/* defer.c */
bool node_defer(struct node_request *q, const struct replica *r); /* true: it comes again by itself */
uint64_t deferred_pass(struct node *n, uint64_t now_ns);
void deferred_fail_all(struct node *n);

/* heartbeat.c */
void heartbeat_note_changed(struct node *n, const struct replica *r); /* the metadata service is told, soon */
void heartbeat_free(struct node *n);
void node_unsupported(struct node *n,
                      struct slice why); /* the cluster is at a version that this program does not support */
void node_given_up(struct node *n);      /* the metadata service says so: it ends, for good */

#endif
