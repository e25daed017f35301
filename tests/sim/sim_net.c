/* The network: connections as two byte streams. Bytes arrive in order, whole or in pieces, late or not at all once the
 * connection has broken; what else TCP promises is not assumed. Each end has one event: its next news.
 *
 *   CONNECTING --- other side listens ---> OPEN ------ end of stream, reset ---> (on_close) gone
 *        |---- refused, timed out ---> (on_close) gone       |--- net_close ---> gone; the other side gets what was sent, then the end
 *   ACCEPTING --- accept called, net_attach ---> OPEN
 *
 * Half open: the other end has vanished without a word (sim_net_down silent). What is sent is lost; a reset comes when
 * something is sent to a machine that is up again, or when patience ends. */
#include "sim/sim.h"
#include "sim/sim_again.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdio.h>

enum { WINDOW_BYTES = 262144, READ_BYTES_MAX = 1 << 20 };
#define CONNECT_PATIENCE_NS (3 * SEC_NS)
#define SILENCE_PATIENCE_NS (8 * SEC_NS)

enum conn_state { CONN_CONNECTING, CONN_ACCEPTING, CONN_OPEN, CONN_DEAD };

struct segment { /* bytes that were sent together */
    size_t size;
    uint64_t at_ns;
};

struct net_listener {
    struct process *p;
    struct list link;
    void (*accept)(void *ctx, struct net_conn *);
    void *ctx;
    char address[64];
};

struct net_conn {
    struct sim_event event;
    struct list link;
    struct process *p;
    unsigned remote;        /* process at the other side */
    struct net_conn *other; /* NULL: not connected, or the other end is gone */
    enum conn_state state;
    struct net_handler handler;
    void *ctx;
    bool paused, in_callback, gone;
    /* what comes in */
    struct buf in;
    size_t in_at;
    struct segment *segments;
    size_t segment_at, segment_count, segment_capacity;
    uint64_t last_at_ns;
    bool ending;       /* after the bytes: the end, at end_ns */
    bool end_is_local; /* our own machine says so: no partition delays it */
    enum status end_why;
    uint64_t end_ns;
    uint64_t begun_ns; /* connecting: the first attempt */
    uint64_t lost;     /* sent to nobody */
    struct sim_again again;
    char address[64];
};

static struct process *net_process(struct net *net)
{
    return LIST_ENTRY(net, struct process, net);
}

static uint64_t latency(struct world *w, unsigned from, unsigned to)
{
    const struct sim_knobs *k = &w->knobs;
    const struct sim_lag *lag = &w->lag[from][to];
    uint64_t ns = draw(w, k->net_min_ns, k->net_max_ns);
    if (chance(w, k->net_spike)) ns += draw(w, 0, k->net_spike_ns);
    if (lag->max_ns == 0) return ns;
    uint64_t more = (w->now_ns - lag->since_ns) / 10 * lag->slope;
    return ns + (more < lag->max_ns ? more : lag->max_ns);
}

static void conn_schedule(struct net_conn *c)
{
    struct world *w = c->p->world;
    uint64_t at = UINT64_MAX;
    if (c->state == CONN_CONNECTING || c->state == CONN_ACCEPTING) {
        return; /* scheduled by whoever set the state */
    } else if (c->state == CONN_OPEN && c->segment_at < c->segment_count) {
        if (!c->paused) at = c->segments[c->segment_at].at_ns;
    } else if (c->state == CONN_OPEN && c->ending) {
        at = c->end_ns;
    }
    if (at == UINT64_MAX) {
        world_cancel(w, &c->event);
    } else {
        world_schedule(w, &c->event, at);
    }
}

static struct net_conn *conn_new(struct process *p, unsigned remote, enum conn_state state);

static void conn_free(struct net_conn *c)
{
    world_cancel(c->p->world, &c->event);
    list_remove(&c->link);
    buf_free(&c->in);
    buf_free(&c->again.frame);
    mem_free(c->segments);
    mem_free(c);
}

/* This end will be told of its end, after the bytes that are on their way (keep of them, at most). */
static void conn_end_at(struct net_conn *c, enum status why, uint64_t at_ns, size_t keep)
{
    if (c->state == CONN_DEAD || (c->ending && c->end_ns <= at_ns)) return;
    for (size_t i = c->segment_at; i < c->segment_count; i++) {
        if (c->segments[i].size > keep) c->segments[i].size = keep;
        keep -= c->segments[i].size;
        if (c->segments[i].size == 0) c->segment_count = i;
    }
    c->ending = true;
    c->end_why = why;
    c->end_ns = at_ns > c->last_at_ns || keep == 0 ? at_ns : c->last_at_ns;
    conn_schedule(c);
}

/* The two ends know nothing of each other any more. */
static struct net_conn *conn_part(struct net_conn *c)
{
    struct net_conn *other = c->other;
    c->other = NULL;
    if (other != NULL) other->other = NULL;
    return other;
}

static void segment_push(struct net_conn *c, struct slice bytes, uint64_t at_ns)
{
    if (c->segment_at == c->segment_count) c->segment_at = c->segment_count = 0;
    if (c->segment_count == c->segment_capacity) {
        size_t capacity = c->segment_capacity == 0 ? 16 : c->segment_capacity * 2;
        c->segments = mem_realloc(c->segments, capacity * sizeof *c->segments);
        c->segment_capacity = capacity;
    }
    if (at_ns < c->last_at_ns) at_ns = c->last_at_ns;
    c->last_at_ns = at_ns;
    c->segments[c->segment_count++] = (struct segment){.size = bytes.size, .at_ns = at_ns};
    buf_append_slice(&c->in, bytes);
}

/* --- events --- */

static struct net_listener *find_listener(struct world *w, const char *address)
{
    LIST_FOR(it, &w->listeners)
    {
        struct net_listener *l = LIST_ENTRY(it, struct net_listener, link);
        if (process_runs(l->p) && !l->p->env.dead && strcmp(l->address, address) == 0) return l;
    }
    return NULL;
}

static void fire_end(struct net_conn *c, enum status why)
{
    struct process *p = c->p;
    struct net_conn *other = conn_part(c);
    if (other != NULL)
        conn_end_at(other, STATUS_IO, p->world->now_ns + latency(p->world, p->index, c->remote), SIZE_MAX);
    c->state = CONN_DEAD;
    c->in_callback = true; /* a close from inside would be wrong, and is caught by gone */
    c->handler.on_close(c->ctx, c, why);
    ASSERT(!c->gone);
    conn_free(c);
}

static void fire_connect(struct net_conn *c)
{
    struct process *p = c->p;
    struct world *w = p->world;
    struct net_listener *l = find_listener(w, c->address);
    bool reachable = !w->cut[p->index][c->remote] && !w->cut[c->remote][p->index];
    if (!reachable && w->now_ns - c->begun_ns < CONNECT_PATIENCE_NS) {
        world_schedule(w, &c->event, w->now_ns + 100 * MS_NS + latency(w, p->index, c->remote));
        return;
    }
    if (!reachable || l == NULL) {
        fire_end(c, reachable ? STATUS_UNAVAILABLE : STATUS_TIMEOUT);
        return;
    }
    struct net_conn *accepted = conn_new(l->p, p->index, CONN_ACCEPTING);
    (void)snprintf(accepted->address, sizeof accepted->address, "%s", p->name);
    accepted->other = c;
    c->other = accepted;
    c->state = CONN_OPEN;
    world_schedule(w, &accepted->event, w->now_ns + 1);
    c->in_callback = true;
    c->handler.on_open(c->ctx, c);
    c->in_callback = false;
    if (c->gone) {
        conn_free(c);
    } else {
        conn_schedule(c);
    }
}

static void fire_accept(struct net_conn *c)
{
    struct net_listener *l = find_listener(c->p->world, c->p->address);
    if (l == NULL || l->p != c->p) {
        struct net_conn *other = conn_part(c);
        if (other != NULL)
            conn_end_at(other, STATUS_IO, c->p->world->now_ns + latency(c->p->world, c->p->index, c->remote), SIZE_MAX);
        conn_free(c);
        return;
    }
    c->state = CONN_OPEN;
    c->in_callback = true;
    l->accept(l->ctx, c);
    c->in_callback = false;
    ASSERT(c->gone || c->handler.on_data != NULL); /* attached or closed before accept returned */
    if (c->gone) {
        conn_free(c);
    } else {
        conn_schedule(c);
    }
}

/* As many bytes as have arrived, or (net_split) fewer. */
static size_t arrived(struct net_conn *c)
{
    struct world *w = c->p->world;
    size_t size = 0;
    for (size_t i = c->segment_at; i < c->segment_count && c->segments[i].at_ns <= w->now_ns; i++)
        size += c->segments[i].size;
    if (size > READ_BYTES_MAX) size = READ_BYTES_MAX;
    if (size > 1 && chance(w, w->knobs.net_split)) size = (size_t)draw(w, 1, size);
    return size;
}

static void take_bytes(struct net_conn *c, size_t size)
{
    c->in_at += size;
    while (size > 0) {
        struct segment *s = &c->segments[c->segment_at];
        size_t n = s->size < size ? s->size : size;
        s->size -= n;
        size -= n;
        if (s->size == 0)
            c->segment_at++;
        else
            s->at_ns = c->p->world->now_ns + draw(c->p->world, 1, 100000); /* the rest of a split delivery */
    }
    if (c->in_at >= c->in.size / 2) {
        buf_consume(&c->in, c->in_at);
        c->in_at = 0;
    }
}

static void fire_data(struct net_conn *c)
{
    size_t size = arrived(c);
    uint8_t *bytes =
        mem_dup(c->in.data + c->in_at,
                size); /* on its own: a sanitizer sees a read past its end; who talks to itself moves what comes in */
    take_bytes(c, size);
    world_note(c->p->world, 7, c->p->index, hash_bytes(slice_make(bytes, size), c->remote));
    c->in_callback = true;
    c->handler.on_data(c->ctx, c, slice_make(bytes, size));
    c->in_callback = false;
    mem_free(bytes);
    if (c->gone) {
        conn_free(c);
    } else {
        conn_schedule(c);
    }
}

static void conn_fire(struct world *w, struct sim_event *e)
{
    struct net_conn *c = (struct net_conn *)(void *)e;
    struct process *p = c->p;
    if (process_put_off(p, e)) return;
    world_note(w, 6, p->index, (uint64_t)c->state);
    bool bytes = c->segment_at < c->segment_count;
    if (c->state == CONN_CONNECTING) {
        fire_connect(c);
    } else if (c->state == CONN_ACCEPTING) {
        fire_accept(c);
    } else if (w->cut[c->remote][p->index] && (bytes || !c->end_is_local)) {
        return; /* stalls: sim_net_cut schedules it again */
    } else if (bytes) {
        fire_data(c);
    } else {
        fire_end(c, c->end_why);
    }
    process_pass_soon(p);
    process_settle(p);
}

/* --- the seam --- */

static struct net_conn *conn_new(struct process *p, unsigned remote, enum conn_state state)
{
    struct net_conn *c = mem_zalloc(sizeof *c);
    c->event.fire = conn_fire;
    c->p = p;
    c->remote = remote;
    c->state = state;
    buf_init(&c->in, SIZE_MAX / 2);
    list_push_back(&p->world->conns, &c->link);
    return c;
}

static enum status op_listen(struct net *net, const char *address, void (*accept)(void *, struct net_conn *), void *ctx,
                             struct net_listener **out, struct errbuf *err)
{
    struct process *p = net_process(net);
    if (find_listener(p->world, address) != NULL) {
        errbuf_set(err, "%s is in use", address);
        return STATUS_EXISTS;
    }
    struct net_listener *l = mem_zalloc(sizeof *l);
    *l = (struct net_listener){.p = p, .accept = accept, .ctx = ctx};
    (void)snprintf(l->address, sizeof l->address, "%s", address);
    list_push_back(&p->world->listeners, &l->link);
    *out = l;
    return STATUS_OK;
}

static void op_unlisten(struct net_listener *l)
{
    list_remove(&l->link);
    mem_free(l);
}

static unsigned process_at(const struct world *w, const char *address)
{
    for (unsigned i = 0; i < w->process_count; i++) {
        if (strcmp(w->processes[i]->address, address) == 0) return i;
    }
    BUG("an address that no process has");
}

static struct net_conn *op_connect(struct net *net, const char *address, const struct net_handler *handler, void *ctx)
{
    struct process *p = net_process(net);
    struct net_conn *c = conn_new(p, process_at(p->world, address), CONN_CONNECTING);
    c->handler = *handler;
    c->ctx = ctx;
    c->begun_ns = process_now_ns(p);
    (void)snprintf(c->address, sizeof c->address, "%s", address);
    if (p->env.dead) {
        c->state = CONN_DEAD;
    } else {
        world_schedule(p->world, &c->event, process_now_ns(p) + 2 * latency(p->world, p->index, c->remote));
    }
    return c;
}

static void op_attach(struct net_conn *c, const struct net_handler *handler, void *ctx)
{
    c->handler = *handler;
    c->ctx = ctx;
}

static void op_send(struct net_conn *c, struct slice bytes)
{
    struct world *w = c->p->world;
    ASSERT(!c->gone);
    if (!process_effect(c->p) || c->p->env.dead || c->state == CONN_DEAD || bytes.size == 0) return;
    ASSERT(c->state == CONN_OPEN);
    struct net_conn *other = c->other;
    if (other == NULL) {
        c->lost += bytes.size;
        bool answers = process_runs(w->processes[c->remote]) && !w->cut[c->p->index][c->remote];
        if (answers) conn_end_at(c, STATUS_IO, process_now_ns(c->p) + 2 * latency(w, c->p->index, c->remote), SIZE_MAX);
        return;
    }
    uint64_t at_ns = process_now_ns(c->p) + latency(w, c->p->index, c->remote);
    if (w->knobs.net_again == 0) {
        segment_push(other, bytes, at_ns);
    } else {
        struct sim_again_cut cut = sim_again_pass(&c->again, &w->stray, w->knobs.net_again, bytes);
        if (cut.before.size > 0) segment_push(other, cut.before, at_ns);
        if (cut.behind.size > 0) segment_push(other, cut.behind, at_ns);
        if (cut.late.size > 0) segment_push(other, cut.late, at_ns);
    }
    if (other->state == CONN_OPEN && other->event.node.pos == 0) conn_schedule(other);
}

static size_t op_unsent(const struct net_conn *c)
{
    uint64_t waits = c->other != NULL ? c->other->in.size - c->other->in_at : c->lost;
    return waits > WINDOW_BYTES ? (size_t)(waits - WINDOW_BYTES) : 0;
}

static void op_pause(struct net_conn *c, bool paused)
{
    c->paused = paused;
    conn_schedule(c);
}

static void op_close(struct net_conn *c)
{
    struct world *w = c->p->world;
    ASSERT(!c->gone);
    struct net_conn *other = conn_part(c);
    if (other != NULL)
        conn_end_at(other, STATUS_CLOSED, process_now_ns(c->p) + latency(w, c->p->index, c->remote), SIZE_MAX);
    if (c->in_callback) {
        c->gone = true;
    } else {
        conn_free(c);
    }
}

static const char *op_peer(const struct net_conn *c)
{
    return c->address;
}

static const struct net_ops NET_OPS = {.listen = op_listen,
                                       .unlisten = op_unlisten,
                                       .connect = op_connect,
                                       .attach = op_attach,
                                       .send = op_send,
                                       .unsent = op_unsent,
                                       .pause = op_pause,
                                       .close = op_close,
                                       .peer = op_peer};

void sim_net_attach(struct process *p)
{
    p->net.ops = &NET_OPS;
    p->env.net = &p->net;
}

/* --- what breaks --- */

void sim_net_down(struct process *p, bool silent)
{
    struct world *w = p->world;
    LIST_FOR(it, &w->conns)
    {
        struct net_conn *c = LIST_ENTRY(it, struct net_conn, link);
        if (c->p != p) continue;
        struct net_conn *other = conn_part(c);
        size_t waiting = other != NULL ? other->in.size - other->in_at : 0;
        size_t keep = waiting > 0 && chance(w, 500) ? (size_t)draw(w, 0, waiting) : waiting;
        uint64_t patience = silent ? draw(w, 0, SILENCE_PATIENCE_NS) : latency(w, p->index, c->remote);
        if (other != NULL) conn_end_at(other, STATUS_IO, w->now_ns + patience, keep);
        world_cancel(w, &c->event);
        if (c->state == CONN_ACCEPTING) {
            conn_free(c); /* nobody knows of it */
        } else {
            c->state = CONN_DEAD; /* until its owner lets go */
        }
    }
}

unsigned sim_net_owned(const struct process *p)
{
    unsigned count = 0;
    LIST_FOR(it, &p->world->conns)
    {
        const struct net_conn *c = LIST_ENTRY(it, struct net_conn, link);
        count += c->p == p && c->state != CONN_ACCEPTING;
    }
    LIST_FOR(it, &p->world->listeners) count += LIST_ENTRY(it, struct net_listener, link)->p == p;
    return count;
}

void sim_net_cut(struct world *w, unsigned from, unsigned to, bool cut)
{
    if (w->cut[from][to] == cut) return;
    w->cut[from][to] = cut;
    world_note(w, 8, from, to + (cut ? 100 : 0));
    if (cut) return;
    LIST_FOR(it, &w->conns)
    {
        struct net_conn *c = LIST_ENTRY(it, struct net_conn, link);
        if (c->p->index != to || c->remote != from || c->state != CONN_OPEN || c->event.node.pos != 0) continue;
        bool bytes = c->segment_at < c->segment_count;
        if ((bytes && !c->paused) || (!bytes && c->ending)) {
            world_schedule(w, &c->event, w->now_ns + draw(w, 0, 300 * MS_NS)); /* until it is sent again */
        }
    }
}

void sim_net_lag(struct world *w, unsigned from, unsigned to, uint64_t slope, uint64_t max_ns)
{
    w->lag[from][to] = (struct sim_lag){.since_ns = w->now_ns, .max_ns = max_ns, .slope = slope};
}

void sim_net_reset_some(struct world *w, unsigned per_mille)
{
    LIST_FOR(it, &w->conns)
    {
        struct net_conn *c = LIST_ENTRY(it, struct net_conn, link);
        if (c->state != CONN_OPEN || c->other == NULL || c->other->state != CONN_OPEN || !chance(w, per_mille))
            continue;
        struct net_conn *ends[2] = {c, conn_part(c)};
        for (unsigned i = 0; i < 2; i++) {
            size_t waiting = ends[i]->in.size - ends[i]->in_at;
            ends[i]->end_is_local = true;
            conn_end_at(ends[i], STATUS_IO, w->now_ns + latency(w, c->remote, c->p->index),
                        waiting > 0 ? (size_t)draw(w, 0, waiting) : 0);
        }
    }
}

void sim_net_free(struct world *w)
{
    LIST_FOR(it, &w->conns) conn_free(LIST_ENTRY(it, struct net_conn, link));
    LIST_FOR(it, &w->listeners) op_unlisten(LIST_ENTRY(it, struct net_listener, link));
}
