/* `quorate bench ledger`: transfers over HTTP in a closed loop, one to a request or many, between accounts drawn evenly or from a few hot
 * ones. Every account may only spend what it has; each begins with so much that nothing is refused, unless --funds says otherwise. */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"
#include "bench/commands.h"
#include "cli/http_load.h"
#include "cli/latency.h"
#include "cli/ledger_cli.h"
#include "env_posix/env_posix.h"

#define SETUP_BATCH 2000u
#define VAULT "1"

enum phase { SETUP_ACCOUNTS, SETUP_FUNDS, MEASURE };

struct bench_ledger {
    struct cli *cli;
    struct env *env;
    struct load load;
    struct prng prng;
    char gateway[LIMIT_ADDRESS_BYTES];
    uint64_t run, accounts, hot, batch, connections, seconds, funds;
    enum phase phase;
    uint64_t next, total;
    uint64_t begun_ns, end_ns, ended_ns;
    uint64_t *sent_ns; /* by lane */
    uint64_t requests, transfers, refused;
    struct latency latency;
    struct report report;
};

/* Accounts of one run lie together, between those of others. */
static void account_id(const struct bench_ledger *b, uint64_t n, char text[40])
{
    snprintf(text, 40, "0x%08llx%024llx", (unsigned long long)(b->run & 0xFFFFFFFF), (unsigned long long)(n + 1));
}

static void transfer_json(struct bench_ledger *b, const char *debit, const char *credit, uint64_t amount,
                          struct buf *out)
{
    buf_printf(out,
               "{\"id\":\"0x%016llx%016llx\",\"debit_account_id\":\"%s\",\"credit_account_id\":\"%s\",\"amount\":%llu,"
               "\"ledger\":7,\"code\":1}",
               (unsigned long long)b->run, (unsigned long long)b->next, debit, credit, (unsigned long long)amount);
}

static void setup_item(struct bench_ledger *b, struct buf *out)
{
    char id[40];
    account_id(b, b->next, id);
    if (b->phase == SETUP_FUNDS) {
        transfer_json(b, VAULT, id, b->funds, out);
    } else {
        buf_printf(out, "{\"id\":\"%s\",\"ledger\":7,\"code\":1,\"flags\":[\"debits_must_not_exceed_credits\"]}", id);
    }
}

static void measured_item(struct bench_ledger *b, struct buf *out)
{
    char debit[40], credit[40];
    uint64_t among = b->hot > 0 ? b->hot : b->accounts;
    uint64_t from = prng_below(&b->prng, among), to = prng_below(&b->prng, among - 1);
    account_id(b, from, debit);
    account_id(b, to >= from ? to + 1 : to, credit);
    transfer_json(b, debit, credit, 1 + prng_below(&b->prng, 100), out);
}

static bool bench_next(void *ctx, struct lane *lane)
{
    struct bench_ledger *b = ctx;
    uint64_t now_ns = env_mono_ns(b->env), count = b->phase == MEASURE ? b->batch : SETUP_BATCH;
    if (b->phase == MEASURE ? now_ns >= b->end_ns : b->next >= b->total) return false;
    lane->method = HTTP_POST;
    buf_append_str(&lane->path, b->phase == SETUP_ACCOUNTS ? "/v1/ledger/accounts" : "/v1/ledger/transfers");
    if (count > 1) buf_append_byte(&lane->body, '[');
    for (uint64_t i = 0; i < count && (b->phase == MEASURE || b->next < b->total); i++) {
        if (i > 0) buf_append_byte(&lane->body, ',');
        if (b->phase == MEASURE)
            measured_item(b, &lane->body);
        else
            setup_item(b, &lane->body);
        b->next++;
    }
    if (count > 1) buf_append_byte(&lane->body, ']');
    b->sent_ns[lane - b->load.lanes] = now_ns;
    return true;
}

static uint64_t count_of(struct slice body, const char *text)
{
    size_t size = strlen(text);
    uint64_t count = 0;
    const uint8_t *at = body.data, *end = body.data + body.size;
    while (at + size <= end && (at = memchr(at, text[0], (size_t)(end - at) - size + 1)) != NULL) {
        count += memcmp(at, text, size) == 0;
        at++;
    }
    return count;
}

static void bench_answer(void *ctx, struct lane *lane, int code, struct slice body)
{
    struct bench_ledger *b = ctx;
    uint64_t now_ns = env_mono_ns(b->env);
    if (code != 200) {
        load_fail(&b->load, "HTTP %d %.*s", code, (int)(body.size < 300 ? body.size : 300), (const char *)body.data);
        return;
    }
    if (b->phase != MEASURE) return;
    uint64_t made = count_of(body, "\"result\":\"created\"");
    b->requests++;
    b->transfers += made;
    b->refused += b->batch - made;
    latency_add(&b->latency, now_ns - b->sent_ns[lane - b->load.lanes]);
    b->ended_ns = now_ns;
}

static int run_phase(struct bench_ledger *b, enum phase phase, uint64_t total, unsigned lanes)
{
    b->phase = phase;
    b->total = total;
    b->next = 0;
    load_open(&b->load, b->env, b->gateway, lanes, b);
    b->load.next = bench_next;
    b->load.answer = bench_answer;
    b->begun_ns = env_mono_ns(b->env);
    b->end_ns = b->begun_ns + b->seconds * 1000 * NS_PER_MS;
    int code = load_run(&b->load);
    load_close(&b->load);
    return code;
}

static int make_vault(struct bench_ledger *b)
{
    static const char body[] = "{\"id\":" VAULT ",\"ledger\":7,\"code\":1}";
    struct buf answer;
    buf_init(&answer, 1u << 16);
    int code = http_ask(b->env, b->gateway, HTTP_POST, "/v1/ledger/accounts", slice_str(body), &answer);
    buf_free(&answer);
    return code == 200 ? CLI_OK : cli_fail("the vault's account: HTTP %d", code);
}

static void tell(struct bench_ledger *b)
{
    double seconds = (double)(b->ended_ns - b->begun_ns) / 1e9;
    double rate = (double)b->transfers / (seconds > 0 ? seconds : 1);
    char what[80];
    snprintf(what, sizeof(what), "ledger/%s-%s", b->batch > 1 ? "batched" : "single", b->hot > 0 ? "hot" : "uniform");
    const char *line = args_text(&b->cli->args, "line", NULL);
    report_line(
        &b->report,
        "ledger: %llu transfers in %.1f s (%llu refused): %.0f/s; %llu a request, %llu connections, %llu "
        "accounts; request p50 %.2f ms, p99 %.2f ms, longest %.0f ms; %llu repeated",
        (unsigned long long)b->transfers, seconds, (unsigned long long)b->refused, rate, (unsigned long long)b->batch,
        (unsigned long long)b->connections, (unsigned long long)(b->hot > 0 ? b->hot : b->accounts),
        (double)latency_quantile_ns(&b->latency, 500) / 1e6, (double)latency_quantile_ns(&b->latency, 990) / 1e6,
        (double)b->latency.max_ns / 1e6, (unsigned long long)b->load.retries);
    if (line != NULL) report_line(&b->report, "bench %s/%s ours=%.0f unit=transfers/s", line, what, rate);
}

static int take_arguments(struct bench_ledger *b)
{
    const struct args *a = &b->cli->args;
    struct errbuf err;
    if (args_number(a, "accounts", 100000, 2, 10000000, &b->accounts, &err) != STATUS_OK ||
        args_number(a, "hot", 0, 0, 1000000, &b->hot, &err) != STATUS_OK ||
        args_number(a, "batch", 1, 1, LEDGER_BATCH_MAX, &b->batch, &err) != STATUS_OK ||
        args_number(a, "connections", b->batch > 1 ? 8 : 64, 1, 4096, &b->connections, &err) != STATUS_OK ||
        args_number(a, "seconds", 10, 1, 86400, &b->seconds, &err) != STATUS_OK ||
        args_number(a, "funds", 1000000000, 0, UINT32_MAX, &b->funds, &err) != STATUS_OK) {
        return cli_usage("%s", err.text);
    }
    if (b->hot == 1 || b->hot > b->accounts) return cli_usage("--hot: 2 or more, and no more than --accounts");
    return CLI_OK;
}

int run_bench_ledger(struct cli *c)
{
    struct bench_ledger b;
    struct errbuf err;
    memset(&b, 0, sizeof(b));
    b.cli = c;
    int code = take_arguments(&b);
    if (code != CLI_OK) return code;
    load_gateway(c, b.gateway, sizeof(b.gateway));
    b.env = load_env(c, NULL, &err);
    if (b.env == NULL) return cli_fail("%s", err.text);
    buf_init(&b.report.text, 1u << 16);
    b.env->ops->random(b.env, &b.run, sizeof(b.run));
    prng_init(&b.prng, b.run);
    b.sent_ns = mem_zalloc((b.connections + 8) * sizeof(*b.sent_ns));
    uint64_t needed = b.hot > 0 ? b.hot : b.accounts;
    code = make_vault(&b);
    if (code == CLI_OK) code = run_phase(&b, SETUP_ACCOUNTS, needed, 2);
    if (code == CLI_OK && b.funds > 0) code = run_phase(&b, SETUP_FUNDS, needed, 2);
    b.run ^= (uint64_t)1 << 63; /* other transfer ids, the same accounts: these take the low half */
    if (code == CLI_OK) code = run_phase(&b, MEASURE, 0, (unsigned)b.connections);
    if (code == CLI_OK) tell(&b);
    code = report_end(&b.report, c, code);
    mem_free(b.sent_ns);
    env_posix_quiesce(b.env);
    env_posix_free(b.env);
    return code;
}
