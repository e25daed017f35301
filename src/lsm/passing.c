#include "lsm/passing.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "lsm/bloom.h"

enum { CACHE_LINE = 64 };

struct passing_row {
    struct list link;
    struct passing_row *same_hash;
    uint64_t hash, ts;
    struct slice key, value; /* behind the struct; owned, with room to grow in */
    size_t room;
};

void passing_init(struct passing *p)
{
    map_init(&p->by_hash);
    list_init(&p->rows);
    p->bytes = 0;
}

static size_t row_bytes(const struct passing_row *r)
{
    return sizeof(*r) + r->key.size + r->value.size;
}

static struct passing_row *find(const struct passing *p, struct slice key, uint64_t hash)
{
    struct passing_row *r = map_get(&p->by_hash, hash);
    while (r != NULL && !slice_eq(r->key, key)) r = r->same_hash;
    return r;
}

static void unlink_row(struct passing *p, struct passing_row *r)
{
    struct passing_row *first = map_get(&p->by_hash, r->hash);
    if (first == r && r->same_hash == NULL) {
        (void)map_remove(&p->by_hash, r->hash);
    } else if (first == r) {
        (void)map_put(&p->by_hash, r->hash, r->same_hash);
    } else {
        while (first->same_hash != r) first = first->same_hash;
        first->same_hash = r->same_hash;
    }
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

static void add_row(struct passing *p, const struct lsm_write *w, uint64_t hash)
{
    struct passing_row *r = mem_zalloc(sizeof(*r) + w->key.size);
    uint8_t *key = (uint8_t *)(r + 1);
    memcpy(key, w->key.data, w->key.size);
    r->key = slice_make(key, w->key.size);
    r->hash = hash;
    r->same_hash = map_put(&p->by_hash, hash, r);
    list_push_back(&p->rows, &r->link);
    p->bytes += row_bytes(r);
    set_value(p, r, w);
}

bool passing_take(struct passing *p, const struct lsm_write *w, bool is_new)
{
    uint64_t hash = hash_bytes(w->key, 0);
    struct passing_row *r = find(p, w->key, hash);
    if (r == NULL && !is_new) return false;
    if (w->kind == LSM_DELETE) {
        ASSERT(r != NULL);
        unlink_row(p, r);
    } else if (r != NULL) {
        ASSERT(w->ts >= r->ts);
        set_value(p, r, w);
    } else {
        add_row(p, w, hash);
    }
    return true;
}

void passing_soon(const struct passing *p, struct slice key, bool next)
{
    uint64_t hash = hash_bytes(key, 0);
    if (!next) {
        map_soon(&p->by_hash, hash);
        return;
    }
    const struct passing_row *r = map_get(&p->by_hash, hash);
    if (r == NULL) return;
    __builtin_prefetch(r);
    __builtin_prefetch((const uint8_t *)r + CACHE_LINE);
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
}

void passing_free(struct passing *p)
{
    LIST_FOR(it, &p->rows) unlink_row(p, LIST_ENTRY(it, struct passing_row, link));
    map_free(&p->by_hash);
}
