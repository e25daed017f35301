/* Watches of ranges that are led here: docs/watch.md. A request asks for what has changed above a timestamp, and waits for it.
 *
 *   asked --(until: the range is closed there, read.c)--> WAITING --something has changed, or the wait is over--> replied
 *                                                          |   ^
 *             the ring does not reach back so far          v   |
 *             window: the store's versions are read ----> joined to the ring; too many: kept beside it while it is asked for
 *
 * Told is only what is final: up to the resolved timestamp, and below every undecided transaction. So a reply's upto is true for ever,
 * whoever leads next, and what is asked for above it comes neither twice nor is anything missing.
 *
 * Woken by: an applied entry, a decision, a window's end. Timed out by: the sweep. One that is kept by an abandoned transaction is told
 * whose it is, so that the router settles it. */
#include "node/watch.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "node/read.h"

#define SWEEP_NS (50 * NS_PER_MS)
#define STUCK_NS (500 * NS_PER_MS)
#define UNUSED_NS (60000 * NS_PER_MS) /* then nothing is kept any more */
#define RING_BYTES (2u << 20)
#define WINDOW_BYTES (4u << 20)
#define WINDOWS_MAX 2u                      /* being read by one node */
#define WINDOWS_KEPT_MAX 8u                 /* with those that are read */
#define WINDOW_IDLE_NS (200 * NS_PER_MS)    /* one that nobody has asked for gives way to another */
#define WINDOW_UNUSED_NS (2000 * NS_PER_MS) /* then it goes */
#define WINDOW_STEP_ROWS 16384u
#define REPLY_BYTES_DEFAULT (256u << 10)
#define REPLY_BYTES_MAX (1u << 20)
#define WAIT_MS_MAX 30000u

struct watch_asked {
    struct watch_request m; /* slices: of the request's params */
    struct read_how how;
    uint64_t answer_by_ns;
};

struct watched { /* of one replica */
    struct list link;
    struct node *node;
    struct kv_state *state;
    uint64_t group;
    struct feed *ring;
    struct list polls;     /* struct node_request */
    struct window *window; /* NULL: there is none */
    bool stirred;
    uint64_t told_upto; /* when the polls were last looked at */
    uint64_t used_ns;
    struct txn_id stuck_by; /* the oldest undecided transaction, since stuck_ns */
    uint64_t stuck_ns;
};

/* The store's versions above `after`, oldest first as far as they fit. An answer takes a part of it, and to read it takes long: it stays for those that
 * ask for the rest. */
struct window {
    struct task task;
    struct node *node;
    struct watched *watched; /* NULL: nobody wants it any more */
    struct lsm_view *view;
    struct feed *feed;
    uint64_t after;
    uint64_t upto;    /* complete up to here; of one that is read: final when the view was made */
    uint64_t used_ns; /* 0: it is being read */
    enum status status;
};

/* --- what is final --- */

static uint64_t final_upto(struct replica *r, const struct kv_state *s)
{
    uint64_t resolved = replica_resolved(r).ts, undecided = txn_table_undecided_min(s->table);
    if (MUTANT(watch_beyond_undecided)) return resolved;
    if (MUTANT(watch_resolved_early)) resolved = host_newest_ts(s->node->host);
    return undecided <= resolved ? undecided - 1 : resolved;
}

/* --- the life of what is kept --- */

static struct watched *watched_of(struct node *n, uint64_t group, struct replica *r, struct kv_state *s)
{
    struct watched *w = s->watched;
    if (w == NULL) {
        w = s->watched = mem_zalloc(sizeof *w);
        w->node = n;
        w->state = s;
        w->group = group;
        w->ring = feed_new(false, RING_BYTES);
        w->ring->base = replica_newest_bound(r); /* what is applied from now on is above */
        list_init(&w->polls);
        list_push_back(&n->watched, &w->link);
    }
    w->used_ns = env_mono_ns(n->env);
    return w;
}

static void refuse_polls(struct watched *w, enum status s, const char *why)
{
    struct list *it;
    while ((it = list_pop_front(&w->polls)) != NULL)
        node_refuse(LIST_ENTRY(it, struct node_request, link), s, false, why);
}

static void window_free(struct window *x)
{
    x->node->windows--;
    if (x->used_ns == 0) x->node->windows_read--;
    if (x->watched != NULL) x->watched->window = NULL;
    lsm_view_free(x->view);
    feed_free(x->feed);
    mem_free(x);
}

static void window_forget(struct window *x)
{
    if (x->used_ns != 0)
        window_free(x);
    else
        x->watched = NULL; /* its task is under way */
}

void watched_free(struct kv_state *s)
{
    struct watched *w = s->watched;
    if (w == NULL) return;
    s->watched = NULL;
    refuse_polls(w, STATUS_NOT_LEADER, "the range is changing, or its rows are being replaced here");
    if (w->window != NULL) window_forget(w->window);
    list_remove(&w->link);
    feed_free(w->ring);
    mem_free(w);
}

void watches_fail_all(struct node *n)
{
    LIST_FOR(it, &n->watched)
    {
        refuse_polls(LIST_ENTRY(it, struct watched, link), STATUS_NOT_LEADER, "the node is stopping: others lead");
    }
}

void watched_take(struct kv_state *s, const struct txn_writes *writes, uint64_t ts)
{
    struct watched *w = s->watched;
    for (size_t i = 0; i < writes->count; i++) {
        const struct txn_write *t = &writes->items[i];
        if (!t->by_index) feed_take(w->ring, t->key, t->is_delete, t->value, t->ts != 0 ? t->ts : ts);
    }
    w->stirred = true;
}

void watch_release(struct node_request *q)
{
    if (q->watch == NULL) return;
    list_remove(&q->link);
    mem_free(q->watch);
}

/* --- answers --- */

static void reply_changes(struct node_request *q, const struct feed *f, uint64_t upto)
{
    const struct watch_request *m = &q->watch->m;
    struct watch_reply reply = {.upto = upto > m->after ? upto : m->after};
    struct buf payload;
    arena_reset(&q->node->arena);
    if (upto > m->after)
        reply.change_count =
            feed_read(f, m->after, &reply.upto, m->start, m->end, m->limit_bytes, &q->node->arena, &reply.changes);
    buf_init(&payload, LIMIT_FRAME_BYTES - 65536);
    pack_watch_reply(&payload, &reply);
    if (payload.overflow)
        node_refuse(q, STATUS_TOO_LARGE, false, "the changes of one transaction are larger than a frame");
    else
        node_reply(q, buf_slice(&payload));
    buf_free(&payload);
}

static void refuse_too_old(struct node_request *q, uint64_t past)
{
    struct errbuf err;
    struct buf payload;
    COVER("watch.too_old");
    errbuf_set(&err, "changes after %llu are no longer known: the first that are kept come after %llu",
               (unsigned long long)q->watch->m.after, (unsigned long long)past);
    buf_init(&payload, 64);
    pack_watch_reply(&payload, &(struct watch_reply){.upto = past});
    node_refuse_with(q, STATUS_TOO_OLD, err.text, buf_slice(&payload));
    buf_free(&payload);
}

static bool has_changes(const struct watched *w, struct node_request *q, uint64_t upto)
{
    const struct watch_request *m = &q->watch->m;
    struct feed_change *changes;
    if (upto <= m->after) return false;
    arena_reset(&q->node->arena);
    return feed_read(w->ring, m->after, &upto, m->start, m->end, 0, &q->node->arena, &changes) > 0;
}

/* --- windows --- */

/* Worker: touches view and feed only; a bounded step. */
static void window_execute(struct task *t)
{
    struct window *x = (struct window *)(void *)t;
    struct lsm_write row;
    x->status = STATUS_OK;
    for (unsigned i = 0; i < WINDOW_STEP_ROWS && x->status == STATUS_OK; i++) {
        x->status = lsm_view_next(x->view, &row);
        if (x->status == STATUS_OK && row.ts > x->after)
            feed_take(x->feed, row.key, row.kind == LSM_DELETE, row.value, row.ts);
    }
}

/* More than the ring holds: it is kept, up to where it was cut. */
static void window_keep(struct window *x)
{
    if (x->feed->cut != FEED_UNKNOWN) COVER("watch.window_cut");
    if (x->feed->cut != FEED_UNKNOWN && x->feed->cut <= x->upto) x->upto = x->feed->cut - 1;
    lsm_view_free(x->view);
    x->view = NULL;
    x->node->windows_read--;
    x->used_ns = env_mono_ns(x->node->env);
}

static bool window_helps(const struct window *x, uint64_t after)
{
    return x != NULL && x->used_ns != 0 && after >= x->after && after < x->upto;
}

/* Whether another one may be read instead. */
static bool window_is_over(const struct window *x, uint64_t after, uint64_t now_ns)
{
    return x->used_ns != 0 && (after == x->upto || now_ns - x->used_ns > WINDOW_IDLE_NS);
}

static void window_complete(struct task *t)
{
    struct window *x = (struct window *)(void *)t;
    struct node *n = x->node;
    struct watched *w = x->watched;
    if (w != NULL && !t->cancelled && x->status == STATUS_OK) {
        exec_submit(n->env->exec, LANE_BACKGROUND, &x->task);
        return;
    }
    if (w == NULL || t->cancelled) {
        window_free(x);
        return;
    }
    feed_sort(x->feed);
    w->stirred = true;
    w->told_upto = 0;
    n->env->ops->wake(n->env);
    if (x->status != STATUS_END) {
        refuse_polls(w, STATUS_NOT_LEADER, "a table is damaged here, and fetched again: ask another replica");
        window_free(x);
    } else if (!feed_has_room(w->ring, x->feed, x->after)) {
        window_keep(x);
    } else {
        COVER("watch.window_joined");
        feed_join(w->ring, x->feed, x->after);
        x->feed = NULL;
        window_free(x);
    }
}

/* What the ring lacks is read from the store, for the one that asks and all that ask for later. Who had a turn is the last to have another. */
static void window_begin(struct watched *w, struct replica *r, uint64_t after, uint64_t upto, uint64_t now_ns)
{
    struct node *n = w->node;
    struct slice start, end;
    if (w->window != NULL && !window_is_over(w->window, after, now_ns)) return;
    if (w->window != NULL) window_free(w->window);
    if (n->windows_read >= WINDOWS_MAX || n->windows >= WINDOWS_KEPT_MAX || replica_rows_life(r) == 0) return;
    COVER("watch.window");
    list_remove(&w->link);
    list_push_back(&n->watched, &w->link);
    struct window *x = mem_zalloc(sizeof *x);
    x->task = (struct task){.execute = window_execute, .complete = window_complete};
    list_init(&x->task.link);
    x->node = n;
    x->watched = w;
    x->after = after;
    x->upto = upto;
    x->feed = feed_new(true, WINDOW_BYTES);
    replica_span(r, &start, &end);
    x->view = lsm_view_new(host_store(n->host), start, end);
    w->window = x;
    n->windows++;
    n->windows_read++;
    exec_submit(n->env->exec, LANE_BACKGROUND, &x->task);
}

/* --- looking at who waits --- */

/* May answer, and so free, q. */
static void look_at(struct watched *w, struct node_request *q, struct replica *r, uint64_t upto, uint64_t now_ns)
{
    const struct watch_request *m = &q->watch->m;
    if (!node_epoch_holds(r, &m->to)) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the range has changed");
        return;
    }
    uint64_t floor = feed_floor(w->ring);
    if (floor == FEED_UNKNOWN && w->ring->evicted == 0) {
        uint64_t bound = replica_newest_bound(r); /* known by now? Nothing older was applied since */
        if (bound != UINT64_MAX && bound <= m->after) floor = w->ring->base = bound;
    }
    bool late = now_ns >= q->watch->answer_by_ns;
    if (m->after < floor && window_helps(w->window, m->after)) {
        w->window->used_ns = now_ns;
        reply_changes(q, w->window->feed, w->window->upto);
        return;
    }
    if (m->after < floor) {
        uint64_t past = host_safepoint(w->state->node->host);
        if (m->after < past && !MUTANT(watch_never_too_old)) {
            refuse_too_old(q, past);
        } else if (late) {
            node_refuse(q, STATUS_RETRY, false, "older versions are being read");
        } else {
            window_begin(w, r, m->after, upto, now_ns);
        }
        return;
    }
    if (late && m->until != 0 && upto <= m->after)
        node_refuse(q, STATUS_RETRY, false, "a transaction is undecided below what is to be told");
    else if (late || (m->until != 0 && upto >= m->until) || has_changes(w, q, upto))
        reply_changes(q, w->ring, upto);
}

/* An undecided transaction keeps all that comes behind it: one of those who wait is told whose it is. */
static void look_for_stuck(struct watched *w, struct replica *r, uint64_t now_ns)
{
    struct txn_id by;
    bool stuck = txn_table_undecided_first(w->state->table, &by) &&
                 txn_table_undecided_min(w->state->table) <= replica_resolved(r).ts;
    if (!stuck || memcmp(by.bytes, w->stuck_by.bytes, sizeof by.bytes) != 0) {
        w->stuck_by = stuck ? by : (struct txn_id){{0}};
        w->stuck_ns = now_ns;
    } else if (now_ns - w->stuck_ns > STUCK_NS && !list_empty(&w->polls)) {
        COVER("watch.stuck");
        w->stuck_ns = now_ns;
        struct list *it = list_pop_front(&w->polls);
        locks_refuse(LIST_ENTRY(it, struct node_request, link), &by, "a transaction has been undecided for too long");
    }
}

static void look_at_all(struct watched *w, uint64_t now_ns, bool sweep)
{
    struct replica *r = host_replica(w->node->host, w->group);
    w->stirred = false;
    if (r == NULL || !replica_leads(r)) {
        refuse_polls(w, STATUS_NOT_LEADER, "this replica does not lead the range");
        return;
    }
    if (list_empty(&w->polls)) return;
    if (feed_newest(w->ring) > replica_resolved(r).ts) replica_resolve_now(r);
    uint64_t upto = final_upto(r, w->state);
    if (!sweep && upto == w->told_upto) return;
    w->told_upto = upto;
    LIST_FOR(it, &w->polls)
    {
        look_at(w, LIST_ENTRY(it, struct node_request, link), r, upto, now_ns);
    }
    if (sweep) look_for_stuck(w, r, now_ns);
}

uint64_t watches_pass(struct node *n, uint64_t now_ns)
{
    bool sweep = now_ns >= n->watches_sweep_ns;
    if (list_empty(&n->watched)) return DEADLINE_NONE;
    if (sweep) n->watches_sweep_ns = now_ns + SWEEP_NS;
    LIST_FOR(it, &n->watched)
    {
        struct watched *w = LIST_ENTRY(it, struct watched, link);
        if (!list_empty(&w->polls)) w->used_ns = now_ns;
        if (sweep || w->stirred) look_at_all(w, now_ns, sweep);
        if (sweep && w->window != NULL && w->window->used_ns != 0 && now_ns - w->window->used_ns > WINDOW_UNUSED_NS)
            window_free(w->window);
        if (sweep && now_ns - w->used_ns > UNUSED_NS && w->window == NULL) watched_free(w->state);
    }
    return list_empty(&n->watched) ? DEADLINE_NONE : n->watches_sweep_ns;
}

/* --- requests --- */

static void watch_serve(struct node_request *q)
{
    struct node *n = q->node;
    struct replica *r = host_replica(n->host, q->group);
    struct kv_state *s = r == NULL ? NULL : replica_machine_state(r);
    if (s == NULL || !replica_leads(r)) {
        node_refuse(q, STATUS_NOT_LEADER, false, "this replica does not lead the range, or is being replaced");
        return;
    }
    struct watched *w = watched_of(n, q->group, r, s);
    list_push_back(&w->polls, &q->link);
    if (feed_newest(w->ring) > replica_resolved(r).ts) replica_resolve_now(r);
    look_at(w, q, r, final_upto(r, s), env_mono_ns(n->env));
}

/* The router has thought better of it: only the last request of a watch waits. */
static void drop_former(struct node *n, const struct replica *r, uint64_t poll)
{
    LIST_FOR(w, &n->watched)
    {
        struct watched *watched = LIST_ENTRY(w, struct watched, link);
        if (watched->group != replica_group(r)) continue;
        LIST_FOR(it, &watched->polls)
        {
            struct node_request *q = LIST_ENTRY(it, struct node_request, link);
            if (q->watch->m.poll == poll) node_refuse(q, STATUS_RETRY, false, "a later request has come instead");
        }
    }
}

void node_on_watch(struct node *n, struct rpc_request *req)
{
    struct node_request *q = node_request_new(n, req);
    arena_reset(&n->arena);
    q->watch = mem_zalloc(sizeof *q->watch);
    struct watch_request *m = &q->watch->m;
    if (unpack_watch_request(req->params, &n->arena, m) != STATUS_OK) {
        node_refuse(q, STATUS_INVALID, false, "not a watch request");
        return;
    }
    struct replica *r = node_request_route(q, &m->to, false);
    if (r == NULL) return;
    const struct range_desc *d = replica_desc(r);
    bool inside = d->keyspace == m->keyspace && slice_cmp(m->start, d->start) >= 0 &&
                  (d->end.size == 0 || (m->end.size > 0 && slice_cmp(m->end, d->end) <= 0));
    if (!inside) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the span is not within this range");
        return;
    }
    uint32_t wait_ms = m->wait_ms < WAIT_MS_MAX ? m->wait_ms : WAIT_MS_MAX;
    q->watch->answer_by_ns = req->received_ns + wait_ms * NS_PER_MS;
    if (m->limit_bytes == 0) m->limit_bytes = REPLY_BYTES_DEFAULT;
    if (m->limit_bytes > REPLY_BYTES_MAX) m->limit_bytes = REPLY_BYTES_MAX;
    if (m->until == 0) {
        watch_serve(q);
        return;
    }
    drop_former(n, r, m->poll);
    q->watch->how = (struct read_how){.mode = READ_SNAPSHOT, .ts = m->until};
    read_begin(q, r, &q->watch->how, watch_serve);
}
