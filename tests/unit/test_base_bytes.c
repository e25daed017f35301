/* slice, list, mem. */
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/prng.h"
#include "base/slice.h"

#include <check.h>
#include <stdlib.h>

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

/* Byte by byte, from the definition. */
static int compare_slowly(struct slice a, struct slice b)
{
    for (size_t i = 0; i < a.size && i < b.size; i++) {
        if (a.data[i] != b.data[i]) return a.data[i] < b.data[i] ? -1 : 1;
    }
    return a.size == b.size ? 0 : a.size < b.size ? -1 : 1;
}

START_TEST(slices_have_the_order_of_their_bytes)
{
    struct prng random;
    prng_init(&random, 21);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t bytes[2][6];
        struct slice s[2];
        for (unsigned k = 0; k < 2; k++) {
            for (unsigned at = 0; at < 6; at++) bytes[k][at] = prng_chance(&random, 1, 2) ? 0 : 0xff;
            s[k] = slice_make(bytes[k], (size_t)prng_below(&random, 7));
        }
        int expected = compare_slowly(s[0], s[1]);
        ck_assert_int_eq(sign(slice_cmp(s[0], s[1])), expected);
        ck_assert_int_eq(sign(slice_cmp(s[1], s[0])), -expected);
        ck_assert(slice_eq(s[0], s[1]) == (expected == 0));
        bool starts = s[0].size >= s[1].size && compare_slowly(slice_make(s[0].data, s[1].size), s[1]) == 0;
        ck_assert(slice_starts(s[0], s[1]) == starts);
    }
    ck_assert(slice_eq(SLICE_EMPTY, slice_make(NULL, 0)));
    ck_assert_int_eq(slice_cmp(slice_make(NULL, 0), SLICE_EMPTY), 0);
    ck_assert(slice_starts(SLICE_EMPTY, slice_make(NULL, 0)));
}
END_TEST

struct entry {
    int number;
    struct list link;
};

START_TEST(lists)
{
    struct list head;
    list_init(&head);
    ck_assert(list_empty(&head));
    ck_assert_ptr_null(list_pop_front(&head));
    struct entry e[6];
    for (int i = 0; i < 6; i++) {
        e[i].number = i;
        list_init(&e[i].link);
    }
    list_push_back(&head, &e[1].link);
    list_push_back(&head, &e[3].link);
    list_push_front(&head, &e[0].link);
    list_insert_before(&e[3].link, &e[2].link);
    list_push_back(&head, &e[4].link);
    list_push_back(&head, &e[5].link);
    int next = 0;
    LIST_FOR(it, &head) ck_assert_int_eq(LIST_ENTRY(it, struct entry, link)->number, next++);
    ck_assert_int_eq(next, 6);
    LIST_FOR(it, &head)
    {
        if (LIST_ENTRY(it, struct entry, link)->number % 2 == 0) list_remove(it); /* allowed for the current one */
    }
    list_remove(&e[0].link); /* again: harmless */
    ck_assert(list_empty(&e[0].link));
    for (int i = 1; i < 6; i += 2) {
        ck_assert_int_eq(LIST_ENTRY(list_pop_front(&head), struct entry, link)->number, i);
    }
    ck_assert(list_empty(&head));
}
END_TEST

START_TEST(memory)
{
    uint8_t *zeros = mem_zalloc(1000);
    for (unsigned i = 0; i < 1000; i++) ck_assert_uint_eq(zeros[i], 0);
    zeros = mem_realloc(zeros, 100000);
    ck_assert_uint_eq(zeros[999], 0);
    mem_free(zeros);
    mem_free(NULL);
    void *nothing = mem_alloc(0), *none = mem_dup(NULL, 0), *tried = mem_try_alloc(0);
    ck_assert_ptr_nonnull(nothing);
    ck_assert_ptr_nonnull(none);
    ck_assert_ptr_nonnull(tried);
    mem_free(nothing);
    mem_free(none);
    mem_free(tried);
    void *aligned = mem_aligned(4096, 8192);
    ck_assert_uint_eq((uintptr_t)aligned % 4096, 0);
    memset(aligned, 1, 8192);
    mem_free(aligned);
    char *text = mem_strdup("quorate");
    ck_assert_str_eq(text, "quorate");
    mem_free(text);
    char *bytes = mem_dup("a\0b", 3);
    ck_assert_int_eq(memcmp(bytes, "a\0b", 3), 0);
    mem_free(bytes);
}
END_TEST

START_TEST(too_much_memory_is_an_answer_not_an_end)
{
    volatile size_t absurd = PTRDIFF_MAX; /* volatile: compilers warn of what is meant here */
    ck_assert_ptr_null(mem_try_alloc(absurd));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/bytes");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, slices_have_the_order_of_their_bytes);
    tcase_add_test(tcase, lists);
    tcase_add_test(tcase, memory);
    tcase_add_test(tcase, too_much_memory_is_an_answer_not_an_end);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
