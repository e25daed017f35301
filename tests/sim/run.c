/* A run: boot; a safety phase, in which things break; a liveness phase, in which nothing does and everything has to end
 * well; the audit. */
#include "sim/run.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sim/admin.h"
#include "sim/backup_load.h"
#include "sim/faults.h"
#include "sim/members.h"
#include "sim/rebuild.h"
#include "sim/salvage.h"
#include "sim/upgrade.h"
#include "sim/workload.h"

#include <stdio.h>

#define BOOT_LIMIT_NS (60 * SEC_NS)
#define LIVENESS_LIMIT_NS (90 * SEC_NS)

struct run {
    struct world world;
    struct cluster cluster;
    struct history history;
    struct workload *load;
    struct faults *faults;
    struct admin *admin;
    struct members *members; /* NULL: they stay as they are */
    struct upgrade *upgrade;
    struct salvage *salvage; /* NULL: not in this run, or not yet */
    struct rebuild_run *rebuild;
    bool healed;
};

/* After the faults: whoever goes down still (a stop under way, a fault of its disk that strikes late) comes back. */
static void revive(struct run *r)
{
    for (unsigned i = 0; r->healed && i < r->world.process_count; i++) {
        struct process *p = r->world.processes[i];
        if (p->state == PROCESS_DOWN && !p->disk_damaged && !p->given_up && !cluster_stands_by(&r->cluster, p))
            (void)process_start(p);
    }
}

static bool step_until(struct run *r, uint64_t until_ns)
{
    while (r->world.now_ns < until_ns) {
        if (!world_step(&r->world)) return false;
    }
    return true;
}

/* Steps until cond holds; failing to within limit_ns is what `what` names. */
static bool step_while_not(struct run *r, bool (*cond)(struct run *r), uint64_t limit_ns, const char *what)
{
    uint64_t limit = r->world.now_ns + limit_ns;
    for (;;) {
        revive(r);
        if (cond(r)) return !r->world.failed;
        if (r->world.now_ns > limit) {
            workload_describe_pending(r->load);
            check_state_describe(&r->cluster);
            world_fail(&r->world, "liveness: %s took more than %u s although nothing is broken", what,
                       (unsigned)(limit_ns / SEC_NS));
            return false;
        }
        for (unsigned i = 0; i < 64; i++) {
            if (!world_step(&r->world)) return false;
        }
    }
}

static bool booted(struct run *r)
{
    return workload_booted(r->load);
}
static bool unpaused_and_up(struct run *r)
{
    struct world *w = &r->world;
    for (unsigned i = 0; i < w->process_count; i++) {
        if (w->processes[i]->paused_until_ns > w->now_ns) return false;
    }
    return cluster_all_up(&r->cluster);
}
static bool idle(struct run *r)
{
    return workload_idle(r->load);
}
static bool moves_ended(struct run *r)
{
    return admin_settled(r->admin);
}
static bool finalised(struct run *r)
{
    return r->upgrade == NULL || upgrade_settled(r->upgrade);
}
static bool members_done(struct run *r)
{
    return members_settled(r->members);
}
static bool settled(struct run *r)
{
    return check_state_settled(&r->cluster);
}

static bool backed_up(struct run *r)
{
    return backup_load_over(workload_backups(r->load));
}

static bool recovered(struct run *r)
{
    return salvage_recovered(r->salvage);
}
static bool refused(struct run *r)
{
    return salvage_refused(r->salvage);
}

static bool rebuilt(struct run *r)
{
    return rebuild_done(r->rebuild);
}

/* All metadata is gone; a new service is made of what the nodes tell, and everything goes on. */
static void run_rebuild(struct run *r)
{
    r->rebuild = rebuild_new(&r->cluster);
    if (r->rebuild == NULL) return;
    if (!step_while_not(r, rebuilt, LIVENESS_LIMIT_NS, "making the metadata service anew")) return;
    workload_audit(r->load);
    if (!step_while_not(r, idle, LIVENESS_LIMIT_NS, "the audit behind a rebuild")) return;
    if (!step_while_not(r, settled, LIVENESS_LIMIT_NS, "catching up behind a rebuild")) return;
    check_state(&r->cluster);
}

/* Two nodes are gone for ever; the rest goes on with all that was there, and they are not let in again. */
static void run_disaster(struct run *r)
{
    r->salvage = salvage_new(&r->cluster);
    if (r->salvage == NULL) return;
    if (!step_while_not(r, recovered, LIVENESS_LIMIT_NS, "unsafe recovery")) return;
    salvage_return(r->salvage);
    if (!salvage_begun(r->salvage)) return;
    workload_audit(r->load);
    if (!step_while_not(r, idle, LIVENESS_LIMIT_NS, "the audit behind a recovery")) return;
    if (!step_while_not(r, refused, LIVENESS_LIMIT_NS, "the end of those that were given up")) return;
    if (!step_while_not(r, settled, LIVENESS_LIMIT_NS, "catching up behind a recovery")) return;
    check_state(&r->cluster);
}

static void run_phases(struct run *r)
{
    const struct cluster_knobs *k = &r->cluster.knobs;
    cluster_start(&r->cluster);
    workload_start(r->load);
    admin_start(r->admin);
    members_start(r->members);
    if (r->upgrade != NULL) upgrade_start(r->upgrade);
    if (k->chaos_from_start) {
        faults_start(r->faults);
    } else {
        if (!step_while_not(r, booted, BOOT_LIMIT_NS, "booting")) return;
        faults_start(r->faults);
    }
    if (!step_until(r, r->world.now_ns + k->safety_ns)) return;
    faults_heal(r->faults);
    admin_heal(r->admin);
    members_heal(r->members);
    if (r->upgrade != NULL) upgrade_heal(r->upgrade);
    r->healed = true;
    if (!step_while_not(r, unpaused_and_up, LIVENESS_LIMIT_NS, "coming up")) return;
    if (!step_while_not(r, booted, BOOT_LIMIT_NS, "booting")) return;
    if (!step_until(r, r->world.now_ns + 2 * SEC_NS)) return; /* some work in peace */
    workload_drain(r->load);
    if (!step_while_not(r, idle, LIVENESS_LIMIT_NS, "answering what was open")) return;
    workload_audit(r->load);
    if (!step_while_not(r, idle, LIVENESS_LIMIT_NS, "the audit")) return;
    if (workload_backups(r->load) != NULL) {
        backup_load_last(workload_backups(r->load));
        if (!step_while_not(r, backed_up, LIVENESS_LIMIT_NS, "the last backup, and judging all")) return;
    }
    if (!step_while_not(r, moves_ended, LIVENESS_LIMIT_NS, "the end of all operators")) return;
    if (!step_while_not(r, members_done, LIVENESS_LIMIT_NS, "the metadata service's members")) return;
    if (!step_while_not(r, finalised, LIVENESS_LIMIT_NS, "finalising the newer release")) return;
    if (!step_while_not(r, settled, LIVENESS_LIMIT_NS, "catching up of all replicas")) return;
    check_state(&r->cluster);
    if (r->cluster.bench == BENCH_NONE) run_disaster(r);
    if (!r->world.failed && r->cluster.bench == BENCH_NONE) run_rebuild(r);
    if (!r->world.failed) workload_check(r->load);
}

/* The backup, into a new cluster. */
static void run_restore(struct run *r)
{
    struct held wanted;
    struct memdisk *disk = backup_load_take(workload_backups(r->load), &wanted);
    uint64_t hash;
    char failure[1024];
    if (!restore_run(disk, &wanted, r->world.seed, r->world.now_ns, &hash, failure))
        world_fail(&r->world, "%s", failure);
    world_note(&r->world, 41, hash, 0);
}

static const struct world *world_running; /* for a report from assert_fail; one run at a time */

void run_report_abort(unsigned lines)
{
    if (world_running == NULL) return;
    world_trace_dump(world_running, world_running->trace_all ? 0 : lines);
}

void run_seed(const struct run_options *o, struct run_result *out)
{
    struct run *r = mem_zalloc(sizeof *r);
    memset(out, 0, sizeof *out);
    world_init(&r->world, o->seed);
    r->world.trace_all = o->trace;
    world_running = &r->world;
    cluster_init(&r->cluster, &r->world, o->bench);
    char text[512];
    knobs_describe(&r->world, &r->cluster.knobs, text, sizeof text);
    world_trace(&r->world, NULL, "seed %llu: %s", (unsigned long long)o->seed, text);
    if (o->debug) {
        for (unsigned i = 0; i < r->world.process_count; i++) r->world.processes[i]->logger.level = LOG_DEBUG;
    }
    history_init(&r->history);
    r->load = workload_new(&r->cluster, &r->history);
    r->faults = faults_new(&r->cluster);
    r->admin = admin_new(&r->cluster);
    r->members = members_new(&r->cluster);
    if (o->bench == BENCH_NONE) r->cluster.upgrade = r->upgrade = upgrade_new(&r->cluster);
    run_phases(r);
    if (r->world.failed) {
        if (!o->trace) world_trace_dump(&r->world, o->tail_lines);
        (void)printf("seed %llu: %s\n", (unsigned long long)o->seed, text);
    }
    cluster_free(&r->cluster); /* may still find something that was left behind */
    if (!r->world.failed && workload_backups(r->load) != NULL) run_restore(r);
    out->passed = !r->world.failed;
    (void)snprintf(out->failure, sizeof out->failure, "%s", r->world.failure);
    out->hash = r->world.hash;
    out->events = r->world.event_count;
    out->passes = r->world.pass_count;
    out->simulated_ns = r->world.now_ns;
    out->answers = workload_answers(r->load);
    out->faults = faults_count(r->faults);
    out->fatals = r->world.fatals;
    world_running = NULL;
    workload_free(r->load);
    world_free(&r->world);
    faults_free(r->faults);
    admin_free(r->admin);
    members_free(r->members);
    upgrade_free(r->upgrade);
    salvage_free(r->salvage);
    rebuild_free(r->rebuild);
    history_free(&r->history);
    mem_free(r);
}
