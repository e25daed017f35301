/* Where the bytes of a range lie, without reading any: from the tables' indexes and the memtables. */
#include "lsm/lsm_int.h"

#include <stdlib.h>

#define SAMPLES_PER_SOURCE 2048u

struct sampling {
    struct slice start, end;
    struct arena *arena;
    struct lsm_sample *items;
    size_t count, capacity;
};

static bool inside(const struct sampling *s, struct slice key)
{
    return slice_cmp(key, s->start) >= 0 && (s->end.size == 0 || slice_cmp(key, s->end) < 0);
}

static void add(struct sampling *s, struct slice key, uint64_t bytes)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity == 0 ? 256 : s->capacity * 2;
        struct lsm_sample *items = arena_alloc(s->arena, capacity * sizeof *items);
        if (s->count > 0) memcpy(items, s->items, s->count * sizeof *items);
        s->items = items;
        s->capacity = capacity;
    }
    s->items[s->count++] = (struct lsm_sample){.key = arena_dup_slice(s->arena, key), .bytes = bytes};
}

/* Rows of a block are at or above its key. Block 0 has none: the table's smallest is its. */
static void sample_file(struct sampling *s, const struct lsm_file *f)
{
    const struct table *t = f->table;
    uint32_t step = t->block_count / SAMPLES_PER_SOURCE + 1;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t->block_count; i++) {
        const struct table_block *b = &t->blocks[i];
        struct slice key = i == 0 ? t->props.smallest : slice_make(b->key, b->key_size);
        if (!inside(s, key) || slice_cmp(key, f->lower) < 0 || slice_cmp(key, f->upper) >= 0) continue;
        bytes += b->size;
        if (i % step != 0) continue;
        add(s, key, bytes);
        bytes = 0;
    }
}

static void sample_memtable(struct sampling *s, const struct memtable *m)
{
    uint64_t rows = m->rows > 0 ? memtable_estimate(m, s->start, s->end) : 0;
    if (rows == 0) return;
    uint64_t row_bytes = memtable_bytes(m) / m->rows + 1, step = rows / SAMPLES_PER_SOURCE + 1;
    struct memtable_cursor c;
    memtable_seek(m, s->start, LSM_TS_MAX, &c);
    for (uint64_t i = 0; memtable_cursor_valid(&c); i++) {
        struct lsm_write row;
        memtable_row(&c, &row);
        if (!inside(s, row.key)) return;
        if (i % step == 0) add(s, row.key, row_bytes * step);
        memtable_next(&c);
    }
}

static int by_key(const void *a, const void *b)
{
    const struct lsm_sample *x = a, *y = b;
    int order = slice_cmp(x->key, y->key);
    return order != 0 ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

size_t lsm_sample(const struct lsm *l, struct slice start, struct slice end, struct arena *arena,
                  struct lsm_sample **out)
{
    struct sampling s = {.start = start, .end = end, .arena = arena};
    for (size_t i = 0; i < l->version->file_count; i++) {
        if (lsm_file_overlaps(l->version->files[i], start, end)) sample_file(&s, l->version->files[i]);
    }
    for (size_t i = 0; i <= l->frozen_count; i++) sample_memtable(&s, i < l->frozen_count ? l->frozen[i] : l->active);
    if (s.count > 1) qsort(s.items, s.count, sizeof *s.items, by_key);
    *out = s.items;
    return s.count;
}
