/* What members.c keeps in a host and in its replicas. */
#ifndef QUORATE_RANGE_MEMBERS_STATE_H
#define QUORATE_RANGE_MEMBERS_STATE_H

#include "base/list.h"
#include "base/map.h"

struct members_host {
    struct map gone;       /* group -> struct member_gone */
    uint64_t forget_at_ms; /* tombstones are looked at next */
    struct list leaving;   /* struct leaving: replicas on their way out */
    bool departures;       /* a replica is to leave */
};

enum { MEMBERS_HINTS = 4 };
struct members_hints { /* where replicas are that the descriptor does not name yet */
    struct {
        uint64_t replica_id, node_id;
    } items[MEMBERS_HINTS];
    unsigned next;
};
struct members_replica {
    struct members_hints *hints; /* NULL: there were none */
    bool leaving;                /* its range has gone on without it: mute, about to be dropped */
};

#endif
