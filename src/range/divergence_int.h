/* Private to range/: what a replica knows of whether it holds what its peers hold (divergence.c), and can read it (damage.c). */
#ifndef QUORATE_RANGE_DIVERGENCE_INT_H
#define QUORATE_RANGE_DIVERGENCE_INT_H

#include "range/effects.h"

struct comparison;
struct host;
struct replica;
struct raft_entry;
struct txn_writes;

struct divergence { /* of a replica */
    struct effects effects;
    bool news;                     /* a window is complete, and nobody was told yet */
    bool lacking;                  /* DIVERGED: no difference was found, the rows are not here (merge.c) */
    bool evidence_kept;            /* DIVERGED: it may be replaced */
    bool damaged;                  /* a table that holds rows of it cannot be read (any more) */
    uint64_t at;                   /* index of the window in which it differs; 0: it does not */
    uint64_t want_at_ms;           /* DIVERGED: when to ask for a snapshot again */
    struct comparison *comparison; /* the last one that was asked for (comparison.h); NULL: none was */
};

/* An entry was applied: what that did. */
void divergence_applied(struct replica *r, const struct raft_entry *e, const struct txn_writes *w, uint64_t ts,
                        struct slice answer);
void divergence_run(struct replica *r); /* in the pass, when apply stands still: may take the replica out */
void divergence_tick(struct replica *r);
bool divergence_mutes(const struct replica *r); /* nothing of its group is sent or taken */
void divergence_rebuilt(struct replica *r);     /* a snapshot was installed */
void divergence_recall(struct host *h);         /* after opening: what an earlier run found out */
/* Out of service until a snapshot has come; `at`: the index up to which its rows are not to be relied on. */
void divergence_take_out(struct replica *r, uint64_t at);

void damage_watch(struct host *h, bool watch); /* the store tells which rows cannot be read */
void damage_run(struct replica *r);            /* in the pass, when apply stands still: may take the replica out */

#endif
