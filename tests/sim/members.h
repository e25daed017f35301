/* The metadata service's own members come and go while everything breaks: in some runs two more processes stand by, which an admin adds,
 * members are taken out, come back with an empty disk, lose their disks and are started again as before, the leadership is handed over. In the liveness phase all goals are reached. */
#ifndef QUORATE_TESTS_SIM_MEMBERS_H
#define QUORATE_TESTS_SIM_MEMBERS_H

#include "sim/cluster.h"

struct members;
/* Whether this seed's members change: by the seed alone, so that what else is drawn stays as it is. */
bool members_wanted(uint64_t seed);
struct members *members_new(struct cluster *c);
void members_free(struct members *m);
void members_start(struct members *m);
void members_heal(struct members *m);
/* Who runs votes, who was taken out has ended, and no change is under way. */
bool members_settled(const struct members *m);

#endif
