/* Encodings of transactions, results and commands: round trips, the document's examples, limits, damaged bytes. */
#include "base/mem.h"
#include "lib/txn_example.h"
#include "lib/txn_model.h"
#include "txn/command.h"

#include <check.h>
#include <stdio.h>

#define SEED 31337u
#define TXN_MD "docs/formats/txn.md"

static struct arena arena;
static struct buf bytes, again;

static void setup(void)
{
    arena_init(&arena, 4096);
    buf_init(&bytes, 4 * LIMIT_TXN_BYTES);
    buf_init(&again, 4 * LIMIT_TXN_BYTES);
}

static void teardown(void)
{
    arena_free(&arena);
    buf_free(&bytes);
    buf_free(&again);
}

static bool same_op(const struct txn_op *a, const struct txn_op *b)
{
    if (a->kind != b->kind || !slice_eq(a->key, b->key) || !slice_eq(a->value, b->value)) return false;
    return a->kind != TXN_ADD || (a->delta == b->delta && a->min == b->min && a->max == b->max);
}

static bool same_txn(const struct txn *a, const struct txn *b)
{
    if (memcmp(&a->id, &b->id, sizeof(a->id)) != 0 || a->keyspace != b->keyspace) return false;
    if (a->compare_count != b->compare_count || a->op_count != b->op_count || a->else_count != b->else_count)
        return false;
    for (size_t i = 0; i < a->compare_count; i++) {
        const struct txn_compare *x = &a->compares[i], *y = &b->compares[i];
        if (x->target != y->target || x->relation != y->relation || x->version != y->version) return false;
        if (!slice_eq(x->key, y->key) || !slice_eq(x->value, y->value)) return false;
    }
    for (size_t i = 0; i < a->op_count; i++) {
        if (!same_op(&a->ops[i], &b->ops[i])) return false;
    }
    for (size_t i = 0; i < a->else_count; i++) {
        if (!same_op(&a->else_ops[i], &b->else_ops[i])) return false;
    }
    return true;
}

static struct txn random_txn(struct prng *p)
{
    struct txn t = model_txn(p, &arena);
    t.keyspace = prng_chance(p, 1, 4) ? TXN_KEYSPACE_MAX : (uint32_t)prng_below(p, 300);
    if (prng_chance(p, 1, 2)) t.id.bytes[prng_below(p, TXN_ID_BYTES)] = (uint8_t)prng_between(p, 1, 255);
    return t;
}

START_TEST(transactions_round_trip)
{
    struct prng p;
    prng_init(&p, SEED);
    for (int i = 0; i < 20000; i++) {
        arena_reset(&arena);
        buf_clear(&bytes);
        struct txn t = random_txn(&p), u;
        txn_encode(&t, &bytes);
        struct errbuf err;
        ck_assert_int_eq(txn_decode(buf_slice(&bytes), &arena, &u, &err), STATUS_OK);
        ck_assert(same_txn(&t, &u));
        struct slice low, high;
        txn_key_span(&u, &low, &high);
        for (size_t k = 0; k < u.op_count; k++) {
            ck_assert_int_ge(slice_cmp(u.ops[k].key, low), 0);
            ck_assert_int_le(slice_cmp(u.ops[k].key, high), 0);
        }
        ck_assert_int_ge(slice_cmp(txn_anchor(&u), low), 0);
        ck_assert_int_le(slice_cmp(txn_anchor(&u), high), 0);
    }
}
END_TEST

/* Every prefix is refused; the copy ends where the prefix ends, so that a sanitizer sees a read behind it. */
static void check_truncations(struct slice whole)
{
    for (size_t cut = 0; cut < whole.size; cut++) {
        uint8_t *exact = mem_dup(whole.data, cut);
        struct txn t;
        struct errbuf err;
        err.text[0] = '\0';
        ck_assert_int_ne(txn_decode(slice_make(exact, cut), &arena, &t, &err), STATUS_OK);
        ck_assert_uint_ne(strlen(err.text), 0);
        ck_assert_uint_eq(t.op_count + t.compare_count + t.else_count, 0);
        mem_free(exact);
    }
}

START_TEST(truncated_and_flipped_transactions)
{
    struct prng p;
    prng_init(&p, SEED + 1);
    for (int i = 0; i < 500; i++) {
        arena_reset(&arena);
        buf_clear(&bytes);
        struct txn t = random_txn(&p), u;
        txn_encode(&t, &bytes);
        check_truncations(buf_slice(&bytes));
        buf_append_byte(&bytes, 0);
        ck_assert_int_eq(txn_decode(buf_slice(&bytes), &arena, &u, NULL), STATUS_INVALID);
        bytes.size--;
        for (int flip = 0; flip < 60; flip++) {
            size_t at = (size_t)prng_below(&p, bytes.size);
            uint8_t was = bytes.data[at];
            bytes.data[at] = (uint8_t)prng_next(&p);
            size_t before = arena.reserved;
            enum status s = txn_decode(buf_slice(&bytes), &arena, &u, NULL);
            ck_assert(s == STATUS_OK || s == STATUS_INVALID || s == STATUS_UNSUPPORTED || s == STATUS_TOO_LARGE);
            ck_assert_uint_le(arena.reserved - before, 8192 + 64 * bytes.size);
            if (s == STATUS_OK) { /* what was accepted has a meaning that survives */
                struct txn v;
                buf_clear(&again);
                txn_encode(&u, &again);
                ck_assert_int_eq(txn_decode(buf_slice(&again), &arena, &v, NULL), STATUS_OK);
                ck_assert(same_txn(&u, &v));
            }
            bytes.data[at] = was;
        }
    }
}
END_TEST

/* --- limits --- */

static enum status decode_one(const struct txn *t, struct errbuf *err)
{
    struct txn u;
    buf_clear(&bytes);
    txn_encode(t, &bytes);
    return txn_decode(buf_slice(&bytes), &arena, &u, err);
}

START_TEST(limits_of_keys_and_values)
{
    static uint8_t big[LIMIT_VALUE_BYTES + 1];
    struct errbuf err;
    struct txn_op op = {
        .kind = TXN_PUT, .key = slice_make(big, LIMIT_KEY_BYTES), .value = slice_make(big, LIMIT_VALUE_BYTES)};
    struct txn t = {.ops = &op, .op_count = 1};
    ck_assert_int_eq(decode_one(&t, &err), STATUS_OK);
    op.key.size++;
    ck_assert_int_eq(decode_one(&t, &err), STATUS_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(err.text, "4096"));
    op.key.size = 0;
    ck_assert_int_eq(decode_one(&t, &err), STATUS_INVALID);
    op.key.size = 1;
    op.value.size++;
    ck_assert_int_eq(decode_one(&t, &err), STATUS_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(err.text, "1048576"));
    struct txn_compare c = {
        .target = TXN_TARGET_VALUE, .relation = TXN_EQUAL, .key = slice_make(big, 1), .value = op.value};
    struct txn compares = {.compares = &c, .compare_count = 1};
    ck_assert_int_eq(decode_one(&compares, &err), STATUS_TOO_LARGE);
    c.value.size--;
    ck_assert_int_eq(decode_one(&compares, &err), STATUS_OK);
    t.keyspace = UINT32_MAX;
    op.value.size = 0;
    ck_assert_int_eq(decode_one(&t, &err), STATUS_INVALID);
}
END_TEST

START_TEST(limit_of_operations)
{
    size_t count = LIMIT_TXN_OPS + 1;
    uint8_t *at = arena_zalloc(&arena, (count + 1) * sizeof(struct txn_op));
    struct txn_op *ops = (struct txn_op *)(void *)(at + (uintptr_t)at % 16);
    uint8_t(*keys)[2] = arena_alloc(&arena, count * 2);
    for (size_t i = 0; i < count; i++) { /* descending: the check for keys written twice has to sort */
        keys[i][0] = (uint8_t)((count - i) >> 8);
        keys[i][1] = (uint8_t)(count - i);
        ops[i] = (struct txn_op){.kind = TXN_INSERT, .key = slice_make(keys[i], 2), .value = SLICE_EMPTY};
    }
    struct errbuf err;
    struct txn t = {.ops = ops, .op_count = LIMIT_TXN_OPS};
    ck_assert_int_eq(decode_one(&t, &err), STATUS_OK);
    t.op_count++;
    ck_assert_int_eq(decode_one(&t, &err), STATUS_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(err.text, "8192"));
    t.op_count = LIMIT_TXN_OPS / 2;
    t.else_ops = ops;
    t.else_count = LIMIT_TXN_OPS / 2;
    ck_assert_int_eq(decode_one(&t, &err), STATUS_OK);
    t.else_count++;
    ck_assert_int_eq(decode_one(&t, &err), STATUS_TOO_LARGE);
    t.else_count = 0;
    t.op_count = LIMIT_TXN_OPS;
    ops[17].key = ops[8000].key;
    ck_assert_int_eq(decode_one(&t, &err), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "17 and 8000"));
    ops[17].kind = TXN_GET;
    ck_assert_int_eq(decode_one(&t, &err), STATUS_OK);
}
END_TEST

START_TEST(limit_of_the_whole)
{
    static uint8_t big[LIMIT_VALUE_BYTES];
    struct txn_op ops[9];
    uint8_t keys[9];
    for (size_t i = 0; i < 9; i++) {
        keys[i] = (uint8_t)i;
        ops[i] = (struct txn_op){
            .kind = TXN_PUT, .key = slice_make(&keys[i], 1), .value = slice_make(big, LIMIT_VALUE_BYTES)};
    }
    struct errbuf err;
    struct txn t = {.ops = ops, .op_count = 7};
    ck_assert_int_eq(decode_one(&t, &err), STATUS_OK);
    t.op_count = 8;
    ck_assert_int_eq(decode_one(&t, &err), STATUS_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(err.text, "8388608"));
}
END_TEST

START_TEST(claimed_counts_are_not_believed)
{
    /* 8,192 operations in a transaction of a few bytes */
    static const uint8_t few[] = {1, 0, 0, 0, 0x80, 0x40, 0, 1, 1, 'k'};
    struct txn t;
    ck_assert_int_eq(txn_decode(slice_make(few, sizeof(few)), &arena, &t, NULL), STATUS_INVALID);
    ck_assert_uint_eq(arena.reserved, 0);
    /* a key of 2^63 bytes */
    static const uint8_t huge[] = {1, 0, 0, 0, 1, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1};
    ck_assert_int_eq(txn_decode(slice_make(huge, sizeof(huge)), &arena, &t, NULL), STATUS_TOO_LARGE);
    static const uint8_t nothing[] = {1, 0, 0, 0, 0, 0};
    ck_assert_int_eq(txn_decode(slice_make(nothing, sizeof(nothing)), &arena, &t, NULL), STATUS_INVALID);
    static const uint8_t version_2[] = {2, 0, 0, 0, 1, 0, 1, 1, 'k'};
    ck_assert_int_eq(txn_decode(slice_make(version_2, sizeof(version_2)), &arena, &t, NULL), STATUS_UNSUPPORTED);
    static const uint8_t flags[] = {1, 4, 0, 0, 1, 0, 1, 1, 'k'};
    ck_assert_int_eq(txn_decode(slice_make(flags, sizeof(flags)), &arena, &t, NULL), STATUS_UNSUPPORTED);
    uint8_t zero_id[25] = {1, 1, [18] = 0, [19] = 0, [20] = 1, [21] = 0, [22] = 1, [23] = 1, [24] = 'k'};
    ck_assert_int_eq(txn_decode(slice_make(zero_id, sizeof(zero_id)), &arena, &t, NULL), STATUS_INVALID);
    zero_id[2] = 1;
    ck_assert_int_eq(txn_decode(slice_make(zero_id, sizeof(zero_id)), &arena, &t, NULL), STATUS_OK);
}
END_TEST

/* --- results --- */

static struct txn_result random_result(struct prng *p)
{
    struct txn_result r = {.status = (enum status)prng_below(p, STATUS_COUNT), .replayed = prng_chance(p, 1, 2)};
    r.succeeded = prng_chance(p, 1, 2);
    r.ts = prng_next(p);
    r.failed_index = (uint32_t)prng_next(p);
    r.op_count = (size_t)prng_below(p, 6);
    r.ops = arena_zalloc(&arena, r.op_count * sizeof(*r.ops));
    for (size_t i = 0; i < r.op_count; i++) {
        struct txn_op_result *o = &r.ops[i];
        o->kind = (enum txn_op_kind)prng_between(p, TXN_GET, TXN_ADD);
        o->found = (o->kind == TXN_GET || o->kind == TXN_DELETE) && prng_chance(p, 1, 2);
        o->version = o->kind == TXN_GET && o->found ? prng_next(p) >> prng_below(p, 64) : r.ts;
        o->value = o->kind == TXN_ADD || (o->kind == TXN_GET && o->found)
                       ? model_key((unsigned)prng_below(p, MODEL_KEYS))
                       : SLICE_EMPTY;
    }
    return r;
}

static void check_same_result(const struct txn_result *a, const struct txn_result *b)
{
    ck_assert_int_eq(a->status, b->status);
    ck_assert_int_eq(a->replayed, b->replayed);
    ck_assert_int_eq(a->succeeded, b->succeeded);
    ck_assert_uint_eq(a->ts, b->ts);
    ck_assert_uint_eq(a->failed_index, b->failed_index);
    ck_assert_uint_eq(a->op_count, b->op_count);
    for (size_t i = 0; i < a->op_count; i++) {
        ck_assert_int_eq(a->ops[i].kind, b->ops[i].kind);
        ck_assert_int_eq(a->ops[i].found, b->ops[i].found);
        ck_assert_uint_eq(a->ops[i].version, b->ops[i].version);
        ck_assert(slice_eq(a->ops[i].value, b->ops[i].value));
    }
}

START_TEST(results_round_trip)
{
    struct prng p;
    prng_init(&p, SEED + 2);
    for (int i = 0; i < 3000; i++) {
        arena_reset(&arena);
        buf_clear(&bytes);
        struct txn_result r = random_result(&p), q;
        txn_result_encode(&r, &bytes);
        ck_assert_int_eq(txn_result_decode(buf_slice(&bytes), &arena, &q), STATUS_OK);
        check_same_result(&r, &q);
        buf_append_byte(&bytes, 0);
        ck_assert_int_eq(txn_result_decode(buf_slice(&bytes), &arena, &q), STATUS_INVALID);
        bytes.size--;
        for (size_t cut = 0; cut < bytes.size; cut++) {
            uint8_t *exact = mem_dup(bytes.data, cut);
            ck_assert_int_eq(txn_result_decode(slice_make(exact, cut), &arena, &q), STATUS_INVALID);
            mem_free(exact);
        }
        for (int flip = 0; flip < 30; flip++) {
            size_t at = (size_t)prng_below(&p, bytes.size);
            uint8_t was = bytes.data[at];
            bytes.data[at] = (uint8_t)prng_next(&p);
            if (txn_result_decode(buf_slice(&bytes), &arena, &q) == STATUS_OK) {
                buf_clear(&again);
                txn_result_encode(&q, &again);
                struct txn_result z;
                ck_assert_int_eq(txn_result_decode(buf_slice(&again), &arena, &z), STATUS_OK);
                check_same_result(&q, &z);
            }
            bytes.data[at] = was;
        }
    }
}
END_TEST

START_TEST(commands_round_trip)
{
    struct txn_command c = {.ts = 1, .conf_ver = UINT64_MAX, .version = 3, .txn = slice_str("transaction")}, d;
    txn_command_encode(&c, &bytes);
    ck_assert_uint_eq(bytes.size, TXN_COMMAND_HEADER_BYTES + 11);
    ck_assert_int_eq(txn_command_decode(buf_slice(&bytes), &d), STATUS_OK);
    ck_assert(d.ts == 1 && d.conf_ver == UINT64_MAX && d.version == 3 && slice_eq(d.txn, c.txn));
    for (size_t cut = 0; cut < TXN_COMMAND_HEADER_BYTES; cut++) {
        uint8_t *exact = mem_dup(bytes.data, cut);
        ck_assert_int_eq(txn_command_decode(slice_make(exact, cut), &d), STATUS_INVALID);
        mem_free(exact);
    }
    bytes.data[0] = TXN_COMMAND_PREPARES + 1;
    ck_assert_int_eq(txn_command_decode(buf_slice(&bytes), &d), STATUS_UNSUPPORTED);
}
END_TEST

/* --- the document --- */

START_TEST(documents_transaction)
{
    ck_assert(example_load(TXN_MD, "txn", &bytes));
    struct txn t;
    ck_assert_int_eq(txn_decode(buf_slice(&bytes), &arena, &t, NULL), STATUS_OK);
    for (size_t i = 0; i < TXN_ID_BYTES; i++) ck_assert_uint_eq(t.id.bytes[i], i + 1);
    ck_assert_uint_eq(t.keyspace, 7);
    ck_assert_uint_eq(t.compare_count, 1);
    ck_assert(t.compares[0].target == TXN_TARGET_EXISTS && t.compares[0].version == 1);
    ck_assert(slice_eq(t.compares[0].key, slice_str("k")));
    ck_assert_uint_eq(t.op_count, 3);
    ck_assert(t.ops[0].kind == TXN_ADD && t.ops[0].delta == -250 && t.ops[0].min == 0 && t.ops[0].max == I128_MAX);
    ck_assert(slice_eq(t.ops[0].key, slice_str("acct")));
    ck_assert(t.ops[1].kind == TXN_PUT && slice_eq(t.ops[1].value, slice_str("hi")));
    ck_assert(t.ops[2].kind == TXN_GET && slice_eq(t.ops[2].key, slice_str("x")));
    ck_assert_uint_eq(t.else_count, 0);
    txn_encode(&t, &again);
    ck_assert(slice_eq(buf_slice(&bytes), buf_slice(&again)));
}
END_TEST

START_TEST(documents_result_is_what_evaluation_gives)
{
    static struct rows rows;
    rows_init(&rows);
    struct buf key;
    buf_init(&key, 4096);
    key_encode_data(&key, 7, slice_str("k"));
    rows_set(&rows, buf_slice(&key), slice_str("\x01v"), 5);
    buf_clear(&key);
    key_encode_data(&key, 7, slice_str("acct"));
    uint8_t counter[17] = {ROW_COUNTER, 0xe8, 0x03};
    rows_set(&rows, buf_slice(&key), slice_make(counter, sizeof(counter)), 5);
    ck_assert(example_load(TXN_MD, "txn", &bytes));
    struct txn_view view = rows_view(&rows);
    struct txn_writes writes;
    ck_assert_int_eq(txn_evaluate(buf_slice(&bytes), 0x0102030405, &view, &arena, &writes, &again), STATUS_OK);
    buf_clear(&bytes);
    ck_assert(example_load(TXN_MD, "result", &bytes));
    ck_assert(slice_eq(buf_slice(&bytes), buf_slice(&again)));
    struct txn_result r;
    ck_assert_int_eq(txn_result_decode(buf_slice(&bytes), &arena, &r), STATUS_OK);
    ck_assert(r.status == STATUS_OK && r.succeeded && !r.replayed && r.ts == 0x0102030405 && r.op_count == 3);
    ck_assert(slice_eq(r.ops[0].value, slice_str("750")));
    ck_assert(r.ops[2].found && r.ops[2].version == r.ts && slice_eq(r.ops[2].value, slice_str("hi")));
    buf_free(&key);
    rows_free(&rows);
}
END_TEST

START_TEST(documents_command)
{
    ck_assert(example_load(TXN_MD, "command", &bytes));
    struct txn_command c;
    ck_assert_int_eq(txn_command_decode(buf_slice(&bytes), &c), STATUS_OK);
    ck_assert(c.ts == 0x0102030405 && c.conf_ver == 2 && c.version == 3 && c.txn.size == 0);
}
END_TEST

int main(void)
{
    printf("seed %u\n", SEED);
    Suite *s = suite_create("txn_codec");
    TCase *tc = tcase_create("codec");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, transactions_round_trip);
    tcase_add_test(tc, truncated_and_flipped_transactions);
    tcase_add_test(tc, limits_of_keys_and_values);
    tcase_add_test(tc, limit_of_operations);
    tcase_add_test(tc, limit_of_the_whole);
    tcase_add_test(tc, claimed_counts_are_not_believed);
    tcase_add_test(tc, results_round_trip);
    tcase_add_test(tc, commands_round_trip);
    tcase_add_test(tc, documents_transaction);
    tcase_add_test(tc, documents_result_is_what_evaluation_gives);
    tcase_add_test(tc, documents_command);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
