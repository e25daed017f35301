/* Catalogues, and what a metadata service is made anew from. */
#include "wire/messages_int.h"

#define ROW_WIRE_MIN 3u
#define HELD_WIRE_MIN 12u
#define ROW_KEY_MAX 256u

void pack_catalogue_rows(struct buf *b, const struct catalogue_rows *m)
{
    pack_array(b, 1);
    pack_array(b, list_count(m->row_count));
    for (size_t i = 0; i < m->row_count; i++) {
        pack_array(b, 2);
        pack_bin(b, m->rows[i].key);
        pack_bin(b, m->rows[i].value);
    }
}

static void read_catalogue_rows(struct unpack *u, struct arena *arena, struct catalogue_rows *m)
{
    uint32_t extra = unpack_open(u, 1);
    m->rows = read_list(u, arena, sizeof(*m->rows), ROW_WIRE_MIN, MESSAGE_LIST_MAX, &m->row_count);
    for (size_t i = 0; i < m->row_count && !u->failed; i++) {
        uint32_t more = unpack_open(u, 2);
        m->rows[i].key = read_bin(u, 1, ROW_KEY_MAX);
        m->rows[i].value = unpack_bin(u);
        unpack_close(u, more);
    }
    unpack_close(u, extra);
}
MESSAGE_UNPACK(catalogue_rows)

void pack_catalogue(struct buf *b, const struct catalogue *m)
{
    pack_array(b, 4);
    pack_uint(b, m->map_version);
    pack_uint(b, m->term);
    pack_uint(b, m->ts_bound);
    pack_bin(b, m->rows);
}

static void read_catalogue(struct unpack *u, struct arena *arena, struct catalogue *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 4);
    m->map_version = unpack_uint(u);
    m->term = unpack_uint(u);
    m->ts_bound = unpack_uint(u);
    m->rows = unpack_bin(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(catalogue)

static void pack_held(struct buf *b, const struct held_replica *m)
{
    pack_array(b, 5);
    pack_range_desc(b, &m->desc);
    pack_uint(b, m->replica_id);
    pack_uint(b, m->term);
    pack_bool(b, m->leads);
    pack_bool(b, m->whole);
}

void pack_node_holds_reply(struct buf *b, const struct node_holds_reply *m)
{
    pack_array(b, 10);
    pack_uint(b, m->node_id);
    pack_bin(b, m->uuid);
    pack_bin(b, m->address);
    pack_bin(b, m->host);
    pack_cluster_id(b, &m->cluster);
    pack_uint(b, m->wall_ms);
    pack_uint(b, m->newest_ts);
    pack_uint(b, m->heard_ms);
    pack_catalogue(b, &m->catalogue);
    pack_array(b, list_count(m->held_count));
    for (size_t i = 0; i < m->held_count; i++) pack_held(b, &m->held[i]);
}

static void read_node_holds_reply(struct unpack *u, struct arena *arena, struct node_holds_reply *m)
{
    uint32_t extra = unpack_open(u, 10);
    m->node_id = unpack_uint(u);
    m->uuid = read_bin(u, 16, 16);
    m->address = read_bin(u, 0, LIMIT_ADDRESS_BYTES);
    m->host = read_bin(u, 0, LIMIT_ADDRESS_BYTES);
    m->cluster = read_cluster_id(u);
    m->wall_ms = unpack_uint(u);
    m->newest_ts = unpack_uint(u);
    m->heard_ms = unpack_uint(u);
    read_catalogue(u, arena, &m->catalogue);
    m->held = read_list(u, arena, sizeof(*m->held), HELD_WIRE_MIN, MESSAGE_LIST_MAX, &m->held_count);
    for (size_t i = 0; i < m->held_count && !u->failed; i++) {
        struct held_replica *h = &m->held[i];
        uint32_t more = unpack_open(u, 5);
        read_range_desc(u, arena, &h->desc);
        h->replica_id = unpack_uint(u);
        h->term = unpack_uint(u);
        h->leads = unpack_bool(u);
        h->whole = unpack_bool(u);
        unpack_close(u, more);
    }
    unpack_close(u, extra);
}
MESSAGE_UNPACK(node_holds_reply)

void pack_meta_rebuild_request(struct buf *b, const struct meta_rebuild_request *m)
{
    pack_array(b, 3);
    pack_uint(b, m->piece);
    pack_bool(b, m->last);
    pack_bin(b, m->rows);
}

static void read_meta_rebuild_request(struct unpack *u, struct arena *arena, struct meta_rebuild_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 3);
    m->piece = unpack_uint(u);
    m->last = unpack_bool(u);
    m->rows = unpack_bin(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_rebuild_request)
