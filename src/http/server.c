#include "base/assert.h"
#include "base/mem.h"
#include "http/server_int.h"

#define SWEEP_NS (1000u * NS_PER_MS)
#define SERVED_PER_PASS 1024u /* requests of a server; others of the loop have their turn, too */

const struct net_listener *http_server_listener(const struct http_server *s)
{
    return s->listener;
}

const char *http_server_date(struct http_server *s)
{
    uint64_t wall_ms = env_wall_ms(s->http->env);
    if (s->date_s != wall_ms / 1000 || s->date[0] == '\0') {
        s->date_s = wall_ms / 1000;
        http_date(wall_ms, s->date);
    }
    return s->date;
}

/* --- the pass --- */

static void server_sweep(struct http_server *s, uint64_t now_ns)
{
    LIST_FOR(it, &s->connections) http_connection_sweep(LIST_ENTRY(it, struct connection, link), now_ns);
    uint64_t interval = s->http->timeout_ms * NS_PER_MS / 4;
    s->sweep_ns = now_ns + (interval < SWEEP_NS ? interval : SWEEP_NS);
}

static void server_pass(struct http_server *s, uint64_t now_ns)
{
    struct list *node;
    for (unsigned i = 0; i < SERVED_PER_PASS && (node = s->ready.next) != &s->ready; i++)
        http_connection_serve(LIST_ENTRY(node, struct connection, ready));
    if (!list_empty(&s->ready)) s->http->env->ops->wake(s->http->env);
    if (s->sweep_ns <= now_ns) server_sweep(s, now_ns);
}

static uint64_t http_pass(struct actor *a, uint64_t now_ns)
{
    struct http_both *h = LIST_ENTRY(a, struct http_both, actor);
    uint64_t deadline = http_clients_pass(h, now_ns);
    LIST_FOR(it, &h->servers)
    {
        struct http_server *s = LIST_ENTRY(it, struct http_server, link);
        server_pass(s, now_ns);
        if (!list_empty(&s->connections) && s->sweep_ns < deadline) deadline = s->sweep_ns;
    }
    return deadline;
}

/* --- requests --- */

static struct connection *connection_of(const struct http_request *r)
{
    return (struct connection *)(void *)(uintptr_t)r;
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

static enum http_method request_method(const struct http_request *r)
{
    return connection_of(r)->reader.method;
}
static struct slice request_path(const struct http_request *r)
{
    return r->path;
}
static struct slice request_query(const struct http_request *r)
{
    return r->query;
}
static const char *request_header(const struct http_request *r, const char *name)
{
    return http_reader_field(&connection_of(r)->reader, name);
}
static struct slice request_body(const struct http_request *r)
{
    return buf_slice(&connection_of(r)->reader.body);
}
static void request_set_ctx(struct http_request *r, void *ctx)
{
    r->ctx = ctx;
}
static void *request_get_ctx(const struct http_request *r)
{
    return r->ctx;
}

/* --- servers --- */

static enum status server_listen(struct http *http, const char *address, size_t max_head, size_t max_body,
                                 void (*on_request)(void *ctx, struct http_request *),
                                 void (*on_gone)(void *ctx, struct http_request *), void *ctx, struct http_server **out,
                                 struct errbuf *err)
{
    struct http_both *h = (struct http_both *)(void *)http;
    struct http_server *s = mem_zalloc(sizeof(*s));
    *s = (struct http_server){.http = h,
                              .max_head = max_head,
                              .max_body = max_body,
                              .on_request = on_request,
                              .on_gone = on_gone,
                              .ctx = ctx};
    list_init(&s->connections);
    list_init(&s->ready);
    buf_init(&s->head, SIZE_MAX / 2);
    *out = NULL;
    enum status status = h->env->net->ops->listen(h->env->net, address, http_connection_accept, s, &s->listener, err);
    if (status != STATUS_OK) {
        mem_free(s);
        return status;
    }
    list_push_back(&h->servers, &s->link);
    *out = s;
    return STATUS_OK;
}

static void server_unlisten(struct http_server *s)
{
    ASSERT(s->handling_count == 0);
    s->http->env->net->ops->unlisten(s->listener);
    while (!list_empty(&s->connections))
        http_connection_end(
            LIST_ENTRY(s->connections.next, struct connection, link)); /* what was replied still leaves */
    list_remove(&s->link);
    buf_free(&s->head);
    mem_free(s);
}

struct http *http_new(struct env *env, unsigned timeout_ms)
{
    static const struct http_ops ops = {
        .listen = server_listen,
        .unlisten = server_unlisten,
        .method = request_method,
        .path = request_path,
        .query = request_query,
        .header = request_header,
        .body = request_body,
        .set_ctx = request_set_ctx,
        .get_ctx = request_get_ctx,
        .reply = http_request_reply,
        .stream_begin = http_stream_begin,
        .stream_send = http_stream_send,
        .stream_unsent = http_stream_unsent,
        .stream_end = http_stream_end,
        .client_new = http_client_new,
        .client_send = http_client_send,
        .client_free = http_client_free,
    };
    struct http_both *h = mem_zalloc(sizeof(*h));
    h->seam.ops = &ops;
    h->env = env;
    h->timeout_ms = timeout_ms;
    list_init(&h->servers);
    list_init(&h->clients);
    list_init(&h->freed);
    heap_init(&h->client_timers);
    h->actor.pass = http_pass;
    env->ops->attach(env, &h->actor);
    return &h->seam;
}

void http_free(struct http *http)
{
    struct http_both *h = (struct http_both *)(void *)http;
    while (!list_empty(&h->servers)) server_unlisten(LIST_ENTRY(h->servers.next, struct http_server, link));
    http_clients_free(h);
    h->env->ops->detach(h->env, &h->actor);
    heap_free(&h->client_timers);
    mem_free(h);
}
