#include "base/arena.h"
#include "base/mem.h"
#include "base/prng.h"

#include <check.h>
#include <stdlib.h>

/* Every allocation is filled with bytes of its own; at the end all of them are still there. */
static void fill_and_look(struct arena *a, struct prng *random, unsigned count, size_t size_max)
{
    struct {
        uint8_t *p;
        size_t size;
        uint8_t fill;
    } *all = calloc(count, sizeof(*all));
    ck_assert_ptr_nonnull(all);
    for (unsigned i = 0; i < count; i++) {
        all[i].size = (size_t)prng_below(random, prng_chance(random, 1, 10) ? size_max * 4 : size_max);
        all[i].fill = (uint8_t)prng_next(random);
        size_t used = a->used;
        all[i].p = arena_alloc(a, all[i].size);
        ck_assert_ptr_nonnull(all[i].p);
        ck_assert_uint_eq((uintptr_t)all[i].p % 16, 0);
        ck_assert_uint_ge(a->used, used + all[i].size);
        ck_assert_uint_le(a->used, used + all[i].size + 16);
        ck_assert_uint_ge(a->reserved, a->used);
        memset(all[i].p, all[i].fill, all[i].size);
    }
    for (unsigned i = 0; i < count; i++) {
        size_t intact = 0;
        while (intact < all[i].size && all[i].p[intact] == all[i].fill) intact++;
        ck_assert_uint_eq(intact, all[i].size);
    }
    free(all);
}

START_TEST(allocations_do_not_overlap)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct prng random;
        prng_init(&random, seed);
        struct arena a;
        arena_init(&a, (size_t)prng_below(&random, 5000));
        for (unsigned round = 0; round < 4; round++) {
            fill_and_look(&a, &random, 200, (size_t)prng_between(&random, 1, 600));
            arena_reset(&a);
            ck_assert_uint_eq(a.used, 0);
            ck_assert(a.reserved == 0 || a.reserved == a.chunk_size);
        }
        arena_free(&a);
        ck_assert_uint_eq(a.reserved, 0);
    }
}
END_TEST

START_TEST(reset_keeps_one_chunk_of_the_usual_size)
{
    struct arena a;
    arena_init(&a, 1024);
    (void)arena_alloc(&a, 100000); /* the first: a chunk of its own */
    ck_assert_uint_ge(a.reserved, 100000);
    void *first = arena_alloc(&a, 10);
    for (unsigned i = 0; i < 100; i++) (void)arena_alloc(&a, 100);
    arena_reset(&a);
    ck_assert_uint_eq(a.reserved, 1024);
    (void)first;
    void *p = arena_alloc(&a, 64);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(a.reserved, 1024); /* served from what was kept */
    arena_free(&a);
    arena_free(&a);
}
END_TEST

START_TEST(an_outsized_request_does_not_waste_the_open_chunk)
{
    struct arena a;
    arena_init(&a, 4096);
    uint8_t *one = arena_alloc(&a, 16);
    (void)arena_alloc(&a, 50000);
    uint8_t *two = arena_alloc(&a, 16);
    ck_assert_ptr_eq(two, one + 16);
    arena_free(&a);
}
END_TEST

START_TEST(copies)
{
    struct arena a;
    arena_init(&a, 0);
    const uint8_t *zero = arena_zalloc(&a, 300);
    for (unsigned i = 0; i < 300; i++) ck_assert_uint_eq(zero[i], 0);
    struct slice copy = arena_dup_slice(&a, slice_str("ledger"));
    ck_assert(slice_eq(copy, slice_str("ledger")));
    struct slice none = arena_dup_slice(&a, slice_make(NULL, 0));
    ck_assert_uint_eq(none.size, 0);
    ck_assert_ptr_nonnull(none.data);
    arena_free(&a);
}
END_TEST

/* What an arena gives back the next one takes, as many chunks as are to be kept. */
START_TEST(large_pages_go_from_one_arena_to_the_next)
{
    struct arena_pages pages = {.max = 2};
    struct arena a;
    for (unsigned round = 0; round < 3; round++) {
        arena_init_pages(&a, &pages);
        memset(arena_alloc(&a, 100), 'w', 100);
        ck_assert_uint_eq(pages.count, round == 0 ? 0 : 1);
        for (unsigned i = 0; i < 3 * 8; i++) memset(arena_alloc(&a, MEM_LARGE_BYTES / 8), 'x', MEM_LARGE_BYTES / 8);
        memset(arena_alloc(&a, MEM_LARGE_BYTES), 'y', MEM_LARGE_BYTES); /* a chunk of its own */
        ck_assert_uint_eq(pages.count, 0);
        if (round == 1) {
            arena_reset(&a);
            ck_assert_uint_eq(pages.count, 2);
            ck_assert_uint_eq(a.used, 0);
            memset(arena_alloc(&a, 100), 'z', 100);
        }
        arena_free(&a);
        ck_assert_uint_eq(pages.count, 2);
    }
    arena_pages_give(&pages);
    ck_assert_uint_eq(pages.count, 1);
    arena_pages_free(&pages);
    ck_assert_uint_eq(pages.count, 0);
    ck_assert(pages.spare == NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/arena");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, allocations_do_not_overlap);
    tcase_add_test(tcase, reset_keeps_one_chunk_of_the_usual_size);
    tcase_add_test(tcase, an_outsized_request_does_not_waste_the_open_chunk);
    tcase_add_test(tcase, copies);
    tcase_add_test(tcase, large_pages_go_from_one_arena_to_the_next);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
