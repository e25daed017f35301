/* One question after another, each waited for: for commands that are a conversation. */
#include "cli/admin_int.h"
#include "env_posix/process.h"

struct asked {
    struct admin_call *call;
    const char *what;
    struct slice payload;
};

static void asked_done(void *ctx, const struct client_error *e, struct slice payload)
{
    struct asked *q = ctx;
    if (e->status != STATUS_OK) {
        admin_end(q->call, cli_client_failed(q->what, e));
    } else {
        q->payload = arena_dup_slice(&q->call->arena, payload);
        admin_end(q->call, CLI_OK);
    }
}

int admin_ask(struct admin_call *a, const char *what, enum method method, struct slice params, struct slice *payload)
{
    struct asked q = {.call = a, .what = what, .payload = SLICE_EMPTY};
    a->session.done = false;
    client_meta(a->session.client, method, params, a->session.cli->timeout_ms, asked_done, &q);
    int code = session_wait(&a->session);
    *payload = q.payload;
    return code;
}

int admin_ask_node(struct admin_call *a, const char *what, const char *address, enum method method, struct slice params,
                   struct slice *payload)
{
    struct asked q = {.call = a, .what = what, .payload = SLICE_EMPTY};
    a->session.done = false;
    client_node(a->session.client, address, method, params, a->session.cli->timeout_ms, asked_done, &q);
    int code = session_wait(&a->session);
    *payload = q.payload;
    return code;
}

int admin_ask_map(struct admin_call *a, struct meta_map_reply *map)
{
    struct buf params;
    struct slice payload;
    buf_init(&params, 1024);
    pack_meta_map_request(&params, &(struct meta_map_request){.keyspace = SLICE_EMPTY, .key = SLICE_EMPTY});
    int code = admin_ask(a, "the shard map", METHOD_META_MAP, buf_slice(&params), &payload);
    buf_free(&params);
    if (code == CLI_OK && unpack_meta_map_reply(payload, &a->arena, map) != STATUS_OK)
        code = cli_fail("the shard map cannot be read");
    return code;
}

int admin_ask_operators(struct admin_call *a, struct meta_ops_reply *ops)
{
    struct slice payload;
    int code = admin_ask(a, "the operators", METHOD_META_OPS, SLICE_EMPTY, &payload);
    if (code == CLI_OK && unpack_meta_ops_reply(payload, &a->arena, ops) != STATUS_OK)
        code = cli_fail("the metadata service's answer cannot be read");
    return code;
}

void admin_pause(struct admin_call *a, uint32_t ms)
{
    (void)a;
    process_sleep_ms(ms);
}

/* Again every second with --watch, until nobody reads any more. */
int admin_watch(struct cli *c, int (*show)(struct admin_call *a))
{
    struct admin_call a;
    bool watch = args_switch(&c->args, "watch");
    int code = admin_open(&a, c);
    if (code != CLI_OK) return code;
    do {
        arena_reset(&a.arena);
        if (watch && c->output == OUTPUT_TABLE) out_printf("\033[H\033[2J");
        code = show(&a);
        if (watch) admin_pause(&a, 1000);
    } while (watch && !out_failed());
    a.session.done = true;
    a.session.exit_code = code;
    return admin_close(&a);
}

bool admin_number(struct cli *c, unsigned word, const char *what, uint64_t *out, int *code)
{
    uint64_t n = 0;
    const char *text = c->args.words[word];
    bool ok = text[0] != '\0' && strlen(text) < 19;
    for (const char *p = text; ok && *p != '\0'; p++) {
        ok = *p >= '0' && *p <= '9';
        if (ok) n = n * 10 + (uint64_t)(*p - '0');
    }
    *out = n;
    if (ok && n > 0) return true;
    *code = cli_usage("%s: expected a number as `quorate %s list` shows it, got '%s'", what, what, text);
    return false;
}
