/* What a member keeps of the metadata in memory. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "meta/state.h"

/* A map as large as any, in the order of ids, not of keys: the members wait for it. */
START_TEST(a_large_map_is_loaded_soon)
{
    enum { RANGES = 100000 };
    struct meta_state s;
    struct buf row;
    char start[16], end[16], id[11];
    meta_state_init(&s);
    meta_state_bulk(&s, true);
    buf_init(&row, 4096);
    for (uint64_t i = 0; i < RANGES; i++) {
        uint64_t at = i * 7919 % RANGES; /* every place once */
        struct range_desc d = {.id = i + 2, .keyspace = 1, .epoch = {.conf_ver = 1, .version = 1}};
        (void)snprintf(start, sizeof start, "%07llu", (unsigned long long)at);
        (void)snprintf(end, sizeof end, "%07llu", (unsigned long long)at + 1);
        d.start = slice_str(start);
        d.end = slice_str(end);
        memcpy(id, "r/", 2);
        be_set_u64((uint8_t *)id + 2, d.id);
        buf_clear(&row);
        pack_range_desc(&row, &d);
        meta_state_row(&s, slice_make(id, 10), buf_slice(&row), false);
    }
    meta_state_bulk(&s, false);
    ck_assert_uint_eq(s.range_count, RANGES);
    for (size_t i = 0; i < RANGES; i++) {
        ck_assert_uint_eq((s.ranges[i]->desc.id - 2) * 7919 % RANGES, i);
        ck_assert_ptr_eq(meta_state_range(&s, s.ranges[i]->desc.id), s.ranges[i]);
    }
    buf_free(&row);
    meta_state_clear(&s);
}
END_TEST

static void add_keyspace(struct meta_state *s, const char *name, uint64_t dropped_ts)
{
    struct meta_keyspace_row row = {.id = 9, .replication = 3, .dropped_ts = dropped_ts};
    char key[64];
    struct buf value;
    (void)snprintf(key, sizeof key, "k/%s", name);
    buf_init(&value, 256);
    meta_keyspace_row_encode(&row, &value);
    meta_state_row(s, slice_str(key), buf_slice(&value), false);
    buf_free(&value);
}

/* A gateway that starts takes such a one for what may be the users' keyspace. */
START_TEST(names_of_lost_keyspaces_are_not_given)
{
    struct meta_state s;
    meta_state_init(&s);
    ck_assert_ptr_nonnull(keyspace_name_fault(&s, slice_str("recovered-7")));
    ck_assert_ptr_null(keyspace_name_fault(&s, slice_str("recovered-")));
    ck_assert_ptr_null(keyspace_name_fault(&s, slice_str("recovered-7a")));
    ck_assert_ptr_null(keyspace_name_fault(&s, slice_str("recovered")));
    add_keyspace(&s, "recovered-7", 0);
    ck_assert_ptr_null(keyspace_name_fault(&s, slice_str("recovered-7"))); /* it is there: the answer is that */
    add_keyspace(&s, "restore-mark", 0);
    ck_assert_ptr_null(keyspace_name_fault(&s, slice_str("recovered-8"))); /* a backup has one */
    add_keyspace(&s, "restore-mark", 5);
    ck_assert_ptr_nonnull(keyspace_name_fault(&s, slice_str("recovered-8"))); /* it is over */
    meta_state_clear(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("meta_state");
    TCase *tc = tcase_create("rows");
    tcase_add_test(tc, a_large_map_is_loaded_soon);
    tcase_add_test(tc, names_of_lost_keyspaces_are_not_given);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
