/*   STAMPING --a timestamp--> LISTING --the keyspaces--> PAUSING (0.5 s) --> STAMPING ...
 *
 * and, of each keyspace, a watch whose batches are encoded as they come, and wait to be taken. A keyspace whose rows fill their buffer is not
 * asked for more until some are taken. */
#include "backup/changes.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"

#include <stdio.h>

#define LIST_PAUSE_NS (500 * NS_PER_MS)
#define LIST_TIMEOUT_MS 10000u
#define PROGRESS_MS 200u
#define FEED_BYTES (16u << 20)

struct followed { /* a keyspace */
    struct list link;
    struct changes *all;
    struct backup_keyspace info; /* the name is owned */
    struct client_watch *watch;  /* NULL: dropped, or lost */
    bool lost;                   /* it was not found; whether it has been dropped the list will say */
    bool asked, listed;
    uint64_t upto;
    struct buf rows;
};

struct changes {
    struct actor actor;
    struct env *env;
    struct client *client;
    uint64_t from;
    uint64_t stamp;                /* issued before the list that is being read */
    uint64_t listed_ts;            /* the same of the list that was read last */
    uint64_t next_ns;              /* PAUSING */
    uint64_t wanted_ts;            /* no pause until R has passed it */
    bool busy;                     /* STAMPING, LISTING */
    enum status list_status;       /* of the last list: behind one that failed there is a pause in any case */
    struct backup_keyspace *known; /* as of `from` */
    size_t known_count;
    struct list feeds;
    size_t feed_count;
    struct backup_keyspace *table;
    struct arena map_arena;
    struct meta_map_reply map; /* the first */
    enum status status;
    char text[400];
};

static void changes_fail(struct changes *c, enum status s, struct slice text)
{
    if (c->status != STATUS_OK) return;
    c->status = s;
    (void)snprintf(c->text, sizeof c->text, "%.*s", (int)(text.size < 380 ? text.size : 380), (const char *)text.data);
}

/* --- the watch of a keyspace --- */

static void followed_ask(struct followed *f);

static void followed_end_watch(struct followed *f)
{
    client_watch_free(f->watch);
    f->watch = NULL;
    f->asked = false;
}

static void followed_told(void *ctx, const struct client_error *e, const struct client_watch_batch *batch,
                          uint64_t resume)
{
    struct followed *f = ctx;
    struct changes *c = f->all;
    (void)resume;
    f->asked = false;
    if (e->status == STATUS_NOT_FOUND) { /* dropped: the list will say when */
        followed_end_watch(f);
        f->lost = true;
        f->info.known_upto = f->upto;
    } else if (e->status != STATUS_OK) {
        changes_fail(c, e->status, e->message);
    } else {
        for (size_t i = 0; i < batch->change_count; i++) {
            const struct feed_change *g = &batch->changes[i];
            struct backup_row row = {
                .keyspace = f->info.id, .ts = g->ts, .ttl_ms = g->ttl_ms, .key = g->key, .value = g->value};
            row.kind = g->is_delete ? BACKUP_DELETE : g->is_counter ? BACKUP_COUNTER : BACKUP_RAW;
            backup_row_put(&f->rows, &row);
        }
        f->upto = batch->upto;
        followed_ask(f);
    }
    c->env->ops->wake(c->env);
}

static void followed_ask(struct followed *f)
{
    if (f->asked || f->watch == NULL || f->rows.size >= FEED_BYTES) return;
    f->asked = true;
    client_watch_next(f->watch, followed_told, f);
}

static void followed_watch(struct followed *f, uint64_t after)
{
    f->upto = after;
    f->lost = false;
    f->watch = client_watch_new(
        f->all->client, &(struct client_watch_options){
                            .keyspace = f->info.name, .after = after, .placed = true, .progress_ms = PROGRESS_MS});
    client_watch_hurry(f->watch, f->all->wanted_ts);
    followed_ask(f);
}

static void followed_free(struct followed *f)
{
    client_watch_free(f->watch);
    list_remove(&f->link);
    buf_free(&f->rows);
    mem_free((void *)(uintptr_t)f->info.name.data);
    mem_free(f);
}

/* --- the list of keyspaces --- */

/* Up to where its changes are known when it is seen first. */
static uint64_t known_upto(const struct changes *c, uint32_t id)
{
    if (c->listed_ts != 0) return c->listed_ts; /* the last list did not have it */
    for (size_t i = 0; i < c->known_count; i++)
        if (c->known[i].id == id && c->known[i].dropped_ts != 0) return c->known[i].known_upto;
    return c->from;
}

static void learn_keyspace(struct changes *c, const struct keyspace_info *k)
{
    struct followed *f = NULL;
    LIST_FOR(it, &c->feeds)
    {
        struct followed *g = LIST_ENTRY(it, struct followed, link);
        if (g->info.id == k->id) f = g;
    }
    if (f == NULL) {
        f = mem_zalloc(sizeof *f);
        f->all = c;
        f->info = (struct backup_keyspace){.id = k->id, .name = mem_dup_slice(k->name)};
        f->info.absent_until = c->listed_ts; /* the last list did not have it */
        buf_init(&f->rows, SIZE_MAX / 4);    /* one batch more than FEED_BYTES: what the watch had at hand */
        list_push_back(&c->feeds, &f->link);
        c->feed_count++;
        f->upto = known_upto(c, k->id);
        f->info.known_upto = f->upto;
        if (k->dropped_ts == 0) followed_watch(f, f->upto);
    } else if (f->watch == NULL && k->dropped_ts == 0) { /* taken back */
        followed_watch(f, f->info.known_upto);
    }
    f->listed = true;
    f->info.replication = k->replication;
    f->info.buckets = k->buckets;
    f->info.ttl_ms = k->ttl_ms;
    f->info.dropped_ts = k->dropped_ts;
    if (k->dropped_ts != 0) f->lost = false;
}

/* What is listed no more has been destroyed. */
static void forget_unlisted(struct changes *c)
{
    LIST_FOR(it, &c->feeds)
    {
        struct followed *f = LIST_ENTRY(it, struct followed, link);
        if (!f->listed && f->info.dropped_ts == 0) f->info.dropped_ts = f->upto + 1;
        if (!f->listed && f->watch != NULL) {
            f->info.known_upto = f->upto;
            followed_end_watch(f);
        }
        if (!f->listed) f->lost = false;
        f->listed = false;
    }
}

static void pause_list(struct changes *c, const struct client_error *e)
{
    c->busy = false;
    c->next_ns = env_mono_ns(c->env) + LIST_PAUSE_NS;
    c->list_status = e->status;
    if (e->status != STATUS_OK && c->listed_ts == 0) changes_fail(c, e->status, e->message);
    c->env->ops->wake(c->env);
}

static void on_list(void *ctx, const struct client_error *e, struct slice payload)
{
    struct changes *c = ctx;
    struct arena arena;
    struct meta_map_reply map;
    bool first = c->listed_ts == 0;
    if (e->status == STATUS_OK) {
        arena_init(&arena, 4096);
        struct arena *at = first ? &c->map_arena : &arena;
        if (unpack_meta_map_reply(first ? arena_dup_slice(at, payload) : payload, at, &map) != STATUS_OK) {
            changes_fail(c, STATUS_CORRUPT, slice_str("the list of keyspaces cannot be read"));
        } else {
            for (size_t i = 0; i < map.keyspace_count; i++) learn_keyspace(c, &map.keyspaces[i]);
            forget_unlisted(c);
            if (first) c->map = map;
            c->listed_ts = c->stamp;
        }
        arena_free(&arena);
    }
    pause_list(c, e);
}

static void on_stamp(void *ctx, const struct client_error *e, struct slice payload)
{
    struct changes *c = ctx;
    struct arena arena;
    struct meta_timestamps_reply reply = {.first = 0};
    arena_init(&arena, 256);
    bool ok = e->status == STATUS_OK && unpack_meta_timestamps_reply(payload, &arena, &reply) == STATUS_OK;
    arena_free(&arena);
    if (!ok) {
        pause_list(c, e);
        return;
    }
    c->stamp = reply.first;
    if (c->from == 0) c->from = reply.first;
    struct buf params; /* later on, the first range of each keyspace will do */
    buf_init(&params, 256);
    pack_meta_map_request(
        &params,
        &(struct meta_map_request){.keyspace = SLICE_EMPTY, .has_key = c->listed_ts != 0, .key = slice_make("", 1)});
    client_meta(c->client, METHOD_META_MAP, buf_slice(&params), LIST_TIMEOUT_MS, on_list, c);
    buf_free(&params);
}

static uint64_t changes_pass(struct actor *actor, uint64_t now_ns)
{
    struct changes *c = LIST_ENTRY(actor, struct changes, actor);
    if (c->env->dead || c->status != STATUS_OK) return DEADLINE_NONE;
    LIST_FOR(it, &c->feeds) followed_ask(LIST_ENTRY(it, struct followed, link));
    if (c->busy) return DEADLINE_NONE;
    bool hurried = c->listed_ts != 0 && c->listed_ts < c->wanted_ts && c->list_status == STATUS_OK;
    if (now_ns < c->next_ns && !hurried) return c->next_ns;
    struct buf params;
    c->busy = true;
    buf_init(&params, 64);
    pack_meta_timestamps_request(&params, &(struct meta_timestamps_request){.count = 1});
    client_meta(c->client, METHOD_META_TIMESTAMPS, buf_slice(&params), LIST_TIMEOUT_MS, on_stamp, c);
    buf_free(&params);
    return DEADLINE_NONE;
}

/* --- for the owner --- */

struct changes *changes_new(struct env *env, struct client *client, uint64_t after, const struct backup_keyspace *known,
                            size_t known_count)
{
    struct changes *c = mem_zalloc(sizeof *c);
    c->env = env;
    c->client = client;
    c->from = after;
    if (known_count > 0) c->known = mem_dup(known, known_count * sizeof *known);
    c->known_count = known_count;
    list_init(&c->feeds);
    arena_init(&c->map_arena, 4096);
    c->actor = (struct actor){.pass = changes_pass};
    env->ops->attach(env, &c->actor);
    env->ops->wake(env);
    return c;
}

void changes_free(struct changes *c)
{
    if (c == NULL) return;
    c->env->ops->detach(c->env, &c->actor);
    client_forget(c->client, c);
    LIST_FOR(it, &c->feeds) followed_free(LIST_ENTRY(it, struct followed, link));
    arena_free(&c->map_arena);
    mem_free(c->table);
    mem_free(c->known);
    mem_free(c);
}

enum status changes_status(const struct changes *c, const char **text)
{
    *text = c->text;
    return c->status;
}

uint64_t changes_from(const struct changes *c)
{
    return c->from;
}

uint64_t changes_listed(const struct changes *c)
{
    return c->listed_ts;
}

const struct meta_map_reply *changes_first_map(const struct changes *c)
{
    return c->listed_ts != 0 ? &c->map : NULL;
}

uint64_t changes_resolved(const struct changes *c)
{
    uint64_t resolved = c->listed_ts > c->from ? c->listed_ts : c->from;
    LIST_FOR(it, &c->feeds)
    {
        const struct followed *f = LIST_ENTRY(it, struct followed, link);
        if (MUTANT(archive_ahead)) continue;
        if ((f->watch != NULL || f->lost) && f->upto < resolved) resolved = f->upto;
    }
    return resolved > c->from ? resolved : c->from;
}

uint64_t changes_behind(const struct changes *c, uint64_t ts, struct errbuf *who)
{
    uint64_t left = 0, low = UINT64_MAX;
    LIST_FOR(it, &c->feeds)
    {
        const struct followed *f = LIST_ENTRY(it, struct followed, link);
        if (f->upto >= ts || (f->watch == NULL && !f->lost)) continue;
        struct errbuf *mine = f->upto < low ? who : NULL;
        if (f->watch != NULL) left += client_watch_behind(f->watch, ts, mine);
        left++; /* what its watch has, it may not have told yet */
        if (f->watch == NULL && mine != NULL)
            errbuf_set(mine, "keyspace %.*s was not found, and is listed", (int)f->info.name.size,
                       (const char *)f->info.name.data);
        if (f->upto < low) low = f->upto;
    }
    if (c->listed_ts >= ts) return left;
    if (left == 0 && who != NULL)
        errbuf_set(who, "the metadata service does not list the keyspaces (%s)", status_name(c->list_status));
    return left + 1;
}

void changes_hurry(struct changes *c, uint64_t ts)
{
    c->wanted_ts = ts;
    LIST_FOR(it, &c->feeds)
    {
        struct followed *f = LIST_ENTRY(it, struct followed, link);
        if (f->watch != NULL) client_watch_hurry(f->watch, ts);
    }
    c->env->ops->wake(c->env);
}

size_t changes_bytes(const struct changes *c)
{
    size_t bytes = 0;
    LIST_FOR(it, &c->feeds) bytes += LIST_ENTRY(it, struct followed, link)->rows.size;
    return bytes;
}

static size_t bytes_upto(const struct changes *c, uint64_t ts)
{
    size_t bytes = 0;
    LIST_FOR(it, &c->feeds)
    {
        const struct followed *f = LIST_ENTRY(it, struct followed, link);
        struct cursor at = cursor_make(buf_slice(&f->rows));
        struct backup_row row;
        size_t taken = 0;
        while (backup_row_next(&at, &row) && row.ts <= ts) taken = f->rows.size - cursor_left(&at);
        bytes += taken;
    }
    return bytes;
}

uint64_t changes_upto(const struct changes *c, uint64_t from, size_t bytes)
{
    uint64_t resolved = changes_resolved(c), low = from, high = resolved;
    if (high <= low || bytes_upto(c, high) <= bytes) return high;
    while (high - low > 1) { /* up to low it is little enough, up to high too much */
        uint64_t middle = low + (high - low) / 2;
        if (bytes_upto(c, middle) <= bytes)
            low = middle;
        else
            high = middle;
    }
    return low > from ? low : high;
}

void changes_take(struct changes *c, uint64_t upto, struct buf *rows)
{
    ASSERT(upto <= changes_resolved(c));
    LIST_FOR(it, &c->feeds)
    {
        struct followed *f = LIST_ENTRY(it, struct followed, link);
        struct cursor at = cursor_make(buf_slice(&f->rows));
        struct backup_row row;
        size_t taken = 0;
        ASSERT(!f->rows.overflow);
        while (backup_row_next(&at, &row) && row.ts <= upto) taken = f->rows.size - cursor_left(&at);
        ASSERT(!at.failed);
        buf_append(rows, f->rows.data, taken);
        buf_consume(&f->rows, taken);
    }
    c->env->ops->wake(c->env);
}

const struct backup_keyspace *changes_keyspaces(struct changes *c, size_t *count)
{
    size_t n = 0;
    c->table = mem_realloc(c->table, (c->feed_count + 1) * sizeof *c->table);
    LIST_FOR(it, &c->feeds)
    {
        const struct followed *f = LIST_ENTRY(it, struct followed, link);
        c->table[n] = f->info;
        if (f->watch != NULL) c->table[n].known_upto = f->upto;
        n++;
    }
    *count = n;
    return c->table;
}
