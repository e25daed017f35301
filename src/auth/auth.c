/* The book, kept fresh. A reading asks for one row, which every change writes; only if its version is another are all rows read. */
#include "auth/auth_int.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>

#define FAILED_PAUSE_NS (200 * NS_PER_MS)

const char auth_unreadable[] = "users and rights cannot be read at the moment; nothing was done";
static const char auth_doubtful[] =
    "users and rights may have been lost: 'quorate auth disable' says that there were none, 'quorate user "
    "set' and 'quorate auth enable' make them anew; nothing was done";

const char *auth_closed_why(const struct auth *a)
{
    return a->in_doubt ? auth_doubtful : auth_unreadable;
}

void *auth_op_new(struct auth *a, size_t size)
{
    struct auth_op *op = mem_zalloc(size);
    op->auth = a;
    arena_init(&op->arena, 1024);
    list_init(&op->wait.link);
    list_push_back(&a->ops, &op->link);
    return op;
}

void auth_op_free(struct auth_op *op)
{
    list_remove(&op->link);
    list_remove(&op->wait.link);
    arena_free(&op->arena);
    mem_free(op);
}

const struct book *auth_book(const struct auth *a)
{
    return a->book;
}

uint64_t auth_generation(const struct auth *a)
{
    return a->generation;
}

bool auth_usable(const struct auth *a)
{
    if (!a->known || a->in_doubt) return false;
    return a->book == NULL || env_mono_ns(a->env) - a->fresh_ns < AUTH_STALE_MS * NS_PER_MS;
}

/* --- reading --- */

static void reading_ended(struct auth *a, enum status s)
{
    uint64_t now_ns = env_mono_ns(a->env), round = a->reading.round;
    a->reading.asking = false;
    if (s == STATUS_OK) {
        a->known = true;
        a->fresh_ns = now_ns;
    }
    a->reading.next_ns = now_ns + (s != STATUS_OK ? FAILED_PAUSE_NS : AUTH_FRESH_MS / 2 * NS_PER_MS);
    struct list ready, *it;
    list_init(&ready);
    LIST_FOR(w, &a->waits)
    {
        if (LIST_ENTRY(w, struct auth_wait, link)->round > round) continue;
        list_remove(w);
        list_push_back(&ready, w);
    }
    while ((it = list_pop_front(&ready)) != NULL) {
        struct auth_wait *w = LIST_ENTRY(it, struct auth_wait, link);
        w->go(w, s);
    }
    a->env->ops->wake(a->env);
}

static void rows_ask(struct auth *a, struct slice from);

/* Page by page, as of one moment: a->reading.book is what has been read of it. */
static void rows_read(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct auth *a = ctx;
    enum status s = e->status;
    struct slice last = SLICE_EMPTY;
    for (size_t i = 0; s == STATUS_OK && i < reply->row_count; i++) {
        const struct scan_row *row = &reply->rows[i];
        s = book_add(a->reading.book, row->key, row->value, row->version);
        last = row->key;
    }
    if (s == STATUS_OK && reply->more && last.size > 0) {
        struct buf behind;
        buf_init(&behind, LIMIT_KEY_BYTES + 1);
        buf_append_slice(&behind, last);
        buf_append_byte(&behind, 0);
        /* The first page's range may not have heard yet of the change that all this is read for. */
        a->reading.ts = reply->mark.ts > a->reading.generation ? reply->mark.ts : a->reading.generation;
        rows_ask(a, buf_slice(&behind));
        buf_free(&behind);
        return;
    }
    if (s == STATUS_OK) {
        book_free(a->book);
        a->book = a->reading.book;
        a->generation = a->reading.generation;
        auth_lasting_look(a);
    } else {
        book_free(a->reading.book);
        log_event(a->env->log, LOG_WARN, "auth.unreadable", "status=%s", status_name(s));
    }
    a->reading.book = NULL;
    reading_ended(a, s);
}

static void rows_ask(struct auth *a, struct slice from)
{
    struct client_scan scan = {.start = from,
                               .end = slice_str("c")}; /* strong: a snapshot may be older than the generation */
    if (a->reading.ts != 0) scan.how = (struct read_how){.mode = READ_SNAPSHOT, .ts = a->reading.ts};
    client_scan(a->client, slice_str(AUTH_KEYSPACE), &scan, AUTH_ASK_MS, rows_read, a);
}

/* --- there is no keyspace: were users never made, or were they lost? --- */

/* It was dropped, or the metadata was made anew and does not know what some keyspace is called (docs/recovery.md). */
static bool may_have_been_lost(const struct meta_map_reply *map)
{
    for (size_t i = 0; i < map->keyspace_count; i++) {
        const struct keyspace_info *k = &map->keyspaces[i];
        char unknown[40];
        (void)snprintf(unknown, sizeof unknown, KEYSPACE_RECOVERED, k->id);
        if (slice_eq(k->name, slice_str(AUTH_KEYSPACE)) || slice_eq(k->name, slice_str(unknown))) return true;
    }
    return false;
}

static void names_read(void *ctx, const struct client_error *e, struct slice payload)
{
    struct auth *a = ctx;
    struct meta_map_reply map;
    struct arena arena;
    arena_init(&arena, 4096);
    enum status s = e->status != STATUS_OK ? e->status : unpack_meta_map_reply(payload, &arena, &map);
    if (s == STATUS_OK) {
        bool doubt = may_have_been_lost(&map);
        if (doubt && !a->in_doubt) log_event(a->env->log, LOG_WARN, "auth.in_doubt", "why=\"%s\"", auth_doubtful);
        a->in_doubt = doubt;
    }
    arena_free(&arena);
    reading_ended(a, s);
}

/* All keyspaces, and of each the first range only: a whole map may be large. */
static void names_ask(struct auth *a)
{
    struct buf params;
    buf_init(&params, 256);
    pack_meta_map_request(&params,
                          &(struct meta_map_request){.keyspace = SLICE_EMPTY, .has_key = true, .key = SLICE_EMPTY});
    client_meta(a->client, METHOD_META_MAP, buf_slice(&params), AUTH_ASK_MS, names_read, a);
    buf_free(&params);
}

static void generation_read(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct auth *a = ctx;
    if (e->status == STATUS_NOT_FOUND && a->book != NULL && book_is_on(a->book)) {
        log_event(a->env->log, LOG_WARN, "auth.unreadable", "status=%s", status_name(e->status));
        reading_ended(a, STATUS_UNAVAILABLE); /* it was lost, not turned off: that opens nothing */
        return;
    }
    if (e->status == STATUS_NOT_FOUND) { /* there is no keyspace */
        book_free(a->book);
        a->book = NULL;
        a->generation = 0;
        if (a->known && !a->in_doubt)
            reading_ended(a, STATUS_OK);
        else
            names_ask(a);
        return;
    }
    a->in_doubt = a->in_doubt && e->status != STATUS_OK;
    a->reading.generation = e->status == STATUS_OK && reply->found ? reply->version : 0;
    if (e->status != STATUS_OK || (a->book != NULL && a->generation == a->reading.generation)) {
        reading_ended(a, e->status);
        return;
    }
    a->reading.book = book_new();
    a->reading.ts = 0;
    rows_ask(a, slice_str("b"));
}

static void reading_begin(struct auth *a)
{
    a->reading.asking = true;
    a->reading.round++;
    client_get(a->client, slice_str(AUTH_KEYSPACE), slice_str(AUTH_KEY_GENERATION), AUTH_ASK_MS, generation_read, a);
}

static uint64_t auth_pass(struct actor *actor, uint64_t now_ns)
{
    struct auth *a = LIST_ENTRY(actor, struct auth, actor);
    if (a->env->dead || a->reading.asking) return DEADLINE_NONE;
    if (list_empty(&a->waits) && now_ns < a->reading.next_ns) return a->reading.next_ns;
    reading_begin(a);
    return DEADLINE_NONE;
}

void auth_wait_for(struct auth *a, struct auth_wait *w, bool from_now, void (*go)(struct auth_wait *w, enum status s))
{
    w->go = go;
    w->round = a->reading.round + (from_now || !a->reading.asking ? 1 : 0);
    list_remove(&w->link);
    list_push_back(&a->waits, &w->link);
    a->env->ops->wake(a->env);
}

struct refresh {
    struct auth_op op;
    auth_done done;
    void *ctx;
};

static void refreshed(struct auth_wait *w, enum status s)
{
    struct refresh *r = LIST_ENTRY(w, struct refresh, op.wait);
    bool read = s == STATUS_OK && !r->op.auth->in_doubt;
    r->done(r->ctx, read ? STATUS_OK : STATUS_UNAVAILABLE, auth_closed_why(r->op.auth));
    auth_op_free(&r->op);
}

void auth_refresh(struct auth *a, auth_done done, void *ctx)
{
    struct refresh *r = auth_op_new(a, sizeof(*r));
    r->done = done;
    r->ctx = ctx;
    auth_wait_for(a, &r->op.wait, true, refreshed);
}

/* --- rights --- */

bool auth_is_open(const struct auth *a)
{
    return auth_usable(a) && (a->book == NULL || !book_is_on(a->book));
}

bool auth_may(const struct auth *a, struct slice user, const struct auth_need *need)
{
    if (slice_eq(need->keyspace, slice_str(AUTH_KEYSPACE))) return false;
    if (auth_is_open(a)) return true;
    return auth_usable(a) && user.size > 0 && book_may(a->book, user, need);
}

/* --- life --- */

struct auth *auth_new(struct env *env, struct client *client)
{
    struct auth *a = mem_zalloc(sizeof(*a));
    a->env = env;
    a->client = client;
    list_init(&a->waits);
    list_init(&a->ops);
    list_init(&a->to_check);
    map_init(&a->seen);
    map_init(&a->meters);
    a->actor.pass = auth_pass;
    auth_lasting_init(a);
    auth_quota_init(a);
    env->ops->attach(env, &a->actor);
    env->ops->wake(env);
    return a;
}

void auth_free(struct auth *a)
{
    if (a == NULL) return;
    a->env->ops->detach(a->env, &a->actor);
    auth_lasting_free(a);
    auth_quota_free(a);
    struct list *it;
    while ((it = list_pop_front(&a->ops)) != NULL) auth_op_free(LIST_ENTRY(it, struct auth_op, link));
    auth_seen_free(a);
    book_free(a->reading.book);
    book_free(a->book);
    mem_free(a);
}
