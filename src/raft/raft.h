/* Raft (Ongaro, "Consensus: Bridging Theory and Practice", 2014) as a pure state machine: events in, effects out. It knows
 * no clock, disk, socket or thread. One struct raft is one replica of one group.
 *
 * Contract with the caller ("the host"), the order of effects being part of it:
 *  1. raft_step / raft_propose / raft_read change the state and add to raft_effects.
 *  2. Messages in the effects may be sent at once: what depends on durability is held back inside until it is PERSISTED.
 *  3. What is to be made durable is described by effects->persist; the host copies the new hard state and the entries
 *     [append_from, append_to] into its log batch, in the order of the steps, and reports `mark` when that batch is durable.
 *     The leader's messages go out before its own sync; an entry may commit by two followers alone.
 *  4. commit_to: entries up to it may be applied, in order, once each, whether or not the local log holds them durably.
 *
 * Replica ids are never reused and never 0. Time is milliseconds of the host's monotonic clock, handed in with events. */
#ifndef QUORATE_RAFT_RAFT_H
#define QUORATE_RAFT_RAFT_H

#include "raft/config.h"
enum raft_entry_type { RAFT_ENTRY_NOOP = 0, RAFT_ENTRY_COMMAND = 1, RAFT_ENTRY_CONFIG = 2 };

struct raft_entry {
    uint64_t index, term;
    enum raft_entry_type type;
    struct slice data;
};
struct raft_hard_state {
    uint64_t term, vote, commit;
};
struct raft_support;    /* raft/lease.h */
struct raft_self {      /* what is one replica's own */
    uint64_t id, group; /* the group: for log lines and assertions */
    uint64_t seed;      /* election jitter */
    const void *support_ctx;
    uint64_t silent_until_ms; /* no vote and no pre-vote before: an earlier life may have promised (docs/liveness.md) */
};
struct raft_options {     /* what the groups of a host share */
    uint32_t election_ms; /* a follower that hears nothing for election_ms..2*election_ms campaigns (PreVote first) */
    uint32_t heartbeat_ms;
    uint32_t news_ms; /* so long the news of a commit may wait for entries that take it along; 0: not at all */
    uint32_t inflight_max_count, inflight_max_bytes; /* appends under way to one follower */
    uint32_t append_max_bytes;          /* of entries in one append message; at least one entry always goes */
    uint64_t uncommitted_max_bytes;     /* proposals beyond it are refused with STATUS_BUSY */
    const struct raft_support *support; /* what the host knows of nodes; NULL: groups live by their own heartbeats */
    struct raft_configs *configs;       /* configurations, which are mostly the same; NULL: each has its own */
};
void raft_options_default(struct raft_options *o);
/* What the log and the store held when the process started. */
struct raft_restore {
    struct raft_hard_state hard;
    struct raft_config config;              /* as of snapshot_index */
    uint64_t snapshot_index, snapshot_term; /* the store holds all up to here; the log starts after it */
    uint64_t applied;                       /* == snapshot_index: the rest of the log is applied again */
    bool blank;      /* of a range that exists elsewhere: takes no entry before a snapshot, and has no configuration */
    bool recovering; /* durable data was lost, now or earlier: see raft_recovering */
};
enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };
enum raft_message_type {
    RAFT_MSG_PRE_VOTE = 1, /* term = the term it would campaign in; index, log_term of its last entry */
    RAFT_MSG_PRE_VOTE_REPLY,
    RAFT_MSG_VOTE,
    RAFT_MSG_VOTE_REPLY,
    RAFT_MSG_APPEND,          /* index, log_term: the entry before the first; commit; entries */
    RAFT_MSG_APPEND_REPLY,    /* index: matched, or with reject the refused one; hint_index, hint_term */
    RAFT_MSG_HEARTBEAT,       /* commit (capped to what the follower matches); context: read round */
    RAFT_MSG_HEARTBEAT_REPLY, /* context echoed; commit: its own */
    RAFT_MSG_READ,            /* follower asks the leader for a read index; context */
    RAFT_MSG_READ_REPLY,      /* index; context; reject: no leader or not ready */
    RAFT_MSG_SNAPSHOT,        /* never sent by raft: a host may step it after raft_install; from, term: the leader's */
    RAFT_MSG_TIMEOUT_NOW,     /* leadership transfer */
    RAFT_MSG_RECOVERED        /* index: the fence, committed without you; context: your nonce (recover.c) */
};

struct raft_message {
    enum raft_message_type type;
    uint64_t from, to; /* replica ids */
    uint64_t term;
    uint64_t index, log_term;
    uint64_t commit;
    uint64_t hint_index, hint_term;
    uint64_t context;
    uint64_t grant; /* APPEND, HEARTBEAT: our node's life if a promise is wanted; replies: the promise's grant, or 0 */
    bool reject;
    const struct raft_entry *entries; /* borrowed: in effects until the next call on this raft; in events for it */
    size_t entry_count;
};

/* Copied into a log batch by the host, handed back when that batch is durable. */
struct raft_persist_mark {
    uint64_t seq; /* increasing; guards against a log truncated and written again while the batch was under way */
    uint64_t term, vote;
    uint64_t index, index_term; /* last entry covered; the snapshot's when the log is empty */
};

struct raft_read_ready { /* a read asked for by raft_read may be served when applied >= index */
    uint64_t context, index;
    enum status status; /* STATUS_OK, or STATUS_NOT_LEADER: leadership or the leader was lost; definite, ask again */
};

struct raft_effects {        /* owned by the host, cleared by raft_effects_clear; steps add to it */
    bool persist_hard_state; /* term or vote or commit as in raft_hard_state(r) must go into the next batch... */
    bool must_sync;          /* ...and something waits for it (a changed commit alone does not) */
    uint64_t append_from, append_to; /* entries to persist, replacing everything from append_from on; 0,0: none */
    struct raft_persist_mark mark;   /* valid if must_sync */
    uint64_t commit_to;              /* 0: unchanged */
    bool state_changed;              /* role, leader or configuration differ from before */
    bool recovered; /* the same batch must say durably that the replica is no longer recovering; with must_sync */
    struct raft_message *messages;
    size_t message_count, message_capacity;
    struct raft_read_ready *reads;
    size_t read_count, read_capacity;
    uint64_t *snapshots; /* replica ids that need a snapshot: the log does not reach back far enough */
    size_t snapshot_count, snapshot_capacity;
};
void raft_effects_init(struct raft_effects *fx);
void raft_effects_clear(struct raft_effects *fx);
void raft_effects_free(struct raft_effects *fx);

enum raft_event_type {
    RAFT_EVENT_TICK, /* time has passed; at the latest at raft_deadline */
    RAFT_EVENT_MESSAGE,
    RAFT_EVENT_PERSISTED,     /* mark; marks come in the order in which they were given */
    RAFT_EVENT_APPLIED,       /* index: the store (memory) holds it */
    RAFT_EVENT_SNAPSHOT_SENT, /* to: replica; index; ok: it has installed it, else it failed or was given up */
    RAFT_EVENT_TRANSFER,      /* to: give leadership to it */
    RAFT_EVENT_CAMPAIGN,      /* start an election now (tests, transfer, quick start) */
    RAFT_EVENT_BORN,   /* lead in the term of the restore: every voter began with its vote for us (docs/ranges.md) */
    RAFT_EVENT_PROVEN, /* index: it is in our log, and others have proved that it is committed (docs/ranges.md) */
    RAFT_EVENT_UNREACHABLE, /* to: the connection to it broke: probe instead of streaming */
    RAFT_EVENT_SUPPORT,     /* to: its node has begun or ceased to support us, or does so under another grant */
    RAFT_EVENT_ALONE,       /* note: lead as the only voter, by an admin's order (raft_may_lead_alone) */
    RAFT_EVENT_RELEASED     /* our support of the leader's node has ended: campaign soon, in turn */
};
struct raft_event {
    enum raft_event_type type;
    uint64_t now_ms;
    const struct raft_message *message;
    struct raft_persist_mark mark;
    uint64_t to, index;
    bool ok;
    struct slice note; /* ALONE: of the configuration's entry; copied */
};
struct raft;
/* Then come the entries after restore->snapshot_index, in order, and raft_restore_done. The options are borrowed for life. */
struct raft *raft_new(const struct raft_options *options, const struct raft_self *self,
                      const struct raft_restore *restore, uint64_t now_ms);
void raft_restore_entry(struct raft *r, const struct raft_entry *e); /* takes over its data; replaces all from it on */
void raft_restore_done(struct raft *r);
void raft_free(struct raft *r);

void raft_step(struct raft *r, const struct raft_event *event, struct raft_effects *fx);
/* Leader only. Copies data. *index, *term: where it will be if it commits. Entries are gathered and sent by the next
 * raft_flush, so that a pass makes one append per follower. STATUS_OK, STATUS_NOT_LEADER, STATUS_BUSY. */
MUST_CHECK enum status raft_propose(struct raft *r, enum raft_entry_type type, struct slice data, uint64_t *index,
                                    uint64_t *term);
/* Proposes a change of configuration by joint consensus; the leader leaves the joint configuration by itself. The note goes
 * into the entry (raft_config_note); that which leaves a joint configuration has none.
 * STATUS_BUSY while another is under way or before the own-term no-op has committed. */
MUST_CHECK enum status raft_propose_config(struct raft *r, const struct raft_config *target, struct slice note,
                                           uint64_t *index);
/* Asks for a linearizable read; answered in effects->reads of this or a later step. Leader: one round of heartbeats per
 * raft_flush serves all reads that came before it, none after it was sent (T5), none before an own-term entry has committed
 * (T1). Follower: forwarded to the leader it knows. STATUS_NOT_LEADER when it knows none. */
MUST_CHECK enum status raft_read(struct raft *r, uint64_t context);
/* End of the pass, for each replica stepped in it: appends (entries leave from here only), one round for waiting reads. */
void raft_flush(struct raft *r, uint64_t now_ms, struct raft_effects *fx);
/* Entries up to index leave memory; index <= applied. Those that are not yet durable stay. */
void raft_compact(struct raft *r, uint64_t index);
/* The store was replaced by a snapshot at (index, term), index >= applied. The host's log is reset in the same batch, before
 * what these effects say; entries that follow (index, term) stay and are in the effects. */
void raft_install(struct raft *r, uint64_t index, uint64_t term, const struct raft_config *config,
                  struct raft_effects *fx);
/* --- looking --- */
uint64_t raft_deadline_ms(const struct raft *r); /* next time at which a tick has work to do; UINT64_MAX: never */
enum raft_role raft_role(const struct raft *r);
uint64_t raft_term(const struct raft *r);
uint64_t raft_leader(const struct raft *r); /* 0: unknown */
uint64_t raft_commit(const struct raft *r);
uint64_t raft_applied(const struct raft *r);
uint64_t raft_first_index(const struct raft *r); /* of the entries in memory; last + 1 when there are none */
uint64_t raft_last_index(const struct raft *r);
uint64_t raft_min_match(const struct raft *r, uint32_t within_ms); /* leader: lowest of those heard of since */
uint64_t raft_log_bytes(const struct raft *r);
uint64_t raft_config_index(const struct raft *r);  /* of the entry that set the configuration in force, or below it */
uint64_t raft_durable_index(const struct raft *r); /* of the last entry that a crash does not take back */
uint64_t raft_match_of(const struct raft *r, uint64_t replica_id); /* leader: its log equals ours so far; 0: unknown */
uint64_t raft_transfer_target(const struct raft *r); /* leader: gives its leadership to it; 0: to nobody */
bool raft_leader_ready(const struct raft *r);        /* leader, and an entry of its own term has committed */
bool raft_leader_caught_up(const struct raft *r);    /* and has been applied: all that former leaders committed is */
bool raft_recovering(const struct raft *r); /* has lost durable data, and nobody has mended it yet: its word is void */
bool raft_may_lead_alone(const struct raft *r); /* whole, a member, and without a leader */
bool raft_blank(const struct raft *r);          /* as restored, and no snapshot has come yet */
const struct raft_entry *raft_entry_at(const struct raft *r, uint64_t index); /* borrowed; NULL: not in memory */
struct raft_hard_state raft_hard_state_now(const struct raft *r);
const struct raft_config *raft_config_now(const struct raft *r); /* in force: the last in the log, committed or not */
bool raft_config_at(const struct raft *r, uint64_t index, struct raft_config *out); /* for snapshots; false: not here */
uint64_t raft_term_at(const struct raft *r, uint64_t index);                        /* 0 when unknown */
void raft_check(const struct raft *r);                     /* asserts every invariant; after each step in tests */
void raft_check_brief(const struct raft *r);               /* the same without walking the log */
void raft_describe(const struct raft *r, struct buf *out); /* one line for a person */

#endif
