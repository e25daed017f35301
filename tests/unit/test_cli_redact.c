/* What others may see: src/cli/redact.c; and the archive it goes into: src/cli/zip.c. */
#include <check.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/cursor.h"
#include "cli/redact.h"
#include "cli/zip.h"
#include "lib/suite.h"

static struct buf out;

static const char *redacted(const char *text)
{
    buf_clear(&out);
    redact_append(&out, slice_str(text));
    buf_append_byte(&out, 0);
    return (const char *)out.data;
}

START_TEST(secrets_go)
{
    static const char *const CASES[][2] = {
        {"{\"key\":\"PLANTED\",\"id\":7}", "{\"key\":\"***\",\"id\":7}"},
        {"{\"start\": \"PLANTED \\\" PLANTED\", \"end\":\"\"}", "{\"start\": \"***\", \"end\":\"\"}"},
        {"{\"start_b64\":\"UExBTlRFRA==\"}", "{\"start_b64\":\"***\"}"},
        {"{\"splits\":[\"PLANTED\",\"a]PLANTED\"],\"x\":1}", "{\"splits\":[],\"x\":1}"},
        {"info x password=PLANTED user=ada", "info x password=*** user=ada"},
        {"why=\"Authorization: Bearer PLANTED\" x", "why=\"Authorization: Bearer ***\" x"},
        {"GET /v1/kv/people/PLANTED 200", "GET /v1/kv/people/*** 200"},
        {"GET /v1/scan/people?prefix=PLANTED 200", "GET /v1/scan/people*** 200"},
        {"a\n-----BEGIN PRIVATE KEY-----\nPLANTED\n-----END PRIVATE KEY-----\nb", "a\n***\nb"},
        {"token=PLANTED", "token=***"},
        {"password=\"PLANTED PLANTED\" y", "password=\"***\" y"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        ck_assert_str_eq(redacted(CASES[i][0]), CASES[i][1]);
    }
}
END_TEST

START_TEST(the_rest_stays)
{
    static const char *const CASES[] = {"{\"range_start\":\"x\",\"keyspace\":\"people\"}",
                                        "info node.serving node=3 address=127.0.0.1:7411 ranges=12",
                                        "monkey=3 keyspace=people", "", "{\"nodes\":[{\"id\":1}]}"};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) ck_assert_str_eq(redacted(CASES[i]), CASES[i]);
}
END_TEST

/* Cut off anywhere, nothing planted is let through that was not let through whole. */
START_TEST(cut_texts)
{
    static const char TEXT[] = "{\"key\":\"PLANTED\",\"value\":[\"PLANTED\"]} Bearer PLANTED token=PLANTED";
    for (size_t n = 0; n < sizeof TEXT; n++) {
        char text[sizeof TEXT];
        memcpy(text, TEXT, n);
        text[n] = '\0';
        ck_assert_ptr_null(strstr(redacted(text), "PLA"));
    }
}
END_TEST

START_TEST(an_archive_holds_what_was_put_in)
{
    struct zip z;
    char content[5000];
    for (size_t i = 0; i < sizeof content; i++) content[i] = (char)(i * 7 % 26 + 'a');
    zip_init(&z, 1u << 20);
    ck_assert(zip_add(&z, "a.txt", slice_make(content, sizeof content)));
    ck_assert(zip_add(&z, "logs/b", slice_str("short")));
    struct slice s = zip_end(&z);
    struct cursor c = cursor_make(s);
    ck_assert_uint_eq(cursor_u32(&c), 0x04034b50u);
    (void)cursor_bytes(&c, 10);
    uint32_t crc = cursor_u32(&c), packed = cursor_u32(&c), size = cursor_u32(&c);
    ck_assert_uint_eq(size, sizeof content);
    ck_assert_uint_eq(crc, crc32(0, (const Bytef *)content, sizeof content));
    (void)cursor_bytes(&c, 4 + 5);
    uint8_t back[sizeof content];
    z_stream stream;
    memset(&stream, 0, sizeof stream);
    ck_assert_int_eq(inflateInit2(&stream, -MAX_WBITS), Z_OK);
    struct slice bytes = cursor_bytes(&c, packed);
    stream.next_in = (Bytef *)(uintptr_t)bytes.data;
    stream.avail_in = packed;
    stream.next_out = back;
    stream.avail_out = sizeof back;
    ck_assert_int_eq(inflate(&stream, Z_FINISH), Z_STREAM_END);
    (void)inflateEnd(&stream);
    ck_assert_int_eq(memcmp(back, content, sizeof content), 0);
    zip_free(&z);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_redact");
    TCase *tc = tcase_create("redact");
    buf_init(&out, 65536);
    tcase_add_test(tc, secrets_go);
    tcase_add_test(tc, the_rest_stays);
    tcase_add_test(tc, cut_texts);
    tcase_add_test(tc, an_archive_holds_what_was_put_in);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
