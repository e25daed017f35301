#include "lsm/gc.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"

void gc_init(struct gc *g, uint64_t safepoint, const struct version *v, uint32_t level, bool flush)
{
    *g = (struct gc){.safepoint = safepoint, .version = v, .level = level, .flush = flush};
}

void gc_free(struct gc *g)
{
    keybuf_free(&g->key);
    horizons_unref(g->horizons);
}

struct horizons *horizons_new(const struct lsm_horizon *items, size_t count)
{
    struct horizons *h = mem_zalloc(sizeof(*h) + count * sizeof(h->items[0]));
    h->refs = 1;
    h->count = count;
    for (size_t i = 0; i < count; i++) {
        if (i > 0) ASSERT(slice_cmp(items[i - 1].start, items[i].start) < 0);
        h->items[i] = (struct lsm_horizon){.start = mem_dup_slice(items[i].start), .ts = items[i].ts};
    }
    return h;
}

struct horizons *horizons_ref(struct horizons *h)
{
    if (h != NULL) h->refs++;
    return h;
}

void horizons_unref(struct horizons *h)
{
    if (h == NULL) return;
    ASSERT(h->refs > 0);
    if (--h->refs > 0) return;
    for (size_t i = 0; i < h->count; i++) mem_free((void *)(uintptr_t)h->items[i].start.data);
    mem_free(h);
}

/* Keys come in order. */
static uint64_t horizon_of(struct gc *g, struct slice key)
{
    const struct horizons *h = g->horizons;
    if (h == NULL) return 0;
    while (g->stretch < h->count && slice_cmp(h->items[g->stretch].start, key) <= 0) g->stretch++;
    return g->stretch == 0 ? 0 : h->items[g->stretch - 1].ts;
}

static bool has_expired(struct gc *g, const struct lsm_write *row)
{
    if (g->expires == NULL || row->kind != LSM_PUT) return false;
    uint64_t end = g->expires(row->key, row->ts, row->value);
    return end <= g->safepoint && end <= horizon_of(g, row->key);
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
    bool erased = erase_list_at(&g->version->erases, row->key, row->ts, g->safepoint) > 0;
    bool keep = !g->shadowed && !erased &&
                ((row->kind == LSM_PUT && !has_expired(g, row)) ||
                 (deeper_holds(g, row->key) && !MUTANT(tombstone_dropped_early)));
    g->shadowed = true;
    if (!keep) g->dropped++;
    return keep;
}
