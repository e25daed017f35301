/* Private to etcd/: ranges, puts and deletes, also as parts of transactions (kv.c, kv_range.c). */
#ifndef QUORATE_ETCD_KV_H
#define QUORATE_ETCD_KV_H

#include "etcd/work.h"

#define SERVER_VERSION "3.4.23" /* whose surface this is, as clients are told */
/* The revision of what a piece of work writes, above all others until it is known. */
#define OF_THIS ((uint64_t)INT64_MAX)

struct range_asked {
    struct slice key, range_end;
    int64_t limit, revision, min_mod, max_mod, min_created, max_created;
    unsigned order, target;
    bool serializable, keys_only, count_only;
};
bool take_range(struct ecall *c, const struct json_node *body, struct range_asked *out);
/* Does range_select need it, in a range of which `kept` rows before it are? What is only counted is not kept; a value that nobody looks at
 * is left out. */
bool range_keeps(const struct range_asked *q, struct ekv *kv, size_t kept);
/* Filters, sorts and cuts rows of one timestamp; *count: how many matched. */
size_t range_select(const struct range_asked *q, struct ekv *rows, size_t count, bool *more);
void emit_range(struct buf *b, const struct range_asked *q, const struct ekv *rows, size_t row_count, size_t all,
                bool more);
struct put_asked {
    struct slice key, value;
    int64_t lease;
    bool prev_kv, ignore_value, ignore_lease;
};
bool take_put(struct ecall *c, const struct json_node *body, struct put_asked *out);
/* What a put is in a transaction of ours, beside what is read before: the row, and what is attached to the lease, which must be there. */
void put_ops(struct arena *a, const struct put_asked *q, struct txn_op *out, size_t *count);
struct txn_compare lease_is_there(struct arena *a, int64_t lease);
struct delete_asked {
    struct slice key, range_end;
    bool prev_kv;
};
bool take_delete(struct ecall *c, const struct json_node *body, struct delete_asked *out);
/* False: the right is lacking, and it has been refused. After all else that can be wrong with a request. */
bool may_range(struct ecall *c, const struct range_asked *q);
bool may_put(struct ecall *c, const struct put_asked *q);
bool may_delete(struct ecall *c, const struct delete_asked *q);
struct buf answer_begin(struct ecall *c, uint64_t revision); /* {"header":... ; the caller goes on */
void answer_end(struct ecall *c, struct buf *b);             /* closes it, and the call */
/* The request is this piece of work: answered with a header and what emit adds to it (NULL: nothing). */
void answer_by_work(struct ecall *c, work_body body, void (*emit)(struct ecall *c, struct buf *b, uint64_t revision));
void emit_deleted(struct buf *b, bool prev_kv, const struct ekv *before, size_t count);
struct slice key_compacted(struct arena *a);
enum work_step work_do_put(struct work *w, const struct put_asked *q, const struct ecall *by, struct ekv *before,
                           bool *had);
enum work_step work_do_delete(struct work *w, const struct delete_asked *q, struct ekv **before, size_t *count);

#endif
