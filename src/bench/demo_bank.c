/* `quorate demo bank`: double-entry transfers over HTTP between accounts in different ranges. Accounts of branch b have b + 1 as their first
 * byte, and so have transfers begun there: three ranges of accounts, two of transfers.
 *
 *   0x04 00..00 0000002a   account 42 of branch 3: may not spend what it does not have
 *   0x01 ff..ff            the vault, from which every account gets its first money; made last: with it the bank is open
 *
 * Half way the leader of the busiest range is killed with signal 9 and started again some seconds later. What has no answer is sent
 * again with the same id. Each acknowledged id goes to a file outside of the database, with "posted" or "refused" (not enough money):
 * `quorate ledger audit` proves the books from their rows, bench/demo/audit.awk compares a dump of them with that file. */
#include <jansson.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"
#include "bench/commands.h"
#include "cli/http_load.h"
#include "env_posix/env_posix.h"

#define BRANCHES 10u
#define AMOUNT_MAX 999u
#define DEPOSIT 1000u
#define OPENING_BATCH 1000u
#define LEDGER_OF_BANK 840u
#define DOWN_NS (4000 * NS_PER_MS)    /* the killed process stays down so long */
#define WINDOW_NS (10000 * NS_PER_MS) /* after the kill, in which a pause is counted as its own */

struct bank {
    struct cli *cli;
    struct env *env;
    struct local_cluster cluster;
    char gateway[LIMIT_ADDRESS_BYTES];
    unsigned connections, accounts; /* accounts per branch */
    uint64_t count, seconds, run;
    struct prng prng;
    struct load load;
    struct progress progress;
    struct report report;

    uint64_t issued, posted, refused, replayed;
    bool opened;
    uint64_t begun_ns, ended_ns;
    bool stopped;

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

/* --- transfers --- */

#define ID_TEXT 40u

static void account_id(unsigned branch, unsigned account, char text[ID_TEXT])
{
    snprintf(text, ID_TEXT, "0x%02x%030x", branch + 1, account + 1);
}

static const char VAULT[] = "0x01ffffffffffffffffffffffffffffff";

static void transfer_id(uint64_t run, unsigned branch, uint64_t n, char text[ID_TEXT])
{
    snprintf(text, ID_TEXT, "0x%02x%010llx%020llx", branch + 1, (unsigned long long)run, (unsigned long long)n);
}

static void transfer_body(const char *id, const char *debit, const char *credit, unsigned amount, struct buf *out)
{
    buf_printf(out,
               "{\"id\":\"%s\",\"debit_account_id\":\"%s\",\"credit_account_id\":\"%s\",\"amount\":%u,"
               "\"ledger\":%u,\"code\":1}",
               id, debit, credit, amount, LEDGER_OF_BANK);
}

static void draw_transfer(struct bank *b, uint64_t n, struct buf *out)
{
    char id[ID_TEXT], debit[ID_TEXT], credit[ID_TEXT];
    unsigned all = BRANCHES * b->accounts, from = (unsigned)prng_below(&b->prng, all);
    unsigned to = (from + 1 + (unsigned)prng_below(&b->prng, all - 1)) % all;
    transfer_id(b->run, from % BRANCHES, n, id);
    account_id(from % BRANCHES, from / BRANCHES, debit);
    account_id(to % BRANCHES, to / BRANCHES, credit);
    transfer_body(id, debit, credit, (unsigned)prng_between(&b->prng, 1, AMOUNT_MAX), out);
}

static double bank_fraction(const struct bank *b)
{
    double by_count = (double)b->issued / (double)b->count;
    double by_time = (double)(env_mono_ns(b->env) - b->begun_ns) / ((double)b->seconds * 1e9);
    return by_count > by_time ? by_count : by_time;
}

static bool bank_next(void *ctx, struct lane *lane)
{
    struct bank *b = ctx;
    if (b->stopped || b->issued >= b->count || bank_fraction(b) >= 1) return false;
    lane->method = HTTP_POST;
    buf_append_str(&lane->path, "/v1/ledger/transfers");
    draw_transfer(b, ++b->issued, &lane->body);
    return true;
}

/* --- answers --- */

static void note_pause(struct bank *b)
{
    uint64_t now = env_mono_ns(b->env);
    if (b->kill_ns != 0 && b->last_ack_ns != 0 && b->last_ack_ns <= b->kill_ns + WINDOW_NS &&
        now - b->last_ack_ns > b->pause_ns && now >= b->kill_ns) {
        b->pause_ns = now - b->last_ack_ns;
    }
    b->last_ack_ns = now;
}

/* The text of a field of the answer. */
static struct slice field(struct slice body, const char *name)
{
    struct slice want = slice_str(name);
    for (size_t i = 0; i + want.size <= body.size; i++) {
        if (memcmp(body.data + i, want.data, want.size) != 0) continue;
        const uint8_t *start = body.data + i + want.size;
        const uint8_t *end = memchr(start, '"', body.size - i - want.size);
        return end != NULL ? slice_make(start, (size_t)(end - start)) : SLICE_EMPTY;
    }
    return SLICE_EMPTY;
}

static void bank_answer(void *ctx, struct lane *lane, int code, struct slice body)
{
    struct bank *b = ctx;
    struct slice result = field(body, "\"result\":\""), id = field(body, "\"id\":\"");
    bool replayed = slice_eq(result, slice_str("exists")) || slice_eq(result, slice_str("id_already_failed"));
    bool posted = slice_eq(result, slice_str("created")) || slice_eq(result, slice_str("exists"));
    bool refused = slice_eq(result, slice_str("exceeds_credits")) ||
                   slice_eq(field(body, "\"first_result\":\""), slice_str("exceeds_credits"));
    (void)lane;
    if (code != 200 || posted == refused || id.size == 0) {
        load_fail(&b->load, "a transfer: HTTP %d %.*s", code, (int)(body.size < 300 ? body.size : 300),
                  (const char *)body.data);
        return;
    }
    note_pause(b);
    b->replayed += replayed;
    b->refused += refused;
    b->posted += posted;
    buf_append_slice(&b->acks_unwritten, id);
    buf_append_str(&b->acks_unwritten, refused ? " refused\n" : " posted\n");
    if (b->acks_unwritten.size > 32768) acks_flush(b);
    progress_show(&b->progress, b->env, b->posted + b->refused, bank_fraction(b), false);
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
    if (b->kill == KILL_NONE && bank_fraction(b) >= 0.5) {
        b->kill = KILL_ASKING;
        b->env->http->ops->client_send(b->ask, HTTP_GET, "/v1/ranges?keyspace=ledger", NULL, 0, SLICE_EMPTY,
                                       ranges_done, b);
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

/* A keyspace that is there already, however it is split, serves as well. */
static int keyspace_make(struct bank *b)
{
    struct buf body, answer;
    buf_init(&body, 4096);
    buf_init(&answer, 1u << 20);
    buf_append_str(&body, "{\"name\":\"ledger\",\"splits\":[");
    buf_append_str(&body, "\"A\\u0004\",\"A\\u0008\",\"T\",\"T\\u0006\"]}");
    int code = http_ask(b->env, b->gateway, HTTP_POST, "/v1/keyspaces", buf_slice(&body), &answer);
    code = code == 200 || code == 201 || code == 409
               ? CLI_OK
               : cli_fail("/v1/keyspaces: HTTP %d %.*s", code, (int)answer.size, (const char *)answer.data);
    buf_free(&body);
    buf_free(&answer);
    return code;
}

/* The vault says how many accounts a branch has. */
static int bank_is_open(struct bank *b, bool *open)
{
    struct buf answer;
    char path[100];
    snprintf(path, sizeof(path), "/v1/ledger/accounts/%s", VAULT);
    buf_init(&answer, 1u << 20);
    int code = http_ask(b->env, b->gateway, HTTP_GET, path, SLICE_EMPTY, &answer);
    json_t *root = code == 200 ? json_loadb((const char *)answer.data, answer.size, 0, NULL) : NULL;
    unsigned accounts = (unsigned)json_integer_value(json_object_get(root, "user_data_32"));
    int result = CLI_OK;
    *open = code == 200;
    if (code != 200 && code != 404) {
        result = cli_fail("%s: HTTP %d %.*s", path, code, (int)answer.size, (const char *)answer.data);
    } else if (*open && args_given(&b->cli->args, "accounts") && accounts != b->accounts) {
        result = cli_usage("--accounts: this bank has %u accounts per branch", accounts);
    } else if (*open) {
        b->accounts = accounts;
    }
    json_decref(root);
    buf_free(&answer);
    return result;
}

static void open_account(struct bank *b, unsigned n, bool deposit, struct buf *out)
{
    char id[ID_TEXT], account[ID_TEXT];
    unsigned branch = n % BRANCHES;
    account_id(branch, n / BRANCHES, account);
    transfer_id(0, branch, n, id);
    if (deposit) {
        transfer_body(id, "1", account, DEPOSIT + n / BRANCHES % 500, out);
    } else {
        buf_printf(out, "{\"id\":\"%s\",\"ledger\":%u,\"code\":1,\"flags\":[\"debits_must_not_exceed_credits\"]}",
                   account, LEDGER_OF_BANK);
    }
    (void)b;
}

/* The same ids and bytes each time: an opening that was interrupted goes on. */
static int bank_open(struct bank *b)
{
    struct buf body, answer;
    int code = CLI_OK;
    unsigned all = BRANCHES * b->accounts;
    buf_init(&body, 1u << 22);
    buf_init(&answer, 1u << 22);
    buf_printf(&body, "{\"id\":1,\"ledger\":%u,\"code\":2}", LEDGER_OF_BANK); /* where the first money comes from */
    code = ask_ok(b, "/v1/ledger/accounts", buf_slice(&body), &answer);
    for (unsigned deposit = 0; deposit < 2 && code == CLI_OK; deposit++) {
        for (unsigned n = 0; n < all && code == CLI_OK; n += OPENING_BATCH) {
            buf_clear(&body);
            for (unsigned i = n; i < all && i < n + OPENING_BATCH; i++) {
                buf_append_str(&body, i == n ? "[" : ",");
                open_account(b, i, deposit == 1, &body);
            }
            buf_append_byte(&body, ']');
            code = ask_ok(b, deposit == 1 ? "/v1/ledger/transfers" : "/v1/ledger/accounts", buf_slice(&body), &answer);
        }
    }
    buf_clear(&body);
    buf_printf(&body, "{\"id\":\"%s\",\"ledger\":%u,\"code\":3,\"user_data_32\":%u}", VAULT, LEDGER_OF_BANK,
               b->accounts);
    if (code == CLI_OK) code = ask_ok(b, "/v1/ledger/accounts", buf_slice(&body), &answer);
    b->opened = code == CLI_OK;
    buf_free(&body);
    buf_free(&answer);
    return code;
}

/* --- the run --- */

/* A signal: what was sent is answered, nothing more is sent. */
static void on_stop(void *ctx)
{
    ((struct bank *)ctx)->stopped = true;
}

static int work(struct bank *b)
{
    env_posix_on_signal(b->env, on_stop, b);
    load_open(&b->load, b->env, b->gateway, b->connections, b);
    b->load.next = bank_next;
    b->load.answer = bank_answer;
    b->load.tick = bank_tick;
    progress_begin(&b->progress, b->env, "bank: transfers", b->count);
    b->begun_ns = env_mono_ns(b->env);
    int code = load_run(&b->load);
    b->ended_ns = env_mono_ns(b->env);
    acks_flush(b);
    if (code == CLI_OK) progress_show(&b->progress, b->env, b->posted + b->refused, 1, true);
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
    bool open = false;
    uint64_t seed;
    int code = held_release(b);
    if (code == CLI_OK) code = keyspace_make(b);
    if (code == CLI_OK) code = bank_is_open(b, &open);
    if (code == CLI_OK && !open) code = bank_open(b);
    if (code != CLI_OK) return code;
    b->env->ops->random(b->env, &seed, sizeof(seed));
    b->run = (seed >> 24) | 1; /* 40 bits: ids of different runs do not meet */
    prng_init(&b->prng, seed);
    code = work(b);
    if (b->kill == KILL_DOWN) victim_start(b);
    return code;
}

static int bank_report(struct bank *b, int code)
{
    if (code != CLI_OK) return code;
    double seconds = (double)(b->ended_ns - b->begun_ns) / 1e9;
    uint64_t answered = b->posted + b->refused;
    if (b->opened) {
        report_line(&b->report, "bank: %u accounts opened in %u branches, each with its first money",
                    BRANCHES * b->accounts, BRANCHES);
    }
    report_line(
        &b->report,
        "bank: %llu transfers between accounts of any ranges in %.1f s: %.0f/s, one to a request, over %u connections "
        "(%llu posted, %llu refused for want of money)",
        (unsigned long long)answered, seconds, (double)answered / (seconds > 0 ? seconds : 1), b->connections,
        (unsigned long long)b->posted, (unsigned long long)b->refused);
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
    load_gateway(cli, b.gateway, sizeof(b.gateway));
    snprintf(dir, sizeof(dir), "%.900s/demo", cli_cluster_dir(cli));
    b.env = load_env(cli, dir, &err);
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
