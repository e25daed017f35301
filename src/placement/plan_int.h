/* Private to placement/: one round's working state. */
#ifndef QUORATE_PLACEMENT_PLAN_INT_H
#define QUORATE_PLACEMENT_PLAN_INT_H

#include "base/arena.h"
#include "placement/plan.h"

/* What a site has, as it will be when the operators of this round have been carried out. */
enum dimension { DIM_BYTES, DIM_SEATS, DIM_LOAD, DIM_LEADERS, DIMS };
struct desk {
    uint64_t has[DIMS], goal[DIMS];
    unsigned arrivals, departures;
    unsigned labels[PLACEMENT_LEVELS]; /* numbers, equal iff the labels are; 0: not said */
};

struct round {
    const struct placement_view *view;
    const struct placement_options *options;
    struct placement_plan *plan;
    struct arena arena;
    struct desk *desks;     /* like the view's sites */
    double unit[DIMS];      /* what a node has in the mean, or what makes a difference: distances are measured in it */
    uint64_t load, leading; /* of all ranges; sites that may lead */
    uint8_t *touched;       /* bit set over the ranges: this round has an operator for it */
};

/* plan.c */
bool round_full(const struct round *r);
bool round_touched(const struct round *r, size_t range);
/* Adds the operator and keeps the desks' accounts. */
void round_emit(struct round *r, enum placement_kind kind, enum placement_reason why, size_t range, uint32_t from,
                uint32_t to);
void round_note(struct round *r, enum placement_reason why, size_t range);
/* How far beyond its goal a site is in a dimension; 1: by as much as a node has in the mean. Below: negative. */
double round_beyond(const struct round *r, uint32_t site, enum dimension d);

/* seat.c: questions about the seats of one range */
bool seat_is_voter(const struct placement_range *g, unsigned seat);
unsigned seat_voters(const struct placement_range *g);
bool seat_lives(const struct round *r, const struct placement_range *g, unsigned seat); /* answers, or may again soon */
bool seat_answers(const struct round *r, const struct placement_range *g, unsigned seat); /* now */
bool seat_may_lead(const struct round *r, const struct placement_range *g, unsigned seat);
bool seat_fits(const struct round *r, const struct placement_range *g, uint32_t site, enum placement_fit as);
/* It may lead, and the keyspace's rules like it to. */
bool seat_leads_well(const struct round *r, const struct placement_range *g, unsigned seat);
/* How badly `site` would sit beside the seats of g without `without`: 0 is best; a shared region weighs more than all
 * shared zones, a shared zone more than all shared hosts. */
unsigned seat_crowding(const struct round *r, const struct placement_range *g, unsigned without, uint32_t site);
/* The best site for a new replica of g in place of seat `without` (PLACEMENT_NOBODY: in addition), at most `crowding_max`
 * crowded: least crowded, then furthest below its goal. PLACEMENT_NO_SITE: none, and *why says why not. */
uint32_t seat_target(const struct round *r, const struct placement_range *g, unsigned without, unsigned crowding_max,
                     enum placement_fit as, enum placement_reason *why);
unsigned seat_heir(const struct round *r, const struct placement_range *g); /* best seat to lead; PLACEMENT_NOBODY */

void repair_pass(struct round *r);  /* repair.c: concerns 1 to 6 */
void balance_pass(struct round *r); /* balance.c: 7 and 8 */
void sizes_pass(struct round *r);   /* sizes.c: 9 */

#endif
