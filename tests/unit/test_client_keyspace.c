/* What a keyspace makes of requests: by hash, times to live, dropped: src/client/keyspace.c, buckets.c. */
#include "client/keyspace.h"
#include "client/watch.h"
#include "lib/client_rig.h"
#include "lib/suite.h"

#include <stdio.h>
#include <stdlib.h>

static struct fake_cluster f;
static struct outcome o;

/* Eight buckets over three ranges. */
static void start_by_hash(uint64_t seed)
{
    static const char *const STARTS[] = {"", "\x02", "\x05", ""};
    fake_start(&f, seed, 0);
    f.buckets = 8;
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(f.ranges[i].start, sizeof(f.ranges[i].start), "%s", STARTS[i]);
        (void)snprintf(f.ranges[i].end, sizeof(f.ranges[i].end), "%s", STARTS[i + 1]);
    }
    fake_sync(&f);
}

static void put(const char *key)
{
    fake_add(&f, &o, key, 1, 0);
    ck_assert_msg(o.status == STATUS_OK, "%s: %s", key, o.message);
}

static void scan(struct client_scan s)
{
    o = (struct outcome){.f = &f};
    client_scan(f.client, slice_str("bank"), &s, 5000, outcome_on_scan, &o);
    fake_wait(&f, &o, 6 * SECOND);
    ck_assert_msg(o.status == STATUS_OK, "%s", o.message);
}

START_TEST(single_keys_are_used_as_ever)
{
    bool seen[8] = {false};
    start_by_hash(1);
    for (unsigned i = 0; i < 60; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key%u", i);
        put(key);
        fake_get(&f, &o, key);
        ck_assert(o.found);
        ck_assert_str_eq(o.value, "1");
        seen[keyspace_bucket(8, slice_str(key))] = true;
    }
    for (unsigned i = 0; i < 8; i++) ck_assert(seen[i]);
    fake_get(&f, &o, "absent");
    ck_assert(!o.found && o.status == STATUS_OK);
    for (unsigned i = 1; i <= 3; i++) ck_assert_uint_gt(f.nodes[i].served, 0);
    fake_stop(&f);
}
END_TEST

START_TEST(a_transaction_over_buckets_is_one)
{
    start_by_hash(2);
    struct txn_op ops[20];
    char keys[20][16];
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "t%u", i);
        ops[i] = (struct txn_op){.kind = TXN_PUT, .key = slice_str(keys[i]), .value = slice_str("v")};
    }
    struct txn_compare absent = {
        .target = TXN_TARGET_EXISTS, .relation = TXN_EQUAL, .key = slice_str("t7"), .version = 0};
    struct txn t = {.compares = &absent, .compare_count = 1, .ops = ops, .op_count = 20};
    o = (struct outcome){.f = &f};
    client_txn(f.client, slice_str("bank"), &t, 5000, outcome_on_txn, &o);
    fake_wait(&f, &o, 6 * SECOND);
    ck_assert_msg(o.status == STATUS_OK, "%s", o.message);
    o = (struct outcome){.f = &f};
    client_txn(f.client, slice_str("bank"), &t, 5000, outcome_on_txn, &o);
    fake_wait(&f, &o, 6 * SECOND);
    ck_assert_int_eq(o.status, STATUS_CONDITION_FAILED);
    fake_get(&f, &o, "t19");
    ck_assert_str_eq(o.value, "v");
    fake_stop(&f);
}
END_TEST

/* Sorted keys of a scan, whatever their buckets, against a list. */
START_TEST(scans_merge_the_buckets)
{
    enum { KEYS = 90 };
    start_by_hash((uint64_t)_i + 10);
    char whole[2048] = "", back[2048] = "";
    for (unsigned i = 0; i < KEYS; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%03u", i * 37 % KEYS);
        put(key);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        size_t n = strlen(whole);
        (void)snprintf(whole + n, sizeof(whole) - n, n > 0 ? " %03u" : "%03u", i);
        n = strlen(back);
        (void)snprintf(back + n, sizeof(back) - n, n > 0 ? " %03u" : "%03u", KEYS - 1 - i);
    }
    scan((struct client_scan){.start = SLICE_EMPTY, .end = SLICE_EMPTY});
    ck_assert_str_eq(o.keys, whole);
    ck_assert(!o.more);
    scan((struct client_scan){.start = SLICE_EMPTY, .end = SLICE_EMPTY, .reverse = true});
    ck_assert_str_eq(o.keys, back);
    scan((struct client_scan){.start = slice_str("010"), .end = slice_str("013")});
    ck_assert_str_eq(o.keys, "010 011 012");
    scan((struct client_scan){.start = slice_str("010"), .end = slice_str("013"), .reverse = true});
    ck_assert_str_eq(o.keys, "012 011 010");
    scan((struct client_scan){.start = slice_str("5"), .end = SLICE_EMPTY});
    ck_assert_uint_eq(o.row_count, 0);
    ck_assert(!o.more);
    /* pages, whose pieces run dry at odd places */
    for (uint32_t limit = 1; limit < 40; limit += 7) {
        char start[32] = "", all[2048] = "";
        do {
            scan((struct client_scan){.start = slice_str(start), .end = SLICE_EMPTY, .limit_rows = limit});
            ck_assert_uint_le(o.row_count, limit);
            size_t n = strlen(all);
            (void)snprintf(all + n, sizeof(all) - n, n > 0 && o.row_count > 0 ? " %s" : "%s", o.keys);
            const char *last = strrchr(o.keys, ' ');
            (void)snprintf(start, sizeof(start), "%.20s\x01", last != NULL ? last + 1 : o.keys);
        } while (o.more);
        ck_assert_str_eq(all, whole);
    }
    fake_stop(&f);
}
END_TEST

START_TEST(a_key_with_its_bucket_has_the_length_of_a_key)
{
    start_by_hash(3);
    put("a");
    char *key = calloc(1, LIMIT_KEY_BYTES);
    memset(key, 'k', LIMIT_KEY_BYTES);
    o = (struct outcome){.f = &f};
    client_get(f.client, slice_str("bank"), slice_make(key, LIMIT_KEY_BYTES), 1000, outcome_on_get, &o);
    fake_wait(&f, &o, 2 * SECOND);
    ck_assert_int_eq(o.status, STATUS_TOO_LARGE);
    o = (struct outcome){.f = &f};
    client_get(f.client, slice_str("bank"), slice_make(key, LIMIT_KEY_BYTES - 1), 1000, outcome_on_get, &o);
    fake_wait(&f, &o, 2 * SECOND);
    ck_assert_int_eq(o.status, STATUS_OK);
    free(key);
    fake_stop(&f);
}
END_TEST

START_TEST(a_failing_bucket_fails_the_page)
{
    start_by_hash(4);
    put("a");
    f.ranges[1].leader = 0;
    o = (struct outcome){.f = &f};
    struct client_scan s = {.start = SLICE_EMPTY, .end = SLICE_EMPTY};
    client_scan(f.client, slice_str("bank"), &s, 300, outcome_on_scan, &o);
    fake_wait(&f, &o, 2 * SECOND);
    ck_assert_int_eq(o.status, STATUS_TIMEOUT);
    ck_assert(!o.unknown);
    ck_assert_uint_eq(fake_stats(&f).in_flight, 0);
    o = (struct outcome){.f = &f};
    client_scan(f.client, slice_str("bank"), &s, 300, outcome_on_scan, &o);
    (void)fakenet_run(f.net, NULL, NULL, 50 * MS);
    fake_stop(&f); /* with pieces under way */
    ck_assert_uint_eq(o.done, 0);
}
END_TEST

static void watch_told(void *ctx, const struct client_error *e, const struct client_watch_batch *batch, uint64_t resume)
{
    (void)e;
    (void)batch;
    (void)resume;
    ++*(unsigned *)ctx;
}

static unsigned scans_asked;
static bool count_scans(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    (void)n;
    (void)ctx;
    if (r->method == METHOD_SCAN) scans_asked++;
    return false;
}

static bool scan_was_asked(void *ctx)
{
    return scans_asked > *(const unsigned *)ctx;
}

/* A watch begins with a scan; who leaves it meanwhile takes the scan's pieces along, the first one or all of them. */
START_TEST(a_watch_that_is_left_while_it_begins)
{
    unsigned told = 0, enough = (unsigned)_i;
    start_by_hash(7);
    put("a");
    f.hook = count_scans;
    scans_asked = 0;
    struct client_watch_options options = {.keyspace = slice_str("bank"), .start = SLICE_EMPTY, .end = SLICE_EMPTY};
    struct client_watch *w = client_watch_new(f.client, &options);
    client_watch_next(w, watch_told, &told);
    ck_assert(fakenet_run(f.net, scan_was_asked, &enough, 2 * SECOND));
    ck_assert(!list_empty(&f.client->requests));
    client_watch_free(w);
    ck_assert(list_empty(&f.client->requests));
    ck_assert_uint_eq(fake_stats(&f).in_flight, 0);
    scan((struct client_scan){.start = SLICE_EMPTY, .end = SLICE_EMPTY});
    ck_assert_str_eq(o.keys, "a");
    ck_assert_uint_eq(told, 0);
    fake_stop(&f);
}
END_TEST

START_TEST(the_keyspaces_time_to_live_goes_along)
{
    fake_start(&f, 5, 0);
    f.ttl_ms = 5000;
    struct txn_op op = {.kind = TXN_PUT, .key = slice_str("a"), .value = slice_str("v")};
    struct txn t = {.ops = &op, .op_count = 1};
    for (unsigned i = 0; i < 2; i++) { /* the second time it is known at once */
        op.key = slice_str(i == 0 ? "a" : "b");
        o = (struct outcome){.f = &f};
        client_txn(f.client, slice_str("bank"), &t, 1000, outcome_on_txn, &o);
        fake_wait(&f, &o, 2 * SECOND);
        ck_assert_int_eq(o.status, STATUS_OK);
        struct row row;
        ck_assert_int_eq(row_decode(f.rows[i].value, &row), STATUS_OK);
        ck_assert_uint_eq(row.ttl_ms, 5000);
    }
    f.ttl_ms = 0; /* altered: looked at again within seconds, by a request that is as small as the keyspace */
    uint64_t asked = f.map_requests;
    for (unsigned i = 0; i < 100; i++) {
        fake_get(&f, &o, "a");
        (void)fakenet_run(f.net, NULL, NULL, 100 * MS);
    }
    ck_assert_uint_ge(f.map_requests, asked + 2);
    ck_assert_uint_le(f.map_requests, asked + 5);
    op.key = slice_str("c");
    o = (struct outcome){.f = &f};
    client_txn(f.client, slice_str("bank"), &t, 1000, outcome_on_txn, &o);
    fake_wait(&f, &o, 2 * SECOND);
    struct row row;
    ck_assert_int_eq(row_decode(f.rows[2].value, &row), STATUS_OK);
    ck_assert_uint_eq(row.ttl_ms, 0);
    fake_stop(&f);
}
END_TEST

START_TEST(a_dropped_keyspace_is_refused_and_comes_back)
{
    fake_start(&f, 6, 0);
    put("a");
    f.keyspace_dropped = true;
    for (unsigned i = 0; i < 100 && o.status == STATUS_OK; i++) {
        (void)fakenet_run(f.net, NULL, NULL, 100 * MS);
        fake_get(&f, &o, "a");
    }
    ck_assert_int_eq(o.status, STATUS_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(o.message, "dropped"));
    f.keyspace_dropped = false; /* whoever is refused has asked first */
    fake_get(&f, &o, "a");
    ck_assert_int_eq(o.status, STATUS_OK);
    ck_assert(o.found);
    f.keyspace_known = false; /* destroyed */
    for (unsigned i = 0; i < 100 && o.status == STATUS_OK; i++) {
        (void)fakenet_run(f.net, NULL, NULL, 100 * MS);
        fake_get(&f, &o, "a");
    }
    ck_assert_int_eq(o.status, STATUS_NOT_FOUND);
    fake_stop(&f);
}
END_TEST

static void start_over_ranges(const char *a, const char *b, uint64_t id)
{
    struct txn_op ops[2] = {{.kind = TXN_PUT, .key = slice_str(a), .value = slice_str("v")},
                            {.kind = TXN_PUT, .key = slice_str(b), .value = slice_str("v")}};
    struct txn t = {.ops = ops, .op_count = 2};
    t.id.bytes[0] = (uint8_t)id;
    o = (struct outcome){.f = &f};
    client_txn(f.client, slice_str("bank"), &t, 10000, outcome_on_txn, &o);
}

static void anew(void) /* the same name, another keyspace; its ranges are new ones */
{
    f.keyspace_id = FAKE_KEYSPACE + 1;
    for (unsigned i = 0; i < 3; i++) f.ranges[i].id += 100;
}

/* No range of the old one will ever answer: that is known at once, and so is that nothing has happened. */
START_TEST(a_keyspace_made_anew_is_noticed_by_transactions_over_ranges)
{
    for (uint64_t id = 0; id < 2; id++) {
        fake_start(&f, 7 + id, 0);
        start_over_ranges("a", "m", 0);
        fake_wait(&f, &o, 2 * SECOND);
        ck_assert_int_eq(o.status, STATUS_OK);
        anew();
        uint64_t began_ns = fakenet_now_ns(f.net);
        start_over_ranges("a", "m", id);
        fake_wait(&f, &o, 2 * SECOND);
        ck_assert_int_eq(o.status, STATUS_NOT_FOUND);
        ck_assert(!o.unknown);
        ck_assert_uint_lt(o.at_ns - began_ns, SECOND);
        fake_stop(&f);
    }
}
END_TEST

/* The second range's Prepare is lost; when it is asked again, the keyspace has gone. */
static bool lost_prepare(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    bool *lost = ctx;
    if (r->method != METHOD_TXN || n->self.node_id != 2) return false;
    if (*lost) {
        anew();
        f.hook = NULL;
        return false;
    }
    *lost = true;
    rpc_request_drop(r);
    return true;
}

/* One range may have taken part before the keyspace went: whether it was done is not known, and that is said soon. */
START_TEST(a_keyspace_dropped_under_a_transaction_leaves_it_open)
{
    bool lost = false;
    fake_start(&f, 9, 0);
    start_over_ranges("a", "m", 0);
    fake_wait(&f, &o, 2 * SECOND);
    (void)fakenet_run(f.net, NULL, NULL, 500 * MS); /* its endings */
    f.hook = lost_prepare;
    f.hook_ctx = &lost;
    start_over_ranges("b", "n", 0);
    fake_wait(&f, &o, 5 * SECOND);
    ck_assert(lost && f.hook == NULL);
    ck_assert_msg(o.unknown, "%s", o.message);
    fake_stop(&f);
}
END_TEST

/* Pieces of a scan are parts, too. */
START_TEST(a_keyspace_by_hash_made_anew_is_noticed)
{
    start_by_hash(11);
    put("a");
    anew();
    o = (struct outcome){.f = &f};
    client_scan(f.client, slice_str("bank"), &(struct client_scan){.start = SLICE_EMPTY, .end = SLICE_EMPTY}, 10000,
                outcome_on_scan, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_NOT_FOUND);
    fake_stop(&f);
}
END_TEST

static unsigned polls, polls_of_the_new_one;
static uint32_t shortest_wait_ms = UINT32_MAX;
static bool change_at_once(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    struct watch_request m;
    struct arena arena;
    struct buf payload;
    (void)n;
    (void)ctx;
    if (r->method != METHOD_WATCH) return false;
    arena_init(&arena, 1024);
    buf_init(&payload, 4096);
    ck_assert_int_eq(unpack_watch_request(r->params, &arena, &m), STATUS_OK);
    polls++;
    shortest_wait_ms = m.wait_ms < shortest_wait_ms ? m.wait_ms : shortest_wait_ms;
    polls_of_the_new_one += m.keyspace != FAKE_KEYSPACE;
    struct feed_change change = {
        .ts = m.after + 1, .key = m.start.size > 0 ? m.start : slice_str("a"), .value = SLICE_EMPTY};
    pack_watch_reply(&payload, &(struct watch_reply){.upto = m.after + 1, .changes = &change, .change_count = 1});
    fake_answer(r, &payload);
    buf_free(&payload);
    arena_free(&arena);
    return true;
}

static enum status watch_status;
static void note_watch(void *ctx, const struct client_error *e, const struct client_watch_batch *batch, uint64_t resume)
{
    watch_status = e->status;
    watch_told(ctx, e, batch, resume);
}

static bool was_told(void *ctx)
{
    return *(const unsigned *)ctx > 0;
}

static enum status refusal;
static bool refuse_watches(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    (void)n;
    (void)ctx;
    if (r->method != METHOD_WATCH) return false;
    polls++;
    fake_refuse(r, refusal, false, 0);
    return true;
}

/* A disk that fails is asked again, after pauses; what will be refused for ever ends the watch. */
START_TEST(a_watch_that_nodes_refuse)
{
    unsigned told = 0;
    fake_start(&f, 13, 0);
    f.hook = refuse_watches;
    refusal = STATUS_IO;
    polls = 0;
    struct client_watch_options options = {.keyspace = slice_str("bank"), .start = SLICE_EMPTY, .end = SLICE_EMPTY};
    struct client_watch *w = client_watch_new(f.client, &options);
    client_watch_next(w, note_watch, &told);
    (void)fakenet_run(f.net, NULL, NULL, 10 * SECOND);
    ck_assert_uint_gt(polls, 3);
    ck_assert_uint_lt(polls, 300); /* three legs */
    ck_assert(told == 0 || watch_status == STATUS_OK);
    refusal = STATUS_TOO_LARGE;
    for (unsigned i = 0; i < 3 && watch_status == STATUS_OK; i++) {
        if (told > 0) client_watch_next(w, note_watch, &told);
        told = 0;
        ck_assert(fakenet_run(f.net, was_told, &told, 20 * SECOND));
    }
    ck_assert_int_eq(watch_status, STATUS_TOO_LARGE);
    client_watch_free(w);
    fake_stop(&f);
}
END_TEST

/* Who does not read has no question standing when the keyspace goes. */
START_TEST(a_watch_does_not_go_on_in_another_keyspace)
{
    unsigned told = 0;
    fake_start(&f, 12, 0);
    put("a");
    f.hook = change_at_once;
    struct client_watch_options options = {
        .keyspace = slice_str("bank"), .start = SLICE_EMPTY, .end = SLICE_EMPTY, .progress_ms = 100};
    struct client_watch *w = client_watch_new(f.client, &options);
    client_watch_next(w, note_watch, &told);
    ck_assert(fakenet_run(f.net, was_told, &told, 2 * SECOND));
    (void)fakenet_run(f.net, NULL, NULL, SECOND); /* all ranges have answered again */
    ck_assert(list_empty(&f.client->requests));
    anew();
    (void)fakenet_run(f.net, NULL, NULL, 6 * SECOND);
    for (unsigned i = 0; i < 3; i++) { /* its number here is forgotten: it is learned anew */
        fake_get(&f, &o, "a");
    }
    watch_status = STATUS_OK;
    for (unsigned i = 0; i < 10 && watch_status == STATUS_OK; i++) {
        told = 0;
        client_watch_next(w, note_watch, &told);
        ck_assert(fakenet_run(f.net, was_told, &told, 20 * SECOND));
    }
    ck_assert_int_eq(watch_status, STATUS_NOT_FOUND);
    ck_assert_uint_gt(polls, 0);
    ck_assert_uint_eq(shortest_wait_ms, 500); /* each is a request to a range, whoever wants to be told often */
    ck_assert_uint_eq(polls_of_the_new_one, 0);
    client_watch_free(w);
    fake_stop(&f);
}
END_TEST

/* Whoever is behind tells of the former one: ids rise. */
START_TEST(news_of_a_former_keyspace_are_old)
{
    struct routes r;
    routes_init(&r);
    struct keyspace_info info = {.id = 9, .name = slice_str("bank")};
    ck_assert_uint_eq(routes_learn_keyspace(&r, &info)->id, 9);
    info.id = 5;
    info.ttl_ms = 7;
    ck_assert_uint_eq(routes_learn_keyspace(&r, &info)->id, 9);
    ck_assert_uint_eq(routes_keyspace(&r, slice_str("bank"))->ttl_ms, 0);
    routes_free(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_keyspace");
    TCase *t = tcase_create("keyspace");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, single_keys_are_used_as_ever);
    tcase_add_test(t, a_transaction_over_buckets_is_one);
    tcase_add_loop_test(t, scans_merge_the_buckets, 0, 4);
    tcase_add_test(t, a_key_with_its_bucket_has_the_length_of_a_key);
    tcase_add_test(t, a_failing_bucket_fails_the_page);
    tcase_add_loop_test(t, a_watch_that_is_left_while_it_begins, 0, 4);
    tcase_add_test(t, the_keyspaces_time_to_live_goes_along);
    tcase_add_test(t, a_dropped_keyspace_is_refused_and_comes_back);
    tcase_add_test(t, a_keyspace_made_anew_is_noticed_by_transactions_over_ranges);
    tcase_add_test(t, a_keyspace_dropped_under_a_transaction_leaves_it_open);
    tcase_add_test(t, a_keyspace_by_hash_made_anew_is_noticed);
    tcase_add_test(t, a_watch_does_not_go_on_in_another_keyspace);
    tcase_add_test(t, a_watch_that_nodes_refuse);
    tcase_add_test(t, news_of_a_former_keyspace_are_old);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
