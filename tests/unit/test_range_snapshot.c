/* Snapshots between three hosts over the simulator's network and disks, a chunk being a row or two: broken connections,
 * a receiver or sender that dies at each chunk, the rate, writes that outrun it. */
#include <stdio.h>

#include "lib/cover.h"
#include "lib/range_hosts.h"
#include "lib/suite.h"
#include "range/members.h"
#include "range/snapshot_int.h"

enum { ROWS = 40 };

static void begin(uint64_t seed)
{
    hosts_begin(seed);
    for (unsigned i = 0; i < 100 && hosts_leader() < 0; i++) hosts_run_ms(20);
    /* The third falls behind what the log keeps. */
    unsigned lagging = hosts_leader() == 2 ? 1 : 2;
    if (lagging == 1) { /* the test calls the lagging one hosts_process[2] */
        struct process *q = hosts_process[1];
        hosts_process[1] = hosts_process[2];
        hosts_process[2] = q;
    }
    hosts_run_ms(100);
    process_crash(hosts_process[2], MEMDISK_KEEP, false);
    for (unsigned i = 0; i < ROWS; i++) hosts_put();
    hosts_run_ms(200);
    ck_assert_uint_eq(hosts_written, ROWS);
}

static bool caught_up(void)
{
    int l = hosts_leader();
    return l >= 0 && hosts_applied(0) == hosts_applied(2) && hosts_applied(1) == hosts_applied(2) &&
           hosts_replica(2)->receiving == NULL && hosts_replica((unsigned)l)->sending == NULL;
}

static void until_caught_up(const char *what, uint64_t n)
{
    for (unsigned i = 0; i < 3000 && !caught_up(); i++) hosts_run_ms(20);
    if (!caught_up()) {
        world_trace_dump(&hosts_world, 60);
        ck_abort_msg("%s %llu: it does not catch up", what, (unsigned long long)n);
    }
}

/* Chunks stored by the third, so far; 0 when nothing is under way. */
static bool receiving(void)
{
    return hosts_replica(2) != NULL && hosts_replica(2)->receiving != NULL;
}

/* Steps until `n` events after the first chunk came. False: it was over before. */
static bool steps_in(uint64_t n)
{
    for (unsigned i = 0; i < 100000 && !receiving() && world_step(&hosts_world); i++) continue;
    while (n-- > 0) {
        if (!receiving() || !world_step(&hosts_world)) return false;
    }
    return receiving();
}

/* --- tests --- */

START_TEST(breaks_at_each_chunk_and_goes_on)
{
    uint64_t again = cover_count("snapshot.chunk_again"), repeated = cover_count("snapshot.chunk_repeated");
    unsigned whole = 0, runs = 0;
    for (uint64_t n = 0;; n += 13, runs++) {
        begin(n + 1);
        uint64_t sent = cover_count("snapshot.send");
        ck_assert_int_eq(process_start(hosts_process[2]), STATUS_OK);
        bool broke = steps_in(n);
        if (broke) sim_net_reset_some(&hosts_world, 1000);
        until_caught_up("break", n);
        if (cover_count("snapshot.send") == sent + 1) whole++; /* no second snapshot was needed */
        hosts_end();
        if (!broke) break;
    }
    ck_assert_uint_gt(runs, 25);
    ck_assert_uint_gt(whole, runs * 9 / 10);
    ck_assert_uint_gt(cover_count("snapshot.chunk_repeated"), repeated + 10);
    ck_assert_uint_gt(cover_count("snapshot.chunk_again"), again);
}
END_TEST

static unsigned tables(const struct memdisk *d);

/* The receiver's machine, or the sender's, goes in the middle of it, and comes back. */
static void dies_at_each_chunk(bool sender)
{
    unsigned runs = 0;
    for (uint64_t n = 0;; n += 23, runs++) {
        begin(n + 1);
        ck_assert_int_eq(process_start(hosts_process[2]), STATUS_OK);
        bool broke = steps_in(n);
        if (broke) {
            struct process *dead = hosts_process[sender && hosts_leader() >= 0 ? hosts_leader() : 2];
            process_crash(dead, n % 2 == 0 ? MEMDISK_DROP : MEMDISK_RANDOM, true);
            hosts_run_ms(draw(&hosts_world, 1, 300));
            ck_assert_int_eq(process_start(dead), STATUS_OK);
        }
        until_caught_up("death", n);
        /* Restarted, it has what the store names, and nothing of a transfer that died. */
        uint64_t before = hosts_applied(2);
        process_crash(hosts_process[2], MEMDISK_DROP, true);
        ck_assert_int_eq(process_start(hosts_process[2]), STATUS_OK);
        until_caught_up("restart", n);
        ck_assert_uint_ge(hosts_applied(2), before);
        struct lsm_stats stats;
        lsm_stats(host_store(hosts_host(2)), &stats);
        ck_assert_uint_eq(tables(hosts_process[2]->disk), stats.files);
        hosts_end();
        if (!broke) break;
    }
    ck_assert_uint_gt(runs, 15);
}

static void count_table(void *ctx, const char *path, struct slice content)
{
    (void)content;
    if (strncmp(path, "store/", 6) == 0 && strstr(path, "MANIFEST") == NULL) (*(unsigned *)ctx)++;
}

static unsigned tables(const struct memdisk *d)
{
    unsigned count = 0;
    memdisk_each(d, count_table, &count);
    return count;
}

START_TEST(the_receiver_dies)
{
    dies_at_each_chunk(false);
}
END_TEST

START_TEST(the_sender_dies)
{
    dies_at_each_chunk(true);
}
END_TEST

/* The n-th call that the receiver's disk is asked for fails: it stops, or gives the attempt up; then it gets there. */
START_TEST(every_call_of_the_receivers_disk_fails)
{
    uint64_t n = 1;
    for (bool fired = true; fired; n += n < 60 ? 1 : 5) {
        begin(n);
        ck_assert_int_eq(process_start(hosts_process[2]), STATUS_OK);
        (void)steps_in(0);
        hosts_process[2]->disk_faulty = true;
        memdisk_fail_at(hosts_process[2]->disk, MEMDISK_ANY, n, n % 4 == 0 ? STATUS_NO_SPACE : STATUS_IO, n % 3 == 0);
        for (unsigned i = 0; i < 40 && process_runs(hosts_process[2]) && !caught_up(); i++) hosts_run_ms(20);
        fired = memdisk_fail_fired(hosts_process[2]->disk) || !process_runs(hosts_process[2]);
        if (process_runs(hosts_process[2])) process_crash(hosts_process[2], MEMDISK_RANDOM, true);
        memdisk_fail_at(hosts_process[2]->disk, 0, 0, STATUS_OK, false);
        ck_assert_int_eq(process_start(hosts_process[2]), STATUS_OK);
        until_caught_up("failing call", n);
        hosts_end();
    }
    ck_assert_uint_gt(n, 15);
}
END_TEST

/* Milliseconds that a snapshot takes at so many bytes a second, and what they would be if nothing else took time. */
static uint64_t takes_ms(uint64_t rate, uint64_t *ideal)
{
    begin(5);
    hosts_options.snapshot_rate_bytes = rate;
    for (unsigned i = 0; i < 2; i++) { /* the knob is read at the start of a host */
        process_crash(hosts_process[i], MEMDISK_KEEP, false);
        ck_assert_int_eq(process_start(hosts_process[i]), STATUS_OK);
    }
    for (unsigned i = 0; i < 20; i++)
        hosts_put(); /* after a restart the whole log is in memory again: it is cut by writes */
    hosts_run_ms(500);
    ck_assert_int_eq(process_start(hosts_process[2]), STATUS_OK);
    (void)steps_in(0);
    uint64_t start = hosts_world.now_ns, sent = 0;
    for (unsigned i = 0; i < 100000 && receiving(); i++) (void)world_step(&hosts_world);
    uint64_t ms = (hosts_world.now_ns - start) / MS_NS;
    until_caught_up("rate", 0);
    for (unsigned i = 0; i < 2; i++) sent += host_snapshots(hosts_host(i)).bytes;
    ck_assert_uint_gt(sent, 20000);
    hosts_end();
    *ideal = sent * 1000 / rate;
    return ms;
}

START_TEST(the_rate_is_kept)
{
    uint64_t ideal, ms = takes_ms(20000, &ideal);
    ck_assert_uint_ge(ms + 200, ideal);
    ck_assert_uint_le(ms, ideal + 200);
    ms = takes_ms(100000, &ideal); /* some ms a chunk: more often than who waits is looked for */
    ck_assert_uint_ge(ms + 100, ideal);
    ck_assert_uint_le(ms, ideal + ideal / 4);
}
END_TEST

/* The way there and back, once for each row, would take more than two seconds. */
START_TEST(far_away_chunks_are_larger)
{
    begin(5);
    hosts_world.knobs.net_min_ns = 20 * MS_NS;
    hosts_world.knobs.net_max_ns = 21 * MS_NS;
    for (unsigned i = 0; i < 2; i++) host_set_snapshot_rate(hosts_host(i), 0);
    ck_assert_int_eq(process_start(hosts_process[2]), STATUS_OK);
    for (unsigned i = 0; i < 100000 && !receiving(); i++) (void)world_step(&hosts_world);
    uint64_t start = hosts_world.now_ns;
    for (unsigned i = 0; i < 100000 && receiving(); i++) (void)world_step(&hosts_world);
    ck_assert_uint_lt((hosts_world.now_ns - start) / MS_NS, 700);
    until_caught_up("far away", 0);
    hosts_end();
}
END_TEST

/* Another rate in the midst of it holds at once. */
START_TEST(the_rate_may_be_set)
{
    begin(5);
    for (unsigned i = 0; i < 2; i++) host_set_snapshot_rate(hosts_host(i), 100);
    ck_assert_int_eq(process_start(hosts_process[2]), STATUS_OK);
    hosts_run_ms(5000);
    ck_assert(!caught_up());
    for (unsigned i = 0; i < 2; i++) host_set_snapshot_rate(hosts_host(i), 0);
    uint64_t start = hosts_world.now_ns;
    until_caught_up("rate that is set", 0);
    ck_assert_uint_lt((hosts_world.now_ns - start) / MS_NS, 2000);
    hosts_end();
}
END_TEST

/* The third does not answer: without the second one the first would be no majority. The third may go. */
START_TEST(no_change_stops_the_range)
{
    begin(5);
    unsigned l = (unsigned)hosts_leader();
    struct replica *r = hosts_replica(l);
    struct errbuf err = {{0}};
    uint32_t percent;
    struct replica_change c = {.conf_ver = replica_desc(r)->epoch.conf_ver, .from = hosts_process[1 - l]->index + 1};
    ck_assert_int_eq(replica_change(r, &c, &percent, &err), STATUS_RETRY);
    ck_assert_uint_gt(cover_count("range.change_would_stop_it"), 0);
    c.from = hosts_process[2]->index + 1;
    ck_assert_int_eq(replica_change(r, &c, &percent, &err), STATUS_OK);
    process_pass_soon(hosts_process[l]);
    hosts_run_ms(500);
    ck_assert_uint_eq(replica_desc(r)->replica_count, 2);
    hosts_end();
}
END_TEST

/* What the sender has let go, the receiver does not have either, and says so: in its next life too. */
START_TEST(how_far_back_rows_reach_comes_along)
{
    begin(5);
    for (unsigned i = 0; i < 2; i++) lsm_set_safepoint(host_store(hosts_host(i)), 15);
    ck_assert_int_eq(process_start(hosts_process[2]), STATUS_OK);
    ck_assert_uint_lt(host_safepoint(hosts_host(2)), 15);
    until_caught_up("safepoint", 0);
    ck_assert_uint_ge(host_safepoint(hosts_host(2)), 15);
    process_crash(hosts_process[2], MEMDISK_DROP, true);
    ck_assert_int_eq(process_start(hosts_process[2]), STATUS_OK);
    ck_assert_uint_ge(host_safepoint(hosts_host(2)), 15);
    hosts_end();
}
END_TEST

/* Writes go on faster than the log that is kept: after a few snapshots, each with more log behind it, it gets there. */
START_TEST(writes_do_not_outrun_it_for_ever)
{
    hosts_chunk_rows = 3;
    begin(6);
    hosts_chunk_rows = 1;
    ck_assert_int_eq(process_start(hosts_process[2]), STATUS_OK);
    uint64_t sent = cover_count("snapshot.send"), outrun = cover_count("snapshot.outrun");
    unsigned i = 0;
    for (; i < 1500; i++) {
        hosts_put();
        hosts_run_ms(3);
        int l = hosts_leader();
        if (l >= 0 && i > 50 && hosts_applied(2) + 20 > hosts_applied((unsigned)l) && !receiving()) break;
    }
    ck_assert_uint_lt(i, 1500);
    ck_assert_uint_gt(cover_count("snapshot.outrun"), outrun);
    ck_assert_uint_lt(cover_count("snapshot.send"), sent + 12);
    until_caught_up("outrun", 0);
    hosts_end();
}
END_TEST

/* One that was away for a while still finds the log that it needs, if that is within bounds; a snapshot if not. */
START_TEST(a_lagging_follower_pins_the_log)
{
    begin(7);
    hosts_options.log_lag_bytes = 1u << 20;
    for (unsigned i = 0; i < HOSTS_COUNT; i++) {
        if (process_runs(hosts_process[i])) process_crash(hosts_process[i], MEMDISK_KEEP, false);
    }
    for (unsigned i = 0; i < HOSTS_COUNT; i++) ck_assert_int_eq(process_start(hosts_process[i]), STATUS_OK);
    hosts_run_ms(3000);
    hosts_put();
    until_caught_up("start", 0);
    uint64_t sent = cover_count("snapshot.send");
    unsigned third = hosts_leader() == 2 ? 1 : 2;
    for (unsigned i = 0; i < HOSTS_COUNT; i++) {
        sim_net_cut(&hosts_world, hosts_process[third]->index, hosts_process[i]->index, true);
        sim_net_cut(&hosts_world, hosts_process[i]->index, hosts_process[third]->index, true);
    }
    for (unsigned i = 0; i < 60; i++) hosts_put();
    hosts_run_ms(5000); /* many elections long */
    for (unsigned i = 0; i < HOSTS_COUNT; i++) {
        sim_net_cut(&hosts_world, hosts_process[third]->index, hosts_process[i]->index, false);
        sim_net_cut(&hosts_world, hosts_process[i]->index, hosts_process[third]->index, false);
    }
    until_caught_up("partition", 0);
    ck_assert_uint_eq(cover_count("snapshot.send"), sent);
    hosts_end();
}
END_TEST

/* --- damage --- */

/* Those that wait for their turn: the first goes first, and who is no member any more is forgotten. */
START_TEST(the_queue_keeps_members_in_order)
{
    begin(1);
    int l = hosts_leader();
    ck_assert_int_ge(l, 0);
    struct replica *r = hosts_replica((unsigned)l);
    uint64_t others[2];
    size_t count = 0;
    for (size_t i = 0; i < r->desc->replica_count; i++) {
        if (r->desc->replicas[i].replica_id != r->id) others[count++] = r->desc->replicas[i].replica_id;
    }
    ck_assert_uint_eq(count, 2);
    unsigned sending = r->host->snapshots_sending;
    r->host->snapshots_sending = 1000; /* no room */
    snapshot_send_start(r, others[0]);
    for (uint64_t id = 40; id < 60; id++) snapshot_send_start(r, id);
    snapshot_send_start(r, others[1]);
    ck_assert_uint_eq(r->snapshot_queue_count, 2);
    r->host->snapshots_sending = sending;
    snapshot_send_next(r);
    ck_assert_ptr_nonnull(r->sending);
    ck_assert_uint_eq(r->snapshot_queue_count, 1);
    ck_assert_uint_eq(r->snapshot_queue[0], others[1]);
    struct replica *follower = hosts_replica(l == 0 ? 1 : 0);
    snapshot_send_start(follower, r->id);
    ck_assert_uint_eq(follower->snapshot_queue_count, 0);
    ck_assert_ptr_null(follower->sending);
    ck_assert_int_eq(process_start(hosts_process[2]), STATUS_OK);
    until_caught_up("the queue", 0);
    hosts_end();
}
END_TEST

static void flip_in_table(void *ctx, const char *path, struct slice content)
{
    size_t length = strlen(path);
    if (length < 4 || strcmp(path + length - 4, ".tbl") != 0) return;
    ck_assert_uint_gt(content.size, 200);
    memdisk_flip(ctx, path, 100, 3); /* in its first block */
}

static void flip_at_end(void *ctx, const char *path, struct slice content)
{
    size_t length = strlen(path);
    if (length >= 4 && strcmp(path + length - 4, ".tbl") == 0) memdisk_flip(ctx, path, content.size - 9, 3);
}

static uint64_t rows_on(unsigned i)
{
    const struct replica *r = hosts_replica(i);
    struct slice start, end;
    replica_span(r, &start, &end);
    struct lsm_view *v = lsm_view_new(hosts_store(i), start, end);
    struct lsm_write row;
    uint64_t rows = 0;
    enum status s;
    while ((s = lsm_view_next(v, &row)) == STATUS_OK) rows++;
    ck_assert_int_eq(s, STATUS_END);
    lsm_view_free(v);
    return rows;
}

static void damage_tables(unsigned victim, void (*flip)(void *ctx, const char *path, struct slice content))
{
    struct memdisk *copy = memdisk_clone(hosts_process[victim]->disk, 1);
    memdisk_each(copy, flip, hosts_process[victim]->disk);
    memdisk_free(copy);
}

/* How a table's damage is met: by the scrubber, by a snapshot that is read for somebody else, or, in what follows its blocks, when
 * the store is opened. */
enum meeting { BY_SCRUBBER, BY_VIEW, BY_START };

static void meet_damage(unsigned victim, enum meeting how)
{
    damage_tables(victim, how == BY_START ? flip_at_end : flip_in_table);
    if (how == BY_SCRUBBER) hosts_run_ms(3000);
    if (how == BY_START) {
        process_crash(hosts_process[victim], MEMDISK_KEEP, false);
        ck_assert_int_eq(process_start(hosts_process[victim]), STATUS_OK);
        hosts_run_ms(100);
    }
    if (how != BY_VIEW) return;
    const struct replica *r = hosts_replica(victim);
    struct slice start, end;
    replica_span(r, &start, &end);
    struct lsm_view *v = lsm_view_new(hosts_store(victim), start, end);
    struct lsm_write row;
    enum status s;
    while ((s = lsm_view_next(v, &row)) == STATUS_OK) continue;
    ck_assert_int_eq(s, STATUS_CORRUPT);
    lsm_view_free(v);
    process_pass_soon(hosts_process[victim]);
}

/* T24: the table is quarantined, its replica takes itself out, hands over if it leads, and fetches its rows from the leader. What
 * is left of the table goes, rows of nobody included. */
START_TEST(a_damaged_table_is_replaced_from_a_peer)
{
    bool leads = _i % 2 == 1;
    enum meeting how = (enum meeting)(_i / 2);
    uint64_t met = cover_count("range.damaged");
    begin(8 + (uint64_t)_i);
    hosts_options.lsm.scrub_ms = how == BY_SCRUBBER ? 1000 : 0;
    for (unsigned i = 0; i < 2; i++) process_crash(hosts_process[i], MEMDISK_KEEP, false);
    for (unsigned i = 0; i < HOSTS_COUNT; i++) ck_assert_int_eq(process_start(hosts_process[i]), STATUS_OK);
    hosts_run_ms(1000);
    hosts_put();
    until_caught_up("start", 0);
    unsigned victim = (unsigned)hosts_leader();
    if (!leads) victim = (victim + 1) % HOSTS_COUNT;
    const struct lsm_write stray = {.kind = LSM_PUT, .key = slice_str("\xff stray"), .ts = 1, .value = slice_str("x")};
    lsm_apply(hosts_store(victim), HOST_GROUP, 1, 1, &stray, 1); /* in the same table; of no replica */
    lsm_flush(hosts_store(victim), NULL, NULL);
    process_pass_soon(hosts_process[victim]);
    hosts_run_ms(300);
    uint64_t rows = rows_on(victim);
    ck_assert_uint_gt(rows, ROWS);
    meet_damage(victim, how);
    for (unsigned i = 0; i < 100 && (cover_count("range.damaged") == met || replica_damaged(hosts_replica(victim)));
         i++)
        hosts_run_ms(100);
    ck_assert_uint_eq(cover_count("range.damaged"), met + 1);
    ck_assert(!replica_damaged(hosts_replica(victim)));
    hosts_put();
    hosts_run_ms(300);
    until_caught_up("damaged", 0);
    ck_assert_uint_eq(rows_on(victim), rows + 1);
    struct lsm_stats stats;
    lsm_stats(hosts_store(victim), &stats);
    ck_assert_uint_ge(stats.quarantined, 1);
    uint64_t bytes, stray_rows;
    lsm_estimate(hosts_store(victim), slice_str("\xff"), SLICE_EMPTY, &bytes, &stray_rows);
    ck_assert_uint_eq(stray_rows, 0);
    hosts_end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("range_snapshot");
    TCase *c = tcase_create("snapshot");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, breaks_at_each_chunk_and_goes_on);
    tcase_add_test(c, the_receiver_dies);
    tcase_add_test(c, the_sender_dies);
    tcase_add_test(c, every_call_of_the_receivers_disk_fails);
    tcase_add_test(c, the_rate_is_kept);
    tcase_add_test(c, the_queue_keeps_members_in_order);
    tcase_add_test(c, far_away_chunks_are_larger);
    tcase_add_test(c, the_rate_may_be_set);
    tcase_add_test(c, no_change_stops_the_range);
    tcase_add_test(c, how_far_back_rows_reach_comes_along);
    tcase_add_test(c, writes_do_not_outrun_it_for_ever);
    tcase_add_test(c, a_lagging_follower_pins_the_log);
    tcase_add_loop_test(c, a_damaged_table_is_replaced_from_a_peer, 0, 6);
    suite_add_tcase(s, c);
    return run_suite(s);
}
