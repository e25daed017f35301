#include "base/cursor.h"

/* The next `size` bytes, or NULL: then the cursor has failed and stands where it stood. */
static const uint8_t *take(struct cursor *c, size_t size)
{
    if (c->failed || size > cursor_left(c)) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += size;
    return p;
}

uint8_t cursor_u8(struct cursor *c)
{
    const uint8_t *p = take(c, 1);
    return p != NULL ? *p : 0;
}

uint16_t cursor_u16(struct cursor *c)
{
    const uint8_t *p = take(c, 2);
    return p != NULL ? le_u16(p) : 0;
}

uint32_t cursor_u32(struct cursor *c)
{
    const uint8_t *p = take(c, 4);
    return p != NULL ? le_u32(p) : 0;
}

uint64_t cursor_u64(struct cursor *c)
{
    const uint8_t *p = take(c, 8);
    return p != NULL ? le_u64(p) : 0;
}

uint64_t cursor_varint(struct cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        const uint8_t *p = take(c, 1);
        if (p == NULL) return 0;
        uint64_t bits = *p & 0x7fu;
        if (shift == 63 && bits > 1) break; /* beyond 64 bits */
        v |= bits << shift;
        if ((*p & 0x80u) == 0) return v;
    }
    c->failed = true;
    return 0;
}

struct slice cursor_bytes(struct cursor *c, size_t size)
{
    if (size == 0) return SLICE_EMPTY;
    const uint8_t *p = take(c, size);
    return p != NULL ? slice_make(p, size) : SLICE_EMPTY;
}

uint16_t le_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t le_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t le_u64(const uint8_t *p)
{
    return (uint64_t)le_u32(p) | (uint64_t)le_u32(p + 4) << 32;
}

void le_set_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

void le_set_u64(uint8_t *p, uint64_t v)
{
    le_set_u32(p, (uint32_t)v);
    le_set_u32(p + 4, (uint32_t)(v >> 32));
}

uint32_t be_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

uint64_t be_u64(const uint8_t *p)
{
    return (uint64_t)be_u32(p) << 32 | (uint64_t)be_u32(p + 4);
}

void be_set_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

void be_set_u64(uint8_t *p, uint64_t v)
{
    be_set_u32(p, (uint32_t)(v >> 32));
    be_set_u32(p + 4, (uint32_t)v);
}
