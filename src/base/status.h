/* Outcomes and failures, listed once. An expected outcome (not found, retry, not leader) and a failure of the world
 * (I/O, corruption) are both values of enum status; a bug is an ASSERT. STATUS_OK is 0. */
#ifndef QUORATE_BASE_STATUS_H
#define QUORATE_BASE_STATUS_H

#define MUST_CHECK __attribute__((warn_unused_result))

/* X(enumerator, wire name, HTTP status, text). The numbers go over the wire: append only. */
#define STATUS_MAP(X)                                                                                                  \
    X(OK, "ok", 200, "done")                                                                                           \
    X(NOT_FOUND, "not_found", 404, "no such key or object")                                                            \
    X(EXISTS, "already_exists", 409, "it exists already")                                                              \
    X(CONDITION_FAILED, "condition_failed", 412, "a comparison did not hold; nothing was written")                     \
    X(GUARD_FAILED, "guard_failed", 409, "a guarded add would leave its bounds; nothing was written")                  \
    X(NOT_LEADER, "not_leader", 503, "this replica does not lead the range")                                           \
    X(EPOCH_MISMATCH, "epoch_mismatch", 503, "the range has changed since the request was routed")                     \
    X(RANGE_NOT_FOUND, "range_not_found", 503, "no replica of that range is here")                                     \
    X(BUSY, "busy", 429, "a queue is full; try again after a pause")                                                   \
    X(RETRY, "retry", 503, "it did not happen; try again")                                                             \
    X(MISS, "miss", 500, "a block has to be read from disk first")                                                     \
    X(TIMEOUT, "timeout", 504, "the deadline passed")                                                                  \
    X(UNAVAILABLE, "unavailable", 503, "no quorum or no server can be reached")                                        \
    X(INVALID, "invalid", 400, "the request is malformed")                                                             \
    X(TOO_LARGE, "too_large", 413, "a published limit was exceeded")                                                   \
    X(UNSUPPORTED, "unsupported", 400, "this version does not know it")                                                \
    X(WRONG_CLUSTER, "wrong_cluster", 403, "it belongs to another cluster")                                            \
    X(NOT_INITIALIZED, "not_initialized", 503, "the cluster has not been initialised")                                 \
    X(IO, "io_error", 500, "a disk or the network failed")                                                             \
    X(CORRUPT, "corrupt", 500, "stored data does not match its checksum")                                              \
    X(NO_SPACE, "no_space", 507, "the disk is full")                                                                   \
    X(NO_MEMORY, "no_memory", 500, "not enough memory")                                                                \
    X(CLOSED, "closed", 503, "it has been closed")                                                                     \
    X(LOCKED, "locked", 503, "another process holds it")                                                               \
    X(END, "end", 200, "no more entries")                                                                              \
    X(ID_REUSED, "id_reused", 409, "this idempotency id was used for a different request")                             \
    X(BLOCKED, "blocked", 503, "another transaction holds a lock on a key; nothing happened")                          \
    X(TOO_OLD, "too_old", 410, "the timestamp is older than the versions that are kept")                               \
    X(UNAUTHENTICATED, "unauthenticated", 401, "who you are is not known")                                             \
    X(FORBIDDEN, "forbidden", 403, "you have not the right to do that")

enum status {
#define STATUS_ENUM(name, wire, http, text) STATUS_##name,
    STATUS_MAP(STATUS_ENUM)
#undef STATUS_ENUM
        STATUS_COUNT
};

const char *status_name(enum status s); /* "not_found"; "?" for a number out of range */
const char *status_text(enum status s); /* one sentence for a person */
int status_http(enum status s);

/* A message for a person, owned by the caller. Every function that takes one accepts NULL. */
struct errbuf {
    char text[512];
};
void errbuf_set(struct errbuf *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
