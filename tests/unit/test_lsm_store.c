#include "lib/lsm_rig.h"

#include "lsm/lsm_int.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* Everything at once against the model: writes, flushes, compactions, reads through misses, reopening. */
static void run_seed(uint64_t seed, bool gc)
{
    struct rig r;
    rig_init(&r, seed);
    r.options.compress = prng_chance(&r.prng, 1, 2);
    r.options.cache_bytes = (size_t)prng_below(&r.prng, 3) * 8192;
    ck_assert(rig_open(&r));
    for (unsigned round = 0; round < 12; round++) {
        rig_write_many(&r, 150);
        rig_check_random(&r, 40);
        if (gc && prng_chance(&r.prng, 1, 2)) {
            r.safepoint = prng_between(&r.prng, r.safepoint, r.ts);
            lsm_set_safepoint(r.l, r.safepoint);
        }
        if (prng_chance(&r.prng, 1, 4)) rig_flush(&r);
        if (prng_chance(&r.prng, 1, 4)) rig_settle(&r);
        if (!gc) rig_check_view(&r, SLICE_EMPTY, SLICE_EMPTY);
        if (prng_chance(&r.prng, 1, 5)) {
            rig_close(&r);
            if (prng_chance(&r.prng, 1, 3)) r.options.shape = r.options.shape == LSM_LAZY ? LSM_LEVELED : LSM_LAZY;
            ck_assert_msg(rig_open(&r), "%s", r.err.text);
            rig_recover(&r, true);
        }
    }
    rig_flush(&r);
    rig_settle(&r);
    rig_check_all(&r);
    struct lsm_stats stats;
    lsm_stats(r.l, &stats);
    ck_assert_uint_lt(stats.runs, r.options.shape == LSM_LEVELED ? 4 + 7 : 4 + 6 * 8);
    rig_close(&r);
    ck_assert_uint_gt(r.compacted_bytes, 0);
    ck_assert(rig_open(&r));
    rig_check_all(&r);
    rig_free(&r);
}

START_TEST(random_operations_agree_with_the_model)
{
    run_seed((uint64_t)_i, false);
}
END_TEST

START_TEST(random_operations_with_gc_agree_above_the_safepoint)
{
    run_seed(1000 + (uint64_t)_i, true);
}
END_TEST

/* A span of deleted rows only: an iterator with an allowance stops in it, near the allowance, and gets to the end in steps. */
START_TEST(deleted_rows_use_up_an_allowance)
{
    enum { ROWS = 3000, ALLOWED = 100 };
    struct rig r;
    rig_init(&r, 7);
    ck_assert(rig_open(&r));
    for (unsigned i = 0; i < ROWS; i++) {
        char text[16];
        int n = snprintf(text, sizeof text, "a%06u", i);
        struct slice key = slice_make(text, (size_t)n);
        struct lsm_write w[2] = {{.kind = LSM_PUT, .key = key, .ts = 2 * i + 1, .value = slice_str("x")},
                                 {.kind = LSM_DELETE, .key = key, .ts = 2 * i + 2}};
        lsm_apply(r.l, 1, 2 * i + 1, 1, &w[0], 1);
        lsm_apply(r.l, 1, 2 * i + 2, 1, &w[1], 1);
    }
    for (unsigned reverse = 0; reverse < 2; reverse++) {
        struct lsm_iter *it = lsm_iter_new(r.l, SLICE_EMPTY, SLICE_EMPTY, LSM_TS_MAX, reverse == 1);
        struct lsm_row row;
        struct lsm_miss miss;
        enum status s;
        unsigned stops = 0;
        for (;;) {
            uint32_t allowance = ALLOWED;
            lsm_iter_allow(it, &allowance);
            s = lsm_iter_next(it, &row, &miss);
            if (s != STATUS_RETRY) break;
            stops++;
        }
        ck_assert_int_eq(s, STATUS_END);
        ck_assert_uint_ge(stops, 2 * ROWS / (ALLOWED + 2));
        uint32_t nothing = 0;
        lsm_iter_allow(it, &nothing);
        lsm_iter_free(it);
        it = lsm_iter_new(r.l, SLICE_EMPTY, SLICE_EMPTY, LSM_TS_MAX, reverse == 1);
        ck_assert_int_eq(lsm_iter_next(it, &row, &miss), STATUS_END); /* the former one's allowance is not its own */
        lsm_iter_free(it);
    }
    rig_free(&r);
}
END_TEST

static void put_text(struct rig *r, uint64_t ts, const char *key, const char *value)
{
    const struct lsm_write w = {.kind = LSM_PUT, .key = slice_str(key), .ts = ts, .value = slice_str(value)};
    lsm_apply(r->l, 1, ts, 1, &w, 1);
}

static enum status get_text(struct rig *r, const char *key, struct lsm_row *row)
{
    struct lsm_miss miss;
    lsm_set_blocking(r->l, true);
    return lsm_get(r->l, slice_str(key), LSM_TS_MAX, row, &miss);
}

static uint64_t rows_in_files(const struct rig *r)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < r->l->version->file_count; i++) rows += r->l->version->files[i]->table->props.rows;
    return rows;
}

/* Below the safepoint erased rows go, wherever they lie, and then the erase itself. */
START_TEST(erased_rows_go)
{
    struct rig r;
    rig_init(&r, 6);
    ck_assert(rig_open(&r));
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned i = 0; i < 50; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "k%02u%c", i, (int)('a' + round));
            put_text(&r, 1 + 50 * round + i, key, "v");
        }
        rig_flush(&r);
        rig_settle(&r);
    }
    ck_assert_uint_eq(rows_in_files(&r), 400);
    lsm_apply_erase(r.l, slice_str("k10"), slice_str("k40"), 1000);
    put_text(&r, 1001, "k20x", "later");
    rig_flush(&r);
    ck_assert_uint_eq(r.l->version->erases.count, 1);
    lsm_set_safepoint(r.l, 2000);
    for (unsigned i = 0; i < 40 && r.l->version->erases.count > 0; i++) {
        put_text(&r, 2001 + i, "k20x", "again");
        put_text(&r, 2001 + i, i % 2 == 0 ? "a" : "z", "all keys lie between");
        rig_flush(&r);
        rig_settle(&r);
    }
    ck_assert_uint_eq(r.l->version->erases.count, 0);
    struct lsm_row row;
    ck_assert_int_eq(get_text(&r, "k20x", &row), STATUS_OK);
    ck_assert_int_eq(get_text(&r, "k20a", &row), STATUS_NOT_FOUND);
    ck_assert_int_eq(get_text(&r, "k40a", &row), STATUS_OK);
    ck_assert_uint_le(rows_in_files(&r), 400 - 240 + 1 + 2 * 40);
    rig_free(&r);
}
END_TEST

static void loaded(void *ctx, enum status s)
{
    ck_assert_int_eq(s, STATUS_OK);
    *(bool *)ctx = true;
}

/* Counts rows and loads of a scan; `r` has tables only, none of whose blocks is in the cache. */
static unsigned scan_cold(struct rig *r, struct slice start, struct slice end, bool reverse, unsigned *loads)
{
    unsigned rows = 0;
    struct keybuf at = {.data = NULL};
    struct lsm_iter *it = lsm_iter_new(r->l, start, end, LSM_TS_MAX, reverse);
    struct lsm_row row;
    struct lsm_miss miss;
    *loads = 0;
    for (enum status s; (s = lsm_iter_next(it, &row, &miss)) != STATUS_END;) {
        if (s == STATUS_OK) {
            rows++;
            continue;
        }
        ck_assert_int_eq(s, STATUS_MISS);
        struct slice here = lsm_iter_position(it);
        keybuf_set(&at, 0, here.data, here.size);
        lsm_iter_free(it);
        bool done = false;
        lsm_load(r->l, &miss, loaded, &done);
        (void)testenv_execute(&r->env, LANE_READ);
        (void)testenv_complete(&r->env);
        ck_assert(done);
        ++*loads;
        it = reverse ? lsm_iter_new(r->l, start, keybuf_slice(&at), LSM_TS_MAX, true)
                     : lsm_iter_new(r->l, keybuf_slice(&at), end, LSM_TS_MAX, false);
    }
    lsm_iter_free(it);
    keybuf_free(&at);
    return rows;
}

/* A scan that goes on fetches 1, 4, 16 blocks at a time, either way, and none from behind its end. */
START_TEST(scans_read_ahead)
{
    enum { ROWS = 600 };
    struct rig r;
    rig_init(&r, 8);
    r.options.file_bytes = 1u << 20;
    r.options.cache_bytes = 1u << 20;
    ck_assert(rig_open(&r));
    for (unsigned i = 0; i < ROWS; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%06u", i);
        put_text(&r, i + 1, key, "a value of some forty bytes, more or less");
        if (i % 100 == 99) rig_flush(&r);
    }
    rig_settle(&r);
    for (unsigned reverse = 0; reverse < 2; reverse++) {
        rig_close(&r);
        ck_assert(rig_open(&r));
        uint64_t blocks = 0;
        for (size_t i = 0; i < r.l->version->file_count; i++) blocks += r.l->version->files[i]->table->block_count;
        unsigned loads;
        ck_assert_uint_eq(scan_cold(&r, SLICE_EMPTY, SLICE_EMPTY, reverse == 1, &loads), ROWS);
        printf("%llu blocks in %u loads\n", (unsigned long long)blocks, loads);
        ck_assert_uint_gt(blocks, 60);
        ck_assert_uint_le(loads, blocks / 16 + 3 * r.l->version->file_count);
        ck_assert_uint_eq(r.l->cache.count, blocks);
        rig_close(&r);
        ck_assert(rig_open(&r));
        ck_assert_uint_eq(scan_cold(&r, slice_str("k000220"), slice_str("k000240"), reverse == 1, &loads), 20);
        ck_assert_uint_le(r.l->cache.count, 20 * blocks / ROWS + 4);
    }
    rig_free(&r);
}
END_TEST

/* Reads that have to look at several runs get them merged, before that is due for any other reason. */
START_TEST(reads_of_several_runs_bring_them_together)
{
    struct rig r;
    rig_init(&r, 77 + (uint64_t)_i);
    ck_assert(rig_open(&r));
    while (version_runs_of_level(r.l->version, 0) < 2 || r.l->compaction != NULL) {
        rig_write_many(&r, 20);
        rig_flush(&r);
        rig_settle(&r);
    }
    for (unsigned i = 0; i < 400 && version_runs_of_level(r.l->version, 0) > 0; i++) {
        rig_check_random(&r, 20);
        rig_settle(&r);
    }
    ck_assert_uint_eq(version_runs_of_level(r.l->version, 0), 0);
    rig_check_all(&r);
    rig_free(&r);
}
END_TEST

/* A value says itself when it ends, "20" or "never": at its timestamp and so much. */
static uint64_t ends(struct slice key, uint64_t ts, struct slice value)
{
    ck_assert_uint_gt(key.size, 0);
    char text[8] = "";
    memcpy(text, value.data, value.size < 7 ? value.size : 7);
    return text[0] == 'n' ? LSM_TS_MAX : ts + strtoull(text, NULL, 10);
}

/* What has ended below the safepoint goes, and what it hides does not come back, in whatever level that lies. */
START_TEST(values_that_have_ended_are_dropped)
{
    struct rig r;
    rig_init(&r, 5);
    r.options.expires = ends;
    ck_assert(rig_open(&r));
    struct lsm_row row;
    put_text(&r, 10, "hidden", "never");
    put_text(&r, 11, "stays", "never");
    put_text(&r, 12, "later", "100");
    rig_flush(&r);
    rig_settle(&r);
    put_text(&r, 20, "hidden", "20");
    put_text(&r, 21, "alone", "20");
    if (_i == 1) rig_flush(&r); /* the end comes while it lies in a table, not in the memtable */
    ck_assert_int_eq(get_text(&r, "hidden", &row), STATUS_OK); /* reads do not ask */
    const struct lsm_horizon everywhere = {.start = SLICE_EMPTY, .ts = LSM_TS_MAX};
    lsm_set_horizons(r.l, &everywhere, 1);
    lsm_set_safepoint(r.l, 39);
    rig_flush(&r);
    ck_assert_int_eq(get_text(&r, "hidden", &row), STATUS_OK); /* 40 is the end */
    lsm_set_safepoint(r.l, 60);
    for (uint64_t ts = 100; ts < 104; ts++) { /* enough runs for a compaction */
        put_text(&r, ts, "stays", "never");
        put_text(&r, ts, "hidden2", "never");
        rig_flush(&r);
    }
    rig_settle(&r);
    ck_assert_int_eq(get_text(&r, "hidden", &row), STATUS_NOT_FOUND);
    ck_assert_int_eq(get_text(&r, "alone", &row), STATUS_NOT_FOUND);
    ck_assert_int_eq(get_text(&r, "stays", &row), STATUS_OK);
    ck_assert_int_eq(get_text(&r, "later", &row), STATUS_OK);
    uint64_t before = rows_in_files(&r);
    lsm_set_safepoint(r.l, 112);
    for (uint64_t ts = 120; ts < 126; ts++) {
        put_text(&r, ts, "a", "never");
        put_text(&r, ts, "z", "never");
        rig_flush(&r);
        rig_settle(&r);
    }
    ck_assert_int_eq(get_text(&r, "later", &row), STATUS_NOT_FOUND);
    ck_assert_uint_lt(rows_in_files(&r), before + 12);
    rig_close(&r);
    ck_assert(rig_open(&r));
    ck_assert_int_eq(get_text(&r, "hidden", &row), STATUS_NOT_FOUND);
    ck_assert_int_eq(get_text(&r, "stays", &row), STATUS_OK);
    rig_free(&r);
}
END_TEST

/* With boundaries, what a compaction wrote of one range lies in tables of its own, once there is enough of it. */
START_TEST(tables_end_at_boundaries)
{
    struct rig r;
    rig_init(&r, 42 + 2 * (uint64_t)_i);
    r.options.file_bytes = 1u << 20;
    r.value_max = 4000;
    r.options.cache_bytes = 8u << 20;
    ck_assert(rig_open(&r));
    const struct slice starts[RIG_GROUPS] = {slice_str("a"), slice_str("b"), slice_str("c")};
    lsm_set_boundaries(r.l, starts, RIG_GROUPS);
    rig_write_many(&r, 1500);
    rig_flush(&r);
    rig_settle(&r);
    unsigned compacted = 0;
    for (size_t i = 0; i < r.l->version->file_count; i++) {
        const struct lsm_file *f = r.l->version->files[i];
        if (f->level == 0) continue;
        compacted++;
        ck_assert_uint_eq(f->table->props.smallest.data[0], f->table->props.largest.data[0]);
    }
    ck_assert_uint_ge(compacted, RIG_GROUPS);
    rig_check_all(&r);
    rig_free(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lsm/store");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, random_operations_agree_with_the_model, 0, 8);
    tcase_add_loop_test(tcase, random_operations_with_gc_agree_above_the_safepoint, 0, 8);
    tcase_add_test(tcase, deleted_rows_use_up_an_allowance);
    tcase_add_loop_test(tcase, tables_end_at_boundaries, 0, 2);
    tcase_add_loop_test(tcase, values_that_have_ended_are_dropped, 0, 2);
    tcase_add_test(tcase, erased_rows_go);
    tcase_add_test(tcase, scans_read_ahead);
    tcase_add_loop_test(tcase, reads_of_several_runs_bring_them_together, 0, 4);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
