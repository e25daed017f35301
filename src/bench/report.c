/* What a load came to: for people, as JSON, and as lines for programs. */
#include "bench/bench.h"
#include "gateway/json_out.h"

static const char *const kinds[BENCH_KINDS] = {"get",    "put",  "del",    "cas", "transfer",
                                               "insert", "scan", "modify", "txn"};

static double ms_of(uint64_t ns)
{
    return (double)ns / 1e6;
}

static double rate_of(const struct bench *b)
{
    uint64_t took = (b->ended_ns < b->end_ns ? b->ended_ns : b->end_ns) - b->begun_ns;
    return took == 0 ? 0 : (double)b->in_time * 1e9 / (double)took;
}

static uint64_t answered(const struct bench *b)
{
    return b->read.count + b->write.count + b->scan.count;
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
    out_printf("operations      %llu in %.1f s: %.0f /s (", (unsigned long long)answered(b),
               (double)(b->last_ok_ns - b->begun_ns) / 1e9, rate_of(b));
    for (unsigned i = 0; i < BENCH_KINDS; i++) {
        if (b->ok[i] > 0 || i < BENCH_TRANSFER) out_printf("%llu %s, ", (unsigned long long)b->ok[i], kinds[i]);
    }
    out_printf("%llu refused)\n", (unsigned long long)b->refused);
    if (b->rows > 0) out_printf("rows            %llu scanned\n", (unsigned long long)b->rows);
    latency_text("reads", &b->read);
    latency_text("writes", &b->write);
    latency_text("scans", &b->scan);
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
    latency_json(&out, "scan_ms", &b->scan);
    json_key(&out, "rows");
    json_u64(&out, b->rows);
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
    const struct latency *l = b->write.count > 0 ? &b->write : b->read.count > 0 ? &b->read : &b->scan;
    out_printf("bench %s ours=%.0f unit=op/s\n", name, rate_of(b));
    out_printf("bench %s_p50 ours=%.3f unit=ms\n", name, ms_of(latency_quantile_ns(l, 500)));
    out_printf("bench %s_p99 ours=%.3f unit=ms\n", name, ms_of(latency_quantile_ns(l, 990)));
}

int bench_report(const struct bench *b)
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
    return answered(b) > 0 ? CLI_OK : cli_fail("nothing was answered: %s", b->first_error.text);
}
