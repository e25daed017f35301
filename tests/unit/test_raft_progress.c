#include "raft/progress.h"

#include "base/prng.h"

#include <check.h>
#include <stdlib.h>

static const struct raft_options limits = {.inflight_max_count = 3, .inflight_max_bytes = 100};

static struct raft_progress replicating(uint64_t match)
{
    struct raft_progress p;
    raft_progress_init(&p, 7, match + 1, 0);
    raft_progress_acked(&p, match);
    if (match == 0) raft_progress_acked(&p, 0);
    ck_assert_int_eq(p.state, RAFT_REPLICATE);
    return p;
}

START_TEST(test_probe_finds_and_replicates)
{
    struct raft_progress p;
    raft_progress_init(&p, 7, 11, 0);
    ck_assert_int_eq(p.state, RAFT_PROBE);
    raft_progress_sent(&p, 12, 10);
    ck_assert(p.paused);
    ck_assert_uint_eq(p.next, 11);               /* a probe does not move it */
    ck_assert(!raft_progress_refused(&p, 9, 3)); /* an answer to another probe */
    ck_assert(raft_progress_refused(&p, 10, 4));
    ck_assert(!p.paused);
    ck_assert_uint_eq(p.next, 5);
    raft_progress_sent(&p, 12, 10);
    raft_progress_acked(&p, 6); /* of 5..12 only 5 and 6 are durable there yet */
    ck_assert_int_eq(p.state, RAFT_REPLICATE);
    ck_assert_uint_eq(p.match, 6);
    ck_assert_uint_eq(p.next, 13); /* the rest is there: not again */
    raft_progress_check(&p, 12);
    raft_progress_free(&p);
}
END_TEST

START_TEST(test_refused_never_goes_below_match)
{
    struct raft_progress p = replicating(10);
    raft_progress_sent(&p, 15, 5);
    raft_progress_sent(&p, 20, 5);
    ck_assert(!raft_progress_refused(&p, 10, 3)); /* acknowledged since */
    ck_assert(!raft_progress_refused(&p, 21, 3)); /* was never sent */
    ck_assert(raft_progress_refused(&p, 15, 3));
    ck_assert_int_eq(p.state, RAFT_PROBE);
    ck_assert_uint_eq(p.next, 11);
    ck_assert_uint_eq(raft_progress_flights(&p), 0);
    raft_progress_check(&p, 20);
    raft_progress_free(&p);
}
END_TEST

/* A refusal without a useful hint still moves one step: a probe cannot stand still. */
START_TEST(test_probe_always_moves)
{
    struct raft_progress p;
    raft_progress_init(&p, 7, 11, 0);
    for (uint64_t next = 11; next > 1; next--) {
        ck_assert_uint_eq(p.next, next);
        ck_assert(raft_progress_refused(&p, next - 1, UINT64_MAX - 1));
    }
    ck_assert_uint_eq(p.next, 1);
    raft_progress_free(&p);
}
END_TEST

START_TEST(test_window_by_count_and_bytes)
{
    struct raft_progress p = replicating(0);
    for (uint64_t i = 1; i <= 3; i++) {
        ck_assert(raft_progress_window_open(&p, &limits));
        raft_progress_sent(&p, i, 10);
    }
    ck_assert(!raft_progress_window_open(&p, &limits));
    raft_progress_acked(&p, 2);
    ck_assert_uint_eq(raft_progress_flights(&p), 1);
    ck_assert_uint_eq(p.flights == NULL ? 0 : p.flights->bytes, 10);
    raft_progress_sent(&p, 4, 90);
    ck_assert(!raft_progress_window_open(&p, &limits)); /* two under way, but 100 bytes */
    raft_progress_acked(&p, 1);                         /* an old one changes nothing */
    ck_assert_uint_eq(p.match, 2);
    raft_progress_acked(&p, 4);
    ck_assert(raft_progress_window_open(&p, &limits));
    raft_progress_idle(&p);
    ck_assert_ptr_null(p.flights);
    raft_progress_free(&p);
}
END_TEST

START_TEST(test_snapshot)
{
    struct raft_progress p = replicating(5);
    raft_progress_sent(&p, 9, 10);
    raft_progress_snapshot(&p);
    ck_assert_uint_eq(raft_progress_flights(&p), 0);
    ck_assert(!raft_progress_refused(&p, 8, 3));
    raft_progress_check(&p, 9);
    raft_progress_probe(&p, 21);
    ck_assert_uint_eq(p.next, 21);
    raft_progress_check(&p, 30);
    raft_progress_free(&p);
}
END_TEST

/* The ring of appends under way against an array, with everything else that may happen in between. */
static void against_model(uint64_t seed)
{
    struct prng random;
    prng_init(&random, seed);
    static struct raft_flight flights[4000];
    size_t first = 0, count = 0;
    struct raft_progress p = replicating(0);
    uint64_t last = 0;
    for (unsigned turn = 0; turn < 1000; turn++) {
        uint64_t dice = prng_below(&random, 10);
        if (dice < 5 && p.state == RAFT_REPLICATE) {
            struct raft_flight f = {.last = p.next + prng_below(&random, 3), .bytes = prng_below(&random, 50)};
            flights[first + count++] = f;
            raft_progress_sent(&p, f.last, f.bytes);
            if (f.last > last) last = f.last;
        } else if (dice < 9) {
            uint64_t index = prng_between(&random, p.match > 3 ? p.match - 3 : 0, last);
            bool counted = p.state == RAFT_REPLICATE || index >= p.match;
            raft_progress_acked(&p, index);
            if (counted) ck_assert_int_eq(p.state, RAFT_REPLICATE);
            while (count > 0 && flights[first].last <= index) {
                first++;
                count--;
            }
        } else {
            raft_progress_probe(&p, prng_between(&random, 1, last + 1));
            count = 0;
        }
        raft_progress_check(&p, last);
        ck_assert_uint_eq(raft_progress_flights(&p), count);
        uint64_t bytes = 0;
        for (size_t i = 0; i < count; i++) bytes += flights[first + i].bytes;
        ck_assert_uint_eq(p.flights == NULL ? 0 : p.flights->bytes, bytes);
        if (first + count + 10 > 4000) break;
    }
    raft_progress_free(&p);
}

START_TEST(test_against_model)
{
    for (uint64_t seed = 1; seed <= 50; seed++) against_model(seed);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_progress");
    TCase *t = tcase_create("progress");
    tcase_add_test(t, test_probe_finds_and_replicates);
    tcase_add_test(t, test_refused_never_goes_below_match);
    tcase_add_test(t, test_probe_always_moves);
    tcase_add_test(t, test_window_by_count_and_bytes);
    tcase_add_test(t, test_snapshot);
    tcase_add_test(t, test_against_model);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
