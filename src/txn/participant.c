/* What each entry of a range's log does: docs/transactions.md, "A participant". All reads come first: when the view stops the
 * evaluation, nothing has happened; then rows to write and table change together.
 *
 *   plain    -> evaluate --> rows; adds beside undecided reservations --> COMMITTED at once, to be folded
 *   PREPARE  -> known? its vote again | answered before? ANSWERED | evaluate --> YES: PREPARED | NO: ABORTED
 *   DECIDE   -> PREPARED? commit: rows at c, COMMITTED; abort: ABORTED; then what waited is folded
 *   SEAL     -> known? its vote | ABORTED
 *   STEPS    -> several of DECIDE and FORGET, in order
 *   PREPARES -> several of PREPARE, in order: prepares.c
 *   FORGET   -> COMMITTED and folded? gone, or SETTLED when its coordinator may not know yet
 *   any of the first two that meets a lock: blocked, nothing done */
#include "base/assert.h"
#include "base/mutant.h"
#include "txn/participant_int.h"

#include <stdlib.h>

enum { TOMBSTONES_PER_PREPARE = 4 };

void apply_put(struct applying *a, struct txn_write w)
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

void apply_put_writes(struct applying *a, const struct txn_writes *w, uint64_t ts)
{
    for (size_t i = 0; i < w->count; i++) {
        struct txn_write one = w->items[i];
        one.ts = ts;
        apply_put(a, one);
    }
}

static struct txn_write held_write(const struct applying *a, const struct txn_id *id, struct place place,
                                   struct slice row)
{
    const struct txn_entry *e = a->entry;
    return (struct txn_write){.is_delete = row.size == 0,
                              .by_index = true,
                              .held = true,
                              .place = place,
                              .ts = e->index,
                              .key = key_make_held(a->arena, e->keyspace, e->range_start, id),
                              .value = row};
}

static void put_held(struct applying *a, struct held *h, struct slice row, struct place *keep)
{
    struct txn_write w = held_write(a, &h->id, h->place, row);
    w.keep = keep;
    h->put_in = a->entry->index + 1;
    h->put_at = a->count;
    apply_put(a, w);
}

/* Once an entry: of several steps the last one's row is written. */
void apply_put_held(struct applying *a, struct held *h, struct slice row)
{
    if (h->put_in == a->entry->index + 1) {
        struct txn_write *w = &a->items[h->put_at];
        ASSERT(w->keep == NULL);
        w->is_delete = row.size == 0;
        w->value = row;
    } else {
        put_held(a, h, row, NULL);
    }
}

static void put_new_held(struct applying *a, struct held *h, struct slice row)
{
    put_held(a, h, row, &h->place);
}

struct held *apply_install(struct applying *a, const struct txn_id *id, const struct held_row *r)
{
    struct held *h;
    if (table_install(a->t, id, held_row_make(a->arena, r), a->arena, &h) != STATUS_OK) {
        BUG("a held row that was made a moment ago");
    }
    return h;
}

/* Row and table in one step. */
struct held *apply_hold(struct applying *a, const struct txn_id *id, const struct held_row *r)
{
    struct slice row = held_row_make(a->arena, r);
    struct held *h;
    if (table_install(a->t, id, row, a->arena, &h) != STATUS_OK) BUG("a held row that was made a moment ago");
    apply_put_held(a, h, row);
    return h;
}

struct held_row apply_row_of(const struct applying *a, const struct held *h)
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

/* Room in the arena for something encoded. */
static struct buf room(struct arena *arena, size_t size)
{
    return (struct buf){.data = arena_alloc(arena, size), .capacity = size, .max = size};
}

static struct slice encode_result(struct arena *arena, const struct txn_result *r)
{
    size_t size = 32;
    for (size_t i = 0; i < r->op_count; i++) size += 24 + r->ops[i].value.size;
    struct buf b = room(arena, size);
    txn_result_encode(r, &b);
    ASSERT(!b.overflow);
    return buf_slice(&b);
}

struct slice apply_encode_vote(struct arena *arena, const struct txn_vote *v)
{
    const struct txn_places *p = &v->places;
    size_t numbers = 3 + p->compare_count + p->op_count + p->else_count;
    struct buf b = room(arena, 64 + 10 * numbers + v->then_result.size + v->else_result.size);
    txn_vote_encode(v, &b);
    ASSERT(!b.overflow);
    return buf_slice(&b);
}

struct slice apply_refusal(struct arena *arena, enum status status)
{
    struct txn_result r = {.status = status, .failed_index = TXN_NO_INDEX};
    return encode_result(arena, &r);
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
    put_new_held(a, apply_install(a, &id, &r), held_row_make(a->arena, &r));
    for (size_t i = 0; i < e->add_count; i++) locks_know_folded(a->t, e->adds[i].key, e->adds[i].folded);
}

static enum status apply_plain(struct applying *a)
{
    struct evaluation e;
    evaluation_begin(&e, a->view, a->arena, a->entry->command->ts);
    e.table = a->t;
    size_t before = a->answer->size;
    if (txn_decode(a->body, a->arena, &e.t, NULL) != STATUS_OK) {
        evaluation_refuse(&e, STATUS_INVALID, TXN_NO_INDEX);
        txn_result_encode(&e.result, a->answer);
        return STATUS_OK;
    }
    enum status s = evaluation_plain(&e, a->body, a->answer);
    if (s != STATUS_OK) ASSERT(a->answer->size == before);
    if (s == STATUS_BLOCKED) return answer_blocked(a, e.blocker);
    if (s != STATUS_OK) return s;
    apply_put_writes(a, &e.writes, e.ts);
    hold_pending_adds(a, &e);
    return STATUS_OK;
}

/* --- prepare --- */

struct gone {
    struct txn_id id;
    struct place place; /* of its row */
};

static int gone_cmp(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct txn_id));
}

/* Old tombstones: a Prepare of theirs would be beyond the horizon. Those of one birth go together, by their ids: the heap's order
 * among them is not the same on all replicas. */
void apply_drop_tombstones(struct applying *a, uint64_t e, size_t prepares)
{
    struct heap *heap = &a->t->tombstones;
    for (size_t dropped = 0; dropped < prepares * TOMBSTONES_PER_PREPARE && heap->count > 0;) {
        uint64_t born = heap_min(heap)->key;
        if (e <= TXN_HORIZON || born >= e - TXN_HORIZON) return;
        struct gone *gone = arena_alloc(a->arena, heap->count * sizeof(*gone));
        size_t count = 0;
        while (heap->count > 0 && heap_min(heap)->key == born) {
            struct held *h = HEAP_ENTRY(heap_min(heap), struct held, order);
            gone[count++] = (struct gone){.id = h->id, .place = h->place};
            table_remove(a->t, h);
        }
        qsort(gone, count, sizeof(*gone), gone_cmp);
        for (size_t i = 0; i < count; i++) apply_put(a, held_write(a, &gone[i].id, gone[i].place, SLICE_EMPTY));
        dropped += count;
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

void apply_tell(struct applying *a, const struct txn_vote *v)
{
    txn_vote_encode(v, a->answer);
}

/* A commit whose adds wait to be folded is without its vote once it was forgotten (drop); a late question may still come, and a
 * late Forget of another router that settles it before. */
enum status apply_tell_held(struct applying *a, const struct held *h)
{
    struct held_row r = apply_row_of(a, h);
    struct txn_vote v = {.then_result = SLICE_EMPTY, .else_result = SLICE_EMPTY};
    if (r.vote.size == 0) {
        COVER("txn.asked_after_forget");
        ASSERT(h->state == HELD_COMMITTED || (h->state == HELD_SETTLED && !MUTANT(settled_not_told)));
    } else if (txn_vote_decode(r.vote, a->arena, &v) != STATUS_OK)
        BUG("a vote that was stored");
    if (h->state == HELD_COMMITTED || h->state == HELD_SETTLED) {
        v.kind = VOTE_COMMITTED;
        v.ts = h->ts;
    }
    apply_tell(a, &v);
    return STATUS_OK;
}

/* A final refusal at the anchor is the answer for the client's id at once. */
static void keep_refusal(struct applying *a, const struct txn_prepare *p, const struct txn_vote *v, uint64_t ts)
{
    if (!p->keeps_answer) return;
    struct slice answer = refusal_of(v);
    apply_put(a, (struct txn_write){.ts = ts,
                                    .key = key_make_idempotency(a->arena, p->keyspace, p->anchor, &p->client),
                                    .value = idempotency_row_make(a->arena, p->hash, answer)});
}

/* Before the part is looked into. *told: the answer is there. */
static enum status prepare_known(struct applying *a, struct evaluation *e, const struct txn_prepare *p, bool *told)
{
    const struct held *h = table_find(a->t, &p->id);
    uint64_t ts = e->ts;
    *told = true;
    if (h != NULL) return apply_tell_held(a, h);
    if (p->born >= ts || ts - p->born > TXN_HORIZON) {
        COVER("txn.beyond_horizon");
        apply_tell(
            a, &(struct txn_vote){.kind = VOTE_NO, /* at ts: then the coordinator has seen one that is young enough */
                                  .ts = ts,
                                  .then_result = apply_refusal(a->arena, STATUS_RETRY),
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
        apply_tell(a, &(struct txn_vote){.kind = VOTE_ANSWERED, .then_result = answer, .else_result = SLICE_EMPTY});
    }
    buf_free(&stored);
    return s;
}

/* Bytes that no leader proposes: refused on every replica alike. */
enum status apply_tell_malformed(struct applying *a)
{
    apply_tell(a, &(struct txn_vote){.kind = VOTE_NO,
                                     .then_result = apply_refusal(a->arena, STATUS_INVALID),
                                     .else_result = SLICE_EMPTY});
    return STATUS_OK;
}

/* Its row, now and when it has committed and its adds wait. */
static bool fits_row(const struct applying *a, const struct evaluation *e, struct slice vote)
{
    return HELD_HEAD_BYTES + vote.size + a->body.size + e->add_bytes <= HELD_ROW_MAX;
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
    struct held_row r = {.state = HELD_PREPARED, .born = p->born, .ts = e->ts, .prepare = a->body};
    r.vote = apply_encode_vote(a->arena, &v);
    if (able && !fits_row(a, e, r.vote)) {
        COVER("txn.part_too_large");
        able = false;
        v.then_result = v.else_result = apply_refusal(a->arena, STATUS_TOO_LARGE);
    }
    if (!able) {
        v.kind = VOTE_NO;
        r.state = HELD_ABORTED;
        keep_refusal(a, p, &v, e->ts);
        r.vote = apply_encode_vote(a->arena, &v);
    }
    if (able) {
        struct slice row = held_row_make(a->arena, &r);
        put_new_held(a, table_install_prepared(a->t, row, &r, p, &e->t, a->arena), row);
    } else {
        (void)apply_hold(a, &p->id, &r);
    }
    for (size_t i = 0; able && i < e->add_count; i++) locks_know_folded(a->t, e->adds[i].key, e->adds[i].folded);
    buf_append_slice(a->answer, r.vote);
    return STATUS_OK;
}

bool apply_read_prepare(struct applying *a, struct txn_prepare *p, struct txn *part)
{
    if (txn_prepare_decode(a->body, a->arena, p) != STATUS_OK) return false;
    if (txn_decode(p->part, a->arena, part, NULL) != STATUS_OK) return false;
    return places_fit(&p->places, part) && part->keyspace == p->keyspace;
}

enum status apply_judge(struct applying *a, const struct txn_prepare *p, const struct txn *part, uint64_t ts,
                        const struct held **blocker)
{
    struct evaluation e;
    bool told;
    evaluation_begin(&e, a->view, a->arena, ts);
    e.table = a->t;
    e.t = *part;
    enum status s = prepare_known(a, &e, p, &told);
    if (s == STATUS_OK && !told) s = vote(a, &e, p);
    *blocker = e.blocker;
    return s;
}

static enum status apply_prepare(struct applying *a)
{
    struct txn_prepare p;
    struct txn part;
    const struct held *blocker;
    uint64_t ts = a->entry->command->ts;
    if (!apply_read_prepare(a, &p, &part)) return apply_tell_malformed(a);
    enum status s = apply_judge(a, &p, &part, ts, &blocker);
    if (s == STATUS_BLOCKED) return answer_blocked(a, blocker);
    if (s == STATUS_OK) apply_drop_tombstones(a, ts, 1);
    return s;
}

enum status txn_table_apply(struct txn_table *t, const struct txn_entry *entry, const struct txn_view *view,
                            struct arena *arena, struct txn_writes *writes, struct buf *answer)
{
    struct applying a = {
        .t = t, .entry = entry, .body = entry->command->txn, .view = view, .arena = arena, .answer = answer};
    enum status s = STATUS_INVALID;
    *writes = (struct txn_writes){.count = 0};
    switch (entry->command->kind) {
    case TXN_COMMAND_KIND: s = apply_plain(&a); break;
    case TXN_COMMAND_PREPARE: s = apply_prepare(&a); break;
    case TXN_COMMAND_DECIDE: s = apply_decide(&a); break;
    case TXN_COMMAND_SEAL: s = apply_seal(&a); break;
    case TXN_COMMAND_FORGET: s = apply_forget(&a); break;
    case TXN_COMMAND_STEPS: s = apply_steps(&a); break;
    case TXN_COMMAND_PREPARES: s = apply_prepares(&a); break;
    }
    if (s != STATUS_OK) return s;
    ASSERT(!answer->overflow);
    *writes = (struct txn_writes){.items = a.items, .count = a.count};
    return STATUS_OK;
}
