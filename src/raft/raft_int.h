/* The inside of the Raft core, shared by the files of this folder. Reading order: README.md. */
#ifndef QUORATE_RAFT_RAFT_INT_H
#define QUORATE_RAFT_RAFT_INT_H

#include "base/buf.h"
#include "raft/log.h"
#include "raft/progress.h"
#include "raft/raft.h"

#define RAFT_MEMBERS_MAX (3u * RAFT_VOTERS_MAX)
#define RAFT_NEVER UINT64_MAX
#define RAFT_CONTEXT_TRANSFER                                                                                          \
    1u /* in a VOTE: its leader asked for this election, so hearing a leader is no reason to ignore it */
#define RAFT_CONTEXT_NEWS                                                                                              \
    1u /* in an APPEND without entries: only tells the commit index; need not be acknowledged again */
#define RAFT_HINT_BLANK UINT64_MAX /* hint_index of an APPEND_REPLY that rejects: takes nothing before a snapshot */
#define RAFT_CONTEXT_POKE 2u       /* in a PRE_VOTE: asks whether the receiver leads, and for no vote */
#define RAFT_READS_MAX 65536u
#define RAFT_HELD_MAX 64u

struct raft_read_item {
    uint64_t context;
    uint64_t from;  /* the replica that asked; 0: this one */
    uint64_t round; /* leader: round of heartbeats, follower: message to the leader, that it rides on; 0: on none yet */
    uint64_t index; /* leader: commit index when its round began */
    uint64_t sent_ms; /* follower: when its message left */
};

/* What is durable, and what waits for it. Marks are numbered; whatever changed since the last mark is covered by mark
 * seq + 1. The log's durable prefix survives truncation only as far as trunc_from says (see persist.c). */
struct raft_durable {
    uint64_t seq;         /* newest mark handed out */
    uint64_t seq_done;    /* newest mark that came back */
    uint64_t hard_seq;    /* the mark that covers the present term and vote */
    uint64_t trunc_seq;   /* the mark that covers the newest truncation */
    uint64_t trunc_from;  /* lowest point of all truncations that no mark that came back covers; RAFT_NEVER: none */
    uint64_t index;       /* our entries up to here are durable, and stay so unless a later leader truncates them */
    uint64_t dirty_from;  /* first entry that the host has not been told of; 0: none */
    uint64_t commit_told; /* last commit_to */
};

enum raft_recovery { RAFT_NORMAL, RAFT_RECOVERING, RAFT_RECOVERED }; /* drawn in recover.c */

struct raft_promise { /* to no other leader, while grant stands; to: 0: none */
    uint64_t to, term, grant;
};

struct raft {
    struct raft_self self;
    const struct raft_options *options;
    uint64_t now_ms;

    uint64_t term, vote, commit, applied;
    enum raft_role role;
    enum raft_recovery recovery;
    uint64_t leader;         /* of this term; 0: unknown */
    uint64_t recovery_nonce; /* of this life; 0: it never was recovering */
    uint64_t recovery_seq;   /* RECOVERED: the mark that covers it */
    struct raft_log log;

    const struct raft_config *config; /* the last one in the log, committed or not (thesis 4.1), or base_config */
    uint64_t config_index;            /* its entry; the log's base index when it is base_config */
    struct slice base_config; /* encoded; as of the log's base; owned; empty when it is in force, or there is none */

    struct raft_durable durable;
    struct raft_message *held; /* wait until term and vote are durable; freed when they are */
    uint32_t held_count, held_capacity;

    uint64_t ack_match; /* follower: our log equals the leader's up to here; only within one term and leader */
    uint64_t ack_sent;  /* acknowledged so far in this term */

    uint64_t election_deadline_ms;  /* not the leader: when to campaign, or to forget the leader */
    uint64_t heartbeat_deadline_ms; /* leader */
    uint64_t heard_ms;              /* follower with a leader: when it was last heard */
    struct raft_promise promise;    /* lease.c; outlives role, leader and term */

    struct raft_progress *peers; /* leader and (pre-)candidate: all members, itself included; else NULL */
    size_t peer_count;
    uint64_t term_start;        /* leader: index of its own term's no-op */
    uint64_t uncommitted_bytes; /* leader: data of entries above commit */
    uint64_t news_ms; /* leader: when followers are told of a commit that no entries have taken along; 0: all know */
    uint64_t transfer_to, transfer_deadline_ms;
    uint64_t backed_ms;       /* leader: when a quorum last backed it, at the latest; 0: never in this term */
    enum raft_role told_role; /* as of the last effects */
    bool config_changed;
    bool blank;      /* nothing is known here of what the range is: no entry is taken before a snapshot */
    bool hard_dirty; /* term or vote changed since the last effects */
    bool commit_dirty;
    bool transfer_sent;
    bool lease_void; /* leader: somebody was told to campaign in the next term, so the promises to us no longer bind */
    bool append_due; /* leader: something may be there to send at the next flush */
    bool ack_due;    /* follower: an append waits for its acknowledgement, which waits for the disk */

    struct raft_read_item *reads; /* in order of round, those without one last */
    uint32_t read_count, read_capacity;
    uint64_t read_round; /* leader: newest round of heartbeats; follower: newest READ message; never falls */

    uint64_t told_leader;     /* as of the last effects */
    struct raft_alone *alone; /* CANDIDATE: it is about to lead as the only voter (election.c); NULL: not */
};

uint64_t raft_draw(struct raft *r, uint64_t bound); /* 0 <= x < bound */

/* config.c: pure functions of configurations, and the one in force */
typedef uint64_t raft_value_fn(const void *ctx, uint64_t id);
/* The largest v such that a majority of the voters (joint: of both sets) have value >= v. No voters: 0. */
uint64_t raft_config_quorum(const struct raft_config *c, raft_value_fn *value, const void *ctx);
bool raft_config_is_voter(const struct raft_config *c, uint64_t id); /* in either set */
bool raft_config_is_joint(const struct raft_config *c);
bool raft_config_is_valid(const struct raft_config *c);
bool raft_config_same_voters(const struct raft_config *a, const struct raft_config *b);
size_t raft_config_members(const struct raft_config *c, uint64_t ids[RAFT_MEMBERS_MAX]); /* each once */
/* config_pool.c */
void raft_config_hold(struct raft *r, const struct raft_config *c); /* a copy, in place of the one it has */
void raft_config_drop(const struct raft_config *c);
void raft_config_enter(struct raft *r, const struct raft_config *c, uint64_t index); /* in force from its entry on */
void raft_config_reload(struct raft *r);                 /* the log was truncated: what is in force now? */
void raft_config_rebase(struct raft *r, uint64_t index); /* before the log is compacted up to index */
void raft_config_set_base(struct raft *r, const struct raft_config *c);
bool raft_config_entries_valid(const struct raft_message *m);

/* persist.c: the contract about durability, and the one door to the effects */
bool raft_hard_durable(const struct raft *r);
void raft_set_term(struct raft *r, uint64_t term, uint64_t vote);
void raft_note_dirty(struct raft *r, uint64_t from);
void raft_note_truncated(struct raft *r, uint64_t from);
void raft_persisted(struct raft *r, const struct raft_persist_mark *mark);
void raft_send(struct raft *r, struct raft_message m, struct raft_effects *fx); /* fills from, term if 0; may hold it */
void raft_send_now(struct raft *r, const struct raft_message *m, struct raft_effects *fx);
void raft_release_held(struct raft *r, struct raft_effects *fx);
void raft_send_ack(struct raft *r, struct raft_effects *fx);
void raft_report(struct raft *r, struct raft_effects *fx);
void raft_fx_read(struct raft_effects *fx, uint64_t context, uint64_t index, enum status status);
void raft_fx_snapshot(struct raft_effects *fx, uint64_t id);

/* election.c */
bool raft_promotable(const struct raft *r);
bool raft_hears_leader(const struct raft *r);
void raft_reset_election(struct raft *r);
void raft_follow(struct raft *r, uint64_t term, uint64_t leader, struct raft_effects *fx);
void raft_campaign(struct raft *r, bool transfer, struct raft_effects *fx);
void raft_lead_from_birth(struct raft *r, struct raft_effects *fx);
void raft_go_alone(struct raft *r, struct slice note, struct raft_effects *fx);
void raft_alone_free(struct raft *r);
void raft_pre_campaign(struct raft *r, struct raft_effects *fx);
void raft_recv_pre_vote(struct raft *r, const struct raft_message *m, struct raft_effects *fx);
void raft_recv_vote(struct raft *r, const struct raft_message *m, struct raft_effects *fx);
void raft_recv_ballot(struct raft *r, const struct raft_message *m, struct raft_effects *fx);
void raft_count_own_vote(struct raft *r, struct raft_effects *fx);
uint64_t raft_quorum_heard_ms(const struct raft *r);
void raft_transfer(struct raft *r, uint64_t to, struct raft_effects *fx);
void raft_transfer_step(struct raft *r, struct raft_effects *fx);
void raft_end_doubt(struct raft *r, struct raft_effects *fx);
void raft_peers_rebuild(struct raft *r);
void raft_peers_free(struct raft *r);
struct raft_progress *raft_peer(const struct raft *r, uint64_t id); /* NULL: none */

/* replication.c (leader) and follow.c (follower) */
uint64_t raft_append_own(struct raft *r, enum raft_entry_type type, struct slice data);
void raft_append_config(struct raft *r, const struct raft_config *c, struct slice note);
void raft_send_appends(struct raft *r, struct raft_effects *fx);
void raft_send_heartbeats(struct raft *r, struct raft_effects *fx);
void raft_recv_append_reply(struct raft *r, const struct raft_message *m);
void raft_recv_heartbeat_reply(struct raft *r, const struct raft_message *m);
void raft_snapshot_sent(struct raft *r, uint64_t to, uint64_t index, bool ok);
void raft_unreachable(struct raft *r, uint64_t to);
void raft_leader_settle(struct raft *r, struct raft_effects *fx);
void raft_commit_to(struct raft *r, uint64_t index);
void raft_recv_append(struct raft *r, const struct raft_message *m, struct raft_effects *fx);
void raft_recv_heartbeat(struct raft *r, const struct raft_message *m, struct raft_effects *fx);
void raft_recv_snapshot(struct raft *r, const struct raft_message *m, struct raft_effects *fx);

/* recover.c */
void raft_recovery_begin(struct raft *r);
void raft_recovery_mark(const struct raft *r, struct raft_message *m);
void raft_recovery_hear(struct raft *r, uint64_t leader);
/* Leader: an APPEND_REPLY or HEARTBEAT_REPLY has come. False: it may be of an earlier life, and confirms nothing. */
bool raft_recovery_note(struct raft *r, struct raft_progress *p, const struct raft_message *m);
void raft_recovery_go_on(struct raft *r, struct raft_progress *p, uint64_t index);
void raft_recovery_settle(struct raft *r, struct raft_effects *fx);
bool raft_recovery_leaves_majority(const struct raft *r, const struct raft_config *c);
void raft_recv_recovered(struct raft *r, const struct raft_message *m);
void raft_recovery_persisted(struct raft *r);

/* read.c */
void raft_read_flush(struct raft *r, struct raft_effects *fx);
void raft_read_settle(struct raft *r, struct raft_effects *fx);
void raft_read_fail(struct raft *r, struct raft_effects *fx);
void raft_read_expire(struct raft *r, struct raft_effects *fx);
uint64_t raft_read_deadline_ms(const struct raft *r);
void raft_recv_read(struct raft *r, const struct raft_message *m, struct raft_effects *fx);
void raft_recv_read_reply(struct raft *r, const struct raft_message *m, struct raft_effects *fx);

#endif
