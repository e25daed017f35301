/* sim_mutants: the simulator against bugs that were planted on purpose (src/base/mutant.h). Each is switched on in a process
 * of its own that runs seeds until something is found wrong; a bug that nothing finds within its seeds fails the program.
 *
 *   sim_mutants [--only NAME] [--seeds N] [--jobs N]
 *
 * Prints a line for each: name, trap, at which seed, and what was found. The last line is "N passed, N failed". */
#define _POSIX_C_SOURCE 200809L

#include "base/assert.h"
#include "base/mutant.h"
#include "sim/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEEDS_DEFAULT = 3000, JOBS_MAX = 8, SEED_SECONDS_MAX = 120, WHY_BYTES = 400 };

enum mutant mutant_planted;

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
};

/* --- the process with the bug in it --- */

static _Noreturn void hunt_run(enum mutant m, uint64_t seeds, int to)
{
    (void)dup2(to, STDERR_FILENO); /* where a failed assertion speaks */
    if (freopen("/dev/null", "w", stdout) == NULL) _exit(3);
    mutant_planted = m;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        (void)dprintf(to, "seed %" PRIu64 "\n", seed);
        (void)alarm(SEED_SECONDS_MAX); /* a run that does not end has been noticed, too */
        struct run_result result;
        run_seed(&(struct run_options){.seed = seed}, &result);
        if (result.passed) continue;
        struct run_result sound;
        mutant_planted = MUTANT_NONE;
        run_seed(&(struct run_options){.seed = seed}, &sound);
        mutant_planted = m;
        if (!sound.passed) continue; /* it was not the planted one that was found */
        (void)dprintf(to, "%s\n", result.failure);
        _exit(1);
    }
    _exit(0);
}

static void hunt_begin(struct hunt *h, enum mutant m, uint64_t seeds)
{
    int ends[2];
    if (pipe(ends) != 0) BUG("pipe");
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) BUG("fork");
    if (pid == 0) {
        (void)close(ends[0]);
        hunt_run(m, seeds, ends[1]);
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

static void hunt_end(const struct hunt *h, struct totals *t)
{
    unsigned long long seed;
    char why[WHY_BYTES];
    int status = 0;
    hunt_read(h, &seed, why);
    (void)waitpid(h->pid, &status, 0);
    bool caught = !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    bool odd = WIFEXITED(status) && WEXITSTATUS(status) == 3;
    if (WIFSIGNALED(status) && why[0] == '\0') (void)snprintf(why, sizeof why, "signal %d", WTERMSIG(status));
    if (caught && !odd) {
        t->passed++;
        (void)printf("%-27s %-4s seed %4llu  %.100s\n", ROWS[h->mutant].name, ROWS[h->mutant].trap, seed, why);
    } else {
        t->failed++;
        (void)printf("%-27s %-4s NOT FOUND in %llu seeds: %s\n", ROWS[h->mutant].name, ROWS[h->mutant].trap, seed,
                     ROWS[h->mutant].what);
    }
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *only = NULL;
    uint64_t seeds = SEEDS_DEFAULT;
    unsigned jobs = 2;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--only") == 0) only = argv[i + 1];
        if (strcmp(argv[i], "--seeds") == 0) seeds = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--jobs") == 0) jobs = (unsigned)strtoul(argv[i + 1], NULL, 10);
    }
    if (jobs < 1 || jobs > JOBS_MAX || seeds < 1) {
        (void)printf("usage: sim_mutants [--only NAME] [--seeds N] [--jobs 1..%d]\n", JOBS_MAX);
        return 2;
    }
    struct hunt under_way[JOBS_MAX];
    unsigned begun = 0, ended = 0; /* in a ring: they are waited for in order */
    struct totals t = {0};
    for (enum mutant m = 1; m < MUTANT_COUNT; m++) {
        if (only != NULL && strcmp(only, ROWS[m].name) != 0) continue;
        if (begun - ended == jobs) hunt_end(&under_way[ended++ % jobs], &t);
        hunt_begin(&under_way[begun++ % jobs], m, seeds);
    }
    while (ended < begun) hunt_end(&under_way[ended++ % jobs], &t);
    (void)printf("%u passed, %u failed\n", t.passed, t.failed);
    return t.failed > 0 || t.passed == 0 ? 1 : 0;
}
