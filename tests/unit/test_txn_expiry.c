/* Rows that end by themselves: what evaluation makes of them, what a vote says of them, and how their bytes travel. */
#include "lib/suite.h"
#include "lib/txn_model.h"
#include "txn/prepare.h"

#define KEYSPACE 1u
#define MS_TS ((uint64_t)1 << TS_COUNTER_BITS)

static struct arena arena;
static struct buf encoded, bytes;
static struct rows rows;
static struct txn_result result;

static void setup(void)
{
    arena_init(&arena, 4096);
    buf_init(&encoded, LIMIT_TXN_BYTES);
    buf_init(&bytes, TXN_RESULT_BYTES_MAX);
    rows_init(&rows);
}

static void teardown(void)
{
    arena_free(&arena);
    buf_free(&encoded);
    buf_free(&bytes);
    rows_free(&rows);
}

static struct txn_op op_of(enum txn_op_kind kind, const char *key, const char *value)
{
    return (struct txn_op){
        .kind = kind, .key = slice_str(key), .value = slice_str(value), .delta = 1, .min = I128_MIN, .max = I128_MAX};
}

static struct txn_op lasting(enum txn_op_kind kind, const char *key, const char *value, uint64_t ttl_ms)
{
    struct txn_op op = op_of(kind, key, value);
    op.has_ttl = true;
    op.ttl_ms = ttl_ms;
    return op;
}

static enum status run(struct txn t, uint64_t ts)
{
    struct txn_view view = rows_view(&rows);
    struct txn_writes writes;
    t.keyspace = KEYSPACE;
    buf_clear(&encoded);
    buf_clear(&bytes);
    txn_encode(&t, &encoded);
    ck_assert_int_eq(txn_evaluate(buf_slice(&encoded), ts, &view, &arena, &writes, &bytes), STATUS_OK);
    rows_apply(&rows, &writes, ts);
    ck_assert_int_eq(txn_result_decode(buf_slice(&bytes), &arena, &result), STATUS_OK);
    return result.status;
}

static enum status one(struct txn_op op, uint64_t ts)
{
    return run((struct txn){.ops = &op, .op_count = 1}, ts);
}

static bool is_there(const char *key, uint64_t ts)
{
    ck_assert_int_eq(one(op_of(TXN_GET, key, ""), ts), STATUS_OK);
    return result.ops[0].found;
}

START_TEST(a_row_ends_at_its_version_and_its_time_to_live)
{
    uint64_t born = 1000 * MS_TS + 17, end = born + 5 * MS_TS;
    ck_assert_int_eq(one(lasting(TXN_PUT, "a", "v", 5), born), STATUS_OK);
    ck_assert(is_there("a", born));
    ck_assert(is_there("a", end - 1));
    ck_assert(slice_eq(result.ops[0].value, slice_str("v")));
    ck_assert_uint_eq(result.ops[0].version, born);
    ck_assert(!is_there("a", end));
    ck_assert(!is_there("a", end + 1000 * MS_TS));
}
END_TEST

START_TEST(an_ended_row_is_absent_for_every_operation)
{
    uint64_t end = 10 * MS_TS;
    struct txn_compare exists = {
        .target = TXN_TARGET_EXISTS, .relation = TXN_EQUAL, .key = slice_str("a"), .version = 1};
    struct txn_compare version = {.target = TXN_TARGET_VERSION, .relation = TXN_EQUAL, .key = slice_str("a")};
    struct txn_op get = op_of(TXN_GET, "a", "");
    ck_assert_int_eq(one(lasting(TXN_PUT, "a", "v", 9), MS_TS), STATUS_OK);
    ck_assert_int_eq(run((struct txn){.compares = &exists, .compare_count = 1, .ops = &get, .op_count = 1}, end - 1),
                     STATUS_OK);
    ck_assert_int_eq(one(op_of(TXN_INSERT, "a", "w"), end - 1), STATUS_EXISTS);
    ck_assert_int_eq(one(op_of(TXN_ADD, "a", ""), end - 1), STATUS_INVALID); /* not a counter */
    ck_assert_int_eq(run((struct txn){.compares = &exists, .compare_count = 1, .ops = &get, .op_count = 1}, end),
                     STATUS_CONDITION_FAILED);
    ck_assert_int_eq(run((struct txn){.compares = &version, .compare_count = 1, .ops = &get, .op_count = 1}, end),
                     STATUS_OK);
    ck_assert_int_eq(one(op_of(TXN_DELETE, "a", ""), end), STATUS_OK);
    ck_assert(!result.ops[0].found);
    ck_assert_int_eq(one(op_of(TXN_ADD, "a", ""), end), STATUS_OK); /* from nothing */
    ck_assert(slice_eq(result.ops[0].value, slice_str("1")));
    ck_assert_int_eq(one(lasting(TXN_PUT, "b", "v", 9), MS_TS), STATUS_OK);
    ck_assert_int_eq(one(op_of(TXN_INSERT, "b", "w"), end), STATUS_OK);
    ck_assert(is_there("b", 1000 * end)); /* that one stays */
}
END_TEST

START_TEST(the_keyspaces_time_to_live_is_for_rows_without_one)
{
    struct txn_op ops[] = {op_of(TXN_PUT, "plain", "v"), lasting(TXN_PUT, "longer", "v", 20),
                           lasting(TXN_PUT, "stays", "v", 0), op_of(TXN_INSERT, "inserted", "v"),
                           op_of(TXN_ADD, "counter", "")};
    ck_assert_int_eq(run((struct txn){.ops = ops, .op_count = 5, .ttl_ms = 10}, MS_TS), STATUS_OK);
    ck_assert(is_there("plain", 11 * MS_TS - 1) && !is_there("plain", 11 * MS_TS));
    ck_assert(is_there("inserted", 11 * MS_TS - 1) && !is_there("inserted", 11 * MS_TS));
    ck_assert(is_there("longer", 21 * MS_TS - 1) && !is_there("longer", 21 * MS_TS));
    ck_assert(is_there("stays", 1000 * MS_TS));
    ck_assert(is_there("counter", 1000 * MS_TS)); /* counters do not end */
}
END_TEST

START_TEST(an_id_does_not_stand_for_the_keyspaces_time_to_live)
{
    struct txn_op op = op_of(TXN_PUT, "a", "v");
    struct txn t = {.id = {{7}}, .ops = &op, .op_count = 1, .ttl_ms = 10};
    ck_assert_int_eq(run(t, MS_TS), STATUS_OK);
    t.ttl_ms = 99; /* it was altered between two attempts */
    ck_assert_int_eq(run(t, 2 * MS_TS), STATUS_OK);
    ck_assert(result.replayed && result.ts == MS_TS);
    t.ttl_ms = 0;
    ck_assert_int_eq(run(t, 3 * MS_TS), STATUS_OK);
    ck_assert(result.replayed);
    op = lasting(TXN_PUT, "a", "v", 10); /* the request's own is part of the request */
    ck_assert_int_eq(run(t, 4 * MS_TS), STATUS_ID_REUSED);
}
END_TEST

START_TEST(bytes_and_bounds)
{
    struct txn_op ops[] = {lasting(TXN_PUT, "a", "v", 300), lasting(TXN_INSERT, "b", "", 0)};
    struct txn t = {.keyspace = KEYSPACE, .ops = ops, .op_count = 2, .ttl_ms = 77}, out;
    txn_encode(&t, &encoded);
    ck_assert_int_eq(txn_decode(buf_slice(&encoded), &arena, &out, NULL), STATUS_OK);
    ck_assert_uint_eq(out.ttl_ms, 77);
    ck_assert(out.ops[0].kind == TXN_PUT && out.ops[0].has_ttl && out.ops[0].ttl_ms == 300);
    ck_assert(out.ops[1].kind == TXN_INSERT && out.ops[1].has_ttl && out.ops[1].ttl_ms == 0);
    for (size_t cut = 0; cut < encoded.size; cut++)
        ck_assert_int_ne(txn_decode(slice_make(encoded.data, cut), &arena, &out, NULL), STATUS_OK);
    ops[0].ttl_ms = LIMIT_TTL_MS + 1;
    buf_clear(&encoded);
    txn_encode(&t, &encoded);
    ck_assert_int_eq(txn_decode(buf_slice(&encoded), &arena, &out, NULL), STATUS_INVALID);
    ops[0].ttl_ms = LIMIT_TTL_MS;
    t.ttl_ms = LIMIT_TTL_MS + 1;
    buf_clear(&encoded);
    txn_encode(&t, &encoded);
    ck_assert_int_eq(txn_decode(buf_slice(&encoded), &arena, &out, NULL), STATUS_INVALID);
    static const uint8_t forever[] = {3, 0, 0, 0, 0, 0, 0, 0, 0, 'v'}, cut[] = {3, 1, 0, 0, 0, 0, 0, 0};
    struct row row;
    ck_assert_int_eq(row_decode(slice_make(forever, sizeof(forever)), &row), STATUS_CORRUPT);
    ck_assert_int_eq(row_decode(slice_make(cut, sizeof(cut)), &row), STATUS_CORRUPT);
}
END_TEST

START_TEST(a_stored_row_says_when_it_ends)
{
    static const uint8_t value[] = {3, 5, 0, 0, 0, 0, 0, 0, 0, 'v'}, stays[] = {1, 5, 0, 0, 0, 0, 0, 0, 0};
    struct txn_id id = {{1, [13] = 0, [14] = 1, [15] = ROW_DATA}}; /* looks like a data row's end */
    struct buf key;
    buf_init(&key, 1024);
    key_encode_data(&key, 7, slice_str("k"));
    ck_assert_uint_eq(row_stored_expires(buf_slice(&key), 100, slice_make(value, sizeof(value))), 100 + 5 * MS_TS);
    ck_assert_uint_eq(row_stored_expires(buf_slice(&key), 100, slice_make(stays, sizeof(stays))), ROW_NEVER_EXPIRES);
    ck_assert_uint_eq(row_stored_expires(buf_slice(&key), UINT64_MAX - 1, slice_make(value, sizeof(value))),
                      ROW_NEVER_EXPIRES);
    ck_assert_uint_eq(row_stored_expires(buf_slice(&key), 100, SLICE_EMPTY), ROW_NEVER_EXPIRES);
    buf_clear(&key);
    key_encode_idempotency(&key, 7, slice_str("k"), &id);
    ck_assert_uint_eq(row_stored_expires(buf_slice(&key), 100, slice_make(stays, sizeof(stays))),
                      100 + LIMIT_ID_LIFE_MS * MS_TS);
    buf_clear(&key);
    key_encode_held(&key, 7, slice_str("k"), &id);
    ck_assert_uint_eq(row_stored_expires(buf_slice(&key), 100, slice_make(stays, sizeof(stays))), ROW_NEVER_EXPIRES);
    buf_clear(&key); /* the head of keyspace 0x00010202 is what an id would have before it */
    key_encode_data(&key, 0x010202, slice_str("twelve bytes"));
    ck_assert_uint_eq(row_stored_expires(buf_slice(&key), 100, slice_make(stays, sizeof(stays))), ROW_NEVER_EXPIRES);
    buf_free(&key);
}
END_TEST

START_TEST(an_id_acts_once_for_its_time)
{
    struct txn_op add = op_of(TXN_ADD, "n", "");
    struct txn t = {.id = {{7}}, .ops = &add, .op_count = 1};
    uint64_t first = 1000 * MS_TS, end = first + LIMIT_ID_LIFE_MS * MS_TS;
    ck_assert_int_eq(run(t, first), STATUS_OK);
    ck_assert_int_eq(run(t, end - 1), STATUS_OK);
    ck_assert(result.replayed && slice_eq(result.ops[0].value, slice_str("1")));
    ck_assert_int_eq(run(t, end), STATUS_OK);
    ck_assert(!result.replayed && slice_eq(result.ops[0].value, slice_str("2")));
    ck_assert_int_eq(run(t, end + 1), STATUS_OK);
    ck_assert(result.replayed && slice_eq(result.ops[0].value, slice_str("2")));
}
END_TEST

/* --- several ranges: each was true at its own timestamp, and must be at the commit's --- */

static struct txn_vote yes(uint64_t ts, uint64_t until)
{
    struct txn_result ok = {.status = STATUS_OK, .succeeded = true, .ts = ts, .failed_index = UINT32_MAX};
    struct buf b;
    buf_init(&b, 256);
    txn_result_encode(&ok, &b);
    struct txn_vote v = {.kind = VOTE_YES, .ts = ts, .until = until, .holds = true, .else_result = SLICE_EMPTY};
    v.then_result = arena_dup_slice(&arena, buf_slice(&b));
    buf_free(&b);
    return v;
}

START_TEST(a_commit_lies_before_the_end_of_what_was_read)
{
    static const struct {
        uint64_t until;
        bool commit;
    } cases[] = {{0, true}, {30, true}, {21, true}, {20, false}, {15, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct txn_vote votes[] = {yes(10, cases[i].until), yes(20, 0)}, again;
        struct txn_outcome outcome;
        buf_clear(&bytes);
        txn_votes_combine(votes, 2, &arena, &outcome, &bytes);
        ck_assert_int_eq(outcome.commit, cases[i].commit);
        ck_assert_int_eq(txn_result_decode(buf_slice(&bytes), &arena, &result), STATUS_OK);
        ck_assert_int_eq(result.status, cases[i].commit ? STATUS_OK : STATUS_RETRY);
        ck_assert(cases[i].commit || !outcome.keep);
        buf_clear(&encoded);
        txn_vote_encode(&votes[0], &encoded);
        ck_assert_int_eq(txn_vote_decode(buf_slice(&encoded), &arena, &again), STATUS_OK);
        ck_assert_uint_eq(again.until, cases[i].until);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("txn_expiry");
    TCase *tc = tcase_create("expiry");
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, a_row_ends_at_its_version_and_its_time_to_live);
    tcase_add_test(tc, an_ended_row_is_absent_for_every_operation);
    tcase_add_test(tc, the_keyspaces_time_to_live_is_for_rows_without_one);
    tcase_add_test(tc, an_id_does_not_stand_for_the_keyspaces_time_to_live);
    tcase_add_test(tc, an_id_acts_once_for_its_time);
    tcase_add_test(tc, bytes_and_bounds);
    tcase_add_test(tc, a_stored_row_says_when_it_ends);
    tcase_add_test(tc, a_commit_lies_before_the_end_of_what_was_read);
    return run_suite(s);
}
