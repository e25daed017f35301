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
#include "base/assert.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "txn/evaluate_int.h"

#define KEYS_AHEAD 12u
#define KEYS_NEAR 6u
#define WRITES_BESIDES 4u /* writes of a branch that are not operations: idempotency row, held row */

/* Notes a refusal. The caller returns STATUS_OK: a refusal is an evaluated outcome. */
void evaluation_refuse(struct evaluation *e, enum status status, uint32_t index)
{
    ASSERT(status != STATUS_OK);
    e->result.status = status;
    e->result.failed_index = index;
}

bool evaluation_refused(const struct evaluation *e)
{
    return e->result.status != STATUS_OK;
}

/* --- reading --- */

struct found {
    bool exists;
    uint64_t version;
    struct row row;
};

/* A row whose time to live has passed at the evaluation's timestamp is not there. */
static enum status decode_found(struct evaluation *e, struct slice stored, uint64_t version, struct found *out)
{
    enum status s = row_decode(stored, &out->row);
    if (s != STATUS_OK) return s;
    uint64_t expires = row_expires(&out->row, version);
    out->exists = expires > e->ts;
    out->version = version;
    if (out->exists && expires < e->until) e->until = expires;
    return STATUS_OK;
}

/* Nobody else's lock may be in the way. */
static enum status check_access(struct evaluation *e, struct slice store_key, enum access access)
{
    if (e->mode == EVALUATE_COMMIT) return STATUS_OK;
    e->blocker = locks_conflict(e->table, store_key, access, e->self);
    return e->blocker != NULL ? STATUS_BLOCKED : STATUS_OK;
}

static enum status read_stored(struct evaluation *e, struct slice store_key, struct found *out)
{
    *out = (struct found){.exists = false};
    struct txn_stored stored = {.value = SLICE_EMPTY};
    enum status s = e->view->get(e->view->ctx, store_key, &stored);
    if (s == STATUS_NOT_FOUND) return STATUS_OK;
    if (s != STATUS_OK) return s;
    return decode_found(e, stored.value, stored.version, out);
}

/* The row as it was before the transaction. */
static enum status read_row(struct evaluation *e, struct slice store_key, enum access access, struct found *out)
{
    enum status s = check_access(e, store_key, access);
    return s == STATUS_OK ? read_stored(e, store_key, out) : s;
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
static enum status read_row_in_order(struct evaluation *e, size_t index, struct found *out)
{
    size_t writer = earlier_write(e, index, e->ops[index].key);
    if (writer == e->op_count) return read_row(e, e->keys[index], ACCESS_READ, out);
    *out = (struct found){.exists = false};
    if (e->written[writer].data == NULL) return STATUS_OK;
    return decode_found(e, e->written[writer], e->ts, out);
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

static bool number_holds(const struct txn_compare *c, uint64_t number)
{
    return relation_holds(c->relation, (number > c->version) - (number < c->version));
}

/* Nobody else may be about to write into the stretch, and nothing in it may be newer. */
static enum status stretch_holds(struct evaluation *e, const struct txn_compare *c, bool *holds)
{
    struct stretch s = stretch_of(e->arena, e->t.keyspace, c);
    uint64_t newest = 0;
    e->blocker = locks_stretch_conflict(e->table, &s, e->self);
    if (e->blocker != NULL) return STATUS_BLOCKED;
    enum status status =
        e->view->newest == NULL ? STATUS_TOO_LARGE : e->view->newest(e->view->ctx, s.from, s.to, e->ts, &newest);
    *holds = newest <= c->version;
    return status;
}

/* Of a row that TXN_REVISE made. */
static bool revised_holds(const struct txn_compare *c, const struct found *f)
{
    char text[I128_TEXT_MAX];
    struct revised r = {.value = SLICE_EMPTY};
    if (f->exists) r = revised_read(row_value(&f->row, text), f->version);
    if (c->target == TXN_TARGET_PAYLOAD) return f->exists && relation_holds(c->relation, slice_cmp(r.value, c->value));
    return number_holds(c, c->target == TXN_TARGET_COUNT     ? r.count
                           : c->target == TXN_TARGET_CREATED ? r.created
                                                             : r.lease);
}

static enum status compare_holds(struct evaluation *e, const struct txn_compare *c, bool *holds)
{
    struct found f;
    if (c->target == TXN_TARGET_SPAN) return stretch_holds(e, c, holds);
    enum status s = read_row(e, key_make_data(e->arena, e->t.keyspace, c->key), ACCESS_READ, &f);
    if (s != STATUS_OK) return s;
    switch (c->target) {
    case TXN_TARGET_COUNT:
    case TXN_TARGET_CREATED:
    case TXN_TARGET_LEASE:
    case TXN_TARGET_PAYLOAD: *holds = revised_holds(c, &f); return STATUS_OK;
    case TXN_TARGET_SPAN: break;
    case TXN_TARGET_EXISTS: *holds = f.exists == (c->version == 1); return STATUS_OK;
    case TXN_TARGET_VERSION: {
        *holds = number_holds(c, f.exists ? f.version : 0);
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

enum status evaluation_compares(struct evaluation *e, bool *hold, uint32_t *failed)
{
    bool missed = false; /* the others are looked at all the same: what is not there is asked for at once */
    *hold = true;
    for (size_t i = 0; i < e->t.compare_count; i++) {
        enum status s = compare_holds(e, &e->t.compares[i], hold);
        if (s == STATUS_TOO_LARGE) *hold = false; /* it is not known to hold: whoever scanned may scan less */
        if (s == STATUS_MISS) missed = *hold = true;
        /* What comes behind a row that is not there yet says nothing: with it there, that row may have refused first. */
        bool ends = s != STATUS_OK && s != STATUS_TOO_LARGE && s != STATUS_MISS;
        if (ends) return missed && !MUTANT(miss_overtaken) ? STATUS_MISS : s;
        if (*hold) continue;
        *failed = (uint32_t)i;
        break;
    }
    return missed ? STATUS_MISS : STATUS_OK;
}

/* --- operations --- */

void evaluation_write(struct evaluation *e, struct txn_write w)
{
    e->writes.items[e->writes.count++] = w;
}

static void add_write(struct evaluation *e, size_t index, bool is_delete, struct slice value)
{
    if (!is_delete) e->written[index] = value;
    evaluation_write(e, (struct txn_write){.is_delete = is_delete, .key = e->keys[index], .value = value});
}

/* The value as a client sees it, in memory that outlives the row's. */
static void return_value(struct evaluation *e, size_t index, const struct row *row)
{
    char text[I128_TEXT_MAX];
    struct slice value = row_value(row, text);
    if (value.size > LIMIT_TXN_BYTES - e->value_bytes) {
        evaluation_refuse(e, STATUS_TOO_LARGE, (uint32_t)index);
        return;
    }
    e->value_bytes += value.size;
    e->results[index].value = row->format == ROW_RAW ? value : arena_dup_slice(e->arena, value);
}

static enum status do_get(struct evaluation *e, size_t index)
{
    struct found f;
    enum status s = read_row_in_order(e, index, &f);
    if (s != STATUS_OK || !f.exists) return s;
    e->results[index].found = true;
    e->results[index].version = f.version;
    return_value(e, index, &f.row);
    return STATUS_OK;
}

static enum status do_delete(struct evaluation *e, size_t index)
{
    struct found f;
    enum status s = read_row(e, e->keys[index], ACCESS_WRITE, &f);
    if (s != STATUS_OK || !f.exists) return s;
    e->results[index].found = true;
    add_write(e, index, true, SLICE_EMPTY);
    return STATUS_OK;
}

/* What a put or an insert makes of its value. */
static struct slice new_row(struct evaluation *e, size_t index)
{
    const struct txn_op *op = &e->ops[index];
    return row_make_raw(e->arena, op->value, op->has_ttl ? op->ttl_ms : e->t.ttl_ms);
}

static enum status do_insert(struct evaluation *e, size_t index)
{
    struct found f;
    enum status s = read_row(e, e->keys[index], ACCESS_WRITE, &f);
    if (s != STATUS_OK) return s;
    if (f.exists) {
        evaluation_refuse(e, STATUS_EXISTS, (uint32_t)index);
    } else {
        add_write(e, index, false, new_row(e, index));
    }
    return STATUS_OK;
}

static void reads_add(struct evaluation *e, struct slice *set, struct slice key)
{
    size_t at = (size_t)hash_bytes(key, 5) & e->reads_mask;
    while (set[at].data != NULL && !slice_eq(set[at], key)) at = (at + 1) & e->reads_mask;
    set[at] = key;
}

static void reads_make(struct evaluation *e)
{
    size_t count = e->t.compare_count;
    for (size_t i = 0; i < e->op_count; i++) count += e->ops[i].kind == TXN_GET;
    e->reads_known = true;
    e->reads = NULL;
    e->stretch_count = 0;
    if (count == 0) return;
    e->stretches = arena_alloc(e->arena, (e->t.compare_count + 1) * sizeof(*e->stretches));
    e->reads_mask = 3;
    while (e->reads_mask < 2 * count) e->reads_mask = e->reads_mask * 2 + 1;
    struct slice *set = arena_zalloc(e->arena, (e->reads_mask + 1) * sizeof(*set));
    for (size_t i = 0; i < e->t.compare_count; i++) {
        reads_add(e, set, e->t.compares[i].key);
        if (e->t.compares[i].target == TXN_TARGET_SPAN) e->stretches[e->stretch_count++] = &e->t.compares[i];
    }
    for (size_t i = 0; i < e->op_count; i++) {
        if (e->ops[i].kind == TXN_GET) reads_add(e, set, e->ops[i].key);
    }
    e->reads = set;
}

bool evaluation_reads(struct evaluation *e, struct slice user_key)
{
    if (!e->reads_known) reads_make(e);
    if (e->reads == NULL) return false;
    size_t at = (size_t)hash_bytes(user_key, 5) & e->reads_mask;
    for (; e->reads[at].data != NULL; at = (at + 1) & e->reads_mask) {
        if (slice_eq(e->reads[at], user_key)) return true;
    }
    for (size_t i = 0; i < e->stretch_count; i++) {
        if (txn_in_stretch(e->stretches[i], user_key)) return true;
    }
    return false;
}

/* An add that does not go into the row now: it reserves, or others have reserved. */
static enum status do_pending_add(struct evaluation *e, size_t index, const struct lock_key *k,
                                  const struct pending_add *p)
{
    switch (escrow_judge(k, p->folded, &p->add)) {
    case VERDICT_TRUE:
        e->add_bytes += p->key.size + HELD_ADD_BYTES;
        if (e->add_bytes > HELD_ROW_MAX - HELD_HEAD_BYTES) {
            evaluation_refuse(e, STATUS_TOO_LARGE, (uint32_t)index);
        } else {
            e->adds[e->add_count++] = *p;
        }
        return STATUS_OK;
    case VERDICT_FALSE: evaluation_refuse(e, STATUS_GUARD_FAILED, (uint32_t)index); return STATUS_OK;
    case VERDICT_WAIT: e->blocker = escrow_waits_for(k); return STATUS_BLOCKED;
    }
    BUG("verdict");
}

/* How the add meets the others on its counter: it goes into the row, which no reservation may be beside, or it does not. */
static enum status add_is_pending(struct evaluation *e, const struct txn_op *op, const struct lock_key *k,
                                  struct slice store_key, bool *pending)
{
    bool open = escrow_open(k);
    if (e->mode == EVALUATE_COMMIT) {
        *pending = open; /* of self: an exclusive lock would have kept all others out */
        return STATUS_OK;
    }
    *pending = (e->mode == EVALUATE_PREPARE ? !e->adds_lock : open) && !evaluation_reads(e, op->key);
    e->blocker = locks_conflict_at(e->table, k, store_key, *pending ? ACCESS_ADD : ACCESS_WRITE, e->self);
    return e->blocker != NULL ? STATUS_BLOCKED : STATUS_OK;
}

static enum status do_add(struct evaluation *e, size_t index)
{
    const struct txn_op *op = &e->ops[index];
    struct pending_add p = {.key = e->keys[index], .add = {.delta = op->delta, .min = op->min, .max = op->max}};
    const struct lock_key *k = locks_find(e->table, p.key);
    bool pending;
    struct found f;
    enum status s = add_is_pending(e, op, k, p.key, &pending);
    if (s == STATUS_OK && pending) {
        if (e->mode == EVALUATE_COMMIT) return STATUS_OK;
        p.folded = k != NULL ? k->folded : 0;
        if (k != NULL && k->folded_known) return do_pending_add(e, index, k, &p);
    }
    if (s == STATUS_OK) s = read_stored(e, p.key, &f);
    if (s != STATUS_OK) return s;
    if (f.exists && f.row.format != ROW_COUNTER) {
        evaluation_refuse(e, STATUS_INVALID, (uint32_t)index);
        return STATUS_OK;
    }
    p.folded = f.exists ? f.row.counter : 0;
    if (pending) return do_pending_add(e, index, k, &p);
    struct row sum = {.format = ROW_COUNTER, .raw = SLICE_EMPTY};
    if (!i128_add(f.exists ? f.row.counter : 0, op->delta, &sum.counter) ||
        (sum.counter < op->min && !MUTANT(guard_ignored)) || sum.counter > op->max) {
        evaluation_refuse(e, STATUS_GUARD_FAILED, (uint32_t)index);
        return STATUS_OK;
    }
    add_write(e, index, false, row_make_counter(e->arena, sum.counter));
    e->writes.items[e->writes.count - 1].counter = true;
    return_value(e, index, &sum);
    return STATUS_OK;
}

static enum status do_put(struct evaluation *e, size_t index)
{
    enum status s = check_access(e, e->keys[index], ACCESS_WRITE);
    if (s == STATUS_OK) add_write(e, index, false, new_row(e, index));
    return s;
}

static enum status do_revise(struct evaluation *e, size_t index)
{
    const struct txn_op *op = &e->ops[index];
    char text[I128_TEXT_MAX];
    struct found f;
    struct revised before = {.value = SLICE_EMPTY}, after = {.count = 1, .lease = op->lease, .value = op->value};
    enum status s = read_row(e, e->keys[index], ACCESS_WRITE, &f);
    if (s != STATUS_OK) return s;
    if (!f.exists && (op->keeps_value || op->keeps_lease)) {
        evaluation_refuse(e, STATUS_NOT_FOUND, (uint32_t)index);
        return STATUS_OK;
    }
    if (f.exists) {
        before = revised_read(row_value(&f.row, text), f.version);
        after.created = before.created;
        after.count = before.count + 1;
    }
    if (op->keeps_value) after.value = before.value;
    if (op->keeps_lease) after.lease = before.lease;
    e->results[index].found = f.exists;
    add_write(e, index, false, row_make_raw(e->arena, revised_make(e->arena, &after), 0));
    return STATUS_OK;
}

static enum status do_op(struct evaluation *e, size_t index)
{
    e->results[index] = (struct txn_op_result){.kind = e->ops[index].kind, .version = e->ts, .value = SLICE_EMPTY};
    switch (e->ops[index].kind) {
    case TXN_GET: return do_get(e, index);
    case TXN_PUT: return do_put(e, index);
    case TXN_DELETE: return do_delete(e, index);
    case TXN_INSERT: return do_insert(e, index);
    case TXN_ADD: return do_add(e, index);
    case TXN_REVISE: return do_revise(e, index);
    }
    BUG("operation");
}

/* A write for each operation and some besides: room for all of them is made once. */
static void make_room(struct evaluation *e)
{
    e->writes.count = 0;
    e->writes.items = arena_alloc(e->arena, (e->op_count + WRITES_BESIDES) * sizeof(*e->writes.items));
    e->results = arena_zalloc(e->arena, e->op_count * sizeof(*e->results));
    e->written = arena_zalloc(e->arena, e->op_count * sizeof(*e->written));
    e->adds = arena_alloc(e->arena, e->op_count * sizeof(*e->adds));
    e->keys = arena_alloc(e->arena, e->op_count * sizeof(*e->keys));
    e->add_count = e->add_bytes = 0;
    e->order = NULL;
}

/* The view is told of what will be read a little before it is. */
static void tell_soon(const struct evaluation *e, size_t index, bool next)
{
    if (e->view->soon != NULL && e->ops[index].kind != TXN_PUT) e->view->soon(e->view->ctx, e->keys[index], next);
}

static void make_key(struct evaluation *e, size_t index)
{
    e->keys[index] = key_make_data(e->arena, e->t.keyspace, e->ops[index].key);
    tell_soon(e, index, false);
}

enum status evaluation_branch(struct evaluation *e, const struct txn_op *ops, size_t count)
{
    evaluation_set_branch(e, ops, count);
    make_room(e);
    bool missed = false; /* as with compares */
    size_t keys = 0, near = 0;
    for (size_t i = 0; i < count; i++) {
        while (keys < count && keys <= i + KEYS_AHEAD) make_key(e, keys++);
        while (near < count && near <= i + KEYS_NEAR) tell_soon(e, near++, true);
        enum status s = do_op(e, i);
        if (s == STATUS_MISS) {
            missed = true;
            continue;
        }
        if (s == STATUS_OK && !evaluation_refused(e)) continue;
        if (missed) return STATUS_MISS;
        e->writes.count = e->add_count = 0;
        return s;
    }
    if (missed) return STATUS_MISS;
    e->result.ops = e->results;
    e->result.op_count = count;
    return STATUS_OK;
}

/* --- idempotency --- */

static void append_result(const struct txn_result *r, struct buf *result)
{
    txn_result_encode(r, result);
    ASSERT(!result->overflow);
}

enum status evaluation_look_up_id(struct evaluation *e, const struct request_hash *hash, struct slice row_key,
                                  struct buf *result, bool *answered)
{
    *answered = false;
    struct txn_stored stored = {.value = SLICE_EMPTY};
    enum status s = check_access(e, row_key, ACCESS_WRITE);
    if (s == STATUS_OK) s = e->view->get(e->view->ctx, row_key, &stored);
    if (s == STATUS_OK && MUTANT(id_not_looked_up)) s = STATUS_NOT_FOUND;
    if (s == STATUS_NOT_FOUND) return STATUS_OK;
    if (s != STATUS_OK) return s;
    if (idempotency_row_expires(stored.version) <= e->ts) {
        COVER("txn.id_expired");
        return STATUS_OK;
    }
    struct request_hash then;
    struct slice answer;
    s = idempotency_row_decode(stored.value, &then, &answer);
    if (s != STATUS_OK) return s;
    *answered = true;
    if (hash->first != then.first || hash->second != then.second) {
        COVER("txn.id_reused");
        evaluation_refuse(e, STATUS_ID_REUSED, TXN_NO_INDEX);
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

/* --- a plain transaction --- */

void evaluation_begin(struct evaluation *e, const struct txn_view *view, struct arena *arena, uint64_t ts)
{
    *e = (struct evaluation){.view = view, .arena = arena, .ts = ts, .until = ROW_NEVER_EXPIRES};
    e->result = (struct txn_result){.status = STATUS_OK, .ts = ts, .failed_index = TXN_NO_INDEX};
}

static enum status evaluate_branch(struct evaluation *e)
{
    uint32_t failed = TXN_NO_INDEX;
    enum status s = evaluation_compares(e, &e->result.succeeded, &failed);
    if (s != STATUS_OK) return s;
    if (e->result.succeeded) return evaluation_branch(e, e->t.ops, e->t.op_count);
    s = evaluation_branch(e, e->t.else_ops, e->t.else_count);
    if (e->t.else_count == 0) evaluation_refuse(e, STATUS_CONDITION_FAILED, failed);
    return s;
}

enum status evaluation_plain(struct evaluation *e, struct slice encoded, struct buf *result)
{
    struct slice id_key = SLICE_EMPTY;
    struct request_hash hash = {0};
    bool has_id = !txn_id_is_none(&e->t.id), answered = false, missed = false;
    if (has_id) {
        hash = request_hash_of(encoded);
        id_key = key_make_idempotency(e->arena, e->t.keyspace, txn_anchor(&e->t), &e->t.id);
        enum status s = evaluation_look_up_id(e, &hash, id_key, result, &answered);
        missed = s == STATUS_MISS;
        if ((s != STATUS_OK && !missed) || answered) return s;
    }
    enum status s = evaluate_branch(e);
    if (missed) return STATUS_MISS;
    if (s != STATUS_OK) return s;
    if (evaluation_refused(e)) ASSERT(e->writes.count == 0);
    size_t mark = result->size;
    append_result(&e->result, result);
    struct slice answer = slice_make(result->data + mark, result->size - mark);
    ASSERT(answer.size <= TXN_RESULT_BYTES_MAX);
    if (has_id && !(evaluation_refused(e) && MUTANT(refusal_not_remembered))) {
        struct slice row = idempotency_row_make(e->arena, hash, answer);
        evaluation_write(e, (struct txn_write){.key = id_key, .value = row});
    }
    return STATUS_OK;
}

enum status txn_evaluate(struct slice encoded, uint64_t ts, const struct txn_view *view, struct arena *arena,
                         struct txn_writes *writes, struct buf *result)
{
    ASSERT(!result->overflow);
    struct evaluation e;
    evaluation_begin(&e, view, arena, ts);
    *writes = (struct txn_writes){.count = 0};
    size_t before = result->size;
    if (txn_decode(encoded, arena, &e.t, NULL) != STATUS_OK) {
        evaluation_refuse(&e, STATUS_INVALID, TXN_NO_INDEX);
        append_result(&e.result, result);
        return STATUS_OK;
    }
    enum status s = evaluation_plain(&e, encoded, result);
    if (s == STATUS_OK) *writes = e.writes;
    if (s != STATUS_OK) ASSERT(result->size == before);
    return s;
}
