/* What the scheduler knows at one moment: nodes, ranges in the order of their keys, rules. Filled in by the metadata
 * service's leader from the shard map and the nodes' reports; everything is borrowed for the length of a round.
 *
 * A seat is a place in a range's configuration: a node that holds, or is to hold, a replica. Nodes and rules are named by
 * their index in the view, so that a round over a million ranges does no lookups. */
#ifndef QUORATE_PLACEMENT_VIEW_H
#define QUORATE_PLACEMENT_VIEW_H

#include "base/limits.h"
#include "base/slice.h"

#define PLACEMENT_NOBODY UINT8_MAX

enum placement_life {
    PLACEMENT_UP,
    PLACEMENT_SILENT,   /* not heard of, but not for long enough: neither trusted with anything new nor replaced */
    PLACEMENT_DEAD,     /* silent for longer than the operator allows: its replicas are replaced */
    PLACEMENT_DRAINING, /* comes back: leads nothing, gets nothing, keeps what it has */
    PLACEMENT_LEAVING   /* decommissioned: leads nothing, all its replicas go elsewhere */
};

/* Where a node is, from wide to narrow. Empty: not said. Replicas of a range keep apart at the widest level that they can. */
enum placement_level { PLACEMENT_REGION, PLACEMENT_ZONE, PLACEMENT_HOST, PLACEMENT_LEVELS };

struct placement_site { /* a storage node */
    uint64_t id;
    enum placement_life life;
    bool absent;         /* it does not answer now, whatever its life: a node in maintenance that has been stopped */
    bool given_up;       /* DEAD by an admin's word: its silence makes no network suspect */
    bool takes_replicas; /* false: its disk is filling up, or the operator said so */
    bool takes_leaders;  /* false: its disk is slow, or the operator said so */
    struct slice labels[PLACEMENT_LEVELS];
    uint64_t capacity_bytes; /* 0: not known; only if all are known do they weigh */
};

/* What a site may hold by a keyspace's rules, as bits. Leaders sit elsewhere only when nobody that fits can lead. */
enum placement_fit { PLACEMENT_FIT_VOTER = 1, PLACEMENT_FIT_LEARNER = 2, PLACEMENT_FIT_LEADER = 4 };
struct placement_rules { /* of a keyspace */
    unsigned voters, learners;
    const uint8_t *fit; /* per site; NULL: all sites fit */
    bool pinned;        /* its ranges were cut on purpose: never merged */
};

struct placement_range {
    uint64_t id;
    uint64_t bytes;
    uint32_t load;                  /* operations per second, averaged over minutes */
    uint32_t rules;                 /* index */
    uint32_t keyspace;              /* only ranges of one keyspace merge */
    uint32_t age_s;                 /* since it was cut or merged last */
    uint32_t hot_s;                 /* for how long its load has been above split_load */
    uint32_t conf_ver;              /* what an operator expects to find */
    uint32_t nodes[LIMIT_REPLICAS]; /* indexes of sites */
    uint8_t learners;               /* bit set over the seats */
    uint8_t seats;
    uint8_t leader; /* seat, or PLACEMENT_NOBODY */
    bool busy;      /* an operator works on it, or its configuration is joint */
    bool calm;      /* a split or a merge of it could not be done: not again for a while */
};

struct placement_traffic { /* an operator under way, for the limits per node; PLACEMENT_NO_SITE: none */
    uint32_t from, to;
};
#define PLACEMENT_NO_SITE UINT32_MAX

struct placement_view {
    const struct placement_site *sites;
    size_t site_count;
    const struct placement_rules *rules;
    size_t rules_count;
    const struct placement_range *ranges; /* by (keyspace, start) */
    size_t range_count;
    const struct placement_traffic *traffic;
    size_t traffic_count;
    uint64_t round; /* rising: where to begin looking, so that nobody is always last */
};

#endif
