#include "lsm/gc.h"
#include "base/mutant.h"

void gc_init(struct gc *g, uint64_t safepoint, const struct version *v, uint32_t level, bool flush)
{
    *g = (struct gc){.safepoint = safepoint, .version = v, .level = level, .flush = flush};
}

void gc_free(struct gc *g)
{
    keybuf_free(&g->key);
}

static bool deeper_holds(const struct gc *g, struct slice key)
{
    if (!g->flush) return version_deeper_holds(g->version, g->level, key);
    for (size_t r = 0; r < g->version->run_count; r++) {
        const struct run *run = &g->version->runs[r];
        size_t i = run_find(run, key);
        if (i < run->count && slice_cmp(run->files[i]->lower, key) <= 0) return true;
    }
    return false;
}

bool gc_keep(struct gc *g, const struct lsm_write *row)
{
    if (g->key.size == 0 || !slice_eq(keybuf_slice(&g->key), row->key)) {
        keybuf_set(&g->key, 0, row->key.data, row->key.size);
        g->shadowed = false;
    }
    if (row->ts > g->safepoint && !MUTANT(versions_dropped_early)) return true;
    bool keep =
        !g->shadowed && (row->kind == LSM_PUT || (deeper_holds(g, row->key) && !MUTANT(tombstone_dropped_early)));
    g->shadowed = true;
    if (!keep) g->dropped++;
    return keep;
}
