/* What is still to be read: spans of keyspaces, as a list from which readers take. Pure. */
#ifndef QUORATE_BACKUP_SPANS_H
#define QUORATE_BACKUP_SPANS_H

#include "backup/format.h"
#include "base/list.h"
#include "wire/messages_meta.h"

struct span { /* in the arena */
    struct list link;
    uint32_t keyspace;
    struct slice start, end;           /* as the keyspace holds keys; empty end: to its end */
    const struct backup_chunk *former; /* what it held when it was last read; or NULL */
};
struct spans {
    struct list list;
};
void spans_init(struct spans *s);
bool spans_empty(const struct spans *s);
struct span *spans_pop(struct spans *s); /* NULL: there is none */
void spans_push_front(struct spans *s, struct arena *arena, uint32_t keyspace, struct slice start, struct slice end);
/* All keyspaces in use, less the chunks `done`; cut where former chunks end, and where there are none, where ranges do. Chunks are sorted
 * (backup_chunk_compare). */
void spans_plan(struct spans *s, struct arena *arena, const struct meta_map_reply *map, const struct backup_chunk *done,
                size_t done_count, const struct backup_chunk *formers, size_t former_count);

#endif
