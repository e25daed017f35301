/* Watches: what changes in a span of a keyspace, over any number of ranges, in the order of timestamps, transaction by transaction.
 * docs/watch.md.
 *
 *   client_watch_new -> (STARTING: where does it begin?) -> client_watch_next -> batch -> client_watch_next -> ...   -> an error: the end
 *
 * The caller pulls: as long as it does not ask, a watch holds one answer of each range at most, and asks for nothing more. */
#ifndef QUORATE_CLIENT_WATCH_H
#define QUORATE_CLIENT_WATCH_H

#include "client/client.h"

struct client_watch;
struct client_watch_options {
    struct slice keyspace;
    struct slice start, end; /* user keys; empty end: to the end of the keyspace */
    uint64_t after;          /* what has been seen: changes above it are told; 0: from now on */
    bool placed;             /* keys are told as the keyspace holds them (docs/formats/keys.md) */
    uint32_t progress_ms;    /* without changes, this often where it stands; 0: 5,000 */
};
/* The first one comes when all that had changed before the watch was begun is in it, or in it and those before; perhaps empty.
 * All changes of the span above the last batch's upto, up to this one's; in the order of (ts, key). Borrowed for the callback. */
struct client_watch_batch {
    uint64_t upto;
    const struct feed_change *changes;
    size_t change_count;
};
/* e->status not OK: the end of the watch. TOO_OLD: `resume` tells from where on it could go on. */
typedef void (*client_watch_done)(void *ctx, const struct client_error *e, const struct client_watch_batch *batch,
                                  uint64_t resume);

struct client_watch *client_watch_new(struct client *c, const struct client_watch_options *o);
/* One callback, from the client's pass; one call at a time. The callback may call it again, or free the watch. */
void client_watch_next(struct client_watch *w, client_watch_done done, void *ctx);
/* Somebody waits until it has passed ts, which must have been issued: it is asked for and told at once, not when the next progress is due. */
void client_watch_hurry(struct client_watch *w, uint64_t ts);
/* Where it stands: what a new one would give as `after`; 0: not begun. */
uint64_t client_watch_position(const struct client_watch *w);
/* How much is left until it has passed ts: 0: nothing; else it falls as its legs get on, whichever, and rises when one of them parts. *who (or NULL): the leg
 * that stands furthest behind: its range, the node that was asked last, and what it said; for a person. */
uint64_t client_watch_behind(const struct client_watch *w, uint64_t ts, struct errbuf *who);
void client_watch_free(struct client_watch *w); /* without a callback; also after the client has been freed */

#endif
