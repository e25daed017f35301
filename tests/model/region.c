/* base/mem.h once more, within a region: the linker takes these instead of base/mem.o. Blocks of powers of two, free lists inside
 * the region itself, so that saving it saves them. */
#include "region.h"

#include "base/assert.h"
#include "base/mem.h"

enum { REGION_BYTES = 4 << 20, CLASSES = 22, BLOCK_MIN = 32 };

struct block { /* its class while in use, the next free one while free */
    size_t class;
    struct block *next;
};
struct region {
    size_t used;
    struct block *free[CLASSES];
};

static _Alignas(64) unsigned char memory[REGION_BYTES];

static struct region *region(void)
{
    return (struct region *)(void *)memory;
}

void region_reset(void)
{
    memset(memory, 0, sizeof(struct region));
    region()->used = (sizeof(struct region) + 63) & ~(size_t)63;
}

size_t region_used(void)
{
    return region()->used;
}

void region_save(void *to)
{
    memcpy(to, memory, region()->used);
}

void region_restore(const void *from, size_t size)
{
    memcpy(memory, from, size);
}

static size_t class_of(size_t size)
{
    size_t class = 0;
    while (((size_t)BLOCK_MIN << class) < size + sizeof(struct block)) class ++;
    ASSERT(class < CLASSES);
    return class;
}

void *mem_alloc(size_t size)
{
    size_t class = class_of(size);
    struct block *b = region()->free[class];
    if (b != NULL) {
        region()->free[class] = b->next;
    } else {
        b = (struct block *)(void *)(memory + region()->used);
        region()->used += (size_t)BLOCK_MIN << class;
        ASSERT(region()->used <= REGION_BYTES);
    }
    b->class = class;
    b->next = NULL;
    return b + 1;
}

void *mem_zalloc(size_t size)
{
    return memset(mem_alloc(size), 0, size);
}

void mem_free(void *p)
{
    if (p == NULL) return;
    struct block *b = (struct block *)p - 1;
    b->next = region()->free[b->class];
    region()->free[b->class] = b;
}

void *mem_realloc(void *p, size_t size)
{
    if (p == NULL) return mem_alloc(size);
    struct block *b = (struct block *)p - 1;
    size_t room = ((size_t)BLOCK_MIN << b->class) - sizeof(*b);
    if (size <= room) return p;
    void *q = mem_alloc(size);
    memcpy(q, p, room);
    mem_free(p);
    return q;
}

void *mem_try_alloc(size_t size)
{
    return mem_alloc(size);
}

void *mem_aligned(size_t alignment, size_t size)
{
    ASSERT(alignment <= 16);
    return mem_alloc(size);
}

void *mem_large(size_t size) /* nothing that a model has is that large */
{
    return mem_alloc(size);
}

void *mem_dup(const void *data, size_t size)
{
    void *p = mem_alloc(size);
    if (size > 0) memcpy(p, data, size);
    return p;
}

char *mem_strdup(const char *s)
{
    return mem_dup(s, strlen(s) + 1);
}

struct slice mem_dup_slice(struct slice s)
{
    return slice_make(mem_dup(s.data, s.size), s.size);
}
