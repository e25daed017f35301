/* Transactions on rows, as pure functions. Issue-independent vocabulary: docs/glossary.md.
 *
 * A one-range transaction is one Raft entry: every replica evaluates it at apply, in log order, against the rows as they
 * are: idempotency row, comparisons, guards, then all writes, or none. The same bytes serve as request, log entry and
 * history: txn_encode / txn_decode (docs/formats/txn.md). */
#ifndef QUORATE_TXN_TXN_H
#define QUORATE_TXN_TXN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/i128.h"
#include "base/limits.h"
#include "base/place.h"
#include "base/status.h"

#define TXN_ID_BYTES 16u

struct txn_id { /* client-chosen, unique for ever; all zero: none */
    uint8_t bytes[TXN_ID_BYTES];
};
bool txn_id_is_none(const struct txn_id *id);

enum txn_op_kind {
    TXN_GET = 1, /* -> row */
    TXN_PUT,     /* value -> version */
    TXN_DELETE,  /* -> found */
    TXN_INSERT,  /* value; the transaction fails with STATUS_EXISTS if the key is there -> version */
    TXN_ADD, /* delta, min, max on a counter (absent = 0): STATUS_GUARD_FAILED if the sum leaves [min, max] -> sum */
    TXN_REVISE =
        8 /* a put that counts: struct revised. STATUS_NOT_FOUND if what is to be kept is not there -> found, version */
};
struct txn_op {
    enum txn_op_kind kind;
    struct slice key;
    struct slice value;
    i128 delta, min, max;
    bool has_ttl;                  /* TXN_PUT, TXN_INSERT: ttl_ms says; else the transaction's does */
    uint64_t ttl_ms;               /* 0: the row stays */
    uint64_t lease;                /* TXN_REVISE */
    bool keeps_value, keeps_lease; /* TXN_REVISE: the row's, which must be there */
};

/* COUNT, CREATED, LEASE, PAYLOAD: of a row that TXN_REVISE made; 0 or nothing of an absent one. SPAN: of no row in a stretch of keys the
 * version is higher: nothing has come since a scan found what it found. */
enum txn_target {
    TXN_TARGET_VERSION = 1,
    TXN_TARGET_VALUE,
    TXN_TARGET_EXISTS,
    TXN_TARGET_COUNT,
    TXN_TARGET_CREATED,
    TXN_TARGET_LEASE,
    TXN_TARGET_PAYLOAD,
    TXN_TARGET_SPAN
};
enum txn_relation { TXN_EQUAL = 1, TXN_NOT_EQUAL, TXN_LESS, TXN_GREATER };
struct txn_compare {
    enum txn_target target;
    enum txn_relation relation;
    struct slice key;
    uint64_t version; /* TXN_TARGET_VERSION: 0 = absent; TXN_TARGET_EXISTS: 0 or 1, with TXN_EQUAL */
    struct slice
        value; /* an absent key satisfies no comparison of values. TXN_TARGET_SPAN, with TXN_EQUAL: the end of the
                         * stretch that begins with the key; empty: it reaches to the end of the keyspace */
};

struct txn { /* decoded: slices are borrowed from the encoded bytes, arrays from the arena */
    struct txn_id id;
    uint32_t keyspace;
    struct txn_compare *compares;
    size_t compare_count;
    struct txn_op *ops; /* if all comparisons hold */
    size_t op_count;
    struct txn_op *else_ops; /* if not; when there are none, the answer is STATUS_CONDITION_FAILED */
    size_t else_count;
    uint64_t ttl_ms; /* of rows put or inserted without one of their own; 0: they stay. An id does not stand for it */
};

void txn_encode(const struct txn *t, struct buf *out);
/* Checks every bound of base/limits.h, key and value sizes and enum values; duplicate written keys are refused. */
MUST_CHECK enum status txn_decode(struct slice bytes, struct arena *arena, struct txn *out, struct errbuf *err);
/* Lowest and highest key that the transaction touches: it must lie in one range. Borrowed from t. */
void txn_key_span(const struct txn *t, struct slice *lowest, struct slice *highest);
/* Stretches of keys that it has scanned: each begins within the span, and must end where the range ends at the latest. */
bool txn_stretches_end_by(const struct txn *t, struct slice range_end); /* empty: the end of the keyspace */
bool txn_in_stretch(const struct txn_compare *c, struct slice key); /* false: it is a compare of another kind, too */
/* The key beside which the idempotency row is kept: the first operation's. */
struct slice txn_anchor(const struct txn *t);

/* --- rows in the store --- */
#define TXN_KEYSPACE_MAX 0xFFFFFFFEu /* so that (keyspace + 1, empty key) is always the bound behind a keyspace */
/* Store keys: docs/formats/keys.md. An ordered encoding of (keyspace, user key, row type): a range of user keys is a range
 * of store keys that holds the data rows and the idempotency rows anchored in it. */
enum row_type { ROW_DATA = 1, ROW_IDEMPOTENCY = 2, ROW_HELD = 3, ROW_RANGE = 4 };
void key_encode_data(struct buf *out, uint32_t keyspace, struct slice user_key);
void key_encode_idempotency(struct buf *out, uint32_t keyspace, struct slice anchor, const struct txn_id *id);
/* The row of a held transaction (table.h); all of a range lie beside its start key, together. With id NULL: what they begin with. */
void key_encode_held(struct buf *out, uint32_t keyspace, struct slice range_start, const struct txn_id *id);
/* The row that says what the range is (range/state.h), beside its start key. */
void key_encode_range(struct buf *out, uint32_t keyspace, struct slice range_start);
/* The lower bound of all rows of user keys >= user_key; with an empty user_key, of the keyspace. */
void key_encode_bound(struct buf *out, uint32_t keyspace, struct slice user_key);
bool key_is_idempotency(struct slice store_key);
/* Of an idempotency row: the bound behind all of that key's, or (before) in front of them. */
void key_encode_beside_ids(struct buf *out, struct slice store_key, bool before);
/* Appends the user key of a store key that may be cut short: rows below the cut have lower user keys, or this one. */
void key_user_of(struct slice store_key, struct buf *user);
/* Decodes a store key; user_key is appended to `user` . STATUS_CORRUPT if it is none of ours. */
MUST_CHECK enum status key_decode(struct slice store_key, uint32_t *keyspace, struct buf *user, enum row_type *type);

enum row_format { ROW_RAW = 1, ROW_COUNTER = 2 };
struct row { /* a data row's value, decoded; slices borrowed */
    enum row_format format;
    struct slice raw; /* ROW_RAW */
    i128 counter;     /* ROW_COUNTER */
    uint64_t ttl_ms;  /* 0: it stays */
};
MUST_CHECK enum status row_decode(struct slice stored, struct row *out);
/* The row is not there for reads at this timestamp or above. ROW_NEVER_EXPIRES: it stays. */
#define ROW_NEVER_EXPIRES UINT64_MAX
uint64_t row_expires(const struct row *r, uint64_t version);
/* The same of a stored row of any type. */
uint64_t row_stored_expires(struct slice store_key, uint64_t version, struct slice value);
/* The answer in the row of an idempotency id, an encoded txn_result, borrowed. */
MUST_CHECK enum status txn_stored_answer(struct slice stored, struct slice *answer);
/* A row that TXN_REVISE made: a raw row that begins with what is kept about it (docs/formats/keys.md). Of another row: what it would be. */
#define REVISED_HEAD_BYTES 24u
struct revised {
    uint64_t created; /* version in which the key came to be */
    uint64_t count;   /* of versions since then */
    uint64_t lease;   /* 0: none */
    struct slice value;
};
struct revised revised_read(struct slice raw, uint64_t version);
/* The bytes; created 0: with this version, which is not known before the commit. */
struct slice revised_make(struct arena *arena, const struct revised *r);
/* What a client sees as the value: the raw bytes, or the counter in decimal (written to text). */
struct slice row_value(const struct row *r, char text[I128_TEXT_MAX]);

/* --- evaluation --- */
struct txn_stored {   /* a row found by the view; borrowed until the evaluation ends */
    uint64_t version; /* commit timestamp */
    struct slice value;
};
#define TXN_STRETCH_ROWS_MAX 16384u
struct txn_view { /* reads the newest version of a store key as of the entry before this one */
    /* STATUS_OK, STATUS_NOT_FOUND, or anything else: the evaluation stops and returns it, having done nothing; it is repeated from
     * the start later. After STATUS_MISS it may ask for other rows before it stops, so that what misses is known at once. The slice must stay valid until the evaluation ends. */
    enum status (*get)(void *ctx, struct slice store_key, struct txn_stored *out);
    /* The row will be asked for soon; and again, next: it is among the next few. NULL: nobody wants to know. */
    void (*soon)(void *ctx, struct slice store_key, bool next);
    /* The highest version of the data rows in [from, to) of store keys that are there at ts; 0: there are none. Likewise; or
     * STATUS_TOO_LARGE: more than TXN_STRETCH_ROWS_MAX. NULL: it has no order of keys. */
    enum status (*newest)(void *ctx, struct slice from, struct slice to, uint64_t ts, uint64_t *version);
    void *ctx;
};
struct txn_write {
    bool is_delete;
    bool by_index;      /* ts is the entry's index, which is no timestamp */
    bool held;          /* the row of a held transaction: it will be gone soon */
    struct place place; /* held: where the row is */
    struct place *keep; /* held, and its key was free: where it is to be remembered; else NULL */
    bool counter;       /* whoever adds to it next reads it first */
    uint64_t ts;        /* its version; 0: the entry's */
    struct slice key;   /* store key; in the arena */
    struct slice value; /* in the arena */
};
struct txn_writes {
    struct txn_write *items; /* in the arena */
    size_t count;
};
/* No result is larger: the values that it returns are held to LIMIT_TXN_BYTES. `result` must have room for as much. */
#define TXN_RESULT_BYTES_MAX (LIMIT_TXN_BYTES + LIMIT_VALUE_BYTES)
/* Evaluates an encoded transaction at commit timestamp ts. Appends the encoded txn_result to `result`. STATUS_OK: evaluated
 * (the result may be a refusal, then `writes` holds at most the idempotency row); STATUS_MISS and failures of the view are
 * passed on. Deterministic: same bytes, rows and ts, same writes and result. Undecodable bytes give a refusal, STATUS_INVALID. */
MUST_CHECK enum status txn_evaluate(struct slice encoded, uint64_t ts, const struct txn_view *view, struct arena *arena,
                                    struct txn_writes *writes, struct buf *result);

/* --- results --- */
struct txn_op_result {
    enum txn_op_kind kind;
    bool found;         /* TXN_GET, TXN_DELETE */
    uint64_t version;   /* TXN_GET of a found row; else the transaction's timestamp */
    struct slice value; /* TXN_GET: what a client sees; TXN_ADD: the new sum in decimal, empty: not certain yet */
};
struct txn_result {     /* decoded: slices borrowed from the bytes, array from the arena */
    enum status status; /* OK, CONDITION_FAILED, GUARD_FAILED, EXISTS, INVALID, ID_REUSED, ... always definite */
    bool replayed;      /* the answer of an earlier attempt with this id; set by whoever evaluates, not stored */
    bool succeeded;     /* comparisons held: `ops` were done; else `else_ops` */
    uint64_t ts;
    uint32_t failed_index; /* which compare or operation refused; UINT32_MAX: none */
    struct txn_op_result *ops;
    size_t op_count;
};
void txn_result_encode(const struct txn_result *r, struct buf *out);
MUST_CHECK enum status txn_result_decode(struct slice bytes, struct arena *arena, struct txn_result *out);

#endif
