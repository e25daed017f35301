/* Who has which keys here. Rows go only when their keys are nobody's: not a replica's, not one's that is on its way out (its
 * tombstone comes first), and not being dropped already.
 *
 * Asked when a replica is to begin, when a snapshot begins and when it is whole (others may have come meanwhile), when a
 * range has given keys away, and when a table is damaged. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/keys_int.h"

#include <stdlib.h>

/* --- whether others leave room --- */

bool keys_give_way(const struct replica *r, const struct range_desc *to)
{
    return raft_blank(r->raft) && r->state != REPLICA_INSTALLING && r->desc->epoch.version < to->epoch.version &&
           r->desc->id != to->id && !MUTANT(blank_in_the_way);
}

enum keys_claim keys_claim(const struct replica *r, const struct range_desc *to, const struct replica *by)
{
    const struct range_desc *d = r->desc;
    if (r == by || !range_desc_overlaps(d, to)) return KEYS_NONE;
    bool taken_in =
        d->id != to->id && to->epoch.version > d->epoch.version && range_desc_contains(to, d->keyspace, d->start);
    if (taken_in) return KEYS_TAKEN_IN;
    return keys_give_way(r, to) ? KEYS_GIVEN_WAY : KEYS_HELD;
}

static bool before(struct slice key, struct slice end) /* end empty: no bound */
{
    return end.size == 0 || slice_cmp(key, end) < 0;
}

static bool being_dropped(const struct host *h, const struct range_desc *d)
{
    bool found = false;
    struct buf start, end;
    buf_init(&start, LSM_KEY_MAX);
    buf_init(&end, LSM_KEY_MAX);
    range_desc_span(d, &start, &end);
    LIST_FOR(it, &h->dropping)
    {
        const struct keys_dropping *k = LIST_ENTRY(it, struct keys_dropping, link);
        found = found || (before(k->start, buf_slice(&end)) && before(buf_slice(&start), k->end));
    }
    buf_free(&start);
    buf_free(&end);
    return found;
}

bool keys_are_free(const struct host *h, const struct range_desc *d, const struct replica *by)
{
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        if (keys_claim(value, d, by) == KEYS_HELD) return false;
    }
    return list_empty(&h->dropping) || !being_dropped(h, d);
}

/* --- rows that go --- */

void keys_dropping_begin(struct host *h, struct keys_dropping *k, struct slice start, struct slice end)
{
    k->start = mem_dup_slice(start);
    k->end = mem_dup_slice(end);
    list_push_back(&h->dropping, &k->link);
}

void keys_dropping_end(struct keys_dropping *k)
{
    list_remove(&k->link);
    mem_free((void *)(uintptr_t)k->start.data);
    mem_free((void *)(uintptr_t)k->end.data);
}

struct excise {
    struct keys_dropping keys;
    struct host *host;
};

static void excised(void *ctx, enum status s)
{
    struct excise *e = ctx;
    struct host *h = e->host;
    h->excises--;
    keys_dropping_end(&e->keys);
    mem_free(e);
    if (s != STATUS_OK) h->env->ops->fatal(h->env, "rows cannot be dropped: the store's manifest cannot be written");
    h->env->ops->wake(h->env);
}

static void excise(struct host *h, struct slice start, struct slice end)
{
    struct excise *e = mem_zalloc(sizeof *e);
    e->host = h;
    h->excises++;
    keys_dropping_begin(h, &e->keys, start, end);
    lsm_excise(h->lsm, e->keys.start, e->keys.end, excised, e);
}

struct span { /* in store keys; an empty end: no bound */
    struct slice start, end;
};

static int by_start(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return slice_cmp(x->start, y->start);
}

/* What of [start, end) is somebody's, in order. A range's own keys do not overlap another's, those of one that waits for a snapshot may. */
static size_t held_spans(struct host *h, struct slice start, struct slice end, struct arena *arena, struct span **out)
{
    size_t count = 0, dropping = 0;
    uint64_t group;
    void *value;
    LIST_FOR(it, &h->dropping) dropping++;
    struct span *of = *out = arena_alloc(arena, (h->replicas.count + dropping + 1) * sizeof *of);
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        struct slice from, to;
        replica_span(value, &from, &to);
        if (before(from, end) && before(start, to))
            of[count++] = (struct span){arena_dup_slice(arena, from), arena_dup_slice(arena, to)};
    }
    LIST_FOR(it, &h->dropping)
    {
        const struct keys_dropping *k = LIST_ENTRY(it, struct keys_dropping, link);
        if (before(k->start, end) && before(start, k->end)) of[count++] = (struct span){k->start, k->end};
    }
    if (count > 1) qsort(of, count, sizeof *of, by_start);
    return count;
}

void keys_drop_unheld(struct host *h, struct slice start, struct slice end)
{
    struct arena arena;
    struct span *of;
    arena_init(&arena, 4096);
    start = arena_dup_slice(&arena, start);
    end = arena_dup_slice(&arena, end);
    size_t count = held_spans(h, start, end, &arena, &of);
    bool open = true; /* something may lie behind start */
    for (size_t i = 0; i < count && open; i++) {
        if (slice_cmp(start, of[i].start) < 0) excise(h, start, of[i].start);
        open = of[i].end.size > 0;
        if (open && slice_cmp(start, of[i].end) < 0) start = of[i].end;
    }
    if (open && before(start, end)) excise(h, start, end);
    arena_free(&arena);
}

/* The store is closed next: it calls nobody any more. */
void keys_close(struct host *h)
{
    while (!list_empty(&h->dropping)) {
        struct keys_dropping *k = LIST_ENTRY(h->dropping.next, struct keys_dropping, link);
        keys_dropping_end(k);
        mem_free(LIST_ENTRY(k, struct excise, keys));
    }
}
