#include "backup/restore.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "meta/machine.h"

#include <stdarg.h>
#include <stdio.h>

#define PARALLEL 8u
#define BATCH_BYTES (512u << 10)
#define BATCH_ROWS 2000u
#define CALL_MS 60000u
#define TRIES_MAX 10u
#define PAUSE_NS (500 * NS_PER_MS)
#define SPLIT_BYTES (128ull << 20)
#define AUTH_NAME "auth"
#define ETCD_NAME "etcd"
#define RESUME_MS (23u * 3600000u) /* ids of batches live longer */
#define MARK_KEY "restoring"

enum restore_state {
    RESTORE_PLANNING,
    RESTORE_LOOKING,
    RESTORE_MARKING,
    RESTORE_CREATING,
    RESTORE_WRITING,
    RESTORE_READING_BACK,
    RESTORE_UNMARKING,
    RESTORE_DONE
};

struct stream { /* the rows of a chunk */
    struct list link;
    struct walk_chunk *chunk;
    const struct backup_keyspace *keyspace;
    struct backup_digest *digest; /* of the keyspace */
    struct backup_row held;       /* read ahead: of the next batch */
    bool has_held, ended;
    unsigned under_way; /* batches */
};
struct batch {
    struct restore *job;
    struct stream *stream; /* NULL: none is under way */
    struct txn txn;
    struct arena arena; /* of the batch: rows that are not written as they were */
    uint64_t bytes;
    bool sending;
    unsigned tries;
    uint64_t again_ns;
};

struct restore {
    struct actor actor;
    struct env *env;
    struct client *client;
    struct restore_options options;
    struct walk *walk;
    enum restore_state state;
    bool asking;     /* one question at a time, but for batches */
    size_t next;     /* LOOKING, CREATING: which keyspace */
    uint64_t newest; /* timestamp that the backup's directory knows of */
    uint64_t base;   /* rows with a time to live have what is left of it then */
    struct arena arena;
    struct meta_map_reply map; /* of the new cluster */
    char mark[200];
    struct list streams; /* in the order of keys */
    struct batch *batches;
    unsigned under_way; /* of them */
    bool walked;
    uint64_t rate_ns;
    struct inspect *inspect;
    struct backup_digest *digests; /* of keyspaces, as written */
    struct restore_report report;
    char text[500];
    restore_done done;
    void *ctx;
};

static void restore_fail(struct restore *r, enum status s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void restore_fail(struct restore *r, enum status s, const char *fmt, ...)
{
    if (r->report.status != STATUS_OK) return;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(r->text, sizeof r->text, fmt, args);
    va_end(args);
    r->report.status = s;
    r->report.text = r->text;
    r->env->ops->wake(r->env);
}

/* s OK: the answer could not be read. */
static void restore_failed(struct restore *r, const char *what, enum status s, const struct client_error *e)
{
    restore_fail(r, s != STATUS_OK ? s : STATUS_CORRUPT, "%s: %.*s", what,
                 (int)(e->message.size < 380 ? e->message.size : 380), (const char *)e->message.data);
}

static void go_on(struct restore *r, enum restore_state state)
{
    r->state = state;
    r->next = 0;
    r->env->ops->wake(r->env);
}

/* --- is it a new, empty cluster? --- */

static void on_map(void *ctx, const struct client_error *e, struct slice payload)
{
    struct restore *r = ctx;
    r->asking = false;
    if (e->status != STATUS_OK)
        restore_failed(r, "the cluster's keyspaces", e->status, e);
    else if (unpack_meta_map_reply(arena_dup_slice(&r->arena, payload), &r->arena, &r->map) != STATUS_OK)
        restore_fail(r, STATUS_CORRUPT, "the cluster's keyspaces cannot be read");
    else
        go_on(r, RESTORE_LOOKING);
}

static void on_stamp(void *ctx, const struct client_error *e, struct slice payload)
{
    struct restore *r = ctx;
    struct meta_timestamps_reply reply = {.first = 0};
    if (e->status != STATUS_OK || unpack_meta_timestamps_reply(payload, &r->arena, &reply) != STATUS_OK) {
        restore_failed(r, "a timestamp of the cluster", e->status, e);
        return;
    }
    if (reply.first <= r->newest) {
        restore_fail(
            r, STATUS_INVALID,
            "the new cluster's timestamps (%llu) are not above those that the backup knows (%llu): its clock is "
            "behind; set it, and run this again",
            (unsigned long long)reply.first, (unsigned long long)r->newest);
        return;
    }
    r->base = reply.first;
    struct buf params;
    buf_init(&params, 256);
    pack_meta_map_request(&params, &(struct meta_map_request){.keyspace = SLICE_EMPTY, .key = SLICE_EMPTY});
    client_meta(r->client, METHOD_META_MAP, buf_slice(&params), CALL_MS, on_map, r);
    buf_free(&params);
}

static void ask_stamp(struct restore *r)
{
    struct buf params;
    r->asking = true;
    buf_init(&params, 64);
    pack_meta_timestamps_request(&params, &(struct meta_timestamps_request){.count = 1});
    client_meta(r->client, METHOD_META_TIMESTAMPS, buf_slice(&params), CALL_MS, on_stamp, r);
    buf_free(&params);
}

static const struct keyspace_info *found(const struct restore *r, struct slice name)
{
    for (size_t i = 0; i < r->map.keyspace_count; i++)
        if (slice_eq(r->map.keyspaces[i].name, name) && r->map.keyspaces[i].dropped_ts == 0)
            return &r->map.keyspaces[i];
    return NULL;
}

static void on_mark_read(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct restore *r = ctx;
    size_t size = strlen(r->mark);
    unsigned long long base = 0;
    r->asking = false;
    if (e->status != STATUS_OK) {
        restore_failed(r, "the mark of a restore", e->status, e);
    } else if (!reply->found) {
        r->next = 1; /* it was broken off before it was marked */
        r->env->ops->wake(r->env);
    } else if (reply->value.size > size && memcmp(reply->value.data, r->mark, size) == 0) {
        char text[40] = "";
        size_t left = reply->value.size - size < sizeof text - 1 ? reply->value.size - size : sizeof text - 1;
        memcpy(text, reply->value.data + size, left);
        for (const char *p = text; *p >= '0' && *p <= '9'; p++) base = base * 10 + (unsigned long long)(*p - '0');
        uint64_t begun_ms = base >> TS_COUNTER_BITS, now_ms = r->base >> TS_COUNTER_BITS;
        if (now_ms > begun_ms + RESUME_MS) {
            restore_fail(
                r, STATUS_TOO_OLD,
                "this restore was begun more than %u h ago: what of it was written is not known any more; begin "
                "with a new cluster",
                RESUME_MS / 3600000u);
            return;
        }
        r->base = base;
        r->report.resumed = true;
        go_on(r, RESTORE_CREATING);
    } else {
        restore_fail(r, STATUS_EXISTS,
                     "another restore has been begun here (%.*s): finish that one, or begin with a new cluster",
                     (int)(reply->value.size < 200 ? reply->value.size : 200), (const char *)reply->value.data);
    }
}

static void on_looked(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct restore *r = ctx;
    struct slice name = r->map.keyspaces[r->next - 1].name;
    r->asking = false;
    if (e->status != STATUS_OK) {
        restore_failed(r, "looking whether the cluster is empty", e->status, e);
    } else if (reply->row_count > 0) {
        restore_fail(
            r, STATUS_EXISTS,
            "the cluster is not empty: keyspace %.*s has rows; restore into a new one. If a restore was broken off "
            "here at its very end, it is done: compare `quorate backup digest` with `quorate backup verify`",
            (int)name.size, (const char *)name.data);
    } else {
        r->next++;
        r->env->ops->wake(r->env);
    }
}

static bool counts(const struct keyspace_info *k)
{
    return k->dropped_ts == 0 && !slice_eq(k->name, slice_str(RESTORE_KEYSPACE));
}

/* next 0: the mark; then the keyspaces, but for the mark's: one that comes late, from a life that ended, is met when the cluster is marked. */
static void look(struct restore *r)
{
    if (r->next == 0 && found(r, slice_str(RESTORE_KEYSPACE)) == NULL) r->next = 1;
    while (r->next > 0 && r->next <= r->map.keyspace_count && !counts(&r->map.keyspaces[r->next - 1])) r->next++;
    if (r->next > r->map.keyspace_count) {
        go_on(r, RESTORE_MARKING);
        return;
    }
    r->asking = true;
    if (r->next == 0)
        client_get(r->client, slice_str(RESTORE_KEYSPACE), slice_str(MARK_KEY), CALL_MS, on_mark_read, r);
    else
        client_scan(r->client, r->map.keyspaces[r->next - 1].name, &(struct client_scan){.limit_rows = 1}, CALL_MS,
                    on_looked, r);
}

/* --- the mark, the keyspaces --- */

static void on_marked(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct restore *r = ctx;
    r->asking = false;
    if (e->status == STATUS_OK && result->status == STATUS_EXISTS)
        ask_stamp(r); /* another one came first: begin again, and read it */
    else if (e->status != STATUS_OK || result->status != STATUS_OK)
        restore_failed(r, "the mark", e->status != STATUS_OK ? e->status : result->status, e);
    else
        go_on(r, RESTORE_CREATING);
}

/* Never over another: rows with a time to live that were written follow from the first one's time. */
static void put_mark(struct restore *r)
{
    char value[240];
    (void)snprintf(value, sizeof value, "%s%llu", r->mark, (unsigned long long)r->base);
    enum txn_op_kind kind = MUTANT(mark_over_a_late_one) ? TXN_PUT : TXN_INSERT;
    struct txn_op op = {.kind = kind, .key = slice_str(MARK_KEY), .value = slice_str(value), .has_ttl = true};
    struct txn t = {.ops = &op, .op_count = 1};
    client_txn(r->client, slice_str(RESTORE_KEYSPACE), &t, CALL_MS, on_marked, r);
}

static void on_created(void *ctx, const struct client_error *e, struct slice payload)
{
    struct restore *r = ctx;
    (void)payload;
    if (e->status != STATUS_OK && e->status != STATUS_EXISTS) {
        restore_failed(r, "creating a keyspace", e->status, e);
    } else if (r->state == RESTORE_MARKING) {
        put_mark(r);
        return;
    }
    r->asking = false;
    r->next++;
    r->env->ops->wake(r->env);
}

/* Where its chunks begin, so far apart that the ranges will not split at once. */
static size_t choose_splits(struct restore *r, const struct backup_keyspace *k, struct slice *splits)
{
    size_t count, n = 0;
    uint64_t bytes = 0;
    const struct backup_chunk *c = walk_chunks(r->walk, &count);
    for (size_t i = 0; i < count && n < LIMIT_SPLIT_KEYS; i++) {
        if (c[i].keyspace != k->id) continue;
        if (bytes >= SPLIT_BYTES && c[i].start.size > 0 && c[i].start.size <= LIMIT_KEY_BYTES) {
            splits[n++] = c[i].start;
            bytes = 0;
        }
        bytes += c[i].file_bytes;
    }
    return n;
}

uint64_t restore_ttl(const struct backup_keyspace *k)
{
    return keyspace_ttl_fault(k->name, k->ttl_ms) == NULL ? k->ttl_ms : 0;
}

static void create(struct restore *r, const struct backup_keyspace *k)
{
    struct slice *splits = mem_alloc(LIMIT_SPLIT_KEYS * sizeof *splits);
    struct meta_keyspace_request m = {.name = k->name,
                                      .replication = k->replication,
                                      .buckets = k->buckets,
                                      .ttl_ms = restore_ttl(k),
                                      .splits = splits};
    struct buf params;
    if (k->buckets == 0) m.split_count = choose_splits(r, k, splits);
    buf_init(&params, LIMIT_FRAME_BYTES);
    pack_meta_keyspace_request(&params, &m);
    r->asking = true;
    client_meta(r->client, METHOD_META_KEYSPACE_CREATE, buf_slice(&params), CALL_MS, on_created, r);
    buf_free(&params);
    mem_free(splits);
}

/* Of one that a new cluster has by itself. */
static void alter(struct restore *r, const struct backup_keyspace *k)
{
    struct buf params;
    r->asking = true;
    buf_init(&params, 4096);
    pack_meta_keyspace_alter_request(
        &params, &(struct meta_keyspace_alter_request){
                     .name = k->name, .replication = k->replication, .has_ttl = true, .ttl_ms = restore_ttl(k)});
    client_meta(r->client, METHOD_META_KEYSPACE_ALTER, buf_slice(&params), CALL_MS, on_created, r);
    buf_free(&params);
}

static void create_next(struct restore *r)
{
    size_t count;
    const struct backup_keyspace *k = walk_keyspaces(r->walk, &count);
    if (r->next == count) {
        go_on(r, RESTORE_WRITING);
        return;
    }
    const struct keyspace_info *there = found(r, k[r->next].name);
    if (there == NULL) {
        create(r, &k[r->next]);
    } else if (there->buckets != k[r->next].buckets) {
        restore_fail(r, STATUS_EXISTS, "keyspace %.*s is there already, and partitioned otherwise than the backup's",
                     (int)there->name.size, (const char *)there->name.data);
    } else if (there->ttl_ms != restore_ttl(&k[r->next]) || there->replication != k[r->next].replication) {
        alter(r, &k[r->next]);
    } else {
        r->next++;
        r->env->ops->wake(r->env);
    }
}

/* --- rows --- */

/* A revised row may say that it came to be with its version, which here becomes another, and the same for a whole batch: the order in
 * which keys came to be is that of locks and elections. */
struct backup_row restore_row(struct arena *arena, struct slice keyspace, struct backup_row row)
{
    bool revised = slice_eq(keyspace, slice_str(ETCD_NAME)) && row.kind == BACKUP_RAW;
    if (!revised || row.value.size < REVISED_HEAD_BYTES || le_u64(row.value.data) != 0) return row;
    struct revised kept = revised_read(row.value, row.ts);
    row.value = revised_make(arena, &kept);
    return row;
}

static void batch_add(struct batch *b, const struct backup_row *as_was)
{
    struct restore *r = b->job;
    const struct backup_keyspace *k = b->stream->keyspace;
    struct backup_row made = restore_row(&b->arena, k->name, *as_was);
    const struct backup_row *row = &made;
    struct slice key = row->key;
    struct txn_op *op = &b->txn.ops[b->txn.op_count];
    if (k->buckets > 0) key = slice_make(key.data + 1, key.size - 1);
    *op = (struct txn_op){.kind = TXN_PUT, .key = key, .value = row->value, .has_ttl = true};
    if (row->ttl_ms != 0) {
        uint64_t end_ms = (row->ts >> TS_COUNTER_BITS) + row->ttl_ms, base_ms = r->base >> TS_COUNTER_BITS;
        if (end_ms <= base_ms) {
            r->report.ended++;
            return;
        }
        op->ttl_ms = end_ms - base_ms;
    }
    if (row->kind == BACKUP_COUNTER) {
        *op = (struct txn_op){.kind = TXN_ADD, .key = key, .min = I128_MIN, .max = I128_MAX};
        if (!i128_parse(row->value, &op->delta)) restore_fail(r, STATUS_CORRUPT, "a counter that is no number");
    }
    b->txn.op_count++;
    b->bytes += key.size + row->value.size;
    backup_digest_row(b->stream->digest, row);
}

/* From the backup alone: the same rows always make the same batch. */
static void batch_fill(struct batch *b)
{
    struct stream *s = b->stream;
    struct backup_row row;
    b->txn = (struct txn){.ops = b->txn.ops};
    b->bytes = 0;
    arena_reset(&b->arena);
    for (;;) {
        if (s->has_held)
            row = s->held;
        else if (!merged_next(&s->chunk->rows, &row))
            break;
        s->has_held = false;
        size_t size = row.key.size + row.value.size;
        if (b->txn.op_count > 0 && (b->bytes + size > b->job->options.batch_bytes || b->txn.op_count == BATCH_ROWS)) {
            s->held = row;
            s->has_held = true;
            return;
        }
        batch_add(b, &row);
    }
    s->ended = true;
}

static void batch_name(struct batch *b)
{
    const struct restore *r = b->job;
    struct slice key = b->txn.ops[0].key;
    uint64_t parts[2];
    for (unsigned i = 0; i < 2; i++)
        parts[i] =
            hash_u64(hash_bytes(key, 51 + i) ^ hash_bytes(slice_str(r->mark), 53 + i) * 3 ^ b->stream->keyspace->id);
    parts[0] |= 1;
    if (!MUTANT(restore_without_ids)) memcpy(b->txn.id.bytes, parts, sizeof parts);
}

static void stream_end(struct stream *s)
{
    list_remove(&s->link);
    walk_chunk_done(s->chunk);
    mem_free(s);
}

static void batch_end(struct batch *b)
{
    struct stream *s = b->stream;
    b->stream = NULL;
    b->job->under_way--;
    if (--s->under_way == 0 && s->ended) stream_end(s);
}

static void on_batch(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct batch *b = ctx;
    struct restore *r = b->job;
    b->sending = false;
    enum status s = e->status == STATUS_OK ? result->status : e->status;
    if (s == STATUS_OK) {
        r->report.rows += b->txn.op_count;
        r->report.bytes += b->bytes;
        batch_end(b);
    } else if (e->status == STATUS_OK || ++b->tries == TRIES_MAX) {
        restore_fail(r, s, "rows were not taken: %.*s", e->status == STATUS_OK ? 0 : (int)e->message.size,
                     (const char *)e->message.data);
        batch_end(b);
    } else {
        b->again_ns = env_mono_ns(r->env) + PAUSE_NS; /* the same batch, with the same id */
    }
    r->env->ops->wake(r->env);
}

static void batch_send(struct batch *b)
{
    b->sending = true;
    client_txn(b->job->client, b->stream->keyspace->name, &b->txn, CALL_MS, on_batch, b);
}

/* The next rows in the order of keys, whatever chunk they are of: so each table of the store holds a stretch of keys that no other one has, and none has
 * to be merged with another. */
static void batch_begin(struct batch *b, uint64_t now_ns)
{
    struct restore *r = b->job;
    struct list *it = r->streams.next;
    while (it != &r->streams && LIST_ENTRY(it, struct stream, link)->ended) it = it->next;
    if (it == &r->streams) return;
    b->stream = LIST_ENTRY(it, struct stream, link);
    b->stream->under_way++;
    r->under_way++;
    b->tries = 0;
    b->again_ns = 0;
    batch_fill(b);
    if (b->txn.op_count == 0) {
        batch_end(b);
        r->env->ops->wake(r->env);
        return;
    }
    if (r->options.rate != 0)
        r->rate_ns = (r->rate_ns < now_ns ? now_ns : r->rate_ns) + b->bytes * 1000 / r->options.rate * NS_PER_MS;
    batch_name(b);
    batch_send(b);
}

static void batch_step(struct batch *b, uint64_t now_ns)
{
    const struct restore *r = b->job;
    bool failed = r->report.status != STATUS_OK;
    if (b->stream == NULL && !failed && now_ns >= r->rate_ns) batch_begin(b, now_ns);
    if (b->stream == NULL || b->sending) return;
    if (failed)
        batch_end(b);
    else if (now_ns >= b->again_ns)
        batch_send(b);
}

/* Files are read at the same time: they may come in another order than their keys'. */
static void on_chunk(void *ctx, struct walk_chunk *c)
{
    struct restore *r = ctx;
    struct stream *s = mem_zalloc(sizeof *s);
    size_t count;
    const struct backup_keyspace *k = walk_keyspaces(r->walk, &count);
    s->chunk = c;
    for (size_t i = 0; i < count; i++) {
        if (k[i].id != c->rows.chunk->keyspace) continue;
        s->keyspace = &k[i];
        s->digest = &r->digests[i];
    }
    struct list *before = &r->streams;
    while (before->prev != &r->streams && LIST_ENTRY(before->prev, struct stream, link)->chunk->index > c->index)
        before = before->prev;
    list_push_back(before, &s->link);
    r->env->ops->wake(r->env);
}

static void on_plan(void *ctx)
{
    struct restore *r = ctx;
    size_t count;
    (void)walk_keyspaces(r->walk, &count);
    r->digests = mem_zalloc((count + 1) * sizeof *r->digests);
    ask_stamp(r);
}

static void on_walk_end(void *ctx, enum status s, const char *text)
{
    struct restore *r = ctx;
    r->walked = true;
    if (s != STATUS_OK) restore_fail(r, s, "%s", text);
    r->env->ops->wake(r->env);
}

/* --- reading back --- */

static void on_inspected(void *ctx, const struct inspect_report *p)
{
    struct restore *r = ctx;
    size_t count;
    const struct backup_keyspace *k = walk_keyspaces(r->walk, &count);
    if (p->status != STATUS_OK) {
        restore_fail(r, p->status, "reading back: %s", p->text);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct inspected *there = NULL;
        for (size_t j = 0; j < p->keyspace_count; j++)
            if (slice_eq(p->keyspaces[j].name, k[i].name)) there = &p->keyspaces[j];
        if (there != NULL && backup_digest_eq(&there->digest, &r->digests[i])) continue;
        restore_fail(r, STATUS_CORRUPT, "keyspace %.*s reads otherwise than it was written: do not use this cluster",
                     (int)k[i].name.size, (const char *)k[i].name.data);
        return;
    }
    r->report.compared = true;
    go_on(r, RESTORE_UNMARKING);
}

static void on_unmarked(void *ctx, const struct client_error *e, struct slice payload)
{
    struct restore *r = ctx;
    (void)payload;
    r->asking = false;
    if (e->status != STATUS_OK)
        restore_failed(r, "taking away the mark", e->status, e);
    else
        go_on(r, RESTORE_DONE);
}

static void unmark(struct restore *r)
{
    struct buf params;
    r->asking = true;
    buf_init(&params, 256);
    pack_meta_keyspace_drop_request(&params, &(struct meta_keyspace_drop_request){.name = slice_str(RESTORE_KEYSPACE)});
    client_meta(r->client, METHOD_META_KEYSPACE_DROP, buf_slice(&params), CALL_MS, on_unmarked, r);
    buf_free(&params);
}

/* --- the pass --- */

static void batches_step(struct restore *r, uint64_t now_ns)
{
    for (unsigned i = 0; i < r->options.parallel; i++) batch_step(&r->batches[i], now_ns);
}

static void step_writing(struct restore *r, uint64_t now_ns)
{
    batches_step(r, now_ns);
    if (!r->walked || !list_empty(&r->streams) || r->report.status != STATUS_OK) return;
    go_on(r, r->options.skip_readback ? RESTORE_UNMARKING : RESTORE_READING_BACK);
}

static void restore_step(struct restore *r, uint64_t now_ns)
{
    if (r->asking) return;
    switch (r->state) {
    case RESTORE_PLANNING: return;
    case RESTORE_LOOKING: look(r); return;
    case RESTORE_MARKING:
        create(r, &(struct backup_keyspace){.id = UINT32_MAX, .name = slice_str(RESTORE_KEYSPACE)});
        return;
    case RESTORE_CREATING: create_next(r); return;
    case RESTORE_WRITING: step_writing(r, now_ns); return;
    case RESTORE_READING_BACK:
        if (r->inspect == NULL) r->inspect = inspect_new(r->env, r->client, 0, 0, on_inspected, r);
        return;
    case RESTORE_UNMARKING: unmark(r); return;
    case RESTORE_DONE: return;
    }
}

static uint64_t restore_pass(struct actor *actor, uint64_t now_ns)
{
    struct restore *r = LIST_ENTRY(actor, struct restore, actor);
    if (r->env->dead || r->done == NULL) return DEADLINE_NONE;
    if (r->report.status == STATUS_OK) restore_step(r, now_ns);
    if (r->report.status != STATUS_OK) batches_step(r, now_ns);
    if (r->state == RESTORE_DONE || (r->report.status != STATUS_OK && r->under_way == 0)) {
        restore_done done = r->done;
        r->done = NULL;
        done(r->ctx, &r->report);
        return DEADLINE_NONE;
    }
    return r->state == RESTORE_WRITING ? now_ns + (r->rate_ns > now_ns ? 5 * NS_PER_MS : PAUSE_NS) : DEADLINE_NONE;
}

/* --- its life --- */

static void batches_init(struct restore *r)
{
    r->batches = mem_zalloc(r->options.parallel * sizeof *r->batches);
    for (unsigned i = 0; i < r->options.parallel; i++) {
        struct batch *b = &r->batches[i];
        b->job = r;
        b->txn.ops = mem_alloc(BATCH_ROWS * sizeof *b->txn.ops);
        arena_init(&b->arena, 1024);
    }
}

static void batches_free(struct restore *r)
{
    for (unsigned i = 0; i < r->options.parallel; i++) {
        struct batch *b = &r->batches[i];
        client_forget(r->client, b);
        mem_free(b->txn.ops);
        arena_free(&b->arena);
    }
    mem_free(r->batches);
    LIST_FOR(it, &r->streams) stream_end(LIST_ENTRY(it, struct stream, link));
}

enum status restore_new(struct env *env, struct client *client, struct depot *depot, const struct catalog *catalog,
                        const struct restore_options *o, restore_done done, void *ctx, struct restore **out,
                        struct errbuf *err)
{
    static const struct walk_events events = {.on_plan = on_plan, .on_chunk = on_chunk, .on_end = on_walk_end};
    uint32_t parallel = o->parallel != 0 ? o->parallel : PARALLEL;
    struct walk_options walk = {.at = o->at, .ahead = parallel};
    walk.first = slice_str(AUTH_NAME); /* while it is not there, whoever comes may do all */
    struct restore *r = mem_zalloc(sizeof *r);
    r->env = env;
    r->client = client;
    r->options = *o;
    r->options.parallel = parallel;
    if (r->options.batch_bytes == 0) r->options.batch_bytes = BATCH_BYTES;
    r->done = done;
    r->ctx = ctx;
    arena_init(&r->arena, 4096);
    list_init(&r->streams);
    enum status s = walk_new(env, depot, catalog, &walk, &events, r, &r->walk, err);
    if (s != STATUS_OK) {
        arena_free(&r->arena);
        mem_free(r);
        return s;
    }
    const struct backup_manifest *m = walk_backup(r->walk);
    for (size_t i = 0; i < catalog->change_count; i++)
        if (catalog->changes[i].to > r->newest) r->newest = catalog->changes[i].to;
    if (m->at > r->newest) r->newest = m->at;
    r->report.at = walk_at(r->walk);
    r->report.backup_at = m->at;
    (void)snprintf(r->mark, sizeof r->mark, "backup of %016llx%016llx as of %llu, with times to live from ",
                   (unsigned long long)be_u64(m->cluster.bytes), (unsigned long long)be_u64(m->cluster.bytes + 8),
                   (unsigned long long)r->report.at);
    batches_init(r);
    r->actor = (struct actor){.pass = restore_pass};
    env->ops->attach(env, &r->actor);
    *out = r;
    return STATUS_OK;
}

const char *restore_progress(const struct restore *r, uint64_t *done, uint64_t *total)
{
    static const char *const doing[] = {"reading the changes",
                                        "looking at the cluster",
                                        "marking it",
                                        "creating keyspaces",
                                        "writing",
                                        "reading back",
                                        "ending",
                                        "done"};
    if (r->inspect != NULL)
        inspect_progress(r->inspect, done, total);
    else
        walk_progress(r->walk, done, total);
    return doing[r->state];
}

void restore_free(struct restore *r)
{
    if (r == NULL) return;
    r->env->ops->detach(r->env, &r->actor);
    client_forget(r->client, r);
    batches_free(r);
    inspect_free(r->inspect);
    walk_free(r->walk);
    mem_free(r->digests);
    arena_free(&r->arena);
    mem_free(r);
}
