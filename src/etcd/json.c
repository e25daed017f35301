/* JSON as grpc-gateway maps it: 64-bit numbers as strings, bytes as base64, defaults left out, field names in both forms. */
#include "etcd/etcd_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/codec.h"
#include "gateway/json_out.h"
#include "gateway/uri.h"

json_t *field(json_t *object, const char *name)
{
    char camel[64];
    size_t n = 0;
    json_t *v = json_object_get(object, name);
    if (v == NULL) {
        for (const char *p = name; *p != '\0' && n + 1 < sizeof(camel); p++) {
            bool up = *p == '_' && p[1] >= 'a' && p[1] <= 'z';
            camel[n++] = up ? (char)(*++p - 'a' + 'A') : *p;
        }
        camel[n] = '\0';
        v = json_object_get(object, camel);
    }
    return json_is_null(v) ? NULL : v;
}

static bool wrong(struct ecall *c, const char *name, const char *expected)
{
    char text[160];
    (void)snprintf(text, sizeof(text), "json: cannot unmarshal field %s: expected %s", name, expected);
    ecall_refuse_text(c, GRPC_INVALID_ARGUMENT, text);
    return false;
}

bool take_bytes(struct ecall *c, json_t *object, const char *name, struct slice *out)
{
    json_t *v = field(object, name);
    *out = SLICE_EMPTY;
    if (v == NULL) return true;
    struct slice text = slice_make(json_string_value(v), json_string_length(v));
    if (!json_is_string(v) || !base64_decode(text, &c->arena, out)) return wrong(c, name, "base64");
    return true;
}

bool take_text(struct ecall *c, json_t *object, const char *name, struct slice *out)
{
    json_t *v = field(object, name);
    *out = SLICE_EMPTY;
    if (v == NULL) return true;
    if (!json_is_string(v)) return wrong(c, name, "text");
    *out = slice_make(json_string_value(v), json_string_length(v));
    return true;
}

bool take_i64(struct ecall *c, json_t *object, const char *name, int64_t *out)
{
    json_t *v = field(object, name);
    *out = 0;
    if (v == NULL) return true;
    if (json_is_integer(v)) {
        *out = json_integer_value(v);
        return true;
    }
    if (!json_is_string(v) || json_string_length(v) == 0) return wrong(c, name, "a number");
    char *end;
    const char *text = json_string_value(v);
    *out = text[0] == '-' ? (int64_t)strtoll(text, &end, 10) : (int64_t)strtoull(text, &end, 10);
    return *end == '\0' ? true : wrong(c, name, "a number");
}

bool take_bool(struct ecall *c, json_t *object, const char *name, bool *out)
{
    json_t *v = field(object, name);
    *out = json_is_true(v);
    return v == NULL || json_is_boolean(v) ? true : wrong(c, name, "a boolean");
}

bool take_enum(struct ecall *c, json_t *object, const char *name, const char *const *names, unsigned count,
               unsigned *out)
{
    json_t *v = field(object, name);
    *out = 0;
    if (v == NULL) return true;
    if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) < count) {
        *out = (unsigned)json_integer_value(v);
        return true;
    }
    for (unsigned i = 0; json_is_string(v) && i < count; i++) {
        if (strcmp(json_string_value(v), names[i]) != 0) continue;
        *out = i;
        return true;
    }
    return wrong(c, name, "a name of the enumeration");
}

void emit_u64(struct buf *b, const char *name, uint64_t v)
{
    if (v == 0) return;
    json_key(b, name);
    json_u64_text(b, v);
}

void emit_i64(struct buf *b, const char *name, int64_t v)
{
    char text[32];
    if (v == 0) return;
    (void)snprintf(text, sizeof(text), "%lld", (long long)v);
    json_key(b, name);
    json_str(b, text);
}

void emit_bytes(struct buf *b, const char *name, struct slice v)
{
    if (v.size == 0) return;
    json_key(b, name);
    buf_append_byte(b, '"');
    base64_append(b, v);
    buf_append_byte(b, '"');
}

void emit_base64(struct buf *b, struct slice v)
{
    bool first = b->size > 0 && b->data[b->size - 1] == '[';
    buf_append_str(b, first ? "\"" : ",\"");
    base64_append(b, v);
    buf_append_byte(b, '"');
}

void emit_true(struct buf *b, const char *name, bool v)
{
    if (!v) return;
    json_key(b, name);
    json_bool(b, true);
}

void emit_header(struct etcd *e, struct buf *b, uint64_t revision)
{
    etcd_saw(e, revision);
    json_key(b, "header");
    json_open(b, '{');
    emit_u64(b, "cluster_id", e->cluster_id);
    emit_u64(b, "member_id", e->member_id);
    emit_u64(b, "revision", revision);
    emit_u64(b, "raft_term", e->term);
    json_close(b, '}');
}

struct ekv ekv_of(struct slice row_key, struct slice stored, uint64_t version)
{
    struct revised r = revised_read(stored, version);
    return (struct ekv){.key = slice_make(row_key.data + 1, row_key.size - 1),
                        .value = r.value,
                        .mod = version,
                        .created = r.created,
                        .count = r.count,
                        .lease = r.lease};
}

void emit_ekv(struct buf *b, const struct ekv *kv, bool keys_only)
{
    json_open(b, '{');
    emit_bytes(b, "key", kv->key);
    emit_u64(b, "create_revision", kv->created);
    emit_u64(b, "mod_revision", kv->mod);
    emit_u64(b, "version", kv->count);
    if (!keys_only) emit_bytes(b, "value", kv->value);
    emit_u64(b, "lease", kv->lease);
    json_close(b, '}');
}
