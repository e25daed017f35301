/* Opening: find the chain, replay it, decide whether its end is a torn write or damage. docs/formats/wal.md, Recovery, says
 * what the steps are and why they are right. Reads only. */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "wal/wal_scan.h"

struct recovery {
    struct wal_scan scan; /* scan.next_batch: the chain has been read up to there */
    const struct wal_replay *replay;
    size_t first; /* of the chain in scan.found; == scan.count when there is none */
    /* The chain as far as it was read: */
    uint32_t chain;
    bool last_is_mark;
    const struct wal_found *last_in; /* the segment that has batch next_batch - 1; NULL: unknown */
    const char *bad;                 /* why the next batch does not count */
    uint64_t end;                    /* its offset in the last segment */
    bool blocked;                    /* a header bound to that place lies there: it must not be written over */
};

/* The chain: from the oldest epoch that the newest header names. What can be wrong with it is damage: a crash leaves either
 * all of a segment's header or none. */
static enum status find_chain(struct recovery *v)
{
    v->first = v->scan.count;
    if (v->scan.count == 0 || !v->scan.found[v->scan.count - 1].has_header) return STATUS_OK;
    const struct wal_found *newest = &v->scan.found[v->scan.count - 1];
    while (v->first > 0 && wal_found_epoch(&v->scan.found[v->first - 1]) >= newest->header.oldest_epoch) v->first--;
    const struct wal_found *f = &v->scan.found[v->first];
    v->scan.next_batch = f->header.first_batch;
    v->chain = f->header.chain;
    v->scan.w->log_id = newest->header.log_id;
    if (f->header.epoch != newest->header.oldest_epoch)
        return wal_scan_fail(&v->scan, STATUS_CORRUPT, newest, 0,
                             "the segment with which the log begins is missing or has lost its header");
    for (size_t i = v->first; i < v->scan.count; i++) {
        f = &v->scan.found[i];
        if (f->header.log_id != newest->header.log_id)
            return wal_scan_fail(&v->scan, STATUS_CORRUPT, f, 0, "the segment is of another log");
        if (i > v->first && f->header.epoch == f[-1].header.epoch)
            return wal_scan_fail(&v->scan, STATUS_CORRUPT, f, 0, "two segments have the same epoch");
        if (!f->whole)
            return wal_scan_fail(&v->scan, STATUS_CORRUPT, f, f->bytes,
                                 "the file has not the size that its header says");
    }
    return STATUS_OK;
}

/* --- replay --- */
void wal_deliver(const struct wal_replay *to, const struct wal_record *r)
{
    switch (r->kind) {
    case WAL_GROUP: to->group(to->ctx, r->group, r->state); break;
    case WAL_GROUP_DROPPED: to->group_dropped(to->ctx, r->group); break;
    case WAL_HARD_STATE: to->hard_state(to->ctx, r->group, &r->hard_state); break;
    case WAL_ENTRY: to->entry(to->ctx, r->group, &r->entry); break;
    case WAL_RESET: to->reset(to->ctx, r->group, r->entry.index, r->entry.term); break;
    }
}

static enum status replay_batch(struct recovery *v, const struct wal_found *f, struct wal_segment *seg,
                                const struct wal_batch_header *h, const uint8_t *batch)
{
    struct cursor c = cursor_make(slice_make(batch + WAL_BATCH_HEADER, h->payload_bytes));
    struct wal_record r;
    for (uint32_t i = 0; i < h->records; i++) {
        enum status s = wal_record_decode(&c, &r);
        if (s == STATUS_UNSUPPORTED)
            return wal_scan_fail(&v->scan, s, f, h->offset, "it has a kind of record that this version does not know");
        if (s == STATUS_OK) s = wal_index_apply(v->scan.w, seg, &r);
        if (s != STATUS_OK)
            return wal_scan_fail(&v->scan, STATUS_CORRUPT, f, h->offset, "a record is malformed or leaves a gap");
        wal_deliver(v->replay, &r);
    }
    if (cursor_left(&c) != 0)
        return wal_scan_fail(&v->scan, STATUS_CORRUPT, f, h->offset, "it has more bytes than records");
    return STATUS_OK;
}

/* Looks at the place of batch next_batch. *batch NULL: none counts there, v->bad says why. */
static enum status read_batch(struct recovery *v, const struct wal_found *f, uint64_t offset,
                              struct wal_batch_header *h, const uint8_t **batch)
{
    const uint8_t *at;
    *batch = NULL;
    v->blocked = false;
    v->bad = "the segment is full";
    enum status s = wal_scan_read(&v->scan, f, offset, WAL_BLOCK, &at);
    if (s != STATUS_OK || at == NULL) return s;
    v->bad = "no valid batch header is there";
    if (le_u64(at + WAL_BATCH_LOG_ID_AT) != f->header.log_id) return STATUS_OK;
    s = wal_batch_header_decode(at, h);
    if (s == STATUS_UNSUPPORTED) return wal_scan_fail(&v->scan, s, f, offset, "the batch is of a newer version");
    if (s != STATUS_OK) return STATUS_OK;
    if (h->epoch > v->scan.max_epoch) v->scan.max_epoch = h->epoch;
    v->bad = "the batch there belongs to another place or a former life of the segment";
    bool former_life = MUTANT(former_life_replayed);
    if (h->segment != f->number || (h->epoch != f->header.epoch && !former_life) || h->offset != offset)
        return STATUS_OK;
    v->blocked = true;
    v->bad = "the batch there has another number";
    if (h->number != v->scan.next_batch && !former_life) return STATUS_OK;
    v->bad = "the batch is longer than the segment";
    uint64_t size = wal_batch_size(h->payload_bytes);
    s = wal_scan_read(&v->scan, f, offset, (size_t)size, &at);
    if (s != STATUS_OK || at == NULL) return s;
    v->bad = "the checksum of its payload does not match";
    if (crc32c(0, at + WAL_BATCH_HEADER, (size_t)size - WAL_BATCH_HEADER) != h->payload_crc &&
        !MUTANT(torn_batch_replayed))
        return STATUS_OK;
    if (h->chain != v->chain && !former_life)
        return wal_scan_fail(&v->scan, STATUS_CORRUPT, f, offset,
                             "the batch does not continue the one before: one of them is not what was written");
    *batch = at;
    v->blocked = false;
    return STATUS_OK;
}

/* Replays the batches of one segment below `until`, the first batch of the next one (UINT64_MAX: there is none). */
static enum status walk_segment(struct recovery *v, const struct wal_found *f, struct wal_segment *seg, uint64_t until)
{
    uint64_t offset = WAL_BLOCK;
    while (v->scan.next_batch < until) {
        struct wal_batch_header h;
        const uint8_t *batch;
        enum status s = read_batch(v, f, offset, &h, &batch);
        if (s != STATUS_OK) return s;
        if (batch == NULL) break;
        s = replay_batch(v, f, seg, &h, batch);
        if (s != STATUS_OK) return s;
        v->scan.next_batch++;
        v->chain = h.crc;
        v->last_is_mark = h.records == 0;
        v->last_in = f;
        seg->last_at = offset;
        seg->last_size = wal_batch_size(h.payload_bytes);
        offset += wal_batch_size(h.payload_bytes);
    }
    if (until != UINT64_MAX && v->scan.next_batch < until) {
        char what[256];
        (void)snprintf(what, sizeof what, "%s, and segment %016" PRIx64 " says that it was durable", v->bad,
                       f[1].number);
        return wal_scan_fail(&v->scan, STATUS_CORRUPT, f, offset, what);
    }
    seg->end = v->end = offset;
    return STATUS_OK;
}

static enum status walk_chain(struct recovery *v)
{
    struct wal *w = v->scan.w;
    for (size_t i = v->first; i < v->scan.count; i++) {
        const struct wal_found *f = &v->scan.found[i];
        if (f->header.first_batch != v->scan.next_batch || f->header.chain != v->chain)
            return wal_scan_fail(&v->scan, STATUS_CORRUPT, f, 0, "the segment does not continue the one before");
        struct wal_segment *seg = wal_segment_new(f->number, f->bytes);
        seg->epoch = f->header.epoch;
        list_push_back(&w->live, &seg->link);
        w->live_count++;
        w->current = seg;
        bool last = i + 1 == v->scan.count;
        enum status s = walk_segment(v, f, seg, last ? UINT64_MAX : v->scan.found[i + 1].header.first_batch);
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
static enum status look_for_claims(struct recovery *v, const struct wal_found *f, uint64_t offset)
{
    for (;; offset += WAL_BLOCK) {
        const uint8_t *at;
        struct wal_batch_header h;
        enum status s = wal_scan_read(&v->scan, f, offset, WAL_BLOCK, &at);
        if (s != STATUS_OK || at == NULL) return s;
        if (v->scan.w->log_id != 0 && le_u64(at + WAL_BATCH_LOG_ID_AT) != v->scan.w->log_id) continue;
        s = wal_batch_header_decode(at, &h);
        if (s == STATUS_UNSUPPORTED)
            return wal_scan_fail(&v->scan, s, f, offset, "a batch there is of a newer version");
        if (s != STATUS_OK) continue;
        if (h.epoch > v->scan.max_epoch) v->scan.max_epoch = h.epoch;
        if (h.synced_through < v->scan.next_batch) continue;
        char what[400];
        const struct wal_found *where = v->first < v->scan.count ? &v->scan.found[v->scan.count - 1] : f;
        (void)snprintf(what, sizeof what,
                       "%s, but the header of batch %" PRIu64 ", in segment %016" PRIx64 " at offset %" PRIu64
                       ", says that everything up to batch %" PRIu64 " was durable",
                       v->bad, h.number, f->number, offset, h.synced_through);
        return wal_scan_fail(&v->scan, STATUS_CORRUPT, where, v->end, what);
    }
}

static enum status judge_end(struct recovery *v)
{
    if (MUTANT(damage_taken_for_tail)) return STATUS_OK;
    enum status s = STATUS_OK;
    for (size_t i = 0; i < v->first && s == STATUS_OK; i++) s = look_for_claims(v, &v->scan.found[i], 0);
    if (s == STATUS_OK && v->first < v->scan.count) s = look_for_claims(v, &v->scan.found[v->scan.count - 1], v->end);
    return s;
}

/* The files outside of the chain: spares, or left over from a crash or a failure while they were being made. */
static void keep_spares(struct recovery *v)
{
    for (size_t i = 0; i < v->first; i++) {
        const struct wal_found *f = &v->scan.found[i];
        if (f->whole) {
            wal_segment_release(v->scan.w, wal_segment_new(f->number, f->bytes));
        } else {
            wal_doom(v->scan.w, f->number);
        }
    }
}

static void finish(struct recovery *v, struct wal_segment **sync_too)
{
    struct wal *w = v->scan.w;
    keep_spares(v);
    w->next_batch = v->scan.next_batch;
    w->first_batch = v->first < v->scan.count ? v->scan.found[v->first].header.first_batch : 0;
    w->chain = v->chain;
    w->next_epoch = v->scan.max_epoch + 1;
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
    struct recovery v = {.replay = replay, .bad = "no segment header is intact"};
    uint64_t start = env_mono_ns(w->env);
    enum status s = wal_scan_open(&v.scan, w, err);
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
    wal_scan_close(&v.scan);
    return s;
}
