#include "ledger/balance.h"

#define LIMITS (LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS | LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS)

bool account_has_slot(uint16_t flags, enum ledger_slot slot)
{
    switch (slot) {
    case SLOT_NET: return (flags & LIMITS) != 0;
    case SLOT_DEBITS: return (flags & LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS) == 0;
    case SLOT_CREDITS: return (flags & LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS) == 0;
    case SLOT_DEBITS_PENDING:
    case SLOT_CREDITS_PENDING: return true;
    case SLOT_COUNT: break;
    }
    return false;
}

static void keep_own(uint16_t flags, i128 slots[SLOT_COUNT])
{
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        if (!account_has_slot(flags, (enum ledger_slot)i)) slots[i] = 0;
    }
}

void account_spread(uint16_t flags, const struct changes *c, i128 slots[SLOT_COUNT])
{
    bool debits_limited = (flags & LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS) != 0;
    slots[SLOT_NET] =
        debits_limited ? c->credits - c->debits - c->debits_pending : c->debits - c->credits - c->credits_pending;
    slots[SLOT_DEBITS] = c->debits;
    slots[SLOT_CREDITS] = c->credits;
    slots[SLOT_DEBITS_PENDING] = c->debits_pending;
    slots[SLOT_CREDITS_PENDING] = c->credits_pending;
    keep_own(flags, slots);
}

/* Each kind of change of a limited account meets net or the pending counter of the other side: these two suffice. */
void account_closing(uint16_t flags, i128 slots[SLOT_COUNT])
{
    for (unsigned i = 0; i < SLOT_COUNT; i++) slots[i] = LEDGER_CLOSED_DISTANCE;
    slots[SLOT_NET] = -LEDGER_CLOSED_DISTANCE;
    if (flags & LIMITS) slots[SLOT_DEBITS] = slots[SLOT_CREDITS] = 0;
    if (flags & LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS) slots[SLOT_DEBITS_PENDING] = 0;
    if (flags & LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS) slots[SLOT_CREDITS_PENDING] = 0;
    keep_own(flags, slots);
}

struct ledger_balance account_balance(uint16_t flags, const i128 slots[SLOT_COUNT])
{
    i128 s[SLOT_COUNT], closing[SLOT_COUNT];
    bool closed = flags & LIMITS ? slots[SLOT_NET] < -LEDGER_BALANCE_MAX : slots[SLOT_DEBITS] > LEDGER_BALANCE_MAX;
    account_closing(flags, closing);
    for (unsigned i = 0; i < SLOT_COUNT; i++) s[i] = slots[i] - (closed ? closing[i] : 0);
    struct ledger_balance b = {.debits_posted = s[SLOT_DEBITS],
                               .credits_posted = s[SLOT_CREDITS],
                               .debits_pending = s[SLOT_DEBITS_PENDING],
                               .credits_pending = s[SLOT_CREDITS_PENDING],
                               .closed = closed};
    if (flags & LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS) {
        b.credits_posted = s[SLOT_NET] + b.debits_posted + b.debits_pending;
    }
    if (flags & LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS) {
        b.debits_posted = s[SLOT_NET] + b.credits_posted + b.credits_pending;
    }
    return b;
}
