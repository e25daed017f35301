/* A fake cluster for the router: one metadata server and some nodes on a fakenet, all over one map of rows. A hook may take
 * any request before the nodes serve it as they should. */
#ifndef QUORATE_TESTS_CLIENT_RIG_H
#define QUORATE_TESTS_CLIENT_RIG_H

#include "base/prng.h"
#include "client/client.h"
#include "lib/fakenet.h"
#include "txn/table.h"

#define MS NS_PER_MS
#define SECOND (1000 * NS_PER_MS)
#define FAKE_NODES 4u
#define FAKE_RANGES_MAX 64u
#define FAKE_KEYSPACE 5u

struct fake_row {
    struct slice key, value; /* owned; store key */
    uint64_t version;
};

struct fake_range {
    uint64_t id;
    char start[16], end[16];
    struct range_epoch epoch;
    uint64_t leader; /* node id, 0: none */
    uint64_t nodes[3];
};

struct fake_cluster;
struct fake_node {
    struct actor actor;
    struct fake_cluster *cluster;
    struct env *env;
    struct rpc_identity self;
    struct rpc_server *server;
    bool hints; /* says who leads */
    uint64_t served, asked;
    uint32_t last_deadline_ms;
};

struct fake_cluster {
    struct fakenet *net;
    struct prng prng;
    struct fake_row *rows; /* sorted */
    size_t row_count;
    struct txn_table *table;
    uint64_t ts, applied, steps;
    struct fake_range ranges[FAKE_RANGES_MAX];
    size_t range_count;
    struct fake_range known[FAKE_RANGES_MAX]; /* what the metadata service knows */
    size_t known_count;
    bool keyspace_known, keyspace_dropped;
    const char *keyspace_name; /* "bank" unless a test says otherwise */
    uint32_t keyspace_id, buckets;
    uint64_t ttl_ms;
    struct fake_node nodes[FAKE_NODES + 1]; /* by id; [0] is the metadata service */
    uint64_t map_requests;
    uint64_t newest_id;  /* of a range that was split off */
    uint64_t violations; /* requests that no correct router sends */
    /* True: it has taken the request (answered, dropped or kept it). */
    bool (*hook)(struct fake_node *, struct rpc_request *, void *ctx);
    void *hook_ctx;
    struct env *env; /* the client's */
    struct client *client;
};

/* Three ranges, [, h), [h, p), [p, ), led by nodes 1, 2, 3; node 4 holds the right two. */
void fake_start(struct fake_cluster *f, uint64_t seed, size_t chunk);
void fake_stop(struct fake_cluster *f); /* fails the test when there were violations */

/* As an apply does it; the encoded result is appended. */
void fake_apply(struct fake_cluster *f, struct slice encoded, struct buf *result);
void fake_serve(struct fake_node *n, struct rpc_request *r); /* as a node should; answers r */
void fake_answer(struct rpc_request *r, const struct buf *payload);
void fake_refuse(struct rpc_request *r, enum status status, bool unknown, uint64_t hint);

struct fake_range *fake_range_of_id(struct fake_cluster *f, uint64_t id);      /* NULL: there is none */
struct fake_range *fake_range_of_key(struct fake_cluster *f, const char *key); /* NULL: there is none */
void fake_sync(struct fake_cluster *f);                                        /* the metadata service learns all */
/* Cuts the range that holds key; the new right part has the next free id. */
void fake_split(struct fake_cluster *f, const char *key);
/* Joins the range that starts at key to its left neighbour. */
void fake_merge(struct fake_cluster *f, const char *key);

/* --- requests and what came of them --- */

struct outcome {
    unsigned done;
    enum status status; /* of the error, or of the result when that is OK */
    bool served;        /* the error was STATUS_OK */
    bool unknown;
    bool found, replayed;
    char value[64];
    char message[512];
    uint64_t at_ns;
    struct fake_cluster *f;
    /* scans */
    char keys[2048]; /* separated by blanks */
    size_t row_count;
    bool more;
};

/* The client's callbacks; ctx is the outcome, which must not have ended before. */
void outcome_note(struct outcome *o, const struct client_error *e);
void outcome_on_txn(void *ctx, const struct client_error *e, const struct txn_result *result);
void outcome_on_get(void *ctx, const struct client_error *e, const struct get_reply *reply);
void outcome_on_scan(void *ctx, const struct client_error *e, const struct scan_reply *reply);

/* An add on a counter, with number as its id unless that is 0. */
void fake_start_add(struct fake_cluster *f, struct outcome *o, const char *key, int delta, uint64_t number,
                    uint32_t timeout_ms);
void fake_start_get(struct fake_cluster *f, struct outcome *o, const char *key, uint32_t timeout_ms);
void fake_wait(struct fake_cluster *f, struct outcome *o, uint64_t span_ns); /* fails the test when it takes longer */
/* Start, and wait. */
void fake_add(struct fake_cluster *f, struct outcome *o, const char *key, int delta, uint64_t number);
void fake_get(struct fake_cluster *f, struct outcome *o, const char *key);
struct client_stats fake_stats(const struct fake_cluster *f);

#endif
