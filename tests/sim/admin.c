#include "sim/admin.h"

#include "base/mem.h"
#include "base/prng.h"
#include "node/node_int.h"

#include <stdio.h>
#include <string.h>

#define ADMIN_CALL_MS 3000u
#define ASK_EVERY_NS (300 * MS_NS)

struct admin {
    struct cluster *cluster;
    struct world *world;
    bool active, healing;
    unsigned settings_told; /* of SETTINGS */
    unsigned taken_back;    /* nodes, since the heal */
    unsigned still;         /* answers in a row that knew of no operator */
    bool asking;
    struct prng prng; /* of late orders: what else is drawn stays as it is without them */
};

/* Faster than for people: a run lasts seconds. */
static const char *const SETTINGS[][2] = {
    {"scheduler.round_ms", "150"}, {"scheduler.grace_ms", "600"},        {"node.dead_after_s", "3"},
    {"operator.patience_s", "4"},  {"balance.range_cost_bytes", "4096"}, {"scheduler.repair", "on"},
    {"scheduler.balance", "on"},   {"range.split_bytes", "40000"},       {"range.split_load", "30"},
    {"range.split_load_s", "1"},   {"range.merge_bytes", "20000"},       {"range.merge_age_s", "1"}};

static struct client *any_client(const struct admin *a)
{
    for (unsigned i = 0; i < a->cluster->knobs.client_count; i++) {
        struct client *c = cluster_client(a->cluster, i);
        if (c != NULL) return c;
    }
    return NULL;
}

static void ignored(void *ctx, const struct client_error *e, struct slice payload)
{
    (void)ctx;
    (void)e;
    (void)payload;
}

/* --- settings --- */

static void tell_settings(struct world *w, void *ctx);

static void setting_told(void *ctx, const struct client_error *e, struct slice payload)
{
    struct admin *a = ctx;
    (void)payload;
    if (e->status == STATUS_OK) a->settings_told++;
    world_after(a->world, 20 * MS_NS, tell_settings, a);
}

static void tell_settings(struct world *w, void *ctx)
{
    struct admin *a = ctx;
    struct client *c = any_client(a);
    if (a->settings_told == sizeof SETTINGS / sizeof SETTINGS[0]) return;
    if (c == NULL) {
        world_after(w, 200 * MS_NS, tell_settings, a);
        return;
    }
    struct buf b;
    buf_init(&b, 1024);
    pack_meta_config_request(&b, &(struct meta_config_request){.name = slice_str(SETTINGS[a->settings_told][0]),
                                                               .value = slice_str(SETTINGS[a->settings_told][1])});
    client_meta(c, METHOD_META_CONFIG, buf_slice(&b), ADMIN_CALL_MS, setting_told, a);
    buf_free(&b);
}

/* --- verbs --- */

static void ask_op(struct admin *a, struct client *c)
{
    struct world *w = a->world;
    static const enum operator_kind kinds[] = {OPERATOR_REPLACE, OPERATOR_REPLACE, OPERATOR_REPLACE,
                                               OPERATOR_ADD,     OPERATOR_REMOVE,  OPERATOR_TRANSFER};
    struct meta_op_request q = {.verb = OPERATOR_VERB_START, .keyspace = SLICE_EMPTY};
    q.kind = kinds[draw(w, 0, 5)];
    q.range_id = draw(w, 2, 8);
    q.from = draw(w, 1, a->cluster->knobs.node_count);
    q.to = draw(w, 1, a->cluster->knobs.node_count);
    if (q.kind == OPERATOR_ADD) q.from = 0;
    if (q.kind == OPERATOR_REMOVE) q.to = 0;
    if (chance(w, 100))
        q = (struct meta_op_request){.verb = OPERATOR_VERB_CANCEL, .id = draw(w, 1, 30), .keyspace = SLICE_EMPTY};
    struct buf b;
    buf_init(&b, 1024);
    pack_meta_op_request(&b, &q);
    client_meta(c, METHOD_META_OP, buf_slice(&b), ADMIN_CALL_MS, ignored, a);
    buf_free(&b);
}

static void ask_node(struct admin *a, struct client *c, enum node_verb verb, uint64_t node, client_call_done done)
{
    struct meta_node_request q = {.node_id = node, .verb = verb, .for_ms = draw(a->world, 0, 3000)};
    struct buf b;
    buf_init(&b, 256);
    pack_meta_node_request(&b, &q);
    client_meta(c, METHOD_META_NODE, buf_slice(&b), ADMIN_CALL_MS, done, a);
    buf_free(&b);
}

/* Any node is asked to compare any range: who does not lead it refuses. */
static void ask_comparison(struct admin *a, struct client *c, unsigned node)
{
    struct buf b;
    buf_init(&b, 256);
    struct range_check_request q = {.range_id = draw(a->world, 2, 8), .begin = true};
    pack_range_check_request(&b, &q);
    client_node(c, a->cluster->nodes[node]->address, METHOD_RANGE_CHECK, buf_slice(&b), ADMIN_CALL_MS, ignored, a);
    buf_free(&b);
}

static void strike(struct world *w, void *ctx)
{
    struct admin *a = ctx;
    struct client *c = any_client(a);
    if (!a->active) return;
    uint64_t node = draw(w, 1, a->cluster->knobs.node_count);
    if (c != NULL && a->cluster->booted) {
        uint64_t what = draw(w, 0, 11);
        if (what < 7) ask_op(a, c);
        if (what == 7) ask_node(a, c, NODE_VERB_DECOMMISSION, node, ignored);
        if (what == 8) ask_node(a, c, NODE_VERB_RECOMMISSION, node, ignored);
        if (what == 9) ask_node(a, c, NODE_VERB_MAINTENANCE, node, ignored);
        if (what > 9) ask_comparison(a, c, (unsigned)node - 1);
    }
    world_after(w, draw(w, 0, 2 * a->cluster->knobs.admin_ns), strike, a);
}

/* --- orders that come late --- */

/* What a deposed metadata leader decided, or what was decided on another configuration, arrives at a leader of ranges in the end: it
 * would make sense, and nothing may come of it. */
struct late {
    struct admin *admin;
    struct node *node;
    const struct replica *range;
};

static void pick_led(void *ctx, struct replica *r)
{
    struct late *l = ctx;
    bool may_add = replica_desc(r)->replica_count < LIMIT_REPLICAS && !range_desc_joint(replica_desc(r));
    if (replica_leads(r) && may_add && (l->range == NULL || prng_below(&l->admin->prng, 2) == 0)) l->range = r;
}

static uint64_t stranger_to(const struct admin *a, const struct range_desc *d)
{
    for (uint64_t id = 1; id <= a->cluster->knobs.node_count; id++) {
        if (range_desc_replica(d, id) == NULL) return id;
    }
    return 0;
}

static uint64_t follower_of(const struct range_desc *d, uint64_t leader)
{
    for (size_t i = 0; i < d->replica_count; i++) {
        if (d->replicas[i].node_id != leader) return d->replicas[i].node_id;
    }
    return 0;
}

static void late_order(struct late *l)
{
    const struct range_desc *d = replica_desc(l->range);
    bool of_deposed = l->node->orders.term > 1 && prng_below(&l->admin->prng, 2) == 0;
    uint64_t to = stranger_to(l->admin, d), from = follower_of(d, l->node->self.node_id);
    struct range_order o = {.op = 1, .range_id = d->id, .conf_ver = d->epoch.conf_ver - !of_deposed};
    o.kind = to != 0 ? ORDER_ADD : ORDER_SWAP;
    o.to = to;
    o.from = to != 0 ? 0 : from;
    if (to == 0 && from == 0) return;
    uint64_t before = raft_config_index(replica_raft(l->range)), term = l->node->orders.term;
    struct meta_heartbeat_reply reply = {.term = term - of_deposed, .orders = &o, .order_count = 1};
    reply.tell_all = l->node->orders.tell_all;
    orders_take(l->node, &reply);
    if (raft_config_index(replica_raft(l->range)) != before || l->node->orders.term != term)
        world_fail(l->admin->world, "range %llu: an order of %s was carried out", (unsigned long long)d->id,
                   of_deposed ? "a deposed metadata leader" : "a decision on another conf_ver");
}

static void late_orders(struct world *w, void *ctx)
{
    struct admin *a = ctx;
    const struct process *p = a->cluster->nodes[prng_below(&a->prng, a->cluster->knobs.node_count)];
    bool awake = p->state == PROCESS_UP && p->paused_until_ns <= w->now_ns;
    if (!a->active) return;
    if (awake && process_host(p) != NULL && ((struct node *)p->server)->state == NODE_SERVING) {
        struct late l = {.admin = a, .node = p->server};
        host_each_replica(l.node->host, pick_led, &l);
        if (l.range != NULL) late_order(&l);
    }
    world_after(w, prng_below(&a->prng, 4 * a->cluster->knobs.admin_ns) + 1, late_orders, a);
}

/* --- the end --- */

static void heal_step(struct world *w, void *ctx);

static void node_back(void *ctx, const struct client_error *e, struct slice payload)
{
    struct admin *a = ctx;
    (void)payload;
    a->asking = false;
    if (e->status == STATUS_OK || e->status == STATUS_NOT_FOUND) a->taken_back++;
    world_after(a->world, MS_NS, heal_step, a);
}

static void operators_told(void *ctx, const struct client_error *e, struct slice payload)
{
    struct admin *a = ctx;
    struct meta_ops_reply reply;
    struct arena arena;
    size_t running = 1;
    arena_init(&arena, 4096);
    if (e->status == STATUS_OK && unpack_meta_ops_reply(payload, &arena, &reply) == STATUS_OK && reply.rounds > 0) {
        running = 0;
        for (size_t i = 0; i < reply.op_count; i++) running += reply.ops[i].state == OPERATOR_RUNNING;
    }
    a->still = running == 0 ? a->still + 1 : 0;
    arena_free(&arena);
    a->asking = false;
    world_after(a->world, ASK_EVERY_NS, heal_step, a);
}

static void heal_step(struct world *w, void *ctx)
{
    struct admin *a = ctx;
    struct client *c = any_client(a);
    if (a->asking) return;
    if (c == NULL) {
        world_after(w, ASK_EVERY_NS, heal_step, a);
        return;
    }
    a->asking = true;
    if (a->taken_back < a->cluster->knobs.node_count) {
        ask_node(a, c, NODE_VERB_RECOMMISSION, a->taken_back + 1, node_back);
    } else {
        client_meta(c, METHOD_META_OPS, SLICE_EMPTY, ADMIN_CALL_MS, operators_told, a);
    }
}

struct admin *admin_new(struct cluster *c)
{
    struct admin *a = mem_zalloc(sizeof *a);
    a->cluster = c;
    a->world = c->world;
    return a;
}

void admin_free(struct admin *a)
{
    mem_free(a);
}

void admin_start(struct admin *a)
{
    if (a->cluster->knobs.admin_ns == 0) return;
    a->active = true;
    prng_init(&a->prng, a->world->seed ^ 0x1a7e);
    world_after(a->world, prng_below(&a->prng, 4 * a->cluster->knobs.admin_ns) + 1, late_orders, a);
    world_after(a->world, draw(a->world, 0, 500 * MS_NS), tell_settings, a);
    world_after(a->world, draw(a->world, 0, 2 * a->cluster->knobs.admin_ns), strike, a);
}

void admin_heal(struct admin *a)
{
    a->active = false;
    a->healing = a->cluster->knobs.admin_ns != 0;
    if (a->healing) world_after(a->world, MS_NS, heal_step, a);
}

bool admin_settled(struct admin *a)
{
    return !a->healing || a->still >= 3;
}
