/* The host's part in node-pair liveness (docs/liveness.md): heartbeats and answers over the links, what they mean for the
 * groups, and the clock that leases are read on. The rules are raft/liveness.h's and raft/lease.c's. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/host_int.h"

#define STALL_NS (50 * NS_PER_MS) /* a loop that comes so much too late may have been stopped, and its clock with it */

static struct liveness *node_liveness(const struct host *h, uint64_t node)
{
    struct link *l = node == 0 ? NULL : map_get(&h->links, node);
    return l == NULL ? NULL : link_liveness(l);
}

/* --- what groups see --- */

static uint64_t support_given(const void *ctx, uint64_t id, uint64_t life)
{
    const struct replica *r = ctx;
    const struct liveness *l = node_liveness(r->host, replica_node_of(r, id));
    return l == NULL ? 0 : liveness_given(l, life);
}

static uint64_t support_held(const void *ctx, uint64_t id, uint64_t *lease_until_ns)
{
    const struct replica *r = ctx;
    const struct liveness *l = node_liveness(r->host, replica_node_of(r, id));
    if (l == NULL) return 0;
    *lease_until_ns = l->lease_until_ns;
    return liveness_held(l);
}

void nodes_open(struct host *h)
{
    h->nodes.options = (struct liveness_options){.heartbeat_ns = h->options.heartbeat_ms * NS_PER_MS,
                                                 .support_ns = h->options.support_ms * NS_PER_MS};
    while (h->nodes.options.life == 0)
        h->env->ops->random(h->env, &h->nodes.options.life, sizeof h->nodes.options.life);
    h->nodes.support = (struct raft_support){
        .life = h->nodes.options.life, .long_ms = h->options.support_ms, .given = support_given, .held = support_held};
    uint32_t promised_ms = h->options.support_ms;
    if (h->options.support_before_ms > promised_ms) promised_ms = h->options.support_before_ms;
    h->nodes.silent_until_ms = h->now_ms + promised_ms + 1;
}

/* One pass over all replicas, but only when a node's life has changed. */
static void nodes_changed(struct host *h, uint64_t node, unsigned changed)
{
    uint64_t group;
    void *value;
    if (changed == 0) return;
    log_event(h->env->log, LOG_INFO, "nodes.changed", "node=%llu%s%s%s", (unsigned long long)node,
              (changed & LIVENESS_HELD) != 0 ? " supports us" : "",
              (changed & LIVENESS_LOST) != 0 ? " supports us no more" : "",
              (changed & LIVENESS_WITHDRAWN) != 0 ? " is supported no more" : "");
    if ((changed & (LIVENESS_HELD | LIVENESS_LOST)) != 0) resolve_wake_all(h);
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value) && !h->env->dead;) {
        struct replica *r = value;
        uint64_t leader = raft_leader(r->raft);
        if (leader == r->id) {
            const struct range_replica *other = range_desc_replica(r->desc, node);
            if (other == NULL || (changed & (LIVENESS_HELD | LIVENESS_LOST)) == 0) continue;
            replica_step(r, &(struct raft_event){.type = RAFT_EVENT_SUPPORT, .to = other->replica_id});
        } else if ((changed & LIVENESS_WITHDRAWN) != 0 && leader != 0 && replica_node_of(r, leader) == node) {
            replica_step(r, &(struct raft_event){.type = RAFT_EVENT_RELEASED});
        }
    }
}

/* --- messages --- */

static void send_message(struct link *l, const struct liveness_message *m)
{
    struct buf params;
    buf_init(&params, 64);
    pack_liveness_message(&params, m);
    (void)link_notify(l, METHOD_LIVENESS, buf_slice(&params)); /* a lost one is followed by others */
    buf_free(&params);
}

void host_on_liveness(struct host *h, struct rpc_request *req)
{
    struct liveness_message m, reply;
    bool has_reply = false;
    struct link *l = map_get(&h->links, req->peer_node_id);
    arena_reset(&h->decode_arena);
    enum status s = unpack_liveness_message(req->params, &h->decode_arena, &m);
    uint64_t node = req->peer_node_id;
    rpc_request_drop(req);
    if (s != STATUS_OK || l == NULL) return;
    unsigned changed =
        liveness_receive(link_liveness(l), &h->nodes.options, env_mono_ns(h->env), &m, &reply, &has_reply);
    if (has_reply) send_message(l, &reply);
    nodes_changed(h, node, changed);
    h->env->ops->wake(h->env);
}

/* --- the pass --- */

/* A node whose log does not get on, or that is on its way out, stops asking for support: its leaderships go to others. */
static bool may_ask(const struct host *h, uint64_t now_ns)
{
    if (h->nodes.held || (h->stopping && host_handed_over(h))) return false;
    return !wal_busy(h->wal) || now_ns < wal_busy_since_ns(h->wal) + h->nodes.options.support_ns;
}

static void doubt_after_stall(struct host *h, uint64_t now_ns)
{
    if (h->nodes.pass_due_ns == 0 || now_ns <= h->nodes.pass_due_ns + STALL_NS) return;
    COVER("nodes.stall");
    uint64_t node;
    void *value;
    for (size_t it = 0; map_next(&h->links, &it, &node, &value);) liveness_doubt(link_liveness(value), now_ns);
}

uint64_t nodes_pass(struct host *h, uint64_t now_ns)
{
    uint64_t next = DEADLINE_NONE, node;
    void *value;
    if (h->options.support_ms == 0) return next;
    doubt_after_stall(h, now_ns);
    bool ask = may_ask(h, now_ns);
    for (size_t it = 0; map_next(&h->links, &it, &node, &value) && !h->env->dead;) {
        struct liveness *l = link_liveness(value);
        struct liveness_message m;
        nodes_changed(h, node, liveness_tick(l, now_ns));
        if (ask && liveness_heartbeat(l, &h->nodes.options, env_mono_ns(h->env), &m)) send_message(value, &m);
        uint64_t at = liveness_deadline_ns(l);
        if (at <= now_ns) at = now_ns + h->nodes.options.heartbeat_ns; /* not asked now: the next look is soon enough */
        if (at < next) next = at;
    }
    return next;
}

void host_hold_heartbeats(struct host *h, bool hold)
{
    h->nodes.held = hold;
    h->env->ops->wake(h->env);
}

/* --- leases --- */

bool replica_has_lease(const struct replica *r)
{
    uint64_t until = raft_lease_until_ns(r->raft);
    return until != 0 && r->state == REPLICA_RUNNING && env_mono_ns(r->host->env) < until;
}

uint64_t replica_lease_until_ns(const struct replica *r)
{
    return raft_lease_until_ns(r->raft);
}

bool replica_read_holds(const struct replica *r, const struct read_wait *w)
{
    return !w->by_lease || replica_has_lease(r) || MUTANT(lease_not_seen_to_hold);
}
