/* Replicas that somebody else asks for: of a range that is new, or of one that has been elsewhere already. */
#include "base/assert.h"
#include "range/members_int.h"

/* A range that was never changed, as it is made with its keyspace: its replicas begin with nothing, all together. */
static bool is_new(const struct range_desc *d)
{
    return d->epoch.version == 1 && d->epoch.conf_ver == 1;
}

/* Its keys are still another's here, who has not applied yet that it gave them away, or who has taken them: docs/ranges.md. */
static bool is_covered(const struct host *h, const struct range_desc *desc)
{
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        if (range_desc_overlaps(&((const struct replica *)value)->desc, desc)) return true;
    }
    return members_cover(h, desc);
}

/* What the store says of it after the log was lost: it is read while the loop waits, once in a disk's life. */
static bool state_of_store(struct host *h, struct range_state *state)
{
    struct buf key;
    struct lsm_row row;
    struct lsm_miss miss;
    struct range_state found;
    buf_init(&key, LSM_KEY_MAX);
    key_encode_range(&key, state->desc.keyspace, state->desc.start);
    lsm_set_blocking(h->lsm, true);
    uint64_t id = range_desc_replica(&state->desc, h->self->node_id)->replica_id;
    bool known = lsm_get(h->lsm, buf_slice(&key), LSM_TS_MAX, &row, &miss) == STATUS_OK &&
                 range_state_unpack(arena_dup_slice(&h->decode_arena, row.value), &found) == STATUS_OK;
    const struct range_replica *self = known ? range_desc_replica(&found.desc, h->self->node_id) : NULL;
    known = self != NULL && found.desc.id == state->desc.id && self->replica_id == id;
    if (known) *state = found;
    lsm_set_blocking(h->lsm, false);
    buf_free(&key);
    return known;
}

void host_create_replica(struct host *h, const struct range_desc *desc)
{
    const struct range_replica *self = range_desc_replica(desc, h->self->node_id);
    if (self == NULL || map_get(&h->replicas, desc->id) != NULL || h->stopping) return;
    if (!members_may_create(h, desc->id, self->replica_id)) return;
    if (is_covered(h, desc)) {
        COVER("host.covered");
        return;
    }
    struct range_state state = {.desc = *desc};
    struct raft_restore restore = {0};
    struct replica_birth how = {.creating = true, .record = &state};
    arena_reset(&h->decode_arena);
    if (desc->id < h->lost_below) { /* its votes may have been lost with the log */
        COVER("host.lost_replica");
        how.recovering = "the log was damaged and may have held it";
        restore.recovering = true;
        (void)lsm_durable(h->lsm, desc->id, &restore.snapshot_index, &restore.snapshot_term);
        /* Rows of another replica's, or of a state that is not known, are no beginning. */
        if (restore.snapshot_index > 0 && !state_of_store(h, &state) && !is_new(desc))
            restore.snapshot_index = restore.snapshot_term = 0;
        restore.applied = restore.snapshot_index;
        restore.hard = (struct raft_hard_state){.term = restore.snapshot_term, .commit = restore.snapshot_index};
    }
    restore.blank = restore.snapshot_index == 0 && !is_new(desc);
    if (restore.blank) {
        COVER("host.blank");
    } else {
        replica_config_of(&state.desc, &restore.config);
    }
    struct replica *r = replica_new(h, &state, &restore, &how);
    raft_restore_done(r->raft);
    r->created_batch = h->batch_seq;
    list_push_back(&h->created, &r->ready_link);
    if (is_new(desc) && !restore.recovering && desc->replica_count > 0 && desc->replicas[0].replica_id == r->id)
        r->campaign_at_ms = h->now_ms + h->options.heartbeat_ms;
    replica_record_put(r);
    if (restore.snapshot_index > 0) wal_put_reset(h->wal, desc->id, restore.snapshot_index, restore.snapshot_term);
    if (restore.hard.term > 0)
        wal_put_hard_state(h->wal, desc->id,
                           &(struct wal_hard_state){.term = restore.hard.term, .commit = restore.hard.commit});
    h->env->ops->wake(h->env);
}
