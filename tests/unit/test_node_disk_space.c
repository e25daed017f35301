/* The judge of free space, and the reserve on a disk that fills up and empties again. */
#include "lib/memdisk.h"
#include "lib/suite.h"
#include "lib/testenv.h"
#include "node/disk_space.h"

#include <check.h>
#include <stdlib.h>

#define GIB (1ull << 30)

START_TEST(levels_have_hysteresis)
{
    ck_assert_int_eq(space_judge(SPACE_FULL, 0, 0), SPACE_OK); /* unknown */
    ck_assert_int_eq(space_judge(SPACE_OK, 101, 1000), SPACE_OK);
    ck_assert_int_eq(space_judge(SPACE_OK, 99, 1000), SPACE_TIGHT);
    ck_assert_int_eq(space_judge(SPACE_OK, 49, 1000), SPACE_FULL);
    ck_assert_int_eq(space_judge(SPACE_FULL, 61, 1000), SPACE_FULL);
    ck_assert_int_eq(space_judge(SPACE_FULL, 63, 1000), SPACE_TIGHT);
    ck_assert_int_eq(space_judge(SPACE_TIGHT, 63, 1000), SPACE_TIGHT);
    ck_assert_int_eq(space_judge(SPACE_TIGHT, 124, 1000), SPACE_TIGHT);
    ck_assert_int_eq(space_judge(SPACE_TIGHT, 126, 1000), SPACE_OK);
    ck_assert_int_eq(space_judge(SPACE_FULL, 126, 1000), SPACE_OK);
    /* A large disk has room long before it has a tenth. */
    ck_assert_int_eq(space_judge(SPACE_OK, 65 * GIB, 4000 * GIB), SPACE_OK);
    ck_assert_int_eq(space_judge(SPACE_OK, 63 * GIB, 4000 * GIB), SPACE_TIGHT);
    ck_assert_int_eq(space_judge(SPACE_OK, 31 * GIB, 4000 * GIB), SPACE_FULL);
}
END_TEST

enum { RESERVE = 50000, DISK = 4000000 };

struct world {
    struct memdisk *disk;
    struct testenv env;
    struct disk_space space;
};

static void world_open(struct world *w)
{
    disk_space_open(&w->space, &w->env.env, RESERVE);
}

static void world_new(struct world *w)
{
    w->disk = memdisk_new(1);
    testenv_init(&w->env, memdisk_disk(w->disk), 1);
    memdisk_set_capacity(w->disk, DISK);
    world_open(w);
}

static void world_free(struct world *w)
{
    testenv_free(&w->env);
    memdisk_free(w->disk);
}

/* Some seconds of the node's life. */
static void run(struct world *w, unsigned seconds)
{
    uint64_t end = w->env.now_ns + seconds * 1000 * NS_PER_MS;
    while (w->env.now_ns < end) {
        (void)disk_space_pass(&w->space, w->env.now_ns);
        testenv_run(&w->env);
        testenv_advance_ms(&w->env, 50);
    }
}

static uint64_t size_of(struct world *w, const char *name)
{
    struct disk_file *f;
    uint64_t size;
    if (disk_open(memdisk_disk(w->disk), name, DISK_READ, &f, NULL) != STATUS_OK) return 0;
    ck_assert_int_eq(disk_size(f, &size), STATUS_OK);
    disk_close(f);
    return size;
}

static void fill(struct world *w, size_t bytes)
{
    static const uint8_t data[DISK];
    struct disk_file *f;
    if (bytes == 0) {
        ck_assert_int_eq(disk_remove(memdisk_disk(w->disk), "data"), STATUS_OK);
        ck_assert_int_eq(disk_sync_dir(memdisk_disk(w->disk), ""), STATUS_OK);
        return;
    }
    ck_assert_int_eq(disk_open(memdisk_disk(w->disk), "data", DISK_WRITE | DISK_CREATE, &f, NULL), STATUS_OK);
    ck_assert_int_eq(disk_write(f, 0, data, bytes), STATUS_OK);
    disk_close(f);
}

START_TEST(the_reserve_comes_and_goes)
{
    struct world w;
    world_new(&w);
    run(&w, 5);
    ck_assert_uint_eq(size_of(&w, "reserve"), RESERVE);
    ck_assert_int_eq(w.space.level, SPACE_OK);
    fill(&w, DISK - 350000); /* less than a tenth is left besides the reserve */
    run(&w, 3);
    ck_assert_int_eq(w.space.level, SPACE_TIGHT);
    ck_assert_uint_eq(size_of(&w, "reserve"), RESERVE);
    fill(&w, DISK - 120000);
    run(&w, 3);
    ck_assert_int_eq(w.space.level, SPACE_FULL);
    ck_assert_uint_eq(size_of(&w, "reserve"), 0);
    fill(&w, 0);
    run(&w, 8);
    ck_assert_int_eq(w.space.level, SPACE_OK);
    ck_assert_uint_eq(size_of(&w, "reserve"), RESERVE);
    world_free(&w);
}
END_TEST

START_TEST(a_start_on_a_full_disk_makes_room_first)
{
    struct world w;
    world_new(&w);
    run(&w, 5);
    fill(&w, DISK - RESERVE - 10);
    world_open(&w); /* the next life */
    ck_assert_uint_eq(size_of(&w, "reserve"), 0);
    ck_assert_uint_ge(w.space.free_bytes, RESERVE);
    world_free(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/disk_space");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, levels_have_hysteresis);
    tcase_add_test(tc, the_reserve_comes_and_goes);
    tcase_add_test(tc, a_start_on_a_full_disk_makes_room_first);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
