/* What a run of transfers does, as a pure function of what is known: judged one after the other, as if each were alone, they become
 * ONE transaction of the store, and a result each. docs/ledger.md, "A run".
 *
 *   plan_add --> plan_wants <--> plan_take     (until nothing more is wanted)
 *                    |
 *                    v
 *                plan_build --> transaction; it commits exactly if every judgement holds at its commit timestamp
 *
 * What is not known is guessed, or assumed: ids are new, limits are kept, accounts are open. The transaction carries the assumptions as inserts and
 * guards, and the guard on a counter is the interval in which every judgement would have been the same. If the store refuses, plan_blame
 * says which account or transfer was judged wrongly, and the run is planned again, knowing more. */
#ifndef QUORATE_LEDGER_PLAN_H
#define QUORATE_LEDGER_PLAN_H

#include "ledger/balance.h"
#include "txn/txn.h"

struct plan_options {
    uint64_t timestamp; /* first of as many as there are transfers: later than all that was used before */
    uint64_t now_ms;
    bool look_at_ids;    /* read whether ids are taken, assume nothing */
    bool look_at_limits; /* read the counters that limits speak of */
    /* An account that is known already, or NULL. */
    const struct ledger_account *(*account)(void *ctx, const struct ledger_id *id);
    /* May be NULL. What the counter that limits the account may be at the moment; false: no idea. A wrong guess costs a refusal by the
     * store, never a wrong outcome: what is judged by it is guarded. A suspect account is not guessed at. */
    bool (*guess)(void *ctx, const struct ledger_id *id, i128 *net);
    void *ctx;
};
struct plan;
struct plan *plan_new(void);
void plan_free(struct plan *p);
void plan_begin(struct plan *p, const struct plan_options *o); /* forgets everything */
/* Whole chains only; borrowed until the next plan_begin. attempt: tells own repetitions from others' transfers; that
 * of the first, and one more for each that follows. */
void plan_add(struct plan *p, const struct ledger_transfer *events, struct ledger_outcome *outcomes, size_t count,
              uint64_t attempt);
#define PLAN_WEIGHT_MAX 13u
/* Operations and compares that the transfer needs at most: the sum of a run stays within LIMIT_TXN_OPS. */
unsigned plan_weight(const struct ledger_transfer *t);
/* Every counter of the account is to be read. */
void plan_suspect(struct plan *p, const struct ledger_id *account);

enum plan_want_kind { WANT_ACCOUNT = 1, WANT_COUNTER, WANT_TRANSFER, WANT_RESOLUTION };
struct plan_want {
    enum plan_want_kind kind;
    struct slice key;
    struct ledger_id id; /* of the account or transfer */
    enum ledger_slot slot;
    void *object; /* the plan's own */
    void *reader; /* whoever reads it may keep what it likes here */
};
/* What has to be known next; in the plan's arena. */
struct plan_want *plan_wants(struct plan *p, size_t *count);
/* value: as a client of the store sees it. STATUS_CORRUPT: it is no row of a ledger. */
MUST_CHECK enum status plan_take(struct plan *p, const struct plan_want *w, bool found, struct slice value);

/* Judges all; fills outcomes and the transaction, in the plan's arena. Without operations and compares there is nothing to commit.
 * STATUS_CONDITION_FAILED: the assumptions contradict each other; plan_blamed says which account is suspect. */
MUST_CHECK enum status plan_build(struct plan *p, struct txn *out);

struct plan_culprit {
    bool is_account;
    struct ledger_id id;
};
/* The store has refused at that operation or compare. */
struct plan_culprit plan_blame(const struct plan *p, enum status refusal, uint32_t failed_index);
struct plan_culprit plan_blamed(const struct plan *p);
/* The run has committed: what the counter that limits an account became. `next` begins at 0; false: no more are known. */
bool plan_learned(const struct plan *p, size_t *next, struct ledger_id *account, i128 *net);
/* Whether the transfer has anything to do with it. */
bool plan_touches(const struct plan *p, const struct ledger_transfer *t, const struct plan_culprit *c);

#endif
