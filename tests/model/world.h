/* A small world around the transaction core: two ranges with rows, held transactions, gate and log; a timestamp counter; actors that
 * run one transaction or read each. Every step that could happen at its own time in a cluster is a move of its own. The world lies
 * in the region (region.h), so the explorer can go back. */
#ifndef QUORATE_TESTS_MODEL_WORLD_H
#define QUORATE_TESTS_MODEL_WORLD_H

#include "gate.h"
#include "txn/coordinator.h"
#include "txn/table.h"

enum {
    SHARDS = 2,
    KEYS = 4,
    ACTORS_MAX = 6,
    OPS_MAX = 4,
    REQUESTS_MAX = 40,
    ROWS_MAX = 96,
    RECOVERERS_MAX = 4,
    LOG_MAX = 48
};

enum model_op_kind { MODEL_GET = 1, MODEL_PUT, MODEL_ADD };
struct model_op {
    enum model_op_kind kind;
    unsigned key; /* 0, 1: first range; 2, 3: second */
    int value;    /* put, or what is added */
    int min;      /* of an add */
};
#define NO_MIN (-1000)

enum actor_kind { ACTOR_PLAIN = 1, ACTOR_CROSS, ACTOR_LATEST, ACTOR_SNAPSHOT };
struct actor_spec {
    enum actor_kind kind;
    struct model_op ops[OPS_MAX];
    unsigned op_count;
    unsigned client_id; /* 0: none */
    unsigned after;     /* starts after this actor (number + 1) has ended */
};

struct scenario {
    const char *name;
    struct actor_spec actors[ACTORS_MAX];
    unsigned actor_count;
    int initial[KEYS];    /* counters, where they are not 0 */
    unsigned deaths;      /* of coordinators */
    unsigned impatience;  /* Seals while the coordinator lives */
    unsigned new_leaders; /* per run */
    bool in_short_form;
    /* rules left out, to see that they are needed */
    bool no_latest_rule, no_floor, no_settling;
    bool must_fail;
};

enum actor_status {
    ACTOR_WAITING, /* not started */
    ACTOR_RUNNING,
    ACTOR_COMMITTED,
    ACTOR_REFUSED, /* a guard was false */
    ACTOR_NOTHING, /* it did not happen */
    ACTOR_UNKNOWN  /* nobody was told */
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;

struct request { /* something on its way to a range, and there */
    enum { REQUEST_FREE, REQUEST_NEW, REQUEST_ASKED, REQUEST_ISSUED, REQUEST_APPENDED, REQUEST_PARKED } state;
    unsigned shard, actor, recoverer; /* recoverer: number + 1, or 0: of the actor */
    enum txn_command_kind kind;
    struct buf body;
    uint64_t born, ts, index;
    struct gate_entry gate;
    struct txn_id waits_for;
};

struct stored { /* one version */
    struct slice key, value;
    uint64_t ts;
    bool is_delete;
};

struct shard {
    struct txn_table *table;
    struct gate *gate;
    struct stored rows[ROWS_MAX];
    unsigned row_count;
    unsigned log[LOG_MAX]; /* requests that are appended and not applied */
    unsigned log_count;
    uint64_t index;
};

struct reading { /* of one range */
    enum { READ_NEW, READ_GATE, READ_LOCKS, READ_DONE } state;
    struct gate_read gate;
    uint64_t limit;
};

struct actor {
    enum actor_status status;
    unsigned before; /* bits: actors that had ended when this one started */
    bool ended;
    int seen[OPS_MAX];
    bool sum_known[OPS_MAX];
    bool dead;
    struct txn_id attempt;
    struct coordinator *coordinator;
    uint64_t ways; /* hash of what the coordinator has been told, for the fingerprint */
    uint64_t snapshot_ts;
    struct reading reads[SHARDS];
};

struct recoverer {
    struct coordinator *coordinator;
    struct txn_id attempt;
    uint64_t ways;
    bool ended;
};

struct world {
    const struct scenario *scenario;
    uint64_t next_ts;
    struct shard shards[SHARDS];
    struct request requests[REQUESTS_MAX];
    struct actor actors[ACTORS_MAX];
    struct recoverer recoverers[RECOVERERS_MAX];
    unsigned recoverer_count;
    unsigned deaths, impatience, new_leaders;
};

enum move_kind {
    MOVE_START,
    MOVE_ASK,
    MOVE_ISSUE,
    MOVE_APPEND,
    MOVE_APPLY,
    MOVE_READ,
    MOVE_RECOVER,
    MOVE_DIE,
    MOVE_NEW_LEADER
};
struct move {
    enum move_kind kind;
    unsigned a, b;
};
enum { MOVES_MAX = 96 };

struct world *world_new(const struct scenario *s);
unsigned world_moves(struct world *w, struct move out[MOVES_MAX]);
void world_do(struct world *w, const struct move *m);
uint64_t world_fingerprint(const struct world *w);
void move_text(const struct world *w, const struct move *m, char *text, size_t size);
/* Nothing is left to do: everything must have come to its end. */
void world_check_end(const struct world *w);
int world_value(const struct world *w, unsigned key, uint64_t ts);

/* shards.c */
void shard_init(struct world *w, unsigned shard);
unsigned request_new(struct world *w, unsigned shard, enum txn_command_kind kind);
bool request_moves(const struct world *w, unsigned request, struct move *out);
void request_ask(struct world *w, unsigned request);
void request_issue(struct world *w, unsigned request);
void request_append(struct world *w, unsigned request);
void request_free(struct world *w, unsigned request);
void shard_apply(struct world *w, unsigned shard);
void shard_new_leader(struct world *w, unsigned shard, bool keep);
struct slice model_user_key(unsigned key);
unsigned shard_of(unsigned key);
uint64_t shard_fingerprint(const struct world *w, unsigned shard, uint64_t seed);
struct txn_view shard_view(struct world *w, unsigned shard);

/* actors.c: an answer has come, or none will */
void actor_answered(struct world *w, unsigned request, struct slice answer);
void actor_lost(struct world *w, unsigned request, bool unknown);
void actor_blocked(struct world *w, unsigned request); /* a younger Prepare that met a lock */
void reads_go_on(struct world *w);
void actor_start(struct world *w, unsigned actor);
void actor_read(struct world *w, unsigned actor, unsigned shard);
bool actor_may_read(const struct world *w, unsigned actor, unsigned shard);
void actor_die(struct world *w, unsigned actor, bool drop);
void recoverer_start(struct world *w, const struct txn_id *id, uint64_t born);

/* check.c: is there an order of the transactions that explains what was seen and agrees with real time? */
bool history_explained(const struct world *w);
uint64_t history_hash(const struct world *w);
void history_print(const struct world *w);

#endif
