#include "base/map.h"
#include "base/prng.h"

#include <check.h>
#include <stdlib.h>

#define KEYS 600u

/* Keys that are dense, sparse, and alike in their low bits. */
static uint64_t key_of(unsigned i)
{
    return i % 3 == 0 ? i : i % 3 == 1 ? (uint64_t)i << 40 : UINT64_MAX - i;
}

static void look_at_all(const struct map *m, void *const model[KEYS])
{
    size_t count = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        ck_assert_ptr_eq(map_get(m, key_of(i)), model[i]);
        if (model[i] != NULL) count++;
    }
    ck_assert_uint_eq(m->count, count);
    uint64_t key;
    void *value;
    size_t seen = 0;
    for (size_t it = 0; map_next(m, &it, &key, &value); seen++) ck_assert_ptr_eq(map_get(m, key), value);
    ck_assert_uint_eq(seen, count);
}

static void against_a_table(uint64_t seed)
{
    struct prng random;
    prng_init(&random, seed);
    void *model[KEYS] = {NULL};
    char values[1000];
    struct map m;
    map_init(&m);
    for (unsigned step = 0; step < 6000; step++) {
        /* Phases of growth and of shrinking. */
        bool growing = (step / 1500) % 2 == 0;
        unsigned i = (unsigned)prng_below(&random, KEYS);
        if (prng_chance(&random, growing ? 3 : 1, 4)) {
            void *value = &values[prng_below(&random, sizeof(values))];
            ck_assert_ptr_eq(map_put(&m, key_of(i), value), model[i]);
            model[i] = value;
        } else {
            ck_assert_ptr_eq(map_remove(&m, key_of(i)), model[i]);
            model[i] = NULL;
        }
        if (step % 500 == 0) look_at_all(&m, model);
    }
    look_at_all(&m, model);
    map_free(&m);
    ck_assert_ptr_null(map_get(&m, 1));
}

START_TEST(random_operations_agree_with_a_table)
{
    for (uint64_t seed = 1; seed <= 20; seed++) against_a_table(seed);
}
END_TEST

START_TEST(an_empty_map_answers)
{
    struct map m;
    map_init(&m);
    size_t it = 0;
    uint64_t key;
    void *value;
    ck_assert_ptr_null(map_get(&m, 0));
    ck_assert_ptr_null(map_remove(&m, 0));
    ck_assert(!map_next(&m, &it, &key, &value));
    map_free(&m);
}
END_TEST

START_TEST(removals_leave_no_litter)
{
    struct map m;
    map_init(&m);
    int value = 0;
    for (uint64_t key = 0; key < 100000; key++) { /* a table of requests in flight: each number once */
        ck_assert_ptr_null(map_put(&m, key, &value));
        if (key >= 10) ck_assert_ptr_eq(map_remove(&m, key - 10), &value);
    }
    ck_assert_uint_eq(m.count, 10);
    ck_assert_uint_le(m.capacity, 64);
    map_free(&m);
}
END_TEST

START_TEST(the_current_entry_may_be_removed_while_iterating)
{
    struct map m;
    map_init(&m);
    char values[500];
    for (unsigned i = 0; i < 500; i++) (void)map_put(&m, key_of(i), &values[i]);
    uint64_t key;
    void *value;
    unsigned seen = 0;
    for (size_t it = 0; map_next(&m, &it, &key, &value); seen++) {
        if (((char *)value - values) % 2 == 0) ck_assert_ptr_eq(map_remove(&m, key), value);
    }
    ck_assert_uint_eq(seen, 500);
    ck_assert_uint_eq(m.count, 250);
    for (unsigned i = 0; i < 500; i++) ck_assert((map_get(&m, key_of(i)) != NULL) == (i % 2 == 1));
    map_free(&m);
}
END_TEST

START_TEST(the_same_operations_give_the_same_order)
{
    uint64_t order[2][KEYS];
    size_t counts[2] = {0, 0};
    for (unsigned run = 0; run < 2; run++) {
        struct prng random;
        prng_init(&random, 77);
        struct map m;
        map_init(&m);
        int *other_addresses = calloc(run * 1000 + 1, sizeof(int)); /* the order must not come from pointers */
        ck_assert_ptr_nonnull(other_addresses);
        for (unsigned step = 0; step < 3000; step++) {
            uint64_t key = key_of((unsigned)prng_below(&random, KEYS));
            if (prng_chance(&random, 2, 3)) {
                (void)map_put(&m, key, other_addresses);
            } else {
                (void)map_remove(&m, key);
            }
        }
        void *value;
        size_t it = 0;
        while (map_next(&m, &it, &order[run][counts[run]], &value)) counts[run]++;
        map_free(&m);
        free(other_addresses);
    }
    ck_assert_uint_gt(counts[0], 100);
    ck_assert_uint_eq(counts[0], counts[1]);
    for (size_t i = 0; i < counts[0]; i++) ck_assert(order[0][i] == order[1][i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/map");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, random_operations_agree_with_a_table);
    tcase_add_test(tcase, an_empty_map_answers);
    tcase_add_test(tcase, removals_leave_no_litter);
    tcase_add_test(tcase, the_current_entry_may_be_removed_while_iterating);
    tcase_add_test(tcase, the_same_operations_give_the_same_order);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
