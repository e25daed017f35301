#include "base/mem.h"
#include "lsm/block.h"

void block_builder_init(struct block_builder *b)
{
    *b = (struct block_builder){.bytes = BLOCK_TAIL_BYTES};
    buf_init(&b->rows, BLOCK_RAW_MAX);
    buf_init(&b->out, BLOCK_RAW_MAX);
}

void block_builder_free(struct block_builder *b)
{
    buf_free(&b->rows);
    buf_free(&b->out);
    mem_free(b->list);
    block_builder_init(b);
}

void block_builder_reset(struct block_builder *b)
{
    buf_clear(&b->rows);
    buf_clear(&b->out);
    b->count = 0;
    b->bytes = BLOCK_TAIL_BYTES;
}

static struct slice key_of(const struct block_builder *b, size_t i)
{
    return slice_make(b->rows.data + b->list[i].offset, b->list[i].key_size);
}

void block_builder_add(struct block_builder *b, const struct lsm_write *row)
{
    ASSERT(row->key.size >= 1);
    ASSERT(row->key.size <= LSM_KEY_MAX);
    if (b->count == b->capacity) {
        b->capacity = b->capacity > 0 ? b->capacity * 2 : 64;
        b->list = mem_realloc(b->list, b->capacity * sizeof(*b->list));
    }
    size_t shared = 0;
    if (b->count > 0) {
        struct slice before = key_of(b, b->count - 1);
        ASSERT_SLOW(row_cmp(before, b->list[b->count - 1].ts, row->key, row->ts) < 0);
        shared = key_shared(before, row->key);
    }
    b->list[b->count] = (struct block_row){.ts = row->ts,
                                           .offset = b->rows.size,
                                           .key_size = (uint32_t)row->key.size,
                                           .value_size = (uint32_t)row->value.size,
                                           .shared = (uint32_t)shared,
                                           .kind = row->kind};
    uint8_t *p = buf_extend(&b->rows, row->key.size + row->value.size);
    ASSERT(p != NULL);
    memcpy(p, row->key.data, row->key.size);
    if (row->value.size > 0) memcpy(p + row->key.size, row->value.data, row->value.size);
    b->bytes += row->key.size - shared + row->value.size + 8;
    b->count++;
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

static void put_entry(struct block_builder *b, size_t i, size_t prefix)
{
    const struct block_row *r = &b->list[i];
    size_t shared = i % BLOCK_RESTART_INTERVAL == 0 ? prefix : r->shared;
    size_t rest = r->key_size - shared + r->value_size; /* key and value lie one behind the other */
    uint8_t head[15], *p = write_varint(head, (uint32_t)(shared - prefix));
    p = write_varint(p, (uint32_t)(r->key_size - shared));
    p = write_varint(p, r->value_size << 2 | (uint32_t)r->kind);
    size_t head_size = (size_t)(p - head);
    uint8_t *out = buf_extend(&b->out, head_size + rest);
    ASSERT(out != NULL);
    memcpy(out, head, head_size);
    if (rest > 0) memcpy(out + head_size, b->rows.data + r->offset + shared, rest);
}

static uint64_t put_stamps(struct block_builder *b, unsigned *width)
{
    uint64_t low = b->list[0].ts, high = low;
    for (size_t i = 1; i < b->count; i++) {
        if (b->list[i].ts < low) low = b->list[i].ts;
        if (b->list[i].ts > high) high = b->list[i].ts;
    }
    *width = 0;
    while (*width < 8 && (high - low) >> (8 * *width) != 0) ++*width;
    uint8_t *p = *width > 0 ? buf_extend(&b->out, b->count * *width) : NULL;
    for (size_t i = 0; *width > 0 && i < b->count; i++) {
        uint64_t delta = b->list[i].ts - low;
        for (unsigned byte = 0; byte < *width; byte++, delta >>= 8) *p++ = (uint8_t)delta;
    }
    return low;
}

struct slice block_builder_finish(struct block_builder *b)
{
    ASSERT(b->count > 0);
    struct slice first = key_of(b, 0);
    size_t prefix = key_shared(first, key_of(b, b->count - 1)), restarts = (b->count - 1) / BLOCK_RESTART_INTERVAL + 1;
    struct buf offsets;
    buf_init(&offsets, BLOCK_RAW_MAX);
    for (size_t i = 0; i < b->count; i++) {
        if (i % BLOCK_RESTART_INTERVAL == 0) buf_put_u32(&offsets, (uint32_t)b->out.size);
        put_entry(b, i, prefix);
    }
    size_t entries = b->out.size;
    buf_append(&b->out, first.data, prefix);
    unsigned width;
    uint64_t low = put_stamps(b, &width);
    for (size_t i = 0; i < restarts; i++) buf_put_u64(&b->out, key_head(key_of(b, i * BLOCK_RESTART_INTERVAL), prefix));
    buf_append_slice(&b->out, buf_slice(&offsets));
    buf_free(&offsets);
    buf_put_u64(&b->out, low);
    buf_put_u32(&b->out, (uint32_t)entries);
    buf_put_u32(&b->out, (uint32_t)b->count);
    buf_put_u16(&b->out, (uint16_t)prefix);
    buf_put_u8(&b->out, (uint8_t)width);
    buf_put_u8(&b->out, BLOCK_RESTART_INTERVAL);
    ASSERT(!b->out.overflow);
    return buf_slice(&b->out);
}
