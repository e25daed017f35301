/* A whole simulated cluster in which a row of one replica is changed behind its back: that replica finds out, keeps the
 * evidence, serves nothing, and is rebuilt; the others go on. Also when it leads, and when it restarts in between. */
#include "lib/suite.h"
#include "range/comparison.h"
#include "sim/check.h"
#include "sim/cluster.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { WRITERS = 4 };

struct rig {
    struct world world;
    struct cluster cluster;
    uint64_t done, failed;
    bool writing;
    unsigned under_way;
    struct process *victim;
    uint64_t group;
    uint64_t compared; /* index of the comparison that was last looked at */
};

static void write_next(struct rig *r);
static void write_again(struct world *w, void *ctx);

static void written(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct rig *r = ctx;
    r->under_way--;
    if (e->status == STATUS_OK && result->status == STATUS_OK) {
        r->done++;
    } else if (r->done > 0) { /* before the first one, the keyspace was not there yet */
        r->failed++;
    }
    if (!r->writing) return;
    if (e->status == STATUS_OK) {
        write_next(r);
    } else {
        world_after(&r->world, 100 * MS_NS, write_again, r);
    }
}

static void write_again(struct world *w, void *ctx)
{
    (void)w;
    struct rig *r = ctx;
    if (r->writing) write_next(r);
}

static void write_next(struct rig *r)
{
    struct txn_op op = {.kind = TXN_ADD, .key = slice_str("account"), .delta = 1, .min = I128_MIN, .max = I128_MAX};
    struct txn t = {.ops = &op, .op_count = 1};
    r->under_way++;
    client_txn(cluster_client(&r->cluster, 0), slice_str("default"), &t, 20000, written, r);
    process_pass_soon(r->cluster.clients[0]);
}

/* --- boot: init, until it is answered; then writes, until the keyspace is there --- */

static void boot(struct world *w, void *ctx);

static void begin(struct world *w, void *ctx)
{
    (void)w;
    struct rig *r = ctx;
    r->writing = true;
    for (unsigned i = 0; i < WRITERS; i++) write_next(r);
}

static void booted(void *ctx, const struct client_error *e, struct slice payload)
{
    (void)payload;
    struct rig *r = ctx;
    world_after(&r->world, SEC_NS, e->status == STATUS_OK ? begin : boot, r);
}

static void boot(struct world *w, void *ctx)
{
    (void)w;
    struct rig *r = ctx;
    struct meta_init_request request = {.cluster = {{7}}, .replication = 3};
    struct buf params;
    buf_init(&params, 256);
    pack_meta_init_request(&params, &request);
    client_meta(cluster_client(&r->cluster, 0), METHOD_META_INIT, buf_slice(&params), 2000, booted, r);
    buf_free(&params);
    process_pass_soon(r->cluster.clients[0]);
}

/* Runs the world until cond holds; fails the test after so many simulated seconds. */
static void run_until(struct rig *r, bool (*cond)(struct rig *r), unsigned seconds, const char *what)
{
    uint64_t limit = r->world.now_ns + seconds * SEC_NS;
    while (!cond(r)) {
        bool goes_on = world_step(&r->world);
        if (r->world.failed) world_trace_dump(&r->world, 60);
        ck_assert_msg(goes_on && !r->world.failed, "%s: %s", what, r->world.failure);
        if (r->world.now_ns > limit) world_trace_dump(&r->world, 60);
        ck_assert_msg(r->world.now_ns <= limit, "%s: not within %u s", what, seconds);
    }
}

static bool some_writes(struct rig *r)
{
    return r->done >= 50;
}
static bool more_writes(struct rig *r)
{
    return r->done >= 100;
}
static struct replica *replica_of(struct rig *r, struct process *p)
{
    const struct host *h = process_host(p);
    return h == NULL ? NULL : host_replica(h, r->group);
}
static bool diverged(struct rig *r)
{
    struct replica *x = replica_of(r, r->victim);
    return x != NULL && replica_diverged(x);
}
static bool rebuilt(struct rig *r)
{
    struct replica *x = replica_of(r, r->victim);
    return x != NULL && !replica_diverged(x);
}
static bool quiet(struct rig *r)
{
    return r->under_way == 0 && check_state_settled(&r->cluster);
}
static bool victim_up(struct rig *r)
{
    return process_host(r->victim) != NULL;
}

static void rig_open(struct rig *r, uint64_t seed)
{
    memset(r, 0, sizeof *r);
    world_init(&r->world, seed);
    r->world.rows_rot = true;
    cluster_init(&r->cluster, &r->world, false);
    r->cluster.knobs.host.compare_every = 10;
    r->cluster.knobs.host.proposals_max = 1000;
    cluster_start(&r->cluster);
    world_after(&r->world, SEC_NS, boot, r);
    run_until(r, some_writes, 120, "writes");
}

/* The range that is written, and a replica of it: the leader's, or another. */
static void note_replica(void *ctx, struct replica *x)
{
    struct rig *r = ctx;
    if (replica_desc(x)->keyspace != 0) r->group = replica_group(x);
}

static void choose_victim(struct rig *r, bool leader)
{
    for (unsigned i = 0; i < r->cluster.knobs.node_count; i++) {
        struct process *p = r->cluster.nodes[i];
        if (process_host(p) == NULL) continue;
        host_each_replica(process_host(p), note_replica, r);
        struct replica *x = replica_of(r, p);
        if (x != NULL && replica_leads(x) == leader) r->victim = p;
    }
    ck_assert_ptr_nonnull(r->victim);
}

static void loaded(void *ctx, enum status s)
{
    ck_assert_int_eq(s, STATUS_OK);
    *(bool *)ctx = true;
}

/* Another balance in the account's row. */
static void rot(struct rig *r)
{
    struct host *h = process_host(r->victim);
    struct lsm *store = host_store(h);
    struct buf key;
    buf_init(&key, LSM_KEY_MAX);
    key_encode_data(&key, replica_desc(replica_of(r, r->victim))->keyspace, slice_str("account"));
    struct lsm_row row;
    struct lsm_miss miss;
    enum status s;
    while ((s = lsm_get(store, buf_slice(&key), LSM_TS_MAX, &row, &miss)) != STATUS_OK) {
        bool there = s == STATUS_NOT_FOUND; /* it lags */
        ck_assert(s == STATUS_NOT_FOUND || s == STATUS_MISS);
        if (s == STATUS_MISS) lsm_load(store, &miss, loaded, &there);
        do {
            ck_assert(world_step(&r->world));
        } while (!there);
    }
    uint8_t value[64];
    ck_assert_uint_le(row.value.size, sizeof value);
    memcpy(value, row.value.data, row.value.size);
    value[row.value.size - 1] ^= 1;
    struct lsm_write w = {
        .kind = LSM_PUT, .key = buf_slice(&key), .ts = row.ts + 1, .value = slice_make(value, row.value.size)};
    const struct raft *raft = replica_raft(replica_of(r, r->victim));
    uint64_t applied = raft_applied(raft);
    lsm_apply(store, r->group, applied, raft_term_at(raft, applied), &w, 1);
    buf_free(&key);
}

static void rig_close(struct rig *r)
{
    r->writing = false;
    run_until(r, quiet, 60, "rest");
    ck_assert_uint_eq(r->failed, 0);
    check_state(&r->cluster);
    ck_assert_msg(!r->world.failed, "%s", r->world.failure);
    cluster_free(&r->cluster);
    ck_assert_msg(!r->world.failed, "%s", r->world.failure);
    world_free(&r->world);
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    (*(unsigned *)ctx)++;
}

START_TEST(a_follower_that_differs_is_rebuilt)
{
    struct rig r;
    rig_open(&r, (uint64_t)_i + 1);
    choose_victim(&r, false);
    rot(&r);
    run_until(&r, diverged, 60, "finding out");
    run_until(&r, rebuilt, 60, "rebuilding");
    run_until(&r, more_writes, 60, "writes");
    unsigned files = 0;
    ck_assert_int_eq(disk_list(memdisk_disk(r.victim->disk), "evidence", count_name, &files), STATUS_OK);
    ck_assert_uint_eq(files, 2);
    rig_close(&r);
}
END_TEST

START_TEST(a_leader_that_differs_goes)
{
    struct rig r;
    rig_open(&r, (uint64_t)_i + 100);
    choose_victim(&r, true);
    rot(&r);
    run_until(&r, diverged, 60, "finding out");
    run_until(&r, rebuilt, 60, "rebuilding");
    ck_assert_ptr_ne(replica_of(&r, r.victim), NULL);
    run_until(&r, more_writes, 60, "writes");
    r.failed = 0; /* what it answered before it knew, and what was open when it found out */
    rig_close(&r);
}
END_TEST

START_TEST(a_restart_does_not_make_it_forget)
{
    struct rig r;
    rig_open(&r, (uint64_t)_i + 200);
    choose_victim(&r, false);
    rot(&r);
    run_until(&r, diverged, 60, "finding out");
    uint64_t until = r.world.now_ns + 100 * MS_NS; /* the evidence may be written by then, or not */
    while (r.world.now_ns < until && world_step(&r.world)) {
    }
    process_crash(r.victim, MEMDISK_DROP, true);
    ck_assert_int_eq(process_start(r.victim), STATUS_OK);
    run_until(&r, victim_up, 60, "coming up");
    r.done = 0;
    run_until(&r, more_writes, 60, "writes");
    run_until(&r, rebuilt, 60, "rebuilding");
    rig_close(&r);
}
END_TEST

/* The mark of a replica that left before it was rebuilt: the range's next one on that node is whole, and may be the only one. */
START_TEST(the_mark_of_a_former_replica_is_not_its_own)
{
    struct rig r;
    rig_open(&r, 300);
    choose_victim(&r, false);
    char path[64], text[96];
    int size = snprintf(text, sizeof text, "range %llu, replica %llu on node 1: what was applied differs\n",
                        (unsigned long long)r.group, (unsigned long long)replica_id(replica_of(&r, r.victim)) + 1);
    (void)snprintf(path, sizeof path, "evidence/range-%llu", (unsigned long long)r.group);
    process_crash(r.victim, MEMDISK_DROP, true);
    struct disk *d = memdisk_disk(r.victim->disk);
    struct disk_file *f;
    ck_assert_int_eq(disk_mkdir(d, "evidence"), STATUS_OK);
    ck_assert_int_eq(disk_open(d, path, DISK_WRITE | DISK_CREATE, &f, NULL), STATUS_OK);
    ck_assert_int_eq(disk_write(f, 0, text, (size_t)size), STATUS_OK);
    ck_assert_int_eq(disk_sync(f), STATUS_OK);
    disk_close(f);
    ck_assert_int_eq(disk_sync_dir(d, "evidence"), STATUS_OK);
    ck_assert_int_eq(disk_sync_dir(d, ""), STATUS_OK);
    ck_assert_int_eq(process_start(r.victim), STATUS_OK);
    run_until(&r, victim_up, 60, "coming up");
    ck_assert(!diverged(&r));
    rig_close(&r);
}
END_TEST

/* --- on demand --- */

static void compared(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    (void)unknown;
    (void)answer;
    ck_assert_int_eq(s, STATUS_OK);
    p->index = 0;
}

/* The range's leader is told to compare. */
static void compare(struct rig *r, struct proposal *p)
{
    struct buf b;
    buf_init(&b, 64);
    comparison_encode(0, &b);
    for (unsigned i = 0; i < r->cluster.knobs.node_count; i++) {
        struct replica *x = process_host(r->cluster.nodes[i]) != NULL ? replica_of(r, r->cluster.nodes[i]) : NULL;
        if (x == NULL || !replica_leads(x)) continue;
        *p = (struct proposal){.done = compared, .deadline_ns = DEADLINE_NONE};
        list_init(&p->link);
        ck_assert_int_eq(replica_propose(x, buf_slice(&b), p), STATUS_OK);
        process_pass_soon(r->cluster.nodes[i]);
        break;
    }
    buf_free(&b);
}

static bool all_compared(struct rig *r)
{
    uint64_t hash = 0, index = 0;
    for (unsigned i = 0; i < r->cluster.knobs.node_count; i++) {
        struct comparison c;
        struct replica *x = replica_of(r, r->cluster.nodes[i]);
        if (x == NULL) continue;
        replica_comparison(x, &c);
        if (!c.done || c.index <= r->compared || (index != 0 && c.index != index)) return false;
        ck_assert(!c.failed && (index == 0 || c.rows_hash == hash));
        index = c.index;
        hash = c.rows_hash;
    }
    if (index != 0) r->compared = index;
    return index != 0;
}

static uint64_t replica_applied_most(struct rig *r)
{
    uint64_t most = 0;
    for (unsigned i = 0; i < r->cluster.knobs.node_count; i++) {
        const struct replica *x = replica_of(r, r->cluster.nodes[i]);
        if (x != NULL && raft_applied(replica_raft(x)) > most) most = raft_applied(replica_raft(x));
    }
    return most;
}

/* A row that nothing looks at again: the effects stay the same, a comparison of the rows finds it. */
START_TEST(rows_are_compared_on_demand)
{
    struct rig r;
    struct proposal p;
    rig_open(&r, (uint64_t)_i + 300);
    choose_victim(&r, _i % 2 == 1);
    r.writing = false;
    run_until(&r, quiet, 60, "rest");
    compare(&r, &p);
    run_until(&r, all_compared, 60, "a comparison");
    ck_assert(!diverged(&r));
    rot(&r);
    uint64_t until = r.world.now_ns + 5 * SEC_NS;
    while (r.world.now_ns < until && world_step(&r.world)) {
    }
    ck_assert_msg(!diverged(&r), "nothing has looked");
    compare(&r, &p);
    run_until(&r, diverged, 60, "finding out");
    run_until(&r, rebuilt, 60, "rebuilding");
    r.compared = replica_applied_most(&r);
    compare(&r, &p);
    run_until(&r, all_compared, 60, "another comparison");
    rig_close(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/divergence");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, a_follower_that_differs_is_rebuilt, 0, 6);
    tcase_add_loop_test(tc, a_leader_that_differs_goes, 0, 6);
    tcase_add_loop_test(tc, a_restart_does_not_make_it_forget, 0, 4);
    tcase_add_test(tc, the_mark_of_a_former_replica_is_not_its_own);
    tcase_add_loop_test(tc, rows_are_compared_on_demand, 0, 6);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
