/* Currencies: what a ledger's amounts are called, and where people put the decimal point. Rows of the ledger's keyspace, for display
 * alone: amounts are integers of the smallest unit everywhere. */
#include "base/assert.h"
#include "base/mem.h"
#include "ledger/ledger_int.h"

struct currencies_call {
    struct ledger_call call;
    bool sets;
    struct ledger_currency currency; /* to set */
    uint64_t deadline_ns;
    ledger_currencies_done done;
    void *ctx;
};

static void currencies_free(struct ledger_call *call)
{
    mem_free(LIST_ENTRY(call, struct currencies_call, call));
}

static void currencies_end(struct currencies_call *c, const struct client_error *e, const struct ledger_currency *list,
                           size_t count)
{
    c->done(c->ctx, e, list, count);
    call_end(&c->call);
}

static void currencies_scanned(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct currencies_call *c = ctx;
    struct client_error out = *e;
    size_t count = 0;
    if (e->status == STATUS_NOT_FOUND) out.status = STATUS_OK; /* no keyspace: no ledger */
    size_t rows = e->status == STATUS_OK ? reply->row_count : 0;
    struct ledger_currency *list = mem_alloc((rows + 1) * sizeof(*list));
    for (size_t i = 0; i < rows && out.status == STATUS_OK; i++) {
        struct ledger_key key;
        enum status s = ledger_key_decode(reply->rows[i].key, &key);
        if (s == STATUS_OK) s = row_get_currency(reply->rows[i].value, &list[count]);
        list[count++].ledger = key.ledger;
        if (s != STATUS_OK)
            out = (struct client_error){.status = s, .message = slice_str("a currency's row cannot be read")};
    }
    currencies_end(c, &out, list, count);
    mem_free(list);
}

void ledger_list_currencies(struct ledger *l, uint32_t timeout_ms, ledger_currencies_done done, void *ctx)
{
    struct currencies_call *c = mem_zalloc(sizeof(*c));
    c->call.free = currencies_free;
    c->done = done;
    c->ctx = ctx;
    call_begin(l, &c->call);
    struct client_scan scan = {.start = slice_str("L"), .end = slice_str("M"), .limit_rows = LEDGER_CURRENCIES_MAX};
    client_scan(l->client, l->keyspace, &scan, timeout_ms, currencies_scanned, c);
}

static void currency_put(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct currencies_call *c = ctx;
    struct client_error out = *e;
    if (e->status != STATUS_OK && ledger_create_keyspace(c->call.ledger, e)) {
        call_wait(&c->call, 50);
        return;
    }
    if (e->status == STATUS_OK && result->status != STATUS_OK) {
        out.status = result->status;
        out.message = slice_str(status_text(result->status));
    }
    currencies_end(c, &out, &c->currency, out.status == STATUS_OK ? 1 : 0);
}

static void currency_again(struct ledger_call *call, uint64_t now_ns)
{
    struct currencies_call *c = LIST_ENTRY(call, struct currencies_call, call);
    struct ledger *l = call->ledger;
    static const char late[] = "the deadline passed before the currency was set";
    if (now_ns >= c->deadline_ns) {
        currencies_end(c, &(struct client_error){.status = STATUS_TIMEOUT, .message = slice_str(late)}, NULL, 0);
        return;
    }
    struct arena arena;
    struct buf value;
    arena_init(&arena, 256);
    buf_init(&value, 256);
    row_put_currency(&value, &c->currency);
    struct txn_op op = {
        .kind = TXN_PUT, .key = key_currency(&arena, c->currency.ledger), .value = buf_slice(&value), .has_ttl = true};
    struct txn t = {.ops = &op, .op_count = 1};
    client_txn(l->client, l->keyspace, &t, ledger_left_ms(l, c->deadline_ns), currency_put, c);
    buf_free(&value);
    arena_free(&arena);
}

void ledger_set_currency(struct ledger *l, const struct ledger_currency *currency, uint32_t timeout_ms,
                         ledger_currencies_done done, void *ctx)
{
    struct currencies_call *c = mem_zalloc(sizeof(*c));
    ASSERT(ledger_currency_valid(currency));
    c->call.free = currencies_free;
    c->call.again = currency_again;
    c->currency = *currency;
    c->deadline_ns = env_mono_ns(l->env) + (uint64_t)timeout_ms * NS_PER_MS;
    c->done = done;
    c->ctx = ctx;
    call_begin(l, &c->call);
    call_wait(&c->call, 0);
}
