/* The interface, and the pass: answers in, requests stepped, calls out. */
#include "client/keyspace.h"
#include "client/spread.h"
#include "client/watch_int.h"

#include "base/assert.h"
#include "base/mem.h"

#define TXN_OP_USUAL 16u /* bytes of an operation or a comparison beside its key and value */

static uint64_t client_pass(struct actor *actor, uint64_t now_ns);

enum status client_new(struct env *env, const struct client_options *o, struct client **out, struct errbuf *err)
{
    struct client *c = mem_zalloc(sizeof(*c));
    c->env = env;
    c->self.role = o->role;
    c->self.newest = o->newest;
    c->in_flight_max = o->in_flight_max > 0 ? o->in_flight_max : CLIENT_IN_FLIGHT_MAX;
    enum status status = meta_call_new(env, o->meta_addresses, &c->self, &c->meta, err);
    if (status != STATUS_OK) {
        mem_free(c);
        return status;
    }
    routes_init(&c->routes);
    map_init(&c->nodes);
    list_init(&c->peers);
    list_init(&c->requests);
    list_init(&c->ready);
    list_init(&c->watches);
    list_init(&c->watches_ready);
    list_init(&c->spreads);
    list_init(&c->bundles);
    spares_init(&c->request_spares, sizeof(struct request), SPARES_MAX);
    spread_spares_init(&c->spread_spares);
    c->chunks = (struct arena_pages){.bytes = CHUNK_BYTES, .max = CHUNKS_MAX};
    list_init(&c->bundles_sent);
    list_init(&c->refresh.waiting);
    heap_init(&c->timers);
    buf_init(&c->scratch, LIMIT_FRAME_BYTES);
    buf_init(&c->part, LIMIT_FRAME_BYTES);
    arena_init(&c->scratch_arena, 4096);
    uint64_t seed;
    env->ops->random(env, &seed, sizeof(seed));
    prng_init(&c->prng, seed);
    c->actor = (struct actor){.pass = client_pass};
    env->ops->attach(env, &c->actor);
    *out = c;
    return STATUS_OK;
}

void client_free(struct client *c)
{
    if (c == NULL) return;
    ASSERT(!c->in_pass);
    c->env->ops->detach(c->env, &c->actor);
    LIST_FOR(it, &c->watches) watch_forget_client(LIST_ENTRY(it, struct client_watch, link));
    while (!list_empty(&c->requests))
        request_free(LIST_ENTRY(c->requests.next, struct request, link)); /* and its parts */
    spreads_free(c);
    bundles_free(c);
    spares_free(&c->request_spares);
    spares_free(&c->spread_spares);
    LIST_FOR(it, &c->peers)
    {
        struct client_peer *peer = LIST_ENTRY(it, struct client_peer, link);
        peer->retired = true;
        peer->calls = 0;
    }
    peers_reap(c);
    meta_call_free(c->meta);
    routes_free(&c->routes);
    map_free(&c->nodes);
    heap_free(&c->timers);
    buf_free(&c->scratch);
    buf_free(&c->part);
    arena_free(&c->scratch_arena);
    arena_pages_free(&c->chunks);
    mem_free(c);
}

void client_forget(struct client *c, const void *ctx)
{
    LIST_FOR(it, &c->requests)
    {
        struct request *r = LIST_ENTRY(it, struct request, link);
        if (r->ctx == ctx) r->forgotten = true;
    }
}

struct actor *client_actor(struct client *c)
{
    return &c->actor;
}

void client_stats(const struct client *c, struct client_stats *out)
{
    *out = c->stats;
}

/* --- the pass --- */

static uint64_t pass_connections(struct client *c, uint64_t now_ns)
{
    uint64_t deadline = meta_call_pass(c->meta, now_ns);
    LIST_FOR(it, &c->peers)
    {
        uint64_t at = rpc_peer_pass(LIST_ENTRY(it, struct client_peer, link)->rpc, now_ns);
        if (at < deadline) deadline = at;
    }
    return deadline;
}

static void step_requests(struct client *c, uint64_t now_ns)
{
    for (struct heap_node *n; (n = heap_min(&c->timers)) != NULL && n->key <= now_ns;) {
        struct request *r = HEAP_ENTRY(n, struct request, timer);
        heap_remove(&c->timers, n);
        request_ready(r);
        /* A wait whose timer is gone must not wait again: its step sees that the time has come. */
    }
    struct list now; /* what callbacks start is for the next turn */
    list_init(&now);
    if (list_empty(&c->ready)) return;
    now = c->ready;
    now.next->prev = now.prev->next = &now;
    list_init(&c->ready);
    for (struct list *it; (it = list_pop_front(&now)) != NULL;)
        request_run(LIST_ENTRY(it, struct request, wait_link), now_ns);
}

static void step_watches(struct client *c, uint64_t now_ns)
{
    struct list now; /* what callbacks ask for is for the next turn */
    struct list *it;
    list_init(&now);
    while ((it = list_pop_front(&c->watches_ready)) != NULL) list_push_back(&now, it);
    while ((it = list_pop_front(&now)) != NULL) watch_step(LIST_ENTRY(it, struct client_watch, ready), now_ns);
}

/* Turns: what was called goes out, what is answered may call again. */
static uint64_t client_pass(struct actor *actor, uint64_t now_ns)
{
    struct client *c = LIST_ENTRY(actor, struct client, actor);
    if (c->env->dead) return DEADLINE_NONE;
    c->in_pass = true;
    c->now_ns = now_ns;
    uint64_t deadline = DEADLINE_NONE, refresh_at = DEADLINE_NONE, bundles_at = DEADLINE_NONE;
    for (unsigned turn = 0; turn < CLIENT_TURNS_MAX; turn++) {
        c->called = false;
        deadline = pass_connections(c, now_ns);
        step_requests(c, now_ns);
        step_watches(c, now_ns);
        bundles_at = bundles_send(c, now_ns);
        refresh_at = refresh_step(c, now_ns);
        if (!c->called && list_empty(&c->ready) && list_empty(&c->watches_ready)) break;
    }
    peers_reap(c);
    c->in_pass = false;
    if (c->called || !list_empty(&c->ready) || !list_empty(&c->watches_ready)) return now_ns;
    const struct heap_node *n = heap_min(&c->timers);
    if (n != NULL && n->key < deadline) deadline = n->key;
    if (bundles_at < deadline) deadline = bundles_at;
    return refresh_at < deadline ? refresh_at : deadline;
}

/* --- requests --- */

static struct txn_op *copy_ops(struct arena *arena, const struct txn_op *ops, size_t count)
{
    struct txn_op *copies = arena_alloc(arena, count * sizeof(*copies) + sizeof(i128));
    copies = (struct txn_op *)(void *)(((uintptr_t)copies + _Alignof(struct txn_op) - 1) / _Alignof(struct txn_op) *
                                       _Alignof(struct txn_op));
    for (size_t i = 0; i < count; i++) {
        copies[i] = ops[i];
        copies[i].key = arena_dup_slice(arena, ops[i].key);
        copies[i].value = arena_dup_slice(arena, ops[i].value);
    }
    return copies;
}

/* All of it in the arena, for as long as the keyspace's number is unknown. */
static const struct txn *copy_txn(struct arena *arena, const struct txn *t)
{
    struct txn *copy = arena_alloc(arena, sizeof(*copy));
    *copy = *t;
    copy->compares = arena_alloc(arena, t->compare_count * sizeof(*copy->compares));
    for (size_t i = 0; i < t->compare_count; i++) {
        copy->compares[i] = t->compares[i];
        copy->compares[i].key = arena_dup_slice(arena, t->compares[i].key);
        copy->compares[i].value = arena_dup_slice(arena, t->compares[i].value);
    }
    copy->ops = copy_ops(arena, t->ops, t->op_count);
    copy->else_ops = copy_ops(arena, t->else_ops, t->else_count);
    return copy;
}

/* What will not be copied for an unknown keyspace; the exact check is made on the encoded bytes. */
static size_t txn_bytes(const struct txn *t)
{
    size_t bytes = 0;
    for (size_t i = 0; i < t->compare_count; i++) bytes += t->compares[i].key.size + t->compares[i].value.size;
    for (size_t i = 0; i < t->op_count; i++) bytes += t->ops[i].key.size + t->ops[i].value.size;
    for (size_t i = 0; i < t->else_count; i++) bytes += t->else_ops[i].key.size + t->else_ops[i].value.size;
    return bytes;
}

static void txn_prepare(struct request *r, const struct txn *t)
{
    size_t count = t->compare_count + t->op_count + t->else_count, bytes = txn_bytes(t);
    if (count == 0)
        request_refuse(r, STATUS_INVALID, "a transaction needs at least one operation or comparison");
    else if (count > LIMIT_TXN_OPS)
        request_refuse(r, STATUS_TOO_LARGE, "a transaction has at most 8192 operations and comparisons");
    else if (bytes > LIMIT_TXN_BYTES)
        request_refuse(r, STATUS_TOO_LARGE, "a transaction has at most 8 MiB");
    if (r->status != STATUS_OK) return;
    r->has_id = !txn_id_is_none(&t->id);
    buf_expect(&r->body, bytes + count * TXN_OP_USUAL);
    if (!r->keyspace_known) {
        r->txn = copy_txn(&r->arena, t);
        return;
    }
    if (!keyspace_encode_txn(r, t)) request_refuse(r, STATUS_TOO_LARGE, "a transaction has at most 8 MiB");
}

uint32_t client_keyspace_id(const struct client *c, struct slice name)
{
    const struct route_keyspace *k = routes_keyspace(&c->routes, name);
    return k == NULL || k->dropped ? 0 : k->id;
}

static struct request *txn_new(struct client *c, struct slice keyspace, const struct txn *t, uint32_t timeout_ms,
                               client_txn_done done, void *ctx)
{
    struct request *r = request_new(c, REQUEST_TXN, keyspace, timeout_ms, ctx);
    r->done.txn = done;
    txn_prepare(r, t);
    return r;
}

void client_txn(struct client *c, struct slice keyspace, const struct txn *t, uint32_t timeout_ms, client_txn_done done,
                void *ctx)
{
    (void)txn_new(c, keyspace, t, timeout_ms, done, ctx);
}

void client_txn_findable(struct client *c, struct slice keyspace, const struct txn *t, uint32_t timeout_ms,
                         client_txn_done done, void *ctx)
{
    txn_new(c, keyspace, t, timeout_ms, done, ctx)->findable = true;
}

/* Bounded and eventual reads are for any replica. */
static struct read_how how_of(const struct read_how *how)
{
    struct read_how h = *how;
    if (h.mode == READ_BOUNDED || h.mode == READ_EVENTUAL) h.any_replica = true;
    return h;
}

void client_get(struct client *c, struct slice keyspace, struct slice key, uint32_t timeout_ms, client_get_done done,
                void *ctx)
{
    client_get_how(c, keyspace, key, &(struct read_how){.mode = READ_STRONG}, timeout_ms, done, ctx);
}

void client_get_how(struct client *c, struct slice keyspace, struct slice key, const struct read_how *how,
                    uint32_t timeout_ms, client_get_done done, void *ctx)
{
    struct request *r = request_new(c, REQUEST_GET, keyspace, timeout_ms, ctx);
    r->done.get = done;
    r->how = how_of(how);
    if (key.size == 0)
        request_refuse(r, STATUS_INVALID, "a key has at least one byte");
    else if (key.size > LIMIT_KEY_BYTES)
        request_refuse(r, STATUS_TOO_LARGE, "a key has at most 4096 bytes");
    else
        r->low = r->high = arena_dup_slice(&r->arena, key);
}

void client_get_answer(struct client *c, struct slice keyspace, struct slice anchor, const struct txn_id *id,
                       uint32_t timeout_ms, client_get_done done, void *ctx)
{
    struct request *r = request_new(c, REQUEST_GET, keyspace, timeout_ms, ctx);
    r->done.get = done;
    r->how.id = arena_dup_slice(&r->arena, slice_make(id->bytes, TXN_ID_BYTES));
    if (txn_id_is_none(id)) request_refuse(r, STATUS_INVALID, "an id is not all zero");
    if (anchor.size == 0 || anchor.size > LIMIT_KEY_BYTES)
        request_refuse(r, STATUS_INVALID, "a key has 1 to 4096 bytes");
    r->low = r->high = arena_dup_slice(&r->arena, anchor);
}

static uint32_t limit(uint32_t asked, uint32_t max)
{
    return asked == 0 || asked > max ? max : asked;
}

void client_scan(struct client *c, struct slice keyspace, const struct client_scan *s, uint32_t timeout_ms,
                 client_scan_done done, void *ctx)
{
    (void)client_scan_start(c, keyspace, s, timeout_ms, done, ctx);
}

struct request *client_scan_start(struct client *c, struct slice keyspace, const struct client_scan *s,
                                  uint32_t timeout_ms, client_scan_done done, void *ctx)
{
    struct request *r = request_new(c, REQUEST_SCAN, keyspace, timeout_ms, ctx);
    r->done.scan = done;
    r->how = how_of(&s->how);
    /* A bound may be one byte longer than a key: the key after a longest one. */
    if (s->start.size > LIMIT_KEY_BYTES + 1 || s->end.size > LIMIT_KEY_BYTES + 1) {
        request_refuse(r, STATUS_TOO_LARGE, "a key has at most 4096 bytes");
        return r;
    }
    r->scan = (struct scan_state){.start = arena_dup_slice(&r->arena, s->start),
                                  .end = arena_dup_slice(&r->arena, s->end),
                                  .limit_rows = limit(s->limit_rows, LIMIT_SCAN_ROWS),
                                  .limit_bytes = limit(s->limit_bytes, LIMIT_SCAN_BYTES),
                                  .reverse = s->reverse,
                                  .keys_only = s->keys_only,
                                  .placed = s->placed};
    return r;
}

void client_map(struct client *c, struct slice keyspace, uint32_t timeout_ms, client_map_done done, void *ctx)
{
    struct request *r = request_new(c, REQUEST_MAP, keyspace, timeout_ms, ctx);
    r->done.map = done;
}

struct restoring {
    client_restoring_done done;
    void *ctx;
};

static void on_restoring(void *ctx, const struct client_error *e, const struct meta_map_reply *map)
{
    struct restoring *ask = ctx;
    bool restoring = e->status != STATUS_OK && e->status != STATUS_NOT_FOUND;
    for (size_t i = 0; map != NULL && i < map->keyspace_count; i++)
        restoring = restoring || map->keyspaces[i].dropped_ts == 0;
    ask->done(ask->ctx, restoring);
}

void client_restoring(struct client *c, uint32_t timeout_ms, client_restoring_done done, void *ctx)
{
    struct request *r = request_new(c, REQUEST_MAP, slice_str(CLIENT_RESTORE_MARK), timeout_ms, NULL);
    struct restoring *ask = arena_alloc(&r->arena, sizeof *ask);
    *ask = (struct restoring){.done = done, .ctx = ctx};
    r->done.map = on_restoring;
    r->ctx = ask;
}

static void set_params(struct request *r, enum method m, struct slice params, client_call_done done)
{
    r->method = m;
    r->done.call = done;
    buf_append_slice(&r->body, params);
    if (r->body.overflow) request_refuse(r, STATUS_TOO_LARGE, "a request has at most 16 MiB");
}

void client_meta(struct client *c, enum method m, struct slice params, uint32_t timeout_ms, client_call_done done,
                 void *ctx)
{
    set_params(request_new(c, REQUEST_META, SLICE_EMPTY, timeout_ms, ctx), m, params, done);
}

void client_node(struct client *c, const char *address, enum method m, struct slice params, uint32_t timeout_ms,
                 client_call_done done, void *ctx)
{
    struct request *r = request_new(c, REQUEST_NODE, SLICE_EMPTY, timeout_ms, ctx);
    set_params(r, m, params, done);
    size_t size = strlen(address);
    if (size == 0 || size >= LIMIT_ADDRESS_BYTES) request_refuse(r, STATUS_INVALID, "an address has 1 to 127 bytes");
    r->address = slice_make(arena_dup(&r->arena, address, size + 1), size + 1);
}
