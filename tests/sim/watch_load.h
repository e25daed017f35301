/* Watches under faults: followers that read a snapshot and then keep a copy of a span by what a watch tells, through whatever breaks, now
 * and then over another router. What must be true: changes come in the order of timestamps, above what was told before and up to what a
 * batch says, and the copy is at any timestamp what a snapshot read at it finds: nothing lost, nothing twice, no progress told ahead. */
#ifndef QUORATE_TESTS_SIM_WATCH_LOAD_H
#define QUORATE_TESTS_SIM_WATCH_LOAD_H

#include "sim/cluster.h"

struct watch_load;
struct watch_load *watch_load_new(struct cluster *c);
void watch_load_free(struct watch_load *l); /* the cluster's clients must be down */
void watch_load_router_died(struct watch_load *l);
void watch_load_start(struct watch_load *l);
void watch_load_drain(
    struct watch_load *l); /* every follower comes to where the cluster is, compares once more, and rests */
bool watch_load_idle(const struct watch_load *l);
void watch_load_describe(const struct watch_load *l);

#endif
