/* Filling, submitting, completions; what keeps a segment and what frees it; spares; restarts. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/cover.h"
#include "lib/wal_model.h"
#include "wal/wal_int.h"

static void start(struct wm *m, uint64_t seed)
{
    wm_init(m, seed);
    m->data_max = 3000;
    ck_assert_int_eq(wm_open(m), WM_OK);
    testenv_run(&m->env);
}

static void reopen(struct wm *m)
{
    if (m->wal != NULL) wm_crash(m, MEMDISK_DROP);
    if (wm_open(m) != WM_OK) ck_abort_msg("%s %s", m->wrong, m->err.text);
}

/* Fills segments until `n` more have been begun; only group g gets entries. */
static void fill_segments(struct wm *m, unsigned g, unsigned n)
{
    for (uint64_t epoch = m->wal->next_epoch; m->wal->next_epoch < epoch + n;) {
        wm_put_entry(m, g, wm_last(m, g) + 1, 8000);
        wm_drain(m);
    }
}

static void counted(void *ctx)
{
    unsigned *n = ctx;
    (*n)++;
}

START_TEST(test_one_write_at_a_time_and_two_buffers)
{
    struct wm m;
    start(&m, 1);
    unsigned first = 0, second = 0;
    ck_assert_uint_eq(wal_pending_bytes(m.wal), 0);
    wal_put_group(m.wal, 3, slice_str("a"));
    ck_assert_uint_eq(wal_pending_bytes(m.wal), 4);
    wal_submit(m.wal, false, counted, &first);
    ck_assert(wal_busy(m.wal));
    ck_assert_uint_eq(wal_pending_bytes(m.wal), 0);
    wal_put_group(m.wal, 3, slice_str("bc")); /* fills the next batch meanwhile */
    ck_assert_uint_eq(wal_pending_bytes(m.wal), 5);
    ck_assert_uint_eq(testenv_queued(&m.env, LANE_LOG), 1);
    ck_assert(testenv_execute(&m.env, LANE_LOG));
    ck_assert_uint_eq(first, 0);
    ck_assert(wal_busy(m.wal));
    ck_assert(testenv_complete(&m.env));
    ck_assert_uint_eq(first, 1);
    ck_assert(!wal_busy(m.wal));
    ck_assert_uint_eq(wal_pending_bytes(m.wal), 5);
    wal_submit(m.wal, true, counted, &second); /* inline: written at once, told by the loop */
    ck_assert_uint_eq(testenv_queued(&m.env, LANE_LOG), 0);
    ck_assert_uint_eq(second, 0);
    ck_assert(wal_busy(m.wal));
    ck_assert(m.env.woken);
    wal_step(m.wal);
    ck_assert_uint_eq(second, 1);
    wal_step(m.wal);
    ck_assert_uint_eq(second, 1);
    ck_assert(!wal_busy(m.wal));
    struct wal_stats stats;
    wal_stats(m.wal, &stats);
    ck_assert_uint_eq(stats.batches, 3); /* with the mark of opening */
    ck_assert_uint_eq(stats.payload_bytes, 9);
    ck_assert_uint_ge(stats.bytes, 3 * WAL_BLOCK);
    ck_assert_uint_gt(stats.write_ns_total, 0);
    ck_assert_uint_ge(stats.write_ns_total, stats.write_ns_max);
    ck_assert_str_eq(stats.sync_method, "direct+dsync");
    wm_free(&m);
}
END_TEST

struct chain {
    struct wm *m;
    unsigned left;
};
static void submit_again(void *ctx)
{
    struct chain *c = ctx;
    if (c->left == 0) return;
    c->left--;
    wal_put_hard_state(c->m->wal, 9, &(struct wal_hard_state){.term = c->left + 1});
    wal_submit(c->m->wal, c->left % 2 == 0, submit_again, c);
}

START_TEST(test_submit_from_the_callback)
{
    struct wm m;
    start(&m, 2);
    struct chain c = {.m = &m, .left = 40};
    submit_again(&c);
    while (c.left > 0 || wal_busy(m.wal)) {
        testenv_run(&m.env);
        wal_step(m.wal);
    }
    struct wal_stats stats;
    wal_stats(m.wal, &stats);
    ck_assert_uint_eq(stats.batches, 41);
    ck_assert_uint_gt(stats.segments, 1);
    wm_free(&m);
}
END_TEST

static void count_file(void *ctx, const char *path, struct slice content)
{
    (void)path;
    uint64_t *sum = ctx;
    *sum += content.size;
}

static uint64_t disk_bytes(const struct wm *m)
{
    uint64_t sum = 0;
    memdisk_each(m->disk, count_file, &sum);
    return sum;
}

START_TEST(test_large_batches)
{
    const uint32_t sizes[] = {65536 - 4096 - 80 - 20, 65536, 1 << 20, 16 << 20};
    for (size_t i = 0; i < 4; i++) {
        struct wm m;
        start(&m, 3);
        wm_put_group(&m, 1, 100);
        wm_put_entry(&m, 1, 1, sizes[i]);
        wm_put_entry(&m, 1, 2, 50);
        wm_drain(&m);
        wm_put_entry(&m, 1, 3, sizes[i]);
        wm_drain(&m);
        wm_batch(&m, 4);
        reopen(&m);
        ck_assert_uint_ge(wal_live_bytes(m.wal), 2 * (uint64_t)sizes[i]);
        wm_set_floor(&m, 1, 3);
        fill_segments(&m, 0, 3);
        wm_set_floor(&m, 0, UINT64_MAX);
        fill_segments(&m, 0, 2);
        wm_drain(&m); /* the large ones are removed, not kept */
        ck_assert_uint_le(wal_live_bytes(m.wal), 6 * 65536);
        ck_assert_uint_le(disk_bytes(&m), 12 * 65536);
        reopen(&m);
        wm_free(&m);
    }
}
END_TEST

START_TEST(test_floors_free_segments_and_files_are_used_again)
{
    struct wm m;
    start(&m, 4);
    wm_put_group(&m, 0, 50);
    wm_put_hard_state(&m, 0);
    fill_segments(&m, 0, 6);
    uint64_t full = wal_live_bytes(m.wal);
    ck_assert_uint_gt(full, 5 * 65536);
    wm_set_floor(&m, 0, wm_last(&m, 0) / 2);
    fill_segments(&m, 0, 1);
    ck_assert_uint_lt(wal_live_bytes(m.wal), full);
    wm_set_floor(&m, 0, UINT64_MAX);
    wm_put_entry(&m, 0, wm_last(&m, 0) + 1, 10); /* its batch takes the leftovers along */
    wm_drain(&m);
    ck_assert_uint_le(wal_live_bytes(m.wal), 65536);
    struct memdisk_stats before, after;
    memdisk_stats(m.disk, &before);
    uint64_t created = m.wal->next_segment;
    for (unsigned i = 0; i < 30; i++) { /* steady state: no file is made any more, nothing grows */
        fill_segments(&m, 0, 1);
        wm_set_floor(&m, 0, UINT64_MAX);
    }
    memdisk_stats(m.disk, &after);
    ck_assert_uint_eq(m.wal->next_segment, created);
    ck_assert_uint_eq(after.dir_syncs, before.dir_syncs);
    ck_assert_uint_le(disk_bytes(&m), 12 * 65536);
    reopen(&m);
    wm_free(&m);
}
END_TEST

/* Group records and hard states outlive the segments in which they were put, for ever; so does the fact of a drop. */
START_TEST(test_leftovers_and_drops_survive_recycling)
{
    struct wm m;
    start(&m, 5);
    for (unsigned g = 1; g < WM_GROUPS; g++) {
        wm_put_group(&m, g, 20 + g);
        wm_put_hard_state(&m, g);
        wm_put_entry(&m, g, 1, 30);
    }
    wm_drain(&m);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned g = 0; g < WM_GROUPS; g++) wm_set_floor(&m, g, UINT64_MAX);
        fill_segments(&m, 0, 1);
        if (round == 6) wm_put_dropped(&m, 3);
        if (round == 9) wm_put_hard_state(&m, 2); /* in the batch that would carry the old one along */
        if (round == 12) wm_put_reset(&m, 4, 500);
        wm_drain(&m);
        if (round % 5 == 4) reopen(&m);
        ck_assert_uint_le(m.wal->live_count, 5);
    }
    reopen(&m);
    ck_assert(m.acked.groups[1].has_record);
    ck_assert(m.acked.groups[2].has_hard_state);
    ck_assert(!m.acked.groups[3].has_record);
    ck_assert_uint_gt(cover_count("wal.leftovers"), 0);
    wm_free(&m);
}
END_TEST

/* A drop or reset must not be recycled while older segments hold what it voids: those are pinned by another group. */
START_TEST(test_drop_and_reset_outlive_what_they_void)
{
    struct wm m;
    start(&m, 6);
    wm_put_entry(&m, 4, 1, 30); /* pins the first segment */
    for (unsigned g = 1; g < 3; g++) {
        wm_put_group(&m, g, 40);
        for (uint64_t i = 1; i < 6; i++) wm_put_entry(&m, g, i, 100);
    }
    wm_drain(&m);
    fill_segments(&m, 0, 2);
    wm_put_dropped(&m, 1);
    wm_put_reset(&m, 2, 77);
    wm_drain(&m);
    wm_set_floor(&m, 2, 77);
    for (unsigned i = 0; i < 5; i++) {
        wm_set_floor(&m, 0, UINT64_MAX);
        fill_segments(&m, 0, 2);
        reopen(&m);
        ck_assert_uint_gt(wal_live_bytes(m.wal), 65536 * (2 * (uint64_t)i + 3));
    }
    wm_set_floor(&m, 2, 77); /* the log does not remember floors */
    wm_set_floor(&m, 4, 1);  /* the pin goes, and with it everything at once */
    wm_set_floor(&m, 0, UINT64_MAX);
    fill_segments(&m, 0, 2);
    ck_assert_uint_le(wal_live_bytes(m.wal), 3 * 65536);
    reopen(&m);
    wm_free(&m);
}
END_TEST

/* Entries cut off by a later append, or voided by a reset, do not pin the segments in which they lie. */
START_TEST(test_void_entries_pin_nothing)
{
    struct wm m;
    start(&m, 7);
    for (uint64_t i = 1; i <= 100; i++) wm_put_entry(&m, 1, i, 100);
    wm_drain(&m);
    fill_segments(&m, 0, 1);
    wm_put_entry(&m, 1, 11, 100);
    wm_drain(&m);
    wm_set_floor(&m, 1, 10);
    wm_set_floor(&m, 0, UINT64_MAX);
    uint64_t oldest = wal_index_oldest(m.wal, 0);
    ck_assert_uint_eq(oldest, m.wal->current->epoch);
    wm_put_reset(&m, 1, 1000);
    wm_drain(&m);
    fill_segments(&m, 0, 1);
    wm_set_floor(&m, 0, UINT64_MAX);
    ck_assert_uint_lt(wal_index_oldest(m.wal, UINT64_MAX), m.wal->current->epoch); /* the reset itself does */
    wm_set_floor(&m, 1, 1000);
    ck_assert_uint_eq(wal_index_oldest(m.wal, UINT64_MAX), UINT64_MAX);
    reopen(&m);
    wm_free(&m);
}
END_TEST

/* A group is dropped and begins anew in the batch under way: the floor of its next life must not let go of the former one's
 * entries before the drop is durable, and must hold afterwards. */
START_TEST(test_floor_of_the_next_life)
{
    struct wm m;
    start(&m, 14);
    for (uint64_t i = 1; i <= 5; i++) wm_put_entry(&m, 1, i, 100);
    wm_drain(&m);
    uint64_t pinned = wal_index_oldest(m.wal, UINT64_MAX);
    fill_segments(&m, 0, 1);
    wm_set_floor(&m, 0, UINT64_MAX);
    ck_assert_uint_eq(wal_index_oldest(m.wal, UINT64_MAX), pinned);
    wm_put_dropped(&m, 1);
    for (uint64_t i = 1; i <= 7; i++) wm_put_entry(&m, 1, i, 100);
    wal_set_floor(m.wal, wm_group_id(1), 7);
    ck_assert_uint_eq(wal_index_oldest(m.wal, UINT64_MAX), pinned);
    wm_submit(&m, false);
    wm_put_entry(&m, 1, 8, 100);
    ck_assert_uint_eq(wal_index_oldest(m.wal, UINT64_MAX), pinned);
    testenv_run(&m.env);
    ck_assert_uint_eq(wal_index_oldest(m.wal, UINT64_MAX), UINT64_MAX); /* dropped, and 1 to 7 are below the floor */
    wm_drain(&m);
    ck_assert_uint_eq(wal_index_oldest(m.wal, UINT64_MAX), m.wal->current->epoch);
    wal_set_floor(m.wal, wm_group_id(1), 8);
    ck_assert_uint_eq(wal_index_oldest(m.wal, UINT64_MAX), UINT64_MAX);
    wm_free(&m);
}
END_TEST

/* Files that were not made completely are removed, never used; others' files are left alone. */
START_TEST(test_rubbish_is_removed)
{
    struct wm m;
    start(&m, 15);
    wm_batch(&m, 3);
    wm_crash(&m, MEMDISK_KEEP);
    const struct {
        const char *name;
        uint64_t bytes;
        bool stays;
    } files[] = {{"wal/00000000000000a0.wal", 65536, false},  {"wal/00000000000000a1.wal", 20480, false},
                 {"wal/00000000000000a2.wal", 0, false},      {"wal/00000000000000A3.wal", 65536, true},
                 {"wal/00000000000000a4.wal.old", 100, true}, {"wal/notes", 100, true}};
    for (size_t i = 0; i < 6; i++) {
        struct disk_file *f;
        ck_assert_int_eq(disk_open(memdisk_disk(m.disk), files[i].name, DISK_WRITE | DISK_CREATE, &f, NULL), STATUS_OK);
        ck_assert_int_eq(disk_truncate(f, files[i].bytes), STATUS_OK);
        disk_close(f);
    }
    ck_assert_int_eq(wm_open(&m), WM_OK);
    testenv_run(&m.env);
    for (size_t i = 0; i < 6; i++) ck_assert_int_eq(memdisk_exists(m.disk, files[i].name), files[i].stays);
    ck_assert_uint_gt(m.wal->next_segment, 0xa2);
    for (unsigned i = 0; i < 20; i++) wm_batch(&m, 4);
    reopen(&m);
    wm_free(&m);
}
END_TEST

/* A process that dies again and again, with a torn write each time, neither loses anything nor eats the disk. */
START_TEST(test_crash_loop)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct wm m;
        start(&m, 100 + seed);
        for (unsigned i = 0; i < 10; i++) wm_batch(&m, 4);
        uint64_t most = 0;
        for (unsigned i = 0; i < 60; i++) {
            /* The n-th call of opening, or of the write after it, is the last one. */
            memdisk_fail_at(m.disk, MEMDISK_WRITE | MEMDISK_SYNC, 1 + prng_below(&m.prng, 4), STATUS_IO, true);
            if (m.wal != NULL) {
                wm_put_entry(&m, 0, wm_last(&m, 0) + 1, 6000);
                wm_submit(&m, true);
            }
            wm_crash(&m, MEMDISK_RANDOM);
            memdisk_fail_at(m.disk, MEMDISK_WRITE | MEMDISK_SYNC, i % 2 == 0 ? 0 : 1 + prng_below(&m.prng, 4),
                            STATUS_IO, true);
            enum wm_result r = wm_open(&m);
            ck_assert_int_ne(r, WM_WRONG);
            if (r == WM_REFUSED) ck_assert(memdisk_fail_fired(m.disk));
            if (disk_bytes(&m) > most) most = disk_bytes(&m);
        }
        if (m.wal == NULL) memdisk_crash(m.disk, MEMDISK_DROP);
        if (m.wal == NULL) ck_assert_int_eq(wm_open(&m), WM_OK);
        ck_assert_uint_le(most, 24 * 65536);
        wm_free(&m);
    }
    ck_assert_uint_gt(cover_count("wal.torn_tail"), 20);
    ck_assert_uint_gt(cover_count("wal.empty_segment"), 5);
}
END_TEST

/* Restarts without work in between write nothing and take no segment. */
START_TEST(test_quiet_restarts_leave_no_trace)
{
    struct wm m;
    start(&m, 8);
    wm_batch(&m, 5);
    wm_close(&m);
    uint64_t hash = memdisk_hash(m.disk);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(wm_open(&m), WM_OK);
        testenv_run(&m.env);
        wm_close(&m);
        ck_assert_uint_eq(memdisk_hash(m.disk), hash);
    }
    ck_assert_int_eq(wm_open(&m), WM_OK);
    struct wal_stats stats;
    wal_stats(m.wal, &stats);
    ck_assert_uint_eq(stats.batches, 0);
    wm_free(&m);
}
END_TEST

START_TEST(test_mark_when_idle)
{
    struct wm m;
    start(&m, 9);
    wm_batch(&m, 2);
    uint64_t next = m.wal->next_batch;
    wal_step(m.wal);
    ck_assert(!wal_busy(m.wal));
    testenv_advance_ms(&m.env, 9);
    wal_step(m.wal);
    ck_assert(!wal_busy(m.wal));
    testenv_advance_ms(&m.env, 2);
    wal_step(m.wal);
    ck_assert(wal_busy(m.wal));
    testenv_run(&m.env);
    ck_assert(!wal_busy(m.wal));
    ck_assert_uint_eq(m.wal->next_batch, next + 1);
    testenv_advance_ms(&m.env, 500);
    wal_step(m.wal);
    ck_assert_uint_eq(m.wal->next_batch, next + 1); /* one is enough */
    wm_batch(&m, 1);
    wm_put(&m); /* something waits: its batch will do */
    testenv_advance_ms(&m.env, 500);
    wal_step(m.wal);
    ck_assert(!wal_busy(m.wal));
    wm_free(&m);
}
END_TEST

START_TEST(test_sync_methods)
{
    const struct {
        bool direct, measure;
        const char *a, *b;
    } cases[] = {{true, false, "direct+dsync", "direct+dsync"},
                 {false, false, "dsync", "dsync"},
                 {false, true, "fdatasync", "fdatasync"},
                 {true, true, "direct+dsync", "fdatasync"}};
    for (size_t i = 0; i < 4; i++) {
        for (unsigned again = 0; again < 2; again++) {
            struct wm m;
            wm_init(&m, 10);
            memdisk_set_direct(m.disk, cases[i].direct);
            m.options.skip_self_test = !cases[i].measure;
            for (unsigned open = 0; open <= again; open++) {
                if (m.wal != NULL) wm_close(&m);
                ck_assert_int_eq(wm_open(&m), WM_OK);
            }
            struct wal_stats stats;
            wal_stats(m.wal, &stats);
            ck_assert_msg(strcmp(stats.sync_method, cases[i].a) == 0 || strcmp(stats.sync_method, cases[i].b) == 0,
                          "%s", stats.sync_method);
            ck_assert(!memdisk_exists(m.disk, "wal/selftest.tmp"));
            for (unsigned n = 0; n < 20; n++) wm_batch(&m, 4);
            reopen(&m);
            wm_free(&m);
        }
    }
}
END_TEST

START_TEST(test_bad_options)
{
    struct wm m;
    wm_init(&m, 11);
    const struct wal_options good = m.options;
    const struct wal_options bad[] = {
        {.dir = "wal", .segment_bytes = 32768, .spare_segments = 1},
        {.dir = "wal", .segment_bytes = 65536 + 512, .spare_segments = 1},
        {.dir = "wal", .segment_bytes = 65536, .spare_segments = 0},
        {.dir = "", .segment_bytes = 65536, .spare_segments = 1},
    };
    for (size_t i = 0; i < 4; i++) {
        m.options = bad[i];
        ck_assert_int_eq(wm_open(&m), WM_REFUSED);
        ck_assert_int_eq(m.status, STATUS_INVALID);
        ck_assert_uint_gt(strlen(m.err.text), 20);
    }
    m.options = good;
    m.options.dir = "a-place/wal"; /* its parent is the owner's to make */
    ck_assert_int_eq(wm_open(&m), WM_REFUSED);
    ck_assert_int_eq(disk_mkdir(memdisk_disk(m.disk), "a-place"), STATUS_OK);
    ck_assert_int_eq(disk_sync_dir(memdisk_disk(m.disk), ""), STATUS_OK);
    ck_assert_int_eq(wm_open(&m), WM_OK);
    wm_batch(&m, 3);
    reopen(&m);
    wm_free(&m);
}
END_TEST

/* The size of segments may change between runs; those of the former size go when they are free. */
START_TEST(test_other_segment_size)
{
    struct wm m;
    start(&m, 12);
    for (unsigned i = 0; i < 20; i++) wm_batch(&m, 5);
    wm_close(&m);
    m.options.segment_bytes = 131072;
    ck_assert_int_eq(wm_open(&m), WM_OK);
    for (unsigned i = 0; i < 80; i++) {
        wm_batch(&m, 5);
        for (unsigned g = 0; g < WM_GROUPS; g++) wm_set_floor(&m, g, UINT64_MAX);
    }
    for (struct list *n = m.wal->live.next; n != &m.wal->live; n = n->next)
        ck_assert_uint_ge(LIST_ENTRY(n, struct wal_segment, link)->bytes, 131072);
    reopen(&m);
    wm_free(&m);
}
END_TEST

/* Closing while a spare is being made: the task ends by itself. */
START_TEST(test_close_with_a_chore_under_way)
{
    for (unsigned executed = 0; executed < 2; executed++) {
        struct wm m;
        wm_init(&m, 13);
        ck_assert_int_eq(wm_open(&m), WM_OK);
        ck_assert_uint_eq(testenv_queued(&m.env, LANE_BACKGROUND), 1);
        if (executed) ck_assert(testenv_execute(&m.env, LANE_BACKGROUND));
        wal_close(m.wal);
        m.wal = NULL;
        testenv_run(&m.env);
        ck_assert_int_eq(wm_open(&m), WM_OK);
        wm_free(&m);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wal_submit");
    TCase *t = tcase_create("submit");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_one_write_at_a_time_and_two_buffers);
    tcase_add_test(t, test_submit_from_the_callback);
    tcase_add_test(t, test_large_batches);
    tcase_add_test(t, test_floors_free_segments_and_files_are_used_again);
    tcase_add_test(t, test_leftovers_and_drops_survive_recycling);
    tcase_add_test(t, test_drop_and_reset_outlive_what_they_void);
    tcase_add_test(t, test_void_entries_pin_nothing);
    tcase_add_test(t, test_floor_of_the_next_life);
    tcase_add_test(t, test_rubbish_is_removed);
    tcase_add_test(t, test_crash_loop);
    tcase_add_test(t, test_quiet_restarts_leave_no_trace);
    tcase_add_test(t, test_mark_when_idle);
    tcase_add_test(t, test_sync_methods);
    tcase_add_test(t, test_bad_options);
    tcase_add_test(t, test_other_segment_size);
    tcase_add_test(t, test_close_with_a_chore_under_way);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
