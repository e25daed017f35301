/* Held transactions of a range that is cut and joined again: whoever asks for one finds it where its lowest key leads him. */
#include "base/prng.h"
#include "lib/suite.h"
#include "lib/txn_model.h"
#include "txn/table_int.h"
#include "txn/txn_int.h"

#define KEYSPACE 1u
#define PARTS 64u

static struct arena arena;
static struct rows rows;
static uint64_t entry_index;
static struct txn_vote vote;
static const char *const keys[] = {"b", "d", "f", "k", "m", "p"};
enum { KEYS = sizeof(keys) / sizeof(keys[0]) };
static const struct txn_cut cut = {.keyspace = KEYSPACE,
                                   .right_start = {(const uint8_t *)"h", 1},
                                   .left_version = 1u << 20,
                                   .right_version = 1u << 21};

static void setup(void)
{
    arena_init(&arena, 4096);
    rows_init(&rows);
    entry_index = 0;
}

static void teardown(void)
{
    rows_free(&rows);
    arena_free(&arena);
}

/* The vote's kind; 0: it met others. */
static int apply(struct txn_table *t, const char *start, enum txn_command_kind kind, uint64_t ts, struct buf *body)
{
    struct buf answer;
    buf_init(&answer, 1u << 20);
    struct txn_command c = {.kind = kind, .ts = ts, .txn = buf_slice(body)};
    struct txn_entry e = {.command = &c, .index = ++entry_index, .keyspace = KEYSPACE, .range_start = slice_str(start)};
    struct txn_view view = rows_view(&rows);
    struct txn_writes writes;
    ck_assert_int_eq(txn_table_apply(t, &e, &view, &arena, &writes, &answer), STATUS_OK);
    rows_apply(&rows, &writes, ts);
    txn_table_check(t);
    int voted = 0;
    if (!txn_is_blocked(buf_slice(&answer))) {
        struct slice kept = arena_dup_slice(&arena, buf_slice(&answer));
        ck_assert_int_eq(txn_vote_decode(kept, &arena, &vote), STATUS_OK);
        voted = (int)vote.kind;
    }
    buf_free(&answer);
    buf_free(body);
    return voted;
}

static struct txn_id id_of(unsigned n)
{
    struct txn_id attempt = {{7, 1}};
    return txn_part_id(&attempt, n);
}

/* Part n of a transaction whose parts are all here: an add of 1 to each of the keys, or a put where `puts` says. */
static int prepare(struct txn_table *t, unsigned n, uint64_t ts, const unsigned *of, unsigned count, unsigned puts)
{
    struct txn_op ops[KEYS];
    struct txn_span spans[PARTS];
    uint32_t numbers[KEYS] = {0, 1, 2, 3, 4, 5};
    struct buf b;
    for (unsigned i = 0; i < count; i++) {
        ops[i] = (struct txn_op){.kind = (puts >> i & 1) != 0 ? TXN_PUT : TXN_ADD,
                                 .key = slice_str(keys[of[i]]),
                                 .value = (puts >> i & 1) != 0 ? slice_str("v") : SLICE_EMPTY,
                                 .delta = (puts >> i & 1) != 0 ? 0 : 1,
                                 .min = I128_MIN,
                                 .max = I128_MAX};
    }
    for (unsigned i = 0; i < PARTS; i++) spans[i] = (struct txn_span){slice_str("zz"), slice_str("zz")};
    spans[n] = (struct txn_span){ops[0].key, ops[count - 1].key};
    struct txn part = {.keyspace = KEYSPACE, .ops = ops, .op_count = count};
    buf_init(&b, 1u << 20);
    txn_encode(&part, &b);
    struct txn_prepare p = {.id = id_of(n),
                            .born = ts - 1,
                            .keyspace = KEYSPACE,
                            .spans = spans,
                            .span_count = PARTS,
                            .places = {.ops = numbers, .op_count = count},
                            .part = arena_dup_slice(&arena, buf_slice(&b))};
    buf_clear(&b);
    txn_prepare_encode(&p, &b);
    return apply(t, "", TXN_COMMAND_PREPARE, ts, &b);
}

static int decide(struct txn_table *t, const char *start, unsigned n, bool commit, uint64_t ts)
{
    struct buf b;
    struct txn_decide d = {.id = id_of(n), .commit = commit, .ts = ts, .answer = SLICE_EMPTY};
    buf_init(&b, 4096);
    txn_decide_encode(&d, &b);
    return apply(t, start, TXN_COMMAND_DECIDE, 0, &b);
}

static int ask(struct txn_table *t, const char *start, enum txn_command_kind kind, unsigned n, uint64_t ts)
{
    struct buf b;
    struct txn_seal s = {.id = id_of(n), .born = kind == TXN_COMMAND_SEAL ? ts : 0};
    buf_init(&b, 4096);
    txn_seal_encode(&s, &b);
    return apply(t, start, kind, kind == TXN_COMMAND_SEAL ? ts : 0, &b);
}

/* The tables of both sides, as their rows say. False: it waits. */
static bool cut_in_two(const struct txn_table *t, struct txn_table **left, struct txn_table **right)
{
    struct txn_writes writes;
    enum status s = txn_table_cut(t, &cut, &arena, &writes);
    if (s == STATUS_RETRY) return false;
    ck_assert_int_eq(s, STATUS_OK);
    rows_apply(&rows, &writes, 0);
    *left = txn_table_new();
    *right = txn_table_new();
    struct slice from = key_make_held(&arena, KEYSPACE, cut.right_start, &(struct txn_id){{0}});
    for (size_t i = 0; i < rows.count; i++) {
        struct slice key = rows.items[i].key;
        if (key.size <= TXN_ID_BYTES || key.data[key.size - TXN_ID_BYTES - 1] != ROW_HELD) continue;
        struct txn_table *side = slice_cmp(key, from) < 0 ? *left : *right;
        ck_assert_int_eq(txn_table_load(side, key, rows.items[i].value), STATUS_OK);
    }
    return true;
}

/* A committed transaction has a put on the left, done, and an add on the right that waits beneath one that is undecided. Moved to the
 * right with its add, Forget and Seal, which go by its lowest key, would not find it; and a Seal that finds nothing says "aborted". */
START_TEST(a_committed_one_stays_where_it_is_asked_for)
{
    struct txn_table *t = txn_table_new(), *left, *right;
    ck_assert_int_eq(prepare(t, 1, 100, (unsigned[]){3}, 1, 0), VOTE_YES);
    ck_assert_int_eq(prepare(t, 2, 101, (unsigned[]){0, 3}, 2, 1), VOTE_YES);
    ck_assert_int_eq(decide(t, "", 2, true, 105), VOTE_DONE);
    ck_assert(!cut_in_two(t, &left, &right));
    ck_assert_int_eq(decide(t, "", 1, true, 110), VOTE_DONE); /* now both adds are in the row */
    ck_assert(cut_in_two(t, &left, &right));
    ck_assert_int_eq(ask(left, "", TXN_COMMAND_SEAL, 2, 120), VOTE_COMMITTED);
    ck_assert_int_eq(ask(right, "h", TXN_COMMAND_SEAL, 1, 121), VOTE_COMMITTED);
    txn_table_free(t);
    txn_table_free(left);
    txn_table_free(right);
}
END_TEST

/* The table of the range that begins there, as its rows say. */
static struct txn_table *table_beside(const char *start)
{
    struct txn_table *t = txn_table_new();
    struct slice first = key_make_held(&arena, KEYSPACE, slice_str(start), &(struct txn_id){{0}});
    first.size -= TXN_ID_BYTES;
    for (size_t i = 0; i < rows.count; i++) {
        struct slice key = rows.items[i].key;
        if (key.size != first.size + TXN_ID_BYTES || memcmp(key.data, first.data, first.size) != 0) continue;
        ck_assert_int_eq(txn_table_load(t, key, rows.items[i].value), STATUS_OK);
    }
    txn_table_check(t);
    return t;
}

static i128 counter_of(const char *key)
{
    struct slice row_key = key_make_data(&arena, KEYSPACE, slice_str(key));
    struct row row = {.counter = 0};
    for (size_t i = 0; i < rows.count; i++) {
        if (!slice_eq(rows.items[i].key, row_key)) continue;
        ck_assert_int_eq(row_decode(rows.items[i].value, &row), STATUS_OK);
    }
    return row.counter;
}

/* A committed transaction was forgotten while its add waits beneath an undecided one: nobody asks for it, so the cut moves it with its add.
 * A Seal that comes late finds nothing where its lowest key leads, and leaves a tombstone there. When the ranges are one again, what the
 * add says stands, whichever side has it. */
START_TEST(a_late_tombstone_meets_what_was_forgotten)
{
    struct txn_table *t = txn_table_new(), *left, *right;
    struct txn_writes writes;
    ck_assert_int_eq(prepare(t, 1, 100, (unsigned[]){3}, 1, 0), VOTE_YES);
    ck_assert_int_eq(prepare(t, 2, 101, (unsigned[]){0, 3}, 2, 1), VOTE_YES);
    ck_assert_int_eq(decide(t, "", 2, true, 105), VOTE_DONE);
    ck_assert_int_eq(ask(t, "", TXN_COMMAND_FORGET, 2, 0), VOTE_DONE);
    ck_assert(cut_in_two(t, &left, &right));
    ck_assert_int_eq(ask(left, "", TXN_COMMAND_SEAL, 2, 120), VOTE_ABORTED);
    txn_table_join(left, right, &cut, &arena, &writes);
    rows_apply(&rows, &writes, 0);
    txn_table_free(t);
    t = table_beside("");
    ck_assert_int_eq(decide(t, "", 1, true, 130), VOTE_DONE);
    ck_assert(counter_of("k") == 2);
    ck_assert_uint_eq(txn_table_count(t), 1); /* the one that is still to be forgotten */
    txn_table_free(t);
    txn_table_free(left);
    txn_table_free(right);
}
END_TEST

/* A Seal came before its Prepare, and the range is cut meanwhile: wherever the Prepare goes then, it comes too late. */
START_TEST(a_tombstone_goes_to_both_sides)
{
    struct txn_table *t = txn_table_new(), *left, *right;
    ck_assert_int_eq(ask(t, "", TXN_COMMAND_SEAL, 3, 100), VOTE_ABORTED);
    ck_assert_int_eq(ask(t, "", TXN_COMMAND_SEAL, 4, 101), VOTE_ABORTED);
    ck_assert(cut_in_two(t, &left, &right));
    ck_assert_int_eq(prepare(left, 3, 110, (unsigned[]){0}, 1, 0), VOTE_ABORTED);
    ck_assert_int_eq(prepare(right, 4, 111, (unsigned[]){3}, 1, 0), VOTE_ABORTED);
    txn_table_free(t);
    txn_table_free(left);
    txn_table_free(right);
}
END_TEST

static const char *side_start(const char *low, struct txn_table *left, struct txn_table *right, struct txn_table **side)
{
    bool below = strcmp(low, "h") < 0;
    *side = below ? left : right;
    return below ? "" : "h";
}

static unsigned draw_keys(struct prng *r, unsigned *of)
{
    unsigned count = 0;
    unsigned from = (unsigned)prng_below(r, KEYS), to = (unsigned)prng_below(r, KEYS);
    for (unsigned k = from < to ? from : to; k <= (from < to ? to : from); k++) {
        if (count == 0 || prng_below(r, 2) == 0) of[count++] = k;
    }
    return count;
}

/* What is asked for answers as it was decided, whatever was decided when it was cut, and nothing is left in the end. */
START_TEST(what_is_asked_for_is_found)
{
    enum fate { NONE, PREPARED, COMMITTED, ABORTED } fates[PARTS] = {NONE};
    const char *lows[PARTS];
    struct prng r;
    struct txn_table *t = txn_table_new(), *left, *right;
    uint64_t ts = 100;
    bool done = false;
    prng_init(&r, (uint64_t)_i);
    for (unsigned n = 0; n < PARTS && !done; n++) {
        unsigned of[KEYS], count = draw_keys(&r, of);
        int v = prepare(t, n, ++ts, of, count, prng_below(&r, 3) == 0 ? (unsigned)prng_below(&r, 64) : 0);
        if (v == VOTE_YES) fates[n] = PREPARED;
        lows[n] = keys[of[0]];
        for (unsigned m = 0; m <= n; m++) {
            if (fates[m] != PREPARED || prng_below(&r, 3) != 0) continue;
            fates[m] = prng_below(&r, 4) == 0 ? ABORTED : COMMITTED;
            ck_assert_int_eq(decide(t, "", m, fates[m] == COMMITTED, ++ts), VOTE_DONE);
        }
        done = n > 2 && cut_in_two(t, &left, &right);
    }
    if (!done) { /* what is open at the end is decided: then it can be cut */
        for (unsigned m = 0; m < PARTS; m++) {
            if (fates[m] == PREPARED) ck_assert_int_eq(decide(t, "", m, true, ++ts), VOTE_DONE);
            if (fates[m] == PREPARED) fates[m] = COMMITTED;
        }
        ck_assert(cut_in_two(t, &left, &right));
    }
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned m = 0; m < PARTS; m++) {
            if (fates[m] == NONE) continue;
            struct txn_table *side;
            const char *start = side_start(lows[m], left, right, &side);
            int said = ask(side, start, TXN_COMMAND_SEAL, m, ++ts);
            ck_assert_int_eq(said, fates[m] == PREPARED    ? VOTE_YES
                                   : fates[m] == COMMITTED ? VOTE_COMMITTED
                                                           : VOTE_ABORTED);
            if (fates[m] == PREPARED) ck_assert_int_eq(decide(side, start, m, true, ++ts), VOTE_DONE);
            if (fates[m] == PREPARED) fates[m] = COMMITTED;
        }
    }
    struct txn_writes writes;
    txn_table_join(left, right, &cut, &arena, &writes);
    for (unsigned m = 0; m < PARTS; m++) {
        struct txn_table *side;
        if (fates[m] != COMMITTED) continue;
        const char *start = side_start(lows[m], left, right, &side);
        ck_assert_int_eq(ask(side, start, TXN_COMMAND_FORGET, m, 0), VOTE_DONE);
    }
    struct txn_id first;
    ck_assert(!txn_table_undecided_first(left, &first) && !txn_table_undecided_first(right, &first));
    txn_table_free(t);
    txn_table_free(left);
    txn_table_free(right);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("txn_reshape");
    TCase *tc = tcase_create("reshape");
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, a_committed_one_stays_where_it_is_asked_for);
    tcase_add_test(tc, a_tombstone_goes_to_both_sides);
    tcase_add_test(tc, a_late_tombstone_meets_what_was_forgotten);
    tcase_add_loop_test(tc, what_is_asked_for_is_found, 1, 300);
    return run_suite(s);
}
