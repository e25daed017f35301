/* `quorate bench kv`, `scan`, `mixed`, `txn`, `ycsb`: their options. */
#include <stdio.h>
#include <strings.h>

#include "base/mem.h"
#include "bench/bench.h"
#include "bench/commands.h"
#include "env_posix/env_posix.h"
#include "env_posix/process.h"
#include "gateway/json_out.h"
#include "gateway/parse.h"

#define HISTORY_BYTES_MAX (4u << 20)
#define SECONDS_MAX (7u * 24 * 3600)

static int take_numbers(struct bench *b)
{
    const struct args *a = &b->cli->args;
    struct errbuf err;
    uint64_t seed = 0;
    const struct bench_preset *p = b->preset;
    bool has_total = args_given(a, "total");
    const struct {
        const char *flag;
        uint64_t fallback, min, max, *out;
    } numbers[] = {
        {"connections", 64, 1, 4096, &b->connections},
        {"depth", 1, 1, 4096, &b->depth},
        {"keys", p->key_count, 1, 100000000, &b->key_count},
        {"value-size", p->value_bytes, BENCH_VALUE_TEXT, LIMIT_VALUE_BYTES, &b->value_bytes},
        {"scan-rows", 100, 1, LIMIT_SCAN_ROWS, &b->scan_rows},
        {"reads", p->shares[BENCH_GET], 0, 100, &b->shares[BENCH_GET]},
        {"scans", p->shares[BENCH_SCAN], 0, 100, &b->shares[BENCH_SCAN]},
        {"inserts", p->shares[BENCH_INSERT], 0, 100, &b->shares[BENCH_INSERT]},
        {"modifies", p->shares[BENCH_MODIFY], 0, 100, &b->shares[BENCH_MODIFY]},
        {"txn-reads", 2, 0, BENCH_TXN_OPS_MAX / 2, &b->txn_reads},
        {"txn-writes", 2, 0, BENCH_TXN_OPS_MAX / 2, &b->txn_writes},
        {"cas", 0, 0, 100, &b->shares[BENCH_CAS]},
        {"deletes", 0, 0, 100, &b->shares[BENCH_DELETE]},
        {"transfers", 0, 0, 100, &b->shares[BENCH_TRANSFER]},
        {"seconds", has_total ? SECONDS_MAX : 10, 1, SECONDS_MAX, &b->seconds},
        {"total", 0, 1, UINT64_MAX, &b->total},
        {"rate", 0, 1, 100000000, &b->rate},
        {"seed", b->run, 0, UINT64_MAX, &seed},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (args_number(a, numbers[i].flag, numbers[i].fallback, numbers[i].min, numbers[i].max, numbers[i].out,
                        &err) != STATUS_OK)
            return cli_usage("%s", err.text);
    }
    prng_init(&b->prng, seed);
    b->shares[BENCH_TXN] = p->shares[BENCH_TXN];
    if (b->txn_reads + b->txn_writes == 0) return cli_usage("--txn-reads and --txn-writes are both 0");
    if (b->shares[BENCH_TXN] > 0 && b->key_count < 2 * BENCH_TXN_OPS_MAX)
        return cli_usage("transactions want --keys %u at least", 2 * BENCH_TXN_OPS_MAX);
    uint64_t all = 0, unwritten = 0;
    for (unsigned i = 0; i < BENCH_KINDS; i++) {
        all += b->shares[i];
        unwritten += i >= BENCH_TRANSFER ? b->shares[i] : 0;
    }
    if (all > 100) return cli_usage("the shares of the kinds of operations are more than 100 percent together");
    if (b->shares[BENCH_TRANSFER] > 0 && b->key_count < 2) return cli_usage("--transfers wants two --keys at least");
    if (unwritten > 0 && (b->history_path != NULL || b->wire == &bench_http))
        return cli_usage("scans, inserts, modifies, transfers and transactions go to the nodes, without --http, and "
                         "leave no --history");
    if (b->connections * b->depth > 65536) return cli_usage("--connections times --depth is at most 65536");
    if (b->history_path != NULL && b->connections * b->depth > b->key_count * BENCH_IN_FLIGHT_PER_KEY)
        return cli_usage(
            "--history wants at most %u operations at a time on a key: more --keys, or fewer --connections",
            BENCH_IN_FLIGHT_PER_KEY);
    if (b->wire == &bench_http && b->depth > 1)
        return cli_usage("--depth: HTTP connections carry one request at a time");
    if (!bench_keys_init(&b->keys, args_text(a, "spread", p->spread), b->key_count))
        return cli_usage("--spread: expected uniform, zipfian, latest or sequential, got '%s'",
                         args_text(a, "spread", ""));
    return CLI_OK;
}

static int take_places(struct bench *b)
{
    const struct args *a = &b->cli->args;
    struct errbuf err;
    char own[32];
    snprintf(own, sizeof(own), "bench/%08llx/", (unsigned long long)b->run & 0xFFFFFFFFull);
    snprintf(b->keyspace, sizeof(b->keyspace), "%s", args_text(a, "keyspace", "default"));
    if (check_keyspace_name(slice_str(args_text(a, "keyspace", "default")), &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    const char *prefix = args_text(a, "prefix", b->history_path != NULL ? own : "bench/");
    if ((size_t)snprintf(b->prefix, sizeof(b->prefix), "%s", prefix) >= sizeof(b->prefix))
        return cli_usage("--prefix has at most %zu bytes", sizeof(b->prefix) - 1);
    for (const char *p = b->prefix; *p != '\0'; p++) {
        if (*p < '!' || *p > '~' || *p == '"' || *p == '\\')
            return cli_usage("--prefix: printable ASCII without quotes");
    }
    const char *url = args_text(a, "http", NULL);
    b->wire = url != NULL ? &bench_http : &bench_native;
    if (url == NULL) return CLI_OK;
    if (strncmp(url, "http://", 7) == 0) url += 7;
    if (strncmp(url, "https://", 8) == 0) url += 8; /* the certificates decide */
    size_t size = strcspn(url, "/");
    if (size == 0 || size >= sizeof(b->http_address)) return cli_usage("--http: expected http://HOST:PORT");
    snprintf(b->http_address, sizeof(b->http_address), "%.*s", (int)size, url);
    return CLI_OK;
}

/* --- life --- */

/* Empty, so that an earlier run's is not mixed in, and a place that cannot be written is known now. */
static int history_begin(const struct bench *b)
{
    struct errbuf err;
    if (b->history_path == NULL) return CLI_OK;
    if (process_file_write(b->history_path, SLICE_EMPTY, &err) == STATUS_OK) return CLI_OK;
    return cli_fail("--history: %s", err.text);
}

static void bench_open(struct bench *b)
{
    b->lane_count = (unsigned)(b->connections * b->depth);
    b->lanes = mem_zalloc(b->lane_count * sizeof(*b->lanes));
    for (unsigned i = 0; i < b->lane_count; i++) {
        b->lanes[i].bench = b;
        b->lanes[i].number = i + 1;
    }
    buf_init(&b->history, HISTORY_BYTES_MAX);
    if (b->history_path != NULL) b->in_flight = mem_zalloc(b->key_count);
    if (b->shares[BENCH_CAS] > 0) b->last_seen = mem_zalloc(b->key_count * sizeof(*b->last_seen));
}

static void bench_close(struct bench *b)
{
    env_posix_quiesce(b->env);
    b->wire->close(b);
    env_posix_free(b->env);
    buf_free(&b->history);
    mem_free(b->in_flight);
    mem_free(b->last_seen);
    mem_free(b->lanes);
}

static int run_preset(struct cli *c, const struct bench_preset *preset)
{
    struct bench b;
    struct errbuf err;
    memset(&b, 0, sizeof(b));
    b.cli = c;
    b.preset = preset;
    b.history_path = args_text(&c->args, "history", NULL);
    b.ids = args_switch(&c->args, "ids");
    b.fill = preset->fill || args_switch(&c->args, "fill");
    b.noise = args_switch(&c->args, "noise");
    int code = cli_certs_take(c, false, false);
    if (code != CLI_OK) return code;
    struct env_posix_options o = {.log_level = c->log_level_given ? c->log_level : LOG_ERROR,
                                  .precise_timers = args_given(&c->args, "rate"),
                                  .tls = cli_tls(c)};
    b.env = env_posix_new(&o, &err);
    if (b.env == NULL) return cli_fail("%s", err.text);
    b.env->ops->random(b.env, &b.run, sizeof(b.run));
    code = take_places(&b);
    if (code == CLI_OK) code = take_numbers(&b);
    if (code == CLI_OK) code = history_begin(&b);
    if (code != CLI_OK) {
        env_posix_free(b.env);
        return code;
    }
    bench_open(&b);
    code = b.wire->open(&b) ? CLI_OK : CLI_USAGE;
    if (code == CLI_OK) {
        bench_run(&b);
        code = bench_report(&b);
    }
    bench_close(&b);
    return code;
}

/* --- presets --- */

#define YCSB_KEYS 100000u
#define YCSB_RECORD 1000u /* ten fields of 100 bytes */

int run_bench_kv(struct cli *c)
{
    static const struct bench_preset kv = {.spread = "uniform", .value_bytes = 100, .key_count = 10000};
    return run_preset(c, &kv);
}

int run_bench_scan(struct cli *c)
{
    static const struct bench_preset scan = {
        .shares[BENCH_SCAN] = 100, .spread = "uniform", .value_bytes = 100, .key_count = 100000, .fill = true};
    return run_preset(c, &scan);
}

int run_bench_txn(struct cli *c)
{
    static const struct bench_preset txn = {
        .shares[BENCH_TXN] = 100, .spread = "uniform", .value_bytes = 100, .key_count = 100000, .fill = true};
    return run_preset(c, &txn);
}

int run_bench_mixed(struct cli *c)
{
    static const struct bench_preset mixed = {
        .shares = {[BENCH_GET] = 50, [BENCH_SCAN] = 5, [BENCH_INSERT] = 5, [BENCH_MODIFY] = 10, [BENCH_TRANSFER] = 10},
        .spread = "zipfian",
        .value_bytes = 100,
        .key_count = 100000,
        .fill = true};
    return run_preset(c, &mixed);
}

/* Cooper et al., "Benchmarking Cloud Serving Systems with YCSB" (2010), core workloads. */
int run_bench_ycsb(struct cli *c)
{
    static const struct bench_preset workloads[] = {
        {"a", {[BENCH_GET] = 50}, "zipfian", YCSB_RECORD, YCSB_KEYS, true},
        {"b", {[BENCH_GET] = 95}, "zipfian", YCSB_RECORD, YCSB_KEYS, true},
        {"c", {[BENCH_GET] = 100}, "zipfian", YCSB_RECORD, YCSB_KEYS, true},
        {"d", {[BENCH_GET] = 95, [BENCH_INSERT] = 5}, "latest", YCSB_RECORD, YCSB_KEYS, true},
        {"e", {[BENCH_SCAN] = 95, [BENCH_INSERT] = 5}, "zipfian", YCSB_RECORD, YCSB_KEYS, true},
        {"f", {[BENCH_GET] = 50, [BENCH_MODIFY] = 50}, "zipfian", YCSB_RECORD, YCSB_KEYS, true},
    };
    const char *wanted = c->args.words[0];
    for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
        if (strcasecmp(wanted, workloads[i].name) == 0) return run_preset(c, &workloads[i]);
    }
    return cli_usage("expected a workload of YCSB, a to f, got '%s'", wanted);
}
