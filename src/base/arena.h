/* Memory with one lifetime: a request's, a memtable's. Freed as a whole. Allocations are 16-byte aligned: for any type. */
#ifndef QUORATE_BASE_ARENA_H
#define QUORATE_BASE_ARENA_H

#include "base/slice.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks; /* newest first */
    uint8_t *at;
    size_t left;       /* bytes left in the newest chunk */
    size_t used;       /* bytes handed out since init or reset */
    size_t reserved;   /* bytes held from the heap */
    size_t chunk_size; /* of the next chunk; larger requests get a chunk of their own */
};

void arena_init(struct arena *a, size_t chunk_size);
void arena_free(struct arena *a);
void arena_reset(struct arena *a);               /* forgets all, keeps one chunk */
void *arena_alloc(struct arena *a, size_t size); /* never NULL */
void *arena_zalloc(struct arena *a, size_t size);
void *arena_dup(struct arena *a, const void *data, size_t size);
struct slice arena_dup_slice(struct arena *a, struct slice s);

#endif
