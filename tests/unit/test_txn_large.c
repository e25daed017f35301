/* The largest transactions: what is held of them has to fit a row, and what sends rows. */
#include "test_txn_table.h"

#include <stdio.h>

#define BIG LIMIT_VALUE_BYTES
#define LONG_KEYS 1900u

static uint32_t numbers[LONG_KEYS];
static struct txn_op ops[LONG_KEYS];

static void number_ops(void)
{
    setup();
    for (uint32_t i = 0; i < LONG_KEYS; i++) numbers[i] = i;
}

/* No row that it writes is larger than one may be. */
static void apply(enum txn_command_kind kind, uint64_t ts)
{
    struct txn_writes writes;
    entry_index++;
    ck_assert_int_eq(try_apply(kind, ts, &writes), STATUS_OK);
    for (size_t i = 0; i < writes.count; i++) ck_assert_uint_le(writes.items[i].value.size, HELD_ROW_MAX);
    rows_apply(&rows, &writes, ts);
}

static enum txn_vote_kind prepare(unsigned id, size_t count, enum status *refusal)
{
    struct txn part = {.keyspace = KEYSPACE, .ops = ops, .op_count = count};
    struct txn_span whole = {slice_str("a"), slice_str("z")};
    struct txn_vote vote;
    struct txn_result result;
    buf_clear(&body);
    txn_encode(&part, &body);
    struct txn_prepare p = {.id = {{(uint8_t)id, 1}},
                            .born = now,
                            .keyspace = KEYSPACE,
                            .spans = &whole,
                            .span_count = 1,
                            .places = {.ops = numbers, .op_count = count},
                            .part = arena_dup_slice(&arena, buf_slice(&body))};
    buf_clear(&body);
    txn_prepare_encode(&p, &body);
    apply(TXN_COMMAND_PREPARE, ++now);
    ck_assert_int_eq(txn_vote_decode(buf_slice(&answer), &arena, &vote), STATUS_OK);
    ck_assert_int_eq(txn_result_decode(vote.then_result, &arena, &result), STATUS_OK);
    *refusal = result.status;
    return vote.kind;
}

static struct slice key_of(unsigned number)
{
    char *key = arena_alloc(&arena, 16);
    (void)snprintf(key, 16, "k%u", number);
    return slice_str(key);
}

/* As much is got as a transaction may return, and nearly as much is put. */
START_TEST(a_part_that_is_too_large_to_hold_is_refused)
{
    enum status refusal;
    struct slice value = slice_make(arena_zalloc(&arena, BIG), BIG);
    for (unsigned i = 0; i < 8; i++)
        rows_set(&rows, key_make_data(&arena, KEYSPACE, key_of(i)), row_make_raw(&arena, value, 0), 10);
    for (unsigned puts = 4; puts < 8; puts++) {
        for (unsigned i = 0; i < 8; i++) ops[i] = (struct txn_op){.kind = TXN_GET, .key = key_of(i)};
        for (unsigned i = 0; i < puts; i++)
            ops[8 + i] = (struct txn_op){.kind = TXN_PUT, .key = key_of(100 * puts + i), .value = value};
        enum txn_vote_kind kind = prepare(puts, 8 + puts, &refusal);
        ck_assert_int_eq((int)kind, (int)(puts < 6 ? VOTE_YES : VOTE_NO));
        ck_assert_int_eq(refusal, puts < 6 ? STATUS_OK : STATUS_TOO_LARGE);
    }
}
END_TEST

/* Each zero byte of a key is two in the store. */
static struct slice long_key(unsigned number)
{
    uint8_t *key = arena_zalloc(&arena, LIMIT_KEY_BYTES);
    key[0] = 'k';
    be_set_u32(key + LIMIT_KEY_BYTES - 4, number);
    return slice_make(key, LIMIT_KEY_BYTES);
}

static void adds(unsigned from, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        ops[i] = (struct txn_op){.kind = TXN_ADD,
                                 .key = long_key(from + i),
                                 .value = SLICE_EMPTY,
                                 .delta = 1,
                                 .min = I128_MIN,
                                 .max = I128_MAX};
    }
}

/* Decided adds that wait beneath undecided ones are held with their store keys, which are longer than the user's. */
START_TEST(adds_that_are_too_many_to_wait_are_refused)
{
    enum status refusal;
    struct txn_result result;
    adds(0, 1500);
    ck_assert_int_eq((int)prepare(1, 1500, &refusal), (int)VOTE_NO);
    ck_assert_int_eq(refusal, STATUS_TOO_LARGE);
    for (unsigned i = 0; i < LONG_KEYS; i += 475) {
        adds(i, 475);
        ck_assert_int_eq((int)prepare(2 + i / 475, 475, &refusal), (int)VOTE_YES);
    }
    adds(0, LONG_KEYS);
    struct txn plain = {.keyspace = KEYSPACE, .ops = ops, .op_count = LONG_KEYS};
    buf_clear(&body);
    txn_encode(&plain, &body);
    ck_assert_uint_le(body.size, LIMIT_TXN_BYTES);
    apply(TXN_COMMAND_KIND, ++now);
    ck_assert_int_eq(txn_result_decode(buf_slice(&answer), &arena, &result), STATUS_OK);
    ck_assert_int_eq(result.status, STATUS_TOO_LARGE);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("txn_large");
    TCase *tc = tcase_create("large");
    tcase_add_checked_fixture(tc, number_ops, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, a_part_that_is_too_large_to_hold_is_refused);
    tcase_add_test(tc, adds_that_are_too_many_to_wait_are_refused);
    return run_suite(s);
}
