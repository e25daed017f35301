/* What may be repeated and what may not: src/client/attempt.c; with random faults at the end. Trap T39. */
#include "lib/client_rig.h"
#include "lib/suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct fake_cluster f;
static struct outcome o;

/* How a node treats the next transactions. */
enum trick {
    TRICK_NONE,
    TRICK_APPLY_AND_RESET, /* done, and the connection breaks before the answer */
    TRICK_RESET,           /* not done, and the connection breaks: looks the same from outside */
    TRICK_APPLY_SAY_UNKNOWN,
    TRICK_SAY_UNKNOWN,
    TRICK_IGNORE,
    TRICK_LATE, /* kept, and done when the test says so; no answer */
    TRICK_COUNT
};
struct tricks {
    enum trick next[64];
    unsigned count, used;
    struct buf late[2048]; /* encoded transactions that wait to be done */
    unsigned late_count;
};
static struct tricks tricks;

static void keep_late(struct slice txn)
{
    ck_assert_uint_lt(tricks.late_count, 2048);
    struct buf *b = &tricks.late[tricks.late_count++];
    buf_init(b, LIMIT_FRAME_BYTES);
    buf_append_slice(b, txn);
}

static void apply_late(unsigned i)
{
    struct buf result;
    buf_init(&result, LIMIT_FRAME_BYTES);
    fake_apply(&f, buf_slice(&tricks.late[i]), &result);
    buf_free(&result);
    buf_free(&tricks.late[i]);
    tricks.late[i] = tricks.late[--tricks.late_count];
}

static void play(struct fake_node *n, struct rpc_request *r, enum trick trick, struct slice txn)
{
    struct buf result;
    buf_init(&result, LIMIT_FRAME_BYTES);
    if (trick == TRICK_APPLY_AND_RESET || trick == TRICK_APPLY_SAY_UNKNOWN) fake_apply(n->cluster, txn, &result);
    buf_free(&result);
    if (trick == TRICK_LATE) keep_late(txn);
    if (trick == TRICK_APPLY_SAY_UNKNOWN || trick == TRICK_SAY_UNKNOWN) {
        fake_refuse(r, prng_chance(&f.prng, 1, 2) ? STATUS_TIMEOUT : STATUS_NOT_LEADER, true, 0);
        return;
    }
    rpc_request_drop(r);
    if (trick == TRICK_APPLY_AND_RESET || trick == TRICK_RESET) fakenet_reset(n->env);
}

/* Plays a trick on a transaction that the node would serve. */
static bool trick_hook(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    (void)ctx;
    if (r->method != METHOD_TXN || tricks.used == tricks.count) return false;
    struct arena arena;
    arena_init(&arena, 1024);
    struct txn_request m;
    ck_assert_int_eq(unpack_txn_request(r->params, &arena, &m), STATUS_OK);
    const struct fake_range *range = fake_range_of_id(n->cluster, m.to.range_id);
    bool mine = range != NULL && range->leader == n->self.node_id && range->epoch.version == m.to.epoch.version;
    if (mine) play(n, r, tricks.next[tricks.used++], m.txn);
    arena_free(&arena);
    return mine;
}

static void start(uint64_t seed, enum trick trick)
{
    fake_start(&f, seed, 0);
    memset(&tricks, 0, sizeof(tricks));
    tricks.next[0] = trick;
    tricks.count = 1;
    fake_get(&f, &o, "apple");
    f.hook = trick_hook;
}

static void stop(void)
{
    while (tricks.late_count > 0) apply_late(0);
    fake_stop(&f);
}

START_TEST(without_id_it_is_never_repeated)
{
    for (enum trick trick = TRICK_APPLY_AND_RESET; trick < TRICK_COUNT; trick++) {
        start((uint64_t)trick, trick);
        fake_start_add(&f, &o, "apple", 1, 0, 1500);
        fake_wait(&f, &o, 2 * SECOND);
        ck_assert(!o.served);
        ck_assert(o.unknown);
        ck_assert(o.status == STATUS_TIMEOUT || o.status == STATUS_UNAVAILABLE);
        ck_assert(strstr(o.message, "may or may not have happened") != NULL);
        (void)fakenet_run(f.net, NULL, NULL, 3 * SECOND);
        bool applied = trick == TRICK_APPLY_AND_RESET || trick == TRICK_APPLY_SAY_UNKNOWN;
        ck_assert_uint_eq(f.applied, applied ? 1 : 0);
        ck_assert_uint_eq(fake_stats(&f).unknown_outcomes, 1);
        stop();
    }
}
END_TEST

/* A node that says nothing, not even to a ping. Without an id one waits, for it may go on and say what became of it; who can find out is
 * told at once that it is unknown; with an id another node is asked. */
START_TEST(silence_of_a_node)
{
    struct txn_op op = {.kind = TXN_ADD, .key = slice_str("apple"), .delta = 1, .min = I128_MIN, .max = I128_MAX};
    struct txn t = {.ops = &op, .op_count = 1};
    struct outcome findable = {.f = &f}, waits;
    fake_start(&f, 77, 0);
    fake_get(&f, &o, "apple");
    struct fake_range *range = fake_range_of_key(&f, "apple");
    struct fake_node *stopped = &f.nodes[range->leader];
    fakenet_silent(stopped->env, true);
    range->leader = range->nodes[range->nodes[0] == range->leader];
    uint64_t began = fakenet_now_ns(f.net);
    client_txn_findable(f.client, slice_str("bank"), &t, 8000, outcome_on_txn, &findable);
    fake_start_add(&f, &waits, "apple", 1, 0, 3000);
    fake_wait(&f, &findable, SECOND);
    ck_assert(findable.unknown && !findable.served);
    ck_assert_uint_le(findable.at_ns - began, 600 * NS_PER_MS);
    fake_start_add(&f, &o, "apple", 1, 4712, 3000);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_OK);
    ck_assert_uint_eq(waits.at_ns, 0);
    fakenet_silent(stopped->env, false);
    fake_wait(&f, &waits, SECOND); /* it goes on, and refuses what it does not lead any more */
    ck_assert_int_eq(waits.status, STATUS_OK);
    ck_assert(!waits.unknown);
    fake_stop(&f);
}
END_TEST

START_TEST(with_an_id_it_is_repeated_and_acts_once)
{
    for (enum trick trick = TRICK_APPLY_AND_RESET; trick < TRICK_COUNT; trick++) {
        start((uint64_t)trick + 20, trick);
        fake_start_add(&f, &o, "apple", 1, 4711, 5000);
        fake_wait(&f, &o, 6 * SECOND);
        ck_assert_int_eq(o.status, STATUS_OK);
        ck_assert_str_eq(o.value, "1");
        bool applied = trick == TRICK_APPLY_AND_RESET || trick == TRICK_APPLY_SAY_UNKNOWN;
        ck_assert_int_eq(o.replayed, applied);
        if (tricks.late_count > 0) apply_late(0); /* the first attempt's entry turns up after all */
        fake_get(&f, &o, "apple");
        ck_assert_str_eq(o.value, "1");
        stop();
    }
}
END_TEST

/* An unknown attempt stays unknown however definite the later ones are. */
START_TEST(unknown_is_not_forgotten)
{
    start(40, TRICK_APPLY_AND_RESET);
    fake_range_of_key(&f, "apple")->leader = 1;
    fake_start_add(&f, &o, "apple", 1, 4711, 800);
    while (f.applied == 0) (void)fakenet_run(f.net, NULL, NULL, 50000);
    fake_range_of_key(&f, "apple")->leader = 0; /* from now on: NOT_LEADER */
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_TIMEOUT);
    ck_assert(o.unknown);
    fake_range_of_key(&f, "apple")->leader = 1;
    fake_add(&f, &o, "apple", 1, 4711); /* the application asks again, with the same id */
    ck_assert_int_eq(o.status, STATUS_OK);
    ck_assert(o.replayed);
    ck_assert_str_eq(o.value, "1");
    stop();
}
END_TEST

static bool refuse_once_then_io(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    unsigned *seen = ctx;
    if (n->self.role == ROLE_META) return false;
    ++*seen;
    fake_refuse(r, *seen == 1 ? STATUS_UNAVAILABLE : STATUS_NO_SPACE, *seen == 1, 0);
    return true;
}

START_TEST(final_refusal_after_an_unknown_attempt)
{
    start(41, TRICK_NONE);
    unsigned seen = 0;
    f.hook = refuse_once_then_io;
    f.hook_ctx = &seen;
    fake_add(&f, &o, "apple", 1, 4711);
    ck_assert_int_eq(o.status, STATUS_NO_SPACE);
    ck_assert(o.unknown);
    seen = 1; /* without the unknown one it is definite */
    fake_add(&f, &o, "apple", 1, 4712);
    ck_assert_int_eq(o.status, STATUS_NO_SPACE);
    ck_assert(!o.unknown);
    stop();
}
END_TEST

START_TEST(guard_refusals_are_results)
{
    start(42, TRICK_NONE);
    tricks.count = 0;
    struct txn_op op = {.kind = TXN_ADD, .key = slice_str("apple"), .delta = -1, .min = 0, .max = I128_MAX};
    struct txn t = {.ops = &op, .op_count = 1};
    o = (struct outcome){.f = &f};
    client_txn(f.client, slice_str("bank"), &t, 5000, outcome_on_txn, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert(o.served);
    ck_assert_int_eq(o.status, STATUS_GUARD_FAILED);
    stop();
}
END_TEST

/* --- random --- */

#define WORKERS 12
static const char *const KEYS[] = {"apple", "cherry", "grape", "kiwi", "lemon", "quince", "tomato"};
#define KEYS_COUNT (sizeof(KEYS) / sizeof(KEYS[0]))

struct worker {
    struct outcome o;
    unsigned key;
    uint64_t id; /* 0: without */
    bool busy;
};
static struct worker workers[WORKERS];
static uint64_t with_id[KEYS_COUNT];                    /* ids that ended OK */
static uint64_t acked[KEYS_COUNT], unknown[KEYS_COUNT]; /* without id */

/* Looks at what has ended; a transaction with an id goes on until it is OK. */
static void harvest(struct worker *w, uint64_t *ended)
{
    if (!w->busy || w->o.done == 0) return;
    bool ok = w->o.served && w->o.status == STATUS_OK;
    if (w->id != 0 && !ok) {
        fake_start_add(&f, &w->o, KEYS[w->key], 1000000, w->id, 500);
        return;
    }
    w->busy = false;
    ++*ended;
    if (w->id != 0)
        with_id[w->key]++;
    else if (ok)
        acked[w->key]++;
    else if (w->o.unknown)
        unknown[w->key]++;
}

static void begin(struct worker *w, uint64_t *last_id)
{
    w->busy = true;
    w->key = (unsigned)prng_below(&f.prng, KEYS_COUNT);
    w->id = prng_chance(&f.prng, 1, 2) ? ++*last_id : 0;
    fake_start_add(&f, &w->o, KEYS[w->key], w->id != 0 ? 1000000 : 1, w->id, (uint32_t)prng_between(&f.prng, 50, 2000));
}

static void disturb(void)
{
    struct fake_range *r = &f.ranges[prng_below(&f.prng, f.range_count)];
    if (prng_chance(&f.prng, 1, 4)) r->leader = prng_chance(&f.prng, 1, 4) ? 0 : r->nodes[prng_below(&f.prng, 3)];
    if (prng_chance(&f.prng, 1, 8)) fakenet_reset_one(f.net);
    if (prng_chance(&f.prng, 1, 20)) fakenet_down(f.nodes[prng_between(&f.prng, 0, FAKE_NODES)].env, true);
    if (prng_chance(&f.prng, 1, 5)) fakenet_down(f.nodes[prng_between(&f.prng, 0, FAKE_NODES)].env, false);
    if (prng_chance(&f.prng, 1, 40)) fakenet_silent(f.nodes[prng_between(&f.prng, 0, FAKE_NODES)].env, true);
    if (prng_chance(&f.prng, 1, 5)) fakenet_silent(f.nodes[prng_between(&f.prng, 0, FAKE_NODES)].env, false);
    if (prng_chance(&f.prng, 1, 20)) f.nodes[prng_between(&f.prng, 1, FAKE_NODES)].hints ^= true;
    if (prng_chance(&f.prng, 1, 15)) fake_split(&f, KEYS[prng_below(&f.prng, KEYS_COUNT)]);
    if (prng_chance(&f.prng, 1, 15)) fake_merge(&f, f.ranges[prng_below(&f.prng, f.range_count)].start);
    if (prng_chance(&f.prng, 1, 6)) fake_sync(&f);
    if (prng_chance(&f.prng, 1, 6) && tricks.late_count > 0)
        apply_late((unsigned)prng_below(&f.prng, tricks.late_count));
    if (tricks.used == tricks.count) tricks.used = tricks.count = 0;
    if (tricks.count < 8 && prng_chance(&f.prng, 1, 3))
        tricks.next[tricks.count++] = (enum trick)prng_between(&f.prng, 1, TRICK_COUNT - 1);
}

static void heal(void)
{
    for (unsigned i = 0; i <= FAKE_NODES; i++) {
        fakenet_down(f.nodes[i].env, false);
        fakenet_silent(f.nodes[i].env, false);
        f.nodes[i].hints = true;
    }
    for (size_t i = 0; i < f.range_count; i++) f.ranges[i].leader = f.ranges[i].nodes[2];
    fake_sync(&f);
    f.hook = NULL;
}

START_TEST(random_faults)
{
    fake_start(&f, 1000 + (uint64_t)_i, _i % 4 == 0 ? 64 : 0);
    memset(&tricks, 0, sizeof(tricks));
    memset(workers, 0, sizeof(workers));
    memset(with_id, 0, sizeof(with_id));
    memset(acked, 0, sizeof(acked));
    memset(unknown, 0, sizeof(unknown));
    f.hook = trick_hook;
    uint64_t last_id = 0, ended = 0;
    for (unsigned round = 0; round < 1500; round++) {
        for (unsigned i = 0; i < WORKERS; i++) {
            harvest(&workers[i], &ended);
            if (!workers[i].busy && prng_chance(&f.prng, 1, 3)) begin(&workers[i], &last_id);
        }
        if (prng_chance(&f.prng, 1, 3)) disturb();
        (void)fakenet_run(f.net, NULL, NULL, prng_below(&f.prng, 20) * MS);
    }
    heal();
    for (unsigned i = 0; i < WORKERS; i++) {
        while (workers[i].busy) {
            harvest(&workers[i], &ended);
            ck_assert_uint_lt(fakenet_now_ns(f.net), 200 * SECOND);
            (void)fakenet_run(f.net, NULL, NULL, 10 * MS);
        }
    }
    while (tricks.late_count > 0) apply_late(0); /* whatever may still happen, happens now */
    uint64_t ids = 0, sure = 0, open = 0;
    for (unsigned i = 0; i < KEYS_COUNT; i++) {
        fake_get(&f, &o, KEYS[i]);
        ck_assert_int_eq(o.status, STATUS_OK);
        unsigned long long value = strtoull(o.value, NULL, 10);
        ck_assert_uint_eq(value / 1000000, with_id[i]); /* each id once */
        ck_assert_uint_ge(value % 1000000, acked[i]);
        ck_assert_uint_le(value % 1000000, acked[i] + unknown[i]);
        ids += with_id[i];
        sure += acked[i];
        open += unknown[i];
    }
    ck_assert_uint_eq(ids, last_id);
    ck_assert_uint_gt(ids, 20);
    ck_assert_uint_gt(sure, 20);
    ck_assert_uint_gt(open, 3);
    ck_assert_uint_eq(fake_stats(&f).in_flight, 0);
    fake_stop(&f);
}
END_TEST

/* The same seed gives the same run: the order of everything is drawn, nothing comes from addresses or time. */
START_TEST(runs_alike)
{
    uint64_t sends[2], counts[2];
    for (unsigned run = 0; run < 2; run++) {
        fake_start(&f, 99, 50);
        memset(&tricks, 0, sizeof(tricks));
        memset(workers, 0, sizeof(workers));
        f.hook = trick_hook;
        uint64_t last_id = 0, ended = 0;
        for (unsigned round = 0; round < 300; round++) {
            for (unsigned i = 0; i < WORKERS; i++) {
                harvest(&workers[i], &ended);
                if (!workers[i].busy) begin(&workers[i], &last_id);
            }
            disturb();
            (void)fakenet_run(f.net, NULL, NULL, prng_below(&f.prng, 20) * MS);
        }
        sends[run] = fakenet_counts(f.env).sends;
        counts[run] = fake_stats(&f).retries * 1000003 + f.applied;
        stop();
    }
    ck_assert_uint_eq(sends[0], sends[1]);
    ck_assert_uint_eq(counts[0], counts[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_retry");
    TCase *t = tcase_create("retry");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, without_id_it_is_never_repeated);
    tcase_add_test(t, silence_of_a_node);
    tcase_add_test(t, with_an_id_it_is_repeated_and_acts_once);
    tcase_add_test(t, unknown_is_not_forgotten);
    tcase_add_test(t, final_refusal_after_an_unknown_attempt);
    tcase_add_test(t, guard_refusals_are_results);
    tcase_add_loop_test(t, random_faults, 0, 30);
    tcase_add_test(t, runs_alike);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
