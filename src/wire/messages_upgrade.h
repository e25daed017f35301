/* Who is at the other end, what it supports, and what the cluster is finalised at (docs/upgrade.md). Codecs: messages.h. */
#ifndef QUORATE_WIRE_MESSAGES_UPGRADE_H
#define QUORATE_WIRE_MESSAGES_UPGRADE_H

#include "wire/descriptors.h"
#include "wire/versions.h"

#define PROTOCOL_VERSION 1u

enum role { ROLE_META = 1, ROLE_NODE = 2, ROLE_GATEWAY = 3, ROLE_CLIENT = 4 };

/* First frame of each connection, both ways (request and its response). */
struct hello {
    uint32_t version;
    enum role role;
    uint64_t node_id; /* of a meta or node; 0 otherwise */
    struct cluster_id cluster;
    uint32_t newest, oldest; /* cluster versions that it supports; VERSION_FIRST when it does not say */
    uint32_t finalised;      /* that it knows the cluster to be at; 0: it does not know */
    char release[RELEASE_BYTES];
};

struct meta_upgrade_request {
    uint32_t version; /* to be finalised; 0: the newest that all support */
    bool finalize;    /* else only says what stands in the way */
};
struct upgrade_process {
    enum role role;
    uint64_t id; /* 0: a gateway */
    struct slice address, release;
    uint32_t newest, oldest; /* 0: not known, for it is not up */
};
struct meta_upgrade_reply {
    uint32_t finalised, target; /* target: what could be finalised, or would be but for the faults */
    struct upgrade_process *processes;
    size_t process_count;
    struct slice *faults; /* what stands in the way */
    size_t fault_count;
};

#define UPGRADE_MESSAGE_MAP(X)                                                                                         \
    X(hello)                                                                                                           \
    X(meta_upgrade_request)                                                                                            \
    X(meta_upgrade_reply)

#endif
