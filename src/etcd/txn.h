/* Private to etcd/: a transaction. */
#ifndef QUORATE_ETCD_TXN_H
#define QUORATE_ETCD_TXN_H

#include "etcd/kv.h"

enum compare_result { RESULT_EQUAL, RESULT_GREATER, RESULT_LESS, RESULT_NOT_EQUAL };
enum compare_target { TARGET_VERSION, TARGET_CREATE, TARGET_MOD, TARGET_VALUE, TARGET_LEASE };
struct compare {
    unsigned result, target;
    struct slice key, range_end, value;
    int64_t number;
};
struct etxn;
struct op {
    enum { OP_RANGE, OP_PUT, OP_DELETE, OP_TXN } kind;
    struct range_asked range;
    struct put_asked put;
    struct delete_asked del;
    struct etxn *txn;
    /* what came of it; of OP_DELETE the rows are those before */
    struct ekv *rows, before;
    size_t row_count, all;
    bool more, had;
};
struct etxn {
    struct compare *compares;
    size_t compare_count;
    struct op *branches[2]; /* success, failure */
    size_t counts[2];
    bool succeeded; /* as computed last */
};

bool txn_take(struct ecall *c, const struct json_node *body, struct etxn *out); /* false: it has been refused */
bool may_txn(struct ecall *c, const struct etxn *t);                            /* likewise */
bool txn_keys_are_distinct(struct arena *a, const struct etxn *t);
/* The call's state is the transaction. False: nothing was begun, it is for txn_by_work. */
bool txn_direct(struct ecall *c, struct etxn *t);
void txn_by_work(struct ecall *c);
void emit_txn(struct ecall *c, struct buf *b, uint64_t revision);

#endif
