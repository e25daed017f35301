/* bench bank: transfers between accounts, each two guarded adds in one transaction, in a closed loop; with --audit one more client that
 * reads all balances as of one timestamp, again and again, and checks their sum while the transfers run. In a keyspace of one range a
 * transfer is one log entry; in one of many nearly every transfer goes over two ranges.
 *
 *   fund: every account to BALANCE --all there--> transfers --seconds are over--> drain --> audit, report */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/prng.h"
#include "bench/commands.h"
#include "bench/turns.h"
#include "cli/cli_int.h"
#include "cli/latency.h"
#include "env_posix/env_posix.h"
#include "env_posix/process.h"

enum { FUND_PER_TXN = 200, FUND_TXNS = 16, AMOUNT_MAX = 100 };
#define BALANCE 1000000000ll

struct lane {
    struct bank *bank;
    struct client *client;
    struct txn_id id;
    uint64_t call_ns;
    char keys[2][24];
};

struct bank {
    struct session session;
    struct actor actor;
    struct slice keyspace;
    uint64_t accounts, hot, connections, depth, seconds, run, numbered;
    bool ids, audits;
    struct prng prng;
    struct client **clients;
    struct lane *lanes;
    uint64_t funded, funding;
    uint64_t begun_ns, end_ns, last_ok_ns;
    unsigned busy;
    uint64_t ok, refused, failed, unknown;
    struct latency latency;
    /* audit */
    char next[32];                     /* where the next page begins */
    uint64_t audit_every, audit_at_ns; /* ms from the beginning of a reading to that of the next; when that is due */
    uint64_t audit_ts, rows, snapshots;
    int64_t sum;
    uint64_t audit_begun_ns, audit_turns; /* ms of a turn; 0: readings go on all the time */
    struct turns turns;
    bool auditing, last_audit, wrong, history_failed;
    const char *history_path;
    struct buf history; /* the reading under way */
    char why[200];
};

static void note_why(struct bank *b, const struct client_error *e)
{
    snprintf(b->why, sizeof b->why, "%s: %.*s", status_name(e->status),
             (int)(e->message.size < 150 ? e->message.size : 150), (const char *)e->message.data);
}

/* The accounts are this run's own. */
static void account_key(const struct bank *b, char key[24], uint64_t number)
{
    snprintf(key, 24, "bank/%06x/%08u", (unsigned)(b->run & 0xFFFFFF), (unsigned)number);
}

/* --- audit --- */

static void audit_page(struct bank *b);

/* The reading, one line for a checker of its own (docs/formats/history.md). */
static void audit_note(struct bank *b)
{
    struct errbuf err;
    buf_append_str(&b->history, "}}\n");
    if (b->history_path == NULL || b->history_failed) return;
    if (process_file_append(b->history_path, buf_slice(&b->history), &err) == STATUS_OK) return;
    b->history_failed = true;
    (void)cli_fail("--history: %s", err.text);
}

static void audit_over(struct bank *b)
{
    audit_note(b);
    int64_t want = (int64_t)b->accounts * BALANCE;
    if (b->rows != b->accounts || b->sum != want) {
        b->wrong = true;
        snprintf(b->why, sizeof b->why, "%" PRIu64 " accounts sum up to %" PRId64 ", not %" PRId64, b->rows, b->sum,
                 want);
    }
    b->snapshots++;
    b->auditing = false;
    if (b->audit_turns > 0) turns_beside(&b->turns, b->audit_begun_ns, env_mono_ns(b->session.env));
    if (b->last_audit || b->wrong) b->session.done = true;
    b->session.env->ops->wake(b->session.env);
}

static void audit_done(void *ctx, const struct client_error *e, const struct scan_reply *page)
{
    struct bank *b = ctx;
    if (e->status != STATUS_OK) { /* from the start, as of another timestamp */
        note_why(b, e);
        b->auditing = false;
        b->session.env->ops->wake(b->session.env);
        return;
    }
    b->audit_ts = page->mark.ts;
    for (size_t i = 0; i < page->row_count; i++) {
        char text[40] = "";
        struct slice v = page->rows[i].value;
        memcpy(text, v.data, v.size < sizeof text - 1 ? v.size : 0);
        int64_t balance = strtoll(text, NULL, 10);
        if (b->history_path != NULL) {
            struct slice key = page->rows[i].key;
            buf_printf(&b->history, "%s\"%.*s\":%" PRId64, b->rows > 0 ? "," : "", (int)key.size,
                       (const char *)key.data, balance);
        }
        b->sum += balance;
        b->rows++;
        if (balance < 0) b->wrong = true;
    }
    if (!page->more || page->row_count == 0) {
        audit_over(b);
        return;
    }
    struct slice last = page->rows[page->row_count - 1].key;
    snprintf(b->next, sizeof b->next, "%.*s!", (int)last.size, (const char *)last.data);
    audit_page(b);
}

static void audit_page(struct bank *b)
{
    char end[24];
    snprintf(end, sizeof end, "bank/%06x0", (unsigned)(b->run & 0xFFFFFF));
    struct client_scan s = {
        .start = slice_str(b->next), .end = slice_str(end), .how = {.mode = READ_SNAPSHOT, .ts = b->audit_ts}};
    client_scan(b->session.client, b->keyspace, &s, b->session.cli->timeout_ms, audit_done, b);
}

static void audit_begin(struct bank *b)
{
    b->auditing = true;
    b->audit_begun_ns = env_mono_ns(b->session.env);
    b->audit_at_ns =
        b->audit_turns > 0 ? turns_next(&b->turns, b->audit_begun_ns) : b->audit_begun_ns + b->audit_every * NS_PER_MS;
    buf_clear(&b->history);
    buf_printf(&b->history, "{\"type\":\"ok\",\"process\":0,\"time\":%" PRIu64 ",\"value\":{",
               env_mono_ns(b->session.env));
    b->audit_ts = b->rows = 0;
    b->sum = 0;
    snprintf(b->next, sizeof b->next, "bank/%06x/", (unsigned)(b->run & 0xFFFFFF));
    audit_page(b);
}

/* --- transfers --- */

static void lane_send(struct lane *l);

static void transfer_done(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    struct lane *l = ctx;
    struct bank *b = l->bank;
    uint64_t now_ns = env_mono_ns(b->session.env);
    b->busy--;
    if (e->status != STATUS_OK) {
        b->failed++;
        if (e->unknown_outcome) b->unknown++;
        note_why(b, e);
    } else if (r->status != STATUS_OK) {
        b->refused++;
    } else {
        b->ok++;
        b->last_ok_ns = now_ns;
        latency_add(&b->latency, now_ns - l->call_ns);
        if (b->audit_turns > 0) turns_done(&b->turns, now_ns);
    }
    if (now_ns < b->end_ns) {
        lane_send(l);
    } else {
        b->session.env->ops->wake(b->session.env);
    }
}

static void lane_send(struct lane *l)
{
    struct bank *b = l->bank;
    uint64_t among = b->hot != 0 ? b->hot : b->accounts;
    uint64_t from = prng_below(&b->prng, among), to = (from + 1 + prng_below(&b->prng, among - 1)) % among;
    int64_t amount = 1 + (int64_t)prng_below(&b->prng, AMOUNT_MAX);
    account_key(b, l->keys[0], from);
    account_key(b, l->keys[1], to);
    struct txn_op ops[2] = {{.kind = TXN_ADD,
                             .key = slice_str(l->keys[0]),
                             .value = SLICE_EMPTY,
                             .delta = -amount,
                             .min = 0,
                             .max = I128_MAX},
                            {.kind = TXN_ADD,
                             .key = slice_str(l->keys[1]),
                             .value = SLICE_EMPTY,
                             .delta = amount,
                             .min = I128_MIN,
                             .max = I128_MAX}};
    struct txn t = {.ops = ops, .op_count = 2};
    if (b->ids) {
        memcpy(t.id.bytes, &b->run, 8);
        uint64_t number = ++b->numbered;
        memcpy(t.id.bytes + 8, &number, 8);
    }
    l->call_ns = env_mono_ns(b->session.env);
    b->busy++;
    client_txn(l->client, b->keyspace, &t, b->session.cli->timeout_ms, transfer_done, l);
}

/* --- funding --- */

static void fund_next(struct bank *b);

static void fund_done(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    struct bank *b = ctx;
    b->funding--;
    if (e->status != STATUS_OK) note_why(b, e);
    if (e->status != STATUS_OK || r->status != STATUS_OK) {
        b->session.exit_code = cli_fail("the accounts cannot be made: %s", b->why);
        b->session.done = true;
        return;
    }
    fund_next(b);
    b->session.env->ops->wake(b->session.env);
}

static void fund_next(struct bank *b)
{
    struct txn_op ops[FUND_PER_TXN];
    char keys[FUND_PER_TXN][24];
    while (b->funded < b->accounts && b->funding < FUND_TXNS && !b->session.done) {
        struct txn t = {.ops = ops};
        for (; t.op_count < FUND_PER_TXN && b->funded < b->accounts; t.op_count++) {
            account_key(b, keys[t.op_count], b->funded++);
            ops[t.op_count] = (struct txn_op){.kind = TXN_ADD,
                                              .key = slice_str(keys[t.op_count]),
                                              .value = SLICE_EMPTY,
                                              .delta = BALANCE,
                                              .min = BALANCE,
                                              .max = BALANCE};
        }
        b->funding++;
        client_txn(b->session.client, b->keyspace, &t, b->session.cli->timeout_ms, fund_done, b);
    }
}

/* --- life --- */

/* A signal ends the transfers: the last audit follows. */
static void on_stop(void *ctx)
{
    struct bank *b = ctx;
    b->end_ns = env_mono_ns(b->session.env);
    b->session.env->ops->wake(b->session.env);
}

static uint64_t bank_pass(struct actor *actor, uint64_t now_ns)
{
    struct bank *b = LIST_ENTRY(actor, struct bank, actor);
    if (b->session.done || b->funded < b->accounts || b->funding > 0) return DEADLINE_NONE;
    if (b->begun_ns == 0) {
        b->begun_ns = b->last_ok_ns = now_ns;
        b->end_ns = now_ns + b->seconds * 1000 * NS_PER_MS;
        if (b->audit_turns > 0) {
            turns_begin(&b->turns, now_ns, b->audit_turns * NS_PER_MS);
            b->audit_at_ns = turns_next(&b->turns, now_ns);
        }
        for (uint64_t i = 0; i < b->connections * b->depth; i++) lane_send(&b->lanes[i]);
    }
    if (b->auditing) return DEADLINE_NONE;
    if (now_ns < b->end_ns) {
        if (b->audits && now_ns >= b->audit_at_ns) audit_begin(b);
        return b->audits && b->audit_at_ns < b->end_ns ? b->audit_at_ns : b->end_ns;
    }
    if (b->busy > 0) return DEADLINE_NONE;
    b->last_audit = true;
    audit_begin(b);
    return DEADLINE_NONE;
}

static void report_turns(const struct bank *b, const char *line)
{
    size_t with, without;
    double slow = turns_median(&b->turns, true, b->end_ns, &with);
    double fast = turns_median(&b->turns, false, b->end_ns, &without);
    double slowed = fast > 0 ? (fast - slow) / fast * 100 : 0;
    if (with == 0 || without == 0) return;
    if (line != NULL) {
        out_printf("bench %s_slowed ours=%.1f unit=percent\n", line, slowed);
        return;
    }
    out_printf(
        "slowed          by %.1f %%: %.0f /s while a snapshot was read, %.0f /s else (medians of %zu and %zu turns)\n",
        slowed, slow, fast, with, without);
}

static int bank_report(struct bank *b)
{
    const char *line = args_text(&b->session.cli->args, "line", NULL);
    double seconds = (double)(b->last_ok_ns - b->begun_ns) / 1e9, rate = seconds > 0 ? (double)b->ok / seconds : 0;
    double p50 = (double)latency_quantile_ns(&b->latency, 500) / 1e6,
           p99 = (double)latency_quantile_ns(&b->latency, 990) / 1e6;
    if (line != NULL) {
        out_printf("bench %s ours=%.0f unit=op/s\nbench %s_p50 ours=%.3f unit=ms\nbench %s_p99 ours=%.3f unit=ms\n",
                   line, rate, line, p50, line, p99);
    } else {
        out_printf("transfers       %" PRIu64 " in %.1f s: %.0f /s, p50 %.3f ms, p99 %.3f ms\n", b->ok, seconds, rate,
                   p50, p99);
        out_printf("refused         %" PRIu64 " by their guards; failed %" PRIu64 ", unknown %" PRIu64 "\n", b->refused,
                   b->failed - b->unknown, b->unknown);
        out_printf("snapshots       %" PRIu64 " of all %" PRIu64 " accounts, each exact\n", b->snapshots, b->accounts);
    }
    if (b->audit_turns > 0) report_turns(b, line);
    if (b->wrong) return cli_fail("the sum is WRONG: %s", b->why);
    if (b->history_failed) return CLI_FAILED;
    return b->ok > 0 ? CLI_OK : cli_fail("no transfer was answered: %s", b->why);
}

static int bank_options(struct bank *b, const struct args *a)
{
    struct errbuf err;
    const struct {
        const char *flag;
        uint64_t fallback, min, max, *out;
    } numbers[] = {
        {"accounts", 100000, 2, 100000000, &b->accounts}, {"hot", 0, 2, 100000000, &b->hot},
        {"connections", 4, 1, 256, &b->connections},      {"depth", 64, 1, 4096, &b->depth},
        {"seconds", 10, 1, 86400, &b->seconds},           {"audit-every", 0, 0, 3600000, &b->audit_every},
        {"audit-turns", 0, 0, 3600000, &b->audit_turns},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (args_number(a, numbers[i].flag, numbers[i].fallback, numbers[i].min, numbers[i].max, numbers[i].out,
                        &err) != STATUS_OK)
            return cli_usage("%s", err.text);
    }
    if (b->hot > b->accounts) return cli_usage("--hot: at most as many as --accounts");
    b->keyspace = slice_str(args_text(a, "keyspace", "default"));
    b->ids = args_switch(a, "ids");
    b->audits = args_switch(a, "audit") || b->audit_turns > 0;
    b->history_path = args_text(a, "history", NULL);
    if (b->history_path != NULL && process_file_write(b->history_path, SLICE_EMPTY, &err) != STATUS_OK)
        return cli_fail("--history: %s", err.text);
    return CLI_OK;
}

static bool open_clients(struct bank *b)
{
    char addresses[LIMIT_REPLICAS * LIMIT_ADDRESS_BYTES];
    struct errbuf err;
    cli_meta_addresses(b->session.cli, addresses, sizeof addresses);
    struct client_options o = {.meta_addresses = addresses, .role = ROLE_CLIENT};
    b->clients = mem_zalloc(b->connections * sizeof(struct client *));
    b->lanes = mem_zalloc(b->connections * b->depth * sizeof *b->lanes);
    for (uint64_t i = 0; i < b->connections; i++) {
        if (client_new(b->session.env, &o, &b->clients[i], &err) != STATUS_OK) {
            (void)cli_fail("%s", err.text);
            return false;
        }
        for (uint64_t j = 0; j < b->depth; j++) {
            b->lanes[i * b->depth + j] = (struct lane){.bank = b, .client = b->clients[i]};
        }
    }
    return true;
}

int run_bench_bank(struct cli *c)
{
    struct bank *b = mem_zalloc(sizeof *b);
    int code = bank_options(b, &c->args);
    if (code == CLI_OK) code = session_open(&b->session, c);
    if (code != CLI_OK) {
        mem_free(b);
        return code;
    }
    b->session.env->ops->random(b->session.env, &b->run, sizeof b->run);
    prng_init(&b->prng, b->run);
    buf_init(&b->history, 64u << 20);
    code = open_clients(b) ? CLI_OK : CLI_FAILED;
    if (code == CLI_OK) {
        env_posix_on_signal(b->session.env, on_stop, b);
        b->actor.pass = bank_pass;
        b->session.env->ops->attach(b->session.env, &b->actor);
        fund_next(b);
        code = session_wait(&b->session);
        b->session.env->ops->detach(b->session.env, &b->actor);
    }
    for (uint64_t i = 0; i < b->connections && b->clients[i] != NULL; i++) client_free(b->clients[i]);
    if (code == CLI_OK) code = bank_report(b);
    session_close(&b->session);
    buf_free(&b->history);
    mem_free(b->clients);
    mem_free(b->lanes);
    mem_free(b);
    return code;
}
