/* A block of rows, as it lies in memory after checksum and decompression. Layout: docs/formats/table.md.
 *
 *   entries | prefix | timestamps, fixed width | restart heads | restart offsets | tail
 *
 * What all keys share stands once, in `prefix`; the entries hold what comes after it. The reader trusts nothing: every step
 * is bounds-checked, and a block whose parts do not fit together is corrupt. */
#ifndef QUORATE_LSM_BLOCK_H
#define QUORATE_LSM_BLOCK_H

#include "base/buf.h"
#include "lsm/row.h"

#define BLOCK_RESTART_INTERVAL 8u
#define BLOCK_INTERVAL_MAX 16u
#define BLOCK_TAIL_BYTES 20u
#define BLOCK_RAW_MAX (256u * 1024u * 1024u)

/* --- building --- */
struct block_row { /* a row added: key and value stand one behind the other in `rows` */
    uint64_t ts;
    size_t offset;
    uint32_t key_size, value_size;
    uint32_t shared; /* with the key before; not used at a restart */
    enum lsm_kind kind;
};
struct block_builder {
    struct buf rows, out;
    struct block_row *list;
    size_t count, capacity;
    size_t bytes; /* about, of what finish will make */
};
void block_builder_init(struct block_builder *b);
void block_builder_free(struct block_builder *b);
/* Rows come in order (row_cmp), each above the one before. */
void block_builder_add(struct block_builder *b, const struct lsm_write *row);
/* The raw block, borrowed until reset. At least one row must have been added. */
struct slice block_builder_finish(struct block_builder *b);
void block_builder_reset(struct block_builder *b);

/* --- reading --- */
struct block {
    const uint8_t *data, *prefix, *stamps, *heads, *offsets;
    uint64_t ts_base;
    uint32_t raw_size, entries_size;
    uint32_t count;
    uint32_t restart_count;
    uint16_t prefix_size; /* bytes shared by all keys */
    uint8_t ts_width, interval;
};
/* False: the parts do not fit together. The bytes are borrowed and must outlive the block. */
MUST_CHECK bool block_parse(struct slice raw, struct block *b);

/* What a cursor needs at the block's beginning (its end) comes to the processor's caches. */
void block_prefetch(const struct block *b, bool end);

/* The newest version of key at or below ts. STATUS_OK with *row (key: the caller's, value: the block's), STATUS_NOT_FOUND,
 * STATUS_END (all rows are before it: the next block may hold it), STATUS_CORRUPT. Allocates nothing. */
MUST_CHECK enum status block_get(const struct block *b, struct slice key, uint64_t ts, struct lsm_write *row);

struct block_group;
struct block_cursor {
    const struct block *block;
    uint32_t at;               /* ordinal of the row; count: at the end */
    uint32_t next;             /* offset of the entry after it; UINT32_MAX: not known */
    struct keybuf key;         /* owned; begins with the block's prefix */
    struct block_group *group; /* owned; rows of one restart interval, for going back */
    struct lsm_write row;      /* valid when at < count: key from .key or the group, value from the block */
    bool prev_differs;         /* after block_prev: the row before is known to be of another key */
};
void block_cursor_free(struct block_cursor *c);
/* Each answers STATUS_OK (at a row), STATUS_END (no such row), or STATUS_CORRUPT. */
MUST_CHECK enum status block_first(struct block_cursor *c, const struct block *b);
MUST_CHECK enum status block_last(struct block_cursor *c, const struct block *b);
MUST_CHECK enum status block_seek(struct block_cursor *c, const struct block *b, struct slice key,
                                  uint64_t ts); /* at or after */
MUST_CHECK enum status block_seek_before(struct block_cursor *c, const struct block *b, struct slice key, uint64_t ts);
MUST_CHECK enum status block_next(struct block_cursor *c);
MUST_CHECK enum status block_prev(struct block_cursor *c);

#endif
