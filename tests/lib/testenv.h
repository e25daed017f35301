/* A single-threaded environment for unit tests: virtual clock, tasks that run when the test says so, `fatal` that is
 * remembered instead of ending the process. No network, no HTTP. The disk is the test's (tests/lib/memdisk.h). */
#ifndef QUORATE_TESTS_TESTENV_H
#define QUORATE_TESTS_TESTENV_H

#include "env/env.h"

struct testenv {
    struct env env; /* hand out &t.env */
    struct exec exec;
    struct logger log;
    struct list queued[LANE_COUNT]; /* submitted, not executed */
    struct list executed;           /* waiting for their `complete` */
    struct list actors;
    struct prng prng;
    uint64_t now_ns; /* advances by tick_ns with every look at the clock */
    uint64_t tick_ns;
    bool woken;
    bool echo_log;        /* print log lines to stderr */
    unsigned fatal_count; /* calls of env fatal */
    char fatal_text[512]; /* why, of the first */
    uint64_t log_lines;
    char last_log[512];
};

void testenv_init(struct testenv *t, struct disk *disk, uint64_t seed); /* t must not move afterwards */
/* No task may be left: run or cancel them first. */
void testenv_free(struct testenv *t);

size_t testenv_queued(const struct testenv *t, enum exec_lane lane); /* submitted and not executed */
bool testenv_idle(const struct testenv *t);                          /* no task queued or executed */
/* Executes one queued task, the oldest of a lane (LANE_COUNT: of a random lane that has one); its `complete` waits.
 * False: there is none. */
bool testenv_execute(struct testenv *t, enum exec_lane lane);
bool testenv_complete(struct testenv *t); /* the oldest `complete` that waits; false: there is none */
void testenv_pass(struct testenv *t);     /* the pass of every actor, again while they call wake */
/* Executes and completes all tasks of all lanes and runs the actors, until nothing is left to do now. */
void testenv_run(struct testenv *t);
/* What an executor does when it is shut down: tasks that were not executed are completed as cancelled, others normally. */
void testenv_cancel(struct testenv *t);
void testenv_advance_ms(struct testenv *t, uint64_t ms);

#endif
