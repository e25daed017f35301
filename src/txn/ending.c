/* How a transaction over several ranges ends at a participant, and what waited for that: docs/transactions.md, "A participant".
 * Several endings may share an entry: then all reads of all of them come first. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mutant.h"
#include "txn/participant_int.h"

enum { STEPS_AHEAD = 64 };

/* --- folding --- */

static void note_changed(struct applying *a, struct held *h)
{
    if (h->changed) return;
    h->changed = true;
    if (a->changed_count == a->changed_capacity) {
        size_t capacity = a->changed_capacity == 0 ? 8 : a->changed_capacity * 2;
        struct held **items = arena_alloc(a->arena, capacity * sizeof(struct held *));
        if (a->changed_count > 0) memcpy(items, a->changed, a->changed_count * sizeof(struct held *));
        a->changed = items;
        a->changed_capacity = capacity;
    }
    a->changed[a->changed_count++] = h;
}

struct counter {      /* whose reservations an entry may set free */
    struct slice key; /* store key */
    i128 folded;
};

/* What the counter's row holds: known since it was reserved on, unless the replica was opened in between. */
static enum status read_counter(struct applying *a, const struct held *h, const struct lock_key *k, i128 *folded)
{
    struct txn_stored stored = {.value = SLICE_EMPTY};
    struct row row = {.format = ROW_COUNTER, .raw = SLICE_EMPTY};
    *folded = k->folded;
    if (k->folded_known) return STATUS_OK;
    enum status s = a->view->get(a->view->ctx, k->key, &stored);
    if (s == STATUS_OK) s = row_decode(stored.value, &row);
    if (s != STATUS_OK && s != STATUS_NOT_FOUND) return s;
    if (row.format != ROW_COUNTER) { /* whoever would make it raw is blocked: it had expired when this was reserved */
        ASSERT(row_expires(&row, stored.version) <= h->ts);
        row = (struct row){.format = ROW_COUNTER, .raw = SLICE_EMPTY};
    }
    *folded = row.counter;
    return STATUS_OK;
}

/* The counters on which the transaction has reserved, as their rows are. */
static enum status read_counters(struct applying *a, const struct held *h, struct counter **out, size_t *count)
{
    *count = 0;
    *out = arena_alloc(a->arena, h->hold_count * sizeof(**out));
    for (size_t i = 0; i < h->hold_count; i++) {
        if (h->holds[i].mode != HOLD_RESERVED) continue;
        struct counter *c = &(*out)[*count];
        enum status s = read_counter(a, h, h->holds[i].at, &c->folded);
        if (s != STATUS_OK) return s;
        c->key = arena_dup_slice(a->arena, h->holds[i].at->key);
        ++*count;
    }
    return STATUS_OK;
}

/* Decided adds below everything that is undecided go into the row, each at its own timestamp. */
static void fold(struct applying *a, struct counter *c)
{
    for (;;) {
        struct lock_key *k = locks_find(a->t, c->key);
        if (!escrow_open(k)) return;
        struct hold *h = LIST_ENTRY(k->reservations.next, struct hold, link);
        if (h->txn->state == HELD_PREPARED) return;
        if (!i128_add(c->folded, h->delta, &c->folded)) BUG("an add that was judged to fit");
        apply_put(
            a, (struct txn_write){
                   .counter = true, .ts = h->txn->ts, .key = c->key, .value = row_make_counter(a->arena, c->folded)});
        k->folded = c->folded;
        k->folded_known = true;
        note_changed(a, h->txn);
        locks_release(a->t, h);
    }
}

/* The adds that are not in their rows yet. */
static void open_adds(struct applying *a, const struct held *h, struct held_row *r)
{
    r->add_count = 0;
    r->adds = arena_alloc(a->arena, (h->hold_count + 1) * sizeof(*r->adds));
    for (size_t i = 0; i < h->hold_count; i++) {
        const struct hold *hold = &h->holds[i];
        if (hold->mode != HOLD_RESERVED || hold->at == NULL) continue;
        r->adds[r->add_count++] =
            (struct held_add){.key = arena_dup_slice(a->arena, hold->at->key), .delta = hold->delta};
    }
}

/* The row of a committed transaction tells which of its adds are not folded yet. */
static void write_changed(struct applying *a)
{
    for (size_t i = 0; i < a->changed_count; i++) {
        struct held *h = a->changed[i];
        h->changed = false;
        struct held_row r = apply_row_of(a, h);
        ASSERT(h->state != HELD_PREPARED);
        open_adds(a, h, &r);
        if (r.add_count == 0 && r.vote.size == 0) { /* an entry of one range: nobody asks for it */
            apply_put_held(a, h, SLICE_EMPTY);
            table_remove(a->t, h);
            continue;
        }
        if (h->state == HELD_SETTLED && r.add_count == 0) {
            (void)apply_hold(a, &h->id, &r);
            continue;
        }
        struct slice row = held_row_make(a->arena, &r);
        table_keep_row(h, row);
        apply_put_held(a, h, row);
    }
    a->changed_count = 0;
}

static void fold_all(struct applying *a, struct counter *counters, size_t count)
{
    for (size_t i = 0; i < count; i++) fold(a, &counters[i]);
    write_changed(a);
}

/* --- decide --- */

static void keep_answer(struct applying *a, const struct txn_prepare *p, const struct txn_decide *d, uint64_t ts)
{
    if (!p->keeps_answer || d->answer.size <= TXN_RESULT_REPLAYED_OFFSET || MUTANT(answer_not_kept)) return;
    apply_put(a, (struct txn_write){.ts = ts,
                                    .key = key_make_idempotency(a->arena, p->keyspace, p->anchor, &p->client),
                                    .value = idempotency_row_make(a->arena, p->hash, d->answer)});
}

/* All that it does is to add, beside the rows: they are written when the adds are folded. */
static bool only_reserves(const struct held *h)
{
    for (size_t i = 0; i < h->hold_count; i++) {
        if (h->holds[i].mode != HOLD_RESERVED) return false;
    }
    return h->stretches == NULL && !h->commit_reads;
}

/* The rows of the branch, as they were when it was judged: nobody else could touch them. */
static enum status commit_writes(struct applying *a, const struct held *h, const struct txn_prepare *p,
                                 const struct txn_decide *d, struct evaluation *e)
{
    evaluation_begin(e, a->view, a->arena, d->ts);
    e->mode = EVALUATE_COMMIT;
    e->table = a->t;
    e->self = h;
    if (txn_decode(p->part, a->arena, &e->t, NULL) != STATUS_OK) BUG("a part that was prepared");
    if (only_reserves(h)) return STATUS_OK;
    enum status s = d->use_else ? evaluation_branch(e, e->t.else_ops, e->t.else_count)
                                : evaluation_branch(e, e->t.ops, e->t.op_count);
    if (s == STATUS_OK) ASSERT(!evaluation_refused(e));
    return s;
}

static struct slice spans_of(struct arena *arena, const struct txn_prepare *p)
{
    size_t size = 20;
    for (size_t i = 0; i < p->span_count; i++) size += 20 + p->spans[i].low.size + p->spans[i].high.size;
    struct buf b = {.data = arena_alloc(arena, size), .capacity = size, .max = size};
    txn_put_spans(&b, p->keyspace, p->spans, p->span_count);
    ASSERT(!b.overflow);
    return buf_slice(&b);
}

static void commit(struct applying *a, struct held *h, const struct txn_prepare *p, const struct txn_decide *d,
                   struct evaluation *e, struct held_row *r)
{
    struct slice high;
    ASSERT(d->ts >= h->ts);
    apply_put_writes(a, &e->writes, d->ts);
    txn_key_span(&e->t, &r->low, &high);
    r->spans = spans_of(a->arena, p);
    table_commit(a->t, h, d->ts);
}

static void abort_it(struct applying *a, struct held *h, struct held_row *r)
{
    struct txn_vote v = {
        .kind = VOTE_ABORTED, .then_result = apply_refusal(a->arena, STATUS_RETRY), .else_result = SLICE_EMPTY};
    r->vote = apply_encode_vote(a->arena, &v);
    if (MUTANT(abort_keeps_adds)) open_adds(a, h, r);
    if (MUTANT(abort_keeps_adds) && r->add_count > 0) r->state = HELD_COMMITTED;
    (void)apply_install(a, &h->id, r);
}

static enum status decide_prepared(struct applying *a, struct held *h, const struct txn_decide *d)
{
    struct held_row old = apply_row_of(a, h);
    struct held_row r = {.state = d->commit ? HELD_COMMITTED : HELD_ABORTED,
                         .born = h->born,
                         .ts = d->commit ? d->ts : h->ts,
                         .vote = old.vote,
                         .prepare = SLICE_EMPTY,
                         .low = SLICE_EMPTY};
    struct txn_prepare p;
    struct evaluation e;
    struct counter *counters;
    size_t counter_count;
    if (txn_prepare_decode(old.prepare, a->arena, &p) != STATUS_OK) BUG("a prepare that was stored");
    enum status s = read_counters(a, h, &counters, &counter_count);
    if (s == STATUS_OK && d->commit) s = commit_writes(a, h, &p, d, &e);
    if (s != STATUS_OK) return s;
    keep_answer(a, &p, d, r.ts);
    if (d->commit) {
        commit(a, h, &p, d, &e, &r);
    } else {
        abort_it(a, h, &r);
    }
    h->changed = true; /* its row is written once, when it is known what of it is folded */
    fold_all(a, counters, counter_count);
    h->changed = false;
    open_adds(a, h, &r);
    struct slice row = held_row_make(a->arena, &r);
    table_keep_row(h, row);
    apply_put_held(a, h, row);
    return STATUS_OK;
}

static enum status tell_done(struct applying *a, enum status s)
{
    struct txn_vote done = {.kind = VOTE_DONE, .then_result = SLICE_EMPTY, .else_result = SLICE_EMPTY};
    if (s == STATUS_OK) apply_tell(a, &done);
    return s;
}

static enum status decide(struct applying *a, struct txn_decide *d)
{
    struct held *h = table_find(a->t, &d->id);
    if (MUTANT(commit_at_own_time) && h != NULL) d->ts = h->ts;
    return h != NULL && h->state == HELD_PREPARED ? decide_prepared(a, h, d) : STATUS_OK;
}

enum status apply_decide(struct applying *a)
{
    struct txn_decide d;
    if (txn_decide_decode(a->body, &d) != STATUS_OK) return apply_tell_malformed(a);
    return tell_done(a, decide(a, &d));
}

/* --- seal, forget --- */

enum status apply_seal(struct applying *a)
{
    struct txn_seal seal;
    if (txn_seal_decode(a->body, &seal) != STATUS_OK) return apply_tell_malformed(a);
    const struct held *h = table_find(a->t, &seal.id);
    if (h == NULL && MUTANT(seal_leaves_nothing)) {
        apply_tell(a, &(struct txn_vote){.kind = VOTE_ABORTED,
                                         .then_result = apply_refusal(a->arena, STATUS_RETRY),
                                         .else_result = SLICE_EMPTY});
        return STATUS_OK;
    }
    if (h == NULL) {
        COVER("txn.sealed_before_prepare");
        struct txn_vote v = {.kind = VOTE_ABORTED,
                             .ts = a->entry->command->ts,
                             .then_result = apply_refusal(a->arena, STATUS_RETRY),
                             .else_result = SLICE_EMPTY};
        struct held_row r = {
            .state = HELD_ABORTED, .born = seal.born, .vote = apply_encode_vote(a->arena, &v), .prepare = SLICE_EMPTY};
        h = apply_hold(a, &seal.id, &r);
    }
    return apply_tell_held(a, h);
}

/* All participants are decided, and its coordinator may not know: until the horizon has passed it is told. */
static void settle(struct applying *a, const struct held *h)
{
    COVER("txn.settled");
    struct held_row r = apply_row_of(a, h);
    r.state = HELD_SETTLED;
    r.spans = SLICE_EMPTY;
    (void)apply_hold(a, &h->id, &r);
}

/* Nobody will ask. With adds beside a counter's row it goes by itself when the last one is folded. */
static void drop(struct applying *a, struct held *h)
{
    bool open = false;
    for (size_t i = 0; i < h->hold_count; i++) open = open || h->holds[i].at != NULL;
    if (!open) {
        apply_put_held(a, h, SLICE_EMPTY);
        table_remove(a->t, h);
        return;
    }
    struct held_row r = apply_row_of(a, h);
    r.state = HELD_COMMITTED;
    r.vote = r.spans = SLICE_EMPTY;
    (void)apply_hold(a, &h->id, &r);
}

static void forget(struct applying *a, const struct txn_seal *f)
{
    struct held *h = table_find(a->t, &f->id);
    if (h == NULL || (h->state != HELD_COMMITTED && h->state != HELD_SETTLED)) return;
    bool settles = f->born != 0;
    if (settles && h->state == HELD_COMMITTED) settle(a, h);
    if (!settles) drop(a, h);
}

enum status apply_forget(struct applying *a)
{
    struct txn_seal f;
    if (txn_seal_decode(a->body, &f) != STATUS_OK) return apply_tell_malformed(a);
    forget(a, &f);
    return tell_done(a, STATUS_OK);
}

/* --- several of them --- */

/* A view that remembers: what was there when it was first asked for is there again. */
struct remembered {
    struct remembered *same_hash;
    struct slice key;
    struct txn_stored stored;
    bool found;
};
struct memory {
    const struct txn_view *view;
    struct arena *arena;
    struct map by_hash;
};

static enum status memory_get(void *ctx, struct slice key, struct txn_stored *out)
{
    struct memory *m = ctx;
    uint64_t hash = hash_bytes(key, 0);
    struct remembered *first = map_get(&m->by_hash, hash), *r = first;
    while (r != NULL && !slice_eq(r->key, key)) r = r->same_hash;
    if (r == NULL) {
        enum status s = m->view->get(m->view->ctx, key, out);
        if (s != STATUS_OK && s != STATUS_NOT_FOUND) return s;
        r = arena_alloc(m->arena, sizeof(*r));
        *r = (struct remembered){.same_hash = first, .key = key, .stored = *out, .found = s == STATUS_OK};
        (void)map_put(&m->by_hash, hash, r);
    }
    *out = r->stored;
    return r->found ? STATUS_OK : STATUS_NOT_FOUND;
}

/* Reads all that the decision will look at. */
static enum status decision_reads(struct applying *a, const struct txn_decide *d, struct slice body)
{
    const struct held *h = table_find(a->t, &d->id);
    if (h == NULL || h->state != HELD_PREPARED) return STATUS_OK;
    bool known = !h->commit_reads;
    for (size_t i = 0; i < h->hold_count; i++) {
        known = known && (h->holds[i].mode != HOLD_RESERVED || h->holds[i].at->folded_known);
    }
    if (known) return STATUS_OK;
    struct slice *keys;
    struct txn_command c = {.kind = TXN_COMMAND_DECIDE, .txn = body};
    size_t count = txn_table_reads(a->t, &c, a->arena, &keys);
    enum status all = STATUS_OK; /* MISS does not keep the others from being asked for */
    for (size_t i = 0; i < count; i++) {
        struct txn_stored stored = {.value = SLICE_EMPTY};
        enum status s = a->view->get(a->view->ctx, keys[i], &stored);
        if (s == STATUS_MISS) all = s;
        if (s != STATUS_OK && s != STATUS_NOT_FOUND && s != STATUS_MISS) return s;
    }
    return all;
}

/* Those that are named, as far as they can be decoded, come to the processor a few at a time. */
static void steps_soon(const struct applying *a, struct cursor from, struct txn_id *ids)
{
    size_t count = 0;
    struct txn_step step;
    while (count < STEPS_AHEAD && txn_step_next(&from, &step)) {
        struct txn_decide d;
        struct txn_seal f;
        if (step.kind == TXN_COMMAND_FORGET && txn_seal_decode(step.body, &f) == STATUS_OK) ids[count++] = f.id;
        if (step.kind == TXN_COMMAND_DECIDE && txn_decide_decode(step.body, &d) == STATUS_OK) ids[count++] = d.id;
    }
    table_soon(a->t, ids, count);
}

/* *good: each of them can be decoded. */
static enum status steps_read(struct applying *a, bool *good)
{
    struct cursor c = cursor_make(a->body), next = c;
    struct txn_step step;
    struct txn_id ids[STEPS_AHEAD];
    enum status s = STATUS_OK;
    *good = true;
    for (size_t i = 0; (s == STATUS_OK || s == STATUS_MISS) && (next = c, txn_step_next(&c, &step)); i++) {
        struct txn_decide d;
        struct txn_seal f;
        if (i % STEPS_AHEAD == 0) steps_soon(a, next, ids);
        if (step.kind == TXN_COMMAND_FORGET) {
            *good = *good && txn_seal_decode(step.body, &f) == STATUS_OK;
        } else if (txn_decide_decode(step.body, &d) != STATUS_OK) {
            *good = false;
        } else {
            enum status one = decision_reads(a, &d, step.body);
            if (one != STATUS_OK) s = one;
        }
    }
    *good = *good && !c.failed;
    return s;
}

static void step_apply(struct applying *a, const struct txn_step *step)
{
    struct txn_decide d;
    struct txn_seal f;
    if (step->kind == TXN_COMMAND_FORGET) {
        if (txn_seal_decode(step->body, &f) != STATUS_OK) BUG("a Forget that could be decoded");
        forget(a, &f);
    } else {
        if (txn_decide_decode(step->body, &d) != STATUS_OK) BUG("a Decide that could be decoded");
        if (decide(a, &d) != STATUS_OK) BUG("rows that could be read a moment ago");
    }
}

/* Of transactions that are held together none reads what another writes: their locks keep them apart. So no step sees rows of
 * one before it, but for counters, whose sums the table knows. */
enum status apply_steps(struct applying *a)
{
    bool good;
    const struct txn_view *outer = a->view;
    struct memory m = {.view = outer, .arena = a->arena};
    struct txn_view view = {.get = memory_get, .ctx = &m};
    map_init(&m.by_hash);
    a->view = &view;
    enum status s = steps_read(a, &good);
    if (s == STATUS_OK && good) {
        COVER("txn.steps");
        struct cursor c = cursor_make(a->body);
        struct txn_step step;
        while (txn_step_next(&c, &step)) step_apply(a, &step);
    }
    map_free(&m.by_hash);
    a->view = outer;
    if (s != STATUS_OK) return s;
    return good ? tell_done(a, STATUS_OK) : apply_tell_malformed(a);
}
