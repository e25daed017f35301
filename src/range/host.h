/* A host: one log, one store and many replicas, driven by one loop. A storage node and a metadata member are both hosts;
 * they differ in the machine that their logs drive and in the requests that they serve.
 *
 * The owner (node/, meta/) creates the host, feeds it requests from its rpc server, calls host_pass in each of its passes,
 * and is told what happened through struct host_owner. Everything runs on the loop; nothing here blocks after host_open.
 * Vocabulary: group = range id = Raft group; replica = this host's member of a group. */
#ifndef QUORATE_RANGE_HOST_H
#define QUORATE_RANGE_HOST_H

#include "lsm/lsm.h"
#include "raft/raft.h"
#include "range/machine.h"
#include "rpc/rpc.h"
#include "wal/wal.h"

struct host_options {
    struct wal_options wal;
    struct lsm_options lsm;
    uint32_t election_ms;  /* 1000; the local cluster uses 300 */
    uint32_t heartbeat_ms; /* 300, of nodes, and of groups that are not at rest; the local cluster uses 60 */
    uint32_t support_ms;   /* 1500; the local cluster: 300: nodes promise to follow one another's leaders; 0: never */
    uint32_t support_before_ms; /* the most that former lives of the directory promised: silent for as long at first */
    uint32_t append_max_bytes, inflight_max_count; /* raft_options: 512 KiB, 128; as small as 1 in tests */
    uint64_t log_keep_bytes;                       /* of each group's applied log kept in memory in any case: 8 MiB */
    uint64_t log_lag_bytes;   /* the same for followers that lag; then they get a snapshot: 64 MiB */
    uint32_t log_lag_ms;      /* and no longer than this after they were last heard of: 15 min */
    uint64_t wal_flush_bytes; /* the store is flushed when the log holds more than this: 192 MiB */
    uint32_t horizon_ms;      /* between two looks at which expired rows may go; 10 s */
    uint64_t version_keep;    /* shadowed versions younger than the newest by this much are kept; 60 s in timestamps */
    uint32_t proposals_max;   /* commands under way in one host; beyond it STATUS_BUSY */
    uint32_t snapshot_chunk_bytes; /* 64 KiB: the loops copy one at a time, and requests wait as long */
    uint64_t snapshot_rate_bytes;  /* sent per second, by the whole host; 0: as fast as it goes. 64 MiB */
    uint32_t version_newest;       /* cluster version to support at most; 0: the program's (docs/upgrade.md) */
    uint64_t compare_every;        /* entries, after which replicas compare what they did; 1,024. 0: they do not */
    struct {                       /* each Raft event as a line of JSON (docs/raft.md, Traces); NULL: off */
        void (*line)(void *ctx, struct slice line);
        void *ctx;
    } raft_trace;
};
void host_options_default(struct host_options *o);

struct host;
struct replica;

struct host_owner {
    const struct machine_ops *machine;
    void *machine_ctx;
    /* The replica has become, or ceased to be, a leader that may serve. May be NULL. */
    void (*leadership)(void *ctx, struct replica *r, bool leads);
    /* The first batch of this run is durable: from now on the directory must never be without its log. */
    void (*first_durable)(void *ctx);
    /* The range is another than before: its descriptor has changed. May be NULL. */
    void (*changed)(void *ctx, struct replica *r);
    /* A snapshot replaced the rows of the group: caches of it are void. May be NULL. */
    void (*installed)(void *ctx, struct replica *r);
    /* The group has no replica here any more. May be NULL. */
    void (*gone)(void *ctx, uint64_t group);
    void *ctx;
};

/* Opens store and log below env->disk and brings all replicas to where they were; blocks while it reads. self is borrowed
 * for life: the host's node id never changes. When log or store have lost what was durable, replicas come up recovering
 * (raft_recovering), and a leader mends them. STATUS_CORRUPT, STATUS_IO...: err says what to do; nothing was changed. */
MUST_CHECK enum status host_open(struct env *env, const struct host_options *o, const struct rpc_identity *self,
                                 const struct host_owner *owner, struct host **out, struct errbuf *err);
void host_close(struct host *h); /* nothing may be under way any more: host_quiet */
/* Starts the way out: leaderships are handed over, no new proposal is taken. Behind the patience nothing is heard or applied any more. */
void host_stop(struct host *h, uint32_t patience_ms);
bool host_handed_over(const struct host *h); /* no leadership of a range with other replicas is left */
/* Leaderships go to others, largest ranges first, and do not stay when they come back, until it is called with NULL. `why`, a
 * literal, is for logs and status. A range of which no other replica may lead stays. */
void host_hand_over(struct host *h, const char *why);
/* That host is given no leadership as long as another can take it. */
void host_peer_unfit(struct host *h, uint64_t node_id, bool unfit);
bool host_quiet(const struct host *h); /* no task is under way */

/* One pass: steps replicas, writes the log, applies, sends. Returns the next deadline in ns. */
uint64_t host_pass(struct host *h, uint64_t now_ns);

/* RAFT and SNAPSHOT frames of other hosts; takes over the request. */
void host_on_raft(struct host *h, struct rpc_request *req);
void host_on_liveness(struct host *h, struct rpc_request *req); /* LIVENESS frames likewise */
/* While held, no heartbeat asks other nodes for support: they take over what is led here when it has run out. For whoever
 * judges this node's health; a log write that hangs does the same by itself. */
void host_hold_heartbeats(struct host *h, bool hold);
void host_on_snapshot(struct host *h, struct rpc_request *req);
void host_on_effects(struct host *h, struct rpc_request *req);

/* Where another host is reached; a changed address replaces the former. */
void host_set_peer(struct host *h, uint64_t node_id, const char *address);
bool host_peer_connected(const struct host *h, uint64_t node_id);                /* our connection to it stands */
bool host_peer_hello(const struct host *h, uint64_t node_id, struct hello *out); /* likewise; what it said of itself */

/* Groups may have been lost with log or store, and nobody has said yet that all had ids below some: host_log_lost_below is wanted. */
bool host_log_lost(const struct host *h);
void host_log_lost_below(struct host *h, uint64_t range_id);

/* Makes the replica of this host named in the descriptor durable, then starts it. Harmless when it exists, or when another has
 * its keys here. One of a range that has changed before begins blank, and waits for a snapshot. The first one campaigns at once. */
void host_create_replica(struct host *h, const struct range_desc *desc);
/* Likewise, of one that may have forgotten votes and entries (raft/recover.c). */
void host_create_forgetful(struct host *h, const struct range_desc *desc, const char *why);
struct replica *host_replica(const struct host *h, uint64_t group);  /* NULL: none here */
struct replica *host_absorber(const struct host *h, uint64_t group); /* has its keys here since a merge; or NULL */
size_t host_replica_count(const struct host *h);
size_t host_led_most(const struct host *h); /* at least as many as lead now */
void host_each_replica(const struct host *h, void (*each)(void *ctx, struct replica *r), void *ctx);

/* Versions that a newer one up to this timestamp shadows may be gone: in any life, or where rows came from. It rises with what is
 * applied, leaps when a clock does, and stays below the line, which only rises. Line UINT64_MAX, the beginning: there is none. */
uint64_t host_safepoint(const struct host *h);
void host_set_line(struct host *h, uint64_t ts);
/* The disk, by the writes of the log. A write that hangs ends the process. */
bool host_disk_slow(const struct host *h);
uint64_t host_disk_write_us(const struct host *h);                 /* mean of late; 0: nothing was written yet */
void host_set_peers_write_us(struct host *h, uint64_t median_us);  /* what to measure it by; 0: unknown */
void host_set_snapshot_rate(struct host *h, uint64_t bytes_per_s); /* instead of the option; at once */
struct host_snapshots {
    uint64_t sending, receiving, bytes, rate; /* under way; sent since the start; what may be sent per second */
} host_snapshots(const struct host *h);
uint64_t host_node_id(const struct host *h);
struct lsm *host_store(struct host *h);
struct wal *host_log(struct host *h);

/* --- replicas --- */
uint64_t replica_group(const struct replica *r);
uint64_t replica_id(const struct replica *r);                   /* within the group */
const struct range_desc *replica_desc(const struct replica *r); /* borrowed while the replica lives; range_desc_copy */
const struct raft *replica_raft(const struct replica *r);
bool replica_leads(const struct replica *r);           /* leader, and its own-term no-op has committed */
uint64_t replica_leader_node(const struct replica *r); /* node id; 0: unknown */
struct replica_merge {                                 /* docs/ranges.md */
    bool intends, frozen;
    uint64_t with, version, frozen_at, end_since;
};
struct replica_merge replica_merge(const struct replica *r);
bool replica_changes_ahead(const struct replica *r); /* a split's or merge's entry is in its log here, not applied */
/* Leader: every replica holds the log up to there durably. */
bool replica_aligned(const struct replica *r, uint64_t index);
bool replica_awaited(const struct replica *r); /* split off here a moment ago: it is about to lead */
/* Newest version applied since it was opened or replaced by a snapshot; 0: none. All versions up to it are in the store. */
uint64_t replica_last_ts(const struct replica *r);
/* Likewise, and no older row has a higher one; 0: not known. */
uint64_t replica_newest_version(const struct replica *r);
/* Changes when a snapshot has replaced the rows: reads before and after do not go together. 0: not to be read just now. */
uint64_t replica_rows_life(const struct replica *r);
bool replica_diverged(const struct replica *r); /* it has found its rows to be wrong, and waits for a snapshot */
bool replica_damaged(const struct replica *r);  /* some of them cannot be read; it waits likewise, or is about to */
/* NULL until it has been loaded; changes with replica_rows_life. */
void *replica_machine_state(struct replica *r);
const char *replica_waits_for(const struct replica *r); /* why it does not go on; "" when nothing is in the way */
/* Gives the leadership to the replica on that node: begun, or it is there already. Done when replica_leader_node says so; given
 * up when replica_transferring ends and this replica still leads. */
MUST_CHECK enum status replica_transfer(struct replica *r, uint64_t node_id, struct errbuf *err);
/* The same, to whoever can take it best. */
MUST_CHECK enum status replica_transfer_away(struct replica *r, struct errbuf *err);
bool replica_transferring(const struct replica *r);
/* Rows of the group lie in [start, end) of store keys. Borrowed until the host's next such call. */
void replica_span(const struct replica *r, struct slice *start, struct slice *end);

/* A command under way. The caller owns the struct and keeps it until `done`, which is called exactly once, from host_pass
 * or never from inside replica_propose. STATUS_OK: answer is what the machine said. Otherwise unknown tells whether the
 * command may still take effect. */
struct proposal {
    struct list link;
    void (*done)(struct proposal *p, enum status s, bool unknown, struct slice answer);
    uint64_t index, term;
    uint64_t ts;          /* the command's timestamp; 0: it has none */
    uint64_t deadline_ns; /* then STATUS_TIMEOUT, outcome unknown */
};
/* STATUS_OK: under way. STATUS_NOT_LEADER, STATUS_BUSY, STATUS_CLOSED, STATUS_RETRY (a read has been served above that
 * timestamp): nothing happened, done is not called. */
MUST_CHECK enum status replica_propose(struct replica *r, struct slice command, struct proposal *p);

/* A read that waits for what it must see: `ready` is called exactly once, from host_pass; with STATUS_OK the store may be read, at
 * once or later. */
struct read_wait {
    struct list link;
    void (*ready)(struct read_wait *w, enum status s);
    uint64_t deadline_ns;
    uint64_t index; /* entries up to it must have been applied, in any case */
    uint64_t term;  /* not 0: only if this replica has led in this term all the while */
    bool by_lease;  /* set before ready: the read is confirmed by the lease, not by a round */
};
/* After the rows were read: false: the lease that confirmed the read has ended meanwhile; read anew. */
bool replica_read_holds(const struct replica *r, const struct read_wait *w);
uint64_t replica_lease_until_ns(const struct replica *r); /* 0: none; for those who look from outside */
/* A linearizable read at the leader. The one place where a read is begun that needs a word of the quorum. */
MUST_CHECK enum status replica_read(struct replica *r, struct read_wait *w);
/* Any replica: only waits until w->index is applied. */
MUST_CHECK enum status replica_wait_applied(struct replica *r, struct read_wait *w);

/* Calls another host over the link to it; done comes from host_pass, or never when the link goes away. False: no link. */
bool host_call(struct host *h, uint64_t node_id, enum method method, struct slice params, uint64_t deadline_ns,
               rpc_done done, void *ctx);

/* Ends all that waits on the replica: proposals with STATUS_CLOSED, outcome unknown, reads with STATUS_TIMEOUT. Before closing. */
void replica_close_waits(struct replica *r);

#endif
