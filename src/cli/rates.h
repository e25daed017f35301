/* What the counters of ranges, and those of a gateway's requests, say between two looks. Pure. */
#ifndef QUORATE_CLI_RATES_H
#define QUORATE_CLI_RATES_H

#include "base/arena.h"
#include "wire/messages.h"

struct range_count {
    uint64_t id, leader, writes, reads;
};
struct range_rate {
    size_t at;              /* of the map */
    uint64_t writes, reads; /* a second; 0 where the leader is another than before: its counters are, too */
};
/* As they are now, to be compared later. In the arena. */
struct range_count *range_counts(const struct meta_map_reply *map, struct arena *arena);
/* Of every range of the map, busiest first. */
struct range_rate *range_rates(const struct range_count *before, size_t before_count, const struct meta_map_reply *map,
                               uint64_t ms, struct arena *arena);

#define REQUEST_ENDPOINTS_MAX 64u
#define REQUEST_BUCKETS_MAX 16u
struct request_counts { /* of an endpoint of a gateway: its histogram */
    struct slice endpoint;
    uint64_t within[REQUEST_BUCKETS_MAX]; /* the first i buckets together */
    double bound_s[REQUEST_BUCKETS_MAX];
    size_t buckets; /* the last one has no bound */
};
struct request_table {
    struct request_counts endpoints[REQUEST_ENDPOINTS_MAX];
    size_t count;
};
/* Out of what GET /metrics answers; borrows it. */
void request_table_read(struct request_table *t, struct slice metrics);
struct request_rate {
    uint64_t per_second;
    double p50_ms, p99_ms; /* within a bucket as if spread evenly; beyond the last bound: that bound */
};
/* `before` may lack it: then it had no requests. */
struct request_rate request_rate_of(const struct request_counts *now, const struct request_table *before, uint64_t ms);

#endif
