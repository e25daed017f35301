/* Deletes of a stretch of keys at once: versions below `ts` of the keys in [start, end) are not seen at ts or above. Versions of a
 * key rise in time, so comparing timestamps tells what is hidden, wherever a row lies. They stand in memtables, then in the
 * manifest, never in tables. There are few of them: they are looked through one by one. */
#ifndef QUORATE_LSM_ERASE_H
#define QUORATE_LSM_ERASE_H

#include "lsm/lsm.h"

struct erase {
    struct slice start, end; /* end empty: no bound */
    uint64_t ts;
    uint64_t
        clean; /* tables from this number on were written without what it hides; 0: none. Loop only, not in the manifest */
};
struct erase_list {
    struct erase *items; /* keys owned */
    size_t count, capacity;
};
void erase_list_add(struct erase_list *list, const struct erase *e); /* copies */
void erase_list_add_all(struct erase_list *list, const struct erase_list *more);
/* What they said of the keys in [start, end) is void. */
void erase_list_cut(struct erase_list *list, struct slice start, struct slice end);
void erase_list_free(struct erase_list *list);
/* The latest timestamp, above row_ts and not above ts, at which the key was erased; 0: never. */
uint64_t erase_list_at(const struct erase_list *list, struct slice key, uint64_t row_ts, uint64_t ts);

struct version;
/* An erase in a memtable or in the version, not above ts, hides the row. */
bool lsm_erased(const struct lsm *l, const struct version *v, struct slice key, uint64_t row_ts, uint64_t ts);

#endif
