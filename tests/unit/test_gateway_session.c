/* What a session came to, asked again: an answer that was lost is told again, what is unknown is told as unknown, and nothing acts twice. */
#include <check.h>

#include "gateway/gateway.h"
#include "gateway/session.h"
#include "lib/gateway_fake_http.h"
#include "lib/suite.h"
#include "test_gateway_client.h"

static struct fake_http http;
static struct env_ops ops;
static struct client client;
static struct gateway *gateway;
static uint64_t randoms;
static const struct client_error fine = {.status = STATUS_OK, .message = {.data = (const uint8_t *)"", .size = 0}};

static void another_each_time(struct env *e, void *bytes, size_t size)
{
    (void)e;
    memset(bytes, 7, size);
    randoms++;
    memcpy(bytes, &randoms, size < sizeof(randoms) ? size : sizeof(randoms));
}

static void setup(void)
{
    struct errbuf err;
    struct gateway_options o = {.listen = "127.0.0.1:0"};
    fake_http_init(&http);
    ops = *http.env.ops;
    ops.random = another_each_time;
    http.env.ops = &ops;
    memset(&client, 0, sizeof(client));
    arena_init(&client.arena, 1024);
    ck_assert_int_eq(gateway_new(&http.env, &o, &client, &gateway, &err), STATUS_OK);
}

static void teardown(void)
{
    gateway_stop(gateway);
    gateway_free(gateway);
    arena_free(&client.arena);
    fake_http_free(&http);
}

static bool said(const char *text)
{
    return http.body.size > 0 && strstr((const char *)http.body.data, text) != NULL;
}

static void begin(char *id)
{
    struct buf reply;
    fake_http_send(&http, HTTP_POST, "/v1/txn/begin", NULL, NULL);
    buf_init(&reply, 64);
    pack_meta_timestamps_reply(&reply, &(struct meta_timestamps_reply){.first = 100});
    client.call_done(client.ctx, &fine, buf_slice(&reply));
    buf_free(&reply);
    ck_assert_int_eq(http.code, 201);
    const char *at = strstr((const char *)http.body.data, "\"session\":\"");
    ck_assert_ptr_nonnull(at);
    (void)snprintf(id, 33, "%.32s", at + 11);
}

/* The answer's code; 0: there is none yet. */
static int post(const char *id, const char *tail, const char *body)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/v1/txn/%s%s", id, tail);
    http.code = 0;
    fake_http_send(&http, HTTP_POST, path, NULL, body);
    return http.code;
}

#define PUT "{\"ops\":[{\"put\":{\"key\":\"a\",\"value\":\"1\"}}]}"

static void check_same_id(const char *id)
{
    char text[33];
    ck_assert_str_eq(client.what, "txn");
    for (unsigned i = 0; i < SESSION_ID_BYTES; i++) (void)snprintf(text + 2 * i, 3, "%02x", client.txn.id.bytes[i]);
    ck_assert_str_eq(text, id);
}

START_TEST(a_lost_answer_is_told_again)
{
    char id[33];
    begin(id);
    ck_assert_int_eq(post(id, "", PUT), 200);
    ck_assert_int_eq(post(id, "/commit", NULL), 0);
    check_same_id(id); /* so its answer can be looked up under the session's name, whatever becomes of this gateway */
    client_txn_done done = client.txn_done;
    void *ctx = client.ctx;
    ck_assert_int_eq(post(id, "/commit", NULL), 504); /* under way */
    ck_assert(said("\"unknown\""));
    done(ctx, &fine, &(struct txn_result){.status = STATUS_OK, .ts = 101});
    ck_assert_int_eq(http.code, 200);
    unsigned calls = client.calls;
    ck_assert_int_eq(post(id, "/commit", NULL), 200);
    ck_assert(said("\"version\":\"101\""));
    ck_assert_int_eq(post(id, "", PUT), 400);
    ck_assert_int_eq(post(id, "/abort", NULL), 400);
    ck_assert_uint_eq(client.calls, calls);
}
END_TEST

START_TEST(an_unknown_commit_is_asked_for_again)
{
    struct client_error lost = {.status = STATUS_TIMEOUT, .unknown_outcome = true, .message = slice_str("lost")};
    struct client_error busy = {.status = STATUS_BUSY, .message = slice_str("busy")};
    char id[33];
    begin(id);
    ck_assert_int_eq(post(id, "", PUT), 200);
    ck_assert_int_eq(post(id, "/commit", NULL), 0);
    client.txn_done(client.ctx, &lost, NULL);
    ck_assert_int_eq(http.code, 504);
    ck_assert_int_eq(post(id, "", PUT), 504);
    ck_assert_int_eq(post(id, "/abort", NULL), 504);
    ck_assert_int_eq(post(id, "/commit", NULL), 0);
    client.txn_done(client.ctx, &busy, NULL); /* definite of this try alone */
    ck_assert_int_eq(http.code, 504);
    ck_assert(said("\"unknown\""));
    ck_assert_int_eq(post(id, "/commit", NULL), 0);
    check_same_id(id);
    ck_assert_uint_eq(client.txn.op_count, 1);
    client.txn_done(client.ctx, &fine, &(struct txn_result){.status = STATUS_OK, .ts = 101, .replayed = true});
    ck_assert_int_eq(http.code, 200);
    ck_assert(said("\"version\":\"101\""));
    ck_assert_int_eq(post(id, "/commit", NULL), 200);
}
END_TEST

/* Whatever is wrong with asking again: the first time may have happened. */
START_TEST(a_refusal_to_ask_again_says_nothing_of_the_first_time)
{
    struct client_error lost = {.status = STATUS_TIMEOUT, .unknown_outcome = true, .message = slice_str("lost")};
    char id[33];
    begin(id);
    ck_assert_int_eq(post(id, "", PUT), 200);
    ck_assert_int_eq(post(id, "/commit?timeout_ms=soon", NULL), 400); /* not asked for yet: definite */
    ck_assert(said("\"definite\""));
    ck_assert_int_eq(post(id, "/commit", NULL), 0);
    client.txn_done(client.ctx, &lost, NULL);
    ck_assert_int_eq(post(id, "/commit?timeout_ms=soon", NULL), 504);
    ck_assert(said("\"unknown\"") && said("\"code\":\"invalid\""));
    gateway_stop(gateway);
    ck_assert_int_eq(post(id, "/commit", NULL), 504); /* another gateway will not know better */
    ck_assert(said("\"unknown\"") && said("stopping"));
}
END_TEST

START_TEST(definite_ends_are_told_again)
{
    char id[33];
    begin(id);
    ck_assert_int_eq(post(id, "", PUT), 200);
    ck_assert_int_eq(post(id, "/commit", NULL), 0);
    client.txn_done(client.ctx, &fine, &(struct txn_result){.status = STATUS_CONDITION_FAILED});
    ck_assert_int_eq(http.code, 503);
    ck_assert_int_eq(post(id, "/commit", NULL), 503);
    ck_assert(said("has changed") && said("\"definite\""));
    begin(id);
    ck_assert_int_eq(post(id, "/abort", NULL), 200);
    ck_assert_int_eq(post(id, "/commit", NULL), 503);
    ck_assert(said("aborted") && said("\"definite\""));
    begin(id);
    ck_assert_int_eq(post(id, "", "{\"ops\":[{\"put\":{\"key\":\"\",\"value\":\"1\"}}]}"), 400);
    begin(id);
    http.now_ns += 61000 * NS_PER_MS;
    ck_assert_int_eq(post(id, "/commit", NULL), 503);
    ck_assert(said("idle") && said("\"definite\""));
    http.now_ns += 301000 * NS_PER_MS;
    ck_assert_int_eq(post(id, "/commit", NULL), 504); /* forgotten */
}
END_TEST

START_TEST(of_what_is_not_here_nobody_knows)
{
    static const char gone[] = "00112233445566778899aabbccddeeff";
    ck_assert_int_eq(post(gone, "/commit", NULL), 504);
    ck_assert(said("\"unknown\""));
    ck_assert_int_eq(post(gone, "/abort", NULL), 504);
    ck_assert_int_eq(post(gone, "", PUT), 503);
    ck_assert(said("\"definite\""));
    char id[33], first[33];
    begin(first);
    ck_assert_int_eq(post(first, "/abort", NULL), 200);
    for (unsigned i = 0; i < 8192; i++) {
        begin(id);
        ck_assert_int_eq(post(id, "/abort", NULL), 200);
    }
    ck_assert_int_eq(post(first, "/commit", NULL), 504);
    ck_assert_int_eq(post(id, "/commit", NULL), 503);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway_session");
    TCase *t = tcase_create("session");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_lost_answer_is_told_again);
    tcase_add_test(t, an_unknown_commit_is_asked_for_again);
    tcase_add_test(t, a_refusal_to_ask_again_says_nothing_of_the_first_time);
    tcase_add_test(t, definite_ends_are_told_again);
    tcase_add_test(t, of_what_is_not_here_nobody_knows);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
