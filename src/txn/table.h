/* What a replica remembers of transactions over several ranges, and what every entry of its log does to rows and memory:
 * docs/transactions.md. A function of the rows of type ROW_HELD and of the entries: all replicas hold the same. */
#ifndef QUORATE_TXN_TABLE_H
#define QUORATE_TXN_TABLE_H

#include "txn/command.h"
#include "txn/prepare.h"

struct txn_table;
struct txn_table *txn_table_new(void);
void txn_table_free(struct txn_table *t);
/* One row of type ROW_HELD, newest version, before anything is applied. */
MUST_CHECK enum status txn_table_load(struct txn_table *t, struct slice store_key, struct slice value);

struct txn_entry { /* an entry of the range's log, its epoch checked */
    const struct txn_command *command;
    uint64_t range_id;
    uint64_t index;           /* rows of held transactions get it as their version: it rises for ever beside any key */
    uint32_t keyspace;        /* of the range */
    struct slice range_start; /* user key: beside it lie the rows of held transactions */
};
/* Evaluates the entry: STATUS_OK with writes and answer (an encoded txn_result, txn_vote or txn_blocked), and the table is what it
 * is after the entry; or a failure of the view, with nothing done. Deterministic. */
MUST_CHECK enum status txn_table_apply(struct txn_table *t, const struct txn_entry *e, const struct txn_view *view,
                                       struct arena *arena, struct txn_writes *writes, struct buf *answer);

/* The store keys that the entry will look at, as far as is known before it is evaluated; from the arena. */
size_t txn_table_reads(const struct txn_table *t, const struct txn_command *c, struct arena *arena,
                       struct slice **keys);

/* --- ranges that split and merge: reshape.c --- */
struct txn_cut {
    uint32_t keyspace;
    struct slice left_start, right_start; /* user keys */
    uint64_t left_version, right_version; /* that rows of held transactions get there */
};
/* What the rows become when the range is cut at right_start. The table is as before: the parts are loaded anew.
 * STATUS_RETRY: one of them holds keys on both sides. */
MUST_CHECK enum status txn_table_cut(const struct txn_table *t, const struct txn_cut *cut, struct arena *arena,
                                     struct txn_writes *writes);
/* Likewise when the left range takes in its right neighbour: all rows come to lie beside left_start. */
void txn_table_join(const struct txn_table *left, const struct txn_table *right, const struct txn_cut *cut,
                    struct arena *arena, struct txn_writes *writes);

/* --- questions of the leader --- */
size_t txn_table_count(const struct txn_table *t); /* held transactions, tombstones included */
/* The lowest min_ts of what is undecided, UINT64_MAX if nothing is: rows at timestamps below are final. */
uint64_t txn_table_undecided_min(const struct txn_table *t);
/* Whose that is; false: nothing is undecided. */
bool txn_table_undecided_first(const struct txn_table *t, struct txn_id *id);
/* At least the highest timestamp of what is held, and below that of any entry to come. */
uint64_t txn_table_newest(const struct txn_table *t);
/* Still prepared? What waited for it may try again when not. */
bool txn_table_undecided(const struct txn_table *t, const struct txn_id *id);
/* Who must be decided before the newest version with a timestamp <= ts of the key is known; false: nobody. */
bool txn_table_read_waits(const struct txn_table *t, struct slice store_key, uint64_t ts, struct txn_id *by);
/* Likewise for any key in [start, end) of store keys. */
bool txn_table_scan_waits(const struct txn_table *t, struct slice start, struct slice end, uint64_t ts,
                          struct txn_id *by);
/* What the router needs to settle its fate; false: it is not undecided. Arrays in the arena, keys borrowed from the table. */
bool txn_table_holder(const struct txn_table *t, const struct txn_id *id, struct arena *arena, struct txn_blocked *out);
/* Likewise of one that has committed and is not forgotten. */
bool txn_table_describe(const struct txn_table *t, const struct txn_id *id, struct arena *arena,
                        struct txn_blocked *out);
/* One whose coordinator is not heard of any more: undecided, or decided and not forgotten, a minute of timestamps after it began. */
#define TXN_ABANDONED ((uint64_t)60000 << 18)
bool txn_table_abandoned(const struct txn_table *t, struct txn_id *id);
/* Whom the transaction would meet if it were evaluated now; false: nobody. Guards are not judged. */
bool txn_table_would_block(const struct txn_table *t, const struct txn *txn, bool prepare, struct txn_id *by);
void txn_table_check(const struct txn_table *t); /* asserts what is true at all times */

#endif
