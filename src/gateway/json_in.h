/* JSON bodies: jansson's tree behind limits of our own, and typed fields whose errors name the path and what was expected.
 * jansson itself would allow 2,048 levels and allocates some hundred bytes per value, so depth and number of values are
 * counted over the raw text first: a body costs at most JSON_VALUES_MAX nodes, whatever it claims. */
#ifndef QUORATE_GATEWAY_JSON_IN_H
#define QUORATE_GATEWAY_JSON_IN_H

#include <jansson.h>

#include "base/arena.h"
#include "base/i128.h"
#include "base/limits.h"
#include "base/status.h"

#define JSON_VALUES_MAX (LIMIT_TXN_OPS * 16u)

/* *out is a tree that the caller ends with json_decref. The root must be an object or an array. */
MUST_CHECK enum status json_load_body(struct slice body, json_t **out, struct errbuf *err);

/* Where in the body a value stands, for messages: "then[3].add". */
struct json_path {
    const struct json_path *parent;
    const char *name; /* NULL: an element of an array */
    size_t index;
};

/* A value and the place where it was found. */
struct json_at {
    json_t *value; /* NULL: absent; borrowed from the tree */
    struct json_path path;
};
struct json_at json_field(const struct json_at *object, const char *name); /* object must be a JSON object */
struct json_at json_element(const struct json_at *array, size_t index);

/* Each answers STATUS_INVALID with "path: expected ..., got ..." in err when the value is absent or of another kind. */
MUST_CHECK enum status json_want_object(const struct json_at *at, const char *const *names, size_t name_count,
                                        struct errbuf *err);
MUST_CHECK enum status json_want_array(const struct json_at *at, struct errbuf *err);
MUST_CHECK enum status json_want_text(const struct json_at *at, struct slice *out,
                                      struct errbuf *err); /* borrowed from the tree */
/* A number without fraction, or a string of digits: numbers beyond 2^53 do not survive every JSON library. */
MUST_CHECK enum status json_want_i128(const struct json_at *at, i128 *out, struct errbuf *err);
MUST_CHECK enum status json_want_u64(const struct json_at *at, uint64_t max, uint64_t *out, struct errbuf *err);
MUST_CHECK enum status json_want_bool(const struct json_at *at, bool *out, struct errbuf *err);
/* The field `name` as text, or `name`_b64 as base64; exactly one of them. */
MUST_CHECK enum status json_want_bytes(const struct json_at *object, const char *name, const char *name_b64,
                                       struct arena *a, struct slice *out, struct errbuf *err);
/* STATUS_INVALID (or the given status) with "path: text". */
enum status json_refuse(const struct json_at *at, enum status s, struct errbuf *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
