/* The command line: commands, flags, suggestions, help. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/args.h"

static const struct flag flags_scan[] = {{"limit", FLAG_NUMBER, "N", "rows"},
                                         {"reverse", FLAG_SWITCH, "", "backwards"},
                                         {"start", FLAG_TEXT, "KEY", "first"}};
static const struct command commands[] = {
    {"scan", "KEYSPACE", "print rows", NULL, 1, 1, flags_scan, 3, false},
    {"node", "", "run a node", NULL, 0, 0, NULL, 0, false},
    {"node list", "", "all nodes", NULL, 0, 0, NULL, 0, false},
    {"cluster start", "[NAME]", "start", NULL, 0, 1, NULL, 0, false},
    {"cluster stop", "", "stop", NULL, 0, 0, NULL, 0, false},
    {"cluster supervise", "", "hidden", NULL, 0, 0, NULL, 0, true},
};
#define COUNT (sizeof(commands) / sizeof(commands[0]))

static struct args args;
static struct errbuf err;

/* Splits at blanks; at most 16 words. */
static enum status parse(const char *line)
{
    static char text[512];
    static char *words[16];
    int n = 0;
    snprintf(text, sizeof(text), "%s", line);
    for (char *p = text; *p != '\0' && n < 16;) {
        words[n++] = p;
        p += strcspn(p, " ");
        if (*p == ' ') *p++ = '\0';
    }
    err.text[0] = '\0';
    return args_parse(n, words, commands, COUNT, &args, &err);
}

START_TEST(commands_of_one_and_two_words)
{
    ck_assert_int_eq(parse("node"), STATUS_OK);
    ck_assert_str_eq(args.command->name, "node");
    ck_assert_int_eq(parse("node list"), STATUS_OK);
    ck_assert_str_eq(args.command->name, "node list");
    ck_assert_int_eq(parse("cluster start node-1"), STATUS_OK);
    ck_assert_str_eq(args.words[0], "node-1");
    ck_assert_int_eq(parse("cluster supervise"), STATUS_OK);
}
END_TEST

START_TEST(flags_in_every_form)
{
    ck_assert_int_eq(parse("scan --limit 5 ks --start=a=b --reverse -o json"), STATUS_OK);
    uint64_t limit;
    ck_assert_int_eq(args_number(&args, "limit", 9, 1, 10, &limit, &err), STATUS_OK);
    ck_assert_uint_eq(limit, 5);
    ck_assert_str_eq(args_text(&args, "start", ""), "a=b");
    ck_assert_str_eq(args_text(&args, "output", ""), "json");
    ck_assert(args_switch(&args, "reverse"));
    ck_assert_str_eq(args.words[0], "ks");
    ck_assert_int_eq(parse("scan ks"), STATUS_OK);
    ck_assert_int_eq(args_number(&args, "limit", 9, 1, 10, &limit, &err), STATUS_OK);
    ck_assert_uint_eq(limit, 9);
    ck_assert(!args_switch(&args, "reverse"));
    ck_assert_int_eq(parse("scan -- --odd-name"), STATUS_OK);
    ck_assert_str_eq(args.words[0], "--odd-name");
    ck_assert_int_eq(parse("scan -"), STATUS_OK);
    ck_assert_str_eq(args.words[0], "-");
    ck_assert_int_eq(parse("scan --help"), STATUS_OK);
    ck_assert(args.help);
}
END_TEST

START_TEST(mistakes_are_named_with_the_right_spelling)
{
    static const struct {
        const char *line, *text;
    } cases[] = {
        {"", "no command is given"},
        {"scna ks", "did you mean 'scan'?"},
        {"cluster strat", "did you mean 'cluster start'?"},
        {"cluster", "`quorate cluster` needs one of: start, stop"},
        {"cluster frobnicate", "needs one of: start, stop"},
        {"frobnicate", "unknown command 'frobnicate'"},
        {"scan ks --lmit 5", "did you mean '--limit'?"},
        {"scan ks --revrese", "did you mean '--reverse'?"},
        {"scan ks --outptu json", "did you mean '--output'?"},
        {"scan ks --frobnicate", "`quorate help scan` lists them"},
        {"scan ks -x", "unknown flag '-x'"},
        {"scan ks --limit", "--limit needs a value: --limit N"},
        {"scan ks --limit five", "--limit: expected a whole number (N), got 'five'"},
        {"scan ks --limit -5", "expected a whole number"},
        {"scan ks --limit 99999999999999999999", "expected a whole number"},
        {"scan ks --limit 1 --limit 2", "--limit is given twice"},
        {"scan ks --reverse=yes", "--reverse takes no value"},
        {"scan", "something is missing. Usage: quorate scan KEYSPACE"},
        {"scan a b", "one word too many: 'b'"},
        {"--limit 5 scan ks", "flags stand behind the command"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_msg(parse(cases[i].line) == STATUS_INVALID, "%s", cases[i].line);
        ck_assert_msg(strstr(err.text, cases[i].text) != NULL, "%s: '%s'", cases[i].line, err.text);
    }
    uint64_t v;
    ck_assert_int_eq(parse("scan ks --limit 11"), STATUS_OK);
    ck_assert_int_eq(args_number(&args, "limit", 9, 1, 10, &v, &err), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "from 1 to 10"));
}
END_TEST

START_TEST(distances)
{
    ck_assert_uint_eq(word_distance("", ""), 0);
    ck_assert_uint_eq(word_distance("abc", ""), 3);
    ck_assert_uint_eq(word_distance("kitten", "sitting"), 3);
    ck_assert_uint_eq(word_distance("limit", "lmiit"), 1);
    ck_assert_uint_eq(word_distance("ca", "abc"), 3); /* alignment: no substring is edited twice */
    ck_assert_uint_eq(word_distance("same", "same"), 0);
    char longest[100];
    memset(longest, 'x', 80);
    longest[80] = '\0';
    ck_assert_uint_eq(word_distance(longest, "x"), 99);
}
END_TEST

START_TEST(help_lists_what_is_not_hidden)
{
    struct buf b;
    buf_init(&b, 65536);
    help_all(commands, COUNT, &b);
    buf_append_byte(&b, '\0');
    ck_assert_ptr_nonnull(strstr((const char *)b.data, "cluster start [NAME]"));
    ck_assert_ptr_null(strstr((const char *)b.data, "supervise"));
    buf_clear(&b);
    help_command(&commands[0], &b);
    buf_append_byte(&b, '\0');
    ck_assert_ptr_nonnull(strstr((const char *)b.data, "--limit N"));
    buf_free(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli args");
    TCase *t = tcase_create("all");
    tcase_add_test(t, commands_of_one_and_two_words);
    tcase_add_test(t, flags_in_every_form);
    tcase_add_test(t, mistakes_are_named_with_the_right_spelling);
    tcase_add_test(t, distances);
    tcase_add_test(t, help_lists_what_is_not_hidden);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
