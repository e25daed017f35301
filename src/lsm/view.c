#include "base/mem.h"
#include "lsm/bloom.h"
#include "lsm/lsm_int.h"

struct lsm_view {
    struct lsm *l;
    struct version *version;
    struct memtable **memtables; /* newest first; the first is a private copy, the others are frozen ones */
    size_t memtable_count;
    struct rowmerge merge;
    struct slice start, end; /* owned */
    bool begun, damaged;
    struct erase_list erases;
    struct lsm_write held; /* given when the deletions that go before it were */
    bool holds;
    struct keybuf key; /* of the row at hand */
    uint64_t above;    /* of it, the version given last; LSM_TS_MAX: none */
};

/* The rows of the active memtable, which goes on changing. */
static struct memtable *copy_rows(const struct lsm *l, struct slice start, struct slice end)
{
    struct memtable *copy = memtable_new(65536, NULL, 0);
    struct memtable_cursor c;
    memtable_seek(l->active, start, LSM_TS_MAX, &c);
    for (; memtable_cursor_valid(&c); memtable_next(&c)) {
        struct lsm_write row;
        memtable_row(&c, &row);
        if (end.size > 0 && slice_cmp(row.key, end) >= 0) break;
        memtable_put(copy, &row, bloom_hash(row.key), NULL);
    }
    copy->frozen = true;
    return copy;
}

struct lsm_view *lsm_view_new(struct lsm *l, struct slice start, struct slice end)
{
    lsm_settle(l);
    struct lsm_view *v = mem_zalloc(sizeof(*v));
    v->l = l;
    v->version = version_ref(l->version);
    v->start = mem_dup_slice(start);
    v->end = mem_dup_slice(end);
    v->memtables = mem_alloc((1 + l->frozen_count) * sizeof(struct memtable *));
    v->memtables[v->memtable_count++] = copy_rows(l, start, end);
    for (size_t i = l->frozen_count; i-- > 0;) v->memtables[v->memtable_count++] = memtable_ref(l->frozen[i]);
    rowmerge_init(&v->merge, v->memtable_count + v->version->run_count, false);
    size_t sources = 0;
    for (; sources < v->memtable_count; sources++)
        rowsource_init_memtable(&v->merge.sources[sources], v->memtables[sources]);
    for (size_t r = 0; r < v->version->run_count; r++) {
        const struct run *run = &v->version->runs[r];
        size_t first = run_find(run, start), n = 0;
        while (first + n < run->count && lsm_file_overlaps(run->files[first + n], start, end)) n++;
        if (n == 0) continue;
        struct rowsource *s = &v->merge.sources[sources++];
        rowsource_init_run(s, &run->files[first], n, false);
        s->sequential = true;
    }
    v->merge.source_count = sources;
    erase_list_add_all(&v->erases, &v->version->erases);
    for (size_t i = 0; i < l->frozen_count; i++) erase_list_add_all(&v->erases, &l->frozen[i]->erases);
    erase_list_add_all(&v->erases, &l->active->erases);
    l->views++;
    return v;
}

/* An erase is given as what it comes to: a deletion of each key that it hides a version of. */
static void give(struct lsm_view *v, struct lsm_write *row)
{
    if (v->key.size == 0 || !slice_eq(keybuf_slice(&v->key), v->held.key)) {
        keybuf_set(&v->key, 0, v->held.key.data, v->held.key.size);
        v->above = LSM_TS_MAX;
    }
    uint64_t ts = erase_list_at(&v->erases, v->held.key, v->held.ts, v->above - 1);
    v->holds = ts > 0;
    *row = v->holds ? (struct lsm_write){.kind = LSM_DELETE, .key = v->held.key, .ts = ts} : v->held;
    v->above = row->ts;
}

enum status lsm_view_next(struct lsm_view *v, struct lsm_write *row)
{
    if (v->holds) {
        give(v, row);
        return STATUS_OK;
    }
    if (!v->begun) {
        if (version_is_damaged(v->version, v->start, v->end)) return STATUS_CORRUPT;
        enum status s = rowmerge_seek(&v->merge, v->start, LSM_TS_MAX);
        v->damaged = s == STATUS_CORRUPT;
        if (s != STATUS_OK) return s;
        v->begun = true;
    }
    enum status s = rowmerge_next(&v->merge, &v->held);
    v->damaged = v->damaged || s == STATUS_CORRUPT;
    if (s != STATUS_OK) return s;
    if (v->end.size > 0 && slice_cmp(v->held.key, v->end) >= 0) return STATUS_END;
    give(v, row);
    return STATUS_OK;
}

void lsm_view_free(struct lsm_view *v)
{
    if (v == NULL) return;
    v->l->views--;
    if (v->damaged) lsm_quarantine(v->l, v->merge.failed->bad, v->merge.failed->miss.block);
    rowmerge_free(&v->merge);
    for (size_t i = 0; i < v->memtable_count; i++) memtable_unref(v->memtables[i]);
    mem_free(v->memtables);
    version_unref(v->version);
    erase_list_free(&v->erases);
    keybuf_free(&v->key);
    mem_free((void *)(uintptr_t)v->start.data);
    mem_free((void *)(uintptr_t)v->end.data);
    mem_free(v);
}
