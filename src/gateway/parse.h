/* Requests to actions: routing, headers, query and body, checked and in the client's terms. Pure: a struct input in, a
 * struct action out; slices of an action are borrowed from the input, its JSON tree or the arena. */
#ifndef QUORATE_GATEWAY_PARSE_H
#define QUORATE_GATEWAY_PARSE_H

#include "base/arena.h"
#include "env/http.h"
#include "gateway/endpoints.h"
#include "gateway/json_in.h"
#include "txn/txn.h"
#include "wire/messages.h"

/* What a handler may look at. Strings are NULL when the header is absent. */
struct input {
    enum http_method method;
    struct slice path, query, body;
    const char *if_match, *if_none_match, *idempotency_key, *accept, *last_event_id;
};

struct route {
    enum endpoint endpoint;
    struct slice keyspace, key; /* raw, still encoded */
};
void route_find(struct slice path, struct route *out);

struct precondition {
    bool present;
    bool any;         /* '*' */
    uint64_t version; /* when not any */
};

/* How a read is to be made, from text: the query parameters or the flags of these names. Combinations that
 * make no sense are refused. */
struct read_words {
    struct slice mode, at, max_staleness_ms, replica;
    bool has_mode, has_at, has_max_staleness_ms, has_replica;
};
MUST_CHECK enum status read_how_parse(const struct read_words *w, struct read_how *out, struct errbuf *err);

struct kv_action {
    enum http_method method;
    struct slice keyspace, key, value;
    struct precondition if_match, if_none_match;
    struct txn_id id;
    uint32_t timeout_ms; /* 0: not given */
    struct read_how how; /* GET, HEAD */
    bool has_ttl;        /* PUT; else the keyspace's */
    uint64_t ttl_ms;     /* 0: it stays */
};
MUST_CHECK enum status parse_kv(const struct input *in, const struct route *r, struct arena *a, struct kv_action *out,
                                struct errbuf *err);
/* PUT and DELETE as a transaction of one operation with its conditions as comparisons. */
void kv_action_txn(const struct kv_action *action, struct arena *a, struct txn *out);

struct scan_action {
    struct slice keyspace, start, end; /* [start, end); empty end: to the end of the keyspace */
    uint32_t limit, timeout_ms;
    bool reverse, keys_only, force_base64, lines;
    bool all;   /* pages: one after the other, as lines, as of one timestamp */
    bool empty; /* the bounds exclude everything: answer without asking */
    struct read_how how;
};
#define SCAN_LIMIT_DEFAULT 1000u
/* [start, end) cut to the keys that begin with prefix; sets `empty` when nothing is left. New bounds are in the arena. */
void scan_bounds_set(struct scan_action *action, struct slice start, struct slice end, struct slice prefix,
                     struct arena *a);
MUST_CHECK enum status parse_scan(const struct input *in, const struct route *r, struct arena *a,
                                  struct scan_action *out, struct errbuf *err);

struct txn_action {
    struct slice keyspace;
    struct txn txn;
    uint32_t timeout_ms;
    json_t *tree; /* keeps the slices alive: json_decref, also after a failure */
};
MUST_CHECK enum status parse_txn(const struct input *in, struct arena *a, struct txn_action *out, struct errbuf *err);

#define BATCH_OPS_MAX 1000u
struct batch_action {
    struct slice keyspace;
    struct txn_op *ops; /* in the arena */
    size_t count;
    struct txn_id id; /* of the whole */
    uint32_t timeout_ms;
    json_t *tree; /* keeps the slices alive: json_decref, also after a failure */
};
MUST_CHECK enum status parse_batch(const struct input *in, struct arena *a, struct batch_action *out,
                                   struct errbuf *err);

struct txn_lookup { /* GET /v1/txn/{id} */
    struct txn_id id;
    struct slice keyspace, key; /* of its first operation */
    uint32_t timeout_ms;
};
MUST_CHECK enum status parse_txn_lookup(const struct input *in, const struct route *r, struct arena *a,
                                        struct txn_lookup *out, struct errbuf *err);
struct session_begin_action {
    struct slice keyspace;
    uint32_t idle_ms; /* after which the session is given up */
    uint32_t timeout_ms;
    json_t *tree; /* NULL: no body */
};
#define SESSION_IDLE_MAX_MS 60000u /* versions are kept for about as long */
MUST_CHECK enum status parse_session_begin(const struct input *in, struct arena *a, struct session_begin_action *out,
                                           struct errbuf *err);
struct session_op { /* a step of a session: a get, put or delete, or a scan */
    bool is_scan;
    struct txn_op op;
    struct scan_action scan; /* bounds, limit and order */
};
struct session_action {
    struct session_op *ops; /* in the arena */
    size_t count;
    uint32_t timeout_ms;
    json_t *tree; /* keeps the slices alive: json_decref, also after a failure */
};
MUST_CHECK enum status parse_session(const struct input *in, struct arena *a, struct session_action *out,
                                     struct errbuf *err);
/* One operation of a transaction: {"put":{...}} and so on. */
MUST_CHECK enum status json_want_op(const struct json_at *at, struct arena *a, struct txn_op *op, struct errbuf *err);

struct keyspace_action { /* create, alter (PUT), drop (DELETE), show (GET) */
    struct slice name;
    uint32_t replication; /* 0: not given */
    struct slice *splits; /* in the arena */
    size_t split_count;
    uint32_t buckets;
    bool has_ttl;
    uint64_t ttl_ms;
    bool restore;      /* PUT with "dropped": false */
    uint64_t grace_ms; /* DELETE */
    uint32_t timeout_ms;
    json_t *tree;
};
#define DROP_GRACE_DEFAULT_MS 86400000u
MUST_CHECK enum status parse_keyspace_create(const struct input *in, struct arena *a, struct keyspace_action *out,
                                             struct errbuf *err);
/* GET, PUT and DELETE of one keyspace, by in->method. */
MUST_CHECK enum status parse_keyspace(const struct input *in, const struct route *r, struct arena *a,
                                      struct keyspace_action *out, struct errbuf *err);
/* "ttl" of a body: text as in ?ttl=, or a number of seconds. */
MUST_CHECK enum status json_want_ttl(const struct json_at *at, uint64_t *out, struct errbuf *err);

struct list_action { /* ranges, nodes, keyspaces, status: what remains is the query */
    struct slice keyspace;
    uint32_t timeout_ms;
};
MUST_CHECK enum status parse_list(const struct input *in, bool with_keyspace, struct arena *a, struct list_action *out,
                                  struct errbuf *err);

/* 32 hex digits are the id itself; any other text of 1 to 64 bytes becomes the first 16 bytes of its SHA-256. */
MUST_CHECK enum status parse_idempotency_key(struct slice text, struct txn_id *out, struct errbuf *err);
/* "123", 123, W/"123" or *. */
MUST_CHECK enum status parse_etag(const char *header, const char *text, struct precondition *out, struct errbuf *err);
struct query_param;
MUST_CHECK enum status take_flag(const struct query_param *p, bool *out,
                                 struct errbuf *err); /* true, false; alone: true */
MUST_CHECK enum status take_timeout(const struct query_param *p, uint32_t *out, struct errbuf *err);
MUST_CHECK enum status take_keyspace(struct slice raw, struct arena *a, struct slice *out, struct errbuf *err);
MUST_CHECK enum status check_keyspace_name(struct slice name, struct errbuf *err);
MUST_CHECK enum status check_key(struct slice key, struct errbuf *err);

#endif
