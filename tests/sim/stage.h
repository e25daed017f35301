/* A stage: a whole cluster on which nothing breaks by chance, for a test that says itself what happens and when. Five nodes, three
 * metadata members, three routers, one keyspace whose keys "a", "b", ... "f" lie in a range each. */
#ifndef QUORATE_TESTS_SIM_STAGE_H
#define QUORATE_TESTS_SIM_STAGE_H

#include "sim/cluster.h"

enum { STAGE_RANGES = 6, STAGE_OPS = 8, STAGE_VALUE = 48 };

struct stage {
    struct world world;
    struct cluster cluster;
};

/* The end of a call, copied. It must live until then, or as long as the stage. */
struct stage_answer {
    bool done;
    struct stage *stage;
    enum status status; /* of the call */
    bool unknown;
    uint64_t ts;        /* of the commit; of a get: the row's version */
    enum status result; /* of the transaction */
    bool replayed, succeeded;
    unsigned count;
    char values[STAGE_OPS][STAGE_VALUE]; /* "": not found */
};

void stage_init(struct stage *s, uint64_t seed);                     /* boots; a failure is told by world.failed */
void stage_init_at(struct stage *s, uint64_t seed, uint64_t now_ns); /* where the world's clock begins */
void stage_free(struct stage *s);
/* Steps until *flag is set; false: a minute has passed, or something was found wrong. */
bool stage_until(struct stage *s, const bool *flag);
void stage_run(struct stage *s, uint64_t ns);
/* The node that leads the range of that key, which must not be of a moment ago. NULL: nobody. */
struct process *stage_leader(struct stage *s, const char *key);
/* Takes it down, and lets it come back later. */
void stage_crash(struct stage *s, struct process *p);
void stage_revive(struct stage *s); /* whoever is down starts */

extern const struct slice stage_keyspace;
struct client *stage_client(struct stage *s, unsigned i);
/* Calls that go on beside what the test does; router: 0 to 2. What they point to is copied. */
void stage_txn(struct stage *s, unsigned router, const struct txn *t, struct stage_answer *out);
void stage_get(struct stage *s, unsigned router, const char *key, const struct read_how *how, struct stage_answer *out);
/* Of all keys: values are of "a" to "f". */
void stage_scan(struct stage *s, unsigned router, const struct read_how *how, bool reverse, struct stage_answer *out);
/* As long as the answer is a refusal of the moment. false: none came. */
bool stage_do(struct stage *s, unsigned router, const struct txn *t, struct stage_answer *out);
/* Numbers from 1. */
struct txn_id stage_id(uint64_t number);

#endif
