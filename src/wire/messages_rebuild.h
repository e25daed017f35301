/* What storage nodes keep and tell so that a lost metadata service can be made anew (docs/recovery.md). Codecs: messages.h. */
#ifndef QUORATE_WIRE_MESSAGES_REBUILD_H
#define QUORATE_WIRE_MESSAGES_REBUILD_H

#include "wire/descriptors.h"

/* Terms of a metadata service, as it tells them: how often it has been made anew, and the term of its group since. */
#define META_TERM_LIFE_BITS 32u
#define META_TERM_LIFE(term) ((term) >> META_TERM_LIFE_BITS)

/* How a keyspace is called of which no catalogue knows the name; %u: its id. */
#define KEYSPACE_RECOVERED_BEGIN "recovered-"
#define KEYSPACE_RECOVERED KEYSPACE_RECOVERED_BEGIN "%u"
/* There is a keyspace of this name while a backup is being restored. */
#define KEYSPACE_RESTORING "restore-mark"

/* The metadata that no replica can tell: cluster, keyspaces, their rules, nodes, settings; as rows of the metadata group. */
struct catalogue_row {
    struct slice key, value;
};
struct catalogue_rows {
    struct catalogue_row *rows;
    size_t row_count;
};
/* A node's copy of it, and what it knew when it was confirmed last. */
struct catalogue {
    uint64_t map_version, term; /* of the metadata service */
    uint64_t ts_bound;          /* timestamps below it may have been handed out, by then */
    struct slice rows;          /* packed catalogue_rows; empty: it has none */
};

struct held_replica {
    struct range_desc desc;
    uint64_t replica_id, term;
    bool leads; /* in that term, and may serve */
    bool whole; /* not blank, recovering or diverged */
};
struct node_holds_reply { /* NODE_HOLDS, to whoever rebuilds */
    uint64_t node_id;
    struct slice uuid, address, host; /* as it registers */
    struct cluster_id cluster;
    uint64_t wall_ms;
    uint64_t newest_ts; /* that is in its rows, or that it was given in this life */
    uint64_t heard_ms;  /* since a metadata service last answered it; UINT64_MAX: never in this life */
    struct catalogue catalogue;
    struct held_replica *held;
    size_t held_count;
};
struct meta_rebuild_request { /* to a service that is not initialised: rows, in pieces that come one after the other */
    uint64_t piece;           /* from 0 */
    bool last;                /* with it the service begins to serve */
    struct slice rows;        /* packed catalogue_rows: any rows of the metadata group */
};

#define MESSAGE_REBUILD_MAP(X)                                                                                         \
    X(catalogue_rows)                                                                                                  \
    X(catalogue)                                                                                                       \
    X(node_holds_reply)                                                                                                \
    X(meta_rebuild_request)

#endif
