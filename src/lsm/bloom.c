#include "lsm/bloom.h"

#include "base/assert.h"
#include "base/hash.h"

#define BLOOM_SEED 0x51756f726174ull

uint64_t bloom_hash(struct slice key)
{
    return hash_bytes(key, BLOOM_SEED);
}

uint32_t bloom_lines(uint64_t keys, unsigned bits_per_key)
{
    uint64_t lines = (keys * bits_per_key + BLOOM_LINE * 8 - 1) / (BLOOM_LINE * 8);
    ASSERT(lines < UINT32_MAX);
    return lines > 0 ? (uint32_t)lines : 1;
}

void bloom_add(uint8_t *lines, uint32_t line_count, uint64_t hash)
{
    size_t line = (size_t)(bloom_line(lines, line_count, hash) - lines);
    uint64_t bits = (hash & 0xffffffffu) * 0x9E3779B97F4A7C15ull;
    for (unsigned i = 0; i < BLOOM_PROBES; i++, bits <<= 9) {
        unsigned bit = (unsigned)(bits >> 55);
        lines[line + bit / 8] = (uint8_t)(lines[line + bit / 8] | 1u << (bit % 8));
    }
}
