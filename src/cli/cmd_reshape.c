/* range split, range merge: asked of the range's leader, by the shard map's word. */
#include "cli/admin_int.h"
#include "env_posix/process.h"

static int ask_leader(struct admin_call *a, const char *what, uint64_t range_id, enum method method,
                      const struct buf *params)
{
    struct meta_map_reply map;
    struct range_change_reply reply;
    struct slice payload;
    char address[LIMIT_ADDRESS_BYTES + 1] = "";
    int code = admin_ask_map(a, &map);
    if (code != CLI_OK) return code;
    size_t at = 0;
    while (at < map.range_count && map.ranges[at].id != range_id) at++;
    if (at == map.range_count)
        return cli_fail("there is no range %llu; `quorate range list` shows all", (unsigned long long)range_id);
    for (size_t i = 0; i < map.node_count; i++) {
        const struct slice where = map.nodes[i].address;
        if (map.nodes[i].id != map.leaders[at] || where.size > LIMIT_ADDRESS_BYTES) continue;
        memcpy(address, where.data, where.size);
    }
    if (address[0] == '\0')
        return cli_fail("range %llu has no known leader just now: try again", (unsigned long long)range_id);
    code = admin_ask_node(a, what, address, method, buf_slice(params), &payload);
    if (code != CLI_OK) return code;
    if (unpack_range_change_reply(payload, &a->arena, &reply) != STATUS_OK)
        return cli_fail("the node's answer cannot be read");
    bool json = a->session.cli->output == OUTPUT_JSON;
    if (json) out_printf("{\"ranges\":[");
    for (size_t i = 0; i < reply.range_count; i++) {
        const struct range_desc *d = &reply.ranges[i];
        if (json)
            out_printf("%s{\"range\":%llu,\"version\":%llu}", i > 0 ? "," : "", (unsigned long long)d->id,
                       (unsigned long long)d->epoch.version);
        else
            out_printf("range %llu is at version %llu\n", (unsigned long long)d->id,
                       (unsigned long long)d->epoch.version);
    }
    if (json) out_printf("]}\n");
    return CLI_OK;
}

static int do_split(struct admin_call *a)
{
    struct cli *c = a->session.cli;
    struct range_split_request q = {.key = slice_str(args_text(&c->args, "at", ""))};
    struct buf params;
    int code = CLI_OK;
    if (!admin_number(c, 0, "range", &q.range_id, &code)) return code;
    if (q.key.size > LIMIT_KEY_BYTES) return cli_usage("--at: a key has at most %u bytes", LIMIT_KEY_BYTES);
    buf_init(&params, 2 * LIMIT_KEY_BYTES);
    pack_range_split_request(&params, &q);
    code = ask_leader(a, "range split", q.range_id, METHOD_RANGE_SPLIT, &params);
    buf_free(&params);
    return code;
}

int run_range_split(struct cli *c)
{
    return admin_watch(c, do_split);
}

static int do_merge(struct admin_call *a)
{
    struct cli *c = a->session.cli;
    struct range_merge_request q = {.left_id = 0};
    struct buf params;
    int code = CLI_OK;
    if (!admin_number(c, 0, "range", &q.left_id, &code) || !admin_number(c, 1, "range", &q.right_id, &code))
        return code;
    buf_init(&params, 256);
    pack_range_merge_request(&params, &q);
    code = ask_leader(a, "range merge", q.left_id, METHOD_RANGE_MERGE, &params);
    buf_free(&params);
    return code;
}

int run_range_merge(struct cli *c)
{
    return admin_watch(c, do_merge);
}
