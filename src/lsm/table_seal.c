#include "lsm/table.h"

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "base/mutant.h"

#include <lz4.h>

#define SEALED_FEW 6144u /* a sealed block of no more bytes is read onto the stack */

enum seal_type { SEAL_RAW = 0, SEAL_LZ4 = 1 };

/* The checksum starts from the block's address, so that bytes which are right but stand in a wrong place, or come from an
 * older file that had this number, do not match. */
static uint32_t seal_crc(const struct table_id *id, uint64_t offset, const uint8_t *bytes, size_t size)
{
    uint8_t place[24];
    if (MUTANT(block_place_ignored)) return crc32c(0, bytes, size);
    le_set_u64(place, id->salt);
    le_set_u64(place + 8, id->number);
    le_set_u64(place + 16, offset);
    return crc32c(crc32c(0, place, sizeof(place)), bytes, size);
}

void table_seal(struct slice raw, bool compress, const struct table_id *id, uint64_t offset, struct buf *out)
{
    ASSERT(raw.size <= BLOCK_RAW_MAX);
    size_t start = out->size, packed = 0;
    if (compress) {
        int bound = LZ4_compressBound((int)raw.size);
        uint8_t *p = buf_extend(out, (size_t)bound);
        ASSERT(p != NULL);
        int n = LZ4_compress_default((const char *)raw.data, (char *)p, (int)raw.size, bound);
        if (n > 0 && (size_t)n < raw.size - raw.size / 8) packed = (size_t)n;
        out->size = start + packed;
    }
    if (packed == 0) buf_append_slice(out, raw);
    buf_put_u8(out, packed > 0 ? SEAL_LZ4 : SEAL_RAW);
    buf_put_u32(out, (uint32_t)raw.size);
    buf_put_u32(out, seal_crc(id, offset, out->data + start, out->size - start));
    ASSERT(!out->overflow);
}

static bool seal_valid(struct slice sealed, const struct table_id *id, uint64_t offset)
{
    if (sealed.size < TABLE_TRAILER_BYTES) return false;
    size_t body = sealed.size - 4;
    if (MUTANT(block_checksum_ignored)) return true;
    return le_u32(sealed.data + body) == seal_crc(id, offset, sealed.data, body);
}

void table_raw_free(struct table_room room, uint8_t *raw)
{
    if (!table_raw_in_room(room, raw)) mem_free(raw);
}

/* Where a raw block of that size goes: to the end of the room, if it fits, else into memory of its own. */
static uint8_t *place(struct table_room room, size_t size)
{
    return room.size > 0 && size <= room.size ? room.data + room.size - size : mem_alloc(size);
}

/* Unpacks a compressed block whose checksum is right. */
static bool unpack(struct slice sealed, struct table_room room, uint8_t **raw, size_t *raw_size)
{
    size_t packed = sealed.size - TABLE_TRAILER_BYTES;
    uint8_t type = sealed.data[packed];
    uint32_t size = le_u32(sealed.data + packed + 1);
    if (type != SEAL_LZ4 || size > BLOCK_RAW_MAX || packed > BLOCK_RAW_MAX) return false;
    uint8_t *p = place(room, size);
    if (LZ4_decompress_safe((const char *)sealed.data, (char *)p, (int)packed, (int)size) != (int)size) {
        table_raw_free(room, p);
        return false;
    }
    *raw = p;
    *raw_size = size;
    return true;
}

static bool seal_is_raw(struct slice sealed)
{
    size_t body = sealed.size - TABLE_TRAILER_BYTES;
    return sealed.data[body] == SEAL_RAW && le_u32(sealed.data + body + 1) == body;
}

static bool unseal(struct slice sealed, const struct table_id *id, uint64_t offset, struct table_room room,
                   uint8_t **raw, size_t *raw_size)
{
    if (!seal_valid(sealed, id, offset)) return false;
    if (!seal_is_raw(sealed)) return unpack(sealed, room, raw, raw_size);
    *raw_size = sealed.size - TABLE_TRAILER_BYTES;
    *raw = place(room, *raw_size);
    if (*raw_size > 0) memcpy(*raw, sealed.data, *raw_size);
    return true;
}

bool table_unseal(struct slice sealed, const struct table_id *id, uint64_t offset, uint8_t **raw, size_t *raw_size)
{
    return unseal(sealed, id, offset, TABLE_NO_ROOM, raw, raw_size);
}

/* A bad sector is an error of the disk's, not a wrong checksum; one that was passing is not to cost any rows. */
enum status table_read_bytes(struct table *t, uint64_t offset, uint8_t *bytes, size_t size)
{
    size_t got = 0;
    enum status s = disk_read(t->file, offset, bytes, size, &got);
    if (s == STATUS_IO) s = disk_read(t->file, offset, bytes, size, &got);
    if (s == STATUS_IO) t->unreadable = true;
    return s == STATUS_IO || (s == STATUS_OK && got < size) ? STATUS_CORRUPT : s;
}

enum status table_read(struct table *t, uint64_t offset, uint32_t size, struct table_room room, uint8_t **raw,
                       size_t *raw_size)
{
    const struct table_id *id = &t->id;
    if (size < TABLE_TRAILER_BYTES || offset > id->size || size > id->size - offset) return STATUS_CORRUPT;
    uint8_t few[SEALED_FEW], *bytes = size <= sizeof(few) ? few : mem_alloc(size);
    enum status s = table_read_bytes(t, offset, bytes, size);
    if (s == STATUS_OK && !unseal(slice_make(bytes, size), id, offset, room, raw, raw_size)) s = STATUS_CORRUPT;
    if (bytes != few) mem_free(bytes);
    return s;
}

bool table_unseal_block(const struct table *t, uint32_t at, struct slice sealed, struct table_room room, uint8_t **raw,
                        struct block *block)
{
    size_t size = 0;
    if (!unseal(sealed, &t->id, t->blocks[at].offset, room, raw, &size)) return false;
    if (block_parse(slice_make(*raw, size), block)) return true;
    table_raw_free(room, *raw);
    return false;
}

enum status table_read_block(struct table *t, uint32_t at, struct table_room room, uint8_t **raw, struct block *block)
{
    size_t size = 0;
    enum status s = table_read(t, t->blocks[at].offset, t->blocks[at].size, room, raw, &size);
    if (s != STATUS_OK) return s;
    if (block_parse(slice_make(*raw, size), block)) return STATUS_OK;
    table_raw_free(room, *raw);
    return STATUS_CORRUPT;
}
