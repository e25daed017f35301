/* Shared by plan.c (what is known), plan_judge.c (the rules) and plan_build.c (the transaction). */
#ifndef QUORATE_LEDGER_PLAN_INT_H
#define QUORATE_LEDGER_PLAN_INT_H

#include "base/map.h"
#include "ledger/plan.h"

enum known { UNKNOWN, ABSENT, PRESENT };

struct plan_slot {
    bool known, guessed; /* guessed: known, but perhaps wrongly */
    i128 value;          /* known: before the run */
    i128 delta;          /* by the run */
    i128 low, high;      /* every judgement so far holds if the value before the run lies between them */
};
struct plan_account {
    struct plan_account *same_hash;
    struct ledger_id id;
    enum known meta;
    struct ledger_account account;
    bool suspect;       /* read all its counters */
    bool absent_counts; /* a judgement rests on its absence */
    struct plan_slot slots[SLOT_COUNT];
    struct posting *postings;
    size_t posting_count, posting_capacity;
};
struct plan_row { /* a transfer's rows in the store */
    struct plan_row *same_hash;
    struct ledger_id id;
    enum known is;
    struct transfer_row row; /* PRESENT, or made */
    bool made;               /* by this run */
    bool absent_counts;
    bool wanted, resolution_wanted;
    enum known resolved;
    struct resolution resolution;
    bool resolution_made;
    bool expiry_made, expiry_dropped;
};

struct plan_events {
    const struct ledger_transfer *events;
    struct ledger_outcome *outcomes;
    size_t count;
    uint64_t attempt;
};
struct saved { /* for a chain that fails */
    void *at;
    size_t size;
    const void *bytes;
};

struct plan {
    struct plan_options o;
    struct arena arena;
    struct map account_by_id, row_by_id;
    struct plan_account **accounts;
    size_t account_count, account_capacity;
    struct plan_row **rows;
    size_t row_count, row_capacity;
    struct plan_events *slices;
    size_t slice_count, slice_capacity;
    bool interned; /* every transfer's rows and accounts, as far as known */
    uint64_t next_timestamp;
    bool in_chain;
    struct saved *saved;
    size_t saved_count, saved_capacity;
    /* what was built */
    const void **op_owners, **compare_owners; /* accounts and rows */
    bool *op_of_account, *compare_of_account;
    size_t op_count, compare_count;
    struct plan_culprit blamed;
};

struct plan_account *plan_account(struct plan *p, const struct ledger_id *id);
struct plan_row *plan_row(struct plan *p, const struct ledger_id *id);
struct plan_account *plan_account_find(const struct plan *p, const struct ledger_id *id);
struct plan_row *plan_row_find(const struct plan *p, const struct ledger_id *id);
/* Makes room for one more in an array of the arena. */
void *plan_grow(struct plan *p, void *items, size_t count, size_t *capacity, size_t item_size);

/* plan_judge.c */
void plan_judge(struct plan *p);

#endif
