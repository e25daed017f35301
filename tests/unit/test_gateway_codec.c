/* base64, UTF-8, percent-decoding and query parameters. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "gateway/codec.h"
#include "gateway/json_out.h"
#include "gateway/uri.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, 1024);
}
static void teardown(void)
{
    arena_free(&arena);
}

static void expect_base64(const char *plain, const char *coded)
{
    struct buf b;
    struct slice back;
    buf_init(&b, 1024);
    base64_append(&b, slice_str(plain));
    ck_assert(slice_eq(b.size > 0 ? buf_slice(&b) : SLICE_EMPTY, slice_str(coded)));
    ck_assert(base64_decode(slice_str(coded), &arena, &back));
    ck_assert(slice_eq(back, slice_str(plain)));
    buf_free(&b);
}

START_TEST(base64_vectors_of_rfc_4648)
{
    expect_base64("", "");
    expect_base64("f", "Zg==");
    expect_base64("fo", "Zm8=");
    expect_base64("foo", "Zm9v");
    expect_base64("foob", "Zm9vYg==");
    expect_base64("fooba", "Zm9vYmE=");
    expect_base64("foobar", "Zm9vYmFy");
}
END_TEST

START_TEST(base64_refuses_what_is_not)
{
    static const char *const bad[] = {"Z", "Zg=", "Zh==", "Zm9=", "Zm 9", "====", "=", "Zg==Zg==", "Zm9v\n", "Zm9vYh"};
    struct slice out;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!base64_decode(slice_str(bad[i]), &arena, &out), "%s", bad[i]);
}
END_TEST

START_TEST(base64_round_trips_random_bytes)
{
    struct prng p;
    prng_init(&p, (uint64_t)_i + 1);
    uint8_t bytes[200];
    size_t size = prng_below(&p, sizeof(bytes));
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)prng_next(&p);
    struct buf b;
    struct slice back;
    for (int url = 0; url < 2; url++) {
        buf_init(&b, 1024);
        if (url)
            base64url_append(&b, slice_make(bytes, size));
        else
            base64_append(&b, slice_make(bytes, size));
        ck_assert(base64_decode(b.size > 0 ? buf_slice(&b) : SLICE_EMPTY, &arena, &back));
        ck_assert(slice_eq(back, slice_make(bytes, size)));
        buf_free(&b);
    }
}
END_TEST

START_TEST(utf8_well_formed)
{
    ck_assert(utf8_valid(SLICE_EMPTY));
    ck_assert(utf8_valid(slice_str("plain ascii text, longer than eight")));
    ck_assert(utf8_valid(slice_str("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8f\xa6 end of it")));
    ck_assert(utf8_valid(slice_make("\0\x7f", 2)));
    ck_assert(utf8_valid(slice_str("\xf4\x8f\xbf\xbf")));
}
END_TEST

START_TEST(utf8_ill_formed)
{
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
                                      "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                      "\xff",         "abcdefgh\xc3",     "\xe2\x82",         "\xc3\x28"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!utf8_valid(slice_str(bad[i])), "case %zu", i);
}
END_TEST

static void expect_decoded(const char *raw, bool in_query, const char *want, size_t want_size)
{
    struct slice out;
    struct errbuf err;
    ck_assert_int_eq(uri_decode(slice_str(raw), in_query, &arena, &out, &err), STATUS_OK);
    ck_assert_msg(slice_eq(out, slice_make(want, want_size)), "%s", raw);
}

START_TEST(percent_decoding)
{
    expect_decoded("plain", false, "plain", 5);
    expect_decoded("", false, "", 0);
    expect_decoded("a%2Fb%2fc", false, "a/b/c", 5);
    expect_decoded("%00%ff", false, "\0\xff", 2);
    expect_decoded("g++", false, "g++", 3);
    expect_decoded("a+b%2B", true, "a b+", 4);
    expect_decoded("100%25", true, "100%", 4);
}
END_TEST

START_TEST(percent_decoding_refuses_half_an_escape)
{
    static const char *const bad[] = {"%", "%4", "a%", "a%zz", "%4g", "%%41"};
    struct slice out;
    struct errbuf err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(uri_decode(slice_str(bad[i]), false, &arena, &out, &err), STATUS_INVALID);
    }
}
END_TEST

START_TEST(query_finds_and_refuses)
{
    struct errbuf err;
    struct query_param p[] = {{.name = "limit"}, {.name = "start"}};
    ck_assert_int_eq(query_parse(slice_str("limit=3&&start=a%20b&"), p, 2, &arena, &err), STATUS_OK);
    ck_assert(p[0].present && slice_eq(p[0].value, slice_str("3")));
    ck_assert(p[1].present && slice_eq(p[1].value, slice_str("a b")));
    struct query_param q[] = {{.name = "limit"}, {.name = "start"}};
    ck_assert_int_eq(query_parse(slice_str("limt=3"), q, 2, &arena, &err), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "limt"));
    ck_assert_ptr_nonnull(strstr(err.text, "limit, start"));
    ck_assert_int_eq(query_parse(slice_str("limit=3&limit=4"), q, 2, &arena, &err), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "twice"));
}
END_TEST

START_TEST(numbers)
{
    uint64_t v;
    ck_assert(text_to_u64(slice_str("18446744073709551615"), UINT64_MAX, &v));
    ck_assert_uint_eq(v, UINT64_MAX);
    ck_assert(!text_to_u64(slice_str("18446744073709551616"), UINT64_MAX, &v));
    ck_assert(!text_to_u64(slice_str(""), 10, &v));
    ck_assert(!text_to_u64(slice_str("11"), 10, &v));
    ck_assert(!text_to_u64(slice_str("-1"), 10, &v));
    ck_assert(!text_to_u64(slice_str("1a"), 10, &v));
}
END_TEST

START_TEST(json_text_is_escaped)
{
    struct buf b;
    buf_init(&b, 1024);
    json_open(&b, '{');
    json_bytes(&b, "a", slice_make("q\"\\\n\t\r\x01\0z", 9), false);
    json_bytes(&b, "b", slice_str("\xff"), false);
    json_bytes(&b, "c", slice_str("hi"), true);
    json_key(&b, "d");
    json_u64_text(&b, UINT64_MAX);
    json_close(&b, '}');
    ck_assert(slice_eq(buf_slice(&b),
                       slice_str("{\"a\":\"q\\\"\\\\\\n\\t\\r\\u0001\\u0000z\",\"b_b64\":\"/w==\",\"c_b64\":\"aGk=\","
                                 "\"d\":\"18446744073709551615\"}")));
    buf_free(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gateway codec");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, base64_vectors_of_rfc_4648);
    tcase_add_test(t, base64_refuses_what_is_not);
    tcase_add_loop_test(t, base64_round_trips_random_bytes, 0, 100);
    tcase_add_test(t, utf8_well_formed);
    tcase_add_test(t, utf8_ill_formed);
    tcase_add_test(t, percent_decoding);
    tcase_add_test(t, percent_decoding_refuses_half_an_escape);
    tcase_add_test(t, query_finds_and_refuses);
    tcase_add_test(t, numbers);
    tcase_add_test(t, json_text_is_escaped);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
