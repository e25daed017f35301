/* sim: runs seeds of the deterministic simulator.
 *
 *   sim                      the corpus, then the default number of seeds
 *   sim --seed N [--trace] [--debug] [--once]
 *   sim --seeds A..B         sim --count N         [--stop] at the first failure, [--cover] prints the marks
 *
 * Each seed runs twice and must give the same hash (--once: only once). The last line is "N passed, N failed". */
#include "lib/cover.h"
#include "sim/run.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DEFAULT_COUNT = 200, TAIL_LINES = 60, CORPUS_MAX = 256 };

/* Marks that 200 seeds see reliably. A mark that is never seen any more is a case that is no longer tested. */
static const char *const REQUIRED[] = {"link.broke",          "snapshot.send", "read.bounded_at_follower",
                                       "read.follower_asked", "read.parked",   "read.resolved_already",
                                       "read.too_old"};

struct totals {
    unsigned passed, failed;
    uint64_t events, simulated_ns, answers, faults, fatals;
};

struct args {
    bool has_seed, trace, debug, once, cover, stop;
    uint64_t seed, first, last, count;
    unsigned tail;
};

static uint64_t seed_running; /* for the handler below */

/* An assertion that fails ends the program: say which seed it was, and what came before. It comes from our own thread, out
 * of assert_fail, so that printing is safe. */
static void on_abort(int signal_number)
{
    (void)signal(signal_number, SIG_DFL);
    run_report_abort(TAIL_LINES);
    (void)printf("FAILED seed %" PRIu64 ": aborted\n", seed_running);
    (void)fflush(stdout);
}

static double seconds(void)
{
    struct timespec t;
    (void)timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_one(const struct args *a, uint64_t seed, struct totals *t)
{
    struct run_options o = {.seed = seed, .trace = a->trace, .debug = a->debug, .tail_lines = a->tail};
    struct run_result first, second;
    seed_running = seed;
    run_seed(&o, &first);
    bool same = true;
    if (!a->once && first.passed) {
        o.trace = false;
        run_seed(&o, &second);
        same = first.hash == second.hash && second.passed;
    }
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

/* --- the corpus: "SEED  # what it found" a line --- */

static unsigned run_corpus(const struct args *a, struct totals *t)
{
    FILE *f = fopen("tests/sim/corpus.txt", "r");
    if (f == NULL) {
        (void)printf("tests/sim/corpus.txt cannot be read: run from the top of the tree\n");
        t->failed++;
        return 0;
    }
    char line[512];
    unsigned count = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        char *end;
        uint64_t seed = strtoull(line, &end, 10);
        if (end == line) continue;
        run_one(a, seed, t);
        count++;
    }
    (void)fclose(f);
    return count;
}

/* --- coverage --- */

static void check_cover(struct totals *t)
{
    for (size_t i = 0; i < sizeof REQUIRED / sizeof REQUIRED[0]; i++) {
        if (cover_count(REQUIRED[i]) > 0) {
            t->passed++;
            continue;
        }
        t->failed++;
        (void)printf("FAILED: the mark %s was not seen in any seed\n", REQUIRED[i]);
    }
}

static int usage(void)
{
    (void)printf("usage: sim [--seed N | --seeds A..B | --count N] [--trace] [--debug] [--once] [--cover] [--stop] "
                 "[--tail LINES]\n");
    return 2;
}

static bool parse(int argc, char **argv, struct args *a)
{
    *a = (struct args){.count = DEFAULT_COUNT, .first = 1, .tail = TAIL_LINES};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        char *end = NULL;
        if (strcmp(arg, "--trace") == 0)
            a->trace = true;
        else if (strcmp(arg, "--debug") == 0)
            a->debug = true;
        else if (strcmp(arg, "--once") == 0)
            a->once = true;
        else if (strcmp(arg, "--stop") == 0)
            a->stop = true;
        else if (strcmp(arg, "--cover") == 0)
            a->cover = true;
        else if (strcmp(arg, "--tail") == 0)
            a->tail = (unsigned)strtoul(value, &end, 10), i++;
        else if (strcmp(arg, "--seed") == 0)
            a->first = a->last = strtoull(value, &end, 10), a->has_seed = true, i++;
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
    return true;
}

int main(int argc, char **argv)
{
    struct args a;
    if (!parse(argc, argv, &a)) return usage();
    (void)signal(SIGABRT, on_abort);
    struct totals t = {0};
    double begun = seconds(), said = begun;
    unsigned corpus = a.has_seed ? 0 : run_corpus(&a, &t);
    for (uint64_t seed = a.first; seed <= a.last; seed++) {
        run_one(&a, seed, &t);
        if (a.stop && t.failed > 0) break;
        if (seconds() - said < 10) continue;
        said = seconds();
        (void)printf("... seed %" PRIu64 ", %u passed, %u failed, %.0f s\n", seed, t.passed, t.failed, said - begun);
        (void)fflush(stdout);
    }
    double took = seconds() - begun;
    (void)printf("%u seeds of the corpus, then %" PRIu64 "..%" PRIu64 ": %" PRIu64 " events, %.0f simulated s, %" PRIu64
                 " answers, %" PRIu64 " faults, %" PRIu64 " stops by a bad disk; each seed %s, %.1f s\n",
                 corpus, a.first, a.last, t.events, (double)t.simulated_ns / 1e9, t.answers, t.faults, t.fatals,
                 a.once ? "once" : "twice", took);
    (void)printf("%.2f M events/s, %.0f simulated s/s\n", (double)t.events * (a.once ? 1 : 2) / took / 1e6,
                 (double)t.simulated_ns * (a.once ? 1 : 2) / 1e9 / took);
    if (a.cover) cover_print();
    if (!a.has_seed && a.count >= DEFAULT_COUNT) check_cover(&t);
    (void)printf("%u passed, %u failed\n", t.passed, t.failed);
    return t.failed > 0 || t.passed == 0 ? 1 : 0;
}
