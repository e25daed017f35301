/* A change of the store's files and applied indexes, all or nothing: one manifest record. Built and encoded by whoever
 * runs the step, applied to memory on the loop once it is durable. */
#ifndef QUORATE_LSM_EDIT_H
#define QUORATE_LSM_EDIT_H

#include "lsm/manifest.h"

struct edit {
    struct lsm_file **adds; /* one reference each */
    size_t add_count, add_capacity;
    uint64_t *removes; /* file ids */
    size_t remove_count, remove_capacity;
    struct applied *applied;
    size_t applied_count, applied_capacity;
    struct erase_list erases;
    bool cuts; /* erases say nothing of [cut_start, cut_end) any more; borrowed */
    struct slice cut_start, cut_end;
};
void edit_free(struct edit *e);                    /* loop only: releases the files */
void edit_add(struct edit *e, struct lsm_file *f); /* takes over the reference */
void edit_remove(struct edit *e, uint64_t id);
void edit_applied(struct edit *e, const struct applied *a);
bool edit_removes(const struct edit *e, uint64_t id);
void edit_encode(const struct edit *e, struct buf *payload);
/* The version after the edit. The edit keeps its references. */
struct version *edit_apply(const struct edit *e, const struct version *v);
/* Everything of [start, end) goes: files inside are removed, files that reach out are replaced by what is outside. Ids for
 * those are taken from *next_id. */
void edit_excise(struct edit *e, const struct version *v, struct slice start, struct slice end, uint64_t *next_id);

#endif
