/* One evaluation: shared by evaluate.c, which does operations, and participant.c, which decides what is evaluated and what becomes of it. */
#ifndef QUORATE_TXN_EVALUATE_INT_H
#define QUORATE_TXN_EVALUATE_INT_H

#include "txn/table_int.h"

enum evaluate_mode {
    EVALUATE_PLAIN, /* all in one range: adds go into rows, or wait beside them for reservations with lower timestamps */
    EVALUATE_PREPARE, /* adds reserve, nothing is written */
    EVALUATE_COMMIT   /* under the locks of self: nothing can refuse any more */
};
struct pending_add {  /* an add that has not gone into its row */
    struct slice key; /* store key */
    struct guarded_add add;
    i128 folded; /* what the row holds */
};

struct evaluation {
    const struct txn_view *view;
    struct arena *arena;
    uint64_t ts;
    uint64_t until; /* at this timestamp the first of the rows that it found expires */
    struct txn t;
    enum evaluate_mode mode;
    const struct txn_table *table; /* NULL: nothing is held */
    const struct held *self;       /* its holds do not count */
    bool adds_lock;                /* EVALUATE_PREPARE: they do not reserve */
    const struct held *blocker;    /* with STATUS_BLOCKED: who is in the way */
    /* the branch taken */
    const struct txn_op *ops;
    size_t op_count;
    struct txn_op_result *results;
    size_t value_bytes;    /* in results */
    struct slice *keys;    /* per operation: its store key */
    struct slice *written; /* per operation: the value that it wrote; data NULL: deleted or nothing */
    const uint32_t *order; /* writing operations by key; made when a get first asks */
    size_t order_count;
    struct pending_add *adds;
    size_t add_count, add_bytes; /* bytes: in the row that holds them when they are decided, and wait */
    /* keys that are compared or got: a set, made when an add first asks; NULL: none */
    const struct slice *reads;
    size_t reads_mask;
    const struct txn_compare **stretches; /* that are compared */
    size_t stretch_count;
    bool reads_known;
    /* outcome */
    struct txn_writes writes;
    struct txn_result result;
};

/* All return STATUS_OK, also for a refusal (e->result.status); STATUS_BLOCKED; or a failure of the view. */
void evaluation_begin(struct evaluation *e, const struct txn_view *view, struct arena *arena, uint64_t ts);
bool evaluation_refused(const struct evaluation *e);
void evaluation_refuse(struct evaluation *e, enum status status, uint32_t index);
MUST_CHECK enum status evaluation_compares(struct evaluation *e, bool *hold, uint32_t *failed);
/* Does the operations of one branch. */
MUST_CHECK enum status evaluation_branch(struct evaluation *e, const struct txn_op *ops, size_t count);
/* Whether the transaction, in this branch, reads the key otherwise than by adding to it. */
bool evaluation_reads(struct evaluation *e, struct slice user_key);
/* Another branch is looked at. */
static inline void evaluation_set_branch(struct evaluation *e, const struct txn_op *ops, size_t count)
{
    e->ops = ops;
    e->op_count = count;
    e->reads_known = false;
}
/* A plain transaction, idempotency row and all; appends the result. */
MUST_CHECK enum status evaluation_plain(struct evaluation *e, struct slice encoded, struct buf *result);
/* *answered: an earlier attempt with the id decided; the answer, or ID_REUSED, has been appended. */
MUST_CHECK enum status evaluation_look_up_id(struct evaluation *e, const struct request_hash *hash,
                                             struct slice row_key, struct buf *result, bool *answered);
void evaluation_write(struct evaluation *e, struct txn_write w);

#endif
