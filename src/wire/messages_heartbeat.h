/* The regular word of a storage node with the metadata leader. Codecs: messages.h. */
#ifndef QUORATE_WIRE_MESSAGES_HEARTBEAT_H
#define QUORATE_WIRE_MESSAGES_HEARTBEAT_H

#include "wire/messages_ops.h"

struct meta_heartbeat_request {
    uint64_t node_id;
    struct slice address;
    uint64_t map_version; /* the newest that this node has acted on */
    uint64_t range_count, bytes;
    uint32_t flags; /* enum node_flag: what it knows by itself */
    uint64_t disk_write_us, disk_free, disk_total;
    struct range_report *leads;
    size_t lead_count;
    bool tells_all; /* holds is complete: the former answer asked for it */
    struct replica_name *holds;
    size_t hold_count;
    struct order_verdict *verdicts; /* on orders of former answers */
    size_t verdict_count;
    struct range_desc *changed; /* of what it leads: as they are since they changed, or because they were wanted */
    size_t changed_count;
    struct range_orphan *orphans; /* some of those that know no leader, all in turn */
    size_t orphan_count;
    bool is_delta; /* leads is what has changed since the last one; else all that it leads */
    uint64_t leads_total;
    uint64_t *left; /* what it led when it last told, and leads no more */
    size_t left_count;
    uint64_t catalogue; /* hash of the catalogue's rows as it keeps them; 0: it has none */
    uint64_t holds_sum; /* of hash_u64 over the ids of all ranges of which it holds a replica; 0: not said */
};
struct meta_heartbeat_reply {
    uint64_t map_version;
    struct range_desc *ranges; /* when the map is newer: all ranges of which this node is to hold a replica */
    size_t range_count;
    struct node_info *nodes; /* all */
    size_t node_count;
    uint64_t term;             /* of the metadata leader: orders of a lower one than was seen are void */
    bool tell_all;             /* say next time what you hold */
    struct replica_name *gone; /* of what you hold: of their ranges no more */
    size_t gone_count;
    struct range_order *orders;
    size_t order_count;
    uint64_t *wants; /* ranges that are newer than the map says: tell their descriptors */
    size_t want_count;
    struct meta_address *metas; /* the metadata service's members */
    size_t meta_count;
    uint32_t finalised; /* cluster version */
    uint64_t line_ts;   /* what newer versions hide may be dropped up to here (docs/reads.md); UINT64_MAX: not said */
    bool takes_deltas;  /* the next one may be; else it is to be whole */
    struct slice catalogue; /* rows of it (messages_ops.h), when they are others than the node keeps */
    uint64_t ts_bound;      /* above all timestamps that have been handed out so far */
    uint64_t send_rate;     /* of snapshots, by a whole node: bytes a second + 1; 1: no limit; 0: the node's own */
};

#endif
