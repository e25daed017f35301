/* Evaluation, rule by rule of docs/formats/txn.md, each as one directed case. Random ones: test_txn_model.c. */
#include "base/mem.h"
#include "lib/txn_model.h"

#include <check.h>

#define KEYSPACE 1u

static struct arena arena;
static struct buf encoded, bytes;
static struct rows rows;
static struct txn_writes writes;
static struct txn_result result;
static uint64_t now;

static void setup(void)
{
    arena_init(&arena, 4096);
    buf_init(&encoded, LIMIT_TXN_BYTES);
    buf_init(&bytes, TXN_RESULT_BYTES_MAX);
    rows_init(&rows);
    now = 100;
}

static void teardown(void)
{
    arena_free(&arena);
    buf_free(&encoded);
    buf_free(&bytes);
    rows_free(&rows);
}

/* Evaluates at the next timestamp and applies. */
static const struct txn_result *run_encoded(struct slice request)
{
    struct txn_view view = rows_view(&rows);
    buf_clear(&bytes);
    now++;
    ck_assert_int_eq(txn_evaluate(request, now, &view, &arena, &writes, &bytes), STATUS_OK);
    rows_apply(&rows, &writes, now);
    ck_assert_int_eq(txn_result_decode(buf_slice(&bytes), &arena, &result), STATUS_OK);
    return &result;
}

static const struct txn_result *run(struct txn t)
{
    t.keyspace = KEYSPACE;
    buf_clear(&encoded);
    txn_encode(&t, &encoded);
    return run_encoded(buf_slice(&encoded));
}

static const struct txn_result *run_op(struct txn_op op)
{
    return run((struct txn){.ops = &op, .op_count = 1});
}

static struct txn_op op_of(enum txn_op_kind kind, const char *key)
{
    return (struct txn_op){.kind = kind, .key = slice_str(key), .value = SLICE_EMPTY, .min = I128_MIN, .max = I128_MAX};
}

static struct txn_op put(const char *key, const char *value)
{
    struct txn_op op = op_of(TXN_PUT, key);
    op.value = slice_str(value);
    return op;
}

static struct txn_op add(const char *key, i128 delta, i128 min, i128 max)
{
    struct txn_op op = op_of(TXN_ADD, key);
    op.delta = delta;
    op.min = min;
    op.max = max;
    return op;
}

static void expect_value(const char *key, const char *value)
{
    const struct txn_result *r = run_op(op_of(TXN_GET, key));
    ck_assert_int_eq(r->ops[0].found, value != NULL);
    if (value != NULL) ck_assert(slice_eq(r->ops[0].value, slice_str(value)));
}

static void expect_refusal(const struct txn_result *r, enum status status, uint32_t index)
{
    ck_assert_int_eq(r->status, status);
    ck_assert_uint_eq(r->failed_index, index);
    ck_assert_uint_eq(r->op_count, 0);
}

START_TEST(later_operations_see_earlier_writes)
{
    (void)run_op(put("a", "old"));
    struct txn_op ops[] = {op_of(TXN_GET, "a"), put("a", "new"),           op_of(TXN_GET, "a"),
                           op_of(TXN_GET, "c"), add("c", 5, 0, 9),         op_of(TXN_GET, "c"),
                           put("d", "x"),       op_of(TXN_DELETE, "gone"), op_of(TXN_GET, "gone")};
    const struct txn_result *r = run((struct txn){.ops = ops, .op_count = 9});
    ck_assert_int_eq(r->status, STATUS_OK);
    ck_assert(slice_eq(r->ops[0].value, slice_str("old")));
    ck_assert_uint_eq(r->ops[0].version, 101);
    ck_assert(slice_eq(r->ops[2].value, slice_str("new")));
    ck_assert_uint_eq(r->ops[2].version, now);
    ck_assert(!r->ops[3].found);
    ck_assert(slice_eq(r->ops[5].value, slice_str("5")));
    ck_assert(!r->ops[7].found);
    ck_assert(!r->ops[8].found);
    ck_assert_uint_eq(writes.count, 3); /* the delete of an absent key is none */
    struct txn_op then[] = {op_of(TXN_DELETE, "a"), op_of(TXN_GET, "a")};
    r = run((struct txn){.ops = then, .op_count = 2});
    ck_assert(r->ops[0].found);
    ck_assert(!r->ops[1].found);
    expect_value("a", NULL);
}
END_TEST

START_TEST(compares_see_the_state_before)
{
    (void)run_op(put("a", "10")); /* version 101 */
    struct txn_compare c = {.target = TXN_TARGET_VERSION, .relation = TXN_EQUAL, .key = slice_str("a"), .version = 101};
    struct txn_op then = put("b", "then"), other = put("b", "else");
    struct txn t = {
        .compares = &c, .compare_count = 1, .ops = &then, .op_count = 1, .else_ops = &other, .else_count = 1};
    ck_assert(run(t)->succeeded);
    expect_value("b", "then");
    c.relation = TXN_GREATER;
    ck_assert(!run(t)->succeeded);
    ck_assert_int_eq(result.status, STATUS_OK);
    ck_assert_uint_eq(result.failed_index, UINT32_MAX);
    expect_value("b", "else");
    c.version = 100;
    ck_assert(run(t)->succeeded);
    c.key = slice_str("absent");
    c.relation = TXN_EQUAL;
    c.version = 0;
    ck_assert(run(t)->succeeded);
    t.else_count = 0;
    c.target = TXN_TARGET_EXISTS;
    c.version = 1;
    expect_refusal(run(t), STATUS_CONDITION_FAILED, 0);
    ck_assert_uint_eq(writes.count, 0);
}
END_TEST

START_TEST(absent_keys_satisfy_no_comparison_of_values)
{
    struct txn_op then = put("b", "then");
    for (enum txn_relation relation = TXN_EQUAL; relation <= TXN_GREATER; relation++) {
        struct txn_compare c[2] = {
            {.target = TXN_TARGET_EXISTS, .relation = TXN_EQUAL, .key = slice_str("a"), .version = 0},
            {.target = TXN_TARGET_VALUE, .relation = relation, .key = slice_str("a"), .value = slice_str("x")}};
        expect_refusal(run((struct txn){.compares = c, .compare_count = 2, .ops = &then, .op_count = 1}),
                       STATUS_CONDITION_FAILED, 1);
    }
}
END_TEST

START_TEST(counters_compare_and_read_as_digits)
{
    (void)run_op(add("n", -1250, I128_MIN, I128_MAX));
    expect_value("n", "-1250");
    struct txn_compare c = {
        .target = TXN_TARGET_VALUE, .relation = TXN_EQUAL, .key = slice_str("n"), .value = slice_str("-1250")};
    struct txn_op then = put("n", "raw");
    ck_assert(run((struct txn){.compares = &c, .compare_count = 1, .ops = &then, .op_count = 1})->succeeded);
    expect_value("n", "raw");
    expect_refusal(run_op(add("n", 1, I128_MIN, I128_MAX)), STATUS_INVALID, 0); /* a put made it raw */
    (void)run_op(op_of(TXN_DELETE, "n"));
    ck_assert(slice_eq(run_op(add("n", 1, I128_MIN, I128_MAX))->ops[0].value, slice_str("1")));
}
END_TEST

START_TEST(guards)
{
    expect_refusal(run_op(add("n", -1, 0, 100)), STATUS_GUARD_FAILED, 0);
    expect_value("n", NULL);
    ck_assert_int_eq(run_op(add("n", 100, 0, 100))->status, STATUS_OK);
    expect_refusal(run_op(add("n", 1, 0, 100)), STATUS_GUARD_FAILED, 0);
    ck_assert_int_eq(run_op(add("n", -100, 0, 100))->status, STATUS_OK);
    ck_assert_int_eq(run_op(add("n", I128_MAX, I128_MIN, I128_MAX))->status, STATUS_OK);
    expect_refusal(run_op(add("n", 1, I128_MIN, I128_MAX)), STATUS_GUARD_FAILED, 0); /* beyond 128 bits */
    (void)run_op(add("m", I128_MIN, I128_MIN, I128_MAX));
    expect_refusal(run_op(add("m", -1, I128_MIN, I128_MAX)), STATUS_GUARD_FAILED, 0);
    expect_value("m", "-170141183460469231731687303715884105728");
}
END_TEST

START_TEST(all_or_nothing)
{
    (void)run_op(put("there", "1"));
    uint64_t before = rows_hash(&rows);
    struct txn_op ops[] = {put("a", "1"), add("n", 5, 0, 99), op_of(TXN_DELETE, "there")};
    ck_assert_int_eq(run((struct txn){.ops = ops, .op_count = 3})->status, STATUS_OK);
    ck_assert_uint_eq(writes.count, 3);
    ck_assert_uint_ne(rows_hash(&rows), before);
    (void)run_op(put("there", "1"));
    before = rows_hash(&rows);
    ops[2] = op_of(TXN_INSERT, "there");
    expect_refusal(run((struct txn){.ops = ops, .op_count = 3}), STATUS_EXISTS, 2);
    ck_assert_uint_eq(writes.count, 0);
    ck_assert_uint_eq(rows_hash(&rows), before);
    /* in the else branch the index counts else operations */
    struct txn_compare c = {.target = TXN_TARGET_EXISTS, .relation = TXN_EQUAL, .key = slice_str("zz"), .version = 1};
    struct txn t = {.compares = &c, .compare_count = 1, .else_ops = ops, .else_count = 3};
    expect_refusal(run(t), STATUS_EXISTS, 2);
    ck_assert(!result.succeeded);
    ck_assert_uint_eq(rows_hash(&rows), before);
}
END_TEST

START_TEST(an_id_acts_once)
{
    struct txn_op op = add("n", 7, I128_MIN, 10);
    struct txn t = {.id = {{9}}, .ops = &op, .op_count = 1};
    ck_assert(!run(t)->replayed);
    ck_assert_uint_eq(writes.count, 2);
    uint64_t first_ts = result.ts, before = rows_hash(&rows);
    ck_assert(run(t)->replayed);
    ck_assert_int_eq(result.status, STATUS_OK);
    ck_assert_uint_eq(result.ts, first_ts);
    ck_assert(slice_eq(result.ops[0].value, slice_str("7")));
    ck_assert_uint_eq(writes.count, 0);
    op.delta = 1;
    expect_refusal(run(t), STATUS_ID_REUSED, UINT32_MAX);
    ck_assert_uint_eq(rows_hash(&rows), before);
    /* a refusal is an answer like any other: a retry does not act although it now could */
    op.delta = 4;
    t.id.bytes[0] = 10;
    expect_refusal(run(t), STATUS_GUARD_FAILED, 0);
    ck_assert_uint_eq(writes.count, 1);
    (void)run_op(add("n", -7, I128_MIN, 10));
    t.id.bytes[0] = 10;
    expect_refusal(run(t), STATUS_GUARD_FAILED, 0);
    ck_assert(result.replayed);
    expect_value("n", "0");
}
END_TEST

START_TEST(idempotency_rows_lie_beside_their_anchor)
{
    struct txn_op ops[] = {put("m", "1"), put("a", "2")};
    struct txn t = {.id = {{1}}, .ops = ops, .op_count = 2};
    (void)run(t);
    struct buf low, high;
    buf_init(&low, 4096);
    buf_init(&high, 4096);
    key_encode_bound(&low, KEYSPACE, slice_str("m"));
    key_encode_bound(&high, KEYSPACE, slice_str("m\x01"));
    ck_assert_uint_eq(writes.count, 3);
    ck_assert_int_ge(slice_cmp(writes.items[2].key, buf_slice(&low)), 0);
    ck_assert_int_lt(slice_cmp(writes.items[2].key, buf_slice(&high)), 0);
    buf_free(&low);
    buf_free(&high);
}
END_TEST

START_TEST(undecodable_bytes_are_refused)
{
    static const uint8_t garbage[] = {0xff, 0x00, 0x01};
    expect_refusal(run_encoded(slice_make(garbage, sizeof(garbage))), STATUS_INVALID, UINT32_MAX);
    expect_refusal(run_encoded(SLICE_EMPTY), STATUS_INVALID, UINT32_MAX);
    ck_assert_uint_eq(writes.count, 0);
}
END_TEST

START_TEST(damaged_rows_stop_the_evaluation)
{
    struct buf key;
    buf_init(&key, 4096);
    key_encode_data(&key, KEYSPACE, slice_str("a"));
    rows_set(&rows, buf_slice(&key), slice_str("\x09?"), 1);
    struct txn_op op = op_of(TXN_GET, "a");
    struct txn t = {.keyspace = KEYSPACE, .ops = &op, .op_count = 1};
    txn_encode(&t, &encoded);
    struct txn_view view = rows_view(&rows);
    ck_assert_int_eq(txn_evaluate(buf_slice(&encoded), 5, &view, &arena, &writes, &bytes), STATUS_CORRUPT);
    ck_assert_uint_eq(bytes.size, 0);
    /* and so does a damaged idempotency row: not knowing whether it acted, it must not act */
    t.id.bytes[3] = 1;
    op.key = slice_str("b");
    buf_clear(&encoded);
    txn_encode(&t, &encoded);
    buf_clear(&key);
    key_encode_idempotency(&key, KEYSPACE, op.key, &t.id);
    rows_set(&rows, buf_slice(&key), slice_str("\x01short"), 1);
    ck_assert_int_eq(txn_evaluate(buf_slice(&encoded), 5, &view, &arena, &writes, &bytes), STATUS_CORRUPT);
    ck_assert_uint_eq(bytes.size, 0);
    ck_assert_uint_eq(writes.count, 0);
    buf_free(&key);
}
END_TEST

START_TEST(returned_values_are_bounded)
{
    uint8_t *big = mem_zalloc(LIMIT_VALUE_BYTES);
    struct txn_op write = put("big", "");
    write.value = slice_make(big, LIMIT_VALUE_BYTES);
    ck_assert_int_eq(run_op(write)->status, STATUS_OK);
    struct txn_op gets[10];
    for (size_t i = 0; i < 10; i++) gets[i] = op_of(TXN_GET, "big");
    ck_assert_int_eq(run((struct txn){.ops = gets, .op_count = 8})->status, STATUS_OK);
    ck_assert_uint_eq(result.ops[7].value.size, LIMIT_VALUE_BYTES);
    struct txn t = {.id = {{5}}, .ops = gets, .op_count = 9};
    expect_refusal(run(t), STATUS_TOO_LARGE, 8);
    expect_refusal(run(t), STATUS_TOO_LARGE, 8);
    ck_assert(result.replayed);
    mem_free(big);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("txn_evaluate");
    TCase *tc = tcase_create("evaluate");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, later_operations_see_earlier_writes);
    tcase_add_test(tc, compares_see_the_state_before);
    tcase_add_test(tc, absent_keys_satisfy_no_comparison_of_values);
    tcase_add_test(tc, counters_compare_and_read_as_digits);
    tcase_add_test(tc, guards);
    tcase_add_test(tc, all_or_nothing);
    tcase_add_test(tc, an_id_acts_once);
    tcase_add_test(tc, idempotency_rows_lie_beside_their_anchor);
    tcase_add_test(tc, undecodable_bytes_are_refused);
    tcase_add_test(tc, damaged_rows_stop_the_evaluation);
    tcase_add_test(tc, returned_values_are_bounded);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
