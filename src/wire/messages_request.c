/* Router to node: transactions, reads, scans and watches. */
#include "wire/messages_int.h"

#include "base/assert.h"
#include "txn/command.h"

#define SCAN_ROW_WIRE_MIN 4u
#define CHANGE_WIRE_MIN 6u
#define CHANGES_MAX 262144u                     /* in one answer */
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

const char *read_mode_name(enum read_mode m)
{
    static const char *const names[] = {"strong", "snapshot", "bounded", "eventual"};
    ASSERT(m <= READ_EVENTUAL);
    return names[m];
}

/* At the end of a read: [mode, ts, max_staleness_ms, any_replica, id]; left out when it is strong, at the leader, of a row. */
static uint32_t read_how_count(const struct read_how *how)
{
    return how->mode == READ_STRONG && !how->any_replica && how->id.size == 0 ? 0 : 1;
}

static void pack_read_how(struct buf *b, const struct read_how *how)
{
    if (read_how_count(how) == 0) return;
    pack_array(b, 5);
    pack_uint(b, (uint64_t)how->mode);
    pack_uint(b, how->ts);
    pack_uint(b, how->max_staleness_ms);
    pack_bool(b, how->any_replica);
    pack_bin(b, how->id);
}

/* Of the elements beyond the first version's; returns how many are left to skip. */
static uint32_t read_read_how(struct unpack *u, uint32_t extra, struct read_how *how)
{
    if (extra == 0) return 0;
    uint32_t more = unpack_open(u, 5);
    how->mode = (enum read_mode)read_enum(u, READ_STRONG, READ_EVENTUAL);
    how->ts = unpack_uint(u);
    how->max_staleness_ms = read_u32(u);
    how->any_replica = unpack_bool(u);
    how->id = read_bin(u, 0, TXN_ID_BYTES);
    if (how->id.size != 0 && how->id.size != TXN_ID_BYTES) u->failed = true;
    unpack_close(u, more);
    return extra - 1;
}

/* At the end of a read's reply: [mode, ts, staleness_ms], and others unless 0. */
static void pack_read_mark(struct buf *b, const struct read_mark *m)
{
    pack_array(b, m->others != 0 ? 4 : 3);
    pack_uint(b, (uint64_t)m->mode);
    pack_uint(b, m->ts);
    pack_uint(b, m->staleness_ms);
    if (m->others != 0) pack_uint(b, m->others);
}

static uint32_t read_read_mark(struct unpack *u, uint32_t extra, struct read_mark *m)
{
    m->staleness_ms = STALENESS_UNKNOWN;
    if (extra == 0) return 0;
    uint32_t more = unpack_open(u, 3);
    m->mode = (enum read_mode)read_enum(u, READ_STRONG, READ_EVENTUAL);
    m->ts = unpack_uint(u);
    m->staleness_ms = read_u32(u);
    if (more > 0) m->others = read_u32(u);
    unpack_close(u, more > 0 ? more - 1 : 0);
    return extra - 1;
}

void pack_txn_request(struct buf *b, const struct txn_request *m)
{
    pack_array(b, ROUTED_COUNT + 2);
    pack_routed(b, &m->to);
    pack_bin(b, m->txn);
    pack_uint(b, m->kind);
}

static void read_txn_request(struct unpack *u, struct arena *arena, struct txn_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, ROUTED_COUNT + 2);
    read_routed(u, &m->to);
    m->txn = read_bin(u, 1, LIMIT_TXN_BYTES);
    m->kind = (uint8_t)read_enum(u, 0, TXN_COMMAND_STEPS);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(txn_request)

void pack_get_request(struct buf *b, const struct get_request *m)
{
    pack_array(b, ROUTED_COUNT + 2 + read_how_count(&m->how));
    pack_routed(b, &m->to);
    pack_uint(b, m->keyspace);
    pack_bin(b, m->key);
    pack_read_how(b, &m->how);
}

static void read_get_request(struct unpack *u, struct arena *arena, struct get_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, ROUTED_COUNT + 2);
    read_routed(u, &m->to);
    m->keyspace = read_u32(u);
    m->key = read_bin(u, 1, LIMIT_KEY_BYTES);
    unpack_close(u, read_read_how(u, extra, &m->how));
}
MESSAGE_UNPACK(get_request)

void pack_get_reply(struct buf *b, const struct get_reply *m)
{
    pack_array(b, 4);
    pack_bool(b, m->found);
    pack_uint(b, m->version);
    pack_bin(b, m->value);
    pack_read_mark(b, &m->mark);
}

static void read_get_reply(struct unpack *u, struct arena *arena, struct get_reply *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 3);
    m->found = unpack_bool(u);
    m->version = unpack_uint(u);
    m->value = read_bin(u, 0, LIMIT_VALUE_BYTES);
    unpack_close(u, read_read_mark(u, extra, &m->mark));
}
MESSAGE_UNPACK(get_reply)

void pack_scan_request(struct buf *b, const struct scan_request *m)
{
    pack_array(b, ROUTED_COUNT + 7 + read_how_count(&m->how));
    pack_routed(b, &m->to);
    pack_uint(b, m->keyspace);
    pack_bin(b, m->start);
    pack_bin(b, m->end);
    pack_uint(b, m->limit_rows);
    pack_uint(b, m->limit_bytes);
    pack_bool(b, m->reverse);
    pack_bool(b, m->keys_only);
    pack_read_how(b, &m->how);
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
    unpack_close(u, read_read_how(u, extra, &m->how));
}
MESSAGE_UNPACK(scan_request)

void pack_scan_row(struct buf *b, const struct scan_row *r)
{
    bool plain = !r->is_counter && r->ttl_ms == 0;
    pack_array(b, plain ? 3 : 5);
    pack_bin(b, r->key);
    pack_bin(b, r->value);
    pack_uint(b, r->version);
    if (plain) return;
    pack_bool(b, r->is_counter);
    pack_uint(b, r->ttl_ms);
}

static void read_scan_row(struct unpack *u, struct scan_row *r)
{
    uint32_t extra = unpack_open(u, 3);
    r->key = read_bin(u, 1, LIMIT_KEY_BYTES);
    r->value = read_bin(u, 0, LIMIT_VALUE_BYTES);
    r->version = unpack_uint(u);
    r->is_counter = false;
    r->ttl_ms = 0;
    if (extra >= 2) {
        r->is_counter = unpack_bool(u);
        r->ttl_ms = unpack_uint(u);
        extra -= 2;
    }
    unpack_close(u, extra);
}

/* Whether there is more, and how many rows there are, is known in the end. */
#define SCAN_HEAD_BYTES 7u
#define SCAN_MORE_AT 1u

size_t pack_scan_begin(struct buf *b)
{
    static const uint8_t head[SCAN_HEAD_BYTES] = {0x93, 0xc2,
                                                  0xdd}; /* three elements: false, an array of 32 bits' length */
    size_t at = b->size;
    buf_append(b, head, sizeof head);
    return at;
}

void pack_scan_end(struct buf *b, size_t at, size_t row_count, bool more, const struct read_mark *mark)
{
    ASSERT(row_count <= LIMIT_SCAN_ROWS);
    pack_read_mark(b, mark);
    if (b->overflow) return;
    uint8_t *count = b->data + at + SCAN_HEAD_BYTES - 4;
    if (more) b->data[at + SCAN_MORE_AT] = 0xc3;
    for (unsigned i = 0; i < 4; i++) count[i] = (uint8_t)(row_count >> (24 - 8 * i));
}

void pack_scan_reply(struct buf *b, const struct scan_reply *m)
{
    size_t at = pack_scan_begin(b);
    for (size_t i = 0; i < m->row_count; i++) pack_scan_row(b, &m->rows[i]);
    pack_scan_end(b, at, m->row_count, m->more, &m->mark);
}

static void read_scan_reply(struct unpack *u, struct arena *arena, struct scan_reply *m)
{
    uint32_t extra = unpack_open(u, 2);
    m->more = unpack_bool(u);
    m->rows = read_list(u, arena, sizeof(*m->rows), SCAN_ROW_WIRE_MIN, LIMIT_SCAN_ROWS, &m->row_count);
    for (size_t i = 0; i < m->row_count && !u->failed; i++) read_scan_row(u, &m->rows[i]);
    unpack_close(u, read_read_mark(u, extra, &m->mark));
}
MESSAGE_UNPACK(scan_reply)

void pack_resolve_request(struct buf *b, const struct resolve_request *m)
{
    pack_array(b, ROUTED_COUNT);
    pack_routed(b, &m->to);
}

static void read_resolve_request(struct unpack *u, struct arena *arena, struct resolve_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, ROUTED_COUNT);
    read_routed(u, &m->to);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(resolve_request)

void pack_watch_request(struct buf *b, const struct watch_request *m)
{
    pack_array(b, ROUTED_COUNT + 8);
    pack_routed(b, &m->to);
    pack_uint(b, m->keyspace);
    pack_bin(b, m->start);
    pack_bin(b, m->end);
    pack_uint(b, m->after);
    pack_uint(b, m->until);
    pack_uint(b, m->poll);
    pack_uint(b, m->limit_bytes);
    pack_uint(b, m->wait_ms);
}

static void read_watch_request(struct unpack *u, struct arena *arena, struct watch_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, ROUTED_COUNT + 8);
    read_routed(u, &m->to);
    m->keyspace = read_u32(u);
    m->start = read_bin(u, 0, SCAN_BOUND_BYTES);
    m->end = read_bin(u, 0, SCAN_BOUND_BYTES);
    m->after = unpack_uint(u);
    m->until = unpack_uint(u);
    m->poll = unpack_uint(u);
    m->limit_bytes = read_u32(u);
    m->wait_ms = read_u32(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(watch_request)

static void pack_change(struct buf *b, const struct feed_change *c)
{
    pack_array(b, c->is_counter ? 6 : 5);
    pack_uint(b, c->ts);
    pack_bool(b, c->is_delete);
    pack_bin(b, c->key);
    pack_bin(b, c->value);
    pack_uint(b, c->ttl_ms);
    if (c->is_counter) pack_bool(b, true);
}

static void read_change(struct unpack *u, struct feed_change *c)
{
    uint32_t extra = unpack_open(u, 5);
    c->ts = unpack_uint(u);
    c->is_delete = unpack_bool(u);
    c->key = read_bin(u, 1, LIMIT_KEY_BYTES);
    c->value = read_bin(u, 0, LIMIT_VALUE_BYTES);
    c->ttl_ms = unpack_uint(u);
    c->is_counter = extra > 0 && unpack_bool(u);
    unpack_close(u, extra > 0 ? extra - 1 : 0);
}

void pack_watch_reply(struct buf *b, const struct watch_reply *m)
{
    ASSERT(m->change_count <= CHANGES_MAX);
    pack_array(b, 2);
    pack_uint(b, m->upto);
    pack_array(b, (uint32_t)m->change_count);
    for (size_t i = 0; i < m->change_count; i++) pack_change(b, &m->changes[i]);
}

static void read_watch_reply(struct unpack *u, struct arena *arena, struct watch_reply *m)
{
    uint32_t extra = unpack_open(u, 2);
    m->upto = unpack_uint(u);
    m->changes = read_list(u, arena, sizeof(*m->changes), CHANGE_WIRE_MIN, CHANGES_MAX, &m->change_count);
    for (size_t i = 0; i < m->change_count && !u->failed; i++) read_change(u, &m->changes[i]);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(watch_reply)
