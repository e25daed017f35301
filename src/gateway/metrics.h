/* Counters of the gateway and their Prometheus text. Pure. */
#ifndef QUORATE_GATEWAY_METRICS_H
#define QUORATE_GATEWAY_METRICS_H

#include "client/client.h"
#include "gateway/parse.h"
#include "ledger/ledger.h"

#define METRICS_BUCKETS 14u /* upper bounds from 0.25 ms to 10 s, then infinity */
#define METRICS_CODES 20u

struct metrics {
    uint64_t requests[ENDPOINT_COUNT][METRICS_CODES];
    uint64_t latency[ENDPOINT_COUNT][METRICS_BUCKETS + 1];
    uint64_t latency_sum_us[ENDPOINT_COUNT];
    uint64_t unknown_outcomes; /* answers that said so */
    uint64_t gone;             /* clients that left before their answer */
    uint64_t in_flight;
};
void metrics_count(struct metrics *m, enum endpoint e, int code, uint64_t took_ns);
/* ledger: NULL: there is none. */
void metrics_write(const struct metrics *m, const struct client_stats *client, const struct ledger_stats *ledger,
                   struct buf *out);

#endif
