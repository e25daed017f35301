/* Walks the fields of a message: fills them at random, or compares two. For test_wire_messages.c. */
#ifndef QUORATE_TESTS_UNIT_TEST_WIRE_VISIT_H
#define QUORATE_TESTS_UNIT_TEST_WIRE_VISIT_H

#include <check.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/prng.h"
#include "wire/messages.h"

enum mode { GENERATE, DUMP };
struct visit {
    enum mode mode;
    struct prng p;
    struct arena *arena;
    struct buf *text;
};

static inline void v_u64(struct visit *v, uint64_t *x)
{
    if (v->mode == GENERATE) *x = prng_next(&v->p) >> prng_below(&v->p, 64);
    if (v->mode == DUMP) buf_printf(v->text, "%llu,", (unsigned long long)*x);
}

static inline void v_u32(struct visit *v, uint32_t *x)
{
    uint64_t wide = *x;
    v_u64(v, &wide);
    *x = (uint32_t)wide;
}

static inline void v_bool(struct visit *v, bool *x)
{
    if (v->mode == GENERATE) *x = prng_chance(&v->p, 1, 2);
    if (v->mode == DUMP) buf_printf(v->text, "%s,", *x ? "yes" : "no");
}

static inline unsigned v_enum(struct visit *v, unsigned x, unsigned low, unsigned high)
{
    if (v->mode == GENERATE) x = (unsigned)prng_between(&v->p, low, high);
    if (v->mode == DUMP) buf_printf(v->text, "#%u,", x);
    return x;
}

static inline void v_bin(struct visit *v, struct slice *s, size_t size_min, size_t size_max)
{
    if (v->mode == GENERATE) {
        size_t most = prng_chance(&v->p, 1, 40) ? size_max : size_min + 12;
        if (most > size_max) most = size_max;
        size_t size = (size_t)prng_between(&v->p, size_min, most);
        if (most == size_max && size_max <= LIMIT_KEY_BYTES) size = size_max; /* the largest that is allowed */
        uint8_t *bytes = arena_alloc(v->arena, size);
        for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)prng_next(&v->p);
        *s = slice_make(bytes, size);
    } else {
        buf_printf(v->text, "%zu:", s->size);
        for (size_t i = 0; i < s->size; i++) buf_printf(v->text, "%02x", s->data[i]);
    }
}

static inline void v_id(struct visit *v, uint8_t bytes[16])
{
    for (size_t i = 0; i < 16; i++) {
        uint64_t x = bytes[i];
        v_u64(v, &x);
        bytes[i] = (uint8_t)x;
    }
}

static inline size_t v_count(struct visit *v, size_t count, size_t max)
{
    if (v->mode == GENERATE) count = (size_t)prng_below(&v->p, max + 1);
    if (v->mode == DUMP) buf_printf(v->text, "[%zu]", count);
    return count;
}

/* The array behind a count: made when generating. */
#define V_LIST(v, list, count, max)                                                                                    \
    do {                                                                                                               \
        (count) = v_count(v, count, max);                                                                              \
        if ((v)->mode == GENERATE) (list) = arena_zalloc((v)->arena, (count) * sizeof(*(list)));                       \
    } while (0)

/* --- visitors --- */

#define V_ALL(v, ...)                                                                                                  \
    do {                                                                                                               \
        uint64_t *const every[] = {__VA_ARGS__};                                                                       \
        for (size_t at = 0; at < sizeof(every) / sizeof(every[0]); at++) v_u64(v, every[at]);                          \
    } while (0)

#endif
