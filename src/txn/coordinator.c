/* Each participant goes its own way; what joins the ways is the outcome.
 *
 *   TO_PREPARE -> PREPARING --vote--------------------------> VOTED --outcome known--> TO_DECIDE -> DECIDING -> DECIDED
 *                     |  \--blocked: never done, nobody asks-----^                         ^-- failed --|           |
 *                     |  failed, hurry                          |                                                |
 *                     +----------> TO_SEAL -> SEALING --vote----+     a vote that is the end (NO, ABORTED...):     |
 *                                     ^-- failed --|                  straight to DECIDED                          |
 *                                                                                                                  v
 *             DONE <- FORGETTING <- TO_FORGET <---- commit, and all are DECIDED ----------------------------- (abort: DONE)
 *
 * Abort is a fact with the first vote that is NO, ABORTED or ANSWERED; commit with the last YES. A refusal that is to be kept
 * for the client's id is told only when the anchor's participant has stored it. */
#include "txn/coordinator.h"

#include "base/assert.h"
#include "base/mutant.h"

enum way { TO_PREPARE, PREPARING, TO_SEAL, SEALING, VOTED, TO_DECIDE, DECIDING, DECIDED, TO_FORGET, FORGETTING, DONE };

struct participant {
    enum way way;
    bool has_vote;
    struct txn_vote vote; /* in the arena */
};

struct coordinator {
    struct coordinator_options o;
    struct arena arena; /* holds it all */
    struct participant *participants;
    bool decided, answered, uncertain;
    struct txn_outcome outcome;
    struct buf answer;
};

struct coordinator *coordinator_new(const struct coordinator_options *o)
{
    ASSERT(o->participant_count > 0 && o->participant_count <= TXN_PARTICIPANTS_MAX);
    ASSERT(!o->has_client_id || o->anchor < o->participant_count);
    struct arena arena;
    if (o->chunks != NULL) {
        arena_init_pages(&arena, o->chunks);
    } else {
        arena_init(&arena, 960);
    }
    struct coordinator *c = arena_zalloc(&arena, sizeof(*c));
    c->o = *o;
    c->participants = arena_zalloc(&arena, o->participant_count * sizeof(*c->participants));
    c->arena = arena;
    buf_init(&c->answer, 2 * TXN_RESULT_BYTES_MAX);
    for (size_t i = 0; i < o->participant_count; i++) c->participants[i].way = o->recovering ? TO_SEAL : TO_PREPARE;
    return c;
}

void coordinator_free(struct coordinator *c)
{
    if (c == NULL) return;
    struct arena arena = c->arena; /* it lies there itself */
    buf_free(&c->answer);
    arena_free(&arena);
}

/* --- the outcome --- */

static bool keeps_answer(const struct coordinator *c, size_t i)
{
    const struct participant *p = &c->participants[i];
    return p->has_vote && p->vote.kind == VOTE_YES && p->vote.keeps_answer;
}

/* Whatever the others vote, this is the answer: the anchor has it already. */
static bool settles(const struct participant *anchor)
{
    const struct txn_vote *v = &anchor->vote;
    return anchor->has_vote && (v->kind == VOTE_ANSWERED || (v->kind == VOTE_NO && v->keeps_answer));
}

/* All that the outcome depends on is there. With a client's id a refusal waits for every vote: of two that refuse, whoever finds the
 * outcome takes the first in their order, and what is told must be what is stored. */
static bool may_decide(const struct coordinator *c)
{
    size_t votes = 0;
    bool ends = false;
    for (size_t i = 0; i < c->o.participant_count; i++) {
        const struct participant *p = &c->participants[i];
        if (!p->has_vote) continue;
        votes++;
        if (p->vote.kind != VOTE_YES && p->vote.kind != VOTE_COMMITTED) ends = true;
    }
    if (votes == c->o.participant_count) return true;
    if (votes > 0 && MUTANT(missing_vote_is_yes) && !c->o.recovering) return true;
    if (!ends || c->o.recovering) return false;
    return !c->o.has_client_id || settles(&c->participants[c->o.anchor]);
}

/* Nobody voted NO, and a participant was sealed so late that it may have known the transaction, as one that others had committed. */
static bool may_be_forgotten(const struct coordinator *c)
{
    bool late = false;
    for (size_t i = 0; i < c->o.participant_count; i++) {
        const struct participant *p = &c->participants[i];
        if (p->has_vote && p->vote.kind == VOTE_NO) return false;
        if (p->has_vote && p->vote.kind == VOTE_ABORTED && p->vote.ts > c->o.born + TXN_HORIZON) late = true;
    }
    return late;
}

/* Some have committed, and one was sealed because it knows nothing: it has committed too, and was told to forget. Whoever told it so
 * has ended before it told the others. */
static bool forgot_a_commit(const struct coordinator *c, uint64_t *ts)
{
    bool committed = false, unknown = false;
    for (size_t i = 0; i < c->o.participant_count; i++) {
        const struct participant *p = &c->participants[i];
        if (!p->has_vote || (p->vote.kind != VOTE_COMMITTED && p->vote.kind != VOTE_ABORTED)) return false;
        if (p->vote.kind == VOTE_COMMITTED) *ts = p->vote.ts;
        committed = committed || p->vote.kind == VOTE_COMMITTED;
        unknown = unknown || p->vote.kind == VOTE_ABORTED;
    }
    return committed && unknown;
}

/* The anchor's participant was sealed: whether it has an answer for the client's id already it did not say. What others refuse may
 * be what an earlier attempt has done. */
static bool anchor_is_mute(const struct coordinator *c)
{
    return c->o.has_client_id && c->participants[c->o.anchor].vote.kind == VOTE_ABORTED;
}

static void decide(struct coordinator *c)
{
    struct txn_vote *votes = arena_alloc(&c->arena, c->o.participant_count * sizeof(*votes));
    size_t count = 0;
    for (size_t i = 0; i < c->o.participant_count; i++) {
        if (c->participants[i].has_vote) votes[count++] = c->participants[i].vote;
        if (count > 0 && votes[count - 1].kind == VOTE_NO && anchor_is_mute(c)) {
            COVER("txn.anchor_mute");
            votes[count - 1].kind = VOTE_ABORTED;
        }
    }
    txn_votes_combine(votes, count, &c->arena, &c->outcome, &c->answer);
    c->decided = true;
    c->uncertain = !c->outcome.commit && may_be_forgotten(c);
    uint64_t ts = 0;
    if (forgot_a_commit(c, &ts)) { /* the answer went with what was forgotten */
        COVER("txn.forgotten_by_some");
        c->outcome = (struct txn_outcome){.commit = true, .ts = ts};
        c->uncertain = true;
    }
    bool keeper = false;
    for (size_t i = 0; i < c->o.participant_count; i++) keeper = keeper || keeps_answer(c, i);
    c->answered = c->outcome.commit || !c->outcome.keep || !keeper;
}

static void go_on(struct coordinator *c)
{
    if (!c->decided && may_decide(c)) decide(c);
    if (!c->decided) return;
    bool all_decided = true;
    for (size_t i = 0; i < c->o.participant_count; i++) {
        struct participant *p = &c->participants[i];
        if (p->way == VOTED) p->way = p->vote.kind == VOTE_YES ? TO_DECIDE : DECIDED;
        if (p->way < DECIDED) all_decided = false;
        if (p->way == DECIDED && keeps_answer(c, i)) c->answered = true;
    }
    if (!all_decided) return;
    c->answered = true;
    for (size_t i = 0; i < c->o.participant_count; i++) {
        struct participant *p = &c->participants[i];
        if (p->way == DECIDED) p->way = c->outcome.commit ? TO_FORGET : DONE;
    }
}

/* --- events --- */

enum coordinator_ask coordinator_ask(struct coordinator *c, size_t participant, struct buf *body)
{
    struct participant *p = &c->participants[participant];
    struct txn_seal seal = {.id = txn_part_id(&c->o.id, participant), .born = c->o.born};
    switch (p->way) {
    case TO_PREPARE: p->way = PREPARING; return ASK_PREPARE;
    case TO_SEAL:
        p->way = SEALING;
        txn_seal_encode(&seal, body);
        return ASK_SEAL;
    case TO_DECIDE: {
        struct txn_decide d = {.id = seal.id,
                               .commit = c->outcome.commit,
                               .use_else = c->outcome.use_else,
                               .ts = c->outcome.ts,
                               .answer = SLICE_EMPTY};
        if (c->outcome.keep && keeps_answer(c, participant)) d.answer = buf_slice(&c->answer);
        p->way = DECIDING;
        txn_decide_encode(&d, body);
        return ASK_DECIDE;
    }
    case TO_FORGET:
        p->way = FORGETTING;
        if (!c->o.recovering) seal.born = 0; /* nobody else answers the client */
        txn_seal_encode(&seal, body);
        return ASK_FORGET;
    case PREPARING:
    case SEALING:
    case VOTED:
    case DECIDING:
    case DECIDED:
    case FORGETTING:
    case DONE: break;
    }
    return ASK_NOTHING;
}

static void take_vote(struct participant *p, const struct txn_vote *v)
{
    p->vote = *v;
    p->has_vote = true;
    p->way = VOTED;
}

enum status coordinator_voted(struct coordinator *c, size_t participant, struct slice bytes)
{
    struct participant *p = &c->participants[participant];
    struct txn_vote v;
    if (txn_vote_decode(arena_dup_slice(&c->arena, bytes), &c->arena, &v) != STATUS_OK) {
        coordinator_failed(c, participant);
        return STATUS_INVALID;
    }
    bool is_vote = v.kind != VOTE_DONE;
    switch (p->way) {
    case PREPARING:
    case TO_SEAL:
    case SEALING:
        if (is_vote) take_vote(p, &v);
        break;
    case DECIDING:
        if (!is_vote) p->way = DECIDED;
        break;
    case FORGETTING:
        if (!is_vote) p->way = DONE;
        break;
    case TO_PREPARE:
    case VOTED:
    case TO_DECIDE:
    case DECIDED:
    case TO_FORGET:
    case DONE: break; /* late */
    }
    go_on(c);
    return STATUS_OK;
}

void coordinator_failed(struct coordinator *c, size_t participant)
{
    struct participant *p = &c->participants[participant];
    if (p->way == PREPARING || p->way == SEALING) p->way = TO_SEAL;
    if (p->way == DECIDING) p->way = TO_DECIDE;
    if (p->way == FORGETTING) p->way = TO_FORGET;
}

void coordinator_blocked(struct coordinator *c, size_t participant)
{
    struct participant *p = &c->participants[participant];
    if (p->way != PREPARING && p->way != TO_SEAL) {
        coordinator_failed(c, participant);
        return;
    }
    COVER("txn.blocked_unsealed");
    take_vote(p, &(struct txn_vote){.kind = VOTE_ABORTED, .then_result = SLICE_EMPTY, .else_result = SLICE_EMPTY});
    go_on(c);
}

void coordinator_hurry(struct coordinator *c)
{
    for (size_t i = 0; i < c->o.participant_count; i++) {
        struct participant *p = &c->participants[i];
        if (p->way == PREPARING || p->way == TO_PREPARE) p->way = TO_SEAL;
    }
}

/* --- looking --- */

bool coordinator_answer(const struct coordinator *c, struct slice *answer)
{
    if (c->answered) *answer = buf_slice(&c->answer);
    return c->answered;
}

bool coordinator_uncertain(const struct coordinator *c)
{
    return c->uncertain;
}

bool coordinator_decided(const struct coordinator *c, struct txn_outcome *out)
{
    if (c->decided) *out = c->outcome;
    return c->decided;
}

bool coordinator_done(const struct coordinator *c)
{
    for (size_t i = 0; i < c->o.participant_count; i++) {
        if (c->participants[i].way != DONE) return false;
    }
    return true;
}
