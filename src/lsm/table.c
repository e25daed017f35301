#include "lsm/table.h"

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "lsm/bloom.h"
#include "lsm/table_int.h"

#include <stdio.h>

#define NAME_DIGITS 16u
#define NAME_SUFFIX ".tbl"

void table_path(char path[TABLE_PATH_MAX], const char *dir, uint64_t number)
{
    int n = snprintf(path, TABLE_PATH_MAX, "%s/%016llx" NAME_SUFFIX, dir, (unsigned long long)number);
    ASSERT(n > 0);
    ASSERT((size_t)n < TABLE_PATH_MAX);
}

bool table_path_parse(const char *name, uint64_t *number)
{
    if (strlen(name) != NAME_DIGITS + strlen(NAME_SUFFIX)) return false;
    if (strcmp(name + NAME_DIGITS, NAME_SUFFIX) != 0) return false;
    *number = 0;
    for (unsigned i = 0; i < NAME_DIGITS; i++) {
        char c = name[i];
        unsigned digit;
        if (c >= '0' && c <= '9') {
            digit = (unsigned)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (unsigned)(c - 'a') + 10u;
        } else {
            return false;
        }
        *number = *number << 4 | digit;
    }
    return true;
}

void table_footer_encode(const struct table_footer *f, uint8_t bytes[TABLE_FOOTER_BYTES])
{
    memset(bytes, 0, TABLE_FOOTER_BYTES);
    le_set_u64(bytes, f->id.number);
    le_set_u64(bytes + 8, f->id.salt);
    le_set_u64(bytes + 16, f->index_offset);
    le_set_u32(bytes + 24, f->index_size);
    le_set_u32(bytes + 28, f->filter_size);
    le_set_u32(bytes + 32, f->props_size);
    le_set_u32(bytes + 36, f->block_count);
    le_set_u32(bytes + 48, TABLE_VERSION);
    le_set_u64(bytes + 52, TABLE_MAGIC);
    le_set_u32(bytes + 60, crc32c(0, bytes, 60));
}

enum status table_footer_decode(const uint8_t bytes[TABLE_FOOTER_BYTES], struct table_footer *f, struct errbuf *err)
{
    if (le_u64(bytes + 52) != TABLE_MAGIC) {
        errbuf_set(err, "not a table, or its end is cut off: no magic number in the footer");
        return STATUS_CORRUPT;
    }
    if (crc32c(0, bytes, 60) != le_u32(bytes + 60)) {
        errbuf_set(err, "the footer does not match its checksum");
        return STATUS_CORRUPT;
    }
    if (le_u32(bytes + 48) != TABLE_VERSION) {
        errbuf_set(err, "table format version %u; this program knows version %u: use a newer one", le_u32(bytes + 48),
                   TABLE_VERSION);
        return STATUS_UNSUPPORTED;
    }
    *f = (struct table_footer){.id = {.number = le_u64(bytes), .salt = le_u64(bytes + 8)},
                               .index_offset = le_u64(bytes + 16),
                               .index_size = le_u32(bytes + 24),
                               .filter_size = le_u32(bytes + 28),
                               .props_size = le_u32(bytes + 32),
                               .block_count = le_u32(bytes + 36)};
    return STATUS_OK;
}

static bool index_parse(struct table *t, struct slice raw, const struct table_footer *f)
{
    if (f->block_count == 0 || f->block_count > raw.size) return false;
    t->blocks = mem_alloc(f->block_count * sizeof(*t->blocks));
    t->heads = mem_alloc(f->block_count * sizeof(*t->heads));
    struct cursor c = cursor_make(raw);
    uint64_t offset = 0;
    for (uint32_t i = 0; i < f->block_count; i++) {
        struct slice key = cursor_bytes(&c, (size_t)cursor_varint(&c));
        uint64_t ts = cursor_u64(&c), size = cursor_varint(&c);
        if (c.failed || key.size > LSM_KEY_MAX || size > f->index_offset - offset) return false;
        t->blocks[i] = (struct table_block){
            .offset = offset, .ts = ts, .key = key.data, .key_size = (uint32_t)key.size, .size = (uint32_t)size};
        offset += size;
    }
    t->block_count = f->block_count;
    return cursor_left(&c) == 0 && offset == f->index_offset;
}

/* Heads are taken after what all keys but the first block's empty one share, and must ascend: the search needs it. */
static bool index_heads(struct table *t)
{
    t->prefix = 0;
    if (t->block_count > 1)
        t->prefix = (uint32_t)key_shared(table_block_key(t, 1), table_block_key(t, t->block_count - 1));
    t->heads[0] = 0;
    if (t->blocks[0].key_size != 0) return false;
    for (uint32_t i = 1; i < t->block_count; i++) {
        if (row_cmp(table_block_key(t, i - 1), t->blocks[i - 1].ts, table_block_key(t, i), t->blocks[i].ts) >= 0)
            return false;
        t->heads[i] = key_head(table_block_key(t, i), t->prefix);
    }
    return true;
}

static bool filter_parse(struct table *t, struct slice raw)
{
    if (raw.size < 8 + BLOOM_LINE || (raw.size - 8) % BLOOM_LINE != 0) return false;
    if (le_u32(raw.data) != BLOOM_PROBES) return false;
    t->filter_lines = le_u32(raw.data + 4);
    size_t size = (size_t)t->filter_lines * BLOOM_LINE;
    if (size != raw.size - 8) return false;
    t->filter = mem_aligned(BLOOM_LINE, size);
    memcpy(t->filter, raw.data + 8, size);
    return true;
}

static bool props_parse(struct table_props *p, struct slice raw)
{
    struct cursor c = cursor_make(raw);
    p->rows = cursor_u64(&c);
    p->keys = cursor_u64(&c);
    p->tombstones = cursor_u64(&c);
    p->ts_min = cursor_u64(&c);
    p->ts_max = cursor_u64(&c);
    p->raw_bytes = cursor_u64(&c);
    p->smallest = cursor_bytes(&c, cursor_u32(&c));
    p->largest = cursor_bytes(&c, cursor_u32(&c));
    if (c.failed || cursor_left(&c) > 0) return false;
    return p->smallest.size > 0 && p->largest.size <= LSM_KEY_MAX && slice_cmp(p->smallest, p->largest) <= 0;
}

static enum status read_section(struct table *t, uint64_t offset, uint32_t size, const char *path, const char *what,
                                uint8_t **raw, size_t *raw_size, struct errbuf *err)
{
    enum status s = table_read(t, offset, size, TABLE_NO_ROOM, raw, raw_size);
    if (s == STATUS_CORRUPT)
        errbuf_set(err, "%s: the %s at offset %llu %s; rebuild this replica", path, what, (unsigned long long)offset,
                   t->unreadable ? "cannot be read" : "is damaged");
    return s;
}

static enum status load_sections(struct table *t, const struct table_footer *f, const char *path, struct errbuf *err)
{
    size_t size;
    enum status s = read_section(t, f->index_offset, f->index_size, path, "index", &t->index_raw, &size, err);
    if (s != STATUS_OK) return s;
    bool good = index_parse(t, slice_make(t->index_raw, size), f) && index_heads(t);
    uint64_t offset = f->index_offset + f->index_size;
    uint8_t *filter = NULL;
    s = read_section(t, offset, f->filter_size, path, "filter", &filter, &size, err);
    if (s != STATUS_OK) return s;
    good = filter_parse(t, slice_make(filter, size)) && good;
    mem_free(filter);
    s = read_section(t, offset + f->filter_size, f->props_size, path, "properties", &t->props_raw, &size, err);
    if (s != STATUS_OK) return s;
    good = props_parse(&t->props, slice_make(t->props_raw, size)) && good;
    if (good) return STATUS_OK;
    errbuf_set(err, "%s: index, filter or properties do not make sense though their checksums match", path);
    return STATUS_CORRUPT;
}

static enum status load(struct table *t, const char *path, struct errbuf *err)
{
    uint64_t size = 0;
    enum status s = disk_size(t->file, &size);
    if (s == STATUS_OK && (size != t->id.size || size < TABLE_FOOTER_BYTES)) {
        errbuf_set(err, "%s: has %llu bytes where the manifest says %llu; rebuild this replica", path,
                   (unsigned long long)size, (unsigned long long)t->id.size);
        return STATUS_CORRUPT;
    }
    uint8_t bytes[TABLE_FOOTER_BYTES];
    if (s == STATUS_OK) s = table_read_bytes(t, size - TABLE_FOOTER_BYTES, bytes, sizeof(bytes));
    if (s != STATUS_OK) {
        errbuf_set(err, "%s: the footer cannot be read; rebuild this replica", path);
        return s;
    }
    struct table_footer f;
    struct errbuf why;
    s = table_footer_decode(bytes, &f, &why);
    if (s != STATUS_OK) {
        errbuf_set(err, "%s: %s; rebuild this replica", path, why.text);
        return s;
    }
    uint64_t sections = (uint64_t)f.index_size + f.filter_size + f.props_size + TABLE_FOOTER_BYTES;
    if (f.id.number != t->id.number || f.id.salt != t->id.salt || f.index_offset > size ||
        size - f.index_offset != sections) {
        errbuf_set(err, "%s: holds another table than the manifest names; rebuild this replica", path);
        return STATUS_CORRUPT;
    }
    return load_sections(t, &f, path, err);
}

static enum status open_file(struct disk_file *file, const char *path, const struct table_id *id, struct table **out,
                             bool *unreadable, struct errbuf *err)
{
    struct table *t = mem_zalloc(sizeof(*t));
    t->id = *id;
    t->file = file;
    enum status s = load(t, path, err);
    if (s != STATUS_OK) {
        *unreadable = t->unreadable;
        table_free(t);
        return s;
    }
    t->slots = mem_zalloc(t->block_count * sizeof(struct cache_entry *));
    *out = t;
    return STATUS_OK;
}

enum status table_open_file(struct disk_file *file, const char *path, const struct table_id *id, struct table **out,
                            struct errbuf *err)
{
    bool unreadable;
    return open_file(file, path, id, out, &unreadable, err);
}

enum status table_open(struct disk *d, const char *dir, const struct table_id *id, struct table **out, bool *unreadable,
                       struct errbuf *err)
{
    char path[TABLE_PATH_MAX];
    table_path(path, dir, id->number);
    struct disk_file *file = NULL;
    *unreadable = false;
    enum status s = disk_open(d, path, DISK_READ, &file, err);
    if (s == STATUS_NOT_FOUND) {
        errbuf_set(err, "%s: the manifest names this table but it is missing; rebuild this replica", path);
        return STATUS_CORRUPT;
    }
    if (s != STATUS_OK) return s;
    return open_file(file, path, id, out, unreadable, err);
}

struct table *table_unopened(const struct table_id *id)
{
    struct table *t = mem_zalloc(sizeof(*t));
    t->id = *id;
    t->quarantined = true;
    return t;
}

uint64_t table_offset(const struct table *t, uint32_t at)
{
    if (at < t->block_count) return t->blocks[at].offset;
    return at == 0 ? 0 : t->blocks[at - 1].offset + t->blocks[at - 1].size;
}

void table_free(struct table *t)
{
    if (t == NULL) return;
    disk_close(t->file);
    mem_free(t->blocks);
    mem_free(t->heads);
    mem_free(t->filter);
    mem_free(t->index_raw);
    mem_free(t->props_raw);
    mem_free(t->slots);
    mem_free(t);
}

/* The last block whose bound is at or before (key, ts). Block 0's bound is below everything. */
uint32_t table_find_block(const struct table *t, struct slice key, uint64_t ts)
{
    if (t->block_count <= 1) return 0;
    struct slice prefix = slice_make(t->blocks[1].key, t->prefix);
    if (!slice_starts(key, prefix)) return slice_cmp(key, prefix) < 0 ? 0 : t->block_count - 1;
    uint64_t head = key_head(key, t->prefix);
    uint32_t low = 1 + heads_below(t->heads + 1, t->block_count - 1, head), high = low;
    while (high < t->block_count && t->heads[high] == head) high++;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (row_cmp(table_block_key(t, middle), t->blocks[middle].ts, key, ts) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low - 1;
}

bool table_may_hold(const struct table *t, uint64_t hash)
{
    return bloom_may_hold(t->filter, t->filter_lines, hash);
}

uint64_t table_range_bytes(const struct table *t, struct slice start, struct slice end)
{
    if (t->block_count == 0) return t->id.size; /* nobody knows */
    uint32_t first = table_find_block(t, start, LSM_TS_MAX);
    uint32_t last = end.size > 0 ? table_find_block(t, end, LSM_TS_MAX) : t->block_count - 1;
    if (last < first) return 0;
    return t->blocks[last].offset + t->blocks[last].size - t->blocks[first].offset;
}
