/* The simulator's checkers against histories that are wrong: one that cannot fail checks nothing (T52). Each test takes a
 * history that is right, sees it pass, and then spoils it. */
#include <check.h>
#include <stdio.h>

#include "lib/linear.h"
#include "lib/suite.h"
#include "sim/check.h"

static struct world world;
static struct history history;

static void setup(void)
{
    world_init(&world, 1);
    history_init(&history);
}

static void teardown(void)
{
    history_free(&history);
    world_free(&world);
}

static struct op *op(enum op_kind kind, uint64_t call_ns, uint64_t return_ns, uint64_t value, uint64_t version)
{
    size_t at =
        history_call(&history, &(struct op){.kind = kind, .value = value, .version = version, .call_ns = call_ns});
    history.ops[at].outcome = OP_DONE;
    history.ops[at].return_ns = return_ns;
    return &history.ops[at];
}

static bool found(const char *what)
{
    bool failed = world.failed && strstr(world.failure, what) != NULL;
    world.failed = false;
    return failed;
}

static void both(void)
{
    check_linear(&world, &history, 1);
    check_order(&world, &history, 1);
}

/* put 1, put 2, a read of 2, a delete, a read of nothing, a compare-and-put on it */
static void right(void)
{
    op(OP_PUT, 10, 20, 1, 100);
    op(OP_PUT, 30, 40, 2, 200);
    op(OP_GET, 50, 60, 2, 200);
    struct op *gone = op(OP_DELETE, 70, 80, 0, 300);
    gone->has_found = gone->found = true;
    op(OP_GET, 90, 100, 0, 0);
    op(OP_CAS, 110, 120, 3, 400);
}

START_TEST(a_right_history_passes)
{
    right();
    both();
    check_versions(&world, &history);
    ck_assert(!world.failed);
}
END_TEST

START_TEST(a_stale_read)
{
    right();
    history.ops[2].value = 1;
    history.ops[2].version = 100;
    check_linear(&world, &history, 1);
    ck_assert(found("not linearizable"));
    check_order(&world, &history, 1);
    ck_assert(found("commit order"));
}
END_TEST

START_TEST(a_lost_write)
{
    right();
    history.ops[2].value = history.ops[2].version = 0;
    check_linear(&world, &history, 1);
    ck_assert(found("not linearizable"));
    check_order(&world, &history, 1);
    ck_assert(found("commit order"));
}
END_TEST

START_TEST(a_value_from_nowhere)
{
    right();
    history.ops[4].value = 9;
    history.ops[4].version = 350;
    check_linear(&world, &history, 1);
    ck_assert(found("not linearizable"));
    check_order(&world, &history, 1);
    ck_assert(found("commit order"));
}
END_TEST

START_TEST(a_compare_that_did_not_hold)
{
    right();
    history.ops[5].expect = 2;
    check_linear(&world, &history, 1);
    ck_assert(found("not linearizable"));
    check_order(&world, &history, 1);
    ck_assert(found("commit order"));
}
END_TEST

/* Concurrent writes, placed one way by the values and the other way by their timestamps: only the timestamps are wrong. */
START_TEST(an_order_that_the_timestamps_contradict)
{
    op(OP_PUT, 10, 40, 1, 200);
    op(OP_PUT, 20, 30, 2, 100);
    op(OP_GET, 50, 60, 2, 100);
    check_linear(&world, &history, 1);
    ck_assert(!world.failed);
    check_order(&world, &history, 1);
    ck_assert(found("commit order"));
}
END_TEST

/* An unknown outcome excuses both what happens and what does not; a definite "nothing" excuses neither. */
START_TEST(unknown_outcomes)
{
    op(OP_PUT, 10, 20, 1, 100);
    op(OP_PUT, 30, 40, 2, 0)->outcome = OP_UNKNOWN;
    op(OP_GET, 50, 60, 1, 100);
    op(OP_GET, 70, 80, 2, 200);
    both();
    ck_assert(!world.failed);
    history.ops[1].outcome = OP_NOTHING;
    check_linear(&world, &history, 1);
    ck_assert(found("not linearizable"));
    check_order(&world, &history, 1);
    ck_assert(found("commit order"));
}
END_TEST

/* A delete that found something after another one had: only a put of unknown outcome, called long before, explains it. Many
 * deletes of unknown outcome came after it, and in how many ways they may have happened is nobody's business. */
START_TEST(one_of_many_unknown_outcomes)
{
    enum { ROUNDS = 40, UNKNOWN = 25 };
    struct linear_op ops[2 * ROUNDS + UNKNOWN + 3];
    size_t n = 0, stuck = 0;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        ops[n++] = (struct linear_op){.kind = LINEAR_PUT, .value = i, .call_ns = 100 * i, .return_ns = 100 * i + 1};
        ops[n++] = (struct linear_op){.kind = LINEAR_GET, .value = i, .call_ns = 100 * i + 2, .return_ns = 100 * i + 3};
    }
    for (uint64_t i = 0; i < UNKNOWN; i++)
        ops[n++] = (struct linear_op){.kind = LINEAR_DELETE, .call_ns = 2010 + i, .return_ns = LINEAR_NEVER};
    for (uint64_t i = 0; i < 2; i++)
        ops[n++] = (struct linear_op){.kind = LINEAR_DELETE,
                                      .has_found = true,
                                      .found = true,
                                      .call_ns = 9000 + 10 * i,
                                      .return_ns = 9001 + 10 * i};
    size_t few = 2 * ROUNDS; /* without the unknown ones there is no order */
    struct linear_op known[2 * ROUNDS + 2];
    memcpy(known, ops, few * sizeof *ops);
    memcpy(known + few, ops + n - 2, 2 * sizeof *ops);
    ck_assert_int_eq(linear_check(known, few + 2, &stuck), LINEAR_WRONG);
    ck_assert_uint_eq(known[stuck].call_ns, 9010);
    ops[n++] = (struct linear_op){.kind = LINEAR_PUT, .value = 77, .call_ns = 1010, .return_ns = LINEAR_NEVER};
    ck_assert_int_eq(linear_check(ops, n, &stuck), LINEAR_FINE);
}
END_TEST

START_TEST(two_values_of_one_version)
{
    op(OP_GET, 10, 20, 1, 100);
    op(OP_GET, 30, 40, 2, 100);
    check_versions(&world, &history);
    ck_assert(found("two values"));
}
END_TEST

START_TEST(timestamps_against_real_time)
{
    commits_add(&history.commits, 10, 20, 100);
    commits_add(&history.commits, 20, 30, 90); /* concurrent at one instant */
    check_versions(&world, &history);
    ck_assert(!world.failed);
    commits_add(&history.commits, 40, 50, 95);
    check_versions(&world, &history);
    ck_assert(found("timestamps"));
}
END_TEST

START_TEST(the_tally)
{
    commits_add(&history.tally, 10, 20, 1);
    commits_add(&history.tally, 30, 40, 2);
    history.tally_unknown = 1;
    check_tally(&world, &history, 2);
    check_tally(&world, &history, 3);
    ck_assert(!world.failed);
    check_tally(&world, &history, 1);
    ck_assert(found("at the end"));
    check_tally(&world, &history, 4);
    ck_assert(found("at the end"));
    commits_add(&history.tally, 32, 42, 2);
    check_tally(&world, &history, 3);
    ck_assert(found("answered twice"));
}
END_TEST

/* --- money --- */

static struct scan_row row(const char *key, const char *value)
{
    return (struct scan_row){.key = slice_str(key), .value = slice_str(value)};
}

static void page(struct scan_row *rows, size_t count, struct money *m, bool final)
{
    check_money_page(&world, m, 0, 100, &(struct scan_reply){.rows = rows, .row_count = count}, final);
}

START_TEST(money)
{
    struct money m;
    money_init(&m, 1, 2);
    m.funded[0] = true;
    *money_transfer(&m) = (struct transfer){.number = 1,
                                            .from = 0,
                                            .to = 1,
                                            .amount = 30,
                                            .with_history = true,
                                            .answered = true,
                                            .posted = true,
                                            .call_ns = 10,
                                            .return_ns = 20};
    struct scan_row rows[] = {row("a0/c/0", "70"), row("a0/c/1", "130"), row("a0/h/1", "0 1 30"),
                              row("a0/h/1", "0 1 30")};
    page(rows, 3, &m, true);
    ck_assert(!world.failed);
    page(rows, 2, &m, false);
    ck_assert(found("money")); /* acknowledged, and not there */
    page(rows, 4, &m, false);
    ck_assert(found("nobody wrote")); /* twice */
    rows[0].value = slice_str("71");
    page(rows, 3, &m, false);
    ck_assert(found("money"));
    rows[0].value = slice_str("-70");
    page(rows, 3, &m, false);
    ck_assert(found("is -70"));
    rows[0].value = slice_str("70");
    rows[2].value = slice_str("0 1 31");
    page(rows, 3, &m, false);
    ck_assert(found("nobody wrote"));
    rows[2].value = slice_str("0 1 30");
    m.transfers[0].posted = false;
    page(rows, 3, &m, false);
    ck_assert(found("was refused"));
    rows[2] = row("b", "?");
    page(rows, 3, &m, false);
    ck_assert(found("nobody wrote"));
    money_free(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sim_checkers");
    TCase *t = tcase_create("histories");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_right_history_passes);
    tcase_add_test(t, a_stale_read);
    tcase_add_test(t, a_lost_write);
    tcase_add_test(t, a_value_from_nowhere);
    tcase_add_test(t, a_compare_that_did_not_hold);
    tcase_add_test(t, an_order_that_the_timestamps_contradict);
    tcase_add_test(t, unknown_outcomes);
    tcase_add_test(t, one_of_many_unknown_outcomes);
    tcase_add_test(t, two_values_of_one_version);
    tcase_add_test(t, timestamps_against_real_time);
    tcase_add_test(t, the_tally);
    tcase_add_test(t, money);
    suite_add_tcase(s, t);
    return run_suite(s);
}
