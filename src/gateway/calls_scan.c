/* Scans: a page as one answer; or all pages as one stream of lines, as of one timestamp (?all=true with NDJSON).
 *
 *   ASKED --page--> answered                                          one page
 *   ASKED --page--> STREAMING --sent, the client has read enough--> ASKED ... --the last page--> ended
 *                       '--a failure: it is the last line--> ended       --the client leaves--> ended */
#include "base/assert.h"
#include "gateway/credential.h"
#include "gateway/gateway_int.h"

static void ask(void *ctx);

static void stream_begin_with(struct call *c, struct answer *a)
{
    reply_dress(c, a);
    struct http_reply_head head = {
        .code = a->code, .content_type = a->content_type, .headers = a->headers, .header_count = a->header_count};
    c->watch.streaming = true;
    stream_open(&c->watch.stream, &c->gateway->streams, c->http, &head);
}

static void finish(struct call *c, int code)
{
    stream_end(&c->watch.stream);
    c->watch.streaming = false;
    c->http = NULL;
    call_done(c, code);
}

/* Behind the last row of this page; false: it was the last page. */
static bool go_on(struct call *c, const struct scan_reply *page)
{
    if (!page->more || page->row_count == 0) return false;
    struct slice last = page->rows[page->row_count - 1].key;
    ASSERT(last.size <= LIMIT_KEY_BYTES);
    memcpy(c->scan_bound, last.data, last.size);
    c->scan_bound[last.size] = 0;
    if (c->scan.reverse)
        c->scan.end = slice_make(c->scan_bound, last.size);
    else
        c->scan.start = slice_make(c->scan_bound, last.size + 1);
    c->scan.how.ts = page->mark.ts;
    return true;
}

static void page_streamed(struct call *c, const struct client_error *e, const struct scan_reply *page)
{
    struct answer a;
    c->scan_asking = false;
    if (c->http == NULL) { /* the client has left */
        call_done(c, 200);
        return;
    }
    answer_init(&a);
    if (e->status == STATUS_OK)
        answer_scan(&a, &c->scan, page);
    else
        answer_client_error(&a, e);
    if (!c->watch.streaming) stream_begin_with(c, &a);
    reply_piece(c, answer_body(&a));
    bool more = e->status == STATUS_OK && a.code == 200 && go_on(c, page);
    answer_free(&a);
    if (!more)
        finish(c, e->status == STATUS_OK ? 200 : 503);
    else if (stream_has_room(&c->watch.stream, ask, c))
        ask(c);
}

static void scan_done(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct call *c = ctx;
    if (c->scan.all && e->status == STATUS_OK && !call_still_may(c, &c->watch.need)) e = &call_revoked;
    if (c->scan.all && (c->watch.streaming || e->status == STATUS_OK)) {
        page_streamed(c, e, reply);
        return;
    }
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    answer_scan(&a, &c->scan, reply);
    call_send(c, &a);
}

static void ask(void *ctx)
{
    struct call *c = ctx;
    struct client_scan scan = {.start = c->scan.start,
                               .end = c->scan.end,
                               .limit_rows = c->scan.limit,
                               .reverse = c->scan.reverse,
                               .keys_only = c->scan.keys_only,
                               .how = c->scan.how};
    c->scan_asking = true;
    client_scan(c->gateway->client, c->scan.keyspace, &scan, call_timeout(c, c->scan.timeout_ms), scan_done, c);
}

void scan_gone(struct call *c)
{
    stream_gone(&c->watch.stream);
    c->http = NULL;
    if (!c->scan_asking) call_done(c, 200);
}

void scan_stop(struct call *c)
{
    static const char line[] = "{\"error\":{\"code\":\"closed\",\"message\":\"this gateway is stopping\"}}\n";
    reply_piece(c, slice_str(line));
    finish(c, 503);
}

static void look_again(struct auth_lasting *l)
{
    (void)l; /* each page is looked at before it is sent */
}

/* What it asks with has to outlive this request's parsing; and so must the right to it. */
static void prepare_stream(struct call *c)
{
    struct auth *auth = c->gateway->options.auth;
    c->scan.keyspace = arena_dup_slice(&c->arena, c->scan.keyspace);
    c->scan.start = arena_dup_slice(&c->arena, c->scan.start);
    c->scan.end = arena_dup_slice(&c->arena, c->scan.end);
    c->scan_bound = arena_alloc(&c->arena, LIMIT_KEY_BYTES + 1);
    c->watch.need =
        (struct auth_need){.verb = AUTH_READ, .keyspace = c->scan.keyspace, .start = c->scan.start, .end = c->scan.end};
    if (auth == NULL) return;
    const char *header = c->gateway->env->http->ops->header(c->http, "Authorization");
    auth_last(auth, &c->watch.lasting, credential_token(&c->arena, header, false), look_again);
}

void handle_scan(struct call *c, const struct input *in, const struct route *route)
{
    struct errbuf err;
    enum status s = parse_scan(in, route, &c->arena, &c->scan, &err);
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
        return;
    }
    if (!call_may_span(c, AUTH_READ, c->scan.keyspace, c->scan.start, c->scan.end)) return;
    if (c->scan.empty) {
        struct answer a;
        answer_init(&a);
        struct read_mark mark = {.mode = c->scan.how.mode, .ts = c->scan.how.ts, .staleness_ms = STALENESS_UNKNOWN};
        answer_scan(&a, &c->scan, &(struct scan_reply){.row_count = 0, .mark = mark});
        call_send(c, &a);
        return;
    }
    if (c->scan.all) prepare_stream(c);
    ask(c);
}
