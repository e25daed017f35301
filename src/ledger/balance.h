/* How the counters of the store carry an account. The store guards one counter at a time, so the sum that a limit speaks of is a
 * counter of its own, and what can be reckoned from the others is not stored:
 *
 *   account                                   counters
 *   without a limit                           debits, credits, debits pending, credits pending
 *   debits must not exceed credits            net = credits - debits - debits pending, never below 0; debits, both pending
 *   credits must not exceed debits            net = debits - credits - credits pending, never below 0; credits, both pending
 *
 * A closed account has its counters moved out of reach of every guard by a fixed distance, in the transaction that closes it; voiding
 * that moves them back. So the guard that an addition carries anyway also refuses closed accounts. */
#ifndef QUORATE_LEDGER_BALANCE_H
#define QUORATE_LEDGER_BALANCE_H

#include "ledger/rows.h"

#define LEDGER_CLOSED_DISTANCE ((i128)1 << 126)

struct changes { /* of one account */
    i128 debits, credits, debits_pending, credits_pending;
};
bool account_has_slot(uint16_t account_flags, enum ledger_slot slot);
/* What a change does to each counter; for a counter that the account does not have, 0. */
void account_spread(uint16_t account_flags, const struct changes *c, i128 slots[SLOT_COUNT]);
/* By how much closing moves each counter. */
void account_closing(uint16_t account_flags, i128 slots[SLOT_COUNT]);
/* What the counters say; those that the account does not have are not looked at. */
struct ledger_balance account_balance(uint16_t account_flags, const i128 slots[SLOT_COUNT]);

#endif
