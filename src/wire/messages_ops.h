/* What the metadata service and the nodes say to each other about replicas that come and go (docs/moves.md), and what an admin
 * asks about it. Codecs: messages.h. */
#ifndef QUORATE_WIRE_MESSAGES_OPS_H
#define QUORATE_WIRE_MESSAGES_OPS_H

#include "base/status.h"
#include "wire/descriptors.h"

/* One replica, as of a configuration. GONE, notify: that replica is of the range no more, by a descriptor of that conf_ver. */
struct replica_name {
    uint64_t range_id, replica_id, conf_ver;
};

/* What the leader of a range is to do; 0: no node. */
enum order_kind {
    ORDER_ADD = 1,   /* a learner on `to` */
    ORDER_SWAP,      /* the learner on `to` becomes a voter, the replica on `from` goes; or one of both alone */
    ORDER_TRANSFER,  /* leadership to `to`, or to whom it may if that is 0 */
    ORDER_SPLIT,     /* at a key of its own choice */
    ORDER_MERGE,     /* with the range behind it */
    ORDER_SPLIT_HOT, /* where its load divides */
    ORDER_ALONE      /* to the node `to`, which does not lead: go on as the only voter, in the epoch */
};
struct range_order {
    uint64_t op, range_id, conf_ver; /* op: echoed in the verdict */
    enum order_kind kind;
    uint64_t to, from; /* node ids */
    uint64_t epoch;    /* ALONE */
};
struct order_verdict { /* an order was not carried out, or not yet */
    uint64_t op;
    enum status status;
    uint32_t percent; /* of a snapshot or a log that is under way; 0: not known */
    struct slice text;
};

/* --- operators, as an admin sees them --- */
enum operator_kind {
    OPERATOR_ADD = 1,
    OPERATOR_REPLACE,
    OPERATOR_REMOVE,
    OPERATOR_TRANSFER,
    OPERATOR_SPLIT,
    OPERATOR_MERGE,
    OPERATOR_SPLIT_HOT, /* by load, not by bytes */
    OPERATOR_LEARNER,   /* a replica on `to` that has no vote, and gets none */
    OPERATOR_ALONE,     /* the replica on `to` goes on alone: unsafe-recover */
    OPERATOR_KINDS      /* not one */
};
enum operator_state { OPERATOR_RUNNING = 1, OPERATOR_DONE, OPERATOR_VOID, OPERATOR_FAILED, OPERATOR_CANCELLED };
struct operator_info {
    uint64_t id, range_id;
    enum operator_kind kind;
    enum operator_state state;
    uint64_t from, to;           /* node ids */
    uint64_t began_ms, ended_ms; /* wall clock */
    uint32_t percent;
    struct slice why, step; /* for a person: the reason; what it waits for, or how it ended */
};
enum operator_verb { OPERATOR_VERB_START = 1, OPERATOR_VERB_CANCEL, OPERATOR_VERB_SCATTER };
struct meta_op_request { /* an admin's word; START: kind, range, from, to. CANCEL: id. SCATTER: a keyspace's name */
    enum operator_verb verb;
    enum operator_kind kind;
    uint64_t id, range_id, from, to;
    struct slice keyspace;
};
struct meta_op_reply {
    uint64_t id;
};
struct scheduler_note {
    struct slice name, text; /* what it would do and does not, or does; why */
    uint64_t count, range_id;
};
struct meta_ops_reply {        /* META_OPS, no parameters */
    struct operator_info *ops; /* running, then ended, newest first */
    size_t op_count;
    struct scheduler_note *notes;
    size_t note_count;
    uint64_t round_ns, rounds; /* the scheduler's last round took; how many there were */
    uint64_t failures_borne, ranges_short, ranges_stopped;
};

/* --- unsafe-recover (docs/recovery.md) --- */

/* A replica that knows no leader, as its node tells it: how far its log goes. */
struct range_orphan {
    struct range_desc desc;  /* applied */
    struct range_desc ahead; /* by the last word in its log, committed or not; without replicas: the same */
    uint64_t replica_id;
    uint64_t last_term, last_index, commit;
    uint64_t last_ts; /* newest version that it has applied in this life; 0: not known */
    bool whole;       /* it could lead: not damaged, not blank */
};
struct meta_recover_request {
    uint64_t *lost; /* nodes that never come back */
    size_t lost_count;
    bool accept_loss; /* else it is only told what would be done */
};
struct recover_item { /* a range without a quorum when these nodes are gone */
    uint64_t range_id;
    uint64_t node; /* whose replica goes on; 0: none, and `text` says why */
    uint64_t last_index, commit, last_ts;
    struct slice text; /* for a person */
};
struct meta_recover_reply {
    bool refused, begun; /* refused: `text` says why */
    struct slice text;
    struct recover_item *items;
    size_t item_count;
};

/* --- members of the metadata service --- */
struct meta_member_request {
    uint64_t id;
    bool remove;          /* else: add */
    struct slice address; /* add: where the others, nodes and routers reach it */
};
struct meta_address {
    uint64_t id;
    struct slice address;
};

/* --- settings of the cluster: names and values are text --- */
struct setting {
    struct slice name, value;
};
struct meta_config_request {  /* no name: only reads */
    struct slice name, value; /* an empty value: back to the default */
};
struct meta_config_reply { /* all settings as they are */
    struct setting *settings;
    size_t setting_count;
};

enum node_verb { NODE_VERB_DECOMMISSION = 1, NODE_VERB_RECOMMISSION, NODE_VERB_MAINTENANCE };
struct meta_node_request {
    uint64_t node_id;
    enum node_verb verb;
    bool dry_run;    /* only says whether it could be done */
    uint64_t for_ms; /* MAINTENANCE: how long its silence is no reason to replace it */
};
struct meta_node_reply {
    struct slice text; /* what will happen, or has to happen first */
};

/* --- placement rules of keyspaces --- */
struct placement_rule { /* what nodes it wants: label patterns (placement/labels.h), empty: any */
    struct slice keyspace;
    uint32_t voters, learners;
    struct slice within, leaders, learners_within;
};
struct meta_placement_request { /* no name: only reads; else all but voters is as it is to be */
    struct placement_rule rule;
};
struct meta_placement_reply { /* of all keyspaces */
    struct placement_rule *rules;
    size_t rule_count;
};

/* --- replicas compared on demand --- */
struct range_check_request { /* begin: to the leader, answered when it has; else to any replica: how far it is */
    uint64_t range_id;
    bool begin;
};
struct range_check_reply {
    uint64_t node_id, replica_id;
    bool leads, diverged;
    uint64_t applied;
    uint64_t index; /* of the comparison that this replica came by last; 0: none */
    bool done, failed;
    bool whole; /* effects_hash is of all entries since the last window */
    uint64_t effects_hash, rows_hash, rows, bytes;
};

#define MESSAGE_OPS_MAP(X)                                                                                             \
    X(replica_name)                                                                                                    \
    X(meta_recover_request)                                                                                            \
    X(meta_recover_reply)                                                                                              \
    X(meta_member_request)                                                                                             \
    X(meta_op_request)                                                                                                 \
    X(meta_op_reply)                                                                                                   \
    X(meta_ops_reply)                                                                                                  \
    X(meta_config_request)                                                                                             \
    X(meta_config_reply)                                                                                               \
    X(meta_node_request)                                                                                               \
    X(meta_placement_request)                                                                                          \
    X(meta_placement_reply)                                                                                            \
    X(range_check_request)                                                                                             \
    X(range_check_reply)                                                                                               \
    X(meta_node_reply)

#endif
