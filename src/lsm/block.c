#include "lsm/block.h"

#include "base/cursor.h"
#include "base/mem.h"

/* --- reading --- */

static uint64_t stamp(const struct block *b, uint32_t at)
{
    if (b->ts_width == 0) return b->ts_base;
    uint64_t delta = load_le64(b->stamps + (size_t)at * b->ts_width); /* the heads behind make 8 bytes readable */
    if (b->ts_width < 8) delta &= (1ull << (8 * b->ts_width)) - 1;
    return b->ts_base + delta;
}

bool block_parse(struct slice raw, struct block *b)
{
    if (raw.size < BLOCK_TAIL_BYTES || raw.size > BLOCK_RAW_MAX) return false;
    const uint8_t *tail = raw.data + raw.size - BLOCK_TAIL_BYTES;
    *b = (struct block){.data = raw.data,
                        .ts_base = load_le64(tail),
                        .entries_size = load_le32(tail + 8),
                        .count = load_le32(tail + 12),
                        .prefix = le_u16(tail + 16),
                        .ts_width = tail[18],
                        .interval = tail[19]};
    if (b->count == 0 || b->ts_width > 8 || b->interval == 0) return false;
    b->restart_count = (b->count - 1) / b->interval + 1;
    uint64_t size = (uint64_t)b->entries_size + (uint64_t)b->count * b->ts_width + (uint64_t)b->restart_count * 12 +
                    BLOCK_TAIL_BYTES;
    if (size != raw.size) return false;
    b->stamps = raw.data + b->entries_size;
    b->heads = b->stamps + (size_t)b->count * b->ts_width;
    b->offsets = b->heads + (size_t)b->restart_count * 8;
    return true;
}

static inline const uint8_t *read_varint(const uint8_t *p, const uint8_t *end, uint32_t *v)
{
    if (p < end && *p < 0x80) {
        *v = *p;
        return p + 1;
    }
    uint32_t result = 0;
    for (unsigned shift = 0; shift < 35 && p < end; shift += 7) {
        uint32_t byte = *p++;
        if (shift == 28 && byte > 15) return NULL;
        result |= (byte & 0x7fu) << shift;
        if (byte < 0x80) {
            *v = result;
            return p;
        }
    }
    return NULL;
}

/* Decodes the entry at c->next as row number `at`; the key buffer must hold the key of the row before it. */
static enum status decode(struct block_cursor *c, uint32_t at)
{
    const struct block *b = c->block;
    const uint8_t *end = b->data + b->entries_size;
    const uint8_t *p = b->data + c->next;
    uint32_t shared, more, value;
    if (c->next >= b->entries_size) return STATUS_CORRUPT;
    if ((p = read_varint(p, end, &shared)) == NULL) return STATUS_CORRUPT;
    if ((p = read_varint(p, end, &more)) == NULL) return STATUS_CORRUPT;
    if ((p = read_varint(p, end, &value)) == NULL) return STATUS_CORRUPT;
    uint32_t value_size = value >> 1;
    if (shared > c->key.size || (uint64_t)more + value_size > (uint64_t)(end - p)) return STATUS_CORRUPT;
    if ((uint64_t)shared + more > LSM_KEY_MAX || shared + more < b->prefix || shared + more == 0) return STATUS_CORRUPT;
    keybuf_set(&c->key, shared, p, more);
    c->row = (struct lsm_write){.kind = (value & 1u) != 0 ? LSM_PUT : LSM_DELETE,
                                .key = keybuf_slice(&c->key),
                                .ts = stamp(b, at),
                                .value = slice_make(p + more, value_size)};
    c->next = (uint32_t)(p + more + value_size - b->data);
    c->at = at;
    return STATUS_OK;
}

static enum status to_restart(struct block_cursor *c, uint32_t restart)
{
    c->next = load_le32(c->block->offsets + (size_t)restart * 4);
    c->key.size = 0;
    return decode(c, restart * c->block->interval);
}

void block_cursor_free(struct block_cursor *c)
{
    keybuf_free(&c->key);
    c->block = NULL;
}

enum status block_first(struct block_cursor *c, const struct block *b)
{
    c->block = b;
    return to_restart(c, 0);
}

enum status block_next(struct block_cursor *c)
{
    if (c->at + 1 >= c->block->count) {
        c->at = c->block->count;
        return STATUS_END;
    }
    return decode(c, c->at + 1);
}

static enum status to_ordinal(struct block_cursor *c, uint32_t at)
{
    enum status s = to_restart(c, at / c->block->interval);
    while (s == STATUS_OK && c->at < at) s = decode(c, c->at + 1);
    return s;
}

enum status block_last(struct block_cursor *c, const struct block *b)
{
    c->block = b;
    return to_ordinal(c, b->count - 1);
}

enum status block_prev(struct block_cursor *c)
{
    if (c->at == 0) {
        c->at = c->block->count;
        return STATUS_END;
    }
    return to_ordinal(c, c->at - 1);
}

/* The number of restarts whose row is before (key, ts); the key has the block's prefix. */
static enum status restarts_before(struct block_cursor *c, struct slice key, uint64_t ts, uint32_t *out)
{
    const struct block *b = c->block;
    uint64_t head = key_head(key, b->prefix);
    uint32_t low = 0, high = b->restart_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint64_t h = load_le64(b->heads + (size_t)middle * 8);
        bool before = h < head;
        if (h == head) {
            enum status s = to_restart(c, middle);
            if (s != STATUS_OK) return s;
            before = row_cmp(c->row.key, c->row.ts, key, ts) < 0;
        }
        if (before) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *out = low;
    return STATUS_OK;
}

/* < 0: the key is before all keys with the block's prefix, > 0: after, 0: it has the prefix. c is at the first row. */
static int cmp_prefix(const struct block_cursor *c, struct slice key)
{
    struct slice prefix = slice_make(c->row.key.data, c->block->prefix);
    if (prefix.size == 0 || slice_starts(key, prefix)) return 0;
    return slice_cmp(key, prefix);
}

enum status block_seek(struct block_cursor *c, const struct block *b, struct slice key, uint64_t ts)
{
    enum status s = block_first(c, b);
    if (s != STATUS_OK) return s;
    int order = cmp_prefix(c, key);
    if (order < 0) return STATUS_OK;
    if (order > 0) {
        c->at = b->count;
        return STATUS_END;
    }
    uint32_t restarts = 0;
    s = restarts_before(c, key, ts, &restarts);
    if (s == STATUS_OK) s = to_restart(c, restarts > 0 ? restarts - 1 : 0);
    while (s == STATUS_OK && row_cmp(c->row.key, c->row.ts, key, ts) < 0) s = block_next(c);
    return s;
}

enum status block_seek_before(struct block_cursor *c, const struct block *b, struct slice key, uint64_t ts)
{
    enum status s = block_seek(c, b, key, ts);
    if (s == STATUS_END) return block_last(c, b);
    return s == STATUS_OK ? block_prev(c) : s;
}

/* --- building --- */

void block_builder_init(struct block_builder *b)
{
    *b = (struct block_builder){.count = 0};
    buf_init(&b->out, BLOCK_RAW_MAX);
}

void block_builder_free(struct block_builder *b)
{
    buf_free(&b->out);
    keybuf_free(&b->last);
    keybuf_free(&b->first);
    mem_free(b->stamps);
    mem_free(b->restarts);
    block_builder_init(b);
}

void block_builder_reset(struct block_builder *b)
{
    buf_clear(&b->out);
    b->count = b->restart_count = 0;
    b->last.size = b->first.size = 0;
}

static void remember(struct block_builder *b, uint64_t ts, bool restart)
{
    if (b->count == b->stamps_capacity) {
        b->stamps_capacity = b->stamps_capacity > 0 ? b->stamps_capacity * 2 : 64;
        b->stamps = mem_realloc(b->stamps, b->stamps_capacity * sizeof(*b->stamps));
    }
    b->stamps[b->count] = ts;
    if (!restart) return;
    if (b->restart_count == b->restarts_capacity) {
        b->restarts_capacity = b->restarts_capacity > 0 ? b->restarts_capacity * 2 : 16;
        b->restarts = mem_realloc(b->restarts, b->restarts_capacity * sizeof(*b->restarts));
    }
    b->restarts[b->restart_count++] = (uint32_t)b->out.size;
}

static uint8_t *write_varint(uint8_t *p, uint32_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80u);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

void block_builder_add(struct block_builder *b, const struct lsm_write *row)
{
    ASSERT(row->key.size >= 1);
    ASSERT(row->key.size <= LSM_KEY_MAX);
    if (b->count > 0) ASSERT_SLOW(row_cmp(keybuf_slice(&b->last), b->last_ts, row->key, row->ts) < 0);
    bool restart = b->count % BLOCK_RESTART_INTERVAL == 0;
    size_t shared = restart ? 0 : key_shared(keybuf_slice(&b->last), row->key);
    size_t more = row->key.size - shared;
    remember(b, row->ts, restart);
    uint8_t head[15], *p = write_varint(head, (uint32_t)shared);
    p = write_varint(p, (uint32_t)more);
    p = write_varint(p, (uint32_t)row->value.size << 1 | (row->kind == LSM_PUT ? 1u : 0u));
    size_t head_size = (size_t)(p - head);
    uint8_t *out = buf_extend(&b->out, head_size + more + row->value.size);
    ASSERT(out != NULL);
    memcpy(out, head, head_size);
    memcpy(out + head_size, row->key.data + shared, more);
    if (row->value.size > 0) memcpy(out + head_size + more, row->value.data, row->value.size);
    if (b->count == 0) keybuf_set(&b->first, 0, row->key.data, row->key.size);
    keybuf_set(&b->last, shared, row->key.data + shared, more);
    b->last_ts = row->ts;
    b->count++;
}

size_t block_builder_bytes(const struct block_builder *b)
{
    return b->out.size + (size_t)b->count * 4 + (size_t)b->restart_count * 12 + BLOCK_TAIL_BYTES;
}

static struct slice restart_key(const struct block_builder *b, uint32_t restart)
{
    struct cursor c = cursor_make(slice_make(b->out.data + b->restarts[restart], b->out.size - b->restarts[restart]));
    (void)cursor_varint(&c); /* shared: 0 */
    uint64_t size = cursor_varint(&c);
    (void)cursor_varint(&c);
    return cursor_bytes(&c, (size_t)size);
}

static void put_stamps(struct block_builder *b, uint64_t base, unsigned width)
{
    uint8_t *p = width > 0 ? buf_extend(&b->out, (size_t)b->count * width) : NULL;
    for (uint32_t i = 0; width > 0 && i < b->count; i++) {
        uint64_t delta = b->stamps[i] - base;
        for (unsigned byte = 0; byte < width; byte++, delta >>= 8) *p++ = (uint8_t)delta;
    }
}

struct slice block_builder_finish(struct block_builder *b)
{
    ASSERT(b->count > 0);
    uint64_t low = b->stamps[0], high = low;
    for (uint32_t i = 1; i < b->count; i++) {
        if (b->stamps[i] < low) low = b->stamps[i];
        if (b->stamps[i] > high) high = b->stamps[i];
    }
    unsigned width = 0;
    while (width < 8 && (high - low) >> (8 * width) != 0) width++;
    size_t prefix = key_shared(keybuf_slice(&b->first), keybuf_slice(&b->last));
    size_t entries = b->out.size;
    put_stamps(b, low, width);
    for (uint32_t i = 0; i < b->restart_count; i++) buf_put_u64(&b->out, key_head(restart_key(b, i), prefix));
    for (uint32_t i = 0; i < b->restart_count; i++) buf_put_u32(&b->out, b->restarts[i]);
    buf_put_u64(&b->out, low);
    buf_put_u32(&b->out, (uint32_t)entries);
    buf_put_u32(&b->out, b->count);
    buf_put_u16(&b->out, (uint16_t)prefix);
    buf_put_u8(&b->out, (uint8_t)width);
    buf_put_u8(&b->out, BLOCK_RESTART_INTERVAL);
    ASSERT(!b->out.overflow);
    return buf_slice(&b->out);
}
