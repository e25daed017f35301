/* Requests of the etcd surface as JSON: taken or refused, in full. The first byte says which. Run by `make fuzz` and `make replay`. */
#include "base/assert.h"
#include "base/mem.h"
#include "etcd/txn.h"
#include "gateway/json_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct ecall *c, unsigned kind, json_t *body)
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
    if (json_load_body(slice_make(data + 1, size - 1), &c->tree, &err) == STATUS_OK && json_is_object(c->tree))
        take(c, data[0] % 4, c->tree);
    else
        ecall_refuse_text(c, GRPC_INVALID_ARGUMENT, "no object");
    ASSERT(e.call_count == 0); /* refused or taken, it has ended once */
    return 0;
}
