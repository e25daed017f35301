/* The server around the handlers: life of the gateway and of a request. */
#include "gateway/gateway_int.h"

#include "base/assert.h"
#include "base/mem.h"

#define SPARE_MAX 256u
#define CALL_ARENA_BYTES 4096u
#define CALL_KEEP_BYTES (64u * 1024u) /* a spare struct that holds more gives it back */

static struct call *call_take(struct gateway *g)
{
    struct list *spare = list_pop_front(&g->spare);
    struct call *c;
    if (spare != NULL) {
        c = LIST_ENTRY(spare, struct call, link);
        g->spare_count--;
    } else {
        c = mem_zalloc(sizeof(*c));
        arena_init(&c->arena, CALL_ARENA_BYTES);
    }
    c->gateway = g;
    list_push_back(&g->calls, &c->link);
    g->metrics.in_flight++;
    return c;
}

static void call_free(struct call *c)
{
    arena_free(&c->arena);
    mem_free(c);
}

static void call_end(struct call *c)
{
    struct gateway *g = c->gateway;
    session_call_end(c);
    auth_last_end(&c->watch.lasting);
    list_remove(&c->link);
    if (!c->lasts) {
        ASSERT(g->metrics.in_flight > 0);
        g->metrics.in_flight--;
    }
    c->lasts = false;
    memset(&c->watch, 0, sizeof(c->watch));
    if (g->spare_count == SPARE_MAX || c->arena.reserved > CALL_KEEP_BYTES) {
        call_free(c);
        return;
    }
    arena_reset(&c->arena);
    list_push_front(&g->spare, &c->link);
    g->spare_count++;
}

void call_lasts(struct call *c)
{
    struct gateway *g = c->gateway;
    list_remove(&c->link);
    list_push_back(&g->lasting, &c->link);
    c->lasts = true;
    g->metrics.in_flight--;
}

void call_done(struct call *c, int code)
{
    struct gateway *g = c->gateway;
    metrics_count(&g->metrics, c->endpoint, code, env_mono_ns(g->env) - c->start_ns);
    call_end(c);
}

void call_answer(struct call *c, struct answer *a)
{
    reply_log(c, a);
    if (c->http != NULL) reply_send(c, a);
    call_done(c, a->code);
}

static void refuse(struct gateway *g, struct http_request *http, int code, const char *body)
{
    struct http_reply_head head = {.code = code, .content_type = "application/json"};
    g->env->http->ops->reply(http, &head, slice_str(body));
}

/* What a web page in somebody's browser could be made to send here. Reading is another matter: answers carry no leave for other sites. */
static bool is_admitted(struct gateway *g, struct http_request *http)
{
    const struct http_ops *ops = g->env->http->ops;
    const char *host = ops->header(http, "Host");
    enum http_method m = ops->method(http);
    if (!host_admitted(g->options.hosts, host)) {
        refuse(g, http, 421,
               "{\"error\":{\"code\":\"invalid\",\"message\":\"the Host header names another server; this one is "
               "started with "
               "--hosts NAME,...\",\"outcome\":\"definite\"}}");
        return false;
    }
    bool reads = m == HTTP_GET || m == HTTP_HEAD || m == HTTP_OPTIONS;
    if (reads || origin_admitted(g->options.cors_origins, ops->header(http, "Origin"), host)) return true;
    refuse(g, http, 403,
           "{\"error\":{\"code\":\"forbidden\",\"message\":\"pages of this origin may not use this gateway; it is "
           "started with --cors "
           "ORIGIN,...\",\"outcome\":\"definite\"}}");
    return false;
}

static bool is_the_guests(const struct gateway *g, const struct http_request *http)
{
    const struct http_ops *ops = g->env->http->ops;
    return g->options.guest.takes != NULL && g->options.guest.takes(ops->path(http), ops->query(http));
}

static void on_request(void *ctx, struct http_request *http)
{
    struct gateway *g = ctx;
    const struct http_ops *ops = g->env->http->ops;
    const struct gateway_guest *guest = &g->options.guest;
    if (!is_admitted(g, http)) return;
    if (is_the_guests(g, http)) {
        guest->request(guest->ctx, http);
        return;
    }
    struct call *c = call_take(g);
    c->http = http;
    c->method = ops->method(http);
    c->start_ns = env_mono_ns(g->env);
    ops->set_ctx(http, c);
    reply_begin(c);
    call_dispatch(c);
}

static void on_gone(void *ctx, struct http_request *http)
{
    struct gateway *g = ctx;
    const struct gateway_guest *guest = &g->options.guest;
    if (is_the_guests(g, http)) {
        guest->gone(guest->ctx, http);
        return;
    }
    struct call *c = g->env->http->ops->get_ctx(http);
    ASSERT(c != NULL);
    g->metrics.gone++;
    if (c->lasts) {
        watch_abandon(c);
        return;
    }
    ASSERT(c->http == http);
    if (c->watch.streaming) {
        scan_gone(c);
        return;
    }
    c->http = NULL; /* the client's callback ends the call; a write that it started stands */
}

enum status gateway_new(struct env *env, const struct gateway_options *o, struct client *client, struct gateway **out,
                        struct errbuf *err)
{
    ASSERT(env->http != NULL);
    struct gateway *g = mem_zalloc(sizeof(*g));
    g->env = env;
    g->client = client;
    g->ledger = o->ledger;
    g->options = *o;
    if (g->options.timeout_default_ms == 0) g->options.timeout_default_ms = 10000;
    if (g->options.in_flight_max == 0) g->options.in_flight_max = 8192;
    env->ops->random(env, &g->id_base, sizeof(g->id_base));
    list_init(&g->calls);
    list_init(&g->spare);
    list_init(&g->lasting);
    streams_init(&g->streams, env);
    sessions_init(g);
    page_init(&g->page);
    enum status s = env->http->ops->listen(env->http, o->listen, LIMIT_HTTP_HEADER_BYTES, LIMIT_HTTP_BODY_BYTES,
                                           on_request, on_gone, g, &g->server, err);
    if (s != STATUS_OK) {
        page_free(&g->page);
        mem_free(g);
        return s;
    }
    log_event(env->log, LOG_INFO, "gateway.listen", "address=%s", o->listen);
    *out = g;
    return STATUS_OK;
}

void gateway_stop(struct gateway *g)
{
    g->stopping = true;
    if (g->options.guest.takes != NULL) g->options.guest.stop(g->options.guest.ctx);
    LIST_FOR(it, &g->lasting) watch_stop(LIST_ENTRY(it, struct call, link));
}

bool gateway_stopped(const struct gateway *g)
{
    const struct gateway_guest *guest = &g->options.guest;
    return g->stopping && list_empty(&g->calls) && (guest->takes == NULL || !guest->busy(guest->ctx));
}

void gateway_free(struct gateway *g)
{
    if (g == NULL) return;
    LIST_FOR(it, &g->calls)
    {
        struct call *c = LIST_ENTRY(it, struct call, link);
        struct answer a;
        if (c->watch.streaming && c->http != NULL) {
            scan_stop(c);
            continue;
        }
        answer_init(&a);
        answer_error(&a, STATUS_CLOSED, true, slice_str("this gateway stopped before the cluster answered"));
        call_answer(c, &a);
        answer_free(&a);
    }
    LIST_FOR(it, &g->lasting) watch_stop(LIST_ENTRY(it, struct call, link));
    streams_free(&g->streams);
    g->env->http->ops->unlisten(g->server);
    sessions_free(g);
    page_free(&g->page);
    struct list *it;
    while ((it = list_pop_front(&g->spare)) != NULL) call_free(LIST_ENTRY(it, struct call, link));
    mem_free(g);
}
