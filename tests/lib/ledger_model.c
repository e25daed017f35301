#include "lib/ledger_model.h"

#include "base/assert.h"
#include "base/mem.h"

void book_init(struct book *b)
{
    static const uint16_t flags[] = {0,
                                     0,
                                     LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS,
                                     LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS,
                                     LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS,
                                     LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS,
                                     0};
    memset(b, 0, sizeof(*b));
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        b->accounts[b->account_count++] = (struct ledger_account){
            .id = ledger_id_of(i % 3, i + 1), .ledger = i == 6 ? 2 : 1, .code = 7, .flags = flags[i]};
    }
}

size_t book_account(const struct book *b, const struct ledger_id *id)
{
    size_t i = 0;
    while (i < b->account_count && !ledger_id_eq(&b->accounts[i].id, id)) i++;
    return i;
}

static struct book_transfer *find(struct book *b, const struct ledger_id *id)
{
    for (size_t i = 0; i < b->transfer_count; i++) {
        if (ledger_id_eq(&b->transfers[i].t.id, id)) return &b->transfers[i];
    }
    return NULL;
}

static i128 least(i128 a, i128 b)
{
    return a < b ? a : b;
}

static i128 free_debits(const struct ledger_balance *b)
{
    i128 v = b->credits_posted - b->debits_posted - b->debits_pending;
    return v > 0 ? v : 0;
}

static i128 free_credits(const struct ledger_balance *b)
{
    i128 v = b->debits_posted - b->credits_posted - b->credits_pending;
    return v > 0 ? v : 0;
}

static struct book_transfer *record(struct book *b, const struct ledger_transfer *t, enum ledger_result r)
{
    ASSERT(b->transfer_count < BOOK_TRANSFERS);
    struct book_transfer *n = &b->transfers[b->transfer_count++];
    *n = (struct book_transfer){.t = *t, .result = r, .made_ms = b->now_ms};
    return n;
}

static enum ledger_result first_phase(struct book *b, const struct ledger_transfer *asked, i128 *amount)
{
    struct ledger_transfer t = *asked;
    size_t di = book_account(b, &t.debit), ci = book_account(b, &t.credit);
    if (di == b->account_count) return LEDGER_DEBIT_NOT_FOUND;
    if (ci == b->account_count) return LEDGER_CREDIT_NOT_FOUND;
    if (b->accounts[di].ledger != b->accounts[ci].ledger) return LEDGER_ACCOUNTS_LEDGERS_DIFFER;
    if (t.ledger != b->accounts[di].ledger) return LEDGER_TRANSFER_LEDGER_DIFFERS;
    struct ledger_balance *d = &b->balances[di], *c = &b->balances[ci];
    i128 a = t.amount == LEDGER_AMOUNT_ALL ? LEDGER_AMOUNT_MAX : t.amount;
    if (t.flags & LEDGER_BALANCING_DEBIT) a = least(a, free_debits(d));
    if (t.flags & LEDGER_BALANCING_CREDIT) a = least(a, free_credits(c));
    if (d->closed) return LEDGER_DEBIT_CLOSED;
    if (c->closed) return LEDGER_CREDIT_CLOSED;
    if ((b->accounts[di].flags & LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS) &&
        d->debits_posted + d->debits_pending + a > d->credits_posted) {
        return LEDGER_EXCEEDS_CREDITS;
    }
    if ((b->accounts[ci].flags & LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS) &&
        c->credits_posted + c->credits_pending + a > c->debits_posted) {
        return LEDGER_EXCEEDS_DEBITS;
    }
    if (t.flags & LEDGER_PENDING) {
        d->debits_pending += a;
        c->credits_pending += a;
    } else {
        d->debits_posted += a;
        c->credits_posted += a;
    }
    if (t.flags & LEDGER_CLOSING_DEBIT) d->closed = true;
    if (t.flags & LEDGER_CLOSING_CREDIT) c->closed = true;
    *amount = t.amount = a;
    (void)record(b, &t, LEDGER_CREATED);
    return LEDGER_CREATED;
}

static void give_back(struct book *b, const struct book_transfer *p, bool reopens)
{
    struct ledger_balance *d = &b->balances[book_account(b, &p->t.debit)];
    struct ledger_balance *c = &b->balances[book_account(b, &p->t.credit)];
    d->debits_pending -= p->t.amount;
    c->credits_pending -= p->t.amount;
    if (reopens && (p->t.flags & LEDGER_CLOSING_DEBIT)) d->closed = false;
    if (reopens && (p->t.flags & LEDGER_CLOSING_CREDIT)) c->closed = false;
}

bool book_expires(const struct book *b, const struct book_transfer *p)
{
    return p->t.timeout_s != 0 && p->state == BOOK_OPEN && (p->t.flags & LEDGER_PENDING) &&
           p->result == LEDGER_CREATED && p->made_ms + (uint64_t)p->t.timeout_s * 1000 <= b->now_ms;
}

static bool other(const struct ledger_id *asked, const struct ledger_id *there)
{
    return !ledger_id_is_zero(asked) && !ledger_id_eq(asked, there);
}

static enum ledger_result second_phase(struct book *b, const struct ledger_transfer *asked, i128 *amount)
{
    struct ledger_transfer t = *asked;
    struct book_transfer *p = find(b, &t.pending_id);
    bool posts = (t.flags & LEDGER_POST_PENDING) != 0;
    if (p == NULL || p->result != LEDGER_CREATED) return LEDGER_PENDING_NOT_FOUND;
    if (!(p->t.flags & LEDGER_PENDING)) return LEDGER_PENDING_NOT_PENDING;
    if (other(&t.debit, &p->t.debit)) return LEDGER_PENDING_OTHER_DEBIT;
    if (other(&t.credit, &p->t.credit)) return LEDGER_PENDING_OTHER_CREDIT;
    if (t.ledger != 0 && t.ledger != p->t.ledger) return LEDGER_PENDING_OTHER_LEDGER;
    if (t.code != 0 && t.code != p->t.code) return LEDGER_PENDING_OTHER_CODE;
    i128 a = t.amount == LEDGER_AMOUNT_ALL || (!posts && t.amount == 0) ? p->t.amount : t.amount;
    if (a > p->t.amount) return LEDGER_EXCEEDS_PENDING_AMOUNT;
    if (!posts && a < p->t.amount) return LEDGER_PENDING_OTHER_AMOUNT;
    if (p->state == BOOK_POSTED) return LEDGER_PENDING_ALREADY_POSTED;
    if (p->state == BOOK_VOIDED) return LEDGER_PENDING_ALREADY_VOIDED;
    if (p->state == BOOK_EXPIRED) return LEDGER_PENDING_EXPIRED;
    if (book_expires(b, p)) {
        give_back(b, p, true);
        p->state = BOOK_EXPIRED;
        return LEDGER_PENDING_EXPIRED;
    }
    struct ledger_balance *d = &b->balances[book_account(b, &p->t.debit)];
    struct ledger_balance *c = &b->balances[book_account(b, &p->t.credit)];
    if (posts && d->closed) return LEDGER_DEBIT_CLOSED;
    if (posts && c->closed) return LEDGER_CREDIT_CLOSED;
    give_back(b, p, !posts);
    p->state = posts ? BOOK_POSTED : BOOK_VOIDED;
    if (posts) {
        d->debits_posted += a;
        c->credits_posted += a;
    }
    t.debit = p->t.debit;
    t.credit = p->t.credit;
    t.ledger = p->t.ledger;
    t.code = p->t.code;
    t.pending_amount = p->t.amount;
    *amount = t.amount = a;
    (void)record(b, &t, LEDGER_CREATED);
    return LEDGER_CREATED;
}

static enum ledger_result expiry(struct book *b, const struct ledger_transfer *t)
{
    struct book_transfer *p = find(b, &t->pending_id);
    if (p == NULL || p->result != LEDGER_CREATED) return LEDGER_PENDING_NOT_FOUND;
    if (p->state == BOOK_POSTED) return LEDGER_PENDING_ALREADY_POSTED;
    if (p->state == BOOK_VOIDED) return LEDGER_PENDING_ALREADY_VOIDED;
    if (p->state == BOOK_EXPIRED) return LEDGER_PENDING_EXPIRED;
    if (!book_expires(b, p)) return LEDGER_PENDING_NOT_PENDING;
    give_back(b, p, true);
    p->state = BOOK_EXPIRED;
    return LEDGER_CREATED;
}

static enum ledger_result one(struct book *b, const struct ledger_transfer *t, struct ledger_outcome *out)
{
    enum ledger_result r = ledger_transfer_judge(t);
    if (r != LEDGER_CREATED) return r;
    if (t->flags == LEDGER_EXPIRE) return expiry(b, t);
    const struct book_transfer *there = find(b, &t->id);
    if (there != NULL && there->result != LEDGER_CREATED) {
        out->first = there->result;
        return LEDGER_ID_ALREADY_FAILED;
    }
    if (there != NULL) {
        out->amount = there->t.amount;
        return ledger_transfer_compare(t, &there->t);
    }
    return t->flags & (LEDGER_POST_PENDING | LEDGER_VOID_PENDING) ? second_phase(b, t, &out->amount)
                                                                  : first_phase(b, t, &out->amount);
}

/* The whole chain is there, the same: each of it exists. */
static bool all_there(struct book *b, const struct ledger_transfer *t, size_t count, struct ledger_outcome *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct book_transfer *there = t[i].flags == LEDGER_EXPIRE ? NULL : find(b, &t[i].id);
        if (there == NULL || there->result != LEDGER_CREATED) return false;
        if (ledger_transfer_compare(&t[i], &there->t) != LEDGER_EXISTS) return false;
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct ledger_outcome){.result = LEDGER_EXISTS, .amount = find(b, &t[i].id)->t.amount};
    }
    return true;
}

void book_apply(struct book *b, const struct ledger_transfer *t, size_t count, struct ledger_outcome *out)
{
    struct book *before = mem_alloc(sizeof(*before));
    for (size_t from = 0; from < count;) {
        size_t to = from + 1, failed = SIZE_MAX;
        while (to < count && t[to - 1].flags != LEDGER_EXPIRE && (t[to - 1].flags & LEDGER_LINKED)) to++;
        bool open = t[to - 1].flags != LEDGER_EXPIRE && (t[to - 1].flags & LEDGER_LINKED);
        if (to - from > 1) *before = *b;
        for (size_t i = from; i < to && failed == SIZE_MAX && !open; i++) {
            out[i] = (struct ledger_outcome){.result = LEDGER_CREATED};
            out[i].result = one(b, &t[i], &out[i]);
            if (out[i].result != LEDGER_CREATED) failed = i;
        }
        if (open) {
            failed = to - 1;
            out[failed] = (struct ledger_outcome){.result = LEDGER_LINKED_EVENT_CHAIN_OPEN};
        }
        if (failed == from && !open && out[failed].result == LEDGER_EXISTS &&
            all_there(b, &t[from], to - from, &out[from])) {
            from = to;
            continue;
        }
        if (failed != SIZE_MAX && to - from > 1) {
            *b = *before;
            for (size_t i = from; i < to; i++) {
                if (i != failed) out[i] = (struct ledger_outcome){.result = LEDGER_LINKED_EVENT_FAILED};
            }
        }
        struct book_transfer *late = failed == SIZE_MAX ? NULL : find(b, &t[failed].pending_id);
        if (late != NULL && out[failed].result == LEDGER_PENDING_EXPIRED && book_expires(b, late)) {
            give_back(b, late, true);
            late->state = BOOK_EXPIRED;
        }
        bool has_id = failed != SIZE_MAX && t[failed].flags != LEDGER_EXPIRE;
        if (has_id && ledger_result_is_kept(out[failed].result) && find(b, &t[failed].id) == NULL) {
            (void)record(b, &t[failed], out[failed].result);
        }
        from = to;
    }
    mem_free(before);
}

/* --- random transfers --- */

static struct ledger_id some_account(struct prng *p)
{
    uint64_t i =
        prng_below(p, prng_chance(p, 1, 12) ? 9 : 6); /* the other ledger's, and one that is not there, are rare */
    return ledger_id_of(i % 3, i + 1);
}

void book_random(struct prng *p, struct ledger_transfer *t, size_t count, unsigned ids)
{
    static const uint16_t kinds[] = {LEDGER_BALANCING_DEBIT, LEDGER_BALANCING_CREDIT,
                                     LEDGER_PENDING | LEDGER_CLOSING_DEBIT, LEDGER_PENDING | LEDGER_CLOSING_CREDIT,
                                     LEDGER_PENDING | LEDGER_BALANCING_DEBIT};
    for (size_t i = 0; i < count; i++) {
        struct ledger_transfer *n = &t[i];
        *n = (struct ledger_transfer){.id = ledger_id_of(0, 1 + prng_below(p, ids)), .ledger = 1, .code = 3};
        n->amount = (i128)prng_below(p, prng_chance(p, 1, 4) ? 400 : 60);
        unsigned kind = (unsigned)prng_below(p, 20);
        if (kind < 5) {
            n->flags = kind % 2 == 0 ? LEDGER_POST_PENDING : LEDGER_VOID_PENDING;
            n->pending_id = ledger_id_of(0, 1 + prng_below(p, ids));
            if (prng_chance(p, 2, 3)) n->amount = LEDGER_AMOUNT_ALL;
            n->ledger = n->code = 0;
        } else {
            n->debit = some_account(p);
            n->credit = some_account(p);
            if (kind < 10) n->flags = LEDGER_PENDING;
            if (kind == 10) n->flags = kinds[prng_below(p, sizeof(kinds) / sizeof(kinds[0]))];
            if ((n->flags & LEDGER_PENDING) && prng_chance(p, 1, 2)) n->timeout_s = (uint32_t)prng_between(p, 1, 3);
            if (kind == 10 && prng_chance(p, 1, 2) && (n->flags & (LEDGER_BALANCING_DEBIT | LEDGER_BALANCING_CREDIT))) {
                n->amount = LEDGER_AMOUNT_ALL;
            }
        }
        if (prng_chance(p, 1, 6)) n->flags |= LEDGER_LINKED;
        if (prng_chance(p, 1, 15)) *n = (struct ledger_transfer){.flags = LEDGER_EXPIRE, .pending_id = n->id};
    }
}
