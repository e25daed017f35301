#include "cli/latency.h"

#define STEP_BITS 5u
#define STEPS (1u << STEP_BITS)

static unsigned bucket_of(uint64_t ns)
{
    if (ns < STEPS) return (unsigned)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - STEP_BITS;
    return shift * STEPS + (unsigned)(ns >> shift);
}

/* The largest duration that falls into the bucket. */
static uint64_t bucket_top(unsigned bucket)
{
    if (bucket < 2 * STEPS) return bucket;
    unsigned shift = bucket / STEPS - 1;
    uint64_t step = bucket - shift * STEPS;
    return (step << shift) + ((1ull << shift) - 1);
}

void latency_add(struct latency *l, uint64_t ns)
{
    l->counts[bucket_of(ns)]++;
    l->count++;
    if (ns > l->max_ns) l->max_ns = ns;
}

void latency_merge(struct latency *into, const struct latency *from)
{
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) into->counts[i] += from->counts[i];
    into->count += from->count;
    if (from->max_ns > into->max_ns) into->max_ns = from->max_ns;
}

uint64_t latency_quantile_ns(const struct latency *l, unsigned per_mille)
{
    if (l->count == 0) return 0;
    uint64_t rank = l->count / 1000 * per_mille + (l->count % 1000 * per_mille + 999) / 1000, seen = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        seen += l->counts[i];
        if (seen >= rank && seen > 0) return bucket_top(i) < l->max_ns ? bucket_top(i) : l->max_ns;
    }
    return l->max_ns;
}
