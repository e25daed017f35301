#define _GNU_SOURCE /* clock_gettime, threads */
#include "engine.h"

#include "base/prng.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CACHE_ALL ((size_t)1 << 30)
#define FILL_CACHE ((size_t)32 << 20)
#define WRITES_PER_SECOND 50000.0
#define SEED 7u
#define SCARCE_BYTES 32u /* of memory for each row of 116 bytes, all told */

double bench_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* For reads, which wait for nothing when the files are in the page cache: on a busy machine processor time is the fair
 * measure. Never for writes, whose work is done by other threads too. */
static double read_now(const struct work *w)
{
    struct timespec t;
    (void)clock_gettime(w->cpu_clock ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- what the process and its folder say --- */

static double proc_figure(const char *path, const char *name)
{
    FILE *f = fopen(path, "r");
    char line[256];
    double v = 0;
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) v = strtod(line + strlen(name), NULL);
    }
    if (f != NULL) (void)fclose(f);
    return v;
}

static double bytes_written(void)
{
    return proc_figure("/proc/self/io", "wchar:");
}

/* Of all files but our log's segments, which are shared by all that a node stores and recycled. */
static double disk_bytes(const char *dir)
{
    DIR *d = opendir(dir);
    double bytes = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, "wal") == 0) continue;
        char path[1024];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        if (stat(path, &st) != 0) continue;
        bytes += S_ISDIR(st.st_mode) ? disk_bytes(path) : (double)st.st_blocks * 512;
    }
    if (d != NULL) (void)closedir(d);
    return bytes;
}

/* --- steps --- */

struct run {
    const struct work *w;
    struct key_space keys;
    void *engine;
    uint64_t sum;
    uint64_t written; /* puts so far */
};

static void run_open(struct run *r, size_t cache_bytes)
{
    const struct engine_config c = {
        .dir = r->w->dir, .memtable_bytes = r->w->memtable_bytes, .cache_bytes = cache_bytes};
    r->engine = r->w->ops->open(&c);
}

static void put(struct run *r, uint64_t i)
{
    uint8_t bytes[KEY_MAX];
    r->w->ops->put(r->engine, key_make(&r->keys, i, true, bytes), key_value(&r->keys, r->written++));
}

enum order { IN_ORDER, SHUFFLED };

/* Reports the rate and the longest time that 16 puts took. */
static void fill(struct run *r, enum order order, uint64_t seed, const char *metric)
{
    double begun = bench_now(), last = begun, longest = 0;
    for (uint64_t i = 0; i < r->w->count; i++) {
        put(r, order == IN_ORDER ? i : key_shuffled(&r->keys, i, seed));
        if (i % 16 != 15) continue;
        double now = bench_now();
        if (now - last > longest) longest = now - last;
        last = now;
    }
    r->w->report(metric, (double)r->w->count / (bench_now() - begun));
    char name[64];
    (void)snprintf(name, sizeof(name), "%s-pause", metric);
    r->w->report(name, longest * 1e3);
}

static void get(struct run *r, uint64_t i, bool present)
{
    uint8_t bytes[KEY_MAX];
    bool found = r->w->ops->get(r->engine, key_make(&r->keys, i, present, bytes), &r->sum);
    if (found != present) engine_die(r->w->ops->name, present ? "a row is missing" : "a row that was never written");
}

static void read_random(struct run *r, uint64_t times, bool present, const char *metric)
{
    struct prng p;
    prng_init(&p, SEED);
    double begun = read_now(r->w);
    for (uint64_t i = 0; i < times; i++) get(r, prng_below(&p, r->keys.count), present);
    if (metric != NULL) r->w->report(metric, (double)times / (read_now(r->w) - begun));
}

static void seek_random(struct run *r, uint64_t times, const char *metric)
{
    struct prng p;
    prng_init(&p, SEED + 1);
    double begun = read_now(r->w);
    uint8_t bytes[KEY_MAX];
    for (uint64_t i = 0; i < times; i++) {
        struct slice key = key_make(&r->keys, prng_below(&p, r->keys.count - 11), true, bytes);
        if (r->w->ops->scan(r->engine, key, 11, false, &r->sum) != 11) engine_die(r->w->ops->name, "a scan ended");
    }
    r->w->report(metric, (double)times / (read_now(r->w) - begun));
}

static void scan_all(struct run *r, bool reverse, const char *metric)
{
    double begun = read_now(r->w);
    size_t rows = r->w->ops->scan(r->engine, SLICE_EMPTY, SIZE_MAX, reverse, &r->sum);
    if (rows != r->keys.count) engine_die(r->w->ops->name, "a full scan saw another number of rows");
    if (metric != NULL) r->w->report(metric, (double)rows / (read_now(r->w) - begun));
}

/* --- reads while WRITES_PER_SECOND rows are overwritten, by a thread of its own or in between --- */

struct writer {
    struct run *r;
    atomic_bool stop;
    double begun;
    uint64_t done;
};

static void write_due(struct writer *w)
{
    struct run *r = w->r;
    double due = (bench_now() - w->begun) * WRITES_PER_SECOND;
    for (; (double)w->done < due; w->done++) put(r, key_shuffled(&r->keys, w->done % r->keys.count, 99));
}

static void *writer_run(void *ctx)
{
    struct writer *w = ctx;
    while (!atomic_load(&w->stop)) {
        write_due(w);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return NULL;
}

static void read_while_writing(struct run *r, uint64_t times)
{
    struct writer w = {.r = r, .begun = bench_now()};
    pthread_t thread;
    if (!r->w->ops->one_thread && pthread_create(&thread, NULL, writer_run, &w) != 0) engine_die("bench", "no thread");
    struct prng p;
    prng_init(&p, SEED + 2);
    for (uint64_t i = 0; i < times; i++) {
        if (r->w->ops->one_thread && i % 16 == 0) write_due(&w);
        get(r, prng_below(&p, r->keys.count), true);
    }
    r->w->report("readwhilewriting", (double)times / (bench_now() - w.begun));
    atomic_store(&w.stop, true);
    if (!r->w->ops->one_thread) (void)pthread_join(thread, NULL);
}

static void fill_synced(struct run *r, uint64_t times, size_t batch, const char *metric)
{
    struct engine_pair *pairs = calloc(batch, sizeof(*pairs));
    uint8_t(*bytes)[KEY_MAX] = calloc(batch, sizeof(*bytes));
    if (pairs == NULL || bytes == NULL) engine_die("bench", "no memory");
    double begun = bench_now();
    for (uint64_t n = 0; n < times; n++) {
        for (size_t i = 0; i < batch; i++) {
            uint64_t at = r->written++;
            pairs[i].key = key_make(&r->keys, key_shuffled(&r->keys, at % r->keys.count, SEED), true, bytes[i]);
            pairs[i].value = key_value(&r->keys, at);
        }
        r->w->ops->put_synced(r->engine, pairs, batch);
    }
    r->w->report(metric, (double)(times * batch) / (bench_now() - begun));
    free(pairs);
    free(bytes);
}

/* --- programs --- */

static struct run run_new(const struct work *w, size_t key_size)
{
    struct run r = {.w = w};
    key_space_init(&r.keys, w->count, key_size);
    return r;
}

static void run_end(struct run *r)
{
    r->w->ops->close(r->engine);
    key_space_free(&r->keys);
    if (r->sum == 42) (void)fputs("", stderr); /* what was read is used */
}

static void work_sequential(const struct work *w)
{
    struct run r = run_new(w, 16);
    run_open(&r, FILL_CACHE);
    fill(&r, IN_ORDER, 0, "fillseq");
    r.w->ops->settle(r.engine);
    run_end(&r);
}

static void work_choose(const struct work *w) /* which memtable is the better one */
{
    struct run r = run_new(w, 16);
    run_open(&r, FILL_CACHE);
    fill(&r, SHUFFLED, SEED, "choose");
    run_end(&r);
}

static void work_random(const struct work *w)
{
    struct run r = run_new(w, 16);
    uint64_t reads = w->count / 2, seeks = w->count / 20;
    run_open(&r, FILL_CACHE);
    double before = bytes_written();
    fill(&r, SHUFFLED, SEED, "fillrandom");
    fill(&r, SHUFFLED, SEED + 1, "overwrite");
    w->ops->settle(r.engine);
    double row_bytes = (double)(r.keys.key_size + r.keys.value_size);
    w->report("writeamp", (bytes_written() - before) / ((double)r.written * row_bytes));
    w->report("memory", proc_figure("/proc/self/status", "VmHWM:") / 1024);
    w->report("disk", disk_bytes(w->dir) / 1048576);
    w->ops->close(r.engine);

    run_open(&r, CACHE_ALL);
    scan_all(&r, false, NULL);
    read_random(&r, reads, true, "readhot");
    read_random(&r, reads, false, "readmissing");
    seek_random(&r, seeks, "seek10");
    scan_all(&r, false, "scan");
    scan_all(&r, true, "scanreverse");
    read_while_writing(&r, reads);
    w->ops->settle(r.engine);
    w->ops->close(r.engine);

    run_open(&r, (size_t)(w->count * 116 / 10)); /* a tenth of what there is */
    read_random(&r, reads / 16, true, NULL);
    read_random(&r, reads / 4, true, "readcold");
    seek_random(&r, seeks / 4, "seek10cold");
    w->ops->settle(r.engine);
    w->ops->close(r.engine);

    bool scarce = scarce_begin(w->dir, (size_t)(w->count * SCARCE_BYTES));
    run_open(&r, (size_t)(w->count * 116 / 10));
    if (scarce) {
        read_random(&r, reads / 256, true, NULL);
        read_random(&r, reads / 64, true, "readscarce");
        seek_random(&r, seeks / 16, "seek10scarce");
    } else {
        (void)fputs("  readscarce, seek10scarce: left out, for want of a memory control group (they need root)\n",
                    stderr);
    }
    run_end(&r);
}

static void work_prefix(const struct work *w)
{
    struct run r = run_new(w, 24);
    run_open(&r, CACHE_ALL);
    fill(&r, SHUFFLED, SEED, "prefixfill");
    w->ops->settle(r.engine);
    scan_all(&r, false, NULL);
    read_random(&r, w->count / 2, true, "prefixread");
    seek_random(&r, w->count / 20, "prefixseek10");
    run_end(&r);
}

static void work_synced(const struct work *w)
{
    struct run r = run_new(w, 16);
    run_open(&r, FILL_CACHE);
    fill_synced(&r, w->count / 1000 + 100, 1, "fillsync");
    fill_synced(&r, w->count / 2000 + 100, 100, "fillsync100");
    run_end(&r);
}

/* Ten minutes, or --seconds. A share of the time may be left to others (--pace 60: percent): what is slept is no pause. A thread
 * that could run and was not let by the machine's other work did not pause of its own: the kernel says how long that was, read
 * every PAUSE_LOOK, so that it is known of any pause to that much. */
#define PAUSE_TOLD_MS 20.0
#define PAUSE_LOOK 0.001

struct pace {
    double begun, slept, last, longest, longest_own;
    double looked, waited, ran; /* when the kernel was asked, and its answer then */
    unsigned told, told_own;
};

/* Seconds that the thread has run, and has waited for a processor. */
static void thread_times(struct pace *p)
{
    char text[96];
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0) (void)close(fd);
    unsigned long long ran = 0, waited = 0;
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "%llu %llu", &ran, &waited) == 2) {
        p->ran = (double)ran / 1e9;
        p->waited = (double)waited / 1e9;
    }
    p->looked = bench_now();
}

static void pause_note(struct run *r, struct pace *p)
{
    double now = bench_now(), took = now - p->last;
    if (took > p->longest) p->longest = took;
    if (took > PAUSE_LOOK || now - p->looked > PAUSE_LOOK) {
        double waited = p->waited, ran = p->ran;
        thread_times(p);
        double own = took - (p->waited - waited);
        if (own > p->longest_own) p->longest_own = own;
        if (took * 1e3 > 50) p->told++;
        if (own * 1e3 > 50) p->told_own++;
        if (own * 1e3 > PAUSE_TOLD_MS)
            (void)fprintf(stderr, "  pause %.1f ms at %.3f s: %.1f ms of it put off, ran %.1f ms\n", took * 1e3,
                          now - p->begun, (p->waited - waited) * 1e3, (p->ran - ran) * 1e3);
        now = p->looked;
    }
    double due = (now - p->begun - p->slept) * (100.0 / r->w->pace - 1) - p->slept;
    if (due > 0.002) {
        (void)nanosleep(&(struct timespec){.tv_nsec = (long)(due > 0.01 ? 1e7 : due * 1e9)}, NULL);
        thread_times(p);
        p->slept += p->looked - now;
        now = p->looked;
    }
    p->last = now;
}

static void work_pause(const struct work *w)
{
    struct run r = run_new(w, 16);
    run_open(&r, FILL_CACHE);
    struct pace p = {.begun = bench_now()};
    p.last = p.begun;
    thread_times(&p);
    while (p.last < p.begun + w->pause_seconds) {
        put(&r, key_shuffled(&r.keys, r.written % r.keys.count, r.written / r.keys.count));
        if (r.written % 16 == 15) pause_note(&r, &p);
    }
    w->report("longoverwrite", (double)r.written / (p.last - p.begun - p.slept));
    w->report("longoverwrite-pause", p.longest * 1e3);
    w->report("longoverwrite-own-pause", p.longest_own * 1e3);
    w->report("longoverwrite-pauses-over-50", p.told);
    w->report("longoverwrite-own-pauses-over-50", p.told_own);
    run_end(&r);
}

const struct work_kind work_kinds[] = {{"choose", work_choose}, {"sequential", work_sequential},
                                       {"random", work_random}, {"prefix", work_prefix},
                                       {"synced", work_synced}, {"pause", work_pause}};
const size_t work_kind_count = sizeof(work_kinds) / sizeof(work_kinds[0]);
