/* From judgements to one transaction of the store. */
#include "base/assert.h"
#include "base/mutant.h"
#include "ledger/plan_int.h"

struct building {
    struct plan *p;
    struct txn *t;
    size_t op_capacity, compare_capacity;
    struct buf value;
};

static void owner(struct plan *p, const void ***owners, bool **of_account, size_t count, size_t capacity,
                  const void *who, bool is_account)
{
    if (*owners == NULL) {
        *owners = arena_alloc(&p->arena, capacity * sizeof(**owners));
        *of_account = arena_alloc(&p->arena, capacity * sizeof(**of_account));
    }
    (*owners)[count] = who;
    (*of_account)[count] = is_account;
}

/* What is put stays, whatever the keyspace says of rows without a time of their own. */
static void add_op(struct building *b, const struct txn_op *op, const void *who, bool is_account)
{
    struct plan *p = b->p;
    ASSERT(b->t->op_count < b->op_capacity);
    owner(p, &p->op_owners, &p->op_of_account, b->t->op_count, b->op_capacity, who, is_account);
    b->t->ops[b->t->op_count] = *op;
    b->t->ops[b->t->op_count++].has_ttl = op->kind == TXN_PUT || op->kind == TXN_INSERT;
}

static void add_absence(struct building *b, struct slice key, const void *who, bool is_account)
{
    struct plan *p = b->p;
    ASSERT(b->t->compare_count < b->compare_capacity);
    owner(p, &p->compare_owners, &p->compare_of_account, b->t->compare_count, b->compare_capacity, who, is_account);
    b->t->compares[b->t->compare_count++] =
        (struct txn_compare){.target = TXN_TARGET_EXISTS, .relation = TXN_EQUAL, .key = key, .value = SLICE_EMPTY};
}

static struct slice value_of(struct building *b)
{
    struct slice value = arena_dup_slice(&b->p->arena, buf_slice(&b->value));
    ASSERT(!b->value.overflow);
    buf_clear(&b->value);
    return value;
}

static struct slice expiry_key(struct building *b, const struct plan_row *r)
{
    const struct ledger_transfer *t = &r->row.transfer;
    uint64_t at_ms = (t->timestamp >> TS_COUNTER_BITS) + (uint64_t)t->timeout_s * 1000;
    return key_expiry(&b->p->arena, at_ms, &r->id);
}

static void build_row(struct building *b, const struct plan_row *r)
{
    struct arena *arena = &b->p->arena;
    struct txn_op op = {.value = SLICE_EMPTY};
    if (r->made) {
        row_put_transfer(&b->value, &r->row);
        op.kind = MUTANT(ledger_id_taken_over) ? TXN_PUT : TXN_INSERT;
        op.key = key_transfer(arena, &r->id);
        op.value = value_of(b);
        add_op(b, &op, r, false);
    } else if (r->absent_counts) {
        add_absence(b, key_transfer(arena, &r->id), r, false);
    }
    if (r->resolution_made) {
        row_put_resolution(&b->value, &r->resolution);
        op.kind = MUTANT(ledger_posts_twice) ? TXN_PUT : TXN_INSERT;
        op.key = key_resolution(arena, &r->id);
        op.value = value_of(b);
        add_op(b, &op, r, false);
    }
    if (r->expiry_made || r->expiry_dropped) {
        op.kind = r->expiry_made ? TXN_PUT : TXN_DELETE;
        op.key = expiry_key(b, r);
        op.value = SLICE_EMPTY;
        add_op(b, &op, r, false);
    }
}

/* low <= counter before <= high, said of the sum. */
static struct txn_op guarded_add(struct arena *arena, const struct plan_account *a, enum ledger_slot slot)
{
    const struct plan_slot *s = &a->slots[slot];
    struct txn_op op = {
        .kind = TXN_ADD, .key = key_counter(arena, &a->id, slot), .delta = s->delta, .min = I128_MIN, .max = I128_MAX};
    op.value = SLICE_EMPTY;
    if (s->low != I128_MIN && !i128_add(s->low, s->delta, &op.min)) op.min = s->delta < 0 ? I128_MIN : I128_MAX;
    if (s->high != I128_MAX && !i128_add(s->high, s->delta, &op.max)) op.max = s->delta < 0 ? I128_MIN : I128_MAX;
    return op;
}

static enum status build_account(struct building *b, const struct plan_account *a)
{
    struct plan *p = b->p;
    if (a->absent_counts) add_absence(b, key_account(&p->arena, &a->id), a, true);
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        const struct plan_slot *s = &a->slots[i];
        if (s->delta == 0 && s->low == I128_MIN && s->high == I128_MAX) continue;
        if (s->low > s->high) {
            COVER("ledger.contradiction");
            p->blamed = (struct plan_culprit){.is_account = true, .id = a->id};
            return STATUS_CONDITION_FAILED;
        }
        struct txn_op op = guarded_add(&p->arena, a, (enum ledger_slot)i);
        add_op(b, &op, a, true);
    }
    if (a->posting_count == 0) return STATUS_OK;
    uint64_t base = a->postings[0].timestamp;
    for (size_t i = 0; i < a->posting_count; i++) row_put_posting(&b->value, &a->postings[i], base);
    struct txn_op op = {.kind = TXN_PUT, .key = key_postings(&p->arena, &a->id, base)};
    op.value = value_of(b);
    if (!MUTANT(ledger_posting_lost)) add_op(b, &op, a, true);
    return STATUS_OK;
}

enum status plan_build(struct plan *p, struct txn *out)
{
    enum status s = STATUS_OK;
    *out = (struct txn){.op_count = 0};
    plan_judge(p);
    struct building b = {.p = p,
                         .t = out,
                         .op_capacity = p->row_count * 3 + p->account_count * (SLOT_COUNT + 1),
                         .compare_capacity = p->row_count + p->account_count};
    out->ops = arena_alloc(&p->arena, (b.op_capacity + 1) * sizeof(*out->ops));
    out->compares = arena_alloc(&p->arena, (b.compare_capacity + 1) * sizeof(*out->compares));
    buf_init(&b.value, LIMIT_VALUE_BYTES);
    for (size_t i = 0; i < p->row_count; i++) build_row(&b, p->rows[i]);
    for (size_t i = 0; i < p->account_count && s == STATUS_OK; i++) s = build_account(&b, p->accounts[i]);
    buf_free(&b.value);
    p->op_count = out->op_count;
    p->compare_count = out->compare_count;
    return s;
}
