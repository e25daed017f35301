/* What a coordinator tells its client, vote by vote; the interleavings are the model's (tests/model). */
#include "base/mem.h"
#include "txn/coordinator.h"
#include "txn/prepare.h"
#include "txn/txn_int.h"

#include <check.h>
#include <stdlib.h>

static struct arena arena;

static struct coordinator *begun_over(size_t participants, bool has_client_id)
{
    struct coordinator *c = coordinator_new(&(struct coordinator_options){
        .id = {{1}}, .born = 5, .participant_count = participants, .has_client_id = has_client_id, .anchor = 0});
    struct buf body;
    buf_init(&body, 1u << 16);
    for (size_t i = 0; i < participants; i++) ck_assert_int_eq((int)coordinator_ask(c, i, &body), (int)ASK_PREPARE);
    buf_free(&body);
    return c;
}

static struct coordinator *begun(bool has_client_id)
{
    return begun_over(2, has_client_id);
}

static void votes(struct coordinator *c, size_t participant, enum txn_vote_kind kind, enum status refusal)
{
    struct buf result, bytes;
    buf_init(&result, 4096);
    buf_init(&bytes, 4096);
    struct txn_result r = {.status = refusal, .failed_index = TXN_NO_INDEX};
    txn_result_encode(&r, &result);
    txn_vote_encode(
        &(struct txn_vote){.kind = kind, .ts = 9, .then_result = buf_slice(&result), .else_result = SLICE_EMPTY},
        &bytes);
    ck_assert_int_eq(coordinator_voted(c, participant, buf_slice(&bytes)), STATUS_OK);
    buf_free(&result);
    buf_free(&bytes);
}

static void sealed(struct coordinator *c, size_t participant)
{
    struct buf body;
    buf_init(&body, 4096);
    coordinator_failed(c, participant);
    ck_assert_int_eq((int)coordinator_ask(c, participant, &body), (int)ASK_SEAL);
    buf_free(&body);
    votes(c, participant, VOTE_ABORTED, STATUS_RETRY);
}

static enum status answer_of(struct coordinator *c)
{
    struct slice bytes;
    struct txn_result r;
    ck_assert(coordinator_answer(c, &bytes));
    ck_assert_int_eq(txn_result_decode(bytes, &arena, &r), STATUS_OK);
    coordinator_free(c);
    return r.status;
}

/* An earlier attempt was committed, and its Decide has reached one range. The repetition finds the row there; the anchor, where
 * the answer is kept, is still locked, and is sealed. */
START_TEST(a_refusal_waits_for_what_the_anchor_knows)
{
    struct coordinator *c = begun(true);
    votes(c, 1, VOTE_NO, STATUS_EXISTS);
    struct slice answer;
    ck_assert(!coordinator_answer(c, &answer));
    sealed(c, 0);
    ck_assert_int_eq(answer_of(c), STATUS_RETRY);

    c = begun(true); /* the other way round */
    sealed(c, 0);
    votes(c, 1, VOTE_NO, STATUS_EXISTS);
    ck_assert_int_eq(answer_of(c), STATUS_RETRY);

    c = begun(true); /* the anchor knows the id */
    votes(c, 1, VOTE_NO, STATUS_EXISTS);
    votes(c, 0, VOTE_ANSWERED, STATUS_OK);
    ck_assert_int_eq(answer_of(c), STATUS_OK);

    c = begun(true); /* it refuses as well: it has looked */
    votes(c, 1, VOTE_NO, STATUS_EXISTS);
    votes(c, 0, VOTE_NO, STATUS_GUARD_FAILED);
    ck_assert_int_ne(answer_of(c), STATUS_RETRY);
}
END_TEST

/* Two refuse. Somebody else who met the anchor's lock has every vote, and stores the refusal of the first in their order: it must not
 * matter whose vote comes first here. */
START_TEST(the_refusal_told_is_the_one_that_is_stored)
{
    for (size_t first = 1; first <= 2; first++) {
        struct slice answer;
        struct coordinator *c = begun_over(3, true);
        votes(c, 0, VOTE_YES, STATUS_OK);
        votes(c, first, VOTE_NO, first == 1 ? STATUS_GUARD_FAILED : STATUS_EXISTS);
        ck_assert(!coordinator_answer(c, &answer));
        votes(c, 3 - first, VOTE_NO, first == 1 ? STATUS_EXISTS : STATUS_GUARD_FAILED);
        ck_assert_int_eq(answer_of(c), STATUS_GUARD_FAILED);
    }
}
END_TEST

START_TEST(without_an_id_a_refusal_is_told_at_once)
{
    struct coordinator *c = begun(false);
    votes(c, 1, VOTE_NO, STATUS_EXISTS);
    ck_assert_int_eq(answer_of(c), STATUS_EXISTS);
}
END_TEST

/* A commit over two ranges whose router died between the Forget of the one and the Forget of the other: it is a commit, and the other is
 * told to forget it; what it answered nobody knows any more. */
START_TEST(a_commit_that_one_has_forgotten_is_a_commit)
{
    struct coordinator *c = begun(false);
    struct txn_outcome outcome;
    struct buf body;
    buf_init(&body, 4096);
    votes(c, 1, VOTE_COMMITTED, STATUS_OK);
    sealed(c, 0);
    ck_assert(coordinator_decided(c, &outcome) && outcome.commit && outcome.ts == 9);
    ck_assert(coordinator_uncertain(c));
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq((int)coordinator_ask(c, i, &body), (int)ASK_FORGET);
        votes(c, i, VOTE_DONE, STATUS_OK);
    }
    ck_assert(coordinator_done(c));
    buf_free(&body);
    ck_assert_int_eq(answer_of(c), STATUS_RETRY);
}
END_TEST

/* Of a Prepare that met a lock nothing is left there: no Seal, no Decide, and the other range is told at once. */
START_TEST(what_was_blocked_is_not_sealed)
{
    struct coordinator *c = begun(false);
    struct buf body;
    struct slice answer;
    struct txn_decide d;
    buf_init(&body, 4096);
    votes(c, 0, VOTE_YES, STATUS_OK);
    coordinator_blocked(c, 1);
    ck_assert(coordinator_answer(c, &answer));
    ck_assert_int_eq((int)coordinator_ask(c, 1, &body), (int)ASK_NOTHING);
    ck_assert_int_eq((int)coordinator_ask(c, 0, &body), (int)ASK_DECIDE);
    ck_assert_int_eq(txn_decide_decode(buf_slice(&body), &d), STATUS_OK);
    ck_assert(!d.commit);
    coordinator_blocked(c, 0); /* whatever is asked besides has to be asked again */
    ck_assert_int_eq((int)coordinator_ask(c, 0, &body), (int)ASK_DECIDE);
    votes(c, 0, VOTE_DONE, STATUS_OK);
    ck_assert(coordinator_done(c));
    ck_assert(!coordinator_uncertain(c));
    ck_assert_int_eq(answer_of(c), STATUS_RETRY);

    c = begun(true); /* the anchor may have an answer, which it did not come to tell */
    coordinator_blocked(c, 0);
    votes(c, 1, VOTE_NO, STATUS_EXISTS);
    ck_assert_int_eq(answer_of(c), STATUS_RETRY);
    buf_free(&body);
}
END_TEST

/* A vote of a part that got `count` values of 1 MiB, of which the first lacks `less` bytes; keeps: it keeps the answer. */
static void votes_with_values(struct coordinator *c, size_t participant, size_t count, size_t less, bool keeps)
{
    struct buf result, bytes;
    uint8_t *value = mem_zalloc(LIMIT_VALUE_BYTES);
    struct txn_op_result ops[16];
    uint32_t places[16];
    buf_init(&result, TXN_RESULT_BYTES_MAX);
    buf_init(&bytes, LIMIT_FRAME_BYTES);
    for (size_t i = 0; i < count; i++) {
        places[i] = (uint32_t)(participant * 16 + i);
        ops[i] = (struct txn_op_result){
            .kind = TXN_GET, .found = true, .version = 3, .value = slice_make(value, LIMIT_VALUE_BYTES)};
    }
    ops[0].value.size -= less;
    txn_result_encode(&(struct txn_result){.status = STATUS_OK,
                                           .succeeded = true,
                                           .ts = 9,
                                           .failed_index = TXN_NO_INDEX,
                                           .ops = ops,
                                           .op_count = count},
                      &result);
    ck_assert(!result.overflow);
    txn_vote_encode(&(struct txn_vote){.kind = VOTE_YES,
                                       .ts = 9,
                                       .holds = true,
                                       .keeps_answer = keeps,
                                       .places = {.ops = places, .op_count = count},
                                       .then_result = buf_slice(&result),
                                       .else_result = SLICE_EMPTY},
                    &bytes);
    ck_assert_int_eq(coordinator_voted(c, participant, buf_slice(&bytes)), STATUS_OK);
    buf_free(&result);
    buf_free(&bytes);
    mem_free(value);
}

/* What the ranges found is more than one transaction may return, and more than a Decide can bring to where the answer is kept: it is
 * refused, as it is in one range, and never half-way. */
START_TEST(an_answer_that_is_too_large_is_refused)
{
    for (size_t parts = 2; parts <= 4; parts++) {
        for (int has_id = 0; has_id < 2; has_id++) {
            struct coordinator *c = begun_over(parts, has_id == 1);
            struct txn_outcome outcome;
            struct txn_decide d;
            struct buf body;
            buf_init(&body, LIMIT_FRAME_BYTES);
            for (size_t i = 0; i < parts; i++) votes_with_values(c, i, 7, 0, i == 0 && has_id == 1);
            ck_assert(coordinator_decided(c, &outcome));
            for (size_t i = 0; i < parts; i++) {
                buf_clear(&body);
                ck_assert_int_eq((int)coordinator_ask(c, i, &body), (int)ASK_DECIDE);
                ck_assert_int_eq(txn_decide_decode(buf_slice(&body), &d), STATUS_OK);
                ck_assert(!d.commit);
                votes(c, i, VOTE_DONE, STATUS_OK);
            }
            buf_free(&body);
            ck_assert_int_eq(answer_of(c), STATUS_TOO_LARGE);
        }
    }
}
END_TEST

/* As much as goes: whatever is committed, the Decide fits a request. */
START_TEST(an_answer_that_is_kept_fits_a_decide)
{
    unsigned committed = 0;
    for (size_t less = 0; less < 240; less++) {
        struct coordinator *c = begun_over(2, true);
        struct txn_outcome outcome;
        struct buf body;
        buf_init(&body, LIMIT_FRAME_BYTES);
        votes_with_values(c, 0, 4, less, true);
        votes_with_values(c, 1, 4, 0, false);
        ck_assert(coordinator_decided(c, &outcome));
        ck_assert_int_eq((int)coordinator_ask(c, 0, &body), (int)ASK_DECIDE);
        ck_assert_uint_le(body.size, LIMIT_TXN_BYTES);
        committed += outcome.commit;
        buf_free(&body);
        coordinator_free(c);
        less += 7;
    }
    ck_assert_uint_gt(committed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("txn_coordinator");
    TCase *tc = tcase_create("answers");
    tcase_set_timeout(tc, 60);
    arena_init(&arena, 4096);
    tcase_add_test(tc, a_refusal_waits_for_what_the_anchor_knows);
    tcase_add_test(tc, the_refusal_told_is_the_one_that_is_stored);
    tcase_add_test(tc, without_an_id_a_refusal_is_told_at_once);
    tcase_add_test(tc, a_commit_that_one_has_forgotten_is_a_commit);
    tcase_add_test(tc, what_was_blocked_is_not_sealed);
    tcase_add_test(tc, an_answer_that_is_too_large_is_refused);
    tcase_add_test(tc, an_answer_that_is_kept_fits_a_decide);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    arena_free(&arena);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
