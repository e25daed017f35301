/* Private to txn/: one entry being applied; shared by participant.c (what is judged) and ending.c (what became of it). */
#ifndef QUORATE_TXN_PARTICIPANT_INT_H
#define QUORATE_TXN_PARTICIPANT_INT_H

#include "txn/evaluate_int.h"

struct applying {
    struct txn_table *t;
    const struct txn_entry *entry;
    struct slice body; /* the entry's, or that of the step of it that is being applied */
    const struct txn_view *view;
    struct arena *arena;
    struct buf *answer;
    struct txn_write *items;
    size_t count, capacity;
    struct held **changed; /* held transactions whose row has to be written again */
    size_t changed_count, changed_capacity;
};

/* participant.c */
void apply_put_writes(struct applying *a, const struct txn_writes *w, uint64_t ts);
void apply_put(struct applying *a, struct txn_write w);
void apply_put_held(struct applying *a, struct held *h, struct slice row); /* empty: it goes */
struct held *apply_install(struct applying *a, const struct txn_id *id, const struct held_row *r);
struct held *apply_hold(struct applying *a, const struct txn_id *id,
                        const struct held_row *r); /* row and table in one */
struct held_row apply_row_of(const struct applying *a, const struct held *h);
struct slice apply_encode_vote(struct arena *arena, const struct txn_vote *v);
struct slice apply_refusal(struct arena *arena, enum status status);
void apply_tell(struct applying *a, const struct txn_vote *v);
enum status apply_tell_held(struct applying *a, const struct held *h);
enum status
apply_tell_malformed(struct applying *a); /* bytes that no leader proposes: refused on every replica alike */

/* The body's Prepare. False: bytes that no leader proposes. */
bool apply_read_prepare(struct applying *a, struct txn_prepare *p, struct txn *part);
/* Appends its vote. STATUS_BLOCKED: nothing was done, *blocker is in the way. */
MUST_CHECK enum status apply_judge(struct applying *a, const struct txn_prepare *p, const struct txn *part, uint64_t ts,
                                   const struct held **blocker);
/* As many as go with that many Prepares, the first of them at e. */
void apply_drop_tombstones(struct applying *a, uint64_t e, size_t prepares);

/* prepares.c */
enum status apply_prepares(struct applying *a);

/* reads.c: all store keys that judging the part looks at, but for stretches */
size_t reads_of_part(const struct txn_prepare *p, const struct txn *part, struct arena *arena, struct slice **keys);

/* ending.c */
enum status apply_decide(struct applying *a);
enum status apply_seal(struct applying *a);
enum status apply_forget(struct applying *a);
enum status apply_steps(struct applying *a);

#endif
