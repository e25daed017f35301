/* How a metadata service begins, and what a member may do whose disk was lost: three members over the simulator's network and disks, and a
 * fourth that joins them. */
#include "base/mem.h"
#include "lib/suite.h"
#include "meta/machine.h"
#include "meta/meta.h"
#include "sim/sim.h"
#include "wal/wal_format.h"

#include <stdio.h>

enum { MEMBERS = 3, FOURTH = 3, GROUP = 1 };

static struct world world;
static struct process *members[MEMBERS + 1];
static uint32_t support_ms; /* 0: leaders are heard of all the time, and never rest */

static enum status member_start(struct process *p, struct errbuf *err)
{
    struct meta_options o = {.id = p->index + 1, .member_count = MEMBERS};
    for (unsigned i = 0; i < MEMBERS; i++)
        o.members[i] = (struct meta_member){.id = i + 1, .address = members[i]->address};
    o.join = p->index == FOURTH;
    if (o.join) o.members[o.member_count++] = (struct meta_member){.id = o.id, .address = p->address};
    host_options_default(&o.host);
    o.host.wal.segment_bytes = 65536;
    o.host.wal.skip_self_test = true;
    o.host.election_ms = 100;
    o.host.support_ms = support_ms;
    o.host.heartbeat_ms = 20;
    struct meta *m = NULL;
    enum status s = meta_new(&p->env, &o, &m, err);
    p->server = m;
    return s;
}

static void member_end(struct process *p)
{
    meta_free(p->server);
}

static const struct process_ops OPS = {.start = member_start, .free = member_end};

static void begin(uint64_t seed)
{
    world_init(&world, seed);
    support_ms = 100;
    world.knobs = (struct sim_knobs){.net_min_ns = 100000,
                                     .net_max_ns = 2000000,
                                     .pass_gap_ns = 20000,
                                     .log_min_ns = 100000,
                                     .log_max_ns = 2000000,
                                     .io_min_ns = 100000,
                                     .io_max_ns = 200000};
    for (unsigned i = 0; i <= FOURTH; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "meta%u", i + 1);
        members[i] = process_new(&world, name, &OPS, NULL, true);
    }
}

static void end(void)
{
    for (unsigned i = 0; i <= FOURTH; i++) {
        if (process_runs(members[i])) process_crash(members[i], MEMDISK_KEEP, false);
    }
    if (world.failed) ck_abort_msg("%s", world.failure);
    world_free(&world);
}

static void run_ms(uint64_t ms)
{
    uint64_t until = world.now_ns + ms * MS_NS;
    while (world.now_ns < until && world_step(&world)) continue;
    if (world.failed) ck_abort_msg("%s", world.failure);
}

static struct replica *replica_of(unsigned i)
{
    return process_runs(members[i]) ? host_replica(meta_host(members[i]->server), GROUP) : NULL;
}

static int leader(void)
{
    for (unsigned i = 0; i <= FOURTH; i++) {
        if (replica_of(i) != NULL && replica_leads(replica_of(i))) return (int)i;
    }
    return -1;
}

static bool is_whole(unsigned i)
{
    const struct replica *r = replica_of(i);
    return r != NULL && !raft_recovering(replica_raft(r)) && raft_applied(replica_raft(r)) > 0;
}

static bool all_whole(void)
{
    return is_whole(0) && is_whole(1) && is_whole(2) && leader() >= 0;
}

static void start(unsigned i)
{
    if (!process_runs(members[i])) (void)process_start(members[i]);
}

static void start_all(void)
{
    for (unsigned i = 0; i < MEMBERS; i++) start(i);
}

static void crash(unsigned i)
{
    if (process_runs(members[i])) process_crash(members[i], MEMDISK_DROP, true);
}

static void empty(unsigned i)
{
    crash(i);
    memdisk_free(members[i]->disk);
    members[i]->disk = memdisk_new(i + 77);
}

static void wait_whole(void)
{
    for (unsigned i = 0; i < 100 && !all_whole(); i++) run_ms(100);
    ck_assert(all_whole());
}

/* A majority is not enough: what a member that was never asked has lost, the other two may have acknowledged with it. */
START_TEST(all_are_needed_once)
{
    begin(1 + (uint64_t)_i);
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (i != (unsigned)_i) start(i);
    }
    run_ms(8000);
    for (unsigned i = 0; i < MEMBERS; i++) ck_assert_ptr_null(replica_of(i));
    start((unsigned)_i);
    run_ms(1000);
    ck_assert(all_whole());
    crash((unsigned)_i); /* and only once */
    crash((unsigned)(_i + 1) % MEMBERS);
    start((unsigned)(_i + 1) % MEMBERS);
    run_ms(3000);
    ck_assert_int_ge(leader(), 0);
    end();
}
END_TEST

/* Two of three know something; of these one loses its disk and the other one is down: the third has never heard of it. */
START_TEST(who_has_forgotten_does_not_vote)
{
    begin(10 + (uint64_t)_i);
    start_all();
    wait_whole();
    unsigned knows = (unsigned)leader(), emptied = (knows + 1) % MEMBERS, away = (knows + 2) % MEMBERS;
    crash(away);
    run_ms(4000); /* the bound of timestamps has risen: entries that two have */
    uint64_t known = raft_commit(replica_raft(replica_of(knows)));
    ck_assert_int_eq(leader(), (int)knows);
    empty(emptied);
    crash(knows);
    start(emptied);
    start(away);
    run_ms(8000);
    ck_assert_int_lt(leader(), 0);
    ck_assert(!is_whole(emptied));
    if (_i % 2 == 0) crash(emptied); /* it goes on where it was */
    start_all();
    wait_whole();
    ck_assert_int_ne(leader(), (int)emptied);
    ck_assert_uint_ge(raft_commit(replica_raft(replica_of(emptied))), known);
    crash(away); /* it counts again */
    run_ms(3000);
    ck_assert_int_ge(leader(), 0);
    end();
}
END_TEST

/* Whatever was done of the founding when a member ended, it goes on, with all. */
START_TEST(a_founding_that_breaks_off_goes_on)
{
    begin(100 + (uint64_t)_i);
    members[_i % MEMBERS]->crash_at_effect = (unsigned)_i + 1;
    start_all();
    run_ms(500);
    start_all();
    wait_whole();
    end();
}
END_TEST

/* A disk that is lost in its midst is one that was never there, or one that the others do without. */
START_TEST(a_disk_may_be_lost_meanwhile)
{
    begin(1000 + (uint64_t)_i);
    start_all();
    run_ms((uint64_t)_i * 3);
    empty((unsigned)_i % MEMBERS);
    if (_i % 2 == 0) run_ms(50);
    start_all();
    wait_whole();
    end();
}
END_TEST

static void proposed(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    (void)p;
    (void)unknown;
    (void)answer;
    ck_assert_int_eq(s, STATUS_OK);
}

static bool has_vote(unsigned i)
{
    const struct range_replica *is = range_desc_replica(replica_desc(replica_of((unsigned)leader())), i + 1);
    return is != NULL && is->role != RANGE_LEARNER;
}

/* It starts, and is made a member. */
static void add_fourth(void)
{
    static struct proposal proposal;
    struct buf command;
    start(FOURTH);
    buf_init(&command, 256);
    meta_command_encode(
        &(struct meta_command){.kind = META_CMD_MEMBER,
                               .member = {.id = FOURTH + 1, .address = slice_str(members[FOURTH]->address)}},
        &command);
    proposal = (struct proposal){.done = proposed, .deadline_ns = UINT64_MAX};
    ck_assert_int_eq(replica_propose(replica_of((unsigned)leader()), buf_slice(&command), &proposal), STATUS_OK);
    buf_free(&command);
    for (unsigned i = 0; i < 10000 && !has_vote(FOURTH); i++) run_ms(1);
    ck_assert(has_vote(FOURTH));
}

static void give_leadership(unsigned to)
{
    struct errbuf err;
    for (unsigned i = 0; i < 100 && leader() != (int)to; i++) {
        if (leader() >= 0) (void)!replica_transfer(replica_of((unsigned)leader()), to + 1, &err);
        run_ms(100);
    }
    ck_assert_int_eq(leader(), (int)to);
}

/* The first three do not reach the one of them. */
static void cut_off(unsigned one, bool cut)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        sim_net_cut(&world, members[i]->index, members[one]->index, cut);
        sim_net_cut(&world, members[one]->index, members[i]->index, cut);
    }
}

/* One that was away hears of the leader by that one's own word, and cannot answer. */
START_TEST(who_leads_may_have_come_meanwhile)
{
    begin(4000 + (uint64_t)_i);
    support_ms = 0;
    start_all();
    wait_whole();
    unsigned away = ((unsigned)leader() + 1) % MEMBERS;
    cut_off(away, true);
    sim_net_reset_some(&world, 1000); /* nothing that was on its way comes later */
    run_ms(1000);
    add_fourth();
    give_leadership(FOURTH);
    run_ms(3000);
    ck_assert_uint_eq(replica_leader_node(replica_of(away)), FOURTH + 1);
    cut_off(away, false);
    run_ms(3000);
    ck_assert_uint_eq(raft_applied(replica_raft(replica_of(away))), raft_applied(replica_raft(replica_of(FOURTH))));
    end();
}
END_TEST

/* Nothing is applied before a leader has spoken: all lose power, the first three know of the fourth by their logs alone, and without its
 * vote nobody leads. */
START_TEST(who_came_last_is_known_by_the_log)
{
    begin(2000 + (uint64_t)_i);
    start_all();
    wait_whole();
    add_fourth();
    for (unsigned i = 0; i <= FOURTH; i++) crash(i);
    for (unsigned i = 0; i <= FOURTH; i++) {
        if (i != (unsigned)_i % MEMBERS) start(i);
    }
    run_ms(5000);
    ck_assert_int_ge(leader(), 0);
    end();
}
END_TEST

/* The log loses its first batch. What the loss of the store has made durable in the second one says that there was a first. */
static void damage_log(unsigned i)
{
    static const uint8_t zeros[WAL_BLOCK];
    start(i);
    run_ms(100);
    crash(i);
    memdisk_flip(members[i]->disk, "store/MANIFEST", 0, 1);
    start(i);
    run_ms(100);
    crash(i);
    memdisk_poke(members[i]->disk, "wal/0000000000000001.wal", WAL_BLOCK, zeros, sizeof zeros);
    start(i);
    run_ms(100);
    ck_assert(host_log_lost(meta_host(members[i]->server)));
}

/* A majority's logs are damaged before there was a group: no vote can have been in them. Nor is it different for whom a crash hits in
 * the midst of the founding. */
START_TEST(a_log_that_was_damaged_before_has_forgotten_nothing)
{
    begin(3000 + (uint64_t)_i);
    damage_log(0);
    damage_log(1);
    members[_i % 2]->crash_at_effect = (unsigned)_i; /* 0: never */
    start(2);
    run_ms(500);
    start_all();
    wait_whole();
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("meta_founding");
    TCase *c = tcase_create("founding");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, all_are_needed_once, 0, MEMBERS);
    tcase_add_loop_test(c, who_has_forgotten_does_not_vote, 0, 10);
    tcase_add_loop_test(c, a_founding_that_breaks_off_goes_on, 0, 60);
    tcase_add_loop_test(c, a_disk_may_be_lost_meanwhile, 0, 60);
    tcase_add_loop_test(c, who_leads_may_have_come_meanwhile, 0, 6);
    tcase_add_loop_test(c, who_came_last_is_known_by_the_log, 0, 4 * MEMBERS);
    tcase_add_loop_test(c, a_log_that_was_damaged_before_has_forgotten_nothing, 0, 20);
    suite_add_tcase(s, c);
    return run_suite(s);
}
