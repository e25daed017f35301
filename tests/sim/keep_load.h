/* Registered snapshots under faults: registered, extended, dropped at random; other workers read as of them. What must be true: while one
 * lives, no read as of its timestamp or a later one is answered TOO_OLD; that such reads are complete is for check_reads.c. */
#ifndef QUORATE_TESTS_SIM_KEEP_LOAD_H
#define QUORATE_TESTS_SIM_KEEP_LOAD_H

#include "sim/check.h"
#include "sim/cluster.h"

struct keep_load;
struct keep_load *keep_load_new(struct cluster *c, const struct commits *commits);
void keep_load_free(struct keep_load *l); /* the cluster's clients must be down */
void keep_load_start(struct keep_load *l);
void keep_load_drain(struct keep_load *l);
uint64_t keep_load_ts(struct keep_load *l); /* of one that lives, as far as is known; 0: none */
void keep_load_too_old(struct keep_load *l, uint64_t ts, uint64_t call_ns); /* what a read was answered */

#endif
