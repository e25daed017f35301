#include "lib/linear.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>

enum { SEARCH_STEPS_MAX = 20 * 1000 * 1000, UNDECIDED_MAX = 2 /* searches given up, until all are */ };

struct entry { /* a call or a return; a list in order of time */
    const struct linear_op *op;
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
    const struct linear_op *stuck; /* the return that could not be reached, in the deepest attempt */
};

/* Whether the operation may happen when the register holds *value; then *value is what it leaves. */
static bool step(const struct linear_op *op, uint64_t *value)
{
    switch (op->kind) {
    case LINEAR_GET: return op->value == *value;
    case LINEAR_PUT: *value = op->value; return true;
    case LINEAR_DELETE:
        if (op->has_found && op->found != (*value != 0)) return false;
        *value = 0;
        return true;
    case LINEAR_CAS:
        if (op->refused) return *value != op->expect;
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

static bool left_out(const struct linear_op *op, const bool *seen, size_t i)
{
    if (op->return_ns != LINEAR_NEVER) return false;
    return op->kind == LINEAR_GET || (seen != NULL && !seen[i]);
}

static void link_entries(struct search *s)
{
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
}

/* seen: of the operations of unknown outcome only these are looked at; NULL: all. */
static void search_init(struct search *s, const struct linear_op *ops, size_t count, const bool *seen)
{
    memset(s, 0, sizeof *s);
    map_init(&s->met);
    s->entries = mem_zalloc((2 * count + 1) * sizeof *s->entries);
    for (size_t i = 0; i < count; i++) {
        const struct linear_op *op = &ops[i];
        if (left_out(op, seen, i)) continue;
        size_t number = s->op_count++;
        s->entries[s->entry_count++] = (struct entry){.op = op, .number = number, .at_ns = op->call_ns};
        if (op->return_ns == LINEAR_NEVER) continue;
        s->entries[s->entry_count++] =
            (struct entry){.op = op, .number = number, .at_ns = op->return_ns, .is_return = true};
        s->returns_left++;
    }
    qsort(s->entries, s->entry_count, sizeof *s->entries, entry_cmp);
    link_entries(s);
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

static enum linear_verdict search_run(struct search *s)
{
    struct entry *e = s->head.next;
    while (s->returns_left > 0) {
        if (++s->steps > SEARCH_STEPS_MAX) return LINEAR_UNDECIDED;
        if (e != NULL && !e->is_return) {
            e = try_place(s, e) ? s->head.next : e->next;
            continue;
        }
        if (e != NULL && s->depth >= s->best_depth) {
            s->best_depth = s->depth;
            s->stuck = e->op;
        }
        if (s->depth == 0) return LINEAR_WRONG; /* an operation has returned, and nothing can be placed before that */
        struct placed *top = &s->stack[--s->depth];
        unlift(s, top->call);
        s->value = top->value_before;
        e = top->call->next;
    }
    return LINEAR_FINE;
}

/* Writes of unknown outcome whose value somebody saw. The others need not have happened, as far as reads are concerned. */
static bool *mark_seen(const struct linear_op *ops, size_t count)
{
    struct map values;
    bool *seen = mem_zalloc((count + 1) * sizeof *seen);
    map_init(&values);
    for (size_t i = 0; i < count; i++) {
        if (ops[i].return_ns == LINEAR_NEVER && ops[i].kind == LINEAR_GET) continue;
        if (ops[i].kind == LINEAR_GET) map_put(&values, ops[i].value, seen);
        if (ops[i].kind == LINEAR_CAS && !ops[i].refused) map_put(&values, ops[i].expect, seen);
    }
    for (size_t i = 0; i < count; i++)
        seen[i] = map_get(&values, ops[i].kind == LINEAR_DELETE ? 0 : ops[i].value) != NULL;
    map_free(&values);
    return seen;
}

static enum linear_verdict search_once(const struct linear_op *ops, size_t count, const bool *seen, size_t *stuck)
{
    struct search s;
    search_init(&s, ops, count, seen);
    enum linear_verdict v = search_run(&s);
    *stuck = s.stuck != NULL ? (size_t)(s.stuck - ops) : 0;
    search_free(&s);
    return v;
}

/* Lets one more unknown write in, of those that were called before the operation at `stuck` returned: the latest put, which
 * can explain most, or else the latest of the others; or else all that are left. False: none was left out. */
static bool let_in(const struct linear_op *ops, size_t count, bool *seen, size_t stuck)
{
    size_t best = count;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (!left_out(&ops[i], seen, i) || ops[i].kind == LINEAR_GET) continue;
        any = true;
        if (ops[i].call_ns > ops[stuck].return_ns) continue;
        bool put = ops[i].kind == LINEAR_PUT, best_is_put = best < count && ops[best].kind == LINEAR_PUT;
        if (best == count || put > best_is_put || (put == best_is_put && ops[i].call_ns > ops[best].call_ns)) best = i;
    }
    if (best < count)
        seen[best] = true;
    else
        memset(seen, true, count * sizeof *seen);
    return any;
}

/* First as if unknown writes that nobody saw had not happened: an order without them is an order. Only where there is none
 * are they let in, one after the other, for they may explain a refusal; all at once there would be too many orders. */
enum linear_verdict linear_check(const struct linear_op *ops, size_t count, size_t *stuck)
{
    bool *seen = mark_seen(ops, count);
    enum linear_verdict v = LINEAR_FINE;
    for (int undecided = 0; undecided < UNDECIDED_MAX; undecided += v == LINEAR_UNDECIDED) {
        v = search_once(ops, count, seen, stuck);
        if (v == LINEAR_FINE || !let_in(ops, count, seen, *stuck)) break;
    }
    mem_free(seen);
    return v;
}
