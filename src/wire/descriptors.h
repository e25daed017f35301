/* What ranges, nodes and keyspaces are to those who talk about them. Slices are borrowed from whatever was decoded. */
#ifndef QUORATE_WIRE_DESCRIPTORS_H
#define QUORATE_WIRE_DESCRIPTORS_H

#include "base/limits.h"
#include "base/slice.h"

#define CLUSTER_ID_BYTES 16u

struct cluster_id { /* all zero: not yet known */
    uint8_t bytes[CLUSTER_ID_BYTES];
};
bool cluster_id_is_none(const struct cluster_id *id);

struct range_epoch {
    uint64_t conf_ver, version;
};
/* INCOMING and OUTGOING: voters of the new and of the old set alone, while the configuration is joint. */
enum range_role { RANGE_VOTER = 1, RANGE_LEARNER = 2, RANGE_INCOMING = 3, RANGE_OUTGOING = 4 };
struct range_replica {
    uint64_t node_id, replica_id;
    uint8_t role; /* enum range_role */
};
struct range_desc {
    uint64_t id;
    uint32_t keyspace;
    struct slice start, end; /* user keys; empty start: from the beginning; empty end: to the end of the keyspace */
    struct range_epoch epoch;
    size_t replica_count;
    struct range_replica replicas[LIMIT_REPLICAS]; /* last: who keeps thousands has no room behind the last of them */
};
size_t range_desc_size(const struct range_desc *d);                         /* of the struct, up to its last replica */
void range_desc_copy(struct range_desc *to, const struct range_desc *from); /* reads no further than that */
bool range_desc_contains(const struct range_desc *d, uint32_t keyspace, struct slice key);
const struct range_replica *range_desc_replica(const struct range_desc *d, uint64_t node_id); /* NULL: none there */
bool range_desc_joint(const struct range_desc *d);
/* A range is born with replica ids up to this one; what a change brings gets this plus the conf_ver that it makes. */
#define RANGE_FIRST_REPLICAS 16u
/* That replica was of the range once, and is no more: for ever. */
bool range_desc_is_gone(const struct range_desc *d, uint64_t replica_id);

/* What a node is to others, as bits. */
enum node_flag {
    NODE_DRAINED = 1,      /* an admin's order: leads nothing that another replica can lead */
    NODE_DISK_SLOW = 2,    /* by its own judgement: likewise */
    NODE_DISK_TIGHT = 4,   /* takes no new replicas */
    NODE_LEAVING = 16,     /* an admin's order: decommissioned, all its replicas go elsewhere */
    NODE_MAINTENANCE = 32, /* an admin's order: its silence is no reason to replace it */
    NODE_LOST = 64,        /* an admin's order: given up for ever; whatever its directory holds counts for nothing */
    NODE_DISK_FULL = 8,    /* refuses writes that add rows, and leads nothing that another replica can lead */
};
struct node_info {
    uint64_t id;
    struct slice address; /* "host:port" that others connect to */
    struct slice host;    /* label: two replicas of a range never share one when it can be helped */
    bool alive;           /* as the metadata leader sees it */
    uint64_t range_count, leader_count, bytes;
    uint32_t flags;         /* enum node_flag */
    uint64_t disk_write_us; /* mean time of a log write of late; 0: none */
    uint64_t disk_free, disk_total;
};
struct keyspace_info {
    uint32_t id;
    struct slice name;
    uint32_t replication;
    uint32_t buckets;                /* 0: partitioned by range; else by hash, into so many */
    uint64_t ttl_ms;                 /* of rows that are put without one; 0: they stay */
    uint64_t dropped_ts, destroy_ts; /* 0: in use; else not to be used, and at destroy_ts its ranges go */
};
struct range_report { /* by each replica that leads */
    uint64_t range_id;
    struct range_epoch epoch;
    uint64_t term;
    uint64_t bytes, rows;
    uint64_t writes, reads; /* since the node started */
};

#endif
