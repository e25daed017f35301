/* Replicas compared on demand: `quorate range check`. The leader proposes an entry; when it is applied, each replica hashes all
 * rows that it holds as of that index, tells the others, and judges itself: docs/operations.md, "A replica that differs". */
#ifndef QUORATE_RANGE_COMPARISON_H
#define QUORATE_RANGE_COMPARISON_H

#include "range/host.h"

/* The entry's bytes. Rows that end by themselves before `ends_after` are left out: some stores may have let them go. */
void comparison_encode(uint64_t ends_after, struct buf *out);

struct comparison { /* the last one that this replica applied */
    uint64_t index; /* of its entry; 0: none since it was opened */
    bool done, failed;
    bool whole;            /* effects: all entries of the window were seen */
    uint64_t effects_hash; /* of what was done since the window before */
    uint64_t rows_hash, rows, bytes;
};
void replica_comparison(const struct replica *r, struct comparison *out);

#endif
