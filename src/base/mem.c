#define _GNU_SOURCE /* madvise */
#include "base/mem.h"

#include "base/assert.h"

#include <stdlib.h>
#include <sys/mman.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* malloc(0) may answer NULL, which would look like a failure: one byte is asked for instead. */
static size_t at_least_one(size_t size)
{
    return size > 0 ? size : 1;
}

void *mem_alloc(size_t size)
{
    void *p = malloc(at_least_one(size));
    if (p == NULL) BUG("out of memory");
    return p;
}

/* glibc's calloc goes past the thread's cache of small blocks, which its malloc takes from. */
#define CACHED_BYTES 1024u

void *mem_zalloc(size_t size)
{
    if (size <= CACHED_BYTES) return memset(mem_alloc(size), 0, size);
    void *p = calloc(1, size);
    if (p == NULL) BUG("out of memory");
    return p;
}

void *mem_realloc(void *p, size_t size)
{
    void *moved = realloc(p, at_least_one(size));
    if (moved == NULL) BUG("out of memory");
    return moved;
}

void *mem_try_alloc(size_t size)
{
    return malloc(at_least_one(size));
}

void *mem_aligned(size_t alignment, size_t size)
{
    ASSERT(alignment > 0);
    ASSERT((alignment & (alignment - 1)) == 0);
    ASSERT(size % alignment == 0);
    void *p = aligned_alloc(alignment, size > 0 ? size : alignment);
    if (p == NULL) BUG("out of memory");
    return p;
}

void *mem_large(size_t size)
{
    void *p = mem_aligned(MEM_LARGE_BYTES, size);
    (void)madvise(p, size, MADV_HUGEPAGE); /* refused: by small pages, as ever */
    return p;
}

void mem_free(void *p)
{
    free(p);
}

void *mem_dup(const void *data, size_t size)
{
    void *copy = mem_alloc(size);
    if (size > 0) memcpy(copy, data, size);
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_dup(s, strlen(s) + 1);
}

struct slice mem_dup_slice(struct slice s)
{
    return slice_make(mem_dup(s.data, s.size), s.size);
}

void mem_give_back(void)
{
#if defined(__GLIBC__) && !defined(QUORATE_SLOW_ASSERTS) /* a simulator starts thousands of servers */
    (void)malloc_trim(0);
#endif
}
