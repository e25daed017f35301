/* One question after another, each waited for: for commands that are a conversation. */
#include <stdio.h>

#include "cli/admin_int.h"
#include "env_posix/process.h"

struct asked {
    struct admin_call *call;
    const char *what;
    bool quiet;
    struct slice payload;
};

static void asked_done(void *ctx, const struct client_error *e, struct slice payload)
{
    struct asked *q = ctx;
    if (e->status != STATUS_OK) {
        (void)snprintf(q->call->last_text, sizeof q->call->last_text, "%.*s", (int)e->message.size,
                       (const char *)e->message.data);
        q->call->last = e->status;
        admin_end(q->call, q->quiet ? CLI_FAILED : cli_client_failed(q->what, e));
    } else {
        q->payload = arena_dup_slice(&q->call->arena, payload);
        admin_end(q->call, CLI_OK);
    }
}

static int ask_meta(struct admin_call *a, const char *what, bool quiet, enum method method, struct slice params,
                    struct slice *payload)
{
    struct asked q = {.call = a, .what = what, .quiet = quiet, .payload = SLICE_EMPTY};
    a->session.done = false;
    client_meta(a->session.client, method, params, a->session.cli->timeout_ms, asked_done, &q);
    int code = session_wait(&a->session);
    *payload = q.payload;
    return code;
}

int admin_ask(struct admin_call *a, const char *what, enum method method, struct slice params, struct slice *payload)
{
    return ask_meta(a, what, false, method, params, payload);
}

int admin_try_meta(struct admin_call *a, enum method method, struct slice params, struct slice *payload)
{
    return ask_meta(a, "the metadata service", true, method, params, payload);
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

int admin_try_node(struct admin_call *a, struct slice address, enum method method, struct slice params,
                   struct slice *payload)
{
    struct asked q = {.call = a, .what = "the node", .quiet = true, .payload = SLICE_EMPTY};
    char text[LIMIT_ADDRESS_BYTES + 1];
    a->session.done = false;
    (void)snprintf(text, sizeof text, "%.*s", (int)address.size, (const char *)address.data);
    client_node(a->session.client, text, method, params, a->session.cli->timeout_ms, asked_done, &q);
    int code = session_wait(&a->session);
    *payload = q.payload;
    return code;
}

int admin_ask_map(struct admin_call *a, struct meta_map_reply *map)
{
    struct buf params;
    struct slice payload;
    buf_init(&params, 1024);
    const char *keyspace = args_text(&a->session.cli->args, "keyspace", "");
    pack_meta_map_request(&params, &(struct meta_map_request){.keyspace = slice_str(keyspace), .key = SLICE_EMPTY});
    int code = admin_ask(a, "the shard map", METHOD_META_MAP, buf_slice(&params), &payload);
    buf_free(&params);
    if (code == CLI_OK && unpack_meta_map_reply(payload, &a->arena, map) != STATUS_OK)
        code = cli_fail("the shard map cannot be read");
    if (code == CLI_OK && keyspace[0] != '\0' && map->keyspace_count == 0)
        code = cli_fail("no keyspace is named '%s'; `quorate keyspace list` shows all", keyspace);
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

int admin_watch(struct cli *c, int (*show)(struct admin_call *a))
{
    return admin_watch_map(c, show, NULL);
}

/* Again every second with --watch, until nobody reads any more. */
int admin_watch_map(struct cli *c, int (*show)(struct admin_call *a),
                    int (*show_map)(struct admin_call *, const struct meta_map_reply *))
{
    struct admin_call a;
    bool watch = args_switch(&c->args, "watch");
    int code = admin_open(&a, c);
    if (code != CLI_OK) return code;
    a.show = show_map;
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

/* --- progress --- */

struct admin_progress admin_progress_begin(struct admin_call *a, uint64_t total, const char *unit)
{
    uint64_t now_ms = env_mono_ns(a->session.env) / NS_PER_MS;
    return (struct admin_progress){.call = a, .total = total, .unit = unit, .began_ms = now_ms, .told_ms = now_ms};
}

/* On stderr, once a second at most, so that the output of a command stays its answer. */
void admin_progress_tell(struct admin_progress *p, uint64_t done)
{
    uint64_t now_ms = env_mono_ns(p->call->session.env) / NS_PER_MS;
    if (p->total == 0 || now_ms < p->told_ms + 1000) return;
    p->told_ms = now_ms;
    struct buf b;
    buf_init(&b, 256);
    buf_printf(&b, "%3llu %%  %llu of %llu %s", (unsigned long long)(done * 100 / p->total), (unsigned long long)done,
               (unsigned long long)p->total, p->unit);
    if (done > 0 && done < p->total) {
        buf_append_str(&b, ", about ");
        text_duration(&b, (now_ms - p->began_ms) * (p->total - done) / done);
        buf_append_str(&b, " to go");
    }
    cli_note("%.*s", (int)b.size, (const char *)b.data);
    buf_free(&b);
}

void admin_done(struct admin_call *a, const char *json, const char *text)
{
    if (a->session.cli->output == OUTPUT_JSON)
        out_printf("{%s}\n", json);
    else
        out_printf("%s\n", text);
}

struct holding admin_holding(const struct meta_map_reply *map, uint64_t node_id)
{
    struct holding h = {0};
    for (size_t i = 0; i < map->range_count; i++) {
        if (map->leaders[i] == node_id) h.leaders++;
        if (range_desc_replica(&map->ranges[i], node_id) == NULL) continue;
        h.replicas++;
        h.bytes += map->reports[i].bytes;
    }
    return h;
}
