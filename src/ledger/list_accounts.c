/* A page of accounts in the order of ids, all of one snapshot. The rows of an account lie together, its postings behind its few counters:
 * one short scan each, which begins behind the postings of the one before.
 *
 *   SCANNING (6 rows) --an account--> SCANNING behind it ... --enough, or no more--> done */
#include "base/assert.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "ledger/ledger_int.h"

#define ACCOUNT_ROWS (1u + SLOT_COUNT)

struct accounts_call {
    struct ledger_call call;
    struct arena arena;
    struct ledger_account_reply *accounts;
    size_t count, limit;
    uint64_t ts, deadline_ns; /* ts 0: the snapshot is not known yet */
    struct slice start;       /* a key, in the arena */
    ledger_accounts_done done;
    void *ctx;
};

static void accounts_scanned(void *ctx, const struct client_error *e, const struct scan_reply *reply);

static void accounts_free(struct ledger_call *call)
{
    struct accounts_call *c = LIST_ENTRY(call, struct accounts_call, call);
    arena_free(&c->arena);
    mem_free(c);
}

static void accounts_end(struct accounts_call *c, const struct client_error *e, bool more)
{
    struct ledger_accounts page = {.accounts = c->accounts, .count = c->count, .ts = c->ts, .next = SLICE_EMPTY};
    if (more) {
        uint8_t *next = arena_alloc(&c->arena, 8 + c->start.size);
        be_set_u64(next, c->ts);
        memcpy(next + 8, c->start.data, c->start.size);
        page.next = slice_make(next, 8 + c->start.size);
    }
    c->done(c->ctx, e, e->status == STATUS_OK ? &page : NULL);
    call_end(&c->call);
}

static void accounts_end_status(struct accounts_call *c, enum status s, const char *text, bool more)
{
    accounts_end(c, &(struct client_error){.status = s, .message = slice_str(text)}, more);
}

static void accounts_scan(struct accounts_call *c)
{
    struct ledger *l = c->call.ledger;
    struct client_scan scan = {.start = c->start,
                               .end = slice_str("B"), /* rows of accounts begin with A */
                               .limit_rows = ACCOUNT_ROWS,
                               .how = {.mode = READ_SNAPSHOT, .ts = c->ts}};
    client_scan(l->client, l->keyspace, &scan, ledger_left_ms(l, c->deadline_ns), accounts_scanned, c);
}

/* The account at the head of the rows, and where the next one may begin. */
static enum status accounts_take(struct accounts_call *c, const struct scan_reply *reply)
{
    struct ledger_account_reply *out = &c->accounts[c->count];
    struct ledger_key key;
    struct ledger_id id = {0};
    i128 slots[SLOT_COUNT] = {0};
    for (size_t i = 0; i < reply->row_count; i++) {
        const struct scan_row *row = &reply->rows[i];
        enum status s = ledger_key_decode(row->key, &key);
        if (s != STATUS_OK) return STATUS_CORRUPT;
        if (i == 0) {
            id = out->account.id = key.id;
            s = key.row == LEDGER_ROW_ACCOUNT ? row_get_account(row->value, &out->account) : STATUS_CORRUPT;
        } else if (!ledger_id_eq(&key.id, &id) || key.row != LEDGER_ROW_COUNTER) {
            break;
        } else if (!i128_parse(row->value, &slots[key.slot])) {
            s = STATUS_CORRUPT;
        }
        if (s != STATUS_OK) return STATUS_CORRUPT;
    }
    out->found = true;
    out->ts = c->ts;
    out->balance = account_balance(out->account.flags, slots);
    c->count++;
    struct slice last = key_postings(&c->arena, &id, UINT64_MAX);
    uint8_t *start = arena_alloc(&c->arena, last.size + 1);
    memcpy(start, last.data, last.size);
    start[last.size] = 0;
    c->start = slice_make(start, last.size + 1);
    return STATUS_OK;
}

static void accounts_scanned(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct accounts_call *c = ctx;
    if (e->status == STATUS_NOT_FOUND) {
        accounts_end_status(c, STATUS_OK, "", false); /* no keyspace: no account */
        return;
    }
    if (e->status != STATUS_OK) {
        accounts_end(c, e, false);
        return;
    }
    c->ts = reply->mark.ts;
    if (reply->row_count == 0)
        accounts_end_status(c, STATUS_OK, "", false);
    else if (accounts_take(c, reply) != STATUS_OK)
        accounts_end_status(c, STATUS_CORRUPT, "a row of an account cannot be read", false);
    else if (c->count == c->limit)
        accounts_end_status(c, STATUS_OK, "", true);
    else
        accounts_scan(c);
}

void ledger_list_accounts(struct ledger *l, struct slice next, uint32_t limit, uint32_t timeout_ms,
                          ledger_accounts_done done, void *ctx)
{
    struct accounts_call *c = mem_zalloc(sizeof(*c));
    c->call.free = accounts_free;
    c->limit = limit == 0 || limit > LEDGER_PAGE_MAX ? 100 : limit;
    c->deadline_ns = env_mono_ns(l->env) + (uint64_t)timeout_ms * NS_PER_MS;
    c->done = done;
    c->ctx = ctx;
    arena_init(&c->arena, 4096);
    c->accounts = arena_zalloc(&c->arena, c->limit * sizeof(*c->accounts));
    c->start = slice_str("A");
    if (next.size > 8 && next.data[8] == 'A') {
        c->ts = be_u64(next.data);
        c->start = arena_dup_slice(&c->arena, slice_make(next.data + 8, next.size - 8));
    }
    call_begin(l, &c->call);
    accounts_scan(c);
}
