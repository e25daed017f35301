/* A metadata service made anew: what nodes tell becomes rows, or is refused for what it lacks. */
#include "base/cursor.h"
#include "base/mem.h"
#include "lib/suite.h"
#include "meta/catalogue.h"
#include "meta/machine.h"
#include "meta/rebuild.h"

#include <stdio.h>

enum { NODES = 3, HELD = 8 };
#define WALL_MS 1700000000000u

static struct arena arena;
static struct meta_catalogue catalogue;
static struct node_holds_reply told[NODES];
static struct held_replica held[NODES][HELD];
static struct rebuild_asked asked;
static struct rebuild_plan plan;
static uint64_t without[2];

static const struct cluster_id CLUSTER = {.bytes = {7, 7, 7}};

static void row(char prefix, uint64_t id, const struct buf *value)
{
    uint8_t key[10] = {(uint8_t)prefix, '/'};
    be_set_u64(key + 2, id);
    meta_catalogue_row(&catalogue, slice_make(key, sizeof key), buf_slice(value), false);
}

static void node_row(uint64_t id, const char *uuid, bool leaving, uint64_t lost_ms)
{
    struct buf b;
    buf_init(&b, 1024);
    meta_node_row_encode(&(struct meta_node_row){.id = id,
                                                 .uuid = slice_make(uuid, 16),
                                                 .address = slice_str("there:1"),
                                                 .host = slice_str("there"),
                                                 .leaving = leaving,
                                                 .lost_ms = lost_ms},
                         &b);
    row('n', id, &b);
    buf_free(&b);
}

static void keyspace_row(const char *key, uint32_t id)
{
    struct buf b;
    buf_init(&b, 1024);
    meta_keyspace_row_encode(&(struct meta_keyspace_row){.id = id, .replication = 3, .ttl_ms = 9}, &b);
    meta_catalogue_row(&catalogue, slice_str(key), buf_slice(&b), false);
    buf_free(&b);
}

static void cluster_row(void)
{
    struct buf b;
    buf_init(&b, 1024);
    pack_array(&b, 2);
    pack_bin(&b, slice_make(CLUSTER.bytes, CLUSTER_ID_BYTES));
    pack_uint(&b, 3);
    meta_catalogue_row(&catalogue, slice_str("c"), buf_slice(&b), false);
    buf_free(&b);
}

static const char *const UUIDS[] = {"0000000000000001", "0000000000000002", "0000000000000003", "0000000000000004"};

static struct range_desc range(uint64_t id, uint32_t keyspace, const char *start, const char *end, uint64_t version)
{
    struct range_desc d = {.id = id,
                           .keyspace = keyspace,
                           .start = slice_str(start),
                           .end = slice_str(end),
                           .epoch = {.conf_ver = 1, .version = version},
                           .replica_count = NODES};
    for (size_t i = 0; i < NODES; i++)
        d.replicas[i] = (struct range_replica){.node_id = i + 1, .replica_id = i + 1, .role = RANGE_VOTER};
    return d;
}

static void holds(unsigned node, struct range_desc d, bool leads)
{
    struct node_holds_reply *n = &told[node - 1];
    held[node - 1][n->held_count++] =
        (struct held_replica){.desc = d, .replica_id = node, .term = 5, .leads = leads, .whole = true};
}

static void everybody_holds(struct range_desc d)
{
    for (unsigned i = 1; i <= NODES; i++) holds(i, d, i == 1);
}

static void setup(void)
{
    arena_init(&arena, 65536);
    meta_catalogue_init(&catalogue);
    asked = (struct rebuild_asked){.nodes = told, .node_count = NODES, .without = without, .wall_ms = WALL_MS};
    for (unsigned i = 0; i < NODES; i++) {
        told[i] = (struct node_holds_reply){.node_id = i + 1,
                                            .uuid = slice_make(UUIDS[i], 16),
                                            .address = slice_str("here:1"),
                                            .host = slice_str("here"),
                                            .cluster = CLUSTER,
                                            .wall_ms = WALL_MS,
                                            .heard_ms = 20000,
                                            .held = held[i]};
        node_row(i + 1, UUIDS[i], false, 0);
    }
    cluster_row();
    keyspace_row("k/default", 1);
    memset(&plan, 0, sizeof plan);
}

static void teardown(void)
{
    rebuild_plan_free(&plan);
    meta_catalogue_clear(&catalogue);
    arena_free(&arena);
}

/* All of them keep the catalogue, node 2 the newest one. */
static void make(void)
{
    uint64_t hash;
    struct slice rows = meta_catalogue_packed(&catalogue, &hash);
    for (unsigned i = 0; i < NODES; i++)
        told[i].catalogue = (struct catalogue){.map_version = 40 + (i == 1), .term = 7, .rows = rows};
    rebuild_plan_free(&plan);
    rebuild_plan_make(&asked, &arena, &plan);
}

static bool says(const struct buf *b, const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i + size <= b->size; i++) {
        if (memcmp(b->data + i, text, size) == 0) return true;
    }
    printf("not '%s' in:\n%.*s", text, (int)b->size, (const char *)b->data);
    return false;
}

static struct slice row_of(const char *prefix, uint64_t id)
{
    for (size_t i = 0; i < plan.row_count; i++) {
        const struct catalogue_row *r = &plan.rows[i];
        bool has_id = r->key.size == 10 && be_u64(r->key.data + 2) == id;
        if (slice_eq(r->key, slice_str(prefix)) || (slice_starts(r->key, slice_str(prefix)) && has_id)) return r->value;
    }
    return SLICE_EMPTY;
}

static uint64_t number_of(const char *key)
{
    uint64_t n;
    ck_assert_int_eq(meta_number_row_decode(row_of(key, 0), &n), STATUS_OK);
    return n;
}

START_TEST(what_is_whole_is_made_anew)
{
    everybody_holds(range(2, 1, "", "m", 4));
    everybody_holds(range(7, 1, "m", "", 4));
    told[2].newest_ts = (WALL_MS + 500000ull) << TS_COUNTER_BITS; /* a clock had leapt */
    make();
    ck_assert_uint_eq(plan.faults.size, 0);
    ck_assert_uint_eq(plan.ranges, 2);
    ck_assert_uint_eq(plan.nodes, 3);
    ck_assert_uint_eq(number_of("i/range"), 1000000);
    ck_assert_uint_gt(number_of("i/node"), 3);
    ck_assert_uint_gt(number_of("v"), 41);
    ck_assert_uint_eq(number_of("b"), 1);
    ck_assert_uint_gt(number_of("t"), told[2].newest_ts + (100000ull << TS_COUNTER_BITS));
    struct meta_node_row node;
    ck_assert_int_eq(meta_node_row_decode(row_of("n/", 2), &node), STATUS_OK);
    ck_assert(slice_eq(node.address, slice_str("here:1"))); /* as it says itself */
    ck_assert_uint_eq(plan.rows[plan.row_count - 1].key.data[0], 'c');
    struct range_desc d;
    ck_assert_int_eq(unpack_range_desc(row_of("r/", 7), &arena, &d), STATUS_OK);
    ck_assert(slice_eq(d.start, slice_str("m")));
}
END_TEST

/* A follower that lags tells the range before its split; the leader's word goes, and no hole is seen. */
START_TEST(what_is_of_the_past_counts_for_nothing)
{
    holds(1, range(2, 1, "", "m", 5), true);
    holds(1, range(7, 1, "m", "", 5), true);
    holds(2, range(2, 1, "", "", 4), false);
    holds(3, range(9, 1, "p", "", 3), false); /* was taken in long ago */
    make();
    ck_assert_uint_eq(plan.faults.size, 0);
    ck_assert_uint_eq(plan.ranges, 2);
    ck_assert(says(&plan.remarks, "range 9, as node 3 has it, is of the past"));
    ck_assert_uint_eq(row_of("r/", 9).size, 0);
}
END_TEST

START_TEST(a_hole_is_refused)
{
    everybody_holds(range(2, 1, "", "g", 4));
    everybody_holds(range(7, 1, "m", "", 4));
    make();
    ck_assert(says(&plan.faults, "a hole in keyspace 'default': no node tells who has its keys from 'g' to 'm'"));
    for (unsigned i = 0; i < NODES; i++) told[i].held_count = 1;
    make();
    ck_assert(says(&plan.faults, "no node tells who has its keys from 'g' on (behind range 2)"));
    for (unsigned i = 0; i < NODES; i++) told[i].held_count = 0;
    make();
    ck_assert(says(&plan.faults, "no node tells of any range of keyspace 'default'"));
}
END_TEST

START_TEST(two_truths_are_refused)
{
    everybody_holds(range(2, 1, "", "m", 4));
    everybody_holds(range(7, 1, "k", "", 4));
    make();
    ck_assert(says(&plan.faults, "two truths: range 2"));
    for (unsigned i = 0; i < NODES; i++) told[i].held_count = 0;
    holds(1, range(2, 1, "", "", 4), true);
    struct range_desc other = range(2, 1, "", "", 4);
    other.replicas[2].node_id = 9;
    holds(2, other, false);
    make();
    ck_assert(says(&plan.faults, "two truths: nodes 1 and 2 tell range 2 differently"));
}
END_TEST

START_TEST(nobody_is_left_out_by_oversight)
{
    everybody_holds(range(2, 1, "", "", 4));
    node_row(4, UUIDS[3], false, 0);
    make();
    ck_assert(says(&plan.faults, "node 4 (there:1) has not answered"));
    without[0] = 4;
    asked.without_count = 1;
    make();
    ck_assert_uint_eq(plan.faults.size, 0);
    ck_assert_uint_eq(plan.nodes, 4); /* it is known, should it come back */
    asked.without_count = 0;
    node_row(4, UUIDS[3], true, 0); /* decommissioned */
    make();
    ck_assert_uint_eq(plan.faults.size, 0);
    node_row(4, UUIDS[3], false, 77); /* given up */
    make();
    ck_assert_uint_eq(plan.faults.size, 0);
    asked.node_count = 0;
    make();
    ck_assert(says(&plan.faults, "no storage node has answered"));
}
END_TEST

START_TEST(a_living_service_is_left_alone)
{
    everybody_holds(range(2, 1, "", "", 4));
    told[1].heard_ms = 3000;
    make();
    ck_assert(says(&plan.faults, "node 2 was answered by a metadata service 3000 ms ago: it lives"));
    told[1].heard_ms = UINT64_MAX;
    told[1].cluster.bytes[0] = 8;
    make();
    ck_assert(says(&plan.faults, "belongs to another cluster"));
    told[1].cluster.bytes[0] = 7;
    told[1].node_id = 1;
    make();
    ck_assert(says(&plan.faults, "two answer as node 1"));
    told[1].node_id = 2;
    told[1].uuid = slice_make(UUIDS[3], 16);
    make();
    ck_assert(says(&plan.faults, "the directory that answers as node 2 is not the one that was registered"));
}
END_TEST

START_TEST(without_a_leader_only_when_asked_for)
{
    for (unsigned i = 1; i <= NODES; i++) holds(i, range(2, 1, "", "", 4), false);
    make();
    ck_assert(says(&plan.faults, "range 2 from '' has no leader"));
    asked.leaderless = true;
    make();
    ck_assert_uint_eq(plan.faults.size, 0);
}
END_TEST

/* One was made when no node could be told any more, one was destroyed while a node was away. */
START_TEST(keyspaces_that_came_and_went)
{
    struct buf one;
    struct meta_keyspace_row k;
    struct range_desc d;
    buf_init(&one, 16);
    pack_uint(&one, 1);
    row('x', 2, &one);
    buf_free(&one);
    everybody_holds(range(2, 1, "", "", 4));
    holds(3, range(5, 2, "", "", 1), true);
    everybody_holds(range(6, 9, "", "", 1));
    make();
    ck_assert_uint_eq(plan.faults.size, 0);
    ck_assert_int_eq(meta_keyspace_row_decode(row_of("k/recovered-9", 0), &k), STATUS_OK);
    ck_assert_uint_eq(k.replication, 3);
    ck_assert_uint_gt(number_of("i/keyspace"), 9);
    ck_assert_int_eq(unpack_range_desc(row_of("r/", 5), &arena, &d), STATUS_OK);
    ck_assert_uint_eq(d.replica_count, 0); /* whoever holds it still is told that it is gone */
    ck_assert_uint_eq(d.epoch.conf_ver, META_DESTROYED_CONF_VER);
}
END_TEST

/* A service that was made anew once is made anew again: its terms stand above both. */
START_TEST(once_more)
{
    struct buf b;
    buf_init(&b, 16);
    pack_uint(&b, 1);
    meta_catalogue_row(&catalogue, slice_str("b"), buf_slice(&b), false);
    buf_free(&b);
    everybody_holds(range(2, 1, "", "", 4));
    make();
    ck_assert_uint_eq(plan.faults.size, 0);
    ck_assert_uint_eq(number_of("b"), 2);
    ck_assert_uint_gt(number_of("i/operator"), 2000000);
}
END_TEST

START_TEST(pieces_are_all_of_it)
{
    for (unsigned i = 0; i < 30000; i++) { /* more than a piece */
        char key[64];
        (void)snprintf(key, sizeof key, "s/setting.%06u.with.a.long.name", i);
        struct buf b;
        buf_init(&b, 16);
        pack_uint(&b, i);
        meta_catalogue_row(&catalogue, slice_str(key), buf_slice(&b), false);
        buf_free(&b);
    }
    everybody_holds(range(2, 1, "", "", 4));
    make();
    size_t at = 0, rows = 0, pieces = 0;
    bool last = false;
    struct buf piece;
    buf_init(&piece, LIMIT_FRAME_BYTES);
    while (rebuild_plan_piece(&plan, &at, &piece, &last)) {
        struct catalogue_rows part;
        ck_assert_int_eq(unpack_catalogue_rows(buf_slice(&piece), &arena, &part), STATUS_OK);
        rows += part.row_count;
        pieces++;
        ck_assert(last == (rows == plan.row_count));
    }
    buf_free(&piece);
    ck_assert_uint_eq(rows, plan.row_count);
    ck_assert_uint_ge(pieces, 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("meta_rebuild");
    TCase *tc = tcase_create("plan");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_is_whole_is_made_anew);
    tcase_add_test(tc, what_is_of_the_past_counts_for_nothing);
    tcase_add_test(tc, a_hole_is_refused);
    tcase_add_test(tc, two_truths_are_refused);
    tcase_add_test(tc, nobody_is_left_out_by_oversight);
    tcase_add_test(tc, a_living_service_is_left_alone);
    tcase_add_test(tc, without_a_leader_only_when_asked_for);
    tcase_add_test(tc, keyspaces_that_came_and_went);
    tcase_add_test(tc, once_more);
    tcase_add_test(tc, pieces_are_all_of_it);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
