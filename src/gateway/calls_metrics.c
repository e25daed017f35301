/* /metrics/cluster: the map, then all at once the metadata service's state, its operators, and each node's own figures; what has not
 * answered within its time is left out, and its absence is seen in quorate_node_up.
 *
 *   MAP --> ASKING (status, operators, every node) --all answered or given up--> done */
#include "base/assert.h"
#include "gateway/gateway_int.h"
#include "gateway/metrics_cluster.h"

#define PART_TIMEOUT_MS 2000u

struct gather { /* in the call's arena */
    struct call *call;
    struct meta_map_reply map;
    struct meta_status_reply status;
    struct meta_ops_reply ops;
    bool has_status, has_ops;
    struct node_status_reply *nodes;
    const struct node_status_reply **answered;
    struct part {
        struct gather *gather;
        size_t node;
    } * parts;
    size_t waiting;
};

static void part_done(struct gather *g)
{
    ASSERT(g->waiting > 0);
    if (--g->waiting > 0) return;
    struct cluster_figures figures = {.map = &g->map,
                                      .status = g->has_status ? &g->status : NULL,
                                      .ops = g->has_ops ? &g->ops : NULL,
                                      .nodes = g->answered};
    struct answer a;
    answer_init(&a);
    a.content_type = "text/plain; version=0.0.4";
    metrics_cluster_write(&figures, &a.body);
    if (a.body.overflow) answer_error(&a, STATUS_TOO_LARGE, false, slice_str("the figures do not fit one answer"));
    call_send(g->call, &a);
}

/* What is unpacked keeps slices of its payload. */
static struct slice keep(struct gather *g, struct slice payload)
{
    return arena_dup_slice(&g->call->arena, payload);
}

static void status_done(void *ctx, const struct client_error *e, struct slice payload)
{
    struct gather *g = ctx;
    if (e->status == STATUS_OK)
        g->has_status = unpack_meta_status_reply(keep(g, payload), &g->call->arena, &g->status) == STATUS_OK;
    part_done(g);
}

static void ops_done(void *ctx, const struct client_error *e, struct slice payload)
{
    struct gather *g = ctx;
    if (e->status == STATUS_OK)
        g->has_ops = unpack_meta_ops_reply(keep(g, payload), &g->call->arena, &g->ops) == STATUS_OK;
    part_done(g);
}

static void node_done(void *ctx, const struct client_error *e, struct slice payload)
{
    struct part *p = ctx;
    struct gather *g = p->gather;
    struct node_status_reply *reply = &g->nodes[p->node];
    if (e->status == STATUS_OK && unpack_node_status_reply(keep(g, payload), &g->call->arena, reply) == STATUS_OK)
        g->answered[p->node] = reply;
    part_done(g);
}

static void map_done(void *ctx, const struct client_error *e, struct slice payload)
{
    struct gather *g = ctx;
    struct call *c = g->call;
    struct client *client = c->gateway->client;
    if (e->status != STATUS_OK) {
        call_fail(c, e);
        return;
    }
    if (unpack_meta_map_reply(keep(g, payload), &c->arena, &g->map) != STATUS_OK) {
        call_refuse(c, STATUS_CORRUPT, &(struct errbuf){.text = "the metadata service's answer cannot be read"});
        return;
    }
    size_t count = g->map.node_count;
    g->nodes = arena_zalloc(&c->arena, (count + 1) * sizeof(*g->nodes));
    g->answered = arena_zalloc(&c->arena, (count + 1) * sizeof(*g->answered));
    g->parts = arena_zalloc(&c->arena, (count + 1) * sizeof(*g->parts));
    g->waiting = 3; /* callbacks never come from inside a call; the third is ours */
    client_meta(client, METHOD_META_STATUS, SLICE_EMPTY, PART_TIMEOUT_MS, status_done, g);
    client_meta(client, METHOD_META_OPS, SLICE_EMPTY, PART_TIMEOUT_MS, ops_done, g);
    for (size_t i = 0; i < count; i++) {
        const struct node_info *n = &g->map.nodes[i];
        char address[LIMIT_ADDRESS_BYTES + 1];
        if (!n->alive || n->address.size > LIMIT_ADDRESS_BYTES) continue;
        memcpy(address, n->address.data, n->address.size);
        address[n->address.size] = '\0';
        g->parts[i] = (struct part){.gather = g, .node = i};
        g->waiting++;
        client_node(client, address, METHOD_NODE_STATUS, SLICE_EMPTY, PART_TIMEOUT_MS, node_done, &g->parts[i]);
    }
    part_done(g);
}

void handle_metrics_cluster(struct call *c, const struct input *in)
{
    struct errbuf err;
    struct list_action action;
    struct buf params;
    enum status s = parse_list(in, false, &c->arena, &action, &err);
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
        return;
    }
    struct gather *g = arena_zalloc(&c->arena, sizeof(*g));
    g->call = c;
    buf_init(&params, 256);
    pack_meta_map_request(&params, &(struct meta_map_request){.keyspace = SLICE_EMPTY});
    client_meta(c->gateway->client, METHOD_META_MAP, buf_slice(&params), call_timeout(c, action.timeout_ms), map_done,
                g);
    buf_free(&params);
}
