/* What clients do: boot the cluster, then registers and money, then the final audit. */
#ifndef QUORATE_TESTS_SIM_WORKLOAD_H
#define QUORATE_TESTS_SIM_WORKLOAD_H

#include "sim/check.h"
#include "sim/cluster.h"

struct workload;
struct workload *workload_new(struct cluster *c, struct history *h);
void workload_free(struct workload *l);  /* the cluster's clients must be down */
void workload_start(struct workload *l); /* initialises the cluster, makes the keyspace, funds the banks, then works */
bool workload_booted(const struct workload *l);
void workload_drain(struct workload *l); /* nothing new; what has an id is tried again until it is answered */
bool workload_idle(const struct workload *l);
void workload_audit(struct workload *l); /* reads everything once; idle when done. After a drain. */
struct backup_load *workload_backups(const struct workload *l); /* NULL: not in this run */
uint64_t workload_answers(const struct workload *l);
void workload_check(struct workload *l);                  /* the checkers over the whole history */
void workload_describe_pending(const struct workload *l); /* to the trace */

#endif
