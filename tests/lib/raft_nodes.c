#include "lib/raft_nodes.h"

#include "base/assert.h"
#include "base/hash.h"
#include "lib/raft_cluster.h"

#define MS_NS 1000000ull

static struct liveness_options options_of(const struct raft_cluster *c, const struct rc_node *n)
{
    return (struct liveness_options){
        .life = n->life, .heartbeat_ns = c->options.heartbeat_ms * MS_NS, .support_ns = c->support_ms * MS_NS};
}

static uint64_t given(const void *ctx, uint64_t id, uint64_t life)
{
    const struct rc_node *n = ctx;
    return id <= RAFT_CLUSTER_MAX ? liveness_given(&n->pairs[id], life) : 0;
}

static uint64_t held(const void *ctx, uint64_t id, uint64_t *lease_until_ns)
{
    const struct rc_node *n = ctx;
    if (id > RAFT_CLUSTER_MAX) return 0;
    *lease_until_ns = n->pairs[id].lease_until_ns;
    return liveness_held(&n->pairs[id]);
}

void raft_nodes_born(struct raft_cluster *c, struct rc_node *n)
{
    n->life = hash_u64(c->seed * 100 + n->id * 10000 + n->lives) | 1;
    n->support = (struct raft_support){.life = n->life, .long_ms = c->support_ms, .given = given, .held = held};
    for (uint64_t id = 1; id <= RAFT_CLUSTER_MAX; id++) liveness_init(&n->pairs[id], hash_u64(n->life + id) | 1);
}

static void changed(struct raft_cluster *c, uint64_t id, uint64_t other, unsigned bits)
{
    const struct raft *r = raft_cluster_node(c, id)->raft;
    if ((bits & (LIVENESS_HELD | LIVENESS_LOST)) != 0) {
        raft_cluster_step(c, id, (struct raft_event){.type = RAFT_EVENT_SUPPORT, .to = other});
    }
    if ((bits & LIVENESS_WITHDRAWN) != 0 && raft_leader(r) == other) {
        raft_cluster_step(c, id, (struct raft_event){.type = RAFT_EVENT_RELEASED});
    }
}

static void enqueue(struct raft_cluster *c, uint64_t from, uint64_t to, const struct liveness_message *m)
{
    if (c->cut[from][to] || c->beat_count == RC_BEATS_MAX) return;
    c->beats[c->beat_count++] = (struct rc_beat){.from = from, .to = to, .m = *m};
}

void raft_nodes_send(struct raft_cluster *c, uint64_t from, uint64_t to)
{
    struct rc_node *n = raft_cluster_node(c, from);
    struct liveness_message m;
    struct liveness_options o = options_of(c, n);
    if (c->support_ms == 0 || n->raft == NULL || n->mute || from == to) return;
    n->pairs[to].heartbeat_at_ns = 0;
    if (liveness_heartbeat(&n->pairs[to], &o, c->now_ms * MS_NS, &m)) enqueue(c, from, to, &m);
}

void raft_nodes_deliver(struct raft_cluster *c, size_t at)
{
    ASSERT(at < c->beat_count);
    struct rc_beat b = c->beats[at];
    c->beats[at] = c->beats[--c->beat_count];
    struct rc_node *n = raft_cluster_node(c, b.to);
    if (n->raft == NULL) return;
    struct liveness_options o = options_of(c, n);
    struct liveness_message reply;
    bool has_reply;
    unsigned bits = liveness_receive(&n->pairs[b.from], &o, c->now_ms * MS_NS, &b.m, &reply, &has_reply);
    if (has_reply) enqueue(c, b.to, b.from, &reply);
    changed(c, b.to, b.from, bits);
}

void raft_nodes_beat(struct raft_cluster *c)
{
    for (uint64_t a = 1; a <= c->node_count; a++) {
        for (uint64_t b = 1; b <= c->node_count; b++) {
            raft_nodes_send(c, a, b);
            while (c->beat_count > 0) raft_nodes_deliver(c, c->beat_count - 1);
        }
    }
}

void raft_nodes_tick(struct raft_cluster *c, uint64_t id)
{
    struct rc_node *n = raft_cluster_node(c, id);
    if (c->support_ms == 0 || n->raft == NULL) return;
    for (uint64_t other = 1; other <= c->node_count; other++) {
        changed(c, id, other, liveness_tick(&n->pairs[other], c->now_ms * MS_NS));
    }
}

void raft_nodes_run(struct raft_cluster *c)
{
    for (uint64_t id = 1; id <= c->node_count && c->support_ms > 0; id++) {
        const struct rc_node *n = raft_cluster_node(c, id);
        raft_nodes_tick(c, id);
        for (uint64_t other = 1; other <= c->node_count; other++) {
            if (n->pairs[other].heartbeat_at_ns <= c->now_ms * MS_NS) raft_nodes_send(c, id, other);
        }
        while (c->beat_count > 0) raft_nodes_deliver(c, c->beat_count - 1);
    }
}

uint64_t raft_nodes_lease_ms(const struct raft_cluster *c, const struct rc_node *n)
{
    uint64_t until = n->raft == NULL ? 0 : raft_lease_until_ns(n->raft);
    if (until <= c->now_ms * MS_NS) return 0;
    return (until - c->now_ms * MS_NS + MS_NS - 1) / MS_NS;
}

void raft_nodes_check(const struct raft_cluster *c)
{
    const struct rc_node *holder = NULL;
    for (size_t i = 0; i < c->node_count; i++) {
        const struct rc_node *n = &c->nodes[i];
        if (raft_nodes_lease_ms(c, n) == 0) continue;
        if (holder != NULL) raft_cluster_violated(c, n, "two leases at a time", holder->id, n->id);
        holder = n;
        if (raft_commit(n->raft) < c->committed_count) {
            raft_cluster_violated(c, n, "lease without all that is committed", raft_commit(n->raft),
                                  c->committed_count);
        }
    }
}
