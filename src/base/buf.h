/* A growing byte buffer that is born with its ceiling. Appending beyond the ceiling appends nothing and sets `overflow`,
 * which stays set until buf_clear: encode a whole message, then look once. Owns its memory. */
#ifndef QUORATE_BASE_BUF_H
#define QUORATE_BASE_BUF_H

#include "base/slice.h"

struct buf {
    uint8_t *data;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
    size_t max;      /* ceiling of size */
    bool overflow;   /* something did not fit: the content is incomplete */
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);  /* may be called twice; the struct may be initialised again */
void buf_clear(struct buf *b); /* size 0, overflow false; keeps the memory */
void buf_append_str(struct buf *b, const char *s);
void buf_append_u64(struct buf *b, uint64_t v); /* as decimal text */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_expect(struct buf *b, size_t size);  /* so much is about to come: room for it in one step */
void buf_consume(struct buf *b, size_t size); /* drops `size` bytes from the front */
/* Hands the memory to the caller (mem_free) and leaves the buffer empty. */
uint8_t *buf_take(struct buf *b, size_t *size);

bool buf_grow(struct buf *b, size_t more); /* what the rest of them need rarely */

static inline bool buf_reserve(struct buf *b, size_t more)
{
    bool fits = b->data != NULL && !b->overflow && more <= b->capacity - b->size;
    return fits || buf_grow(b, more);
}

/* Room for `size` more bytes, returned for the caller to fill, counted as in use at once; NULL when it does not fit. */
static inline uint8_t *buf_extend(struct buf *b, size_t size)
{
    if (!buf_reserve(b, size)) return NULL;
    uint8_t *at = b->data + b->size;
    b->size += size;
    return at;
}

static inline void buf_append(struct buf *b, const void *data, size_t size)
{
    uint8_t *at = size == 0 ? NULL : buf_extend(b, size);
    if (at != NULL) memcpy(at, data, size);
}

static inline void buf_append_slice(struct buf *b, struct slice s)
{
    buf_append(b, s.data, s.size);
}

static inline void buf_append_byte(struct buf *b, uint8_t byte)
{
    uint8_t *at = buf_extend(b, 1);
    if (at != NULL) *at = byte;
}

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_make(b->data, b->size); /* borrowed until the next change of b */
}

/* Little-endian integers, as in every format of ours. */
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_varint(struct buf *b, uint64_t v); /* LEB128, at most 10 bytes */

#endif
