/* Rows that will be gone soon, most of them before their memtable is flushed: those of transactions over several ranges that are
 * being held. They lie beside the active memtable, where a later write replaces them and a delete takes them away without a
 * trace, and go into it when it freezes, or when somebody looks at rows of their kind: so what is flushed with an applied index
 * is what there was at that index, and most of them are never written at all.
 *
 *   (not there) --put, a new key--> PASSING --put--> PASSING (replaced) --delete--> (not there)
 *                                      \--settled--> a row of the memtable like any other */
#ifndef QUORATE_LSM_PASSING_H
#define QUORATE_LSM_PASSING_H

#include "base/list.h"
#include "base/place.h"
#include "lsm/memtable.h"

struct passing {
    struct list rows; /* in the order of their coming */
    size_t bytes;
    uint64_t life; /* one more with each time that all rows have gone into the memtable */
};
void passing_init(struct passing *p);
void passing_free(struct passing *p);
struct place passing_add(struct passing *p, const struct lsm_write *w); /* copies */
/* True: the row has been replaced, or taken away; false: it is not here any more, or never was. Copies. */
bool passing_take(struct passing *p, const struct lsm_write *w, struct place place);
void passing_settle(struct passing *p, struct memtable *m);

#endif
