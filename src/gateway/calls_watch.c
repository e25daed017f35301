/* GET /v1/watch/{keyspace}: server-sent events (docs/watch.md). A struct call per watch, for as long as it lasts:
 *
 *   WAITING --first batch--> STREAMING --batch, room--> STREAMING ... --error--> "event: error", the end
 *      \--error--> answered as any request
 *
 * The next batch is asked for when the client has read most of what it was sent. */
#include "gateway/gateway_int.h"

#include "base/mem.h"
#include "gateway/codec.h"
#include "gateway/credential.h"
#include "gateway/feed_json.h"
#include "gateway/json_out.h"
#include "gateway/uri.h"

#include <stdio.h>

static void watch_next(void *ctx);

static void watch_close(struct call *c)
{
    client_watch_free(c->watch.watch);
    c->watch.watch = NULL;
    stream_end(&c->watch.stream);
    call_done(c, c->watch.code);
}

/* One event per transaction: whoever has read it whole has read the transaction whole. */
static void write_batch(const struct call *c, const struct client_watch_batch *batch, struct buf *b)
{
    for (size_t i = 0; i < batch->change_count;) {
        uint64_t ts = batch->changes[i].ts;
        buf_printf(b, "id: %llu\nevent: change\ndata: {\"version\":\"%llu\",\"changes\":[", (unsigned long long)ts,
                   (unsigned long long)ts);
        for (; i < batch->change_count && batch->changes[i].ts == ts; i++) {
            json_open(b, '{');
            feed_json_members(b, &batch->changes[i], c->watch.force_base64);
            json_close(b, '}');
        }
        buf_append_str(b, "]}\n\n");
    }
    if (batch->change_count == 0 || batch->changes[batch->change_count - 1].ts < batch->upto)
        buf_printf(b, "id: %llu\nevent: progress\ndata: {\"timestamp\":\"%llu\"}\n\n", (unsigned long long)batch->upto,
                   (unsigned long long)batch->upto);
}

static void write_error(const struct call *c, const struct client_error *e, uint64_t resume, struct buf *b)
{
    struct answer a;
    answer_init(&a);
    answer_client_error(&a, e);
    struct slice body = answer_body(&a); /* ends with a line end */
    if (!c->watch.lines) buf_append_str(b, "event: error\ndata: ");
    buf_append(b, body.data, body.size > 2 ? body.size - 2 : 0);
    if (resume > 0) buf_printf(b, ",\"resume_from\":\"%llu\"", (unsigned long long)resume);
    buf_append_str(b, c->watch.lines ? "}\n" : "}\n\n");
    answer_free(&a);
}

static void refuse(struct call *c, const struct client_error *e, uint64_t resume)
{
    struct answer a;
    answer_init(&a);
    answer_client_error(&a, e);
    if (resume > 0) {
        a.body.size -= a.body.size > 2 ? 2 : 0;
        buf_printf(&a.body, ",\"resume_from\":\"%llu\"}\n", (unsigned long long)resume);
    }
    client_watch_free(c->watch.watch);
    c->watch.watch = NULL;
    call_send(c, &a);
}

static void on_batch(void *ctx, const struct client_error *e, const struct client_watch_batch *batch, uint64_t resume)
{
    struct call *c = ctx;
    struct buf b;
    if (e->status == STATUS_OK && !call_still_may(c, &c->watch.need)) e = &call_revoked;
    if (e->status != STATUS_OK && !c->watch.streaming) {
        refuse(c, e, resume);
        return;
    }
    if (!c->watch.streaming) {
        struct answer a;
        answer_init(&a);
        answer_header(&a, "Cache-Control", "no-store");
        reply_dress(c, &a);
        struct http_reply_head head = {.code = 200,
                                       .content_type = c->watch.lines ? "application/x-ndjson" : "text/event-stream",
                                       .headers = a.headers,
                                       .header_count = a.header_count};
        c->watch.streaming = true;
        c->watch.code = 200;
        stream_open(&c->watch.stream, &c->gateway->streams, c->http, &head);
        c->http = NULL;
    }
    buf_init(&b, SIZE_MAX / 2); /* a batch is bounded, and so is what is made of it */
    if (e->status == STATUS_OK && c->watch.lines)
        feed_json_lines(&b, batch, c->watch.force_base64);
    else if (e->status == STATUS_OK)
        write_batch(c, batch, &b);
    else
        write_error(c, e, resume, &b);
    reply_piece(c, buf_slice(&b));
    buf_free(&b);
    if (e->status != STATUS_OK)
        watch_close(c);
    else if (stream_has_room(&c->watch.stream, watch_next, c))
        watch_next(c);
}

static void watch_next(void *ctx)
{
    struct call *c = ctx;
    client_watch_next(c->watch.watch, on_batch, c);
}

/* The client has left, or the gateway ends. */
void watch_abandon(struct call *c)
{
    client_watch_free(c->watch.watch);
    c->watch.watch = NULL;
    if (c->watch.streaming) stream_gone(&c->watch.stream);
    c->http = NULL;
    call_done(c, c->watch.streaming ? 200 : 499);
}

void watch_stop(struct call *c)
{
    struct client_error e = {.status = STATUS_CLOSED,
                             .message = slice_str("this gateway is stopping; use another one")};
    if (c->watch.watch == NULL) return;
    on_batch(c, &e, NULL, client_watch_position(c->watch.watch));
}

/* The book has changed, or the token has ended: it does not wait for the next batch. */
static void look_again(struct auth_lasting *l)
{
    struct client_error e = {.status = STATUS_OK};
    struct call *c = LIST_ENTRY(l, struct call, watch.lasting);
    if (c->watch.watch != NULL && !call_still_may(c, &c->watch.need))
        on_batch(c, &e, NULL, client_watch_position(c->watch.watch));
}

static enum status take_position(const struct input *in, const struct query_param *from, uint64_t *after,
                                 struct errbuf *err)
{
    struct slice text = in->last_event_id != NULL ? slice_str(in->last_event_id) : from->value;
    *after = 0;
    if (in->last_event_id == NULL && !from->present) return STATUS_OK;
    if (text_to_u64(text, UINT64_MAX >> 1, after) && *after > 0) return STATUS_OK;
    errbuf_set(err, "from, Last-Event-ID: expected a timestamp as an earlier event's id gave it");
    return STATUS_INVALID;
}

void handle_watch(struct call *c, const struct input *in, const struct route *route)
{
    struct query_param params[] = {{.name = "start"},    {.name = "end"},      {.name = "prefix"}, {.name = "from"},
                                   {.name = "progress"}, {.name = "encoding"}, {.name = "format"}};
    struct client_watch_options o = {.keyspace = SLICE_EMPTY};
    struct scan_action span = {.empty = false};
    struct auth *auth = c->gateway->options.auth;
    uint64_t progress_ms = 5000;
    struct errbuf err;
    enum status s = take_keyspace(route->keyspace, &c->arena, &o.keyspace, &err);
    if (s == STATUS_OK) s = query_parse(in->query, params, sizeof(params) / sizeof(params[0]), &c->arena, &err);
    if (s == STATUS_OK) s = take_position(in, &params[3], &o.after, &err);
    if (s == STATUS_OK && params[4].present &&
        (!text_to_duration_ms(params[4].value, 20000, &progress_ms) || progress_ms < 100)) {
        errbuf_set(&err, "progress: expected a duration from 100ms to 20s");
        s = STATUS_INVALID;
    }
    if (s == STATUS_OK && params[5].present && !slice_eq(params[5].value, slice_str("base64"))) {
        errbuf_set(&err, "encoding: expected base64");
        s = STATUS_INVALID;
    }
    if (s == STATUS_OK && params[6].present && !slice_eq(params[6].value, slice_str("ndjson"))) {
        errbuf_set(&err, "format: expected ndjson");
        s = STATUS_INVALID;
    }
    struct slice none = SLICE_EMPTY;
    if (s == STATUS_OK) {
        scan_bounds_set(&span, params[0].present ? params[0].value : none, params[1].present ? params[1].value : none,
                        params[2].present ? params[2].value : none, &c->arena);
        if (span.empty) {
            errbuf_set(&err, "start, end, prefix: no key lies there");
            s = STATUS_INVALID;
        }
    }
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
        return;
    }
    o.start = span.start;
    o.end = span.end;
    if (!call_may_span(c, AUTH_READ, o.keyspace, o.start, o.end)) return;
    c->watch.need = (struct auth_need){.verb = AUTH_READ,
                                       .keyspace = arena_dup_slice(&c->arena, o.keyspace),
                                       .start = arena_dup_slice(&c->arena, o.start),
                                       .end = arena_dup_slice(&c->arena, o.end)};
    o.progress_ms = (uint32_t)progress_ms;
    c->watch.force_base64 = params[5].present;
    c->watch.lines = params[6].present;
    c->watch.watch = client_watch_new(c->gateway->client, &o);
    call_lasts(c);
    if (auth != NULL) {
        const char *header = c->gateway->env->http->ops->header(c->http, "Authorization");
        auth_last(auth, &c->watch.lasting, credential_token(&c->arena, header, false), look_again);
    }
    watch_next(c);
}
