/* A borrowed run of bytes. A struct slice never owns; whoever hands one out says from whom it is borrowed and until when.
 * Order is memcmp order, the shorter first: the order of keys everywhere in Quorate. */
#ifndef QUORATE_BASE_SLICE_H
#define QUORATE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data;
    size_t size;
};

#define SLICE_EMPTY ((struct slice){.data = (const uint8_t *)"", .size = 0})

static inline struct slice slice_make(const void *data, size_t size)
{
    return (struct slice){.data = data, .size = size};
}

static inline struct slice slice_str(const char *s)
{
    return (struct slice){.data = (const uint8_t *)s, .size = strlen(s)};
}

static inline int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n > 0 ? memcmp(a.data, b.data, n) : 0;
    if (c != 0) return c;
    return (a.size > b.size) - (a.size < b.size);
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.size >= prefix.size && (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}

#endif
