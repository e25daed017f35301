/* libFuzzer entry: any bytes as a block, as a manifest, and as edits of a good table whose checksums are then made right
 * again, for a checksum can be right over nonsense: it is opened, dumped, searched and read to its end.
 * Run by `make fuzz` and `make replay`. */
#include "base/assert.h"
#include "base/mem.h"
#include "lib/memdisk.h"
#include "lsm/bloom.h"
#include "lsm/dump.h"
#include "lsm/manifest.h"
#include "lsm/table_build.h"
#include "lsm/table_int.h"

#include <stdio.h>

#define STEPS_MAX 100000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_block(struct slice bytes)
{
    struct block b;
    uint8_t *exact = mem_dup(bytes.data, bytes.size); /* exactly sized: the sanitizer sees each step outside */
    if (block_parse(slice_make(exact, bytes.size), &b)) {
        struct block_cursor c = {.block = NULL};
        unsigned steps = 0;
        for (enum status s = block_first(&c, &b); s == STATUS_OK; s = block_next(&c)) ASSERT(steps++ <= b.count);
        for (enum status s = block_last(&c, &b); s == STATUS_OK; s = block_prev(&c)) ASSERT(steps++ <= 2 * b.count);
        struct slice key = slice_make(bytes.data, bytes.size < 12 ? bytes.size : 12);
        struct lsm_write row;
        if (block_get(&b, key, LSM_TS_MAX / 2, &row) == STATUS_OK) ASSERT(slice_eq(row.key, key));
        if (block_seek(&c, &b, key, 5) == STATUS_OK) ASSERT(c.row.key.size > 0);
        if (block_seek_before(&c, &b, key, 5) == STATUS_OK) ASSERT(c.row.key.size > 0);
        block_cursor_free(&c);
    }
    mem_free(exact);
}

static void try_manifest(struct slice bytes)
{
    struct manifest_state m;
    manifest_state_init(&m);
    size_t used = 0;
    struct errbuf err;
    if (manifest_decode(bytes, &m, &used, &err) == STATUS_OK) ASSERT(used <= bytes.size);
    manifest_state_free(&m);
}

static struct table *good_table(struct disk *d, const struct table_id *id)
{
    const struct table_build_options options = {.block_bytes = 200, .compress = false, .bloom_bits = BLOOM_BITS_LAST};
    struct table_builder *b = NULL;
    struct table *t = NULL;
    ASSERT(table_builder_new(d, "s", id, &options, &b, NULL) == STATUS_OK);
    for (unsigned i = 0; i < 60; i++) {
        char key[16];
        int n = snprintf(key, sizeof(key), "key%05u", i / 2);
        const struct lsm_write w = {i % 7 == 0 ? LSM_DELETE : LSM_PUT, slice_make(key, (size_t)n), 100 - i % 2,
                                    i % 7 == 0 ? SLICE_EMPTY : slice_str("some value"), false};
        ASSERT(table_builder_add(b, &w) == STATUS_OK);
    }
    ASSERT(table_builder_finish(b, &t, NULL) == STATUS_OK);
    return t;
}

static void forget(void *ctx, struct buf *text)
{
    *(size_t *)ctx += text->size;
}

struct section {
    struct buf raw;
    uint64_t offset;
    uint32_t size;
};

static void read_section(struct table *t, struct section *s)
{
    uint8_t *raw = NULL;
    size_t size = 0;
    ASSERT(table_read(t, s->offset, s->size, TABLE_NO_ROOM, &raw, &size) == STATUS_OK);
    buf_init(&s->raw, (size_t)1 << 20);
    buf_append(&s->raw, raw, size);
    mem_free(raw);
}

/* Edits: section, position (2), byte. */
static void apply_edits(struct section *sections, unsigned count, struct slice edits)
{
    for (size_t i = 0; i + 4 <= edits.size; i += 4) {
        struct section *s = &sections[edits.data[i] % count];
        size_t at = (size_t)edits.data[i + 1] | (size_t)edits.data[i + 2] << 8;
        if (edits.data[i] >= 0xf0) {
            s->raw.size = at % (s->raw.size + 1); /* cut off */
        } else if (s->raw.size > 0) {
            s->raw.data[at % s->raw.size] = edits.data[i + 3];
        }
    }
}

static void use(struct disk *d, const struct table_id *id)
{
    struct table *t = NULL;
    struct errbuf err;
    bool unreadable;
    if (table_open(d, "s", id, &t, &unreadable, &err) != STATUS_OK) return;
    uint32_t at = table_find_block(t, slice_str("key00010"), 50);
    ASSERT(at < t->block_count);
    (void)table_may_hold(t, 12345);
    (void)table_range_bytes(t, slice_str("key00003"), slice_str("key0002"));
    table_free(t);
    char path[TABLE_PATH_MAX];
    table_path(path, "s", id->number);
    size_t shown = 0;
    const struct dump dump = {.disk = d, .path = path, .rows = true, .show = forget, .ctx = &shown};
    if (dump_table(&dump, &err) == STATUS_OK) ASSERT(shown > 0);
}

static void try_table(struct slice edits)
{
    struct memdisk *m = memdisk_new(1);
    struct disk *d = memdisk_disk(m);
    ASSERT(disk_mkdir(d, "s") == STATUS_OK);
    const struct table_id first = {.number = 1, .salt = 2};
    struct table *t = good_table(d, &first);
    uint8_t footer[TABLE_FOOTER_BYTES];
    size_t got;
    ASSERT(disk_read(t->file, t->id.size - sizeof(footer), footer, sizeof(footer), &got) == STATUS_OK);
    struct table_footer f;
    ASSERT(table_footer_decode(footer, &f, NULL) == STATUS_OK);
    struct section sections[5] = {{.offset = t->blocks[0].offset, .size = t->blocks[0].size},
                                  {.offset = t->blocks[1].offset, .size = t->blocks[1].size},
                                  {.offset = f.index_offset, .size = f.index_size},
                                  {.offset = f.index_offset + f.index_size, .size = f.filter_size},
                                  {.offset = f.index_offset + f.index_size + f.filter_size, .size = f.props_size}};
    for (unsigned i = 0; i < 5; i++) read_section(t, &sections[i]);
    apply_edits(sections, 5, edits);
    struct table_id id = {.number = 3, .salt = 4};
    struct buf file;
    buf_init(&file, (size_t)1 << 22);
    table_seal(buf_slice(&sections[0].raw), false, &id, 0, &file);
    table_seal(buf_slice(&sections[1].raw), false, &id, file.size, &file);
    f = (struct table_footer){.id = id, .index_offset = file.size, .block_count = t->block_count};
    uint32_t *sizes[3] = {&f.index_size, &f.filter_size, &f.props_size};
    for (unsigned i = 0; i < 3; i++) {
        size_t before = file.size;
        table_seal(buf_slice(&sections[2 + i].raw), false, &id, file.size, &file);
        *sizes[i] = (uint32_t)(file.size - before);
    }
    if (edits.size % 3 == 0) f.block_count = 2;
    table_footer_encode(&f, footer);
    buf_append(&file, footer, sizeof(footer));
    id.size = file.size;
    char path[TABLE_PATH_MAX];
    table_path(path, "s", id.number);
    struct disk_file *out = NULL;
    ASSERT(disk_open(d, path, DISK_WRITE | DISK_CREATE, &out, NULL) == STATUS_OK);
    ASSERT(disk_write(out, 0, file.data, file.size) == STATUS_OK);
    disk_close(out);
    use(d, &id);
    for (unsigned i = 0; i < 5; i++) buf_free(&sections[i].raw);
    buf_free(&file);
    table_free(t);
    memdisk_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct slice rest = slice_make(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0: try_block(rest); break;
    case 1: try_manifest(rest); break;
    default: try_table(rest); break;
    }
    return 0;
}
