/* What a transaction means, told a second time and as simply as possible: a table of user keys and a table of ids. Besides it,
 * rows as a store would hold them, as a view for txn_evaluate, and a generator of transactions over few keys. */
#ifndef QUORATE_TESTS_LIB_TXN_MODEL_H
#define QUORATE_TESTS_LIB_TXN_MODEL_H

#include "base/prng.h"
#include "txn/txn.h"

/* --- a store: rows by store key --- */
#define ROWS_MAX 4096u
struct stored_row {
    struct slice key, value; /* owned */
    uint64_t version;
};
struct rows {
    struct stored_row items[ROWS_MAX];
    size_t count;
    uint64_t gets;    /* counted by the view */
    uint64_t miss_at; /* the get of this number answers STATUS_MISS; 0: none does */
    enum status miss_status;
};
void rows_init(struct rows *r);
void rows_free(struct rows *r);
struct txn_view rows_view(struct rows *r);
void rows_apply(struct rows *r, const struct txn_writes *writes, uint64_t ts);
void rows_set(struct rows *r, struct slice store_key, struct slice value, uint64_t version);
uint64_t rows_hash(const struct rows *r); /* of keys, values and versions, whatever the order of insertion */

/* --- keys and transactions --- */
#define MODEL_KEYS 8u
struct slice model_key(unsigned number); /* among them zero bytes, 0xFF bytes and prefixes of each other */
/* A valid transaction without id over the model's keys; everything is in the arena. */
struct txn model_txn(struct prng *p, struct arena *arena);

/* --- the model --- */
struct model_value {
    bool exists, is_counter;
    i128 counter;
    uint8_t raw[64];
    size_t raw_size;
    uint64_t version;
};
#define MODEL_IDS 512u
struct model_attempt {
    struct txn_id id;
    unsigned anchor;              /* the same id at another anchor is another id: docs/formats/txn.md */
    struct slice request, answer; /* owned */
};
struct model {
    struct model_value values[MODEL_KEYS];
    struct model_attempt attempts[MODEL_IDS];
    size_t attempt_count;
};
void model_init(struct model *m);
void model_free(struct model *m);
/* The result that txn_evaluate must give, as bytes appended to `result`; the model is changed accordingly. */
void model_evaluate(struct model *m, const struct txn *t, struct slice encoded, uint64_t ts, struct buf *result);
/* That the rows hold what the model holds, and nothing else. */
bool model_agrees(const struct model *m, const struct rows *r);

#endif
