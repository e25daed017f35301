/* An admin who changes where things are while they break: replicas moved at random, nodes decommissioned and taken back,
 * operators cancelled, schedulers switched. In the liveness phase everything is taken back, and what runs has to end. */
#ifndef QUORATE_TESTS_SIM_ADMIN_H
#define QUORATE_TESTS_SIM_ADMIN_H

#include "sim/cluster.h"

struct admin;
struct admin *admin_new(struct cluster *c);
void admin_free(struct admin *a);
void admin_start(struct admin *a);
/* Nothing new is begun; nodes are taken back. */
void admin_heal(struct admin *a);
/* No operator is under way, as the metadata leader has said since admin_heal. */
bool admin_settled(struct admin *a);

#endif
