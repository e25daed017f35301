/* unsafe-recover: the last resort when ranges have lost their quorum for ever (docs/recovery.md). Named and worded so that nobody
 * runs it by mistake. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/admin_int.h"
#include "gateway/json_out.h"

enum { LOST_MAX = 64 };
#define LOOK_AGAIN_MS 500u
#define PATIENCE_MS 60000u

static int parse_lost(const char *text, uint64_t *ids, size_t *count)
{
    *count = 0;
    for (const char *at = text; *at != '\0';) {
        char *end;
        unsigned long long id = strtoull(at, &end, 10);
        if (end == at || id == 0 || *count == LOST_MAX || (*end != ',' && *end != '\0'))
            return cli_usage("--lost names nodes: 2,3");
        ids[(*count)++] = id;
        at = *end == ',' ? end + 1 : end;
    }
    return *count > 0 ? CLI_OK : cli_usage("--lost names the nodes that never come back: 2,3");
}

static int ask_recover(struct admin_call *a, const struct meta_recover_request *q, struct meta_recover_reply *reply)
{
    struct buf params;
    struct slice payload;
    buf_init(&params, 4096);
    pack_meta_recover_request(&params, q);
    int code = admin_ask(a, "unsafe-recover", METHOD_META_RECOVER, buf_slice(&params), &payload);
    buf_free(&params);
    if (code == CLI_OK && unpack_meta_recover_reply(payload, &a->arena, reply) != STATUS_OK)
        code = cli_fail("the metadata service's answer cannot be read");
    return code;
}

/* --- what would be done --- */

static void print_json(const struct meta_recover_reply *reply)
{
    struct buf b;
    buf_init(&b, 16 << 20);
    buf_printf(&b, "{\"refused\":%s,\"begun\":%s,\"text\":", reply->refused ? "true" : "false",
               reply->begun ? "true" : "false");
    json_text(&b, reply->text);
    buf_append_str(&b, ",\"ranges\":[");
    for (size_t i = 0; i < reply->item_count; i++) {
        const struct recover_item *it = &reply->items[i];
        buf_printf(&b,
                   "%s{\"range\":%llu,\"node\":%llu,\"entries\":%llu,\"committed\":%llu,\"newest\":\"%llu\",\"text\":",
                   i > 0 ? "," : "", (unsigned long long)it->range_id, (unsigned long long)it->node,
                   (unsigned long long)it->last_index, (unsigned long long)it->commit, (unsigned long long)it->last_ts);
        json_text(&b, it->text);
        buf_append_byte(&b, '}');
    }
    buf_append_str(&b, "]}\n");
    out_buf(&b);
    buf_free(&b);
}

static void print_table(struct admin_call *a, const struct meta_recover_reply *reply)
{
    static const char *const heads[] = {"RANGE", "GOES ON AT", "ENTRIES", "KNOWN COMMITTED", "WHAT MAY BE LOST"};
    struct text_table t;
    text_table_init(&t, heads, 5);
    for (size_t i = 0; i < reply->item_count; i++) {
        const struct recover_item *it = &reply->items[i];
        text_table_cell(&t, "%llu", (unsigned long long)it->range_id);
        if (it->node != 0)
            text_table_cell(&t, "node %llu", (unsigned long long)it->node);
        else
            text_table_cell(&t, "nowhere");
        text_table_cell(&t, "%llu", (unsigned long long)it->last_index);
        text_table_cell(&t, "%llu", (unsigned long long)it->commit);
        text_table_cell_bytes(&t, it->text, 120);
    }
    admin_print_table(&t, a->session.cli->output);
}

static void print_plan(struct admin_call *a, const struct meta_recover_reply *reply)
{
    if (a->session.cli->output == OUTPUT_JSON)
        print_json(reply);
    else
        print_table(a, reply);
}

/* --- doing it --- */

static size_t count_going_on(const struct meta_recover_reply *reply)
{
    size_t count = 0;
    for (size_t i = 0; i < reply->item_count; i++) count += reply->items[i].node != 0;
    return count;
}

/* Ranges that only come to light when others go on (a split that was not applied yet) are found by asking again. */
static int carry_out(struct admin_call *a, struct meta_recover_request *q)
{
    struct meta_recover_reply reply;
    uint64_t until_ms = env_wall_ms(a->session.env) + PATIENCE_MS;
    bool json = a->session.cli->output == OUTPUT_JSON, first = true;
    q->accept_loss = true;
    for (unsigned still = 0; still < 6; first = false) { /* as long as nodes take to tell of all that has no leader */
        arena_reset(&a->arena);
        int code = ask_recover(a, q, &reply);
        if (code != CLI_OK) return code;
        if (reply.refused && first) return cli_fail("%.*s", (int)reply.text.size, (const char *)reply.text.data);
        if (first && !json) out_printf("the nodes are given up; %zu ranges go on alone\n", count_going_on(&reply));
        if (reply.refused || count_going_on(&reply) == 0)
            still++;
        else
            still = 0;
        if (env_wall_ms(a->session.env) > until_ms)
            return cli_fail("not done after 60 s: `quorate op list` says what they wait for; run the command again");
        admin_pause(a, LOOK_AGAIN_MS);
    }
    size_t gone = reply.refused ? 0 : reply.item_count;
    if (json) {
        out_printf("{\"done\":true,\"without_replica\":%zu}\n", gone);
    } else {
        out_printf("done: what is left has a leader; replicas are made anew now (`quorate status`, `quorate placement "
                   "check`)\n");
        if (gone > 0) out_printf("%zu ranges have no replica left, or wait for a node: --dry-run lists them\n", gone);
    }
    return CLI_OK;
}

static int do_recover(struct admin_call *a)
{
    struct cli *c = a->session.cli;
    uint64_t ids[LOST_MAX];
    struct meta_recover_request q = {.lost = ids};
    struct meta_recover_reply reply;
    const char *lost = args_text(&c->args, "lost", "");
    int code = parse_lost(lost, ids, &q.lost_count);
    if (code == CLI_OK) code = ask_recover(a, &q, &reply);
    if (code != CLI_OK) return code;
    if (reply.refused) {
        if (c->output == OUTPUT_JSON) print_json(&reply);
        return cli_fail("refused: %.*s", (int)reply.text.size, (const char *)reply.text.data);
    }
    bool accepts = args_switch(&c->args, "accept-data-loss");
    if (!accepts || args_switch(&c->args, "dry-run") || c->output != OUTPUT_JSON) print_plan(a, &reply);
    if (args_switch(&c->args, "dry-run")) return CLI_OK;
    if (!accepts)
        return cli_fail(
            "nothing was done. Acknowledged writes may be lost, for ever; nodes %s are never let in again, even if "
            "they come back with all their data. Try everything to start one of them first. If that cannot be: "
            "the same with --accept-data-loss",
            lost);
    return carry_out(a, &q);
}

int run_unsafe_recover(struct cli *c)
{
    return admin_watch(c, do_recover);
}
