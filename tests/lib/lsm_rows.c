#include "lib/lsm_rows.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* Keys that share long parts, begin other keys, hold zero and high bytes, and differ at every place. */
static struct slice make_key(struct lsm_rows *r, unsigned n)
{
    char text[64];
    size_t size = 0;
    switch (n % 4) {
    case 0: size = (size_t)snprintf(text, sizeof(text), "shared/by/many/keys/%04u", n); break;
    case 1: size = (size_t)snprintf(text, sizeof(text), "shared/by/many/%u", n); break;
    case 2: size = (size_t)snprintf(text, sizeof(text), "%c%c", (char)(n * 37), (char)n); break;
    default:
        size = 1 + n % 23;
        memset(text, n % 8 == 3 ? 0 : 'z', sizeof(text));
        break;
    }
    return slice_make(arena_dup(&r->arena, text, size), size);
}

static int cmp_rows(const void *pa, const void *pb)
{
    const struct lsm_write *a = pa, *b = pb;
    return row_cmp(a->key, a->ts, b->key, b->ts);
}

struct lsm_rows *lsm_rows_new(uint64_t seed, unsigned count, unsigned keys)
{
    struct lsm_rows *r = mem_zalloc(sizeof(*r));
    prng_init(&r->prng, seed);
    arena_init(&r->arena, 65536);
    r->keys = keys;
    r->rows = mem_zalloc(count * sizeof(*r->rows));
    uint64_t spread = prng_chance(&r->prng, 1, 2) ? 1000 : UINT64_MAX / 2;
    for (unsigned i = 0; i < count; i++) {
        struct lsm_write *w = &r->rows[i];
        w->key = make_key(r, (unsigned)prng_below(&r->prng, keys));
        w->ts = prng_below(&r->prng, spread);
        w->kind = prng_chance(&r->prng, 1, 4) ? LSM_DELETE : LSM_PUT;
        size_t size = w->kind == LSM_PUT ? (size_t)prng_below(&r->prng, 50) : 0;
        uint8_t *value = arena_alloc(&r->arena, size);
        for (size_t k = 0; k < size; k++) value[k] = (uint8_t)(i + k / 7);
        w->value = slice_make(value, size);
    }
    qsort(r->rows, count, sizeof(*r->rows), cmp_rows);
    for (unsigned i = 0; i < count; i++) {
        if (r->count == 0 || cmp_rows(&r->rows[r->count - 1], &r->rows[i]) != 0) r->rows[r->count++] = r->rows[i];
    }
    return r;
}

void lsm_rows_free(struct lsm_rows *r)
{
    arena_free(&r->arena);
    mem_free(r->rows);
    mem_free(r);
}

size_t lsm_rows_lower(const struct lsm_rows *r, struct slice key, uint64_t ts)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (row_cmp(r->rows[middle].key, r->rows[middle].ts, key, ts) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct slice lsm_rows_random_key(struct lsm_rows *r, uint64_t *ts)
{
    const struct lsm_write *w = &r->rows[prng_below(&r->prng, r->count)];
    *ts = w->ts + prng_below(&r->prng, 3) - 1;
    if (prng_chance(&r->prng, 1, 5)) *ts = LSM_TS_MAX;
    switch (prng_below(&r->prng, 4)) {
    case 0: return make_key(r, (unsigned)prng_below(&r->prng, 2 * r->keys));
    case 1: return slice_make(w->key.data, 1 + (size_t)prng_below(&r->prng, w->key.size));
    default: return w->key;
    }
}

void lsm_rows_random_bounds(struct lsm_rows *r, struct slice *lower, struct slice *upper)
{
    uint64_t ts;
    struct slice a = prng_chance(&r->prng, 1, 4) ? SLICE_EMPTY : lsm_rows_random_key(r, &ts);
    struct slice b = prng_chance(&r->prng, 1, 4) ? slice_str("\xff\xff\xff") : lsm_rows_random_key(r, &ts);
    if (slice_cmp(a, b) == 0) b = slice_str("\xff\xff\xff");
    *lower = slice_cmp(a, b) < 0 ? a : b;
    *upper = slice_cmp(a, b) < 0 ? b : a;
}

bool lsm_rows_equal(const struct lsm_write *a, const struct lsm_write *b)
{
    return a->kind == b->kind && a->ts == b->ts && slice_eq(a->key, b->key) && slice_eq(a->value, b->value);
}
