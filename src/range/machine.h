/* What a group's log drives: a deterministic function of an entry and the rows, free of I/O. Two exist: the key-value
 * machine (node/kv_machine.h, over txn/) and the metadata machine (meta/machine.h). */
#ifndef QUORATE_RANGE_MACHINE_H
#define QUORATE_RANGE_MACHINE_H

#include "txn/txn.h"

struct range_desc;

struct machine_entry {
    uint64_t index; /* above all that there was beside any key of the range, also before it was split off or merged */
    uint64_t term;
    const struct range_desc *desc; /* of the group, as of this entry */
    struct slice command;          /* as proposed */
    void *state;                   /* the machine's own for this replica; NULL if it has none */
};

/* A range is cut in two, or two become one: the version that rows by index get on each side. */
struct machine_cut {
    const struct range_desc *left, *right;
    uint64_t left_version, right_version;
};

struct machine_ops {
    /* Evaluates the entry against the rows. *ts: the version of writes that have none of their own, above that of every entry
     * before it; 0: there are none. Result as for txn_evaluate: STATUS_OK and
     * an encoded answer, refusals included, or STATUS_MISS / a failure of the view with nothing done. */
    enum status (*apply)(void *ctx, const struct machine_entry *e, const struct txn_view *view, struct arena *arena,
                         struct txn_writes *writes, uint64_t *ts, struct buf *answer);
    /* Store keys that the entry will look at, as far as is known before its turn (then it is a hint for read-ahead, and the state is
     * that of an earlier entry); from the arena. NULL: it cannot tell. */
    size_t (*reads)(void *ctx, const struct machine_entry *e, struct arena *arena, struct slice **keys);
    /* The rows of an applied entry are in the store: notes what the owner keeps in memory. ts: as apply said. May be NULL. */
    void (*applied)(void *ctx, const struct machine_entry *e, const struct txn_writes *writes, uint64_t ts);
    /* What it remembers of a replica between entries: a function of rows. Made empty, then given every row that begins with the prefix,
     * before the first entry is applied, and again after a snapshot has replaced the rows. All NULL: it remembers nothing. */
    void *(*state_new)(void *ctx, const struct range_desc *desc);
    void (*state_free)(void *ctx, void *state);
    void (*state_prefix)(void *ctx, const struct range_desc *desc, struct buf *prefix);
    enum status (*state_load)(void *ctx, void *state, struct slice key, struct slice value);
    /* What becomes of the rows that the state is made of. STATUS_RETRY: it cannot be cut there now. NULL: ranges never change. */
    enum status (*cut)(void *ctx, void *state, const struct machine_cut *cut, struct arena *arena,
                       struct txn_writes *writes);
    void (*join)(void *ctx, void *left, void *right, const struct machine_cut *cut, struct arena *arena,
                 struct txn_writes *writes);
};

#endif
