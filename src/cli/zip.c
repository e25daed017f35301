#include "cli/zip.h"

#include <string.h>
#include <zlib.h>

#define LOCAL_SIGNATURE 0x04034b50u
#define CENTRAL_SIGNATURE 0x02014b50u
#define END_SIGNATURE 0x06054b50u
#define VERSION 20u
#define METHOD_DEFLATE 8u
#define FLAG_UTF8 0x0800u
#define DATE_1980 0x0021u /* the first of January: what is in it says when it was made */

void zip_init(struct zip *z, size_t max)
{
    z->count = 0;
    buf_init(&z->bytes, max);
    buf_init(&z->directory, ZIP_FILES_MAX * 512);
}

void zip_free(struct zip *z)
{
    buf_free(&z->bytes);
    buf_free(&z->directory);
}

/* Deflated, without zlib's own head. 0: it did not go. */
static size_t deflate_into(struct slice content, uint8_t *to, size_t room)
{
    z_stream s;
    memset(&s, 0, sizeof s);
    if (deflateInit2(&s, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) return 0;
    s.next_in = (Bytef *)(uintptr_t)content.data;
    s.avail_in = (uInt)content.size;
    s.next_out = to;
    s.avail_out = (uInt)room;
    bool done = deflate(&s, Z_FINISH) == Z_STREAM_END;
    size_t size = room - s.avail_out;
    (void)deflateEnd(&s);
    return done ? size : 0;
}

/* What a file's head says in both places. */
static void put_head(struct buf *b, const char *name, uint32_t crc, size_t packed, size_t size)
{
    buf_put_u16(b, FLAG_UTF8);
    buf_put_u16(b, METHOD_DEFLATE);
    buf_put_u16(b, 0);
    buf_put_u16(b, DATE_1980);
    buf_put_u32(b, crc);
    buf_put_u32(b, (uint32_t)packed);
    buf_put_u32(b, (uint32_t)size);
    buf_put_u16(b, (uint16_t)strlen(name));
    buf_put_u16(b, 0);
}

bool zip_add(struct zip *z, const char *name, struct slice content)
{
    size_t at = z->bytes.size, bound = compressBound((uLong)content.size) + 64;
    if (z->count == ZIP_FILES_MAX || content.size > UINT32_MAX / 4) return false;
    struct buf packed;
    buf_init(&packed, bound);
    uint8_t *to = buf_extend(&packed, bound);
    size_t size = to == NULL ? 0 : deflate_into(content, to, bound);
    uint32_t crc = (uint32_t)crc32(0, content.data, (uInt)content.size);
    if (size > 0) {
        buf_put_u32(&z->bytes, LOCAL_SIGNATURE);
        buf_put_u16(&z->bytes, VERSION);
        put_head(&z->bytes, name, crc, size, content.size);
        buf_append_str(&z->bytes, name);
        buf_append(&z->bytes, packed.data, size);
    }
    buf_free(&packed);
    if (size == 0 || z->bytes.overflow) {
        z->bytes.size = at;
        z->bytes.overflow = false;
        return false;
    }
    z->count++;
    buf_put_u32(&z->directory, CENTRAL_SIGNATURE);
    buf_put_u16(&z->directory, VERSION);
    buf_put_u16(&z->directory, VERSION);
    put_head(&z->directory, name, crc, size, content.size);
    buf_put_u16(&z->directory, 0); /* comment, disk, attributes */
    buf_put_u16(&z->directory, 0);
    buf_put_u16(&z->directory, 0);
    buf_put_u32(&z->directory, 0);
    buf_put_u32(&z->directory, (uint32_t)at);
    buf_append_str(&z->directory, name);
    return !z->directory.overflow;
}

struct slice zip_end(struct zip *z)
{
    size_t at = z->bytes.size, size = z->directory.size;
    buf_append_slice(&z->bytes, buf_slice(&z->directory));
    buf_put_u32(&z->bytes, END_SIGNATURE);
    buf_put_u32(&z->bytes, 0); /* disks */
    buf_put_u16(&z->bytes, (uint16_t)z->count);
    buf_put_u16(&z->bytes, (uint16_t)z->count);
    buf_put_u32(&z->bytes, (uint32_t)size);
    buf_put_u32(&z->bytes, (uint32_t)at);
    buf_put_u16(&z->bytes, 0);
    return z->bytes.overflow ? SLICE_EMPTY : buf_slice(&z->bytes);
}
