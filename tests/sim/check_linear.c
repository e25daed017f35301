/* Linearizability of registers, key by key, by the search of tests/lib/linear.h. */
#include "base/mem.h"
#include "lib/linear.h"
#include "sim/check.h"

static bool of_key(const struct op *op, unsigned key)
{
    return op->key == key && op->outcome != OP_NOTHING && (op->kind != OP_GET || op->outcome == OP_DONE);
}

static struct linear_op linear_of(const struct op *op)
{
    static const enum linear_kind kinds[] = {
        [OP_GET] = LINEAR_GET, [OP_PUT] = LINEAR_PUT, [OP_DELETE] = LINEAR_DELETE, [OP_CAS] = LINEAR_CAS};
    bool returned = op->outcome == OP_DONE || op->outcome == OP_REFUSED;
    return (struct linear_op){.kind = kinds[op->kind],
                              .value = op->value,
                              .expect = op->expect,
                              .refused = op->outcome == OP_REFUSED,
                              .has_found = op->has_found,
                              .found = op->found,
                              .call_ns = op->call_ns,
                              .return_ns = returned ? op->return_ns : LINEAR_NEVER};
}

static void report(struct world *w, const struct history *h, unsigned key, size_t stuck, bool undecided)
{
    char text[256] = "";
    const struct op *culprit = NULL;
    for (size_t i = 0, number = 0; i < h->op_count; i++) {
        const struct op *op = &h->ops[i];
        if (op->key != key) continue;
        bool here = of_key(op, key) && number++ == stuck;
        if (here) culprit = op;
        history_describe_op(op, text, sizeof text);
        world_trace(w, NULL, "%s%s", here ? "=> " : "   ", text);
    }
    if (culprit != NULL) history_describe_op(culprit, text, sizeof text);
    world_fail(w, "%s: no order explains the operations on k%u up to: %s",
               undecided ? "linearizability undecided" : "not linearizable", key, text);
}

void check_linear(struct world *w, const struct history *h, unsigned key_count)
{
    struct linear_op *ops = mem_alloc((h->op_count + 1) * sizeof *ops);
    for (unsigned key = 0; key < key_count; key++) {
        size_t count = 0, stuck;
        for (size_t i = 0; i < h->op_count; i++) {
            if (of_key(&h->ops[i], key)) ops[count++] = linear_of(&h->ops[i]);
        }
        enum linear_verdict v = linear_check(ops, count, &stuck);
        if (v != LINEAR_FINE) report(w, h, key, stuck, v == LINEAR_UNDECIDED);
    }
    mem_free(ops);
}
