/* Guarded adds that do not lock: docs/transactions.md, "Escrow". After O'Neil, "The Escrow Transactional Method" (1986), with a
 * third verdict: what depends on the fate of others is neither true nor false.
 *
 *              H  --- folded + decided + all undecided credits
 *              |
 *              p  --- folded + decided           the counter lies somewhere in [L, H], whatever becomes of the others
 *              |
 *              L  --- folded + decided + all undecided debits */
#include "base/assert.h"
#include "base/mutant.h"
#include "txn/table_int.h"

bool escrow_open(const struct lock_key *k)
{
    return k != NULL && !list_empty(&k->reservations);
}

static struct hold *reservation_of(struct list *it)
{
    return LIST_ENTRY(it, struct hold, link);
}

const struct held *escrow_waits_for(const struct lock_key *k)
{
    LIST_FOR(it, &k->reservations)
    {
        if (reservation_of(it)->txn->state == HELD_PREPARED) return reservation_of(it)->txn;
    }
    return NULL;
}

struct spread { /* where the counter may lie */
    i128 low, high;
    bool overflow;
};

static void spread_add(struct spread *s, i128 to_low, i128 to_high)
{
    if (!i128_add(s->low, to_low, &s->low)) s->overflow = true;
    if (!i128_add(s->high, to_high, &s->high)) s->overflow = true;
}

static struct spread spread_of(const struct lock_key *k, i128 folded)
{
    struct spread s = {.low = folded, .high = folded};
    LIST_FOR(it, &k->reservations)
    {
        const struct hold *h = reservation_of(it);
        if (h->txn->state == HELD_PREPARED && MUTANT(reservations_ignored)) continue;
        bool decided = h->txn->state != HELD_PREPARED;
        spread_add(&s, decided || h->delta < 0 ? h->delta : 0, decided || h->delta > 0 ? h->delta : 0);
    }
    return s;
}

/* Each undecided guard must hold wherever its transaction commits: below the new add or above it. Decided adds count on the
 * side that is worse, for the undecided one may commit below them. */
static bool others_stay_true(const struct lock_key *k, i128 folded, i128 delta)
{
    struct spread all = {.low = folded, .high = folded};
    spread_add(&all, delta < 0 ? delta : 0, delta > 0 ? delta : 0);
    LIST_FOR(it, &k->reservations)
    {
        const struct hold *h = reservation_of(it);
        spread_add(&all, h->delta < 0 ? h->delta : 0, h->delta > 0 ? h->delta : 0);
    }
    if (all.overflow) return false;
    LIST_FOR(it, &k->reservations)
    {
        const struct hold *h = reservation_of(it);
        if (h->txn->state != HELD_PREPARED) continue;
        i128 low = all.low, high = all.high; /* of the counter just behind h's own add */
        if (h->delta > 0 && !i128_add(low, h->delta, &low)) return false;
        if (h->delta < 0 && !i128_add(high, h->delta, &high)) return false;
        if (low < h->min || high > h->max) return false;
    }
    return true;
}

enum verdict escrow_judge(const struct lock_key *k, i128 folded, const struct guarded_add *add)
{
    bool open = escrow_open(k);
    struct spread s = open ? spread_of(k, folded) : (struct spread){.low = folded, .high = folded};
    if (s.overflow) return VERDICT_WAIT;
    i128 low, high;
    bool low_fits = i128_add(s.low, add->delta, &low), high_fits = i128_add(s.high, add->delta, &high);
    if (!low_fits && !high_fits) return VERDICT_FALSE;
    if (low_fits && low > add->max) return VERDICT_FALSE;
    if (high_fits && high < add->min) return VERDICT_FALSE;
    if (!low_fits || !high_fits || low < add->min || high > add->max) {
        ASSERT(open); /* with low = high it is one or the other */
        return VERDICT_WAIT;
    }
    if (open && !MUTANT(reservations_ignored) && !others_stay_true(k, folded, add->delta)) {
        COVER("escrow.other_guards_wait");
        return VERDICT_WAIT;
    }
    return VERDICT_TRUE;
}
