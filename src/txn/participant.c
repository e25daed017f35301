/* What each entry of a range's log does: docs/transactions.md, "A participant". All reads come first: when the view stops the
 * evaluation, nothing has happened; then rows to write and table change together.
 *
 *   plain    -> evaluate --> rows; adds beside undecided reservations --> COMMITTED at once, to be folded
 *   PREPARE  -> known? its vote again | answered before? ANSWERED | evaluate --> YES: PREPARED | NO: ABORTED
 *   DECIDE   -> PREPARED? commit: rows at c, COMMITTED; abort: ABORTED; then what waited is folded
 *   SEAL     -> known? its vote | ABORTED
 *   FORGET   -> COMMITTED and folded? gone, or SETTLED when its coordinator may not know yet
 *   any of the first two that meets a lock: blocked, nothing done */
#include "base/assert.h"
#include "base/mutant.h"
#include "txn/evaluate_int.h"

#include <stdlib.h>

enum { TOMBSTONES_PER_ENTRY = 4 };

struct applying {
    struct txn_table *t;
    const struct txn_entry *entry;
    const struct txn_view *view;
    struct arena *arena;
    struct buf *answer;
    struct txn_write *items;
    size_t count, capacity;
    struct held **changed; /* held transactions whose row has to be written again */
    size_t changed_count, changed_capacity;
};

static void put_write(struct applying *a, struct txn_write w)
{
    if (a->count == a->capacity) {
        size_t capacity = a->capacity == 0 ? 8 : a->capacity * 2;
        struct txn_write *items = arena_alloc(a->arena, capacity * sizeof(*items));
        if (a->count > 0) memcpy(items, a->items, a->count * sizeof(*items));
        a->items = items;
        a->capacity = capacity;
    }
    a->items[a->count++] = w;
}

static void put_writes(struct applying *a, const struct txn_writes *w, uint64_t ts)
{
    for (size_t i = 0; i < w->count; i++) {
        struct txn_write one = w->items[i];
        one.ts = ts;
        put_write(a, one);
    }
}

static void put_held_row(struct applying *a, const struct txn_id *id, struct slice row)
{
    const struct txn_entry *e = a->entry;
    put_write(a, (struct txn_write){.is_delete = row.size == 0,
                                    .by_index = true,
                                    .ts = e->index,
                                    .key = key_make_held(a->arena, e->keyspace, e->range_start, id),
                                    .value = arena_dup_slice(a->arena, row)});
}

static struct held *install(struct applying *a, const struct txn_id *id, const struct held_row *r)
{
    struct held *h;
    if (table_install(a->t, id, held_row_make(a->arena, r), a->arena, &h) != STATUS_OK) {
        BUG("a held row that was made a moment ago");
    }
    return h;
}

/* Row and table in one step. */
static struct held *hold_row(struct applying *a, const struct txn_id *id, const struct held_row *r)
{
    struct held *h = install(a, id, r);
    put_held_row(a, id, slice_make(h->row, h->row_size));
    return h;
}

static struct held_row row_of(const struct applying *a, const struct held *h)
{
    struct held_row r;
    if (held_row_decode(slice_make(h->row, h->row_size), a->arena, &r) != STATUS_OK)
        BUG("a held row that is installed");
    return r;
}

static enum status answer_blocked(struct applying *a, const struct held *by)
{
    struct txn_blocked b;
    bool undecided = txn_table_holder(a->t, &by->id, a->arena, &b);
    ASSERT(undecided);
    COVER("txn.blocked");
    txn_blocked_encode(&b, a->answer);
    return STATUS_OK;
}

static struct slice encode_result(struct arena *arena, const struct txn_result *r)
{
    struct buf b;
    buf_init(&b, TXN_RESULT_BYTES_MAX);
    txn_result_encode(r, &b);
    ASSERT(!b.overflow);
    struct slice s = arena_dup_slice(arena, buf_slice(&b));
    buf_free(&b);
    return s;
}

static struct slice encode_vote(struct arena *arena, const struct txn_vote *v)
{
    struct buf b;
    buf_init(&b, 2 * TXN_RESULT_BYTES_MAX);
    txn_vote_encode(v, &b);
    ASSERT(!b.overflow);
    struct slice s = arena_dup_slice(arena, buf_slice(&b));
    buf_free(&b);
    return s;
}

static struct slice refusal(struct arena *arena, enum status status)
{
    struct txn_result r = {.status = status, .failed_index = TXN_NO_INDEX};
    return encode_result(arena, &r);
}

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

/* The counters on which the transaction has reserved, as their rows are. */
static enum status read_counters(struct applying *a, const struct held *h, struct counter **out, size_t *count)
{
    *count = 0;
    *out = arena_alloc(a->arena, h->hold_count * sizeof(**out));
    for (size_t i = 0; i < h->hold_count; i++) {
        if (h->holds[i].mode != HOLD_RESERVED) continue;
        struct counter *c = &(*out)[*count];
        struct txn_stored stored = {.value = SLICE_EMPTY};
        struct row row = {.format = ROW_COUNTER, .raw = SLICE_EMPTY};
        c->key = arena_dup_slice(a->arena, h->holds[i].at->key);
        enum status s = a->view->get(a->view->ctx, c->key, &stored);
        if (s == STATUS_OK) s = row_decode(stored.value, &row);
        if (s != STATUS_OK && s != STATUS_NOT_FOUND) return s;
        if (row.format !=
            ROW_COUNTER) { /* whoever would make it raw is blocked: it had expired when this was reserved */
            ASSERT(row_expires(&row, stored.version) <= h->ts);
            row = (struct row){.format = ROW_COUNTER, .raw = SLICE_EMPTY};
        }
        c->folded = row.counter;
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
        put_write(a,
                  (struct txn_write){.ts = h->txn->ts, .key = c->key, .value = row_make_counter(a->arena, c->folded)});
        note_changed(a, h->txn);
        locks_release(a->t, h);
    }
}

/* The row of a committed transaction tells which of its adds are not folded yet. */
static void write_changed(struct applying *a)
{
    for (size_t i = 0; i < a->changed_count; i++) {
        struct held *h = a->changed[i];
        h->changed = false;
        struct held_row r = row_of(a, h);
        r.add_count = 0;
        ASSERT(h->state != HELD_PREPARED);
        for (size_t j = 0; j < h->hold_count; j++) {
            if (h->holds[j].at == NULL) continue;
            r.adds[r.add_count++] = (struct held_add){.key = h->holds[j].at->key, .delta = h->holds[j].delta};
        }
        if (r.add_count == 0 && r.vote.size == 0) { /* an entry of one range: nobody asks for it */
            put_held_row(a, &h->id, SLICE_EMPTY);
            table_remove(a->t, h);
            continue;
        }
        if (h->state == HELD_SETTLED && r.add_count == 0) {
            (void)hold_row(a, &h->id, &r);
            continue;
        }
        struct slice row = held_row_make(a->arena, &r);
        table_keep_row(h, row);
        put_held_row(a, &h->id, row);
    }
}

static void fold_all(struct applying *a, struct counter *counters, size_t count)
{
    for (size_t i = 0; i < count; i++) fold(a, &counters[i]);
    write_changed(a);
}

/* --- a transaction of one range --- */

/* Its adds on counters with reservations are decided, and wait beside the row. */
static void hold_pending_adds(struct applying *a, const struct evaluation *e)
{
    if (e->add_count == 0) return;
    COVER("escrow.decided_add_waits");
    struct txn_id id = {{0}};
    be_set_u64(id.bytes, a->entry->range_id);
    be_set_u64(id.bytes + 8, a->entry->index);
    struct held_row r = {
        .state = HELD_COMMITTED, .ts = e->ts, .vote = SLICE_EMPTY, .prepare = SLICE_EMPTY, .low = SLICE_EMPTY};
    r.adds = arena_alloc(a->arena, e->add_count * sizeof(*r.adds));
    for (size_t i = 0; i < e->add_count; i++) {
        r.adds[r.add_count++] = (struct held_add){.key = e->adds[i].key, .delta = e->adds[i].add.delta};
    }
    (void)hold_row(a, &id, &r);
}

static enum status apply_plain(struct applying *a)
{
    struct evaluation e;
    evaluation_begin(&e, a->view, a->arena, a->entry->command->ts);
    e.table = a->t;
    size_t before = a->answer->size;
    if (txn_decode(a->entry->command->txn, a->arena, &e.t, NULL) != STATUS_OK) {
        evaluation_refuse(&e, STATUS_INVALID, TXN_NO_INDEX);
        txn_result_encode(&e.result, a->answer);
        return STATUS_OK;
    }
    enum status s = evaluation_plain(&e, a->entry->command->txn, a->answer);
    if (s != STATUS_OK) ASSERT(a->answer->size == before);
    if (s == STATUS_BLOCKED) return answer_blocked(a, e.blocker);
    if (s != STATUS_OK) return s;
    put_writes(a, &e.writes, e.ts);
    hold_pending_adds(a, &e);
    return STATUS_OK;
}

/* --- prepare --- */

static int id_cmp(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct txn_id));
}

/* Old tombstones: a Prepare of theirs would be beyond the horizon. Those of one birth go together, by their ids: the heap's order
 * among them is not the same on all replicas. */
static void drop_tombstones(struct applying *a, uint64_t e)
{
    struct heap *heap = &a->t->tombstones;
    for (unsigned dropped = 0; dropped < TOMBSTONES_PER_ENTRY && heap->count > 0;) {
        uint64_t born = heap_min(heap)->key;
        if (e <= TXN_HORIZON || born >= e - TXN_HORIZON) return;
        struct txn_id *ids = arena_alloc(a->arena, heap->count * sizeof(*ids));
        size_t count = 0;
        while (heap->count > 0 && heap_min(heap)->key == born) {
            struct held *h = HEAP_ENTRY(heap_min(heap), struct held, order);
            ids[count++] = h->id;
            table_remove(a->t, h);
        }
        qsort(ids, count, sizeof(*ids), id_cmp);
        for (size_t i = 0; i < count; i++) put_held_row(a, &ids[i], SLICE_EMPTY);
        dropped += (unsigned)count;
    }
}

static uint32_t place_of(const uint32_t *places, size_t count, uint32_t index)
{
    return index < count ? places[index] : TXN_NO_INDEX;
}

static bool places_fit(const struct txn_places *p, const struct txn *part)
{
    return p->compare_count == part->compare_count && p->op_count == part->op_count &&
           p->else_count == part->else_count;
}

/* What each branch would give. *able: at least one of them can be committed. */
static enum status evaluate_part(struct evaluation *e, const struct txn_prepare *p, struct txn_vote *v, bool *able)
{
    uint32_t failed = TXN_NO_INDEX;
    enum status s = evaluation_compares(e, &v->holds, &failed);
    if (s == STATUS_OK && v->holds) s = evaluation_branch(e, e->t.ops, e->t.op_count);
    if (s != STATUS_OK) return s;
    if (!v->holds) {
        evaluation_refuse(e, STATUS_CONDITION_FAILED, place_of(p->places.compares, p->places.compare_count, failed));
    } else if (evaluation_refused(e)) {
        e->result.failed_index = place_of(p->places.ops, p->places.op_count, e->result.failed_index);
    }
    *able = !evaluation_refused(e);
    e->result.succeeded = v->holds;
    v->then_result = encode_result(e->arena, &e->result);
    if (!p->has_else) return STATUS_OK;
    e->result = (struct txn_result){.status = STATUS_OK, .ts = e->ts, .failed_index = TXN_NO_INDEX};
    s = evaluation_branch(e, e->t.else_ops, e->t.else_count);
    if (s != STATUS_OK) return s;
    if (evaluation_refused(e)) {
        e->result.failed_index = place_of(p->places.elses, p->places.else_count, e->result.failed_index);
    } else {
        *able = true;
    }
    v->else_result = encode_result(e->arena, &e->result);
    return STATUS_OK;
}

/* The refusal that a NO stands for. */
static struct slice refusal_of(const struct txn_vote *v)
{
    return v->has_else && !v->holds ? v->else_result : v->then_result;
}

static void tell_vote(struct applying *a, const struct txn_vote *v)
{
    txn_vote_encode(v, a->answer);
}

/* A commit whose adds wait to be folded is without its vote once it was forgotten (drop); a late question may still come. */
static enum status tell_held(struct applying *a, const struct held *h)
{
    struct held_row r = row_of(a, h);
    struct txn_vote v = {.then_result = SLICE_EMPTY, .else_result = SLICE_EMPTY};
    if (r.vote.size == 0) {
        COVER("txn.asked_after_forget");
        ASSERT(h->state == HELD_COMMITTED);
    } else if (txn_vote_decode(r.vote, a->arena, &v) != STATUS_OK)
        BUG("a vote that was stored");
    if (h->state == HELD_COMMITTED || h->state == HELD_SETTLED) {
        v.kind = VOTE_COMMITTED;
        v.ts = h->ts;
    }
    tell_vote(a, &v);
    return STATUS_OK;
}

/* A final refusal at the anchor is the answer for the client's id at once. */
static void keep_refusal(struct applying *a, const struct txn_prepare *p, const struct txn_vote *v, uint64_t ts)
{
    if (!p->keeps_answer) return;
    struct slice answer = refusal_of(v);
    put_write(a, (struct txn_write){.ts = ts,
                                    .key = key_make_idempotency(a->arena, p->keyspace, p->anchor, &p->client),
                                    .value = idempotency_row_make(a->arena, p->hash, answer)});
}

/* Before the part is looked into. *told: the answer is there. */
static enum status prepare_known(struct applying *a, struct evaluation *e, const struct txn_prepare *p, bool *told)
{
    const struct held *h = table_find(a->t, &p->id);
    uint64_t ts = e->ts;
    *told = true;
    if (h != NULL) return tell_held(a, h);
    if (p->born >= ts || ts - p->born > TXN_HORIZON) {
        COVER("txn.beyond_horizon");
        tell_vote(
            a, &(struct txn_vote){.kind = VOTE_NO, /* at ts: then the coordinator has seen one that is young enough */
                                  .ts = ts,
                                  .then_result = refusal(a->arena, STATUS_RETRY),
                                  .else_result = SLICE_EMPTY});
        return STATUS_OK;
    }
    *told = false;
    if (!p->keeps_answer) return STATUS_OK;
    struct buf stored;
    buf_init(&stored, TXN_RESULT_BYTES_MAX);
    struct slice key = key_make_idempotency(a->arena, p->keyspace, p->anchor, &p->client);
    enum status s = evaluation_look_up_id(e, &p->hash, key, &stored, told);
    if (s == STATUS_OK && *told) {
        struct slice answer = arena_dup_slice(a->arena, buf_slice(&stored));
        tell_vote(a, &(struct txn_vote){.kind = VOTE_ANSWERED, .then_result = answer, .else_result = SLICE_EMPTY});
    }
    buf_free(&stored);
    return s;
}

/* Bytes that no leader proposes: refused on every replica alike. */
static enum status tell_malformed(struct applying *a)
{
    tell_vote(a, &(struct txn_vote){
                     .kind = VOTE_NO, .then_result = refusal(a->arena, STATUS_INVALID), .else_result = SLICE_EMPTY});
    return STATUS_OK;
}

static enum status vote(struct applying *a, struct evaluation *e, const struct txn_prepare *p)
{
    struct txn_vote v = {.kind = VOTE_YES,
                         .ts = e->ts,
                         .has_else = p->has_else,
                         .keeps_answer = p->keeps_answer,
                         .places = p->places,
                         .then_result = SLICE_EMPTY,
                         .else_result = SLICE_EMPTY};
    bool able = false;
    e->mode = EVALUATE_PREPARE;
    e->adds_lock = p->has_else;
    if (p->has_else &&
        !MUTANT(
            untaken_branch_not_checked)) { /* both branches are locked, also what is not looked at because of a refusal */
        e->blocker = table_meets(a->t, &e->t, true);
        if (e->blocker != NULL) return STATUS_BLOCKED;
    }
    enum status s = evaluate_part(e, p, &v, &able);
    if (s != STATUS_OK) return s;
    v.until = e->until == ROW_NEVER_EXPIRES ? 0 : e->until;
    struct held_row r = {.state = HELD_PREPARED, .born = p->born, .ts = e->ts, .prepare = a->entry->command->txn};
    if (!able) {
        v.kind = VOTE_NO;
        r.state = HELD_ABORTED;
        keep_refusal(a, p, &v, e->ts);
    }
    r.vote = encode_vote(a->arena, &v);
    (void)hold_row(a, &p->id, &r);
    tell_vote(a, &v);
    return STATUS_OK;
}

static enum status apply_prepare(struct applying *a)
{
    struct evaluation e;
    struct txn_prepare p;
    bool told;
    evaluation_begin(&e, a->view, a->arena, a->entry->command->ts);
    e.table = a->t;
    if (txn_prepare_decode(a->entry->command->txn, a->arena, &p) != STATUS_OK) return tell_malformed(a);
    if (txn_decode(p.part, a->arena, &e.t, NULL) != STATUS_OK) return tell_malformed(a);
    if (!places_fit(&p.places, &e.t) || e.t.keyspace != p.keyspace) return tell_malformed(a);
    enum status s = prepare_known(a, &e, &p, &told);
    if (s == STATUS_OK && !told) s = vote(a, &e, &p);
    if (s == STATUS_BLOCKED) return answer_blocked(a, e.blocker);
    if (s == STATUS_OK) drop_tombstones(a, e.ts);
    return s;
}

/* --- decide --- */

static void keep_answer(struct applying *a, const struct txn_prepare *p, const struct txn_decide *d, uint64_t ts)
{
    if (!p->keeps_answer || d->answer.size <= TXN_RESULT_REPLAYED_OFFSET || MUTANT(answer_not_kept)) return;
    put_write(a, (struct txn_write){.ts = ts,
                                    .key = key_make_idempotency(a->arena, p->keyspace, p->anchor, &p->client),
                                    .value = idempotency_row_make(a->arena, p->hash, d->answer)});
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
    enum status s = d->use_else ? evaluation_branch(e, e->t.else_ops, e->t.else_count)
                                : evaluation_branch(e, e->t.ops, e->t.op_count);
    if (s == STATUS_OK) ASSERT(!evaluation_refused(e));
    return s;
}

static void committed_adds(struct applying *a, const struct held *h, struct held_row *r)
{
    r->adds = arena_alloc(a->arena, h->hold_count * sizeof(*r->adds));
    for (size_t i = 0; i < h->hold_count; i++) {
        const struct hold *hold = &h->holds[i];
        if (hold->mode != HOLD_RESERVED) continue;
        r->adds[r->add_count++] =
            (struct held_add){.key = arena_dup_slice(a->arena, hold->at->key), .delta = hold->delta};
    }
}

static enum status decide_prepared(struct applying *a, struct held *h, const struct txn_decide *d)
{
    struct held_row old = row_of(a, h);
    struct held_row r = {.state = d->commit ? HELD_COMMITTED : HELD_ABORTED,
                         .born = h->born,
                         .ts = d->commit ? d->ts : h->ts,
                         .vote = old.vote,
                         .prepare = SLICE_EMPTY,
                         .low = SLICE_EMPTY};
    struct slice high;
    struct txn_prepare p;
    struct evaluation e;
    struct counter *counters;
    size_t counter_count;
    if (txn_prepare_decode(old.prepare, a->arena, &p) != STATUS_OK) BUG("a prepare that was stored");
    enum status s = read_counters(a, h, &counters, &counter_count);
    if (s == STATUS_OK && d->commit) s = commit_writes(a, h, &p, d, &e);
    if (s != STATUS_OK) return s;
    keep_answer(a, &p, d, r.ts);
    if (!d->commit && MUTANT(abort_keeps_adds)) committed_adds(a, h, &r);
    if (!d->commit && MUTANT(abort_keeps_adds) && r.add_count > 0) r.state = HELD_COMMITTED;
    if (d->commit) {
        ASSERT(d->ts >= h->ts);
        put_writes(a, &e.writes, d->ts);
        committed_adds(a, h, &r);
        txn_key_span(&e.t, &r.low, &high);
    } else {
        struct txn_vote v = {
            .kind = VOTE_ABORTED, .then_result = refusal(a->arena, STATUS_RETRY), .else_result = SLICE_EMPTY};
        r.vote = encode_vote(a->arena, &v);
    }
    note_changed(a, install(a, &d->id, &r)); /* its row is written once, when it is known what of it is folded */
    fold_all(a, counters, counter_count);
    return STATUS_OK;
}

static enum status apply_decide(struct applying *a)
{
    struct txn_decide d;
    if (txn_decide_decode(a->entry->command->txn, &d) != STATUS_OK) return tell_malformed(a);
    struct held *h = table_find(a->t, &d.id);
    if (MUTANT(commit_at_own_time) && h != NULL) d.ts = h->ts;
    enum status s = h != NULL && h->state == HELD_PREPARED ? decide_prepared(a, h, &d) : STATUS_OK;
    if (s == STATUS_OK) {
        tell_vote(a, &(struct txn_vote){.kind = VOTE_DONE, .then_result = SLICE_EMPTY, .else_result = SLICE_EMPTY});
    }
    return s;
}

/* --- seal, forget --- */

static enum status apply_seal(struct applying *a)
{
    struct txn_seal seal;
    if (txn_seal_decode(a->entry->command->txn, &seal) != STATUS_OK) return tell_malformed(a);
    const struct held *h = table_find(a->t, &seal.id);
    if (h == NULL && MUTANT(seal_leaves_nothing)) {
        tell_vote(a, &(struct txn_vote){.kind = VOTE_ABORTED,
                                        .then_result = refusal(a->arena, STATUS_RETRY),
                                        .else_result = SLICE_EMPTY});
        return STATUS_OK;
    }
    if (h == NULL) {
        COVER("txn.sealed_before_prepare");
        struct txn_vote v = {.kind = VOTE_ABORTED,
                             .ts = a->entry->command->ts,
                             .then_result = refusal(a->arena, STATUS_RETRY),
                             .else_result = SLICE_EMPTY};
        struct held_row r = {
            .state = HELD_ABORTED, .born = seal.born, .vote = encode_vote(a->arena, &v), .prepare = SLICE_EMPTY};
        h = hold_row(a, &seal.id, &r);
    }
    return tell_held(a, h);
}

/* All participants are decided, and its coordinator may not know: until the horizon has passed it is told. */
static void settle(struct applying *a, const struct held *h)
{
    COVER("txn.settled");
    struct held_row r = row_of(a, h);
    r.state = HELD_SETTLED;
    (void)hold_row(a, &h->id, &r);
}

/* Nobody will ask. With adds beside a counter's row it goes by itself when the last one is folded. */
static void drop(struct applying *a, struct held *h)
{
    struct held_row r = row_of(a, h);
    if (r.add_count == 0) {
        put_held_row(a, &h->id, SLICE_EMPTY);
        table_remove(a->t, h);
        return;
    }
    r.state = HELD_COMMITTED;
    r.vote = SLICE_EMPTY;
    (void)hold_row(a, &h->id, &r);
}

static enum status apply_forget(struct applying *a)
{
    struct txn_seal seal;
    if (txn_seal_decode(a->entry->command->txn, &seal) != STATUS_OK) return tell_malformed(a);
    struct held *h = table_find(a->t, &seal.id);
    if (h != NULL && (h->state == HELD_COMMITTED || h->state == HELD_SETTLED)) {
        bool settles = seal.born != 0;
        if (settles && h->state == HELD_COMMITTED) settle(a, h);
        if (!settles) drop(a, h);
    }
    tell_vote(a, &(struct txn_vote){.kind = VOTE_DONE, .then_result = SLICE_EMPTY, .else_result = SLICE_EMPTY});
    return STATUS_OK;
}

enum status txn_table_apply(struct txn_table *t, const struct txn_entry *entry, const struct txn_view *view,
                            struct arena *arena, struct txn_writes *writes, struct buf *answer)
{
    struct applying a = {.t = t, .entry = entry, .view = view, .arena = arena, .answer = answer};
    enum status s = STATUS_INVALID;
    *writes = (struct txn_writes){.count = 0};
    switch (entry->command->kind) {
    case TXN_COMMAND_KIND: s = apply_plain(&a); break;
    case TXN_COMMAND_PREPARE: s = apply_prepare(&a); break;
    case TXN_COMMAND_DECIDE: s = apply_decide(&a); break;
    case TXN_COMMAND_SEAL: s = apply_seal(&a); break;
    case TXN_COMMAND_FORGET: s = apply_forget(&a); break;
    }
    if (s != STATUS_OK) return s;
    ASSERT(!answer->overflow);
    *writes = (struct txn_writes){.items = a.items, .count = a.count};
    return STATUS_OK;
}
