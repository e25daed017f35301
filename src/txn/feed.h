/* The latest changes of a range's rows, in the order of their timestamps: what watches are served from. Pure. docs/watch.md.
 *
 * Two uses. A *ring* is fed as entries are applied, and lets go of the oldest beyond its budget. A *window* is filled from the store's
 * versions in any order, and lets go of the newest. Changes of one transaction are never parted. */
#ifndef QUORATE_TXN_FEED_H
#define QUORATE_TXN_FEED_H

#include "txn/txn.h"

#define FEED_UNKNOWN UINT64_MAX

struct feed_change {
    uint64_t ts;
    bool is_delete;
    bool is_counter;
    struct slice key;   /* user key */
    struct slice value; /* as a client sees it; of a delete: empty */
    uint64_t ttl_ms;    /* 0: the row stays */
};

struct feed_item;
struct feed {
    struct feed_item **items; /* by (ts, key), once sorted */
    size_t head, count, capacity;
    size_t bytes, budget;
    bool is_window;
    uint64_t base;    /* ring: all changes above have been seen; FEED_UNKNOWN: not known yet */
    uint64_t evicted; /* ring: the highest timestamp that was let go of */
    uint64_t cut;     /* window: changes at this timestamp and above are not here; FEED_UNKNOWN: all are */
};

struct feed *feed_new(bool is_window, size_t budget);
void feed_free(struct feed *f);
/* A write of a transaction at ts; rows that are no user's are left alone. Ring: keeps the order. Window: feed_sort when all are in. */
void feed_take(struct feed *f, struct slice store_key, bool is_delete, struct slice stored, uint64_t ts);
void feed_sort(struct feed *f);
/* Ring: complete above this timestamp; FEED_UNKNOWN: it is not known. */
uint64_t feed_floor(const struct feed *f);
uint64_t feed_newest(const struct feed *f); /* 0: nothing is there */
/* Whether the ring would keep all of it: else what is joined is let go of again at once. */
bool feed_has_room(const struct feed *ring, const struct feed *window, uint64_t after);
/* All changes above `after` that were made before the ring was begun are in the window, which is not cut: they are moved to the ring,
 * which is then complete above `after`. Frees the window. */
void feed_join(struct feed *ring, struct feed *window, uint64_t after);

/* Changes with after < ts <= upto whose keys lie in [start, end) (end empty: no bound), in order, until more than limit_bytes are there: then
 * whole transactions only, and *upto is lowered to the last of them. */
size_t feed_read(const struct feed *f, uint64_t after, uint64_t *upto, struct slice start, struct slice end,
                 size_t limit_bytes, struct arena *arena, struct feed_change **out);
void feed_check(const struct feed *f);

#endif
