/* A process: one struct env, one server, several lives. Its loop is the pass event; its clocks run at their own rate. */
#include "sim/sim.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>

/* A busy node makes 21,000 passes in a second, 2,400 of them by itself. */
enum { PASSES_PER_SECOND_MAX = 40000, OWN_PASSES_PER_SECOND_MAX = 8000 };
enum { STOP_STEPS_MAX = 6000 }; /* a disk may hang for half a minute */

static struct process *process_of(struct env *env)
{
    return (struct process *)(void *)env;
}

/* --- clocks --- */

uint64_t process_now_ns(const struct process *p)
{
    return p->world->now_ns + p->late_ns;
}

uint64_t process_mono_ns(const struct process *p)
{
    uint64_t passed = process_now_ns(p) - p->mono_world_ns;
    return p->mono_base_ns + passed + (uint64_t)((int64_t)(passed / 1000) * p->mono_ppm / 1000);
}

/* When the world's clock reads what makes mono read at_ns, or a little later. */
static uint64_t world_at(const struct process *p, uint64_t at_ns)
{
    uint64_t now = process_mono_ns(p);
    if (at_ns <= now) return p->world->now_ns;
    uint64_t left = at_ns - now;
    if (left > 1000000 * SEC_NS) return UINT64_MAX;
    return p->world->now_ns + (uint64_t)((int64_t)left - (int64_t)(left / 1000) * p->mono_ppm / 1000) + 1;
}

/* Between any two statements a process may be stopped for a while. Where its clock is read it can notice; what it has done up to
 * there is done, what follows happens when it goes on, and meanwhile the world is another one. */
static uint64_t op_mono_ns(struct env *env)
{
    struct process *p = process_of(env);
    if (p->pause_at_clock > 0 && --p->pause_at_clock == 0 && process_runs(p)) {
        world_trace(p->world, p, "PAUSE within, %llu ms", (unsigned long long)(p->pause_ns / MS_NS));
        p->late_ns = p->pause_ns;
    }
    return process_mono_ns(p);
}

static uint64_t op_wall_ms(struct env *env)
{
    struct process *p = process_of(env);
    return (uint64_t)(1700000000000 + (int64_t)(process_now_ns(p) / MS_NS) + p->wall_jump_ms);
}

void process_wall_jump(struct process *p, int64_t ms)
{
    p->wall_jump_ms += ms;
}

void process_set_drift(struct process *p, int64_t ppm)
{
    p->mono_base_ns = process_mono_ns(p);
    p->mono_world_ns = p->world->now_ns;
    p->mono_ppm = ppm;
}

/* --- the rest of the env seam --- */

static void op_random(struct env *env, void *bytes, size_t size)
{
    uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++) at[i] = (uint8_t)prng_next(&process_of(env)->prng);
}

static void op_attach(struct env *env, struct actor *a)
{
    struct process *p = process_of(env);
    a->deadline_ns = 0;
    list_push_back(&p->actors, &a->link);
    process_pass_soon(p);
}

static void op_detach(struct env *env, struct actor *a)
{
    (void)env;
    list_remove(&a->link);
}

static void op_wake(struct env *env)
{
    struct process *p = process_of(env);
    bool prompted = p->prompted;
    p->woken = true;
    process_pass_soon(p);
    p->prompted = prompted;
}

static void op_fatal(struct env *env, const char *why)
{
    struct process *p = process_of(env);
    if (env->dead) return; /* on its way out */
    env->dead = true;
    (void)snprintf(p->fatal_why, sizeof p->fatal_why, "%s", why);
    world_trace(p->world, p, "FATAL %s", why);
}

static const struct env_ops ENV_OPS = {.mono_ns = op_mono_ns,
                                       .wall_ms = op_wall_ms,
                                       .random = op_random,
                                       .attach = op_attach,
                                       .detach = op_detach,
                                       .wake = op_wake,
                                       .fatal = op_fatal};

static void log_write(struct logger *log, enum log_level level, const char *line)
{
    struct process *p = log->ctx;
    world_trace(p->world, p, "%s %s", log_level_name(level), line);
}

/* --- the loop --- */

bool process_put_off(struct process *p, struct sim_event *e)
{
    struct world *w = p->world;
    if (p->paused_until_ns <= w->now_ns) return false;
    world_schedule(w, e, p->paused_until_ns);
    return true;
}

void process_pass_soon(struct process *p)
{
    struct world *w = p->world;
    if (!process_runs(p)) return;
    p->prompted = true;
    uint64_t at = w->now_ns + draw(w, 1, w->knobs.pass_gap_ns);
    if (p->pass.node.pos == 0 || p->pass.node.key > at) world_schedule(w, &p->pass, at);
}

static void count_pass(struct process *p)
{
    struct world *w = p->world;
    w->pass_count++;
    if (w->now_ns - p->passes_second_ns > SEC_NS) {
        p->passes_second_ns = w->now_ns;
        p->passes_second = p->own_passes_second = 0;
    }
    if (!p->prompted) p->own_passes_second++;
    p->prompted = false;
    if (++p->passes_second > PASSES_PER_SECOND_MAX || p->own_passes_second > OWN_PASSES_PER_SECOND_MAX)
        world_fail(w, "%s spins: too many passes in one second", p->name);
}

static void pass_fire(struct world *w, struct sim_event *e)
{
    struct process *p = LIST_ENTRY(e, struct process, pass);
    if (process_put_off(p, e)) return;
    count_pass(p);
    p->woken = false;
    uint64_t now_ns = process_mono_ns(p), next_ns = DEADLINE_NONE;
    world_note(w, 1, p->index, now_ns);
    LIST_FOR(it, &p->actors)
    {
        struct actor *a = LIST_ENTRY(it, struct actor, link);
        a->deadline_ns = a->pass(a, now_ns);
        if (a->deadline_ns < next_ns) next_ns = a->deadline_ns;
    }
    process_settle(p);
    if (!process_runs(p)) return;
    if (p->ops->after_pass != NULL) p->ops->after_pass(p);
    if (p->woken) next_ns = 0;
    if (next_ns == DEADLINE_NONE) return;
    uint64_t at = world_at(p, next_ns), soonest = w->now_ns + draw(w, 1, w->knobs.pass_gap_ns);
    if (at < soonest) at = soonest;
    if (p->pass.node.pos == 0 || p->pass.node.key > at) world_schedule(w, &p->pass, at);
}

/* --- lives --- */

struct process *process_new(struct world *w, const char *name, const struct process_ops *ops, void *owner,
                            bool has_disk)
{
    ASSERT(w->process_count < SIM_PROCESSES_MAX);
    struct process *p = mem_zalloc(sizeof *p);
    p->world = w;
    p->index = w->process_count;
    w->processes[w->process_count++] = p;
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    (void)snprintf(p->address, sizeof p->address, "%s:1", name);
    p->ops = ops;
    p->owner = owner;
    p->pass.fire = pass_fire;
    list_init(&p->actors);
    list_init(&p->tasks);
    p->logger = (struct logger){.level = LOG_INFO, .write = log_write, .ctx = p};
    p->mono_base_ns = draw(w, SEC_NS, 100000 * SEC_NS);
    p->mono_world_ns = w->now_ns;
    unsigned ppm = w->knobs.clock_drift_ppm;
    p->mono_ppm = (int64_t)draw(w, 0, 2 * ppm) - (int64_t)ppm;
    p->wall_jump_ms = (int64_t)draw(w, 0, 200) - 100;
    p->log_slow = p->io_slow = 1;
    if (!has_disk) return p;
    p->disk = memdisk_new(draw(w, 0, UINT64_MAX - 1));
    memdisk_set_direct(p->disk, chance(w, 700));
    memdisk_stray_only(p->disk, ".tbl");
    return p;
}

void process_free(struct process *p)
{
    ASSERT(p->state == PROCESS_DOWN);
    memdisk_free(p->disk);
    mem_free(p);
}

static void life_begin(struct process *p)
{
    p->env = (struct env){.ops = &ENV_OPS, .log = &p->logger};
    prng_init(&p->prng, draw(p->world, 0, UINT64_MAX - 1));
    p->lives++;
    p->fatal_why[0] = '\0';
    p->woken = false;
    p->cancelling = false;
    p->paused_until_ns = 0;
    p->pause_at_clock = 0;
    p->late_ns = 0;
    p->log_done_ns = 0;
    p->crashing = false;
    sim_net_attach(p);
    sim_exec_attach(p);
    if (p->disk == NULL) return;
    p->disk_life = sim_disk_new(p);
    p->env.disk = sim_disk_seam(p->disk_life);
}

/* The server and what it had of the machine are gone; finds what it forgot to give back. */
static void life_end(struct process *p)
{
    struct world *w = p->world;
    if (p->server != NULL) p->ops->free(p);
    p->server = NULL;
    world_cancel(w, &p->pass);
    p->state = PROCESS_DOWN;
    if (!list_empty(&p->actors)) world_fail(w, "%s left an actor behind", p->name);
    if (!list_empty(&p->tasks)) world_fail(w, "%s left a task behind", p->name);
    if (sim_net_owned(p) > 0) world_fail(w, "%s left %u connections or listeners behind", p->name, sim_net_owned(p));
    if (p->disk_life != NULL) sim_disk_free(p->disk_life);
    p->disk_life = NULL;
}

/* Of the former release, and the cluster has been finalised meanwhile. */
static bool is_outdated(struct process *p, const char *why)
{
    if (!p->former || strstr(why, "finalised at version") == NULL) return false;
    p->outdated = true;
    return true;
}

static bool is_taken_out(struct process *p, const char *why)
{
    if (strstr(why, "removed from the metadata service") == NULL) return false;
    p->taken_out = p->may_go;
    return p->taken_out;
}

static bool may_stop(struct process *p, const char *why)
{
    return is_outdated(p, why) || is_taken_out(p, why) || p->disk_faulty || p->disk_full || p->disk_damaged ||
           p->given_up;
}

static void crash_now(struct process *p)
{
    bool machine = chance(p->world, 700);
    process_crash(p, !machine ? MEMDISK_KEEP : chance(p->world, 300) ? MEMDISK_DROP : MEMDISK_RANDOM, machine);
}

bool process_effect(struct process *p)
{
    if (p->crashing) return false;
    if (p->crash_at_effect == 0 || --p->crash_at_effect > 0) return true;
    world_trace(p->world, p, "DIES before its next effect");
    p->crashing = true;
    p->env.dead = true;
    return false;
}

enum status process_start(struct process *p)
{
    ASSERT(p->state == PROCESS_DOWN);
    struct errbuf err = {{0}};
    world_note(p->world, 2, p->index, p->lives);
    life_begin(p);
    world_trace(p->world, p, "START life %u", p->lives);
    p->state = PROCESS_UP;
    enum status s = p->ops->start(p, &err);
    if (s == STATUS_OK) {
        process_pass_soon(p);
        process_settle(p);
        return process_runs(p) ? STATUS_OK : STATUS_IO;
    }
    world_trace(p->world, p, "does not start: %s: %s", status_name(s), err.text);
    if (!p->crashing && !may_stop(p, err.text))
        world_fail(p->world, "%s does not start: %s: %s", p->name, status_name(s), err.text);
    if (p->crashing) {
        crash_now(p);
    } else {
        process_crash(p, MEMDISK_KEEP, false);
    }
    return s;
}

void process_crash(struct process *p, enum memdisk_crash how, bool machine)
{
    struct world *w = p->world;
    ASSERT(process_runs(p));
    world_note(w, 3, p->index, (uint64_t)how);
    world_trace(w, p, "CRASH %s%s",
                how == MEMDISK_KEEP   ? "keeps"
                : how == MEMDISK_DROP ? "drops"
                                      : "tears",
                machine ? ", machine" : "");
    p->env.dead = true;
    p->cancelling = true;
    sim_exec_crash(p);
    if (p->disk != NULL) {
        sim_disk_off(p->disk_life);
        memdisk_crash(p->disk, how);
    }
    sim_net_down(p, machine && chance(w, 700));
    sim_exec_finish(p);
    life_end(p);
    p->disk_faulty = false;
    if (!machine) return;
    p->mono_base_ns = draw(w, SEC_NS, 100 * SEC_NS);
    p->mono_world_ns = w->now_ns;
}

static void crash_due(struct world *w, void *ctx)
{
    struct process *p = ctx;
    if (process_runs(p)) process_crash(p, chance(w, 500) ? MEMDISK_DROP : MEMDISK_RANDOM, true);
}

void process_crash_soon(struct process *p, uint64_t within_ns)
{
    world_after(p->world, draw(p->world, 0, within_ns), crash_due, p);
}

void process_settle(struct process *p)
{
    if (p->late_ns > 0) {
        p->paused_until_ns = p->world->now_ns + p->late_ns;
        p->late_ns = 0;
    }
    if (!process_runs(p) || !p->env.dead) return;
    if (p->crashing) {
        crash_now(p);
        return;
    }
    if (may_stop(p, p->fatal_why)) {
        p->world->fatals++;
    } else {
        world_fail(p->world, "%s stops without a fault of its disk: %s", p->name, p->fatal_why);
    }
    process_crash(p, chance(p->world, 500) ? MEMDISK_KEEP : MEMDISK_RANDOM, false);
}

struct stopping {
    struct process *p;
    unsigned life, steps;
};

static void stop_step(struct world *w, void *ctx)
{
    struct stopping *s = ctx;
    struct process *p = s->p;
    if (p->state != PROCESS_STOPPING || p->lives != s->life) return;
    if (p->paused_until_ns > w->now_ns || !p->ops->stopped(p)) {
        if (p->paused_until_ns <= w->now_ns && ++s->steps > STOP_STEPS_MAX) world_fail(w, "%s does not stop", p->name);
        world_after(w, 10 * MS_NS, stop_step, s);
        return;
    }
    world_trace(w, p, "STOPPED");
    world_note(w, 4, p->index, s->steps);
    sim_exec_finish(p);
    life_end(p);
    if (p->disk != NULL) memdisk_crash(p->disk, MEMDISK_KEEP); /* lets the lock go */
}

void process_stop(struct process *p)
{
    ASSERT(p->state == PROCESS_UP);
    ASSERT(p->ops->stop != NULL);
    world_trace(p->world, p, "STOP");
    p->state = PROCESS_STOPPING;
    p->ops->stop(p);
    struct stopping *s = world_alloc(p->world, sizeof *s);
    *s = (struct stopping){.p = p, .life = p->lives};
    world_after(p->world, 10 * MS_NS, stop_step, s);
}

void process_pause_within(struct process *p, uint64_t ns, unsigned clock_reads)
{
    p->pause_at_clock = clock_reads;
    p->pause_ns = ns;
}

void process_pause(struct process *p, uint64_t ns)
{
    world_trace(p->world, p, "PAUSE %llu ms", (unsigned long long)(ns / MS_NS));
    p->paused_until_ns = p->world->now_ns + ns;
}
