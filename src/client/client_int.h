/* Private to client/: the router's parts. client.c: the interface and the pass; request.c: a request's states; attempt.c:
 * one try at one replica and what its answer means; scan.c: pages over several ranges; refresh.c: the shard map and the
 * connections to nodes. */
#ifndef QUORATE_CLIENT_CLIENT_INT_H
#define QUORATE_CLIENT_CLIENT_INT_H

#include "base/heap.h"
#include "base/list.h"
#include "base/spares.h"
#include "client/client.h"
#include "client/request.h"
#include "client/routes.h"

#define CLIENT_IN_FLIGHT_MAX 4096u
#define CLIENT_PAUSE_MIN_MS 5u
#define CLIENT_PAUSE_MAX_MS 100u
#define CLIENT_PAUSE_SETTLE_MS 1000u /* of a step that settles a transaction */
#define CLIENT_TRY_MS 1000u          /* a try that may be repeated elsewhere is given up then; doubled after each */
#define CLIENT_TRY_MAX_MS 8000u
#define CLIENT_REFRESH_MS 5000u   /* deadline of one refresh */
#define CLIENT_REFRESH_GAP_MS 20u /* between the starts of two refreshes, half of it at least */
#define CLIENT_KEYSPACE_MS 5000u  /* a keyspace that is used is asked for again */
#define CLIENT_MISMATCH_MAX 8u    /* news in a row without a pause */
#define CLIENT_TURNS_MAX 8u       /* of one pass */
enum { SPARES_MAX = 512, ATTEMPT_IDS = 32, CHUNK_BYTES = 960, CHUNKS_MAX = 1024 };

struct client_peer { /* a connection to a node; outlives its place in the map while calls are under way */
    struct list link;
    struct rpc_peer *rpc;
    uint64_t node_id; /* 0: of one client_node request */
    size_t calls;
    bool retired;     /* freed when calls == 0 */
    bool steps_alone; /* it knows no request of several endings */
};

struct client {
    struct actor actor;
    struct env *env;
    struct rpc_identity self;
    uint32_t in_flight_max;
    struct meta_call *meta;
    struct routes routes;
    struct map nodes; /* node id -> struct client_peer */
    struct list peers;
    struct list requests, ready;
    struct list watches, watches_ready; /* struct client_watch */
    struct list spreads;
    struct list bundles, bundles_sent;
    struct spares request_spares, spread_spares;
    struct arena_pages chunks; /* of requests, spreads and coordinators */
    struct met *met;           /* spread.c: holders of locks that Prepares met; NULL: none yet */
    uint64_t newest_ts;        /* timestamp seen in any answer */
    struct heap timers;
    struct prng prng;
    uint8_t attempt_ids[ATTEMPT_IDS * TXN_ID_BYTES]; /* random, the system's: many are asked for at once */
    unsigned attempt_ids_left;
    struct buf scratch, part; /* for encoding params, and a part of a transaction */
    struct arena scratch_arena;
    struct client_stats stats;
    uint64_t now_ns;      /* of the pass */
    bool in_pass, called; /* called: something was handed to a peer whose pass has been */

    struct { /* one refresh of the shard map at a time, for all that wait */
        struct list waiting;
        bool running;
        uint64_t started; /* how many ever; the running one's number */
        uint64_t not_before_ns;
        uint32_t keyspace_size; /* of the running one, or of the next one that nobody waits for */
        uint8_t keyspace[LIMIT_KEYSPACE_NAME];
        bool is_light;      /* the running one brings one range, and the keyspace */
        bool any;           /* the last one had no answer: a member that knows no leader will do, too */
        bool wanted, light; /* by requests that go on meanwhile */
        uint32_t wanted_size;
        uint8_t wanted_keyspace[LIMIT_KEYSPACE_NAME];
    } refresh;
};

/* Within a pass the time is that of its beginning: a clock is asked once, not for each step of each request. */
static inline uint64_t client_now_ns(const struct client *c)
{
    return c->in_pass ? c->now_ns : env_pass_ns(c->env);
}

/* client.c: client_scan, and what to cancel it by until it is done */
struct request *client_scan_start(struct client *c, struct slice keyspace, const struct client_scan *s,
                                  uint32_t timeout_ms, client_scan_done done, void *ctx);

/* bundle.c */
bool bundle_takes(const struct request *r, const struct client_peer *peer);
void bundle_add(struct request *r, struct client_peer *peer, uint64_t deadline_ns, uint64_t now_ns);
uint64_t bundles_send(struct client *c, uint64_t now_ns); /* returns when the next one is due */
void bundles_free(struct client *c);

/* refresh.c */
void refresh_want(struct client *c, struct slice keyspace); /* in the background */
void refresh_keyspace_used(struct client *c, struct route_keyspace *k);
enum step refresh_wait(struct request *r);
uint64_t refresh_step(struct client *c, uint64_t now_ns); /* starts one when it is time; returns when to look again */
void refresh_learn(struct client *c, const struct meta_map_reply *map, bool whole); /* whole: of all keyspaces */
struct client_peer *peer_of_node(struct client *c, uint64_t node_id);               /* NULL: its address is unknown */
struct client_peer *peer_new(struct client *c, const char *address, uint64_t node_id);
void peers_reap(struct client *c);

#endif
