/* What clients asked and were told, with the world's times: the checkers' only source. Keys are numbers; the value of a
 * register is the id of the write that put it there, 0 being "absent". */
#ifndef QUORATE_TESTS_SIM_HISTORY_H
#define QUORATE_TESTS_SIM_HISTORY_H

#include "lib/append.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum op_kind { OP_GET, OP_PUT, OP_DELETE, OP_CAS };
enum op_outcome {
    OP_PENDING,
    OP_DONE,
    OP_REFUSED, /* served: the comparison did not hold */
    OP_NOTHING, /* definitely did not happen */
    OP_UNKNOWN  /* may take effect at any time after its call, or never */
};

struct op {
    enum op_kind kind;
    enum op_outcome outcome;
    unsigned client, key;
    uint64_t value;        /* put, cas: what it writes; get: what it saw */
    uint64_t expect;       /* cas */
    uint64_t version;      /* commit timestamp of the write, or of what a get saw */
    bool has_found, found; /* delete: whether there was something, if it is known */
    uint64_t call_ns, return_ns;
};

/* An acknowledged commit of any kind, for the order of timestamps. */
struct commit {
    uint64_t call_ns, return_ns, ts;
};

struct commits {
    struct commit *items;
    size_t count, capacity;
    uint64_t newest; /* highest ts; of the history's commits also of answered snapshots */
};

/* A transaction over keys of several ranges, or a read of some: check_chain.c. A value is the number of its writer, from 1. */
enum { CHAIN_KEYS = 6, CHAIN_TXN_KEYS = 3 };
#define CHAIN_UNSEEN UINT64_MAX
struct chain_txn {
    enum op_outcome outcome;
    uint64_t call_ns, return_ns;
    unsigned key_count;
    unsigned keys[CHAIN_KEYS];
    uint64_t sees[CHAIN_KEYS]; /* 0: absent */
    bool writes[CHAIN_KEYS];
};
struct chains {
    struct chain_txn *items;
    size_t count, capacity;
};
size_t chains_call(struct chains *c, uint64_t now_ns); /* its index */

/* Transactions on lists: tests/lib/append.h. What they point to lives as long as the world. */
struct appends {
    struct append_txn **items;
    size_t count, capacity;
};
void appends_add(struct appends *a, struct append_txn *t);

struct history {
    struct chains chains;
    struct appends appends;
    struct op *ops;
    size_t op_count, op_capacity;
    struct commits commits;
    /* The tally: one counter that is raised by 1 without an id; here ts is the sum that was answered. */
    struct commits tally;
    uint64_t tally_unknown; /* may have happened */
    uint64_t last_value;
};

void history_init(struct history *h);
void history_free(struct history *h);
size_t history_call(struct history *h, const struct op *op); /* its index; OP_PENDING */
void commits_add(struct commits *c, uint64_t call_ns, uint64_t return_ns, uint64_t ts);
void history_describe_op(const struct op *op, char *text, size_t size);

#endif
