#include "gateway/json_in.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "gateway/codec.h"

/* Depth and number of values by brackets and commas outside of strings. Never less than what the parser would build. */
static enum status measure(struct slice body, struct errbuf *err)
{
    size_t depth = 0, values = 1;
    bool in_string = false;
    for (size_t i = 0; i < body.size; i++) {
        uint8_t c = body.data[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        switch (c) {
        case '"': in_string = true; break;
        case '{':
        case '[':
            values++;
            if (++depth > LIMIT_JSON_DEPTH) {
                errbuf_set(err, "the JSON body is nested deeper than %u levels (limit JSON depth)", LIMIT_JSON_DEPTH);
                return STATUS_INVALID;
            }
            break;
        case '}':
        case ']':
            if (depth > 0) depth--;
            break;
        case ',': values++; break;
        default: break;
        }
    }
    if (values > JSON_VALUES_MAX) {
        errbuf_set(err, "the JSON body has more than %u values; split the work into several requests", JSON_VALUES_MAX);
        return STATUS_TOO_LARGE;
    }
    return STATUS_OK;
}

enum status json_load_body(struct slice body, json_t **out, struct errbuf *err)
{
    *out = NULL;
    if (body.size == 0) {
        errbuf_set(err, "the body is empty; a JSON object is expected");
        return STATUS_INVALID;
    }
    enum status s = measure(body, err);
    if (s != STATUS_OK) return s;
    json_error_t why;
    *out = json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (*out != NULL) return STATUS_OK;
    errbuf_set(err, "the body is not JSON: line %d, column %d: %.200s%s", why.line, why.column, why.text,
               json_error_code(&why) == json_error_numeric_overflow ? " (write large numbers as strings)" : "");
    return STATUS_INVALID;
}

struct json_at json_field(const struct json_at *object, const char *name)
{
    return (struct json_at){.value = json_object_get(object->value, name),
                            .path = {.parent = &object->path, .name = name, .index = 0}};
}

struct json_at json_element(const struct json_at *array, size_t index)
{
    return (struct json_at){.value = json_array_get(array->value, index),
                            .path = {.parent = &array->path, .name = NULL, .index = index}};
}

static void path_write(const struct json_path *p, struct buf *b)
{
    if (p->parent != NULL) path_write(p->parent, b);
    if (p->name != NULL && p->name[0] != '\0') {
        if (b->size > 0) buf_append_byte(b, '.');
        buf_append_str(b, p->name);
    } else if (p->name == NULL) {
        buf_printf(b, "[%zu]", p->index);
    }
}

enum status json_refuse(const struct json_at *at, enum status s, struct errbuf *err, const char *fmt, ...)
{
    struct errbuf text;
    va_list args;
    va_start(args, fmt);
    struct buf path;
    buf_init(&path, 256);
    path_write(&at->path, &path);
    vsnprintf(text.text, sizeof(text.text), fmt, args);
    va_end(args);
    errbuf_set(err, "%.*s%s%.400s", (int)path.size, path.size > 0 ? (const char *)path.data : "",
               path.size > 0 ? ": " : "", text.text);
    buf_free(&path);
    return s;
}

static const char *kind_name(const json_t *v)
{
    if (v == NULL) return "nothing";
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number with a fraction or an exponent";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: return "null";
    }
    return "something unknown";
}

static enum status expected(const struct json_at *at, const char *what, struct errbuf *err)
{
    return json_refuse(at, STATUS_INVALID, err, "expected %s, got %s", what, kind_name(at->value));
}

enum status json_want_object(const struct json_at *at, const char *const *names, size_t name_count, struct errbuf *err)
{
    if (!json_is_object(at->value)) return expected(at, "an object", err);
    const char *key;
    json_t *unused;
    enum status s = STATUS_OK;
    json_object_foreach(at->value, key, unused)
    {
        bool known = false;
        for (size_t i = 0; i < name_count && !known; i++) known = strcmp(names[i], key) == 0;
        if (known) continue;
        struct buf list;
        buf_init(&list, 256);
        for (size_t i = 0; i < name_count; i++) buf_printf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
        s = json_refuse(at, STATUS_INVALID, err, "unknown field '%.64s'; known here: %.*s", key, (int)list.size,
                        (const char *)list.data);
        buf_free(&list);
        break;
    }
    return s;
}

enum status json_want_array(const struct json_at *at, struct errbuf *err)
{
    return json_is_array(at->value) ? STATUS_OK : expected(at, "an array", err);
}

enum status json_want_text(const struct json_at *at, struct slice *out, struct errbuf *err)
{
    if (!json_is_string(at->value)) return expected(at, "a string", err);
    *out = slice_make(json_string_value(at->value), json_string_length(at->value));
    return STATUS_OK;
}

enum status json_want_i128(const struct json_at *at, i128 *out, struct errbuf *err)
{
    if (json_is_integer(at->value)) {
        *out = json_integer_value(at->value);
        return STATUS_OK;
    }
    if (!json_is_string(at->value))
        return expected(at, "an integer (a number, or its decimal digits as a string)", err);
    struct slice text = slice_make(json_string_value(at->value), json_string_length(at->value));
    if (i128_parse(text, out)) return STATUS_OK;
    return json_refuse(at, STATUS_INVALID, err, "'%.50s' is not an integer of at most 128 bits",
                       json_string_value(at->value));
}

enum status json_want_u64(const struct json_at *at, uint64_t max, uint64_t *out, struct errbuf *err)
{
    i128 v;
    enum status s = json_want_i128(at, &v, err);
    if (s != STATUS_OK) return s;
    if (v < 0 || v > (i128)max) {
        return json_refuse(at, STATUS_INVALID, err, "expected an integer from 0 to %llu", (unsigned long long)max);
    }
    *out = (uint64_t)v;
    return STATUS_OK;
}

enum status json_want_bool(const struct json_at *at, bool *out, struct errbuf *err)
{
    if (!json_is_boolean(at->value)) return expected(at, "true or false", err);
    *out = json_is_true(at->value);
    return STATUS_OK;
}

enum status json_want_bytes(const struct json_at *object, const char *name, const char *name_b64, struct arena *a,
                            struct slice *out, struct errbuf *err)
{
    struct json_at plain = json_field(object, name);
    struct json_at coded = json_field(object, name_b64);
    if (plain.value != NULL && coded.value != NULL) {
        return json_refuse(object, STATUS_INVALID, err, "give %s or %s, not both", name, name_b64);
    }
    if (coded.value == NULL) {
        if (plain.value == NULL)
            return json_refuse(object, STATUS_INVALID, err, "%s (or %s) is missing", name, name_b64);
        return json_want_text(&plain, out, err);
    }
    struct slice text;
    enum status s = json_want_text(&coded, &text, err);
    if (s != STATUS_OK) return s;
    if (!base64_decode(text, a, out)) return json_refuse(&coded, STATUS_INVALID, err, "not base64");
    return STATUS_OK;
}
