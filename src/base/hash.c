#include "base/hash.h"

#include "base/cursor.h"

/* A 64 x 64 -> 128 bit multiplication whose halves are folded, as in Wang Yi's wyhash (public domain): one step mixes 16
 * bytes. The result is written to disk (bloom filters): changing anything here is a change of format. */

#define PRIME_A 0x9E3779B97F4A7C15ull
#define PRIME_B 0xD6E8FEB86659FD93ull
#define PRIME_C 0xA0761D6478BD642Full

__extension__ typedef unsigned __int128 u128;

static uint64_t fold(uint64_t a, uint64_t b)
{
    u128 product = (u128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Unlike le_u64, in this file, so that it is inlined; compilers make one load of it. */
static inline uint64_t load_u64(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
           (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

/* The last 0 to 16 bytes as two words. Words overlap for 8 and more; the length, mixed in by the caller, tells them apart. */
static void load_tail(const uint8_t *p, size_t size, uint64_t *a, uint64_t *b)
{
    *a = *b = 0;
    if (size >= 8) {
        *a = load_u64(p);
        *b = load_u64(p + size - 8);
    } else if (size >= 4) {
        *a = le_u32(p);
        *b = le_u32(p + size - 4);
    } else if (size > 0) {
        *a = (uint64_t)p[0] << 16 | (uint64_t)p[size / 2] << 8 | p[size - 1];
    }
}

uint64_t hash_bytes(struct slice s, uint64_t seed)
{
    const uint8_t *p = s.data;
    size_t left = s.size;
    uint64_t h = seed ^ fold(seed ^ PRIME_A, PRIME_B);
    if (left > 48) { /* three lanes, so that the multiplications overlap in time */
        uint64_t h1 = h, h2 = h;
        for (; left > 48; p += 48, left -= 48) {
            h = fold(load_u64(p) ^ PRIME_A, load_u64(p + 8) ^ h);
            h1 = fold(load_u64(p + 16) ^ PRIME_B, load_u64(p + 24) ^ h1);
            h2 = fold(load_u64(p + 32) ^ PRIME_C, load_u64(p + 40) ^ h2);
        }
        h ^= h1 ^ h2;
    }
    for (; left > 16; p += 16, left -= 16) h = fold(load_u64(p) ^ PRIME_A, load_u64(p + 8) ^ h);
    uint64_t a, b;
    load_tail(p, left, &a, &b);
    return fold(PRIME_C ^ (uint64_t)s.size, fold(a ^ PRIME_B, b ^ h));
}
