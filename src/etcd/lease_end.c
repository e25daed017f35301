/* The end of a lease: with few keys in one transaction, else
 *
 *   there --one transaction: its row goes, a mark comes--> ENDING --END_KEYS keys at a time--> ... --the last, and the mark--> gone
 *
 * (so does one to which keys are bound faster than they can be read). With its row it has ended: nobody renews it or binds keys to it, and its id is
 * not granted again before the mark has gone. Whoever is cut off leaves the mark, and the next sweep (lease_sweep.c) goes on. */
#include "base/assert.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "etcd/lease.h"

#define WHOLE_TRIES 4u /* to end it in one transaction */
#define END_KEYS 512u  /* the longest keys, twice, and what is compared: below LIMIT_TXN_BYTES */

_Static_assert(END_KEYS * 3 * (LIMIT_KEY_BYTES + 64) < LIMIT_TXN_BYTES, "a step is a transaction");
_Static_assert(END_KEYS * 3 + 8 < LIMIT_TXN_OPS, "a step is a transaction");

struct ending {
    struct list link; /* etcd's */
    struct etcd *etcd;
    struct arena arena;
    uint64_t id, version;
    const struct ecall *by;
    bool all; /* nothing is left of it */
    lease_ended done;
    void *ctx;
};

static void ending_free(struct ending *n)
{
    list_remove(&n->link);
    arena_free(&n->arena);
    mem_free(n);
}

void endings_free(struct etcd *e)
{
    LIST_FOR(it, &e->endings) ending_free(LIST_ENTRY(it, struct ending, link));
}

struct slice lease_bound_key(const struct work_row *attached)
{
    return slice_make(attached->key.data + 9, attached->key.size - 9);
}

/* These keys go, if they are still its; what is put into them meanwhile is no matter. */
static enum work_step delete_keys(struct work *w, uint64_t id, const struct work_row **attached, size_t count)
{
    bool wants = false;
    for (size_t i = 0; i < count; i++) {
        struct slice key = key_row(work_arena(w), ROW_OF_USER, lease_bound_key(attached[i]));
        bool bound;
        work_delete(w, attached[i]->key);
        if (!work_get_bound(w, key, id, &bound))
            wants = true;
        else if (bound)
            work_delete(w, key);
    }
    return wants ? WORK_WANTS : WORK_DONE;
}

/* Its row, of the version that was seen; and the right to all of its keys. */
static enum work_step begin_body(struct work *w, void *ctx)
{
    struct ending *n = ctx;
    struct arena *a = work_arena(w);
    const struct work_row *lease, **attached;
    struct span span = span_attached(a, n->id);
    size_t count;
    struct slice key = key_lease(a, n->id);
    n->all = true;
    bool there = n->version == 0 ? work_get_loosely(w, key, &lease) : work_get(w, key, &lease);
    if (!there) return WORK_WANTS;
    if (!lease->found) return work_refuse(w, &ERR_LEASE_NOT_FOUND);
    if (n->version != 0 && lease->version != n->version) return WORK_DONE;
    if (n->by != NULL) {
        enum work_step may = lease_may_bind(w, n->id, n->by);
        if (may != WORK_DONE) return may;
    }
    bool hurried = work_attempts(w) >= WHOLE_TRIES; /* keys are bound to it faster than it can be read */
    if (!hurried && !work_scan_loosely(w, &span, END_KEYS + 1, &attached, &count)) return WORK_WANTS;
    work_delete(w, key);
    n->all = !hurried && count <= END_KEYS;
    if (n->all) return delete_keys(w, n->id, attached, count);
    COVER("etcd.lease_ends_in_steps");
    work_put(w, key_ending(a, n->id), lease->value);
    return WORK_DONE;
}

/* As long as the mark is there, nobody has granted its id anew. */
static enum work_step step_body(struct work *w, void *ctx)
{
    struct ending *n = ctx;
    struct arena *a = work_arena(w);
    const struct work_row *mark, **attached;
    struct span span = span_attached(a, n->id);
    size_t count;
    bool there = work_get(w, key_ending(a, n->id), &mark);
    n->all = true;
    if (there && !mark->found) return WORK_DONE; /* somebody else was here */
    if (!work_peek(w, &span, END_KEYS + 1, &attached, &count) || !there) return WORK_WANTS;
    n->all = count <= END_KEYS;
    if (n->all) work_delete(w, key_ending(a, n->id));
    return delete_keys(w, n->id, attached, n->all ? count : END_KEYS);
}

static void step_done(void *ctx, const struct etcd_error *why, uint64_t revision, bool wrote)
{
    struct ending *n = ctx;
    (void)wrote;
    bool goes_on = n->by != NULL || !n->etcd->stopping; /* who asked for it waits */
    if (why == NULL && !n->all && goes_on) {
        arena_reset(&n->arena);
        work_start(n->etcd, &n->arena, step_body, step_done, n);
        return;
    }
    lease_ended done = n->done;
    void *done_ctx = n->ctx;
    struct etcd_error refusal = why != NULL ? *why : ERR_STOPPED;
    bool ended = why == NULL && n->all;
    ending_free(n);
    done(done_ctx, ended ? NULL : &refusal, revision);
}

void lease_end(struct etcd *e, const struct lease_to_end *l, lease_ended done, void *ctx)
{
    struct ending *n = mem_zalloc(sizeof(*n));
    *n = (struct ending){.etcd = e, .id = l->id, .version = l->version, .by = l->by, .done = done, .ctx = ctx};
    arena_init(&n->arena, 1024);
    list_push_back(&e->endings, &n->link);
    work_start(e, &n->arena, l->marked ? step_body : begin_body, step_done, n);
}
