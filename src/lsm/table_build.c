#include "lsm/table_build.h"

#include "base/mem.h"
#include "base/mutant.h"
#include "lsm/bloom.h"
#include "lsm/table_int.h"

#define WRITE_BYTES (256u * 1024u) /* per disk write, about */
/* Per sync: what is written goes to the disk little by little, so that no burst makes the log wait. */
#define SYNC_BYTES (512u * 1024u)

struct table_builder {
    struct table_id id;
    struct table_build_options options;
    char path[TABLE_PATH_MAX];
    struct disk_file *file;
    struct block_builder block;
    struct buf out;   /* sealed bytes that are not written yet */
    uint64_t written; /* bytes in the file */
    uint64_t synced;
    uint64_t block_start; /* offset of the block being filled */
    struct buf index;
    uint32_t block_count;
    struct keybuf last; /* the row added last */
    uint64_t last_ts;
    struct keybuf smallest;
    uint64_t *hashes; /* of the different keys */
    size_t hashes_capacity;
    struct table_props props;
};

enum status table_builder_new(struct disk *d, const char *dir, const struct table_id *id,
                              const struct table_build_options *options, struct table_builder **out, struct errbuf *err)
{
    struct table_builder *b = mem_zalloc(sizeof(*b));
    b->id = *id;
    b->options = *options;
    b->props.ts_min = UINT64_MAX;
    block_builder_init(&b->block);
    buf_init(&b->out, SIZE_MAX / 2);
    buf_init(&b->index, TABLE_SECTION_MAX);
    table_path(b->path, dir, id->number);
    enum status s = disk_open(d, b->path, DISK_READ | DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &b->file, err);
    if (s != STATUS_OK) {
        table_builder_free(b);
        return s;
    }
    *out = b;
    return STATUS_OK;
}

void table_builder_free(struct table_builder *b)
{
    if (b == NULL) return;
    disk_close(b->file);
    block_builder_free(&b->block);
    buf_free(&b->out);
    buf_free(&b->index);
    keybuf_free(&b->last);
    keybuf_free(&b->smallest);
    mem_free(b->hashes);
    mem_free(b);
}

/* In whole units of the disk until the end: an encrypting one below (vault/) wants it so. */
static enum status write_out(struct table_builder *b, bool all)
{
    size_t size = all ? b->out.size : b->out.size / DISK_ALIGN * DISK_ALIGN;
    if (size == 0) return STATUS_OK;
    enum status s = disk_write(b->file, b->written, b->out.data, size);
    if (s != STATUS_OK) return s;
    b->written += size;
    buf_consume(&b->out, size);
    if (b->written - b->synced < SYNC_BYTES) return STATUS_OK;
    b->synced = b->written;
    return disk_sync(b->file);
}

/* Where the next sealed byte will stand. */
static uint64_t position(const struct table_builder *b)
{
    return b->written + b->out.size;
}

/* The index entry of a block is opened with its lower bound when its first row comes: as short a key as tells it from the
 * row before, or that row's own key and timestamp if both have the same key. */
static void index_open(struct table_builder *b, const struct lsm_write *row)
{
    size_t size = 0;
    uint64_t ts = LSM_TS_MAX;
    if (b->props.rows > 0) {
        size_t shared = key_shared(keybuf_slice(&b->last), row->key);
        if (shared == row->key.size) {
            size = shared;
            ts = row->ts;
        } else {
            size = shared + 1;
        }
    }
    buf_put_varint(&b->index, size);
    buf_append(&b->index, row->key.data, size);
    buf_put_u64(&b->index, ts);
}

static enum status block_close(struct table_builder *b)
{
    table_seal(block_builder_finish(&b->block), b->options.compress, &b->id, b->block_start, &b->out);
    buf_put_varint(&b->index, position(b) - b->block_start);
    ASSERT(!b->index.overflow);
    b->block_count++;
    block_builder_reset(&b->block);
    return b->out.size >= WRITE_BYTES ? write_out(b, false) : STATUS_OK;
}

static void note_key(struct table_builder *b, const struct lsm_write *row)
{
    if (b->props.keys == b->hashes_capacity) {
        b->hashes_capacity = b->hashes_capacity > 0 ? b->hashes_capacity * 2 : 256;
        b->hashes = mem_realloc(b->hashes, b->hashes_capacity * sizeof(*b->hashes));
    }
    b->hashes[b->props.keys++] = bloom_hash(row->key);
}

static void note_row(struct table_builder *b, const struct lsm_write *row)
{
    struct table_props *p = &b->props;
    if (p->rows == 0) keybuf_set(&b->smallest, 0, row->key.data, row->key.size);
    if (p->rows == 0 || !slice_eq(keybuf_slice(&b->last), row->key)) note_key(b, row);
    p->rows++;
    p->tombstones += row->kind == LSM_DELETE ? 1 : 0;
    if (row->ts < p->ts_min) p->ts_min = row->ts;
    if (row->ts > p->ts_max) p->ts_max = row->ts;
    p->raw_bytes += row->key.size + 8 + row->value.size;
    keybuf_set(&b->last, 0, row->key.data, row->key.size);
    b->last_ts = row->ts;
}

enum status table_builder_add(struct table_builder *b, const struct lsm_write *row)
{
    if (b->props.rows > 0) ASSERT(row_cmp(keybuf_slice(&b->last), b->last_ts, row->key, row->ts) < 0);
    if (b->block.count > 0) {
        size_t with = b->block.bytes + row->key.size + row->value.size;
        if (with > b->options.block_bytes) {
            enum status s = block_close(b);
            if (s != STATUS_OK) return s;
        }
    }
    if (b->block.count == 0) {
        b->block_start = position(b);
        index_open(b, row);
    }
    block_builder_add(&b->block, row);
    note_row(b, row);
    return STATUS_OK;
}

uint64_t table_builder_bytes(const struct table_builder *b)
{
    return position(b) + b->block.rows.size;
}

struct slice table_builder_last_key(const struct table_builder *b)
{
    return keybuf_slice(&b->last);
}

static void put_filter(struct table_builder *b, struct buf *raw)
{
    uint32_t lines = bloom_lines(b->props.keys, b->options.bloom_bits);
    buf_put_u32(raw, BLOOM_PROBES);
    buf_put_u32(raw, lines);
    uint8_t *bits = buf_extend(raw, (size_t)lines * BLOOM_LINE);
    ASSERT(bits != NULL);
    memset(bits, 0, (size_t)lines * BLOOM_LINE);
    for (uint64_t i = 0; i < b->props.keys; i++) bloom_add(bits, lines, b->hashes[i]);
}

static void put_props(const struct table_builder *b, struct buf *raw)
{
    const struct table_props *p = &b->props;
    const uint64_t numbers[] = {p->rows, p->keys, p->tombstones, p->ts_min, p->ts_max, p->raw_bytes};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) buf_put_u64(raw, numbers[i]);
    buf_put_u32(raw, (uint32_t)b->smallest.size);
    buf_append_slice(raw, keybuf_slice(&b->smallest));
    buf_put_u32(raw, (uint32_t)b->last.size);
    buf_append_slice(raw, keybuf_slice(&b->last));
}

static uint32_t put_section(struct table_builder *b, struct slice raw, bool compress)
{
    uint64_t start = position(b);
    table_seal(raw, compress, &b->id, start, &b->out);
    return (uint32_t)(position(b) - start);
}

static void put_end(struct table_builder *b)
{
    struct table_footer f = {.id = b->id, .index_offset = position(b), .block_count = b->block_count};
    f.index_size = put_section(b, buf_slice(&b->index), b->options.compress);
    struct buf raw;
    buf_init(&raw, TABLE_SECTION_MAX);
    put_filter(b, &raw);
    f.filter_size = put_section(b, buf_slice(&raw), false);
    buf_clear(&raw);
    put_props(b, &raw);
    f.props_size = put_section(b, buf_slice(&raw), false);
    buf_free(&raw);
    uint8_t *footer = buf_extend(&b->out, TABLE_FOOTER_BYTES);
    ASSERT(footer != NULL);
    table_footer_encode(&f, footer);
}

enum status table_builder_finish(struct table_builder *b, struct table **out, struct errbuf *err)
{
    ASSERT(b->props.rows > 0);
    enum status s = block_close(b);
    if (s == STATUS_OK) {
        put_end(b);
        s = write_out(b, true);
    }
    if (s == STATUS_OK && !MUTANT(table_not_synced)) s = disk_sync(b->file);
    if (s != STATUS_OK) {
        errbuf_set(err, "%s: cannot be written: %s", b->path, status_text(s));
    } else {
        b->id.size = b->written;
        struct disk_file *file = b->file;
        b->file = NULL;
        s = table_open_file(file, b->path, &b->id, out, err);
    }
    table_builder_free(b);
    return s;
}
