#include "lib/gateway_fake_http.h"

#include <stdio.h>
#include <strings.h>

#include "base/mem.h"

struct http_request {
    struct fake_http *fake;
    enum http_method method;
    char *target, *body;
    const char *const *headers;
    void *ctx;
    char found[256];
};
struct http_server {
    struct fake_http *fake;
};

static enum status fake_listen(struct http *h, const char *address, size_t max_head, size_t max_body,
                               void (*on_request)(void *, struct http_request *),
                               void (*on_gone)(void *, struct http_request *), void *ctx, struct http_server **out,
                               struct errbuf *err)
{
    struct fake_http *f = (struct fake_http *)(void *)h;
    (void)max_head;
    (void)max_body;
    if (strcmp(address, "in use") == 0) {
        errbuf_set(err, "the address is in use");
        return STATUS_IO;
    }
    f->on_request = on_request;
    f->on_gone = on_gone;
    f->ctx = ctx;
    f->listening = true;
    *out = mem_zalloc(sizeof(**out));
    (*out)->fake = f;
    return STATUS_OK;
}

static void fake_unlisten(struct http_server *s)
{
    s->fake->listening = false;
    mem_free(s);
}

static enum http_method fake_method(const struct http_request *r)
{
    return r->method;
}
static struct slice fake_path(const struct http_request *r)
{
    return slice_make(r->target, strcspn(r->target, "?"));
}
static struct slice fake_query(const struct http_request *r)
{
    const char *q = strchr(r->target, '?');
    return q == NULL ? SLICE_EMPTY : slice_str(q + 1);
}
static const char *fake_header(const struct http_request *r, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; r->headers != NULL && r->headers[i] != NULL; i++) {
        if (strncasecmp(r->headers[i], name, n) == 0 && strncmp(r->headers[i] + n, ": ", 2) == 0)
            return r->headers[i] + n + 2;
    }
    return NULL;
}
static struct slice fake_body(const struct http_request *r)
{
    return r->body == NULL ? SLICE_EMPTY : slice_str(r->body);
}
static void fake_set_ctx(struct http_request *r, void *ctx)
{
    r->ctx = ctx;
}
static void *fake_get_ctx(const struct http_request *r)
{
    return r->ctx;
}

static void request_free(struct http_request *r)
{
    mem_free(r->target);
    mem_free(r->body);
    mem_free(r);
}

static void fake_reply(struct http_request *r, const struct http_reply_head *head, struct slice body)
{
    struct fake_http *f = r->fake;
    size_t used = 0;
    f->replies++;
    f->code = head->code;
    snprintf(f->content_type, sizeof(f->content_type), "%s", head->content_type != NULL ? head->content_type : "");
    f->head[0] = '\0';
    for (size_t i = 0; i < head->header_count; i++) {
        used += (size_t)snprintf(f->head + used, sizeof(f->head) - used, "%s: %s\n", head->headers[i].name,
                                 head->headers[i].value);
    }
    buf_clear(&f->body);
    buf_append_slice(&f->body, body);
    buf_append_byte(&f->body, '\0');
    f->body.size--;
    request_free(r);
}

/* A stream is an answer that grows. */
static void fake_stream_begin(struct http_request *r, const struct http_reply_head *head)
{
    struct fake_http *f = r->fake;
    f->code = head->code;
    snprintf(f->content_type, sizeof(f->content_type), "%s", head->content_type != NULL ? head->content_type : "");
    buf_clear(&f->body);
}
static void fake_stream_send(struct http_request *r, struct slice piece)
{
    buf_append_slice(&r->fake->body, piece);
    buf_append_byte(&r->fake->body, '\0');
    r->fake->body.size--;
}
static size_t fake_stream_unsent(const struct http_request *r)
{
    return r->fake->unsent;
}
static void fake_stream_end(struct http_request *r)
{
    r->fake->replies++;
    request_free(r);
}

static const struct http_ops fake_ops = {
    .listen = fake_listen,
    .unlisten = fake_unlisten,
    .method = fake_method,
    .path = fake_path,
    .query = fake_query,
    .header = fake_header,
    .body = fake_body,
    .set_ctx = fake_set_ctx,
    .get_ctx = fake_get_ctx,
    .reply = fake_reply,
    .stream_begin = fake_stream_begin,
    .stream_send = fake_stream_send,
    .stream_unsent = fake_stream_unsent,
    .stream_end = fake_stream_end,
};

static uint64_t fake_mono_ns(struct env *e)
{
    struct fake_http *f = (struct fake_http *)(void *)((char *)e - offsetof(struct fake_http, env));
    f->now_ns += NS_PER_MS;
    return f->now_ns;
}

static void fake_log(struct logger *l, enum log_level level, const char *line)
{
    (void)l;
    (void)level;
    (void)line;
}

static void fake_random(struct env *e, void *bytes, size_t size)
{
    (void)e;
    memset(bytes, 7, size);
}

static void fake_attach(struct env *e, struct actor *a)
{
    ((struct fake_http *)(void *)((char *)e - offsetof(struct fake_http, env)))->actor = a;
}
static void fake_detach(struct env *e, struct actor *a)
{
    (void)a;
    ((struct fake_http *)(void *)((char *)e - offsetof(struct fake_http, env)))->actor = NULL;
}
static void fake_wake(struct env *e)
{
    (void)e;
}

static const struct env_ops fake_env_ops = {
    .mono_ns = fake_mono_ns, .attach = fake_attach, .detach = fake_detach, .wake = fake_wake, .random = fake_random};

void fake_http_init(struct fake_http *f)
{
    memset(f, 0, sizeof(*f));
    f->http.ops = &fake_ops;
    f->log = (struct logger){.level = LOG_ERROR, .write = fake_log};
    f->env = (struct env){.ops = &fake_env_ops, .http = &f->http, .log = &f->log};
    buf_init(&f->body, 64u << 20);
}

void fake_http_free(struct fake_http *f)
{
    buf_free(&f->body);
}

struct http_request *fake_http_send(struct fake_http *f, enum http_method m, const char *target,
                                    const char *const *headers, const char *body)
{
    struct http_request *r = mem_zalloc(sizeof(*r));
    unsigned before = f->replies;
    r->fake = f;
    r->method = m;
    r->target = mem_strdup(target);
    r->body = body != NULL ? mem_strdup(body) : NULL;
    r->headers = headers;
    f->on_request(f->ctx, r);
    return f->replies > before ? NULL : r;
}

void fake_http_leave(struct fake_http *f, struct http_request *r)
{
    f->on_gone(f->ctx, r);
    request_free(r);
}
