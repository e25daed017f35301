/* Rows that cannot be read: a block of a table is damaged, found by a read, a compaction or the scrubber. The store answers
 * nothing from that table any more, and says which stretch of keys it held. Each replica whose rows lie there takes itself out
 * like one that has diverged, hands over if it leads, and fetches its rows again by a snapshot, whose installation removes what
 * is left of the table. What no replica has rows in is removed at once. */
#include "base/assert.h"
#include "range/keys_int.h"

static bool before(struct slice key, struct slice end) /* end empty: no bound */
{
    return end.size == 0 || slice_cmp(key, end) < 0;
}

/* From within a read of the store: what is to be done is only noted. */
static void damaged(void *ctx, struct slice start, struct slice end)
{
    struct host *h = ctx;
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        struct replica *r = value;
        struct slice from, to;
        replica_span(r, &from, &to);
        if (!before(from, end) || !before(start, to)) continue;
        if (r->state == REPLICA_DIVERGED || r->state == REPLICA_INSTALLING) continue; /* it is replaced in any case */
        r->divergence.damaged = true;
        host_mark_ready(h, r);
    }
    keys_drop_unheld(h, start, end);
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
