#include "lsm/passing.h"

#include "base/assert.h"
#include "base/mem.h"

struct passing_row {
    struct list link;
    uint64_t ts;
    struct slice key, value; /* behind the struct; owned, with room to grow in */
    size_t room;
};

void passing_init(struct passing *p)
{
    list_init(&p->rows);
    p->bytes = 0;
    p->life = 1;
}

static size_t row_bytes(const struct passing_row *r)
{
    return sizeof(*r) + r->key.size + r->value.size;
}

static void unlink_row(struct passing *p, struct passing_row *r)
{
    list_remove(&r->link);
    p->bytes -= row_bytes(r);
    mem_free((void *)(uintptr_t)r->value.data);
    mem_free(r);
}

static void set_value(struct passing *p, struct passing_row *r, const struct lsm_write *w)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)r->value.data;
    p->bytes -= r->value.size;
    if (bytes == NULL || w->value.size > r->room) {
        mem_free(bytes);
        r->room = w->value.size;
        bytes = mem_alloc(r->room);
    }
    if (w->value.size > 0) memcpy(bytes, w->value.data, w->value.size);
    r->value = slice_make(bytes, w->value.size);
    r->ts = w->ts;
    p->bytes += r->value.size;
}

struct place passing_add(struct passing *p, const struct lsm_write *w)
{
    ASSERT(w->kind == LSM_PUT);
    struct passing_row *r = mem_zalloc(sizeof(*r) + w->key.size);
    uint8_t *key = (uint8_t *)(r + 1);
    memcpy(key, w->key.data, w->key.size);
    r->key = slice_make(key, w->key.size);
    list_push_back(&p->rows, &r->link);
    p->bytes += row_bytes(r);
    set_value(p, r, w);
    return (struct place){.row = r, .life = p->life};
}

bool passing_take(struct passing *p, const struct lsm_write *w, struct place place)
{
    struct passing_row *r = place.row;
    if (place.life != p->life) return false;
    ASSERT(w->ts >= r->ts);
    ASSERT_SLOW(slice_eq(r->key, w->key));
    if (w->kind == LSM_DELETE) {
        unlink_row(p, r);
    } else {
        set_value(p, r, w);
    }
    return true;
}

void passing_settle(struct passing *p, struct memtable *m)
{
    LIST_FOR(it, &p->rows)
    {
        struct passing_row *r = LIST_ENTRY(it, struct passing_row, link);
        struct lsm_write w = {.kind = LSM_PUT, .key = r->key, .ts = r->ts, .value = r->value};
        memtable_put(m, &w, bloom_hash(r->key), NULL);
        unlink_row(p, r);
    }
    ASSERT(p->bytes == 0);
    p->life++;
}

void passing_free(struct passing *p)
{
    LIST_FOR(it, &p->rows) unlink_row(p, LIST_ENTRY(it, struct passing_row, link));
}
