/* The scheduler: a pure function of what is known (view.h) to operators. One round looks at every range once, and costs time
 * in proportion to their number; it remembers nothing, so any member of the metadata service may run it, and two that run at
 * once do no harm: an operator names the conf_ver that it expects and is refused by a range that has another.
 *
 * Order of concerns, each within what the one before left of the round's budget:
 *   1. ranges that one more failure would stop, 2. dead replicas, 3. too few, leaders off nodes that must not lead, 4. nodes
 *   being decommissioned, 5. nodes that the keyspace's rules do not name, labels that could be kept apart and are not, 6. too many;
 *   7. weight of nodes, 8. leaders; 9. sizes: split and merge.
 * Balancing moves only what brings the two nodes nearer to their goals by more than slack (balance.c): nothing goes to and fro.
 *
 * What a node holds is counted in bytes and in replicas, what it leads in load and in leaderships; in each dimension its goal is its
 * share of the total, by capacity for what it holds. */
#ifndef QUORATE_PLACEMENT_PLAN_H
#define QUORATE_PLACEMENT_PLAN_H

#include "base/buf.h"
#include "placement/view.h"

enum placement_kind {
    PLACEMENT_ADD,      /* a replica on `to` */
    PLACEMENT_REPLACE,  /* the replica on `from` by one on `to`, as one joint swap */
    PLACEMENT_REMOVE,   /* the replica on `from` */
    PLACEMENT_TRANSFER, /* leadership from `from` to `to` */
    PLACEMENT_SPLIT,    /* at a key that its leader picks */
    PLACEMENT_LEARNER,  /* a replica without a vote on `to` */
    PLACEMENT_MERGE     /* with the range behind it; the executor aligns the replicas first */
};

/* Why something is done, or is not. */
enum placement_reason {
    PLACEMENT_WHY_DEAD,         /* a replica's node is dead */
    PLACEMENT_WHY_FEW,          /* fewer replicas than the keyspace's rules ask for */
    PLACEMENT_WHY_MANY,         /* more */
    PLACEMENT_WHY_LEAVING,      /* a node is being decommissioned */
    PLACEMENT_WHY_TOGETHER,     /* two replicas share a host, zone or region without need */
    PLACEMENT_WHY_MAY_NOT_LEAD, /* the leader's node drains, leaves or is slow */
    PLACEMENT_WHY_WEIGHT,       /* nodes hold unequal shares */
    PLACEMENT_WHY_LEADERS,      /* nodes lead unequal shares */
    PLACEMENT_WHY_RULES,        /* the keyspace's rules ask for other nodes */
    PLACEMENT_WHY_SIZE,         /* larger than a range should be */
    PLACEMENT_WHY_SMALL,        /* two neighbours, small and cold for long */
    PLACEMENT_WHY_LOAD,         /* it has so much of all load that leaderships cannot be spread evenly */
    PLACEMENT_NOT_NO_QUORUM,    /* most voters are gone: nothing can be done but wait, or recover with loss */
    PLACEMENT_NOT_NO_TARGET,    /* no node may take a replica */
    PLACEMENT_NOT_NODE_LIMIT,   /* nodes have as many moves under way as they may */
    PLACEMENT_NOT_ROUND_LIMIT,  /* the round has made as many operators as it may */
    PLACEMENT_NOT_MASS_SILENCE, /* too many nodes are silent at once: more likely the network than they */
    PLACEMENT_NOT_NO_HEIR,      /* no other seat may lead */
    PLACEMENT_NOT_PAUSED,       /* an operator of the cluster paused this scheduler */
    PLACEMENT_NOT_AGAIN,        /* a split or a merge could not be done a moment ago */
    PLACEMENT_REASONS
};

struct placement_op {
    enum placement_kind kind;
    enum placement_reason why;
    uint64_t range;
    uint32_t conf_ver;
    uint64_t other;    /* MERGE: the range that is taken in */
    uint32_t from, to; /* indexes of sites; PLACEMENT_NO_SITE where the kind has none */
};

struct placement_note { /* what should be done and is not: one per reason, with how often and an example */
    uint64_t count;
    uint64_t range; /* 0: none in particular */
};

struct placement_options {
    unsigned ops_max;                      /* new operators per round */
    unsigned arrivals_max, departures_max; /* replicas on their way to and from one node at once */
    unsigned slack_percent;                /* of its goal: a node within it is left alone */
    uint64_t range_cost_bytes;             /* bytes: where ranges hold less in the mean, bytes make no difference */
    uint32_t leader_cost;                  /* operations per second: likewise load */
    uint64_t split_bytes;                  /* a larger range is split */
    uint64_t merge_bytes;                  /* two that together are smaller are merged */
    uint32_t split_load, merge_load;
    uint32_t split_load_s; /* what is hot for a shorter time is not split */
    uint32_t merge_age_s;  /* ranges younger than this are not merged */
    bool pause_repair, pause_balance, pause_leaders, pause_split, pause_merge;
};
void placement_options_default(struct placement_options *o);

struct placement_plan { /* owned by the caller: placement_plan_free */
    struct placement_op *ops;
    size_t op_count, op_capacity;
    struct placement_note notes[PLACEMENT_REASONS];
    uint64_t ranges_without_quorum, ranges_short; /* short: fewer live voters than the rules ask for */
    unsigned
        failures_borne; /* nodes that may still fail, whichever they are, before a range stops; 0 if one has stopped */
};
void placement_plan_init(struct placement_plan *p);
void placement_plan_free(struct placement_plan *p);
/* Clears the plan, then fills it. */
void placement_round(const struct placement_view *v, const struct placement_options *o, struct placement_plan *p);

const char *placement_reason_text(enum placement_reason r); /* for a person; a sentence's second half */
const char *placement_kind_name(enum placement_kind k);
void placement_op_describe(const struct placement_op *op, const struct placement_view *v, struct buf *out);

#endif
