/* A follower does one thing at a time:
 *
 *   RESTING --> SCANNING (a snapshot, page by page) --> WATCHING --batch--> WATCHING ...
 *      ^            ^                                      |    \--> COMPARING (a snapshot at the batch's end) --> WATCHING
 *      |            '----------- too old ------------------'
 *      '---- the router has died, or it leaves by itself: later, from where it stood, perhaps over another router */
#include "sim/watch_load.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "client/watch.h"

#include <stdio.h>

enum { FOLLOWERS = 2, COPY_ROWS_MAX = 4096, COPY_KEY_BYTES = 64 };

struct copy_row {
    char key[COPY_KEY_BYTES];
    size_t size;
    uint64_t version, hash;
    bool seen;
};

struct follower {
    struct watch_load *load;
    unsigned number, client, life;
    enum { FOLLOWER_RESTING, FOLLOWER_SCANNING, FOLLOWER_WATCHING, FOLLOWER_COMPARING, FOLLOWER_DONE } state;
    struct client_watch *watch;
    const char *start, *end;
    struct copy_row rows[COPY_ROWS_MAX];
    size_t row_count;
    uint64_t position; /* the copy is of this timestamp; 0: there is none */
    /* a snapshot under way */
    uint64_t snapshot_ts;
    char next[COPY_KEY_BYTES + 1];
    size_t next_size;
    bool scan_fails;
    uint64_t goal; /* draining: where the cluster was */
    bool compared;
    uint64_t batches, changes, compares, rebases;
};

struct watch_load {
    struct cluster *cluster;
    struct world *world;
    struct follower followers[FOLLOWERS];
    bool draining;
};

static const struct slice KEYSPACE = {.data = (const uint8_t *)"sim", .size = 3};

/* Rows that end by themselves go without a word: another checker's. */
static bool is_ending(struct slice key)
{
    return slice_starts(key, slice_str("ate")) || slice_starts(key, slice_str("te"));
}

/* --- the copy --- */

static struct copy_row *copy_find(struct follower *f, struct slice key)
{
    for (size_t i = 0; i < f->row_count; i++) {
        struct copy_row *row = &f->rows[i];
        if (slice_eq(slice_make(row->key, row->size), key)) return row;
    }
    return NULL;
}

static void copy_put(struct follower *f, struct slice key, uint64_t version, struct slice value)
{
    struct copy_row *row = copy_find(f, key);
    if (row == NULL) {
        if (f->row_count == COPY_ROWS_MAX || key.size > COPY_KEY_BYTES) BUG("a follower's copy is too small");
        row = &f->rows[f->row_count++];
        *row = (struct copy_row){.size = key.size};
        memcpy(row->key, key.data, key.size);
    }
    row->version = version;
    row->hash = hash_bytes(value, 7);
}

static void copy_delete(struct follower *f, struct slice key)
{
    struct copy_row *row = copy_find(f, key);
    if (row == NULL) {
        world_fail(f->load->world, "watch: %.*s is deleted, and was not there", (int)key.size, (const char *)key.data);
        return;
    }
    *row = f->rows[--f->row_count];
}

/* --- what wakes it --- */

static void follow(struct world *w, void *ctx);
static void ask_next(struct follower *f);

static void leave(struct follower *f)
{
    client_watch_free(f->watch);
    f->watch = NULL;
    f->state = FOLLOWER_RESTING;
    world_after(f->load->world, draw(f->load->world, 1, 300) * MS_NS, follow, f);
}

static void scan_page(struct follower *f);

static void scan_done(void *ctx, const struct client_error *e, const struct scan_reply *page)
{
    struct follower *f = ctx;
    struct world *w = f->load->world;
    bool comparing = f->state == FOLLOWER_COMPARING;
    world_note(w, 28, (uint64_t)e->status, page != NULL ? page->row_count : 0);
    if (e->status != STATUS_OK) {
        if (comparing && e->status == STATUS_TOO_OLD && !f->load->draining) {
            ask_next(f);
        } else {
            leave(f);
        }
        return;
    }
    if (f->snapshot_ts == 0) f->snapshot_ts = page->mark.ts;
    if (page->mark.ts != f->snapshot_ts) world_fail(w, "watch: pages of one snapshot have two timestamps");
    for (size_t i = 0; i < page->row_count; i++) {
        const struct scan_row *row = &page->rows[i];
        if (is_ending(row->key)) continue;
        if (!comparing) {
            copy_put(f, row->key, row->version, row->value);
            continue;
        }
        struct copy_row *mine = copy_find(f, row->key);
        if (mine == NULL || mine->version != row->version || mine->hash != hash_bytes(row->value, 7))
            world_fail(w, "watch: at %llu %.*s has version %llu, and the watch had told %llu",
                       (unsigned long long)f->position, (int)row->key.size, (const char *)row->key.data,
                       (unsigned long long)row->version, (unsigned long long)(mine != NULL ? mine->version : 0));
        if (mine != NULL) mine->seen = true;
    }
    if (page->more) {
        struct slice last = page->rows[page->row_count - 1].key;
        memcpy(f->next, last.data, last.size);
        f->next[last.size] = 0;
        f->next_size = last.size + 1;
        scan_page(f);
        return;
    }
    if (!comparing) {
        f->position = f->snapshot_ts;
        leave(f);
        return;
    }
    for (size_t i = 0; i < f->row_count; i++) {
        if (!f->rows[i].seen)
            world_fail(w, "watch: at %llu %.*s is not there, and the watch had told version %llu",
                       (unsigned long long)f->position, (int)f->rows[i].size, f->rows[i].key,
                       (unsigned long long)f->rows[i].version);
    }
    f->compares++;
    f->compared = f->goal != 0 && f->position >= f->goal;
    ask_next(f);
}

static struct client *router(const struct follower *f)
{
    return cluster_client(f->load->cluster, f->client);
}

static void scan_page(struct follower *f)
{
    struct client_scan scan = {.start = slice_make(f->next, f->next_size),
                               .end = slice_str(f->end),
                               .limit_rows = (uint32_t)draw(f->load->world, 20, 200),
                               .how = {.mode = READ_SNAPSHOT, .ts = f->snapshot_ts}};
    client_scan(router(f), KEYSPACE, &scan, 5000, scan_done, f);
    process_pass_soon(f->load->cluster->clients[f->client]);
}

static void scan_begin(struct follower *f, uint64_t ts)
{
    f->snapshot_ts = ts;
    f->next_size = strlen(f->start);
    memcpy(f->next, f->start, f->next_size);
    for (size_t i = 0; i < f->row_count; i++) f->rows[i].seen = false;
    scan_page(f);
}

/* --- the watch --- */

static void take_changes(struct follower *f, const struct client_watch_batch *b)
{
    struct world *w = f->load->world;
    for (size_t i = 0; i < b->change_count; i++) {
        const struct feed_change *c = &b->changes[i];
        const struct feed_change *before = i > 0 ? &b->changes[i - 1] : NULL;
        bool inside = slice_cmp(c->key, slice_str(f->start)) >= 0 &&
                      (f->end[0] == '\0' || slice_cmp(c->key, slice_str(f->end)) < 0);
        if (c->ts <= f->position || c->ts > b->upto || !inside)
            world_fail(w, "watch: %.*s at %llu is told in a batch from %llu to %llu", (int)c->key.size,
                       (const char *)c->key.data, (unsigned long long)c->ts, (unsigned long long)f->position,
                       (unsigned long long)b->upto);
        if (before != NULL && (c->ts < before->ts || (c->ts == before->ts && slice_cmp(c->key, before->key) <= 0)))
            world_fail(w, "watch: changes are out of order, or come twice, at %llu", (unsigned long long)c->ts);
        if (is_ending(c->key)) continue;
        if (c->is_delete)
            copy_delete(f, c->key);
        else
            copy_put(f, c->key, c->ts, c->value);
    }
    f->position = b->upto;
    f->batches++;
    f->changes += b->change_count;
}

static void on_batch(void *ctx, const struct client_error *e, const struct client_watch_batch *b, uint64_t resume)
{
    struct follower *f = ctx;
    struct world *w = f->load->world;
    world_note(w, 29, (uint64_t)e->status, b != NULL ? b->upto : 0);
    if (e->status == STATUS_TOO_OLD) {
        if (resume <= f->position)
            world_fail(w, "watch: %llu is too old, and from %llu it could go on", (unsigned long long)f->position,
                       (unsigned long long)resume);
        f->position = 0;
        f->rebases++;
        leave(f);
        return;
    }
    if (e->status != STATUS_OK) {
        leave(f);
        return;
    }
    take_changes(f, b);
    bool at_goal = f->goal != 0 && f->position >= f->goal && !f->compared;
    if (at_goal || chance(w, 100)) {
        f->state = FOLLOWER_COMPARING;
        scan_begin(f, f->position);
    } else if (!f->load->draining && chance(w, 20)) {
        leave(f);
    } else {
        ask_next(f);
    }
}

static void goal_read(void *ctx, const struct client_error *e, const struct scan_reply *page)
{
    struct follower *f = ctx;
    if (e->status == STATUS_OK) f->goal = page->mark.ts;
    leave(f);
}

static void ask_next(struct follower *f)
{
    if (f->load->draining && f->compared) {
        client_watch_free(f->watch);
        f->watch = NULL;
        f->state = FOLLOWER_DONE;
        return;
    }
    if (f->load->draining && f->goal == 0) {
        struct client_scan scan = {.start = slice_str(f->start), .limit_rows = 1, .how = {.mode = READ_SNAPSHOT}};
        client_scan(router(f), KEYSPACE, &scan, 5000, goal_read, f);
        process_pass_soon(f->load->cluster->clients[f->client]);
        return;
    }
    f->state = FOLLOWER_WATCHING;
    client_watch_next(f->watch, on_batch, f);
    process_pass_soon(f->load->cluster->clients[f->client]);
}

/* Begins, or goes on from where it stood. */
static void follow(struct world *w, void *ctx)
{
    struct follower *f = ctx;
    struct cluster *c = f->load->cluster;
    if (f->state != FOLLOWER_RESTING) return;
    f->client = (unsigned)draw(w, 0, c->knobs.client_count - 1);
    f->life = c->clients[f->client]->lives;
    if (router(f) == NULL) {
        leave(f);
        return;
    }
    if (f->position == 0) {
        f->row_count = 0;
        f->state = FOLLOWER_SCANNING;
        scan_begin(f, 0);
        return;
    }
    struct client_watch_options o = {.keyspace = KEYSPACE,
                                     .start = slice_str(f->start),
                                     .end = slice_str(f->end),
                                     .after = f->position,
                                     .progress_ms = (uint32_t)draw(w, 50, 1000)};
    f->watch = client_watch_new(router(f), &o);
    f->state = FOLLOWER_WATCHING;
    ask_next(f);
}

/* --- the load --- */

static void routers_have_died(struct world *w, void *ctx)
{
    struct watch_load *l = ctx;
    (void)w;
    for (unsigned i = 0; i < FOLLOWERS; i++) {
        struct follower *f = &l->followers[i];
        const struct process *p = l->cluster->clients[f->client];
        if (f->state == FOLLOWER_RESTING || f->state == FOLLOWER_DONE) continue;
        if (!process_runs(p) || p->lives != f->life) leave(f);
    }
}

void watch_load_router_died(struct watch_load *l)
{
    world_after(l->world, 0, routers_have_died, l);
}

struct watch_load *watch_load_new(struct cluster *c)
{
    static const char *const SPANS[][2] = {{"", ""}, {"k", "l"}, {"a0", "k1"}};
    struct watch_load *l = mem_zalloc(sizeof *l);
    l->cluster = c;
    l->world = c->world;
    for (unsigned i = 0; i < FOLLOWERS; i++) {
        struct follower *f = &l->followers[i];
        const char *const *span = SPANS[draw(c->world, 0, 2)];
        f->load = l;
        f->number = i;
        f->start = span[0];
        f->end = span[1];
    }
    return l;
}

void watch_load_free(struct watch_load *l)
{
    for (unsigned i = 0; i < FOLLOWERS; i++) client_watch_free(l->followers[i].watch);
    mem_free(l);
}

void watch_load_start(struct watch_load *l)
{
    for (unsigned i = 0; i < FOLLOWERS; i++) leave(&l->followers[i]);
}

void watch_load_drain(struct watch_load *l)
{
    l->draining = true;
}

bool watch_load_idle(const struct watch_load *l)
{
    for (unsigned i = 0; i < FOLLOWERS; i++) {
        if (l->followers[i].state != FOLLOWER_DONE) return false;
    }
    return true;
}

void watch_load_describe(const struct watch_load *l)
{
    static const char *const STATES[] = {"resting", "scanning", "watching", "comparing", "done"};
    for (unsigned i = 0; i < FOLLOWERS; i++) {
        const struct follower *f = &l->followers[i];
        world_trace(
            l->world, l->cluster->clients[f->client],
            "follower %u [%s, %s) is %s at %llu, goal %llu: batches %llu changes %llu compares %llu rebases %llu", i,
            f->start, f->end, STATES[f->state], (unsigned long long)f->position, (unsigned long long)f->goal,
            (unsigned long long)f->batches, (unsigned long long)f->changes, (unsigned long long)f->compares,
            (unsigned long long)f->rebases);
    }
}
