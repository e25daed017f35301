#include "lib/placement_world.h"

#include "base/assert.h"
#include "base/mem.h"

void placement_world_init(struct placement_world *w, size_t sites, size_t range_capacity)
{
    *w = (struct placement_world){.site_count = sites, .range_capacity = range_capacity, .next_id = 2};
    w->sites = mem_zalloc(sites * sizeof *w->sites);
    w->ranges = mem_zalloc(range_capacity * sizeof *w->ranges);
    for (size_t i = 0; i < sites; i++) {
        w->sites[i] = (struct placement_site){.id = i + 1, .takes_replicas = true, .takes_leaders = true};
    }
    w->rules = (struct placement_rules){.voters = 3};
    placement_options_default(&w->options);
    placement_plan_init(&w->plan);
}

void placement_world_free(struct placement_world *w)
{
    placement_plan_free(&w->plan);
    mem_free(w->sites);
    mem_free(w->ranges);
}

static bool has(const struct placement_range *g, uint32_t site)
{
    for (unsigned i = 0; i < g->seats; i++) {
        if (g->nodes[i] == site) return true;
    }
    return false;
}

void placement_world_add(struct placement_world *w, struct prng *rng, size_t count, size_t among, uint64_t bytes_max)
{
    ASSERT(w->range_count + count <= w->range_capacity);
    ASSERT(among >= w->rules.voters);
    for (size_t i = 0; i < count; i++) {
        struct placement_range *g = &w->ranges[w->range_count++];
        *g = (struct placement_range){.id = w->next_id++, .conf_ver = 1, .age_s = 3600};
        g->bytes = bytes_max == 0 ? 0 : prng_below(rng, bytes_max);
        while (g->seats < w->rules.voters) {
            uint32_t site = (uint32_t)prng_below(rng, among);
            if (!has(g, site)) g->nodes[g->seats++] = site;
        }
        g->leader = (uint8_t)prng_below(rng, g->seats);
    }
}

struct placement_view placement_world_view(const struct placement_world *w)
{
    return (struct placement_view){.sites = w->sites,
                                   .site_count = w->site_count,
                                   .rules = &w->rules,
                                   .rules_count = 1,
                                   .ranges = w->ranges,
                                   .range_count = w->range_count,
                                   .round = w->round};
}

static bool lives(const struct placement_world *w, uint32_t site)
{
    enum placement_life life = w->sites[site].life;
    return life != PLACEMENT_DEAD && life != PLACEMENT_SILENT;
}

static unsigned seat_of(const struct placement_range *g, uint32_t site)
{
    for (unsigned i = 0; i < g->seats; i++) {
        if (g->nodes[i] == site) return i;
    }
    BUG("the operator names a node that has no seat");
}

/* Whoever lives takes the lead when the leader's seat is gone. */
static void elect(const struct placement_world *w, struct placement_range *g)
{
    if (g->leader < g->seats && lives(w, g->nodes[g->leader])) return;
    g->leader = PLACEMENT_NOBODY;
    for (unsigned i = 0; i < g->seats && g->leader == PLACEMENT_NOBODY; i++) {
        if (lives(w, g->nodes[i])) g->leader = (uint8_t)i;
    }
}

static void arrive(const struct placement_world *w, const struct placement_range *g, uint32_t to)
{
    ASSERT(!has(g, to));
    ASSERT(w->sites[to].life == PLACEMENT_UP);
    ASSERT(w->sites[to].takes_replicas);
}

static void split(struct placement_world *w, size_t at)
{
    ASSERT(w->range_count < w->range_capacity);
    memmove(&w->ranges[at + 1], &w->ranges[at], (w->range_count - at) * sizeof *w->ranges);
    w->range_count++;
    w->ranges[at].bytes /= 2;
    w->ranges[at].load /= 2;
    w->ranges[at].age_s = 0;
    w->ranges[at + 1] = w->ranges[at];
    w->ranges[at + 1].id = w->next_id++;
}

static void merge(struct placement_world *w, size_t at)
{
    ASSERT(at + 1 < w->range_count);
    w->ranges[at].bytes += w->ranges[at + 1].bytes;
    w->ranges[at].load += w->ranges[at + 1].load;
    w->ranges[at].age_s = 0;
    memmove(&w->ranges[at + 1], &w->ranges[at + 2], (w->range_count - at - 2) * sizeof *w->ranges);
    w->range_count--;
}

static void carry_out(struct placement_world *w, const struct placement_op *op, size_t at)
{
    struct placement_range *g = &w->ranges[at];
    ASSERT(g->conf_ver == op->conf_ver);
    w->done[op->kind]++;
    if (op->kind != PLACEMENT_TRANSFER) g->conf_ver++;
    switch (op->kind) {
    case PLACEMENT_ADD:
        arrive(w, g, op->to);
        g->nodes[g->seats++] = op->to;
        break;
    case PLACEMENT_REPLACE:
        arrive(w, g, op->to);
        g->nodes[seat_of(g, op->from)] = op->to;
        break;
    case PLACEMENT_REMOVE: {
        unsigned seat = seat_of(g, op->from);
        ASSERT(g->seats > w->rules.voters);
        bool last_learns = (g->learners >> (g->seats - 1) & 1) != 0;
        g->nodes[seat] = g->nodes[--g->seats];
        g->learners = (uint8_t)(g->learners & ~(1u << seat) & ~(1u << g->seats));
        if (last_learns && seat != g->seats) g->learners = (uint8_t)(g->learners | 1u << seat);
        if (g->leader == seat) g->leader = PLACEMENT_NOBODY;
        if (g->leader == g->seats) g->leader = (uint8_t)seat;
        break;
    }
    case PLACEMENT_TRANSFER:
        ASSERT(g->leader == seat_of(g, op->from));
        ASSERT(w->sites[op->to].takes_leaders);
        g->leader = (uint8_t)seat_of(g, op->to);
        break;
    case PLACEMENT_LEARNER:
        arrive(w, g, op->to);
        g->learners = (uint8_t)(g->learners | 1u << g->seats);
        g->nodes[g->seats++] = op->to;
        break;
    case PLACEMENT_SPLIT: split(w, at); return;
    case PLACEMENT_MERGE: merge(w, at); return;
    }
    elect(w, g);
}

size_t placement_world_round(struct placement_world *w)
{
    for (size_t i = 0; i < w->range_count; i++) elect(w, &w->ranges[i]);
    struct placement_view v = placement_world_view(w);
    w->round++;
    placement_round(&v, &w->options, &w->plan);
    ASSERT(w->plan.op_count <= w->options.ops_max);
    for (size_t k = 0; k < w->plan.op_count; k++) {
        const struct placement_op *op = &w->plan.ops[k];
        size_t at = (size_t)op->range - 2 < w->range_count ? (size_t)op->range - 2 : 0; /* right until one splits */
        if (w->ranges[at].id != op->range) at = 0;
        while (w->ranges[at].id != op->range) ASSERT(++at < w->range_count);
        carry_out(w, op, at);
    }
    return w->plan.op_count;
}

size_t placement_world_settle(struct placement_world *w, size_t max)
{
    size_t rounds = 0;
    while (placement_world_round(w) > 0) {
        ASSERT(++rounds < max); /* it ends: nothing goes to and fro */
    }
    return rounds;
}

double placement_world_spread(const struct placement_world *w, bool leaders)
{
    uint64_t *held = mem_zalloc(w->site_count * sizeof *held);
    double mean = 0, worst = 0;
    size_t living = 0;
    for (size_t i = 0; i < w->range_count; i++) {
        const struct placement_range *g = &w->ranges[i];
        for (unsigned k = 0; k < g->seats; k++) held[g->nodes[k]] += leaders ? k == g->leader : 1;
    }
    for (size_t i = 0; i < w->site_count; i++) {
        if (w->sites[i].life != PLACEMENT_UP) continue;
        living++;
        mean += (double)held[i];
    }
    mean /= (double)(living == 0 ? 1 : living);
    for (size_t i = 0; i < w->site_count; i++) {
        double off = (double)held[i] - mean;
        if (w->sites[i].life == PLACEMENT_UP && (off < 0 ? -off : off) > worst) worst = off < 0 ? -off : off;
    }
    mem_free(held);
    return worst;
}
