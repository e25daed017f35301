#include "lsm/cache.h"

#include "base/hash.h"
#include "base/mem.h"

#define LINE 64u
#define GONE_MIN 64u

static size_t lines(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

void cache_init(struct cache *c, size_t budget, size_t room_bytes)
{
    *c = (struct cache){.budget = budget,
                        .floor = CACHE_FLOOR_LARGE,
                        .slot_bytes = lines(sizeof(struct cache_entry)) + lines(room_bytes)};
    list_init(&c->held);
    list_init(&c->guests);
    list_init(&c->residents);
    list_init(&c->pages);
    size_t gone = GONE_MIN;
    while (gone < budget / c->slot_bytes) gone *= 2;
    c->gone = mem_zalloc(gone * sizeof(*c->gone));
    c->gone_mask = gone - 1;
}

/* --- memory of entries --- */

static size_t page_places(const struct cache *c)
{
    return (MEM_LARGE_BYTES - lines(sizeof(struct cache_page))) / c->slot_bytes;
}

static struct cache_entry *page_take(struct cache *c)
{
    struct cache_page *p;
    if (list_empty(&c->pages)) {
        p = mem_large(MEM_LARGE_BYTES);
        *p = (struct cache_page){.fresh = page_places(c)};
        list_init(&p->left);
        list_push_back(&c->pages, &p->link);
    }
    p = LIST_ENTRY(c->pages.next, struct cache_page, link);
    struct list *given = list_pop_front(&p->left);
    struct cache_entry *e = given != NULL ? LIST_ENTRY(given, struct cache_entry, link) : NULL;
    if (e == NULL) e = (void *)((uint8_t *)p + lines(sizeof(*p)) + (page_places(c) - p->fresh--) * c->slot_bytes);
    if (++p->used == page_places(c)) list_remove(&p->link);
    e->page = p;
    return e;
}

static void page_give(struct cache *c, struct cache_entry *e)
{
    struct cache_page *p = e->page;
    if (p->used == page_places(c)) list_push_front(&c->pages, &p->link);
    list_push_front(&p->left, &e->link);
    if (--p->used > 0) return;
    list_remove(&p->link);
    mem_free(p);
}

static struct cache_entry *outside_take(struct cache *c)
{
    if (c->spare_count > 0) return c->spare[--c->spare_count];
    struct cache_entry *e = mem_aligned(LINE, c->slot_bytes);
    e->page = NULL;
    c->outside++;
    return e;
}

static void outside_give(struct cache *c, struct cache_entry *e)
{
    if (c->spare_count < CACHE_SPARE_MAX) {
        c->spare[c->spare_count++] = e;
    } else {
        mem_free(e);
        c->outside--;
    }
}

/* With room for the raw block, unless that is larger: it is at least as large as what was stored without the trailer. */
static struct cache_entry *entry_new(struct cache *c, size_t stored)
{
    size_t room = c->slot_bytes - lines(sizeof(struct cache_entry));
    if (stored > room) {
        struct cache_entry *e = mem_alloc(sizeof(*e));
        *e = (struct cache_entry){.bytes = sizeof(*e)};
        return e;
    }
    bool small = c->spare_count > 0 || c->outside * c->slot_bytes < CACHE_SMALL_BYTES || page_places(c) < 2;
    struct cache_entry *e = small ? outside_take(c) : page_take(c);
    *e = (struct cache_entry){.bytes = c->slot_bytes, .page = e->page};
    e->room = (struct table_room){.data = (uint8_t *)e + lines(sizeof(*e)), .size = room};
    return e;
}

static void entry_free(struct cache *c, struct cache_entry *e)
{
    ASSERT(e->refs == 0);
    ASSERT(e->table->slots[e->at] == e);
    e->table->slots[e->at] = NULL;
    mem_free(e->raw);
    if (e->page != NULL) {
        page_give(c, e);
    } else if (e->room.size > 0) {
        outside_give(c, e);
    } else {
        mem_free(e);
    }
}

static void drop(struct cache *c, struct cache_entry *e)
{
    if (e->state == CACHE_GUEST) c->guest_count--;
    list_remove(&e->link);
    c->count--;
    c->bytes -= e->bytes;
    entry_free(c, e);
}

static struct cache_entry *front(struct list *l)
{
    return list_empty(l) ? NULL : LIST_ENTRY(l->next, struct cache_entry, link);
}

static void drop_all(struct cache *c, struct list *l)
{
    for (struct cache_entry *e; (e = front(l)) != NULL;) drop(c, e);
}

void cache_free(struct cache *c)
{
    ASSERT(c->loading == 0);
    drop_all(c, &c->held);
    drop_all(c, &c->guests);
    drop_all(c, &c->residents);
    ASSERT(list_empty(&c->pages));
    while (c->spare_count > 0) mem_free(c->spare[--c->spare_count]);
    mem_free(c->gone);
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

/* --- who stays --- */

static uint32_t *gone_place(const struct cache *c, const struct cache_entry *e, uint32_t *fingerprint)
{
    uint64_t hash = hash_u64(e->table->id.number << 32 ^ e->at);
    *fingerprint = (uint32_t)(hash >> 32) | 1u;
    return &c->gone[hash & c->gone_mask];
}

static bool full(const struct cache *c)
{
    return c->bytes > c->budget;
}

static bool crowded(const struct cache *c)
{
    size_t floor = c->bytes > c->budget + CACHE_OVER_BYTES ? c->floor : CACHE_FLOOR;
    return c->guest_count > floor + 8 * c->loading;
}

/* To the end of those in that state. */
static void move(struct cache *c, struct cache_entry *e, enum cache_state state)
{
    if (e->state == CACHE_GUEST) c->guest_count--;
    if (state == CACHE_GUEST) c->guest_count++;
    e->state = state;
    list_remove(&e->link);
    struct list *to = state == CACHE_HELD ? &c->held : state == CACHE_GUEST ? &c->guests : &c->residents;
    list_push_back(to, &e->link);
}

void cache_unhold(struct cache *c, struct cache_entry *e)
{
    move(c, e, CACHE_GUEST);
}

static void hold(struct cache *c, struct cache_entry *e)
{
    move(c, e, CACHE_HELD);
    e->held_since = c->pass;
}

static void guest_leaves(struct cache *c, struct cache_entry *e)
{
    uint32_t fingerprint, *gone = gone_place(c, e, &fingerprint);
    if (full(c) && *gone != fingerprint) {
        *gone = fingerprint;
        drop(c, e);
    } else {
        e->used = false;
        move(c, e, CACHE_RESIDENT);
    }
}

static void see_off(struct cache *c)
{
    struct cache_entry *e;
    while ((e = front(&c->held)) != NULL && c->pass - e->held_since > CACHE_HOLD_PASSES) cache_unhold(c, e);
    for (size_t limit = c->guest_count; limit > 0 && crowded(c); limit--) {
        e = front(&c->guests);
        if (e->refs > 0) {
            move(c, e, CACHE_GUEST);
        } else {
            guest_leaves(c, e);
        }
    }
}

/* Two rounds at most: the first may clear every mark of use, the second then finds what is not used. */
static void evict(struct cache *c)
{
    struct cache_entry *e;
    for (size_t limit = 2 * c->count; limit > 0 && full(c) && (e = front(&c->residents)) != NULL; limit--) {
        if (e->used || e->refs > 0) {
            e->used = false;
            move(c, e, CACHE_RESIDENT);
        } else {
            drop(c, e);
        }
    }
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
    see_off(c);
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

static size_t check_list(const struct list *list, enum cache_state state, size_t *bytes)
{
    size_t count = 0;
    for (const struct list *l = list->next; l != list; l = l->next, count++) {
        const struct cache_entry *e =
            (const struct cache_entry *)(const void *)((const char *)l - offsetof(struct cache_entry, link));
        ASSERT(e->state == state);
        ASSERT(e->table->slots[e->at] == e);
        *bytes += e->bytes;
    }
    return count;
}

void cache_check(const struct cache *c)
{
    size_t bytes = 0, guests = check_list(&c->guests, CACHE_GUEST, &bytes);
    size_t others = check_list(&c->held, CACHE_HELD, &bytes) + check_list(&c->residents, CACHE_RESIDENT, &bytes);
    ASSERT(bytes == c->bytes);
    ASSERT(guests == c->guest_count);
    ASSERT(guests + others == c->count);
}
