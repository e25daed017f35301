/* To whom leaderships are handed over, and when they may be taken. */
#include "lib/range_hosts.h"
#include "lib/suite.h"

/* The connection of one that is stopped stands; writes would wait in vain for it to take over, again and again. */
START_TEST(nobody_that_is_silent_is_given_a_leadership)
{
    struct errbuf err;
    hosts_begin(50);
    for (unsigned i = 0; i < 100 && hosts_leader() < 0; i++) hosts_run_ms(20);
    hosts_run_ms(500);
    unsigned leader = (unsigned)hosts_leader(), silent = (leader + 1) % HOSTS_COUNT, other = (leader + 2) % HOSTS_COUNT;
    struct replica *r = hosts_replica(leader);
    sim_net_cut(&hosts_world, hosts_process[silent]->index, hosts_process[leader]->index, true);
    hosts_run_ms(2 * hosts_options.support_ms);
    ck_assert(replica_leads(r));
    ck_assert(host_peer_connected(hosts_host(leader), silent + 1));
    ck_assert_int_eq(replica_transfer(r, silent + 1, &err), STATUS_UNAVAILABLE);
    ck_assert(!replica_transferring(r));
    ck_assert_int_eq(replica_transfer_away(r, &err), STATUS_OK);
    hosts_run_ms(500);
    ck_assert_int_eq(hosts_leader(), (int)other);
    hosts_end();
}
END_TEST

/* A directory's former lives have promised for longer than this one does: nobody may lead before that is over. */
START_TEST(a_lowered_promise_is_waited_for)
{
    hosts_begin(51);
    for (unsigned i = 0; i < 100 && hosts_leader() < 0; i++) hosts_run_ms(20);
    ck_assert_int_ge(hosts_leader(), 0);
    for (unsigned i = 0; i < HOSTS_COUNT; i++) process_crash(hosts_process[i], MEMDISK_DROP, true);
    hosts_options.support_before_ms = 5000;
    for (unsigned i = 0; i < HOSTS_COUNT; i++) ck_assert_int_eq(process_start(hosts_process[i]), STATUS_OK);
    hosts_run_ms(4500);
    ck_assert_int_lt(hosts_leader(), 0);
    hosts_run_ms(3000);
    ck_assert_int_ge(hosts_leader(), 0);
    hosts_end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("range_handover");
    TCase *c = tcase_create("handover");
    tcase_add_test(c, nobody_that_is_silent_is_given_a_leadership);
    tcase_add_test(c, a_lowered_promise_is_waited_for);
    suite_add_tcase(s, c);
    return run_suite(s);
}
