/* Whole requests through the etcd surface, where the order of events matters: who leaves while the keyspace is made, whose time is over, what
 * a watch tells before it has all it needs. The rest is compared with etcd itself (tests/process/test_etcd.sh). */
#include <check.h>

#include "etcd/etcd.h"
#include "gateway/gateway.h"
#include "lib/gateway_fake_http.h"
#include "lib/suite.h"
#include "test_gateway_client.h"

static struct fake_http http;
static struct client client;
static struct etcd *etcd;
static struct gateway *gateway;
static struct actor *actor; /* the surface's */
static const struct client_error fine = {.status = STATUS_OK, .message = {.data = (const uint8_t *)"", .size = 0}};
static const struct client_error late = {.status = STATUS_TIMEOUT, .message = {.data = (const uint8_t *)"", .size = 0}};
static const struct client_error gone = {.status = STATUS_NOT_FOUND,
                                         .message = {.data = (const uint8_t *)"", .size = 0}};

static void setup(void)
{
    struct errbuf err;
    fake_http_init(&http);
    memset(&client, 0, sizeof(client));
    arena_init(&client.arena, 1024);
    etcd = etcd_new(&http.env, &client, NULL, "127.0.0.1:7480");
    actor = http.actor;
    struct gateway_options o = {.listen = "127.0.0.1:0", .guest = etcd_guest(etcd)};
    ck_assert_int_eq(gateway_new(&http.env, &o, &client, &gateway, &err), STATUS_OK);
}

static void teardown(void)
{
    gateway_stop(gateway);
    etcd_free(etcd);
    gateway_free(gateway);
    arena_free(&client.arena);
    fake_http_free(&http);
}

static struct http_request *post(const char *path, const char *const *headers, const char *body)
{
    return fake_http_send(&http, HTTP_POST, path, headers, body);
}

static bool said(const char *text)
{
    return http.body.size > 0 && strstr((const char *)http.body.data, text) != NULL;
}

/* The metadata service's answers to the first request. */
static void make_keyspace(void)
{
    struct buf payload;
    buf_init(&payload, 4096);
    ck_assert_int_eq(client.method, METHOD_META_KEYSPACE_CREATE);
    client.call_done(client.ctx, &fine, SLICE_EMPTY);
    ck_assert_int_eq(client.method, METHOD_META_STATUS);
    pack_meta_status_reply(&payload, &(struct meta_status_reply){.term = 3, .group = SLICE_EMPTY});
    client.call_done(client.ctx, &fine, buf_slice(&payload));
    buf_free(&payload);
}

static void get_answers(uint64_t ts)
{
    struct get_reply reply = {.mark = {.ts = ts, .mode = READ_STRONG}, .value = SLICE_EMPTY};
    client.get_done(client.ctx, &fine, &reply);
}

static void ready(void)
{
    post("/v3/kv/range", NULL, "{\"key\":\"YQ==\"}");
    make_keyspace();
    get_answers(50);
    ck_assert_int_eq(http.code, 200);
}

START_TEST(who_leaves_while_the_keyspace_is_made_is_forgotten)
{
    static const char *const paths[] = {"/v3/election/observe", "/v3/watch", "/v3/kv/put", "/v3/lock/lock"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        setup();
        struct http_request *r = post(paths[i], NULL, "{\"name\":\"YQ==\",\"key\":\"YQ==\"}");
        fake_http_leave(&http, r);
        make_keyspace();
        unsigned calls = client.calls;
        post("/v3/kv/range", NULL, "{\"key\":\"YQ==\"}");
        ck_assert_uint_eq(client.calls, calls + 1); /* of this one alone */
        get_answers(7);
        ck_assert_int_eq(http.code, 200);
        teardown();
    }
}
END_TEST

START_TEST(a_keyspace_that_was_dropped_is_made_anew)
{
    ready();
    post("/v3/kv/range", NULL, "{\"key\":\"YQ==\"}");
    client.get_done(client.ctx, &gone, NULL);
    ck_assert_int_eq(http.code, 503);
    ready();
}
END_TEST

START_TEST(a_clients_deadline)
{
    static const char *const soon[] = {"Grpc-Timeout: 5m", NULL}, *const bad[] = {"Grpc-Timeout: soon", NULL};
    static const char *const none[] = {"Grpc-Timeout: 0S", NULL}, *const far[] = {"Grpc-Timeout: 99999999H", NULL};
    ready();
    post("/v3/kv/range", soon, "{\"key\":\"YQ==\"}");
    ck_assert_uint_eq(client.timeout_ms, 6);
    unsigned replies = http.replies;
    void *reading = client.ctx; /* the pass looks for leases, too */
    http.now_ns += 100 * NS_PER_MS;
    ck_assert_uint_gt(actor->pass(actor, http.now_ns), http.now_ns);
    ck_assert_uint_eq(http.replies, replies + 1);
    ck_assert_int_eq(http.code, 504);
    ck_assert(said("{\"error\":\"context deadline exceeded\",\"code\":4,\"message\":\"context deadline exceeded\"}"));
    client.ctx = reading;
    get_answers(60); /* too late: nobody is answered twice */
    ck_assert_uint_eq(http.replies, replies + 1);
    post("/v3/kv/range", bad, "{\"key\":\"YQ==\"}");
    ck_assert_int_eq(http.code, 400);
    ck_assert(said("invalid grpc-timeout: soon") && said("\"code\":3"));
    post("/v3/kv/range", none, "{\"key\":\"YQ==\"}");
    ck_assert_uint_eq(client.timeout_ms, 7000);
    get_answers(61);
    post("/v3/kv/range", far, "{\"key\":\"YQ==\"}");
    ck_assert_uint_eq(client.timeout_ms, 7000);
    get_answers(62);
    ck_assert_int_eq(http.code, 200);
}
END_TEST

static bool probe_says(const char *path, int code, const char *text)
{
    fake_http_send(&http, HTTP_GET, path, NULL, NULL);
    return http.code == code && http.body.size == strlen(text) && memcmp(http.body.data, text, http.body.size) == 0;
}

START_TEST(probes_in_etcds_words)
{
    unsigned replies = http.replies;
    ck_assert(probe_says("/livez", 200, "ok\n"));
    ck_assert(probe_says("/livez?verbose", 200, "[+]serializable_read ok\nok\n"));
    ck_assert(probe_says("/livez/serializable_read", 200, "ok\n"));
    ck_assert(probe_says("/livez/linearizable_read", 404, "404 page not found\n"));
    ck_assert(probe_says("/readyz/nothing", 404, "404 page not found\n"));
    ck_assert(probe_says("/health?serializable=true", 200, "{\"health\":\"true\",\"reason\":\"\"}"));
    ck_assert(probe_says("/readyz?exclude=linearizable_read&verbose&exclude=none", 200,
                         "[+]data_corruption ok\n[+]serializable_read ok\n[+]non_learner ok\nok\n"));
    ck_assert_uint_eq(http.replies, replies + 7);
    ck_assert(!probe_says("/readyz?verbose", 0, "")); /* it asks the cluster */
    get_answers(50);
    ck_assert(said("[+]linearizable_read ok\n") && http.code == 200);
    (void)probe_says("/readyz/linearizable_read", 0, "");
    client.get_done(client.ctx, &late, NULL);
    ck_assert_int_eq(http.code, 503);
    ck_assert(said("[-]linearizable_read failed: etcdserver: request timed out\n"));
    (void)probe_says("/health", 0, "");
    client.get_done(client.ctx, &late, NULL);
    ck_assert(http.code == 503 && said("RAFT NO LEADER"));
}
END_TEST

START_TEST(a_streams_deadline)
{
    static const char *const soon[] = {"Grpc-Timeout: 2S", NULL};
    ready();
    post("/v3/watch", soon, "{\"create_request\":{\"key\":\"YQ==\"}}");
    get_answers(60);
    ck_assert(said("\"created\":true"));
    ck_assert_uint_eq(client.watches, 1);
    unsigned replies = http.replies;
    http.now_ns += 3000 * NS_PER_MS;
    (void)actor->pass(actor, http.now_ns);
    ck_assert(said("\"grpc_code\":4") && said("context deadline exceeded"));
    ck_assert_uint_eq(http.replies, replies + 1);
    ck_assert_uint_eq(client.watches, 0);
}
END_TEST

static void page_comes(client_scan_done done, void *ctx)
{
    struct scan_row row = {.key = slice_str("ka"), .value = slice_str("v"), .version = 7};
    struct scan_reply page = {.mark = {.ts = 60, .mode = READ_SNAPSHOT}, .rows = &row, .row_count = 1, .more = true};
    done(ctx, &fine, &page);
}

/* The call stays until the page has come that it waits for: before, it was freed and written to. */
START_TEST(a_snapshot_that_ends_while_a_page_is_under_way)
{
    static const char *const soon[] = {"Grpc-Timeout: 2S", NULL};
    const struct gateway_guest guest = etcd_guest(etcd);
    ready();
    post("/v3/maintenance/snapshot", soon, "{}");
    page_comes(client.scan_done, client.ctx);
    ck_assert(said("\"remaining_bytes\""));
    client_scan_done next_page = client.scan_done;
    void *ctx = client.ctx;
    http.now_ns += 3000 * NS_PER_MS;
    (void)actor->pass(actor, http.now_ns);
    ck_assert(said("context deadline exceeded"));
    ck_assert(guest.busy(guest.ctx));
    unsigned calls = client.calls;
    page_comes(next_page, ctx);
    ck_assert(!guest.busy(guest.ctx));
    ck_assert_uint_eq(client.calls, calls);
}
END_TEST

/* What is put after "created" was told is told: the watch knows by then from where on, over all ranges. */
START_TEST(a_watch_begins_before_it_says_created)
{
    ready();
    post("/v3/watch", NULL,
         "{\"create_request\":{\"key\":\"YQ==\"}}{\"create_request\":{\"key\":\"YQ==\",\"start_revision\":40}}");
    ck_assert_int_eq(client.how.mode, READ_SNAPSHOT); /* of now: a timestamp above all that was acknowledged */
    ck_assert_uint_eq(client.how.ts, 0);
    ck_assert_uint_eq(client.watches, 0);
    get_answers(60);
    ck_assert(said("\"revision\":\"60\"") && said("\"created\":true"));
    ck_assert_uint_eq(client.watches, 2);
    ck_assert_uint_eq(client.afters[0], 60);
    ck_assert_uint_eq(client.afters[1], 39);
}
END_TEST

START_TEST(a_stream_has_a_thousand_watches)
{
    struct buf b;
    ready();
    buf_init(&b, 1u << 20);
    for (unsigned i = 0; i < 1005; i++) buf_append_str(&b, "{\"create_request\":{\"key\":\"YQ==\"}}");
    buf_append(&b, "", 1);
    post("/v3/watch", NULL, (const char *)b.data);
    get_answers(60);
    ck_assert_uint_eq(client.watches, 1000);
    ck_assert(
        said("\"created\":true,\"canceled\":true,\"cancel_reason\":\"etcdserver: too many watches on one stream\""));
    buf_free(&b);
}
END_TEST

/* Two watches, of which the second wants what was there before, and progress is asked for. */
static void two_watches(void)
{
    ready();
    client.position = 10;
    post("/v3/watch", NULL,
         "{\"create_request\":{\"key\":\"YQ==\"}}{\"create_request\":{\"key\":\"YQ==\",\"prev_kv\":true}}"
         "{\"progress_request\":{}}");
    get_answers(60);
    ck_assert_uint_eq(client.watches, 2);
    ck_assert(!said("\"watch_id\":\"-1\""));
}

static const struct feed_change change = {
    .ts = 70, .key = {.data = (const uint8_t *)"ka", .size = 2}, .value = {.data = (const uint8_t *)"v", .size = 1}};
static const struct client_watch_batch one = {.upto = 80, .changes = &change, .change_count = 1}, empty = {.upto = 80};

START_TEST(progress_is_never_ahead_of_events)
{
    two_watches();
    client_watch_done batch = client.watch_done;
    void *plain = client.watch_ctx[0], *with_before = client.watch_ctx[1];
    client.position = 80;
    batch(with_before, &fine, &one, 0); /* asks for what was there */
    ck_assert_str_eq(client.what, "get");
    void *reading = client.ctx;
    batch(plain, &fine, &empty, 0);
    ck_assert(!said("\"watch_id\":\"-1\"")); /* 70 is still to come */
    client.ctx = reading;
    get_answers(69);
    ck_assert(said("\"mod_revision\":\"70\""));
    ck_assert(said("\"watch_id\":\"-1\""));
}
END_TEST

START_TEST(what_was_before_is_known_or_the_watch_ends)
{
    two_watches();
    client_watch_done batch = client.watch_done;
    batch(client.watch_ctx[1], &fine, &one, 0);
    client.get_done(client.ctx, &late, NULL);
    ck_assert(!said("\"mod_revision\":\"70\""));
    ck_assert(said("\"canceled\":true,\"cancel_reason\":\"etcdserver: request timed out\""));
    ck_assert_uint_eq(client.watches, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("etcd_calls");
    TCase *t = tcase_create("calls"), *alone = tcase_create("alone");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(alone, who_leaves_while_the_keyspace_is_made_is_forgotten);
    tcase_add_test(t, a_keyspace_that_was_dropped_is_made_anew);
    tcase_add_test(t, a_clients_deadline);
    tcase_add_test(t, probes_in_etcds_words);
    tcase_add_test(t, a_streams_deadline);
    tcase_add_test(t, a_snapshot_that_ends_while_a_page_is_under_way);
    tcase_add_test(t, a_watch_begins_before_it_says_created);
    tcase_add_test(t, a_stream_has_a_thousand_watches);
    tcase_add_test(t, progress_is_never_ahead_of_events);
    tcase_add_test(t, what_was_before_is_known_or_the_watch_ends);
    suite_add_tcase(suite, t);
    suite_add_tcase(suite, alone);
    return run_suite(suite);
}
