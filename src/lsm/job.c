/* A job's way from its making to what becomes of it; its states: lsm_int.h. Chosen in step.c, run in job_run.c. */
#include "base/mem.h"
#include "lsm/lsm_int.h"

#define EDIT_BYTES_MAX ((size_t)1 << 30)

struct job *lsm_job_new(struct lsm *l, enum job_kind kind)
{
    struct job *j = mem_zalloc(sizeof(*j));
    j->l = l;
    j->kind = kind;
    buf_init(&j->payload, EDIT_BYTES_MAX);
    buf_init(&j->whole, EDIT_BYTES_MAX);
    return j;
}

void lsm_output_release(struct lsm *l, struct output *o)
{
    if (o->builder != NULL) {
        table_builder_free(o->builder);
        o->builder = NULL;
    }
    for (uint64_t number = o->first; number < o->next; number++) {
        bool has_table = false;
        for (size_t i = 0; i < o->table_count; i++) has_table = has_table || o->tables[i]->id.number == number;
        if (!has_table && !l->closing) lsm_bury(l, NULL, number); /* a builder that failed left it */
    }
    for (size_t i = 0; i < o->table_count; i++) lsm_table_unref(l, o->tables[i]);
    o->table_count = 0;
    output_free(o);
}

void lsm_job_free(struct job *j)
{
    struct lsm *l = j->l;
    edit_free(&j->edit);
    if (j->kind == JOB_FLUSH) lsm_output_release(l, &j->out);
    memtable_unref(j->memtable);
    version_unref(j->version);
    lsm_file_unref(j->scrubbed);
    if (j->ingest != NULL) ingest_free(j->ingest);
    for (size_t i = 0; i < j->grave_count; i++) table_free(j->graves[i].table);
    mem_free(j->graves);
    buf_free(&j->payload);
    buf_free(&j->whole);
    mem_free(j);
}

/* --- back on the loop --- */

static void retry_later(struct lsm *l)
{
    l->retry_at_ns = env_mono_ns(l->env) + LSM_RETRY_MS * NS_PER_MS;
}

void lsm_notify_flushed(struct lsm *l)
{
    uint64_t flushed = l->memtable_seq - l->frozen_count - 1;
    LIST_FOR(link, &l->flush_waiters)
    {
        struct flush_waiter *w = LIST_ENTRY(link, struct flush_waiter, link);
        if (w->seq > flushed) break;
        list_remove(link);
        void (*done)(void *) = w->done;
        void *ctx = w->ctx;
        mem_free(w);
        done(ctx);
    }
}

static void flush_done(struct job *j)
{
    struct lsm *l = j->l;
    ASSERT(l->frozen_count > 0);
    ASSERT(l->frozen[0] == j->memtable);
    l->flushed_bytes += j->out.bytes;
    l->flush_count++;
    uint64_t now_ns = env_mono_ns(l->env), took_ns = now_ns - l->drain_since_ns;
    uint64_t sample = took_ns / (memtable_bytes(j->memtable) / 1024 + 1);
    l->drain_ns_per_kib = l->flush_count > 1 ? (l->drain_ns_per_kib * 3 + sample) / 4 : sample;
    l->drain_since_ns = l->flushed_at_ns = now_ns;
    memtable_unref(l->frozen[0]);
    l->frozen_count--;
    memmove(&l->frozen[0], &l->frozen[1], l->frozen_count * sizeof(l->frozen[0]));
}

static void compact_done(struct lsm *l, struct compaction *c)
{
    ASSERT(l->compaction == c);
    struct slice start, end;
    pick_bounds(&c->pick, &start, &end);
    if (c->pick.for_reads || c->from_level == 0) l->looks = l->looks_next = 0;
    if (c->from_level > 0) pick_cursors_note(&l->cursors, c->from_level, c->pick.files[0]->upper);
    l->compacted_bytes_in += c->bytes_in;
    l->compacted_bytes_out += c->out.bytes;
    l->compaction = NULL;
    compaction_free(l, c);
}

static void job_applied(struct job *j)
{
    struct lsm *l = j->l;
    struct version *before = l->version;
    l->version = edit_apply(&j->edit, before);
    version_unref(before);
    l->cache.floor = CACHE_FLOOR_LARGE + l->version->run_count;
    for (size_t i = 0; i < j->edit.applied_count; i++) lsm_note_applied(l, &j->edit.applied[i]);
    if (j->kind == JOB_FLUSH) flush_done(j);
    if (j->compaction != NULL) compact_done(l, j->compaction);
    struct lsm_ingest *g = j->ingest;
    void (*done)(void *, enum status) = g != NULL ? g->done : NULL;
    void *ctx = g != NULL ? g->ctx : NULL;
    lsm_job_free(j);
    lsm_check(l);
    if (done != NULL) done(ctx, STATUS_OK);
    lsm_notify_flushed(l);
}

/* Nothing of it has happened, and its files are removed; the next step may try again. */
static void job_abandon(struct job *j, const char *why)
{
    struct lsm *l = j->l;
    log_event(l->env->log, LOG_WARN, "lsm.step_abandoned", "cause=%s what=\"%s\"", why, j->err.text);
    struct compaction *c = j->kind == JOB_COMPACT ? j->compaction : NULL;
    if (c != NULL) {
        if (j->status == STATUS_CORRUPT && c->merge.failed != NULL) {
            lsm_quarantine(l, c->merge.failed->bad, c->merge.failed->miss.block);
        }
        l->compaction = NULL;
        compaction_free(l, c);
    }
    if (j->kind == JOB_SCRUB) lsm_scrubbed(l, j);
    lsm_job_free(j);
    retry_later(l);
}

static void job_failed(struct job *j)
{
    struct lsm *l = j->l;
    if (j->status == STATUS_NO_SPACE && j->committing) {
        log_event(l->env->log, LOG_WARN, "lsm.manifest_full", "what=\"%s\"", j->err.text);
        l->stuck = j;
        retry_later(l);
    } else if (j->status == STATUS_NO_SPACE) {
        job_abandon(j, "no_space");
    } else if (j->reading || (j->status == STATUS_CORRUPT && !j->committing)) {
        job_abandon(j, status_name(j->status));
    } else {
        struct errbuf err = j->err;
        lsm_job_free(j);
        l->env->ops->fatal(l->env, err.text);
    }
}

static void job_complete(struct task *t)
{
    struct job *j = (struct job *)(void *)((char *)t - offsetof(struct job, task));
    struct lsm *l = j->l;
    ASSERT(l->job == j);
    l->job = NULL;
    if (t->cancelled || l->env->dead) {
        if (!j->committing) {
            lsm_job_free(j);
        } else {
            l->stuck = j; /* whether it is durable is not known: its tables must stay */
        }
        return;
    }
    if (j->kind == JOB_CHECKPOINT) { /* nothing of the store has changed */
        struct checkpoint *c = j->checkpoint;
        enum status s = j->status;
        lsm_job_free(j);
        checkpoint_finish(c, s);
        return;
    }
    if (j->kind == JOB_REMOVE && j->reading) {
        log_event(l->env->log, LOG_WARN, "lsm.remove_failed", "what=\"%s\"", j->err.text);
        j->status = STATUS_OK;
    }
    if (j->status == STATUS_RETRY && j->committing) {
        lsm_job_submit(j); /* with the whole state */
    } else if (j->status != STATUS_OK) {
        job_failed(j);
    } else if (j->committing) {
        job_applied(j);
    } else {
        if (j->kind == JOB_SCRUB) lsm_scrubbed(l, j);
        lsm_job_free(j);
    }
}

void lsm_job_submit(struct job *j)
{
    struct lsm *l = j->l;
    ASSERT(l->job == NULL);
    j->next = l->next;
    if (j->payload.size == 0) j->safepoint = l->safepoint;
    buf_clear(&j->whole);
    bool commits = j->kind != JOB_REMOVE && j->kind != JOB_SCRUB && j->kind != JOB_CHECKPOINT;
    if (j->kind == JOB_CHECKPOINT || (commits && manifest_wants_rewrite(&l->manifest))) lsm_encode_whole(l, &j->whole);
    j->status = STATUS_OK;
    l->job = j;
    j->task.execute = lsm_job_execute;
    j->task.complete = job_complete;
    exec_submit(l->env->exec, LANE_BACKGROUND, &j->task);
}
