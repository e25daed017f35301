/* Operations through a gateway: one HTTP connection for each lane. */
#include <stdio.h>

#include "bench/bench.h"
#include "cli/http_load.h"
#include "gateway/json_out.h"

static bool contains(struct slice body, const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i + size <= body.size; i++) {
        if (memcmp(body.data + i, text, size) == 0) return true;
    }
    return false;
}

static void answered(void *ctx, int code, enum status why, struct slice body)
{
    struct bench_lane *l = ctx;
    bool get = l->op.kind == BENCH_GET;
    bool unsent = code == 0 && why == STATUS_UNAVAILABLE; /* no connection was made */
    struct slice text =
        body.size > 0 ? slice_make(body.data, body.size < 200 ? body.size : 200) : slice_str(status_text(why));
    if (code == 200 || code == 201)
        bench_answered(l, BENCH_OK, get || contains(body, "\"deleted\":true"), get ? body : SLICE_EMPTY, SLICE_EMPTY);
    else if (code == 404 && get && contains(body, "no such key"))
        bench_answered(l, BENCH_OK, false, SLICE_EMPTY, SLICE_EMPTY);
    else if ((code == 409 || code == 412) && contains(body, "condition_failed"))
        bench_answered(l, BENCH_REFUSED, false, SLICE_EMPTY, SLICE_EMPTY);
    else if (get || unsent || (code != 0 && contains(body, "\"outcome\":\"definite\"")))
        bench_answered(l, BENCH_FAILED, false, SLICE_EMPTY, text);
    else
        bench_answered(l, BENCH_UNKNOWN, false, SLICE_EMPTY, text);
}

/* {"keyspace":..,"compare":[..],"then":[{"put":..}]} */
static void cas_body(const struct bench_lane *l, struct slice key, struct slice value, struct buf *out)
{
    const struct bench *b = l->bench;
    struct buf expect;
    buf_init(&expect, LIMIT_VALUE_BYTES);
    json_open(out, '{');
    json_key(out, "keyspace");
    json_str(out, b->keyspace);
    buf_append_str(out, ",\"compare\":[{");
    json_bytes(out, "key", key, false);
    if (l->op.expect[0] == '\0') {
        buf_append_str(out, ",\"target\":\"exists\",\"exists\":false");
    } else {
        bench_fill_value(b, l->op.expect, &expect);
        buf_append_str(out, ",\"target\":\"value\"");
        json_bytes(out, "value", buf_slice(&expect), false);
    }
    buf_append_str(out, "}],\"then\":[{\"put\":{");
    json_bytes(out, "key", key, false);
    json_bytes(out, "value", value, false);
    buf_append_str(out, "}}]}");
    buf_free(&expect);
}

static void http_send(struct bench_lane *l)
{
    static const enum http_method methods[] = {HTTP_GET, HTTP_PUT, HTTP_DELETE, HTTP_POST};
    const struct bench *b = l->bench;
    struct buf key, value, path, body;
    char id[33];
    struct http_header header = {.name = "Idempotency-Key", .value = id};
    buf_init(&key, LIMIT_KEY_BYTES);
    buf_init(&value, LIMIT_VALUE_BYTES);
    buf_init(&path, 3 * LIMIT_KEY_BYTES);
    buf_init(&body, LIMIT_HTTP_BODY_BYTES);
    snprintf(id, sizeof(id), "%016llx%016llx", (unsigned long long)b->run, (unsigned long long)l->op.number);
    bench_key(b, l->op.key, &key);
    if (l->op.kind == BENCH_PUT || l->op.kind == BENCH_CAS) bench_fill_value(b, l->op.value, &value);
    if (l->op.kind == BENCH_CAS) {
        buf_append_str(&path, "/v1/txn");
        cas_body(l, buf_slice(&key), buf_slice(&value), &body);
    } else {
        buf_printf(&path, "/v1/kv/%s/", b->keyspace);
        path_escape(&path, buf_slice(&key));
        if (value.size > 0) buf_append_slice(&body, buf_slice(&value));
    }
    buf_append_byte(&path, '\0');
    bool write = l->op.kind != BENCH_GET;
    b->env->http->ops->client_send(l->http, methods[l->op.kind], (const char *)path.data, &header,
                                   write && b->ids ? 1 : 0, body.size > 0 ? buf_slice(&body) : SLICE_EMPTY, answered,
                                   l);
    buf_free(&key);
    buf_free(&value);
    buf_free(&path);
    buf_free(&body);
}

static bool http_open(struct bench *b)
{
    for (unsigned i = 0; i < b->lane_count; i++)
        b->lanes[i].http = b->env->http->ops->client_new(b->env->http, b->http_address, b->cli->timeout_ms);
    return true;
}

static void http_close(struct bench *b)
{
    for (unsigned i = 0; i < b->lane_count; i++) {
        if (b->lanes[i].http != NULL) b->env->http->ops->client_free(b->lanes[i].http);
    }
}

const struct bench_wire bench_http = {.open = http_open, .send = http_send, .close = http_close};
