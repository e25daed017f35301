/* The tree of JSON: what is read, what is refused, and that both agree with jansson on random texts. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/prng.h"
#include "gateway/json_tree.h"
#include "lib/suite.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, 1024);
}
static void teardown(void)
{
    arena_free(&arena);
}

static enum status read_text(const char *text, struct json_node **n, struct errbuf *err)
{
    size_t taken;
    enum status s = json_tree_read(&arena, slice_str(text), n, &taken, err);
    if (s == STATUS_OK && taken != strlen(text)) return STATUS_TOO_LARGE; /* something follows */
    return s;
}

START_TEST(values_are_found)
{
    struct json_node *n;
    struct errbuf err;
    ck_assert_int_eq(
        read_text(" {\"a\":[1,-20,\"x\\n\\u00e9\\ud83d\\ude00\"], \"b\":{\"c\":null,\"d\":true,\"e\":false}} ", &n,
                  &err),
        STATUS_OK);
    ck_assert_uint_eq(n->count, 2);
    const struct json_node *a = n->first, *b = a->next;
    ck_assert(slice_eq(a->name, slice_str("a")) && a->kind == JSON_IS_LIST && a->count == 3);
    int64_t v;
    ck_assert(json_node_i64(a->first->next, &v));
    ck_assert_int_eq(v, -20);
    ck_assert(slice_eq(a->first->next->next->text, slice_str("x\n\xc3\xa9\xf0\x9f\x98\x80")));
    ck_assert_int_eq(b->first->kind, JSON_IS_NULL);
    ck_assert_int_eq(b->first->next->kind, JSON_IS_TRUE);
    ck_assert_int_eq(b->first->next->next->kind, JSON_IS_FALSE);
    ck_assert_int_eq(read_text(" \n", &n, &err), STATUS_OK);
    ck_assert_ptr_null(n);
}
END_TEST

/* One value after the other, as a watch's body has them. */
START_TEST(several_values_in_a_row)
{
    struct slice rest = slice_str("{\"a\":1} {\"b\":2}\n3 ");
    struct json_node *n;
    struct errbuf err;
    size_t taken, count = 0;
    while (rest.size > 0) {
        ck_assert_int_eq(json_tree_read(&arena, rest, &n, &taken, &err), STATUS_OK);
        rest = slice_make(rest.data + taken, rest.size - taken);
        count++;
    }
    ck_assert_uint_eq(count, 3);
}
END_TEST

START_TEST(what_is_refused)
{
    static const char *const bad[] = {"{",
                                      "}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "[1,]",
                                      "[1 2]",
                                      "{a:1}",
                                      "{\"a\":1,\"a\":2}",
                                      "\"",
                                      "\"a",
                                      "\"\\",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\u12g4\"",
                                      "\"\\ud800\"",
                                      "\"\\ud800\\u0041\"",
                                      "\"\\udc00\"",
                                      "\"\t\"",
                                      "\"\\n\t\"",
                                      "01",
                                      "-",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "+1",
                                      "tru",
                                      "nul",
                                      "\"\xff\"",
                                      "\"\xc3\"",
                                      "{\"a\":1}}",
                                      "'a'",
                                      "\"a\\\"",
                                      "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct json_node *n;
        struct errbuf err;
        ck_assert_msg(read_text(bad[i], &n, &err) != STATUS_OK, "%s", bad[i]);
    }
}
END_TEST

START_TEST(numbers)
{
    static const struct {
        const char *text;
        bool good;
        int64_t v;
    } cases[] = {{"0", true, 0},
                 {"\"12\"", true, 12},
                 {"9223372036854775807", true, INT64_MAX},
                 {"-9223372036854775808", true, INT64_MIN},
                 {"\"18446744073709551615\"", true, -1}, /* unsigned ones as their bits */
                 {"18446744073709551616", false, 0},
                 {"-9223372036854775809", false, 0},
                 {"1.5", false, 0},
                 {"1e3", false, 0},
                 {"\"\"", false, 0},
                 {"\"-\"", false, 0},
                 {"\" 1\"", false, 0},
                 {"true", false, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_node *n;
        struct errbuf err;
        int64_t v = 0;
        ck_assert_int_eq(read_text(cases[i].text, &n, &err), STATUS_OK);
        ck_assert_msg(json_node_i64(n, &v) == cases[i].good, "%s", cases[i].text);
        if (cases[i].good) ck_assert_int_eq(v, cases[i].v);
    }
}
END_TEST

/* Random texts of the letters of JSON: one reader takes what the other does, but for limits. */
/* Eight bytes a step: what ends a text ends it wherever it stands, and nothing else does. */
START_TEST(every_byte_at_every_place)
{
    for (unsigned c = 0; c < 0x80; c++) {
        for (size_t at = 0; at < 20; at++) {
            uint8_t text[26] = "\"aaaaaaaaaaaaaaaaaaaaaaaa\"";
            struct json_node *n;
            struct errbuf err;
            size_t taken;
            arena_reset(&arena);
            text[1 + at] = (uint8_t)c;
            enum status s = json_tree_read(&arena, slice_make(text, sizeof text), &n, &taken, &err);
            bool plain = c >= 0x20 && c != '"' && c != '\\';
            ck_assert_int_eq(s == STATUS_OK, plain || c == '"');
            if (s != STATUS_OK) continue;
            ck_assert_uint_eq(n->text.size, plain ? 24 : at);
            ck_assert_uint_eq(taken, plain ? sizeof text : at + 2);
        }
    }
}
END_TEST

START_TEST(agrees_with_jansson)
{
    static const char *const parts[] = {"{",           "}",       "[",  "]",        ",",    ":",   "\"a\"",   "\"b\"",
                                        "\"\\u0041\"", "\"\\n\"", "1",  "-2",       "0.5",  "1e2", "true",    "null",
                                        " ",           "\"",      "\\", "\xc3\xa9", "\xc3", "01",  "{\"a\":", "[1,"};
    struct prng prng;
    size_t taken_count = 0;
    prng_init(&prng, 20261122);
    for (unsigned round = 0; round < 40000; round++) {
        char text[128] = "";
        size_t size = 0;
        for (uint64_t i = prng_between(&prng, 1, 9); i > 0; i--) {
            const char *part = parts[prng_between(&prng, 0, sizeof(parts) / sizeof(parts[0]) - 1)];
            memcpy(text + size, part, strlen(part));
            size += strlen(part);
        }
        struct json_node *n = NULL;
        struct errbuf err;
        size_t taken;
        json_error_t why;
        arena_reset(&arena);
        bool ours =
            json_tree_read(&arena, slice_make(text, size), &n, &taken, &err) == STATUS_OK && n != NULL && taken == size;
        json_t *t = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
        bool limit = ours && t == NULL && json_error_code(&why) == json_error_numeric_overflow; /* of jansson's */
        ck_assert_msg(ours == (t != NULL) || limit, "%.*s: %s", (int)size, text, ours ? why.text : err.text);
        taken_count += ours;
        json_decref(t);
    }
    ck_assert_uint_gt(taken_count, 1000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gateway_json");
    TCase *tc = tcase_create("json");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, values_are_found);
    tcase_add_test(tc, several_values_in_a_row);
    tcase_add_test(tc, what_is_refused);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, every_byte_at_every_place);
    tcase_add_test(tc, agrees_with_jansson);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
