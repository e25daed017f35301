/* Where a replica may sit, and where it sits best. */
#include "placement/plan_int.h"

bool seat_is_voter(const struct placement_range *g, unsigned seat)
{
    return (g->learners >> seat & 1) == 0;
}

unsigned seat_voters(const struct placement_range *g)
{
    unsigned voters = 0;
    for (unsigned i = 0; i < g->seats; i++) voters += seat_is_voter(g, i);
    return voters;
}

bool seat_lives(const struct round *r, const struct placement_range *g, unsigned seat)
{
    return r->view->sites[g->nodes[seat]].life != PLACEMENT_DEAD;
}

bool seat_answers(const struct round *r, const struct placement_range *g, unsigned seat)
{
    const struct placement_site *s = &r->view->sites[g->nodes[seat]];
    return s->life != PLACEMENT_DEAD && s->life != PLACEMENT_SILENT && !s->absent;
}

bool seat_may_lead(const struct round *r, const struct placement_range *g, unsigned seat)
{
    const struct placement_site *s = &r->view->sites[g->nodes[seat]];
    return seat_is_voter(g, seat) && s->life == PLACEMENT_UP && s->takes_leaders;
}

bool seat_fits(const struct round *r, const struct placement_range *g, uint32_t site, enum placement_fit as)
{
    const uint8_t *fit = r->view->rules[g->rules].fit;
    return fit == NULL || (fit[site] & as) != 0;
}

bool seat_leads_well(const struct round *r, const struct placement_range *g, unsigned seat)
{
    return seat_may_lead(r, g, seat) && seat_fits(r, g, g->nodes[seat], PLACEMENT_FIT_LEADER);
}

unsigned seat_crowding(const struct round *r, const struct placement_range *g, unsigned without, uint32_t site)
{
    static const unsigned cost[PLACEMENT_LEVELS] = {64, 8, 1};
    const struct desk *d = &r->desks[site];
    unsigned crowding = 0;
    for (unsigned i = 0; i < g->seats; i++) {
        const struct desk *other = &r->desks[g->nodes[i]];
        if (i == without || g->nodes[i] == site) continue;
        for (int level = 0; level < PLACEMENT_LEVELS; level++) {
            if (d->labels[level] != 0 && d->labels[level] == other->labels[level]) crowding += cost[level];
        }
    }
    return crowding;
}

static double fullness(const struct round *r, uint32_t site)
{
    return round_beyond(r, site, DIM_BYTES) + round_beyond(r, site, DIM_SEATS);
}

static bool has_seat(const struct placement_range *g, uint32_t site)
{
    for (unsigned i = 0; i < g->seats; i++) {
        if (g->nodes[i] == site) return true;
    }
    return false;
}

uint32_t seat_target(const struct round *r, const struct placement_range *g, unsigned without, unsigned crowding_max,
                     enum placement_fit as, enum placement_reason *why)
{
    uint32_t best = PLACEMENT_NO_SITE;
    unsigned best_crowding = 0;
    *why = PLACEMENT_NOT_NO_TARGET;
    for (uint32_t i = 0; i < r->view->site_count; i++) {
        const struct placement_site *s = &r->view->sites[i];
        if (s->life != PLACEMENT_UP || !s->takes_replicas || has_seat(g, i) || !seat_fits(r, g, i, as)) continue;
        unsigned crowding = seat_crowding(r, g, without, i);
        if (crowding > crowding_max) continue;
        if (r->desks[i].arrivals >= r->options->arrivals_max) {
            *why = PLACEMENT_NOT_NODE_LIMIT;
            continue;
        }
        bool better = best == PLACEMENT_NO_SITE || crowding < best_crowding ||
                      (crowding == best_crowding && fullness(r, i) < fullness(r, best));
        if (!better) continue;
        best = i;
        best_crowding = crowding;
    }
    return best;
}

static double leading(const struct round *r, uint32_t site)
{
    return round_beyond(r, site, DIM_LOAD) + round_beyond(r, site, DIM_LEADERS);
}

unsigned seat_heir(const struct round *r, const struct placement_range *g)
{
    unsigned best = PLACEMENT_NOBODY;
    for (unsigned i = 0; i < g->seats; i++) {
        if (i == g->leader || !seat_may_lead(r, g, i)) continue;
        bool well = seat_leads_well(r, g, i), best_well = best != PLACEMENT_NOBODY && seat_leads_well(r, g, best);
        bool freer = best == PLACEMENT_NOBODY || leading(r, g->nodes[i]) < leading(r, g->nodes[best]);
        if (best == PLACEMENT_NOBODY || (well && !best_well) || (well == best_well && freer)) best = i;
    }
    return best;
}
