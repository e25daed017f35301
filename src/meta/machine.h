/* The metadata machine: commands of the metadata group, evaluated at apply on every member alike. Pure: rows in, rows and
 * answer out. Rows are (keyspace 0) user keys:
 *
 *   c            cluster: [cluster id, default replication]
 *   i/<kind>     next id of a kind (node, range, keyspace, user)
 *   k/<name>     keyspace: [id, replication, hash of its splits, buckets, ttl_ms, dropped_ts, destroy_ts]; keyspaces.c
 *   p/<id>       placement rules of the keyspace: [learners, within, leaders, learners_within]; rules.c
 *   x/<id>       1: the keyspace of that id has been destroyed
 *   n/<id>       node: [id, uuid, address, host, drained, leaving, maintenance_until_ms, lost_ms]   <id>: 8 bytes big-endian
 *   u/<uuid>     [node id]
 *   r/<id>       range descriptor (wire/messages.h)
 *   o/<range>    operator under way; e/<id modulo 256>: one that has ended (meta/operator.h)
 *   s/<name>     a setting that an admin has set (meta/settings.h)
 *   m/<id>       member of the metadata service that is to come, or to go: [address, stays]; members.c
 *   f            cluster version that has been finalised (docs/upgrade.md); absent: VERSION_FIRST
 *   h            registered snapshots that live, and some that did: snapshots.c
 *   b            how often the metadata service has been made anew (rebuild.h); y: pieces of it that have come, while it is
 *   t            bound of timestamps: none at or above it has been handed out
 *   v            map version: raised by everything that nodes or routers cache
 *
 * An answer is [status, message, payload]: pack_reply_head's bytes. */
#ifndef QUORATE_META_MACHINE_H
#define QUORATE_META_MACHINE_H

#include "meta/operator.h"
#include "placement/assign.h"
#include "range/machine.h"
#include "wire/messages.h"

#define META_GROUP 1u
#define META_KEYSPACE 0u
#define META_FIRST_RANGE 2u

enum meta_command_kind {
    META_CMD_INIT = 1,
    META_CMD_REGISTER,
    META_CMD_KEYSPACE,
    META_CMD_TS_BOUND,
    META_CMD_IDS,
    META_CMD_DRAIN,
    META_CMD_KEYSPACE_ALTER,
    META_CMD_KEYSPACE_DROP,
    META_CMD_KEYSPACE_DESTROY,
    META_CMD_OPERATOR_BEGIN,
    META_CMD_OPERATOR_END,
    META_CMD_SETTING,
    META_CMD_NODE,
    META_CMD_RANGES_DESTROY,
    META_CMD_RANGES,
    META_CMD_PLACEMENT,
    META_CMD_GIVE_UP,
    META_CMD_MEMBER,
    META_CMD_FINALIZE,
    META_CMD_SNAPSHOT,
    META_CMD_REBUILD
};
/* A destroyed range: a descriptor without replicas, with a conf_ver above whatever the group's own log may reach, so that every
 * replica of it is gone (docs/moves.md). The row stays: a replica that comes back in years is told. */
#define META_DESTROY_RANGES_MAX 256u
#define META_DESTROYED_CONF_VER ((uint64_t)1 << 48)
struct meta_keyspace_destroy { /* by the leader, when the grace has passed */
    struct slice name;
    uint32_t id;
    uint64_t destroy_ts;
};

struct meta_command {
    enum meta_command_kind kind;
    struct meta_init_request init;
    struct meta_register_request node;
    struct meta_keyspace_request keyspace;
    struct placement_node *candidates; /* META_CMD_KEYSPACE: live nodes with their loads, as the leader knows them */
    size_t candidate_count;
    uint64_t ts_bound;
    struct meta_ids_request ids;
    struct range_change_reply news; /* META_CMD_RANGES: of a stretch of the key space that they tile... */
    uint64_t *gone;                 /* ...and ranges of the map that are no more there */
    size_t gone_count;
    struct meta_node_drain_request drain;
    struct meta_keyspace_alter_request alter;
    struct meta_keyspace_drop_request drop;
    struct meta_keyspace_destroy destroy;
    uint64_t *range_ids; /* META_CMD_RANGES_DESTROY: of keyspaces that have been destroyed */
    size_t range_id_count;
    struct operator_row operator;
    struct meta_config_request setting;
    struct meta_node_request node_verb;
    struct meta_placement_request placement;
    struct meta_member_request member; /* META_CMD_MEMBER */
    bool member_gone;                  /* it has been taken out: its row goes */
    struct meta_snapshot_request snapshot;
    bool snapshot_now;                   /* its timestamp was not asked for: it is the leader's */
    struct meta_rebuild_request rebuild; /* META_CMD_REBUILD */
    struct meta_recover_request recover; /* META_CMD_GIVE_UP: its nodes */
    uint32_t finalised;                  /* META_CMD_FINALIZE */
    uint64_t now_ms;                     /* META_CMD_NODE, GIVE_UP: the leader's wall clock */
};
void meta_command_encode(const struct meta_command *c, struct buf *out);
MUST_CHECK enum status meta_command_decode(struct slice bytes, struct arena *arena, struct meta_command *out);

extern const struct machine_ops meta_machine_ops; /* ctx: struct meta_applied *, or NULL */

/* Told of every row that an applied command has written. */
struct meta_applied {
    void (*row)(void *ctx, struct slice user_key, struct slice value, bool is_delete);
    void *ctx;
    uint64_t version_keep; /* what nodes keep anyway, in timestamps; the same on every member */
};

/* Why the keyspace must not have that time to live (0: none); NULL: it may. */
const char *keyspace_ttl_fault(struct slice name, uint64_t ttl_ms);
const char *keyspace_drop_fault(struct slice name); /* likewise, of dropping it */

/* Codecs of the rows that others read. */
struct meta_node_row {
    uint64_t id;
    struct slice uuid, address, host;
    bool drained, leaving;
    uint64_t maintenance_until_ms; /* wall clock: until then its silence is no reason to replace it */
    uint64_t lost_ms;              /* wall clock: given up then, for ever (unsafe-recover); 0: it is not */
};
void meta_node_row_encode(const struct meta_node_row *row, struct buf *out);
struct meta_keyspace_row {
    uint32_t id, replication;
    uint64_t splits_hash;
    uint32_t buckets;                /* 0: partitioned by range */
    uint64_t ttl_ms;                 /* of rows that are put without one; 0: they stay */
    uint64_t dropped_ts, destroy_ts; /* 0: in use */
};
void meta_keyspace_row_encode(const struct meta_keyspace_row *row, struct buf *out);
struct meta_rules_row { /* label patterns; empty: any node */
    uint32_t learners;
    struct slice within, leaders, learners_within;
};
void meta_rules_row_encode(const struct meta_rules_row *row, struct buf *out);
MUST_CHECK enum status meta_rules_row_decode(struct slice value, struct meta_rules_row *out);
struct meta_cluster_row {
    struct cluster_id cluster;
    uint32_t replication;
};
MUST_CHECK enum status meta_node_row_decode(struct slice value, struct meta_node_row *out);
MUST_CHECK enum status meta_keyspace_row_decode(struct slice value, struct meta_keyspace_row *out);
MUST_CHECK enum status meta_cluster_row_decode(struct slice value, struct meta_cluster_row *out);
MUST_CHECK enum status meta_number_row_decode(struct slice value, uint64_t *out);

#endif
