/* What a group takes from node-pair liveness, and the lease that it makes of it (docs/liveness.md; lease.c). */
#ifndef QUORATE_RAFT_LEASE_H
#define QUORATE_RAFT_LEASE_H

#include "raft/raft.h"

/* Node-pair liveness (raft/liveness.h) as a group sees it, by replica id. Both are looks that change nothing. */
struct raft_support {
    uint64_t life;    /* of our own node */
    uint64_t long_ms; /* held support that lapses was last renewed so long ago, at most */
    /* Grant under which we support that replica's node, in that life of it (0: whichever it is); 0: we do not. */
    uint64_t (*given)(const void *ctx, uint64_t id, uint64_t life);
    /* Grant under which that node supports us, 0: it does not; until when a lease may count on it, on our clock. */
    uint64_t (*held)(const void *ctx, uint64_t id, uint64_t *lease_until_ns);
};

/* Until when, on the host's clock, no other leader can exist: raft_commit, read before this clock was, is then a read index.
 * 0: no lease (not ready, leadership being handed over, no quorum backs it). */
uint64_t raft_lease_until_ns(const struct raft *r);
/* m is addressed to a replica that was destroyed, for ever. If it asks whether that one still leads: the answer. Else false. */
bool raft_answer_for_destroyed(const struct raft_message *m, struct raft_message *answer);

#endif
