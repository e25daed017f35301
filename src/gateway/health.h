/* What `quorate status`, /v1/status and /readyz say of a cluster, from the shard map and the metadata status. Pure. */
#ifndef QUORATE_GATEWAY_HEALTH_H
#define QUORATE_GATEWAY_HEALTH_H

#include "wire/messages.h"

#define HEALTH_PROBLEMS_MAX 12u

struct health {
    unsigned members, members_healthy;
    unsigned nodes, nodes_alive;
    unsigned ranges, ranges_led; /* led: a leader is known and its node is alive */
    unsigned ranges_without_quorum;
    /* How many more processes of that kind may fail before something stops; 0 when the next failure stops it. */
    unsigned meta_tolerates, data_tolerates;
    bool ready;                                  /* everything can be written and read now */
    struct errbuf problems[HEALTH_PROBLEMS_MAX]; /* cause and cure, worst first */
    unsigned problem_count;
};
void health_assess(const struct meta_status_reply *status, const struct meta_map_reply *map, struct health *out);

/* "up", "DOWN", and what else is to be said of it: "up, drained, disk slow". */
void node_state_text(const struct node_info *n, struct buf *out);
const struct node_info *map_node(const struct meta_map_reply *map, uint64_t id); /* NULL: unknown */
struct keyspace_totals {
    uint64_t ranges, rows, bytes; /* rows and bytes as the leaders last reported them */
};
struct keyspace_totals map_keyspace_totals(const struct meta_map_reply *map, uint32_t id);
struct slice map_keyspace_name(const struct meta_map_reply *map, uint32_t id); /* empty: unknown */

#endif
