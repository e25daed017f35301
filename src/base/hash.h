/* 64-bit non-cryptographic hash of bytes, stable across machines and versions (bloom filters store its results).
 * Not for untrusted collision resistance. */
#ifndef QUORATE_BASE_HASH_H
#define QUORATE_BASE_HASH_H

#include "base/slice.h"

uint64_t hash_bytes(struct slice s, uint64_t seed);

static inline uint64_t hash_u64(uint64_t v) /* splitmix64's finaliser */
{
    v += 0x9E3779B97F4A7C15ull;
    v = (v ^ (v >> 30)) * 0xBF58476D1CE4E5B9ull;
    v = (v ^ (v >> 27)) * 0x94D049BB133111EBull;
    return v ^ (v >> 31);
}

#endif
