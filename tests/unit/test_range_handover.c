/* To whom leaderships are handed over. */
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

int main(void)
{
    Suite *s = suite_create("range_handover");
    TCase *c = tcase_create("handover");
    tcase_add_test(c, nobody_that_is_silent_is_given_a_leadership);
    suite_add_tcase(s, c);
    return run_suite(s);
}
