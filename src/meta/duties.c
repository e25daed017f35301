/* What the leader does unasked: it keeps timestamps ahead, judges which nodes live, and makes the keyspace `default` as soon
 * as there are nodes enough. */
#include "base/assert.h"
#include "meta/meta_int.h"

#define DUTIES_EVERY_NS (200 * NS_PER_MS)
#define NODE_SILENT_NS (2000 * NS_PER_MS)

bool meta_node_alive(const struct meta *m, const struct meta_node *n, uint64_t now_ns)
{
    (void)m;
    return n->lost_ms == 0 && n->heard_ns != 0 && now_ns - n->heard_ns < NODE_SILENT_NS;
}

static void default_applied(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    (void)s;
    (void)unknown;
    (void)answer;
    struct meta *m = LIST_ENTRY(p, struct meta, default_proposal);
    m->default_busy = false;
}

static void default_create(struct meta *m)
{
    struct slice name = slice_str("default");
    if (!m->state.has_cluster || m->default_busy || meta_state_keyspace(&m->state, name) != NULL) return;
    arena_reset(&m->arena);
    struct meta_command c = {.kind = META_CMD_KEYSPACE, .keyspace = {.name = name}};
    meta_candidates(m, &c);
    if (c.candidate_count < m->state.cluster.replication) return;
    buf_clear(&m->scratch);
    meta_command_encode(&c, &m->scratch);
    m->default_proposal.done = default_applied;
    m->default_proposal.deadline_ns = DEADLINE_NONE;
    m->default_busy =
        replica_propose(host_replica(m->host, META_GROUP), buf_slice(&m->scratch), &m->default_proposal) == STATUS_OK;
}

/* Ranges whose leader has fallen silent have no known leader. */
static void forget_silent_leaders(struct meta *m, uint64_t now_ns)
{
    for (size_t i = 0; i < m->state.range_count; i++) {
        struct meta_range *r = m->state.ranges[i];
        if (r->leader == 0) continue;
        const struct meta_node *n = meta_state_node(&m->state, r->leader);
        if (n == NULL || !meta_node_alive(m, n, now_ns)) r->leader = 0;
    }
}

uint64_t duties_pass(struct meta *m, uint64_t now_ns)
{
    if (!m->leads || !m->loaded || m->stopping) return DEADLINE_NONE;
    timestamps_step(m);
    uint64_t next = schedule_pass(m, now_ns);
    if (now_ns < m->duties_at_ns) return next < m->duties_at_ns ? next : m->duties_at_ns;
    m->duties_at_ns = now_ns + DUTIES_EVERY_NS;
    default_create(m);
    drops_step(m);
    members_step(m);
    forget_silent_leaders(m, now_ns);
    operators_pass(m, now_ns);
    return next < m->duties_at_ns ? next : m->duties_at_ns;
}
