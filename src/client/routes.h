/* Private to client/: what the router knows of the cluster. A cache: the truth is in the ranges' own logs, so newer news
 * replace older (higher version, then higher conf_ver), older are ignored, and gaps are allowed; the ranges never overlap.
 * Pure: no I/O, no clock. */
#ifndef QUORATE_CLIENT_ROUTES_H
#define QUORATE_CLIENT_ROUTES_H

#include "base/map.h"
#include "wire/messages.h"

struct route_range { /* one allocation with its keys */
    struct range_desc desc;
    uint64_t leader; /* node id of the presumed leader; 0: unknown */
};
struct route_keyspace {
    uint32_t id;
    uint32_t buckets; /* 0: by range */
    uint64_t ttl_ms;  /* of rows put without one */
    bool dropped;
    uint64_t old_at_ns; /* then it is asked for anew; the client's */
    size_t name_size;
    uint8_t name[LIMIT_KEYSPACE_NAME];
};

struct routes {
    struct route_range **ranges; /* sorted by keyspace, then start */
    size_t range_count, range_capacity;
    struct map by_id;
    struct route_keyspace *keyspaces; /* sorted by name */
    size_t keyspace_count, keyspace_capacity;
};

void routes_init(struct routes *r);
void routes_free(struct routes *r);
void routes_check(const struct routes *r);

struct route_keyspace *routes_learn_keyspace(struct routes *r,
                                             const struct keyspace_info *info); /* NULL: no good name */
void routes_forget_keyspace(struct routes *r, struct slice name);               /* and its ranges */
void routes_forget_absent(struct routes *r, const struct keyspace_info *all,
                          size_t count); /* those not among all there are */
/* True if something was learned. leader: 0 if unknown; it replaces a known one only together with a newer descriptor. */
bool routes_learn_range(struct routes *r, const struct range_desc *desc, uint64_t leader);

/* NULL: unknown. Borrowed until something is learned. */
struct route_keyspace *routes_keyspace(const struct routes *r, struct slice name);
/* The ranges that hold key, or the keys just below end (empty: the end of the keyspace); NULL: unknown. Borrowed until
 * something is learned. */
struct route_range *routes_find(const struct routes *r, uint32_t keyspace, struct slice key);
struct route_range *routes_find_before(const struct routes *r, uint32_t keyspace, struct slice end);
struct route_range *routes_by_id(const struct routes *r, uint64_t range_id);

#endif
