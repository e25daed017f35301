#include "lsm/cache.h"

#include "base/mem.h"

void cache_init(struct cache *c, size_t budget)
{
    *c = (struct cache){.budget = budget};
    list_init(&c->clock);
}

static void entry_free(struct cache_entry *e)
{
    ASSERT(e->refs == 0);
    ASSERT(e->table->slots[e->at] == e);
    e->table->slots[e->at] = NULL;
    mem_free(e->raw);
    mem_free(e);
}

static void drop(struct cache *c, struct cache_entry *e)
{
    if (e->state == CACHE_HELD) c->held--;
    list_remove(&e->link);
    c->count--;
    c->bytes -= e->bytes;
    entry_free(e);
}

void cache_free(struct cache *c)
{
    ASSERT(c->loading == 0);
    while (!list_empty(&c->clock)) drop(c, LIST_ENTRY(c->clock.next, struct cache_entry, link));
}

void cache_forget(struct cache *c, const struct table *t)
{
    for (uint32_t i = 0; i < t->block_count; i++) {
        struct cache_entry *e = t->slots[i];
        if (e == NULL) continue;
        ASSERT(e->state != CACHE_LOADING);
        drop(c, e);
    }
}

static void unhold(struct cache *c, struct cache_entry *e)
{
    if (e->state != CACHE_HELD) return;
    e->state = CACHE_CACHED;
    c->held--;
}

struct cache_entry *cache_load_begin(struct cache *c, const struct table *t, uint32_t at)
{
    ASSERT(t->slots[at] == NULL);
    struct cache_entry *e = mem_zalloc(sizeof(*e));
    e->table = t;
    e->at = at;
    e->state = CACHE_LOADING;
    list_init(&e->link);
    list_init(&e->waiters);
    t->slots[at] = e;
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
        drop(c, e);
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
        ASSERT(e->table->slots[e->at] == e);
        bytes += e->bytes;
        count++;
        held += e->state == CACHE_HELD ? 1 : 0;
    }
    ASSERT(bytes == c->bytes);
    ASSERT(count == c->count);
    ASSERT(held == c->held);
}
