/* Keys and values of the ledger: the examples of docs/formats/ledger.md, every row there and back, anything else refused; counters of an
 * account; words. */
#include "base/prng.h"
#include "ledger/balance.h"
#include "ledger/words.h"
#include "lib/txn_example.h"

#include <check.h>
#include <stdlib.h>

#define FORMAT_DOC "docs/formats/ledger.md"

static struct arena arena;
static struct buf value;

static void setup(void)
{
    arena_init(&arena, 4096);
    buf_init(&value, 1u << 16);
}

static void teardown(void)
{
    arena_free(&arena);
    buf_free(&value);
}

static struct transfer_row example(void)
{
    return (struct transfer_row){.transfer = {.id = ledger_id_of(0, 100),
                                              .debit = ledger_id_of(0, 1),
                                              .credit = ledger_id_of(0, 2),
                                              .amount = 500,
                                              .ledger = 1,
                                              .code = 7,
                                              .timestamp = 0x0102030405060708},
                                 .attempt = 9};
}

static void check_example(const char *name, struct slice ours)
{
    struct buf bytes;
    buf_init(&bytes, 4096);
    ck_assert(example_load(FORMAT_DOC, name, &bytes));
    ck_assert(slice_eq(buf_slice(&bytes), ours));
    buf_free(&bytes);
}

START_TEST(examples_of_the_document)
{
    struct ledger_id account = ledger_id_of(0, 258);
    struct transfer_row row = example();
    struct posting p = {.transfer = row.transfer.id, .timestamp = row.transfer.timestamp, .debits = 500};
    check_example("counter-key", key_counter(&arena, &account, SLOT_DEBITS_PENDING));
    row_put_transfer(&value, &row);
    check_example("transfer", buf_slice(&value));
    buf_clear(&value);
    row_put_posting(&value, &p, row.transfer.timestamp);
    check_example("postings", buf_slice(&value));
}
END_TEST

static i128 some_number(struct prng *p)
{
    i128 v = (i128)prng_next(p) << prng_below(p, 62);
    v >>= prng_below(p, 110);
    return prng_chance(p, 1, 2) ? v : -v;
}

static struct ledger_id some_id(struct prng *p)
{
    return ledger_id_of(prng_chance(p, 1, 2) ? 0 : prng_next(p), prng_next(p));
}

static struct transfer_row some_transfer(struct prng *p)
{
    struct transfer_row r = {.attempt = prng_next(p), .result = (enum ledger_result)prng_below(p, LEDGER_RESULT_COUNT)};
    struct ledger_transfer *t = &r.transfer;
    t->id = some_id(p);
    t->debit = some_id(p);
    t->credit = some_id(p);
    t->amount = some_number(p);
    if (prng_chance(p, 1, 2)) t->user_data_128 = some_id(p);
    if (prng_chance(p, 1, 2)) t->user_data_64 = prng_next(p);
    if (prng_chance(p, 1, 2)) t->user_data_32 = (uint32_t)prng_next(p);
    if (prng_chance(p, 1, 2)) t->timeout_s = (uint32_t)prng_next(p);
    if (prng_chance(p, 1, 2)) {
        t->pending_id = some_id(p);
        t->pending_amount = some_number(p);
    }
    t->ledger = (uint32_t)prng_next(p);
    t->code = (uint16_t)prng_next(p);
    t->flags = (uint16_t)prng_next(p);
    t->timestamp = prng_next(p);
    return r;
}

START_TEST(transfers_there_and_back)
{
    struct prng p;
    prng_init(&p, 71);
    for (unsigned i = 0; i < 500; i++) {
        struct transfer_row r = some_transfer(&p), back = {.transfer = {.id = r.transfer.id}};
        buf_clear(&value);
        row_put_transfer(&value, &r);
        struct slice bytes = buf_slice(&value);
        ck_assert_int_eq(row_get_transfer(bytes, &back), STATUS_OK);
        struct buf again;
        buf_init(&again, 4096);
        row_put_transfer(&again, &back);
        ck_assert(slice_eq(bytes, buf_slice(&again)));
        ck_assert(back.transfer.amount == r.transfer.amount);
        ck_assert(back.transfer.pending_amount == r.transfer.pending_amount);
        ck_assert_int_eq(back.result, r.result);
        buf_free(&again);
        for (size_t cut = 0; cut < bytes.size; cut++) {
            ck_assert_int_ne(row_get_transfer(slice_make(bytes.data, cut), &back), STATUS_OK);
        }
        buf_append_byte(&value, 0);
        ck_assert_int_eq(row_get_transfer(buf_slice(&value), &back), STATUS_CORRUPT);
    }
}
END_TEST

START_TEST(postings_there_and_back)
{
    struct prng p;
    struct posting all[40], back;
    prng_init(&p, 72);
    for (unsigned i = 0; i < 40; i++) {
        all[i] = (struct posting){.transfer = some_id(&p), .timestamp = 1000 + i * prng_below(&p, 50)};
        if (prng_chance(&p, 1, 2)) all[i].debits = some_number(&p);
        if (prng_chance(&p, 1, 2)) all[i].credits_pending = some_number(&p);
        row_put_posting(&value, &all[i], 1000);
    }
    struct slice left = buf_slice(&value);
    for (unsigned i = 0; i < 40; i++) {
        ck_assert_int_eq(row_get_posting(&left, 1000, &back), STATUS_OK);
        ck_assert(ledger_id_eq(&back.transfer, &all[i].transfer));
        ck_assert_uint_eq(back.timestamp, all[i].timestamp);
        ck_assert(back.debits == all[i].debits);
        ck_assert(back.credits_pending == all[i].credits_pending);
    }
    ck_assert_int_eq(row_get_posting(&left, 1000, &back), STATUS_END);
}
END_TEST

/* Bytes of any kind are decoded or refused, never believed beyond their end. */
START_TEST(garbage_is_refused_or_understood)
{
    struct prng p;
    prng_init(&p, 73);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t bytes[96];
        size_t size = prng_below(&p, sizeof(bytes));
        for (size_t j = 0; j < size; j++)
            bytes[j] = prng_chance(&p, 1, 3) ? (uint8_t)prng_below(&p, 4) : (uint8_t)prng_next(&p);
        struct slice s = slice_make(bytes, size), left = s;
        struct transfer_row t = {.attempt = 0};
        struct ledger_account a = {.code = 0};
        struct resolution r;
        struct posting posting;
        struct ledger_key key;
        if (row_get_transfer(s, &t) == STATUS_OK) ck_assert_uint_ge(size, 60);
        if (row_get_account(s, &a) == STATUS_OK) ck_assert_uint_ge(size, 18);
        if (row_get_resolution(s, &r) == STATUS_OK) ck_assert_uint_eq(size, 26);
        while (row_get_posting(&left, 0, &posting) == STATUS_OK) ck_assert_uint_le(left.size, size);
        if (ledger_key_decode(s, &key) == STATUS_OK) ck_assert_uint_ge(size, 18);
    }
}
END_TEST

START_TEST(keys_there_and_back)
{
    struct ledger_id id = ledger_id_of(3, 4);
    struct ledger_key k;
    ck_assert_int_eq(ledger_key_decode(key_account(&arena, &id), &k), STATUS_OK);
    ck_assert_int_eq(k.row, LEDGER_ROW_ACCOUNT);
    ck_assert_int_eq(ledger_key_decode(key_counter(&arena, &id, SLOT_CREDITS), &k), STATUS_OK);
    ck_assert_int_eq(k.slot, SLOT_CREDITS);
    ck_assert_int_eq(ledger_key_decode(key_postings(&arena, &id, 77), &k), STATUS_OK);
    ck_assert_uint_eq(k.at, 77);
    ck_assert_int_eq(ledger_key_decode(key_resolution(&arena, &id), &k), STATUS_OK);
    ck_assert_int_eq(k.row, LEDGER_ROW_RESOLUTION);
    ck_assert_int_eq(ledger_key_decode(key_transfer(&arena, &id), &k), STATUS_OK);
    ck_assert_int_eq(k.row, LEDGER_ROW_TRANSFER);
    ck_assert_int_eq(ledger_key_decode(key_expiry(&arena, 88, &id), &k), STATUS_OK);
    ck_assert_uint_eq(k.at, 88);
    ck_assert(ledger_id_eq(&k.id, &id));
    ck_assert_int_lt(slice_cmp(key_resolution(&arena, &id), key_transfer(&arena, &id)), 0);
    ck_assert_int_eq(ledger_key_decode(key_currency(&arena, 978), &k), STATUS_OK);
    ck_assert(k.row == LEDGER_ROW_CURRENCY && k.ledger == 978);
}
END_TEST

START_TEST(currencies_there_and_back)
{
    struct ledger_currency c = {.ledger = 978, .scale = 2, .name = "EUR"}, back;
    struct buf b;
    buf_init(&b, 256);
    row_put_currency(&b, &c);
    ck_assert_int_eq(row_get_currency(buf_slice(&b), &back), STATUS_OK);
    ck_assert(back.scale == 2 && strcmp(back.name, "EUR") == 0);
    static const char *const bad[] = {"", "\1", "\2\2EUR", "\1\23EUR", "\1\2E R", "\1\2ABCDEFGHIJKLMNOPQ"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_eq(row_get_currency(slice_str(bad[i]), &back), STATUS_CORRUPT);
    ck_assert_int_eq(row_get_currency(slice_make("\1\2E\0R", 5), &back), STATUS_CORRUPT);
    c.ledger = 0;
    ck_assert(!ledger_currency_valid(&c));
    buf_free(&b);
}
END_TEST

/* Counters carry what was changed, whatever the limit, open or closed. */
START_TEST(counters_carry_balances)
{
    static const uint16_t flags[] = {0, LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS, LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS};
    struct prng p;
    prng_init(&p, 74);
    for (unsigned i = 0; i < 600; i++) {
        uint16_t f = flags[i % 3];
        i128 slots[SLOT_COUNT] = {0}, change[SLOT_COUNT];
        struct ledger_balance sum = {.closed = (i / 3) % 2 == 1};
        for (unsigned j = 0; j < 10; j++) {
            struct changes c = {.debits = prng_below(&p, 1000),
                                .credits = prng_below(&p, 1000),
                                .debits_pending = prng_below(&p, 1000),
                                .credits_pending = prng_below(&p, 1000)};
            account_spread(f, &c, change);
            for (unsigned k = 0; k < SLOT_COUNT; k++) slots[k] += change[k];
            sum.debits_posted += c.debits;
            sum.credits_posted += c.credits;
            sum.debits_pending += c.debits_pending;
            sum.credits_pending += c.credits_pending;
        }
        account_closing(f, change);
        for (unsigned k = 0; k < SLOT_COUNT && sum.closed; k++) slots[k] += change[k];
        struct ledger_balance b = account_balance(f, slots);
        ck_assert(b.closed == sum.closed);
        ck_assert(b.debits_posted == sum.debits_posted);
        ck_assert(b.credits_posted == sum.credits_posted);
        ck_assert(b.debits_pending == sum.debits_pending);
        ck_assert(b.credits_pending == sum.credits_pending);
    }
}
END_TEST

START_TEST(ids_are_numbers)
{
    static const char *const same[] = {"0", "1", "255", "340282366920938463463374607431768211455",
                                       "18446744073709551616"};
    struct ledger_id id, other;
    char text[LEDGER_ID_TEXT_MAX];
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        ck_assert(ledger_id_parse(slice_str(same[i]), &id));
        ledger_id_format(&id, text);
        ck_assert_str_eq(text, same[i]);
    }
    ck_assert(ledger_id_parse(slice_str("0xfF"), &id));
    ck_assert(ledger_id_parse(slice_str("255"), &other));
    ck_assert(ledger_id_eq(&id, &other));
    ck_assert(!ledger_id_parse(slice_str("340282366920938463463374607431768211456"), &id));
    ck_assert(!ledger_id_parse(slice_str(""), &id));
    ck_assert(!ledger_id_parse(slice_str("-1"), &id));
    ck_assert(!ledger_id_parse(slice_str("0x"), &id));
    ck_assert(!ledger_id_parse(slice_str("12a"), &id));
}
END_TEST

START_TEST(amounts_with_a_scale)
{
    static const struct {
        i128 amount;
        unsigned scale;
        const char *text;
    } cases[] = {{0, 0, "0"},      {5, 0, "5"},      {0, 2, "0.00"},         {5, 2, "0.05"},    {12, 2, "0.12"},
                 {123, 2, "1.23"}, {-5, 2, "-0.05"}, {-12345, 2, "-123.45"}, {1000, 3, "1.000"}};
    char text[I128_TEXT_MAX + 24];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ledger_amount_format(cases[i].amount, cases[i].scale, text);
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ledger rows");
    TCase *tc = tcase_create("rows");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, examples_of_the_document);
    tcase_add_test(tc, transfers_there_and_back);
    tcase_add_test(tc, postings_there_and_back);
    tcase_add_test(tc, garbage_is_refused_or_understood);
    tcase_add_test(tc, keys_there_and_back);
    tcase_add_test(tc, currencies_there_and_back);
    tcase_add_test(tc, counters_carry_balances);
    tcase_add_test(tc, ids_are_numbers);
    tcase_add_test(tc, amounts_with_a_scale);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
