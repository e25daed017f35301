/* Rates of ranges between two maps, and quantiles out of a gateway's histograms. */
#include <check.h>
#include <stdlib.h>

#include "cli/rates.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, 4096);
}
static void teardown(void)
{
    arena_free(&arena);
}

static struct meta_map_reply map_of(size_t n, const struct range_count *counts)
{
    struct meta_map_reply m = {.range_count = n};
    m.ranges = arena_zalloc(&arena, n * sizeof *m.ranges);
    m.leaders = arena_zalloc(&arena, n * sizeof *m.leaders);
    m.reports = arena_zalloc(&arena, n * sizeof *m.reports);
    for (size_t i = 0; i < n; i++) {
        m.ranges[i].id = counts[i].id;
        m.leaders[i] = counts[i].leader;
        m.reports[i].writes = counts[i].writes;
        m.reports[i].reads = counts[i].reads;
    }
    return m;
}

START_TEST(ranges_are_compared_by_id_and_leader)
{
    const struct range_count then[] = {{1, 1, 100, 10}, {2, 2, 50, 50}, {3, 1, 500, 0}, {4, 3, 7, 7}};
    /* 5 is new, 3 is gone, 2 has another leader, 4 was led by a node that has started anew. */
    const struct range_count now[] = {{4, 3, 3, 9}, {5, 1, 1000, 1000}, {1, 1, 300, 2010}, {2, 1, 90, 90}};
    struct meta_map_reply before = map_of(4, then), map = map_of(4, now);
    const struct range_rate *r = range_rates(range_counts(&before, &arena), 4, &map, 2000, &arena);
    ck_assert_uint_eq(r[0].at, 2);
    ck_assert_uint_eq(r[0].writes, 100);
    ck_assert_uint_eq(r[0].reads, 1000);
    ck_assert_uint_eq(r[1].at, 0);
    ck_assert_uint_eq(r[1].writes, 0);
    ck_assert_uint_eq(r[1].reads, 1);
    for (size_t i = 2; i < 4; i++) ck_assert_uint_eq(r[i].writes + r[i].reads, 0);
}
END_TEST

START_TEST(nothing_before_means_no_rates)
{
    const struct range_count now[] = {{1, 1, 5, 5}};
    struct meta_map_reply map = map_of(1, now), none = map_of(0, now);
    ck_assert_uint_eq(range_rates(NULL, 0, &map, 1000, &arena)[0].writes, 0);
    ck_assert_ptr_nonnull(range_rates(range_counts(&map, &arena), 1, &none, 1000, &arena));
}
END_TEST

#define LINE(endpoint, le, n) "quorate_gateway_request_seconds_bucket{endpoint=\"" endpoint "\",le=\"" le "\"} " #n "\n"

START_TEST(quantiles_come_from_what_was_added)
{
    static struct request_table then, now;
    request_table_read(&then, slice_str("# TYPE x histogram\n" LINE("kv", "0.001", 100) LINE("kv", "0.01", 100)
                                            LINE("kv", "+Inf", 100) "quorate_gateway_request_seconds_count 100\n"));
    request_table_read(&now, slice_str(LINE("kv", "0.001", 150) LINE("kv", "0.01", 199) LINE("kv", "+Inf", 200)
                                           LINE("txn", "0.001", 0) LINE("txn", "0.01", 10) LINE("txn", "+Inf", 10)));
    ck_assert_uint_eq(then.count, 1);
    ck_assert_uint_eq(now.count, 2);
    struct request_rate kv = request_rate_of(&now.endpoints[0], &then, 500);
    ck_assert_uint_eq(kv.per_second, 200);
    ck_assert_double_eq_tol(kv.p50_ms, 1, 1e-9);
    ck_assert_double_eq_tol(kv.p99_ms, 10, 1e-9);
    struct request_rate txn = request_rate_of(&now.endpoints[1], &then, 1000);
    ck_assert_uint_eq(txn.per_second, 10);
    ck_assert_double_eq_tol(txn.p50_ms, 5.5, 1e-9);
    /* The other way round the gateway has started anew: all that it counts is new. */
    ck_assert_uint_eq(request_rate_of(&then.endpoints[0], &now, 1000).per_second, 100);
}
END_TEST

START_TEST(what_is_no_metric_is_passed_over)
{
    static struct request_table t;
    request_table_read(&t, slice_str("quorate_gateway_request_seconds_bucket{endpoint=\"kv\nquorate_gateway_request_"
                                     "seconds_bucket{endpoint=\"kv\",le=\"0.1\"\n\n{}\n"));
    ck_assert_uint_eq(t.count, 0);
    struct buf many;
    buf_init(&many, 1u << 20);
    for (unsigned i = 0; i < 100; i++)
        for (unsigned j = 0; j < 20; j++)
            buf_printf(&many, "quorate_gateway_request_seconds_bucket{endpoint=\"e%u\",le=\"%u\"} 1\n", i, j + 1);
    request_table_read(&t, buf_slice(&many));
    ck_assert_uint_eq(t.count, REQUEST_ENDPOINTS_MAX);
    ck_assert_uint_eq(t.endpoints[0].buckets, REQUEST_BUCKETS_MAX);
    buf_free(&many);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli_rates");
    TCase *tc = tcase_create("rates");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, ranges_are_compared_by_id_and_leader);
    tcase_add_test(tc, nothing_before_means_no_rates);
    tcase_add_test(tc, quantiles_come_from_what_was_added);
    tcase_add_test(tc, what_is_no_metric_is_passed_over);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
