#include "txn/feed.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdlib.h>

struct feed_item {
    struct feed_change change;
    size_t bytes;
};

struct feed *feed_new(bool is_window, size_t budget)
{
    struct feed *f = mem_zalloc(sizeof(*f));
    f->is_window = is_window;
    f->budget = budget;
    f->base = FEED_UNKNOWN;
    f->cut = FEED_UNKNOWN;
    return f;
}

void feed_free(struct feed *f)
{
    if (f == NULL) return;
    for (size_t i = 0; i < f->count; i++) mem_free(f->items[f->head + i]);
    mem_free(f->items);
    mem_free(f);
}

static int compare(const struct feed_change *a, const struct feed_change *b)
{
    if (a->ts != b->ts) return a->ts < b->ts ? -1 : 1;
    return slice_cmp(a->key, b->key);
}

void feed_check(const struct feed *f)
{
    size_t bytes = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct feed_item *item = f->items[f->head + i];
        bytes += item->bytes;
        if (i > 0) ASSERT(compare(&f->items[f->head + i - 1]->change, &item->change) < 0);
        if (!f->is_window) ASSERT(item->change.ts > f->evicted);
    }
    ASSERT(bytes == f->bytes);
}

/* --- filling --- */

static struct feed_item *item_new(struct slice key, bool is_delete, const struct row *row, uint64_t ts)
{
    char text[I128_TEXT_MAX];
    struct slice value = is_delete ? SLICE_EMPTY : row_value(row, text);
    size_t bytes = sizeof(struct feed_item) + key.size + value.size;
    struct feed_item *item = mem_alloc(bytes);
    uint8_t *at = (uint8_t *)(item + 1);
    if (key.size > 0) memcpy(at, key.data, key.size);
    if (value.size > 0) memcpy(at + key.size, value.data, value.size);
    item->bytes = bytes;
    item->change = (struct feed_change){.ts = ts,
                                        .is_delete = is_delete,
                                        .is_counter = !is_delete && row->format == ROW_COUNTER,
                                        .key = slice_make(at, key.size),
                                        .value = slice_make(at + key.size, value.size),
                                        .ttl_ms = is_delete ? 0 : row->ttl_ms};
    return item;
}

static void make_room(struct feed *f)
{
    if (f->head + f->count < f->capacity) return;
    if (f->head > f->count) {
        memmove(f->items, f->items + f->head, f->count * sizeof(*f->items));
        f->head = 0;
        return;
    }
    f->capacity = f->capacity == 0 ? 64 : f->capacity * 2;
    f->items = mem_realloc(f->items, f->capacity * sizeof(*f->items));
}

static void drop_first(struct feed *f)
{
    struct feed_item *item = f->items[f->head++];
    f->count--;
    f->bytes -= item->bytes;
    f->evicted = item->change.ts;
    mem_free(item);
}

/* Oldest transactions go until the budget is kept; the newest one stays, however large. */
static void ring_trim(struct feed *f)
{
    while (f->bytes > f->budget && f->items[f->head]->change.ts != f->items[f->head + f->count - 1]->change.ts) {
        uint64_t ts = f->items[f->head]->change.ts;
        while (f->count > 0 && f->items[f->head]->change.ts == ts) drop_first(f);
    }
}

/* Newest transactions go; the oldest one stays, however large. */
static void window_trim(struct feed *f)
{
    while (f->bytes > f->budget && f->items[f->head]->change.ts != f->items[f->head + f->count - 1]->change.ts) {
        f->cut = f->items[f->head + f->count - 1]->change.ts;
        while (f->items[f->head + f->count - 1]->change.ts == f->cut) {
            struct feed_item *item = f->items[f->head + --f->count];
            f->bytes -= item->bytes;
            mem_free(item);
        }
    }
}

/* Timestamps rise along a log but for what a decision brings: so the place is near the end. */
static void ring_insert(struct feed *f, struct feed_item *item)
{
    make_room(f);
    size_t at = f->head + f->count;
    while (at > f->head && compare(&f->items[at - 1]->change, &item->change) > 0) {
        f->items[at] = f->items[at - 1];
        at--;
    }
    f->items[at] = item;
    f->count++;
    f->bytes += item->bytes;
}

void feed_take(struct feed *f, struct slice store_key, bool is_delete, struct slice stored, uint64_t ts)
{
    struct buf user;
    uint32_t keyspace;
    enum row_type type;
    struct row row = {.raw = SLICE_EMPTY};
    if (f->is_window ? ts >= f->cut : ts <= f->evicted) return;
    buf_init(&user, LIMIT_KEY_BYTES + 1);
    bool ours = key_decode(store_key, &keyspace, &user, &type) == STATUS_OK && type == ROW_DATA;
    if (ours && !is_delete) ours = row_decode(stored, &row) == STATUS_OK;
    if (ours) {
        struct feed_item *item = item_new(buf_slice(&user), is_delete, &row, ts);
        if (f->is_window) {
            make_room(f);
            f->items[f->head + f->count++] = item;
            f->bytes += item->bytes;
            if (f->bytes > f->budget * 2) feed_sort(f);
        } else {
            ring_insert(f, item);
            ring_trim(f);
        }
    }
    buf_free(&user);
}

static int compare_items(const void *a, const void *b)
{
    const struct feed_item *const *x = a, *const *y = b;
    return compare(&(*x)->change, &(*y)->change);
}

void feed_sort(struct feed *f)
{
    if (f->count > 1) qsort(f->items + f->head, f->count, sizeof(*f->items), compare_items);
    if (f->is_window && f->count > 0) window_trim(f);
}

uint64_t feed_floor(const struct feed *f)
{
    if (f->base == FEED_UNKNOWN) return FEED_UNKNOWN;
    return f->evicted > f->base ? f->evicted : f->base;
}

uint64_t feed_newest(const struct feed *f)
{
    return f->count > 0 ? f->items[f->head + f->count - 1]->change.ts : 0;
}

bool feed_has_room(const struct feed *ring, const struct feed *window, uint64_t after)
{
    return window->cut == FEED_UNKNOWN && ring->evicted <= after && ring->bytes + window->bytes <= ring->budget;
}

void feed_join(struct feed *ring, struct feed *window, uint64_t after)
{
    ASSERT(window->is_window && window->cut == FEED_UNKNOWN && !ring->is_window);
    for (size_t i = 0; i < window->count; i++) {
        struct feed_item *item = window->items[window->head + i];
        if (item->change.ts <= ring->evicted) {
            mem_free(item);
            continue;
        }
        make_room(ring);
        ring->items[ring->head + ring->count++] = item;
        ring->bytes += item->bytes;
    }
    window->count = 0;
    feed_free(window);
    feed_sort(ring);
    size_t kept = 0;
    for (size_t i = 0; i < ring->count; i++) { /* what was applied meanwhile is in both */
        struct feed_item *item = ring->items[ring->head + i];
        if (kept > 0 && compare(&ring->items[ring->head + kept - 1]->change, &item->change) == 0) {
            ring->bytes -= item->bytes;
            mem_free(item);
        } else {
            ring->items[ring->head + kept++] = item;
        }
    }
    ring->count = kept;
    ring->base = after;
    if (kept > 0) ring_trim(ring);
}

/* --- reading --- */

static size_t first_above(const struct feed *f, uint64_t ts)
{
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (f->items[f->head + middle]->change.ts > ts)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

size_t feed_read(const struct feed *f, uint64_t after, uint64_t *upto, struct slice start, struct slice end,
                 size_t limit_bytes, struct arena *arena, struct feed_change **out)
{
    size_t from = first_above(f, after), to = first_above(f, *upto), count = 0, bytes = 0;
    uint64_t last = 0;
    *out = arena_alloc(arena, (to > from ? to - from : 0) * sizeof(**out));
    for (size_t i = from; i < to; i++) {
        const struct feed_change *c = &f->items[f->head + i]->change;
        if (slice_cmp(c->key, start) < 0 || (end.size > 0 && slice_cmp(c->key, end) >= 0)) continue;
        if (bytes > limit_bytes && c->ts != last) {
            *upto = last;
            break;
        }
        (*out)[count++] = *c;
        bytes += c->key.size + c->value.size + 16;
        last = c->ts;
    }
    return count;
}
