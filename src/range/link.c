/* The link to one other host: all Raft messages of a pass, of all groups, leave as one frame. */
#include "base/assert.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "range/host_int.h"

struct link {
    struct host *host;
    uint64_t node_id;
    struct rpc_peer *peer; /* small traffic */
    struct rpc_peer *bulk; /* snapshots; NULL until first used */
    struct buf out;        /* array32 header, then envelopes */
    uint32_t count;
    struct liveness liveness;
    bool was_connected;
    bool unfit;
    uint64_t given;
    bool dropped; /* a frame could not be handed to the connection */
    struct link_resolve resolve;
};

enum { LINK_HEADER = 5, LINK_OUT_MAX = 12 * 1024 * 1024, LINK_FRAME_TARGET = 512 * 1024, LINK_IDLE_BYTES = 64 * 1024 };

struct link *link_new(struct host *h, uint64_t node_id, const char *address)
{
    struct link *l = mem_zalloc(sizeof *l);
    l->host = h;
    l->node_id = node_id;
    l->peer = rpc_peer_new(h->env, address, h->self);
    rpc_peer_expect(l->peer, h->self->role, node_id);
    buf_init(&l->out, LINK_OUT_MAX);
    l->resolve.whole = l->resolve.want_whole = true;
    uint64_t grant;
    h->env->ops->random(h->env, &grant, sizeof grant);
    liveness_init(&l->liveness, grant);
    map_put(&h->links, node_id, l);
    return l;
}

void link_free(struct link *l)
{
    if (l == NULL) return;
    rpc_peer_free(l->peer);
    if (l->bulk != NULL) rpc_peer_free(l->bulk);
    buf_free(&l->out);
    mem_free(l);
}

struct liveness *link_liveness(struct link *l)
{
    return &l->liveness;
}

const char *link_address(const struct link *l)
{
    return rpc_peer_address(l->peer);
}

struct rpc_peer *link_bulk(struct link *l)
{
    if (l->bulk == NULL) {
        l->bulk = rpc_peer_new(l->host->env, rpc_peer_address(l->peer), l->host->self);
        rpc_peer_expect(l->bulk, l->host->self->role, l->node_id);
    }
    return l->bulk;
}

/* What was sent to that host may be lost: leaders probe instead of streaming. */
static void link_broke(struct link *l)
{
    struct host *h = l->host;
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        struct replica *r = value;
        const struct range_replica *other = range_desc_replica(r->desc, l->node_id);
        if (other == NULL || raft_role(r->raft) != RAFT_LEADER) continue;
        replica_step(r, &(struct raft_event){.type = RAFT_EVENT_UNREACHABLE, .to = other->replica_id});
    }
}

void link_send(struct host *h, struct replica *r, const struct raft_message *m)
{
    link_send_to(h, replica_node_of(r, m->to), r->desc->id, m);
}

void link_send_to(struct host *h, uint64_t node, uint64_t group, const struct raft_message *m)
{
    struct link *l = node == 0 ? NULL : map_get(&h->links, node);
    if (l == NULL) return; /* not known yet where it is: as good as a lost message */
    if (l->count == 0) {
        buf_clear(&l->out);
        (void)buf_extend(&l->out, LINK_HEADER);
    }
    size_t before = l->out.size;
    pack_raft_envelope(&l->out, &(struct raft_envelope){.group = group, .message = *m});
    if (l->out.overflow) { /* lost as a whole, as a network may lose it */
        l->out.size = before;
        l->out.overflow = false;
        if (l->count == 0)
            log_event(h->env->log, LOG_ERROR, "link.message_too_large", "range=%llu", (unsigned long long)group);
        return;
    }
    l->count++;
    if (l->out.size >= LINK_FRAME_TARGET) link_flush(l);
}

void link_flush(struct link *l)
{
    if (l->count == 0) return;
    l->out.data[0] = 0xdd; /* msgpack array32 */
    be_set_u32(l->out.data + 1, l->count);
    l->count = 0;
    if (!rpc_notify(l->peer, METHOD_RAFT, buf_slice(&l->out))) l->dropped = l->was_connected;
    buf_clear(&l->out);
    if (l->out.capacity > LINK_IDLE_BYTES) buf_free(&l->out);
}

uint64_t link_pass(struct link *l, uint64_t now_ns)
{
    link_flush(l);
    uint64_t next = rpc_peer_pass(l->peer, now_ns);
    bool connected = rpc_peer_connected(l->peer);
    if (l->dropped || (!connected && l->was_connected)) {
        COVER("link.broke");
        l->dropped = false;
        link_broke(l);
    }
    if (!connected) l->resolve.whole = true;
    l->was_connected = connected;
    if (l->bulk != NULL) {
        uint64_t bulk = rpc_peer_pass(l->bulk, now_ns);
        if (bulk < next) next = bulk;
    }
    return next;
}

bool link_connected(const struct link *l)
{
    return rpc_peer_connected(l->peer);
}

bool link_hello(const struct link *l, struct hello *out)
{
    return rpc_peer_hello(l->peer, out) && rpc_peer_connected(l->peer);
}

bool link_unfit(const struct link *l)
{
    return l->unfit;
}
void link_set_unfit(struct link *l, bool unfit)
{
    l->unfit = unfit;
}
uint64_t link_given(const struct link *l)
{
    return l->given;
}
void link_note_given(struct link *l)
{
    l->given++;
}

struct link_resolve *link_resolve(struct link *l)
{
    return &l->resolve;
}
uint64_t link_node(const struct link *l)
{
    return l->node_id;
}

bool link_notify(struct link *l, enum method method, struct slice params)
{
    return rpc_notify(l->peer, method, params);
}

bool host_call(struct host *h, uint64_t node_id, enum method method, struct slice params, uint64_t deadline_ns,
               rpc_done done, void *ctx)
{
    struct link *l = map_get(&h->links, node_id);
    if (l == NULL) return false;
    (void)rpc_call(l->peer, method, params, deadline_ns, done, ctx);
    return true;
}
