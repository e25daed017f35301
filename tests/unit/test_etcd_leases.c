/* Leases and transactions of the etcd surface over rows in memory: when a lease ends, that all of it ends, and how large a piece of work
 * becomes. What single calls answer is compared with etcd itself (tests/process/test_etcd.sh). */
#include <check.h>

#include "etcd/etcd.h"
#include "gateway/codec.h"
#include "gateway/gateway.h"
#include "lib/gateway_fake_http.h"
#include "lib/suite.h"
#include "test_etcd_store.h"

#define SECOND_NS (1000 * NS_PER_MS)

struct surface { /* a gateway's */
    struct fake_http http;
    struct etcd *etcd;
    struct gateway *gateway;
    struct actor *actor;
};
static struct store store;
static struct surface one, other; /* of the same rows */

static void make_keyspace(void)
{
    const struct client_error fine = {.status = STATUS_OK, .message = SLICE_EMPTY};
    struct buf payload;
    buf_init(&payload, 4096);
    store.client.call_done(store.client.ctx, &fine, SLICE_EMPTY);
    pack_meta_status_reply(&payload, &(struct meta_status_reply){.term = 3, .group = SLICE_EMPTY});
    store.client.call_done(store.client.ctx, &fine, buf_slice(&payload));
    buf_free(&payload);
}

static bool said(const struct surface *g, const char *text)
{
    return g->http.body.size > 0 && strstr((const char *)g->http.body.data, text) != NULL;
}

/* A request and its answer's code. */
static int call(struct surface *g, const char *path, const char *body)
{
    unsigned replies = g->http.replies;
    fake_http_send(&g->http, HTTP_POST, path, NULL, body);
    store_run(&store);
    ck_assert_uint_eq(g->http.replies, replies + 1);
    return g->http.code;
}

static void surface_init(struct surface *g)
{
    struct errbuf err;
    fake_http_init(&g->http);
    g->etcd = etcd_new(&g->http.env, &store.client, NULL, "127.0.0.1:7480");
    g->actor = g->http.actor;
    struct gateway_options o = {.listen = "127.0.0.1:0", .guest = etcd_guest(g->etcd)};
    ck_assert_int_eq(gateway_new(&g->http.env, &o, &store.client, &g->gateway, &err), STATUS_OK);
    fake_http_send(&g->http, HTTP_POST, "/v3/kv/range", NULL, "{\"key\":\"YQ==\"}");
    make_keyspace();
    store_run(&store);
    ck_assert_int_eq(g->http.code, 200);
}

static void surface_free(struct surface *g)
{
    gateway_stop(g->gateway);
    etcd_free(g->etcd);
    gateway_free(g->gateway);
    fake_http_free(&g->http);
}

static void setup(void)
{
    store_init(&store);
    surface_init(&one);
}
static void setup_two(void)
{
    setup();
    surface_init(&other);
}
static void teardown(void)
{
    surface_free(&one);
    store_free(&store);
}
static void teardown_two(void)
{
    surface_free(&other);
    teardown();
}

static void pass(struct surface *g)
{
    (void)g->actor->pass(g->actor, g->http.now_ns);
    store_run(&store);
}

/* Of this gateway's clock; timestamps stand still, but for what is written. */
static void seconds(struct surface *g, unsigned n)
{
    for (unsigned i = 0; i < n * 4; i++) {
        g->http.now_ns += SECOND_NS / 4;
        pass(g);
    }
}

static void leap(int seconds_on)
{
    store.ts = (uint64_t)((int64_t)store.ts + ((int64_t)seconds_on * 1000 << TS_COUNTER_BITS));
}

static void grant(unsigned id, unsigned ttl_s)
{
    char body[80];
    snprintf(body, sizeof(body), "{\"ID\":%u,\"TTL\":%u}", id, ttl_s);
    ck_assert_int_eq(call(&one, "/v3/lease/grant", body), 200);
}

static bool renews(struct surface *g, unsigned id)
{
    char body[80];
    snprintf(body, sizeof(body), "{\"ID\":%u}", id);
    (void)call(g, "/v3/lease/keepalive", body);
    return said(g, "\"TTL\"");
}

/* One that is not renewed: the surface says so, and its key is gone. */
static bool has_ended(void)
{
    ck_assert_int_eq(call(&one, "/v3/lease/timetolive", "{\"ID\":7}"), 200);
    bool ended = said(&one, "\"TTL\":\"-1\"");
    ck_assert_int_eq(call(&one, "/v3/kv/range", "{\"key\":\"YQ==\"}"), 200);
    ck_assert_int_eq(ended, !said(&one, "\"kvs\""));
    return ended;
}

static void lease_of(unsigned ttl_s)
{
    grant(7, ttl_s);
    ck_assert_int_eq(call(&one, "/v3/kv/put", "{\"key\":\"YQ==\",\"value\":\"MQ==\",\"lease\":7}"), 200);
}

START_TEST(timestamps_that_leap_end_no_lease)
{
    lease_of(60);
    seconds(&one, 2);
    leap(3600);
    seconds(&one, 50);
    ck_assert(!has_ended());
    ck_assert(renews(&one, 7));
    leap(3600);
    seconds(&one, 50);
    ck_assert(!has_ended()); /* 50 s since it was renewed */
    seconds(&one, 15);
    ck_assert(has_ended());
    ck_assert(!renews(&one, 7));
}
END_TEST

START_TEST(timestamps_that_stand_still_keep_none)
{
    lease_of(5);
    seconds(&one, 4);
    ck_assert(!has_ended());
    ck_assert(said(&one, "\"count\":\"1\""));
    seconds(&one, 5);
    ck_assert(has_ended());
}
END_TEST

START_TEST(a_lease_renewed_through_another_gateway_goes_on)
{
    lease_of(5);
    for (unsigned i = 0; i < 10; i++) {
        seconds(&one, 3);
        ck_assert(renews(&other, 7));
    }
    ck_assert(!has_ended());
    seconds(&other, 8); /* it has seen it for the first time */
    ck_assert(has_ended());
}
END_TEST

/* It is renewed between the look that found it too old, and its end. */
START_TEST(a_lease_renewed_at_the_last_moment_goes_on)
{
    lease_of(5);
    seconds(&one, 5);
    ck_assert(!has_ended());
    one.http.now_ns += 2 * SECOND_NS;
    (void)one.actor->pass(one.actor, one.http.now_ns);
    ck_assert(store_answer(&store)); /* the look */
    ck_assert(!list_empty(&store.asked));
    ck_assert(renews(&other, 7));
    ck_assert(!has_ended());
    seconds(&one, 4);
    ck_assert(!has_ended());
}
END_TEST

START_TEST(while_nobody_can_renew_none_ends)
{
    lease_of(6);
    seconds(&one, 4);
    store.fails = STATUS_UNAVAILABLE;
    seconds(&one, 60);
    store.fails = STATUS_OK;
    seconds(&one, 4);
    ck_assert(!has_ended()); /* its full time from then on */
    seconds(&one, 5);
    ck_assert(has_ended());
    lease_of(6);
    seconds(&one, 4);
    one.http.now_ns += 60 * SECOND_NS; /* this process stood still */
    seconds(&one, 4);
    ck_assert(!has_ended());
    one.http.now_ns += SECOND_NS / 4;
    (void)one.actor->pass(one.actor, one.http.now_ns); /* the store answers late */
    one.http.now_ns += 30 * SECOND_NS;
    store_run(&store);
    seconds(&one, 4);
    ck_assert(!has_ended());
    seconds(&one, 6);
    ck_assert(has_ended());
}
END_TEST

START_TEST(what_is_left_is_told_by_the_same_clock)
{
    lease_of(100);
    seconds(&one, 40);
    leap(3600);
    (void)call(&one, "/v3/lease/timetolive", "{\"ID\":7}");
    ck_assert(said(&one, "\"TTL\":\"6") || said(&one, "\"TTL\":\"59\""));
    ck_assert(renews(&one, 7));
    (void)call(&one, "/v3/lease/timetolive", "{\"ID\":7}");
    ck_assert(said(&one, "\"TTL\":\"100\""));
}
END_TEST

START_TEST(leases_beyond_a_page_end_too)
{
    struct arena a;
    uint8_t ttl[8] = {0x80, 0x51, 1}; /* a day */
    arena_init(&a, 1024);
    for (unsigned i = 0; i < 2 * LIMIT_SCAN_ROWS + 50; i++) {
        uint8_t key[9] = {'l', 0, 0, 0, 0, (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        etcd_rows_put(&store.rows, slice_make(key, 9), slice_make(ttl, 8), ++store.ts);
    }
    arena_free(&a);
    grant(4000000, 2);
    seconds(&one, 5);
    (void)call(&one, "/v3/lease/timetolive", "{\"ID\":4000000}");
    ck_assert(said(&one, "\"TTL\":\"-1\""));
    (void)call(&one, "/v3/lease/timetolive", "{\"ID\":20000}");
    ck_assert(!said(&one, "\"TTL\":\"-1\""));
}
END_TEST

static void put_under(unsigned keys)
{
    for (unsigned i = 0; i < keys; i++) {
        char key[16];
        struct buf b;
        buf_init(&b, 200);
        snprintf(key, sizeof(key), "key%06u", i);
        buf_append_str(&b, "{\"key\":\"");
        base64_append(&b, slice_str(key));
        buf_append_str(&b, "\",\"value\":\"MQ==\",\"lease\":7}");
        buf_append(&b, "", 1);
        ck_assert_int_eq(call(&one, "/v3/kv/put", (const char *)b.data), 200);
        buf_free(&b);
    }
}

#define MANY 2800u /* three deletes and a compare each: no transaction holds them */

START_TEST(a_lease_of_many_keys_is_revoked)
{
    grant(7, 60);
    put_under(MANY);
    store.largest = 0;
    /* A key that is another's by now stays. */
    ck_assert_int_eq(call(&one, "/v3/kv/put", "{\"key\":\"a2V5MDAwMDA1\",\"value\":\"Mg==\"}"), 200);
    ck_assert_int_eq(call(&one, "/v3/lease/revoke", "{\"ID\":7}"), 200);
    ck_assert_uint_eq(store.rows.count, 1);
    ck_assert_uint_lt(store.largest, LIMIT_TXN_OPS);
    ck_assert_int_eq(call(&one, "/v3/lease/revoke", "{\"ID\":7}"), 404);
    grant(7, 60);
}
END_TEST

START_TEST(a_lease_of_many_keys_ends_and_has_ended_from_the_first_step_on)
{
    grant(7, 3);
    put_under(MANY);
    seconds(&one, 1);
    unsigned txns = store.txns;
    one.http.now_ns += SECOND_NS;
    for (unsigned i = 0; i < 100 && store.txns == txns; i++) {
        (void)one.actor->pass(one.actor, one.http.now_ns);
        while (store.txns == txns && store_answer(&store)) continue;
        one.http.now_ns += SECOND_NS / 4;
    }
    ck_assert_uint_eq(store.txns, txns + 1); /* and the rest is still there */
    ck_assert_uint_gt(store.rows.count, MANY);
    store.client.hooks = &store_hooks;
    struct list rest = store.asked; /* this gateway goes no further */
    list_init(&store.asked);
    ck_assert(!renews(&other, 7));
    ck_assert_int_eq(call(&other, "/v3/kv/put", "{\"key\":\"YQ==\",\"lease\":7}"), 404);
    ck_assert_int_eq(call(&other, "/v3/lease/revoke", "{\"ID\":7}"), 404);
    ck_assert_int_eq(call(&other, "/v3/lease/grant", "{\"ID\":7,\"TTL\":9}"), 400);
    seconds(&other, 2); /* the other one goes on */
    ck_assert_uint_eq(store.rows.count, 0);
    ck_assert_int_eq(call(&other, "/v3/lease/grant", "{\"ID\":7,\"TTL\":9}"), 200);
    store.asked = rest;
    store.asked.next->prev = &store.asked;
    store.asked.prev->next = &store.asked;
    store_run(&store);
    ck_assert(renews(&other, 7)); /* what the first one does late, it does to nobody */
}
END_TEST

/* A put of a key of the lease comes between each reading of the store and the commit. */
static bool put_before_each_txn(struct surface *g, unsigned steps)
{
    char body[80];
    for (unsigned i = 0; i < steps; i++) {
        if (list_empty(&store.asked)) return true;
        if (LIST_ENTRY(store.asked.next, struct asked, link)->kind == ASKED_TXN) {
            struct list under_way = store.asked;
            under_way.next->prev = under_way.prev->next = &under_way;
            list_init(&store.asked);
            snprintf(body, sizeof(body), "{\"key\":\"YQ==\",\"value\":\"MQ==\",\"lease\":7}");
            (void)call(g, "/v3/kv/put", body);
            (void)renews(g, 7);
            store.asked = under_way;
            store.asked.next->prev = store.asked.prev->next = &store.asked;
        }
        (void)store_answer(&store);
    }
    return false;
}

START_TEST(a_lease_ends_while_keys_are_bound_to_it_all_the_time)
{
    lease_of(600);
    unsigned replies = one.http.replies;
    fake_http_send(&one.http, HTTP_POST, "/v3/lease/revoke", NULL, "{\"ID\":7}");
    ck_assert(put_before_each_txn(&other, 200));
    ck_assert_uint_eq(one.http.replies, replies + 1);
    ck_assert_int_eq(one.http.code, 200);
    ck_assert(has_ended());
    ck_assert_uint_eq(store.rows.count, 0);
}
END_TEST

START_TEST(a_renewal_is_one_transaction)
{
    lease_of(60);
    seconds(&one, 2);
    unsigned txns = store.txns, reads = store.reads;
    ck_assert(renews(&one, 7));
    ck_assert(said(&one, "\"TTL\":\"60\""));
    ck_assert_uint_eq(store.txns, txns + 1);
    ck_assert_uint_eq(store.reads, reads);
    ck_assert_int_eq(call(&other, "/v3/lease/revoke", "{\"ID\":7}"), 200);
    ck_assert(!renews(&one, 7)); /* this gateway has not seen that */
    ck_assert_int_eq(call(&other, "/v3/lease/grant", "{\"ID\":7,\"TTL\":90}"), 200);
    ck_assert(renews(&one, 7));
    ck_assert(said(&one, "\"TTL\":\"90\""));
}
END_TEST

static unsigned attached_rows(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < store.rows.count; i++) n += store.rows.list[i].key.data[0] == 'm';
    return n;
}

/* A lease that lives for ever does not collect what it had once. */
START_TEST(what_was_attached_once_goes_before_its_lease)
{
    grant(7, 100000);
    grant(8, 100000);
    put_under(400);
    ck_assert_int_eq(call(&one, "/v3/kv/put", "{\"key\":\"a2V5MDAwMDA1\",\"value\":\"Mg==\",\"lease\":8}"), 200);
    ck_assert_int_eq(call(&one, "/v3/kv/put", "{\"key\":\"a2V5MDAwMDA2\",\"value\":\"Mg==\"}"), 200);
    ck_assert_int_eq(call(&one, "/v3/kv/deleterange", "{\"key\":\"a2V5MDAwMTAw\",\"range_end\":\"a2V5MDAwMzAw\"}"),
                     200);
    ck_assert_uint_eq(attached_rows(), 401);
    seconds(&one, 70);
    ck_assert_uint_eq(attached_rows(), 401 - 1 - 1 - 200);
    ck_assert_int_eq(call(&one, "/v3/lease/timetolive", "{\"ID\":8,\"keys\":true}"), 200);
    ck_assert(said(&one, "a2V5MDAwMDA1"));
    ck_assert_int_eq(call(&one, "/v3/kv/deleterange", "{\"key\":\"AA==\",\"range_end\":\"AA==\"}"), 200);
    seconds(&one, 70);
    ck_assert_uint_eq(attached_rows(), 0);
}
END_TEST

/* What is bound again behind the look stays. */
START_TEST(what_is_attached_again_meanwhile_stays)
{
    lease_of(100000);
    ck_assert_int_eq(call(&one, "/v3/kv/deleterange", "{\"key\":\"YQ==\"}"), 200);
    unsigned txns = store.txns;
    one.http.now_ns += 3600 * SECOND_NS;
    (void)one.actor->pass(one.actor, one.http.now_ns);
    bool asked = false;
    for (unsigned i = 0; i < 50 && !asked; i++) {
        one.http.now_ns += 61 * SECOND_NS;
        (void)one.actor->pass(one.actor, one.http.now_ns);
        while (!list_empty(&store.asked) && !asked) {
            asked = LIST_ENTRY(store.asked.next, struct asked, link)->kind == ASKED_TXN;
            if (!asked) (void)store_answer(&store);
        }
    }
    ck_assert(asked);
    ck_assert_uint_eq(store.txns, txns);
    struct list under_way = store.asked;
    under_way.next->prev = under_way.prev->next = &under_way;
    list_init(&store.asked);
    ck_assert_int_eq(call(&other, "/v3/kv/put", "{\"key\":\"YQ==\",\"value\":\"MQ==\",\"lease\":7}"), 200);
    store.asked = under_way;
    store.asked.next->prev = store.asked.prev->next = &store.asked;
    store_run(&store);
    ck_assert_uint_eq(attached_rows(), 1);
}
END_TEST

START_TEST(leases_rest_while_a_backup_is_restored)
{
    lease_of(5);
    store.client.restoring = true;
    seconds(&one, 40);
    store.client.restoring = false;
    ck_assert(!has_ended());
    seconds(&one, 9);
    ck_assert(has_ended());
}
END_TEST

/* Who waits for a lock keeps his lease while he waits, as etcd's server does for him. */
START_TEST(a_lease_lives_while_its_owner_waits)
{
    const struct client_error fine = {.status = STATUS_OK, .message = SLICE_EMPTY};
    const struct client_watch_batch empty = {.upto = 1};
    grant(8, 600);
    grant(7, 6);
    ck_assert_int_eq(call(&one, "/v3/lock/lock", "{\"name\":\"bA==\",\"lease\":8}"), 200);
    unsigned replies = one.http.replies;
    fake_http_send(&one.http, HTTP_POST, "/v3/lock/lock", NULL, "{\"name\":\"bA==\",\"lease\":7}");
    store_run(&store);
    ck_assert_uint_eq(store.client.watches, 1);
    ck_assert_uint_le(store.client.watch.progress_ms, 2000);
    for (unsigned i = 0; i < 15; i++) {
        seconds(&one, 2);
        store.client.watch_done(store.client.watch_ctx[(store.client.watch_asked - 1) % 4], &fine, &empty, 0);
        store_run(&store);
    }
    ck_assert_uint_eq(one.http.replies, replies); /* it waits still */
    ck_assert_int_eq(call(&one, "/v3/lease/revoke", "{\"ID\":8}"), 200);
    store.client.watch_done(store.client.watch_ctx[(store.client.watch_asked - 1) % 4], &fine, &empty, 0);
    seconds(&one, 2);
    store.client.watch_done(store.client.watch_ctx[(store.client.watch_asked - 1) % 4], &fine, &empty, 0);
    store_run(&store);
    ck_assert_uint_eq(one.http.replies, replies + 2);
    ck_assert(said(&one, "\"key\":\"bC83\""));
}
END_TEST

/* --- transactions --- */

START_TEST(nested_compares_are_of_the_state_before)
{
    ck_assert_int_eq(call(&one, "/v3/kv/put", "{\"key\":\"YQ==\",\"value\":\"MA==\"}"), 200);
    ck_assert_int_eq(call(&one, "/v3/kv/txn",
                          "{\"success\":[{\"request_put\":{\"key\":\"YQ==\",\"value\":\"MQ==\"}},{\"request_txn\":{"
                          "\"compare\":[{\"key\":\"YQ==\",\"target\":\"VALUE\",\"value\":\"MA==\"},"
                          "{\"key\":\"YQ==\",\"range_end\":\"Yg==\",\"target\":\"VERSION\",\"version\":1}],"
                          "\"success\":[{\"request_range\":{\"key\":\"YQ==\"}}],\"failure\":[]}}]}"),
                     200);
    ck_assert(said(&one, "\"response_txn\":{\"header\":{},\"succeeded\":true"));
    ck_assert(said(&one, "\"value\":\"MQ==\"")); /* what is read in it is of the state with the put */
}
END_TEST

/* count operations with a number in each, a hundred to a transaction, of which all are nested in one */
static int nested(unsigned count, const char *before, const char *behind)
{
    struct buf b;
    buf_init(&b, 4u << 20);
    buf_append_str(&b, "{\"success\":[");
    for (unsigned i = 0; i < count; i++) {
        if (i % 100 == 0)
            buf_append_str(&b, i == 0 ? "{\"request_txn\":{\"success\":[" : "]}},{\"request_txn\":{\"success\":[");
        if (i % 100 != 0) buf_append_str(&b, ",");
        buf_printf(&b, "%s%u%s", before, 10000 + i, behind);
    }
    buf_append_str(&b, "]}}]}");
    buf_append(&b, "", 1);
    int code = call(&one, "/v3/kv/txn", (const char *)b.data);
    buf_free(&b);
    return code;
}

START_TEST(a_transaction_of_too_many_operations_is_refused_before_it_is_looked_at)
{
    unsigned reads = store.reads;
    ck_assert_int_eq(nested(2100, "{\"request_put\":{\"key\":\"", "000\"}}"), 400);
    ck_assert(said(&one, "etcdserver: too many operations in txn request"));
    ck_assert_uint_eq(store.reads, reads);
    ck_assert_int_eq(nested(2000, "{\"request_put\":{\"key\":\"", "000\"}}"), 200);
    ck_assert_uint_eq(store.rows.count, 2000);
}
END_TEST

/* Each looks at 2,000 rows, and none at what it may not: a gateway's loop does not stand still for them. */
START_TEST(a_transaction_that_looks_at_too_much_is_refused)
{
    ck_assert_int_eq(nested(2000, "{\"request_put\":{\"key\":\"", "000\"}}"), 200);
    ck_assert_int_eq(nested(2000, "{\"request_range\":{\"key\":\"AA==\",\"range_end\":\"AA==\",\"limit\":", "}}"), 400);
    ck_assert(said(&one, "etcdserver: request is too large"));
    ck_assert_int_eq(
        nested(200,
               "{\"request_range\":{\"key\":\"AA==\",\"range_end\":\"AA==\",\"max_mod_revision\":1,\"limit\":", "}}"),
        200);
}
END_TEST

START_TEST(a_delete_of_more_than_a_transaction_holds_is_refused)
{
    for (unsigned i = 0; i < LIMIT_TXN_OPS + 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "kd%06u", i);
        etcd_rows_put(&store.rows, slice_str(key), slice_str("012345678901234567890123x"), ++store.ts);
    }
    size_t rows = store.rows.count;
    ck_assert_int_eq(call(&one, "/v3/kv/deleterange", "{\"key\":\"AA==\",\"range_end\":\"AA==\"}"), 400);
    ck_assert(said(&one, "etcdserver: request is too large"));
    ck_assert_uint_eq(store.rows.count, rows);
    ck_assert_int_eq(call(&one, "/v3/kv/deleterange", "{\"key\":\"ZDAwMDA=\",\"range_end\":\"ZDAwMzA=\"}"), 200);
    ck_assert(said(&one, "\"deleted\":\"3000\""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("etcd_leases");
    TCase *t = tcase_create("one gateway"), *two = tcase_create("two gateways");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_checked_fixture(two, setup_two, teardown_two);
    tcase_add_test(t, timestamps_that_leap_end_no_lease);
    tcase_add_test(t, timestamps_that_stand_still_keep_none);
    tcase_add_test(two, a_lease_renewed_through_another_gateway_goes_on);
    tcase_add_test(two, a_lease_renewed_at_the_last_moment_goes_on);
    tcase_add_test(t, while_nobody_can_renew_none_ends);
    tcase_add_test(t, what_is_left_is_told_by_the_same_clock);
    tcase_add_test(t, leases_beyond_a_page_end_too);
    tcase_add_test(t, a_lease_of_many_keys_is_revoked);
    tcase_add_test(two, a_lease_of_many_keys_ends_and_has_ended_from_the_first_step_on);
    tcase_add_test(two, a_lease_ends_while_keys_are_bound_to_it_all_the_time);
    tcase_add_test(two, a_renewal_is_one_transaction);
    tcase_add_test(t, what_was_attached_once_goes_before_its_lease);
    tcase_add_test(two, what_is_attached_again_meanwhile_stays);
    tcase_add_test(t, leases_rest_while_a_backup_is_restored);
    tcase_add_test(t, a_lease_lives_while_its_owner_waits);
    tcase_add_test(t, nested_compares_are_of_the_state_before);
    tcase_add_test(t, a_transaction_of_too_many_operations_is_refused_before_it_is_looked_at);
    tcase_add_test(t, a_transaction_that_looks_at_too_much_is_refused);
    tcase_add_test(t, a_delete_of_more_than_a_transaction_holds_is_refused);
    suite_add_tcase(suite, t);
    suite_add_tcase(suite, two);
    return run_suite(suite);
}
