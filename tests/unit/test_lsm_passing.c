/* Rows that are expected to go soon: whatever is kept beside the memtable, what a crash leaves is what there was at the index
 * that the store names, and views show all of them. */
#include "lib/lsm_rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 12, ENTRIES_MAX = 4000, GROUP = 1 };

struct held { /* what is at each key after an entry; 0: nothing */
    uint32_t at[KEYS];
};
struct world {
    struct rig rig;
    struct held now;
    struct place places[KEYS]; /* of their rows */
    struct held *history;      /* after each entry, by its index */
    uint64_t index;
};

static struct slice key_of(unsigned k, char text[16])
{
    snprintf(text, 16, "a%02u", k);
    return slice_str(text);
}

/* Puts, changes and deletes of a few keys, one of each key at most; now and then a row that stays and is large. */
static void apply_entry(struct world *w)
{
    struct rig *r = &w->rig;
    char key[16], value[900];
    w->index++;
    unsigned first = (unsigned)prng_below(&r->prng, KEYS);
    for (unsigned i = 0; i < 3 && prng_chance(&r->prng, 2, 3); i++) {
        unsigned k = (first + i) % KEYS;
        bool there = w->now.at[k] != 0, goes = there && prng_chance(&r->prng, 2, 3);
        w->now.at[k] = goes ? 0 : (uint32_t)w->index;
        snprintf(value, sizeof value, "%u", w->now.at[k]);
        struct lsm_write one = {.kind = goes ? LSM_DELETE : LSM_PUT,
                                .key = key_of(k, key),
                                .ts = w->index,
                                .value = goes ? SLICE_EMPTY : slice_str(value)};
        if (there) {
            lsm_apply_passing(r->l, &one, w->places[k]);
        } else {
            w->places[k] = lsm_apply_passing_new(r->l, &one);
        }
    }
    struct lsm_write stays = {.kind = LSM_PUT, .key = slice_str("az"), .ts = w->index, .value = slice_make(value, 900)};
    memset(value, 'x', sizeof value);
    lsm_apply(r->l, GROUP, w->index, 1, &stays, prng_chance(&r->prng, 1, 4));
    w->history[w->index] = w->now;
}

static void check_view(struct world *w)
{
    struct lsm_view *v = lsm_view_new(w->rig.l, slice_str("a0"), slice_str("az"));
    struct lsm_write row;
    char last[16] = "", key[16];
    struct held found = {{0}};
    while (lsm_view_next(v, &row) == STATUS_OK) {
        snprintf(key, sizeof key, "%.*s", (int)row.key.size, (const char *)row.key.data);
        if (strcmp(key, last) == 0) continue; /* an older version */
        memcpy(last, key, sizeof last);
        char text[16] = "";
        memcpy(text, row.value.data, row.value.size < 15 ? row.value.size : 15);
        if (row.kind == LSM_PUT) found.at[atoi(key + 1)] = (uint32_t)atoi(text);
    }
    lsm_view_free(v);
    for (unsigned k = 0; k < KEYS; k++) ck_assert_uint_eq(found.at[k], w->now.at[k]);
}

static void world_open(struct world *w)
{
    uint64_t term;
    ck_assert_msg(rig_open(&w->rig), "%s", w->rig.err.text);
    if (!lsm_durable(w->rig.l, GROUP, &w->index, &term)) w->index = 0;
    w->now = w->history[w->index];
    memset(w->places, 0, sizeof w->places);
}

START_TEST(a_crash_leaves_what_was_there_at_the_durable_index)
{
    struct world *w = calloc(1, sizeof *w);
    w->history = calloc(ENTRIES_MAX + 1, sizeof *w->history);
    rig_init(&w->rig, (uint64_t)_i);
    world_open(w);
    uint64_t durable = 0;
    for (unsigned round = 0; round < 12; round++) {
        unsigned entries = (unsigned)prng_below(&w->rig.prng, 200);
        for (unsigned i = 0; i < entries && w->index < ENTRIES_MAX; i++) {
            apply_entry(w);
            if (prng_chance(&w->rig.prng, 1, 20)) check_view(w);
            if (prng_chance(&w->rig.prng, 1, 30)) lsm_settle(w->rig.l);
            if (prng_chance(&w->rig.prng, 1, 40)) rig_flush(&w->rig);
            rig_step(&w->rig);
        }
        rig_crash(&w->rig, (enum memdisk_crash)prng_below(&w->rig.prng, 3));
        world_open(w);
        durable += w->index > 0;
        check_view(w);
    }
    ck_assert_uint_gt(durable, 0);
    free(w->history);
    rig_free(&w->rig);
    free(w);
}
END_TEST

/* What comes and goes between two flushes leaves nothing to be flushed. */
START_TEST(what_is_gone_was_never_written)
{
    struct rig r;
    struct lsm_stats before, after;
    rig_init(&r, 1);
    ck_assert(rig_open(&r));
    lsm_apply(r.l, GROUP, 1, 1, NULL, 0);
    lsm_stats(r.l, &before);
    struct place place = {0};
    for (uint64_t i = 2; i < 2000; i++) {
        struct lsm_write w = {.kind = i % 2 == 0 ? LSM_PUT : LSM_DELETE,
                              .key = slice_str("a1"),
                              .ts = i,
                              .value = i % 2 == 0 ? slice_str("of a transaction that is held") : SLICE_EMPTY};
        if (i % 2 == 0) {
            place = lsm_apply_passing_new(r.l, &w);
        } else {
            lsm_apply_passing(r.l, &w, place);
        }
        lsm_apply(r.l, GROUP, i, 1, NULL, 0);
    }
    lsm_stats(r.l, &after);
    ck_assert_uint_eq(after.memtable_bytes, before.memtable_bytes);
    ck_assert_uint_eq(after.frozen_memtables, 0);
    rig_free(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lsm passing");
    TCase *c = tcase_create("passing");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, a_crash_leaves_what_was_there_at_the_durable_index, 0, 20);
    tcase_add_test(c, what_is_gone_was_never_written);
    suite_add_tcase(s, c);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
