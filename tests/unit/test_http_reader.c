/* The reader of messages: responses and requests, cut in every way, malformed, mutated; and what a reply's head is made of. */
#include "test_env_posix_common.h"

#include "base/prng.h"
#include "http/http_int.h"

/* ---- the response reader --------------------------------------------------------------------------------------------------- */

/* Every way to cut the bytes gives the same response. */
static void expect_response(const char *text, int code, const char *body, bool keep_alive, bool ends)
{
    size_t size = strlen(text);
    for (size_t step = 1; step <= size; step++) {
        struct http_reader r;
        http_reader_init(&r, false, 256, 64);
        http_reader_begin(&r, false);
        for (size_t at = 0; at < size; at += step) {
            size_t n = size - at < step ? size - at : step;
            ck_assert_uint_eq(http_reader_feed(&r, slice_make(text + at, n)), n);
        }
        if (ends) {
            ck_assert_int_eq((int)r.state, (int)READER_UNTIL_END);
            http_reader_end(&r);
        }
        ck_assert_int_eq((int)r.state, (int)READER_DONE);
        ck_assert_int_eq(r.code, code);
        ck_assert_int_eq(r.keep_alive, keep_alive);
        ck_assert(slice_eq(buf_slice(&r.body), slice_str(body)));
        http_reader_free(&r);
    }
}

static void expect_fault(const char *text)
{
    size_t size = strlen(text);
    for (size_t step = 1; step <= size; step++) {
        struct http_reader r;
        http_reader_init(&r, false, 256, 64);
        http_reader_begin(&r, false);
        for (size_t at = 0; at < size && r.state != READER_BAD; at += step)
            (void)http_reader_feed(&r, slice_make(text + at, size - at < step ? size - at : step));
        if (r.state != READER_BAD) http_reader_end(&r);
        ck_assert_msg(r.state == READER_BAD, "%s", text);
        ck_assert_ptr_nonnull(r.fault);
        http_reader_free(&r);
    }
}

START_TEST(responses_are_read)
{
    expect_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true, false);
    expect_response("HTTP/1.1 200\r\nCONTENT-LENGTH:0\r\n\r\n", 200, "", true, false);
    expect_response("HTTP/1.1 204 No\r\n\r\n", 204, "", true, false);
    expect_response("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nx", 201, "x", true,
                    false);
    expect_response("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", false, false);
    expect_response("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\nx", 200, "x", false, false);
    expect_response("HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end", false, true);
    expect_response(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
        200, "abc0123456789", true, false);
}
END_TEST

START_TEST(bad_responses_are_refused)
{
    expect_fault("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    expect_fault("HTTP/2.0 200 OK\r\n\r\n");
    expect_fault("HTTP/1.1 20x OK\r\n\r\n");
    expect_fault("HTTP/1.1 999 OK\r\n\r\n");
    expect_fault("HTTP/1.1 200 OK\r\nbad header\r\n\r\n");
    expect_fault("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello");
    expect_fault("HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello");
    expect_fault("HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n");
    expect_fault("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell");
    expect_fault("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n");
    expect_fault("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    expect_fault("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n");
    expect_fault("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n41\r\n0123456789012345678901234567890123456789012345678901234567890123456789");
    expect_fault("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n");
    char head[600];
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nA: %0*d\r\n\r\n", 300, 1);
    expect_fault(head);
}
END_TEST

START_TEST(mutations_are_survived)
{
    static const char text[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n";
    struct prng p;
    uint64_t seed = 21;
    printf("mutations_are_survived seed %llu\n", (unsigned long long)seed);
    prng_init(&p, seed);
    for (unsigned round = 0; round < 20000; round++) {
        char bytes[sizeof(text)];
        struct http_reader r;
        memcpy(bytes, text, sizeof(text));
        for (uint64_t n = prng_between(&p, 1, 4); n > 0; n--) bytes[prng_below(&p, sizeof(text))] = (char)prng_next(&p);
        http_reader_init(&r, false, 256, 64);
        http_reader_begin(&r, false);
        size_t taken = http_reader_feed(&r, slice_make(bytes, sizeof(bytes)));
        ck_assert_uint_le(taken, sizeof(bytes));
        if (taken < sizeof(bytes)) ck_assert(r.state == READER_DONE || r.state == READER_BAD);
        ck_assert_uint_le(r.body.size, 64);
        http_reader_free(&r);
    }
}
END_TEST

/* ---- requests -------------------------------------------------------------------------------------------------------------- */

static void read_request(struct http_reader *r, const char *text, size_t step)
{
    size_t size = strlen(text);
    http_reader_init(r, true, 256, 64);
    http_reader_begin(r, false);
    for (size_t at = 0; at < size && r->state != READER_BAD && r->state != READER_DONE; at += step)
        (void)http_reader_feed(r, slice_make(text + at, size - at < step ? size - at : step));
}

static void expect_request(const char *text, enum http_method method, const char *target, const char *x,
                           const char *body, bool keep_alive)
{
    for (size_t step = 1; step <= strlen(text); step++) {
        struct http_reader r;
        read_request(&r, text, step);
        ck_assert_msg(r.state == READER_DONE, "%s: %s", text, r.fault);
        ck_assert_int_eq((int)r.method, (int)method);
        ck_assert_str_eq((char *)r.head.data + r.target, target);
        ck_assert_int_eq(r.keep_alive, keep_alive);
        const char *got = http_reader_field(&r, "x");
        ck_assert((got == NULL) == (x == NULL));
        if (x != NULL) ck_assert_str_eq(got, x);
        ck_assert(slice_eq(buf_slice(&r.body), slice_str(body)));
        http_reader_free(&r);
    }
}

static void expect_refusal(const char *text, int code)
{
    for (size_t step = 1; step <= strlen(text); step++) {
        struct http_reader r;
        read_request(&r, text, step);
        ck_assert_msg(r.state == READER_BAD && r.code == code, "%s: %d", text, r.code);
        ck_assert_ptr_null(strpbrk(r.fault, "\"\\\r\n")); /* goes into JSON */
        http_reader_free(&r);
    }
}

START_TEST(requests_are_read)
{
    expect_request("GET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_GET, "/", NULL, "", true);
    expect_request("\r\n\r\nGET /a?b#c HTTP/1.1\r\nhost:a\r\nX:  y z \t\r\n\r\n", HTTP_GET, "/a?b#c", "y z", "", true);
    expect_request("DELETE http://h/p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", HTTP_DELETE, "http://h/p",
                   NULL, "", false);
    expect_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\nConnection: keep-alive\r\n\r\n",
                   HTTP_GET, "/", NULL, "", false); /* it has the last word */
    expect_request("BREW * HTTP/1.0\r\nx:\r\n\r\n", HTTP_OTHER, "*", "", "", false);
    expect_request("POST / HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\nabc", HTTP_POST, "/", NULL,
                   "abc", true);
    expect_request("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\ncontent-length: 2\r\nX: 1\r\nX: 2\r\n\r\nab",
                   HTTP_PUT, "/", "1", "ab", true);
    expect_request("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n01\r\nc\r\n0\r\n\r\n",
                   HTTP_PUT, "/", NULL, "abc", true);
}
END_TEST

START_TEST(bad_requests_are_refused)
{
    static const char *const bad[] = {
        "\x16\x03\x01", "GET / HTTP/1.1\n", "\r\n\r\n\r\n\r\n\r\n", "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        /* What two programs on the way may read as two different requests. */
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;\rx\r\nab\r\n0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) expect_refusal(bad[i], 400);
    expect_refusal("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501);
    expect_refusal("PUT / HTTP/1.1\r\nHost: a\r\nExpect: a miracle\r\n\r\n", 417);
    expect_refusal("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 65\r\n\r\n", 413);
    expect_refusal("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "30\r\n012345678901234567890123456789012345678901234567\r\n11\r\n0123456789abcdefg\r\n",
                   413);
    char head[600];
    (void)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\nA: %0*d\r\n\r\n", 300, 1);
    expect_refusal(head, 431);
}
END_TEST

START_TEST(number_of_fields_is_bounded)
{
    for (unsigned fields = HTTP_HEADERS_MAX; fields <= HTTP_HEADERS_MAX + 1; fields++) {
        struct http_reader r;
        struct buf text;
        buf_init(&text, 4096);
        buf_append_str(&text, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (unsigned i = 1; i < fields; i++) buf_append_str(&text, "a: b\r\n");
        buf_append_str(&text, "\r\n");
        http_reader_init(&r, true, 4096, 64);
        http_reader_begin(&r, false);
        (void)http_reader_feed(&r, buf_slice(&text));
        ck_assert_int_eq((int)r.state, (int)(fields <= HTTP_HEADERS_MAX ? READER_DONE : READER_BAD));
        if (r.state == READER_BAD) ck_assert_int_eq(r.code, 431);
        http_reader_free(&r);
        buf_free(&text);
    }
}
END_TEST

START_TEST(dates_of_replies)
{
    static const struct {
        uint64_t s;
        const char *text;
    } dates[] = {{0, "Thu, 01 Jan 1970 00:00:00 GMT"},
                 {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110, 5.6.7 */
                 {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
                 {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
                 {1798761599, "Thu, 31 Dec 2026 23:59:59 GMT"},
                 {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"}};
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        char text[HTTP_DATE_SIZE];
        http_date(dates[i].s * 1000 + 999, text);
        ck_assert_str_eq(text, dates[i].text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_reader");
    TCase *tc = tcase_create("reader");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, responses_are_read);
    tcase_add_test(tc, bad_responses_are_refused);
    tcase_add_test(tc, mutations_are_survived);
    tcase_add_test(tc, requests_are_read);
    tcase_add_test(tc, bad_requests_are_refused);
    tcase_add_test(tc, number_of_fields_is_bounded);
    tcase_add_test(tc, dates_of_replies);
    suite_add_tcase(suite, tc);
    return test_run_suite(suite);
}
