/* How fast the simulator is. By processor time: it waits for nothing, so on a machine at rest that is the clock's, and a busy one takes
 * the least away. Of several cores each runs a seed of its own in a process of its own, as the suite's seeds do, and the time of the one
 * that takes longest counts. */
#define _POSIX_C_SOURCE 200809L

#include "sim/measure.h"

#include "base/assert.h"
#include "sim/run.h"

#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BAR_CORES = 2, BAR_EVENTS = 1000000, BAR_TIME = 100 };

struct speed {
    bool failed;
    uint64_t events, answers;
    double simulated, took; /* seconds */
};

static double processor_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void run_on_a_core(enum cluster_bench bench, uint64_t seed, int to)
{
    struct run_result r;
    double begun = processor_seconds();
    run_seed(&(struct run_options){.seed = seed, .bench = bench}, &r);
    struct speed s = {.failed = !r.passed,
                      .events = r.events,
                      .answers = r.answers,
                      .simulated = (double)r.simulated_ns / 1e9,
                      .took = processor_seconds() - begun};
    (void)fflush(stdout);
    _exit(write(to, &s, sizeof s) == (ssize_t)sizeof s ? 0 : 1);
}

static struct speed run_on_cores(enum cluster_bench bench, unsigned cores)
{
    struct speed all = {.took = 0}, one;
    int ends[2];
    if (pipe(ends) != 0) BUG("pipe");
    (void)fflush(stdout);
    for (unsigned i = 0; i < cores; i++) {
        pid_t pid = fork();
        if (pid < 0) BUG("fork");
        if (pid == 0) run_on_a_core(bench, i + 1, ends[1]);
    }
    (void)close(ends[1]);
    for (unsigned i = 0; i < cores; i++) {
        if (read(ends[0], &one, sizeof one) != (ssize_t)sizeof one) one = (struct speed){.failed = true};
        all.failed = all.failed || one.failed;
        all.events += one.events;
        all.answers += one.answers;
        all.simulated += one.simulated;
        if (one.took > all.took) all.took = one.took;
    }
    (void)close(ends[0]);
    for (unsigned i = 0; i < cores; i++) (void)wait(NULL);
    return all;
}

static void tell(const char *what, const char *unit, unsigned cores, double ours, unsigned bar)
{
    (void)printf("bench sim/%s_%u_core%s ours=%.0f unit=%s", what, cores, cores == 1 ? "" : "s", ours, unit);
    if (cores == BAR_CORES && bar > 0) (void)printf(" bar=%u", bar);
    (void)printf("\n");
}

static bool measure_on(unsigned cores)
{
    struct speed plain = run_on_cores(BENCH_PLAIN, cores), mixed = run_on_cores(BENCH_MIXED, cores);
    if (plain.failed || mixed.failed) {
        (void)printf("FAILED: a measurement is not sound\n");
        return false;
    }
    (void)printf(
        "five nodes, %u at a time: %.0f operations per simulated second of one range each; %.0f, a third of them over "
        "several ranges\n",
        cores, (double)plain.answers / plain.simulated, (double)mixed.answers / mixed.simulated);
    tell("events", "event/s", cores, (double)plain.events / plain.took, BAR_EVENTS);
    tell("time", "simulated_s/s", cores, plain.simulated / plain.took, BAR_TIME);
    tell("mixed", "simulated_s/s", cores, mixed.simulated / mixed.took, 0);
    return true;
}

bool measure(unsigned cores)
{
    return measure_on(1) && (cores == 1 || measure_on(cores));
}
