#include "lib/lsm_rig.h"

#include "base/mem.h"
#include "lsm/lsm_int.h"

#include <check.h>
#include <stdlib.h>

/* T30, T36: replacements in quick succession, between writes, flushes and compactions, against the model. */
START_TEST(replacements_agree_with_the_model)
{
    struct rig r;
    rig_init(&r, (uint64_t)_i);
    ck_assert(rig_open(&r));
    for (unsigned round = 0; round < 30; round++) {
        rig_write_many(&r, 40);
        ck_assert(rig_replace(&r));
        if (prng_chance(&r.prng, 1, 3)) ck_assert(rig_replace(&r));
        rig_check_random(&r, 10);
        rig_check_view(&r, SLICE_EMPTY, SLICE_EMPTY);
        if (prng_chance(&r.prng, 1, 6)) rig_settle(&r);
        if (prng_chance(&r.prng, 1, 6)) {
            rig_crash(&r, MEMDISK_RANDOM);
            ck_assert_msg(rig_open(&r), "%s", r.err.text);
            rig_recover(&r, true);
        }
    }
    rig_settle(&r);
    rig_check_all(&r);
    rig_free(&r);
}
END_TEST

static void note(void *ctx, enum status s)
{
    *(enum status *)ctx = s;
}

/* An install is durable when it is done, without any flush of the group's own. */
START_TEST(an_install_is_durable_when_done)
{
    struct rig r;
    rig_init(&r, 3);
    ck_assert(rig_open(&r));
    rig_write_many(&r, 30);
    rig_replace_group(&r, 1);
    uint64_t index = 0, term = 0;
    ck_assert(lsm_durable(r.l, 2, &index, &term));
    ck_assert_uint_eq(index, r.groups[1].count);
    rig_crash(&r, MEMDISK_DROP);
    ck_assert(rig_open(&r));
    ck_assert(lsm_durable(r.l, 2, &index, &term));
    ck_assert_uint_eq(index, r.groups[1].count);
    rig_recover(&r, true);
    rig_free(&r);
}
END_TEST

/* An excise waits for a memtable that holds a row of its keys; what is installed meanwhile, in a part of them, stays. */
START_TEST(an_install_does_not_overtake_an_excise)
{
    struct rig r;
    rig_init(&r, 5);
    r.options.memtable_bytes = 1u << 20;
    ck_assert(rig_open(&r));
    const struct lsm_write old = {.kind = LSM_PUT, .key = slice_str("n"), .ts = 5, .value = slice_str("old")};
    const struct lsm_write new = {.kind = LSM_PUT, .key = slice_str("q"), .ts = 9, .value = slice_str("new")};
    enum status excised = STATUS_COUNT, installed = STATUS_COUNT;
    struct lsm_row row;
    struct lsm_miss miss;
    lsm_apply(r.l, 1, 1, 1, &old, 1);
    lsm_excise(r.l, slice_str("m"), slice_str("z"), note, &excised);
    struct lsm_ingest *g = lsm_ingest_new(r.l, slice_str("p"), slice_str("z"));
    ck_assert_int_eq(lsm_ingest_add(g, &new), STATUS_OK);
    ck_assert_int_eq(lsm_ingest_finish(g), STATUS_OK);
    lsm_ingest_install(g, 2, 500, 7, note, &installed);
    while (installed == STATUS_COUNT || excised == STATUS_COUNT) rig_step(&r);
    ck_assert(installed == STATUS_OK && excised == STATUS_OK);
    rig_settle(&r);
    lsm_set_blocking(r.l, true);
    ck_assert_int_eq(lsm_get(r.l, slice_str("q"), LSM_TS_MAX, &row, &miss), STATUS_OK);
    ck_assert_int_eq(lsm_get(r.l, slice_str("n"), LSM_TS_MAX, &row, &miss), STATUS_NOT_FOUND);
    lsm_set_blocking(r.l, false);
    rig_free(&r);
}
END_TEST

START_TEST(rows_out_of_order_or_range_are_refused)
{
    struct rig r;
    rig_init(&r, 3);
    ck_assert(rig_open(&r));
    const struct lsm_write good = {LSM_PUT, slice_str("b5"), 10, slice_str("v"), false};
    const struct lsm_write bad[] = {
        {LSM_PUT, slice_str("b4"), 10, SLICE_EMPTY, false}, {LSM_PUT, slice_str("b5"), 10, SLICE_EMPTY, false},
        {LSM_PUT, slice_str("b5"), 11, SLICE_EMPTY, false}, {LSM_PUT, slice_str("c"), 10, SLICE_EMPTY, false},
        {LSM_PUT, slice_str("a"), 10, SLICE_EMPTY, false},  {LSM_PUT, SLICE_EMPTY, 10, SLICE_EMPTY, false}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct lsm_ingest *g = lsm_ingest_new(r.l, slice_str("b"), slice_str("c"));
        ck_assert_int_eq(lsm_ingest_add(g, &good), STATUS_OK);
        ck_assert_int_eq(lsm_ingest_add(g, &bad[i]), STATUS_INVALID);
        ck_assert_int_eq(lsm_ingest_finish(g), STATUS_INVALID);
        lsm_ingest_abort(g);
    }
    rig_settle(&r);
    ck_assert(!memdisk_exists(r.disk, "store/0000000000000001.tbl"));
    rig_free(&r);
}
END_TEST

/* T37: the receiver's disk is full: the error comes back, its files go, the store is as before. */
START_TEST(a_full_disk_ends_an_ingest_and_no_more)
{
    struct rig r;
    rig_init(&r, 5);
    ck_assert(rig_open(&r));
    rig_write_many(&r, 60);
    rig_flush(&r);
    rig_settle(&r);
    uint64_t before = memdisk_hash(r.disk);
    memdisk_fail_at(r.disk, MEMDISK_WRITE, 1, STATUS_NO_SPACE, false);
    struct lsm_ingest *g = lsm_ingest_new(r.l, slice_str("b"), slice_str("c"));
    const struct lsm_write row = {LSM_PUT, slice_str("b5"), 10, slice_str("v"), false};
    ck_assert_int_eq(lsm_ingest_add(g, &row), STATUS_OK);
    ck_assert_int_eq(lsm_ingest_finish(g), STATUS_NO_SPACE);
    lsm_ingest_abort(g);
    rig_settle(&r);
    ck_assert_uint_eq(memdisk_hash(r.disk), before);
    rig_check_all(&r);
    rig_free(&r);
}
END_TEST

/* A forgotten group's index is gone with the next flush, its rows with the excise. */
START_TEST(excise_and_forget_leave_nothing)
{
    struct rig r;
    rig_init(&r, 8);
    ck_assert(rig_open(&r));
    rig_write_many(&r, 200);
    rig_flush(&r);
    rig_write_many(&r, 20);
    lsm_group_forget(r.l, 2);
    enum status s = STATUS_COUNT;
    lsm_excise(r.l, slice_str("b"), slice_str("c"), note, &s);
    rig_settle(&r);
    ck_assert_int_eq(s, STATUS_OK);
    uint64_t index, term;
    ck_assert(!lsm_durable(r.l, 2, &index, &term));
    for (unsigned round = 0; round < 2; round++) {
        struct lsm_view *v = lsm_view_new(r.l, slice_str("b"), slice_str("c"));
        struct lsm_write row;
        ck_assert_int_eq(lsm_view_next(v, &row), STATUS_END);
        lsm_view_free(v);
        uint64_t bytes, rows;
        lsm_estimate(r.l, slice_str("a"), slice_str("b"), &bytes, &rows);
        ck_assert_uint_gt(rows, 0);
        rig_crash(&r, MEMDISK_RANDOM);
        ck_assert(rig_open(&r));
        ck_assert(!lsm_durable(r.l, 2, &index, &term));
    }
    rig_free(&r);
}
END_TEST

/* A view shows what was there when it was made, whatever happens to the store, and its tables stay readable. */
START_TEST(a_view_is_frozen)
{
    struct rig r;
    rig_init(&r, (uint64_t)_i);
    ck_assert(rig_open(&r));
    rig_write_many(&r, 300);
    struct lsm_view *v = lsm_view_new(r.l, SLICE_EMPTY, SLICE_EMPTY), *w = lsm_view_new(r.l, SLICE_EMPTY, SLICE_EMPTY);
    struct buf first, second;
    buf_init(&first, 1 << 24);
    buf_init(&second, 1 << 24);
    struct lsm_write row;
    enum status s;
    while ((s = lsm_view_next(v, &row)) == STATUS_OK) {
        buf_append_slice(&first, row.key);
        buf_put_u64(&first, row.ts);
        buf_append_slice(&first, row.value);
    }
    ck_assert_int_eq(s, STATUS_END);
    for (unsigned i = 0; i < 5; i++) {
        rig_write_many(&r, 100);
        ck_assert(rig_replace(&r));
    }
    rig_flush(&r);
    rig_settle(&r);
    while ((s = lsm_view_next(w, &row)) == STATUS_OK) {
        buf_append_slice(&second, row.key);
        buf_put_u64(&second, row.ts);
        buf_append_slice(&second, row.value);
    }
    ck_assert_int_eq(s, STATUS_END);
    ck_assert(slice_eq(buf_slice(&first), buf_slice(&second)));
    lsm_view_free(v);
    lsm_view_free(w);
    rig_settle(&r);
    struct lsm_stats stats;
    lsm_stats(r.l, &stats);
    rig_check_all(&r);
    buf_free(&first);
    buf_free(&second);
    rig_free(&r);
}
END_TEST

struct counted {
    unsigned called;
    enum status status;
};

static void count(void *ctx, enum status s)
{
    struct counted *c = ctx;
    c->called++;
    c->status = s;
}

/* Many who wait for one block: one read, and each is told, also those who come after it has arrived. */
START_TEST(loads_of_one_block_share_a_task)
{
    struct rig r;
    rig_init(&r, 2);
    ck_assert(rig_open(&r));
    rig_write_many(&r, 200);
    rig_flush(&r);
    rig_settle(&r);
    struct slice key = slice_make(r.rows.rows[0].key, r.rows.rows[0].key_size);
    struct lsm_row row;
    struct lsm_miss a, b, c;
    ck_assert_int_eq(lsm_get(r.l, key, r.rows.rows[0].ts, &row, &a), STATUS_MISS);
    ck_assert_int_eq(lsm_get(r.l, key, r.rows.rows[0].ts, &row, &b), STATUS_MISS);
    ck_assert_int_eq(lsm_get(r.l, key, r.rows.rows[0].ts, &row, &c), STATUS_MISS);
    struct counted n = {.called = 0};
    lsm_load(r.l, &a, count, &n);
    lsm_load(r.l, &b, count, &n);
    ck_assert_uint_eq(testenv_queued(&r.env, LANE_READ), 1);
    ck_assert(lsm_busy(r.l));
    testenv_run(&r.env);
    ck_assert_uint_eq(n.called, 2);
    struct memdisk_stats before, after;
    memdisk_stats(r.disk, &before);
    lsm_load(r.l, &c, count, &n);
    ck_assert_uint_eq(n.called, 2);
    testenv_run(&r.env);
    memdisk_stats(r.disk, &after);
    ck_assert_uint_eq(n.called, 3);
    ck_assert_int_eq(n.status, STATUS_OK);
    ck_assert_uint_eq(before.reads, after.reads);
    ck_assert(!lsm_busy(r.l));
    cache_check(&r.l->cache);
    rig_free(&r);
}
END_TEST

static void set(void *ctx)
{
    *(bool *)ctx = true;
}

static bool there(struct rig *r, const char *key)
{
    struct lsm_row row;
    struct lsm_miss miss;
    lsm_set_blocking(r->l, true);
    enum status s = lsm_get(r->l, slice_str(key), LSM_TS_MAX, &row, &miss);
    ck_assert(s == STATUS_OK || s == STATUS_NOT_FOUND);
    return s == STATUS_OK;
}

static void put_at(struct rig *r, uint64_t index, const char *key, uint64_t ts)
{
    const struct lsm_write w = {.kind = LSM_PUT, .key = slice_str(key), .ts = ts, .value = slice_str("v")};
    lsm_apply(r->l, 1, index, 1, &w, 1);
}

static void installed(void *ctx, enum status s)
{
    ck_assert_int_eq(s, STATUS_OK);
    *(bool *)ctx = true;
}

/* Whatever was erased there before: what is installed counts, and beside it the erase holds on, after a restart too. */
START_TEST(what_is_installed_is_not_erased)
{
    struct rig r;
    rig_init(&r, 4);
    ck_assert(rig_open(&r));
    put_at(&r, 1, "k1", 10);
    put_at(&r, 2, "k9", 10);
    lsm_apply_erase(r.l, slice_str("k0"), slice_str("kz"), 20);
    lsm_apply(r.l, 1, 3, 1, NULL, 0);
    ck_assert(!there(&r, "k1") && !there(&r, "k9"));
    if (_i == 0) rig_flush(&r);
    struct lsm_ingest *g = lsm_ingest_new(r.l, slice_str("k1"), slice_str("k2"));
    const struct lsm_write w = {.kind = LSM_PUT, .key = slice_str("k1"), .ts = 5, .value = slice_str("old")};
    ck_assert_int_eq(lsm_ingest_add(g, &w), STATUS_OK);
    ck_assert_int_eq(lsm_ingest_finish(g), STATUS_OK);
    bool done = false;
    lsm_ingest_install(g, 1, 4, 1, installed, &done);
    rig_settle(&r);
    ck_assert(done);
    for (unsigned restart = 0; restart < 2; restart++) {
        ck_assert(there(&r, "k1") && !there(&r, "k9"));
        rig_close(&r);
        ck_assert(rig_open(&r));
    }
    rig_free(&r);
}
END_TEST

START_TEST(a_flush_of_nothing_is_done_at_once_but_not_inside_the_call)
{
    struct rig r;
    rig_init(&r, 2);
    ck_assert(rig_open(&r));
    bool done = false;
    lsm_flush(r.l, set, &done);
    ck_assert(!done);
    lsm_step(r.l);
    ck_assert(done);
    /* An entry without writes moves the index all the same. */
    lsm_apply(r.l, 9, 44, 3, NULL, 0);
    uint64_t index = 0, term = 0;
    ck_assert(!lsm_durable(r.l, 9, &index, &term));
    rig_flush(&r);
    ck_assert(lsm_durable(r.l, 9, &index, &term));
    ck_assert_uint_eq(index, 44);
    ck_assert_uint_eq(term, 3);
    rig_free(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lsm/ingest");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, replacements_agree_with_the_model, 0, 12);
    tcase_add_loop_test(tcase, what_is_installed_is_not_erased, 0, 2);
    tcase_add_test(tcase, an_install_is_durable_when_done);
    tcase_add_test(tcase, an_install_does_not_overtake_an_excise);
    tcase_add_test(tcase, rows_out_of_order_or_range_are_refused);
    tcase_add_test(tcase, a_full_disk_ends_an_ingest_and_no_more);
    tcase_add_test(tcase, excise_and_forget_leave_nothing);
    tcase_add_loop_test(tcase, a_view_is_frozen, 0, 5);
    tcase_add_test(tcase, loads_of_one_block_share_a_task);
    tcase_add_test(tcase, a_flush_of_nothing_is_done_at_once_but_not_inside_the_call);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
