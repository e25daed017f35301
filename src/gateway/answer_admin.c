/* Answers about the cluster: keyspaces, ranges, nodes, status. */
#include <stdio.h>

#include "gateway/answer.h"
#include "gateway/codec.h"
#include "gateway/health.h"
#include "gateway/json_out.h"

static void key_text(struct buf *b, const char *name, struct slice s)
{
    json_key(b, name);
    json_text(b, utf8_valid(s) ? s : SLICE_EMPTY);
}

static void key_u64(struct buf *b, const char *name, uint64_t v)
{
    json_key(b, name);
    json_u64(b, v);
}

static void key_bool(struct buf *b, const char *name, bool v)
{
    json_key(b, name);
    json_bool(b, v);
}

static void finish(struct answer *a)
{
    buf_append_byte(&a->body, '\n');
    if (a->body.overflow)
        answer_error(a, STATUS_TOO_LARGE, false, slice_str("the answer is too large; ask for one keyspace"));
}

void json_keyspace(struct buf *b, const struct meta_map_reply *map, const struct keyspace_info *k)
{
    struct keyspace_totals t = map_keyspace_totals(map, k->id);
    json_open(b, '{');
    key_u64(b, "id", k->id);
    key_text(b, "name", k->name);
    key_u64(b, "replication", k->replication);
    key_u64(b, "ranges", t.ranges);
    json_key(b, "partition");
    json_str(b, k->buckets > 0 ? "hash" : "range");
    if (k->buckets > 0) key_u64(b, "hash_buckets", k->buckets);
    key_u64(b, "ttl_ms", k->ttl_ms);
    key_u64(b, "rows", t.rows);
    key_u64(b, "bytes", t.bytes);
    key_bool(b, "dropped", k->dropped_ts != 0);
    if (k->dropped_ts != 0) key_u64(b, "destroy_at_ms", k->destroy_ts >> TS_COUNTER_BITS);
    json_close(b, '}');
}

void answer_keyspaces(struct answer *a, const struct meta_map_reply *map)
{
    struct buf *b = &a->body;
    json_open(b, '{');
    json_key(b, "keyspaces");
    json_open(b, '[');
    for (size_t i = 0; i < map->keyspace_count; i++) json_keyspace(b, map, &map->keyspaces[i]);
    json_close(b, ']');
    json_close(b, '}');
    finish(a);
}

void answer_keyspace(struct answer *a, struct slice name, const struct meta_map_reply *map)
{
    for (size_t i = 0; i < map->keyspace_count; i++) {
        if (!slice_eq(map->keyspaces[i].name, name)) continue;
        json_keyspace(&a->body, map, &map->keyspaces[i]);
        finish(a);
        return;
    }
    answer_error(a, STATUS_NOT_FOUND, false, slice_str("there is no keyspace of that name"));
}

void answer_keyspace_changed(struct answer *a, struct slice name, bool create, const struct meta_keyspace_reply *reply)
{
    struct buf *b = &a->body;
    a->code = create && reply->changed ? 201 : 200;
    json_open(b, '{');
    key_u64(b, "id", reply->id);
    key_text(b, "name", name);
    key_bool(b, create ? "created" : "changed", reply->changed);
    if (reply->destroy_ts != 0) key_u64(b, "destroy_at_ms", reply->destroy_ts >> TS_COUNTER_BITS);
    json_close(b, '}');
    finish(a);
}

static void key_timestamp(struct buf *b, const char *name, uint64_t ts)
{
    json_key(b, name);
    json_u64_text(b, ts);
}

void json_snapshot(struct buf *b, const struct past_snapshot *s, enum snapshot_verb verb, bool changed)
{
    json_open(b, '{');
    key_text(b, "name", s->name);
    key_timestamp(b, "timestamp", s->ts);
    key_u64(b, "expires_at_ms", s->expires_ts >> TS_COUNTER_BITS);
    if (verb == SNAPSHOT_VERB_REGISTER) key_bool(b, "created", changed);
    if (verb == SNAPSHOT_VERB_EXTEND) key_bool(b, "changed", changed);
    if (verb == SNAPSHOT_VERB_DROP) key_bool(b, "dropped", changed);
    json_close(b, '}');
}

void json_snapshots(struct buf *b, const struct meta_snapshot_reply *reply)
{
    json_open(b, '{');
    json_key(b, "snapshots");
    json_open(b, '[');
    for (size_t i = 0; i < reply->snapshot_count; i++)
        json_snapshot(b, &reply->snapshots[i], SNAPSHOT_VERB_LIST, false);
    json_close(b, ']');
    key_timestamp(b, "now", reply->now_ts);
    key_timestamp(b, "kept_from", reply->line_ts);
    json_close(b, '}');
}

void json_range(struct buf *b, const struct meta_map_reply *map, size_t index)
{
    const struct range_desc *r = &map->ranges[index];
    const struct range_report *report = &map->reports[index];
    const struct node_info *leader = map_node(map, map->leaders[index]);
    json_open(b, '{');
    key_u64(b, "id", r->id);
    key_text(b, "keyspace", map_keyspace_name(map, r->keyspace));
    json_bytes(b, "start", r->start, false);
    json_bytes(b, "end", r->end, false);
    key_u64(b, "leader", map->leaders[index]);
    key_text(b, "leader_address", leader != NULL ? leader->address : SLICE_EMPTY);
    key_u64(b, "term", report->term);
    json_key(b, "replicas");
    json_open(b, '[');
    for (size_t i = 0; i < r->replica_count; i++) {
        json_open(b, '{');
        key_u64(b, "node", r->replicas[i].node_id);
        key_u64(b, "replica", r->replicas[i].replica_id);
        json_key(b, "role");
        json_str(b, r->replicas[i].role == 1 ? "voter" : "learner");
        json_close(b, '}');
    }
    json_close(b, ']');
    json_key(b, "epoch");
    json_open(b, '{');
    key_u64(b, "conf_ver", r->epoch.conf_ver);
    key_u64(b, "version", r->epoch.version);
    json_close(b, '}');
    key_u64(b, "bytes", report->bytes);
    key_u64(b, "rows", report->rows);
    key_u64(b, "writes", report->writes);
    key_u64(b, "reads", report->reads);
    json_close(b, '}');
}

void answer_ranges(struct answer *a, const struct meta_map_reply *map)
{
    struct buf *b = &a->body;
    json_open(b, '{');
    json_key(b, "map_version");
    json_u64_text(b, map->map_version);
    json_key(b, "ranges");
    json_open(b, '[');
    for (size_t i = 0; i < map->range_count; i++) json_range(b, map, i);
    json_close(b, ']');
    json_close(b, '}');
    finish(a);
}

void json_node(struct buf *b, const struct node_info *node)
{
    json_open(b, '{');
    key_u64(b, "id", node->id);
    key_text(b, "address", node->address);
    key_text(b, "host", node->host);
    key_bool(b, "alive", node->alive);
    key_u64(b, "ranges", node->range_count);
    key_u64(b, "leaders", node->leader_count);
    key_u64(b, "bytes", node->bytes);
    key_bool(b, "drained", (node->flags & NODE_DRAINED) != 0);
    key_bool(b, "leaving", (node->flags & NODE_LEAVING) != 0);
    key_bool(b, "maintenance", (node->flags & NODE_MAINTENANCE) != 0);
    key_bool(b, "lost", (node->flags & NODE_LOST) != 0);
    key_bool(b, "disk_slow", (node->flags & NODE_DISK_SLOW) != 0);
    key_bool(b, "disk_tight", (node->flags & NODE_DISK_TIGHT) != 0);
    key_bool(b, "disk_full", (node->flags & NODE_DISK_FULL) != 0);
    key_u64(b, "disk_write_us", node->disk_write_us);
    key_u64(b, "disk_free", node->disk_free);
    key_u64(b, "disk_total", node->disk_total);
    json_close(b, '}');
}

void answer_nodes(struct answer *a, const struct meta_map_reply *map)
{
    struct buf *b = &a->body;
    json_open(b, '{');
    json_key(b, "nodes");
    json_open(b, '[');
    for (size_t i = 0; i < map->node_count; i++) json_node(b, &map->nodes[i]);
    json_close(b, ']');
    json_close(b, '}');
    finish(a);
}

static void problems(struct buf *b, const struct health *h)
{
    json_key(b, "problems");
    json_open(b, '[');
    for (unsigned i = 0; i < h->problem_count; i++) json_str(b, h->problems[i].text);
    json_close(b, ']');
}

static void status_members(struct buf *b, const struct meta_status_reply *status)
{
    json_key(b, "members");
    json_open(b, '[');
    for (size_t i = 0; i < status->member_count; i++) {
        json_open(b, '{');
        key_u64(b, "id", status->members[i].id);
        key_text(b, "address", status->members[i].address);
        key_bool(b, "healthy", status->members[i].healthy);
        json_close(b, '}');
    }
    json_close(b, ']');
}

void answer_status(struct answer *a, const struct meta_status_reply *status, const struct meta_map_reply *map)
{
    struct buf *b = &a->body;
    struct health h;
    health_assess(status, map, &h);
    json_open(b, '{');
    json_key(b, "cluster");
    buf_append_byte(b, '"');
    for (size_t i = 0; i < CLUSTER_ID_BYTES; i++) buf_printf(b, "%02x", status->cluster.bytes[i]);
    buf_append_byte(b, '"');
    key_bool(b, "ready", h.ready);
    json_key(b, "meta");
    json_open(b, '{');
    key_u64(b, "leader", status->leader_id);
    key_u64(b, "term", status->term);
    key_u64(b, "applied", status->applied);
    json_key(b, "map_version");
    json_u64_text(b, status->map_version);
    json_key(b, "last_timestamp");
    json_u64_text(b, status->last_timestamp);
    status_members(b, status);
    json_close(b, '}');
    key_u64(b, "nodes", h.nodes);
    key_u64(b, "nodes_alive", h.nodes_alive);
    key_u64(b, "keyspaces", map->keyspace_count);
    key_u64(b, "ranges", h.ranges);
    key_u64(b, "ranges_with_leader", h.ranges_led);
    key_u64(b, "ranges_without_quorum", h.ranges_without_quorum);
    json_key(b, "can_lose");
    json_open(b, '{');
    key_u64(b, "metadata_servers", h.meta_tolerates);
    key_u64(b, "storage_nodes", h.data_tolerates);
    json_close(b, '}');
    problems(b, &h);
    json_close(b, '}');
    finish(a);
}

void answer_ready(struct answer *a, const struct meta_status_reply *status, const struct meta_map_reply *map)
{
    struct buf *b = &a->body;
    struct health h;
    health_assess(status, map, &h);
    if (!h.ready) {
        answer_error(a, STATUS_UNAVAILABLE, false,
                     slice_str(h.problem_count > 0 ? h.problems[0].text : "the cluster holds no range yet"));
        return;
    }
    json_open(b, '{');
    key_bool(b, "ready", true);
    key_u64(b, "ranges", h.ranges);
    json_close(b, '}');
    finish(a);
}
