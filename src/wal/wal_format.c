#include "wal/wal_format.h"

#include "base/assert.h"
#include "base/crc32c.h"

static const uint8_t segment_magic[8] = {'Q', 'U', 'O', 'W', 'A', 'L', 'S', 'G'};
static const uint8_t batch_magic[4] = {'Q', 'W', 'B', 'A'};
#define VERSION 1u
#define SEGMENT_CRC_AT 68u
#define BATCH_CRC_AT 76u

static bool all_zero(const uint8_t *p, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++) any |= p[i];
    return any == 0;
}

void wal_segment_header_encode(const struct wal_segment_header *h, uint8_t block[WAL_BLOCK])
{
    ASSERT((h->log_id != 0) == (h->epoch != 0));
    ASSERT((h->first_batch != 0) == (h->epoch != 0));
    ASSERT((h->oldest_epoch != 0) == (h->epoch != 0));
    ASSERT(h->oldest_epoch <= h->epoch);
    memset(block, 0, WAL_BLOCK);
    memcpy(block, segment_magic, sizeof segment_magic);
    le_set_u32(block + 8, VERSION);
    le_set_u64(block + 16, h->log_id);
    le_set_u64(block + 24, h->segment);
    le_set_u64(block + 32, h->epoch);
    le_set_u64(block + 40, h->segment_bytes);
    le_set_u64(block + 48, h->first_batch);
    le_set_u64(block + 56, h->oldest_epoch);
    le_set_u32(block + 64, h->chain);
    le_set_u32(block + SEGMENT_CRC_AT, crc32c(0, block, SEGMENT_CRC_AT));
}

enum status wal_segment_header_decode(const uint8_t block[WAL_BLOCK], struct wal_segment_header *h)
{
    if (memcmp(block, segment_magic, sizeof segment_magic) != 0) return STATUS_NOT_FOUND;
    if (le_u32(block + SEGMENT_CRC_AT) != crc32c(0, block, SEGMENT_CRC_AT)) return STATUS_NOT_FOUND;
    if (le_u32(block + 8) > VERSION) return STATUS_UNSUPPORTED;
    *h = (struct wal_segment_header){.log_id = le_u64(block + 16),
                                     .segment = le_u64(block + 24),
                                     .epoch = le_u64(block + 32),
                                     .segment_bytes = le_u64(block + 40),
                                     .first_batch = le_u64(block + 48),
                                     .oldest_epoch = le_u64(block + 56),
                                     .chain = le_u32(block + 64)};
    bool used = h->epoch != 0;
    bool fine = le_u32(block + 8) == VERSION && le_u32(block + 12) == 0 && all_zero(block + 72, WAL_BLOCK - 72) &&
                (h->log_id != 0) == used && (h->first_batch != 0) == used && (h->oldest_epoch != 0) == used &&
                h->oldest_epoch <= h->epoch;
    return fine ? STATUS_OK : STATUS_NOT_FOUND;
}

void wal_batch_header_encode(struct wal_batch_header *h, uint8_t bytes[WAL_BATCH_HEADER])
{
    ASSERT(h->number != 0);
    ASSERT(h->synced_through < h->number);
    ASSERT(h->payload_bytes <= WAL_PAYLOAD_MAX);
    memset(bytes, 0, WAL_BATCH_HEADER);
    memcpy(bytes, batch_magic, sizeof batch_magic);
    bytes[4] = VERSION;
    le_set_u64(bytes + 8, h->log_id);
    le_set_u64(bytes + 16, h->segment);
    le_set_u64(bytes + 24, h->epoch);
    le_set_u64(bytes + 32, h->offset);
    le_set_u64(bytes + 40, h->number);
    le_set_u64(bytes + 48, h->synced_through);
    le_set_u32(bytes + 56, h->payload_bytes);
    le_set_u32(bytes + 60, h->records);
    le_set_u32(bytes + 64, h->chain);
    le_set_u32(bytes + 68, h->payload_crc);
    h->crc = crc32c(0, bytes, BATCH_CRC_AT);
    le_set_u32(bytes + BATCH_CRC_AT, h->crc);
}

enum status wal_batch_header_decode(const uint8_t bytes[WAL_BATCH_HEADER], struct wal_batch_header *h)
{
    if (memcmp(bytes, batch_magic, sizeof batch_magic) != 0) return STATUS_NOT_FOUND;
    uint32_t crc = le_u32(bytes + BATCH_CRC_AT);
    if (crc != crc32c(0, bytes, BATCH_CRC_AT)) return STATUS_NOT_FOUND;
    if (le_u16(bytes + 4) > VERSION) return STATUS_UNSUPPORTED;
    *h = (struct wal_batch_header){.log_id = le_u64(bytes + 8),
                                   .segment = le_u64(bytes + 16),
                                   .epoch = le_u64(bytes + 24),
                                   .offset = le_u64(bytes + 32),
                                   .number = le_u64(bytes + 40),
                                   .synced_through = le_u64(bytes + 48),
                                   .payload_bytes = le_u32(bytes + 56),
                                   .records = le_u32(bytes + 60),
                                   .chain = le_u32(bytes + 64),
                                   .payload_crc = le_u32(bytes + 68),
                                   .crc = crc};
    bool fine = le_u16(bytes + 4) == VERSION && le_u16(bytes + 6) == 0 && le_u32(bytes + 72) == 0 && h->number != 0 &&
                h->synced_through < h->number && h->payload_bytes <= WAL_PAYLOAD_MAX;
    return fine ? STATUS_OK : STATUS_NOT_FOUND;
}

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

size_t wal_record_encode_head(const struct wal_record *r, uint8_t head[WAL_RECORD_HEAD_MAX])
{
    ASSERT(r->group != 0);
    uint8_t *p = head;
    *p++ = (uint8_t)r->kind;
    p = put_varint(p, r->group);
    switch (r->kind) {
    case WAL_GROUP: p = put_varint(p, r->state.size); break;
    case WAL_GROUP_DROPPED: break;
    case WAL_HARD_STATE:
        p = put_varint(p, r->hard_state.term);
        p = put_varint(p, r->hard_state.vote);
        p = put_varint(p, r->hard_state.commit);
        break;
    case WAL_ENTRY:
        p = put_varint(p, r->entry.index);
        p = put_varint(p, r->entry.term);
        *p++ = r->entry.type;
        p = put_varint(p, r->entry.data.size);
        break;
    case WAL_RESET:
        p = put_varint(p, r->entry.index);
        p = put_varint(p, r->entry.term);
        break;
    }
    ASSERT((size_t)(p - head) <= WAL_RECORD_HEAD_MAX);
    return (size_t)(p - head);
}

/* Most of them have one byte: replay spends its time here. */
static inline uint64_t get_varint(struct cursor *c)
{
    if (c->at < c->end && *c->at < 0x80) return *c->at++;
    return cursor_varint(c);
}

enum status wal_record_decode(struct cursor *c, struct wal_record *r)
{
    uint8_t kind = cursor_u8(c);
    if (c->failed || kind == 0) return STATUS_CORRUPT;
    if (kind > WAL_RESET) return STATUS_UNSUPPORTED;
    r->kind = (enum wal_record_kind)kind;
    r->group = get_varint(c);
    switch (r->kind) {
    case WAL_GROUP: r->state = cursor_bytes(c, (size_t)get_varint(c)); break;
    case WAL_GROUP_DROPPED: break;
    case WAL_HARD_STATE:
        r->hard_state.term = get_varint(c);
        r->hard_state.vote = get_varint(c);
        r->hard_state.commit = get_varint(c);
        break;
    case WAL_ENTRY:
        r->entry.index = get_varint(c);
        r->entry.term = get_varint(c);
        r->entry.type = cursor_u8(c);
        r->entry.data = cursor_bytes(c, (size_t)get_varint(c));
        break;
    case WAL_RESET:
        r->entry.index = get_varint(c);
        r->entry.term = get_varint(c);
        break;
    }
    return c->failed || r->group == 0 ? STATUS_CORRUPT : STATUS_OK;
}
