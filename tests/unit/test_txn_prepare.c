/* Encodings of what coordinator and participants tell each other, and the rows of held transactions: round trips, the document's
 * examples, damaged bytes. */
#include "base/mem.h"
#include "base/prng.h"
#include "lib/suite.h"
#include "lib/txn_example.h"
#include "txn/prepare.h"
#include "txn/table_int.h"

#include <stdio.h>

#define SEED 4711u
#define TXN_MD "docs/formats/txn.md"

static struct arena arena;
static struct buf bytes, again;

static void setup(void)
{
    arena_init(&arena, 4096);
    buf_init(&bytes, 1u << 20);
    buf_init(&again, 1u << 20);
}

static void teardown(void)
{
    arena_free(&arena);
    buf_free(&bytes);
    buf_free(&again);
}

static uint32_t places[] = {0, 300, 8191};
static struct txn_span spans[] = {{{(const uint8_t *)"a", 1}, {(const uint8_t *)"m", 1}},
                                  {{(const uint8_t *)"n", 1}, {(const uint8_t *)"zz", 2}}};

static struct txn_prepare a_prepare(void)
{
    return (struct txn_prepare){.id = {{1, 2, 3}},
                                .born = 0x0102030405,
                                .has_else = true,
                                .keeps_answer = true,
                                .client = {{9}},
                                .hash = {.first = 7, .second = 8},
                                .anchor = slice_str("a"),
                                .keyspace = 7,
                                .spans = spans,
                                .span_count = 2,
                                .places = {.compares = places, .compare_count = 1, .ops = places, .op_count = 3},
                                .part = slice_str("part")};
}

static bool again_the_same(void)
{
    return slice_eq(buf_slice(&bytes), buf_slice(&again));
}

START_TEST(prepare_round_trip)
{
    struct txn_prepare p = a_prepare(), q;
    txn_prepare_encode(&p, &bytes);
    ck_assert_int_eq(txn_prepare_decode(buf_slice(&bytes), &arena, &q), STATUS_OK);
    ck_assert(q.has_else && q.keeps_answer && q.born == p.born && q.span_count == 2 && q.keyspace == 7);
    ck_assert(slice_eq(q.spans[1].high, slice_str("zz")) && slice_eq(q.part, slice_str("part")));
    ck_assert(q.places.op_count == 3 && q.places.ops[1] == 300 && q.places.else_count == 0);
    txn_prepare_encode(&q, &again);
    ck_assert(again_the_same());
}
END_TEST

START_TEST(votes_round_trip)
{
    for (unsigned kind = VOTE_YES; kind <= VOTE_DONE; kind++) {
        struct txn_vote v = {.kind = (enum txn_vote_kind)kind,
                             .ts = 77,
                             .holds = kind % 2 == 0,
                             .has_else = kind % 3 == 0,
                             .keeps_answer = kind > 3,
                             .places = {.elses = places, .else_count = 2},
                             .then_result = slice_str("then"),
                             .else_result = kind % 3 == 0 ? slice_str("else") : SLICE_EMPTY};
        struct txn_vote w;
        buf_clear(&bytes);
        buf_clear(&again);
        txn_vote_encode(&v, &bytes);
        ck_assert(!txn_is_blocked(buf_slice(&bytes)));
        ck_assert_int_eq(txn_vote_decode(buf_slice(&bytes), &arena, &w), STATUS_OK);
        ck_assert(w.kind == v.kind && w.ts == 77 && slice_eq(w.then_result, v.then_result));
        txn_vote_encode(&w, &again);
        ck_assert(again_the_same());
    }
}
END_TEST

START_TEST(decide_seal_blocked_round_trip)
{
    struct txn_decide d = {.id = {{5}}, .commit = true, .use_else = true, .ts = 9, .answer = slice_str("answer")}, e;
    txn_decide_encode(&d, &bytes);
    ck_assert_int_eq(txn_decide_decode(buf_slice(&bytes), &e), STATUS_OK);
    ck_assert(e.commit && e.use_else && e.ts == 9 && slice_eq(e.answer, d.answer) && txn_id_eq(&d.id, &e.id));
    struct txn_seal s = {.id = {{6}}, .born = 3}, t;
    buf_clear(&bytes);
    txn_seal_encode(&s, &bytes);
    ck_assert_int_eq(txn_seal_decode(buf_slice(&bytes), &t), STATUS_OK);
    ck_assert(t.born == 3 && txn_id_eq(&s.id, &t.id));
    struct txn_blocked b = {.holder = {{7}}, .born = 1, .min_ts = 2, .keyspace = 3, .spans = spans, .span_count = 2}, c;
    buf_clear(&bytes);
    txn_blocked_encode(&b, &bytes);
    ck_assert(txn_is_blocked(buf_slice(&bytes)));
    ck_assert_int_eq(txn_blocked_decode(buf_slice(&bytes), &arena, &c), STATUS_OK);
    ck_assert(c.min_ts == 2 && c.keyspace == 3 && c.span_count == 2 && slice_eq(c.spans[0].low, slice_str("a")));
}
END_TEST

START_TEST(held_rows_round_trip)
{
    struct held_add adds[] = {{.key = slice_str("counter"), .delta = -5},
                              {.key = slice_str("other"), .delta = I128_MAX}};
    struct held_row rows[] = {
        {.state = HELD_PREPARED, .born = 1, .ts = 2, .vote = slice_str("vote"), .prepare = slice_str("prepare")},
        {.state = HELD_COMMITTED,
         .born = 1,
         .ts = 3,
         .vote = SLICE_EMPTY,
         .prepare = SLICE_EMPTY,
         .adds = adds,
         .add_count = 2},
        {.state = HELD_ABORTED, .born = 4, .vote = slice_str("no"), .prepare = SLICE_EMPTY}};
    for (size_t i = 0; i < 3; i++) {
        struct slice row = held_row_make(&arena, &rows[i]);
        struct held_row r;
        ck_assert_int_eq(held_row_decode(row, &arena, &r), STATUS_OK);
        ck_assert(r.state == rows[i].state && r.born == rows[i].born && r.ts == rows[i].ts);
        ck_assert(slice_eq(r.vote, rows[i].vote) && slice_eq(r.prepare, rows[i].prepare));
        ck_assert_uint_eq(r.add_count, rows[i].add_count);
        if (r.add_count == 2) ck_assert(r.adds[0].delta == -5 && slice_eq(r.adds[1].key, slice_str("other")));
        for (size_t cut = 0; cut < row.size && i == 1; cut++) {
            ck_assert_int_eq(held_row_decode(slice_make(row.data, cut), &arena, &r), STATUS_CORRUPT);
        }
    }
}
END_TEST

/* Whatever the bytes: an answer, no crash; and what decodes encodes to the same bytes. */
START_TEST(damaged_bytes)
{
    struct prng p;
    prng_init(&p, SEED);
    struct txn_prepare a = a_prepare(), q;
    struct txn_vote v = {.kind = VOTE_YES,
                         .places = a.places,
                         .then_result = slice_str("t"),
                         .else_result = SLICE_EMPTY},
                    w;
    for (unsigned round = 0; round < 4000; round++) {
        bool prepare = prng_chance(&p, 1, 2);
        arena_reset(&arena);
        buf_clear(&bytes);
        buf_clear(&again);
        if (prepare) {
            txn_prepare_encode(&a, &bytes);
        } else {
            txn_vote_encode(&v, &bytes);
        }
        bytes.data[prng_below(&p, bytes.size)] = (uint8_t)prng_next(&p);
        size_t size = prng_chance(&p, 1, 2) ? bytes.size : (size_t)prng_below(&p, bytes.size);
        uint8_t *exact = mem_dup(bytes.data, size);
        struct slice s = slice_make(exact, size);
        if (prepare && txn_prepare_decode(s, &arena, &q) == STATUS_OK) txn_prepare_encode(&q, &again);
        if (!prepare && txn_vote_decode(s, &arena, &w) == STATUS_OK) txn_vote_encode(&w, &again);
        if (again.size > 0) ck_assert_uint_le(again.size, size);
        mem_free(exact);
    }
}
END_TEST

START_TEST(documents_prepare)
{
    struct txn_prepare p;
    ck_assert(example_load(TXN_MD, "prepare", &bytes));
    ck_assert_int_eq(txn_prepare_decode(buf_slice(&bytes), &arena, &p), STATUS_OK);
    ck_assert(p.born == 0x0102030405 && !p.has_else && !p.keeps_answer && p.keyspace == 7 && p.span_count == 2);
    ck_assert(slice_eq(p.spans[0].low, slice_str("a")) && slice_eq(p.spans[1].high, slice_str("z")));
    ck_assert(p.places.op_count == 1 && p.places.ops[0] == 1);
    struct txn t;
    ck_assert_int_eq(txn_decode(p.part, &arena, &t, NULL), STATUS_OK);
    ck_assert(t.op_count == 1 && t.ops[0].kind == TXN_PUT && slice_eq(t.ops[0].key, slice_str("z")));
}
END_TEST

int main(void)
{
    printf("seed %u\n", SEED);
    Suite *s = suite_create("txn_prepare");
    TCase *tc = tcase_create("prepare");
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, prepare_round_trip);
    tcase_add_test(tc, votes_round_trip);
    tcase_add_test(tc, decide_seal_blocked_round_trip);
    tcase_add_test(tc, held_rows_round_trip);
    tcase_add_test(tc, damaged_bytes);
    tcase_add_test(tc, documents_prepare);
    return run_suite(s);
}
