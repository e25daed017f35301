/* Resolved timestamps of a replica against the plain truth: of all pairs ever noted, the usable one with the highest timestamp that
 * the two places for waiting ones could not have missed. */
#include "range/resolved.h"

#include "base/prng.h"
#include "lib/suite.h"

static struct resolved pair(uint64_t ts, uint64_t index, uint64_t since)
{
    return (struct resolved){.ts = ts, .index = index, .since_ns = since};
}

START_TEST(usable_where_applied)
{
    struct resolved_state s = {0};
    struct resolved r = pair(10, 5, 1);
    resolved_forget_past(&s, 0);
    resolved_note(&s, &r, 4);
    ck_assert_uint_eq(s.now.ts, 0);
    resolved_applied(&s, 4);
    ck_assert_uint_eq(s.now.ts, 0);
    resolved_applied(&s, 5);
    ck_assert_uint_eq(s.now.ts, 10);
    ck_assert_uint_eq(s.now.since_ns, 1);
    resolved_free(&s);
}
END_TEST

START_TEST(one_that_always_lags_gets_on)
{
    struct resolved_state s = {0};
    uint64_t usable = 0;
    resolved_forget_past(&s, 0);
    for (uint64_t i = 1; i <= 1000; i++) { /* ten entries a message, applied 25 entries later */
        struct resolved r = pair(i, 10 * i, i);
        uint64_t applied = 10 * i > 25 ? 10 * i - 25 : 0;
        resolved_applied(&s, applied);
        resolved_note(&s, &r, applied);
        ck_assert_uint_ge(s.now.ts, usable);
        usable = s.now.ts;
        ck_assert_uint_ge(s.now.ts + 6, i);
    }
    resolved_free(&s);
}
END_TEST

START_TEST(late_and_double_messages_do_no_harm)
{
    struct resolved_state s = {0};
    struct resolved a = pair(10, 5, 7), b = pair(20, 9, 8), older = pair(15, 7, 0);
    resolved_forget_past(&s, 0);
    resolved_note(&s, &b, 9);
    resolved_note(&s, &a, 9);
    resolved_note(&s, &older, 9);
    resolved_note(&s, &b, 9);
    ck_assert_uint_eq(s.now.ts, 20);
    ck_assert_uint_eq(s.now.since_ns, 8);
    resolved_free(&s);
}
END_TEST

/* A later leader may have a shorter log: its pair has the higher timestamp and the lower index. */
START_TEST(indexes_may_fall_with_a_leader_change)
{
    struct resolved_state s = {0};
    struct resolved former = pair(10, 50, 1), later = pair(20, 40, 2);
    resolved_forget_past(&s, 0);
    resolved_note(&s, &former, 30);
    resolved_note(&s, &later, 40);
    ck_assert_uint_eq(s.now.ts, 20);
    ck_assert_ptr_null(s.ahead);
    resolved_applied(&s, 60);
    ck_assert_uint_eq(s.now.ts, 20);
    resolved_free(&s);
}
END_TEST

START_TEST(the_floor_is_the_first_that_covers_the_past)
{
    struct resolved_state s = {0};
    struct resolved before = pair(10, 5, 0), after = pair(20, 8, 0), later = pair(30, 9, 0);
    resolved_forget_past(&s, 0);
    ck_assert_uint_eq(s.floor_ts, 0);
    resolved_forget_past(&s, 7);
    ck_assert_uint_eq(s.floor_ts, RESOLVED_NO_FLOOR);
    resolved_note(&s, &before, 7);
    ck_assert_uint_eq(s.floor_ts, RESOLVED_NO_FLOOR); /* entries 6 and 7 may be newer */
    resolved_note(&s, &after, 7);
    ck_assert_uint_eq(s.floor_ts, 20);
    resolved_note(&s, &later, 9);
    ck_assert_uint_eq(s.floor_ts, 20);
    resolved_free(&s);
}
END_TEST

/* A random log whose truth is known: entry i has timestamp ts_of[i]. Every usable pair must be true, and time must go on. */
START_TEST(random_orders)
{
    struct prng g;
    prng_init(&g, 77 + (uint64_t)_i);
    enum { ENTRIES = 400 };
    uint64_t ts_of[ENTRIES + 1] = {0}, applied = 0;
    for (unsigned i = 1; i <= ENTRIES; i++) ts_of[i] = ts_of[i - 1] + prng_between(&g, 1, 3);
    struct resolved_state s = {0};
    resolved_forget_past(&s, 0);
    for (unsigned step = 0; step < 4000; step++) {
        if (prng_between(&g, 0, 3) == 0 && applied < ENTRIES) {
            applied += prng_between(&g, 0, 5);
            if (applied > ENTRIES) applied = ENTRIES;
            resolved_applied(&s, applied);
        } else {
            uint64_t at = applied + prng_between(&g, 0, 40), index = at > 20 ? at - 20 : 0;
            if (index > ENTRIES) index = ENTRIES;
            uint64_t next = index < ENTRIES ? ts_of[index + 1] : ts_of[index] + 5;
            struct resolved r = pair(prng_between(&g, ts_of[index], next - 1), index, step + 1);
            uint64_t before = s.now.ts;
            resolved_note(&s, &r, applied);
            ck_assert_uint_ge(s.now.ts, before);
            if (index <= applied) ck_assert_uint_ge(s.now.ts, r.ts);
        }
        resolved_check(&s, applied);
        if (s.now.ts == 0) continue;
        ck_assert_uint_le(ts_of[s.now.index], s.now.ts);
        if (s.now.index < ENTRIES) ck_assert_uint_gt(ts_of[s.now.index + 1], s.now.ts);
    }
    ck_assert_uint_gt(s.now.ts, 0);
    resolved_free(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("range_resolved");
    TCase *c = tcase_create("resolved");
    tcase_add_test(c, usable_where_applied);
    tcase_add_test(c, one_that_always_lags_gets_on);
    tcase_add_test(c, late_and_double_messages_do_no_harm);
    tcase_add_test(c, indexes_may_fall_with_a_leader_change);
    tcase_add_test(c, the_floor_is_the_first_that_covers_the_past);
    tcase_add_loop_test(c, random_orders, 0, 50);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
