/* What status says may still fail. */
#include <check.h>
#include <stdlib.h>

#include "gateway/health.h"

static struct health of(const struct meta_status_reply *status)
{
    struct meta_map_reply map = {.range_count = 0};
    struct health h;
    health_assess(status, &map, &h);
    return h;
}

static struct meta_status_reply members(unsigned voters, unsigned silent, unsigned learners)
{
    struct meta_status_reply s = {.leader_id = 1, .member_count = voters + learners};
    for (size_t i = 0; i < s.member_count; i++) {
        s.members[i].id = i + 1;
        s.members[i].address = slice_str("127.0.0.1:1");
        s.members[i].votes = i < voters;
        s.members[i].healthy = i >= silent && i < voters;
    }
    return s;
}

START_TEST(a_majority_of_the_voters_must_stay)
{
    static const struct {
        unsigned voters, silent, tolerates;
    } ROWS[] = {{1, 0, 0}, {3, 0, 1}, {3, 1, 0}, {3, 2, 0}, {5, 0, 2}, {5, 1, 1}, {5, 2, 0}, {4, 0, 1}};
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct meta_status_reply s = members(ROWS[i].voters, ROWS[i].silent, 0);
        ck_assert_uint_eq(of(&s).meta_tolerates, ROWS[i].tolerates);
    }
}
END_TEST

/* One that is being added has no vote: that it does not answer yet makes the others no weaker. */
START_TEST(who_is_being_added_does_not_count)
{
    struct meta_status_reply s = members(3, 0, 1);
    struct health h = of(&s);
    ck_assert_uint_eq(h.meta_tolerates, 1);
    ck_assert_uint_eq(h.members, 4);
    ck_assert_uint_eq(h.members_healthy, 3);
    s.members[3].healthy = true;
    ck_assert_uint_eq(of(&s).meta_tolerates, 1);
    s.members[2].healthy = false;
    ck_assert_uint_eq(of(&s).meta_tolerates, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway health");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, a_majority_of_the_voters_must_stay);
    tcase_add_test(tc, who_is_being_added_does_not_count);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
