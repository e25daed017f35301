#include "lsm/cache.h"

#include "base/mem.h"

#define LINE 64u

static size_t lines(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

void cache_init(struct cache *c, size_t budget, size_t room_bytes)
{
    *c = (struct cache){.budget = budget,
                        .floor = CACHE_FLOOR_LARGE,
                        .slot_bytes = lines(sizeof(struct cache_entry)) + lines(room_bytes)};
    list_init(&c->clock);
}

/* With room for the raw block, unless that is larger: it is at least as large as what was stored without the trailer. */
static struct cache_entry *entry_new(struct cache *c, size_t stored)
{
    size_t room = c->slot_bytes - lines(sizeof(struct cache_entry));
    struct cache_entry *e = NULL;
    if (stored > room) {
        e = mem_alloc(sizeof(*e));
        *e = (struct cache_entry){.bytes = sizeof(*e)};
        return e;
    }
    e = c->spare_count > 0 ? c->spare[--c->spare_count] : mem_aligned(LINE, c->slot_bytes);
    *e = (struct cache_entry){.bytes = c->slot_bytes};
    e->room = (struct table_room){.data = (uint8_t *)e + lines(sizeof(*e)), .size = room};
    return e;
}

static void entry_free(struct cache *c, struct cache_entry *e)
{
    ASSERT(e->refs == 0);
    ASSERT(e->table->slots[e->at] == e);
    e->table->slots[e->at] = NULL;
    mem_free(e->raw);
    if (e->room.size > 0 && c->spare_count < CACHE_SPARE_MAX) {
        c->spare[c->spare_count++] = e;
    } else {
        mem_free(e);
    }
}

static void drop(struct cache *c, struct cache_entry *e)
{
    if (e->state == CACHE_HELD) c->held--;
    list_remove(&e->link);
    c->count--;
    c->bytes -= e->bytes;
    entry_free(c, e);
}

void cache_free(struct cache *c)
{
    ASSERT(c->loading == 0);
    while (!list_empty(&c->clock)) drop(c, LIST_ENTRY(c->clock.next, struct cache_entry, link));
    while (c->spare_count > 0) mem_free(c->spare[--c->spare_count]);
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
    size_t sealed = t->blocks[at].size;
    struct cache_entry *e = entry_new(c, sealed > TABLE_TRAILER_BYTES ? sealed - TABLE_TRAILER_BYTES : 0);
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
    size_t floor = c->bytes > c->budget + CACHE_OVER_BYTES ? c->floor : CACHE_FLOOR;
    return c->bytes > c->budget && c->count - c->held > floor + 8 * c->loading;
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

void cache_load_end(struct cache *c, struct cache_entry *e, uint8_t *raw, const struct block *block)
{
    ASSERT(e->state == CACHE_LOADING);
    ASSERT(list_empty(&e->waiters));
    if (!table_raw_in_room(e->room, raw)) {
        e->raw = raw;
        e->bytes += block->raw_size;
    }
    e->block = *block;
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
    entry_free(c, e);
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
