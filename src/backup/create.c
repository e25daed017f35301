#include "backup/create.h"

#include "backup/log.h"
#include "backup/spans.h"
#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/mutant.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PARALLEL 4u
#define CHUNK_BYTES (16u << 20)
#define CHUNK_NS (20000 * NS_PER_MS) /* versions last 60 s: a chunk is one snapshot */
#define PAGE_BYTES (256u << 10)      /* small: it stays in the processor's caches, and nobody waits long behind it */
#define PAGE_TIMEOUT_MS 10000u
#define PAUSE_NS (200 * NS_PER_MS)
/* While others are served by a node that a page came from: one page at a time, and then nothing for as long as it took. What it took longer than the
 * quickest one of its chunk it waited behind others, who then wait behind pages, too: so many times that in addition. */
#define OTHERS_MIN 20u /* a second; fewer are housekeeping */
#define OTHERS_NS (1000 * NS_PER_MS)
#define OTHERS_PAUSES 16u
#define OTHERS_PAUSES_MAX 15u /* all told, of a page's time */
#define JOURNAL_NS (2000 * NS_PER_MS)
#define LOG_EVERY_MS 2000u
#define STALLED_MS 60000u

enum create_state { CREATE_STARTING, CREATE_READING, CREATE_CLOSING, CREATE_ENDING, CREATE_DONE };

enum reader_state { READER_IDLE, READER_DUE, READER_ASKING, READER_PAUSING, READER_WRITING };
struct reader { /* of one chunk after the other */
    struct backup_create *job;
    enum reader_state state;
    uint64_t wake_ns;
    struct span *span;
    struct slice keyspace; /* name; of the reader of changes */
    uint64_t ts;           /* 0: the first page will say */
    uint64_t began_ns, asked_ns;
    uint64_t quickest_ns;  /* page of the chunk, beside others; 0: none yet */
    struct buf file, next; /* next: where the next page begins */
    struct backup_digest digest;
    struct backup_chunk chunk;
};

struct backup_create {
    struct actor actor;
    struct env *env;
    struct client *client;
    struct depot *depot;
    struct catalog catalog;
    struct backup_create_options options;
    enum create_state state;
    struct changes *changes;
    struct change_log log;
    struct arena arena; /* of spans and chunks */
    struct spans spans;
    struct backup_manifest manifest; /* keyspaces: of `changes` */
    size_t chunk_capacity;
    struct backup_chunk *formers; /* of which what has not changed is kept */
    size_t former_count;
    struct reader *readers;
    uint64_t chunk_number;
    uint64_t rate_ns;         /* the next page may be asked for */
    uint64_t others_until_ns; /* gives way to others */
    uint32_t asking;          /* pages */
    uint32_t turn;            /* the reader that asks first */
    uint64_t moved_ns;        /* when something last went on */
    uint64_t left;            /* of the changes that are waited for: the least that it has been */
    struct {
        bool writing, dirty;
        uint64_t next_ns;
        char name[BACKUP_NAME_MAX];
    } journal;
    struct backup_progress progress;
    struct backup_report report;
    char last[300]; /* what went wrong last, and was tried again */
    char text[800];
    backup_create_done done;
    void *ctx;
};

static void job_fail(struct backup_create *b, enum status s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void job_fail(struct backup_create *b, enum status s, const char *fmt, ...)
{
    if (b->state == CREATE_DONE || b->report.status != STATUS_OK) return;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(b->text, sizeof b->text, fmt, args);
    va_end(args);
    b->report.status = s;
    b->report.text = b->text;
    b->env->ops->wake(b->env);
}

static void job_moved(struct backup_create *b)
{
    b->moved_ns = env_mono_ns(b->env);
    b->env->ops->wake(b->env);
}

/* --- the journal, and the manifest --- */

static void remove_partial(void *ctx, const char *name)
{
    struct backup_create *b = ctx;
    uint64_t n[2];
    if (backup_name_read(name, "partial-", 1, n)) depot_remove(b->depot, name);
}

static void on_manifest(void *ctx, enum status s, const char *text, struct buf *bytes)
{
    struct backup_create *b = ctx;
    (void)bytes;
    b->journal.writing = false;
    if (s != STATUS_OK) {
        job_fail(b, s, "%s", text);
    } else if (b->state == CREATE_ENDING) {
        struct errbuf err; /* of no matter: the next catalog passes over old ones */
        enum status listed = depot_list(b->depot, "", remove_partial, b, &err);
        (void)listed;
        b->state = CREATE_DONE;
    }
    b->env->ops->wake(b->env);
}

static void write_manifest(struct backup_create *b)
{
    struct backup_manifest *m = &b->manifest;
    struct buf file;
    size_t count;
    m->keyspaces = (struct backup_keyspace *)(uintptr_t)changes_keyspaces(b->changes, &count);
    m->keyspace_count = count;
    m->ended_ms = env_wall_ms(b->env);
    backup_manifest_name(b->journal.name, m->complete, m->complete ? m->at : m->from);
    buf_init(&file, BACKUP_FILE_BYTES_MAX);
    backup_file_begin(&file, BACKUP_MANIFEST);
    backup_manifest_put(&file, m);
    backup_file_end(&file, b->journal.name);
    b->journal.writing = true;
    b->journal.dirty = false;
    depot_write(b->depot, b->journal.name, &file, on_manifest, b);
}

/* --- chunks --- */

static void chunk_add(struct backup_create *b, const struct backup_chunk *c)
{
    struct backup_manifest *m = &b->manifest;
    if (m->chunk_count == b->chunk_capacity) {
        b->chunk_capacity = b->chunk_capacity == 0 ? 64 : b->chunk_capacity * 2;
        m->chunks = mem_realloc(m->chunks, b->chunk_capacity * sizeof *m->chunks);
    }
    m->chunks[m->chunk_count++] = *c;
    b->progress.chunks = m->chunk_count;
    b->journal.dirty = true;
}

static void reader_end(struct reader *r)
{
    chunk_add(r->job, &r->chunk);
    r->state = READER_IDLE;
    job_moved(r->job);
}

static void on_chunk(void *ctx, enum status s, const char *text, struct buf *bytes)
{
    struct reader *r = ctx;
    r->file = *bytes;
    buf_init(bytes, bytes->max);
    if (s != STATUS_OK)
        job_fail(r->job, s, "%s", text);
    else
        reader_end(r);
}

/* The span up to `end` has been read. */
static void chunk_close(struct reader *r, struct slice end)
{
    struct backup_create *b = r->job;
    const struct backup_chunk *f = r->span->former;
    char name[BACKUP_NAME_MAX];
    if (MUTANT(backup_rest_forgotten)) end = r->span->end;
    r->chunk = (struct backup_chunk){.keyspace = r->span->keyspace,
                                     .start = r->span->start,
                                     .end = arena_dup_slice(&b->arena, end),
                                     .ts = r->ts,
                                     .name = SLICE_EMPTY,
                                     .digest = r->digest};
    if (!slice_eq(end, r->span->end)) spans_push_front(&b->spans, &b->arena, r->span->keyspace, end, r->span->end);
    b->progress.rows += r->digest.rows + r->digest.mortal;
    if (r->digest.rows + r->digest.mortal == 0) {
        reader_end(r);
        return;
    }
    r->chunk.file_bytes = r->file.size + 4;
    r->chunk.crc = crc32c(0, r->file.data, r->file.size);
    bool same = f != NULL && f->crc == r->chunk.crc && f->file_bytes == r->chunk.file_bytes && slice_eq(f->end, end) &&
                backup_digest_eq(&f->digest, &r->digest);
    if (same) {
        COVER("backup.chunk_reused");
        b->report.reused++;
        r->chunk.name = arena_dup_slice(&b->arena, f->name);
        reader_end(r);
        return;
    }
    backup_chunk_name(name, b->manifest.from, b->chunk_number++);
    r->chunk.name = arena_dup_slice(&b->arena, slice_str(name));
    backup_file_end(&r->file, name);
    b->report.bytes += r->file.size;
    r->state = READER_WRITING;
    depot_write(b->depot, name, &r->file, on_chunk, r);
}

static void reader_pause(struct reader *r)
{
    r->state = READER_PAUSING;
    r->wake_ns = env_mono_ns(r->job->env) + PAUSE_NS;
    r->job->env->ops->wake(r->job->env);
}

/* From the beginning of its span, as of a new timestamp. */
static void reader_begin(struct reader *r)
{
    backup_file_begin(&r->file, BACKUP_CHUNK);
    buf_expect(&r->file, r->job->options.chunk_bytes + 2 * PAGE_BYTES);
    buf_clear(&r->next);
    buf_append_slice(&r->next, r->span->start);
    r->digest = (struct backup_digest){.rows = 0};
    r->ts = 0;
    r->quickest_ns = 0;
    r->began_ns = env_mono_ns(r->job->env);
    r->state = READER_DUE;
}

static uint64_t pause_after(struct reader *r, uint64_t took_ns)
{
    if (r->quickest_ns == 0 || took_ns < r->quickest_ns) r->quickest_ns = took_ns;
    uint64_t pause_ns = took_ns + OTHERS_PAUSES * (took_ns - r->quickest_ns), most_ns = OTHERS_PAUSES_MAX * took_ns;
    return pause_ns < most_ns ? pause_ns : most_ns;
}

/* Without a rate of its own it has what nobody else wants. */
static void give_way(struct reader *r, uint32_t others, uint64_t now_ns)
{
    struct backup_create *b = r->job;
    if (others >= OTHERS_MIN) {
        COVER("backup.gives_way");
        b->others_until_ns = now_ns + OTHERS_NS;
    }
    if (now_ns < b->others_until_ns) b->rate_ns = now_ns + pause_after(r, now_ns - r->asked_ns);
}

static void take_rows(struct reader *r, const struct scan_reply *reply)
{
    struct backup_create *b = r->job;
    size_t had = r->file.size;
    for (size_t i = 0; i < reply->row_count; i++) {
        const struct scan_row *s = &reply->rows[i];
        struct backup_row row = {.keyspace = r->span->keyspace,
                                 .kind = s->is_counter ? BACKUP_COUNTER : BACKUP_RAW,
                                 .ts = s->version,
                                 .ttl_ms = s->ttl_ms,
                                 .key = s->key,
                                 .value = s->value};
        backup_row_put(&r->file, &row);
        backup_digest_row(&r->digest, &row);
    }
    uint64_t bytes = r->file.size - had, now_ns = env_mono_ns(b->env);
    b->progress.bytes_done += bytes;
    if (b->options.rate == 0) {
        give_way(r, reply->mark.others, now_ns);
        return;
    }
    if (b->rate_ns < now_ns) b->rate_ns = now_ns;
    b->rate_ns += bytes * 1000 / b->options.rate * NS_PER_MS;
}

static void on_page(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct reader *r = ctx;
    struct backup_create *b = r->job;
    b->asking--;
    if (e->status == STATUS_TOO_OLD && r->next.size > r->span->start.size) {
        COVER("backup.chunk_cut_short"); /* what has been read is good as of its timestamp */
        chunk_close(r, buf_slice(&r->next));
    } else if (e->status == STATUS_TOO_OLD) {
        COVER("backup.chunk_too_old");
        reader_begin(r);
        reader_pause(r);
    } else if (e->status == STATUS_NOT_FOUND) { /* the keyspace has been dropped; its chunks go in the end */
        r->state = READER_IDLE;
        job_moved(b);
    } else if (e->status == STATUS_CORRUPT || e->status == STATUS_INVALID || e->status == STATUS_FORBIDDEN) {
        job_fail(b, e->status, "%.*s", (int)e->message.size, (const char *)e->message.data);
    } else if (e->status != STATUS_OK) {
        (void)snprintf(b->last, sizeof b->last, "%.*s", (int)(e->message.size < 280 ? e->message.size : 280),
                       (const char *)e->message.data);
        reader_pause(r);
    } else {
        if (r->ts == 0) r->ts = reply->mark.ts;
        take_rows(r, reply);
        job_moved(b);
        bool more = reply->more && reply->row_count > 0;
        if (more) {
            struct slice last = reply->rows[reply->row_count - 1].key;
            buf_clear(&r->next);
            buf_append_slice(&r->next, last);
            buf_append_byte(&r->next, 0);
        }
        size_t limit = b->options.chunk_bytes * (r->span->former != NULL ? 4u : 1u);
        if (!more)
            chunk_close(r, r->span->end);
        else if (r->file.size >= limit || env_mono_ns(b->env) > r->began_ns + CHUNK_NS)
            chunk_close(r, buf_slice(&r->next));
        else
            r->state = READER_DUE;
    }
}

static void reader_ask(struct reader *r)
{
    struct backup_create *b = r->job;
    struct client_scan s = {.start = buf_slice(&r->next),
                            .end = r->span->end,
                            .placed = true,
                            .how = {.mode = READ_SNAPSHOT, .ts = r->ts},
                            .limit_bytes = PAGE_BYTES};
    r->state = READER_ASKING;
    r->asked_ns = env_mono_ns(b->env);
    b->asking++;
    client_scan(b->client, r->keyspace, &s, PAGE_TIMEOUT_MS, on_page, r);
}

static const struct backup_keyspace *keyspace_of(struct backup_create *b, uint32_t id)
{
    size_t count;
    const struct backup_keyspace *k = changes_keyspaces(b->changes, &count);
    for (size_t i = 0; i < count; i++)
        if (k[i].id == id) return &k[i];
    return NULL;
}

static void reader_step(struct reader *r, uint64_t now_ns)
{
    struct backup_create *b = r->job;
    if (r->state == READER_PAUSING && now_ns >= r->wake_ns) r->state = READER_DUE;
    if (r->state == READER_IDLE && (r->span = spans_pop(&b->spans)) != NULL) {
        const struct backup_keyspace *k = keyspace_of(b, r->span->keyspace);
        r->keyspace = k->name;
        if (k->dropped_ts != 0) return;
        reader_begin(r);
    }
    bool one = now_ns < b->others_until_ns;
    if (r->state != READER_DUE || now_ns < b->rate_ns || (one && b->asking > 0)) return;
    if (one) b->turn = (uint32_t)(r - b->readers) + 1;
    reader_ask(r);
}

/* --- the stages --- */

/* Names are never used twice: not even those of chunks that no manifest names any more, or not yet. */
static void on_chunk_name(void *ctx, const char *name)
{
    struct backup_create *b = ctx;
    uint64_t from, number;
    bool mine = backup_chunk_name_read(name, &from, &number) && from == b->manifest.from;
    if (mine && number >= b->chunk_number) b->chunk_number = number + 1;
}

/* From where? What is there to begin with counts if the changes since are still to be had. */
static void job_start(struct backup_create *b)
{
    struct catalog *c = &b->catalog;
    const struct backup_manifest *with = NULL;
    if (c->partial.from != 0 && !b->report.reread) {
        with = &c->partial;
        b->report.resumed = true;
    } else if (b->options.incremental && c->backup_count > 0 && !b->report.reread) {
        with = &c->backups[c->backup_count - 1];
    }
    uint64_t after = 0;
    b->manifest.cluster = b->options.cluster;
    const struct backup_keyspace *known = NULL;
    size_t known_count = 0;
    struct errbuf err;
    enum status s = catalog_check(c, &b->options.cluster, &err);
    if (s == STATUS_OK && with != NULL) {
        b->manifest.from = with->from;
        b->manifest.parent = with->complete ? with->at : with->parent;
        for (size_t i = 0; i < with->chunk_count; i++) chunk_add(b, &with->chunks[i]);
        s = depot_list(b->depot, "chunks", on_chunk_name, b, &err);
        after = catalog_chain(c, with->from, UINT64_MAX, NULL, NULL);
        if (s == STATUS_OK) s = catalog_keyspaces(c, b->depot, after, &known, &known_count, &err);
    }
    if (s != STATUS_OK) job_fail(b, s, "%s", err.text);
    b->changes = changes_new(b->env, b->client, after, known, known_count);
    change_log_init(&b->log, b->env, b->depot, b->changes, &b->options.cluster, LOG_EVERY_MS);
    b->manifest.began_ms = env_wall_ms(b->env);
    b->left = UINT64_MAX;
    b->state = CREATE_STARTING;
    b->progress.doing = "asking what there is";
}

/* The versions since the work so far are gone: all is read again, and what is as it was is kept. */
static void job_reread(struct backup_create *b)
{
    COVER("backup.reread");
    b->formers = b->manifest.chunks;
    b->former_count = b->manifest.chunk_count;
    if (b->former_count > 1) qsort(b->formers, b->former_count, sizeof *b->formers, backup_chunk_compare);
    uint64_t parent = b->manifest.parent;
    b->manifest = (struct backup_manifest){.parent = parent};
    b->chunk_capacity = 0;
    b->chunk_number = 0;
    b->report.reread = true;
    b->report.resumed = false;
    change_log_free(&b->log);
    changes_free(b->changes);
    job_start(b);
}

static void plan_spans(struct backup_create *b)
{
    const struct meta_map_reply *map = changes_first_map(b->changes);
    if (b->manifest.chunk_count > 1)
        qsort(b->manifest.chunks, b->manifest.chunk_count, sizeof *b->manifest.chunks, backup_chunk_compare);
    spans_plan(&b->spans, &b->arena, map, b->manifest.chunks, b->manifest.chunk_count, b->formers, b->former_count);
    for (size_t i = 0; i < map->range_count; i++) b->progress.bytes_total += map->reports[i].bytes;
    if (b->manifest.chunk_count > 0) b->progress.bytes_total = 0; /* not known what is left */
}

static bool step_starting(struct backup_create *b)
{
    uint64_t resolved = changes_resolved(b->changes);
    if (changes_listed(b->changes) == 0) return false;
    if (b->log.from != 0 && b->manifest.from != 0 && resolved == changes_from(b->changes)) return false; /* too old? */
    if (b->manifest.from == 0) b->manifest.from = changes_from(b->changes);
    plan_spans(b);
    b->log.goal = changes_listed(b->changes);
    b->left = UINT64_MAX;
    b->state = CREATE_READING;
    b->progress.doing = "reading";
    return true;
}

static bool step_reading(struct backup_create *b, uint64_t now_ns)
{
    bool idle = true;
    for (uint32_t i = 0, first = b->turn; i < b->options.parallel; i++) {
        struct reader *r = &b->readers[(first + i) % b->options.parallel];
        reader_step(r, now_ns);
        idle = idle && r->state == READER_IDLE;
    }
    if (!idle || !spans_empty(&b->spans)) return false;
    for (size_t i = 0; i < b->manifest.chunk_count; i++)
        if (b->manifest.chunks[i].ts > b->log.goal) b->log.goal = b->manifest.chunks[i].ts;
    changes_hurry(b->changes, b->log.goal);
    b->left = UINT64_MAX;
    b->last[0] = '\0';
    b->state = CREATE_CLOSING;
    b->progress.doing = "waiting for the changes meanwhile";
    b->progress.bytes_total = 0;
    return true;
}

/* Chunks of keyspaces that are not there at `at` stand for nothing. */
static void drop_void_chunks(struct backup_create *b)
{
    struct backup_manifest *m = &b->manifest;
    size_t kept = 0;
    for (size_t i = 0; i < m->chunk_count; i++) {
        const struct backup_keyspace *k = keyspace_of(b, m->chunks[i].keyspace);
        if (k != NULL && backup_keyspace_is_there(k, m->at)) m->chunks[kept++] = m->chunks[i];
    }
    m->chunk_count = kept;
}

static bool step_closing(struct backup_create *b)
{
    struct backup_manifest *m = &b->manifest;
    struct errbuf err;
    if (b->log.written < b->log.goal || b->log.writing || b->journal.writing) return false;
    m->at = b->log.written;
    m->complete = true;
    drop_void_chunks(b);
    if (m->chunk_count > 1) qsort(m->chunks, m->chunk_count, sizeof *m->chunks, backup_chunk_compare);
    m->keyspaces = (struct backup_keyspace *)(uintptr_t)changes_keyspaces(b->changes, &m->keyspace_count);
    if (backup_manifest_check(m, &err) != STATUS_OK) {
        job_fail(b, STATUS_CORRUPT, "the backup would be incomplete: %s", err.text);
        return false;
    }
    b->report.at = m->at;
    b->report.parent = m->parent;
    b->report.chunks = m->chunk_count;
    b->report.rows = b->progress.rows;
    b->report.changes_bytes = b->log.bytes;
    b->state = CREATE_ENDING;
    write_manifest(b);
    return true;
}

static void job_end(struct backup_create *b)
{
    backup_create_done done = b->done;
    b->state = CREATE_DONE;
    b->done = NULL;
    done(b->ctx, &b->report);
}

/* Up to where changes are waited for; 0 while rows are copied: what was written until the last of them is what counts. */
static uint64_t changes_goal(const struct backup_create *b)
{
    return b->state == CREATE_STARTING ? changes_from(b->changes) + 1 : b->log.goal;
}

/* A leg that stands still stops nothing as long as others get on: what is left of all of them counts, not where the last one stands. */
static void note_changes(struct backup_create *b, uint64_t written, uint64_t now_ns)
{
    uint64_t left = changes_behind(b->changes, changes_goal(b), NULL);
    if (b->log.written > written || left < b->left) b->moved_ns = now_ns;
    if (left < b->left) b->left = left;
}

static void fail_stalled(struct backup_create *b)
{
    struct errbuf who = {.text = ""};
    if (b->last[0] != '\0')
        (void)snprintf(who.text, sizeof who.text, "the last answer was: %s", b->last);
    else if (b->log.writing || b->journal.writing)
        (void)snprintf(who.text, sizeof who.text, "the directory has not taken a file that was written to it");
    else
        (void)changes_behind(b->changes, changes_goal(b), &who);
    job_fail(b, STATUS_TIMEOUT, "nothing has gone on for %u s%s%s: run it again when the cluster serves, it goes on",
             b->options.timeout_ms / 1000, who.text[0] != '\0' ? "; " : "", who.text);
}

static void watch_over(struct backup_create *b, uint64_t now_ns)
{
    uint64_t limit_ns = b->options.timeout_ms * NS_PER_MS;
    bool starting = b->state == CREATE_STARTING && b->manifest.from != 0;
    if (b->log.status == STATUS_TOO_OLD && starting && !b->report.reread) {
        job_reread(b);
    } else if (b->log.status != STATUS_OK) {
        job_fail(b, b->log.status, "%s", b->log.text);
    } else if (now_ns > b->moved_ns + limit_ns && b->rate_ns <= now_ns) {
        fail_stalled(b);
    }
}

static uint64_t create_pass(struct actor *actor, uint64_t now_ns)
{
    struct backup_create *b = LIST_ENTRY(actor, struct backup_create, actor);
    if (b->env->dead || b->done == NULL) return DEADLINE_NONE;
    if (b->moved_ns == 0) b->moved_ns = now_ns;
    uint64_t written = b->log.written;
    uint64_t deadline = change_log_pass(&b->log, now_ns);
    note_changes(b, written, now_ns);
    watch_over(b, now_ns);
    if (b->report.status != STATUS_OK) {
        job_end(b);
        return DEADLINE_NONE;
    }
    if (b->state == CREATE_STARTING) (void)step_starting(b);
    if (b->state == CREATE_READING) (void)step_reading(b, now_ns);
    if (b->state == CREATE_CLOSING) (void)step_closing(b);
    if (b->state == CREATE_DONE) {
        job_end(b);
        return DEADLINE_NONE;
    }
    if (b->state == CREATE_READING && b->journal.dirty && !b->journal.writing && now_ns >= b->journal.next_ns) {
        b->journal.next_ns = now_ns + JOURNAL_NS;
        write_manifest(b);
    }
    uint64_t look_ns = now_ns + PAUSE_NS;
    if (b->rate_ns > now_ns && b->rate_ns < look_ns) look_ns = b->rate_ns;
    return deadline < look_ns ? deadline : look_ns;
}

/* --- its life --- */

struct backup_create *backup_create_new(struct env *env, struct client *client, struct depot *depot,
                                        struct catalog *catalog, const struct backup_create_options *o,
                                        backup_create_done done, void *ctx)
{
    struct backup_create *b = mem_zalloc(sizeof *b);
    b->env = env;
    b->client = client;
    b->depot = depot;
    b->catalog = *catalog;
    b->options = *o;
    b->done = done;
    b->ctx = ctx;
    if (b->options.parallel == 0) b->options.parallel = PARALLEL;
    if (b->options.chunk_bytes == 0) b->options.chunk_bytes = CHUNK_BYTES;
    if (b->options.timeout_ms == 0) b->options.timeout_ms = STALLED_MS;
    arena_init(&b->arena, 4096);
    spans_init(&b->spans);
    b->readers = mem_zalloc(b->options.parallel * sizeof *b->readers);
    for (uint32_t i = 0; i < b->options.parallel; i++) {
        b->readers[i].job = b;
        buf_init(&b->readers[i].file, BACKUP_FILE_BYTES_MAX);
        buf_init(&b->readers[i].next, LIMIT_KEY_BYTES + 2);
    }
    job_start(b);
    b->actor = (struct actor){.pass = create_pass};
    env->ops->attach(env, &b->actor);
    env->ops->wake(env);
    return b;
}

void backup_create_progress(const struct backup_create *b, struct backup_progress *out)
{
    *out = b->progress;
    out->changes_bytes = b->log.bytes;
}

void backup_create_free(struct backup_create *b)
{
    if (b == NULL) return;
    b->env->ops->detach(b->env, &b->actor);
    change_log_free(&b->log);
    changes_free(b->changes);
    for (uint32_t i = 0; i < b->options.parallel; i++) {
        client_forget(b->client, &b->readers[i]);
        buf_free(&b->readers[i].file);
        buf_free(&b->readers[i].next);
    }
    mem_free(b->readers);
    mem_free(b->manifest.chunks);
    mem_free(b->formers);
    catalog_free(&b->catalog);
    arena_free(&b->arena);
    mem_free(b);
}
