/* Which rows an entry will look at, as far as its bytes and the table tell: what is read ahead. Only a hint: an evaluation that
 * looks at another one is stopped by its view like any other. Of a Prepare they are all. */
#include "txn/participant_int.h"

struct wanted {
    struct arena *arena;
    struct slice *keys;
    size_t count, capacity;
};

static void want(struct wanted *w, struct slice store_key)
{
    if (w->count == w->capacity) {
        size_t capacity = w->capacity == 0 ? 16 : w->capacity * 2;
        struct slice *keys = arena_alloc(w->arena, capacity * sizeof(*keys));
        if (w->count > 0) memcpy(keys, w->keys, w->count * sizeof(*keys));
        w->keys = keys;
        w->capacity = capacity;
    }
    w->keys[w->count++] = store_key;
}

static void want_ops(struct wanted *w, uint32_t keyspace, const struct txn_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind != TXN_PUT) want(w, key_make_data(w->arena, keyspace, ops[i].key));
    }
}

static void want_txn(struct wanted *w, const struct txn *t)
{
    for (size_t i = 0; i < t->compare_count; i++) {
        if (t->compares[i].target == TXN_TARGET_SPAN) continue; /* fetched when it is asked for */
        want(w, key_make_data(w->arena, t->keyspace, t->compares[i].key));
    }
    want_ops(w, t->keyspace, t->ops, t->op_count);
    want_ops(w, t->keyspace, t->else_ops, t->else_count);
    if (!txn_id_is_none(&t->id)) want(w, key_make_idempotency(w->arena, t->keyspace, txn_anchor(t), &t->id));
}

static void want_part(struct wanted *w, const struct txn_prepare *p, const struct txn *part)
{
    want_txn(w, part);
    if (p->keeps_answer) want(w, key_make_idempotency(w->arena, p->keyspace, p->anchor, &p->client));
}

static void want_prepare(struct wanted *w, struct slice bytes)
{
    struct txn_prepare p;
    struct txn part;
    if (txn_prepare_decode(bytes, w->arena, &p) != STATUS_OK) return;
    if (txn_decode(p.part, w->arena, &part, NULL) == STATUS_OK) want_part(w, &p, &part);
}

size_t reads_of_part(const struct txn_prepare *p, const struct txn *part, struct arena *arena, struct slice **keys)
{
    struct wanted w = {.arena = arena};
    want_part(&w, p, part);
    *keys = w.keys;
    return w.count;
}

static void want_decide(struct wanted *w, const struct txn_table *t, struct slice bytes)
{
    struct txn_decide d;
    struct held_row r;
    if (txn_decide_decode(bytes, &d) != STATUS_OK) return;
    const struct held *h = table_find(t, &d.id);
    if (h == NULL || h->state != HELD_PREPARED) return;
    if (held_row_decode(slice_make(h->row, h->row_size), w->arena, &r) == STATUS_OK) want_prepare(w, r.prepare);
}

size_t txn_table_reads(const struct txn_table *t, const struct txn_command *c, struct arena *arena, struct slice **keys)
{
    struct wanted w = {.arena = arena};
    struct txn txn;
    switch (c->kind) {
    case TXN_COMMAND_KIND:
        if (txn_decode(c->txn, arena, &txn, NULL) == STATUS_OK) want_txn(&w, &txn);
        break;
    case TXN_COMMAND_PREPARE: want_prepare(&w, c->txn); break;
    case TXN_COMMAND_DECIDE: want_decide(&w, t, c->txn); break;
    case TXN_COMMAND_STEPS: {
        struct cursor steps = cursor_make(c->txn);
        struct txn_step step;
        while (txn_step_next(&steps, &step)) {
            if (step.kind == TXN_COMMAND_DECIDE) want_decide(&w, t, step.body);
        }
        break;
    }
    case TXN_COMMAND_PREPARES: {
        struct cursor prepares = cursor_make(c->txn);
        struct slice prepare;
        uint64_t ts;
        while (txn_prepares_next(&prepares, &ts, &prepare)) want_prepare(&w, prepare);
        break;
    }
    case TXN_COMMAND_SEAL:
    case TXN_COMMAND_FORGET: break;
    }
    *keys = w.keys;
    return w.count;
}
