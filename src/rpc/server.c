/* Accepted connections. A connection's states, and what ends each:
 *
 *      accept
 *        |
 *        v      hello fits            garbage, wrong version,
 *    GREETING ----------> SERVING     wrong cluster, slow reader
 *        |                   |  \______________________
 *        | too slow,         |                         v
 *        | garbage,          | closed by the peer   ENDING: its last answer goes out with the next flush,
 *        | wrong hello       v                         |   then it is closed
 *        +--> ENDING ----> GONE <----------------------+
 *                            |
 *                            +--> freed when no request of it is left with the owner
 *
 * SERVING is held (the sender is paused) while too many requests are unanswered (woken by replies) or too many reply bytes
 * are unsent (looked at in each pass). */
#include "rpc/rpc_int.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>

enum conn_state { CONN_GREETING, CONN_SERVING, CONN_ENDING, CONN_GONE };

struct rpc_server {
    struct env *env;
    const struct rpc_identity *self;
    void (*on_request)(void *ctx, struct rpc_request *);
    void *ctx;
    struct net_listener *listener;
    struct list conns;
    struct list ready;    /* streams with news */
    struct list greeting; /* connections without hello, oldest first */
    struct list choked;   /* held because the peer does not read its replies */
    struct list dirty;    /* something to send, or to end, at the next flush */
    struct list gone;     /* GONE and without requests: freed at the next flush */
    size_t conn_count;
    bool leaving;
    uint32_t finalised; /* as of the last look for those who are too old */
    struct arena arena;
};

struct rpc_conn {
    struct rpc_stream stream;
    struct rpc_server *server;
    struct list link;       /* server's conns */
    struct list state_link; /* greeting, choked or gone, by state */
    struct list dirty_link;
    enum conn_state state;
    bool out_full;                             /* a reply did not fit: the peer reads too slowly */
    struct hello hello;                        /* once it serves */
    size_t unanswered_count, unanswered_bytes; /* with the owner */
    uint64_t accepted_ns;
    char peer[LIMIT_ADDRESS_BYTES];
};

static void conn_check(const struct rpc_conn *c)
{
    if (c->state == CONN_GONE) ASSERT(c->stream.conn == NULL);
    if (c->state == CONN_GREETING) ASSERT(c->unanswered_count == 0);
    if (c->unanswered_count == 0) ASSERT(c->unanswered_bytes == 0);
}

static void conn_set_state(struct rpc_conn *c, enum conn_state state)
{
    ASSERT(state > c->state);
    c->state = state;
    list_remove(&c->state_link);
    if (state == CONN_GONE) {
        rpc_stream_close(&c->stream);
        list_remove(&c->dirty_link);
        list_remove(&c->stream.ready_link);
        if (c->unanswered_count == 0) list_push_back(&c->server->gone, &c->state_link);
    }
    conn_check(c);
}

static void conn_free(struct rpc_conn *c)
{
    ASSERT(c->unanswered_count == 0);
    c->server->conn_count--;
    rpc_stream_free(&c->stream);
    list_remove(&c->link);
    list_remove(&c->state_link);
    list_remove(&c->dirty_link);
    mem_free(c);
}

static void on_accept(void *ctx, struct net_conn *net_conn)
{
    struct rpc_server *s = ctx;
    const struct net_ops *net = s->env->net->ops;
    if (s->conn_count >= RPC_CONNECTIONS_MAX) {
        log_event(s->env->log, LOG_WARN, "rpc.too_many_connections", "peer=%s limit=%u", net->peer(net_conn),
                  RPC_CONNECTIONS_MAX);
        net->close(net_conn);
        return;
    }
    struct rpc_conn *c = mem_zalloc(sizeof(*c));
    c->server = s;
    c->state = CONN_GREETING;
    c->accepted_ns = env_mono_ns(s->env);
    (void)snprintf(c->peer, sizeof(c->peer), "%s", net->peer(net_conn));
    rpc_stream_init(&c->stream, s->env, &s->ready);
    list_init(&c->dirty_link);
    list_init(&c->state_link);
    list_push_back(&s->conns, &c->link);
    list_push_back(&s->greeting, &c->state_link);
    s->conn_count++;
    rpc_stream_accept(&c->stream, net_conn);
}

enum status rpc_server_new(struct env *env, const char *address, const struct rpc_identity *self,
                           void (*on_request)(void *ctx, struct rpc_request *), void *ctx, struct rpc_server **out,
                           struct errbuf *err)
{
    struct rpc_server *s = mem_zalloc(sizeof(*s));
    *s = (struct rpc_server){.env = env, .self = self, .on_request = on_request, .ctx = ctx};
    struct list *lists[] = {&s->conns, &s->ready, &s->greeting, &s->choked, &s->dirty, &s->gone};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) list_init(lists[i]);
    arena_init(&s->arena, 4096);
    enum status status = env->net->ops->listen(env->net, address, on_accept, s, &s->listener, err);
    if (status != STATUS_OK) {
        arena_free(&s->arena);
        mem_free(s);
        return status;
    }
    *out = s;
    return STATUS_OK;
}

void rpc_server_free(struct rpc_server *s)
{
    if (s == NULL) return;
    s->env->net->ops->unlisten(s->listener);
    LIST_FOR(it, &s->conns)
    {
        conn_free(LIST_ENTRY(it, struct rpc_conn, link)); /* asserts that nothing is unanswered */
    }
    ASSERT(s->conn_count == 0);
    arena_free(&s->arena);
    mem_free(s);
}

const struct hello *rpc_request_hello(const struct rpc_request *r)
{
    return &r->conn->hello;
}

void rpc_server_each(const struct rpc_server *s, void (*fn)(void *ctx, const struct hello *peer, const char *address),
                     void *ctx)
{
    LIST_FOR(it, &s->conns)
    {
        const struct rpc_conn *c = LIST_ENTRY(it, struct rpc_conn, link);
        if (c->state == CONN_SERVING) fn(ctx, &c->hello, c->peer);
    }
}

/* --- sending --- */

static void conn_dirty(struct rpc_conn *c)
{
    list_remove(&c->dirty_link);
    list_push_back(&c->server->dirty, &c->dirty_link);
}

/* An answer that does not fit in a frame becomes a short one; what was asked for may well have been done. */
static void conn_send(struct rpc_conn *c, uint64_t id, enum method method, const struct reply_head *head)
{
    if (c->state == CONN_GONE) return;
    conn_dirty(c);
    if (rpc_append_reply(&c->stream.out, id, method, head)) return;
    struct reply_head large = {.status = STATUS_TOO_LARGE,
                               .unknown_outcome = head->status == STATUS_OK || head->unknown_outcome,
                               .message = slice_str("the answer is larger than a frame may be (16 MiB)"),
                               .payload = SLICE_EMPTY};
    if (!rpc_append_reply(&c->stream.out, id, method, &large)) c->out_full = true; /* ended by the flush */
}

static void conn_send_status(struct rpc_conn *c, uint64_t id, enum method method, enum status status,
                             const char *message)
{
    struct reply_head head = {
        .status = status, .message = slice_str(message != NULL ? message : ""), .payload = SLICE_EMPTY};
    conn_send(c, id, method, &head);
}

static void conn_garbage(struct rpc_conn *c, enum status status, const char *what)
{
    log_event(c->server->env->log, LOG_WARN, "rpc.garbage", "peer=%s status=%s what=\"%s\"", c->peer,
              status_name(status), what);
    conn_send_status(c, 0, METHOD_HELLO, STATUS_INVALID, what);
    conn_set_state(c, CONN_ENDING);
}

/* --- requests --- */

static void request_free(struct rpc_request *r)
{
    struct rpc_conn *c = r->conn;
    conn_check(c);
    ASSERT(c->unanswered_count > 0 && c->unanswered_bytes >= r->params.size);
    c->unanswered_count--;
    c->unanswered_bytes -= r->params.size;
    list_remove(&r->link);
    mem_free(r);
    if (c->state == CONN_GONE && c->unanswered_count == 0) {
        list_remove(&c->state_link);
        list_push_back(&c->server->gone, &c->state_link);
    }
    if (c->stream.held && c->state == CONN_SERVING && c->unanswered_count <= RPC_UNANSWERED_MAX_COUNT / 2 &&
        c->unanswered_bytes <= RPC_UNANSWERED_MAX_BYTES / 2) {
        COVER("rpc.unheld");
        list_remove(&c->stream.ready_link);
        list_push_back(&c->server->ready, &c->stream.ready_link);
        c->server->env->ops->wake(c->server->env);
    }
}

void rpc_reply(struct rpc_request *r, const struct reply_head *head)
{
    ASSERT(!r->notify);
    conn_send(r->conn, r->id, r->method, head);
    request_free(r);
}

void rpc_reply_status(struct rpc_request *r, enum status s, const char *message)
{
    ASSERT(!r->notify);
    conn_send_status(r->conn, r->id, r->method, s, message);
    request_free(r);
}

void rpc_request_drop(struct rpc_request *r)
{
    request_free(r);
}

static void conn_request(struct rpc_conn *c, const struct frame *f, uint64_t now_ns)
{
    /* The params follow the struct: one allocation, and the one copy out of the receive buffer. */
    struct rpc_request *r = mem_try_alloc(sizeof(*r) + f->params.size);
    if (r == NULL) {
        if (f->type == FRAME_REQUEST)
            conn_send_status(c, f->id, (enum method)f->method, STATUS_BUSY, "no memory for the request");
        return;
    }
    *r = (struct rpc_request){.conn = c,
                              .id = f->id,
                              .method = (enum method)f->method,
                              .notify = f->type == FRAME_NOTIFY,
                              .peer_role = c->hello.role,
                              .peer_node_id = c->hello.node_id,
                              .received_ns = now_ns};
    list_init(&r->link);
    if (f->params.size > 0) memcpy(r + 1, f->params.data, f->params.size);
    r->params = slice_make(r + 1, f->params.size);
    c->unanswered_count++;
    c->unanswered_bytes += f->params.size;
    c->server->on_request(c->server->ctx, r);
}

static const char LEAVING_TEXT[] = "this process is stopping";

/* The first hello admits the connection; later ones are pings of a client that hears nothing, and are answered alike. */
static void conn_hello(struct rpc_conn *c, const struct frame *f)
{
    struct rpc_server *s = c->server;
    struct hello hello;
    arena_reset(&s->arena);
    if (f->type != FRAME_REQUEST || unpack_hello(f->params, &s->arena, &hello) != STATUS_OK) {
        conn_garbage(c, STATUS_INVALID, "malformed hello");
        return;
    }
    struct errbuf err;
    enum status status = rpc_hello_check(s->self, &hello, c->peer, &err);
    if (status == STATUS_OK && s->leaving && c->state == CONN_GREETING) {
        conn_send_status(c, f->id, METHOD_HELLO, STATUS_UNAVAILABLE, LEAVING_TEXT);
        conn_set_state(c, CONN_ENDING);
        return;
    }
    if (status != STATUS_OK) {
        log_event(s->env->log, LOG_WARN, "rpc.refused", "peer=%s status=%s why=\"%s\"", c->peer, status_name(status),
                  err.text);
        conn_send_status(c, f->id, METHOD_HELLO, status, err.text);
        conn_set_state(c, CONN_ENDING);
        return;
    }
    struct hello ours;
    rpc_hello_fill(&ours, s->self);
    struct buf payload;
    buf_init(&payload, RPC_HELLO_BYTES_MAX);
    pack_hello(&payload, &ours);
    struct reply_head head = {.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&payload)};
    conn_send(c, f->id, METHOD_HELLO, &head);
    buf_free(&payload);
    c->hello = hello;
    c->stream.frame_max = LIMIT_FRAME_BYTES;
    if (c->state == CONN_GREETING) conn_set_state(c, CONN_SERVING);
}

static void conn_frame(struct rpc_conn *c, const struct frame *f, uint64_t now_ns)
{
    if (f->method == METHOD_HELLO) {
        conn_hello(c, f);
    } else if (c->state == CONN_GREETING) {
        conn_garbage(c, STATUS_INVALID, "the first frame must be a hello");
    } else if (f->type == FRAME_RESPONSE) {
        conn_garbage(c, STATUS_INVALID, "a response to nothing");
    } else {
        conn_request(c, f, now_ns);
    }
}

/* --- the pass --- */

/* True while no more of this connection's requests are to be taken; then it is off the ready list until it is woken. */
static bool conn_hold(struct rpc_conn *c)
{
    bool full = c->unanswered_count >= RPC_UNANSWERED_MAX_COUNT || c->unanswered_bytes >= RPC_UNANSWERED_MAX_BYTES;
    bool choked = rpc_stream_unsent(&c->stream) >= RPC_UNSENT_CHOKE_BYTES;
    if (full) COVER("rpc.held");
    if (choked && c->state == CONN_SERVING) {
        COVER("rpc.choked");
        list_remove(&c->state_link);
        list_push_back(&c->server->choked, &c->state_link);
    }
    rpc_stream_hold(&c->stream, full || choked);
    return full || choked;
}

static const char *garbage_text(enum status status)
{
    if (status == STATUS_TOO_LARGE) return "frame too large (16 MiB; 4 KiB before the hello), or not this protocol";
    if (status == STATUS_CORRUPT) return "frame checksum mismatch";
    return "not a frame of this protocol";
}

static void conn_step(struct rpc_conn *c, uint64_t now_ns)
{
    conn_check(c);
    if (c->state == CONN_GONE) return;
    if (c->stream.ended) {
        conn_set_state(c, CONN_GONE);
        return;
    }
    unsigned taken = 0;
    while (c->state <= CONN_SERVING && !conn_hold(c)) {
        if (taken == RPC_REQUESTS_PER_PASS) { /* others first; the rest in the next pass */
            list_push_back(&c->server->ready, &c->stream.ready_link);
            c->server->env->ops->wake(c->server->env);
            break;
        }
        struct frame frame;
        enum status status = rpc_stream_next(&c->stream, &frame);
        if (status == STATUS_END) break;
        if (status == STATUS_OK) {
            taken++;
            conn_frame(c, &frame, now_ns);
        } else {
            conn_garbage(c, status, garbage_text(status));
        }
    }
    rpc_stream_compact(&c->stream);
}

static void expire_greetings(struct rpc_server *s, uint64_t now_ns)
{
    LIST_FOR(it, &s->greeting)
    {
        struct rpc_conn *c = LIST_ENTRY(it, struct rpc_conn, state_link);
        if (now_ns < c->accepted_ns + RPC_GREETING_MS * NS_PER_MS) break;
        log_event(s->env->log, LOG_WARN, "rpc.no_hello", "peer=%s", c->peer);
        conn_set_state(c, CONN_GONE);
    }
}

/* Something has been finalised that connected processes do not support: they are told, and let go. */
static void dismiss_too_old(struct rpc_server *s)
{
    if (s->finalised == s->self->finalised) return;
    s->finalised = s->self->finalised;
    LIST_FOR(it, &s->conns)
    {
        struct rpc_conn *c = LIST_ENTRY(it, struct rpc_conn, link);
        struct errbuf err;
        if (c->state != CONN_SERVING || !rpc_too_old(s->self, &c->hello)) continue;
        enum status status = rpc_hello_check(s->self, &c->hello, c->peer, &err);
        COVER("rpc.too_old");
        log_event(s->env->log, LOG_WARN, "rpc.refused", "peer=%s status=%s why=\"%s\"", c->peer, status_name(status),
                  err.text);
        conn_send_status(c, 0, METHOD_HELLO, status, err.text);
        conn_set_state(c, CONN_ENDING);
    }
}

void rpc_server_leave(struct rpc_server *s)
{
    if (s->leaving) return;
    s->leaving = true;
    LIST_FOR(it, &s->conns)
    {
        struct rpc_conn *c = LIST_ENTRY(it, struct rpc_conn, link);
        if (c->state == CONN_SERVING) conn_send_status(c, 0, METHOD_HELLO, STATUS_UNAVAILABLE, LEAVING_TEXT);
    }
}

bool rpc_server_left(const struct rpc_server *s)
{
    LIST_FOR(it, &s->conns)
    {
        const struct rpc_conn *c = LIST_ENTRY(it, struct rpc_conn, link);
        if (c->state != CONN_GONE) return false;
    }
    return s->leaving;
}

void rpc_server_pass(struct rpc_server *s, uint64_t now_ns)
{
    if (s->env->dead) return;
    dismiss_too_old(s);
    LIST_FOR(it, &s->choked)
    {
        struct rpc_conn *c = LIST_ENTRY(it, struct rpc_conn, state_link);
        if (rpc_stream_unsent(&c->stream) >= RPC_UNSENT_CHOKE_BYTES) continue;
        list_remove(&c->state_link);
        list_remove(&c->stream.ready_link);
        list_push_back(&s->ready, &c->stream.ready_link);
    }
    /* Whatever becomes ready during the steps is for the next pass. */
    struct list now;
    list_init(&now);
    if (!list_empty(&s->ready)) {
        now = s->ready;
        now.next->prev = now.prev->next = &now;
        list_init(&s->ready);
    }
    for (struct list *it; (it = list_pop_front(&now)) != NULL;) {
        conn_step(LIST_ENTRY(it, struct rpc_conn, stream.ready_link), now_ns);
    }
    expire_greetings(s, now_ns);
}

static void conn_flush(struct rpc_conn *c)
{
    rpc_stream_flush(&c->stream);
    if (c->out_full || rpc_stream_unsent(&c->stream) > RPC_UNSENT_MAX_BYTES) {
        COVER("rpc.slow_reader");
        log_event(c->server->env->log, LOG_WARN, "rpc.slow_reader", "peer=%s unsent_max=%u", c->peer,
                  RPC_UNSENT_MAX_BYTES);
        conn_set_state(c, CONN_GONE);
    } else if (c->state == CONN_ENDING) {
        conn_set_state(c, CONN_GONE);
    }
}

void rpc_server_flush(struct rpc_server *s)
{
    if (s->env->dead) return;
    for (struct list *it; (it = list_pop_front(&s->dirty)) != NULL;) {
        conn_flush(LIST_ENTRY(it, struct rpc_conn, dirty_link));
    }
    for (struct list *it; (it = list_pop_front(&s->gone)) != NULL;) {
        conn_free(LIST_ENTRY(it, struct rpc_conn, state_link));
    }
}
