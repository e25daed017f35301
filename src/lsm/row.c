#include "lsm/row.h"

#include "base/mem.h"

#define KEYBUF_FIRST 64u

void keybuf_free(struct keybuf *k)
{
    mem_free(k->data);
    *k = (struct keybuf){.data = NULL};
}

void keybuf_grow(struct keybuf *k, size_t capacity)
{
    size_t wanted = k->capacity > 0 ? k->capacity * 2 : KEYBUF_FIRST;
    if (wanted < capacity) wanted = capacity;
    k->data = mem_realloc(k->data, wanted);
    k->capacity = wanted;
}
