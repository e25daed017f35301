/* A damaged log: what can be read of it, and a new one in its place. docs/formats/wal.md, Salvage, says why one sector is
 * enough to switch from the one to the other. */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "wal/wal_scan.h"

/* Above all epochs that the damage may have hidden. */
#define EPOCH_GAP (1ull << 32)

/* The segments that were the log until now, and those that meant nothing. */
struct wal_anew {
    const struct wal_options *options;
    uint64_t *chain, *others;
    size_t chain_count, other_count;
};

void wal_anew_free(struct wal_anew *a)
{
    if (a == NULL) return;
    mem_free(a->chain);
    mem_free(a->others);
    mem_free(a);
}

/* --- reading --- */

/* A batch that lies where it was written, all of it: *batch, or NULL. */
static enum status batch_at(struct wal_scan *v, const struct wal_found *f, uint64_t offset, struct wal_batch_header *h,
                            const uint8_t **batch)
{
    const uint8_t *at;
    *batch = NULL;
    enum status s = wal_scan_read(v, f, offset, WAL_BLOCK, &at);
    if (s != STATUS_OK || at == NULL) return s;
    if (le_u64(at + WAL_BATCH_LOG_ID_AT) != f->header.log_id) return STATUS_OK;
    s = wal_batch_header_decode(at, h);
    if (s == STATUS_UNSUPPORTED) return wal_scan_fail(v, s, f, offset, "the batch is of a newer version");
    if (s != STATUS_OK) return STATUS_OK;
    if (h->epoch > v->max_epoch) v->max_epoch = h->epoch;
    if (h->segment != f->number || h->epoch != f->header.epoch || h->offset != offset) return STATUS_OK;
    uint64_t size = wal_batch_size(h->payload_bytes);
    s = wal_scan_read(v, f, offset, (size_t)size, &at);
    if (s != STATUS_OK || at == NULL) return s;
    if (crc32c(0, at + WAL_BATCH_HEADER, (size_t)size - WAL_BATCH_HEADER) == h->payload_crc) *batch = at;
    return STATUS_OK;
}

static enum status deliver_states(struct wal_scan *v, const struct wal_found *f, const struct wal_batch_header *h,
                                  const uint8_t *batch, const struct wal_replay *to)
{
    struct cursor c = cursor_make(slice_make(batch + WAL_BATCH_HEADER, h->payload_bytes));
    struct wal_record r;
    for (uint32_t i = 0; i < h->records; i++) {
        enum status s = wal_record_decode(&c, &r);
        if (s == STATUS_UNSUPPORTED)
            return wal_scan_fail(v, s, f, h->offset, "it has a kind of record that this version does not know");
        if (s != STATUS_OK) return STATUS_OK; /* damaged before it was written: the rest of it cannot be told */
        if (r.kind == WAL_GROUP || r.kind == WAL_GROUP_DROPPED || r.kind == WAL_HARD_STATE) wal_deliver(to, &r);
    }
    return STATUS_OK;
}

static enum status salvage_segment(struct wal_scan *v, const struct wal_found *f, const struct wal_replay *to)
{
    uint64_t offset = WAL_BLOCK;
    while (offset + WAL_BLOCK <= f->bytes) {
        struct wal_batch_header h;
        const uint8_t *batch;
        enum status s = batch_at(v, f, offset, &h, &batch);
        if (s == STATUS_OK && batch != NULL) s = deliver_states(v, f, &h, batch, to);
        if (s != STATUS_OK) return s;
        offset += batch != NULL ? wal_batch_size(h.payload_bytes) : WAL_BLOCK;
    }
    return STATUS_OK;
}

static void keep_number(uint64_t **numbers, size_t *count, uint64_t number)
{
    *numbers = mem_realloc(*numbers, (*count + 1) * sizeof **numbers);
    (*numbers)[(*count)++] = number;
}

static enum status salvage(struct wal *w, const struct wal_replay *to, struct wal_anew *a, struct errbuf *err)
{
    struct wal_scan v;
    uint64_t oldest = 0;
    enum status s = wal_scan_open(&v, w, err);
    if (v.count > 0 && v.found[v.count - 1].has_header) oldest = v.found[v.count - 1].header.oldest_epoch;
    for (size_t i = 0; i < v.count && s == STATUS_OK; i++) {
        const struct wal_found *f = &v.found[i];
        /* Where headers are damaged nobody knows what a file was: all of it is evidence, unless it was never used. */
        bool former = f->has_header && f->header.epoch < oldest;
        bool blank = f->whole && !f->has_header;
        if (former || blank) {
            keep_number(&a->others, &a->other_count, f->number);
        } else {
            keep_number(&a->chain, &a->chain_count, f->number);
            if (f->has_header) s = salvage_segment(&v, f, to);
        }
    }
    w->next_epoch = v.max_epoch + EPOCH_GAP;
    wal_scan_close(&v);
    return s;
}

enum status wal_salvage(struct env *env, const struct wal_options *o, const struct wal_replay *replay, struct wal **out,
                        struct errbuf *err)
{
    enum status s;
    *out = NULL;
    struct wal *w = wal_new(env, o, &s, err);
    if (w == NULL) return s;
    w->anew = mem_zalloc(sizeof *w->anew);
    w->anew->options = o;
    s = salvage(w, replay, w->anew, err);
    if (s != STATUS_OK) {
        wal_free(w);
        return s;
    }
    env->ops->random(env, &w->log_id, sizeof w->log_id);
    w->log_id |= 1;
    *out = w;
    return STATUS_OK;
}

/* --- beginning anew --- */

/* The batch first; then, when it is on the disk, the header that makes it the log. */
static enum status write_first(struct wal_write *x)
{
    x->failed = "create";
    enum status s =
        wal_segment_create(x->disk, x->dir, x->segment_number, x->segment_bytes, x->method, x->direct, &x->file);
    if (s != STATUS_OK) return s;
    x->failed = "write";
    s = disk_write(x->file, WAL_BLOCK, x->bytes + WAL_BLOCK, x->size - WAL_BLOCK);
    if (s == STATUS_OK) s = disk_sync(x->file);
    if (s == STATUS_OK) s = disk_write(x->file, 0, x->bytes, WAL_BLOCK);
    if (s == STATUS_OK) s = disk_sync(x->file);
    return s;
}

/* The old segments mean nothing any more: a failure here leaves them to be taken for spares by a later start. */
static void set_aside(struct wal *w)
{
    const struct wal_anew *a = w->anew;
    for (size_t i = 0; i < a->other_count; i++) wal_doom(w, a->others[i]);
    for (size_t i = 0; i < a->chain_count; i++) {
        char from[WAL_PATH_MAX], to[WAL_PATH_MAX + sizeof WAL_DAMAGED_SUFFIX];
        wal_path(from, w->dir, a->chain[i]);
        (void)snprintf(to, sizeof to, "%s/%016" PRIx64 WAL_DAMAGED_SUFFIX, w->dir, a->chain[i]);
        if (disk_rename(w->disk, from, to) != STATUS_OK)
            log_event(w->env->log, LOG_WARN, "wal.evidence_lost", "segment=%016" PRIx64, a->chain[i]);
    }
    if (disk_sync_dir(w->disk, w->dir) != STATUS_OK)
        log_event(w->env->log, LOG_WARN, "wal.evidence_lost", "the directory could not be synced");
}

enum status wal_begin_anew(struct wal *w, struct errbuf *err)
{
    ASSERT(w->anew != NULL);
    enum status s = wal_method_choose(w, !w->anew->options->skip_self_test, err);
    if (s != STATUS_OK) return s;
    COVER("wal.begin_anew");
    wal_write_prepare(w, false);
    struct wal_write *x = &w->write;
    ASSERT(x->create);
    x->status = write_first(x);
    x->segment->file = x->file;
    if (x->status != STATUS_OK) {
        w->busy = false;
        w->failed = true;
        errbuf_set(err,
                   "wal: could not %s segment %016" PRIx64 " of %s, the first of a log in place of the damaged one: %s",
                   x->failed, x->segment_number, w->dir, status_text(x->status));
        return x->status;
    }
    wal_write_finish(w);
    set_aside(w);
    log_event(w->env->log, LOG_WARN, "wal.begun_anew", "segments_set_aside=%zu groups=%zu", w->anew->chain_count,
              w->groups.count);
    wal_anew_free(w->anew);
    w->anew = NULL;
    wal_check(w);
    wal_chores(w);
    return STATUS_OK;
}
