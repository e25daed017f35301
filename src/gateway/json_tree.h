/* JSON as a tree in an arena: for bodies of the hot requests, which a general parser would cut into some twenty allocations. Strict (RFC
 * 8259), of valid UTF-8, without names that come twice in an object. Bounded by what was sent: one node a value, LIMIT_JSON_DEPTH levels,
 * JSON_MEMBERS_MAX names in an object. */
#ifndef QUORATE_GATEWAY_JSON_TREE_H
#define QUORATE_GATEWAY_JSON_TREE_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/status.h"

#define JSON_MEMBERS_MAX 64u

enum json_kind {
    JSON_IS_NULL,
    JSON_IS_FALSE,
    JSON_IS_TRUE,
    JSON_IS_NUMBER,
    JSON_IS_TEXT,
    JSON_IS_LIST,
    JSON_IS_OBJECT
};
struct json_node {
    enum json_kind kind;
    uint32_t count;                 /* of elements or members */
    struct slice name;              /* of a member of an object */
    struct slice text;              /* IS_TEXT; IS_NUMBER: as it was written */
    struct json_node *first, *next; /* elements or members; the one behind this */
};

/* Reads one value; *taken: with the white space around it. Texts are borrowed from `bytes`, those with escapes lie in the arena. Nothing but
 * white space: *out is NULL, STATUS_OK. STATUS_INVALID, with where and why. */
MUST_CHECK enum status json_tree_read(struct arena *a, struct slice bytes, struct json_node **out, size_t *taken,
                                      struct errbuf *err);
/* An integer of 64 bits without fraction and exponent, as a number or as text; unsigned ones as their bits. */
bool json_node_i64(const struct json_node *n, int64_t *out);

#endif
