/* What must be true, whatever breaks. Each checker stands in a file of its own and ends in world_fail. */
#ifndef QUORATE_TESTS_SIM_CHECK_H
#define QUORATE_TESTS_SIM_CHECK_H

#include "client/client.h"
#include "sim/history.h"
#include "sim/sim.h"

struct host;
struct replica;

/* --- check_raft.c: one leader per term; two logs with an entry of equal index and term agree on it; what one replica knows
 * to be committed, all that know it agree on. Looks at a host after each of its passes. --- */
struct check_raft;
struct check_raft *check_raft_new(struct world *w);
void check_raft_free(struct check_raft *c);
/* A look: it begins, every replica of the host is shown, it ends. */
void check_raft_begin(struct check_raft *c, const struct process *p, const struct host *h);
void check_raft_replica(struct check_raft *c, const struct process *p, const struct replica *r);
void check_raft_end(struct check_raft *c, const struct process *p, const struct host *h);
void check_raft_forget(struct check_raft *c, uint64_t group);           /* it begins anew, with nothing */
void check_raft_emptied(struct check_raft *c, const struct process *p); /* it goes on with an empty disk */
bool check_raft_complete(const struct check_raft *c); /* of every group all first voters have been there */

/* --- check_resolved.c: what replicas hold for resolved is so: no entry comes below. After each pass of a node. --- */
struct check_resolved;
struct check_resolved *check_resolved_new(struct world *w);
void check_resolved_free(struct check_resolved *c);
void check_resolved_forget(struct check_resolved *c, uint64_t group);
void check_resolved_replica(struct check_resolved *c, const struct process *p, const struct replica *r);

/* --- check_linear.c: the operations on each register are linearizable. Trusts no timestamp. --- */
void check_linear(struct world *w, const struct history *h, unsigned key_count);

/* --- check_order.c: the same from the other side: replayed in the order of their timestamps, the operations on each register
 * were told the truth, and that order agrees with real time. --- */
void check_order(struct world *w, const struct history *h, unsigned key_count);

/* --- check_chain.c: transactions over several ranges are strictly serializable: no cycle. Trusts no timestamp. --- */
void check_chain(struct world *w, const struct history *h);
void check_appends(struct world *w, const struct history *h);

/* --- check_versions.c: timestamps agree with real time, and a version is one write's. The tally, which ended at `final`. --- */
void check_versions(struct world *w, const struct history *h);
void check_tally(struct world *w, const struct history *h, uint64_t final);

/* --- check_money.c: banks of accounts, a range each. --- */
enum { BANKS_MAX = 4, ACCOUNTS_MAX = 8, ACCOUNT_START = 100 };
struct transfer {
    uint64_t number;
    unsigned bank, from, to;
    int64_t amount;
    bool with_history;
    bool answered, posted; /* served; and not refused */
    uint64_t ts;           /* when posted */
    uint64_t call_ns, return_ns;
};
struct money {
    unsigned bank_count, account_count;
    struct transfer *transfers; /* by number - 1 */
    size_t count, capacity;
    bool funded[BANKS_MAX];
    uint64_t funded_ts[BANKS_MAX];
};
void money_init(struct money *m, unsigned banks, unsigned accounts);
void money_free(struct money *m);
struct transfer *money_transfer(struct money *m); /* a new one; until the next call */
bool money_keeps_history(unsigned bank); /* every transfer of it has a row: balances are provable from any page */
/* One page of the whole range of a bank, asked for at call_ns. final: nothing is under way any more. */
void check_money_page(struct world *w, const struct money *m, unsigned bank, uint64_t call_ns,
                      const struct scan_reply *page, bool final);

/* --- check_reads.c: what reads of all modes saw, against all commits. --- */
enum { REGISTERS_MAX = 8 };
struct cut {
    enum read_mode mode;
    uint64_t ts; /* as told; 0: nothing was */
    uint64_t call_ns;
    uint64_t must_see_ns;      /* what was acknowledged before must be in it */
    uint64_t must_see_ts;      /* strong: what has a timestamp up to it, acknowledged or not */
    bool is_aged;              /* that holds for all timestamps: what was acknowledged before has one up to ts */
    unsigned registers, banks; /* looked at, as bits */
    uint64_t version[REGISTERS_MAX];
    int64_t balance[BANKS_MAX][ACCOUNTS_MAX];
    unsigned balances[BANKS_MAX];
};
struct cuts {
    struct cut *items;
    size_t count, capacity;
};
void cuts_free(struct cuts *c);
struct cut *cuts_add(struct cuts *c); /* a new one; until the next call */
void check_reads(struct world *w, const struct history *h, const struct money *m, const struct cuts *cuts);

/* --- check_state.c: all replicas of a group that have applied the same entries hold the same rows. --- */
struct cluster;
bool check_state_settled(const struct cluster *c); /* every replica has applied all that any knows to be committed */
void check_state(struct cluster *c);
void check_state_describe(const struct cluster *c); /* each replica, to the trace */

#endif
