#include "base/arena.h"

#include "base/assert.h"
#include "base/mem.h"

#define ARENA_ALIGN 16u /* of every type, 128-bit integers included */
#define ARENA_CHUNK_MIN 64u

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* of `bytes` */
    uint8_t bytes[] __attribute__((aligned(16)));
};

static void arena_check(const struct arena *a)
{
    ASSERT(a->used <= a->reserved);
    ASSERT((a->chunks == NULL) == (a->at == NULL));
    if (a->chunks == NULL) ASSERT(a->left == 0);
}

void arena_init(struct arena *a, size_t chunk_size)
{
    if (chunk_size < ARENA_CHUNK_MIN) chunk_size = ARENA_CHUNK_MIN;
    *a = (struct arena){.chunk_size = (chunk_size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1)};
}

void arena_init_pages(struct arena *a, struct arena_pages *pages)
{
    arena_init(a, pages->bytes > 0 ? pages->bytes : MEM_LARGE_BYTES - sizeof(struct arena_chunk));
    a->pages = pages;
}

void arena_pages_give(struct arena_pages *pages)
{
    struct arena_chunk *c = pages->spare;
    ASSERT(c != NULL);
    pages->spare = c->older;
    pages->count--;
    mem_free(c);
}

void arena_pages_free(struct arena_pages *pages)
{
    while (pages->count > 0) arena_pages_give(pages);
    ASSERT(pages->spare == NULL);
}

static void chunk_free(const struct arena *a, struct arena_chunk *c)
{
    struct arena_pages *pages = a->pages;
    if (pages == NULL || c->size != a->chunk_size || pages->count == pages->max) {
        mem_free(c);
        return;
    }
    c->older = pages->spare;
    pages->spare = c;
    pages->count++;
}

/* Empty again, as it was made. */
static void arena_begin(struct arena *a)
{
    struct arena_pages *pages = a->pages;
    arena_init(a, a->chunk_size);
    a->pages = pages;
}

void arena_free(struct arena *a)
{
    arena_check(a);
    for (struct arena_chunk *c = a->chunks, *older; c != NULL; c = older) {
        older = c->older;
        chunk_free(a, c);
    }
    arena_begin(a);
}

/* Keeps one chunk of the usual size: of an outsized one the next user would hold memory that it does not need. */
void arena_reset(struct arena *a)
{
    arena_check(a);
    struct arena_chunk *kept = NULL;
    for (struct arena_chunk *c = a->chunks, *older; c != NULL; c = older) {
        older = c->older;
        if (kept == NULL && c->size == a->chunk_size) {
            kept = c;
        } else {
            chunk_free(a, c);
        }
    }
    arena_begin(a);
    if (kept == NULL) return;
    kept->older = NULL;
    a->chunks = kept;
    a->at = kept->bytes;
    a->left = kept->size;
    a->reserved = kept->size;
}

static struct arena_chunk *chunk_memory(const struct arena *a, size_t size)
{
    struct arena_pages *pages = a->pages;
    if (pages == NULL || size != a->chunk_size) return mem_alloc(sizeof(struct arena_chunk) + size);
    struct arena_chunk *c = pages->spare;
    if (c == NULL) return pages->bytes > 0 ? mem_alloc(sizeof(struct arena_chunk) + size) : mem_large(MEM_LARGE_BYTES);
    pages->spare = c->older;
    pages->count--;
    return c;
}

static struct arena_chunk *chunk_new(struct arena *a, size_t size)
{
    ASSERT(size <= SIZE_MAX - sizeof(struct arena_chunk));
    struct arena_chunk *c = chunk_memory(a, size);
    c->size = size;
    a->reserved += size;
    return c;
}

/* A request that fits no chunk gets one of its own, put below the newest so that the newest's rest is still used. */
static void *alloc_outsized(struct arena *a, size_t size)
{
    struct arena_chunk *c = chunk_new(a, size);
    if (a->chunks == NULL) {
        c->older = NULL;
        a->chunks = c;
        a->at = c->bytes + size;
        a->left = 0;
    } else {
        c->older = a->chunks->older;
        a->chunks->older = c;
    }
    a->used += size;
    arena_check(a);
    return c->bytes;
}

void *arena_alloc(struct arena *a, size_t size)
{
    ASSERT(size <= SIZE_MAX - ARENA_ALIGN);
    if (size == 0) size = 1;
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (size > a->left) {
        if (size > a->chunk_size / 4) return alloc_outsized(a, size);
        struct arena_chunk *c = chunk_new(a, a->chunk_size);
        c->older = a->chunks;
        a->chunks = c;
        a->at = c->bytes;
        a->left = c->size;
    }
    void *p = a->at;
    a->at += size;
    a->left -= size;
    a->used += size;
    arena_check(a);
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}

void *arena_dup(struct arena *a, const void *data, size_t size)
{
    void *copy = arena_alloc(a, size);
    if (size > 0) memcpy(copy, data, size);
    return copy;
}

struct slice arena_dup_slice(struct arena *a, struct slice s)
{
    return slice_make(arena_dup(a, s.data, s.size), s.size);
}
