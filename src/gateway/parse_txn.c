/* The body of POST /v1/txn, and the question what one was answered. */
#include "gateway/parse.h"
#include "gateway/uri.h"

static enum status take_key(const struct json_at *object, struct arena *a, struct slice *out, struct errbuf *err)
{
    enum status s = json_want_bytes(object, "key", "key_b64", a, out, err);
    if (s != STATUS_OK) return s;
    struct errbuf why;
    s = check_key(*out, &why);
    return s == STATUS_OK ? s : json_refuse(object, s, err, "%s", why.text);
}

static enum status take_value(const struct json_at *object, struct arena *a, struct slice *out, struct errbuf *err)
{
    enum status s = json_want_bytes(object, "value", "value_b64", a, out, err);
    if (s == STATUS_OK && out->size > LIMIT_VALUE_BYTES) {
        return json_refuse(object, STATUS_TOO_LARGE, err, "the value has %zu bytes; the limit is %u", out->size,
                           LIMIT_VALUE_BYTES);
    }
    return s;
}

/* One of a few words, as an index; the field may be absent when a default is given (>= 0). */
static enum status take_word(const struct json_at *at, const char *const *words, int count, int fallback, int *out,
                             struct errbuf *err)
{
    *out = fallback;
    if (at->value == NULL && fallback >= 0) return STATUS_OK;
    struct slice text;
    enum status s = json_want_text(at, &text, err);
    if (s != STATUS_OK) return s;
    for (int i = 0; i < count; i++) {
        if (slice_eq(text, slice_str(words[i]))) {
            *out = i;
            return STATUS_OK;
        }
    }
    struct errbuf list = {.text = ""};
    for (int i = 0; i < count; i++) {
        struct errbuf before = list;
        errbuf_set(&list, "%.200s%s%s", before.text, i > 0 ? ", " : "", words[i]);
    }
    return json_refuse(at, STATUS_INVALID, err, "expected one of %s", list.text);
}

static enum status parse_compare(const struct json_at *at, struct arena *a, struct txn_compare *c, struct errbuf *err)
{
    static const char *const names[] = {"key", "key_b64", "target", "op", "version", "value", "value_b64", "exists"};
    static const char *const targets[] = {"version", "value", "exists"};
    static const enum txn_target target_of[] = {TXN_TARGET_VERSION, TXN_TARGET_VALUE, TXN_TARGET_EXISTS};
    static const char *const relations[] = {"=", "!=", "<", ">"};
    static const enum txn_relation relation_of[] = {TXN_EQUAL, TXN_NOT_EQUAL, TXN_LESS, TXN_GREATER};
    int target = 0, relation = 0;
    enum status s = json_want_object(at, names, sizeof(names) / sizeof(names[0]), err);
    if (s != STATUS_OK) return s;
    if ((s = take_key(at, a, &c->key, err)) != STATUS_OK) return s;
    struct json_at target_at = json_field(at, "target"), op_at = json_field(at, "op");
    if ((s = take_word(&target_at, targets, 3, -1, &target, err)) != STATUS_OK) return s;
    if ((s = take_word(&op_at, relations, 4, 0, &relation, err)) != STATUS_OK) return s;
    c->target = target_of[target];
    c->relation = relation_of[relation];
    c->value = SLICE_EMPTY;
    if (c->target == TXN_TARGET_VALUE) return take_value(at, a, &c->value, err);
    struct json_at operand = json_field(at, targets[target]);
    if (c->target == TXN_TARGET_VERSION) return json_want_u64(&operand, UINT64_MAX, &c->version, err);

    bool exists = false;
    if ((s = json_want_bool(&operand, &exists, err)) != STATUS_OK) return s;
    if (c->relation == TXN_LESS || c->relation == TXN_GREATER) {
        return json_refuse(&op_at, STATUS_INVALID, err, "existence is compared with = or !=");
    }
    if (c->relation == TXN_NOT_EQUAL) exists = !exists;
    c->relation = TXN_EQUAL;
    c->version = exists ? 1 : 0;
    return STATUS_OK;
}

static enum status parse_add(const struct json_at *at, struct txn_op *op, struct errbuf *err)
{
    struct json_at delta = json_field(at, "delta"), min = json_field(at, "min"), max = json_field(at, "max");
    op->min = I128_MIN;
    op->max = I128_MAX;
    enum status s = json_want_i128(&delta, &op->delta, err);
    if (s == STATUS_OK && min.value != NULL) s = json_want_i128(&min, &op->min, err);
    if (s == STATUS_OK && max.value != NULL) s = json_want_i128(&max, &op->max, err);
    if (s == STATUS_OK && op->min > op->max) return json_refuse(at, STATUS_INVALID, err, "min is above max");
    return s;
}

static enum status take_ttl(const struct json_at *body, struct txn_op *op, struct errbuf *err)
{
    struct json_at ttl = json_field(body, "ttl");
    op->has_ttl = ttl.value != NULL;
    return op->has_ttl ? json_want_ttl(&ttl, &op->ttl_ms, err) : STATUS_OK;
}

enum status json_want_op(const struct json_at *at, struct arena *a, struct txn_op *op, struct errbuf *err)
{
    static const char *const kinds[] = {"get", "put", "delete", "insert", "add"};
    static const enum txn_op_kind kind_of[] = {TXN_GET, TXN_PUT, TXN_DELETE, TXN_INSERT, TXN_ADD};
    static const char *const names_key[] = {"key", "key_b64"};
    static const char *const names_value[] = {"key", "key_b64", "value", "value_b64", "ttl"};
    static const char *const names_add[] = {"key", "key_b64", "delta", "min", "max"};
    enum status s = json_want_object(at, kinds, 5, err);
    if (s != STATUS_OK) return s;
    if (json_object_size(at->value) != 1) {
        return json_refuse(at, STATUS_INVALID, err, "expected exactly one of get, put, delete, insert, add");
    }
    size_t k = 0;
    while (json_object_get(at->value, kinds[k]) == NULL) k++;
    struct json_at body = json_field(at, kinds[k]);
    op->kind = kind_of[k];
    op->value = SLICE_EMPTY;
    switch (op->kind) {
    case TXN_GET:
    case TXN_DELETE:
        s = json_want_object(&body, names_key, 2, err);
        return s == STATUS_OK ? take_key(&body, a, &op->key, err) : s;
    case TXN_PUT:
    case TXN_INSERT:
        s = json_want_object(&body, names_value, 5, err);
        if (s == STATUS_OK) s = take_key(&body, a, &op->key, err);
        if (s == STATUS_OK) s = take_ttl(&body, op, err);
        return s == STATUS_OK ? take_value(&body, a, &op->value, err) : s;
    case TXN_ADD:
        s = json_want_object(&body, names_add, 5, err);
        if (s == STATUS_OK) s = take_key(&body, a, &op->key, err);
        return s == STATUS_OK ? parse_add(&body, op, err) : s;
    case TXN_REVISE: break; /* of the etcd surface only */
    }
    return STATUS_INVALID;
}

static enum status parse_ops(const struct json_at *at, struct arena *a, struct txn_op **out, size_t *count,
                             struct errbuf *err)
{
    *out = NULL;
    *count = 0;
    if (at->value == NULL) return STATUS_OK;
    enum status s = json_want_array(at, err);
    if (s != STATUS_OK) return s;
    size_t n = json_array_size(at->value);
    if (n > LIMIT_TXN_OPS) return json_refuse(at, STATUS_TOO_LARGE, err, "more than %u operations", LIMIT_TXN_OPS);
    *out = arena_zalloc(a, n * sizeof(struct txn_op));
    for (size_t i = 0; i < n; i++) {
        struct json_at element = json_element(at, i);
        if ((s = json_want_op(&element, a, &(*out)[i], err)) != STATUS_OK) return s;
    }
    *count = n;
    return STATUS_OK;
}

static enum status parse_compares(const struct json_at *at, struct arena *a, struct txn *t, struct errbuf *err)
{
    if (at->value == NULL) return STATUS_OK;
    enum status s = json_want_array(at, err);
    if (s != STATUS_OK) return s;
    size_t n = json_array_size(at->value);
    if (n > LIMIT_TXN_OPS) return json_refuse(at, STATUS_TOO_LARGE, err, "more than %u comparisons", LIMIT_TXN_OPS);
    t->compares = arena_zalloc(a, (n + 1) * sizeof(*t->compares));
    for (size_t i = 0; i < n; i++) {
        struct json_at element = json_element(at, i);
        if ((s = parse_compare(&element, a, &t->compares[i], err)) != STATUS_OK) return s;
    }
    t->compare_count = n;
    return STATUS_OK;
}

static enum status parse_id(const struct input *in, const struct json_at *root, struct txn_id *out, struct errbuf *err)
{
    struct json_at id = json_field(root, "id");
    struct slice text;
    if (id.value == NULL) {
        return in->idempotency_key == NULL ? STATUS_OK
                                           : parse_idempotency_key(slice_str(in->idempotency_key), out, err);
    }
    enum status s = json_want_text(&id, &text, err);
    if (s != STATUS_OK) return s;
    if (in->idempotency_key != NULL && !slice_eq(text, slice_str(in->idempotency_key))) {
        return json_refuse(&id, STATUS_INVALID, err, "the header Idempotency-Key gives another id");
    }
    struct errbuf why;
    s = parse_idempotency_key(text, out, &why);
    return s == STATUS_OK ? s : json_refuse(&id, s, err, "%s", why.text);
}

enum status parse_txn(const struct input *in, struct arena *a, struct txn_action *out, struct errbuf *err)
{
    static const char *const names[] = {"id", "keyspace", "compare", "then", "else"};
    *out = (struct txn_action){.keyspace = slice_str("default")};
    struct list_action query;
    enum status s = parse_list(in, false, a, &query, err);
    if (s == STATUS_OK) s = json_load_body(in->body, &out->tree, err);
    if (s != STATUS_OK) return s;
    out->timeout_ms = query.timeout_ms;

    struct json_at root = {.value = out->tree, .path = {.name = ""}};
    if ((s = json_want_object(&root, names, 5, err)) != STATUS_OK) return s;
    struct json_at keyspace = json_field(&root, "keyspace");
    if (keyspace.value != NULL && (s = json_want_text(&keyspace, &out->keyspace, err)) != STATUS_OK) return s;
    if ((s = check_keyspace_name(out->keyspace, err)) != STATUS_OK) return s;
    if ((s = parse_id(in, &root, &out->txn.id, err)) != STATUS_OK) return s;

    struct json_at compare = json_field(&root, "compare"), then = json_field(&root, "then"),
                   otherwise = json_field(&root, "else");
    s = parse_compares(&compare, a, &out->txn, err);
    if (s == STATUS_OK) s = parse_ops(&then, a, &out->txn.ops, &out->txn.op_count, err);
    if (s == STATUS_OK) s = parse_ops(&otherwise, a, &out->txn.else_ops, &out->txn.else_count, err);
    if (s != STATUS_OK) return s;
    size_t total = out->txn.compare_count + out->txn.op_count + out->txn.else_count;
    if (total > LIMIT_TXN_OPS) {
        return json_refuse(&root, STATUS_TOO_LARGE, err, "%zu comparisons and operations; the limit is %u", total,
                           LIMIT_TXN_OPS);
    }
    if (out->txn.op_count + out->txn.else_count == 0)
        return json_refuse(&root, STATUS_INVALID, err, "then: expected at least one operation");
    return STATUS_OK;
}

enum status parse_batch(const struct input *in, struct arena *a, struct batch_action *out, struct errbuf *err)
{
    static const char *const names[] = {"keyspace", "ops"};
    struct list_action query;
    *out = (struct batch_action){.keyspace = slice_str("default")};
    enum status s = parse_list(in, false, a, &query, err);
    if (s == STATUS_OK && in->idempotency_key != NULL)
        s = parse_idempotency_key(slice_str(in->idempotency_key), &out->id, err);
    if (s == STATUS_OK) s = json_load_body(in->body, &out->tree, err);
    if (s != STATUS_OK) return s;
    out->timeout_ms = query.timeout_ms;
    struct json_at root = {.value = out->tree, .path = {.name = ""}};
    if ((s = json_want_object(&root, names, 2, err)) != STATUS_OK) return s;
    struct json_at keyspace = json_field(&root, "keyspace"), ops = json_field(&root, "ops");
    if (keyspace.value != NULL && (s = json_want_text(&keyspace, &out->keyspace, err)) != STATUS_OK) return s;
    if ((s = check_keyspace_name(out->keyspace, err)) != STATUS_OK) return s;
    if ((s = json_want_array(&ops, err)) != STATUS_OK) return s;
    size_t n = json_array_size(ops.value);
    if (n == 0 || n > BATCH_OPS_MAX)
        return json_refuse(&ops, n == 0 ? STATUS_INVALID : STATUS_TOO_LARGE, err, "expected 1 to %u", BATCH_OPS_MAX);
    return parse_ops(&ops, a, &out->ops, &out->count, err);
}

enum status parse_txn_lookup(const struct input *in, const struct route *r, struct arena *a, struct txn_lookup *out,
                             struct errbuf *err)
{
    enum { LOOKUP_KEYSPACE, LOOKUP_KEY, LOOKUP_TIMEOUT, LOOKUP_PARAMS };
    struct query_param q[LOOKUP_PARAMS] = {{.name = "keyspace"}, {.name = "key"}, {.name = "timeout_ms"}};
    struct slice id;
    *out = (struct txn_lookup){.keyspace = slice_str("default")};
    enum status s = query_parse(in->query, q, LOOKUP_PARAMS, a, err);
    if (s == STATUS_OK) s = uri_decode(r->key, false, a, &id, err);
    if (s == STATUS_OK) s = parse_idempotency_key(id, &out->id, err);
    if (s == STATUS_OK) s = take_timeout(&q[LOOKUP_TIMEOUT], &out->timeout_ms, err);
    if (s != STATUS_OK) return s;
    if (q[LOOKUP_KEYSPACE].present) out->keyspace = q[LOOKUP_KEYSPACE].value;
    if ((s = check_keyspace_name(out->keyspace, err)) != STATUS_OK) return s;
    if (!q[LOOKUP_KEY].present) {
        errbuf_set(err, "key: the key of the transaction's first operation is needed, beside it the answer is kept");
        return STATUS_INVALID;
    }
    out->key = q[LOOKUP_KEY].value;
    return check_key(out->key, err);
}
