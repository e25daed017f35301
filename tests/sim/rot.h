/* Damage to what is durable, found by a server when it starts again. */
#ifndef QUORATE_TESTS_SIM_ROT_H
#define QUORATE_TESTS_SIM_ROT_H

#include "sim/cluster.h"

void rot_strike(struct world *w, struct process *p); /* which is down */
/* It is up, has all replicas that it had before, and leaders have mended them all. */
bool rot_mended(const struct process *p, size_t replicas_before);

#endif
