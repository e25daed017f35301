/* Transactions. Of single keys they are one of ours (txn_direct.c); others are computed as a piece of work (work.c): operations
 * over one snapshot, in order, each seeing the writes before it, and compares, nested ones too, that see none of them; then committed if what was read is still so. */
#include "etcd/txn.h"

#include "gateway/json_out.h"

static const struct etcd_error ERR_OLD_RANGE = {.code = GRPC_UNIMPLEMENTED,
                                                .text = "a range at an older revision cannot be part of a transaction"};

/* --- compares --- */

static bool holds(unsigned result, int order)
{
    switch ((enum compare_result)result) {
    case RESULT_EQUAL: return order == 0;
    case RESULT_GREATER: return order > 0;
    case RESULT_LESS: return order < 0;
    case RESULT_NOT_EQUAL: return order != 0;
    }
    return false;
}

static bool row_holds(const struct compare *q, const struct ekv *kv)
{
    const uint64_t numbers[] = {kv->count, kv->created, kv->mod, 0, kv->lease};
    if (q->target == TARGET_VALUE) return holds(q->result, slice_cmp(kv->value, q->value));
    int64_t have = (int64_t)numbers[q->target];
    return holds(q->result, (have > q->number) - (have < q->number));
}

static enum work_step compare_step(struct work *w, const struct compare *q, bool *held)
{
    struct span span = span_of(work_arena(w), q->key, q->range_end);
    const struct work_row *one, **rows = &one;
    size_t count = 0;
    if (!span.empty &&
        !(span.single ? work_get_before(w, span.start, &one) : work_scan_before(w, &span, &rows, &count)))
        return WORK_WANTS;
    if (span.single) count = one->found ? 1 : 0;
    if (count == 0) *held = q->target != TARGET_VALUE && row_holds(q, &(struct ekv){.value = SLICE_EMPTY});
    for (size_t i = 0; i < count && *held; i++) {
        struct ekv kv = ekv_of(rows[i]->key, rows[i]->value, rows[i]->version);
        *held = row_holds(q, &kv);
    }
    return WORK_DONE;
}

/* --- operations --- */

static enum work_step range_step(struct work *w, struct op *op)
{
    const struct range_asked *q = &op->range;
    struct span span = span_of(work_arena(w), q->key, q->range_end);
    const struct work_row *one, **rows = &one;
    size_t count = 0;
    op->row_count = op->all = 0;
    if (q->revision != 0 && work_revision(w) != 0)
        return work_refuse(w, (uint64_t)q->revision > work_revision(w) ? &ERR_FUTURE : &ERR_OLD_RANGE);
    if (span.empty) return WORK_DONE;
    if (!(span.single ? work_get(w, span.start, &one) : work_scan(w, &span, &rows, &count))) return WORK_WANTS;
    if (span.single) count = one->found ? 1 : 0;
    op->rows = arena_alloc(work_arena(w), (count + 1) * sizeof(*op->rows));
    for (size_t i = 0; i < count; i++)
        op->rows[i] = ekv_of(rows[i]->key, rows[i]->value, rows[i]->written ? OF_THIS : rows[i]->version);
    op->all = count;
    op->row_count = range_select(q, op->rows, count, &op->more);
    return WORK_DONE;
}

static enum work_step txn_step(struct work *w, struct etxn *t, const struct ecall *by)
{
    bool wants = false;
    t->succeeded = true;
    for (size_t i = 0; i < t->compare_count && t->succeeded; i++) {
        if (compare_step(w, &t->compares[i], &t->succeeded) == WORK_WANTS) wants = true;
    }
    unsigned b = t->succeeded ? 0 : 1;
    for (size_t i = 0; i < t->counts[b]; i++) {
        struct op *op = &t->branches[b][i];
        enum work_step s = op->kind == OP_RANGE    ? range_step(w, op)
                           : op->kind == OP_PUT    ? work_do_put(w, &op->put, by, &op->before, &op->had)
                           : op->kind == OP_DELETE ? work_do_delete(w, &op->del, &op->rows, &op->row_count)
                                                   : txn_step(w, op->txn, by);
        if (s == WORK_REFUSED && !wants) return s;
        if (s != WORK_DONE) wants = true;
    }
    return wants ? WORK_WANTS : WORK_DONE;
}

static enum work_step txn_body(struct work *w, void *ctx)
{
    struct ecall *c = ctx;
    return txn_step(w, c->state, c);
}

/* --- the answer --- */

static void emit_rev_header(struct buf *b, const struct op *op, uint64_t revision)
{
    json_key(b, "header");
    json_open(b, '{');
    if (op->kind != OP_TXN) emit_u64(b, "revision", revision); /* of a nested one it is empty, as etcd's */
    json_close(b, '}');
}

static void emit_responses(struct buf *b, const struct etxn *t, uint64_t revision);

static void name_revision(struct ekv *kv, uint64_t revision)
{
    if (kv->mod == OF_THIS) kv->mod = revision;
    if (kv->created == OF_THIS) kv->created = revision;
}

static void emit_op(struct buf *b, struct op *op, uint64_t revision)
{
    static const char *const names[] = {"response_range", "response_put", "response_delete_range", "response_txn"};
    json_open(b, '{');
    json_key(b, names[op->kind]);
    json_open(b, '{');
    emit_rev_header(b, op, revision);
    for (size_t i = 0; (op->kind == OP_RANGE || op->kind == OP_DELETE) && i < op->row_count; i++)
        name_revision(&op->rows[i], revision);
    if (op->kind == OP_RANGE) emit_range(b, &op->range, op->rows, op->row_count, op->all, op->more);
    if (op->kind == OP_PUT && op->put.prev_kv && op->had) {
        json_key(b, "prev_kv");
        name_revision(&op->before, revision);
        emit_ekv(b, &op->before, false);
    }
    if (op->kind == OP_DELETE) emit_deleted(b, op->del.prev_kv, op->rows, op->row_count);
    if (op->kind == OP_TXN) emit_responses(b, op->txn, revision);
    json_close(b, '}');
    json_close(b, '}');
}

static void emit_responses(struct buf *b, const struct etxn *t, uint64_t revision)
{
    unsigned branch = t->succeeded ? 0 : 1;
    emit_true(b, "succeeded", t->succeeded);
    if (t->counts[branch] == 0) return;
    json_key(b, "responses");
    json_open(b, '[');
    for (size_t i = 0; i < t->counts[branch]; i++) emit_op(b, &t->branches[branch][i], revision);
    json_close(b, ']');
}

void emit_txn(struct ecall *c, struct buf *b, uint64_t revision)
{
    emit_responses(b, c->state, revision);
}

void txn_by_work(struct ecall *c)
{
    answer_by_work(c, txn_body, emit_txn);
}

void serve_txn(struct ecall *c, const struct json_node *body)
{
    struct etxn *t = arena_zalloc(&c->arena, sizeof(*t));
    c->state = t;
    if (!txn_take(c, body, t)) return;
    if (!txn_keys_are_distinct(&c->arena, t))
        ecall_refuse(c, &ERR_DUPLICATE_KEY);
    else if (may_txn(c, t) && !txn_direct(c, t))
        txn_by_work(c);
}
