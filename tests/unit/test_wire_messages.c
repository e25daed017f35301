/* Every message: random content goes through pack and unpack and comes out as it was; every truncation fails; flipped bytes
 * never crash nor make a decoder take much memory; elements that a newer sender appends are skipped.
 *
 * One visitor per message names its fields in order, independently of the codecs. It runs in two modes: GENERATE fills the
 * struct, DUMP writes it as text; so "as it was" is "the same text". */
#include "test_wire_messages_ops.h"

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/prng.h"
#include "wire/messages.h"

#include <check.h>
#include <stdio.h>

#define SEED 1234u
#define ROUNDS 150u

/* --- visitors --- */

static void v_epoch(struct visit *v, struct range_epoch *e)
{
    V_ALL(v, &e->conf_ver, &e->version);
}

static void v_range_desc(struct visit *v, struct range_desc *m)
{
    v_u64(v, &m->id);
    v_u32(v, &m->keyspace);
    v_bin(v, &m->start, 0, LIMIT_KEY_BYTES);
    v_bin(v, &m->end, 0, LIMIT_KEY_BYTES);
    if (v->mode == GENERATE && slice_cmp(m->start, m->end) >= 0) m->end = SLICE_EMPTY;
    v_epoch(v, &m->epoch);
    m->replica_count = v_count(v, m->replica_count, LIMIT_REPLICAS);
    for (size_t i = 0; i < m->replica_count; i++) {
        V_ALL(v, &m->replicas[i].node_id, &m->replicas[i].replica_id);
        m->replicas[i].role = (uint8_t)v_enum(v, m->replicas[i].role, RANGE_VOTER, RANGE_OUTGOING);
    }
}

static void v_ranges(struct visit *v, struct range_desc **ranges, size_t *count)
{
    V_LIST(v, *ranges, *count, 4);
    for (size_t i = 0; i < *count; i++) v_range_desc(v, &(*ranges)[i]);
}

static void v_nodes(struct visit *v, struct node_info **nodes, size_t *count)
{
    V_LIST(v, *nodes, *count, 4);
    for (size_t i = 0; i < *count; i++) {
        struct node_info *n = &(*nodes)[i];
        v_u64(v, &n->id);
        v_bin(v, &n->address, 0, LIMIT_ADDRESS_BYTES);
        v_bin(v, &n->host, 0, LIMIT_ADDRESS_BYTES);
        v_bool(v, &n->alive);
        V_ALL(v, &n->range_count, &n->leader_count, &n->bytes);
        v_u32(v, &n->flags);
        V_ALL(v, &n->disk_write_us, &n->disk_free, &n->disk_total);
    }
}

static void v_report(struct visit *v, struct range_report *r)
{
    v_u64(v, &r->range_id);
    v_epoch(v, &r->epoch);
    V_ALL(v, &r->term, &r->bytes, &r->rows, &r->writes, &r->reads);
}

static void v_hello(struct visit *v, struct hello *m)
{
    v_u32(v, &m->version);
    m->role = (enum role)v_enum(v, (unsigned)m->role, ROLE_META, ROLE_CLIENT);
    v_u64(v, &m->node_id);
    v_id(v, m->cluster.bytes);
    v_u32(v, &m->newest);
    v_u32(v, &m->oldest);
    v_u32(v, &m->finalised);
    struct slice release = slice_str(m->release);
    v_bin(v, &release, 0, RELEASE_BYTES - 1);
    if (v->mode == GENERATE) {
        memset(m->release, 0, sizeof m->release);
        for (size_t i = 0; i < release.size && release.data[i] != 0; i++) m->release[i] = (char)release.data[i];
    }
}

static void v_meta_upgrade_request(struct visit *v, struct meta_upgrade_request *m)
{
    v_u32(v, &m->version);
    v_bool(v, &m->finalize);
}

static void v_meta_upgrade_reply(struct visit *v, struct meta_upgrade_reply *m)
{
    v_u32(v, &m->finalised);
    v_u32(v, &m->target);
    V_LIST(v, m->processes, m->process_count, 8);
    for (size_t i = 0; i < m->process_count; i++) {
        struct upgrade_process *p = &m->processes[i];
        p->role = (enum role)v_enum(v, (unsigned)p->role, ROLE_META, ROLE_CLIENT);
        v_u64(v, &p->id);
        v_bin(v, &p->address, 0, LIMIT_ADDRESS_BYTES);
        v_bin(v, &p->release, 0, RELEASE_BYTES - 1);
        v_u32(v, &p->newest);
        v_u32(v, &p->oldest);
    }
    V_LIST(v, m->faults, m->fault_count, 8);
    for (size_t i = 0; i < m->fault_count; i++) v_bin(v, &m->faults[i], 0, 512);
}

static void v_reply_head(struct visit *v, struct reply_head *m)
{
    m->status = (enum status)v_enum(v, (unsigned)m->status, 0, STATUS_COUNT - 1);
    v_bool(v, &m->unknown_outcome);
    v_bin(v, &m->message, 0, 512);
    v_u64(v, &m->leader_hint);
    v_ranges(v, &m->ranges, &m->range_count);
    v_bin(v, &m->payload, 0, 70000);
}

static void v_routed(struct visit *v, struct routed *r)
{
    v_u64(v, &r->range_id);
    v_epoch(v, &r->epoch);
    v_u32(v, &r->deadline_ms);
}

static void v_txn_request(struct visit *v, struct txn_request *m)
{
    v_routed(v, &m->to);
    v_bin(v, &m->txn, 1, 70000);
    m->kind = (uint8_t)v_enum(v, m->kind, 0, 5);
}

static void v_read_how(struct visit *v, struct read_how *h) /* a strong read at the leader has no further elements */
{
    h->mode = (enum read_mode)v_enum(v, (unsigned)h->mode, READ_SNAPSHOT, READ_EVENTUAL);
    v_u64(v, &h->ts);
    v_u32(v, &h->max_staleness_ms);
    v_bool(v, &h->any_replica);
    size_t size = v->mode == GENERATE && prng_chance(&v->p, 1, 2) ? TXN_ID_BYTES : 0;
    v_bin(v, &h->id, size, size);
}

static void v_read_mark(struct visit *v, struct read_mark *m)
{
    m->mode = (enum read_mode)v_enum(v, (unsigned)m->mode, READ_STRONG, READ_EVENTUAL);
    v_u64(v, &m->ts);
    v_u32(v, &m->staleness_ms);
    v_u32(v, &m->others);
}

static void v_get_request(struct visit *v, struct get_request *m)
{
    v_routed(v, &m->to);
    v_u32(v, &m->keyspace);
    v_bin(v, &m->key, 1, LIMIT_KEY_BYTES);
    v_read_how(v, &m->how);
}

static void v_get_reply(struct visit *v, struct get_reply *m)
{
    v_bool(v, &m->found);
    v_u64(v, &m->version);
    v_bin(v, &m->value, 0, 70000);
    v_read_mark(v, &m->mark);
}

static void v_scan_request(struct visit *v, struct scan_request *m)
{
    v_routed(v, &m->to);
    v_u32(v, &m->keyspace);
    v_bin(v, &m->start, 0, LIMIT_KEY_BYTES + 1);
    v_bin(v, &m->end, 0, LIMIT_KEY_BYTES + 1);
    v_u32(v, &m->limit_rows);
    v_u32(v, &m->limit_bytes);
    v_bool(v, &m->reverse);
    v_bool(v, &m->keys_only);
    v_read_how(v, &m->how);
}

static void v_scan_reply(struct visit *v, struct scan_reply *m)
{
    V_LIST(v, m->rows, m->row_count, 20);
    for (size_t i = 0; i < m->row_count; i++) {
        v_bin(v, &m->rows[i].key, 1, LIMIT_KEY_BYTES);
        v_bin(v, &m->rows[i].value, 0, 300);
        v_u64(v, &m->rows[i].version);
    }
    v_bool(v, &m->more);
    v_read_mark(v, &m->mark);
}

static void v_watch_request(struct visit *v, struct watch_request *m)
{
    v_routed(v, &m->to);
    v_u32(v, &m->keyspace);
    v_bin(v, &m->start, 0, LIMIT_KEY_BYTES + 1);
    v_bin(v, &m->end, 0, LIMIT_KEY_BYTES + 1);
    V_ALL(v, &m->after, &m->until, &m->poll);
    v_u32(v, &m->limit_bytes);
    v_u32(v, &m->wait_ms);
}

static void v_watch_reply(struct visit *v, struct watch_reply *m)
{
    v_u64(v, &m->upto);
    V_LIST(v, m->changes, m->change_count, 20);
    for (size_t i = 0; i < m->change_count; i++) {
        v_u64(v, &m->changes[i].ts);
        v_bool(v, &m->changes[i].is_delete);
        v_bin(v, &m->changes[i].key, 1, LIMIT_KEY_BYTES);
        v_bin(v, &m->changes[i].value, 0, 300);
        v_u64(v, &m->changes[i].ttl_ms);
    }
}

static void v_effects_news(struct visit *v, struct effects_news *m)
{
    V_ALL(v, &m->group, &m->replica);
    v_bool(v, &m->wants_rows);
    V_LIST(v, m->windows, m->window_count, 8);
    for (size_t i = 0; i < m->window_count; i++) {
        V_ALL(v, &m->windows[i].index, &m->windows[i].hash);
    }
}

static void v_resolved_news(struct visit *v, struct resolved_news *m)
{
    V_ALL(v, &m->life, &m->seq, &m->stamp_ns, &m->echo_life, &m->echo_ns, &m->ts);
    v_bool(v, &m->whole);
    v_bool(v, &m->want_whole);
    V_LIST(v, m->changed, m->changed_count, 20);
    for (size_t i = 0; i < m->changed_count; i++) {
        V_ALL(v, &m->changed[i].group, &m->changed[i].index);
    }
    V_LIST(v, m->dropped, m->dropped_count, 20);
    for (size_t i = 0; i < m->dropped_count; i++) v_u64(v, &m->dropped[i]);
}

static void v_resolve_request(struct visit *v, struct resolve_request *m)
{
    v_routed(v, &m->to);
}

/* Messages that are numbers and nothing else. */
#define V_NUMBERS(name, ...)                                                                                           \
    static void v_##name(struct visit *v, struct name *m)                                                              \
    {                                                                                                                  \
        uint64_t *const all[] = {__VA_ARGS__};                                                                         \
        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) v_u64(v, all[i]);                                    \
    }
V_NUMBERS(resolve_reply, &m->ts, &m->index)

static void v_meta_init_request(struct visit *v, struct meta_init_request *m)
{
    v_id(v, m->cluster.bytes);
    v_u32(v, &m->replication);
}

static void v_meta_init_reply(struct visit *v, struct meta_init_reply *m)
{
    v_id(v, m->cluster.bytes);
}

static void v_meta_register_request(struct visit *v, struct meta_register_request *m)
{
    v_bin(v, &m->uuid, 16, 16);
    v_bin(v, &m->address, 1, LIMIT_ADDRESS_BYTES);
    v_bin(v, &m->host, 0, LIMIT_ADDRESS_BYTES);
    v_id(v, m->cluster.bytes);
}

static void v_meta_register_reply(struct visit *v, struct meta_register_reply *m)
{
    v_id(v, m->cluster.bytes);
    V_ALL(v, &m->node_id, &m->next_range);
}

static void v_replica_name(struct visit *v, struct replica_name *m)
{
    V_ALL(v, &m->range_id, &m->replica_id, &m->conf_ver);
}

static void v_replica_names(struct visit *v, struct replica_name **names, size_t *count)
{
    V_LIST(v, *names, *count, 8);
    for (size_t i = 0; i < *count; i++) v_replica_name(v, &(*names)[i]);
}

static void v_verdict(struct visit *v, struct order_verdict *m)
{
    v_u64(v, &m->op);
    m->status = (enum status)v_enum(v, (unsigned)m->status, 0, STATUS_COUNT - 1);
    m->percent = v_enum(v, m->percent, 0, 100);
    v_bin(v, &m->text, 0, 512);
}

static void v_order(struct visit *v, struct range_order *m)
{
    V_ALL(v, &m->op, &m->range_id, &m->conf_ver);
    m->kind = (enum order_kind)v_enum(v, (unsigned)m->kind, ORDER_ADD, ORDER_ALONE);
    V_ALL(v, &m->to, &m->from, &m->epoch);
}

static void v_orphan(struct visit *v, struct range_orphan *m)
{
    v_range_desc(v, &m->desc);
    V_ALL(v, &m->replica_id, &m->last_term, &m->last_index, &m->commit, &m->last_ts);
    v_bool(v, &m->whole);
}

static void v_metas(struct visit *v, struct meta_address **metas, size_t *count)
{
    V_LIST(v, *metas, *count, LIMIT_REPLICAS);
    for (size_t i = 0; i < *count; i++) {
        v_u64(v, &(*metas)[i].id);
        v_bin(v, &(*metas)[i].address, 0, LIMIT_ADDRESS_BYTES);
    }
}

static void v_catalogue_rows(struct visit *v, struct catalogue_rows *m)
{
    V_LIST(v, m->rows, m->row_count, 9);
    for (size_t i = 0; i < m->row_count; i++) {
        v_bin(v, &m->rows[i].key, 1, 100);
        v_bin(v, &m->rows[i].value, 0, 300);
    }
}

static void v_catalogue(struct visit *v, struct catalogue *m)
{
    V_ALL(v, &m->map_version, &m->term, &m->ts_bound);
    v_bin(v, &m->rows, 0, 2000);
}

static void v_node_holds_reply(struct visit *v, struct node_holds_reply *m)
{
    v_u64(v, &m->node_id);
    v_bin(v, &m->uuid, 16, 16);
    v_bin(v, &m->address, 0, LIMIT_ADDRESS_BYTES);
    v_bin(v, &m->host, 0, LIMIT_ADDRESS_BYTES);
    v_id(v, m->cluster.bytes);
    V_ALL(v, &m->wall_ms, &m->newest_ts, &m->heard_ms);
    v_catalogue(v, &m->catalogue);
    V_LIST(v, m->held, m->held_count, 5);
    for (size_t i = 0; i < m->held_count; i++) {
        v_range_desc(v, &m->held[i].desc);
        V_ALL(v, &m->held[i].replica_id, &m->held[i].term);
        v_bool(v, &m->held[i].leads);
        v_bool(v, &m->held[i].whole);
    }
}

static void v_meta_rebuild_request(struct visit *v, struct meta_rebuild_request *m)
{
    v_u64(v, &m->piece);
    v_bool(v, &m->last);
    v_bin(v, &m->rows, 0, 2000);
}

static void v_meta_heartbeat_request(struct visit *v, struct meta_heartbeat_request *m)
{
    v_u64(v, &m->node_id);
    v_bin(v, &m->address, 0, LIMIT_ADDRESS_BYTES);
    V_ALL(v, &m->map_version, &m->range_count, &m->bytes);
    v_u32(v, &m->flags);
    V_ALL(v, &m->disk_write_us, &m->disk_free, &m->disk_total);
    V_LIST(v, m->leads, m->lead_count, 20);
    for (size_t i = 0; i < m->lead_count; i++) v_report(v, &m->leads[i]);
    v_bool(v, &m->tells_all);
    v_replica_names(v, &m->holds, &m->hold_count);
    V_LIST(v, m->verdicts, m->verdict_count, 8);
    for (size_t i = 0; i < m->verdict_count; i++) v_verdict(v, &m->verdicts[i]);
    v_ranges(v, &m->changed, &m->changed_count);
    V_LIST(v, m->orphans, m->orphan_count, 8);
    for (size_t i = 0; i < m->orphan_count; i++) v_orphan(v, &m->orphans[i]);
    v_bool(v, &m->is_delta);
    v_u64(v, &m->leads_total);
    V_LIST(v, m->left, m->left_count, 9);
    for (size_t i = 0; i < m->left_count; i++) v_u64(v, &m->left[i]);
    v_u64(v, &m->catalogue);
    v_u64(v, &m->holds_sum);
}

static void v_meta_heartbeat_reply(struct visit *v, struct meta_heartbeat_reply *m)
{
    v_u64(v, &m->map_version);
    v_ranges(v, &m->ranges, &m->range_count);
    v_nodes(v, &m->nodes, &m->node_count);
    v_u64(v, &m->term);
    v_bool(v, &m->tell_all);
    v_replica_names(v, &m->gone, &m->gone_count);
    V_LIST(v, m->orders, m->order_count, 8);
    for (size_t i = 0; i < m->order_count; i++) v_order(v, &m->orders[i]);
    V_LIST(v, m->wants, m->want_count, 9);
    for (size_t i = 0; i < m->want_count; i++) v_u64(v, &m->wants[i]);
    v_metas(v, &m->metas, &m->meta_count);
    v_u32(v, &m->finalised);
    v_u64(v, &m->line_ts);
    v_bool(v, &m->takes_deltas);
    v_bin(v, &m->catalogue, 0, 2000);
    v_u64(v, &m->ts_bound);
    v_u64(v, &m->send_rate);
}

static void v_meta_timestamps_request(struct visit *v, struct meta_timestamps_request *m)
{
    v_u32(v, &m->count);
}

V_NUMBERS(meta_timestamps_reply, &m->first, &m->term)

static void v_meta_node_drain_request(struct visit *v, struct meta_node_drain_request *m)
{
    v_u64(v, &m->node_id);
    v_bool(v, &m->drain);
}

V_NUMBERS(range_transfer_request, &m->range_id, &m->node_id)

static void v_meta_ids_request(struct visit *v, struct meta_ids_request *m)
{
    v_u32(v, &m->count);
    v_bool(v, &m->ranges);
}

static void v_range_split_request(struct visit *v, struct range_split_request *m)
{
    V_ALL(v, &m->range_id, &m->version, &m->new_id);
    v_bin(v, &m->key, 0, LIMIT_KEY_BYTES);
}

V_NUMBERS(range_merge_request, &m->left_id, &m->right_id, &m->left_version, &m->right_version)

static void v_range_change_reply(struct visit *v, struct range_change_reply *m)
{
    v_ranges(v, &m->ranges, &m->range_count);
}

V_NUMBERS(meta_ids_reply, &m->first)

static void v_meta_map_request(struct visit *v, struct meta_map_request *m)
{
    v_bin(v, &m->keyspace, 0, LIMIT_KEYSPACE_NAME);
    v_bool(v, &m->has_key);
    v_bin(v, &m->key, 0, LIMIT_KEY_BYTES);
    v_bool(v, &m->any);
}

static void v_meta_map_reply(struct visit *v, struct meta_map_reply *m)
{
    v_u64(v, &m->map_version);
    V_LIST(v, m->keyspaces, m->keyspace_count, 4);
    for (size_t i = 0; i < m->keyspace_count; i++) {
        v_u32(v, &m->keyspaces[i].id);
        v_bin(v, &m->keyspaces[i].name, 0, LIMIT_KEYSPACE_NAME);
        v_u32(v, &m->keyspaces[i].replication);
        v_u32(v, &m->keyspaces[i].buckets);
        V_ALL(v, &m->keyspaces[i].ttl_ms, &m->keyspaces[i].dropped_ts, &m->keyspaces[i].destroy_ts);
    }
    v_ranges(v, &m->ranges, &m->range_count);
    if (v->mode == GENERATE) {
        m->leaders = arena_zalloc(v->arena, m->range_count * sizeof(*m->leaders));
        m->reports = arena_zalloc(v->arena, m->range_count * sizeof(*m->reports));
    }
    for (size_t i = 0; i < m->range_count; i++) {
        v_u64(v, &m->leaders[i]);
        v_report(v, &m->reports[i]);
    }
    v_nodes(v, &m->nodes, &m->node_count);
    v_metas(v, &m->metas, &m->meta_count);
    v_u32(v, &m->finalised);
}

static void v_meta_keyspace_request(struct visit *v, struct meta_keyspace_request *m)
{
    v_bin(v, &m->name, 1, LIMIT_KEYSPACE_NAME);
    v_u32(v, &m->replication);
    V_LIST(v, m->splits, m->split_count, 20);
    for (size_t i = 0; i < m->split_count; i++) v_bin(v, &m->splits[i], 1, LIMIT_KEY_BYTES);
    v_u32(v, &m->buckets);
    v_u64(v, &m->ttl_ms);
}

static void v_meta_keyspace_alter_request(struct visit *v, struct meta_keyspace_alter_request *m)
{
    v_bin(v, &m->name, 1, LIMIT_KEYSPACE_NAME);
    v_u32(v, &m->replication);
    v_bool(v, &m->has_ttl);
    v_u64(v, &m->ttl_ms);
    v_bool(v, &m->restore);
}

static void v_meta_keyspace_drop_request(struct visit *v, struct meta_keyspace_drop_request *m)
{
    v_bin(v, &m->name, 1, LIMIT_KEYSPACE_NAME);
    V_ALL(v, &m->grace_ms, &m->now_ts);
}

static void v_meta_keyspace_reply(struct visit *v, struct meta_keyspace_reply *m)
{
    v_u32(v, &m->id);
    v_bool(v, &m->changed);
    v_u64(v, &m->destroy_ts);
}

static void v_meta_status_reply(struct visit *v, struct meta_status_reply *m)
{
    v_id(v, m->cluster.bytes);
    V_ALL(v, &m->leader_id, &m->term, &m->applied, &m->map_version, &m->last_timestamp);
    m->member_count = v_count(v, m->member_count, LIMIT_REPLICAS);
    for (size_t i = 0; i < m->member_count; i++) {
        v_u64(v, &m->members[i].id);
        v_bin(v, &m->members[i].address, 0, LIMIT_ADDRESS_BYTES);
        v_bool(v, &m->members[i].healthy);
        v_bool(v, &m->members[i].votes);
    }
    v_bin(v, &m->group, 0, 65536);
    v_bool(v, &m->founded);
    m->founders.count = v_count(v, m->founders.count, LIMIT_VOTERS);
    for (size_t i = 0; i < m->founders.count; i++) {
        v_u64(v, &m->founders.items[i].id);
        v_id(v, m->founders.items[i].uuid);
    }
}

static void v_node_status_reply(struct visit *v, struct node_status_reply *m)
{
    V_ALL(v, &m->node_id, &m->uptime_ms, &m->wal_live_bytes, &m->wal_batches, &m->wal_write_us_mean,
          &m->wal_write_us_max, &m->store_bytes, &m->store_files, &m->memtable_bytes, &m->disk_free, &m->disk_total,
          &m->snapshots_sending, &m->snapshots_receiving, &m->snapshot_bytes, &m->snapshot_rate);
    v_u32(v, &m->pressure);
    V_LIST(v, m->ranges, m->range_count, 10);
    for (size_t i = 0; i < m->range_count; i++) {
        struct node_range_status *r = &m->ranges[i];
        v_u64(v, &r->range_id);
        r->role = (enum raft_role)v_enum(v, (unsigned)r->role, RAFT_FOLLOWER, RAFT_LEADER);
        V_ALL(v, &r->leader_replica, &r->term, &r->commit, &r->applied, &r->log_bytes);
        v_bin(v, &r->waits_for, 0, 512);
    }
}

static void v_snapshot_chunk(struct visit *v, struct snapshot_chunk *m)
{
    V_ALL(v, &m->group, &m->from, &m->to, &m->snapshot_id, &m->seq, &m->term, &m->index, &m->index_term);
    v_bin(v, &m->descriptor, 0, 5000);
    v_bin(v, &m->config, 0, 300);
    v_bool(v, &m->last);
    v_bin(v, &m->rows, 0, 70000);
    v_u32(v, &m->stream_crc);
    v_u32(v, &m->rows_size);
    if (v->mode == GENERATE) m->rows_size %= LIMIT_FRAME_BYTES + 1;
    v_u64(v, &m->safepoint);
    if (v->mode == GENERATE) m->rows_crc = crc32c(0, m->rows.data, m->rows.size);
}

static void v_liveness_message(struct visit *v, struct liveness_message *m)
{
    v_bool(v, &m->is_answer);
    V_ALL(v, &m->life, &m->seq, &m->support_ns, &m->grant);
    if (v->mode != GENERATE) return;
    m->life |= 1;
    m->support_ns %= LIVENESS_SUPPORT_MAX_NS;
    m->grant = m->is_answer ? m->grant | 1 : 0;
}

/* --- one table of all messages --- */

struct kind {
    const char *name;
    size_t size;
    void (*visit)(struct visit *v, void *m);
    void (*pack)(struct buf *b, const void *m);
    enum status (*unpack)(struct slice bytes, struct arena *arena, void *m);
};
#define KIND_FUNCTIONS(type)                                                                                           \
    static void visit_##type(struct visit *v, void *m)                                                                 \
    {                                                                                                                  \
        v_##type(v, m);                                                                                                \
    }                                                                                                                  \
    static void pack_any_##type(struct buf *b, const void *m)                                                          \
    {                                                                                                                  \
        pack_##type(b, m);                                                                                             \
    }                                                                                                                  \
    static enum status unpack_any_##type(struct slice bytes, struct arena *arena, void *m)                             \
    {                                                                                                                  \
        return unpack_##type(bytes, arena, m);                                                                         \
    }
MESSAGE_MAP(KIND_FUNCTIONS)

static const struct kind kinds[] = {
#define KIND(type) {#type, sizeof(struct type), visit_##type, pack_any_##type, unpack_any_##type},
    MESSAGE_MAP(KIND)
#undef KIND
};
#define KIND_COUNT ((int)(sizeof(kinds) / sizeof(kinds[0])))

struct bench {
    const struct kind *kind;
    struct arena made, decoded;
    struct buf bytes, text, again;
    struct prng p;
    void *message; /* struct of the kind, in `made` */
    void *out;     /* likewise */
};

static void bench_init(struct bench *k, int number)
{
    memset(k, 0, sizeof(*k));
    k->kind = &kinds[number];
    arena_init(&k->made, 65536);
    arena_init(&k->decoded, 4096);
    buf_init(&k->bytes, 1u << 24);
    buf_init(&k->text, 1u << 24);
    buf_init(&k->again, 1u << 24);
    prng_init(&k->p, SEED + (uint64_t)number);
}

static void bench_free(struct bench *k)
{
    arena_free(&k->made);
    arena_free(&k->decoded);
    buf_free(&k->bytes);
    buf_free(&k->text);
    buf_free(&k->again);
}

/* A new message, packed into bytes, told in text. */
static void bench_make(struct bench *k)
{
    arena_reset(&k->made);
    arena_reset(&k->decoded);
    k->message = arena_zalloc(&k->made, k->kind->size);
    k->out = arena_zalloc(&k->made, k->kind->size);
    struct visit v = {.mode = GENERATE, .arena = &k->made};
    prng_init(&v.p, prng_next(&k->p));
    k->kind->visit(&v, k->message);
    buf_clear(&k->bytes);
    k->kind->pack(&k->bytes, k->message);
    ck_assert(!k->bytes.overflow);
    v = (struct visit){.mode = DUMP, .text = &k->text};
    buf_clear(&k->text);
    k->kind->visit(&v, k->message);
}

static bool decodes_the_same(struct bench *k, struct slice bytes)
{
    if (k->kind->unpack(bytes, &k->decoded, k->out) != STATUS_OK) return false;
    struct visit v = {.mode = DUMP, .text = &k->again};
    buf_clear(&k->again);
    k->kind->visit(&v, k->out);
    return slice_eq(buf_slice(&k->text), buf_slice(&k->again));
}

START_TEST(round_trip)
{
    struct bench k;
    bench_init(&k, _i);
    for (unsigned i = 0; i < ROUNDS; i++) {
        bench_make(&k);
        ck_assert_msg(decodes_the_same(&k, buf_slice(&k.bytes)), "%s", k.kind->name);
        buf_clear(&k.again); /* and packing what came out gives the same bytes */
        k.kind->pack(&k.again, k.out);
        ck_assert(slice_eq(buf_slice(&k.again), buf_slice(&k.bytes)));
    }
    bench_free(&k);
}
END_TEST

/* Long messages are cut at their first bytes, their last ones and every so often between. */
START_TEST(truncation)
{
    struct bench k;
    bench_init(&k, _i);
    for (unsigned i = 0; i < 25; i++) {
        bench_make(&k);
        size_t step = 1 + k.bytes.size / 2000;
        for (size_t cut = 0; cut < k.bytes.size; cut += cut < 200 || k.bytes.size - cut < 200 ? 1 : step) {
            uint8_t *exact = mem_dup(k.bytes.data, cut);
            arena_reset(&k.decoded);
            ck_assert_int_eq(k.kind->unpack(slice_make(exact, cut), &k.decoded, k.out), STATUS_INVALID);
            mem_free(exact);
        }
        buf_append_byte(&k.bytes, 0xc0); /* and nothing may follow */
        ck_assert_int_eq(k.kind->unpack(buf_slice(&k.bytes), &k.decoded, k.out), STATUS_INVALID);
    }
    bench_free(&k);
}
END_TEST

START_TEST(damage)
{
    struct bench k;
    bench_init(&k, _i);
    for (unsigned i = 0; i < 40; i++) {
        bench_make(&k);
        for (unsigned flip = 0; flip < 100; flip++) {
            size_t window = k.bytes.size < 300 || flip % 2 == 0 ? k.bytes.size : 300;
            size_t at = (size_t)prng_below(&k.p, window);
            uint8_t was = k.bytes.data[at];
            static const uint8_t evil[] = {0xdd, 0xdc, 0xc6, 0xdb, 0xdf, 0xc1, 0xff, 0x00, 0x9f, 0x90, 0xcf, 0xc0};
            k.bytes.data[at] = flip % 3 == 0 ? evil[prng_below(&k.p, sizeof(evil))] : (uint8_t)prng_next(&k.p);
            arena_reset(&k.decoded);
            enum status s = k.kind->unpack(buf_slice(&k.bytes), &k.decoded, k.out);
            ck_assert(s == STATUS_OK || s == STATUS_INVALID || s == STATUS_CORRUPT);
            ck_assert_uint_le(k.decoded.used, 64 * k.bytes.size + 4096);
            if (s == STATUS_OK) { /* whatever was accepted is within what can be packed */
                buf_clear(&k.again);
                k.kind->pack(&k.again, k.out);
            }
            k.bytes.data[at] = was;
        }
    }
    bench_free(&k);
}
END_TEST

START_TEST(newer_senders)
{
    struct bench k;
    bench_init(&k, _i);
    for (unsigned i = 0; i < 20; i++) {
        bench_make(&k);
        if (k.bytes.data[0] == 0xdc) continue; /* more than 15 elements, likewise */
        ck_assert_uint_eq(k.bytes.data[0] & 0xf0u, 0x90);
        unsigned count = k.bytes.data[0] & 0x0fu;
        if (count == 15) continue; /* one more does not fit its head */
        k.bytes.data[0] = (uint8_t)(0x90u | (count + 1));
        size_t size = k.bytes.size;
        ck_assert_int_eq(k.kind->unpack(buf_slice(&k.bytes), &k.decoded, k.out),
                         STATUS_INVALID); /* promised, not there */
        pack_array(&k.bytes, 2);
        pack_str(&k.bytes, "of a later version");
        pack_array(&k.bytes, 0);
        ck_assert(decodes_the_same(&k, buf_slice(&k.bytes)));
        k.bytes.size = size;
        k.bytes.data[0] = (uint8_t)(0x90u | (count - 1)); /* an element less is no version of ours */
        ck_assert_int_eq(k.kind->unpack(buf_slice(&k.bytes), &k.decoded, k.out), STATUS_INVALID);
    }
    bench_free(&k);
}
END_TEST

int main(void)
{
    printf("seed %u\n", SEED);
    Suite *s = suite_create("wire_messages");
    TCase *tc = tcase_create("messages");
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, round_trip, 0, KIND_COUNT);
    tcase_add_loop_test(tc, truncation, 0, KIND_COUNT);
    tcase_add_loop_test(tc, damage, 0, KIND_COUNT);
    tcase_add_loop_test(tc, newer_senders, 0, KIND_COUNT);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
