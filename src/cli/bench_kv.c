/* `quorate bench kv`: its options and its report. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/bench.h"
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
    bool has_total = args_given(a, "total");
    const struct {
        const char *flag;
        uint64_t fallback, min, max, *out;
    } numbers[] = {
        {"connections", 64, 1, 4096, &b->connections},
        {"depth", 1, 1, 4096, &b->depth},
        {"keys", 10000, 1, 100000000, &b->key_count},
        {"value-size", 100, BENCH_VALUE_TEXT, LIMIT_VALUE_BYTES, &b->value_bytes},
        {"reads", 0, 0, 100, &b->shares[BENCH_GET]},
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
    if (b->shares[BENCH_GET] + b->shares[BENCH_CAS] + b->shares[BENCH_DELETE] + b->shares[BENCH_TRANSFER] > 100)
        return cli_usage("--reads, --cas, --deletes and --transfers are more than 100 percent together");
    if (b->shares[BENCH_TRANSFER] > 0 && (b->history_path != NULL || b->key_count < 2))
        return cli_usage("--transfers wants two --keys at least, and leaves no --history");
    if (b->connections * b->depth > 65536) return cli_usage("--connections times --depth is at most 65536");
    if (b->history_path != NULL && b->connections * b->depth > b->key_count * BENCH_IN_FLIGHT_PER_KEY)
        return cli_usage(
            "--history wants at most %u operations at a time on a key: more --keys, or fewer --connections",
            BENCH_IN_FLIGHT_PER_KEY);
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
    if (!bench_keys_init(&b->keys, args_text(a, "spread", "uniform"), b->key_count))
        return cli_usage("--spread: expected uniform, zipfian or sequential, got '%s'", args_text(a, "spread", ""));
    const char *url = args_text(a, "http", NULL);
    b->wire = url != NULL ? &bench_http : &bench_native;
    if (url == NULL) return CLI_OK;
    if (strncmp(url, "http://", 7) == 0) url += 7;
    if (strncmp(url, "https://", 8) == 0) url += 8; /* the certificates decide */
    size_t size = strcspn(url, "/");
    if (size == 0 || size >= sizeof(b->http_address)) return cli_usage("--http: expected http://HOST:PORT");
    snprintf(b->http_address, sizeof(b->http_address), "%.*s", (int)size, url);
    if (b->shares[BENCH_TRANSFER] > 0) return cli_usage("--transfers go to the nodes, without --http");
    return b->depth == 1 ? CLI_OK : cli_usage("--depth: HTTP connections carry one request at a time");
}

/* --- report --- */

static double ms_of(uint64_t ns)
{
    return (double)ns / 1e6;
}

static double rate_of(const struct bench *b)
{
    uint64_t took = (b->ended_ns < b->end_ns ? b->ended_ns : b->end_ns) - b->begun_ns;
    return took == 0 ? 0 : (double)b->in_time * 1e9 / (double)took;
}

static const struct {
    const char *name;
    unsigned per_mille;
} quantiles[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p99_9", 999}, {"max", 1000}};

static void latency_text(const char *what, const struct latency *l)
{
    if (l->count == 0) return;
    out_printf("%-14s", what);
    for (unsigned i = 0; i < 5; i++)
        out_printf("  %s %.3f ms", i == 3 ? "p99.9" : quantiles[i].name,
                   ms_of(latency_quantile_ns(l, quantiles[i].per_mille)));
    out_printf("\n");
}

static void report_text(const struct bench *b)
{
    out_printf("operations      %llu in %.1f s: %.0f /s (%llu get, %llu put, %llu del, %llu cas, %llu refused, %llu "
               "transfer)\n",
               (unsigned long long)(b->read.count + b->write.count), (double)(b->last_ok_ns - b->begun_ns) / 1e9,
               rate_of(b), (unsigned long long)b->ok[BENCH_GET], (unsigned long long)b->ok[BENCH_PUT],
               (unsigned long long)b->ok[BENCH_DELETE], (unsigned long long)b->ok[BENCH_CAS],
               (unsigned long long)b->refused, (unsigned long long)b->ok[BENCH_TRANSFER]);
    latency_text("reads", &b->read);
    latency_text("writes", &b->write);
    out_printf("longest pause   %.1f ms, %.1f s after the start\n", ms_of(b->pause_ns), (double)b->pause_at_ns / 1e9);
    out_printf("errors          %llu definite, %llu unknown%s%s\n", (unsigned long long)b->failed,
               (unsigned long long)b->unknown, b->failed + b->unknown > 0 ? "; the first: " : "",
               b->failed + b->unknown > 0 ? b->first_error.text : "");
}

static void latency_json(struct buf *out, const char *name, const struct latency *l)
{
    json_key(out, name);
    json_open(out, '{');
    json_key(out, "count");
    json_u64(out, l->count);
    for (unsigned i = 0; i < 5; i++) {
        json_key(out, quantiles[i].name);
        buf_printf(out, "%.6f", ms_of(latency_quantile_ns(l, quantiles[i].per_mille)));
    }
    json_close(out, '}');
}

static void report_json(const struct bench *b)
{
    static const char *const kinds[] = {"get", "put", "del", "cas", "transfer"};
    struct buf out;
    buf_init(&out, 1u << 16);
    json_open(&out, '{');
    json_key(&out, "operations_per_second");
    buf_printf(&out, "%.1f", rate_of(b));
    for (unsigned i = 0; i < BENCH_KINDS; i++) {
        json_key(&out, kinds[i]);
        json_u64(&out, b->ok[i]);
    }
    json_key(&out, "cas_refused");
    json_u64(&out, b->refused);
    latency_json(&out, "read_ms", &b->read);
    latency_json(&out, "write_ms", &b->write);
    json_key(&out, "longest_pause_ms");
    buf_printf(&out, "%.3f", ms_of(b->pause_ns));
    json_key(&out, "longest_pause_at_ms");
    buf_printf(&out, "%.3f", ms_of(b->pause_at_ns));
    json_key(&out, "errors_definite");
    json_u64(&out, b->failed);
    json_key(&out, "errors_unknown");
    json_u64(&out, b->unknown);
    json_key(&out, "first_error");
    json_str(&out, b->failed + b->unknown > 0 ? b->first_error.text : "");
    json_close(&out, '}');
    buf_append_byte(&out, '\n');
    out_buf(&out);
    buf_free(&out);
}

static void report_lines(const struct bench *b, const char *name)
{
    const struct latency *l = b->write.count > 0 ? &b->write : &b->read;
    out_printf("bench %s ours=%.0f unit=op/s\n", name, rate_of(b));
    out_printf("bench %s_p50 ours=%.3f unit=ms\n", name, ms_of(latency_quantile_ns(l, 500)));
    out_printf("bench %s_p99 ours=%.3f unit=ms\n", name, ms_of(latency_quantile_ns(l, 990)));
}

static int report(const struct bench *b)
{
    const char *line = args_text(&b->cli->args, "line", NULL);
    if (b->begun_ns == 0) return cli_fail("the load did not start: %s", b->first_error.text);
    if (b->history_failed) return CLI_FAILED;
    if (line != NULL)
        report_lines(b, line);
    else if (b->cli->output == OUTPUT_JSON)
        report_json(b);
    else
        report_text(b);
    return b->read.count + b->write.count > 0 ? CLI_OK : cli_fail("nothing was answered: %s", b->first_error.text);
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

int run_bench_kv(struct cli *c)
{
    struct bench b;
    struct errbuf err;
    memset(&b, 0, sizeof(b));
    b.cli = c;
    b.history_path = args_text(&c->args, "history", NULL);
    b.ids = args_switch(&c->args, "ids");
    b.fill = args_switch(&c->args, "fill");
    int code = cli_certs_take(c, false, false);
    if (code != CLI_OK) return code;
    struct env_posix_options o = {.log_level = c->log_level_given ? c->log_level : LOG_ERROR,
                                  .precise_timers = args_given(&c->args, "rate"),
                                  .tls = cli_tls(c)};
    b.env = env_posix_new(&o, &err);
    if (b.env == NULL) return cli_fail("%s", err.text);
    b.env->ops->random(b.env, &b.run, sizeof(b.run));
    code = take_numbers(&b);
    if (code == CLI_OK) code = take_places(&b);
    if (code == CLI_OK) code = history_begin(&b);
    if (code != CLI_OK) {
        env_posix_free(b.env);
        return code;
    }
    bench_open(&b);
    code = b.wire->open(&b) ? CLI_OK : CLI_USAGE;
    if (code == CLI_OK) {
        bench_run(&b);
        code = report(&b);
    }
    bench_close(&b);
    return code;
}
