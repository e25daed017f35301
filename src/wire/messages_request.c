/* Router to node: transactions, reads and scans. */
#include "wire/messages_int.h"

#include "base/assert.h"

#define SCAN_ROW_WIRE_MIN 4u
#define SCAN_BOUND_BYTES (LIMIT_KEY_BYTES + 1u) /* "after key k" is k and a zero byte */

/* Every request begins with these elements: [range id, conf_ver, version, deadline, ...]. */
#define ROUTED_COUNT 4u

static void pack_routed(struct buf *b, const struct routed *r)
{
    pack_uint(b, r->range_id);
    pack_uint(b, r->epoch.conf_ver);
    pack_uint(b, r->epoch.version);
    pack_uint(b, r->deadline_ms);
}

static void read_routed(struct unpack *u, struct routed *r)
{
    r->range_id = unpack_uint(u);
    r->epoch.conf_ver = unpack_uint(u);
    r->epoch.version = unpack_uint(u);
    r->deadline_ms = read_u32(u);
}

void pack_txn_request(struct buf *b, const struct txn_request *m)
{
    pack_array(b, ROUTED_COUNT + 1);
    pack_routed(b, &m->to);
    pack_bin(b, m->txn);
}

static void read_txn_request(struct unpack *u, struct arena *arena, struct txn_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, ROUTED_COUNT + 1);
    read_routed(u, &m->to);
    m->txn = read_bin(u, 1, LIMIT_TXN_BYTES);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(txn_request)

void pack_get_request(struct buf *b, const struct get_request *m)
{
    pack_array(b, ROUTED_COUNT + 2);
    pack_routed(b, &m->to);
    pack_uint(b, m->keyspace);
    pack_bin(b, m->key);
}

static void read_get_request(struct unpack *u, struct arena *arena, struct get_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, ROUTED_COUNT + 2);
    read_routed(u, &m->to);
    m->keyspace = read_u32(u);
    m->key = read_bin(u, 1, LIMIT_KEY_BYTES);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(get_request)

void pack_get_reply(struct buf *b, const struct get_reply *m)
{
    pack_array(b, 3);
    pack_bool(b, m->found);
    pack_uint(b, m->version);
    pack_bin(b, m->value);
}

static void read_get_reply(struct unpack *u, struct arena *arena, struct get_reply *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 3);
    m->found = unpack_bool(u);
    m->version = unpack_uint(u);
    m->value = read_bin(u, 0, LIMIT_VALUE_BYTES);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(get_reply)

void pack_scan_request(struct buf *b, const struct scan_request *m)
{
    pack_array(b, ROUTED_COUNT + 7);
    pack_routed(b, &m->to);
    pack_uint(b, m->keyspace);
    pack_bin(b, m->start);
    pack_bin(b, m->end);
    pack_uint(b, m->limit_rows);
    pack_uint(b, m->limit_bytes);
    pack_bool(b, m->reverse);
    pack_bool(b, m->keys_only);
}

static void read_scan_request(struct unpack *u, struct arena *arena, struct scan_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, ROUTED_COUNT + 7);
    read_routed(u, &m->to);
    m->keyspace = read_u32(u);
    m->start = read_bin(u, 0, SCAN_BOUND_BYTES);
    m->end = read_bin(u, 0, SCAN_BOUND_BYTES);
    m->limit_rows = read_u32(u);
    m->limit_bytes = read_u32(u);
    m->reverse = unpack_bool(u);
    m->keys_only = unpack_bool(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(scan_request)

static void pack_scan_row(struct buf *b, const struct scan_row *r)
{
    pack_array(b, 3);
    pack_bin(b, r->key);
    pack_bin(b, r->value);
    pack_uint(b, r->version);
}

static void read_scan_row(struct unpack *u, struct scan_row *r)
{
    uint32_t extra = unpack_open(u, 3);
    r->key = read_bin(u, 1, LIMIT_KEY_BYTES);
    r->value = read_bin(u, 0, LIMIT_VALUE_BYTES);
    r->version = unpack_uint(u);
    unpack_close(u, extra);
}

void pack_scan_reply(struct buf *b, const struct scan_reply *m)
{
    ASSERT(m->row_count <= LIMIT_SCAN_ROWS);
    pack_array(b, 2);
    pack_bool(b, m->more);
    pack_array(b, (uint32_t)m->row_count);
    for (size_t i = 0; i < m->row_count; i++) pack_scan_row(b, &m->rows[i]);
}

static void read_scan_reply(struct unpack *u, struct arena *arena, struct scan_reply *m)
{
    uint32_t extra = unpack_open(u, 2);
    m->more = unpack_bool(u);
    m->rows = read_list(u, arena, sizeof(*m->rows), SCAN_ROW_WIRE_MIN, LIMIT_SCAN_ROWS, &m->row_count);
    for (size_t i = 0; i < m->row_count && !u->failed; i++) read_scan_row(u, &m->rows[i]);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(scan_reply)
