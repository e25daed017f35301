/* placement_assign: different nodes, hosts kept apart when there are enough, replicas and leaders spread. */
#include <check.h>
#include <stdlib.h>

#include "base/prng.h"
#include "placement/assign.h"

static struct placement_node node(uint64_t id, const char *host)
{
    return (struct placement_node){.id = id, .host = slice_str(host)};
}

START_TEST(refuses_when_nodes_are_too_few)
{
    struct placement_node nodes[] = {node(1, "a"), node(2, "b")};
    uint64_t chosen[3] = {0};
    ck_assert_int_eq(placement_assign(nodes, 2, 3, chosen), STATUS_UNAVAILABLE);
    ck_assert_uint_eq(nodes[0].replicas + nodes[1].replicas, 0);
}
END_TEST

START_TEST(keeps_hosts_apart)
{
    struct placement_node nodes[] = {node(1, "a"), node(2, "a"), node(3, "b"), node(4, "c")};
    nodes[0].replicas = 1; /* the emptier node of host a is taken */
    uint64_t chosen[3];
    ck_assert_int_eq(placement_assign(nodes, 4, 3, chosen), STATUS_OK);
    bool seen[5] = {false};
    for (int i = 0; i < 3; i++) seen[chosen[i]] = true;
    ck_assert(!seen[1] && seen[2] && seen[3] && seen[4]);
}
END_TEST

START_TEST(shares_a_host_when_it_must)
{
    struct placement_node nodes[] = {node(1, "a"), node(2, "a"), node(3, "a")};
    uint64_t chosen[3];
    ck_assert_int_eq(placement_assign(nodes, 3, 3, chosen), STATUS_OK);
    ck_assert(chosen[0] != chosen[1] && chosen[1] != chosen[2] && chosen[0] != chosen[2]);
}
END_TEST

/* Over many ranges and random clusters: all different, counts within one of each other where hosts allow it. */
START_TEST(spreads_replicas_and_leaders)
{
    struct prng rng;
    prng_init(&rng, (uint64_t)_i + 1);
    struct placement_node nodes[7];
    size_t count = (size_t)prng_between(&rng, 3, 7);
    static const char *const hosts[] = {"a", "b", "c", "d", "e", "f", "g"};
    for (size_t i = 0; i < count; i++) nodes[i] = node(i + 1, hosts[i]);
    size_t copies = (size_t)prng_between(&rng, 1, count < 5 ? count : 5);
    for (int range = 0; range < 210; range++) {
        uint64_t chosen[7];
        ck_assert_int_eq(placement_assign(nodes, count, copies, chosen), STATUS_OK);
        for (size_t i = 0; i < copies; i++) {
            for (size_t k = 0; k < i; k++) ck_assert_uint_ne(chosen[i], chosen[k]);
        }
    }
    uint64_t least = UINT64_MAX, most = 0, leaders_least = UINT64_MAX, leaders_most = 0;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].replicas < least) least = nodes[i].replicas;
        if (nodes[i].replicas > most) most = nodes[i].replicas;
        if (nodes[i].leaders < leaders_least) leaders_least = nodes[i].leaders;
        if (nodes[i].leaders > leaders_most) leaders_most = nodes[i].leaders;
    }
    ck_assert_uint_le(most - least, 1);
    ck_assert_uint_le(leaders_most - leaders_least, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("placement_assign");
    TCase *tc = tcase_create("assign");
    tcase_add_test(tc, refuses_when_nodes_are_too_few);
    tcase_add_test(tc, keeps_hosts_apart);
    tcase_add_test(tc, shares_a_host_when_it_must);
    tcase_add_loop_test(tc, spreads_replicas_and_leaders, 0, 50);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
