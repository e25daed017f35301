#include "lib/lsm_rig.h"

#include "base/mem.h"
#include "lsm/lsm_int.h"

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fill(struct rig *r)
{
    rig_write_many(r, 500);
    rig_flush(r);
    rig_settle(r);
    rig_write_many(r, 60);
    rig_flush(r);
}

struct names {
    char path[64][64];
    uint64_t size[64];
    size_t count;
};

static void note_file(void *ctx, const char *path, struct slice content)
{
    struct names *n = ctx;
    if (n->count == 64) return;
    (void)snprintf(n->path[n->count], sizeof(n->path[0]), "%s", path);
    n->size[n->count++] = content.size;
}

struct rot_place {
    char path[64];
    uint64_t at;
    bool harmless;
};
struct places {
    struct rot_place list[2000];
    size_t count, in_blocks, behind_blocks; /* the rest: in the manifest */
};

static void places_add(struct places *p, const char *path, uint64_t at, bool harmless)
{
    ck_assert_uint_lt(p->count, sizeof(p->list) / sizeof(p->list[0]));
    struct rot_place *place = &p->list[p->count++];
    (void)snprintf(place->path, sizeof(place->path), "%s", path);
    place->at = at;
    place->harmless = harmless;
}

/* A byte of each block of each table, and what follows the blocks (index, filter, properties, footer) from end to end. */
static void places_of_tables(struct rig *r, struct places *p)
{
    for (size_t i = 0; i < r->l->version->file_count; i++) {
        const struct table *t = r->l->version->files[i]->table;
        char path[TABLE_PATH_MAX];
        table_path(path, r->options.dir, t->id.number);
        uint64_t end = 0;
        for (uint32_t b = 0; b < t->block_count; b++) {
            places_add(p, path, t->blocks[b].offset + prng_below(&r->prng, t->blocks[b].size), false);
            end = t->blocks[b].offset + t->blocks[b].size;
        }
        p->in_blocks += t->block_count;
        for (uint64_t at = end; at < t->id.size; at += 1 + prng_below(&r->prng, 100)) places_add(p, path, at, false);
        places_add(p, path, t->id.size - 1, false);
    }
    p->behind_blocks = p->count - p->in_blocks;
}

/* The manifest's last record says that those before it are durable: without it, and nothing behind, they are there all the same. */
#define LAST_MARK_BYTES 17u

static void places_of_manifest(void *ctx, const char *path, struct slice content)
{
    struct places *p = ctx;
    if (strstr(path, "MANIFEST") == NULL) return;
    for (uint64_t at = 0; at < content.size; at += 1 + p->count % 37)
        places_add(p, path, at, at + LAST_MARK_BYTES >= content.size);
}

/* The store with the damage in it: what it answers is right, or that it cannot answer. True: the damage was noticed. */
static bool meets_damage(struct rig *r, bool *wrote)
{
    *wrote = false;
    r->damaged_allowed = true;
    r->corrupt_seen = 0;
    if (!rig_open(r)) {
        ck_assert_int_eq(r->open_status, STATUS_CORRUPT);
        ck_assert(strstr(r->err.text, "MANIFEST") != NULL); /* no table keeps the store from being opened */
        return true;
    }
    rig_check_all(r);
    if (r->corrupt_seen == 0) rig_check_view(r, SLICE_EMPTY, SLICE_EMPTY);
    bool noticed = r->corrupt_seen > 0;
    *wrote = noticed && prng_chance(&r->prng, 1, 8);
    if (*wrote) { /* compactions meet it too */
        for (unsigned k = 0; k < 40; k++) rig_write(r);
        rig_flush(r);
        rig_settle(r);
        ck_assert_uint_eq(r->env.fatal_count, 0);
        rig_check_all(r);
    }
    rig_close(r);
    return noticed;
}

static void put_back(struct rig *r, struct memdisk *good, uint64_t seed)
{
    memdisk_free(r->disk);
    r->disk = memdisk_clone(good, seed);
    r->env.env.disk = memdisk_disk(r->disk);
}

/* T24: a flipped bit in any block of any of the store's files is noticed at the latest when it matters, and never gives a
 * wrong answer. */
START_TEST(no_flipped_bit_gives_a_wrong_answer)
{
    struct rig r;
    rig_init(&r, (uint64_t)_i);
    ck_assert(rig_open(&r));
    fill(&r);
    rig_settle(&r);
    struct places *p = mem_zalloc(sizeof(*p));
    places_of_tables(&r, p);
    rig_close(&r);
    memdisk_each(r.disk, places_of_manifest, p);
    struct memdisk *good = memdisk_clone(r.disk, 1);
    for (size_t i = 0; i < p->count; i++) {
        const struct rot_place *place = &p->list[i];
        memdisk_flip(r.disk, place->path, place->at, (unsigned)prng_below(&r.prng, 8));
        bool wrote, noticed = meets_damage(&r, &wrote);
        ck_assert_msg(noticed || place->harmless, "a flipped bit at %llu of %s was not noticed",
                      (unsigned long long)place->at, place->path);
        put_back(&r, good, i);
        if (!wrote) continue;
        ck_assert(rig_open(&r)); /* the model goes back too */
        rig_recover(&r, false);
        rig_close(&r);
        put_back(&r, good, i);
    }
    printf("%zu bits flipped: one in each of %zu blocks, %zu behind them, the others in the manifest\n", p->count,
           p->in_blocks, p->behind_blocks);
    ck_assert_uint_gt(p->count, 200);
    mem_free(p);
    memdisk_free(good);
    rig_free(&r);
}
END_TEST

/* True: the n-th write happened, and was lost or went astray. */
static bool bad_write_at(uint64_t seed, uint64_t n, bool lost)
{
    struct memdisk_stats before, after;
    struct rig r;
    rig_init(&r, seed);
    ck_assert(rig_open(&r));
    rig_write_many(&r, 100);
    rig_flush(&r);
    r.damaged_allowed = true;
    memdisk_stats(r.disk, &before);
    if (lost) {
        memdisk_lose_at(r.disk, n);
    } else {
        memdisk_misdirect_at(r.disk, n, NULL, (int64_t)(512 * (1 + prng_below(&r.prng, 3))));
    }
    for (unsigned i = 0; i < 4 && r.l != NULL && r.env.fatal_count == 0; i++) {
        rig_write_many(&r, 60);
        rig_flush(&r);
        if (r.l != NULL && r.env.fatal_count == 0) rig_settle(&r);
    }
    if (r.l != NULL) rig_check_all(&r);
    memdisk_stats(r.disk, &after);
    rig_crash(&r, MEMDISK_KEEP);
    if (rig_open(&r)) rig_check_all(&r);
    rig_free(&r);
    return after.writes - before.writes >= n;
}

/* T25: each write in turn. */
START_TEST(a_misdirected_or_lost_write_gives_no_wrong_answer)
{
    uint64_t n = 1;
    while (bad_write_at((uint64_t)_i / 2, n, _i % 2 == 0)) n++;
    printf("each of %llu writes %s\n", (unsigned long long)n - 1, _i % 2 == 0 ? "lost" : "misdirected");
    ck_assert_uint_gt(n, 15);
}
END_TEST

static void replace_all(struct rig *r)
{
    for (unsigned g = 0; g < RIG_GROUPS; g++) rig_replace_group(r, g);
    r->damaged_allowed = false;
    rig_check_all(r);
    rig_settle(r);
    rig_check_all(r);
    ck_assert_uint_eq(r->l->version->damaged_count, 0);
}

START_TEST(a_missing_manifest_is_named)
{
    struct rig r;
    rig_init(&r, 7);
    ck_assert(rig_open(&r));
    fill(&r);
    rig_close(&r);
    struct names names = {.count = 0}, after = {.count = 0};
    memdisk_each(r.disk, note_file, &names);
    ck_assert_int_eq(disk_remove(memdisk_disk(r.disk), "store/MANIFEST"), STATUS_OK);
    ck_assert(!rig_open(&r));
    ck_assert_int_eq(r.open_status, STATUS_CORRUPT);
    ck_assert_msg(strstr(r.err.text, "MANIFEST") != NULL, "%s", r.err.text);
    memdisk_each(r.disk, note_file, &after);
    ck_assert_uint_eq(after.count, names.count - 1); /* nothing was removed by the attempt */
    rig_free(&r);
}
END_TEST

static void ignore_status(void *ctx, enum status s)
{
    *(enum status *)ctx = s;
}

/* Each of the tables in turn is not there: its rows are not answered, all others are; a copy of the store has the same gap. */
START_TEST(a_missing_table_costs_its_rows_alone)
{
    struct rig r;
    rig_init(&r, 7);
    ck_assert(rig_open(&r));
    fill(&r);
    rig_settle(&r);
    rig_close(&r);
    struct names names = {.count = 0};
    memdisk_each(r.disk, note_file, &names);
    struct memdisk *good = memdisk_clone(r.disk, 1);
    for (size_t f = 0; f < names.count; f++) {
        if (strstr(names.path[f], ".tbl") == NULL) continue;
        ck_assert_int_eq(disk_remove(memdisk_disk(r.disk), names.path[f]), STATUS_OK);
        r.damaged_allowed = true;
        r.corrupt_seen = 0;
        ck_assert_msg(rig_open(&r), "%s", r.err.text);
        ck_assert_uint_ge(r.l->version->damaged_count, 1);
        rig_check_all(&r);
        ck_assert_uint_gt(r.corrupt_seen, 0);
        enum status s = STATUS_MISS;
        lsm_checkpoint(r.l, "copy", ignore_status, &s);
        rig_settle(&r);
        ck_assert_int_eq(s, STATUS_OK);
        rig_close(&r);
        r.options.dir = "copy";
        ck_assert_msg(rig_open(&r), "%s", r.err.text);
        ck_assert_uint_ge(r.l->version->damaged_count, 1);
        rig_check_all(&r);
        rig_close(&r);
        r.options.dir = "store";
        put_back(&r, good, f);
    }
    memdisk_free(good);
    rig_free(&r);
}
END_TEST

START_TEST(a_damaged_block_is_logged_once_and_a_replacement_heals)
{
    struct rig r;
    rig_init(&r, 11);
    ck_assert(rig_open(&r));
    fill(&r);
    rig_close(&r);
    struct names names = {.count = 0};
    memdisk_each(r.disk, note_file, &names);
    for (size_t f = 0; f < names.count; f++) {
        if (strstr(names.path[f], ".tbl") != NULL) memdisk_flip(r.disk, names.path[f], 20, 3);
    }
    r.damaged_allowed = true;
    ck_assert(rig_open(&r));
    rig_check_all(&r);
    ck_assert_uint_gt(r.corrupt_seen, 0);
    ck_assert(strstr(r.env.last_log, "lsm.corrupt") != NULL);
    ck_assert(strstr(r.env.last_log, ".tbl") != NULL);
    ck_assert(strstr(r.env.last_log, "offset=0") != NULL);
    ck_assert(strstr(r.env.last_log, "cause=checksum") != NULL);
    uint64_t lines = r.env.log_lines;
    rig_check_all(&r);
    ck_assert_uint_eq(r.env.log_lines, lines);
    replace_all(&r);
    rig_free(&r);
}
END_TEST

struct told {
    uint64_t count;
};

static void note_damage(void *ctx, struct slice start, struct slice end)
{
    struct told *t = ctx;
    ck_assert_int_lt(slice_cmp(start, end), 0);
    t->count++;
}

/* A store that is opened while it is sound, then damaged. */
static void scrub_finds(const struct rig *r, const struct rot_place *place, uint64_t n)
{
    struct rig s = {.disk = memdisk_clone(r->disk, n), .options = r->options};
    testenv_init(&s.env, memdisk_disk(s.disk), n);
    prng_init(&s.prng, n);
    s.options.scrub_ms = 1;
    ck_assert_msg(rig_open(&s), "%s", s.err.text);
    memdisk_flip(s.disk, place->path, place->at, (unsigned)(n % 8));
    struct told told = {.count = 0};
    lsm_on_damage(s.l, note_damage, &told);
    struct lsm_stats stats = {.quarantined = 0};
    for (unsigned turn = 0; turn < 3000 && stats.quarantined == 0; turn++) {
        testenv_advance_ms(&s.env, 1);
        rig_step(&s);
        lsm_stats(s.l, &stats);
    }
    ck_assert_msg(stats.quarantined == 1, "a flipped bit at %llu of %s was not found", (unsigned long long)place->at,
                  place->path);
    ck_assert_uint_eq(told.count, 1);
    rig_free(&s);
}

/* The scrubber, which nobody has to ask, finds one flipped bit in any block of any table, and in what follows the blocks, and tells
 * whose keys they are. */
START_TEST(the_scrubber_finds_damage_in_every_block)
{
    struct rig r;
    rig_init(&r, 20 + (uint64_t)_i);
    ck_assert(rig_open(&r));
    fill(&r);
    rig_settle(&r); /* or a compaction takes a table away before the scrubber comes to it */
    struct places *p = mem_zalloc(sizeof(*p));
    places_of_tables(&r, p);
    rig_close(&r);
    for (size_t i = 0; i < p->count; i++) scrub_finds(&r, &p->list[i], i);
    printf("%zu flipped bits found by the scrubber, %zu of them in blocks\n", p->count, p->in_blocks);
    ck_assert_uint_gt(p->count, 40);
    mem_free(p);
    rig_free(&r);
}
END_TEST

struct bounds {
    uint8_t lower[RIG_KEY_MAX], upper[RIG_KEY_MAX + 1];
    size_t lower_size, upper_size;
};

/* One of the tables below level 0, if there is more than one. */
static void damage_one(struct rig *r, struct bounds *b)
{
    struct version *v = r->l->version;
    size_t at = v->file_count - 1 - prng_below(&r->prng, v->file_count / 2);
    struct lsm_file *f = v->files[at];
    ck_assert_uint_gt(f->level, 0);
    char path[TABLE_PATH_MAX];
    table_path(path, r->options.dir, f->table->id.number);
    memdisk_flip(r->disk, path, 3, 3);
    memcpy(b->lower, f->lower.data, b->lower_size = f->lower.size);
    memcpy(b->upper, f->upper.data, b->upper_size = f->upper.size);
    lsm_quarantine(r->l, f, 0);
}

static void check_outside(struct rig *r, const struct bounds *b)
{
    size_t outside = 0;
    r->damaged_allowed = false;
    for (size_t i = 0; i < r->rows.count; i++) {
        struct slice key = slice_make(r->rows.rows[i].key, r->rows.rows[i].key_size);
        if (slice_cmp(key, slice_make(b->lower, b->lower_size)) >= 0 &&
            slice_cmp(key, slice_make(b->upper, b->upper_size)) < 0)
            continue;
        rig_check_get(r, key, LSM_TS_MAX);
        outside++;
    }
    ck_assert_uint_gt(outside, 0);
    r->damaged_allowed = true;
}

/* T24: damage that nobody mends. The other tables are flushed and compacted as ever, so that writes go on, and what lies outside the
 * damaged bounds is answered; also after a restart. What is installed in the end is whole. */
START_TEST(damage_that_nobody_mends_stops_nothing_else)
{
    struct rig r;
    struct bounds b;
    struct told told = {.count = 0};
    rig_init(&r, 40 + (uint64_t)_i);
    ck_assert(rig_open(&r));
    rig_write_many(&r, 500);
    for (unsigned i = 0; i < 8; i++) {
        rig_write_many(&r, 40);
        rig_flush(&r);
        rig_settle(&r);
    }
    damage_one(&r, &b);
    r.damaged_allowed = true;
    for (unsigned i = 0; i < 40; i++) {
        rig_write_many(&r, 30);
        rig_flush(&r);
        rig_settle(&r);
        ck_assert_uint_lt(version_runs_of_level(r.l->version, 0), PICK_L0_RUNS);
        ck_assert_uint_eq(lsm_pressure(r.l), 0);
    }
    ck_assert_uint_eq(r.l->version->damaged_count, 1);
    for (unsigned life = 0; life < 2; life++) {
        check_outside(&r, &b);
        rig_check_all(&r);
        ck_assert_uint_gt(r.corrupt_seen, 0);
        rig_crash(&r, MEMDISK_DROP);
        ck_assert_msg(rig_open(&r), "%s", r.err.text);
        rig_recover(&r, true);
        ck_assert_uint_eq(r.l->version->damaged_count, 1);
    }
    lsm_on_damage(r.l, note_damage, &told);
    ck_assert_uint_eq(told.count, 1);
    rig_replace_group(&r, (unsigned)prng_below(&r.prng, RIG_GROUPS)); /* perhaps a part of it */
    rig_check_all(&r);
    replace_all(&r);
    rig_free(&r);
}
END_TEST

START_TEST(the_scrubber_comes_round_and_keeps_to_its_pace)
{
    struct rig r;
    rig_init(&r, 30);
    ck_assert(rig_open(&r));
    fill(&r);
    rig_settle(&r);
    r.l->options.scrub_ms = 1000;
    struct lsm_stats before, after;
    lsm_stats(r.l, &before);
    uint64_t begun_ns = r.env.now_ns;
    for (unsigned ms = 0; ms < 5000; ms += 5) {
        testenv_advance_ms(&r.env, 5);
        for (unsigned k = 0; k < 4; k++) rig_step(&r);
    }
    r.l->options.scrub_ms = 0;
    lsm_stats(r.l, &after);
    uint64_t bytes = after.scrubbed_bytes - before.scrubbed_bytes;
    uint64_t rounds = (r.env.now_ns - begun_ns) / (1000 * NS_PER_MS); /* the clock moves with every look at it */
    ck_assert_uint_ge(rounds, 5);
    ck_assert_uint_ge(bytes, after.file_bytes * rounds / 5);
    ck_assert_uint_le(bytes, after.file_bytes * (rounds + 1));
    ck_assert_uint_eq(after.quarantined, 0);
    rig_check_all(&r);
    rig_free(&r);
}
END_TEST

/* --- sectors that cannot be read --- */

static const struct disk_ops *sound_ops; /* one test at a time */
static uint64_t bad_from, bad_to, manifest_size;
static unsigned bad_reads, bad_reads_max;

static enum status read_bad(struct disk_file *f, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    bool bad = offset < bad_to && offset + size > bad_from && size != manifest_size;
    if (bad && bad_reads++ < bad_reads_max) return STATUS_IO;
    return sound_ops->read(f, offset, bytes, size, got);
}

/* The same stretch of each table cannot be read: in its blocks, or in what follows them, at a start. Once is forgiven. */
START_TEST(a_sector_that_cannot_be_read_is_damage)
{
    struct rig r;
    rig_init(&r, 60);
    ck_assert(rig_open(&r));
    fill(&r);
    rig_settle(&r);
    const struct table_id id = r.l->version->files[0]->table->id;
    bad_from = _i < 2 ? 0 : id.size - 1;
    bad_to = bad_from + 1;
    bad_reads = 0;
    bad_reads_max = _i % 2 == 0 ? 1 : UINT_MAX;
    rig_close(&r);
    manifest_size = memdisk_content(r.disk, "store/MANIFEST").size; /* it is read as a whole */
    struct disk *disk = memdisk_disk(r.disk);
    sound_ops = disk->ops;
    struct disk_ops ops = *sound_ops;
    ops.read = read_bad;
    disk->ops = &ops;
    if (_i == 3) {
        bool unreadable = false;
        struct table *opened;
        ck_assert_int_eq(table_open(disk, "store", &id, &opened, &unreadable, &r.err), STATUS_CORRUPT);
        ck_assert(unreadable);
        ck_assert_ptr_nonnull(strstr(r.err.text, "cannot be read"));
    }
    r.damaged_allowed = bad_reads_max > 1;
    r.corrupt_seen = 0;
    ck_assert_msg(rig_open(&r), "%s", r.err.text);
    rig_check_all(&r);
    ck_assert_uint_ge(bad_reads, 1);
    ck_assert_uint_eq(r.corrupt_seen > 0, bad_reads_max > 1);
    if (_i < 2) ck_assert_int_eq(strstr(r.env.last_log, "lsm.unreadable") != NULL, bad_reads_max > 1);
    disk->ops = sound_ops;
    if (bad_reads_max > 1) replace_all(&r);
    rig_free(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lsm/damage");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, no_flipped_bit_gives_a_wrong_answer, 0, 2);
    tcase_add_loop_test(tcase, a_misdirected_or_lost_write_gives_no_wrong_answer, 0, 4);
    tcase_add_test(tcase, a_missing_manifest_is_named);
    tcase_add_test(tcase, a_missing_table_costs_its_rows_alone);
    tcase_add_test(tcase, a_damaged_block_is_logged_once_and_a_replacement_heals);
    tcase_add_loop_test(tcase, the_scrubber_finds_damage_in_every_block, 0, 2);
    tcase_add_loop_test(tcase, damage_that_nobody_mends_stops_nothing_else, 0, 6);
    tcase_add_test(tcase, the_scrubber_comes_round_and_keeps_to_its_pace);
    tcase_add_loop_test(tcase, a_sector_that_cannot_be_read_is_damage, 0, 4);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
