#include "http/reader_int.h"

#include "base/assert.h"

#include <string.h>

#define LINE_BYTES_MAX 1024u /* of a chunk size with its extensions, or a trailer line */

void http_reader_bad(struct http_reader *r, int code, const char *fault)
{
    r->state = READER_BAD;
    r->fault = fault;
    r->code = code;
}

void http_reader_init(struct http_reader *r, bool of_requests, size_t max_head, size_t max_body)
{
    *r = (struct http_reader){.state = READER_DONE, .of_requests = of_requests};
    buf_init(&r->head, max_head);
    buf_init(&r->line, LINE_BYTES_MAX);
    buf_init(&r->body, max_body);
}

void http_reader_free(struct http_reader *r)
{
    buf_free(&r->head);
    buf_free(&r->line);
    buf_free(&r->body);
}

void http_reader_begin(struct http_reader *r, bool to_head)
{
    r->state = READER_HEAD;
    r->to_head = to_head;
    r->keep_alive = true;
    r->expects = false;
    r->field_count = 0;
    r->code = 0;
    r->fault = NULL;
    r->left = 0;
    r->trailer_bytes = 0;
    buf_clear(&r->head);
    buf_clear(&r->line);
    buf_clear(&r->body);
}

/* ---- the head ---------------------------------------------------------------------------------------------------------- */

/* READER_DONE: without a body; otherwise as what the body's bytes are read. */
static enum reader_state body_of_request(const struct http_framing *f)
{
    if (f->chunked) return READER_CHUNK_SIZE;
    return f->length > 0 ? READER_BODY : READER_DONE;
}

static enum reader_state body_of_response(struct http_reader *r, const struct http_framing *f)
{
    if (r->code < 200 && r->code != 101) return READER_HEAD; /* interim: the response itself follows */
    if (r->to_head || r->code == 101 || r->code == 204 || r->code == 304) return READER_DONE;
    if (f->chunked && f->has_length) r->keep_alive = false; /* chunks have the last word (RFC 9112, 6.3) */
    if (f->chunked) return READER_CHUNK_SIZE;
    if (f->has_length) return f->length > 0 ? READER_BODY : READER_DONE;
    r->keep_alive = false;
    return READER_UNTIL_END;
}

static void head_complete(struct http_reader *r)
{
    struct http_framing f = {0};
    if (!http_head_parse(r, &f)) return;
    enum reader_state next = r->of_requests ? body_of_request(&f) : body_of_response(r, &f);
    if (next == READER_BODY && f.length > r->body.max) {
        http_reader_bad(r, 413, "the body is larger than the limit");
        return;
    }
    if (next == READER_HEAD) {
        buf_clear(&r->head);
        r->field_count = 0;
    }
    r->left = next == READER_BODY ? f.length : 0;
    r->state = next;
}

/* Bytes that can only become a head by a miracle are refused before the head is whole. */
static void head_doubtful(struct http_reader *r)
{
    const uint8_t *lf = memchr(r->head.data, '\n', r->head.size);
    if (r->head.size == r->head.max) {
        http_reader_bad(r, 431, "the head is larger than the limit");
    } else if (!r->of_requests) {
        if (r->head.size >= 5 && memcmp(r->head.data, "HTTP/", 5) != 0) http_reader_bad(r, 400, "this is not HTTP");
    } else if (r->head.size > 0 && (r->head.data[0] < 0x20 || r->head.data[0] > 0x7e)) {
        http_reader_bad(r, 400, "this is not HTTP");
    } else if (lf != NULL && (lf == r->head.data || lf[-1] != '\r')) {
        http_reader_bad(r, 400, "lines end with CR LF");
    }
}

/* Where "\r\n\r\n" begins; NULL: nowhere. Heads have few lines. */
static const uint8_t *empty_line(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = at;
    for (const uint8_t *lf; (lf = memchr(at, '\n', (size_t)(end - at))) != NULL; at = lf + 1)
        if (lf - start >= 3 && memcmp(lf - 3, "\r\n\r", 3) == 0) return lf - 3;
    return NULL;
}

/* The usual head comes whole: it is then copied once and searched once. */
static size_t feed_head(struct http_reader *r, struct slice bytes)
{
    if (r->of_requests && r->head.size == 0 && (bytes.data[0] == '\r' || bytes.data[0] == '\n') &&
        r->trailer_bytes < 4) {
        r->trailer_bytes++; /* empty lines before a request (RFC 9112, 2.2), within reason */
        return 1;
    }
    size_t before = r->head.size, room = r->head.max - before;
    size_t take = bytes.size < room ? bytes.size : room;
    buf_append(&r->head, bytes.data, take);
    size_t from = before < 3 ? 0 : before - 3;
    const uint8_t *end = empty_line(r->head.data + from, r->head.data + r->head.size);
    if (end == NULL) {
        head_doubtful(r);
        return take;
    }
    size_t head_size = (size_t)(end + 4 - r->head.data);
    r->head.size = head_size;
    r->trailer_bytes = 0;
    head_complete(r);
    return head_size - before;
}

/* ---- the body ---------------------------------------------------------------------------------------------------------- */

static size_t feed_body(struct http_reader *r, struct slice bytes, bool bounded)
{
    size_t take = bounded && r->left < bytes.size ? (size_t)r->left : bytes.size;
    buf_append(&r->body, bytes.data, take);
    if (r->body.overflow) http_reader_bad(r, 413, "the body is larger than the limit");
    if (bounded) r->left -= take;
    return take;
}

/* Collects a line; true when it is whole, without its end. */
static bool take_line(struct http_reader *r, struct slice bytes, size_t *taken, struct slice *line)
{
    const uint8_t *end = memchr(bytes.data, '\n', bytes.size);
    *taken = end != NULL ? (size_t)(end + 1 - bytes.data) : bytes.size;
    buf_append(&r->line, bytes.data, *taken);
    if (r->line.overflow) {
        http_reader_bad(r, 400, "a line between the chunks is too long");
        return false;
    }
    if (end == NULL) return false;
    size_t size = r->line.size;
    if (size < 2 || memchr(r->line.data, '\r', size) != r->line.data + size - 2) {
        http_reader_bad(r, 400, "a line between the chunks is malformed");
        return false;
    }
    *line = slice_make(r->line.data, size - 2);
    r->line.size = 0;
    return true;
}

static bool parse_chunk_size(struct slice line, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < line.size; i++) {
        uint8_t c = line.data[i], lower = c | 0x20;
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            v = v << 4 | (uint64_t)(lower - 'a' + 10);
        else
            break;
        if (i >= 12) return false;
    }
    if (i == 0 || (i < line.size && line.data[i] != ';' && line.data[i] != ' ' && line.data[i] != '\t')) return false;
    *out = v;
    return true;
}

static size_t feed_line(struct http_reader *r, struct slice bytes)
{
    size_t taken;
    struct slice line;
    if (!take_line(r, bytes, &taken, &line)) return taken;
    if (r->state == READER_CHUNK_END) {
        if (line.size > 0)
            http_reader_bad(r, 400, "a chunk is longer than it says");
        else
            r->state = READER_CHUNK_SIZE;
    } else if (r->state == READER_TRAILER) {
        r->trailer_bytes += line.size;
        if (line.size == 0)
            r->state = READER_DONE;
        else if (r->trailer_bytes > r->head.max)
            http_reader_bad(r, 431, "the trailer is larger than the limit");
    } else if (!parse_chunk_size(line, &r->left)) {
        http_reader_bad(r, 400, "the size of a chunk is malformed");
    } else {
        r->state = r->left > 0 ? READER_CHUNK_DATA : READER_TRAILER;
    }
    return taken;
}

static size_t feed_some(struct http_reader *r, struct slice bytes)
{
    size_t taken;
    switch (r->state) {
    case READER_HEAD: return feed_head(r, bytes);
    case READER_BODY:
        taken = feed_body(r, bytes, true);
        if (r->state == READER_BODY && r->left == 0) r->state = READER_DONE;
        return taken;
    case READER_CHUNK_DATA:
        taken = feed_body(r, bytes, true);
        if (r->state == READER_CHUNK_DATA && r->left == 0) r->state = READER_CHUNK_END;
        return taken;
    case READER_UNTIL_END: return feed_body(r, bytes, false);
    case READER_CHUNK_SIZE:
    case READER_CHUNK_END:
    case READER_TRAILER: return feed_line(r, bytes);
    case READER_DONE:
    case READER_BAD: break;
    }
    BUG("reader state");
}

size_t http_reader_feed(struct http_reader *r, struct slice bytes)
{
    size_t taken = 0;
    while (taken < bytes.size && r->state != READER_DONE && r->state != READER_BAD)
        taken += feed_some(r, slice_make(bytes.data + taken, bytes.size - taken));
    ASSERT(taken <= bytes.size);
    return taken;
}

void http_reader_end(struct http_reader *r)
{
    if (r->state == READER_UNTIL_END)
        r->state = READER_DONE;
    else if (r->state != READER_DONE)
        http_reader_bad(r, 400, "the connection ended inside the message");
}
