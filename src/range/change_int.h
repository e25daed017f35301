/* Private to range/: what entries do to a replica, and to the range itself (docs/ranges.md). */
#ifndef QUORATE_RANGE_CHANGE_INT_H
#define QUORATE_RANGE_CHANGE_INT_H

#include "range/command.h"
#include "range/host_int.h"

/* apply.c */
bool replica_apply(struct replica *r); /* true: there is more to apply at once */

/* apply_reads.c */
struct apply_view {
    struct replica *replica;
};
/* What the entry at hand has missed is wanted: */
void apply_reads_want(struct replica *r, struct slice key);
struct stretch_scan;
void apply_reads_want_stretch(struct replica *r, const struct stretch_scan *scan);
/* and fetched. True: all of it is there already; false: apply waits. */
bool apply_reads_fetch(struct replica *r, const struct raft_entry *e);
/* False: the row was not fetched for the next entry. *s: OK or NOT_FOUND. */
bool apply_reads_find(const struct replica *r, struct slice key, struct txn_stored *out, enum status *s);
struct stretch_scan { /* of a stretch of store keys, as txn_view's newest sees it */
    struct slice from, to;
    uint64_t ts, newest;
    uint32_t rows;
    struct buf at; /* where it goes on; empty: at the beginning */
};
/* STATUS_OK: it has come to the end; STATUS_MISS, STATUS_TOO_LARGE... */
enum status stretch_scan_on(struct host *h, struct stretch_scan *s, struct lsm_miss *miss);
bool apply_reads_find_stretch(const struct replica *r, const struct stretch_scan *like, uint64_t *newest,
                              enum status *s);
void apply_reads_free(struct replica *r);
void replica_reads_ready(struct replica *r);
void state_at_set(struct replica *r, struct slice key);
void replica_state_reset(struct replica *r); /* the rows were replaced: the machine's state is loaded again */

/* change.c: entries that change the range */
struct range_change {
    bool effective;
    struct range_state left; /* what this range becomes */
    bool splits;
    bool reconfigures;        /* the keys are the same, the replicas are others */
    struct range_state right; /* splits: what is born */
    uint64_t leader;          /* splits: replica that leads it first */
    struct replica *absorbs;  /* a merge: the right neighbour's replica, which has applied all */
};
struct changing { /* an entry while it is evaluated */
    struct replica *r;
    const struct range_command *command;
    uint64_t index;
    struct arena *arena;
    struct txn_writes *writes;
    struct range_change *out;
};
void change_put_write(struct changing *c, struct txn_write w);
void change_put_state(struct changing *c, const struct range_state *s, uint64_t version);
bool change_is(const struct replica *r, const struct raft_entry *e);
enum status change_evaluate(struct replica *r, const struct raft_entry *e, struct txn_writes *writes,
                            struct range_change *out);
/* A configuration entry: who holds the range becomes another. */
enum status change_config(struct replica *r, const struct raft_entry *e, struct txn_writes *writes,
                          struct range_change *out);
void change_carry_out(struct replica *r, const struct range_change *c); /* its rows are in the store */

/* merge.c */
MUST_CHECK enum status merge_evaluate(struct changing *c); /* of the kinds that merge; STATUS_MISS: it waits */
/* right is gone; left has its keys from index on */
void merge_absorb(struct replica *left, struct replica *right, uint64_t index);
/* The same by a snapshot of the left one: what was proposed to the right one may have taken effect elsewhere. */
void merge_absorb_lagging(struct replica *left, struct replica *right, uint64_t index);
void merge_wake(struct replica *right); /* it has got on, or never will: who waits to take it in looks again */
/* Groups that were taken in; their logs are dropped when the store is durably past that. */
void absorbed_step(struct host *h);
void absorbed_note(struct host *h, uint64_t group, uint64_t replica_id, uint64_t by, uint64_t index);
void absorbed_leave(struct host *h, uint64_t by); /* who took them in leaves this host: so do they, in the same batch */
bool absorbed_is_kept(const struct host *h, uint64_t group); /* its log is still needed */
void absorbed_clear(struct host *h);

/* birth.c */
#define BIRTH_INDEX 1u
#define BIRTH_TERM 1u
void birth_of(struct replica *parent, const struct range_change *c, uint64_t index);
void birth_durable(struct replica *r); /* its creation is */
/* A row of the host's own, beside those of no range: the record of a birth, until the log has it for sure. */
void birth_row_key(struct buf *key, uint64_t group);
void birth_row_value(struct buf *value, const struct range_change *c, uint64_t parent, uint64_t index);

/* waiting.c: messages for groups that may be born in a moment */
void waiting_keep(struct host *h, uint64_t from_node, uint64_t group, struct slice envelope);
void waiting_deliver(struct host *h, struct replica *r);
void waiting_expire(struct host *h);
void waiting_clear(struct host *h);
void host_take_envelope(struct host *h, uint64_t from_node, struct slice envelope);

/* boundaries.c */
void host_spans_step(struct host *h);

/* handover.c */
void handover_step(struct host *h);    /* as often as one likes; it keeps its own pace */
void handover_away(struct replica *r); /* this one, to whoever can take it */

/* recover.c */
MUST_CHECK enum status host_recover(struct host *h, struct errbuf *err);
/* What the store says of the range, in the arena. STATUS_NOT_FOUND: it is as it was created. */
MUST_CHECK enum status recover_state(struct host *h, const struct range_desc *d, struct arena *arena,
                                     struct range_state *out);

/* resolve.c */
void resolve_join(struct replica *left, const struct replica *right, uint64_t index);
void resolve_inherit(struct replica *child, const struct replica *parent);
void resolve_end(struct replica *r); /* it is about to be freed, while others may still be there */
void resolve_void(struct link *l);   /* what its node was told of ours does not stand: it is told anew */

#endif
