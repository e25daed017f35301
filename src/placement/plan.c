/* One round: accounts, the passes in their order, and what they say in words. */
#include "placement/plan.h"

#include <limits.h>

#include "base/assert.h"
#include "base/mem.h"
#include "placement/plan_int.h"

void placement_options_default(struct placement_options *o)
{
    *o = (struct placement_options){.ops_max = 256,
                                    .arrivals_max = 2,
                                    .departures_max = 4,
                                    .slack_percent = 5,
                                    .range_cost_bytes = 16u << 20,
                                    .leader_cost = 10,
                                    .split_bytes = 256u << 20,
                                    .merge_bytes = 64u << 20,
                                    .split_load = 2000,
                                    .split_load_s = 10,
                                    .merge_load = 100,
                                    .merge_age_s = 600};
}

/* --- accounts --- */

double round_beyond(const struct round *r, uint32_t site, enum dimension d)
{
    return ((double)r->desks[site].has[d] - (double)r->desks[site].goal[d]) / r->unit[d];
}

/* The number of the first site with that label, from 1. A walk over the sites before: half a million short compares for a
 * thousand sites. */
static unsigned label_number(const struct placement_view *v, size_t site, int level)
{
    struct slice own = v->sites[site].labels[level];
    size_t i = 0;
    if (own.size == 0) return 0;
    while (i < site && !slice_eq(v->sites[i].labels[level], own)) i++;
    return (unsigned)i + 1;
}

static bool holds(const struct placement_site *s)
{
    return s->life == PLACEMENT_UP || s->life == PLACEMENT_SILENT || s->life == PLACEMENT_DRAINING;
}

static bool leads(const struct placement_site *s)
{
    return s->life == PLACEMENT_UP && s->takes_leaders;
}

/* A site's share of the total, by capacity in GiB where all are known; of what is led, the same for all who may lead. */
static void set_goals(struct round *r, const uint64_t total[DIMS])
{
    const struct placement_view *v = r->view;
    bool known = true;
    uint64_t units = 0, holders = 0, leaders = 0;
    for (size_t i = 0; i < v->site_count; i++) {
        if (!holds(&v->sites[i])) continue;
        holders++;
        leaders += leads(&v->sites[i]);
        known = known && v->sites[i].capacity_bytes != 0;
    }
    for (int give = 0; give < 2; give++) {
        for (size_t i = 0; i < v->site_count; i++) {
            const struct placement_site *s = &v->sites[i];
            struct desk *d = &r->desks[i];
            uint64_t own = !holds(s) ? 0 : known ? (s->capacity_bytes >> 30) + 1 : 1;
            if (give == 0) {
                units += own;
                continue;
            }
            double share = units == 0 ? 0 : (double)own / (double)units;
            for (int k = DIM_BYTES; k <= DIM_SEATS; k++) d->goal[k] = (uint64_t)((double)total[k] * share);
            for (int k = DIM_LOAD; k <= DIM_LEADERS; k++) d->goal[k] = leads(s) ? total[k] / leaders : 0;
        }
    }
    r->leading = leaders;
    double nodes = holders == 0 ? 1 : (double)holders, leading = leaders == 0 ? 1 : (double)leaders;
    r->unit[DIM_SEATS] = (double)(total[DIM_SEATS] + 1) / nodes;
    r->unit[DIM_LEADERS] = (double)(total[DIM_LEADERS] + 1) / leading;
    /* Little data and little load make no difference, however unequal they are. */
    double least_bytes = (double)r->options->range_cost_bytes * r->unit[DIM_SEATS];
    double least_load = (double)r->options->leader_cost * r->unit[DIM_LEADERS];
    r->unit[DIM_BYTES] = (double)(total[DIM_BYTES] + 1) / nodes;
    r->unit[DIM_LOAD] = (double)(total[DIM_LOAD] + 1) / leading;
    if (r->unit[DIM_BYTES] < least_bytes) r->unit[DIM_BYTES] = least_bytes;
    if (r->unit[DIM_LOAD] < least_load) r->unit[DIM_LOAD] = least_load;
}

static void count_range(struct round *r, const struct placement_range *g, uint64_t total[DIMS])
{
    ASSERT(g->seats <= LIMIT_REPLICAS);
    for (unsigned k = 0; k < g->seats; k++) {
        ASSERT(g->nodes[k] < r->view->site_count);
        r->desks[g->nodes[k]].has[DIM_BYTES] += g->bytes;
        r->desks[g->nodes[k]].has[DIM_SEATS]++;
    }
    total[DIM_BYTES] += g->bytes * g->seats;
    total[DIM_SEATS] += g->seats;
    if (g->leader >= g->seats) return;
    r->desks[g->nodes[g->leader]].has[DIM_LOAD] += g->load;
    r->desks[g->nodes[g->leader]].has[DIM_LEADERS]++;
    total[DIM_LOAD] += g->load;
    total[DIM_LEADERS]++;
}

static void count_desks(struct round *r)
{
    const struct placement_view *v = r->view;
    uint64_t total[DIMS] = {0};
    for (size_t i = 0; i < v->site_count; i++) {
        for (int k = 0; k < PLACEMENT_LEVELS; k++) r->desks[i].labels[k] = label_number(v, i, k);
    }
    for (size_t i = 0; i < v->range_count; i++) count_range(r, &v->ranges[i], total);
    for (size_t i = 0; i < v->traffic_count; i++) {
        const struct placement_traffic *t = &v->traffic[i];
        if (t->from != PLACEMENT_NO_SITE) r->desks[t->from].departures++;
        if (t->to != PLACEMENT_NO_SITE) r->desks[t->to].arrivals++;
    }
    r->load = total[DIM_LOAD];
    set_goals(r, total);
}

/* --- what the passes use --- */

bool round_full(const struct round *r)
{
    return r->plan->op_count >= r->options->ops_max;
}

bool round_touched(const struct round *r, size_t range)
{
    return r->view->ranges[range].busy || (r->touched[range / 8] >> (range % 8) & 1);
}

void round_note(struct round *r, enum placement_reason why, size_t range)
{
    struct placement_note *n = &r->plan->notes[why];
    if (n->count++ == 0 && range < r->view->range_count) n->range = r->view->ranges[range].id;
}

void round_emit(struct round *r, enum placement_kind kind, enum placement_reason why, size_t range, uint32_t from,
                uint32_t to)
{
    struct placement_plan *p = r->plan;
    const struct placement_range *g = &r->view->ranges[range];
    ASSERT(!round_touched(r, range));
    ASSERT(p->op_count < r->options->ops_max);
    if (p->op_count == p->op_capacity) {
        p->op_capacity = p->op_capacity == 0 ? 64 : p->op_capacity * 2;
        p->ops = mem_realloc(p->ops, p->op_capacity * sizeof *p->ops);
    }
    p->ops[p->op_count++] = (struct placement_op){
        .kind = kind, .why = why, .range = g->id, .conf_ver = g->conf_ver, .from = from, .to = to};
    r->touched[range / 8] = (uint8_t)(r->touched[range / 8] | 1u << (range % 8));
    if (kind == PLACEMENT_TRANSFER) {
        r->desks[from].has[DIM_LOAD] -= g->load;
        r->desks[from].has[DIM_LEADERS]--;
        r->desks[to].has[DIM_LOAD] += g->load;
        r->desks[to].has[DIM_LEADERS]++;
        return;
    }
    if (from != PLACEMENT_NO_SITE) {
        r->desks[from].has[DIM_BYTES] -= g->bytes;
        r->desks[from].has[DIM_SEATS]--;
        r->desks[from].departures++;
    }
    if (to != PLACEMENT_NO_SITE) {
        r->desks[to].has[DIM_BYTES] += g->bytes;
        r->desks[to].has[DIM_SEATS]++;
        r->desks[to].arrivals++;
    }
}

/* --- the round --- */

void placement_plan_init(struct placement_plan *p)
{
    memset(p, 0, sizeof *p);
}

void placement_plan_free(struct placement_plan *p)
{
    mem_free(p->ops);
    placement_plan_init(p);
}

static void plan_clear(struct placement_plan *p)
{
    *p = (struct placement_plan){.ops = p->ops, .op_capacity = p->op_capacity, .failures_borne = UINT_MAX};
}

void placement_round(const struct placement_view *v, const struct placement_options *o, struct placement_plan *p)
{
    struct round r = {.view = v, .options = o, .plan = p};
    plan_clear(p);
    arena_init(&r.arena, 1u << 16);
    r.desks = arena_zalloc(&r.arena, (v->site_count + 1) * sizeof *r.desks);
    r.touched = arena_zalloc(&r.arena, v->range_count / 8 + 1);
    count_desks(&r);
    repair_pass(&r);
    balance_pass(&r);
    sizes_pass(&r);
    if (p->failures_borne == UINT_MAX) p->failures_borne = 0;
    arena_free(&r.arena);
}

/* --- in words --- */

static const char *const reason_texts[PLACEMENT_REASONS] = {
    [PLACEMENT_WHY_DEAD] = "a replica's node is dead",
    [PLACEMENT_WHY_FEW] = "fewer replicas than the keyspace asks for",
    [PLACEMENT_WHY_MANY] = "more replicas than the keyspace asks for",
    [PLACEMENT_WHY_LEAVING] = "a node is being decommissioned",
    [PLACEMENT_WHY_TOGETHER] = "replicas share a host, zone or region without need",
    [PLACEMENT_WHY_MAY_NOT_LEAD] = "the leader's node is draining, leaving or slow",
    [PLACEMENT_WHY_WEIGHT] = "nodes hold unequal shares",
    [PLACEMENT_WHY_LEADERS] = "nodes lead unequal shares",
    [PLACEMENT_WHY_RULES] = "the keyspace's rules ask for other nodes",
    [PLACEMENT_WHY_SIZE] = "the range is large",
    [PLACEMENT_WHY_SMALL] = "two neighbours are small and have been cold for long",
    [PLACEMENT_WHY_LOAD] = "the range has too much of all load",
    [PLACEMENT_NOT_NO_QUORUM] = "most voters are gone: wait for their nodes, or recover with loss of data",
    [PLACEMENT_NOT_NO_TARGET] =
        "no node may take the replica: add a node, let one take replicas again, or see placement show",
    [PLACEMENT_NOT_NODE_LIMIT] = "the nodes have as many moves under way as they may",
    [PLACEMENT_NOT_ROUND_LIMIT] = "the round has made as many operators as it may",
    [PLACEMENT_NOT_MASS_SILENCE] = "too many nodes are silent at once: the network is suspected, nothing is replaced",
    [PLACEMENT_NOT_NO_HEIR] = "no other replica may lead",
    [PLACEMENT_NOT_PAUSED] = "the scheduler is paused",
    [PLACEMENT_NOT_AGAIN] = "a split or a merge was tried and could not be done: `quorate op history` says why",
};

static const char *const kind_names[] = {
    [PLACEMENT_ADD] = "add",           [PLACEMENT_REPLACE] = "move", [PLACEMENT_REMOVE] = "remove",
    [PLACEMENT_TRANSFER] = "transfer", [PLACEMENT_SPLIT] = "split",  [PLACEMENT_MERGE] = "merge",
    [PLACEMENT_LEARNER] = "learner"};

const char *placement_reason_text(enum placement_reason r)
{
    ASSERT(r < PLACEMENT_REASONS);
    return reason_texts[r];
}

const char *placement_kind_name(enum placement_kind k)
{
    return kind_names[k];
}

void placement_op_describe(const struct placement_op *op, const struct placement_view *v, struct buf *out)
{
    buf_printf(out, "%s range=%llu", kind_names[op->kind], (unsigned long long)op->range);
    if (op->from != PLACEMENT_NO_SITE) buf_printf(out, " from=%llu", (unsigned long long)v->sites[op->from].id);
    if (op->to != PLACEMENT_NO_SITE) buf_printf(out, " to=%llu", (unsigned long long)v->sites[op->to].id);
    buf_printf(out, ": %s", reason_texts[op->why]);
}
