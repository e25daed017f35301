/* include/quorate.h: calls that block, over the router and an environment of their own. Each call starts one request, and runs the
 * loop until its callback has come. */
#include <quorate.h>

#include "base/assert.h"
#include "base/mem.h"
#include "client/interact.h"
#include "env_posix/env_posix.h"
#include "env_posix/process.h"
#include "tls/tls.h"

#include <stdio.h>

#define TIMEOUT_DEFAULT_MS 10000u
#define RUN_DEFAULT_MS 60000u
#define PAUSE_MIN_MS 2u
#define PAUSE_MAX_MS 250u
#define PAGE_ROWS 1000u

struct quorate {
    struct env *env;
    struct client *client;
    uint32_t timeout_ms, run_ms;
    struct prng prng;
    struct list txns;
    bool done; /* of the call under way */
    int result;
    uint64_t snapshot_ts; /* of the last answer about a registered snapshot */
    char error[512];
};

struct quorate_txn {
    struct list link;
    struct quorate *db;
    struct interact *interact;
    struct buf value; /* of the last get */
    bool found;
    uint64_t ts;
    /* the page under way */
    quorate_each each;
    void *each_ctx;
    uint64_t left; /* rows that may still be told; UINT64_MAX: any number */
    bool more, stopped, reverse;
    struct buf edge; /* where the next page begins, or ends */
};

/* --- answers --- */

static int say(struct quorate *db, int result, const char *text)
{
    db->result = result;
    if (result != QUORATE_OK) (void)snprintf(db->error, sizeof(db->error), "%s", text);
    return result;
}

static int result_of(enum status s, bool unknown)
{
    if (s == STATUS_OK) return QUORATE_OK;
    if (unknown) return QUORATE_UNKNOWN;
    switch ((int)s) {
    case STATUS_NOT_FOUND: return QUORATE_NOT_FOUND;
    case STATUS_RETRY: return QUORATE_RETRY;
    case STATUS_INVALID: return QUORATE_INVALID;
    case STATUS_TOO_LARGE: return QUORATE_TOO_LARGE;
    case STATUS_BUSY: return QUORATE_BUSY;
    case STATUS_UNSUPPORTED: return QUORATE_UNSUPPORTED;
    case STATUS_TIMEOUT:
    case STATUS_UNAVAILABLE:
    case STATUS_CLOSED:
    case STATUS_NO_SPACE:
    case STATUS_NOT_INITIALIZED: return QUORATE_UNAVAILABLE;
    default: return QUORATE_FAILED;
    }
}

static void ended(struct quorate *db, const struct client_error *e)
{
    char text[400];
    struct slice message = e->message.size > 0 ? e->message : slice_str(status_text(e->status));
    (void)snprintf(text, sizeof(text), "%.*s", (int)message.size, (const char *)message.data);
    (void)say(db, result_of(e->status, e->unknown_outcome), text);
    db->done = true;
}

static bool is_done(void *ctx)
{
    return ((struct quorate *)ctx)->done;
}

static int wait_for(struct quorate *db)
{
    env_posix_run_until(db->env, is_done, db, DEADLINE_NONE); /* every request ends by its own timeout */
    return db->result;
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

/* --- open, close --- */

static bool fits(const char *text, char *error, size_t error_size)
{
    if (text != NULL && text[0] != '\0') return true;
    (void)snprintf(error, error_size, "name the metadata servers: .meta = \"host:port,...\"");
    return false;
}

static enum status read_tls(const struct quorate_options *o, struct buf files[3], struct tls_options *tls,
                            struct errbuf *err)
{
    const char *paths[3] = {o->tls_ca, o->tls_cert, o->tls_key};
    for (int i = 0; i < 3; i++) {
        buf_init(&files[i], 1u << 20);
        if (paths[i] == NULL) {
            errbuf_set(err, "encryption needs all of tls_ca, tls_cert and tls_key");
            return STATUS_INVALID;
        }
        enum status s = process_file_read(paths[i], &files[i], err);
        if (s != STATUS_OK) return s;
    }
    tls->authority = buf_slice(&files[0]);
    tls->certificate = buf_slice(&files[1]);
    tls->key = buf_slice(&files[2]);
    return STATUS_OK;
}

struct quorate *quorate_open(const struct quorate_options *o, char *error, size_t error_size)
{
    struct errbuf err = {.text = ""};
    struct buf files[3] = {{0}};
    struct tls_options tls = {0};
    bool secure = o->tls_ca != NULL || o->tls_cert != NULL || o->tls_key != NULL;
    if (!fits(o->meta, error, error_size)) return NULL;
    struct quorate *db = mem_zalloc(sizeof(*db));
    enum status s = secure ? read_tls(o, files, &tls, &err) : STATUS_OK;
    struct env_posix_options env = {.log_level = LOG_ERROR, .tls = secure ? &tls : NULL};
    if (s == STATUS_OK) db->env = env_posix_new(&env, &err);
    for (int i = 0; i < 3; i++) buf_free(&files[i]);
    struct client_options client = {.meta_addresses = o->meta, .role = ROLE_CLIENT};
    if (db->env != NULL && client_new(db->env, &client, &db->client, &err) == STATUS_OK) {
        db->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : TIMEOUT_DEFAULT_MS;
        db->run_ms = o->run_ms > 0 ? o->run_ms : RUN_DEFAULT_MS;
        list_init(&db->txns);
        uint64_t seed;
        db->env->ops->random(db->env, &seed, sizeof(seed));
        prng_init(&db->prng, seed);
        return db;
    }
    (void)snprintf(error, error_size, "%s", err.text);
    if (db->env != NULL) env_posix_free(db->env);
    mem_free(db);
    return NULL;
}

static void txn_free(struct quorate_txn *t)
{
    list_remove(&t->link);
    interact_free(t->interact);
    buf_free(&t->value);
    buf_free(&t->edge);
    mem_free(t);
}

void quorate_close(struct quorate *db)
{
    if (db == NULL) return;
    LIST_FOR(it, &db->txns) txn_free(LIST_ENTRY(it, struct quorate_txn, link));
    env_posix_quiesce(db->env);
    client_free(db->client);
    env_posix_free(db->env);
    mem_free(db);
}

const char *quorate_error(const struct quorate *db)
{
    return db->error;
}

/* --- a transaction --- */

static void on_end(void *ctx, const struct client_error *e, uint64_t ts)
{
    struct quorate_txn *t = ctx;
    t->ts = ts;
    ended(t->db, e);
}

static int begin(struct quorate *db, const char *keyspace, uint64_t ts, struct quorate_txn **out)
{
    size_t size = keyspace == NULL ? 0 : strlen(keyspace);
    *out = NULL;
    if (size == 0 || size > LIMIT_KEYSPACE_NAME)
        return say(db, QUORATE_INVALID, "a keyspace has a name of 1 to 64 bytes");
    struct quorate_txn *t = mem_zalloc(sizeof(*t));
    t->db = db;
    buf_init(&t->value, LIMIT_VALUE_BYTES);
    buf_init(&t->edge, LIMIT_KEY_BYTES + 1);
    t->interact = interact_new(db->env, db->client, slice_str(keyspace));
    list_push_back(&db->txns, &t->link);
    int result = say(db, QUORATE_OK, "");
    if (ts != 0) {
        interact_begin_at(t->interact, ts);
    } else {
        db->done = false;
        interact_begin(t->interact, db->timeout_ms, on_end, t);
        result = wait_for(db);
    }
    if (result == QUORATE_OK)
        *out = t;
    else
        txn_free(t);
    return result;
}

int quorate_begin(struct quorate *db, const char *keyspace, struct quorate_txn **out)
{
    return begin(db, keyspace, 0, out);
}

int quorate_begin_at(struct quorate *db, const char *keyspace, uint64_t timestamp, struct quorate_txn **out)
{
    *out = NULL;
    if (timestamp == 0) return say(db, QUORATE_INVALID, "a timestamp is not 0");
    return begin(db, keyspace, timestamp, out);
}

uint64_t quorate_timestamp(const struct quorate_txn *t)
{
    return interact_timestamp(t->interact);
}

static void on_get(void *ctx, const struct client_error *e, const struct interact_row *row)
{
    struct quorate_txn *t = ctx;
    buf_clear(&t->value);
    t->found = e->status == STATUS_OK && row->found;
    if (t->found) buf_append_slice(&t->value, row->value);
    ended(t->db, e);
}

int quorate_get(struct quorate_txn *t, const void *key, size_t key_size, const void **value, size_t *value_size)
{
    t->db->done = false;
    interact_get(t->interact, slice_make(key, key_size), t->db->timeout_ms, on_get, t);
    int result = wait_for(t->db);
    if (result == QUORATE_OK && !t->found) result = say(t->db, QUORATE_NOT_FOUND, "no such key");
    *value = t->found ? (t->value.size > 0 ? (const void *)t->value.data : "") : NULL;
    *value_size = t->found ? t->value.size : 0;
    return result;
}

static int write_op(struct quorate_txn *t, const struct txn_op *op)
{
    struct errbuf err = {.text = ""};
    enum status s = interact_write(t->interact, op, &err);
    return say(t->db, result_of(s, false), err.text);
}

int quorate_put(struct quorate_txn *t, const void *key, size_t key_size, const void *value, size_t value_size)
{
    return write_op(
        t, &(struct txn_op){.kind = TXN_PUT, .key = slice_make(key, key_size), .value = slice_make(value, value_size)});
}

int quorate_put_ttl(struct quorate_txn *t, const void *key, size_t key_size, const void *value, size_t value_size,
                    uint64_t ttl_ms)
{
    if (ttl_ms > LIMIT_TTL_MS) return say(t->db, QUORATE_INVALID, "a time to live is at most 100 years");
    return write_op(t, &(struct txn_op){.kind = TXN_PUT,
                                        .key = slice_make(key, key_size),
                                        .value = slice_make(value, value_size),
                                        .has_ttl = true,
                                        .ttl_ms = ttl_ms});
}

int quorate_delete(struct quorate_txn *t, const void *key, size_t key_size)
{
    return write_op(t, &(struct txn_op){.kind = TXN_DELETE, .key = slice_make(key, key_size), .value = SLICE_EMPTY});
}

static void on_page(void *ctx, const struct client_error *e, const struct interact_row *rows, size_t count, bool more)
{
    struct quorate_txn *t = ctx;
    t->more = more && count > 0;
    for (size_t i = 0; i < count && !t->stopped; i++) {
        const struct interact_row *row = &rows[i];
        if (t->left == 0) t->stopped = true;
        if (t->stopped) break;
        if (t->left != UINT64_MAX) t->left--;
        t->stopped = !t->each(t->each_ctx, row->key.data, row->key.size, row->value.data, row->value.size);
    }
    if (count > 0) {
        buf_clear(&t->edge);
        buf_append_slice(&t->edge, rows[count - 1].key);
        if (!t->reverse) buf_append_byte(&t->edge, 0);
    }
    ended(t->db, e);
}

int quorate_scan(struct quorate_txn *t, const struct quorate_scan *s, quorate_each each, void *ctx)
{
    struct client_scan scan = {.start = slice_make(s->start, s->start_size),
                               .end = slice_make(s->end, s->end_size),
                               .limit_rows = PAGE_ROWS,
                               .reverse = s->reverse};
    t->each = each;
    t->each_ctx = ctx;
    t->left = s->limit > 0 ? s->limit : UINT64_MAX;
    t->stopped = false;
    t->reverse = s->reverse;
    int result;
    do {
        t->db->done = false;
        if (t->left < PAGE_ROWS) scan.limit_rows = (uint32_t)t->left;
        interact_scan(t->interact, &scan, t->db->timeout_ms, on_page, t);
        result = wait_for(t->db);
        if (s->reverse)
            scan.end = buf_slice(&t->edge);
        else
            scan.start = buf_slice(&t->edge);
    } while (result == QUORATE_OK && t->more && !t->stopped && t->left > 0);
    return result;
}

int quorate_commit(struct quorate_txn *t, uint64_t *version)
{
    struct quorate *db = t->db;
    db->done = false;
    t->ts = 0;
    interact_commit(t->interact, db->timeout_ms, on_end, t);
    int result = wait_for(db);
    if (version != NULL) *version = t->ts;
    txn_free(t);
    return result;
}

void quorate_abort(struct quorate_txn *t)
{
    if (t != NULL) txn_free(t);
}

/* --- registered snapshots --- */

static void on_snapshot(void *ctx, const struct client_error *e, struct slice payload)
{
    struct quorate *db = ctx;
    struct meta_snapshot_reply reply;
    struct arena arena;
    arena_init(&arena, 4096);
    db->snapshot_ts = 0;
    if (e->status == STATUS_OK && unpack_meta_snapshot_reply(payload, &arena, &reply) == STATUS_OK &&
        reply.snapshot_count == 1)
        db->snapshot_ts = reply.snapshots[0].ts;
    arena_free(&arena);
    ended(db, e);
}

static int ask_snapshot(struct quorate *db, enum snapshot_verb verb, const char *name, uint64_t ts,
                        uint64_t lifetime_ms)
{
    struct buf params;
    size_t size = name == NULL ? 0 : strlen(name);
    if (size == 0 || size > LIMIT_SNAPSHOT_NAME)
        return say(db, QUORATE_INVALID, "a snapshot's name has 1 to 64 characters");
    buf_init(&params, 4096);
    struct meta_snapshot_request q = {
        .verb = verb, .name = slice_make(name, size), .ts = ts, .lifetime_ms = lifetime_ms};
    pack_meta_snapshot_request(&params, &q);
    db->done = false;
    client_meta(db->client, METHOD_META_SNAPSHOT, buf_slice(&params), db->timeout_ms, on_snapshot, db);
    buf_free(&params);
    return wait_for(db);
}

int quorate_snapshot_register(struct quorate *db, const char *name, uint64_t lifetime_ms, uint64_t *timestamp)
{
    int result = ask_snapshot(db, SNAPSHOT_VERB_REGISTER, name, *timestamp, lifetime_ms);
    if (result == QUORATE_OK) *timestamp = db->snapshot_ts;
    return result;
}

int quorate_snapshot_extend(struct quorate *db, const char *name, uint64_t lifetime_ms)
{
    return ask_snapshot(db, SNAPSHOT_VERB_EXTEND, name, 0, lifetime_ms);
}

int quorate_snapshot_drop(struct quorate *db, const char *name)
{
    return ask_snapshot(db, SNAPSHOT_VERB_DROP, name, 0, 0);
}

/* --- again and again --- */

static int run_once(struct quorate *db, const char *keyspace, int (*fn)(struct quorate_txn *t, void *ctx), void *ctx,
                    uint64_t *version)
{
    struct quorate_txn *t;
    int result = quorate_begin(db, keyspace, &t);
    if (result != QUORATE_OK) return result;
    result = fn(t, ctx);
    if (result == QUORATE_OK) return quorate_commit(t, version);
    quorate_abort(t);
    return result;
}

int quorate_run(struct quorate *db, const char *keyspace, int (*fn)(struct quorate_txn *t, void *ctx), void *ctx,
                uint64_t *version)
{
    uint64_t until_ns = env_mono_ns(db->env) + db->run_ms * NS_PER_MS;
    for (uint64_t pause_ms = PAUSE_MIN_MS;; pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS) {
        int result = run_once(db, keyspace, fn, ctx, version);
        if (result != QUORATE_RETRY || env_mono_ns(db->env) >= until_ns) return result;
        env_posix_run_until(db->env, never, NULL, prng_between(&db->prng, 1, pause_ms * NS_PER_MS));
    }
}
