#include "base/assert.h"
#include "base/mem.h"
#include "http/server_int.h"

#include <stdio.h>
#include <string.h>

#define SLOWEST_BYTES_PER_S (16u * 1024u)
#define NEXT_BYTES_MAX (64u * 1024u)          /* behind a request under way; then the sender waits */
#define UNSENT_BYTES_MAX (4u * 1024u * 1024u) /* replies that a client does not read; then its requests wait */
#define IDLE_CAPACITY_BYTES (16u * 1024u)     /* larger buffers of an idle connection are given back */

static const struct net_ops *net_of(const struct connection *c)
{
    return c->server->http->env->net->ops;
}

static uint64_t now_of(const struct connection *c)
{
    return env_pass_ns(c->server->http->env);
}

static void connection_check(const struct connection *c)
{
    ASSERT(c->net != NULL);
    ASSERT((c->state == CONNECTION_READY) == !list_empty(&c->ready));
    if (c->state == CONNECTION_READY) ASSERT(c->reader.state == READER_DONE || c->reader.state == READER_BAD);
    if (c->state == CONNECTION_HANDLING) ASSERT(c->reader.state == READER_DONE);
}

static void connection_pause(struct connection *c, bool paused)
{
    if (c->paused == paused) return;
    c->paused = paused;
    net_of(c)->pause(c->net, paused);
}

static void connection_free(struct connection *c)
{
    list_remove(&c->link);
    list_remove(&c->ready);
    http_reader_free(&c->reader);
    buf_free(&c->next);
    mem_free(c);
}

void http_connection_end(struct connection *c)
{
    net_of(c)->close(c->net);
    connection_free(c);
}

/* --- receiving --- */

static void connection_begin(struct connection *c)
{
    c->state = CONNECTION_RECEIVING;
    c->received_bytes = 0;
    c->continued = false;
    c->stuck_ns = 0; /* it asks, so it is alive; how much it may leave unread is bounded */
    http_reader_begin(&c->reader, false);
}

/* Returns how many bytes belong to the request being received; IDLE and RECEIVING only. */
static size_t connection_feed(struct connection *c, struct slice bytes)
{
    bool begins = c->state == CONNECTION_IDLE;
    if (begins) connection_begin(c);
    size_t taken = http_reader_feed(&c->reader, bytes);
    c->received_bytes += taken;
    enum reader_state s = c->reader.state;
    if (s == READER_DONE || s == READER_BAD) {
        c->state = CONNECTION_READY;
        list_push_back(&c->server->ready, &c->ready);
        return taken;
    }
    if (begins) c->begun_ns = now_of(c); /* what comes whole, as it does as a rule, is not asked how long it took */
    if (c->reader.expects && s != READER_HEAD && !c->continued) {
        c->continued = true;
        net_of(c)->send(c->net, slice_str("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    return taken;
}

static void on_data(void *ctx, struct net_conn *net, struct slice bytes)
{
    struct connection *c = ctx;
    (void)net;
    connection_check(c);
    if (c->state == CONNECTION_IDLE || c->state == CONNECTION_RECEIVING) {
        size_t taken = connection_feed(c, bytes);
        bytes = slice_make(bytes.data + taken, bytes.size - taken);
    }
    if (bytes.size == 0 || c->reader.state == READER_BAD) return;
    buf_append_slice(&c->next, bytes);
    if (c->next.size >= NEXT_BYTES_MAX) connection_pause(c, true);
}

/* Takes up what came while the last request was under way. */
static void connection_resume(struct connection *c)
{
    if (net_of(c)->unsent(c->net) > UNSENT_BYTES_MAX) { /* the sweep looks again */
        connection_pause(c, true);
        return;
    }
    if (c->next.size > 0) {
        size_t taken = connection_feed(c, buf_slice(&c->next));
        buf_consume(&c->next, taken);
    }
    if (c->next.size < NEXT_BYTES_MAX) connection_pause(c, false);
    if (c->next.size == 0 && c->next.capacity > IDLE_CAPACITY_BYTES) buf_free(&c->next);
    if (c->state == CONNECTION_IDLE && c->reader.body.capacity > IDLE_CAPACITY_BYTES) buf_free(&c->reader.body);
}

static void on_close(void *ctx, struct net_conn *net, enum status why)
{
    struct connection *c = ctx;
    (void)net;
    (void)why;
    if (c->state == CONNECTION_HANDLING) {
        c->server->handling_count--;
        c->server->on_gone(c->server->ctx, &c->request);
    }
    connection_free(c);
}

void http_connection_accept(void *server, struct net_conn *net)
{
    static const struct net_handler handler = {.on_data = on_data, .on_close = on_close};
    struct http_server *s = server;
    struct connection *c = mem_zalloc(sizeof(*c));
    c->server = s;
    c->net = net;
    c->begun_ns = now_of(c);
    http_reader_init(&c->reader, true, s->max_head, s->max_body);
    buf_init(&c->next, SIZE_MAX / 2); /* bounded by the pause, and one read */
    list_init(&c->ready);
    list_push_back(&s->connections, &c->link);
    net_of(c)->attach(net, &handler, c);
}

/* --- handling --- */

/* The raw path and query of the request's target, which may also be a whole URL (RFC 9112, 3.2.2). */
static void request_split_target(struct connection *c)
{
    const char *target = (char *)c->reader.head.data + c->reader.target;
    if (strncmp(target, "http://", 7) == 0 || strncmp(target, "https://", 8) == 0) {
        const char *slash = strchr(strstr(target, "//") + 2, '/');
        target = slash != NULL ? slash : "/";
    }
    size_t path_size = strcspn(target, "?#");
    const char *query = target + path_size;
    c->request.path = slice_make(target, path_size);
    c->request.query = *query == '?' ? slice_make(query + 1, strcspn(query + 1, "#")) : SLICE_EMPTY;
}

static const char *error_name(int code)
{
    if (code == 413 || code == 431) return "too_large";
    return code == 501 ? "unsupported" : "invalid";
}

/* What did not parse: where the next request begins is not known, so the connection ends. */
static void connection_refuse(struct connection *c)
{
    char body[256];
    int size = snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"outcome\":\"definite\"}}",
                        error_name(c->reader.code), c->reader.fault);
    ASSERT(size > 0 && (size_t)size < sizeof(body));
    struct http_reply_head head = {.code = c->reader.code, .content_type = "application/json"};
    buf_clear(&c->server->head);
    http_head_compose(&c->server->head, &head, (size_t)size, http_server_date(c->server), "close");
    net_of(c)->send(c->net, buf_slice(&c->server->head));
    net_of(c)->send(c->net, slice_make(body, (size_t)size));
    http_connection_end(c);
}

void http_connection_serve(struct connection *c)
{
    list_remove(&c->ready);
    if (c->reader.state == READER_BAD) {
        connection_refuse(c);
        return;
    }
    c->state = CONNECTION_HANDLING;
    c->request.ctx = NULL;
    request_split_target(c);
    c->server->handling_count++;
    connection_check(c);
    c->server->on_request(c->server->ctx, &c->request); /* may reply at once, and so end the connection */
}

/* The reply is out: on to the next request, or the end. */
static void connection_replied(struct connection *c, bool keep)
{
    struct http_server *s = c->server;
    s->handling_count--;
    c->streaming = false;
    if (!keep) {
        http_connection_end(c);
        return;
    }
    c->state = CONNECTION_IDLE;
    c->begun_ns = now_of(c);
    connection_resume(c);
    s->http->env->ops->wake(s->http->env);
}

void http_request_reply(struct http_request *r, const struct http_reply_head *head, struct slice body)
{
    struct connection *c = (struct connection *)(void *)r;
    struct http_server *s = c->server;
    ASSERT(c->state == CONNECTION_HANDLING);
    bool keep = c->reader.keep_alive;
    buf_clear(&s->head);
    http_head_compose(&s->head, head, body.size, http_server_date(s), keep ? NULL : "close");
    net_of(c)->send(c->net, buf_slice(&s->head));
    if (c->reader.method != HTTP_HEAD && head->code != 204 && head->code != 304) net_of(c)->send(c->net, body);
    connection_replied(c, keep);
}

/* --- streams --- */

static struct connection *streaming_connection(const struct http_request *r)
{
    struct connection *c = (struct connection *)(void *)(uintptr_t)r;
    ASSERT(c->state == CONNECTION_HANDLING);
    return c;
}

void http_stream_begin(struct http_request *r, const struct http_reply_head *head)
{
    struct connection *c = streaming_connection(r);
    ASSERT(!c->streaming);
    c->streaming = true;
    buf_clear(&c->server->head);
    http_head_compose_stream(&c->server->head, head, http_server_date(c->server), c->reader.is_1_1);
    net_of(c)->send(c->net, buf_slice(&c->server->head));
}

void http_stream_send(struct http_request *r, struct slice piece)
{
    struct connection *c = streaming_connection(r);
    char size[24];
    ASSERT(c->streaming);
    if (piece.size == 0 || c->reader.method == HTTP_HEAD) return;
    (void)snprintf(size, sizeof(size), "%zx\r\n", piece.size);
    if (c->reader.is_1_1) net_of(c)->send(c->net, slice_str(size));
    net_of(c)->send(c->net, piece);
    if (c->reader.is_1_1) net_of(c)->send(c->net, slice_str("\r\n"));
}

size_t http_stream_unsent(const struct http_request *r)
{
    struct connection *c = streaming_connection(r);
    return net_of(c)->unsent(c->net);
}

void http_stream_end(struct http_request *r)
{
    struct connection *c = streaming_connection(r);
    ASSERT(c->streaming);
    if (c->reader.is_1_1 && c->reader.method != HTTP_HEAD) net_of(c)->send(c->net, slice_str("0\r\n\r\n"));
    connection_replied(c, c->reader.keep_alive && c->reader.is_1_1);
}

/* --- too long --- */

static bool connection_slow(const struct connection *c, uint64_t now_ns)
{
    uint64_t granted_ms = c->server->http->timeout_ms;
    if (c->state == CONNECTION_RECEIVING) granted_ms += (uint64_t)c->received_bytes * 1000u / SLOWEST_BYTES_PER_S;
    bool waits_for_client = c->state == CONNECTION_IDLE || c->state == CONNECTION_RECEIVING;
    return waits_for_client && !c->paused && now_ns > c->begun_ns + granted_ms * NS_PER_MS;
}

/* The client does not read what it asked for. */
static bool connection_stuck(struct connection *c, uint64_t now_ns)
{
    size_t unsent = net_of(c)->unsent(c->net);
    if (unsent == 0 || unsent < c->unsent_bytes || c->stuck_ns == 0) c->stuck_ns = unsent > 0 ? now_ns : 0;
    c->unsent_bytes = unsent;
    return c->stuck_ns != 0 && now_ns > c->stuck_ns + c->server->http->timeout_ms * NS_PER_MS;
}

void http_connection_sweep(struct connection *c, uint64_t now_ns)
{
    connection_check(c);
    if (c->state == CONNECTION_IDLE && c->paused) connection_resume(c);
    if (connection_slow(c, now_ns)) {
        http_connection_end(c);
    } else if (connection_stuck(c, now_ns)) {
        if (c->state == CONNECTION_HANDLING && !c->streaming) return; /* its reply ends it at the next sweep */
        if (c->streaming) {
            c->server->handling_count--;
            c->server->on_gone(c->server->ctx, &c->request);
        }
        http_connection_end(c);
    }
}
