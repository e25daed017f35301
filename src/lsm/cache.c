#include "lsm/cache.h"

#include "base/hash.h"
#include "base/mem.h"

#define FIRST_BUCKETS 256u

void cache_init(struct cache *c, size_t budget)
{
    *c = (struct cache){.bucket_count = FIRST_BUCKETS, .budget = budget};
    c->buckets = mem_zalloc(FIRST_BUCKETS * sizeof(*c->buckets));
    list_init(&c->clock);
}

static struct cache_entry **bucket(const struct cache *c, uint64_t number, uint64_t offset)
{
    return &c->buckets[hash_u64(number ^ offset << 24 ^ offset >> 40) & (c->bucket_count - 1)];
}

static void entry_free(struct cache_entry *e)
{
    ASSERT(e->refs == 0);
    mem_free(e->raw);
    mem_free(e);
}

void cache_free(struct cache *c)
{
    ASSERT(c->loading == 0);
    struct list *l;
    while ((l = list_pop_front(&c->clock)) != NULL) entry_free(LIST_ENTRY(l, struct cache_entry, link));
    mem_free(c->buckets);
}

struct cache_entry *cache_peek(const struct cache *c, uint64_t number, uint64_t offset)
{
    struct cache_entry *e = *bucket(c, number, offset);
    while (e != NULL && (e->number != number || e->offset != offset)) e = e->chain;
    return e;
}

static void unhold(struct cache *c, struct cache_entry *e)
{
    if (e->state != CACHE_HELD) return;
    e->state = CACHE_CACHED;
    c->held--;
}

struct cache_entry *cache_get(struct cache *c, uint64_t number, uint64_t offset)
{
    struct cache_entry *e = cache_peek(c, number, offset);
    if (e == NULL || e->state == CACHE_LOADING) {
        c->misses++;
        return NULL;
    }
    c->hits++;
    unhold(c, e);
    e->used = true;
    e->refs++;
    return e;
}

void cache_release(struct cache_entry *e)
{
    if (e == NULL) return;
    ASSERT(e->refs > 0);
    e->refs--;
}

static void unchain(struct cache *c, struct cache_entry *e)
{
    struct cache_entry **at = bucket(c, e->number, e->offset);
    while (*at != e) at = &(*at)->chain;
    *at = e->chain;
    c->total--;
}

static void grow(struct cache *c)
{
    struct cache old = *c;
    c->bucket_count *= 2;
    c->buckets = mem_zalloc(c->bucket_count * sizeof(*c->buckets));
    for (size_t i = 0; i < old.bucket_count; i++) {
        for (struct cache_entry *e = old.buckets[i], *next; e != NULL; e = next) {
            next = e->chain;
            struct cache_entry **at = bucket(c, e->number, e->offset);
            e->chain = *at;
            *at = e;
        }
    }
    mem_free(old.buckets);
}

struct cache_entry *cache_load_begin(struct cache *c, uint64_t number, uint64_t offset)
{
    ASSERT(cache_peek(c, number, offset) == NULL);
    if (c->total >= c->bucket_count) grow(c);
    struct cache_entry *e = mem_zalloc(sizeof(*e));
    e->number = number;
    e->offset = offset;
    e->state = CACHE_LOADING;
    list_init(&e->link);
    list_init(&e->waiters);
    struct cache_entry **at = bucket(c, number, offset);
    e->chain = *at;
    *at = e;
    c->total++;
    c->loading++;
    return e;
}

static bool full(const struct cache *c)
{
    return c->bytes > c->budget && c->count - c->held > CACHE_FLOOR + 8 * c->loading;
}

/* Two rounds at most: the first may clear every mark of use, the second then finds what is neither used nor held. The hand
 * moves by two in any case, so that it comes by everything that nobody came back for. */
static void evict(struct cache *c)
{
    size_t limit = 2 * c->count;
    for (size_t looked = 0; looked < limit && (looked < 2 || full(c)); looked++) {
        struct cache_entry *e = LIST_ENTRY(c->clock.next, struct cache_entry, link);
        list_remove(&e->link);
        if (c->pass - e->held_since > CACHE_HOLD_PASSES) unhold(c, e);
        if (!full(c) || e->used || e->refs > 0 || e->state == CACHE_HELD) {
            if (full(c)) e->used = false;
            list_push_back(&c->clock, &e->link);
            continue;
        }
        unchain(c, e);
        c->count--;
        c->bytes -= e->bytes;
        entry_free(e);
    }
}

static void hold(struct cache *c, struct cache_entry *e)
{
    if (e->state != CACHE_HELD) c->held++;
    e->state = CACHE_HELD;
    e->held_since = c->pass;
}

void cache_load_end(struct cache *c, struct cache_entry *e, uint8_t *raw, const struct block *block, size_t bytes)
{
    ASSERT(e->state == CACHE_LOADING);
    ASSERT(list_empty(&e->waiters));
    e->raw = raw;
    e->block = *block;
    e->bytes = bytes + sizeof(*e);
    hold(c, e);
    c->loading--;
    c->count++;
    c->bytes += e->bytes;
    list_push_back(&c->clock, &e->link);
    evict(c);
}

void cache_load_fail(struct cache *c, struct cache_entry *e)
{
    ASSERT(e->state == CACHE_LOADING);
    ASSERT(list_empty(&e->waiters));
    c->loading--;
    unchain(c, e);
    entry_free(e);
}

void cache_hold(struct cache *c, struct cache_entry *e)
{
    ASSERT(e->state != CACHE_LOADING);
    hold(c, e);
}

void cache_pass(struct cache *c)
{
    c->pass++;
}

void cache_check(const struct cache *c)
{
    size_t bytes = 0, count = 0, held = 0;
    for (const struct list *l = c->clock.next; l != &c->clock; l = l->next) {
        const struct cache_entry *e =
            (const struct cache_entry *)(const void *)((const char *)l - offsetof(struct cache_entry, link));
        ASSERT(e->state != CACHE_LOADING);
        ASSERT(cache_peek(c, e->number, e->offset) == e);
        bytes += e->bytes;
        count++;
        held += e->state == CACHE_HELD ? 1 : 0;
    }
    ASSERT(bytes == c->bytes);
    ASSERT(count == c->count);
    ASSERT(held == c->held);
    ASSERT(c->total == c->count + c->loading);
}
