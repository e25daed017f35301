#include "lib/lsm_doc.h"
#include "lib/lsm_rows.h"
#include "lib/memdisk.h"

#include "base/mem.h"
#include "lsm/bloom.h"
#include "lsm/rowsource.h"
#include "lsm/table_build.h"

#include <check.h>
#include <stdlib.h>

static const struct table_id example_id = {.number = 7, .salt = 0x1122334455667788ull};

static struct table *build(struct memdisk *md, const struct lsm_write *rows, size_t count, struct table_id id,
                           size_t block_bytes, bool compress)
{
    struct table_builder *b = NULL;
    struct table *t = NULL;
    struct errbuf err;
    const struct table_build_options options = {
        .block_bytes = block_bytes, .compress = compress, .bloom_bits = BLOOM_BITS_LAST};
    ck_assert_int_eq(table_builder_new(memdisk_disk(md), "store", &id, &options, &b, &err), STATUS_OK);
    for (size_t i = 0; i < count; i++) ck_assert_int_eq(table_builder_add(b, &rows[i]), STATUS_OK);
    enum status s = table_builder_finish(b, &t, &err);
    ck_assert_msg(s == STATUS_OK, "%s", err.text);
    t->refs = 1;
    return t;
}

static struct memdisk *new_disk(uint64_t seed)
{
    struct memdisk *md = memdisk_new(seed);
    ck_assert_int_eq(disk_mkdir(memdisk_disk(md), "store"), STATUS_OK);
    return md;
}

START_TEST(the_document_example_is_what_is_written_and_read)
{
    const struct lsm_write rows[] = {{LSM_PUT, slice_str("apple"), 5, slice_str("red"), false},
                                     {LSM_DELETE, slice_str("apple"), 3, SLICE_EMPTY, false},
                                     {LSM_PUT, slice_str("apricot"), 4, slice_str("orange"), false}};
    struct memdisk *md = new_disk(1);
    struct table *t = build(md, rows, 3, example_id, 4096, false);
    struct slice written = memdisk_content(md, "store/0000000000000007.tbl");
    struct buf documented;
    lsm_doc_example("docs/formats/table.md", "table", written, &documented);
    ck_assert_msg(slice_eq(written, buf_slice(&documented)), "the document shows other bytes");

    uint64_t size = written.size;
    memdisk_poke(md, "store/0000000000000007.tbl", 0, documented.data, documented.size);
    struct lsm_file file = {.table = t, .lower = slice_str("a"), .upper = slice_str("b")};
    struct lsm_file *files[] = {&file};
    struct rowsource source = {.memtable = NULL};
    rowsource_init_run(&source, files, 1, false);
    enum status s = rowsource_seek(&source, SLICE_EMPTY, LSM_TS_MAX);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(s, STATUS_OK);
        ck_assert(lsm_rows_equal(&source.row, &rows[i]));
        s = rowsource_next(&source);
    }
    ck_assert_int_eq(s, STATUS_END);
    rowsource_free(&source);
    ck_assert_uint_eq(t->props.rows, 3);
    ck_assert_uint_eq(t->props.keys, 2);
    ck_assert_uint_eq(t->props.tombstones, 1);
    ck_assert_uint_eq(t->props.ts_min, 3);
    ck_assert_uint_eq(t->props.ts_max, 5);
    ck_assert(slice_eq(t->props.largest, slice_str("apricot")));
    ck_assert_uint_eq(t->id.size, size);
    buf_free(&documented);
    table_free(t);
    memdisk_free(md);
}
END_TEST

/* Seeks, both directions, clipped bounds, blocking and sequential, against the sorted array. */
START_TEST(random_tables_agree_with_an_array)
{
    struct lsm_rows *rows = lsm_rows_new((uint64_t)_i, 1 + 97 * (unsigned)_i % 700, _i % 3 == 0 ? 3 : 300);
    struct memdisk *md = new_disk((uint64_t)_i);
    struct table *t = build(md, rows->rows, rows->count, example_id, 64 + 100 * (size_t)(_i % 5), _i % 2 == 0);
    for (unsigned round = 0; round < 60; round++) {
        struct slice lower, upper;
        lsm_rows_random_bounds(rows, &lower, &upper);
        struct lsm_file file = {.table = t, .lower = lower, .upper = upper, .clipped = true};
        struct lsm_file *files[] = {&file};
        struct rowsource source = {.memtable = NULL};
        rowsource_init_run(&source, files, 1, false);
        source.sequential = round % 2 == 0;
        size_t low = lsm_rows_lower(rows, lower, LSM_TS_MAX), high = lsm_rows_lower(rows, upper, LSM_TS_MAX);
        uint64_t ts = LSM_TS_MAX;
        struct slice key = lsm_rows_random_key(rows, &ts);
        bool reverse = round % 4 >= 2;
        size_t at = lsm_rows_lower(rows, key, reverse ? LSM_TS_MAX : ts);
        enum status s;
        if (reverse) {
            s = rowsource_seek_before(&source, key);
            if (at > high) at = high;
            for (; at > low && s == STATUS_OK; at--) {
                ck_assert(lsm_rows_equal(&source.row, &rows->rows[at - 1]));
                s = rowsource_prev(&source);
            }
            ck_assert_uint_le(at, low);
        } else {
            s = rowsource_seek(&source, key, ts);
            if (at < low) at = low;
            for (; at < high && s == STATUS_OK; at++) {
                ck_assert(lsm_rows_equal(&source.row, &rows->rows[at]));
                s = rowsource_next(&source);
            }
            ck_assert_uint_ge(at, high);
        }
        ck_assert_int_eq(s, STATUS_END);
        rowsource_free(&source);
    }
    for (size_t i = 0; i < rows->count; i++) ck_assert(table_may_hold(t, bloom_hash(rows->rows[i].key)));
    table_free(t);
    memdisk_free(md);
    lsm_rows_free(rows);
}
END_TEST

static enum status read_all(struct table *t)
{
    struct lsm_file file = {.table = t, .lower = SLICE_EMPTY, .upper = slice_str("\xff\xff")};
    struct lsm_file *files[] = {&file};
    struct rowsource source = {.memtable = NULL};
    rowsource_init_run(&source, files, 1, false);
    enum status s = rowsource_seek(&source, SLICE_EMPTY, LSM_TS_MAX);
    while (s == STATUS_OK) s = rowsource_next(&source);
    rowsource_free(&source);
    return s;
}

/* T24: every bit of a table is covered. */
START_TEST(every_flipped_bit_is_found)
{
    struct lsm_rows *rows = lsm_rows_new(5, 60, 30);
    struct memdisk *md = new_disk(3);
    struct table *t = build(md, rows->rows, rows->count, example_id, 256, _i == 1);
    struct table_id id = t->id;
    table_free(t);
    for (uint64_t at = 0; at < id.size; at++) {
        for (unsigned bit = 0; bit < 8; bit += 1 + (unsigned)(at % 3)) {
            memdisk_flip(md, "store/0000000000000007.tbl", at, bit);
            struct errbuf err = {.text = {0}};
            bool unreadable;
            enum status s = table_open(memdisk_disk(md), "store", &id, &t, &unreadable, &err);
            if (s == STATUS_OK) {
                s = read_all(t);
                table_free(t);
            } else {
                ck_assert(strstr(err.text, "0000000000000007.tbl") != NULL);
            }
            ck_assert_msg(s == STATUS_CORRUPT, "bit %u of byte %llu: %s", bit, (unsigned long long)at, status_name(s));
            memdisk_flip(md, "store/0000000000000007.tbl", at, bit);
        }
    }
    memdisk_free(md);
    lsm_rows_free(rows);
}
END_TEST

/* T25: a block whose bytes are right is refused at another offset, in another table, and from an older life of the number. */
START_TEST(a_block_in_the_wrong_place_is_refused)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    table_seal(slice_str("some block"), false, &example_id, 4096, &out);
    uint8_t *raw = NULL;
    size_t size = 0;
    ck_assert(table_unseal(buf_slice(&out), &example_id, 4096, &raw, &size));
    ck_assert(slice_eq(slice_make(raw, size), slice_str("some block")));
    mem_free(raw);
    struct table_id other = example_id;
    ck_assert(!table_unseal(buf_slice(&out), &other, 8192, &raw, &size));
    other.number++;
    ck_assert(!table_unseal(buf_slice(&out), &other, 4096, &raw, &size));
    other = example_id;
    other.salt++;
    ck_assert(!table_unseal(buf_slice(&out), &other, 4096, &raw, &size));
    buf_free(&out);
}
END_TEST

START_TEST(another_table_under_the_name_is_refused)
{
    struct lsm_rows *rows = lsm_rows_new(5, 60, 30);
    struct memdisk *md = new_disk(3);
    struct table *t = build(md, rows->rows, rows->count, example_id, 256, false);
    struct table_id id = t->id;
    table_free(t);
    struct table_id wrong[] = {id, id, id};
    wrong[0].salt++;
    wrong[1].size++;
    wrong[2].number++;
    for (unsigned i = 0; i < 3; i++) {
        struct errbuf err = {.text = {0}};
        bool unreadable;
        ck_assert_int_eq(table_open(memdisk_disk(md), "store", &wrong[i], &t, &unreadable, &err), STATUS_CORRUPT);
        ck_assert(err.text[0] != 0);
    }
    memdisk_free(md);
    lsm_rows_free(rows);
}
END_TEST

/* Values of a MiB, keys of 16 KiB, one row per block and thousands of versions of one key. */
START_TEST(large_rows_and_hot_keys)
{
    struct memdisk *md = new_disk(9);
    size_t big = 1 << 20;
    uint8_t *value = mem_alloc(big), *key = mem_alloc(LSM_KEY_MAX);
    for (size_t i = 0; i < big; i++) value[i] = (uint8_t)(i * i >> 7);
    memset(key, 'k', LSM_KEY_MAX);
    struct lsm_write rows[3003];
    rows[0] = (struct lsm_write){LSM_PUT, slice_str("a"), 1, slice_make(value, big), false};
    for (unsigned i = 0; i < 3000; i++)
        rows[1 + i] = (struct lsm_write){LSM_PUT, slice_str("hot"), 9000 - i, slice_str("v"), false};
    rows[3001] = (struct lsm_write){LSM_PUT, slice_make(key, LSM_KEY_MAX - 1), 1, slice_make(value, big), false};
    rows[3002] = (struct lsm_write){LSM_PUT, slice_make(key, LSM_KEY_MAX), LSM_TS_MAX - 1, slice_make(value, 3), false};
    struct table *t = build(md, rows, 3003, example_id, 256, _i == 1);
    struct lsm_file file = {.table = t, .lower = SLICE_EMPTY, .upper = slice_str("\xff")};
    struct lsm_file *files[] = {&file};
    struct rowsource source = {.memtable = NULL};
    rowsource_init_run(&source, files, 1, false);
    for (unsigned i = 0; i < 3003; i++) {
        ck_assert_int_eq(rowsource_seek(&source, rows[i].key, rows[i].ts), STATUS_OK);
        ck_assert(lsm_rows_equal(&source.row, &rows[i]));
    }
    rowsource_free(&source);
    table_free(t);
    memdisk_free(md);
    mem_free(value);
    mem_free(key);
}
END_TEST

/* Above the last level fewer and fewer: a level is an eighth of the one below, and a key is looked for in all. */
START_TEST(the_filter_errs_on_few_keys_only)
{
    static const unsigned most[] = {2000, 700, 400, 400}; /* of 100,000 */
    unsigned bits = bloom_bits((uint32_t)_i);
    ck_assert_uint_eq(bits, _i < 2 ? 10 + 3 * (unsigned)_i : 16);
    uint32_t count = bloom_lines(10000, bits);
    uint8_t *lines = mem_zalloc((size_t)count * BLOOM_LINE);
    for (uint64_t i = 0; i < 10000; i++) bloom_add(lines, count, bloom_hash(slice_make(&i, sizeof(i))));
    unsigned wrong = 0;
    for (uint64_t i = 0; i < 10000; i++) ck_assert(bloom_may_hold(lines, count, bloom_hash(slice_make(&i, sizeof(i)))));
    for (uint64_t i = 10000; i < 110000; i++)
        wrong += bloom_may_hold(lines, count, bloom_hash(slice_make(&i, sizeof(i)))) ? 1 : 0;
    ck_assert_uint_lt(wrong, most[_i]);
    mem_free(lines);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lsm/table");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, the_document_example_is_what_is_written_and_read);
    tcase_add_loop_test(tcase, random_tables_agree_with_an_array, 0, 30);
    tcase_add_loop_test(tcase, every_flipped_bit_is_found, 0, 2);
    tcase_add_test(tcase, a_block_in_the_wrong_place_is_refused);
    tcase_add_test(tcase, another_table_under_the_name_is_refused);
    tcase_add_loop_test(tcase, large_rows_and_hot_keys, 0, 2);
    tcase_add_loop_test(tcase, the_filter_errs_on_few_keys_only, 0, 4);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
