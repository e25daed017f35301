/* Locks and elections: whoever wants one puts a key under the name, and has it when no older key is there (docs/etcd.md).
 *
 *   PUTTING (the key, unless it is there) --> LOOKING --older ones are there--> WAITING (a watch of the name) --> LOOKING
 *                                                \--none--> answered
 *
 * While it waits, its lease is renewed, as etcd's server does; who has been answered renews it himself.
 * An observer looks and waits likewise, for ever. A client that leaves while it waits takes its key along; so does one whose token or
 * right ends meanwhile, and it is told. */
#include <stdio.h>

#include "base/mem.h"
#include "etcd/kv.h"
#include "etcd/lease.h"
#include "gateway/json_out.h"

#define SESSION_TTL_S 60u

static const struct etcd_error ERR_NOT_LEADER = {.code = GRPC_UNKNOWN, .text = "election: not leader"};
static const struct etcd_error ERR_NO_LEADER = {.code = GRPC_UNKNOWN, .text = "election: no leader"};

struct queue {
    enum { QUEUE_LOCK, QUEUE_CAMPAIGN, QUEUE_LEADER, QUEUE_OBSERVE } kind;
    struct slice name, value;
    struct slice key; /* of a user; below name/ */
    int64_t lease;
    uint64_t mine; /* create revision of the key */
    bool makes_lease;
    uint64_t ttl_s, renewed_ns; /* of the lease; by this gateway's clock */
    struct client_watch *watch;
    /* what a look has found */
    bool looking; /* a piece of work is under way */
    bool found, waits, lost;
    bool leaving;                 /* its key goes, and it with it */
    const struct etcd_error *why; /* it has to leave */
    struct ekv first;
    uint64_t told; /* observe: mod revision that was told last */
    uint64_t revision;
};

static void queue_free(struct queue *q)
{
    client_watch_free(q->watch);
    q->watch = NULL;
}

static struct slice prefix_of(struct arena *a, struct slice name)
{
    uint8_t *at = arena_alloc(a, name.size + 1);
    memcpy(at, name.data, name.size);
    at[name.size] = '/';
    return slice_make(at, name.size + 1);
}

/* The row keys below name/. */
static struct span span_below(struct arena *a, struct slice name)
{
    struct slice start = key_row(a, ROW_OF_USER, prefix_of(a, name));
    uint8_t *end = arena_dup(a, start.data, start.size);
    end[start.size - 1]++; /* '/' is not the last byte of all */
    return (struct span){.start = start, .end = slice_make(end, start.size)};
}

static void queue_look(struct ecall *c);

/* --- the end --- */

static enum work_step leave_body(struct work *w, void *ctx)
{
    struct ecall *c = ctx;
    const struct queue *q = c->state;
    struct slice key = key_row(work_arena(w), ROW_OF_USER, q->key);
    const struct work_row *row;
    if (!work_get(w, key, &row)) return WORK_WANTS;
    if (row->found && ekv_of(row->key, row->value, row->version).created == q->mine) work_delete(w, key);
    return WORK_DONE;
}

static void left(void *ctx, const struct etcd_error *why, uint64_t revision, bool wrote)
{
    struct ecall *c = ctx;
    const struct queue *q = c->state;
    (void)why; /* its lease ends, too */
    (void)revision;
    (void)wrote;
    if (q->why != NULL && c->http != NULL)
        ecall_refuse(c, q->why);
    else
        ecall_end(c);
}

static void queue_leave(struct ecall *c)
{
    struct queue *q = c->state;
    queue_free(q);
    q->leaving = true;
    if (q->mine != 0)
        work_start(c->etcd, &c->arena, leave_body, left, c);
    else
        left(c, NULL, 0, false);
}

static void queue_refuse(struct ecall *c, const struct etcd_error *why)
{
    queue_free(c->state);
    ecall_refuse(c, why);
}

static void emit_leader(struct buf *b, const struct queue *q)
{
    json_key(b, "leader");
    json_open(b, '{');
    emit_bytes(b, "name", q->name);
    emit_bytes(b, "key", q->key);
    emit_u64(b, "rev", q->mine);
    emit_i64(b, "lease", q->lease);
    json_close(b, '}');
}

static void queue_answer(struct ecall *c)
{
    struct queue *q = c->state;
    struct buf b = answer_begin(c, q->revision);
    if (q->kind == QUEUE_LOCK) emit_bytes(&b, "key", q->key);
    if (q->kind == QUEUE_CAMPAIGN) emit_leader(&b, q);
    if (q->kind == QUEUE_LEADER) {
        json_key(&b, "kv");
        emit_ekv(&b, &q->first, false);
    }
    queue_free(q);
    answer_end(c, &b);
}

/* --- looking, waiting --- */

static enum work_step look_body(struct work *w, void *ctx)
{
    struct ecall *c = ctx;
    struct queue *q = c->state;
    struct span span = span_below(work_arena(w), q->name);
    const struct work_row **rows;
    size_t count;
    if (!work_scan(w, &span, &rows, &count)) return WORK_WANTS;
    q->found = false;
    bool here = false;
    for (size_t i = 0; i < count; i++) {
        struct ekv kv = ekv_of(rows[i]->key, rows[i]->value, rows[i]->version);
        here = here || (kv.created == q->mine && slice_eq(kv.key, q->key));
        if (!q->found || kv.created < q->first.created) q->first = kv;
        q->found = true;
    }
    q->waits = q->found && q->first.created < q->mine;
    q->lost = q->mine != 0 && !here;
    return WORK_DONE;
}

static void send_leader(struct ecall *c)
{
    struct queue *q = c->state;
    struct buf b;
    if (!q->found || q->first.mod == q->told) return;
    q->told = q->first.mod;
    buf_init(&b, SIZE_MAX / 2);
    buf_append_str(&b, "{\"result\":{");
    emit_header(c->etcd, &b, q->revision);
    json_key(&b, "kv");
    emit_ekv(&b, &q->first, false);
    buf_append_str(&b, "}}\n");
    ecall_send(c, buf_slice(&b));
    buf_free(&b);
}

static void renewed(void *ctx, const struct etcd_error *why, uint64_t ttl_s, uint64_t revision)
{
    struct ecall *c = ctx;
    struct queue *q = c->state;
    (void)why; /* the next time; if it has ended, the look finds it */
    (void)ttl_s;
    (void)revision;
    q->looking = false;
    if (c->http == NULL || q->why != NULL)
        queue_leave(c);
    else
        queue_look(c);
}

static bool is_to_renew(struct ecall *c)
{
    const struct queue *q = c->state;
    return q->mine != 0 && env_mono_ns(c->etcd->env) - q->renewed_ns >= q->ttl_s * 1000 * NS_PER_MS / 3;
}

static void queue_renew(struct ecall *c)
{
    struct queue *q = c->state;
    q->looking = true;
    q->renewed_ns = env_mono_ns(c->etcd->env);
    arena_reset(&c->look);
    lease_renew(c->etcd, &c->look, (uint64_t)q->lease, renewed, c);
}

static void changed(void *ctx, const struct client_error *e, const struct client_watch_batch *batch, uint64_t resume)
{
    struct ecall *c = ctx;
    struct queue *q = c->state;
    (void)resume;
    bool gone = q->kind == QUEUE_OBSERVE ? !c->streaming : c->http == NULL;
    if (gone) {
        queue_leave(c);
    } else if (e->status != STATUS_OK) {
        queue_free(q); /* what has changed since is not known: a look finds it */
        queue_look(c);
    } else if (is_to_renew(c)) {
        queue_renew(c);
    } else if (batch->change_count == 0) {
        client_watch_next(q->watch, changed, c);
    } else {
        queue_look(c);
    }
}

static bool still_holds(struct ecall *c, enum auth_verb verb)
{
    struct span rows = span_below(&c->look, ((struct queue *)c->state)->name);
    return ecall_holds(c, verb, slice_make(rows.start.data + 1, rows.start.size - 1),
                       slice_make(rows.end.data + 1, rows.end.size - 1));
}

static bool still_may_observe(struct ecall *c)
{
    return still_holds(c, AUTH_READ);
}

/* Of one that waits for others: while it looks, looked() heeds it. */
static void waiter_must_leave(struct ecall *c, const struct etcd_error *why)
{
    struct queue *q = c->state;
    if (q->leaving) return;
    q->why = why;
    if (!q->looking) queue_leave(c);
}

static void waiter_rights_changed(struct ecall *c)
{
    if (!still_holds(c, AUTH_READ) || !still_holds(c, AUTH_WRITE)) waiter_must_leave(c, &ERR_FORBIDDEN);
}

static void queue_wait(struct ecall *c)
{
    struct queue *q = c->state;
    struct span span = span_below(&c->look, q->name);
    struct client_watch_options o = {
        .keyspace = etcd_keyspace, .start = span.start, .end = span.end, .after = q->revision};
    if (q->mine != 0) o.progress_ms = q->ttl_s < 15 ? (uint32_t)q->ttl_s * 330 : 5000;
    if (q->kind != QUEUE_OBSERVE && c->must_leave == NULL) {
        c->must_leave = waiter_must_leave;
        c->recheck = waiter_rights_changed;
        ecall_last(c);
    }
    if (q->watch == NULL) q->watch = client_watch_new(c->etcd->client, &o);
    client_watch_next(q->watch, changed, c);
}

static void looked(void *ctx, const struct etcd_error *why, uint64_t revision, bool wrote)
{
    struct ecall *c = ctx;
    struct queue *q = c->state;
    (void)wrote;
    q->looking = false;
    q->revision = revision;
    bool gone = q->kind == QUEUE_OBSERVE ? !c->streaming : c->http == NULL;
    if (gone || q->why != NULL) {
        queue_leave(c);
    } else if (q->kind == QUEUE_OBSERVE && !still_may_observe(c)) {
        queue_refuse(c, &ERR_FORBIDDEN);
    } else if (why != NULL || q->lost) {
        queue_refuse(c, why != NULL ? why : &ERR_LEADER_LEFT);
    } else if (q->kind == QUEUE_LEADER && !q->found) {
        queue_refuse(c, &ERR_NO_LEADER);
    } else if (q->kind == QUEUE_OBSERVE || q->waits) {
        if (q->kind == QUEUE_OBSERVE) send_leader(c);
        queue_wait(c);
    } else {
        queue_answer(c);
    }
}

static void queue_look(struct ecall *c)
{
    ((struct queue *)c->state)->looking = true;
    arena_reset(&c->look); /* an observer looks for ever */
    work_start(c->etcd, &c->look, look_body, looked, c);
}

/* --- putting --- */

static enum work_step put_body(struct work *w, void *ctx)
{
    struct ecall *c = ctx;
    struct queue *q = c->state;
    struct arena *a = work_arena(w);
    struct slice key = key_row(a, ROW_OF_USER, q->key);
    const struct work_row *row, *lease;
    bool there = work_get(w, key, &row);
    if (!work_get_loosely(w, key_lease(a, (uint64_t)q->lease), &lease) || !there) return WORK_WANTS;
    if (!lease->found && !q->makes_lease) return work_refuse(w, &ERR_LEASE_NOT_FOUND);
    if (!lease->found) {
        uint8_t *ttl = arena_zalloc(a, 8);
        ttl[0] = SESSION_TTL_S;
        work_put(w, key_lease(a, (uint64_t)q->lease), slice_make(ttl, 8));
    }
    q->ttl_s = lease->found ? lease_ttl_s(lease->value) : SESSION_TTL_S;
    struct ekv kv = row->found ? ekv_of(row->key, row->value, row->version) : (struct ekv){.created = 0};
    q->mine = kv.created; /* 0: that of the commit */
    if (row->found && (q->kind == QUEUE_LOCK || slice_eq(kv.value, q->value))) return WORK_DONE;
    enum work_step bound = lease_may_bind(w, (uint64_t)q->lease, c);
    if (bound != WORK_DONE) return bound;
    work_revise(w, key, q->value, (uint64_t)q->lease);
    work_put(w, key_attached(a, (uint64_t)q->lease, q->key), SLICE_EMPTY);
    return WORK_DONE;
}

static void put(void *ctx, const struct etcd_error *why, uint64_t revision, bool wrote)
{
    struct ecall *c = ctx;
    struct queue *q = c->state;
    if (why != NULL) {
        queue_refuse(c, why);
        return;
    }
    if (q->mine == 0 && wrote) q->mine = revision;
    q->renewed_ns = env_mono_ns(c->etcd->env) - q->ttl_s * 500 * NS_PER_MS; /* a lease that was given is older */
    queue_look(c);
}

static void queue_enter(struct ecall *c, struct queue *q)
{
    char hex[24];
    q->makes_lease = q->lease == 0;
    while (q->lease == 0) {
        c->etcd->env->ops->random(c->etcd->env, &q->lease, sizeof(q->lease));
        q->lease = (int64_t)((uint64_t)q->lease >> 2);
    }
    (void)snprintf(hex, sizeof(hex), "/%llx", (unsigned long long)q->lease);
    uint8_t *key = arena_alloc(&c->arena, q->name.size + strlen(hex));
    memcpy(key, q->name.data, q->name.size);
    memcpy(key + q->name.size, hex, strlen(hex));
    q->key = slice_make(key, q->name.size + strlen(hex));
    work_start(c->etcd, &c->arena, put_body, put, c);
}

/* All keys below the name. */
static bool may_queue(struct ecall *c, enum auth_verb verb, struct slice name)
{
    struct span rows = span_below(&c->arena, name);
    return ecall_may(c, verb, slice_make(rows.start.data + 1, rows.start.size - 1),
                     slice_make(rows.end.data + 1, rows.end.size - 1));
}

static struct queue *queue_begin(struct ecall *c, const struct json_node *body, unsigned kind)
{
    struct queue *q = arena_zalloc(&c->arena, sizeof(*q));
    c->state = q;
    q->kind = kind;
    q->value = SLICE_EMPTY;
    if (!take_bytes(c, body, "name", &q->name) || !take_i64(c, body, "lease", &q->lease)) return NULL;
    if (kind == QUEUE_CAMPAIGN && !take_bytes(c, body, "value", &q->value)) return NULL;
    if (q->name.size == 0) {
        ecall_refuse(c, &ERR_EMPTY_KEY);
        return NULL;
    }
    bool writes = kind == QUEUE_LOCK || kind == QUEUE_CAMPAIGN;
    return may_queue(c, AUTH_READ, q->name) && (!writes || may_queue(c, AUTH_WRITE, q->name)) ? q : NULL;
}

void serve_lock(struct ecall *c, const struct json_node *body)
{
    struct queue *q = queue_begin(c, body, QUEUE_LOCK);
    if (q != NULL) queue_enter(c, q);
}

void serve_campaign(struct ecall *c, const struct json_node *body)
{
    struct queue *q = queue_begin(c, body, QUEUE_CAMPAIGN);
    if (q != NULL) queue_enter(c, q);
}

void serve_leader(struct ecall *c, const struct json_node *body)
{
    if (queue_begin(c, body, QUEUE_LEADER) != NULL) queue_look(c);
}

static void rights_changed(struct ecall *c)
{
    if (!still_may_observe(c)) queue_refuse(c, &ERR_FORBIDDEN);
}

static void observer_left(struct ecall *c)
{
    struct queue *q = c->state;
    if (q->looking) return; /* looked() ends it */
    queue_free(q);
    ecall_end(c);
}

void serve_observe(struct ecall *c, const struct json_node *body)
{
    if (queue_begin(c, body, QUEUE_OBSERVE) == NULL) return;
    c->recheck = rights_changed;
    ecall_stream(c, observer_left);
    queue_look(c);
}

/* --- one step: unlock, proclaim, resign --- */

struct step {
    enum { STEP_UNLOCK, STEP_PROCLAIM, STEP_RESIGN } kind;
    struct slice key, value;
    int64_t rev, lease;
};

static enum work_step step_body(struct work *w, void *ctx)
{
    struct ecall *c = ctx;
    const struct step *s = c->state;
    struct slice key = key_row(work_arena(w), ROW_OF_USER, s->key);
    const struct work_row *row;
    if (!work_get(w, key, &row)) return WORK_WANTS;
    struct ekv kv = row->found ? ekv_of(row->key, row->value, row->version) : (struct ekv){.created = 0};
    bool mine = row->found && (s->kind == STEP_UNLOCK || kv.created == (uint64_t)s->rev);
    if (!mine && s->kind == STEP_PROCLAIM) return work_refuse(w, &ERR_NOT_LEADER);
    if (mine && s->kind == STEP_PROCLAIM) work_revise(w, key, s->value, kv.lease);
    if (mine && s->kind != STEP_PROCLAIM) work_delete(w, key);
    return WORK_DONE;
}

static void serve_step(struct ecall *c, const struct json_node *body, unsigned kind)
{
    struct step *s = arena_zalloc(&c->arena, sizeof(*s));
    const struct json_node *from = kind == STEP_UNLOCK ? body : field(body, "leader");
    c->state = s;
    s->kind = kind;
    if (!take_bytes(c, from, "key", &s->key) || !take_i64(c, from, "rev", &s->rev)) return;
    if (kind == STEP_PROCLAIM && !take_bytes(c, body, "value", &s->value)) return;
    if (s->key.size == 0)
        ecall_refuse(c, &ERR_EMPTY_KEY);
    else if (ecall_may(c, AUTH_WRITE, s->key, SLICE_EMPTY))
        answer_by_work(c, step_body, NULL);
}

void serve_unlock(struct ecall *c, const struct json_node *body)
{
    serve_step(c, body, STEP_UNLOCK);
}
void serve_proclaim(struct ecall *c, const struct json_node *body)
{
    serve_step(c, body, STEP_PROCLAIM);
}
void serve_resign(struct ecall *c, const struct json_node *body)
{
    serve_step(c, body, STEP_RESIGN);
}
