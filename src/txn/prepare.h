/* What travels between the coordinator of a transaction over several ranges and its participants: docs/transactions.md.
 * Encodings: docs/formats/txn.md. Decoded slices are borrowed from the bytes, arrays from the arena. */
#ifndef QUORATE_TXN_PREPARE_H
#define QUORATE_TXN_PREPARE_H

#include "base/cursor.h"
#include "txn/command.h"
#include "txn/txn.h"

#define TXN_PARTICIPANTS_MAX 256u
/* A Prepare whose timestamp is further above `born` is refused; then tombstones may go. 10 minutes of timestamps. */
#define TXN_HORIZON ((uint64_t)600000 << 18)

struct request_hash { /* of a whole encoded transaction */
    uint64_t first, second;
};
struct request_hash request_hash_of(struct slice encoded);

/* Each part has an id of its own: the attempt's, its last two bytes the part's number. So parts that come to lie in one range do
 * not meet, and whoever knows one of them knows all. */
struct txn_id txn_part_id(const struct txn_id *attempt, size_t part);
size_t txn_part_number(const struct txn_id *part);
bool txn_same_attempt(const struct txn_id *a, const struct txn_id *b);

struct txn_span { /* user keys of a part: from the lowest to the highest, both included */
    struct slice low, high;
};

/* Where the compares and operations of a part stand in the whole transaction. */
struct txn_places {
    uint32_t *compares, *ops, *elses;
    size_t compare_count, op_count, else_count;
};

struct txn_prepare {
    struct txn_id id;         /* of this part of this attempt */
    uint64_t born;            /* a timestamp from before it began: the lower, the older */
    bool has_else;            /* the whole transaction has else operations */
    bool keeps_answer;        /* this part holds the anchor, and the client gave an id */
    struct txn_id client;     /* keeps_answer */
    struct request_hash hash; /* keeps_answer: of the whole transaction */
    struct slice anchor;      /* keeps_answer: user key beside which the answer is kept */
    uint32_t keyspace;
    struct txn_span *spans; /* of all participants */
    size_t span_count;
    struct txn_places places;
    struct slice part; /* txn_encode's bytes, without id */
};
void txn_prepare_encode(const struct txn_prepare *p, struct buf *out);
/* Without looking into the part. */
MUST_CHECK enum status txn_prepare_decode(struct slice bytes, struct arena *arena, struct txn_prepare *out);

enum txn_vote_kind {
    VOTE_YES = 1,   /* prepared */
    VOTE_NO,        /* it refuses for good: then_result says why; a tombstone is left */
    VOTE_COMMITTED, /* to a Seal or a repeated Prepare */
    VOTE_ABORTED,   /* likewise; also by Seal itself */
    VOTE_ANSWERED,  /* an earlier attempt with the client's id has ended: then_result is its answer */
    VOTE_DONE       /* to Decide and Forget: applied */
};
struct txn_vote {
    enum txn_vote_kind kind;
    uint64_t ts;       /* YES: min_ts, COMMITTED: the commit timestamp; ABORTED by a Seal of the unknown: the Seal's */
    uint64_t until;    /* YES: what was found is so at timestamps below; 0: for ever */
    bool holds;        /* the compares of the part hold */
    bool has_else;     /* else_result is there */
    bool keeps_answer; /* Decide must bring the whole answer here */
    struct txn_places places;
    struct slice then_result, else_result; /* txn_result_encode's bytes; failed_index counts in the whole transaction */
};
void txn_vote_encode(const struct txn_vote *v, struct buf *out);
MUST_CHECK enum status txn_vote_decode(struct slice bytes, struct arena *arena, struct txn_vote *out);

struct txn_decide {
    struct txn_id id;
    bool commit, use_else;
    uint64_t ts;         /* commit: at which timestamp */
    struct slice answer; /* for the participant that keeps it; empty: none is to be kept */
};
void txn_decide_encode(const struct txn_decide *d, struct buf *out);
MUST_CHECK enum status txn_decide_decode(struct slice bytes, struct txn_decide *out);

struct txn_seal { /* also the body of Forget */
    struct txn_id id;
    uint64_t
        born; /* Forget: 0: at once; else its coordinator may still ask, and is told until the horizon has passed */
};
void txn_seal_encode(const struct txn_seal *s, struct buf *out);
MUST_CHECK enum status txn_seal_decode(struct slice bytes, struct txn_seal *out);

/* Several Decides and Forgets in one entry: each its kind and its body. */
struct txn_step {
    enum txn_command_kind kind;
    struct slice body; /* borrowed */
};
void txn_step_append(const struct txn_step *s, struct buf *out);
/* False at the end, and, with c->failed, at bytes that are no step. */
bool txn_step_next(struct cursor *c, struct txn_step *out);

/* Several Prepares in one entry: each its timestamp, which rise, and its bytes. */
void txn_prepares_append(uint64_t ts, struct slice prepare, struct buf *out);
/* False at the end, and, with c->failed, at bytes that are none. */
bool txn_prepares_next(struct cursor *c, uint64_t *ts, struct slice *prepare);
/* The answer of such an entry: that of each. It is appended between begin, which returns a mark, and end. */
size_t txn_answers_begin(struct buf *out);
void txn_answers_end(struct buf *out, size_t mark);
bool txn_answers_next(struct cursor *c, struct slice *answer);

/* The answer of an entry that met the lock of another transaction, and has done nothing. */
struct txn_blocked {
    struct txn_id holder;
    uint64_t born, min_ts;
    uint32_t keyspace;
    struct txn_span *spans; /* of its participants */
    size_t span_count;
};
bool txn_is_blocked(struct slice answer); /* or a result or vote */
void txn_blocked_encode(const struct txn_blocked *b, struct buf *out);
MUST_CHECK enum status txn_blocked_decode(struct slice bytes, struct arena *arena, struct txn_blocked *out);

/* --- the outcome, a function of the votes --- */
struct txn_outcome {
    bool commit, use_else;
    bool keep; /* the answer is final for the client's id: the anchor must hold it before it is told */
    uint64_t ts;
};
/* Votes of all participants (YES, NO, COMMITTED, ABORTED or ANSWERED). Appends the answer for the client, an encoded
 * txn_result; RETRY when it was aborted for no reason of its own. */
void txn_votes_combine(const struct txn_vote *votes, size_t count, struct arena *arena, struct txn_outcome *out,
                       struct buf *answer);

#endif
