#include "gateway/feed_json.h"

#include "gateway/json_out.h"

void feed_json_members(struct buf *b, const struct feed_change *change, bool force_base64)
{
    json_bytes(b, "key", change->key, force_base64);
    if (change->is_delete) {
        json_key(b, "deleted");
        json_bool(b, true);
    } else {
        json_bytes(b, "value", change->value, force_base64);
    }
    if (change->ttl_ms > 0) {
        json_key(b, "ttl_ms");
        json_u64(b, change->ttl_ms);
    }
}

void feed_json_lines(struct buf *b, const struct client_watch_batch *batch, bool force_base64)
{
    for (size_t i = 0; i < batch->change_count; i++) {
        json_open(b, '{');
        json_key(b, "version");
        json_u64_text(b, batch->changes[i].ts);
        feed_json_members(b, &batch->changes[i], force_base64);
        json_close(b, '}');
        buf_append_byte(b, '\n');
    }
    buf_printf(b, "{\"resolved\":\"%llu\"}\n", (unsigned long long)batch->upto);
}
