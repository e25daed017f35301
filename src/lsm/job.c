/* The background step: chooses a job, runs it as a task, and applies what it did. States: lsm_int.h. */
#include "base/mem.h"
#include "base/mutant.h"
#include "lsm/lsm_int.h"

#define EDIT_BYTES_MAX ((size_t)1 << 30)

static struct job *job_new(struct lsm *l, enum job_kind kind)
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

/* --- on a worker --- */

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

static void run_scrub(struct job *j)
{
    const struct table *t = j->scrubbed->table;
    uint64_t until = t->blocks[j->scrub_block].offset + SCRUB_STEP_BYTES;
    for (; j->scrub_block < t->block_count && t->blocks[j->scrub_block].offset < until; j->scrub_block++) {
        uint8_t *raw = NULL;
        struct block block;
        j->status = table_read_block(t, j->scrub_block, TABLE_NO_ROOM, &raw, &block);
        mem_free(raw);
        if (j->status == STATUS_OK) continue;
        errbuf_set(&j->err, "table %llu: block %u: %s", (unsigned long long)t->id.number, j->scrub_block,
                   status_text(j->status));
        j->reading = true;
        return;
    }
}

static void job_execute(struct task *t)
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

/* --- back on the loop --- */

static void job_submit(struct job *j);

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
    l->drain_ns_per_kib = l->drain_ns_per_kib > 0 ? (l->drain_ns_per_kib * 3 + sample) / 4 : sample;
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
    if (c->from_level == 0) l->looks = l->looks_next = 0;
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
    if (j->status != STATUS_OK) {
        job_failed(j);
    } else if (j->committing) {
        job_applied(j);
    } else {
        if (j->kind == JOB_SCRUB) lsm_scrubbed(l, j);
        lsm_job_free(j);
    }
}

static void job_submit(struct job *j)
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
    j->task.execute = job_execute;
    j->task.complete = job_complete;
    exec_submit(l->env->exec, LANE_BACKGROUND, &j->task);
}

/* --- choosing --- */

static void start_remove(struct lsm *l)
{
    struct job *j = job_new(l, JOB_REMOVE);
    j->graves = l->graves;
    j->grave_count = l->grave_count;
    l->graves = NULL;
    l->grave_count = l->grave_capacity = 0;
    job_submit(j);
}

static void start_flush(struct lsm *l)
{
    struct job *j = job_new(l, JOB_FLUSH);
    j->memtable = memtable_ref(l->frozen[0]);
    j->version = version_ref(l->version);
    output_init(&j->out, l->env->disk, l->dir, &l->options, version_last_level(l->version),
                lsm_reserve(l, OUTPUT_TABLES_MAX), lsm_salt(l));
    j->ids = lsm_reserve(l, OUTPUT_TABLES_MAX);
    job_submit(j);
}

static struct lsm_ingest *ready_install(struct lsm *l)
{
    LIST_FOR(link, &l->installs)
    {
        struct lsm_ingest *g = LIST_ENTRY(link, struct lsm_ingest, link);
        if (ingest_ready(g)) return g;
    }
    return NULL;
}

static void start_install(struct lsm *l, struct lsm_ingest *g)
{
    list_remove(&g->link);
    compaction_cancel_range(l, g->start, g->end);
    struct job *j = job_new(l, JOB_EDIT);
    j->ingest = g;
    ingest_edit(g, &j->edit, &l->next);
    job_submit(j);
}

static void start_move(struct lsm *l, struct compaction *c)
{
    struct job *j = job_new(l, JOB_EDIT);
    j->compaction = c;
    uint64_t run = c->pick.new_run ? lsm_reserve(l, 1) : 0;
    for (size_t i = 0; i < c->pick.count; i++) {
        const struct lsm_file *f = c->pick.files[i];
        edit_remove(&j->edit, f->id);
        f->table->refs++;
        edit_add(&j->edit, lsm_file_new(l, lsm_reserve(l, 1), f->table, c->pick.level, run, f->lower, f->upper));
    }
    job_submit(j);
}

/* What reads have spent on looking at several runs pays for merging those of level 0. */
static bool pick_for_reads(struct lsm *l, struct pick *p)
{
    if (l->looks <= l->looks_next) return false;
    l->looks_next = l->looks + l->looks / 8 + 1000;
    bool quiet = l->flushed_at_ns == 0 || env_mono_ns(l->env) - l->flushed_at_ns > QUIET_NS;
    return lsm_pick_for_reads(l->version, l->options.shape, l->looks * (quiet ? LOOK_BYTES_QUIET : LOOK_BYTES),
                              &l->cursors, p);
}

static bool start_compaction(struct lsm *l)
{
    if (l->compaction == NULL) {
        struct pick p;
        uint64_t base = PICK_L0_RUNS * (uint64_t)l->options.memtable_bytes;
        if (!lsm_pick(l->version, l->options.shape, base, &l->cursors, &p) && !pick_for_reads(l, &p)) return false;
        l->compaction = compaction_new(l, &p, p.files[0]->level);
    }
    struct compaction *c = l->compaction;
    if (c->pick.move) {
        start_move(l, c);
        return true;
    }
    struct job *j = job_new(l, JOB_COMPACT);
    j->compaction = c;
    j->ids = lsm_reserve(l, OUTPUT_TABLES_MAX);
    job_submit(j);
    return true;
}

static void start_checkpoint(struct lsm *l, struct checkpoint *c)
{
    struct job *j = job_new(l, JOB_CHECKPOINT);
    j->checkpoint = c;
    j->version = version_ref(l->version);
    job_submit(j);
}

static void start_scrub(struct lsm *l)
{
    struct job *j = job_new(l, JOB_SCRUB);
    if (!lsm_scrub_next(l, j)) {
        lsm_job_free(j);
        return;
    }
    job_submit(j);
}

void lsm_step(struct lsm *l)
{
    if (l->env->dead) return;
    cache_pass(&l->cache);
    lsm_notify_flushed(l);
    if (l->job != NULL) return;
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
        job_submit(j);
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
