/* `quorate demo bank`: DebitCredit (Gray et al., "A Measure of Transaction Processing Power", 1985) as one-range
 * transactions over HTTP. Rows of a branch live in one range:
 *
 *   b/03/acct/0042   balance, guarded: never below zero        b/03/branch     the branch's total
 *   b/03/hist/<id>   "acct=0042 teller=4 amount=-250"          b/03/teller/4   the teller's total
 *
 * A posting adds its amount to account, teller and branch and inserts its history row, under an idempotency id. The
 * accounts' first money comes from postings too, so each balance is the sum of its history rows, and nothing else.
 * Half way the leader of the busiest range is killed with signal 9 and started again some seconds later. What has no
 * answer is sent again with the same id. Each acknowledged id goes to a file outside of the database, with "posted" or
 * "refused" (by the guard): bench/demo/audit.awk compares. */
#include <jansson.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"
#include "cli/demo.h"
#include "env_posix/env_posix.h"

#define BRANCHES 10u
#define TELLERS 10u
#define AMOUNT_MAX 999u
#define DEPOSIT 1000u
#define DOWN_NS (4000 * NS_PER_MS)    /* the killed process stays down so long */
#define WINDOW_NS (10000 * NS_PER_MS) /* after the kill, in which a pause is counted as its own */

struct bank {
    struct cli *cli;
    struct env *env;
    struct local_cluster cluster;
    char gateway[LIMIT_ADDRESS_BYTES];
    unsigned connections, accounts; /* accounts per branch */
    uint64_t count, seconds, run;
    bool opening; /* the deposits are being made */
    struct prng prng;
    struct load load;
    struct progress progress;
    struct report report;

    uint64_t issued, posted, refused, replayed, opened;
    uint64_t begun_ns, ended_ns;

    /* acknowledged ids: appended to a file, in pieces */
    struct disk_file *acks;
    uint64_t acks_size;
    struct buf acks_unwritten;

    /* the kill: NONE --half way--> ASKING (who leads?) --> DOWN --DOWN_NS, or the end--> BACK */
    enum { KILL_NONE, KILL_ASKING, KILL_DOWN, KILL_BACK, KILL_OFF } kill;
    const struct local_process *victim;
    uint64_t victim_range, kill_ns, last_ack_ns, pause_ns;
    struct http_client *ask;
};

/* --- acknowledged ids --- */

static int acks_open(struct bank *b)
{
    struct errbuf err;
    const char *name = args_text(&b->cli->args, "acks", "bank-acknowledged.txt");
    if (disk_open(b->env->disk, name, DISK_READ | DISK_WRITE | DISK_CREATE, &b->acks, &err) != STATUS_OK)
        return cli_fail("%s", err.text);
    if (disk_size(b->acks, &b->acks_size) != STATUS_OK) return cli_fail("%s: its size cannot be read", name);
    /* A run that was killed may have left half a line: end it, so that the audit sees it as the stray that it is. */
    uint8_t last = '\n';
    size_t got = 0;
    if (b->acks_size > 0 && disk_read(b->acks, b->acks_size - 1, &last, 1, &got) == STATUS_OK && last != '\n') {
        buf_append_str(&b->acks_unwritten, " cut\n");
    }
    return CLI_OK;
}

static void acks_flush(struct bank *b)
{
    struct buf *u = &b->acks_unwritten;
    if (u->size == 0) return;
    if (disk_write(b->acks, b->acks_size, u->data, u->size) != STATUS_OK)
        load_fail(&b->load, "the file of acknowledged ids cannot be written");
    b->acks_size += u->size;
    buf_clear(u);
}

/* --- postings --- */

struct posting {
    char id[40];
    unsigned branch, teller, account;
    int amount;
};

/* Deterministic: an interrupted opening is repeated with the same ids and bytes. */
static void posting_open(const struct bank *b, uint64_t n, struct posting *p)
{
    p->branch = (unsigned)(n % BRANCHES);
    p->account = (unsigned)(n / BRANCHES);
    p->teller = p->account % TELLERS;
    p->amount = (int)(DEPOSIT + p->account % 500);
    snprintf(p->id, sizeof(p->id), "open-%02u-%06u", p->branch, p->account);
    ASSERT(p->account < b->accounts);
}

static void posting_draw(struct bank *b, uint64_t n, struct posting *p)
{
    p->branch = (unsigned)prng_below(&b->prng, BRANCHES);
    p->account = (unsigned)prng_below(&b->prng, b->accounts);
    p->teller = (unsigned)prng_below(&b->prng, TELLERS);
    p->amount = (int)prng_between(&b->prng, 1, AMOUNT_MAX);
    if (prng_chance(&b->prng, 1, 2)) p->amount = -p->amount;
    snprintf(p->id, sizeof(p->id), "r%05llu-%07llu", (unsigned long long)b->run, (unsigned long long)n);
}

static void posting_body(const struct posting *p, struct buf *out)
{
    buf_printf(out,
               "{\"id\":\"%s\",\"keyspace\":\"bank\",\"then\":["
               "{\"add\":{\"key\":\"b/%02u/acct/%06u\",\"delta\":%d,\"min\":0}},"
               "{\"add\":{\"key\":\"b/%02u/teller/%02u\",\"delta\":%d}},"
               "{\"add\":{\"key\":\"b/%02u/branch\",\"delta\":%d}},"
               "{\"insert\":{\"key\":\"b/%02u/hist/%s\",\"value\":\"acct=%06u teller=%02u amount=%d\"}}]}",
               p->id, p->branch, p->account, p->amount, p->branch, p->teller, p->amount, p->branch, p->amount,
               p->branch, p->id, p->account, p->teller, p->amount);
}

static double bank_fraction(const struct bank *b)
{
    if (b->opening) return (double)b->opened / (double)(BRANCHES * b->accounts);
    double by_count = (double)(b->posted + b->refused) / (double)b->count;
    double by_time = (double)(env_mono_ns(b->env) - b->begun_ns) / 1e9 / (double)b->seconds;
    return by_count > by_time ? by_count : by_time;
}

static bool bank_next(void *ctx, struct lane *lane)
{
    struct bank *b = ctx;
    struct posting p;
    if (b->opening) {
        if (b->issued == BRANCHES * b->accounts) return false;
        posting_open(b, b->issued, &p);
    } else {
        if (b->issued >= b->count || bank_fraction(b) >= 1) return false;
        posting_draw(b, b->issued, &p);
    }
    b->issued++;
    lane->method = HTTP_POST;
    buf_append_str(&lane->path, "/v1/txn");
    posting_body(&p, &lane->body);
    return true;
}

/* The id is the first string of the body that we sent. */
static struct slice lane_id(const struct lane *lane)
{
    const uint8_t *start = lane->body.data + strlen("{\"id\":\"");
    const uint8_t *end = memchr(start, '"', lane->body.size - strlen("{\"id\":\""));
    ASSERT(end != NULL);
    return slice_make(start, (size_t)(end - start));
}

static bool contains(struct slice body, const char *text)
{
    struct slice want = slice_str(text);
    for (size_t i = 0; i + want.size <= body.size; i++) {
        if (memcmp(body.data + i, want.data, want.size) == 0) return true;
    }
    return false;
}

static void note_pause(struct bank *b)
{
    uint64_t now = env_mono_ns(b->env);
    if (b->kill_ns != 0 && b->last_ack_ns != 0 && b->last_ack_ns <= b->kill_ns + WINDOW_NS &&
        now - b->last_ack_ns > b->pause_ns && now >= b->kill_ns) {
        b->pause_ns = now - b->last_ack_ns;
    }
    b->last_ack_ns = now;
}

static void bank_answer(void *ctx, struct lane *lane, int code, struct slice body)
{
    struct bank *b = ctx;
    bool refused = code == 409 && contains(body, "\"guard_failed\"");
    if (code != 200 && !refused) {
        load_fail(&b->load, "posting %.*s: HTTP %d %.*s", (int)lane_id(lane).size, (const char *)lane_id(lane).data,
                  code, (int)(body.size < 300 ? body.size : 300), (const char *)body.data);
        return;
    }
    note_pause(b);
    if (contains(body, "\"replayed\":true")) b->replayed++;
    if (b->opening)
        b->opened++;
    else if (refused)
        b->refused++;
    else
        b->posted++;
    buf_append_slice(&b->acks_unwritten, lane_id(lane));
    buf_append_str(&b->acks_unwritten, refused ? " refused\n" : " posted\n");
    if (b->acks_unwritten.size > 32768) acks_flush(b);
    progress_show(&b->progress, b->env, b->opening ? b->opened : b->posted + b->refused, bank_fraction(b), false);
}

/* --- the kill --- */

static void victim_choose(struct bank *b, json_t *root)
{
    const json_t *list = json_object_get(root, "ranges");
    json_int_t most = -1;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *range = json_array_get(list, i);
        const char *address = json_string_value(json_object_get(range, "leader_address"));
        json_int_t writes = json_integer_value(json_object_get(range, "writes"));
        const struct local_process *p = address != NULL ? local_by_address(&b->cluster, slice_str(address)) : NULL;
        if (p == NULL || writes <= most) continue;
        most = writes;
        b->victim = p;
        b->victim_range = (uint64_t)json_integer_value(json_object_get(range, "id"));
    }
}

static void ranges_done(void *ctx, int code, enum status why, struct slice body)
{
    struct bank *b = ctx;
    struct errbuf err;
    (void)why;
    json_t *root = code == 200 ? json_loadb((const char *)body.data, body.size, 0, NULL) : NULL;
    b->kill = KILL_NONE; /* asked again at the next tick unless it works */
    if (root != NULL) victim_choose(b, root);
    json_decref(root);
    if (b->victim == NULL) return;
    if (local_kill(&b->cluster, b->victim, &err) != STATUS_OK) {
        load_fail(&b->load, "the leader could not be killed: %s", err.text);
        return;
    }
    b->kill = KILL_DOWN;
    b->kill_ns = env_mono_ns(b->env);
}

static void victim_start(struct bank *b)
{
    struct errbuf err;
    b->kill = KILL_BACK;
    if (local_release(&b->cluster, b->victim, &err) != STATUS_OK) load_fail(&b->load, "%s", err.text);
}

static uint64_t bank_tick(void *ctx, uint64_t now_ns)
{
    struct bank *b = ctx;
    acks_flush(b);
    if (b->opening) return DEADLINE_NONE;
    if (b->kill == KILL_NONE && bank_fraction(b) >= 0.5) {
        b->kill = KILL_ASKING;
        b->env->http->ops->client_send(b->ask, HTTP_GET, "/v1/ranges?keyspace=bank", NULL, 0, SLICE_EMPTY, ranges_done,
                                       b);
    }
    if (b->kill == KILL_DOWN && now_ns >= b->kill_ns + DOWN_NS) victim_start(b);
    return DEADLINE_NONE;
}

/* --- set-up --- */

static int ask_ok(struct bank *b, const char *path, struct slice body, struct buf *answer)
{
    int code = http_ask(b->env, b->gateway, HTTP_POST, path, body, answer);
    if (code == 200 || code == 201) return CLI_OK;
    return cli_fail("%s: HTTP %d %.*s", path, code, (int)(answer->size < 300 ? answer->size : 300),
                    (const char *)answer->data);
}

static int keyspace_make(struct bank *b)
{
    struct buf body, answer;
    buf_init(&body, 4096);
    buf_init(&answer, 1u << 20);
    buf_append_str(&body, "{\"name\":\"bank\",\"splits\":[");
    for (unsigned i = 1; i < BRANCHES; i++) buf_printf(&body, "%s\"b/%02u\"", i > 1 ? "," : "", i);
    buf_append_str(&body, "]}");
    int code = ask_ok(b, "/v1/keyspaces", buf_slice(&body), &answer);
    buf_free(&body);
    buf_free(&answer);
    return code;
}

/* Each run takes a number from a counter in the database: ids of different runs never meet. The shape must not change. */
static int run_number(struct bank *b)
{
    struct buf body, answer;
    uint8_t random[16];
    buf_init(&body, 4096);
    buf_init(&answer, 1u << 20);
    b->env->ops->random(b->env, random, sizeof(random));
    buf_append_str(&body, "{\"id\":\"");
    for (size_t i = 0; i < sizeof(random); i++) buf_printf(&body, "%02x", random[i]);
    buf_append_str(
        &body,
        "\",\"keyspace\":\"bank\",\"then\":[{\"add\":{\"key\":\"run\",\"delta\":1}},{\"get\":{\"key\":\"shape\"}}]}");
    int code = ask_ok(b, "/v1/txn", buf_slice(&body), &answer);
    json_t *root = code == CLI_OK ? json_loadb((const char *)answer.data, answer.size, 0, NULL) : NULL;
    json_t *results = json_object_get(root, "results");
    const char *run = json_string_value(json_object_get(json_array_get(results, 0), "value"));
    const char *shape = json_string_value(json_object_get(json_array_get(results, 1), "value"));
    if (code == CLI_OK && run == NULL)
        code = cli_fail("/v1/txn: an answer without results: %.*s", (int)answer.size, (const char *)answer.data);
    if (run != NULL) {
        unsigned long long number = 0;
        (void)sscanf(run, "%llu", &number);
        b->run = number;
    }
    b->opening = shape == NULL; /* written when all deposits are there */
    if (shape != NULL && args_given(&b->cli->args, "accounts")) {
        unsigned accounts = 0;
        (void)sscanf(shape, "%u", &accounts);
        if (accounts != b->accounts) code = cli_usage("--accounts: this bank has %s accounts per branch", shape);
    } else if (shape != NULL) {
        (void)sscanf(shape, "%u", &b->accounts);
    }
    json_decref(root);
    buf_free(&body);
    buf_free(&answer);
    return code;
}

static int shape_write(struct bank *b)
{
    struct buf body, answer;
    buf_init(&body, 4096);
    buf_init(&answer, 1u << 20);
    buf_printf(
        &body,
        "{\"id\":\"bank-shape\",\"keyspace\":\"bank\",\"then\":[{\"put\":{\"key\":\"shape\",\"value\":\"%u\"}}]}",
        b->accounts);
    int code = ask_ok(b, "/v1/txn", buf_slice(&body), &answer);
    buf_free(&body);
    buf_free(&answer);
    return code;
}

/* --- the run --- */

static int phase(struct bank *b, const char *label, uint64_t total)
{
    b->issued = 0;
    b->last_ack_ns = 0;
    load_open(&b->load, b->env, b->gateway, b->connections, b);
    b->load.next = bank_next;
    b->load.answer = bank_answer;
    b->load.tick = bank_tick;
    progress_begin(&b->progress, b->env, label, total);
    b->begun_ns = env_mono_ns(b->env);
    int code = load_run(&b->load);
    b->ended_ns = env_mono_ns(b->env);
    acks_flush(b);
    if (code == CLI_OK) progress_show(&b->progress, b->env, b->opening ? b->opened : b->posted + b->refused, 1, true);
    load_close(&b->load);
    return code;
}

/* An earlier run that was interrupted may have left its victim down: two down at once would stop the bank. */
static int held_release(struct bank *b)
{
    struct errbuf err;
    for (unsigned i = 0; i < b->cluster.process_count && b->kill != KILL_OFF; i++) {
        const struct local_process *p = &b->cluster.processes[i];
        if (!local_held(&b->cluster, p)) continue;
        out_printf("bank: %s was held down; it is started again first\n", p->name);
        if (local_release(&b->cluster, p, &err) != STATUS_OK) return cli_fail("%s", err.text);
    }
    return CLI_OK;
}

static int bank_run(struct bank *b)
{
    int code = held_release(b);
    if (code == CLI_OK) code = keyspace_make(b);
    if (code == CLI_OK) code = run_number(b);
    if (code != CLI_OK) return code;
    if (b->opening) {
        code = phase(b, "bank: opening accounts", BRANCHES * (uint64_t)b->accounts);
        if (code == CLI_OK) code = shape_write(b);
        if (code != CLI_OK) return code;
        b->opening = false;
    }
    b->replayed = 0;
    uint64_t seed;
    b->env->ops->random(b->env, &seed, sizeof(seed));
    prng_init(&b->prng, seed);
    code = phase(b, "bank: postings", b->count);
    if (b->kill == KILL_DOWN) victim_start(b);
    return code;
}

static int bank_report(struct bank *b, int code)
{
    if (code != CLI_OK) return code;
    double seconds = (double)(b->ended_ns - b->begun_ns) / 1e9;
    uint64_t answered = b->posted + b->refused;
    if (b->opened > 0)
        report_line(&b->report, "bank: %llu accounts opened, each by a posting", (unsigned long long)b->opened);
    report_line(&b->report,
                "bank: run %llu: %llu transactions in %.1f s: %.0f postings/s over %u connections (%llu posted, %llu "
                "refused by their guard)",
                (unsigned long long)b->run, (unsigned long long)answered, seconds,
                (double)answered / (seconds > 0 ? seconds : 1), b->connections, (unsigned long long)b->posted,
                (unsigned long long)b->refused);
    if (b->victim != NULL) {
        report_line(&b->report,
                    "bank: half way %s, leader of range %llu, was killed with signal 9 and started again; longest "
                    "pause between two answers: %.0f ms",
                    b->victim->name, (unsigned long long)b->victim_range, (double)b->pause_ns / 1e6);
    } else if (b->kill != KILL_OFF) {
        report_line(&b->report, "bank: NO LEADER WAS KILLED: the run was over before one was known");
    }
    report_line(&b->report,
                "bank: %llu requests repeated with their id (%llu without an answer, %llu server errors); %llu answers "
                "were an earlier attempt's",
                (unsigned long long)b->load.retries, (unsigned long long)b->load.no_answer,
                (unsigned long long)b->load.server_errors, (unsigned long long)b->replayed);
    return code;
}

static int bank_arguments(struct bank *b)
{
    struct errbuf err;
    uint64_t connections, accounts;
    const struct args *a = &b->cli->args;
    if (args_number(a, "connections", 64, 1, 1024, &connections, &err) != STATUS_OK ||
        args_number(a, "accounts", 1000, 1, 100000, &accounts, &err) != STATUS_OK ||
        args_number(a, "count", 60000, 1, 100000000, &b->count, &err) != STATUS_OK ||
        args_number(a, "seconds", 30, 1, 86400, &b->seconds, &err) != STATUS_OK) {
        return cli_usage("%s", err.text);
    }
    b->connections = (unsigned)connections;
    b->accounts = (unsigned)accounts;
    if (args_switch(a, "no-kill"))
        b->kill = KILL_OFF;
    else if (local_load(&b->cluster, cli_cluster_dir(b->cli), &err) != STATUS_OK) {
        return cli_fail("there is no local cluster in %s whose leader could be killed; start one, or give --no-kill",
                        cli_cluster_dir(b->cli));
    }
    return CLI_OK;
}

int run_demo_bank(struct cli *cli)
{
    struct bank b;
    struct errbuf err;
    char dir[LOCAL_PATH_MAX];
    memset(&b, 0, sizeof(b));
    b.cli = cli;
    int code = bank_arguments(&b);
    if (code == CLI_OK) code = cli_certs_take(cli, false, false);
    if (code != CLI_OK) return code;
    demo_gateway(cli, b.gateway, sizeof(b.gateway));
    snprintf(dir, sizeof(dir), "%.900s/demo", cli_cluster_dir(cli));
    b.env = demo_env(cli, dir, &err);
    if (b.env == NULL) return cli_fail("%s", err.text);
    buf_init(&b.report.text, 1u << 16);
    buf_init(&b.acks_unwritten, 1u << 20);
    b.ask = b.env->http->ops->client_new(b.env->http, b.gateway, 5000);
    code = acks_open(&b);
    if (code == CLI_OK) code = bank_run(&b);
    code = report_end(&b.report, cli, bank_report(&b, code));
    b.env->http->ops->client_free(b.ask);
    disk_close(b.acks);
    buf_free(&b.acks_unwritten);
    env_posix_quiesce(b.env);
    env_posix_free(b.env);
    return code;
}
