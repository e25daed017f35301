#include "lsm/recent.h"

#include "base/assert.h"
#include "base/mem.h"
#include "lsm/bloom.h"
#include "lsm/lsm.h"

#define WAYS 8u
#define CACHE_LINE 64u
#define SET_BYTES (WAYS * sizeof(uint32_t)) /* of tags: they lie in one cache line */

struct recent_slot {
    uint64_t ts;
    uint8_t key_size, value_size;
    uint8_t bytes[RECENT_ROW_BYTES];
};
_Static_assert(sizeof(struct recent_slot) == 2 * CACHE_LINE, "a slot is two cache lines");
_Static_assert(RECENT_ROW_BYTES <= UINT8_MAX, "sizes are bytes");

void recent_init(struct recent *r, size_t bytes)
{
    *r = (struct recent){.bytes = bytes};
    size_t fit = bytes / (WAYS * (sizeof(struct recent_slot) + sizeof(uint32_t)));
    if (fit == 0) return;
    for (r->set_count = 1; r->set_count * 2 <= fit;) r->set_count *= 2;
}

void recent_free(struct recent *r)
{
    mem_free(r->tags);
    mem_free(r->slots);
    recent_init(r, r->bytes);
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32) | 1u;
}

static size_t set_of(const struct recent *r, uint64_t hash)
{
    return ((size_t)hash & (r->set_count - 1)) * WAYS;
}

static struct slice key_of(const struct recent_slot *s)
{
    return slice_make(s->bytes, s->key_size);
}

/* Its place, or that of nothing: SIZE_MAX. */
static size_t place_of(const struct recent *r, struct slice key, uint64_t hash)
{
    size_t first = set_of(r, hash);
    uint32_t tag = tag_of(hash);
    for (size_t i = first; i < first + WAYS; i++) {
        if (r->tags[i] == tag && slice_eq(key_of(&r->slots[i]), key)) return i;
    }
    return SIZE_MAX;
}

/* A free slot of the set, or somebody else's. */
static size_t make_place(struct recent *r, uint64_t hash)
{
    size_t first = set_of(r, hash);
    for (size_t i = first; i < first + WAYS; i++) {
        if (r->tags[i] == 0) {
            r->count++;
            return i;
        }
    }
    return first + r->victim++ % WAYS;
}

void recent_take(struct recent *r, const struct lsm_write *w, uint64_t hash)
{
    bool keep = w->recent && w->kind == LSM_PUT && r->set_count > 0 && w->key.size + w->value.size <= RECENT_ROW_BYTES;
    if (r->count == 0 && !keep) return;
    if (r->tags == NULL) {
        size_t bytes = r->set_count * SET_BYTES, slots = r->set_count * WAYS * sizeof(*r->slots);
        r->tags = memset(mem_aligned(SET_BYTES, bytes), 0, bytes);
        r->slots = slots % MEM_LARGE_BYTES == 0 ? mem_large(slots) : mem_aligned(CACHE_LINE, slots);
    }
    size_t at = place_of(r, w->key, hash);
    if (!keep) {
        if (at == SIZE_MAX) return;
        r->tags[at] = 0;
        r->count--;
        return;
    }
    if (at == SIZE_MAX) at = make_place(r, hash);
    struct recent_slot *s = &r->slots[at];
    r->tags[at] = tag_of(hash);
    s->ts = w->ts;
    s->key_size = (uint8_t)w->key.size;
    s->value_size = (uint8_t)w->value.size;
    memcpy(s->bytes, w->key.data, w->key.size);
    if (w->value.size > 0) memcpy(s->bytes + w->key.size, w->value.data, w->value.size);
}

bool recent_find(const struct recent *r, struct slice key, uint64_t hash, uint64_t *ts, struct slice *value)
{
    if (r->count == 0) return false;
    size_t at = place_of(r, key, hash);
    if (at == SIZE_MAX) return false;
    const struct recent_slot *s = &r->slots[at];
    *ts = s->ts;
    *value = slice_make(s->bytes + s->key_size, s->value_size);
    return true;
}

void recent_soon(const struct recent *r, uint64_t hash)
{
    if (r->count > 0) __builtin_prefetch(&r->tags[set_of(r, hash)]);
}

bool recent_next(const struct recent *r, uint64_t hash)
{
    bool there = false;
    if (r->count == 0) return there;
    size_t first = set_of(r, hash);
    for (size_t i = first; i < first + WAYS; i++) {
        if (r->tags[i] != tag_of(hash)) continue;
        __builtin_prefetch(&r->slots[i]);
        __builtin_prefetch((const uint8_t *)&r->slots[i] + CACHE_LINE);
        there = true;
    }
    return there;
}

void recent_clear(struct recent *r)
{
    if (r->count > 0) memset(r->tags, 0, r->set_count * SET_BYTES);
    r->count = 0;
}

void recent_check(const struct recent *r)
{
    size_t count = 0;
    for (size_t i = 0; r->tags != NULL && i < r->set_count * WAYS; i++) {
        if (r->tags[i] == 0) continue;
        count++;
        uint64_t hash = bloom_hash(key_of(&r->slots[i]));
        ASSERT(r->tags[i] == tag_of(hash) && set_of(r, hash) == i / WAYS * WAYS);
    }
    ASSERT(count == r->count);
}
