/* What an audit proves from all rows of a ledger, in the order of keys:
 *
 *   - every balance is the sum of its account's postings, and keeps the account's limit;
 *   - debits equal credits in every ledger, posted and pending;
 *   - postings and transfers say the same: each transfer left just the postings that it must, and nothing else left any. Both sides are
 *     added up as fingerprints, so that nothing has to be remembered;
 *   - each pending transfer that was resolved names the transfer that did it, and the reverse; those that wait for a timeout are listed.
 *
 * Pure. Memory: a few counters and one line per ledger. */
#ifndef QUORATE_LEDGER_PROOF_H
#define QUORATE_LEDGER_PROOF_H

#include "ledger/balance.h"
#include "ledger/ledger.h"

struct ledger_proof;
struct ledger_proof *ledger_proof_new(void);
void ledger_proof_free(struct ledger_proof *p);
void ledger_proof_take(struct ledger_proof *p, struct slice key, struct slice value);
/* When all rows have been taken, as of ts; borrowed from p. */
const struct ledger_audit *ledger_proof_judge(struct ledger_proof *p, uint64_t ts);

#endif
