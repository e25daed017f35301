#include "backup/overlay.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"

#include <stdlib.h>

#define ROOM_FIRST 1024u

void overlay_init(struct overlay *o, uint64_t at)
{
    *o = (struct overlay){.at = at};
    arena_init(&o->arena, 1u << 16);
}

void overlay_free(struct overlay *o)
{
    arena_free(&o->arena);
    mem_free(o->rows);
    o->rows = NULL;
    o->count = o->capacity = 0;
}

static int bound_compare(uint32_t keyspace, struct slice key, const struct overlay_bound *b)
{
    if (keyspace != b->keyspace) return keyspace < b->keyspace ? -1 : 1;
    return slice_cmp(key, b->key);
}

static int row_compare(const void *a, const void *b)
{
    const struct backup_row *x = a, *y = b;
    if (x->keyspace != y->keyspace) return x->keyspace < y->keyspace ? -1 : 1;
    int order = slice_cmp(x->key, y->key);
    if (order != 0) return order;
    return x->ts == y->ts ? 0 : x->ts > y->ts ? -1 : 1;
}

/* Newest first of each key: the others go. */
void overlay_ready(struct overlay *o)
{
    size_t kept = 0;
    if (o->count > 1) qsort(o->rows, o->count, sizeof *o->rows, row_compare);
    for (size_t i = 0; i < o->count; i++) {
        const struct backup_row *last = kept > 0 ? &o->rows[kept - 1] : NULL;
        if (last != NULL && last->keyspace == o->rows[i].keyspace && slice_eq(last->key, o->rows[i].key)) continue;
        o->rows[kept++] = o->rows[i];
    }
    o->count = kept;
}

/* When there are twice as many as were left the last time, older ones of the same keys go, and with them their bytes. */
static void make_room(struct overlay *o)
{
    if (o->count < o->capacity) return;
    if (o->count >= 2 * o->settled + ROOM_FIRST) {
        struct arena fresh;
        overlay_ready(o);
        arena_init(&fresh, 1u << 16);
        for (size_t i = 0; i < o->count; i++) {
            o->rows[i].key = arena_dup_slice(&fresh, o->rows[i].key);
            o->rows[i].value = arena_dup_slice(&fresh, o->rows[i].value);
        }
        arena_free(&o->arena);
        o->arena = fresh;
        o->settled = o->count;
    }
    if (o->count * 2 < o->capacity) return;
    o->capacity = o->capacity == 0 ? ROOM_FIRST : o->capacity * 2;
    o->rows = mem_realloc(o->rows, o->capacity * sizeof *o->rows);
}

enum status overlay_add(struct overlay *o, struct slice rows)
{
    struct cursor c = cursor_make(rows);
    struct backup_row r;
    while (backup_row_next(&c, &r)) {
        if (r.ts > o->at && !MUTANT(backup_of_later)) continue;
        if (o->bounded && bound_compare(r.keyspace, r.key, &o->from) < 0) continue;
        if (o->bounded && bound_compare(r.keyspace, r.key, &o->to) >= 0) continue;
        make_room(o);
        r.key = arena_dup_slice(&o->arena, r.key);
        r.value = arena_dup_slice(&o->arena, r.value);
        o->rows[o->count++] = r;
    }
    return c.failed ? STATUS_CORRUPT : STATUS_OK;
}

static size_t first_not_below(const struct overlay *o, uint32_t keyspace, struct slice key)
{
    struct overlay_bound b = {.keyspace = keyspace, .key = key};
    size_t low = 0, high = o->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bound_compare(o->rows[middle].keyspace, o->rows[middle].key, &b) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void overlay_span(const struct overlay *o, uint32_t keyspace, struct slice start, struct slice end,
                  const struct backup_row **first, size_t *count)
{
    size_t from = first_not_below(o, keyspace, start);
    size_t to = end.size > 0 ? first_not_below(o, keyspace, end) : first_not_below(o, keyspace + 1, SLICE_EMPTY);
    ASSERT(from <= to);
    *first = o->rows + from;
    *count = to - from;
}

/* --- merging --- */

/* The chunk's next row, which must be where the chunk says that its rows are. */
static void advance(struct merged *m)
{
    const struct backup_chunk *c = m->chunk;
    m->has_row = backup_row_next(&m->rows, &m->row);
    if (m->rows.failed) m->corrupt = true;
    if (!m->has_row) return;
    const struct backup_row *r = &m->row;
    bool sound = r->keyspace == c->keyspace && r->kind != BACKUP_DELETE && r->ts <= c->ts &&
                 slice_cmp(r->key, c->start) >= 0 && (c->end.size == 0 || slice_cmp(r->key, c->end) < 0) &&
                 (m->last.size == 0 || slice_cmp(m->last, r->key) < 0);
    m->last = r->key;
    if (!sound) m->corrupt = true;
    backup_digest_row(&m->seen, r);
}

void merged_init(struct merged *m, const struct backup_chunk *chunk, struct slice body, const struct overlay *o)
{
    *m = (struct merged){.chunk = chunk, .at = o->at, .rows = cursor_make(body), .last = SLICE_EMPTY};
    overlay_span(o, chunk->keyspace, chunk->start, chunk->end, &m->over, &m->over_count);
    advance(m);
}

static bool has_ended(const struct backup_row *r, uint64_t at)
{
    return r->ttl_ms != 0 && r->ts + (r->ttl_ms << TS_COUNTER_BITS) <= at;
}

bool merged_next(struct merged *m, struct backup_row *out)
{
    while (!m->corrupt && (m->has_row || m->over_count > 0)) {
        int order = !m->has_row ? 1 : m->over_count == 0 ? -1 : slice_cmp(m->row.key, m->over->key);
        if (order < 0) {
            *out = m->row;
            advance(m);
        } else {
            *out = *m->over;
            if (order == 0 && m->row.ts >= out->ts) *out = m->row;
            bool old = order > 0 && out->ts <= m->chunk->ts; /* it was gone again when the chunk was read */
            m->over++;
            m->over_count--;
            if (order == 0) advance(m);
            if (old || out->kind == BACKUP_DELETE) continue;
        }
        if (!has_ended(out, m->at)) return true;
    }
    return false;
}
