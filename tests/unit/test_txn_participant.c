/* One participant, entry by entry: docs/transactions.md. Interleavings of two of them: tests/model. */
#include "base/mem.h"
#include "test_txn_prepare.h"
#include "txn/coordinator.h"

static struct txn_vote vote;
static struct txn_result result;

/* Then the table is compared with one that is rebuilt from the rows. */
static void apply(enum txn_command_kind kind, uint64_t ts)
{
    apply_entry(kind, ts);
    struct txn_table *rebuilt = txn_table_new();
    for (size_t i = 0; i < rows.count; i++) {
        struct slice key = rows.items[i].key;
        if (key.size <= TXN_ID_BYTES || key.data[key.size - TXN_ID_BYTES - 1] != ROW_HELD) continue;
        ck_assert_int_eq(txn_table_load(rebuilt, key, rows.items[i].value), STATUS_OK);
    }
    txn_table_check(rebuilt);
    ck_assert_uint_eq(txn_table_count(rebuilt), txn_table_count(table));
    ck_assert_uint_eq(txn_table_undecided_min(rebuilt), txn_table_undecided_min(table));
    ck_assert_uint_le(txn_table_newest(rebuilt), txn_table_newest(table));
    txn_table_free(rebuilt);
}

static struct txn_op take(const char *key, int amount)
{
    struct txn_op op = op_of(TXN_ADD, key, "");
    op.delta = -amount;
    op.min = 0;
    return op;
}

static enum txn_vote_kind send_prepare(const struct txn_prepare *p)
{
    buf_clear(&body);
    txn_prepare_encode(p, &body);
    apply(TXN_COMMAND_PREPARE, ++now);
    if (txn_is_blocked(buf_slice(&answer))) return 0;
    ck_assert_int_eq(txn_vote_decode(arena_dup_slice(&arena, buf_slice(&answer)), &arena, &vote), STATUS_OK);
    return vote.kind;
}

static enum txn_vote_kind prepare_ops(unsigned id, struct txn_op *ops, size_t count)
{
    struct txn t = {.ops = ops, .op_count = count};
    struct txn_prepare p = prepare_of(id, now - 1, &t);
    return send_prepare(&p);
}

static void decide(unsigned id, bool commit, uint64_t ts)
{
    struct txn_decide d = {.id = id_of(id), .commit = commit, .ts = ts, .answer = SLICE_EMPTY};
    buf_clear(&body);
    txn_decide_encode(&d, &body);
    apply(TXN_COMMAND_DECIDE, 0);
}

static enum txn_vote_kind send_seal_born(unsigned id, enum txn_command_kind kind, uint64_t born)
{
    struct txn_seal s = {.id = id_of(id), .born = born};
    buf_clear(&body);
    txn_seal_encode(&s, &body);
    apply(kind, txn_command_has_ts(kind) ? ++now : 0);
    ck_assert_int_eq(txn_vote_decode(arena_dup_slice(&arena, buf_slice(&answer)), &arena, &vote), STATUS_OK);
    return vote.kind;
}

static enum txn_vote_kind send_seal(unsigned id, enum txn_command_kind kind)
{
    return send_seal_born(id, kind, kind == TXN_COMMAND_FORGET ? 0 : now);
}

/* STATUS_BLOCKED, or the result's. */
static enum status plain(struct txn_op *ops, size_t count)
{
    struct txn t = {.keyspace = KEYSPACE, .ops = ops, .op_count = count};
    buf_clear(&body);
    txn_encode(&t, &body);
    apply(TXN_COMMAND_KIND, ++now);
    if (txn_is_blocked(buf_slice(&answer))) return STATUS_BLOCKED;
    ck_assert_int_eq(txn_result_decode(arena_dup_slice(&arena, buf_slice(&answer)), &arena, &result), STATUS_OK);
    return result.status;
}

static enum status put(const char *key, const char *value)
{
    struct txn_op op = op_of(TXN_PUT, key, value);
    return plain(&op, 1);
}

static enum status add(const char *key, int delta)
{
    struct txn_op op = op_of(TXN_ADD, key, "");
    op.delta = delta;
    return plain(&op, 1);
}

static struct slice get(const char *key)
{
    struct txn_op op = op_of(TXN_GET, key, "");
    enum status s = plain(&op, 1);
    if (s == STATUS_BLOCKED) return slice_str("BLOCKED");
    return result.ops[0].found ? result.ops[0].value : SLICE_EMPTY;
}

static bool is(struct slice s, const char *text)
{
    return slice_eq(s, slice_str(text));
}

START_TEST(locks_and_commit)
{
    struct txn_op ops[] = {op_of(TXN_PUT, "w", "new"), op_of(TXN_GET, "r", "")};
    ck_assert_int_eq(put("r", "old"), STATUS_OK);
    ck_assert_int_eq(prepare_ops(1, ops, 2), VOTE_YES);
    uint64_t min_ts = vote.ts;
    ck_assert_uint_eq(txn_table_undecided_min(table), min_ts);
    ck_assert(is(get("w"), "BLOCKED") && is(get("r"), "old")); /* shared */
    ck_assert_int_eq(put("w", "x"), STATUS_BLOCKED);
    ck_assert_int_eq(put("r", "x"), STATUS_BLOCKED);
    ck_assert_int_eq(put("other", "x"), STATUS_OK);
    decide(1, true, now + 50);
    now += 50;
    ck_assert(is(get("w"), "new"));
    ck_assert_uint_eq(result.ops[0].version, now - 1);
    ck_assert_int_eq(put("r", "x"), STATUS_OK);
    ck_assert_int_eq(send_seal(1, TXN_COMMAND_SEAL), VOTE_COMMITTED);
    ck_assert_int_eq(send_seal(1, TXN_COMMAND_FORGET), VOTE_DONE);
    ck_assert_uint_eq(txn_table_count(table), 0);
}
END_TEST

START_TEST(abort_leaves_nothing_but_a_tombstone)
{
    struct txn_op op = op_of(TXN_PUT, "w", "new");
    ck_assert_int_eq(prepare_ops(1, &op, 1), VOTE_YES);
    decide(1, false, 0);
    ck_assert(is(get("w"), ""));
    ck_assert_int_eq(prepare_ops(1, &op, 1), VOTE_ABORTED); /* late, repeated */
    decide(1, true, now);                                   /* too late */
    ck_assert(is(get("w"), ""));
}
END_TEST

START_TEST(a_vote_stands)
{
    struct txn_op yes = op_of(TXN_PUT, "w", "1"), no = op_of(TXN_INSERT, "there", "1");
    ck_assert_int_eq(put("there", "x"), STATUS_OK);
    ck_assert_int_eq(prepare_ops(1, &yes, 1), VOTE_YES);
    uint64_t min_ts = vote.ts;
    ck_assert_int_eq(prepare_ops(1, &yes, 1), VOTE_YES);
    ck_assert_uint_eq(vote.ts, min_ts);
    ck_assert_int_eq(prepare_ops(2, &no, 1), VOTE_NO);
    struct txn_op gone = op_of(TXN_DELETE, "there", "");
    ck_assert_int_eq(plain(&gone, 1), STATUS_OK);
    ck_assert_int_eq(prepare_ops(2, &no, 1), VOTE_NO); /* it could be done now */
    ck_assert_int_eq(txn_result_decode(vote.then_result, &arena, &result), STATUS_OK);
    ck_assert_int_eq(result.status, STATUS_EXISTS);
    ck_assert_int_eq(send_seal(1, TXN_COMMAND_SEAL), VOTE_YES);
    ck_assert_int_eq(send_seal(2, TXN_COMMAND_SEAL), VOTE_NO);
}
END_TEST

START_TEST(seal_before_prepare)
{
    struct txn_op op = op_of(TXN_PUT, "w", "1");
    ck_assert_int_eq(send_seal(1, TXN_COMMAND_SEAL), VOTE_ABORTED);
    ck_assert_int_eq(prepare_ops(1, &op, 1), VOTE_ABORTED);
    ck_assert_int_eq(put("w", "x"), STATUS_OK);
}
END_TEST

START_TEST(tombstones_end_with_the_horizon)
{
    struct txn_op op = op_of(TXN_PUT, "w", "1");
    ck_assert_int_eq(send_seal(1, TXN_COMMAND_SEAL), VOTE_ABORTED);
    struct txn t = {.ops = &op, .op_count = 1};
    struct txn_prepare late = prepare_of(1, now - 1, &t);
    now += TXN_HORIZON;
    ck_assert_int_eq(send_prepare(&late), VOTE_ABORTED);
    now += 10;
    ck_assert_int_eq(prepare_ops(2, &op, 1), VOTE_YES);
    ck_assert_uint_eq(txn_table_count(table), 1); /* the tombstone has gone */
    ck_assert_int_eq(send_prepare(&late), VOTE_NO);
    ck_assert_uint_eq(txn_table_count(table), 1);
    struct txn_prepare future = prepare_of(3, now - 1, &t);
    future.born = now + 1000;
    ck_assert_int_eq(send_prepare(&future), VOTE_NO);
}
END_TEST

START_TEST(reservations_do_not_lock)
{
    struct txn_op one = take("acct", 10), two = take("acct", 20), three = take("acct", 80), four = take("acct", 101);
    ck_assert_int_eq(add("acct", 100), STATUS_OK);
    ck_assert(is(result.ops[0].value, "100"));
    ck_assert_int_eq(prepare_ops(1, &one, 1), VOTE_YES);
    uint64_t first = vote.ts;
    ck_assert_int_eq(prepare_ops(2, &two, 1), VOTE_YES);
    uint64_t second = vote.ts;
    ck_assert_int_eq(prepare_ops(3, &three, 1), 0); /* depends on the fate of the others */
    ck_assert_int_eq(prepare_ops(4, &four, 1), VOTE_NO);
    ck_assert(is(get("acct"), "BLOCKED"));
    ck_assert_int_eq(put("acct", "raw"), STATUS_BLOCKED);
    ck_assert_int_eq(add("acct", 5), STATUS_OK);
    ck_assert_uint_eq(result.ops[0].value.size, 0); /* the sum is not certain */
    uint64_t third = now;
    decide(2, true, second);
    ck_assert(is(get("acct"), "BLOCKED")); /* decided above something undecided: not folded */
    decide(1, true, first);
    ck_assert(is(get("acct"), "75"));
    ck_assert_uint_eq(result.ops[0].version, third);
    ck_assert_int_eq(prepare_ops(3, &three, 1), VOTE_NO);
}
END_TEST

/* One router forgets it while its add waits, another, which is late, settles it; then it is asked for. */
START_TEST(forgotten_then_settled)
{
    struct txn_op one = take("acct", 10), two = take("acct", 20);
    ck_assert_int_eq(add("acct", 100), STATUS_OK);
    ck_assert_int_eq(prepare_ops(1, &one, 1), VOTE_YES);
    uint64_t first = vote.ts;
    ck_assert_int_eq(prepare_ops(2, &two, 1), VOTE_YES);
    decide(2, true, vote.ts);
    ck_assert_int_eq(send_seal_born(2, TXN_COMMAND_FORGET, 0), VOTE_DONE);
    ck_assert_int_eq(send_seal_born(2, TXN_COMMAND_FORGET, now), VOTE_DONE);
    ck_assert_int_eq(send_seal(2, TXN_COMMAND_SEAL), VOTE_COMMITTED);
    decide(1, true, first);
    ck_assert(is(get("acct"), "70"));
}
END_TEST

START_TEST(an_aborted_reservation_gives_back)
{
    struct txn_op one = take("acct", 100), two = take("acct", 100);
    ck_assert_int_eq(add("acct", 100), STATUS_OK);
    ck_assert_int_eq(prepare_ops(1, &one, 1), VOTE_YES);
    ck_assert_int_eq(plain(&two, 1), STATUS_BLOCKED);
    decide(1, false, 0);
    ck_assert_int_eq(plain(&two, 1), STATUS_OK);
    ck_assert(is(result.ops[0].value, "0"));
}
END_TEST

START_TEST(a_forgotten_commit_still_folds)
{
    struct txn_op one = take("acct", 1), two = take("acct", 2);
    ck_assert_int_eq(add("acct", 10), STATUS_OK);
    ck_assert_int_eq(prepare_ops(1, &one, 1), VOTE_YES);
    ck_assert_int_eq(prepare_ops(2, &two, 1), VOTE_YES);
    decide(2, true, vote.ts);
    uint64_t ts = vote.ts;
    ck_assert_int_eq(send_seal(2, TXN_COMMAND_FORGET), VOTE_DONE);
    ck_assert_int_eq(send_seal(2, TXN_COMMAND_SEAL), VOTE_COMMITTED); /* a late question of one who settles */
    ck_assert_uint_eq(vote.ts, ts);
    ck_assert_int_eq(prepare_ops(2, &two, 1), VOTE_COMMITTED);
    decide(1, false, 0);
    ck_assert(is(get("acct"), "8"));
    ck_assert_uint_eq(txn_table_count(table), 1); /* the tombstone of 1 */
}
END_TEST

/* Who settled it let it be forgotten; whoever answers the client may ask later. Only the horizon ends that. */
START_TEST(a_settled_commit_is_told_until_the_horizon)
{
    struct txn_op one = take("acct", 1), two = take("acct", 2), w = op_of(TXN_PUT, "w", "new");
    ck_assert_int_eq(add("acct", 10), STATUS_OK);
    ck_assert_int_eq(prepare_ops(1, &one, 1), VOTE_YES);
    ck_assert_int_eq(prepare_ops(2, &two, 1), VOTE_YES);
    uint64_t born = now;
    decide(2, true, vote.ts);
    ck_assert_int_eq(send_seal_born(2, TXN_COMMAND_FORGET, born), VOTE_DONE);
    ck_assert_int_eq(send_seal(2, TXN_COMMAND_SEAL), VOTE_COMMITTED); /* with an add beside its counter's row */
    ck_assert_int_eq(send_seal_born(2, TXN_COMMAND_FORGET, born), VOTE_DONE);
    decide(1, false, 0);
    ck_assert(is(get("acct"), "8"));
    ck_assert_int_eq(send_seal(2, TXN_COMMAND_SEAL), VOTE_COMMITTED); /* and without */
    ck_assert_uint_eq(txn_table_count(table), 2);
    now += TXN_HORIZON;
    ck_assert_int_eq(prepare_ops(3, &w, 1), VOTE_YES);
    ck_assert_uint_eq(txn_table_count(table), 1);
    ck_assert_int_eq(send_seal_born(2, TXN_COMMAND_SEAL, born), VOTE_ABORTED);
    ck_assert_uint_gt(vote.ts - born, TXN_HORIZON); /* so its coordinator knows that nobody remembers */
}
END_TEST

START_TEST(both_branches_are_locked_and_either_can_win)
{
    for (unsigned use_else = 0; use_else < 2; use_else++) {
        struct txn_compare exists = {.target = TXN_TARGET_EXISTS,
                                     .relation = TXN_EQUAL,
                                     .key = slice_str("k"),
                                     .version = 1,
                                     .value = SLICE_EMPTY};
        struct txn_op then_op = op_of(TXN_PUT, "t", "then"), else_op = op_of(TXN_PUT, "e", "else");
        struct txn t = {.compares = &exists,
                        .compare_count = 1,
                        .ops = &then_op,
                        .op_count = 1,
                        .else_ops = &else_op,
                        .else_count = 1};
        ck_assert_int_eq(put("k", "here"), STATUS_OK);
        struct txn_prepare p = prepare_of(10 + use_else, now - 1, &t);
        ck_assert_int_eq(send_prepare(&p), VOTE_YES);
        ck_assert(vote.holds && vote.has_else);
        ck_assert_int_eq(put("t", "x"), STATUS_BLOCKED);
        ck_assert_int_eq(put("e", "x"), STATUS_BLOCKED);
        struct txn_decide d = {
            .id = p.id, .commit = true, .use_else = use_else == 1, .ts = vote.ts, .answer = SLICE_EMPTY};
        buf_clear(&body);
        txn_decide_encode(&d, &body);
        apply(TXN_COMMAND_DECIDE, 0);
        ck_assert(is(get("t"), "then"));
        ck_assert(is(get("e"), use_else == 1 ? "else" : ""));
    }
}
END_TEST

/* A compare that does not hold, and behind it one whose row another holds. What replicas answer may not hang on which of them has
 * the first row in memory: one that lacks it waits for it, and does not say that the other is in the way. */
START_TEST(a_row_that_is_not_there_yet_is_not_overtaken)
{
    struct txn_op write = op_of(TXN_PUT, "w", "new");
    struct txn_compare compares[] = {
        {.target = TXN_TARGET_EXISTS, .relation = TXN_EQUAL, .key = slice_str("r"), .version = 0},
        {.target = TXN_TARGET_EXISTS, .relation = TXN_EQUAL, .key = slice_str("w"), .version = 0}};
    struct txn t = {.keyspace = KEYSPACE, .compares = compares, .compare_count = 2};
    ck_assert_int_eq(put("r", "old"), STATUS_OK);
    ck_assert_int_eq(prepare_ops(1, &write, 1), VOTE_YES);
    buf_clear(&body);
    txn_encode(&t, &body);
    apply(TXN_COMMAND_KIND, ++now);
    ck_assert(!txn_is_blocked(buf_slice(&answer)));
}
END_TEST

/* Its compares do not hold, so its operations are not looked at; they are locked all the same, and must not meet others' locks. */
START_TEST(a_branch_that_is_not_taken_waits_for_locks)
{
    struct txn_compare exists = {.target = TXN_TARGET_EXISTS,
                                 .relation = TXN_EQUAL,
                                 .key = slice_str("absent"),
                                 .version = 1,
                                 .value = SLICE_EMPTY};
    struct txn_op then_op = op_of(TXN_PUT, "t", "then"), else_op = op_of(TXN_PUT, "e", "else");
    struct txn_op other = op_of(TXN_GET, "t", "");
    struct txn t = {
        .compares = &exists, .compare_count = 1, .ops = &then_op, .op_count = 1, .else_ops = &else_op, .else_count = 1};
    ck_assert_int_eq(prepare_ops(1, &other, 1), VOTE_YES);
    struct txn_prepare p = prepare_of(2, now - 1, &t);
    ck_assert_int_eq(send_prepare(&p), 0);
    decide(1, false, 0);
    ck_assert_int_eq(send_prepare(&p), VOTE_YES);
    txn_table_check(table);
}
END_TEST

START_TEST(a_clients_id_over_several_ranges)
{
    struct txn_op op = op_of(TXN_PUT, "w", "1");
    struct txn t = {.ops = &op, .op_count = 1};
    struct txn_prepare p = prepare_of(1, now - 1, &t), q = prepare_of(2, now - 1, &t),
                       other = prepare_of(3, now - 1, &t);
    p.keeps_answer = q.keeps_answer = other.keeps_answer = true;
    p.client = q.client = other.client = id_of(200);
    p.anchor = q.anchor = other.anchor = slice_str("w");
    other.hash.first = 1;
    ck_assert_int_eq(send_prepare(&p), VOTE_YES);
    ck_assert(vote.keeps_answer);
    ck_assert_int_eq(send_prepare(&q), 0); /* the first attempt is under way */
    struct txn_outcome o;
    struct buf whole_answer;
    buf_init(&whole_answer, 1u << 20);
    txn_votes_combine(&vote, 1, &arena, &o, &whole_answer);
    ck_assert(o.commit && o.keep && o.ts == vote.ts);
    struct txn_decide d = {.id = p.id, .commit = true, .ts = o.ts, .answer = buf_slice(&whole_answer)};
    buf_clear(&body);
    txn_decide_encode(&d, &body);
    apply(TXN_COMMAND_DECIDE, 0);
    ck_assert_int_eq(send_prepare(&q), VOTE_ANSWERED);
    ck_assert_int_eq(txn_result_decode(vote.then_result, &arena, &result), STATUS_OK);
    ck_assert(result.replayed && result.status == STATUS_OK && result.ts == o.ts);
    ck_assert_int_eq(send_prepare(&other), VOTE_ANSWERED);
    ck_assert_int_eq(txn_result_decode(vote.then_result, &arena, &result), STATUS_OK);
    ck_assert_int_eq(result.status, STATUS_ID_REUSED);
    buf_free(&whole_answer);
}
END_TEST

START_TEST(readers_wait_by_timestamp)
{
    struct txn_op ops[] = {op_of(TXN_PUT, "w", "1"), take("c", -1)};
    struct txn_id by;
    struct buf w, c;
    buf_init(&w, 64);
    buf_init(&c, 64);
    key_encode_data(&w, KEYSPACE, slice_str("w"));
    key_encode_data(&c, KEYSPACE, slice_str("c"));
    ck_assert_int_eq(prepare_ops(1, ops, 2), VOTE_YES);
    ck_assert(!txn_table_read_waits(table, buf_slice(&w), vote.ts - 1, &by));
    ck_assert(txn_table_read_waits(table, buf_slice(&w), vote.ts, &by) && by.bytes[0] == 1);
    ck_assert(!txn_table_read_waits(table, buf_slice(&c), vote.ts - 1, &by));
    ck_assert(txn_table_read_waits(table, buf_slice(&c), vote.ts, &by));
    ck_assert(txn_table_scan_waits(table, slice_str(""), slice_str("\xff"), vote.ts, &by));
    ck_assert(!txn_table_scan_waits(table, slice_str(""), slice_str("\xff"), vote.ts - 1, &by));
    ck_assert(!txn_table_scan_waits(table, slice_str(""), buf_slice(&c), vote.ts, &by));
    buf_free(&w);
    buf_free(&c);
}
END_TEST

START_TEST(an_abandoned_one_is_found)
{
    struct txn_op op = op_of(TXN_PUT, "w", "1"), other = op_of(TXN_PUT, "v", "1");
    struct txn_id id;
    struct txn_blocked b;
    ck_assert(!txn_table_abandoned(table, &id));
    ck_assert_int_eq(prepare_ops(1, &op, 1), VOTE_YES);
    decide(1, true, vote.ts);
    ck_assert(!txn_table_abandoned(table, &id));
    now += TXN_ABANDONED + 10;
    ck_assert_int_eq(prepare_ops(2, &other, 1), VOTE_YES);
    ck_assert(txn_table_abandoned(table, &id) && id.bytes[0] == 1); /* decided, and not forgotten */
    ck_assert(!txn_table_holder(table, &id, &arena, &b));
    ck_assert(txn_table_describe(table, &id, &arena, &b));
    ck_assert(b.span_count == 1 && is(b.spans[0].low, "a") && b.keyspace == KEYSPACE);
    ck_assert_int_eq(send_seal_born(1, TXN_COMMAND_FORGET, now), VOTE_DONE); /* settled by another */
    ck_assert(!txn_table_abandoned(table, &id));
    now += TXN_ABANDONED + 10;
    struct txn_op third = op_of(TXN_PUT, "u", "1");
    ck_assert_int_eq(prepare_ops(3, &third, 1), VOTE_YES);
    ck_assert(txn_table_abandoned(table, &id) && id.bytes[0] == 2); /* undecided */
    ck_assert(txn_table_holder(table, &id, &arena, &b));
}
END_TEST

/* --- stretches that were scanned --- */

static enum txn_vote_kind prepare_scan(unsigned id, const char *from, const char *to, uint64_t seen, struct txn_op *op)
{
    struct txn_compare c = {.target = TXN_TARGET_SPAN,
                            .relation = TXN_EQUAL,
                            .key = slice_str(from),
                            .version = seen,
                            .value = slice_str(to)};
    struct txn t = {.compares = &c, .compare_count = 1, .ops = op, .op_count = 1};
    struct txn_prepare p = prepare_of(id, now - 1, &t);
    return send_prepare(&p);
}

START_TEST(a_stretch_that_was_scanned_is_locked)
{
    struct txn_op op = op_of(TXN_PUT, "e", "1"), in = op_of(TXN_PUT, "c", "1"), add_in = take("cc", -1);
    struct txn_op at_end = op_of(TXN_PUT, "d", "1"), read_in = op_of(TXN_GET, "c", "");
    ck_assert_int_eq(prepare_scan(1, "b", "d", now, &op), VOTE_YES);
    ck_assert_int_eq(prepare_ops(2, &in, 1), 0);
    ck_assert_int_eq(prepare_ops(3, &add_in, 1), 0);
    ck_assert_int_eq(plain(&in, 1), STATUS_BLOCKED);
    ck_assert_int_eq(plain(&add_in, 1), STATUS_BLOCKED);
    ck_assert_int_eq(plain(&read_in, 1), STATUS_OK);
    ck_assert_int_eq(plain(&at_end, 1), STATUS_OK);
    struct txn_op other = op_of(TXN_PUT, "y", "1");
    ck_assert_int_eq(prepare_scan(4, "a", "c", now, &other), VOTE_YES); /* shared */
    decide(1, true, ++now);
    ck_assert_int_eq(plain(&in, 1), STATUS_OK);
    ck_assert_int_eq(put("bb", "1"), STATUS_BLOCKED);
    decide(4, false, 0);
    ck_assert_int_eq(put("bb", "1"), STATUS_OK);
}
END_TEST

START_TEST(a_stretch_that_has_changed)
{
    struct txn_op op = op_of(TXN_PUT, "e", "1"), in = op_of(TXN_PUT, "c", "1"), add_in = take("cc", -1);
    ck_assert_int_eq(put("b", "1"), STATUS_OK);
    uint64_t seen = now;
    ck_assert_int_eq(put("c", "2"), STATUS_OK);
    ck_assert_int_eq(prepare_scan(1, "b", "d", seen, &op), VOTE_NO);
    ck_assert_int_eq(prepare_scan(2, "b", "c", seen, &op), VOTE_YES);
    decide(2, true, ++now);
    ck_assert_int_eq(prepare_scan(3, "f", "", seen, &op), VOTE_YES); /* to the keyspace's end */
    decide(3, true, ++now);
    ck_assert_int_eq(prepare_scan(4, "d", "", seen, &op), VOTE_NO); /* e is newer */
    ck_assert_int_eq(prepare_ops(5, &in, 1), VOTE_YES);
    ck_assert_int_eq(prepare_scan(6, "b", "d", now, &op), 0); /* somebody is about to write there */
    decide(5, false, 0);
    ck_assert_int_eq(prepare_ops(7, &add_in, 1), VOTE_YES);
    ck_assert_int_eq(prepare_scan(8, "b", "d", now, &op), 0);
    decide(7, true, ++now);
    ck_assert_int_eq(prepare_scan(9, "b", "d", now - 1, &op), VOTE_NO);
    ck_assert_int_eq(prepare_scan(10, "b", "d", now, &op), VOTE_YES);
    decide(10, true, now + 1);
    now += 1;
}
END_TEST

/* --- several endings in one entry --- */

struct world {
    struct rows rows;
    struct txn_table *table;
    uint64_t now, entry_index;
};

static struct world swap_worlds(struct world in)
{
    struct world out = {.rows = rows, .table = table, .now = now, .entry_index = entry_index};
    rows = in.rows;
    table = in.table;
    now = in.now;
    entry_index = in.entry_index;
    return out;
}

static void random_prepare(struct prng *p, unsigned id)
{
    static const char *keys[] = {"a", "b", "c", "d", "e"};
    struct txn_op ops[3];
    size_t count = 0, first = prng_between(p, 0, 4);
    for (size_t i = 0; i < 1 + id % 3; i++) {
        const char *key = keys[(first + i) % 5];
        switch (prng_between(p, 0, 5)) {
        case 0: ops[count++] = op_of(TXN_PUT, key, "raw"); break;
        case 1: ops[count++] = op_of(TXN_DELETE, key, ""); break;
        case 2: ops[count++] = op_of(TXN_GET, key, ""); break;
        default: ops[count++] = take(key, (int)prng_between(p, 0, 20) - 10); break;
        }
    }
    (void)prepare_ops(id, ops, count);
}

static void append_steps(unsigned id, const struct txn_decide *d, bool forget, struct buf *steps)
{
    struct txn_seal f = {.id = id_of(id)};
    buf_clear(&body);
    if (forget) {
        txn_seal_encode(&f, &body);
    } else {
        txn_decide_encode(d, &body);
    }
    struct txn_step step = {.kind = forget ? TXN_COMMAND_FORGET : TXN_COMMAND_DECIDE, .body = buf_slice(&body)};
    if (steps != NULL) {
        txn_step_append(&step, steps);
    } else {
        apply(step.kind, 0);
    }
}

/* The same endings, one by one in this world and together in the other. */
static void end_some(struct prng *p, struct world *other, unsigned ids)
{
    struct buf steps;
    buf_init(&steps, 1u << 20);
    for (unsigned n = (unsigned)prng_between(p, 1, 12); n > 0; n--) {
        unsigned id = (unsigned)prng_between(p, 1, ids);
        struct txn_id held_id = id_of(id);
        const struct held *h = table_find(table, &held_id);
        bool forget = h != NULL && h->state == HELD_COMMITTED;
        struct txn_decide d = {.id = held_id, .commit = prng_between(p, 0, 3) > 0, .answer = SLICE_EMPTY};
        d.ts = h == NULL ? now : h->ts + prng_between(p, 0, 1) * 1000 * id;
        append_steps(id, &d, forget, NULL);
        append_steps(id, &d, forget, &steps);
    }
    *other = swap_worlds(*other);
    buf_clear(&body);
    buf_append_slice(&body, buf_slice(&steps));
    apply(TXN_COMMAND_STEPS, 0);
    ck_assert_int_eq(txn_vote_decode(buf_slice(&answer), &arena, &vote), STATUS_OK);
    ck_assert_int_eq(vote.kind, VOTE_DONE);
    *other = swap_worlds(*other);
    buf_free(&steps);
}

static bool is_held(struct slice key)
{
    return key.size > TXN_ID_BYTES && key.data[key.size - TXN_ID_BYTES - 1] == ROW_HELD;
}

static const struct stored_row *row_in(const struct world *w, struct slice key)
{
    for (size_t i = 0; i < w->rows.count; i++) {
        if (slice_eq(w->rows.items[i].key, key)) return &w->rows.items[i];
    }
    ck_abort_msg("a row is missing");
}

static void compare_worlds(const struct world *other)
{
    ck_assert_uint_eq(rows.count, other->rows.count);
    for (size_t i = 0; i < rows.count; i++) {
        const struct stored_row *a = &rows.items[i], *b = row_in(other, a->key);
        ck_assert(slice_eq(a->value, b->value));
        ck_assert(is_held(a->key) || a->version == b->version);
    }
}

START_TEST(endings_together_are_what_they_are_one_by_one)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct prng p;
        prng_init(&p, seed);
        teardown();
        setup();
        struct world other = {.table = txn_table_new(), .now = now};

        rows_init(&other.rows);
        for (unsigned round = 0, ids = 0; round < 6; round++) {
            for (unsigned n = 0; n < 4; n++) {
                uint64_t state = prng_next(&p);
                struct prng one, two;
                prng_init(&one, state);
                prng_init(&two, state);
                random_prepare(&one, ++ids);
                other = swap_worlds(other);
                random_prepare(&two, ids);
                other = swap_worlds(other);
            }
            end_some(&p, &other, ids);
            compare_worlds(&other);
        }
        other = swap_worlds(other);
        txn_table_free(other.table);
        rows_free(&other.rows);
    }
}
END_TEST

START_TEST(steps_that_cannot_be_read)
{
    struct buf steps;
    buf_init(&steps, 1024);
    struct txn_op op = take("c", -5);
    ck_assert_int_eq(prepare_ops(1, &op, 1), VOTE_YES);
    struct txn_decide d = {.id = id_of(1), .commit = true, .ts = vote.ts, .answer = SLICE_EMPTY};
    append_steps(1, &d, false, &steps);
    for (size_t cut = 1; cut < steps.size; cut++) {
        buf_clear(&body);
        buf_append(&body, steps.data, cut);
        apply(TXN_COMMAND_STEPS, 0);
        ck_assert_int_eq(txn_vote_decode(buf_slice(&answer), &arena, &vote), STATUS_OK);
        ck_assert_int_eq(vote.kind, VOTE_NO);
        ck_assert(is(get("c"), "BLOCKED"));
    }
    buf_free(&steps);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("txn_participant");
    TCase *tc = tcase_create("participant");
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, endings_together_are_what_they_are_one_by_one);
    tcase_add_test(tc, an_abandoned_one_is_found);
    tcase_add_test(tc, forgotten_then_settled);
    tcase_add_test(tc, a_row_that_is_not_there_yet_is_not_overtaken);
    tcase_add_test(tc, a_stretch_that_was_scanned_is_locked);
    tcase_add_test(tc, a_stretch_that_has_changed);
    tcase_add_test(tc, steps_that_cannot_be_read);
    tcase_add_test(tc, locks_and_commit);
    tcase_add_test(tc, abort_leaves_nothing_but_a_tombstone);
    tcase_add_test(tc, a_vote_stands);
    tcase_add_test(tc, seal_before_prepare);
    tcase_add_test(tc, tombstones_end_with_the_horizon);
    tcase_add_test(tc, reservations_do_not_lock);
    tcase_add_test(tc, an_aborted_reservation_gives_back);
    tcase_add_test(tc, a_forgotten_commit_still_folds);
    tcase_add_test(tc, a_settled_commit_is_told_until_the_horizon);
    tcase_add_test(tc, both_branches_are_locked_and_either_can_win);
    tcase_add_test(tc, a_branch_that_is_not_taken_waits_for_locks);
    tcase_add_test(tc, a_clients_id_over_several_ranges);
    tcase_add_test(tc, readers_wait_by_timestamp);
    return run_suite(s);
}
