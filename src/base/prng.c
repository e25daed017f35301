#include "base/prng.h"

#include "base/assert.h"

/* splitmix64 (Steele, Lea, Flood 2014): spreads one word of seed over the state, which must not be all zero. */
static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

void prng_init(struct prng *p, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) p->s[i] = splitmix64(&seed);
}

uint64_t prng_next(struct prng *p)
{
    uint64_t *s = p->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Lemire 2019, "Fast random integer generation in an interval": the high half of a product is the answer, unless the low
 * half falls among the few values that would make some answers likelier. */
uint64_t prng_below(struct prng *p, uint64_t bound)
{
    __extension__ typedef unsigned __int128 u128;
    ASSERT(bound > 0);
    uint64_t unfair = (0 - bound) % bound;
    for (;;) {
        u128 product = (u128)prng_next(p) * bound;
        if ((uint64_t)product >= unfair) return (uint64_t)(product >> 64);
    }
}

uint64_t prng_between(struct prng *p, uint64_t low, uint64_t high)
{
    ASSERT(low <= high);
    uint64_t width = high - low;
    return width == UINT64_MAX ? prng_next(p) : low + prng_below(p, width + 1);
}

bool prng_chance(struct prng *p, uint32_t numerator, uint32_t denominator)
{
    return prng_below(p, denominator) < numerator;
}
