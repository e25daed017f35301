/* What goes on in every second turn, and what it costs. */
#include "bench/turns.h"

#include <check.h>
#include <stdlib.h>

static struct turns t;

START_TEST(every_second_turn)
{
    turns_begin(&t, 1000, 100);
    ck_assert_uint_eq(turns_next(&t, 1000), 1100);
    ck_assert_uint_eq(turns_next(&t, 1099), 1100);
    ck_assert_uint_eq(turns_next(&t, 1100), 1300); /* it has begun in this one */
    ck_assert_uint_eq(turns_next(&t, 1199), 1300);
    ck_assert_uint_eq(turns_next(&t, 1200), 1300);
}
END_TEST

START_TEST(medians_of_whole_turns)
{
    static const unsigned done[] = {8, 5, 10, 4, 90, 6, 7}; /* the last one is cut short */
    size_t count;
    turns_begin(&t, 0, 1000);
    for (unsigned turn = 0; turn < 7; turn++) {
        for (unsigned i = 0; i < done[turn]; i++) turns_done(&t, turn * 1000 + i);
    }
    turns_beside(&t, 1000, 1900);
    turns_beside(&t, 3000, 3999);
    turns_beside(&t, 5100, 5200);
    ck_assert_double_eq(turns_median(&t, true, 6500, &count), 5e6);
    ck_assert_uint_eq(count, 3);
    ck_assert_double_eq(turns_median(&t, false, 6500, &count), 10e6);
    ck_assert_uint_eq(count, 3);
    turns_beside(&t, 3999, 4000); /* it lasts into the next turn */
    ck_assert_double_eq(turns_median(&t, true, 6500, &count), 5.5e6);
    ck_assert_uint_eq(count, 4);
    ck_assert_double_eq(turns_median(&t, true, 900, &count), 0);
    ck_assert_uint_eq(count, 0);
    turns_done(&t, (uint64_t)1000 * TURNS_MAX); /* beyond what is counted */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bench_turns");
    TCase *c = tcase_create("turns");
    tcase_add_test(c, every_second_turn);
    tcase_add_test(c, medians_of_whole_turns);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
