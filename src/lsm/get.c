#include "base/mem.h"
#include "base/mutant.h"
#include "lsm/bloom.h"
#include "lsm/lsm_int.h"

static enum status answer(const struct lsm_write *found, struct lsm_row *row)
{
    if (found->kind == LSM_DELETE) return STATUS_NOT_FOUND;
    *row = (struct lsm_row){.key = found->key, .ts = found->ts, .value = found->value};
    return STATUS_OK;
}

/* The newest version of key at or below ts in one file. STATUS_NOT_FOUND: the file holds none (a tombstone is a version). */
static enum status get_in_file(struct lsm *l, struct lsm_file *f, struct slice key, uint64_t ts,
                               struct lsm_write *found, struct lsm_miss *miss)
{
    const struct table *t = f->table;
    for (uint32_t at = table_find_block(t, key, ts); at < t->block_count; at++) {
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
        if (at + 1 == t->block_count || !slice_eq(slice_make(t->blocks[at + 1].key, t->blocks[at + 1].key_size), key))
            break;
    }
    return STATUS_NOT_FOUND;
}

/* Newer sources hold newer versions of a key: the first version found is the one. */
enum status lsm_get(struct lsm *l, struct slice key, uint64_t ts, struct lsm_row *row, struct lsm_miss *miss)
{
    struct lsm_write found;
    if (memtable_get(l->active, key, ts, &found)) return answer(&found, row);
    for (size_t i = l->frozen_count; i-- > 0;) {
        const struct memtable *m = l->frozen[MUTANT(oldest_memtable_first) ? l->frozen_count - 1 - i : i];
        if (memtable_get(m, key, ts, &found)) return answer(&found, row);
    }
    uint64_t hash = bloom_hash(key);
    unsigned looked = 0;
    for (size_t r = 0; r < l->version->run_count; r++) {
        const struct run *run = &l->version->runs[r];
        size_t i = run_find(run, key);
        if (i == run->count || (run->files[i]->clipped && slice_cmp(run->files[i]->lower, key) > 0)) continue;
        if (looked++ > 0) l->looks++;
        if (!table_may_hold(run->files[i]->table, hash)) {
            l->bloom_skips++;
            continue;
        }
        enum status s = get_in_file(l, run->files[i], key, ts, &found, miss);
        if (s == STATUS_OK) return answer(&found, row);
        if (s != STATUS_NOT_FOUND) return s;
    }
    return STATUS_NOT_FOUND;
}
