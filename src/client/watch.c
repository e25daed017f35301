/* A watch over ranges: a leg for each part of the span that lay in one range when it was last asked. Each leg asks its range's leader
 * what has changed above its own position, and waits there. What all legs have passed is told, merged.
 *
 *   leg:  ASKING --answer: changes up to a timestamp--> FULL --told--> ASKING
 *            |                                        (nothing: ASKING again)
 *            '--another leg has changes from behind where this one stands, or somebody waits for a timestamp: asks again, for an answer
 *               up to there at once
 *
 * A leg whose range has split becomes two. A range that moves, or a leader that changes, is the router's affair (request.c): the same
 * question goes elsewhere, and has the same answer. */
#include "client/watch.h"

#include "base/assert.h"
#include "base/mem.h"
#include "client/watch_int.h"

#include <stdio.h>
#include <stdlib.h>

#define START_MS 10000u
#define POLL_GRACE_MS 30000u /* for retries, beyond the wait */
#define LEG_WAIT_MIN_MS 500u /* however often it is told where it stands: a leg is a request to a range */
#define LEG_BYTES_MIN (16u << 10)
#define WATCH_BYTES (128u << 10)

struct leg {
    struct list link;
    struct client_watch *watch;
    struct slice start, end; /* as the keyspace holds keys; owned */
    uint64_t after;          /* all up to here has come */
    uint64_t poll;
    struct request *request;          /* ASKING */
    uint64_t until;                   /* of the request */
    uint64_t range_id, node;          /* that answered last; 0: none has */
    char last[CLIENT_TEXT_BYTES / 2]; /* why the last request came to nothing */
    struct arena arena;               /* of the changes */
    struct feed_change *changes;
    size_t count, at; /* changes before `at` have been told */
};

static struct slice dup_slice(struct slice s)
{
    return s.size == 0 ? SLICE_EMPTY : mem_dup_slice(s);
}

static void drop_slice(struct slice s)
{
    if (s.size > 0) mem_free((void *)(uintptr_t)s.data);
}

static struct leg *leg_new(struct client_watch *w, struct slice start, struct slice end, uint64_t after)
{
    struct leg *g = mem_zalloc(sizeof *g);
    g->watch = w;
    g->start = dup_slice(start);
    g->end = dup_slice(end);
    g->after = after;
    g->poll = prng_next(&w->client->prng);
    arena_init(&g->arena, 512);
    list_push_back(&w->legs, &g->link);
    w->leg_count++;
    return g;
}

static void leg_free(struct leg *g)
{
    if (g->request != NULL) request_cancel(g->request);
    list_remove(&g->link);
    drop_slice(g->start);
    drop_slice(g->end);
    arena_free(&g->arena);
    mem_free(g);
}

static void watch_fail(struct client_watch *w, enum status status, struct slice message)
{
    if (w->status != STATUS_OK) return;
    w->status = status;
    (void)snprintf(w->text, sizeof w->text, "%.*s", (int)(message.size < 300 ? message.size : 300),
                   (const char *)message.data);
    LIST_FOR(it, &w->legs)
    {
        struct leg *g = LIST_ENTRY(it, struct leg, link);
        if (g->request != NULL) request_cancel(g->request);
        g->request = NULL;
    }
}

/* It may have something to tell: looked at in this pass, or the next. */
static void watch_stir(struct client_watch *w)
{
    list_remove(&w->ready);
    list_push_back(&w->client->watches_ready, &w->ready);
    if (!w->client->in_pass) w->client->env->ops->wake(w->client->env);
}

/* --- legs --- */

static bool leg_is_full(const struct leg *g)
{
    return g->at < g->count;
}

/* Whom it asked last, and why that did not bring it any further. */
static void leg_note(struct leg *g, const struct client_error *e, const struct watch_reply *reply)
{
    const struct request *r = g->request;
    const char *still = reply != NULL && reply->upto <= g->after ? "nothing final above" : "";
    if (r->range_id != 0) g->range_id = r->range_id;
    if (r->peer != NULL) g->node = r->peer->node_id;
    int size = e->message.size < sizeof g->last ? (int)e->message.size : (int)sizeof g->last - 1;
    (void)snprintf(g->last, sizeof g->last, "%.*s", e->status != STATUS_OK ? size : (int)strlen(still),
                   e->status != STATUS_OK ? (const char *)e->message.data : still);
}

/* Asked again, it would be answered the same. */
static bool is_final(enum status s)
{
    switch ((int)s) {
    case STATUS_TOO_OLD:
    case STATUS_NOT_FOUND:
    case STATUS_UNSUPPORTED:
    case STATUS_INVALID:
    case STATUS_TOO_LARGE:
    case STATUS_CORRUPT: return true;
    default: return false;
    }
}

static void leg_took(struct leg *g, const struct client_error *e, const struct watch_reply *reply, struct slice end,
                     uint64_t resume)
{
    struct client_watch *w = g->watch;
    leg_note(g, e, reply);
    g->request = NULL;
    if (is_final(e->status)) {
        w->resume = resume;
        watch_fail(w, e->status, e->message);
    } else if (e->status == STATUS_OK) {
        if (!slice_eq(end, g->end)) { /* a part of the span: the rest lies in other ranges */
            COVER("client.watch_leg_parted");
            (void)leg_new(w, end, g->end, g->after);
            drop_slice(g->end);
            g->end = dup_slice(end);
        }
        arena_reset(&g->arena);
        g->count = reply->change_count;
        g->at = 0;
        g->changes = arena_alloc(&g->arena, (g->count + 1) * sizeof *g->changes);
        for (size_t i = 0; i < g->count; i++) {
            g->changes[i] = reply->changes[i];
            g->changes[i].key = arena_dup_slice(&g->arena, reply->changes[i].key);
            g->changes[i].value = arena_dup_slice(&g->arena, reply->changes[i].value);
        }
        ASSERT(reply->upto >= g->after);
        g->after = reply->upto;
    }
    watch_stir(w);
}

static void on_poll(void *ctx, const struct client_error *e, const struct watch_reply *reply, struct slice end,
                    uint64_t resume)
{
    leg_took(ctx, e, reply, end, resume);
}

static void leg_ask(struct leg *g, uint64_t until)
{
    struct client_watch *w = g->watch;
    uint32_t wait_ms = w->progress_ms > LEG_WAIT_MIN_MS ? w->progress_ms : LEG_WAIT_MIN_MS;
    struct request *r = request_new(w->client, REQUEST_WATCH, w->keyspace, wait_ms + POLL_GRACE_MS, g);
    uint32_t share = WATCH_BYTES / w->leg_count;
    r->done.watch = on_poll;
    r->keyspace = w->keyspace_id; /* another of its name is another's: NOT_FOUND */
    r->keyspace_known = true;
    r->scan.start = arena_dup_slice(&r->arena, g->start);
    r->scan.end = arena_dup_slice(&r->arena, g->end);
    r->watch.after = g->after;
    r->watch.until = until;
    r->watch.poll = g->poll;
    r->watch.wait_ms = wait_ms;
    r->watch.limit_bytes = share > LEG_BYTES_MIN ? share : LEG_BYTES_MIN;
    g->request = r;
    g->until = until;
}

/* Legs that stand behind changes that others hold, or what somebody waits for, answer up to there at once. */
static void ask_legs(struct client_watch *w)
{
    uint64_t until = w->begun_ts > w->wanted_ts ? w->begun_ts : w->wanted_ts;
    LIST_FOR(it, &w->legs)
    {
        const struct leg *g = LIST_ENTRY(it, struct leg, link);
        if (leg_is_full(g) && g->after > until) until = g->after;
    }
    LIST_FOR(it, &w->legs)
    {
        struct leg *g = LIST_ENTRY(it, struct leg, link);
        uint64_t mine = g->after < until ? until : 0;
        if (leg_is_full(g)) continue;
        if (g->request != NULL && g->until < mine) {
            COVER("client.watch_leg_hurried");
            request_cancel(g->request);
            g->request = NULL;
        }
        if (g->request == NULL) leg_ask(g, mine);
    }
}

/* --- telling --- */

static int compare_changes(const void *a, const void *b)
{
    const struct feed_change *x = a, *y = b;
    if (x->ts != y->ts) return x->ts < y->ts ? -1 : 1;
    return slice_cmp(x->key, y->key);
}

/* What every leg has passed. */
static uint64_t passed_by_all(const struct client_watch *w)
{
    uint64_t upto = UINT64_MAX;
    LIST_FOR(it, &w->legs)
    {
        const struct leg *g = LIST_ENTRY(it, struct leg, link);
        if (g->after < upto) upto = g->after;
    }
    return upto;
}

static size_t gather(struct client_watch *w, uint64_t upto, struct feed_change **out)
{
    size_t count = 0;
    LIST_FOR(it, &w->legs)
    {
        const struct leg *g = LIST_ENTRY(it, struct leg, link);
        for (size_t i = g->at; i < g->count && g->changes[i].ts <= upto; i++) count++;
    }
    arena_reset(&w->arena);
    *out = arena_alloc(&w->arena, (count + 1) * sizeof **out);
    count = 0;
    LIST_FOR(it, &w->legs)
    {
        struct leg *g = LIST_ENTRY(it, struct leg, link);
        for (; g->at < g->count && g->changes[g->at].ts <= upto; g->at++) {
            struct feed_change c = g->changes[g->at];
            if (w->buckets > 0 && !w->placed) c.key = slice_make(c.key.data + 1, c.key.size - 1);
            (*out)[count++] = c;
        }
    }
    if (count > 1 && w->leg_count > 1) qsort(*out, count, sizeof **out, compare_changes);
    return count;
}

static void tell(struct client_watch *w, const struct client_error *e, const struct client_watch_batch *batch)
{
    client_watch_done done = w->done;
    w->done = NULL;
    done(w->ctx, e, batch, w->resume); /* it may free the watch */
}

/* In the client's pass. May free it. */
void watch_step(struct client_watch *w, uint64_t now_ns)
{
    if (w->status != STATUS_OK) {
        struct client_error e = {.status = w->status, .message = slice_str(w->text)};
        if (w->done != NULL) tell(w, &e, NULL);
        return;
    }
    if (w->starting) return;
    uint64_t upto = passed_by_all(w);
    struct client_watch_batch batch = {.upto = upto};
    ASSERT(upto >= w->after);
    if (w->done != NULL && upto > w->after) {
        struct feed_change *changes;
        batch.change_count = gather(w, upto, &changes);
        batch.changes = changes;
        w->after = upto;
    }
    ask_legs(w);
    bool first = w->told_ns == 0 && w->after >= w->begun_ts;
    bool wanted = w->told < w->wanted_ts && w->after >= w->wanted_ts;
    bool due = first || wanted || (w->after > w->told && now_ns - w->told_ns >= w->progress_ms * NS_PER_MS / 2);
    if (w->done == NULL || (batch.change_count == 0 && !due)) return;
    batch.upto = w->told = w->after;
    w->told_ns = now_ns;
    tell(w, &(struct client_error){.status = STATUS_OK, .message = SLICE_EMPTY}, &batch);
}

void client_watch_next(struct client_watch *w, client_watch_done done, void *ctx)
{
    ASSERT(w->done == NULL && w->client != NULL);
    w->done = done;
    w->ctx = ctx;
    watch_stir(w);
}

/* --- its life --- */

/* The span as the keyspace holds it: of a keyspace by hash, in each bucket. */
static void make_legs(struct client_watch *w)
{
    uint8_t from[LIMIT_KEY_BYTES + 2], to[LIMIT_KEY_BYTES + 2];
    if (w->buckets == 0) (void)leg_new(w, w->start, w->end, w->after);
    for (uint32_t i = 0; i < w->buckets; i++) {
        from[0] = (uint8_t)i;
        to[0] = (uint8_t)(w->end.size > 0 ? i : i + 1);
        if (w->start.size > 0) memcpy(from + 1, w->start.data, w->start.size);
        if (w->end.size > 0) memcpy(to + 1, w->end.data, w->end.size);
        bool last = w->end.size == 0 && i == UINT8_MAX;
        (void)leg_new(w, slice_make(from, w->start.size + 1), last ? SLICE_EMPTY : slice_make(to, w->end.size + 1),
                      w->after);
    }
}

static void watch_start(struct client_watch *w);

/* A snapshot read tells what is now, and that there is such a keyspace. */
static void on_started(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct client_watch *w = ctx;
    w->first = NULL;
    if (e->status == STATUS_TOO_OLD) { /* what was now has leapt away: a clock has */
        watch_start(w);
        return;
    }
    w->starting = false;
    const struct route_keyspace *k = routes_keyspace(&w->client->routes, w->keyspace);
    if (e->status != STATUS_OK) {
        watch_fail(w, e->status, e->message);
    } else if (k == NULL) {
        watch_fail(w, STATUS_NOT_FOUND, slice_str("the keyspace has been dropped"));
    } else {
        w->keyspace_id = k->id;
        w->buckets = k->buckets;
        w->begun_ts = reply->mark.ts;
        if (w->after == 0) w->after = w->told = w->begun_ts;
        make_legs(w);
    }
    watch_stir(w);
}

static void watch_start(struct client_watch *w)
{
    struct client_scan first = {
        .start = w->start, .end = w->end, .limit_rows = 1, .keys_only = true, .how = {.mode = READ_SNAPSHOT}};
    w->first = client_scan_start(w->client, w->keyspace, &first, START_MS, on_started, w);
}

struct client_watch *client_watch_new(struct client *c, const struct client_watch_options *o)
{
    struct client_watch *w = mem_zalloc(sizeof *w);
    w->client = c;
    w->keyspace = dup_slice(o->keyspace);
    w->start = dup_slice(o->start);
    w->end = dup_slice(o->end);
    w->after = w->told = o->after;
    w->progress_ms = o->progress_ms != 0 ? o->progress_ms : 5000;
    w->placed = o->placed;
    w->starting = true;
    list_init(&w->legs);
    list_init(&w->ready);
    arena_init(&w->arena, 1024);
    list_push_back(&c->watches, &w->link);
    if (w->start.size > LIMIT_KEY_BYTES || w->end.size > LIMIT_KEY_BYTES + 1) {
        watch_fail(w, STATUS_TOO_LARGE, slice_str("a key has at most 4096 bytes"));
        return w;
    }
    watch_start(w);
    return w;
}

void client_watch_hurry(struct client_watch *w, uint64_t ts)
{
    if (w->client == NULL || ts <= w->wanted_ts) return;
    w->wanted_ts = ts;
    watch_stir(w);
}

uint64_t client_watch_position(const struct client_watch *w)
{
    return w->after;
}

static void leg_describe(const struct leg *g, uint64_t ts, struct errbuf *who)
{
    const struct request *r = g->request;
    struct slice name = g->watch->keyspace;
    bool asked = r != NULL && r->range_id != 0;
    uint64_t node = r != NULL && r->peer != NULL ? r->peer->node_id : g->node;
    const char *last = r != NULL && r->last[0] != '\0' ? r->last : g->last;
    errbuf_set(who, "keyspace %.*s, range %llu, asked at node %llu, is %llu ms of changes behind%s%s", (int)name.size,
               (const char *)name.data, (unsigned long long)(asked ? r->range_id : g->range_id),
               (unsigned long long)node, (unsigned long long)((ts - g->after) >> TS_COUNTER_BITS),
               last[0] != '\0' ? "; the last answer: " : "", last);
}

uint64_t client_watch_behind(const struct client_watch *w, uint64_t ts, struct errbuf *who)
{
    const struct leg *last = NULL;
    uint64_t left = 0;
    LIST_FOR(it, &w->legs)
    {
        const struct leg *g = LIST_ENTRY(it, struct leg, link);
        if (g->after >= ts) continue;
        left += 1 + ((ts - g->after) >> TS_COUNTER_BITS);
        if (last == NULL || g->after < last->after) last = g;
    }
    if (last != NULL && who != NULL) leg_describe(last, ts, who);
    if (last != NULL || w->after >= ts) return left;
    if (who != NULL)
        errbuf_set(who, "keyspace %.*s: its watch %s", (int)w->keyspace.size, (const char *)w->keyspace.data,
                   w->starting ? "is being begun" : "has not been asked");
    return w->starting ? UINT32_MAX : 1; /* more than its legs will have to go */
}

void watch_forget_client(struct client_watch *w)
{
    LIST_FOR(it, &w->legs) LIST_ENTRY(it, struct leg, link)->request = NULL;
    list_remove(&w->link);
    list_remove(&w->ready);
    w->client = NULL;
    w->first = NULL;
}

void client_watch_free(struct client_watch *w)
{
    if (w == NULL) return;
    LIST_FOR(it, &w->legs) leg_free(LIST_ENTRY(it, struct leg, link));
    if (w->first != NULL) {
        w->client->stats.in_flight--;
        request_cancel(w->first);
    }
    list_remove(&w->link);
    list_remove(&w->ready);
    drop_slice(w->keyspace);
    drop_slice(w->start);
    drop_slice(w->end);
    arena_free(&w->arena);
    mem_free(w);
}
