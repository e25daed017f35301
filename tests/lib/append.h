/* Histories of transactions that read lists and append to them, judged for strict serializability. Pure; trusts no timestamp.
 *
 * Every appended value is unique, so a list tells who wrote what in which order (Elle, Kingsbury and Alvaro, 2020). */
#ifndef QUORATE_TESTS_LIB_APPEND_H
#define QUORATE_TESTS_LIB_APPEND_H

#include "lib/cycles.h"

struct append_item {
    bool appends;
    uint64_t key;
    uint64_t value;       /* appends; not 0 */
    const uint64_t *list; /* a read: what was seen; NULL: it is not known */
    size_t list_size;
};

enum append_outcome { APPEND_DONE, APPEND_NOTHING, APPEND_UNKNOWN };
struct append_txn {
    enum append_outcome outcome;
    uint64_t call_ns, return_ns;
    const struct append_item *items; /* in their order: a read sees what the transaction itself appended before it */
    size_t item_count;
};

/* True: some order explains the history. False: why says what does not fit; transactions are counted from 1. */
bool append_check(const struct append_txn *txns, size_t count, char *why, size_t size);

#endif
