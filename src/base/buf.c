#include "base/buf.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define BUF_FIRST_CAPACITY 64u

static void buf_check(const struct buf *b)
{
    ASSERT(b->size <= b->capacity);
    ASSERT(b->size <= b->max);
    if (b->data == NULL) ASSERT(b->capacity == 0);
}

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->size = 0;
    b->overflow = false;
}

/* Doubles, so that n appends cost O(n), but never beyond the ceiling. Sizes are compared by subtraction: no sum can wrap. */
bool buf_grow(struct buf *b, size_t more)
{
    buf_check(b);
    if (b->overflow || more > b->max - b->size) {
        b->overflow = true;
        return false;
    }
    size_t need = b->size + more;
    if (need <= b->capacity && b->data != NULL) return true;
    size_t capacity = b->capacity > b->max / 2 ? b->max : b->capacity * 2;
    if (capacity < BUF_FIRST_CAPACITY) capacity = b->max < BUF_FIRST_CAPACITY ? b->max : BUF_FIRST_CAPACITY;
    if (capacity < need) capacity = need;
    b->data = mem_realloc(b->data, capacity);
    b->capacity = capacity;
    buf_check(b);
    return true;
}

void buf_expect(struct buf *b, size_t size)
{
    if (size <= b->max - b->size) (void)buf_reserve(b, size);
}

void buf_append_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_append_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + (char)(v % 10));
    while ((v /= 10) > 0);
    buf_append(b, digits + at, sizeof digits - at);
}

/* vsnprintf writes a NUL behind the text; it needs room for a moment but is not content, so the text is formatted into
 * spare memory first when the ceiling leaves no room for it. */
void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    char text[256];
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    ASSERT(n >= 0);
    size_t size = (size_t)n;
    if (size < sizeof(text)) {
        buf_append(b, text, size);
    } else if (buf_reserve(b, size)) {
        char *spare = mem_alloc(size + 1);
        (void)vsnprintf(spare, size + 1, fmt, again);
        buf_append(b, spare, size);
        mem_free(spare);
    }
    va_end(again);
}

void buf_consume(struct buf *b, size_t size)
{
    ASSERT(size <= b->size);
    b->size -= size;
    if (b->size > 0 && size > 0) memmove(b->data, b->data + size, b->size);
}

uint8_t *buf_take(struct buf *b, size_t *size)
{
    uint8_t *data = b->data != NULL ? b->data : mem_alloc(0);
    *size = b->size;
    *b = (struct buf){.max = b->max};
    return data;
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    buf_append_byte(b, v);
}

/* The `count` low bytes of v, least significant first. */
static inline void put_le(struct buf *b, uint64_t v, unsigned count)
{
    uint8_t *at = buf_extend(b, count);
    for (unsigned i = 0; at != NULL && i < count; i++) at[i] = (uint8_t)(v >> (8 * i));
}

void buf_put_u16(struct buf *b, uint16_t v)
{
    put_le(b, v, 2);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
    put_le(b, v, 4);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    put_le(b, v, 8);
}

void buf_put_varint(struct buf *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    while (v >= 0x80) {
        bytes[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    buf_append(b, bytes, n);
}
