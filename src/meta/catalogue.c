#include "meta/catalogue.h"

#include "base/hash.h"
#include "base/mem.h"
#include "wire/messages.h"

#define PACKED_MAX (LIMIT_FRAME_BYTES / 2)

void meta_catalogue_init(struct meta_catalogue *c)
{
    *c = (struct meta_catalogue){.stale = true};
    buf_init(&c->packed, PACKED_MAX);
}

static void free_slice(struct slice s)
{
    mem_free((void *)(uintptr_t)s.data);
}

void meta_catalogue_clear(struct meta_catalogue *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free_slice(c->rows[i].key);
        free_slice(c->rows[i].value);
    }
    mem_free(c->rows);
    buf_free(&c->packed);
    meta_catalogue_init(c);
}

/* The first row whose key is not below. */
static size_t place_of(const struct meta_catalogue *c, struct slice key)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(c->rows[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void make_room(struct meta_catalogue *c, size_t at)
{
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 16 : c->capacity * 2;
        c->rows = mem_realloc(c->rows, c->capacity * sizeof *c->rows);
    }
    memmove(c->rows + at + 1, c->rows + at, (c->count - at) * sizeof *c->rows);
    c->count++;
}

void meta_catalogue_row(struct meta_catalogue *c, struct slice key, struct slice value, bool is_delete)
{
    if (key.size == 0 || memchr("bcfhknpsx", key.data[0], 9) == NULL) return;
    size_t at = place_of(c, key);
    bool found = at < c->count && slice_eq(c->rows[at].key, key);
    c->stale = true;
    if (found) {
        free_slice(c->rows[at].value);
    } else if (!is_delete) {
        make_room(c, at);
        c->rows[at].key = mem_dup_slice(key);
    }
    if (!is_delete) {
        c->rows[at].value = mem_dup_slice(value);
    } else if (found) {
        free_slice(c->rows[at].key);
        c->count--;
        memmove(c->rows + at, c->rows + at + 1, (c->count - at) * sizeof *c->rows);
    }
}

struct slice meta_catalogue_packed(struct meta_catalogue *c, uint64_t *hash)
{
    if (c->stale) {
        buf_clear(&c->packed);
        pack_catalogue_rows(&c->packed, &(struct catalogue_rows){.rows = c->rows, .row_count = c->count});
        if (c->packed.overflow) buf_clear(&c->packed);
        c->hash = c->packed.size == 0 ? 0 : hash_bytes(buf_slice(&c->packed), 0);
        c->stale = false;
    }
    *hash = c->hash;
    return buf_slice(&c->packed);
}
