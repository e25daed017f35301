#define _GNU_SOURCE              /* POLLRDHUP */
#include <event2/event_struct.h> /* before base/list.h: it has a LIST_ENTRY of its own, for a moment */

#include "env_posix/http_int.h"

#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* The server is libevent's evhttp, with what version 2.1 of it lacks around it:
 *  - Its error pages are HTML, and a head that is too large gets 400. We watch the connection's output: a status line
 *    that is not of our reply is replaced by a whole JSON answer, and the buffer's end is frozen, so that the rest of the
 *    page is refused (connection_output_cb).
 *  - It does not read while a request is handled, so it sees a client leave only when it writes. An event of ours on the
 *    same socket tells; after pipelined bytes, which would keep that event ready, the sweep asks instead.
 *  - Its timeout starts anew with every byte. A sweep cuts off who takes too long over one request, or sends more slowly
 *    than SLOWEST_BYTES_PER_S.
 *  - It has no cap of connections and spins when there are no more files. The sweep takes up accepting again.
 *  - It does not tell when a connection without a request is freed, and closes at once, so that a client that still
 *    sends its too large body is reset and never sees the 413. We hold a reference to each bufferevent: evhttp clears its
 *    callbacks and shuts the sending side when it frees it; until the sweep lets go, what still comes is dropped. */

#define SWEEP_NS (1000u * NS_PER_MS)
#define SLOWEST_BYTES_PER_S (16u * 1024u)
#define ERROR_BYTES_MAX 512

struct http_connection {
    struct http_server *server;
    struct bufferevent *bev;
    struct http_request *request; /* handed to the handler and not answered; NULL: none */
    uint64_t begun_ns;            /* first byte of the request being received; 0: none has come */
    size_t received_bytes;        /* of it */
    bool failing;                 /* our error is the last that it sends */
    bool ended;                   /* found dead by a sweep; the next one releases it */
};

struct http_request {
    struct http_connection *connection;
    struct evhttp_request *req;
    struct slice path, query, body; /* borrowed from req */
    void *ctx;
    struct event readable; /* the client has left, or sends more */
    bool watched;          /* `readable` was made */
};

struct http_server {
    struct posix_http *http;
    struct list link; /* http->servers */
    struct evhttp *evhttp;
    struct evconnlistener *listener;
    bool replying;          /* what is written to a connection now is ours */
    struct map connections; /* by the address of the bufferevent; includes the dead until the next sweep */
    uint64_t sweep_ns;      /* the next one */
    size_t max_head;
    size_t pending_count;
    void (*on_request)(void *ctx, struct http_request *);
    void (*on_gone)(void *ctx, struct http_request *);
    void *ctx;
    char address[POSIX_ADDR_TEXT_MAX];
};

/* ---- errors of evhttp, in our form -------------------------------------------------------------------------------------- */

struct http_error {
    int code;
    const char *reason, *name, *message;
};

static const struct http_error *error_of(int code)
{
    static const struct http_error errors[] = {
        {400, "Bad Request", "invalid", "the request is not well-formed HTTP/1.1"},
        {413, "Payload Too Large", "too_large", "the body of the request exceeds the limit"},
        {431, "Request Header Fields Too Large", "too_large", "the head of the request exceeds the limit"},
        {501, "Not Implemented", "unsupported", "the method or the transfer encoding is not known here"},
    };
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (errors[i].code == code) return &errors[i];
    }
    return &errors[0];
}

static size_t error_compose(int code, char text[ERROR_BYTES_MAX])
{
    const struct http_error *e = error_of(code);
    char body[ERROR_BYTES_MAX / 2];
    int body_size =
        snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"outcome\":\"definite\"}}",
                 e->name, e->message);
    int size = snprintf(text, ERROR_BYTES_MAX,
                        "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                        "Connection: close\r\n\r\n%s",
                        e->code, e->reason, body_size, body);
    ASSERT(size > 0 && size < ERROR_BYTES_MAX);
    return (size_t)size;
}

/* Keeps the first `keep` bytes (earlier replies that wait), puts `text` behind them, and closes the buffer to more. */
static void output_replace(struct evbuffer *out, size_t keep, const char *text, size_t size)
{
    struct evbuffer *kept = evbuffer_new();
    ASSERT(kept != NULL);
    (void)evbuffer_unfreeze(out, 1);
    (void)evbuffer_remove_buffer(out, kept, keep);
    (void)evbuffer_drain(out, evbuffer_get_length(out));
    (void)evbuffer_add_buffer(out, kept);
    (void)evbuffer_add(out, text, size);
    (void)evbuffer_freeze(out, 1);
    (void)evbuffer_freeze(out, 0);
    evbuffer_free(kept);
}

static void connection_output_cb(struct evbuffer *out, const struct evbuffer_cb_info *info, void *ctx)
{
    struct http_connection *c = ctx;
    if (info->n_added == 0 || c->server->replying || c->failing) return;
    size_t keep = evbuffer_get_length(out) - info->n_added;
    struct evbuffer_ptr at;
    char line[13] = ""; /* "HTTP/1.1 400 " */
    if (evbuffer_ptr_set(out, &at, keep, EVBUFFER_PTR_SET) != 0) return;
    if (evbuffer_copyout_from(out, &at, line, 12) != 12) return;
    if (memcmp(line, "HTTP/1.", 7) != 0 || line[9] == '1') return; /* 100 Continue */
    int code = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    if (code == 400 && c->received_bytes > c->server->max_head) code = 431;
    char text[ERROR_BYTES_MAX];
    size_t size = error_compose(code, text);
    c->failing = true; /* before the buffer changes: this callback is called for that too */
    output_replace(out, keep, text, size);
}

/* ---- connections -------------------------------------------------------------------------------------------------------- */

static bool connection_dead(const struct http_connection *c)
{
    bufferevent_data_cb read_cb, write_cb;
    bufferevent_event_cb event_cb;
    void *arg;
    bufferevent_getcb(c->bev, &read_cb, &write_cb, &event_cb, &arg);
    return event_cb == NULL;
}

static void connection_input_cb(struct evbuffer *in, const struct evbuffer_cb_info *info, void *ctx)
{
    struct http_connection *c = ctx;
    if (info->n_added == 0) return;
    if (connection_dead(c)) {
        (void)evbuffer_drain(in, evbuffer_get_length(in));
        return;
    }
    if (c->begun_ns == 0) c->begun_ns = posix_mono_ns(&c->server->http->p->env);
    c->received_bytes += info->n_added;
}

static uint64_t connection_key(const struct bufferevent *bev)
{
    return (uint64_t)(uintptr_t)bev;
}

/* evhttp asks for the bufferevent of a new connection. */
static struct bufferevent *connection_new(struct event_base *base, void *ctx)
{
    struct http_server *s = ctx;
    struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    ASSERT(bev != NULL);
    struct http_connection *c = mem_zalloc(sizeof(*c));
    c->server = s;
    c->bev = bev;
    bufferevent_incref(bev);
    (void)evbuffer_add_cb(bufferevent_get_input(bev), connection_input_cb, c);
    (void)evbuffer_add_cb(bufferevent_get_output(bev), connection_output_cb, c);
    void *former = map_put(&s->connections, connection_key(bev), c);
    ASSERT(former == NULL);
    if (s->connections.count == s->http->connections_max) {
        (void)evconnlistener_disable(s->listener);
        log_event(s->http->p->log, LOG_WARN, "http.accept_rests",
                  "address=%s connections=%zu why=\"the cap is reached\"", s->address, s->connections.count);
    }
    return bev;
}

static void connection_release(struct http_connection *c)
{
    ASSERT(c->request == NULL);
    (void)evbuffer_remove_cb(bufferevent_get_input(c->bev), connection_input_cb, c);
    (void)evbuffer_remove_cb(bufferevent_get_output(c->bev), connection_output_cb, c);
    (void)bufferevent_decref(c->bev);
    mem_free(c);
}

static bool connection_slow(const struct http_connection *c, uint64_t now_ns)
{
    if (c->begun_ns == 0 || c->request != NULL) return false;
    uint64_t granted_ms = c->server->http->timeout_ms + (uint64_t)c->received_bytes * 1000u / SLOWEST_BYTES_PER_S;
    return now_ns > c->begun_ns + granted_ms * NS_PER_MS;
}

static bool client_left(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static void request_end(struct http_request *r);

static void server_sweep(struct http_server *s, uint64_t now_ns)
{
    uint64_t key;
    void *value;
    for (size_t it = 0; map_next(&s->connections, &it, &key, &value);) {
        struct http_connection *c = value;
        bool dead = connection_dead(c);
        if (dead && (c->ended || !c->failing)) {
            (void)map_remove(&s->connections, key);
            connection_release(c);
        } else if (dead) {
            c->ended = true; /* its client has an interval more to read our error */
        } else if (connection_slow(c, now_ns)) {
            (void)shutdown(bufferevent_getfd(c->bev), SHUT_RDWR); /* evhttp then sees its end, and frees it */
        } else if (c->request != NULL && client_left(bufferevent_getfd(c->bev))) {
            request_end(c->request);
        }
    }
    if (s->connections.count < s->http->connections_max) (void)evconnlistener_enable(s->listener);
    uint64_t interval = s->http->timeout_ms * NS_PER_MS / 4;
    if (interval > SWEEP_NS) interval = SWEEP_NS;
    if (s->connections.count > s->http->connections_max / 2) interval /= 10; /* the dead among them take places */
    s->sweep_ns = now_ns + interval;
}

static uint64_t http_pass(struct actor *a, uint64_t now_ns)
{
    struct posix_http *h = LIST_ENTRY(a, struct posix_http, actor);
    uint64_t deadline = http_clients_pass(h, now_ns);
    LIST_FOR(it, &h->servers)
    {
        struct http_server *s = LIST_ENTRY(it, struct http_server, link);
        if (s->sweep_ns <= now_ns) server_sweep(s, now_ns);
        if (s->sweep_ns < deadline) deadline = s->sweep_ns;
    }
    return deadline;
}

/* ---- requests ----------------------------------------------------------------------------------------------------------- */

/* The raw path and query of the request's target, which may also be a whole URL (RFC 9112, 3.2.2). */
static void request_split_target(struct http_request *r)
{
    const char *target = evhttp_request_get_uri(r->req);
    if (strncmp(target, "http://", 7) == 0 || strncmp(target, "https://", 8) == 0) {
        const char *slash = strchr(strstr(target, "//") + 2, '/');
        target = slash != NULL ? slash : "/";
    }
    size_t path_size = strcspn(target, "?#");
    r->path = slice_make(target, path_size);
    const char *query = target + path_size;
    r->query = *query == '?' ? slice_make(query + 1, strcspn(query + 1, "#")) : SLICE_EMPTY;
}

/* Ends our part of it; evhttp owns and frees its own. */
static void request_release(struct http_request *r)
{
    struct http_connection *c = r->connection;
    ASSERT(c->request == r);
    if (r->watched) (void)event_del(&r->readable);
    evhttp_connection_set_closecb(evhttp_request_get_connection(r->req), NULL, NULL);
    c->request = NULL;
    c->server->pending_count--;
    mem_free(r);
}

static void request_gone(struct http_request *r)
{
    struct http_server *s = r->connection->server;
    s->on_gone(s->ctx, r);
    request_release(r);
}

static void request_freed_cb(struct evhttp_connection *evcon, void *ctx) /* evhttp frees the connection by itself */
{
    (void)evcon;
    request_gone(ctx);
}

static void request_end(struct http_request *r)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(r->req);
    request_gone(r);
    evhttp_connection_free(evcon); /* with its request */
}

static void request_readable_cb(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    if (client_left(fd)) request_end(ctx);
}

static void request_watch(struct http_request *r)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(r->req);
    int fd = bufferevent_getfd(r->connection->bev);
    evhttp_connection_set_closecb(evcon, request_freed_cb, r);
    if (event_assign(&r->readable, r->connection->server->http->p->base, fd, EV_READ, request_readable_cb, r) != 0)
        return;
    r->watched = true;
    (void)event_add(&r->readable, NULL);
}

static void request_received_cb(struct evhttp_request *req, void *ctx)
{
    struct http_server *s = ctx;
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(req));
    struct http_connection *c = map_get(&s->connections, connection_key(bev));
    ASSERT(c != NULL);
    ASSERT(c->request == NULL);
    struct http_request *r = mem_zalloc(sizeof(*r));
    struct evbuffer *in = evhttp_request_get_input_buffer(req);
    size_t size = evbuffer_get_length(in);
    r->connection = c;
    r->req = req;
    r->body = size > 0 ? slice_make(evbuffer_pullup(in, -1), size) : SLICE_EMPTY;
    request_split_target(r);
    c->request = r;
    c->begun_ns = 0;
    c->received_bytes = 0;
    s->pending_count++;
    s->on_request(s->ctx, r);
    if (c->request == r) request_watch(r); /* not answered at once */
}

static enum http_method request_method(const struct http_request *r)
{
    switch (evhttp_request_get_command(r->req)) {
    case EVHTTP_REQ_GET: return HTTP_GET;
    case EVHTTP_REQ_HEAD: return HTTP_HEAD;
    case EVHTTP_REQ_PUT: return HTTP_PUT;
    case EVHTTP_REQ_POST: return HTTP_POST;
    case EVHTTP_REQ_DELETE: return HTTP_DELETE;
    case EVHTTP_REQ_OPTIONS: return HTTP_OPTIONS;
    case EVHTTP_REQ_TRACE:
    case EVHTTP_REQ_CONNECT:
    case EVHTTP_REQ_PATCH: break;
    }
    return HTTP_OTHER;
}

const char *http_method_name(enum http_method m)
{
    switch (m) {
    case HTTP_GET: return "GET";
    case HTTP_HEAD: return "HEAD";
    case HTTP_PUT: return "PUT";
    case HTTP_POST: return "POST";
    case HTTP_DELETE: return "DELETE";
    case HTTP_OPTIONS: return "OPTIONS";
    case HTTP_OTHER: break;
    }
    BUG("HTTP method");
}

static struct slice request_path(const struct http_request *r)
{
    return r->path;
}
static struct slice request_query(const struct http_request *r)
{
    return r->query;
}
static struct slice request_body(const struct http_request *r)
{
    return r->body;
}
static const char *request_header(const struct http_request *r, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(r->req), name);
}
static void request_set_ctx(struct http_request *r, void *ctx)
{
    r->ctx = ctx;
}
static void *request_get_ctx(const struct http_request *r)
{
    return r->ctx;
}

static void request_reply(struct http_request *r, const struct http_reply_head *head, struct slice body)
{
    struct http_server *s = r->connection->server;
    struct evhttp_request *req = r->req;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    bool to_head = evhttp_request_get_command(req) == EVHTTP_REQ_HEAD;
    char length[24];
    if (head->content_type != NULL) (void)evhttp_add_header(headers, "Content-Type", head->content_type);
    for (size_t i = 0; i < head->header_count; i++) {
        int rc = evhttp_add_header(headers, head->headers[i].name, head->headers[i].value);
        ASSERT(rc == 0); /* it refuses line ends inside */
    }
    if (to_head) {
        (void)snprintf(length, sizeof(length), "%zu", body.size);
        (void)evhttp_add_header(headers, "Content-Length", length);
    } else if (body.size > 0) {
        (void)evbuffer_add(evhttp_request_get_output_buffer(req), body.data, body.size);
    }
    request_release(r);
    s->replying = true;
    evhttp_send_reply(req, head->code, NULL, NULL);
    s->replying = false;
    s->http->p->woken = true; /* its bytes leave in the next turn of the loop */
}

/* ---- the server and the seam -------------------------------------------------------------------------------------------- */

/* No more files: the connection waits in the backlog until the next sweep. (evhttp owns the argument: no server here.) */
static void listener_error_cb(struct evconnlistener *listener, void *ctx)
{
    (void)ctx;
    (void)evconnlistener_disable(listener);
}

static struct evhttp *server_evhttp_new(struct http_server *s, size_t max_body)
{
    struct evhttp *e = evhttp_new(s->http->p->base);
    ASSERT(e != NULL);
    struct timeval timeout = posix_timeval(s->http->timeout_ms * NS_PER_MS);
    evhttp_set_timeout_tv(e, &timeout);
    evhttp_set_max_headers_size(e, (ev_ssize_t)s->max_head);
    evhttp_set_max_body_size(e, (ev_ssize_t)max_body);
    evhttp_set_allowed_methods(e, 0xffff);
    evhttp_set_default_content_type(e, NULL);
    evhttp_set_bevcb(e, connection_new, s);
    evhttp_set_gencb(e, request_received_cb, s);
    return e;
}

enum status http_server_listen(struct http *http, const char *address, size_t max_head, size_t max_body,
                               void (*on_request)(void *ctx, struct http_request *),
                               void (*on_gone)(void *ctx, struct http_request *), void *ctx, struct http_server **out,
                               struct errbuf *err)
{
    struct posix_http *h = (struct posix_http *)(void *)http;
    int fd = -1;
    *out = NULL;
    if (strncmp(address, "unix:", 5) == 0) {
        errbuf_set(err, "address %s: HTTP is served over TCP only; write host:port", address);
        return STATUS_INVALID;
    }
    struct http_server *s = mem_zalloc(sizeof(*s));
    enum status status = posix_listen_socket(address, &fd, s->address, err);
    if (status != STATUS_OK) {
        mem_free(s);
        return status;
    }
    s->http = h;
    s->max_head = max_head;
    s->on_request = on_request;
    s->on_gone = on_gone;
    s->ctx = ctx;
    map_init(&s->connections);
    s->evhttp = server_evhttp_new(s, max_body);
    s->listener = evconnlistener_new(h->p->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    ASSERT(s->listener != NULL);
    struct evhttp_bound_socket *bound = evhttp_bind_listener(s->evhttp, s->listener);
    ASSERT(bound != NULL);
    evconnlistener_set_error_cb(s->listener, listener_error_cb);
    list_push_back(&h->servers, &s->link);
    *out = s;
    return STATUS_OK;
}

/* What was replied in this pass must not be lost with the server: one try for each connection. */
static void connection_flush(struct http_connection *c)
{
    struct evbuffer *out = bufferevent_get_output(c->bev);
    if (connection_dead(c) || evbuffer_get_length(out) == 0) return;
    (void)evbuffer_unfreeze(out, 1);
    (void)evbuffer_write(out, bufferevent_getfd(c->bev));
    (void)evbuffer_freeze(out, 1);
}

void http_server_unlisten(struct http_server *s)
{
    uint64_t key;
    void *value;
    ASSERT(s->pending_count == 0);
    for (size_t it = 0; map_next(&s->connections, &it, &key, &value);) connection_flush(value);
    evhttp_free(s->evhttp); /* with its listener and its connections */
    for (size_t it = 0; map_next(&s->connections, &it, &key, &value);) {
        struct http_connection *c = value;
        ASSERT(connection_dead(c));
        connection_release(c);
    }
    map_free(&s->connections);
    list_remove(&s->link);
    mem_free(s);
}

const char *env_posix_http_address(const struct http_server *s)
{
    return s->address;
}

struct posix_http *posix_http_new(struct env_posix *p, size_t connections_max, unsigned timeout_ms)
{
    static const struct http_ops ops = {
        .listen = http_server_listen,
        .unlisten = http_server_unlisten,
        .method = request_method,
        .path = request_path,
        .query = request_query,
        .header = request_header,
        .body = request_body,
        .set_ctx = request_set_ctx,
        .get_ctx = request_get_ctx,
        .reply = request_reply,
        .client_new = http_client_new,
        .client_send = http_client_send,
        .client_free = http_client_free,
    };
    struct posix_http *h = mem_zalloc(sizeof(*h));
    h->seam.ops = &ops;
    h->p = p;
    h->connections_max = connections_max;
    h->timeout_ms = timeout_ms;
    list_init(&h->servers);
    list_init(&h->clients);
    list_init(&h->freed);
    heap_init(&h->client_timers);
    h->actor.pass = http_pass;
    p->env.ops->attach(&p->env, &h->actor);
    return h;
}

struct http *posix_http_seam(struct posix_http *h)
{
    return &h->seam;
}

void posix_http_free(struct posix_http *h)
{
    while (!list_empty(&h->servers)) http_server_unlisten(LIST_ENTRY(h->servers.next, struct http_server, link));
    http_clients_free(h);
    h->p->env.ops->detach(&h->p->env, &h->actor);
    heap_free(&h->client_timers);
    mem_free(h);
}
