/* Requests of the etcd surface as JSON: taken or refused, in full. The first byte says which. Run by `make fuzz` and `make replay`. */
#include <jansson.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "etcd/txn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct ecall *c, unsigned kind, const struct json_node *body)
{
    struct range_asked range;
    struct put_asked put;
    struct delete_asked del;
    struct etxn *txn;
    bool more;
    switch (kind) {
    case 0:
        if (!take_range(c, body, &range)) return;
        struct span s = span_of(&c->arena, range.key, range.range_end);
        ASSERT(s.single || s.empty || slice_cmp(s.start, s.end) < 0);
        struct ekv rows[] = {{.key = slice_str("a"), .value = slice_str("1"), .mod = 5, .created = 5, .count = 1},
                             {.key = slice_str("b"), .value = slice_str("2"), .mod = 7, .created = 4, .count = 2}};
        ASSERT(range_select(&range, rows, 2, &more) <= 2);
        break;
    case 1:
        if (!take_put(c, body, &put)) return;
        ASSERT(put.key.size > 0 && put.value.size <= ETCD_VALUE_MAX);
        break;
    case 2:
        if (!take_delete(c, body, &del)) return;
        ASSERT(del.key.size > 0);
        break;
    default:
        txn = arena_zalloc(&c->arena, sizeof(*txn));
        if (!txn_take(c, body, txn)) return;
        ASSERT(txn->compare_count <= ETCD_TXN_OPS && txn->counts[0] <= ETCD_TXN_OPS && txn->counts[1] <= ETCD_TXN_OPS);
        (void)txn_keys_are_distinct(&c->arena, txn);
        (void)may_txn(c, txn);
    }
    ecall_end(c);
}

/* Whatever our own reader takes, jansson takes, and finds the same in it. */
static void same(const struct json_node *n, const json_t *t)
{
    size_t i = 0;
    int64_t number;
    switch (n->kind) {
    case JSON_IS_NULL: ASSERT(json_is_null(t)); return;
    case JSON_IS_FALSE: ASSERT(json_is_false(t)); return;
    case JSON_IS_TRUE: ASSERT(json_is_true(t)); return;
    case JSON_IS_NUMBER:
        ASSERT(json_is_number(t));
        if (json_is_integer(t)) ASSERT(json_node_i64(n, &number) && number == json_integer_value(t));
        return;
    case JSON_IS_TEXT: ASSERT(slice_eq(n->text, slice_make(json_string_value(t), json_string_length(t)))); return;
    case JSON_IS_LIST:
        ASSERT(json_array_size(t) == n->count);
        for (const struct json_node *v = n->first; v != NULL; v = v->next) same(v, json_array_get(t, i++));
        return;
    case JSON_IS_OBJECT:
        ASSERT(json_object_size(t) == n->count);
        for (const struct json_node *v = n->first; v != NULL; v = v->next) {
            char name[2100];
            ASSERT(v->name.size < sizeof(name));
            memcpy(name, v->name.data, v->name.size);
            name[v->name.size] = '\0';
            if (strlen(name) == v->name.size) same(v, json_object_get(t, name));
        }
    }
}

static void compare_with_jansson(struct slice body)
{
    struct arena a;
    struct errbuf err;
    struct json_node *n;
    json_error_t why;
    size_t taken;
    arena_init(&a, 1024);
    bool ours = json_tree_read(&a, body, &n, &taken, &err) == STATUS_OK && n != NULL && taken == body.size;
    json_t *theirs =
        json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
    enum json_error_code code = theirs == NULL ? json_error_code(&why) : json_error_unknown;
    if (ours && theirs != NULL) same(n, theirs);
    /* jansson has no names with zeroes in them, and no numbers beyond its own. */
    if (ours && theirs == NULL) ASSERT(code == json_error_numeric_overflow || code == json_error_null_byte_in_key);
    if (!ours && theirs != NULL &&
        memchr(body.data, 0, body.size) == NULL) /* limits of ours; jansson passes over a zero between values */
        ASSERT(strstr(err.text, "deep") != NULL || strstr(err.text, "too many names") != NULL);
    json_decref(theirs);
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct etcd e = {.call_count = 1};
    struct ecall *c = mem_zalloc(sizeof(*c));
    struct errbuf err;
    list_init(&e.calls);
    list_init(&c->wait);
    list_push_back(&e.calls, &c->link);
    arena_init(&c->arena, 1024);
    c->etcd = &e;
    c->body = slice_make(data + 1, size - 1);
    compare_with_jansson(c->body);
    if (ecall_read(c, &c->tree, &err) == STATUS_OK)
        take(c, data[0] % 4, c->tree);
    else
        ecall_refuse_text(c, GRPC_INVALID_ARGUMENT, err.text);
    ASSERT(e.call_count == 0); /* refused or taken, it has ended once */
    return 0;
}
