/* Up to which timestamp the store may let expired rows go (lsm_set_horizons), range by range.
 *
 * A row that has expired at T may be missing for readers at T and above, and for entries with timestamps at T and above. Entries
 * below T may still come: this replica may lag, and after a crash it applies again what was not durable. So a resolved pair
 * (ts, index) becomes the horizon when the store holds the rows durably up to its index: every entry that will be applied here
 * lies behind that index, and has a timestamp above ts.
 *
 *   newest resolved pair --> waiting --- the store is durable up to its index ---> horizon, and the next pair waits
 */
#include "base/assert.h"
#include "base/mem.h"
#include "range/host_int.h"

#include <stdlib.h>

static bool horizon_move(struct host *h, struct replica *r)
{
    uint64_t index, term;
    bool moved = false;
    if (r->state != REPLICA_RUNNING || !lsm_durable(h->lsm, r->desc->id, &index, &term)) return false;
    if (r->horizon_next.ts != 0 && index >= r->horizon_next.index) {
        ASSERT(r->horizon_next.ts >= r->horizon_ts);
        moved = r->horizon_next.ts > r->horizon_ts;
        r->horizon_ts = r->horizon_next.ts;
        r->horizon_next.ts = 0;
    }
    if (r->horizon_next.ts == 0) r->horizon_next = replica_resolved(r);
    uint64_t merged_at = replica_lineage(r)->merged_at;
    if (r->horizon_next.index < merged_at) r->horizon_next.index = merged_at; /* the other's log was behind us */
    return moved;
}

static int horizon_cmp(const void *a, const void *b)
{
    const struct lsm_horizon *x = a, *y = b;
    return slice_cmp(x->start, y->start);
}

static void horizons_tell(struct host *h)
{
    struct lsm_horizon *items = mem_alloc((h->replicas.count + 1) * sizeof(*items));
    size_t count = 0;
    uint64_t group;
    void *value;
    struct arena keys;
    arena_init(&keys, 16 * 1024);
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        const struct replica *r = value;
        struct slice start, end;
        replica_span(r, &start, &end);
        items[count++] = (struct lsm_horizon){.start = arena_dup_slice(&keys, start), .ts = r->horizon_ts};
    }
    qsort(items, count, sizeof(*items), horizon_cmp);
    bool apart = true; /* one range may be leaving while the one that replaces it is here already */
    for (size_t i = 1; i < count; i++) apart = apart && !slice_eq(items[i - 1].start, items[i].start);
    if (apart) lsm_set_horizons(h->lsm, items, count);
    arena_free(&keys);
    mem_free(items);
}

void host_horizons_step(struct host *h)
{
    uint64_t now_ms = env_mono_ns(h->env) / NS_PER_MS;
    if (h->options.lsm.expires == NULL || now_ms < h->horizons_at_ms) return;
    h->horizons_at_ms = now_ms + h->options.horizon_ms;
    bool moved = false;
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) moved = horizon_move(h, value) || moved;
    if (moved) horizons_tell(h);
}
