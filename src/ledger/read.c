/* One account or one transfer. An account is a few rows beside each other: one page of a snapshot. When the store no longer has the
 * versions of that time, the balance is what the postings up to it add up to: a posting's version is the commit that made it.
 *
 *   account:  SCANNING (meta, counters) --found--> done
 *                  \--too old--> META (strong get) --> SUMMING (pages of postings) --> done
 *   transfer: GETS (its row, its resolution) --> done */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "ledger/ledger_int.h"

/* --- an account --- */

struct account_call {
    struct ledger_call call;
    struct ledger_id id;
    uint64_t at, deadline_ns, from;
    struct ledger_account_reply reply;
    ledger_account_done done;
    void *ctx;
};

static void account_free(struct ledger_call *call)
{
    mem_free(LIST_ENTRY(call, struct account_call, call));
}

static void account_end(struct account_call *c, const struct client_error *e)
{
    c->done(c->ctx, e, e->status == STATUS_OK ? &c->reply : NULL);
    call_end(&c->call);
}

static void account_end_status(struct account_call *c, enum status s, const char *text)
{
    account_end(c, &(struct client_error){.status = s, .message = slice_str(text)});
}

static void account_summed(void *ctx, const struct client_error *e, const struct scan_reply *reply);

static void account_sum(struct account_call *c)
{
    struct ledger *l = c->call.ledger;
    struct arena arena;
    arena_init(&arena, 256);
    struct client_scan scan = {.start = key_postings(&arena, &c->id, c->from),
                               .end = key_postings(&arena, &c->id, c->at + 1),
                               .how = {.mode = READ_STRONG}};
    client_scan(l->client, l->keyspace, &scan, ledger_left_ms(l, c->deadline_ns), account_summed, c);
    arena_free(&arena);
}

static enum status account_add_row(struct account_call *c, const struct scan_row *row)
{
    struct ledger_key key;
    struct posting p;
    struct slice value = row->value;
    struct ledger_balance *b = &c->reply.balance;
    enum status s = ledger_key_decode(row->key, &key);
    if (s != STATUS_OK || key.row != LEDGER_ROW_POSTINGS) return STATUS_CORRUPT;
    c->from = key.at + 1;
    if (row->version > c->at) return STATUS_OK; /* committed later */
    while ((s = row_get_posting(&value, key.at, &p)) == STATUS_OK) {
        b->debits_posted += p.debits;
        b->credits_posted += p.credits;
        b->debits_pending += p.debits_pending;
        b->credits_pending += p.credits_pending;
    }
    return s == STATUS_END ? STATUS_OK : s;
}

static void account_summed(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct account_call *c = ctx;
    if (e->status != STATUS_OK) {
        account_end(c, e);
        return;
    }
    for (size_t i = 0; i < reply->row_count; i++) {
        if (account_add_row(c, &reply->rows[i]) == STATUS_OK) continue;
        account_end_status(c, STATUS_CORRUPT, "a posting of the account cannot be read");
        return;
    }
    if (reply->more)
        account_sum(c);
    else
        account_end_status(c, STATUS_OK, "");
}

static void account_meta_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct account_call *c = ctx;
    if (e->status != STATUS_OK) {
        account_end(c, e);
        return;
    }
    c->reply.found = reply->found && reply->version <= c->at;
    if (reply->found && row_get_account(reply->value, &c->reply.account) != STATUS_OK) {
        account_end_status(c, STATUS_CORRUPT, "the account's row cannot be read");
    } else if (c->reply.found) {
        c->reply.ts = c->at;
        c->reply.summed = true;
        account_sum(c);
    } else {
        account_end_status(c, STATUS_OK, "");
    }
}

static enum status account_take_rows(struct account_call *c, const struct scan_reply *reply)
{
    i128 slots[SLOT_COUNT] = {0};
    for (size_t i = 0; i < reply->row_count; i++) {
        struct ledger_key key;
        const struct scan_row *row = &reply->rows[i];
        enum status s = ledger_key_decode(row->key, &key);
        if (s == STATUS_OK && key.row == LEDGER_ROW_ACCOUNT) {
            s = row_get_account(row->value, &c->reply.account);
            c->reply.found = true;
        } else if (s != STATUS_OK || key.row != LEDGER_ROW_COUNTER || !i128_parse(row->value, &slots[key.slot])) {
            s = STATUS_CORRUPT;
        }
        if (s != STATUS_OK) return s;
    }
    c->reply.ts = reply->mark.ts;
    c->reply.balance = account_balance(c->reply.account.flags, slots);
    return STATUS_OK;
}

static void account_scanned(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct account_call *c = ctx;
    struct ledger *l = c->call.ledger;
    if (e->status == STATUS_TOO_OLD && c->at != 0) {
        COVER("ledger.balance_from_postings");
        struct arena arena;
        arena_init(&arena, 256);
        client_get(l->client, l->keyspace, key_account(&arena, &c->id), ledger_left_ms(l, c->deadline_ns),
                   account_meta_done, c);
        arena_free(&arena);
    } else if (e->status == STATUS_NOT_FOUND) {
        account_end_status(c, STATUS_OK, ""); /* no keyspace: no account */
    } else if (e->status != STATUS_OK) {
        account_end(c, e);
    } else if (account_take_rows(c, reply) != STATUS_OK) {
        account_end_status(c, STATUS_CORRUPT, "a row of the account cannot be read");
    } else {
        account_end_status(c, STATUS_OK, "");
    }
}

void ledger_get_account(struct ledger *l, const struct ledger_id *id, uint64_t at, uint32_t timeout_ms,
                        ledger_account_done done, void *ctx)
{
    struct account_call *c = mem_zalloc(sizeof(*c));
    struct arena arena;
    c->call.free = account_free;
    c->id = c->reply.account.id = *id;
    c->at = at;
    c->deadline_ns = env_mono_ns(l->env) + (uint64_t)timeout_ms * NS_PER_MS;
    c->done = done;
    c->ctx = ctx;
    call_begin(l, &c->call);
    arena_init(&arena, 256);
    struct client_scan scan = {
        .start = key_account(&arena, id), .end = key_postings(&arena, id, 0), .how = {.mode = READ_SNAPSHOT, .ts = at}};
    client_scan(l->client, l->keyspace, &scan, timeout_ms, account_scanned, c);
    arena_free(&arena);
}

/* --- a transfer --- */

const char *ledger_transfer_state_name(enum ledger_transfer_state s)
{
    switch (s) {
    case TRANSFER_POSTED: return "posted";
    case TRANSFER_PENDING: return "pending";
    case TRANSFER_RESOLVED_POSTED: return "pending_posted";
    case TRANSFER_VOIDED: return "pending_voided";
    case TRANSFER_EXPIRED: return "pending_expired";
    case TRANSFER_REFUSED: return "refused";
    }
    return "?";
}

void item_set(struct ledger_transfer_item *item, const struct transfer_row *row, const struct resolution *by)
{
    *item = (struct ledger_transfer_item){.transfer = row->transfer, .state = TRANSFER_POSTED};
    if (row->result != LEDGER_CREATED) {
        item->state = TRANSFER_REFUSED;
        item->refusal = row->result;
    } else if (row->transfer.flags & LEDGER_PENDING) {
        item->state = TRANSFER_PENDING;
        if (by == NULL) return;
        item->resolved_by = by->by;
        item->state = by->kind == RESOLUTION_POSTED   ? TRANSFER_RESOLVED_POSTED
                      : by->kind == RESOLUTION_VOIDED ? TRANSFER_VOIDED
                                                      : TRANSFER_EXPIRED;
    }
}

struct transfer_call {
    struct ledger_call call;
    struct ledger_id id;
    ledger_transfer_done done;
    void *ctx;
};

static void transfer_free(struct ledger_call *call)
{
    mem_free(LIST_ENTRY(call, struct transfer_call, call));
}

static void transfer_end(struct transfer_call *c, const struct client_error *e, const struct ledger_transfer_item *item)
{
    c->done(c->ctx, e, item);
    call_end(&c->call);
}

static void transfer_scanned(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct transfer_call *c = ctx;
    struct transfer_row row = {.transfer = {.id = c->id}};
    struct resolution by;
    struct ledger_transfer_item item;
    bool found = false, resolved = false;
    enum status s = e->status;
    struct client_error out = *e;
    for (size_t i = 0; s == STATUS_OK && i < reply->row_count; i++) {
        struct ledger_key key;
        s = ledger_key_decode(reply->rows[i].key, &key);
        if (s == STATUS_OK && key.row == LEDGER_ROW_TRANSFER) {
            s = row_get_transfer(reply->rows[i].value, &row);
            found = true;
        } else if (s == STATUS_OK && key.row == LEDGER_ROW_RESOLUTION) {
            s = row_get_resolution(reply->rows[i].value, &by);
            resolved = true;
        }
    }
    if (s == STATUS_NOT_FOUND) {
        out.status = STATUS_OK;
    } else if (s != STATUS_OK && e->status == STATUS_OK) {
        out = (struct client_error){.status = s, .message = slice_str("the transfer's row cannot be read")};
    }
    if (found && out.status == STATUS_OK) item_set(&item, &row, resolved ? &by : NULL);
    transfer_end(c, &out, found && out.status == STATUS_OK ? &item : NULL);
}

void ledger_get_transfer(struct ledger *l, const struct ledger_id *id, uint32_t timeout_ms, ledger_transfer_done done,
                         void *ctx)
{
    struct transfer_call *c = mem_zalloc(sizeof(*c));
    struct arena arena;
    c->call.free = transfer_free;
    c->id = *id;
    c->done = done;
    c->ctx = ctx;
    call_begin(l, &c->call);
    arena_init(&arena, 256);
    struct slice last = key_transfer(&arena, id);
    uint8_t *end = arena_alloc(&arena, last.size + 1);
    memcpy(end, last.data, last.size);
    end[last.size] = 0;
    struct client_scan scan = {.start = key_resolution(&arena, id), .end = slice_make(end, last.size + 1)};
    client_scan(l->client, l->keyspace, &scan, timeout_ms, transfer_scanned, c);
    arena_free(&arena);
}
