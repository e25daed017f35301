/* The ledger's endpoints: docs/ledger.md, "HTTP". */
#include "base/assert.h"
#include "gateway/codec.h"
#include "gateway/gateway_int.h"
#include "gateway/json_out.h"
#include "gateway/ledger_json.h"
#include "gateway/uri.h"

#define AUDIT_TIMEOUT_MS 600000u

/* The body: one object, an array of them, or an object that has them under `name`. */
static enum status find_items(json_t *tree, const char *name, struct json_at *out, size_t *count, struct errbuf *err)
{
    *out = (struct json_at){.value = tree, .path = {.parent = NULL, .name = ""}};
    if (json_is_object(tree) && json_object_get(tree, name) != NULL) {
        if (json_object_size(tree) > 1) {
            errbuf_set(err, "unknown fields beside '%s'", name);
            return STATUS_INVALID;
        }
        *out = (struct json_at){.value = json_object_get(tree, name), .path = {.parent = NULL, .name = name}};
        enum status s = json_want_array(out, err);
        if (s != STATUS_OK) return s;
    }
    *count = json_is_array(out->value) ? json_array_size(out->value) : 1;
    if (*count >= 1 && *count <= LEDGER_BATCH_MAX) return STATUS_OK;
    errbuf_set(err, "a batch has 1 to %u %s; got %zu", LEDGER_BATCH_MAX, name, *count);
    return *count == 0 ? STATUS_INVALID : STATUS_TOO_LARGE;
}

static enum status query_timeout(const struct input *in, struct call *c, struct errbuf *err)
{
    struct query_param p[] = {{.name = "timeout_ms"}};
    uint32_t ms = 0;
    enum status s = query_parse(in->query, p, 1, &c->arena, err);
    if (s == STATUS_OK) s = take_timeout(&p[0], &ms, err);
    c->timeout_ms = call_timeout(c, ms);
    return s;
}

/* --- creating --- */

static void created(void *ctx, const struct client_error *e, const struct ledger_outcome *outcomes, size_t count)
{
    struct call *c = ctx;
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    ASSERT(count == c->ledger.count);
    if (c->ledger.single) {
        json_ledger_outcome(&a.body, SIZE_MAX, &c->ledger.ids[0], &outcomes[0], c->ledger.transfers);
    } else {
        json_open(&a.body, '{');
        json_key(&a.body, "results");
        json_open(&a.body, '[');
        for (size_t i = 0; i < count; i++) {
            json_ledger_outcome(&a.body, i, &c->ledger.ids[i], &outcomes[i], c->ledger.transfers);
        }
        json_close(&a.body, ']');
        json_close(&a.body, '}');
    }
    buf_append_byte(&a.body, '\n');
    call_send(c, &a);
}

static enum status read_accounts(struct call *c, const struct json_at *items, size_t count, struct errbuf *err)
{
    struct ledger_account *accounts = arena_alloc(&c->arena, count * sizeof(*accounts));
    for (size_t i = 0; i < count; i++) {
        struct json_at at = json_is_array(items->value) ? json_element(items, i) : *items;
        enum status s = json_want_account(&at, &accounts[i], err);
        if (s != STATUS_OK) return s;
        c->ledger.ids[i] = accounts[i].id;
    }
    ledger_create_accounts(c->gateway->ledger, accounts, count, c->timeout_ms, created, c);
    return STATUS_OK;
}

static enum status read_transfers(struct call *c, const struct json_at *items, size_t count, struct errbuf *err)
{
    struct ledger_transfer *transfers = arena_alloc(&c->arena, count * sizeof(*transfers));
    for (size_t i = 0; i < count; i++) {
        struct json_at at = json_is_array(items->value) ? json_element(items, i) : *items;
        enum status s = json_want_transfer(&at, &transfers[i], err);
        if (s != STATUS_OK) return s;
        c->ledger.ids[i] = transfers[i].id;
    }
    ledger_create_transfers(c->gateway->ledger, transfers, count, c->timeout_ms, created, c);
    return STATUS_OK;
}

static void handle_create(struct call *c, const struct input *in, bool transfers)
{
    struct errbuf err;
    json_t *tree = NULL;
    struct json_at items;
    size_t count = 0;
    enum status s = query_timeout(in, c, &err);
    if (s == STATUS_OK) s = json_load_body(in->body, &tree, &err);
    if (s == STATUS_OK) s = find_items(tree, transfers ? "transfers" : "accounts", &items, &count, &err);
    if (s == STATUS_OK) {
        c->ledger.single = json_is_object(items.value);
        c->ledger.transfers = transfers;
        c->ledger.count = count;
        c->ledger.ids = arena_alloc(&c->arena, count * sizeof(*c->ledger.ids));
        s = transfers ? read_transfers(c, &items, count, &err) : read_accounts(c, &items, count, &err);
    }
    if (s != STATUS_OK) call_refuse(c, s, &err);
    json_decref(tree);
}

/* --- reading one --- */

static enum status take_id(struct call *c, const struct route *route, struct ledger_id *out, struct errbuf *err)
{
    struct slice text;
    enum status s = uri_decode(route->key, false, &c->arena, &text, err);
    if (s != STATUS_OK || ledger_id_parse(text, out)) return s;
    errbuf_set(err, "an id is an integer from 0 to 2^128 - 1, in digits or as 0x...");
    return STATUS_INVALID;
}

/* What every page ends with. */
static void page_end(struct buf *b, uint64_t ts, struct slice next)
{
    json_key(b, "as_of");
    json_u64_text(b, ts);
    json_key(b, "more");
    json_bool(b, next.size > 0);
    if (next.size > 0) {
        buf_append_str(b, ",\"next\":\"");
        base64url_append(b, next);
        buf_append_byte(b, '"');
    }
    json_close(b, '}');
    buf_append_byte(b, '\n');
}

static void account_done(void *ctx, const struct client_error *e, const struct ledger_account_reply *reply)
{
    struct call *c = ctx;
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    if (reply->found) {
        json_open(&a.body, '{');
        json_ledger_account(&a.body, &reply->account, &reply->balance);
        json_key(&a.body, "as_of");
        json_u64_text(&a.body, reply->ts);
        json_ledger_summed(&a.body, reply);
        json_close(&a.body, '}');
        buf_append_byte(&a.body, '\n');
    } else {
        answer_error(&a, STATUS_NOT_FOUND, false, slice_str("no such account, or not at that time"));
    }
    call_send(c, &a);
}

static void accounts_done(void *ctx, const struct client_error *e, const struct ledger_accounts *page)
{
    struct call *c = ctx;
    struct answer a;
    struct buf *b = &a.body;
    if (!call_answers(c, e, &a)) return;
    json_open(b, '{');
    json_key(b, "accounts");
    json_open(b, '[');
    for (size_t i = 0; i < page->count; i++) {
        json_open(b, '{');
        json_ledger_account(b, &page->accounts[i].account, &page->accounts[i].balance);
        json_close(b, '}');
    }
    json_close(b, ']');
    page_end(b, page->ts, page->next);
    call_send(c, &a);
}

static void transfer_done(void *ctx, const struct client_error *e, const struct ledger_transfer_item *item)
{
    struct call *c = ctx;
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    if (item != NULL) {
        json_ledger_item(&a.body, item);
        buf_append_byte(&a.body, '\n');
    } else {
        answer_error(&a, STATUS_NOT_FOUND, false, slice_str("no such transfer"));
    }
    call_send(c, &a);
}

static void audit_done(void *ctx, const struct client_error *e, const struct ledger_audit *audit)
{
    struct call *c = ctx;
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    json_ledger_audit(&a.body, audit);
    buf_append_byte(&a.body, '\n');
    call_send(c, &a);
}

/* --- currencies --- */

static void currencies_done(void *ctx, const struct client_error *e, const struct ledger_currency *list, size_t count)
{
    struct call *c = ctx;
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    if (c->endpoint == ENDPOINT_LEDGER_CURRENCY) {
        json_ledger_currency(&a.body, &list[0]);
    } else {
        json_open(&a.body, '{');
        json_key(&a.body, "currencies");
        json_open(&a.body, '[');
        for (size_t i = 0; i < count; i++) json_ledger_currency(&a.body, &list[i]);
        json_close(&a.body, ']');
        json_close(&a.body, '}');
    }
    buf_append_byte(&a.body, '\n');
    call_send(c, &a);
}

static void handle_currencies(struct call *c, const struct input *in, const struct route *route)
{
    struct errbuf err;
    struct ledger_currency currency = {.scale = 0};
    uint64_t ledger = 0;
    json_t *tree = NULL;
    bool sets = c->endpoint == ENDPOINT_LEDGER_CURRENCY;
    enum status s = query_timeout(in, c, &err);
    if (s == STATUS_OK && sets && (!text_to_u64(route->key, UINT32_MAX, &ledger) || ledger == 0)) {
        errbuf_set(&err, "a ledger is a number from 1 to %u", UINT32_MAX);
        s = STATUS_INVALID;
    }
    if (s == STATUS_OK && sets) s = json_load_body(in->body, &tree, &err);
    struct json_at root = {.value = tree, .path = {.parent = NULL, .name = ""}};
    if (s == STATUS_OK && sets) s = json_want_currency(&root, &currency, &err);
    currency.ledger = (uint32_t)ledger;
    if (s != STATUS_OK)
        call_refuse(c, s, &err);
    else if (sets)
        ledger_set_currency(c->gateway->ledger, &currency, c->timeout_ms, currencies_done, c);
    else
        ledger_list_currencies(c->gateway->ledger, c->timeout_ms, currencies_done, c);
    json_decref(tree);
}

/* --- pages --- */

static void page_done(void *ctx, const struct client_error *e, const struct ledger_page *page)
{
    struct call *c = ctx;
    struct answer a;
    struct buf *b = &a.body;
    if (!call_answers(c, e, &a)) return;
    json_open(b, '{');
    json_key(b, page->balances != NULL ? "balances" : "transfers");
    json_open(b, '[');
    for (size_t i = 0; i < page->count; i++) {
        if (page->balances == NULL) {
            json_ledger_item(b, &page->items[i]);
            continue;
        }
        json_open(b, '{');
        json_key(b, "timestamp");
        json_u64_text(b, page->timestamps[i]);
        json_ledger_id(b, "transfer_id", &page->items[i].transfer.id);
        json_ledger_balance(b, &page->balances[i]);
        json_close(b, '}');
    }
    json_close(b, ']');
    page_end(b, page->ts, page->next);
    call_send(c, &a);
}

enum { Q_TIMEOUT, Q_AT, Q_FROM, Q_TO, Q_LIMIT, Q_NEXT, Q_CODE, Q_LEDGER, Q_REVERSE, Q_SIDE, Q_PARAMS };
#define BIT(q) (1u << (q))
#define Q_PAGE (BIT(Q_FROM) | BIT(Q_TO) | BIT(Q_LIMIT) | BIT(Q_NEXT) | BIT(Q_CODE) | BIT(Q_LEDGER))

/* What means something where; the rest is refused: an answer that looks like what was asked for is worse than none. */
static unsigned params_of(enum endpoint e, bool at)
{
    switch ((int)e) {
    case ENDPOINT_LEDGER_ACCOUNT: return BIT(Q_TIMEOUT) | BIT(Q_AT);
    case ENDPOINT_LEDGER_BALANCES: return BIT(Q_TIMEOUT) | BIT(Q_AT) | (at ? 0 : Q_PAGE | BIT(Q_SIDE));
    case ENDPOINT_LEDGER_POSTINGS: return BIT(Q_TIMEOUT) | Q_PAGE | BIT(Q_REVERSE) | BIT(Q_SIDE);
    case ENDPOINT_LEDGER_TRANSFERS: return BIT(Q_TIMEOUT) | Q_PAGE;
    default: return BIT(Q_TIMEOUT);
    }
}

static enum status refuse_others(const struct query_param *p, enum endpoint e, struct errbuf *err)
{
    unsigned params = params_of(e, p[Q_AT].present);
    for (unsigned i = 0; i < Q_PARAMS; i++) {
        if (!p[i].present || (params & BIT(i)) != 0) continue;
        errbuf_set(err, "%s: means nothing %s", p[i].name, e == ENDPOINT_LEDGER_BALANCES ? "beside 'at'" : "here");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status number(const struct query_param *p, uint64_t max, uint64_t *out, struct errbuf *err)
{
    *out = 0;
    if (!p->present || text_to_u64(p->value, max, out)) return STATUS_OK;
    errbuf_set(err, "%s: expected an integer from 0 to %llu", p->name, (unsigned long long)max);
    return STATUS_INVALID;
}

static enum status side(const struct query_param *p, struct ledger_query *q, struct errbuf *err)
{
    if (!p->present) return STATUS_OK;
    q->debits = slice_eq(p->value, slice_str("debit"));
    q->credits = slice_eq(p->value, slice_str("credit"));
    if (q->debits || q->credits) return STATUS_OK;
    errbuf_set(err, "side: expected debit or credit");
    return STATUS_INVALID;
}

static enum status take_query(const struct query_param *p, struct call *c, struct ledger_query *q, struct errbuf *err)
{
    uint64_t limit = 0, code = 0, ledger = 0;
    enum status s = number(&p[Q_FROM], UINT64_MAX, &q->from, err);
    if (s == STATUS_OK) s = number(&p[Q_TO], UINT64_MAX, &q->to, err);
    if (s == STATUS_OK) s = number(&p[Q_LIMIT], LEDGER_PAGE_MAX, &limit, err);
    if (s == STATUS_OK) s = number(&p[Q_CODE], UINT16_MAX, &code, err);
    if (s == STATUS_OK) s = number(&p[Q_LEDGER], UINT32_MAX, &ledger, err);
    if (s == STATUS_OK) s = side(&p[Q_SIDE], q, err);
    if (s == STATUS_OK && p[Q_NEXT].present && !base64_decode(p[Q_NEXT].value, &c->arena, &q->next)) {
        errbuf_set(err, "next: not a value that an earlier page gave");
        s = STATUS_INVALID;
    }
    q->limit = (uint32_t)limit;
    q->code = (uint16_t)code;
    q->ledger = (uint32_t)ledger;
    return s == STATUS_OK ? take_flag(&p[Q_REVERSE], &q->reverse, err) : s;
}

static void handle_read(struct call *c, const struct input *in, const struct route *route)
{
    static const char *const names[] = {"timeout_ms", "at",   "from",   "to",      "limit",
                                        "next",       "code", "ledger", "reverse", "side"};
    struct query_param p[Q_PARAMS];
    struct errbuf err;
    struct ledger *l = c->gateway->ledger;
    struct ledger_query q = {.next = SLICE_EMPTY};
    struct ledger_id id = ledger_id_of(0, 0);
    uint64_t at = 0;
    uint32_t ms = 0;
    for (int i = 0; i < Q_PARAMS; i++) p[i] = (struct query_param){.name = names[i]};
    enum status s = query_parse(in->query, p, Q_PARAMS, &c->arena, &err);
    if (s == STATUS_OK) s = refuse_others(p, c->endpoint, &err);
    if (s == STATUS_OK) s = take_timeout(&p[Q_TIMEOUT], &ms, &err);
    if (s == STATUS_OK) s = number(&p[Q_AT], UINT64_MAX - 1, &at, &err);
    if (s == STATUS_OK) s = take_query(p, c, &q, &err);
    if (s == STATUS_OK && route->key.size > 0) s = take_id(c, route, &id, &err);
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
        return;
    }
    uint32_t timeout_ms = call_timeout(c, ms);
    q.of_account = route->key.size > 0;
    q.account = id;
    q.balances = c->endpoint == ENDPOINT_LEDGER_BALANCES;
    if (c->endpoint == ENDPOINT_LEDGER_TRANSFER) {
        ledger_get_transfer(l, &id, timeout_ms, transfer_done, c);
    } else if (c->endpoint == ENDPOINT_LEDGER_ACCOUNT || p[Q_AT].present) {
        ledger_get_account(l, &id, at, timeout_ms, account_done, c);
    } else {
        ledger_list(l, &q, timeout_ms, page_done, c);
    }
}

static void handle_audit(struct call *c, const struct input *in)
{
    struct query_param p[] = {{.name = "timeout_ms"}, {.name = "at"}};
    struct errbuf err;
    uint64_t at = 0;
    uint32_t ms = 0;
    enum status s = query_parse(in->query, p, 2, &c->arena, &err);
    if (s == STATUS_OK) s = take_timeout(&p[0], &ms, &err);
    if (s == STATUS_OK) s = number(&p[1], UINT64_MAX - 1, &at, &err);
    if (s == STATUS_OK)
        ledger_run_audit(c->gateway->ledger, at, ms > 0 ? ms : AUDIT_TIMEOUT_MS, NULL, audit_done, c);
    else
        call_refuse(c, s, &err);
}

static void handle_accounts(struct call *c, const struct input *in)
{
    struct query_param p[] = {{.name = "timeout_ms"}, {.name = "limit"}, {.name = "next"}};
    struct errbuf err;
    struct slice next = SLICE_EMPTY;
    uint64_t limit = 0;
    uint32_t ms = 0;
    enum status s = query_parse(in->query, p, 3, &c->arena, &err);
    if (s == STATUS_OK) s = take_timeout(&p[0], &ms, &err);
    if (s == STATUS_OK) s = number(&p[1], LEDGER_PAGE_MAX, &limit, &err);
    if (s == STATUS_OK && p[2].present && !base64_decode(p[2].value, &c->arena, &next)) {
        errbuf_set(&err, "next: not a value that an earlier page gave");
        s = STATUS_INVALID;
    }
    if (s != STATUS_OK)
        call_refuse(c, s, &err);
    else
        ledger_list_accounts(c->gateway->ledger, next, (uint32_t)limit, call_timeout(c, ms), accounts_done, c);
}

void call_ledger(struct call *c, const struct input *in, const struct route *route)
{
    struct errbuf err;
    bool creates =
        (c->method == HTTP_POST && c->endpoint != ENDPOINT_LEDGER_AUDIT) || c->endpoint == ENDPOINT_LEDGER_CURRENCY;
    if (c->gateway->ledger == NULL) {
        errbuf_set(&err, "this gateway has no ledger");
        call_refuse(c, STATUS_UNSUPPORTED, &err);
    } else if (!call_may_all(c, creates ? AUTH_LEDGER : AUTH_READ, slice_str(LEDGER_KEYSPACE))) {
        return;
    } else if (c->endpoint == ENDPOINT_LEDGER_AUDIT) {
        handle_audit(c, in);
    } else if (c->endpoint == ENDPOINT_LEDGER_CURRENCY || c->endpoint == ENDPOINT_LEDGER_CURRENCIES) {
        handle_currencies(c, in, route);
    } else if (c->endpoint == ENDPOINT_LEDGER_ACCOUNTS && c->method == HTTP_GET) {
        handle_accounts(c, in);
    } else if (c->method == HTTP_POST) {
        handle_create(c, in, c->endpoint == ENDPOINT_LEDGER_TRANSFERS);
    } else {
        handle_read(c, in, route);
    }
}
