/* Resolved timestamps: what a host does for reads as of a timestamp (docs/reads.md; resolve.c). */
#ifndef QUORATE_RANGE_RESOLVE_H
#define QUORATE_RANGE_RESOLVE_H

#include "range/host.h"
#include "range/resolved.h"

/* The leader closes at ts, which was asked for after it began to lead (replica_led_since) and whose elders have been proposed
 * or refused: nothing at or below it is proposed any more. When w is ready, (ts, w->index) is resolved, and usable here: the
 * caller then says so by replica_note_resolved. w: index and term are set here. */
MUST_CHECK enum status replica_close(struct replica *r, uint64_t ts, struct read_wait *w);
/* The leader proposes something that brings rows at ts: nothing at or below it may be proposed behind. */
void replica_raise(struct replica *r, uint64_t ts);
uint64_t replica_led_since_ns(const struct replica *r);
void replica_note_resolved(struct replica *r, const struct resolved *resolved);
struct resolved replica_resolved(struct replica *r); /* the newest that is usable here; ts 0: none */
/* No row that was here before has a version above this; UINT64_MAX: it is not known yet. */
uint64_t replica_newest_bound(const struct replica *r);
/* The leader, under its lease: resolved at once up to the newest timestamp that came, as far as it is applied. */
void replica_resolve_now(struct replica *r);
uint64_t replica_applied(const struct replica *r);

/* The owner of a host with resolved timestamps calls host_resolve_pass in each pass, before host_pass; it says when to come
 * again. It tells of its calls for timestamps (one at a time): when one leaves, and when it has been answered and worked off,
 * with the newest that it brought, or 0. */
uint64_t host_resolve_pass(struct host *h, uint64_t now_ns);
bool host_wants_timestamp(const struct host *h);
void host_timestamps_asked(struct host *h, uint64_t now_ns);
void host_timestamps_came(struct host *h, uint64_t newest);
struct resolved host_issued(const struct host *h); /* newest timestamp that came, and when its call left (since_ns) */
uint64_t host_newest_ts(const struct host *h);     /* that this host has heard of, from anybody */
void host_on_resolved(struct host *h, struct rpc_request *req);

#endif
