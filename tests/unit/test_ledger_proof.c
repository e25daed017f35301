/* What an audit proves: right books pass, and each kind of wrong book is named. */
#include <stdlib.h>

#include "ledger/proof.h"
#include "lib/suite.h"

#define ROWS_MAX 64u
#define EURO 978u
#define MS(n) ((uint64_t)(n) << 18) /* a timestamp */

static struct arena arena;
static struct {
    struct slice key, value;
} rows[ROWS_MAX];
static size_t row_count;
static struct ledger_proof *proof;
static const struct ledger_audit *audit;

static struct ledger_id id(uint64_t n)
{
    return ledger_id_of(0, n);
}

/* --- rows as the ledger writes them --- */

static size_t row_of(struct slice key)
{
    for (size_t i = 0; i < row_count; i++)
        if (slice_eq(rows[i].key, key)) return i;
    return row_count;
}

static void put(struct slice key, const struct buf *value)
{
    size_t i = row_of(key);
    ck_assert_uint_lt(i, ROWS_MAX);
    row_count += i == row_count;
    rows[i].key = key;
    rows[i].value = arena_dup_slice(&arena, buf_slice(value));
}

static void drop(struct slice key)
{
    size_t i = row_of(key);
    ck_assert_uint_lt(i, row_count);
    rows[i] = rows[--row_count];
}

static void put_account(uint64_t account, uint16_t flags)
{
    struct ledger_account a = {.id = id(account), .ledger = EURO, .code = 1, .flags = flags, .timestamp = MS(1)};
    struct buf b;
    buf_init(&b, 256);
    row_put_account(&b, &a);
    put(key_account(&arena, &a.id), &b);
    buf_free(&b);
}

static void add(uint64_t account, enum ledger_slot slot, int64_t by)
{
    struct ledger_id a = id(account);
    struct slice key = key_counter(&arena, &a, slot);
    size_t i = row_of(key);
    i128 value = 0;
    char text[I128_TEXT_MAX];
    struct buf b;
    if (i < row_count) ck_assert(i128_parse(rows[i].value, &value));
    i128_format(value + by, text);
    buf_init(&b, 64);
    buf_append_str(&b, text);
    put(key, &b);
    buf_free(&b);
}

static void put_posting(const struct ledger_id *account, struct posting p)
{
    struct buf b;
    buf_init(&b, 256);
    row_put_posting(&b, &p, p.timestamp);
    put(key_postings(&arena, account, p.timestamp), &b);
    buf_free(&b);
}

/* The change on both sides, and their counters. Account 3 keeps a limit, the others none. */
static void post(const struct ledger_transfer *t, uint64_t at, int64_t posted, int64_t pending)
{
    struct posting debit = {.transfer = t->id, .timestamp = at, .debits = posted, .debits_pending = pending};
    struct posting credit = {.transfer = t->id, .timestamp = at, .credits = posted, .credits_pending = pending};
    put_posting(&t->debit, debit);
    put_posting(&t->credit, credit);
    for (unsigned side = 0; side < 2; side++) {
        const struct posting *p = side == 0 ? &debit : &credit;
        uint64_t account = side == 0 ? t->debit.bytes[15] : t->credit.bytes[15];
        uint16_t flags = account == 3 ? LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS : 0;
        i128 slots[SLOT_COUNT];
        account_spread(flags,
                       &(struct changes){.debits = p->debits,
                                         .credits = p->credits,
                                         .debits_pending = p->debits_pending,
                                         .credits_pending = p->credits_pending},
                       slots);
        for (unsigned i = 0; i < SLOT_COUNT; i++)
            if (account_has_slot(flags, (enum ledger_slot)i)) add(account, (enum ledger_slot)i, (int64_t)slots[i]);
    }
}

static struct ledger_transfer transfer(uint64_t n, uint64_t debit, uint64_t credit, int64_t amount, uint16_t flags)
{
    return (struct ledger_transfer){.id = id(n),
                                    .debit = id(debit),
                                    .credit = id(credit),
                                    .amount = amount,
                                    .ledger = EURO,
                                    .code = 1,
                                    .flags = flags,
                                    .timestamp = MS(n)};
}

static void put_transfer(const struct ledger_transfer *t, enum ledger_result result)
{
    struct buf b;
    buf_init(&b, 512);
    row_put_transfer(&b, &(struct transfer_row){.transfer = *t, .result = result});
    put(key_transfer(&arena, &t->id), &b);
    buf_free(&b);
}

static void put_resolution(uint64_t pending, enum resolution_kind kind, uint64_t by, uint64_t at)
{
    struct ledger_id p = id(pending);
    struct buf b;
    buf_init(&b, 64);
    row_put_resolution(&b, &(struct resolution){.kind = kind, .by = id(by), .timestamp = at});
    put(key_resolution(&arena, &p), &b);
    buf_free(&b);
}

/* Posted or voided by `by`. */
static void resolve(struct ledger_transfer pending, uint64_t by, int64_t posted)
{
    struct ledger_transfer t = pending;
    t.id = id(by);
    t.pending_id = pending.id;
    t.flags = posted > 0 ? LEDGER_POST_PENDING : LEDGER_VOID_PENDING;
    t.amount = posted;
    t.pending_amount = pending.amount;
    t.timestamp = MS(by);
    put_transfer(&t, LEDGER_CREATED);
    put_resolution(pending.id.bytes[15], posted > 0 ? RESOLUTION_POSTED : RESOLUTION_VOIDED, by, t.timestamp);
    post(&t, t.timestamp, posted, -(int64_t)pending.amount);
}

static void put_expiry(const struct ledger_transfer *t)
{
    struct buf b;
    buf_init(&b, 8);
    put(key_expiry(&arena, (t->timestamp >> 18) + (uint64_t)t->timeout_s * 1000, &t->id), &b);
    buf_free(&b);
}

static struct ledger_transfer waiting; /* until its timeout */

static void setup(void)
{
    arena_init(&arena, 1u << 20);
    row_count = 0;
    proof = ledger_proof_new();
    put_account(1, 0);
    put_account(2, 0);
    put_account(3, LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS);
    struct ledger_transfer t = transfer(10, 1, 3, 100, 0);
    put_transfer(&t, LEDGER_CREATED);
    post(&t, t.timestamp, 100, 0);
    t = transfer(11, 3, 2, 30, 0);
    put_transfer(&t, LEDGER_CREATED);
    post(&t, t.timestamp, 30, 0);
    t = transfer(12, 3, 2, 20, LEDGER_PENDING);
    put_transfer(&t, LEDGER_CREATED);
    post(&t, t.timestamp, 0, 20);
    resolve(t, 13, 15);
    t = transfer(14, 1, 2, 9, LEDGER_PENDING);
    put_transfer(&t, LEDGER_CREATED);
    post(&t, t.timestamp, 0, 9);
    resolve(t, 15, 0);
    t = transfer(16, 1, 2, 7, LEDGER_PENDING); /* its timeout has passed */
    t.timeout_s = 60;
    put_transfer(&t, LEDGER_CREATED);
    post(&t, t.timestamp, 0, 7);
    put_resolution(16, RESOLUTION_EXPIRED, 0, MS(60016));
    post(&t, MS(60016), 0, -7);
    waiting = transfer(17, 1, 2, 5, LEDGER_PENDING);
    waiting.timeout_s = 60;
    put_transfer(&waiting, LEDGER_CREATED);
    post(&waiting, waiting.timestamp, 0, 5);
    put_expiry(&waiting);
    t = transfer(18, 3, 2, 1000, 0);
    put_transfer(&t, LEDGER_EXCEEDS_CREDITS);
}

static void teardown(void)
{
    ledger_proof_free(proof);
    arena_free(&arena);
}

static int by_key(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void judge(void)
{
    qsort(rows, row_count, sizeof rows[0], by_key);
    for (size_t i = 0; i < row_count; i++) ledger_proof_take(proof, rows[i].key, rows[i].value);
    audit = ledger_proof_judge(proof, MS(99));
}

/* The first fault begins so, and there are so many. */
#define EXPECT_FAULTS(n, text)                                                                                         \
    do {                                                                                                               \
        judge();                                                                                                       \
        ck_assert_str_eq(audit->first_fault, text);                                                                    \
        ck_assert_uint_eq(audit->faults, n);                                                                           \
    } while (0)

START_TEST(right_books_are_proven)
{
    EXPECT_FAULTS(0, "");
    ck_assert_uint_eq(audit->accounts, 3);
    ck_assert_uint_eq(audit->transfers, 8);
    ck_assert_uint_eq(audit->postings, 18);
    ck_assert_uint_eq(audit->refusals, 1);
    ck_assert_uint_eq(audit->pending, 1);
    ck_assert_uint_eq(audit->ledger_count, 1);
    ck_assert(audit->sums[0].debits_posted == 145 && audit->sums[0].credits_posted == 145);
    ck_assert(audit->sums[0].debits_pending == 5 && audit->sums[0].credits_pending == 5);
}
END_TEST

START_TEST(a_balance_that_is_not_the_sum_of_its_postings)
{
    add(2, SLOT_CREDITS, 1);
    EXPECT_FAULTS(2, "a balance is not the sum of its postings: account: 2");
}
END_TEST

START_TEST(money_made_on_one_side)
{
    struct ledger_id account = id(2), none = id(10);
    put_posting(&account, (struct posting){.transfer = none, .timestamp = MS(20), .credits = 50});
    add(2, SLOT_CREDITS, 50);
    EXPECT_FAULTS(2, "debits are not credits in ledger: 978");
}
END_TEST

START_TEST(pending_money_on_one_side)
{
    struct ledger_id account = id(2), none = id(10);
    put_posting(&account, (struct posting){.transfer = none, .timestamp = MS(20), .credits_pending = 50});
    add(2, SLOT_CREDITS_PENDING, 50);
    EXPECT_FAULTS(2, "pending debits are not credits in ledger: 978");
}
END_TEST

START_TEST(postings_that_no_transfer_left)
{
    struct ledger_transfer t = transfer(20, 1, 2, 50, 0);
    post(&t, t.timestamp, 50, 0); /* both sides and all sums agree */
    EXPECT_FAULTS(1, "postings and transfers do not say the same");
}
END_TEST

START_TEST(a_transfer_that_left_no_postings)
{
    struct ledger_transfer t = transfer(20, 1, 2, 50, 0);
    put_transfer(&t, LEDGER_CREATED);
    EXPECT_FAULTS(1, "postings and transfers do not say the same");
}
END_TEST

START_TEST(a_transfer_of_another_amount)
{
    struct ledger_transfer t = transfer(10, 1, 3, 99, 0);
    put_transfer(&t, LEDGER_CREATED);
    EXPECT_FAULTS(1, "postings and transfers do not say the same");
}
END_TEST

START_TEST(a_transfer_between_other_accounts)
{
    struct ledger_transfer t = transfer(10, 2, 3, 100, 0);
    put_transfer(&t, LEDGER_CREATED);
    EXPECT_FAULTS(1, "postings and transfers do not say the same");
}
END_TEST

START_TEST(an_account_that_was_never_created)
{
    struct ledger_id account = id(2);
    drop(key_account(&arena, &account));
    judge();
    ck_assert_str_eq(audit->first_fault, "rows of an account that was never created: 2");
}
END_TEST

START_TEST(a_limit_that_is_exceeded)
{
    struct ledger_transfer t = transfer(20, 3, 2, 1000, 0); /* all else is in order */
    put_transfer(&t, LEDGER_CREATED);
    post(&t, t.timestamp, 1000, 0);
    EXPECT_FAULTS(1, "debits exceed credits: 3");
}
END_TEST

START_TEST(resolutions_without_their_transfers)
{
    struct ledger_id first = id(12), second = id(14);
    drop(key_transfer(&arena, &first));
    drop(key_transfer(&arena, &second));
    /* Two resolutions, postings, and two transfers that resolved what is not there. */
    put_resolution(8, RESOLUTION_VOIDED, 15, MS(15));
    put_resolution(9, RESOLUTION_VOIDED, 15, MS(15));
    EXPECT_FAULTS(6, "a resolution without its transfer: 8");
}
END_TEST

START_TEST(the_last_resolution_without_its_transfer)
{
    put_resolution(90, RESOLUTION_VOIDED, 15, MS(15));
    EXPECT_FAULTS(1, "a resolution without its transfer: 90");
}
END_TEST

START_TEST(a_refused_transfer_that_was_resolved)
{
    put_resolution(18, RESOLUTION_EXPIRED, 0, MS(60018));
    EXPECT_FAULTS(1, "a refused transfer was resolved: 18");
}
END_TEST

START_TEST(a_pending_transfer_resolved_by_another_than_says_so)
{
    put_resolution(12, RESOLUTION_POSTED, 15, MS(13));
    EXPECT_FAULTS(1, "pending transfers and what resolved them do not fit");
}
END_TEST

START_TEST(a_pending_transfer_that_was_posted_and_does_not_know)
{
    struct ledger_id pending = id(12);
    drop(key_resolution(&arena, &pending));
    EXPECT_FAULTS(1, "pending transfers and what resolved them do not fit");
}
END_TEST

START_TEST(a_timeout_that_is_not_listed)
{
    drop(key_expiry(&arena, 17 + 60000, &waiting.id));
    EXPECT_FAULTS(1, "the list of timeouts is not that of pending transfers");
}
END_TEST

START_TEST(a_timeout_of_what_does_not_wait)
{
    struct ledger_transfer t = transfer(12, 3, 2, 20, LEDGER_PENDING);
    t.timeout_s = 60;
    put_expiry(&t);
    EXPECT_FAULTS(1, "the list of timeouts is not that of pending transfers");
}
END_TEST

START_TEST(a_row_that_cannot_be_read)
{
    struct ledger_id t = id(11);
    rows[row_of(key_transfer(&arena, &t))].value = slice_str("nonsense");
    EXPECT_FAULTS(2, "a row that cannot be read");
}
END_TEST

/* Whichever row is lost, the books are wrong: but that of a refusal, which moved nothing, and counters of zero. */
START_TEST(any_row_that_is_lost_is_found)
{
    struct ledger_id refused = id(18);
    unsigned found = 0;
    qsort(rows, row_count, sizeof rows[0], by_key);
    for (size_t lost = 0; lost < row_count; lost++) {
        bool harmless =
            slice_eq(rows[lost].key, key_transfer(&arena, &refused)) || slice_eq(rows[lost].value, slice_str("0"));
        ledger_proof_free(proof);
        proof = ledger_proof_new();
        for (size_t i = 0; i < row_count; i++)
            if (i != lost) ledger_proof_take(proof, rows[i].key, rows[i].value);
        audit = ledger_proof_judge(proof, MS(99));
        ck_assert_msg(harmless == (audit->faults == 0), "row %zu: %s", lost, audit->first_fault);
        found += audit->faults > 0;
    }
    ck_assert_uint_gt(found, 30);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ledger proof");
    TCase *tc = tcase_create("proof");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, right_books_are_proven);
    tcase_add_test(tc, a_balance_that_is_not_the_sum_of_its_postings);
    tcase_add_test(tc, money_made_on_one_side);
    tcase_add_test(tc, pending_money_on_one_side);
    tcase_add_test(tc, postings_that_no_transfer_left);
    tcase_add_test(tc, a_transfer_that_left_no_postings);
    tcase_add_test(tc, a_transfer_of_another_amount);
    tcase_add_test(tc, a_transfer_between_other_accounts);
    tcase_add_test(tc, an_account_that_was_never_created);
    tcase_add_test(tc, a_limit_that_is_exceeded);
    tcase_add_test(tc, resolutions_without_their_transfers);
    tcase_add_test(tc, the_last_resolution_without_its_transfer);
    tcase_add_test(tc, a_refused_transfer_that_was_resolved);
    tcase_add_test(tc, a_pending_transfer_resolved_by_another_than_says_so);
    tcase_add_test(tc, a_pending_transfer_that_was_posted_and_does_not_know);
    tcase_add_test(tc, a_timeout_that_is_not_listed);
    tcase_add_test(tc, a_timeout_of_what_does_not_wait);
    tcase_add_test(tc, a_row_that_cannot_be_read);
    tcase_add_test(tc, any_row_that_is_lost_is_found);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
