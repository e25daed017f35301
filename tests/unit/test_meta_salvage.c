/* unsafe-recover's choice: who goes on alone, by what the nodes that are left have told and by what the map knows beyond that. */
#include "base/mem.h"
#include "lib/suite.h"
#include "meta/meta_int.h"

enum { A = 1, B, C, D, E, NODES = E };
enum { RANGE = 9 };

static struct meta m;
static struct recover_item *items;
static size_t count;

static void setup(void)
{
    memset(&m, 0, sizeof m);
    meta_state_init(&m.state);
    arena_init(&m.arena, 65536);
    for (uint64_t id = A; id <= NODES; id++) {
        struct buf b;
        buf_init(&b, 256);
        pack_array(&b, 7);
        pack_uint(&b, id);
        for (unsigned i = 0; i < 3; i++) pack_bin(&b, SLICE_EMPTY);
        pack_bool(&b, false);
        pack_bool(&b, false);
        pack_uint(&b, 0);
        meta_state_row(&m.state, slice_str("n/"), buf_slice(&b), false);
        buf_free(&b);
    }
}

static void teardown(void)
{
    meta_state_clear(&m.state);
    arena_free(&m.arena);
}

/* Born on A, D, E; each change brings one replica with the id that its conf_ver makes. */
static struct range_desc born(void)
{
    struct range_desc d = {.id = RANGE, .keyspace = 3, .epoch = {.conf_ver = 1, .version = 1}, .replica_count = 3};
    static const uint64_t nodes[3] = {A, D, E};
    for (size_t i = 0; i < 3; i++)
        d.replicas[i] = (struct range_replica){.node_id = nodes[i], .replica_id = i + 1, .role = RANGE_VOTER};
    return d;
}

static struct range_desc moved(struct range_desc d, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < d.replica_count; i++) {
        if (d.replicas[i].node_id != from) continue;
        d.replicas[i] = (struct range_replica){
            .node_id = to, .replica_id = RANGE_FIRST_REPLICAS + d.epoch.conf_ver + 1, .role = RANGE_VOTER};
    }
    d.epoch.conf_ver += 3; /* a learner, joint, and out of it */
    return d;
}

static void map_has(const struct range_desc *d)
{
    struct buf b;
    buf_init(&b, 4096);
    pack_range_desc(&b, d);
    meta_state_row(&m.state, slice_str("r/"), buf_slice(&b), false);
    buf_free(&b);
}

static void tells(uint64_t node, const struct range_desc *d, uint64_t last, bool whole)
{
    struct range_orphan o = {.desc = *d, .last_term = 5, .last_index = last, .whole = whole};
    o.replica_id = range_desc_replica(d, node)->replica_id;
    salvage_note(meta_state_node(&m.state, node), &o, 1);
}

/* Likewise, with a change of its replicas at the end of its log that nobody has committed. */
static void tells_ahead(uint64_t node, const struct range_desc *d, const struct range_desc *ahead, uint64_t last)
{
    struct range_orphan o = {.desc = *d, .ahead = *ahead, .last_term = 5, .last_index = last, .whole = true};
    o.replica_id = range_desc_replica(d, node)->replica_id;
    salvage_note(meta_state_node(&m.state, node), &o, 1);
}

static const struct recover_item *asked(uint64_t one, uint64_t other)
{
    uint64_t lost[] = {one, other};
    struct meta_recover_request q = {.lost = lost, .lost_count = 2};
    items = salvage_plan(&m, &q, 2, &count);
    ck_assert_uint_le(count, 1);
    return count == 1 ? &items[0] : NULL;
}

static void waits_for(const struct recover_item *item, const char *text)
{
    ck_assert_ptr_nonnull(item);
    ck_assert_uint_eq(item->node, 0);
    ck_assert(slice_starts(item->text, slice_str(text)));
}

START_TEST(the_longest_log_goes_on)
{
    struct range_desc d = moved(born(), D, C);
    map_has(&d);
    tells(A, &d, 70, true);
    ck_assert_ptr_null(asked(B, E)); /* A and C are a quorum */
    ck_assert_uint_eq(asked(C, E)->node, A);
    tells(C, &d, 90, true);
    ck_assert_uint_eq(asked(C, E)->node, A);
}
END_TEST

/* A was away while its replica went to C; D and E are gone for ever, and C has all that was acknowledged since. */
START_TEST(who_was_moved_away_never_goes_on)
{
    struct range_desc old = born(), now = moved(old, A, C);
    map_has(&now);
    tells(A, &old, 70, true);
    waits_for(asked(D, E), "node 3 has told nothing");
    tells(C, &now, 200, false);
    waits_for(asked(D, E), "what is left of it is damaged");
    tells(C, &now, 200, true);
    ck_assert_uint_eq(asked(D, E)->node, C);
}
END_TEST

/* Nobody has told that it leads, for the moment of a transfer. */
START_TEST(a_living_quorum_is_left_alone)
{
    struct range_desc old = born(), now = moved(moved(moved(old, A, C), D, A), E, B);
    map_has(&now); /* C, A anew, B: no word from any of them; and A's former replica */
    tells(A, &old, 70, true);
    ck_assert_ptr_null(asked(D, E));
}
END_TEST

/* Its old configuration had a quorum without the lost ones: that hides nothing. */
START_TEST(a_former_replica_does_not_speak_for_the_range)
{
    struct range_desc old = moved(moved(born(), D, B), E, C), now = moved(moved(old, A, D), B, E);
    map_has(&now); /* D, E, C */
    tells(A, &old, 70, true);
    tells(C, &now, 90, true);
    ck_assert_uint_eq(asked(D, E)->node, C);
}
END_TEST

/* A is of the range still, and has not heard of those that the map knows of beside it. */
START_TEST(whom_the_map_knows_of_is_waited_for)
{
    struct range_desc old = born(), now = moved(old, D, C);
    map_has(&now); /* A, C, E */
    tells(A, &old, 70, true);
    ck_assert_ptr_null(asked(D, E)); /* A and C are a quorum of what the map knows */
    now = moved(now, C, B);
    now.replicas[now.replica_count++] =
        (struct range_replica){.node_id = C, .replica_id = RANGE_FIRST_REPLICAS + 9, .role = RANGE_LEARNER};
    now.epoch.conf_ver += 2;
    map_has(&now); /* A, B, E, and C as a learner */
    uint64_t lost[] = {B, D, E};
    struct meta_recover_request q = {.lost = lost, .lost_count = 3};
    items = salvage_plan(&m, &q, 2, &count);
    ck_assert_uint_eq(count, 1);
    waits_for(&items[0], "node 3 has told nothing");
}
END_TEST

/* A and D were to be joined by B and C in the place of D and E, and nobody knows whether they were: who has the entry in its log
 * needs the votes of both sets, and B, C and E are gone for ever. Who does not have it is not voted for by one that has. */
START_TEST(a_change_that_nobody_has_committed_counts)
{
    struct range_desc now = born(), ahead = now; /* A, D, E */
    ahead.epoch.conf_ver++;
    ahead.replicas[1].role = ahead.replicas[2].role = RANGE_OUTGOING;
    ahead.replicas[ahead.replica_count++] =
        (struct range_replica){.node_id = B, .replica_id = 21, .role = RANGE_INCOMING};
    ahead.replicas[ahead.replica_count++] =
        (struct range_replica){.node_id = C, .replica_id = 22, .role = RANGE_INCOMING};
    map_has(&now);
    tells_ahead(A, &now, &ahead, 90);
    tells_ahead(D, &now, &ahead, 90);
    ck_assert_ptr_null(asked(E, E)); /* B, C and A, and A and D, may elect */
    waits_for(asked(B, C), "node 5 has told nothing");
    uint64_t lost[] = {B, C, E};
    struct meta_recover_request q = {.lost = lost, .lost_count = 3};
    for (unsigned has_it = 0; has_it < 2; has_it++) {
        items = salvage_plan(&m, &q, 2, &count);
        ck_assert_uint_eq(count, 1);
        ck_assert_uint_eq(items[0].node, A);
        tells(D, &now, 89, true);
    }
}
END_TEST

/* What is left of an absorbed range keeps its keys from those that have divided them since: from all, when no one of them takes in
 * the whole. One that is whole waits for the merge, which takes its rows. */
START_TEST(a_broken_one_of_an_absorbed_range_goes)
{
    struct range_desc map = born();
    map.epoch.version = 4;
    map_has(&map);
    struct range_orphan o = {.desc = born(), .replica_id = 1, .whole = true};
    o.desc.id = RANGE + 1; /* not in the map; its keys are */
    const struct meta_node *a = meta_state_node(&m.state, A), *b = meta_state_node(&m.state, B);
    ck_assert(!meta_was_taken_in(&m, a, &o));
    ck_assert(meta_was_taken_in(&m, b, &o)); /* that node has nothing of the range that took it in */
    o.whole = false;
    ck_assert(meta_was_taken_in(&m, a, &o));
    o.desc.epoch.version = 4; /* the map may be the older one */
    ck_assert(!meta_was_taken_in(&m, a, &o));
    o.desc.epoch.version = 1;
    o.desc.id = RANGE;
    ck_assert(!meta_was_taken_in(&m, a, &o));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("meta_salvage");
    TCase *c = tcase_create("salvage");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, the_longest_log_goes_on);
    tcase_add_test(c, who_was_moved_away_never_goes_on);
    tcase_add_test(c, a_living_quorum_is_left_alone);
    tcase_add_test(c, a_former_replica_does_not_speak_for_the_range);
    tcase_add_test(c, whom_the_map_knows_of_is_waited_for);
    tcase_add_test(c, a_change_that_nobody_has_committed_counts);
    tcase_add_test(c, a_broken_one_of_an_absorbed_range_goes);
    suite_add_tcase(s, c);
    return run_suite(s);
}
