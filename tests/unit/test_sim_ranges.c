/* Directed scenarios on a whole cluster (tests/sim/stage.h) about ranges that change: docs/ranges.md, docs/testing.md. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cover.h"
#include "lib/suite.h"
#include "range/command.h"
#include "sim/rot.h"
#include "sim/stage.h"

enum { CALL_MS = 5000, ADMIN = 1 }; /* ADMIN: the router that asks for changes; the others may die */

static struct stage stage;
static struct stage *const s = &stage;

static void teardown(void)
{
    stage_free(s);
}

static void setup(void)
{
    stage_init(s, 1);
    ck_assert_msg(!s->world.failed, "%s", s->world.failure);
}

static void sound(void)
{
    if (s->world.failed) world_trace_dump(&s->world, 60);
    ck_assert_msg(!s->world.failed, "%s", s->world.failure);
}

static void wait_for(const bool *flag)
{
    if (!stage_until(s, flag)) world_trace_dump(&s->world, 60);
    ck_assert_msg(*flag, "what was asked is not answered: %s", s->world.failure);
    sound();
}

static struct txn_op put_op(const char *key, const char *value)
{
    return (struct txn_op){.kind = TXN_PUT, .key = slice_str(key), .value = slice_str(value)};
}

static void put(const char *key, const char *value)
{
    struct stage_answer a;
    struct txn_op op = put_op(key, value);
    ck_assert(stage_do(s, 2, &(struct txn){.ops = &op, .op_count = 1}, &a));
    ck_assert(a.result == STATUS_OK);
}

static void is_there(const char *key, const char *value)
{
    struct stage_answer a;
    struct txn_op op = {.kind = TXN_GET, .key = slice_str(key), .value = SLICE_EMPTY};
    ck_assert(stage_do(s, 2, &(struct txn){.ops = &op, .op_count = 1}, &a));
    ck_assert_str_eq(a.values[0], value);
}

static void cut_off(const struct process *p, bool cut)
{
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++) {
        const struct process *q = s->cluster.nodes[i];
        if (q == p) continue;
        sim_net_cut(&s->world, p->index, q->index, cut);
        sim_net_cut(&s->world, q->index, p->index, cut);
    }
}

/* --- changes, asked for and made by hand --- */

struct find {
    uint32_t keyspace;
    const char *key;
    struct replica *found;
};

static void find_leader(void *ctx, struct replica *r)
{
    struct find *f = ctx;
    if (replica_leads(r) && range_desc_contains(replica_desc(r), f->keyspace, slice_str(f->key))) f->found = r;
}

/* Whoever leads the range of that key; *node: where. */
static struct replica *leader_of(const char *key, struct process **node)
{
    struct find f = {.keyspace = client_keyspace_id(stage_client(s, ADMIN), stage_keyspace), .key = key};
    for (unsigned i = 0; i < 100 && f.found == NULL; i++) {
        stage_run(s, 100 * MS_NS);
        *node = stage_leader(s, key);
        if (*node != NULL) host_each_replica(process_host(*node), find_leader, &f);
    }
    sound();
    ck_assert(f.found != NULL);
    return f.found;
}

static void change_answered(void *ctx, const struct client_error *e, struct slice payload)
{
    struct stage_answer *a = ctx;
    (void)payload;
    a->status = e->status;
    a->done = true;
}

static enum status ask_node(const struct process *node, enum method method, const struct buf *params)
{
    struct stage_answer a = {.done = false};
    client_node(stage_client(s, ADMIN), node->address, method, buf_slice(params), CALL_MS, change_answered, &a);
    process_pass_soon(s->cluster.clients[ADMIN]);
    wait_for(&a.done);
    return a.status;
}

static enum status split(const char *range, const char *key)
{
    struct process *node;
    struct buf params;
    buf_init(&params, 4096);
    struct range_split_request q = {.range_id = replica_group(leader_of(range, &node)), .key = slice_str(key)};
    pack_range_split_request(&params, &q);
    enum status answer = ask_node(node, METHOD_RANGE_SPLIT, &params);
    buf_free(&params);
    return answer;
}

static void split_at(const char *key)
{
    ck_assert_int_eq(split(key, key), STATUS_OK);
}

static enum status merge(const char *left, const char *right)
{
    struct process *node;
    struct buf params;
    buf_init(&params, 4096);
    struct range_merge_request q = {.right_id = replica_group(leader_of(right, &node))};
    q.left_id = replica_group(leader_of(left, &node));
    pack_range_merge_request(&params, &q);
    enum status answer = ask_node(node, METHOD_RANGE_MERGE, &params);
    buf_free(&params);
    return answer;
}

static void merge_ranges_of(const char *left, const char *right)
{
    ck_assert_int_eq(merge(left, right), STATUS_OK);
}

static bool changed;
enum { NOBODY = 1000000 }; /* a range that there is not */

static void change_applied(struct proposal *p, enum status status, bool unknown, struct slice answer)
{
    (void)p;
    (void)unknown;
    changed = status == STATUS_OK && range_answer_status(answer) == STATUS_OK;
}

/* An entry of a merge, in the log of the range that has the key. */
static void change(const char *key, struct range_command c)
{
    static struct proposal proposal;
    struct process *node;
    struct replica *r = leader_of(key, &node);
    struct buf encoded;
    buf_init(&encoded, 4096);
    c.epoch = replica_desc(r)->epoch;
    c.key = SLICE_EMPTY;
    range_command_encode(&c, &encoded);
    proposal = (struct proposal){.done = change_applied, .deadline_ns = DEADLINE_NONE};
    list_init(&proposal.link);
    changed = false;
    ck_assert_int_eq(replica_propose(r, buf_slice(&encoded), &proposal), STATUS_OK);
    process_pass_soon(node);
    buf_free(&encoded);
    wait_for(&changed);
}

/* --- splits --- */

/* T34: at its first key one side would be empty; so it would be at the next range's. */
START_TEST(no_side_is_left_empty)
{
    static const char *const KEYS[] = {"c", "d"};
    ck_assert_int_eq(split("c", KEYS[_i]), STATUS_INVALID);
}
END_TEST

/* --- merges --- */

/* T32: a range is frozen for its left neighbour, which gives up and is taken in itself before anybody thaws the right one. Whoever has
 * the left one's keys by then tells that it will not come. */
START_TEST(the_left_one_is_taken_in_before_the_thaw)
{
    struct process *node;
    split_at("c3");
    split_at("c6");
    const struct replica *left = leader_of("c3", &node);
    uint64_t thawed = cover_count("range.merge_thawed");
    struct range_command freeze = {
        .kind = RANGE_FREEZE, .other = replica_group(left), .version = replica_desc(left)->epoch.version};
    change("c3", (struct range_command){.kind = RANGE_INTEND_SINCE, .other = NOBODY});
    change("c3", (struct range_command){.kind = RANGE_ABORT, .other = NOBODY});
    merge_ranges_of("c", "c3");
    change("c6", freeze);
    put("c7", "served again");
    ck_assert_uint_gt(cover_count("range.merge_thawed"), thawed);
}
END_TEST

/* T32: before the cluster is finalised only the left one as its abort has made it proves the abort. It is split when the right one has thawed. */
START_TEST(the_left_one_stays_until_the_thaw)
{
    struct process *node;
    struct buf params;
    split_at("c3");
    const struct replica *left = leader_of("c", &node);
    struct range_command freeze = {
        .kind = RANGE_FREEZE, .other = replica_group(left), .version = replica_desc(left)->epoch.version};
    struct range_split_request q = {.range_id = replica_group(left), .new_id = NOBODY + 1, .key = slice_str("c1")};
    uint64_t thawed = cover_count("range.merge_thawed"), awaited = cover_count("merge.awaited");
    change("c", (struct range_command){.kind = RANGE_INTEND, .other = NOBODY});
    change("c", (struct range_command){.kind = RANGE_ABORT, .other = NOBODY});
    (void)leader_of("c", &node);
    change("c3", freeze);
    buf_init(&params, 4096);
    pack_range_split_request(&params, &q);
    ck_assert_int_eq(ask_node(node, METHOD_RANGE_SPLIT, &params), STATUS_OK);
    buf_free(&params);
    ck_assert_uint_gt(cover_count("merge.awaited"), awaited);
    put("c4", "served again");
    ck_assert_uint_gt(cover_count("range.merge_thawed"), thawed);
}
END_TEST

/* T32: as before, but the entry that froze the right one is only in the log here, not known to be committed, and who knows is cut off. The next
 * leader finds the proof still there. */
START_TEST(the_left_one_stays_when_a_freeze_is_on_its_way)
{
    struct process *left_node, *node;
    struct errbuf err;
    split_at("c3");
    split_at("c6");
    const struct replica *left = leader_of("c3", &left_node);
    struct replica *right = leader_of("c6", &node);
    const struct range_replica *others = replica_desc(right)->replicas;
    uint64_t to = others[others[0].node_id == replica_leader_node(right)].node_id;
    if (node == left_node) ck_assert_int_eq(replica_transfer(right, to, &err), STATUS_OK);
    while (node == left_node) right = leader_of("c6", &node);
    uint64_t thawed = cover_count("range.merge_thawed");
    struct range_command freeze = {
        .kind = RANGE_FREEZE, .other = replica_group(left), .version = replica_desc(left)->epoch.version};
    change("c3", (struct range_command){.kind = RANGE_INTEND, .other = NOBODY});
    change("c6", freeze);
    cut_off(node, true);
    change("c3", (struct range_command){.kind = RANGE_ABORT, .other = NOBODY});
    split_at("c4");
    put("c7", "served again");
    ck_assert_uint_gt(cover_count("range.merge_thawed"), thawed);
}
END_TEST

/* T9: what was sent by a map from before a split finds nothing, not even what is in the range still. */
START_TEST(a_former_map_finds_nothing)
{
    struct process *node;
    struct buf get, scan;
    const struct replica *r = leader_of("c", &node);
    const struct routed to = {.range_id = replica_group(r), .epoch = replica_desc(r)->epoch, .deadline_ms = CALL_MS};
    const uint32_t keyspace = replica_desc(r)->keyspace;
    const struct slice first = slice_str("c1"), end = slice_str("c2");
    put("c1", "before");
    buf_init(&get, 4096);
    buf_init(&scan, 4096);
    pack_get_request(&get, &(struct get_request){.to = to, .keyspace = keyspace, .key = first});
    pack_scan_request(
        &scan, &(struct scan_request){.to = to, .keyspace = keyspace, .start = first, .end = end, .limit_rows = 10});
    ck_assert_int_eq(ask_node(node, METHOD_GET, &get), STATUS_OK);
    ck_assert_int_eq(ask_node(node, METHOD_SCAN, &scan), STATUS_OK);
    split_at("c5");
    (void)leader_of("c", &node);
    ck_assert_int_eq(ask_node(node, METHOD_GET, &get), STATUS_EPOCH_MISMATCH);
    ck_assert_int_eq(ask_node(node, METHOD_SCAN, &scan), STATUS_EPOCH_MISMATCH);
    buf_free(&get);
    buf_free(&scan);
}
END_TEST

/* T32: a range is frozen, and taken in; then its left neighbour is split where it began, and a node hears of all that at once, by a snapshot.
 * There the frozen one stands beside a left one of a later version, as it does after an abort. It must not serve: others have its keys. */
START_TEST(a_later_version_of_the_left_one_is_no_abort)
{
    struct process *node;
    split_at("c3");
    const struct replica *left = leader_of("c", &node);
    uint64_t thawed = cover_count("range.merge_thawed"), doubted = cover_count("merge.thaw_unproven");
    struct range_command freeze = {
        .kind = RANGE_FREEZE, .other = replica_group(left), .version = replica_desc(left)->epoch.version};
    change("c3", (struct range_command){.kind = RANGE_INTEND_SINCE, .other = NOBODY}); /* its end is an old one */
    change("c3", (struct range_command){.kind = RANGE_ABORT, .other = NOBODY});
    merge_ranges_of("c", "c3");
    split_at("c3");
    change("c3", freeze); /* as the one that was taken in is still on that node */
    stage_run(s, 5 * SEC_NS);
    sound();
    ck_assert(replica_merge(leader_of("c3", &node)).frozen);
    ck_assert_ptr_nonnull(strstr(replica_waits_for(leader_of("c3", &node)), "left neighbour"));
    ck_assert_uint_eq(cover_count("range.merge_thawed"), thawed);
    ck_assert_uint_gt(cover_count("merge.thaw_unproven"), doubted);
}
END_TEST

/* The neighbour that begins with the next letter, of which some node has a replica and none of the left one's; it leads there. */
static const char *led_away_from(const char *left)
{
    struct process *node;
    static char key[2];
    key[0] = (char)(left[0] + 1);
    const struct range_desc *of = replica_desc(leader_of(left, &node));
    struct replica *r = leader_of(key, &node);
    struct errbuf err;
    uint64_t to = 0;
    for (size_t i = 0; i < replica_desc(r)->replica_count; i++) {
        uint64_t at = replica_desc(r)->replicas[i].node_id;
        if (range_desc_replica(of, at) == NULL) to = at;
    }
    if (to == 0) return NULL;
    if (replica_leader_node(r) != to) ck_assert_int_eq(replica_transfer(r, to, &err), STATUS_OK);
    for (unsigned i = 0; i < 100 && replica_leader_node(leader_of(key, &node)) != to; i++) stage_run(s, 100 * MS_NS);
    return key;
}

/* T32: a merge was given up, and the left one has moved since: it is not where the right one is led. Another node of the right one has it. */
START_TEST(the_left_one_is_looked_for)
{
    static const char *const LEFT[] = {"a", "b", "c", "d", "e"};
    struct process *node;
    const char *left = NULL, *right = NULL;
    for (unsigned i = 0; i < 5 && right == NULL; i++) {
        left = LEFT[i];
        right = led_away_from(left);
    }
    ck_assert_ptr_nonnull(right);
    const struct replica *of = leader_of(left, &node);
    struct range_command freeze = {
        .kind = RANGE_FREEZE, .other = replica_group(of), .version = replica_desc(of)->epoch.version};
    uint64_t thawed = cover_count("range.merge_thawed");
    change(left, (struct range_command){.kind = RANGE_INTEND_SINCE, .other = NOBODY});
    change(left, (struct range_command){.kind = RANGE_ABORT, .other = NOBODY});
    change(right, freeze);
    put(right, "served again");
    ck_assert_uint_gt(cover_count("range.merge_thawed"), thawed);
}
END_TEST

/* T32: whoever asks a frozen range asks for what its left neighbour may have by then. When that has given up, it is answered. */
START_TEST(a_frozen_range_serves_nothing)
{
    struct process *node;
    struct stage_answer write, read;
    split_at("c3");
    put("c4", "before");
    const struct replica *left = leader_of("c", &node);
    change("c3", (struct range_command){
                     .kind = RANGE_FREEZE, .other = replica_group(left), .version = replica_desc(left)->epoch.version});
    for (unsigned i = 0; i < 4; i++) { /* by then the routers know the version of the frozen one */
        struct txn_op op = put_op("c4", "after");
        stage_txn(s, 0, &(struct txn){.ops = &op, .op_count = 1}, &write);
        stage_get(s, 2, "c4", &(struct read_how){.mode = READ_STRONG}, &read);
        wait_for(&write.done);
        wait_for(&read.done);
        ck_assert(write.status != STATUS_OK && read.status != STATUS_OK);
    }
    change("c", (struct range_command){.kind = RANGE_INTEND_SINCE, .other = NOBODY});
    change("c", (struct range_command){.kind = RANGE_ABORT, .other = NOBODY});
    is_there("c4", "before");
    put("c4", "after");
}
END_TEST

/* T32: the right range's log is on two of its three nodes. Both ranges would be the two's alone, and the third could not go on with either. */
START_TEST(nobody_is_left_behind_by_a_merge)
{
    struct process *node, *behind = NULL;
    split_at("c3");
    const struct replica *right = leader_of("c3", &node);
    uint64_t lacked = cover_count("range.merge_lacks_rows");
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++) {
        struct process *p = s->cluster.nodes[i];
        if (p != node && p != stage_leader(s, "c") && host_replica(process_host(p), replica_group(right)) != NULL)
            behind = p;
    }
    ck_assert_ptr_nonnull(behind);
    cut_off(behind, true);
    put("c4", "here");
    ck_assert_int_eq(merge("c", "c3"), STATUS_RETRY);
    cut_off(behind, false);
    stage_run(s, 2 * SEC_NS);
    merge_ranges_of("c", "c3");
    stage_run(s, 2 * SEC_NS);
    ck_assert_uint_eq(cover_count("range.merge_lacks_rows"), lacked);
    is_there("c4", "here");
}
END_TEST

/* T33: a range holds a transaction that is committed, for its other range has voted as well, and has not been told so when it is taken in.
 * Its router is gone. Whoever finds it later finds it as it was. */
START_TEST(what_a_range_holds_goes_along)
{
    struct stage_answer held;
    struct txn_op ops[] = {put_op("c4", "1"), put_op("e4", "1")};
    split_at("c3");
    put("c4", "0");
    stage_txn(s, 0, &(struct txn){.ops = ops, .op_count = 2}, &held);
    stage_run(s, MS_NS); /* the Prepares have left; what follows them takes for ever */
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++)
        sim_net_lag(&s->world, s->cluster.clients[0]->index, s->cluster.nodes[i]->index, 1000000000, 50 * SEC_NS);
    wait_for(&held.done);
    ck_assert(held.status == STATUS_OK && held.result == STATUS_OK);
    stage_crash(s, s->cluster.clients[0]);
    merge_ranges_of("c", "c3");
    is_there("c4", "1");
    is_there("e4", "1");
}
END_TEST

/* What rots in the simulator leaves a majority: a server that lacks a range which it had before is not mended, however many others came
 * to it since; it is when nobody counts on it for that any more, and everybody is there to say so. */
START_TEST(no_other_range_stands_for_one_that_is_lost)
{
    struct process *node, *other;
    struct rot_ranges *before = world_alloc(&s->world, sizeof *before + sizeof before->ids[0]);
    uint64_t left = replica_group(leader_of("c", &node));
    struct process *lacks = s->cluster.nodes[0];
    for (unsigned i = 1; lacks == node || host_replica(process_host(lacks), left) == NULL; i++)
        lacks = s->cluster.nodes[i];
    cut_off(lacks, true);
    split_at("c3");
    before->ids[before->count++] = replica_group(leader_of("c4", &node));
    ck_assert(host_replica(process_host(lacks), before->ids[0]) == NULL);
    ck_assert_uint_ge(host_replica_count(process_host(lacks)), before->count);
    ck_assert(!rot_mended(lacks, before));
    cut_off(lacks, false);
    stage_run(s, 5 * SEC_NS);
    ck_assert(host_replica(process_host(lacks), before->ids[0]) != NULL);
    ck_assert(rot_mended(lacks, before));
    merge_ranges_of("c", "c3");
    stage_run(s, 5 * SEC_NS);
    ck_assert(host_replica(process_host(lacks), before->ids[0]) == NULL);
    ck_assert(rot_mended(lacks, before));
    other = s->cluster.nodes[lacks == s->cluster.nodes[0] ? 1 : 0];
    stage_crash(s, other);
    ck_assert(!rot_mended(lacks, before)); /* it might say otherwise */
    stage_revive(s);
    stage_run(s, 5 * SEC_NS);
    ck_assert(rot_mended(lacks, before));
    sound();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim_ranges");
    TCase *t = tcase_create("scenarios");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, no_side_is_left_empty, 0, 2);
    tcase_add_test(t, the_left_one_is_taken_in_before_the_thaw);
    tcase_add_test(t, the_left_one_stays_until_the_thaw);
    tcase_add_test(t, the_left_one_stays_when_a_freeze_is_on_its_way);
    tcase_add_test(t, a_former_map_finds_nothing);
    tcase_add_test(t, a_later_version_of_the_left_one_is_no_abort);
    tcase_add_test(t, the_left_one_is_looked_for);
    tcase_add_test(t, a_frozen_range_serves_nothing);
    tcase_add_test(t, nobody_is_left_behind_by_a_merge);
    tcase_add_test(t, what_a_range_holds_goes_along);
    tcase_add_test(t, no_other_range_stands_for_one_that_is_lost);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
