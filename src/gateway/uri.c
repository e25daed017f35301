#include "gateway/uri.h"

#include "base/assert.h"

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

enum status uri_decode(struct slice raw, bool in_query, struct arena *a, struct slice *out, struct errbuf *err)
{
    *out = raw;
    if (raw.size == 0) return STATUS_OK;
    bool plain = memchr(raw.data, '%', raw.size) == NULL;
    if (plain && in_query) plain = memchr(raw.data, '+', raw.size) == NULL;
    if (plain) return STATUS_OK;

    uint8_t *text = arena_alloc(a, raw.size); /* decoding never grows */
    size_t n = 0;
    for (size_t i = 0; i < raw.size; i++) {
        uint8_t c = raw.data[i];
        if (c == '%') {
            int high = i + 2 < raw.size ? hex_value(raw.data[i + 1]) : -1;
            int low = i + 2 < raw.size ? hex_value(raw.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                errbuf_set(err, "a '%%' in the URL is not followed by two hex digits; write a percent sign as %%25");
                return STATUS_INVALID;
            }
            c = (uint8_t)(high * 16 + low);
            i += 2;
        } else if (c == '+' && in_query) {
            c = ' ';
        }
        text[n++] = c;
    }
    ASSERT(n <= raw.size);
    *out = slice_make(text, n);
    return STATUS_OK;
}

static void names_list(const struct query_param *params, size_t count, struct errbuf *list)
{
    size_t used = 0;
    list->text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(params[i].name);
        if (used + n + 3 > sizeof(list->text)) break;
        if (i > 0) {
            memcpy(list->text + used, ", ", 2);
            used += 2;
        }
        memcpy(list->text + used, params[i].name, n + 1);
        used += n;
    }
}

static enum status param_take(struct slice pair, struct query_param *params, size_t count, struct arena *a,
                              struct errbuf *err)
{
    const uint8_t *equals = memchr(pair.data, '=', pair.size);
    size_t name_size = equals != NULL ? (size_t)(equals - pair.data) : pair.size;
    struct slice name = slice_make(pair.data, name_size);
    for (size_t i = 0; i < count; i++) {
        if (!slice_eq(name, slice_str(params[i].name))) continue;
        if (params[i].present) {
            errbuf_set(err, "the query parameter '%s' is given twice", params[i].name);
            return STATUS_INVALID;
        }
        params[i].present = true;
        struct slice raw = SLICE_EMPTY;
        if (equals != NULL) raw = slice_make(equals + 1, pair.size - name_size - 1);
        return uri_decode(raw, true, a, &params[i].value, err);
    }
    struct errbuf known;
    names_list(params, count, &known);
    errbuf_set(err, "unknown query parameter '%.*s'; known here: %s", (int)(name.size < 64 ? name.size : 64),
               (const char *)name.data, known.text);
    return STATUS_INVALID;
}

enum status query_parse(struct slice query, struct query_param *params, size_t count, struct arena *a,
                        struct errbuf *err)
{
    while (query.size > 0) {
        const uint8_t *end = memchr(query.data, '&', query.size);
        size_t n = end != NULL ? (size_t)(end - query.data) : query.size;
        if (n > 0) {
            enum status s = param_take(slice_make(query.data, n), params, count, a, err);
            if (s != STATUS_OK) return s;
        }
        size_t skip = end != NULL ? n + 1 : n;
        query = slice_make(query.data + skip, query.size - skip);
    }
    return STATUS_OK;
}

bool text_to_u64(struct slice text, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    if (text.size == 0 || text.size > 20) return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c < '0' || c > '9') return false;
        uint64_t digit = (uint64_t)(c - '0');
        if (v > (UINT64_MAX - digit) / 10) return false;
        v = v * 10 + digit;
    }
    if (v > max) return false;
    *out = v;
    return true;
}

bool text_to_duration_ms(struct slice text, uint64_t max_ms, uint64_t *out)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"", 1000}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    *out = 0;
    if (slice_eq(text, slice_str("none"))) return true;
    size_t digits = 0;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9') digits++;
    struct slice unit = slice_make(text.data + digits, text.size - digits);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        uint64_t n;
        if (!slice_eq(unit, slice_str(units[i].unit))) continue;
        if (!text_to_u64(slice_make(text.data, digits), max_ms / units[i].ms, &n)) return false;
        *out = n * units[i].ms;
        return true;
    }
    return false;
}

struct slice key_prefix_end(struct slice prefix, struct arena *a)
{
    size_t n = prefix.size;
    while (n > 0 && prefix.data[n - 1] == 0xff) n--;
    if (n == 0) return SLICE_EMPTY;
    uint8_t *end = arena_dup(a, prefix.data, n);
    end[n - 1]++;
    return slice_make(end, n);
}
