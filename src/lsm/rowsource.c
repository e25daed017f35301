#include "lsm/rowsource.h"

#include "base/mem.h"
#include "lsm/lsm_int.h"

#define AHEAD_BYTES (256u * 1024u)
#define AHEAD_BLOCKS 64 /* through the cache: as many blocks at once, in the end */

void rowsource_init_memtable(struct rowsource *s, const struct memtable *m)
{
    *s = (struct rowsource){.memtable = m, .cursor = s->cursor};
}

void rowsource_init_run(struct rowsource *s, struct lsm_file *const *files, size_t count, bool cached)
{
    *s = (struct rowsource){
        .files = files, .file_count = count, .cached = cached, .file_at = count, .cursor = s->cursor};
}

static void block_drop(struct rowsource *s)
{
    cache_release(s->pinned);
    s->pinned = NULL;
    mem_free(s->raw);
    s->raw = NULL;
}

void rowsource_release(struct rowsource *s)
{
    block_drop(s);
    mem_free(s->ahead);
    s->ahead = NULL;
}

void rowsource_free(struct rowsource *s)
{
    rowsource_release(s);
    block_cursor_free(&s->cursor);
}

/* --- blocks of a run --- */

/* What to fetch besides: one block is read alone, then three times as many as have been gone through. The streak begins anew with
 * each iterator, that is behind each fetch, so that 1, 4, 16, 64 and again 64 blocks come at a time, or what lsm_load allows. */
static int32_t ahead(const struct rowsource *s)
{
    int32_t blocks = 4 * (s->streak < 0 ? -s->streak : s->streak);
    if (blocks == 0) return 0;
    if (blocks > AHEAD_BLOCKS) blocks = AHEAD_BLOCKS;
    return s->streak < 0 ? 1 - blocks : blocks - 1;
}

static enum status fail_at(struct rowsource *s, struct lsm_file *f, uint32_t block, enum status status)
{
    s->bad = f;
    s->miss = (struct lsm_miss){.file = f, .block = block, .ahead = ahead(s)};
    return status;
}

static enum status fill_ahead(struct rowsource *s, struct table *t, uint32_t at)
{
    uint64_t start = t->blocks[at].offset, end = start + t->blocks[at].size;
    for (uint32_t i = at + 1; i < t->block_count && end - start + t->blocks[i].size <= AHEAD_BYTES; i++)
        end += t->blocks[i].size;
    mem_free(s->ahead);
    s->ahead_size = (size_t)(end - start);
    s->ahead = mem_alloc(s->ahead_size);
    s->ahead_offset = start;
    s->ahead_number = t->id.number;
    enum status status = table_read_bytes(t, start, s->ahead, s->ahead_size);
    if (status != STATUS_OK) s->ahead_size = 0;
    return status;
}

static enum status read_ahead(struct rowsource *s, struct table *t, uint32_t at, size_t *size)
{
    const struct table_block *b = &t->blocks[at];
    bool have = s->ahead_size > 0 && s->ahead_number == t->id.number && b->offset >= s->ahead_offset &&
                b->offset + b->size <= s->ahead_offset + s->ahead_size;
    if (!have) {
        enum status status = fill_ahead(s, t, at);
        if (status != STATUS_OK) return status;
    }
    struct slice sealed = slice_make(s->ahead + (b->offset - s->ahead_offset), b->size);
    return table_unseal(sealed, &t->id, b->offset, &s->raw, size) ? STATUS_OK : STATUS_CORRUPT;
}

static enum status block_read(struct rowsource *s, struct lsm_file *f, uint32_t at)
{
    if (!s->sequential) return table_read_block(f->table, at, TABLE_NO_ROOM, &s->raw, &s->own_block);
    size_t size = 0;
    enum status status = read_ahead(s, f->table, at, &size);
    if (status == STATUS_OK && !block_parse(slice_make(s->raw, size), &s->own_block)) status = STATUS_CORRUPT;
    return status;
}

static const struct cache_entry *beside(const struct table *t, int64_t at)
{
    return at >= 0 && at < t->block_count ? t->slots[at] : NULL;
}

/* Whoever goes on will want the next block, which lies anywhere in memory: what is read of it first comes to the processor's caches
 * meanwhile. So does the entry of the one after it, for the next time. */
static void fetch_next(const struct rowsource *s, const struct table *t)
{
    int64_t step = s->streak > 0 ? 1 : -1;
    if (s->streak == 0) return;
    const struct cache_entry *next = beside(t, s->block_at + step), *after = beside(t, s->block_at + 2 * step);
    if (after != NULL) {
        __builtin_prefetch(after);
        __builtin_prefetch((const char *)after + 64);
    }
    if (next != NULL && next->state != CACHE_LOADING) block_prefetch(&next->block, step < 0);
}

/* Makes block `at` of the current file the current one. */
static enum status block_open(struct rowsource *s, uint32_t at, const struct block **block)
{
    struct lsm_file *f = s->files[s->file_at];
    block_drop(s);
    s->block_at = at;
    if (!s->cached) {
        enum status status = block_read(s, f, at);
        *block = &s->own_block;
        return status == STATUS_OK ? STATUS_OK : fail_at(s, f, at, status);
    }
    enum status status = lsm_block(f, at, &s->pinned);
    if (status != STATUS_OK) return fail_at(s, f, at, status);
    *block = &s->pinned->block;
    fetch_next(s, f->table);
    return STATUS_OK;
}

/* --- moving in a run --- */

/* From a block cursor's answer to the run's: goes on to the next block and file, and ends at the file's upper bound. */
static enum status run_settle(struct rowsource *s, enum status status)
{
    for (;;) {
        struct lsm_file *f = s->files[s->file_at];
        if (status == STATUS_CORRUPT) return fail_at(s, f, s->block_at, status);
        if (status == STATUS_OK) {
            s->row = s->cursor.row;
            if (!f->clipped || slice_cmp(s->row.key, f->upper) < 0) return STATUS_OK;
        } else if (status != STATUS_END) {
            return status;
        }
        const struct block *block;
        s->streak++;
        if (status == STATUS_END && s->block_at + 1 < f->table->block_count) {
            status = block_open(s, s->block_at + 1, &block);
            if (status == STATUS_OK) status = block_first(&s->cursor, block);
            continue;
        }
        if (++s->file_at == s->file_count) return STATUS_END;
        f = s->files[s->file_at];
        uint32_t at = f->clipped ? table_find_block(f->table, f->lower, LSM_TS_MAX) : 0;
        status = block_open(s, at, &block);
        if (status != STATUS_OK) return status;
        status = f->clipped ? block_seek(&s->cursor, block, f->lower, LSM_TS_MAX) : block_first(&s->cursor, block);
    }
}

/* The first file whose upper bound is above the key. Whoever made the source left out the files before its start. */
static size_t file_find(const struct rowsource *s, struct slice key)
{
    if (s->file_count > 0 && slice_cmp(key, s->files[0]->upper) < 0) return 0;
    const struct run run = {.count = s->file_count, .files = (struct lsm_file **)(uintptr_t)s->files};
    return run_find(&run, key);
}

static enum status run_seek(struct rowsource *s, struct slice key, uint64_t ts)
{
    s->file_at = file_find(s, key);
    if (s->file_at == s->file_count) return STATUS_END;
    const struct lsm_file *f = s->files[s->file_at];
    if (slice_cmp(key, f->lower) < 0) {
        key = f->lower;
        ts = LSM_TS_MAX;
    }
    const struct block *block;
    enum status status = block_open(s, table_find_block(f->table, key, ts), &block);
    if (status != STATUS_OK) return status;
    return run_settle(s, block_seek(&s->cursor, block, key, ts));
}

static enum status file_seek_before(struct rowsource *s, struct slice key)
{
    const struct block *block;
    const struct table *t = s->files[s->file_at]->table;
    enum status status = block_open(s, table_find_block(t, key, LSM_TS_MAX), &block);
    if (status != STATUS_OK) return status;
    return block_seek_before(&s->cursor, block, key, LSM_TS_MAX);
}

static enum status run_settle_back(struct rowsource *s, enum status status)
{
    for (;;) {
        struct lsm_file *f = s->files[s->file_at];
        if (status == STATUS_CORRUPT) return fail_at(s, f, s->block_at, status);
        if (status == STATUS_OK) {
            s->row = s->cursor.row;
            if (!f->clipped || slice_cmp(s->row.key, f->lower) >= 0) return STATUS_OK;
        } else if (status != STATUS_END) {
            return status;
        }
        s->streak--;
        if (status == STATUS_END && s->block_at > 0) {
            const struct block *block;
            status = block_open(s, s->block_at - 1, &block);
            if (status == STATUS_OK) status = block_last(&s->cursor, block);
            continue;
        }
        if (s->file_at == 0) {
            s->file_at = s->file_count;
            return STATUS_END;
        }
        s->file_at--;
        status = file_seek_before(s, s->files[s->file_at]->upper);
        if (status == STATUS_MISS || status == STATUS_IO) return status;
    }
}

static enum status run_seek_before(struct rowsource *s, struct slice key)
{
    if (s->file_count == 0) return STATUS_END;
    s->file_at = key.size > 0 ? file_find(s, key) : s->file_count;
    if (s->file_at == s->file_count || slice_cmp(key, s->files[s->file_at]->lower) <= 0) {
        if (s->file_at == 0) {
            s->file_at = s->file_count;
            return STATUS_END;
        }
        s->file_at--;
        key = s->files[s->file_at]->upper;
    }
    enum status status = file_seek_before(s, key);
    return run_settle_back(s, status);
}

/* --- either --- */

static enum status memtable_here(struct rowsource *s)
{
    if (!memtable_cursor_valid(&s->mem)) return STATUS_END;
    memtable_row(&s->mem, &s->row);
    return STATUS_OK;
}

enum status rowsource_seek(struct rowsource *s, struct slice key, uint64_t ts)
{
    if (s->memtable == NULL) return run_seek(s, key, ts);
    memtable_seek(s->memtable, key, ts, &s->mem);
    return memtable_here(s);
}

enum status rowsource_seek_before(struct rowsource *s, struct slice key)
{
    if (s->memtable == NULL) return run_seek_before(s, key);
    if (key.size > 0) {
        memtable_seek_before(s->memtable, key, LSM_TS_MAX, &s->mem);
    } else {
        memtable_seek_last(s->memtable, &s->mem);
    }
    return memtable_here(s);
}

enum status rowsource_next(struct rowsource *s)
{
    if (s->memtable == NULL) return run_settle(s, block_next(&s->cursor));
    memtable_next(&s->mem);
    return memtable_here(s);
}

enum status rowsource_prev(struct rowsource *s)
{
    if (s->memtable == NULL) return run_settle_back(s, block_prev(&s->cursor));
    memtable_prev(&s->mem);
    return memtable_here(s);
}
