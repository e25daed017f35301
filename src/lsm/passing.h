/* Rows that will be gone soon, most of them before their memtable is flushed: those of transactions over several ranges that are
 * being held. They lie beside the active memtable, where a later write replaces them and a delete takes them away without a
 * trace, and go into it when it freezes, or when somebody looks at rows of their kind: so what is flushed with an applied index
 * is what there was at that index, and most of them are never written at all.
 *
 *   (not there) --put, a new key--> PASSING --put--> PASSING (replaced) --delete--> (not there)
 *                                      \--settled--> a row of the memtable like any other */
#ifndef QUORATE_LSM_PASSING_H
#define QUORATE_LSM_PASSING_H

#include "lsm/memtable.h"

struct passing {
    struct map by_hash; /* hash of the key -> chain of struct passing_row */
    struct list rows;   /* in the order of their coming */
    size_t bytes;
};
void passing_init(struct passing *p);
void passing_free(struct passing *p);
/* True: it is kept here, or has taken away what was; false: it is the memtable's. Copies. */
bool passing_take(struct passing *p, const struct lsm_write *w, bool is_new);
/* A row of the key will be written: its slot comes to the processor, and, asked for again a little later, the row too. */
void passing_soon(const struct passing *p, struct slice key, bool next);
void passing_settle(struct passing *p, struct memtable *m);

#endif
