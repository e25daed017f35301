/* The line editor and completion. */
#include "lib/suite.h"

#include "cli/complete.h"
#include "cli/line.h"

static struct line line;

static enum line_event type(const char *keys)
{
    enum line_event e = LINE_GOES_ON;
    for (const char *p = keys; *p != '\0'; p++) e = line_key(&line, (uint8_t)*p);
    return e;
}

#define LEFT "\033[D"
#define RIGHT "\033[C"
#define UP "\033[A"
#define DOWN "\033[B"

START_TEST(keys_edit_the_line)
{
    line_init(&line);
    line_begin(&line);
    ck_assert_int_eq(type("put k v"), LINE_GOES_ON);
    ck_assert_str_eq(line.text, "put k v");
    type(LEFT LEFT "\177x");
    ck_assert_str_eq(line.text, "put x v");
    type("\001" RIGHT "\033[3~\033[3~");
    ck_assert_str_eq(line.text, "p x v");
    type("\005\027\027");
    ck_assert_str_eq(line.text, "p ");
    type("\025");
    ck_assert_str_eq(line.text, "");
    type("a\xc3\xa4z" LEFT LEFT "\013");
    ck_assert_str_eq(line.text, "a");
    ck_assert_int_eq(type("\t"), LINE_COMPLETES);
    ck_assert_int_eq(type("\003"), LINE_DROPPED);
    ck_assert_int_eq(type("\004"), LINE_GOES_ON); /* something is written */
    type("\025");
    ck_assert_int_eq(type("\004"), LINE_ENDED);
    ck_assert_int_eq(type("\r"), LINE_DONE);
    type("\033[1;5C\033[99~x"); /* sequences that are not known leave nothing behind */
    ck_assert_str_eq(line.text, "x");
    line_free(&line);
}
END_TEST

START_TEST(former_lines_come_back)
{
    line_init(&line);
    line_remember(&line, slice_str("one"));
    line_remember(&line, slice_str("two"));
    line_remember(&line, slice_str("two"));
    ck_assert_uint_eq(line.history_count, 2);
    line_begin(&line);
    type("dra" UP);
    ck_assert_str_eq(line.text, "two");
    type(UP UP);
    ck_assert_str_eq(line.text, "one");
    type(DOWN DOWN DOWN "ft");
    ck_assert_str_eq(line.text, "draft");
    for (unsigned i = 0; i < 2 * LINE_HISTORY_MAX; i++) {
        uint8_t text[2] = {(uint8_t)('a' + i % 26), (uint8_t)('a' + i / 26 % 26)};
        line_remember(&line, slice_make(text, 2));
    }
    ck_assert_uint_eq(line.history_count, LINE_HISTORY_MAX);
    for (unsigned i = 0; i < LINE_MAX_BYTES + 10; i++) type("x");
    ck_assert_uint_eq(line.size, LINE_MAX_BYTES - 1);
    line_free(&line);
}
END_TEST

START_TEST(lines_split_like_in_a_shell)
{
    char text[] = "  put ks 'a b'\"c d\" e\\ f ''", *words[8];
    size_t count;
    ck_assert(line_split(text, words, 8, &count));
    ck_assert_uint_eq(count, 5);
    ck_assert_str_eq(words[2], "a bc d");
    ck_assert_str_eq(words[3], "e f");
    ck_assert_str_eq(words[4], "");
    char open[] = "put 'x", many[] = "a b c";
    ck_assert(!line_split(open, words, 8, &count));
    ck_assert(!line_split(many, words, 2, &count));
}
END_TEST

static const struct flag flags[] = {{"watch", FLAG_SWITCH, "", ""}, {"read", FLAG_TEXT, "strong|snapshot", ""}};
static const struct command commands[] = {
    {"range list", "", "", NULL, 0, 0, flags, 2, false},
    {"range check", "", "", NULL, 0, 0, NULL, 0, false},
    {"get", "", "", NULL, 0, 0, flags, 2, false},
    {"hidden", "", "", NULL, 0, 0, NULL, 0, true},
};

static const char *completed(const char *a, const char *b, const char *c, const char *d)
{
    static char text[2000];
    const char *words[] = {a, b, c, d};
    size_t count = 0;
    while (count < 4 && words[count] != NULL) count++;
    struct buf out;
    buf_init(&out, 65536);
    complete_word(commands, 4, words, count, &out);
    if (out.size > 0) memcpy(text, out.data, out.size);
    text[out.size] = '\0';
    buf_free(&out);
    return text;
}

START_TEST(words_are_completed)
{
    ck_assert_str_eq(completed("", NULL, NULL, NULL), "range\nget\n");
    ck_assert_str_eq(completed("ra", NULL, NULL, NULL), "range\n");
    ck_assert_str_eq(completed("range", "", NULL, NULL), "list\ncheck\n");
    ck_assert_str_eq(completed("range", "l", NULL, NULL), "list\n");
    ck_assert_str_eq(completed("range", "list", "--wa", NULL), "--watch\n");
    ck_assert_str_eq(completed("get", "--read", "s", NULL), "strong\nsnapshot\n");
    ck_assert_str_eq(completed("get", "--read", "st", NULL), "strong\n");
    ck_assert_str_eq(completed("get", "ks", "-o", "j"), "json\n");
    ck_assert_str_eq(completed("hid", NULL, NULL, NULL), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli/line");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, keys_edit_the_line);
    tcase_add_test(tc, former_lines_come_back);
    tcase_add_test(tc, lines_split_like_in_a_shell);
    tcase_add_test(tc, words_are_completed);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
