#include "lib/fakenet.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>

#define READ_BYTES (1u << 20) /* a delivery is never larger, as a read of a socket is not */

struct host {
    struct env env; /* first: an env of ours is a host */
    struct net net;
    struct logger logger;
    struct fakenet *n;
    struct list link;
    struct list actors;
    struct buf log;
    bool down, silent, pass_due;
    struct fakenet_counts counts;
};

struct net_listener {
    struct host *host;
    struct list link;
    void (*accept)(void *ctx, struct net_conn *);
    void *ctx;
    char address[128];
};

/* One end. `out` is on its way to `other`. An end that its owner has let go stays until `out` is delivered. */
struct net_conn {
    struct host *host;
    struct net_conn *other; /* NULL: not connected yet, or the other end is gone */
    struct list link;
    struct net_handler handler;
    void *ctx;
    bool connecting; /* at event_ns the address is looked up */
    bool gone;       /* closed by its owner */
    bool ending;     /* at event_ns its owner is told that it is over */
    bool paused;
    enum status why;
    uint64_t event_ns;
    struct buf out;
    size_t out_at; /* bytes before it have been delivered */
    uint64_t sent_ns;
    uint64_t out_ns; /* when the next bytes of out arrive */
    char address[128];
};

struct fakenet {
    struct fakenet_options o;
    uint64_t now_ns;
    struct prng prng;
    struct list hosts, listeners, conns;
};

static struct host *host_of(const struct env *env)
{
    return (struct host *)(void *)(uintptr_t)env;
}

static struct host *net_host(struct net *net)
{
    return LIST_ENTRY(net, struct host, net);
}

static size_t flying(const struct net_conn *c)
{
    return c->out.size - c->out_at;
}

static uint64_t delay(struct fakenet *n)
{
    return prng_between(&n->prng, n->o.delay_min_ns, n->o.delay_max_ns);
}

/* --- the net seam --- */

static enum status fake_listen(struct net *net, const char *address, void (*accept)(void *, struct net_conn *),
                               void *ctx, struct net_listener **out, struct errbuf *err)
{
    struct host *h = net_host(net);
    LIST_FOR(it, &h->n->listeners)
    {
        if (strcmp(LIST_ENTRY(it, struct net_listener, link)->address, address) == 0) {
            errbuf_set(err, "%s is in use", address);
            return STATUS_EXISTS;
        }
    }
    struct net_listener *l = mem_zalloc(sizeof(*l));
    l->host = h;
    l->accept = accept;
    l->ctx = ctx;
    (void)snprintf(l->address, sizeof(l->address), "%s", address);
    list_push_back(&h->n->listeners, &l->link);
    *out = l;
    return STATUS_OK;
}

static void fake_unlisten(struct net_listener *l)
{
    list_remove(&l->link);
    mem_free(l);
}

static struct net_conn *conn_new(struct host *h)
{
    struct net_conn *c = mem_zalloc(sizeof(*c));
    c->host = h;
    c->why = STATUS_CLOSED;
    buf_init(&c->out, SIZE_MAX / 2);
    list_push_back(&h->n->conns, &c->link);
    return c;
}

static void conn_free(struct net_conn *c)
{
    list_remove(&c->link);
    buf_free(&c->out);
    mem_free(c);
}

static struct net_conn *fake_connect(struct net *net, const char *address, const struct net_handler *handler, void *ctx)
{
    struct host *h = net_host(net);
    struct net_conn *c = conn_new(h);
    c->handler = *handler;
    c->ctx = ctx;
    c->connecting = true;
    c->event_ns = h->n->now_ns + delay(h->n);
    (void)snprintf(c->address, sizeof(c->address), "%s", address);
    h->counts.connects++;
    return c;
}

static void fake_attach(struct net_conn *c, const struct net_handler *handler, void *ctx)
{
    c->handler = *handler;
    c->ctx = ctx;
}

static void fake_send(struct net_conn *c, struct slice bytes)
{
    ASSERT(!c->gone);
    ASSERT(!c->connecting);
    c->host->counts.sends++;
    c->sent_ns = c->host->n->now_ns;
    if (c->other == NULL) return;
    if (flying(c) == 0) c->out_ns = c->host->n->now_ns + delay(c->host->n);
    buf_append_slice(&c->out, bytes);
}

static size_t fake_unsent(const struct net_conn *c)
{
    const struct fakenet *n = c->host->n;
    size_t window = n->now_ns < c->sent_ns + n->o.accept_ns ? 0 : n->o.window_bytes;
    return flying(c) > window ? flying(c) - window : 0;
}

static void fake_pause(struct net_conn *c, bool paused)
{
    if (paused) c->host->counts.pauses++;
    c->paused = paused;
}

static void end_at(struct net_conn *c, enum status why, uint64_t at_ns)
{
    if (c->ending || c->gone) return;
    c->ending = true;
    c->why = why;
    c->event_ns = at_ns;
}

/* The other end hears nothing more. */
static void part(struct net_conn *c, enum status why)
{
    struct net_conn *other = c->other;
    if (other == NULL) return;
    c->other = NULL;
    other->other = NULL;
    if (other->gone)
        conn_free(other);
    else
        end_at(other, why, c->host->n->now_ns + delay(c->host->n));
}

static void fake_close(struct net_conn *c)
{
    ASSERT(!c->gone);
    c->gone = true;
    if (c->other != NULL && flying(c) > 0) return; /* freed when it is delivered */
    part(c, STATUS_CLOSED);
    conn_free(c);
}

static const char *fake_peer(const struct net_conn *c)
{
    return c->address;
}

static const struct net_ops NET_OPS = {.listen = fake_listen,
                                       .unlisten = fake_unlisten,
                                       .connect = fake_connect,
                                       .attach = fake_attach,
                                       .send = fake_send,
                                       .unsent = fake_unsent,
                                       .pause = fake_pause,
                                       .close = fake_close,
                                       .peer = fake_peer};

/* --- the env seam --- */

static uint64_t fake_mono_ns(struct env *env)
{
    return host_of(env)->n->now_ns;
}

static uint64_t fake_wall_ms(struct env *env)
{
    return 1700000000000ull + host_of(env)->n->now_ns / NS_PER_MS;
}

static void fake_random(struct env *env, void *bytes, size_t size)
{
    uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++) at[i] = (uint8_t)prng_next(&host_of(env)->n->prng);
}

static void fake_env_attach(struct env *env, struct actor *a)
{
    a->deadline_ns = 0;
    list_push_back(&host_of(env)->actors, &a->link);
    host_of(env)->pass_due = true;
}

static void fake_detach(struct env *env, struct actor *a)
{
    (void)env;
    list_remove(&a->link);
}

static void fake_wake(struct env *env)
{
    host_of(env)->pass_due = true;
}

static void fake_fatal(struct env *env, const char *why)
{
    (void)env;
    BUG(why);
}

static const struct env_ops ENV_OPS = {.mono_ns = fake_mono_ns,
                                       .wall_ms = fake_wall_ms,
                                       .random = fake_random,
                                       .attach = fake_env_attach,
                                       .detach = fake_detach,
                                       .wake = fake_wake,
                                       .fatal = fake_fatal};

static void fake_log(struct logger *logger, enum log_level level, const char *line)
{
    struct host *h = logger->ctx;
    buf_printf(&h->log, "%llu %s %s\n", (unsigned long long)h->n->now_ns, log_level_name(level), line);
}

/* --- the network --- */

struct fakenet *fakenet_new(const struct fakenet_options *o)
{
    struct fakenet *n = mem_zalloc(sizeof(*n));
    n->o = *o;
    if (n->o.window_bytes == 0) n->o.window_bytes = 65536;
    ASSERT(o->delay_min_ns <= o->delay_max_ns);
    n->now_ns = 1000 * NS_PER_MS;
    prng_init(&n->prng, o->seed);
    list_init(&n->hosts);
    list_init(&n->listeners);
    list_init(&n->conns);
    return n;
}

void fakenet_free(struct fakenet *n)
{
    LIST_FOR(it, &n->conns) conn_free(LIST_ENTRY(it, struct net_conn, link));
    LIST_FOR(it, &n->listeners) fake_unlisten(LIST_ENTRY(it, struct net_listener, link));
    LIST_FOR(it, &n->hosts)
    {
        struct host *h = LIST_ENTRY(it, struct host, link);
        ASSERT(list_empty(&h->actors));
        buf_free(&h->log);
        mem_free(h);
    }
    mem_free(n);
}

uint64_t fakenet_now_ns(const struct fakenet *n)
{
    return n->now_ns;
}

void fakenet_chunks(struct fakenet *n, size_t chunk_max_bytes)
{
    n->o.chunk_max_bytes = chunk_max_bytes;
}

struct env *fakenet_env(struct fakenet *n)
{
    struct host *h = mem_zalloc(sizeof(*h));
    h->n = n;
    h->net.ops = &NET_OPS;
    h->logger = (struct logger){.level = LOG_DEBUG, .write = fake_log, .ctx = h};
    h->env = (struct env){.ops = &ENV_OPS, .net = &h->net, .log = &h->logger};
    buf_init(&h->log, 64u << 20);
    list_init(&h->actors);
    list_push_back(&n->hosts, &h->link);
    return &h->env;
}

static void conn_reset(struct net_conn *c)
{
    uint64_t now = c->host->n->now_ns;
    struct net_conn *other = c->other;
    c->connecting = false;
    c->other = NULL;
    buf_clear(&c->out);
    c->out_at = 0;
    if (other != NULL) {
        other->other = NULL;
        buf_clear(&other->out);
        other->out_at = 0;
        if (other->gone)
            conn_free(other);
        else
            end_at(other, STATUS_IO, now);
    }
    if (c->gone)
        conn_free(c);
    else
        end_at(c, STATUS_IO, now);
}

void fakenet_reset(struct env *env)
{
    struct host *h = host_of(env);
    /* An end may free its other end, so that the list is walked from the start after each. */
    for (bool more = true; more;) {
        more = false;
        LIST_FOR(it, &h->n->conns)
        {
            struct net_conn *c = LIST_ENTRY(it, struct net_conn, link);
            if (c->ending || (c->host != h && (c->other == NULL || c->other->host != h))) continue;
            conn_reset(c);
            more = true;
            break;
        }
    }
}

void fakenet_reset_one(struct fakenet *n)
{
    size_t count = 0;
    LIST_FOR(it, &n->conns) count += LIST_ENTRY(it, struct net_conn, link)->other != NULL;
    if (count == 0) return;
    size_t pick = (size_t)prng_below(&n->prng, count);
    LIST_FOR(it, &n->conns)
    {
        struct net_conn *c = LIST_ENTRY(it, struct net_conn, link);
        if (c->other == NULL || pick-- > 0) continue;
        conn_reset(c);
        return;
    }
}

void fakenet_down(struct env *env, bool down)
{
    host_of(env)->down = down;
    if (down) fakenet_reset(env);
}

void fakenet_silent(struct env *env, bool silent)
{
    host_of(env)->silent = silent;
}

struct fakenet_counts fakenet_counts(const struct env *env)
{
    return host_of(env)->counts;
}

const char *fakenet_log(const struct env *env)
{
    struct host *h = host_of(env);
    buf_append_byte(&h->log, 0);
    h->log.size--;
    return (const char *)h->log.data;
}

size_t fakenet_logged(const struct env *env, const char *text)
{
    size_t count = 0;
    const char *log = fakenet_log(env);
    for (const char *at = log; (at = strstr(at, text)) != NULL; count++) {
        at = strchr(at, '\n');
        if (at == NULL) break;
    }
    return count;
}

/* --- events --- */

static struct net_listener *find_listener(struct fakenet *n, const char *address)
{
    LIST_FOR(it, &n->listeners)
    {
        struct net_listener *l = LIST_ENTRY(it, struct net_listener, link);
        if (strcmp(l->address, address) == 0) return l;
    }
    return NULL;
}

/* When something happens at this end: its own news, or bytes for it. UINT64_MAX: nothing is to come. */
static uint64_t conn_event_ns(const struct net_conn *c)
{
    if (c->host->silent) return UINT64_MAX;
    if (c->connecting) {
        const struct net_listener *l = find_listener(c->host->n, c->address);
        return l != NULL && l->host->silent ? UINT64_MAX : c->event_ns;
    }
    if (c->ending) return c->event_ns;
    if (c->other == NULL || c->other->host->silent || c->paused || flying(c->other) == 0) return UINT64_MAX;
    return c->other->out_ns;
}

static void conn_end(struct net_conn *c)
{
    ASSERT(!c->gone);
    c->host->pass_due = true;
    struct net_handler handler = c->handler;
    c->gone = true;
    handler.on_close(c->ctx, c, c->why);
    part(c, STATUS_CLOSED);
    conn_free(c);
}

static void conn_establish(struct net_conn *c)
{
    struct net_listener *l = find_listener(c->host->n, c->address);
    c->connecting = false;
    if (c->host->down || l == NULL || l->host->down) {
        c->why = STATUS_UNAVAILABLE;
        conn_end(c);
        return;
    }
    struct net_conn *accepted = conn_new(l->host);
    (void)snprintf(accepted->address, sizeof(accepted->address), "client-of-%.100s", c->address);
    accepted->other = c;
    c->other = accepted;
    l->host->pass_due = c->host->pass_due = true;
    c->handler.on_open(c->ctx, c);
    l->accept(l->ctx, accepted);
}

static void conn_deliver(struct net_conn *c)
{
    struct fakenet *n = c->host->n;
    struct net_conn *from = c->other;
    size_t size = flying(from) < READ_BYTES ? flying(from) : READ_BYTES;
    if (n->o.chunk_max_bytes > 0) {
        size_t cut = (size_t)prng_between(&n->prng, 1, n->o.chunk_max_bytes);
        if (cut < size) size = cut;
    }
    if (!c->gone) {
        uint8_t *bytes =
            mem_dup(from->out.data + from->out_at, size); /* on its own, so that a sanitizer sees a read past its end */
        c->host->pass_due = true;
        c->handler.on_data(c->ctx, c, slice_make(bytes, size));
        mem_free(bytes);
    }
    from->out_at += size;
    if (from->out_at >= from->out.size / 2) {
        buf_consume(&from->out, from->out_at);
        from->out_at = 0;
    }
    from->out_ns = n->now_ns + delay(n);
    if (from->gone && flying(from) == 0) {
        part(from, STATUS_CLOSED);
        conn_free(from);
    }
}

static void conn_event(struct net_conn *c)
{
    if (c->connecting && c->gone)
        conn_free(c);
    else if (c->connecting)
        conn_establish(c);
    else if (c->ending)
        conn_end(c);
    else
        conn_deliver(c);
}

static uint64_t host_deadline(struct host *h)
{
    if (h->pass_due) return 0;
    uint64_t at = UINT64_MAX;
    LIST_FOR(it, &h->actors)
    {
        struct actor *a = LIST_ENTRY(it, struct actor, link);
        if (a->deadline_ns < at) at = a->deadline_ns;
    }
    return at;
}

/* Runs the passes that are due; false if none was. */
static bool run_passes(struct fakenet *n)
{
    bool any = false;
    LIST_FOR(it, &n->hosts)
    {
        struct host *h = LIST_ENTRY(it, struct host, link);
        if (host_deadline(h) > n->now_ns) continue;
        any = true;
        h->pass_due = false;
        h->counts.passes++;
        LIST_FOR(actor_it, &h->actors)
        {
            struct actor *a = LIST_ENTRY(actor_it, struct actor, link);
            a->deadline_ns = a->pass(a, n->now_ns);
        }
    }
    return any;
}

/* One of the events that come first, drawn at random. */
static struct net_conn *next_event(struct fakenet *n, uint64_t *at_ns)
{
    struct net_conn *found = NULL;
    uint64_t count = 0;
    *at_ns = UINT64_MAX;
    LIST_FOR(it, &n->conns)
    {
        struct net_conn *c = LIST_ENTRY(it, struct net_conn, link);
        uint64_t at = conn_event_ns(c);
        if (at != UINT64_MAX && at < n->now_ns) at = n->now_ns; /* it was silent or paused when its time came */
        if (at == UINT64_MAX || at > *at_ns) continue;
        count = at < *at_ns ? 1 : count + 1;
        *at_ns = at;
        if (prng_below(&n->prng, count) == 0) found = c;
    }
    return found;
}

static uint64_t next_deadline(const struct fakenet *n)
{
    uint64_t at = UINT64_MAX;
    LIST_FOR(it, &n->hosts)
    {
        uint64_t host_at = host_deadline(LIST_ENTRY(it, struct host, link));
        if (host_at < at) at = host_at;
    }
    return at;
}

bool fakenet_run(struct fakenet *n, bool (*cond)(void *ctx), void *ctx, uint64_t span_ns)
{
    uint64_t until = n->now_ns + span_ns;
    unsigned stuck = 0;
    for (;;) {
        if (cond != NULL && cond(ctx)) return true;
        uint64_t event_ns, before = n->now_ns;
        struct net_conn *c = next_event(n, &event_ns);
        /* Events of the same instant may come before the pass, as a loop finds several sockets readable at once. */
        bool together = c != NULL && event_ns == n->now_ns && prng_chance(&n->prng, 1, 2);
        if (together || !run_passes(n)) {
            uint64_t deadline = next_deadline(n);
            uint64_t next = event_ns < deadline ? event_ns : deadline;
            if (together) next = n->now_ns;
            if (next > until) break;
            if (next > n->now_ns) n->now_ns = next;
            if (c != NULL && event_ns <= n->now_ns) conn_event(c);
        }
        stuck = n->now_ns == before ? stuck + 1 : 0;
        ASSERT(stuck < 1000000); /* the actors spin */
    }
    n->now_ns = until;
    return cond != NULL && cond(ctx);
}
