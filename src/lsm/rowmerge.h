/* Merges sorted sources into one stream. Sources are given newest first: of rows with the same key and timestamp only the
 * newest source's is seen. Forward order is the rows' order, reverse order is exactly the opposite. */
#ifndef QUORATE_LSM_ROWMERGE_H
#define QUORATE_LSM_ROWMERGE_H

#include "lsm/rowsource.h"

struct rowmerge {
    struct rowsource *sources; /* owned */
    size_t source_count, capacity;
    uint32_t *heap; /* indexes of sources that have a row; the first is next */
    size_t heap_count;
    bool reverse;
    bool at_row;              /* the top row was handed out */
    struct rowsource *failed; /* after a status other than OK and END */
};

/* *m is zero, or was released. Then init each of m->sources. */
void rowmerge_init(struct rowmerge *m, size_t source_count, bool reverse);
void rowmerge_release(struct rowmerge *m); /* lets go of blocks, keeps buffers */
void rowmerge_free(struct rowmerge *m);
/* Forward: from the first row at or after (key, ts). Reverse: from the last row of a key before (empty: from the end). */
MUST_CHECK enum status rowmerge_seek(struct rowmerge *m, struct slice key, uint64_t ts);
/* The next row, borrowed until the next call. STATUS_OK, STATUS_END, or what a source answered. */
MUST_CHECK enum status rowmerge_next(struct rowmerge *m, struct lsm_write *row);
/* Reverse: the row at hand is known to be the last one of its key. False: perhaps it is. */
bool rowmerge_ends_key(const struct rowmerge *m);
/* Forward: over rows before (key, ts), which is behind the row at hand, as far as memtables hold them: those have no blocks to
 * miss. in_runs: tables' rows too. */
MUST_CHECK enum status rowmerge_skip(struct rowmerge *m, struct slice key, uint64_t ts, bool in_runs);

#endif
