/* A block of rows, as it lies in memory after checksum and decompression. Layout: docs/formats/table.md.
 *
 *   entries | timestamps, fixed width | restart heads | restart offsets | tail
 *
 * The reader trusts nothing: every step is bounds-checked, and a block whose parts do not fit together is corrupt. */
#ifndef QUORATE_LSM_BLOCK_H
#define QUORATE_LSM_BLOCK_H

#include "base/buf.h"
#include "lsm/row.h"

#define BLOCK_RESTART_INTERVAL 8u
#define BLOCK_TAIL_BYTES 20u
#define BLOCK_RAW_MAX (256u * 1024u * 1024u)

/* --- building --- */
struct block_builder {
    struct buf out;
    struct keybuf last;  /* key of the row added last */
    struct keybuf first; /* key of the first row */
    uint64_t *stamps;
    uint32_t *restarts; /* offsets in out */
    uint32_t count, restart_count;
    size_t stamps_capacity, restarts_capacity;
    uint64_t last_ts;
};
void block_builder_init(struct block_builder *b);
void block_builder_free(struct block_builder *b);
/* Rows come in order (row_cmp), each above the one before. */
void block_builder_add(struct block_builder *b, const struct lsm_write *row);
size_t block_builder_bytes(const struct block_builder *b); /* about, with what finish will add */
/* The raw block, borrowed until reset. At least one row must have been added. */
struct slice block_builder_finish(struct block_builder *b);
void block_builder_reset(struct block_builder *b);

/* --- reading --- */
struct block {
    const uint8_t *data;
    uint32_t entries_size;
    uint32_t count;
    uint32_t restart_count;
    uint32_t interval;
    uint32_t prefix; /* bytes shared by all keys */
    uint32_t ts_width;
    uint64_t ts_base;
    const uint8_t *stamps, *heads, *offsets;
};
/* False: the parts do not fit together. The bytes are borrowed and must outlive the block. */
MUST_CHECK bool block_parse(struct slice raw, struct block *b);

struct block_cursor {
    const struct block *block;
    uint32_t at;          /* ordinal of the row; count: at the end */
    uint32_t next;        /* offset of the entry after it */
    struct keybuf key;    /* owned */
    struct lsm_write row; /* valid when at < count: key from .key, value from the block */
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
