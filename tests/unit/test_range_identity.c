/* IDENTITY: made once, kept, refused when it is damaged or somebody else's, whole after any crash. */
#include <check.h>
#include <stdlib.h>

#include "lib/memdisk.h"
#include "lib/testenv.h"
#include "range/identity.h"

static struct memdisk *disk;
static struct testenv t;
static struct errbuf err;

static void setup(void)
{
    disk = memdisk_new(1);
    testenv_init(&t, memdisk_disk(disk), 1);
    memset(&err, 0, sizeof err);
}

static void teardown(void)
{
    testenv_free(&t);
    memdisk_free(disk);
}

/* A new process on the same disk: the lock of the former one is gone with it. */
static void restart(enum memdisk_crash how)
{
    memdisk_crash(disk, how);
}

START_TEST(made_once_and_kept)
{
    struct identity a, b;
    ck_assert_int_eq(identity_open(&t.env, ROLE_NODE, &a, &err), STATUS_OK);
    ck_assert_uint_eq(a.node_id, 0);
    a.node_id = 12;
    memset(a.cluster.bytes, 0xc5, sizeof a.cluster.bytes);
    ck_assert_int_eq(identity_save(&t.env, &a, &err), STATUS_OK);
    restart(MEMDISK_DROP); /* what was saved is durable */
    ck_assert_int_eq(identity_open(&t.env, ROLE_NODE, &b, &err), STATUS_OK);
    ck_assert_int_eq(memcmp(a.uuid, b.uuid, sizeof a.uuid), 0);
    ck_assert_uint_eq(b.node_id, 12);
    ck_assert_int_eq(memcmp(a.cluster.bytes, b.cluster.bytes, sizeof a.cluster.bytes), 0);
}
END_TEST

START_TEST(another_role_is_refused)
{
    struct identity a;
    ck_assert_int_eq(identity_open(&t.env, ROLE_META, &a, &err), STATUS_OK);
    restart(MEMDISK_KEEP);
    ck_assert_int_eq(identity_open(&t.env, ROLE_NODE, &a, &err), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "belongs to a meta"));
}
END_TEST

START_TEST(foreign_directory_is_refused)
{
    struct disk_file *f;
    ck_assert_int_eq(disk_open(t.env.disk, "letters.txt", DISK_WRITE | DISK_CREATE, &f, &err), STATUS_OK);
    disk_close(f);
    struct identity a;
    ck_assert_int_eq(identity_open(&t.env, ROLE_NODE, &a, &err), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "letters.txt"));
    ck_assert(!memdisk_exists(disk, "IDENTITY"));
}
END_TEST

/* Every flipped bit is noticed: the directory is refused, never taken for another. */
START_TEST(damage_is_refused)
{
    struct identity a, b;
    ck_assert_int_eq(identity_open(&t.env, ROLE_NODE, &a, &err), STATUS_OK);
    ck_assert_int_eq(identity_note_finalised(&t.env, &a, (uint32_t)_i, &err), STATUS_OK);
    size_t size = memdisk_content(disk, "IDENTITY").size;
    for (size_t at = 0; at < size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memdisk_flip(disk, "IDENTITY", at, bit);
            restart(MEMDISK_KEEP);
            enum status s = identity_open(&t.env, ROLE_NODE, &b, &err);
            if (s == STATUS_OK)
                ck_assert_int_eq(memcmp(&a, &b, sizeof a),
                                 0); /* e.g. the case of a hexadecimal digit of the checksum */
            memdisk_flip(disk, "IDENTITY", at, bit);
        }
    }
}
END_TEST

/* What has been finalised is kept, in a form that programs before it refuse. */
START_TEST(finalised_versions_are_kept)
{
    struct identity a, b;
    ck_assert_int_eq(identity_open(&t.env, ROLE_NODE, &a, &err), STATUS_OK);
    ck_assert_uint_eq(a.finalised, VERSION_FIRST);
    ck_assert(slice_starts(memdisk_content(disk, "IDENTITY"), slice_str("quorate 1\n")));
    ck_assert_int_eq(identity_note_finalised(&t.env, &a, 2, &err), STATUS_OK);
    ck_assert_int_eq(identity_note_finalised(&t.env, &a, 1, &err), STATUS_OK);
    ck_assert(slice_starts(memdisk_content(disk, "IDENTITY"), slice_str("quorate 2\n")));
    restart(MEMDISK_DROP);
    ck_assert_int_eq(identity_open(&t.env, ROLE_NODE, &b, &err), STATUS_OK);
    ck_assert_uint_eq(b.finalised, 2);
    ck_assert_int_eq(memcmp(a.uuid, b.uuid, sizeof a.uuid), 0);
    ck_assert_int_eq(identity_check_version(&b, 2, &err), STATUS_OK);
    ck_assert_int_eq(identity_check_version(&b, 1, &err), STATUS_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.text, "finalised at version 2"));
}
END_TEST

/* What was promised is kept at its longest; with whom a metadata service began is kept as it was. Programs that do not know these lines
 * pass them over, and a directory that has none of them is as before. */
START_TEST(promises_and_founders_are_kept)
{
    struct identity a, b;
    ck_assert_int_eq(identity_open(&t.env, ROLE_META, &a, &err), STATUS_OK);
    ck_assert_uint_eq(a.support_ms + a.founders.count, 0);
    ck_assert_int_eq(identity_note_support(&t.env, &a, 1500, &err), STATUS_OK);
    ck_assert_int_eq(identity_note_support(&t.env, &a, 300, &err), STATUS_OK);
    a.founders.count = LIMIT_VOTERS;
    for (size_t i = 0; i < LIMIT_VOTERS; i++) {
        a.founders.items[i].id = (i + 1) * 1000000007;
        memset(a.founders.items[i].uuid, (int)(i * 37 + 1), sizeof a.founders.items[i].uuid);
    }
    ck_assert_int_eq(identity_note_finalised(&t.env, &a, 2, &err), STATUS_OK);
    restart(MEMDISK_DROP);
    ck_assert_int_eq(identity_open(&t.env, ROLE_META, &b, &err), STATUS_OK);
    ck_assert_uint_eq(b.support_ms, 1500);
    ck_assert_uint_eq(b.finalised, 2);
    ck_assert_uint_eq(b.founders.count, LIMIT_VOTERS);
    ck_assert_int_eq(memcmp(&a.founders, &b.founders, sizeof a.founders), 0);
}
END_TEST

/* A crash at any disk call of a save leaves the old identity or the new one. */
START_TEST(saving_is_atomic)
{
    unsigned old_seen = 0, new_seen = 0;
    for (uint64_t n = 1; n < 64; n++) {
        struct memdisk *d = memdisk_new(n * 7 + (uint64_t)_i);
        struct testenv e;
        testenv_init(&e, memdisk_disk(d), n);
        struct identity a, b;
        ck_assert_int_eq(identity_open(&e.env, ROLE_NODE, &a, &err), STATUS_OK);
        a.node_id = 5;
        memdisk_fail_at(d, MEMDISK_CHANGE, n, STATUS_IO, true);
        enum status saved = identity_save(&e.env, &a, &err);
        bool fired = memdisk_fail_fired(d);
        memdisk_crash(d, MEMDISK_RANDOM);
        ck_assert_int_eq(identity_open(&e.env, ROLE_NODE, &b, &err), STATUS_OK);
        ck_assert_int_eq(memcmp(a.uuid, b.uuid, sizeof a.uuid), 0);
        ck_assert(b.node_id == 0 || b.node_id == 5);
        if (saved == STATUS_OK) ck_assert_uint_eq(b.node_id, 5);
        if (b.node_id == 0) old_seen++;
        if (b.node_id == 5) new_seen++;
        testenv_free(&e);
        memdisk_free(d);
        if (!fired) break;
    }
    ck_assert_uint_gt(old_seen, 0);
    ck_assert_uint_gt(new_seen, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("range_identity");
    TCase *tc = tcase_create("identity");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, made_once_and_kept);
    tcase_add_test(tc, another_role_is_refused);
    tcase_add_test(tc, foreign_directory_is_refused);
    tcase_add_loop_test(tc, damage_is_refused, 1, 3);
    tcase_add_test(tc, finalised_versions_are_kept);
    tcase_add_test(tc, promises_and_founders_are_kept);
    tcase_add_loop_test(tc, saving_is_atomic, 0, 20);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
