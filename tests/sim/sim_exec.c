/* The executor: a task executes, on this thread, when its latency has passed, and completes some time later. What it does to
 * the disk happens when it executes: between a task's submission and that, and between that and its completion, the world
 * goes on. */
#include "sim/sim.h"

#include "base/assert.h"
#include "base/mem.h"

#define HANG_NS (15 * SEC_NS)

struct sim_task {
    struct sim_event event;
    struct list link; /* process.tasks, in order of submission */
    struct process *p;
    struct task *task;
    bool executed;
};

static uint64_t task_latency(struct process *p, enum exec_lane lane)
{
    struct world *w = p->world;
    const struct sim_knobs *k = &w->knobs;
    uint64_t ns = lane == LANE_LOG ? draw(w, k->log_min_ns, k->log_max_ns) : draw(w, k->io_min_ns, k->io_max_ns);
    if (chance(w, k->io_spike)) ns *= 50;
    ns *= lane == LANE_LOG ? p->log_slow : p->io_slow;
    if (p->disk_stalls_ns > w->now_ns) ns += p->disk_stalls_ns - w->now_ns;
    if (ns > HANG_NS) p->disk_faulty = true; /* a server may stop when its disk hangs */
    return ns < 2 * HANG_NS ? ns : 2 * HANG_NS;
}

/* The log's thread takes one task after the other. */
static void log_lane_next(struct process *p)
{
    LIST_FOR(it, &p->tasks)
    {
        struct sim_task *t = LIST_ENTRY(it, struct sim_task, link);
        if (t->task->lane != LANE_LOG || t->executed) continue;
        if (t->event.node.pos == 0) world_schedule(p->world, &t->event, process_now_ns(p) + task_latency(p, LANE_LOG));
        return;
    }
}

static void task_end(struct sim_task *t)
{
    struct task *task = t->task;
    list_remove(&t->link);
    mem_free(t);
    task->complete(task); /* may free the task */
}

static void task_fire(struct world *w, struct sim_event *e)
{
    struct sim_task *t = (struct sim_task *)(void *)e;
    struct process *p = t->p;
    if (process_put_off(p, e)) return;
    world_note(w, 5, p->index, (uint64_t)t->task->lane + (t->executed ? 8 : 0));
    if (t->executed) {
        task_end(t);
        process_pass_soon(p);
        process_settle(p);
        return;
    }
    t->executed = true;
    t->task->execute(t->task);
    uint64_t done = process_now_ns(p) + draw(w, 1, 20000);
    bool dead = p->env.dead;
    process_settle(p);
    if (dead) return;
    if (t->task->lane == LANE_LOG) {
        if (done <= p->log_done_ns) done = p->log_done_ns + 1;
        p->log_done_ns = done;
        log_lane_next(p);
    }
    world_schedule(w, e, done);
}

static void op_submit(struct exec *e, enum exec_lane lane, struct task *task)
{
    struct process *p = LIST_ENTRY(e, struct process, exec);
    struct sim_task *t = mem_zalloc(sizeof *t);
    t->event.fire = task_fire;
    t->p = p;
    t->task = task;
    list_push_back(&p->tasks, &t->link);
    if (p->cancelling) return; /* sim_exec_finish completes it */
    if (lane == LANE_LOG) {
        log_lane_next(p);
        if (p->crash_in_log_tasks > 0 && --p->crash_in_log_tasks == 0) {
            process_crash_soon(p, p->world->knobs.log_max_ns);
        }
    } else {
        world_schedule(p->world, &t->event, process_now_ns(p) + task_latency(p, lane));
    }
}

void sim_exec_attach(struct process *p)
{
    static const struct exec_ops ops = {.submit = op_submit};
    p->exec.ops = &ops;
    p->env.exec = &p->exec;
}

void sim_exec_crash(struct process *p)
{
    struct world *w = p->world;
    bool log_stands = false; /* the log's tasks run in order: behind one that did not run, none does */
    LIST_FOR(it, &p->tasks)
    {
        struct sim_task *t = LIST_ENTRY(it, struct sim_task, link);
        world_cancel(w, &t->event);
        bool log = t->task->lane == LANE_LOG;
        uint64_t luck = draw(w, 0, 3);
        if (log && luck == 1) luck = 2; /* a torn batch is worth more than one that was not begun */
        if (t->executed || luck < 2 || p->disk == NULL) {
            log_stands = log_stands || (t->task->lane == LANE_LOG && !t->executed);
            continue;
        }
        if (t->task->lane == LANE_LOG && log_stands) continue;
        if (luck == 2) memdisk_fail_at(p->disk, MEMDISK_CHANGE, draw(w, 1, log ? 1 : 6), STATUS_IO, true);
        t->executed = true;
        t->task->execute(t->task);
        if (luck == 2) break; /* its disk is gone */
    }
    LIST_FOR(it, &p->tasks) world_cancel(w, &LIST_ENTRY(it, struct sim_task, link)->event);
}

void sim_exec_finish(struct process *p)
{
    p->cancelling = true;
    for (unsigned steps = 0; !list_empty(&p->tasks); steps++) {
        struct sim_task *t = LIST_ENTRY(p->tasks.next, struct sim_task, link);
        world_cancel(p->world, &t->event);
        if (!t->executed) t->task->cancelled = true;
        task_end(t);
        if (steps > 100000) BUG("a process that is being shut down submits tasks without end");
    }
}
