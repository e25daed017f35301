/* A cluster that carries out a plan at once: for the scheduler's tests and its scale benchmark. */
#ifndef QUORATE_TESTS_PLACEMENT_WORLD_H
#define QUORATE_TESTS_PLACEMENT_WORLD_H

#include "base/prng.h"
#include "placement/plan.h"

struct placement_world {
    struct placement_site *sites;
    size_t site_count;
    struct placement_rules rules;
    struct placement_range *ranges;
    size_t range_count, range_capacity;
    struct placement_options options;
    struct placement_plan plan;
    uint64_t round, next_id;
    uint64_t done[PLACEMENT_MERGE + 1]; /* operators carried out, by kind */
};

void placement_world_init(struct placement_world *w, size_t sites, size_t range_capacity);
void placement_world_free(struct placement_world *w);
/* `count` ranges behind those that are there, each on `voters` different nodes drawn from the first `among`. */
void placement_world_add(struct placement_world *w, struct prng *rng, size_t count, size_t among, uint64_t bytes_max);
struct placement_view placement_world_view(const struct placement_world *w);
/* One round; its operators are checked against what they may do, and carried out. Returns how many. */
size_t placement_world_round(struct placement_world *w);
/* Rounds until one does nothing; how many it took. Fails beyond max. */
size_t placement_world_settle(struct placement_world *w, size_t max);
/* Largest distance of a living node from the mean of replicas, of leaders; in ranges. */
double placement_world_spread(const struct placement_world *w, bool leaders);

#endif
