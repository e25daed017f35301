/* Transactions over single keys: one transaction of ours, in one round, judged where the rows are. A compare-and-put is such a one.
 *
 *   serve_txn --every key is single, something is written--> one transaction --done--> answered
 *        \--else--> a piece of work (txn.c) <--a lease is not there, or it must be repeated--'
 *
 * A put that is bound to a lease wants it there: that is one more compare. If it alone fails, etcd's answer is another, and the piece of
 * work finds it; so the other branch may read then, but not write. */
#include "base/assert.h"
#include "etcd/txn.h"

#define OPS_EACH 3u /* what was there, the row, what is attached to the lease */

struct direct {
    struct ecall *call;
    struct etxn *asked;
    size_t leases; /* reads at the end of the other branch: whether they are there */
};

/* --- whether --- */

static bool key_fits(struct slice key, struct slice range_end)
{
    return range_end.size == 0 && key.size <= LIMIT_KEY_BYTES - 16;
}

static bool op_fits(const struct ecall *c, const struct op *op)
{
    switch (op->kind) {
    case OP_RANGE: return key_fits(op->range.key, op->range.range_end) && op->range.revision == 0;
    case OP_PUT:
        return op->put.lease == 0 || !ecall_is_asked(c); /* the rights on a lease's keys are work.c's to find */
    case OP_DELETE: return key_fits(op->del.key, op->del.range_end);
    case OP_TXN: return false;
    }
    return false;
}

struct sums {
    size_t writes, leases;
    bool fit;
};

static struct sums branch_sums(const struct ecall *c, const struct etxn *t, unsigned branch)
{
    struct sums s = {.fit = true};
    for (size_t i = 0; i < t->counts[branch] && s.fit; i++) {
        const struct op *op = &t->branches[branch][i];
        s.fit = op_fits(c, op);
        s.writes += op->kind == OP_PUT || op->kind == OP_DELETE;
        s.leases += op->kind == OP_PUT && op->put.lease != 0;
        for (size_t k = 0; k < i && s.fit && op->kind == OP_DELETE; k++) {
            const struct op *other = &t->branches[branch][k];
            s.fit = other->kind != OP_DELETE || !slice_eq(other->del.key, op->del.key);
        }
    }
    return s;
}

/* leases: of the branch that is taken when the compares hold. */
static bool txn_fits(const struct ecall *c, const struct etxn *t, size_t *leases)
{
    for (size_t i = 0; i < t->compare_count; i++) {
        const struct compare *q = &t->compares[i];
        if (!key_fits(q->key, q->range_end) || q->number < 0) return false;
    }
    struct sums yes = branch_sums(c, t, 0), no = branch_sums(c, t, 1);
    *leases = yes.leases;
    if (!yes.fit || !no.fit || t->counts[0] == 0 || yes.writes + no.writes == 0) return false;
    return no.leases == 0 && (yes.leases == 0 || no.writes == 0);
}

/* --- to a transaction of ours --- */

static struct txn_compare compare_of(struct arena *a, const struct compare *q)
{
    static const enum txn_target targets[] = {TXN_TARGET_COUNT, TXN_TARGET_CREATED, TXN_TARGET_VERSION,
                                              TXN_TARGET_PAYLOAD, TXN_TARGET_LEASE};
    static const enum txn_relation relations[] = {TXN_EQUAL, TXN_GREATER, TXN_LESS, TXN_NOT_EQUAL};
    return (struct txn_compare){.target = targets[q->target],
                                .relation = relations[q->result],
                                .key = key_row(a, ROW_OF_USER, q->key),
                                .version = (uint64_t)q->number,
                                .value = q->target == TARGET_VALUE ? q->value : SLICE_EMPTY};
}

static void add_get(struct txn_op *out, size_t *n, struct slice row_key)
{
    out[(*n)++] = (struct txn_op){.kind = TXN_GET, .key = row_key, .value = SLICE_EMPTY};
}

static void add_op(struct arena *a, const struct op *op, struct txn_op *out, size_t *n)
{
    struct slice key = key_row(a, ROW_OF_USER,
                               op->kind == OP_RANGE ? op->range.key
                               : op->kind == OP_PUT ? op->put.key
                                                    : op->del.key);
    bool reads = op->kind == OP_RANGE || (op->kind == OP_PUT ? op->put.prev_kv : op->del.prev_kv);
    if (reads) add_get(out, n, key);
    if (op->kind == OP_DELETE) out[(*n)++] = (struct txn_op){.kind = TXN_DELETE, .key = key, .value = SLICE_EMPTY};
    if (op->kind == OP_PUT) put_ops(a, &op->put, out, n);
}

static void branch_of(struct arena *a, const struct etxn *t, unsigned branch, size_t more, struct txn_op **ops,
                      size_t *count)
{
    *ops = arena_zalloc(a, (t->counts[branch] * OPS_EACH + more + 1) * sizeof(**ops));
    *count = 0;
    for (size_t i = 0; i < t->counts[branch]; i++) add_op(a, &t->branches[branch][i], *ops, count);
}

static struct txn make_txn(struct arena *a, const struct etxn *t, size_t leases)
{
    struct txn out = {.compare_count = 0};
    out.compares = arena_zalloc(a, (t->compare_count + leases + 1) * sizeof(*out.compares));
    for (size_t i = 0; i < t->compare_count; i++) out.compares[out.compare_count++] = compare_of(a, &t->compares[i]);
    branch_of(a, t, 0, 0, &out.ops, &out.op_count);
    branch_of(a, t, 1, leases, &out.else_ops, &out.else_count);
    for (size_t i = 0; i < t->counts[0] && leases > 0; i++) {
        const struct op *op = &t->branches[0][i];
        if (op->kind != OP_PUT || op->put.lease == 0) continue;
        out.compares[out.compare_count++] = lease_is_there(a, op->put.lease);
        add_get(out.else_ops, &out.else_count, key_lease(a, (uint64_t)op->put.lease));
    }
    return out;
}

/* --- and back --- */

static struct ekv row_of(struct arena *a, struct slice key, const struct txn_op_result *r)
{
    return ekv_of(key_row(a, ROW_OF_USER, key), r->value, r->version);
}

/* Returns how many of the results are this operation's. */
static size_t take_result(struct arena *a, struct op *op, const struct txn_op_result *r)
{
    size_t used = 0;
    const struct txn_op_result *before = NULL;
    bool reads = op->kind == OP_RANGE || (op->kind == OP_PUT ? op->put.prev_kv : op->del.prev_kv);
    if (reads) before = &r[used++];
    if (op->kind == OP_RANGE) {
        op->rows = arena_alloc(a, sizeof(*op->rows));
        op->all = before->found ? 1 : 0;
        if (before->found) op->rows[0] = row_of(a, op->range.key, before);
        op->row_count = range_select(&op->range, op->rows, op->all, &op->more);
    } else if (op->kind == OP_PUT) {
        op->had = before != NULL && before->found;
        if (op->had) op->before = row_of(a, op->put.key, before);
        used += op->put.lease != 0 ? 2 : 1;
    } else {
        op->row_count = r[used++].found ? 1 : 0;
        op->rows = arena_zalloc(a, sizeof(*op->rows));
        if (before != NULL && before->found) op->rows[0] = row_of(a, op->del.key, before);
    }
    return used;
}

static bool leases_are_there(const struct direct *d, const struct txn_result *r)
{
    ASSERT(r->op_count >= d->leases);
    for (size_t i = 0; i < d->leases; i++) {
        if (!r->ops[r->op_count - 1 - i].found) return false;
    }
    return true;
}

static void direct_answer(struct direct *d, const struct txn_result *r)
{
    struct ecall *c = d->call;
    struct etxn *t = d->asked;
    unsigned branch = r->succeeded ? 0 : 1;
    size_t at = 0;
    t->succeeded = r->succeeded;
    for (size_t i = 0; i < t->counts[branch] && r->status == STATUS_OK; i++)
        at += take_result(&c->arena, &t->branches[branch][i], &r->ops[at]);
    struct buf b = answer_begin(c, r->ts);
    emit_txn(c, &b, r->ts);
    answer_end(c, &b);
}

static void direct_done(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    struct direct *d = ctx;
    struct ecall *c = d->call;
    bool refused = e->status == STATUS_OK && r->status == STATUS_CONDITION_FAILED; /* and there is no other branch */
    if (e->status != STATUS_OK) {
        ecall_fail(c, e);
    } else if (r->status == STATUS_RETRY || (r->status == STATUS_OK && !r->succeeded && !leases_are_there(d, r))) {
        COVER("etcd.txn_by_work");
        txn_by_work(c);
    } else if (r->status == STATUS_OK || refused) {
        direct_answer(d, r);
    } else {
        ecall_refuse(c, r->status == STATUS_NOT_FOUND   ? &ERR_KEY_NOT_FOUND
                        : r->status == STATUS_TOO_LARGE ? &ERR_TOO_LARGE
                                                        : &ERR_TIMEOUT);
    }
}

bool txn_direct(struct ecall *c, struct etxn *t)
{
    size_t leases;
    if (!txn_fits(c, t, &leases)) return false;
    struct direct *d = arena_zalloc(&c->arena, sizeof(*d));
    *d = (struct direct){.call = c, .asked = t, .leases = leases};
    struct txn txn = make_txn(&c->arena, t, leases);
    client_txn(c->etcd->client, etcd_keyspace, &txn, c->timeout_ms, direct_done, d);
    return true;
}
