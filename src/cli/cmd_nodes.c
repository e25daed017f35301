/* node show, decommission, recommission, maintenance. */
#include <stdio.h>

#include "cli/admin_int.h"
#include "gateway/health.h"
#include "gateway/json_out.h"

static int ask_node(struct admin_call *a, const char *what, const struct meta_node_request *q, struct slice *text)
{
    struct buf params;
    struct slice payload;
    struct meta_node_reply reply;
    buf_init(&params, 256);
    pack_meta_node_request(&params, q);
    int code = admin_ask(a, what, METHOD_META_NODE, buf_slice(&params), &payload);
    buf_free(&params);
    if (code != CLI_OK) return code;
    if (unpack_meta_node_reply(payload, &a->arena, &reply) != STATUS_OK)
        return cli_fail("the metadata service's answer cannot be read");
    *text = reply.text;
    return CLI_OK;
}

static void say_node(struct admin_call *a, uint64_t node_id, struct slice text)
{
    struct buf b;
    buf_init(&b, 65536);
    if (a->session.cli->output == OUTPUT_JSON) {
        buf_printf(&b, "{\"node\":%llu,\"text\":", (unsigned long long)node_id);
        json_text(&b, text);
        buf_append_str(&b, "}\n");
    } else {
        buf_printf(&b, "%.*s\n", (int)text.size, (const char *)text.data);
    }
    out_buf(&b);
    buf_free(&b);
}

/* --- decommission --- */

/* What of the node's replicas does not go, and why. */
static void print_stuck(struct admin_call *a, uint64_t node_id, struct buf *b)
{
    struct meta_ops_reply ops;
    if (admin_ask_operators(a, &ops) != CLI_OK) return;
    for (size_t i = 0; i < ops.op_count; i++) {
        const struct operator_info *o = &ops.ops[i];
        if (o->state != OPERATOR_RUNNING || o->from != node_id) continue;
        buf_printf(b, "; range %llu: %.*s", (unsigned long long)o->range_id, (int)o->step.size,
                   (const char *)o->step.data);
        return;
    }
    for (size_t i = 0; i < ops.note_count; i++) {
        if (ops.notes[i].count == 0) continue;
        buf_printf(b, "; waits: %.*s", (int)ops.notes[i].text.size, (const char *)ops.notes[i].text.data);
        return;
    }
}

static void print_progress(struct admin_call *a, uint64_t node_id, const struct holding *began, const struct holding *h,
                           uint64_t passed_ms)
{
    struct buf b;
    buf_init(&b, 65536);
    uint64_t gone = began->replicas - h->replicas, percent = began->replicas == 0 ? 100 : gone * 100 / began->replicas;
    buf_printf(&b, "%3llu %%  %llu of %llu replicas left, ", (unsigned long long)percent,
               (unsigned long long)h->replicas, (unsigned long long)began->replicas);
    text_size(&b, h->bytes);
    if (gone > 0) {
        buf_append_str(&b, ", about ");
        text_duration(&b, passed_ms * h->replicas / gone);
        buf_append_str(&b, " to go");
    }
    print_stuck(a, node_id, &b);
    buf_append_byte(&b, '\n');
    out_buf(&b);
    buf_free(&b);
}

static int wait_empty(struct admin_call *a, uint64_t node_id)
{
    struct holding began = {0};
    uint64_t since_ms = env_wall_ms(a->session.env), told = UINT64_MAX, told_ms = 0;
    bool json = a->session.cli->output == OUTPUT_JSON;
    for (bool first = true;; first = false) {
        struct meta_map_reply map;
        arena_reset(&a->arena);
        int code = admin_ask_map(a, &map);
        if (code != CLI_OK) return code;
        struct holding h = admin_holding(&map, node_id);
        const struct node_info *n = map_node(&map, node_id);
        uint64_t now_ms = env_wall_ms(a->session.env);
        if (first) began = h;
        if (began.replicas < h.replicas) began.replicas = h.replicas;
        if (n != NULL && (n->flags & NODE_LEAVING) == 0)
            return cli_fail("node %llu was taken back (recommission)", (unsigned long long)node_id);
        if (h.replicas == 0 && (n == NULL || !n->alive || n->range_count == 0)) {
            if (json)
                out_printf("{\"node\":%llu,\"replicas\":0}\n", (unsigned long long)node_id);
            else
                out_printf("100 %%  node %llu holds nothing any more and may be stopped for good\n",
                           (unsigned long long)node_id);
            return CLI_OK;
        }
        if (!json && (h.replicas != told || now_ms > told_ms + 5000)) {
            print_progress(a, node_id, &began, &h, now_ms - since_ms);
            told = h.replicas;
            told_ms = now_ms;
        }
        admin_pause(a, 300);
    }
}

static int do_decommission(struct admin_call *a)
{
    struct cli *c = a->session.cli;
    struct meta_node_request q = {.verb = NODE_VERB_DECOMMISSION, .dry_run = args_switch(&c->args, "dry-run")};
    struct slice text;
    int code = CLI_OK;
    if (!admin_number(c, 0, "node", &q.node_id, &code)) return code;
    code = ask_node(a, "node decommission", &q, &text);
    if (code != CLI_OK) return code;
    bool ends = q.dry_run || args_switch(&c->args, "no-wait");
    if (c->output != OUTPUT_JSON || ends) say_node(a, q.node_id, text);
    return ends ? CLI_OK : wait_empty(a, q.node_id);
}

int run_node_decommission(struct cli *c)
{
    return admin_watch(c, do_decommission);
}

static int do_recommission(struct admin_call *a)
{
    struct meta_node_request q = {.verb = NODE_VERB_RECOMMISSION};
    struct slice text;
    int code = CLI_OK;
    if (!admin_number(a->session.cli, 0, "node", &q.node_id, &code)) return code;
    code = ask_node(a, "node recommission", &q, &text);
    if (code == CLI_OK) say_node(a, q.node_id, text);
    return code;
}

int run_node_recommission(struct cli *c)
{
    return admin_watch(c, do_recommission);
}

static int do_maintenance(struct admin_call *a)
{
    struct cli *c = a->session.cli;
    struct errbuf err;
    struct meta_node_request q = {.verb = NODE_VERB_MAINTENANCE};
    struct slice text;
    uint64_t minutes;
    int code = CLI_OK;
    if (!admin_number(c, 0, "node", &q.node_id, &code)) return code;
    if (args_number(&c->args, "minutes", 60, 1, 10080, &minutes, &err) != STATUS_OK) return cli_usage("%s", err.text);
    q.for_ms = args_switch(&c->args, "end") ? 0 : minutes * 60000;
    code = ask_node(a, "node maintenance", &q, &text);
    if (code == CLI_OK) say_node(a, q.node_id, text);
    return code;
}

int run_node_maintenance(struct cli *c)
{
    return admin_watch(c, do_maintenance);
}

/* --- show --- */

static int do_node_show(struct admin_call *a)
{
    struct meta_map_reply map;
    uint64_t id = 0;
    int code = CLI_OK;
    if (!admin_number(a->session.cli, 0, "node", &id, &code)) return code;
    code = admin_ask_map(a, &map);
    if (code != CLI_OK) return code;
    const struct node_info *n = map_node(&map, id);
    if (n == NULL) return cli_fail("there is no node %llu; `quorate node list` shows all", (unsigned long long)id);
    if (a->session.cli->output == OUTPUT_JSON) {
        map.nodes = (struct node_info *)(uintptr_t)n;
        map.node_count = 1;
        admin_print_json(answer_nodes, &map);
        return CLI_OK;
    }
    struct holding h = admin_holding(&map, id);
    struct buf b;
    buf_init(&b, 65536);
    buf_printf(&b, "node       %llu at %.*s, on %.*s\nstate      ", (unsigned long long)id, (int)n->address.size,
               (const char *)n->address.data, (int)n->host.size, (const char *)n->host.data);
    node_state_text(n, &b);
    buf_printf(&b, "\nholds      %llu replicas, leads %llu; ", (unsigned long long)h.replicas,
               (unsigned long long)h.leaders);
    text_size(&b, n->bytes);
    buf_append_str(&b, " on disk\ndisk       ");
    text_size(&b, n->disk_free);
    buf_append_str(&b, " free of ");
    text_size(&b, n->disk_total);
    buf_printf(&b, "; a write of the log takes %llu us\n", (unsigned long long)n->disk_write_us);
    out_buf(&b);
    buf_free(&b);
    return CLI_OK;
}

int run_node_show(struct cli *c)
{
    return admin_watch(c, do_node_show);
}
