/* Strict serializability of registers by commit order: the writes of a key, in the order of their timestamps, are the only
 * history there can have been. Each operation must have been told what that history holds at its place, and its place must
 * agree with real time. No search: where check_linear trusts no timestamp and asks whether some order exists, this one takes
 * the servers at their word and asks whether the word was kept.
 *
 * A write of unknown outcome has its place if somebody has read it. If not, it may lie anywhere after its call, and what
 * was answered after that is left to check_linear. */
#include "base/mem.h"
#include "sim/check.h"

#include <stdlib.h>

struct change { /* of one key */
    uint64_t ts, value, call_ns, return_ns;
};

struct order {
    struct change *changes; /* by ts; changes[0]: absent, since ever */
    size_t count;
    uint64_t vague_ns; /* from here on an unread write of unknown outcome may lie anywhere */
};

static int change_cmp(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    return (x->ts > y->ts) - (x->ts < y->ts);
}

/* The version at which somebody saw the value; 0: nobody did. */
static uint64_t seen_at(const struct history *h, const struct op *write)
{
    for (size_t i = 0; i < h->op_count; i++) {
        const struct op *op = &h->ops[i];
        bool saw = op->kind == OP_GET && op->outcome == OP_DONE && op->key == write->key && op->value == write->value;
        if (saw) return op->version;
    }
    return 0;
}

static void add_change(struct order *o, const struct op *op, uint64_t ts)
{
    o->changes[o->count++] = (struct change){.ts = ts,
                                             .value = op->kind == OP_DELETE ? 0 : op->value,
                                             .call_ns = op->call_ns,
                                             .return_ns = op->outcome == OP_DONE ? op->return_ns : UINT64_MAX};
}

static void order_init(struct order *o, const struct history *h, unsigned key)
{
    *o = (struct order){
        .changes = mem_zalloc((h->op_count + 1) * sizeof *o->changes), .count = 1, .vague_ns = UINT64_MAX};
    for (size_t i = 0; i < h->op_count; i++) {
        const struct op *op = &h->ops[i];
        if (op->key != key || op->kind == OP_GET || op->outcome == OP_NOTHING || op->outcome == OP_REFUSED) continue;
        if (op->outcome == OP_DONE) {
            if (op->kind != OP_DELETE || op->found) add_change(o, op, op->version);
            continue;
        }
        uint64_t ts = op->kind == OP_DELETE ? 0 : seen_at(h, op);
        if (ts != 0) {
            add_change(o, op, ts);
        } else if (op->call_ns < o->vague_ns) {
            o->vague_ns = op->call_ns;
        }
    }
    qsort(o->changes + 1, o->count - 1, sizeof *o->changes, change_cmp);
}

/* The last change below ts. */
static size_t before(const struct order *o, uint64_t ts)
{
    size_t at = o->count - 1;
    while (at > 0 && o->changes[at].ts >= ts) at--;
    return at;
}

/* Some moment between call and return at which the register held that. */
static bool held(const struct order *o, const struct op *op, uint64_t value)
{
    size_t low = 0;
    for (size_t i = 1; i < o->count; i++) {
        if (o->changes[i].return_ns < op->call_ns) low = i;
    }
    for (size_t i = low; i < o->count; i++) {
        const struct change *c = &o->changes[i];
        bool version_fits = op->kind != OP_GET || value == 0 || c->ts == op->version;
        if (c->call_ns <= op->return_ns && c->value == value && version_fits) return true;
    }
    return false;
}

static bool was_told_truth(const struct order *o, const struct op *op)
{
    uint64_t there = o->changes[before(o, op->version)].value; /* for those that have a place of their own */
    switch (op->kind) {
    case OP_GET: return held(o, op, op->value);
    case OP_PUT: return true;
    case OP_DELETE: return !op->has_found || op->found == (there != 0);
    case OP_CAS: return op->outcome == OP_REFUSED || there == op->expect;
    }
    return false;
}

void check_order(struct world *w, const struct history *h, unsigned key_count)
{
    for (unsigned key = 0; key < key_count; key++) {
        struct order o;
        char text[256];
        order_init(&o, h, key);
        for (size_t i = 0; i < h->op_count; i++) {
            const struct op *op = &h->ops[i];
            bool answered = op->outcome == OP_DONE || op->outcome == OP_REFUSED;
            if (op->key != key || !answered || op->return_ns >= o.vague_ns || was_told_truth(&o, op)) continue;
            history_describe_op(op, text, sizeof text);
            world_fail(w, "commit order: the writes of k%u by their timestamps do not allow: %s", key, text);
        }
        mem_free(o.changes);
    }
}
