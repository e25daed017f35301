/* Questions about a decoded transaction, and what the other files share. */
#include "txn/txn_int.h"

#include "base/assert.h"

bool txn_id_is_none(const struct txn_id *id)
{
    static const struct txn_id none;
    return memcmp(id->bytes, none.bytes, TXN_ID_BYTES) == 0;
}

struct slice txn_anchor(const struct txn *t)
{
    if (t->op_count > 0) return t->ops[0].key;
    if (t->else_count > 0) return t->else_ops[0].key;
    if (t->compare_count > 0) return t->compares[0].key;
    return SLICE_EMPTY;
}

bool txn_in_stretch(const struct txn_compare *c, struct slice key)
{
    if (c->target != TXN_TARGET_SPAN || slice_cmp(key, c->key) < 0) return false;
    return c->value.size == 0 || slice_cmp(key, c->value) < 0;
}

bool txn_stretches_end_by(const struct txn *t, struct slice range_end)
{
    for (size_t i = 0; i < t->compare_count && range_end.size > 0; i++) {
        const struct txn_compare *c = &t->compares[i];
        if (c->target != TXN_TARGET_SPAN) continue;
        if (c->value.size == 0 || slice_cmp(c->value, range_end) > 0) return false;
    }
    return true;
}

struct key_span {
    struct slice lowest, highest;
};

static void span_add(struct key_span *span, struct slice key)
{
    if (slice_cmp(key, span->lowest) < 0) span->lowest = key;
    if (slice_cmp(key, span->highest) > 0) span->highest = key;
}

void txn_key_span(const struct txn *t, struct slice *lowest, struct slice *highest)
{
    struct slice anchor = txn_anchor(t);
    struct key_span span = {.lowest = anchor, .highest = anchor};
    for (size_t i = 0; i < t->compare_count; i++) span_add(&span, t->compares[i].key);
    for (size_t i = 0; i < t->op_count; i++) span_add(&span, t->ops[i].key);
    for (size_t i = 0; i < t->else_count; i++) span_add(&span, t->else_ops[i].key);
    *lowest = span.lowest;
    *highest = span.highest;
}

/* Merges the runs [from, middle) and [middle, to) of `in` into `out`. */
static void merge_runs(const struct txn_op *ops, const uint32_t *in, uint32_t *out, size_t from, size_t middle,
                       size_t to)
{
    size_t a = from, b = middle;
    for (size_t i = from; i < to; i++) {
        bool take_a = a < middle && (b == to || slice_cmp(ops[in[a]].key, ops[in[b]].key) <= 0);
        out[i] = take_a ? in[a++] : in[b++];
    }
}

/* Bottom-up merge sort: stable, no worst case that a sender could provoke, no allocation but the arena's. */
uint32_t *txn_order_writes(const struct txn_op *ops, size_t op_count, struct arena *arena, size_t *count)
{
    uint32_t *order = arena_alloc(arena, op_count * sizeof(*order));
    size_t n = 0;
    for (size_t i = 0; i < op_count; i++) {
        if (txn_op_writes(ops[i].kind)) order[n++] = (uint32_t)i;
    }
    *count = n;
    if (n < 2) return order;
    uint32_t *spare = arena_alloc(arena, n * sizeof(*spare));
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t from = 0; from < n; from += 2 * width) {
            size_t middle = n - from > width ? from + width : n;
            size_t to = n - from > 2 * width ? from + 2 * width : n;
            merge_runs(ops, order, spare, from, middle, to);
        }
        uint32_t *swap = order;
        order = spare;
        spare = swap;
    }
    return order;
}
