/* The pull cursor over MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md): borrows, allocates nothing.
 * Why not msgpack-c's unpacker: docs/decisions/002-msgpack-reading.md. */
#include "wire/wire.h"

#include "base/assert.h"

#define SKIP_DEPTH_MAX 32u

struct unpack unpack_make(struct slice s)
{
    ASSERT(s.size == 0 || s.data != NULL);
    return (struct unpack){.at = s.data, .end = s.data + s.size, .failed = false};
}

static size_t left(const struct unpack *u)
{
    return (size_t)(u->end - u->at);
}

/* The next `size` bytes, or NULL: failed. */
static const uint8_t *take(struct unpack *u, size_t size)
{
    if (u->failed || size > left(u)) {
        u->failed = true;
        return NULL;
    }
    const uint8_t *p = u->at;
    u->at += size;
    return p;
}

static uint8_t take_tag(struct unpack *u)
{
    const uint8_t *p = take(u, 1);
    return p != NULL ? *p : 0xc1; /* 0xc1 is never used: no type's reader accepts it */
}

/* A big-endian integer of 1, 2, 4 or 8 bytes. */
static uint64_t take_be(struct unpack *u, size_t size)
{
    const uint8_t *p = take(u, size);
    if (p == NULL) return 0;
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++) v = v << 8 | p[i];
    return v;
}

uint32_t unpack_array(struct unpack *u)
{
    uint8_t tag = take_tag(u);
    uint64_t count = 0;
    if ((tag & 0xf0u) == 0x90u) {
        count = tag & 0x0fu;
    } else if (tag == 0xdc) {
        count = take_be(u, 2);
    } else if (tag == 0xdd) {
        count = take_be(u, 4);
    } else {
        u->failed = true;
    }
    if (count > left(u)) u->failed = true; /* each element takes a byte at least */
    return u->failed ? 0 : (uint32_t)count;
}

uint32_t unpack_open(struct unpack *u, uint32_t expected_min)
{
    uint32_t count = unpack_array(u);
    if (count < expected_min) u->failed = true;
    return u->failed ? 0 : count - expected_min;
}

void unpack_close(struct unpack *u, uint32_t extra)
{
    for (uint32_t i = 0; i < extra && !u->failed; i++) unpack_skip(u);
}

bool unpack_array_of(struct unpack *u, uint32_t expected_min)
{
    (void)unpack_open(u, expected_min);
    return !u->failed;
}

/* An integer of any width. *negative: v is two's complement, below zero. */
static uint64_t take_integer(struct unpack *u, bool *negative)
{
    uint8_t tag = take_tag(u);
    *negative = false;
    if (tag <= 0x7f) return tag;
    if (tag >= 0xe0) {
        *negative = true;
        return (uint64_t)(int64_t)(int8_t)tag;
    }
    if (tag >= 0xcc && tag <= 0xcf) return take_be(u, (size_t)1 << (tag - 0xcc));
    if (tag >= 0xd0 && tag <= 0xd3) {
        unsigned bits = 8u << (tag - 0xd0);
        uint64_t v = take_be(u, bits / 8);
        *negative = (v >> (bits - 1)) != 0;
        if (*negative && bits < 64) v |= UINT64_MAX << bits;
        return v;
    }
    u->failed = true;
    return 0;
}

uint64_t unpack_uint(struct unpack *u)
{
    bool negative;
    uint64_t v = take_integer(u, &negative);
    if (negative) u->failed = true;
    return u->failed ? 0 : v;
}

int64_t unpack_int(struct unpack *u)
{
    bool negative;
    uint64_t v = take_integer(u, &negative);
    if (!negative && v > INT64_MAX) u->failed = true;
    return u->failed ? 0 : (int64_t)v;
}

bool unpack_bool(struct unpack *u)
{
    uint8_t tag = take_tag(u);
    if (tag != 0xc2 && tag != 0xc3) u->failed = true;
    return !u->failed && tag == 0xc3;
}

struct slice unpack_bin(struct unpack *u)
{
    uint8_t tag = take_tag(u);
    uint64_t size = 0;
    if ((tag & 0xe0u) == 0xa0u) {
        size = tag & 0x1fu;
    } else if (tag >= 0xc4 && tag <= 0xc6) {
        size = take_be(u, (size_t)1 << (tag - 0xc4));
    } else if (tag >= 0xd9 && tag <= 0xdb) {
        size = take_be(u, (size_t)1 << (tag - 0xd9));
    } else {
        u->failed = true;
    }
    const uint8_t *p = take(u, (size_t)size);
    return p != NULL ? slice_make(p, (size_t)size) : SLICE_EMPTY;
}

bool unpack_is_nil(struct unpack *u)
{
    if (u->failed || left(u) == 0 || *u->at != 0xc0) return false;
    u->at++;
    return true;
}

/* Passes over the value that `tag` begins, without its elements, whose number is returned. */
static uint64_t skip_head(struct unpack *u)
{
    uint8_t tag = take_tag(u);
    if (tag <= 0x7f || tag >= 0xe0 || tag == 0xc0 || tag == 0xc2 || tag == 0xc3) return 0;
    if ((tag & 0xf0u) == 0x80u) return 2u * (tag & 0x0fu);
    if ((tag & 0xf0u) == 0x90u) return tag & 0x0fu;
    uint64_t size = 0, elements = 0;
    if ((tag & 0xe0u) == 0xa0u) {
        size = tag & 0x1fu;
    } else if (tag >= 0xc4 && tag <= 0xc6) { /* bin */
        size = take_be(u, (size_t)1 << (tag - 0xc4));
    } else if (tag >= 0xc7 && tag <= 0xc9) { /* ext: size, a byte of type, the data */
        size = take_be(u, (size_t)1 << (tag - 0xc7)) + 1;
    } else if (tag == 0xca || tag == 0xcb) { /* float, double */
        size = tag == 0xca ? 4 : 8;
    } else if (tag >= 0xcc && tag <= 0xd3) { /* integers */
        size = (size_t)1 << ((tag - 0xcc) & 3);
    } else if (tag >= 0xd4 && tag <= 0xd8) { /* fixext */
        size = ((size_t)1 << (tag - 0xd4)) + 1;
    } else if (tag >= 0xd9 && tag <= 0xdb) { /* str */
        size = take_be(u, (size_t)1 << (tag - 0xd9));
    } else if (tag == 0xdc || tag == 0xdd) {
        elements = take_be(u, tag == 0xdc ? 2 : 4);
    } else if (tag == 0xde || tag == 0xdf) {
        elements = 2 * take_be(u, tag == 0xde ? 2 : 4);
    } else {
        u->failed = true; /* 0xc1 */
    }
    (void)take(u, (size_t)size);
    if (elements > left(u)) u->failed = true;
    return elements;
}

/* No recursion: what a sender nests must not decide how much stack is used. */
void unpack_skip(struct unpack *u)
{
    uint64_t open[SKIP_DEPTH_MAX]; /* elements still to come, per level */
    size_t depth = 0;
    open[0] = 1;
    for (;;) {
        while (open[depth] == 0) {
            if (depth == 0) return;
            depth--;
        }
        open[depth]--;
        uint64_t elements = skip_head(u);
        if (u->failed) return;
        if (elements == 0) continue;
        if (depth + 1 == SKIP_DEPTH_MAX) {
            u->failed = true;
            return;
        }
        open[++depth] = elements;
    }
}

bool unpack_done(const struct unpack *u)
{
    return !u->failed && u->at == u->end;
}
