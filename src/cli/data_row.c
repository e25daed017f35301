#include "cli/data_row.h"

#include <string.h>

#include "base/cursor.h"
#include "base/i128.h"
#include "base/limits.h"
#include "gateway/codec.h"
#include "gateway/json_in.h"
#include "gateway/json_out.h"

/* --- what all kinds share --- */

static enum status check(const struct data_row *row, struct errbuf *err)
{
    i128 n;
    const char *why = NULL;
    if (row->key.size == 0) why = "the key is empty";
    if (row->key.size > LIMIT_KEY_BYTES) why = "the key is longer than 4096 bytes";
    if (row->value.size > LIMIT_VALUE_BYTES) why = "the value is larger than 1 MiB";
    if (row->is_counter && !i128_parse(row->value, &n)) why = "a counter's value is an integer";
    if (why == NULL) return STATUS_OK;
    errbuf_set(err, "%s", why);
    return STATUS_INVALID;
}

static bool parse_u64(struct slice s, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9' || *out > (UINT64_MAX - 9) / 10) return false;
        *out = *out * 10 + (uint64_t)(s.data[i] - '0');
    }
    return s.size > 0;
}

/* --- CSV --- */

static size_t column(const struct csv_columns *c, const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    for (size_t i = 0; i < c->count; i++) {
        struct slice s = c->names[i];
        if (s.size == n + m && memcmp(s.data, name, n) == 0 && memcmp(s.data + n, suffix, m) == 0) return i;
    }
    return SIZE_MAX;
}

enum status csv_columns_read(struct csv_columns *c, struct slice first, struct arena *arena, struct errbuf *err)
{
    enum status s = csv_names(first, arena, c->names, CSV_COLUMNS_MAX, &c->count, err);
    if (s != STATUS_OK) return s;
    if (column(c, c->key, "") != SIZE_MAX || column(c, c->key, "_b64") != SIZE_MAX) return STATUS_OK;
    errbuf_set(err, "the first line names no column '%s' (--key says which column holds the key)", c->key);
    return STATUS_INVALID;
}

/* Text, or base64 in a column of its own; one of them is empty. */
static enum status csv_bytes(const struct csv_columns *c, const struct slice *cells, const char *name,
                             struct arena *arena, struct slice *out, struct errbuf *err)
{
    size_t text = column(c, name, ""), coded = column(c, name, "_b64");
    *out = text != SIZE_MAX ? cells[text] : SLICE_EMPTY;
    if (coded == SIZE_MAX || cells[coded].size == 0) return STATUS_OK;
    if (out->size == 0 && base64_decode(cells[coded], arena, out)) return STATUS_OK;
    errbuf_set(err, "%s_b64 is not base64, or there are both %s and %s_b64", name, name, name);
    return STATUS_INVALID;
}

/* Without a column of the value, the value is an object of all other columns. */
static struct slice csv_object(const struct csv_columns *c, const struct slice *cells, struct arena *arena)
{
    struct buf b;
    buf_init(&b, LIMIT_VALUE_BYTES * 2);
    json_open(&b, '{');
    for (size_t i = 0; i < c->count; i++) {
        char name[256] = {0};
        if (i == column(c, c->key, "") || c->names[i].size >= sizeof name || !utf8_valid(cells[i])) continue;
        memcpy(name, c->names[i].data, c->names[i].size);
        json_key(&b, name);
        json_text(&b, cells[i]);
    }
    json_close(&b, '}');
    struct slice s = arena_dup_slice(arena, buf_slice(&b));
    buf_free(&b);
    return s;
}

static enum status parse_csv(const struct csv_columns *c, struct slice record, struct arena *arena,
                             struct data_row *out, struct errbuf *err)
{
    struct slice cells[CSV_COLUMNS_MAX + 1], row = record;
    size_t n = 0;
    while (n <= c->count && csv_cell(&row, arena, &cells[n])) n++;
    if (n != c->count || !csv_ended(&row)) {
        errbuf_set(err, "the row has not the %zu cells of the first line", c->count);
        return STATUS_INVALID;
    }
    size_t ttl = column(c, "ttl_ms", ""), counter = column(c, "counter", "");
    bool has_value = column(c, c->value, "") != SIZE_MAX || column(c, c->value, "_b64") != SIZE_MAX;
    enum status s = csv_bytes(c, cells, c->key, arena, &out->key, err);
    if (s == STATUS_OK && has_value) s = csv_bytes(c, cells, c->value, arena, &out->value, err);
    if (s == STATUS_OK && !has_value) out->value = csv_object(c, cells, arena);
    if (s != STATUS_OK) return s;
    out->is_counter = has_value && counter != SIZE_MAX && slice_eq(cells[counter], slice_str("true"));
    out->has_ttl = has_value && ttl != SIZE_MAX && cells[ttl].size > 0;
    if (!out->has_ttl || parse_u64(cells[ttl], &out->ttl_ms)) return STATUS_OK;
    errbuf_set(err, "ttl_ms is not a number");
    return STATUS_INVALID;
}

/* --- JSON --- */

static size_t text_end(struct slice record, size_t at) /* of the text that begins there */
{
    for (at++; at < record.size && record.data[at] != '"'; at++) at += record.data[at] == '\\';
    return at + 1 < record.size ? at + 1 : record.size;
}

/* The member `value` of an object that is known to be sound: as it was written, without the white space. A number goes through no binary
 * fraction: 19.99 stays what it is. Empty: there is none whose name is written plainly. */
static struct slice written_value(struct slice record, struct arena *arena)
{
    uint8_t *out = arena_alloc(arena, record.size);
    size_t size = 0, next;
    unsigned depth = 0;
    bool is_name = false, is_value = false, taking = false;
    for (size_t at = 0; at < record.size; at = next) {
        uint8_t c = record.data[at];
        next = c == '"' ? text_end(record, at) : at + 1;
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
        if (c == '"' && is_name) is_value = slice_eq(slice_make(record.data + at, next - at), slice_str("\"value\""));
        bool outside = (c == '{' && depth == 0) || ((c == ',' || c == '}') && depth == 1);
        if (outside) taking = false;
        if (taking) {
            memcpy(out + size, record.data + at, next - at);
            size += next - at;
        }
        if (c == ':' && depth == 1) taking = is_value;
        is_name = outside;
        depth = depth + (c == '{' || c == '[') - (c == '}' || c == ']');
    }
    return slice_make(out, size);
}

/* A value that is no text is kept as the JSON that it is. */
static enum status json_value(const struct json_at *at, struct slice record, struct arena *arena, struct slice *out,
                              struct errbuf *err)
{
    json_t *v = json_object_get(at->value, "value");
    if (v == NULL || json_is_string(v)) return json_want_bytes(at, "value", "value_b64", arena, out, err);
    *out = written_value(record, arena);
    if (out->size > 0) return STATUS_OK;
    errbuf_set(err, "the name `value` is written with escapes: write it plainly");
    return STATUS_INVALID;
}

static enum status parse_json(struct slice record, struct arena *arena, struct data_row *out, struct errbuf *err)
{
    json_t *tree = json_loadb((const char *)record.data, record.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    struct json_at at = {.value = tree, .path = {.parent = NULL, .name = ""}};
    struct slice key = SLICE_EMPTY, value = SLICE_EMPTY;
    enum status s = STATUS_OK;
    if (!json_is_object(tree)) {
        errbuf_set(err, "not an object of JSON");
        s = STATUS_INVALID;
    }
    if (s == STATUS_OK) s = json_want_bytes(&at, "key", "key_b64", arena, &key, err);
    if (s == STATUS_OK) s = json_value(&at, record, arena, &value, err);
    if (s == STATUS_OK && json_object_get(tree, "ttl_ms") != NULL) {
        struct json_at ttl = json_field(&at, "ttl_ms");
        s = json_want_u64(&ttl, UINT64_MAX, &out->ttl_ms, err);
        out->has_ttl = true;
    }
    if (s == STATUS_OK && json_object_get(tree, "counter") != NULL) {
        struct json_at counter = json_field(&at, "counter");
        s = json_want_bool(&counter, &out->is_counter, err);
    }
    if (s == STATUS_OK) out->key = arena_dup_slice(arena, key);
    if (s == STATUS_OK) out->value = arena_dup_slice(arena, value);
    json_decref(tree);
    return s;
}

/* --- raw --- */

enum { RAW_COUNTER = 1 };

static enum status parse_raw(struct slice record, struct data_row *out, struct errbuf *err)
{
    struct cursor c = cursor_make(record);
    uint8_t flags = cursor_u8(&c);
    out->key = cursor_bytes(&c, (size_t)cursor_varint(&c));
    out->value = cursor_bytes(&c, (size_t)cursor_varint(&c));
    out->ttl_ms = cursor_varint(&c);
    out->has_ttl = true;
    out->is_counter = (flags & RAW_COUNTER) != 0;
    if (!c.failed && flags <= RAW_COUNTER) return STATUS_OK;
    errbuf_set(err, "not a row");
    return STATUS_INVALID;
}

enum status data_row_parse(enum record_kind kind, const struct csv_columns *columns, struct slice record,
                           struct arena *arena, struct data_row *out, struct errbuf *err)
{
    *out = (struct data_row){.key = SLICE_EMPTY, .value = SLICE_EMPTY};
    enum status s = kind == RECORD_CSV    ? parse_csv(columns, record, arena, out, err)
                    : kind == RECORD_LINE ? parse_json(record, arena, out, err)
                                          : parse_raw(record, out, err);
    return s == STATUS_OK ? check(out, err) : s;
}

/* --- out --- */

static void append_csv_bytes(struct buf *b, struct slice s)
{
    bool text = utf8_valid(s);
    if (text) csv_append(b, s);
    buf_append_byte(b, ',');
    if (!text) base64_append(b, s);
    buf_append_byte(b, ',');
}

void data_row_append(enum record_kind kind, const struct data_row *row, struct buf *out)
{
    switch (kind) {
    case RECORD_CSV:
        append_csv_bytes(out, row->key);
        append_csv_bytes(out, row->value);
        if (row->ttl_ms > 0) buf_printf(out, "%llu", (unsigned long long)row->ttl_ms);
        buf_append_str(out, row->is_counter ? ",true\n" : ",\n");
        return;
    case RECORD_LINE:
        json_open(out, '{');
        json_bytes(out, "key", row->key, false);
        json_bytes(out, "value", row->value, false);
        if (row->ttl_ms > 0) {
            json_key(out, "ttl_ms");
            json_u64(out, row->ttl_ms);
        }
        if (row->is_counter) {
            json_key(out, "counter");
            json_bool(out, true);
        }
        json_close(out, '}');
        buf_append_byte(out, '\n');
        return;
    case RECORD_RAW:
        buf_put_u8(out, row->is_counter ? RAW_COUNTER : 0);
        buf_put_varint(out, row->key.size);
        buf_append_slice(out, row->key);
        buf_put_varint(out, row->value.size);
        buf_append_slice(out, row->value);
        buf_put_varint(out, row->ttl_ms);
        return;
    }
}
