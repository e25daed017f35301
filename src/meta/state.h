/* The metadata as a member keeps it in memory: the rows of the store (machine.h), decoded, for serving. Built by one scan
 * at the start, then kept up by every applied command. Beside the rows it holds what is never stored: when each node was
 * last heard of and what it reported; only the leader's copy of that is fresh. */
#ifndef QUORATE_META_STATE_H
#define QUORATE_META_STATE_H

#include "base/map.h"
#include "meta/catalogue.h"
#include "meta/machine.h"
#include "meta/operators.h"
#include "meta/settings.h"

struct meta_keyspace {
    struct slice name; /* owned */
    struct meta_keyspace_row row;
    struct slice rules_row; /* owned; rules' slices point into it */
    struct meta_rules_row rules;
};
struct meta_member_row { /* of the metadata service, who is to come or to go: members.c */
    uint64_t id;
    char address[LIMIT_ADDRESS_BYTES + 1];
    bool stays;
};
struct meta_node {
    uint64_t id;
    struct slice row; /* owned; info's slices point into it */
    struct node_info info;
    bool drained, leaving;
    uint64_t maintenance_until_ms, lost_ms;
    struct map orphans; /* range id -> struct meta_orphan: salvage.c */
    struct hello hello; /* as of then */
    uint64_t heard_ns;  /* 0: not since this member leads */
    size_t strays;      /* replicas that it held, when it last told all, and should not hold */
    uint64_t asked_ns;  /* to tell all, though the number is right */
    size_t told;        /* ranges[0..told) have been offered to it; begins anew when it still lacks some */
};
struct meta_range {
    struct slice row; /* owned; desc's slices point into it */
    struct range_desc desc;
    struct range_report report; /* by the last leader that spoke */
    uint64_t leader;            /* node id; 0: unknown */
    uint64_t claimed;           /* the heartbeat that last claimed to lead it */
    uint64_t changed_ns;        /* when its keys changed last, as far as this leader has seen; 0: before */
    uint64_t calm_until_ns;     /* a split or a merge could not be done: it is not tried again before */
    uint32_t load;              /* operations per second, of late */
    uint64_t hot_since_ns;      /* its load has been above range.split_load; 0: it is not */
    uint64_t load_node, load_total, load_at_ns, load_version; /* of the report that was last counted */
};

struct meta_state {
    bool has_cluster;
    struct meta_cluster_row cluster;
    uint64_t map_version, ts_bound;
    uint32_t finalised; /* cluster version */
    uint64_t lives; /* how often the metadata service has been made anew: salvaged terms stand above all former ones */
    struct meta_catalogue catalogue;
    struct meta_keyspace *keyspaces;
    size_t keyspace_count, keyspace_capacity;
    struct meta_node **nodes; /* by id */
    size_t node_count, node_capacity;
    struct meta_range **ranges; /* by (keyspace, start) */
    size_t range_count, range_capacity;
    bool in_bulk; /* they do not lie in order yet */
    struct map ranges_by_id;
    uint64_t heartbeats; /* taken so far */
    struct meta_operators operators;
    struct settings settings;
    struct slice snapshots_row; /* owned */
    struct meta_member_row members[LIMIT_REPLICAS];
    size_t member_count;
    bool members_changed; /* since somebody looked */
};

/* What nodes may let go, as any member that has applied these rows, or fewer, may tell them: snapshots.c. */
uint64_t snapshots_line(const struct meta_state *s, uint64_t version_keep);

void meta_state_init(struct meta_state *s);
void meta_state_clear(struct meta_state *s); /* and frees */
/* A row was written, or found by the first scan. */
void meta_state_row(struct meta_state *s, struct slice user_key, struct slice value, bool is_delete);
/* Between the two calls rows come in bulk: a large map is put in order once, at the end. */
void meta_state_bulk(struct meta_state *s, bool begins);
struct meta_node *meta_state_node(const struct meta_state *s, uint64_t id);                     /* NULL: unknown */
struct meta_range *meta_state_range(const struct meta_state *s, uint64_t id);                   /* NULL: unknown */
const struct meta_keyspace *meta_state_keyspace(const struct meta_state *s, struct slice name); /* NULL: none */
/* Why no keyspace of that name is to be made; NULL: one may be. Asked by the leader, before it proposes. */
const char *keyspace_name_fault(const struct meta_state *s, struct slice name);

#endif
