/* A replica that comes into being because its range was split off: docs/ranges.md, "Split".
 *
 *   SPLIT applied --> CREATING --its record is durable--> RUNNING, and leads at once if it is the one that was named
 *
 * After a crash in between, or before the store held its rows: recover.c makes it `unborn` from its record in the log, and
 * SPLIT is applied again. Or its record is lost and the store held it: then the record is found there (a row of the host's own,
 * written in one unit with its rows). In neither case does it lead at birth: it may have led already.
 *
 * One that has left this host before its parent got so far is not made again (members.c). */
#include "base/assert.h"
#include "base/cursor.h"
#include "base/mutant.h"
#include "range/members_int.h"

static void record_put(struct replica *r)
{
    replica_record_put(r);
    wal_put_reset(r->host->wal, r->desc->id, BIRTH_INDEX, BIRTH_TERM);
    wal_put_hard_state(
        r->host->wal, r->desc->id,
        &(struct wal_hard_state){.term = BIRTH_TERM, .vote = replica_lineage(r)->birth.leader, .commit = BIRTH_INDEX});
}

static void inherit(struct replica *child, const struct replica *parent)
{
    child->last_ts = parent->last_ts;
    child->bounded = parent->bounded;
    resolve_inherit(child, parent);
}

static void born_again(struct replica *r, const struct replica *parent, const struct range_state *state)
{
    if (!r->unborn) return; /* its log was lost: it is here from its record, and gets its rows from its leader */
    COVER("range.born_again");
    r->unborn = false;
    replica_set_range(r, state);
    inherit(r, parent);
    host_mark_ready(r->host, r);
}

void birth_row_key(struct buf *key, uint64_t group)
{
    uint8_t *at = buf_extend(key, 10);
    if (at == NULL) return;
    at[0] = 0;
    at[1] = 'b';
    be_set_u64(at + 2, group);
}

void birth_row_value(struct buf *value, const struct range_change *c, uint64_t parent, uint64_t index)
{
    struct buf range;
    buf_init(&range, LIMIT_FRAME_BYTES);
    range_state_pack(&range, &c->right);
    group_record_pack(value, &(struct group_record){.range = buf_slice(&range),
                                                    .recovering = SLICE_EMPTY,
                                                    .birth = {.group = parent, .index = index, .leader = c->leader}});
    buf_free(&range);
}

/* Nobody here knew of the child before log or store were lost, for SPLIT had not committed by then. What had, lies before the fence by which
 * a leader mended the parent: all that was applied here, and all that the map told. */
static bool is_later_than_loss(const struct replica *parent, uint64_t index)
{
    uint64_t mended = replica_lineage(parent)->mended;
    return mended > 0 && (index > mended || MUTANT(born_before_loss_votes));
}

void birth_of(struct replica *parent, const struct range_change *c, uint64_t index)
{
    struct host *h = parent->host;
    const struct range_state *state = &c->right;
    struct replica *r = map_get(&h->replicas, state->desc.id);
    if (r != NULL) {
        born_again(r, parent, state);
        return;
    }
    const struct range_replica *self = range_desc_replica(&state->desc, h->self->node_id);
    if (self == NULL) return; /* this replica is on its way out */
    if (!members_may_create(h, state->desc.id, self->replica_id)) {
        members_refuse_birth(h, &state->desc, self->replica_id);
        return;
    }
    struct raft_restore restore = {.hard = {.term = BIRTH_TERM, .vote = c->leader, .commit = BIRTH_INDEX},
                                   .snapshot_index = BIRTH_INDEX,
                                   .snapshot_term = BIRTH_TERM,
                                   .applied = BIRTH_INDEX};
    struct replica_birth how = {
        .creating = true, .record = state, .birth = {.group = parent->desc->id, .index = index, .leader = c->leader}};
    bool is_news = is_later_than_loss(parent, index);
    if (state->desc.id < h->lost_below && is_news) COVER("range.born_after_loss");
    if (state->desc.id < h->lost_below && !is_news) { /* it was here before, perhaps: its votes were lost */
        COVER("range.born_recovering");
        how.recovering = "log or store was damaged and may have held it";
        restore.recovering = true;
    }
    replica_config_of(&state->desc, &restore.config);
    r = replica_new(h, state, &restore, &how);
    raft_restore_done(r->raft);
    r->leads_at_birth = r->id == c->leader && !restore.recovering;
    inherit(r, parent);
    if (is_news) replica_lineage_of(r)->mended = BIRTH_INDEX;
    r->created_batch = h->batch_seq;
    list_push_back(&h->created, &r->ready_link);
    record_put(r);
    h->env->ops->wake(h->env);
    if (h->owner.changed != NULL) h->owner.changed(h->owner.ctx, r);
}

void birth_durable(struct replica *r)
{
    struct host *h = r->host;
    if (r->leads_at_birth) {
        r->leads_at_birth = false;
        replica_step(r, &(struct raft_event){.type = RAFT_EVENT_BORN});
    }
    waiting_deliver(h, r);
}
