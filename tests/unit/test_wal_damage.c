/* Damage is told from a torn tail: a flipped bit, a lost or misdirected write, a stale, cut or missing file either hits
 * what means nothing or is reported as STATUS_CORRUPT, with nothing changed on disk. Acknowledged data never goes silently. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "lib/wal_model.h"
#include "wal/wal_int.h"

struct area {
    char path[WAL_PATH_MAX];
    uint64_t bytes, end;
    bool live;
};
struct log_map {
    struct area areas[64];
    size_t count;
    char last_path[WAL_PATH_MAX]; /* where the last batch lies */
    uint64_t last_offset;
};

static void map_add(struct log_map *map, const struct wal *w, const struct wal_segment *s, bool live)
{
    ck_assert_uint_lt(map->count, 64);
    struct area *a = &map->areas[map->count++];
    wal_path(a->path, w->dir, s->number);
    a->bytes = s->bytes;
    a->end = s->end;
    a->live = live;
}

/* What lies where, from the open log. */
static void map_log(const struct wal *w, struct log_map *map)
{
    memset(map, 0, sizeof *map);
    for (struct list *n = w->live.next; n != &w->live; n = n->next)
        map_add(map, w, LIST_ENTRY(n, struct wal_segment, link), true);
    for (struct list *n = w->spares.next; n != &w->spares; n = n->next)
        map_add(map, w, LIST_ENTRY(n, struct wal_segment, link), false);
    memcpy(map->last_path, map->areas[0].path, sizeof map->last_path);
    wal_path(map->last_path, w->dir, w->write.header.segment);
    map->last_offset = w->write.header.offset;
}

/* A log of several live segments and some that were recycled, its last write just acknowledged. */
static void build(struct wm *m, uint64_t seed)
{
    wm_init(m, seed);
    m->data_max = 3000;
    ck_assert_int_eq(wm_open(m), WM_OK);
    for (unsigned i = 0; i < 110; i++) {
        wm_batch(m, 6);
        for (unsigned g = 0; g < WM_GROUPS && i < 60; g++) wm_set_floor(m, g, UINT64_MAX);
    }
    wm_batch(m, 3);
    ck_assert_uint_gt(m->wal->next_epoch, m->wal->live_count + 3); /* something was recycled */
    ck_assert_uint_ge(m->wal->live_count, 3);
}

static void expect(struct wm *m, struct memdisk *d, bool refused, const char *what, const char *path, uint64_t offset)
{
    uint64_t before = memdisk_hash(d);
    enum wm_result r = wm_compare_on(m, d);
    if (r == WM_REFUSED) ck_assert_uint_eq(memdisk_hash(d), before);
    if (r != (refused ? WM_REFUSED : WM_OK) || (refused && m->status != STATUS_CORRUPT))
        ck_abort_msg("%s at %s %" PRIu64 ": result %d, wanted %d; %s %s", what, path, offset, (int)r, (int)refused,
                     m->wrong, m->err.text);
    if (refused) { /* the message names file and place */
        ck_assert_ptr_ne(strstr(m->err.text, ".wal at offset"), NULL);
        ck_assert_ptr_ne(strstr(m->err.text, "batch"), NULL);
        ck_assert_ptr_ne(strstr(m->err.text, "Nothing was changed"), NULL);
    }
}

enum harm { FLIP, ZERO_SECTOR, ZERO_BLOCK, OTHER_BLOCK, HARMS };

static void harm_block(struct memdisk *d, const char *path, uint64_t block, enum harm how, struct prng *p)
{
    static const uint8_t zeros[WAL_BLOCK];
    uint64_t at = block * WAL_BLOCK;
    switch (how) {
    case FLIP: memdisk_flip(d, path, at + prng_below(p, WAL_BLOCK), (unsigned)prng_below(p, 8)); break;
    case ZERO_SECTOR: memdisk_poke(d, path, at, zeros, 512); break;
    case ZERO_BLOCK: memdisk_poke(d, path, at, zeros, WAL_BLOCK); break;
    case OTHER_BLOCK: { /* a misdirected write of the neighbour */
        uint8_t copy[WAL_BLOCK];
        struct slice s = memdisk_content(d, path);
        memcpy(copy, s.data + (at >= WAL_BLOCK ? at - WAL_BLOCK : at + WAL_BLOCK), WAL_BLOCK);
        memdisk_poke(d, path, at, copy, WAL_BLOCK);
        break;
    }
    case HARMS: break;
    }
}

/* Every block of every file: what lies in the chain before the last batch, a mark, must be missed. */
static void harm_everything(struct wm *m, const struct log_map *map, enum harm how)
{
    struct prng p;
    prng_init(&p, 5);
    unsigned refused = 0, harmless = 0;
    for (size_t i = 0; i < map->count; i++) {
        const struct area *a = &map->areas[i];
        for (uint64_t block = 0; block * WAL_BLOCK < a->bytes; block++) {
            uint64_t from = map->last_offset == WAL_BLOCK ? 0 : map->last_offset; /* a segment with a mark only */
            bool last = strcmp(a->path, map->last_path) == 0 && block * WAL_BLOCK >= from;
            bool matters = a->live && block * WAL_BLOCK < a->end && !last;
            if (how == OTHER_BLOCK && !matters) continue; /* the neighbour of the end: see the flips */
            struct memdisk *d = memdisk_clone(m->disk, 1);
            harm_block(d, a->path, block, how, &p);
            expect(m, d, matters, "damage", a->path, block * WAL_BLOCK);
            memdisk_free(d);
            refused += matters;
            harmless += !matters;
        }
    }
    ck_assert_uint_gt(refused, 20);
    if (how != OTHER_BLOCK) ck_assert_uint_gt(harmless, 5);
}

START_TEST(test_any_block_of_a_closed_log)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct wm m;
        build(&m, seed);
        wm_close(&m);
        ck_assert_int_eq(wm_open(&m), WM_OK);
        ck_assert(m.wal->last_is_mark); /* closing wrote it */
        struct log_map map;
        map_log(m.wal, &map);
        wal_path(map.last_path, m.wal->dir, m.wal->current->number);
        map.last_offset = m.wal->current->end - WAL_BLOCK;
        wm_crash(&m, MEMDISK_DROP);
        for (int how = 0; how < HARMS; how++) harm_everything(&m, &map, (enum harm)how);
        wm_free(&m);
    }
}
END_TEST

/* Without a mark behind it the last batch cannot be told from a torn one: the known limit. After 10 ms it can. */
START_TEST(test_last_batch_before_and_after_the_mark)
{
    struct wm m;
    build(&m, 9);
    wm_close(&m);
    ck_assert_int_eq(wm_open(&m), WM_OK);
    wm_drain(&m);
    uint64_t last = wm_last(&m, 0);
    wm_put_entry(&m, 0, last + 1, 9000);
    wm_drain(&m);
    struct log_map map;
    map_log(m.wal, &map);
    for (unsigned marked = 0; marked < 2; marked++) {
        for (uint64_t at = map.last_offset; at < map.last_offset + 3 * WAL_BLOCK; at += WAL_BLOCK) {
            struct memdisk *d = memdisk_clone(m.disk, 1);
            memdisk_flip(d, map.last_path, at + 77, 3);
            if (marked) {
                expect(&m, d, true, "last batch, marked", map.last_path, at);
            } else {
                ck_assert_int_eq(wm_compare_on(&m, d), WM_WRONG);
                m.acked.groups[0].count--; /* it is exactly that batch which is not there */
                ck_assert_int_eq(wm_compare_on(&m, d), WM_OK);
                m.acked.groups[0].count++;
            }
            memdisk_free(d);
        }
        testenv_advance_ms(&m.env, 11);
        wal_step(m.wal);
        testenv_run(&m.env);
    }
    wm_free(&m);
}
END_TEST

/* The n-th write is lost, or lands elsewhere, and the disk says all is well. */
static void one_bad_write(uint64_t n, unsigned kind, unsigned *refused)
{
    struct wm m;
    wm_init(&m, 77);
    m.data_max = 3000;
    ck_assert_int_eq(wm_open(&m), WM_OK);
    testenv_run(&m.env); /* the first spare is there */
    for (unsigned i = 0; i < 8; i++) wm_batch(&m, 5);
    switch (kind) {
    case 0: memdisk_lose_at(m.disk, n); break;
    case 1: memdisk_misdirect_at(m.disk, n, NULL, 4096); break;
    case 2: memdisk_misdirect_at(m.disk, n, NULL, n % 2 == 0 ? 8192 : 512); break;
    default: memdisk_misdirect_at(m.disk, n, "wal/0000000000000001.wal", 0); break;
    }
    for (unsigned i = 0; i < 25; i++) {
        wm_batch(&m, 5);
        for (unsigned g = 0; g < WM_GROUPS && i % 7 == 0; g++) wm_set_floor(&m, g, UINT64_MAX);
    }
    wm_close(&m);
    memdisk_crash(m.disk, MEMDISK_DROP);
    enum wm_result r = wm_open(&m);
    if (r == WM_WRONG || (r == WM_REFUSED && m.status != STATUS_CORRUPT))
        ck_abort_msg("write %" PRIu64 " kind %u: %s %s", n, kind, m.wrong, m.err.text);
    if (r == WM_REFUSED) (*refused)++;
    wm_free(&m);
}

START_TEST(test_lost_and_misdirected_writes)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        unsigned refused = 0;
        for (uint64_t n = 1; n <= 30; n++) one_bad_write(n, kind, &refused);
        ck_assert_uint_gt(refused, 10);
    }
}
END_TEST

static void replace_file(struct memdisk *d, const char *path, struct slice content)
{
    struct disk_file *f;
    ck_assert_int_eq(disk_open(memdisk_disk(d), path, DISK_READ | DISK_WRITE | DISK_CREATE, &f, NULL), STATUS_OK);
    ck_assert_int_eq(disk_truncate(f, content.size), STATUS_OK);
    ck_assert_int_eq(disk_write(f, 0, content.data, content.size), STATUS_OK);
    disk_close(f);
}

START_TEST(test_missing_cut_and_swapped_files)
{
    struct wm m;
    build(&m, 4);
    wm_close(&m);
    ck_assert_int_eq(wm_open(&m), WM_OK);
    struct log_map map;
    map_log(m.wal, &map);
    bool newest_has_data = m.wal->current->end > 2 * WAL_BLOCK;
    wm_crash(&m, MEMDISK_KEEP);
    size_t live = 0;
    while (live < map.count && map.areas[live].live) live++;
    for (size_t i = 0; i < map.count; i++) {
        const struct area *a = &map.areas[i];
        bool matters = a->live && (i + 1 < live); /* the newest one gone, nothing can tell */
        struct memdisk *d = memdisk_clone(m.disk, 1);
        ck_assert_int_eq(disk_remove(memdisk_disk(d), a->path), STATUS_OK);
        if (matters || !a->live) expect(&m, d, matters, "missing", a->path, 0);
        memdisk_free(d);
        for (uint64_t cut = 0; cut < a->bytes; cut += 3 * WAL_BLOCK + 100) {
            d = memdisk_clone(m.disk, 1);
            struct disk_file *f;
            ck_assert_int_eq(disk_open(memdisk_disk(d), a->path, DISK_READ | DISK_WRITE, &f, NULL), STATUS_OK);
            ck_assert_int_eq(disk_truncate(f, cut), STATUS_OK);
            disk_close(f);
            if (matters || cut >= WAL_BLOCK || !a->live) expect(&m, d, a->live, "cut", a->path, cut);
            memdisk_free(d);
        }
        if (i + 1 >= live || i == 0) continue;
        d = memdisk_clone(m.disk, 1); /* the contents of two files exchanged */
        replace_file(d, a->path, memdisk_content(m.disk, map.areas[i - 1].path));
        replace_file(d, map.areas[i - 1].path, memdisk_content(m.disk, a->path));
        expect(&m, d, true, "swapped", a->path, 0);
        memdisk_free(d);
    }
    ck_assert(newest_has_data);
    wm_free(&m);
}
END_TEST

/* A recycled segment shows its former life again, all of it or its header only: stale blocks with valid checksums. */
START_TEST(test_former_life_comes_back)
{
    struct wm m;
    wm_init(&m, 31);
    m.data_max = 2000;
    m.options.spare_segments = 2;
    ck_assert_int_eq(wm_open(&m), WM_OK);
    unsigned tried = 0;
    for (unsigned round = 0; round < 12; round++) {
        struct memdisk *former = memdisk_clone(m.disk, 1);
        for (unsigned i = 0; i < 25; i++) {
            wm_batch(&m, 5);
            for (unsigned g = 0; g < WM_GROUPS && i == 0; g++) wm_set_floor(&m, g, UINT64_MAX);
        }
        wm_close(&m);
        ck_assert_int_eq(wm_open(&m), WM_OK);
        struct log_map map;
        map_log(m.wal, &map);
        for (size_t i = 0; i < map.count; i++) {
            const struct area *a = &map.areas[i];
            if (!a->live || a->end <= 3 * WAL_BLOCK || !memdisk_exists(former, a->path)) continue;
            struct slice old = memdisk_content(former, a->path), new = memdisk_content(m.disk, a->path);
            if (old.size != new.size || memcmp(old.data, new.data, WAL_BLOCK) == 0) continue; /* the same life */
            struct memdisk *d = memdisk_clone(m.disk, 1);
            memdisk_poke(d, a->path, 0, old.data, WAL_BLOCK);
            expect(&m, d, true, "old header", a->path, 0);
            replace_file(d, a->path, old);
            bool newest = i + 1 == map.count || !map.areas[i + 1].live;
            if (!newest) expect(&m, d, true, "old file", a->path, 0);
            memdisk_free(d);
            tried++;
        }
        memdisk_free(former);
    }
    ck_assert_uint_gt(tried, 8);
    wm_free(&m);
}
END_TEST

/* What a client stored looks like a batch header of a newer version, or like one that claims much, and lies behind the end. */
START_TEST(test_stored_data_that_looks_like_a_header)
{
    struct wm m;
    wm_init(&m, 12);
    ck_assert_int_eq(wm_open(&m), WM_OK);
    wm_batch(&m, 4);
    uint8_t block[WAL_BLOCK] = {0};
    struct wal_batch_header h = {
        .log_id = 4711, .number = 1000, .synced_through = 999, .segment = 1, .epoch = 50, .offset = 40960};
    wal_batch_header_encode(&h, block);
    memdisk_poke(m.disk, "wal/0000000000000001.wal", 40960, block, sizeof block);
    wm_close(&m);
    expect(&m, m.disk, false, "a false claim", "", 0);
    wm_free(&m);
}
END_TEST

/* A header with correct checksum that does not fit its neighbours: files of two copies of a log, put together. */
START_TEST(test_headers_that_do_not_continue)
{
    struct wm m;
    build(&m, 21);
    struct log_map map;
    map_log(m.wal, &map);
    wm_close(&m);
    for (unsigned kind = 0; kind < 4; kind++) {
        struct memdisk *d = memdisk_clone(m.disk, 1);
        uint8_t block[WAL_BLOCK];
        const char *path = map.areas[1].path;
        memcpy(block, memdisk_content(d, path).data, WAL_BLOCK);
        struct wal_segment_header h, first;
        ck_assert_int_eq(wal_segment_header_decode(block, &h), STATUS_OK);
        ck_assert_int_eq(wal_segment_header_decode(memdisk_content(d, map.areas[0].path).data, &first), STATUS_OK);
        if (kind == 0) h.chain ^= 1;
        if (kind == 1) h.first_batch--;
        if (kind == 2) h.log_id++;
        if (kind == 3) h.epoch = first.epoch;
        wal_segment_header_encode(&h, block);
        memdisk_poke(d, path, 0, block, WAL_BLOCK);
        expect(&m, d, true, "header of another copy", path, kind);
        memdisk_free(d);
    }
    wm_free(&m);
}
END_TEST

/* The last batch is torn, the log goes on elsewhere, and one day the disk returns the missing sectors. */
START_TEST(test_torn_batch_stays_void)
{
    struct wm m;
    wm_init(&m, 17);
    ck_assert_int_eq(wm_open(&m), WM_OK);
    testenv_run(&m.env);
    wm_put_entry(&m, 0, 1, 3000);
    wm_drain(&m);
    wm_put_entry(&m, 0, 2, 6000);
    wm_submit(&m, false);
    ck_assert(testenv_execute(&m.env, LANE_LOG)); /* written, and never acknowledged */
    struct log_map map;
    map_log(m.wal, &map);
    uint8_t sector[512];
    uint64_t at = map.last_offset + WAL_BLOCK;
    memcpy(sector, memdisk_content(m.disk, map.last_path).data + at, sizeof sector);
    wm_crash(&m, MEMDISK_DROP);
    memdisk_poke(m.disk, map.last_path, at, (uint8_t[512]){0}, 512);
    ck_assert_int_eq(wm_open(&m), WM_OK);
    ck_assert_uint_eq(wm_last(&m, 0), 1);
    ck_assert_str_ne(map.last_path + 19, "");
    for (unsigned i = 0; i < 3; i++) { /* with 0, 1, 2 batches after it */
        struct memdisk *d = memdisk_clone(m.disk, 1);
        memdisk_poke(d, map.last_path, at, sector, sizeof sector);
        expect(&m, d, false, "sectors come back", map.last_path, at);
        memdisk_free(d);
        wm_put_entry(&m, 0, wm_last(&m, 0) + 1, 500);
        wm_drain(&m);
    }
    wm_free(&m);
}
END_TEST

/* The first write of a segment is torn so that the batch is there and the segment header is not. The epoch in it must not
 * be given to another life: under a header of the same epoch that batch would count. */
START_TEST(test_epoch_of_a_headless_batch_is_not_used_again)
{
    struct wm m;
    wm_init(&m, 18);
    ck_assert_int_eq(wm_open(&m), WM_OK);
    testenv_run(&m.env);
    wm_batch(&m, 3);
    struct log_map map;
    map_log(m.wal, &map);
    const struct area *spare = &map.areas[map.count - 1];
    ck_assert(!spare->live);
    uint64_t epoch = m.wal->next_epoch;
    uint8_t block[WAL_BLOCK] = {0};
    struct wal_batch_header h = {.log_id = m.wal->log_id,
                                 .segment = LIST_ENTRY(m.wal->spares.next, struct wal_segment, link)->number,
                                 .epoch = epoch,
                                 .offset = WAL_BLOCK,
                                 .number = m.wal->next_batch,
                                 .synced_through = m.wal->next_batch - 1,
                                 .chain = m.wal->chain};
    wal_batch_header_encode(&h, block);
    wm_crash(&m, MEMDISK_DROP);
    memdisk_poke(m.disk, spare->path, WAL_BLOCK, block, sizeof block);
    ck_assert_int_eq(wm_open(&m), WM_OK);
    ck_assert_uint_gt(m.wal->next_epoch, epoch);
    wm_free(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wal_damage");
    TCase *t = tcase_create("damage");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_any_block_of_a_closed_log);
    tcase_add_test(t, test_last_batch_before_and_after_the_mark);
    tcase_add_test(t, test_lost_and_misdirected_writes);
    tcase_add_test(t, test_missing_cut_and_swapped_files);
    tcase_add_test(t, test_former_life_comes_back);
    tcase_add_test(t, test_stored_data_that_looks_like_a_header);
    tcase_add_test(t, test_headers_that_do_not_continue);
    tcase_add_test(t, test_torn_batch_stays_void);
    tcase_add_test(t, test_epoch_of_a_headless_batch_is_not_used_again);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
