/* The ledger: accounts and transfers over the router, for gateways and the command line. docs/ledger.md.
 * Runs on the loop. Every call ends in exactly one callback, never from inside the call. Arguments are copied; what callbacks get is
 * borrowed for the callback. Failures carry client_error's meaning; after an unknown outcome the same request, sent again, acts once. */
#ifndef QUORATE_LEDGER_LEDGER_H
#define QUORATE_LEDGER_LEDGER_H

#include "client/client.h"
#include "ledger/model.h"

#define LEDGER_KEYSPACE "ledger"

struct ledger_options {
    const char *keyspace;   /* NULL: LEDGER_KEYSPACE */
    uint32_t runs_max;      /* transactions under way at a time; 0: 2 */
    bool expires;           /* looks for pending transfers whose timeout has passed, every second */
    bool keyspace_is_there; /* it is not created when it is missing */
};
struct ledger;
struct ledger *ledger_new(struct env *env, struct client *client, const struct ledger_options *o);
void ledger_free(struct ledger *l);           /* requests under way end without callback; before the client */
struct actor *ledger_actor(struct ledger *l); /* attached by ledger_new; for simulators */

typedef void (*ledger_done)(void *ctx, const struct client_error *e, const struct ledger_outcome *outcomes,
                            size_t count);
/* At most LEDGER_BATCH_MAX each. Transfers are judged in their order; an outcome for each. */
void ledger_create_accounts(struct ledger *l, const struct ledger_account *accounts, size_t count, uint32_t timeout_ms,
                            ledger_done done, void *ctx);
void ledger_create_transfers(struct ledger *l, const struct ledger_transfer *transfers, size_t count,
                             uint32_t timeout_ms, ledger_done done, void *ctx);

/* --- reading (read.c) --- */
struct ledger_account_reply {
    bool found;
    struct ledger_account account;
    struct ledger_balance balance;
    uint64_t ts; /* as of it */
    bool summed; /* the balance is the sum of its postings, which do not say whether the account was closed then */
};
typedef void (*ledger_account_done)(void *ctx, const struct client_error *e, const struct ledger_account_reply *reply);
/* at: as of that timestamp; 0: now. Older than the store keeps versions: from the postings. */
void ledger_get_account(struct ledger *l, const struct ledger_id *id, uint64_t at, uint32_t timeout_ms,
                        ledger_account_done done, void *ctx);

enum ledger_transfer_state {
    TRANSFER_POSTED,
    TRANSFER_PENDING,
    TRANSFER_RESOLVED_POSTED,
    TRANSFER_VOIDED,
    TRANSFER_EXPIRED,
    TRANSFER_REFUSED
};
const char *ledger_transfer_state_name(enum ledger_transfer_state s);
struct ledger_transfer_item {
    struct ledger_transfer transfer;
    enum ledger_transfer_state state;
    enum ledger_result refusal;   /* REFUSED: why */
    struct ledger_id resolved_by; /* RESOLVED_POSTED, VOIDED */
};
typedef void (*ledger_transfer_done)(void *ctx, const struct client_error *e, const struct ledger_transfer_item *item);
/* item NULL: there is none with that id. */
void ledger_get_transfer(struct ledger *l, const struct ledger_id *id, uint32_t timeout_ms, ledger_transfer_done done,
                         void *ctx);

/* One page of what happened to an account, in the order of timestamps, or of all transfers, in the order of ids. Filters apply to what
 * the page has looked at: a page may have fewer than `limit`, or none, and yet more behind it. */
struct ledger_query {
    bool of_account;
    struct ledger_id account;
    uint64_t from, to;      /* timestamps: from <= t < to; to 0: no end */
    uint16_t code;          /* 0: any */
    uint32_t ledger;        /* 0: any */
    bool debits, credits;   /* of_account: which side; neither: both */
    bool reverse, balances; /* balances: the account's balances behind each posting, newest first */
    uint32_t limit;         /* 0: 100 */
    struct slice next;      /* what the last page gave; empty: the first page */
};
#define LEDGER_PAGE_MAX 1000u
struct ledger_page {
    const struct ledger_transfer_item *items; /* transfers */
    const struct ledger_balance *balances;    /* with query.balances: behind each */
    const uint64_t *timestamps;               /* likewise */
    size_t count;
    struct slice next; /* empty: that was all */
    uint64_t ts;       /* of the snapshot that the page is of */
};
typedef void (*ledger_page_done)(void *ctx, const struct client_error *e, const struct ledger_page *page);
void ledger_list(struct ledger *l, const struct ledger_query *q, uint32_t timeout_ms, ledger_page_done done, void *ctx);

/* One page of accounts with their balances, in the order of ids; next as above. */
struct ledger_accounts {
    const struct ledger_account_reply *accounts;
    size_t count;
    struct slice next; /* empty: that was all */
    uint64_t ts;       /* of the snapshot that all pages are of */
};
typedef void (*ledger_accounts_done)(void *ctx, const struct client_error *e, const struct ledger_accounts *page);
void ledger_list_accounts(struct ledger *l, struct slice next, uint32_t limit, uint32_t timeout_ms,
                          ledger_accounts_done done, void *ctx);

/* --- currencies (currencies.c): how people write the amounts of a ledger --- */
#define LEDGER_CURRENCIES_MAX 4096u /* that a list shows */
typedef void (*ledger_currencies_done)(void *ctx, const struct client_error *e, const struct ledger_currency *list,
                                       size_t count);
void ledger_list_currencies(struct ledger *l, uint32_t timeout_ms, ledger_currencies_done done, void *ctx);
/* Sets or replaces one; it must be valid. done is told it alone. */
void ledger_set_currency(struct ledger *l, const struct ledger_currency *currency, uint32_t timeout_ms,
                         ledger_currencies_done done, void *ctx);

/* --- the audit (audit.c): one snapshot of everything, read page by page --- */
#define LEDGER_AUDIT_LEDGERS_MAX 1024u
struct ledger_audit_sums { /* of one ledger */
    uint32_t ledger;
    uint64_t accounts, transfers;
    i128 debits_posted, credits_posted, debits_pending, credits_pending;
};
struct ledger_audit {
    uint64_t ts;
    uint64_t accounts, transfers, postings, refusals, pending;
    uint64_t faults; /* 0: it is proven */
    char first_fault[200];
    const struct ledger_audit_sums *sums;
    size_t ledger_count;
};
typedef void (*ledger_audit_done)(void *ctx, const struct client_error *e, const struct ledger_audit *audit);
/* progress: may be NULL; rows read so far. at: 0: now. */
void ledger_run_audit(struct ledger *l, uint64_t at, uint32_t timeout_ms, void (*progress)(void *ctx, uint64_t rows),
                      ledger_audit_done done, void *ctx);

struct ledger_stats {
    uint64_t runs, transfers, refused_runs, careful_runs, reads, unknown_runs, expired;
};
void ledger_stats(const struct ledger *l, struct ledger_stats *out);

#endif
