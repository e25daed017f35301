/* A simulated log of writes of a given length beside the judge of the disk. */
#include "lib/suite.h"
#include "range/disk_health.h"

#include <check.h>
#include <stdlib.h>

#define MS 1000000ull
#define SEC (1000 * MS)

struct log {
    struct disk_health health;
    uint64_t now_ns, writes, total_ns, ends_ns;
    uint64_t write_ns, gap_ns; /* how long a write takes, and how long there is none after it; write_ns 0: never any */
    uint64_t peers_us;
    bool writing, store_full;
};

static struct log log_new(uint64_t write_ns, uint64_t peers_us)
{
    struct log l = {.now_ns = 5 * SEC, .write_ns = write_ns, .gap_ns = MS, .peers_us = peers_us};
    l.ends_ns = l.now_ns;
    disk_health_init(&l.health);
    return l;
}

/* Steps of 10 ms, as the host's tick; returns after `ns`, or when the state is no longer `from`. */
static uint64_t run(struct log *l, uint64_t ns, enum disk_state from)
{
    uint64_t start = l->now_ns;
    while (l->now_ns < start + ns && l->health.state == from) {
        l->now_ns += 10 * MS;
        while (l->write_ns > 0 && l->ends_ns <= l->now_ns) {
            if (l->writing) {
                l->writes++;
                l->total_ns += l->write_ns;
            }
            l->writing = !l->writing;
            l->ends_ns += l->writing ? l->write_ns : l->gap_ns;
        }
        if (l->write_ns == 0) l->writing = false;
        struct disk_sample s = {.now_ns = l->now_ns,
                                .writes = l->writes,
                                .write_ns_total = l->total_ns,
                                .writing = l->writing,
                                .store_full = l->store_full,
                                .peers_us = l->peers_us};
        (void)disk_health_step(&l->health, &s);
    }
    return l->now_ns - start;
}

static void change(struct log *l, uint64_t write_ns)
{
    l->write_ns = write_ns;
    l->writing = false;
    l->ends_ns = l->now_ns + MS;
}

START_TEST(a_slow_disk_is_called_so_after_3_s)
{
    struct log l = log_new(MS, 1000);
    ck_assert_uint_eq(run(&l, 20 * SEC, DISK_OK), 20 * SEC);
    change(&l, 30 * MS);
    uint64_t took = run(&l, 60 * SEC, DISK_OK);
    ck_assert_int_eq(l.health.state, DISK_SLOW);
    ck_assert_uint_ge(took, 2500 * MS);
    ck_assert_uint_le(took, 4 * SEC);
    ck_assert_uint_ge(l.health.write_us, 29000);
}
END_TEST

START_TEST(what_is_not_slow)
{
    struct log under_20_ms = log_new(19 * MS, 100), as_the_peers = log_new(80 * MS, 20000),
               alone = log_new(500 * MS, 0), idle = log_new(0, 100);
    ck_assert_uint_eq(run(&under_20_ms, 60 * SEC, DISK_OK), 60 * SEC);
    ck_assert_uint_eq(run(&as_the_peers, 60 * SEC, DISK_OK), 60 * SEC);
    ck_assert_uint_eq(run(&alone, 60 * SEC, DISK_OK), 60 * SEC);
    ck_assert_uint_eq(run(&idle, 60 * SEC, DISK_OK), 60 * SEC);
    struct log hiccups = log_new(MS, 100); /* 2 s bad, 1 s good, for ever */
    for (int i = 0; i < 40; i++) {
        change(&hiccups, 50 * MS);
        ck_assert_uint_eq(run(&hiccups, 2 * SEC, DISK_OK), 2 * SEC);
        change(&hiccups, MS);
        ck_assert_uint_eq(run(&hiccups, SEC, DISK_OK), SEC);
    }
}
END_TEST

START_TEST(a_write_that_does_not_end_is_slow_then_hung)
{
    struct log l = log_new(MS, 1000);
    run(&l, 5 * SEC, DISK_OK);
    change(&l, 1000 * SEC);
    uint64_t took = run(&l, 60 * SEC, DISK_OK);
    ck_assert_int_eq(l.health.state, DISK_SLOW);
    ck_assert_uint_le(took, 4 * SEC);
    took += run(&l, 60 * SEC, DISK_SLOW);
    ck_assert_int_eq(l.health.state, DISK_HUNG);
    ck_assert_uint_ge(took, 20 * SEC);
    ck_assert_uint_le(took, 20 * SEC + 100 * MS);
}
END_TEST

/* A process that was stopped for a minute in the middle of a write: the disk is not to blame. */
START_TEST(a_pause_is_not_the_disk)
{
    struct log l = log_new(50 * MS, 20000);
    for (int i = 0; i < 30; i++) {
        run(&l, 2 * SEC, DISK_OK);
        l.now_ns += 60 * SEC;
        l.ends_ns += 60 * SEC;
        ck_assert_int_eq(l.health.state, DISK_OK);
    }
}
END_TEST

START_TEST(it_comes_back_later_each_time)
{
    struct log l = log_new(50 * MS, 1000);
    uint64_t before = 0;
    for (int i = 0; i < 4; i++) {
        change(&l, 50 * MS);
        run(&l, 60 * SEC, DISK_OK);
        ck_assert_int_eq(l.health.state, DISK_SLOW);
        change(&l, 15 * MS); /* better, not good: half of the limit is asked for */
        ck_assert_uint_eq(run(&l, 100 * SEC, DISK_SLOW), 100 * SEC);
        change(&l, MS);
        uint64_t took = run(&l, 3600 * SEC, DISK_SLOW);
        ck_assert_int_eq(l.health.state, DISK_OK);
        ck_assert_uint_ge(took, before == 0 ? 29 * SEC : 2 * before - SEC);
        before = took;
    }
    run(&l, 700 * SEC, DISK_OK); /* forgiven */
    change(&l, 50 * MS);
    run(&l, 60 * SEC, DISK_OK);
    change(&l, MS);
    ck_assert_uint_le(run(&l, 3600 * SEC, DISK_SLOW), 31 * SEC);
}
END_TEST

/* Its log is fast: the store does not get rid of what is in memory. A full second in ten is what a merge takes. */
START_TEST(a_store_that_stays_full_is_slow)
{
    struct log l = log_new(MS, 0);
    for (int i = 0; i < 10; i++) {
        l.store_full = true;
        ck_assert_uint_eq(run(&l, 9 * SEC, DISK_OK), 9 * SEC);
        l.store_full = false;
        ck_assert_uint_eq(run(&l, SEC, DISK_OK), SEC);
    }
    l.store_full = true;
    ck_assert_uint_le(run(&l, 60 * SEC, DISK_OK), 11 * SEC);
    ck_assert_int_eq(l.health.state, DISK_SLOW);
    ck_assert_uint_eq(run(&l, 60 * SEC, DISK_SLOW), 60 * SEC);
    l.store_full = false;
    ck_assert_uint_ge(run(&l, 3600 * SEC, DISK_SLOW), 29 * SEC);
    ck_assert_int_eq(l.health.state, DISK_OK);
    ck_assert_uint_eq(run(&l, 60 * SEC, DISK_OK), 60 * SEC);
}
END_TEST

/* Nothing is written to a node that leads nothing and whose ranges are idle: it comes back all the same. */
START_TEST(it_comes_back_without_writes)
{
    struct log l = log_new(50 * MS, 1000);
    run(&l, 60 * SEC, DISK_OK);
    change(&l, 0);
    ck_assert_uint_le(run(&l, 3600 * SEC, DISK_SLOW), 31 * SEC);
    ck_assert_int_eq(l.health.state, DISK_OK);
}
END_TEST

START_TEST(the_median_is_of_what_is_known)
{
    uint64_t none[] = {0, 0}, one[] = {0, 7, 0}, two[] = {9, 5}, three[] = {900, 0, 5, 70};
    ck_assert_uint_eq(disk_health_median(none, 2), 0);
    ck_assert_uint_eq(disk_health_median(none, 0), 0);
    ck_assert_uint_eq(disk_health_median(one, 3), 7);
    ck_assert_uint_eq(disk_health_median(two, 2), 5);
    ck_assert_uint_eq(disk_health_median(three, 4), 70);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("range/disk_health");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, a_slow_disk_is_called_so_after_3_s);
    tcase_add_test(tc, what_is_not_slow);
    tcase_add_test(tc, a_write_that_does_not_end_is_slow_then_hung);
    tcase_add_test(tc, a_pause_is_not_the_disk);
    tcase_add_test(tc, it_comes_back_later_each_time);
    tcase_add_test(tc, a_store_that_stays_full_is_slow);
    tcase_add_test(tc, it_comes_back_without_writes);
    tcase_add_test(tc, the_median_is_of_what_is_known);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
