/* Directed scenarios on a whole cluster (tests/sim/stage.h) in which a timestamp comes from the past: of a metadata leader that is none
 * any more, asked for before what is written meanwhile, or of a watcher whose versions are gone. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "client/watch.h"
#include "lib/suite.h"
#include "meta/machine.h"
#include "range/host_int.h"
#include "sim/stage.h"

static struct stage stage;
static struct stage *const s = &stage;

static void setup(void)
{
    stage_init(s, 1);
    ck_assert_msg(!s->world.failed, "%s", s->world.failure);
}

static void teardown(void)
{
    stage_free(s);
}

static void wait_for(const bool *flag)
{
    bool done = stage_until(s, flag);
    if (!done) world_trace_dump(&s->world, 60);
    ck_assert_msg(done, "what was asked is not answered: %s", s->world.failure);
}

static void do_op(struct txn_op *op, struct stage_answer *out)
{
    ck_assert(stage_do(s, 2, &(struct txn){.ops = op, .op_count = 1}, out));
    ck_assert(out->result == STATUS_OK);
}

static struct txn_op put_op(const char *key, const char *value)
{
    return (struct txn_op){.kind = TXN_PUT, .key = slice_str(key), .value = slice_str(value)};
}

static struct txn_op add_op(const char *key, int64_t delta)
{
    return (struct txn_op){.kind = TXN_ADD,
                           .key = slice_str(key),
                           .value = SLICE_EMPTY,
                           .delta = delta,
                           .min = INT64_MIN,
                           .max = I128_MAX};
}

static void cut(const struct process *p, const struct process *q, bool on)
{
    sim_net_cut(&s->world, p->index, q->index, on);
    sim_net_cut(&s->world, q->index, p->index, on);
}

static struct process *meta_leader(const struct process *other_than)
{
    for (unsigned i = 0; i < METAS; i++) {
        if (s->cluster.metas[i] == other_than) continue;
        const struct replica *r = host_replica(process_host(s->cluster.metas[i]), META_GROUP);
        if (r != NULL && replica_leads(r)) return s->cluster.metas[i];
    }
    return NULL;
}

/* Two ranges whose leaders are on different nodes. */
static void leaders_apart(const char **one, const char **other)
{
    static const char *const KEYS[] = {"a", "b", "c", "d", "e", "f"};
    *one = KEYS[0];
    for (unsigned i = 1; i < STAGE_RANGES; i++) {
        *other = KEYS[i];
        if (stage_leader(s, *other) != stage_leader(s, *one)) return;
    }
    ck_abort_msg("one node leads all ranges");
}

/* A node hears of the former metadata leader alone, which nobody has told that there is another one: what comes behind a write that has a
 * timestamp of the new one's must not be dated before it. The former's wall clock goes slow, so that what it may hand out never runs out. */
START_TEST(a_metadata_leader_that_is_none_any_more)
{
    const char *past, *now;
    struct stage_answer before, after = {0};
    leaders_apart(&past, &now);
    struct process *in_the_past = stage_leader(s, past), *former = meta_leader(NULL);
    ck_assert_ptr_nonnull(former);
    process_wall_jump(former, former->wall_jump_ms - 60000);
    for (unsigned i = 0; i < METAS; i++) {
        if (s->cluster.metas[i] == former) continue;
        cut(s->cluster.metas[i], former, true);
        cut(s->cluster.metas[i], in_the_past, true);
    }
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++) {
        if (s->cluster.nodes[i] != in_the_past) cut(s->cluster.nodes[i], former, true);
    }
    for (unsigned i = 0; i < 100 && meta_leader(former) == NULL; i++) stage_run(s, 100 * MS_NS);
    ck_assert_ptr_nonnull(meta_leader(former));
    struct txn_op op = put_op(now, "1");
    do_op(&op, &before);
    ck_assert(stage_leader(s, past) == in_the_past); /* its peers hear it still */
    op = put_op(past, "2");
    stage_txn(s, 1, &(struct txn){.ops = &op, .op_count = 1}, &after);
    stage_run(s, 6 * SEC_NS);
    ck_assert(after.done);
    ck_assert_msg(after.status != STATUS_OK || after.ts > before.ts, "%llu was handed out behind %llu",
                  (unsigned long long)after.ts, (unsigned long long)before.ts);
}
END_TEST

/* A transaction is decided in a range while a write there waits for the timestamp that it asked for before. The transaction's is higher, for
 * its other range took it later. The write sees what the transaction has written, so it must not be dated before it. */
START_TEST(a_write_that_asked_before_a_decision)
{
    enum { ROUNDS = 40 };
    const char *here, *there;
    unsigned met = 0;
    leaders_apart(&here, &there);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct stage_answer both, late;
        struct process *p = stage_leader(s, here), *q = stage_leader(s, there);
        struct txn_op ops[] = {add_op(here, 1), add_op(there, 1)}, op = add_op(here, 1);
        sim_net_lag(&s->world, s->cluster.clients[0]->index, q->index, 1000000000, 4 * MS_NS);
        stage_txn(s, 0, &(struct txn){.ops = ops, .op_count = 2}, &both);
        stage_run(s, 500000 + round * 100000);
        for (unsigned i = 0; i < METAS; i++)
            sim_net_lag(&s->world, s->cluster.metas[i]->index, p->index, 1000000000, 20 * MS_NS);
        stage_txn(s, 1, &(struct txn){.ops = &op, .op_count = 1}, &late);
        wait_for(&both.done);
        met += !late.done;
        wait_for(&late.done);
        ck_assert(both.status == STATUS_OK && late.status == STATUS_OK);
        sim_net_lag(&s->world, s->cluster.clients[0]->index, q->index, 0, 0);
        for (unsigned i = 0; i < METAS; i++) sim_net_lag(&s->world, s->cluster.metas[i]->index, p->index, 0, 0);
        stage_run(s, 100 * MS_NS);
    }
    ck_assert_uint_ge(met, ROUNDS / 2);
    struct stage_answer sum;
    do_op(&(struct txn_op){.kind = TXN_GET, .key = slice_str(here), .value = SLICE_EMPTY}, &sum);
    ck_assert_int_eq(strtol(sum.values[0], NULL, 10), 2 * ROUNDS);
    ck_assert_msg(!s->world.failed, "%s", s->world.failure);
}
END_TEST

/* --- another leader, and the first one again --- */

static void answered(void *ctx, const struct client_error *e, struct slice payload)
{
    struct stage_answer *a = ctx;
    (void)payload;
    a->status = e->status;
    a->done = true;
}

static void transfer(uint64_t range, const struct process *from, const struct process *to)
{
    struct stage_answer a = {.done = false};
    struct buf params;
    buf_init(&params, 4096);
    pack_range_transfer_request(
        &params, &(struct range_transfer_request){.range_id = range, .node_id = host_node_id(process_host(to))});
    client_node(stage_client(s, 0), from->address, METHOD_RANGE_TRANSFER, buf_slice(&params), 5000, answered, &a);
    buf_free(&params);
    process_pass_soon(s->cluster.clients[0]);
    wait_for(&a.done);
    ck_assert_int_eq(a.status, STATUS_OK);
}

static void note_range(void *ctx, struct replica *r)
{
    uint64_t *range = ctx;
    uint32_t keyspace = client_keyspace_id(stage_client(s, 0), stage_keyspace);
    if (range_desc_contains(replica_desc(r), keyspace, slice_str("a"))) *range = replica_group(r);
}

static struct process *follower(uint64_t range, const struct process *leader)
{
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++) {
        struct process *p = s->cluster.nodes[i];
        if (p != leader && host_replica(process_host(p), range) != NULL) return p;
    }
    ck_abort_msg("no other replica");
}

static void read_at(uint64_t ts, struct stage_answer *out)
{
    stage_get(s, 2, "a", &(struct read_how){.mode = READ_SNAPSHOT, .ts = ts}, out);
    wait_for(&out->done);
    ck_assert_int_eq(out->status, STATUS_OK);
    ck_assert_str_eq(out->values[0], "1");
}

/* A write asks for its timestamp, which takes long to come. Meanwhile another node leads, and serves a snapshot of later, and then the first
 * one leads again. No log tells of that snapshot: a write with the timestamp of before would come into it. */
START_TEST(a_timestamp_from_an_earlier_leadership)
{
    const char *here, *there;
    struct stage_answer before, late, elsewhere, seen;
    uint64_t range = 0;
    struct txn_op op = put_op("a", "1");
    do_op(&op, &before);
    leaders_apart(&here, &there);
    struct process *node = stage_leader(s, "a");
    host_each_replica(process_host(node), note_range, &range);
    const struct process *other = follower(range, node);
    for (unsigned i = 0; i < METAS; i++)
        sim_net_lag(&s->world, s->cluster.metas[i]->index, node->index, 1000000000, 700 * MS_NS);
    stage_run(s, 50 * MS_NS); /* what was asked for before has come */
    op = put_op("a", "2");
    stage_txn(s, 1, &(struct txn){.ops = &op, .op_count = 1}, &late);
    stage_run(s, 100 * MS_NS);
    op = put_op(there, "1");
    do_op(&op, &elsewhere);
    transfer(range, node, other);
    read_at(elsewhere.ts, &seen);
    transfer(range, other, node);
    ck_assert_msg(!late.done, "the timestamp has come too early");
    wait_for(&late.done);
    for (unsigned i = 0; i < METAS; i++) sim_net_lag(&s->world, s->cluster.metas[i]->index, node->index, 0, 0);
    stage_run(s, SEC_NS); /* it hears of the present again */
    read_at(elsewhere.ts, &seen);
}
END_TEST

/* A metadata leader falls while its followers have committed what they have not applied: how far timestamps may go. The next one leads before
 * it has, and is asked to keep a snapshot of now. It does not take one for that from before what was handed out, and go on from there. */
START_TEST(a_metadata_leader_that_has_not_applied_yet)
{
    struct stage_answer before, after, kept = {.done = false};
    struct process *former = meta_leader(NULL);
    struct txn_op op = put_op("a", "1");
    struct buf params;
    buf_init(&params, 1024);
    pack_meta_upgrade_request(&params, &(struct meta_upgrade_request){.version = 2, .finalize = true});
    client_meta(stage_client(s, 0), METHOD_META_UPGRADE, buf_slice(&params), 3000, answered, &kept);
    process_pass_soon(s->cluster.clients[0]);
    wait_for(&kept.done);
    ck_assert_int_eq(kept.status, STATUS_OK);
    stage_run(s, SEC_NS); /* the others have applied that, too */
    for (unsigned i = 0; i < METAS; i++) {
        if (s->cluster.metas[i] == former) continue;
        host_replica(process_host(s->cluster.metas[i]), META_GROUP)->apply_wait = true;
        process_wall_jump(s->cluster.metas[i], -60000);
    }
    stage_run(s, 8 * SEC_NS);
    do_op(&op, &before);
    process_crash(former, MEMDISK_KEEP, false);
    for (unsigned i = 0; i < 100 && meta_leader(former) == NULL; i++) stage_run(s, 100 * MS_NS);
    ck_assert_ptr_nonnull(meta_leader(former));
    buf_clear(&params);
    kept.done = false;
    pack_meta_snapshot_request(
        &params,
        &(struct meta_snapshot_request){.verb = SNAPSHOT_VERB_REGISTER, .name = slice_str("now"), .lifetime_ms = 5000});
    client_meta(stage_client(s, 0), METHOD_META_SNAPSHOT, buf_slice(&params), 3000, answered, &kept);
    buf_free(&params);
    process_pass_soon(s->cluster.clients[0]);
    stage_run(s, 500 * MS_NS);
    for (unsigned i = 0; i < METAS; i++) {
        if (s->cluster.metas[i] == former) continue;
        struct replica *r = host_replica(process_host(s->cluster.metas[i]), META_GROUP);
        r->apply_wait = false;
        host_mark_ready(r->host, r);
        process_pass_soon(s->cluster.metas[i]);
    }
    wait_for(&kept.done);
    ck_assert_int_eq(kept.status, STATUS_OK);
    op = put_op("b", "2");
    do_op(&op, &after);
    ck_assert_msg(after.ts > before.ts, "%llu was handed out behind %llu", (unsigned long long)after.ts,
                  (unsigned long long)before.ts);
    ck_assert_msg(!s->world.failed, "%s", s->world.failure);
}
END_TEST

/* --- watches --- */

struct watched {
    bool done;
    enum status status;
    uint64_t resume;
    size_t changes;
};

static void on_batch(void *ctx, const struct client_error *e, const struct client_watch_batch *batch, uint64_t resume)
{
    struct watched *w = ctx;
    *w = (struct watched){
        .done = true, .status = e->status, .resume = resume, .changes = batch != NULL ? batch->change_count : 0};
}

static void watch_next(struct client_watch *w, struct watched *out)
{
    *out = (struct watched){.done = false};
    client_watch_next(w, on_batch, out);
    process_pass_soon(s->cluster.clients[0]);
    wait_for(&out->done);
}

/* Versions go after a minute: who has seen nothing since is told so, and not what is left of them. */
START_TEST(a_watch_from_long_ago)
{
    struct stage_answer first, a;
    struct watched seen;
    struct txn_op op = put_op("a", "1");
    do_op(&op, &first);
    struct client_watch_options o = {.keyspace = stage_keyspace, .after = first.ts};
    for (unsigned i = 0; i < 2; i++) {
        op = put_op("a", i == 0 ? "2" : "3");
        do_op(&op, &a);
    }
    for (unsigned i = 0; i < 9; i++) stage_run(s, 10 * SEC_NS);
    op = put_op("a", "4"); /* time has passed also by what is written */
    do_op(&op, &a);
    stage_run(s, 2 * SEC_NS);
    struct client_watch *w = client_watch_new(stage_client(s, 0), &o);
    watch_next(w, &seen);
    ck_assert(seen.status == STATUS_TOO_OLD);
    ck_assert_uint_gt(seen.resume, first.ts);
    client_watch_free(w);
    o.after = seen.resume;
    w = client_watch_new(stage_client(s, 0), &o);
    watch_next(w, &seen);
    ck_assert(seen.status == STATUS_OK);
    client_watch_free(w);
}
END_TEST

/* A watch that tells where it stands every five seconds, when somebody waits for a timestamp: told within a few round trips, and once. */
START_TEST(a_watch_that_is_hurried)
{
    struct stage_answer a;
    struct watched seen;
    struct txn_op op = put_op("a", "1");
    struct client_watch_options o = {.keyspace = stage_keyspace, .after = 0};
    struct client_watch *w = client_watch_new(stage_client(s, 0), &o);
    watch_next(w, &seen);
    do_op(&op, &a);
    while (client_watch_position(w) < a.ts) watch_next(w, &seen); /* its change */
    stage_run(s, 700 * MS_NS);
    op = put_op("f", "2"); /* in another range */
    do_op(&op, &a);
    while (client_watch_position(w) < a.ts) watch_next(w, &seen);
    uint64_t asked_ns = s->world.now_ns, wanted = a.ts + 1;
    client_watch_hurry(w, wanted);
    watch_next(w, &seen);
    ck_assert(seen.status == STATUS_OK && seen.changes == 0);
    ck_assert_uint_ge(client_watch_position(w), wanted);
    ck_assert_uint_lt(s->world.now_ns - asked_ns, 300 * MS_NS);
    asked_ns = s->world.now_ns;
    watch_next(w, &seen);
    ck_assert_uint_gt(s->world.now_ns - asked_ns, SEC_NS);
    client_watch_free(w);
}
END_TEST

/* More has changed than the leader keeps at hand, an answer takes a part of it, and its disk is slow: what was read for one answer is told in
 * those that follow, too. */
START_TEST(a_watch_that_is_far_behind)
{
    enum { PUTS = 24, BYTES = 250000 };
    struct stage_answer first, a;
    struct watched seen;
    struct txn_op op = put_op("a", "1");
    uint8_t *value = mem_zalloc(BYTES);
    size_t changes = 0;
    do_op(&op, &first);
    for (unsigned i = 0; i < PUTS; i++) {
        op.value = slice_make(value, BYTES);
        do_op(&op, &a);
    }
    s->world.knobs.io_min_ns = 700 * MS_NS;
    s->world.knobs.io_max_ns = 800 * MS_NS;
    uint64_t asked_ns = s->world.now_ns;
    struct client_watch_options o = {.keyspace = stage_keyspace, .after = first.ts, .progress_ms = 200};
    struct client_watch *w = client_watch_new(stage_client(s, 0), &o);
    while (client_watch_position(w) < a.ts) {
        watch_next(w, &seen);
        ck_assert(seen.status == STATUS_OK);
        changes += seen.changes;
    }
    ck_assert_uint_eq(changes, PUTS);
    ck_assert_uint_lt(s->world.now_ns - asked_ns, 4 * SEC_NS);
    client_watch_free(w);
    mem_free(value);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim_timestamps");
    TCase *t = tcase_create("scenarios");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_metadata_leader_that_is_none_any_more);
    tcase_add_test(t, a_write_that_asked_before_a_decision);
    tcase_add_test(t, a_timestamp_from_an_earlier_leadership);
    tcase_add_test(t, a_metadata_leader_that_has_not_applied_yet);
    tcase_add_test(t, a_watch_from_long_ago);
    tcase_add_test(t, a_watch_that_is_hurried);
    tcase_add_test(t, a_watch_that_is_far_behind);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
