/* The leader of a range in the model: which writes are in flight, from the moment in which their timestamp is asked for until they
 * are applied, and the floor of timestamps. What src/node/flight.c and replica_propose do, exactly and as simply as possible. Rules:
 * docs/transactions.md, "Order". Dies with the leadership. */
#ifndef QUORATE_TESTS_MODEL_GATE_H
#define QUORATE_TESTS_MODEL_GATE_H

#include "base/list.h"
#include "txn/table.h"

struct gate_entry { /* part of whatever is in flight */
    struct list link;
    uint64_t ticket; /* order of arrival; 0: not in flight */
    uint64_t ts;     /* 0: asked for, not known yet */
    uint64_t index;  /* in the log; 0: not appended yet */
    uint64_t *keys;  /* hashes of what it writes; owned */
    size_t key_count;
};
struct gate;
struct gate *gate_new(uint64_t floor); /* of a new leader: txn_table_newest */
void gate_free(struct gate *g);        /* entries are let go */

/* Before the timestamp is asked for. */
void gate_enter(struct gate *g, struct gate_entry *e, const struct txn *t);
/* The timestamp has come: STATUS_RETRY if it is not above every timestamp of the log: ask again. Then append at once. */
MUST_CHECK enum status gate_stamp(struct gate *g, struct gate_entry *e, uint64_t ts);
void gate_leave(struct gate *g, struct gate_entry *e); /* refused, applied or lost; harmless when it has left */
/* A Decide that commits at ts is appended: nothing with a lower timestamp may come behind it. */
void gate_raise(struct gate *g, uint64_t ts);

/* A reader that has to wait for writes in flight. LATEST: those that were before it; at R: likewise, for R has been issued. */
struct gate_read {
    uint64_t ticket; /* waits for entries below; 0: for none */
};
/* Upon arrival. store_key of a point read; an empty one: all keys. */
void gate_arrive(const struct gate *g, struct slice store_key, struct gate_read *r);
bool gate_may_pass(const struct gate *g, const struct gate_read *r);
/* The highest timestamp of anything appended or decided here: locks with a higher min_ts came after. */
uint64_t gate_floor(const struct gate *g);
size_t gate_in_flight(const struct gate *g);

#endif
