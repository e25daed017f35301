/* Reads of a leader that is behind with applying: its index is known, its rows are not there yet. And rounds of resolved timestamps
 * while there is no timestamp to be had. */
#include "lib/range_hosts.h"
#include "lib/suite.h"
#include "range/link_int.h"
#include "range/resolve.h"

struct reader {
    struct read_wait wait;
    bool done;
    enum status status;
    uint64_t applied; /* when it was told that it may read */
};

static void on_ready(struct read_wait *w, enum status s)
{
    struct reader *r = LIST_ENTRY(w, struct reader, wait);
    r->done = true;
    r->status = s;
    r->applied = hosts_applied((unsigned)hosts_leader());
}

static void ask(struct reader *r, struct replica *leader)
{
    *r = (struct reader){.wait = {.ready = on_ready, .deadline_ns = UINT64_MAX}};
    list_init(&r->wait.link);
    ck_assert_int_eq(replica_read(leader, &r->wait), STATUS_OK);
    process_pass_soon(hosts_process[hosts_leader()]);
}

/* By its lease, and by a quorum's word after the lease has gone. */
START_TEST(a_read_waits_until_its_index_is_applied)
{
    hosts_begin(70 + (unsigned)_i);
    for (unsigned i = 0; i < 200 && hosts_leader() < 0; i++) hosts_run_ms(20);
    hosts_run_ms(500);
    struct replica *leader = hosts_replica((unsigned)hosts_leader());
    struct reader first, second;
    hosts_put();
    hosts_run_ms(50);
    if (_i == 1) host_hold_heartbeats(hosts_host((unsigned)hosts_leader()), true);
    if (_i == 1) hosts_run_ms(hosts_options.support_ms / 2);
    uint64_t before = hosts_applied((unsigned)hosts_leader());
    leader->apply_wait = true; /* a block that apply needs is on a slow disk */
    hosts_put();
    for (unsigned i = 0; i < 100 && raft_commit(leader->raft) == before; i++) hosts_run_ms(1);
    uint64_t commit = raft_commit(leader->raft);
    ck_assert_uint_gt(commit, before);
    ask(&first, leader);
    hosts_run_ms(50);
    ck_assert_uint_eq(hosts_applied((unsigned)hosts_leader()), before);
    ck_assert(!first.done);
    leader->apply_wait = false;
    host_mark_ready(leader->host, leader);
    ask(&second, leader);
    hosts_run_ms(50);
    ck_assert(first.done && first.status == STATUS_OK);
    ck_assert_uint_ge(first.applied, commit);
    ck_assert(second.done && second.status == STATUS_OK);
    hosts_end();
}
END_TEST

/* A metadata service that has not been founded refuses at once: each round asks it once, not as fast as it answers. */
START_TEST(a_round_asks_in_vain_once)
{
    hosts_begin(90);
    for (unsigned i = 0; i < 200 && hosts_leader() < 0; i++) hosts_run_ms(20);
    struct host *h = hosts_host((unsigned)hosts_leader());
    struct process *p = hosts_process[hosts_leader()];
    unsigned asked = 0;
    for (uint64_t end_ns = hosts_world.now_ns + SEC_NS; hosts_world.now_ns < end_ns;) {
        hosts_run_ms(1);
        uint64_t now_ns = process_mono_ns(p);
        (void)host_resolve_pass(h, now_ns);
        if (!host_wants_timestamp(h)) continue;
        asked++;
        host_timestamps_asked(h, now_ns);
        host_timestamps_came(h, 0);
    }
    ck_assert_uint_ge(asked, 4); /* five rounds a second */
    ck_assert_uint_le(asked, 6);
    hosts_end();
}
END_TEST

/* Nobody ends the round of one that stops: it would ask as fast as it is answered. */
START_TEST(who_stops_asks_no_more)
{
    hosts_begin(92);
    for (unsigned i = 0; i < 200 && hosts_leader() < 0; i++) hosts_run_ms(20);
    struct host *h = hosts_host((unsigned)hosts_leader());
    struct process *p = hosts_process[hosts_leader()];
    for (unsigned i = 0; i < 500 && !host_wants_timestamp(h); i++) {
        hosts_run_ms(1);
        (void)host_resolve_pass(h, process_mono_ns(p));
    }
    ck_assert(host_wants_timestamp(h));
    host_stop(h, 10000);
    (void)host_resolve_pass(h, process_mono_ns(p));
    ck_assert(!host_wants_timestamp(h));
    hosts_end();
}
END_TEST

/* Rounds for a while, all with one timestamp. */
static void rounds_at(struct host *h, const struct process *p, uint64_t ts, unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        hosts_run_ms(1);
        uint64_t now_ns = process_mono_ns(p);
        (void)host_resolve_pass(h, now_ns);
        if (!host_wants_timestamp(h)) continue;
        host_timestamps_asked(h, now_ns);
        host_timestamps_came(h, ts);
    }
}

/* T6: another may lead, and write below that timestamp: without a lease a quorum has to say that this one leads still. */
START_TEST(nothing_is_resolved_that_nobody_confirms)
{
    uint64_t node;
    void *value;
    hosts_begin(91);
    for (unsigned i = 0; i < 200 && hosts_leader() < 0; i++) hosts_run_ms(20);
    hosts_run_ms(500);
    struct host *h = hosts_host((unsigned)hosts_leader());
    struct process *p = hosts_process[hosts_leader()];
    struct replica *leader = hosts_replica((unsigned)hosts_leader());
    rounds_at(h, p, 1000, 500);
    ck_assert_uint_eq(replica_resolved(leader).ts, 1000);
    for (unsigned i = 0; i < HOSTS_COUNT; i++) sim_net_cut(&hosts_world, hosts_process[i]->index, p->index, true);
    for (size_t it = 0;
         map_next(&h->links, &it, &node, &value);) /* as behind a stall: it is supported, and has no lease */
        liveness_doubt(link_liveness(value), process_mono_ns(p));
    for (unsigned i = 0; i < 200 && h->resolve.at.ts < 2000; i++) rounds_at(h, p, 2000, 1);
    ck_assert_uint_eq(h->resolve.at.ts, 2000);
    ck_assert(replica_leads(leader) && !replica_has_lease(leader));
    ck_assert_uint_eq(replica_resolved(leader).ts, 1000);
    for (unsigned i = 0; i < HOSTS_COUNT; i++) sim_net_cut(&hosts_world, hosts_process[i]->index, p->index, false);
    for (unsigned i = 0; i < 10 && replica_resolved(leader).ts < 2000; i++) rounds_at(h, p, 2000 + i, 300);
    ck_assert_uint_ge(replica_resolved(leader).ts, 2000);
    hosts_end();
}
END_TEST

/* There may be entries left without end, each with blocks to load: a host that stops is quiet behind its patience all the same. */
START_TEST(who_stops_applies_no_more_when_patience_is_over)
{
    hosts_begin(95 + (unsigned)_i);
    for (unsigned i = 0; i < 200 && hosts_leader() < 0; i++) hosts_run_ms(20);
    hosts_run_ms(500);
    unsigned other = ((unsigned)hosts_leader() + 1) % HOSTS_COUNT;
    struct replica *r = hosts_replica(other);
    r->apply_wait = true; /* a block that apply needs is on a slow disk */
    uint64_t before = hosts_applied(other);
    hosts_put();
    for (unsigned i = 0; i < 1000 && raft_commit(r->raft) == before; i++) hosts_run_ms(1);
    ck_assert_uint_gt(raft_commit(r->raft), before);
    host_stop(r->host, _i == 0 ? 5000 : 20);
    hosts_run_ms(100);
    r->apply_wait = false;
    host_mark_ready(r->host, r);
    process_pass_soon(hosts_process[other]);
    hosts_run_ms(100);
    if (_i == 0) ck_assert_uint_gt(hosts_applied(other), before);
    if (_i == 1) ck_assert_uint_eq(hosts_applied(other), before);
    hosts_end();
}
END_TEST

/* T2: a read that was let in by the lease, and whose rows were read while this process stood still: the lease is looked at again. */
START_TEST(a_read_by_a_lease_that_has_ended_meanwhile_does_not_hold)
{
    struct reader r;
    hosts_begin(80);
    for (unsigned i = 0; i < 200 && hosts_leader() < 0; i++) hosts_run_ms(20);
    hosts_put();
    hosts_run_ms(1000);
    int l = hosts_leader();
    struct replica *leader = hosts_replica((unsigned)l);
    ask(&r, leader);
    hosts_run_ms(20);
    ck_assert(r.done && r.status == STATUS_OK && r.wait.by_lease);
    ck_assert(replica_read_holds(leader, &r.wait));
    host_hold_heartbeats(hosts_host((unsigned)l), true);
    for (unsigned i = 0; i < 1000 && replica_has_lease(leader); i++) hosts_run_ms(5);
    ck_assert(!replica_has_lease(leader));
    ck_assert(!replica_read_holds(leader, &r.wait));
    hosts_end();
}
END_TEST

static void proposed(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    (void)p;
    (void)s;
    (void)unknown;
    (void)answer;
}

/* T33: rows have been read there, and whoever read them must not have missed any. */
START_TEST(nothing_is_written_where_rows_have_been_read)
{
    static struct proposal late, in_time;
    const struct slice command = slice_str("a row");
    hosts_begin(90);
    for (unsigned i = 0; i < 200 && hosts_leader() < 0; i++) hosts_run_ms(20);
    hosts_run_ms(500);
    struct replica *leader = hosts_replica((unsigned)hosts_leader());
    replica_raise(leader, 1000);
    late = (struct proposal){.done = proposed, .deadline_ns = UINT64_MAX, .ts = 1000};
    in_time = (struct proposal){.done = proposed, .deadline_ns = UINT64_MAX, .ts = 1001};
    ck_assert_int_eq(replica_propose(leader, command, &late), STATUS_RETRY);
    ck_assert_int_eq(replica_propose(leader, command, &in_time), STATUS_OK);
    process_pass_soon(hosts_process[hosts_leader()]);
    hosts_run_ms(100);
    hosts_end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("range_reads");
    TCase *c = tcase_create("reads");
    tcase_add_loop_test(c, a_read_waits_until_its_index_is_applied, 0, 2);
    tcase_add_test(c, a_round_asks_in_vain_once);
    tcase_add_test(c, who_stops_asks_no_more);
    tcase_add_test(c, nothing_is_resolved_that_nobody_confirms);
    tcase_add_loop_test(c, who_stops_applies_no_more_when_patience_is_over, 0, 2);
    tcase_add_test(c, a_read_by_a_lease_that_has_ended_meanwhile_does_not_hold);
    tcase_add_test(c, nothing_is_written_where_rows_have_been_read);
    suite_add_tcase(s, c);
    return run_suite(s);
}
