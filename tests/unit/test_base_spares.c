#include "base/spares.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 40, MAX = 3, OBJECTS = 10 };

/* Whatever was left in it, an object is zero when it is taken, and nobody else's. */
START_TEST(what_is_taken_is_zero_and_ones_own)
{
    static const unsigned char zero[SIZE];
    struct spares s;
    unsigned char *objects[OBJECTS];
    spares_init(&s, SIZE, MAX);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < OBJECTS; i++) {
            objects[i] = spares_take(&s);
            ck_assert(memcmp(objects[i], zero, SIZE) == 0);
            memset(objects[i], i + 1, SIZE);
        }
        for (int i = 0; i < OBJECTS; i++) {
            for (int k = 0; k < SIZE; k++) ck_assert_int_eq(objects[i][k], i + 1);
            spares_give(&s, objects[i]);
            ck_assert(s.count <= MAX);
        }
        ck_assert_uint_eq(s.count, MAX);
    }
    spares_give(&s, NULL);
    spares_free(&s);
    ck_assert_uint_eq(s.count, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base_spares");
    TCase *c = tcase_create("spares");
    tcase_add_test(c, what_is_taken_is_zero_and_ones_own);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
