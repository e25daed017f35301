/* Private to the faults: faults.c (kinds, crashes, pauses, clocks), faults_net.c, faults_disk.c. */
#ifndef QUORATE_TESTS_SIM_FAULTS_INT_H
#define QUORATE_TESTS_SIM_FAULTS_INT_H

#include "sim/faults.h"

struct faults {
    struct cluster *cluster;
    struct world *world;
    bool active;
    uint64_t count;
    unsigned partition; /* number of the present one; its end looks whether it still is */
    struct rotten {
        struct process *p;               /* NULL: nothing has rotted yet */
        const struct rot_ranges *before; /* that it had */
    } rotten[2];                         /* of the members, of the nodes: one of a kind at a time is not sound */
    unsigned splits;                     /* asked for */
    uint64_t lag_until_ns;               /* meanwhile nothing else befalls the network */
};

/* faults.c */
struct process *fault_any_server(struct faults *f);
struct process *fault_leader(struct faults *f); /* of some range if there is one, else any server */
struct process *fault_victim(struct faults *f); /* either of them */

/* Whether p may become the one of its kind that is not sound; and that it is, now. */
bool fault_may_rot(struct faults *f, const struct process *p);
void fault_note_rot(struct faults *f, struct process *p);
/* After a while its leaderships go to others, soon after that back to it, and so on. */
void fault_bounce(struct faults *f, struct process *p, uint64_t after_ns);

/* faults_net.c */
void fault_partition(struct faults *f);
void fault_lag(struct faults *f);
void fault_reset(struct faults *f);
void fault_heal_network(struct faults *f);

/* faults_ranges.c */
void fault_split(struct faults *f);
void fault_merge(struct faults *f);

/* faults_disk.c */
void fault_slow_disk(struct faults *f);
void fault_full_disk(struct faults *f);
void fault_failing_disk(struct faults *f);
void fault_table_rot(struct faults *f);
void fault_disk_freed(struct world *w, void *ctx); /* ctx: the process */

#endif
