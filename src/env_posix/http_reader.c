#define _GNU_SOURCE /* memmem, strncasecmp */
#include "env_posix/http_reader.h"

#include "base/assert.h"

#include <string.h>
#include <strings.h>

#define LINE_BYTES_MAX 1024u /* of a chunk size with its extensions, or a trailer line */

static void reader_bad(struct http_reader *r, const char *fault)
{
    r->state = READER_BAD;
    r->fault = fault;
}

void http_reader_init(struct http_reader *r, size_t max_head, size_t max_body)
{
    *r = (struct http_reader){.state = READER_DONE};
    buf_init(&r->head, max_head);
    buf_init(&r->body, max_body);
}

void http_reader_free(struct http_reader *r)
{
    buf_free(&r->head);
    buf_free(&r->body);
}

void http_reader_begin(struct http_reader *r, bool to_head)
{
    r->state = READER_HEAD;
    r->to_head = to_head;
    r->keep_alive = true;
    r->code = 0;
    r->fault = NULL;
    r->left = 0;
    r->trailer_bytes = 0;
    buf_clear(&r->head);
    buf_clear(&r->body);
}

/* ---- the head ---------------------------------------------------------------------------------------------------------- */

static struct slice trimmed(struct slice s)
{
    while (s.size > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) s = slice_make(s.data + 1, s.size - 1);
    while (s.size > 0 && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t')) s.size--;
    return s;
}

static bool equals_nocase(struct slice s, const char *text)
{
    return s.size == strlen(text) && strncasecmp((const char *)s.data, text, s.size) == 0;
}

static bool list_has(struct slice list, const char *token) /* "a, token, b" */
{
    while (list.size > 0) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        size_t size = comma != NULL ? (size_t)(comma - list.data) : list.size;
        if (equals_nocase(trimmed(slice_make(list.data, size)), token)) return true;
        size_t skip = comma != NULL ? size + 1 : size;
        list = slice_make(list.data + skip, list.size - skip);
    }
    return false;
}

static bool parse_length(struct slice s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.size == 0 || s.size > 18) return false;
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') return false;
        v = v * 10 + (uint64_t)(s.data[i] - '0');
    }
    *out = v;
    return true;
}

struct framing {
    bool has_length, chunked;
    uint64_t length;
};

static bool parse_status_line(struct http_reader *r, struct slice line)
{
    if (line.size < 12 || memcmp(line.data, "HTTP/1.", 7) != 0 || line.data[8] != ' ') return false;
    if (line.data[7] != '0' && line.data[7] != '1') return false;
    for (size_t i = 9; i < 12; i++) {
        if (line.data[i] < '0' || line.data[i] > '9') return false;
    }
    if (line.size > 12 && line.data[12] != ' ') return false;
    r->code = (line.data[9] - '0') * 100 + (line.data[10] - '0') * 10 + (line.data[11] - '0');
    r->keep_alive = line.data[7] == '1';
    return r->code >= 100 && r->code <= 599;
}

static bool parse_header(struct http_reader *r, struct slice line, struct framing *f)
{
    const uint8_t *colon = memchr(line.data, ':', line.size);
    if (colon == NULL || colon == line.data) return false;
    struct slice name = slice_make(line.data, (size_t)(colon - line.data));
    struct slice value = trimmed(slice_make(colon + 1, line.size - name.size - 1));
    if (name.data[0] == ' ' || name.data[0] == '\t') return false;
    if (equals_nocase(name, "content-length")) {
        uint64_t length;
        if (!parse_length(value, &length)) return false;
        if (f->has_length && f->length != length) return false;
        f->has_length = true;
        f->length = length;
    } else if (equals_nocase(name, "transfer-encoding")) {
        if (!equals_nocase(value, "chunked")) return false;
        f->chunked = true;
    } else if (equals_nocase(name, "connection")) {
        if (list_has(value, "close")) r->keep_alive = false;
        if (list_has(value, "keep-alive")) r->keep_alive = true;
    }
    return true;
}

static bool parse_head(struct http_reader *r, struct framing *f)
{
    struct slice rest = buf_slice(&r->head);
    for (bool first = true;; first = false) {
        const uint8_t *end = memmem(rest.data, rest.size, "\r\n", 2);
        ASSERT(end != NULL); /* the head ends with an empty line */
        struct slice line = slice_make(rest.data, (size_t)(end - rest.data));
        if (line.size == 0) return !first;
        if (memchr(line.data, '\0', line.size) != NULL) return false;
        if (first ? !parse_status_line(r, line) : !parse_header(r, line, f)) return false;
        rest = slice_make(end + 2, rest.size - line.size - 2);
    }
}

static void head_complete(struct http_reader *r)
{
    struct framing f = {0};
    if (!parse_head(r, &f)) {
        reader_bad(r, "the head of the response is malformed");
        return;
    }
    buf_clear(&r->head);
    if (r->code < 200 && r->code != 101) return; /* interim: the response itself follows */
    if (r->to_head || r->code == 101 || r->code == 204 || r->code == 304) {
        r->state = READER_DONE;
    } else if (f.chunked) { /* has the last word over a length (RFC 9112, 6.3) */
        if (f.has_length) r->keep_alive = false;
        r->state = READER_CHUNK_SIZE;
    } else if (!f.has_length) {
        r->keep_alive = false;
        r->state = READER_UNTIL_END;
    } else if (f.length > r->body.max) {
        reader_bad(r, "the body of the response is too large");
    } else {
        r->left = f.length;
        r->state = f.length > 0 ? READER_BODY : READER_DONE;
    }
}

/* The usual head comes whole: it is then copied once and searched once. */
static size_t feed_head(struct http_reader *r, struct slice bytes)
{
    size_t before = r->head.size, room = r->head.max - before;
    size_t take = bytes.size < room ? bytes.size : room;
    buf_append(&r->head, bytes.data, take);
    size_t from = before < 3 ? 0 : before - 3;
    const uint8_t *end = memmem(r->head.data + from, r->head.size - from, "\r\n\r\n", 4);
    if (end == NULL) {
        if (r->head.size == r->head.max) reader_bad(r, "the head of the response is too large");
        if (r->head.size >= 5 && memcmp(r->head.data, "HTTP/", 5) != 0) reader_bad(r, "this is not HTTP");
        return take;
    }
    size_t head_size = (size_t)(end + 4 - r->head.data);
    r->head.size = head_size;
    head_complete(r);
    return head_size - before;
}

/* ---- the body ---------------------------------------------------------------------------------------------------------- */

static size_t feed_body(struct http_reader *r, struct slice bytes, bool bounded)
{
    size_t take = bounded && r->left < bytes.size ? (size_t)r->left : bytes.size;
    buf_append(&r->body, bytes.data, take);
    if (r->body.overflow) reader_bad(r, "the body of the response is too large");
    if (bounded) r->left -= take;
    return take;
}

/* Collects a line in r->head; true when it is whole, without its end. */
static bool take_line(struct http_reader *r, struct slice bytes, size_t *taken, struct slice *line)
{
    const uint8_t *end = memchr(bytes.data, '\n', bytes.size);
    *taken = end != NULL ? (size_t)(end + 1 - bytes.data) : bytes.size;
    buf_append(&r->head, bytes.data, *taken);
    if (r->head.overflow || r->head.size > LINE_BYTES_MAX) {
        reader_bad(r, "a line between the chunks is too long");
        return false;
    }
    if (end == NULL) return false;
    size_t size = r->head.size;
    if (size < 2 || r->head.data[size - 2] != '\r') {
        reader_bad(r, "a line between the chunks is malformed");
        return false;
    }
    *line = slice_make(r->head.data, size - 2);
    r->head.size = 0;
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
            reader_bad(r, "a chunk is longer than it says");
        else
            r->state = READER_CHUNK_SIZE;
    } else if (r->state == READER_TRAILER) {
        r->trailer_bytes += line.size;
        if (line.size == 0)
            r->state = READER_DONE;
        else if (r->trailer_bytes > r->head.max)
            reader_bad(r, "the trailer of the response is too large");
    } else if (!parse_chunk_size(line, &r->left)) {
        reader_bad(r, "the size of a chunk is malformed");
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
        reader_bad(r, "the connection ended inside the response");
}
