/* A bounds-checked reader of little-endian formats. A read past the end returns zero or an empty slice and sets `failed`,
 * which stays set: decode a whole record, then look once. Slices are borrowed from the input. */
#ifndef QUORATE_BASE_CURSOR_H
#define QUORATE_BASE_CURSOR_H

#include "base/slice.h"

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct cursor cursor_make(struct slice s) /* an empty one may have no data at all */
{
    return (struct cursor){.at = s.data, .end = s.size > 0 ? s.data + s.size : s.data, .failed = false};
}
static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
uint64_t cursor_varint(struct cursor *c); /* LEB128; more than 10 bytes or beyond 64 bits fails */
struct slice cursor_bytes(struct cursor *c, size_t size);

/* Fixed-offset accessors for bytes whose bounds the caller has checked. */
uint16_t le_u16(const uint8_t *p);
uint32_t le_u32(const uint8_t *p);
uint64_t le_u64(const uint8_t *p);
void le_set_u32(uint8_t *p, uint32_t v);
void le_set_u64(uint8_t *p, uint64_t v);
uint64_t be_u64(const uint8_t *p); /* big-endian, for integers inside ordered keys */
void be_set_u64(uint8_t *p, uint64_t v);
uint32_t be_u32(const uint8_t *p);
void be_set_u32(uint8_t *p, uint32_t v);

#endif
