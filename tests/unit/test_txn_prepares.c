/* Several Prepares in one entry: what they do is what they would do one by one (src/txn/prepares.c). */
#include "test_txn_prepare.h"

enum { IDS_PER_ENTRY = 8 };

struct world {
    struct rows rows;
    struct txn_table *table;
    uint64_t entry_index;
};
static struct world other;

static void swap_worlds(void)
{
    struct world was = {.rows = rows, .table = table, .entry_index = entry_index};
    rows = other.rows;
    table = other.table;
    entry_index = other.entry_index;
    other = was;
}

static void setup_worlds(void)
{
    setup();
    other = (struct world){.table = txn_table_new()};
    rows_init(&other.rows);
}

static void teardown_worlds(void)
{
    txn_table_free(other.table);
    rows_free(&other.rows);
    teardown();
}

static struct slice encoded(const struct txn_prepare *p)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    txn_prepare_encode(p, &b);
    struct slice bytes = arena_dup_slice(&arena, buf_slice(&b));
    buf_free(&b);
    return bytes;
}

static void random_ops(struct prng *p, struct txn_op *ops, size_t count)
{
    static const char *keys[] = {"a", "b", "c", "d", "e", "f"};
    size_t first = prng_between(p, 0, 5);
    for (size_t i = 0; i < count; i++) {
        const char *key = keys[(first + i) % 6];
        switch (prng_between(p, 0, 7)) {
        case 0: ops[i] = op_of(TXN_PUT, key, "raw"); break;
        case 1: ops[i] = op_of(TXN_DELETE, key, ""); break;
        case 2: ops[i] = op_of(TXN_INSERT, key, "new"); break;
        default:
            ops[i] = op_of(TXN_ADD, key, "");
            ops[i].delta = (int)prng_between(p, 0, 20) - 10;
            ops[i].min = 0;
        }
    }
}

/* Of few clients' ids, so that attempts of one request meet in an entry. */
static struct slice random_prepare(struct prng *p, unsigned id)
{
    struct txn_op ops[3], elses[2];
    struct txn_compare exists = {.target = TXN_TARGET_EXISTS,
                                 .relation = TXN_EQUAL,
                                 .key = slice_str("d"),
                                 .version = prng_between(p, 0, 1),
                                 .value = SLICE_EMPTY};
    struct txn t = {.ops = ops, .op_count = prng_between(p, 1, 3)};
    random_ops(p, ops, t.op_count);
    if (prng_between(p, 0, 3) == 0) {
        t.compares = &exists;
        t.compare_count = 1;
        t.else_ops = elses;
        t.else_count = prng_between(p, 0, 2);
        random_ops(p, elses, t.else_count);
    }
    struct txn_prepare one = prepare_of(id, now - prng_between(p, 1, 5), &t);
    if (prng_between(p, 0, 2) == 0) {
        one.keeps_answer = true;
        one.client = (struct txn_id){{(uint8_t)prng_between(p, 1, 3), 9}};
        one.anchor = slice_str("a");
        one.hash.first = prng_between(p, 1, 2);
    }
    return encoded(&one);
}

/* A holder is named with less around it. */
static void compare_answers(struct slice alone, struct slice shared)
{
    struct txn_blocked a, b;
    ck_assert(txn_is_blocked(alone) == txn_is_blocked(shared));
    if (!txn_is_blocked(alone)) {
        ck_assert(slice_eq(alone, shared));
        return;
    }
    ck_assert_int_eq(txn_blocked_decode(alone, &arena, &a), STATUS_OK);
    ck_assert_int_eq(txn_blocked_decode(shared, &arena, &b), STATUS_OK);
    ck_assert(memcmp(&a.holder, &b.holder, sizeof a.holder) == 0 && a.born == b.born);
}

static bool is_held(struct slice key)
{
    return key.size > TXN_ID_BYTES && key.data[key.size - TXN_ID_BYTES - 1] == ROW_HELD;
}

static void compare_worlds(void)
{
    ck_assert_uint_eq(rows.count, other.rows.count);
    for (size_t i = 0; i < rows.count; i++) {
        const struct stored_row *a = &rows.items[i], *b = NULL;
        for (size_t k = 0; k < other.rows.count; k++) {
            if (slice_eq(other.rows.items[k].key, a->key)) b = &other.rows.items[k];
        }
        ck_assert(b != NULL && slice_eq(a->value, b->value));
        ck_assert(is_held(a->key) || a->version == b->version);
    }
    ck_assert_uint_eq(txn_table_count(table), txn_table_count(other.table));
    ck_assert_uint_eq(txn_table_undecided_min(table), txn_table_undecided_min(other.table));
}

/* The same Prepares, one by one in this world and together in the other. */
static void prepare_some(struct prng *p, unsigned first, unsigned count)
{
    struct slice answers[IDS_PER_ENTRY], one;
    struct buf all;
    buf_init(&all, 1u << 20);
    for (unsigned i = 0; i < count; i++) {
        one = random_prepare(p, first + i - (i > 0 && prng_between(p, 0, 9) == 0)); /* now and then one comes twice */
        buf_clear(&body);
        buf_append_slice(&body, one);
        apply_entry(TXN_COMMAND_PREPARE, ++now);
        answers[i] = arena_dup_slice(&arena, buf_slice(&answer));
        txn_prepares_append(now, one, &all);
    }
    swap_worlds();
    buf_clear(&body);
    buf_append_slice(&body, buf_slice(&all));
    apply_entry(TXN_COMMAND_PREPARES, now);
    struct cursor c = cursor_make(buf_slice(&answer));
    for (unsigned i = 0; i < count; i++) {
        ck_assert(txn_answers_next(&c, &one));
        compare_answers(answers[i], one);
    }
    ck_assert_uint_eq(cursor_left(&c), 0);
    swap_worlds();
    buf_free(&all);
}

static void decide_in_both(unsigned id, bool commit)
{
    struct txn_id held_id = id_of(id);
    const struct held *h = table_find(table, &held_id);
    if (h == NULL || h->state != HELD_PREPARED) return;
    struct held_row row;
    struct txn_vote v;
    struct txn_outcome outcome;
    ck_assert_int_eq(held_row_decode(slice_make(h->row, h->row_size), &arena, &row), STATUS_OK);
    ck_assert_int_eq(txn_vote_decode(row.vote, &arena, &v), STATUS_OK);
    buf_clear(&body);
    txn_votes_combine(&v, 1, &arena, &outcome, &body);
    struct txn_decide d = {.id = held_id, .ts = h->ts, .use_else = outcome.use_else, .answer = SLICE_EMPTY};
    d.commit = commit && outcome.commit;
    buf_clear(&body);
    txn_decide_encode(&d, &body);
    apply_entry(TXN_COMMAND_DECIDE, 0);
    swap_worlds();
    apply_entry(TXN_COMMAND_DECIDE, 0);
    swap_worlds();
}

START_TEST(together_they_are_what_they_are_one_by_one)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct prng p;
        prng_init(&p, seed);
        teardown_worlds();
        setup_worlds();
        unsigned ids = 1;
        for (unsigned round = 0; round < 8; round++) {
            unsigned count = (unsigned)prng_between(&p, 1, IDS_PER_ENTRY);
            prepare_some(&p, ids, count);
            ids += count;
            compare_worlds();
            for (unsigned n = 0; n < 6; n++)
                decide_in_both((unsigned)prng_between(&p, 1, ids), prng_between(&p, 0, 3) > 0);
            compare_worlds();
        }
    }
}
END_TEST

START_TEST(one_that_cannot_be_read)
{
    struct txn_op a = op_of(TXN_PUT, "a", "1"), b = op_of(TXN_PUT, "b", "1");
    struct txn ta = {.ops = &a, .op_count = 1}, tb = {.ops = &b, .op_count = 1};
    struct txn_prepare pa = prepare_of(1, now - 1, &ta), pb = prepare_of(2, now - 1, &tb);
    enum txn_vote_kind want[] = {VOTE_YES, VOTE_NO, VOTE_YES};
    struct slice one;
    struct txn_vote v;
    txn_prepares_append(++now, encoded(&pa), &body);
    txn_prepares_append(++now, slice_str("\1\1"), &body);
    txn_prepares_append(++now, encoded(&pb), &body);
    apply_entry(TXN_COMMAND_PREPARES, now);
    struct cursor c = cursor_make(buf_slice(&answer));
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(txn_answers_next(&c, &one));
        ck_assert_int_eq(txn_vote_decode(one, &arena, &v), STATUS_OK);
        ck_assert_int_eq(v.kind, want[i]);
    }
    ck_assert_uint_eq(txn_table_count(table), 2);
    buf_clear(&body);
    buf_append(&body, "\1", 1);
    apply_entry(TXN_COMMAND_PREPARES, ++now);
    ck_assert_uint_eq(txn_table_count(table), 2);
}
END_TEST

/* By the last one's timestamp a tombstone of the entry itself would go. */
START_TEST(tombstones_go_by_the_first_timestamp)
{
    struct txn_op refused = op_of(TXN_ADD, "a", ""), b = op_of(TXN_PUT, "b", "1"), c = op_of(TXN_PUT, "c", "1");
    refused.delta = -1;
    refused.min = 0;
    struct txn t1 = {.ops = &b, .op_count = 1}, t2 = {.ops = &refused, .op_count = 1}, t3 = {.ops = &c, .op_count = 1};
    struct txn_seal old = {.id = id_of(9), .born = now};
    txn_seal_encode(&old, &body);
    apply_entry(TXN_COMMAND_SEAL, ++now);
    now += TXN_HORIZON;
    struct txn_prepare p1 = prepare_of(1, now - 1, &t1), p2 = prepare_of(2, now + 10 - TXN_HORIZON, &t2),
                       p3 = prepare_of(3, now - 1, &t3);
    buf_clear(&body);
    txn_prepares_append(now, encoded(&p1), &body);
    txn_prepares_append(now + 10, encoded(&p2), &body);
    txn_prepares_append(now + 20, encoded(&p3), &body);
    apply_entry(TXN_COMMAND_PREPARES, now + 20);
    ck_assert_uint_eq(txn_table_count(table), 3);
    ck_assert(table_find(table, &old.id) == NULL && table_find(table, &p2.id) != NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("txn_prepares");
    TCase *tc = tcase_create("prepares");
    tcase_add_checked_fixture(tc, setup_worlds, teardown_worlds);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, together_they_are_what_they_are_one_by_one);
    tcase_add_test(tc, one_that_cannot_be_read);
    tcase_add_test(tc, tombstones_go_by_the_first_timestamp);
    return run_suite(s);
}
