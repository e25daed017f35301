/* Private to node/. */
#ifndef QUORATE_NODE_NODE_INT_H
#define QUORATE_NODE_NODE_INT_H

#include "base/map.h"
#include "base/spares.h"
#include "node/catalogue.h"
#include "node/disk_space.h"
#include "node/load_samples.h"
#include "node/node.h"
#include "node/orders_int.h"
#include "range/identity.h"
#include "range/resolve.h"
#include "rpc/meta_call.h"
#include "txn/prepare.h"

/* How a node comes up, and what wakes each state:
 *
 *   REGISTERING --- the metadata service has answered ---> OPENING ---> SERVING ---> STOPPING ---> (quiet)
 *        ^                                                                              ^
 *        +--- asked again every second until then                        node_stop -----+   waits for hand-over, 2 s at most
 *
 * A directory that is registered already opens at once: the cluster serves without its metadata service. */
enum node_state { NODE_REGISTERING, NODE_SERVING, NODE_STOPPING };

struct node {
    struct actor actor;
    struct env *env;
    struct node_options options;
    char *listen, *advertise, *label;
    struct identity identity;
    struct rpc_identity self;
    enum node_state state;
    struct rpc_server *server;
    struct meta_call *meta;
    struct host *host;
    uint64_t started_ns, stop_deadline_ns;
    bool registering; /* a call is under way */
    bool registered;  /* the metadata service knows our present address */
    uint64_t register_at_ns;
    /* heartbeat.c */
    uint64_t heartbeat_at_ns;
    bool heartbeat_busy, heartbeat_news; /* something has changed since the present one left */
    bool tell_leads;                     /* the next heartbeat names all that is led */
    struct node_catalogue catalogue;
    struct map told;     /* range id -> struct range_told: what it has said of what it leads */
    uint64_t heartbeats; /* sent */
    uint64_t map_version;
    struct node_orders orders;
    struct map counters; /* group -> struct range_counters */
    struct load_samples samples;
    uint32_t others, others_per_s; /* load.c: gets and transactions that were served */
    uint64_t others_since_ns;
    struct map flights; /* group -> struct flight */
    struct map asks;    /* group -> struct ask */
    /* timestamps.c: transactions that wait for a commit timestamp, in order of arrival */
    struct list ts_waiting, ts_asked;
    uint32_t ts_waiting_count, ts_asked_count;
    bool ts_busy;
    uint64_t newest_ts;         /* that it was given in this life */
    uint64_t ts_asked_ns;       /* when the call that is under way left */
    struct list reads_parked;   /* strong reads: transactions on their keys are in the call under way */
    struct list transfers;      /* transfer.c */
    struct list splits, merges; /* split.c, merge.c */
    struct list deferred;       /* requests for ranges that are about to be served here (defer.c) */
    struct list changes;        /* heartbeat.c: struct range_changed, to be told */
    struct list lock_states;    /* locks.c: struct kv_state in which requests are parked */
    struct list step_states;    /* steps.c: struct kv_state in which steps are gathered */
    struct list prepares;       /* prepares.c: struct prepares, for as long as timestamps are given out */
    uint64_t locks_sweep_ns;
    struct list watched; /* watch.c: struct watched */
    uint64_t watches_sweep_ns;
    uint32_t windows, windows_read; /* for watches; of them, being read */
    /* health.c */
    uint32_t flags, flags_told; /* enum node_flag; as the metadata service was told */
    bool drained;               /* by an admin, as the metadata service says */
    struct disk_space space;
    struct peer_health *peers; /* as the metadata service said last */
    size_t peer_count;
    uint64_t handed_over_ns; /* stopping: since when nothing is led or under way any more; 0: not yet */
    /* requests.c */
    uint32_t requests; /* under way */
    size_t request_bytes;
    struct spares request_spares;
    uint64_t ts_sweep_ns; /* when waiting transactions are next looked at for expiry */
    struct list scans_yielded;
    uint32_t scan_left; /* rows that scans may still take in this pass */
    struct arena arena;
    struct buf scratch;
};

struct peer_health {
    uint64_t node_id;
    uint32_t flags;
};
struct range_counters {
    uint64_t writes, reads;
    uint64_t bytes, rows; /* as last estimated */
};

/* A request under way: a transaction, a get, a scan or a resolve. Lives from its arrival to its reply. */
struct node_request {
    struct list link; /* in ts_waiting or ts_asked; reads_parked; waiting or asked of a struct ask; scans_yielded */
    struct node *node;
    struct rpc_request *req;
    size_t params_size;
    struct proposal proposal;
    struct read_wait read;
    uint64_t group, term; /* term: in which the timestamp was asked for */
    uint64_t deadline_ns;
    struct txn_request txn;
    struct get_request get;
    struct scan_request scan;
    struct watch_asked *watch; /* watch.c */
    bool shares;               /* a Prepare that may share an entry */
    uint64_t buckets;          /* transaction: of the keys that it writes; strong read: of those that it reads */
    /* locks.c */
    uint64_t parked_ns;  /* when it first was; 0: never */
    uint64_t lock_limit; /* read of the newest: locks above it came later */
    struct txn_id waits_for;
    void (*resume_parked)(struct node_request *q);
    /* read.c */
    void (*got_timestamp)(struct node_request *q, uint64_t ts); /* what a timestamp was asked for */
    void (*serve)(struct node_request *q);                      /* the store may be read */
    const struct read_how *how;
    uint64_t read_ts;        /* reads as of it; LSM_TS_MAX: the rows as they are */
    struct resolved closing; /* leader: is resolved when the read is ready */
    bool was_confirmed;      /* nothing acknowledged before it came is missing */
    uint64_t expiry_ts;   /* a follower's read of the newest rows: the timestamp that the leader had for it; else 0 */
    bool wants_timestamp; /* it has met a row of which only a timestamp can tell whether it has expired */
    /* scan.c: the page so far */
    bool is_scan, resuming;
    enum { SCAN_MEETS_LOCKS, SCAN_HAS_TS, SCAN_FREE } locks; /* scan_passes_locks */
    uint64_t rows_life;                                      /* replica_rows_life when the page began */
    uint64_t scan_ts;                                        /* version that the page reads at */
    uint64_t scan_applied;                                   /* index that was applied when the page began */
    struct read_mark scan_mark;
    struct buf page; /* the answer, packed row by row */
    size_t row_count, row_bytes;
    struct buf resume;   /* store key to go on from */
    struct buf user_key; /* scratch */
};

/* requests.c */
void node_on_request(void *ctx, struct rpc_request *req);
void node_request_free(struct node_request *q);
void node_refuse(struct node_request *q, enum status s, bool unknown, const char *message);
bool node_epoch_holds(const struct replica *r, const struct routed *to);
void node_refuse_with(struct node_request *q, enum status s, const char *message, struct slice payload);
void node_reply(struct node_request *q, struct slice payload);

void node_on_get(struct node *n, struct rpc_request *req); /* get.c */
/* requests.c: NULL after the request has been refused */
struct node_request *node_request_new(struct node *n, struct rpc_request *req);
struct replica *node_request_route(struct node_request *q, const struct routed *to, bool any_replica);

/* flight.c */
uint64_t flight_bucket(struct slice key);
uint64_t flight_buckets_of(const struct txn *t);
void flight_asked(struct node *n, struct list *asked);  /* their call for timestamps leaves */
void flight_landed(struct node *n, struct list *asked); /* it is over, they are about to be proposed */
void flight_proposed(struct node_request *q);
void flight_forget(struct node *n, uint64_t group);
bool flight_is_asked(const struct node *n, const struct node_request *read);
uint64_t flight_index(const struct node *n, const struct node_request *read); /* to be applied before it */

/* scan.c */
void node_on_scan(struct node *n, struct rpc_request *req);
void scan_release(struct node_request *q);
void scans_pass(struct node *n, uint64_t now_ns);

/* timestamps.c */
void timestamps_ask(struct node *n, struct node_request *q);
void timestamps_pass(struct node *n, uint64_t now_ns);
void timestamps_fail_all(struct node *n);

/* transfer.c */
void transfer_asked(struct node *n, struct rpc_request *req);
void transfers_pass(struct node *n, uint64_t now_ns);
void transfers_refuse(struct node *n);

/* health.c */
uint64_t health_pass(struct node *n, uint64_t now_ns);
void health_free(struct node *n);
/* STATUS_OK, or why a transaction that adds rows is not taken: BUSY while another replica is to take over, NO_SPACE when the
 * disks of so many replicas are full that too few are left. */
MUST_CHECK enum status health_admit(const struct node *n, const struct replica *r, struct errbuf *err);
void health_learn(struct node *n, const struct node_info *nodes, size_t count); /* a heartbeat's answer */
/* heartbeat.c */
uint64_t heartbeat_pass(struct node *n, uint64_t now_ns);

/* status.c, holds.c */
void node_status(struct node *n, struct rpc_request *req);
void holds_asked(struct node *n, struct rpc_request *req);

extern const struct machine_ops kv_machine_ops; /* kv_machine.c; its ctx is the node */

#endif
