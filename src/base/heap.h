/* Intrusive binary min-heap ordered by a 64-bit key, ties by insertion order. */
#ifndef QUORATE_BASE_HEAP_H
#define QUORATE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;
    uint64_t seq;
    size_t pos; /* 1-based place in the heap; 0: not in a heap */
};
struct heap {
    struct heap_node **nodes;
    size_t count, capacity;
    uint64_t next_seq;
};

#define HEAP_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

void heap_init(struct heap *h);
void heap_free(struct heap *h);
void heap_push(struct heap *h, struct heap_node *n, uint64_t key); /* n must be in no heap */
void heap_set(struct heap *h, struct heap_node *n, uint64_t key);  /* pushes or moves */
void heap_remove(struct heap *h, struct heap_node *n);             /* harmless when not in a heap */
struct heap_node *heap_min(const struct heap *h);                  /* NULL when empty */
struct heap_node *heap_pop(struct heap *h);

#endif
