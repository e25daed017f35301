/* Rows that were written a moment ago and will be read again soon, by key: counters, which nobody adds to without reading them. A
 * table of fixed size beside the tree: one place to look instead of a memtable, those before it and a run per level. What is
 * here is the newest version of its key; what is not says nothing.
 *
 * Sets of 8 slots with a tag of 32 bits each: a miss touches one cache line, a hit one or two more. */
#ifndef QUORATE_LSM_RECENT_H
#define QUORATE_LSM_RECENT_H

#include "base/slice.h"

struct lsm_write;
#define RECENT_ROW_BYTES 118u /* key and value together: larger rows are not kept */

struct recent {
    size_t bytes; /* at most; 0: nothing is kept */
    size_t set_count;
    uint32_t *tags; /* NULL: nothing was ever kept; 0: the slot is free */
    struct recent_slot *slots;
    size_t count;
    uint32_t victim; /* turns */
};
void recent_init(struct recent *r, size_t bytes);
void recent_free(struct recent *r);
/* hash: bloom_hash of the key. */
/* A row is applied: kept if it is marked so, or what was there before it goes. */
void recent_take(struct recent *r, const struct lsm_write *w, uint64_t hash);
/* The value is borrowed until the next write. */
bool recent_find(const struct recent *r, struct slice key, uint64_t hash, uint64_t *ts, struct slice *value);
/* It will be looked for: its tags come to the processor, and, asked for again a little later, the row too. Neither waits.
 * False: it is not there. */
void recent_soon(const struct recent *r, uint64_t hash);
bool recent_next(const struct recent *r, uint64_t hash);
void recent_clear(struct recent *r); /* rows have changed otherwise */
void recent_check(const struct recent *r);

#endif
