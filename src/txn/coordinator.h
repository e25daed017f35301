/* The coordinator of a transaction over several ranges, and equally whoever settles the fate of an abandoned one: a pure state
 * machine over the votes. Drawing in coordinator.c; rules in docs/transactions.md.
 *
 * The driver sends what coordinator_ask says, tells each reply or failure, and paces repetitions. It may stop at any time:
 * whoever meets the locks goes on with a coordinator of its own. */
#ifndef QUORATE_TXN_COORDINATOR_H
#define QUORATE_TXN_COORDINATOR_H

#include "txn/prepare.h"

struct coordinator_options {
    struct txn_id id; /* of the attempt, or of any of its parts */
    uint64_t born;
    size_t participant_count;
    bool recovering;            /* starts with Seal: the parts are not known here */
    bool has_client_id;         /* the anchor's participant keeps the answer; not for recovering */
    size_t anchor;              /* has_client_id: which participant that is */
    struct arena_pages *chunks; /* where its memory comes from and goes; NULL: the heap */
};
struct coordinator;
struct coordinator *coordinator_new(const struct coordinator_options *o);
void coordinator_free(struct coordinator *c);

enum coordinator_ask { ASK_NOTHING, ASK_PREPARE, ASK_SEAL, ASK_DECIDE, ASK_FORGET };
/* What the participant is to be asked next; it counts as sent. ASK_SEAL, ASK_DECIDE, ASK_FORGET: the body is appended. */
enum coordinator_ask coordinator_ask(struct coordinator *c, size_t participant, struct buf *body);
/* An encoded txn_vote has come. STATUS_INVALID: it cannot be decoded, and counts as coordinator_failed. */
MUST_CHECK enum status coordinator_voted(struct coordinator *c, size_t participant, struct slice vote);
/* The participant could not be reached, refused, or is late: whether it has done what was asked is not known. */
void coordinator_failed(struct coordinator *c, size_t participant);
/* A Prepare met a lock and was refused for it: it was never done, nor will be, so nothing is there that would have to be sealed. Of
 * anything else that was asked: it has failed. */
void coordinator_blocked(struct coordinator *c, size_t participant);
/* No vote will be waited for any longer: those that are missing are sealed. */
void coordinator_hurry(struct coordinator *c);

/* The answer for the client, an encoded txn_result, once it is certain; borrowed. */
bool coordinator_answer(const struct coordinator *c, struct slice *answer);
/* The answer is RETRY, and yet it may have been committed: it took longer than anybody remembers. */
bool coordinator_uncertain(const struct coordinator *c);
bool coordinator_decided(const struct coordinator *c, struct txn_outcome *out);
bool coordinator_done(const struct coordinator *c); /* nothing is left to be asked */

#endif
