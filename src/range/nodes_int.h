/* What nodes.c keeps in a host, and does for the rest of the folder. */
#ifndef QUORATE_RANGE_NODES_INT_H
#define QUORATE_RANGE_NODES_INT_H

#include "raft/lease.h"
#include "raft/liveness.h"
#include "range/host.h"

struct host_nodes {
    struct liveness_options options;
    struct raft_support support; /* what all groups look at */
    uint64_t silent_until_ms;    /* replicas of an earlier life vote from then on */
    uint64_t pass_due_ns;        /* what the last pass asked for */
    bool held;                   /* host_hold_heartbeats */
};

void nodes_open(struct host *h);
uint64_t nodes_pass(struct host *h, uint64_t now_ns);
bool replica_has_lease(const struct replica *r); /* reads the clock */

#endif
