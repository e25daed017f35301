/* A backup goes into a new cluster, while whoever restores and the servers die and come back, one at a time: it goes on, and in the end the cluster holds what
 * was wanted. */
#include "sim/backup_load.h"

#include "backup/restore.h"
#include "base/mem.h"
#include "sim/stage.h"

#include <stdio.h>
#include <string.h>

#define LATER_NS (20ull * 86400 * SEC_NS) /* behind all jumps of clocks; rows with a time to live have ended */
#define LIMIT_NS (300 * SEC_NS)
#define BATCH_BYTES 400u /* several of a chunk */

struct restoring {
    struct stage *stage;
    struct process *process;
    uint64_t at;
    struct depot *depot; /* of this life; as all that follows */
    struct catalog catalog;
    struct restore *job;
    bool over, restored; /* the job has ended; it has done all */
    bool ending;         /* a life ended while the mark was taken away: whether it was, that life has not heard */
    struct inspect *inspect;
    bool inspected;
    struct held held;
};

static void restored(void *ctx, const struct restore_report *report)
{
    struct restoring *r = ctx;
    struct world *w = &r->stage->world;
    world_note(w, 42, (uint64_t)report->status, report->rows);
    world_trace(w, r->process, "restore: %s, %llu rows %s", status_name(report->status),
                (unsigned long long)report->rows, report->status != STATUS_OK ? report->text : "");
    r->over = true;
    r->restored = report->status == STATUS_OK || (r->ending && report->status == STATUS_EXISTS);
    if (report->status == STATUS_OK && !report->compared) world_fail(w, "restore: it was not read back");
    if (!r->restored && !backup_may_fail(report->status))
        world_fail(w, "restore: %s: %s", status_name(report->status), report->text);
}

static void job_free(struct restoring *r)
{
    uint64_t done, total;
    if (r->job == NULL) return;
    if (!r->restored && strcmp(restore_progress(r->job, &done, &total), "ending") == 0) r->ending = true;
    restore_free(r->job);
    catalog_free(&r->catalog);
    r->job = NULL;
    r->over = false;
}

static enum status job_begin(struct restoring *r, struct errbuf *err)
{
    struct restore_options o = {
        .at = r->at, .parallel = (uint32_t)draw(&r->stage->world, 1, 8), .batch_bytes = BATCH_BYTES};
    enum status s = catalog_read(&r->catalog, r->depot, err);
    if (s == STATUS_OK)
        s = restore_new(&r->process->env, r->process->server, r->depot, &r->catalog, &o, restored, r, &r->job, err);
    if (s != STATUS_OK) catalog_free(&r->catalog);
    return s;
}

static enum status restorer_start(struct process *p, struct errbuf *err)
{
    struct restoring *r = p->owner;
    struct client *client = NULL;
    enum status s = client_new(
        &p->env, &(struct client_options){.meta_addresses = r->stage->cluster.meta_addresses, .role = ROLE_CLIENT},
        &client, err);
    p->server = client;
    if (s == STATUS_OK) s = depot_new(&p->env, &r->depot, err);
    if (s == STATUS_OK && !r->restored) s = job_begin(r, err);
    return s;
}

static void restorer_end(struct process *p)
{
    struct restoring *r = p->owner;
    job_free(r);
    inspect_free(r->inspect);
    r->inspect = NULL;
    client_free(p->server);
    depot_free(r->depot);
    r->depot = NULL;
}

static const struct process_ops RESTORER_OPS = {.start = restorer_start, .free = restorer_end};

/* One death at a time; whoever died comes back a little later. */
static void somebody_dies(struct restoring *r)
{
    struct world *w = &r->stage->world;
    if (!chance(w, 400)) return;
    struct process *p = chance(w, 500) ? r->process : w->processes[draw(w, 0, w->process_count - 1)];
    if (process_runs(p)) process_crash(p, chance(w, 500) ? MEMDISK_DROP : MEMDISK_KEEP, chance(w, 500));
}

static void restore_all(struct restoring *r)
{
    struct stage *s = r->stage;
    struct errbuf err;
    uint64_t limit_ns = s->world.now_ns + LIMIT_NS, calm_ns = s->world.now_ns + LIMIT_NS / 5;
    while (!r->restored && !s->world.failed) {
        stage_run(s, draw(&s->world, 5, 400) * MS_NS);
        stage_revive(s);
        if (r->over && !r->restored) {
            job_free(r);
            if (job_begin(r, &err) != STATUS_OK) world_fail(&s->world, "restore: %s", err.text);
            process_pass_soon(r->process);
        }
        if (!r->restored && s->world.now_ns < calm_ns) somebody_dies(r);
        if (s->world.now_ns > limit_ns) world_fail(&s->world, "restore: it does not end");
    }
    stage_revive(s);
}

static void inspected(void *ctx, const struct inspect_report *report)
{
    struct restoring *r = ctx;
    r->inspected = true;
    if (report->status != STATUS_OK) world_fail(&r->stage->world, "restore: the digest: %s", report->text);
    for (size_t i = 0; report->status == STATUS_OK && i < report->keyspace_count; i++)
        held_add(&r->held, report->keyspaces[i].name, &report->keyspaces[i].digest);
}

static void compare(struct restoring *r, const struct held *wanted)
{
    struct stage *s = r->stage;
    r->inspect = inspect_new(&r->process->env, r->process->server, 0, 0, inspected, r);
    process_pass_soon(r->process);
    if (!stage_until(s, &r->inspected)) world_fail(&s->world, "restore: the cluster does not tell what it holds");
    for (unsigned i = 0; i < wanted->count; i++) {
        const struct backup_digest *there = held_find(&r->held, slice_str(wanted->names[i]));
        if (there != NULL && backup_digest_eq(there, &wanted->digests[i])) continue;
        world_fail(&s->world, "restore: as of %llu %s has %llu rows, and the backup %llu, or others",
                   (unsigned long long)wanted->at, wanted->names[i],
                   (unsigned long long)(there != NULL ? there->rows : 0), (unsigned long long)wanted->digests[i].rows);
    }
}

bool restore_run(struct memdisk *disk, const struct held *wanted, uint64_t seed, uint64_t now_ns, uint64_t *hash,
                 char failure[1024])
{
    struct stage *s = mem_zalloc(sizeof *s);
    struct restoring r = {.stage = s, .at = wanted->at};
    stage_init_at(s, seed, now_ns + LATER_NS);
    r.process = process_new(&s->world, "restorer", &RESTORER_OPS, &r, false);
    r.process->disk = disk;
    if (!s->world.failed) (void)process_start(r.process);
    restore_all(&r);
    if (!s->world.failed) compare(&r, wanted);
    bool good = !s->world.failed;
    if (!good) world_trace_dump(&s->world, 200);
    (void)snprintf(failure, 1024, "%s", s->world.failure);
    *hash = s->world.hash;
    stage_free(s);
    mem_free(s);
    return good;
}
