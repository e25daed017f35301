#include "lsm/erase.h"

#include "base/assert.h"
#include "base/mem.h"

void erase_list_add(struct erase_list *list, const struct erase *e)
{
    ASSERT(e->end.size == 0 || slice_cmp(e->start, e->end) < 0);
    ASSERT(e->ts > 0);
    if (list->count == list->capacity) {
        list->capacity = list->capacity > 0 ? list->capacity * 2 : 4;
        list->items = mem_realloc(list->items, list->capacity * sizeof(*list->items));
    }
    list->items[list->count++] =
        (struct erase){.start = mem_dup_slice(e->start), .end = mem_dup_slice(e->end), .ts = e->ts, .clean = e->clean};
}

void erase_list_add_all(struct erase_list *list, const struct erase_list *more)
{
    for (size_t i = 0; i < more->count; i++) erase_list_add(list, &more->items[i]);
}

void erase_list_free(struct erase_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        mem_free((void *)(uintptr_t)list->items[i].start.data);
        mem_free((void *)(uintptr_t)list->items[i].end.data);
    }
    mem_free(list->items);
    *list = (struct erase_list){.items = NULL};
}

void erase_list_cut(struct erase_list *list, struct slice start, struct slice end)
{
    struct erase_list kept = {.items = NULL};
    for (size_t i = 0; i < list->count; i++) {
        const struct erase *e = &list->items[i];
        struct erase before = *e, after = *e;
        if (e->end.size == 0 || slice_cmp(start, e->end) < 0) before.end = start;
        if (slice_cmp(e->start, end) < 0) after.start = end;
        if (slice_cmp(e->start, start) < 0) erase_list_add(&kept, &before);
        if (end.size > 0 && (e->end.size == 0 || slice_cmp(after.start, e->end) < 0)) erase_list_add(&kept, &after);
    }
    erase_list_free(list);
    *list = kept;
}

uint64_t erase_list_at(const struct erase_list *list, struct slice key, uint64_t row_ts, uint64_t ts)
{
    uint64_t at = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct erase *e = &list->items[i];
        if (e->ts <= row_ts || e->ts > ts || e->ts <= at || slice_cmp(e->start, key) > 0) continue;
        if (e->end.size == 0 || slice_cmp(key, e->end) < 0) at = e->ts;
    }
    return at;
}
