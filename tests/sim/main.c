/* sim: runs seeds of the deterministic simulator.
 *
 *   sim                      the corpus, then the default number of seeds, in two processes
 *   sim --seed N [--trace] [--debug] [--once]
 *   sim --seeds A..B         sim --count N         [--stop] at the first failure, [--cover] prints the marks, [--jobs N]
 *   [--again N]              every N-th seed runs twice
 *   sim --bench              only measures: five nodes at 200 operations per second, on one core and, as seeds run, on --jobs at once
 *
 * Of many seeds every eighth runs twice and must give the same hash; a single one always does. --once is --again 0. The last
 * line is "N passed, N failed". */
#define _POSIX_C_SOURCE 200809L

#include "base/assert.h"
#include "lib/cover.h"
#include "sim/marks.h"
#include "sim/measure.h"
#include "sim/run.h"

#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEFAULT_COUNT = 500, TAIL_LINES = 60, JOBS_MAX = 8, AGAIN_DEFAULT = 8 };

struct totals {
    unsigned passed, failed, corpus, again;
    uint64_t events, simulated_ns, answers, faults, fatals;
    uint64_t hash; /* the sum of all runs' */
    double cpu_seconds;
};

struct args {
    bool has_seed, trace, debug, cover, stop, bench;
    uint64_t seed, first, last, count;
    unsigned tail, jobs, again;
};

static uint64_t seed_running; /* for the handler below */

/* An assertion that fails ends the process: say which seed it was, and what came before. It comes from our own thread, out
 * of assert_fail, so that printing is safe. */
static void on_abort(int signal_number)
{
    (void)signal(signal_number, SIG_DFL);
    run_report_abort(TAIL_LINES);
    (void)printf("FAILED seed %" PRIu64 ": aborted\n", seed_running);
    (void)fflush(stdout);
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_one(const struct args *a, uint64_t seed, struct totals *t)
{
    struct run_options o = {.seed = seed, .trace = a->trace, .debug = a->debug, .tail_lines = a->tail};
    struct run_result first, second;
    seed_running = seed;
    run_seed(&o, &first);
    bool same = true;
    if (a->again > 0 && seed % a->again == 0 && first.passed) {
        o.trace = false;
        run_seed(&o, &second);
        same = first.hash == second.hash && second.passed;
        t->events += second.events;
        t->simulated_ns += second.simulated_ns;
        t->again++;
    }
    t->hash += first.hash;
    t->events += first.events;
    t->simulated_ns += first.simulated_ns;
    t->answers += first.answers;
    t->faults += first.faults;
    t->fatals += first.fatals;
    if (first.passed && same) {
        t->passed++;
        return;
    }
    t->failed++;
    (void)printf("FAILED seed %" PRIu64 ": %s\n", seed,
                 first.passed ? "the same seed ran differently the second time" : first.failure);
    (void)fflush(stdout);
}

/* --- the seeds of one process: every jobs-th of them, beginning with the so many-th --- */

/* tests/sim/corpus.txt: "SEED  # what it found" a line. */
static void run_corpus(const struct args *a, unsigned part, struct totals *t)
{
    FILE *f = fopen("tests/sim/corpus.txt", "r");
    if (f == NULL) {
        (void)printf("tests/sim/corpus.txt cannot be read: run from the top of the tree\n");
        t->failed++;
        return;
    }
    char line[512];
    unsigned count = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        char *end;
        uint64_t seed = strtoull(line, &end, 10);
        if (end == line || count++ % a->jobs != part) continue;
        run_one(a, seed, t);
        t->corpus++;
    }
    (void)fclose(f);
}

static void run_part(const struct args *a, unsigned part, struct totals *t)
{
    double begun = seconds(CLOCK_MONOTONIC), said = begun;
    if (!a->has_seed) run_corpus(a, part, t);
    for (uint64_t seed = a->first + part; seed <= a->last; seed += a->jobs) {
        run_one(a, seed, t);
        if (a->stop && t->failed > 0) break;
        if (seconds(CLOCK_MONOTONIC) - said < 10) continue;
        said = seconds(CLOCK_MONOTONIC);
        (void)printf("... seed %" PRIu64 ", %u passed, %u failed, %.0f s\n", seed, t->passed, t->failed, said - begun);
        (void)fflush(stdout);
    }
    t->cpu_seconds = seconds(CLOCK_PROCESS_CPUTIME_ID);
}

/* --- several processes --- */

static void write_mark(void *ctx, const char *name, uint64_t count)
{
    (void)fprintf(ctx, "%s %" PRIu64 "\n", name, count);
}

static _Noreturn void part_run(const struct args *a, unsigned part, int to)
{
    struct totals t = {0};
    run_part(a, part, &t);
    FILE *f = fdopen(to, "w");
    if (f == NULL) _exit(1);
    (void)fwrite(&t, sizeof t, 1, f);
    cover_each(write_mark, f);
    (void)fclose(f);
    (void)fflush(stdout);
    _exit(0);
}

static void totals_add(struct totals *t, const struct totals *more)
{
    t->passed += more->passed;
    t->failed += more->failed;
    t->corpus += more->corpus;
    t->again += more->again;
    t->hash += more->hash;
    t->events += more->events;
    t->simulated_ns += more->simulated_ns;
    t->answers += more->answers;
    t->faults += more->faults;
    t->fatals += more->fatals;
    t->cpu_seconds += more->cpu_seconds;
}

static void part_read(int from, struct totals *t, struct marks *m)
{
    struct totals of_part;
    char name[MARK_NAME_MAX];
    uint64_t count;
    FILE *f = fdopen(from, "r");
    if (f == NULL || fread(&of_part, sizeof of_part, 1, f) != 1) {
        t->failed++; /* it said itself why it ended before its time */
        if (f != NULL) (void)fclose(f);
        return;
    }
    totals_add(t, &of_part);
    while (fscanf(f, "%47s %" SCNu64, name, &count) == 2) marks_add(m, name, count);
    (void)fclose(f);
}

static void run_parts(const struct args *a, struct totals *t, struct marks *m)
{
    int from[JOBS_MAX];
    pid_t pid[JOBS_MAX];
    for (unsigned i = 0; i < a->jobs; i++) {
        int ends[2];
        if (pipe(ends) != 0) BUG("pipe");
        (void)fflush(stdout);
        pid[i] = fork();
        if (pid[i] < 0) BUG("fork");
        if (pid[i] == 0) {
            (void)close(ends[0]);
            part_run(a, i, ends[1]);
        }
        (void)close(ends[1]);
        from[i] = ends[0];
    }
    for (unsigned i = 0; i < a->jobs; i++) {
        part_read(from[i], t, m);
        (void)waitpid(pid[i], NULL, 0);
    }
}

/* --- what is printed --- */

static void print_marks(const struct marks *m)
{
    for (unsigned i = 0; i < m->count; i++) (void)printf("cover %s %" PRIu64 "\n", m->items[i].name, m->items[i].count);
}

static int usage(void)
{
    (void)printf("usage: sim [--seed N | --seeds A..B | --count N] [--trace] [--debug] [--once] [--cover] [--stop] "
                 "[--again N] [--bench] [--jobs N] [--tail LINES]\n");
    return 2;
}

static bool parse(int argc, char **argv, struct args *a)
{
    *a = (struct args){.count = DEFAULT_COUNT, .first = 1, .tail = TAIL_LINES, .jobs = 2, .again = AGAIN_DEFAULT};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        char *end = NULL;
        if (strcmp(arg, "--trace") == 0)
            a->trace = true;
        else if (strcmp(arg, "--debug") == 0)
            a->debug = true;
        else if (strcmp(arg, "--once") == 0)
            a->again = 0;
        else if (strcmp(arg, "--stop") == 0)
            a->stop = true;
        else if (strcmp(arg, "--cover") == 0)
            a->cover = true;
        else if (strcmp(arg, "--bench") == 0)
            a->bench = true;
        else if (strcmp(arg, "--jobs") == 0)
            a->jobs = (unsigned)strtoul(value, &end, 10), i++;
        else if (strcmp(arg, "--again") == 0)
            a->again = (unsigned)strtoul(value, &end, 10), i++;
        else if (strcmp(arg, "--tail") == 0)
            a->tail = (unsigned)strtoul(value, &end, 10), i++;
        else if (strcmp(arg, "--seed") == 0)
            a->first = a->last = strtoull(value, &end, 10), a->has_seed = true, a->again = 1, i++;
        else if (strcmp(arg, "--count") == 0)
            a->count = strtoull(value, &end, 10), i++;
        else if (strcmp(arg, "--seeds") == 0) {
            a->first = strtoull(value, &end, 10);
            if (strncmp(end, "..", 2) != 0) return false;
            a->last = strtoull(end + 2, &end, 10);
            a->has_seed = true;
            i++;
        } else
            return false;
        if (end != NULL && (end == value || *end != '\0')) return false;
    }
    if (!a->has_seed) a->last = a->first + a->count - 1;
    return a->jobs >= 1 && a->jobs <= JOBS_MAX;
}

int main(int argc, char **argv)
{
    struct args a;
    if (!parse(argc, argv, &a)) return usage();
    (void)signal(SIGABRT, on_abort);
    /* What a run gives back the next one takes: no page is returned to be cleared again. More than 32 MiB is refused for the first. */
    if (mallopt(M_MMAP_THRESHOLD, 32 << 20) != 1 || mallopt(M_TRIM_THRESHOLD, 1 << 30) != 1) BUG("mallopt");
    (void)mallopt(M_TOP_PAD, 4 << 20);
    if (a.bench) return measure(a.jobs) ? 0 : 1;
    if (a.first == a.last) a.jobs = 1;
    static struct marks marks;
    struct totals t = {0};
    if (!marks_read(&marks))
        (void)printf("src/ or tests/sim/unseen.txt cannot be read: run from the top of the tree\n");
    double begun = seconds(CLOCK_MONOTONIC);
    run_parts(&a, &t, &marks);
    double took = seconds(CLOCK_MONOTONIC) - begun;
    (void)printf("%u seeds of the corpus, then %" PRIu64 "..%" PRIu64 ": %" PRIu64 " events, %.0f simulated s, %" PRIu64
                 " answers, %" PRIu64 " faults, %" PRIu64 " stops by a bad disk; %u of them twice, %.1f s\n",
                 t.corpus, a.first, a.last, t.events, (double)t.simulated_ns / 1e9, t.answers, t.faults, t.fatals,
                 t.again, took);
    (void)printf("%.2f M events/s, %.0f simulated s/s of a core; fingerprint %016" PRIx64 "\n",
                 (double)t.events / t.cpu_seconds / 1e6, (double)t.simulated_ns / 1e9 / t.cpu_seconds, t.hash);
    if (a.cover) print_marks(&marks);
    if (!a.has_seed && a.count >= DEFAULT_COUNT) {
        if (!measure(a.jobs)) t.failed++;
        unsigned wrong = marks_wrong(&marks);
        t.failed += wrong;
        t.passed += marks.count - wrong;
    }
    (void)printf("%u passed, %u failed\n", t.passed, t.failed);
    return t.failed > 0 || t.passed == 0 ? 1 : 0;
}
