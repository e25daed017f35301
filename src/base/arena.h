/* Memory with one lifetime: a request's, a memtable's. Freed as a whole. Allocations are 16-byte aligned: for any type. */
#ifndef QUORATE_BASE_ARENA_H
#define QUORATE_BASE_ARENA_H

#include "base/slice.h"

struct arena_chunk;
/* Chunks that went back, for the next arenas that take theirs from here: the one that was used last first. */
struct arena_pages {
    struct arena_chunk *spare;
    size_t count, max; /* of those that are kept */
    size_t bytes;      /* of a chunk, from the heap; 0: each is one large page */
};
struct arena {
    struct arena_pages *pages;  /* where its chunks come from and go; NULL: the heap */
    struct arena_chunk *chunks; /* newest first */
    uint8_t *at;
    size_t left;       /* bytes left in the newest chunk */
    size_t used;       /* bytes handed out since init or reset */
    size_t reserved;   /* bytes held from the heap */
    size_t chunk_size; /* of the next chunk; larger requests get a chunk of their own */
};

void arena_init(struct arena *a, size_t chunk_size);
void arena_init_pages(struct arena *a, struct arena_pages *pages); /* borrowed */
void arena_pages_free(struct arena_pages *pages);                  /* when no arena has any of them */
void arena_pages_give(struct arena_pages *pages);                  /* one of them, which there is, back to the heap */
void arena_free(struct arena *a);
void arena_reset(struct arena *a);               /* forgets all, keeps one chunk */
void *arena_alloc(struct arena *a, size_t size); /* never NULL */
void *arena_zalloc(struct arena *a, size_t size);
void *arena_dup(struct arena *a, const void *data, size_t size);
struct slice arena_dup_slice(struct arena *a, struct slice s);

#endif
