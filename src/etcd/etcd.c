/* The life of the surface and of a call: routes, answers, refusals. */
#include "etcd/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/mem.h"
#include "gateway/codec.h"
#include "gateway/json_out.h"

#define ARENA_BYTES 960u /* with what the allocator adds, still of the sizes that it has at hand */

/* --- refusals --- */

#define REFUSALS(X)                                                                                                    \
    X(EMPTY_KEY, INVALID_ARGUMENT, "etcdserver: key is not provided")                                                  \
    X(KEY_NOT_FOUND, INVALID_ARGUMENT, "etcdserver: key not found")                                                    \
    X(VALUE_PROVIDED, INVALID_ARGUMENT, "etcdserver: value is provided")                                               \
    X(LEASE_PROVIDED, INVALID_ARGUMENT, "etcdserver: lease is provided")                                               \
    X(TOO_MANY_OPS, INVALID_ARGUMENT, "etcdserver: too many operations in txn request")                                \
    X(DUPLICATE_KEY, INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request")                               \
    X(TOO_LARGE, INVALID_ARGUMENT, "etcdserver: request is too large")                                                 \
    X(LEASE_NOT_FOUND, NOT_FOUND, "etcdserver: requested lease not found")                                             \
    X(LEASE_EXISTS, FAILED_PRECONDITION, "etcdserver: lease already exists")                                           \
    X(LEASE_TTL, OUT_OF_RANGE, "etcdserver: too large lease TTL")                                                      \
    X(COMPACTED, OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")                               \
    X(FUTURE, OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision")                                \
    X(TIMEOUT, UNAVAILABLE, "etcdserver: request timed out")                                                           \
    X(MEMBER_NOT_FOUND, NOT_FOUND, "etcdserver: member not found")                                                     \
    X(NOT_CHANGED_HERE, UNIMPLEMENTED, "members are changed with `quorate nodes`")                                     \
    X(FORBIDDEN, PERMISSION_DENIED, "etcdserver: permission denied")                                                   \
    X(USER_EMPTY, INVALID_ARGUMENT, "etcdserver: user name is empty")                                                  \
    X(STOPPED, UNAVAILABLE, "etcdserver: server stopped")                                                              \
    X(DEADLINE, DEADLINE_EXCEEDED, "context deadline exceeded")                                                        \
    X(TOKEN, UNAUTHENTICATED, "etcdserver: invalid auth token")                                                        \
    X(LEADER_LEFT, UNKNOWN, "election: session expired")                                                               \
    X(BAD_SORT, INVALID_ARGUMENT, "etcdserver: invalid sort option")
#define REFUSAL(name, grpc, message) const struct etcd_error ERR_##name = {.code = GRPC_##grpc, .text = message};
REFUSALS(REFUSAL)
#undef REFUSAL

int etcd_http_code(enum grpc_code code)
{
    static const int codes[] = {200, 408, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401};
    return codes[code];
}

struct etcd_error etcd_error_of(struct etcd *e, const struct client_error *err)
{
    if (err->status == STATUS_NOT_FOUND && e->keyspace == KEYSPACE_THERE)
        e->keyspace = KEYSPACE_UNKNOWN; /* it was dropped: the next request makes it anew */
    switch ((int)err->status) {
    case STATUS_TOO_OLD: return ERR_COMPACTED;
    case STATUS_INVALID: return ERR_FUTURE;
    case STATUS_TOO_LARGE: return ERR_TOO_LARGE;
    case STATUS_BUSY: return (struct etcd_error){GRPC_RESOURCE_EXHAUSTED, "etcdserver: too many requests"};
    case STATUS_CLOSED: return ERR_STOPPED;
    default: return ERR_TIMEOUT;
    }
}

/* --- the end of a call --- */

void ecall_end(struct ecall *c)
{
    list_remove(&c->link);
    list_remove(&c->wait);
    heap_remove(&c->etcd->deadlines, &c->deadline);
    auth_last_end(&c->lasting);
    c->etcd->call_count--;
    arena_free(&c->arena);
    arena_free(&c->look);
    mem_free(c);
}

static void reply(struct ecall *c, int code, const char *type, struct slice body)
{
    struct http_header headers[] = {{.name = "Grpc-Metadata-Content-Type", .value = "application/grpc"},
                                    {.name = "Access-Control-Allow-Origin", .value = "*"}};
    struct http_reply_head head = {.code = code, .content_type = type, .headers = headers, .header_count = 2};
    struct http_request *http = c->http;
    c->http = NULL;
    if (http == NULL) return;
    auth_count(c->etcd->auth, slice_str(c->user), body.size);
    c->etcd->env->http->ops->reply(http, &head, body);
}

void ecall_answer(struct ecall *c, struct buf *body)
{
    if (body->overflow)
        reply(c, 429, "application/json",
              slice_str("{\"error\":\"grpc: received message larger than max\",\"code\":8,\"message\":\"grpc: received "
                        "message larger than max\"}"));
    else
        reply(c, 200, "application/json", buf_slice(body));
    buf_free(body);
    ecall_end(c);
}

static void write_error(struct buf *b, enum grpc_code code, const char *text)
{
    struct slice message = slice_str(text);
    if (!utf8_valid(message)) message = slice_str("the request is malformed");
    json_open(b, '{');
    json_key(b, "error");
    json_text(b, message);
    json_key(b, "code");
    json_u64(b, (uint64_t)code);
    json_key(b, "message");
    json_text(b, message);
    json_close(b, '}');
}

static void reply_error(struct ecall *c, enum grpc_code code, const char *text)
{
    struct buf b;
    buf_init(&b, 65536);
    write_error(&b, code, text);
    reply(c, etcd_http_code(code), "application/json", buf_slice(&b));
    buf_free(&b);
}

void ecall_reply_error(struct ecall *c, const struct etcd_error *why)
{
    reply_error(c, why->code, why->text);
}

void ecall_refuse_text(struct ecall *c, enum grpc_code code, const char *text)
{
    if (c->streaming) {
        ecall_stream_error(c, code, text);
        return;
    }
    reply_error(c, code, text);
    ecall_end(c);
}

void ecall_refuse(struct ecall *c, const struct etcd_error *why)
{
    ecall_refuse_text(c, why->code, why->text);
}

void ecall_fail(struct ecall *c, const struct client_error *e)
{
    struct etcd_error why = etcd_error_of(c->etcd, e);
    ecall_refuse(c, &why);
}

void ecall_text(struct ecall *c, int code, const char *type, struct slice body)
{
    reply(c, code, type, body);
    ecall_end(c);
}

/* --- streams --- */

void ecall_stream(struct ecall *c, void (*gone)(struct ecall *c))
{
    struct http_header headers[] = {{.name = "Grpc-Metadata-Content-Type", .value = "application/grpc"},
                                    {.name = "Access-Control-Allow-Origin", .value = "*"}};
    struct http_reply_head head = {
        .code = 200, .content_type = "application/json", .headers = headers, .header_count = 2};
    c->gone = gone;
    c->streaming = true;
    stream_open(&c->stream, &c->etcd->streams, c->http, &head);
    c->http = NULL;
    ecall_last(c);
}

void ecall_send(struct ecall *c, struct slice piece)
{
    stream_send(&c->stream, piece);
    auth_count(c->etcd->auth, slice_str(c->user), piece.size);
}

void ecall_stream_error(struct ecall *c, enum grpc_code code, const char *text)
{
    struct buf b;
    buf_init(&b, 65536);
    buf_printf(&b, "{\"error\":{\"grpc_code\":%u,\"http_code\":%d,\"message\":", (unsigned)code, etcd_http_code(code));
    json_text(&b, slice_str(text));
    buf_append_str(&b, "}}\n");
    stream_send(&c->stream, buf_slice(&b));
    buf_free(&b);
    stream_end(&c->stream);
    c->streaming = false;
    if (c->gone != NULL)
        c->gone(c);
    else
        ecall_end(c);
}

void etcd_saw(struct etcd *e, uint64_t revision)
{
    if (revision > e->newest) e->newest = revision;
}

/* --- routes --- */

static const struct {
    const char *path;
    void (*run)(struct ecall *c, const struct json_node *body);
} ROUTES[] = {
    {"kv/range", serve_range},
    {"kv/put", serve_put},
    {"kv/deleterange", serve_delete},
    {"kv/txn", serve_txn},
    {"kv/compaction", serve_compaction},
    {"lease/grant", serve_lease_grant},
    {"lease/revoke", serve_lease_revoke},
    {"kv/lease/revoke", serve_lease_revoke},
    {"lease/keepalive", serve_lease_keepalive},
    {"lease/timetolive", serve_lease_ttl},
    {"kv/lease/timetolive", serve_lease_ttl},
    {"lease/leases", serve_lease_list},
    {"kv/lease/leases", serve_lease_list},
    {"watch", serve_watch},
    {"lock/lock", serve_lock},
    {"lock/unlock", serve_unlock},
    {"election/campaign", serve_campaign},
    {"election/proclaim", serve_proclaim},
    {"election/leader", serve_leader},
    {"election/observe", serve_observe},
    {"election/resign", serve_resign},
    {"cluster/member/list", serve_member_list},
    {"cluster/member/add", serve_member_change},
    {"cluster/member/remove", serve_member_change},
    {"cluster/member/update", serve_member_change},
    {"cluster/member/promote", serve_member_change},
    {"maintenance/status", serve_status},
    {"maintenance/alarm", serve_alarm},
    {"maintenance/hash", serve_hash},
    {"maintenance/hashkv", serve_hash},
    {"maintenance/snapshot", serve_snapshot},
    {"maintenance/defragment", serve_defragment},
    {"maintenance/transfer-leadership", serve_member_change},
    {"auth/status", serve_auth},
    {"auth/enable", serve_auth},
    {"auth/disable", serve_auth},
    {"auth/authenticate", serve_auth},
    {"auth/user/add", serve_auth},
    {"auth/user/get", serve_auth},
    {"auth/user/list", serve_auth},
    {"auth/user/delete", serve_auth},
    {"auth/user/changepw", serve_auth},
    {"auth/user/grant", serve_auth},
    {"auth/user/revoke", serve_auth},
    {"auth/role/add", serve_auth},
    {"auth/role/get", serve_auth},
    {"auth/role/list", serve_auth},
    {"auth/role/delete", serve_auth},
    {"auth/role/grant", serve_auth},
    {"auth/role/revoke", serve_auth},
};

static bool is_probe(struct slice path)
{
    static const char *const probes[] = {"/health", "/livez", "/readyz/", "/version"};
    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
        if (slice_eq(path, slice_str(probes[i]))) return true;
    }
    return slice_starts(path, slice_str("/livez/")) || slice_starts(path, slice_str("/readyz/"));
}

static struct slice below(struct slice path)
{
    static const char *const prefixes[] = {"/v3/", "/v3beta/", "/v3alpha/"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        size_t n = strlen(prefixes[i]);
        if (slice_starts(path, slice_str(prefixes[i]))) return slice_make(path.data + n, path.size - n);
    }
    return SLICE_EMPTY;
}

static bool etcd_takes(struct slice path, struct slice query)
{
    if (slice_eq(path, slice_str("/readyz"))) return probe_is_asked_in_etcds_words(query);
    return below(path).size > 0 || is_probe(path);
}

/* --- what must be known before anything is served: the keyspace is there, and which cluster this is --- */

static void run_waiting(struct etcd *e, const struct client_error *why)
{
    struct list *it;
    while ((it = list_pop_front(&e->waiting)) != NULL) {
        struct ecall *c = LIST_ENTRY(it, struct ecall, wait);
        if (c->http == NULL) /* it has left meanwhile: nothing was begun */
            ecall_end(c);
        else if (why != NULL)
            ecall_fail(c, why);
        else
            c->run(c, c->tree);
    }
}

static void cluster_known(void *ctx, const struct client_error *err, struct slice payload)
{
    struct etcd *e = ctx;
    struct meta_status_reply status;
    struct arena a;
    arena_init(&a, 1024);
    bool good = err->status == STATUS_OK && unpack_meta_status_reply(payload, &a, &status) == STATUS_OK;
    if (good) {
        e->cluster_id = le_u64(status.cluster.bytes);
        e->term = status.term;
    }
    arena_free(&a);
    e->keyspace = good ? KEYSPACE_THERE : KEYSPACE_UNKNOWN;
    run_waiting(e, good ? NULL : err);
}

static void keyspace_made(void *ctx, const struct client_error *err, struct slice payload)
{
    struct etcd *e = ctx;
    (void)payload;
    if (err->status != STATUS_OK && err->status != STATUS_EXISTS) {
        e->keyspace = KEYSPACE_UNKNOWN;
        run_waiting(e, err);
        return;
    }
    client_meta(e->client, METHOD_META_STATUS, SLICE_EMPTY, ETCD_CALL_MS, cluster_known, e);
}

static void make_keyspace(struct etcd *e)
{
    struct buf params;
    struct meta_keyspace_request q = {.name = etcd_keyspace};
    e->keyspace = KEYSPACE_ASKED;
    buf_init(&params, 1024);
    pack_meta_keyspace_request(&params, &q);
    client_meta(e->client, METHOD_META_KEYSPACE_CREATE, buf_slice(&params), ETCD_CALL_MS, keyspace_made, e);
    buf_free(&params);
}

/* --- requests --- */

static void start_call(struct ecall *c)
{
    struct etcd *e = c->etcd;
    struct errbuf err;
    c->body = arena_dup_slice(&c->arena, e->env->http->ops->body(c->http)); /* the call may outlive the request */
    if (c->run != serve_watch) { /* whose body is several objects, one after the other */
        bool good = ecall_read(c, &c->tree, &err) == STATUS_OK;
        if (!good || c->body.size > 0) {
            ecall_refuse_text(c, GRPC_INVALID_ARGUMENT, good ? "something follows the JSON object" : err.text);
            return;
        }
    }
    if (e->keyspace == KEYSPACE_THERE) {
        c->run(c, c->tree);
        return;
    }
    list_push_back(&e->waiting, &c->wait);
    if (e->keyspace == KEYSPACE_UNKNOWN) make_keyspace(e);
}

static void dispatch(struct ecall *c, enum http_method method, struct slice path)
{
    struct slice rest = below(path);
    if (rest.size == 0) {
        probe_health(c, path);
        return;
    }
    if (method == HTTP_OPTIONS) {
        ecall_text(c, 200, "text/plain", SLICE_EMPTY);
        return;
    }
    for (size_t i = 0; i < sizeof(ROUTES) / sizeof(ROUTES[0]); i++) {
        if (!slice_eq(rest, slice_str(ROUTES[i].path))) continue;
        c->route = ROUTES[i].path;
        c->run = ROUTES[i].run;
        if (method == HTTP_POST && ecall_take_deadline(c))
            ecall_admit(c, start_call);
        else if (method != HTTP_POST)
            ecall_text(c, 405, "text/plain; charset=utf-8", slice_str("Method Not Allowed\n"));
        return;
    }
    ecall_text(c, 404, "text/plain; charset=utf-8", slice_str("Not Found\n"));
}

static void etcd_request(void *ctx, struct http_request *http)
{
    struct etcd *e = ctx;
    const struct http_ops *ops = e->env->http->ops;
    struct ecall *c = mem_zalloc(sizeof(*c));
    c->etcd = e;
    c->http = http;
    c->timeout_ms = ETCD_CALL_MS;
    arena_init(&c->arena, ARENA_BYTES);
    arena_init(&c->look, ARENA_BYTES);
    list_init(&c->wait);
    list_push_back(&e->calls, &c->link);
    e->call_count++;
    ops->set_ctx(http, c);
    if (e->stopping) {
        ecall_refuse(c, &ERR_STOPPED);
        return;
    }
    dispatch(c, ops->method(http), ops->path(http));
}

static void etcd_gone(void *ctx, struct http_request *http)
{
    struct etcd *e = ctx;
    struct ecall *c = e->env->http->ops->get_ctx(http);
    ASSERT(c != NULL);
    c->http = NULL; /* the client's callback ends the call; a write that it started stands */
    if (!c->streaming) return;
    stream_gone(&c->stream);
    c->streaming = false;
    if (c->gone != NULL) c->gone(c);
}

static void etcd_stop(void *ctx)
{
    struct etcd *e = ctx;
    e->stopping = true;
    LIST_FOR(it, &e->calls)
    {
        struct ecall *c = LIST_ENTRY(it, struct ecall, link);
        if (c->streaming)
            ecall_stream_error(c, ERR_STOPPED.code, ERR_STOPPED.text);
        else if (c->must_leave != NULL)
            c->must_leave(c, &ERR_STOPPED);
    }
}

static bool etcd_busy(const void *ctx)
{
    const struct etcd *e = ctx;
    return e->call_count > 0;
}

struct gateway_guest etcd_guest(struct etcd *e)
{
    return (struct gateway_guest){.takes = etcd_takes,
                                  .request = etcd_request,
                                  .gone = etcd_gone,
                                  .stop = etcd_stop,
                                  .busy = etcd_busy,
                                  .ctx = e};
}

/* --- life --- */

static uint64_t etcd_pass(struct actor *a, uint64_t now_ns)
{
    struct etcd *e = LIST_ENTRY(a, struct etcd, actor);
    uint64_t deadlines[] = {deadlines_pass(e, now_ns), sweep_pass(e, now_ns), tidy_pass(e, now_ns)};
    uint64_t first_ns = DEADLINE_NONE;
    for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++)
        if (deadlines[i] < first_ns) first_ns = deadlines[i];
    return first_ns;
}

struct etcd *etcd_new(struct env *env, struct client *client, struct auth *auth, const char *address)
{
    struct etcd *e = mem_zalloc(sizeof(*e));
    e->auth = auth;
    e->env = env;
    e->client = client;
    (void)snprintf(e->address, sizeof(e->address), "%s", address);
    e->member_id = hash_bytes(slice_str(address), 3) >> 1;
    env->ops->random(env, &e->seed, sizeof(e->seed));
    list_init(&e->calls);
    list_init(&e->works);
    list_init(&e->endings);
    e->sweeper = sweeper_new();
    e->tidier = tidier_new();
    list_init(&e->waiting);
    heap_init(&e->deadlines);
    streams_init(&e->streams, env);
    list_init(&e->actor.link);
    e->actor.pass = etcd_pass;
    env->ops->attach(env, &e->actor);
    return e;
}

void etcd_free(struct etcd *e)
{
    struct client_error closed = {.status = STATUS_CLOSED, .message = SLICE_EMPTY};
    if (e == NULL) return;
    LIST_FOR(it, &e->calls)
    {
        struct ecall *c = LIST_ENTRY(it, struct ecall, link);
        if (c->streaming)
            ecall_stream_error(c, ERR_STOPPED.code, ERR_STOPPED.text);
        else
            ecall_fail(c, &closed);
    }
    works_free(e);
    endings_free(e);
    sweeper_free(e->sweeper);
    tidier_free(e->tidier);
    streams_free(&e->streams);
    heap_free(&e->deadlines);
    e->env->ops->detach(e->env, &e->actor);
    mem_free(e);
}
