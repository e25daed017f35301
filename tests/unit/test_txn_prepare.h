/* Prepares of a few keys, and entries that are stopped at each of their reads. For the tests that include it. */
#ifndef QUORATE_TESTS_TXN_PREPARE_H
#define QUORATE_TESTS_TXN_PREPARE_H

#include "test_txn_table.h"

/* The body, as an entry, stopped at each of its reads before it goes through. */
static void apply_entry(enum txn_command_kind kind, uint64_t ts)
{
    struct txn_writes writes;
    enum status s = STATUS_MISS;
    entry_index++;
    for (uint64_t miss = 1; s == STATUS_MISS; miss++) {
        rows.gets = 0;
        rows.miss_at = miss;
        size_t held = txn_table_count(table);
        s = try_apply(kind, ts, &writes);
        if (s == STATUS_MISS) ck_assert(answer.size == 0 && txn_table_count(table) == held);
    }
    ck_assert_int_eq(s, STATUS_OK);
    rows_apply(&rows, &writes, ts);
    txn_table_check(table);
}

static struct txn_id id_of(unsigned n)
{
    return (struct txn_id){{(uint8_t)n, (uint8_t)(n >> 8), 1}};
}

static struct txn_op op_of(enum txn_op_kind kind, const char *key, const char *value)
{
    return (struct txn_op){
        .kind = kind, .key = slice_str(key), .value = slice_str(value), .min = I128_MIN, .max = I128_MAX};
}

static uint32_t numbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};
static struct txn_span whole = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"z", 1}};

static struct txn_prepare prepare_of(unsigned id, uint64_t born, struct txn *t)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    t->keyspace = KEYSPACE;
    txn_encode(t, &b);
    struct txn_prepare p = {.id = id_of(id), .born = born, .keyspace = KEYSPACE, .spans = &whole, .span_count = 1};
    p.has_else = t->else_count > 0;
    p.places = (struct txn_places){.compares = numbers,
                                   .compare_count = t->compare_count,
                                   .ops = numbers,
                                   .op_count = t->op_count,
                                   .elses = numbers,
                                   .else_count = t->else_count};
    p.part = arena_dup_slice(&arena, buf_slice(&b));
    buf_free(&b);
    return p;
}

#endif
