/* Store keys: docs/formats/keys.md. */
#include "txn/txn_int.h"

#include "base/assert.h"

#define SPACE_USER 1u
#define HEAD_BYTES 5u /* space and keyspace */
#define TERMINATOR_BYTES 2u

static size_t escaped_size(struct slice user_key)
{
    size_t zeroes = 0;
    for (size_t i = 0; i < user_key.size; i++) zeroes += user_key.data[i] == 0;
    return user_key.size + zeroes;
}

static size_t bound_size(struct slice user_key)
{
    return HEAD_BYTES + escaped_size(user_key) + TERMINATOR_BYTES;
}

/* Writes head, escaped key and terminator; returns where they end. */
static uint8_t *bound_write(uint8_t *at, uint32_t keyspace, struct slice user_key)
{
    ASSERT(keyspace <= TXN_KEYSPACE_MAX);
    *at++ = SPACE_USER;
    be_set_u32(at, keyspace);
    at += 4;
    for (size_t i = 0; i < user_key.size; i++) {
        *at++ = user_key.data[i];
        if (user_key.data[i] == 0) *at++ = 0xff;
    }
    *at++ = 0x00;
    *at++ = 0x01;
    return at;
}

static void data_write(uint8_t *at, uint32_t keyspace, struct slice user_key)
{
    at = bound_write(at, keyspace, user_key);
    *at = ROW_DATA;
}

static void idempotency_write(uint8_t *at, uint32_t keyspace, struct slice anchor, const struct txn_id *id)
{
    at = bound_write(at, keyspace, anchor);
    *at++ = ROW_IDEMPOTENCY;
    memcpy(at, id->bytes, TXN_ID_BYTES);
}

static void held_write(uint8_t *at, uint32_t keyspace, struct slice range_start, const struct txn_id *id)
{
    at = bound_write(at, keyspace, range_start);
    *at++ = ROW_HELD;
    if (id != NULL) memcpy(at, id->bytes, TXN_ID_BYTES);
}

/* Inside an escaped user key no 0x01 follows a 0x00: so what stands there is the terminator, whatever the id's bytes are. */
bool key_is_idempotency(struct slice store_key)
{
    static const uint8_t before_id[] = {0x00, 0x01, ROW_IDEMPOTENCY};
    size_t tail = sizeof(before_id) + TXN_ID_BYTES;
    if (store_key.size < HEAD_BYTES + tail || store_key.data[0] != SPACE_USER) return false;
    return memcmp(store_key.data + store_key.size - tail, before_id, sizeof(before_id)) == 0;
}

void key_encode_beside_ids(struct buf *out, struct slice store_key, bool before)
{
    ASSERT(key_is_idempotency(store_key));
    buf_append(out, store_key.data, store_key.size - TXN_ID_BYTES - 1);
    buf_append_byte(out, before ? ROW_IDEMPOTENCY : ROW_IDEMPOTENCY + 1);
}

void key_encode_data(struct buf *out, uint32_t keyspace, struct slice user_key)
{
    uint8_t *at = buf_extend(out, bound_size(user_key) + 1);
    if (at != NULL) data_write(at, keyspace, user_key);
}

void key_encode_idempotency(struct buf *out, uint32_t keyspace, struct slice anchor, const struct txn_id *id)
{
    uint8_t *at = buf_extend(out, bound_size(anchor) + 1 + TXN_ID_BYTES);
    if (at != NULL) idempotency_write(at, keyspace, anchor, id);
}

void key_encode_held(struct buf *out, uint32_t keyspace, struct slice range_start, const struct txn_id *id)
{
    uint8_t *at = buf_extend(out, bound_size(range_start) + 1 + (id != NULL ? TXN_ID_BYTES : 0));
    if (at != NULL) held_write(at, keyspace, range_start, id);
}

void key_encode_range(struct buf *out, uint32_t keyspace, struct slice range_start)
{
    uint8_t *at = buf_extend(out, bound_size(range_start) + 1);
    if (at != NULL) *bound_write(at, keyspace, range_start) = ROW_RANGE;
}

/* Takes keyspace TXN_KEYSPACE_MAX + 1 with an empty key: the bound behind the last keyspace. */
void key_encode_bound(struct buf *out, uint32_t keyspace, struct slice user_key)
{
    bool whole = user_key.size == 0;
    uint8_t *at = buf_extend(out, whole ? HEAD_BYTES : bound_size(user_key));
    if (at == NULL) return;
    if (whole) {
        *at = SPACE_USER;
        be_set_u32(at + 1, keyspace);
    } else {
        (void)bound_write(at, keyspace, user_key);
    }
}

struct slice key_make_data(struct arena *arena, uint32_t keyspace, struct slice user_key)
{
    size_t size = bound_size(user_key) + 1;
    uint8_t *at = arena_alloc(arena, size);
    data_write(at, keyspace, user_key);
    return slice_make(at, size);
}

struct slice key_make_idempotency(struct arena *arena, uint32_t keyspace, struct slice anchor, const struct txn_id *id)
{
    size_t size = bound_size(anchor) + 1 + TXN_ID_BYTES;
    uint8_t *at = arena_alloc(arena, size);
    idempotency_write(at, keyspace, anchor, id);
    return slice_make(at, size);
}

struct slice key_make_held(struct arena *arena, uint32_t keyspace, struct slice range_start, const struct txn_id *id)
{
    size_t size = bound_size(range_start) + 1 + TXN_ID_BYTES;
    uint8_t *at = arena_alloc(arena, size);
    held_write(at, keyspace, range_start, id);
    return slice_make(at, size);
}

/* Finds the terminator behind `at` and checks every escape on the way; NULL if there is none. */
static const uint8_t *find_terminator(const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        at = memchr(at, 0, (size_t)(end - at));
        if (at == NULL || end - at < 2) return NULL;
        if (at[1] == 0x01) return at;
        if (at[1] != 0xff) return NULL;
        at += 2;
    }
    return NULL;
}

void key_user_of(struct slice store_key, struct buf *user)
{
    for (size_t i = HEAD_BYTES; i < store_key.size; i++) {
        uint8_t byte = store_key.data[i];
        if (byte == 0 && (i + 1 == store_key.size || store_key.data[i + 1] != 0xff)) return;
        buf_append_byte(user, byte);
        if (byte == 0) i++;
    }
}

enum status key_decode(struct slice store_key, uint32_t *keyspace, struct buf *user, enum row_type *type)
{
    if (store_key.size < HEAD_BYTES || store_key.data[0] != SPACE_USER) return STATUS_CORRUPT;
    const uint8_t *start = store_key.data + HEAD_BYTES;
    const uint8_t *end = store_key.data + store_key.size;
    const uint8_t *terminator = find_terminator(start, end);
    if (terminator == NULL || end - terminator < (ptrdiff_t)TERMINATOR_BYTES + 1) return STATUS_CORRUPT;
    const uint8_t *tail = terminator + TERMINATOR_BYTES;
    size_t tail_size = (size_t)(end - tail);
    bool with_id = tail[0] == ROW_IDEMPOTENCY || tail[0] == ROW_HELD;
    bool alone = tail[0] == ROW_DATA || tail[0] == ROW_RANGE;
    if (!(alone && tail_size == 1) && !(with_id && tail_size == 1 + TXN_ID_BYTES)) return STATUS_CORRUPT;
    *keyspace = be_u32(store_key.data + 1);
    if (*keyspace > TXN_KEYSPACE_MAX) return STATUS_CORRUPT;
    *type = (enum row_type)tail[0];
    for (const uint8_t *at = start; at < terminator;) {
        const uint8_t *zero = memchr(at, 0, (size_t)(terminator - at));
        const uint8_t *stop = zero != NULL ? zero + 1 : terminator;
        buf_append(user, at, (size_t)(stop - at));
        at = zero != NULL ? stop + 1 : stop; /* past the 0xFF */
    }
    return STATUS_OK;
}
