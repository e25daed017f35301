/* What the files of etcd/ share.
 *
 *   received --parse--> refused            a struct ecall each, from on_request to its answer
 *       |
 *       +--> waits for the client, perhaps several times --> answered
 *       +--> STREAMING (watch, keepalive, observe, snapshot) --> ended, or the HTTP client leaves
 */
#ifndef QUORATE_ETCD_ETCD_INT_H
#define QUORATE_ETCD_ETCD_INT_H

#include "base/heap.h"
#include "client/watch.h"
#include "etcd/etcd.h"
#include "gateway/json_tree.h"
#include "gateway/stream.h"

#define ETCD_CALL_MS 7000u
#define ETCD_VALUE_MAX (LIMIT_VALUE_BYTES - REVISED_HEAD_BYTES)
#define ETCD_TXN_OPS 128u      /* in a list, as etcd's */
#define ETCD_TXN_OPS_ALL 2048u /* compares and operations of one transaction, nested ones' too */
/* Rows of the keyspace: users' keys, leases by id, what is attached to them, and our own: the first byte of the key. */
#define ROW_OF_USER 'k'
#define ROW_OF_LEASE 'l'
#define ROW_OF_ATTACHED 'm'
#define ROW_OF_SYSTEM 's'
extern const struct slice etcd_keyspace;

enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16
};
/* A refusal by name: code and text as etcd's. */
struct etcd_error {
    enum grpc_code code;
    const char *text;
};
extern const struct etcd_error ERR_EMPTY_KEY, ERR_KEY_NOT_FOUND, ERR_VALUE_PROVIDED, ERR_LEASE_PROVIDED,
    ERR_TOO_MANY_OPS, ERR_DUPLICATE_KEY, ERR_TOO_LARGE, ERR_LEASE_NOT_FOUND, ERR_LEASE_EXISTS, ERR_LEASE_TTL,
    ERR_COMPACTED, ERR_FUTURE, ERR_TIMEOUT, ERR_MEMBER_NOT_FOUND, ERR_NOT_CHANGED_HERE, ERR_LEADER_LEFT, ERR_BAD_SORT,
    ERR_FORBIDDEN, ERR_USER_EMPTY, ERR_TOKEN, ERR_STOPPED, ERR_DEADLINE;

struct etcd {
    struct actor actor; /* sweeps leases */
    struct env *env;
    struct client *client;
    struct auth *auth;
    char address[LIMIT_ADDRESS_BYTES];
    struct streams streams;
    struct list calls, works, endings;
    size_t call_count;
    bool stopping;
    uint64_t newest;                            /* the highest revision that was answered */
    uint64_t cluster_id, member_id, term, seed; /* of hashes: nobody outside knows which keys have the same */
    bool knows_cluster;                         /* else it is asked for */
    enum { KEYSPACE_UNKNOWN, KEYSPACE_ASKED, KEYSPACE_THERE } keyspace;
    struct list waiting;     /* struct ecall: for the keyspace to be there */
    struct sweeper *sweeper; /* lease_sweep.c */
    struct tidier *tidier;   /* lease_tidy.c */
    struct heap deadlines;   /* of calls */
};

struct ecall {
    struct list link, wait;
    struct etcd *etcd;
    struct http_request *http; /* NULL: it has left, or was answered */
    struct arena arena;
    struct arena look;      /* queue.c: of what the last look has found */
    struct json_node *tree; /* NULL: nothing was sent */
    struct slice body;      /* a copy: what has not been read of it */
    const char *route;      /* path behind the prefix */
    void (*run)(struct ecall *c, const struct json_node *body);
    struct stream stream;
    bool streaming;
    void (*gone)(struct ecall *c);    /* of a stream: frees what it holds; NULL: the client's callback ends the call */
    void (*recheck)(struct ecall *c); /* of what lasts: rights have changed; NULL: all the same */
    /* Of one that waits for others, and lasts: its token has ended, or this gateway stops. NULL: its answer is under way. */
    void (*must_leave)(struct ecall *c, const struct etcd_error *why);
    void *state;                                                     /* the handler's own, in the arena */
    void (*emit)(struct ecall *c, struct buf *b, uint64_t revision); /* what its answer has beside the header */
    uint32_t timeout_ms;
    struct heap_node deadline;    /* that the client has set (deadline.c) */
    char user[AUTH_NAME_MAX + 1]; /* who it is from; empty: rights were not asked for */
    uint64_t user_epoch;
    struct slice token;          /* that it came with; empty: none */
    struct auth_lasting lasting; /* of a stream, or of one that waits */
};

/* --- etcd.c --- */
void ecall_end(struct ecall *c);
void ecall_answer(struct ecall *c, struct buf *body); /* frees body */
void ecall_refuse(struct ecall *c, const struct etcd_error *why);
void ecall_refuse_text(struct ecall *c, enum grpc_code code, const char *text);
void ecall_fail(struct ecall *c, const struct client_error *e);
void ecall_text(struct ecall *c, int code, const char *type, struct slice body); /* no JSON, or not of gRPC */
void ecall_reply_error(struct ecall *c,
                       const struct etcd_error *why); /* answers; the call goes on without its client */
void ecall_stream(struct ecall *c, void (*gone)(struct ecall *c));
void ecall_send(struct ecall *c, struct slice piece);                            /* of a stream */
void ecall_stream_error(struct ecall *c, enum grpc_code code, const char *text); /* and ends it */
void etcd_saw(struct etcd *e, uint64_t revision);
struct etcd_error etcd_error_of(struct etcd *e, const struct client_error *err);
int etcd_http_code(enum grpc_code code);

/* --- auth.c --- */
/* Identifies who the request is from, then calls go; or refuses. */
void ecall_admit(struct ecall *c, void (*go)(struct ecall *c));
bool ecall_is_asked(const struct ecall *c);                                                             /* for rights */
bool ecall_holds(const struct ecall *c, enum auth_verb verb, struct slice key, struct slice range_end); /* now */
/* A stream, and one that waits for others, ends when whoever it is from is not known any more. */
void ecall_last(struct ecall *c);
/* False: it has been refused. The keys are a user's, as in a range request. */
bool ecall_may(struct ecall *c, enum auth_verb verb, struct slice key, struct slice range_end);

/* --- json.c --- */
/* The next object of the body; NULL: there is none. */
MUST_CHECK enum status ecall_read(struct ecall *c, struct json_node **out, struct errbuf *err);
/* A field by its proto name, or as lowerCamel. NULL: absent or null, or there is no such object. */
const struct json_node *field(const struct json_node *object, const char *name);
/* False: it is there and is not that; then the call has been refused. */
bool take_bytes(struct ecall *c, const struct json_node *object, const char *name, struct slice *out);
bool take_i64(struct ecall *c, const struct json_node *object, const char *name, int64_t *out);
bool take_bool(struct ecall *c, const struct json_node *object, const char *name, bool *out);
bool take_enum(struct ecall *c, const struct json_node *object, const char *name, const char *const *names,
               unsigned count, unsigned *out);
bool enum_of(const struct json_node *v, const char *const *names, unsigned count, unsigned *out);
bool take_text(struct ecall *c, const struct json_node *object, const char *name, struct slice *out);
void emit_header(struct etcd *e, struct buf *b, uint64_t revision); /* "header":{...} */
void emit_i64(struct buf *b, const char *name, int64_t v);          /* nothing when 0 */
void emit_u64(struct buf *b, const char *name, uint64_t v);
void emit_bytes(struct buf *b, const char *name, struct slice v); /* nothing when empty */
void emit_true(struct buf *b, const char *name, bool v);
void emit_base64(struct buf *b, struct slice v); /* a value: an element of a list */

struct ekv { /* a row of a user */
    struct slice key, value;
    uint64_t mod, created, count, lease;
};
struct ekv ekv_of(struct slice row_key, struct slice stored, uint64_t version);
void emit_ekv(struct buf *b, const struct ekv *kv, bool keys_only);
/* --- keys.c --- */
struct slice key_row(struct arena *a, char kind, struct slice key);
struct slice key_lease(struct arena *a, uint64_t id);
struct slice key_attached(struct arena *a, uint64_t id, struct slice key);
struct span { /* row keys */
    struct slice start, end;
    bool single; /* start is the key; end is empty */
    bool empty;
};
struct span span_of(struct arena *a, struct slice key, struct slice range_end);
struct span span_attached(struct arena *a, uint64_t lease);
bool span_has(const struct span *s, struct slice row_key);
/* --- handlers --- */
void serve_range(struct ecall *c, const struct json_node *body);
void serve_put(struct ecall *c, const struct json_node *body);
void serve_delete(struct ecall *c, const struct json_node *body);
void serve_txn(struct ecall *c, const struct json_node *body);
void serve_compaction(struct ecall *c, const struct json_node *body);
void serve_lease_grant(struct ecall *c, const struct json_node *body);
void serve_lease_revoke(struct ecall *c, const struct json_node *body);
void serve_lease_keepalive(struct ecall *c, const struct json_node *body);
void serve_lease_ttl(struct ecall *c, const struct json_node *body);
void serve_lease_list(struct ecall *c, const struct json_node *body);
void serve_watch(struct ecall *c, const struct json_node *body);
void serve_lock(struct ecall *c, const struct json_node *body);
void serve_unlock(struct ecall *c, const struct json_node *body);
void serve_campaign(struct ecall *c, const struct json_node *body);
void serve_proclaim(struct ecall *c, const struct json_node *body);
void serve_leader(struct ecall *c, const struct json_node *body);
void serve_observe(struct ecall *c, const struct json_node *body);
void serve_resign(struct ecall *c, const struct json_node *body);
void serve_member_list(struct ecall *c, const struct json_node *body);
void serve_member_change(struct ecall *c, const struct json_node *body);
void serve_status(struct ecall *c, const struct json_node *body);
void serve_alarm(struct ecall *c, const struct json_node *body);
void serve_hash(struct ecall *c, const struct json_node *body);
void serve_snapshot(struct ecall *c, const struct json_node *body);
void serve_defragment(struct ecall *c, const struct json_node *body);
void serve_auth(struct ecall *c, const struct json_node *body);
void probe_health(struct ecall *c, struct slice path); /* probes.c */
bool probe_is_asked_in_etcds_words(struct slice query);
bool ecall_take_deadline(struct ecall *c); /* deadline.c: of a request that has come; false: it has been refused */
uint64_t deadlines_pass(struct etcd *e, uint64_t now_ns);
uint64_t sweep_pass(struct etcd *e, uint64_t now_ns); /* lease_sweep.c */

#endif
