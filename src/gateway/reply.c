/* A request's beginning and end, whatever it asks: id and trace, headers that every answer has, compression, the line in the log. */
#include <stdio.h>

#include "base/assert.h"
#include "gateway/gateway_int.h"

#define SLOW_DEFAULT_MS 500u
#define ZIP_MIN 1024u                /* below it, a frame more or less on the wire */
#define ZIP_MAX (4u * 1024u * 1024u) /* above it, everybody on this loop would wait for it */

static const char *request_header(const struct call *c, const char *name)
{
    return c->gateway->env->http->ops->header(c->http, name);
}

void reply_begin(struct call *c)
{
    struct gateway *g = c->gateway;
    struct exchange *x = &c->exchange;
    const char *id = request_header(c, "X-Request-Id");
    *x = (struct exchange){.asked_ns = c->start_ns};
    if (request_id_valid(id))
        memcpy(x->id, id, strlen(id) + 1);
    else
        (void)snprintf(x->id, sizeof(x->id), "%016llx", (unsigned long long)(g->id_base + g->id_count++));
    (void)traceparent_parse(request_header(c, "traceparent"), x);
}

/* Stages: `parse_us` until it was understood, `cluster_us` until the router's answer (0 where nobody was asked). What follows is the time of
 * the answer's making, and is as short as the first. */
void reply_log(const struct call *c, const struct answer *a)
{
    struct gateway *g = c->gateway;
    const struct exchange *x = &c->exchange;
    uint64_t now_ns = env_mono_ns(g->env), slow_ms = g->options.slow_ms != 0 ? g->options.slow_ms : SLOW_DEFAULT_MS;
    bool slow = now_ns - c->start_ns >= slow_ms * NS_PER_MS && c->endpoint != ENDPOINT_LEDGER_AUDIT;
    if (!slow && !x->sampled) return;
    log_event(g->env->log, slow ? LOG_WARN : LOG_INFO, slow ? "request.slow" : "request",
              "id=%s endpoint=%s method=%s code=%d total_us=%llu parse_us=%llu cluster_us=%llu bytes=%zu gone=%d "
              "trace=%s span=%s",
              x->id, endpoint_name(c->endpoint), http_method_text(c->method), a->code,
              (unsigned long long)((now_ns - c->start_ns) / 1000),
              (unsigned long long)((x->asked_ns - c->start_ns) / 1000),
              (unsigned long long)((now_ns - x->asked_ns) / 1000), answer_body(a).size, c->http == NULL,
              x->trace[0] != '\0' ? x->trace : "-", x->span[0] != '\0' ? x->span : "-");
}

static void cors_headers(const struct call *c, struct answer *a)
{
    const char *allowed = c->gateway->options.cors_origins, *origin;
    if (allowed == NULL) return;
    origin = request_header(c, "Origin");
    answer_header(a, "Vary", "Origin");
    if (!origin_allowed(allowed, origin)) return;
    answer_header(a, "Access-Control-Allow-Origin", origin);
    answer_header(a, "Access-Control-Expose-Headers",
                  "ETag, Retry-After, X-Request-Id, X-Quorate-Version, X-Quorate-Replayed, Quorate-Read-Mode, "
                  "Quorate-Timestamp, Quorate-Staleness-Ms");
}

/* Raw values go as they are: their ETag names exactly these bytes. */
static bool may_zip(const struct answer *a)
{
    size_t size = answer_body(a).size;
    bool text = a->content_type != NULL && strcmp(a->content_type, "application/octet-stream") != 0;
    return text && size >= ZIP_MIN && size <= ZIP_MAX;
}

/* The body as it is sent; zipped holds it if it is not the answer's own. */
static struct slice coded_body(const struct call *c, struct answer *a, struct buf *zipped)
{
    struct slice body = answer_body(a);
    if (!may_zip(a)) return body;
    const char *coding = coding_of(request_header(c, "Accept-Encoding"));
    answer_header(a, "Vary", "Accept-Encoding");
    if (coding == NULL) return body;
    if (!(strcmp(coding, "lz4") == 0 ? lz4_append(zipped, body) : gzip_append(zipped, body))) return body;
    answer_header(a, "Content-Encoding", coding);
    return buf_slice(zipped);
}

void reply_dress(struct call *c, struct answer *a)
{
    answer_header(a, "X-Request-Id", c->exchange.id);
    cors_headers(c, a);
}

void reply_send(struct call *c, struct answer *a)
{
    const struct http_ops *ops = c->gateway->env->http->ops;
    struct http_request *http = c->http;
    struct buf zipped;
    buf_init(&zipped, 2 * ZIP_MAX);
    reply_dress(c, a);
    struct slice body = coded_body(c, a, &zipped);
    struct http_reply_head head = {
        .code = a->code, .content_type = a->content_type, .headers = a->headers, .header_count = a->header_count};
    c->http = NULL;
    auth_count(c->gateway->options.auth, slice_str(c->user), body.size);
    ops->reply(http, &head, body);
    buf_free(&zipped);
}

void reply_piece(struct call *c, struct slice piece)
{
    stream_send(&c->watch.stream, piece);
    auth_count(c->gateway->options.auth, slice_str(c->user), piece.size);
}

/* What is allowed here; asked by browsers before they let another site's page ask (the Fetch standard, "CORS-preflight"). */
void handle_options(struct call *c)
{
    struct answer a;
    answer_init(&a);
    a.code = 204;
    a.content_type = NULL;
    answer_allow(&a, c->endpoint);
    if (origin_allowed(c->gateway->options.cors_origins, request_header(c, "Origin"))) {
        answer_header(&a, "Access-Control-Allow-Methods", "GET, HEAD, PUT, POST, DELETE");
        answer_header(
            &a, "Access-Control-Allow-Headers",
            "Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Request-Id, traceparent");
        answer_header(&a, "Access-Control-Max-Age", "600");
    }
    call_send(c, &a);
}
