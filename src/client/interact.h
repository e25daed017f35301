/* Interactive transactions over the router: reads as of one start timestamp, writes kept here until the commit, which compares the
 * versions of all that was read and writes, or does neither: strictly serializable. Nothing is locked before the commit, and an
 * abandoned transaction leaves nothing behind.
 *
 *   NEW --begin--> OPEN --get, scan, put, delete--> OPEN --commit--> ENDED (committed, RETRY, or unknown: commit may be repeated)
 *
 * One call at a time: its callback comes before the next one. RETRY is definite: nothing was written, a new transaction may try.
 *
 * A scan counts as read with all that it did not find: a row that has come there since makes the commit RETRY.
 * A transaction that writes nothing needs no commit: all its reads are of one instant. One that has read more than a commit can
 * compare (LIMIT_TXN_OPS keys) is kept no account of: it may read on, and a commit that writes is TOO_LARGE. */
#ifndef QUORATE_CLIENT_INTERACT_H
#define QUORATE_CLIENT_INTERACT_H

#include "client/client.h"

struct interact;
struct interact *interact_new(struct env *env, struct client *c, struct slice keyspace);
void interact_free(struct interact *t); /* no call is under way, or the client has been freed before */
bool interact_busy(const struct interact *t);
/* The commit's, random: its answer is kept under it beside the lowest key that is written. */
const struct txn_id *interact_id(const struct interact *t);
uint64_t interact_timestamp(const struct interact *t); /* of its reads; 0: not begun */

/* Borrowed for the callback. */
struct interact_row {
    struct slice key, value;
    uint64_t version; /* 0: put by this transaction */
    bool found;
};
typedef void (*interact_done)(void *ctx, const struct client_error *e, uint64_t ts);
typedef void (*interact_get_done)(void *ctx, const struct client_error *e, const struct interact_row *row);
typedef void (*interact_scan_done)(void *ctx, const struct client_error *e, const struct interact_row *rows,
                                   size_t count, bool more);

void interact_begin(struct interact *t, uint32_t timeout_ms, interact_done done, void *ctx);
void interact_begin_at(struct interact *t, uint64_t ts); /* as of ts, which was issued: OPEN at once */
void interact_get(struct interact *t, struct slice key, uint32_t timeout_ms, interact_get_done done, void *ctx);
/* A page, this transaction's own writes included. more: go on behind the last row (reverse: before it). */
void interact_scan(struct interact *t, const struct client_scan *s, uint32_t timeout_ms, interact_scan_done done,
                   void *ctx);
/* STATUS_OK, or why not (INVALID, TOO_LARGE). op: TXN_PUT or TXN_DELETE; copied; the last write of a key counts. */
MUST_CHECK enum status interact_write(struct interact *t, const struct txn_op *op, struct errbuf *err);
/* Until `one` says no; true: it never did. */
bool interact_each_write(const struct interact *t, bool (*one)(void *ctx, struct slice key), void *ctx);
/* STATUS_OK with the commit's timestamp; RETRY; or as any write. After an unknown outcome it may be called again: it acts once. */
void interact_commit(struct interact *t, uint32_t timeout_ms, interact_done done, void *ctx);

#endif
