#include "lib/txn_model.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#define MODEL_KEYSPACE 7u

/* --- rows --- */

void rows_init(struct rows *r)
{
    r->count = 0;
    r->gets = 0;
    r->miss_at = 0;
    r->miss_status = STATUS_MISS;
}

static void row_free(struct stored_row *row)
{
    mem_free((void *)(uintptr_t)row->key.data);
    mem_free((void *)(uintptr_t)row->value.data);
}

void rows_free(struct rows *r)
{
    for (size_t i = 0; i < r->count; i++) row_free(&r->items[i]);
    rows_init(r);
}

static size_t rows_find(const struct rows *r, struct slice key)
{
    size_t i = 0;
    while (i < r->count && !slice_eq(r->items[i].key, key)) i++;
    return i;
}

static enum status rows_get(void *ctx, struct slice store_key, struct txn_stored *out)
{
    struct rows *r = ctx;
    r->gets++;
    if (r->gets == r->miss_at) return r->miss_status;
    size_t i = rows_find(r, store_key);
    if (i == r->count) return STATUS_NOT_FOUND;
    out->version = r->items[i].version;
    out->value = r->items[i].value;
    return STATUS_OK;
}

/* Of one row: whether it is a data row of the stretch that is there at ts. */
static bool in_stretch(const struct stored_row *row, struct slice from, struct slice to, uint64_t ts)
{
    uint32_t keyspace;
    enum row_type type;
    struct buf user;
    buf_init(&user, 4 * LIMIT_KEY_BYTES);
    bool data = key_decode(row->key, &keyspace, &user, &type) == STATUS_OK && type == ROW_DATA;
    buf_free(&user);
    return data && slice_cmp(row->key, from) >= 0 && slice_cmp(row->key, to) < 0 &&
           row_stored_expires(row->key, row->version, row->value) > ts;
}

static enum status rows_newest(void *ctx, struct slice from, struct slice to, uint64_t ts, uint64_t *version)
{
    struct rows *r = ctx;
    r->gets++;
    if (r->gets == r->miss_at) return r->miss_status;
    for (size_t i = 0; i < r->count; i++) {
        if (r->items[i].version > *version && in_stretch(&r->items[i], from, to, ts)) *version = r->items[i].version;
    }
    return STATUS_OK;
}

struct txn_view rows_view(struct rows *r)
{
    return (struct txn_view){.get = rows_get, .newest = rows_newest, .ctx = r};
}

void rows_set(struct rows *r, struct slice store_key, struct slice value, uint64_t version)
{
    size_t i = rows_find(r, store_key);
    if (i == r->count) {
        ASSERT(r->count < ROWS_MAX);
        r->count++;
    } else {
        row_free(&r->items[i]);
    }
    r->items[i] =
        (struct stored_row){.key = mem_dup_slice(store_key), .value = mem_dup_slice(value), .version = version};
}

void rows_apply(struct rows *r, const struct txn_writes *writes, uint64_t ts)
{
    for (size_t w = 0; w < writes->count; w++) {
        const struct txn_write *write = &writes->items[w];
        if (!write->is_delete) {
            rows_set(r, write->key, write->value, write->ts != 0 ? write->ts : ts);
            continue;
        }
        size_t i = rows_find(r, write->key);
        if (i == r->count) continue;
        row_free(&r->items[i]);
        r->items[i] = r->items[--r->count];
    }
}

uint64_t rows_hash(const struct rows *r)
{
    uint64_t sum = r->count;
    for (size_t i = 0; i < r->count; i++) {
        sum += hash_bytes(r->items[i].value, hash_bytes(r->items[i].key, hash_u64(r->items[i].version)));
    }
    return sum;
}

/* --- keys and transactions --- */

struct slice model_key(unsigned number)
{
    static const struct {
        const char *bytes;
        size_t size;
    } keys[MODEL_KEYS] = {{"a", 1},           {"a\0", 2}, {"a\0\0", 3}, {"a\0\xff", 3},
                          {"a\0\x01\x01", 4}, {"\0", 1},  {"\xff", 1},  {"account/1", 9}};
    ASSERT(number < MODEL_KEYS);
    return slice_make(keys[number].bytes, keys[number].size);
}

static struct slice random_value(struct prng *p, struct arena *arena)
{
    size_t size = (size_t)prng_below(p, 5) * (size_t)prng_below(p, 9);
    if (prng_chance(p, 1, 6)) return slice_str("10"); /* looks like a counter */
    uint8_t *bytes = arena_alloc(arena, size);
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)prng_next(p);
    return slice_make(bytes, size);
}

static i128 random_delta(struct prng *p)
{
    if (prng_chance(p, 1, 20)) return prng_chance(p, 1, 2) ? I128_MAX : I128_MIN;
    return (i128)prng_below(p, 41) - 20;
}

static struct txn_compare random_compare(struct prng *p, struct arena *arena)
{
    struct txn_compare c = {.key = model_key((unsigned)prng_below(p, MODEL_KEYS)), .value = SLICE_EMPTY};
    static const enum txn_target targets[] = {TXN_TARGET_VERSION, TXN_TARGET_VALUE, TXN_TARGET_EXISTS, TXN_TARGET_SPAN};
    c.target = targets[prng_below(p, 4)];
    c.relation = (enum txn_relation)prng_between(p, TXN_EQUAL, TXN_GREATER);
    switch (c.target) {
    case TXN_TARGET_EXISTS:
        c.relation = TXN_EQUAL;
        c.version = prng_below(p, 2);
        break;
    case TXN_TARGET_VERSION: c.version = prng_chance(p, 1, 3) ? 0 : prng_below(p, 3000); break;
    case TXN_TARGET_VALUE: c.value = random_value(p, arena); break;
    case TXN_TARGET_COUNT:
    case TXN_TARGET_CREATED:
    case TXN_TARGET_LEASE:
    case TXN_TARGET_PAYLOAD: break; /* not drawn: test_txn_evaluate has them */
    case TXN_TARGET_SPAN:
        c.relation = TXN_EQUAL;
        c.version = prng_below(p, 3000);
        if (prng_chance(p, 3, 4)) c.value = model_key((unsigned)prng_below(p, MODEL_KEYS));
        if (slice_cmp(c.key, c.value) >= 0) c.value = SLICE_EMPTY;
        break;
    }
    return c;
}

static struct txn_op random_op(struct prng *p, struct arena *arena, bool *written)
{
    unsigned key = (unsigned)prng_below(p, MODEL_KEYS);
    struct txn_op op = {.key = model_key(key), .value = SLICE_EMPTY};
    op.kind = (enum txn_op_kind)prng_between(p, TXN_GET, TXN_ADD);
    if (written[key]) op.kind = TXN_GET;
    if (op.kind != TXN_GET) written[key] = true;
    if (op.kind == TXN_PUT || op.kind == TXN_INSERT) op.value = random_value(p, arena);
    if (op.kind != TXN_ADD) return op;
    op.delta = random_delta(p);
    op.min = prng_chance(p, 1, 2) ? -(i128)prng_below(p, 60) : I128_MIN;
    op.max = prng_chance(p, 1, 2) ? (i128)prng_below(p, 60) : I128_MAX;
    return op;
}

static struct txn_op *random_ops(struct prng *p, struct arena *arena, size_t count)
{
    bool written[MODEL_KEYS] = {false};
    /* arenas align to 8 bytes, operations want 16 */
    uint8_t *at = arena_alloc(arena, (count + 1) * sizeof(struct txn_op));
    struct txn_op *ops = (struct txn_op *)(void *)(at + ((uintptr_t)at % 16));
    for (size_t i = 0; i < count; i++) ops[i] = random_op(p, arena, written);
    return ops;
}

struct txn model_txn(struct prng *p, struct arena *arena)
{
    struct txn t = {.keyspace = MODEL_KEYSPACE};
    t.compare_count = prng_chance(p, 1, 2) ? 0 : (size_t)prng_below(p, 3);
    t.op_count = (size_t)prng_below(p, 6);
    t.else_count = prng_chance(p, 1, 2) ? 0 : (size_t)prng_below(p, 4);
    if (t.compare_count + t.op_count + t.else_count == 0) t.op_count = 1;
    t.compares = arena_zalloc(arena, t.compare_count * sizeof(*t.compares));
    for (size_t i = 0; i < t.compare_count; i++) t.compares[i] = random_compare(p, arena);
    t.ops = random_ops(p, arena, t.op_count);
    t.else_ops = random_ops(p, arena, t.else_count);
    return t;
}

/* --- the model --- */

void model_init(struct model *m)
{
    memset(m, 0, sizeof(*m));
}

void model_free(struct model *m)
{
    for (size_t i = 0; i < m->attempt_count; i++) {
        mem_free((void *)(uintptr_t)m->attempts[i].request.data);
        mem_free((void *)(uintptr_t)m->attempts[i].answer.data);
    }
    model_init(m);
}

static unsigned number_of(struct slice key)
{
    unsigned i = 0;
    while (i < MODEL_KEYS && !slice_eq(model_key(i), key)) i++;
    ASSERT(i < MODEL_KEYS);
    return i;
}

static struct slice client_value(const struct model_value *v, char text[I128_TEXT_MAX])
{
    if (!v->is_counter) return slice_make(v->raw, v->raw_size);
    i128_format(v->counter, text);
    return slice_str(text);
}

static bool compare_true(const struct model_value *v, const struct txn_compare *c)
{
    char text[I128_TEXT_MAX];
    int order;
    if (c->target == TXN_TARGET_EXISTS) return v->exists == (c->version == 1);
    if (c->target == TXN_TARGET_VERSION) {
        uint64_t version = v->exists ? v->version : 0;
        order = version < c->version ? -1 : version > c->version;
    } else {
        if (!v->exists) return false;
        order = slice_cmp(client_value(v, text), c->value);
    }
    if (c->relation == TXN_EQUAL) return order == 0;
    if (c->relation == TXN_NOT_EQUAL) return order != 0;
    return c->relation == TXN_LESS ? order < 0 : order > 0;
}

/* Every key of the stretch, one by one. */
static bool stretch_true(const struct model *m, const struct txn_compare *c)
{
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        if (txn_in_stretch(c, model_key(i)) && m->values[i].exists && m->values[i].version > c->version) return false;
    }
    return true;
}

/* Does one operation on the values at once; false: it refuses, *status says why. */
static enum status model_op(struct model_value *v, const struct txn_op *op, uint64_t ts, struct arena *arena,
                            struct txn_op_result *r)
{
    char text[I128_TEXT_MAX];
    *r = (struct txn_op_result){.kind = op->kind, .version = ts, .value = SLICE_EMPTY};
    switch (op->kind) {
    case TXN_GET:
        r->found = v->exists;
        if (v->exists) r->version = v->version;
        if (v->exists) r->value = arena_dup_slice(arena, client_value(v, text));
        return STATUS_OK;
    case TXN_DELETE:
        r->found = v->exists;
        *v = (struct model_value){.exists = false};
        return STATUS_OK;
    case TXN_INSERT:
        if (v->exists) return STATUS_EXISTS;
        break;
    case TXN_PUT: break;
    case TXN_REVISE: break; /* not drawn */
    case TXN_ADD:
        if (v->exists && !v->is_counter) return STATUS_INVALID;
        if (!i128_add(v->exists ? v->counter : 0, op->delta, &v->counter)) return STATUS_GUARD_FAILED;
        if (v->counter < op->min || v->counter > op->max) return STATUS_GUARD_FAILED;
        v->exists = v->is_counter = true;
        v->version = ts;
        i128_format(v->counter, text);
        r->value = arena_dup_slice(arena, slice_str(text));
        return STATUS_OK;
    }
    ASSERT(op->value.size <= sizeof(v->raw));
    *v = (struct model_value){.exists = true, .raw_size = op->value.size, .version = ts};
    memcpy(v->raw, op->value.data, op->value.size);
    return STATUS_OK;
}

static void model_branch(struct model *m, const struct txn *t, uint64_t ts, struct arena *arena, struct txn_result *r)
{
    const struct txn_op *ops = t->ops;
    r->op_count = t->op_count;
    r->succeeded = true;
    for (size_t i = 0; i < t->compare_count && r->succeeded; i++) {
        const struct txn_compare *c = &t->compares[i];
        if (c->target == TXN_TARGET_SPAN ? stretch_true(m, c) : compare_true(&m->values[number_of(c->key)], c))
            continue;
        r->succeeded = false;
        ops = t->else_ops;
        r->op_count = t->else_count;
        if (t->else_count == 0) r->status = STATUS_CONDITION_FAILED;
        if (t->else_count == 0) r->failed_index = (uint32_t)i;
    }
    struct model_value before[MODEL_KEYS];
    memcpy(before, m->values, sizeof(before));
    r->ops = arena_zalloc(arena, r->op_count * sizeof(*r->ops));
    for (size_t i = 0; i < r->op_count && r->status == STATUS_OK; i++) {
        r->status = model_op(&m->values[number_of(ops[i].key)], &ops[i], ts, arena, &r->ops[i]);
        if (r->status != STATUS_OK) r->failed_index = (uint32_t)i;
    }
    if (r->status == STATUS_OK) return;
    r->op_count = 0;
    memcpy(m->values, before, sizeof(before));
}

/* The attempt under the same id and anchor, or NULL. */
static const struct model_attempt *earlier_attempt(const struct model *m, const struct txn *t)
{
    if (txn_id_is_none(&t->id)) return NULL;
    for (size_t i = 0; i < m->attempt_count; i++) {
        bool same_id = memcmp(m->attempts[i].id.bytes, t->id.bytes, TXN_ID_BYTES) == 0;
        if (same_id && m->attempts[i].anchor == number_of(txn_anchor(t))) return &m->attempts[i];
    }
    return NULL;
}

void model_evaluate(struct model *m, const struct txn *t, struct slice encoded, uint64_t ts, struct buf *result)
{
    struct arena arena;
    arena_init(&arena, 4096);
    struct txn_result r = {.status = STATUS_OK, .ts = ts, .failed_index = UINT32_MAX};
    const struct model_attempt *earlier = earlier_attempt(m, t);
    size_t mark = result->size;
    if (earlier != NULL && slice_eq(earlier->request, encoded)) {
        buf_append_slice(result, earlier->answer);
        result->data[mark + 1] = 1;
    } else if (earlier != NULL) {
        r.status = STATUS_ID_REUSED;
        txn_result_encode(&r, result);
    } else {
        model_branch(m, t, ts, &arena, &r);
        txn_result_encode(&r, result);
        if (!txn_id_is_none(&t->id)) {
            ASSERT(m->attempt_count < MODEL_IDS);
            struct model_attempt *a = &m->attempts[m->attempt_count++];
            *a = (struct model_attempt){
                .id = t->id, .anchor = number_of(txn_anchor(t)), .request = mem_dup_slice(encoded)};
            a->answer = mem_dup_slice(slice_make(result->data + mark, result->size - mark));
        }
    }
    arena_free(&arena);
}

bool model_agrees(const struct model *m, const struct rows *r)
{
    size_t expected = m->attempt_count;
    struct buf key;
    buf_init(&key, 1u << 16);
    bool same = true;
    for (unsigned i = 0; i < MODEL_KEYS && same; i++) {
        const struct model_value *v = &m->values[i];
        buf_clear(&key);
        key_encode_data(&key, MODEL_KEYSPACE, model_key(i));
        size_t at = rows_find(r, buf_slice(&key));
        same = v->exists == (at < r->count);
        if (!v->exists || !same) continue;
        expected++;
        struct row row;
        char one[I128_TEXT_MAX], two[I128_TEXT_MAX];
        same = row_decode(r->items[at].value, &row) == STATUS_OK && (row.format == ROW_COUNTER) == v->is_counter &&
               r->items[at].version == v->version && slice_eq(row_value(&row, one), client_value(v, two));
    }
    buf_free(&key);
    return same && expected == r->count;
}
