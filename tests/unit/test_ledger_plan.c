/* Runs of transfers as transactions on rows, against the plain model: the same outcomes and balances, whatever was assumed, refused and
 * planned again, and whoever came between. */
#include "base/mem.h"
#include "ledger/plan.h"
#include "lib/ledger_model.h"
#include "lib/txn_model.h"

#include <check.h>
#include <stdlib.h>

#define KEYSPACE 9u
#define BATCH 12u

struct rig {
    struct rows rows;
    struct book book;
    struct plan *plan;
    struct arena arena;
    uint64_t now; /* of the store */
    uint64_t stamp;
    struct prng guesses;
    unsigned wrong_guesses;
};
static struct rig *rig;

static void put_account(const struct ledger_account *a)
{
    struct buf key, value;
    buf_init(&key, 256);
    buf_init(&value, 256);
    key_encode_data(&key, KEYSPACE, key_account(&rig->arena, &a->id));
    buf_append_byte(&value, ROW_RAW);
    row_put_account(&value, a);
    rows_set(&rig->rows, buf_slice(&key), buf_slice(&value), ++rig->now);
    buf_free(&key);
    buf_free(&value);
}

static void setup(void)
{
    rig = mem_zalloc(sizeof(*rig));
    arena_init(&rig->arena, 4096);
    rows_init(&rig->rows);
    book_init(&rig->book);
    rig->plan = plan_new();
    prng_init(&rig->guesses, 77);
    rig->stamp = 1000ull << TS_COUNTER_BITS;
    for (size_t i = 0; i < rig->book.account_count; i++) put_account(&rig->book.accounts[i]);
}

static void teardown(void)
{
    plan_free(rig->plan);
    rows_free(&rig->rows);
    arena_free(&rig->arena);
    mem_free(rig);
}

/* The value as a client sees it. */
static bool look(struct slice user_key, struct slice *value)
{
    struct buf key;
    struct txn_view view = rows_view(&rig->rows);
    struct txn_stored stored;
    struct row row;
    char text[I128_TEXT_MAX];
    buf_init(&key, 256);
    key_encode_data(&key, KEYSPACE, user_key);
    enum status s = view.get(view.ctx, buf_slice(&key), &stored);
    buf_free(&key);
    if (s == STATUS_NOT_FOUND) return false;
    ck_assert_int_eq(s, STATUS_OK);
    ck_assert_int_eq(row_decode(stored.value, &row), STATUS_OK);
    *value = arena_dup_slice(&rig->arena, row_value(&row, text));
    return true;
}

static void gather(struct plan *p)
{
    for (;;) {
        size_t count;
        struct plan_want *w = plan_wants(p, &count);
        if (count == 0) return;
        for (size_t i = 0; i < count; i++) {
            struct slice value = SLICE_EMPTY;
            bool found = look(w[i].key, &value);
            ck_assert_int_eq(plan_take(p, &w[i], found, value), STATUS_OK);
        }
    }
}

static enum status commit(struct txn *t, uint32_t *failed)
{
    struct txn_writes writes;
    struct txn_result result;
    struct buf encoded, bytes;
    struct txn_view view = rows_view(&rig->rows);
    if (t->op_count + t->compare_count == 0) return STATUS_OK;
    t->keyspace = KEYSPACE;
    buf_init(&encoded, LIMIT_TXN_BYTES);
    buf_init(&bytes, TXN_RESULT_BYTES_MAX);
    txn_encode(t, &encoded);
    ck_assert_int_eq(txn_evaluate(buf_slice(&encoded), ++rig->now, &view, &rig->arena, &writes, &bytes), STATUS_OK);
    rows_apply(&rig->rows, &writes, rig->now);
    ck_assert_int_eq(txn_result_decode(buf_slice(&bytes), &rig->arena, &result), STATUS_OK);
    *failed = result.failed_index;
    buf_free(&encoded);
    buf_free(&bytes);
    return result.status;
}

/* Nothing, or the truth, or something near it. */
static bool guess(void *ctx, const struct ledger_id *id, i128 *net)
{
    struct slice value;
    (void)ctx;
    uint64_t how = prng_below(&rig->guesses, 4);
    if (how == 0) return false;
    *net = 0;
    if (look(key_counter(&rig->arena, id, SLOT_NET), &value)) ck_assert(i128_parse(value, net));
    if (how > 1) return true;
    *net += (i128)prng_below(&rig->guesses, 400) - 200;
    rig->wrong_guesses++;
    return true;
}

struct attempt { /* what is known better from try to try */
    struct plan_culprit culprits[64];
    unsigned count;
};

static void plan_run(struct plan *p, const struct attempt *a, const struct ledger_transfer *t, size_t count,
                     struct ledger_outcome *out, uint64_t nonce)
{
    struct plan_options o = {.timestamp = rig->stamp, .now_ms = rig->stamp >> TS_COUNTER_BITS};
    rig->stamp += 2 * count;
    for (unsigned i = 0; i < a->count; i++) o.look_at_ids |= !a->culprits[i].is_account;
    o.look_at_limits = a->count >= 2;
    if (!o.look_at_limits) o.guess = guess;
    plan_begin(p, &o);
    plan_add(p, t, out, count, nonce * 1000); /* a transfer of another attempt never looks like one of this */
    for (unsigned i = 0; i < a->count; i++) {
        if (a->culprits[i].is_account) plan_suspect(p, &a->culprits[i].id);
    }
    gather(p);
}

/* As run.c does it; between: what happens after the reading and before the commit, once. */
static unsigned run(const struct ledger_transfer *t, size_t count, struct ledger_outcome *out, uint64_t nonce,
                    void (*between)(void))
{
    struct attempt a = {.count = 0};
    for (;;) {
        struct txn txn;
        uint32_t failed = UINT32_MAX;
        plan_run(rig->plan, &a, t, count, out, nonce);
        rig->book.now_ms = (rig->stamp - 2 * count) >> TS_COUNTER_BITS;
        enum status s = plan_build(rig->plan, &txn);
        if (between != NULL) between();
        between = NULL;
        ck_assert_uint_lt(a.count, 64);
        if (s != STATUS_OK) {
            a.culprits[a.count++] = plan_blamed(rig->plan);
            continue;
        }
        size_t weight = 0;
        for (size_t i = 0; i < count; i++) weight += plan_weight(&t[i]);
        ck_assert_uint_le(txn.op_count + txn.compare_count, weight);
        for (size_t i = 0; i < txn.op_count; i++) { /* no row of money ends with its keyspace's time to live */
            bool puts = txn.ops[i].kind == TXN_PUT || txn.ops[i].kind == TXN_INSERT;
            ck_assert(txn.ops[i].has_ttl == puts && txn.ops[i].ttl_ms == 0);
        }
        s = commit(&txn, &failed);
        if (s == STATUS_OK) return a.count;
        ck_assert(s == STATUS_EXISTS || s == STATUS_GUARD_FAILED || s == STATUS_CONDITION_FAILED);
        a.culprits[a.count++] = plan_blame(rig->plan, s, failed);
    }
}

static void check_outcomes(const struct ledger_outcome *ours, const struct ledger_outcome *theirs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(ours[i].result == theirs[i].result, "transfer %zu of the batch: %s, the model says %s", i,
                      ledger_result_name(ours[i].result), ledger_result_name(theirs[i].result));
        bool there = ours[i].result == LEDGER_CREATED || ours[i].result == LEDGER_EXISTS;
        if (there) ck_assert(ours[i].amount == theirs[i].amount);
        if (ours[i].result == LEDGER_ID_ALREADY_FAILED) ck_assert_int_eq(ours[i].first, theirs[i].first);
    }
}

static struct ledger_balance balance_of(const struct ledger_account *a)
{
    i128 slots[SLOT_COUNT] = {0};
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        struct slice text;
        bool there = look(key_counter(&rig->arena, &a->id, (enum ledger_slot)i), &text);
        if (!account_has_slot(a->flags, (enum ledger_slot)i)) ck_assert(!there);
        if (there) ck_assert(i128_parse(text, &slots[i]));
    }
    return account_balance(a->flags, slots);
}

static struct ledger_balance sum_of_postings(const struct ledger_account *a)
{
    struct ledger_balance sum = {.closed = false};
    for (size_t i = 0; i < rig->rows.count; i++) {
        struct buf user;
        uint32_t keyspace;
        enum row_type type;
        struct ledger_key key;
        struct posting p;
        buf_init(&user, 256);
        ck_assert_int_eq(key_decode(rig->rows.items[i].key, &keyspace, &user, &type), STATUS_OK);
        ck_assert_int_eq(ledger_key_decode(buf_slice(&user), &key), STATUS_OK);
        buf_free(&user);
        if (key.row != LEDGER_ROW_POSTINGS || !ledger_id_eq(&key.id, &a->id)) continue;
        struct slice value = rig->rows.items[i].value;
        value = slice_make(value.data + 1, value.size - 1); /* behind the format */
        while (row_get_posting(&value, key.at, &p) == STATUS_OK) {
            sum.debits_posted += p.debits;
            sum.credits_posted += p.credits;
            sum.debits_pending += p.debits_pending;
            sum.credits_pending += p.credits_pending;
        }
        ck_assert_uint_eq(value.size, 0);
    }
    return sum;
}

static void check_same(const struct ledger_balance *a, const struct ledger_balance *b)
{
    ck_assert(a->debits_posted == b->debits_posted);
    ck_assert(a->credits_posted == b->credits_posted);
    ck_assert(a->debits_pending == b->debits_pending);
    ck_assert(a->credits_pending == b->credits_pending);
}

static void check_balances(void)
{
    for (size_t i = 0; i < rig->book.account_count; i++) {
        struct ledger_balance b = balance_of(&rig->book.accounts[i]), sum = sum_of_postings(&rig->book.accounts[i]);
        check_same(&b, &rig->book.balances[i]);
        check_same(&b, &sum);
        ck_assert(b.closed == rig->book.balances[i].closed);
    }
}

/* Money to begin with: else all is refused. */
static void fund(void)
{
    struct ledger_transfer t[6];
    struct ledger_outcome out[6], model[6];
    for (unsigned i = 0; i < 6; i++) {
        bool owes = i >= 4; /* these may only be credited for what they were debited */
        struct ledger_id it = rig->book.accounts[i].id, other = rig->book.accounts[i == 0 ? 1 : 0].id;
        t[i] = (struct ledger_transfer){.id = ledger_id_of(7, i + 1),
                                        .amount = 300,
                                        .ledger = 1,
                                        .code = 1,
                                        .debit = owes ? it : other,
                                        .credit = owes ? other : it};
    }
    (void)run(t, 6, out, 1, NULL);
    book_apply(&rig->book, t, 6, model);
    check_outcomes(out, model, 6);
}

START_TEST(random_batches_as_the_model)
{
    struct prng p;
    unsigned again = 0, made = 0;
    prng_init(&p, 4000 + (uint64_t)_i);
    fund();
    for (unsigned round = 0; round < 60; round++) {
        struct ledger_transfer t[BATCH];
        struct ledger_outcome out[BATCH], model[BATCH];
        size_t count = 1 + prng_below(&p, BATCH);
        book_random(&p, t, count, 60 + round * 8);
        if (prng_chance(&p, 1, 5)) rig->stamp += prng_below(&p, 2000) << TS_COUNTER_BITS;
        again += run(t, count, out, 100 + round, NULL);
        book_apply(&rig->book, t, count, model);
        check_outcomes(out, model, count);
        for (size_t i = 0; i < count; i++) made += out[i].result == LEDGER_CREATED;
        arena_reset(&rig->arena);
    }
    check_balances();
    ck_assert_uint_gt(again, 0);
    ck_assert_uint_gt(made, 20);
    ck_assert_uint_gt(rig->wrong_guesses, 20);
}
END_TEST

static struct ledger_transfer rival[BATCH];
static struct ledger_outcome rival_out[BATCH];
static size_t rival_count;

/* Another gateway's run, whole, in the middle of ours. */
static void rival_runs(void)
{
    struct plan *ours = rig->plan;
    uint64_t now_ms = rig->book.now_ms;
    struct ledger_outcome model[BATCH];
    rig->plan = plan_new();
    (void)run(rival, rival_count, rival_out, rig->stamp, NULL);
    book_apply(&rig->book, rival, rival_count, model);
    check_outcomes(rival_out, model, rival_count);
    plan_free(rig->plan);
    rig->plan = ours;
    rig->book.now_ms = now_ms;
}

START_TEST(runs_that_meet_are_one_after_the_other)
{
    struct prng p;
    unsigned again = 0;
    prng_init(&p, 5000 + (uint64_t)_i);
    fund();
    for (unsigned round = 0; round < 40; round++) {
        struct ledger_transfer t[BATCH];
        struct ledger_outcome out[BATCH], model[BATCH];
        size_t count = 1 + prng_below(&p, BATCH);
        rival_count = 1 + prng_below(&p, BATCH);
        book_random(&p, t, count, 40 + round * 8);
        book_random(&p, rival, rival_count, 40 + round * 8);
        if (prng_chance(&p, 1, 5)) rig->stamp += prng_below(&p, 2000) << TS_COUNTER_BITS;
        again += run(t, count, out, 100 + round, rival_runs);
        book_apply(&rig->book, t, count, model);
        check_outcomes(out, model, count);
        arena_reset(&rig->arena);
    }
    check_balances();
    ck_assert_uint_gt(again, 0);
}
END_TEST

/* After an unknown outcome the same attempt is planned again with its ids looked at: it tells what the first one did. */
START_TEST(an_attempt_again_tells_the_same)
{
    struct prng p;
    prng_init(&p, 6000 + (uint64_t)_i);
    fund();
    for (unsigned round = 0; round < 30; round++) {
        struct ledger_transfer t[BATCH];
        struct ledger_outcome first[BATCH], second[BATCH];
        struct attempt looks = {.count = 1};
        struct txn txn;
        uint32_t failed;
        size_t count = 1 + prng_below(&p, BATCH);
        book_random(&p, t, count, 60 + round * 10);
        /* ids twice in a batch: below */
        for (size_t i = 0; i < count; i++) {
            t[i].flags &= (uint16_t)~LEDGER_LINKED;
            if (t[i].flags != LEDGER_EXPIRE) t[i].id = ledger_id_of(round + 20, i + 1);
        }
        (void)run(t, count, first, 100 + round, NULL);
        uint64_t before = rows_hash(&rig->rows);
        plan_run(rig->plan, &looks, t, count, second, 100 + round);
        ck_assert_int_eq(plan_build(rig->plan, &txn), STATUS_OK);
        ck_assert_int_eq(commit(&txn, &failed), STATUS_OK);
        for (size_t i = 0; i < count; i++) {
            if (t[i].flags == LEDGER_EXPIRE) continue;
            ck_assert_msg(first[i].result == second[i].result, "%s, then %s", ledger_result_name(first[i].result),
                          ledger_result_name(second[i].result));
        }
        ck_assert(before == rows_hash(&rig->rows));
        arena_reset(&rig->arena);
    }
}
END_TEST

/* A batch goes in several runs: an id that comes again in a later one is told of as in the same. */
START_TEST(an_id_again_in_a_later_run_exists)
{
    fund();
    struct ledger_transfer t = {.id = ledger_id_of(30, 1),
                                .amount = 1,
                                .ledger = 1,
                                .code = 1,
                                .debit = rig->book.accounts[1].id,
                                .credit = rig->book.accounts[0].id};
    struct ledger_outcome out;
    struct txn txn;
    static const enum ledger_result told[] = {LEDGER_CREATED, LEDGER_EXISTS};
    (void)run(&t, 1, &out, 40, NULL);
    ck_assert_int_eq(out.result, LEDGER_CREATED);
    for (unsigned later = 0; later < 2; later++) {
        plan_begin(rig->plan, &(struct plan_options){.timestamp = ++rig->stamp, .look_at_ids = true});
        plan_add(rig->plan, &t, &out, 1, 40 * 1000 + later);
        gather(rig->plan);
        ck_assert_int_eq(plan_build(rig->plan, &txn), STATUS_OK);
        ck_assert_int_eq(out.result, told[later]);
    }
}
END_TEST

static struct ledger_transfer closing(uint64_t number)
{
    return (struct ledger_transfer){.id = ledger_id_of(50, number),
                                    .amount = 50,
                                    .ledger = 1,
                                    .code = 1,
                                    .timeout_s = 1,
                                    .flags = LEDGER_PENDING | LEDGER_CLOSING_DEBIT | LEDGER_CLOSING_CREDIT,
                                    .debit = rig->book.accounts[0].id,
                                    .credit = rig->book.accounts[1].id};
}

/* A chain that has happened exists, each of it, when it comes again; when anything of it is another, it is a chain that fails. */
START_TEST(a_chain_again_exists_whole)
{
    struct ledger_transfer t[3];
    struct ledger_outcome out[3], model[3];
    static const enum ledger_result told[][3] = {
        {LEDGER_CREATED, LEDGER_CREATED, LEDGER_CREATED},
        {LEDGER_EXISTS, LEDGER_EXISTS, LEDGER_EXISTS},
        {LEDGER_EXISTS, LEDGER_LINKED_EVENT_FAILED, LEDGER_LINKED_EVENT_FAILED}, /* the last is another */
        {LEDGER_EXISTS, LEDGER_LINKED_EVENT_FAILED, LEDGER_LINKED_EVENT_FAILED}, /* the last is new */
        {LEDGER_EXISTS, LEDGER_EXISTS, LEDGER_EXISTS}};
    fund();
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 3; i++) {
            t[i] = closing(200 + i);
            t[i].timeout_s = 0;
            t[i].flags = i < 2 ? LEDGER_LINKED : 0;
        }
        if (round == 2) t[2].amount++;
        if (round == 3) t[2].id = ledger_id_of(50, 999);
        (void)run(t, 3, out, 300 + round, NULL);
        book_apply(&rig->book, t, 3, model);
        check_outcomes(out, model, 3);
        for (unsigned i = 0; i < 3; i++) ck_assert_int_eq(out[i].result, told[round][i]);
    }
    check_balances();
}
END_TEST

/* What opens two accounts again moves all their counters: run() compares what it needs with its weight. */
START_TEST(ends_of_closings_have_their_weight)
{
    struct ledger_transfer t = closing(1);
    struct ledger_outcome out, model;
    fund();
    for (unsigned late = 0; late < 2; late++) {
        t.id = ledger_id_of(50, late + 1);
        (void)run(&t, 1, &out, 50 + late, NULL);
        book_apply(&rig->book, &t, 1, &model);
        ck_assert_int_eq(out.result, LEDGER_CREATED);
        struct ledger_transfer end = {.id = ledger_id_of(51, late + 1),
                                      .amount = LEDGER_AMOUNT_ALL,
                                      .flags = late ? LEDGER_POST_PENDING : LEDGER_VOID_PENDING,
                                      .pending_id = t.id};
        struct ledger_transfer chain[2] = {end, closing(9)};
        struct ledger_outcome outs[2], models[2];
        if (late) rig->stamp += 2000ull << TS_COUNTER_BITS;
        chain[0].flags |= late ? LEDGER_LINKED : 0;
        chain[1].debit = rig->book.accounts[2].id; /* of nobody else: what it needs is told apart */
        chain[1].credit = rig->book.accounts[4].id;
        (void)run(chain, 1 + late, outs, 60 + late, NULL);
        book_apply(&rig->book, chain, 1 + late, models);
        check_outcomes(outs, models, 1 + late);
        ck_assert_int_eq(outs[0].result, late ? LEDGER_PENDING_EXPIRED : LEDGER_CREATED);
    }
    check_balances();
}
END_TEST

/* No door to the ledger lets an amount below zero in: it would move money backwards, past every limit. */
START_TEST(an_amount_is_not_negative)
{
    static const uint16_t flags[] = {0,
                                     LEDGER_PENDING,
                                     LEDGER_BALANCING_DEBIT,
                                     LEDGER_BALANCING_CREDIT,
                                     LEDGER_PENDING | LEDGER_BALANCING_DEBIT,
                                     LEDGER_POST_PENDING,
                                     LEDGER_VOID_PENDING};
    const i128 amounts[] = {-1, -2, -1000, -LEDGER_AMOUNT_MAX, -LEDGER_AMOUNT_MAX - 2, I128_MIN, LEDGER_AMOUNT_MAX + 1};
    struct ledger_transfer pending = closing(1);
    struct ledger_outcome out, model;
    pending.flags = LEDGER_PENDING;
    fund();
    (void)run(&pending, 1, &out, 70, NULL);
    book_apply(&rig->book, &pending, 1, &model);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        for (size_t k = 0; k < sizeof(amounts) / sizeof(amounts[0]); k++) {
            bool second = (flags[i] & (LEDGER_POST_PENDING | LEDGER_VOID_PENDING)) != 0;
            bool open = second || (flags[i] & (LEDGER_BALANCING_DEBIT | LEDGER_BALANCING_CREDIT));
            struct ledger_transfer t = closing(100 + i * 10 + k);
            t.timeout_s = 0;
            t.flags = flags[i];
            t.amount = amounts[k];
            if (second) t.pending_id = pending.id;
            enum ledger_result told = open && t.amount == LEDGER_AMOUNT_ALL ? LEDGER_CREATED : LEDGER_OVERFLOWS_AMOUNT;
            ck_assert_int_eq(ledger_transfer_judge(&t), told);
            if (told == LEDGER_CREATED) continue;
            (void)run(&t, 1, &out, 71 + i * 10 + k, NULL);
            ck_assert_int_eq(out.result, LEDGER_OVERFLOWS_AMOUNT);
        }
    }
    check_balances();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ledger plan");
    TCase *tc = tcase_create("plan");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, random_batches_as_the_model, 0, 40);
    tcase_add_loop_test(tc, runs_that_meet_are_one_after_the_other, 0, 40);
    tcase_add_loop_test(tc, an_attempt_again_tells_the_same, 0, 20);
    tcase_add_test(tc, an_id_again_in_a_later_run_exists);
    tcase_add_test(tc, a_chain_again_exists_whole);
    tcase_add_test(tc, ends_of_closings_have_their_weight);
    tcase_add_test(tc, an_amount_is_not_negative);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
