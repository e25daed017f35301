/* Accounts, transfers and what became of them as JSON, for the HTTP interface and the command line. Pure. Integers that may exceed 2^53
 * are strings; both are read. */
#ifndef QUORATE_GATEWAY_LEDGER_JSON_H
#define QUORATE_GATEWAY_LEDGER_JSON_H

#include "gateway/json_in.h"
#include "ledger/ledger.h"

MUST_CHECK enum status json_want_account(const struct json_at *at, struct ledger_account *out, struct errbuf *err);
MUST_CHECK enum status json_want_transfer(const struct json_at *at, struct ledger_transfer *out, struct errbuf *err);
/* All but the ledger. */
MUST_CHECK enum status json_want_currency(const struct json_at *at, struct ledger_currency *out, struct errbuf *err);
MUST_CHECK enum status json_want_ledger_id(const struct json_at *at, struct ledger_id *out, struct errbuf *err);

void json_ledger_id(struct buf *b, const char *name, const struct ledger_id *id);
void json_ledger_summed(struct buf *b, const struct ledger_account_reply *reply); /* only if it is */
void json_ledger_account(struct buf *b, const struct ledger_account *a, const struct ledger_balance *balance);
void json_ledger_balance(struct buf *b, const struct ledger_balance *balance); /* its fields, without braces */
void json_ledger_item(struct buf *b, const struct ledger_transfer_item *item);
void json_ledger_currency(struct buf *b, const struct ledger_currency *c);
/* index: SIZE_MAX: left out. */
void json_ledger_outcome(struct buf *b, size_t index, const struct ledger_id *id, const struct ledger_outcome *o,
                         bool is_transfer);
void json_ledger_audit(struct buf *b, const struct ledger_audit *audit);

#endif
