/* Shared by the files of ledger/ that talk to the router. */
#ifndef QUORATE_LEDGER_LEDGER_INT_H
#define QUORATE_LEDGER_LEDGER_INT_H

#include "base/list.h"
#include "base/map.h"
#include "env/env.h"
#include "ledger/ledger.h"
#include "ledger/plan.h"

#define LEDGER_GETS_MAX 512u        /* of one run at a time */
#define LEDGER_RUN_WEIGHT_MAX 7000u /* operations of a run, unless a single chain is longer: about 1,000 transfers */

struct ledger_job {   /* one ledger_create_transfers */
    struct list link; /* ready or careful of the ledger, or jobs of a run */
    struct ledger_transfer *transfers;
    struct ledger_outcome *outcomes;
    size_t count;
    size_t next, until; /* [next, until) is in the run */
    uint64_t attempt;   /* random: marks the rows that it makes */
    uint64_t deadline_ns;
    bool may_have_happened; /* something of it is not known, or is done already */
    bool look_at_ids;
    struct ledger_id suspect;    /* zero: nobody */
    struct client_error refused; /* it is malformed as a whole */
    ledger_done done;
    void *ctx;
};

struct ledger_run {
    struct list link;
    struct ledger *ledger;
    struct list jobs;
    struct plan *plan;
    bool careful;
    bool look_at_ids, look_at_limits;
    struct ledger_id *suspects;
    size_t suspect_count, suspect_capacity;
    uint32_t keyspace_id; /* it is planned for */
    unsigned tries, weight;
    size_t events, chains;
    struct plan_want *wants;
    size_t want_count, want_next, gets_under_way;
    struct client_error failed; /* of a get; the text in `text` */
    char text[200];
};

struct ledger_known { /* an account: it never changes, and goes only with its keyspace */
    struct ledger_known *same_hash;
    struct ledger_account account;
    bool net_known; /* the counter that limits it, as this process saw it last; others may have changed it */
    i128 net;
};

struct ledger {
    struct actor actor;
    struct env *env;
    struct client *client;
    struct ledger_options options;
    struct slice keyspace;
    uint32_t keyspace_id;       /* of which `accounts` speak; 0: of none yet */
    struct list ready, careful; /* jobs */
    struct list runs;           /* under way */
    struct list spare;          /* runs with their plans */
    unsigned run_count, careful_count;
    unsigned weight_max; /* of a run: less where keys lie in so many ranges that a transaction cannot have them all */
    struct map accounts;
    struct arena accounts_arena;
    struct { /* timestamps got in advance */
        uint64_t next, end, got_ns, not_before_ns;
        bool asking;
    } stamps;
    struct { /* the keyspace, when it is missing */
        bool asking;
    } create;
    struct list calls; /* accounts.c, read.c, audit.c: under way */
    struct {
        uint64_t next_ns;
        bool busy;
        struct ledger_transfer *found;
        size_t count;
    } sweep;
    struct ledger_stats stats;
};

/* ledger.c */
const struct ledger_account *ledger_known_account(void *ledger, const struct ledger_id *id);
void ledger_learn_account(struct ledger *l, const struct ledger_account *a);
bool ledger_guess_net(void *ledger, const struct ledger_id *id, i128 *net);
void ledger_learn_net(struct ledger *l, const struct ledger_id *id, i128 net);
void ledger_forget_net(struct ledger *l, const struct ledger_id *id); /* it was wrong */
/* Its id; what is known of one of the same name that is no more is forgotten. 0: not known yet. */
uint32_t ledger_meet_keyspace(struct ledger *l);
uint32_t ledger_left_ms(const struct ledger *l, uint64_t deadline_ns);
/* True: a request met a keyspace that is not there, which is being created; try again soon. */
bool ledger_create_keyspace(struct ledger *l, const struct client_error *e);
/* `count` timestamps in a row; false: they have been asked for, the next pass may have them. */
bool ledger_stamps(struct ledger *l, size_t count, uint64_t *first);
bool ledger_has_stamps(struct ledger *l); /* for any run */

/* run.c */
void run_start(struct ledger *l, bool careful);
void run_free(struct ledger_run *r);
void job_free(struct ledger_job *j);
void jobs_pass(struct ledger *l, uint64_t now_ns);

/* accounts.c, read.c, audit.c: a call under way; whoever frees the ledger frees it. */
struct ledger_call {
    struct list link;
    struct ledger *ledger;
    void (*free)(struct ledger_call *c);
    void (*again)(struct ledger_call *c, uint64_t now_ns); /* in each pass while `waiting` */
    bool waiting;
    uint64_t again_ns;
};
void call_begin(struct ledger *l, struct ledger_call *c);
void call_end(struct ledger_call *c);
void call_wait(struct ledger_call *c, uint64_t ms);

/* read.c */
void item_set(struct ledger_transfer_item *item, const struct transfer_row *row, const struct resolution *by);

/* expire.c */
uint64_t expire_pass(struct ledger *l, uint64_t now_ns);

#endif
