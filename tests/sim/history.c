#include "sim/history.h"

#include "base/mem.h"

#include <stdio.h>

void history_init(struct history *h)
{
    memset(h, 0, sizeof *h);
}

void history_free(struct history *h)
{
    mem_free(h->ops);
    mem_free(h->commits.items);
    mem_free(h->tally.items);
    mem_free(h->chains.items);
    mem_free(h->appends.items);
}

size_t chains_call(struct chains *c, uint64_t now_ns)
{
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 256 : c->capacity * 2;
        c->items = mem_realloc(c->items, c->capacity * sizeof *c->items);
    }
    c->items[c->count] = (struct chain_txn){.outcome = OP_PENDING, .call_ns = now_ns, .return_ns = UINT64_MAX};
    return c->count++;
}

void appends_add(struct appends *a, struct append_txn *t)
{
    if (a->count == a->capacity) {
        a->capacity = a->capacity == 0 ? 256 : a->capacity * 2;
        a->items = mem_realloc(a->items, a->capacity * sizeof(struct append_txn *));
    }
    a->items[a->count++] = t;
}

size_t history_call(struct history *h, const struct op *op)
{
    if (h->op_count == h->op_capacity) {
        h->op_capacity = h->op_capacity == 0 ? 256 : h->op_capacity * 2;
        h->ops = mem_realloc(h->ops, h->op_capacity * sizeof *h->ops);
    }
    h->ops[h->op_count] = *op;
    h->ops[h->op_count].outcome = OP_PENDING;
    h->ops[h->op_count].return_ns = UINT64_MAX;
    return h->op_count++;
}

void commits_add(struct commits *c, uint64_t call_ns, uint64_t return_ns, uint64_t ts)
{
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 256 : c->capacity * 2;
        c->items = mem_realloc(c->items, c->capacity * sizeof *c->items);
    }
    if (ts > c->newest) c->newest = ts;
    c->items[c->count++] = (struct commit){.call_ns = call_ns, .return_ns = return_ns, .ts = ts};
}

void history_describe_op(const struct op *op, char *text, size_t size)
{
    static const char *const KINDS[] = {"get", "put", "delete", "cas"};
    static const char *const OUTCOMES[] = {"pending", "done", "refused", "nothing", "unknown"};
    (void)snprintf(text, size, "%10.6f..%10.6f client%u %s k%u value=%llu expect=%llu %s version=%llu",
                   (double)op->call_ns / 1e9, op->return_ns == UINT64_MAX ? -1.0 : (double)op->return_ns / 1e9,
                   op->client + 1, KINDS[op->kind], op->key, (unsigned long long)op->value,
                   (unsigned long long)op->expect, OUTCOMES[op->outcome], (unsigned long long)op->version);
}
