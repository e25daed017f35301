/* Frames: docs/formats/rpc.md. */
#include "wire/wire.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/limits.h"

#define FRAME_BODY_MIN 5u /* an array of four: each element a byte at least */

const char *method_name(enum method m)
{
    switch (m) {
#define METHOD_NAME(name, number, text)                                                                                \
    case METHOD_##name: return text;
        METHOD_MAP(METHOD_NAME)
#undef METHOD_NAME
    }
    return "?";
}

/* The length is covered too: a flipped bit in it must not make another frame out of these bytes. */
static uint32_t frame_crc(const uint8_t *frame, size_t body_size)
{
    return crc32c(crc32c(0, frame, 4), frame + FRAME_HEADER_BYTES, body_size);
}

size_t frame_begin(struct buf *b, enum frame_type type, uint64_t id, enum method method)
{
    size_t mark = b->size;
    buf_put_u64(b, 0); /* length and checksum: frame_end's */
    pack_array(b, 4);
    pack_uint(b, (uint64_t)type);
    pack_uint(b, id);
    pack_uint(b, (uint64_t)method);
    return mark;
}

void frame_end(struct buf *b, size_t mark)
{
    ASSERT(mark <= b->size);
    if (b->size - mark > FRAME_HEADER_BYTES + LIMIT_FRAME_BYTES) b->overflow = true;
    if (b->overflow) { /* half a frame must never be sent */
        b->size = mark;
        return;
    }
    size_t body_size = b->size - mark - FRAME_HEADER_BYTES;
    ASSERT(body_size >= FRAME_BODY_MIN);
    uint8_t *frame = b->data + mark;
    le_set_u32(frame, (uint32_t)body_size);
    le_set_u32(frame + 4, frame_crc(frame, body_size));
}

enum status frame_parse(struct slice bytes, struct frame *frame, size_t *used)
{
    *frame = (struct frame){.params = SLICE_EMPTY};
    *used = 0;
    if (bytes.size < 4) return STATUS_END;
    size_t body_size = le_u32(bytes.data);
    if (body_size > LIMIT_FRAME_BYTES) return STATUS_TOO_LARGE;
    if (body_size < FRAME_BODY_MIN) return STATUS_INVALID;
    if (bytes.size < FRAME_HEADER_BYTES + body_size) return STATUS_END;
    if (frame_crc(bytes.data, body_size) != le_u32(bytes.data + 4)) return STATUS_CORRUPT;
    struct unpack u = unpack_make(slice_make(bytes.data + FRAME_HEADER_BYTES, body_size));
    uint32_t count = unpack_array(&u);
    uint64_t type = unpack_uint(&u);
    uint64_t id = unpack_uint(&u);
    uint64_t method = unpack_uint(&u);
    if (u.failed || count != 4 || type > FRAME_NOTIFY || method > UINT32_MAX || u.at == u.end) return STATUS_INVALID;
    frame->type = (enum frame_type)type;
    frame->id = id;
    frame->method = (uint32_t)method;
    frame->params = slice_make(u.at, (size_t)(u.end - u.at));
    *used = FRAME_HEADER_BYTES + body_size;
    return STATUS_OK;
}
