#include "client/interact.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdlib.h>

#define BYTES_MAX LIMIT_TXN_BYTES
#define SEEN_MAX (2 * LIMIT_TXN_OPS) /* reads, some perhaps of the same key, until they are looked through */

struct seen { /* a key that was read */
    struct slice key;
    uint64_t version; /* 0: it was not there */
};

struct stretch { /* of keys that was scanned */
    struct slice start, end;
};

struct interact {
    struct env *env;
    struct client *client;
    struct arena arena; /* keys and values of both lists */
    struct arena call;  /* what the call under way names */
    struct slice keyspace;
    struct txn_id id;
    uint64_t ts;
    bool busy, ended;
    bool doubt;        /* a commit's outcome was unknown */
    struct seen *seen; /* in the order of the reads; sorted, and each once, for the commit */
    size_t seen_count, seen_capacity, seen_bytes;
    struct arena seen_keys;
    struct stretch *stretches; /* scanned, in the order of the scans */
    size_t stretch_count, stretch_capacity;
    struct txn_op *writes; /* sorted by key */
    size_t write_count, write_capacity;
    size_t bytes;                 /* of the writes */
    bool too_much;                /* was read for a commit that writes: nothing of it is kept */
    struct txn_compare *compares; /* the commit's, once it was asked for */
    size_t compare_count;
    /* the call under way */
    struct slice key;
    struct client_scan scan;
    union {
        interact_done end;
        interact_get_done get;
        interact_scan_done scan;
    } done;
    void *ctx;
};

struct interact *interact_new(struct env *env, struct client *c, struct slice keyspace)
{
    struct interact *t = mem_zalloc(sizeof(*t));
    t->env = env;
    t->client = c;
    arena_init(&t->arena, 4096);
    arena_init(&t->call, 1024);
    arena_init(&t->seen_keys, 1024);
    t->keyspace = arena_dup_slice(&t->arena, keyspace);
    env->ops->random(env, t->id.bytes, sizeof(t->id.bytes));
    return t;
}

void interact_free(struct interact *t)
{
    if (t == NULL) return;
    arena_free(&t->arena);
    arena_free(&t->call);
    arena_free(&t->seen_keys);
    mem_free(t->seen);
    mem_free(t->stretches);
    mem_free(t->writes);
    mem_free(t);
}

bool interact_busy(const struct interact *t)
{
    return t->busy;
}

const struct txn_id *interact_id(const struct interact *t)
{
    return &t->id;
}

uint64_t interact_timestamp(const struct interact *t)
{
    return t->ts;
}

/* --- what is kept --- */

/* Index of the first write whose key is not below `key`. */
static size_t write_place(const struct interact *t, struct slice key)
{
    size_t low = 0, high = t->write_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(t->writes[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct txn_op *own_write(const struct interact *t, struct slice key)
{
    size_t at = write_place(t, key);
    return at < t->write_count && slice_eq(t->writes[at].key, key) ? &t->writes[at] : NULL;
}

static int compare_seen(const void *a, const void *b)
{
    return slice_cmp(((const struct seen *)a)->key, ((const struct seen *)b)->key);
}

/* What was read twice was read as of the same timestamp: it is the same. */
static void sort_seen(struct interact *t)
{
    struct arena keys;
    size_t kept = 0;
    arena_init(&keys, 4096);
    t->seen_bytes = 0;
    if (t->seen_count > 1) qsort(t->seen, t->seen_count, sizeof(*t->seen), compare_seen);
    for (size_t i = 0; i < t->seen_count; i++) {
        struct seen s = t->seen[i];
        if (kept > 0 && slice_eq(t->seen[kept - 1].key, s.key)) continue;
        t->seen[kept++] = (struct seen){.key = arena_dup_slice(&keys, s.key), .version = s.version};
        t->seen_bytes += s.key.size;
    }
    t->seen_count = kept;
    arena_free(&t->seen_keys);
    t->seen_keys = keys;
}

static bool seen_is_full(const struct interact *t)
{
    return t->seen_count >= SEEN_MAX || t->stretch_count > LIMIT_TXN_OPS || t->seen_bytes > LIMIT_TXN_BYTES;
}

/* More than a commit can compare: a transaction that only reads goes on, and nothing more of it is kept. */
static void forget_if_too_much(struct interact *t)
{
    if (t->too_much || !seen_is_full(t)) return;
    sort_seen(t);
    t->too_much = t->seen_count + t->stretch_count > LIMIT_TXN_OPS || t->seen_bytes > LIMIT_TXN_BYTES;
    if (!t->too_much) return;
    COVER("client.read_too_much");
    t->seen_count = t->stretch_count = 0;
    arena_reset(&t->seen_keys);
}

static void note_seen(struct interact *t, struct slice key, uint64_t version)
{
    forget_if_too_much(t);
    if (t->too_much) return;
    if (t->seen_count == t->seen_capacity) {
        t->seen_capacity = t->seen_capacity == 0 ? 16 : t->seen_capacity * 2;
        t->seen = mem_realloc(t->seen, t->seen_capacity * sizeof(*t->seen));
    }
    t->seen[t->seen_count++] = (struct seen){.key = arena_dup_slice(&t->seen_keys, key), .version = version};
    t->seen_bytes += key.size;
}

enum status interact_write(struct interact *t, const struct txn_op *op, struct errbuf *err)
{
    ASSERT(op->kind == TXN_PUT || op->kind == TXN_DELETE);
    if (op->key.size == 0 || op->key.size > LIMIT_KEY_BYTES || op->value.size > LIMIT_VALUE_BYTES) {
        errbuf_set(err, "a key has 1 to %u bytes, a value at most %u", LIMIT_KEY_BYTES, LIMIT_VALUE_BYTES);
        return op->key.size == 0 ? STATUS_INVALID : STATUS_TOO_LARGE;
    }
    if (t->bytes + op->key.size + op->value.size > BYTES_MAX || t->write_count == LIMIT_TXN_OPS) {
        errbuf_set(err, "a transaction has at most 8 MiB and %u operations", LIMIT_TXN_OPS);
        return STATUS_TOO_LARGE;
    }
    t->bytes += op->key.size + op->value.size;
    size_t at = write_place(t, op->key);
    if (at == t->write_count || !slice_eq(t->writes[at].key, op->key)) {
        if (t->write_count == t->write_capacity) {
            t->write_capacity = t->write_capacity == 0 ? 16 : t->write_capacity * 2;
            t->writes = mem_realloc(t->writes, t->write_capacity * sizeof(*t->writes));
        }
        memmove(t->writes + at + 1, t->writes + at, (t->write_count - at) * sizeof(*t->writes));
        t->write_count++;
    }
    t->writes[at] = *op;
    t->writes[at].key = arena_dup_slice(&t->arena, op->key);
    t->writes[at].value = arena_dup_slice(&t->arena, op->value);
    return STATUS_OK;
}

bool interact_each_write(const struct interact *t, bool (*one)(void *ctx, struct slice key), void *ctx)
{
    size_t i = 0, count = t->write_count; /* a no may end t */
    while (i < count && one(ctx, t->writes[i].key)) i++;
    return i == count;
}

/* --- calls --- */

static void call_begins(struct interact *t, void *ctx)
{
    ASSERT(!t->busy && !t->ended);
    t->busy = true;
    t->ctx = ctx;
    arena_reset(&t->call);
}

/* A read that is refused because its time has passed, and a commit whose comparison failed, are the same to the caller. */
static struct client_error as_retry(const struct client_error *e)
{
    struct client_error r = *e;
    if (e->status != STATUS_TOO_OLD) return r;
    r.status = STATUS_RETRY;
    r.message = slice_str("the transaction took so long that what it reads is no longer kept: begin again");
    return r;
}

static void begun(void *ctx, const struct client_error *e, struct slice payload)
{
    struct interact *t = ctx;
    struct meta_timestamps_reply reply = {0};
    struct client_error told = *e;
    struct arena arena;
    arena_init(&arena, 256);
    if (e->status == STATUS_OK && unpack_meta_timestamps_reply(payload, &arena, &reply) != STATUS_OK) {
        told.status = STATUS_CORRUPT;
        told.message = slice_str("the metadata service's answer cannot be read");
    }
    arena_free(&arena);
    t->ts = told.status == STATUS_OK ? reply.first : 0;
    told.unknown_outcome = false; /* nothing was to happen */
    t->busy = false;
    t->done.end(t->ctx, &told, t->ts);
}

void interact_begin(struct interact *t, uint32_t timeout_ms, interact_done done, void *ctx)
{
    struct buf params;
    ASSERT(t->ts == 0);
    call_begins(t, ctx);
    t->done.end = done;
    buf_init(&params, 64);
    pack_meta_timestamps_request(&params, &(struct meta_timestamps_request){.count = 1});
    client_meta(t->client, METHOD_META_TIMESTAMPS, buf_slice(&params), timeout_ms, begun, t);
    buf_free(&params);
}

void interact_begin_at(struct interact *t, uint64_t ts)
{
    ASSERT(t->ts == 0 && ts != 0 && !t->busy);
    t->ts = ts;
}

static struct read_how how_of(const struct interact *t)
{
    ASSERT(t->ts != 0);
    return (struct read_how){.mode = READ_SNAPSHOT, .ts = t->ts};
}

static void got(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct interact *t = ctx;
    struct client_error told = as_retry(e);
    struct interact_row row = {.key = t->key, .value = SLICE_EMPTY};
    const struct txn_op *own = own_write(t, t->key);
    t->busy = false;
    if (e->status == STATUS_OK) {
        note_seen(t, t->key, reply->found ? reply->version : 0);
        row.found = reply->found;
        row.value = reply->found ? reply->value : SLICE_EMPTY;
        row.version = reply->found ? reply->version : 0;
        if (own != NULL) row = (struct interact_row){.key = t->key, .value = own->value, .found = own->kind == TXN_PUT};
    }
    t->done.get(t->ctx, &told, &row);
}

void interact_get(struct interact *t, struct slice key, uint32_t timeout_ms, interact_get_done done, void *ctx)
{
    struct read_how how = how_of(t);
    call_begins(t, ctx);
    t->done.get = done;
    t->key = arena_dup_slice(&t->call, key);
    client_get_how(t->client, t->keyspace, key, &how, timeout_ms, got, t);
}

/* --- scans: the rows as they were, with what this transaction has written laid over them --- */

static bool inside(const struct client_scan *s, struct slice key)
{
    return slice_cmp(key, s->start) >= 0 && (s->end.size == 0 || slice_cmp(key, s->end) < 0);
}

/* The writes that fall into what the page covers: [*from, *to). A page that is not the last ends with its last row. */
static void covered(const struct interact *t, const struct scan_reply *reply, size_t *from, size_t *to)
{
    const struct client_scan *s = &t->scan;
    *from = write_place(t, s->start);
    *to = s->end.size == 0 ? t->write_count : write_place(t, s->end);
    if (!reply->more || reply->row_count == 0) return;
    struct slice last = reply->rows[reply->row_count - 1].key;
    size_t at = write_place(t, last);
    bool same = at < t->write_count && slice_eq(t->writes[at].key, last);
    if (s->reverse)
        *from = at;
    else
        *to = same ? at + 1 : at;
    if (*to < *from) *to = *from;
}

static size_t lay_over(const struct interact *t, const struct scan_reply *reply, struct interact_row *out)
{
    size_t from, to, n = 0, i = 0;
    bool reverse = t->scan.reverse;
    covered(t, reply, &from, &to);
    while (i < reply->row_count || from < to) {
        const struct txn_op *own = from < to ? &t->writes[reverse ? to - 1 : from] : NULL;
        const struct scan_row *row = i < reply->row_count ? &reply->rows[i] : NULL;
        int order = own == NULL ? 1 : row == NULL ? -1 : slice_cmp(own->key, row->key);
        if (own != NULL && row != NULL && reverse) order = -order;
        if (order <= 0) {
            struct slice value = t->scan.keys_only ? SLICE_EMPTY : own->value;
            if (own->kind == TXN_PUT) out[n++] = (struct interact_row){.key = own->key, .value = value, .found = true};
            if (reverse)
                to--;
            else
                from++;
        } else {
            out[n++] =
                (struct interact_row){.key = row->key, .value = row->value, .version = row->version, .found = true};
        }
        if (order >= 0) i++;
    }
    return n;
}

/* What the page has looked at. One that is not the last ends with its last row. Pages that follow each other are one stretch. */
static void note_stretch(struct interact *t, const struct scan_reply *reply)
{
    struct stretch s = {.start = t->scan.start, .end = t->scan.end};
    forget_if_too_much(t);
    if (t->too_much || (reply->more && reply->row_count == 0)) return;
    if (reply->more) {
        struct slice last = reply->rows[reply->row_count - 1].key;
        uint8_t *next = arena_zalloc(&t->call, last.size + 1); /* the lowest key above it */
        memcpy(next, last.data, last.size);
        if (t->scan.reverse)
            s.start = slice_make(next, last.size);
        else
            s.end = slice_make(next, last.size + 1);
    }
    if (s.start.size == 0) s.start = slice_make("", 1); /* the lowest key */
    if (t->stretch_count > 0) {
        struct stretch *before = &t->stretches[t->stretch_count - 1];
        bool follows = before->end.size > 0 && slice_eq(before->end, s.start);
        if (follows) before->end = arena_dup_slice(&t->arena, s.end);
        if (follows) return;
    }
    s.start = arena_dup_slice(&t->arena, s.start);
    s.end = arena_dup_slice(&t->arena, s.end);
    if (t->stretch_count == t->stretch_capacity) {
        t->stretch_capacity = t->stretch_capacity == 0 ? 4 : t->stretch_capacity * 2;
        t->stretches = mem_realloc(t->stretches, t->stretch_capacity * sizeof(*t->stretches));
    }
    t->stretches[t->stretch_count++] = s;
}

static void scanned(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct interact *t = ctx;
    struct client_error told = as_retry(e);
    t->busy = false;
    if (e->status != STATUS_OK) {
        t->done.scan(t->ctx, &told, NULL, 0, false);
        return;
    }
    for (size_t i = 0; i < reply->row_count; i++) {
        ASSERT(inside(&t->scan, reply->rows[i].key));
        note_seen(t, reply->rows[i].key, reply->rows[i].version);
    }
    note_stretch(t, reply);
    struct interact_row *rows = mem_alloc((reply->row_count + t->write_count + 1) * sizeof(*rows));
    size_t count = lay_over(t, reply, rows);
    t->done.scan(t->ctx, &told, rows, count, reply->more);
    mem_free(rows);
}

void interact_scan(struct interact *t, const struct client_scan *s, uint32_t timeout_ms, interact_scan_done done,
                   void *ctx)
{
    call_begins(t, ctx);
    t->done.scan = done;
    t->scan = *s;
    t->scan.start = arena_dup_slice(&t->call, s->start);
    t->scan.end = arena_dup_slice(&t->call, s->end);
    t->scan.how = how_of(t);
    client_scan(t->client, t->keyspace, &t->scan, timeout_ms, scanned, t);
}

/* --- commit --- */

static void committed(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct interact *t = ctx;
    struct client_error told = *e;
    t->busy = false;
    t->doubt = t->doubt || e->unknown_outcome;
    if (e->status != STATUS_OK) told.unknown_outcome = t->doubt; /* a refusal says nothing about the one before */
    if (e->status == STATUS_OK && result->status != STATUS_OK) {
        bool changed = result->status == STATUS_CONDITION_FAILED || result->status == STATUS_RETRY;
        told.status = changed ? STATUS_RETRY : result->status;
        told.message = changed ? slice_str("something that the transaction read has changed: begin again")
                               : slice_str(status_text(result->status));
    }
    t->done.end(t->ctx, &told, told.status == STATUS_OK ? result->ts : 0);
}

static void end_at_once(struct interact *t, enum status s, const char *message, interact_done done, void *ctx)
{
    struct client_error e = {.status = s, .message = slice_str(message)};
    done(ctx, &e, s == STATUS_OK ? t->ts : 0);
}

/* The versions of all rows that were read, and that none has come where it scanned. */
static void compare_all(struct interact *t)
{
    size_t n = 0;
    sort_seen(t);
    t->compares = arena_zalloc(&t->arena, (t->seen_count + t->stretch_count + 1) * sizeof(*t->compares));
    for (size_t i = 0; i < t->seen_count; i++) {
        t->compares[n++] = (struct txn_compare){.target = TXN_TARGET_VERSION,
                                                .relation = TXN_EQUAL,
                                                .key = t->seen[i].key,
                                                .version = t->seen[i].version,
                                                .value = SLICE_EMPTY};
    }
    for (size_t i = 0; i < t->stretch_count; i++) {
        t->compares[n++] = (struct txn_compare){.target = TXN_TARGET_SPAN,
                                                .relation = TXN_EQUAL,
                                                .key = t->stretches[i].start,
                                                .version = t->ts,
                                                .value = t->stretches[i].end};
    }
    t->compare_count = n;
}

void interact_commit(struct interact *t, uint32_t timeout_ms, interact_done done, void *ctx)
{
    ASSERT(!t->busy);
    t->ended = true;
    if (t->write_count > 0 && t->compares == NULL) compare_all(t);
    if (t->write_count == 0) {
        end_at_once(t, STATUS_OK, "", done, ctx);
    } else if (t->too_much || t->seen_count + t->stretch_count + t->write_count > LIMIT_TXN_OPS) {
        end_at_once(t, STATUS_TOO_LARGE, "it has read and written more than 8192 keys", done, ctx);
    } else {
        struct txn whole = {.id = t->id,
                            .compares = t->compares,
                            .compare_count = t->compare_count,
                            .ops = t->writes,
                            .op_count = t->write_count};
        t->busy = true;
        t->ctx = ctx;
        t->done.end = done;
        client_txn(t->client, t->keyspace, &whole, timeout_ms, committed, t);
    }
}
