#include "range/command.h"

#include "base/cursor.h"

bool range_command_is(struct slice data)
{
    return data.size > 0 && data.data[0] >= RANGE_SPLIT && data.data[0] <= RANGE_INTEND_SINCE;
}

void range_command_encode(const struct range_command *c, struct buf *out)
{
    buf_put_u8(out, (uint8_t)c->kind);
    buf_put_u64(out, c->epoch.conf_ver);
    buf_put_u64(out, c->epoch.version);
    buf_put_u64(out, c->other);
    buf_put_u64(out, c->leader);
    buf_put_u64(out, c->version);
    buf_put_u64(out, c->index);
    buf_append_slice(out, c->key);
}

enum status range_command_decode(struct slice data, struct range_command *out)
{
    struct cursor c = cursor_make(data);
    *out = (struct range_command){.kind = (enum range_command_kind)cursor_u8(&c)};
    out->epoch.conf_ver = cursor_u64(&c);
    out->epoch.version = cursor_u64(&c);
    out->other = cursor_u64(&c);
    out->leader = cursor_u64(&c);
    out->version = cursor_u64(&c);
    out->index = cursor_u64(&c);
    out->key = cursor_bytes(&c, cursor_left(&c));
    return c.failed || !range_command_is(data) ? STATUS_INVALID : STATUS_OK;
}

enum status range_answer_status(struct slice answer)
{
    return answer.size == 1 ? (enum status)answer.data[0] : STATUS_CORRUPT;
}
