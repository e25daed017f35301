/* Text for people: escaping, durations, sizes, tables. */
#include <check.h>
#include <stdlib.h>

#include "cli/cli_int.h"

static struct buf b;

static void setup(void)
{
    buf_init(&b, 65536);
}
static void teardown(void)
{
    buf_free(&b);
}

static void expect(const char *text)
{
    struct slice got = b.size > 0 ? buf_slice(&b) : SLICE_EMPTY;
    ck_assert_msg(slice_eq(got, slice_str(text)), "got '%.*s', want '%s'", (int)got.size, (const char *)got.data, text);
    buf_clear(&b);
}

START_TEST(escaping_is_reversible_and_one_line)
{
    text_escape(&b, slice_make("a\\b\tc\nd\0\x7f", 9));
    expect("a\\\\b\\tc\\nd\\x00\\x7f");
    text_escape(&b, slice_str("gr\xc3\xbc\xc3\x9f"));
    expect("gr\xc3\xbc\xc3\x9f");
    text_escape(&b, slice_str("gr\xfc"));
    expect("gr\\xfc");
}
END_TEST

START_TEST(durations_and_sizes)
{
    text_duration(&b, 59999);
    expect("59s");
    text_duration(&b, 61000);
    expect("1m 01s");
    text_duration(&b, 2 * 3600 * 1000 + 5 * 60 * 1000);
    expect("2h 05m");
    text_size(&b, 1023);
    expect("1023 B");
    text_size(&b, 1536);
    expect("1.5 KiB");
    text_size(&b, 5ull << 40);
    expect("5.0 TiB");
}
END_TEST

START_TEST(tables_align_and_plain_does_not)
{
    static const char *const heads[] = {"A", "LONG", "C"};
    struct text_table t;
    text_table_init(&t, heads, 3);
    text_table_cell(&t, "%d", 12345);
    text_table_cell_bytes(&t, slice_str("\xc3\xbc"), 10);
    text_table_cell(&t, "x");
    text_table_cell(&t, "1");
    text_table_cell_bytes(&t, slice_str("abcdefghijkl"), 5);
    text_table_cell(&t, "%s", "");
    text_table_write(&t, OUTPUT_TABLE, &b);
    expect("A      LONG      C\n12345  \xc3\xbc         x\n1      abcde...  \n");
    text_table_write(&t, OUTPUT_PLAIN, &b);
    expect("12345\t\xc3\xbc\tx\n1\tabcde...\t\n");
    text_table_free(&t);
}
END_TEST

START_TEST(a_cut_does_not_split_a_character)
{
    static const char *const heads[] = {"K"};
    struct text_table t;
    text_table_init(&t, heads, 1);
    text_table_cell_bytes(&t, slice_str("ab\xe2\x82\xac"), 4);
    text_table_cell_bytes(&t, SLICE_EMPTY, 4);
    text_table_write(&t, OUTPUT_PLAIN, &b);
    expect("ab...\n\n");
    text_table_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli text");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, escaping_is_reversible_and_one_line);
    tcase_add_test(t, durations_and_sizes);
    tcase_add_test(t, tables_align_and_plain_does_not);
    tcase_add_test(t, a_cut_does_not_split_a_character);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
