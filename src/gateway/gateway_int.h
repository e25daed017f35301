/* What the gateway's files share: the server and a request on its way.
 *
 *   received --parse--> refused (4xx)                       one struct call each, from on_request to finish
 *       |
 *       +--> WAITING for the client --callback--> answered
 *                  |                                 ^
 *                  +-- the HTTP client leaves: http = NULL; the callback then only finishes
 */
#ifndef QUORATE_GATEWAY_GATEWAY_INT_H
#define QUORATE_GATEWAY_GATEWAY_INT_H

#include "client/watch.h"
#include "gateway/answer.h"
#include "gateway/exchange.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/page.h"
#include "gateway/session.h"
#include "gateway/stream.h"
#include "ledger/ledger.h"

struct gateway {
    struct env *env;
    struct client *client;
    struct ledger *ledger;
    struct gateway_options options;
    struct http_server *server;
    struct list calls; /* under way */
    struct list spare; /* finished structs, kept with their arenas */
    size_t spare_count;
    bool stopping;
    uint64_t ready_until_ns; /* /readyz was fine and is answered from memory until then */
    uint64_t ready_ranges;
    struct metrics metrics;
    uint64_t id_base, id_count; /* request ids */
    struct page page;           /* the console */
    struct streams streams;
    struct list lasting;                 /* struct call: watches */
    struct list sessions, sessions_over; /* struct session; those that are over: the oldest first */
    struct map sessions_over_by_id;
    size_t session_count; /* not those that are over */
};

struct call {
    struct list link;
    struct gateway *gateway;
    struct http_request *http; /* NULL: the HTTP client has left, or it was answered */
    enum endpoint endpoint;
    enum http_method method;
    bool lasts; /* gateway->lasting */
    uint64_t start_ns;
    struct exchange exchange;
    struct arena arena;
    struct kv_action kv; /* ENDPOINT_KV; after the client took its copy only what the answer needs is still valid: */
    struct scan_action scan;      /* method, preconditions, flags; no slices of body or path */
    uint8_t *scan_bound;          /* calls_scan.c: of the next page */
    bool scan_asking;             /* the client's callback is still to come */
    struct slice name;            /* in the arena: of a keyspace, user or role */
    char user[AUTH_NAME_MAX + 1]; /* "": nobody, because nobody asks */
    uint64_t user_epoch;          /* when it was admitted */
    struct slice status_payload;
    uint32_t timeout_ms;
    struct { /* ids of what a request creates, in the arena */
        struct ledger_id *ids;
        size_t count;
        bool single, transfers;
    } ledger;
    struct { /* calls_watch.c; not NULL: it lasts, and is not counted as under way */
        struct client_watch *watch;
        struct stream stream;
        bool streaming, force_base64;
        bool lines; /* JSON lines, in place of events */
        int code;
        struct auth_need need; /* in the arena */
        struct auth_lasting lasting;
    } watch;
    struct { /* calls_session.c */
        struct session *held;
        json_t *tree;
        struct session_op *ops;
        size_t count, at;
        bool answering;
        struct answer answer;
    } session;
};

/* calls.c */
void call_dispatch(struct call *c);
void call_send(struct call *c, struct answer *a); /* answers, and frees the answer */
void call_refuse(struct call *c, enum status s, const struct errbuf *err);
void call_fail(struct call *c, const struct client_error *e);
bool call_answers(struct call *c, const struct client_error *e,
                  struct answer *a); /* a is begun; false: it has failed */
uint32_t call_timeout(const struct call *c, uint32_t asked_ms);
void call_run(struct call *c); /* once it is known who it is from */
/* calls_auth.c */
void call_admit(struct call *c); /* call_run at once or later, or a refusal */
/* Whether whoever sent it may; false: it has been refused. */
bool call_may_key(struct call *c, enum auth_verb verb, struct slice keyspace, struct slice key);
bool call_may_span(struct call *c, enum auth_verb verb, struct slice keyspace, struct slice start, struct slice end);
bool call_may_all(struct call *c, enum auth_verb verb, struct slice keyspace); /* empty keyspace: of the cluster */
bool call_still_may(struct call *c, const struct auth_need *need);             /* of what lasts; refuses nothing */
extern const struct client_error call_revoked;                                 /* why what lasts has ended */
bool call_may_txn(struct call *c, struct slice keyspace, const struct txn *t);
void handle_auth(struct call *c, const struct input *in, const struct route *route);
/* calls_keyspace.c */
void handle_keyspace_create(struct call *c, const struct input *in);
void handle_keyspace(struct call *c, const struct input *in, const struct route *route);
/* calls_session.c */
void handle_session(struct call *c, const struct input *in, const struct route *route);
void session_call_end(struct call *c);
/* calls_batch.c */
void handle_batch(struct call *c, const struct input *in);
/* calls_operators.c */
void handle_operators(struct call *c, const struct input *in, const struct route *route);
/* calls_snapshots.c */
void handle_snapshots(struct call *c, const struct input *in, const struct route *route);
/* calls_metrics.c */
void handle_metrics_cluster(struct call *c, const struct input *in);
/* calls_watch.c */
void handle_watch(struct call *c, const struct input *in, const struct route *route);
void watch_abandon(struct call *c); /* the client has left */
void watch_stop(struct call *c);    /* the gateway goes */
/* calls_scan.c */
void handle_scan(struct call *c, const struct input *in, const struct route *route);
void scan_gone(struct call *c); /* of one that streams: the client has left */
void scan_stop(struct call *c); /* the gateway goes */
/* calls_ledger.c */
void call_ledger(struct call *c, const struct input *in, const struct route *route);
/* reply.c */
void reply_begin(struct call *c);
void reply_log(const struct call *c, const struct answer *a);
void reply_dress(struct call *c, struct answer *a);   /* the headers that every answer has */
void reply_send(struct call *c, struct answer *a);    /* somebody listens, until now */
void reply_piece(struct call *c, struct slice piece); /* of a stream */
void handle_options(struct call *c);
/* gateway.c */
void call_lasts(struct call *c);                    /* it is not waited for, nor counted as under way, any more */
void call_done(struct call *c, int code);           /* counts and ends a call that was answered otherwise */
void call_answer(struct call *c, struct answer *a); /* sends (if somebody still listens), counts, ends the call */

#endif
