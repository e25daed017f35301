#include "lsm/dump.h"

#include "base/mem.h"
#include "lsm/manifest.h"
#include "lsm/table_int.h"

#include <stdlib.h>

#define SHOWN_BYTES 64u /* of a value */
#define TEXT_MAX ((size_t)64 << 20)

static void put_bytes(struct buf *b, struct slice s, size_t max)
{
    for (size_t i = 0; i < s.size && i < max; i++) {
        uint8_t c = s.data[i];
        if (c > ' ' && c < 127 && c != '\\') {
            buf_append_byte(b, c);
        } else {
            buf_printf(b, "\\x%02x", c);
        }
    }
    if (s.size > max) buf_printf(b, "... (%zu bytes)", s.size);
}

static void show(const struct dump *d, struct buf *text)
{
    d->show(d->ctx, text);
    buf_clear(text);
}

/* --- tables --- */

/* The table as its own footer names it: what the manifest says is not asked. */
static enum status open_by_footer(const struct dump *d, struct table **out, struct errbuf *err)
{
    struct disk_file *file = NULL;
    enum status s = disk_open(d->disk, d->path, DISK_READ, &file, err);
    if (s != STATUS_OK) return s;
    uint64_t size = 0;
    uint8_t bytes[TABLE_FOOTER_BYTES];
    size_t got = 0;
    s = disk_size(file, &size);
    if (s == STATUS_OK && size >= sizeof(bytes)) s = disk_read(file, size - sizeof(bytes), bytes, sizeof(bytes), &got);
    struct table_footer f;
    if (s != STATUS_OK || got < sizeof(bytes)) {
        errbuf_set(err, "%s: cannot be read, or is shorter than a footer", d->path);
        s = s == STATUS_OK ? STATUS_CORRUPT : s;
    } else {
        s = table_footer_decode(bytes, &f, err);
    }
    if (s != STATUS_OK) {
        disk_close(file);
        return s;
    }
    f.id.size = size;
    return table_open_file(file, d->path, &f.id, out, err);
}

static void put_table(struct buf *b, const struct table *t)
{
    buf_printf(b, "table %llu salt %016llx size %llu blocks %u\n", (unsigned long long)t->id.number,
               (unsigned long long)t->id.salt, (unsigned long long)t->id.size, t->block_count);
    const struct table_props *p = &t->props;
    buf_printf(b, "rows %llu keys %llu tombstones %llu raw_bytes %llu ts %llu..%llu filter_lines %u\n",
               (unsigned long long)p->rows, (unsigned long long)p->keys, (unsigned long long)p->tombstones,
               (unsigned long long)p->raw_bytes, (unsigned long long)p->ts_min, (unsigned long long)p->ts_max,
               t->filter_lines);
    buf_append_str(b, "smallest ");
    put_bytes(b, p->smallest, SIZE_MAX);
    buf_append_str(b, "\nlargest ");
    put_bytes(b, p->largest, SIZE_MAX);
    buf_append_str(b, "\n");
}

static bool put_rows(struct buf *b, const struct block *block)
{
    struct block_cursor c = {.block = NULL};
    enum status s = block_first(&c, block);
    for (; s == STATUS_OK; s = block_next(&c)) {
        buf_append_str(b, c.row.kind == LSM_DELETE ? "  del " : "  put ");
        put_bytes(b, c.row.key, SIZE_MAX);
        buf_printf(b, " @%llu", (unsigned long long)c.row.ts);
        if (c.row.kind == LSM_PUT) buf_append_str(b, " = ");
        if (c.row.kind == LSM_PUT) put_bytes(b, c.row.value, SHOWN_BYTES);
        buf_append_str(b, "\n");
    }
    block_cursor_free(&c);
    return s == STATUS_END;
}

static bool put_block(const struct dump *d, struct table *t, uint32_t at, struct buf *b)
{
    const struct table_block *at_block = &t->blocks[at];
    uint8_t *raw = NULL;
    size_t size = 0;
    struct block block = {.count = 0};
    enum status s = table_read(t, at_block->offset, at_block->size, TABLE_NO_ROOM, &raw, &size);
    bool good = s == STATUS_OK && block_parse(slice_make(raw, size), &block);
    buf_printf(b, "block %u offset %llu size %u raw %zu rows %u from ", at, (unsigned long long)at_block->offset,
               at_block->size, size, block.count);
    put_bytes(b, slice_make(at_block->key, at_block->key_size), SIZE_MAX);
    buf_append_str(b, good ? "\n" : " DAMAGED\n");
    if (good && d->rows && !put_rows(b, &block)) {
        good = false;
        buf_append_str(b, "  DAMAGED from here\n");
    }
    mem_free(raw);
    return good;
}

enum status dump_table(const struct dump *d, struct errbuf *err)
{
    struct table *t = NULL;
    enum status s = open_by_footer(d, &t, err);
    if (s != STATUS_OK) return s;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    put_table(&text, t);
    uint32_t bad = 0;
    for (uint32_t i = 0; i < t->block_count; i++) {
        if (!put_block(d, t, i, &text)) bad++;
        show(d, &text);
    }
    buf_free(&text);
    table_free(t);
    if (bad == 0) return STATUS_OK;
    errbuf_set(err, "%s: %u blocks are damaged", d->path, bad);
    return STATUS_CORRUPT;
}

/* --- manifests --- */

static int cmp_files(const void *a, const void *b)
{
    const struct manifest_file *x = *(const struct manifest_file *const *)a,
                               *y = *(const struct manifest_file *const *)b;
    if (x->level != y->level) return x->level < y->level ? -1 : 1;
    if (x->run != y->run) return x->run > y->run ? -1 : 1;
    return slice_cmp(x->lower, y->lower);
}

static void put_state(struct buf *b, const struct manifest_state *m)
{
    buf_printf(b, "next %llu safepoint %llu files %zu groups %zu\n", (unsigned long long)m->next,
               (unsigned long long)m->safepoint, m->files.count, m->applied.count);
    const struct manifest_file **files = mem_alloc((m->files.count + 1) * sizeof(*files));
    size_t count = 0;
    uint64_t key;
    void *value;
    for (size_t it = 0; map_next(&m->files, &it, &key, &value);) files[count++] = value;
    qsort(files, count, sizeof(*files), cmp_files);
    for (size_t i = 0; i < count; i++) {
        const struct manifest_file *f = files[i];
        buf_printf(b, "%sfile %llu level %u run %llu table %016llx salt %016llx size %llu from ",
                   f->level == LSM_DAMAGED ? "DAMAGED " : "", (unsigned long long)f->id, f->level,
                   (unsigned long long)f->run, (unsigned long long)f->table.number, (unsigned long long)f->table.salt,
                   (unsigned long long)f->table.size);
        put_bytes(b, f->lower, SIZE_MAX);
        buf_append_str(b, " to ");
        put_bytes(b, f->upper, SIZE_MAX);
        buf_append_str(b, "\n");
    }
    mem_free(files);
    for (size_t i = 0; i < m->erases.count; i++) {
        buf_printf(b, "erased below %llu from ", (unsigned long long)m->erases.items[i].ts);
        put_bytes(b, m->erases.items[i].start, SIZE_MAX);
        buf_append_str(b, " to ");
        put_bytes(b, m->erases.items[i].end, SIZE_MAX);
        buf_append_str(b, "\n");
    }
    for (size_t it = 0; map_next(&m->applied, &it, &key, &value);) {
        const struct applied *a = value;
        buf_printf(b, "group %llu applied %llu term %llu\n", (unsigned long long)a->group, (unsigned long long)a->index,
                   (unsigned long long)a->term);
    }
}

enum status dump_manifest(const struct dump *d, struct errbuf *err)
{
    struct disk_file *file = NULL;
    enum status s = disk_open(d->disk, d->path, DISK_READ, &file, err);
    if (s != STATUS_OK) return s;
    uint64_t size = 0;
    size_t got = 0, used = 0;
    s = disk_size(file, &size);
    uint8_t *bytes = s == STATUS_OK ? mem_alloc((size_t)size) : NULL;
    if (s == STATUS_OK) s = disk_read(file, 0, bytes, (size_t)size, &got);
    disk_close(file);
    struct manifest_state m;
    manifest_state_init(&m);
    if (s != STATUS_OK) {
        errbuf_set(err, "%s: cannot be read: %s", d->path, status_text(s));
    } else {
        s = manifest_decode(slice_make(bytes, got), &m, &used, err);
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    if (s == STATUS_CORRUPT) buf_append_str(&text, "DAMAGED; up to there:\n");
    if (s == STATUS_OK) buf_printf(&text, "bytes %zu of %zu\n", used, got);
    if (s == STATUS_OK || s == STATUS_CORRUPT) {
        put_state(&text, &m);
        show(d, &text);
    }
    buf_free(&text);
    manifest_state_free(&m);
    mem_free(bytes);
    return s;
}
