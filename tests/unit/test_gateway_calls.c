/* Whole requests through the gateway, with an http seam without sockets and a client that answers as it is told. */
#include <check.h>
#include <stdlib.h>

#include "gateway/codec.h"
#include "gateway/gateway.h"
#include "gateway/parse.h"
#include "ledger/ledger.h"
#include "ledger/rows.h"
#include "lib/gateway_fake_http.h"
#include "test_gateway_client.h"

/* --- fixture --- */

static struct fake_http http;
static struct client client;
static struct gateway *gateway;
static const struct client_error fine = {.status = STATUS_OK, .message = {.data = (const uint8_t *)"", .size = 0}};

static void setup(void)
{
    struct errbuf err;
    fake_http_init(&http);
    memset(&client, 0, sizeof(client));
    arena_init(&client.arena, 1024);
    client.position = 77;
    struct gateway_options o = {.listen = "127.0.0.1:0", .in_flight_max = 3};
    ck_assert_int_eq(gateway_new(&http.env, &o, &client, &gateway, &err), STATUS_OK);
}

static void teardown(void)
{
    gateway_free(gateway);
    ck_assert(!http.listening);
    arena_free(&client.arena);
    fake_http_free(&http);
}

static struct http_request *ask(enum http_method m, const char *target, const char *const *headers, const char *body)
{
    return fake_http_send(&http, m, target, headers, body);
}

static bool said(const char *text)
{
    return strstr((const char *)http.body.data, text) != NULL;
}
static bool head(const char *line)
{
    return strstr(http.head, line) != NULL;
}

START_TEST(get_answers_raw_bytes_and_version)
{
    struct get_reply reply = {.found = true, .version = 42, .value = slice_make("a\0b", 3)};
    ck_assert_ptr_nonnull(ask(HTTP_GET, "/v1/kv/default/a%2Fb?timeout_ms=77", NULL, NULL));
    ck_assert_str_eq(client.what, "get");
    ck_assert_str_eq(client.keyspace, "default");
    ck_assert(slice_eq(client.key, slice_str("a/b")));
    ck_assert_uint_eq(client.timeout_ms, 77);
    client.get_done(client.ctx, &fine, &reply);
    ck_assert_int_eq(http.code, 200);
    ck_assert_str_eq(http.content_type, "application/octet-stream");
    ck_assert(slice_eq(buf_slice(&http.body), slice_make("a\0b", 3)));
    ck_assert(head("ETag: \"42\"\n") && head("X-Quorate-Version: 42\n"));
}
END_TEST

START_TEST(get_of_an_empty_value_and_of_none)
{
    struct get_reply reply = {.found = true, .version = 1, .value = SLICE_EMPTY};
    ask(HTTP_GET, "/v1/kv/default/a", NULL, NULL);
    client.get_done(client.ctx, &fine, &reply);
    ck_assert_int_eq(http.code, 200);
    ck_assert_uint_eq(http.body.size, 0);
    reply.found = false;
    ask(HTTP_GET, "/v1/kv/default/a", NULL, NULL);
    client.get_done(client.ctx, &fine, &reply);
    ck_assert_int_eq(http.code, 404);
    ck_assert(said("\"code\":\"not_found\"") && said("\"outcome\":\"definite\""));
    ck_assert(!head("ETag"));
}
END_TEST

START_TEST(get_conditions)
{
    static const char *const same[] = {"If-None-Match: \"42\"", NULL}, *const other[] = {"If-Match: \"41\"", NULL};
    struct get_reply reply = {.found = true, .version = 42, .value = slice_str("v")};
    ask(HTTP_GET, "/v1/kv/default/a", same, NULL);
    client.get_done(client.ctx, &fine, &reply);
    ck_assert_int_eq(http.code, 304);
    ck_assert_uint_eq(http.body.size, 0);
    ck_assert(head("ETag: \"42\"\n"));
    ask(HTTP_GET, "/v1/kv/default/a", other, NULL);
    client.get_done(client.ctx, &fine, &reply);
    ck_assert_int_eq(http.code, 412);
}
END_TEST

START_TEST(put_and_its_refusal)
{
    static const char *const id[] = {"idempotency-key: abc", "If-None-Match: *", NULL};
    struct txn_result r = {.status = STATUS_OK,
                           .succeeded = true,
                           .replayed = true,
                           .ts = 9007199254740993ull,
                           .failed_index = UINT32_MAX};
    ask(HTTP_PUT, "/v1/kv/default/a", id, "value");
    ck_assert_str_eq(client.what, "txn");
    ck_assert(!txn_id_is_none(&client.txn.id));
    ck_assert_uint_eq(client.txn.compare_count, 1);
    ck_assert(slice_eq(client.txn.ops[0].value, slice_str("value")));
    client.txn_done(client.ctx, &fine, &r);
    ck_assert_int_eq(http.code, 200);
    ck_assert(head("ETag: \"9007199254740993\"\n") && head("X-Quorate-Replayed: true\n"));
    ck_assert(said("\"version\":\"9007199254740993\""));
    r = (struct txn_result){.status = STATUS_CONDITION_FAILED, .failed_index = 0};
    ask(HTTP_PUT, "/v1/kv/default/a", id, "value");
    client.txn_done(client.ctx, &fine, &r);
    ck_assert_int_eq(http.code, 412);
    ck_assert(said("\"condition_failed\"") && said("\"outcome\":\"definite\""));
}
END_TEST

START_TEST(what_a_transaction_was_answered)
{
    struct txn_result r = {.status = STATUS_GUARD_FAILED, .failed_index = 1};
    struct get_reply reply = {.found = true, .version = 9, .value = SLICE_EMPTY};
    struct txn_id id;
    struct errbuf err;
    struct buf kept;
    buf_init(&kept, 1024);
    txn_result_encode(&r, &kept);
    reply.value = buf_slice(&kept);
    ask(HTTP_GET, "/v1/txn/t%2F1?key=a&keyspace=other", NULL, NULL);
    ck_assert_str_eq(client.what, "answer");
    ck_assert_str_eq(client.keyspace, "other");
    ck_assert(slice_eq(client.key, slice_str("a")));
    ck_assert_int_eq(parse_idempotency_key(slice_str("t/1"), &id, &err), STATUS_OK);
    ck_assert_mem_eq(id.bytes, client.txn.id.bytes, TXN_ID_BYTES);
    client.get_done(client.ctx, &fine, &reply);
    ck_assert_int_eq(http.code, 409);
    ck_assert(said("guard_failed"));
    ask(HTTP_GET, "/v1/txn/t1?key=a", NULL, NULL);
    reply.found = false;
    client.get_done(client.ctx, &fine, &reply);
    ck_assert_int_eq(http.code, 404);
    ask(HTTP_GET, "/v1/txn/t1", NULL, NULL);
    ck_assert_int_eq(http.code, 400);
    buf_free(&kept);
}
END_TEST

START_TEST(errors_of_the_client)
{
    struct client_error e = {
        .status = STATUS_TIMEOUT, .unknown_outcome = true, .message = slice_str("no answer in time")};
    ask(HTTP_PUT, "/v1/kv/default/a", NULL, "v");
    client.txn_done(client.ctx, &e, NULL);
    ck_assert_int_eq(http.code, 504);
    ck_assert(said("\"outcome\":\"unknown\"") && said("no answer in time"));
    e = (struct client_error){.status = STATUS_CLOSED, .unknown_outcome = true, .message = SLICE_EMPTY};
    ask(HTTP_DELETE, "/v1/kv/default/a", NULL, NULL);
    client.txn_done(client.ctx, &e, NULL);
    ck_assert_int_eq(http.code, 504);
    e = (struct client_error){.status = STATUS_BUSY, .message = SLICE_EMPTY};
    ask(HTTP_GET, "/v1/kv/default/a", NULL, NULL);
    client.get_done(client.ctx, &e, NULL);
    ck_assert_int_eq(http.code, 429);
    ck_assert(head("Retry-After: 1\n") && said("\"definite\""));
    e = (struct client_error){.status = STATUS_NOT_FOUND, .message = slice_str("no keyspace \"nope\"")};
    ask(HTTP_GET, "/v1/kv/nope?limit=3", NULL, NULL);
    client.scan_done(client.ctx, &e, NULL);
    ck_assert_int_eq(http.code, 404);
    ck_assert(said("no keyspace \\\"nope\\\""));
}
END_TEST

START_TEST(txn_results)
{
    struct txn_op_result ops[] = {
        {.kind = TXN_GET, .found = true, .version = 7, .value = slice_str("\xff")},
        {.kind = TXN_GET},
        {.kind = TXN_PUT, .version = 9},
        {.kind = TXN_DELETE, .found = true},
        {.kind = TXN_ADD, .value = slice_str("-170141183460469231731687303715884105728")},
    };
    struct txn_result r = {
        .status = STATUS_OK, .succeeded = true, .ts = 9, .failed_index = UINT32_MAX, .ops = ops, .op_count = 5};
    ask(HTTP_POST, "/v1/txn", NULL, "{\"keyspace\":\"bank\",\"then\":[{\"get\":{\"key\":\"a\"}}]}");
    ck_assert_str_eq(client.keyspace, "bank");
    client.txn_done(client.ctx, &fine, &r);
    ck_assert_int_eq(http.code, 200);
    ck_assert_str_eq((const char *)http.body.data,
                     "{\"succeeded\":true,\"version\":\"9\",\"replayed\":false,\"results\":[{\"found\":true,\"value_"
                     "b64\":\"/w==\",\"version\":\"7\"},"
                     "{\"found\":false},{\"version\":\"9\"},{\"found\":true},{\"value\":\"-"
                     "170141183460469231731687303715884105728\"}]}\n");
    r = (struct txn_result){.status = STATUS_GUARD_FAILED, .failed_index = 2, .replayed = true};
    ask(HTTP_POST, "/v1/txn", NULL, "{\"then\":[{\"get\":{\"key\":\"a\"}}]}");
    client.txn_done(client.ctx, &fine, &r);
    ck_assert_int_eq(http.code, 409);
    ck_assert(said("\"code\":\"guard_failed\"") && said("\"failed_index\":2") && said("\"replayed\":true") &&
              said("\"definite\""));
}
END_TEST

START_TEST(a_batch_is_answered_one_by_one)
{
    static const char *const id[] = {"Idempotency-Key: b-1", NULL};
    struct txn_op_result sum = {.kind = TXN_ADD, .value = slice_str("5")};
    struct txn_result done = {.status = STATUS_OK, .ts = 9, .replayed = true, .ops = &sum, .op_count = 1};
    struct get_reply reply = {.found = true, .version = 4, .value = slice_str("v")};
    ask(HTTP_POST, "/v1/batch", id, "{\"ops\":[{\"add\":{\"key\":\"n\",\"delta\":5}}]}");
    ck_assert_str_eq(client.what, "txn");
    struct txn_id first = client.txn.id;
    ck_assert(!txn_id_is_none(&first));
    client.txn_done(client.ctx, &fine, &done);
    ck_assert_str_eq((const char *)http.body.data,
                     "{\"results\":[{\"value\":\"5\",\"version\":\"9\",\"replayed\":true}]}\n");
    ask(HTTP_POST, "/v1/batch", id, "{\"ops\":[{\"put\":{\"key\":\"a\",\"value\":\"\"}},{\"get\":{\"key\":\"b\"}}]}");
    ck_assert_str_eq(client.what, "get");
    ck_assert(memcmp(&first, &client.txn.id, sizeof(first)) == 0); /* the first's, whatever it is */
    void *second = client.ctx;
    client.get_done(second, &fine, &reply);
    ck_assert_uint_eq(http.replies, 1); /* the other is not answered yet; the gateway gives up with it */
    ask(HTTP_POST, "/v1/batch", NULL, "{\"ops\":[{\"insert\":{\"key\":\"a\",\"value\":\"\"}}]}");
    ck_assert(txn_id_is_none(&client.txn.id));
    client.txn_done(client.ctx, &fine, &(struct txn_result){.status = STATUS_EXISTS});
    ck_assert(said("{\"results\":[{\"error\":{\"code\":\"already_exists\"") && said("definite"));
    ask(HTTP_POST, "/v1/batch", NULL, "{\"ops\":[]}");
    ck_assert_int_eq(http.code, 400);
    ask(HTTP_POST, "/v1/batch", NULL, "{\"ops\":[{\"get\":{\"key\":\"\"}}]}");
    ck_assert_int_eq(http.code, 400);
}
END_TEST

START_TEST(reads_say_what_they_were)
{
    struct get_reply reply = {.found = true, .version = 42, .value = slice_str("v")};
    reply.mark = (struct read_mark){.mode = READ_BOUNDED, .ts = 50, .staleness_ms = 120};
    ask(HTTP_GET, "/v1/kv/ks/k?read=bounded&max_staleness_ms=500", NULL, NULL);
    ck_assert(client.how.mode == READ_BOUNDED && client.how.max_staleness_ms == 500);
    client.get_done(client.ctx, &fine, &reply);
    ck_assert(head("Quorate-Read-Mode: bounded\n") && head("Quorate-Timestamp: 50\n") &&
              head("Quorate-Staleness-Ms: 120\n"));
    reply.mark = (struct read_mark){.mode = READ_EVENTUAL, .staleness_ms = STALENESS_UNKNOWN};
    reply.found = false;
    ask(HTTP_GET, "/v1/kv/ks/k?read=eventual", NULL, NULL);
    client.get_done(client.ctx, &fine, &reply);
    ck_assert_int_eq(http.code, 404);
    ck_assert(head("Quorate-Read-Mode: eventual\n") && !head("Quorate-Timestamp") && !head("Quorate-Staleness-Ms"));
    unsigned calls = client.calls;
    ask(HTTP_PUT, "/v1/kv/ks/k?read=eventual", NULL, "v");
    ck_assert_int_eq(http.code, 400);
    ck_assert_uint_eq(client.calls, calls);
}
END_TEST

START_TEST(scan_pages)
{
    struct scan_row rows[] = {{.key = slice_str("a"), .value = slice_str("1"), .version = 5},
                              {.key = slice_str("\xfe"), .value = slice_str("\n"), .version = 6}};
    struct scan_reply reply = {.rows = rows, .row_count = 2, .more = true};
    reply.mark = (struct read_mark){.mode = READ_SNAPSHOT, .ts = 7, .staleness_ms = 3};
    ask(HTTP_GET, "/v1/kv/ks?prefix=&limit=2&read=snapshot&at=7&replica=any", NULL, NULL);
    ck_assert_uint_eq(client.scan.limit_rows, 2);
    ck_assert(client.scan.how.mode == READ_SNAPSHOT && client.scan.how.ts == 7 && client.scan.how.any_replica);
    client.scan_done(client.ctx, &fine, &reply);
    ck_assert_str_eq((const char *)http.body.data, "{\"rows\":[{\"key\":\"a\",\"value\":\"1\",\"version\":\"5\"},{"
                                                   "\"key_b64\":\"/g==\",\"value\":\"\\n\",\"version\":\"6\"}],"
                                                   "\"read\":\"snapshot\",\"timestamp\":\"7\",\"staleness_ms\":3,"
                                                   "\"more\":true,\"next\":\"_gA\"}\n");
    static const char *const lines[] = {"Accept: application/x-ndjson", NULL};
    reply.more = false;
    ask(HTTP_GET, "/v1/kv/ks?keys_only=true&reverse=1&encoding=base64", lines, NULL);
    ck_assert(client.scan.reverse && client.scan.keys_only);
    client.scan_done(client.ctx, &fine, &reply);
    ck_assert_str_eq((const char *)http.body.data,
                     "{\"key_b64\":\"YQ==\",\"version\":\"5\"}\n{\"key_b64\":\"/g==\",\"version\":\"6\"}\n");
    ck_assert_str_eq(http.content_type, "application/x-ndjson");
    unsigned calls = client.calls;
    ck_assert_ptr_null(ask(HTTP_GET, "/v1/kv/ks?start=b&end=a", NULL, NULL)); /* answered without asking */
    ck_assert_str_eq((const char *)http.body.data, "{\"rows\":[],\"read\":\"strong\",\"more\":false}\n");
    ck_assert_uint_eq(client.calls, calls);
}
END_TEST

START_TEST(wrong_requests_do_not_reach_the_client)
{
    static const struct {
        enum http_method m;
        const char *target, *body;
        int code;
        const char *text;
    } cases[] = {
        {HTTP_GET, "/nope", NULL, 404, "no such endpoint"},
        {HTTP_POST, "/v1/kv/ks/a", "x", 405, "GET, PUT, DELETE"},
        {HTTP_OTHER, "/v1/txn", NULL, 405, "POST"},
        {HTTP_OPTIONS, "/nope", NULL, 404, "no such endpoint"},
        {HTTP_GET, "/v1/kv/ks/%zz", NULL, 400, "hex"},
        {HTTP_GET, "/v1/kv/ks?limt=1", NULL, 400, "unknown query parameter 'limt'"},
        {HTTP_POST, "/v1/txn", "nonsense", 400, "not JSON"},
        {HTTP_POST, "/v1/txn?x=1", "{}", 400, "unknown query parameter"},
        {HTTP_POST, "/v1/keyspaces", "{\"name\":\"Bad\"}", 400, "keyspace name"},
        {HTTP_GET, "/v1/ranges?keyspace=%00", NULL, 400, "keyspace name"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_ptr_null(ask(cases[i].m, cases[i].target, NULL, cases[i].body));
        ck_assert_msg(http.code == cases[i].code, "%s: %d", cases[i].target, http.code);
        ck_assert_msg(said(cases[i].text), "%s: %s", cases[i].target, (const char *)http.body.data);
        ck_assert(said("{\"error\":{\"code\":\"") && said("\"outcome\":\"definite\"}}"));
    }
    ck_assert_uint_eq(client.calls, 0);
}
END_TEST

START_TEST(every_answer_is_dressed)
{
    static const char *const from_a[] = {"X-Request-Id: mine-1", "Accept-Encoding: br, gzip",
                                         "Origin: https://a.example", NULL};
    static const char *const browser[] = {"Accept: text/html", "Accept-Encoding: gzip", NULL};
    ask(HTTP_OPTIONS, "/v1/kv/ks/a", NULL, NULL);
    ck_assert_int_eq(http.code, 204);
    ck_assert_ptr_nonnull(strstr(http.head, "Allow: HEAD, GET, PUT, DELETE, OPTIONS\n"));
    ck_assert_ptr_nonnull(strstr(http.head, "X-Request-Id: 0707070707070707\n"));
    ask(HTTP_HEAD, "/healthz", from_a, NULL);
    ck_assert_int_eq(http.code, 200);
    ck_assert_ptr_nonnull(strstr(http.head, "X-Request-Id: mine-1\n"));
    ck_assert_ptr_null(strstr(http.head, "Access-Control"));   /* nobody was allowed */
    ck_assert_ptr_null(strstr(http.head, "Content-Encoding")); /* it is short */
    ask(HTTP_GET, "/", browser, NULL);
    ck_assert_ptr_nonnull(strstr(http.head, "Content-Encoding: gzip\n"));
    ck_assert_ptr_nonnull(strstr(http.head, "Content-Security-Policy: default-src 'none'"));
    ck_assert_uint_lt(http.body.size, 40000);
    ck_assert_uint_eq(client.calls, 0);
}
END_TEST

START_TEST(local_endpoints)
{
    ask(HTTP_GET, "/healthz", NULL, NULL);
    ck_assert_int_eq(http.code, 200);
    ask(HTTP_GET, "/", NULL, NULL);
    ck_assert(said("/v1/txn"));
    ask(HTTP_GET, "/nope", NULL, NULL);
    ask(HTTP_GET, "/metrics", NULL, NULL);
    ck_assert(said("quorate_gateway_requests_total{endpoint=\"healthz\",code=\"200\"} 1\n"));
    ck_assert(said("quorate_gateway_requests_total{endpoint=\"unknown\",code=\"404\"} 1\n"));
    ck_assert(said("quorate_gateway_request_seconds_bucket{endpoint=\"root\",le=\"+Inf\"} 1\n"));
}
END_TEST

START_TEST(a_client_that_left_gets_no_answer)
{
    struct get_reply reply = {.found = true, .version = 1, .value = slice_str("v")};
    struct http_request *r = ask(HTTP_GET, "/v1/kv/default/a", NULL, NULL);
    unsigned before = http.replies;
    fake_http_leave(&http, r);
    client.get_done(client.ctx, &fine, &reply);
    ck_assert_uint_eq(http.replies, before);
    gateway_stop(gateway);
    ck_assert(gateway_stopped(gateway));
}
END_TEST

START_TEST(too_many_and_stopping)
{
    struct http_request *open[3];
    struct call_slot {
        void *ctx;
        client_get_done done;
    } slots[3];
    for (int i = 0; i < 3; i++) {
        open[i] = ask(HTTP_GET, "/v1/kv/default/a", NULL, NULL);
        ck_assert_ptr_nonnull(open[i]);
        slots[i] = (struct call_slot){client.ctx, client.get_done};
    }
    ck_assert_ptr_null(ask(HTTP_GET, "/v1/kv/default/a", NULL, NULL));
    ck_assert_int_eq(http.code, 429);
    ask(HTTP_GET, "/healthz", NULL, NULL); /* always */
    ck_assert_int_eq(http.code, 200);
    gateway_stop(gateway);
    ck_assert(!gateway_stopped(gateway));
    ck_assert_ptr_null(ask(HTTP_GET, "/v1/kv/default/a", NULL, NULL));
    ck_assert_int_eq(http.code, 503);
    struct get_reply reply = {.found = false};
    slots[1].done(slots[1].ctx, &fine, &reply);
    ck_assert_int_eq(http.code, 404);
    unsigned before = http.replies;
    teardown(); /* what is still open is answered: outcome unknown */
    ck_assert_uint_eq(http.replies, before + 2);
    ck_assert_int_eq(http.code, 504);
    setup();
}
END_TEST

START_TEST(status_and_readiness)
{
    struct meta_status_reply status = {.leader_id = 1, .term = 3, .member_count = 3};
    struct range_desc range = {.id = 4, .keyspace = 1, .replica_count = 3};
    struct node_info nodes[3];
    struct range_report report = {.range_id = 4};
    struct keyspace_info keyspace = {.id = 1, .name = slice_str("default"), .replication = 3};
    uint64_t leader = 2;
    struct buf payload;
    for (unsigned i = 0; i < 3; i++) {
        status.members[i].id = i + 1;
        status.members[i].address = slice_str("h:1");
        status.members[i].healthy = true;
        range.replicas[i] = (struct range_replica){.node_id = i + 1, .replica_id = i + 1, .role = 1};
        nodes[i] = (struct node_info){.id = i + 1, .address = slice_str("h:2"), .host = slice_str("h"), .alive = true};
    }
    range.start = range.end = SLICE_EMPTY;
    struct meta_map_reply map = {.map_version = 5,
                                 .keyspaces = &keyspace,
                                 .keyspace_count = 1,
                                 .ranges = &range,
                                 .leaders = &leader,
                                 .reports = &report,
                                 .range_count = 1,
                                 .nodes = nodes,
                                 .node_count = 3};
    buf_init(&payload, 4096);
    pack_meta_status_reply(&payload, &status);

    nodes[1].alive = false; /* the leader's */
    ask(HTTP_GET, "/readyz", NULL, NULL);
    ck_assert_int_eq(client.method, METHOD_META_STATUS);
    client.call_done(client.ctx, &fine, buf_slice(&payload));
    ck_assert_str_eq(client.what, "map");
    client.map_done(client.ctx, &fine, &map);
    ck_assert_int_eq(http.code, 503);
    ck_assert(said("1 of 1 ranges have no known leader"));

    nodes[0].alive = false;
    ask(HTTP_GET, "/v1/status", NULL, NULL);
    client.call_done(client.ctx, &fine, buf_slice(&payload));
    client.map_done(client.ctx, &fine, &map);
    ck_assert_int_eq(http.code, 200);
    ck_assert(said("\"ranges_without_quorum\":1") && said("\"ready\":false") && said("\"storage_nodes\":0"));

    nodes[0].alive = nodes[1].alive = true;
    ask(HTTP_GET, "/readyz", NULL, NULL);
    client.call_done(client.ctx, &fine, buf_slice(&payload));
    client.map_done(client.ctx, &fine, &map);
    ck_assert_int_eq(http.code, 200);
    unsigned calls = client.calls;
    ck_assert_ptr_null(ask(HTTP_GET, "/readyz", NULL, NULL)); /* from memory for a moment */
    ck_assert_uint_eq(client.calls, calls);

    ask(HTTP_GET, "/v1/ranges?keyspace=default", NULL, NULL);
    client.map_done(client.ctx, &fine, &map);
    ck_assert(said("\"id\":4,\"keyspace\":\"default\"") && said("\"leader\":2,\"leader_address\":\"h:2\""));
    ask(HTTP_GET, "/v1/nodes", NULL, NULL);
    client.map_done(client.ctx, &fine, &map);
    ck_assert(said("{\"id\":3,\"address\":\"h:2\""));
    ask(HTTP_GET, "/v1/keyspaces", NULL, NULL);
    client.map_done(client.ctx, &fine, &map);
    ck_assert(said("\"name\":\"default\",\"replication\":3,\"ranges\":1"));
    buf_free(&payload);
}
END_TEST

static void keyspace_answer(struct meta_keyspace_reply reply)
{
    struct buf payload;
    buf_init(&payload, 64);
    pack_meta_keyspace_reply(&payload, &reply);
    client.call_done(client.ctx, &fine, buf_slice(&payload));
    buf_free(&payload);
}

START_TEST(keyspaces_are_shown_and_changed)
{
    struct keyspace_info info = {.id = 1, .name = slice_str("default"), .replication = 3};
    struct meta_map_reply map = {.keyspaces = &info, .keyspace_count = 1};
    ask(HTTP_GET, "/v1/keyspaces/default", NULL, NULL);
    ck_assert_str_eq(client.keyspace, "default");
    client.map_done(client.ctx, &fine, &map);
    ck_assert(said("{\"id\":1,\"name\":\"default\"") && said("\"partition\":\"range\""));
    ask(HTTP_GET, "/v1/keyspaces/other", NULL, NULL);
    client.map_done(client.ctx, &fine, &map);
    ck_assert_int_eq(http.code, 404);
    ask(HTTP_POST, "/v1/keyspaces", NULL, "{\"name\":\"bank\",\"hash_buckets\":4}");
    ck_assert_int_eq(client.method, METHOD_META_KEYSPACE_CREATE);
    keyspace_answer((struct meta_keyspace_reply){.id = 2, .changed = true});
    ck_assert_int_eq(http.code, 201);
    ck_assert(said("{\"id\":2,\"name\":\"bank\",\"created\":true}"));
    ask(HTTP_PUT, "/v1/keyspaces/bank", NULL, "{\"ttl\":\"1h\"}");
    ck_assert_int_eq(client.method, METHOD_META_KEYSPACE_ALTER);
    keyspace_answer((struct meta_keyspace_reply){.id = 2, .changed = true});
    ck_assert_int_eq(http.code, 200);
    ck_assert(said("\"changed\":true"));
    ask(HTTP_DELETE, "/v1/keyspaces/bank?grace=1h", NULL, NULL);
    ck_assert_int_eq(client.method, METHOD_META_KEYSPACE_DROP);
    keyspace_answer((struct meta_keyspace_reply){.id = 2, .destroy_ts = (uint64_t)99 << TS_COUNTER_BITS});
    ck_assert(said("\"changed\":false,\"destroy_at_ms\":99"));
    ask(HTTP_DELETE, "/v1/keyspaces/default", NULL, NULL);
    struct client_error e = {.status = STATUS_INVALID, .message = slice_str("belongs to every cluster")};
    client.call_done(client.ctx, &e, SLICE_EMPTY);
    ck_assert_int_eq(http.code, 400);
    ask(HTTP_POST, "/v1/keyspaces/bank", NULL, "{}");
    ck_assert_int_eq(http.code, 405);
}
END_TEST

static void tell_changes(uint64_t upto, struct feed_change *changes, size_t count)
{
    client_watch_done done = client.watch_done;
    struct client_watch_batch batch = {.upto = upto, .changes = changes, .change_count = count};
    ck_assert_ptr_nonnull((void *)(uintptr_t)done);
    client.watch_done = NULL;
    done(client.ctx, &fine, &batch, 0);
}

START_TEST(a_watch_is_a_stream_of_events)
{
    const char *const headers[] = {"Last-Event-ID: 40", NULL};
    struct http_request *r = ask(HTTP_GET, "/v1/watch/ks?prefix=a/&progress=1s", headers, NULL);
    ck_assert_uint_eq(client.watch.after, 40);
    ck_assert_uint_eq(client.watch.progress_ms, 1000);
    ck_assert_uint_eq(http.replies, 0);
    struct feed_change changes[] = {{.ts = 50, .key = slice_str("a/x"), .value = slice_str("1")},
                                    {.ts = 50, .key = slice_str("a/y"), .is_delete = true, .value = SLICE_EMPTY},
                                    {.ts = 52, .key = slice_str("a/x"), .value = slice_str("\xff"), .ttl_ms = 9}};
    tell_changes(60, changes, 3);
    ck_assert_str_eq(
        (const char *)http.body.data,
        "id: 50\nevent: change\ndata: {\"version\":\"50\",\"changes\":[{\"key\":\"a/x\",\"value\":\"1\"},"
        "{\"key\":\"a/y\",\"deleted\":true}]}\n\n"
        "id: 52\nevent: change\ndata: {\"version\":\"52\",\"changes\":[{\"key\":\"a/x\",\"value_b64\":\"/w==\","
        "\"ttl_ms\":9}]}\n\nid: 60\nevent: progress\ndata: {\"timestamp\":\"60\"}\n\n");
    ck_assert_str_eq(http.content_type, "text/event-stream");
    http.unsent = 1 << 20; /* the client does not read: nothing more is asked for */
    tell_changes(70, NULL, 0);
    ck_assert_ptr_null((void *)(uintptr_t)client.watch_done);
    http.actor->pass(http.actor, 1);
    ck_assert_ptr_null((void *)(uintptr_t)client.watch_done);
    http.unsent = 0;
    http.actor->pass(http.actor, 2);
    ck_assert_ptr_nonnull((void *)(uintptr_t)client.watch_done);
    ck_assert_uint_eq(client.watches, 1);
    fake_http_leave(&http, r);
    ck_assert_uint_eq(client.watches, 0);
}
END_TEST

START_TEST(a_watch_that_ends_says_where_to_go_on)
{
    struct client_error old = {.status = STATUS_TOO_OLD, .message = slice_str("gone")};
    (void)ask(HTTP_GET, "/v1/watch/ks?from=3", NULL, NULL);
    client.watch_done(client.ctx, &old, NULL, 9);
    ck_assert_int_eq(http.code, 410);
    ck_assert_str_eq((const char *)http.body.data, "{\"error\":{\"code\":\"too_old\",\"message\":\"gone\",\"outcome\":"
                                                   "\"definite\"},\"resume_from\":\"9\"}\n");
    (void)ask(HTTP_GET, "/v1/watch/ks", NULL, NULL);
    tell_changes(5, NULL, 0);
    gateway_stop(gateway);
    ck_assert_ptr_nonnull(strstr((const char *)http.body.data, "event: error"));
    ck_assert_ptr_nonnull(strstr((const char *)http.body.data, "\"resume_from\":\"77\""));
    ck_assert_uint_eq(client.watches, 0);
    ck_assert(gateway_stopped(gateway));
}
END_TEST

START_TEST(address_in_use)
{
    struct gateway *other = NULL;
    struct errbuf err;
    struct gateway_options o = {.listen = "in use"};
    ck_assert_int_eq(gateway_new(&http.env, &o, &client, &other, &err), STATUS_IO);
    ck_assert_ptr_null(other);
    ck_assert_ptr_nonnull(strstr(err.text, "in use"));
}
END_TEST

/* A page that looks like what was asked for is worse than none. */
START_TEST(what_means_nothing_to_a_page_of_the_ledger_is_refused)
{
    static const struct {
        const char *target, *named; /* NULL: it is asked */
    } cases[] = {
        {"/v1/ledger/transfers?at=5", "at: "},
        {"/v1/ledger/transfers?side=debit", "side: "},
        {"/v1/ledger/transfers?reverse=true", "reverse: "},
        {"/v1/ledger/transfers/7?at=5", "at: "},
        {"/v1/ledger/transfers/7?limit=5", "limit: "},
        {"/v1/ledger/accounts/1/transfers?at=5", "at: "},
        {"/v1/ledger/accounts/1/transfers?reverse=perhaps", "reverse: expected true or false"},
        {"/v1/ledger/accounts/1/balances?at=5&limit=9", "limit: means nothing beside 'at'"},
        {"/v1/ledger/accounts/1?from=5", "from: "},
        {"/v1/ledger/accounts/1?at=5", NULL},
        {"/v1/ledger/accounts/1/balances?at=5", NULL},
        {"/v1/ledger/transfers/7", NULL},
    };
    struct errbuf err;
    gateway_free(gateway);
    struct ledger *ledger = ledger_new(&http.env, &client, &(struct ledger_options){.keyspace_is_there = true});
    struct gateway_options o = {.listen = "127.0.0.1:0", .in_flight_max = 3, .ledger = ledger};
    ck_assert_int_eq(gateway_new(&http.env, &o, &client, &gateway, &err), STATUS_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned calls = client.calls;
        http.code = 0;
        ask(HTTP_GET, cases[i].target, NULL, NULL);
        if (cases[i].named == NULL) {
            ck_assert_uint_eq(client.calls, calls + 1);
            client.scan_done(client.ctx, &(struct client_error){.status = STATUS_BUSY, .message = SLICE_EMPTY}, NULL);
            continue;
        }
        ck_assert_int_eq(http.code, 400);
        ck_assert_msg(said(cases[i].named), "%s: %s", cases[i].target, (const char *)http.body.data);
        ck_assert_uint_eq(client.calls, calls);
    }
    ledger_free(ledger);
}
END_TEST

/* `next` goes through the client's hands. What no page can have given is refused when that shows, and never counted with. */
START_TEST(balances_do_not_start_from_anything)
{
    const i128 claimed[] = {1, I128_MIN};
    uint8_t next[8 + 8 + 4 + 4 * 16] = {0};
    struct ledger_id account = ledger_id_of(0, 1);
    const struct posting posting = {.timestamp = 5, .debits = 1};
    struct errbuf err;
    struct buf value, target;
    buf_init(&value, 256);
    buf_init(&target, 512);
    row_put_posting(&value, &posting, 5);
    gateway_free(gateway);
    struct ledger *ledger = ledger_new(&http.env, &client, &(struct ledger_options){.keyspace_is_there = true});
    struct gateway_options o = {.listen = "127.0.0.1:0", .in_flight_max = 3, .ledger = ledger};
    ck_assert_int_eq(gateway_new(&http.env, &o, &client, &gateway, &err), STATUS_OK);
    next[7] = 9;  /* of that snapshot */
    next[15] = 7; /* from there on backwards */
    i128_encode(claimed[_i], next + 20);
    buf_append_str(&target, "/v1/ledger/accounts/1/balances?next=");
    base64url_append(&target, slice_make(next, sizeof next));
    buf_append(&target, "", 1);
    ask(HTTP_GET, (const char *)target.data, NULL, NULL);
    (void)ledger_actor(ledger)->pass(ledger_actor(ledger), env_mono_ns(&http.env)); /* it begins in its own turn */
    struct scan_row row = {.key = key_postings(&client.arena, &account, 5), .value = buf_slice(&value)};
    client.scan_done(client.ctx, &(struct client_error){.status = STATUS_OK, .message = SLICE_EMPTY},
                     &(struct scan_reply){.rows = &row, .row_count = 1, .mark = {.ts = 9}});
    if (_i == 0) { /* goes on: it looks for the transfer that the posting names */
        ck_assert_str_eq(client.what, "scan");
        client.scan_done(client.ctx, &(struct client_error){.status = STATUS_OK, .message = SLICE_EMPTY},
                         &(struct scan_reply){.mark = {.ts = 9}});
        ck_assert_int_eq(http.code, 200);
    } else {
        ck_assert_int_eq(http.code, 400);
        ck_assert(said("next: "));
    }
    ledger_free(ledger);
    buf_free(&value);
    buf_free(&target);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gateway calls");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_batch_is_answered_one_by_one);
    tcase_add_test(t, get_answers_raw_bytes_and_version);
    tcase_add_test(t, get_of_an_empty_value_and_of_none);
    tcase_add_test(t, get_conditions);
    tcase_add_test(t, put_and_its_refusal);
    tcase_add_test(t, what_a_transaction_was_answered);
    tcase_add_test(t, errors_of_the_client);
    tcase_add_test(t, txn_results);
    tcase_add_test(t, reads_say_what_they_were);
    tcase_add_test(t, scan_pages);
    tcase_add_test(t, wrong_requests_do_not_reach_the_client);
    tcase_add_test(t, every_answer_is_dressed);
    tcase_add_test(t, local_endpoints);
    tcase_add_test(t, a_client_that_left_gets_no_answer);
    tcase_add_test(t, too_many_and_stopping);
    tcase_add_test(t, status_and_readiness);
    tcase_add_test(t, keyspaces_are_shown_and_changed);
    tcase_add_test(t, a_watch_is_a_stream_of_events);
    tcase_add_test(t, a_watch_that_ends_says_where_to_go_on);
    tcase_add_test(t, address_in_use);
    tcase_add_test(t, what_means_nothing_to_a_page_of_the_ledger_is_refused);
    tcase_add_loop_test(t, balances_do_not_start_from_anything, 0, 2);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
