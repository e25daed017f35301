/* A fake cluster for the router: one metadata server and some nodes on a fakenet, all over one map of rows. A hook may take
 * any request before the nodes serve it as they should. */
#ifndef QUORATE_TESTS_CLIENT_COMMON_H
#define QUORATE_TESTS_CLIENT_COMMON_H

#include "base/assert.h"
#include "base/heap.h"
#include "base/mem.h"
#include "client/client.h"
#include "lib/fakenet.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define MS NS_PER_MS
#define SECOND (1000 * NS_PER_MS)
#define NODES 4u
#define RANGES_MAX 64u
#define KEYSPACE 5u

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
    uint64_t ts, applied;
    struct fake_range ranges[RANGES_MAX];
    size_t range_count;
    struct fake_range known[RANGES_MAX]; /* what the metadata service knows */
    size_t known_count;
    bool keyspace_known;
    struct fake_node nodes[NODES + 1]; /* by id; [0] is the metadata service */
    uint64_t map_requests;
    uint64_t violations; /* requests that no correct router sends */
    /* True: it has taken the request (answered, dropped or kept it). */
    bool (*hook)(struct fake_node *, struct rpc_request *, void *ctx);
    void *hook_ctx;
    struct env *env; /* the client's */
    struct client *client;
};

static inline struct slice own(struct slice s)
{
    return mem_dup_slice(s);
}

static inline size_t row_place(const struct fake_cluster *f, struct slice key)
{
    size_t low = 0, high = f->row_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(f->rows[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static inline enum status view_get(void *ctx, struct slice key, struct txn_stored *out)
{
    const struct fake_cluster *f = ctx;
    size_t at = row_place(f, key);
    if (at == f->row_count || !slice_eq(f->rows[at].key, key)) return STATUS_NOT_FOUND;
    *out = (struct txn_stored){.version = f->rows[at].version, .value = f->rows[at].value};
    return STATUS_OK;
}

static inline void row_write(struct fake_cluster *f, const struct txn_write *w, uint64_t ts)
{
    size_t at = row_place(f, w->key);
    bool there = at < f->row_count && slice_eq(f->rows[at].key, w->key);
    if (there) {
        mem_free((void *)(uintptr_t)f->rows[at].value.data);
        f->rows[at].value = own(w->is_delete ? SLICE_EMPTY : w->value);
        f->rows[at].version = ts;
    }
    if (there && w->is_delete) {
        mem_free((void *)(uintptr_t)f->rows[at].key.data);
        mem_free((void *)(uintptr_t)f->rows[at].value.data);
        memmove(f->rows + at, f->rows + at + 1, (f->row_count - at - 1) * sizeof(*f->rows));
        f->row_count--;
    } else if (!there && !w->is_delete) {
        f->rows = mem_realloc(f->rows, (f->row_count + 1) * sizeof(*f->rows));
        memmove(f->rows + at + 1, f->rows + at, (f->row_count - at) * sizeof(*f->rows));
        f->rows[at] = (struct fake_row){.key = own(w->key), .value = own(w->value), .version = ts};
        f->row_count++;
    }
}

/* As an apply does it; the encoded result is appended. */
static inline void fake_apply(struct fake_cluster *f, struct slice encoded, struct buf *result)
{
    struct arena arena;
    arena_init(&arena, 4096);
    struct txn_view view = {.get = view_get, .ctx = f};
    struct txn_writes writes;
    uint64_t ts = ++f->ts;
    enum status s = txn_evaluate(encoded, ts, &view, &arena, &writes, result);
    ck_assert_int_eq(s, STATUS_OK);
    f->applied++;
    for (size_t i = 0; i < writes.count; i++) row_write(f, &writes.items[i], ts);
    arena_free(&arena);
}

/* --- ranges --- */

static inline void fill_desc(const struct fake_range *r, struct range_desc *d)
{
    *d = (struct range_desc){
        .id = r->id, .keyspace = KEYSPACE, .start = slice_str(r->start), .end = slice_str(r->end), .epoch = r->epoch};
    for (unsigned i = 0; i < 3; i++) {
        if (r->nodes[i] == 0) continue;
        d->replicas[d->replica_count++] =
            (struct range_replica){.node_id = r->nodes[i], .replica_id = r->id * 10 + i, .role = 1};
    }
}

static inline struct fake_range *range_of_id(struct fake_cluster *f, uint64_t id)
{
    for (size_t i = 0; i < f->range_count; i++) {
        if (f->ranges[i].id == id) return &f->ranges[i];
    }
    return NULL;
}

static inline struct fake_range *range_of_key(struct fake_cluster *f, const char *key)
{
    for (size_t i = 0; i < f->range_count; i++) {
        struct range_desc d;
        fill_desc(&f->ranges[i], &d);
        if (range_desc_contains(&d, KEYSPACE, slice_str(key))) return &f->ranges[i];
    }
    return NULL;
}

/* The metadata service learns all. */
static inline void fake_sync(struct fake_cluster *f)
{
    memcpy(f->known, f->ranges, sizeof(f->ranges));
    f->known_count = f->range_count;
}

/* Cuts the range that holds key; the new right part has the next free id. */
static inline void fake_split(struct fake_cluster *f, const char *key)
{
    struct fake_range *left = range_of_key(f, key);
    if (f->range_count == RANGES_MAX || left == NULL || strcmp(left->start, key) == 0) return;
    struct fake_range *right = &f->ranges[f->range_count];
    uint64_t id = 0;
    for (size_t i = 0; i < f->range_count; i++) id = f->ranges[i].id > id ? f->ranges[i].id : id;
    *right = *left;
    right->id = id + 1;
    left->epoch.version = ++right->epoch.version;
    (void)snprintf(right->start, sizeof(right->start), "%s", key);
    (void)snprintf(left->end, sizeof(left->end), "%s", key);
    f->range_count++;
}

/* Joins the range that starts at key to its left neighbour. */
static inline void fake_merge(struct fake_cluster *f, const char *key)
{
    struct fake_range *left = NULL, *right = NULL;
    for (size_t i = 0; i < f->range_count; i++) {
        if (strcmp(f->ranges[i].end, key) == 0) left = &f->ranges[i];
        if (strcmp(f->ranges[i].start, key) == 0) right = &f->ranges[i];
    }
    if (left == NULL || right == NULL || key[0] == '\0') return;
    left->epoch.version = (left->epoch.version > right->epoch.version ? left->epoch.version : right->epoch.version) + 1;
    (void)snprintf(left->end, sizeof(left->end), "%s", right->end);
    *right = f->ranges[--f->range_count];
}

/* --- the nodes --- */

static inline void refuse(struct rpc_request *r, enum status status, bool unknown, uint64_t hint)
{
    struct reply_head head = {.status = status,
                              .unknown_outcome = unknown,
                              .leader_hint = hint,
                              .message = slice_str("as the test says"),
                              .payload = SLICE_EMPTY};
    rpc_reply(r, &head);
}

static inline void answer(struct rpc_request *r, const struct buf *payload)
{
    struct reply_head head = {.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(payload)};
    rpc_reply(r, &head);
}

static inline void mismatch(struct fake_cluster *f, struct rpc_request *r)
{
    struct range_desc descs[RANGES_MAX];
    for (size_t i = 0; i < f->range_count; i++) fill_desc(&f->ranges[i], &descs[i]);
    struct reply_head head = {.status = STATUS_EPOCH_MISMATCH,
                              .message = SLICE_EMPTY,
                              .ranges = descs,
                              .range_count = f->range_count,
                              .payload = SLICE_EMPTY};
    rpc_reply(r, &head);
}

/* Answers a request that must not be served here and now; NULL then. */
static inline struct fake_range *admit(struct fake_node *n, struct rpc_request *r, const struct routed *to)
{
    struct fake_cluster *f = n->cluster;
    struct fake_range *range = range_of_id(f, to->range_id);
    n->asked++;
    n->last_deadline_ms = to->deadline_ms;
    if (to->deadline_ms == 0) f->violations++;
    bool here = false;
    for (unsigned i = 0; range != NULL && i < 3; i++) here = here || range->nodes[i] == n->self.node_id;
    if (!here) {
        refuse(r, STATUS_RANGE_NOT_FOUND, false, 0);
    } else if (range->leader != n->self.node_id) {
        refuse(r, STATUS_NOT_LEADER, false, n->hints ? range->leader : 0);
    } else if (range->epoch.version != to->epoch.version || range->epoch.conf_ver != to->epoch.conf_ver) {
        mismatch(f, r);
    } else {
        n->served++;
        return range;
    }
    return NULL;
}

static inline void check_inside(struct fake_cluster *f, const struct fake_range *range, struct slice key)
{
    struct range_desc d;
    fill_desc(range, &d);
    if (!range_desc_contains(&d, KEYSPACE, key)) f->violations++;
}

static inline void serve_txn(struct fake_node *n, struct rpc_request *r, struct arena *arena)
{
    struct fake_cluster *f = n->cluster;
    struct txn_request m;
    ck_assert_int_eq(unpack_txn_request(r->params, arena, &m), STATUS_OK);
    const struct fake_range *range = admit(n, r, &m.to);
    if (range == NULL) return;
    struct txn t;
    struct errbuf err = {{0}};
    ck_assert_msg(txn_decode(m.txn, arena, &t, &err) == STATUS_OK, "%s", err.text);
    ck_assert_uint_eq(t.keyspace, KEYSPACE);
    struct slice low, high;
    txn_key_span(&t, &low, &high);
    check_inside(f, range, low);
    check_inside(f, range, high);
    struct buf result;
    buf_init(&result, LIMIT_FRAME_BYTES);
    fake_apply(f, m.txn, &result);
    answer(r, &result);
    buf_free(&result);
}

static inline void serve_get(struct fake_node *n, struct rpc_request *r, struct arena *arena)
{
    struct fake_cluster *f = n->cluster;
    struct get_request m;
    ck_assert_int_eq(unpack_get_request(r->params, arena, &m), STATUS_OK);
    const struct fake_range *range = admit(n, r, &m.to);
    if (range == NULL) return;
    check_inside(f, range, m.key);
    struct buf key, payload;
    buf_init(&key, 65536);
    buf_init(&payload, LIMIT_FRAME_BYTES);
    key_encode_data(&key, m.keyspace, m.key);
    struct txn_stored stored;
    struct get_reply reply = {.found = view_get(f, buf_slice(&key), &stored) == STATUS_OK, .value = SLICE_EMPTY};
    char text[I128_TEXT_MAX];
    struct row row;
    if (reply.found) {
        ck_assert_int_eq(row_decode(stored.value, &row), STATUS_OK);
        reply.value = row_value(&row, text);
        reply.version = stored.version;
    }
    pack_get_reply(&payload, &reply);
    answer(r, &payload);
    buf_free(&key);
    buf_free(&payload);
}

static inline void serve_scan(struct fake_node *n, struct rpc_request *r, struct arena *arena)
{
    struct fake_cluster *f = n->cluster;
    struct scan_request m;
    ck_assert_int_eq(unpack_scan_request(r->params, arena, &m), STATUS_OK);
    const struct fake_range *range = admit(n, r, &m.to);
    if (range == NULL) return;
    check_inside(f, range, m.start);
    if (range->end[0] != '\0' && (m.end.size == 0 || slice_cmp(m.end, slice_str(range->end)) > 0)) f->violations++;
    if (m.limit_rows == 0 || m.limit_bytes == 0) f->violations++;
    struct scan_reply reply = {.rows = arena_zalloc(arena, (f->row_count + 1) * sizeof(struct scan_row))};
    size_t bytes = 0;
    for (size_t n_row = 0; n_row < f->row_count; n_row++) {
        const struct fake_row *stored = &f->rows[m.reverse ? f->row_count - 1 - n_row : n_row];
        uint32_t keyspace;
        struct buf user;
        enum row_type type;
        struct row row;
        buf_init(&user, 65536);
        ck_assert_int_eq(key_decode(stored->key, &keyspace, &user, &type), STATUS_OK);
        struct slice key = arena_dup_slice(arena, buf_slice(&user));
        buf_free(&user);
        bool inside = slice_cmp(key, m.start) >= 0 && (m.end.size == 0 || slice_cmp(key, m.end) < 0);
        if (type != ROW_DATA || keyspace != m.keyspace || !inside) continue;
        if (reply.row_count == m.limit_rows || bytes >= m.limit_bytes) {
            reply.more = true;
            break;
        }
        ck_assert_int_eq(row_decode(stored->value, &row), STATUS_OK);
        struct slice value = m.keys_only ? SLICE_EMPTY : row_value(&row, arena_alloc(arena, I128_TEXT_MAX));
        reply.rows[reply.row_count++] = (struct scan_row){.key = key, .value = value, .version = stored->version};
        bytes += key.size + value.size;
    }
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES);
    pack_scan_reply(&payload, &reply);
    answer(r, &payload);
    buf_free(&payload);
}

static inline void serve_map(struct fake_cluster *f, struct rpc_request *r, struct arena *arena)
{
    struct meta_map_request m;
    ck_assert_int_eq(unpack_meta_map_request(r->params, arena, &m), STATUS_OK);
    f->map_requests++;
    bool mine = f->keyspace_known && (m.keyspace.size == 0 || slice_eq(m.keyspace, slice_str("bank")));
    struct keyspace_info info = {.id = KEYSPACE, .name = slice_str("bank"), .replication = 3};
    struct range_desc descs[RANGES_MAX];
    uint64_t leaders[RANGES_MAX];
    struct range_report reports[RANGES_MAX];
    memset(reports, 0, sizeof(reports));
    struct node_info nodes[NODES];
    char addresses[NODES][16];
    for (size_t i = 0; i < f->known_count; i++) {
        fill_desc(&f->known[i], &descs[i]);
        leaders[i] = f->known[i].leader;
    }
    for (unsigned i = 0; i < NODES; i++) {
        (void)snprintf(addresses[i], sizeof(addresses[i]), "node:%u", i + 1);
        nodes[i] =
            (struct node_info){.id = i + 1, .address = slice_str(addresses[i]), .host = slice_str("h"), .alive = true};
    }
    struct meta_map_reply reply = {.map_version = 1, .nodes = nodes, .node_count = NODES};
    if (mine) {
        reply.keyspaces = &info;
        reply.keyspace_count = 1;
        reply.ranges = descs;
        reply.leaders = leaders;
        reply.reports = reports;
        reply.range_count = f->known_count;
    }
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES);
    pack_meta_map_reply(&payload, &reply);
    answer(r, &payload);
    buf_free(&payload);
}

static inline void fake_serve(struct fake_node *n, struct rpc_request *r)
{
    struct arena arena;
    arena_init(&arena, 4096);
    switch ((int)r->method) {
    case METHOD_TXN: serve_txn(n, r, &arena); break;
    case METHOD_GET: serve_get(n, r, &arena); break;
    case METHOD_SCAN: serve_scan(n, r, &arena); break;
    case METHOD_META_MAP: serve_map(n->cluster, r, &arena); break;
    case METHOD_NODE_STATUS:
    case METHOD_META_STATUS: {
        struct reply_head head = {.status = STATUS_OK, .message = SLICE_EMPTY, .payload = slice_str("status")};
        rpc_reply(r, &head);
        break;
    }
    default: rpc_reply_status(r, STATUS_UNSUPPORTED, "not here"); break;
    }
    arena_free(&arena);
}

static inline void node_on_request(void *ctx, struct rpc_request *r)
{
    struct fake_node *n = ctx;
    if (n->cluster->hook != NULL && n->cluster->hook(n, r, n->cluster->hook_ctx)) return;
    fake_serve(n, r);
}

static inline uint64_t node_pass(struct actor *a, uint64_t now_ns)
{
    struct fake_node *n = LIST_ENTRY(a, struct fake_node, actor);
    rpc_server_pass(n->server, now_ns);
    rpc_server_flush(n->server);
    return now_ns + 20 * MS;
}

/* Three ranges, [, h), [h, p), [p, ), led by nodes 1, 2, 3; node 4 holds the right two. */
static inline void fake_start(struct fake_cluster *f, uint64_t seed, size_t chunk)
{
    printf("seed %llu\n", (unsigned long long)seed);
    memset(f, 0, sizeof(*f));
    prng_init(&f->prng, seed);
    f->net = fakenet_new(&(struct fakenet_options){
        .seed = seed, .delay_min_ns = 50000, .delay_max_ns = 300000, .chunk_max_bytes = chunk});
    static const char *const STARTS[] = {"", "h", "p", ""};
    for (unsigned i = 0; i < 3; i++) {
        struct fake_range *r = &f->ranges[i];
        *r = (struct fake_range){
            .id = i + 1, .epoch = {.conf_ver = 1, .version = 1}, .leader = i + 1, .nodes = {1, 2, 3}};
        if (i > 0) r->nodes[0] = 4;
        (void)snprintf(r->start, sizeof(r->start), "%s", STARTS[i]);
        (void)snprintf(r->end, sizeof(r->end), "%s", STARTS[i + 1]);
    }
    f->range_count = 3;
    f->keyspace_known = true;
    fake_sync(f);
    for (unsigned i = 0; i <= NODES; i++) {
        struct fake_node *n = &f->nodes[i];
        *n = (struct fake_node){.cluster = f, .env = fakenet_env(f->net), .hints = true, .actor = {.pass = node_pass}};
        n->self = (struct rpc_identity){.role = i == 0 ? ROLE_META : ROLE_NODE, .node_id = i == 0 ? 1 : i};
        char address[16];
        (void)snprintf(address, sizeof(address), i == 0 ? "meta:1" : "node:%u", i);
        ck_assert_int_eq(rpc_server_new(n->env, address, &n->self, node_on_request, n, &n->server, NULL), STATUS_OK);
        n->env->ops->attach(n->env, &n->actor);
    }
    f->env = fakenet_env(f->net);
    struct errbuf err;
    struct client_options o = {.meta_addresses = "meta:1", .role = ROLE_GATEWAY};
    ck_assert_int_eq(client_new(f->env, &o, &f->client, &err), STATUS_OK);
}

static inline void fake_stop(struct fake_cluster *f)
{
    ck_assert_uint_eq(f->violations, 0);
    client_free(f->client);
    for (unsigned i = 0; i <= NODES; i++) {
        f->nodes[i].env->ops->detach(f->nodes[i].env, &f->nodes[i].actor);
        rpc_server_free(f->nodes[i].server);
    }
    fakenet_free(f->net);
    for (size_t i = 0; i < f->row_count; i++) {
        mem_free((void *)(uintptr_t)f->rows[i].key.data);
        mem_free((void *)(uintptr_t)f->rows[i].value.data);
    }
    mem_free(f->rows);
}

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

static inline void note(struct outcome *o, const struct client_error *e)
{
    ck_assert_uint_eq(o->done, 0);
    o->done++;
    o->status = e->status;
    o->served = e->status == STATUS_OK;
    o->unknown = e->unknown_outcome;
    o->at_ns = fakenet_now_ns(o->f->net);
    if (o->served) ck_assert(!o->unknown);
    (void)snprintf(o->message, sizeof(o->message), "%.*s", (int)e->message.size, (const char *)e->message.data);
}

static inline void on_txn(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct outcome *o = ctx;
    note(o, e);
    ck_assert_int_eq(result != NULL, o->served);
    if (result == NULL) return;
    o->status = result->status;
    o->replayed = result->replayed;
    if (result->op_count > 0) {
        const struct txn_op_result *op = &result->ops[0];
        (void)snprintf(o->value, sizeof(o->value), "%.*s", (int)op->value.size, (const char *)op->value.data);
    }
}

static inline void on_get(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct outcome *o = ctx;
    note(o, e);
    ck_assert_int_eq(reply != NULL, o->served);
    if (reply == NULL) return;
    o->found = reply->found;
    (void)snprintf(o->value, sizeof(o->value), "%.*s", (int)reply->value.size, (const char *)reply->value.data);
}

static inline void on_scan(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct outcome *o = ctx;
    note(o, e);
    ck_assert_int_eq(reply != NULL, o->served);
    if (reply == NULL) return;
    o->more = reply->more;
    o->row_count = reply->row_count;
    size_t at = 0;
    for (size_t i = 0; i < reply->row_count; i++) {
        at += (size_t)snprintf(o->keys + at, sizeof(o->keys) - at, i > 0 ? " %.*s" : "%.*s",
                               (int)reply->rows[i].key.size, (const char *)reply->rows[i].key.data);
        ck_assert_uint_lt(at, sizeof(o->keys));
    }
    if (reply->row_count > 0) {
        (void)snprintf(o->value, sizeof(o->value), "%.*s", (int)reply->rows[0].value.size,
                       (const char *)reply->rows[0].value.data);
    }
}

static inline bool outcome_done(void *ctx)
{
    return ((struct outcome *)ctx)->done > 0;
}

static inline void make_id(struct txn_id *id, uint64_t number)
{
    memset(id, 0, sizeof(*id));
    memcpy(id->bytes, &number, sizeof(number));
}

/* An add on a counter, with number as its id unless that is 0. */
static inline void start_add(struct fake_cluster *f, struct outcome *o, const char *key, int delta, uint64_t number,
                             uint32_t timeout_ms)
{
    *o = (struct outcome){.f = f};
    struct txn_op op = {.kind = TXN_ADD, .key = slice_str(key), .delta = delta, .min = I128_MIN, .max = I128_MAX};
    struct txn t = {.ops = &op, .op_count = 1};
    make_id(&t.id, number);
    client_txn(f->client, slice_str("bank"), &t, timeout_ms, on_txn, o);
    memset(&op, 0xee, sizeof(op)); /* the request has copied what it needs */
}

static inline void start_get(struct fake_cluster *f, struct outcome *o, const char *key, uint32_t timeout_ms)
{
    *o = (struct outcome){.f = f};
    client_get(f->client, slice_str("bank"), slice_str(key), timeout_ms, on_get, o);
}

static inline void wait_for(struct fake_cluster *f, struct outcome *o, uint64_t span_ns)
{
    ck_assert(fakenet_run(f->net, outcome_done, o, span_ns));
}

static inline void add(struct fake_cluster *f, struct outcome *o, const char *key, int delta, uint64_t number)
{
    start_add(f, o, key, delta, number, 5000);
    wait_for(f, o, 6 * SECOND);
}

static inline void get(struct fake_cluster *f, struct outcome *o, const char *key)
{
    start_get(f, o, key, 5000);
    wait_for(f, o, 6 * SECOND);
}

static inline struct client_stats stats_of(const struct fake_cluster *f)
{
    struct client_stats s;
    client_stats(f->client, &s);
    return s;
}

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
