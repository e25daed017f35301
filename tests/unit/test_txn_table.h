/* A participant of transactions: a table over rows, which takes entry by entry. For the tests that include it. */
#ifndef QUORATE_TESTS_TXN_TABLE_H
#define QUORATE_TESTS_TXN_TABLE_H

#include "lib/suite.h"
#include "lib/txn_model.h"
#include "txn/table_int.h"

#define KEYSPACE 1u

static struct arena arena;
static struct rows rows;
static struct txn_table *table;
static struct buf body, answer; /* of the next entry, of the last one */
static uint64_t now, entry_index;

static void setup(void)
{
    arena_init(&arena, 4096);
    buf_init(&body, LIMIT_FRAME_BYTES);
    buf_init(&answer, LIMIT_FRAME_BYTES);
    rows_init(&rows);
    table = txn_table_new();
    now = 1000;
    entry_index = 0;
}

static void teardown(void)
{
    txn_table_free(table);
    rows_free(&rows);
    buf_free(&body);
    buf_free(&answer);
    arena_free(&arena);
}

/* The body, as the entry at entry_index. What it writes is not done yet. */
static enum status try_apply(enum txn_command_kind kind, uint64_t ts, struct txn_writes *writes)
{
    struct txn_command c = {.kind = kind, .ts = ts, .txn = buf_slice(&body)};
    struct txn_entry e = {.command = &c, .index = entry_index, .keyspace = KEYSPACE, .range_start = SLICE_EMPTY};
    struct txn_view view = rows_view(&rows);
    buf_clear(&answer);
    return txn_table_apply(table, &e, &view, &arena, writes, &answer);
}

#endif
