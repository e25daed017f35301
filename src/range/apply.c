/* The apply pipeline: committed entries, in order, evaluated by the machine against the store. An evaluation that needs a
 * block from disk has done nothing; it is repeated when all that it reads is there (apply_reads.c). */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/comparison_int.h"
#include "range/members_int.h"

enum { APPLY_BYTES_MAX = 2 * 1024 * 1024 }; /* per replica and round, for fairness */
enum { PASSING_AHEAD = 8, ENTRIES_AHEAD = 4, ENTRY_AHEAD_BYTES = 512, CACHE_LINE = 64 };

static enum status apply_view_get(void *ctx, struct slice key, struct txn_stored *out)
{
    struct apply_view *v = ctx;
    struct host *h = v->replica->host;
    struct lsm_row row;
    struct lsm_miss miss;
    enum status s;
    if (apply_reads_find(v->replica, key, out, &s)) return s;
    s = lsm_get(h->lsm, key, LSM_TS_MAX, &row, &miss);
    if (s == STATUS_MISS) {
        lsm_miss_drop(&miss);
        apply_reads_want(v->replica, key);
    }
    if (s != STATUS_OK) return s;
    out->version = row.ts;
    out->value = arena_dup_slice(&h->apply_arena, row.value);
    return STATUS_OK;
}

static void apply_view_soon(void *ctx, struct slice key, bool next)
{
    const struct apply_view *v = ctx;
    lsm_soon(v->replica->host->lsm, key, next);
}

static enum status apply_view_newest(void *ctx, struct slice from, struct slice to, uint64_t ts, uint64_t *version)
{
    struct apply_view *v = ctx;
    struct stretch_scan scan = {.from = from, .to = to, .ts = ts};
    struct lsm_miss miss;
    enum status s;
    if (apply_reads_find_stretch(v->replica, &scan, version, &s)) return s;
    buf_init(&scan.at, LSM_KEY_MAX);
    s = stretch_scan_on(v->replica->host, &scan, &miss);
    if (s == STATUS_MISS) {
        lsm_miss_drop(&miss);
        apply_reads_want_stretch(v->replica, &scan);
    }
    buf_free(&scan.at);
    *version = scan.newest;
    return s;
}

static void block_loaded(void *ctx, enum status s)
{
    struct replica *r = ctx;
    r->apply_wait = false;
    r->host->loads--;
    if (s == STATUS_CLOSED) return;
    if (s != STATUS_OK && !(s == STATUS_CORRUPT && r->divergence.damaged)) {
        r->host->env->ops->fatal(r->host->env, "a block that apply needs cannot be read: its table is damaged");
        return;
    }
    host_mark_ready(r->host, r);
    r->host->env->ops->wake(r->host->env);
}

static void apply_wait_for(struct replica *r, struct lsm_miss *miss)
{
    r->apply_wait = true;
    r->host->loads++;
    lsm_load(r->host->lsm, miss, block_loaded, r);
}

/* Proposals that this entry decides: the one at its index, and those of lower terms, which can no longer commit
 * (terms never fall along a log, so an entry of a lower term cannot follow this one). */
static void apply_answer(struct replica *r, const struct raft_entry *e, struct slice answer)
{
    while (r->waits != NULL && !list_empty(&r->waits->proposals)) {
        struct proposal *p = LIST_ENTRY(r->waits->proposals.next, struct proposal, link);
        bool mine = p->index == e->index && (p->term == e->term || MUTANT(answer_of_another_entry));
        if (!mine && p->index > e->index && p->term >= e->term) return;
        list_remove(&p->link);
        r->host->proposals--;
        if (mine) {
            p->done(p, STATUS_OK, false, answer);
        } else {
            COVER("apply.proposal_lost");
            p->done(p, STATUS_NOT_LEADER, false, SLICE_EMPTY);
        }
    }
}

/* Of rows that will be gone soon those of the next writes come to the processor meanwhile. */
static void passing_ahead(const struct txn_writes *w, size_t at)
{
    if (at + PASSING_AHEAD < w->count) __builtin_prefetch(w->items[at + PASSING_AHEAD].place.row);
}

static void apply_write(struct replica *r, const struct raft_entry *e, const struct txn_writes *w, uint64_t ts,
                        const struct range_change *c)
{
    struct host *h = r->host;
    if (w->count > h->write_capacity) {
        h->write_capacity = w->count * 2;
        h->writes = mem_realloc(h->writes, h->write_capacity * sizeof *h->writes);
    }
    size_t count = 0;
    const struct replica *right = c->splits ? map_get(&h->replicas, c->right.desc.id) : NULL;
    if (c->splits && (right == NULL ? members_may_create(h, c->right.desc.id, r->id) : right->unborn))
        lsm_apply_also(h->lsm, c->right.desc.id, BIRTH_INDEX, BIRTH_TERM);
    for (size_t i = 0; i < w->count; i++) {
        const struct txn_write *from = &w->items[i];
        struct lsm_write *to = &h->writes[count];
        passing_ahead(w, i);
        *to = (struct lsm_write){.kind = from->is_delete ? LSM_DELETE : LSM_PUT,
                                 .key = from->key,
                                 .ts = from->ts != 0 ? from->ts : ts,
                                 .value = from->value,
                                 .recent = from->counter};
        if (MUTANT(rows_differ_by_node)) to->ts += h->self->node_id % 2;
        if (from->keep != NULL) {
            *from->keep = lsm_apply_passing_new(h->lsm, to);
        } else if (from->held) {
            lsm_apply_passing(h->lsm, to, from->place);
        } else {
            count++;
        }
    }
    lsm_apply(h->lsm, r->desc->id, e->index, e->term, h->writes, count);
}

static void apply_note_ts(struct replica *r, const struct txn_writes *w, uint64_t ts)
{
    uint64_t newest = w->count > 0 ? ts : 0;
    for (size_t i = 0; i < w->count; i++) {
        if (!w->items[i].by_index && w->items[i].ts > newest) newest = w->items[i].ts;
    }
    if (newest > r->last_ts) r->last_ts = newest;
    if (w->count > 0 && ts != 0) r->bounded = true; /* an entry's own timestamp is above all before it */
    if (newest > r->host->newest_ts) r->host->newest_ts = newest;
}

/* --- the machine's state --- */

void state_at_set(struct replica *r, struct slice key)
{
    struct slice former = r->state_at;
    r->state_at = key.size > 0 ? mem_dup_slice(key) : SLICE_EMPTY;
    if (former.size > 0) mem_free((void *)(uintptr_t)former.data);
}

void replica_state_reset(struct replica *r)
{
    const struct host_owner *o = &r->host->owner;
    if (r->machine_state != NULL) o->machine->state_free(o->machine_ctx, r->machine_state);
    apply_reads_free(r);
    r->machine_state = NULL;
    r->state_loaded = o->machine->state_new == NULL;
    state_at_set(r, SLICE_EMPTY);
}

/* Made when there is something to remember: of thousands of ranges most have nothing. */
static void *machine_state_of(struct replica *r)
{
    const struct host_owner *o = &r->host->owner;
    if (r->machine_state == NULL && o->machine->state_new != NULL)
        r->machine_state = o->machine->state_new(o->machine_ctx, r->desc);
    return r->machine_state;
}

void *replica_machine_state(struct replica *r)
{
    return r->state_loaded && r->state == REPLICA_RUNNING ? machine_state_of(r) : NULL;
}

/* Gives the machine the rows that its state is made of. False: it waits for a block, or cannot go on. */
static bool state_load(struct replica *r)
{
    struct host *h = r->host;
    const struct host_owner *o = &h->owner;
    struct buf prefix, end;
    struct lsm_row row;
    struct lsm_miss miss;
    enum status s;
    buf_init(&prefix, LSM_KEY_MAX);
    buf_init(&end, LSM_KEY_MAX);
    o->machine->state_prefix(o->machine_ctx, r->desc, &prefix);
    buf_append_slice(&end, buf_slice(&prefix));
    ASSERT(end.size > 0 && end.data[end.size - 1] < 0xff);
    end.data[end.size - 1]++;
    struct slice from = r->state_at.size > 0 ? r->state_at : buf_slice(&prefix);
    lsm_settle(h->lsm);
    struct lsm_iter *it = lsm_iter_new(h->lsm, from, buf_slice(&end), LSM_TS_MAX, false);
    do {
        s = lsm_iter_next(it, &row, &miss);
        if (s == STATUS_OK) s = o->machine->state_load(o->machine_ctx, machine_state_of(r), row.key, row.value);
    } while (s == STATUS_OK);
    state_at_set(r, lsm_iter_position(it));
    lsm_iter_free(it);
    buf_free(&prefix);
    buf_free(&end);
    if (s == STATUS_MISS) apply_wait_for(r, &miss);
    bool taken_out = s == STATUS_CORRUPT && r->divergence.damaged; /* damage.c */
    if (s != STATUS_MISS && s != STATUS_END && !taken_out) {
        h->env->ops->fatal(h->env, "the rows of held transactions cannot be read: a table is damaged");
    }
    r->state_loaded = s == STATUS_END;
    if (r->state_loaded) state_at_set(r, SLICE_EMPTY);
    return r->state_loaded;
}

/* STATUS_OK: applied; STATUS_MISS: waits for a block; STATUS_CORRUPT: the replica cannot go on. */
static enum status apply_entry(struct replica *r, const struct raft_entry *e)
{
    struct host *h = r->host;
    struct txn_writes writes = {0};
    struct range_change change = {.effective = false};
    uint64_t ts = 0;
    buf_clear(&h->answer);
    bool config = e->type == RAFT_ENTRY_CONFIG;
    if (comparison_is(e)) {
        apply_write(r, e, &writes, ts, &change);
        divergence_applied(r, e, &writes, ts, SLICE_EMPTY);
        comparison_applied(r, e);
    } else if (config || (e->type == RAFT_ENTRY_COMMAND && change_is(r, e))) {
        arena_reset(&h->apply_arena);
        enum status s = config ? change_config(r, e, &writes, &change) : change_evaluate(r, e, &writes, &change);
        if (s != STATUS_OK) return STATUS_MISS;
        apply_write(r, e, &writes, ts, &change);
        divergence_applied(r, e, &writes, ts, buf_slice(&h->answer));
        if (change.effective) change_carry_out(r, &change);
    } else if (e->type == RAFT_ENTRY_COMMAND) {
        struct apply_view view = {.replica = r};
        struct machine_entry me = {.index = r->row_base + e->index,
                                   .term = e->term,
                                   .desc = r->desc,
                                   .command = e->data,
                                   .state = machine_state_of(r)};
        const struct txn_view rows = {
            .get = apply_view_get, .soon = apply_view_soon, .newest = apply_view_newest, .ctx = &view};
        enum status s;
        do {
            arena_reset(&h->apply_arena);
            s = h->owner.machine->apply(h->owner.machine_ctx, &me, &rows, &h->apply_arena, &writes, &ts, &h->answer);
        } while (s == STATUS_MISS && apply_reads_fetch(r, e));
        if (s == STATUS_MISS) return s;
        if (s == STATUS_CORRUPT && r->divergence.damaged) return s; /* it is taken out (damage.c) */
        if (s != STATUS_OK) {
            h->env->ops->fatal(h->env, "apply cannot read the store: a table is damaged");
            return s;
        }
        if (writes.count > 0 && ts != 0) ASSERT(ts > r->last_ts); /* versions rise along the log, whoever leads */
        apply_write(r, e, &writes, ts, &change);
        apply_note_ts(r, &writes, ts);
        divergence_applied(r, e, &writes, ts, buf_slice(&h->answer));
        if (h->owner.machine->applied != NULL) h->owner.machine->applied(h->owner.machine_ctx, &me, &writes, ts);
    } else {
        apply_write(r, e, &writes, ts, &change);
        divergence_applied(r, e, &writes, ts, SLICE_EMPTY);
    }
    return STATUS_OK;
}

/* It came a while ago, and its bytes may have left the processor since. */
static void entry_soon(const struct raft_entry *e)
{
    for (size_t at = 0; e != NULL && at < e->data.size && at < ENTRY_AHEAD_BYTES; at += CACHE_LINE)
        __builtin_prefetch(e->data.data + at);
}

bool replica_apply(struct replica *r)
{
    struct host *h = r->host;
    if (r->state != REPLICA_RUNNING || r->members.leaving || r->unborn || r->apply_wait || h->env->dead) return false;
    if (h->now_ms >= h->stop_until_ms) return false; /* an entry may ask for blocks, and the end waits for them */
    if (!r->state_loaded && !state_load(r)) return false;
    size_t bytes = 0;
    unsigned count = 0;
    bool waits = false;
    while (r->applied < r->commit) {
        if (h->apply_left == 0 || bytes >= APPLY_BYTES_MAX) break;
        if (r->members.leaving || (!r->state_loaded && !state_load(r))) break; /* the range has changed */
        const struct raft_entry *e = raft_entry_at(r->raft, r->applied + 1);
        ASSERT(e != NULL);
        entry_soon(raft_entry_at(r->raft, r->applied + ENTRIES_AHEAD));
        if (apply_entry(r, e) != STATUS_OK) {
            waits = true; /* for a block, or for another replica (merge.c) */
            break;
        }
        apply_reads_free(r);
        r->applied++;
        count++;
        h->apply_left--;
        bytes += e->data.size;
        apply_answer(r, e, buf_slice(&h->answer));
    }
    if (count > 0) {
        resolved_applied(&r->resolve.state, r->applied);
        raft_step(r->raft, &(struct raft_event){.type = RAFT_EVENT_APPLIED, .now_ms = h->now_ms, .index = r->applied},
                  &h->fx);
        replica_take_effects(r);
    }
    /* Two that wait in vain would wake each other for ever. */
    if (count > 0 || !waits || MUTANT(waiting_wake_each_other)) merge_wake(r);
    /* What a change of the range has emptied is loaded without being asked for: reads of what is resolved, which need it, wake nobody. */
    bool more = r->applied < r->commit || (!r->state_loaded && !MUTANT(change_leaves_unloaded));
    return more && !waits && !r->apply_wait && !h->env->dead;
}

/* Serves the reads whose index has been applied. */
void replica_reads_ready(struct replica *r)
{
    struct replica_waits *waits = r->waits;
    if (r->state != REPLICA_RUNNING || waits == NULL) return;
    LIST_FOR(it, &waits->read_batches)
    {
        struct read_batch *b = LIST_ENTRY(it, struct read_batch, link);
        if (b->index == 0 || (b->index > r->applied && !MUTANT(read_before_apply))) continue;
        list_remove(&b->link);
        struct list *node;
        while ((node = list_pop_front(&b->waits)) != NULL) {
            LIST_ENTRY(node, struct read_wait, link)->by_lease = b->by_lease;
            list_push_back(&waits->reads_late, node);
        }
        mem_free(b);
    }
    struct list round; /* what is called may add to the list */
    list_init(&round);
    struct list *node;
    while ((node = list_pop_front(&waits->reads_late)) != NULL) list_push_back(&round, node);
    while ((node = list_pop_front(&round)) != NULL) {
        struct read_wait *w = LIST_ENTRY(node, struct read_wait, link);
        if (w->index <= r->applied) {
            w->ready(w, STATUS_OK);
        } else {
            list_push_back(&waits->reads_late, node);
        }
    }
}
