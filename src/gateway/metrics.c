#include "gateway/metrics.h"

/* The last slot counts every other code. */
static const int CODES[METRICS_CODES - 1] = {200, 201, 204, 304, 400, 403, 404, 405, 409, 412,
                                             413, 429, 431, 500, 501, 503, 504, 505, 507};
static const uint32_t BOUNDS_US[METRICS_BUCKETS] = {250,   500,    1000,   2500,   5000,    10000,   25000,
                                                    50000, 100000, 250000, 500000, 1000000, 2500000, 10000000};

void metrics_count(struct metrics *m, enum endpoint e, int code, uint64_t took_ns)
{
    size_t slot = 0, bucket = 0;
    uint64_t us = took_ns / 1000;
    while (slot < METRICS_CODES - 1 && CODES[slot] != code) slot++;
    while (bucket < METRICS_BUCKETS && us > BOUNDS_US[bucket]) bucket++;
    m->requests[e][slot]++;
    m->latency[e][bucket]++;
    m->latency_sum_us[e] += us;
}

static void write_requests(const struct metrics *m, struct buf *out)
{
    buf_append_str(out, "# HELP quorate_gateway_requests_total Requests answered, by endpoint and HTTP status.\n"
                        "# TYPE quorate_gateway_requests_total counter\n");
    for (unsigned e = 0; e < ENDPOINT_COUNT; e++) {
        for (size_t c = 0; c < METRICS_CODES; c++) {
            if (m->requests[e][c] == 0) continue;
            buf_printf(out, "quorate_gateway_requests_total{endpoint=\"%s\",code=\"", endpoint_name((enum endpoint)e));
            if (c < METRICS_CODES - 1)
                buf_printf(out, "%d", CODES[c]);
            else
                buf_append_str(out, "other");
            buf_printf(out, "\"} %llu\n", (unsigned long long)m->requests[e][c]);
        }
    }
}

static void write_latency(const struct metrics *m, struct buf *out)
{
    static const char name[] = "quorate_gateway_request_seconds";
    buf_printf(out, "# HELP %s Time from request to answer.\n# TYPE %s histogram\n", name, name);
    for (unsigned e = 0; e < ENDPOINT_COUNT; e++) {
        const char *text = endpoint_name((enum endpoint)e);
        uint64_t total = 0;
        for (size_t i = 0; i <= METRICS_BUCKETS; i++) total += m->latency[e][i];
        if (total == 0) continue;
        uint64_t below = 0;
        for (size_t i = 0; i < METRICS_BUCKETS; i++) {
            below += m->latency[e][i];
            buf_printf(out, "%s_bucket{endpoint=\"%s\",le=\"%g\"} %llu\n", name, text, BOUNDS_US[i] / 1e6,
                       (unsigned long long)below);
        }
        buf_printf(out, "%s_bucket{endpoint=\"%s\",le=\"+Inf\"} %llu\n", name, text, (unsigned long long)total);
        buf_printf(out, "%s_sum{endpoint=\"%s\"} %.6f\n", name, text, (double)m->latency_sum_us[e] / 1e6);
        buf_printf(out, "%s_count{endpoint=\"%s\"} %llu\n", name, text, (unsigned long long)total);
    }
}

static void write_one(struct buf *out, const char *name, const char *type, const char *help, uint64_t v)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name, (unsigned long long)v);
}

static void write_ledger(const struct ledger_stats *l, struct buf *out)
{
    write_one(out, "quorate_ledger_transfers_total", "counter", "Transfers judged here.", l->transfers);
    write_one(out, "quorate_ledger_runs_total", "counter", "Transactions that carried them.", l->runs);
    write_one(out, "quorate_ledger_refused_runs_total", "counter", "Runs of which an assumption was wrong.",
              l->refused_runs);
    write_one(out, "quorate_ledger_careful_runs_total", "counter", "Runs judged again after reading.", l->careful_runs);
    write_one(out, "quorate_ledger_unknown_runs_total", "counter", "Runs whose outcome was unknown at first.",
              l->unknown_runs);
    write_one(out, "quorate_ledger_reads_total", "counter", "Rows read for judgements.", l->reads);
    write_one(out, "quorate_ledger_expired_total", "counter", "Pending transfers that this gateway ended.", l->expired);
}

void metrics_write(const struct metrics *m, const struct client_stats *c, const struct ledger_stats *ledger,
                   struct buf *out)
{
    if (ledger != NULL) write_ledger(ledger, out);
    write_requests(m, out);
    write_latency(m, out);
    write_one(out, "quorate_gateway_in_flight", "gauge", "Requests waiting for the cluster.", m->in_flight);
    write_one(out, "quorate_gateway_unknown_outcomes_total", "counter", "Answers with outcome unknown.",
              m->unknown_outcomes);
    write_one(out, "quorate_gateway_clients_gone_total", "counter", "Clients that left before their answer.", m->gone);
    write_one(out, "quorate_client_requests_total", "counter", "Requests handed to the router.", c->requests);
    write_one(out, "quorate_client_retries_total", "counter", "Attempts after the first.", c->retries);
    write_one(out, "quorate_client_map_refreshes_total", "counter", "Reloads of the shard map.", c->map_refreshes);
    write_one(out, "quorate_client_failures_total", "counter", "Requests that ended without an answer of the cluster.",
              c->failures);
    write_one(out, "quorate_client_unknown_outcomes_total", "counter", "Writes whose outcome is unknown.",
              c->unknown_outcomes);
    write_one(out, "quorate_client_in_flight", "gauge", "Requests in the router.", c->in_flight);
}
