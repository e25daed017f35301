/* Private to client/: the router's parts. client.c: the interface and the pass; request.c: a request's states; attempt.c:
 * one try at one replica and what its answer means; scan.c: pages over several ranges; refresh.c: the shard map and the
 * connections to nodes. */
#ifndef QUORATE_CLIENT_CLIENT_INT_H
#define QUORATE_CLIENT_CLIENT_INT_H

#include "base/heap.h"
#include "base/list.h"
#include "client/client.h"
#include "client/routes.h"

#define CLIENT_IN_FLIGHT_MAX 4096u
#define CLIENT_PAUSE_MIN_MS 5u
#define CLIENT_PAUSE_MAX_MS 100u
#define CLIENT_TRY_MS 1000u /* a try that may be repeated elsewhere is given up then; doubled after each */
#define CLIENT_TRY_MAX_MS 8000u
#define CLIENT_REFRESH_MS 5000u   /* deadline of one refresh */
#define CLIENT_REFRESH_GAP_MS 20u /* between the starts of two refreshes, half of it at least */
#define CLIENT_KEYSPACE_MS 5000u  /* a keyspace that is used is asked for again */
#define CLIENT_MISMATCH_MAX 8u    /* news in a row without a pause */
#define CLIENT_TURNS_MAX 8u       /* of one pass */
#define CLIENT_TEXT_BYTES 400u

struct client_peer { /* a connection to a node; outlives its place in the map while calls are under way */
    struct list link;
    struct rpc_peer *rpc;
    uint64_t node_id; /* 0: of one client_node request */
    size_t calls;
    bool retired; /* freed when calls == 0 */
};

struct spread;
struct buckets;
/* STEP and PIECE are parts of others: of a transaction over several ranges (spread.c), of a scan by hash (buckets.c). */
enum request_kind {
    REQUEST_TXN,
    REQUEST_STEP,
    REQUEST_GET,
    REQUEST_SCAN,
    REQUEST_PIECE,
    REQUEST_MAP,
    REQUEST_META,
    REQUEST_NODE
};
enum request_state {
    REQUEST_NEW,
    REQUEST_ROUTING,
    REQUEST_WAIT_MAP,
    REQUEST_WAIT_REPLY,
    REQUEST_WAIT_META,
    REQUEST_WAIT_PAUSE,
    REQUEST_WAIT_SPREAD,
    REQUEST_WAIT_PIECES,
    REQUEST_DONE
};
enum step { STEP_AGAIN, STEP_WAIT, STEP_DONE };

struct scan_state {
    struct slice start, end; /* what is left of the asked span */
    uint32_t limit_rows, limit_bytes;
    bool reverse, keys_only;
    struct slice sub_start, sub_end; /* of the try under way: the part in one range */
    bool sub_last;                   /* that part reaches the end of the span */
    struct scan_row *rows;           /* of earlier ranges; keys and values in the arena */
    size_t row_count, row_capacity;
    size_t row_bytes;
    struct read_mark mark; /* of earlier ranges, the oldest */
    bool has_mark;
};

struct request {
    struct client *client;
    enum request_kind kind;
    enum request_state state;
    struct list link;       /* all requests */
    struct list wait_link;  /* ready, or waiting for the map */
    struct heap_node timer; /* WAIT_MAP, WAIT_PAUSE */
    struct arena arena;     /* everything that was given, and the answer's arrays */
    uint64_t deadline_ns;
    uint32_t timeout_ms;
    union {
        client_txn_done txn;
        client_get_done get;
        client_scan_done scan;
        client_map_done map;
        client_call_done call;
    } done;
    void *ctx;

    /* what is asked */
    struct slice keyspace_name;
    uint32_t keyspace;
    bool keyspace_known;
    uint32_t buckets;       /* of the keyspace; 0: by range */
    uint64_t ttl_ms;        /* of the keyspace */
    bool placed;            /* keys are as the keyspace holds them */
    struct buckets *pieces; /* WAIT_PIECES */
    struct slice low, high; /* TXN: the keys it touches; GET: the key twice */
    bool has_id;            /* TXN: may be repeated after it may have happened */
    const struct txn *txn;  /* TXN, until it is encoded: a copy in the arena */
    struct buf body;        /* TXN: encoded; META, NODE: params */
    struct spread *spread;  /* TXN, WAIT_SPREAD: over several ranges */
    uint64_t born;          /* TXN: of its first attempt over several ranges; 0: none yet */
    uint8_t txn_kind;       /* STEP: enum txn_command_kind */
    bool begins_with_pause; /* STEP */
    struct scan_state scan;
    struct read_how how;  /* GET, SCAN */
    bool too_old;         /* some replica no longer has what is asked for */
    enum method method;   /* META, NODE */
    struct slice address; /* NODE; NUL-terminated */

    /* the way there */
    uint64_t range_id; /* of the last try */
    struct range_epoch epoch;
    uint32_t tried;           /* replicas of that range and epoch, as bits, in this round */
    unsigned replica;         /* WAIT_REPLY: which */
    struct client_peer *peer; /* WAIT_REPLY */
    uint64_t call;            /* WAIT_REPLY: rpc call; WAIT_META: meta call */
    uint64_t map_needed;      /* number of the first refresh that began after this request came */
    bool map_fresh;           /* such a refresh of its keyspace has ended well */
    uint64_t wake_ns;         /* WAIT_PAUSE */
    unsigned rounds, tries, timeouts, mismatches;
    bool may_have_happened;           /* TXN: some try left us without a definite answer */
    bool reached;                     /* some try left us */
    char last[CLIENT_TEXT_BYTES / 2]; /* how the last try ended, for a person */

    /* the answer of the try under way, while its callback runs */
    struct {
        bool here;
        enum status status;
        bool sent;
        const struct reply_head *head;
    } answer;

    /* the end */
    enum status status;
    bool unknown_outcome;
    char text[CLIENT_TEXT_BYTES];
    union {
        struct txn_result txn;
        struct get_reply get;
        struct scan_reply scan;
        struct meta_map_reply map;
        struct slice payload;
    } result;
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
    struct list spreads;
    struct met *met;    /* spread.c: holders of locks that Prepares met; NULL: none yet */
    uint64_t newest_ts; /* timestamp seen in any answer */
    struct heap timers;
    struct prng prng;
    struct buf scratch; /* for encoding params */
    struct client_stats stats;
    bool in_pass, called; /* called: something was handed to a peer whose pass has been */

    struct { /* one refresh of the shard map at a time, for all that wait */
        struct list waiting;
        bool running;
        uint64_t started; /* how many ever; the running one's number */
        uint64_t not_before_ns;
        uint32_t keyspace_size; /* of the running one, or of the next one that nobody waits for */
        uint8_t keyspace[LIMIT_KEYSPACE_NAME];
        bool is_light;      /* the running one brings one range, and the keyspace */
        bool wanted, light; /* by requests that go on meanwhile */
        uint32_t wanted_size;
        uint8_t wanted_keyspace[LIMIT_KEYSPACE_NAME];
    } refresh;
};

/* request.c */
struct request *request_new(struct client *c, enum request_kind kind, struct slice keyspace, uint32_t timeout_ms,
                            void *ctx);
void request_free(struct request *r);
void request_refuse(struct request *r, enum status status, const char *text); /* before its first step */
void request_set_state(struct request *r, enum request_state state);
void request_ready(struct request *r);                /* is stepped in this pass, or the next */
void request_run(struct request *r, uint64_t now_ns); /* r may be gone afterwards */
enum step request_finish(struct request *r, enum status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum step request_pause(struct request *r, uint64_t now_ns);
enum step request_give_up(struct request *r);                       /* the deadline */
enum step request_wait_for_map(struct request *r, uint64_t now_ns); /* it has no range for a key */

/* attempt.c */
enum step attempt_start(struct request *r, struct route_range *range, uint64_t now_ns);
enum step attempt_take_answer(struct request *r, uint64_t now_ns);
enum step attempt_node(struct request *r);
enum step attempt_take_node_answer(struct request *r);

/* scan.c */
struct route_range *scan_route(struct request *r);
void scan_add_mark(struct request *r, const struct read_mark *mark);
void scan_encode(struct request *r, const struct route_range *range, struct buf *params, const struct routed *to);
enum step scan_take(struct request *r, struct slice payload, uint64_t now_ns);

/* buckets.c */
void buckets_free(struct request *r);

/* refresh.c */
void refresh_want(struct client *c, struct slice keyspace); /* in the background */
void refresh_keyspace_used(struct client *c, struct route_keyspace *k);
enum step refresh_wait(struct request *r);
uint64_t refresh_step(struct client *c, uint64_t now_ns); /* starts one when it is time; returns when to look again */
void refresh_learn(struct client *c, const struct meta_map_reply *map);
struct client_peer *peer_of_node(struct client *c, uint64_t node_id); /* NULL: its address is unknown */
struct client_peer *peer_new(struct client *c, const char *address, uint64_t node_id);
void peers_reap(struct client *c);

#endif
