/* What is counted of every request that was served: how many a range has, and, of a sample, which keys. */
#include "base/mem.h"
#include "node/node_int.h"
#include "txn/command.h"
#include "txn/prepare.h"

struct range_counters *node_counters(struct node *n, uint64_t group)
{
    struct range_counters *c = map_get(&n->counters, group);
    if (c == NULL) {
        c = mem_zalloc(sizeof *c);
        map_put(&n->counters, group, c);
    }
    return c;
}

void load_count_read(struct node_request *q, struct slice key)
{
    node_counters(q->node, q->group)->reads++;
    if (load_samples_wants(&q->node->samples)) load_samples_note(&q->node->samples, q->group, key, key);
}

static void sample_write(struct node_request *q)
{
    struct node *n = q->node;
    struct txn_prepare p = {.part = q->txn.txn};
    struct slice low, high;
    struct errbuf err;
    struct txn t;
    arena_reset(&n->arena);
    if (q->txn.kind == TXN_COMMAND_PREPARE && txn_prepare_decode(q->txn.txn, &n->arena, &p) != STATUS_OK) return;
    if (txn_decode(p.part, &n->arena, &t, &err) != STATUS_OK) return;
    txn_key_span(&t, &low, &high);
    load_samples_note(&n->samples, q->group, low, high);
}

void load_count_write(struct node_request *q)
{
    bool has_keys = q->txn.kind == 0 || q->txn.kind == TXN_COMMAND_KIND || q->txn.kind == TXN_COMMAND_PREPARE;
    node_counters(q->node, q->group)->writes++;
    if (has_keys && load_samples_wants(&q->node->samples)) sample_write(q);
}
