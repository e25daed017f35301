/* Directed scenarios on a whole cluster (tests/sim/stage.h): orders of events that seeds meet by chance only, brought about on purpose.
 * Each is one that systems like this one got wrong: docs/testing.md. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/interact.h"
#include "lib/cover.h"
#include "lib/suite.h"
#include "sim/stage.h"

enum { CALL_MS = 5000, START = 1000 };

static struct stage stage;
static struct stage *const s = &stage;

static void teardown(void)
{
    stage_free(s);
}

static void setup(void)
{
    stage_init(s, 1);
    ck_assert_msg(!s->world.failed, "%s", s->world.failure);
}

static void sound(void)
{
    if (s->world.failed) world_trace_dump(&s->world, 60);
    ck_assert_msg(!s->world.failed, "%s", s->world.failure);
}

static void wait_for(const bool *flag)
{
    if (!stage_until(s, flag)) world_trace_dump(&s->world, 60);
    ck_assert_msg(*flag, "what was asked is not answered: %s", s->world.failure);
    sound();
}

static const struct read_how STRONG = {.mode = READ_STRONG};

static struct txn_op get_op(const char *key)
{
    return (struct txn_op){.kind = TXN_GET, .key = slice_str(key), .value = SLICE_EMPTY};
}

static struct txn_op put_op(const char *key, const char *value)
{
    return (struct txn_op){.kind = TXN_PUT, .key = slice_str(key), .value = slice_str(value)};
}

static struct txn_op add_op(const char *key, int64_t delta, int64_t min)
{
    return (struct txn_op){
        .kind = TXN_ADD, .key = slice_str(key), .value = SLICE_EMPTY, .delta = delta, .min = min, .max = I128_MAX};
}

static void do_ops(const struct txn_op *ops, size_t count, struct stage_answer *out)
{
    struct txn t = {.op_count = count};
    t.ops = (struct txn_op[]){ops[0], ops[count - 1]};
    ck_assert(count <= 2);
    bool done = stage_do(s, 2, &t, out);
    sound();
    ck_assert(done && out->result == STATUS_OK);
}

static void put(const char *key, const char *value)
{
    struct stage_answer a;
    do_ops(&(struct txn_op){.kind = TXN_PUT, .key = slice_str(key), .value = slice_str(value)}, 1, &a);
}

/* Both at one moment, the latest. */
static void look(const char *one, const char *other, struct stage_answer *out)
{
    do_ops((struct txn_op[]){get_op(one), get_op(other)}, 2, out);
}

static void cut_off(const struct process *p, bool cut)
{
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++) {
        const struct process *q = s->cluster.nodes[i];
        if (q == p) continue;
        sim_net_cut(&s->world, p->index, q->index, cut);
        sim_net_cut(&s->world, q->index, p->index, cut);
    }
}

/* What the router sends to that node takes so much longer; 0: no more. */
static void slow_way(unsigned router, const struct process *node, uint64_t ns)
{
    sim_net_lag(&s->world, s->cluster.clients[router]->index, node->index, 1000000000, ns);
}

/* --- the four-transaction cycle: docs/transactions.md, Order --- */

/* Two keys whose ranges have their leaders on different nodes. */
static void keys_apart(const char **one, const char **other)
{
    static const char *const KEYS[] = {"a", "b", "c", "d", "e", "f"};
    *one = KEYS[0];
    for (unsigned i = 1; i < STAGE_RANGES; i++) {
        *other = KEYS[i];
        if (stage_leader(s, *other) != stage_leader(s, *one)) return;
    }
    ck_abort_msg("one node leads all ranges");
}

START_TEST(four_transaction_cycle)
{
    const char *slow, *quick;
    struct stage_answer w1, w2, read, past;
    keys_apart(&slow, &quick);
    struct process *leader = stage_leader(s, slow);
    cut_off(leader, true); /* W1 gets its timestamp, and hangs */
    struct txn_op first = put_op(slow, "1"), second = put_op(quick, "2");
    stage_txn(s, 0, &(struct txn){.ops = &first, .op_count = 1}, &w1);
    stage_run(s, 5 * MS_NS);
    ck_assert(!w1.done);
    stage_txn(s, 1, &(struct txn){.ops = &second, .op_count = 1}, &w2);
    wait_for(&w2.done);
    ck_assert(!w1.done && w2.status == STATUS_OK);
    stage_get(s, 2, slow, &STRONG, &read); /* after W2, from a leader that holds its lease */
    stage_run(s, 5 * MS_NS);
    cut_off(leader, false);
    wait_for(&w1.done);
    wait_for(&read.done);
    ck_assert(w1.status == STATUS_OK && read.status == STATUS_OK);
    ck_assert_msg(w1.ts < w2.ts, "the order of events was another one");
    stage_scan(s, 1, &(struct read_how){.mode = READ_SNAPSHOT, .ts = w2.ts - 1}, false, &past);
    wait_for(&past.done);
    ck_assert_str_eq(past.values[*slow - 'a'], "1"); /* W1 is before it, W2 behind it */
    ck_assert_str_eq(past.values[*quick - 'a'], "");
    ck_assert_str_eq(read.values[0], "1"); /* so the read, which came after W2, must have seen W1 */
}
END_TEST

/* --- write skew: each of two reads both, and writes what the other has read --- */

static void session_ended(void *ctx, const struct client_error *e, uint64_t ts)
{
    struct stage_answer *a = ctx;
    a->done = true;
    a->status = e->status;
    a->unknown = e->unknown_outcome;
    a->ts = ts;
}

static void session_got(void *ctx, const struct client_error *e, const struct interact_row *row)
{
    struct stage_answer *a = ctx;
    a->done = true;
    a->status = e->status;
    (void)snprintf(a->values[0], STAGE_VALUE, "%.*s", (int)row->value.size, (const char *)row->value.data);
}

static void session_get(struct interact *t, unsigned router, const char *key)
{
    struct stage_answer a = {0};
    interact_get(t, slice_str(key), CALL_MS, session_got, &a);
    process_pass_soon(s->cluster.clients[router]);
    wait_for(&a.done);
    ck_assert(a.status == STATUS_OK);
    ck_assert_str_eq(a.values[0], "on");
}

static struct interact *session(unsigned router, const char *off)
{
    struct stage_answer a = {0};
    struct errbuf err;
    struct txn_op op = put_op(off, "off");
    struct interact *t = interact_new(&s->cluster.clients[router]->env, stage_client(s, router), stage_keyspace);
    interact_begin(t, CALL_MS, session_ended, &a);
    process_pass_soon(s->cluster.clients[router]);
    wait_for(&a.done);
    ck_assert(a.status == STATUS_OK);
    session_get(t, router, "a");
    session_get(t, router, "b");
    ck_assert(interact_write(t, &op, &err) == STATUS_OK);
    return t;
}

/* The first router's Prepare comes late to what it writes, the second's likewise: each has locked first what the other one writes. */
static void cross(unsigned round)
{
    struct process *a = stage_leader(s, "a"), *b = stage_leader(s, "b");
    if (a == NULL || b == NULL || a == b) return;
    slow_way(0, a, round * 200000);
    slow_way(1, b, round * 200000);
}

static void uncross(void)
{
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++) {
        for (unsigned router = 0; router < CLIENTS_MAX; router++) slow_way(router, s->cluster.nodes[i], 0);
    }
}

/* Two who are on call; each may go when the other stays. */
static void both_on(void)
{
    put("a", "on");
    put("b", "on");
}

static void one_stays(unsigned round)
{
    struct stage_answer a;
    look("a", "b", &a);
    ck_assert_msg(strcmp(a.values[0], "on") == 0 || strcmp(a.values[1], "on") == 0, "round %u: nobody is left", round);
}

START_TEST(write_skew_of_sessions)
{
    unsigned gone = 0;
    for (unsigned round = 0; round < 30; round++) {
        struct stage_answer first = {0}, second = {0};
        both_on();
        struct interact *one = session(0, "a"), *other = session(1, "b");
        struct process *p = stage_leader(s, "b");
        cross(round);
        interact_commit(one, CALL_MS, session_ended, &first);
        process_pass_soon(s->cluster.clients[0]);
        interact_commit(other, CALL_MS, session_ended, &second);
        process_pass_soon(s->cluster.clients[1]);
        if (round % 5 == 4 && p != NULL) {
            stage_run(s, round * 50000);
            stage_crash(s, p);
        }
        wait_for(&first.done);
        wait_for(&second.done);
        uncross();
        ck_assert(first.status != STATUS_OK || second.status != STATUS_OK);
        gone += first.status == STATUS_OK || second.status == STATUS_OK;
        interact_free(one);
        interact_free(other);
        stage_revive(s);
        one_stays(round);
    }
    ck_assert_uint_ge(gone, 15);
}
END_TEST

/* The same as one request each: compares in both ranges, an operation in one. */
START_TEST(write_skew_of_requests)
{
    unsigned gone = 0;
    for (unsigned round = 0; round < 30; round++) {
        struct stage_answer answer[2];
        struct txn_compare on[2];
        both_on();
        cross(round);
        for (unsigned i = 0; i < 2; i++) {
            on[i] = (struct txn_compare){.target = TXN_TARGET_VALUE,
                                         .relation = TXN_EQUAL,
                                         .key = slice_str(i == 0 ? "a" : "b"),
                                         .value = slice_str("on")};
        }
        for (unsigned i = 0; i < 2; i++) {
            struct txn_op off = put_op(i == 0 ? "a" : "b", "off");
            struct txn t = {
                .id = stage_id(2 * round + i + 1), .compares = on, .compare_count = 2, .ops = &off, .op_count = 1};
            stage_txn(s, i, &t, &answer[i]);
        }
        wait_for(&answer[0].done);
        wait_for(&answer[1].done);
        uncross();
        ck_assert(answer[0].status == STATUS_OK && answer[1].status == STATUS_OK);
        ck_assert(answer[0].result != STATUS_OK || answer[1].result != STATUS_OK);
        gone += answer[0].result == STATUS_OK || answer[1].result == STATUS_OK;
        one_stays(round);
    }
    ck_assert_uint_eq(gone, 30);
}
END_TEST

/* --- long fork: two writers that know nothing of each other; whoever reads both sees them in one order --- */

START_TEST(long_fork)
{
    enum { ROUNDS = 30, READS = 24 };
    unsigned halves = 0;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        struct stage_answer w[2], r[READS];
        char value[16];
        unsigned only_a = 0, only_b = 0;
        struct process *p = stage_leader(s, round % 2 == 0 ? "a" : "b");
        (void)snprintf(value, sizeof value, "%u", round);
        if (p != NULL && round % 3 == 0) cut_off(p, true);
        for (unsigned i = 0; i < 2; i++) {
            struct txn_op op = put_op(i == 0 ? "a" : "b", value);
            stage_txn(s, i, &(struct txn){.ops = &op, .op_count = 1}, &w[i]);
        }
        for (unsigned i = 0; i < READS; i++) {
            struct txn_op both[] = {get_op("a"), get_op("b")};
            stage_run(s, 1 + round * 10000);
            if (i % 2 == 0)
                stage_scan(s, 2, &(struct read_how){.mode = READ_SNAPSHOT}, false, &r[i]);
            else
                stage_txn(s, i / 2 % 3, &(struct txn){.ops = both, .op_count = 2}, &r[i]);
        }
        if (p != NULL) cut_off(p, false);
        for (unsigned i = 0; i < 2; i++) wait_for(&w[i].done);
        for (unsigned i = 0; i < READS; i++) {
            wait_for(&r[i].done);
            bool a = strcmp(r[i].values[0], value) == 0, b = strcmp(r[i].values[1], value) == 0;
            only_a += r[i].status == STATUS_OK && a && !b;
            only_b += r[i].status == STATUS_OK && b && !a;
        }
        ck_assert_msg(only_a == 0 || only_b == 0, "round %u: %u saw a first, %u b", round, only_a, only_b);
        halves += only_a + only_b > 0;
        stage_run(s, 300 * MS_NS);
    }
    ck_assert_uint_ge(halves, 3); /* else nobody has looked at the right moment */
}
END_TEST

/* --- one timestamp: what is written in two ranges at different moments is there from one on --- */

START_TEST(one_timestamp)
{
    for (unsigned round = 1; round <= 10; round++) {
        struct stage_answer w, r;
        char value[16], before[16] = "";
        (void)snprintf(value, sizeof value, "%u", round);
        if (round > 1) (void)snprintf(before, sizeof before, "%u", round - 1);
        struct txn_op ops[2] = {put_op("a", value), put_op("b", value)};
        slow_way(0, stage_leader(s, round % 2 == 0 ? "a" : "b"), round * MS_NS);
        stage_txn(s, 0, &(struct txn){.ops = ops, .op_count = 2}, &w);
        wait_for(&w.done);
        uncross();
        ck_assert(w.status == STATUS_OK);
        for (unsigned late = 0; late < 2; late++) {
            stage_scan(s, 1, &(struct read_how){.mode = READ_SNAPSHOT, .ts = w.ts - 1 + late}, false, &r);
            wait_for(&r.done);
            ck_assert(r.status == STATUS_OK);
            ck_assert_str_eq(r.values[0], late == 1 ? value : before);
            ck_assert_str_eq(r.values[1], late == 1 ? value : before);
        }
    }
}
END_TEST

/* --- deaths at each step --- */

static struct txn transfer(uint64_t id, struct txn_op ops[2])
{
    ops[0] = add_op("a", -1, 0);
    ops[1] = add_op("b", 1, INT64_MIN);
    struct txn t = {.ops = ops, .op_count = 2};
    if (id != 0) t.id = stage_id(id);
    return t;
}

static void fund(void)
{
    struct stage_answer a;
    struct txn_op op = add_op("a", START, 0);
    do_ops(&op, 1, &a);
}

/* Transfers that have happened. */
static long moved_in(const struct stage_answer *a)
{
    long left = strtol(a->values[0], NULL, 10), moved = strtol(a->values[1], NULL, 10);
    ck_assert_msg(left + moved == START, "%ld and %ld", left, moved);
    return moved;
}

static long happened(bool snapshot)
{
    struct stage_answer a = {.status = STATUS_RETRY};
    for (unsigned tries = 0; snapshot && a.status != STATUS_OK; tries++) {
        ck_assert_uint_le(tries, 50);
        stage_scan(s, 2, &(struct read_how){.mode = READ_SNAPSHOT}, false, &a);
        wait_for(&a.done);
    }
    long moved = snapshot ? moved_in(&a) : 0;
    look("a", "b", &a);
    if (snapshot) ck_assert_int_eq(moved, moved_in(&a));
    return moved_in(&a);
}

/* The router that coordinates dies before its n-th effect on the network, for each n until it has told everything; another one asks
 * again with the same id. */
START_TEST(router_dies_at_each_step)
{
    unsigned n = 1, answered_first = 0;
    fund();
    for (bool died = true; died; n++) {
        struct stage_answer first, again;
        struct txn_op ops[2];
        struct txn t = transfer(n, ops);
        struct process *router = s->cluster.clients[0];
        stage_txn(s, 0, &t, &first);
        router->crash_at_effect = n;
        stage_run(s, 400 * MS_NS); /* more than all of it takes, the Forgets too */
        died = !process_runs(router);
        router->crash_at_effect = 0;
        answered_first += first.done;
        ck_assert(died || (first.done && first.status == STATUS_OK));
        if (n % 2 == 0) stage_revive(s);
        ck_assert(stage_do(s, 1, &t, &again));
        ck_assert(again.result == STATUS_OK);
        if (first.done) ck_assert(again.replayed && again.ts == first.ts);
        ck_assert_int_eq(happened(n % 3 == 0), n);
        stage_revive(s);
        ck_assert_uint_le(n, 60);
        struct stage_answer warm; /* it knows the way again, so that the steps are those of the transaction */
        struct txn_op both[] = {get_op("a"), get_op("b")};
        ck_assert(stage_do(s, 0, &(struct txn){.ops = both, .op_count = 2}, &warm));
    }
    ck_assert_uint_ge(n, 5);
    ck_assert_uint_ge(answered_first, 2); /* some deaths came behind the answer */
    sound();
}
END_TEST

/* The same without an id: all of it or nothing. */
START_TEST(router_dies_at_each_step_without_an_id)
{
    long before = 0;
    unsigned n = 1, lost = 0;
    fund();
    for (bool died = true; died; n++) {
        struct stage_answer first, warm;
        struct txn_op ops[2], both[] = {get_op("a"), get_op("b")};
        struct txn t = transfer(0, ops);
        struct process *router = s->cluster.clients[0];
        stage_txn(s, 0, &t, &first);
        router->crash_at_effect = n;
        stage_run(s, 400 * MS_NS);
        died = !process_runs(router);
        router->crash_at_effect = 0;
        long now = happened(n % 2 == 0);
        ck_assert(now == before + 1 || (now == before && !first.done));
        lost += now == before;
        before = now;
        stage_revive(s);
        ck_assert_uint_le(n, 60);
        ck_assert(stage_do(s, 0, &(struct txn){.ops = both, .op_count = 2}, &warm));
    }
    ck_assert_uint_ge(lost, 1);
    sound();
}
END_TEST

/* A participant's leader dies before its n-th effect on disk or network; every fourth time all nodes stop with it. */
START_TEST(participant_dies_at_each_step)
{
    fund();
    for (unsigned n = 1; n <= 24; n++) {
        struct stage_answer first, again;
        struct txn_op ops[2];
        struct txn t = transfer(n, ops);
        struct process *p = stage_leader(s, n % 2 == 0 ? "a" : "b");
        stage_txn(s, 0, &t, &first);
        if (p != NULL) p->crash_at_effect = n;
        stage_run(s, 20 * MS_NS);
        if (p != NULL) p->crash_at_effect = 0;
        for (unsigned i = 0; n % 4 == 0 && i < s->cluster.knobs.node_count; i++) stage_crash(s, s->cluster.nodes[i]);
        stage_run(s, n * 20 * MS_NS);
        stage_revive(s);
        wait_for(&first.done);
        ck_assert(stage_do(s, 1, &t, &again));
        ck_assert(again.result == STATUS_OK);
        if (first.status == STATUS_OK) ck_assert(again.replayed && again.ts == first.ts);
        ck_assert_int_eq(happened(n % 3 == 0), n);
    }
    sound();
}
END_TEST

/* --- escrow: what is there once is given once, also when who has reserved it dies --- */

START_TEST(one_for_two)
{
    struct stage_answer a;
    for (unsigned round = 1; round <= 30; round++) {
        struct stage_answer answer[2];
        struct txn_op one = add_op("a", 1, 0), ops[2];
        do_ops(&one, 1, &a);
        cross(round % 3 * 10); /* the refusal comes later than the other range's yes */
        slow_way(1, stage_leader(s, "a"), round % 3 * 2 * MS_NS);
        struct process *router = s->cluster.clients[0];
        for (unsigned i = 0; i < 2; i++) {
            struct txn t = transfer(100 * round + i, ops);
            stage_txn(s, i, &t, &answer[i]);
            if (i == 0 && round % 2 == 0) router->crash_at_effect = 1 + round / 4;
            stage_run(s, 1 + round * 50000);
        }
        wait_for(&answer[1].done);
        stage_run(s, 300 * MS_NS);
        router->crash_at_effect = 0;
        if (process_runs(router)) wait_for(&answer[0].done);
        uncross();
        stage_revive(s);
        unsigned given = 0;
        for (unsigned i = 0; i < 2; i++) {
            struct txn t = transfer(100 * round + i, ops);
            ck_assert(stage_do(s, 1, &t, &answer[i]));
            ck_assert(answer[i].result == STATUS_OK || answer[i].result == STATUS_GUARD_FAILED);
            given += answer[i].result == STATUS_OK;
        }
        ck_assert_uint_eq(given, 1);
        look("a", "b", &a);
        ck_assert_str_eq(a.values[0], "0");
        ck_assert_int_eq(strtol(a.values[1], NULL, 10), round);
    }
    sound();
}
END_TEST

/* --- a Prepare comes behind the Seal that somebody else has sent: it must find the tombstone --- */

START_TEST(a_prepare_behind_its_seal)
{
    fund();
    for (unsigned n = 1; n <= 10; n++) {
        struct stage_answer first, other;
        struct txn_op ops[2];
        struct txn t = transfer(n % 2 == 0 ? n : 0, ops);
        slow_way(0, stage_leader(s, "b"), 700 * MS_NS + n * 30 * MS_NS);
        stage_txn(s, 0, &t, &first);
        stage_run(s, 20 * MS_NS); /* it is prepared at a */
        struct txn_op read = get_op("a");
        ck_assert(stage_do(s, 1, &(struct txn){.ops = &read, .op_count = 1}, &other)); /* meets it, and settles it */
        uncross();
        wait_for(&first.done);
        long moved = happened(true);
        ck_assert(moved == 1 || (first.status != STATUS_OK && moved == 0));
        struct txn_op undo[2] = {add_op("a", moved, 0), add_op("b", -moved, INT64_MIN)};
        do_ops(undo, 2, &other);
    }
    sound();
}
END_TEST

/* --- a key beside which the rows of many ids lie: a scan does not walk over them --- */

START_TEST(ids_beside_a_key)
{
    enum { IDS = 40 };
    put("b", "next");
    for (unsigned i = 1; i <= IDS; i++) {
        struct stage_answer a;
        struct txn_op op = add_op("a", 1, 0);
        ck_assert(stage_do(s, 0, &(struct txn){.id = stage_id(i), .ops = &op, .op_count = 1}, &a));
    }
    for (unsigned reverse = 0; reverse < 2; reverse++) {
        struct stage_answer r;
        uint64_t before = cover_count("scan.ids_skipped");
        stage_scan(s, 2, &(struct read_how){.mode = READ_SNAPSHOT}, reverse == 1, &r);
        wait_for(&r.done);
        ck_assert(r.status == STATUS_OK);
        ck_assert_str_eq(r.values[0], "40");
        ck_assert_str_eq(r.values[1], "next");
        ck_assert_uint_gt(cover_count("scan.ids_skipped"), before);
    }
}
END_TEST

/* --- what a replica knows of its rows when it has been opened anew --- */

static void flushed(void *ctx)
{
    (void)ctx;
}

static void flush_all(void)
{
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++) {
        struct host *h = process_host(s->cluster.nodes[i]);
        if (h != NULL) lsm_flush(host_store(h), flushed, NULL);
        process_pass_soon(s->cluster.nodes[i]);
    }
    stage_run(s, 2 * SEC_NS);
}

/* Two ranges vote for a transaction, whose router then dies. A later write of another key is acknowledged, and all of it is in the
 * stores when every node restarts. The first that is applied then is the transaction's end, with a version from before that write: it
 * says nothing of what else is there, and a scan of the latest rows must find the later write. */
START_TEST(an_old_decision_is_the_first_after_a_restart)
{
    struct stage_answer first, met, scan;
    struct txn_op ops[] = {put_op("a1", "1"), put_op("b1", "1")};
    put("a", "old");
    stage_txn(s, 0, &(struct txn){.ops = ops, .op_count = 2}, &first);
    stage_run(s, MS_NS); /* the Prepares have left; what follows them takes for ever */
    slow_way(0, stage_leader(s, "a"), 50 * SEC_NS);
    slow_way(0, stage_leader(s, "b"), 50 * SEC_NS);
    wait_for(&first.done);
    ck_assert(first.status == STATUS_OK);
    put("a", "new");
    flush_all();
    stage_crash(s, s->cluster.clients[0]);
    uncross();
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++) stage_crash(s, s->cluster.nodes[i]);
    stage_revive(s);
    met.status = STATUS_RETRY;
    for (unsigned tries = 0; tries < 20 && met.status != STATUS_OK; tries++) {
        stage_get(s, 1, "a1", &STRONG, &met); /* meets the transaction, and settles it */
        wait_for(&met.done);
    }
    ck_assert_int_eq(met.status, STATUS_OK);
    ck_assert_str_eq(met.values[0], "1");
    stage_scan(s, 2, &STRONG, false, &scan);
    wait_for(&scan.done);
    ck_assert(scan.status == STATUS_OK);
    ck_assert_str_eq(scan.values[0], "new");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim_directed");
    TCase *t = tcase_create("scenarios");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, four_transaction_cycle);
    tcase_add_test(t, write_skew_of_sessions);
    tcase_add_test(t, write_skew_of_requests);
    tcase_add_test(t, long_fork);
    tcase_add_test(t, one_timestamp);
    tcase_add_test(t, router_dies_at_each_step);
    tcase_add_test(t, router_dies_at_each_step_without_an_id);
    tcase_add_test(t, participant_dies_at_each_step);
    tcase_add_test(t, one_for_two);
    tcase_add_test(t, a_prepare_behind_its_seal);
    tcase_add_test(t, ids_beside_a_key);
    tcase_add_test(t, an_old_decision_is_the_first_after_a_restart);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
