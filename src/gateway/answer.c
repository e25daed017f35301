/* Answers of the data endpoints, and errors. */
#include "gateway/answer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "gateway/codec.h"
#include "gateway/json_out.h"

static const char JSON[] = "application/json";

void answer_init(struct answer *a)
{
    a->code = 200;
    a->content_type = JSON;
    a->header_count = 0;
    a->borrowed = SLICE_EMPTY;
    buf_init(&a->body, ANSWER_BODY_MAX);
}

void answer_free(struct answer *a)
{
    buf_free(&a->body);
}

struct slice answer_body(const struct answer *a)
{
    if (a->borrowed.size > 0) return a->borrowed;
    return a->body.size > 0 ? buf_slice(&a->body) : SLICE_EMPTY;
}

void answer_header(struct answer *a, const char *name, const char *value)
{
    ASSERT(a->header_count < ANSWER_HEADERS_MAX);
    a->headers[a->header_count++] = (struct http_header){.name = name, .value = value};
}

static void header(struct answer *a, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void header(struct answer *a, const char *name, const char *fmt, ...)
{
    ASSERT(a->header_count < ANSWER_HEADERS_MAX);
    char *text = a->text[a->header_count];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(a->text[0]), fmt, args);
    va_end(args);
    a->headers[a->header_count++] = (struct http_header){.name = name, .value = text};
}

static void header_version(struct answer *a, uint64_t version)
{
    header(a, "ETag", "\"%llu\"", (unsigned long long)version);
    header(a, "X-Quorate-Version", "%llu", (unsigned long long)version);
}

/* What a read was: docs/reads.md. */
static void header_mark(struct answer *a, const struct read_mark *mark)
{
    header(a, "Quorate-Read-Mode", "%s", read_mode_name(mark->mode));
    if (mark->ts != 0) header(a, "Quorate-Timestamp", "%llu", (unsigned long long)mark->ts);
    if (mark->staleness_ms != STALENESS_UNKNOWN) header(a, "Quorate-Staleness-Ms", "%u", mark->staleness_ms);
}

void json_read_mark(struct buf *b, const struct read_mark *mark)
{
    json_key(b, "read");
    json_str(b, read_mode_name(mark->mode));
    if (mark->ts != 0) {
        json_key(b, "timestamp");
        json_u64_text(b, mark->ts);
    }
    if (mark->staleness_ms != STALENESS_UNKNOWN) {
        json_key(b, "staleness_ms");
        json_u64(b, mark->staleness_ms);
    }
}

static void end_line(struct answer *a)
{
    buf_append_byte(&a->body, '\n');
}

/* Opens {"error":{...; the caller may add fields, then closes both. */
static void error_open(struct answer *a, enum status s, bool unknown_outcome, struct slice message)
{
    struct buf *b = &a->body;
    buf_clear(b);
    a->borrowed = SLICE_EMPTY;
    a->content_type = JSON;
    a->code = unknown_outcome && s != STATUS_UNAUTHENTICATED ? 504 : status_http(s);
    if (a->code < 300) a->code = 500; /* a status that is no failure cannot be an error's */
    json_open(b, '{');
    json_key(b, "error");
    json_open(b, '{');
    json_key(b, "code");
    json_str(b, status_name(s));
    json_key(b, "message");
    if (message.size == 0) message = slice_str(status_text(s));
    json_text(b, utf8_valid(message) ? message : slice_str(status_text(s)));
    json_key(b, "outcome");
    json_str(b, unknown_outcome ? "unknown" : "definite");
}

void answer_error(struct answer *a, enum status s, bool unknown_outcome, struct slice message)
{
    error_open(a, s, unknown_outcome, message);
    buf_append_str(&a->body, "}}\n");
    if (a->code == 429) header(a, "Retry-After", "1");
    if (a->code == 401) header(a, "WWW-Authenticate", "Bearer, Basic realm=\"quorate\"");
}

void answer_client_error(struct answer *a, const struct client_error *e)
{
    ASSERT(e->status != STATUS_OK);
    answer_error(a, e->status, e->unknown_outcome, e->message);
}

void answer_method_not_allowed(struct answer *a, enum endpoint e)
{
    struct errbuf text;
    errbuf_set(&text, "this method is not allowed here; allowed: %s", endpoint_methods(e));
    answer_error(a, STATUS_UNSUPPORTED, false, slice_str(text.text));
    a->code = 405;
    answer_allow(a, e);
}

void answer_allow(struct answer *a, enum endpoint e)
{
    const char *methods = endpoint_methods(e);
    header(a, "Allow", "%s%s, OPTIONS", strncmp(methods, "GET", 3) == 0 ? "HEAD, " : "", methods);
}

static bool matches(const struct precondition *p, const struct get_reply *reply)
{
    return p->any ? reply->found : reply->found && reply->version == p->version;
}

void answer_get(struct answer *a, const struct kv_action *action, const struct get_reply *reply)
{
    if (action->if_match.present && !matches(&action->if_match, reply)) {
        answer_error(a, STATUS_CONDITION_FAILED, false,
                     slice_str("If-Match: the key has another version, or is absent"));
    } else if (!reply->found) {
        answer_error(a, STATUS_NOT_FOUND, false, slice_str("no such key"));
    } else if (action->if_none_match.present && matches(&action->if_none_match, reply)) {
        a->code = 304;
        a->content_type = NULL;
    } else {
        a->content_type = "application/octet-stream";
        a->borrowed = reply->value;
    }
    if (reply->found) header_version(a, reply->version);
    header_mark(a, &reply->mark);
}

/* A refusal with what a program needs to go on: which part refused, and whether the answer is an earlier attempt's. */
static void refusal(struct answer *a, const struct txn_result *r)
{
    struct buf *b = &a->body;
    error_open(a, r->status, false, SLICE_EMPTY);
    if (r->failed_index != UINT32_MAX) {
        json_key(b, "failed_index");
        json_u64(b, r->failed_index);
    }
    json_close(b, '}');
    json_key(b, "replayed");
    json_bool(b, r->replayed);
    json_close(b, '}');
    end_line(a);
    header(a, "X-Quorate-Replayed", "%s", r->replayed ? "true" : "false");
}

void answer_write(struct answer *a, const struct kv_action *action, const struct txn_result *r)
{
    struct buf *b = &a->body;
    if (r->status != STATUS_OK) {
        refusal(a, r);
        return;
    }
    header(a, "X-Quorate-Replayed", "%s", r->replayed ? "true" : "false");
    json_open(b, '{');
    if (action->method == HTTP_DELETE) {
        json_key(b, "deleted");
        json_bool(b, r->op_count > 0 && r->ops[0].found);
        header(a, "X-Quorate-Version", "%llu", (unsigned long long)r->ts);
    } else {
        header_version(a, r->ts); /* a deleted key has no ETag */
    }
    json_key(b, "version");
    json_u64_text(b, r->ts);
    json_key(b, "replayed");
    json_bool(b, r->replayed);
    json_close(b, '}');
    end_line(a);
}

void json_txn_op_result(struct buf *b, const struct txn_op_result *op, const struct txn_result *alone)
{
    json_open(b, '{');
    switch (op->kind) {
    case TXN_GET:
        json_key(b, "found");
        json_bool(b, op->found);
        if (op->found) {
            json_bytes(b, "value", op->value, false);
            json_key(b, "version");
            json_u64_text(b, op->version);
        }
        break;
    case TXN_DELETE:
        json_key(b, "found");
        json_bool(b, op->found);
        break;
    case TXN_PUT:
    case TXN_REVISE:
    case TXN_INSERT:
        json_key(b, "version");
        json_u64_text(b, op->version);
        break;
    case TXN_ADD: json_bytes(b, "value", op->value, false); break;
    }
    if (alone != NULL && op->kind != TXN_PUT && op->kind != TXN_INSERT) {
        json_key(b, "version");
        json_u64_text(b, alone->ts);
    }
    if (alone != NULL) {
        json_key(b, "replayed");
        json_bool(b, alone->replayed);
    }
    json_close(b, '}');
}

void answer_txn(struct answer *a, const struct txn_result *r)
{
    struct buf *b = &a->body;
    if (r->status != STATUS_OK) {
        refusal(a, r);
        return;
    }
    json_open(b, '{');
    json_key(b, "succeeded");
    json_bool(b, r->succeeded);
    json_key(b, "version");
    json_u64_text(b, r->ts);
    json_key(b, "replayed");
    json_bool(b, r->replayed);
    json_key(b, "results");
    json_open(b, '[');
    for (size_t i = 0; i < r->op_count; i++) json_txn_op_result(b, &r->ops[i], NULL);
    json_close(b, ']');
    json_close(b, '}');
    end_line(a);
    if (b->overflow) answer_txn_bare(a, r); /* it was done; an error would say otherwise */
}

void answer_txn_bare(struct answer *a, const struct txn_result *r)
{
    if (r->status != STATUS_OK) return;
    buf_clear(&a->body);
    buf_printf(&a->body, "{\"succeeded\":%s,\"version\":\"%llu\",\"replayed\":%s,\"results\":null}\n",
               r->succeeded ? "true" : "false", (unsigned long long)r->ts, r->replayed ? "true" : "false");
}

static void scan_row(struct buf *b, const struct scan_action *action, const struct scan_row *row)
{
    json_open(b, '{');
    json_bytes(b, "key", row->key, action->force_base64);
    if (!action->keys_only) json_bytes(b, "value", row->value, action->force_base64);
    json_key(b, "version");
    json_u64_text(b, row->version);
    json_close(b, '}');
}

/* Where the next page starts: forward just above the last key, backward below it. Opaque to clients. */
static void next_append(struct buf *b, const struct scan_action *action, const struct scan_reply *reply)
{
    struct slice last = reply->rows[reply->row_count - 1].key;
    uint8_t above[LIMIT_KEY_BYTES + 1];
    if (action->reverse || last.size > LIMIT_KEY_BYTES) {
        base64url_append(b, last);
        return;
    }
    memcpy(above, last.data, last.size);
    above[last.size] = 0;
    base64url_append(b, slice_make(above, last.size + 1));
}

void answer_scan(struct answer *a, const struct scan_action *action, const struct scan_reply *reply)
{
    struct buf *b = &a->body;
    bool more = reply->more && reply->row_count > 0;
    header_mark(a, &reply->mark);
    if (action->lines) {
        a->content_type = "application/x-ndjson";
        for (size_t i = 0; i < reply->row_count; i++) {
            scan_row(b, action, &reply->rows[i]);
            end_line(a);
        }
    } else {
        json_open(b, '{');
        json_key(b, "rows");
        json_open(b, '[');
        for (size_t i = 0; i < reply->row_count; i++) scan_row(b, action, &reply->rows[i]);
        json_close(b, ']');
        json_read_mark(b, &reply->mark);
        json_key(b, "more");
        json_bool(b, more);
    }
    if (more && action->all) {
        /* the next page comes behind it */
    } else if (more && action->lines) { /* its last line: the only one without a key */
        buf_append_str(b, "{\"more\":true,\"next\":\"");
        next_append(b, action, reply);
        buf_append_str(b, "\"}\n");
    } else if (more) {
        buf_append_str(b, ",\"next\":\"");
        next_append(b, action, reply);
        buf_append_byte(b, '"');
    }
    if (!action->lines) {
        json_close(b, '}');
        end_line(a);
    }
    if (b->overflow)
        answer_error(a, STATUS_TOO_LARGE, false, slice_str("the page does not fit one answer; give a smaller limit"));
}
