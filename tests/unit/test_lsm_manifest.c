#include "lib/lsm_doc.h"
#include "lib/memdisk.h"

#include "base/mem.h"
#include "lsm/manifest.h"

#include <check.h>
#include <stdlib.h>

#define PATH "store/MANIFEST"

static void put_file(struct buf *b, uint64_t id, uint32_t level)
{
    struct table t = {.id = {.number = id + 100, .salt = id * 3, .size = 777}};
    struct lsm_file f = {.id = id, .table = &t, .level = level, .lower = slice_str("b"), .upper = slice_str("d")};
    manifest_put_add(b, &f);
}

static void put_applied(struct buf *b, uint64_t group, uint64_t index, uint64_t term)
{
    const struct applied a = {.group = group, .index = index, .term = term};
    manifest_put_applied(b, &a);
}

/* Step i of a history: adds file i, drops file i - 2, moves group 1 to index i. */
static void step_payload(struct buf *b, uint64_t i)
{
    buf_clear(b);
    manifest_put_next(b, 10 + i);
    put_file(b, i, (uint32_t)(i % 3));
    if (i > 2) manifest_put_remove(b, i - 2);
    put_applied(b, 1, i, 2);
}

static void whole_payload(struct buf *b, uint64_t i) /* the state after step i */
{
    buf_clear(b);
    manifest_put_next(b, 10 + i);
    if (i > 1) put_file(b, i - 1, (uint32_t)((i - 1) % 3));
    if (i > 0) put_file(b, i, (uint32_t)(i % 3));
    if (i > 0) put_applied(b, 1, i, 2);
}

static void check_state(const struct manifest_state *s, uint64_t i)
{
    const struct applied *a = map_get(&s->applied, 1);
    ck_assert_uint_eq(a != NULL ? a->index : 0, i);
    ck_assert_uint_eq(s->files.count, i < 2 ? i : 2);
    if (i > 0) {
        const struct manifest_file *f = map_get(&s->files, i);
        ck_assert_ptr_nonnull(f);
        ck_assert_uint_eq(f->level, i % 3);
        ck_assert_uint_eq(f->table.number, i + 100);
        ck_assert_uint_eq(f->table.salt, i * 3);
        ck_assert(slice_eq(f->upper, slice_str("d")));
    }
    ck_assert_uint_eq(s->next, 10 + i);
}

static struct memdisk *new_disk(uint64_t seed)
{
    struct memdisk *md = memdisk_new(seed);
    ck_assert_int_eq(disk_mkdir(memdisk_disk(md), "store"), STATUS_OK);
    ck_assert_int_eq(disk_sync_dir(memdisk_disk(md), ""), STATUS_OK);
    return md;
}

static enum status reopen(struct memdisk *md, struct manifest *m, struct manifest_state *s, struct errbuf *err)
{
    manifest_state_init(s);
    err->text[0] = 0;
    return manifest_open(m, memdisk_disk(md), "store", s, err);
}

/* Writes `steps` edits; the first makes the file. ends[i]: size after step i, without the mark of being synced. */
static struct memdisk *history(uint64_t steps, uint64_t *ends)
{
    struct memdisk *md = new_disk(steps);
    struct manifest m;
    struct manifest_state s;
    struct errbuf err;
    struct buf whole, edit;
    buf_init(&whole, 1 << 20);
    buf_init(&edit, 1 << 20);
    ck_assert_int_eq(reopen(md, &m, &s, &err), STATUS_NOT_FOUND);
    manifest_state_free(&s);
    for (uint64_t i = 1; i <= steps; i++) {
        whole_payload(&whole, i - 1);
        step_payload(&edit, i);
        ck_assert_int_eq(manifest_commit(&m, buf_slice(&whole), buf_slice(&edit)), STATUS_OK);
        if (ends != NULL) ends[i] = m.size - 17;
    }
    manifest_close(&m);
    buf_free(&whole);
    buf_free(&edit);
    return md;
}

START_TEST(the_document_example_is_what_is_written_and_read)
{
    struct buf whole, documented;
    buf_init(&whole, 1 << 20);
    struct memdisk *md = new_disk(1);
    struct manifest m;
    struct manifest_state s;
    struct errbuf err;
    ck_assert_int_eq(reopen(md, &m, &s, &err), STATUS_NOT_FOUND);
    manifest_put_next(&whole, 1);
    ck_assert_int_eq(manifest_commit(&m, buf_slice(&whole), SLICE_EMPTY), STATUS_OK);
    struct table t = {.id = {.number = 7, .salt = 0x1122334455667788ull, .size = 313}};
    struct lsm_file f = {
        .id = 8, .table = &t, .level = 0, .run = 8, .lower = slice_str("apple"), .upper = slice_make("apricot", 8)};
    buf_clear(&whole);
    manifest_put_next(&whole, 9);
    manifest_put_add(&whole, &f);
    put_applied(&whole, 5, 9, 2);
    ck_assert_int_eq(manifest_commit(&m, SLICE_EMPTY, buf_slice(&whole)), STATUS_OK);
    manifest_close(&m);
    struct slice written = memdisk_content(md, PATH);
    lsm_doc_example("docs/formats/manifest.md", "manifest", written, &documented);
    ck_assert(slice_eq(written, buf_slice(&documented)));
    manifest_state_free(&s);
    manifest_state_init(&s);
    size_t used = 0;
    ck_assert_int_eq(manifest_decode(buf_slice(&documented), &s, &used, &err), STATUS_OK);
    ck_assert_uint_eq(used, documented.size);
    const struct manifest_file *read = map_get(&s.files, 8);
    ck_assert_ptr_nonnull(read);
    ck_assert_uint_eq(read->table.size, 313);
    ck_assert_uint_eq(read->run, 8);
    ck_assert(slice_eq(read->upper, slice_make("apricot", 8)));
    const struct applied *a = map_get(&s.applied, 5);
    ck_assert_uint_eq(a->index, 9);
    ck_assert_uint_eq(a->term, 2);
    ck_assert_uint_eq(s.next, 9);
    manifest_state_free(&s);
    buf_free(&documented);
    buf_free(&whole);
    memdisk_free(md);
}
END_TEST

/* T23: cut at every length, the log ends with the last whole record. */
START_TEST(a_torn_tail_ends_the_log)
{
    uint64_t ends[8] = {0};
    struct memdisk *md = history(7, ends);
    struct slice all = memdisk_content(md, PATH);
    for (size_t size = ends[1]; size <= all.size; size++) {
        struct manifest_state s;
        struct errbuf err;
        size_t used = 0;
        manifest_state_init(&s);
        ck_assert_int_eq(manifest_decode(slice_make(all.data, size), &s, &used, &err), STATUS_OK);
        uint64_t step = 1;
        while (step < 7 && ends[step + 1] <= size) step++;
        check_state(&s, step);
        manifest_state_free(&s);
    }
    memdisk_free(md);
}
END_TEST

/* T23, T24: a flipped bit is found, or the state is whole. Only damage to the last mark is no damage. */
START_TEST(no_flipped_bit_is_believed)
{
    uint64_t ends[6] = {0};
    struct memdisk *md = history(5, ends);
    struct slice all = memdisk_content(md, PATH);
    uint8_t *bytes = mem_dup(all.data, all.size);
    unsigned harmless = 0;
    for (size_t at = 0; at < all.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[at] = (uint8_t)(bytes[at] ^ 1u << bit);
            struct manifest_state s;
            struct errbuf err = {.text = {0}};
            size_t used = 0;
            manifest_state_init(&s);
            enum status status = manifest_decode(slice_make(bytes, all.size), &s, &used, &err);
            if (status == STATUS_OK) {
                check_state(&s, 5);
                ck_assert_uint_ge(at, ends[5]);
                harmless++;
            } else {
                ck_assert(err.text[0] != 0);
            }
            manifest_state_free(&s);
            bytes[at] = (uint8_t)(bytes[at] ^ 1u << bit);
        }
    }
    ck_assert_uint_eq(harmless, 17 * 8);
    mem_free(bytes);
    memdisk_free(md);
}
END_TEST

struct at_four { /* a manifest that has come to step 4, and what it is to commit next */
    struct memdisk *md;
    struct manifest m;
    struct buf whole, edit;
};

static void at_four_open(struct at_four *t)
{
    struct manifest_state s;
    struct errbuf err;
    t->md = history(4, NULL);
    buf_init(&t->whole, 1 << 20);
    buf_init(&t->edit, 1 << 20);
    ck_assert_int_eq(reopen(t->md, &t->m, &s, &err), STATUS_OK);
    manifest_state_free(&s);
    whole_payload(&t->whole, 4);
    ck_assert_int_eq(manifest_commit(&t->m, buf_slice(&t->whole), SLICE_EMPTY), STATUS_OK);
    step_payload(&t->edit, 5);
}

/* The power goes. The step at which it is found again, as a whole. */
static uint64_t at_four_ends(struct at_four *t, enum memdisk_crash how)
{
    struct manifest_state s;
    struct errbuf err;
    manifest_close(&t->m);
    memdisk_crash(t->md, how);
    ck_assert_msg(reopen(t->md, &t->m, &s, &err) == STATUS_OK, "%s", err.text);
    const struct applied *a = map_get(&s.applied, 1);
    uint64_t step = a->index;
    check_state(&s, step);
    manifest_close(&t->m);
    manifest_state_free(&s);
    buf_free(&t->whole);
    buf_free(&t->edit);
    memdisk_free(t->md);
    return step;
}

/* T21, T22, T26: each call of a commit fails, the power goes, and the state is that of before or after. */
START_TEST(a_failed_commit_is_all_or_nothing)
{
    enum status with = _i / 2 % 2 == 0 ? STATUS_IO : STATUS_NO_SPACE;
    bool fired = true;
    for (uint64_t n = 1; fired; n++) {
        struct at_four t;
        at_four_open(&t);
        t.m.rewrite = _i % 2 == 1;
        memdisk_fail_at(t.md, MEMDISK_ANY, n, with, false);
        enum status status = manifest_commit(&t.m, buf_slice(&t.whole), buf_slice(&t.edit));
        fired = memdisk_fail_fired(t.md);
        bool retried = status == STATUS_NO_SPACE && n % 2 == 0;
        if (retried) {
            ck_assert(manifest_wants_rewrite(&t.m));
            ck_assert_int_eq(manifest_commit(&t.m, buf_slice(&t.whole), buf_slice(&t.edit)), STATUS_OK);
        }
        uint64_t step = at_four_ends(&t, MEMDISK_RANDOM);
        ck_assert(step == 5 || (step == 4 && status != STATUS_OK && !retried));
    }
}
END_TEST

/* An edit with a record in one of its keys is never at the end of a file that may be torn. */
START_TEST(an_edit_that_holds_a_record_is_not_appended)
{
    struct at_four t;
    at_four_open(&t);
    manifest_put_cut(&t.edit, slice_str("kQRec"), slice_str("l"));
    uint64_t before = memdisk_hash(t.md);
    ck_assert_int_eq(manifest_commit(&t.m, SLICE_EMPTY, buf_slice(&t.edit)), STATUS_RETRY);
    ck_assert_uint_eq(memdisk_hash(t.md), before);
    ck_assert(manifest_wants_rewrite(&t.m));
    ck_assert_int_eq(manifest_commit(&t.m, buf_slice(&t.whole), buf_slice(&t.edit)), STATUS_OK);
    ck_assert_uint_eq(t.m.size, t.m.whole_size); /* a file of its own */
    ck_assert_uint_eq(at_four_ends(&t, MEMDISK_DROP), 5);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
    const char *const bad[] = {"\x09", "\x02\x05", "\x01\x01\x01", "\x03\x01",
                               "\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct memdisk *md = new_disk(i);
        struct manifest m;
        struct manifest_state s;
        struct errbuf err;
        ck_assert_int_eq(reopen(md, &m, &s, &err), STATUS_NOT_FOUND);
        manifest_state_free(&s);
        ck_assert_int_eq(manifest_commit(&m, slice_str(bad[i]), SLICE_EMPTY), STATUS_OK);
        manifest_close(&m);
        ck_assert_int_eq(reopen(md, &m, &s, &err), STATUS_CORRUPT);
        ck_assert(err.text[0] != 0);
        manifest_state_free(&s);
        memdisk_free(md);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lsm/manifest");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, the_document_example_is_what_is_written_and_read);
    tcase_add_test(tcase, a_torn_tail_ends_the_log);
    tcase_add_test(tcase, no_flipped_bit_is_believed);
    tcase_add_loop_test(tcase, a_failed_commit_is_all_or_nothing, 0, 4);
    tcase_add_test(tcase, an_edit_that_holds_a_record_is_not_appended);
    tcase_add_test(tcase, what_makes_no_sense_is_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
