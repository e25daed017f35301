/* What befalls the network: partitions in two, of single links, one way; links that grow slow; resets. */
#include "sim/faults_int.h"

void fault_heal_network(struct faults *f)
{
    for (unsigned a = 0; a < f->world->process_count; a++) {
        for (unsigned b = 0; b < f->world->process_count; b++) {
            sim_net_lag(f->world, a, b, 0, 0);
            sim_net_cut(f->world, a, b, false);
        }
    }
}

struct partition {
    struct faults *faults;
    unsigned number;
};

static void partition_over(struct world *w, void *ctx)
{
    struct partition *p = ctx;
    if (p->faults->active && p->faults->partition == p->number) {
        world_trace(w, NULL, "PARTITION over");
        fault_heal_network(p->faults);
        if (chance(w, 300)) sim_net_reset_some(w, 500);
    }
}

static void partition_ends(struct faults *f, uint64_t after_ns)
{
    struct partition *p = world_alloc(f->world, sizeof *p);
    *p = (struct partition){.faults = f, .number = f->partition};
    world_after(f->world, after_ns, partition_over, p);
}

static void cut_sides(struct faults *f, unsigned side, bool out, bool in)
{
    struct world *w = f->world;
    for (unsigned a = 0; a < w->process_count; a++) {
        for (unsigned b = 0; b < w->process_count; b++) {
            bool from = (side >> a & 1) != 0, to = (side >> b & 1) != 0;
            if ((out && from && !to) || (in && !from && to)) sim_net_cut(w, a, b, true);
        }
    }
}

/* Not two sides, but single links, each way on its own: a can talk to b and to c, which cannot talk to each other. */
static void cut_links(struct faults *f)
{
    struct world *w = f->world;
    unsigned per_mille = (unsigned)draw(w, 50, 600);
    bool servers_only = chance(w, 500); /* among the members, among the nodes: clients and timestamps go on */
    bool both_ways = chance(w, 500);
    world_trace(w, NULL, "PARTITION of links, %u per mille%s%s", per_mille,
                servers_only ? ", between servers of a kind" : "", both_ways ? "" : ", each way on its own");
    for (unsigned a = 0; a < w->process_count; a++) {
        for (unsigned b = both_ways ? a + 1 : 0; b < w->process_count; b++) {
            if (servers_only && w->processes[a]->ops != w->processes[b]->ops) continue;
            if (a == b || !chance(w, per_mille)) continue;
            sim_net_cut(w, a, b, true);
            if (both_ways) sim_net_cut(w, b, a, true);
        }
    }
}

static void cut_in_two(struct faults *f)
{
    struct world *w = f->world;
    uint64_t luck = draw(w, 0, 2);
    unsigned side = luck == 0   ? 1u << fault_victim(f)->index
                    : luck == 1 ? 1u << fault_leader(f)->index
                                : (unsigned)draw(w, 1, (1u << w->process_count) - 1);
    uint64_t way = draw(w, 0, 3);
    world_trace(w, NULL, "PARTITION side=%x %s", side,
                way == 0   ? "nothing leaves it"
                : way == 1 ? "nothing reaches it"
                           : "both ways");
    cut_sides(f, side, way != 1, way != 0);
}

void fault_partition(struct faults *f)
{
    struct world *w = f->world;
    if (w->now_ns < f->lag_until_ns) return;
    fault_heal_network(f);
    if (chance(w, 400)) {
        cut_links(f);
    } else {
        cut_in_two(f);
    }
    f->partition++;
    partition_ends(f, draw(w, 20, chance(w, 500) ? 500 : 5000) * MS_NS);
}

/* --- lag --- */

struct lag {
    struct faults *faults;
    struct process *p;
    unsigned number;
};

static void each_peer(struct faults *f, const struct process *p, void (*fn)(struct world *w, unsigned a, unsigned b))
{
    for (unsigned i = 0; i < f->world->process_count; i++) {
        const struct process *q = f->world->processes[i];
        if (q != p && q->ops == p->ops) fn(f->world, p->index, i);
    }
}

static void cut_from_it(struct world *w, unsigned self, unsigned peer)
{
    sim_net_cut(w, self, peer, true);
}

/* Now it hears of the past and is heard no more: its peers choose another leader, and it cannot know. Some of its clients
 * cannot reach it any more, and find the new one. */
static void lag_cut(struct world *w, void *ctx)
{
    struct lag *l = ctx;
    if (!l->faults->active || l->faults->partition != l->number) return;
    world_trace(w, l->p, "LAG: nothing leaves it any more");
    each_peer(l->faults, l->p, cut_from_it);
    for (unsigned i = 0; i < w->process_count; i++) {
        if (w->processes[i]->ops == l->p->ops || !chance(w, 400)) continue;
        sim_net_cut(w, i, l->p->index, true);
        sim_net_cut(w, l->p->index, i, true);
    }
}

/* What the other kind sends comes later and later: the answers of the metadata service to a node that leads, and may have
 * lost its leadership and got it back when they come. */
static void lag_answers(struct faults *f, struct process *p, uint64_t slope, uint64_t max_ns)
{
    struct world *w = f->world;
    for (unsigned i = 0; i < w->process_count; i++) {
        if (w->processes[i]->ops != p->ops) sim_net_lag(w, i, p->index, slope, max_ns);
    }
    fault_bounce(f, p, max_ns * 10 / slope);
    partition_ends(f, max_ns * 10 / slope + draw(w, 1000, 4000) * MS_NS);
}

/* What its peers send to a leader comes later and later; then, mostly, its own messages do not come through at all. Clients
 * reach everybody. */
void fault_lag(struct faults *f)
{
    struct world *w = f->world;
    struct process *p = fault_leader(f);
    uint64_t slope = draw(w, 10, 30), max_ns = draw(w, 300, 4000) * MS_NS;
    if (w->now_ns < f->lag_until_ns) return;
    fault_heal_network(f);
    f->partition++;
    world_trace(w, p, "LAG up to %llu ms", (unsigned long long)(max_ns / MS_NS));
    if (chance(w, 200)) {
        lag_answers(f, p, slope, draw(w, 100, 900) * MS_NS);
        return;
    }
    for (unsigned i = 0; i < w->process_count; i++) {
        if (w->processes[i] != p && w->processes[i]->ops == p->ops) sim_net_lag(w, i, p->index, slope, max_ns);
    }
    uint64_t grown_ns = max_ns * 10 / slope;
    struct lag *l = world_alloc(w, sizeof *l);
    *l = (struct lag){.faults = f, .p = p, .number = f->partition};
    if (chance(w, 800)) world_after(w, grown_ns, lag_cut, l);
    f->lag_until_ns = w->now_ns + grown_ns + draw(w, 20, 5000) * MS_NS;
    partition_ends(f, f->lag_until_ns - w->now_ns);
}

void fault_reset(struct faults *f)
{
    if (f->world->now_ns < f->lag_until_ns) return;
    sim_net_reset_some(f->world, (unsigned)draw(f->world, 20, 1000));
}
