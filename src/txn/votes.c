/* The outcome of a transaction over several ranges as a function of its votes: whoever has them finds the same. */
#include "base/assert.h"
#include "base/mutant.h"
#include "txn/prepare.h"
#include "txn/txn_int.h"

#define DECIDE_HEAD_MAX 64u /* of a Decide, besides the answer */

static struct txn_result decode(struct slice bytes, struct arena *arena)
{
    struct txn_result r;
    if (txn_result_decode(bytes, arena, &r) != STATUS_OK) {
        r = (struct txn_result){.status = STATUS_RETRY, .failed_index = TXN_NO_INDEX};
    }
    return r;
}

static void tell(const struct txn_result *r, struct buf *answer)
{
    txn_result_encode(r, answer);
}

static void tell_retry(struct buf *answer)
{
    tell(&(struct txn_result){.status = STATUS_RETRY, .failed_index = TXN_NO_INDEX}, answer);
}

/* The refusal of a NO, the anchor's first: that one is stored there already. */
static const struct txn_vote *refusing(const struct txn_vote *votes, size_t count)
{
    const struct txn_vote *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (votes[i].kind != VOTE_NO) continue;
        if (votes[i].keeps_answer) return &votes[i];
        if (found == NULL) found = &votes[i];
    }
    return found;
}

static struct slice chosen(const struct txn_vote *v, bool use_else)
{
    return use_else ? v->else_result : v->then_result;
}

static const uint32_t *places(const struct txn_vote *v, bool use_else, size_t *count)
{
    *count = use_else ? v->places.else_count : v->places.op_count;
    return use_else ? v->places.elses : v->places.ops;
}

/* Results of all parts, each where its operation stands in the whole. */
static void merge(const struct txn_vote *votes, size_t count, struct arena *arena, const struct txn_outcome *o,
                  struct buf *answer)
{
    size_t total = 0, n;
    for (size_t i = 0; i < count; i++) {
        const uint32_t *p = places(&votes[i], o->use_else, &n);
        for (size_t j = 0; j < n; j++) total = p[j] + 1u > total ? p[j] + 1u : total;
    }
    struct txn_result whole = {.status = STATUS_OK,
                               .succeeded = !o->use_else,
                               .ts = o->ts,
                               .failed_index = TXN_NO_INDEX,
                               .ops = arena_zalloc(arena, total * sizeof(*whole.ops)),
                               .op_count = total};
    for (size_t i = 0; i < total; i++) whole.ops[i] = (struct txn_op_result){.kind = TXN_PUT, .value = SLICE_EMPTY};
    for (size_t i = 0; i < count; i++) {
        struct txn_result r = decode(chosen(&votes[i], o->use_else), arena);
        const uint32_t *p = places(&votes[i], o->use_else, &n);
        for (size_t j = 0; j < n && j < r.op_count; j++) {
            whole.ops[p[j]] = r.ops[j];
            if (r.ops[j].version == r.ts) whole.ops[p[j]].version = o->ts; /* what it wrote itself */
        }
    }
    tell(&whole, answer);
}

/* Of all that the ranges found, at least as much as the whole answer has. A Decide that keeps the answer must fit a request, and one range
 * alone would not return more. */
static bool too_large(const struct txn_vote *votes, size_t count, bool use_else)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        if (votes[i].kind == VOTE_COMMITTED) return false; /* by a router of a former release */
        size += chosen(&votes[i], use_else).size;
    }
    return size > LIMIT_TXN_BYTES - DECIDE_HEAD_MAX;
}

void txn_votes_combine(const struct txn_vote *votes, size_t count, struct arena *arena, struct txn_outcome *out,
                       struct buf *answer)
{
    ASSERT(count > 0);
    bool all_hold = true;
    *out = (struct txn_outcome){.commit = false};
    uint64_t until =
        ROW_NEVER_EXPIRES; /* what was read is so below it, and the transaction must be so at its timestamp */
    const struct txn_vote *no = refusing(votes, count), *aborted = NULL, *answered = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct txn_vote *v = &votes[i];
        if (v->kind == VOTE_ANSWERED) answered = v;
        if (v->kind == VOTE_ABORTED) aborted = v;
        if (!v->holds) all_hold = false;
        if (v->ts > out->ts) out->ts = v->ts;
        if (v->until != 0 && v->until < until) until = v->until;
    }
    if (answered != NULL) {
        struct txn_result r = decode(answered->then_result, arena);
        tell(&r, answer);
        return;
    }
    if (no != NULL) {
        struct txn_result r = decode(chosen(no, no->has_else && !no->holds), arena);
        out->keep = r.status != STATUS_RETRY;
        tell(&r, answer);
        return;
    }
    if (aborted != NULL) {
        tell_retry(answer);
        return;
    }
    if (out->ts >= until && !MUTANT(expiry_after_the_vote_ignored)) {
        COVER("txn.expired_before_commit");
        tell_retry(answer);
        return;
    }
    out->use_else = !all_hold;
    for (size_t i = 0; i < count; i++) {
        struct txn_result r = decode(chosen(&votes[i], out->use_else), arena);
        if (r.status == STATUS_OK) continue;
        out->keep = true;
        tell(&r, answer);
        return;
    }
    out->keep = true;
    if (too_large(votes, count, out->use_else)) {
        COVER("txn.answer_too_large");
        tell(&(struct txn_result){.status = STATUS_TOO_LARGE, .failed_index = TXN_NO_INDEX}, answer);
        return;
    }
    out->commit = true;
    merge(votes, count, arena, out, answer);
}
