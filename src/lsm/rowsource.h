/* A sorted stream of rows, versions and tombstones included: a memtable, or a run of tables. Both directions.
 *
 * Runs are read in one of two ways: through the cache (loop; a block that is absent ends the matter with STATUS_MISS) or
 * straight from disk (any thread, blocking). After a status other than OK and END only a new seek makes sense. */
#ifndef QUORATE_LSM_ROWSOURCE_H
#define QUORATE_LSM_ROWSOURCE_H

#include "lsm/cache.h"
#include "lsm/memtable.h"
#include "lsm/version.h"

struct rowsource {
    const struct memtable *memtable; /* NULL: a run */
    struct memtable_cursor mem;

    struct lsm_file *const *files; /* of the run; borrowed */
    size_t file_count, file_at;
    bool cached; /* through the cache; else blocking reads */
    uint32_t block_at;
    int32_t streak;             /* blocks that it has gone on by, over all seeks; below 0: backwards */
    struct cache_entry *pinned; /* the block under the cursor, when it is the cache's */
    uint8_t *raw;               /* it, when it is our own */
    struct block own_block;
    struct block_cursor cursor;
    uint8_t *ahead; /* blocking, forward: sealed blocks read ahead */
    uint64_t ahead_offset;
    size_t ahead_size;
    uint64_t ahead_number; /* of the table they are of */
    bool sequential;       /* read ahead */

    struct lsm_write row; /* when the last call answered STATUS_OK; borrowed until the next call */
    struct lsm_miss miss; /* after STATUS_MISS: no reference taken */
    struct lsm_file *bad; /* after STATUS_CORRUPT or STATUS_IO: where, with miss.offset */
};

/* *s is zero, or was released. */
void rowsource_init_memtable(struct rowsource *s, const struct memtable *m);
void rowsource_init_run(struct rowsource *s, struct lsm_file *const *files, size_t count, bool cached);
void rowsource_release(struct rowsource *s); /* lets go of blocks, keeps buffers: it may be initialised again */
void rowsource_free(struct rowsource *s);

MUST_CHECK enum status rowsource_seek(struct rowsource *s, struct slice key, uint64_t ts); /* first row at or after */
MUST_CHECK enum status rowsource_seek_before(struct rowsource *s,
                                             struct slice key); /* last row of a smaller key; empty: last of all */
MUST_CHECK enum status rowsource_next(struct rowsource *s);
MUST_CHECK enum status rowsource_prev(struct rowsource *s);

#endif
