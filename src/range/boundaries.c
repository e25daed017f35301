/* The store is told where ranges end, so that a range's rows lie in few tables that others have no part in. */
#include "base/mem.h"
#include "range/change_int.h"

#include <stdlib.h>

static int by_key(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

void host_spans_step(struct host *h)
{
    if (!h->spans_changed) return;
    h->spans_changed = false;
    struct arena arena;
    arena_init(&arena, 4096);
    struct slice *keys = mem_alloc((2 * h->replicas.count + 1) * sizeof *keys);
    size_t count = 0, kept = 0;
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        const struct replica *r = value;
        struct slice start, end;
        replica_span(r, &start, &end);
        keys[count++] = arena_dup_slice(&arena, start);
        keys[count++] = arena_dup_slice(&arena, end);
    }
    if (count > 1) qsort(keys, count, sizeof *keys, by_key);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !slice_eq(keys[i], keys[kept - 1])) keys[kept++] = keys[i];
    }
    lsm_set_boundaries(h->lsm, keys, kept);
    mem_free(keys);
    arena_free(&arena);
}
