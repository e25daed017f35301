/* The end of dropped keyspaces: when the grace has passed by the timestamps that are handed out, the leader proposes it; then their
 * ranges, as long as there are any. One proposal at a time; whatever is not done is seen again at the next look. */
#include "meta/meta_int.h"

static void drop_applied(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    (void)s;
    (void)unknown;
    (void)answer;
    struct meta *m = LIST_ENTRY(p, struct meta, drop_proposal);
    m->drop_busy = false;
}

static bool keyspace_is_known(const struct meta *m, uint32_t id)
{
    for (size_t i = 0; i < m->state.keyspace_count; i++) {
        if (m->state.keyspaces[i].row.id == id) return true;
    }
    return false;
}

/* A keyspace whose time has come. */
static bool next_keyspace(const struct meta *m, struct meta_command *c)
{
    uint64_t now_ts = timestamps_about_now(m);
    for (size_t i = 0; i < m->state.keyspace_count; i++) {
        const struct meta_keyspace *k = &m->state.keyspaces[i];
        if (k->row.dropped_ts == 0 || k->row.destroy_ts > now_ts) continue;
        *c = (struct meta_command){.kind = META_CMD_KEYSPACE_DESTROY,
                                   .destroy = {.name = k->name, .id = k->row.id, .destroy_ts = k->row.destroy_ts}};
        return true;
    }
    return false;
}

static bool next_ranges(struct meta *m, struct meta_command *c)
{
    *c = (struct meta_command){.kind = META_CMD_RANGES_DESTROY};
    c->range_ids = arena_alloc(&m->arena, META_DESTROY_RANGES_MAX * sizeof *c->range_ids);
    for (size_t i = 0; i < m->state.range_count && c->range_id_count < META_DESTROY_RANGES_MAX; i++) {
        const struct range_desc *d = &m->state.ranges[i]->desc;
        if (d->replica_count > 0 && !keyspace_is_known(m, d->keyspace)) c->range_ids[c->range_id_count++] = d->id;
    }
    return c->range_id_count > 0;
}

void drops_step(struct meta *m)
{
    struct meta_command c;
    if (m->drop_busy) return;
    arena_reset(&m->arena);
    if (!next_keyspace(m, &c) && !next_ranges(m, &c)) return;
    buf_clear(&m->scratch);
    meta_command_encode(&c, &m->scratch);
    m->drop_proposal.done = drop_applied;
    m->drop_proposal.deadline_ns = DEADLINE_NONE;
    m->drop_busy =
        replica_propose(host_replica(m->host, META_GROUP), buf_slice(&m->scratch), &m->drop_proposal) == STATUS_OK;
}
