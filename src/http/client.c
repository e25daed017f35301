#include "http/http_int.h"
#include "http/reader.h"

#include "base/assert.h"
#include "base/mem.h"

/* One keep-alive connection, one request at a time. A lost connection is made again by the next send, never for the
 * request under way: whether that one was acted on is not known here.
 *
 *   IDLE --send--> WAITING --answer, end or timeout--> IDLE (done is called)
 *   WAITING is woken by the connection's callbacks and by its timer. client_free from any state: no callback after it. */

#define REPLY_HEAD_BYTES_MAX (64u * 1024u)
#define REPLY_BODY_BYTES_MAX (64u * 1024u * 1024u)
#define IDLE_CAPACITY_BYTES (256u * 1024u)

struct http_client {
    struct http_both *http;
    struct list link;       /* http->clients, or http->freed */
    struct heap_node timer; /* in http->client_timers while WAITING */
    struct net_conn *conn;  /* NULL: none */
    bool waiting;
    bool freed;
    unsigned timeout_ms;
    struct http_reader reader;
    struct buf head; /* of the request being composed; kept for its memory */
    void (*done)(void *ctx, int code, enum status why, struct slice body);
    void *done_ctx;
    char *address;
};

static void client_disconnect(struct http_client *c)
{
    if (c->conn == NULL) return;
    struct net_conn *conn = c->conn;
    c->conn = NULL;
    c->http->env->net->ops->close(conn);
}

/* The last thing that a caller does with the client: `done` may have sent again or freed it. */
static void client_finish(struct http_client *c, int code, enum status why)
{
    ASSERT(c->waiting);
    c->waiting = false;
    heap_remove(&c->http->client_timers, &c->timer);
    c->done(c->done_ctx, code, why, code > 0 ? buf_slice(&c->reader.body) : SLICE_EMPTY);
    if (!c->waiting && c->reader.body.capacity > IDLE_CAPACITY_BYTES) buf_free(&c->reader.body);
}

static void client_on_open(void *ctx, struct net_conn *conn)
{
    (void)ctx;
    (void)conn; /* the request waits in the connection's buffer already */
}

static void client_on_data(void *ctx, struct net_conn *conn, struct slice bytes)
{
    struct http_client *c = ctx;
    ASSERT(conn == c->conn);
    size_t taken = c->waiting ? http_reader_feed(&c->reader, bytes) : 0;
    bool bad = taken < bytes.size || c->reader.state == READER_BAD; /* nobody asked for what is left over */
    bool done = c->waiting && c->reader.state == READER_DONE;
    if (bad || (done && !c->reader.keep_alive)) client_disconnect(c);
    if (done)
        client_finish(c, c->reader.code, STATUS_OK);
    else if (bad && c->waiting)
        client_finish(c, 0, STATUS_INVALID);
}

static void client_on_close(void *ctx, struct net_conn *conn, enum status why)
{
    struct http_client *c = ctx;
    ASSERT(conn == c->conn);
    c->conn = NULL;
    if (!c->waiting) return;
    http_reader_end(&c->reader);
    if (c->reader.state == READER_DONE)
        client_finish(c, c->reader.code, STATUS_OK);
    else
        client_finish(c, 0, why);
}

static const struct net_handler client_handler = {
    .on_open = client_on_open,
    .on_data = client_on_data,
    .on_close = client_on_close,
};

struct http_client *http_client_new(struct http *http, const char *address, unsigned timeout_ms)
{
    struct http_both *h = (struct http_both *)(void *)http;
    struct http_client *c = mem_zalloc(sizeof(*c));
    c->http = h;
    c->timeout_ms = timeout_ms;
    c->address = mem_strdup(address);
    http_reader_init(&c->reader, false, REPLY_HEAD_BYTES_MAX, REPLY_BODY_BYTES_MAX);
    buf_init(&c->head, REPLY_HEAD_BYTES_MAX);
    list_push_back(&h->clients, &c->link);
    return c;
}

/* A line end inside would let a value become a header, or a request, of its own. */
static bool is_one_line(const char *s)
{
    return strpbrk(s, "\r\n") == NULL;
}

static void compose_head(struct http_client *c, enum http_method method, const char *path_and_query,
                         const struct http_header *headers, size_t header_count, size_t body_size)
{
    bool is_unix = strncmp(c->address, "unix:", 5) == 0;
    ASSERT(is_one_line(path_and_query));
    ASSERT(strchr(path_and_query, ' ') == NULL);
    buf_clear(&c->head);
    buf_append_str(&c->head, http_method_name(method));
    buf_append_byte(&c->head, ' ');
    buf_append_str(&c->head, path_and_query);
    buf_append_str(&c->head, " HTTP/1.1\r\nHost: ");
    buf_append_str(&c->head, is_unix ? "localhost" : c->address);
    for (size_t i = 0; i < header_count; i++) {
        ASSERT(is_one_line(headers[i].name));
        ASSERT(is_one_line(headers[i].value));
        buf_append_str(&c->head, "\r\n");
        buf_append_str(&c->head, headers[i].name);
        buf_append_str(&c->head, ": ");
        buf_append_str(&c->head, headers[i].value);
    }
    if (body_size > 0 || method == HTTP_PUT || method == HTTP_POST)
        buf_printf(&c->head, "\r\nContent-Length: %zu", body_size);
    buf_append_str(&c->head, "\r\n\r\n");
    ASSERT(!c->head.overflow);
}

void http_client_send(struct http_client *c, enum http_method method, const char *path_and_query,
                      const struct http_header *headers, size_t header_count, struct slice body,
                      void (*done)(void *ctx, int code, enum status why, struct slice body), void *ctx)
{
    const struct net_ops *net = c->http->env->net->ops;
    ASSERT(!c->waiting);
    ASSERT(!c->freed);
    ASSERT(method != HTTP_OTHER);
    if (c->conn == NULL) c->conn = net->connect(c->http->env->net, c->address, &client_handler, c);
    compose_head(c, method, path_and_query, headers, header_count, body.size);
    net->send(c->conn, buf_slice(&c->head));
    net->send(c->conn, body);
    http_reader_begin(&c->reader, method == HTTP_HEAD);
    c->waiting = true;
    c->done = done;
    c->done_ctx = ctx;
    heap_set(&c->http->client_timers, &c->timer, env_mono_ns(c->http->env) + c->timeout_ms * NS_PER_MS);
    c->http->env->ops->wake(c->http->env); /* sent, and its deadline known to the loop, before the next sleep */
}

void http_client_free(struct http_client *c)
{
    if (c == NULL) return;
    ASSERT(!c->freed);
    client_disconnect(c);
    heap_remove(&c->http->client_timers, &c->timer);
    c->freed = true;
    c->waiting = false;
    list_remove(&c->link);
    list_push_back(&c->http->freed, &c->link); /* it may be its own `done` that frees it */
    c->http->env->ops->wake(c->http->env);
}

static void client_destroy(struct http_client *c)
{
    list_remove(&c->link);
    http_reader_free(&c->reader);
    buf_free(&c->head);
    mem_free(c->address);
    mem_free(c);
}

uint64_t http_clients_pass(struct http_both *h, uint64_t now_ns)
{
    struct heap_node *first;
    while ((first = heap_min(&h->client_timers)) != NULL && first->key <= now_ns) {
        struct http_client *c = HEAP_ENTRY(first, struct http_client, timer);
        client_disconnect(c);
        client_finish(c, 0, STATUS_TIMEOUT);
    }
    LIST_FOR(it, &h->freed) client_destroy(LIST_ENTRY(it, struct http_client, link));
    first = heap_min(&h->client_timers);
    return first != NULL ? first->key : DEADLINE_NONE;
}

void http_clients_free(struct http_both *h)
{
    while (!list_empty(&h->clients)) http_client_free(LIST_ENTRY(h->clients.next, struct http_client, link));
    LIST_FOR(it, &h->freed) client_destroy(LIST_ENTRY(it, struct http_client, link));
}
