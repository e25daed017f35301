/* Rows and their order: key ascending, then timestamp descending, so that the newest version of a key comes first. A row
 * in full (with tombstones) is a struct lsm_write whose slices are borrowed from a memtable or a block.
 *
 * A key head is 8 bytes of a key, from some offset on, as a big-endian number, zero-padded: heads compare in one
 * instruction, and only equal heads need the keys. */
#ifndef QUORATE_LSM_ROW_H
#define QUORATE_LSM_ROW_H

#include "base/assert.h"
#include "lsm/lsm.h"

static inline int row_cmp(struct slice a, uint64_t a_ts, struct slice b, uint64_t b_ts)
{
    int c = slice_cmp(a, b);
    if (c != 0) return c;
    return (a_ts < b_ts) - (a_ts > b_ts);
}

static inline uint64_t load_be64(const uint8_t *p)
{
    return (uint64_t)p[0] << 56 | (uint64_t)p[1] << 48 | (uint64_t)p[2] << 40 | (uint64_t)p[3] << 32 |
           (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 | (uint64_t)p[6] << 8 | (uint64_t)p[7];
}

static inline uint64_t load_le64(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
           (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static inline uint32_t load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t key_head(struct slice key, size_t offset)
{
    if (offset + 8 <= key.size) return load_be64(key.data + offset);
    if (offset >= key.size) return 0;
    if (key.size >= 8) return load_be64(key.data + key.size - 8) << (8 * (offset + 8 - key.size));
    uint64_t head = 0;
    for (size_t i = offset; i < key.size; i++) head |= (uint64_t)key.data[i] << (56 - 8 * (i - offset));
    return head;
}

static inline size_t key_shared(struct slice a, struct slice b)
{
    size_t n = a.size < b.size ? a.size : b.size, i = 0;
    while (i + 8 <= n) {
        uint64_t x = load_be64(a.data + i) ^ load_be64(b.data + i);
        if (x != 0) return i + (size_t)__builtin_clzll(x) / 8;
        i += 8;
    }
    while (i < n && a.data[i] == b.data[i]) i++;
    return i;
}

/* The number of heads below h, in an ascending array. No branch depends on the data. */
static inline unsigned heads_below(const uint64_t *heads, unsigned count, uint64_t h)
{
    const uint64_t *base = heads;
    unsigned n = count;
    while (n > 1) {
        unsigned half = n / 2;
        base += (base[half - 1] < h) ? half : 0;
        n -= half;
    }
    return (unsigned)(base - heads) + (n == 1 && base[0] < h ? 1u : 0u);
}

/* A key that is put together piece by piece (prefix compression). Owns its memory. */
struct keybuf {
    uint8_t *data;
    size_t size, capacity;
};
void keybuf_free(struct keybuf *k);
void keybuf_grow(struct keybuf *k, size_t capacity); /* keeps the content */

static inline void keybuf_set(struct keybuf *k, size_t keep, const uint8_t *more, size_t more_size)
{
    ASSERT_SLOW(keep <= k->size);
    if (keep + more_size > k->capacity) keybuf_grow(k, keep + more_size);
    if (more_size > 0) memcpy(k->data + keep, more, more_size);
    k->size = keep + more_size;
}

static inline struct slice keybuf_slice(const struct keybuf *k)
{
    return slice_make(k->data, k->size);
}

#endif
