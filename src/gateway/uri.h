/* Request targets: percent-decoding and query parameters. Pure. */
#ifndef QUORATE_GATEWAY_URI_H
#define QUORATE_GATEWAY_URI_H

#include "base/arena.h"
#include "base/status.h"

/* Decodes %XX; any byte may come out, NUL and '/' included. In a query '+' is a space, as forms and every language's
 * urlencode have it; in a path it is itself. The result is in the arena, or is `raw` when there is nothing to decode. */
MUST_CHECK enum status uri_decode(struct slice raw, bool in_query, struct arena *a, struct slice *out,
                                  struct errbuf *err);

struct query_param {
    const char *name;
    struct slice value; /* decoded; in the arena or borrowed from the query */
    bool present;
};
/* Fills the named parameters. One that is not in the table, or is given twice, is refused by name with a hint: a misspelt
 * limit must not be a silent full scan. */
MUST_CHECK enum status query_parse(struct slice query, struct query_param *params, size_t count, struct arena *a,
                                   struct errbuf *err);

/* The smallest key above all keys that begin with prefix; empty: there is none. */
struct slice key_prefix_end(struct slice prefix, struct arena *a);

/* Decimal digits only, at most max. */
bool text_to_u64(struct slice text, uint64_t max, uint64_t *out);
/* "90s", "500ms", "10m", "24h", "7d"; a bare number is seconds; "none" is 0. False: none of these, or above max_ms. */
bool text_to_duration_ms(struct slice text, uint64_t max_ms, uint64_t *out);

#endif
