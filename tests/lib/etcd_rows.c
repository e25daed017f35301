#include "lib/etcd_rows.h"

#include "base/assert.h"
#include "base/mem.h"

static struct slice owned(struct slice s)
{
    uint8_t *at = mem_alloc(s.size + 1);
    memcpy(at, s.data, s.size);
    return slice_make(at, s.size);
}

size_t etcd_rows_at(const struct etcd_rows *s, struct slice key)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(s->list[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct etcd_row *etcd_rows_find(const struct etcd_rows *s, struct slice key)
{
    size_t at = etcd_rows_at(s, key);
    return at < s->count && slice_eq(s->list[at].key, key) ? &s->list[at] : NULL;
}

void etcd_rows_put(struct etcd_rows *s, struct slice key, struct slice value, uint64_t version)
{
    struct etcd_row *r = etcd_rows_find(s, key);
    if (r == NULL) {
        size_t at = etcd_rows_at(s, key);
        if (s->count == s->capacity) {
            s->capacity = s->capacity == 0 ? 64 : s->capacity * 2;
            s->list = mem_realloc(s->list, s->capacity * sizeof(*s->list));
        }
        memmove(&s->list[at + 1], &s->list[at], (s->count - at) * sizeof(*s->list));
        s->count++;
        r = &s->list[at];
        *r = (struct etcd_row){.key = owned(key), .value = SLICE_EMPTY};
    } else {
        mem_free((void *)(uintptr_t)r->value.data);
    }
    r->value = owned(value);
    r->version = version;
}

void etcd_rows_delete(struct etcd_rows *s, struct slice key)
{
    struct etcd_row *r = etcd_rows_find(s, key);
    if (r == NULL) return;
    size_t at = (size_t)(r - s->list);
    mem_free((void *)(uintptr_t)r->key.data);
    mem_free((void *)(uintptr_t)r->value.data);
    memmove(&s->list[at], &s->list[at + 1], (s->count - at - 1) * sizeof(*s->list));
    s->count--;
}

static bool holds(const struct etcd_rows *s, const struct txn_compare *c)
{
    const struct etcd_row *r = etcd_rows_find(s, c->key);
    if (c->target == TXN_TARGET_VERSION) {
        ASSERT(c->relation == TXN_EQUAL);
        return (r != NULL ? r->version : 0) == c->version;
    }
    if (c->target == TXN_TARGET_EXISTS) return (r != NULL) == (c->version == 1);
    if (c->target == TXN_TARGET_VALUE) return r != NULL && slice_eq(r->value, c->value);
    if (c->target == TXN_TARGET_LEASE)
        return ((r != NULL ? revised_read(r->value, r->version).lease : 0) == c->version) == (c->relation == TXN_EQUAL);
    ASSERT(c->target == TXN_TARGET_SPAN);
    for (size_t i = etcd_rows_at(s, c->key); i < s->count && slice_cmp(s->list[i].key, c->value) < 0; i++) {
        if (s->list[i].version > c->version) return false;
    }
    return true;
}

static void apply_op(struct etcd_rows *s, struct arena *a, uint64_t ts, const struct txn_op *op,
                     struct txn_op_result *out)
{
    const struct etcd_row *r = etcd_rows_find(s, op->key);
    *out = (struct txn_op_result){.found = r != NULL, .value = SLICE_EMPTY};
    if (r != NULL) {
        out->version = r->version;
        out->value = arena_dup_slice(a, r->value);
    }
    if (op->kind == TXN_PUT) etcd_rows_put(s, op->key, op->value, ts);
    if (op->kind == TXN_DELETE) etcd_rows_delete(s, op->key);
    if (op->kind != TXN_REVISE) return;
    struct revised n = {.created = 0, .count = 1, .lease = op->lease, .value = op->value};
    if (r != NULL) {
        struct revised before = revised_read(out->value, out->version);
        n.created = before.created;
        n.count = before.count + 1;
    }
    etcd_rows_put(s, op->key, revised_make(a, &n), ts);
}

void etcd_rows_apply(struct etcd_rows *s, const struct txn *t, struct arena *a, struct txn_result *r)
{
    for (size_t i = 0; i < t->compare_count; i++) {
        if (holds(s, &t->compares[i])) continue;
        r->status = STATUS_CONDITION_FAILED;
        return;
    }
    for (size_t i = 0; i < t->op_count; i++) apply_op(s, a, r->ts, &t->ops[i], &r->ops[i]);
}

void etcd_rows_free(struct etcd_rows *s)
{
    while (s->count > 0) etcd_rows_delete(s, s->list[s->count - 1].key);
    mem_free(s->list);
}
