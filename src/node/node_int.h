/* Private to node/. */
#ifndef QUORATE_NODE_NODE_INT_H
#define QUORATE_NODE_NODE_INT_H

#include "base/map.h"
#include "node/node.h"
#include "range/identity.h"
#include "rpc/meta_call.h"

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
    bool heartbeat_busy;
    uint64_t heartbeats; /* sent */
    uint64_t map_version;
    struct map counters; /* group -> struct range_counters */
    /* timestamps.c: transactions that wait for a commit timestamp, in order of arrival */
    struct list ts_waiting, ts_asked;
    uint32_t ts_waiting_count, ts_asked_count;
    bool ts_busy;
    struct list transfers; /* transfer.c */
    /* health.c */
    uint32_t flags, flags_told; /* enum node_flag; as the metadata service was told */
    bool drained;               /* by an admin, as the metadata service says */
    uint64_t handed_over_ns;    /* stopping: since when nothing is led any more; 0: not yet */
    /* requests.c */
    uint32_t requests; /* under way */
    size_t request_bytes;
    uint64_t ts_sweep_ns; /* when waiting transactions are next looked at for expiry */
    struct list scans_yielded;
    uint32_t scan_left; /* rows that scans may still take in this pass */
    struct arena arena;
    struct buf scratch;
};

struct range_counters {
    uint64_t writes, reads;
    uint64_t bytes, rows; /* as last estimated */
};

/* A request under way: a transaction, a get or a scan. Lives from its arrival to its reply. */
struct node_request {
    struct list link; /* in ts_waiting or ts_asked */
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
    /* scan.c: the page so far */
    bool is_scan, resuming;
    uint64_t rows_life;    /* replica_rows_life when the page began */
    uint64_t scan_ts;      /* version that the page reads at */
    struct scan_row *rows; /* in rows_arena, like what they point to */
    size_t row_count, row_capacity, row_bytes;
    struct arena rows_arena;
    struct buf resume;   /* store key to go on from */
    struct buf user_key; /* scratch */
};

/* requests.c */
void node_on_request(void *ctx, struct rpc_request *req);
void node_request_free(struct node_request *q);
void node_refuse(struct node_request *q, enum status s, bool unknown, const char *message);
/* Timestamps have come: proposes. */
void node_txn_propose(struct node_request *q, uint64_t ts);
bool node_epoch_holds(const struct replica *r, const struct routed *to);
struct range_counters *node_counters(struct node *n, uint64_t group);

/* scan.c */
void scan_begin(struct node_request *q);
void scan_release(struct node_request *q);
void scans_pass(struct node *n);

/* timestamps.c */
void timestamps_ask(struct node *n, struct node_request *q);
void timestamps_pass(struct node *n, uint64_t now_ns);
void timestamps_fail_all(struct node *n);

/* transfer.c */
void transfer_asked(struct node *n, struct rpc_request *req);
void transfers_pass(struct node *n, uint64_t now_ns);
void transfers_refuse(struct node *n);

/* health.c */
void health_pass(struct node *n, uint64_t now_ns);
void health_learn(struct node *n, const struct node_info *nodes, size_t count); /* a heartbeat's answer */

/* heartbeat.c */
uint64_t heartbeat_pass(struct node *n, uint64_t now_ns);

/* status.c */
void node_status(struct node *n, struct rpc_request *req);

extern const struct machine_ops kv_machine_ops; /* kv_machine.c; its ctx is unused */

#endif
