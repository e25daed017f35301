/* Transactions in flight: those whose timestamp has been asked for and that are not applied yet. A strong read waits for
 * those on its keys that were in flight when it came (docs/reads.md). Keys are known by 64 buckets of their hashes. Of the
 * transactions that are in the call under way the index is not known yet: the read is parked until the call has ended. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "node/node_int.h"

/* Writes of a range in flight, by buckets of key hashes: flight.c. */
struct flight {
    uint64_t asked;     /* buckets of the transactions that are in the call for timestamps under way */
    uint64_t index[64]; /* per bucket: of the last entry that was proposed */
};

uint64_t flight_bucket(struct slice key)
{
    return 1ull << (hash_bytes(key, 0) & 63);
}

static uint64_t buckets_of_ops(const struct txn_op *ops, size_t count)
{
    uint64_t buckets = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind != TXN_GET) buckets |= flight_bucket(ops[i].key);
    }
    return buckets;
}

uint64_t flight_buckets_of(const struct txn *t)
{
    return buckets_of_ops(t->ops, t->op_count) | buckets_of_ops(t->else_ops, t->else_count);
}

static struct flight *flight_of(struct node *n, uint64_t group)
{
    struct flight *f = map_get(&n->flights, group);
    if (f == NULL) {
        f = mem_zalloc(sizeof *f);
        map_put(&n->flights, group, f);
    }
    return f;
}

void flight_asked(struct node *n, struct list *asked)
{
    LIST_FOR(it, asked)
    {
        const struct node_request *q = LIST_ENTRY(it, struct node_request, link);
        if (q->buckets != 0 && host_replica(n->host, q->group) != NULL) flight_of(n, q->group)->asked |= q->buckets;
    }
}

void flight_landed(struct node *n, struct list *asked)
{
    LIST_FOR(it, asked)
    {
        const struct node_request *q = LIST_ENTRY(it, struct node_request, link);
        struct flight *f = map_get(&n->flights, q->group);
        if (f != NULL) f->asked = 0;
    }
}

void flight_proposed(struct node_request *q)
{
    struct flight *f = flight_of(q->node, q->group);
    for (uint64_t left = q->buckets; left != 0; left &= left - 1) f->index[__builtin_ctzll(left)] = q->proposal.index;
}

void flight_forget(struct node *n, uint64_t group)
{
    mem_free(map_remove(&n->flights, group));
}

bool flight_is_asked(const struct node *n, const struct node_request *read)
{
    const struct flight *f = map_get(&n->flights, read->group);
    return f != NULL && (f->asked & read->buckets) != 0;
}

uint64_t flight_index(const struct node *n, const struct node_request *read)
{
    const struct flight *f = map_get(&n->flights, read->group);
    uint64_t index = 0;
    if (f == NULL) return 0;
    for (uint64_t left = read->buckets; left != 0; left &= left - 1) {
        if (f->index[__builtin_ctzll(left)] > index) index = f->index[__builtin_ctzll(left)];
    }
    return index;
}
