/* Accounts and transfers as JSON: what is read, what is refused by name, what is written. */
#include "gateway/ledger_json.h"

#include <check.h>
#include <stdlib.h>

static json_t *tree;
static struct errbuf err;

static struct json_at load(const char *text)
{
    json_decref(tree);
    tree = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(tree);
    return (struct json_at){.value = tree, .path = {.parent = NULL, .name = ""}};
}

static enum status transfer(const char *text, struct ledger_transfer *t)
{
    struct json_at at = load(text);
    return json_want_transfer(&at, t, &err);
}

START_TEST(transfers_are_read)
{
    struct ledger_transfer t;
    ck_assert_int_eq(transfer("{\"id\":\"0xff\",\"debit_account_id\":1,\"credit_account_id\":\"2\",\"amount\":"
                              "\"12345678901234567890123\","
                              "\"ledger\":7,\"code\":9,\"flags\":[\"pending\",\"linked\"],\"timeout\":30,\"user_data_"
                              "64\":\"18446744073709551615\"}",
                              &t),
                     STATUS_OK);
    struct ledger_id id = ledger_id_of(0, 255);
    ck_assert(ledger_id_eq(&t.id, &id));
    ck_assert(t.amount > (i128)UINT64_MAX);
    ck_assert_uint_eq(t.flags, LEDGER_PENDING | LEDGER_LINKED);
    ck_assert_uint_eq(t.timeout_s, 30);
    ck_assert_uint_eq(t.user_data_64, UINT64_MAX);
    ck_assert_uint_eq(t.code, 9);
}
END_TEST

/* Left out, or 2^128 - 1: all that is pending. */
START_TEST(amounts_may_be_left_open)
{
    struct ledger_transfer t;
    ck_assert_int_eq(transfer("{\"id\":1,\"pending_id\":2,\"flags\":[\"post_pending_transfer\"]}", &t), STATUS_OK);
    ck_assert(t.amount == LEDGER_AMOUNT_ALL);
    ck_assert_int_eq(
        transfer("{\"id\":1,\"pending_id\":2,\"amount\":\"340282366920938463463374607431768211455\",\"flags\":4}", &t),
        STATUS_OK);
    ck_assert(t.amount == LEDGER_AMOUNT_ALL);
    ck_assert_uint_eq(t.flags, LEDGER_POST_PENDING);
    ck_assert_int_eq(transfer("{\"id\":1,\"debit_account_id\":1,\"credit_account_id\":2}", &t), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "amount"));
}
END_TEST

START_TEST(mistakes_are_refused_by_name)
{
    static const struct {
        const char *text, *named;
    } wrong[] = {{"{\"id\":1,\"amount\":1,\"ammount\":2}", "ammount"},
                 {"{\"id\":-1,\"amount\":1}", "id"},
                 {"{\"id\":1,\"amount\":-5}", "amount"},
                 {"{\"id\":1,\"amount\":1.5}", "amount"},
                 {"{\"id\":1,\"amount\":1,\"flags\":[\"urgent\"]}", "flags[0]"},
                 {"{\"id\":1,\"amount\":1,\"code\":65536}", "code"},
                 {"{\"id\":1,\"amount\":1,\"ledger\":\"EUR\"}", "ledger"},
                 {"[]", "object"}};
    struct ledger_transfer t;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_assert_int_eq(transfer(wrong[i].text, &t), STATUS_INVALID);
        ck_assert_msg(strstr(err.text, wrong[i].named) != NULL, "%s does not name %s", err.text, wrong[i].named);
    }
}
END_TEST

START_TEST(accounts_there_and_back)
{
    struct ledger_account a;
    struct ledger_balance balance = {.debits_posted = 5, .credits_posted = (i128)1 << 100, .closed = true};
    struct buf b;
    struct json_at at = load(
        "{\"id\":77,\"ledger\":1,\"code\":2,\"flags\":[\"debits_must_not_exceed_credits\"],\"user_data_128\":\"3\"}");
    ck_assert_int_eq(json_want_account(&at, &a, &err), STATUS_OK);
    buf_init(&b, 4096);
    buf_append_byte(&b, '{');
    json_ledger_account(&b, &a, &balance);
    buf_append_str(&b, "}");
    json_t *back = json_loadb((const char *)b.data, b.size, 0, NULL);
    ck_assert_ptr_nonnull(back);
    ck_assert_str_eq(json_string_value(json_object_get(back, "id")), "77");
    ck_assert_str_eq(json_string_value(json_object_get(back, "credits_posted")), "1267650600228229401496703205376");
    ck_assert_uint_eq(json_array_size(json_object_get(back, "flags")), 2);
    ck_assert_str_eq(json_string_value(json_object_get(back, "user_data_128")), "3");
    json_decref(back);
    buf_free(&b);
}
END_TEST

START_TEST(outcomes_tell_the_first_answer)
{
    struct ledger_id id = ledger_id_of(0, 9);
    struct ledger_outcome o = {.result = LEDGER_ID_ALREADY_FAILED, .first = LEDGER_EXCEEDS_CREDITS};
    struct buf b;
    buf_init(&b, 4096);
    json_ledger_outcome(&b, 3, &id, &o, true);
    buf_append_byte(&b, 0);
    ck_assert_str_eq(
        (const char *)b.data,
        "{\"index\":3,\"id\":\"9\",\"result\":\"id_already_failed\",\"first_result\":\"exceeds_credits\"}");
    buf_free(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gateway ledger");
    TCase *tc = tcase_create("json");
    tcase_add_test(tc, transfers_are_read);
    tcase_add_test(tc, amounts_may_be_left_open);
    tcase_add_test(tc, mistakes_are_refused_by_name);
    tcase_add_test(tc, accounts_there_and_back);
    tcase_add_test(tc, outcomes_tell_the_first_answer);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    json_decref(tree);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
