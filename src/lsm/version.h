/* What the store's tables are at one moment. A version is immutable and counted; each manifest edit makes the next one.
 *
 *   version = runs, newest rows first, and damaged files; run = files in key order whose bounds do not overlap.
 *
 * Level 0 holds one run per flush; deeper levels hold one, or several (lsm_shape). For any key, a row in an earlier run is newer than
 * the rows of that key in later runs. A damaged file is in no run: nothing within its bounds is answered, so rows of other files may pass
 * it by, up or down, until something is installed there. References of files, tables and versions are counted on the loop; a task that uses
 * one is covered by a reference taken for it. */
#ifndef QUORATE_LSM_VERSION_H
#define QUORATE_LSM_VERSION_H

#include "lsm/erase.h"
#include "lsm/table.h"

#define LSM_LEVELS 7u
#define LSM_DAMAGED LSM_LEVELS /* as a level: what is out of the way of all others */

/* A table within bounds: rows outside [lower, upper) are not there (they were excised). */
struct lsm_file {
    uint64_t id;         /* never reused; names it in the manifest */
    struct table *table; /* one reference */
    struct lsm *owner;
    uint32_t level;
    uint64_t run;       /* of one level, larger is newer; 0: the level's one run, or its oldest */
    struct slice lower; /* owned */
    struct slice upper; /* owned; exclusive, never empty */
    uint64_t bytes;     /* of the file, within the bounds; about */
    bool clipped;       /* the bounds hide rows of the table */
    unsigned refs;
};
/* Takes over one reference of the table. Slices are copied. */
struct lsm_file *lsm_file_new(struct lsm *owner, uint64_t id, struct table *t, uint32_t level, uint64_t run,
                              struct slice lower, struct slice upper);
struct lsm_file *lsm_file_ref(struct lsm_file *f);
void lsm_file_unref(struct lsm_file *f);
/* lower and upper that hide nothing of the table: its smallest key, its largest key and a zero byte. *upper is owned. */
void lsm_file_whole(const struct table *t, struct slice *lower, struct slice *upper);
bool lsm_file_overlaps(const struct lsm_file *f, struct slice start, struct slice end); /* end empty: no bound */

struct run {
    uint32_t level;
    uint64_t run;
    size_t count;
    struct lsm_file **files; /* borrowed from the version's */
    const uint64_t *heads;   /* of the files' upper bounds behind what all of these share; NULL: not there */
    uint32_t prefix;
};

struct version {
    unsigned refs;
    size_t run_count, file_count;
    struct run *runs;
    struct lsm_file **files; /* of all runs, in their order, then damaged ones; one reference each */
    struct lsm_file **damaged;
    size_t damaged_count;
    uint64_t *heads; /* of their upper bounds */
    struct erase_list erases;
    bool in_shape, dense; /* lsm_pick, lsm_pick_for_space found nothing: of these files they never will (step.c) */
};

/* From files in any order. Takes over one reference of each; the array stays the caller's. */
struct version *version_new(struct lsm_file **files, size_t count);
struct version *version_ref(struct version *v);
void version_unref(struct version *v);
/* While it is made: those of the list that hide a row of its files, or may. */
void version_add_erases(struct version *v, const struct erase_list *list);
void version_check(const struct version *v);

/* A damaged file has keys of [start, end) within its bounds (end empty: no bound), or this key. */
bool version_is_damaged(const struct version *v, struct slice start, struct slice end);
bool version_is_damaged_at(const struct version *v, struct slice key);
/* The index of the first file of the run whose upper bound is above the key; count if there is none. */
size_t run_find(const struct run *r, struct slice key);
/* A run of a level deeper than `level` may hold the key. */
bool version_deeper_holds(const struct version *v, uint32_t level, struct slice key);
uint32_t version_last_level(const struct version *v); /* at least 1; of the runs, as the two below */
size_t version_runs_of_level(const struct version *v, uint32_t level);
uint64_t version_bytes_of_level(const struct version *v, uint32_t level);

#endif
