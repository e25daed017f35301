/* Lines of a file of accounts and transfers become batches that never cut a chain of linked ones. Pure.
 *
 *   lines --take--> | whole chains | open chain |     --front--> what may be sent --drop--> answered
 *
 * A line that cannot be read is refused, and with it the chain that it is of, or may be of: half a chain never goes out. */
#ifndef QUORATE_CLI_LEDGER_BATCH_H
#define QUORATE_CLI_LEDGER_BATCH_H

#include "cli/records.h"
#include "ledger/model.h"

#define LEDGER_FIELDS_MAX 32u

struct ledger_batch {
    struct slice names[LEDGER_FIELDS_MAX]; /* CSV: of the fields, borrowed */
    size_t name_count;                     /* 0: lines of JSON */
    bool transfers;                        /* what it holds; else accounts */
    struct ledger_account *accounts;
    struct ledger_transfer *items;
    struct slice *lines; /* owned */
    uint64_t *numbers;
    size_t most;   /* that go out at a time, unless a chain is longer */
    size_t count;  /* held */
    size_t whole;  /* of them, in chains that have ended */
    bool refusing; /* the chain goes on of which something was refused */
    void (*refuse)(void *ctx, uint64_t number, const char *why, struct slice line);
    void *ctx;
};
void ledger_batch_init(struct ledger_batch *b, size_t most);
void ledger_batch_free(struct ledger_batch *b);
/* False: the line is of the other kind; what is held goes out first, whole or not, and then it comes again. */
bool ledger_batch_take(struct ledger_batch *b, uint64_t number, struct slice line);
bool ledger_batch_full(const struct ledger_batch *b);
/* How many of the first may be sent; ended: nothing of their kind follows, so an open chain goes too, and is refused as that. */
size_t ledger_batch_front(const struct ledger_batch *b, bool ended);
void ledger_batch_drop(struct ledger_batch *b, size_t count); /* the first ones are answered */

#endif
