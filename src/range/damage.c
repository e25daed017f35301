/* Rows that cannot be read: a block of a table is damaged, found by a read, a compaction or the scrubber. The store answers
 * nothing from that table any more, and says which stretch of keys it held. Each replica whose rows lie there takes itself out
 * like one that has diverged, hands over if it leads, and fetches its rows again by a snapshot, whose installation removes what
 * is left of the table. What no replica has rows in is removed at once. */
#include "base/assert.h"
#include "range/host_int.h"

#include <stdlib.h>

static void excised(void *ctx, enum status s)
{
    struct host *h = ctx;
    if (s != STATUS_OK && s != STATUS_CLOSED)
        h->env->ops->fatal(h->env, "a damaged table cannot be removed: the store's manifest cannot be written");
}

static bool before(struct slice key, struct slice end) /* end empty: no bound */
{
    return end.size == 0 || slice_cmp(key, end) < 0;
}

struct span { /* in store keys; an empty end: no bound */
    struct slice start, end;
};

static int by_start(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return slice_cmp(x->start, y->start);
}

/* Of [start, end), what lies between the spans, which do not overlap. */
static void excise_gaps(struct host *h, struct span *of, size_t count, struct slice start, struct slice end)
{
    if (count > 0) qsort(of, count, sizeof(*of), by_start);
    for (size_t i = 0; i < count; i++) {
        if (slice_cmp(start, of[i].start) < 0) lsm_excise(h->lsm, start, of[i].start, excised, h);
        if (of[i].end.size == 0) return;
        start = of[i].end;
    }
    if (before(start, end)) lsm_excise(h->lsm, start, end, excised, h);
}

/* From within a read of the store: what is to be done is only noted. */
static void damaged(void *ctx, struct slice start, struct slice end)
{
    struct host *h = ctx;
    struct arena arena;
    arena_init(&arena, 4096);
    struct span *of = arena_alloc(&arena, (h->replicas.count + 1) * sizeof(*of));
    size_t count = 0;
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        struct replica *r = value;
        struct slice from, to;
        replica_span(r, &from, &to);
        if (!before(from, end) || !before(start, to)) continue;
        of[count++] = (struct span){arena_dup_slice(&arena, from), arena_dup_slice(&arena, to)};
        if (r->state == REPLICA_DIVERGED || r->state == REPLICA_INSTALLING) continue; /* it is replaced in any case */
        r->divergence.damaged = true;
        host_mark_ready(h, r);
    }
    excise_gaps(h, of, count, start, end);
    arena_free(&arena);
    h->env->ops->wake(h->env);
}

void damage_watch(struct host *h, bool watch)
{
    lsm_on_damage(h->lsm, watch ? damaged : NULL, h);
}

void damage_run(struct replica *r)
{
    if (!r->divergence.damaged || r->state != REPLICA_RUNNING) return;
    COVER("range.damaged");
    log_event(r->host->env->log, LOG_ERROR, "range.damaged", "range=%llu applied=%llu cure=snapshot",
              (unsigned long long)r->desc->id, (unsigned long long)r->applied);
    divergence_take_out(r, r->applied > 0 ? r->applied : 1);
    r->divergence.evidence_kept = true; /* the log line above says all there is to know */
}
