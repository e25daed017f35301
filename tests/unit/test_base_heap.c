#include "base/heap.h"
#include "base/prng.h"

#include <check.h>
#include <stdlib.h>

#define ITEMS 400u

struct item {
    int tag;
    struct heap_node node;
    uint64_t turn; /* when it was pushed or moved: the model's order among equals */
};

/* The least by search over all. */
static struct item *model_min(struct item *items)
{
    struct item *best = NULL;
    for (unsigned i = 0; i < ITEMS; i++) {
        struct item *it = &items[i];
        if (it->node.pos == 0) continue;
        if (best == NULL || it->node.key < best->node.key ||
            (it->node.key == best->node.key && it->turn < best->turn)) {
            best = it;
        }
    }
    return best;
}

static void against_search(uint64_t seed)
{
    struct prng random;
    prng_init(&random, seed);
    struct item *items = calloc(ITEMS, sizeof(*items));
    ck_assert_ptr_nonnull(items);
    struct heap h;
    heap_init(&h);
    size_t count = 0;
    for (uint64_t turn = 1; turn <= 3000; turn++) {
        struct item *it = &items[prng_below(&random, ITEMS)];
        uint64_t key = prng_chance(&random, 1, 50) ? UINT64_MAX : prng_below(&random, 40);
        uint64_t what = prng_below(&random, 8);
        if (what <= 3) {
            if (it->node.pos == 0) count++;
            heap_set(&h, &it->node, key);
            it->turn = turn;
        } else if (what <= 5) {
            if (it->node.pos != 0) count--;
            heap_remove(&h, &it->node);
            ck_assert_uint_eq(it->node.pos, 0);
        } else {
            const struct item *least = model_min(items);
            struct heap_node *popped = heap_pop(&h);
            ck_assert_ptr_eq(popped, least != NULL ? &least->node : NULL);
            if (popped != NULL) count--;
        }
        ck_assert_uint_eq(h.count, count);
        const struct item *least = model_min(items);
        ck_assert_ptr_eq(heap_min(&h), least != NULL ? &least->node : NULL);
    }
    heap_free(&h);
    for (unsigned i = 0; i < ITEMS; i++) ck_assert_uint_eq(items[i].node.pos, 0);
    free(items);
}

START_TEST(random_operations_agree_with_search)
{
    for (uint64_t seed = 1; seed <= 5; seed++) against_search(seed);
}
END_TEST

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

START_TEST(popping_all_sorts)
{
    struct prng random;
    prng_init(&random, 3);
    static struct item items[5000];
    uint64_t keys[5000];
    struct heap h;
    heap_init(&h);
    for (unsigned i = 0; i < 5000; i++) {
        keys[i] = prng_next(&random) >> prng_below(&random, 60);
        heap_push(&h, &items[i].node, keys[i]);
    }
    qsort(keys, 5000, sizeof(keys[0]), compare_keys);
    for (unsigned i = 0; i < 5000; i++) ck_assert(heap_pop(&h)->key == keys[i]);
    ck_assert_ptr_null(heap_pop(&h));
    heap_free(&h);
}
END_TEST

START_TEST(equal_keys_leave_in_order_of_insertion)
{
    static struct item items[1000];
    struct heap h;
    heap_init(&h);
    for (int i = 0; i < 1000; i++) {
        items[i].tag = i;
        heap_push(&h, &items[i].node, (uint64_t)(i % 2));
    }
    for (int i = 0; i < 1000; i++) {
        const struct item *it = HEAP_ENTRY(heap_pop(&h), struct item, node);
        ck_assert_int_eq(it->tag, i < 500 ? i * 2 : (i - 500) * 2 + 1);
    }
    heap_free(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/heap");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, random_operations_agree_with_search);
    tcase_add_test(tcase, popping_all_sorts);
    tcase_add_test(tcase, equal_keys_leave_in_order_of_insertion);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
