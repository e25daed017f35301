/* Shared by table.c, locks.c, held.c, participant.c and evaluate.c. */
#ifndef QUORATE_TXN_TABLE_INT_H
#define QUORATE_TXN_TABLE_INT_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "txn/table.h"
#include "txn/txn_int.h"

/* SETTLED: committed, and decided everywhere; kept until the horizon has passed for a coordinator that does not know yet. */
enum held_state { HELD_PREPARED = 1, HELD_COMMITTED, HELD_ABORTED, HELD_SETTLED };

/* Shared and exclusive holds are locks. A reservation is the guarded add of a held transaction: undecided while that is
 * prepared; decided, and not yet in the counter's row, when it has committed. */
enum hold_mode { HOLD_SHARED = 1, HOLD_EXCLUSIVE, HOLD_RESERVED };
struct hold {
    enum hold_mode mode;
    struct held *txn;
    struct lock_key *at;
    struct list link; /* in at->locks or at->reservations */
    i128 delta, min, max;
};

struct stretch { /* of store keys */
    struct slice from, to;
};
struct stretch_hold { /* a stretch that a prepared transaction has scanned: shared */
    struct held *txn;
    struct list link;          /* in the table's stretches */
    struct stretch_hold *next; /* of the same transaction */
    struct stretch stretch;    /* its bytes behind the struct */
};

struct lock_key {     /* a store key that is held */
    struct list link; /* in the table's keys */
    struct lock_key *same_hash;
    uint64_t hash;
    struct list locks;
    struct list reservations; /* by (txn->ts, txn->id) */
    bool folded_known;        /* what the counter's row holds: while it is reserved on only folding writes it */
    i128 folded;
    struct slice key; /* behind the struct */
};

enum { HOLDS_FEW = 2 };
struct held {
    struct txn_id id;
    struct held *same_hash; /* chain in the map of ids */
    enum held_state state;
    uint64_t born;
    uint64_t ts;  /* PREPARED: min_ts; COMMITTED: the commit timestamp */
    uint8_t *row; /* the value of its row, owned; held_row_decode */
    size_t row_size, row_capacity;
    struct hold *holds; /* few, or owned */
    size_t hold_count;
    struct hold few[HOLDS_FEW];
    struct stretch_hold *stretches;
    struct heap_node order; /* PREPARED: by min_ts; COMMITTED with spans, ABORTED, and SETTLED without adds: by born */
    bool commit_reads;      /* PREPARED: committing it looks at rows other than reserved counters */
    bool changed;           /* its row has to be written again; only within one entry */
    struct place place;     /* of its row in the store */
    uint64_t put_in;        /* the entry that wrote its row last: its index + 1 */
    size_t put_at;          /* and which of that entry's writes it is */
};

struct txn_table {
    struct map by_id; /* hash of the id -> chain of held */
    size_t count;
    struct held *spare; /* same_hash chain of what was removed, with their rows' memory, for the next ones */
    size_t spare_count;
    uint64_t newest;         /* the highest ts that anything held has had */
    struct heap undecided;   /* by min_ts */
    struct heap unforgotten; /* COMMITTED, and a Forget is to come: by born */
    struct heap tombstones;  /* by born; what goes when the horizon has passed */
    struct map by_key;       /* hash of the store key -> chain of struct lock_key */
    struct list keys;        /* the same, in the order of their coming: for whoever looks at a stretch, which is rare */
    struct list stretches;   /* struct stretch_hold of all that is held */
};

static inline bool txn_id_eq(const struct txn_id *a, const struct txn_id *b)
{
    return memcmp(a->bytes, b->bytes, TXN_ID_BYTES) == 0;
}

/* --- held.c: the row of a held transaction --- */
/* Its value: what is larger is refused, for it would not fit a chunk of a snapshot, behind the rows that are there already. */
#define HELD_ROW_MAX (14u << 20)
#define HELD_HEAD_BYTES 64u /* besides vote, Prepare, adds and places */
#define HELD_ADD_BYTES 26u  /* of an add, besides its key */
struct held_add {           /* COMMITTED: a reservation that is not in its counter's row yet */
    struct slice key;       /* store key */
    i128 delta;
};
struct held_row {
    enum held_state state;
    uint64_t born, ts;
    struct slice vote;    /* as encoded; COMMITTED by an entry of one range: empty */
    struct slice prepare; /* PREPARED: as encoded */
    struct slice
        low; /* COMMITTED, SETTLED: lowest user key of the part: where Forget will come; empty: nobody sends one */
    struct held_add *adds; /* COMMITTED, SETTLED */
    size_t add_count;
    struct slice spans; /* COMMITTED: where its participants are, as in its Prepare; empty: nobody sends a Forget */
};
struct slice held_row_make(struct arena *arena, const struct held_row *r);
MUST_CHECK enum status held_row_decode(struct slice value, struct arena *arena, struct held_row *out);

/* --- table.c --- */
struct held *table_find(const struct txn_table *t, const struct txn_id *id);
/* They will be looked at, with rows and locks: all of it comes to the processor at once, not each when its turn has come. */
void table_soon(const struct txn_table *t, const struct txn_id *ids, size_t count);
/* One of that id will be added, with holds on these keys. */
void table_add_soon(const struct txn_table *t, const struct txn_id *id, const struct slice *keys, size_t count);
/* What the row says becomes what is held under the id, locks and reservations included. */
MUST_CHECK enum status table_install(struct txn_table *t, const struct txn_id *id, struct slice row,
                                     struct arena *arena, struct held **out);
/* Likewise of a Prepare that is decoded: r is its row, decoded, part the transaction in it. */
struct held *table_install_prepared(struct txn_table *t, struct slice row, const struct held_row *r,
                                    const struct txn_prepare *p, const struct txn *part, struct arena *arena);
/* From PREPARED to COMMITTED: locks go, reservations stay. Its row is the caller's affair. */
void table_commit(struct txn_table *t, struct held *h, uint64_t ts);
void table_remove(struct txn_table *t, struct held *h); /* with its holds */
void table_keep_row(struct held *h, struct slice row);  /* its holds are what the new row says already */

/* Whom the transaction meets, whatever becomes of it: all keys of both branches; NULL: nobody. */
const struct held *table_meets(const struct txn_table *t, const struct txn *txn, bool adds_lock);

/* --- locks.c --- */
enum access { ACCESS_READ = 1, ACCESS_WRITE, ACCESS_ADD };
struct lock_key *locks_find(const struct txn_table *t,
                            struct slice store_key);                /* NULL: nobody holds it; t may be NULL */
void locks_soon(const struct txn_table *t, struct slice store_key); /* it will be looked for */
/* Whom the access has to wait for; NULL: nobody. self's holds do not count. */
const struct held *locks_conflict(const struct txn_table *t, struct slice store_key, enum access access,
                                  const struct held *self);
/* Likewise; k is what is held there. */
const struct held *locks_conflict_at(const struct txn_table *t, const struct lock_key *k, struct slice store_key,
                                     enum access access, const struct held *self);
struct stretch stretch_of(struct arena *arena, uint32_t keyspace, const struct txn_compare *c);
/* Whom a read of the stretch has to wait for; NULL: nobody. */
const struct held *locks_stretch_conflict(const struct txn_table *t, const struct stretch *s, const struct held *self);
void locks_take_stretch(struct txn_table *t, struct held *h, const struct stretch *s);
void locks_release_stretches(struct held *h);
void locks_reserve_room(struct held *h, size_t count); /* before the holds are taken: they must not move */
void locks_take(struct txn_table *t, struct held *h, struct slice store_key, const struct hold *like);
void locks_know_folded(struct txn_table *t, struct slice store_key, i128 folded); /* what the reserved counter holds */
void locks_release(struct txn_table *t, struct hold *hold); /* harmless for one that is not held */
void locks_sort(struct hold *reservation);                  /* its transaction's ts has changed */

/* --- escrow.c --- */
enum verdict { VERDICT_TRUE = 1, VERDICT_FALSE, VERDICT_WAIT };
struct guarded_add {
    i128 delta, min, max;
};
bool escrow_open(const struct lock_key *k); /* reservations are there; k may be NULL */
/* folded: what the counter's row holds. */
enum verdict escrow_judge(const struct lock_key *k, i128 folded, const struct guarded_add *add);
/* The oldest undecided reservation. */
const struct held *escrow_waits_for(const struct lock_key *k);

#endif
