/* What is wrong with single ranges: one look at each, then the worst first. */
#include <limits.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "placement/plan_int.h"

/* In the order of urgency. */
enum concern { LAST_QUORUM, DEAD, FEW, LEAD, LEAVING, MISPLACED, TOGETHER, MANY, CONCERNS };

#define CROWDING_OF_A_STRANGER 10000u /* a voter that the rules do not want goes before any other... */
#define CROWDING_OF_THE_ABSENT                                                                                         \
    20000u /* ...but one that does not answer: without another the rest might be no majority */

struct todo {
    uint32_t *ranges;
    size_t count, max;
    bool more; /* did not fit: a later round finds them */
};

static unsigned majority(const struct placement_range *g)
{
    return seat_voters(g) / 2 + 1;
}

/* A learner that nobody asked for, left by a move that did not end: it may take the place of a voter, or go. Rather one where the
 * rules want none. */
static unsigned spare_learner(const struct round *r, const struct placement_range *g)
{
    unsigned learners = g->seats - seat_voters(g), best = PLACEMENT_NOBODY;
    if (learners <= r->view->rules[g->rules].learners) return PLACEMENT_NOBODY;
    unsigned best_points = 0;
    for (unsigned i = 0; i < g->seats; i++) {
        if (seat_is_voter(g, i)) continue;
        unsigned points = r->view->sites[g->nodes[i]].life == PLACEMENT_UP ? 3 : 1;
        if (!seat_fits(r, g, g->nodes[i], PLACEMENT_FIT_LEARNER)) points++;
        if (points <= best_points) continue;
        best = i;
        best_points = points;
    }
    return best;
}

/* The site of one that may become a voter; PLACEMENT_NO_SITE: none. */
static uint32_t spare_site(const struct round *r, const struct placement_range *g)
{
    unsigned seat = spare_learner(r, g);
    if (seat == PLACEMENT_NOBODY || r->view->sites[g->nodes[seat]].life != PLACEMENT_UP) return PLACEMENT_NO_SITE;
    return seat_fits(r, g, g->nodes[seat], PLACEMENT_FIT_VOTER) ? g->nodes[seat] : PLACEMENT_NO_SITE;
}

/* Voters that answer now. */
static unsigned answering(const struct round *r, const struct placement_range *g)
{
    unsigned n = 0;
    for (unsigned i = 0; i < g->seats; i++) n += seat_is_voter(g, i) && seat_answers(r, g, i);
    return n;
}

static unsigned first_seat(const struct round *r, const struct placement_range *g, enum placement_life life)
{
    for (unsigned i = 0; i < g->seats; i++) {
        if (r->view->sites[g->nodes[i]].life == life) return i;
    }
    return PLACEMENT_NOBODY;
}

static unsigned most_crowded(const struct round *r, const struct placement_range *g)
{
    unsigned worst = PLACEMENT_NOBODY, worst_crowding = 0;
    for (unsigned i = 0; i < g->seats; i++) {
        unsigned crowding = seat_crowding(r, g, i, g->nodes[i]);
        if (i == g->leader || crowding <= worst_crowding) continue;
        worst = i;
        worst_crowding = crowding;
    }
    return worst;
}

/* A seat on a site that the keyspace's rules do not name for it. */
static unsigned misplaced(const struct round *r, const struct placement_range *g)
{
    for (unsigned i = 0; i < g->seats && r->view->rules[g->rules].fit != NULL; i++) {
        enum placement_fit as = seat_is_voter(g, i) ? PLACEMENT_FIT_VOTER : PLACEMENT_FIT_LEARNER;
        if (!seat_fits(r, g, g->nodes[i], as)) return i;
    }
    return PLACEMENT_NOBODY;
}

/* It leads where the rules do not like it, and another could lead where they do. */
static bool leads_badly(const struct round *r, const struct placement_range *g)
{
    if (g->leader >= g->seats || seat_fits(r, g, g->nodes[g->leader], PLACEMENT_FIT_LEADER)) return false;
    for (unsigned i = 0; i < g->seats; i++) {
        if (seat_leads_well(r, g, i)) return true;
    }
    return false;
}

/* Does the leader sit where none should, though it could hand over? A dead one's followers elect by themselves. */
static bool misled(const struct round *r, const struct placement_range *g)
{
    if (leads_badly(r, g)) return true;
    if (g->leader >= g->seats || seat_may_lead(r, g, g->leader)) return false;
    return seat_answers(r, g, g->leader);
}

/* The most urgent thing that is wrong; CONCERNS when nothing is. Keeps the plan's counts. */
static enum concern look(const struct round *r, const struct placement_range *g)
{
    struct placement_plan *p = r->plan;
    const struct placement_rules *rules = &r->view->rules[g->rules];
    unsigned need = majority(g), have = answering(r, g), voters = seat_voters(g), learners = g->seats - voters;
    unsigned spare = have < need ? 0 : have - need;
    if (spare < p->failures_borne) p->failures_borne = spare;
    if (have < need) p->ranges_without_quorum++;
    if (have < rules->voters) p->ranges_short++;
    if (g->busy) return CONCERNS;
    if (first_seat(r, g, PLACEMENT_DEAD) != PLACEMENT_NOBODY) return spare == 0 ? LAST_QUORUM : DEAD;
    if (voters < rules->voters || learners < rules->learners)
        return spare == 0 && rules->voters > 1 ? LAST_QUORUM : FEW;
    if (misled(r, g)) return LEAD;
    if (first_seat(r, g, PLACEMENT_LEAVING) != PLACEMENT_NOBODY) return LEAVING;
    if (voters > rules->voters || learners > rules->learners) return MANY;
    if (misplaced(r, g) != PLACEMENT_NOBODY) return MISPLACED;
    return most_crowded(r, g) != PLACEMENT_NOBODY ? TOGETHER : CONCERNS;
}

/* --- what is done --- */

static void replace(struct round *r, size_t range, unsigned seat, unsigned crowding_max, enum placement_reason why)
{
    const struct placement_range *g = &r->view->ranges[range];
    enum placement_reason not ;
    uint32_t from = g->nodes[seat];
    if (r->desks[from].departures >= r->options->departures_max && seat_lives(r, g, seat)) {
        round_note(r, PLACEMENT_NOT_NODE_LIMIT, range);
        return;
    }
    if (!seat_is_voter(
            g, seat)) { /* one that lags behind for ever is no loss; where learners are asked for, another comes */
        round_emit(r, PLACEMENT_REMOVE, why, range, from, PLACEMENT_NO_SITE);
        return;
    }
    uint32_t to = spare_site(r, g);
    if (to == PLACEMENT_NO_SITE) to = seat_target(r, g, seat, crowding_max, PLACEMENT_FIT_VOTER, &not );
    if (to == PLACEMENT_NO_SITE && why == PLACEMENT_WHY_LEAVING && MUTANT(leaves_without_room)) {
        round_emit(r, PLACEMENT_REMOVE, why, range, from, PLACEMENT_NO_SITE);
    } else if (to == PLACEMENT_NO_SITE) {
        round_note(r, not, range);
    } else {
        round_emit(r, PLACEMENT_REPLACE, why, range, from, to);
    }
}

static void mend_dead(struct round *r, size_t range, bool mass_silence)
{
    const struct placement_range *g = &r->view->ranges[range];
    const struct placement_rules *rules = &r->view->rules[g->rules];
    unsigned seat = first_seat(r, g, PLACEMENT_DEAD);
    if (answering(r, g) < majority(g)) {
        round_note(r, PLACEMENT_NOT_NO_QUORUM, range);
    } else if (mass_silence) {
        round_note(r, PLACEMENT_NOT_MASS_SILENCE, range);
    } else if (seat_voters(g) > rules->voters && seat_is_voter(g, seat)) {
        round_emit(r, PLACEMENT_REMOVE, PLACEMENT_WHY_DEAD, range, g->nodes[seat], PLACEMENT_NO_SITE);
    } else {
        replace(r, range, seat, UINT_MAX, PLACEMENT_WHY_DEAD);
    }
}

static void mend_few(struct round *r, size_t range)
{
    const struct placement_range *g = &r->view->ranges[range];
    enum placement_reason not ;
    bool votes = seat_voters(g) < r->view->rules[g->rules].voters;
    uint32_t to = votes ? spare_site(r, g) : PLACEMENT_NO_SITE;
    enum placement_fit as = votes ? PLACEMENT_FIT_VOTER : PLACEMENT_FIT_LEARNER;
    if (to == PLACEMENT_NO_SITE) to = seat_target(r, g, PLACEMENT_NOBODY, UINT_MAX, as, &not );
    if (to == PLACEMENT_NO_SITE) {
        round_note(r, not, range);
    } else {
        round_emit(r, votes ? PLACEMENT_ADD : PLACEMENT_LEARNER, PLACEMENT_WHY_FEW, range, PLACEMENT_NO_SITE, to);
    }
}

static bool fuller(const struct round *r, uint32_t a, uint32_t b)
{
    return round_beyond(r, a, DIM_BYTES) + round_beyond(r, a, DIM_SEATS) >
           round_beyond(r, b, DIM_BYTES) + round_beyond(r, b, DIM_SEATS);
}

/* A learner that nobody asked for; else a voter that does not answer, then the one whose going leaves the others furthest apart; among
 * equals the one on the fullest node; never the leader. */
static void mend_many(struct round *r, size_t range)
{
    const struct placement_range *g = &r->view->ranges[range];
    unsigned worst = spare_learner(r, g), worst_crowding = 0;
    for (unsigned i = 0; i < g->seats && spare_learner(r, g) == PLACEMENT_NOBODY; i++) {
        unsigned crowding = seat_crowding(r, g, i, g->nodes[i]);
        if (i == g->leader || !seat_is_voter(g, i)) continue;
        if (!seat_fits(r, g, g->nodes[i], PLACEMENT_FIT_VOTER)) crowding += CROWDING_OF_A_STRANGER;
        if (!seat_answers(r, g, i)) crowding += CROWDING_OF_THE_ABSENT;
        bool better = worst == PLACEMENT_NOBODY || crowding > worst_crowding ||
                      (crowding == worst_crowding && fuller(r, g->nodes[i], g->nodes[worst]));
        if (!better) continue;
        worst = i;
        worst_crowding = crowding;
    }
    if (worst == PLACEMENT_NOBODY) return;
    round_emit(r, PLACEMENT_REMOVE, PLACEMENT_WHY_MANY, range, g->nodes[worst], PLACEMENT_NO_SITE);
}

static void mend_lead(struct round *r, size_t range)
{
    const struct placement_range *g = &r->view->ranges[range];
    unsigned heir = seat_heir(r, g);
    if (heir == PLACEMENT_NOBODY) {
        round_note(r, PLACEMENT_NOT_NO_HEIR, range);
    } else {
        enum placement_reason why = seat_may_lead(r, g, g->leader) ? PLACEMENT_WHY_RULES : PLACEMENT_WHY_MAY_NOT_LEAD;
        round_emit(r, PLACEMENT_TRANSFER, why, range, g->nodes[g->leader], g->nodes[heir]);
    }
}

/* A learner goes only when there is a better place: then it is one too few. */
static void mend_misplaced(struct round *r, size_t range)
{
    const struct placement_range *g = &r->view->ranges[range];
    unsigned seat = misplaced(r, g);
    enum placement_reason not ;
    if (seat_is_voter(g, seat)) {
        replace(r, range, seat, UINT_MAX, PLACEMENT_WHY_RULES);
    } else if (seat_target(r, g, seat, UINT_MAX, PLACEMENT_FIT_LEARNER, &not ) == PLACEMENT_NO_SITE) {
        round_note(r, not, range);
    } else {
        round_emit(r, PLACEMENT_REMOVE, PLACEMENT_WHY_RULES, range, g->nodes[seat], PLACEMENT_NO_SITE);
    }
}

/* Only to a site that is less crowded. That there is none is no news: the labels are as they are. */
static void mend_together(struct round *r, size_t range)
{
    const struct placement_range *g = &r->view->ranges[range];
    unsigned seat = most_crowded(r, g);
    unsigned now = seat_crowding(r, g, seat, g->nodes[seat]);
    enum placement_reason not ;
    enum placement_fit as = seat_is_voter(g, seat) ? PLACEMENT_FIT_VOTER : PLACEMENT_FIT_LEARNER;
    if (seat_target(r, g, seat, now - 1, as, &not ) == PLACEMENT_NO_SITE && not == PLACEMENT_NOT_NO_TARGET) return;
    replace(r, range, seat, now - 1, PLACEMENT_WHY_TOGETHER);
}

static void mend(struct round *r, enum concern c, size_t range, bool mass_silence)
{
    const struct placement_range *g = &r->view->ranges[range];
    switch (c) {
    case LAST_QUORUM:
    case DEAD:
        if (first_seat(r, g, PLACEMENT_DEAD) != PLACEMENT_NOBODY) {
            mend_dead(r, range, mass_silence);
        } else {
            mend_few(r, range);
        }
        return;
    case FEW: mend_few(r, range); return;
    case LEAD: mend_lead(r, range); return;
    case LEAVING: replace(r, range, first_seat(r, g, PLACEMENT_LEAVING), UINT_MAX, PLACEMENT_WHY_LEAVING); return;
    case MISPLACED: mend_misplaced(r, range); return;
    case TOGETHER: mend_together(r, range); return;
    case MANY: mend_many(r, range); return;
    case CONCERNS: break;
    }
    BUG("concern");
}

/* Half of the nodes that hold anything do not answer: it is more likely that we are cut off than that they died at once. */
static bool mass_silent(const struct round *r)
{
    size_t silent = 0, all = 0;
    for (size_t i = 0; i < r->view->site_count; i++) {
        enum placement_life life = r->view->sites[i].life;
        if (r->desks[i].has[DIM_SEATS] == 0 || r->view->sites[i].given_up) continue;
        all++;
        silent += life == PLACEMENT_SILENT || life == PLACEMENT_DEAD;
    }
    return silent * 2 >= all && silent > 1;
}

void repair_pass(struct round *r)
{
    const struct placement_view *v = r->view;
    struct todo todo[CONCERNS];
    size_t max = r->options->ops_max * 4u;
    bool mass_silence = mass_silent(r);
    for (int c = 0; c < CONCERNS; c++) {
        todo[c] = (struct todo){.ranges = arena_alloc(&r->arena, (max + 1) * sizeof(uint32_t)), .max = max};
    }
    size_t at = v->range_count == 0 ? 0 : (size_t)(v->round * max % v->range_count);
    for (size_t i = 0; i < v->range_count; i++) {
        enum concern c = look(r, &v->ranges[at]);
        if (c != CONCERNS) {
            if (todo[c].count < todo[c].max)
                todo[c].ranges[todo[c].count++] = (uint32_t)at;
            else
                todo[c].more = true;
        }
        if (++at == v->range_count) at = 0;
    }
    for (int c = 0; c < CONCERNS; c++) {
        bool leads = c == LEAD;
        for (size_t i = 0; i < todo[c].count; i++) {
            if (leads ? r->options->pause_leaders : r->options->pause_repair) {
                round_note(r, PLACEMENT_NOT_PAUSED, todo[c].ranges[i]);
            } else if (round_full(r)) {
                round_note(r, PLACEMENT_NOT_ROUND_LIMIT, todo[c].ranges[i]);
            } else {
                mend(r, (enum concern)c, todo[c].ranges[i], mass_silence);
            }
        }
        if (todo[c].more) round_note(r, PLACEMENT_NOT_ROUND_LIMIT, v->range_count);
    }
}
