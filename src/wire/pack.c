/* Packing: msgpack-c's packer, whose output goes straight into the buffer. A buffer that is full remembers it (overflow),
 * so that the results of the single steps need not be looked at. */
#include "wire/wire.h"

#include "base/assert.h"

#include <msgpack/pack.h>

static int write_to_buf(void *data, const char *bytes, size_t size)
{
    struct buf *b = data;
    buf_append(b, bytes, size);
    return b->overflow ? -1 : 0;
}

/* Most of what is packed is small, and its head one byte: that is put here, what is larger is left to msgpack-c. */
enum { FIXARRAY = 0x90, FIXARRAY_MAX = 15, FIXINT_MAX = 0x7f };

static msgpack_packer packer_of(struct buf *b)
{
    msgpack_packer p;
    msgpack_packer_init(&p, b, write_to_buf);
    return p;
}

void pack_array(struct buf *b, uint32_t count)
{
    if (count <= FIXARRAY_MAX) {
        buf_append_byte(b, (uint8_t)(FIXARRAY | count));
        return;
    }
    msgpack_packer p = packer_of(b);
    (void)msgpack_pack_array(&p, count);
}

void pack_uint(struct buf *b, uint64_t v)
{
    if (v <= FIXINT_MAX) {
        buf_append_byte(b, (uint8_t)v);
        return;
    }
    msgpack_packer p = packer_of(b);
    (void)msgpack_pack_uint64(&p, v);
}

void pack_int(struct buf *b, int64_t v)
{
    msgpack_packer p = packer_of(b);
    (void)msgpack_pack_int64(&p, v);
}

void pack_bool(struct buf *b, bool v)
{
    msgpack_packer p = packer_of(b);
    (void)(v ? msgpack_pack_true(&p) : msgpack_pack_false(&p));
}

void pack_nil(struct buf *b)
{
    msgpack_packer p = packer_of(b);
    (void)msgpack_pack_nil(&p);
}

void pack_bin(struct buf *b, struct slice s)
{
    ASSERT(s.size <= UINT32_MAX);
    msgpack_packer p = packer_of(b);
    (void)msgpack_pack_bin(&p, s.size);
    buf_append_slice(b, s);
}

void pack_str(struct buf *b, const char *s)
{
    size_t size = strlen(s);
    ASSERT(size <= UINT32_MAX);
    msgpack_packer p = packer_of(b);
    (void)msgpack_pack_str(&p, size);
    buf_append(b, s, size);
}
