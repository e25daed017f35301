/* A store that is slower than its log: nobody may be made to hold all that is written. Nor does the log hold what waits for ever. */
#include "lib/cover.h"
#include "lib/range_hosts.h"
#include "lib/suite.h"
#include "range/members_int.h"

enum { MEMTABLE = 65536, ROWS = 800 }; /* some 50 memtables of rows, of which no more than a few may wait */

static void begin(uint64_t seed)
{
    hosts_begin(seed);
    hosts_options.lsm.memtable_bytes = MEMTABLE;
    hosts_options.log_lag_bytes = 8 * MEMTABLE;
    for (unsigned i = 0; i < HOSTS_COUNT; i++) {
        process_crash(hosts_process[i], MEMDISK_KEEP, false);
        ck_assert_int_eq(process_start(hosts_process[i]), STATUS_OK);
    }
    for (unsigned i = 0; i < 100 && hosts_leader() < 0; i++) hosts_run_ms(50);
    ck_assert_int_ge(hosts_leader(), 0);
    hosts_run_ms(500);
}

static uint64_t held_bytes(unsigned i)
{
    struct lsm_stats s;
    lsm_stats(hosts_store(i), &s);
    return s.memtable_bytes;
}

static void slow_down(unsigned i, uint64_t factor)
{
    hosts_process[i]->io_slow = factor;
}

/* Its log is as fast as the others', so it acknowledges as fast; of what it lacks the leader keeps its part, then sends a snapshot. */
START_TEST(a_follower_holds_what_fits)
{
    begin(60);
    unsigned leader = (unsigned)hosts_leader(), slow = (leader + 1) % HOSTS_COUNT, other = (leader + 2) % HOSTS_COUNT;
    slow_down(slow, 20000); /* a table in some seconds */
    uint64_t most = 0;
    for (unsigned i = 0; i < ROWS; i++) {
        hosts_put();
        if (i % 10 == 0) hosts_run_ms(1);
        ck_assert_int_eq(hosts_leader(), (int)leader);
        if (held_bytes(slow) > most) most = held_bytes(slow);
    }
    hosts_run_ms(100);
    ck_assert_uint_eq(hosts_written, ROWS); /* the other two are a majority */
    ck_assert_uint_ge(hosts_applied(other), ROWS);
    ck_assert_uint_gt(most, 3 * MEMTABLE);
    ck_assert_uint_lt(most, 7 * MEMTABLE);
    ck_assert_uint_lt(raft_log_bytes(replica_raft(hosts_replica(slow))), 16 * MEMTABLE);
    ck_assert_uint_lt(hosts_applied(slow), hosts_applied(leader));
    slow_down(slow, 1);
    for (unsigned i = 0; i < 600 && hosts_applied(slow) < hosts_applied(leader); i++) hosts_run_ms(100);
    ck_assert_uint_eq(hosts_applied(slow), hosts_applied(leader));
    hosts_end();
}
END_TEST

/* Both followers: writes go at their pace, and everything that was proposed is written in the end. */
START_TEST(writes_wait_for_a_majority_of_stores)
{
    begin(61);
    unsigned leader = (unsigned)hosts_leader();
    for (unsigned i = 1; i < HOSTS_COUNT; i++) slow_down((leader + i) % HOSTS_COUNT, 1000);
    for (unsigned i = 0; i < ROWS; i++) {
        hosts_put();
        if (i % 10 == 0) hosts_run_ms(1);
        for (unsigned k = 1; k < HOSTS_COUNT; k++)
            ck_assert_uint_lt(held_bytes((leader + k) % HOSTS_COUNT), 8 * MEMTABLE);
    }
    ck_assert_uint_lt(hosts_written, ROWS);
    for (unsigned i = 0; i < 600 && hosts_written < ROWS; i++) hosts_run_ms(100);
    ck_assert_uint_eq(hosts_written, ROWS);
    hosts_end();
}
END_TEST

/* Who takes no more for ten seconds is to lead nothing: then writes would stand still. */
START_TEST(a_full_store_is_a_slow_disk)
{
    begin(62);
    unsigned leader = (unsigned)hosts_leader(), slow = (leader + 1) % HOSTS_COUNT;
    slow_down(slow, 100000);
    for (unsigned i = 0; i < ROWS; i++) {
        hosts_put();
        if (i % 10 == 0) hosts_run_ms(1);
    }
    ck_assert(!host_disk_slow(hosts_host(slow)));
    for (unsigned i = 0; i < 200 && !host_disk_slow(hosts_host(slow)); i++) hosts_run_ms(100);
    ck_assert(host_disk_slow(hosts_host(slow)));
    for (unsigned i = 0; i < HOSTS_COUNT; i++)
        if (i != slow) ck_assert(!host_disk_slow(hosts_host(i)));
    hosts_end();
}
END_TEST

/* --- the log --- */
#define OTHER 10u /* a range that never commits again */
#define FLUSH_AT (256u << 10)

static void proposed(struct proposal *q, enum status s, bool unknown, struct slice answer)
{
    (void)q;
    (void)s;
    (void)unknown;
    (void)answer;
}

/* Alone of its range a replica has entries that are not applied. They keep no segment of the log, however much others write meanwhile. */
START_TEST(what_waits_does_not_keep_the_log)
{
    hosts_begin(63);
    hosts_options.wal_flush_bytes = FLUSH_AT;
    for (unsigned i = 0; i < HOSTS_COUNT; i++) {
        process_crash(hosts_process[i], MEMDISK_KEEP, false);
        ck_assert_int_eq(process_start(hosts_process[i]), STATUS_OK);
    }
    struct range_desc d = hosts_range();
    d.id = OTHER;
    d.keyspace++;
    for (unsigned i = 0; i < HOSTS_COUNT; i++) host_create_replica(hosts_host(i), &d);
    hosts_run_ms(3000);
    struct replica *left = NULL;
    unsigned at = 0;
    for (unsigned i = 0; i < HOSTS_COUNT; i++) {
        struct replica *r = host_replica(hosts_host(i), OTHER);
        if (replica_leads(r)) {
            left = r;
            at = i;
        } else {
            replica_leave(r, "a test");
        }
    }
    ck_assert_ptr_nonnull(left);
    struct proposal q = {.done = proposed, .deadline_ns = UINT64_MAX};
    list_init(&q.link);
    ck_assert_int_eq(replica_propose(left, slice_str("waits"), &q), STATUS_OK);
    process_pass_soon(hosts_process[at]);
    hosts_world.knobs.log_min_ns = hosts_world.knobs.log_max_ns = 2 * MS_NS; /* something always waits to be written */
    uint64_t most = 0, unpinned = cover_count("host.unpin");
    for (unsigned i = 0; i < 3000; i++) {
        hosts_put();
        if (i % 4 == 0) hosts_run_ms(1);
        uint64_t live = wal_live_bytes(host_log(hosts_host(at)));
        if (live > most) most = live;
    }
    ck_assert_uint_gt(cover_count("host.unpin"), unpinned);
    ck_assert_uint_lt(raft_applied(replica_raft(left)), raft_last_index(replica_raft(left)));
    ck_assert_uint_lt(most, 4 * FLUSH_AT);
    hosts_end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("range_store_full");
    TCase *c = tcase_create("store full");
    tcase_add_test(c, a_follower_holds_what_fits);
    tcase_add_test(c, writes_wait_for_a_majority_of_stores);
    tcase_add_test(c, a_full_store_is_a_slow_disk);
    tcase_add_test(c, what_waits_does_not_keep_the_log);
    suite_add_tcase(s, c);
    return run_suite(s);
}
