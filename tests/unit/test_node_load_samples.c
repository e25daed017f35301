/* Where a hot range is cut: by the keys of its requests of the last seconds. */
#include "base/prng.h"
#include "node/load_samples.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { GROUP = 7 };

struct world {
    struct load_samples samples;
    struct prng prng;
    uint64_t now_ms;
    struct buf key;
    const char *why;
};

static void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.now_ms = 1000, .why = ""};
    load_samples_init(&w->samples, seed);
    prng_init(&w->prng, seed);
    buf_init(&w->key, 4096);
}

static void world_free(struct world *w)
{
    load_samples_free(&w->samples);
    buf_free(&w->key);
}

static struct slice key_at(char *text, uint64_t at)
{
    return slice_make(text, (size_t)snprintf(text, 32, "k/%010llu", (unsigned long long)at));
}

static void ask(struct world *w, uint64_t group, uint64_t low, uint64_t high)
{
    char a[32], b[32];
    if (load_samples_wants(&w->samples)) load_samples_note(&w->samples, group, key_at(a, low), key_at(b, high));
}

/* 250 ms have passed. */
static void tick(struct world *w)
{
    w->now_ms += 250;
    load_samples_tick(&w->samples, w->now_ms);
}

static enum load_cut try_cut(struct world *w)
{
    return load_samples_split(&w->samples, GROUP, SLICE_EMPTY, SLICE_EMPTY, &w->key, &w->why);
}

static bool cut(struct world *w)
{
    return try_cut(w) == LOAD_CUT;
}

static uint64_t found(const struct world *w)
{
    char text[4097];
    memcpy(text, w->key.data, w->key.size);
    text[w->key.size] = '\0';
    return strtoull(text + 2, NULL, 10);
}

START_TEST(the_middle_of_an_even_load)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world w;
        world_init(&w, seed);
        for (int i = 0; i < 40 * 1000; i++) {
            uint64_t at = prng_below(&w.prng, 100000);
            ask(&w, GROUP, at, at);
            if (i % 1000 == 0) tick(&w);
        }
        ck_assert_msg(cut(&w), "%s", w.why);
        ck_assert_uint_gt(found(&w), 35000);
        ck_assert_uint_lt(found(&w), 65000);
        world_free(&w);
    }
}
END_TEST

START_TEST(sequential_keys_over_and_over)
{
    struct world w;
    world_init(&w, 1);
    for (int i = 0; i < 40 * 2500; i++) { /* 10,000 a second, 20,000 keys */
        ask(&w, GROUP, (uint64_t)i % 20000, (uint64_t)i % 20000);
        if (i % 2500 == 0) tick(&w);
    }
    ck_assert_msg(cut(&w), "%s", w.why);
    ck_assert_uint_gt(found(&w), 5000);
    ck_assert_uint_lt(found(&w), 15000);
    world_free(&w);
}
END_TEST

START_TEST(the_median_of_a_skewed_load)
{
    struct world w;
    world_init(&w, 3);
    for (int i = 0; i < 40 * 1000; i++) { /* 9 of 10 in the first hundredth */
        uint64_t at = prng_chance(&w.prng, 9, 10) ? prng_below(&w.prng, 1000) : prng_below(&w.prng, 100000);
        ask(&w, GROUP, at, at);
        if (i % 1000 == 0) tick(&w);
    }
    ck_assert(cut(&w));
    ck_assert_uint_lt(found(&w), 1000);
    ck_assert_uint_gt(found(&w), 200);
    world_free(&w);
}
END_TEST

START_TEST(only_this_range)
{
    struct world w;
    char start[32], end[32];
    world_init(&w, 4);
    for (int i = 0; i < 40 * 1000; i++) {
        uint64_t at = prng_below(&w.prng, 100000);
        ask(&w, i % 2 == 0 ? GROUP : GROUP + 1, at, at);
        if (i % 1000 == 0) tick(&w);
    }
    ck_assert_int_eq(load_samples_split(&w.samples, GROUP, key_at(start, 20000), key_at(end, 60000), &w.key, &w.why),
                     LOAD_CUT);
    ck_assert_uint_gt(found(&w), 30000); /* what was asked for before it was cut there does not count */
    ck_assert_uint_lt(found(&w), 50000);
    ck_assert_int_eq(load_samples_split(&w.samples, GROUP + 2, SLICE_EMPTY, SLICE_EMPTY, &w.key, &w.why),
                     LOAD_CUT_LATER);
    ck_assert_ptr_nonnull(strstr(w.why, "too few"));
    world_free(&w);
}
END_TEST

START_TEST(what_is_not_worth_it)
{
    struct world w;
    world_init(&w, 5);
    for (int i = 0; i < 40 * 1000; i++) {
        ask(&w, GROUP, 5, 5);
        if (i % 1000 == 0) tick(&w);
    }
    ck_assert(!cut(&w));
    ck_assert_ptr_nonnull(strstr(w.why, "one key"));
    world_free(&w);

    world_init(&w, 6);
    for (int i = 0; i < 40 * 1000; i++) { /* keys that only rise */
        ask(&w, GROUP, (uint64_t)i, (uint64_t)i);
        if (i % 1000 == 0) tick(&w);
    }
    ck_assert_int_eq(try_cut(&w), LOAD_CUT_WANDERS);
    ck_assert_uint_gt(found(&w), 39000);
    ck_assert_ptr_nonnull(strstr(w.why, "hash"));
    world_free(&w);

    world_init(&w, 7);
    for (int i = 0; i < 40 * 1000; i++) { /* transfers between any two */
        uint64_t a = prng_below(&w.prng, 1000), b = prng_below(&w.prng, 1000);
        ask(&w, GROUP, a < b ? a : b, a < b ? b : a);
        if (i % 1000 == 0) tick(&w);
    }
    ck_assert(!cut(&w));
    ck_assert_ptr_nonnull(strstr(w.why, "both sides"));
    world_free(&w);
}
END_TEST

/* Keys longer than what is kept of them: a cut is still inside of the range, or there is none. */
START_TEST(long_keys)
{
    struct world w;
    uint8_t text[300];
    world_init(&w, 8);
    for (int i = 0; i < 2000; i++) {
        memset(text, 'x', sizeof text);
        text[prng_chance(&w.prng, 1, 2) ? 20 : 290] = (uint8_t)prng_between(&w.prng, 'a', 'z');
        if (load_samples_wants(&w.samples))
            load_samples_note(&w.samples, GROUP, slice_make(text, sizeof text), slice_make(text, sizeof text));
    }
    memset(text, 'x', sizeof text);
    struct slice start = slice_make(text, 80), end = slice_make(text, 200);
    if (load_samples_split(&w.samples, GROUP, start, end, &w.key, &w.why) == LOAD_CUT) {
        ck_assert_int_gt(slice_cmp(buf_slice(&w.key), start), 0);
        ck_assert_int_lt(slice_cmp(buf_slice(&w.key), end), 0);
    }
    world_free(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("node_load_samples");
    TCase *c = tcase_create("all");
    tcase_add_test(c, the_middle_of_an_even_load);
    tcase_add_test(c, sequential_keys_over_and_over);
    tcase_add_test(c, the_median_of_a_skewed_load);
    tcase_add_test(c, only_this_range);
    tcase_add_test(c, what_is_not_worth_it);
    tcase_add_test(c, long_keys);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
