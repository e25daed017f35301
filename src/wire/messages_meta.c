/* Anybody to the metadata service. */
#include "wire/messages_int.h"

#include "base/assert.h"

#define UUID_BYTES 16u
#define KEYSPACE_WIRE_MIN 8u
#define SPLIT_WIRE_MIN 2u

/* --- init and register --- */

void pack_meta_init_request(struct buf *b, const struct meta_init_request *m)
{
    pack_array(b, 2);
    pack_cluster_id(b, &m->cluster);
    pack_uint(b, m->replication);
}

static void read_meta_init_request(struct unpack *u, struct arena *arena, struct meta_init_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 2);
    m->cluster = read_cluster_id(u);
    m->replication = read_u32(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_init_request)

void pack_meta_init_reply(struct buf *b, const struct meta_init_reply *m)
{
    pack_array(b, 1);
    pack_cluster_id(b, &m->cluster);
}

static void read_meta_init_reply(struct unpack *u, struct arena *arena, struct meta_init_reply *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 1);
    m->cluster = read_cluster_id(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_init_reply)

void pack_meta_register_request(struct buf *b, const struct meta_register_request *m)
{
    pack_array(b, 4);
    pack_bin(b, m->uuid);
    pack_bin(b, m->address);
    pack_bin(b, m->host);
    pack_cluster_id(b, &m->cluster);
}

static void read_meta_register_request(struct unpack *u, struct arena *arena, struct meta_register_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 4);
    m->uuid = read_bin(u, UUID_BYTES, UUID_BYTES);
    m->address = read_bin(u, 1, LIMIT_ADDRESS_BYTES);
    m->host = read_bin(u, 0, LIMIT_ADDRESS_BYTES);
    m->cluster = read_cluster_id(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_register_request)

void pack_meta_register_reply(struct buf *b, const struct meta_register_reply *m)
{
    pack_array(b, 3);
    pack_cluster_id(b, &m->cluster);
    pack_uint(b, m->node_id);
    pack_uint(b, m->next_range);
}

static void read_meta_register_reply(struct unpack *u, struct arena *arena, struct meta_register_reply *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 3);
    m->cluster = read_cluster_id(u);
    m->node_id = unpack_uint(u);
    m->next_range = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_register_reply)

/* --- heartbeat --- */

void pack_meta_heartbeat_request(struct buf *b, const struct meta_heartbeat_request *m)
{
    pack_array(b, 20);
    pack_uint(b, m->node_id);
    pack_bin(b, m->address);
    pack_uint(b, m->map_version);
    pack_uint(b, m->range_count);
    pack_uint(b, m->bytes);
    pack_uint(b, m->flags);
    pack_uint(b, m->disk_write_us);
    pack_uint(b, m->disk_free);
    pack_uint(b, m->disk_total);
    pack_range_reports(b, m->leads, m->lead_count);
    pack_bool(b, m->tells_all);
    pack_replica_names(b, m->holds, m->hold_count);
    pack_order_verdicts(b, m->verdicts, m->verdict_count);
    pack_range_descs(b, m->changed, m->changed_count);
    pack_range_orphans(b, m->orphans, m->orphan_count);
    pack_bool(b, m->is_delta);
    pack_uint(b, m->leads_total);
    pack_array(b, list_count(m->left_count));
    for (size_t i = 0; i < m->left_count; i++) pack_uint(b, m->left[i]);
    pack_uint(b, m->catalogue);
    pack_uint(b, m->holds_sum);
}

static void read_meta_heartbeat_request(struct unpack *u, struct arena *arena, struct meta_heartbeat_request *m)
{
    uint32_t extra = unpack_open(u, 15);
    m->node_id = unpack_uint(u);
    m->address = read_bin(u, 0, LIMIT_ADDRESS_BYTES);
    m->map_version = unpack_uint(u);
    m->range_count = unpack_uint(u);
    m->bytes = unpack_uint(u);
    m->flags = read_u32(u);
    m->disk_write_us = unpack_uint(u);
    m->disk_free = unpack_uint(u);
    m->disk_total = unpack_uint(u);
    m->leads = read_range_reports(u, arena, &m->lead_count);
    m->tells_all = unpack_bool(u);
    m->holds = read_replica_names(u, arena, &m->hold_count);
    m->verdicts = read_order_verdicts(u, arena, &m->verdict_count);
    m->changed = read_range_descs(u, arena, &m->changed_count);
    m->orphans = read_range_orphans(u, arena, &m->orphan_count);
    m->leads_total = m->lead_count;
    m->left = NULL;
    if (extra >= 4) { /* an older node tells all that it leads each time */
        m->is_delta = unpack_bool(u);
        m->leads_total = unpack_uint(u);
        m->left = read_list(u, arena, sizeof(*m->left), 1, MESSAGE_LIST_MAX, &m->left_count);
        for (size_t i = 0; i < m->left_count; i++) m->left[i] = unpack_uint(u);
        m->catalogue = unpack_uint(u);
        extra -= 4;
    }
    if (extra > 0) {
        m->holds_sum = unpack_uint(u);
        extra--;
    }
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_heartbeat_request)

void pack_meta_heartbeat_reply(struct buf *b, const struct meta_heartbeat_reply *m)
{
    pack_array(b, 15);
    pack_uint(b, m->map_version);
    pack_range_descs(b, m->ranges, m->range_count);
    pack_node_infos(b, m->nodes, m->node_count);
    pack_uint(b, m->term);
    pack_bool(b, m->tell_all);
    pack_replica_names(b, m->gone, m->gone_count);
    pack_range_orders(b, m->orders, m->order_count);
    pack_array(b, list_count(m->want_count));
    for (size_t i = 0; i < m->want_count; i++) pack_uint(b, m->wants[i]);
    pack_meta_addresses(b, m->metas, m->meta_count);
    pack_uint(b, m->finalised);
    pack_uint(b, m->line_ts);
    pack_bool(b, m->takes_deltas);
    pack_bin(b, m->catalogue);
    pack_uint(b, m->ts_bound);
    pack_uint(b, m->send_rate);
}

/* Near the end of its message, and left out by those who know only the first. */
static uint32_t read_finalised(struct unpack *u, uint32_t *extra)
{
    if (*extra == 0) return VERSION_FIRST;
    (*extra)--;
    return read_u32(u);
}

static void read_meta_heartbeat_reply(struct unpack *u, struct arena *arena, struct meta_heartbeat_reply *m)
{
    uint32_t extra = unpack_open(u, 9);
    m->map_version = unpack_uint(u);
    m->ranges = read_range_descs(u, arena, &m->range_count);
    m->nodes = read_node_infos(u, arena, &m->node_count);
    m->term = unpack_uint(u);
    m->tell_all = unpack_bool(u);
    m->gone = read_replica_names(u, arena, &m->gone_count);
    m->orders = read_range_orders(u, arena, &m->order_count);
    m->wants = read_list(u, arena, sizeof(*m->wants), 1, MESSAGE_LIST_MAX, &m->want_count);
    for (size_t i = 0; i < m->want_count; i++) m->wants[i] = unpack_uint(u);
    m->metas = read_meta_addresses(u, arena, &m->meta_count);
    m->finalised = read_finalised(u, &extra);
    m->line_ts = UINT64_MAX;
    if (extra > 0) {
        m->line_ts = unpack_uint(u);
        extra--;
    }
    m->catalogue = SLICE_EMPTY;
    if (extra >= 3) { /* an older service wants all each time */
        m->takes_deltas = unpack_bool(u);
        m->catalogue = unpack_bin(u);
        m->ts_bound = unpack_uint(u);
        extra -= 3;
    }
    if (extra > 0) {
        m->send_rate = unpack_uint(u);
        extra--;
    }
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_heartbeat_reply)

/* --- drain --- */

void pack_meta_node_drain_request(struct buf *b, const struct meta_node_drain_request *m)
{
    pack_array(b, 2);
    pack_uint(b, m->node_id);
    pack_bool(b, m->drain);
}

static void read_meta_node_drain_request(struct unpack *u, struct arena *arena, struct meta_node_drain_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 2);
    m->node_id = unpack_uint(u);
    m->drain = unpack_bool(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_node_drain_request)

/* --- blocks of timestamps and ids --- */

void pack_meta_timestamps_request(struct buf *b, const struct meta_timestamps_request *m)
{
    pack_array(b, 1);
    pack_uint(b, m->count);
}

static void read_meta_timestamps_request(struct unpack *u, struct arena *arena, struct meta_timestamps_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 1);
    m->count = read_u32(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_timestamps_request)

void pack_meta_timestamps_reply(struct buf *b, const struct meta_timestamps_reply *m)
{
    pack_array(b, 2);
    pack_uint(b, m->first);
    pack_uint(b, m->term);
}

static void read_meta_timestamps_reply(struct unpack *u, struct arena *arena, struct meta_timestamps_reply *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 1);
    m->first = unpack_uint(u);
    m->term = extra > 0 ? unpack_uint(u) : 0;
    unpack_close(u, extra > 0 ? extra - 1 : 0);
}
MESSAGE_UNPACK(meta_timestamps_reply)

void pack_meta_ids_request(struct buf *b, const struct meta_ids_request *m)
{
    pack_array(b, 2);
    pack_uint(b, m->count);
    pack_bool(b, m->ranges);
}

static void read_meta_ids_request(struct unpack *u, struct arena *arena, struct meta_ids_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 2);
    m->count = read_u32(u);
    m->ranges = unpack_bool(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_ids_request)

void pack_meta_ids_reply(struct buf *b, const struct meta_ids_reply *m)
{
    pack_array(b, 1);
    pack_uint(b, m->first);
}

static void read_meta_ids_reply(struct unpack *u, struct arena *arena, struct meta_ids_reply *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 1);
    m->first = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_ids_reply)

/* --- keyspaces --- */

void pack_meta_keyspace_request(struct buf *b, const struct meta_keyspace_request *m)
{
    pack_array(b, 5);
    pack_bin(b, m->name);
    pack_uint(b, m->replication);
    pack_array(b, list_count(m->split_count));
    for (size_t i = 0; i < m->split_count; i++) pack_bin(b, m->splits[i]);
    pack_uint(b, m->buckets);
    pack_uint(b, m->ttl_ms);
}

static void read_meta_keyspace_request(struct unpack *u, struct arena *arena, struct meta_keyspace_request *m)
{
    uint32_t extra = unpack_open(u, 5);
    m->name = read_bin(u, 1, LIMIT_KEYSPACE_NAME);
    m->replication = read_u32(u);
    m->splits = read_list(u, arena, sizeof(*m->splits), SPLIT_WIRE_MIN, LIMIT_SPLIT_KEYS, &m->split_count);
    for (size_t i = 0; i < m->split_count && !u->failed; i++) m->splits[i] = read_bin(u, 1, LIMIT_KEY_BYTES);
    m->buckets = read_u32(u);
    m->ttl_ms = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_keyspace_request)

void pack_meta_keyspace_reply(struct buf *b, const struct meta_keyspace_reply *m)
{
    pack_array(b, 3);
    pack_uint(b, m->id);
    pack_bool(b, m->changed);
    pack_uint(b, m->destroy_ts);
}

static void read_meta_keyspace_reply(struct unpack *u, struct arena *arena, struct meta_keyspace_reply *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 3);
    m->id = read_u32(u);
    m->changed = unpack_bool(u);
    m->destroy_ts = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_keyspace_reply)

void pack_meta_keyspace_alter_request(struct buf *b, const struct meta_keyspace_alter_request *m)
{
    pack_array(b, 5);
    pack_bin(b, m->name);
    pack_uint(b, m->replication);
    pack_bool(b, m->has_ttl);
    pack_uint(b, m->ttl_ms);
    pack_bool(b, m->restore);
}

static void read_meta_keyspace_alter_request(struct unpack *u, struct arena *arena,
                                             struct meta_keyspace_alter_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 5);
    m->name = read_bin(u, 1, LIMIT_KEYSPACE_NAME);
    m->replication = read_u32(u);
    m->has_ttl = unpack_bool(u);
    m->ttl_ms = unpack_uint(u);
    m->restore = unpack_bool(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_keyspace_alter_request)

void pack_meta_keyspace_drop_request(struct buf *b, const struct meta_keyspace_drop_request *m)
{
    pack_array(b, 3);
    pack_bin(b, m->name);
    pack_uint(b, m->grace_ms);
    pack_uint(b, m->now_ts);
}

static void read_meta_keyspace_drop_request(struct unpack *u, struct arena *arena, struct meta_keyspace_drop_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 3);
    m->name = read_bin(u, 1, LIMIT_KEYSPACE_NAME);
    m->grace_ms = unpack_uint(u);
    m->now_ts = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_keyspace_drop_request)

/* --- the map --- */

void pack_meta_map_request(struct buf *b, const struct meta_map_request *m)
{
    pack_array(b, 4);
    pack_bin(b, m->keyspace);
    pack_bool(b, m->has_key);
    pack_bin(b, m->key);
    pack_bool(b, m->any);
}

static void read_meta_map_request(struct unpack *u, struct arena *arena, struct meta_map_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 3);
    m->keyspace = read_bin(u, 0, LIMIT_KEYSPACE_NAME);
    m->has_key = unpack_bool(u);
    m->key = read_bin(u, 0, LIMIT_KEY_BYTES + 1u);
    m->any = extra > 0 && unpack_bool(u);
    unpack_close(u, extra > 0 ? extra - 1 : 0);
}
MESSAGE_UNPACK(meta_map_request)

static void pack_keyspaces(struct buf *b, const struct keyspace_info *k, size_t count)
{
    pack_array(b, list_count(count));
    for (size_t i = 0; i < count; i++) {
        pack_array(b, 7);
        pack_uint(b, k[i].id);
        pack_bin(b, k[i].name);
        pack_uint(b, k[i].replication);
        pack_uint(b, k[i].buckets);
        pack_uint(b, k[i].ttl_ms);
        pack_uint(b, k[i].dropped_ts);
        pack_uint(b, k[i].destroy_ts);
    }
}

static struct keyspace_info *read_keyspaces(struct unpack *u, struct arena *arena, size_t *count)
{
    struct keyspace_info *k = read_list(u, arena, sizeof(*k), KEYSPACE_WIRE_MIN, MESSAGE_LIST_MAX, count);
    for (size_t i = 0; i < *count && !u->failed; i++) {
        uint32_t extra = unpack_open(u, 7);
        k[i].id = read_u32(u);
        k[i].name = read_bin(u, 0, LIMIT_KEYSPACE_NAME);
        k[i].replication = read_u32(u);
        k[i].buckets = read_u32(u);
        k[i].ttl_ms = unpack_uint(u);
        k[i].dropped_ts = unpack_uint(u);
        k[i].destroy_ts = unpack_uint(u);
        unpack_close(u, extra);
    }
    return k;
}

/* Leaders and reports run beside the ranges: lists of the same length, or empty when the sender has none to tell. */
void pack_meta_map_reply(struct buf *b, const struct meta_map_reply *m)
{
    size_t leader_count = m->leaders != NULL ? m->range_count : 0;
    pack_array(b, 8);
    pack_uint(b, m->map_version);
    pack_keyspaces(b, m->keyspaces, m->keyspace_count);
    pack_range_descs(b, m->ranges, m->range_count);
    pack_array(b, list_count(leader_count));
    for (size_t i = 0; i < leader_count; i++) pack_uint(b, m->leaders[i]);
    pack_range_reports(b, m->reports, m->reports != NULL ? m->range_count : 0);
    pack_node_infos(b, m->nodes, m->node_count);
    pack_meta_addresses(b, m->metas, m->meta_count);
    pack_uint(b, m->finalised);
}

static void read_meta_map_reply(struct unpack *u, struct arena *arena, struct meta_map_reply *m)
{
    uint32_t extra = unpack_open(u, 7);
    m->map_version = unpack_uint(u);
    m->keyspaces = read_keyspaces(u, arena, &m->keyspace_count);
    m->ranges = read_range_descs(u, arena, &m->range_count);
    size_t leader_count, report_count;
    m->leaders = read_list(u, arena, sizeof(*m->leaders), 1, MESSAGE_LIST_MAX, &leader_count);
    for (size_t i = 0; i < leader_count && !u->failed; i++) m->leaders[i] = unpack_uint(u);
    m->reports = read_range_reports(u, arena, &report_count);
    m->nodes = read_node_infos(u, arena, &m->node_count);
    m->metas = read_meta_addresses(u, arena, &m->meta_count);
    m->finalised = read_finalised(u, &extra);
    unpack_close(u, extra);
    if (leader_count != 0 && leader_count != m->range_count) u->failed = true;
    if (report_count != 0 && report_count != m->range_count) u->failed = true;
    if (u->failed) return;
    /* readers index both by range: what was not told is zeroes, not NULL */
    if (leader_count != m->range_count) m->leaders = arena_zalloc(arena, m->range_count * sizeof(*m->leaders));
    if (report_count != m->range_count) m->reports = arena_zalloc(arena, m->range_count * sizeof(*m->reports));
}
MESSAGE_UNPACK(meta_map_reply)
