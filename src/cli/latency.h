/* A histogram of durations: 32 steps per power of two, so a quantile is at most 1/32 too high. Pure. */
#ifndef QUORATE_CLI_LATENCY_H
#define QUORATE_CLI_LATENCY_H

#include <stdint.h>

#define LATENCY_BUCKETS 1920u /* 59 powers of two in 32 steps, behind the first 32 values */

struct latency {
    uint64_t counts[LATENCY_BUCKETS];
    uint64_t count, max_ns;
};
void latency_add(struct latency *l, uint64_t ns);
void latency_merge(struct latency *into, const struct latency *from);
/* The least duration that `per_mille` thousandths do not exceed, rounded up to its step; 0 when nothing was added. */
uint64_t latency_quantile_ns(const struct latency *l, unsigned per_mille);

#endif
