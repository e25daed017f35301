/* What transfers mean, told a second time and as simply as possible: tables of accounts and transfers, one transfer after the other, a
 * chain by copying everything. And a generator of transfers over few accounts and few ids. */
#ifndef QUORATE_TESTS_LIB_LEDGER_MODEL_H
#define QUORATE_TESTS_LIB_LEDGER_MODEL_H

#include "base/prng.h"
#include "ledger/model.h"

#define BOOK_ACCOUNTS 8u
#define BOOK_TRANSFERS 4096u

struct book_transfer {
    struct ledger_transfer t;
    enum ledger_result result;
    enum { BOOK_OPEN, BOOK_POSTED, BOOK_VOIDED, BOOK_EXPIRED } state; /* of a pending one */
    uint64_t made_ms;
};
struct book {
    struct ledger_account accounts[BOOK_ACCOUNTS];
    struct ledger_balance balances[BOOK_ACCOUNTS];
    size_t account_count;
    struct book_transfer transfers[BOOK_TRANSFERS];
    size_t transfer_count;
    uint64_t now_ms;
};
void book_init(struct book *b);
/* Index of an account, or account_count. */
size_t book_account(const struct book *b, const struct ledger_id *id);
/* Whole chains; results only (and amounts), timestamps are not the model's affair. */
void book_apply(struct book *b, const struct ledger_transfer *t, size_t count, struct ledger_outcome *out);
/* Ends what has waited for too long, as the sweep does. */
bool book_expires(const struct book *b, const struct book_transfer *pending);
void book_random(struct prng *p, struct ledger_transfer *t, size_t count, unsigned ids);

#endif
