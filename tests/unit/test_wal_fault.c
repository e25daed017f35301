/* The disk fails at every position in turn: of the log's own writes the first failure is the last word; of spares it is
 * not; and whatever the power cut leaves, the log opens again with all that was acknowledged. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/wal_model.h"
#include "wal/wal_int.h"

/* Some of everything: several segments, a large batch, inline writes, floors, drops, recycling, marks. */
static void script(struct wm *m)
{
    for (unsigned i = 0; i < 30 && !m->env.env.dead; i++) {
        for (unsigned n = 0; n < 5; n++) wm_put(m);
        if (i == 9) wm_put_entry(m, 1, wm_last(m, 1) + 1, 90000);
        if (i == 20) wm_put_dropped(m, 2);
        wm_submit(m, i % 3 == 0);
        if (i % 4 == 1) wm_put(m); /* while the write is under way */
        testenv_run(&m->env);
        wal_step(m->wal);
        if (m->env.env.dead) return;
        wm_drain(m);
        for (unsigned g = 0; g < WM_GROUPS && i % 6 == 5 && !m->env.env.dead; g++) wm_set_floor(m, g, UINT64_MAX);
        if (i % 5 == 4) testenv_advance_ms(&m->env, 60);
    }
    if (!m->env.env.dead) wm_drain(m);
}

/* Into the next segment: a spare that an earlier process made is used, and no background task makes another. */
static void fill(struct wm *m)
{
    for (uint64_t number = m->wal->current->number; m->wal->current->number == number;) {
        wm_put_entry(m, 0, wm_last(m, 0) + 1, 12000);
        wm_submit(m, true);
        wal_step(m->wal);
        ck_assert(!m->env.env.dead);
    }
}

static void world(struct wm *m, uint64_t seed, bool direct, bool measure)
{
    wm_init(m, seed);
    m->data_max = 3500;
    m->options.skip_self_test = !measure;
    memdisk_set_direct(m->disk, direct);
}

static void must(struct wm *m, enum wm_result r, uint64_t n, const char *what)
{
    if (r != WM_OK) ck_abort_msg("call %" PRIu64 ": %s: %s %s", n, what, m->wrong, m->err.text);
}

/* The power goes at call n of any kind, opening included, and comes back. False: there are fewer than n calls. */
static bool power_cut_at(uint64_t n, bool direct, bool measure, uint64_t seed)
{
    struct wm m;
    world(&m, seed, direct, measure);
    memdisk_fail_at(m.disk, MEMDISK_ANY, n, STATUS_IO, true);
    enum wm_result r = wm_open(&m);
    ck_assert_int_ne(r, WM_WRONG);
    if (r == WM_OK) script(&m);
    bool fired = memdisk_fail_fired(m.disk);
    uint64_t acked = m.acked_batches;
    wm_crash(&m, n % 3 == 0 ? MEMDISK_DROP : MEMDISK_RANDOM);
    must(&m, wm_open(&m), n, "open after the power cut");
    script(&m); /* and it goes on */
    ck_assert(!m.env.env.dead);
    ck_assert_uint_gt(m.acked_batches, acked);
    wm_crash(&m, MEMDISK_DROP);
    must(&m, wm_open(&m), n, "second open");
    wm_free(&m);
    return fired;
}

START_TEST(test_power_cut_at_every_call)
{
    for (unsigned kind = 0; kind < 3; kind++) {
        uint64_t n = 1;
        while (power_cut_at(n, kind != 1, kind == 2, 1000 + kind)) n++;
        printf("  %" PRIu64 " positions\n", n - 1);
        ck_assert_uint_gt(n, 60);
    }
}
END_TEST

/* The process is killed before call n, the machine is not; it starts again, shows what it shows, and the power goes away at
 * once: what was shown must be there again. */
static bool killed_at(uint64_t n, bool direct, bool measure, uint64_t seed)
{
    struct wm m;
    world(&m, seed, direct, measure);
    memdisk_fail_at(m.disk, MEMDISK_ANY, n, STATUS_CLOSED, true);
    enum wm_result r = wm_open(&m);
    ck_assert_int_ne(r, WM_WRONG);
    if (r == WM_OK) script(&m);
    bool fired = memdisk_fail_fired(m.disk);
    wm_crash(&m, MEMDISK_PROCESS);
    must(&m, wm_open(&m), n, "open after the kill");
    if (n % 3 == 0) wm_batch(&m, 3);
    if (n % 3 == 1) fill(&m);
    wm_crash(&m, n % 2 == 0 ? MEMDISK_DROP : MEMDISK_RANDOM);
    must(&m, wm_open(&m), n, "open after the power cut that followed");
    wm_free(&m);
    return fired;
}

START_TEST(test_kill_at_every_call)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        uint64_t n = 1;
        while (killed_at(n, kind % 2 == 0, kind / 2 == 0, 2000 + kind)) n++;
        ck_assert_uint_gt(n, 60);
    }
}
END_TEST

/* A mark that a killed process did not come to sync, found by one that syncs each write by itself (DISK_DSYNC): its first
 * write says that the mark was durable, so it has to be. */
START_TEST(test_unsynced_mark_of_an_earlier_process)
{
    struct wm m;
    world(&m, 8, false, true);
    ck_assert_int_eq(wm_open(&m), WM_OK);
    wm_batch(&m, 3);
    memdisk_fail_at(m.disk, MEMDISK_SYNC, 1, STATUS_CLOSED, true);
    wm_close(&m);
    ck_assert(memdisk_fail_fired(m.disk));
    memdisk_crash(m.disk, MEMDISK_PROCESS);
    m.options.skip_self_test = true;
    ck_assert_int_eq(wm_open(&m), WM_OK);
    ck_assert(m.wal->last_is_mark);
    wm_put(&m);
    wm_submit(&m, true);
    wal_step(m.wal);
    ck_assert(!m.in_flight);
    wm_crash(&m, MEMDISK_DROP);
    must(&m, wm_open(&m), 0, "open after the power cut");
    wm_free(&m);
}
END_TEST

/* One call fails and all later ones work. */
static bool single_failure_at(uint64_t n, unsigned calls, enum status with, unsigned *deaths, unsigned *survived)
{
    struct wm m;
    world(&m, 7, true, n % 2 == 0);
    memdisk_fail_at(m.disk, calls, n, with, false);
    enum wm_result r = wm_open(&m);
    ck_assert_int_ne(r, WM_WRONG);
    if (r == WM_REFUSED) {
        ck_assert_int_eq(m.status, with);
        ck_assert_uint_gt(strlen(m.err.text), 20);
        ck_assert(memdisk_fail_fired(m.disk));
    } else {
        script(&m);
    }
    bool fired = memdisk_fail_fired(m.disk);
    if (m.env.env.dead) {
        (*deaths)++;
        ck_assert_uint_eq(m.env.fatal_count, 1);
        ck_assert_ptr_ne(strstr(m.env.fatal_text, "wal: could not"), NULL);
        uint64_t acked = m.acked_batches;
        m.env.env.dead = false; /* even if nobody heeded it: the log itself is latched */
        ck_assert(!wal_busy(m.wal));
        wal_put_group_dropped(m.wal, 1);
        wal_submit(m.wal, false, NULL, NULL);
        wal_submit(m.wal, true, NULL, NULL);
        testenv_run(&m.env);
        wal_step(m.wal);
        testenv_advance_ms(&m.env, 5000);
        wal_step(m.wal);
        testenv_run(&m.env);
        ck_assert_uint_eq(m.acked_batches, acked);
        ck_assert_uint_eq(m.env.fatal_count, 1);
    } else if (r == WM_OK && fired) {
        (*survived)++;
    }
    wm_crash(&m, MEMDISK_RANDOM);
    must(&m, wm_open(&m), n, "open after one failure");
    wm_free(&m);
    return fired;
}

START_TEST(test_one_failure_is_final_for_the_log)
{
    const unsigned calls[] = {MEMDISK_WRITE, MEMDISK_SYNC, MEMDISK_SYNC_DIR, MEMDISK_OPEN, MEMDISK_CHANGE};
    unsigned deaths = 0, survived = 0;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (uint64_t n = 1; single_failure_at(n, calls[i], STATUS_IO, &deaths, &survived);) n++;
    }
    printf("  %u deaths, %u failed chores survived\n", deaths, survived);
    ck_assert_uint_gt(deaths, 40);
    ck_assert_uint_gt(survived, 5);
}
END_TEST

/* A failing sync (write + fdatasync) must not be cured by the next one that succeeds. */
START_TEST(test_failed_sync_latches)
{
    struct wm m;
    world(&m, 3, false, true); /* no DISK_DIRECT and measured: fdatasync */
    ck_assert_int_eq(wm_open(&m), WM_OK);
    testenv_run(&m.env);
    struct wal_stats stats;
    wal_stats(m.wal, &stats);
    ck_assert_str_eq(stats.sync_method, "fdatasync");
    wm_batch(&m, 3);
    memdisk_fail_at(m.disk, MEMDISK_SYNC, 1, STATUS_IO, false);
    wm_put(&m);
    wm_submit(&m, true);
    wal_step(m.wal);
    ck_assert(memdisk_fail_fired(m.disk));
    ck_assert(m.env.env.dead);
    ck_assert(m.in_flight); /* never acknowledged */
    ck_assert_ptr_ne(strstr(m.env.fatal_text, "sync"), NULL);
    wm_crash(&m, MEMDISK_DROP);
    ck_assert_int_eq(wm_open(&m), WM_OK);
    wm_free(&m);
}
END_TEST

/* Without DISK_DIRECT: after a failed sync the page cache shows the next process what the disk does not have. What it takes
 * for durable, and says so in its next batch, has to be. */
static bool failed_sync_at(uint64_t n, bool measure)
{
    struct wm m;
    world(&m, 11, false, measure);
    memdisk_fail_at(m.disk, MEMDISK_SYNC | MEMDISK_WRITE, n, STATUS_IO, false);
    enum wm_result r = wm_open(&m);
    ck_assert_int_ne(r, WM_WRONG);
    if (r == WM_OK) script(&m);
    bool fired = memdisk_fail_fired(m.disk);
    wm_crash(&m, MEMDISK_PROCESS);
    must(&m, wm_open(&m), n, "open after the failed sync");
    for (unsigned i = 0; i < 1 + n % 3; i++) wm_batch(&m, 2);
    wm_crash(&m, n % 2 == 0 ? MEMDISK_DROP : MEMDISK_RANDOM);
    must(&m, wm_open(&m), n, "open after the power cut that followed");
    wm_free(&m);
    return fired;
}

START_TEST(test_failed_sync_then_restart_then_power_cut)
{
    for (unsigned measure = 0; measure < 2; measure++) {
        uint64_t n = 1;
        while (failed_sync_at(n, measure == 1)) n++;
        ck_assert_uint_gt(n, 50);
    }
}
END_TEST

START_TEST(test_full_disk)
{
    struct wm m;
    world(&m, 5, true, false);
    memdisk_set_capacity(m.disk, 60000); /* not even one segment */
    ck_assert_int_eq(wm_open(&m), WM_REFUSED);
    ck_assert_int_eq(m.status, STATUS_NO_SPACE);
    ck_assert_ptr_ne(strstr(m.err.text, "free space"), NULL);
    memdisk_crash(m.disk, MEMDISK_KEEP);

    memdisk_set_capacity(m.disk, 2 * 65536 + 100); /* one in use, one spare */
    ck_assert_int_eq(wm_open(&m), WM_OK);
    testenv_run(&m.env);
    struct wal_stats stats;
    wal_stats(m.wal, &stats);
    ck_assert_uint_eq(stats.spare_segments, 1);
    uint64_t first = m.wal->current->number;
    while (m.wal->current->number == first)
        wm_batch(&m, 2); /* the spare is taken: the disk being full does not matter */
    ck_assert(!m.env.env.dead);
    ck_assert_ptr_ne(strstr(m.env.last_log, "no_space"), NULL); /* a new spare could not be made */
    unsigned batches = 0;
    for (; batches < 40; batches++) {
        wm_batch(&m, 2);
        if (m.env.env.dead) break;
    }
    ck_assert(m.env.env.dead); /* no spare is left, and none can be made */
    ck_assert_ptr_ne(strstr(m.env.fatal_text, "free space"), NULL);
    ck_assert_uint_gt(batches, 2);
    wm_crash(&m, MEMDISK_RANDOM);
    if (wm_open(&m) != WM_OK) { /* there may be no room for the mark of opening, either: then it says so */
        ck_assert_int_eq(m.status, STATUS_NO_SPACE);
        ck_assert_ptr_ne(strstr(m.err.text, "free space"), NULL);
    }
    wm_crash(&m, MEMDISK_DROP);
    memdisk_set_capacity(m.disk, 0);
    ck_assert_int_eq(wm_open(&m), WM_OK); /* freed later, it goes on */
    for (unsigned i = 0; i < 30; i++) wm_batch(&m, 4);
    ck_assert(!m.env.env.dead);
    wm_free(&m);
}
END_TEST

/* A spare that could not be made is tried again, not before a second has passed. */
START_TEST(test_spare_is_tried_again)
{
    struct wm m;
    world(&m, 6, true, false);
    ck_assert_int_eq(wm_open(&m), WM_OK);
    memdisk_fail_at(m.disk, MEMDISK_WRITE, 1, STATUS_NO_SPACE, false);
    testenv_run(&m.env);
    ck_assert_uint_eq(m.wal->spare_count, 0);
    wal_step(m.wal);
    ck_assert(testenv_idle(&m.env));
    testenv_advance_ms(&m.env, 1001);
    wal_step(m.wal);
    testenv_run(&m.env);
    ck_assert_uint_eq(m.wal->spare_count, 1);
    ck_assert(!m.env.env.dead);
    wm_free(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wal_fault");
    TCase *t = tcase_create("fault");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_power_cut_at_every_call);
    tcase_add_test(t, test_kill_at_every_call);
    tcase_add_test(t, test_unsynced_mark_of_an_earlier_process);
    tcase_add_test(t, test_one_failure_is_final_for_the_log);
    tcase_add_test(t, test_failed_sync_latches);
    tcase_add_test(t, test_failed_sync_then_restart_then_power_cut);
    tcase_add_test(t, test_full_disk);
    tcase_add_test(t, test_spare_is_tried_again);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
