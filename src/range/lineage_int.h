/* What splits and merges leave with a replica. Most have none of it. */
#ifndef QUORATE_RANGE_LINEAGE_INT_H
#define QUORATE_RANGE_LINEAGE_INT_H

#include "range/group_record.h"
#include "range/state.h"

struct replica;

/* With descriptor and row_base, merge and end_since are the range's state as of what is applied. */
struct lineage {
    struct range_phase_of merge;
    uint64_t end_since;
    struct slice record;   /* owned: the state in which it was created, as its group record says; empty: the present */
    struct birth birth;    /* by a split; its rows are here when that is applied */
    uint64_t birth_floor;  /* children are unborn: nothing replaces this replica before it has applied so much */
    uint64_t mended;       /* of its group record; 0 while it is recovering */
    uint64_t merged_at;    /* index at which it last took in another */
    uint64_t merge_waiter; /* the left neighbour, whose apply waits for this one's; 0: none */
};
const struct lineage *replica_lineage(const struct replica *r); /* to be looked at; all zero when it has none */
struct lineage *replica_lineage_of(struct replica *r);          /* to be changed */

#endif
