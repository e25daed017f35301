/* Linearizability of registers, key by key: Wing and Gong's search (1993) in Lowe's form (2017): the entries of the history
 * in order of time, lifted out as operations are placed, with a memory of (set of operations placed, value) that were met
 * before. Operations of unknown outcome have no return: they may be placed anywhere after their call, or never. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "sim/check.h"

#include <stdio.h>
#include <stdlib.h>

enum { SEARCH_STEPS_MAX = 20 * 1000 * 1000 };

struct entry { /* a call or a return; a list in order of time */
    const struct op *op;
    size_t number; /* of the operation */
    bool is_return;
    uint64_t at_ns;
    struct entry *match; /* of a call: its return, or NULL */
    struct entry *prev, *next;
};

struct placed { /* the operations placed so far, for going back */
    struct entry *call;
    uint64_t value_before;
};

struct search {
    struct entry *entries, head;
    size_t entry_count, op_count, returns_left;
    struct placed *stack;
    size_t depth;
    struct map met;
    uint64_t set_hash, value, steps;
    size_t best_depth;
    const struct op *stuck; /* the return that could not be reached, in the deepest attempt */
};

/* Whether the operation may happen when the register holds *value; then *value is what it leaves. */
static bool step(const struct op *op, uint64_t *value)
{
    switch (op->kind) {
    case OP_GET: return op->value == *value;
    case OP_PUT: *value = op->value; return true;
    case OP_DELETE:
        if (op->has_found && op->found != (*value != 0)) return false;
        *value = 0;
        return true;
    case OP_CAS:
        if (op->outcome == OP_REFUSED) return *value != op->expect;
        if (*value != op->expect) return false;
        *value = op->value;
        return true;
    }
    return false;
}

static int entry_cmp(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->at_ns != y->at_ns) return x->at_ns < y->at_ns ? -1 : 1;
    if (x->is_return != y->is_return) return x->is_return ? 1 : -1; /* at one instant they are concurrent */
    return (x->number > y->number) - (x->number < y->number);
}

static void unlink_entry(struct entry *e)
{
    e->prev->next = e->next;
    if (e->next != NULL) e->next->prev = e->prev;
}

static void relink_entry(struct entry *e)
{
    e->prev->next = e;
    if (e->next != NULL) e->next->prev = e;
}

static void lift(struct search *s, struct entry *call)
{
    unlink_entry(call);
    if (call->match != NULL) {
        unlink_entry(call->match);
        s->returns_left--;
    }
    s->set_hash ^= hash_u64(call->number + 1);
}

static void unlift(struct search *s, struct entry *call)
{
    s->set_hash ^= hash_u64(call->number + 1);
    if (call->match != NULL) {
        relink_entry(call->match);
        s->returns_left++;
    }
    relink_entry(call);
}

static void search_init(struct search *s, const struct history *h, unsigned key)
{
    memset(s, 0, sizeof *s);
    map_init(&s->met);
    s->entries = mem_zalloc((2 * h->op_count + 1) * sizeof *s->entries);
    for (size_t i = 0; i < h->op_count; i++) {
        const struct op *op = &h->ops[i];
        if (op->key != key || op->outcome == OP_NOTHING) continue;
        if (op->kind == OP_GET && op->outcome != OP_DONE) continue;
        size_t number = s->op_count++;
        s->entries[s->entry_count++] = (struct entry){.op = op, .number = number, .at_ns = op->call_ns};
        if (op->outcome == OP_UNKNOWN || op->outcome == OP_PENDING) continue;
        s->entries[s->entry_count++] =
            (struct entry){.op = op, .number = number, .at_ns = op->return_ns, .is_return = true};
        s->returns_left++;
    }
    qsort(s->entries, s->entry_count, sizeof *s->entries, entry_cmp);
    struct entry **calls = mem_zalloc((s->op_count + 1) * sizeof *calls);
    struct entry *last = &s->head;
    for (size_t i = 0; i < s->entry_count; i++) {
        struct entry *e = &s->entries[i];
        e->prev = last;
        last->next = e;
        last = e;
        if (!e->is_return)
            calls[e->number] = e;
        else
            calls[e->number]->match = e;
    }
    mem_free(calls);
    s->stack = mem_alloc((s->op_count + 1) * sizeof *s->stack);
}

static void search_free(struct search *s)
{
    map_free(&s->met);
    mem_free(s->entries);
    mem_free(s->stack);
}

/* Places the call if the register allows it and the situation is new. */
static bool try_place(struct search *s, struct entry *call)
{
    uint64_t value = s->value;
    if (!step(call->op, &value)) return false;
    uint64_t situation = hash_u64((s->set_hash ^ hash_u64(call->number + 1)) + hash_u64(value + 0x51));
    if (map_get(&s->met, situation) != NULL) return false;
    map_put(&s->met, situation, call);
    s->stack[s->depth++] = (struct placed){.call = call, .value_before = s->value};
    s->value = value;
    lift(s, call);
    return true;
}

/* True: an order exists. */
static bool search_run(struct search *s)
{
    struct entry *e = s->head.next;
    while (s->returns_left > 0) {
        if (++s->steps > SEARCH_STEPS_MAX) return false;
        if (e != NULL && !e->is_return) {
            e = try_place(s, e) ? s->head.next : e->next;
            continue;
        }
        if (e != NULL && s->depth >= s->best_depth) {
            s->best_depth = s->depth;
            s->stuck = e->op;
        }
        if (s->depth == 0) return false; /* an operation has returned, and nothing can be placed before that */
        struct placed *top = &s->stack[--s->depth];
        unlift(s, top->call);
        s->value = top->value_before;
        e = top->call->next;
    }
    return true;
}

static void report(struct world *w, const struct search *s, const struct history *h, unsigned key)
{
    char text[256] = "";
    for (size_t i = 0; i < h->op_count; i++) {
        if (h->ops[i].key != key) continue;
        history_describe_op(&h->ops[i], text, sizeof text);
        world_trace(w, NULL, "%s%s", &h->ops[i] == s->stuck ? "=> " : "   ", text);
    }
    if (s->stuck != NULL) history_describe_op(s->stuck, text, sizeof text);
    world_fail(w, "%s: no order explains the operations on k%u up to: %s",
               s->steps > SEARCH_STEPS_MAX ? "linearizability undecided" : "not linearizable", key, text);
}

void check_linear(struct world *w, const struct history *h, unsigned key_count)
{
    for (unsigned key = 0; key < key_count; key++) {
        struct search s;
        search_init(&s, h, key);
        if (!search_run(&s)) report(w, &s, h, key);
        search_free(&s);
    }
}
