#define _GNU_SOURCE /* memrchr, strncasecmp */
#include "http/reader_int.h"

#include "base/assert.h"

#include <string.h>
#include <strings.h>

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

/* RFC 9110, 5.6.2. */
static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i], lower = c | 0x20;
        bool good = (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') ||
                    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
        if (!good) return false;
    }
    return s.size > 0;
}

static bool is_version(struct slice s, bool *is_1_1)
{
    *is_1_1 = s.size == 8 && s.data[7] == '1';
    return s.size == 8 && memcmp(s.data, "HTTP/1.", 7) == 0 && (s.data[7] == '0' || s.data[7] == '1');
}

/* The text stays in the head; the byte behind it (a space, a CR, a colon) becomes its end. */
static uint32_t keep_text(struct http_reader *r, struct slice s)
{
    size_t at = (size_t)(s.data - r->head.data);
    ASSERT(at + s.size < r->head.size);
    r->head.data[at + s.size] = '\0';
    return (uint32_t)at;
}

/* --- start lines --- */

static bool parse_status_line(struct http_reader *r, struct slice line)
{
    if (line.size < 12 || line.data[8] != ' ' || !is_version(slice_make(line.data, 8), &r->keep_alive)) return false;
    for (size_t i = 9; i < 12; i++) {
        if (line.data[i] < '0' || line.data[i] > '9') return false;
    }
    if (line.size > 12 && line.data[12] != ' ') return false;
    r->code = (line.data[9] - '0') * 100 + (line.data[10] - '0') * 10 + (line.data[11] - '0');
    return r->code >= 100 && r->code <= 599;
}

static enum http_method method_of(struct slice s)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {{"GET", HTTP_GET},   {"PUT", HTTP_PUT},       {"POST", HTTP_POST},
                   {"HEAD", HTTP_HEAD}, {"DELETE", HTTP_DELETE}, {"OPTIONS", HTTP_OPTIONS}};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (s.size == strlen(methods[i].name) && memcmp(s.data, methods[i].name, s.size) == 0) return methods[i].method;
    }
    return HTTP_OTHER;
}

static bool is_target(struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] <= 0x20 || s.data[i] == 0x7f) return false;
    }
    return s.size > 0;
}

static bool parse_request_line(struct http_reader *r, struct slice line)
{
    const uint8_t *first = memchr(line.data, ' ', line.size);
    const uint8_t *last = memrchr(line.data, ' ', line.size);
    if (first == NULL || first == last) return false;
    struct slice method = slice_make(line.data, (size_t)(first - line.data));
    struct slice target = slice_make(first + 1, (size_t)(last - first - 1));
    struct slice version = slice_make(last + 1, line.size - (size_t)(last + 1 - line.data));
    if (!is_token(method) || !is_target(target) || !is_version(version, &r->keep_alive)) return false;
    r->method = method_of(method);
    r->target = keep_text(r, target);
    return true;
}

/* --- headers --- */

static bool note_field(struct http_reader *r, struct slice name, struct slice value)
{
    if (r->field_count == HTTP_HEADERS_MAX) {
        http_reader_bad(r, 431, "the head has too many header fields");
        return false;
    }
    uint32_t at = keep_text(r, name);
    r->fields[r->field_count++] = (struct http_field){at, keep_text(r, value)};
    return true;
}

static bool parse_framing(struct http_reader *r, struct slice name, struct slice value, struct http_framing *f)
{
    if (equals_nocase(name, "content-length")) {
        uint64_t length;
        if (!parse_length(value, &length)) return false;
        if (f->has_length && f->length != length) return false;
        f->has_length = true;
        f->length = length;
    } else if (equals_nocase(name, "transfer-encoding")) {
        if (f->chunked) return false;
        if (!equals_nocase(value, "chunked")) {
            http_reader_bad(r, 501, "the only transfer encoding known here is chunked");
            return false;
        }
        f->chunked = true;
    } else if (equals_nocase(name, "connection")) {
        if (list_has(value, "keep-alive") && !f->closes) r->keep_alive = true;
        if (list_has(value, "close")) r->keep_alive = false;
        f->closes = f->closes || list_has(value, "close"); /* has the last word */
    } else if (equals_nocase(name, "expect") && r->of_requests) {
        r->expects = equals_nocase(value, "100-continue");
        if (!r->expects) http_reader_bad(r, 417, "the only expectation known here is 100-continue");
        return r->expects;
    }
    return true;
}

static bool parse_header(struct http_reader *r, struct slice line, struct http_framing *f)
{
    const uint8_t *colon = memchr(line.data, ':', line.size);
    if (colon == NULL) return false;
    struct slice name = slice_make(line.data, (size_t)(colon - line.data));
    struct slice value = trimmed(slice_make(colon + 1, line.size - name.size - 1));
    if (!is_token(name)) return false;
    return parse_framing(r, name, value, f) && note_field(r, name, value);
}

static size_t count_fields(const struct http_reader *r, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < r->field_count; i++) n += strcasecmp((char *)r->head.data + r->fields[i].name, name) == 0;
    return n;
}

const char *http_reader_field(const struct http_reader *r, const char *name)
{
    for (size_t i = 0; i < r->field_count; i++) {
        if (strcasecmp((char *)r->head.data + r->fields[i].name, name) == 0)
            return (char *)r->head.data + r->fields[i].value;
    }
    return NULL;
}

/* What else a request owes (RFC 9112, 3.2 and 6.1). */
static bool request_is_clear(struct http_reader *r, bool is_1_1, const struct http_framing *f)
{
    if (f->chunked && (f->has_length || !is_1_1)) {
        http_reader_bad(r, 400, "a request with chunks has no Content-Length, and is of HTTP/1.1");
    } else if (is_1_1 && count_fields(r, "host") != 1) {
        http_reader_bad(r, 400, "a request of HTTP/1.1 has one Host header");
    }
    return r->state != READER_BAD;
}

bool http_head_parse(struct http_reader *r, struct http_framing *f)
{
    struct slice rest = buf_slice(&r->head);
    bool is_1_1 = false;
    for (bool first = true;; first = false) {
        const uint8_t *lf = memchr(rest.data, '\n', rest.size);
        ASSERT(lf != NULL); /* the head ends with an empty line */
        bool good = lf > rest.data && lf[-1] == '\r';
        struct slice line = slice_make(rest.data, (size_t)(lf - rest.data) - (good ? 1 : 0));
        rest = slice_make(lf + 1, rest.size - (size_t)(lf + 1 - rest.data));
        if (good && line.size == 0 && !first) break;
        good = good && memchr(line.data, '\0', line.size) == NULL && memchr(line.data, '\r', line.size) == NULL;
        if (good && first) {
            good = r->of_requests ? parse_request_line(r, line) : parse_status_line(r, line);
            is_1_1 = r->is_1_1 = r->keep_alive;
        } else if (good) {
            good = parse_header(r, line, f);
        }
        if (!good) {
            if (r->state != READER_BAD) http_reader_bad(r, 400, "the head is malformed");
            return false;
        }
    }
    return !r->of_requests || request_is_clear(r, is_1_1, f);
}
