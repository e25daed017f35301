#include "txn/command.h"

#include "base/assert.h"
#include "base/cursor.h"

void txn_command_encode(const struct txn_command *c, struct buf *out)
{
    size_t before = out->size;
    buf_put_u8(out, (uint8_t)(c->kind == 0 ? TXN_COMMAND_KIND : c->kind));
    buf_put_u64(out, c->ts);
    buf_put_u64(out, c->conf_ver);
    buf_put_u64(out, c->version);
    if (!out->overflow) ASSERT(out->size - before == TXN_COMMAND_HEADER_BYTES);
    buf_append_slice(out, c->txn);
}

enum status txn_command_decode(struct slice data, struct txn_command *out)
{
    *out = (struct txn_command){.txn = SLICE_EMPTY};
    struct cursor c = cursor_make(data);
    uint8_t kind = cursor_u8(&c);
    if (c.failed) return STATUS_INVALID;
    if (kind < TXN_COMMAND_KIND || kind > TXN_COMMAND_PREPARES) return STATUS_UNSUPPORTED;
    out->kind = (enum txn_command_kind)kind;
    out->ts = cursor_u64(&c);
    out->conf_ver = cursor_u64(&c);
    out->version = cursor_u64(&c);
    out->txn = cursor_bytes(&c, cursor_left(&c));
    return c.failed ? STATUS_INVALID : STATUS_OK;
}
