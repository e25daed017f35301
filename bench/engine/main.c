/* The store beside RocksDB, LevelDB and LMDB, on the same work in one run.
 *   engine --dir D [--count N] [--repeat R] [--engines ours,rocksdb,...] [--work sequential,random,prefix,synced,pause]
 *     [--clock cpu] [--memtable MiB] [--pace PERCENT] [--seconds OF-THE-LONG-OVERWRITE]
 * Every program of work runs in a process of its own, the engines in turn; figures are medians. Lines:
 *   bench engine/fillrandom ours=… rocksdb=… leveldb=… lmdb=… unit=op/s ratio=…
 * ratio: ours to the better of RocksDB and LevelDB, above 1 meaning that ours is the better one. */
#define _GNU_SOURCE
#include "engine.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENGINES 4u
#define METRICS_MAX 40u
#define REPEAT_MAX 9u

static const struct engine_ops *const engines[ENGINES] = {&engine_ours, &engine_rocksdb, &engine_leveldb, &engine_lmdb};

struct metric {
    char name[48];
    double values[ENGINES][REPEAT_MAX];
    unsigned counts[ENGINES];
};

struct bench {
    const char *dir, *engines, *work;
    uint64_t count;
    unsigned repeat;
    double pace, pause_seconds;
    bool cpu_clock;
    size_t peer_memtable; /* of RocksDB and LevelDB; 0: the better one is found out */
    struct metric metrics[METRICS_MAX];
    size_t metric_count;
    size_t memtable[ENGINES];
};

_Noreturn void engine_die(const char *engine, const char *what)
{
    (void)fprintf(stderr, "bench engine: %s: %s\n", engine, what);
    _exit(1);
}

/* --- a program of work in a child --- */

static void child_report(const char *metric, double value)
{
    (void)printf("%s %.3f\n", metric, value);
    (void)fflush(stdout);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void note(struct bench *b, size_t engine, const char *name, double value)
{
    size_t i = 0;
    while (i < b->metric_count && strcmp(b->metrics[i].name, name) != 0) i++;
    if (i == METRICS_MAX) engine_die("bench", "too many metrics");
    struct metric *m = &b->metrics[i];
    if (i == b->metric_count) {
        b->metric_count++;
        (void)snprintf(m->name, sizeof(m->name), "%s", name);
    }
    if (m->counts[engine] < REPEAT_MAX) m->values[engine][m->counts[engine]++] = value;
    (void)fprintf(stderr, "  %s %s %.1f\n", engines[engine]->name, name, value);
}

/* Answers the last figure that it reported; notes all of them if `keep`. */
static double run_work(struct bench *b, size_t engine, const struct work_kind *kind, size_t memtable, bool keep)
{
    char dir[512];
    (void)snprintf(dir, sizeof(dir), "%s/%s", b->dir, engines[engine]->name);
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (mkdir(dir, 0750) != 0) engine_die(dir, "cannot be made");
    int ends[2];
    if (pipe(ends) != 0) engine_die("bench", "no pipe");
    pid_t child = fork();
    if (child < 0) engine_die("bench", "no process");
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        const struct work w = {.ops = engines[engine],
                               .dir = dir,
                               .memtable_bytes = memtable,
                               .count = b->count,
                               .pace = b->pace,
                               .pause_seconds = b->pause_seconds,
                               .cpu_clock = b->cpu_clock,
                               .report = child_report};
        kind->run(&w);
        _exit(0);
    }
    (void)close(ends[1]);
    FILE *in = fdopen(ends[0], "r");
    if (in == NULL) _exit(1);
    char line[128], name[48];
    double value = 0, first = 0;
    bool any = false;
    while (fgets(line, sizeof(line), in) != NULL) {
        if (sscanf(line, "%47s %lf", name, &value) != 2) continue;
        if (!any) first = value;
        any = true;
        if (keep) note(b, engine, name, value);
    }
    (void)fclose(in);
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) engine_die(engines[engine]->name, kind->name);
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    sync(); /* what one has left to be written shall not disturb the next */
    return first;
}

static void choose_memtable(struct bench *b, size_t engine)
{
    const size_t *sizes = engines[engine]->memtables;
    double best = 0;
    b->memtable[engine] = sizes[1] > 0 && b->peer_memtable > 0 ? b->peer_memtable : sizes[0];
    if (b->peer_memtable > 0) return;
    for (size_t i = 0; i < 3 && sizes[i] > 0 && sizes[1] > 0; i++) {
        double rate = run_work(b, engine, &work_kinds[0], sizes[i], false);
        (void)fprintf(stderr, "  %s memtable=%zu MiB fill %.0f op/s\n", engines[engine]->name, sizes[i] >> 20, rate);
        if (rate > best) b->memtable[engine] = sizes[i];
        if (rate > best) best = rate;
    }
}

/* --- figures --- */

static int cmp_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(struct metric *m, size_t engine)
{
    unsigned n = m->counts[engine];
    if (n == 0) return 0;
    qsort(m->values[engine], n, sizeof(double), cmp_doubles);
    return m->values[engine][n / 2];
}

struct unit {
    const char *name, *unit;
    bool less_is_better;
};

static struct unit unit_of(const char *metric)
{
    static const struct unit units[] = {{"writeamp", "x", true}, {"memory", "MiB", true}, {"disk", "MiB", true}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(metric, units[i].name) == 0) return units[i];
    }
    if (strstr(metric, "-pauses") != NULL) return (struct unit){metric, "times", true};
    if (strstr(metric, "-pause") != NULL) return (struct unit){metric, "ms", true};
    return (struct unit){metric, "op/s", false};
}

static void print_metric(struct metric *m)
{
    struct unit u = unit_of(m->name);
    double v[ENGINES];
    (void)printf("bench engine/%s", m->name);
    for (size_t e = 0; e < ENGINES; e++) {
        v[e] = median(m, e);
        if (v[e] > 0) (void)printf(u.less_is_better ? " %s=%.2f" : " %s=%.0f", engines[e]->name, v[e]);
    }
    (void)printf(" unit=%s", u.unit);
    double best = v[1];
    if (v[2] > 0 && (best <= 0 || (u.less_is_better ? v[2] < best : v[2] > best))) best = v[2];
    if (v[0] > 0 && best > 0) (void)printf(" ratio=%.2f", u.less_is_better ? best / v[0] : v[0] / best);
    if (v[0] > 0 && v[3] > 0) (void)printf(" lmdb_ratio=%.2f", u.less_is_better ? v[3] / v[0] : v[0] / v[3]);
    (void)printf("\n");
}

static bool listed(const char *list, const char *name)
{
    const char *at = strstr(list, name);
    size_t size = strlen(name);
    return at != NULL && (at == list || at[-1] == ',') && (at[size] == ',' || at[size] == '\0');
}

int main(int argc, char **argv)
{
    static struct bench b = {.dir = "build/bench-engine.data",
                             .engines = "ours,rocksdb,leveldb,lmdb",
                             .work = "sequential,random,prefix,synced",
                             .count = 2000000,
                             .repeat = 3,
                             .pace = 100,
                             .pause_seconds = 600};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--dir") == 0) b.dir = argv[i + 1];
        if (strcmp(argv[i], "--engines") == 0) b.engines = argv[i + 1];
        if (strcmp(argv[i], "--work") == 0) b.work = argv[i + 1];
        if (strcmp(argv[i], "--clock") == 0) b.cpu_clock = strcmp(argv[i + 1], "cpu") == 0;
        if (strcmp(argv[i], "--memtable") == 0) b.peer_memtable = (size_t)strtoul(argv[i + 1], NULL, 10) << 20;
        if (strcmp(argv[i], "--pace") == 0) b.pace = strtod(argv[i + 1], NULL);
        if (strcmp(argv[i], "--seconds") == 0) b.pause_seconds = strtod(argv[i + 1], NULL);
        if (strcmp(argv[i], "--count") == 0) b.count = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--repeat") == 0) b.repeat = (unsigned)strtoul(argv[i + 1], NULL, 10);
    }
    if (b.repeat < 1 || b.repeat > REPEAT_MAX || b.count < 1000 || b.pace <= 0 || b.pace > 100)
        engine_die("bench", "--repeat 1..9, --count 1000 or more, --pace above 0 up to 100");
    (void)mkdir(b.dir, 0750);
    for (size_t e = 0; e < ENGINES; e++)
        if (listed(b.engines, engines[e]->name)) choose_memtable(&b, e);
    for (unsigned n = 0; n < b.repeat; n++) {
        for (size_t k = 1; k < work_kind_count; k++) {
            for (size_t e = 0; e < ENGINES && listed(b.work, work_kinds[k].name); e++)
                if (listed(b.engines, engines[e]->name)) (void)run_work(&b, e, &work_kinds[k], b.memtable[e], true);
        }
    }
    for (size_t i = 0; i < b.metric_count; i++) print_metric(&b.metrics[i]);
    return 0;
}
