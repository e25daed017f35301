/* Keys with very many versions: a counter that is added to all day, or that a registered snapshot holds on to. What a scan does at such
 * a key is bounded by steps (rows looked at, blocks waited for, beginnings), either way and at any timestamp. */
#include "lib/lsm_rig.h"
#include "lib/suite.h"

#include "lsm/lsm_int.h"

#include <stdio.h>

enum { KEYS = 20, HOT = 7, VERSIONS = 20000, FIRST = KEYS + 1, PLENTY = 1u << 30 };

struct cost {
    unsigned rows, passes, misses;
    uint32_t steps; /* rows looked at, in all passes */
    uint32_t most;  /* in one of them */
};

static void loaded(void *ctx, enum status s)
{
    ck_assert_int_eq(s, STATUS_OK);
    *(bool *)ctx = true;
}

static void load(struct rig *r, struct lsm_miss *miss)
{
    bool done = false;
    lsm_load(r->l, miss, loaded, &done);
    while (!done) rig_step(r);
}

static enum status pass(struct rig *r, struct keybuf *at, uint64_t ts, bool reverse, uint32_t allowed, uint64_t last,
                        struct cost *c)
{
    struct slice here = keybuf_slice(at);
    struct lsm_iter *it = lsm_iter_new(r->l, reverse ? SLICE_EMPTY : here, reverse ? here : SLICE_EMPTY, ts, reverse);
    struct lsm_row row;
    struct lsm_miss miss;
    enum status s;
    uint32_t left = PLENTY; /* no limit: it counts */
    if (allowed > 0) left = allowed;
    lsm_iter_allow(it, &left);
    while ((s = lsm_iter_next(it, &row, &miss)) == STATUS_OK) {
        c->rows++;
        if (row.key.data[1] == 'a' + HOT) ck_assert_uint_eq(row.ts, last);
    }
    uint32_t used = (allowed > 0 ? allowed : PLENTY) - left;
    c->steps += used;
    if (used > c->most) c->most = used;
    c->passes++;
    here = lsm_iter_position(it);
    keybuf_set(at, 0, here.data, here.size);
    lsm_iter_free(it);
    if (s == STATUS_MISS) {
        c->misses++;
        load(r, &miss);
    }
    return s;
}

/* As a node scans: in passes, each with an iterator of its own. allowed 0: any number of steps. `last`: the hot key's version. */
static struct cost scan(struct rig *r, uint64_t ts, bool reverse, uint32_t allowed, uint64_t last)
{
    struct cost c = {.rows = 0};
    struct keybuf at = {.data = NULL};
    enum status s = STATUS_RETRY;
    while (s == STATUS_RETRY || s == STATUS_MISS) s = pass(r, &at, ts, reverse, allowed, last, &c);
    ck_assert_int_eq(s, STATUS_END);
    keybuf_free(&at);
    return c;
}

static void put(struct rig *r, unsigned key, uint64_t ts, enum lsm_kind kind)
{
    const char text[2] = {'a', (char)('a' + key)}, value[60] = {0};
    const struct lsm_write w = {.kind = kind,
                                .key = slice_make(text, 2),
                                .ts = ts,
                                .value = kind == LSM_PUT ? slice_make(value, 60) : SLICE_EMPTY};
    lsm_apply(r->l, 1, ts, 1, &w, 1);
}

/* All versions are visible, all but 100, half of them, one; deleted: the newest of all is a deletion. */
static void check_costs(struct rig *r, const char *what, bool deleted)
{
    const uint64_t ts[] = {LSM_TS_MAX, FIRST + VERSIONS - 100, FIRST + VERSIONS / 2, FIRST};
    for (unsigned i = 0; i < 16; i++) {
        bool reverse = i % 2 == 1;
        uint32_t allowed = i % 4 < 2 ? 0 : 50;
        uint64_t at = ts[i / 4], last = at == LSM_TS_MAX ? FIRST + VERSIONS - 1 : at;
        struct cost c = scan(r, at, reverse, allowed, last);
        printf("%s, %s: %u rows, %u steps, %u passes, %u misses\n", what, reverse ? "reverse" : "forward", c.rows,
               c.steps, c.passes, c.misses);
        ck_assert_uint_eq(c.rows, deleted && at == LSM_TS_MAX ? KEYS - 1 : KEYS);
        struct lsm_stats stats;
        lsm_stats(r->l, &stats);
        ck_assert_uint_le(c.misses, 4 * (stats.runs + 1));
        ck_assert_uint_le(c.passes, 1 + c.misses + (allowed > 0 ? 4 : 0));
        ck_assert_uint_le(c.steps, 2 * KEYS + 50 * (c.passes + stats.runs + stats.frozen_memtables));
    }
}

START_TEST(many_versions_are_not_gone_through)
{
    bool deleted = _i % 2 == 1;
    unsigned flushes = (unsigned)_i / 2; /* none, one at the end, several */
    struct rig r;
    rig_init(&r, (uint64_t)_i);
    r.options.memtable_bytes = 16u << 20;
    r.options.block_bytes = 4096;
    r.options.file_bytes = 1u << 20;
    r.options.cache_bytes = 16u << 20;
    ck_assert(rig_open(&r));
    for (unsigned i = 0; i < KEYS; i++) put(&r, i, i + 1, LSM_PUT);
    for (unsigned i = 0; i < VERSIONS; i++) {
        put(&r, HOT, FIRST + i, LSM_PUT);
        if (flushes == 2 && i % 7000 == 6999) rig_flush(&r);
    }
    if (deleted) put(&r, HOT, FIRST + VERSIONS, LSM_DELETE);
    if (flushes > 0) { /* nothing is in the cache */
        rig_flush(&r);
        rig_settle(&r);
        rig_close(&r);
        ck_assert(rig_open(&r));
        if (flushes == 2) put(&r, 0, FIRST + VERSIONS + 1, LSM_PUT);
    }
    check_costs(&r, flushes == 0 ? "memtable" : flushes == 1 ? "tables" : "runs", deleted);
    rig_free(&r);
}
END_TEST

/* Dozens of versions of few keys, deletions and erases among them, in memtables and runs, against the model. */
START_TEST(few_keys_agree_with_the_model)
{
    struct rig r;
    rig_init(&r, 300 + (uint64_t)_i);
    r.keys = 2 + (unsigned)_i % 3;
    r.options.cache_bytes = (size_t)(_i % 3) * 8192;
    ck_assert(rig_open(&r));
    for (unsigned round = 0; round < 8; round++) {
        rig_write_many(&r, 120);
        rig_check_random(&r, 60);
        if (prng_chance(&r.prng, 1, 3)) rig_flush(&r);
        if (prng_chance(&r.prng, 1, 3)) rig_settle(&r);
    }
    rig_check_all(&r);
    rig_free(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lsm/versions");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, many_versions_are_not_gone_through, 0, 6);
    tcase_add_loop_test(t, few_keys_agree_with_the_model, 0, 8);
    suite_add_tcase(s, t);
    return run_suite(s);
}
