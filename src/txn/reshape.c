/* Held transactions of a range that splits or merges: docs/ranges.md. Rows only; the tables are loaded from them anew. */
#include "base/assert.h"
#include "base/mutant.h"
#include "txn/table_int.h"

#include <stdlib.h>

struct side {
    bool left, right;
};

static int by_id(const void *a, const void *b)
{
    const struct held *const *x = a, *const *y = b;
    return memcmp((*x)->id.bytes, (*y)->id.bytes, TXN_ID_BYTES);
}

/* All of them in the order of their ids: the same on every replica, however its table came about. */
static const struct held **in_order(const struct txn_table *t, struct arena *arena)
{
    const struct held **all = arena_alloc(arena, (t->count + 1) * sizeof(*all));
    size_t count = 0;
    void *first;
    uint64_t key;
    for (size_t it = 0; map_next(&t->by_id, &it, &key, &first);) {
        for (const struct held *h = first; h != NULL; h = h->same_hash) all[count++] = h;
    }
    ASSERT(count == t->count);
    if (count > 1) qsort(all, count, sizeof(*all), by_id);
    return all;
}

/* Whether somebody will ask for it by its lowest key, and which that is: Decide and Seal while it is prepared, then Forget. */
static bool asked_for(const struct held *h, struct arena *arena, struct slice *low)
{
    struct held_row r;
    struct txn_prepare p;
    *low = SLICE_EMPTY;
    if (held_row_decode(slice_make(h->row, h->row_size), arena, &r) != STATUS_OK) BUG("a held row that is installed");
    if (h->state != HELD_PREPARED) {
        *low = r.low;
        return h->state == HELD_SETTLED || r.spans.size > 0;
    }
    if (txn_prepare_decode(r.prepare, arena, &p) != STATUS_OK) BUG("a prepare that was stored");
    size_t part = txn_part_number(&h->id);
    if (part >= p.span_count) return false;
    *low = p.spans[part].low;
    return true;
}

/* Where it must be found: beside all that it holds, and where it is asked for. A tombstone is good on both sides, and goes by itself;
 * what nobody asks for and holds nothing stays on the left. */
static struct side side_of(const struct held *h, const struct txn_cut *cut, struct slice bound, struct arena *arena)
{
    struct side s = {false, false};
    struct slice low;
    if (h->state == HELD_ABORTED) return (struct side){true, true};
    for (size_t i = 0; i < h->hold_count; i++) {
        if (h->holds[i].at == NULL) continue;
        bool below = slice_cmp(h->holds[i].at->key, bound) < 0;
        s.left = s.left || below;
        s.right = s.right || !below;
    }
    for (const struct stretch_hold *x = h->stretches; x != NULL; x = x->next) {
        s.left = s.left || slice_cmp(x->stretch.from, bound) < 0;
        s.right = s.right || slice_cmp(x->stretch.to, bound) > 0;
    }
    bool held = s.left || s.right;
    if (asked_for(h, arena, &low) && !(held && MUTANT(cut_away_from_forget))) {
        bool below = slice_cmp(low, cut->right_start) < 0;
        s.left = s.left || below;
        s.right = s.right || !below;
    }
    if (!s.left && !s.right) s.left = true;
    return s;
}

static void put(struct txn_writes *w, struct txn_write one)
{
    one.by_index = true;
    w->items[w->count++] = one;
}

static struct slice row_key(const struct txn_cut *cut, struct arena *arena, const struct held *h, bool right)
{
    return key_make_held(arena, cut->keyspace, right ? cut->right_start : cut->left_start, &h->id);
}

enum status txn_table_cut(const struct txn_table *t, const struct txn_cut *cut, struct arena *arena,
                          struct txn_writes *writes)
{
    const struct held **all = in_order(t, arena);
    struct slice bound = key_make_data(arena, cut->keyspace, cut->right_start);
    bound.size--; /* without the row type: before all rows of the key */
    *writes = (struct txn_writes){.items = arena_alloc(arena, (2 * t->count + 2) * sizeof(*writes->items))};
    for (size_t i = 0; i < t->count; i++) {
        const struct held *h = all[i];
        struct side s = side_of(h, cut, bound, arena);
        if (s.left && s.right && h->state != HELD_ABORTED) {
            COVER("txn.cut_across");
            writes->count = 0;
            return STATUS_RETRY;
        }
        if (s.right) {
            put(writes, (struct txn_write){.ts = cut->right_version,
                                           .key = row_key(cut, arena, h, true),
                                           .value = arena_dup_slice(arena, slice_make(h->row, h->row_size))});
        }
        if (!s.left) {
            COVER("txn.cut_moves_held");
            put(writes, (struct txn_write){.is_delete = true,
                                           .ts = cut->left_version,
                                           .key = row_key(cut, arena, h, false),
                                           .value = SLICE_EMPTY});
        }
    }
    return STATUS_OK;
}

/* Both have one of the same id: a tombstone of both; or, where one that was forgotten moved with adds that wait, one that a late Seal left
 * where it had been. What waits stands. */
void txn_table_join(const struct txn_table *left, const struct txn_table *right, const struct txn_cut *cut,
                    struct arena *arena, struct txn_writes *writes)
{
    const struct held **all = in_order(right, arena);
    *writes = (struct txn_writes){.items = arena_alloc(arena, (2 * right->count + 2) * sizeof(*writes->items))};
    for (size_t i = 0; i < right->count; i++) {
        const struct held *h = all[i];
        const struct held *same = table_find(left, &h->id);
        if (same != NULL) ASSERT(same->state == HELD_ABORTED || h->state == HELD_ABORTED);
        if (same == NULL || same->state == HELD_ABORTED) {
            put(writes, (struct txn_write){.ts = cut->left_version,
                                           .key = row_key(cut, arena, h, false),
                                           .value = arena_dup_slice(arena, slice_make(h->row, h->row_size))});
        }
        put(writes, (struct txn_write){.is_delete = true,
                                       .ts = cut->right_version,
                                       .key = row_key(cut, arena, h, true),
                                       .value = SLICE_EMPTY});
    }
}
