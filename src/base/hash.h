/* 64-bit non-cryptographic hash of bytes, stable across machines and versions (bloom filters store its results).
 * Not for untrusted collision resistance. */
#ifndef QUORATE_BASE_HASH_H
#define QUORATE_BASE_HASH_H

#include "base/slice.h"

uint64_t hash_bytes(struct slice s, uint64_t seed);
uint64_t hash_u64(uint64_t v); /* splitmix64's finaliser */

#endif
