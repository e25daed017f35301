/* The log's files as they are found: see wal_scan.h. */
#include "wal/wal_scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

#define READ_BYTES (2u << 20)

enum status wal_scan_fail(struct wal_scan *v, enum status s, const struct wal_found *f, uint64_t offset,
                          const char *what)
{
    errbuf_set(v->err,
               "wal: %s/%016" PRIx64 ".wal at offset %" PRIu64 ", batch %" PRIu64 ": %s. Nothing was changed. %s",
               v->w->dir, f->number, offset, v->next_batch, what,
               s == STATUS_CORRUPT
                   ? "Durable data is damaged: keep a copy of the directory, replace the disk if it is failing, and "
                     "let this node be rebuilt from its peers"
               : s == STATUS_UNSUPPORTED ? "Start the version that wrote it, or a newer one"
                                         : "Check the disk");
    return s;
}

/* --- reading --- */

enum status wal_scan_read(struct wal_scan *v, const struct wal_found *f, uint64_t offset, size_t size,
                          const uint8_t **at)
{
    struct wal_reader *r = &v->reader;
    *at = NULL;
    if (size > f->bytes || offset > f->bytes - size) return STATUS_OK;
    bool inside = r->f == f && offset >= r->base && offset < r->base + r->have;
    if (inside && size <= r->have - (size_t)(offset - r->base)) {
        *at = r->memory + (size_t)(offset - r->base);
        return STATUS_OK;
    }
    size_t kept = inside ? r->have - (size_t)(offset - r->base) : 0;
    size_t wanted = size > READ_BYTES ? size : READ_BYTES;
    if (wanted > r->capacity) {
        uint8_t *memory = mem_aligned(WAL_BLOCK, wanted);
        if (kept > 0) memcpy(memory, r->memory + (size_t)(offset - r->base), kept);
        mem_free(r->memory);
        r->memory = memory;
        r->capacity = wanted;
    } else if (kept > 0) {
        memmove(r->memory, r->memory + (size_t)(offset - r->base), kept);
    }
    r->f = f;
    r->base = offset;
    r->have = kept;
    while (r->have < size) {
        uint64_t left = f->bytes - offset - r->have;
        size_t ask = r->capacity - r->have < left ? r->capacity - r->have : (size_t)left;
        size_t got = 0;
        enum status s = disk_read(f->file, offset + r->have, r->memory + r->have, ask, &got);
        if (s == STATUS_OK && got < ask) s = STATUS_IO;
        if (s != STATUS_OK) {
            r->have = 0;
            return wal_scan_fail(v, s, f, offset, "it cannot be read");
        }
        r->have += got;
    }
    *at = r->memory;
    return STATUS_OK;
}

/* --- finding --- */
static void add_name(void *ctx, const char *name)
{
    struct wal_scan *v = ctx;
    uint64_t number;
    bool segment = wal_path_parse(name, &number, WAL_SUFFIX);
    if (!segment && !wal_path_parse(name, &number, WAL_DAMAGED_SUFFIX)) return;
    if (number >= v->w->next_segment) v->w->next_segment = number + 1;
    if (!segment) return; /* kept as evidence */
    if (v->count == v->capacity) {
        v->capacity = v->capacity == 0 ? 64 : v->capacity * 2;
        v->found = mem_realloc(v->found, v->capacity * sizeof *v->found);
    }
    v->found[v->count++] = (struct wal_found){.number = number};
}

static enum status open_found(struct wal_scan *v, struct wal_found *f)
{
    char path[WAL_PATH_MAX];
    wal_path(path, v->w->dir, f->number);
    enum status s = STATUS_UNSUPPORTED;
    /* Not through the page cache if it can be helped: after a failed sync it shows what the disk does not have. */
    if (v->w->direct) s = disk_open(v->w->disk, path, DISK_READ | DISK_DIRECT, &f->file, v->err);
    if (s == STATUS_UNSUPPORTED) {
        v->w->direct = false;
        s = disk_open(v->w->disk, path, DISK_READ, &f->file, v->err);
    }
    if (s != STATUS_OK) return s;
    s = disk_size(f->file, &f->bytes);
    if (s != STATUS_OK) return wal_scan_fail(v, s, f, 0, "its size cannot be read");
    f->bytes -= f->bytes % WAL_BLOCK; /* a file that was cut; what was in the rest is missed by its batch */
    return STATUS_OK;
}

static enum status read_header(struct wal_scan *v, struct wal_found *f)
{
    const uint8_t *block;
    enum status s = wal_scan_read(v, f, 0, WAL_BLOCK, &block);
    if (s != STATUS_OK || block == NULL) return s;
    s = wal_segment_header_decode(block, &f->header);
    if (s == STATUS_UNSUPPORTED) return wal_scan_fail(v, s, f, 0, "the segment is of a newer version");
    if (s != STATUS_OK) return STATUS_OK;
    if (f->header.epoch > v->max_epoch) v->max_epoch = f->header.epoch;
    bool here = f->header.segment == f->number; /* or it was meant for another file */
    f->has_header = here && f->header.epoch != 0;
    f->whole = here && f->header.segment_bytes == f->bytes;
    return STATUS_OK;
}

uint64_t wal_found_epoch(const struct wal_found *f)
{
    return f->has_header ? f->header.epoch : 0;
}

static int found_order(const void *a, const void *b)
{
    const struct wal_found *x = a, *y = b;
    if (wal_found_epoch(x) != wal_found_epoch(y)) return wal_found_epoch(x) < wal_found_epoch(y) ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

enum status wal_scan_open(struct wal_scan *v, struct wal *w, struct errbuf *err)
{
    *v = (struct wal_scan){.w = w, .err = err, .next_batch = 1};
    v->reader.memory = mem_aligned(WAL_BLOCK, READ_BYTES);
    v->reader.capacity = READ_BYTES;
    enum status s = disk_list(w->disk, w->dir, add_name, v);
    if (s != STATUS_OK) errbuf_set(err, "wal: cannot list the directory %s: %s", w->dir, status_text(s));
    for (size_t i = 0; i < v->count && s == STATUS_OK; i++) {
        s = open_found(v, &v->found[i]);
        if (s == STATUS_OK) s = read_header(v, &v->found[i]);
    }
    v->reader.f = NULL; /* the array is going to be sorted */
    if (s == STATUS_OK && v->count > 0) qsort(v->found, v->count, sizeof *v->found, found_order);
    return s;
}

void wal_scan_close(struct wal_scan *v)
{
    for (size_t i = 0; i < v->count; i++) disk_close(v->found[i].file);
    mem_free(v->found);
    mem_free(v->reader.memory);
}
