/* What is counted of every request that was served: how many a range has, and, of a sample, which keys. */
#include "node/load.h"
#include "base/mem.h"
#include "txn/command.h"
#include "txn/prepare.h"

enum { OTHERS_MS = 200 }; /* so long is "lately" */

struct range_counters *node_counters(struct node *n, uint64_t group)
{
    struct range_counters *c = map_get(&n->counters, group);
    if (c == NULL) {
        c = mem_zalloc(sizeof *c);
        map_put(&n->counters, group, c);
    }
    return c;
}

void load_count_other(struct node *n)
{
    n->others++;
}

uint32_t load_others(struct node *n, uint64_t now_ns)
{
    uint64_t ms = (now_ns - n->others_since_ns) / NS_PER_MS;
    if (ms >= OTHERS_MS) {
        n->others_per_s = (uint32_t)((n->others * 1000ull + ms - 1) / ms);
        n->others = 0;
        n->others_since_ns = now_ns;
    }
    return n->others_per_s;
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
    load_count_other(q->node);
    if (has_keys && load_samples_wants(&q->node->samples)) sample_write(q);
}
