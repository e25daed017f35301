/* Operators: what is to become of a range, as a durable row of the metadata group; the next step follows from the range's
 * descriptor (docs/moves.md). Pure. */
#ifndef QUORATE_META_OPERATOR_H
#define QUORATE_META_OPERATOR_H

#include "wire/messages.h"

/* Versions and conf_vers of a range rise by one; an epoch of an unsafe recovery is above whatever they may have come to unseen. */
#define OPERATOR_EPOCH_STEP ((uint64_t)1 << 20)

struct operator_row {
    uint64_t id, range_id;
    enum operator_kind kind;
    uint64_t from, to; /* node ids; 0: none */
    uint64_t
        other; /* MERGE: the range that is taken in; ALONE: the epoch, a multiple of OPERATOR_EPOCH_STEP and its id */
    uint64_t version;  /* of the range when it began: SPLIT and MERGE are done when that has risen */
    uint64_t conf_ver; /* which it has to find when it begins; ALONE: that which the replica knows */
    uint64_t began_ms; /* wall clock */
    struct slice why;  /* for a person */
    enum operator_state state;
    uint64_t ended_ms;      /* ended */
    struct slice how_ended; /* for a person */
};
void pack_operator_row(struct buf *b, const struct operator_row *row);
/* Borrows from bytes; the arena is not used. */
MUST_CHECK enum status unpack_operator_row(struct slice bytes, struct arena *arena, struct operator_row *out);

enum operator_next {
    OPERATOR_NEXT_ORDER, /* *order goes to the range's leader */
    OPERATOR_NEXT_WAIT,
    OPERATOR_NEXT_DONE,
    OPERATOR_NEXT_VOID /* it makes no sense any more */
};
/* leader: node id, 0: unknown. *what: what is done, waited for, or why it ends. */
enum operator_next operator_next(const struct operator_row *row, const struct range_desc *desc, uint64_t leader,
                                 struct range_order *order, const char **what);

/* The same of MERGE: first the replicas of the right one go where those of the left one are, by orders to its leader; then the left
 * one takes it in. right NULL: it is no more. */
enum operator_next operator_next_merge(const struct operator_row *row, const struct range_desc *left,
                                       const struct range_desc *right, uint64_t right_leader, struct range_order *order,
                                       const char **what);

const char *operator_kind_name(enum operator_kind k);
const char *operator_state_name(enum operator_state s);

#endif
