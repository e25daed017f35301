/* The newest change of each key up to a timestamp: what goes over the rows of chunks. Pure. */
#ifndef QUORATE_BACKUP_OVERLAY_H
#define QUORATE_BACKUP_OVERLAY_H

#include "backup/format.h"

struct overlay_bound { /* of keyspaces and keys together */
    uint32_t keyspace;
    struct slice key;
};
struct overlay {
    uint64_t at; /* changes above it are left out */
    bool bounded;
    struct overlay_bound from, to; /* bounded: only keys in [from, to) */
    struct arena arena;
    struct backup_row *rows; /* in the arena; sorted by keyspace and key when it is ready */
    size_t count, capacity;
    size_t settled; /* rows that were left when it last was sorted */
};
void overlay_init(struct overlay *o, uint64_t at);
void overlay_free(struct overlay *o);
MUST_CHECK enum status overlay_add(struct overlay *o, struct slice rows); /* copies them */
void overlay_ready(struct overlay *o);
/* The part of a span; rows may be deletes. */
void overlay_span(const struct overlay *o, uint32_t keyspace, struct slice start, struct slice end,
                  const struct backup_row **first, size_t *count);

/* A chunk with what changed since, up to `at`. */
struct merged {
    const struct backup_chunk *chunk;
    uint64_t at;
    struct cursor rows;
    struct backup_row row; /* the chunk's next */
    bool has_row;
    const struct backup_row *over;
    size_t over_count;
    struct backup_digest seen; /* of the chunk's rows */
    bool corrupt;              /* rows that the chunk must not have */
    struct slice last;
};
/* body: of the chunk's file, or nothing. */
void merged_init(struct merged *m, const struct backup_chunk *chunk, struct slice body, const struct overlay *o);
/* The next row that is there at `at`, in the order of keys. False: the end, or m->corrupt. */
bool merged_next(struct merged *m, struct backup_row *out);

#endif
