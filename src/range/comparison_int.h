/* Private to range/: comparisons on demand. An entry of the log asks every replica, at the same index, to end its window of
 * effects there and to hash the rows that it holds. What comes of it is compared like any window (divergence.c). */
#ifndef QUORATE_RANGE_COMPARISON_INT_H
#define QUORATE_RANGE_COMPARISON_INT_H

#include "range/comparison.h"

struct raft_entry;

bool comparison_is(const struct raft_entry *e);
/* The entry was applied, its effects are noted. */
void comparison_applied(struct replica *r, const struct raft_entry *e);
void comparison_free(struct replica *r);

#endif
