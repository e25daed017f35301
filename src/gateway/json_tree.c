#include "gateway/json_tree.h"

#include "gateway/codec.h"

struct reading {
    struct arena *arena;
    const uint8_t *start, *at, *end;
    unsigned depth;
    const char *why; /* NULL: all is well so far */
};

static bool refuse(struct reading *r, const char *why)
{
    if (r->why == NULL) r->why = why;
    return false;
}

static void skip_white(struct reading *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')) r->at++;
}

static bool is_next(struct reading *r, char c)
{
    skip_white(r);
    if (r->at == r->end || *r->at != (uint8_t)c) return false;
    r->at++;
    return true;
}

/* --- text --- */

static int hex_of(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Behind "\u". -1: not four digits. */
static int32_t code_unit(struct reading *r)
{
    int32_t v = 0;
    if (r->end - r->at < 4) return -1;
    for (unsigned i = 0; i < 4; i++) {
        int digit = hex_of(*r->at++);
        if (digit < 0) return -1;
        v = v << 4 | digit;
    }
    return v;
}

static size_t utf8_put(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(heads[n] | c);
    return n;
}

/* A pair of surrogates is one character; half a pair is none. */
static bool take_unicode(struct reading *r, uint8_t *out, size_t *size)
{
    int32_t first = code_unit(r), second;
    if (first < 0 || (first >= 0xdc00 && first <= 0xdfff)) return refuse(r, "an escape is no character");
    if (first >= 0xd800 && first <= 0xdbff) {
        bool pair = r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u';
        if (!pair) return refuse(r, "half a pair of surrogates");
        r->at += 2;
        second = code_unit(r);
        if (second < 0xdc00 || second > 0xdfff) return refuse(r, "half a pair of surrogates");
        first = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    }
    *size += utf8_put(out + *size, (uint32_t)first);
    return true;
}

static bool take_escape(struct reading *r, uint8_t *out, size_t *size)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint8_t c = r->at < r->end ? *r->at++ : 0;
    if (c == 'u') return take_unicode(r, out, size);
    const char *which = c == 0 ? NULL : strchr(from, c);
    if (which == NULL) return refuse(r, "an unknown escape");
    out[(*size)++] = (uint8_t)to[which - from];
    return true;
}

/* Behind its first escape; what stands before it is at `start`. No longer than as it was written. */
static bool take_escaped(struct reading *r, const uint8_t *start, struct slice *out)
{
    const uint8_t *quote = r->at;
    while (quote < r->end && *quote != '"') quote += *quote == '\\' && quote + 1 < r->end ? 2 : 1;
    size_t size = (size_t)(r->at - start);
    uint8_t *bytes = arena_alloc(r->arena, (size_t)(quote - start) + 4);
    memcpy(bytes, start, size);
    while (r->at < r->end && *r->at != '"') {
        uint8_t c = *r->at++;
        if (c < 0x20) return refuse(r, "a control character in a text");
        if (c != '\\')
            bytes[size++] = c;
        else if (!take_escape(r, bytes, &size))
            return false;
    }
    if (r->at == r->end) return refuse(r, "a text without an end");
    r->at++;
    *out = slice_make(bytes, size);
    return true;
}

/* Whether one of eight bytes ends a text's plain part: a quote, a backslash, a control character. Borrows may mark a byte too many, behind
 * one that does end it, never one too few. */
static bool has_end(uint64_t eight)
{
    static const uint64_t ONES = 0x0101010101010101u, HIGHS = 0x8080808080808080u;
    uint64_t quote = eight ^ (ONES * '"'), back = eight ^ (ONES * '\\');
    return (((quote - ONES) & ~quote) | ((back - ONES) & ~back) | ((eight - ONES * 0x20) & ~eight)) & HIGHS;
}

static const uint8_t *plain_end(const uint8_t *at, const uint8_t *end)
{
    uint64_t eight;
    for (; end - at >= 8; at += 8) {
        memcpy(&eight, at, sizeof(eight));
        if (has_end(eight)) break;
    }
    while (at < end && *at != '"' && *at != '\\' && *at >= 0x20) at++;
    return at;
}

/* Behind its first quote. */
static bool take_text(struct reading *r, struct slice *out)
{
    const uint8_t *start = r->at;
    r->at = plain_end(r->at, r->end);
    if (r->at == r->end) return refuse(r, "a text without an end");
    if (*r->at == '\\') return take_escaped(r, start, out);
    if (*r->at != '"') return refuse(r, "a control character in a text");
    *out = slice_make(start, (size_t)(r->at - start));
    r->at++;
    return true;
}

/* --- other values --- */

static bool take_digits(struct reading *r)
{
    const uint8_t *start = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
    return r->at > start;
}

static bool take_number(struct reading *r, struct json_node *n)
{
    const uint8_t *start = r->at;
    if (*r->at == '-') r->at++;
    const uint8_t *digits = r->at;
    bool good = take_digits(r) && (*digits != '0' || r->at - digits == 1);
    if (good && r->at < r->end && *r->at == '.') {
        r->at++;
        good = take_digits(r);
    }
    if (good && r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-')) r->at++;
        good = take_digits(r);
    }
    n->kind = JSON_IS_NUMBER;
    n->text = slice_make(start, (size_t)(r->at - start));
    return good ? true : refuse(r, "no value");
}

static bool take_word(struct reading *r, struct json_node *n)
{
    static const struct {
        const char *word;
        enum json_kind kind;
    } words[] = {{"true", JSON_IS_TRUE}, {"false", JSON_IS_FALSE}, {"null", JSON_IS_NULL}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t size = strlen(words[i].word);
        if ((size_t)(r->end - r->at) < size || memcmp(r->at, words[i].word, size) != 0) continue;
        r->at += size;
        n->kind = words[i].kind;
        return true;
    }
    return refuse(r, "no value");
}

static bool take_value(struct reading *r, struct json_node *n);

static bool take_name(struct reading *r, const struct json_node *object, struct json_node *member)
{
    if (!is_next(r, '"')) return refuse(r, "a name is missing");
    if (!take_text(r, &member->name)) return false;
    if (!is_next(r, ':')) return refuse(r, "':' is missing");
    if (object->count >= JSON_MEMBERS_MAX) return refuse(r, "too many names in one object");
    for (const struct json_node *m = object->first; m != NULL; m = m->next) {
        if (slice_eq(m->name, member->name)) return refuse(r, "a name comes twice");
    }
    return true;
}

/* Behind its first bracket. */
static bool take_many(struct reading *r, struct json_node *n, char end)
{
    struct json_node **last = &n->first;
    n->kind = end == '}' ? JSON_IS_OBJECT : JSON_IS_LIST;
    if (++r->depth > LIMIT_JSON_DEPTH) return refuse(r, "nested too deeply");
    if (!is_next(r, end)) {
        do {
            struct json_node *v = arena_zalloc(r->arena, sizeof(*v));
            if (n->kind == JSON_IS_OBJECT && !take_name(r, n, v)) return false;
            if (!take_value(r, v)) return false;
            *last = v;
            last = &v->next;
            n->count++;
        } while (is_next(r, ','));
        if (!is_next(r, end)) return refuse(r, "',' or a closing bracket is missing");
    }
    r->depth--;
    return true;
}

static bool take_value(struct reading *r, struct json_node *n)
{
    skip_white(r);
    if (r->at == r->end) return refuse(r, "no value");
    switch (*r->at) {
    case '{': r->at++; return take_many(r, n, '}');
    case '[': r->at++; return take_many(r, n, ']');
    case '"':
        r->at++;
        n->kind = JSON_IS_TEXT;
        return take_text(r, &n->text);
    case 't':
    case 'f':
    case 'n': return take_word(r, n);
    default: return take_number(r, n);
    }
}

enum status json_tree_read(struct arena *a, struct slice bytes, struct json_node **out, size_t *taken,
                           struct errbuf *err)
{
    struct reading r = {.arena = a, .start = bytes.data, .at = bytes.data, .end = bytes.data + bytes.size};
    *out = NULL;
    *taken = bytes.size;
    skip_white(&r);
    if (r.at == r.end) return STATUS_OK;
    struct json_node *n = arena_zalloc(a, sizeof(*n));
    bool good = take_value(&r, n);
    if (good && !utf8_valid(slice_make(r.start, (size_t)(r.at - r.start)))) good = refuse(&r, "not UTF-8");
    if (!good) {
        errbuf_set(err, "not JSON: %s, at byte %zu", r.why, (size_t)(r.at - r.start));
        return STATUS_INVALID;
    }
    skip_white(&r);
    *taken = (size_t)(r.at - r.start);
    *out = n;
    return STATUS_OK;
}

bool json_node_i64(const struct json_node *n, int64_t *out)
{
    if (n->kind != JSON_IS_NUMBER && n->kind != JSON_IS_TEXT) return false;
    bool negative = n->text.size > 0 && n->text.data[0] == '-';
    size_t i = negative ? 1 : 0;
    uint64_t v = 0;
    if (i == n->text.size) return false;
    for (; i < n->text.size; i++) {
        uint8_t digit = (uint8_t)(n->text.data[i] - '0');
        if (digit > 9 || v > (UINT64_MAX - digit) / 10) return false;
        v = v * 10 + digit;
    }
    if (negative && v > (uint64_t)INT64_MAX + 1) return false;
    *out = (int64_t)(negative ? 0 - v : v);
    return true;
}
