/* Transactions: from JSON, and what is refused before anything is read. */
#include "etcd/txn.h"

static bool take_compare(struct ecall *c, const struct json_node *v, struct compare *out)
{
    static const char *const results[] = {"EQUAL", "GREATER", "LESS", "NOT_EQUAL"};
    static const char *const targets[] = {"VERSION", "CREATE", "MOD", "VALUE", "LEASE"};
    static const char *const numbers[] = {"version", "create_revision", "mod_revision", NULL, "lease"};
    bool good = take_enum(c, v, "result", results, 4, &out->result) &&
                take_enum(c, v, "target", targets, 5, &out->target) && take_bytes(c, v, "key", &out->key) &&
                take_bytes(c, v, "range_end", &out->range_end);
    if (good && out->target == TARGET_VALUE) return take_bytes(c, v, "value", &out->value);
    return good && take_i64(c, v, numbers[out->target], &out->number);
}

static const struct json_node *object_of(const struct json_node *v)
{
    return v != NULL && v->kind == JSON_IS_OBJECT ? v : NULL;
}

/* One level of it; *all: compares and operations of all levels so far. */
static bool take_level(struct ecall *c, const struct json_node *body, struct etxn *out, size_t *all);

static bool take_op(struct ecall *c, const struct json_node *v, struct op *out, size_t *all)
{
    const struct json_node *range = object_of(field(v, "request_range")), *put = object_of(field(v, "request_put"));
    const struct json_node *del = object_of(field(v, "request_delete_range")),
                           *txn = object_of(field(v, "request_txn"));
    if (range != NULL) {
        out->kind = OP_RANGE;
        return take_range(c, range, &out->range);
    }
    if (put != NULL) {
        out->kind = OP_PUT;
        return take_put(c, put, &out->put);
    }
    if (del != NULL) {
        out->kind = OP_DELETE;
        return take_delete(c, del, &out->del);
    }
    if (txn == NULL) {
        ecall_refuse(c, &ERR_KEY_NOT_FOUND);
        return false;
    }
    out->kind = OP_TXN;
    out->txn = arena_zalloc(&c->arena, sizeof(*out->txn));
    return take_level(c, txn, out->txn, all);
}

/* NULL: there is none, or it is no list. */
static const struct json_node *list_of(const struct json_node *v)
{
    return v != NULL && v->kind == JSON_IS_LIST ? v : NULL;
}

static bool count_fits(struct ecall *c, const struct json_node *list, size_t *count, size_t *all)
{
    *count = list != NULL ? list->count : 0;
    *all += *count;
    bool fits = *count <= ETCD_TXN_OPS && *all <= ETCD_TXN_OPS_ALL;
    if (!fits) ecall_refuse(c, &ERR_TOO_MANY_OPS);
    return fits;
}

static bool take_ops(struct ecall *c, const struct json_node *list, struct op **out, size_t *count, size_t *all)
{
    if (!count_fits(c, list, count, all)) return false;
    struct op *op = *out = arena_zalloc(&c->arena, (*count + 1) * sizeof(*op));
    for (const struct json_node *v = *count > 0 ? list->first : NULL; v != NULL; v = v->next, op++) {
        if (!take_op(c, v, op, all)) return false;
    }
    return true;
}

static bool take_level(struct ecall *c, const struct json_node *body, struct etxn *out, size_t *all)
{
    const struct json_node *compares = list_of(field(body, "compare"));
    if (!count_fits(c, compares, &out->compare_count, all)) return false;
    struct compare *q = out->compares = arena_zalloc(&c->arena, (out->compare_count + 1) * sizeof(*q));
    for (const struct json_node *v = compares != NULL ? compares->first : NULL; v != NULL; v = v->next, q++) {
        if (!take_compare(c, v, q)) return false;
        if (q->key.size > 0) continue;
        ecall_refuse(c, &ERR_EMPTY_KEY);
        return false;
    }
    return take_ops(c, list_of(field(body, "success")), &out->branches[0], &out->counts[0], all) &&
           take_ops(c, list_of(field(body, "failure")), &out->branches[1], &out->counts[1], all);
}

bool txn_take(struct ecall *c, const struct json_node *body, struct etxn *out)
{
    size_t all = 0;
    return take_level(c, body, out, &all);
}

/* --- no key twice: the branches of one nested transaction may share, nothing else may. Each is looked for among all others: there are no more
 * than ETCD_TXN_OPS_ALL --- */

struct touched { /* a put's key, or a delete's span */
    struct touched *next;
    struct span span;
};
struct touches {
    struct touched *puts, *deletes;
};

static bool has(const struct touched *list, struct slice row_key)
{
    while (list != NULL && !span_has(&list->span, row_key)) list = list->next;
    return list != NULL;
}

static void add(struct arena *a, struct touched **list, struct span span)
{
    struct touched *t = arena_alloc(a, sizeof(*t));
    *t = (struct touched){.next = *list, .span = span};
    *list = t;
}

/* etcd takes the end here as it is written: a delete of all keys from one on ("\0") clashes with nothing. */
static struct span span_literal(struct arena *a, const struct delete_asked *q)
{
    struct span s = {.start = key_row(a, ROW_OF_USER, q->key), .end = SLICE_EMPTY, .single = q->range_end.size == 0};
    if (!s.single) s.end = key_row(a, ROW_OF_USER, q->range_end);
    return s;
}

static bool collect(struct arena *a, const struct op *ops, size_t count, struct touches *out);

/* What a nested transaction may put: its branches may share keys, with others it may not. */
static bool collect_nested(struct arena *a, const struct etxn *t, struct touches *out)
{
    struct touches branches[2] = {{NULL, NULL}, {NULL, NULL}};
    for (unsigned b = 0; b < 2; b++) {
        if (!collect(a, t->branches[b], t->counts[b], &branches[b])) return false;
    }
    for (unsigned b = 0; b < 2; b++) {
        for (const struct touched *p = branches[b].puts; p != NULL; p = p->next) {
            bool shared = b == 1 && has(branches[0].puts, p->span.start);
            if ((has(out->puts, p->span.start) && !shared) || has(out->deletes, p->span.start)) return false;
            if (!shared) add(a, &out->puts, p->span);
        }
    }
    for (unsigned b = 0; b < 2; b++) {
        for (const struct touched *d = branches[b].deletes; d != NULL; d = d->next) add(a, &out->deletes, d->span);
    }
    return true;
}

/* etcd's order of looking: deletes of this level, nested transactions one after the other, puts of this level. False: something twice. */
static bool collect(struct arena *a, const struct op *ops, size_t count, struct touches *out)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == OP_DELETE) add(a, &out->deletes, span_literal(a, &ops[i].del));
    }
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == OP_TXN && !collect_nested(a, ops[i].txn, out)) return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind != OP_PUT) continue;
        struct span span = span_of(a, ops[i].put.key, SLICE_EMPTY);
        if (has(out->puts, span.start) || has(out->deletes, span.start)) return false;
        add(a, &out->puts, span);
    }
    return true;
}

bool txn_keys_are_distinct(struct arena *a, const struct etxn *t)
{
    for (unsigned b = 0; b < 2; b++) {
        struct touches all = {NULL, NULL};
        if (!collect(a, t->branches[b], t->counts[b], &all)) return false;
    }
    return true;
}

/* --- rights: of both branches, whichever it will be --- */

static bool may_op(struct ecall *c, const struct op *op)
{
    switch (op->kind) {
    case OP_RANGE: return may_range(c, &op->range);
    case OP_PUT: return may_put(c, &op->put);
    case OP_DELETE: return may_delete(c, &op->del);
    case OP_TXN: return may_txn(c, op->txn);
    }
    return false;
}

bool may_txn(struct ecall *c, const struct etxn *t)
{
    bool may = true;
    for (size_t i = 0; i < t->compare_count && may; i++)
        may = ecall_may(c, AUTH_READ, t->compares[i].key, t->compares[i].range_end);
    for (unsigned b = 0; b < 2; b++) {
        for (size_t i = 0; i < t->counts[b] && may; i++) may = may_op(c, &t->branches[b][i]);
    }
    return may;
}
