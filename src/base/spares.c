#include "base/spares.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

void spares_init(struct spares *s, size_t size, size_t max)
{
    ASSERT(size >= sizeof(void *));
    *s = (struct spares){.size = size, .max = max};
}

static void *pop(struct spares *s)
{
    void *object = s->first;
    memcpy(&s->first, object, sizeof(s->first));
    s->count--;
    return object;
}

void spares_free(struct spares *s)
{
    while (s->count > 0) mem_free(pop(s));
    ASSERT(s->first == NULL);
}

void *spares_take(struct spares *s)
{
    return s->count > 0 ? memset(pop(s), 0, s->size) : mem_zalloc(s->size);
}

void spares_give(struct spares *s, void *object)
{
    if (object == NULL) return;
    if (s->count >= s->max) {
        mem_free(object);
        return;
    }
    memcpy(object, &s->first, sizeof(s->first));
    s->first = object;
    s->count++;
}
