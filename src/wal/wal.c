/* Filling, writing, waiting. Two buffers: one is filled while the other is being written.
 *
 *                       wal_submit
 *        +------------------------------------------+
 *        |            (prepare: seal, place)        v
 *      idle ------- wal_step: 10 ms idle -----> busy: LANE_LOG task, or written inline
 *        ^            (a mark)                      |   woken by: write_complete, or wal_step after an inline write
 *        |   finish: index, chain, free what was    |   no time-out: a hung disk is the owner's to notice
 *        |   announced; then `durable`              |
 *        +------------------------------------------+--- the write failed: failed, for good; env fatal
 */
#include "wal/wal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "wal/wal_int.h"

#define FILL_BYTES (256u * 1024u)  /* a buffer's first size */
#define FILL_KEPT_BYTES (8u << 20) /* a larger one is given back after its write */

/* --- filling --- */
static void fill_init(struct wal_fill *f)
{
    *f = (struct wal_fill){.memory = mem_aligned(WAL_BLOCK, FILL_BYTES), .capacity = FILL_BYTES};
}

/* Room for `more` bytes of payload, and for the padding behind them. */
static void fill_reserve(struct wal_fill *f, size_t more)
{
    ASSERT(more <= WAL_PAYLOAD_MAX - f->payload_bytes);
    size_t wanted = WAL_BLOCK + (size_t)wal_batch_size((uint32_t)(f->payload_bytes + more));
    if (wanted <= f->capacity) return;
    size_t capacity = f->capacity;
    while (capacity < wanted) capacity *= 2;
    uint8_t *memory = mem_aligned(WAL_BLOCK, capacity);
    memcpy(memory + WAL_BLOCK + WAL_BATCH_HEADER, f->memory + WAL_BLOCK + WAL_BATCH_HEADER, f->payload_bytes);
    mem_free(f->memory);
    f->memory = memory;
    f->capacity = capacity;
}

static void fill_reset(struct wal_fill *f)
{
    if (f->capacity > FILL_KEPT_BYTES) {
        mem_free(f->memory);
        fill_init(f);
    }
    f->payload_bytes = 0;
    f->records = 0;
}

static uint8_t *fill_payload(const struct wal_fill *f)
{
    return f->memory + WAL_BLOCK + WAL_BATCH_HEADER;
}

void wal_put_record(struct wal *w, const struct wal_record *r, struct slice data)
{
    if (w->failed) return; /* nothing will be written any more */
    struct wal_fill *f = &w->fill[w->filling];
    fill_reserve(f, WAL_RECORD_HEAD_MAX + data.size);
    uint8_t *at = fill_payload(f) + f->payload_bytes;
    size_t head = wal_record_encode_head(r, at);
    if (data.size > 0) memcpy(at + head, data.data, data.size);
    f->payload_bytes += (uint32_t)(head + data.size);
    f->records++;
}

void wal_put_group(struct wal *w, uint64_t group, struct slice state)
{
    struct wal_group *g = wal_group_get(w, group);
    g->record_batch = w->next_batch;
    g->put_since_drop = true;
    wal_put_record(w, &(struct wal_record){.kind = WAL_GROUP, .group = group, .state = state}, state);
}

void wal_put_group_dropped(struct wal *w, uint64_t group)
{
    struct wal_group *g = wal_group_get(w, group);
    g->record_batch = g->hard_state_batch = w->next_batch;
    g->put_last = 0;
    g->put_since_drop = false;
    g->drops_pending++;
    g->floor_after_drop = 0;
    wal_put_record(w, &(struct wal_record){.kind = WAL_GROUP_DROPPED, .group = group}, SLICE_EMPTY);
}

void wal_put_hard_state(struct wal *w, uint64_t group, const struct wal_hard_state *hs)
{
    struct wal_group *g = wal_group_get(w, group);
    g->hard_state_batch = w->next_batch;
    g->put_since_drop = true;
    wal_put_record(w, &(struct wal_record){.kind = WAL_HARD_STATE, .group = group, .hard_state = *hs}, SLICE_EMPTY);
}

void wal_put_entry(struct wal *w, uint64_t group, const struct wal_entry *entry)
{
    struct wal_group *g = wal_group_get(w, group);
    ASSERT(entry->index > 0);
    if (g->put_last != 0) ASSERT(entry->index <= g->put_last + 1);
    g->put_last = entry->index;
    g->put_since_drop = true;
    wal_put_record(w, &(struct wal_record){.kind = WAL_ENTRY, .group = group, .entry = *entry}, entry->data);
}

void wal_put_reset(struct wal *w, uint64_t group, uint64_t index, uint64_t term)
{
    struct wal_group *g = wal_group_get(w, group);
    g->put_last = index;
    g->put_since_drop = true;
    struct wal_record r = {.kind = WAL_RESET, .group = group, .entry = {.index = index, .term = term}};
    wal_put_record(w, &r, SLICE_EMPTY);
}

uint64_t wal_first_batch(const struct wal *w)
{
    return w->first_batch;
}

size_t wal_pending_bytes(const struct wal *w)
{
    return w->fill[w->filling].payload_bytes;
}

bool wal_busy(const struct wal *w)
{
    return w->busy;
}

uint64_t wal_busy_since_ns(const struct wal *w)
{
    ASSERT(w->busy);
    return w->write.started_ns;
}

/* --- writing --- */

/* Where the batch goes: behind the last one if it fits, else to a spare, else to a segment that the task has to make. */
static void write_place(struct wal *w, struct wal_write *x, uint64_t size)
{
    struct wal_segment *s = w->current;
    x->create = false;
    x->oldest_epoch = 0;
    if (s == NULL || size > s->bytes - s->end) {
        uint64_t bytes = w->segment_bytes > WAL_BLOCK + size ? w->segment_bytes : WAL_BLOCK + size;
        struct list *spare = bytes == w->segment_bytes ? list_pop_front(&w->spares) : NULL;
        if (spare != NULL) {
            s = LIST_ENTRY(spare, struct wal_segment, link);
            w->spare_count--;
        } else {
            s = wal_segment_new(w->next_segment++, bytes);
            x->create = true;
            log_event(w->env->log, LOG_INFO, "wal.no_spare", "segment=%" PRIu64 " bytes=%" PRIu64, s->number, bytes);
        }
        s->epoch = w->next_epoch++;
        s->end = WAL_BLOCK;
        x->oldest_epoch = wal_index_oldest(w, s->epoch);
    }
    x->segment = s;
    x->segment_number = s->number;
    x->segment_bytes = s->bytes;
    x->file = s->file;
}

static void write_encode(struct wal *w, struct wal_write *x, struct wal_fill *f, uint64_t size)
{
    struct wal_segment *s = x->segment;
    uint8_t *batch = f->memory + WAL_BLOCK;
    size_t used = (size_t)WAL_BATCH_HEADER + f->payload_bytes;
    memset(batch + used, 0, (size_t)size - used);
    x->header = (struct wal_batch_header){
        .log_id = w->log_id,
        .segment = s->number,
        .epoch = s->epoch,
        .offset = s->end,
        .number = w->next_batch,
        .synced_through = w->next_batch - 1, /* one write at a time: the one before is durable */
        .payload_bytes = f->payload_bytes,
        .records = f->records,
        .chain = w->chain,
        .payload_crc = crc32c(0, batch + WAL_BATCH_HEADER, (size_t)size - WAL_BATCH_HEADER),
    };
    wal_batch_header_encode(&x->header, batch);
    if (x->oldest_epoch != 0) {
        struct wal_segment_header h = {.log_id = w->log_id,
                                       .segment = s->number,
                                       .epoch = s->epoch,
                                       .segment_bytes = s->bytes,
                                       .first_batch = w->next_batch,
                                       .oldest_epoch = x->oldest_epoch,
                                       .chain = w->chain};
        wal_segment_header_encode(&h, f->memory);
    }
    bool whole = x->oldest_epoch != 0; /* with the segment header, in one write */
    x->offset = whole ? 0 : s->end;
    x->bytes = whole ? f->memory : batch;
    x->size = (size_t)(whole ? size + WAL_BLOCK : size);
}

void wal_write_prepare(struct wal *w, bool with_leftovers)
{
    ASSERT(!w->busy);
    wal_check(w);
    if (with_leftovers) wal_index_leftovers(w);
    struct wal_fill *f = &w->fill[w->filling];
    struct wal_write *x = &w->write;
    uint64_t size = wal_batch_size(f->payload_bytes);
    x->wal = w;
    x->task = (struct task){.execute = wal_write_execute};
    x->disk = w->disk;
    x->dir = w->dir;
    x->method = w->method;
    x->direct = w->direct;
    x->status = STATUS_OK;
    x->durable = NULL;
    x->started_ns = env_mono_ns(w->env);
    write_place(w, x, size);
    write_encode(w, x, f, size);
    w->next_batch++;
    w->filling ^= 1u;
    fill_reset(&w->fill[w->filling]);
    w->busy = true;
}

static enum status write_open(struct wal_write *x)
{
    if (x->file != NULL) return STATUS_OK;
    if (x->create) {
        x->failed = "create";
        return wal_segment_create(x->disk, x->dir, x->segment_number, x->segment_bytes, x->method, x->direct, &x->file);
    }
    char path[WAL_PATH_MAX];
    wal_path(path, x->dir, x->segment_number);
    x->failed = "open";
    enum status s = disk_open(x->disk, path, wal_method_flags(x->method), &x->file, NULL);
    if (s != STATUS_OK) return s;
    x->failed = "sync"; /* an earlier process made it, and may not have come to that */
    return disk_sync(x->file);
}

void wal_write_execute(struct task *task)
{
    struct wal_write *x = LIST_ENTRY(task, struct wal_write, task);
    x->status = write_open(x);
    if (x->status != STATUS_OK) return;
    x->failed = "write";
    x->status = disk_write(x->file, x->offset, x->bytes, x->size);
    if (MUTANT(log_not_synced)) return;
    if (x->status == STATUS_IO && MUTANT(log_failure_ignored)) x->status = STATUS_OK;
    if (x->status != STATUS_OK || x->method != WAL_FDATASYNC) return;
    x->failed = "sync";
    x->status = disk_sync(x->file);
}

/* The segments before the announced one become spare. */
static void free_announced(struct wal *w, uint64_t oldest_epoch)
{
    LIST_FOR(node, &w->live)
    {
        struct wal_segment *s = LIST_ENTRY(node, struct wal_segment, link);
        if (s->epoch >= oldest_epoch) break;
        ASSERT(!wal_segment_in_use(s));
        COVER("wal.recycled");
        list_remove(&s->link);
        w->live_count--;
        wal_segment_release(w, s);
    }
}

/* The records of the batch just written enter the index. */
static void apply_written(struct wal *w, struct wal_segment *in, const struct wal_write *x)
{
    const struct wal_fill *f = &w->fill[w->filling ^ 1u];
    struct cursor c = cursor_make(slice_make(fill_payload(f), f->payload_bytes));
    struct wal_record r;
    for (uint32_t i = 0; i < x->header.records; i++) {
        enum status s = wal_record_decode(&c, &r);
        ASSERT(s == STATUS_OK);
        s = wal_index_apply(w, in, &r);
        ASSERT(s == STATUS_OK);
    }
    ASSERT(cursor_left(&c) == 0);
}

static void count_write(struct wal *w, const struct wal_write *x, uint64_t now_ns)
{
    uint64_t ns = now_ns - x->started_ns;
    w->stats.batches++;
    w->stats.bytes += x->size;
    w->stats.payload_bytes += x->header.payload_bytes;
    w->stats.write_ns_total += ns;
    if (ns > w->stats.write_ns_max) w->stats.write_ns_max = ns;
}

void wal_write_finish(struct wal *w)
{
    struct wal_write *x = &w->write;
    struct wal_segment *s = x->segment;
    ASSERT(w->busy);
    ASSERT(x->status == STATUS_OK);
    ASSERT(x->header.number + 1 == w->next_batch);
    s->file = x->file;
    if (x->oldest_epoch != 0) {
        list_push_back(&w->live, &s->link);
        w->live_count++;
        w->current = s;
    }
    ASSERT(s == w->current);
    s->end += wal_batch_size(x->header.payload_bytes);
    w->chain = x->header.crc;
    w->last_is_mark = x->header.records == 0;
    x->segment = NULL;
    uint64_t now = env_mono_ns(w->env);
    w->idle_since_ns = now;
    count_write(w, x, now);
    apply_written(w, s, x);
    if (x->oldest_epoch != 0) free_announced(w, x->oldest_epoch);
    w->busy = false;
    wal_check(w);
}

/* For good: the disk's content is unknown from here on. */
static void write_fail(struct wal *w)
{
    struct wal_write *x = &w->write;
    w->failed = true;
    char why[512];
    (void)snprintf(why, sizeof why,
                   "wal: could not %s segment %016" PRIx64 " at offset %" PRIu64 " for batch %" PRIu64 ": %s; %s",
                   x->failed, x->segment_number, x->offset, x->header.number, status_text(x->status),
                   x->status == STATUS_NO_SPACE ? "free space on the disk of the data directory and start again"
                                                : "check the disk, then start again: what was acknowledged is safe");
    w->env->ops->fatal(w->env, why);
}

static void write_complete(struct task *task)
{
    struct wal_write *x = LIST_ENTRY(task, struct wal_write, task);
    struct wal *w = x->wal;
    x->segment->file = x->file;
    if (task->cancelled || w->env->dead) {
        w->busy = false;
        w->failed = true;
        return;
    }
    if (x->status != STATUS_OK) {
        w->busy = false;
        write_fail(w);
        return;
    }
    void (*durable)(void *ctx) = x->durable;
    void *ctx = x->ctx;
    wal_write_finish(w);
    wal_chores(w);
    if (durable != NULL) durable(ctx); /* may put and submit again */
}

void wal_submit(struct wal *w, bool inline_write, void (*durable)(void *ctx), void *ctx)
{
    ASSERT(!w->busy);
    if (w->failed || w->env->dead) return;
    wal_write_prepare(w, true);
    w->write.durable = durable;
    w->write.ctx = ctx;
    w->write.task.complete = write_complete;
    if (inline_write) {
        wal_write_execute(&w->write.task);
        w->inline_done = true;
        w->env->ops->wake(w->env);
    } else {
        exec_submit(w->env->exec, LANE_LOG, &w->write.task);
    }
}

void wal_step(struct wal *w)
{
    if (w->inline_done) {
        w->inline_done = false;
        write_complete(&w->write.task);
    }
    if (w->failed || w->env->dead) return;
    wal_chores(w);
    if (w->busy || w->last_is_mark || wal_pending_bytes(w) > 0) return;
    if (env_mono_ns(w->env) - w->idle_since_ns < WAL_MARK_IDLE_NS) return;
    COVER("wal.idle_mark");
    wal_write_prepare(w, false);
    w->write.task.complete = write_complete;
    exec_submit(w->env->exec, LANE_LOG, &w->write.task);
}

/* --- opening and closing --- */

/* Without anything put it is a mark. */
enum status wal_submit_now(struct wal *w, struct errbuf *err)
{
    wal_write_prepare(w, false);
    wal_write_execute(&w->write.task);
    struct wal_write *x = &w->write;
    x->segment->file = x->file;
    if (x->status == STATUS_OK) {
        wal_write_finish(w);
        return STATUS_OK;
    }
    w->busy = false;
    w->failed = true;
    errbuf_set(err, "wal: could not %s segment %016" PRIx64 " of %s: %s%s", x->failed, x->segment_number, w->dir,
               status_text(x->status),
               x->status == STATUS_NO_SPACE ? "; free space and start again" : "; check the disk");
    return x->status;
}

/* What recovery read through the page cache may be there only: a sync of a former process failed, and the next one would
 * report success for what was dropped. Written again, the same bytes are the disk's to keep. */
static enum status write_again(const struct wal *w, const struct wal_segment *s, uint64_t offset, uint64_t size)
{
    uint8_t *memory = mem_aligned(WAL_BLOCK, (size_t)size);
    size_t got = 0;
    enum status status = disk_read(s->file, offset, memory, (size_t)size, &got);
    if (status == STATUS_OK && got != size) status = STATUS_IO;
    if (status == STATUS_OK) status = disk_write(s->file, offset, memory, (size_t)size);
    mem_free(memory);
    if (status == STATUS_OK) log_event(w->env->log, LOG_INFO, "wal.written_again", "segment=%" PRIu64, s->number);
    return status;
}

static enum status sync_segment(struct wal *w, struct wal_segment *s, struct errbuf *err)
{
    if (s == NULL) return STATUS_OK;
    char path[WAL_PATH_MAX];
    wal_path(path, w->dir, s->number);
    if (s->file == NULL) {
        enum status opened = disk_open(w->disk, path, wal_method_flags(w->method), &s->file, err);
        if (opened != STATUS_OK) return opened;
    }
    enum status synced = STATUS_OK;
    if (!w->direct) synced = write_again(w, s, 0, WAL_BLOCK);
    if (!w->direct && synced == STATUS_OK && s->last_at > 0) synced = write_again(w, s, s->last_at, s->last_size);
    if (synced == STATUS_OK) synced = disk_sync(s->file);
    if (synced != STATUS_OK)
        errbuf_set(err, "wal: %s cannot be made durable: %s; check the disk", path, status_text(synced));
    return synced;
}

/* The directory exists, and its name is durable. */
static enum status make_dir(struct wal *w, struct errbuf *err)
{
    char parent[WAL_DIR_MAX];
    memcpy(parent, w->dir, sizeof parent);
    char *slash = strrchr(parent, '/');
    *(slash != NULL ? slash : parent) = '\0';
    enum status s = disk_mkdir(w->disk, w->dir);
    if (s == STATUS_OK) s = disk_sync_dir(w->disk, parent);
    if (s != STATUS_OK) errbuf_set(err, "wal: cannot make the directory %s: %s", w->dir, status_text(s));
    return s;
}

/* From here on the disk is changed: the log has been read and is sound. */
static enum status resume(struct wal *w, const struct wal_options *o, struct wal_segment *sync_too, struct errbuf *err)
{
    enum status s = wal_method_choose(w, !o->skip_self_test, err);
    if (s != STATUS_OK) return s;
    s = disk_sync_dir(w->disk, w->dir);
    if (s != STATUS_OK) {
        errbuf_set(err, "wal: sync of the directory %s failed: %s; check the disk", w->dir, status_text(s));
        return s;
    }
    /* A mark says that all before it is durable; of itself only a disk that was read past its cache says so. */
    if (w->current != NULL && w->last_is_mark && w->direct) return STATUS_OK;
    s = sync_segment(w, sync_too, err);
    if (s == STATUS_OK) s = sync_segment(w, w->current, err);
    if (s == STATUS_OK) s = wal_submit_now(w, err);
    return s;
}

static void free_segments(struct wal *w, struct list *segments)
{
    LIST_FOR(node, segments) wal_segment_free(w, LIST_ENTRY(node, struct wal_segment, link));
}

void wal_free(struct wal *w)
{
    wal_anew_free(w->anew);
    if (w->chore != NULL) w->chore->wal = NULL;
    if (w->write.segment != NULL && w->write.segment != w->current) wal_segment_free(w, w->write.segment);
    free_segments(w, &w->live);
    free_segments(w, &w->spares);
    wal_index_free(w);
    mem_free(w->fill[0].memory);
    mem_free(w->fill[1].memory);
    mem_free(w->doomed);
    mem_free(w);
}

/* NULL and a message: the options will not do, or the directory cannot be made. */
struct wal *wal_new(struct env *env, const struct wal_options *o, enum status *s, struct errbuf *err)
{
    if (o->segment_bytes < 65536 || o->segment_bytes % WAL_BLOCK != 0 || o->spare_segments == 0 ||
        strlen(o->dir) >= WAL_DIR_MAX || o->dir[0] == '\0') {
        errbuf_set(err,
                   "wal: segments must have 64 KiB or more, in whole 4 KiB, with at least one spare; the directory's "
                   "name 1 to %u bytes",
                   WAL_DIR_MAX - 1);
        *s = STATUS_INVALID;
        return NULL;
    }
    struct wal *w = mem_zalloc(sizeof *w);
    w->env = env;
    w->disk = env->disk;
    memcpy(w->dir, o->dir, strlen(o->dir));
    w->segment_bytes = o->segment_bytes;
    w->spares_wanted = o->spare_segments;
    w->next_segment = w->next_epoch = w->next_batch = 1;
    w->direct = true;
    list_init(&w->live);
    list_init(&w->spares);
    map_init(&w->groups);
    fill_init(&w->fill[0]);
    fill_init(&w->fill[1]);
    *s = make_dir(w, err);
    if (*s == STATUS_OK) return w;
    wal_free(w);
    return NULL;
}

enum status wal_open(struct env *env, const struct wal_options *o, const struct wal_replay *replay, struct wal **out,
                     struct errbuf *err)
{
    enum status s;
    *out = NULL;
    struct wal *w = wal_new(env, o, &s, err);
    if (w == NULL) return s;
    struct wal_segment *sync_too = NULL;
    s = wal_recover(w, replay, &sync_too, err);
    if (s == STATUS_OK && o->must_exist && w->current == NULL) {
        errbuf_set(err,
                   "wal: %s once held a log and holds none now: it has forgotten its votes and must not take part; "
                   "restore the whole directory; or start a node with an empty one (the cluster rebuilds the "
                   "replicas), and take a metadata server out and add it anew (`quorate meta remove`, `meta add`)",
                   w->dir);
        s = STATUS_NOT_FOUND;
    }
    if (s == STATUS_OK) s = resume(w, o, sync_too, err);
    if (s != STATUS_OK) {
        wal_free(w);
        return s;
    }
    w->idle_since_ns = env_mono_ns(env);
    wal_check(w);
    wal_chores(w);
    *out = w;
    return STATUS_OK;
}

static void pass_over(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
}

enum status wal_look(struct env *env, const char *dir, const struct wal_replay *replay,
                     void (*segment)(void *ctx, const struct wal_segment_told *s), struct errbuf *err)
{
    const struct wal_options o = {.dir = dir, .segment_bytes = 65536, .spare_segments = 1};
    struct wal_segment *sync_too = NULL;
    enum status s = disk_list(env->disk, dir, pass_over, NULL);
    if (s != STATUS_OK) {
        errbuf_set(err, "wal: %s cannot be listed: %s", dir, status_text(s));
        return s;
    }
    struct wal *w = wal_new(env, &o, &s, err); /* which makes the directory */
    if (w == NULL) return s;
    s = wal_recover(w, replay, &sync_too, err);
    LIST_FOR(node, &w->live)
    {
        const struct wal_segment *g = LIST_ENTRY(node, struct wal_segment, link);
        if (segment != NULL)
            segment(replay->ctx, &(struct wal_segment_told){
                                     .number = g->number, .bytes = g->bytes, .epoch = g->epoch, .end = g->end});
    }
    wal_free(w);
    return s;
}

void wal_close(struct wal *w)
{
    ASSERT(!w->busy);
    w->closing = true;
    fill_reset(&w->fill[w->filling]);
    struct errbuf err;
    if (w->anew == NULL && !w->failed && !w->env->dead && !w->last_is_mark && wal_submit_now(w, &err) != STATUS_OK)
        log_event(w->env->log, LOG_ERROR, "wal.close_failed", "%s", err.text);
    wal_free(w);
}

void wal_stats(const struct wal *w, struct wal_stats *out)
{
    *out = w->stats;
    out->writing = w->busy;
    out->segments = w->live_count;
    out->spare_segments = w->spare_count;
    out->sync_method = wal_method_name(w->method);
}
