/* Damage to what is durable, found by a server when it starts again. */
#ifndef QUORATE_TESTS_SIM_ROT_H
#define QUORATE_TESTS_SIM_ROT_H

#include "sim/cluster.h"

void rot_strike(struct world *w, struct process *p); /* which is down */
/* Ranges that a host has, by id: as many replicas of others, split off since, do not stand for them. */
struct rot_ranges {
    size_t count;
    uint64_t ids[];
};
struct rot_ranges *rot_ranges_of(struct world *w, const struct process *p); /* which is up; the world keeps them */
/* It is up, has all that it had before and that anybody still counts on it for, and leaders have mended them all. */
bool rot_mended(const struct process *p, const struct rot_ranges *before);

#endif
