/* Encoding and decoding of results: docs/formats/txn.md. */
#include "txn/txn_int.h"

#include "base/assert.h"

#define FOUND 0x80u
#define OP_RESULT_WIRE_MIN 1u

/* Values that a result carries: of a found get, and the sum of an add. */
static bool has_value(const struct txn_op_result *r)
{
    return r->kind == TXN_ADD || (r->kind == TXN_GET && r->found);
}

static void put_op_result(struct buf *out, const struct txn_op_result *r)
{
    buf_put_u8(out, (uint8_t)((unsigned)r->kind | (r->found ? FOUND : 0)));
    if (r->kind == TXN_GET && r->found) buf_put_varint(out, r->version);
    if (!has_value(r)) return;
    buf_put_varint(out, r->value.size);
    buf_append_slice(out, r->value);
}

void txn_result_encode(const struct txn_result *r, struct buf *out)
{
    ASSERT((unsigned)r->status < STATUS_COUNT);
    buf_put_u8(out, TXN_RESULT_VERSION);
    buf_put_u8(out, r->replayed ? 1 : 0);
    buf_put_u8(out, (uint8_t)r->status);
    buf_put_u8(out, r->succeeded ? 1 : 0);
    buf_put_u64(out, r->ts);
    buf_put_u32(out, r->failed_index);
    buf_put_varint(out, r->op_count);
    for (size_t i = 0; i < r->op_count; i++) put_op_result(out, &r->ops[i]);
}

static void get_op_result(struct cursor *c, uint64_t ts, struct txn_op_result *r)
{
    unsigned head = cursor_u8(c);
    unsigned kind = head & ~FOUND;
    r->kind = (enum txn_op_kind)kind;
    r->found = (head & FOUND) != 0;
    r->version = ts;
    r->value = SLICE_EMPTY;
    if ((kind < TXN_GET || kind > TXN_ADD) && kind != TXN_REVISE) c->failed = true;
    if (r->found && kind != TXN_GET && kind != TXN_DELETE && kind != TXN_REVISE) c->failed = true;
    if (c->failed) return;
    if (r->kind == TXN_GET && r->found) r->version = cursor_varint(c);
    if (has_value(r)) r->value = txn_read_bytes(c, LIMIT_VALUE_BYTES);
}

enum status txn_result_decode(struct slice bytes, struct arena *arena, struct txn_result *out)
{
    *out = (struct txn_result){.status = STATUS_INVALID, .failed_index = TXN_NO_INDEX};
    struct cursor c = cursor_make(bytes);
    unsigned version = cursor_u8(&c);
    if (c.failed) return STATUS_INVALID;
    if (version != TXN_RESULT_VERSION) return STATUS_UNSUPPORTED;
    unsigned replayed = cursor_u8(&c), status = cursor_u8(&c), succeeded = cursor_u8(&c);
    struct txn_result r = {.status = (enum status)status, .replayed = replayed != 0, .succeeded = succeeded != 0};
    r.ts = cursor_u64(&c);
    r.failed_index = cursor_u32(&c);
    uint64_t count = cursor_varint(&c);
    if (c.failed || replayed > 1 || succeeded > 1 || status >= STATUS_COUNT) return STATUS_INVALID;
    if (count > LIMIT_TXN_OPS || count > cursor_left(&c) / OP_RESULT_WIRE_MIN) return STATUS_INVALID;
    r.op_count = (size_t)count;
    if (count > 0) r.ops = arena_zalloc(arena, r.op_count * sizeof(*r.ops));
    for (size_t i = 0; i < r.op_count; i++) get_op_result(&c, r.ts, &r.ops[i]);
    if (c.failed || cursor_left(&c) > 0) return STATUS_INVALID;
    *out = r;
    return STATUS_OK;
}
