/* Ranges: what is asked, and what is chosen of the rows of one timestamp. */
#include <stdlib.h>

#include "etcd/kv.h"
#include "gateway/json_out.h"

enum sort_order { SORT_NONE, SORT_ASCEND, SORT_DESCEND };
enum sort_target { SORT_KEY, SORT_VERSION, SORT_CREATE, SORT_MOD, SORT_VALUE };

bool take_range(struct ecall *c, const struct json_node *body, struct range_asked *out)
{
    static const char *const orders[] = {"NONE", "ASCEND", "DESCEND"};
    static const char *const targets[] = {"KEY", "VERSION", "CREATE", "MOD", "VALUE"};
    *out = (struct range_asked){.limit = 0};
    bool good =
        take_bytes(c, body, "key", &out->key) && take_bytes(c, body, "range_end", &out->range_end) &&
        take_i64(c, body, "limit", &out->limit) && take_i64(c, body, "revision", &out->revision) &&
        take_enum(c, body, "sort_order", orders, 3, &out->order) &&
        take_enum(c, body, "sort_target", targets, 5, &out->target) &&
        take_bool(c, body, "serializable", &out->serializable) && take_bool(c, body, "keys_only", &out->keys_only) &&
        take_bool(c, body, "count_only", &out->count_only) && take_i64(c, body, "min_mod_revision", &out->min_mod) &&
        take_i64(c, body, "max_mod_revision", &out->max_mod) &&
        take_i64(c, body, "min_create_revision", &out->min_created) &&
        take_i64(c, body, "max_create_revision", &out->max_created);
    if (!good) return false;
    if (out->key.size == 0) {
        ecall_refuse(c, &ERR_EMPTY_KEY);
        return false;
    }
    if (out->order == SORT_NONE && out->target != SORT_KEY) out->order = SORT_ASCEND;
    return true;
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_version(const void *a, const void *b)
{
    return compare_u64(((const struct ekv *)a)->count, ((const struct ekv *)b)->count);
}
static int by_created(const void *a, const void *b)
{
    return compare_u64(((const struct ekv *)a)->created, ((const struct ekv *)b)->created);
}
static int by_mod(const void *a, const void *b)
{
    return compare_u64(((const struct ekv *)a)->mod, ((const struct ekv *)b)->mod);
}
static int by_value(const void *a, const void *b)
{
    return slice_cmp(((const struct ekv *)a)->value, ((const struct ekv *)b)->value);
}

static bool passes(const struct range_asked *q, const struct ekv *kv)
{
    if (q->min_mod != 0 && kv->mod < (uint64_t)q->min_mod) return false;
    if (q->max_mod != 0 && kv->mod > (uint64_t)q->max_mod) return false;
    if (q->min_created != 0 && kv->created < (uint64_t)q->min_created) return false;
    return q->max_created == 0 || kv->created <= (uint64_t)q->max_created;
}

bool range_keeps(const struct range_asked *q, struct ekv *kv, size_t kept)
{
    if (q->keys_only && q->target != SORT_VALUE) kv->value = SLICE_EMPTY;
    bool as_they_come = q->target == SORT_KEY && q->order != SORT_DESCEND;
    if (q->count_only || !passes(q, kv)) return false;
    return !as_they_come || q->limit <= 0 || kept <= (size_t)q->limit; /* one more than are wanted: are there more? */
}

/* rows come in the order of keys. */
size_t range_select(const struct range_asked *q, struct ekv *rows, size_t count, bool *more)
{
    static int (*const orders[])(const void *, const void *) = {NULL, by_version, by_created, by_mod, by_value};
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (passes(q, &rows[i])) rows[n++] = rows[i];
    }
    if (q->target != SORT_KEY && n > 1) qsort(rows, n, sizeof(*rows), orders[q->target]);
    for (size_t i = 0; q->order == SORT_DESCEND && i < n / 2; i++) {
        struct ekv swap = rows[i];
        rows[i] = rows[n - 1 - i];
        rows[n - 1 - i] = swap;
    }
    *more = q->limit > 0 && n > (size_t)q->limit;
    return *more ? (size_t)q->limit : n;
}

void emit_range(struct buf *b, const struct range_asked *q, const struct ekv *rows, size_t row_count, size_t all,
                bool more)
{
    if (!q->count_only && row_count > 0) {
        json_key(b, "kvs");
        json_open(b, '[');
        for (size_t i = 0; i < row_count; i++) emit_ekv(b, &rows[i], q->keys_only);
        json_close(b, ']');
    }
    if (!q->count_only) emit_true(b, "more", more);
    emit_u64(b, "count", all);
}
