/* xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64. Not for secrets: those come from env_random. */
#ifndef QUORATE_BASE_PRNG_H
#define QUORATE_BASE_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t s[4];
};
void prng_init(struct prng *p, uint64_t seed);
uint64_t prng_next(struct prng *p);
uint64_t prng_below(struct prng *p, uint64_t bound);                /* 0 <= x < bound; bound > 0 */
uint64_t prng_between(struct prng *p, uint64_t low, uint64_t high); /* low <= x <= high */
bool prng_chance(struct prng *p, uint32_t numerator, uint32_t denominator);

#endif
