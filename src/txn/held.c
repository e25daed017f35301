/* The row of a held transaction: docs/formats/keys.md, "Values of held rows". */
#include "base/assert.h"
#include "txn/table_int.h"

#define HELD_FORMAT 1u
#define ADD_WIRE_MIN 17u

struct slice held_row_make(struct arena *arena, const struct held_row *r)
{
    size_t size = HELD_HEAD_BYTES + r->vote.size + r->prepare.size + r->low.size + r->spans.size;
    for (size_t i = 0; i < r->add_count; i++) size += HELD_ADD_BYTES + r->adds[i].key.size;
    struct buf b = {.data = arena_alloc(arena, size), .capacity = size, .max = size};
    buf_put_u8(&b, HELD_FORMAT);
    buf_put_u8(&b, (uint8_t)r->state);
    buf_put_u64(&b, r->born);
    buf_put_u64(&b, r->ts);
    txn_put_bytes(&b, r->vote);
    switch (r->state) {
    case HELD_PREPARED: buf_append_slice(&b, r->prepare); break;
    case HELD_COMMITTED:
    case HELD_SETTLED:
        txn_put_bytes(&b, r->low);
        buf_put_varint(&b, r->add_count);
        for (size_t i = 0; i < r->add_count; i++) {
            uint8_t delta[16];
            i128_encode(r->adds[i].delta, delta);
            txn_put_bytes(&b, r->adds[i].key);
            buf_append(&b, delta, sizeof(delta));
        }
        if (r->state == HELD_COMMITTED) buf_append_slice(&b, r->spans);
        break;
    case HELD_ABORTED: break;
    }
    ASSERT(!b.overflow);
    return buf_slice(&b);
}

static void get_adds(struct cursor *c, struct arena *arena, struct held_row *out)
{
    uint64_t count = cursor_varint(c);
    if (c->failed || count > cursor_left(c) / ADD_WIRE_MIN) {
        c->failed = true;
        return;
    }
    out->add_count = (size_t)count;
    out->adds = arena_zalloc(arena, out->add_count * sizeof(*out->adds));
    for (size_t i = 0; i < out->add_count; i++) {
        out->adds[i].key = txn_read_bytes(c, UINT32_MAX);
        struct slice delta = cursor_bytes(c, 16);
        if (delta.size == 16) out->adds[i].delta = i128_decode(delta.data);
    }
}

enum status held_row_decode(struct slice value, struct arena *arena, struct held_row *out)
{
    *out = (struct held_row){.vote = SLICE_EMPTY, .prepare = SLICE_EMPTY, .low = SLICE_EMPTY, .spans = SLICE_EMPTY};
    struct cursor c = cursor_make(value);
    unsigned format = cursor_u8(&c), state = cursor_u8(&c);
    out->born = cursor_u64(&c);
    out->ts = cursor_u64(&c);
    out->vote = txn_read_bytes(&c, UINT32_MAX);
    if (c.failed || format != HELD_FORMAT || state < HELD_PREPARED || state > HELD_SETTLED) return STATUS_CORRUPT;
    out->state = (enum held_state)state;
    if (out->state == HELD_PREPARED) out->prepare = cursor_bytes(&c, cursor_left(&c));
    if (out->state == HELD_COMMITTED || out->state == HELD_SETTLED) {
        out->low = txn_read_bytes(&c, LIMIT_KEY_BYTES);
        get_adds(&c, arena, out);
        if (out->state == HELD_COMMITTED) out->spans = cursor_bytes(&c, cursor_left(&c));
    }
    return c.failed || cursor_left(&c) > 0 ? STATUS_CORRUPT : STATUS_OK;
}
