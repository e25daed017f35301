/* Private to client/: a request, from its call to its callback. States: request.c. */
#ifndef QUORATE_CLIENT_REQUEST_H
#define QUORATE_CLIENT_REQUEST_H

#include "base/heap.h"
#include "base/list.h"
#include "client/client.h"

#define CLIENT_TEXT_BYTES 400u

struct route_range;
struct client_peer;
struct spread;
struct buckets;
/* STEP, PIECE and WATCH are parts of others: of a transaction over several ranges (spread.c), of a scan by hash (buckets.c), of a watch
 * (watch.c). */
enum request_kind {
    REQUEST_TXN,
    REQUEST_STEP,
    REQUEST_GET,
    REQUEST_SCAN,
    REQUEST_PIECE,
    REQUEST_WATCH,
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
    bool reverse, keys_only, placed;
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
        /* end: of the part of the span that was asked about; resume: with TOO_OLD */
        void (*watch)(void *ctx, const struct client_error *e, const struct watch_reply *reply, struct slice end,
                      uint64_t resume);
    } done;
    void *ctx;
    bool forgotten; /* who asked has gone: done is not called */

    /* what is asked */
    struct slice keyspace_name;
    uint32_t keyspace;
    bool keyspace_known;
    uint32_t buckets;       /* of the keyspace; 0: by range */
    uint64_t ttl_ms;        /* of the keyspace */
    bool placed;            /* keys are as the keyspace holds them */
    struct buckets *pieces; /* WAIT_PIECES */
    struct slice low, high; /* TXN: the keys it touches; GET: the key twice */
    bool has_stretch;       /* TXN: it has scanned; its stretches may lie in several ranges */
    struct slice reach;     /* TXN: the highest end of a stretch; empty: the keyspace's end */
    bool findable;          /* TXN: who asked can find out what became of it */
    bool has_id;            /* TXN: may be repeated after it may have happened */
    const struct txn *txn;  /* TXN, until it is encoded: a copy in the arena */
    struct buf body;        /* TXN: encoded; META, NODE: params */
    struct slice step;      /* STEP: its body, in the arena or its spread's */
    struct spread *spread;  /* TXN, WAIT_SPREAD: over several ranges */
    uint64_t born;          /* TXN: of its first attempt over several ranges; 0: none yet */
    uint8_t txn_kind;       /* STEP: enum txn_command_kind */
    bool begins_with_pause; /* STEP */
    struct scan_state scan;
    struct {
        uint64_t after, until, poll;
        uint32_t wait_ms, limit_bytes;
    } watch;              /* WATCH; its span is scan's */
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
        struct watch_reply watch;
        struct slice payload;
    } result;
};

/* request.c */
struct request *request_new(struct client *c, enum request_kind kind, struct slice keyspace, uint32_t timeout_ms,
                            void *ctx);
void request_free(struct request *r);
void request_cancel(struct request *r); /* frees it without its callback; from anywhere but its own */
void request_refuse(struct request *r, enum status status, const char *text); /* before its first step */
void request_set_state(struct request *r, enum request_state state);
void request_ready(struct request *r);                /* is stepped in this pass, or the next */
void request_run(struct request *r, uint64_t now_ns); /* r may be gone afterwards */
enum step request_finish(struct request *r, enum status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum step request_finish_well(struct request *r);
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
void watch_encode(struct request *r, const struct route_range *range, struct buf *params, const struct routed *to);
enum step scan_take(struct request *r, struct slice payload, uint64_t now_ns);

/* buckets.c */
void buckets_free(struct request *r);

#endif
