/* Private to range/: who belongs to a group. docs/moves.md. */
#ifndef QUORATE_RANGE_MEMBERS_INT_H
#define QUORATE_RANGE_MEMBERS_INT_H

#include "range/change_int.h"
#include "range/members.h"

/* reconfigure.c: an applied configuration entry */
void reconfigure_desc(const struct range_desc *now, struct slice entry, struct range_desc *next);
void reconfigure_carry_out(struct replica *r, const struct range_desc *former);

/* members.c */
bool members_may_create(const struct host *h, uint64_t group, uint64_t replica_id);
bool members_address(struct replica *r, uint64_t to); /* the message is for this replica */
/* The message is for a replica that is not here: of one that was destroyed its followers hear that it leads no more. */
void members_speak_for_gone(struct host *h, uint64_t from_node, uint64_t group, const struct raft_message *m);
bool members_may_speak(struct replica *r, uint64_t replica_id, uint64_t node_id);
void members_tell_gone(struct replica *r, uint64_t node_id, uint64_t replica_id);
void replica_leave(struct replica *r, const char *why); /* it is mute at once; the rest comes with members_pass */
void members_pass(struct host *h);
void members_durable(struct host *h); /* a batch of the log is */
void members_close(struct host *h);
/* The replica has left already, and now its parent splits it off: it is not made, and its rows go when the split is durable. */
void members_refuse_birth(struct host *h, const struct range_desc *d, uint64_t replica_id);
void members_tombstone(struct host *h, uint64_t group, uint64_t replica_id); /* of one that has no rows of its own */
void members_note_gone(struct host *h, uint64_t group, uint64_t replica_id);
/* While opening: a tombstone; with a span, its rows may still be here. */
void members_recall(struct host *h, uint64_t group, uint64_t replica_id, struct slice start, struct slice end);
/* The same, found by the state that leaves this host out: the tombstone is still to be written. */
void members_recall_left(struct host *h, uint64_t group, uint64_t replica_id, struct slice start, struct slice end);

#endif
