/* range transfer, node drain, node undrain: where leaderships are. All may be repeated: what is so already is a success. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli_int.h"
#include "gateway/health.h"

#define LOOK_AGAIN_NS (100 * NS_PER_MS)

/* What is asked for, and how far it is. It looks at the map, asks, and looks again until it is so or the time is over. */
struct leaders_call {
    struct session session;
    struct actor actor; /* looks again after a pause */
    struct arena arena;
    uint64_t range_id, node_id;
    uint64_t deadline_ns, again_ns; /* 0: a call is under way */
    bool drain;
    struct buf params;
    char address[LIMIT_ADDRESS_BYTES + 1];
    char last[300]; /* what stood in the way */
};

static void call_again(struct leaders_call *a);

static uint64_t call_pass(struct actor *actor, uint64_t now_ns)
{
    struct leaders_call *a = LIST_ENTRY(actor, struct leaders_call, actor);
    if (a->again_ns == 0 || a->session.done) return DEADLINE_NONE;
    if (now_ns < a->again_ns) return a->again_ns;
    a->again_ns = 0;
    call_again(a);
    return DEADLINE_NONE;
}

static void call_end(struct leaders_call *a, int code)
{
    a->session.exit_code = code;
    a->session.done = true;
}

static void look_again(struct leaders_call *a)
{
    uint64_t now_ns = env_mono_ns(a->session.env);
    if (now_ns >= a->deadline_ns) {
        call_end(a, cli_fail("not done after %u ms: %s", a->session.cli->timeout_ms, a->last));
        return;
    }
    a->again_ns = now_ns + LOOK_AGAIN_NS;
    a->session.env->ops->wake(a->session.env);
}

static uint32_t time_left(const struct leaders_call *a)
{
    uint64_t now_ns = env_mono_ns(a->session.env);
    return now_ns < a->deadline_ns ? (uint32_t)((a->deadline_ns - now_ns) / NS_PER_MS) + 1 : 1;
}

static int call_open(struct leaders_call *a, struct cli *c)
{
    memset(a, 0, sizeof *a);
    int code = session_open(&a->session, c);
    if (code != CLI_OK) return code;
    a->deadline_ns = env_mono_ns(a->session.env) + c->timeout_ms * NS_PER_MS;
    a->actor.pass = call_pass;
    a->session.env->ops->attach(a->session.env, &a->actor);
    arena_init(&a->arena, 4096);
    buf_init(&a->params, 256);
    return CLI_OK;
}

static int call_close(struct leaders_call *a)
{
    int code = session_wait(&a->session);
    a->session.env->ops->detach(a->session.env, &a->actor);
    buf_free(&a->params);
    arena_free(&a->arena);
    session_close(&a->session);
    return code;
}

static bool take_number(struct cli *c, unsigned word, const char *what, uint64_t *out, int *code)
{
    char *end;
    const char *text = c->args.words[word];
    unsigned long long v = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && v > 0) {
        *out = v;
        return true;
    }
    *code = cli_usage("%s: expected a number as `quorate %s list` shows it, got '%s'", what, what, text);
    return false;
}

/* --- range transfer --- */

static void transfer_done(void *ctx, const struct client_error *e, struct slice payload)
{
    (void)payload;
    struct leaders_call *a = ctx;
    if (e->status == STATUS_OK) {
        if (a->session.cli->output == OUTPUT_JSON) {
            out_printf("{\"range\":%llu,\"leader\":%llu}\n", (unsigned long long)a->range_id,
                       (unsigned long long)a->node_id);
        } else {
            out_printf("node %llu leads range %llu\n", (unsigned long long)a->node_id, (unsigned long long)a->range_id);
        }
        call_end(a, CLI_OK);
        return;
    }
    if (e->status == STATUS_INVALID || e->status == STATUS_UNSUPPORTED || e->status == STATUS_WRONG_CLUSTER) {
        call_end(a, cli_client_failed("transfer", e));
        return;
    }
    snprintf(a->last, sizeof a->last, "%.*s", (int)(e->message.size < 250 ? e->message.size : 250),
             (const char *)e->message.data);
    look_again(a);
}

static void transfer_map(void *ctx, const struct client_error *e, const struct meta_map_reply *map)
{
    struct leaders_call *a = ctx;
    if (e->status != STATUS_OK) {
        call_end(a, cli_client_failed("the shard map", e));
        return;
    }
    size_t at = 0;
    while (at < map->range_count && map->ranges[at].id != a->range_id) at++;
    if (at == map->range_count) {
        call_end(a,
                 cli_fail("there is no range %llu; `quorate range list` shows all", (unsigned long long)a->range_id));
        return;
    }
    if (range_desc_replica(&map->ranges[at], a->node_id) == NULL) {
        call_end(a, cli_fail("node %llu holds no replica of range %llu", (unsigned long long)a->node_id,
                             (unsigned long long)a->range_id));
        return;
    }
    const struct node_info *leader = map_node(map, map->leaders[at]);
    if (leader == NULL || leader->address.size > LIMIT_ADDRESS_BYTES) {
        snprintf(a->last, sizeof a->last, "the range has no known leader");
        look_again(a);
        return;
    }
    memcpy(a->address, leader->address.data, leader->address.size);
    a->address[leader->address.size] = '\0';
    client_node(a->session.client, a->address, METHOD_RANGE_TRANSFER, buf_slice(&a->params), time_left(a),
                transfer_done, a);
}

int run_range_transfer(struct cli *c)
{
    struct leaders_call a;
    uint64_t range_id = 0, node_id = 0;
    int code = CLI_OK;
    if (!take_number(c, 0, "range", &range_id, &code) || !take_number(c, 1, "node", &node_id, &code)) return code;
    code = call_open(&a, c);
    if (code != CLI_OK) return code;
    a.range_id = range_id;
    a.node_id = node_id;
    pack_range_transfer_request(&a.params, &(struct range_transfer_request){.range_id = range_id, .node_id = node_id});
    call_again(&a);
    return call_close(&a);
}

/* --- node drain, node undrain --- */

static void drain_ended(struct leaders_call *a, uint64_t stay)
{
    bool json = a->session.cli->output == OUTPUT_JSON;
    if (json) {
        out_printf("{\"node\":%llu,\"drained\":%s,\"leaders\":%llu}\n", (unsigned long long)a->node_id,
                   a->drain ? "true" : "false", (unsigned long long)stay);
    } else if (a->drain) {
        out_printf("node %llu is drained: it leads no range that another node could lead; `quorate node undrain %llu` "
                   "takes it back\n",
                   (unsigned long long)a->node_id, (unsigned long long)a->node_id);
    } else {
        out_printf("node %llu takes leaderships again\n", (unsigned long long)a->node_id);
    }
    call_end(a, CLI_OK);
}

/* Ranges that have one replica only cannot be led elsewhere. */
static void drain_map(void *ctx, const struct client_error *e, const struct meta_map_reply *map)
{
    struct leaders_call *a = ctx;
    if (e->status != STATUS_OK) {
        call_end(a, cli_client_failed("the shard map", e));
        return;
    }
    const struct node_info *n = map_node(map, a->node_id);
    uint64_t alone = 0, others = 0, example = 0;
    for (size_t i = 0; i < map->range_count; i++) {
        if (map->leaders[i] != a->node_id) continue;
        if (map->ranges[i].replica_count < 2) {
            alone++;
        } else {
            others++;
            example = map->ranges[i].id;
        }
    }
    bool told = n != NULL && (n->flags & NODE_DRAINED) != 0;
    if (n == NULL || !n->alive || (others == 0 && n->leader_count <= alone && told)) {
        drain_ended(a, alone);
        return;
    }
    snprintf(a->last, sizeof a->last,
             "%llu ranges are still led there, range %llu for one: no other replica of them is up, up to date and on a "
             "node that may lead; see `quorate status`",
             (unsigned long long)others, (unsigned long long)example);
    look_again(a);
}

static void drain_done(void *ctx, const struct client_error *e, struct slice payload)
{
    (void)payload;
    struct leaders_call *a = ctx;
    if (e->status != STATUS_OK) {
        call_end(a, cli_client_failed(a->drain ? "node drain" : "node undrain", e));
    } else if (a->drain) {
        look_again(a);
    } else {
        drain_ended(a, 0);
    }
}

static int run_drain(struct cli *c, bool drain)
{
    struct leaders_call a;
    uint64_t node_id = 0;
    int code = CLI_OK;
    if (!take_number(c, 0, "node", &node_id, &code)) return code;
    code = call_open(&a, c);
    if (code != CLI_OK) return code;
    a.node_id = node_id;
    a.drain = drain;
    pack_meta_node_drain_request(&a.params, &(struct meta_node_drain_request){.node_id = node_id, .drain = drain});
    client_meta(a.session.client, METHOD_META_NODE_DRAIN, buf_slice(&a.params), c->timeout_ms, drain_done, &a);
    return call_close(&a);
}

int run_node_drain(struct cli *c)
{
    return run_drain(c, true);
}

int run_node_undrain(struct cli *c)
{
    return run_drain(c, false);
}

static void call_again(struct leaders_call *a)
{
    client_map(a->session.client, SLICE_EMPTY, time_left(a), a->range_id != 0 ? transfer_map : drain_map, a);
}
