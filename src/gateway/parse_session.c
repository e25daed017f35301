/* The bodies of interactive transactions. */
#include "gateway/codec.h"
#include "gateway/parse.h"
#include "gateway/uri.h"

enum status parse_session_begin(const struct input *in, struct arena *a, struct session_begin_action *out,
                                struct errbuf *err)
{
    static const char *const names[] = {"keyspace", "idle"};
    *out = (struct session_begin_action){.keyspace = slice_str("default"), .idle_ms = SESSION_IDLE_MAX_MS};
    struct list_action query;
    enum status s = parse_list(in, false, a, &query, err);
    out->timeout_ms = query.timeout_ms;
    if (s != STATUS_OK || in->body.size == 0) return s;
    if ((s = json_load_body(in->body, &out->tree, err)) != STATUS_OK) return s;
    struct json_at root = {.value = out->tree, .path = {.name = ""}};
    if ((s = json_want_object(&root, names, 2, err)) != STATUS_OK) return s;
    struct json_at keyspace = json_field(&root, "keyspace"), idle = json_field(&root, "idle");
    if (keyspace.value != NULL) s = json_want_text(&keyspace, &out->keyspace, err);
    if (s == STATUS_OK) s = check_keyspace_name(out->keyspace, err);
    uint64_t ms = SESSION_IDLE_MAX_MS;
    if (s == STATUS_OK && idle.value != NULL) s = json_want_ttl(&idle, &ms, err);
    if (s == STATUS_OK && (ms == 0 || ms > SESSION_IDLE_MAX_MS))
        s = json_refuse(&idle, STATUS_INVALID, err, "expected at most %us", SESSION_IDLE_MAX_MS / 1000);
    out->idle_ms = (uint32_t)ms;
    return s;
}

/* Text of an optional field, or of field_b64. */
static enum status take_bound(const struct json_at *body, const char *name, const char *name_b64, struct arena *a,
                              struct slice *out, struct errbuf *err)
{
    *out = SLICE_EMPTY;
    if (json_field(body, name).value == NULL && json_field(body, name_b64).value == NULL) return STATUS_OK;
    return json_want_bytes(body, name, name_b64, a, out, err);
}

static enum status parse_scan_step(const struct json_at *body, struct arena *a, struct scan_action *out,
                                   struct errbuf *err)
{
    static const char *const names[] = {"start",      "start_b64", "end",     "end_b64",  "prefix",
                                        "prefix_b64", "limit",     "reverse", "keys_only"};
    struct slice start, end, prefix;
    *out = (struct scan_action){.limit = SCAN_LIMIT_DEFAULT};
    enum status s = json_want_object(body, names, 9, err);
    if (s == STATUS_OK) s = take_bound(body, "start", "start_b64", a, &start, err);
    if (s == STATUS_OK) s = take_bound(body, "end", "end_b64", a, &end, err);
    if (s == STATUS_OK) s = take_bound(body, "prefix", "prefix_b64", a, &prefix, err);
    if (s != STATUS_OK) return s;
    scan_bounds_set(out, start, end, prefix, a);
    if (out->start.size > LIMIT_KEY_BYTES + 1 || out->end.size > LIMIT_KEY_BYTES + 1)
        return json_refuse(body, STATUS_TOO_LARGE, err, "a bound is longer than a key can be");
    struct json_at limit = json_field(body, "limit"), reverse = json_field(body, "reverse"),
                   keys_only = json_field(body, "keys_only");
    uint64_t n = SCAN_LIMIT_DEFAULT;
    if (limit.value != NULL) s = json_want_u64(&limit, LIMIT_SCAN_ROWS, &n, err);
    if (s == STATUS_OK && n == 0) s = json_refuse(&limit, STATUS_INVALID, err, "expected 1 to %u", LIMIT_SCAN_ROWS);
    out->limit = (uint32_t)n;
    if (s == STATUS_OK && reverse.value != NULL) s = json_want_bool(&reverse, &out->reverse, err);
    if (s == STATUS_OK && keys_only.value != NULL) s = json_want_bool(&keys_only, &out->keys_only, err);
    return s;
}

static enum status parse_step(const struct json_at *at, struct arena *a, struct session_op *out, struct errbuf *err)
{
    static const char *const scan[] = {"scan"};
    struct json_at body = {.value = NULL};
    if (json_is_object(at->value)) body = json_field(at, "scan");
    if (body.value != NULL) {
        out->is_scan = true;
        enum status s = json_want_object(at, scan, 1, err);
        return s == STATUS_OK ? parse_scan_step(&body, a, &out->scan, err) : s;
    }
    enum status s = json_want_op(at, a, &out->op, err);
    if (s != STATUS_OK) return s;
    if (out->op.kind == TXN_GET || out->op.kind == TXN_PUT || out->op.kind == TXN_DELETE) return STATUS_OK;
    return json_refuse(at, STATUS_INVALID, err, "a session knows get, put, delete and scan; read and put instead");
}

enum status parse_session(const struct input *in, struct arena *a, struct session_action *out, struct errbuf *err)
{
    static const char *const names[] = {"ops"};
    struct list_action query;
    *out = (struct session_action){.count = 0};
    enum status s = parse_list(in, false, a, &query, err);
    if (s == STATUS_OK) s = json_load_body(in->body, &out->tree, err);
    if (s != STATUS_OK) return s;
    out->timeout_ms = query.timeout_ms;
    struct json_at root = {.value = out->tree, .path = {.name = ""}};
    if ((s = json_want_object(&root, names, 1, err)) != STATUS_OK) return s;
    struct json_at ops = json_field(&root, "ops");
    if ((s = json_want_array(&ops, err)) != STATUS_OK) return s;
    size_t n = json_array_size(ops.value);
    if (n == 0 || n > LIMIT_TXN_OPS)
        return json_refuse(&ops, n == 0 ? STATUS_INVALID : STATUS_TOO_LARGE, err, "expected 1 to %u", LIMIT_TXN_OPS);
    out->ops = arena_zalloc(a, n * sizeof(*out->ops));
    for (size_t i = 0; i < n; i++) {
        struct json_at element = json_element(&ops, i);
        if ((s = parse_step(&element, a, &out->ops[i], err)) != STATUS_OK) return s;
    }
    out->count = n;
    return STATUS_OK;
}
