#include "gateway/metrics_cluster.h"

#include <stddef.h>

#include "meta/operator.h"

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: the names of hosts and keyspaces are others' text. */
static void label(struct buf *out, const char *name, struct slice value)
{
    buf_printf(out, "%s=\"", name);
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.data[i];
        if (c == '"' || c == '\\') buf_append_byte(out, '\\');
        buf_append_byte(out, c < 0x20 || c >= 0x7f ? '_' : c);
    }
    buf_append_byte(out, '"');
}

static void one(struct buf *out, const char *name, const char *type, const char *help, uint64_t v)
{
    head(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)v);
}

/* --- the cluster --- */

static void write_health(const struct cluster_figures *f, struct buf *out)
{
    struct health h;
    if (f->status == NULL) return;
    health_assess(f->status, f->map, &h);
    one(out, "quorate_ready", "gauge", "Everything can be written and read.", h.ready);
    head(out, "quorate_can_lose", "gauge", "Processes of a kind that may still fail without an interruption.");
    buf_printf(out, "quorate_can_lose{kind=\"storage_nodes\"} %u\nquorate_can_lose{kind=\"metadata_servers\"} %u\n",
               h.data_tolerates, h.meta_tolerates);
    one(out, "quorate_ranges", "gauge", "Ranges of the cluster.", h.ranges);
    one(out, "quorate_ranges_with_leader", "gauge", "Ranges whose leader is known and alive.", h.ranges_led);
    one(out, "quorate_ranges_without_quorum", "gauge", "Ranges that have lost their majority.",
        h.ranges_without_quorum);
    one(out, "quorate_problems", "gauge", "Problems that `quorate status` tells.", h.problem_count);
    one(out, "quorate_meta_leader", "gauge", "The metadata member that leads; 0: none.", f->status->leader_id);
    one(out, "quorate_meta_term", "gauge", "Term of the metadata group.", f->status->term);
    one(out, "quorate_meta_applied_index", "gauge", "Log entries that the metadata group has applied.",
        f->status->applied);
    head(out, "quorate_meta_member_up", "gauge", "The metadata member answers its leader.");
    for (size_t i = 0; i < f->status->member_count; i++) {
        buf_printf(out, "quorate_meta_member_up{member=\"%llu\",", (unsigned long long)f->status->members[i].id);
        label(out, "address", f->status->members[i].address);
        buf_printf(out, "} %d\n", f->status->members[i].healthy);
    }
}

static void write_operators(const struct cluster_figures *f, struct buf *out)
{
    uint64_t running[OPERATOR_MERGE + 1] = {0};
    if (f->ops == NULL) return;
    for (size_t i = 0; i < f->ops->op_count; i++) {
        const struct operator_info *o = &f->ops->ops[i];
        if (o->state == OPERATOR_RUNNING && (size_t)o->kind <= OPERATOR_MERGE) running[o->kind]++;
    }
    head(out, "quorate_operators_running", "gauge", "Changes of ranges that are under way.");
    for (int k = OPERATOR_ADD; k <= OPERATOR_MERGE; k++) {
        buf_printf(out, "quorate_operators_running{kind=\"%s\"} %llu\n", operator_kind_name((enum operator_kind)k),
                   (unsigned long long)running[k]);
    }
    one(out, "quorate_scheduler_rounds_total", "counter", "Rounds of this leader's scheduler.", f->ops->rounds);
    head(out, "quorate_scheduler_round_seconds", "gauge", "How long its last round took.");
    buf_printf(out, "quorate_scheduler_round_seconds %.9f\n", (double)f->ops->round_ns / 1e9);
    one(out, "quorate_ranges_short", "gauge", "Ranges with fewer replicas than they should have.",
        f->ops->ranges_short);
    one(out, "quorate_ranges_stopped", "gauge", "Ranges that cannot be repaired now.", f->ops->ranges_stopped);
}

static void write_keyspaces(const struct meta_map_reply *map, struct buf *out)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } rows[] = {
        {"quorate_keyspace_ranges", "Ranges of a keyspace.", offsetof(struct keyspace_totals, ranges)},
        {"quorate_keyspace_rows", "Rows, as leaders estimate them.", offsetof(struct keyspace_totals, rows)},
        {"quorate_keyspace_bytes", "Bytes, as leaders estimate them.", offsetof(struct keyspace_totals, bytes)}};
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        head(out, rows[r].name, "gauge", rows[r].help);
        for (size_t i = 0; i < map->keyspace_count; i++) {
            struct keyspace_totals t = map_keyspace_totals(map, map->keyspaces[i].id);
            buf_printf(out, "%s{", rows[r].name);
            label(out, "keyspace", map->keyspaces[i].name);
            buf_printf(out, "} %llu\n",
                       (unsigned long long)*(const uint64_t *)(const void *)((const uint8_t *)&t + rows[r].offset));
        }
    }
}

/* The leader is a label: another one counts from its own beginning, and so is another series. */
static void write_ranges(const struct meta_map_reply *map, struct buf *out)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } rows[] = {{"quorate_range_writes_total", "Writes of a range since its leader's process started.",
                 offsetof(struct range_report, writes)},
                {"quorate_range_reads_total", "Reads of a range since its leader's process started.",
                 offsetof(struct range_report, reads)}};
    if (map->range_count > METRICS_RANGES_MAX || map->reports == NULL) return;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        head(out, rows[r].name, "counter", rows[r].help);
        for (size_t i = 0; i < map->range_count; i++) {
            const uint8_t *report = (const uint8_t *)&map->reports[i];
            if (map->leaders[i] == 0) continue;
            buf_printf(out, "%s{range=\"%llu\",leader=\"%llu\",", rows[r].name, (unsigned long long)map->ranges[i].id,
                       (unsigned long long)map->leaders[i]);
            label(out, "keyspace", map_keyspace_name(map, map->ranges[i].keyspace));
            buf_printf(out, "} %llu\n", (unsigned long long)*(const uint64_t *)(const void *)(report + rows[r].offset));
        }
    }
}

/* --- nodes --- */

enum { FROM_INFO, FROM_STATUS };
struct node_row {
    const char *name, *type, *help;
    int from;
    size_t offset;
    double unit; /* what one of the field is */
};
#define INFO(field) FROM_INFO, offsetof(struct node_info, field)
#define STATUS(field) FROM_STATUS, offsetof(struct node_status_reply, field)
static const struct node_row NODE_ROWS[] = {
    {"quorate_node_replicas", "gauge", "Replicas that it holds.", INFO(range_count), 1},
    {"quorate_node_leaders", "gauge", "Ranges that it leads.", INFO(leader_count), 1},
    {"quorate_node_data_bytes", "gauge", "Bytes of its store.", INFO(bytes), 1},
    {"quorate_node_disk_free_bytes", "gauge", "Free on its disk.", INFO(disk_free), 1},
    {"quorate_node_disk_size_bytes", "gauge", "Size of its disk.", INFO(disk_total), 1},
    {"quorate_node_disk_write_seconds", "gauge", "Mean time of a log write of late.", INFO(disk_write_us), 1e-6},
    {"quorate_node_uptime_seconds", "gauge", "Since its process started.", STATUS(uptime_ms), 1e-3},
    {"quorate_wal_live_bytes", "gauge", "Bytes of log that a restart would read.", STATUS(wal_live_bytes), 1},
    {"quorate_wal_writes_total", "counter", "Log writes, each with its sync.", STATUS(wal_batches), 1},
    {"quorate_wal_write_seconds_mean", "gauge", "Mean time of a log write since the start.", STATUS(wal_write_us_mean),
     1e-6},
    {"quorate_wal_write_seconds_max", "gauge", "Longest log write since the start.", STATUS(wal_write_us_max), 1e-6},
    {"quorate_store_bytes", "gauge", "Bytes in the store's files.", STATUS(store_bytes), 1},
    {"quorate_store_files", "gauge", "Files of the store.", STATUS(store_files), 1},
    {"quorate_store_memtable_bytes", "gauge", "Rows not yet in files.", STATUS(memtable_bytes), 1},
    {"quorate_snapshots_sending", "gauge", "Snapshots being sent.", STATUS(snapshots_sending), 1},
    {"quorate_snapshots_receiving", "gauge", "Snapshots being received.", STATUS(snapshots_receiving), 1},
    {"quorate_snapshot_bytes_total", "counter", "Bytes of snapshots sent since the start.", STATUS(snapshot_bytes), 1},
};

static void node_sample(struct buf *out, const char *name, uint64_t node, double v)
{
    buf_printf(out, "%s{node=\"%llu\"} %.10g\n", name, (unsigned long long)node, v);
}

static void write_node_row(const struct cluster_figures *f, const struct node_row *row, struct buf *out)
{
    head(out, row->name, row->type, row->help);
    for (size_t i = 0; i < f->map->node_count; i++) {
        const void *from = row->from == FROM_INFO ? (const void *)&f->map->nodes[i] : (const void *)f->nodes[i];
        if (from == NULL) continue;
        uint64_t v;
        memcpy(&v, (const uint8_t *)from + row->offset, sizeof(v));
        node_sample(out, row->name, f->map->nodes[i].id, (double)v * row->unit);
    }
}

static void write_node_states(const struct cluster_figures *f, struct buf *out)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } flags[] = {{NODE_DRAINED, "drained"},    {NODE_LEAVING, "leaving"},     {NODE_MAINTENANCE, "maintenance"},
                 {NODE_LOST, "lost"},          {NODE_DISK_SLOW, "disk_slow"}, {NODE_DISK_TIGHT, "disk_tight"},
                 {NODE_DISK_FULL, "disk_full"}};
    head(out, "quorate_node_up", "gauge", "The metadata service hears of it.");
    for (size_t i = 0; i < f->map->node_count; i++) {
        const struct node_info *n = &f->map->nodes[i];
        buf_printf(out, "quorate_node_up{node=\"%llu\",", (unsigned long long)n->id);
        label(out, "address", n->address);
        buf_append_byte(out, ',');
        label(out, "host", n->host);
        buf_printf(out, "} %d\n", n->alive);
    }
    head(out, "quorate_node_condition", "gauge", "What an admin or the node itself says of it.");
    for (size_t i = 0; i < f->map->node_count; i++) {
        for (size_t k = 0; k < sizeof(flags) / sizeof(flags[0]); k++) {
            buf_printf(out, "quorate_node_condition{node=\"%llu\",condition=\"%s\"} %d\n",
                       (unsigned long long)f->map->nodes[i].id, flags[k].name,
                       (f->map->nodes[i].flags & flags[k].flag) != 0);
        }
    }
}

struct raft_sums {
    uint64_t behind, log_bytes, leaderless, waiting, terms;
};

static struct raft_sums raft_sums_of(const struct node_status_reply *s)
{
    struct raft_sums sums = {0};
    for (size_t i = 0; i < s->range_count; i++) {
        const struct node_range_status *r = &s->ranges[i];
        sums.behind += r->commit > r->applied ? r->commit - r->applied : 0;
        sums.log_bytes += r->log_bytes;
        sums.leaderless += r->leader_replica == 0;
        sums.waiting += r->waits_for.size > 0;
        sums.terms += r->term;
    }
    return sums;
}

static void write_raft(const struct cluster_figures *f, struct buf *out)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } rows[] = {
        {"quorate_raft_unapplied_entries", "Committed entries that its replicas have not applied.",
         offsetof(struct raft_sums, behind)},
        {"quorate_raft_log_bytes", "Log entries in memory.", offsetof(struct raft_sums, log_bytes)},
        {"quorate_raft_leaderless", "Replicas that know no leader.", offsetof(struct raft_sums, leaderless)},
        {"quorate_raft_waiting", "Replicas that wait for something.", offsetof(struct raft_sums, waiting)},
        {"quorate_raft_terms", "Sum of its replicas' terms: grows with elections.", offsetof(struct raft_sums, terms)}};
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        head(out, rows[k].name, "gauge", rows[k].help);
        for (size_t i = 0; i < f->map->node_count; i++) {
            if (f->nodes[i] == NULL) continue;
            struct raft_sums sums = raft_sums_of(f->nodes[i]);
            uint64_t v;
            memcpy(&v, (const uint8_t *)&sums + rows[k].offset, sizeof(v));
            node_sample(out, rows[k].name, f->map->nodes[i].id, (double)v);
        }
    }
    head(out, "quorate_store_pressure_percent", "gauge", "100: the store takes no more until it has flushed.");
    for (size_t i = 0; i < f->map->node_count; i++) {
        if (f->nodes[i] != NULL)
            node_sample(out, "quorate_store_pressure_percent", f->map->nodes[i].id, f->nodes[i]->pressure);
    }
}

void metrics_cluster_write(const struct cluster_figures *f, struct buf *out)
{
    write_health(f, out);
    write_operators(f, out);
    write_keyspaces(f->map, out);
    write_ranges(f->map, out);
    write_node_states(f, out);
    for (size_t i = 0; i < sizeof(NODE_ROWS) / sizeof(NODE_ROWS[0]); i++) write_node_row(f, &NODE_ROWS[i], out);
    write_raft(f, out);
}
