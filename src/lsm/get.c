#include "base/mem.h"
#include "base/mutant.h"
#include "lsm/bloom.h"
#include "lsm/lsm_int.h"

static enum status answer(const struct lsm *l, const struct lsm_write *found, uint64_t ts, struct lsm_row *row)
{
    if (found->kind == LSM_DELETE || lsm_erased(l, l->version, found->key, found->ts, ts)) return STATUS_NOT_FOUND;
    *row = (struct lsm_row){.key = found->key, .ts = found->ts, .value = found->value};
    return STATUS_OK;
}

/* The newest version of key at or below ts in one file. STATUS_NOT_FOUND: the file holds none (a tombstone is a version). */
static enum status get_in_file(struct lsm *l, struct lsm_file *f, uint32_t at, struct slice key, uint64_t ts,
                               struct lsm_write *found, struct lsm_miss *miss)
{
    const struct table *t = f->table;
    for (; at < t->block_count; at++) {
        struct cache_entry *e;
        enum status s = lsm_block(f, at, &e);
        if (s == STATUS_MISS) *miss = (struct lsm_miss){.file = lsm_file_ref(f), .block = at};
        if (s == STATUS_CORRUPT) lsm_quarantine(l, f, at);
        if (s != STATUS_OK) return s;
        s = block_get(&e->block, key, ts, found);
        cache_release(e);
        if (s == STATUS_CORRUPT) lsm_quarantine(l, f, at);
        if (s != STATUS_END) return s;
        /* The next block begins with a version of this key only if its bound says so. */
        if (at + 1 == t->block_count || !slice_eq(table_block_key(t, at + 1), key)) break;
    }
    return STATUS_NOT_FOUND;
}

/* The run's file that may hold the key, or NULL. Its filter's line comes to the processor meanwhile. */
static struct lsm_file *candidate(const struct version *v, size_t r, struct slice key, uint64_t hash)
{
    if (r >= v->run_count) return NULL;
    const struct run *run = &v->runs[r];
    size_t i = run_find(run, key);
    if (i == run->count) return NULL;
    struct lsm_file *f = run->files[i];
    if (f->clipped && slice_cmp(f->lower, key) > 0) return NULL;
    __builtin_prefetch(bloom_line(f->table->filter, f->table->filter_lines, hash));
    return f;
}

/* Of two runs, the filter of the second is fetched while the first is looked at. */
static enum status get_in_runs(struct lsm *l, struct slice key, uint64_t hash, uint64_t ts, struct lsm_write *found,
                               struct lsm_miss *miss)
{
    const struct version *v = l->version;
    if (v->damaged_count > 0 && version_is_damaged_at(v, key)) return STATUS_CORRUPT;
    unsigned looked = 0;
    struct lsm_file *f = candidate(v, 0, key, hash), *next;
    for (size_t r = 0; r < v->run_count; r++, f = next) {
        next = candidate(v, r + 1, key, hash);
        if (f == NULL) continue;
        if (looked++ > 0) l->looks++;
        if (!table_may_hold(f->table, hash)) {
            l->bloom_skips++;
            continue;
        }
        enum status s = get_in_file(l, f, table_find_block(f->table, key, ts), key, ts, found, miss);
        if (s != STATUS_NOT_FOUND) return s;
    }
    return STATUS_NOT_FOUND;
}

/* First what tells in memory whether the key is there; then, of a key that is not, the filters of the tables that might have it. Most
 * of what is looked for in vain, as a new id is, ends at filters, which lie anywhere. */
void lsm_soon(const struct lsm *l, struct slice key, bool next)
{
    uint64_t hash = bloom_hash(key);
    if (!next) {
        recent_soon(&l->recent, hash);
        memtable_soon(l->active, hash);
        for (size_t i = 0; i < l->frozen_count; i++) memtable_soon(l->frozen[i], hash);
        return;
    }
    if (recent_next(&l->recent, hash) || memtable_may_hold(l->active, hash)) return;
    for (size_t r = 0; r < l->version->run_count; r++) (void)candidate(l->version, r, key, hash);
}

/* Newer sources hold newer versions of a key: the first version found is the one. */
enum status lsm_get(struct lsm *l, struct slice key, uint64_t ts, struct lsm_row *row, struct lsm_miss *miss)
{
    struct lsm_write found;
    uint64_t hash = bloom_hash(key);
    if (ts == LSM_TS_MAX && recent_find(&l->recent, key, hash, &row->ts, &row->value)) {
        row->key = key;
        return STATUS_OK;
    }
    if (memtable_get(l->active, key, hash, ts, &found)) return answer(l, &found, ts, row);
    for (size_t i = l->frozen_count; i-- > 0;) {
        const struct memtable *m = l->frozen[MUTANT(oldest_memtable_first) ? l->frozen_count - 1 - i : i];
        if (memtable_get(m, key, hash, ts, &found)) return answer(l, &found, ts, row);
    }
    enum status s = get_in_runs(l, key, hash, ts, &found, miss);
    return s == STATUS_OK ? answer(l, &found, ts, row) : s;
}
