/* Shared inside txn/. */
#ifndef QUORATE_TXN_TXN_INT_H
#define QUORATE_TXN_TXN_INT_H

#include "base/cursor.h"
#include "txn/prepare.h"
#include "txn/txn.h"

#define TXN_VERSION 1u
#define TXN_RESULT_VERSION 1u
#define TXN_RESULT_REPLAYED_OFFSET 1u /* of the byte that tells a repeated answer from the first */
#define TXN_NO_INDEX UINT32_MAX

/* A varint length and that many bytes, at most size_max; otherwise the cursor has failed. */
struct slice txn_read_bytes(struct cursor *c, uint64_t size_max);

/* What an id stands for: the encoded transaction from the keyspace's number on. */
struct slice txn_without_default_ttl(struct slice encoded);

static inline bool txn_op_writes(enum txn_op_kind kind)
{
    return kind != TXN_GET;
}

/* Where the participants of a transaction are. */
void txn_put_spans(struct buf *out, uint32_t keyspace, const struct txn_span *spans, size_t count);
void txn_read_spans(struct cursor *c, struct arena *arena, uint32_t *keyspace, struct txn_span **spans, size_t *count);

/* A varint length and the bytes. */
void txn_put_bytes(struct buf *out, struct slice s);

/* Indexes of the writing operations, in the order of their keys, of equal keys in their own order. From the arena. */
uint32_t *txn_order_writes(const struct txn_op *ops, size_t op_count, struct arena *arena, size_t *count);

/* Store keys and values into the arena: writes outlive the evaluation by as long as the arena lives. */
struct slice key_make_data(struct arena *arena, uint32_t keyspace, struct slice user_key);
struct slice key_make_idempotency(struct arena *arena, uint32_t keyspace, struct slice anchor, const struct txn_id *id);
struct slice key_make_held(struct arena *arena, uint32_t keyspace, struct slice range_start, const struct txn_id *id);
struct slice row_make_raw(struct arena *arena, struct slice value, uint64_t ttl_ms); /* 0: it stays */
struct slice row_make_counter(struct arena *arena, i128 value);

struct slice idempotency_row_make(struct arena *arena, struct request_hash hash, struct slice result);
/* At this timestamp and above nobody knows the id. */
uint64_t idempotency_row_expires(uint64_t version);
MUST_CHECK enum status idempotency_row_decode(struct slice stored, struct request_hash *hash, struct slice *result);

#endif
