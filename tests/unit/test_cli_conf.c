/* Flags out of a file. */
#include <check.h>
#include <stdlib.h>

#include "cli/conf.h"

static const struct flag flags_node[] = {{"listen", FLAG_TEXT, "HOST:PORT", "address"},
                                         {"election-ms", FLAG_NUMBER, "MS", "silence"},
                                         {"insecure", FLAG_SWITCH, "", "open"}};
static const struct flag flags_gateway[] = {{"listen", FLAG_TEXT, "HOST:PORT", "address"}};
static const struct command commands[] = {
    {"node", "", "run a node", NULL, 0, 0, flags_node, 3, false},
    {"gateway", "", "run a gateway", NULL, 0, 0, flags_gateway, 1, false},
    {"bench kv", "", "load", NULL, 0, 0, NULL, 0, false},
    {"secret", "", "hidden", NULL, 0, 0, NULL, 0, true},
};
#define COUNT (sizeof(commands) / sizeof(commands[0]))

static struct args args;
static struct errbuf err;
static struct buf text;

/* The node command with `flag value` on its command line (NULL: without any) and this file. */
static enum status apply(const char *flag, const char *value, const char *file)
{
    args = (struct args){.command = &commands[0]};
    if (flag != NULL) ck_assert_int_eq(args_store(&args, args_flag(args.command, flag, &err), value, &err), STATUS_OK);
    buf_clear(&text);
    buf_append_str(&text, file);
    return conf_apply("q.conf", &text, commands, COUNT, &args, &err);
}

START_TEST(its_section_and_what_is_for_all)
{
    ck_assert_int_eq(apply(NULL, NULL,
                           "# a remark\r\n"
                           "meta = a:1,b:2\n"
                           "\n"
                           "[node]\n"
                           "  listen=10.0.0.1:7411  \n"
                           "\tcerts = /etc/a b\n"
                           "insecure = on\n"
                           "[gateway]\n"
                           "listen = 10.0.0.1:7480\n"
                           "[bench kv]\n"
                           "timeout = 5"),
                     STATUS_OK);
    ck_assert_str_eq(args_text(&args, "meta", ""), "a:1,b:2");
    ck_assert_str_eq(args_text(&args, "listen", ""), "10.0.0.1:7411");
    ck_assert_str_eq(args_text(&args, "certs", ""), "/etc/a b");
    ck_assert(args_switch(&args, "insecure"));
    ck_assert(!args_given(&args, "timeout"));
}
END_TEST

START_TEST(the_command_line_goes_before)
{
    ck_assert_int_eq(apply("listen", "here:1", "[node]\nlisten = there:2\ninsecure = off\n"), STATUS_OK);
    ck_assert_str_eq(args_text(&args, "listen", ""), "here:1");
    ck_assert(!args_switch(&args, "insecure"));
}
END_TEST

START_TEST(nothing_is_no_file)
{
    ck_assert_int_eq(apply(NULL, NULL, ""), STATUS_OK);
    ck_assert_uint_eq(args.given_count, 0);
}
END_TEST

static const struct {
    const char *file, *line, *says;
} wrong[] = {
    {"listen = a:1\n", "line 1", "unknown flag"}, /* not of every command */
    {"[node]\nlisen = a:1\n", "line 2", "did you mean '--listen'"},
    {"[node]\n\nlisten\n", "line 3", "expected NAME = VALUE"},
    {"[nod]\n", "line 1", "no command is called 'nod'"},
    {"[secret]\n", "line 1", "no command is called"},
    {"[node\n", "line 1", "a section is written"},
    {"[node]\nelection-ms = soon\n", "line 2", "expected a whole number"},
    {"[node]\nlisten = a:1\nlisten = b:1\n", "line 3", "given twice"},
    {"[node]\ninsecure = yes\n", "line 2", "on or off"},
    {"[gateway]\nelection-ms = 5\n", "line 2", "unknown flag"}, /* another's section is looked at, too */
    {"config = other.conf\n", "line 1", "command line only"},
    {"help = on\n", "line 1", "command line only"},
};
START_TEST(what_is_wrong_is_told_with_its_line)
{
    ck_assert_int_eq(apply(NULL, NULL, wrong[_i].file), STATUS_INVALID);
    ck_assert_msg(strstr(err.text, "q.conf ") == err.text && strstr(err.text, wrong[_i].line) != NULL, "%s", err.text);
    ck_assert_msg(strstr(err.text, wrong[_i].says) != NULL, "%s", err.text);
}
END_TEST

START_TEST(bytes_are_refused)
{
    args = (struct args){.command = &commands[0]};
    buf_clear(&text);
    buf_append(&text, "[node]\n\0x", 9);
    ck_assert_int_eq(conf_apply("q.conf", &text, commands, COUNT, &args, &err), STATUS_INVALID);
    ck_assert(strstr(err.text, "not a text") != NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("configuration files");
    TCase *t = tcase_create("conf");
    tcase_add_test(t, its_section_and_what_is_for_all);
    tcase_add_test(t, the_command_line_goes_before);
    tcase_add_test(t, nothing_is_no_file);
    tcase_add_loop_test(t, what_is_wrong_is_told_with_its_line, 0, sizeof(wrong) / sizeof(wrong[0]));
    tcase_add_test(t, bytes_are_refused);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    buf_init(&text, 1u << 16);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    buf_free(&text);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
