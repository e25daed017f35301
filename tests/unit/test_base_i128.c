#include "base/i128.h"
#include "base/prng.h"

#include <check.h>
#include <stdlib.h>

#define MAX_TEXT "170141183460469231731687303715884105727"
#define MIN_TEXT "-170141183460469231731687303715884105728"

static bool parses_to(const char *text, i128 expected)
{
    i128 v = 77;
    return i128_parse(slice_str(text), &v) && v == expected;
}

static bool refused(const char *text)
{
    i128 v = 77;
    return !i128_parse(slice_str(text), &v) && v == 77;
}

START_TEST(the_ends_of_the_range)
{
    ck_assert(I128_MAX > 0);
    ck_assert(I128_MIN < 0);
    char text[I128_TEXT_MAX];
    i128_format(I128_MAX, text);
    ck_assert_str_eq(text, MAX_TEXT);
    i128_format(I128_MIN, text);
    ck_assert_str_eq(text, MIN_TEXT);
    ck_assert(parses_to(MAX_TEXT, I128_MAX));
    ck_assert(parses_to(MIN_TEXT, I128_MIN));
    ck_assert(refused("170141183460469231731687303715884105728"));
    ck_assert(refused("-170141183460469231731687303715884105729"));
    ck_assert(refused("1701411834604692317316873037158841057270"));
    ck_assert(refused("999999999999999999999999999999999999999999999"));
}
END_TEST

START_TEST(what_is_a_number)
{
    ck_assert(parses_to("0", 0));
    ck_assert(parses_to("-0", 0));
    ck_assert(parses_to("0000000000000000000000000000000000000000000000000012", 12));
    ck_assert(parses_to("-1", -1));
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "--1", "1-", "0x10", "1.0", "1e3", "a", "-a", "1_000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) ck_assert_msg(refused(bad[i]), "%s", bad[i]);
    i128 v;
    ck_assert(!i128_parse(slice_make("1\0002", 3), &v));
    ck_assert(!i128_parse(slice_make(NULL, 0), &v));
    ck_assert(i128_parse(slice_make("123", 2), &v)); /* no NUL needed, none read */
    ck_assert(v == 12);
}
END_TEST

START_TEST(addition_refuses_to_wrap)
{
    i128 sum = 5;
    ck_assert(!i128_add(I128_MAX, 1, &sum));
    ck_assert(!i128_add(1, I128_MAX, &sum));
    ck_assert(!i128_add(I128_MIN, -1, &sum));
    ck_assert(!i128_add(I128_MIN, I128_MIN, &sum));
    ck_assert(sum == 5);
    ck_assert(i128_add(I128_MAX, I128_MIN, &sum));
    ck_assert(sum == -1);
    ck_assert(i128_add(I128_MAX - 1, 1, &sum));
    ck_assert(sum == I128_MAX);
    ck_assert(i128_add(I128_MIN + 1, -1, &sum));
    ck_assert(sum == I128_MIN);
}
END_TEST

START_TEST(sixteen_bytes_little_endian)
{
    uint8_t bytes[16];
    i128_encode(1, bytes);
    ck_assert_uint_eq(bytes[0], 1);
    for (unsigned i = 1; i < 16; i++) ck_assert_uint_eq(bytes[i], 0);
    i128_encode(-2, bytes);
    ck_assert_uint_eq(bytes[0], 0xfe);
    for (unsigned i = 1; i < 16; i++) ck_assert_uint_eq(bytes[i], 0xff);
    i128_encode(I128_MIN, bytes);
    ck_assert_uint_eq(bytes[15], 0x80);
    ck_assert(i128_decode(bytes) == I128_MIN);
    i128_encode((i128)1 << 64, bytes);
    ck_assert_uint_eq(bytes[8], 1);
}
END_TEST

START_TEST(text_and_bytes_round_trip)
{
    struct prng random;
    prng_init(&random, 11);
    for (unsigned i = 0; i < 20000; i++) {
        i128 v = ((i128)(int64_t)prng_next(&random) * ((i128)1 << 64) + (i128)prng_next(&random)) >>
                 prng_below(&random, 127);
        char text[I128_TEXT_MAX];
        i128_format(v, text);
        ck_assert(parses_to(text, v));
        uint8_t bytes[16];
        i128_encode(v, bytes);
        ck_assert(i128_decode(bytes) == v);
        if (v >= INT64_MIN && v <= INT64_MAX) ck_assert(strtoll(text, NULL, 10) == (long long)v);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/i128");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, the_ends_of_the_range);
    tcase_add_test(tcase, what_is_a_number);
    tcase_add_test(tcase, addition_refuses_to_wrap);
    tcase_add_test(tcase, sixteen_bytes_little_endian);
    tcase_add_test(tcase, text_and_bytes_round_trip);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
