/* Which tables to compact next: a pure function of a version and the shape wanted.
 *
 * Leveled: level 0 holds a run per flush, and PICK_L0_RUNS of them are merged with what they overlap in level 1; each
 * deeper level is one run with a target PICK_RATIO times that of the level above, and gives one file at a time, with what
 * it overlaps below. The level most above its target goes first.
 *
 * Lazy (Dayan, Idreos: Dostoevsky, 2018): a level that is not the last holds up to PICK_RATIO runs (level 0: PICK_L0_RUNS),
 * which are then merged into one new run of the level below; only the last level is a single run, merged with what comes.
 * A last level above its target becomes the next one's, file by file, without being rewritten. */
#ifndef QUORATE_LSM_PICK_H
#define QUORATE_LSM_PICK_H

#include "lsm/version.h"

#define PICK_L0_RUNS 4u
#define PICK_RATIO 8u
#define PICK_SPACE_SHARE 10u

/* The target of level 1: what the runs of level 0 come to when they are merged, a memtable being about half of its size in a file.
 * A larger level 1 would hold more rows twice, a smaller one be rewritten into level 2 more often. */
static inline uint64_t pick_base_bytes(uint64_t memtable_bytes)
{
    return PICK_L0_RUNS * memtable_bytes / 2;
}

struct pick_cursors {
    struct slice
        after[LSM_LEVELS]; /* owned: per level, where the last pick ended; the next file is above it, cyclically */
};
void pick_cursors_free(struct pick_cursors *c);
void pick_cursors_note(struct pick_cursors *c, uint32_t level, struct slice upper); /* copies */

struct pick {
    struct lsm_file **files; /* owned array, borrowed files, in the version's order */
    size_t count;
    uint32_t level; /* where the rows go */
    bool new_run;   /* as a run above those of that level, not into its one run */
    bool move;      /* no two files overlap: change their level instead of rewriting them */
    bool for_reads; /* paid for by them */
};
/* A quarantined file that would be among them goes alone, out of the way: `level` is LSM_DAMAGED then, and `move` set. */
/* False: nothing is due. base_bytes: the target of level 1. */
bool lsm_pick(const struct version *v, enum lsm_shape shape, uint64_t base_bytes, const struct pick_cursors *cursors,
              struct pick *out);
/* The uppermost level goes down before it is due, because reads look at its runs: if no more than worth_bytes have to be rewritten. */
bool lsm_pick_for_reads(const struct version *v, enum lsm_shape shape, uint64_t worth_bytes,
                        const struct pick_cursors *cursors, struct pick *out);
/* Leveled, when nothing else is to be done: what lies above the last level may shadow as much in it, so no more than its
 * PICK_SPACE_SHARE-th part is left there, the largest level going down first. */
bool lsm_pick_for_space(const struct version *v, enum lsm_shape shape, const struct pick_cursors *cursors,
                        struct pick *out);
void pick_free(struct pick *p);
/* The smallest [start, end) that covers all its files; borrowed from them. */
void pick_bounds(const struct pick *p, struct slice *start, struct slice *end);

#endif
