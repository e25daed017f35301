/* Nodes towards their goals, first by what they hold, then by what they lead; each in two dimensions at once: bytes and
 * replicas, load and leaderships. Distances are measured in what a node has in the mean, and the sum of their squares falls with
 * every step by more than a threshold: so it ends, and nothing goes to and fro. Steps are looked for between any two nodes:
 * where one range is so hot that its node is beyond its goal anyhow, the others are made equal among themselves. */
#include "base/assert.h"
#include "placement/plan_int.h"

#define TRIES_MAX 4096u /* ranges for which no better node was found, per round: looking costs a walk over the nodes */

static double slack(const struct round *r)
{
    return r->options->slack_percent / 100.0;
}

/* By how much the sum of squares falls, halved, when so much goes from one to the other. *units: what goes. */
static double gain(const struct round *r, uint32_t from, uint32_t to, enum dimension d, uint64_t what, double *units)
{
    double u = (double)what / r->unit[d];
    *units += u;
    return u * (round_beyond(r, from, d) - round_beyond(r, to, d) - u);
}

/* What is gained beyond what is not worth the while: between nodes that are within slack of each other nothing moves. */
static double move_gain(const struct round *r, const struct placement_range *g, uint32_t from, uint32_t to)
{
    double units = 0, won = gain(r, from, to, DIM_BYTES, g->bytes, &units) + gain(r, from, to, DIM_SEATS, 1, &units);
    return won - slack(r) * units;
}

static double transfer_gain(const struct round *r, const struct placement_range *g, uint32_t from, uint32_t to)
{
    double units = 0, won = gain(r, from, to, DIM_LOAD, g->load, &units) + gain(r, from, to, DIM_LEADERS, 1, &units);
    return won - slack(r) * units;
}

static bool unequal(const struct round *r, enum dimension first)
{
    for (uint32_t i = 0; i < r->view->site_count; i++) {
        for (unsigned k = 0; k < 2; k++) {
            double beyond = round_beyond(r, i, (enum dimension)(first + k));
            if (beyond > slack(r) / 2 || beyond < -slack(r) / 2) return true;
        }
    }
    return false;
}

/* True: there was something to gain, but nowhere to go. */
static bool try_move(struct round *r, size_t range)
{
    const struct placement_range *g = &r->view->ranges[range];
    bool looked = false;
    for (unsigned i = 0; i < g->seats; i++) {
        uint32_t from = g->nodes[i];
        bool full = round_beyond(r, from, DIM_BYTES) + round_beyond(r, from, DIM_SEATS) > 0;
        if (i == g->leader || !seat_is_voter(g, i) || !full || r->desks[from].departures >= r->options->departures_max)
            continue;
        enum placement_reason not ;
        uint32_t to = seat_target(r, g, i, seat_crowding(r, g, i, g->nodes[i]), PLACEMENT_FIT_VOTER, &not );
        looked = true;
        if (to == PLACEMENT_NO_SITE) continue;
        if (move_gain(r, g, from, to) <= 0) continue;
        round_emit(r, PLACEMENT_REPLACE, PLACEMENT_WHY_WEIGHT, range, from, to);
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
    uint32_t from = g->nodes[g->leader];
    unsigned best = PLACEMENT_NOBODY;
    double best_gain = 0;
    for (unsigned i = 0; i < g->seats; i++) {
        if (i == g->leader || !seat_may_lead(r, g, i)) continue;
        if (seat_leads_well(r, g, g->leader) && !seat_leads_well(r, g, i)) continue;
        double won = transfer_gain(r, g, from, g->nodes[i]);
        if (won <= best_gain) continue;
        best = i;
        best_gain = won;
    }
    if (best == PLACEMENT_NOBODY) return;
    round_emit(r, PLACEMENT_TRANSFER, PLACEMENT_WHY_LEADERS, range, from, g->nodes[best]);
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
    bool weight = unequal(r, DIM_BYTES), leads = unequal(r, DIM_LOAD);
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
