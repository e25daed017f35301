/* The store's memory is bounded by its options, whatever the size of values: sustained writes that heed its pressure, overwrites,
 * reads, scans and a snapshot view on a real disk, with the heap watched. */
#define _GNU_SOURCE /* mallinfo2 */
#include "lib/env_posix_dir.h"
#include "lib/suite.h"
#include "lib/testenv.h"

#include "base/mem.h"
#include "env_posix/env_posix.h"
#include "lsm/lsm_int.h"

#include <malloc.h>
#include <stdio.h>

#define MEMTABLE ((size_t)1 << 20)
#define CACHE ((size_t)1 << 20)

static struct testenv t;
static struct lsm *l;
static size_t begun, most;

static size_t heap(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void watch(void)
{
    size_t now = heap();
    if (now > most) most = now;
}

/* One task at a time, as on the two threads that there are: what is under way counts. */
static void step(void)
{
    lsm_step(l);
    watch();
    if (testenv_execute(&t, LANE_COUNT)) watch();
    (void)testenv_complete(&t);
}

static void loaded(void *ctx, enum status s)
{
    ck_assert_int_eq(s, STATUS_OK);
    *(bool *)ctx = true;
}

static void load(struct lsm_miss *miss)
{
    bool done = false;
    lsm_load(l, miss, loaded, &done);
    while (!done) step();
}

static struct slice key_of(unsigned i, char text[16])
{
    int n = snprintf(text, 16, "%08u", i * 2654435761u % 100000000u);
    return slice_make(text, (size_t)n);
}

static void write_all(unsigned rows, size_t size, uint64_t first_ts, const uint8_t *noise)
{
    for (unsigned i = 0; i < rows; i++) {
        char text[16];
        const struct lsm_write w = {
            .kind = LSM_PUT, .key = key_of(i, text), .ts = first_ts + i, .value = slice_make(noise + i % 4096, size)};
        lsm_apply(l, 1, first_ts + i, 1, &w, 1);
        do {
            step();
        } while (lsm_pressure(l) > 0);
    }
}

static void read_some(unsigned rows, size_t size)
{
    for (unsigned i = 0; i < 300; i++) {
        char text[16];
        struct lsm_row row;
        struct lsm_miss miss;
        enum status s;
        while ((s = lsm_get(l, key_of(i * 7919 % rows, text), LSM_TS_MAX, &row, &miss)) == STATUS_MISS) load(&miss);
        ck_assert_int_eq(s, STATUS_OK);
        ck_assert_uint_eq(row.value.size, size);
        watch();
    }
}

static void scan_all(unsigned rows, bool reverse)
{
    struct buf from;
    buf_init(&from, LSM_KEY_MAX + 1);
    unsigned seen = 0;
    for (enum status s = STATUS_MISS; s == STATUS_MISS;) {
        struct lsm_iter *it = lsm_iter_new(l, reverse ? SLICE_EMPTY : buf_slice(&from),
                                           reverse ? buf_slice(&from) : SLICE_EMPTY, LSM_TS_MAX, reverse);
        struct lsm_row row;
        struct lsm_miss miss;
        while ((s = lsm_iter_next(it, &row, &miss)) == STATUS_OK) seen++;
        buf_clear(&from);
        buf_append_slice(&from, lsm_iter_position(it));
        watch();
        lsm_iter_free(it);
        if (s == STATUS_MISS) load(&miss);
    }
    buf_free(&from);
    ck_assert_uint_eq(seen, rows);
}

static void view_all(unsigned rows)
{
    struct lsm_view *v = lsm_view_new(l, SLICE_EMPTY, SLICE_EMPTY);
    struct lsm_write row;
    unsigned seen = 0;
    for (; lsm_view_next(v, &row) == STATUS_OK; seen++) watch();
    ck_assert_uint_ge(seen, rows);
    lsm_view_free(v);
}

/* Memtables: one filled, up to the pressure's beginning frozen ones. A merge holds per source a row of read-ahead and a
 * block, and its output a block in three forms; a block is one row at least. */
static size_t bound(size_t size)
{
    size_t block = size > 4096 ? size + 64 : 4096, ahead = block > 262144 ? block : 262144;
    size_t sources = PICK_L0_RUNS * 2 + 2;
    return 4 * (MEMTABLE + 2 * block) + CACHE + CACHE_OVER_BYTES * (size > 65536) + 16 * block +
           sources * (ahead + 2 * block) + 8 * block + 4 * MEMTABLE;
}

static struct test_dir dir;
static struct env *real;

static void begin(void)
{
    struct errbuf err;
    dir = test_dir_new();
    real = env_posix_new(&(struct env_posix_options){.data_dir = dir.path, .log_level = LOG_WARN}, &err);
    ck_assert_ptr_nonnull(real);
    testenv_init(&t, real->disk, 1);
}

static void end(void)
{
    lsm_close(l);
    testenv_free(&t);
    env_posix_free(real);
    test_dir_free(&dir);
}

static void run(size_t size, size_t total)
{
    struct errbuf err;
    struct lsm_options o;
    begin();
    lsm_options_default(&o);
    o.memtable_bytes = MEMTABLE;
    o.cache_bytes = CACHE;
    o.file_bytes = 2 * MEMTABLE;
    unsigned rows = (unsigned)(total / size);
    uint8_t *noise = mem_alloc(size + 4096);
    for (size_t i = 0; i < size + 4096; i++) noise[i] = (uint8_t)prng_below(&t.prng, 256);
    ck_assert_int_eq(lsm_open(&t.env, &o, &l, &err), STATUS_OK);
    most = begun = heap();
    write_all(rows, size, 1, noise);
    lsm_set_safepoint(l, rows);
    write_all(rows, size, 1 + rows, noise);
    read_some(rows, size);
    scan_all(rows, false);
    scan_all(rows, true);
    view_all(rows);
    while (lsm_busy(l) || !testenv_idle(&t)) step();
    printf("values of %zu: %zu KiB at most, bound %zu KiB\n", size, (most - begun) / 1024, bound(size) / 1024);
    ck_assert_uint_le(most - begun, bound(size));
    ck_assert_uint_gt(total, bound(size)); /* else it would say nothing */
    end();
    mem_free(noise);
}

START_TEST(memory_keeps_to_its_bound)
{
    static const size_t sizes[] = {1u << 10, 1u << 13, 1u << 16, 1u << 20};
    run(sizes[_i], _i == 3 ? (size_t)100 << 20 : (size_t)20 << 20);
}
END_TEST

/* As many memtables as pile up under pressure keep their pages for the next ones; when nobody has written for a while, what one fills is left. */
START_TEST(pages_go_back_when_nobody_writes)
{
    struct errbuf err;
    struct lsm_options o;
    begin();
    lsm_options_default(&o);
    uint8_t *value = mem_alloc(1u << 20);
    memset(value, 'v', 1u << 20);
    ck_assert_int_eq(lsm_open(&t.env, &o, &l, &err), STATUS_OK);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; l->frozen_count < 4; i++) {
            char text[16];
            uint64_t at = round * 1000 + i + 1;
            const struct lsm_write w = {
                .kind = LSM_PUT, .key = key_of(i, text), .ts = at, .value = slice_make(value, 256u << 10)};
            lsm_apply(l, 1, at, 1, &w, 1);
        }
        while (lsm_busy(l) || l->frozen_count > 0 || !testenv_idle(&t)) step();
        ck_assert_uint_eq(l->pages.count, 3 * lsm_memtable_pages(l));
    }
    testenv_advance_ms(&t, 11000);
    for (unsigned i = 0; i < 40; i++) step();
    ck_assert_uint_eq(l->pages.count, lsm_memtable_pages(l));
    end();
    mem_free(value);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lsm/memory");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, pages_go_back_when_nobody_writes);
    tcase_add_loop_test(tcase, memory_keeps_to_its_bound, 0, 4);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
