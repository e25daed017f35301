/* quorate top: one screen, again and again: nodes, a gateway's requests and their latencies, the busiest ranges. On a terminal it is drawn in
 * place and fits; else screens follow each other, whole. */
#include <stdio.h>

#include "cli/admin_int.h"
#include "cli/http_load.h"
#include "cli/rates.h"
#include "env_posix/env_posix.h"
#include "env_posix/process.h"
#include "gateway/health.h"
#include "gateway/json_out.h"
#include "meta/operator.h"

#define METRICS_TIMEOUT_MS 2000u
#define ROWS_PLAIN 1000u /* where nothing has to fit */
#define ROWS_LEFT 4u     /* heads and empty lines between the parts */

struct look { /* at the cluster; two take turns */
    struct arena arena;
    uint64_t ms;
    struct range_count *ranges; /* NULL: it has not been taken yet */
    size_t range_count;
    struct request_table requests;
};
struct top {
    struct admin_call call; /* its arena: of what a screen shows */
    struct look looks[2], *now, *before;
    struct meta_status_reply status;
    struct meta_map_reply map;
    struct health health;
    char gateway[LIMIT_ADDRESS_BYTES + 1];
    struct http_client *http;
    bool answered, reached; /* the gateway */
    struct range_rate *rates;
    uint64_t writes, reads;
};

/* --- looking --- */

static void on_metrics(void *ctx, int code, enum status why, struct slice body)
{
    struct top *t = ctx;
    (void)why;
    t->answered = true;
    t->reached = code == 200;
    if (t->reached) request_table_read(&t->now->requests, arena_dup_slice(&t->now->arena, body));
}

static bool metrics_are_there(void *ctx)
{
    return ((struct top *)ctx)->answered;
}

static void ask_gateway(struct top *t)
{
    struct env *env = t->call.session.env;
    t->answered = false;
    t->now->requests.count = 0;
    env->http->ops->client_send(t->http, HTTP_GET, "/metrics", NULL, 0, SLICE_EMPTY, on_metrics, t);
    env_posix_run_until(env, metrics_are_there, t, DEADLINE_NONE); /* ends by its own timeout */
}

static int look(struct top *t)
{
    struct look *next = t->before;
    struct slice payload;
    t->before = t->now;
    t->now = next;
    arena_reset(&next->arena);
    arena_reset(&t->call.arena);
    int code = admin_ask(&t->call, "the metadata service", METHOD_META_STATUS, SLICE_EMPTY, &payload);
    if (code == CLI_OK && unpack_meta_status_reply(payload, &t->call.arena, &t->status) != STATUS_OK)
        code = cli_fail("the metadata service's answer cannot be read");
    if (code == CLI_OK) code = admin_ask_map(&t->call, &t->map);
    if (code != CLI_OK) return code;
    next->ms = process_mono_ms();
    next->ranges = range_counts(&t->map, &next->arena);
    next->range_count = t->map.range_count;
    ask_gateway(t);
    health_assess(&t->status, &t->map, &t->health);
    return CLI_OK;
}

static void compare(struct top *t)
{
    t->rates =
        range_rates(t->before->ranges, t->before->range_count, &t->map, t->now->ms - t->before->ms, &t->call.arena);
    t->writes = t->reads = 0;
    for (size_t i = 0; i < t->map.range_count; i++) {
        t->writes += t->rates[i].writes;
        t->reads += t->rates[i].reads;
    }
}

static struct range_rate led_by(const struct top *t, uint64_t node)
{
    struct range_rate sum = {.at = 0};
    for (size_t i = 0; i < t->map.range_count; i++) {
        if (t->map.leaders[t->rates[i].at] != node) continue;
        sum.writes += t->rates[i].writes;
        sum.reads += t->rates[i].reads;
    }
    return sum;
}

static struct request_rate request_rate(const struct top *t, size_t i)
{
    return request_rate_of(&t->now->requests.endpoints[i], &t->before->requests, t->now->ms - t->before->ms);
}

/* --- the screen --- */

static void size_cell(struct text_table *table, uint64_t bytes)
{
    struct buf b;
    buf_init(&b, 64);
    text_size(&b, bytes);
    text_table_cell_bytes(table, buf_slice(&b), 32);
    buf_free(&b);
}

static void show_head(const struct top *t, struct buf *b)
{
    const struct health *h = &t->health;
    buf_printf(b, "%u of %u metadata servers, %u of %u nodes, %u of %u ranges led; %s\n", h->members_healthy,
               h->members, h->nodes_alive, h->nodes, h->ranges_led, h->ranges, h->ready ? "ready" : "NOT READY");
    buf_printf(b, "%llu writes/s, %llu reads/s\n", (unsigned long long)t->writes, (unsigned long long)t->reads);
    if (h->problem_count > 0) buf_printf(b, "%.150s\n", h->problems[0].text);
    if (h->problem_count > 1) buf_printf(b, "and %u more: `quorate status`\n", h->problem_count - 1);
}

static void show_moves(struct top *t, struct buf *b)
{
    struct meta_ops_reply ops;
    unsigned running = 0;
    if (admin_ask_operators(&t->call, &ops) != CLI_OK) return;
    for (size_t i = 0; i < ops.op_count; i++) {
        const struct operator_info *o = &ops.ops[i];
        if (o->state != OPERATOR_RUNNING || ++running > 1) continue;
        buf_printf(b, "%s of range %llu (%u %%)", operator_kind_name(o->kind), (unsigned long long)o->range_id,
                   o->percent);
    }
    if (running > 1) buf_printf(b, " and %u more: `quorate op list`", running - 1);
    if (running > 0) buf_append_byte(b, '\n');
}

static size_t show_nodes(const struct top *t, struct buf *b, size_t rows)
{
    static const char *const heads[] = {"NODE",    "STATE", "RANGES", "LEADS",    "WRITES/S",
                                        "READS/S", "DATA",  "FREE",   "LOG WRITE"};
    struct text_table table;
    size_t shown = 0;
    text_table_init(&table, heads, 9);
    for (; shown < t->map.node_count && shown < rows; shown++) {
        const struct node_info *n = &t->map.nodes[shown];
        struct range_rate r = led_by(t, n->id);
        struct buf state;
        buf_init(&state, 128);
        node_state_text(n, &state);
        text_table_cell(&table, "%llu", (unsigned long long)n->id);
        text_table_cell_bytes(&table, buf_slice(&state), 24);
        text_table_cell(&table, "%llu", (unsigned long long)n->range_count);
        text_table_cell(&table, "%llu", (unsigned long long)n->leader_count);
        text_table_cell(&table, "%llu", (unsigned long long)r.writes);
        text_table_cell(&table, "%llu", (unsigned long long)r.reads);
        size_cell(&table, n->bytes);
        size_cell(&table, n->disk_free);
        text_table_cell(&table, "%.2f ms", (double)n->disk_write_us / 1000);
        buf_free(&state);
    }
    text_table_write(&table, OUTPUT_TABLE, b);
    text_table_free(&table);
    if (shown < t->map.node_count) buf_printf(b, "and %zu more\n", t->map.node_count - shown);
    return shown + 1;
}

static size_t show_requests(const struct top *t, struct buf *b, size_t rows)
{
    static const char *const heads[] = {"REQUESTS", "/S", "P50 MS", "P99 MS"};
    struct text_table table;
    size_t shown = 0;
    if (!t->reached) {
        buf_printf(b, "the gateway %s does not answer: no latencies (--gateway)\n", t->gateway);
        return 1;
    }
    text_table_init(&table, heads, 4);
    for (size_t i = 0; i < t->now->requests.count && shown < rows; i++) {
        struct request_rate r = request_rate(t, i);
        if (r.per_second == 0) continue;
        shown++;
        text_table_cell_bytes(&table, t->now->requests.endpoints[i].endpoint, 24);
        text_table_cell(&table, "%llu", (unsigned long long)r.per_second);
        text_table_cell(&table, "%.2f", r.p50_ms);
        text_table_cell(&table, "%.2f", r.p99_ms);
    }
    if (shown > 0)
        text_table_write(&table, OUTPUT_TABLE, b);
    else
        buf_printf(b, "no requests at the gateway %s\n", t->gateway);
    text_table_free(&table);
    return shown + 1;
}

static void show_ranges(const struct top *t, struct buf *b, size_t rows)
{
    static const char *const heads[] = {"RANGE", "KEYSPACE", "START", "LEADER", "WRITES/S", "READS/S", "DATA"};
    struct text_table table;
    text_table_init(&table, heads, 7);
    for (size_t i = 0; i < t->map.range_count && i < rows; i++) {
        const struct range_desc *d = &t->map.ranges[t->rates[i].at];
        text_table_cell(&table, "%llu", (unsigned long long)d->id);
        text_table_cell_bytes(&table, map_keyspace_name(&t->map, d->keyspace), 24);
        text_table_cell_bytes(&table, d->start.size > 0 ? d->start : slice_str("(first)"), 24);
        text_table_cell(&table, "%llu", (unsigned long long)t->map.leaders[t->rates[i].at]);
        text_table_cell(&table, "%llu", (unsigned long long)t->rates[i].writes);
        text_table_cell(&table, "%llu", (unsigned long long)t->rates[i].reads);
        size_cell(&table, t->map.reports[t->rates[i].at].bytes);
    }
    text_table_write(&table, OUTPUT_TABLE, b);
    text_table_free(&table);
    if (rows < t->map.range_count) buf_printf(b, "and %zu more\n", t->map.range_count - rows);
}

static void show_screen(struct top *t, bool terminal)
{
    struct buf b;
    size_t rows = terminal ? process_terminal_height(1) : ROWS_PLAIN;
    buf_init(&b, 16u << 20);
    if (terminal) buf_append_str(&b, "\033[H\033[2J");
    show_head(t, &b);
    show_moves(t, &b);
    size_t used = ROWS_LEFT + 4;
    buf_append_byte(&b, '\n');
    used += show_nodes(t, &b, terminal ? rows / 3 : 100);
    buf_append_byte(&b, '\n');
    used += show_requests(t, &b, terminal ? rows / 4 : REQUEST_ENDPOINTS_MAX);
    buf_append_byte(&b, '\n');
    show_ranges(t, &b, !terminal ? 20 : used + 1 < rows ? rows - used : 1);
    if (!terminal) buf_append_byte(&b, '\n');
    out_buf(&b);
    buf_free(&b);
}

/* --- as JSON --- */

static void json_count(struct buf *b, const char *name, uint64_t v)
{
    json_key(b, name);
    json_u64(b, v);
}

static void json_nodes(const struct top *t, struct buf *b)
{
    json_key(b, "nodes");
    json_open(b, '[');
    for (size_t i = 0; i < t->map.node_count; i++) {
        const struct node_info *n = &t->map.nodes[i];
        struct range_rate r = led_by(t, n->id);
        json_open(b, '{');
        json_count(b, "node", n->id);
        json_key(b, "up");
        json_bool(b, n->alive);
        json_count(b, "ranges", n->range_count);
        json_count(b, "leads", n->leader_count);
        json_count(b, "writes_per_second", r.writes);
        json_count(b, "reads_per_second", r.reads);
        json_count(b, "bytes", n->bytes);
        json_count(b, "disk_free", n->disk_free);
        json_count(b, "log_write_us", n->disk_write_us);
        json_close(b, '}');
    }
    json_close(b, ']');
}

static void json_requests(const struct top *t, struct buf *b)
{
    json_key(b, "requests");
    json_open(b, '[');
    for (size_t i = 0; t->reached && i < t->now->requests.count; i++) {
        struct request_rate r = request_rate(t, i);
        if (r.per_second == 0) continue;
        json_open(b, '{');
        json_key(b, "endpoint");
        json_text(b, t->now->requests.endpoints[i].endpoint);
        json_count(b, "per_second", r.per_second);
        json_key(b, "p50_ms");
        buf_printf(b, "%.3f", r.p50_ms);
        json_key(b, "p99_ms");
        buf_printf(b, "%.3f", r.p99_ms);
        json_close(b, '}');
    }
    json_close(b, ']');
}

static void show_json(const struct top *t)
{
    struct buf b;
    buf_init(&b, 64u << 20);
    json_open(&b, '{');
    json_key(&b, "ready");
    json_bool(&b, t->health.ready);
    json_count(&b, "ms", t->now->ms - t->before->ms);
    json_count(&b, "writes_per_second", t->writes);
    json_count(&b, "reads_per_second", t->reads);
    json_nodes(t, &b);
    json_key(&b, "gateway");
    json_text(&b, t->reached ? slice_str(t->gateway) : SLICE_EMPTY);
    json_requests(t, &b);
    json_key(&b, "ranges");
    json_open(&b, '[');
    for (size_t i = 0; i < t->map.range_count; i++) {
        const struct range_desc *d = &t->map.ranges[t->rates[i].at];
        json_open(&b, '{');
        json_count(&b, "range", d->id);
        json_key(&b, "keyspace");
        json_text(&b, map_keyspace_name(&t->map, d->keyspace));
        json_count(&b, "leader", t->map.leaders[t->rates[i].at]);
        json_count(&b, "writes_per_second", t->rates[i].writes);
        json_count(&b, "reads_per_second", t->rates[i].reads);
        json_count(&b, "bytes", t->map.reports[t->rates[i].at].bytes);
        json_close(&b, '}');
    }
    json_close(&b, ']');
    json_close(&b, '}');
    buf_append_byte(&b, '\n');
    out_buf(&b);
    buf_free(&b);
}

int run_top(struct cli *c)
{
    struct top t = {.reached = false};
    struct errbuf err;
    uint64_t every_ms;
    bool once = args_switch(&c->args, "once"), terminal = !once && process_is_terminal(1);
    if (args_number(&c->args, "every-ms", 1000, 200, 3600000, &every_ms, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    int code = admin_open(&t.call, c);
    if (code != CLI_OK) return code;
    load_gateway(c, t.gateway, sizeof t.gateway);
    struct http *http = t.call.session.env->http;
    t.http = http->ops->client_new(http, t.gateway, METRICS_TIMEOUT_MS);
    for (size_t i = 0; i < 2; i++) arena_init(&t.looks[i].arena, 4096);
    t.now = &t.looks[0];
    t.before = &t.looks[1];
    code = look(&t);
    for (bool more = true; code == CLI_OK && more; more = !once && !out_failed()) {
        admin_pause(&t.call, (uint32_t)every_ms);
        code = look(&t);
        if (code != CLI_OK) break;
        compare(&t);
        if (c->output == OUTPUT_JSON)
            show_json(&t);
        else
            show_screen(&t, terminal);
    }
    http->ops->client_free(t.http);
    for (size_t i = 0; i < 2; i++) arena_free(&t.looks[i].arena);
    t.call.session.done = true;
    t.call.session.exit_code = code;
    return admin_close(&t.call);
}
