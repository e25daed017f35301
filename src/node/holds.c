/* What this node holds, for whoever makes the metadata service anew: METHOD_NODE_HOLDS (docs/recovery.md). */
#include "base/assert.h"
#include "node/node_int.h"

struct holds_build {
    struct node_holds_reply *reply;
};

static void hold_tell(void *ctx, struct replica *r)
{
    struct node_holds_reply *reply = ((struct holds_build *)ctx)->reply;
    const struct raft *raft = replica_raft(r);
    if (replica_last_ts(r) > reply->newest_ts) reply->newest_ts = replica_last_ts(r);
    struct held_replica *h = &reply->held[reply->held_count++];
    *h = (struct held_replica){.replica_id = replica_id(r),
                               .term = raft_term(raft),
                               .leads = replica_leads(r),
                               .whole = !raft_blank(raft) && !raft_recovering(raft) && !replica_diverged(r)};
    range_desc_copy(&h->desc, replica_desc(r));
}

void holds_asked(struct node *n, struct rpc_request *req)
{
    if (n->state != NODE_SERVING) {
        rpc_reply_status(req, STATUS_RETRY, "the node is starting or stopping");
        return;
    }
    uint64_t heard_ns = n->catalogue.heard_ns;
    struct node_holds_reply reply = {.node_id = n->self.node_id,
                                     .uuid = slice_make(n->identity.uuid, sizeof n->identity.uuid),
                                     .address = slice_str(n->advertise),
                                     .host = slice_str(n->label),
                                     .cluster = n->self.cluster,
                                     .wall_ms = env_wall_ms(n->env),
                                     .newest_ts = n->newest_ts,
                                     .heard_ms =
                                         heard_ns == 0 ? UINT64_MAX : (env_mono_ns(n->env) - heard_ns) / NS_PER_MS,
                                     .catalogue = n->catalogue.now};
    arena_reset(&n->arena);
    reply.held = arena_alloc(&n->arena, (host_replica_count(n->host) + 1) * sizeof *reply.held);
    host_each_replica(n->host, hold_tell, &(struct holds_build){.reply = &reply});
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES - 65536);
    pack_node_holds_reply(&payload, &reply);
    if (payload.overflow)
        rpc_reply_status(req, STATUS_TOO_LARGE, "what the node holds does not fit one frame");
    else
        rpc_reply(req,
                  &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&payload)});
    buf_free(&payload);
}
