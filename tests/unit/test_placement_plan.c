/* The scheduler against a cluster that carries out what it says: it repairs, spreads, ends, and says why it does nothing. */
#include <check.h>

#include "base/prng.h"
#include "lib/placement_world.h"
#include "lib/suite.h"
#include "placement/labels.h"

static struct placement_world world;
static struct prng rng;

static void begin(uint64_t seed, size_t sites, size_t ranges, size_t among, uint64_t bytes_max)
{
    prng_init(&rng, seed);
    placement_world_init(&world, sites, ranges * 2 + 64);
    placement_world_add(&world, &rng, ranges, among, bytes_max);
    world.options.pause_merge = true;
}

static size_t seats_on(uint32_t site)
{
    size_t n = 0;
    for (size_t i = 0; i < world.range_count; i++) {
        for (unsigned k = 0; k < world.ranges[i].seats; k++) n += world.ranges[i].nodes[k] == site;
    }
    return n;
}

static size_t led_by(uint32_t site)
{
    size_t n = 0;
    for (size_t i = 0; i < world.range_count; i++) {
        const struct placement_range *g = &world.ranges[i];
        n += g->leader < g->seats && g->nodes[g->leader] == site;
    }
    return n;
}

static uint64_t noted(enum placement_reason why)
{
    return world.plan.notes[why].count;
}

START_TEST(a_new_node_gets_its_share)
{
    begin((uint64_t)_i + 1, 4, 300, 3, 0);
    placement_world_settle(&world, 500);
    double mean = 300.0 * 3 / 4;
    ck_assert(placement_world_spread(&world, false) <= mean * 0.06 + 1);
    ck_assert(placement_world_spread(&world, true) <= 75 * 0.06 + 1);
    ck_assert_uint_eq(world.plan.failures_borne, 1);
    placement_world_free(&world);
}
END_TEST

/* Whatever the sizes: every node ends within slack of its goal, or one range off it. */
START_TEST(random_clusters_settle_evenly)
{
    prng_init(&rng, (uint64_t)_i + 77);
    size_t sites = (size_t)prng_between(&rng, 4, 12), ranges = (size_t)prng_between(&rng, 50, 400);
    begin((uint64_t)_i + 1, sites, ranges, (size_t)prng_between(&rng, 3, (uint64_t)sites), 200u << 20);
    placement_world_settle(&world, 2000);
    uint64_t total = 0, most = 0, largest = 0;
    for (uint32_t s = 0; s < sites; s++) {
        uint64_t held = 0;
        for (size_t i = 0; i < world.range_count; i++) {
            const struct placement_range *g = &world.ranges[i];
            uint64_t weight = g->bytes + world.options.range_cost_bytes;
            for (unsigned k = 0; k < g->seats; k++) held += g->nodes[k] == s ? weight : 0;
            if (weight > largest) largest = weight;
        }
        total += held;
        if (held > most) most = held;
    }
    ck_assert_uint_le(most, total / sites + total / sites / 20 + 2 * largest);
    placement_world_free(&world);
}
END_TEST

/* One range has nearly all load: its node leads nothing else, and the other two share the rest, whoever led it before. */
START_TEST(a_hot_range_leaves_no_node_with_all_the_others)
{
    begin((uint64_t)_i + 1, 3, 21, 3, 0);
    for (size_t i = 0; i < world.range_count; i++) {
        struct placement_range *g = &world.ranges[i];
        uint32_t at = i == 0 ? 0 : i < 4 ? 2 : 1; /* 1, 17 and 3 */
        for (unsigned k = 0; k < g->seats; k++) g->leader = g->nodes[k] == at ? (uint8_t)k : g->leader;
    }
    world.ranges[0].load = 1500; /* not enough to be cut */
    placement_world_settle(&world, 100);
    ck_assert_uint_le(led_by(1), led_by(2) + 1);
    ck_assert_uint_le(led_by(2), led_by(1) + 1);
    ck_assert_uint_le(led_by(0), led_by(1));
    placement_world_free(&world);
}
END_TEST

enum share { BYTES, RANGES, LEADERS, LOAD };
static double held(uint32_t site, enum share what)
{
    double sum = 0;
    for (size_t i = 0; i < world.range_count; i++) {
        const struct placement_range *g = &world.ranges[i];
        for (unsigned k = 0; k < g->seats; k++) {
            if (g->nodes[k] != site) continue;
            if (what == BYTES) sum += (double)g->bytes;
            if (what == RANGES) sum += 1;
            if (what == LEADERS) sum += k == g->leader;
            if (what == LOAD) sum += k == g->leader ? g->load : 0;
        }
    }
    return sum;
}

/* Ranges of all sizes and loads: a fourth node gets its share of each of the four within a tenth, and so do the others. */
START_TEST(a_fourth_node_gets_its_share_of_everything)
{
    begin((uint64_t)_i + 1, 4, 400, 3, 200u << 20);
    for (size_t i = 0; i < world.range_count; i++) {
        uint64_t kind = prng_below(&rng, 10);
        world.ranges[i].load = (uint32_t)prng_below(&rng, kind == 0 ? 1500 : kind < 5 ? 200 : 2);
    }
    placement_world_settle(&world, 2000);
    for (int what = BYTES; what <= LOAD; what++) {
        double total = 0;
        for (uint32_t s = 0; s < 4; s++) total += held(s, (enum share)what);
        for (uint32_t s = 0; s < 4; s++) {
            ck_assert_double_ge(held(s, (enum share)what), 0.9 * total / 4);
            ck_assert_double_le(held(s, (enum share)what), 1.1 * total / 4);
        }
    }
    placement_world_free(&world);
}
END_TEST

/* What a move left half-way: the learner takes the place of a voter that is missing or goes, else it goes itself; it is never a
 * reason to take a voter away. */
START_TEST(a_stray_learner_costs_no_voter)
{
    static const enum placement_life lives[] = {PLACEMENT_UP, PLACEMENT_DEAD, PLACEMENT_LEAVING};
    for (unsigned life = 0; life < 3; life++) {
        for (unsigned voters = 2; voters <= 3; voters++) {
            begin(3, 5, 1, 5, 1u << 20);
            struct placement_range *g = &world.ranges[0];
            uint32_t learner = 0;
            while (learner == g->nodes[0] || learner == g->nodes[1] || learner == g->nodes[2]) learner++;
            uint32_t third = g->nodes[2];
            g->nodes[voters] = learner;
            g->seats = (uint8_t)(voters + 1);
            g->learners = (uint8_t)(1u << voters);
            g->leader = 0;
            world.sites[voters == 3 ? third : g->nodes[1]].life = voters == 3 ? lives[life] : PLACEMENT_UP;
            placement_round(&(struct placement_view){.sites = world.sites,
                                                     .site_count = world.site_count,
                                                     .rules = &world.rules,
                                                     .rules_count = 1,
                                                     .ranges = world.ranges,
                                                     .range_count = 1},
                            &world.options, &world.plan);
            ck_assert_uint_eq(world.plan.op_count, 1);
            const struct placement_op *op = &world.plan.ops[0];
            if (voters == 2) {
                ck_assert_int_eq(op->kind, PLACEMENT_ADD);
                ck_assert_uint_eq(op->to, learner);
            } else if (lives[life] == PLACEMENT_UP) {
                ck_assert_int_eq(op->kind, PLACEMENT_REMOVE);
                ck_assert_uint_eq(op->from, learner);
            } else {
                ck_assert_int_eq(op->kind, PLACEMENT_REPLACE);
                ck_assert_uint_eq(op->from, third);
                ck_assert_uint_eq(op->to, learner);
            }
            placement_world_free(&world);
        }
    }
}
END_TEST

START_TEST(a_dead_nodes_replicas_are_replaced)
{
    begin((uint64_t)_i + 1, 5, 200, 5, 1u << 20);
    world.sites[2].life = PLACEMENT_SILENT;
    placement_world_round(&world);
    ck_assert_uint_eq(world.done[PLACEMENT_REPLACE] > 0 && seats_on(2) == 0, 0); /* not yet */
    world.sites[2].life = PLACEMENT_DEAD;
    placement_world_settle(&world, 1000);
    ck_assert_uint_eq(seats_on(2), 0);
    ck_assert_uint_eq(world.plan.ranges_short, 0);
    ck_assert_uint_eq(world.plan.failures_borne, 1);
    placement_world_free(&world);
}
END_TEST

/* Five voters where three are asked for by now, and two of them silent: to take away one of the others would stop the range. */
START_TEST(who_does_not_answer_goes_first)
{
    for (unsigned how = 0; how < 3; how++) {
        begin((uint64_t)how + 1, 8, 0, 8, 0);
        world.rules.voters = 5;
        placement_world_add(&world, &rng, 40, 8, 1u << 20);
        world.rules.voters = 3;
        for (size_t i = 0; i < 2; i++) {
            world.sites[i].life = how == 0 ? PLACEMENT_SILENT : PLACEMENT_DRAINING;
            world.sites[i].absent = how < 2; /* a node in maintenance may be stopped */
        }
        (void)placement_world_round(&world);
        ck_assert_uint_gt(world.done[PLACEMENT_REMOVE], 0);
        for (size_t i = 0; i < world.range_count && how < 2; i++) {
            const struct placement_range *g = &world.ranges[i];
            unsigned answer = 0;
            for (unsigned k = 0; k < g->seats; k++) answer += g->nodes[k] > 1;
            ck_assert_uint_ge(answer, g->seats / 2u + 1);
        }
        placement_world_free(&world);
    }
}
END_TEST

START_TEST(a_stopped_node_in_maintenance_bears_no_failure)
{
    begin(1, 3, 10, 3, 0);
    world.sites[1].life = PLACEMENT_DRAINING;
    (void)placement_world_settle(&world, 10);
    ck_assert_uint_eq(world.plan.failures_borne, 1);
    world.sites[1].absent = true;
    (void)placement_world_settle(&world, 10);
    ck_assert_uint_eq(world.plan.failures_borne, 0);
    placement_world_free(&world);
}
END_TEST

START_TEST(too_few_nodes_are_said)
{
    begin(1, 3, 20, 3, 0);
    world.sites[0].life = PLACEMENT_DEAD;
    ck_assert_uint_eq(placement_world_round(&world), 0);
    ck_assert_uint_eq(noted(PLACEMENT_NOT_NO_TARGET), 20);
    ck_assert_uint_eq(world.plan.ranges_short, 20);
    ck_assert_uint_eq(world.plan.failures_borne, 0);
    placement_world_free(&world);
}
END_TEST

START_TEST(mass_silence_replaces_nothing)
{
    begin(1, 7, 100, 7, 0);
    for (int i = 0; i < 4; i++) world.sites[i].life = PLACEMENT_DEAD;
    for (int i = 0; i < 10; i++) placement_world_round(&world);
    ck_assert_uint_eq(world.done[PLACEMENT_REPLACE] + world.done[PLACEMENT_ADD] + world.done[PLACEMENT_REMOVE], 0);
    ck_assert(noted(PLACEMENT_NOT_MASS_SILENCE) > 0);
    ck_assert(noted(PLACEMENT_NOT_NO_QUORUM) > 0);
    ck_assert_uint_eq(world.plan.failures_borne, 0);
    placement_world_free(&world);
}
END_TEST

START_TEST(a_leaving_node_is_emptied_and_leads_nothing)
{
    begin((uint64_t)_i + 1, 5, 150, 5, 1u << 20);
    world.sites[4].life = PLACEMENT_LEAVING;
    placement_world_settle(&world, 1000);
    ck_assert_uint_eq(seats_on(4), 0);
    ck_assert_uint_eq(led_by(4), 0);
    placement_world_free(&world);
}
END_TEST

START_TEST(decommission_without_room_says_why)
{
    begin(1, 3, 10, 3, 0);
    world.sites[1].life = PLACEMENT_LEAVING;
    for (int i = 0; i < 5; i++) placement_world_round(&world);
    ck_assert_uint_eq(seats_on(1), 10);
    ck_assert_uint_eq(noted(PLACEMENT_NOT_NO_TARGET), 10);
    ck_assert_uint_eq(led_by(1), 0);
    placement_world_free(&world);
}
END_TEST

START_TEST(a_draining_node_keeps_replicas_but_no_leader)
{
    begin(3, 3, 1000, 3, 0);
    world.sites[0].life = PLACEMENT_DRAINING;
    size_t rounds = 0;
    while (led_by(0) > 0) {
        ck_assert(placement_world_round(&world) > 0);
        ck_assert_uint_lt(++rounds, 10);
    }
    ck_assert_uint_eq(seats_on(0), 1000);
    placement_world_free(&world);
}
END_TEST

START_TEST(hosts_and_zones_are_kept_apart)
{
    static const char *const hosts[] = {"a", "a", "b", "b", "c", "c"}, *const zones[] = {"x", "x", "x", "x", "y", "z"};
    begin((uint64_t)_i + 1, 6, 120, 6, 0);
    for (size_t i = 0; i < 6; i++) {
        world.sites[i].labels[PLACEMENT_HOST] = slice_str(hosts[i]);
        world.sites[i].labels[PLACEMENT_ZONE] = slice_str(zones[i]);
    }
    world.options.pause_balance = true;
    placement_world_settle(&world, 1000);
    for (size_t i = 0; i < world.range_count; i++) {
        const struct placement_range *g = &world.ranges[i];
        bool seen[256] = {false};
        for (unsigned k = 0; k < g->seats; k++) {
            uint8_t zone = world.sites[g->nodes[k]].labels[PLACEMENT_ZONE].data[0];
            ck_assert(!seen[zone]);
            seen[zone] = true;
        }
    }
    placement_world_free(&world);
}
END_TEST

START_TEST(large_ranges_split_small_ones_merge_and_it_ends)
{
    prng_init(&rng, (uint64_t)_i + 1);
    placement_world_init(&world, 5, 4096);
    placement_world_add(&world, &rng, 60, 5, 2048ull << 20);
    placement_world_add(&world, &rng, 60, 5, 1u << 20);
    placement_world_settle(&world, 2000);
    ck_assert(world.done[PLACEMENT_SPLIT] > 0);
    ck_assert(world.done[PLACEMENT_MERGE] > 0);
    for (size_t i = 0; i < world.range_count; i++) ck_assert_uint_le(world.ranges[i].bytes, world.options.split_bytes);
    placement_world_free(&world);
}
END_TEST

START_TEST(a_hot_range_splits_by_load)
{
    begin(1, 3, 4, 3, 0);
    world.ranges[1].load = 40000;
    world.ranges[1].hot_s = world.options.split_load_s - 1;
    (void)placement_world_settle(&world, 100);
    ck_assert_uint_eq(world.done[PLACEMENT_SPLIT], 0);
    world.ranges[1].hot_s++;
    placement_world_settle(&world, 100);
    ck_assert_uint_eq(world.done[PLACEMENT_SPLIT], 3); /* four quarters: none is more than one of three nodes' share */
    placement_world_free(&world);
}
END_TEST

/* As busy everywhere: no placement would be more even for it. */
START_TEST(an_even_load_splits_nothing)
{
    begin(1, 3, 30, 3, 0);
    for (size_t i = 0; i < world.range_count; i++) {
        world.ranges[i].load = 9000;
        world.ranges[i].hot_s = world.options.split_load_s;
    }
    (void)placement_world_settle(&world, 100);
    ck_assert_uint_eq(world.done[PLACEMENT_SPLIT], 0);
    placement_world_free(&world);
}
END_TEST

START_TEST(what_could_not_be_cut_is_left_alone)
{
    begin(1, 3, 4, 3, 0);
    world.ranges[1].load = 40000;
    world.ranges[1].hot_s = world.options.split_load_s;
    world.ranges[1].calm = true;
    (void)placement_world_settle(&world, 100);
    ck_assert_uint_eq(world.done[PLACEMENT_SPLIT], 0);
    ck_assert(noted(PLACEMENT_NOT_AGAIN) > 0);
    placement_world_free(&world);
}
END_TEST

START_TEST(a_merge_names_the_range_behind)
{
    begin(1, 3, 4, 3, 0);
    world.options.pause_merge = false;
    world.options.pause_balance = world.options.pause_leaders = true;
    world.ranges[2].calm = true;
    for (size_t i = 0; i < world.range_count; i++) {
        world.ranges[i].bytes = 1000;
        world.ranges[i].load = 1;
        world.ranges[i].age_s = world.options.merge_age_s;
    }
    struct placement_view v = placement_world_view(&world);
    placement_round(&v, &world.options, &world.plan);
    size_t merges = 0;
    for (size_t i = 0; i < world.plan.op_count; i++) {
        const struct placement_op *op = &world.plan.ops[i];
        if (op->kind != PLACEMENT_MERGE) continue;
        ck_assert_uint_eq(op->range, world.ranges[0].id);
        ck_assert_uint_eq(op->other, world.ranges[1].id);
        merges++;
    }
    ck_assert_uint_eq(merges, 1);
    placement_world_free(&world);
}
END_TEST

/* The first one lacks a replica and none can be had: the second one would lose one of its own for it. */
START_TEST(what_lacks_a_replica_does_not_merge)
{
    begin(1, 3, 2, 3, 0);
    world.options.pause_merge = false;
    world.options.pause_leaders = true;
    for (size_t i = 0; i < 2; i++) {
        world.ranges[i] = (struct placement_range){
            .id = 2 + i, .bytes = 1000, .load = 1, .age_s = world.options.merge_age_s, .nodes = {0, 1, 2}, .seats = 3};
    }
    for (unsigned lacks = 0; lacks < 3; lacks++) {
        for (size_t i = 0; i < 2; i++) world.ranges[i].seats = i == lacks ? 2 : 3;
        for (size_t i = 0; i < 3; i++) world.sites[i].takes_replicas = false;
        struct placement_view v = placement_world_view(&world);
        placement_round(&v, &world.options, &world.plan);
        ck_assert_uint_eq(world.plan.op_count, lacks == 2);
        if (lacks == 2) ck_assert_int_eq(world.plan.ops[0].kind, PLACEMENT_MERGE);
    }
    placement_world_free(&world);
}
END_TEST

START_TEST(busy_and_paused_are_left_alone)
{
    begin(1, 5, 50, 5, 0);
    world.sites[0].life = PLACEMENT_DEAD;
    world.options.pause_repair = world.options.pause_balance = world.options.pause_leaders = true;
    ck_assert_uint_eq(placement_world_round(&world), 0);
    ck_assert(noted(PLACEMENT_NOT_PAUSED) > 0);
    world.options.pause_repair = false;
    for (size_t i = 0; i < world.range_count; i++) world.ranges[i].busy = true;
    ck_assert_uint_eq(placement_world_round(&world), 0);
    placement_world_free(&world);
}
END_TEST

START_TEST(limits_per_node_hold)
{
    begin(1, 4, 200, 3, 0);
    struct placement_traffic traffic[] = {{.from = 0, .to = 3}, {.from = PLACEMENT_NO_SITE, .to = 3}};
    struct placement_view v = placement_world_view(&world);
    v.traffic = traffic;
    v.traffic_count = 1;
    placement_round(&v, &world.options, &world.plan);
    size_t arrivals = 0;
    for (size_t i = 0; i < world.plan.op_count; i++) arrivals += world.plan.ops[i].to == 3;
    ck_assert_uint_eq(arrivals, 1); /* two at once, one is under way */
    v.traffic_count = 2;
    placement_round(&v, &world.options, &world.plan);
    for (size_t i = 0; i < world.plan.op_count; i++) ck_assert_uint_ne(world.plan.ops[i].kind, PLACEMENT_REPLACE);
    placement_world_free(&world);
}
END_TEST

START_TEST(what_is_said_reads_well)
{
    begin(1, 4, 1, 3, 0);
    struct placement_view v = placement_world_view(&world);
    struct buf out;
    buf_init(&out, 1000);
    struct placement_op op = {
        .kind = PLACEMENT_REPLACE, .why = PLACEMENT_WHY_DEAD, .range = 7, .conf_ver = 1, .from = 0, .to = 3};
    placement_op_describe(&op, &v, &out);
    ck_assert(slice_eq(buf_slice(&out), slice_str("move range=7 from=1 to=4: a replica's node is dead")));
    for (int i = 0; i < PLACEMENT_REASONS; i++) ck_assert(placement_reason_text((enum placement_reason)i) != NULL);
    buf_free(&out);
    placement_world_free(&world);
}
END_TEST

/* --- rules of a keyspace --- */

static uint8_t fit[12];

/* Sites 0 to 5 in zone a, 6 to 11 in zone b: voters in a, leaders on the first two, learners in b. */
static void rules_begin(uint64_t seed)
{
    begin(seed, 12, 60, 12, 1u << 20);
    for (size_t i = 0; i < 12; i++)
        fit[i] = i < 6 ? PLACEMENT_FIT_VOTER | (i < 2 ? PLACEMENT_FIT_LEADER : 0) : PLACEMENT_FIT_LEARNER;
    world.rules = (struct placement_rules){.voters = 3, .learners = 1, .fit = fit};
}

START_TEST(rules_say_who_sits_where)
{
    rules_begin((uint64_t)_i + 1);
    placement_world_settle(&world, 2000);
    for (size_t i = 0; i < world.range_count; i++) {
        const struct placement_range *g = &world.ranges[i];
        bool could = false;
        ck_assert_uint_eq(g->seats, 4);
        for (unsigned k = 0; k < g->seats; k++) {
            bool learns = (g->learners >> k & 1) != 0;
            ck_assert_int_eq(learns, g->nodes[k] >= 6);
            could = could || g->nodes[k] < 2;
        }
        if (could) ck_assert_uint_lt(g->nodes[g->leader], 2);
    }
    placement_world_free(&world);
}
END_TEST

/* The only places that the rules name are gone: nothing goes anywhere else, and it is said why. */
START_TEST(rules_that_cannot_be_kept_are_told)
{
    rules_begin(5);
    placement_world_settle(&world, 2000);
    for (size_t i = 6; i < 12; i++) world.sites[i].life = PLACEMENT_LEAVING;
    for (size_t i = 3; i < 6; i++) world.sites[i].life = PLACEMENT_LEAVING;
    world.sites[0].life = PLACEMENT_LEAVING; /* two are left for three voters */
    for (unsigned round = 0; round < 50; round++) (void)placement_world_round(&world);
    ck_assert_uint_gt(noted(PLACEMENT_NOT_NO_TARGET), 0);
    for (size_t i = 0; i < world.range_count; i++) {
        const struct placement_range *g = &world.ranges[i];
        for (unsigned k = 0; k < g->seats; k++) {
            if ((g->learners >> k & 1) == 0) ck_assert_uint_lt(g->nodes[k], 6);
        }
    }
    placement_world_free(&world);
}
END_TEST

START_TEST(patterns_name_labels)
{
    struct slice labels[PLACEMENT_LEVELS];
    labels_of(slice_str("eu/a/h1"), labels);
    ck_assert(label_pattern_fits(SLICE_EMPTY, labels));
    ck_assert(label_pattern_fits(slice_str("region=eu"), labels));
    ck_assert(label_pattern_fits(slice_str("zone=b,zone=a"), labels));
    ck_assert(label_pattern_fits(slice_str("host=h1"), labels));
    ck_assert(!label_pattern_fits(slice_str("region=us,zone=b"), labels));
    labels_of(slice_str("h2"), labels);
    ck_assert(!label_pattern_fits(slice_str("region=eu"), labels));
    ck_assert(label_pattern_good(slice_str("region=eu,host=x")));
    static const char *const bad[] = {"eu",         "region=", "planet=earth",     "region=eu,",
                                      ",region=eu", "=",       "region=eu,,zone=a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!label_pattern_good(slice_str(bad[i])), "%s", bad[i]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("placement plan");
    TCase *t = tcase_create("plan");
    tcase_add_loop_test(t, a_new_node_gets_its_share, 0, 10);
    tcase_add_loop_test(t, random_clusters_settle_evenly, 0, 40);
    tcase_add_loop_test(t, a_hot_range_leaves_no_node_with_all_the_others, 0, 5);
    tcase_add_loop_test(t, a_fourth_node_gets_its_share_of_everything, 0, 10);
    tcase_add_loop_test(t, a_dead_nodes_replicas_are_replaced, 0, 5);
    tcase_add_test(t, a_stray_learner_costs_no_voter);
    tcase_add_test(t, who_does_not_answer_goes_first);
    tcase_add_test(t, a_stopped_node_in_maintenance_bears_no_failure);
    tcase_add_test(t, what_lacks_a_replica_does_not_merge);
    tcase_add_test(t, too_few_nodes_are_said);
    tcase_add_test(t, mass_silence_replaces_nothing);
    tcase_add_loop_test(t, a_leaving_node_is_emptied_and_leads_nothing, 0, 5);
    tcase_add_test(t, decommission_without_room_says_why);
    tcase_add_test(t, a_draining_node_keeps_replicas_but_no_leader);
    tcase_add_loop_test(t, hosts_and_zones_are_kept_apart, 0, 5);
    tcase_add_loop_test(t, large_ranges_split_small_ones_merge_and_it_ends, 0, 5);
    tcase_add_test(t, a_hot_range_splits_by_load);
    tcase_add_test(t, an_even_load_splits_nothing);
    tcase_add_test(t, what_could_not_be_cut_is_left_alone);
    tcase_add_test(t, a_merge_names_the_range_behind);
    tcase_add_loop_test(t, rules_say_who_sits_where, 0, 20);
    tcase_add_test(t, rules_that_cannot_be_kept_are_told);
    tcase_add_test(t, patterns_name_labels);
    tcase_add_test(t, busy_and_paused_are_left_alone);
    tcase_add_test(t, limits_per_node_hold);
    tcase_add_test(t, what_is_said_reads_well);
    suite_add_tcase(s, t);
    return run_suite(s);
}
