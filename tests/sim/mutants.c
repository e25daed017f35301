/* sim_mutants: the simulator against bugs that were planted on purpose (src/base/mutant.h). Each is switched on in a process
 * of its own that runs seeds until something is found wrong; a bug that nothing finds within its seeds fails the program.
 * tests/sim/mutants.txt says which seed was the first to find it; or, of a bug that needs an order of events which hardly a seed comes
 * upon, which directed test finds it: that has to pass without the bug and to fail with it. First all are tried as it says; then other
 * seeds are looked for to find those whose own does not any more.
 *
 *   sim_mutants [--only NAME] [--seeds N] [--jobs N] [--search]
 *       --search: whatever mutants.txt says, from seed 1 on; --seeds: how many of them, 300
 *
 * A run is bounded by processor time, not by the clock: it finds the same however busy the machine is.
 *
 * Prints a line for each: name, trap, at which seed, and what was found, and how much processor time all took. The last line is
 * "N passed, N failed". */
#define _XOPEN_SOURCE 700

#include "base/assert.h"
#include "base/mutant.h"
#include "sim/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEEDS_DEFAULT = 300, JOBS_MAX = 8, SEED_SECONDS_MAX = 120, WHY_BYTES = 400, PATH_BYTES = 512 };

extern enum mutant mutant_planted; /* plant.c */

#define KNOWN_PATH "tests/sim/mutants.txt"

#define MUTANT_ROW(name, trap, what) {#name, trap, what},
static const struct {
    const char *name, *trap, *what;
} ROWS[] = {{"none", "", ""}, MUTANT_MAP(MUTANT_ROW)};

struct hunt { /* one mutant, in a process of its own */
    pid_t pid;
    enum mutant mutant;
    int from; /* what it says: "seed N" before each seed, and at the end what was found */
};

struct totals {
    unsigned passed, failed;
    unsigned lost_count; /* not found by the seed that mutants.txt says, or it says none */
    enum mutant lost[MUTANT_COUNT];
};

struct known { /* what mutants.txt says of it */
    uint64_t seed;
    char program[64];
};

struct args {
    const char *only, *folder; /* folder: where the programs with bugs in them are */
    uint64_t seeds;
    unsigned jobs;
    bool search;
};

/* "NAME SEED" or "NAME PROGRAM", and perhaps more behind it, a line. */
static struct known known_of(const struct args *a, enum mutant m)
{
    struct known k = {0};
    FILE *f = a->search ? NULL : fopen(KNOWN_PATH, "r");
    char line[256], name[64], what[64];
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "%63s %63s", name, what) != 2 || strcmp(name, ROWS[m].name) != 0) continue;
        k.seed = strtoull(what, NULL, 10);
        if (k.seed == 0) (void)snprintf(k.program, sizeof k.program, "%s", what);
    }
    if (f != NULL) (void)fclose(f);
    return k;
}

/* --- the process with the bug in it --- */

static bool finds(enum mutant m, uint64_t seed, int to)
{
    (void)dprintf(to, "seed %" PRIu64 "\n", seed);
    /* A run that does not end has been noticed, too: SIGPROF ends the process. */
    (void)setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = SEED_SECONDS_MAX}, NULL);
    struct run_result result, sound;
    mutant_planted = m;
    run_seed(&(struct run_options){.seed = seed}, &result);
    if (result.passed) return false;
    mutant_planted = MUTANT_NONE;
    run_seed(&(struct run_options){.seed = seed}, &sound);
    if (!sound.passed) return false; /* it was not the planted one that was found */
    (void)dprintf(to, "%s\n", result.failure);
    return true;
}

/* A directed test, with the bug or without. */
static bool program_passes(const char *path, const char *bug)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (bug != NULL) (void)setenv("QUORATE_MUTANT", bug, 1);
        (void)setenv("CK_DEFAULT_TIMEOUT", "120", 0); /* as in tests/run.sh: the machine may be busy */
        (void)dup2(STDOUT_FILENO, STDERR_FILENO);
        (void)execl(path, path, (char *)NULL);
        _exit(127);
    }
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static _Noreturn void hunt_run(const struct args *a, enum mutant m, int to)
{
    struct known known = known_of(a, m);
    char path[PATH_BYTES + sizeof known.program];
    (void)dup2(to, STDERR_FILENO); /* where a failed assertion speaks */
    if (freopen("/dev/null", "w", stdout) == NULL) _exit(3);
    if (known.program[0] != '\0') {
        (void)snprintf(path, sizeof path, "%s/%s", a->folder, known.program);
        bool sound = program_passes(path, NULL), caught = !program_passes(path, ROWS[m].name);
        (void)dprintf(to, "%s %s\n", known.program, sound ? caught ? "fails" : "passes" : "fails without it, too");
        _exit(sound && caught ? 1 : 0);
    }
    if (known.seed > 0) _exit(finds(m, known.seed, to) ? 1 : 0);
    for (uint64_t seed = 1; a->search && seed <= a->seeds; seed++) {
        if (finds(m, seed, to)) _exit(1);
    }
    _exit(0);
}

static void hunt_begin(struct hunt *h, const struct args *a, enum mutant m)
{
    int ends[2];
    if (pipe(ends) != 0) BUG("pipe");
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) BUG("fork");
    if (pid == 0) {
        (void)close(ends[0]);
        hunt_run(a, m, ends[1]);
    }
    (void)close(ends[1]);
    *h = (struct hunt){.pid = pid, .mutant = m, .from = ends[0]};
}

/* --- what became of it --- */

static void hunt_read(const struct hunt *h, unsigned long long *seed, char why[WHY_BYTES])
{
    FILE *f = fdopen(h->from, "r");
    char line[2048];
    why[0] = '\0';
    *seed = 0;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "seed %llu", seed) != 1 && why[0] == '\0') (void)snprintf(why, WHY_BYTES, "%.300s", line);
    }
    if (f != NULL) (void)fclose(f);
}

/* What ended the process: was it the planted bug? A failed assertion leaves no time to look. */
static bool sound_without(uint64_t seed)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct run_result sound;
        if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL) _exit(3);
        run_seed(&(struct run_options){.seed = seed}, &sound);
        _exit(sound.passed ? 0 : 1);
    }
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void hunt_end(const struct hunt *h, bool searched, struct totals *t)
{
    unsigned long long seed;
    char why[WHY_BYTES];
    int status = 0;
    hunt_read(h, &seed, why);
    (void)waitpid(h->pid, &status, 0);
    bool caught = !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    bool odd = WIFEXITED(status) && WEXITSTATUS(status) == 3;
    if (WIFSIGNALED(status) && seed > 0) odd = !sound_without(seed);
    if (WIFSIGNALED(status) && why[0] == '\0') (void)snprintf(why, sizeof why, "signal %d", WTERMSIG(status));
    if (caught && !odd) {
        t->passed++;
        (void)printf("%-29s %-4s ", ROWS[h->mutant].name, ROWS[h->mutant].trap);
        (void)(seed > 0 ? printf("seed %4llu  %.100s\n", seed, why) : printf("%.100s\n", why));
    } else if (!searched && (seed > 0 || why[0] == '\0')) { /* not of a directed test */
        t->lost[t->lost_count++] = h->mutant;
    } else {
        t->failed++;
        (void)printf("%-29s %-4s NOT FOUND: %s: %s\n", ROWS[h->mutant].name, ROWS[h->mutant].trap, ROWS[h->mutant].what,
                     why[0] != '\0' ? why : "no seed does");
    }
    (void)fflush(stdout);
}

static void hunt_all(const struct args *a, const enum mutant *which, unsigned count, struct totals *t)
{
    struct hunt under_way[JOBS_MAX];
    unsigned begun = 0, ended = 0; /* in a ring: they are waited for in order */
    while (begun < count) {
        if (begun - ended == a->jobs) hunt_end(&under_way[ended++ % a->jobs], a->search, t);
        hunt_begin(&under_way[begun % a->jobs], a, which[begun]);
        begun++;
    }
    while (ended < begun) hunt_end(&under_way[ended++ % a->jobs], a->search, t);
}

static bool parse(int argc, char **argv, struct args *a)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--search") == 0) {
            a->search = true;
            continue;
        }
        if (strcmp(argv[i], "--only") == 0) {
            a->only = value;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            a->seeds = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--jobs") == 0) {
            a->jobs = (unsigned)strtoul(value, NULL, 10);
        } else {
            return false;
        }
        i++;
    }
    return a->jobs >= 1 && a->jobs <= JOBS_MAX && a->seeds >= 1;
}

int main(int argc, char **argv)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(argv[0], '/');
    (void)snprintf(folder, sizeof folder, "%.*s/mutant", slash != NULL ? (int)(slash - argv[0]) : 1,
                   slash != NULL ? argv[0] : ".");
    struct args a = {.folder = folder, .seeds = SEEDS_DEFAULT, .jobs = 2};
    if (!parse(argc, argv, &a)) {
        (void)printf("usage: sim_mutants [--only NAME] [--seeds N] [--jobs 1..%d] [--search]\n", JOBS_MAX);
        return 2;
    }
    struct totals t = {0};
    enum mutant all[MUTANT_COUNT];
    unsigned count = 0;
    for (enum mutant m = 1; m < MUTANT_COUNT; m++) {
        if (a.only == NULL || strcmp(a.only, ROWS[m].name) == 0) all[count++] = m;
    }
    hunt_all(&a, all, count, &t);
    a.search = true;
    unsigned lost = t.lost_count;
    hunt_all(&a, t.lost, lost, &t);
    struct rusage used;
    (void)getrusage(RUSAGE_CHILDREN, &used);
    if (lost > 0) (void)printf("%u were not found as " KNOWN_PATH " says: other seeds were looked for\n", lost);
    (void)printf("%lld s of a processor\n", (long long)(used.ru_utime.tv_sec + used.ru_stime.tv_sec));
    (void)printf("%u passed, %u failed\n", t.passed, t.failed);
    return t.failed > 0 || t.passed == 0 ? 1 : 0;
}
