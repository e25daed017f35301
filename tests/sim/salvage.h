/* The disaster behind some runs: two nodes are given up for ever, and unsafe-recover makes what is left go on. All replicas had
 * everything, so nothing may be missing afterwards; the nodes come back with all their data, and must be let in nowhere. */
#ifndef QUORATE_TESTS_SIM_SALVAGE_H
#define QUORATE_TESTS_SIM_SALVAGE_H

#include "sim/cluster.h"

struct salvage;
struct salvage *salvage_new(struct cluster *c); /* strikes at once; NULL: not in this run */
void salvage_free(struct salvage *s);
bool salvage_recovered(const struct salvage *s); /* every range has a leader again */
bool salvage_begun(const struct salvage *s);     /* false: the two were no quorum of any range */
void salvage_return(struct salvage *s);          /* the nodes start with what they had, given up or not */
bool salvage_refused(const struct salvage *s);   /* they have been told, and have stopped */

#endif
