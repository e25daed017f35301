/* Private to range/: who has which keys here. */
#ifndef QUORATE_RANGE_KEYS_INT_H
#define QUORATE_RANGE_KEYS_INT_H

#include "range/host_int.h"

/* What a replica has of the keys of a range that is to have its place here. `by`: the range's own replica, whose snapshot brings it
 * there; NULL: it is about to be made, and has no rows. */
enum keys_claim {
    KEYS_NONE,
    KEYS_GIVEN_WAY, /* it waits for a snapshot itself, of the range as it was once: who holds a key rises in version for ever */
    KEYS_TAKEN_IN, /* the range has taken it in: its replica ends when the snapshot is installed */
    KEYS_HELD
};
enum keys_claim keys_claim(const struct replica *r, const struct range_desc *to, const struct replica *by);
bool keys_give_way(const struct replica *r, const struct range_desc *to);
/* Nobody stands in the way of that, nor are rows there that are still to go. */
bool keys_are_free(const struct host *h, const struct range_desc *d, const struct replica *by);

/* Rows that are on their way out; until the end nobody begins on their keys. */
struct keys_dropping {
    struct list link;
    struct slice start, end; /* owned; store keys */
};
void keys_dropping_begin(struct host *h, struct keys_dropping *k, struct slice start, struct slice end);
void keys_dropping_end(struct keys_dropping *k);
/* What of these store keys is nobody's goes. An empty end: no bound. */
void keys_drop_unheld(struct host *h, struct slice start, struct slice end);
void keys_close(struct host *h);

#endif
