/* Damage: found by readers, by compaction, or by the scrubber, which reads every table from end to end once in options.scrub_ms, a
 * step of SCRUB_STEP_BYTES at a time when nothing else is due. A damaged table is quarantined: whoever answers for its keys is
 * told, and brings rows from elsewhere. Until then it stays where it is, unless it is in the way of a compaction (pick.h).
 *
 *   sound ---> quarantined in its level ---> LSM_DAMAGED ---> gone: replaced (ingest.c)
 *     |               | replaced               ^ the manifest says so from here on
 *     |               +----------------------> gone
 *     +--- cannot be opened -------------------+ */
#include "lsm/lsm_int.h"

static void tell(struct lsm *l, const struct table *t)
{
    for (size_t i = 0; l->damaged != NULL && i < l->version->file_count; i++) {
        const struct lsm_file *f = l->version->files[i];
        if (f->table == t) l->damaged(l->damaged_ctx, f->lower, f->upper);
    }
}

void lsm_quarantine(struct lsm *l, struct lsm_file *f, uint32_t block)
{
    if (f->table->quarantined) return;
    f->table->quarantined = true;
    l->quarantined++;
    char path[TABLE_PATH_MAX];
    table_path(path, l->dir, f->table->id.number);
    bool refused = f->table->unreadable;
    log_event(l->env->log, LOG_ERROR, refused ? "lsm.unreadable" : "lsm.corrupt",
              "file=%s offset=%llu cause=%s cure=\"%s\"", path, (unsigned long long)table_offset(f->table, block),
              refused ? "io_error" : "checksum",
              refused ? "rebuild_replica; replace the disk if it happens again" : "rebuild_replica");
    tell(l, f->table);
}

void lsm_on_damage(struct lsm *l, void (*damaged)(void *ctx, struct slice start, struct slice end), void *ctx)
{
    l->damaged = damaged;
    l->damaged_ctx = ctx;
    for (size_t i = 0; damaged != NULL && i < l->version->file_count; i++) {
        const struct lsm_file *f = l->version->files[i];
        if (f->table->quarantined || f->level == LSM_DAMAGED) damaged(ctx, f->lower, f->upper);
    }
}

bool lsm_scrub_due(const struct lsm *l)
{
    return l->options.scrub_ms > 0 && l->version->file_count > 0 && env_mono_ns(l->env) >= l->scrub_at_ns;
}

/* Files in the order of their ids: new ones come last, and have just been written. */
static struct lsm_file *file_after(const struct lsm *l, uint64_t id)
{
    struct lsm_file *next = NULL;
    for (size_t i = 0; i < l->version->file_count; i++) {
        struct lsm_file *f = l->version->files[i];
        if (f->id >= id && !f->table->quarantined && (next == NULL || f->id < next->id)) next = f;
    }
    return next;
}

bool lsm_scrub_next(struct lsm *l, struct job *j)
{
    struct lsm_file *f = file_after(l, l->scrub_id);
    if (f == NULL || f->id != l->scrub_id) l->scrub_block = 0;
    if (f == NULL) f = file_after(l, 0);
    if (f == NULL) return false;
    l->scrub_id = f->id;
    j->scrubbed = lsm_file_ref(f);
    j->scrub_block = l->scrub_block;
    return true;
}

void lsm_scrubbed(struct lsm *l, struct job *j)
{
    const struct table *t = j->scrubbed->table;
    uint64_t total = 1;
    for (size_t i = 0; i < l->version->file_count; i++) total += l->version->files[i]->table->id.size;
    uint64_t steps = total / SCRUB_STEP_BYTES + l->version->file_count;
    l->scrub_at_ns = env_mono_ns(l->env) + l->options.scrub_ms * NS_PER_MS / steps;
    if (j->status == STATUS_CORRUPT) lsm_quarantine(l, j->scrubbed, j->scrub_block);
    bool whole = j->scrub_block > t->block_count;
    l->scrubbed_bytes += (whole ? t->id.size : table_offset(t, j->scrub_block)) - table_offset(t, l->scrub_block);
    l->scrub_block = j->scrub_block;
    if (j->status == STATUS_OK && !whole) return;
    l->scrub_id++;
    l->scrub_block = 0;
}
