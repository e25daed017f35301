/* Opening: find the chain, replay it, decide whether its end is a torn write or damage. docs/formats/wal.md, Recovery, says
 * what the steps are and why they are right. Reads only. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "wal/wal_int.h"

#define READ_BYTES (2u << 20)

/* A segment file as found. */
struct found {
    uint64_t number, bytes;
    struct disk_file *file;
    bool whole;      /* it was made completely: header and file agree on number and size, blank or not */
    bool has_header; /* and it counts */
    struct wal_segment_header header;
};

/* Sequential reading through one buffer. */
struct reader {
    const struct found *f;
    uint8_t *memory;
    size_t capacity;
    uint64_t base; /* offset of memory[0] */
    size_t have;
};

struct recovery {
    struct wal *w;
    const struct wal_replay *replay;
    struct errbuf *err;
    struct found *found; /* by epoch; those without a header first */
    size_t count, capacity;
    size_t first; /* of the chain in `found`; == count when there is none */
    struct reader reader;
    /* The chain as far as it was read: */
    uint64_t next_batch;
    uint32_t chain;
    bool last_is_mark;
    const struct found *last_in; /* the segment that has batch next_batch - 1; NULL: unknown */
    const char *bad;             /* why the next batch does not count */
    uint64_t end;                /* its offset in the last segment */
    bool blocked;                /* a header bound to that place lies there: it must not be written over */
    uint64_t max_epoch;          /* seen anywhere */
};

static enum status fail(struct recovery *v, enum status s, const struct found *f, uint64_t offset, const char *what)
{
    errbuf_set(v->err,
               "wal: %s/%016" PRIx64 ".wal at offset %" PRIu64 ", batch %" PRIu64 ": %s. Nothing was changed. %s",
               v->w->dir, f->number, offset, v->next_batch, what,
               s == STATUS_CORRUPT
                   ? "Durable data is damaged: keep a copy of the directory, replace the disk if it is failing, and "
                     "let this node be rebuilt from its peers"
               : s == STATUS_UNSUPPORTED ? "Start the version that wrote it, or a newer one"
                                         : "Check the disk");
    return s;
}

/* --- reading --- */

/* `size` bytes at `offset`, both whole blocks: *at borrowed until the next call, NULL when the file ends before. */
static enum status reader_get(struct recovery *v, const struct found *f, uint64_t offset, size_t size,
                              const uint8_t **at)
{
    struct reader *r = &v->reader;
    *at = NULL;
    if (size > f->bytes || offset > f->bytes - size) return STATUS_OK;
    bool inside = r->f == f && offset >= r->base && offset < r->base + r->have;
    if (inside && size <= r->have - (size_t)(offset - r->base)) {
        *at = r->memory + (size_t)(offset - r->base);
        return STATUS_OK;
    }
    size_t kept = inside ? r->have - (size_t)(offset - r->base) : 0;
    size_t wanted = size > READ_BYTES ? size : READ_BYTES;
    if (wanted > r->capacity) {
        uint8_t *memory = mem_aligned(WAL_BLOCK, wanted);
        if (kept > 0) memcpy(memory, r->memory + (size_t)(offset - r->base), kept);
        mem_free(r->memory);
        r->memory = memory;
        r->capacity = wanted;
    } else if (kept > 0) {
        memmove(r->memory, r->memory + (size_t)(offset - r->base), kept);
    }
    r->f = f;
    r->base = offset;
    r->have = kept;
    while (r->have < size) {
        uint64_t left = f->bytes - offset - r->have;
        size_t ask = r->capacity - r->have < left ? r->capacity - r->have : (size_t)left;
        size_t got = 0;
        enum status s = disk_read(f->file, offset + r->have, r->memory + r->have, ask, &got);
        if (s == STATUS_OK && got < ask) s = STATUS_IO;
        if (s != STATUS_OK) {
            r->have = 0;
            return fail(v, s, f, offset, "it cannot be read");
        }
        r->have += got;
    }
    *at = r->memory;
    return STATUS_OK;
}

/* --- finding --- */
static void add_name(void *ctx, const char *name)
{
    struct recovery *v = ctx;
    uint64_t number;
    if (!wal_path_parse(name, &number)) return;
    if (v->count == v->capacity) {
        v->capacity = v->capacity == 0 ? 64 : v->capacity * 2;
        v->found = mem_realloc(v->found, v->capacity * sizeof *v->found);
    }
    v->found[v->count++] = (struct found){.number = number};
    if (number >= v->w->next_segment) v->w->next_segment = number + 1;
}

static enum status open_found(struct recovery *v, struct found *f)
{
    char path[WAL_PATH_MAX];
    wal_path(path, v->w->dir, f->number);
    enum status s = STATUS_UNSUPPORTED;
    /* Not through the page cache if it can be helped: after a failed sync it shows what the disk does not have. */
    if (v->w->direct) s = disk_open(v->w->disk, path, DISK_READ | DISK_DIRECT, &f->file, v->err);
    if (s == STATUS_UNSUPPORTED) {
        v->w->direct = false;
        s = disk_open(v->w->disk, path, DISK_READ, &f->file, v->err);
    }
    if (s != STATUS_OK) return s;
    s = disk_size(f->file, &f->bytes);
    if (s != STATUS_OK) return fail(v, s, f, 0, "its size cannot be read");
    f->bytes -= f->bytes % WAL_BLOCK; /* a file that was cut; what was in the rest is missed by its batch */
    return STATUS_OK;
}

static enum status read_header(struct recovery *v, struct found *f)
{
    const uint8_t *block;
    enum status s = reader_get(v, f, 0, WAL_BLOCK, &block);
    if (s != STATUS_OK || block == NULL) return s;
    s = wal_segment_header_decode(block, &f->header);
    if (s == STATUS_UNSUPPORTED) return fail(v, s, f, 0, "the segment is of a newer version");
    if (s != STATUS_OK) return STATUS_OK;
    if (f->header.epoch > v->max_epoch) v->max_epoch = f->header.epoch;
    bool here = f->header.segment == f->number; /* or it was meant for another file */
    f->has_header = here && f->header.epoch != 0;
    f->whole = here && f->header.segment_bytes == f->bytes;
    return STATUS_OK;
}

static uint64_t found_epoch(const struct found *f)
{
    return f->has_header ? f->header.epoch : 0;
}

static int found_order(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (found_epoch(x) != found_epoch(y)) return found_epoch(x) < found_epoch(y) ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static enum status find_segments(struct recovery *v)
{
    enum status s = disk_list(v->w->disk, v->w->dir, add_name, v);
    if (s != STATUS_OK) errbuf_set(v->err, "wal: cannot list the directory %s: %s", v->w->dir, status_text(s));
    v->reader.f = NULL;
    for (size_t i = 0; i < v->count && s == STATUS_OK; i++) {
        s = open_found(v, &v->found[i]);
        if (s == STATUS_OK) s = read_header(v, &v->found[i]);
    }
    v->reader.f = NULL; /* the array is going to be sorted */
    if (s == STATUS_OK && v->count > 0) qsort(v->found, v->count, sizeof *v->found, found_order);
    return s;
}

/* The chain: from the oldest epoch that the newest header names. What can be wrong with it is damage: a crash leaves either
 * all of a segment's header or none. */
static enum status find_chain(struct recovery *v)
{
    v->first = v->count;
    if (v->count == 0 || !v->found[v->count - 1].has_header) return STATUS_OK;
    const struct found *newest = &v->found[v->count - 1];
    while (v->first > 0 && found_epoch(&v->found[v->first - 1]) >= newest->header.oldest_epoch) v->first--;
    const struct found *f = &v->found[v->first];
    v->next_batch = f->header.first_batch;
    v->chain = f->header.chain;
    v->w->log_id = newest->header.log_id;
    if (f->header.epoch != newest->header.oldest_epoch)
        return fail(v, STATUS_CORRUPT, newest, 0,
                    "the segment with which the log begins is missing or has lost its header");
    for (size_t i = v->first; i < v->count; i++) {
        f = &v->found[i];
        if (f->header.log_id != newest->header.log_id)
            return fail(v, STATUS_CORRUPT, f, 0, "the segment is of another log");
        if (i > v->first && f->header.epoch == f[-1].header.epoch)
            return fail(v, STATUS_CORRUPT, f, 0, "two segments have the same epoch");
        if (!f->whole) return fail(v, STATUS_CORRUPT, f, f->bytes, "the file has not the size that its header says");
    }
    return STATUS_OK;
}

/* --- replay --- */
static void deliver(const struct wal_replay *to, const struct wal_record *r)
{
    switch (r->kind) {
    case WAL_GROUP: to->group(to->ctx, r->group, r->state); break;
    case WAL_GROUP_DROPPED: to->group_dropped(to->ctx, r->group); break;
    case WAL_HARD_STATE: to->hard_state(to->ctx, r->group, &r->hard_state); break;
    case WAL_ENTRY: to->entry(to->ctx, r->group, &r->entry); break;
    case WAL_RESET: to->reset(to->ctx, r->group, r->entry.index, r->entry.term); break;
    }
}

static enum status replay_batch(struct recovery *v, const struct found *f, struct wal_segment *seg,
                                const struct wal_batch_header *h, const uint8_t *batch)
{
    struct cursor c = cursor_make(slice_make(batch + WAL_BATCH_HEADER, h->payload_bytes));
    struct wal_record r;
    for (uint32_t i = 0; i < h->records; i++) {
        enum status s = wal_record_decode(&c, &r);
        if (s == STATUS_UNSUPPORTED)
            return fail(v, s, f, h->offset, "it has a kind of record that this version does not know");
        if (s == STATUS_OK) s = wal_index_apply(v->w, seg, &r);
        if (s != STATUS_OK) return fail(v, STATUS_CORRUPT, f, h->offset, "a record is malformed or leaves a gap");
        deliver(v->replay, &r);
    }
    if (cursor_left(&c) != 0) return fail(v, STATUS_CORRUPT, f, h->offset, "it has more bytes than records");
    return STATUS_OK;
}

/* Looks at the place of batch next_batch. *batch NULL: none counts there, v->bad says why. */
static enum status read_batch(struct recovery *v, const struct found *f, uint64_t offset, struct wal_batch_header *h,
                              const uint8_t **batch)
{
    const uint8_t *at;
    *batch = NULL;
    v->blocked = false;
    v->bad = "the segment is full";
    enum status s = reader_get(v, f, offset, WAL_BLOCK, &at);
    if (s != STATUS_OK || at == NULL) return s;
    v->bad = "no valid batch header is there";
    if (le_u64(at + WAL_BATCH_LOG_ID_AT) != f->header.log_id) return STATUS_OK;
    s = wal_batch_header_decode(at, h);
    if (s == STATUS_UNSUPPORTED) return fail(v, s, f, offset, "the batch is of a newer version");
    if (s != STATUS_OK) return STATUS_OK;
    if (h->epoch > v->max_epoch) v->max_epoch = h->epoch;
    v->bad = "the batch there belongs to another place or a former life of the segment";
    if (h->segment != f->number || h->epoch != f->header.epoch || h->offset != offset) return STATUS_OK;
    v->blocked = true;
    v->bad = "the batch there has another number";
    if (h->number != v->next_batch) return STATUS_OK;
    v->bad = "the batch is longer than the segment";
    uint64_t size = wal_batch_size(h->payload_bytes);
    s = reader_get(v, f, offset, (size_t)size, &at);
    if (s != STATUS_OK || at == NULL) return s;
    v->bad = "the checksum of its payload does not match";
    if (crc32c(0, at + WAL_BATCH_HEADER, (size_t)size - WAL_BATCH_HEADER) != h->payload_crc) return STATUS_OK;
    if (h->chain != v->chain)
        return fail(v, STATUS_CORRUPT, f, offset,
                    "the batch does not continue the one before: one of them is not what was written");
    *batch = at;
    v->blocked = false;
    return STATUS_OK;
}

/* Replays the batches of one segment below `until`, the first batch of the next one (UINT64_MAX: there is none). */
static enum status walk_segment(struct recovery *v, const struct found *f, struct wal_segment *seg, uint64_t until)
{
    uint64_t offset = WAL_BLOCK;
    while (v->next_batch < until) {
        struct wal_batch_header h;
        const uint8_t *batch;
        enum status s = read_batch(v, f, offset, &h, &batch);
        if (s != STATUS_OK) return s;
        if (batch == NULL) break;
        s = replay_batch(v, f, seg, &h, batch);
        if (s != STATUS_OK) return s;
        v->next_batch++;
        v->chain = h.crc;
        v->last_is_mark = h.records == 0;
        v->last_in = f;
        offset += wal_batch_size(h.payload_bytes);
    }
    if (until != UINT64_MAX && v->next_batch < until) {
        char what[256];
        (void)snprintf(what, sizeof what, "%s, and segment %016" PRIx64 " says that it was durable", v->bad,
                       f[1].number);
        return fail(v, STATUS_CORRUPT, f, offset, what);
    }
    seg->end = v->end = offset;
    return STATUS_OK;
}

static enum status walk_chain(struct recovery *v)
{
    struct wal *w = v->w;
    for (size_t i = v->first; i < v->count; i++) {
        const struct found *f = &v->found[i];
        if (f->header.first_batch != v->next_batch || f->header.chain != v->chain)
            return fail(v, STATUS_CORRUPT, f, 0, "the segment does not continue the one before");
        struct wal_segment *seg = wal_segment_new(f->number, f->bytes);
        seg->epoch = f->header.epoch;
        list_push_back(&w->live, &seg->link);
        w->live_count++;
        w->current = seg;
        bool last = i + 1 == v->count;
        enum status s = walk_segment(v, f, seg, last ? UINT64_MAX : v->found[i + 1].header.first_batch);
        if (s != STATUS_OK) return s;
        if (!last && seg->end == WAL_BLOCK) { /* left by a crash before its first batch */
            COVER("wal.empty_segment");
            list_remove(&seg->link);
            w->live_count--;
            wal_segment_release(w, seg);
        }
    }
    return STATUS_OK;
}

/* --- the end --- */

/* Any intact batch header of this log, wherever it lies, tells the truth about what was durable when it was made. What a
 * client stored may look like a header, too, but it cannot know the log's id. */
static enum status look_for_claims(struct recovery *v, const struct found *f, uint64_t offset)
{
    for (;; offset += WAL_BLOCK) {
        const uint8_t *at;
        struct wal_batch_header h;
        enum status s = reader_get(v, f, offset, WAL_BLOCK, &at);
        if (s != STATUS_OK || at == NULL) return s;
        if (v->w->log_id != 0 && le_u64(at + WAL_BATCH_LOG_ID_AT) != v->w->log_id) continue;
        s = wal_batch_header_decode(at, &h);
        if (s == STATUS_UNSUPPORTED) return fail(v, s, f, offset, "a batch there is of a newer version");
        if (s != STATUS_OK) continue;
        if (h.epoch > v->max_epoch) v->max_epoch = h.epoch;
        if (h.synced_through < v->next_batch) continue;
        char what[400];
        const struct found *where = v->first < v->count ? &v->found[v->count - 1] : f;
        (void)snprintf(what, sizeof what,
                       "%s, but the header of batch %" PRIu64 ", in segment %016" PRIx64 " at offset %" PRIu64
                       ", says that everything up to batch %" PRIu64 " was durable",
                       v->bad, h.number, f->number, offset, h.synced_through);
        return fail(v, STATUS_CORRUPT, where, v->end, what);
    }
}

static enum status judge_end(struct recovery *v)
{
    enum status s = STATUS_OK;
    for (size_t i = 0; i < v->first && s == STATUS_OK; i++) s = look_for_claims(v, &v->found[i], 0);
    if (s == STATUS_OK && v->first < v->count) s = look_for_claims(v, &v->found[v->count - 1], v->end);
    return s;
}

/* The files outside of the chain: spares, or left over from a crash or a failure while they were being made. */
static void keep_spares(struct recovery *v)
{
    for (size_t i = 0; i < v->first; i++) {
        const struct found *f = &v->found[i];
        if (f->whole) {
            wal_segment_release(v->w, wal_segment_new(f->number, f->bytes));
        } else {
            wal_doom(v->w, f->number);
        }
    }
}

static void finish(struct recovery *v, struct wal_segment **sync_too)
{
    struct wal *w = v->w;
    keep_spares(v);
    w->next_batch = v->next_batch;
    w->chain = v->chain;
    w->next_epoch = v->max_epoch + 1;
    w->last_is_mark = v->last_is_mark;
    if (w->log_id == 0) w->env->ops->random(w->env, &w->log_id, sizeof w->log_id);
    if (w->log_id == 0) w->log_id = 1;
    if (v->blocked) {
        COVER("wal.torn_tail");
        w->current->end = w->current->bytes; /* sealed: the next batch takes a new segment */
    }
    *sync_too = NULL;
    LIST_FOR(node, &w->live)
    {
        struct wal_segment *s = LIST_ENTRY(node, struct wal_segment, link);
        if (v->last_in != NULL && s->number == v->last_in->number && s != w->current) *sync_too = s;
    }
    uint64_t key;
    void *value;
    for (size_t it = 0; map_next(&w->groups, &it, &key, &value);) {
        struct wal_group *g = value;
        g->put_last = g->last_index;
    }
}

enum status wal_recover(struct wal *w, const struct wal_replay *replay, struct wal_segment **sync_too,
                        struct errbuf *err)
{
    struct recovery v = {.w = w, .replay = replay, .err = err, .next_batch = 1, .bad = "no segment header is intact"};
    v.reader.memory = mem_aligned(WAL_BLOCK, READ_BYTES);
    v.reader.capacity = READ_BYTES;
    uint64_t start = env_mono_ns(w->env);
    enum status s = find_segments(&v);
    if (s == STATUS_OK) s = find_chain(&v);
    if (s == STATUS_OK) s = walk_chain(&v);
    if (s == STATUS_OK) s = judge_end(&v);
    if (s == STATUS_OK) {
        finish(&v, sync_too);
        log_event(w->env->log, LOG_INFO, "wal.recovered",
                  "segments=%u next_batch=%" PRIu64 " end=%" PRIu64 " torn=%d groups=%zu ms=%" PRIu64, w->live_count,
                  w->next_batch, v.end, (int)v.blocked, w->groups.count,
                  (uint64_t)((env_mono_ns(w->env) - start) / NS_PER_MS));
    }
    for (size_t i = 0; i < v.count; i++) disk_close(v.found[i].file);
    mem_free(v.found);
    mem_free(v.reader.memory);
    return s;
}
