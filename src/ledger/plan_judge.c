/* The rules, one transfer after the other. A judgement that rests on a counter narrows the interval in which that counter must have
 * been before the run; one that rests on the absence of a row makes that absence count. Narrowing stays when a chain is taken back:
 * its refusal rests on it.
 *
 *   judged by itself -> id taken? -> first phase:  accounts, amount, closed, overflow, limits -> counters, postings, row
 *                                 -> second phase: pending transfer, its resolution, time     -> the same, and the resolution
 *                                 -> expiry:       likewise, without a row of its own */
#include "base/assert.h"
#include "base/mutant.h"
#include "ledger/plan_int.h"

/* --- taking back --- */

static void save(struct plan *p, void *at, size_t size)
{
    if (!p->in_chain) return;
    p->saved = plan_grow(p, p->saved, p->saved_count, &p->saved_capacity, sizeof(*p->saved));
    p->saved[p->saved_count++] = (struct saved){.at = at, .size = size, .bytes = arena_dup(&p->arena, at, size)};
}

static void take_back(struct plan *p)
{
    while (p->saved_count > 0) {
        const struct saved *s = &p->saved[--p->saved_count];
        memcpy(s->at, s->bytes, s->size);
    }
}

/* --- counters --- */

static i128 low_of(i128 a, i128 b)
{
    return a < b ? a : b;
}

static i128 high_of(i128 a, i128 b)
{
    return a > b ? a : b;
}

/* What a counter can be before the run; at most it is LEDGER_BALANCE_MAX, or that of a closed account. Where the run itself has closed
 * the account no such value would do: that is known without knowing the counter, and to go on as if one did would close it twice. */
static i128 slot_least(unsigned slot)
{
    return slot == SLOT_NET ? -LEDGER_BALANCE_MAX - LEDGER_CLOSED_DISTANCE : 0;
}

/* Is the counter, with `more` added, at least min? */
static bool slot_reaches(struct plan_slot *s, i128 more, i128 min)
{
    i128 needed = min - s->delta - more;
    if (needed > LEDGER_BALANCE_MAX) return false;
    if (s->known && s->value < needed) {
        s->high = low_of(s->high, needed - 1);
        return false;
    }
    s->low = high_of(s->low, needed);
    return true;
}

static bool slot_stays_within(struct plan_slot *s, i128 more, i128 max, i128 least)
{
    i128 allowed = max - s->delta - more;
    if (allowed < least) return false;
    if (s->known && s->value > allowed) {
        s->low = high_of(s->low, allowed + 1);
        return false;
    }
    s->high = low_of(s->high, allowed);
    return true;
}

struct side { /* of a transfer */
    struct plan_account *account;
    struct changes changes;
    i128 slots[SLOT_COUNT];
    bool meets[SLOT_COUNT]; /* also when the amount is zero */
};

static void side_set(struct side *s, struct plan_account *a, const struct changes *c, const struct changes *kind)
{
    i128 unit[SLOT_COUNT];
    s->account = a;
    s->changes = *c;
    account_spread(a->account.flags, c, s->slots);
    account_spread(a->account.flags, kind, unit);
    for (unsigned i = 0; i < SLOT_COUNT; i++) s->meets[i] = unit[i] != 0;
}

static bool side_closed(struct side *s)
{
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        struct plan_slot *slot = &s->account->slots[i];
        if (!s->meets[i]) continue;
        bool open = i == SLOT_NET ? slot_reaches(slot, 0, -LEDGER_BALANCE_MAX)
                                  : slot_stays_within(slot, 0, LEDGER_BALANCE_MAX, slot_least(i));
        if (!open) return true;
    }
    return false;
}

static bool side_overflows(struct side *s)
{
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        if (s->slots[i] > 0 &&
            !slot_stays_within(&s->account->slots[i], s->slots[i], LEDGER_BALANCE_MAX, slot_least(i)))
            return true;
    }
    return false;
}

/* A counter of what limits the account stays at 0 or above; for what raises it this says that the account is open. */
static bool side_within_limit(struct side *s)
{
    if (!s->meets[SLOT_NET] || MUTANT(ledger_limit_ignored)) return true;
    return slot_reaches(&s->account->slots[SLOT_NET], s->slots[SLOT_NET], 0);
}

static void side_apply(struct plan *p, struct side *s, const struct ledger_id *transfer, uint64_t timestamp)
{
    struct plan_account *a = s->account;
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        if (s->slots[i] == 0) continue;
        save(p, &a->slots[i].delta, sizeof(a->slots[i].delta));
        a->slots[i].delta += s->slots[i];
    }
    save(p, &a->posting_count, sizeof(a->posting_count));
    a->postings = plan_grow(p, a->postings, a->posting_count, &a->posting_capacity, sizeof(*a->postings));
    a->postings[a->posting_count++] = (struct posting){.transfer = *transfer,
                                                       .timestamp = timestamp,
                                                       .debits = s->changes.debits,
                                                       .credits = s->changes.credits,
                                                       .debits_pending = s->changes.debits_pending,
                                                       .credits_pending = s->changes.credits_pending};
}

static void side_close(struct plan *p, struct side *s, int direction)
{
    i128 closing[SLOT_COUNT];
    account_closing(s->account->account.flags, closing);
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        if (closing[i] == 0) continue;
        save(p, &s->account->slots[i].delta, sizeof(s->account->slots[i].delta));
        s->account->slots[i].delta += direction * closing[i];
    }
}

/* --- rows --- */

static void make_row(struct plan *p, struct plan_row *r, const struct ledger_transfer *t, enum ledger_result result,
                     uint64_t attempt)
{
    save(p, r, sizeof(*r));
    r->made = true;
    r->is = PRESENT;
    r->row = (struct transfer_row){.transfer = *t, .result = result, .attempt = attempt};
    r->resolved = r->resolved == UNKNOWN ? ABSENT : r->resolved;
    r->expiry_made = result == LEDGER_CREATED && t->timeout_s != 0;
}

static void resolve(struct plan *p, struct plan_row *r, const struct resolution *by)
{
    save(p, r, sizeof(*r));
    r->resolved = PRESENT;
    r->resolution = *by;
    r->resolution_made = true;
    if (r->expiry_made) {
        r->expiry_made = false; /* both in one run */
    } else {
        r->expiry_dropped = r->row.transfer.timeout_s != 0;
    }
}

/* --- one transfer --- */

struct judging {
    struct plan *p;
    const struct plan_events *slice;
    const struct ledger_transfer *t;
    struct ledger_outcome *out;
};

/* Of this transfer in its place: the same id elsewhere in the batch is another transfer. */
static uint64_t attempt_of(const struct judging *j)
{
    return j->slice->attempt + (uint64_t)(j->t - j->slice->events);
}

static uint64_t expires_ms(const struct ledger_transfer *pending)
{
    return (pending->timestamp >> TS_COUNTER_BITS) + (uint64_t)pending->timeout_s * 1000;
}

static enum ledger_result created(struct judging *j, const struct ledger_transfer *stored)
{
    j->out->timestamp = stored->timestamp;
    j->out->amount = stored->amount;
    return LEDGER_CREATED;
}

/* The id is taken: by this very request when it was tried before, or by another. */
static enum ledger_result taken(struct judging *j, const struct plan_row *r)
{
    const struct ledger_transfer *there = &r->row.transfer;
    bool own = !r->made && r->row.attempt == attempt_of(j);
    if (r->row.result != LEDGER_CREATED) {
        j->out->first = r->row.result;
        return own ? r->row.result : LEDGER_ID_ALREADY_FAILED;
    }
    enum ledger_result same = ledger_transfer_compare(j->t, there);
    j->out->timestamp = there->timestamp;
    j->out->amount = there->amount;
    return own && same == LEDGER_EXISTS ? LEDGER_CREATED : same;
}

/* What a balancing transfer may move at most; all counters of the account are known, and must be what they are. */
static i128 available(struct plan_account *a, bool debit)
{
    i128 now[SLOT_COUNT] = {0};
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        struct plan_slot *s = &a->slots[i];
        if (!account_has_slot(a->account.flags, (enum ledger_slot)i)) continue;
        now[i] = s->value + s->delta;
        s->low = high_of(s->low, s->value);
        s->high = low_of(s->high, s->value);
    }
    struct ledger_balance b = account_balance(a->account.flags, now);
    i128 left = debit ? b.credits_posted - b.debits_posted - b.debits_pending
                      : b.debits_posted - b.credits_posted - b.credits_pending;
    return left > 0 ? left : 0;
}

static i128 first_amount(const struct ledger_transfer *t, struct plan_account *debit, struct plan_account *credit)
{
    i128 amount = t->amount == LEDGER_AMOUNT_ALL ? LEDGER_AMOUNT_MAX : t->amount;
    if (t->flags & LEDGER_BALANCING_DEBIT) amount = low_of(amount, available(debit, true));
    if (t->flags & LEDGER_BALANCING_CREDIT) amount = low_of(amount, available(credit, false));
    return amount;
}

static enum ledger_result judge_sides(struct side *debit, struct side *credit)
{
    if (side_closed(debit)) return LEDGER_DEBIT_CLOSED;
    if (side_closed(credit)) return LEDGER_CREDIT_CLOSED;
    if (side_overflows(debit)) return LEDGER_OVERFLOWS_DEBITS;
    if (side_overflows(credit)) return LEDGER_OVERFLOWS_CREDITS;
    if (!side_within_limit(debit)) return LEDGER_EXCEEDS_CREDITS;
    return side_within_limit(credit) ? LEDGER_CREATED : LEDGER_EXCEEDS_DEBITS;
}

static enum ledger_result find_accounts(const struct ledger_transfer *t, struct plan_account *debit,
                                        struct plan_account *credit)
{
    if (debit->meta != PRESENT) {
        debit->absent_counts = true;
        return LEDGER_DEBIT_NOT_FOUND;
    }
    if (credit->meta != PRESENT) {
        credit->absent_counts = true;
        return LEDGER_CREDIT_NOT_FOUND;
    }
    if (debit->account.ledger != credit->account.ledger) return LEDGER_ACCOUNTS_LEDGERS_DIFFER;
    return t->ledger != debit->account.ledger ? LEDGER_TRANSFER_LEDGER_DIFFERS : LEDGER_CREATED;
}

static enum ledger_result judge_first(struct judging *j)
{
    struct plan *p = j->p;
    struct ledger_transfer t = *j->t;
    struct plan_account *debit = plan_account(p, &t.debit), *credit = plan_account(p, &t.credit);
    enum ledger_result r = find_accounts(&t, debit, credit);
    if (r != LEDGER_CREATED) return r;
    if (expires_ms(&t) < t.timeout_s) return LEDGER_OVERFLOWS_TIMEOUT;
    bool pending = (t.flags & LEDGER_PENDING) != 0;
    t.amount = first_amount(&t, debit, credit);
    ASSERT(t.amount >= 0 && t.amount <= LEDGER_AMOUNT_MAX);
    struct changes d = {.debits = pending ? 0 : t.amount, .debits_pending = pending ? t.amount : 0};
    struct changes c = {.credits = pending ? 0 : t.amount, .credits_pending = pending ? t.amount : 0};
    struct changes d_kind = {.debits = !pending, .debits_pending = pending};
    struct changes c_kind = {.credits = !pending, .credits_pending = pending};
    struct side sides[2];
    side_set(&sides[0], debit, &d, &d_kind);
    side_set(&sides[1], credit, &c, &c_kind);
    r = judge_sides(&sides[0], &sides[1]);
    if (r != LEDGER_CREATED) return r;
    t.timestamp = p->next_timestamp++;
    side_apply(p, &sides[0], &t.id, t.timestamp);
    side_apply(p, &sides[1], &t.id, t.timestamp);
    if (t.flags & LEDGER_CLOSING_DEBIT) side_close(p, &sides[0], 1);
    if (t.flags & LEDGER_CLOSING_CREDIT) side_close(p, &sides[1], 1);
    make_row(p, plan_row(p, &t.id), &t, LEDGER_CREATED, attempt_of(j));
    return created(j, &t);
}

/* What ends a pending transfer: it gives back all that was reserved, and moves `posted` of it. */
static void second_sides(struct plan *p, const struct ledger_transfer *pending, i128 posted, struct side sides[2])
{
    struct changes d = {.debits = posted, .debits_pending = -pending->amount};
    struct changes c = {.credits = posted, .credits_pending = -pending->amount};
    struct changes d_kind = {.debits = 1}, c_kind = {.credits = 1};
    side_set(&sides[0], plan_account(p, &pending->debit), &d, &d_kind);
    side_set(&sides[1], plan_account(p, &pending->credit), &c, &c_kind);
}

static void finish_pending(struct plan *p, struct plan_row *pending, struct side sides[2], const struct ledger_id *by,
                           const struct resolution *how)
{
    const struct ledger_transfer *t = &pending->row.transfer;
    side_apply(p, &sides[0], by, how->timestamp);
    side_apply(p, &sides[1], by, how->timestamp);
    if (how->kind != RESOLUTION_POSTED) {
        if (t->flags & LEDGER_CLOSING_DEBIT) side_close(p, &sides[0], -1);
        if (t->flags & LEDGER_CLOSING_CREDIT) side_close(p, &sides[1], -1);
    }
    resolve(p, pending, how);
}

static void expire(struct plan *p, struct plan_row *pending)
{
    struct side sides[2];
    struct resolution how = {.kind = RESOLUTION_EXPIRED, .timestamp = p->next_timestamp++};
    second_sides(p, &pending->row.transfer, 0, sides);
    finish_pending(p, pending, sides, &pending->id, &how);
}

static bool has_expired(const struct plan *p, const struct ledger_transfer *pending)
{
    return pending->timeout_s != 0 && expires_ms(pending) <= p->o.now_ms;
}

static bool differs(const struct ledger_id *asked, const struct ledger_id *there)
{
    return !ledger_id_is_zero(asked) && !ledger_id_eq(asked, there);
}

/* The pending transfer as the second phase names it. */
static enum ledger_result match_pending(const struct ledger_transfer *t, const struct plan_row *r)
{
    const struct ledger_transfer *pending = &r->row.transfer;
    if (!(pending->flags & LEDGER_PENDING)) return LEDGER_PENDING_NOT_PENDING;
    if (differs(&t->debit, &pending->debit)) return LEDGER_PENDING_OTHER_DEBIT;
    if (differs(&t->credit, &pending->credit)) return LEDGER_PENDING_OTHER_CREDIT;
    if (t->ledger != 0 && t->ledger != pending->ledger) return LEDGER_PENDING_OTHER_LEDGER;
    if (t->code != 0 && t->code != pending->code) return LEDGER_PENDING_OTHER_CODE;
    return LEDGER_CREATED;
}

static enum ledger_result second_amount(const struct ledger_transfer *t, i128 pending, i128 *amount)
{
    bool voids = (t->flags & LEDGER_VOID_PENDING) != 0;
    *amount = t->amount == LEDGER_AMOUNT_ALL || (voids && t->amount == 0) ? pending : t->amount;
    if (*amount > pending) return LEDGER_EXCEEDS_PENDING_AMOUNT;
    return voids && *amount < pending ? LEDGER_PENDING_OTHER_AMOUNT : LEDGER_CREATED;
}

static enum ledger_result resolved_as(const struct plan_row *r)
{
    switch (r->resolution.kind) {
    case RESOLUTION_POSTED: return LEDGER_PENDING_ALREADY_POSTED;
    case RESOLUTION_VOIDED: return LEDGER_PENDING_ALREADY_VOIDED;
    case RESOLUTION_EXPIRED: return LEDGER_PENDING_EXPIRED;
    }
    BUG("resolution");
}

/* What is left out is the pending transfer's. */
static void inherit(struct ledger_transfer *t, const struct ledger_transfer *pending, i128 amount)
{
    t->debit = pending->debit;
    t->credit = pending->credit;
    t->ledger = pending->ledger;
    t->code = pending->code;
    t->amount = amount;
    t->pending_amount = pending->amount;
    if (ledger_id_is_zero(&t->user_data_128)) t->user_data_128 = pending->user_data_128;
    if (t->user_data_64 == 0) t->user_data_64 = pending->user_data_64;
    if (t->user_data_32 == 0) t->user_data_32 = pending->user_data_32;
}

/* The transfer that is to be resolved; NULL: there is none, and the absence counts. */
static struct plan_row *find_pending(struct judging *j)
{
    struct plan_row *pending = plan_row(j->p, &j->t->pending_id);
    if (pending->is == PRESENT) return pending->row.result == LEDGER_CREATED ? pending : NULL;
    pending->absent_counts = true;
    return NULL;
}

static enum ledger_result judge_second(struct judging *j)
{
    struct plan *p = j->p;
    struct ledger_transfer t = *j->t;
    struct plan_row *pending = find_pending(j);
    bool posts = (t.flags & LEDGER_POST_PENDING) != 0;
    i128 amount = 0;
    if (pending == NULL) return LEDGER_PENDING_NOT_FOUND;
    enum ledger_result r = match_pending(&t, pending);
    if (r == LEDGER_CREATED) r = second_amount(&t, pending->row.transfer.amount, &amount);
    if (r != LEDGER_CREATED) return r;
    if (pending->resolved == PRESENT && !MUTANT(ledger_posts_twice)) return resolved_as(pending);
    if (has_expired(p, &pending->row.transfer)) {
        COVER("ledger.found_expired");
        expire(p, pending);
        return LEDGER_PENDING_EXPIRED;
    }
    struct side sides[2];
    second_sides(p, &pending->row.transfer, posts ? amount : 0, sides);
    if (posts && side_closed(&sides[0])) return LEDGER_DEBIT_CLOSED;
    if (posts && side_closed(&sides[1])) return LEDGER_CREDIT_CLOSED;
    if (posts && side_overflows(&sides[0])) return LEDGER_OVERFLOWS_DEBITS;
    if (posts && side_overflows(&sides[1])) return LEDGER_OVERFLOWS_CREDITS;
    inherit(&t, &pending->row.transfer, amount);
    t.timestamp = p->next_timestamp++;
    struct resolution how = {
        .kind = posts ? RESOLUTION_POSTED : RESOLUTION_VOIDED, .by = t.id, .timestamp = t.timestamp};
    finish_pending(p, pending, sides, &t.id, &how);
    make_row(p, plan_row(p, &t.id), &t, LEDGER_CREATED, attempt_of(j));
    return created(j, &t);
}

static enum ledger_result judge_expiry(struct judging *j)
{
    struct plan_row *pending = find_pending(j);
    if (pending == NULL) return LEDGER_PENDING_NOT_FOUND;
    if (pending->resolved == PRESENT) return resolved_as(pending);
    if (!has_expired(j->p, &pending->row.transfer)) return LEDGER_PENDING_NOT_PENDING;
    expire(j->p, pending);
    return LEDGER_CREATED;
}

static enum ledger_result judge_one(struct judging *j)
{
    enum ledger_result r = ledger_transfer_judge(j->t);
    if (r != LEDGER_CREATED) return r;
    if (j->t->flags == LEDGER_EXPIRE) return judge_expiry(j);
    const struct plan_row *row = plan_row_find(j->p, &j->t->id);
    if (row != NULL && row->is == PRESENT) return taken(j, row);
    return j->t->flags & (LEDGER_POST_PENDING | LEDGER_VOID_PENDING) ? judge_second(j) : judge_first(j);
}

/* The id of a refusal that another moment might not have given is used up: a retry must not act. */
static void keep_refusal(struct judging *j)
{
    struct ledger_transfer t = *j->t;
    const struct plan_row *row = plan_row_find(j->p, &t.id);
    if (t.flags == LEDGER_EXPIRE) return; /* it has no id */
    if (!ledger_result_is_kept(j->out->result) || MUTANT(ledger_refusal_forgotten)) return;
    if (row != NULL && row->is == PRESENT) return;
    if (t.amount == LEDGER_AMOUNT_ALL) t.amount = 0;
    t.timestamp = j->out->timestamp = j->p->next_timestamp++;
    make_row(j->p, plan_row(j->p, &t.id), &t, j->out->result, attempt_of(j));
}

/* --- chains --- */

/* The chain was taken back, and what it was refused for must be so: that the transfer has expired, and by nobody else was resolved. */
static void expire_for(struct plan *p, const struct ledger_id *pending_id)
{
    struct plan_row *pending = plan_row(p, pending_id);
    if (pending->resolved == PRESENT) return;
    COVER("ledger.chain_found_expired");
    expire(p, pending);
}

/* Judged as a new id, and nothing of it remains that would be inserted: then it must be new. */
static void need_absence(struct plan *p, const struct ledger_transfer *t)
{
    if (t->flags == LEDGER_EXPIRE || ledger_transfer_judge(t) != LEDGER_CREATED) return;
    struct plan_row *r = plan_row(p, &t->id);
    if (r->is != PRESENT) r->absent_counts = true;
}

/* The chain is there already, whole and the same: each of it exists, as a single transfer would. That it is not rests on the first that
 * is not there. */
static bool chain_exists(struct plan *p, const struct plan_events *slice, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct ledger_transfer *t = &slice->events[i];
        const struct plan_row *r = plan_row_find(p, &t->id);
        bool there = t->flags != LEDGER_EXPIRE && r != NULL && r->is == PRESENT;
        if (!there) need_absence(p, t);
        if (!there || r->row.result != LEDGER_CREATED) return false;
        if (ledger_transfer_compare(t, &r->row.transfer) != LEDGER_EXISTS) return false;
    }
    COVER("ledger.chain_exists");
    for (size_t i = from; i < to; i++) {
        const struct ledger_transfer *there = &plan_row_find(p, &slice->events[i].id)->row.transfer;
        slice->outcomes[i] =
            (struct ledger_outcome){.result = LEDGER_EXISTS, .timestamp = there->timestamp, .amount = there->amount};
    }
    return true;
}

static void judge_chain(struct plan *p, const struct plan_events *slice, size_t from, size_t to)
{
    bool open = (slice->events[to - 1].flags & LEDGER_LINKED) != 0 && slice->events[to - 1].flags != LEDGER_EXPIRE;
    size_t failed = open ? to - 1 : to;
    struct judging j = {.p = p, .slice = slice};
    p->in_chain = to - from > 1;
    for (size_t i = from; i < to; i++) slice->outcomes[i] = (struct ledger_outcome){.result = LEDGER_CREATED};
    if (open) slice->outcomes[failed].result = LEDGER_LINKED_EVENT_CHAIN_OPEN;
    for (size_t i = from; i < to && !open; i++) {
        j.t = &slice->events[i];
        j.out = &slice->outcomes[i];
        j.out->result = judge_one(&j);
        if (j.out->result == LEDGER_CREATED) continue;
        failed = i;
        break;
    }
    bool chained = p->in_chain && failed < to && !MUTANT(ledger_chain_half_done);
    if (chained) take_back(p);
    p->saved_count = 0;
    p->in_chain = false;
    if (failed == to) return;
    if (failed == from && slice->outcomes[from].result == LEDGER_EXISTS && chain_exists(p, slice, from, to)) return;
    for (size_t i = from; i < to; i++) {
        if (i != failed) slice->outcomes[i] = (struct ledger_outcome){.result = LEDGER_LINKED_EVENT_FAILED};
    }
    j.t = &slice->events[failed];
    j.out = &slice->outcomes[failed];
    if (chained && j.out->result == LEDGER_PENDING_EXPIRED) expire_for(p, &j.t->pending_id);
    keep_refusal(&j);
    for (size_t i = from; i <= failed && !open; i++) need_absence(p, &slice->events[i]);
}

void plan_judge(struct plan *p)
{
    for (size_t i = 0; i < p->slice_count; i++) {
        const struct plan_events *s = &p->slices[i];
        for (size_t from = 0; from < s->count;) {
            size_t to = from + 1;
            while (to < s->count && s->events[to - 1].flags != LEDGER_EXPIRE &&
                   (s->events[to - 1].flags & LEDGER_LINKED)) {
                to++;
            }
            judge_chain(p, s, from, to);
            from = to;
        }
    }
}
