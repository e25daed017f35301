/* Random transactions against the model: every result bit for bit, every row; retries with the same id later on; the view
 * stopping at each read in turn; the same inputs give the same bytes. */
#include "lib/cover.h"
#include "lib/txn_model.h"

#include <check.h>
#include <stdio.h>

#define SEED 7001u
#define STEPS 400u

struct world {
    struct prng p;
    struct model model;
    struct rows rows;
    struct arena arena;   /* one step's */
    struct arena history; /* requests that may come again */
    struct slice requests[STEPS];
    size_t request_count;
    struct buf encoded, result, expected, again;
    uint64_t ts;
    unsigned statuses[STATUS_COUNT];
    unsigned missed;
};

static void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    prng_init(&w->p, seed);
    model_init(&w->model);
    rows_init(&w->rows);
    arena_init(&w->arena, 4096);
    arena_init(&w->history, 4096);
    buf_init(&w->encoded, LIMIT_TXN_BYTES);
    buf_init(&w->result, TXN_RESULT_BYTES_MAX);
    buf_init(&w->expected, TXN_RESULT_BYTES_MAX);
    buf_init(&w->again, TXN_RESULT_BYTES_MAX);
    w->ts = 1000;
}

static void world_free(struct world *w)
{
    model_free(&w->model);
    rows_free(&w->rows);
    arena_free(&w->arena);
    arena_free(&w->history);
    buf_free(&w->encoded);
    buf_free(&w->result);
    buf_free(&w->expected);
    buf_free(&w->again);
}

/* A new transaction, one that came before, or another one under an id that came before. */
static void make_request(struct world *w)
{
    buf_clear(&w->encoded);
    if (w->request_count > 0 && prng_chance(&w->p, 1, 4)) {
        buf_append_slice(&w->encoded, w->requests[prng_below(&w->p, w->request_count)]);
        return;
    }
    struct txn t = model_txn(&w->p, &w->arena);
    if (prng_chance(&w->p, 1, 2)) {
        for (size_t i = 0; i < 8; i++) t.id.bytes[i + 1] = (uint8_t)(w->ts >> (8 * i));
        t.id.bytes[0] = 1;
        if (prng_chance(&w->p, 1, 5))
            memset(t.id.bytes + 1, (int)prng_below(&w->p, 3), TXN_ID_BYTES - 1); /* often reused */
    }
    txn_encode(&t, &w->encoded);
    w->requests[w->request_count++] = arena_dup_slice(&w->history, buf_slice(&w->encoded));
}

static bool same_writes(const struct txn_writes *a, const struct txn_writes *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].is_delete != b->items[i].is_delete || !slice_eq(a->items[i].key, b->items[i].key) ||
            !slice_eq(a->items[i].value, b->items[i].value)) {
            return false;
        }
    }
    return true;
}

/* For n = 1, 2, 3...: the n-th read is not there yet. Nothing may have been done, and the next try must not notice. */
static void stop_at_each_read(struct world *w, const struct txn_writes *writes)
{
    uint64_t before = rows_hash(&w->rows);
    for (w->rows.miss_at = 1;; w->rows.miss_at++) {
        struct txn_view view = rows_view(&w->rows);
        struct txn_writes other;
        w->rows.gets = 0;
        w->rows.miss_status = w->rows.miss_at % 3 == 0 ? STATUS_CORRUPT : STATUS_MISS;
        buf_clear(&w->again);
        buf_append_str(&w->again, "before");
        enum status s = txn_evaluate(buf_slice(&w->encoded), w->ts, &view, &w->arena, &other, &w->again);
        ck_assert_uint_eq(rows_hash(&w->rows), before);
        if (w->rows.gets < w->rows.miss_at) {
            ck_assert_int_eq(s, STATUS_OK);
            ck_assert(slice_eq(slice_make(w->again.data + 6, w->again.size - 6), buf_slice(&w->result)));
            ck_assert(same_writes(writes, &other));
            break;
        }
        ck_assert_int_eq(s, w->rows.miss_status);
        ck_assert_uint_eq(w->again.size, 6);
        ck_assert_uint_eq(other.count, 0);
        w->missed++;
    }
    w->rows.miss_at = 0;
}

static void step(struct world *w)
{
    arena_reset(&w->arena);
    make_request(w);
    w->ts += 1 + prng_below(&w->p, 9);
    struct txn t;
    ck_assert_int_eq(txn_decode(buf_slice(&w->encoded), &w->arena, &t, NULL), STATUS_OK);
    buf_clear(&w->expected);
    model_evaluate(&w->model, &t, buf_slice(&w->encoded), w->ts, &w->expected);

    struct txn_view view = rows_view(&w->rows);
    struct txn_writes writes;
    buf_clear(&w->result);
    ck_assert_int_eq(txn_evaluate(buf_slice(&w->encoded), w->ts, &view, &w->arena, &writes, &w->result), STATUS_OK);
    ck_assert(slice_eq(buf_slice(&w->result), buf_slice(&w->expected)));
    stop_at_each_read(w, &writes);
    rows_apply(&w->rows, &writes, w->ts);
    ck_assert(model_agrees(&w->model, &w->rows));

    struct txn_result r;
    ck_assert_int_eq(txn_result_decode(buf_slice(&w->result), &w->arena, &r), STATUS_OK);
    if (r.replayed || r.status == STATUS_ID_REUSED) ck_assert_uint_eq(writes.count, 0);
    if (r.status != STATUS_OK) ck_assert_uint_le(writes.count, 1);
    w->statuses[r.status]++;
}

START_TEST(agrees_with_the_model)
{
    unsigned statuses[STATUS_COUNT] = {0}, missed = 0;
    static struct world w;
    cover_reset();
    for (unsigned round = 0; round < 12; round++) {
        world_init(&w, SEED + round);
        for (unsigned i = 0; i < STEPS; i++) step(&w);
        for (unsigned s = 0; s < STATUS_COUNT; s++) statuses[s] += w.statuses[s];
        missed += w.missed;
        world_free(&w);
    }
    /* the walk has seen every outcome */
    ck_assert_uint_gt(statuses[STATUS_OK], 500);
    ck_assert_uint_gt(statuses[STATUS_CONDITION_FAILED], 50);
    ck_assert_uint_gt(statuses[STATUS_GUARD_FAILED], 50);
    ck_assert_uint_gt(statuses[STATUS_EXISTS], 50);
    ck_assert_uint_gt(statuses[STATUS_INVALID], 50);
    ck_assert_uint_gt(statuses[STATUS_ID_REUSED], 5);
    ck_assert_uint_gt(cover_count("txn.replayed"), 100);
    ck_assert_uint_gt(missed, 1000);
}
END_TEST

START_TEST(same_inputs_same_bytes)
{
    static struct world a, b;
    world_init(&a, SEED + 99);
    world_init(&b, SEED + 99);
    for (unsigned i = 0; i < STEPS / 2; i++) {
        step(&a);
        step(&b);
        ck_assert(slice_eq(buf_slice(&a.result), buf_slice(&b.result)));
    }
    ck_assert_uint_eq(rows_hash(&a.rows), rows_hash(&b.rows));
    world_free(&a);
    world_free(&b);
}
END_TEST

/* --- money: transfers between counters, refused ones and repeated ones among them, keep the sum --- */

#define ACCOUNTS 6u

static i128 balance(struct rows *rows, unsigned account)
{
    struct buf key;
    buf_init(&key, 4096);
    char name[2] = {'A', (char)('0' + account)};
    key_encode_data(&key, 1, slice_make(name, 2));
    struct txn_view view = rows_view(rows);
    struct txn_stored stored;
    struct row row = {.counter = 0};
    if (view.get(view.ctx, buf_slice(&key), &stored) == STATUS_OK)
        ck_assert_int_eq(row_decode(stored.value, &row), STATUS_OK);
    buf_free(&key);
    return row.counter;
}

static void transfer_encode(struct prng *p, uint64_t id, struct buf *out)
{
    unsigned from = (unsigned)prng_below(p, ACCOUNTS),
             to = (from + 1 + (unsigned)prng_below(p, ACCOUNTS - 1)) % ACCOUNTS;
    char names[2][2] = {{'A', (char)('0' + from)}, {'A', (char)('0' + to)}};
    i128 amount = (i128)prng_below(p, 40);
    struct txn_op ops[2] = {
        {.kind = TXN_ADD, .key = slice_make(names[0], 2), .delta = -amount, .min = 0, .max = I128_MAX},
        {.kind = TXN_ADD, .key = slice_make(names[1], 2), .delta = amount, .min = I128_MIN, .max = 180},
    };
    struct txn t = {.keyspace = 1, .ops = ops, .op_count = 2};
    for (size_t i = 0; i < 8; i++) t.id.bytes[i] = (uint8_t)(id >> (8 * i));
    t.id.bytes[15] = 1;
    buf_clear(out);
    txn_encode(&t, out);
}

#define TRANSFERS_MAX 1500u
struct bank {
    struct prng p;
    struct rows rows;
    struct arena arena, history;
    struct buf encoded, result;
    struct slice sent[TRANSFERS_MAX], answers[TRANSFERS_MAX];
    size_t count;
    unsigned refused, repeated;
};

static struct txn_result bank_evaluate(struct bank *b, struct slice encoded, uint64_t ts)
{
    struct txn_view view = rows_view(&b->rows);
    struct txn_writes writes;
    struct txn_result r;
    arena_reset(&b->arena);
    buf_clear(&b->result);
    ck_assert_int_eq(txn_evaluate(encoded, ts, &view, &b->arena, &writes, &b->result), STATUS_OK);
    rows_apply(&b->rows, &writes, ts);
    ck_assert_int_eq(txn_result_decode(buf_slice(&b->result), &b->arena, &r), STATUS_OK);
    return r;
}

static void bank_init(struct bank *b)
{
    memset(b, 0, sizeof(*b));
    prng_init(&b->p, SEED + 500);
    rows_init(&b->rows);
    arena_init(&b->arena, 4096);
    arena_init(&b->history, 4096);
    buf_init(&b->encoded, 1u << 16);
    buf_init(&b->result, TXN_RESULT_BYTES_MAX);
    for (unsigned i = 0; i < ACCOUNTS; i++) { /* 100 each */
        char name[2] = {'A', (char)('0' + i)};
        struct txn_op op = {.kind = TXN_ADD, .key = slice_make(name, 2), .delta = 100, .min = 0, .max = I128_MAX};
        struct txn t = {.keyspace = 1, .ops = &op, .op_count = 1};
        buf_clear(&b->encoded);
        txn_encode(&t, &b->encoded);
        ck_assert_int_eq(bank_evaluate(b, buf_slice(&b->encoded), 1).status, STATUS_OK);
    }
}

static void bank_free(struct bank *b)
{
    rows_free(&b->rows);
    arena_free(&b->arena);
    arena_free(&b->history);
    buf_free(&b->encoded);
    buf_free(&b->result);
}

/* One transfer, new or repeated; a repeated one changes no balance and is answered as the first time but for the flag. */
static void bank_step(struct bank *b, uint64_t ts)
{
    bool repeat = b->count > 0 && (b->count == TRANSFERS_MAX || prng_chance(&b->p, 2, 5));
    size_t which = repeat ? (size_t)prng_below(&b->p, b->count) : b->count;
    if (!repeat) {
        transfer_encode(&b->p, ts, &b->encoded);
        b->sent[b->count++] = arena_dup_slice(&b->history, buf_slice(&b->encoded));
    }
    i128 before[ACCOUNTS], sum = 0;
    for (unsigned i = 0; i < ACCOUNTS; i++) before[i] = balance(&b->rows, i);
    struct txn_result r = bank_evaluate(b, b->sent[which], ts);
    ck_assert_int_eq(r.replayed, repeat);
    b->refused += r.status == STATUS_GUARD_FAILED;
    b->repeated += repeat;
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        i128 now = balance(&b->rows, i);
        ck_assert(now >= 0 && now <= 180);
        if (repeat || r.status != STATUS_OK) ck_assert(now == before[i]);
        sum += now;
    }
    ck_assert(sum == 100 * (i128)ACCOUNTS);
    if (!repeat) {
        b->answers[which] = arena_dup_slice(&b->history, buf_slice(&b->result));
        return;
    }
    b->result.data[1] = 0;
    ck_assert(slice_eq(buf_slice(&b->result), b->answers[which]));
}

START_TEST(money_is_conserved)
{
    static struct bank b;
    bank_init(&b);
    for (uint64_t ts = 2; ts < 2500; ts++) bank_step(&b, ts);
    ck_assert_uint_gt(b.refused, 20);
    ck_assert_uint_gt(b.repeated, 500);
    bank_free(&b);
}
END_TEST

int main(void)
{
    printf("seed %u\n", SEED);
    Suite *s = suite_create("txn_model");
    TCase *tc = tcase_create("model");
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, agrees_with_the_model);
    tcase_add_test(tc, same_inputs_same_bytes);
    tcase_add_test(tc, money_is_conserved);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
