/* keyspace create, alter, drop, list, show. All may be repeated: what is so already is a success. */
#include <stdio.h>

#include "cli/admin_int.h"
#include "gateway/health.h"
#include "gateway/uri.h"

/* --- list, show --- */

static void duration_cell(struct text_table *t, uint64_t ms)
{
    struct buf b;
    buf_init(&b, 64);
    if (ms == 0)
        buf_append_str(&b, "none");
    else if (ms % 86400000 == 0)
        buf_printf(&b, "%llud", (unsigned long long)(ms / 86400000));
    else if (ms % 1000 == 0)
        buf_printf(&b, "%llus", (unsigned long long)(ms / 1000));
    else
        buf_printf(&b, "%llums", (unsigned long long)ms);
    text_table_cell_bytes(t, buf_slice(&b), 64);
    buf_free(&b);
}

static void state_cell(struct text_table *t, const struct keyspace_info *k, uint64_t now_ms)
{
    if (k->dropped_ts == 0) {
        text_table_cell(t, "in use");
        return;
    }
    uint64_t end_ms = k->destroy_ts >> TS_COUNTER_BITS, left_ms = end_ms > now_ms ? end_ms - now_ms : 0;
    struct buf b;
    buf_init(&b, 64);
    text_duration(&b, left_ms);
    text_table_cell(t, "dropped, goes in %.*s", (int)b.size, (const char *)b.data);
    buf_free(&b);
}

static int show_keyspaces(struct admin_call *a, const struct meta_map_reply *map)
{
    static const char *const heads[] = {"ID", "KEYSPACE", "REPLICATION", "RANGES", "PARTITION", "TTL", "DATA", "STATE"};
    enum output output = a->session.cli->output;
    if (output == OUTPUT_JSON) {
        admin_print_json(answer_keyspaces, map);
        return CLI_OK;
    }
    struct text_table t;
    text_table_init(&t, heads, 8);
    for (size_t i = 0; i < map->keyspace_count; i++) {
        const struct keyspace_info *k = &map->keyspaces[i];
        struct keyspace_totals totals = map_keyspace_totals(map, k->id);
        struct buf size;
        buf_init(&size, 64);
        text_size(&size, totals.bytes);
        text_table_cell(&t, "%u", k->id);
        text_table_cell_bytes(&t, k->name, LIMIT_KEYSPACE_NAME);
        text_table_cell(&t, "%u", k->replication);
        text_table_cell(&t, "%llu", (unsigned long long)totals.ranges);
        if (k->buckets > 0)
            text_table_cell(&t, "hash, %u buckets", k->buckets);
        else
            text_table_cell(&t, "range");
        duration_cell(&t, k->ttl_ms);
        text_table_cell_bytes(&t, buf_slice(&size), 64);
        state_cell(&t, k, env_wall_ms(a->session.env));
        buf_free(&size);
    }
    admin_print_table(&t, output);
    return CLI_OK;
}

int run_keyspace_list(struct cli *c)
{
    return admin_map(c, show_keyspaces);
}

/* The map was asked for the one keyspace: it holds it, or none. */
static int show_keyspace(struct admin_call *a, const struct meta_map_reply *map)
{
    if (map->keyspace_count == 0) return cli_fail("there is no keyspace named \"%s\"", a->keyspace);
    if (a->session.cli->output != OUTPUT_JSON) return show_keyspaces(a, map);
    struct buf b;
    buf_init(&b, 65536);
    json_keyspace(&b, map, &map->keyspaces[0]);
    buf_append_byte(&b, '\n');
    out_buf(&b);
    buf_free(&b);
    return CLI_OK;
}

static void map_done(void *ctx, const struct client_error *e, const struct meta_map_reply *map)
{
    struct admin_call *a = ctx;
    if (e->status != STATUS_OK) {
        admin_end(a, cli_client_failed("the shard map", e));
        return;
    }
    int code = a->show(a, map);
    if (!a->goes_on) admin_end(a, code);
}

static int keyspace_open(struct admin_call *a, struct cli *c)
{
    struct errbuf err;
    const char *name = c->args.words[0];
    if (check_keyspace_name(slice_str(name), &err) != STATUS_OK) return cli_usage("%s", err.text);
    int code = admin_open(a, c);
    a->keyspace = name;
    return code;
}

int run_keyspace_show(struct cli *c)
{
    struct admin_call a;
    int code = keyspace_open(&a, c);
    if (code != CLI_OK) return code;
    a.show = show_keyspace;
    client_map(a.session.client, slice_str(a.keyspace), c->timeout_ms, map_done, &a);
    return admin_close(&a);
}

/* --- create, alter --- */

static void print_change(const struct admin_call *a, const struct meta_keyspace_reply *reply)
{
    if (a->session.cli->output == OUTPUT_JSON) {
        struct buf b;
        buf_init(&b, 4096);
        buf_printf(&b, "{\"id\":%u,\"name\":\"%s\",\"%s\":%s", reply->id, a->keyspace,
                   a->creates ? "created" : "changed", reply->changed ? "true" : "false");
        if (reply->destroy_ts != 0)
            buf_printf(&b, ",\"destroy_at_ms\":%llu", (unsigned long long)(reply->destroy_ts >> TS_COUNTER_BITS));
        buf_append_str(&b, "}\n");
        out_buf(&b);
        buf_free(&b);
    } else if (a->creates) {
        out_printf("keyspace %s %s\n", a->keyspace, reply->changed ? "created" : "exists already");
    } else if (reply->destroy_ts != 0) {
        out_printf(
            "keyspace %s %s; until its grace has passed it comes back with: quorate keyspace alter %s --restore\n",
            a->keyspace, reply->changed ? "dropped" : "was dropped already", a->keyspace);
    } else {
        out_printf("keyspace %s %s\n", a->keyspace, reply->changed ? "altered" : "is so already");
    }
}

static void changed(void *ctx, const struct client_error *e, struct slice payload)
{
    struct admin_call *a = ctx;
    struct meta_keyspace_reply reply;
    if (e->status != STATUS_OK) {
        admin_end(a, cli_client_failed(a->session.cli->args.command->name, e));
    } else if (unpack_meta_keyspace_reply(payload, &a->arena, &reply) != STATUS_OK) {
        admin_end(a, cli_fail("the metadata service's answer cannot be read"));
    } else {
        print_change(a, &reply);
        admin_end(a, CLI_OK);
    }
}

static size_t split_list(const char *text, struct slice *out, size_t max)
{
    size_t n = 0;
    while (*text != '\0' && n < max) {
        const char *end = strchr(text, ',');
        size_t size = end != NULL ? (size_t)(end - text) : strlen(text);
        if (size > 0) out[n++] = slice_make(text, size);
        text += end != NULL ? size + 1 : size;
    }
    return n;
}

/* --replication and --ttl. CLI_OK, or an exit code. */
static int common_flags(const struct cli *c, uint32_t *replication, uint64_t *ttl_ms)
{
    struct errbuf err;
    uint64_t n;
    if (args_number(&c->args, "replication", 0, 1, LIMIT_VOTERS, &n, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    *replication = (uint32_t)n;
    const char *ttl = args_text(&c->args, "ttl", "none");
    if (!text_to_duration_ms(slice_str(ttl), LIMIT_TTL_MS, ttl_ms))
        return cli_usage("--ttl %s: expected a duration as 500ms, 30s, 24h, 7d or none", ttl);
    return CLI_OK;
}

int run_keyspace_create(struct cli *c)
{
    struct admin_call a;
    struct errbuf err;
    uint64_t buckets;
    struct meta_keyspace_request request = {.name = slice_str(c->args.words[0])};
    int code = common_flags(c, &request.replication, &request.ttl_ms);
    if (code != CLI_OK) return code;
    if (args_number(&c->args, "hash-buckets", 0, 2, LIMIT_HASH_BUCKETS, &buckets, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    if (buckets > 0 && args_given(&c->args, "splits"))
        return cli_usage("--hash-buckets and --splits exclude each other: a keyspace by hash is split at its buckets");
    if ((code = keyspace_open(&a, c)) != CLI_OK) return code;
    struct buf params;
    buf_init(&params, LIMIT_FRAME_BYTES / 2);
    a.creates = true;
    request.buckets = (uint32_t)buckets;
    request.splits = arena_zalloc(&a.arena, LIMIT_SPLIT_KEYS * sizeof(*request.splits));
    request.split_count = split_list(args_text(&c->args, "splits", ""), request.splits, LIMIT_SPLIT_KEYS);
    pack_meta_keyspace_request(&params, &request);
    client_meta(a.session.client, METHOD_META_KEYSPACE_CREATE, buf_slice(&params), c->timeout_ms, changed, &a);
    buf_free(&params);
    return admin_close(&a);
}

int run_keyspace_alter(struct cli *c)
{
    struct admin_call a;
    struct meta_keyspace_alter_request alter = {.name = slice_str(c->args.words[0]),
                                                .has_ttl = args_given(&c->args, "ttl"),
                                                .restore = args_switch(&c->args, "restore")};
    int code = common_flags(c, &alter.replication, &alter.ttl_ms);
    if (code != CLI_OK) return code;
    if (alter.replication == 0 && !alter.has_ttl && !alter.restore)
        return cli_usage("nothing to alter: name --replication, --ttl or --restore; partitioning stays for ever");
    if ((code = keyspace_open(&a, c)) != CLI_OK) return code;
    struct buf params;
    buf_init(&params, 4096);
    pack_meta_keyspace_alter_request(&params, &alter);
    client_meta(a.session.client, METHOD_META_KEYSPACE_ALTER, buf_slice(&params), c->timeout_ms, changed, &a);
    buf_free(&params);
    return admin_close(&a);
}

/* --- drop: what would go is shown first --- */

static void drop_ask(struct admin_call *a)
{
    struct meta_keyspace_drop_request drop = {.name = slice_str(a->keyspace), .grace_ms = a->grace_ms};
    struct buf params;
    buf_init(&params, 4096);
    pack_meta_keyspace_drop_request(&params, &drop);
    client_meta(a->session.client, METHOD_META_KEYSPACE_DROP, buf_slice(&params), a->session.cli->timeout_ms, changed,
                a);
    buf_free(&params);
}

static int show_drop(struct admin_call *a, const struct meta_map_reply *map)
{
    const struct cli *c = a->session.cli;
    if (map->keyspace_count == 0) return cli_fail("there is no keyspace named \"%s\"", a->keyspace);
    if (args_switch(&c->args, "yes") && !args_switch(&c->args, "dry-run")) {
        a->goes_on = true;
        drop_ask(a);
        return CLI_OK;
    }
    struct keyspace_totals t = map_keyspace_totals(map, map->keyspaces[0].id);
    struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "keyspace %s: %llu ranges, about %llu rows and ", a->keyspace, (unsigned long long)t.ranges,
               (unsigned long long)t.rows);
    text_size(&b, t.bytes);
    buf_append_str(&b, " would be refused to everybody at once and destroyed after ");
    text_duration(&b, a->grace_ms);
    buf_append_byte(&b, '\n');
    out_buf(&b);
    buf_free(&b);
    if (args_switch(&c->args, "dry-run")) return CLI_OK;
    return cli_usage("nothing was done: add --yes to drop it");
}

int run_keyspace_drop(struct cli *c)
{
    struct admin_call a;
    uint64_t grace_ms;
    const char *grace = args_text(&c->args, "grace", "24h");
    if (!text_to_duration_ms(slice_str(grace), LIMIT_DROP_GRACE_MS, &grace_ms))
        return cli_usage("--grace %s: expected a duration of at most 90d, as 24h, 10m or none", grace);
    int code = keyspace_open(&a, c);
    if (code != CLI_OK) return code;
    a.show = show_drop;
    a.grace_ms = grace_ms;
    client_map(a.session.client, slice_str(a.keyspace), c->timeout_ms, map_done, &a);
    return admin_close(&a);
}
