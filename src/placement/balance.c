/* Nodes towards their goals, first by what they hold, then by what they lead. A step is taken only if the giver, after it,
 * is still no nearer to running short than the taker: so the sum of the distances falls with every step, and it ends. */
#include "base/assert.h"
#include "placement/plan_int.h"

#define TRIES_MAX 4096u /* ranges for which no better node was found, per round: looking costs a walk over the nodes */

static uint64_t slack(const struct round *r, uint64_t goal)
{
    return goal / 100 * r->options->slack_percent;
}

/* Distance from a goal, which may be on either side of it. */
static int64_t beyond(uint64_t have, uint64_t goal)
{
    return (int64_t)have - (int64_t)goal;
}

static bool helps(const struct round *r, uint64_t from_has, uint64_t from_goal, uint64_t to_has, uint64_t to_goal,
                  uint64_t what)
{
    bool worth = from_has > from_goal + slack(r, from_goal) || to_has + slack(r, to_goal) < to_goal;
    return worth && beyond(from_has, from_goal) - (int64_t)what >= beyond(to_has, to_goal) + (int64_t)what;
}

static bool unequal(const struct round *r, bool leads)
{
    for (size_t i = 0; i < r->view->site_count; i++) {
        const struct desk *d = &r->desks[i];
        uint64_t has = leads ? d->leads : d->weight, goal = leads ? d->leads_goal : d->goal;
        if (has > goal + slack(r, goal) || has + slack(r, goal) < goal) return true;
    }
    return false;
}

/* True: there was something to gain, but nowhere to go. */
static bool try_move(struct round *r, size_t range)
{
    const struct placement_range *g = &r->view->ranges[range];
    bool looked = false;
    for (unsigned i = 0; i < g->seats; i++) {
        const struct desk *from = &r->desks[g->nodes[i]];
        if (i == g->leader || !seat_is_voter(g, i) || from->weight <= from->goal ||
            from->departures >= r->options->departures_max)
            continue;
        enum placement_reason not ;
        uint32_t to = seat_target(r, g, i, seat_crowding(r, g, i, g->nodes[i]), PLACEMENT_FIT_VOTER, &not );
        looked = true;
        if (to == PLACEMENT_NO_SITE) continue;
        const struct desk *d = &r->desks[to];
        if (!helps(r, from->weight, from->goal, d->weight, d->goal, round_weight(r, g))) continue;
        round_emit(r, PLACEMENT_REPLACE, PLACEMENT_WHY_WEIGHT, range, g->nodes[i], to);
        return false;
    }
    return looked;
}

static bool settled(const struct round *r, const struct placement_range *g)
{
    const struct placement_rules *rules = &r->view->rules[g->rules];
    for (unsigned i = 0; i < g->seats; i++) {
        if (r->view->sites[g->nodes[i]].life != PLACEMENT_UP) return false;
    }
    return seat_voters(g) == rules->voters && g->seats == rules->voters + rules->learners && g->leader < g->seats;
}

static void balance_weight(struct round *r)
{
    const struct placement_view *v = r->view;
    size_t at = (size_t)(v->round * 7919 % v->range_count);
    unsigned tries = 0;
    for (size_t i = 0; i < v->range_count && tries < TRIES_MAX && !round_full(r); i++) {
        if (!round_touched(r, at) && settled(r, &v->ranges[at])) tries += try_move(r, at);
        if (++at == v->range_count) at = 0;
    }
}

static void try_transfer(struct round *r, size_t range)
{
    const struct placement_range *g = &r->view->ranges[range];
    const struct desk *from = &r->desks[g->nodes[g->leader]];
    if (from->leads <= from->leads_goal) return;
    unsigned best = PLACEMENT_NOBODY;
    int64_t best_beyond = 0;
    for (unsigned i = 0; i < g->seats; i++) {
        const struct desk *d = &r->desks[g->nodes[i]];
        if (i == g->leader || !seat_may_lead(r, g, i)) continue;
        if (seat_leads_well(r, g, g->leader) && !seat_leads_well(r, g, i)) continue;
        if (!helps(r, from->leads, from->leads_goal, d->leads, d->leads_goal, round_leads(r, g))) continue;
        if (best != PLACEMENT_NOBODY && beyond(d->leads, d->leads_goal) >= best_beyond) continue;
        best = i;
        best_beyond = beyond(d->leads, d->leads_goal);
    }
    if (best == PLACEMENT_NOBODY) return;
    round_emit(r, PLACEMENT_TRANSFER, PLACEMENT_WHY_LEADERS, range, g->nodes[g->leader], g->nodes[best]);
}

static void balance_leaders(struct round *r)
{
    const struct placement_view *v = r->view;
    size_t at = (size_t)(v->round * 104729 % v->range_count);
    for (size_t i = 0; i < v->range_count && !round_full(r); i++) {
        if (!round_touched(r, at) && settled(r, &v->ranges[at])) try_transfer(r, at);
        if (++at == v->range_count) at = 0;
    }
}

void balance_pass(struct round *r)
{
    if (r->view->range_count == 0) return;
    bool weight = unequal(r, false), leads = unequal(r, true);
    if (weight && r->options->pause_balance) {
        round_note(r, PLACEMENT_NOT_PAUSED, r->view->range_count);
    } else if (weight) {
        balance_weight(r);
    }
    if (leads && r->options->pause_leaders) {
        round_note(r, PLACEMENT_NOT_PAUSED, r->view->range_count);
    } else if (leads) {
        balance_leaders(r);
    }
}
