/* The cluster under test: three metadata members, storage nodes and routers, each a process of the world. */
#ifndef QUORATE_TESTS_SIM_CLUSTER_H
#define QUORATE_TESTS_SIM_CLUSTER_H

#include "client/client.h"
#include "ledger/ledger.h"
#include "meta/meta.h"
#include "node/node.h"
#include "sim/sim.h"

enum { METAS = 3, METAS_MAX = 5, NODES_MAX = 5, CLIENTS_MAX = 3, SERVERS_MAX = METAS_MAX + NODES_MAX };

/* How the servers are set up and what is done to them in this run; drawn by knobs.c. */
struct cluster_knobs {
    unsigned node_count, client_count;
    struct host_options host;
    /* faults: mean pause between two of them; 0: none of that kind */
    uint64_t crash_ns, partition_ns, lag_ns, pause_ns, reset_ns, stop_ns, transfer_ns, wall_ns, slow_ns, disk_fault_ns,
        disk_full_ns, rot_ns, table_rot_ns, split_ns, merge_ns;
    uint64_t pause_max_ns, down_max_ns;
    uint64_t admin_ns;      /* mean pause between two words of an admin (admin.c) */
    unsigned all_at_once;   /* chance that a crash takes everything down, in 1/1000 */
    unsigned machine_crash; /* chance that it is the machine's, not the process's */
    bool chaos_from_start;  /* faults already while the cluster comes up */
    uint64_t safety_ns;     /* how long */
    /* workload */
    unsigned workers; /* per client */
    unsigned think_max_ms;
    unsigned register_keys, bank_ranges, accounts;
    unsigned value_bytes_max;
    uint32_t timeout_max_ms;
};

/* Are ranges cut in this run? By a fault, or by the scheduler, which the admin tells to do so. */
static inline bool cluster_splits(const struct cluster_knobs *k)
{
    return k->split_ns > 0 || k->admin_ns > 0;
}

/* One seed of so many has backups (backup_load.h): apart from the storms of knobs.c. */
static inline bool cluster_backs_up(const struct world *w)
{
    return w->seed % 16 == 13;
}

struct check_raft;
struct check_resolved;
struct upgrade;

/* A measurement: knobs_bench, nothing drawn at a start, no ledger. */
enum cluster_bench {
    BENCH_NONE,
    BENCH_PLAIN, /* no transaction over several ranges */
    BENCH_MIXED  /* what the workload does otherwise */
};

struct cluster {
    struct world *world;
    struct cluster_knobs knobs;
    struct process *metas[METAS_MAX], *nodes[NODES_MAX], *clients[CLIENTS_MAX];
    unsigned meta_count;                             /* METAS; where members change (members.c), some more stand by */
    bool meta_out[METAS_MAX], meta_joins[METAS_MAX]; /* no member at present; it began without the group */
    bool meta_emptied[METAS_MAX];        /* it lost its disk: started again, it is told of all that may be there */
    struct ledger *ledgers[CLIENTS_MAX]; /* on the clients; NULL until somebody uses one */
    char meta_addresses[128];
    struct upgrade *upgrade; /* NULL: all run this release, and nothing is finalised */
    enum cluster_bench bench;
    bool booted;                    /* the keyspace exists, and its ranges have their places */
    bool placed;                    /* so do those of the ledger, if it has a part in this run */
    void (*router_died)(void *ctx); /* one of clients[] has gone, or goes */
    void *router_died_ctx;
    struct check_raft *check_raft;         /* looks at every host after each of its passes */
    struct check_resolved *check_resolved; /* likewise */
};

/* Draws the knobs of the world and of the cluster from the world's seed. */
void knobs_draw(struct world *w, struct cluster_knobs *k);
/* For measuring: five nodes, about 200 operations per second for a while, no faults. */
void knobs_bench(struct world *w, struct cluster_knobs *k);
void knobs_draw_host(struct world *w, struct host_options *o); /* also at a restart, for what may change then */
void knobs_describe(const struct world *w, const struct cluster_knobs *k, char *text, size_t size);

/* Processes exist, nothing runs. */
void cluster_init(struct cluster *c, struct world *w, enum cluster_bench bench);
void cluster_free(struct cluster *c); /* crashes what runs */
void cluster_start(struct cluster *c);
bool cluster_stands_by(const struct cluster *c, const struct process *p); /* it is no member of anything */
bool cluster_all_up(const struct cluster *c);
bool cluster_damaged(const struct cluster *c); /* some table has rotted: CORRUPT is an answer */
/* But for those that stand by, or are about to. */
unsigned cluster_servers(const struct cluster *c, struct process *out[SERVERS_MAX]);

/* The network is so slow for its timers that leaderships do not last: nothing is gone for ten seconds to anybody. */
bool cluster_restless(const struct cluster *c);
struct client *cluster_client(const struct cluster *c, unsigned i); /* NULL when it is down */
struct host *process_host(const struct process *p);                 /* of a meta or node; NULL when it has none now */
bool process_is_node(const struct process *p);
struct cluster *process_cluster(const struct process *p);

#endif
