/* A group of Raft cores without a network, a disk or a clock of their own: messages wait in a queue, log batches wait in one
 * queue per replica, time is a number. A script or a random test decides what happens next; a crash loses what waits.
 *
 * Every effect is checked when it is taken:
 *   one leader per term; one vote per term and replica, durable before it is sent; log matching; leader completeness;
 *   committed entries are durable on a majority and never change; all apply the same sequence; an acknowledged entry is
 *   durable and no batch under way will drop it; a read's index is not below any commit that existed when it was asked;
 *   raft_check. */
#ifndef QUORATE_TESTS_LIB_RAFT_CLUSTER_H
#define QUORATE_TESTS_LIB_RAFT_CLUSTER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "lib/raft_nodes.h"
#include "raft/raft.h"

#define RAFT_CLUSTER_MAX 8u

struct rc_store { /* what the entries applied so far amount to */
    uint64_t index, term, chain;
    struct raft_config config;
};

struct rc_batch {
    bool has_hard, has_mark, reset, recovered;
    struct raft_hard_state hard;
    struct raft_persist_mark mark;
    uint64_t reset_index, reset_term;
    struct raft_entry *entries;
    size_t count;
};

struct rc_node {
    uint64_t id;
    struct raft *raft; /* NULL: crashed */
    struct raft_options options;
    uint64_t lives;
    struct raft_effects fx;
    struct rc_store store, durable_store;
    struct raft_hard_state disk_hard;
    uint64_t disk_base, disk_base_term;
    struct raft_entry *disk; /* entries disk_base + 1 .. */
    size_t disk_count, disk_capacity;
    bool disk_recovering;     /* the disk has lost something, and no leader has mended it yet */
    uint64_t lost_last;       /* then: the last entry that it once held */
    struct rc_batch *batches; /* handed out, not yet durable, oldest first */
    size_t batch_count, batch_capacity;
    bool mute;     /* asks nobody for support */
    uint64_t life; /* its name in node-pair liveness */
    struct raft_support support;
    struct liveness pairs[RAFT_CLUSTER_MAX + 1];
};

struct rc_message {
    struct raft_message m;
    bool is_snapshot; /* the host's transfer of a store, m.index being its index */
    struct rc_store snapshot;
    uint64_t life; /* of the sender */
};

struct rc_read {
    uint64_t node, context, life;
    uint64_t floor; /* highest commit anywhere when it was asked */
    bool done;
};

struct rc_committed {
    uint64_t term;
    uint64_t chain;   /* hash of all entries up to it */
    uint64_t seen_in; /* term of the replica that said so first */
};

struct raft_cluster {
    struct rc_node nodes[RAFT_CLUSTER_MAX]; /* replica ids 1 .. node_count */
    size_t node_count;
    struct raft_options options; /* of all nodes, but for their support */
    uint64_t seed, now_ms;
    struct arena arena;
    struct rc_message *messages;
    size_t message_count, message_capacity;
    bool cut[RAFT_CLUSTER_MAX + 1][RAFT_CLUSTER_MAX + 1]; /* from, to */
    struct rc_committed *committed;
    size_t committed_count, committed_capacity; /* entry i stands at [i - 1] */
    struct map leaders;                         /* term -> replica */
    struct map votes;                           /* term and voter -> candidate it was promised to */
    struct map contents;                        /* index and term -> what the entry is, and the term before it */
    struct rc_read *reads;
    size_t read_count, read_capacity;
    uint64_t reads_ok, reads_failed;
    struct buf *trace;   /* NULL: none */
    uint64_t support_ms; /* node-pair liveness (raft_nodes.h); 0: none */
    struct rc_beat beats[RC_BEATS_MAX];
    size_t beat_count;
};

/* options: NULL for the defaults; the replicas' ids and seeds are filled in. config: the group's, at index 0. */
void raft_cluster_init(struct raft_cluster *c, size_t nodes, const struct raft_config *config,
                       const struct raft_options *options, uint64_t support_ms, uint64_t seed);
void raft_cluster_free(struct raft_cluster *c);
_Noreturn void raft_cluster_violated(const struct raft_cluster *c, const struct rc_node *n, const char *what,
                                     uint64_t a, uint64_t b);
struct rc_node *raft_cluster_node(struct raft_cluster *c, uint64_t id);

/* Each call is a whole pass of that replica's host: step, flush, effects, apply. Calls on a crashed replica do nothing. */
void raft_cluster_step(struct raft_cluster *c, uint64_t id, struct raft_event ev);
void raft_cluster_tick(struct raft_cluster *c, uint64_t id);
enum status raft_cluster_propose(struct raft_cluster *c, uint64_t id, struct slice data);
enum status raft_cluster_config(struct raft_cluster *c, uint64_t id, const struct raft_config *target);
enum status raft_cluster_read(struct raft_cluster *c, uint64_t id, uint64_t context);
void raft_cluster_compact(struct raft_cluster *c, uint64_t id, uint64_t index); /* flushes the store first */
void raft_cluster_crash(struct raft_cluster *c, uint64_t id);
void raft_cluster_restart(struct raft_cluster *c, uint64_t id);
/* Of a crashed replica: its disk keeps `keep` entries of the log and forgets its term and vote down to `term`, as far as the
 * rest allows; it knows that something is missing. */
void raft_cluster_rot(struct raft_cluster *c, uint64_t id, uint64_t keep, uint64_t term);
/* The oldest `count` batches become durable at once; only the last mark is reported if `one_mark`. */
void raft_cluster_persist(struct raft_cluster *c, uint64_t id, size_t count, bool one_mark);
void raft_cluster_deliver(struct raft_cluster *c, size_t at, bool keep); /* keep: as if it had been duplicated */
void raft_cluster_drop(struct raft_cluster *c, size_t at);
/* Persists and delivers until nothing is left to do. False: it does not end. */
bool raft_cluster_settle(struct raft_cluster *c);
/* Every replica alive ticks every `step_ms` for `ms`, with all delivered and persisted in between. */
void raft_cluster_run(struct raft_cluster *c, uint64_t ms, uint64_t step_ms);
uint64_t raft_cluster_leader(const struct raft_cluster *c); /* of the highest term, 0: none */
uint64_t raft_cluster_commit(const struct raft_cluster *c); /* highest anywhere, ever */
void raft_cluster_message_text(const struct raft_message *m, struct buf *out);

#endif
