/* What surrounds every request: ids, traces, codings, origins, gzip. */
#include <check.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/buf.h"
#include "gateway/exchange.h"

START_TEST(traces_are_taken_only_when_well_formed)
{
    static const char *const bad[] = {
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        "00 0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    };
    struct exchange x = {.sampled = false};
    ck_assert(!traceparent_parse(NULL, &x));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!traceparent_parse(bad[i], &x), "%s", bad[i]);
    ck_assert_str_eq(x.trace, "");
    ck_assert(traceparent_parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &x));
    ck_assert_str_eq(x.trace, "0af7651916cd43dd8448eb211c80319c");
    ck_assert_str_eq(x.span, "b7ad6b7169203331");
    ck_assert(x.sampled);
    ck_assert(traceparent_parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0e-what-comes-later", &x));
    ck_assert(!x.sampled);
}
END_TEST

START_TEST(ids_cannot_break_a_line)
{
    char longest[REQUEST_ID_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[REQUEST_ID_MAX + 1] = '\0';
    ck_assert(!request_id_valid(longest));
    longest[REQUEST_ID_MAX] = '\0';
    ck_assert(request_id_valid(longest));
    ck_assert(request_id_valid("7b0c5e2a-0001"));
    ck_assert(!request_id_valid(NULL));
    ck_assert(!request_id_valid(""));
    ck_assert(!request_id_valid("a b"));
    ck_assert(!request_id_valid("a\nevent=forged"));
    ck_assert(!request_id_valid("a\"b"));
}
END_TEST

START_TEST(codings_and_origins)
{
    ck_assert(accepts_coding("gzip", "gzip"));
    ck_assert(accepts_coding("br, gzip;q=0.5", "gzip"));
    ck_assert(accepts_coding("deflate , *", "gzip"));
    ck_assert(!accepts_coding(NULL, "gzip"));
    ck_assert(!accepts_coding("", "gzip"));
    ck_assert(!accepts_coding("br", "gzip"));
    ck_assert(!accepts_coding("gzip;q=0", "gzip"));
    ck_assert(!accepts_coding("gzip; q=0.000, *", "gzip"));
    ck_assert(accepts_coding("gzip; q=0.001", "gzip"));
    ck_assert(!accepts_coding("xgzip", "gzip"));
    ck_assert_str_eq(coding_of("gzip, lz4"), "lz4");
    ck_assert_str_eq(coding_of("gzip, lz4;q=0"), "gzip");
    ck_assert_str_eq(coding_of("*"), "gzip"); /* who means all seldom means lz4 */
    ck_assert_ptr_null(coding_of("identity"));
    ck_assert_ptr_null(coding_of(NULL));
    ck_assert(!origin_allowed(NULL, "https://a.example"));
    ck_assert(!origin_allowed("https://a.example", NULL));
    ck_assert(origin_allowed("*", "https://a.example"));
    ck_assert(origin_allowed("https://b.example, https://a.example", "https://a.example"));
    ck_assert(!origin_allowed("https://a.example", "https://a.example.evil.example"));
    ck_assert(!origin_allowed("https://a.example.evil.example", "https://a.example"));
}
END_TEST

static size_t inflated(struct slice zipped, uint8_t *out, size_t room)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)zipped.data,
                  .avail_in = (uInt)zipped.size,
                  .next_out = out,
                  .avail_out = (uInt)room};
    ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK);
    ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    ck_assert_int_eq(inflateEnd(&z), Z_OK);
    return room - z.avail_out;
}

static size_t unframed(struct slice in, uint8_t *out, size_t room)
{
    LZ4F_dctx *d;
    size_t size = room, taken = in.size;
    ck_assert(!LZ4F_isError(LZ4F_createDecompressionContext(&d, LZ4F_VERSION)));
    ck_assert_uint_eq(LZ4F_decompress(d, out, &size, in.data, &taken, NULL), 0);
    ck_assert_uint_eq(taken, in.size);
    (void)LZ4F_freeDecompressionContext(d);
    return size;
}

START_TEST(there_and_back)
{
    struct buf text, zipped;
    uint64_t state = 88172645463325252u;
    unsigned small = 0;
    for (int round = 0; round < 50; round++) {
        buf_init(&text, 1u << 20);
        buf_init(&zipped, 1u << 20);
        size_t size = 1024u + (size_t)round * 1500u;
        for (size_t i = 0; i < size; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            buf_append_byte(&text, (uint8_t)('a' + state % (unsigned)(1 + round % 20)));
        }
        ck_assert(gzip_append(&zipped, buf_slice(&text)));
        ck_assert_uint_lt(zipped.size, text.size);
        uint8_t *back = malloc(text.size);
        ck_assert_uint_eq(inflated(buf_slice(&zipped), back, text.size), text.size);
        ck_assert_mem_eq(back, text.data, text.size);
        buf_clear(&zipped);
        if (lz4_append(&zipped, buf_slice(&text))) { /* it does not pack symbols: those of many kinds stay */
            memset(back, 0, text.size);
            ck_assert_uint_lt(zipped.size, text.size);
            ck_assert_uint_eq(unframed(buf_slice(&zipped), back, text.size), text.size);
            ck_assert_mem_eq(back, text.data, text.size);
            small++;
        }
        free(back);
        buf_free(&text);
        buf_free(&zipped);
    }
    ck_assert_uint_ge(small, 10);
}
END_TEST

START_TEST(what_does_not_shrink_stays)
{
    struct buf noise, zipped;
    uint64_t state = 88172645463325252u;
    buf_init(&noise, 4096);
    buf_init(&zipped, 8192);
    for (int i = 0; i < 4096; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        buf_append_byte(&noise, (uint8_t)(state >> 24));
    }
    ck_assert(!gzip_append(&zipped, buf_slice(&noise)));
    ck_assert(!lz4_append(&zipped, buf_slice(&noise)));
    ck_assert_uint_eq(zipped.size, 0);
    buf_free(&noise);
    buf_free(&zipped);
}
END_TEST

START_TEST(hosts_and_pages)
{
    static const char *const ours[] = {"127.0.0.1:7480", "10.1.2.3",        "[::1]:7480", "localhost",
                                       "LocalHost:1",    "db.example:7480", NULL};
    static const char *const others[] = {
        "evil.example", "evil.example:7480", "localhost.evil.example", "127.0.0.1.evil.example", "", "db.example.evil"};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        ck_assert(host_admitted("a.example, db.example", ours[i]));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        ck_assert_msg(!host_admitted("a.example,db.example", others[i]), "%s", others[i]);
        ck_assert(!host_admitted(NULL, others[i]));
        ck_assert(host_admitted("*", others[i]));
    }
    ck_assert(address_is_local("127.0.0.1:7480") && address_is_local("[::1]:1") && address_is_local("unix:/run/q"));
    ck_assert(!address_is_local("0.0.0.0:7480") && !address_is_local("[::]:7480") && !address_is_local("db.example:1"));
    ck_assert(origin_admitted(NULL, NULL, "127.0.0.1:7480")); /* no page asks */
    ck_assert(origin_admitted(NULL, "http://127.0.0.1:7480", "127.0.0.1:7480"));
    ck_assert(!origin_admitted(NULL, "http://127.0.0.1:80", "127.0.0.1:7480"));
    ck_assert(!origin_admitted(NULL, "http://evil.example", "127.0.0.1:7480"));
    ck_assert(!origin_admitted(NULL, "null", "127.0.0.1:7480"));
    ck_assert(origin_admitted("https://a.example", "https://a.example", "127.0.0.1:7480"));
    ck_assert(!origin_admitted("https://a.example", "https://b.example", "127.0.0.1:7480"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gateway exchange");
    TCase *t = tcase_create("exchange");
    tcase_add_test(t, traces_are_taken_only_when_well_formed);
    tcase_add_test(t, ids_cannot_break_a_line);
    tcase_add_test(t, codings_and_origins);
    tcase_add_test(t, hosts_and_pages);
    tcase_add_test(t, there_and_back);
    tcase_add_test(t, what_does_not_shrink_stays);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
