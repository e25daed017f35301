#include "gateway/json_out.h"

#include "gateway/codec.h"

static void comma(struct buf *b)
{
    if (b->size == 0) return;
    uint8_t last = b->data[b->size - 1];
    if (last != '{' && last != '[' && last != ':' && last != ',' && last != '\n') buf_append_byte(b, ',');
}

void json_open(struct buf *b, char bracket)
{
    comma(b);
    buf_append_byte(b, (uint8_t)bracket);
}

void json_close(struct buf *b, char bracket)
{
    buf_append_byte(b, (uint8_t)bracket);
}

void json_key(struct buf *b, const char *name)
{
    comma(b);
    buf_append_byte(b, '"');
    buf_append_str(b, name);
    buf_append(b, "\":", 2);
}

static void escape(struct buf *b, uint8_t c)
{
    switch (c) {
    case '"': buf_append(b, "\\\"", 2); break;
    case '\\': buf_append(b, "\\\\", 2); break;
    case '\n': buf_append(b, "\\n", 2); break;
    case '\t': buf_append(b, "\\t", 2); break;
    case '\r': buf_append(b, "\\r", 2); break;
    default: buf_printf(b, "\\u%04x", c); break;
    }
}

void json_text(struct buf *b, struct slice s)
{
    comma(b);
    buf_append_byte(b, '"');
    size_t start = 0;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) continue;
        buf_append(b, s.data + start, i - start);
        escape(b, c);
        start = i + 1;
    }
    buf_append(b, s.data + start, s.size - start);
    buf_append_byte(b, '"');
}

void json_str(struct buf *b, const char *s)
{
    json_text(b, slice_str(s));
}

void json_bool(struct buf *b, bool v)
{
    comma(b);
    buf_append_str(b, v ? "true" : "false");
}

void json_u64(struct buf *b, uint64_t v)
{
    comma(b);
    buf_append_u64(b, v);
}

void json_u64_text(struct buf *b, uint64_t v)
{
    comma(b);
    buf_append_byte(b, '"');
    buf_append_u64(b, v);
    buf_append_byte(b, '"');
}

void json_bytes(struct buf *b, const char *name, struct slice s, bool force_base64)
{
    comma(b);
    buf_append_byte(b, '"');
    buf_append_str(b, name);
    if (!force_base64 && utf8_valid(s)) {
        buf_append(b, "\":", 2);
        json_text(b, s);
        return;
    }
    buf_append(b, "_b64\":\"", 7);
    base64_append(b, s);
    buf_append_byte(b, '"');
}
