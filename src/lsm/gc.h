/* Which versions may be dropped when rows are rewritten: those that no reader at or above the safepoint can see, because a newer
 * one hides them, or because they have expired. */
#ifndef QUORATE_LSM_GC_H
#define QUORATE_LSM_GC_H

#include "lsm/row.h"
#include "lsm/version.h"

/* For each stretch of keys, up to where expired rows may go (lsm_set_horizons): frozen, shared with workers. */
struct horizons {
    size_t refs; /* loop only */
    size_t count;
    struct lsm_horizon items[];
};
struct horizons *horizons_new(const struct lsm_horizon *items, size_t count);
struct horizons *horizons_ref(struct horizons *h); /* NULL gives NULL */
void horizons_unref(struct horizons *h);

struct gc {
    uint64_t safepoint;
    uint64_t (*expires)(struct slice key, uint64_t ts, struct slice value); /* or NULL */
    struct horizons *horizons;                                              /* one reference, or NULL */
    size_t stretch;                /* horizons that begin at or before the key at hand */
    const struct version *version; /* tombstones are dropped where no level deeper than `level` may hold the key */
    uint32_t level;
    bool flush;        /* rows go above all tables: every level counts as deeper */
    struct keybuf key; /* of the rows at hand */
    bool shadowed;     /* a version at or below the safepoint was seen: what follows is invisible */
    uint64_t dropped;
};
void gc_init(struct gc *g, uint64_t safepoint, const struct version *v, uint32_t level, bool flush);
void gc_free(struct gc *g);
/* Rows come in order, without duplicates. False: drop it. */
bool gc_keep(struct gc *g, const struct lsm_write *row);

#endif
