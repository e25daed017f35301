#include "lib/lsm_rig.h"

#include "base/crc32c.h"
#include "base/cursor.h"
#include "lib/cover.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* Work of every kind, until the env is dead or it is done. */
static void work(struct rig *r, unsigned rounds)
{
    for (unsigned i = 0; i < rounds && r->l != NULL && !r->env.env.dead; i++) {
        rig_write_many(r, 40);
        if (prng_chance(&r->prng, 1, 4)) rig_flush(r);
        if (r->l != NULL && prng_chance(&r->prng, 1, 4)) (void)rig_replace(r);
        if (r->l != NULL && prng_chance(&r->prng, 1, 3)) rig_settle(r);
    }
}

/* T18, T26: a power cut at any moment leaves of each group exactly the prefix that the store says it holds. */
START_TEST(a_crash_leaves_the_durable_prefix)
{
    struct rig r;
    rig_init(&r, (uint64_t)_i);
    ck_assert(rig_open(&r));
    for (unsigned round = 0; round < 8; round++) {
        work(&r, 1 + (unsigned)prng_below(&r.prng, 5));
        rig_write_many(&r, (unsigned)prng_below(&r.prng, 60));
        rig_crash(&r, (enum memdisk_crash)prng_below(&r.prng, 3));
        ck_assert_msg(rig_open(&r), "%s", r.err.text);
        rig_recover(&r, prng_chance(&r.prng, 1, 2));
        rig_check_random(&r, 20);
    }
    rig_free(&r);
}
END_TEST

/* T26: killed while it opens, at each call to the disk. */
START_TEST(a_crash_while_opening_loses_nothing)
{
    for (uint64_t n = 1;; n++) {
        struct rig r;
        rig_init(&r, (uint64_t)_i);
        ck_assert(rig_open(&r));
        work(&r, 6);
        rig_crash(&r, MEMDISK_RANDOM);
        memdisk_fail_at(r.disk, MEMDISK_ANY, n, STATUS_IO, true);
        bool opened = rig_open(&r);
        bool fired = memdisk_fail_fired(r.disk);
        rig_crash(&r, MEMDISK_RANDOM);
        ck_assert(opened || fired);
        ck_assert_msg(rig_open(&r), "call %llu: %s", (unsigned long long)n, r.err.text);
        rig_recover(&r, true);
        rig_free(&r);
        if (!fired) {
            printf("crashed at each of %llu calls of opening\n", (unsigned long long)n - 1);
            break;
        }
    }
}
END_TEST

static void ignore(void *ctx, enum status s)
{
    (void)ctx;
    (void)s;
}

/* A process that was killed does nothing: it is not waited for. */
static void settle_or_die(struct rig *r)
{
    for (unsigned i = 0; i < 300 && r->l != NULL && !r->env.env.dead && !memdisk_fail_fired(r->disk); i++) rig_step(r);
}

/* Each kind of job at least once: flush, compaction, a change of files by ingest and by excise, removals, the manifest written anew. */
static void every_kind(struct rig *r)
{
    for (unsigned i = 0; i < 5 && r->l != NULL && !r->env.env.dead; i++) {
        rig_write_many(r, 25);
        rig_flush(r);
        if (r->l != NULL && i == 2) (void)rig_replace(r);
        if (r->l != NULL && i == 3) lsm_excise(r->l, slice_str("x"), slice_str("y"), ignore, NULL);
        if (i % 2 == 1) settle_or_die(r);
    }
    settle_or_die(r);
}

/* T18, T26: killed before each call to the disk, in turn, until the work gets by; then the power fails or does not. */
START_TEST(a_crash_at_each_call_leaves_the_durable_prefix)
{
    uint64_t n = 1;
    for (bool fired = true; fired; n++) {
        struct rig r;
        rig_init(&r, 50 + (uint64_t)_i);
        r.options.shape = _i == 0 ? LSM_LEVELED : LSM_LAZY;
        ck_assert(rig_open(&r));
        rig_write_many(&r, 60);
        r.damaged_allowed = true;
        memdisk_fail_at(r.disk, MEMDISK_ANY, n, STATUS_CLOSED, true);
        every_kind(&r);
        fired = memdisk_fail_fired(r.disk);
        rig_crash(&r, n % 3 == 0 ? MEMDISK_KEEP : n % 3 == 1 ? MEMDISK_DROP : MEMDISK_RANDOM);
        r.damaged_allowed = false;
        ck_assert_msg(rig_open(&r), "call %llu: %s", (unsigned long long)n, r.err.text);
        rig_recover(&r, n % 2 == 0);
        rig_check_random(&r, 30);
        rig_free(&r);
    }
    printf("crashed at each of %llu calls\n", (unsigned long long)n - 2);
    ck_assert_uint_gt(n, 100);
}
END_TEST

/* T21: a failed write or sync is final; what was durable before is there afterwards. */
static bool fail_once(uint64_t seed, uint64_t n, unsigned calls, enum status with)
{
    struct rig r;
    rig_init(&r, seed);
    ck_assert(rig_open(&r));
    rig_write_many(&r, 60);
    memdisk_fail_at(r.disk, calls, n, with, false);
    r.damaged_allowed = true; /* a read that fails answers an error */
    work(&r, 9);
    bool fired = memdisk_fail_fired(r.disk);
    bool fatal = r.env.fatal_count > 0;
    if (with == STATUS_IO && fired &&
        (calls & (MEMDISK_WRITE | MEMDISK_SYNC | MEMDISK_SYNC_DIR | MEMDISK_RENAME)) == calls) {
        ck_assert_msg(fatal || r.ingest_failed, "call %llu failed and nobody stopped", (unsigned long long)n);
    }
    if (with == STATUS_NO_SPACE) ck_assert_msg(!fatal, "no space must not stop the process: %s", r.env.fatal_text);
    memdisk_fail_at(r.disk, MEMDISK_ANY, 0, STATUS_OK, false);
    if (r.l != NULL && !fatal) {
        rig_flush(&r);
        rig_settle(&r);
        rig_check_all(&r);
    }
    rig_crash(&r, MEMDISK_RANDOM);
    r.damaged_allowed = false;
    ck_assert_msg(rig_open(&r), "call %llu: %s", (unsigned long long)n, r.err.text);
    rig_recover(&r, true);
    rig_settle(&r);
    rig_check_all(&r);
    rig_free(&r);
    return fired;
}

START_TEST(every_failing_write_or_sync_stops_the_process)
{
    uint64_t n = 1;
    while (fail_once((uint64_t)_i, n, MEMDISK_WRITE | MEMDISK_SYNC | MEMDISK_SYNC_DIR | MEMDISK_RENAME, STATUS_IO)) n++;
    printf("each of %llu writes and syncs failed\n", (unsigned long long)n - 1);
    ck_assert_uint_gt(n, 50);
}
END_TEST

START_TEST(any_call_may_fail)
{
    uint64_t n = 1;
    while (fail_once((uint64_t)_i, n, MEMDISK_ANY, STATUS_IO)) n++;
    printf("each of %llu calls failed\n", (unsigned long long)n - 1);
    ck_assert_uint_gt(n, 150);
}
END_TEST

/* T22 */
START_TEST(no_space_is_outlived)
{
    uint64_t n = 1;
    while (fail_once((uint64_t)_i, n, MEMDISK_WRITE | MEMDISK_SYNC | MEMDISK_OPEN, STATUS_NO_SPACE)) n++;
    printf("no space at each of %llu calls\n", (unsigned long long)n - 1);
    ck_assert_uint_gt(n, 50);
}
END_TEST

/* T22: full for a long time, then room again; memory and pressure grow meanwhile, nothing is lost, also not by a restart. */
START_TEST(a_full_disk_is_outlived)
{
    struct rig r;
    rig_init(&r, (uint64_t)_i);
    ck_assert(rig_open(&r));
    work(&r, 6);
    ck_assert(r.l != NULL);
    memdisk_set_capacity(r.disk, 1);
    rig_write_many(&r, 1200);
    for (unsigned i = 0; i < 50; i++) rig_step(&r);
    ck_assert_uint_eq(r.env.fatal_count, 0);
    ck_assert_uint_gt(lsm_pressure(r.l), 0);
    rig_check_random(&r, 40);
    if (_i % 2 == 0) {
        rig_crash(&r, MEMDISK_RANDOM);
        ck_assert_msg(rig_open(&r), "a full disk must not prevent a start: %s", r.err.text);
        rig_recover(&r, true);
        for (unsigned i = 0; i < 50; i++) rig_step(&r);
        ck_assert_uint_eq(r.env.fatal_count, 0);
    }
    memdisk_set_capacity(r.disk, 0);
    rig_flush(&r);
    rig_settle(&r);
    ck_assert_uint_eq(lsm_pressure(r.l), 0);
    rig_check_all(&r);
    rig_free(&r);
}
END_TEST

/* T23: a table whose last key is a `synced` record of a manifest, which an edit then holds. Torn at each call, it is taken for no proof of
 * damage. */
START_TEST(a_key_that_is_a_record_convicts_nobody)
{
    static const uint8_t key[] = {'Q', 'R', 'e', 'c', 1, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 0, 7};
    uint8_t bytes[1500] = {'a'};
    struct slice last = slice_make(bytes, sizeof(bytes));
    memcpy(bytes + sizeof(bytes) - sizeof(key), key, sizeof(key));
    uint8_t *record = bytes + sizeof(bytes) - sizeof(key);
    le_set_u32(record + 12, crc32c(crc32c(0, record, 12), record + 16, 1));
    bool fired = true;
    for (uint64_t n = 1; fired; n++) {
        struct rig r;
        rig_init(&r, n);
        ck_assert(rig_open(&r));
        rig_flush(&r);
        memdisk_fail_at(r.disk, MEMDISK_ANY, n / 8 + 1, STATUS_IO, true);
        const struct lsm_write w = {.kind = LSM_PUT, .key = last, .ts = 7, .value = slice_str("v")};
        lsm_apply(r.l, 9, 1, 1, &w, 1);
        rig_flush(&r);
        fired = memdisk_fail_fired(r.disk);
        rig_crash(&r, MEMDISK_RANDOM);
        ck_assert_msg(rig_open(&r), "call %llu: %s", (unsigned long long)n / 8 + 1, r.err.text);
        uint64_t index = 0, term = 0;
        struct lsm_row row;
        struct lsm_miss miss;
        lsm_set_blocking(r.l, true);
        bool there = lsm_durable(r.l, 9, &index, &term);
        ck_assert(there || fired);
        ck_assert_int_eq(lsm_get(r.l, last, 7, &row, &miss), there ? STATUS_OK : STATUS_NOT_FOUND);
        lsm_set_blocking(r.l, false);
        rig_free(&r);
    }
}
END_TEST

static void count_table(void *ctx, const char *path, struct slice content)
{
    (void)content;
    size_t size = strlen(path);
    if (size > 4 && strcmp(path + size - 4, ".tbl") == 0) (*(uint64_t *)ctx)++;
}

START_TEST(only_files_that_the_manifest_names_stay)
{
    struct rig r;
    rig_init(&r, (uint64_t)_i);
    ck_assert(rig_open(&r));
    for (unsigned i = 0; i < 3; i++) {
        work(&r, 6);
        rig_crash(&r, MEMDISK_RANDOM);
        ck_assert(rig_open(&r));
        rig_recover(&r, true);
        rig_flush(&r);
        rig_settle(&r);
        struct lsm_stats stats;
        lsm_stats(r.l, &stats);
        uint64_t tables = 0;
        memdisk_each(r.disk, count_table, &tables);
        ck_assert_uint_le(tables, stats.files); /* two files may share a table */
        if (stats.files > 0) ck_assert_uint_gt(tables, 0);
    }
    rig_free(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lsm/crash");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, a_crash_leaves_the_durable_prefix, 0, 12);
    tcase_add_loop_test(tcase, a_crash_while_opening_loses_nothing, 0, 1);
    tcase_add_loop_test(tcase, a_crash_at_each_call_leaves_the_durable_prefix, 0, 2);
    tcase_add_loop_test(tcase, every_failing_write_or_sync_stops_the_process, 0, 2);
    tcase_add_loop_test(tcase, any_call_may_fail, 0, 1);
    tcase_add_loop_test(tcase, no_space_is_outlived, 0, 2);
    tcase_add_loop_test(tcase, a_full_disk_is_outlived, 0, 4);
    tcase_add_test(tcase, a_key_that_is_a_record_convicts_nobody);
    tcase_add_loop_test(tcase, only_files_that_the_manifest_names_stay, 0, 3);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
