/* Intrusive min-heap ordered by a 64-bit key, ties by insertion order. Four children to a node, and the keys beside the pointers:
 * half as many levels as with two, and no node is looked at to find another's place. */
#ifndef QUORATE_BASE_HEAP_H
#define QUORATE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key; /* for who looks; heap_set alone changes it */
    size_t pos;   /* 1-based place in the heap; 0: not in a heap */
};
struct heap_slot {
    uint64_t key, seq;
    struct heap_node *node;
};
struct heap {
    struct heap_slot *slots;
    size_t count, capacity;
    uint64_t next_seq;
};

#define HEAP_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

void heap_init(struct heap *h);
void heap_free(struct heap *h);
void heap_push(struct heap *h, struct heap_node *n, uint64_t key); /* n must be in no heap */
void heap_set(struct heap *h, struct heap_node *n, uint64_t key);  /* pushes or moves */
void heap_remove(struct heap *h, struct heap_node *n);             /* harmless when not in a heap */
struct heap_node *heap_pop(struct heap *h);                        /* NULL when empty */

static inline struct heap_node *heap_min(const struct heap *h) /* NULL when empty */
{
    return h->count > 0 ? h->slots[0].node : NULL;
}

#endif
