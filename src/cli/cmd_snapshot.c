/* snapshot create, list, extend, drop: names for timestamps from which on every version is kept. */
#include <stdio.h>

#include "cli/admin_int.h"
#include "gateway/uri.h"

static int ask(struct admin_call *a, const struct meta_snapshot_request *q, struct meta_snapshot_reply *reply)
{
    struct buf params;
    struct slice payload;
    buf_init(&params, 4096);
    pack_meta_snapshot_request(&params, q);
    int code = admin_ask(a, "snapshot", METHOD_META_SNAPSHOT, buf_slice(&params), &payload);
    buf_free(&params);
    if (code == CLI_OK && unpack_meta_snapshot_reply(payload, &a->arena, reply) != STATUS_OK)
        code = cli_fail("the metadata service's answer cannot be read");
    if (code == CLI_OK && q->verb != SNAPSHOT_VERB_LIST && reply->snapshot_count != 1)
        code = cli_fail("the metadata service's answer cannot be read");
    return code;
}

static void print_json(struct buf *b)
{
    buf_append_byte(b, '\n');
    out_buf(b);
    buf_free(b);
}

static void duration_cell(struct text_table *t, uint64_t from_ts, uint64_t to_ts)
{
    struct buf b;
    buf_init(&b, 64);
    text_duration(&b, to_ts > from_ts ? (to_ts - from_ts) >> TS_COUNTER_BITS : 0);
    text_table_cell_bytes(t, buf_slice(&b), 64);
    buf_free(&b);
}

static int do_list(struct admin_call *a)
{
    static const char *const heads[] = {"SNAPSHOT", "TIMESTAMP", "AGE", "ENDS IN"};
    struct meta_snapshot_reply reply;
    struct text_table t;
    int code = ask(a, &(struct meta_snapshot_request){.verb = SNAPSHOT_VERB_LIST, .name = SLICE_EMPTY}, &reply);
    if (code != CLI_OK) return code;
    if (a->session.cli->output == OUTPUT_JSON) {
        struct buf b;
        buf_init(&b, 65536);
        json_snapshots(&b, &reply);
        print_json(&b);
        return CLI_OK;
    }
    text_table_init(&t, heads, 4);
    for (size_t i = 0; i < reply.snapshot_count; i++) {
        const struct past_snapshot *s = &reply.snapshots[i];
        text_table_cell_bytes(&t, s->name, LIMIT_SNAPSHOT_NAME);
        text_table_cell(&t, "%llu", (unsigned long long)s->ts);
        duration_cell(&t, s->ts, reply.now_ts);
        duration_cell(&t, reply.now_ts, s->expires_ts);
    }
    admin_print_table(&t, a->session.cli->output);
    return CLI_OK;
}

int run_snapshot_list(struct cli *c)
{
    return admin_watch(c, do_list);
}

static int change(struct admin_call *a, enum snapshot_verb verb)
{
    const struct args *args = &a->session.cli->args;
    const char *life = args_text(args, "lifetime", "1h");
    struct meta_snapshot_request q = {.verb = verb, .name = slice_str(args->words[0])};
    struct meta_snapshot_reply reply;
    struct errbuf err;
    if (verb != SNAPSHOT_VERB_DROP &&
        (!text_to_duration_ms(slice_str(life), LIMIT_SNAPSHOT_LIFE_MS, &q.lifetime_ms) || q.lifetime_ms == 0))
        return cli_usage("--lifetime %s: expected a duration of at most 7d, as 30s, 10m or 24h", life);
    if (verb == SNAPSHOT_VERB_REGISTER && args_number(args, "at", 0, 1, UINT64_MAX >> 1, &q.ts, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    if (q.name.size > LIMIT_SNAPSHOT_NAME)
        return cli_usage("a snapshot's name has 1 to %u characters", LIMIT_SNAPSHOT_NAME);
    int code = ask(a, &q, &reply);
    if (code != CLI_OK) return code;
    const struct past_snapshot *s = &reply.snapshots[0];
    if (a->session.cli->output == OUTPUT_JSON) {
        struct buf b;
        buf_init(&b, 4096);
        json_snapshot(&b, s, verb, reply.changed);
        print_json(&b);
        return CLI_OK;
    }
    if (verb == SNAPSHOT_VERB_DROP) {
        out_printf("snapshot %s dropped\n", args->words[0]);
        return CLI_OK;
    }
    struct buf left;
    buf_init(&left, 64);
    text_duration(&left, s->expires_ts > reply.now_ts ? (s->expires_ts - reply.now_ts) >> TS_COUNTER_BITS : 0);
    out_printf("snapshot %s %s: timestamp %llu is readable for %.*s\n", args->words[0],
               verb == SNAPSHOT_VERB_EXTEND ? (reply.changed ? "extended" : "lasts longer already")
                                            : (reply.changed ? "registered" : "is registered already"),
               (unsigned long long)s->ts, (int)left.size, (const char *)left.data);
    buf_free(&left);
    return CLI_OK;
}

static int do_create(struct admin_call *a)
{
    return change(a, SNAPSHOT_VERB_REGISTER);
}
static int do_extend(struct admin_call *a)
{
    return change(a, SNAPSHOT_VERB_EXTEND);
}
static int do_drop(struct admin_call *a)
{
    return change(a, SNAPSHOT_VERB_DROP);
}
int run_snapshot_create(struct cli *c)
{
    return admin_watch(c, do_create);
}
int run_snapshot_extend(struct cli *c)
{
    return admin_watch(c, do_extend);
}
int run_snapshot_drop(struct cli *c)
{
    return admin_watch(c, do_drop);
}
