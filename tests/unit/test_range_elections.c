/* Leaders that are lost. A node dies that leads a thousand ranges: what the others say and write then is counted. A frame takes all that a pass
 * has for a host, and a batch of the log all that it has to keep, so both are few however many the ranges are. */
#include "lib/range_hosts.h"
#include "lib/suite.h"
#include "range/members.h"

enum { RANGES = 1000, FRAMES_MAX = RANGES / 8, BATCHES_MAX = RANGES / 20 };

static struct range_desc range(unsigned i)
{
    struct range_desc d = hosts_range();
    d.id = HOSTS_GROUP + i;
    d.keyspace = d.keyspace + i;
    return d;
}

static unsigned led_by(unsigned host)
{
    unsigned count = 0;
    for (unsigned i = 0; i < RANGES; i++) {
        const struct replica *r = host_replica(hosts_host(host), HOSTS_GROUP + i);
        count += r != NULL && replica_leads(r);
    }
    return count;
}

static void all_at_the_first(void)
{
    for (unsigned i = 0; i < RANGES; i++) {
        struct range_desc d = range(i);
        for (unsigned host = 0; host < HOSTS_COUNT; host++) host_create_replica(hosts_host(host), &d);
    }
    for (unsigned host = 0; host < HOSTS_COUNT; host++) process_pass_soon(hosts_process[host]);
    for (unsigned rounds = 0; led_by(0) < RANGES; rounds++) {
        ck_assert_uint_lt(rounds, 200);
        hosts_run_ms(50);
        for (unsigned host = 1; host < HOSTS_COUNT; host++) {
            for (unsigned i = 0; i < RANGES; i++) {
                struct replica *r = host_replica(hosts_host(host), HOSTS_GROUP + i);
                struct errbuf err;
                if (replica_leads(r) && !replica_transferring(r))
                    ck_assert_int_eq(replica_transfer(r, 1, &err), STATUS_OK);
            }
            process_pass_soon(hosts_process[host]);
        }
    }
    hosts_run_ms(500);
}

static uint64_t batches_of(unsigned host)
{
    struct wal_stats s;
    wal_stats(hosts_host(host)->wal, &s);
    return s.batches;
}

START_TEST(a_thousand_elections)
{
    hosts_without_range = true;
    hosts_begin(1);
    all_at_the_first();
    uint64_t batches[HOSTS_COUNT];
    for (unsigned host = 1; host < HOSTS_COUNT; host++) batches[host] = batches_of(host);
    hosts_frames = hosts_messages = 0;
    process_crash(hosts_process[0], MEMDISK_DROP, true);
    uint64_t begun = hosts_world.now_ns;
    while (led_by(1) + led_by(2) < RANGES) {
        hosts_run_ms(10);
        ck_assert_uint_lt(hosts_world.now_ns - begun, 5 * SEC_NS);
    }
    hosts_run_ms(100);
    ck_assert_uint_ge(hosts_messages,
                      6 * RANGES); /* three questions and their answers each: pre-vote, vote, the first entry */
    ck_assert_uint_le(hosts_frames, FRAMES_MAX);
    for (unsigned host = 1; host < HOSTS_COUNT; host++)
        ck_assert_uint_le(batches_of(host) - batches[host], BATCHES_MAX);
    hosts_end();
}
END_TEST

/* A follower has missed that the range goes on without it, and is bound to it for as long as its node lives. When another campaigns it asks
 * there, and is told that it leads no more. */
START_TEST(a_leader_is_gone_and_its_node_lives)
{
    hosts_without_range = false;
    hosts_begin(2);
    hosts_run_ms(2000);
    int leader = hosts_leader();
    ck_assert_int_ge(leader, 0);
    const struct range_desc d = hosts_range();
    host_replica_gone(hosts_host((unsigned)leader), d.id, d.replicas[leader].replica_id, d.epoch.conf_ver + 1);
    process_pass_soon(hosts_process[leader]);
    hosts_run_ms(500);
    struct process *restarts = hosts_process[(leader + 1) % HOSTS_COUNT]; /* and is bound to nobody */
    process_crash(restarts, MEMDISK_DROP, true);
    ck_assert_int_eq(process_start(restarts), STATUS_OK);
    hosts_run_ms(5000);
    ck_assert_ptr_null(hosts_replica((unsigned)leader));
    ck_assert_int_ge(hosts_leader(), 0);
    hosts_put();
    hosts_run_ms(100);
    ck_assert_uint_eq(hosts_written, 1);
    hosts_end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("range_elections");
    TCase *c = tcase_create("mass");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_thousand_elections);
    tcase_add_test(c, a_leader_is_gone_and_its_node_lives);
    suite_add_tcase(s, c);
    return run_suite(s);
}
