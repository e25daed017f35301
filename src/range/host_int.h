/* Private to range/: what a host and a replica are. */
#ifndef QUORATE_RANGE_HOST_INT_H
#define QUORATE_RANGE_HOST_INT_H

#include "base/heap.h"
#include "base/map.h"
#include "range/disk_health.h"
#include "range/divergence_int.h"
#include "range/host.h"
#include "range/lineage_int.h"
#include "range/link_int.h"
#include "range/members_state.h"
#include "range/nodes_int.h"
#include "range/resolve_int.h"

struct snapshot_send;
struct snapshot_recv;
struct trace_state; /* trace.c */
/* One mark per replica that has something in a log batch. */
struct batch_mark {
    uint64_t group;
    struct raft_persist_mark mark;
};
struct batch_marks {
    struct batch_mark *items;
    size_t count, capacity;
};
struct host {
    struct env *env;
    struct host_options options;
    const struct rpc_identity *self;
    struct host_owner owner;
    struct wal *wal;
    struct lsm *lsm;
    struct map replicas; /* group -> struct replica */
    struct raft_configs configs;
    struct raft_options raft_options; /* of all groups */
    struct map links;                 /* node id -> struct link */
    struct list ready;                /* replicas that have something to do in this pass (replica.ready_link) */
    struct heap timers;               /* replica.timer, keyed by ms: the replicas that have something to do at a time */
    struct host_nodes nodes;
    uint64_t watch_at_ns; /* the disk is looked at next */
    struct batch_marks filling, writing;
    struct resolve_host resolve;
    struct list waiting; /* messages for groups that are not here yet (waiting.c) */
    size_t waiting_bytes;
    struct list absorbed; /* groups that were taken in by others (merge.c) */
    size_t absorbed_count;
    bool spans_changed;   /* since the store was told where ranges end */
    struct list dropping; /* struct keys_dropping: rows that are on their way out (keys.c) */
    struct members_host members;
    struct list created; /* replicas whose creation is in the batch being filled, then in the one being written */
    struct arena apply_arena, decode_arena;
    struct buf answer, span; /* the latter: replica_span's */
    struct raft_effects fx;
    struct buf trace_line;
    uint64_t traced_ns;       /* of the last line: they rise */
    struct lsm_write *writes; /* scratch */
    size_t write_capacity;
    uint64_t now_ms;
    uint64_t newest_ts, line_ts; /* applied by any group since opening; host_set_line */
    uint64_t horizons_at_ms;     /* horizon.c: when to look again */
    uint64_t flushes_seen;
    uint32_t apply_left; /* entries that may still be applied in this pass */
    uint64_t next_snapshot_id;
    uint64_t snapshot_free_ns;   /* the rate lets the next chunk begin then */
    uint64_t snapshot_bytes;     /* sent since the start */
    uint32_t proposals;          /* under way */
    uint32_t loads, ahead_loads; /* block loads under way for apply; of these for entries whose turn has not come */
    uint32_t evidences, comparisons, excises; /* being written, made, carried out */
    uint32_t snapshots_sending, snapshots_receiving;
    bool first_durable_told;
    bool flush_asked;
    bool unpinning;            /* a flush was not enough: what keeps the oldest segments is written again */
    uint64_t unpin_batch;      /* the batch that holds what was last written again */
    uint64_t live_after_flush; /* bytes of the log that the last flush could not free */
    bool stopping;
    uint64_t stopping_ms, stop_until_ms; /* since when; when patience ends (UINT64_MAX: it does not stop) */
    const char *handover;                /* why leaderships go to others; NULL: they do not */
    uint64_t handover_at_ms;
    struct disk_health disk;
    uint64_t peers_write_us;
    uint64_t batch_seq; /* of the batch being filled; written batches are below */
    /* Log or store lost groups once: a replica of a range with an id below, of which they know nothing, may have been here and
     * have voted. It is made recovering. UINT64_MAX: not known yet which. 0: nothing was lost. */
    uint64_t lost_below;
};

/* What a replica does, and what wakes it:
 *
 *   CREATING ---- its group record is durable ----> RUNNING <---- install done ---- INSTALLING
 *      no vote, no message before that                 |                                ^
 *                                                      +--- last chunk of a snapshot ---+  (nothing is applied or read)
 *
 * DIVERGED (divergence.c) is reached from RUNNING and left like it, by a snapshot.
 * While RUNNING, apply_wait tells whether apply waits for a block (woken by its load). */
enum replica_state { REPLICA_CREATING, REPLICA_RUNNING, REPLICA_INSTALLING, REPLICA_DIVERGED };

struct replica_waits {         /* who waits for a replica; a replica at rest has none */
    struct list proposals;     /* struct proposal, by index */
    struct list reads_waiting; /* struct read_wait: next flush asks for an index */
    struct list read_batches;  /* struct read_batch, by context */
    struct list reads_late;    /* struct read_wait: confirmed, or in no need of it; wait for apply */
};

struct read_batch { /* reads that share one read index */
    struct list link;
    struct list waits;
    uint64_t context;
    uint64_t index; /* 0: not known yet */
    bool by_lease;
};

struct replica {
    struct host *host;
    enum replica_state state;
    struct range_desc *desc; /* range_desc_keep */
    uint64_t row_base;
    struct lineage *lineage; /* NULL: it is as it was made, by nobody's split, and no merge is under way */
    uint64_t id;             /* replica id */
    struct raft *raft;
    struct list ready_link; /* while CREATING: in host.created */
    struct heap_node timer;
    uint64_t created_batch;      /* CREATING: the log batch that holds its group record */
    struct replica_waits *waits; /* NULL: nobody has since it came to rest */
    struct resolve_replica resolve;
    uint64_t next_read_context;
    uint32_t mark_slot; /* + 1, in host->filling; 0: none */
    uint32_t rows_life; /* 1 + snapshots installed since it was opened */
    uint64_t commit;    /* apply up to here */
    uint64_t applied;
    struct resolved horizon_next;  /* horizon.c */
    uint64_t horizon_ts;           /* rows that expired up to here may go */
    uint64_t last_ts;              /* newest version applied since the replica was opened or replaced; 0: none */
    void *machine_state;           /* machine.h; NULL: it has none */
    struct slice state_at;         /* store key from which loading goes on; owned */
    struct apply_reads *reads;     /* rows fetched for the next entry; NULL: it has not missed any */
    uint64_t read_ahead;           /* blocks for entries up to here were asked for */
    bool apply_wait, state_loaded; /* a block is being loaded; machine_state has been */
    bool no_heir;                  /* leads although leaderships are handed over: nobody else may */
    bool leads;                    /* as last told to the owner */
    bool needs_flush, bounded;     /* raft_flush in this pass; no row, however old, has a version above last_ts */
    bool unborn;                   /* its log is here, its rows are not yet: nothing is applied (recover.c) */
    bool leads_at_birth;           /* when its creation is durable, in this life */
    uint8_t lag_shift;             /* doublings of the log that is kept: snapshots were outrun by writes */
    uint8_t snapshot_queue_count;
    uint64_t campaign_at_ms;    /* 0: none */
    char *recovering;           /* why the replica is (raft_recovering); NULL when it is not */
    struct trace_state *traced; /* NULL: not traced */
    struct divergence divergence;
    struct members_replica members;
    struct snapshot_send *sending;
    struct snapshot_recv *receiving;
    uint64_t *snapshot_queue; /* replica ids that wait for their turn; NULL: none ever did */
};

void host_mark_ready(struct host *h, struct replica *r);
void host_flush(struct host *h); /* the store is asked to make all that is applied durable */

/* replica.c */
struct replica_birth {                /* how a replica comes up */
    bool creating;                    /* silent until its creation is durable */
    const char *recovering;           /* why it is; NULL: it is not */
    const struct range_state *record; /* what its group record says */
    struct birth birth;
};
struct replica *replica_new(struct host *h, const struct range_state *state, const struct raft_restore *restore,
                            const struct replica_birth *how);
void replica_free(struct replica *r);
void replica_gone(struct replica *r); /* the same, for good; it is in no map any more */
void replica_tick(struct replica *r);
void replica_set_leads(struct replica *r); /* tells whoever has to know when it has begun or ceased to lead */
void replica_arm(struct replica *r);       /* its timer, after anything that may have moved it */
void replica_step(struct replica *r, const struct raft_event *ev); /* and takes the effects */
void replica_take_effects(struct replica *r);
void replica_flush(struct replica *r);                  /* what the pass has gathered: entries, messages, reads */
void replica_run(struct replica *r);                    /* the rest of a pass's work */
void replica_sweep(struct replica *r, uint64_t now_ns); /* expires proposals and reads */
void replica_fail_all(struct replica *r, enum status s, bool unknown);
void replica_config_of(const struct range_desc *d, struct raft_config *c);
struct range_state replica_range(const struct replica *r);              /* borrowed, until it changes */
struct slice replica_range_packed(const struct replica *r);             /* owned by the caller */
void replica_set_range(struct replica *r, const struct range_state *s); /* copies; tells whoever has to know */
void replica_record_put(struct replica *r);                             /* its group record */
uint64_t replica_node_of(const struct replica *r, uint64_t replica_id); /* 0: that is not known */

/* resolve.c */
void resolve_open(struct host *h);
void resolve_led(struct replica *r, bool leads);
void resolve_forget(struct replica *r);
void resolve_wake(struct replica *r); /* something is done with it */
void resolve_wake_all(struct host *h);
uint64_t resolve_closed_ts(const struct replica *r);

/* trace.c: an event before it is stepped; the effects before they are carried out */
void replica_trace_step(struct replica *r, const struct raft_event *e);
void replica_trace_effects(struct replica *r, const struct raft_effects *fx);
void replica_trace_free(struct replica *r);

#endif
