#include "lib/testenv.h"

#include "base/assert.h"

#include <stdio.h>
#include <string.h>

/* struct env is the first member of struct testenv. */
static struct testenv *testenv_of(struct env *e)
{
    return (struct testenv *)(void *)e;
}

static uint64_t op_mono_ns(struct env *e)
{
    struct testenv *t = testenv_of(e);
    t->now_ns += t->tick_ns;
    return t->now_ns;
}

static uint64_t op_wall_ms(struct env *e)
{
    return 1700000000000ull + testenv_of(e)->now_ns / NS_PER_MS;
}

static void op_random(struct env *e, void *bytes, size_t size)
{
    uint8_t *p = bytes;
    for (size_t i = 0; i < size; i++) p[i] = (uint8_t)prng_next(&testenv_of(e)->prng);
}

static void op_attach(struct env *e, struct actor *a)
{
    list_push_back(&testenv_of(e)->actors, &a->link);
    testenv_of(e)->woken = true;
}

static void op_detach(struct env *e, struct actor *a)
{
    (void)e;
    list_remove(&a->link);
}

static void op_wake(struct env *e)
{
    testenv_of(e)->woken = true;
}

static void op_fatal(struct env *e, const char *why)
{
    struct testenv *t = testenv_of(e);
    if (t->fatal_count == 0) (void)snprintf(t->fatal_text, sizeof t->fatal_text, "%s", why);
    t->fatal_count++;
    e->dead = true;
}

static const struct env_ops testenv_ops = {.mono_ns = op_mono_ns,
                                           .wall_ms = op_wall_ms,
                                           .random = op_random,
                                           .attach = op_attach,
                                           .detach = op_detach,
                                           .wake = op_wake,
                                           .fatal = op_fatal};

static void exec_op_submit(struct exec *e, enum exec_lane lane, struct task *task)
{
    struct testenv *t = LIST_ENTRY(e, struct testenv, exec);
    ASSERT(lane < LANE_COUNT);
    list_push_back(&t->queued[lane], &task->link);
}

static const struct exec_ops testenv_exec_ops = {.submit = exec_op_submit};

static void log_op_write(struct logger *log, enum log_level level, const char *line)
{
    struct testenv *t = log->ctx;
    t->log_lines++;
    (void)snprintf(t->last_log, sizeof t->last_log, "%s", line);
    if (t->echo_log) fprintf(stderr, "%s %s\n", log_level_name(level), line);
}

void testenv_init(struct testenv *t, struct disk *disk, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->exec.ops = &testenv_exec_ops;
    t->log = (struct logger){.level = LOG_DEBUG, .write = log_op_write, .ctx = t};
    t->env = (struct env){.ops = &testenv_ops, .disk = disk, .exec = &t->exec, .log = &t->log};
    for (size_t i = 0; i < LANE_COUNT; i++) list_init(&t->queued[i]);
    list_init(&t->executed);
    list_init(&t->actors);
    prng_init(&t->prng, seed);
    t->now_ns = 1000000000ull;
    t->tick_ns = 1000;
}

void testenv_free(struct testenv *t)
{
    ASSERT(testenv_idle(t));
    ASSERT(list_empty(&t->actors));
}

size_t testenv_queued(const struct testenv *t, enum exec_lane lane)
{
    size_t n = 0;
    for (const struct list *it = t->queued[lane].next; it != &t->queued[lane]; it = it->next) n++;
    return n;
}

bool testenv_idle(const struct testenv *t)
{
    for (size_t i = 0; i < LANE_COUNT; i++)
        if (!list_empty(&t->queued[i])) return false;
    return list_empty(&t->executed);
}

static enum exec_lane random_lane(struct testenv *t)
{
    enum exec_lane with_work[LANE_COUNT];
    size_t n = 0;
    for (int i = 0; i < LANE_COUNT; i++)
        if (!list_empty(&t->queued[i])) with_work[n++] = (enum exec_lane)i;
    return n == 0 ? LANE_COUNT : with_work[prng_below(&t->prng, n)];
}

bool testenv_execute(struct testenv *t, enum exec_lane lane)
{
    if (lane == LANE_COUNT) lane = random_lane(t);
    if (lane == LANE_COUNT) return false;
    struct list *node = list_pop_front(&t->queued[lane]);
    if (node == NULL) return false;
    struct task *task = LIST_ENTRY(node, struct task, link);
    task->execute(task);
    list_push_back(&t->executed, node);
    return true;
}

bool testenv_complete(struct testenv *t)
{
    struct list *node = list_pop_front(&t->executed);
    if (node == NULL) return false;
    struct task *task = LIST_ENTRY(node, struct task, link);
    task->complete(task); /* may free the task */
    t->woken = true;
    return true;
}

void testenv_pass(struct testenv *t)
{
    do {
        t->woken = false;
        LIST_FOR(node, &t->actors)
        {
            struct actor *a = LIST_ENTRY(node, struct actor, link);
            a->deadline_ns = a->pass(a, t->now_ns);
        }
    } while (t->woken && !t->env.dead);
}

void testenv_run(struct testenv *t)
{
    for (;;) {
        bool worked = testenv_execute(t, LANE_COUNT);
        worked = testenv_complete(t) || worked;
        if (t->woken && !t->env.dead) {
            testenv_pass(t);
            worked = true;
        }
        if (!worked) return;
    }
}

void testenv_cancel(struct testenv *t)
{
    while (testenv_complete(t)) continue;
    for (size_t i = 0; i < LANE_COUNT; i++) {
        for (struct list *node = list_pop_front(&t->queued[i]); node != NULL; node = list_pop_front(&t->queued[i])) {
            struct task *task = LIST_ENTRY(node, struct task, link);
            task->cancelled = true;
            task->complete(task);
        }
    }
}

void testenv_advance_ms(struct testenv *t, uint64_t ms)
{
    t->now_ns += ms * NS_PER_MS;
}
