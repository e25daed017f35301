/* Node-pair liveness for a raft_cluster (each replica is a node of its own), and what leases promise, checked in each step. */
#ifndef QUORATE_TESTS_LIB_RAFT_NODES_H
#define QUORATE_TESTS_LIB_RAFT_NODES_H

#include "raft/lease.h"
#include "raft/liveness.h"

#include <stddef.h>

struct raft_cluster;
struct rc_node;

#define RC_BEATS_MAX 64u

struct rc_beat { /* a heartbeat or an answer under way */
    uint64_t from, to;
    struct liveness_message m;
};

void raft_nodes_born(struct raft_cluster *c, struct rc_node *n); /* a life begins */
void raft_nodes_send(struct raft_cluster *c, uint64_t from, uint64_t to);
void raft_nodes_deliver(struct raft_cluster *c, size_t at); /* an answer to it is under way then */
void raft_nodes_beat(struct raft_cluster *c);               /* everybody to everybody, answered at once */
void raft_nodes_tick(struct raft_cluster *c, uint64_t id);
/* Time has passed on a healthy network: ticks, and heartbeats where they are due. */
void raft_nodes_run(struct raft_cluster *c);
uint64_t raft_nodes_lease_ms(const struct raft_cluster *c, const struct rc_node *n); /* what is left of it */
/* One lease at a time; who holds it knows all that was ever committed. */
void raft_nodes_check(const struct raft_cluster *c);

#endif
