#include "base/map.h"

#include "base/assert.h"
#include "base/mem.h"

#define MAP_FIRST_CAPACITY 16u

static void map_check(const struct map *m)
{
    ASSERT(m->count <= m->used);
    ASSERT((m->capacity & (m->capacity - 1)) == 0);
    if (m->capacity > 0) ASSERT(m->used < m->capacity); /* so that every probe ends */
}

void map_init(struct map *m)
{
    *m = (struct map){.slots = NULL};
}

void map_free(struct map *m)
{
    mem_free(m->slots);
    map_init(m);
}

/* A key that the map does not hold goes to the first slot without a value. */
static void insert_new(struct map *m, uint64_t key, void *value)
{
    size_t mask = m->capacity - 1;
    size_t i = (size_t)hash_u64(key) & mask;
    while (m->slots[i].value != NULL) i = (i + 1) & mask;
    if (m->slots[i].key != MAP_DELETED) m->used++;
    m->slots[i] = (struct map_slot){.key = key, .value = value};
    m->count++;
}

/* Sized by what lives, so a map with many removals is only swept, and one that has emptied shrinks. */
static void rebuild(struct map *m)
{
    struct map old = *m;
    size_t capacity = MAP_FIRST_CAPACITY;
    while (capacity / 2 < old.count + 1) {
        ASSERT(capacity <= SIZE_MAX / 2 / sizeof(struct map_slot));
        capacity *= 2;
    }
    *m = (struct map){.slots = mem_zalloc(capacity * sizeof(struct map_slot)), .capacity = capacity};
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].value != NULL) insert_new(m, old.slots[i].key, old.slots[i].value);
    }
    ASSERT(m->count == old.count);
    mem_free(old.slots);
}

void *map_put(struct map *m, uint64_t key, void *value)
{
    ASSERT(value != NULL);
    struct map_slot *s = map_find(m, key);
    if (s != NULL) {
        void *former = s->value;
        s->value = value;
        return former;
    }
    if (m->used >= m->capacity / 4 * 3) rebuild(m);
    insert_new(m, key, value);
    map_check(m);
    return NULL;
}

/* A deleted slot before one that ends probes is of no use: neither it nor those before it need to be stepped over. */
static void sweep(struct map *m, size_t at)
{
    size_t mask = m->capacity - 1;
    const struct map_slot *after = &m->slots[(at + 1) & mask];
    if (after->value != NULL || after->key == MAP_DELETED) return;
    for (; m->slots[at].value == NULL && m->slots[at].key == MAP_DELETED; at = (at - 1) & mask) {
        m->slots[at].key = 0;
        m->used--;
    }
}

void *map_remove(struct map *m, uint64_t key)
{
    struct map_slot *s = map_find(m, key);
    if (s == NULL) return NULL;
    void *value = s->value;
    s->value = NULL;
    s->key = MAP_DELETED;
    m->count--;
    sweep(m, (size_t)(s - m->slots));
    map_check(m);
    return value;
}
