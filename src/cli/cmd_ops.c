/* op, range move, scatter, hot and show: ranges, and what changes of them are under way, why, and what they wait for. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/admin_int.h"
#include "cli/rates.h"
#include "gateway/health.h"
#include "gateway/json_out.h"
#include "meta/operator.h"

/* --- operators --- */

static void print_operator_json(struct buf *b, const struct operator_info *o)
{
    buf_printf(b, "{\"id\":%llu,\"range\":%llu,\"kind\":\"%s\",\"state\":\"%s\"", (unsigned long long)o->id,
               (unsigned long long)o->range_id, operator_kind_name(o->kind), operator_state_name(o->state));
    if (o->from != 0) buf_printf(b, ",\"from\":%llu", (unsigned long long)o->from);
    if (o->to != 0) buf_printf(b, ",\"to\":%llu", (unsigned long long)o->to);
    buf_printf(b, ",\"percent\":%u,\"began_ms\":%llu,\"ended_ms\":%llu,\"why\":", o->percent,
               (unsigned long long)o->began_ms, (unsigned long long)o->ended_ms);
    json_text(b, o->why);
    buf_append_str(b, ",\"step\":");
    json_text(b, o->step);
    buf_append_byte(b, '}');
}

static void node_cell(struct text_table *t, uint64_t node)
{
    if (node == 0)
        text_table_cell(t, "-");
    else
        text_table_cell(t, "%llu", (unsigned long long)node);
}

static void duration_cell(struct text_table *t, uint64_t from_ms, uint64_t to_ms)
{
    struct buf b;
    buf_init(&b, 64);
    text_duration(&b, to_ms > from_ms ? to_ms - from_ms : 0);
    text_table_cell_bytes(t, buf_slice(&b), 32);
    buf_free(&b);
}

static bool wanted(const struct operator_info *o, bool running, uint64_t id)
{
    return id != 0 ? o->id == id : (o->state == OPERATOR_RUNNING) == running;
}

static void print_operators_json(const struct meta_ops_reply *ops, bool running, uint64_t id)
{
    struct buf b;
    bool first = true;
    buf_init(&b, 16u << 20);
    buf_append_str(&b, "{\"operators\":[");
    for (size_t i = 0; i < ops->op_count; i++) {
        if (!wanted(&ops->ops[i], running, id)) continue;
        if (!first) buf_append_byte(&b, ',');
        print_operator_json(&b, &ops->ops[i]);
        first = false;
    }
    buf_append_str(&b, "]}\n");
    out_buf(&b);
    buf_free(&b);
}

static int print_operators(struct admin_call *a, const struct meta_ops_reply *ops, bool running, uint64_t id)
{
    static const char *const heads[] = {"OP", "RANGE", "WHAT", "FROM", "TO", "STATE", "FOR", "WHY", "STEP"};
    uint64_t now_ms = env_wall_ms(a->session.env);
    struct text_table t;
    size_t shown = 0;
    for (size_t i = 0; i < ops->op_count; i++) shown += wanted(&ops->ops[i], running, id);
    if (id != 0 && shown == 0) return cli_fail("no operator has the id %llu", (unsigned long long)id);
    if (a->session.cli->output == OUTPUT_JSON) {
        print_operators_json(ops, running, id);
        return CLI_OK;
    }
    text_table_init(&t, heads, 9);
    for (size_t i = 0; i < ops->op_count; i++) {
        const struct operator_info *o = &ops->ops[i];
        if (!wanted(o, running, id)) continue;
        text_table_cell(&t, "%llu", (unsigned long long)o->id);
        text_table_cell(&t, "%llu", (unsigned long long)o->range_id);
        text_table_cell(&t, "%s", operator_kind_name(o->kind));
        node_cell(&t, o->from);
        node_cell(&t, o->to);
        if (o->state == OPERATOR_RUNNING && o->percent > 0)
            text_table_cell(&t, "%u %%", o->percent);
        else
            text_table_cell(&t, "%s", operator_state_name(o->state));
        duration_cell(&t, o->began_ms, o->state == OPERATOR_RUNNING ? now_ms : o->ended_ms);
        text_table_cell_bytes(&t, o->why, 60);
        text_table_cell_bytes(&t, o->step, 100);
    }
    admin_print_table(&t, a->session.cli->output);
    return CLI_OK;
}

static int show_running(struct admin_call *a)
{
    struct meta_ops_reply ops;
    int code = admin_ask_operators(a, &ops);
    return code != CLI_OK ? code : print_operators(a, &ops, true, 0);
}

static int show_ended(struct admin_call *a)
{
    struct meta_ops_reply ops;
    int code = admin_ask_operators(a, &ops);
    return code != CLI_OK ? code : print_operators(a, &ops, false, 0);
}

static int show_one(struct admin_call *a)
{
    struct meta_ops_reply ops;
    uint64_t id = 0;
    int code = CLI_OK;
    if (!admin_number(a->session.cli, 0, "op", &id, &code)) return code;
    code = admin_ask_operators(a, &ops);
    return code != CLI_OK ? code : print_operators(a, &ops, true, id);
}

int run_op_list(struct cli *c)
{
    return admin_watch(c, show_running);
}
int run_op_history(struct cli *c)
{
    return admin_watch(c, show_ended);
}
int run_op_show(struct cli *c)
{
    return admin_watch(c, show_one);
}

static int ask_operator(struct admin_call *a, const char *what, const struct meta_op_request *q, uint64_t *id)
{
    struct buf params;
    struct slice payload;
    struct meta_op_reply reply;
    buf_init(&params, 1024);
    pack_meta_op_request(&params, q);
    int code = admin_ask(a, what, METHOD_META_OP, buf_slice(&params), &payload);
    buf_free(&params);
    if (code != CLI_OK) return code;
    if (unpack_meta_op_reply(payload, &a->arena, &reply) != STATUS_OK)
        return cli_fail("the metadata service's answer cannot be read");
    *id = reply.id;
    return CLI_OK;
}

static int do_cancel(struct admin_call *a)
{
    struct meta_op_request q = {.verb = OPERATOR_VERB_CANCEL, .keyspace = SLICE_EMPTY};
    int code = CLI_OK;
    uint64_t id;
    if (!admin_number(a->session.cli, 0, "op", &q.id, &code)) return code;
    code = ask_operator(a, "op cancel", &q, &id);
    if (code != CLI_OK) return code;
    char json[64], text[64];
    (void)snprintf(json, sizeof json, "\"operator\":%llu,\"state\":\"cancelled\"", (unsigned long long)id);
    (void)snprintf(text, sizeof text, "operator %llu is cancelled", (unsigned long long)id);
    admin_done(a, json, text);
    return CLI_OK;
}

int run_op_cancel(struct cli *c)
{
    return admin_watch(c, do_cancel);
}

/* Follows an operator to its end, telling each change of what it waits for on the way. */
static int follow(struct admin_call *a, uint64_t id)
{
    char told[700] = "";
    bool json = a->session.cli->output == OUTPUT_JSON;
    for (;;) {
        struct meta_ops_reply ops;
        const struct operator_info *o = NULL;
        arena_reset(&a->arena);
        int code = admin_ask_operators(a, &ops);
        if (code != CLI_OK) return code;
        for (size_t i = 0; i < ops.op_count && o == NULL; i++) o = ops.ops[i].id == id ? &ops.ops[i] : NULL;
        if (o == NULL) return cli_fail("operator %llu has ended, and is not remembered", (unsigned long long)id);
        if (o->state != OPERATOR_RUNNING) {
            if (json) print_operators_json(&ops, false, id);
            if (o->state == OPERATOR_DONE) {
                if (!json) out_printf("done\n");
                return CLI_OK;
            }
            return cli_fail("operator %llu: %s: %.*s", (unsigned long long)id, operator_state_name(o->state),
                            (int)o->step.size, (const char *)o->step.data);
        }
        char now[700];
        (void)snprintf(now, sizeof now, "%.*s%s", (int)o->step.size, (const char *)o->step.data, "");
        if (!json && (strcmp(now, told) != 0 || o->percent > 0)) {
            if (o->percent > 0)
                out_printf("%s: %u %%\n", now, o->percent);
            else
                out_printf("%s\n", now);
        }
        (void)snprintf(told, sizeof told, "%s", now);
        admin_pause(a, 300);
    }
}

static int start_and_follow(struct admin_call *a, const char *what, const struct meta_op_request *q)
{
    uint64_t id;
    int code = ask_operator(a, what, q, &id);
    if (code != CLI_OK) return code;
    if (args_switch(&a->session.cli->args, "no-wait")) {
        char json[64], text[64];
        (void)snprintf(json, sizeof json, "\"operator\":%llu", (unsigned long long)id);
        (void)snprintf(text, sizeof text, "operator %llu", (unsigned long long)id);
        admin_done(a, json, text);
        return CLI_OK;
    }
    return follow(a, id);
}

/* --- ranges --- */

/* With --from and --to a move; with one of them a replica more or less. */
static int do_move(struct admin_call *a)
{
    struct cli *c = a->session.cli;
    struct errbuf err;
    struct meta_op_request q = {.verb = OPERATOR_VERB_START, .keyspace = SLICE_EMPTY};
    int code = CLI_OK;
    if (!admin_number(c, 0, "range", &q.range_id, &code)) return code;
    if (args_number(&c->args, "from", 0, 1, UINT32_MAX, &q.from, &err) != STATUS_OK && args_given(&c->args, "from"))
        return cli_usage("%s", err.text);
    if (args_number(&c->args, "to", 0, 1, UINT32_MAX, &q.to, &err) != STATUS_OK && args_given(&c->args, "to"))
        return cli_usage("%s", err.text);
    if (q.from == 0 && q.to == 0) return cli_usage("range move: --from NODE, --to NODE, or both are needed");
    q.kind = q.from == 0 ? OPERATOR_ADD : q.to == 0 ? OPERATOR_REMOVE : OPERATOR_REPLACE;
    return start_and_follow(a, "range move", &q);
}

int run_range_move(struct cli *c)
{
    return admin_watch(c, do_move);
}

static int do_scatter(struct admin_call *a)
{
    struct meta_op_request q = {.verb = OPERATOR_VERB_SCATTER, .keyspace = slice_str(a->session.cli->args.words[0])};
    uint64_t count;
    int code = ask_operator(a, "range scatter", &q, &count);
    if (code != CLI_OK) return code;
    char json[64], text[128];
    (void)snprintf(json, sizeof json, "\"ranges\":%llu", (unsigned long long)count);
    (void)snprintf(text, sizeof text,
                   "the leaderships of %llu ranges are dealt out in turn; `quorate op list` shows them go",
                   (unsigned long long)count);
    admin_done(a, json, text);
    return CLI_OK;
}

int run_range_scatter(struct cli *c)
{
    return admin_watch(c, do_scatter);
}

static const char *role_name(uint8_t role)
{
    static const char *const names[] = {"?", "voter", "learner", "incoming", "outgoing"};
    return role <= RANGE_OUTGOING ? names[role] : "?";
}

static int do_range_show(struct admin_call *a)
{
    struct meta_map_reply map;
    uint64_t id = 0;
    int code = CLI_OK;
    if (!admin_number(a->session.cli, 0, "range", &id, &code)) return code;
    code = admin_ask_map(a, &map);
    if (code != CLI_OK) return code;
    size_t at = 0;
    while (at < map.range_count && map.ranges[at].id != id) at++;
    if (at == map.range_count) return cli_fail("there is no range %llu", (unsigned long long)id);
    const struct range_desc *d = &map.ranges[at];
    const struct range_report *report = &map.reports[at];
    struct buf b;
    buf_init(&b, 1u << 20);
    if (a->session.cli->output == OUTPUT_JSON) {
        map.ranges = &map.ranges[at];
        map.leaders = &map.leaders[at];
        map.reports = &map.reports[at];
        map.range_count = 1;
        admin_print_json(answer_ranges, &map);
        buf_free(&b);
        return CLI_OK;
    }
    buf_printf(&b, "range      %llu of keyspace %.*s\nfrom       ", (unsigned long long)id,
               (int)map_keyspace_name(&map, d->keyspace).size, (const char *)map_keyspace_name(&map, d->keyspace).data);
    text_escape(&b, d->start.size > 0 ? d->start : slice_str("(first)"));
    buf_append_str(&b, "\nto         ");
    text_escape(&b, d->end.size > 0 ? d->end : slice_str("(last)"));
    buf_printf(&b, "\nepoch      conf_ver %llu, version %llu; term %llu\nholds      ",
               (unsigned long long)d->epoch.conf_ver, (unsigned long long)d->epoch.version,
               (unsigned long long)report->term);
    text_size(&b, report->bytes);
    buf_printf(&b, ", about %llu rows; %llu writes and %llu reads since its leader's node started\n",
               (unsigned long long)report->rows, (unsigned long long)report->writes, (unsigned long long)report->reads);
    for (size_t i = 0; i < d->replica_count; i++) {
        const struct range_replica *m = &d->replicas[i];
        const struct node_info *n = map_node(&map, m->node_id);
        buf_printf(&b, "replica    %llu on node %llu, %s%s%s\n", (unsigned long long)m->replica_id,
                   (unsigned long long)m->node_id, role_name(m->role), m->node_id == map.leaders[at] ? ", leads" : "",
                   n == NULL || !n->alive ? ", its node is SILENT" : "");
    }
    out_buf(&b);
    buf_free(&b);
    return CLI_OK;
}

int run_range_show(struct cli *c)
{
    return admin_watch(c, do_range_show);
}

enum { HOT_SHOWN = 20 };

static void print_hot_json(const struct meta_map_reply *map, const struct range_rate *hot)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    buf_append_str(&b, "{\"ranges\":[");
    for (size_t i = 0; i < map->range_count && i < HOT_SHOWN; i++) {
        const struct range_desc *d = &map->ranges[hot[i].at];
        buf_printf(&b, "%s{\"range\":%llu,\"keyspace\":", i > 0 ? "," : "", (unsigned long long)d->id);
        json_text(&b, map_keyspace_name(map, d->keyspace));
        buf_append_byte(&b, ',');
        json_bytes(&b, "start", d->start, false);
        buf_printf(&b, ",\"leader\":%llu,\"operations_per_second\":%llu,\"bytes\":%llu}",
                   (unsigned long long)map->leaders[hot[i].at], (unsigned long long)(hot[i].writes + hot[i].reads),
                   (unsigned long long)map->reports[hot[i].at].bytes);
    }
    buf_append_str(&b, "]}\n");
    out_buf(&b);
    buf_free(&b);
}

/* The counters are read twice, a second apart. */
static int do_range_hot(struct admin_call *a)
{
    static const char *const heads[] = {"RANGE", "KEYSPACE", "START", "LEADER", "OPERATIONS/S", "DATA"};
    struct meta_map_reply before, map;
    int code = admin_ask_map(a, &before);
    if (code != CLI_OK) return code;
    admin_pause(a, 1000);
    code = admin_ask_map(a, &map);
    if (code != CLI_OK) return code;
    const struct range_rate *hot =
        range_rates(range_counts(&before, &a->arena), before.range_count, &map, 1000, &a->arena);
    if (a->session.cli->output == OUTPUT_JSON) {
        print_hot_json(&map, hot);
        return CLI_OK;
    }
    struct text_table t;
    text_table_init(&t, heads, 6);
    for (size_t i = 0; i < map.range_count && i < HOT_SHOWN; i++) {
        const struct range_desc *d = &map.ranges[hot[i].at];
        struct buf size;
        buf_init(&size, 64);
        text_size(&size, map.reports[hot[i].at].bytes);
        text_table_cell(&t, "%llu", (unsigned long long)d->id);
        text_table_cell_bytes(&t, map_keyspace_name(&map, d->keyspace), 64);
        text_table_cell_bytes(&t, d->start.size > 0 ? d->start : slice_str("(first)"), 32);
        node_cell(&t, map.leaders[hot[i].at]);
        text_table_cell(&t, "%llu", (unsigned long long)(hot[i].writes + hot[i].reads));
        text_table_cell_bytes(&t, buf_slice(&size), 32);
        buf_free(&size);
    }
    admin_print_table(&t, a->session.cli->output);
    return CLI_OK;
}

int run_range_hot(struct cli *c)
{
    return admin_watch(c, do_range_hot);
}
