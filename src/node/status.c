/* What a node says of itself: METHOD_NODE_STATUS. */
#include "base/assert.h"
#include "node/node_int.h"

struct status_build {
    struct node_status_reply *reply;
};

static void status_replica(void *ctx, struct replica *r)
{
    struct status_build *b = ctx;
    const struct raft *raft = replica_raft(r);
    b->reply->ranges[b->reply->range_count++] =
        (struct node_range_status){.range_id = replica_group(r),
                                   .role = raft_role(raft),
                                   .leader_replica = raft_leader(raft),
                                   .term = raft_term(raft),
                                   .commit = raft_commit(raft),
                                   .applied = raft_applied(raft),
                                   .log_bytes = raft_log_bytes(raft),
                                   .waits_for = slice_str(replica_waits_for(r))};
}

void node_status(struct node *n, struct rpc_request *req)
{
    struct node_status_reply reply = {.node_id = n->self.node_id,
                                      .uptime_ms = (env_mono_ns(n->env) - n->started_ns) / NS_PER_MS};
    arena_reset(&n->arena);
    reply.disk_free = n->space.free_bytes;
    reply.disk_total = n->space.total_bytes;
    if (n->host != NULL) {
        struct wal_stats log;
        struct lsm_stats store;
        wal_stats(host_log(n->host), &log);
        lsm_stats(host_store(n->host), &store);
        reply.wal_live_bytes = wal_live_bytes(host_log(n->host));
        reply.wal_batches = log.batches;
        reply.wal_write_us_mean = log.batches == 0 ? 0 : log.write_ns_total / log.batches / 1000;
        reply.wal_write_us_max = log.write_ns_max / 1000;
        reply.store_bytes = store.file_bytes;
        reply.store_files = store.files;
        reply.memtable_bytes = store.memtable_bytes;
        struct host_snapshots snapshots = host_snapshots(n->host);
        reply.snapshots_sending = snapshots.sending;
        reply.snapshots_receiving = snapshots.receiving;
        reply.snapshot_bytes = snapshots.bytes;
        reply.snapshot_rate = snapshots.rate;
        reply.pressure = lsm_pressure(host_store(n->host));
        reply.ranges = arena_alloc(&n->arena, (host_replica_count(n->host) + 1) * sizeof *reply.ranges);
        struct status_build build = {.reply = &reply};
        host_each_replica(n->host, status_replica, &build);
    }
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES);
    pack_node_status_reply(&payload, &reply);
    rpc_reply(req, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&payload)});
    buf_free(&payload);
}
