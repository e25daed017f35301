/* The background step: chooses the next job. Waiting changes of files go first, then checkpoints, flushes, compaction, scrubbing. */
#include "base/mem.h"
#include "lsm/lsm_int.h"

static void start_remove(struct lsm *l)
{
    struct job *j = lsm_job_new(l, JOB_REMOVE);
    j->graves = l->graves;
    j->grave_count = l->grave_count;
    l->graves = NULL;
    l->grave_count = l->grave_capacity = 0;
    lsm_job_submit(j);
}

static void start_flush(struct lsm *l)
{
    struct job *j = lsm_job_new(l, JOB_FLUSH);
    j->memtable = memtable_ref(l->frozen[0]);
    j->version = version_ref(l->version);
    output_init(&j->out, l->env->disk, l->dir, &l->options, version_last_level(l->version),
                lsm_reserve(l, OUTPUT_TABLES_MAX), lsm_salt(l));
    j->ids = lsm_reserve(l, OUTPUT_TABLES_MAX);
    lsm_job_submit(j);
}

/* In the order in which they were asked for: a later one may be about the same keys. */
static struct lsm_ingest *ready_install(struct lsm *l)
{
    if (list_empty(&l->installs)) return NULL;
    struct lsm_ingest *g = LIST_ENTRY(l->installs.next, struct lsm_ingest, link);
    return ingest_ready(g) ? g : NULL;
}

static void start_install(struct lsm *l, struct lsm_ingest *g)
{
    list_remove(&g->link);
    compaction_cancel_range(l, g->start, g->end);
    struct job *j = lsm_job_new(l, JOB_EDIT);
    j->ingest = g;
    ingest_edit(g, &j->edit, &l->next);
    lsm_job_submit(j);
}

static void start_move(struct lsm *l, struct compaction *c)
{
    struct job *j = lsm_job_new(l, JOB_EDIT);
    j->compaction = c;
    uint64_t run = c->pick.new_run ? lsm_reserve(l, 1) : 0;
    for (size_t i = 0; i < c->pick.count; i++) {
        const struct lsm_file *f = c->pick.files[i];
        edit_remove(&j->edit, f->id);
        f->table->refs++;
        edit_add(&j->edit, lsm_file_new(l, lsm_reserve(l, 1), f->table, c->pick.level, run, f->lower, f->upper));
    }
    lsm_job_submit(j);
}

/* Nobody writes, or so little that no flush has come of it for a while. */
static bool quiet(const struct lsm *l)
{
    return memtable_empty(l->active) || l->flushed_at_ns == 0 || env_mono_ns(l->env) - l->flushed_at_ns > QUIET_NS;
}

/* What reads have spent on looking at several runs pays for merging those of level 0. */
static bool pick_for_reads(struct lsm *l, struct pick *p)
{
    if (l->looks <= l->looks_next) return false;
    l->looks_next = l->looks + l->looks / 8 + 1000;
    return lsm_pick_for_reads(l->version, l->options.shape, l->looks * (quiet(l) ? LOOK_BYTES_QUIET : LOOK_BYTES),
                              &l->cursors, p);
}

/* The files of a version stay what they are: it is asked in every pass, and looked at until the first no. */
static bool pick_due(struct lsm *l, struct pick *p)
{
    struct version *v = l->version;
    if (v->in_shape) return false;
    v->in_shape = !lsm_pick(v, l->options.shape, pick_base_bytes(l->options.memtable_bytes), &l->cursors, p);
    return !v->in_shape;
}

/* Rows that are held twice go while nobody writes: then it costs no writer anything. */
static bool pick_for_space(struct lsm *l, struct pick *p)
{
    struct version *v = l->version;
    if (!quiet(l) || v->dense) return false;
    v->dense = !lsm_pick_for_space(v, l->options.shape, &l->cursors, p);
    return !v->dense;
}

static bool start_compaction(struct lsm *l)
{
    if (l->compaction == NULL) {
        struct pick p;
        if (!pick_due(l, &p) && !pick_for_reads(l, &p) && !pick_for_space(l, &p)) return false;
        l->compaction = compaction_new(l, &p, p.files[0]->level);
    }
    struct compaction *c = l->compaction;
    if (c->pick.move) {
        start_move(l, c);
        return true;
    }
    struct job *j = lsm_job_new(l, JOB_COMPACT);
    j->compaction = c;
    j->ids = lsm_reserve(l, OUTPUT_TABLES_MAX);
    lsm_job_submit(j);
    return true;
}

static void start_checkpoint(struct lsm *l, struct checkpoint *c)
{
    struct job *j = lsm_job_new(l, JOB_CHECKPOINT);
    j->checkpoint = c;
    j->version = version_ref(l->version);
    lsm_job_submit(j);
}

static void start_scrub(struct lsm *l)
{
    struct job *j = lsm_job_new(l, JOB_SCRUB);
    if (!lsm_scrub_next(l, j)) {
        lsm_job_free(j);
        return;
    }
    lsm_job_submit(j);
}

void lsm_step(struct lsm *l)
{
    if (l->env->dead) return;
    cache_pass(&l->cache);
    lsm_notify_flushed(l);
    if (l->job != NULL) return;
    if (l->pages.count > lsm_memtable_pages(l) && quiet(l)) arena_pages_give(&l->pages); /* one in a pass */
    if (l->grave_count > 0) {
        start_remove(l);
        return;
    }
    if (l->retry_at_ns > 0 && env_mono_ns(l->env) < l->retry_at_ns) return;
    l->retry_at_ns = 0;
    struct lsm_ingest *g;
    struct checkpoint *c;
    if (l->stuck != NULL) {
        struct job *j = l->stuck;
        l->stuck = NULL;
        lsm_job_submit(j);
    } else if ((g = ready_install(l)) != NULL) {
        start_install(l, g);
    } else if ((c = checkpoint_ready(l)) != NULL) {
        start_checkpoint(l, c);
    } else if (l->frozen_count > 0) {
        start_flush(l);
    } else if (!start_compaction(l) && lsm_scrub_due(l)) {
        start_scrub(l);
    }
}

void lsm_flush(struct lsm *l, void (*done)(void *ctx), void *ctx)
{
    if (!memtable_empty(l->active)) lsm_freeze(l);
    if (done == NULL) return;
    struct flush_waiter *w = mem_zalloc(sizeof(*w));
    w->seq = l->memtable_seq - 1;
    w->done = done;
    w->ctx = ctx;
    list_push_back(&l->flush_waiters, &w->link);
    l->env->ops->wake(l->env);
}
