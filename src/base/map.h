/* Hash map from 64-bit keys to pointers. Open addressing, a fixed hash: the same operations give the same iteration order
 * in every run (the simulator depends on it). Values are borrowed and never NULL. Removing the current entry while
 * iterating with map_next is allowed; inserting is not. */
#ifndef QUORATE_BASE_MAP_H
#define QUORATE_BASE_MAP_H

#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A slot without a value ends a probe if its key is 0, and is stepped over if it is MAP_DELETED. */
struct map_slot {
    uint64_t key;
    void *value;
};
#define MAP_DELETED 1u

struct map {
    struct map_slot *slots;
    size_t capacity; /* power of two, or 0 */
    size_t count;
    size_t used; /* live and deleted slots */
};

void map_init(struct map *m);
void map_free(struct map *m);
void *map_put(struct map *m, uint64_t key, void *value); /* the former value, or NULL */
void *map_remove(struct map *m, uint64_t key);           /* the removed value, or NULL */

/* The slot that holds `key`, or else NULL. Linear probing. */
static inline struct map_slot *map_find(const struct map *m, uint64_t key)
{
    if (m->count == 0) return NULL;
    size_t mask = m->capacity - 1;
    for (size_t i = (size_t)hash_u64(key) & mask;; i = (i + 1) & mask) {
        struct map_slot *s = &m->slots[i];
        if (s->value != NULL && s->key == key) return s;
        if (s->value == NULL && s->key != MAP_DELETED) return NULL;
    }
}

static inline void *map_get(const struct map *m, uint64_t key) /* NULL when absent */
{
    const struct map_slot *s = map_find(m, key);
    return s != NULL ? s->value : NULL;
}

/* It will be got: its slot comes to the processor meanwhile. */
static inline void map_soon(const struct map *m, uint64_t key)
{
    if (m->capacity > 0) __builtin_prefetch(&m->slots[(size_t)hash_u64(key) & (m->capacity - 1)]);
}

/* for (size_t it = 0; map_next(&m, &it, &key, &value);) */
static inline bool map_next(const struct map *m, size_t *it, uint64_t *key, void **value)
{
    for (; *it < m->capacity; (*it)++) {
        const struct map_slot *s = &m->slots[*it];
        if (s->value == NULL) continue;
        *key = s->key;
        *value = s->value;
        (*it)++;
        return true;
    }
    return false;
}

#endif
