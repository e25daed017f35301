#include "bench/bench.h"

#include "base/hash.h"

#include <math.h>

#define ZIPF_THETA 0.99 /* as YCSB */

/* Gray et al., "Quickly Generating Billion-Record Synthetic Databases" (1994). */
static void zipf_init(struct bench_keys *k)
{
    k->theta = ZIPF_THETA;
    k->zeta = 0;
    for (uint64_t i = 1; i <= k->count; i++) k->zeta += 1 / pow((double)i, k->theta);
    k->alpha = 1 / (1 - k->theta);
    double two = 1 + pow(0.5, k->theta);
    k->eta = (1 - pow(2.0 / (double)k->count, 1 - k->theta)) / (1 - two / k->zeta);
}

bool bench_keys_init(struct bench_keys *k, const char *spread, uint64_t count)
{
    static const char *const words[] = {"uniform", "zipfian", "sequential", "latest"};
    *k = (struct bench_keys){.count = count};
    for (unsigned i = 0; i < 4; i++) {
        if (strcmp(spread, words[i]) != 0) continue;
        k->spread = (enum bench_spread)i;
        k->newest = count;
        if (k->spread == SPREAD_ZIPFIAN || k->spread == SPREAD_LATEST) zipf_init(k);
        return true;
    }
    return false;
}

static uint64_t zipf_next(const struct bench_keys *k, struct prng *p)
{
    double u = (double)(prng_next(p) >> 11) / 9007199254740992.0, uz = u * k->zeta;
    uint64_t rank = 0;
    if (uz >= 1)
        rank = uz < 1 + pow(0.5, k->theta) ? 1 : (uint64_t)((double)k->count * pow(k->eta * u - k->eta + 1, k->alpha));
    return rank < k->count ? rank : k->count - 1;
}

uint64_t bench_keys_next(struct bench_keys *k, struct prng *p)
{
    switch (k->spread) {
    case SPREAD_UNIFORM: return prng_below(p, k->count);
    case SPREAD_ZIPFIAN: return hash_u64(zipf_next(k, p)) % k->count; /* the hot keys are not neighbours */
    case SPREAD_SEQUENTIAL: return k->next++ % k->count;
    case SPREAD_LATEST: return k->newest - 1 - zipf_next(k, p);
    }
    return 0;
}

void bench_keys_insert(struct bench_keys *k)
{
    k->newest++;
}
