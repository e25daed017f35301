/* JSON as grpc-gateway maps it: 64-bit numbers as strings, bytes as base64, defaults left out, field names in both forms. */
#include "etcd/etcd_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/codec.h"
#include "gateway/json_out.h"
#include "gateway/uri.h"

enum status ecall_read(struct ecall *c, struct json_node **out, struct errbuf *err)
{
    size_t taken;
    enum status s = json_tree_read(&c->arena, c->body, out, &taken, err);
    if (s == STATUS_OK) c->body = slice_make(c->body.data + taken, c->body.size - taken);
    if (s != STATUS_OK || *out == NULL || (*out)->kind == JSON_IS_OBJECT) return s;
    errbuf_set(err, "the body is not a JSON object");
    return STATUS_INVALID;
}

/* lease_id is also leaseId. */
static bool is_camel(struct slice have, const char *name)
{
    size_t i = 0;
    for (; *name != '\0'; name++, i++) {
        char c = *name;
        if (c == '_' && name[1] >= 'a' && name[1] <= 'z') c = (char)(*++name - 'a' + 'A');
        if (i == have.size || have.data[i] != (uint8_t)c) return false;
    }
    return i == have.size;
}

const struct json_node *field(const struct json_node *object, const char *name)
{
    const struct json_node *m = object == NULL || object->kind != JSON_IS_OBJECT ? NULL : object->first;
    size_t size = strlen(name);
    for (; m != NULL; m = m->next) {
        if (m->name.size == size ? memcmp(m->name.data, name, size) == 0 : is_camel(m->name, name)) break;
    }
    return m == NULL || m->kind == JSON_IS_NULL ? NULL : m;
}

static bool wrong(struct ecall *c, const char *name, const char *expected)
{
    char text[160];
    (void)snprintf(text, sizeof(text), "json: cannot unmarshal field %s: expected %s", name, expected);
    ecall_refuse_text(c, GRPC_INVALID_ARGUMENT, text);
    return false;
}

bool take_bytes(struct ecall *c, const struct json_node *object, const char *name, struct slice *out)
{
    const struct json_node *v = field(object, name);
    *out = SLICE_EMPTY;
    if (v == NULL) return true;
    bool good = v->kind == JSON_IS_TEXT && base64_decode(v->text, &c->arena, out);
    return good ? true : wrong(c, name, "base64");
}

bool take_text(struct ecall *c, const struct json_node *object, const char *name, struct slice *out)
{
    const struct json_node *v = field(object, name);
    *out = v != NULL && v->kind == JSON_IS_TEXT ? v->text : SLICE_EMPTY;
    return v == NULL || v->kind == JSON_IS_TEXT ? true : wrong(c, name, "text");
}

bool take_i64(struct ecall *c, const struct json_node *object, const char *name, int64_t *out)
{
    const struct json_node *v = field(object, name);
    *out = 0;
    return v == NULL || json_node_i64(v, out) ? true : wrong(c, name, "a number");
}

bool take_bool(struct ecall *c, const struct json_node *object, const char *name, bool *out)
{
    const struct json_node *v = field(object, name);
    *out = v != NULL && v->kind == JSON_IS_TRUE;
    return v == NULL || *out || v->kind == JSON_IS_FALSE ? true : wrong(c, name, "a boolean");
}

bool enum_of(const struct json_node *v, const char *const *names, unsigned count, unsigned *out)
{
    int64_t number;
    *out = 0;
    if (v->kind == JSON_IS_NUMBER && json_node_i64(v, &number) && number >= 0 && number < (int64_t)count) {
        *out = (unsigned)number;
        return true;
    }
    for (unsigned i = 0; v->kind == JSON_IS_TEXT && i < count; i++) {
        if (!slice_eq(v->text, slice_str(names[i]))) continue;
        *out = i;
        return true;
    }
    return false;
}

bool take_enum(struct ecall *c, const struct json_node *object, const char *name, const char *const *names,
               unsigned count, unsigned *out)
{
    const struct json_node *v = field(object, name);
    *out = 0;
    return v == NULL || enum_of(v, names, count, out) ? true : wrong(c, name, "a name of the enumeration");
}

void emit_u64(struct buf *b, const char *name, uint64_t v)
{
    if (v == 0) return;
    json_key(b, name);
    json_u64_text(b, v);
}

void emit_i64(struct buf *b, const char *name, int64_t v)
{
    if (v == 0) return;
    json_key(b, name);
    buf_append_str(b, v < 0 ? "\"-" : "\"");
    buf_append_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
    buf_append_byte(b, '"');
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
