/* The router: finds the range of a key, sends the request to its leader, learns from refusals, retries what is safe.
 * Runs on the loop; every call ends in exactly one callback, from client's pass. Used by gateway and command line.
 *
 * Retries. Reads are repeated until the deadline. A transaction with an id is repeated with the same id until the deadline
 * (the idempotency row makes it act once). A transaction without an id is repeated only while it definitely did not happen
 * (NOT_LEADER, EPOCH_MISMATCH, never sent...); otherwise the answer is unknown_outcome = true. */
#ifndef QUORATE_CLIENT_CLIENT_H
#define QUORATE_CLIENT_CLIENT_H

#include "rpc/meta_call.h"

struct client_options {
    const char *meta_addresses;
    enum role role;         /* ROLE_GATEWAY or ROLE_CLIENT */
    uint32_t in_flight_max; /* requests; beyond it STATUS_BUSY. 0: 4096 */
    uint32_t newest;        /* cluster version to support at most; 0: the program's (docs/upgrade.md) */
};

struct client;
MUST_CHECK enum status client_new(struct env *env, const struct client_options *o, struct client **out,
                                  struct errbuf *err);
void client_free(struct client *c);           /* requests under way end without callback */
struct actor *client_actor(struct client *c); /* attached by client_new; for simulators */

/* Why a request failed, for a person and for a program. */
struct client_error {
    enum status status;
    bool unknown_outcome;
    struct slice message; /* borrowed for the callback */
};

/* Whoever asked with that ctx goes away: none of these requests calls back any more, whatever becomes of it. */
void client_forget(struct client *c, const void *ctx);

/* Slices in results are borrowed for the callback. Requests copy what they are given. timeout_ms counts from the call.
 * result, reply and map are NULL when e->status is not STATUS_OK. A callback may start requests, but not free the client. */
typedef void (*client_txn_done)(void *ctx, const struct client_error *e, const struct txn_result *result);
typedef void (*client_get_done)(void *ctx, const struct client_error *e, const struct get_reply *reply);
typedef void (*client_scan_done)(void *ctx, const struct client_error *e, const struct scan_reply *reply);
typedef void (*client_map_done)(void *ctx, const struct client_error *e, const struct meta_map_reply *map);
typedef void (*client_call_done)(void *ctx, const struct client_error *e, struct slice payload);

/* Of the keyspace of that name, as far as is known here; 0: not. One that was dropped and created anew has another. */
uint32_t client_keyspace_id(const struct client *c, struct slice name);
/* keyspace by name: resolved and cached; STATUS_NOT_FOUND names it. t->keyspace is filled in by the client.
 * result->status tells a refusal (condition, guard...), then e->status is STATUS_OK: the request was served. */
void client_txn(struct client *c, struct slice keyspace, const struct txn *t, uint32_t timeout_ms, client_txn_done done,
                void *ctx);
/* The same of one without an id, for who can find out what became of it: it is told that its outcome is unknown as soon as its node is
 * silent (half a second), where others wait until they know or the connection is given up. It may still happen later. */
void client_txn_findable(struct client *c, struct slice keyspace, const struct txn *t, uint32_t timeout_ms,
                         client_txn_done done, void *ctx);
void client_get(struct client *c, struct slice keyspace, struct slice key, uint32_t timeout_ms, client_get_done done,
                void *ctx);

/* The same with a mode of docs/reads.md; reply->mark says what it was. */
void client_get_how(struct client *c, struct slice keyspace, struct slice key, const struct read_how *how,
                    uint32_t timeout_ms, client_get_done done, void *ctx);

/* What the transaction with this id was answered, whichever router it went through; anchor: the key of its first operation. It waits for one
 * that is under way over several ranges. reply->value: an encoded txn_result; not found: it has not happened, or not yet, or its id
 * has been forgotten (docs/limits.md). */
void client_get_answer(struct client *c, struct slice keyspace, struct slice anchor, const struct txn_id *id,
                       uint32_t timeout_ms, client_get_done done, void *ctx);

struct client_scan {
    struct slice start, end; /* user keys; empty end: to the end of the keyspace */
    uint32_t limit_rows;     /* of this page; 0: LIMIT_SCAN_ROWS */
    uint32_t limit_bytes;    /* 0: LIMIT_SCAN_BYTES */
    bool reverse, keys_only;
    bool
        placed; /* start, end and the rows' keys are as the keyspace holds them (docs/formats/keys.md): of a keyspace by hash, behind their buckets */
    struct read_how how;
};
/* One page, over as many ranges as it takes; reply->more tells that there may be more after the last row (before it, in
 * reverse). A snapshot is one instant of all ranges: reply->mark.ts, for the next page too. In other modes a page sees each
 * range at one instant, but different ranges at different instants, strong ones all during the call; the mark is the oldest. */
void client_scan(struct client *c, struct slice keyspace, const struct client_scan *s, uint32_t timeout_ms,
                 client_scan_done done, void *ctx);

void client_map(struct client *c, struct slice keyspace, uint32_t timeout_ms, client_map_done done, void *ctx);
/* Is a backup being restored into this cluster? What acts by itself, and not for somebody who asked, asks this between what it found and
 * what it does: half of what is to come is not there yet. An error counts as a yes. */
#define CLIENT_RESTORE_MARK KEYSPACE_RESTORING
typedef void (*client_restoring_done)(void *ctx, bool restoring);
void client_restoring(struct client *c, uint32_t timeout_ms, client_restoring_done done, void *ctx);

/* Any metadata request by method, params encoded. */
void client_meta(struct client *c, enum method m, struct slice params, uint32_t timeout_ms, client_call_done done,
                 void *ctx);
/* A request to one node or meta by address: status commands. */
void client_node(struct client *c, const char *address, enum method m, struct slice params, uint32_t timeout_ms,
                 client_call_done done, void *ctx);

struct client_stats {
    uint64_t requests, retries, map_refreshes, failures, unknown_outcomes, in_flight;
};
void client_stats(const struct client *c, struct client_stats *out);

#endif
