#include "client/routes.h"

#include "base/assert.h"
#include "base/mem.h"

void routes_init(struct routes *r)
{
    *r = (struct routes){0};
    map_init(&r->by_id);
}

void routes_free(struct routes *r)
{
    for (size_t i = 0; i < r->range_count; i++) mem_free(r->ranges[i]);
    mem_free(r->ranges);
    mem_free(r->keyspaces);
    map_free(&r->by_id);
    *r = (struct routes){0};
}

/* --- order --- */

static int place_cmp(uint32_t keyspace_a, struct slice start_a, uint32_t keyspace_b, struct slice start_b)
{
    if (keyspace_a != keyspace_b) return keyspace_a < keyspace_b ? -1 : 1;
    return slice_cmp(start_a, start_b);
}

/* Does a span with this end reach beyond key? */
static bool ends_after(struct slice end, struct slice key)
{
    return end.size == 0 || slice_cmp(end, key) > 0;
}

/* How many ranges begin at or before (keyspace, key). */
static size_t count_from_start(const struct routes *r, uint32_t keyspace, struct slice key)
{
    size_t low = 0, high = r->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct range_desc *d = &r->ranges[middle]->desc;
        if (place_cmp(d->keyspace, d->start, keyspace, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void routes_check(const struct routes *r)
{
    ASSERT(r->range_count <= r->range_capacity);
    ASSERT(r->by_id.count == r->range_count);
    for (size_t i = 0; i + 1 < r->range_count; i++) {
        const struct range_desc *a = &r->ranges[i]->desc, *b = &r->ranges[i + 1]->desc;
        ASSERT(place_cmp(a->keyspace, a->start, b->keyspace, b->start) < 0);
        if (a->keyspace == b->keyspace) ASSERT(!ends_after(a->end, b->start));
    }
    for (size_t i = 0; i < r->range_count; i++) ASSERT(map_get(&r->by_id, r->ranges[i]->desc.id) == r->ranges[i]);
}

/* --- questions --- */

struct route_range *routes_find(const struct routes *r, uint32_t keyspace, struct slice key)
{
    size_t count = count_from_start(r, keyspace, key);
    if (count == 0) return NULL;
    struct route_range *found = r->ranges[count - 1];
    return range_desc_contains(&found->desc, keyspace, key) ? found : NULL;
}

struct route_range *routes_find_before(const struct routes *r, uint32_t keyspace, struct slice end)
{
    size_t count;
    if (end.size == 0) {
        count = keyspace == UINT32_MAX ? r->range_count : count_from_start(r, keyspace + 1, SLICE_EMPTY);
        if (count > 0 && r->ranges[count - 1]->desc.keyspace == keyspace + 1) count--; /* the next one's first */
    } else {
        count = count_from_start(r, keyspace, end);
        if (count > 0 && r->ranges[count - 1]->desc.keyspace == keyspace &&
            slice_eq(r->ranges[count - 1]->desc.start, end))
            count--;
    }
    if (count == 0) return NULL;
    struct route_range *found = r->ranges[count - 1];
    if (found->desc.keyspace != keyspace) return NULL;
    if (found->desc.end.size == 0) return found;
    return end.size > 0 && slice_cmp(found->desc.end, end) >= 0 ? found : NULL;
}

struct route_range *routes_by_id(const struct routes *r, uint64_t range_id)
{
    return map_get(&r->by_id, range_id);
}

/* Index of the first keyspace whose name is not below `name`. */
static size_t keyspace_place(const struct routes *r, struct slice name)
{
    size_t low = 0, high = r->keyspace_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct route_keyspace *k = &r->keyspaces[middle];
        if (slice_cmp(slice_make(k->name, k->name_size), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct route_keyspace *routes_keyspace(const struct routes *r, struct slice name)
{
    size_t at = keyspace_place(r, name);
    if (at == r->keyspace_count) return NULL;
    struct route_keyspace *k = &r->keyspaces[at];
    return slice_eq(slice_make(k->name, k->name_size), name) ? k : NULL;
}

/* --- news --- */

static void range_forget(struct routes *r, size_t from, size_t to)
{
    if (from == to) return;
    for (size_t i = from; i < to; i++) {
        (void)map_remove(&r->by_id, r->ranges[i]->desc.id);
        mem_free(r->ranges[i]);
    }
    memmove(r->ranges + from, r->ranges + to, (r->range_count - to) * sizeof(struct route_range *));
    r->range_count -= to - from;
}

/* All of a keyspace that is no more. */
static void ranges_forget(struct routes *r, uint32_t keyspace)
{
    size_t from = count_from_start(r, keyspace, SLICE_EMPTY), to;
    if (from > 0 && r->ranges[from - 1]->desc.keyspace == keyspace) from--;
    for (to = from; to < r->range_count && r->ranges[to]->desc.keyspace == keyspace;) to++;
    range_forget(r, from, to);
}

static void take_info(struct route_keyspace *k, const struct keyspace_info *info)
{
    k->id = info->id;
    k->buckets = info->buckets <= LIMIT_HASH_BUCKETS ? info->buckets : LIMIT_HASH_BUCKETS;
    k->ttl_ms = info->ttl_ms;
    k->dropped = info->dropped_ts != 0;
}

struct route_keyspace *routes_learn_keyspace(struct routes *r, const struct keyspace_info *info)
{
    if (info->name.size == 0 || info->name.size > LIMIT_KEYSPACE_NAME) return NULL;
    size_t at = keyspace_place(r, info->name);
    struct route_keyspace *known = routes_keyspace(r, info->name);
    if (known != NULL) {
        if (info->id > known->id) ranges_forget(r, known->id);
        if (info->id >= known->id) take_info(known, info); /* ids rise: an older one is from who is behind */
        return known;
    }
    if (r->keyspace_count == r->keyspace_capacity) {
        r->keyspace_capacity = r->keyspace_capacity == 0 ? 8 : r->keyspace_capacity * 2;
        r->keyspaces = mem_realloc(r->keyspaces, r->keyspace_capacity * sizeof(*r->keyspaces));
    }
    memmove(r->keyspaces + at + 1, r->keyspaces + at, (r->keyspace_count - at) * sizeof(*r->keyspaces));
    struct route_keyspace *k = &r->keyspaces[at];
    *k = (struct route_keyspace){.name_size = info->name.size};
    take_info(k, info);
    memcpy(k->name, info->name.data, info->name.size);
    r->keyspace_count++;
    return k;
}

void routes_forget_keyspace(struct routes *r, struct slice name)
{
    struct route_keyspace *k = routes_keyspace(r, name);
    if (k == NULL) return;
    ranges_forget(r, k->id);
    size_t at = (size_t)(k - r->keyspaces);
    memmove(k, k + 1, (r->keyspace_count - at - 1) * sizeof(*k));
    r->keyspace_count--;
}

void routes_forget_absent(struct routes *r, const struct keyspace_info *all, size_t count)
{
    uint32_t newest = 0;
    for (size_t i = 0; i < count; i++) newest = all[i].id > newest ? all[i].id : newest;
    for (size_t k = r->keyspace_count; k-- > 0;) {
        struct slice name = slice_make(r->keyspaces[k].name, r->keyspaces[k].name_size);
        bool there = r->keyspaces[k].id >= newest; /* who tells us is behind, perhaps */
        for (size_t i = 0; i < count && !there; i++) there = slice_eq(all[i].name, name);
        if (!there) routes_forget_keyspace(r, name);
    }
}

static int epoch_cmp(struct range_epoch a, struct range_epoch b)
{
    if (a.version != b.version) return a.version < b.version ? -1 : 1;
    return a.conf_ver == b.conf_ver ? 0 : a.conf_ver < b.conf_ver ? -1 : 1;
}

/* Does `desc` replace `old`? A range against itself by its epoch; against another that it overlaps by the version alone,
 * which every split and merge raises above those of the ranges that it changes. */
static bool replaces(const struct range_desc *desc, const struct range_desc *old)
{
    return desc->id == old->id ? epoch_cmp(desc->epoch, old->epoch) > 0 : desc->epoch.version >= old->epoch.version;
}

static struct route_range *range_new(const struct range_desc *desc, uint64_t leader)
{
    struct route_range *range = mem_alloc(sizeof(*range) + desc->start.size + desc->end.size);
    uint8_t *keys = (uint8_t *)(range + 1);
    range->desc = *desc;
    range->leader = leader;
    if (desc->start.size > 0) memcpy(keys, desc->start.data, desc->start.size);
    if (desc->end.size > 0) memcpy(keys + desc->start.size, desc->end.data, desc->end.size);
    range->desc.start = slice_make(keys, desc->start.size);
    range->desc.end = slice_make(keys + desc->start.size, desc->end.size);
    return range;
}

static void range_insert(struct routes *r, size_t at, struct route_range *range)
{
    if (r->range_count == r->range_capacity) {
        r->range_capacity = r->range_capacity == 0 ? 16 : r->range_capacity * 2;
        r->ranges = mem_realloc(r->ranges, r->range_capacity * sizeof(struct route_range *));
    }
    memmove(r->ranges + at + 1, r->ranges + at, (r->range_count - at) * sizeof(struct route_range *));
    r->ranges[at] = range;
    r->range_count++;
    (void)map_put(&r->by_id, range->desc.id, range);
}

/* [*from, *to): the known ranges that share a key with desc. */
static void find_overlap(const struct routes *r, const struct range_desc *desc, size_t *from, size_t *to)
{
    size_t at = count_from_start(r, desc->keyspace, desc->start);
    *to = at;
    while (*to < r->range_count && r->ranges[*to]->desc.keyspace == desc->keyspace &&
           ends_after(desc->end, r->ranges[*to]->desc.start)) {
        ++*to;
    }
    const struct range_desc *before = at > 0 ? &r->ranges[at - 1]->desc : NULL;
    *from = before != NULL && before->keyspace == desc->keyspace && ends_after(before->end, desc->start) ? at - 1 : at;
}

bool routes_learn_range(struct routes *r, const struct range_desc *desc, uint64_t leader)
{
    if (!ends_after(desc->end, desc->start) || desc->replica_count > LIMIT_REPLICAS)
        return false; /* it would hold no key */
    struct route_range *same = routes_by_id(r, desc->id);
    if (same != NULL && epoch_cmp(desc->epoch, same->desc.epoch) == 0) {
        if (same->leader == 0) same->leader = leader;
        return false;
    }
    if (same != NULL && !replaces(desc, &same->desc)) return false;
    size_t from, to;
    find_overlap(r, desc, &from, &to);
    for (size_t i = from; i < to; i++) {
        if (!replaces(desc, &r->ranges[i]->desc)) return false;
    }
    if (leader == 0 && same != NULL && range_desc_replica(desc, same->leader) != NULL) leader = same->leader;
    struct route_range *range = range_new(desc, leader); /* before anything is freed: desc may borrow from us */
    range_forget(r, from, to);
    same = routes_by_id(r, range->desc.id); /* it lay elsewhere */
    if (same != NULL) {
        size_t at = count_from_start(r, same->desc.keyspace, same->desc.start) - 1;
        ASSERT(r->ranges[at] == same);
        range_forget(r, at, at + 1);
    }
    range_insert(r, count_from_start(r, range->desc.keyspace, range->desc.start), range);
    ASSERT_SLOW(r->ranges[0] != NULL);
    return true;
}
