/* Values of rows: docs/formats/keys.md. */
#include "txn/txn_int.h"

#include "base/assert.h"
#include "base/hash.h"

#define IDEMPOTENCY_FORMAT 1u
#define COUNTER_BYTES 16u
#define ROW_TTL 3u /* format byte: raw, with a time to live before the bytes */
#define TTL_BYTES 8u
#define HASH_BYTES 16u

enum status row_decode(struct slice stored, struct row *out)
{
    *out = (struct row){.format = ROW_RAW, .raw = SLICE_EMPTY};
    if (stored.size == 0) return STATUS_CORRUPT;
    struct slice payload = slice_make(stored.data + 1, stored.size - 1);
    switch (stored.data[0]) {
    case ROW_RAW: out->raw = payload; return STATUS_OK;
    case ROW_TTL:
        if (payload.size < TTL_BYTES) return STATUS_CORRUPT;
        out->ttl_ms = le_u64(payload.data);
        out->raw = slice_make(payload.data + TTL_BYTES, payload.size - TTL_BYTES);
        return out->ttl_ms > 0 && out->ttl_ms <= LIMIT_TTL_MS ? STATUS_OK : STATUS_CORRUPT;
    case ROW_COUNTER:
        if (payload.size != COUNTER_BYTES) return STATUS_CORRUPT;
        out->format = ROW_COUNTER;
        out->counter = i128_decode(payload.data);
        return STATUS_OK;
    default: return STATUS_CORRUPT;
    }
}

uint64_t row_expires(const struct row *r, uint64_t version)
{
    uint64_t life = r->ttl_ms << TS_COUNTER_BITS;
    return r->ttl_ms == 0 || version > ROW_NEVER_EXPIRES - life ? ROW_NEVER_EXPIRES : version + life;
}

uint64_t row_stored_expires(struct slice store_key, uint64_t version, struct slice value)
{
    static const uint8_t data_key_ends[] = {0x00, 0x01, ROW_DATA};
    struct row row;
    if (key_is_idempotency(store_key)) return idempotency_row_expires(version);
    if (value.size == 0 || value.data[0] != ROW_TTL || store_key.size < sizeof(data_key_ends)) return ROW_NEVER_EXPIRES;
    const uint8_t *end = store_key.data + store_key.size - sizeof(data_key_ends);
    if (memcmp(end, data_key_ends, sizeof(data_key_ends)) != 0) return ROW_NEVER_EXPIRES;
    return row_decode(value, &row) == STATUS_OK ? row_expires(&row, version) : ROW_NEVER_EXPIRES;
}

uint64_t idempotency_row_expires(uint64_t version)
{
    return row_expires(&(struct row){.ttl_ms = LIMIT_ID_LIFE_MS}, version);
}

struct slice row_value(const struct row *r, char text[I128_TEXT_MAX])
{
    if (r->format == ROW_RAW) return r->raw;
    i128_format(r->counter, text);
    return slice_str(text);
}

struct slice row_make_raw(struct arena *arena, struct slice value, uint64_t ttl_ms)
{
    size_t head = ttl_ms > 0 ? 1 + TTL_BYTES : 1;
    uint8_t *at = arena_alloc(arena, head + value.size);
    at[0] = ttl_ms > 0 ? ROW_TTL : ROW_RAW;
    if (ttl_ms > 0) le_set_u64(at + 1, ttl_ms);
    if (value.size > 0) memcpy(at + head, value.data, value.size);
    return slice_make(at, head + value.size);
}

struct revised revised_read(struct slice raw, uint64_t version)
{
    struct revised r = {.created = version, .count = 1, .value = raw};
    if (raw.size < REVISED_HEAD_BYTES) return r;
    uint64_t created = le_u64(raw.data);
    if (created != 0) r.created = created;
    r.count = le_u64(raw.data + 8);
    r.lease = le_u64(raw.data + 16);
    r.value = slice_make(raw.data + REVISED_HEAD_BYTES, raw.size - REVISED_HEAD_BYTES);
    return r;
}

struct slice revised_make(struct arena *arena, const struct revised *r)
{
    uint8_t *at = arena_alloc(arena, REVISED_HEAD_BYTES + r->value.size);
    le_set_u64(at, r->created);
    le_set_u64(at + 8, r->count);
    le_set_u64(at + 16, r->lease);
    if (r->value.size > 0) memcpy(at + REVISED_HEAD_BYTES, r->value.data, r->value.size);
    return slice_make(at, REVISED_HEAD_BYTES + r->value.size);
}

struct slice row_make_counter(struct arena *arena, i128 value)
{
    uint8_t *at = arena_alloc(arena, 1 + COUNTER_BYTES);
    at[0] = ROW_COUNTER;
    i128_encode(value, at + 1);
    return slice_make(at, 1 + COUNTER_BYTES);
}

/* Two independent 64-bit hashes: that two different requests under one id look alike is then out of the question. The keyspace's
 * time to live is left out: it may be altered between an attempt and its repetition. */
struct request_hash request_hash_of(struct slice encoded)
{
    encoded = txn_without_default_ttl(encoded);
    return (struct request_hash){.first = hash_bytes(encoded, 1), .second = hash_bytes(encoded, 2)};
}

struct slice idempotency_row_make(struct arena *arena, struct request_hash hash, struct slice result)
{
    ASSERT(result.data[TXN_RESULT_REPLAYED_OFFSET] == 0);
    size_t size = 1 + HASH_BYTES + result.size;
    uint8_t *at = arena_alloc(arena, size);
    at[0] = IDEMPOTENCY_FORMAT;
    le_set_u64(at + 1, hash.first);
    le_set_u64(at + 9, hash.second);
    memcpy(at + 1 + HASH_BYTES, result.data, result.size);
    return slice_make(at, size);
}

enum status idempotency_row_decode(struct slice stored, struct request_hash *hash, struct slice *result)
{
    if (stored.size <= 1 + HASH_BYTES + TXN_RESULT_REPLAYED_OFFSET || stored.data[0] != IDEMPOTENCY_FORMAT) {
        return STATUS_CORRUPT;
    }
    hash->first = le_u64(stored.data + 1);
    hash->second = le_u64(stored.data + 9);
    *result = slice_make(stored.data + 1 + HASH_BYTES, stored.size - 1 - HASH_BYTES);
    return STATUS_OK;
}

enum status txn_stored_answer(struct slice stored, struct slice *answer)
{
    struct request_hash hash;
    return idempotency_row_decode(stored, &hash, answer);
}
