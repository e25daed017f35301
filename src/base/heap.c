#include "base/heap.h"

#include "base/assert.h"
#include "base/mem.h"

/* nodes[i] sits at pos i + 1; its children at 2 * pos and 2 * pos + 1; no child is before its parent. */

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static void place(struct heap *h, struct heap_node *n, size_t pos)
{
    h->nodes[pos - 1] = n;
    n->pos = pos;
}

/* Moves the hole at `pos` up to where n belongs, if that is above. */
static size_t rise(struct heap *h, const struct heap_node *n, size_t pos)
{
    while (pos > 1 && before(n, h->nodes[pos / 2 - 1])) {
        place(h, h->nodes[pos / 2 - 1], pos);
        pos /= 2;
    }
    return pos;
}

static size_t sink(struct heap *h, const struct heap_node *n, size_t pos)
{
    for (;;) {
        size_t child = pos * 2;
        if (child > h->count) return pos;
        if (child < h->count && before(h->nodes[child], h->nodes[child - 1])) child++;
        if (!before(h->nodes[child - 1], n)) return pos;
        place(h, h->nodes[child - 1], pos);
        pos = child;
    }
}

static void settle(struct heap *h, struct heap_node *n, size_t pos)
{
    size_t up = rise(h, n, pos);
    place(h, n, up != pos ? up : sink(h, n, pos));
}

static bool holds(const struct heap *h, const struct heap_node *n)
{
    return n->pos > 0 && n->pos <= h->count && h->nodes[n->pos - 1] == n;
}

void heap_init(struct heap *h)
{
    *h = (struct heap){.nodes = NULL};
}

void heap_free(struct heap *h)
{
    for (size_t i = 0; i < h->count; i++) h->nodes[i]->pos = 0;
    mem_free(h->nodes);
    heap_init(h);
}

void heap_push(struct heap *h, struct heap_node *n, uint64_t key)
{
    ASSERT(n->pos == 0);
    if (h->count == h->capacity) {
        h->capacity = h->capacity > 0 ? h->capacity * 2 : 16;
        ASSERT(h->capacity <= SIZE_MAX / sizeof(*h->nodes));
        h->nodes = mem_realloc(h->nodes, h->capacity * sizeof(*h->nodes));
    }
    n->key = key;
    n->seq = h->next_seq++;
    h->count++;
    settle(h, n, h->count);
    ASSERT(holds(h, n));
}

/* A moved node counts as inserted now: among equals it goes last. */
void heap_set(struct heap *h, struct heap_node *n, uint64_t key)
{
    if (n->pos == 0) {
        heap_push(h, n, key);
        return;
    }
    ASSERT(holds(h, n));
    n->key = key;
    n->seq = h->next_seq++;
    settle(h, n, n->pos);
    ASSERT(holds(h, n));
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    if (n->pos == 0) return;
    ASSERT(holds(h, n));
    size_t hole = n->pos;
    struct heap_node *last = h->nodes[h->count - 1];
    h->count--;
    n->pos = 0;
    if (last != n) settle(h, last, hole);
}

struct heap_node *heap_min(const struct heap *h)
{
    return h->count > 0 ? h->nodes[0] : NULL;
}

struct heap_node *heap_pop(struct heap *h)
{
    struct heap_node *n = heap_min(h);
    if (n != NULL) heap_remove(h, n);
    return n;
}
