/* Where things lie in the keyspace "etcd". */
#include "etcd/etcd_int.h"

#include "base/cursor.h"

const struct slice etcd_keyspace = {.data = (const uint8_t *)"etcd", .size = 4};

struct slice key_row(struct arena *a, char kind, struct slice key)
{
    uint8_t *at = arena_alloc(a, key.size + 1);
    at[0] = (uint8_t)kind;
    if (key.size > 0) memcpy(at + 1, key.data, key.size);
    return slice_make(at, key.size + 1);
}

struct slice key_lease(struct arena *a, uint64_t id)
{
    uint8_t bytes[8];
    be_set_u64(bytes, id);
    return key_row(a, ROW_OF_LEASE, slice_make(bytes, sizeof(bytes)));
}

struct slice key_attached(struct arena *a, uint64_t id, struct slice key)
{
    uint8_t *at = arena_alloc(a, key.size + 9);
    at[0] = ROW_OF_ATTACHED;
    be_set_u64(at + 1, id);
    if (key.size > 0) memcpy(at + 9, key.data, key.size);
    return slice_make(at, key.size + 9);
}

/* range_end: nothing: one key; "\0": all from key on. */
struct span span_of(struct arena *a, struct slice key, struct slice range_end)
{
    struct span s = {.start = key_row(a, ROW_OF_USER, key), .end = SLICE_EMPTY, .single = range_end.size == 0};
    if (s.single) return s;
    bool all = range_end.size == 1 && range_end.data[0] == 0;
    s.end = all ? key_row(a, ROW_OF_USER + 1, SLICE_EMPTY) : key_row(a, ROW_OF_USER, range_end);
    if (key.size == 1 && key.data[0] == 0) s.start = key_row(a, ROW_OF_USER, SLICE_EMPTY);
    s.empty = slice_cmp(s.start, s.end) >= 0;
    return s;
}

struct span span_attached(struct arena *a, uint64_t lease)
{
    struct span s = {.start = key_attached(a, lease, SLICE_EMPTY)};
    s.end =
        lease == UINT64_MAX ? key_row(a, ROW_OF_ATTACHED + 1, SLICE_EMPTY) : key_attached(a, lease + 1, SLICE_EMPTY);
    return s;
}

bool span_has(const struct span *s, struct slice row_key)
{
    if (s->single) return slice_eq(s->start, row_key);
    return slice_cmp(row_key, s->start) >= 0 && slice_cmp(row_key, s->end) < 0;
}
