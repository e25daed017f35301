/* Directed scenarios on a whole cluster (tests/sim/stage.h): a read waits for a block from a slow disk, and what let it in has come to
 * an end when the block is there. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/cover.h"
#include "lib/suite.h"
#include "range/members.h"
#include "range/resolve.h"
#include "sim/stage.h"

enum { CALL_MS = 10000, BLOCK_MS = 6000, VALUE_BYTES = 20000, READS = 2 /* get, scan */ };

static struct stage stage;
static struct stage *const s = &stage;

/* --- the cluster --- */

static void wait_for(const bool *flag)
{
    if (!stage_until(s, flag)) world_trace_dump(&s->world, 60);
    ck_assert_msg(*flag, "what was asked is not answered: %s", s->world.failure);
}

/* A value that fills blocks of its own: no other read brings them into memory. */
static void put(const char *key, char fill)
{
    static char value[VALUE_BYTES];
    struct stage_answer a;
    memset(value, fill, sizeof value);
    struct txn_op op = {.kind = TXN_PUT, .key = slice_str(key), .value = slice_make(value, sizeof value)};
    ck_assert(stage_do(s, 2, &(struct txn){.ops = &op, .op_count = 1}, &a));
    ck_assert_int_eq(a.result, STATUS_OK);
}

static void flushed(void *ctx)
{
    (void)ctx;
}

/* Every row lies on disk, and no block is in memory. */
static void restart_all(void)
{
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++) {
        lsm_flush(host_store(process_host(s->cluster.nodes[i])), flushed, NULL);
        process_pass_soon(s->cluster.nodes[i]);
    }
    stage_run(s, 2 * SEC_NS);
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++) stage_crash(s, s->cluster.nodes[i]);
    stage_revive(s);
    stage_run(s, 5 * SEC_NS);
}

static void setup(void)
{
    stage_init(s, 1);
    s->world.knobs.io_max_ns = s->world.knobs.io_min_ns = MS_NS / 10;
    put("a", 'o');
    put("a9", 'o');
    restart_all();
    ck_assert_msg(!s->world.failed, "%s", s->world.failure);
}

static void teardown(void)
{
    stage_free(s);
}

struct find {
    uint32_t keyspace;
    struct replica *found;
};

static void find_leader(void *ctx, struct replica *r)
{
    struct find *f = ctx;
    if (replica_leads(r) && range_desc_contains(replica_desc(r), f->keyspace, slice_str("a"))) f->found = r;
}

static uint32_t keyspace_id(void)
{
    return client_keyspace_id(stage_client(s, 0), stage_keyspace);
}

static struct replica *leader_at(const struct process *node)
{
    struct find f = {.keyspace = keyspace_id()};
    ck_assert_ptr_nonnull(node);
    host_each_replica(process_host(node), find_leader, &f);
    ck_assert_ptr_nonnull(f.found);
    return f.found;
}

static void cut_off(const struct process *p)
{
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++) {
        const struct process *q = s->cluster.nodes[i];
        if (q == p) continue;
        sim_net_cut(&s->world, p->index, q->index, true);
        sim_net_cut(&s->world, q->index, p->index, true);
    }
}

/* --- requests to one node, as a router sends them --- */

static void answered(void *ctx, const struct client_error *e, struct slice payload)
{
    struct stage_answer *a = ctx;
    (void)payload;
    a->status = e->status;
    a->done = true;
}

static void ask(const struct process *node, enum method method, const struct buf *params, struct stage_answer *out)
{
    *out = (struct stage_answer){.stage = s};
    client_node(stage_client(s, 0), node->address, method, buf_slice(params), CALL_MS, answered, out);
    process_pass_soon(s->cluster.clients[0]);
}

/* A strong read, a get or a scan, that waits for a block when this returns. */
static void read_that_waits(int kind, struct process *node, struct stage_answer *out)
{
    const struct replica *r = leader_at(node);
    struct routed to = {.range_id = replica_group(r), .epoch = replica_desc(r)->epoch, .deadline_ms = CALL_MS};
    struct get_request get = {.to = to, .keyspace = keyspace_id(), .key = slice_str("a9")};
    struct scan_request scan = {
        .to = to, .keyspace = get.keyspace, .start = slice_str("a9"), .end = slice_str("aa"), .limit_rows = 10};
    struct buf params;
    buf_init(&params, 4096);
    if (kind == 0) pack_get_request(&params, &get);
    if (kind == 1) pack_scan_request(&params, &scan);
    node->io_slow = BLOCK_MS * 10;
    ask(node, kind == 0 ? METHOD_GET : METHOD_SCAN, &params, out);
    stage_run(s, 10 * MS_NS);
    node->io_slow = 1;
    ck_assert(!out->done);
    buf_free(&params);
}

/* --- what happens meanwhile --- */

/* T2: the lease by which the read was let in ends, another leads, and has acknowledged a write. */
START_TEST(the_lease_ends)
{
    struct stage_answer read;
    struct process *node = stage_leader(s, "a");
    uint64_t seen = cover_count("read.lease_ended");
    read_that_waits(_i, node, &read);
    cut_off(node);
    stage_run(s, 3 * SEC_NS);
    put("a9", 'n');
    ck_assert(!read.done);
    wait_for(&read.done);
    ck_assert_int_ne(read.status, STATUS_OK);
    ck_assert_uint_gt(cover_count("read.lease_ended"), seen);
}
END_TEST

static void split_at(const struct process *node, const char *key, struct stage_answer *out)
{
    struct range_split_request q = {.range_id = replica_group(leader_at(node)), .key = slice_str(key)};
    struct buf params;
    buf_init(&params, 4096);
    pack_range_split_request(&params, &q);
    ask(node, METHOD_RANGE_SPLIT, &params, out);
    buf_free(&params);
}

/* T9: the range is cut; what the read asks for is another range's, which may be led, and written, elsewhere. */
START_TEST(the_range_splits)
{
    struct stage_answer read, split;
    struct process *node = stage_leader(s, "a");
    read_that_waits(_i, node, &read);
    split_at(node, "a5", &split);
    wait_for(&split.done);
    ck_assert_int_eq(split.status, STATUS_OK);
    ck_assert(!read.done);
    wait_for(&read.done);
    ck_assert_int_eq(read.status, STATUS_EPOCH_MISMATCH);
}
END_TEST

/* Here an entry waits, at the leader alone, and behind it the range splits. Nobody has anything more to say to the leader when it comes to
 * the split, and a read of what is resolved asks nothing of the range: what the machine remembers must be loaded anew all the same. */
START_TEST(the_leader_splits_last)
{
    struct stage_answer past, txn, split, read;
    struct process *node = stage_leader(s, "a");
    struct txn_op there = {.kind = TXN_PUT, .key = slice_str("f"), .value = slice_str("1")};
    struct txn_op ops[] = {{.kind = TXN_GET, .key = slice_str("a9"), .value = SLICE_EMPTY},
                           {.kind = TXN_PUT, .key = slice_str("a1"), .value = slice_str("2")}};
    ck_assert(stage_do(s, 1, &(struct txn){.ops = &there, .op_count = 1}, &past));
    node->io_slow = BLOCK_MS * 10 / 3; /* within the split's patience */
    stage_txn(s, 1, &(struct txn){.ops = ops, .op_count = 2}, &txn);
    stage_run(s, 10 * MS_NS);
    split_at(node, "a5", &split);
    stage_run(s, 10 * MS_NS);
    node->io_slow = 1;
    ck_assert(!txn.done && !split.done);
    wait_for(&split.done);
    ck_assert_int_eq(split.status, STATUS_OK);
    stage_run(s, SEC_NS);
    ck_assert_uint_ge(replica_resolved(leader_at(node)).ts, past.ts);
    stage_scan(s, 2, &(struct read_how){.mode = READ_SNAPSHOT, .ts = past.ts}, false, &read);
    wait_for(&read.done);
    ck_assert_int_eq(read.status, STATUS_OK);
    ck_assert_str_eq(read.values[5], "1");
}
END_TEST

/* --- what others a scan hears of --- */

struct page {
    bool done;
    uint32_t others;
};

static void on_page(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct page *p = ctx;
    ck_assert_int_eq(e->status, STATUS_OK);
    *p = (struct page){.done = true, .others = reply->mark.others};
}

static uint32_t others(void)
{
    struct page p = {.done = false};
    struct client_scan scan = {.start = slice_str("a"), .end = slice_str("b"), .how = {.mode = READ_SNAPSHOT}};
    client_scan(stage_client(s, 0), stage_keyspace, &scan, CALL_MS, on_page, &p);
    process_pass_soon(s->cluster.clients[0]);
    wait_for(&p.done);
    return p.others;
}

/* Gets and puts count, and scans do not; for as long as they come. */
START_TEST(a_page_tells_of_others)
{
    struct stage_answer a;
    stage_run(s, SEC_NS);
    (void)others();
    for (unsigned i = 0; i < 4; i++) { /* its own pages are no others */
        stage_run(s, 300 * MS_NS);
        ck_assert_uint_eq(others(), 0);
    }
    for (unsigned i = 0; i < 30; i++) {
        stage_run(s, 15 * MS_NS);
        stage_get(s, 1, "a", &(struct read_how){.mode = READ_STRONG}, &a);
        wait_for(&a.done);
        put("a", 'n');
    }
    ck_assert_uint_gt(others(), 10);
    stage_run(s, SEC_NS);
    (void)others();
    stage_run(s, SEC_NS);
    ck_assert_uint_eq(others(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim_blocks");
    TCase *t = tcase_create("late");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, the_lease_ends, 0, READS);
    tcase_add_loop_test(t, the_range_splits, 0, READS);
    tcase_add_test(t, the_leader_splits_last);
    tcase_add_test(t, a_page_tells_of_others);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
