/* Leases. A lease is a row: its id in the key, its time to live in the value; renewing it is writing it again, so its version tells
 * whether somebody has. It is alive as long as its row is there. Every gateway watches its rows and ends those that were not renewed for their
 * time to live (lease_sweep.c). What is attached to it has a row for each key; a key is deleted with its lease only if its own row still
 * names it (lease_end.c). */
#include "etcd/lease.h"
#include "etcd/kv.h"

#include "base/assert.h"
#include "base/cursor.h"
#include "gateway/json_out.h"

#define TTL_MIN_S 2
#define TTL_MAX_S 9000000000

uint64_t lease_ttl_s(struct slice value)
{
    uint64_t ttl_s = value.size == 8 ? le_u64(value.data) : 0;
    return ttl_s <= TTL_MAX_S ? ttl_s : 0;
}

struct slice key_ending(struct arena *a, uint64_t id)
{
    struct slice lease = key_lease(a, id);
    uint8_t *at = arena_alloc(a, lease.size + 1);
    memcpy(at, lease.data, lease.size);
    at[lease.size] = 'e';
    return slice_make(at, lease.size + 1);
}

struct lease_state {
    int64_t id, ttl;
    bool keys;
    bool missing;
    uint64_t left_s, granted_s;
    struct slice *attached;
    size_t count;
    uint64_t *ids;
};

static struct slice ttl_value(struct arena *a, uint64_t ttl_s)
{
    uint8_t *at = arena_alloc(a, 8);
    le_set_u64(at, ttl_s);
    return slice_make(at, 8);
}

static struct lease_state *take_id(struct ecall *c, const struct json_node *body)
{
    struct lease_state *s = arena_zalloc(&c->arena, sizeof(*s));
    c->state = s;
    return take_i64(c, body, "ID", &s->id) ? s : NULL;
}

/* --- grant --- */

static enum work_step grant_body(struct work *w, void *ctx)
{
    struct ecall *c = ctx;
    const struct lease_state *s = c->state;
    const struct work_row *row, *ending;
    struct slice key = key_lease(work_arena(w), (uint64_t)s->id);
    bool there = work_get(w, key, &row);
    if (!work_get(w, key_ending(work_arena(w), (uint64_t)s->id), &ending) || !there) return WORK_WANTS;
    if (row->found || ending->found) return work_refuse(w, &ERR_LEASE_EXISTS);
    work_put(w, key, ttl_value(work_arena(w), (uint64_t)s->ttl));
    return WORK_DONE;
}

static void emit_grant(struct ecall *c, struct buf *b, uint64_t revision)
{
    const struct lease_state *s = c->state;
    (void)revision;
    emit_i64(b, "ID", s->id);
    emit_i64(b, "TTL", s->ttl);
}

void serve_lease_grant(struct ecall *c, const struct json_node *body)
{
    struct lease_state *s = take_id(c, body);
    if (s == NULL || !take_i64(c, body, "TTL", &s->ttl)) return;
    if (s->ttl > TTL_MAX_S) {
        ecall_refuse(c, &ERR_LEASE_TTL);
        return;
    }
    if (s->ttl < TTL_MIN_S) s->ttl = TTL_MIN_S;
    while (s->id == 0) {
        c->etcd->env->ops->random(c->etcd->env, &s->id, sizeof(s->id));
        s->id = (int64_t)((uint64_t)s->id >> 2); /* above 2^53 most of the time, as etcd's: text to every reader */
    }
    answer_by_work(c, grant_body, emit_grant);
}

/* --- revoke --- */

enum work_step lease_may_bind(struct work *w, uint64_t id, const struct ecall *by)
{
    struct arena *a = work_arena(w);
    const struct work_row **attached, *row;
    struct span span = span_attached(a, id);
    size_t count;
    bool wants = false;
    if (!ecall_is_asked(by)) return WORK_DONE;
    if (!work_scan_loosely(w, &span, 0, &attached, &count)) return WORK_WANTS;
    for (size_t i = 0; i < count; i++) {
        struct slice user = lease_bound_key(attached[i]);
        if (ecall_holds(by, AUTH_WRITE, user, SLICE_EMPTY)) continue;
        if (!work_get(w, key_row(a, ROW_OF_USER, user), &row))
            wants = true;
        else if (row->found && revised_read(row->value, 0).lease == id)
            return work_refuse(w, &ERR_FORBIDDEN);
    }
    return wants ? WORK_WANTS : WORK_DONE;
}

static void revoked(void *ctx, const struct etcd_error *why, uint64_t revision)
{
    struct ecall *c = ctx;
    if (why != NULL) {
        ecall_refuse(c, why);
        return;
    }
    struct buf b = answer_begin(c, revision);
    answer_end(c, &b);
}

void serve_lease_revoke(struct ecall *c, const struct json_node *body)
{
    const struct lease_state *s = take_id(c, body);
    if (s == NULL) return;
    lease_end(c->etcd, &(struct lease_to_end){.id = (uint64_t)s->id, .by = c}, revoked, c);
}

/* --- renewing: one transaction where this gateway has seen the lease, as most of the time; else a piece of work --- */

struct renewal {
    struct etcd *etcd;
    struct arena *arena;
    uint64_t id, ttl_s;
    lease_renewed done;
    void *ctx;
};

static enum work_step renew_body(struct work *w, void *ctx)
{
    struct renewal *n = ctx;
    const struct work_row *row;
    struct slice key = key_lease(work_arena(w), n->id);
    if (!work_get(w, key, &row)) return WORK_WANTS;
    n->ttl_s = row->found ? lease_ttl_s(row->value) : 0;
    if (row->found) work_put(w, key, row->value);
    return WORK_DONE;
}

static void renewed_by_work(void *ctx, const struct etcd_error *why, uint64_t revision, bool wrote)
{
    const struct renewal *n = ctx;
    (void)wrote;
    n->done(n->ctx, why, n->ttl_s, revision);
}

static void renewed_at_once(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    struct renewal *n = ctx;
    if (e->status != STATUS_OK) {
        struct etcd_error why = etcd_error_of(n->etcd, e);
        n->done(n->ctx, &why, 0, 0);
    } else if (r->status == STATUS_OK) {
        n->done(n->ctx, NULL, n->ttl_s, r->ts);
    } else {
        COVER("etcd.renewed_by_work"); /* it has gone, or come back as another */
        work_start(n->etcd, n->arena, renew_body, renewed_by_work, n);
    }
}

void lease_renew(struct etcd *e, struct arena *arena, uint64_t id, lease_renewed done, void *ctx)
{
    struct renewal *n = arena_alloc(arena, sizeof(*n));
    *n = (struct renewal){
        .etcd = e, .arena = arena, .id = id, .ttl_s = lease_seen_ttl_s(e, id), .done = done, .ctx = ctx};
    if (n->ttl_s == 0) {
        work_start(e, arena, renew_body, renewed_by_work, n);
        return;
    }
    struct slice key = key_lease(arena, id), value = ttl_value(arena, n->ttl_s);
    struct txn_compare as_seen = {.target = TXN_TARGET_VALUE, .relation = TXN_EQUAL, .key = key, .value = value};
    struct txn_op again = {.kind = TXN_PUT, .key = key, .value = value};
    struct txn t = {.compares = &as_seen, .compare_count = 1, .ops = &again, .op_count = 1};
    client_txn(e->client, etcd_keyspace, &t, ETCD_CALL_MS, renewed_at_once, n);
}

/* --- keep alive: one answer, and the end of the stream, as of a request whose body has ended --- */

static void kept_alive(void *ctx, const struct etcd_error *why, uint64_t ttl_s, uint64_t revision)
{
    struct ecall *c = ctx;
    const struct lease_state *s = c->state;
    struct buf b;
    if (c->http == NULL) {
        ecall_end(c);
        return;
    }
    if (why != NULL) {
        ecall_refuse(c, why);
        return;
    }
    ecall_stream(c, NULL);
    buf_init(&b, 4096);
    buf_append_str(&b, "{\"result\":{");
    emit_header(c->etcd, &b, revision);
    emit_i64(&b, "ID", s->id);
    emit_u64(&b, "TTL", ttl_s);
    buf_append_str(&b, "}}\n");
    ecall_send(c, buf_slice(&b));
    buf_free(&b);
    stream_end(&c->stream);
    ecall_end(c);
}

void serve_lease_keepalive(struct ecall *c, const struct json_node *body)
{
    const struct lease_state *s = take_id(c, body);
    if (s != NULL) lease_renew(c->etcd, &c->arena, (uint64_t)s->id, kept_alive, c);
}

/* --- what is there --- */

static enum work_step ttl_body(struct work *w, void *ctx)
{
    struct ecall *c = ctx;
    struct lease_state *s = c->state;
    struct arena *a = work_arena(w);
    const struct work_row *lease, **attached;
    size_t count;
    bool wants = false;
    if (!work_get(w, key_lease(a, (uint64_t)s->id), &lease)) return WORK_WANTS;
    s->missing = !lease->found;
    s->count = 0;
    if (s->missing) return WORK_DONE;
    s->granted_s = lease_ttl_s(lease->value);
    s->left_s = lease_left_s(c->etcd, (uint64_t)s->id, lease->version, s->granted_s);
    if (!s->keys) return WORK_DONE;
    struct span span = span_attached(a, (uint64_t)s->id);
    if (!work_scan(w, &span, &attached, &count)) return WORK_WANTS;
    s->attached = arena_alloc(a, (count + 1) * sizeof(*s->attached));
    for (size_t i = 0; i < count; i++) {
        struct slice user = lease_bound_key(attached[i]);
        const struct work_row *row;
        if (!ecall_holds(c, AUTH_READ, user, SLICE_EMPTY)) return work_refuse(w, &ERR_FORBIDDEN);
        if (!work_get(w, key_row(a, ROW_OF_USER, user), &row))
            wants = true;
        else if (row->found && revised_read(row->value, 0).lease == (uint64_t)s->id)
            s->attached[s->count++] = user;
    }
    return wants ? WORK_WANTS : WORK_DONE;
}

static void emit_ttl(struct ecall *c, struct buf *b, uint64_t revision)
{
    const struct lease_state *s = c->state;
    (void)revision;
    emit_i64(b, "ID", s->id);
    if (s->missing) emit_i64(b, "TTL", -1);
    if (!s->missing) emit_u64(b, "TTL", s->left_s);
    if (!s->missing) emit_u64(b, "grantedTTL", s->granted_s);
    if (s->count == 0) return;
    json_key(b, "keys");
    json_open(b, '[');
    for (size_t i = 0; i < s->count; i++) emit_base64(b, s->attached[i]);
    json_close(b, ']');
}

void serve_lease_ttl(struct ecall *c, const struct json_node *body)
{
    struct lease_state *s = take_id(c, body);
    if (s != NULL && take_bool(c, body, "keys", &s->keys)) answer_by_work(c, ttl_body, emit_ttl);
}

struct span span_leases(struct arena *a)
{
    return (struct span){.start = key_row(a, ROW_OF_LEASE, SLICE_EMPTY),
                         .end = key_row(a, ROW_OF_LEASE + 1, SLICE_EMPTY)};
}

static enum work_step list_body(struct work *w, void *ctx)
{
    struct ecall *c = ctx;
    struct lease_state *s = c->state;
    struct span span = span_leases(work_arena(w));
    const struct work_row **rows;
    size_t count;
    if (!work_scan(w, &span, &rows, &count)) return WORK_WANTS;
    s->ids = arena_alloc(work_arena(w), (count + 1) * sizeof(*s->ids));
    s->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (rows[i]->key.size == 9) s->ids[s->count++] = be_u64(rows[i]->key.data + 1);
    }
    return WORK_DONE;
}

static void emit_leases(struct ecall *c, struct buf *b, uint64_t revision)
{
    const struct lease_state *s = c->state;
    (void)revision;
    if (s->count == 0) return;
    json_key(b, "leases");
    json_open(b, '[');
    for (size_t i = 0; i < s->count; i++) {
        json_open(b, '{');
        emit_u64(b, "ID", s->ids[i]);
        json_close(b, '}');
    }
    json_close(b, ']');
}

void serve_lease_list(struct ecall *c, const struct json_node *body)
{
    (void)body;
    c->state = arena_zalloc(&c->arena, sizeof(struct lease_state));
    answer_by_work(c, list_body, emit_leases);
}
