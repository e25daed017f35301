/* Requests to the metadata service and its answers; what a node tells of itself. Codecs: messages.h. */
#ifndef QUORATE_WIRE_MESSAGES_META_H
#define QUORATE_WIRE_MESSAGES_META_H

#include "raft/raft.h"
#include "wire/descriptors.h"
#include "wire/messages_heartbeat.h"
#include "wire/messages_rebuild.h"

struct meta_init_request {
    struct cluster_id cluster; /* proposed; the first one wins, later calls get the one that won */
    uint32_t replication;
};
struct meta_init_reply {
    struct cluster_id cluster;
};
struct meta_register_request {
    struct slice uuid; /* 16 bytes, of the data directory: the same directory is the same node for ever */
    struct slice address, host;
    struct cluster_id cluster; /* none: joins */
};
struct meta_register_reply {
    struct cluster_id cluster;
    uint64_t node_id;
    uint64_t next_range; /* every range that exists now has an id below it */
};
struct meta_timestamps_request {
    uint32_t count;
};
struct meta_timestamps_reply {
    uint64_t first; /* first .. first + count - 1 are yours alone */
    uint64_t term;  /* of the metadata leader; 0: not told */
};
struct meta_map_request {
    struct slice keyspace; /* name; empty: all keyspaces */
    bool has_key;
    struct slice key; /* only the range that holds it */
    bool any;         /* of a member that knows no leader, too: nobody else has answered */
};
struct meta_map_reply {
    uint64_t map_version;
    struct keyspace_info *keyspaces;
    size_t keyspace_count;
    struct range_desc *ranges;
    uint64_t *leaders;            /* per range: node id by last report, 0 unknown */
    struct range_report *reports; /* per range, by the last leader's report; zeroes when unknown */
    size_t range_count;
    struct node_info *nodes;
    size_t node_count;
    struct meta_address *metas; /* the metadata service's members */
    size_t meta_count;
    uint32_t finalised; /* cluster version */
};
struct meta_keyspace_request {
    struct slice name;
    uint32_t replication; /* 0: the cluster's default */
    struct slice *splits; /* user keys at which to split, ascending, unique */
    size_t split_count;
    uint32_t buckets; /* 0: by range; else by hash, split at each bucket */
    uint64_t ttl_ms;  /* 0: rows stay */
};
struct meta_keyspace_alter_request {
    struct slice name;
    uint32_t replication; /* 0: as it is */
    bool has_ttl;         /* else ttl_ms stays as it is */
    uint64_t ttl_ms;
    bool restore; /* a dropped one is taken back */
};
struct meta_keyspace_drop_request {
    struct slice name;
    uint64_t grace_ms; /* after which its ranges are destroyed */
    uint64_t now_ts;   /* filled in by the metadata leader */
};
struct meta_keyspace_reply { /* to create, alter and drop */
    uint32_t id;
    bool changed;        /* false: it was so already */
    uint64_t destroy_ts; /* of a dropped one */
};
struct meta_node_drain_request { /* kept until it is taken back */
    uint64_t node_id;
    bool drain;
};
struct meta_ids_request {
    uint32_t count;
    bool ranges; /* for new ranges; else for whatever the asker likes */
};
struct meta_ids_reply {
    uint64_t first;
};
struct meta_founders { /* the directories with which the metadata service begins: by rising id */
    struct {
        uint64_t id;
        uint8_t uuid[16];
    } items[LIMIT_VOTERS];
    size_t count;
};
struct meta_status_reply {
    struct cluster_id cluster;
    uint64_t leader_id, term, applied, map_version;
    uint64_t last_timestamp;
    struct {
        uint64_t id;
        struct slice address;
        bool healthy;
        bool votes; /* false: it is being added */
    } members[LIMIT_REPLICAS];
    size_t member_count;
    struct slice group; /* packed range_desc of the service's own group; empty: not known */
    bool founded;       /* founders: with whom; else who has been heard to have an empty directory */
    struct meta_founders founders;
};
struct node_range_status {
    uint64_t range_id;
    enum raft_role role;
    uint64_t leader_replica, term, commit, applied, log_bytes;
    struct slice waits_for; /* why it does not go on, or empty */
};
struct range_transfer_request { /* to the leader: to the replica on that node; done when that one leads */
    uint64_t range_id, node_id;
};
struct range_split_request { /* to the leader */
    uint64_t range_id;
    uint64_t version; /* expected, of the range; 0: whichever it is */
    uint64_t new_id;  /* of the new right range, from the metadata service */
    struct slice key; /* where it begins; empty: somewhere in the middle */
};
struct range_merge_request { /* to the left one's leader */
    uint64_t left_id, right_id;
    uint64_t left_version, right_version; /* expected; 0: whichever they are */
};
struct range_change_reply { /* the ranges that there are now */
    struct range_desc *ranges;
    size_t range_count;
};
struct node_status_reply {
    uint64_t node_id;
    uint64_t uptime_ms;
    uint64_t wal_live_bytes, wal_batches, wal_write_us_mean, wal_write_us_max;
    uint64_t store_bytes, store_files, memtable_bytes;
    uint32_t pressure;
    uint64_t disk_free, disk_total;
    struct node_range_status *ranges;
    size_t range_count;
    uint64_t snapshots_sending, snapshots_receiving, snapshot_bytes; /* under way; sent since the start */
    uint64_t snapshot_rate;                                          /* bytes a second at most; 0: no limit */
};

/* Codecs: MESSAGE_MAP of messages.h. */
#define META_MESSAGE_MAP(X)                                                                                            \
    MESSAGE_REBUILD_MAP(X)                                                                                             \
    X(meta_init_request)                                                                                               \
    X(meta_init_reply)                                                                                                 \
    X(meta_register_request)                                                                                           \
    X(meta_register_reply)                                                                                             \
    X(meta_heartbeat_request)                                                                                          \
    X(meta_heartbeat_reply)                                                                                            \
    X(meta_timestamps_request)                                                                                         \
    X(meta_timestamps_reply)                                                                                           \
    X(meta_map_request)                                                                                                \
    X(meta_map_reply)                                                                                                  \
    X(meta_keyspace_request)                                                                                           \
    X(meta_keyspace_alter_request)                                                                                     \
    X(meta_keyspace_drop_request)                                                                                      \
    X(meta_keyspace_reply)                                                                                             \
    X(meta_ids_request)                                                                                                \
    X(meta_ids_reply)                                                                                                  \
    X(meta_node_drain_request)                                                                                         \
    X(range_transfer_request)                                                                                          \
    X(range_split_request)                                                                                             \
    X(range_merge_request)                                                                                             \
    X(range_change_reply)                                                                                              \
    X(meta_status_reply)                                                                                               \
    X(node_status_reply)

#endif
