/* Where the replicas of a new range go: a pure function of what is known of the nodes. */
#ifndef QUORATE_PLACEMENT_ASSIGN_H
#define QUORATE_PLACEMENT_ASSIGN_H

#include "base/slice.h"
#include "base/status.h"

struct placement_node {
    uint64_t id;
    struct slice host;          /* label: replicas of a range avoid sharing one */
    uint64_t replicas, leaders; /* held now, by assignment; counted up by placement_assign */
};

/* Chooses `count` different nodes: those with fewest replicas first, a host that is not used yet before one that is, ties by
 * id. chosen[0] is the one with fewest leaders among them: it is to campaign first. STATUS_UNAVAILABLE: fewer nodes than
 * asked for; nothing is changed. */
MUST_CHECK enum status placement_assign(struct placement_node *nodes, size_t node_count, size_t count,
                                        uint64_t *chosen);

#endif
