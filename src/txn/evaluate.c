/* Evaluation of a transaction against the rows: docs/formats/txn.md, "Evaluation". Everything that it makes lies in the arena
 * until the end; only a finished evaluation shows in *writes and in the result buffer. So a view that stops it half-way (a row
 * has to be read from disk first) leaves nothing behind, and it is simply repeated.
 *
 *   decode -> idempotency row --same request--> stored answer
 *                |            \--another one--> ID_REUSED
 *                v
 *            compares --all hold--> operations \
 *                |     \-one fails-> else ops   > all done: writes, result   (with an id: and the idempotency row)
 *                |                             \ one refuses: result only     (with an id: and the idempotency row)
 *                \--one fails, no else ops--> CONDITION_FAILED */
#include "txn/txn_int.h"

#include "base/assert.h"

struct evaluation {
    const struct txn_view *view;
    struct arena *arena;
    uint64_t ts;
    struct txn t;
    /* the branch taken */
    const struct txn_op *ops;
    size_t op_count;
    struct txn_op_result *results;
    size_t value_bytes;    /* in results */
    struct slice *written; /* per operation: the value that it wrote; data NULL: deleted or nothing */
    const uint32_t *order; /* writing operations by key; made when a get first asks */
    size_t order_count;
    /* outcome */
    struct txn_writes writes;
    struct txn_result result;
};

/* Notes a refusal. The caller returns STATUS_OK: a refusal is an evaluated outcome. */
static void refuse(struct evaluation *e, enum status status, uint32_t index)
{
    ASSERT(status != STATUS_OK);
    e->result.status = status;
    e->result.failed_index = index;
}

static bool refused(const struct evaluation *e)
{
    return e->result.status != STATUS_OK;
}

/* --- reading --- */

struct found {
    bool exists;
    uint64_t version;
    struct row row;
};

static enum status decode_found(struct slice stored, uint64_t version, struct found *out)
{
    out->exists = true;
    out->version = version;
    return row_decode(stored, &out->row);
}

/* The row as it was before the transaction. */
static enum status read_row(struct evaluation *e, struct slice key, struct found *out)
{
    *out = (struct found){.exists = false};
    struct txn_stored stored = {.value = SLICE_EMPTY};
    enum status s = e->view->get(e->view->ctx, key_make_data(e->arena, e->t.keyspace, key), &stored);
    if (s == STATUS_NOT_FOUND) return STATUS_OK;
    if (s != STATUS_OK) return s;
    return decode_found(stored.value, stored.version, out);
}

/* The operation before `index` that writes `key`, or op_count. */
static size_t earlier_write(struct evaluation *e, size_t index, struct slice key)
{
    if (e->order == NULL) e->order = txn_order_writes(e->ops, e->op_count, e->arena, &e->order_count);
    size_t low = 0, high = e->order_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(e->ops[e->order[middle]].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == e->order_count || !slice_eq(e->ops[e->order[low]].key, key)) return e->op_count;
    return e->order[low] < index ? e->order[low] : e->op_count;
}

/* The row as the operation at `index` sees it. */
static enum status read_row_in_order(struct evaluation *e, size_t index, struct slice key, struct found *out)
{
    size_t writer = earlier_write(e, index, key);
    if (writer == e->op_count) return read_row(e, key, out);
    *out = (struct found){.exists = false};
    if (e->written[writer].data == NULL) return STATUS_OK;
    return decode_found(e->written[writer], e->ts, out);
}

/* --- compares --- */

static bool relation_holds(enum txn_relation relation, int order)
{
    switch (relation) {
    case TXN_EQUAL: return order == 0;
    case TXN_NOT_EQUAL: return order != 0;
    case TXN_LESS: return order < 0;
    case TXN_GREATER: return order > 0;
    }
    BUG("relation");
}

static enum status compare_holds(struct evaluation *e, const struct txn_compare *c, bool *holds)
{
    struct found f;
    enum status s = read_row(e, c->key, &f);
    if (s != STATUS_OK) return s;
    switch (c->target) {
    case TXN_TARGET_EXISTS: *holds = f.exists == (c->version == 1); return STATUS_OK;
    case TXN_TARGET_VERSION: {
        uint64_t version = f.exists ? f.version : 0;
        *holds = relation_holds(c->relation, (version > c->version) - (version < c->version));
        return STATUS_OK;
    }
    case TXN_TARGET_VALUE: {
        char text[I128_TEXT_MAX];
        *holds = f.exists && relation_holds(c->relation, slice_cmp(row_value(&f.row, text), c->value));
        return STATUS_OK;
    }
    }
    BUG("target");
}

static enum status choose_branch(struct evaluation *e)
{
    for (size_t i = 0; i < e->t.compare_count; i++) {
        bool holds = false;
        enum status s = compare_holds(e, &e->t.compares[i], &holds);
        if (s != STATUS_OK) return s;
        if (holds) continue;
        e->ops = e->t.else_ops;
        e->op_count = e->t.else_count;
        if (e->op_count == 0) refuse(e, STATUS_CONDITION_FAILED, (uint32_t)i);
        return STATUS_OK;
    }
    e->result.succeeded = true;
    e->ops = e->t.ops;
    e->op_count = e->t.op_count;
    return STATUS_OK;
}

/* --- operations --- */

static void add_write(struct evaluation *e, size_t index, bool is_delete, struct slice value)
{
    struct txn_write *w = &e->writes.items[e->writes.count++];
    w->is_delete = is_delete;
    w->key = key_make_data(e->arena, e->t.keyspace, e->ops[index].key);
    w->value = value;
    if (!is_delete) e->written[index] = value;
}

/* The value as a client sees it, in memory that outlives the row's. */
static void return_value(struct evaluation *e, size_t index, const struct row *row)
{
    char text[I128_TEXT_MAX];
    struct slice value = row_value(row, text);
    if (value.size > LIMIT_TXN_BYTES - e->value_bytes) {
        refuse(e, STATUS_TOO_LARGE, (uint32_t)index);
        return;
    }
    e->value_bytes += value.size;
    e->results[index].value = row->format == ROW_RAW ? value : arena_dup_slice(e->arena, value);
}

static enum status do_get(struct evaluation *e, size_t index)
{
    struct found f;
    enum status s = read_row_in_order(e, index, e->ops[index].key, &f);
    if (s != STATUS_OK || !f.exists) return s;
    e->results[index].found = true;
    e->results[index].version = f.version;
    return_value(e, index, &f.row);
    return STATUS_OK;
}

static enum status do_delete(struct evaluation *e, size_t index)
{
    struct found f;
    enum status s = read_row(e, e->ops[index].key, &f);
    if (s != STATUS_OK || !f.exists) return s;
    e->results[index].found = true;
    add_write(e, index, true, SLICE_EMPTY);
    return STATUS_OK;
}

static enum status do_insert(struct evaluation *e, size_t index)
{
    struct found f;
    enum status s = read_row(e, e->ops[index].key, &f);
    if (s != STATUS_OK) return s;
    if (f.exists) {
        refuse(e, STATUS_EXISTS, (uint32_t)index);
    } else {
        add_write(e, index, false, row_make_raw(e->arena, e->ops[index].value));
    }
    return STATUS_OK;
}

static enum status do_add(struct evaluation *e, size_t index)
{
    const struct txn_op *op = &e->ops[index];
    struct found f;
    enum status s = read_row(e, op->key, &f);
    if (s != STATUS_OK) return s;
    if (f.exists && f.row.format != ROW_COUNTER) {
        refuse(e, STATUS_INVALID, (uint32_t)index);
        return STATUS_OK;
    }
    struct row sum = {.format = ROW_COUNTER, .raw = SLICE_EMPTY};
    if (!i128_add(f.exists ? f.row.counter : 0, op->delta, &sum.counter) || sum.counter < op->min ||
        sum.counter > op->max) {
        refuse(e, STATUS_GUARD_FAILED, (uint32_t)index);
        return STATUS_OK;
    }
    add_write(e, index, false, row_make_counter(e->arena, sum.counter));
    return_value(e, index, &sum);
    return STATUS_OK;
}

static enum status do_op(struct evaluation *e, size_t index)
{
    e->results[index] = (struct txn_op_result){.kind = e->ops[index].kind, .version = e->ts, .value = SLICE_EMPTY};
    switch (e->ops[index].kind) {
    case TXN_GET: return do_get(e, index);
    case TXN_PUT: add_write(e, index, false, row_make_raw(e->arena, e->ops[index].value)); return STATUS_OK;
    case TXN_DELETE: return do_delete(e, index);
    case TXN_INSERT: return do_insert(e, index);
    case TXN_ADD: return do_add(e, index);
    }
    BUG("operation");
}

/* A write for each operation and one for the idempotency row: room for all of them is made once. */
static void make_room(struct evaluation *e)
{
    e->writes.items = arena_alloc(e->arena, (e->op_count + 1) * sizeof(*e->writes.items));
    e->results = arena_zalloc(e->arena, e->op_count * sizeof(*e->results));
    e->written = arena_zalloc(e->arena, e->op_count * sizeof(*e->written));
}

static enum status do_ops(struct evaluation *e)
{
    for (size_t i = 0; i < e->op_count; i++) {
        enum status s = do_op(e, i);
        if (s != STATUS_OK) return s;
        if (!refused(e)) continue;
        e->writes.count = 0;
        return STATUS_OK;
    }
    e->result.ops = e->results;
    e->result.op_count = e->op_count;
    return STATUS_OK;
}

/* --- idempotency --- */

static void append_result(const struct txn_result *r, struct buf *result)
{
    txn_result_encode(r, result);
    ASSERT(!result->overflow);
}

/* *answered: an earlier attempt decided, the answer has been appended. */
static enum status look_up_id(struct evaluation *e, struct slice encoded, struct slice row_key, struct buf *result,
                              bool *answered)
{
    *answered = false;
    struct txn_stored stored = {.value = SLICE_EMPTY};
    enum status s = e->view->get(e->view->ctx, row_key, &stored);
    if (s == STATUS_NOT_FOUND) return STATUS_OK;
    if (s != STATUS_OK) return s;
    struct request_hash now = request_hash_of(encoded), then;
    struct slice answer;
    s = idempotency_row_decode(stored.value, &then, &answer);
    if (s != STATUS_OK) return s;
    *answered = true;
    if (now.first != then.first || now.second != then.second) {
        COVER("txn.id_reused");
        refuse(e, STATUS_ID_REUSED, TXN_NO_INDEX);
        append_result(&e->result, result);
        return STATUS_OK;
    }
    COVER("txn.replayed");
    size_t mark = result->size;
    buf_append_slice(result, answer);
    ASSERT(!result->overflow);
    result->data[mark + TXN_RESULT_REPLAYED_OFFSET] = 1;
    return STATUS_OK;
}

/* --- the whole --- */

static enum status evaluate(struct evaluation *e, struct slice encoded, struct txn_writes *writes, struct buf *result)
{
    struct slice id_key = SLICE_EMPTY;
    bool has_id = !txn_id_is_none(&e->t.id), answered = false;
    enum status s = STATUS_OK;
    if (has_id) {
        id_key = key_make_idempotency(e->arena, e->t.keyspace, txn_anchor(&e->t), &e->t.id);
        s = look_up_id(e, encoded, id_key, result, &answered);
        if (s != STATUS_OK || answered) return s;
    }
    s = choose_branch(e);
    if (s != STATUS_OK) return s;
    make_room(e);
    if (!refused(e)) s = do_ops(e);
    if (s != STATUS_OK) return s;
    if (refused(e)) ASSERT(e->writes.count == 0);
    size_t mark = result->size;
    append_result(&e->result, result);
    struct slice answer = slice_make(result->data + mark, result->size - mark);
    ASSERT(answer.size <= TXN_RESULT_BYTES_MAX);
    if (has_id) {
        struct txn_write *w = &e->writes.items[e->writes.count++];
        *w = (struct txn_write){.key = id_key,
                                .value = idempotency_row_make(e->arena, request_hash_of(encoded), answer)};
    }
    *writes = e->writes;
    return STATUS_OK;
}

enum status txn_evaluate(struct slice encoded, uint64_t ts, const struct txn_view *view, struct arena *arena,
                         struct txn_writes *writes, struct buf *result)
{
    ASSERT(!result->overflow);
    *writes = (struct txn_writes){.count = 0};
    struct evaluation e = {.view = view, .arena = arena, .ts = ts};
    e.result = (struct txn_result){.status = STATUS_OK, .ts = ts, .failed_index = TXN_NO_INDEX};
    if (txn_decode(encoded, arena, &e.t, NULL) != STATUS_OK) {
        refuse(&e, STATUS_INVALID, TXN_NO_INDEX);
        append_result(&e.result, result);
        return STATUS_OK;
    }
    size_t before = result->size;
    enum status s = evaluate(&e, encoded, writes, result);
    if (s != STATUS_OK) ASSERT(result->size == before);
    if (s != STATUS_OK) ASSERT(writes->count == 0);
    return s;
}
