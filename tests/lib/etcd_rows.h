/* Rows of a keyspace in memory, and what a transaction does to them: the etcd surface's, without a cluster. Only the newest version of a row is
 * kept, and a delete leaves none. */
#ifndef QUORATE_TESTS_LIB_ETCD_ROWS_H
#define QUORATE_TESTS_LIB_ETCD_ROWS_H

#include "txn/txn.h"

struct etcd_row {
    struct slice key, value; /* owned */
    uint64_t version;
};
struct etcd_rows {
    struct etcd_row *list; /* in the order of keys */
    size_t count, capacity;
};
size_t etcd_rows_at(const struct etcd_rows *s, struct slice key); /* the first row whose key is not below */
struct etcd_row *etcd_rows_find(const struct etcd_rows *s, struct slice key);
void etcd_rows_put(struct etcd_rows *s, struct slice key, struct slice value, uint64_t version);
void etcd_rows_delete(struct etcd_rows *s, struct slice key);
/* At r->ts; r->ops has room for a result of each operation. Compares of versions, existence and spans. */
void etcd_rows_apply(struct etcd_rows *s, const struct txn *t, struct arena *a, struct txn_result *r);
void etcd_rows_free(struct etcd_rows *s);

#endif
