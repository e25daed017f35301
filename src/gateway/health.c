#include "gateway/health.h"

const struct node_info *map_node(const struct meta_map_reply *map, uint64_t id)
{
    for (size_t i = 0; i < map->node_count; i++) {
        if (map->nodes[i].id == id) return &map->nodes[i];
    }
    return NULL;
}

struct slice map_keyspace_name(const struct meta_map_reply *map, uint32_t id)
{
    for (size_t i = 0; i < map->keyspace_count; i++) {
        if (map->keyspaces[i].id == id) return map->keyspaces[i].name;
    }
    return SLICE_EMPTY;
}

void node_state_text(const struct node_info *n, struct buf *out)
{
    static const struct {
        uint32_t flag;
        const char *text;
    } FLAGS[] = {{NODE_DRAINED, ", drained"},
                 {NODE_LEAVING, ", decommissioned"},
                 {NODE_MAINTENANCE, ", in maintenance"},
                 {NODE_LOST, ", given up"},
                 {NODE_DISK_SLOW, ", disk SLOW"},
                 {NODE_DISK_FULL, ", disk FULL"},
                 {NODE_DISK_TIGHT, ", disk nearly full"}};
    buf_append_str(out, n->alive ? "up" : "DOWN");
    for (size_t i = 0; i < sizeof(FLAGS) / sizeof(FLAGS[0]); i++) {
        bool said = FLAGS[i].flag == NODE_DISK_TIGHT && (n->flags & NODE_DISK_FULL) != 0;
        if ((n->flags & FLAGS[i].flag) != 0 && !said) buf_append_str(out, FLAGS[i].text);
    }
}

static struct errbuf *problem(struct health *h)
{
    if (h->problem_count == HEALTH_PROBLEMS_MAX) return NULL; /* errbuf_set takes NULL */
    return &h->problems[h->problem_count++];
}

static bool alive(const struct meta_map_reply *map, uint64_t id)
{
    const struct node_info *n = map_node(map, id);
    return n != NULL && n->alive;
}

/* Voters that could die before a majority is lost; -1 when it is lost already. */
static int range_tolerates(const struct meta_map_reply *map, const struct range_desc *r)
{
    int voters = 0, up = 0;
    for (size_t i = 0; i < r->replica_count; i++) {
        if (r->replicas[i].role == RANGE_LEARNER) continue;
        voters++;
        if (alive(map, r->replicas[i].node_id)) up++;
    }
    int spare = up - (voters / 2 + 1);
    return spare < 0 ? -1 : spare;
}

static void assess_members(const struct meta_status_reply *status, struct health *h)
{
    unsigned voters = 0, answer = 0;
    h->members = (unsigned)status->member_count;
    for (size_t i = 0; i < status->member_count; i++) {
        if (status->members[i].healthy) h->members_healthy++;
        if (status->members[i].votes) voters++;
        if (status->members[i].votes && status->members[i].healthy) answer++;
    }
    unsigned majority = voters / 2 + 1;
    h->meta_tolerates = answer > majority ? answer - majority : 0;
    if (status->leader_id == 0) {
        errbuf_set(problem(h), "the metadata service has no leader: start a majority of its %u members", voters);
    }
    for (size_t i = 0; i < status->member_count; i++) {
        if (status->members[i].healthy) continue;
        errbuf_set(problem(h), "metadata member %llu at %.*s does not answer",
                   (unsigned long long)status->members[i].id, (int)status->members[i].address.size,
                   (const char *)status->members[i].address.data);
    }
}

static void assess_disk(const struct node_info *n, struct health *h)
{
    unsigned long long id = n->id, free_mib = n->disk_free >> 20;
    if ((n->flags & NODE_DISK_FULL) != 0) {
        errbuf_set(problem(h),
                   "the disk of storage node %llu is full (%llu MiB free): writes that add rows are refused there; "
                   "deletes go on; make room or add nodes",
                   id, free_mib);
    } else if ((n->flags & NODE_DISK_TIGHT) != 0) {
        errbuf_set(problem(h), "the disk of storage node %llu is nearly full (%llu MiB free): it takes no new replicas",
                   id, free_mib);
    }
    if ((n->flags & NODE_DISK_SLOW) != 0) {
        errbuf_set(
            problem(h),
            "the disk of storage node %llu is slow (%llu us a log write, far above the others'): it leads nothing "
            "that another node can lead",
            id, (unsigned long long)n->disk_write_us);
    }
}

static void assess_nodes(const struct meta_map_reply *map, struct health *h)
{
    for (size_t i = 0; i < map->node_count; i++) {
        if ((map->nodes[i].flags & NODE_LOST) != 0) continue; /* no more of the cluster */
        h->nodes++;
        if (map->nodes[i].alive) {
            h->nodes_alive++;
            assess_disk(&map->nodes[i], h);
            continue;
        }
        errbuf_set(problem(h), "storage node %llu at %.*s is down", (unsigned long long)map->nodes[i].id,
                   (int)map->nodes[i].address.size, (const char *)map->nodes[i].address.data);
    }
    if (map->node_count == 0) errbuf_set(problem(h), "no storage node has registered: start `quorate node`");
}

static void assess_ranges(const struct meta_map_reply *map, struct health *h)
{
    int least = -1;
    h->ranges = (unsigned)map->range_count;
    for (size_t i = 0; i < map->range_count; i++) {
        int spare = range_tolerates(map, &map->ranges[i]);
        bool led = map->leaders[i] != 0 && alive(map, map->leaders[i]);
        if (led) h->ranges_led++;
        if (spare < 0) h->ranges_without_quorum++;
        if (least == -1 || spare < least) least = spare < 0 ? 0 : spare;
    }
    h->data_tolerates = least < 0 ? 0 : (unsigned)least;
    if (h->ranges_without_quorum > 0) {
        errbuf_set(
            problem(h),
            "%u of %u ranges have lost their quorum: no write is possible there until nodes come back; if they never "
            "can: quorate unsafe-recover",
            h->ranges_without_quorum, h->ranges);
    } else if (h->ranges_led < h->ranges) {
        errbuf_set(problem(h),
                   "%u of %u ranges have no known leader: an election is under way, or about to be reported",
                   h->ranges - h->ranges_led, h->ranges);
    }
}

void health_assess(const struct meta_status_reply *status, const struct meta_map_reply *map, struct health *out)
{
    *out = (struct health){.members = 0};
    assess_ranges(map, out);
    assess_members(status, out);
    assess_nodes(map, out);
    out->ready =
        status->leader_id != 0 && out->ranges > 0 && out->ranges_led == out->ranges && out->ranges_without_quorum == 0;
}

struct keyspace_totals map_keyspace_totals(const struct meta_map_reply *map, uint32_t id)
{
    struct keyspace_totals t = {0};
    for (size_t i = 0; i < map->range_count; i++) {
        if (map->ranges[i].keyspace != id) continue;
        t.ranges++;
        t.rows += map->reports != NULL ? map->reports[i].rows : 0;
        t.bytes += map->reports != NULL ? map->reports[i].bytes : 0;
    }
    return t;
}
