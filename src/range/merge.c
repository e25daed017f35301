/* Two neighbours become one: docs/ranges.md, "Merge". What the entries of the two logs do; who proposes them is node/merge.c.
 *
 * COMMIT is the one entry that looks at another group: at this host's replica of the right range, which must have applied all up to
 * the index at which it is frozen. That it has is the same on every host, sooner or later; until then apply waits. A replica
 * that can never get there, because its disk has lost it, makes the left one lack the rows: it asks for a snapshot. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/members_int.h"
#include "range/snapshot_int.h"

static void become(struct changing *c, enum range_phase phase, uint64_t with, uint64_t version)
{
    struct range_state *s = &c->out->left;
    *s = replica_range(c->r);
    s->merge = (struct range_phase_of){.phase = phase, .with = with, .version = version};
}

static void put_self(struct changing *c)
{
    change_put_state(c, &c->out->left, c->out->left.row_base + c->index);
}

/* --- the left one --- */

static enum status intend(struct changing *c)
{
    if (replica_lineage(c->r)->merge.phase != RANGE_NORMAL || c->command->other == c->r->desc->id) return STATUS_RETRY;
    become(c, RANGE_INTENDING, c->command->other, c->r->desc->epoch.version);
    struct range_state *s = &c->out->left;
    if (c->command->kind == RANGE_INTEND_SINCE && s->end_since == 0) {
        COVER("range.end_since");
        s->end_since = s->desc.epoch.version;
    }
    put_self(c);
    return STATUS_OK;
}

static bool intends(const struct changing *c)
{
    return replica_lineage(c->r)->merge.phase == RANGE_INTENDING &&
           replica_lineage(c->r)->merge.with == c->command->other;
}

static enum status give_up(struct changing *c)
{
    if (!intends(c)) return STATUS_RETRY;
    COVER("range.merge_aborted");
    become(c, RANGE_NORMAL, 0, 0);
    c->out->left.desc.epoch.version++;
    put_self(c);
    return STATUS_OK;
}

/* The rows cannot come from here: the range is served by others until a snapshot has come. */
static void lack_rows(struct replica *r)
{
    COVER("range.merge_lacks_rows");
    log_event(r->host->env->log, LOG_WARN, "range.lacks_rows", "range=%llu index=%llu", (unsigned long long)r->desc->id,
              (unsigned long long)r->applied);
    r->state = REPLICA_DIVERGED;
    r->divergence.at = r->applied > 0 ? r->applied : 1;
    r->divergence.lacking = r->divergence.evidence_kept = true;
    replica_fail_all(r, STATUS_NOT_LEADER, true);
    replica_set_leads(r);
    host_mark_ready(r->host, r);
    merge_wake(r);
}

/* The right one's replica, when it has applied all. NULL: not yet, or never. */
static struct replica *ready_right(struct changing *c)
{
    struct host *h = c->r->host;
    uint64_t f = c->command->index;
    struct replica *right = map_get(&h->replicas, c->command->other);
    bool here = right != NULL && right->state != REPLICA_DIVERGED && !raft_recovering(right->raft);
    if (!here || (right->state == REPLICA_RUNNING && raft_last_index(right->raft) < f)) {
        lack_rows(c->r);
        return NULL;
    }
    bool idle = right->state == REPLICA_RUNNING && !right->unborn && !right->apply_wait;
    if (idle && right->applied >= f && right->state_loaded) {
        if (right->receiving != NULL) { /* its sender may be gone with the range */
            COVER("range.merge_needs_no_snapshot");
            snapshot_recv_abort(right->receiving);
        }
        return right;
    }
    COVER("range.merge_waits");
    if (raft_commit(right->raft) < f && right->state == REPLICA_RUNNING)
        replica_step(right, &(struct raft_event){.type = RAFT_EVENT_PROVEN, .index = f});
    if (raft_commit(right->raft) > right->commit) right->commit = raft_commit(right->raft);
    replica_lineage_of(right)->merge_waiter = c->r->desc->id;
    host_mark_ready(h, right);
    return NULL;
}

static void put_right_gone(struct changing *c, const struct replica *right, uint64_t version)
{
    struct buf key;
    buf_init(&key, LSM_KEY_MAX);
    key_encode_range(&key, right->desc->keyspace, right->desc->start);
    change_put_write(c, (struct txn_write){.is_delete = true,
                                           .by_index = true,
                                           .ts = version,
                                           .key = arena_dup_slice(c->arena, buf_slice(&key)),
                                           .value = SLICE_EMPTY});
    buf_clear(&key);
    birth_row_key(&key, right->desc->id);
    change_put_write(c, (struct txn_write){.is_delete = true,
                                           .by_index = true,
                                           .ts = 2,
                                           .key = arena_dup_slice(c->arena, buf_slice(&key)),
                                           .value = SLICE_EMPTY});
    buf_free(&key);
}

static enum status commit(struct changing *c)
{
    struct replica *r = c->r;
    const struct host_owner *o = &r->host->owner;
    if (!intends(c)) return STATUS_RETRY;
    struct replica *right = ready_right(c);
    if (right == NULL) return STATUS_MISS;
    uint64_t after =
        right->row_base + c->command->index + 1; /* above all that was ever written beside the right's keys */
    become(c, RANGE_NORMAL, 0, 0);
    struct range_state *s = &c->out->left;
    s->desc.end = right->desc->end;
    s->end_since = replica_lineage(right)->end_since;
    if (c->command->version > s->desc.epoch.version) s->desc.epoch.version = c->command->version;
    s->desc.epoch.version++;
    if (s->row_base + c->index < after) s->row_base = after - c->index;
    struct machine_cut cut = {
        .left = r->desc, .right = right->desc, .left_version = s->row_base + c->index, .right_version = after};
    o->machine->join(o->machine_ctx, replica_machine_state(r), replica_machine_state(right), &cut, c->arena, c->writes);
    if (MUTANT(merge_forgets_held)) c->writes->count = 0;
    put_right_gone(c, right, after);
    put_self(c);
    c->out->absorbs = right;
    return STATUS_OK;
}

/* --- the right one --- */

static enum status freeze(struct changing *c)
{
    if (replica_lineage(c->r)->merge.phase != RANGE_NORMAL) return STATUS_RETRY;
    become(c, RANGE_FROZEN, c->command->other, c->command->version);
    c->out->left.merge.frozen_at = c->index;
    c->out->left.desc.epoch.version++;
    put_self(c);
    return STATUS_OK;
}

static enum status thaw(struct changing *c)
{
    const struct range_phase_of *m = &replica_lineage(c->r)->merge;
    if (m->phase != RANGE_FROZEN || m->with != c->command->other || m->version != c->command->version)
        return STATUS_RETRY;
    COVER("range.merge_thawed");
    become(c, RANGE_NORMAL, 0, 0);
    c->out->left.desc.epoch.version++;
    put_self(c);
    return STATUS_OK;
}

enum status merge_evaluate(struct changing *c)
{
    switch (c->command->kind) {
    case RANGE_INTEND:
    case RANGE_INTEND_SINCE: return intend(c);
    case RANGE_FREEZE: return freeze(c);
    case RANGE_COMMIT: return commit(c);
    case RANGE_ABORT: return give_up(c);
    case RANGE_THAW: return thaw(c);
    case RANGE_SPLIT: break;
    }
    BUG("merge command");
}

/* --- what was taken in --- */

struct absorbed {
    struct list link;
    uint64_t group, replica_id, by, index;
    enum { ABSORBED_KEPT, ABSORBED_FORGOTTEN, ABSORBED_DROPPED } state; /* remembered for those who still ask for it */
};
enum { ABSORBED_MAX = 1024 }; /* so many are remembered */

void absorbed_note(struct host *h, uint64_t group, uint64_t replica_id, uint64_t by, uint64_t index)
{
    struct absorbed *a = mem_zalloc(sizeof *a);
    *a = (struct absorbed){.group = group, .replica_id = replica_id, .by = by, .index = index};
    list_init(&a->link);
    list_push_back(&h->absorbed, &a->link);
    h->absorbed_count++;
    members_note_gone(h, group, replica_id);
}

static const struct absorbed *absorbed_find(const struct host *h, uint64_t group)
{
    for (struct list *it = h->absorbed.next; it != &h->absorbed; it = it->next) {
        const struct absorbed *a = LIST_ENTRY(it, struct absorbed, link);
        if (a->group == group) return a;
    }
    return NULL;
}

bool absorbed_is_kept(const struct host *h, uint64_t group)
{
    const struct absorbed *a = absorbed_find(h, group);
    return a != NULL && a->state != ABSORBED_DROPPED;
}

void absorbed_clear(struct host *h)
{
    struct list *it;
    while ((it = list_pop_front(&h->absorbed)) != NULL) mem_free(LIST_ENTRY(it, struct absorbed, link));
}

/* A crash needs the right one's log until the store is durably past the merge. Then the store forgets the group, and when that is
 * durable the log does: it must never know less than the store. A tombstone stays: when who took it in has left, too, nothing else
 * tells that it was here and has voted. */
static bool absorbed_durably(const struct host *h, const struct absorbed *a)
{
    uint64_t index = 0, term;
    if (lsm_durable(h->lsm, a->by, &index, &term)) return index >= a->index || MUTANT(merge_drops_log_early);
    const struct absorbed *by = absorbed_find(h, a->by); /* it was taken in itself: later */
    return by != NULL && by->state != ABSORBED_KEPT;
}

/* Whoever took another in stands behind it: of the first ones nobody speaks any more. */
static void absorbed_trim(struct host *h)
{
    while (h->absorbed_count > ABSORBED_MAX) {
        struct absorbed *oldest = LIST_ENTRY(h->absorbed.next, struct absorbed, link);
        if (oldest->state != ABSORBED_DROPPED) return;
        list_remove(&oldest->link);
        mem_free(oldest);
        h->absorbed_count--;
    }
}

void absorbed_step(struct host *h)
{
    absorbed_trim(h);
    LIST_FOR(it, &h->absorbed)
    {
        struct absorbed *a = LIST_ENTRY(it, struct absorbed, link);
        uint64_t index, term;
        if (a->state == ABSORBED_DROPPED || (a->state == ABSORBED_KEPT && !absorbed_durably(h, a))) continue;
        if (a->state == ABSORBED_KEPT) lsm_group_forget(h->lsm, a->group);
        a->state = ABSORBED_FORGOTTEN;
        if (lsm_durable(h->lsm, a->group, &index, &term) && !MUTANT(merge_drops_log_early)) continue;
        COVER("range.merge_dropped");
        a->state = ABSORBED_DROPPED;
        if (MUTANT(absorbed_without_tombstone)) {
            wal_put_group_dropped(h->wal, a->group);
        } else {
            members_tombstone(h, a->group, a->replica_id);
        }
    }
}

/* Who has its keys in the end. */
static uint64_t absorbed_by(const struct host *h, uint64_t group)
{
    for (const struct absorbed *a; (a = absorbed_find(h, group)) != NULL;) group = a->by;
    return group;
}

struct replica *host_absorber(const struct host *h, uint64_t group)
{
    uint64_t by = absorbed_by(h, group);
    return by == group ? NULL : map_get(&h->replicas, by);
}

void absorbed_leave(struct host *h, uint64_t by)
{
    if (MUTANT(absorbed_left_behind)) return;
    LIST_FOR(it, &h->absorbed)
    {
        struct absorbed *a = LIST_ENTRY(it, struct absorbed, link);
        if (a->state == ABSORBED_DROPPED || absorbed_by(h, a->group) != by) continue;
        COVER("range.absorbed_leaves");
        if (a->state == ABSORBED_KEPT) lsm_group_forget(h->lsm, a->group);
        a->state = ABSORBED_DROPPED;
        members_tombstone(h, a->group, a->replica_id);
    }
}

static void take_in(struct replica *left, struct replica *right, uint64_t index, bool unknown)
{
    struct host *h = left->host;
    log_event(h->env->log, LOG_INFO, "range.merged", "range=%llu right=%llu index=%llu",
              (unsigned long long)left->desc->id, (unsigned long long)right->desc->id, (unsigned long long)index);
    absorbed_note(h, right->desc->id, right->id, left->desc->id, index);
    map_remove(&h->replicas, right->desc->id);
    replica_fail_all(right, STATUS_EPOCH_MISMATCH, unknown);
    resolve_end(right);
    replica_gone(right);
    h->spans_changed = true;
}

void merge_absorb(struct replica *left, struct replica *right, uint64_t index)
{
    COVER("range.merged");
    if (right->last_ts > left->last_ts) left->last_ts = right->last_ts;
    left->bounded = left->bounded && right->bounded;
    resolve_join(left, right, index);
    replica_lineage_of(left)->merged_at = index;
    left->horizon_next.ts = 0;
    if (right->horizon_ts < left->horizon_ts) left->horizon_ts = right->horizon_ts;
    take_in(left, right, index, false); /* all up to the freeze was applied here; behind it nothing has an effect */
}

void merge_absorb_lagging(struct replica *left, struct replica *right, uint64_t index)
{
    take_in(left, right, index, !MUTANT(lagging_told_definite));
}

void merge_wake(struct replica *right)
{
    if (replica_lineage(right)->merge_waiter == 0) return;
    struct lineage *waited = replica_lineage_of(right);
    struct replica *left = map_get(&right->host->replicas, waited->merge_waiter);
    waited->merge_waiter = 0;
    if (left != NULL) host_mark_ready(left->host, left);
}
