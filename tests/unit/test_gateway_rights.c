/* Rights that end while something lasts: a session, a scan that streams; and what others may learn of a transaction. Over a client that answers
 * as it is told, with users in its rows. */
#include <check.h>

#include "auth/auth.h"
#include "gateway/gateway.h"
#include "lib/gateway_fake_http.h"
#include "lib/suite.h"
#include "test_gateway_client.h"

static struct fake_http http;
static struct client client;
static struct auth *auth;
static struct actor *actor; /* the book's */
static struct gateway *gateway;
static uint64_t generation;
static const struct client_error fine = {.status = STATUS_OK, .message = {.data = (const uint8_t *)"", .size = 0}};
static const char *const BOB[] = {"Authorization: Bearer 11", NULL}, *const EVE[] = {"Authorization: Bearer 22", NULL};

static struct slice user_row(struct buf *b, uint64_t epoch)
{
    struct slice roles[] = {slice_str("teller")};
    struct auth_user u = {.epoch = epoch, .roles = roles, .role_count = 1};
    auth_user_put(b, &u);
    return buf_slice(b);
}

/* The book is read: bob and eve are tellers, who have these verbs on [start, end) of keyspace default. */
static void book(unsigned verbs, const char *start, const char *end)
{
    struct arena *a = &client.arena;
    struct buf user, role;
    struct auth_right right = {
        .verbs = verbs, .keyspace = slice_str("default"), .start = slice_str(start), .end = slice_str(end)};
    buf_init(&user, 1024);
    buf_init(&role, 1024);
    auth_role_put(&role, &(struct auth_role){.rights = &right, .right_count = 1});
    (void)user_row(&user, 1);
    struct scan_row rows[] = {
        {.key = auth_key_role(a, slice_str("teller")), .value = buf_slice(&role), .version = 5},
        {.key = auth_key_switch(a), .value = slice_str("on"), .version = 5},
        {.key = auth_key_user(a, slice_str("bob")), .value = buf_slice(&user), .version = 5},
        {.key = auth_key_user(a, slice_str("eve")), .value = buf_slice(&user), .version = 5},
    };
    http.now_ns += AUTH_FRESH_MS * NS_PER_MS;
    (void)actor->pass(actor, http.now_ns);
    client.get_done(client.ctx, &fine,
                    &(struct get_reply){.found = true, .version = ++generation, .value = SLICE_EMPTY});
    client.scan_done(client.ctx, &fine, &(struct scan_reply){.rows = rows, .row_count = 4});
    buf_free(&user);
    buf_free(&role);
}

static void setup(void)
{
    struct errbuf err;
    fake_http_init(&http);
    memset(&client, 0, sizeof(client));
    arena_init(&client.arena, 1024);
    auth = auth_new(&http.env, &client);
    actor = http.actor;
    struct gateway_options o = {.listen = "127.0.0.1:0", .auth = auth};
    ck_assert_int_eq(gateway_new(&http.env, &o, &client, &gateway, &err), STATUS_OK);
    book(AUTH_READ | AUTH_WRITE, "a", "c");
}

static void teardown(void)
{
    gateway_stop(gateway);
    gateway_free(gateway);
    auth_free(auth);
    arena_free(&client.arena);
    fake_http_free(&http);
}

/* A request, and the answer to the question whose token it is. */
static void ask(enum http_method m, const char *target, const char *const *who, const char *body)
{
    const char *headers[] = {who[0], "Accept: application/x-ndjson", NULL};
    struct buf row;
    client.what[0] = '\0';
    fake_http_send(&http, m, target, headers, body);
    if (strcmp(client.what, "get") != 0 || strcmp(client.keyspace, AUTH_KEYSPACE) != 0) return; /* it is remembered */
    buf_init(&row, 256);
    auth_token_put(&row, &(struct auth_token){.user = slice_str(who == BOB ? "bob" : "eve"), .epoch = 1});
    client.get_done(client.ctx, &fine, &(struct get_reply){.found = true, .value = buf_slice(&row)});
    buf_free(&row);
}

static bool said(const char *text)
{
    return http.body.size > 0 && strstr((const char *)http.body.data, text) != NULL;
}

/* Its path, borrowed until the next. */
static const char *session(const char *tail)
{
    static char path[128];
    static char id[33];
    struct buf reply;
    if (tail == NULL) {
        ask(HTTP_POST, "/v1/txn/begin", BOB, NULL);
        buf_init(&reply, 64);
        pack_meta_timestamps_reply(&reply, &(struct meta_timestamps_reply){.first = 100});
        client.call_done(client.ctx, &fine, buf_slice(&reply));
        buf_free(&reply);
        const char *at = strstr((const char *)http.body.data, "\"session\":\"");
        ck_assert_ptr_nonnull(at);
        (void)snprintf(id, sizeof(id), "%.32s", at + 11);
        tail = "";
    }
    (void)snprintf(path, sizeof(path), "/v1/txn/%s%s", id, tail);
    return path;
}

START_TEST(a_session_is_its_users_alone)
{
    ask(HTTP_POST, session(NULL), EVE, "{\"ops\":[{\"put\":{\"key\":\"a\",\"value\":\"1\"}}]}");
    ck_assert_int_eq(http.code, 503);
    ck_assert(said("no such session"));
    ask(HTTP_POST, session(""), BOB, "{\"ops\":[{\"put\":{\"key\":\"a\",\"value\":\"1\"}}]}");
    ck_assert_int_eq(http.code, 200);
    ask(HTTP_POST, session("/commit"), EVE, NULL);
    ck_assert_int_eq(http.code, 504);
    ck_assert(said("no such session"));
    ask(HTTP_POST, session("/abort"), EVE, NULL);
    ck_assert_int_eq(http.code, 504);
    ask(HTTP_POST, session("/commit"), BOB, NULL);
    ck_assert_str_eq(client.what, "txn");
    client.txn_done(client.ctx, &fine, &(struct txn_result){.status = STATUS_OK, .ts = 101});
    ck_assert_int_eq(http.code, 200);
    ask(HTTP_POST, session("/commit"), EVE, NULL); /* nor is its end */
    ck_assert_int_eq(http.code, 504);
}
END_TEST

START_TEST(a_session_does_not_outlive_its_rights)
{
    ask(HTTP_POST, session(NULL), BOB,
        "{\"ops\":[{\"put\":{\"key\":\"a\",\"value\":\"1\"}},{\"put\":{\"key\":\"b\",\"value\":\"1\"}}]}");
    ck_assert_int_eq(http.code, 200);
    book(AUTH_WRITE, "a", "b");
    unsigned calls = client.calls;
    ask(HTTP_POST, session("/commit"), BOB, NULL);
    ck_assert_int_eq(http.code, 403);
    ck_assert_uint_le(client.calls, calls + 1); /* whose token it is: no transaction */
    ck_assert_str_ne(client.what, "txn");
    book(AUTH_WRITE, "a", "c");
    ask(HTTP_POST, session("/commit"), BOB, NULL);
    ck_assert_str_eq(client.what, "txn");
    struct client_error lost = {.status = STATUS_TIMEOUT, .unknown_outcome = true, .message = slice_str("lost")};
    client.txn_done(client.ctx, &lost, NULL);
    book(AUTH_WRITE, "a", "b");
    calls = client.calls;
    ask(HTTP_POST, session("/commit"), BOB, NULL); /* not asked for any more; what was asked may have happened */
    ck_assert_int_eq(http.code, 504);
    ck_assert(said("\"code\":\"forbidden\"") && said("\"unknown\""));
    ck_assert_uint_le(client.calls, calls + 1);
}
END_TEST

START_TEST(a_streamed_scan_ends_with_the_right_to_it)
{
    struct scan_row row = {.key = slice_str("a1"), .value = slice_str("first"), .version = 9};
    struct scan_reply page = {.rows = &row, .row_count = 1, .more = true, .mark = {.mode = READ_SNAPSHOT, .ts = 50}};
    ask(HTTP_GET, "/v1/kv/default?prefix=a&all=true", BOB, NULL);
    ck_assert_str_eq(client.what, "scan");
    client.scan_done(client.ctx, &fine, &page);
    ck_assert(said("first"));
    client_scan_done done = client.scan_done;
    void *ctx = client.ctx;
    book(AUTH_WRITE, "a", "c");
    row.value = slice_str("second");
    done(ctx, &fine, &page);
    ck_assert(!said("second"));
    ck_assert(said("\"code\":\"forbidden\""));
    ck_assert_uint_ge(http.replies, 1); /* it has ended */
}
END_TEST

static void answer_kept(void)
{
    struct buf kept;
    struct txn_op_result ops[] = {{.kind = TXN_GET, .found = true, .version = 3, .value = slice_str("secret")}};
    struct txn_result r = {.status = STATUS_OK, .succeeded = true, .ts = 7, .ops = ops, .op_count = 1};
    buf_init(&kept, 1024);
    txn_result_encode(&r, &kept);
    ck_assert_str_eq(client.what, "answer");
    client.get_done(client.ctx, &fine, &(struct get_reply){.found = true, .value = buf_slice(&kept)});
    buf_free(&kept);
}

/* The answer says what was read, but not where: only who may read everywhere is told. */
START_TEST(an_answer_that_is_kept_tells_no_values_of_others)
{
    ask(HTTP_GET, "/v1/txn/t-1?key=a", BOB, NULL);
    answer_kept();
    ck_assert_int_eq(http.code, 200);
    ck_assert(said("\"succeeded\":true") && said("\"results\":null") && !said("secret"));
    book(AUTH_READ, "", "");
    ask(HTTP_GET, "/v1/txn/t-1?key=a", BOB, NULL);
    answer_kept();
    ck_assert(said("secret"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway_rights");
    TCase *t = tcase_create("rights");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_session_is_its_users_alone);
    tcase_add_test(t, a_session_does_not_outlive_its_rights);
    tcase_add_test(t, a_streamed_scan_ends_with_the_right_to_it);
    tcase_add_test(t, an_answer_that_is_kept_tells_no_values_of_others);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
