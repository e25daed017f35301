/* Revised rows: what the etcd surface keeps about its keys, and the comparisons that look at it; spans. docs/formats/keys.md, txn.md. */
#include "lib/suite.h"
#include "lib/txn_model.h"

#define KEYSPACE 1u

static struct arena arena;
static struct buf encoded, bytes;
static struct rows rows;
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

static const struct txn_result *run(struct txn t)
{
    struct txn_view view = rows_view(&rows);
    struct txn_writes writes;
    t.keyspace = KEYSPACE;
    buf_clear(&encoded);
    buf_clear(&bytes);
    txn_encode(&t, &encoded);
    now++;
    ck_assert_int_eq(txn_evaluate(buf_slice(&encoded), now, &view, &arena, &writes, &bytes), STATUS_OK);
    rows_apply(&rows, &writes, now);
    ck_assert_int_eq(txn_result_decode(buf_slice(&bytes), &arena, &result), STATUS_OK);
    return &result;
}

static const struct txn_result *revise(const char *key, const char *value, uint64_t lease)
{
    struct txn_op op = {.kind = TXN_REVISE, .key = slice_str(key), .value = slice_str(value), .lease = lease};
    return run((struct txn){.ops = &op, .op_count = 1});
}

static struct revised read_key(const char *key)
{
    struct txn_op op = {.kind = TXN_GET, .key = slice_str(key), .value = SLICE_EMPTY};
    const struct txn_result *r = run((struct txn){.ops = &op, .op_count = 1});
    ck_assert(r->ops[0].found);
    return revised_read(r->ops[0].value, r->ops[0].version);
}

START_TEST(a_key_counts_until_it_is_deleted)
{
    ck_assert(!revise("a", "1", 7)->ops[0].found); /* 101 */
    ck_assert(revise("a", "2", 0)->ops[0].found);  /* 102 */
    struct revised r = read_key("a");
    ck_assert_uint_eq(r.created, 101);
    ck_assert_uint_eq(r.count, 2);
    ck_assert_uint_eq(r.lease, 0);
    ck_assert(slice_eq(r.value, slice_str("2")));
    struct txn_op del = {.kind = TXN_DELETE, .key = slice_str("a"), .value = SLICE_EMPTY};
    (void)run((struct txn){.ops = &del, .op_count = 1});
    (void)revise("a", "3", 9);
    r = read_key("a");
    ck_assert_uint_eq(r.created, now - 1);
    ck_assert_uint_eq(r.count, 1);
    ck_assert_uint_eq(r.lease, 9);
}
END_TEST

START_TEST(what_is_kept_must_be_there)
{
    struct txn_op op = {
        .kind = TXN_REVISE, .key = slice_str("a"), .value = SLICE_EMPTY, .keeps_value = true, .lease = 5};
    const struct txn_result *r = run((struct txn){.ops = &op, .op_count = 1});
    ck_assert_int_eq(r->status, STATUS_NOT_FOUND);
    ck_assert_uint_eq(r->failed_index, 0);
    (void)revise("a", "old", 7);
    (void)run((struct txn){.ops = &op, .op_count = 1});
    ck_assert(slice_eq(read_key("a").value, slice_str("old")));
    ck_assert_uint_eq(read_key("a").lease, 5);
    op = (struct txn_op){.kind = TXN_REVISE, .key = slice_str("a"), .value = slice_str("new"), .keeps_lease = true};
    (void)run((struct txn){.ops = &op, .op_count = 1});
    ck_assert(slice_eq(read_key("a").value, slice_str("new")));
    ck_assert_uint_eq(read_key("a").lease, 5);
    ck_assert_uint_eq(read_key("a").count, 3);
}
END_TEST

static bool holds(struct txn_compare c)
{
    struct txn_op get = {.kind = TXN_GET, .key = slice_str("other"), .value = SLICE_EMPTY};
    if (c.relation == 0) c.relation = TXN_EQUAL;
    if (c.value.data == NULL) c.value = SLICE_EMPTY;
    return run((struct txn){.compares = &c, .compare_count = 1, .ops = &get, .op_count = 1})->succeeded;
}

START_TEST(comparisons_look_at_it)
{
    struct slice a = slice_str("a"), none = slice_str("none");
    (void)revise("a", "x", 7);
    uint64_t created = now;
    (void)revise("a", "y", 8);
    ck_assert(holds((struct txn_compare){.target = TXN_TARGET_COUNT, .key = a, .version = 2}));
    ck_assert(holds((struct txn_compare){.target = TXN_TARGET_CREATED, .key = a, .version = created}));
    ck_assert(holds((struct txn_compare){.target = TXN_TARGET_LEASE, .key = a, .version = 8}));
    ck_assert(holds((struct txn_compare){.target = TXN_TARGET_PAYLOAD, .key = a, .value = slice_str("y")}));
    ck_assert(holds((struct txn_compare){
        .target = TXN_TARGET_PAYLOAD, .relation = TXN_GREATER, .key = a, .value = slice_str("x")}));
    ck_assert(!holds((struct txn_compare){.target = TXN_TARGET_COUNT, .key = a, .version = 1}));
    ck_assert(holds((struct txn_compare){.target = TXN_TARGET_COUNT, .key = none, .version = 0}));
    ck_assert(holds((struct txn_compare){.target = TXN_TARGET_CREATED, .key = none, .version = 0}));
    ck_assert(!holds((struct txn_compare){
        .target = TXN_TARGET_PAYLOAD, .relation = TXN_NOT_EQUAL, .key = none, .value = slice_str("y")}));
}
END_TEST

START_TEST(a_span_holds_while_nothing_new_is_in_it)
{
    struct txn_compare span = {.target = TXN_TARGET_SPAN, .key = slice_str("b"), .value = slice_str("d")};
    ck_assert(holds(span));
    (void)revise("c", "1", 0);
    ck_assert(!holds(span));
    span.version = now;
    ck_assert(holds(span));
    (void)revise("d", "behind its end", 0);
    (void)revise("a", "before it", 0);
    ck_assert(holds(span));
    (void)revise("b", "1", 0);
    ck_assert(!holds(span));
    span.value = slice_str("b"); /* no span: the bytes are refused */
    struct txn_op get = {.kind = TXN_GET, .key = slice_str("x"), .value = SLICE_EMPTY};
    span.relation = TXN_EQUAL;
    (void)run((struct txn){.compares = &span, .compare_count = 1, .ops = &get, .op_count = 1});
    ck_assert_int_eq(result.status, STATUS_INVALID);
}
END_TEST

/* A row that something else has put is read as one that was just created. */
START_TEST(other_rows_are_taken_for_what_they_would_be)
{
    struct txn_op put = {.kind = TXN_PUT, .key = slice_str("a"), .value = slice_str("plain")};
    (void)run((struct txn){.ops = &put, .op_count = 1});
    uint64_t version = now;
    struct revised r = read_key("a");
    ck_assert_uint_eq(r.created, version);
    ck_assert_uint_eq(r.count, 1);
    ck_assert(slice_eq(r.value, slice_str("plain")));
    (void)revise("a", "new", 0);
    ck_assert_uint_eq(read_key("a").created, version);
    ck_assert_uint_eq(read_key("a").count, 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("txn_revise");
    TCase *t = tcase_create("revise");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_key_counts_until_it_is_deleted);
    tcase_add_test(t, what_is_kept_must_be_there);
    tcase_add_test(t, comparisons_look_at_it);
    tcase_add_test(t, a_span_holds_while_nothing_new_is_in_it);
    tcase_add_test(t, other_rows_are_taken_for_what_they_would_be);
    suite_add_tcase(s, t);
    return run_suite(s);
}
