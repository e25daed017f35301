/* An image: a growing byte array. Bytes that were never written are zero. Owns its memory (mem_free of data). */
#ifndef QUORATE_TESTS_LIB_MEMDISK_IMAGE_H
#define QUORATE_TESTS_LIB_MEMDISK_IMAGE_H

#include "base/mem.h"

#include <string.h>

struct image {
    uint8_t *data;
    size_t size, capacity;
};

static inline void image_reserve(struct image *m, size_t size)
{
    if (size <= m->capacity) return;
    size_t capacity = m->capacity < 4096 ? 4096 : m->capacity;
    while (capacity < size) capacity *= 2;
    m->data = mem_realloc(m->data, capacity);
    m->capacity = capacity;
}

static inline void image_resize(struct image *m, size_t size)
{
    image_reserve(m, size);
    if (size > m->size) memset(m->data + m->size, 0, size - m->size);
    m->size = size;
}

static inline void image_write(struct image *m, uint64_t offset, const uint8_t *data, size_t size)
{
    if (size == 0) return;
    size_t end = (size_t)offset + size;
    image_reserve(m, end);
    if (offset > m->size) image_resize(m, (size_t)offset);
    memcpy(m->data + offset, data, size);
    if (end > m->size) m->size = end;
}

static inline void image_copy(struct image *to, const struct image *from)
{
    to->size = 0;
    image_write(to, 0, from->data, from->size);
}

#endif
