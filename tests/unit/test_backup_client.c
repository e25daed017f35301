/* Making a backup and restoring it, as a client sees it: of a cluster that this file plays, whose answers get lost, and whose calls come late, from
 * a life that ended. It defines the client's functions itself, so the real ones are not linked. */
#include "backup/changes.h"
#include "backup/create.h"
#include "backup/restore.h"
#include "base/hash.h"
#include "base/mem.h"
#include "lib/memdisk.h"
#include "lib/suite.h"
#include "lib/testenv.h"

#include <stdio.h>
#include <stdlib.h>

enum { SPACES = 3, ROWS = 40, CALLS = 64, IDS = 256, PAGE_ROWS = 3 };

struct held_row {
    char key[8];
    int64_t number;
    bool is_counter;
    uint64_t ts, ttl_ms;
};
struct space { /* a keyspace; number i + 1 */
    char name[24];
    struct held_row rows[ROWS]; /* by key */
    size_t row_count;
};
enum call_kind { CALL_META, CALL_GET, CALL_SCAN, CALL_TXN, CALL_WATCH };
struct call { /* not answered yet */
    enum call_kind kind;
    void *ctx; /* NULL: who asked has gone away */
    union {
        client_call_done meta;
        client_get_done get;
        client_scan_done scan;
        client_txn_done txn;
        client_watch_done watch;
    } done;
    enum method method;
    struct client_watch *feed;
    char keyspace[24], start[16]; /* of a scan */
    size_t start_size;
    uint64_t ts;
    struct buf bytes; /* params, or the transaction */
};
struct client_watch {
    struct client *client;
    char name[24];
    uint64_t after, wanted;
};
struct client {
    uint64_t now; /* the next timestamp */
    struct space spaces[SPACES];
    size_t space_count;
    struct call calls[CALLS];
    size_t call_count;
    struct {
        struct txn_id id;
        uint64_t content;
    } ids[IDS];
    size_t id_count;
    unsigned pages, too_old_every; /* each so manieth page is answered TOO_OLD; 0: none */
    unsigned txns, lost_every;     /* each so manieth transaction is done and its answer lost; 0: none */
    char mark[240];                /* the last that was put */
    uint32_t others;               /* as the answer of a page says */
    size_t pages_most;             /* under way at a time, since the first answer */
    char newest[8];                /* of the keys of `bank` that a transaction has begun with */
    unsigned behind;               /* of them not above those before */
    size_t txns_most;              /* under way at a time */
    uint64_t left;                 /* a watch has so much to go, and is not answered; 0: at once */
    struct call held;              /* such a one */
};

/* --- calls, as they come --- */

static struct call *call_add(struct client *c, enum call_kind kind, struct slice keyspace, void *ctx)
{
    struct call *call = &c->calls[c->call_count++];
    ck_assert_uint_le(c->call_count, CALLS);
    *call = (struct call){.kind = kind, .ctx = ctx};
    (void)snprintf(call->keyspace, sizeof call->keyspace, "%.*s", (int)keyspace.size, (const char *)keyspace.data);
    buf_init(&call->bytes, 1u << 20);
    return call;
}

void client_meta(struct client *c, enum method m, struct slice params, uint32_t timeout_ms, client_call_done done,
                 void *ctx)
{
    struct call *call = call_add(c, CALL_META, SLICE_EMPTY, ctx);
    (void)timeout_ms;
    call->method = m;
    call->done.meta = done;
    buf_append_slice(&call->bytes, params);
}

void client_get(struct client *c, struct slice keyspace, struct slice key, uint32_t timeout_ms, client_get_done done,
                void *ctx)
{
    (void)key;
    (void)timeout_ms;
    call_add(c, CALL_GET, keyspace, ctx)->done.get = done;
}

void client_scan(struct client *c, struct slice keyspace, const struct client_scan *s, uint32_t timeout_ms,
                 client_scan_done done, void *ctx)
{
    struct call *call = call_add(c, CALL_SCAN, keyspace, ctx);
    (void)timeout_ms;
    ck_assert_uint_le(s->start.size, sizeof call->start);
    memcpy(call->start, s->start.data, s->start.size);
    call->start_size = s->start.size;
    call->ts = s->how.ts;
    buf_append_slice(&call->bytes, s->end);
    call->done.scan = done;
    size_t pages = 0;
    for (size_t i = 0; i < c->call_count; i++) pages += c->calls[i].kind == CALL_SCAN;
    if (c->pages > 0 && pages > c->pages_most) c->pages_most = pages;
}

void client_txn(struct client *c, struct slice keyspace, const struct txn *t, uint32_t timeout_ms, client_txn_done done,
                void *ctx)
{
    struct call *call = call_add(c, CALL_TXN, keyspace, ctx);
    struct txn placed = *t;
    (void)timeout_ms;
    placed.keyspace = 1;
    txn_encode(&placed, &call->bytes);
    call->done.txn = done;
    size_t txns = 0;
    for (size_t i = 0; i < c->call_count; i++) txns += c->calls[i].kind == CALL_TXN;
    if (txns > c->txns_most) c->txns_most = txns;
    if (strcmp(call->keyspace, "bank") != 0) return;
    struct slice first = t->ops[0].key;
    c->behind += slice_cmp(first, slice_str(c->newest)) <= 0;
    (void)snprintf(c->newest, sizeof c->newest, "%.*s", (int)first.size, (const char *)first.data);
}

struct client_watch *client_watch_new(struct client *c, const struct client_watch_options *o)
{
    struct client_watch *w = mem_zalloc(sizeof *w);
    w->client = c;
    w->after = o->after;
    (void)snprintf(w->name, sizeof w->name, "%.*s", (int)o->keyspace.size, (const char *)o->keyspace.data);
    return w;
}

void client_watch_next(struct client_watch *w, client_watch_done done, void *ctx)
{
    struct call *call = call_add(w->client, CALL_WATCH, slice_str(w->name), ctx);
    call->feed = w;
    call->done.watch = done;
}

void client_watch_hurry(struct client_watch *w, uint64_t ts)
{
    w->wanted = ts;
}

uint64_t client_watch_behind(const struct client_watch *w, uint64_t ts, struct errbuf *who)
{
    if (who != NULL) errbuf_set(who, "%s, played", w->name);
    return w->client->left != 0 ? w->client->left : w->after < ts ? ts - w->after : 0;
}

void client_watch_free(struct client_watch *w)
{
    for (size_t i = 0; w != NULL && i < w->client->call_count; i++)
        if (w->client->calls[i].feed == w) w->client->calls[i].ctx = NULL;
    mem_free(w);
}

void client_forget(struct client *c, const void *ctx)
{
    for (size_t i = 0; i < c->call_count; i++)
        if (c->calls[i].ctx == ctx) c->calls[i].ctx = NULL;
}

/* --- what they do --- */

static const struct client_error fine = {.status = STATUS_OK, .message = {.data = (const uint8_t *)"", .size = 0}};

static struct client_error error_of(enum status s)
{
    return (struct client_error){.status = s, .unknown_outcome = true, .message = slice_str("played")};
}

static struct space *space_of(struct client *c, const char *name)
{
    for (size_t i = 0; i < c->space_count; i++)
        if (strcmp(c->spaces[i].name, name) == 0) return &c->spaces[i];
    return NULL;
}

static struct space *space_add(struct client *c, const char *name)
{
    ck_assert_uint_lt(c->space_count, SPACES);
    struct space *s = &c->spaces[c->space_count++];
    *s = (struct space){.row_count = 0};
    (void)snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

static struct held_row *row_at(struct space *s, const char *key, bool make)
{
    size_t i = 0;
    while (i < s->row_count && strcmp(s->rows[i].key, key) < 0) i++;
    if (i < s->row_count && strcmp(s->rows[i].key, key) == 0) return &s->rows[i];
    if (!make) return NULL;
    ck_assert_uint_lt(s->row_count, ROWS);
    memmove(&s->rows[i + 1], &s->rows[i], (s->row_count++ - i) * sizeof s->rows[0]);
    s->rows[i] = (struct held_row){.number = 0};
    (void)snprintf(s->rows[i].key, sizeof s->rows[i].key, "%s", key);
    return &s->rows[i];
}

static void put(struct client *c, const char *space, const char *key, int64_t number, bool is_counter, uint64_t ttl_ms)
{
    struct held_row *r = row_at(space_of(c, space), key, true);
    r->number = number;
    r->is_counter = is_counter;
    r->ttl_ms = ttl_ms;
    r->ts = c->now++;
}

static void serve_meta(struct client *c, struct call *call)
{
    struct keyspace_info infos[SPACES];
    struct arena arena;
    struct buf b;
    struct client_error e = fine;
    char name[24] = "";
    arena_init(&arena, 256);
    buf_init(&b, 1u << 16);
    if (call->method == METHOD_META_TIMESTAMPS) {
        pack_meta_timestamps_reply(&b, &(struct meta_timestamps_reply){.first = c->now++});
    } else if (call->method == METHOD_META_MAP) {
        for (size_t i = 0; i < c->space_count; i++)
            infos[i] =
                (struct keyspace_info){.id = (uint32_t)i + 1, .name = slice_str(c->spaces[i].name), .replication = 3};
        pack_meta_map_reply(&b, &(struct meta_map_reply){.keyspaces = infos, .keyspace_count = c->space_count});
    } else if (call->method == METHOD_META_KEYSPACE_CREATE) {
        struct meta_keyspace_request m;
        ck_assert(unpack_meta_keyspace_request(buf_slice(&call->bytes), &arena, &m) == STATUS_OK);
        (void)snprintf(name, sizeof name, "%.*s", (int)m.name.size, (const char *)m.name.data);
        if (space_of(c, name) != NULL)
            e = error_of(STATUS_EXISTS);
        else
            (void)space_add(c, name);
    } else { /* the mark's keyspace is dropped: it came last or before the rows' */
        struct space *mark = space_of(c, RESTORE_KEYSPACE);
        ck_assert_int_eq(call->method, METHOD_META_KEYSPACE_DROP);
        if (mark == NULL) e = error_of(STATUS_NOT_FOUND);
        if (mark != NULL) (void)snprintf(mark->name, sizeof mark->name, "dropped");
        if (mark != NULL) mark->row_count = 0;
    }
    if (call->ctx != NULL) call->done.meta(call->ctx, &e, buf_slice(&b));
    buf_free(&b);
    arena_free(&arena);
}

static void serve_get(struct client *c, const struct call *call) /* of the mark */
{
    const struct space *s = space_of(c, call->keyspace);
    struct client_error e = s != NULL ? fine : error_of(STATUS_NOT_FOUND);
    struct get_reply reply = {.found = s != NULL && s->row_count > 0, .value = slice_str(c->mark)};
    if (call->ctx != NULL) call->done.get(call->ctx, &e, s != NULL ? &reply : NULL);
}

static void serve_scan(struct client *c, const struct call *call)
{
    struct scan_row rows[PAGE_ROWS];
    char values[PAGE_ROWS][24];
    struct scan_reply reply = {.rows = rows, .mark = {.mode = READ_SNAPSHOT, .ts = call->ts, .others = c->others}};
    struct slice end = buf_slice(&call->bytes);
    struct space *s = space_of(c, call->keyspace);
    struct client_error e = s != NULL ? fine : error_of(STATUS_NOT_FOUND);
    if (reply.mark.ts == 0) reply.mark.ts = c->now++;
    c->pages++;
    if (c->too_old_every != 0 && c->pages % c->too_old_every == 0) e = error_of(STATUS_TOO_OLD);
    for (size_t i = 0; s != NULL && i < s->row_count; i++) {
        const struct held_row *r = &s->rows[i];
        if (slice_cmp(slice_str(r->key), slice_make(call->start, call->start_size)) < 0 ||
            (end.size > 0 && slice_cmp(slice_str(r->key), end) >= 0))
            continue;
        reply.more = reply.row_count == PAGE_ROWS;
        if (reply.more) break;
        (void)snprintf(values[reply.row_count], sizeof values[0], "%lld", (long long)r->number);
        rows[reply.row_count] = (struct scan_row){.key = slice_str(r->key),
                                                  .value = slice_str(values[reply.row_count]),
                                                  .version = r->ts,
                                                  .ttl_ms = r->ttl_ms,
                                                  .is_counter = r->is_counter};
        reply.row_count++;
    }
    if (call->ctx != NULL) call->done.scan(call->ctx, &e, e.status == STATUS_OK ? &reply : NULL);
}

/* false: one with that id has been done. */
static bool is_new(struct client *c, const struct txn *t, struct slice bytes)
{
    uint64_t content = hash_bytes(bytes, 1);
    if (txn_id_is_none(&t->id)) return true;
    for (size_t i = 0; i < c->id_count; i++) {
        if (memcmp(&c->ids[i].id, &t->id, sizeof t->id) != 0) continue;
        ck_assert_msg(c->ids[i].content == content, "another batch under the same id");
        return false;
    }
    ck_assert_uint_lt(c->id_count, IDS);
    c->ids[c->id_count].id = t->id;
    c->ids[c->id_count++].content = content;
    return true;
}

static enum status do_op(struct client *c, struct space *s, const struct txn_op *op)
{
    char key[16], value[24];
    (void)snprintf(key, sizeof key, "%.*s", (int)op->key.size, (const char *)op->key.data);
    if (op->kind == TXN_INSERT) { /* of the mark, whose key is long */
        if (s->row_count > 0) return STATUS_EXISTS;
        (void)snprintf(c->mark, sizeof c->mark, "%.*s", (int)op->value.size, (const char *)op->value.data);
        s->row_count = 1;
        return STATUS_OK;
    }
    struct held_row *r = row_at(s, key, true);
    (void)snprintf(value, sizeof value, "%.*s", (int)op->value.size, (const char *)op->value.data);
    r->is_counter = op->kind == TXN_ADD;
    r->number = r->is_counter ? r->number + (int64_t)op->delta : strtoll(value, NULL, 10);
    r->ttl_ms = op->ttl_ms;
    r->ts = c->now;
    return STATUS_OK;
}

static void serve_txn(struct client *c, struct call *call)
{
    struct txn_result result = {.status = STATUS_OK, .failed_index = UINT32_MAX};
    struct space *s = space_of(c, call->keyspace);
    struct client_error e = s != NULL ? fine : error_of(STATUS_NOT_FOUND);
    struct errbuf err;
    struct arena arena;
    struct txn t;
    arena_init(&arena, 1024);
    ck_assert_msg(txn_decode(buf_slice(&call->bytes), &arena, &t, &err) == STATUS_OK, "%s", err.text);
    if (s != NULL && is_new(c, &t, buf_slice(&call->bytes)))
        for (size_t i = 0; i < t.op_count && result.status == STATUS_OK; i++) result.status = do_op(c, s, &t.ops[i]);
    c->now++;
    if (c->lost_every != 0 && ++c->txns % c->lost_every == 0) e = error_of(STATUS_UNAVAILABLE);
    if (call->ctx != NULL) call->done.txn(call->ctx, &e, e.status == STATUS_OK ? &result : NULL);
    arena_free(&arena);
}

/* All at once: the newest of each row. */
static void serve_watch(struct client *c, const struct call *call)
{
    struct feed_change changes[ROWS];
    char values[ROWS][24];
    struct client_watch_batch batch = {.upto = c->now - 1, .changes = changes};
    if (call->ctx == NULL) return;
    if (c->left != 0) {
        c->held = *call;
        return;
    }
    struct client_watch *w = call->feed;
    for (uint64_t ts = w->after + 1; ts < c->now; ts++)
        for (size_t i = 0; i < space_of(c, call->keyspace)->row_count; i++) {
            const struct held_row *r = &space_of(c, call->keyspace)->rows[i];
            if (r->ts != ts) continue;
            size_t n = batch.change_count++;
            (void)snprintf(values[n], sizeof values[n], "%lld", (long long)r->number);
            changes[n] = (struct feed_change){.ts = r->ts,
                                              .ttl_ms = r->ttl_ms,
                                              .key = slice_str(r->key),
                                              .value = slice_str(values[n]),
                                              .is_counter = r->is_counter};
        }
    w->after = batch.upto;
    call->done.watch(call->ctx, &fine, &batch, batch.upto);
}

static void serve(struct client *c, struct call *call)
{
    switch (call->kind) {
    case CALL_META: serve_meta(c, call); break;
    case CALL_GET: serve_get(c, call); break;
    case CALL_SCAN: serve_scan(c, call); break;
    case CALL_TXN: serve_txn(c, call); break;
    case CALL_WATCH: serve_watch(c, call); break;
    }
    buf_free(&call->bytes);
}

static struct call call_take(struct client *c)
{
    struct call call = c->calls[0];
    memmove(&c->calls[0], &c->calls[1], --c->call_count * sizeof call);
    return call;
}

/* --- the two commands --- */

struct rig {
    struct memdisk *disk;
    struct testenv env;
    struct depot *depot;
    struct client from, into;
    bool done;
    enum status status;
    bool resumed;
};

static const struct cluster_id mine = {.bytes = {1, 2, 3}};

/* Rows that stay, counters, and rows that end 100 s and more behind the beginning. */
static void rig_open(struct rig *r)
{
    struct errbuf err;
    memset(r, 0, sizeof *r);
    r->disk = memdisk_new(1);
    testenv_init(&r->env, memdisk_disk(r->disk), 1);
    ck_assert(depot_new(&r->env.env, &r->depot, &err) == STATUS_OK);
    r->from.now = 1000ull << TS_COUNTER_BITS;
    (void)space_add(&r->from, "bank");
    for (unsigned i = 0; i < 20; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%c", 'a' + (int)i);
        put(&r->from, "bank", key, (int64_t)i * 7 - 20, i % 2 == 0, i % 5 == 3 ? 100000 + i : 0);
    }
}

static void rig_close(struct rig *r)
{
    while (r->from.call_count > 0) {
        struct call call = call_take(&r->from);
        buf_free(&call.bytes);
    }
    depot_free(r->depot);
    testenv_free(&r->env);
    memdisk_free(r->disk);
}

static void turn(struct rig *r, struct client *c)
{
    testenv_run(&r->env);
    if (r->done) return;
    if (c->call_count > 0) {
        struct call call = call_take(c);
        serve(c, &call);
    } else {
        testenv_advance_ms(&r->env, 500);
        testenv_pass(&r->env);
    }
}

static void on_created(void *ctx, const struct backup_report *report)
{
    struct rig *r = ctx;
    r->done = true;
    ck_assert_msg(report->status == STATUS_OK, "%s", report->text);
}

static void create(struct rig *r, bool incremental)
{
    struct backup_create_options o = {
        .cluster = mine, .incremental = incremental, .parallel = 2, .chunk_bytes = 60, .timeout_ms = 5000};
    struct catalog catalog;
    struct errbuf err;
    r->done = false;
    ck_assert(catalog_read(&catalog, r->depot, &err) == STATUS_OK);
    struct backup_create *b = backup_create_new(&r->env.env, &r->from, r->depot, &catalog, &o, on_created, r);
    for (unsigned turns = 0; !r->done; turns++) {
        ck_assert_uint_lt(turns, 10000);
        turn(r, &r->from);
        if (turns % 4 == 3) testenv_advance_ms(&r->env, 100);
        r->from.now += 3;
    }
    backup_create_free(b);
}

static void on_restored(void *ctx, const struct restore_report *report)
{
    struct rig *r = ctx;
    r->done = true;
    r->status = report->status;
    r->resumed = report->resumed;
}

/* A life of who restores: it ends when it has made so many calls, or when all is done; the late calls of one before come before its call `late`. */
static void live(struct rig *r, unsigned calls, struct call *late, size_t late_count, unsigned late_at)
{
    struct restore_options o = {.parallel = 2, .batch_bytes = 10, .skip_readback = true};
    struct restore *job;
    struct catalog catalog;
    struct errbuf err;
    r->done = false;
    r->into.now += 7000ull << TS_COUNTER_BITS;
    ck_assert(catalog_read(&catalog, r->depot, &err) == STATUS_OK);
    ck_assert(restore_new(&r->env.env, &r->into, r->depot, &catalog, &o, on_restored, r, &job, &err) == STATUS_OK);
    for (unsigned made = 0, turns = 0; !r->done; turns++) {
        ck_assert_uint_lt(turns, 10000);
        testenv_run(&r->env);
        for (size_t i = 0; made == late_at && i < late_count; i++) serve(&r->into, &late[i]);
        if (made == late_at) late_count = 0;
        if (made == calls && r->into.call_count > 0) break;
        made += r->into.call_count > 0;
        turn(r, &r->into);
    }
    restore_free(job);
    catalog_free(&catalog);
    testenv_run(&r->env);
    for (size_t i = 0; i < late_count; i++) serve(&r->into, &late[i]); /* behind all that it has done */
}

static uint64_t mark_ms(const struct client *c)
{
    const char *digits = strstr(c->mark, " from ");
    ck_assert_ptr_nonnull(digits);
    return strtoull(digits + 6, NULL, 10) >> TS_COUNTER_BITS;
}

/* The new cluster holds what the old one does; times to live are those that were left when the mark was made. */
static void compare(struct rig *r, const char *when)
{
    struct space *want = space_of(&r->from, "bank"), *have = space_of(&r->into, "bank");
    ck_assert_ptr_nonnull(have);
    ck_assert_msg(have->row_count == want->row_count, "%s: %zu rows, not %zu", when, have->row_count, want->row_count);
    for (size_t i = 0; i < want->row_count; i++) {
        const struct held_row *a = &want->rows[i], *b = &have->rows[i];
        uint64_t left = a->ttl_ms == 0 ? 0 : (a->ts >> TS_COUNTER_BITS) + a->ttl_ms - mark_ms(&r->into);
        bool same = strcmp(a->key, b->key) == 0 && a->number == b->number && a->is_counter == b->is_counter;
        ck_assert_msg(same, "%s: %s is %lld, not %s: %lld", when, b->key, (long long)b->number, a->key,
                      (long long)a->number);
        bool lives = a->is_counter || left == b->ttl_ms;
        ck_assert_msg(lives, "%s: %s lives for %llu ms, not %llu", when, b->key, (unsigned long long)b->ttl_ms,
                      (unsigned long long)left);
    }
}

static void new_cluster(struct rig *r)
{
    memset(&r->into, 0, sizeof r->into);
    r->into.now = r->from.now + (1000ull << TS_COUNTER_BITS);
}

/* A chunk ends where it is full, and where its snapshot is gone: what it leaves is another's. Then an incremental one, over what has changed. */
START_TEST(what_a_chunk_leaves_is_anothers)
{
    struct rig *r = mem_zalloc(sizeof *r);
    for (unsigned every = 2; every < 8; every++) {
        rig_open(r);
        r->from.too_old_every = every == 2 ? 0 : every;
        for (unsigned made = 0; made < 3; made++) {
            create(r, made > 0);
            new_cluster(r);
            live(r, UINT32_MAX, NULL, 0, 0);
            ck_assert_int_eq(r->status, STATUS_OK);
            compare(r, "read back");
            put(&r->from, "bank", made == 0 ? "kc" : "ke", 1000 + made, true, 0);
            put(&r->from, "bank", made == 0 ? "new" : "kf", 2000 + made, false, 0);
        }
        rig_close(r);
    }
    mem_free(r);
}
END_TEST

static void on_stalled(void *ctx, const struct backup_report *report)
{
    struct rig *r = ctx;
    r->done = true;
    r->status = report->status;
    ck_assert_msg(strstr(report->text, "bank, played") != NULL, "%s", report->text);
}

/* The changes that end a backup come late: as long as anything of them gets on it waits, however long; then it says what it waited for. */
START_TEST(what_is_waited_for_is_named)
{
    struct rig *r = mem_zalloc(sizeof *r);
    struct backup_create_options o = {.cluster = mine, .parallel = 1};
    struct backup_progress p;
    struct catalog catalog;
    struct errbuf err;
    rig_open(r);
    r->from.left = 10;
    ck_assert(catalog_read(&catalog, r->depot, &err) == STATUS_OK);
    struct backup_create *b = backup_create_new(&r->env.env, &r->from, r->depot, &catalog, &o, on_stalled, r);
    for (unsigned s = 0; s < 300 + 70 && !r->done; s++) {
        while (r->from.call_count > 0) turn(r, &r->from);
        testenv_advance_ms(&r->env, 1000);
        testenv_pass(&r->env);
        testenv_run(&r->env);
        if (s < 300 && s % 50 == 49) r->from.left--;
        ck_assert(s >= 300 || !r->done);
    }
    backup_create_progress(b, &p);
    ck_assert_str_eq(p.doing, "waiting for the changes meanwhile");
    ck_assert(r->done && r->status == STATUS_TIMEOUT);
    backup_create_free(b);
    rig_close(r);
    mem_free(r);
}
END_TEST

/* While others are served: one page at a time, and between two as long as one takes; behind a page that has waited far longer. Else as many as there
 * are readers. */
START_TEST(others_go_first)
{
    enum { PAGE_MS = 10, ALONE = 0, BESIDE = 1, BEHIND = 2, WAITS = 3, SLOW = 4 };
    struct rig *r = mem_zalloc(sizeof *r);
    uint64_t took_ms[3];
    unsigned pages[3], slow = 0;
    for (unsigned how = ALONE; how <= BEHIND; how++) {
        struct backup_create_options o = {.cluster = mine, .parallel = 3};
        struct catalog catalog;
        struct errbuf err;
        rig_open(r);
        for (unsigned i = 0; i < 2; i++) {
            (void)space_add(&r->from, i == 0 ? "more" : "most");
            for (char key[] = "a"; key[0] < 'k'; key[0]++) put(&r->from, i == 0 ? "more" : "most", key, 1, false, 0);
        }
        r->from.others = how == ALONE ? 0 : 500;
        ck_assert(catalog_read(&catalog, r->depot, &err) == STATUS_OK);
        uint64_t began_ns = env_mono_ns(&r->env.env);
        struct backup_create *b = backup_create_new(&r->env.env, &r->from, r->depot, &catalog, &o, on_created, r);
        for (unsigned turns = 0, asked = 0; !r->done; turns++) {
            ck_assert_uint_lt(turns, 10000);
            bool pause = r->from.call_count == 0, page = !pause && r->from.calls[0].kind == CALL_SCAN;
            asked += page;
            bool waits = how == BEHIND && page && asked % SLOW == 0;
            testenv_advance_ms(&r->env, waits ? (1 + WAITS) * PAGE_MS : PAGE_MS);
            testenv_pass(&r->env);
            slow += waits;
            if (!pause) turn(r, &r->from);
            testenv_run(&r->env);
        }
        took_ms[how] = (env_mono_ns(&r->env.env) - began_ns) / NS_PER_MS;
        pages[how] = r->from.pages;
        ck_assert_uint_eq(r->from.pages_most, how == ALONE ? 3 : 1);
        backup_create_free(b);
        rig_close(r);
    }
    ck_assert_uint_eq(pages[ALONE], pages[BESIDE]);
    ck_assert_uint_eq(pages[ALONE], pages[BEHIND]);
    ck_assert_uint_ge(slow, 3);
    ck_assert_uint_ge(took_ms[BESIDE], took_ms[ALONE] + (pages[ALONE] - 2) * PAGE_MS);
    ck_assert_uint_lt(took_ms[BESIDE], took_ms[ALONE] + pages[ALONE] * 6 * PAGE_MS);
    ck_assert_uint_ge(took_ms[BEHIND], took_ms[BESIDE] + (slow - 1) * 16 * WAITS * PAGE_MS);
    mem_free(r);
}
END_TEST

/* However many chunks there are: the batches under way are those whose turn it is. */
START_TEST(rows_go_in_the_order_of_their_keys)
{
    struct rig *r = mem_zalloc(sizeof *r);
    rig_open(r);
    create(r, false);
    new_cluster(r);
    live(r, UINT32_MAX, NULL, 0, 0);
    ck_assert_int_eq(r->status, STATUS_OK);
    compare(r, "in order");
    ck_assert_uint_ge(r->into.id_count, 7);
    ck_assert_uint_eq(r->into.behind, 0);
    ck_assert_uint_eq(r->into.txns_most, 2);
    rig_close(r);
    mem_free(r);
}
END_TEST

/* Every second transaction is done and its answer lost: it is sent again. */
START_TEST(a_batch_that_is_repeated_acts_once)
{
    struct rig *r = mem_zalloc(sizeof *r);
    rig_open(r);
    create(r, false);
    for (unsigned every = 2; every < 5; every++) {
        new_cluster(r);
        r->into.lost_every = every;
        live(r, UINT32_MAX, NULL, 0, 0);
        while (r->status != STATUS_OK) { /* it was the mark */
            ck_assert_int_eq(r->status, STATUS_UNAVAILABLE);
            live(r, UINT32_MAX, NULL, 0, 0);
        }
        compare(r, "repeated");
    }
    rig_close(r);
    mem_free(r);
}
END_TEST

/* Whoever restores ends with a call under way, any of them, which is done at any moment of its next life: the keyspace of its mark, the mark
 * itself, rows. Always the next life ends well, and all rows follow from the one mark that was put. */
START_TEST(what_comes_late_from_a_life_that_ended)
{
    struct rig *r = mem_zalloc(sizeof *r);
    unsigned resumed = 0, begun_anew = 0;
    bool more = true;
    rig_open(r);
    create(r, false);
    for (unsigned calls = 0; more; calls++) {
        for (unsigned late_at = 0; late_at < 14 && more; late_at++) {
            struct call late[CALLS];
            char when[80];
            new_cluster(r);
            live(r, calls, NULL, 0, 0);
            more = !r->done;
            size_t late_count = r->into.call_count;
            bool ending = more && late_count == 1 && r->into.calls[0].method == METHOD_META_KEYSPACE_DROP;
            memcpy(late, r->into.calls, late_count * sizeof late[0]);
            r->into.call_count = 0;
            if (more) live(r, UINT32_MAX, late, late_count, late_at);
            (void)snprintf(when, sizeof when, "call %u, done at %u", calls, late_at);
            ck_assert_msg(r->status == STATUS_OK || ending, "%s: %s", when, status_name(r->status));
            compare(r, when);
            resumed += r->resumed;
            begun_anew += !r->resumed;
        }
    }
    ck_assert(resumed > 50 && begun_anew > 20);
    rig_close(r);
    mem_free(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("backup_client");
    TCase *c = tcase_create("played");
    tcase_add_test(c, what_a_chunk_leaves_is_anothers);
    tcase_add_test(c, what_is_waited_for_is_named);
    tcase_add_test(c, others_go_first);
    tcase_add_test(c, rows_go_in_the_order_of_their_keys);
    tcase_add_test(c, a_batch_that_is_repeated_acts_once);
    tcase_add_test(c, what_comes_late_from_a_life_that_ended);
    suite_add_tcase(s, c);
    return run_suite(s);
}
