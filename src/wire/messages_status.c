/* What a metadata member and a node tell of themselves, and what an admin asks of a node. */
#include "wire/messages_int.h"

#include "base/assert.h"

#define NODE_RANGE_WIRE_MIN 9u

void pack_meta_status_reply(struct buf *b, const struct meta_status_reply *m)
{
    ASSERT(m->member_count <= LIMIT_REPLICAS);
    pack_array(b, 10);
    pack_cluster_id(b, &m->cluster);
    pack_uint(b, m->leader_id);
    pack_uint(b, m->term);
    pack_uint(b, m->applied);
    pack_uint(b, m->map_version);
    pack_uint(b, m->last_timestamp);
    pack_array(b, (uint32_t)m->member_count);
    for (size_t i = 0; i < m->member_count; i++) {
        pack_array(b, 4);
        pack_uint(b, m->members[i].id);
        pack_bin(b, m->members[i].address);
        pack_bool(b, m->members[i].healthy);
        pack_bool(b, m->members[i].votes);
    }
    pack_bin(b, m->group);
    pack_bool(b, m->founded);
    pack_array(b, (uint32_t)m->founders.count);
    for (size_t i = 0; i < m->founders.count; i++) {
        pack_array(b, 2);
        pack_uint(b, m->founders.items[i].id);
        pack_bin(b, slice_make(m->founders.items[i].uuid, sizeof m->founders.items[i].uuid));
    }
}

static void read_founders(struct unpack *u, struct meta_founders *f)
{
    uint32_t count = unpack_array(u);
    if (count > LIMIT_VOTERS) u->failed = true;
    f->count = u->failed ? 0 : count;
    for (size_t i = 0; i < f->count; i++) {
        uint32_t more = unpack_open(u, 2);
        f->items[i].id = unpack_uint(u);
        struct slice uuid = read_bin(u, sizeof f->items[i].uuid, sizeof f->items[i].uuid);
        if (!u->failed) memcpy(f->items[i].uuid, uuid.data, sizeof f->items[i].uuid);
        unpack_close(u, more);
    }
}

static void read_meta_status_reply(struct unpack *u, struct arena *arena, struct meta_status_reply *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 8);
    m->cluster = read_cluster_id(u);
    m->leader_id = unpack_uint(u);
    m->term = unpack_uint(u);
    m->applied = unpack_uint(u);
    m->map_version = unpack_uint(u);
    m->last_timestamp = unpack_uint(u);
    uint32_t count = unpack_array(u);
    if (count > LIMIT_REPLICAS) u->failed = true;
    m->member_count = u->failed ? 0 : count;
    for (size_t i = 0; i < m->member_count; i++) {
        uint32_t more = unpack_open(u, 4);
        m->members[i].id = unpack_uint(u);
        m->members[i].address = read_bin(u, 0, LIMIT_ADDRESS_BYTES);
        m->members[i].healthy = unpack_bool(u);
        m->members[i].votes = unpack_bool(u);
        unpack_close(u, more);
    }
    m->group = read_bin(u, 0, SNAPSHOT_META_MAX);
    if (extra > 1) {
        m->founded = unpack_bool(u);
        read_founders(u, &m->founders);
        extra -= 2;
    }
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_status_reply)

static void pack_node_range(struct buf *b, const struct node_range_status *r)
{
    pack_array(b, 8);
    pack_uint(b, r->range_id);
    pack_uint(b, (uint64_t)r->role);
    pack_uint(b, r->leader_replica);
    pack_uint(b, r->term);
    pack_uint(b, r->commit);
    pack_uint(b, r->applied);
    pack_uint(b, r->log_bytes);
    pack_text(b, r->waits_for);
}

static void read_node_range(struct unpack *u, struct node_range_status *r)
{
    uint32_t extra = unpack_open(u, 8);
    r->range_id = unpack_uint(u);
    r->role = (enum raft_role)read_enum(u, RAFT_FOLLOWER, RAFT_LEADER);
    r->leader_replica = unpack_uint(u);
    r->term = unpack_uint(u);
    r->commit = unpack_uint(u);
    r->applied = unpack_uint(u);
    r->log_bytes = unpack_uint(u);
    r->waits_for = read_bin(u, 0, MESSAGE_TEXT_MAX);
    unpack_close(u, extra);
}

void pack_node_status_reply(struct buf *b, const struct node_status_reply *m)
{
    pack_array(b, 14);
    pack_uint(b, m->node_id);
    pack_uint(b, m->uptime_ms);
    pack_uint(b, m->wal_live_bytes);
    pack_uint(b, m->wal_batches);
    pack_uint(b, m->wal_write_us_mean);
    pack_uint(b, m->wal_write_us_max);
    pack_uint(b, m->store_bytes);
    pack_uint(b, m->store_files);
    pack_uint(b, m->memtable_bytes);
    pack_uint(b, m->pressure);
    pack_uint(b, m->disk_free);
    pack_uint(b, m->disk_total);
    pack_array(b, list_count(m->range_count));
    for (size_t i = 0; i < m->range_count; i++) pack_node_range(b, &m->ranges[i]);
    pack_array(b, 4);
    pack_uint(b, m->snapshots_sending);
    pack_uint(b, m->snapshots_receiving);
    pack_uint(b, m->snapshot_bytes);
    pack_uint(b, m->snapshot_rate);
}

static void read_node_status_reply(struct unpack *u, struct arena *arena, struct node_status_reply *m)
{
    uint32_t extra = unpack_open(u, 14);
    m->node_id = unpack_uint(u);
    m->uptime_ms = unpack_uint(u);
    m->wal_live_bytes = unpack_uint(u);
    m->wal_batches = unpack_uint(u);
    m->wal_write_us_mean = unpack_uint(u);
    m->wal_write_us_max = unpack_uint(u);
    m->store_bytes = unpack_uint(u);
    m->store_files = unpack_uint(u);
    m->memtable_bytes = unpack_uint(u);
    m->pressure = read_u32(u);
    m->disk_free = unpack_uint(u);
    m->disk_total = unpack_uint(u);
    m->ranges = read_list(u, arena, sizeof(*m->ranges), NODE_RANGE_WIRE_MIN, MESSAGE_LIST_MAX, &m->range_count);
    for (size_t i = 0; i < m->range_count && !u->failed; i++) read_node_range(u, &m->ranges[i]);
    uint32_t more = unpack_open(u, 4);
    m->snapshots_sending = unpack_uint(u);
    m->snapshots_receiving = unpack_uint(u);
    m->snapshot_bytes = unpack_uint(u);
    m->snapshot_rate = unpack_uint(u);
    unpack_close(u, more);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(node_status_reply)

void pack_range_transfer_request(struct buf *b, const struct range_transfer_request *m)
{
    pack_array(b, 2);
    pack_uint(b, m->range_id);
    pack_uint(b, m->node_id);
}

static void read_range_transfer_request(struct unpack *u, struct arena *arena, struct range_transfer_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 2);
    m->range_id = unpack_uint(u);
    m->node_id = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(range_transfer_request)
