/* A bloom filter of keys in cache lines: all bits of a key lie in one line of 64 bytes, so a probe costs one miss.
 * (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007.) About 1 % false answers at 10 bits a
 * key. Levels above the last hold few keys, and a key that is not there is asked for in all of them: their filters get more
 * bits, so that their false answers add up to little. (Dayan, Athanassoulis, Idreos: Monkey, 2017.) Layout: docs/formats/table.md. */
#ifndef QUORATE_LSM_BLOOM_H
#define QUORATE_LSM_BLOOM_H

#include "base/slice.h"

#define BLOOM_LINE 64u
#define BLOOM_PROBES 6u
#define BLOOM_BITS_LAST 10u     /* a key, in the last level */
#define BLOOM_BITS_PER_LEVEL 3u /* more in each level above: log2(ratio of the levels) / ln 2, less a little */
#define BLOOM_BITS_MAX 16u

uint64_t bloom_hash(struct slice key);

static inline unsigned bloom_bits(uint32_t levels_below)
{
    unsigned bits = BLOOM_BITS_LAST + BLOOM_BITS_PER_LEVEL * levels_below;
    return bits < BLOOM_BITS_MAX ? bits : BLOOM_BITS_MAX;
}

/* Lines for so many keys; at least 1. */
uint32_t bloom_lines(uint64_t keys, unsigned bits_per_key);
void bloom_add(uint8_t *lines, uint32_t line_count, uint64_t hash);

static inline const uint8_t *bloom_line(const uint8_t *lines, uint32_t line_count, uint64_t hash)
{
    return lines + (size_t)(((hash >> 32) * line_count) >> 32) * BLOOM_LINE;
}

/* False: the key is not there. Each probe takes 9 bits of a word made from the hash's lower half. */
static inline bool bloom_may_hold(const uint8_t *lines, uint32_t line_count, uint64_t hash)
{
    const uint8_t *line = bloom_line(lines, line_count, hash);
    uint64_t bits = (hash & 0xffffffffu) * 0x9E3779B97F4A7C15ull;
    for (unsigned i = 0; i < BLOOM_PROBES; i++, bits <<= 9) {
        unsigned bit = (unsigned)(bits >> 55);
        if (((unsigned)line[bit / 8] >> (bit % 8) & 1u) == 0) return false;
    }
    return true;
}

#endif
