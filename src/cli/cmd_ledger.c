/* quorate ledger ...: accounts, transfers, balances, the audit. `ledger import` is in ledger_import.c, `ledger dump` in ledger_dump.c. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/ledger_cli.h"
#include "gateway/json_out.h"
#include "gateway/ledger_json.h"
#include "gateway/uri.h"
#include "ledger/words.h"

/* --- a command's life --- */

int ledger_command_open(struct ledger_command *k, struct cli *c)
{
    struct errbuf err;
    uint64_t scale = 0;
    memset(k, 0, sizeof(*k));
    if (args_number(&c->args, "scale", 0, 0, LEDGER_SCALE_MAX, &scale, &err) != STATUS_OK) {
        return cli_usage("%s", err.text);
    }
    k->scale = (unsigned)scale;
    k->scale_given = args_given(&c->args, "scale");
    arena_init(&k->arena, 4096);
    int code = session_open(&k->session, c);
    if (code != CLI_OK) return code;
    k->ledger = ledger_new(k->session.env, k->session.client, &(struct ledger_options){.expires = false});
    return CLI_OK;
}

static void currencies_learned(void *ctx, const struct client_error *e, const struct ledger_currency *list,
                               size_t count)
{
    struct ledger_command *k = ctx;
    if (e->status != STATUS_OK) {
        ledger_command_end(k, cli_client_failed("the currencies", e));
        return;
    }
    k->currencies = arena_alloc(&k->arena, (count + 1) * sizeof(*list));
    if (count > 0) memcpy(k->currencies, list, count * sizeof(*list));
    k->currency_count = count;
    ledger_command_end(k, CLI_OK);
}

int ledger_command_open_showing(struct ledger_command *k, struct cli *c)
{
    int code = ledger_command_open(k, c);
    if (code != CLI_OK || k->scale_given || c->output == OUTPUT_JSON) return code;
    ledger_list_currencies(k->ledger, c->timeout_ms, currencies_learned, k);
    code = session_wait(&k->session);
    k->session.done = false;
    return code == CLI_OK ? CLI_OK : ledger_command_close(k);
}

int ledger_command_close(struct ledger_command *k)
{
    int code = session_wait(&k->session);
    ledger_free(k->ledger);
    session_close(&k->session);
    arena_free(&k->arena);
    return code;
}

void ledger_command_end(struct ledger_command *k, int code)
{
    k->session.exit_code = code;
    k->session.done = true;
}

static int word_id(const struct cli *c, unsigned word, struct ledger_id *out)
{
    if (ledger_id_parse(slice_str(c->args.words[word]), out)) return CLI_OK;
    return cli_usage("'%s' is not an id: an integer from 0 to 2^128 - 1, or 0x...", c->args.words[word]);
}

static int take_amount(const char *text, i128 *out)
{
    if (i128_parse(slice_str(text), out) && *out >= 0 && *out <= LEDGER_AMOUNT_MAX) return CLI_OK;
    return cli_usage("'%s' is not an amount: an integer from 0 to 2^112 - 1", text);
}

static int flag_number(const struct cli *c, const char *name, uint64_t fallback, uint64_t max, uint64_t *out)
{
    struct errbuf err;
    return args_number(&c->args, name, fallback, 0, max, out, &err) == STATUS_OK ? CLI_OK : cli_usage("%s", err.text);
}

static int flag_flags(const struct cli *c, const struct ledger_flag_word *words, uint16_t *out)
{
    const char *text = args_text(&c->args, "flags", "");
    *out = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, ",|");
        uint16_t flag;
        if (!ledger_flag_find(words, slice_make(text, size), &flag)) {
            return cli_usage("--flags: there is no flag '%.*s'", (int)size, text);
        }
        *out |= flag;
        text += size;
        if (*text != '\0') text++;
    }
    return CLI_OK;
}

static void print_line(struct buf *b)
{
    buf_append_byte(b, '\n');
    out_buf(b);
    buf_free(b);
}

/* --- creating --- */

static void created(void *ctx, const struct client_error *e, const struct ledger_outcome *outcomes, size_t count)
{
    struct ledger_command *k = ctx;
    int code = CLI_OK;
    if (e->status != STATUS_OK) {
        ledger_command_end(k, cli_client_failed("the ledger", e));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct buf b;
        char id[LEDGER_ID_TEXT_MAX];
        const struct ledger_outcome *o = &outcomes[i];
        bool fine = o->result == LEDGER_CREATED || o->result == LEDGER_EXISTS;
        if (!fine) code = CLI_FAILED;
        buf_init(&b, 4096);
        ledger_id_format(&k->ids[i], id);
        if (k->session.cli->output == OUTPUT_JSON) {
            json_ledger_outcome(&b, SIZE_MAX, &k->ids[i], o, k->transfers);
        } else {
            buf_printf(&b, "%s\t%s", id, ledger_result_name(o->result));
            if (o->result == LEDGER_ID_ALREADY_FAILED) buf_printf(&b, "\t%s", ledger_result_name(o->first));
        }
        print_line(&b);
    }
    ledger_command_end(k, code);
}

int run_ledger_create_accounts(struct cli *c)
{
    struct ledger_command k;
    struct ledger_account a = {.code = 0};
    uint64_t ledger = 0, code_number = 0;
    int code = flag_number(c, "ledger", 1, UINT32_MAX, &ledger);
    if (code == CLI_OK) code = flag_number(c, "code", 1, UINT16_MAX, &code_number);
    if (code == CLI_OK) code = flag_flags(c, ledger_account_words, &a.flags);
    if (code != CLI_OK) return code;
    a.ledger = (uint32_t)ledger;
    a.code = (uint16_t)code_number;
    struct ledger_account accounts[ARGS_WORDS_MAX];
    struct ledger_id ids[ARGS_WORDS_MAX];
    for (unsigned i = 0; i < c->args.word_count; i++) {
        accounts[i] = a;
        code = word_id(c, i, &ids[i]);
        if (code != CLI_OK) return code;
        accounts[i].id = ids[i];
    }
    code = ledger_command_open(&k, c);
    if (code != CLI_OK) return code;
    k.ids = ids;
    ledger_create_accounts(k.ledger, accounts, c->args.word_count, c->timeout_ms, created, &k);
    return ledger_command_close(&k);
}

static int send_transfer(struct cli *c, struct ledger_transfer *t)
{
    struct ledger_command k;
    const char *id = args_text(&c->args, "id", NULL);
    if (id != NULL && !ledger_id_parse(slice_str(id), &t->id)) return cli_usage("--id: not an id");
    int code = ledger_command_open(&k, c);
    if (code != CLI_OK) return code;
    if (id == NULL) k.session.env->ops->random(k.session.env, t->id.bytes, sizeof(t->id.bytes));
    k.ids = &t->id;
    k.transfers = true;
    ledger_create_transfers(k.ledger, t, 1, c->timeout_ms, created, &k);
    return ledger_command_close(&k);
}

int run_ledger_transfer(struct cli *c)
{
    struct ledger_transfer t = {.amount = 0};
    uint64_t ledger = 0, code_number = 0, timeout = 0;
    int code = word_id(c, 0, &t.debit);
    if (code == CLI_OK) code = word_id(c, 1, &t.credit);
    if (code == CLI_OK) code = take_amount(c->args.words[2], &t.amount);
    if (code == CLI_OK) code = flag_number(c, "ledger", 1, UINT32_MAX, &ledger);
    if (code == CLI_OK) code = flag_number(c, "code", 1, UINT16_MAX, &code_number);
    if (code == CLI_OK) code = flag_number(c, "expires-s", 0, UINT32_MAX, &timeout);
    if (code == CLI_OK) code = flag_flags(c, ledger_transfer_words, &t.flags);
    if (code != CLI_OK) return code;
    t.ledger = (uint32_t)ledger;
    t.code = (uint16_t)code_number;
    t.timeout_s = (uint32_t)timeout;
    return send_transfer(c, &t);
}

static int second_phase(struct cli *c, uint16_t flag)
{
    struct ledger_transfer t = {.amount = LEDGER_AMOUNT_ALL, .flags = flag};
    const char *amount = args_text(&c->args, "amount", NULL);
    int code = word_id(c, 0, &t.pending_id);
    if (code == CLI_OK && amount != NULL) code = take_amount(amount, &t.amount);
    if (code != CLI_OK) return code;
    return send_transfer(c, &t);
}

int run_ledger_post(struct cli *c)
{
    return second_phase(c, LEDGER_POST_PENDING);
}

int run_ledger_void(struct cli *c)
{
    return second_phase(c, LEDGER_VOID_PENDING);
}

/* --- reading --- */

static void amount_cell(struct text_table *t, i128 v, const struct ledger_currency *c)
{
    char text[I128_TEXT_MAX + 24];
    ledger_amount_format(v, c->scale, text);
    text_table_cell(t, "%s%s%s", text, c->name[0] != '\0' ? " " : "", c->name);
}

/* How amounts of a ledger are shown. */
static struct ledger_currency shown_as(const struct ledger_command *k, uint32_t ledger)
{
    for (size_t i = 0; i < k->currency_count; i++) {
        if (k->currencies[i].ledger == ledger) return k->currencies[i];
    }
    return (struct ledger_currency){.ledger = ledger, .scale = k->scale};
}

static void id_cell(struct text_table *t, const struct ledger_id *id)
{
    char text[LEDGER_ID_TEXT_MAX];
    ledger_id_format(id, text);
    text_table_cell(t, "%s", text);
}

static void balance_cells(struct text_table *t, const struct ledger_balance *b, struct ledger_currency c)
{
    amount_cell(t, b->debits_posted, &c);
    amount_cell(t, b->credits_posted, &c);
    amount_cell(t, b->debits_pending, &c);
    amount_cell(t, b->credits_pending, &c);
}

static void print_table(struct ledger_command *k, struct text_table *t)
{
    struct buf b;
    buf_init(&b, 1u << 24);
    text_table_write(t, k->session.cli->output, &b);
    out_buf(&b);
    buf_free(&b);
    text_table_free(t);
}

static void account_done(void *ctx, const struct client_error *e, const struct ledger_account_reply *r)
{
    static const char *const heads[] = {"ACCOUNT",        "LEDGER",          "CODE", "DEBITS", "CREDITS",
                                        "PENDING DEBITS", "PENDING CREDITS", "STATE"};
    struct ledger_command *k = ctx;
    if (e->status != STATUS_OK) {
        ledger_command_end(k, cli_client_failed("the account", e));
        return;
    }
    if (!r->found) {
        ledger_command_end(k, cli_fail("no such account"));
        return;
    }
    if (k->session.cli->output == OUTPUT_JSON) {
        struct buf b;
        buf_init(&b, 4096);
        json_open(&b, '{');
        json_ledger_account(&b, &r->account, &r->balance);
        json_key(&b, "as_of");
        json_u64_text(&b, r->ts);
        json_ledger_summed(&b, r);
        json_close(&b, '}');
        print_line(&b);
    } else {
        struct text_table t;
        text_table_init(&t, heads, 8);
        id_cell(&t, &r->account.id);
        text_table_cell(&t, "%u", r->account.ledger);
        text_table_cell(&t, "%u", r->account.code);
        balance_cells(&t, &r->balance, shown_as(k, r->account.ledger));
        text_table_cell(&t, "%s", r->summed ? "-" : r->balance.closed ? "closed" : "open");
        print_table(k, &t);
    }
    ledger_command_end(k, CLI_OK);
}

int run_ledger_account(struct cli *c)
{
    struct ledger_command k;
    struct ledger_id id;
    uint64_t at = 0;
    int code = word_id(c, 0, &id);
    if (code == CLI_OK) code = flag_number(c, "at", 0, UINT64_MAX, &at);
    if (code == CLI_OK) code = ledger_command_open_showing(&k, c);
    if (code != CLI_OK) return code;
    ledger_get_account(k.ledger, &id, at, c->timeout_ms, account_done, &k);
    return ledger_command_close(&k);
}

static void transfer_cells(struct text_table *t, const struct ledger_transfer_item *item, struct ledger_currency c)
{
    id_cell(t, &item->transfer.id);
    id_cell(t, &item->transfer.debit);
    id_cell(t, &item->transfer.credit);
    amount_cell(t, item->transfer.amount, &c);
    text_table_cell(t, "%u", item->transfer.code);
    text_table_cell(t, "%s",
                    item->state == TRANSFER_REFUSED ? ledger_result_name(item->refusal)
                                                    : ledger_transfer_state_name(item->state));
    text_table_cell(t, "%llu", (unsigned long long)item->transfer.timestamp);
}

static const char *const transfer_heads[] = {"TRANSFER", "DEBIT", "CREDIT", "AMOUNT", "CODE", "STATE", "TIMESTAMP"};
static const char *const balance_heads[] = {"TIMESTAMP", "TRANSFER",       "DEBITS",
                                            "CREDITS",   "PENDING DEBITS", "PENDING CREDITS"};

static void transfer_done(void *ctx, const struct client_error *e, const struct ledger_transfer_item *item)
{
    struct ledger_command *k = ctx;
    if (e->status != STATUS_OK) {
        ledger_command_end(k, cli_client_failed("the transfer", e));
    } else if (item == NULL) {
        ledger_command_end(k, cli_fail("no such transfer"));
    } else if (k->session.cli->output == OUTPUT_JSON) {
        struct buf b;
        buf_init(&b, 4096);
        json_ledger_item(&b, item);
        print_line(&b);
        ledger_command_end(k, CLI_OK);
    } else {
        struct text_table t;
        text_table_init(&t, transfer_heads, 7);
        transfer_cells(&t, item, shown_as(k, item->transfer.ledger));
        print_table(k, &t);
        ledger_command_end(k, CLI_OK);
    }
}

int run_ledger_lookup(struct cli *c)
{
    struct ledger_command k;
    struct ledger_id id;
    int code = word_id(c, 0, &id);
    if (code == CLI_OK) code = ledger_command_open_showing(&k, c);
    if (code != CLI_OK) return code;
    ledger_get_transfer(k.ledger, &id, c->timeout_ms, transfer_done, &k);
    return ledger_command_close(&k);
}

static void page_json(const struct ledger_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        struct buf b;
        buf_init(&b, 4096);
        if (page->balances == NULL) {
            json_ledger_item(&b, &page->items[i]);
        } else {
            json_open(&b, '{');
            json_key(&b, "timestamp");
            json_u64_text(&b, page->timestamps[i]);
            json_ledger_id(&b, "transfer_id", &page->items[i].transfer.id);
            json_ledger_balance(&b, &page->balances[i]);
            json_close(&b, '}');
        }
        print_line(&b);
    }
}

static void page_done(void *ctx, const struct client_error *e, const struct ledger_page *page)
{
    struct ledger_command *k = ctx;
    struct text_table t;
    if (e->status != STATUS_OK) {
        ledger_command_end(k, cli_client_failed("the page", e));
        return;
    }
    bool balances = page->balances != NULL;
    if (k->session.cli->output == OUTPUT_JSON) {
        page_json(page);
    } else {
        text_table_init(&t, balances ? balance_heads : transfer_heads, balances ? 6 : 7);
        for (size_t i = 0; i < page->count; i++) {
            if (!balances) {
                transfer_cells(&t, &page->items[i], shown_as(k, page->items[i].transfer.ledger));
                continue;
            }
            text_table_cell(&t, "%llu", (unsigned long long)page->timestamps[i]);
            id_cell(&t, &page->items[i].transfer.id);
            balance_cells(&t, &page->balances[i], shown_as(k, page->items[i].transfer.ledger));
        }
        if (page->count > 0 || k->told == 0)
            print_table(k, &t);
        else
            text_table_free(&t);
    }
    k->told += page->count;
    if (page->next.size == 0 || k->told >= k->wanted) {
        ledger_command_end(k, CLI_OK);
        return;
    }
    k->query.next = arena_dup_slice(&k->arena, page->next);
    if (k->wanted - k->told < k->query.limit) k->query.limit = (uint32_t)(k->wanted - k->told);
    ledger_list(k->ledger, &k->query, k->session.cli->timeout_ms, page_done, k);
}

static int run_page(struct cli *c, bool balances)
{
    struct ledger_command k;
    uint64_t limit = 0, from = 0, to = 0, code_number = 0, ledger = 0;
    struct ledger_id id = ledger_id_of(0, 0);
    int code = flag_number(c, "limit", 100, UINT32_MAX, &limit);
    if (code == CLI_OK) code = flag_number(c, "from", 0, UINT64_MAX, &from);
    if (code == CLI_OK) code = flag_number(c, "to", 0, UINT64_MAX, &to);
    if (code == CLI_OK) code = flag_number(c, "code", 0, UINT16_MAX, &code_number);
    if (code == CLI_OK) code = flag_number(c, "ledger", 0, UINT32_MAX, &ledger);
    if (code == CLI_OK && c->args.word_count > 0) code = word_id(c, 0, &id);
    if (code == CLI_OK && c->args.word_count == 0 && args_switch(&c->args, "reverse"))
        code = cli_usage("--reverse is for an account's transfers: all of them come in the order of ids");
    if (code == CLI_OK) code = ledger_command_open_showing(&k, c);
    if (code != CLI_OK) return code;
    k.wanted = limit;
    k.query = (struct ledger_query){.of_account = c->args.word_count > 0,
                                    .account = id,
                                    .from = from,
                                    .to = to,
                                    .code = (uint16_t)code_number,
                                    .ledger = (uint32_t)ledger,
                                    .reverse = args_switch(&c->args, "reverse"),
                                    .balances = balances,
                                    .limit = limit < LEDGER_PAGE_MAX ? (uint32_t)limit : LEDGER_PAGE_MAX,
                                    .next = SLICE_EMPTY};
    ledger_list(k.ledger, &k.query, c->timeout_ms, page_done, &k);
    return ledger_command_close(&k);
}

int run_ledger_transfers(struct cli *c)
{
    return run_page(c, false);
}

int run_ledger_balances(struct cli *c)
{
    return run_page(c, true);
}

/* --- the audit --- */

static void audit_done(void *ctx, const struct client_error *e, const struct ledger_audit *a)
{
    static const char *const heads[] = {"LEDGER",  "ACCOUNTS",       "TRANSFERS",      "DEBITS",
                                        "CREDITS", "PENDING DEBITS", "PENDING CREDITS"};
    struct ledger_command *k = ctx;
    if (e->status != STATUS_OK) {
        ledger_command_end(k, cli_client_failed("the audit", e));
        return;
    }
    if (k->session.cli->output == OUTPUT_JSON) {
        struct buf b;
        buf_init(&b, 1u << 20);
        json_ledger_audit(&b, a);
        print_line(&b);
    } else {
        struct text_table t;
        text_table_init(&t, heads, 7);
        for (size_t i = 0; i < a->ledger_count; i++) {
            const struct ledger_audit_sums *s = &a->sums[i];
            struct ledger_balance sums = {.debits_pending = s->debits_pending,
                                          .debits_posted = s->debits_posted,
                                          .credits_pending = s->credits_pending,
                                          .credits_posted = s->credits_posted};
            text_table_cell(&t, "%u", s->ledger);
            text_table_cell(&t, "%llu", (unsigned long long)s->accounts);
            text_table_cell(&t, "%llu", (unsigned long long)s->transfers);
            balance_cells(&t, &sums, shown_as(k, s->ledger));
        }
        print_table(k, &t);
        out_printf("ledger: audit of one snapshot: %llu accounts, %llu transfers, %llu postings, %llu pending, %llu "
                   "refusals\n",
                   (unsigned long long)a->accounts, (unsigned long long)a->transfers, (unsigned long long)a->postings,
                   (unsigned long long)a->pending, (unsigned long long)a->refusals);
        if (a->faults == 0)
            out_printf(
                "ledger: VERDICT proven: debits equal credits, every balance is the sum of its postings, postings and "
                "transfers agree\n");
        else
            out_printf("ledger: VERDICT %llu FAULTS; the first: %s\n", (unsigned long long)a->faults, a->first_fault);
    }
    ledger_command_end(k, a->faults == 0 ? CLI_OK : CLI_FAILED);
}

int run_ledger_audit_command(struct cli *c)
{
    struct ledger_command k;
    uint64_t at = 0;
    int code = flag_number(c, "at", 0, UINT64_MAX, &at);
    if (code == CLI_OK) code = ledger_command_open_showing(&k, c);
    if (code != CLI_OK) return code;
    uint32_t timeout_ms = args_given(&c->args, "timeout") ? c->timeout_ms : 600000;
    ledger_run_audit(k.ledger, at, timeout_ms, NULL, audit_done, &k);
    return ledger_command_close(&k);
}

/* --- currencies --- */

static void currencies_shown(void *ctx, const struct client_error *e, const struct ledger_currency *list, size_t count)
{
    static const char *const heads[] = {"LEDGER", "DIGITS", "CURRENCY"};
    struct ledger_command *k = ctx;
    struct text_table t;
    if (e->status != STATUS_OK) {
        ledger_command_end(k, cli_client_failed("the currencies", e));
        return;
    }
    text_table_init(&t, heads, 3);
    for (size_t i = 0; i < count; i++) {
        if (k->session.cli->output == OUTPUT_JSON) {
            struct buf b;
            buf_init(&b, 4096);
            json_ledger_currency(&b, &list[i]);
            print_line(&b);
            continue;
        }
        text_table_cell(&t, "%u", list[i].ledger);
        text_table_cell(&t, "%u", list[i].scale);
        text_table_cell(&t, "%s", list[i].name);
    }
    if (k->session.cli->output == OUTPUT_JSON)
        text_table_free(&t);
    else
        print_table(k, &t);
    ledger_command_end(k, CLI_OK);
}

int run_ledger_currencies(struct cli *c)
{
    struct ledger_command k;
    int code = ledger_command_open(&k, c);
    if (code != CLI_OK) return code;
    ledger_list_currencies(k.ledger, c->timeout_ms, currencies_shown, &k);
    return ledger_command_close(&k);
}

int run_ledger_currency(struct cli *c)
{
    struct ledger_command k;
    struct ledger_currency currency = {.scale = 0};
    const char *name = args_text(&c->args, "name", "");
    uint64_t ledger = 0, scale = 0;
    if (!text_to_u64(slice_str(c->args.words[0]), UINT32_MAX, &ledger) || ledger == 0)
        return cli_usage("'%s' is not a ledger: a number from 1 to %u", c->args.words[0], UINT32_MAX);
    if (!args_given(&c->args, "scale")) return cli_usage("--scale: how many digits stand behind the point?");
    int code = flag_number(c, "scale", 0, LEDGER_SCALE_MAX, &scale);
    if (code != CLI_OK) return code;
    currency.ledger = (uint32_t)ledger;
    currency.scale = (unsigned)scale;
    if (strlen(name) <= LEDGER_CURRENCY_NAME_MAX) memcpy(currency.name, name, strlen(name));
    if (strlen(name) > LEDGER_CURRENCY_NAME_MAX || !ledger_currency_valid(&currency))
        return cli_usage("--name: at most %u of A-Z, a-z, 0-9, _ and -", LEDGER_CURRENCY_NAME_MAX);
    code = ledger_command_open(&k, c);
    if (code != CLI_OK) return code;
    ledger_set_currency(k.ledger, &currency, c->timeout_ms, currencies_shown, &k);
    return ledger_command_close(&k);
}
