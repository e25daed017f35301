/* Ranges, nodes and reports. */
#include "wire/messages_int.h"

#include "base/assert.h"

#define DESC_WIRE_MIN 7u /* array head and six elements of a byte at least */
#define NODE_WIRE_MIN 12u
#define REPORT_WIRE_MIN 9u

size_t range_desc_size(const struct range_desc *d)
{
    ASSERT(d->replica_count <= LIMIT_REPLICAS);
    return offsetof(struct range_desc, replicas) + d->replica_count * sizeof d->replicas[0];
}

void range_desc_copy(struct range_desc *to, const struct range_desc *from)
{
    memcpy(to, from, range_desc_size(from));
}

bool range_desc_contains(const struct range_desc *d, uint32_t keyspace, struct slice key)
{
    if (d->keyspace != keyspace || slice_cmp(key, d->start) < 0) return false;
    return d->end.size == 0 || slice_cmp(key, d->end) < 0;
}

const struct range_replica *range_desc_replica(const struct range_desc *d, uint64_t node_id)
{
    ASSERT(d->replica_count <= LIMIT_REPLICAS);
    for (size_t i = 0; i < d->replica_count; i++) {
        if (d->replicas[i].node_id == node_id) return &d->replicas[i];
    }
    return NULL;
}

bool range_desc_joint(const struct range_desc *d)
{
    for (size_t i = 0; i < d->replica_count; i++) {
        if (d->replicas[i].role == RANGE_INCOMING || d->replicas[i].role == RANGE_OUTGOING) return true;
    }
    return false;
}

bool range_desc_is_gone(const struct range_desc *d, uint64_t replica_id)
{
    if (d->epoch.conf_ver == 0 || replica_id > RANGE_FIRST_REPLICAS + d->epoch.conf_ver) return false;
    for (size_t i = 0; i < d->replica_count; i++) {
        if (d->replicas[i].replica_id == replica_id) return false;
    }
    return true;
}

void pack_range_epoch(struct buf *b, const struct range_epoch *e)
{
    pack_array(b, 2);
    pack_uint(b, e->conf_ver);
    pack_uint(b, e->version);
}

struct range_epoch read_range_epoch(struct unpack *u)
{
    struct range_epoch e;
    uint32_t extra = unpack_open(u, 2);
    e.conf_ver = unpack_uint(u);
    e.version = unpack_uint(u);
    unpack_close(u, extra);
    return e;
}

/* --- descriptors --- */

static void pack_range_replica(struct buf *b, const struct range_replica *r)
{
    pack_array(b, 3);
    pack_uint(b, r->node_id);
    pack_uint(b, r->replica_id);
    pack_uint(b, r->role);
}

static void read_range_replica(struct unpack *u, struct range_replica *r)
{
    uint32_t extra = unpack_open(u, 3);
    r->node_id = unpack_uint(u);
    r->replica_id = unpack_uint(u);
    r->role = (uint8_t)read_enum(u, RANGE_VOTER, RANGE_OUTGOING);
    unpack_close(u, extra);
}

void pack_range_desc(struct buf *b, const struct range_desc *m)
{
    ASSERT(m->replica_count <= LIMIT_REPLICAS);
    pack_array(b, 6);
    pack_uint(b, m->id);
    pack_uint(b, m->keyspace);
    pack_bin(b, m->start);
    pack_bin(b, m->end);
    pack_range_epoch(b, &m->epoch);
    pack_array(b, (uint32_t)m->replica_count);
    for (size_t i = 0; i < m->replica_count; i++) pack_range_replica(b, &m->replicas[i]);
}

void read_range_desc(struct unpack *u, struct arena *arena, struct range_desc *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 6);
    m->id = unpack_uint(u);
    m->keyspace = read_u32(u);
    m->start = read_bin(u, 0, LIMIT_KEY_BYTES);
    m->end = read_bin(u, 0, LIMIT_KEY_BYTES);
    if (m->end.size > 0 && slice_cmp(m->start, m->end) >= 0) u->failed = true;
    m->epoch = read_range_epoch(u);
    uint32_t count = unpack_array(u);
    if (count > LIMIT_REPLICAS) u->failed = true;
    m->replica_count = u->failed ? 0 : count;
    for (size_t i = 0; i < m->replica_count; i++) read_range_replica(u, &m->replicas[i]);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(range_desc)

void pack_range_descs(struct buf *b, const struct range_desc *ranges, size_t count)
{
    pack_array(b, list_count(count));
    for (size_t i = 0; i < count; i++) pack_range_desc(b, &ranges[i]);
}

struct range_desc *read_range_descs(struct unpack *u, struct arena *arena, size_t *count)
{
    struct range_desc *ranges = read_list(u, arena, sizeof(*ranges), DESC_WIRE_MIN, MESSAGE_LIST_MAX, count);
    for (size_t i = 0; i < *count && !u->failed; i++) read_range_desc(u, arena, &ranges[i]);
    return ranges;
}

/* --- nodes --- */

static void pack_node_info(struct buf *b, const struct node_info *n)
{
    pack_array(b, 11);
    pack_uint(b, n->id);
    pack_bin(b, n->address);
    pack_bin(b, n->host);
    pack_bool(b, n->alive);
    pack_uint(b, n->range_count);
    pack_uint(b, n->leader_count);
    pack_uint(b, n->bytes);
    pack_uint(b, n->flags);
    pack_uint(b, n->disk_write_us);
    pack_uint(b, n->disk_free);
    pack_uint(b, n->disk_total);
}

static void read_node_info(struct unpack *u, struct node_info *n)
{
    uint32_t extra = unpack_open(u, 11);
    n->id = unpack_uint(u);
    n->address = read_bin(u, 0, LIMIT_ADDRESS_BYTES);
    n->host = read_bin(u, 0, LIMIT_ADDRESS_BYTES);
    n->alive = unpack_bool(u);
    n->range_count = unpack_uint(u);
    n->leader_count = unpack_uint(u);
    n->bytes = unpack_uint(u);
    n->flags = read_u32(u);
    n->disk_write_us = unpack_uint(u);
    n->disk_free = unpack_uint(u);
    n->disk_total = unpack_uint(u);
    unpack_close(u, extra);
}

void pack_node_infos(struct buf *b, const struct node_info *nodes, size_t count)
{
    pack_array(b, list_count(count));
    for (size_t i = 0; i < count; i++) pack_node_info(b, &nodes[i]);
}

struct node_info *read_node_infos(struct unpack *u, struct arena *arena, size_t *count)
{
    struct node_info *nodes = read_list(u, arena, sizeof(*nodes), NODE_WIRE_MIN, MESSAGE_LIST_MAX, count);
    for (size_t i = 0; i < *count && !u->failed; i++) read_node_info(u, &nodes[i]);
    return nodes;
}

/* --- reports --- */

static void pack_range_report(struct buf *b, const struct range_report *r)
{
    pack_array(b, 7);
    pack_uint(b, r->range_id);
    pack_range_epoch(b, &r->epoch);
    pack_uint(b, r->term);
    pack_uint(b, r->bytes);
    pack_uint(b, r->rows);
    pack_uint(b, r->writes);
    pack_uint(b, r->reads);
}

static void read_range_report(struct unpack *u, struct range_report *r)
{
    uint32_t extra = unpack_open(u, 7);
    r->range_id = unpack_uint(u);
    r->epoch = read_range_epoch(u);
    r->term = unpack_uint(u);
    r->bytes = unpack_uint(u);
    r->rows = unpack_uint(u);
    r->writes = unpack_uint(u);
    r->reads = unpack_uint(u);
    unpack_close(u, extra);
}

void pack_range_reports(struct buf *b, const struct range_report *reports, size_t count)
{
    pack_array(b, list_count(count));
    for (size_t i = 0; i < count; i++) pack_range_report(b, &reports[i]);
}

struct range_report *read_range_reports(struct unpack *u, struct arena *arena, size_t *count)
{
    struct range_report *reports = read_list(u, arena, sizeof(*reports), REPORT_WIRE_MIN, MESSAGE_LIST_MAX, count);
    for (size_t i = 0; i < *count && !u->failed; i++) read_range_report(u, &reports[i]);
    return reports;
}
