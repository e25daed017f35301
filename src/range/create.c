/* Replicas that somebody else asks for: of a range that is new, or of one that has been elsewhere already. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/keys_int.h"
#include "range/members_int.h"

/* A range that was never changed, as it is made with its keyspace: its replicas begin with nothing, all together. */
static bool is_new(const struct range_desc *d)
{
    return d->epoch.version == 1 && d->epoch.conf_ver == 1;
}

/* What the store says of it after the log was lost: it is read while the loop waits, once in a disk's life.
 * STATUS_NOT_FOUND: nothing of this replica; others: it cannot be read. */
static enum status state_of_store(struct host *h, struct range_state *state)
{
    struct range_state found;
    uint64_t id = range_desc_replica(&state->desc, h->self->node_id)->replica_id;
    lsm_set_blocking(h->lsm, true);
    enum status s = recover_state(h, &state->desc, &h->decode_arena, &found);
    lsm_set_blocking(h->lsm, false);
    if (s != STATUS_OK) return s;
    const struct range_replica *self = range_desc_replica(&found.desc, h->self->node_id);
    if (self == NULL || self->replica_id != id) return STATUS_NOT_FOUND;
    *state = found;
    return STATUS_OK;
}

/* Of one that it has taken in rows are here still: it begins without any, and ends the other when its snapshot is installed. The other
 * may be all that this host has, and then nobody else ever makes room: its left neighbour, who should have taken it in, was lost. */
static bool takes_others_in(const struct host *h, const struct range_desc *desc)
{
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        if (keys_claim(value, desc, NULL) == KEYS_TAKEN_IN) return true;
    }
    return false;
}

/* forgotten: why it may have voted and acknowledged what it knows no more; NULL: it has not. */
static void create(struct host *h, const struct range_desc *desc, const char *forgotten)
{
    const struct range_replica *self = range_desc_replica(desc, h->self->node_id);
    if (self == NULL || map_get(&h->replicas, desc->id) != NULL || h->stopping) return;
    if (!members_may_create(h, desc->id, self->replica_id)) return;
    if (!keys_are_free(h, desc, NULL)) { /* docs/ranges.md */
        COVER("host.covered");
        return;
    }
    struct range_state state = {.desc = *desc};
    struct raft_restore restore = {0};
    struct replica_birth how = {.creating = true, .record = &state};
    enum status known = STATUS_NOT_FOUND;
    arena_reset(&h->decode_arena);
    if (forgotten != NULL) {
        COVER("host.lost_replica");
        how.recovering = forgotten;
        restore.recovering = true;
        if (!takes_others_in(h, desc))
            (void)lsm_durable(h->lsm, desc->id, &restore.snapshot_index, &restore.snapshot_term);
        /* Rows of another replica's, or of a state that is not known, are no beginning. */
        if (restore.snapshot_index > 0) known = state_of_store(h, &state);
        if (known != STATUS_OK && (known != STATUS_NOT_FOUND || !is_new(desc)))
            restore.snapshot_index = restore.snapshot_term = 0;
        restore.applied = restore.snapshot_index;
        restore.hard = (struct raft_hard_state){.term = restore.snapshot_term, .commit = restore.snapshot_index};
    }
    restore.blank = restore.snapshot_index == 0 && (known != STATUS_NOT_FOUND || !is_new(desc));
    uint64_t index, term;
    bool stale = restore.blank && known == STATUS_NOT_FOUND && lsm_durable(h->lsm, desc->id, &index, &term);
    if (stale && !MUTANT(cut_rows_remembered)) {
        COVER("host.forgets_first"); /* it is asked for again: a crash would find it with rows that are not all there */
        lsm_group_forget(h->lsm, desc->id);
        host_flush(h);
        return;
    }
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

void host_create_replica(struct host *h, const struct range_desc *desc)
{
    create(h, desc, desc->id < h->lost_below ? "log or store was damaged and may have held it" : NULL);
}

void host_create_forgetful(struct host *h, const struct range_desc *desc, const char *why)
{
    create(h, desc, why);
}
