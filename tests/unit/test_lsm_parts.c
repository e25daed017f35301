#include "lib/lsm_rows.h"

#include "base/mem.h"
#include "lsm/block.h"
#include "lsm/bloom.h"
#include "lsm/cache.h"
#include "lsm/gc.h"
#include "lsm/memtable.h"
#include "lsm/pick.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* --- memtable --- */

static void shuffle(struct lsm_rows *rows, uint32_t *order, unsigned how)
{
    for (uint32_t i = 0; i < rows->count; i++) order[i] = how == 1 ? (uint32_t)rows->count - 1 - i : i;
    for (size_t i = rows->count; how == 2 && i > 1; i--) {
        size_t k = (size_t)prng_below(&rows->prng, i);
        uint32_t swap = order[k];
        order[k] = order[i - 1];
        order[i - 1] = swap;
    }
}

/* Every second memtable is told where rows will go, some time before they do. */
static void put_placed(struct memtable *m, const struct lsm_rows *rows, const uint32_t *order, size_t i, bool told)
{
    enum { AHEAD = 8 };
    static struct memtable_place places[AHEAD];
    for (size_t k = i == 0 ? 0 : i + AHEAD - 1; told && k < i + AHEAD && k < rows->count; k++) {
        const struct lsm_write *w = &rows->rows[order[k]];
        memtable_place(m, w->key, w->ts, &places[k % AHEAD]);
    }
    const struct lsm_write *w = &rows->rows[order[i]];
    memtable_put(m, w, bloom_hash(w->key), told ? &places[i % AHEAD] : NULL);
}

START_TEST(a_memtable_agrees_with_an_array)
{
    struct lsm_rows *rows = lsm_rows_new((uint64_t)_i, 5000, _i % 4 == 0 ? 4 : 3000);
    uint32_t *order = mem_alloc(rows->count * sizeof(*order));
    shuffle(rows, order, (unsigned)_i % 3);
    struct memtable *m = memtable_new(4096, NULL, 1);
    for (size_t i = 0; i < rows->count; i++) {
        struct lsm_write w = rows->rows[order[i]];
        if (i % 10 == 0) { /* replaced by the same row right after */
            w.value = slice_str("first");
            memtable_put(m, &w, bloom_hash(w.key), NULL);
        }
        put_placed(m, rows, order, i, _i % 2 == 0);
        if (i % 997 == 0) memtable_check(m);
    }
    memtable_check(m);
    ck_assert_uint_eq(m->rows, rows->count);
    struct memtable_cursor c;
    struct lsm_write row;
    size_t at = 0;
    for (memtable_seek(m, SLICE_EMPTY, LSM_TS_MAX, &c); memtable_cursor_valid(&c); memtable_next(&c), at++) {
        memtable_row(&c, &row);
        ck_assert(lsm_rows_equal(&row, &rows->rows[at]));
    }
    ck_assert_uint_eq(at, rows->count);
    for (memtable_seek_last(m, &c); memtable_cursor_valid(&c); memtable_prev(&c)) {
        memtable_row(&c, &row);
        ck_assert(lsm_rows_equal(&row, &rows->rows[--at]));
    }
    ck_assert_uint_eq(at, 0);
    for (unsigned round = 0; round < 5000; round++) {
        uint64_t ts;
        struct slice key = lsm_rows_random_key(rows, &ts);
        at = lsm_rows_lower(rows, key, ts);
        memtable_seek(m, key, ts, &c);
        ck_assert(memtable_cursor_valid(&c) == (at < rows->count));
        if (at < rows->count) memtable_row(&c, &row);
        if (at < rows->count) ck_assert(lsm_rows_equal(&row, &rows->rows[at]));
        bool there = at < rows->count && slice_eq(rows->rows[at].key, key);
        ck_assert(memtable_get(m, key, bloom_hash(key), ts, &row) == there);
        if (there) ck_assert(lsm_rows_equal(&row, &rows->rows[at]));
        memtable_seek_before(m, key, ts, &c);
        ck_assert(memtable_cursor_valid(&c) == (at > 0));
        if (at > 0) memtable_row(&c, &row);
        if (at > 0) ck_assert(lsm_rows_equal(&row, &rows->rows[at - 1]));
    }
    memtable_unref(m);
    mem_free(order);
    lsm_rows_free(rows);
}
END_TEST

START_TEST(a_memtable_counts_a_range)
{
    struct lsm_rows *rows = lsm_rows_new(4, 3000, 2000);
    struct memtable *m = memtable_new(4096, NULL, 1);
    for (size_t i = 0; i < rows->count; i++) memtable_put(m, &rows->rows[i], bloom_hash(rows->rows[i].key), NULL);
    for (unsigned round = 0; round < 300; round++) {
        struct slice lower, upper;
        lsm_rows_random_bounds(rows, &lower, &upper);
        size_t want = lsm_rows_lower(rows, upper, LSM_TS_MAX) - lsm_rows_lower(rows, lower, LSM_TS_MAX);
        ck_assert_uint_eq(memtable_estimate(m, lower, upper), want);
    }
    memtable_unref(m);
    lsm_rows_free(rows);
}
END_TEST

/* --- blocks --- */

static struct slice build_block(struct block_builder *b, const struct lsm_rows *rows)
{
    block_builder_init(b);
    for (size_t i = 0; i < rows->count; i++) block_builder_add(b, &rows->rows[i]);
    return block_builder_finish(b);
}

START_TEST(a_block_agrees_with_an_array)
{
    struct lsm_rows *rows = lsm_rows_new((uint64_t)_i, 1 + 13 * (unsigned)_i, _i % 3 == 0 ? 2 : 100);
    struct block_builder builder;
    struct block b;
    ck_assert(block_parse(build_block(&builder, rows), &b));
    struct block_cursor c = {.block = NULL};
    for (unsigned round = 0; round < 200; round++) {
        uint64_t ts;
        struct slice key = lsm_rows_random_key(rows, &ts);
        size_t at = lsm_rows_lower(rows, key, ts);
        struct lsm_write found;
        enum status s = block_get(&b, key, ts, &found);
        bool there = at < rows->count && slice_eq(rows->rows[at].key, key);
        ck_assert_int_eq(s, there ? STATUS_OK : at < rows->count ? STATUS_NOT_FOUND : STATUS_END);
        if (there) ck_assert(lsm_rows_equal(&found, &rows->rows[at]));
        s = block_seek(&c, &b, key, ts);
        for (; s == STATUS_OK; at++, s = block_next(&c)) ck_assert(lsm_rows_equal(&c.row, &rows->rows[at]));
        ck_assert_int_eq(s, STATUS_END);
        ck_assert_uint_eq(at, rows->count);
        at = lsm_rows_lower(rows, key, ts);
        s = block_seek_before(&c, &b, key, ts);
        for (; s == STATUS_OK; at--, s = block_prev(&c)) ck_assert(lsm_rows_equal(&c.row, &rows->rows[at - 1]));
        ck_assert_int_eq(s, STATUS_END);
        ck_assert_uint_eq(at, 0);
    }
    block_cursor_free(&c);
    block_builder_free(&builder);
    lsm_rows_free(rows);
}
END_TEST

/* Whatever the bytes are - a checksum can be right over nonsense - reading ends, inside the bytes. */
START_TEST(a_block_of_garbage_is_survived)
{
    struct lsm_rows *rows = lsm_rows_new((uint64_t)_i, 60, 40);
    struct block_builder builder;
    struct slice good = build_block(&builder, rows);
    for (unsigned round = 0; round < 3000; round++) {
        size_t size = prng_chance(&rows->prng, 1, 4) ? (size_t)prng_below(&rows->prng, good.size + 1) : good.size;
        uint8_t *bytes = mem_alloc(size); /* exactly sized: the sanitizer sees each step outside */
        memcpy(bytes, good.data, size);
        for (unsigned k = 0; k < 1 + round % 4 && size > 0; k++) {
            bytes[prng_below(&rows->prng, size)] = (uint8_t)prng_next(&rows->prng);
            if (round % 2 == 0)
                bytes[size - 1 - prng_below(&rows->prng, size < 30 ? size : 30)] = (uint8_t)prng_next(&rows->prng);
        }
        struct block b;
        struct block_cursor c = {.block = NULL};
        if (block_parse(slice_make(bytes, size), &b)) {
            uint64_t ts;
            unsigned steps = 0;
            for (enum status s = block_first(&c, &b); s == STATUS_OK; s = block_next(&c))
                ck_assert_uint_lt(steps++, 100000);
            for (enum status s = block_last(&c, &b); s == STATUS_OK && steps < 1000; s = block_prev(&c)) steps++;
            struct slice key = lsm_rows_random_key(rows, &ts);
            struct lsm_write found;
            if (block_get(&b, key, ts, &found) == STATUS_OK) ck_assert_uint_le(found.value.size, size);
            if (block_seek(&c, &b, key, ts) == STATUS_OK) ck_assert_uint_gt(c.row.key.size, 0);
        }
        block_cursor_free(&c);
        mem_free(bytes);
    }
    block_builder_free(&builder);
    lsm_rows_free(rows);
}
END_TEST

/* --- cache --- */

#define ROOM 960u

static struct table *table_of_blocks(uint32_t count)
{
    struct table *t = mem_zalloc(sizeof(*t));
    t->block_count = count;
    t->slots = mem_zalloc(count * sizeof(struct cache_entry *));
    t->blocks = mem_zalloc(count * sizeof(*t->blocks));
    return t;
}

static void insert(struct cache *c, const struct table *t, uint32_t at, size_t size)
{
    t->blocks[at].size = (uint32_t)size;
    struct cache_entry *e = cache_load_begin(c, t, at);
    const struct block b = {.raw_size = (uint32_t)size};
    ck_assert_int_eq(e->room.size > 0, size <= ROOM);
    cache_load_end(c, e, size <= ROOM ? e->room.data : mem_alloc(size), &b);
}

static bool use(struct cache *c, const struct table *t, uint32_t at)
{
    struct cache_entry *e = cache_get(c, t, at);
    if (e != NULL) cache_release(e);
    return e != NULL;
}

static void use_or_insert(struct cache *c, const struct table *t, uint32_t at)
{
    if (!use(c, t, at)) {
        insert(c, t, at, at % 3 == 0 ? 1000 : 900); /* some fit behind their entries */
        ck_assert(use(c, t, at));
    }
    cache_pass(c);
    cache_check(c);
    ck_assert_uint_le(c->bytes, 200000 + 2000);
}

/* What is read once passes through; what is read again comes to stay, in place of what nobody uses. */
START_TEST(a_cache_keeps_to_its_budget_and_what_is_used)
{
    struct cache c;
    struct table *t = table_of_blocks(2000);
    cache_init(&c, 200000, ROOM);
    for (uint32_t i = 0; i < 1000; i++) use_or_insert(&c, t, i);
    ck_assert_uint_gt(c.count, 150);
    for (uint32_t i = 0; i < 80; i++) ck_assert_msg(use(&c, t, i), "block %u was turned out by others read once", i);
    for (unsigned round = 0; round < 8; round++) {
        for (uint32_t i = 1000; i < 1120; i++) {
            use_or_insert(&c, t, i);
            ck_assert(use(&c, t, 3)); /* used all the time */
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 1000; i < 1120; i++) kept += use(&c, t, i) ? 1 : 0;
    ck_assert_uint_ge(kept, 100);
    for (uint32_t i = 1120; i < 2000; i++) use_or_insert(&c, t, i);
    uint32_t after = 0;
    for (uint32_t i = 1000; i < 1120; i++) after += use(&c, t, i) ? 1 : 0;
    ck_assert_uint_ge(after + CACHE_FLOOR, kept);
    cache_free(&c);
    mem_free(t->blocks);
    mem_free(t->slots);
    mem_free(t);
}
END_TEST

/* Progress with no budget at all: what was loaded for somebody stays until it was looked at, but not for ever. */
START_TEST(a_block_waited_for_is_held)
{
    struct cache c;
    struct table *t = table_of_blocks(1000);
    cache_init(&c, 0, ROOM);
    for (uint32_t i = 0; i < 500; i++) insert(&c, t, i, 100);
    for (uint32_t i = 0; i < 500; i++) {
        struct cache_entry *e = cache_get(&c, t, i);
        ck_assert_ptr_nonnull(e);
        cache_release(e);
    }
    for (uint32_t i = 500; i < 1000; i++) {
        insert(&c, t, i, 100);
        cache_pass(&c);
    }
    cache_check(&c);
    ck_assert_uint_le(c.count, CACHE_FLOOR + CACHE_HOLD_PASSES + 2);
    cache_free(&c);
    mem_free(t->blocks);
    mem_free(t->slots);
    mem_free(t);
}
END_TEST

START_TEST(a_block_in_use_is_not_evicted)
{
    struct cache c;
    struct table *t = table_of_blocks(1000);
    cache_init(&c, 0, ROOM);
    insert(&c, t, 0, 100);
    struct cache_entry *e = cache_get(&c, t, 0);
    for (uint32_t i = 1; i < 500; i++) {
        insert(&c, t, i, 100);
        cache_release(cache_get(&c, t, i));
    }
    ck_assert_ptr_eq(t->slots[0], e);
    cache_release(e);
    cache_forget(&c, t);
    ck_assert_uint_eq(c.count, 0);
    ck_assert_ptr_null(t->slots[0]);
    cache_free(&c);
    mem_free(t->blocks);
    mem_free(t->slots);
    mem_free(t);
}
END_TEST

/* Beyond CACHE_SMALL_BYTES entries lie in large pages: none is in two places, and a page goes with its last entry. */
START_TEST(large_caches_lie_in_pages)
{
    enum { BLOCKS = 6000, BUDGET = 12 << 20 };
    struct cache c;
    struct prng p;
    struct table *t = table_of_blocks(BLOCKS);
    prng_init(&p, 9);
    cache_init(&c, BUDGET, 4096);
    for (unsigned i = 0; i < 40000; i++) {
        uint32_t at = (uint32_t)prng_below(&p, BLOCKS);
        struct cache_entry *e = cache_get(&c, t, at);
        if (e == NULL) {
            t->blocks[at].size = prng_chance(&p, 1, 50) ? 6000 : 3000;
            e = cache_load_begin(&c, t, at);
            bool large = e->room.size == 0;
            uint8_t *raw = large ? mem_alloc(6000) : e->room.data;
            memset(raw, (int)(at % 251), large ? 6000 : 4096);
            cache_load_end(&c, e, raw, &(struct block){.data = raw, .raw_size = large ? 6000 : 4096});
            e = cache_get(&c, t, at);
        }
        ck_assert_uint_eq(e->block.data[0], at % 251);
        ck_assert_uint_eq(e->block.data[4095], at % 251);
        cache_release(e);
    }
    cache_check(&c);
    ck_assert_uint_le(c.outside * c.slot_bytes, CACHE_SMALL_BYTES + c.slot_bytes);
    ck_assert_uint_gt(c.bytes, 8u << 20);
    ck_assert_uint_le(c.bytes, BUDGET);
    cache_forget(&c, t);
    ck_assert(list_empty(&c.pages));
    ck_assert_uint_le(c.outside, CACHE_SPARE_MAX);
    cache_free(&c);
    mem_free(t->blocks);
    mem_free(t->slots);
    mem_free(t);
}
END_TEST

/* --- gc --- */

static bool keep(struct gc *g, const char *key, uint64_t ts, enum lsm_kind kind)
{
    struct lsm_write w = {kind, slice_str(key), ts, SLICE_EMPTY, false};
    return gc_keep(g, &w);
}

START_TEST(gc_drops_what_nobody_at_the_safepoint_sees)
{
    struct version v = {.refs = 1};
    struct gc g;
    gc_init(&g, 100, &v, 1, false);
    ck_assert(keep(&g, "a", 300, LSM_PUT));
    ck_assert(keep(&g, "a", 200, LSM_DELETE));
    ck_assert(keep(&g, "a", 100, LSM_PUT)); /* the one that a reader at 100 sees */
    ck_assert(!keep(&g, "a", 99, LSM_PUT));
    ck_assert(!keep(&g, "a", 98, LSM_DELETE));
    ck_assert(keep(&g, "b", 101, LSM_DELETE));
    ck_assert(!keep(&g, "b", 50, LSM_DELETE)); /* nothing lies deeper */
    ck_assert(!keep(&g, "b", 40, LSM_PUT));
    ck_assert(keep(&g, "c", 40, LSM_PUT));
    ck_assert_uint_eq(g.dropped, 4);
    gc_free(&g);
}
END_TEST

static uint64_t expires_at_value(struct slice key, uint64_t ts, struct slice value)
{
    (void)key;
    (void)ts;
    return value.size == 0 ? UINT64_MAX : value.data[0];
}

static bool keep_until(struct gc *g, const char *key, uint64_t ts, uint8_t end)
{
    const struct lsm_write w = {LSM_PUT, slice_str(key), ts, slice_make(&end, 1), false};
    return gc_keep(g, &w);
}

START_TEST(gc_drops_what_has_ended_below_safepoint_and_horizon)
{
    struct version v = {.refs = 1};
    struct lsm_horizon horizons[] = {{slice_str("b"), 50}, {slice_str("d"), 200}};
    struct gc g;
    gc_init(&g, 100, &v, 1, false);
    g.expires = expires_at_value;
    g.horizons = horizons_new(horizons, 2);
    ck_assert(keep_until(&g, "a", 10, 20)); /* before the first horizon */
    ck_assert(!keep_until(&g, "b", 10, 50));
    ck_assert(keep_until(&g, "c", 10, 51)); /* entries with lower timestamps may come */
    ck_assert(!keep_until(&g, "d", 20, 100));
    ck_assert(!keep_until(&g, "d", 10, 250)); /* hidden by the one that has ended */
    ck_assert(keep_until(&g, "e", 10, 101));  /* readers at the safepoint see it */
    ck_assert(keep_until(&g, "f", 101, 90));  /* newer than the safepoint */
    gc_free(&g);
}
END_TEST

/* --- picking --- */

struct world {
    struct table tables[64];
    struct lsm_file files[64];
    struct lsm_file *list[64];
    char bounds[64][2][16];
    size_t count;
};

static void add_file(struct world *w, uint32_t level, uint64_t run, unsigned from, unsigned to, uint64_t bytes)
{
    size_t i = w->count++;
    (void)snprintf(w->bounds[i][0], 16, "%04u", from);
    (void)snprintf(w->bounds[i][1], 16, "%04u", to);
    w->files[i] = (struct lsm_file){.id = i + 1,
                                    .table = &w->tables[i],
                                    .level = level,
                                    .run = run,
                                    .lower = slice_str(w->bounds[i][0]),
                                    .upper = slice_str(w->bounds[i][1]),
                                    .bytes = bytes,
                                    .refs = 1000};
    w->list[i] = &w->files[i];
}

static bool picks_shape(struct world *w, enum lsm_shape shape, const struct pick_cursors *cursors, struct pick *p)
{
    struct version *v = version_new(w->list, w->count);
    bool due = lsm_pick(v, shape, 1000, cursors, p);
    version_unref(v);
    return due;
}

static bool picks(struct world *w, const struct pick_cursors *cursors, struct pick *p)
{
    return picks_shape(w, LSM_LEVELED, cursors, p);
}

START_TEST(level_0_is_merged_for_reads_that_have_paid_for_it)
{
    struct world w = {.count = 0};
    struct pick_cursors cursors = {.after = {{NULL, 0}}};
    struct pick p;
    add_file(&w, 1, 0, 0, 250, 40);
    add_file(&w, 1, 0, 600, 700, 40);
    struct version *v = version_new(w.list, w.count);
    ck_assert(!lsm_pick_for_reads(v, LSM_LEVELED, UINT64_MAX, &cursors, &p)); /* nothing lies above */
    version_unref(v);
    add_file(&w, 0, 1, 100, 500, 10);
    v = version_new(w.list, w.count);
    uint64_t bytes = v->files[0]->bytes + v->files[1]->bytes;
    ck_assert(!lsm_pick_for_reads(v, LSM_LEVELED, bytes - 1, &cursors, &p));
    ck_assert(lsm_pick_for_reads(v, LSM_LEVELED, bytes, &cursors, &p));
    ck_assert_uint_eq(p.count, 2);
    ck_assert_uint_eq(p.level, 1);
    pick_free(&p);
    version_unref(v);
    pick_cursors_free(&cursors);
}
END_TEST

/* What lies above the last level may be there a second time: merged down, the largest level first, until it is a tenth. */
START_TEST(levels_above_go_down_for_space)
{
    struct world w = {.count = 0};
    struct pick_cursors cursors = {.after = {{NULL, 0}}};
    struct pick p;
    add_file(&w, 0, 1, 0, 500, 4);
    struct version *v = version_new(w.list, w.count);
    ck_assert(!lsm_pick_for_space(v, LSM_LEVELED, &cursors, &p)); /* nothing lies below it */
    version_unref(v);
    add_file(&w, 1, 0, 100, 400, 6);
    add_file(&w, 2, 0, 0, 900, 100);
    v = version_new(w.list, w.count);
    ck_assert(!lsm_pick_for_space(v, LSM_LEVELED, &cursors, &p));
    version_unref(v);
    add_file(&w, 0, 2, 0, 500, 1);
    v = version_new(w.list, w.count);
    ck_assert(!lsm_pick_for_space(v, LSM_LAZY, &cursors, &p)); /* its runs are there on purpose */
    ck_assert(lsm_pick_for_space(v, LSM_LEVELED, &cursors, &p));
    ck_assert_uint_eq(p.level, 2);
    ck_assert_uint_eq(p.count, 2);
    pick_free(&p);
    version_unref(v);
    pick_cursors_free(&cursors);
}
END_TEST

START_TEST(level_0_is_merged_when_it_has_four_runs)
{
    struct world w = {.count = 0};
    struct pick_cursors cursors = {.after = {{NULL, 0}}};
    struct pick p;
    for (uint64_t run = 1; run <= 3; run++) add_file(&w, 0, run, 100, 500, 10);
    add_file(&w, 1, 0, 0, 99, 10);
    add_file(&w, 1, 0, 99, 101, 10);
    add_file(&w, 1, 0, 499, 600, 10);
    add_file(&w, 1, 0, 600, 700, 10);
    ck_assert(!picks(&w, &cursors, &p));
    add_file(&w, 0, 9, 300, 400, 10);
    ck_assert(picks(&w, &cursors, &p));
    ck_assert_uint_eq(p.level, 1);
    ck_assert_uint_eq(p.count, 6); /* four, and the two of level 1 that they touch */
    ck_assert(!p.move);
    ck_assert_uint_eq(p.files[0]->run, 9); /* newest first */
    pick_free(&p);
    w.tables[1].quarantined = true; /* it goes out of the way of the others, alone, and waits for nothing else */
    ck_assert(picks(&w, &cursors, &p));
    ck_assert(p.move);
    ck_assert_uint_eq(p.level, LSM_DAMAGED);
    ck_assert_uint_eq(p.count, 1);
    ck_assert_ptr_eq(p.files[0], &w.files[1]);
    pick_free(&p);
    w.files[1].level = LSM_DAMAGED;
    add_file(&w, 0, 10, 300, 400, 10);
    ck_assert(picks(&w, &cursors, &p));
    ck_assert_uint_eq(p.level, 1);
    ck_assert_uint_eq(p.count, 6);
    pick_free(&p);
    struct version *v = version_new(w.list, w.count);
    ck_assert_uint_eq(v->damaged_count, 1);
    ck_assert(version_is_damaged_at(v, slice_str("0100")));
    ck_assert(!version_is_damaged_at(v, slice_str("0500")));
    ck_assert(version_is_damaged(v, SLICE_EMPTY, slice_str("0101")));
    ck_assert(!version_is_damaged(v, slice_str("0500"), SLICE_EMPTY));
    ck_assert_uint_eq(version_last_level(v), 1);
    version_unref(v);
}
END_TEST

START_TEST(runs_that_do_not_overlap_are_moved)
{
    struct world w = {.count = 0};
    struct pick_cursors cursors = {.after = {{NULL, 0}}};
    struct pick p;
    for (unsigned run = 1; run <= 4; run++) add_file(&w, 0, run, 100 * run, 100 * run + 100, 10);
    add_file(&w, 1, 0, 0, 100, 10);
    ck_assert(picks(&w, &cursors, &p));
    ck_assert(p.move);
    ck_assert_uint_eq(p.count, 4);
    pick_free(&p);
}
END_TEST

START_TEST(a_full_level_gives_its_files_in_turn)
{
    struct world w = {.count = 0};
    struct pick_cursors cursors = {.after = {{NULL, 0}}};
    struct pick p;
    for (unsigned i = 0; i < 4; i++) add_file(&w, 1, 0, 100 * i, 100 * i + 100, 400);
    for (unsigned i = 0; i < 8; i++) add_file(&w, 2, 0, 50 * i, 50 * i + 50, 100);
    for (unsigned turn = 0; turn < 9; turn++) {
        ck_assert(picks(&w, &cursors, &p));
        ck_assert_uint_eq(p.level, 2);
        ck_assert_uint_eq(p.count, 3);
        ck_assert_uint_eq(p.files[0]->id, 1 + turn % 4);
        pick_cursors_note(&cursors, 1, p.files[0]->upper);
        pick_free(&p);
    }
    pick_cursors_free(&cursors);
}
END_TEST

START_TEST(lazy_levels_gather_runs_and_the_last_is_one)
{
    struct world w = {.count = 0};
    struct pick_cursors cursors = {.after = {{NULL, 0}}};
    struct pick p;
    add_file(&w, 2, 0, 0, 900, 100); /* the last level */
    for (uint64_t run = 1; run <= 4; run++) add_file(&w, 0, 10 + run, 100, 500, 10);
    ck_assert(picks_shape(&w, LSM_LAZY, &cursors, &p));
    ck_assert_uint_eq(p.level, 1);
    ck_assert(p.new_run); /* beside what level 1 holds */
    ck_assert_uint_eq(p.count, 4);
    ck_assert(!p.move);
    pick_free(&p);
    w.count = 1;
    for (uint64_t run = 1; run < PICK_RATIO; run++) add_file(&w, 1, 20 + run, 100, 500, 10);
    ck_assert(!picks_shape(&w, LSM_LAZY, &cursors, &p));
    add_file(&w, 1, 40, 100, 500, 10);
    ck_assert(picks_shape(&w, LSM_LAZY, &cursors, &p));
    ck_assert_uint_eq(p.level, 2);
    ck_assert(!p.new_run); /* into the one run of the last level */
    ck_assert_uint_eq(p.count, PICK_RATIO + 1);
    pick_free(&p);
    w.count = 0; /* a last level that has outgrown its target is moved as it is */
    add_file(&w, 1, 0, 0, 900, 5000);
    add_file(&w, 1, 0, 900, 990, 5000);
    ck_assert(picks_shape(&w, LSM_LAZY, &cursors, &p));
    ck_assert_uint_eq(p.level, 2);
    ck_assert(p.move);
    ck_assert_uint_eq(p.count, 2);
    pick_free(&p);
}
END_TEST

/* A store that was lazy before: the deepest level of several runs is made one, with all that it overlaps. */
START_TEST(leveled_tidies_up_behind_lazy)
{
    struct world w = {.count = 0};
    struct pick_cursors cursors = {.after = {{NULL, 0}}};
    struct pick p;
    for (uint64_t run = 1; run <= 4; run++) add_file(&w, 0, 30 + run, 100, 500, 10);
    for (uint64_t run = 1; run <= 2; run++) add_file(&w, 1, 20 + run, 100, 500, 10);
    for (uint64_t run = 1; run <= 3; run++) add_file(&w, 2, 10 + run, 100, 500, 10);
    add_file(&w, 3, 0, 50, 120, 10);
    add_file(&w, 3, 0, 600, 700, 10);
    ck_assert(picks(&w, &cursors, &p));
    ck_assert_uint_eq(p.level, 3);
    ck_assert_uint_eq(p.count, 4);
    ck_assert(!p.new_run);
    pick_free(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lsm/parts");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, a_memtable_agrees_with_an_array, 0, 12);
    tcase_add_test(tcase, a_memtable_counts_a_range);
    tcase_add_loop_test(tcase, a_block_agrees_with_an_array, 0, 20);
    tcase_add_loop_test(tcase, a_block_of_garbage_is_survived, 0, 4);
    tcase_add_test(tcase, a_cache_keeps_to_its_budget_and_what_is_used);
    tcase_add_test(tcase, a_block_waited_for_is_held);
    tcase_add_test(tcase, a_block_in_use_is_not_evicted);
    tcase_add_test(tcase, large_caches_lie_in_pages);
    tcase_add_test(tcase, gc_drops_what_nobody_at_the_safepoint_sees);
    tcase_add_test(tcase, gc_drops_what_has_ended_below_safepoint_and_horizon);
    tcase_add_test(tcase, level_0_is_merged_for_reads_that_have_paid_for_it);
    tcase_add_test(tcase, levels_above_go_down_for_space);
    tcase_add_test(tcase, level_0_is_merged_when_it_has_four_runs);
    tcase_add_test(tcase, runs_that_do_not_overlap_are_moved);
    tcase_add_test(tcase, a_full_level_gives_its_files_in_turn);
    tcase_add_test(tcase, lazy_levels_gather_runs_and_the_last_is_one);
    tcase_add_test(tcase, leveled_tidies_up_behind_lazy);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
