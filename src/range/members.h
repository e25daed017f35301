/* Changes of a group's replicas, and the coming and going of this host's own: docs/moves.md. */
#ifndef QUORATE_RANGE_MEMBERS_H
#define QUORATE_RANGE_MEMBERS_H

#include "range/host.h"

/* What a leader is asked to change. 0: no node. */
struct replica_change {
    uint64_t conf_ver; /* the change is void when the descriptor has another */
    bool add;          /* a learner on `to`; else: the learner on `to` becomes a voter, the replica on `from` goes */
    uint64_t to, from;
};
/* STATUS_OK: proposed; that it took effect is seen by the descriptor. Otherwise nothing has changed, and err says why:
 * STATUS_EPOCH_MISMATCH: another conf_ver; STATUS_RETRY: the learner catches up (*percent of what it needs), or the voters to come
 * that can be reached are no majority; STATUS_BUSY: a change is under way; STATUS_INVALID: it makes no sense; STATUS_NOT_LEADER. */
MUST_CHECK enum status replica_change(struct replica *r, const struct replica_change *c, uint32_t *percent,
                                      struct errbuf *err);

/* An admin has given up nodes for ever, and with them a quorum of the range: this replica goes on alone, in an epoch (version and
 * conf_ver) above all that they may know. Harmless when it has been done. */
struct replica_alone {
    uint64_t epoch;
    const uint64_t *lost; /* node ids */
    size_t lost_count;
};
MUST_CHECK enum status replica_lead_alone(struct replica *r, const struct replica_alone *q, struct errbuf *err);
/* What the range is by the last word in this replica's log, committed or not: whose votes an election needs. Borrows from the replica. */
void replica_desc_ahead(const struct replica *r, struct range_desc *d);
uint64_t replica_node_ahead(const struct replica *r,
                            uint64_t replica_id); /* of one that only entries not applied name; 0: none */
bool range_quorum_lost(const struct range_desc *d, const uint64_t *lost, size_t lost_count);

/* It has been taken out, and its tombstone is not durable yet: a crash brings it back, as it was. For those who look from outside. */
bool host_replica_departs(const struct host *h, uint64_t group);
/* The replica of that id is of its range no more, by a descriptor of that conf_ver: if it is here, it goes. */
void host_replica_gone(struct host *h, uint64_t group, uint64_t replica_id, uint64_t conf_ver);
void host_on_gone(struct host *h, struct rpc_request *req); /* GONE frames of other hosts; takes over the request */
size_t host_leaving_count(const struct host *h);            /* replicas on their way out */

#endif
