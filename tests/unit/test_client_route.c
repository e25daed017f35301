/* Where requests go and what is learned on the way: src/client/request.c, attempt.c, refresh.c, client.c. */
#include "base/mem.h"
#include "client/client_int.h"
#include "lib/client_rig.h"
#include "lib/suite.h"
#include "txn/command.h"

#include <check.h>
#include <stdio.h>

static struct fake_cluster f;
static struct outcome o;

START_TEST(reads_and_writes)
{
    fake_start(&f, (uint64_t)_i + 1, (size_t)_i * 7);
    fake_get(&f, &o, "apple");
    ck_assert_int_eq(o.status, STATUS_OK);
    ck_assert(!o.found);
    fake_add(&f, &o, "apple", 5, 0);
    ck_assert_int_eq(o.status, STATUS_OK);
    fake_add(&f, &o, "kiwi", 6, 0);
    fake_add(&f, &o, "quince", 7, 0);
    fake_add(&f, &o, "apple", 10, 0);
    ck_assert_str_eq(o.value, "15");
    fake_get(&f, &o, "quince");
    ck_assert(o.found);
    ck_assert_str_eq(o.value, "7");
    ck_assert_uint_eq(f.map_requests, 1);
    ck_assert_uint_eq(fake_stats(&f).retries, 0);
    ck_assert_uint_eq(fake_stats(&f).in_flight, 0);
    ck_assert_uint_eq(f.applied, 4);
    for (unsigned i = 1; i <= 3; i++) ck_assert_uint_gt(f.nodes[i].served, 0);
    fake_stop(&f);
}
END_TEST

/* Many requests that wait for the same first map cost one refresh, and leave in one send per node. */
START_TEST(one_refresh_for_all)
{
    fake_start(&f, 2, 0);
    static struct outcome all[300];
    for (unsigned i = 0; i < 300; i++) fake_start_get(&f, &all[i], i % 2 == 0 ? "apple" : "kiwi", 5000);
    for (unsigned i = 0; i < 300; i++) fake_wait(&f, &all[i], SECOND);
    for (unsigned i = 0; i < 300; i++) ck_assert_int_eq(all[i].status, STATUS_OK);
    ck_assert_uint_eq(f.map_requests, 1);
    ck_assert_uint_le(fakenet_counts(f.env).sends, 6);
    fake_stop(&f);
}
END_TEST

START_TEST(unknown_keyspace)
{
    fake_start(&f, 3, 0);
    fake_get(&f, &o, "apple");
    o = (struct outcome){.f = &f};
    client_get(f.client, slice_str("nobody"), slice_str("k"), 5000, outcome_on_get, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_NOT_FOUND);
    ck_assert(strstr(o.message, "nobody") != NULL);
    ck_assert(!o.unknown);
    /* It is asked for anew: it may have been created since. */
    f.keyspace_known = false;
    client_free(f.client);
    struct client_options options = {.meta_addresses = "meta:1", .role = ROLE_CLIENT};
    ck_assert_int_eq(client_new(f.env, &options, &f.client, NULL), STATUS_OK);
    fake_get(&f, &o, "apple");
    ck_assert_int_eq(o.status, STATUS_NOT_FOUND);
    f.keyspace_known = true;
    fake_get(&f, &o, "apple");
    ck_assert_int_eq(o.status, STATUS_OK);
    fake_stop(&f);
}
END_TEST

/* A request that comes while a refresh is under way does not take that one's silence for an answer. */
static bool create_after_answer(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    (void)ctx;
    if (r->method != METHOD_META_MAP || n->cluster->keyspace_known) return false;
    fake_serve(n, r);
    n->cluster->keyspace_known = true;
    return true;
}

START_TEST(keyspace_created_during_a_refresh)
{
    fake_start(&f, 4, 0);
    f.keyspace_known = false;
    f.hook = create_after_answer;
    struct outcome early;
    fake_start_get(&f, &early, "apple", 5000);
    while (!f.keyspace_known) (void)fakenet_run(f.net, NULL, NULL, 10000);
    fake_get(&f, &o, "apple"); /* the answer without the keyspace is still on its way */
    fake_wait(&f, &early, SECOND);
    ck_assert_int_eq(early.status, STATUS_NOT_FOUND);
    ck_assert_int_eq(o.status, STATUS_OK);
    fake_stop(&f);
}
END_TEST

START_TEST(leader_moves)
{
    fake_start(&f, 5 + (uint64_t)_i, 0);
    fake_get(&f, &o, "apple");
    for (unsigned i = 1; i <= FAKE_NODES; i++) f.nodes[i].hints = _i % 2 == 0;
    for (unsigned i = 0; i < 9; i++) {
        struct fake_range *r = fake_range_of_key(&f, "kiwi");
        r->leader = r->nodes[i % 3];
        uint64_t began = fakenet_now_ns(f.net);
        fake_get(&f, &o, "kiwi");
        ck_assert_int_eq(o.status, STATUS_OK);
        ck_assert_uint_lt(o.at_ns - began, 6 * MS);
    }
    ck_assert_uint_eq(f.map_requests, 1);
    fake_stop(&f);
}
END_TEST

START_TEST(no_leader_for_a_while)
{
    fake_start(&f, 20, 0);
    fake_get(&f, &o, "apple");
    fake_range_of_key(&f, "apple")->leader = 0;
    fake_start_add(&f, &o, "apple", 1, 0, 5000); /* without id: NOT_LEADER is definite, so that it goes on */
    (void)fakenet_run(f.net, NULL, NULL, SECOND);
    ck_assert_uint_eq(o.done, 0);
    uint64_t asked = f.nodes[1].asked + f.nodes[2].asked + f.nodes[3].asked;
    ck_assert_uint_ge(asked, 20);
    ck_assert_uint_le(asked, 100); /* pauses of up to 100 ms */
    fake_range_of_key(&f, "apple")->leader = 2;
    uint64_t began = fakenet_now_ns(f.net);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_OK);
    ck_assert_uint_lt(o.at_ns - began, 110 * MS);
    ck_assert_uint_eq(f.applied, 1);
    fake_stop(&f);
}
END_TEST

START_TEST(splits_and_merges_are_learned_from_refusals)
{
    fake_start(&f, 30, 0);
    fake_get(&f, &o, "apple");
    fake_add(&f, &o, "fig", 3, 0);
    fake_split(&f, "c"); /* the metadata service does not hear of it */
    fake_split(&f, "e");
    fake_get(&f, &o, "fig");
    ck_assert_str_eq(o.value, "3");
    fake_add(&f, &o, "apple", 1, 0);
    fake_add(&f, &o, "date", 1, 0);
    ck_assert_int_eq(o.status, STATUS_OK);
    fake_merge(&f, "c");
    fake_merge(&f, "e");
    fake_merge(&f, "h");
    fake_range_of_key(&f, "a")->leader = 3;
    fake_sync(&f); /* a range that was merged away is the one case that refusals cannot teach */
    fake_get(&f, &o, "kiwi");
    ck_assert_int_eq(o.status, STATUS_OK);
    fake_get(&f, &o, "fig");
    ck_assert_str_eq(o.value, "3");
    ck_assert_uint_le(f.map_requests, 3);
    fake_stop(&f);
}
END_TEST

START_TEST(range_moves_to_other_nodes)
{
    fake_start(&f, 31, 0);
    fake_get(&f, &o, "apple");
    struct fake_range *r = fake_range_of_key(&f, "kiwi"); /* on 4, 2, 3; led by 2 */
    r->nodes[0] = 1;
    r->nodes[1] = 4;
    r->nodes[2] = 3;
    r->leader = 1;
    r->epoch.conf_ver += 2;
    fake_sync(&f);
    fake_get(&f, &o, "kiwi");
    ck_assert_int_eq(o.status, STATUS_OK);
    /* and when even the metadata service does not know yet, it is waited for */
    r->nodes[0] = 2;
    r->nodes[1] = 0;
    r->nodes[2] = 0;
    r->leader = 2;
    r->epoch.conf_ver += 2;
    fake_start_get(&f, &o, "kiwi", 5000);
    (void)fakenet_run(f.net, NULL, NULL, 500 * MS);
    ck_assert_uint_eq(o.done, 0);
    ck_assert_uint_le(f.map_requests, 30);
    fake_sync(&f);
    fake_wait(&f, &o, 300 * MS);
    ck_assert_int_eq(o.status, STATUS_OK);
    fake_stop(&f);
}
END_TEST

START_TEST(gap_in_the_map)
{
    fake_start(&f, 32, 0);
    f.known_count = 2; /* the third range is not reported yet */
    fake_get(&f, &o, "apple");
    fake_start_get(&f, &o, "quince", 5000);
    (void)fakenet_run(f.net, NULL, NULL, 500 * MS);
    ck_assert_uint_eq(o.done, 0);
    ck_assert_uint_ge(f.map_requests, 4);
    ck_assert_uint_le(f.map_requests, 30);
    fake_sync(&f);
    fake_wait(&f, &o, 120 * MS);
    ck_assert_int_eq(o.status, STATUS_OK);
    fake_stop(&f);
}
END_TEST

START_TEST(dead_leader)
{
    fake_start(&f, 40 + (uint64_t)_i, 0);
    fake_get(&f, &o, "kiwi");
    fakenet_down(f.nodes[2].env, true);
    fake_range_of_key(&f, "kiwi")->leader = 4;
    f.nodes[3].hints = _i == 0; /* else it does not know whom to name */
    uint64_t began = fakenet_now_ns(f.net);
    fake_add(&f, &o, "kiwi", 1, _i == 1 ? 77 : 0);
    ck_assert_int_eq(o.status, STATUS_OK);
    ck_assert_uint_lt(o.at_ns - began, 30 * MS);
    began = fakenet_now_ns(f.net);
    fake_get(&f, &o, "kiwi");
    ck_assert_uint_lt(o.at_ns - began, 2 * MS);
    /* A hint at the dead one leads nobody astray for long. */
    fake_range_of_key(&f, "kiwi")->leader = 2;
    fake_start_get(&f, &o, "kiwi", 5000);
    (void)fakenet_run(f.net, NULL, NULL, 700 * MS);
    ck_assert_uint_eq(o.done, 0);
    fake_range_of_key(&f, "kiwi")->leader = 3;
    fake_wait(&f, &o, 700 * MS);
    ck_assert_int_eq(o.status, STATUS_OK);
    fake_stop(&f);
}
END_TEST

static bool ignore_node_2(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    (void)ctx;
    if (n->self.node_id != 2 || r->method == METHOD_META_MAP) return false;
    rpc_request_drop(r); /* taken, and never answered */
    return true;
}

START_TEST(leader_that_hangs)
{
    fake_start(&f, 50, 0);
    fake_get(&f, &o, "kiwi");
    f.hook = ignore_node_2;
    fake_range_of_key(&f, "kiwi")->leader = 4; /* the others have elected another one */
    uint64_t began = fakenet_now_ns(f.net);
    fake_get(&f, &o, "kiwi");
    ck_assert_int_eq(o.status, STATUS_OK);
    ck_assert_uint_ge(o.at_ns - began, SECOND);
    ck_assert_uint_lt(o.at_ns - began, SECOND + 10 * MS);
    fake_stop(&f);
}
END_TEST

static bool say(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    enum status *status = ctx;
    if (n->self.role == ROLE_META || *status == STATUS_OK) return false;
    n->asked++;
    fake_refuse(r, *status, false, 0);
    return true;
}

START_TEST(busy_is_repeated_until_the_deadline)
{
    fake_start(&f, 60, 0);
    fake_get(&f, &o, "apple");
    enum status status = _i == 0 ? STATUS_BUSY : STATUS_RETRY;
    f.hook = say;
    f.hook_ctx = &status;
    uint64_t began = fakenet_now_ns(f.net);
    fake_start_add(&f, &o, "apple", 1, 0, 1000);
    fake_wait(&f, &o, 2 * SECOND);
    ck_assert_int_eq(o.status, STATUS_TIMEOUT);
    ck_assert(!o.unknown); /* each try was refused definitely */
    ck_assert(strstr(o.message, status_name(status)) != NULL);
    ck_assert_uint_ge(o.at_ns - began, SECOND);
    ck_assert_uint_lt(o.at_ns - began, SECOND + MS);
    ck_assert_uint_ge(fake_stats(&f).retries, 10);
    ck_assert_uint_le(fake_stats(&f).retries, 40);
    fake_start_add(&f, &o, "apple", 1, 0, 5000);
    (void)fakenet_run(f.net, NULL, NULL, 500 * MS);
    ck_assert_uint_eq(o.done, 0);
    status = STATUS_OK;
    fake_wait(&f, &o, 110 * MS);
    ck_assert_int_eq(o.status, STATUS_OK);
    ck_assert_str_eq(o.value, "1");
    fake_stop(&f);
}
END_TEST

START_TEST(refusals_for_good)
{
    fake_start(&f, 61, 0);
    fake_get(&f, &o, "apple");
    static const enum status FINAL[] = {STATUS_INVALID, STATUS_TOO_LARGE, STATUS_UNSUPPORTED, STATUS_NO_SPACE,
                                        STATUS_IO};
    for (unsigned i = 0; i < 5; i++) {
        enum status status = FINAL[i];
        f.hook = say;
        f.hook_ctx = &status;
        uint64_t retries = fake_stats(&f).retries;
        fake_add(&f, &o, "apple", 1, i % 2 == 0 ? 0 : 5);
        ck_assert_int_eq(o.status, status);
        ck_assert(!o.served);
        ck_assert(!o.unknown);
        ck_assert_str_eq(o.message, "as the test says");
        ck_assert_uint_eq(fake_stats(&f).retries, retries);
    }
    ck_assert_uint_eq(f.applied, 0);
    fake_stop(&f);
}
END_TEST

START_TEST(nothing_can_be_reached)
{
    fake_start(&f, 62, 0);
    fakenet_down(f.nodes[0].env, true);
    uint64_t began = fakenet_now_ns(f.net);
    fake_start_get(&f, &o, "apple", 700);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_UNAVAILABLE);
    ck_assert(!o.unknown);
    ck_assert(strstr(o.message, "metadata") != NULL);
    ck_assert_uint_eq(o.at_ns - began, 700 * MS);
    fakenet_down(f.nodes[0].env, false);
    (void)fakenet_run(f.net, NULL, NULL, SECOND);
    fake_get(&f, &o, "apple");
    ck_assert_int_eq(o.status, STATUS_OK);
    /* T46: with the map known, the metadata service may be away; a failover of the range included. */
    fakenet_down(f.nodes[0].env, true);
    fakenet_down(f.nodes[1].env, true);
    (void)fakenet_run(f.net, NULL, NULL, MS); /* what is sent before the break is seen would end as unknown */
    fake_range_of_key(&f, "apple")->leader = 0;
    fake_start_add(&f, &o, "apple", 1, 0, 3000);
    (void)fakenet_run(f.net, NULL, NULL, 600 * MS);
    fake_range_of_key(&f, "apple")->leader = 3;
    fake_wait(&f, &o, 150 * MS);
    ck_assert_int_eq(o.status, STATUS_OK);
    for (unsigned i = 1; i <= FAKE_NODES; i++) fakenet_down(f.nodes[i].env, true);
    (void)fakenet_run(f.net, NULL, NULL, MS);
    began = fakenet_now_ns(f.net);
    fake_start_add(&f, &o, "apple", 1, 0, 1500);
    fake_wait(&f, &o, 2 * SECOND);
    ck_assert_int_eq(o.status, STATUS_UNAVAILABLE);
    ck_assert(!o.unknown);
    ck_assert_uint_eq(o.at_ns - began, 1500 * MS);
    fake_stop(&f);
}
END_TEST

START_TEST(deadline_travels)
{
    fake_start(&f, 63, 0);
    fake_start_add(&f, &o, "apple", 1, 0, 4321);
    fake_wait(&f, &o, SECOND);
    ck_assert_uint_gt(f.nodes[1].last_deadline_ms, 4310);
    ck_assert_uint_lt(f.nodes[1].last_deadline_ms, 4321);
    fake_start_get(&f, &o, "apple", 300);
    fake_wait(&f, &o, SECOND);
    ck_assert_uint_ge(f.nodes[1].last_deadline_ms, 299);
    fake_stop(&f);
}
END_TEST

START_TEST(keys_of_several_ranges)
{
    fake_start(&f, 64, 0);
    struct txn_op ops[2] = {{.kind = TXN_PUT, .key = slice_str("apple"), .value = slice_str("1")},
                            {.kind = TXN_PUT, .key = slice_str("quince"), .value = slice_str("2")}};
    struct txn t = {.ops = ops, .op_count = 2};
    for (unsigned i = 0; i < 2; i++) {
        o = (struct outcome){.f = &f};
        client_txn(f.client, slice_str("bank"), &t, 5000, outcome_on_txn, &o);
        fake_wait(&f, &o, SECOND);
        ck_assert_int_eq(o.status, STATUS_OK);
    }
    ck_assert_uint_eq(f.applied, 0); /* by no entry of one range */
    (void)fakenet_run(f.net, NULL, NULL, SECOND);
    ck_assert_uint_eq(txn_table_count(f.table), 0); /* decided and forgotten */
    /* After a merge that the cache has not seen, the same is served. */
    fake_merge(&f, "h");
    fake_merge(&f, "p");
    fake_sync(&f);
    o = (struct outcome){.f = &f};
    client_txn(f.client, slice_str("bank"), &t, 5000, outcome_on_txn, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_OK);
    fake_stop(&f);
}
END_TEST

struct seals { /* those of the range that has the key "quince" */
    unsigned count;
    /* Its log is long: what its leader is asked is proposed, and comes to its turn when nobody waits for it any more. */
    bool late;
};

static bool count_seals(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    struct seals *seals = ctx;
    const struct fake_range *range = fake_range_of_key(n->cluster, "quince");
    struct arena arena;
    struct txn_request m;
    if (r->method != METHOD_TXN) return false;
    arena_init(&arena, 1024);
    ck_assert_int_eq(unpack_txn_request(r->params, &arena, &m), STATUS_OK);
    bool here = m.to.range_id == range->id && (!seals->late || range->leader == n->self.node_id);
    bool drop = here && seals->late && m.kind <= TXN_COMMAND_SEAL;
    seals->count += here && m.kind == TXN_COMMAND_SEAL;
    if (drop) rpc_request_drop(r);
    arena_free(&arena);
    return drop;
}

/* Each Seal is one more entry for a log that is behind as it is: as with any request, a try is more patient than the one before. */
START_TEST(seals_grow_rare)
{
    struct seals seals = {.late = true};
    fake_start(&f, 66, 0);
    fake_get(&f, &o, "quince");
    f.hook = count_seals;
    f.hook_ctx = &seals;
    struct txn_op ops[2] = {{.kind = TXN_PUT, .key = slice_str("apple"), .value = slice_str("1")},
                            {.kind = TXN_PUT, .key = slice_str("quince"), .value = slice_str("2")}};
    struct txn t = {.ops = ops, .op_count = 2};
    o = (struct outcome){.f = &f};
    client_txn(f.client, slice_str("bank"), &t, 3000, outcome_on_txn, &o);
    fake_wait(&f, &o, 4 * SECOND);
    ck_assert_int_eq(o.status, STATUS_TIMEOUT);
    ck_assert(o.unknown);
    (void)fakenet_run(f.net, NULL, NULL, 47 * SECOND);
    ck_assert_uint_ge(seals.count, 5);
    ck_assert_uint_le(seals.count, 10); /* at 0, 1, 3, 7, 15 s, and every 8 s from then on */
    ck_assert(!list_empty(&f.client->spreads));
    f.hook = NULL;
    (void)fakenet_run(f.net, NULL, NULL, 9 * SECOND);
    ck_assert(list_empty(&f.client->spreads)); /* settled, before it was given up */
    fake_stop(&f);
}
END_TEST

/* Fates gather for as long as a range has no leader. All of them together must not keep this process and the nodes busy. */
START_TEST(pauses_of_a_fate_grow)
{
    struct seals seals = {.late = false};
    fake_start(&f, 67, 0);
    fake_get(&f, &o, "quince");
    struct fake_range *range = fake_range_of_key(&f, "quince");
    uint64_t leader = range->leader;
    range->leader = 0;
    f.hook = count_seals;
    f.hook_ctx = &seals;
    struct txn_op ops[2] = {{.kind = TXN_PUT, .key = slice_str("apple"), .value = slice_str("1")},
                            {.kind = TXN_PUT, .key = slice_str("quince"), .value = slice_str("2")}};
    struct txn t = {.ops = ops, .op_count = 2};
    o = (struct outcome){.f = &f};
    client_txn(f.client, slice_str("bank"), &t, 3000, outcome_on_txn, &o);
    fake_wait(&f, &o, 4 * SECOND);
    ck_assert_int_eq(o.status, STATUS_TIMEOUT);
    (void)fakenet_run(f.net, NULL, NULL, 17 * SECOND);
    unsigned before = seals.count;
    (void)fakenet_run(f.net, NULL, NULL, 10 * SECOND);
    ck_assert_uint_ge(seals.count - before, 3 * 10);
    ck_assert_uint_le(seals.count - before, 3 * 20); /* three replicas, every 0.5 to 1 s */
    range->leader = leader;
    (void)fakenet_run(f.net, NULL, NULL, 2 * SECOND);
    ck_assert(list_empty(&f.client->spreads)); /* and yet it is settled soon */
    fake_stop(&f);
}
END_TEST

struct slow_part { /* the Prepare for "apple" is kept by its node; that for "quince" meets a lock, once */
    struct fake_node *at;
    struct rpc_request *kept;
    unsigned prepares;
    bool refused;
};

static bool keep_one_refuse_one(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    struct slow_part *s = ctx;
    struct arena arena;
    struct txn_request m;
    if (r->method != METHOD_TXN) return false;
    arena_init(&arena, 1024);
    ck_assert_int_eq(unpack_txn_request(r->params, &arena, &m), STATUS_OK);
    bool prepare = m.kind == TXN_COMMAND_PREPARE;
    bool apple = m.to.range_id == fake_range_of_key(n->cluster, "apple")->id;
    arena_free(&arena);
    s->prepares += prepare;
    if (prepare && apple && s->kept == NULL) {
        s->at = n;
        s->kept = r;
        return true;
    }
    if (!prepare || apple || s->refused) return false;
    s->refused = true;
    fake_refuse(r, STATUS_BLOCKED, false, 0);
    return true;
}

/* The parts of attempts that came to nothing hold locks until they are settled: with one more every 150 ms where that takes 200, a
 * transaction met nothing but itself. */
START_TEST(attempts_do_not_pile_up)
{
    struct slow_part slow = {.kept = NULL};
    fake_start(&f, 68, 0);
    fake_get(&f, &o, "quince");
    fake_get(&f, &o, "apple");
    f.hook = keep_one_refuse_one;
    f.hook_ctx = &slow;
    struct txn_op ops[2] = {{.kind = TXN_PUT, .key = slice_str("apple"), .value = slice_str("1")},
                            {.kind = TXN_PUT, .key = slice_str("quince"), .value = slice_str("2")}};
    struct txn t = {.ops = ops, .op_count = 2};
    o = (struct outcome){.f = &f};
    client_txn(f.client, slice_str("bank"), &t, 5000, outcome_on_txn, &o);
    (void)fakenet_run(f.net, NULL, NULL, 1500 * MS);
    ck_assert(slow.refused);
    ck_assert_uint_eq(slow.prepares, 2);
    ck_assert_uint_eq(o.done, 0);
    fake_serve(slow.at, slow.kept);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_OK);
    ck_assert_uint_eq(slow.prepares, 4);
    fake_stop(&f);
}
END_TEST

START_TEST(requests_refused_here)
{
    fake_start(&f, 65, 0);
    struct txn empty = {.ops = NULL};
    o = (struct outcome){.f = &f};
    client_txn(f.client, slice_str("bank"), &empty, 5000, outcome_on_txn, &o);
    ck_assert_uint_eq(o.done, 0); /* never from inside the call */
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_INVALID);
    static char large[LIMIT_KEY_BYTES + 2];
    memset(large, 'k', sizeof(large) - 1);
    fake_get(&f, &o, large);
    ck_assert_int_eq(o.status, STATUS_TOO_LARGE);
    fake_get(&f, &o, "");
    ck_assert_int_eq(o.status, STATUS_INVALID);
    struct txn_op *ops = mem_zalloc(9 * sizeof(*ops));
    uint8_t *value = mem_zalloc(LIMIT_VALUE_BYTES);
    for (unsigned i = 0; i < 9; i++)
        ops[i] = (struct txn_op){
            .kind = TXN_PUT, .key = slice_make(&"abcdefghi"[i], 1), .value = slice_make(value, LIMIT_VALUE_BYTES)};
    struct txn t = {.ops = ops, .op_count = 9};
    o = (struct outcome){.f = &f};
    client_txn(f.client, slice_str("bank"), &t, 5000, outcome_on_txn, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_TOO_LARGE);
    t.op_count = 5; /* below the limit: served, whole, the keyspace being unknown until now */
    o = (struct outcome){.f = &f};
    client_txn(f.client, slice_str("bank"), &t, 5000, outcome_on_txn, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_OK);
    mem_free(value);
    mem_free(ops);
    fake_stop(&f);
}
END_TEST

START_TEST(in_flight_is_bounded)
{
    fake_start(&f, 66, 0);
    client_free(f.client);
    struct client_options options = {.meta_addresses = "meta:1", .role = ROLE_CLIENT, .in_flight_max = 3};
    ck_assert_int_eq(client_new(f.env, &options, &f.client, NULL), STATUS_OK);
    struct outcome all[5];
    for (unsigned i = 0; i < 5; i++) fake_start_get(&f, &all[i], "apple", 5000);
    for (unsigned i = 0; i < 5; i++) fake_wait(&f, &all[i], SECOND);
    for (unsigned i = 0; i < 5; i++) ck_assert_int_eq(all[i].status, i < 3 ? STATUS_OK : STATUS_BUSY);
    fake_get(&f, &o, "apple");
    ck_assert_int_eq(o.status, STATUS_OK);
    fake_stop(&f);
}
END_TEST

START_TEST(free_with_requests_under_way)
{
    fake_start(&f, 67 + (uint64_t)_i, 0);
    if (_i > 2) fake_get(&f, &o, "kiwi");
    f.hook = ignore_node_2;
    struct outcome all[4];
    fake_start_get(&f, &all[0], "kiwi", 5000);
    fake_start_add(&f, &all[1], "kiwi", 1, 0, 5000);
    uint64_t span = (uint64_t)(unsigned)_i * 300000u;
    (void)fakenet_run(f.net, NULL, NULL, span);
    fake_start_get(&f, &all[2], "kiwi", 5000);
    fake_start_add(&f, &all[3], "apple", 1, 7, 5000);
    client_free(f.client);
    struct client_options options = {.meta_addresses = "meta:1", .role = ROLE_CLIENT};
    ck_assert_int_eq(client_new(f.env, &options, &f.client, NULL), STATUS_OK);
    f.hook = NULL;
    fake_get(&f, &o, "kiwi");
    ck_assert_uint_eq(all[0].done + all[1].done + all[2].done, 0);
    fake_stop(&f);
}
END_TEST

static void on_map(void *ctx, const struct client_error *e, const struct meta_map_reply *map)
{
    outcome_note(ctx, e);
    if (map == NULL) return;
    ((struct outcome *)ctx)->row_count = map->range_count;
}

static void on_call(void *ctx, const struct client_error *e, struct slice payload)
{
    struct outcome *out = ctx;
    outcome_note(out, e);
    (void)snprintf(out->value, sizeof(out->value), "%.*s", (int)payload.size, (const char *)payload.data);
}

START_TEST(direct_requests)
{
    fake_start(&f, 70, 0);
    o = (struct outcome){.f = &f};
    client_map(f.client, slice_str("bank"), 5000, on_map, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_uint_eq(o.row_count, 3);
    fake_get(&f, &o, "apple"); /* what was asked for a person serves the router too */
    ck_assert_uint_eq(f.map_requests, 1);
    o = (struct outcome){.f = &f};
    client_meta(f.client, METHOD_META_STATUS, SLICE_EMPTY, 5000, on_call, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_str_eq(o.value, "status");
    o = (struct outcome){.f = &f};
    client_meta(f.client, METHOD_META_IDS, SLICE_EMPTY, 5000, on_call, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_UNSUPPORTED);
    for (unsigned i = 0; i < 3; i++) {
        o = (struct outcome){.f = &f};
        client_node(f.client, i == 1 ? "meta:1" : "node:4", METHOD_NODE_STATUS, SLICE_EMPTY, 5000, on_call, &o);
        fake_wait(&f, &o, SECOND);
        ck_assert_str_eq(o.value, "status");
    }
    o = (struct outcome){.f = &f};
    client_node(f.client, "node:99", METHOD_NODE_STATUS, SLICE_EMPTY, 5000, on_call, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_UNAVAILABLE);
    ck_assert(strstr(o.message, "node:99") != NULL);
    fake_stop(&f);
}
END_TEST

static bool lose_one_then_refuse(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    unsigned *count = ctx;
    if (n->self.role != ROLE_META || r->method != METHOD_META_OP) return false;
    if (++*count == 1)
        rpc_request_drop(r); /* carried out, and its answer lost */
    else
        rpc_reply(r, &(struct reply_head){
                         .status = STATUS_EXISTS, .message = slice_str("under way already"), .payload = SLICE_EMPTY});
    return true;
}

/* It may be one's own that is there already. */
START_TEST(a_refusal_after_a_lost_try_is_not_definite)
{
    unsigned count = 0;
    fake_start(&f, 71, 0);
    f.hook = lose_one_then_refuse;
    f.hook_ctx = &count;
    for (unsigned i = 0; i < 2; i++) {
        o = (struct outcome){.f = &f};
        client_meta(f.client, METHOD_META_OP, SLICE_EMPTY, 5000, on_call, &o);
        fake_wait(&f, &o, 4 * SECOND);
        ck_assert_int_eq(o.status, STATUS_EXISTS);
        ck_assert(o.unknown == (i == 0));
    }
    ck_assert_uint_eq(count, 3);
    fake_stop(&f);
}
END_TEST

START_TEST(another_cluster)
{
    fake_start(&f, 71, 0);
    for (unsigned i = 0; i <= FAKE_NODES; i++) f.nodes[i].self.cluster.bytes[0] = 1;
    f.nodes[2].self.cluster.bytes[0] = 2; /* at the address of node 2 there is somebody else's now */
    fake_get(&f, &o, "apple");            /* and the client has learned its cluster */
    fake_range_of_key(&f, "kiwi")->leader = 3;
    fake_get(&f, &o, "kiwi");
    ck_assert_int_eq(o.status, STATUS_OK);
    ck_assert_uint_eq(f.nodes[2].asked, 0);
    fake_stop(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_route");
    TCase *t = tcase_create("route");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, reads_and_writes, 0, 5);
    tcase_add_test(t, one_refresh_for_all);
    tcase_add_test(t, unknown_keyspace);
    tcase_add_test(t, keyspace_created_during_a_refresh);
    tcase_add_loop_test(t, leader_moves, 0, 6);
    tcase_add_test(t, no_leader_for_a_while);
    tcase_add_test(t, splits_and_merges_are_learned_from_refusals);
    tcase_add_test(t, range_moves_to_other_nodes);
    tcase_add_test(t, gap_in_the_map);
    tcase_add_loop_test(t, dead_leader, 0, 2);
    tcase_add_test(t, leader_that_hangs);
    tcase_add_loop_test(t, busy_is_repeated_until_the_deadline, 0, 2);
    tcase_add_test(t, refusals_for_good);
    tcase_add_test(t, nothing_can_be_reached);
    tcase_add_test(t, deadline_travels);
    tcase_add_test(t, keys_of_several_ranges);
    tcase_add_test(t, seals_grow_rare);
    tcase_add_test(t, pauses_of_a_fate_grow);
    tcase_add_test(t, attempts_do_not_pile_up);
    tcase_add_test(t, requests_refused_here);
    tcase_add_test(t, in_flight_is_bounded);
    tcase_add_loop_test(t, free_with_requests_under_way, 0, 10);
    tcase_add_test(t, direct_requests);
    tcase_add_test(t, another_cluster);
    tcase_add_test(t, a_refusal_after_a_lost_try_is_not_definite);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
