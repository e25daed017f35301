/* What a job does on a worker: it touches the job, frozen memtables, immutable tables and, for a commit, the manifest. */
#include "base/mem.h"
#include "base/mutant.h"
#include "lsm/lsm_int.h"

void lsm_output_to_edit(struct lsm *l, struct output *o, uint64_t *ids, uint32_t level, uint64_t run, struct edit *e)
{
    for (size_t i = 0; i < o->table_count; i++) {
        struct slice lower, upper;
        lsm_file_whole(o->tables[i], &lower, &upper);
        edit_add(e, lsm_file_new(l, (*ids)++, o->tables[i], level, run, lower, upper));
        mem_free((void *)(uintptr_t)upper.data);
    }
    output_hand_over(o);
}

static enum status flush_rows(struct job *j)
{
    struct gc gc;
    gc_init(&gc, j->safepoint, j->version, 0, true);
    struct rowsource source = {.memtable = NULL};
    rowsource_init_memtable(&source, j->memtable);
    enum status s = rowsource_seek(&source, SLICE_EMPTY, LSM_TS_MAX);
    while (s == STATUS_OK) {
        if (gc_keep(&gc, &source.row)) s = output_add(&j->out, &source.row);
        if (s == STATUS_OK) s = rowsource_next(&source);
    }
    rowsource_free(&source);
    gc_free(&gc);
    if (s == STATUS_END) s = output_finish(&j->out);
    return s;
}

static void run_flush(struct job *j)
{
    j->status = flush_rows(j);
    if (j->status != STATUS_OK) {
        j->err = j->out.err;
        return;
    }
    lsm_output_to_edit(j->l, &j->out, &j->ids, 0, j->ids, &j->edit);
    uint64_t group;
    void *a;
    const struct memtable *named = MUTANT(flush_claims_newer) ? j->l->active : j->memtable;
    for (size_t it = 0; map_next(&named->applied, &it, &group, &a);) edit_applied(&j->edit, a);
    erase_list_add_all(&j->edit.erases, &named->erases);
    j->committing = true;
}

static void run_compact(struct job *j)
{
    struct compaction *c = j->compaction;
    bool finished = false;
    j->status = compaction_run(c, &finished, &j->reading);
    if (j->status != STATUS_OK) j->err = c->out.err;
    if (j->status != STATUS_OK || !finished) return;
    for (size_t i = 0; i < c->pick.count; i++) edit_remove(&j->edit, c->pick.files[i]->id);
    lsm_output_to_edit(j->l, &c->out, &j->ids, c->pick.level, c->pick.new_run ? j->ids : 0, &j->edit);
    j->committing = true;
}

static void run_remove(struct job *j)
{
    for (size_t i = 0; i < j->grave_count; i++) {
        char path[TABLE_PATH_MAX];
        table_path(path, j->l->dir, j->graves[i].number);
        table_free(j->graves[i].table);
        j->graves[i].table = NULL;
        enum status s = disk_remove(j->l->env->disk, path);
        if (s == STATUS_OK || s == STATUS_NOT_FOUND) continue;
        j->reading = true; /* harmless: the file goes when the store is opened next */
        errbuf_set(&j->err, "%s: %s", path, status_text(s));
    }
}

/* Index, filter, properties and footer are in memory since the table was opened: they are read as if it were opened anew. */
static enum status scrub_part(struct job *j, struct table *t, uint32_t at)
{
    if (at == t->block_count) {
        struct table *again = NULL;
        bool unreadable;
        enum status s = table_open(j->l->env->disk, j->l->dir, &t->id, &again, &unreadable, &j->err);
        if (unreadable) t->unreadable = true;
        table_free(again);
        return s;
    }
    uint8_t *raw = NULL;
    struct block block;
    enum status s = table_read_block(t, at, TABLE_NO_ROOM, &raw, &block);
    mem_free(raw);
    if (s != STATUS_OK)
        errbuf_set(&j->err, "table %llu: block %u: %s", (unsigned long long)t->id.number, at, status_text(s));
    return s;
}

static void run_scrub(struct job *j)
{
    struct table *t = j->scrubbed->table;
    uint64_t until = table_offset(t, j->scrub_block) + SCRUB_STEP_BYTES;
    for (; j->scrub_block <= t->block_count && table_offset(t, j->scrub_block) < until; j->scrub_block++) {
        j->status = scrub_part(j, t, j->scrub_block);
        j->reading = j->status != STATUS_OK;
        if (j->reading) return;
    }
}

void lsm_job_execute(struct task *t)
{
    struct job *j = (struct job *)(void *)((char *)t - offsetof(struct job, task));
    struct lsm *l = j->l;
    if (!j->committing) {
        switch (j->kind) {
        case JOB_FLUSH: run_flush(j); break;
        case JOB_COMPACT: run_compact(j); break;
        case JOB_EDIT: j->committing = true; break;
        case JOB_REMOVE: run_remove(j); break;
        case JOB_SCRUB: run_scrub(j); break;
        case JOB_CHECKPOINT: j->status = checkpoint_run(j->checkpoint, l, j->version, buf_slice(&j->whole)); break;
        }
    }
    if (!j->committing) return;
    if (j->payload.size == 0) {
        manifest_put_next(&j->payload, j->next);
        manifest_put_safepoint(&j->payload, j->safepoint);
        edit_encode(&j->edit, &j->payload);
    }
    j->status = manifest_commit(&l->manifest, buf_slice(&j->whole), buf_slice(&j->payload));
    if (j->status != STATUS_OK)
        errbuf_set(&j->err, "%s: writing the manifest failed: %s", l->dir, status_text(j->status));
}
