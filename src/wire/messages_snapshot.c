/* Snapshot chunks, and the rows in them: a format of their own, as small as the rows (docs/formats/rpc.md). */
#include "wire/messages_int.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/cursor.h"

void pack_snapshot_chunk(struct buf *b, const struct snapshot_chunk *m)
{
    pack_array(b, 16);
    pack_uint(b, m->group);
    pack_uint(b, m->from);
    pack_uint(b, m->to);
    pack_uint(b, m->snapshot_id);
    pack_uint(b, m->seq);
    pack_uint(b, m->term);
    pack_uint(b, m->index);
    pack_uint(b, m->index_term);
    pack_bin(b, m->descriptor);
    pack_bin(b, m->config);
    pack_bool(b, m->last);
    pack_bin(b, m->rows);
    pack_uint(b, m->rows_crc);
    pack_uint(b, m->stream_crc);
    pack_uint(b, m->rows_size);
    pack_uint(b, m->safepoint);
}

static void read_snapshot_chunk(struct unpack *u, struct arena *arena, struct snapshot_chunk *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 14);
    m->group = unpack_uint(u);
    m->from = unpack_uint(u);
    m->to = unpack_uint(u);
    m->snapshot_id = unpack_uint(u);
    m->seq = unpack_uint(u);
    m->term = unpack_uint(u);
    m->index = unpack_uint(u);
    m->index_term = unpack_uint(u);
    m->descriptor = read_bin(u, 0, SNAPSHOT_META_MAX);
    m->config = read_bin(u, 0, SNAPSHOT_META_MAX);
    m->last = unpack_bool(u);
    m->rows = read_bin(u, 0, LIMIT_FRAME_BYTES);
    m->rows_crc = read_u32(u);
    m->stream_crc = read_u32(u);
    m->rows_size = extra > 0 ? read_u32(u) : 0;
    m->safepoint = extra > 1 ? unpack_uint(u) : UINT64_MAX;
    if (m->rows_size > LIMIT_FRAME_BYTES) u->failed = true;
    unpack_close(u, extra > 2 ? extra - 2 : 0);
}

/* The sender takes rows_crc when it has read the rows; the frame's own checksum says nothing about what came before. */
enum status unpack_snapshot_chunk(struct slice bytes, struct arena *arena, struct snapshot_chunk *out)
{
    memset(out, 0, sizeof(*out));
    struct unpack u = unpack_make(bytes);
    read_snapshot_chunk(&u, arena, out);
    if (!unpack_done(&u)) return STATUS_INVALID;
    return crc32c(0, out->rows.data, out->rows.size) == out->rows_crc ? STATUS_OK : STATUS_CORRUPT;
}

void snapshot_row_append(struct buf *b, const struct snapshot_row *row)
{
    ASSERT(row->key.size > 0);
    ASSERT(row->key.size <= SNAPSHOT_KEY_MAX);
    if (row->is_delete) ASSERT(row->value.size == 0);
    buf_put_u8(b, row->is_delete ? 1 : 0);
    buf_put_u64(b, row->ts);
    buf_put_varint(b, row->key.size);
    buf_append_slice(b, row->key);
    if (row->is_delete) return;
    buf_put_varint(b, row->value.size);
    buf_append_slice(b, row->value);
}

/* A length that comes from outside: compared before it becomes a size_t. */
static struct slice read_bytes(struct cursor *c, uint64_t size_max)
{
    uint64_t size = cursor_varint(c);
    if (c->failed || size > size_max || size > cursor_left(c)) {
        c->failed = true;
        return SLICE_EMPTY;
    }
    return cursor_bytes(c, (size_t)size);
}

enum status snapshot_row_next(struct slice *rows, struct snapshot_row *out)
{
    *out = (struct snapshot_row){.key = SLICE_EMPTY, .value = SLICE_EMPTY};
    if (rows->size == 0) return STATUS_END;
    struct cursor c = cursor_make(*rows);
    uint8_t kind = cursor_u8(&c);
    out->is_delete = kind == 1;
    out->ts = cursor_u64(&c);
    out->key = read_bytes(&c, SNAPSHOT_KEY_MAX);
    if (kind == 0) out->value = read_bytes(&c, LIMIT_FRAME_BYTES);
    if (c.failed || kind > 1 || out->key.size == 0) return STATUS_CORRUPT;
    *rows = slice_make(c.at, cursor_left(&c));
    return STATUS_OK;
}
