/* lease.c, to the rest of the core. */
#ifndef QUORATE_RAFT_LEASE_INT_H
#define QUORATE_RAFT_LEASE_INT_H

#include "raft/lease.h"
#include "raft/raft_int.h"

bool raft_silent(const struct raft *r);
bool raft_withholds(const struct raft *r);
bool raft_promise_holds(const struct raft *r);
void raft_promise_end(struct raft *r);
void raft_promise(struct raft *r, const struct raft_message *m);
uint64_t raft_promised_grant(const struct raft *r);
void raft_promise_void_by(struct raft *r, const struct raft_message *m, struct raft_effects *fx);
void raft_wake_after_silence(struct raft *r);
void raft_release(struct raft *r); /* campaigns soon, when its turn comes */
void raft_released(struct raft *r);
void raft_poke(struct raft *r, struct raft_effects *fx);
void raft_recv_poke(struct raft *r, const struct raft_message *m, struct raft_effects *fx);
void raft_recv_poke_reply(struct raft *r, const struct raft_message *m, struct raft_effects *fx);
void raft_recv_promise(struct raft *r, const struct raft_message *m, struct raft_effects *fx);
uint64_t raft_promise_wanted(const struct raft *r);
bool raft_wants_promise(const struct raft *r);
bool raft_backed_by(const struct raft *r, const struct raft_progress *p);
bool raft_leader_asleep(const struct raft *r);
void raft_note_backed(struct raft *r);
void raft_support_changed(struct raft *r, uint64_t id);
bool raft_hears_in_vain(const struct raft *r, const struct raft_message *m);
void raft_look_after(struct raft *r, uint64_t id);

#endif
