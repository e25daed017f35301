#define _GNU_SOURCE /* memmem */
#include "lib/lsm_rig.h"

#include "base/mem.h"
#include "lsm/dump.h"
#include "lsm/lsm_int.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct outcome {
    bool called;
    enum status status;
};

static void note(void *ctx, enum status s)
{
    struct outcome *o = ctx;
    ck_assert(!o->called);
    *o = (struct outcome){true, s};
}

static struct outcome checkpoint(struct rig *r, const char *dir)
{
    struct outcome o = {.called = false};
    lsm_checkpoint(r->l, dir, note, &o);
    rig_write_many(r, 40); /* meanwhile */
    for (unsigned i = 0; i < 5000 && !o.called && !r->env.env.dead; i++) {
        rig_step(r);
        testenv_advance_ms(&r->env, 10);
    }
    return o;
}

/* Opens the copy beside the store and compares it with the model of the moment when it was asked for. */
static void check_copy(struct rig *r, const char *dir)
{
    struct rig copy = *r;
    copy.options.dir = dir;
    copy.l = NULL;
    memset(&copy.rows, 0, sizeof(copy.rows));
    testenv_init(&copy.env, memdisk_disk(copy.disk), 1);
    ck_assert_msg(rig_open(&copy), "%s", copy.err.text);
    rig_recover(&copy, true);
    rig_close(&copy);
    testenv_free(&copy.env);
    for (size_t i = 0; i < copy.rows.count; i++) mem_free(copy.rows.rows[i].value);
    mem_free(copy.rows.rows);
}

START_TEST(a_checkpoint_is_a_store_of_its_own)
{
    struct rig r;
    rig_init(&r, (uint64_t)_i);
    ck_assert(rig_open(&r));
    rig_write_many(&r, 300);
    struct outcome o = checkpoint(&r, "copy");
    ck_assert(o.called);
    ck_assert_int_eq(o.status, STATUS_OK);
    rig_write_many(&r, 600); /* tables of the copy are compacted away in the store */
    rig_flush(&r);
    rig_settle(&r);
    rig_crash(&r, MEMDISK_DROP);
    check_copy(&r, "copy");
    ck_assert(rig_open(&r));
    rig_recover(&r, true);
    rig_free(&r);
}
END_TEST

/* Whatever call fails: the answer is true, the store is whole, and a folder without a manifest is all that a failure leaves. */
START_TEST(a_checkpoint_that_fails_at_any_call_harms_nothing)
{
    static const enum status with[] = {STATUS_NO_SPACE, STATUS_CLOSED};
    unsigned failed = 0;
    for (uint64_t n = 1;; n++) {
        struct rig r;
        rig_init(&r, 5);
        ck_assert(rig_open(&r));
        rig_write_many(&r, 200);
        rig_flush(&r);
        rig_settle(&r);
        bool killed = with[_i] == STATUS_CLOSED;
        unsigned calls =
            MEMDISK_LINK | MEMDISK_MKDIR | MEMDISK_SYNC_DIR | MEMDISK_WRITE | MEMDISK_RENAME | MEMDISK_SYNC;
        memdisk_fail_at(r.disk, killed ? MEMDISK_ANY : calls, n, with[_i], killed);
        struct outcome o = {.called = false};
        lsm_checkpoint(r.l, "copy", note, &o);
        for (unsigned i = 0; i < 300 && !o.called && !r.env.env.dead; i++) {
            rig_step(&r);
            testenv_advance_ms(&r.env, 10);
        }
        bool fired = memdisk_fail_fired(r.disk);
        memdisk_fail_at(r.disk, 0, 0, STATUS_OK, false);
        if (o.called && o.status == STATUS_OK) {
            rig_crash(&r, MEMDISK_DROP);
            check_copy(&r, "copy");
        } else {
            failed++;
            rig_crash(&r, MEMDISK_RANDOM);
        }
        ck_assert_msg(rig_open(&r), "%s", r.err.text);
        rig_recover(&r, false);
        rig_free(&r);
        if (!fired) break;
    }
    ck_assert_uint_ge(failed, 3);
}
END_TEST

struct text {
    struct buf all;
};

static void gather(void *ctx, struct buf *text)
{
    buf_append_slice(&((struct text *)ctx)->all, buf_slice(text));
}

static bool holds(const struct text *t, const char *word)
{
    return memmem(t->all.data, t->all.size, word, strlen(word)) != NULL;
}

START_TEST(files_can_be_shown_and_damage_is_named)
{
    struct rig r;
    rig_init(&r, 2);
    ck_assert(rig_open(&r));
    rig_write_many(&r, 100);
    rig_flush(&r);
    char path[TABLE_PATH_MAX], manifest[TABLE_PATH_MAX];
    table_path(path, r.options.dir, r.l->version->files[0]->table->id.number);
    (void)snprintf(manifest, sizeof(manifest), "%s/MANIFEST", r.options.dir);
    rig_close(&r);
    struct text text;
    struct errbuf err;
    struct dump d = {.disk = memdisk_disk(r.disk), .path = path, .rows = true, .show = gather, .ctx = &text};
    buf_init(&text.all, (size_t)1 << 20);
    ck_assert_int_eq(dump_table(&d, &err), STATUS_OK);
    ck_assert(holds(&text, "smallest a"));
    ck_assert(holds(&text, "  put "));
    ck_assert(!holds(&text, "DAMAGED"));
    memdisk_flip(r.disk, path, 10, 1);
    buf_clear(&text.all);
    ck_assert_int_eq(dump_table(&d, &err), STATUS_CORRUPT);
    ck_assert(holds(&text, "DAMAGED"));
    ck_assert(strstr(err.text, "damaged") != NULL);
    d.path = manifest;
    buf_clear(&text.all);
    ck_assert_int_eq(dump_manifest(&d, &err), STATUS_OK);
    ck_assert(holds(&text, "level 0"));
    ck_assert(holds(&text, "group 1 applied"));
    memdisk_flip(r.disk, manifest, 3, 1);
    ck_assert_int_eq(dump_manifest(&d, &err), STATUS_CORRUPT);
    buf_free(&text.all);
    rig_free(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lsm/checkpoint");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, a_checkpoint_is_a_store_of_its_own, 0, 4);
    tcase_add_loop_test(tcase, a_checkpoint_that_fails_at_any_call_harms_nothing, 0, 2);
    tcase_add_test(tcase, files_can_be_shown_and_damage_is_named);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
