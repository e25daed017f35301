/* What a plan knows of accounts and transfers, and what it still has to know. */
#include "ledger/plan_int.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#define WEIGHT_PLAIN 7u   /* transfer; of each side two counters and the postings */
#define WEIGHT_PENDING 8u /* and its expiry */
#define WEIGHT_WHOLE 12u  /* of each side all four counters: looked at to balance, or moved to close */
/* The transfer (or that it is not there), resolution, expiry; of each side the postings and, of what closed it, all four counters. */
#define WEIGHT_SECOND 13u
_Static_assert(WEIGHT_SECOND <= PLAN_WEIGHT_MAX && WEIGHT_WHOLE <= PLAN_WEIGHT_MAX, "nothing weighs more");

struct plan *plan_new(void)
{
    struct plan *p = mem_zalloc(sizeof(*p));
    arena_init(&p->arena, 64u * 1024u);
    map_init(&p->account_by_id);
    map_init(&p->row_by_id);
    return p;
}

void plan_free(struct plan *p)
{
    if (p == NULL) return;
    arena_free(&p->arena);
    map_free(&p->account_by_id);
    map_free(&p->row_by_id);
    mem_free(p);
}

void plan_begin(struct plan *p, const struct plan_options *o)
{
    map_free(&p->account_by_id);
    map_free(&p->row_by_id);
    struct arena arena = p->arena;
    arena_reset(&arena);
    *p = (struct plan){.o = *o, .arena = arena, .next_timestamp = o->timestamp};
    map_init(&p->account_by_id);
    map_init(&p->row_by_id);
}

void *plan_grow(struct plan *p, void *items, size_t count, size_t *capacity, size_t item_size)
{
    if (count < *capacity) return items;
    size_t larger = *capacity == 0 ? 4 : *capacity * 2;
    void *grown = arena_alloc(&p->arena, larger * item_size);
    if (count > 0) memcpy(grown, items, count * item_size);
    *capacity = larger;
    return grown;
}

unsigned plan_weight(const struct ledger_transfer *t)
{
    if (t->flags & (LEDGER_POST_PENDING | LEDGER_VOID_PENDING | LEDGER_EXPIRE)) return WEIGHT_SECOND;
    const uint16_t whole =
        LEDGER_BALANCING_DEBIT | LEDGER_BALANCING_CREDIT | LEDGER_CLOSING_DEBIT | LEDGER_CLOSING_CREDIT;
    if (t->flags & whole) return WEIGHT_WHOLE;
    return t->flags & LEDGER_PENDING ? WEIGHT_PENDING : WEIGHT_PLAIN;
}

void plan_add(struct plan *p, const struct ledger_transfer *events, struct ledger_outcome *outcomes, size_t count,
              uint64_t attempt)
{
    p->slices = plan_grow(p, p->slices, p->slice_count, &p->slice_capacity, sizeof(*p->slices));
    p->slices[p->slice_count++] =
        (struct plan_events){.events = events, .outcomes = outcomes, .count = count, .attempt = attempt};
    p->interned = false;
}

/* --- accounts and rows by id --- */

static uint64_t hash_of(const struct ledger_id *id)
{
    return hash_bytes(slice_make(id->bytes, sizeof(id->bytes)), 5);
}

struct plan_account *plan_account_find(const struct plan *p, const struct ledger_id *id)
{
    struct plan_account *a = map_get(&p->account_by_id, hash_of(id));
    while (a != NULL && !ledger_id_eq(&a->id, id)) a = a->same_hash;
    return a;
}

static void guess(const struct plan *p, struct plan_account *a)
{
    struct plan_slot *net = &a->slots[SLOT_NET];
    if (p->o.guess == NULL || a->suspect || !account_has_slot(a->account.flags, SLOT_NET)) return;
    net->known = net->guessed = p->o.guess(p->o.ctx, &a->id, &net->value);
}

static void be_suspect(struct plan_account *a)
{
    a->suspect = true;
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        if (a->slots[i].guessed) a->slots[i].known = a->slots[i].guessed = false;
    }
}

struct plan_account *plan_account(struct plan *p, const struct ledger_id *id)
{
    struct plan_account *a = plan_account_find(p, id);
    if (a != NULL) return a;
    uint64_t hash = hash_of(id);
    a = arena_zalloc(&p->arena, sizeof(*a));
    a->id = *id;
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        a->slots[i].low = I128_MIN;
        a->slots[i].high = I128_MAX;
    }
    a->same_hash = map_get(&p->account_by_id, hash);
    (void)map_put(&p->account_by_id, hash, a);
    p->accounts = plan_grow(p, p->accounts, p->account_count, &p->account_capacity, sizeof(struct plan_account *));
    p->accounts[p->account_count++] = a;
    const struct ledger_account *known = p->o.account == NULL ? NULL : p->o.account(p->o.ctx, id);
    if (known != NULL) {
        a->meta = PRESENT;
        a->account = *known;
        guess(p, a);
    }
    return a;
}

struct plan_row *plan_row_find(const struct plan *p, const struct ledger_id *id)
{
    struct plan_row *r = map_get(&p->row_by_id, hash_of(id));
    while (r != NULL && !ledger_id_eq(&r->id, id)) r = r->same_hash;
    return r;
}

struct plan_row *plan_row(struct plan *p, const struct ledger_id *id)
{
    struct plan_row *r = plan_row_find(p, id);
    if (r != NULL) return r;
    uint64_t hash = hash_of(id);
    r = arena_zalloc(&p->arena, sizeof(*r));
    r->id = *id;
    r->same_hash = map_get(&p->row_by_id, hash);
    (void)map_put(&p->row_by_id, hash, r);
    p->rows = plan_grow(p, p->rows, p->row_count, &p->row_capacity, sizeof(struct plan_row *));
    p->rows[p->row_count++] = r;
    return r;
}

void plan_suspect(struct plan *p, const struct ledger_id *account)
{
    be_suspect(plan_account(p, account));
}

/* --- what has to be known --- */

struct wants {
    struct plan *plan;
    struct plan_want *items;
    size_t count, capacity;
};

static void want(struct wants *w, struct plan_want one)
{
    w->items = plan_grow(w->plan, w->items, w->count, &w->capacity, sizeof(*w->items));
    w->items[w->count++] = one;
}

static void want_account(struct wants *w, struct plan_account *a)
{
    struct arena *arena = &w->plan->arena;
    if (a->meta == UNKNOWN) {
        want(w, (struct plan_want){.kind = WANT_ACCOUNT, .key = key_account(arena, &a->id), .id = a->id, .object = a});
        return;
    }
    if (a->meta == ABSENT) return;
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        enum ledger_slot slot = (enum ledger_slot)i;
        bool needed = a->suspect || (w->plan->o.look_at_limits && slot == SLOT_NET);
        if (!needed || a->slots[i].known || !account_has_slot(a->account.flags, slot)) continue;
        want(
            w,
            (struct plan_want){
                .kind = WANT_COUNTER, .key = key_counter(arena, &a->id, slot), .id = a->id, .slot = slot, .object = a});
    }
}

static void want_row(struct wants *w, struct plan_row *r)
{
    struct arena *arena = &w->plan->arena;
    if (r->wanted && r->is == UNKNOWN && !r->made) {
        want(w,
             (struct plan_want){.kind = WANT_TRANSFER, .key = key_transfer(arena, &r->id), .id = r->id, .object = r});
    }
    if (r->resolution_wanted && r->resolved == UNKNOWN) {
        want(w, (struct plan_want){
                    .kind = WANT_RESOLUTION, .key = key_resolution(arena, &r->id), .id = r->id, .object = r});
    }
}

static void intern_event(struct plan *p, const struct ledger_transfer *t)
{
    if (ledger_transfer_judge(t) != LEDGER_CREATED) return;
    if (t->flags != LEDGER_EXPIRE && p->o.look_at_ids) plan_row(p, &t->id)->wanted = true;
    if (t->flags & (LEDGER_POST_PENDING | LEDGER_VOID_PENDING | LEDGER_EXPIRE)) {
        struct plan_row *pending = plan_row(p, &t->pending_id);
        pending->wanted = pending->resolution_wanted = true;
        return;
    }
    struct plan_account *debit = plan_account(p, &t->debit), *credit = plan_account(p, &t->credit);
    if (t->flags & LEDGER_BALANCING_DEBIT) be_suspect(debit);
    if (t->flags & LEDGER_BALANCING_CREDIT) be_suspect(credit);
}

/* The accounts of a pending transfer are known when its row is; of one that this run makes they are there already. */
static void intern_pending_accounts(struct plan *p)
{
    for (size_t i = 0; i < p->row_count; i++) {
        struct plan_row *r = p->rows[i];
        if (!r->resolution_wanted || r->is != PRESENT || r->row.result != LEDGER_CREATED) continue;
        (void)plan_account(p, &r->row.transfer.debit);
        (void)plan_account(p, &r->row.transfer.credit);
    }
}

struct plan_want *plan_wants(struct plan *p, size_t *count)
{
    struct wants w = {.plan = p};
    for (size_t i = 0; i < p->slice_count && !p->interned; i++) {
        for (size_t j = 0; j < p->slices[i].count; j++) intern_event(p, &p->slices[i].events[j]);
    }
    p->interned = true;
    intern_pending_accounts(p);
    for (size_t i = 0; i < p->row_count; i++) want_row(&w, p->rows[i]);
    for (size_t i = 0; i < p->account_count; i++) want_account(&w, p->accounts[i]);
    *count = w.count;
    return w.items;
}

enum status plan_take(struct plan *p, const struct plan_want *w, bool found, struct slice value)
{
    struct plan_account *a = w->object;
    struct plan_row *r = w->object;
    enum status s = STATUS_OK;
    switch (w->kind) {
    case WANT_ACCOUNT:
        a->account.id = a->id;
        if (found) s = row_get_account(value, &a->account);
        a->meta = found ? PRESENT : ABSENT;
        if (found && s == STATUS_OK) guess(p, a);
        break;
    case WANT_COUNTER:
        if (found && !i128_parse(value, &a->slots[w->slot].value)) s = STATUS_CORRUPT;
        a->slots[w->slot].known = true;
        break;
    case WANT_TRANSFER:
        r->row.transfer.id = r->id;
        if (found) s = row_get_transfer(value, &r->row);
        r->is = found ? PRESENT : ABSENT;
        break;
    case WANT_RESOLUTION:
        if (found) s = row_get_resolution(value, &r->resolution);
        r->resolved = found ? PRESENT : ABSENT;
        break;
    }
    return s;
}

/* --- afterwards --- */

bool plan_learned(const struct plan *p, size_t *next, struct ledger_id *account, i128 *net)
{
    while (*next < p->account_count) {
        const struct plan_account *a = p->accounts[(*next)++];
        const struct plan_slot *s = &a->slots[SLOT_NET];
        if (!s->known) continue;
        *account = a->id;
        *net = s->value + s->delta;
        return true;
    }
    return false;
}

struct plan_culprit plan_blame(const struct plan *p, enum status refusal, uint32_t failed_index)
{
    bool compare = refusal == STATUS_CONDITION_FAILED;
    const void **owners = compare ? p->compare_owners : p->op_owners;
    const bool *of_account = compare ? p->compare_of_account : p->op_of_account;
    if (failed_index >= (compare ? p->compare_count : p->op_count)) return (struct plan_culprit){.is_account = false};
    struct plan_culprit c = {.is_account = of_account[failed_index]};
    c.id = c.is_account ? ((const struct plan_account *)owners[failed_index])->id
                        : ((const struct plan_row *)owners[failed_index])->id;
    return c;
}

struct plan_culprit plan_blamed(const struct plan *p)
{
    return p->blamed;
}

bool plan_touches(const struct plan *p, const struct ledger_transfer *t, const struct plan_culprit *c)
{
    if (ledger_id_is_zero(&c->id)) return true; /* nobody knows who: everybody */
    if (!c->is_account) return ledger_id_eq(&t->id, &c->id) || ledger_id_eq(&t->pending_id, &c->id);
    if (ledger_id_eq(&t->debit, &c->id) || ledger_id_eq(&t->credit, &c->id)) return true;
    const struct plan_row *pending = ledger_id_is_zero(&t->pending_id) ? NULL : plan_row_find(p, &t->pending_id);
    if (pending == NULL || (pending->is != PRESENT && !pending->made)) return false;
    return ledger_id_eq(&pending->row.transfer.debit, &c->id) || ledger_id_eq(&pending->row.transfer.credit, &c->id);
}
