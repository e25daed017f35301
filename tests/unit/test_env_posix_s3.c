/* Signatures against the examples of AWS's description ("Signature Calculations for the Authorization Header"), and what an object store's disk
 * refuses before it asks anybody. The requests themselves: tests/process/test_backup_store.sh. */
#include "unit/test_env_posix_common.h"

#include "env_posix/s3_disk.h"
#include "env_posix/s3_sign.h"

static const struct s3_keys KEYS = {.region = "us-east-1",
                                    .access_key = "AKIAIOSFODNN7EXAMPLE",
                                    .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                                    .session_token = ""};

static void expect_signature(const char *path, const char *query, const char *signature)
{
    struct s3_to_sign r = {.method = "GET",
                           .host = "examplebucket.s3.amazonaws.com",
                           .path = path,
                           .query = query,
                           .date = "20130524T000000Z"};
    struct buf b;
    char want[200];
    s3_hash(SLICE_EMPTY, r.payload_hash);
    ck_assert_str_eq(r.payload_hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    buf_init(&b, 65536);
    s3_sign(&KEYS, &r, &b);
    buf_append_byte(&b, 0);
    (void)snprintf(want, sizeof want,
                   "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
                   "SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=%s\r\n",
                   signature);
    ck_assert_msg(strstr((const char *)b.data, want) != NULL, "%s\n%s", (const char *)b.data, want);
    buf_free(&b);
}

START_TEST(signatures_are_those_of_the_description)
{
    expect_signature("/", "lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    expect_signature("/", "max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}
END_TEST

START_TEST(a_session_token_is_signed_and_sent)
{
    struct s3_keys keys = KEYS;
    struct s3_to_sign r = {.method = "PUT", .host = "h", .path = "/b/k", .query = "", .date = "20130524T000000Z"};
    struct buf b;
    keys.session_token = "token";
    s3_hash(slice_str("body"), r.payload_hash);
    buf_init(&b, 65536);
    s3_sign(&keys, &r, &b);
    buf_append_byte(&b, 0);
    ck_assert_ptr_nonnull(strstr((const char *)b.data, "x-amz-security-token: token\r\n"));
    ck_assert_ptr_nonnull(strstr((const char *)b.data, "x-amz-date;x-amz-security-token,"));
    buf_free(&b);
}
END_TEST

START_TEST(names_are_encoded)
{
    struct buf b;
    buf_init(&b, 1000);
    s3_encode(&b, "a/b c+\xc3\xbc~", true);
    s3_encode(&b, "/=", false);
    ck_assert(slice_eq(buf_slice(&b), slice_str("a/b%20c%2B%C3%BC~%2F%3D")));
    buf_free(&b);
}
END_TEST

static void expect_refused(const char *url, const char *endpoint, const char *text)
{
    const struct s3_disk_options o = {.url = url, .endpoint = endpoint, .access_key = "a", .secret_key = "s"};
    struct errbuf err = {.text = ""};
    struct disk *disk = NULL;
    ck_assert_int_eq(s3_disk_new(&o, NULL, &disk, &err), STATUS_INVALID);
    ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
}

START_TEST(places_that_make_no_sense_are_refused)
{
    expect_refused("s3://", "http://h", "expected s3://BUCKET");
    expect_refused("s3:///prefix", "http://h", "expected s3://BUCKET");
    expect_refused("s3://b", "h:9000", "expected http://HOST:PORT");
    expect_refused("s3://b", "http://", "expected http://HOST:PORT");
    expect_refused("s3://b", "http://h/path", "expected http://HOST:PORT");
    expect_refused("s3://b", "http://[::1", "expected http://HOST:PORT");
    ck_assert(s3_disk_is_url("s3://b"));
    ck_assert(!s3_disk_is_url("/backups/s3"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("env_posix_s3");
    TCase *tc = tcase_create("s3");
    tcase_add_test(tc, signatures_are_those_of_the_description);
    tcase_add_test(tc, a_session_token_is_signed_and_sent);
    tcase_add_test(tc, names_are_encoded);
    tcase_add_test(tc, places_that_make_no_sense_are_refused);
    suite_add_tcase(s, tc);
    return test_run_suite(s);
}
