/* The executor: order, threads, completion on the loop, the end; and the loop itself: actors, deadlines, clock. */
#define _GNU_SOURCE /* pthread_getname_np, fork */
#include "test_env_posix_common.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define TASKS 500u
#define GATED 100u

struct job {
    struct task task;
    struct run *run;
    unsigned number;
    pthread_t thread;
    char thread_name[16];
    int nice;
    bool executed;
};
struct run {
    struct env *env;
    struct job jobs[TASKS];
    unsigned executed[TASKS]; /* in the order of execution: one worker writes */
    _Atomic unsigned executed_count;
    unsigned completed[TASKS];
    unsigned completed_count, cancelled_count, submitted_count;
    pthread_t loop;
    sem_t gate; /* gated tasks each wait for one post */
    bool gated, resubmit;
};

static void job_execute(struct task *t)
{
    struct job *j = (struct job *)(void *)t;
    struct run *r = j->run;
    if (r->gated) (void)sem_wait(&r->gate);
    j->executed = true;
    j->thread = pthread_self();
    j->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
    (void)pthread_getname_np(j->thread, j->thread_name, sizeof(j->thread_name));
    unsigned at = atomic_fetch_add(&r->executed_count, 1);
    if (t->lane == LANE_LOG) r->executed[at] = j->number;
}

static void submit(struct run *r, enum exec_lane lane);

static void job_complete(struct task *t)
{
    struct job *j = (struct job *)(void *)t;
    struct run *r = j->run;
    ck_assert(pthread_equal(pthread_self(), r->loop));
    ck_assert(j->executed != t->cancelled);
    r->completed[r->completed_count++] = j->number;
    if (t->cancelled) r->cancelled_count++;
    if (r->resubmit && r->submitted_count < TASKS) submit(r, t->lane);
}

static void submit(struct run *r, enum exec_lane lane)
{
    struct job *j = &r->jobs[r->submitted_count];
    *j = (struct job){
        .task = {.execute = job_execute, .complete = job_complete}, .run = r, .number = r->submitted_count};
    r->submitted_count++;
    unsigned completed = r->completed_count;
    exec_submit(r->env->exec, lane, &j->task);
    ck_assert_uint_eq(r->completed_count, completed); /* never from inside */
}

static struct run *run_new(void)
{
    struct run *r = mem_zalloc(sizeof(*r));
    r->env = test_env_new(NULL);
    r->loop = pthread_self();
    (void)sem_init(&r->gate, 0, 0);
    return r;
}
static void run_free(struct run *r)
{
    env_posix_free(r->env);
    (void)sem_destroy(&r->gate);
    mem_free(r);
}
static bool all_completed(void *ctx)
{
    struct run *r = ctx;
    return r->completed_count == r->submitted_count;
}

START_TEST(log_lane_keeps_the_order)
{
    struct run *r = run_new();
    for (unsigned i = 0; i < TASKS; i++) submit(r, LANE_LOG);
    test_wait(r->env, all_completed, r);
    for (unsigned i = 0; i < TASKS; i++) {
        ck_assert_uint_eq(r->executed[i], i);
        ck_assert_uint_eq(r->completed[i], i);
        ck_assert(pthread_equal(r->jobs[i].thread, r->jobs[0].thread));
        ck_assert(!pthread_equal(r->jobs[i].thread, r->loop));
    }
    ck_assert_str_eq(r->jobs[0].thread_name, "q-log");
    run_free(r);
}
END_TEST

START_TEST(other_lanes_complete_everything)
{
    struct run *r = run_new();
    for (unsigned i = 0; i < TASKS; i++) submit(r, i % 2 == 0 ? LANE_READ : LANE_BACKGROUND);
    test_wait(r->env, all_completed, r);
    bool seen[TASKS] = {false};
    for (unsigned i = 0; i < TASKS; i++) {
        ck_assert(!seen[r->completed[i]]);
        seen[r->completed[i]] = true;
        ck_assert_str_eq(r->jobs[i].thread_name, i % 2 == 0 ? "q-read" : "q-background");
    }
    if (r->jobs[0].nice <= 10) ck_assert_int_eq(r->jobs[1].nice, 10);
    ck_assert_uint_eq(r->cancelled_count, 0);
    run_free(r);
}
END_TEST

START_TEST(a_completion_may_submit)
{
    struct run *r = run_new();
    r->resubmit = true;
    submit(r, LANE_LOG);
    test_wait(r->env, all_completed, r);
    ck_assert_uint_eq(r->completed_count, TASKS);
    ck_assert_uint_eq(r->cancelled_count, 0);
    run_free(r);
}
END_TEST

static void *open_gate(void *ctx)
{
    struct run *r = ctx;
    for (unsigned i = 0; i < GATED; i++) (void)sem_post(&r->gate);
    return NULL;
}

/* How many tasks have run when quiescing takes the queue away is left to chance; what must hold is not: those that ran
 * are the first ones, the others are cancelled, all complete in their order, and what the completions submit comes back
 * cancelled too. */
START_TEST(quiesce_cancels_what_waits)
{
    struct run *r = run_new();
    pthread_t opener;
    r->gated = true;
    for (unsigned i = 0; i < GATED; i++) submit(r, LANE_LOG);
    r->resubmit = true;
    ck_assert_int_eq(pthread_create(&opener, NULL, open_gate, r), 0);
    env_posix_quiesce(r->env);
    (void)pthread_join(opener, NULL);
    ck_assert_uint_eq(r->submitted_count, TASKS);
    ck_assert_uint_eq(r->completed_count, TASKS);
    unsigned executed = atomic_load(&r->executed_count);
    ck_assert_uint_le(executed, GATED);
    ck_assert_uint_eq(r->cancelled_count, TASKS - executed);
    for (unsigned i = 0; i < TASKS; i++) {
        ck_assert_uint_eq(r->completed[i], i);
        ck_assert_int_eq(r->jobs[i].executed, i < executed);
    }
    run_free(r);
}
END_TEST

/* ---- the loop ---------------------------------------------------------------------------------------------------------- */

struct ticker {
    struct actor actor;
    struct env *env;
    uint64_t interval_ns, next_ns;
    unsigned passes, ticks, ticks_wanted;
    struct ticker *detach; /* in its pass, once */
    bool wakes;
    uint64_t earliest_error_ns;
};

static uint64_t ticker_pass(struct actor *a, uint64_t now_ns)
{
    struct ticker *t = (struct ticker *)(void *)a;
    t->passes++;
    if (t->detach != NULL) {
        t->env->ops->detach(t->env, &t->detach->actor);
        t->detach = NULL;
    }
    if (t->wakes && t->passes < 1000) t->env->ops->wake(t->env);
    if (t->interval_ns == 0) return DEADLINE_NONE;
    if (now_ns >= t->next_ns) {
        if (t->next_ns != 0) t->ticks++;
        t->next_ns = now_ns + t->interval_ns;
        if (t->ticks == t->ticks_wanted) env_posix_stop(t->env, 7);
    }
    return t->next_ns;
}

START_TEST(deadlines_are_kept_and_the_loop_sleeps)
{
    struct env *env = test_env_new(NULL);
    struct ticker t = {.actor.pass = ticker_pass, .env = env, .interval_ns = 2 * NS_PER_MS, .ticks_wanted = 20};
    env->ops->attach(env, &t.actor);
    uint64_t begun = env_mono_ns(env);
    ck_assert_int_eq(env_posix_run(env), 7);
    ck_assert_uint_ge(env_mono_ns(env) - begun, 40 * NS_PER_MS);
    ck_assert_uint_le(t.passes, 3 * 20 + 5); /* it does not spin */
    env->ops->detach(env, &t.actor);
    env_posix_free(env);
}
END_TEST

START_TEST(wake_gives_another_pass)
{
    struct env *env = test_env_new(NULL);
    struct ticker t = {.actor.pass = ticker_pass, .env = env, .wakes = true};
    struct ticker end = {.actor.pass = ticker_pass, .env = env, .interval_ns = 200 * NS_PER_MS, .ticks_wanted = 1};
    env->ops->attach(env, &t.actor);
    env->ops->attach(env, &end.actor);
    (void)env_posix_run(env);
    ck_assert_uint_ge(t.passes, 1000);
    ck_assert_uint_le(t.passes, 1010);
    env->ops->detach(env, &t.actor);
    env->ops->detach(env, &end.actor);
    env_posix_free(env);
}
END_TEST

START_TEST(an_actor_may_detach_itself_or_the_next)
{
    struct env *env = test_env_new(NULL);
    struct ticker t[3], end = {.actor.pass = ticker_pass, .env = env, .interval_ns = NS_PER_MS, .ticks_wanted = 2};
    for (size_t i = 0; i < 3; i++) {
        t[i] = (struct ticker){.actor.pass = ticker_pass, .env = env};
        env->ops->attach(env, &t[i].actor);
    }
    t[0].detach = &t[0];
    t[1].detach = &t[2];
    env->ops->attach(env, &end.actor);
    (void)env_posix_run(env);
    ck_assert_uint_eq(t[0].passes, 1);
    ck_assert_uint_ge(t[1].passes, 2);
    ck_assert_uint_eq(t[2].passes, 0);
    env->ops->detach(env, &t[1].actor);
    env->ops->detach(env, &end.actor);
    env_posix_free(env);
}
END_TEST

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

START_TEST(run_until_ends_by_time)
{
    struct env *env = test_env_new(NULL);
    uint64_t begun = env_mono_ns(env), took;
    env_posix_run_until(env, never, NULL, 30 * NS_PER_MS);
    took = env_mono_ns(env) - begun;
    ck_assert_uint_ge(took, 30 * NS_PER_MS);
    ck_assert_uint_le(took, 5000 * NS_PER_MS);
    env_posix_free(env);
}
END_TEST

START_TEST(clock_and_random)
{
    struct env *env = test_env_new(NULL);
    uint64_t before = env_mono_ns(env);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t now = env_mono_ns(env);
        ck_assert(now >= before);
        before = now;
    }
    ck_assert_uint_gt(env_wall_ms(env), 1600000000000ull);
    uint8_t a[1000] = {0}, b[1000] = {0};
    env->ops->random(env, a, sizeof(a));
    env->ops->random(env, b, sizeof(b));
    ck_assert_int_ne(memcmp(a, b, sizeof(a)), 0);
    ck_assert(a[999] != 0 || a[998] != 0 || a[997] != 0 || a[996] != 0);
    env_posix_free(env);
}
END_TEST

/* ---- the process's end, in a child ----------------------------------------------------------------------------------------- */

static struct env *child_env; /* of the forked child */
static void stop_now(void *ctx)
{
    (void)ctx;
    env_posix_stop(child_env, 5);
}
static void stop_never(void *ctx)
{
    (void)ctx;
    (void)kill(getpid(), SIGINT); /* the second signal: the default stands by now */
}

static int child_run(void (*on_stop)(void *), int signal_number)
{
    int how;
    pid_t child = fork();
    if (child == 0) {
        child_env = test_env_new(NULL);
        env_posix_on_signal(child_env, on_stop, NULL);
        (void)kill(getpid(), signal_number);
        int code = env_posix_run(child_env);
        env_posix_free(child_env);
        _exit(code);
    }
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    return WIFEXITED(how) ? WEXITSTATUS(how) : 1000 + WTERMSIG(how);
}

START_TEST(signals)
{
    ck_assert_int_eq(child_run(stop_now, SIGTERM), 5);
    ck_assert_int_eq(child_run(stop_now, SIGINT), 5);
    ck_assert_int_eq(child_run(stop_never, SIGTERM), 1000 + SIGINT);
}
END_TEST

START_TEST(fatal_ends_the_process_at_once)
{
    struct test_dir dir = test_dir_new();
    char path[128];
    int how;
    (void)snprintf(path, sizeof(path), "%s/log", dir.path);
    pid_t child = fork();
    if (child == 0) {
        struct env_posix_options o = {.log_path = path};
        struct env *env = env_posix_new(&o, NULL);
        (void)!freopen("/dev/null", "w", stderr);
        env->ops->fatal(env, "the sync\nfailed");
        _exit(1);
    }
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert(WIFEXITED(how));
    ck_assert_int_eq(WEXITSTATUS(how), ENV_POSIX_EXIT_FATAL);
    struct buf text;
    struct errbuf err;
    buf_init(&text, 4096);
    ck_assert_int_eq(process_file_read(path, &text, &err), STATUS_OK);
    buf_append_byte(&text, '\0');
    ck_assert_ptr_nonnull(strstr((char *)text.data, " error process.fatal why=\"the sync failed\"\n")); /* one line */
    buf_free(&text);
    test_dir_free(&dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("env_posix/exec");
    TCase *tc = tcase_create("exec");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, log_lane_keeps_the_order);
    tcase_add_test(tc, other_lanes_complete_everything);
    tcase_add_test(tc, a_completion_may_submit);
    tcase_add_test(tc, quiesce_cancels_what_waits);
    tcase_add_test(tc, deadlines_are_kept_and_the_loop_sleeps);
    tcase_add_test(tc, wake_gives_another_pass);
    tcase_add_test(tc, an_actor_may_detach_itself_or_the_next);
    tcase_add_test(tc, run_until_ends_by_time);
    tcase_add_test(tc, clock_and_random);
    tcase_add_test(tc, signals);
    tcase_add_test(tc, fatal_ends_the_process_at_once);
    suite_add_tcase(suite, tc);
    return test_run_suite(suite);
}
