/* Hash map from 64-bit keys to pointers. Open addressing, a fixed hash: the same operations give the same iteration order
 * in every run (the simulator depends on it). Values are borrowed and never NULL. Removing the current entry while
 * iterating with map_next is allowed; inserting is not. */
#ifndef QUORATE_BASE_MAP_H
#define QUORATE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot;
struct map {
    struct map_slot *slots;
    size_t capacity; /* power of two, or 0 */
    size_t count;
    size_t used; /* live and deleted slots */
};

void map_init(struct map *m);
void map_free(struct map *m);
void *map_get(const struct map *m, uint64_t key);        /* NULL when absent */
void *map_put(struct map *m, uint64_t key, void *value); /* the former value, or NULL */
void *map_remove(struct map *m, uint64_t key);           /* the removed value, or NULL */
/* for (size_t it = 0; map_next(&m, &it, &key, &value);) */
bool map_next(const struct map *m, size_t *it, uint64_t *key, void **value);

#endif
