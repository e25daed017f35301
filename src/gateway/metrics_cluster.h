/* What a gateway tells Prometheus of the whole cluster, from the answers of the metadata service and of each node. Pure. */
#ifndef QUORATE_GATEWAY_METRICS_CLUSTER_H
#define QUORATE_GATEWAY_METRICS_CLUSTER_H

#include "gateway/health.h"

#define METRICS_RANGES_MAX 2000u /* beyond it, single ranges are left out: who has so many asks for sums */

struct cluster_figures {
    const struct meta_map_reply *map;
    const struct meta_status_reply *status; /* NULL: no answer */
    const struct meta_ops_reply *ops;       /* NULL: no answer */
    const struct node_status_reply **nodes; /* beside map->nodes; NULL: no answer */
};
void metrics_cluster_write(const struct cluster_figures *f, struct buf *out);

#endif
