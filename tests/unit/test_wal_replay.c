/* Whatever the log is fed, and wherever the power goes away, it gives back all that was acknowledged, whole batches, and
 * nothing that was not submitted: random operations against tests/lib/wal_model.h. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/cover.h"
#include "lib/wal_model.h"

static void ask(bool fine, const struct wm *m, uint64_t seed, const char *what)
{
    if (!fine) ck_abort_msg("seed %llu: %s: %s %s", (unsigned long long)seed, what, m->wrong, m->err.text);
}

/* A disk without direct reads shows bytes after a failed sync that it does not have: with those, a process that dies alone
 * reads lies, and the log can do no better than say so after the next power cut. */
static void crash(struct wm *m)
{
    enum memdisk_crash how = prng_chance(&m->prng, 1, 2) ? MEMDISK_RANDOM : (enum memdisk_crash)prng_below(&m->prng, 4);
    bool alone = how == MEMDISK_KEEP || how == MEMDISK_PROCESS;
    if (alone && !m->direct && memdisk_fail_fired(m->disk) && !m->killed) how = MEMDISK_DROP;
    wm_crash(m, how);
}

/* At the n-th call the power goes away, or the process only. */
static void arm(struct wm *m, unsigned calls, uint64_t n)
{
    m->killed = prng_chance(&m->prng, 1, 2);
    memdisk_fail_at(m->disk, calls, n, m->killed ? STATUS_CLOSED : STATUS_IO, true);
}

/* Opens; sometimes the power goes away again in the middle of opening, several times. */
static void reopen(struct wm *m, uint64_t seed)
{
    for (unsigned attempt = 0;; attempt++) {
        bool cut = attempt < 8 && prng_chance(&m->prng, 1, 2);
        arm(m, MEMDISK_ANY, cut ? 1 + prng_below(&m->prng, 30) : 0);
        enum wm_result r = wm_open(m);
        bool fired = memdisk_fail_fired(m->disk);
        if (!fired) memdisk_fail_at(m->disk, MEMDISK_ANY, 0, STATUS_IO, false);
        ask(r != WM_WRONG, m, seed, "wrong content after opening");
        if (!fired) ask(r == WM_OK, m, seed, "did not open");
        if (!fired) return;
        crash(m);
    }
}

static void random_step(struct wm *m, uint64_t seed)
{
    uint64_t dice = prng_below(&m->prng, 100);
    if (m->env.env.dead || dice < 2) {
        crash(m);
        reopen(m, seed);
    } else if (dice < 3) {
        wm_drain(m);
        if (m->env.env.dead || memdisk_fail_fired(m->disk)) return; /* the power is off already */
        memdisk_fail_at(m->disk, MEMDISK_ANY, 0, STATUS_IO, false);
        wm_close(m);
        reopen(m, seed);
    } else if (dice < 5) {
        if (!memdisk_fail_fired(m->disk)) arm(m, MEMDISK_CHANGE, 1 + prng_below(&m->prng, 12));
    } else if (dice < 40) {
        for (uint64_t n = 1 + prng_below(&m->prng, 6); n > 0; n--) wm_put(m);
    } else if (dice < 60) {
        if (!wal_busy(m->wal)) wm_submit(m, prng_chance(&m->prng, 1, 3));
    } else if (dice < 75) {
        (void)testenv_execute(&m->env, LANE_COUNT);
    } else if (dice < 88) {
        (void)testenv_complete(&m->env);
        wal_step(m->wal);
    } else if (dice < 91) {
        testenv_advance_ms(&m->env, prng_below(&m->prng, 80));
        wal_step(m->wal);
    } else {
        unsigned g = (unsigned)prng_below(&m->prng, WM_GROUPS);
        const struct wm_group *x = &m->acked.groups[g];
        uint64_t last = x->base + x->count;
        wm_set_floor(m, g, prng_chance(&m->prng, 1, 2) ? last : prng_between(&m->prng, 0, last));
    }
}

static void run_seed(uint64_t seed, unsigned steps)
{
    struct wm m;
    wm_init(&m, seed);
    m.options.spare_segments = 1 + (unsigned)prng_below(&m.prng, 2);
    m.data_max = prng_chance(&m.prng, 1, 2) ? 6000 : 300;
    m.direct = prng_chance(&m.prng, 1, 2);
    memdisk_set_direct(m.disk, m.direct);
    m.options.skip_self_test = prng_chance(&m.prng, 1, 2);
    reopen(&m, seed);
    for (unsigned i = 0; i < steps; i++) random_step(&m, seed);
    wm_crash(&m, MEMDISK_RANDOM);
    reopen(&m, seed);
    wm_free(&m);
}

START_TEST(test_short_histories)
{
    for (uint64_t seed = 0; seed < 2500; seed++) run_seed(seed, 60);
}
END_TEST

START_TEST(test_long_histories)
{
    for (uint64_t seed = 100000; seed < 100060; seed++) run_seed(seed, 3000);
}
END_TEST

/* The suite is worth its time only if the rare cases have happened. */
START_TEST(test_rare_cases_were_seen)
{
    const char *marks[] = {"wal.torn_tail", "wal.empty_segment", "wal.recycled", "wal.leftovers", "wal.idle_mark"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        printf("  %s: %llu\n", marks[i], (unsigned long long)cover_count(marks[i]));
        ck_assert_uint_gt(cover_count(marks[i]), 0);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wal_replay");
    TCase *t = tcase_create("random");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_short_histories);
    tcase_add_test(t, test_long_histories);
    tcase_add_test(t, test_rare_cases_were_seen);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
