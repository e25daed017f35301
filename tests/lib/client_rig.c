#include "lib/client_rig.h"

#include "base/mem.h"

#include <check.h>
#include <stdio.h>

static struct slice own(struct slice s)
{
    return mem_dup_slice(s);
}

static size_t row_place(const struct fake_cluster *f, struct slice key)
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

static enum status view_get(void *ctx, struct slice key, struct txn_stored *out)
{
    const struct fake_cluster *f = ctx;
    size_t at = row_place(f, key);
    if (at == f->row_count || !slice_eq(f->rows[at].key, key)) return STATUS_NOT_FOUND;
    *out = (struct txn_stored){.version = f->rows[at].version, .value = f->rows[at].value};
    return STATUS_OK;
}

static enum status view_newest(void *ctx, struct slice from, struct slice to, uint64_t ts, uint64_t *version)
{
    const struct fake_cluster *f = ctx;
    (void)ts; /* no row of the rig ends by itself, and all but data rows have versions that no test comes near */
    for (size_t i = 0; i < f->row_count; i++) {
        struct slice key = f->rows[i].key;
        if (key.data[key.size - 1] != ROW_DATA || slice_cmp(key, from) < 0 || slice_cmp(key, to) >= 0) continue;
        if (f->rows[i].version > *version) *version = f->rows[i].version;
    }
    return STATUS_OK;
}

static void row_write(struct fake_cluster *f, const struct txn_write *w, uint64_t ts)
{
    if (w->ts != 0) ts = w->ts;
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

void fake_apply(struct fake_cluster *f, struct slice encoded, struct buf *result)
{
    struct arena arena;
    arena_init(&arena, 4096);
    struct txn_view view = {.get = view_get, .newest = view_newest, .ctx = f};
    struct txn_writes writes;
    uint64_t ts = ++f->ts;
    enum status s = txn_evaluate(encoded, ts, &view, &arena, &writes, result);
    ck_assert_int_eq(s, STATUS_OK);
    f->applied++;
    for (size_t i = 0; i < writes.count; i++) row_write(f, &writes.items[i], ts);
    arena_free(&arena);
}

/* A step of a transaction over several ranges: all ranges share one table, as they share the rows. */
static bool apply_step(struct fake_cluster *f, const struct txn_request *m, struct buf *answer)
{
    struct arena arena;
    struct txn_view view = {.get = view_get, .newest = view_newest, .ctx = f};
    struct txn_writes writes;
    struct txn_command c = {.kind = (enum txn_command_kind)m->kind, .ts = ++f->ts, .txn = m->txn};
    struct txn_entry e = {.command = &c, .index = ++f->steps, .keyspace = FAKE_KEYSPACE, .range_start = SLICE_EMPTY};
    arena_init(&arena, 4096);
    ck_assert_int_eq(txn_table_apply(f->table, &e, &view, &arena, &writes, answer), STATUS_OK);
    for (size_t i = 0; i < writes.count; i++) row_write(f, &writes.items[i], c.ts);
    arena_free(&arena);
    return !txn_is_blocked(buf_slice(answer));
}

/* --- ranges --- */

static void fill_desc(const struct fake_range *r, struct range_desc *d)
{
    *d = (struct range_desc){.id = r->id,
                             .keyspace = FAKE_KEYSPACE,
                             .start = slice_str(r->start),
                             .end = slice_str(r->end),
                             .epoch = r->epoch};
    for (unsigned i = 0; i < 3; i++) {
        if (r->nodes[i] == 0) continue;
        d->replicas[d->replica_count++] =
            (struct range_replica){.node_id = r->nodes[i], .replica_id = r->id * 10 + i, .role = 1};
    }
}

struct fake_range *fake_range_of_id(struct fake_cluster *f, uint64_t id)
{
    for (size_t i = 0; i < f->range_count; i++) {
        if (f->ranges[i].id == id) return &f->ranges[i];
    }
    return NULL;
}

struct fake_range *fake_range_of_key(struct fake_cluster *f, const char *key)
{
    for (size_t i = 0; i < f->range_count; i++) {
        struct range_desc d;
        fill_desc(&f->ranges[i], &d);
        if (range_desc_contains(&d, FAKE_KEYSPACE, slice_str(key))) return &f->ranges[i];
    }
    return NULL;
}

void fake_sync(struct fake_cluster *f)
{
    memcpy(f->known, f->ranges, sizeof(f->ranges));
    f->known_count = f->range_count;
}

void fake_split(struct fake_cluster *f, const char *key)
{
    struct fake_range *left = fake_range_of_key(f, key);
    if (f->range_count == FAKE_RANGES_MAX || left == NULL || strcmp(left->start, key) == 0) return;
    struct fake_range *right = &f->ranges[f->range_count];
    for (size_t i = 0; i < f->range_count; i++) /* an id is never used again, of a merged range neither */
        f->newest_id = f->ranges[i].id > f->newest_id ? f->ranges[i].id : f->newest_id;
    *right = *left;
    right->id = ++f->newest_id;
    left->epoch.version = ++right->epoch.version;
    (void)snprintf(right->start, sizeof(right->start), "%s", key);
    (void)snprintf(left->end, sizeof(left->end), "%s", key);
    f->range_count++;
}

void fake_merge(struct fake_cluster *f, const char *key)
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

void fake_refuse(struct rpc_request *r, enum status status, bool unknown, uint64_t hint)
{
    struct reply_head head = {.status = status,
                              .unknown_outcome = unknown,
                              .leader_hint = hint,
                              .message = slice_str("as the test says"),
                              .payload = SLICE_EMPTY};
    rpc_reply(r, &head);
}

void fake_answer(struct rpc_request *r, const struct buf *payload)
{
    struct reply_head head = {.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(payload)};
    rpc_reply(r, &head);
}

static void mismatch(struct fake_cluster *f, struct rpc_request *r)
{
    struct range_desc descs[FAKE_RANGES_MAX];
    for (size_t i = 0; i < f->range_count; i++) fill_desc(&f->ranges[i], &descs[i]);
    struct reply_head head = {.status = STATUS_EPOCH_MISMATCH,
                              .message = SLICE_EMPTY,
                              .ranges = descs,
                              .range_count = f->range_count,
                              .payload = SLICE_EMPTY};
    rpc_reply(r, &head);
}

/* Answers a request that must not be served here and now; NULL then. */
static struct fake_range *admit(struct fake_node *n, struct rpc_request *r, const struct routed *to)
{
    struct fake_cluster *f = n->cluster;
    struct fake_range *range = fake_range_of_id(f, to->range_id);
    n->asked++;
    n->last_deadline_ms = to->deadline_ms;
    if (to->deadline_ms == 0) f->violations++;
    bool here = false;
    for (unsigned i = 0; range != NULL && i < 3; i++) here = here || range->nodes[i] == n->self.node_id;
    if (!here) {
        fake_refuse(r, STATUS_RANGE_NOT_FOUND, false, 0);
    } else if (range->leader != n->self.node_id) {
        fake_refuse(r, STATUS_NOT_LEADER, false, n->hints ? range->leader : 0);
    } else if (range->epoch.version != to->epoch.version || range->epoch.conf_ver != to->epoch.conf_ver) {
        mismatch(f, r);
    } else {
        n->served++;
        return range;
    }
    return NULL;
}

static void check_inside(struct fake_cluster *f, const struct fake_range *range, struct slice key)
{
    struct range_desc d;
    fill_desc(range, &d);
    if (!range_desc_contains(&d, FAKE_KEYSPACE, key)) f->violations++;
}

static void serve_txn(struct fake_node *n, struct rpc_request *r, struct arena *arena)
{
    struct fake_cluster *f = n->cluster;
    struct txn_request m;
    ck_assert_int_eq(unpack_txn_request(r->params, arena, &m), STATUS_OK);
    const struct fake_range *range = admit(n, r, &m.to);
    if (range == NULL) return;
    struct txn t;
    struct errbuf err = {{0}};
    if (m.kind > TXN_COMMAND_KIND) {
        struct buf answer;
        buf_init(&answer, LIMIT_FRAME_BYTES);
        if (apply_step(f, &m, &answer)) {
            fake_answer(r, &answer);
        } else {
            fake_refuse(r, STATUS_BLOCKED, false, 0);
        }
        buf_free(&answer);
        return;
    }
    ck_assert_msg(txn_decode(m.txn, arena, &t, &err) == STATUS_OK, "%s", err.text);
    ck_assert_uint_eq(t.keyspace, FAKE_KEYSPACE);
    struct slice low, high;
    txn_key_span(&t, &low, &high);
    check_inside(f, range, low);
    check_inside(f, range, high);
    struct buf result;
    buf_init(&result, LIMIT_FRAME_BYTES);
    fake_apply(f, m.txn, &result);
    fake_answer(r, &result);
    buf_free(&result);
}

static void serve_get(struct fake_node *n, struct rpc_request *r, struct arena *arena)
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
    fake_answer(r, &payload);
    buf_free(&key);
    buf_free(&payload);
}

static void serve_scan(struct fake_node *n, struct rpc_request *r, struct arena *arena)
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
    fake_answer(r, &payload);
    buf_free(&payload);
}

static void serve_map(struct fake_cluster *f, struct rpc_request *r, struct arena *arena)
{
    struct meta_map_request m;
    ck_assert_int_eq(unpack_meta_map_request(r->params, arena, &m), STATUS_OK);
    f->map_requests++;
    bool mine = f->keyspace_known && (m.keyspace.size == 0 || slice_eq(m.keyspace, slice_str(f->keyspace_name)));
    struct keyspace_info info = {.id = f->keyspace_id,
                                 .name = slice_str(f->keyspace_name),
                                 .replication = 3,
                                 .buckets = f->buckets,
                                 .ttl_ms = f->ttl_ms,
                                 .dropped_ts = f->keyspace_dropped ? 1 : 0};
    struct range_desc descs[FAKE_RANGES_MAX];
    uint64_t leaders[FAKE_RANGES_MAX];
    struct range_report reports[FAKE_RANGES_MAX];
    memset(reports, 0, sizeof(reports));
    struct node_info nodes[FAKE_NODES];
    char addresses[FAKE_NODES][16];
    for (size_t i = 0; i < f->known_count; i++) {
        fill_desc(&f->known[i], &descs[i]);
        leaders[i] = f->known[i].leader;
    }
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        (void)snprintf(addresses[i], sizeof(addresses[i]), "node:%u", i + 1);
        nodes[i] =
            (struct node_info){.id = i + 1, .address = slice_str(addresses[i]), .host = slice_str("h"), .alive = true};
    }
    struct meta_map_reply reply = {.map_version = 1, .nodes = nodes, .node_count = FAKE_NODES};
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
    fake_answer(r, &payload);
    buf_free(&payload);
}

void fake_serve(struct fake_node *n, struct rpc_request *r)
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

static void node_on_request(void *ctx, struct rpc_request *r)
{
    struct fake_node *n = ctx;
    if (n->cluster->hook != NULL && n->cluster->hook(n, r, n->cluster->hook_ctx)) return;
    fake_serve(n, r);
}

static uint64_t node_pass(struct actor *a, uint64_t now_ns)
{
    struct fake_node *n = LIST_ENTRY(a, struct fake_node, actor);
    rpc_server_pass(n->server, now_ns);
    rpc_server_flush(n->server);
    return now_ns + 20 * MS;
}

void fake_start(struct fake_cluster *f, uint64_t seed, size_t chunk)
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
    f->table = txn_table_new();
    f->keyspace_known = true;
    f->keyspace_name = "bank";
    f->keyspace_id = FAKE_KEYSPACE;
    fake_sync(f);
    for (unsigned i = 0; i <= FAKE_NODES; i++) {
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

void fake_stop(struct fake_cluster *f)
{
    ck_assert_uint_eq(f->violations, 0);
    client_free(f->client);
    for (unsigned i = 0; i <= FAKE_NODES; i++) {
        f->nodes[i].env->ops->detach(f->nodes[i].env, &f->nodes[i].actor);
        rpc_server_free(f->nodes[i].server);
    }
    fakenet_free(f->net);
    for (size_t i = 0; i < f->row_count; i++) {
        mem_free((void *)(uintptr_t)f->rows[i].key.data);
        mem_free((void *)(uintptr_t)f->rows[i].value.data);
    }
    mem_free(f->rows);
    txn_table_free(f->table);
}

/* --- requests and what came of them --- */

void outcome_note(struct outcome *o, const struct client_error *e)
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

void outcome_on_txn(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct outcome *o = ctx;
    outcome_note(o, e);
    ck_assert_int_eq(result != NULL, o->served);
    if (result == NULL) return;
    o->status = result->status;
    o->replayed = result->replayed;
    if (result->op_count > 0) {
        const struct txn_op_result *op = &result->ops[0];
        (void)snprintf(o->value, sizeof(o->value), "%.*s", (int)op->value.size, (const char *)op->value.data);
    }
}

void outcome_on_get(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct outcome *o = ctx;
    outcome_note(o, e);
    ck_assert_int_eq(reply != NULL, o->served);
    if (reply == NULL) return;
    o->found = reply->found;
    (void)snprintf(o->value, sizeof(o->value), "%.*s", (int)reply->value.size, (const char *)reply->value.data);
}

void outcome_on_scan(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct outcome *o = ctx;
    outcome_note(o, e);
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

static bool outcome_done(void *ctx)
{
    return ((struct outcome *)ctx)->done > 0;
}

static void make_id(struct txn_id *id, uint64_t number)
{
    memset(id, 0, sizeof(*id));
    memcpy(id->bytes, &number, sizeof(number));
}

void fake_start_add(struct fake_cluster *f, struct outcome *o, const char *key, int delta, uint64_t number,
                    uint32_t timeout_ms)
{
    *o = (struct outcome){.f = f};
    struct txn_op op = {.kind = TXN_ADD, .key = slice_str(key), .delta = delta, .min = I128_MIN, .max = I128_MAX};
    struct txn t = {.ops = &op, .op_count = 1};
    make_id(&t.id, number);
    client_txn(f->client, slice_str("bank"), &t, timeout_ms, outcome_on_txn, o);
    memset(&op, 0xee, sizeof(op)); /* the request has copied what it needs */
}

void fake_start_get(struct fake_cluster *f, struct outcome *o, const char *key, uint32_t timeout_ms)
{
    *o = (struct outcome){.f = f};
    client_get(f->client, slice_str("bank"), slice_str(key), timeout_ms, outcome_on_get, o);
}

void fake_wait(struct fake_cluster *f, struct outcome *o, uint64_t span_ns)
{
    ck_assert(fakenet_run(f->net, outcome_done, o, span_ns));
}

void fake_add(struct fake_cluster *f, struct outcome *o, const char *key, int delta, uint64_t number)
{
    fake_start_add(f, o, key, delta, number, 5000);
    fake_wait(f, o, 6 * SECOND);
}

void fake_get(struct fake_cluster *f, struct outcome *o, const char *key)
{
    fake_start_get(f, o, key, 5000);
    fake_wait(f, o, 6 * SECOND);
}

struct client_stats fake_stats(const struct fake_cluster *f)
{
    struct client_stats s;
    client_stats(f->client, &s);
    return s;
}
