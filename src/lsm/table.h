/* Tables: immutable files of sorted rows. Layout, checksums and validity: docs/formats/table.md.
 *
 * A struct table is an open file with its index, filter and properties in memory, all of which were verified when it was
 * opened. It never changes afterwards, so any thread may read it; references are counted on the loop. */
#ifndef QUORATE_LSM_TABLE_H
#define QUORATE_LSM_TABLE_H

#include "env/disk.h"
#include "lsm/block.h"

#define TABLE_PATH_MAX 512u
#define TABLE_TRAILER_BYTES 9u
#define TABLE_FOOTER_BYTES 64u

/* What the manifest knows of a table, and what its footer must repeat. */
struct table_id {
    uint64_t number; /* never reused */
    uint64_t salt;   /* drawn when it was written: another table that once had the number has another */
    uint64_t size;   /* of the file */
};

struct table_props {
    uint64_t rows, keys, tombstones;
    uint64_t ts_min, ts_max;
    uint64_t raw_bytes;             /* keys, timestamps and values */
    struct slice smallest, largest; /* keys */
};

struct table_block { /* rows of block i are at or above (key, ts), rows of the block before are below */
    uint64_t offset, ts;
    const uint8_t *key;
    uint32_t key_size;
    uint32_t size; /* with its trailer */
};

struct cache_entry;
struct table {
    struct table_id id;
    struct disk_file *file;
    struct table_props props; /* slices borrowed from props_raw */
    struct table_block *blocks;
    uint64_t *heads; /* of the blocks' keys, after prefix bytes */
    uint32_t block_count;
    uint32_t prefix; /* bytes shared by the keys of blocks 1.. (block 0 has the empty key) */
    uint8_t *filter;
    uint32_t filter_lines;
    uint8_t *index_raw, *props_raw;
    struct cache_entry **slots; /* the cache's: a pointer per block; loop only */
    unsigned refs;              /* loop only, as the flags */
    bool quarantined;           /* it was found damaged: nothing of it is read */
    _Atomic bool unreadable;    /* the disk has refused to give some of it: whoever reads says so, on any thread */
};

void table_path(char path[TABLE_PATH_MAX], const char *dir, uint64_t number);
bool table_path_parse(const char *name, uint64_t *number); /* a name without folder */

/* Blocking. STATUS_CORRUPT: the footer, index, filter or properties are damaged or of another table, or, *unreadable, the disk has refused to
 * give them; err says which. */
MUST_CHECK enum status table_open(struct disk *d, const char *dir, const struct table_id *id, struct table **out,
                                  bool *unreadable, struct errbuf *err);
/* As table_open, over a handle that is open already; takes it over, whatever the outcome. */
MUST_CHECK enum status table_open_file(struct disk_file *file, const char *path, const struct table_id *id,
                                       struct table **out, struct errbuf *err);
/* In place of one that cannot be opened, or is not to be: quarantined, without blocks. */
struct table *table_unopened(const struct table_id *id);
void table_free(struct table *t); /* closes the file */

/* Where block `at` begins; at == block_count: what follows the blocks. */
uint64_t table_offset(const struct table *t, uint32_t at);

/* The block in which (key, ts) or else the first row after it lies: that or, if it ends before, the next one. */
uint32_t table_find_block(const struct table *t, struct slice key, uint64_t ts);
static inline struct slice table_block_key(const struct table *t, uint32_t at) /* its lower bound */
{
    return slice_make(t->blocks[at].key, t->blocks[at].key_size);
}
bool table_may_hold(const struct table *t, uint64_t hash);
/* File bytes of the blocks that may hold keys of [start, end); end empty: no bound. */
uint64_t table_range_bytes(const struct table *t, struct slice start, struct slice end);

/* --- sealed blocks: what lies on disk (table_seal.c) --- */
/* Appends the block as it will stand at `offset` of the table: compressed where that gains an eighth, with its trailer. */
void table_seal(struct slice raw, bool compress, const struct table_id *id, uint64_t offset, struct buf *out);
/* Memory of the caller for a raw block, which goes to its end if it fits; else, and without room, to memory of its own. */
struct table_room {
    uint8_t *data;
    size_t size;
};
#define TABLE_NO_ROOM ((struct table_room){.data = NULL, .size = 0})
static inline bool table_raw_in_room(struct table_room room, const uint8_t *raw)
{
    return room.size > 0 && raw >= room.data && raw <= room.data + room.size;
}
void table_raw_free(struct table_room room, uint8_t *raw); /* what is not in the room */

/* Verifies and unpacks. *raw is owned by the caller (mem_free). False: damaged, stale, or of another place. */
MUST_CHECK bool table_unseal(struct slice sealed, const struct table_id *id, uint64_t offset, uint8_t **raw,
                             size_t *raw_size);
/* All of [offset, offset + size). What the disk fails to give twice (the table is unreadable), or does not have, is damaged: STATUS_OK,
 * STATUS_CORRUPT (or STATUS_CLOSED). Blocking, any thread. */
MUST_CHECK enum status table_read_bytes(struct table *t, uint64_t offset, uint8_t *bytes, size_t size);
/* Reads, verifies and unpacks one sealed block. Blocking, any thread. STATUS_OK, STATUS_CORRUPT. */
MUST_CHECK enum status table_read(struct table *t, uint64_t offset, uint32_t size, struct table_room room,
                                  uint8_t **raw, size_t *raw_size);
/* The data block number `at` from its sealed bytes. False: damaged. */
MUST_CHECK bool table_unseal_block(const struct table *t, uint32_t at, struct slice sealed, struct table_room room,
                                   uint8_t **raw, struct block *block);
/* The same for the table's data block number `at`, which is parsed too. *raw is set if STATUS_OK. */
MUST_CHECK enum status table_read_block(struct table *t, uint32_t at, struct table_room room, uint8_t **raw,
                                        struct block *block);

#endif
