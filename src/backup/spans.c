#include "backup/spans.h"

#include "base/assert.h"

void spans_init(struct spans *s)
{
    list_init(&s->list);
}

bool spans_empty(const struct spans *s)
{
    return list_empty(&s->list);
}

struct span *spans_pop(struct spans *s)
{
    struct list *it = list_pop_front(&s->list);
    return it == NULL ? NULL : LIST_ENTRY(it, struct span, link);
}

static struct span *span_new(struct arena *arena, uint32_t keyspace, struct slice start, struct slice end)
{
    struct span *p = arena_zalloc(arena, sizeof *p);
    ASSERT(end.size == 0 || slice_cmp(start, end) < 0);
    p->keyspace = keyspace;
    p->start = arena_dup_slice(arena, start);
    p->end = arena_dup_slice(arena, end);
    return p;
}

void spans_push_front(struct spans *s, struct arena *arena, uint32_t keyspace, struct slice start, struct slice end)
{
    list_push_front(&s->list, &span_new(arena, keyspace, start, end)->link);
}

static bool is_before(struct slice key, struct slice end) /* empty end: none */
{
    return end.size == 0 || slice_cmp(key, end) < 0;
}

struct plan {
    struct spans *spans;
    struct arena *arena;
    const struct backup_chunk *done;
    size_t done_count;
};

/* [start, end) less what has been done. */
static void add(const struct plan *p, uint32_t keyspace, struct slice start, struct slice end,
                const struct backup_chunk *former)
{
    for (size_t i = 0; i < p->done_count; i++) {
        const struct backup_chunk *c = &p->done[i];
        bool behind = c->end.size > 0 && slice_cmp(c->end, start) <= 0;
        if (c->keyspace != keyspace || behind || !is_before(c->start, end)) continue;
        if (slice_cmp(start, c->start) < 0)
            list_push_back(&p->spans->list, &span_new(p->arena, keyspace, start, c->start)->link);
        if (c->end.size == 0) return;
        start = c->end;
        former = NULL; /* not that chunk's span any more */
    }
    if (!is_before(start, end)) return;
    struct span *rest = span_new(p->arena, keyspace, start, end);
    rest->former = former;
    list_push_back(&p->spans->list, &rest->link);
}

/* Ranges of the map may be a little older than each other: [start, end) as a whole is asked for, cut where they begin. */
static void add_by_ranges(const struct plan *p, const struct meta_map_reply *map, uint32_t keyspace, struct slice start,
                          struct slice end)
{
    while (is_before(start, end)) {
        struct slice next = end;
        for (size_t i = 0; i < map->range_count; i++) {
            const struct range_desc *d = &map->ranges[i];
            if (d->keyspace == keyspace && slice_cmp(d->start, start) > 0 && is_before(d->start, next)) next = d->start;
        }
        add(p, keyspace, start, next, NULL);
        if (next.size == 0) return;
        start = next;
    }
}

void spans_plan(struct spans *s, struct arena *arena, const struct meta_map_reply *map, const struct backup_chunk *done,
                size_t done_count, const struct backup_chunk *formers, size_t former_count)
{
    struct plan p = {.spans = s, .arena = arena, .done = done, .done_count = done_count};
    spans_init(s);
    for (size_t k = 0; k < map->keyspace_count; k++) {
        uint32_t id = map->keyspaces[k].id;
        struct slice at = SLICE_EMPTY;
        bool ended = false; /* a former reaches to the end of the keyspace */
        if (map->keyspaces[k].dropped_ts != 0) continue;
        for (size_t i = 0; i < former_count; i++) { /* of a backup that was broken off there are not all */
            if (formers[i].keyspace != id) continue;
            if (formers[i].start.size > 0) add_by_ranges(&p, map, id, at, formers[i].start);
            add(&p, id, formers[i].start, formers[i].end, &formers[i]);
            at = formers[i].end;
            ended = at.size == 0;
        }
        if (!ended) add_by_ranges(&p, map, id, at, SLICE_EMPTY);
    }
}
