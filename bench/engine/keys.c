#include "engine.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include <stdio.h>
#include <string.h>

#define VALUES_BYTES ((size_t)1 << 20)
#define PIECE 100u
static const char prefix[] = "account/balance/";

/* As db_bench does it: pieces of 100 bytes whose halves are equal, so that they compress to about a half. */
static uint8_t *values_new(void)
{
    struct prng p;
    prng_init(&p, 301);
    uint8_t *v = mem_alloc(VALUES_BYTES);
    for (size_t at = 0; at < VALUES_BYTES; at++) {
        bool repeat = at % PIECE >= PIECE / 2;
        v[at] = repeat ? v[at - PIECE / 2] : (uint8_t)(' ' + prng_below(&p, 95));
    }
    return v;
}

void key_space_init(struct key_space *k, uint64_t count, size_t key_size)
{
    *k = (struct key_space){.count = count, .key_size = key_size, .values = values_new(), .value_size = 100};
    k->half_bits = 1;
    while ((uint64_t)1 << (2 * k->half_bits) < count) k->half_bits++;
}

void key_space_free(struct key_space *k)
{
    mem_free((void *)(uintptr_t)k->values);
}

/* A Feistel network over the next power of four; what falls outside walks on. */
uint64_t key_shuffled(const struct key_space *k, uint64_t i, uint64_t seed)
{
    uint64_t mask = ((uint64_t)1 << k->half_bits) - 1;
    do {
        uint64_t left = i >> k->half_bits, right = i & mask;
        for (uint64_t round = 0; round < 3; round++) {
            uint64_t next = left ^ (hash_u64(right + (seed << 8) + (round << 40)) & mask);
            left = right;
            right = next;
        }
        i = left << k->half_bits | right;
    } while (i >= k->count);
    return i;
}

struct slice key_make(const struct key_space *k, uint64_t i, bool present, uint8_t out[KEY_MAX])
{
    uint64_t number = 2 * i + (present ? 0 : 1); /* what is absent lies between what is there */
    size_t digits = k->key_size;
    if (k->key_size == 24) {
        memcpy(out, prefix, 16);
        digits = 8;
    }
    for (size_t at = k->key_size; digits-- > 0; number /= 10) out[--at] = (uint8_t)('0' + number % 10);
    return slice_make(out, k->key_size);
}

struct slice key_value(const struct key_space *k, uint64_t i)
{
    return slice_make(k->values + i * PIECE % (VALUES_BYTES - k->value_size), k->value_size);
}
