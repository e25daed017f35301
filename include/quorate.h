/* The client library of Quorate: interactive transactions, strictly serializable over any number of ranges.
 *
 *     char error[256];
 *     struct quorate_options o = {.meta = "127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403"};
 *     struct quorate *db = quorate_open(&o, error, sizeof error);
 *     int e = quorate_run(db, "default", move_money, &ctx, NULL);      // begins, calls, commits; again on QUORATE_RETRY
 *     quorate_close(db);
 *
 * A transaction reads as of one start timestamp. Its writes are kept here until the commit, which compares everything that was
 * read with what is there then, and writes all or nothing. Nothing is locked before: a transaction that is forgotten leaves
 * nothing behind. One that lasts longer than about a minute finds what it reads gone: QUORATE_RETRY.
 *
 * Every call blocks until it is answered or its time is over. A struct quorate and its transactions are for one thread at a time;
 * any number of them may be open. Link with -lquorate (pkg-config quorate). */
#ifndef QUORATE_H
#define QUORATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUORATE_API __attribute__((visibility("default")))

/* What a call answers. Append only. */
enum quorate_result {
    QUORATE_OK = 0,
    QUORATE_NOT_FOUND = 1,   /* no such key, or keyspace */
    QUORATE_RETRY = 2,       /* definite: nothing was written; a new transaction may try (quorate_run does) */
    QUORATE_UNKNOWN = 3,     /* the commit may have happened or not: ask the data */
    QUORATE_INVALID = 4,     /* the request is malformed, or the transaction has ended */
    QUORATE_TOO_LARGE = 5,   /* a published limit (docs/limits.md) */
    QUORATE_BUSY = 6,        /* a queue is full; after a pause */
    QUORATE_UNAVAILABLE = 7, /* nothing was written; nobody answered in time */
    QUORATE_UNSUPPORTED = 8, /* see the call */
    QUORATE_FAILED = 9       /* anything else; quorate_error says what */
};

struct quorate;
struct quorate_txn;

struct quorate_options {
    const char *meta;    /* "host:port,..." of the metadata servers */
    uint32_t timeout_ms; /* of each call; 0: 10,000 */
    uint32_t run_ms;     /* how long quorate_run tries; 0: 60,000 */
    const char *tls_ca; /* files: the cluster's authority, and this client's certificate and key; NULL: no encryption */
    const char *tls_cert;
    const char *tls_key;
};

/* NULL: `error` says why. Does not connect yet. */
QUORATE_API struct quorate *quorate_open(const struct quorate_options *o, char *error, size_t error_size);
QUORATE_API void quorate_close(struct quorate *db); /* ends what is open; NULL is fine */
/* A sentence about the last call that did not answer QUORATE_OK. Valid until the next call. */
QUORATE_API const char *quorate_error(const struct quorate *db);

QUORATE_API int quorate_begin(struct quorate *db, const char *keyspace, struct quorate_txn **out);
/* Reads as of a timestamp: of the last minute, or since a registered snapshot that lives; else QUORATE_RETRY. What is written is compared
 * at the commit with what is there then, as ever. */
QUORATE_API int quorate_begin_at(struct quorate *db, const char *keyspace, uint64_t timestamp,
                                 struct quorate_txn **out);
/* The transaction's own writes are seen. *value is valid until the next call with the transaction. QUORATE_NOT_FOUND: no such key. */
QUORATE_API int quorate_get(struct quorate_txn *t, const void *key, size_t key_size, const void **value,
                            size_t *value_size);
QUORATE_API int quorate_put(struct quorate_txn *t, const void *key, size_t key_size, const void *value,
                            size_t value_size);
/* The row ends by itself after ttl_ms; 0: never, whatever the keyspace says. */
QUORATE_API int quorate_put_ttl(struct quorate_txn *t, const void *key, size_t key_size, const void *value,
                                size_t value_size, uint64_t ttl_ms);
QUORATE_API int quorate_delete(struct quorate_txn *t, const void *key, size_t key_size);

/* Calls `each` for the rows of [start, end) in order (end of size 0: to the end of the keyspace), as many pages as it takes, until it
 * answers false or `limit` rows were told (0: no limit). It must not call with this transaction. A scan counts as read
 * with what it did not find: a row that has come there since makes the commit QUORATE_RETRY. */
struct quorate_scan {
    const void *start, *end;
    size_t start_size, end_size;
    uint64_t limit;
    bool reverse;
};
typedef bool (*quorate_each)(void *ctx, const void *key, size_t key_size, const void *value, size_t value_size);
QUORATE_API int quorate_scan(struct quorate_txn *t, const struct quorate_scan *s, quorate_each each, void *ctx);

QUORATE_API uint64_t quorate_timestamp(const struct quorate_txn *t); /* of its reads */
/* Both end the transaction, whatever they answer: t is gone. version (may be NULL): the commit's. */
QUORATE_API int quorate_commit(struct quorate_txn *t, uint64_t *version);
QUORATE_API void quorate_abort(struct quorate_txn *t);

/* Registered snapshots: every version from a timestamp on is kept, in all keyspaces, for lifetime_ms (at most 7 days; it costs disk). The
 * timestamp: *timestamp, one of the last minute (older: QUORATE_FAILED); 0: now. It comes back there. Names: 1 to 64 of a-z, 0-9, _ and -. Again with the
 * same name: the one that lives, as it is. */
QUORATE_API int quorate_snapshot_register(struct quorate *db, const char *name, uint64_t lifetime_ms,
                                          uint64_t *timestamp);
QUORATE_API int quorate_snapshot_extend(struct quorate *db, const char *name, uint64_t lifetime_ms); /* from now on */
QUORATE_API int quorate_snapshot_drop(struct quorate *db, const char *name);

/* Begins a transaction, calls fn, commits, and again from the start with pauses as long as the answer is QUORATE_RETRY. fn answers
 * QUORATE_OK to commit, QUORATE_RETRY to be called again, anything else to abort: that is then the answer. fn may be called
 * any number of times, and must not end the transaction. */
QUORATE_API int quorate_run(struct quorate *db, const char *keyspace, int (*fn)(struct quorate_txn *t, void *ctx),
                            void *ctx, uint64_t *version);

#ifdef __cplusplus
}
#endif

#endif
