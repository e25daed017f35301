/* Keys and values of the ledger in its keyspace: docs/formats/ledger.md. Pure. */
#ifndef QUORATE_LEDGER_ROWS_H
#define QUORATE_LEDGER_ROWS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "ledger/model.h"

/* --- keys --- */
#define LEDGER_KEY_MAX 40u
/* Counters of an account. Which of them it has depends on what limits it: balance.h. */
enum ledger_slot { SLOT_NET, SLOT_DEBITS, SLOT_CREDITS, SLOT_DEBITS_PENDING, SLOT_CREDITS_PENDING, SLOT_COUNT };

struct slice key_account(struct arena *a, const struct ledger_id *account);
struct slice key_counter(struct arena *a, const struct ledger_id *account, enum ledger_slot slot);
struct slice key_postings(struct arena *a, const struct ledger_id *account, uint64_t timestamp);
struct slice key_transfer(struct arena *a, const struct ledger_id *transfer);
struct slice key_resolution(struct arena *a, const struct ledger_id *transfer);
struct slice key_currency(struct arena *a, uint32_t ledger);
struct slice key_expiry(struct arena *a, uint64_t at_ms, const struct ledger_id *transfer);

enum ledger_row {
    LEDGER_ROW_ACCOUNT = 1,
    LEDGER_ROW_COUNTER,
    LEDGER_ROW_POSTINGS,
    LEDGER_ROW_TRANSFER,
    LEDGER_ROW_RESOLUTION,
    LEDGER_ROW_EXPIRY,
    LEDGER_ROW_CURRENCY
};
struct ledger_key {
    enum ledger_row row;
    struct ledger_id id;   /* of the account or transfer */
    enum ledger_slot slot; /* COUNTER */
    uint32_t ledger;       /* CURRENCY */
    uint64_t at;           /* POSTINGS: timestamp; EXPIRY: milliseconds */
};
MUST_CHECK enum status ledger_key_decode(struct slice key, struct ledger_key *out);

/* --- values --- */
void row_put_account(struct buf *b, const struct ledger_account *a);
MUST_CHECK enum status row_get_account(struct slice value, struct ledger_account *out); /* all but the id */

void row_put_currency(struct buf *b, const struct ledger_currency *c);
MUST_CHECK enum status row_get_currency(struct slice value, struct ledger_currency *out); /* all but the ledger */

struct transfer_row {
    struct ledger_transfer transfer; /* all but the id */
    enum ledger_result result;       /* CREATED, or the refusal that used the id up */
    uint64_t attempt;                /* tells a repetition of ours from somebody else's transfer */
};
void row_put_transfer(struct buf *b, const struct transfer_row *r);
/* The id is in the key: the caller sets it before. */
MUST_CHECK enum status row_get_transfer(struct slice value, struct transfer_row *out);

enum resolution_kind { RESOLUTION_POSTED = 1, RESOLUTION_VOIDED, RESOLUTION_EXPIRED };
struct resolution {
    enum resolution_kind kind;
    struct ledger_id by; /* the transfer that did it; an expiry: zero */
    uint64_t timestamp;
};
void row_put_resolution(struct buf *b, const struct resolution *r);
MUST_CHECK enum status row_get_resolution(struct slice value, struct resolution *out);

/* What a transfer did to one account. */
struct posting {
    struct ledger_id transfer;
    uint64_t timestamp;
    i128 debits, credits, debits_pending, credits_pending; /* changes */
};
/* A row holds the postings of one transaction on one account, in their order; base: the timestamp in its key. */
void row_put_posting(struct buf *b, const struct posting *p, uint64_t base);
/* Takes the next one off `value`; STATUS_END when it is empty. */
MUST_CHECK enum status row_get_posting(struct slice *value, uint64_t base, struct posting *out);
/* A number that two equal postings of an account share, and two others do not: audits add them up. */
uint64_t posting_fingerprint(const struct ledger_id *account, const struct posting *p);

#endif
