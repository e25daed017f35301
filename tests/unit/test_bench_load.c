/* What `quorate bench` computes with: the histogram's quantiles against a sorted array, the choice of keys. */
#include "base/mem.h"
#include "bench/bench.h"
#include "lib/suite.h"

#include <check.h>
#include <stdlib.h>

static int cmp(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

START_TEST(quantiles_are_at_most_one_step_too_high)
{
    enum { COUNT = 20000 };
    struct latency *l = mem_zalloc(sizeof *l), *half = mem_zalloc(sizeof *half);
    uint64_t *all = mem_alloc(COUNT * sizeof *all);
    struct prng p;
    prng_init(&p, 11);
    for (unsigned i = 0; i < COUNT; i++) {
        all[i] = prng_next(&p) >> (prng_below(&p, 64));
        latency_add(i % 2 == 0 ? l : half, all[i]);
    }
    latency_merge(l, half);
    qsort(all, COUNT, sizeof *all, cmp);
    for (unsigned per_mille = 1; per_mille <= 1000; per_mille++) {
        uint64_t exact = all[(COUNT * per_mille + 999) / 1000 - 1], got = latency_quantile_ns(l, per_mille);
        ck_assert_uint_ge(got, exact);
        ck_assert_uint_le(got - exact, exact / 32);
    }
    ck_assert_uint_eq(latency_quantile_ns(l, 1000), all[COUNT - 1]);
    mem_free(all);
    mem_free(l);
    mem_free(half);
}
END_TEST

START_TEST(every_duration_has_a_bucket)
{
    struct latency *l = mem_zalloc(sizeof *l);
    ck_assert_uint_eq(latency_quantile_ns(l, 500), 0);
    latency_add(l, 0);
    ck_assert_uint_eq(latency_quantile_ns(l, 1000), 0);
    latency_add(l, UINT64_MAX);
    ck_assert_uint_eq(latency_quantile_ns(l, 1000), UINT64_MAX);
    ck_assert_uint_eq(latency_quantile_ns(l, 500), 0);
    mem_free(l);
}
END_TEST

START_TEST(keys_are_spread_as_asked)
{
    enum { KEYS = 1000, DRAWS = 100000 };
    static const char *const spreads[] = {"uniform", "zipfian", "sequential", "latest"};
    uint64_t *counts = mem_alloc(KEYS * sizeof *counts);
    struct bench_keys keys;
    struct prng p;
    unsigned newest = 0;
    prng_init(&p, 5);
    for (unsigned s = 0; s < 4; s++) {
        memset(counts, 0, KEYS * sizeof *counts);
        ck_assert(bench_keys_init(&keys, spreads[s], KEYS));
        for (unsigned i = 0; i < DRAWS; i++) {
            uint64_t key = bench_keys_next(&keys, &p);
            ck_assert_uint_lt(key, KEYS);
            if (s == 2) ck_assert_uint_eq(key, i % KEYS);
            counts[key]++;
            newest += key == KEYS - 1;
        }
        qsort(counts, KEYS, sizeof *counts, cmp);
        if (s == 0) ck_assert_uint_lt(counts[KEYS - 1], 2 * DRAWS / KEYS);
        if (s == 1) ck_assert_uint_gt(counts[KEYS - 1], DRAWS / 10); /* the hottest of 1000 gets 1/zeta: 13 % */
    }
    ck_assert_uint_gt(newest, DRAWS / 10);
    bench_keys_insert(&keys); /* now that one is the hottest */
    newest = 0;
    for (unsigned i = 0; i < DRAWS; i++) newest += bench_keys_next(&keys, &p) == KEYS;
    ck_assert_uint_gt(newest, DRAWS / 10);
    ck_assert(!bench_keys_init(&keys, "normal", KEYS));
    ck_assert(bench_keys_init(&keys, "zipfian", 1));
    ck_assert_uint_eq(bench_keys_next(&keys, &p), 0);
    mem_free(counts);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bench_load");
    TCase *t = tcase_create("bench");
    tcase_add_test(t, quantiles_are_at_most_one_step_too_high);
    tcase_add_test(t, every_duration_has_a_bucket);
    tcase_add_test(t, keys_are_spread_as_asked);
    suite_add_tcase(s, t);
    return run_suite(s);
}
