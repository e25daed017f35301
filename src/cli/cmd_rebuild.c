/* meta rebuild: a metadata service that is lost is made anew, out of what the storage nodes tell (docs/recovery.md). */
#include <stdio.h>
#include <stdlib.h>

#include "cli/admin_int.h"
#include "gateway/json_out.h"
#include "meta/rebuild.h"

enum { NODES_MAX = 256 };

struct gathered {
    struct node_holds_reply nodes[NODES_MAX];
    uint64_t without[NODES_MAX];
    struct rebuild_asked asked;
};

static int parse_without(const char *text, struct gathered *g)
{
    for (const char *at = text; *at != '\0';) {
        char *end;
        unsigned long long id = strtoull(at, &end, 10);
        if (end == at || id == 0 || g->asked.without_count == NODES_MAX || (*end != ',' && *end != '\0'))
            return cli_usage("--without names nodes by their ids: 4,5");
        g->without[g->asked.without_count++] = id;
        at = *end == ',' ? end + 1 : end;
    }
    return CLI_OK;
}

static int ask_one(struct admin_call *a, const char *address, size_t size, struct gathered *g)
{
    char text[LIMIT_ADDRESS_BYTES + 1];
    struct slice payload;
    if (size == 0 || size > LIMIT_ADDRESS_BYTES || g->asked.node_count == NODES_MAX)
        return cli_usage("--nodes names the storage nodes: HOST:PORT,HOST:PORT,... (at most %d)", NODES_MAX);
    (void)snprintf(text, sizeof text, "%.*s", (int)size, address);
    int code = admin_ask_node(a, text, text, METHOD_NODE_HOLDS, SLICE_EMPTY, &payload);
    if (code != CLI_OK) return code;
    if (unpack_node_holds_reply(payload, &a->arena, &g->nodes[g->asked.node_count]) != STATUS_OK)
        return cli_fail("%s: the answer cannot be read: is it a storage node of this version?", text);
    g->asked.node_count++;
    return CLI_OK;
}

static int ask_nodes(struct admin_call *a, const char *list, struct gathered *g)
{
    int code = CLI_OK;
    for (const char *at = list; *at != '\0' && code == CLI_OK;) {
        size_t size = strcspn(at, ",");
        code = ask_one(a, at, size, g);
        at += size + (at[size] == ',');
    }
    return code;
}

static void print_lines(const struct buf *text, const char *before)
{
    for (size_t at = 0; at < text->size;) {
        const uint8_t *end = memchr(text->data + at, '\n', text->size - at);
        size_t size = (size_t)(end - (text->data + at));
        out_printf("%s%.*s\n", before, (int)size, (const char *)text->data + at);
        at += size + 1;
    }
}

static void json_lines(struct buf *b, const struct buf *text)
{
    buf_append_byte(b, '[');
    for (size_t at = 0; at < text->size;) {
        const uint8_t *end = memchr(text->data + at, '\n', text->size - at);
        size_t size = (size_t)(end - (text->data + at));
        if (at > 0) buf_append_byte(b, ',');
        json_text(b, slice_make(text->data + at, size));
        at += size + 1;
    }
    buf_append_byte(b, ']');
}

static void print_plan(const struct admin_call *a, const struct rebuild_plan *p, bool done)
{
    if (a->session.cli->output != OUTPUT_JSON) {
        out_printf("%zu nodes, %zu keyspaces, %zu ranges; new ranges from id %llu, timestamps from %llu\n", p->nodes,
                   p->keyspaces, p->ranges, (unsigned long long)p->next_range, (unsigned long long)p->ts_bound);
        print_lines(&p->remarks, "note: ");
        return;
    }
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_printf(&b,
               "{\"done\":%s,\"nodes\":%zu,\"keyspaces\":%zu,\"ranges\":%zu,\"next_range\":%llu,\"timestamp\":\"%llu\","
               "\"remarks\":",
               done ? "true" : "false", p->nodes, p->keyspaces, p->ranges, (unsigned long long)p->next_range,
               (unsigned long long)p->ts_bound);
    json_lines(&b, &p->remarks);
    buf_append_str(&b, ",\"faults\":");
    json_lines(&b, &p->faults);
    buf_append_str(&b, "}\n");
    out_buf(&b);
    buf_free(&b);
}

static int send_pieces(struct admin_call *a, const struct rebuild_plan *p)
{
    struct buf rows, params;
    size_t at = 0;
    int code = CLI_OK;
    struct meta_rebuild_request q = {0};
    buf_init(&rows, LIMIT_FRAME_BYTES / 2);
    buf_init(&params, LIMIT_FRAME_BYTES);
    for (; code == CLI_OK && rebuild_plan_piece(p, &at, &rows, &q.last); q.piece++) {
        struct slice payload;
        q.rows = buf_slice(&rows);
        buf_clear(&params);
        pack_meta_rebuild_request(&params, &q);
        code = admin_ask(a, "meta rebuild", METHOD_META_REBUILD, buf_slice(&params), &payload);
    }
    buf_free(&rows);
    buf_free(&params);
    return code;
}

static int carry_out(struct admin_call *a, const struct rebuild_plan *p)
{
    struct cli *c = a->session.cli;
    bool json = c->output == OUTPUT_JSON;
    if (p->faults.size > 0) {
        if (json) print_plan(a, p, false);
        if (!json) print_lines(&p->remarks, "note: ");
        if (!json) print_lines(&p->faults, "");
        return cli_fail("refused: %s", json ? "see `faults`" : "nothing was done");
    }
    if (args_switch(&c->args, "dry-run") || !args_switch(&c->args, "accept")) {
        print_plan(a, p, false);
        if (args_switch(&c->args, "dry-run")) return CLI_OK;
        return cli_fail(
            "nothing was done. The former metadata servers must never run again with their old directories: two "
            "services would hand out the same timestamps. If that is sure: the same with --accept");
    }
    int code = send_pieces(a, p);
    if (code != CLI_OK) return code;
    print_plan(a, p, true);
    if (!json)
        out_printf("done: the nodes report to it within a second; `quorate status`, `quorate placement check`\n");
    return CLI_OK;
}

static int do_rebuild(struct admin_call *a)
{
    struct cli *c = a->session.cli;
    struct gathered *g = arena_zalloc(&a->arena, sizeof *g);
    struct rebuild_plan plan;
    const char *list = args_text(&c->args, "nodes", "");
    g->asked.nodes = g->nodes;
    g->asked.without = g->without;
    g->asked.leaderless = args_switch(&c->args, "leaderless");
    g->asked.wall_ms = env_wall_ms(a->session.env);
    if (list[0] == '\0') return cli_usage("--nodes names the storage nodes, all of them: HOST:PORT,HOST:PORT,...");
    int code = parse_without(args_text(&c->args, "without", ""), g);
    if (code == CLI_OK) code = ask_nodes(a, list, g);
    if (code != CLI_OK) return code;
    rebuild_plan_make(&g->asked, &a->arena, &plan);
    code = carry_out(a, &plan);
    rebuild_plan_free(&plan);
    return code;
}

int run_meta_rebuild(struct cli *c)
{
    return admin_watch(c, do_rebuild);
}
