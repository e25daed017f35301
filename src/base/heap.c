#include "base/heap.h"

#include "base/assert.h"
#include "base/mem.h"

/* slots[i] is of the node with pos i + 1; its children are the four from slots[4 * i + 1] on; no child is before its parent. */
enum { CHILDREN = 4 };

static inline bool before(const struct heap_slot *a, const struct heap_slot *b)
{
    return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static inline void place(struct heap *h, const struct heap_slot *s, size_t at)
{
    h->slots[at] = *s;
    s->node->pos = at + 1;
}

/* Moves the hole at `at` up to where s belongs, if that is above. */
static size_t rise(struct heap *h, const struct heap_slot *s, size_t at)
{
    while (at > 0 && before(s, &h->slots[(at - 1) / CHILDREN])) {
        size_t parent = (at - 1) / CHILDREN;
        place(h, &h->slots[parent], at);
        at = parent;
    }
    return at;
}

static size_t sink(struct heap *h, const struct heap_slot *s, size_t at)
{
    for (size_t child; (child = CHILDREN * at + 1) < h->count;) {
        size_t least = child, end = child + CHILDREN < h->count ? child + CHILDREN : h->count;
        while (++child < end) {
            if (before(&h->slots[child], &h->slots[least])) least = child;
        }
        if (!before(&h->slots[least], s)) break;
        place(h, &h->slots[least], at);
        at = least;
    }
    return at;
}

static void settle(struct heap *h, const struct heap_slot *s, size_t at)
{
    size_t up = rise(h, s, at);
    place(h, s, up != at ? up : sink(h, s, at));
}

static bool holds(const struct heap *h, const struct heap_node *n)
{
    return n->pos > 0 && n->pos <= h->count && h->slots[n->pos - 1].node == n;
}

void heap_init(struct heap *h)
{
    *h = (struct heap){.slots = NULL};
}

void heap_free(struct heap *h)
{
    for (size_t i = 0; i < h->count; i++) h->slots[i].node->pos = 0;
    mem_free(h->slots);
    heap_init(h);
}

static void settle_new(struct heap *h, struct heap_node *n, uint64_t key, size_t at)
{
    n->key = key;
    settle(h, &(struct heap_slot){.key = key, .seq = h->next_seq++, .node = n}, at);
    ASSERT(holds(h, n));
}

void heap_push(struct heap *h, struct heap_node *n, uint64_t key)
{
    ASSERT(n->pos == 0);
    if (h->count == h->capacity) {
        h->capacity = h->capacity > 0 ? h->capacity * 2 : 16;
        ASSERT(h->capacity <= SIZE_MAX / sizeof(*h->slots));
        h->slots = mem_realloc(h->slots, h->capacity * sizeof(*h->slots));
    }
    h->count++;
    settle_new(h, n, key, h->count - 1);
}

/* A moved node counts as inserted now: among equals it goes last. */
void heap_set(struct heap *h, struct heap_node *n, uint64_t key)
{
    if (n->pos == 0) {
        heap_push(h, n, key);
        return;
    }
    ASSERT(holds(h, n));
    settle_new(h, n, key, n->pos - 1);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    if (n->pos == 0) return;
    ASSERT(holds(h, n));
    size_t hole = n->pos - 1;
    struct heap_slot last = h->slots[--h->count];
    n->pos = 0;
    if (last.node != n) settle(h, &last, hole);
}

struct heap_node *heap_pop(struct heap *h)
{
    struct heap_node *n = heap_min(h);
    if (n != NULL) heap_remove(h, n);
    return n;
}
