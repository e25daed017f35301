/* `quorate ledger dump`: every account and every transfer of one snapshot, a line each, for audits apart from the database's own:
 *
 *   account ID LEDGER FLAGS DEBITS CREDITS PENDING_DEBITS PENDING_CREDITS
 *   transfer ID DEBIT CREDIT AMOUNT FLAGS RESULT PENDING_ID PENDING_AMOUNT
 *   resolution ID posted|voided|expired BY                                       (TAB between the words) */
#include <stdio.h>

#include "cli/ledger_cli.h"
#include "ledger/balance.h"

struct dump {
    struct ledger_command k;
    struct buf next;
    uint64_t ts;
    bool in_account;
    struct ledger_account account;
    i128 slots[SLOT_COUNT];
    struct buf out;
};

static void dump_id(struct buf *b, const struct ledger_id *id)
{
    char text[LEDGER_ID_TEXT_MAX];
    ledger_id_format(id, text);
    buf_printf(b, "\t%s", text);
}

static void dump_amount(struct buf *b, i128 v)
{
    char text[I128_TEXT_MAX];
    i128_format(v, text);
    buf_printf(b, "\t%s", text);
}

static void dump_account(struct dump *d)
{
    struct buf *b = &d->out;
    if (!d->in_account) return;
    d->in_account = false;
    struct ledger_balance sums = account_balance(d->account.flags, d->slots);
    buf_append_str(b, "account");
    dump_id(b, &d->account.id);
    buf_printf(b, "\t%u\t%u", d->account.ledger, d->account.flags);
    dump_amount(b, sums.debits_posted);
    dump_amount(b, sums.credits_posted);
    dump_amount(b, sums.debits_pending);
    dump_amount(b, sums.credits_pending);
    buf_append_byte(b, '\n');
}

static void dump_transfer(struct buf *b, const struct transfer_row *row)
{
    const struct ledger_transfer *t = &row->transfer;
    buf_append_str(b, "transfer");
    dump_id(b, &t->id);
    dump_id(b, &t->debit);
    dump_id(b, &t->credit);
    dump_amount(b, t->amount);
    buf_printf(b, "\t%u\t%s", t->flags, ledger_result_name(row->result));
    dump_id(b, &t->pending_id);
    dump_amount(b, t->pending_amount);
    buf_append_byte(b, '\n');
}

static enum status dump_row(struct dump *d, const struct scan_row *row)
{
    static const char *const kinds[] = {"", "posted", "voided", "expired"};
    struct ledger_key key;
    struct transfer_row transfer;
    struct resolution by;
    enum status s = ledger_key_decode(row->key, &key);
    if (s != STATUS_OK) return s;
    if (key.row == LEDGER_ROW_ACCOUNT) {
        dump_account(d);
        d->in_account = true;
        d->account = (struct ledger_account){.id = key.id};
        memset(d->slots, 0, sizeof(d->slots));
        return row_get_account(row->value, &d->account);
    }
    if (key.row == LEDGER_ROW_COUNTER) {
        return i128_parse(row->value, &d->slots[key.slot]) ? STATUS_OK : STATUS_CORRUPT;
    }
    if (key.row == LEDGER_ROW_POSTINGS || key.row == LEDGER_ROW_EXPIRY || key.row == LEDGER_ROW_CURRENCY)
        return STATUS_OK;
    dump_account(d);
    if (key.row == LEDGER_ROW_TRANSFER) {
        transfer.transfer.id = key.id;
        s = row_get_transfer(row->value, &transfer);
        if (s == STATUS_OK) dump_transfer(&d->out, &transfer);
        return s;
    }
    s = row_get_resolution(row->value, &by);
    if (s != STATUS_OK) return s;
    buf_append_str(&d->out, "resolution");
    dump_id(&d->out, &key.id);
    buf_printf(&d->out, "\t%s", kinds[by.kind]);
    dump_id(&d->out, &by.by);
    buf_append_byte(&d->out, '\n');
    return s;
}

static void dump_page(struct dump *d);

static void page_done(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct dump *d = ctx;
    if (e->status != STATUS_OK) {
        ledger_command_end(&d->k, cli_client_failed("the ledger", e));
        return;
    }
    d->ts = reply->mark.ts;
    for (size_t i = 0; i < reply->row_count; i++) {
        if (dump_row(d, &reply->rows[i]) == STATUS_OK) continue;
        ledger_command_end(&d->k, cli_fail("a row of the ledger cannot be read"));
        return;
    }
    if (!reply->more || reply->row_count == 0) dump_account(d);
    out_buf(&d->out);
    if (!reply->more || reply->row_count == 0) {
        ledger_command_end(&d->k, CLI_OK);
        return;
    }
    buf_clear(&d->next);
    buf_append_slice(&d->next, reply->rows[reply->row_count - 1].key);
    buf_append_byte(&d->next, 0);
    dump_page(d);
}

static void dump_page(struct dump *d)
{
    struct client_scan scan = {.start = d->next.size > 0 ? buf_slice(&d->next) : SLICE_EMPTY,
                               .end = SLICE_EMPTY,
                               .how = {.mode = READ_SNAPSHOT, .ts = d->ts}};
    client_scan(d->k.session.client, slice_str(LEDGER_KEYSPACE), &scan, d->k.session.cli->timeout_ms, page_done, d);
}

int run_ledger_dump(struct cli *c)
{
    struct dump d;
    memset(&d, 0, sizeof(d));
    int code = ledger_command_open(&d.k, c);
    if (code != CLI_OK) return code;
    buf_init(&d.next, 8192);
    buf_init(&d.out, 1u << 26);
    dump_page(&d);
    code = ledger_command_close(&d.k);
    buf_free(&d.next);
    buf_free(&d.out);
    return code;
}
