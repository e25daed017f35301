/* The cache of the shard map: src/client/routes.c, against a model that holds the newest news per key. */
#include "base/mem.h"
#include "base/prng.h"
#include "client/routes.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct routes routes;

static struct range_desc desc(uint64_t id, const char *start, const char *end, uint64_t version, uint64_t conf_ver)
{
    return (struct range_desc){
        .id = id,
        .keyspace = 3,
        .start = slice_str(start),
        .end = slice_str(end),
        .epoch = {.conf_ver = conf_ver, .version = version},
        .replicas = {{.node_id = 1, .replica_id = 11, .role = 1}, {.node_id = 2, .replica_id = 12, .role = 1}},
        .replica_count = 2};
}

static bool learn(uint64_t id, const char *start, const char *end, uint64_t version, uint64_t conf_ver, uint64_t leader)
{
    struct range_desc d = desc(id, start, end, version, conf_ver);
    bool news = routes_learn_range(&routes, &d, leader);
    routes_check(&routes);
    return news;
}

static uint64_t find(const char *key)
{
    const struct route_range *r = routes_find(&routes, 3, slice_str(key));
    return r != NULL ? r->desc.id : 0;
}

static uint64_t before(const char *end)
{
    const struct route_range *r = routes_find_before(&routes, 3, slice_str(end));
    return r != NULL ? r->desc.id : 0;
}

START_TEST(split_and_merge)
{
    routes_init(&routes);
    ck_assert_uint_eq(find("a"), 0);
    ck_assert(learn(1, "", "", 1, 1, 2));
    ck_assert(!learn(1, "", "", 1, 1, 0));
    ck_assert(learn(2, "m", "", 2, 1, 0)); /* the right part alone: what it covers of the left one is gone */
    ck_assert_uint_eq(find("z"), 2);
    ck_assert_uint_eq(find("a"), 0);
    ck_assert(!learn(1, "", "", 1, 1, 0)); /* old news */
    ck_assert(learn(1, "", "m", 2, 1, 0));
    ck_assert_uint_eq(find("a"), 1);
    ck_assert_uint_eq(find("m"), 2);
    ck_assert(!learn(1, "", "m", 2, 0, 0));
    ck_assert(learn(1, "", "m", 2, 2, 0));
    ck_assert(learn(1, "", "", 3, 2, 0)); /* merged */
    ck_assert_uint_eq(find("z"), 1);
    ck_assert_uint_eq(routes.range_count, 1);
    ck_assert(!learn(2, "m", "", 2, 9, 0));
    ck_assert(!learn(4, "x", "x", 9, 9, 0)); /* holds no key */
    ck_assert(!learn(4, "x", "d", 9, 9, 0));
    routes_free(&routes);
}
END_TEST

START_TEST(leaders)
{
    routes_init(&routes);
    ck_assert(learn(1, "", "m", 1, 1, 0));
    ck_assert(!learn(1, "", "m", 1, 1, 2)); /* no news but the leader */
    ck_assert_uint_eq(routes_by_id(&routes, 1)->leader, 2);
    ck_assert(!learn(1, "", "m", 1, 1, 1)); /* what we found out ourselves is newer than a report */
    ck_assert_uint_eq(routes_by_id(&routes, 1)->leader, 2);
    ck_assert(learn(1, "", "k", 2, 1, 0)); /* a split does not move the leader */
    ck_assert_uint_eq(routes_by_id(&routes, 1)->leader, 2);
    ck_assert(learn(1, "", "k", 2, 2, 1));
    ck_assert_uint_eq(routes_by_id(&routes, 1)->leader, 1);
    routes_free(&routes);
}
END_TEST

START_TEST(neighbours)
{
    routes_init(&routes);
    struct range_desc other = desc(90, "", "", 1, 1);
    other.keyspace = 2;
    ck_assert(routes_learn_range(&routes, &other, 0));
    other.keyspace = 4;
    other.id = 91;
    ck_assert(routes_learn_range(&routes, &other, 0));
    ck_assert_uint_eq(find("a"), 0);
    ck_assert_uint_eq(before(""), 0);
    (void)learn(1, "", "h", 1, 1, 0);
    (void)learn(3, "p", "", 1, 1, 0);
    ck_assert_uint_eq(before(""), 3);
    ck_assert_uint_eq(before("h"), 1);
    ck_assert_uint_eq(before("hh"), 0); /* a gap */
    ck_assert_uint_eq(before("p"), 0);
    ck_assert_uint_eq(before("q"), 3);
    ck_assert_uint_eq(find("k"), 0);
    (void)learn(2, "h", "p", 1, 1, 0);
    ck_assert_uint_eq(before("p"), 2);
    ck_assert_uint_eq(before("hh"), 2);
    ck_assert_uint_eq(before("h"), 1);
    ck_assert_uint_eq(before("a"), 1);
    const struct route_range *r = routes_find(&routes, 4, slice_str("h"));
    ck_assert_uint_eq(r->desc.id, 91);
    r = routes_find_before(&routes, 2, SLICE_EMPTY);
    ck_assert_uint_eq(r->desc.id, 90);
    routes_free(&routes);
}
END_TEST

static unsigned ranges_of(uint32_t keyspace)
{
    unsigned count = 0;
    for (size_t i = 0; i < routes.range_count; i++) count += routes.ranges[i]->desc.keyspace == keyspace;
    return count;
}

/* With its keyspace a range goes; what is newer than the news stays. */
START_TEST(ranges_go_with_their_keyspace)
{
    static const char *const NAMES[] = {"one", "two", "three", "four"};
    struct keyspace_info all[4];
    routes_init(&routes);
    for (uint32_t k = 0; k < 4; k++) {
        all[k] = (struct keyspace_info){.id = k + 1, .name = slice_str(NAMES[k])};
        ck_assert_ptr_nonnull(routes_learn_keyspace(&routes, &all[k]));
        for (uint64_t i = 0; i < 3; i++) {
            struct range_desc d = desc(10 * k + i + 1,
                                       i == 0   ? ""
                                       : i == 1 ? "h"
                                                : "p",
                                       i == 0   ? "h"
                                       : i == 1 ? "p"
                                                : "",
                                       1, 1);
            d.keyspace = k + 1;
            ck_assert(routes_learn_range(&routes, &d, 0));
        }
    }
    routes_forget_keyspace(&routes, slice_str("two"));
    routes_check(&routes);
    ck_assert(ranges_of(2) == 0 && ranges_of(1) == 3 && ranges_of(3) == 3 && ranges_of(4) == 3);
    ck_assert_ptr_null(routes_by_id(&routes, 12));
    struct keyspace_info anew = {.id = 9, .name = slice_str("one")};
    ck_assert_ptr_nonnull(routes_learn_keyspace(&routes, &anew));
    routes_check(&routes);
    ck_assert(ranges_of(1) == 0 && ranges_of(3) == 3);
    struct keyspace_info told[] = {all[3], {.id = 5, .name = slice_str("five")}};
    routes_forget_absent(&routes, told, 2); /* three has gone; of number 9 they do not know yet */
    routes_check(&routes);
    ck_assert(ranges_of(3) == 0 && ranges_of(4) == 3 && routes.range_count == 3);
    ck_assert(routes_keyspace(&routes, slice_str("three")) == NULL &&
              routes_keyspace(&routes, slice_str("four")) != NULL);
    ck_assert_uint_eq(routes_keyspace(&routes, slice_str("one"))->id, 9);
    routes_forget_absent(&routes, NULL, 0);
    ck_assert_uint_eq(routes.keyspace_count, 2);
    routes_free(&routes);
}
END_TEST

START_TEST(keyspaces)
{
    routes_init(&routes);
    for (uint32_t i = 0; i < 200; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "k%u", i * 7919 % 200);
        struct keyspace_info info = {.id = i * 7919 % 200, .name = slice_str(name), .ttl_ms = i};
        ck_assert_ptr_nonnull(routes_learn_keyspace(&routes, &info));
        ck_assert_ptr_nonnull(routes_learn_keyspace(&routes, &info));
    }
    for (uint32_t i = 0; i < 200; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "k%u", i);
        const struct route_keyspace *k = routes_keyspace(&routes, slice_str(name));
        ck_assert_ptr_nonnull(k);
        ck_assert_uint_eq(k->id, i);
        ck_assert_uint_eq(k->ttl_ms * 7919 % 200, i);
    }
    ck_assert_uint_eq(routes.keyspace_count, 200);
    ck_assert_ptr_null(routes_keyspace(&routes, slice_str("k")));
    ck_assert_ptr_null(routes_keyspace(&routes, slice_str("z")));
    ck_assert_ptr_null(routes_keyspace(&routes, SLICE_EMPTY));
    routes_forget_keyspace(&routes, slice_str("k17"));
    routes_forget_keyspace(&routes, slice_str("k17"));
    ck_assert_ptr_null(routes_keyspace(&routes, slice_str("k17")));
    ck_assert_uint_eq(routes_keyspace(&routes, slice_str("k18"))->id, 18);
    ck_assert_uint_eq(routes.keyspace_count, 199);
    routes_free(&routes);
}
END_TEST

/* A history of splits, merges and moves over the keys 0..99, told in any order, twice, with gaps: no news put
 * an older range in a newer one's place, and knows all when it has been told the present. */
#define KEYS 100u
struct past {
    uint64_t id, version, conf_ver;
    unsigned from, to;
};
static struct past now[KEYS];
static unsigned now_count;

static bool tell(const struct past *p)
{
    char start[8], end[8];
    (void)snprintf(start, sizeof(start), "%02u", p->from);
    (void)snprintf(end, sizeof(end), "%02u", p->to);
    return learn(p->id, p->from == 0 ? "" : start, p->to == KEYS ? "" : end, p->version, p->conf_ver, 0);
}

static void change(struct prng *prng, uint64_t *last_id)
{
    unsigned i = (unsigned)prng_below(prng, now_count);
    struct past *p = &now[i];
    switch (prng_below(prng, 3)) {
    case 0:
        if (p->to - p->from < 2) return;
        unsigned at = (unsigned)prng_between(prng, p->from + 1, p->to - 1);
        memmove(&now[i + 2], &now[i + 1], (now_count - i - 1) * sizeof(*p));
        now[i + 1] = *p;
        now[i + 1].id = ++*last_id;
        now[i + 1].from = p->to = at;
        p->version = ++now[i + 1].version;
        now_count++;
        break;
    case 1:
        if (i + 1 == now_count) return;
        p->to = now[i + 1].to;
        p->version = (p->version > now[i + 1].version ? p->version : now[i + 1].version) + 1;
        memmove(&now[i + 1], &now[i + 2], (now_count - i - 2) * sizeof(*p));
        now_count--;
        break;
    default: p->conf_ver++; break;
    }
}

/* Per key the version of the range that is believed to hold it; 0 in a gap. */
static void versions(uint64_t out[KEYS])
{
    for (unsigned key = 0; key < KEYS; key++) {
        char text[8];
        (void)snprintf(text, sizeof(text), "%02u", key);
        const struct route_range *r = routes_find(&routes, 3, slice_str(text));
        out[key] = r != NULL ? r->desc.epoch.version : 0;
    }
}

START_TEST(random_news)
{
    struct prng prng;
    prng_init(&prng, (uint64_t)_i);
    printf("seed %d\n", _i);
    static struct past history[20000];
    size_t told = 0;
    uint64_t last_id = 1;
    routes_init(&routes);
    now[0] = (struct past){.id = 1, .version = 1, .conf_ver = 1, .from = 0, .to = KEYS};
    now_count = 1;
    for (unsigned round = 0; round < 400; round++) {
        change(&prng, &last_id);
        for (unsigned i = 0; i < now_count; i++) {
            if (told < 20000 && prng_chance(&prng, 1, 3)) history[told++] = now[i];
        }
        if (told == 0) continue;
        uint64_t seen[KEYS];
        versions(seen);
        (void)tell(&history[prng_below(&prng, told)]);
        uint64_t after[KEYS];
        versions(after);
        for (unsigned key = 0; key < KEYS; key++) {
            if (seen[key] != 0 && after[key] != 0) ck_assert_uint_ge(after[key], seen[key]);
        }
    }
    for (unsigned i = 0; i < now_count; i++) (void)tell(&now[i]);
    ck_assert_uint_eq(routes.range_count, now_count);
    for (unsigned i = 0; i < now_count; i++) {
        const struct route_range *r = routes_by_id(&routes, now[i].id);
        ck_assert_ptr_nonnull(r);
        ck_assert_uint_eq(r->desc.epoch.version, now[i].version);
        ck_assert_uint_eq(r->desc.epoch.conf_ver, now[i].conf_ver);
    }
    routes_free(&routes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_routes");
    TCase *t = tcase_create("routes");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, split_and_merge);
    tcase_add_test(t, leaders);
    tcase_add_test(t, neighbours);
    tcase_add_test(t, keyspaces);
    tcase_add_test(t, ranges_go_with_their_keyspace);
    tcase_add_loop_test(t, random_news, 0, 30);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
