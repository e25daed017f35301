/* The store's newest rows, in memory: a B+tree in an arena. One writer (the loop); once frozen it never changes and may be
 * read from a task. Rows with the same key and timestamp: the later replaces the earlier.
 *
 * It also carries the vector {group -> applied (index, term)}: what lsm_durable answers once this memtable is flushed. */
#ifndef QUORATE_LSM_MEMTABLE_H
#define QUORATE_LSM_MEMTABLE_H

#include "base/arena.h"
#include "base/map.h"
#include "lsm/bloom.h"
#include "lsm/erase.h"

struct memnode;
struct memleaf;
struct memrow;

struct applied {
    uint64_t group, index, term;
    bool forgotten; /* the group is gone */
};

struct memtable {
    struct arena arena;
    struct memnode *root;
    struct memleaf *first, *last;
    struct memleaf *last_leaf; /* where last_row went, the last one that was put; NULL: that leaf was split */
    const struct memrow *last_row;
    unsigned height; /* 1: the root is a leaf */
    uint64_t rows;   /* versions held */
    uint64_t splits; /* of leaves, ever */
    uint64_t seq;    /* order among the memtables of a store */
    unsigned refs;   /* loop only */
    bool frozen;
    uint8_t *filter; /* of the keys: most gets end here, without a descent */
    uint32_t filter_lines;
    struct map applied; /* group -> struct applied, in the arena */
    struct erase_list erases;
};

/* chunk_bytes: of its arena; pages: where that takes larger ones instead, or NULL. */
struct memtable *memtable_new(size_t chunk_bytes, struct arena_pages *pages, uint64_t seq);
struct memtable *memtable_ref(struct memtable *m);
void memtable_unref(struct memtable *m);
/* Where a row will go: its leaf comes to the processor meanwhile. Good until a leaf is split; then memtable_put looks anew. */
struct memtable_place {
    struct memleaf *leaf;
    size_t known; /* bytes of the key that all rows of the leaf share, for certain */
    uint64_t splits;
};
void memtable_place(const struct memtable *m, struct slice key, uint64_t ts, struct memtable_place *out);
/* hash: bloom_hash of its key. place: the row's in this memtable, or NULL. Copies. */
void memtable_put(struct memtable *m, const struct lsm_write *w, uint64_t hash, const struct memtable_place *place);
void memtable_set_applied(struct memtable *m, const struct applied *a);
size_t memtable_bytes(const struct memtable *m);
bool memtable_empty(const struct memtable *m); /* neither rows nor applied indexes */
void memtable_check(const struct memtable *m); /* slow: walks the tree */

/* A place between rows or at one. Any write to the memtable invalidates it. */
struct memtable_cursor {
    const struct memleaf *leaf; /* NULL: at the end (or before the beginning) */
    unsigned at;
};
/* The first row at or after (key, ts); the last row before it. */
void memtable_seek(const struct memtable *m, struct slice key, uint64_t ts, struct memtable_cursor *c);
void memtable_seek_before(const struct memtable *m, struct slice key, uint64_t ts, struct memtable_cursor *c);
void memtable_seek_last(const struct memtable *m, struct memtable_cursor *c);
void memtable_next(struct memtable_cursor *c);
void memtable_prev(struct memtable_cursor *c);
static inline bool memtable_cursor_valid(const struct memtable_cursor *c)
{
    return c->leaf != NULL;
}
void memtable_row(const struct memtable_cursor *c, struct lsm_write *row); /* borrowed from the memtable */

/* A key that has this bloom_hash is here, perhaps. It will be asked: the answer comes to the processor, and nobody waits. */
static inline bool memtable_may_hold(const struct memtable *m, uint64_t hash)
{
    return m->rows > 0 && bloom_may_hold(m->filter, m->filter_lines, hash);
}
static inline void memtable_soon(const struct memtable *m, uint64_t hash)
{
    __builtin_prefetch(bloom_line(m->filter, m->filter_lines, hash));
}
/* The newest version of key, whose bloom_hash is given, at or below ts. */
bool memtable_get(const struct memtable *m, struct slice key, uint64_t hash, uint64_t ts, struct lsm_write *row);
/* Rows of [start, end), roughly (whole leaves); end empty: no bound. */
uint64_t memtable_estimate(const struct memtable *m, struct slice start, struct slice end);

#endif
