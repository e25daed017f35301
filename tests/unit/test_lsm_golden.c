/* Files as an earlier program wrote them. tests/golden/store_1.hex is a store of format 1 of tables and manifests: its files in hex,
 * and what they hold as numbers. It is never written again: a later version of the formats adds a file of its own. */
#include "lib/memdisk.h"
#include "lib/testenv.h"

#include "base/crc32c.h"
#include "base/mem.h"
#include "lsm/lsm_int.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define GOLDEN "tests/golden/store_1.hex"

struct sum {
    uint64_t rows, deleted;
    uint32_t crc;
};

static struct memdisk *disk;
static struct testenv t;
static struct lsm *l;
static struct lsm_options options;

static void open_store(void)
{
    struct errbuf err;
    testenv_init(&t, memdisk_disk(disk), 1);
    lsm_options_default(&options);
    options.memtable_bytes = 4096;
    options.block_bytes = 512;
    options.file_bytes = 8192;
    if (lsm_open(&t.env, &options, &l, &err) != STATUS_OK) ck_abort_msg("%s", err.text);
}

static void settle(void)
{
    for (unsigned idle = 0; idle < 4; idle++) {
        lsm_step(l);
        if (!testenv_idle(&t)) idle = 0;
        testenv_run(&t);
    }
}

static void close_store(void)
{
    settle();
    lsm_close(l);
    testenv_free(&t);
    memdisk_free(disk);
}

static void add_row(struct sum *s, const struct lsm_write *row)
{
    uint8_t head[17];
    for (unsigned i = 0; i < 8; i++) head[i] = (uint8_t)(row->ts >> (8 * i));
    for (unsigned i = 0; i < 8; i++) head[8 + i] = (uint8_t)((uint64_t)row->key.size >> (8 * i));
    head[16] = (uint8_t)row->kind;
    s->rows++;
    s->deleted += row->kind == LSM_DELETE ? 1 : 0;
    s->crc = crc32c(s->crc, head, sizeof(head));
    s->crc = crc32c(s->crc, row->key.data, row->key.size);
    s->crc = crc32c(s->crc, row->value.data, row->value.size);
}

static struct sum sum_up(void)
{
    struct sum s = {.rows = 0};
    struct lsm_view *v = lsm_view_new(l, SLICE_EMPTY, SLICE_EMPTY);
    struct lsm_write row;
    enum status status;
    while ((status = lsm_view_next(v, &row)) == STATUS_OK) add_row(&s, &row);
    ASSERT(status == STATUS_END);
    lsm_view_free(v);
    return s;
}

/* --- making it: once per version of the formats --- */

static void put_rows(unsigned from, unsigned to, uint64_t ts)
{
    for (unsigned i = from; i < to; i++) {
        char key[32], value[200];
        (void)snprintf(key, sizeof(key), "%s/%05u", i % 3 == 0 ? "account" : "key", i * 7);
        int n = snprintf(value, sizeof(value), "value %u of %llu ", i, (unsigned long long)ts);
        for (unsigned k = 0; k < i % 100; k++) value[(unsigned)n++] = (char)('a' + (k * i) % 26);
        const struct lsm_write w = {.kind = i % 11 == 5 ? LSM_DELETE : LSM_PUT,
                                    .key = slice_str(key),
                                    .ts = ts + i,
                                    .value = i % 11 == 5 ? SLICE_EMPTY : slice_make(value, (size_t)n)};
        lsm_apply(l, 1 + i % 3, ts + i, 2, &w, 1);
    }
    lsm_flush(l, NULL, NULL);
    settle();
}

static void print_file(void *ctx, const char *path, struct slice content)
{
    (void)ctx;
    printf("file %s %zu\n", path, content.size);
    for (size_t i = 0; i < content.size; i++) printf("%02x%s", content.data[i], i % 48 == 47 ? "\n" : "");
    printf("\n");
}

static void ignore(void *ctx, enum status s)
{
    (void)ctx;
    ASSERT(s == STATUS_OK);
}

static void make(void)
{
    disk = memdisk_new(1);
    open_store();
    lsm_set_safepoint(l, 150);
    for (unsigned i = 0; i < 6; i++) put_rows(i * 9, 60 + i * 4, 100 + i * 1000);
    lsm_excise(l, slice_str("key/00100"), slice_str("key/00140"), ignore, NULL);
    lsm_group_forget(l, 3);
    put_rows(20, 26, 9000);
    struct sum s = sum_up();
    printf("rows %llu deleted %llu crc %08x runs %zu\n", (unsigned long long)s.rows, (unsigned long long)s.deleted,
           s.crc, l->version->run_count);
    memdisk_each(disk, print_file, NULL);
    close_store();
}

/* --- reading it --- */

static unsigned digit(int c)
{
    return c >= 'a' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');
}

static void load_file(FILE *f, const char *path, size_t size)
{
    uint8_t *bytes = mem_alloc(size);
    for (size_t i = 0; i < size; i++) {
        int high = fgetc(f);
        while (high == '\n') high = fgetc(f);
        bytes[i] = (uint8_t)(digit(high) << 4 | digit(fgetc(f)));
    }
    struct disk *d = memdisk_disk(disk);
    struct disk_file *file;
    ck_assert_int_eq(disk_mkdir(d, "store"), STATUS_OK);
    ck_assert_int_eq(disk_open(d, path, DISK_WRITE | DISK_CREATE, &file, NULL), STATUS_OK);
    ck_assert_int_eq(disk_write(file, 0, bytes, size), STATUS_OK);
    ck_assert_int_eq(disk_sync(file), STATUS_OK);
    disk_close(file);
    mem_free(bytes);
}

static struct sum load(size_t *runs)
{
    struct sum s = {.rows = 0};
    unsigned long long rows = 0, deleted = 0;
    FILE *f = fopen(GOLDEN, "r");
    ck_assert_msg(f != NULL, "%s cannot be opened: run the tests from the top folder", GOLDEN);
    ck_assert_int_eq(fscanf(f, "rows %llu deleted %llu crc %x runs %zu\n", &rows, &deleted, &s.crc, runs), 4);
    s.rows = rows;
    s.deleted = deleted;
    char path[64];
    size_t size;
    unsigned files = 0;
    for (; fscanf(f, "file %63s %zu\n", path, &size) == 2; files++) {
        load_file(f, path, size);
        (void)fscanf(f, "\n");
    }
    (void)fclose(f);
    ck_assert_uint_ge(files, 3);
    return s;
}

static void check_sum(struct sum expected)
{
    struct sum s = sum_up();
    ck_assert_uint_eq(s.rows, expected.rows);
    ck_assert_uint_eq(s.deleted, expected.deleted);
    ck_assert_uint_eq(s.crc, expected.crc);
}

START_TEST(a_store_of_format_1_is_read_and_written_on)
{
    size_t runs;
    disk = memdisk_new(1);
    struct sum expected = load(&runs);
    open_store();
    ck_assert_uint_eq(l->version->run_count, runs);
    ck_assert_uint_gt(runs, 1);
    bool clipped = false;
    for (size_t i = 0; i < l->version->file_count; i++) clipped = clipped || l->version->files[i]->clipped;
    ck_assert(clipped); /* part of it was excised */
    check_sum(expected);
    uint64_t index, term;
    ck_assert(lsm_durable(l, 1, &index, &term));
    ck_assert_uint_eq(index, 9024);
    ck_assert_uint_eq(term, 2);
    ck_assert(lsm_durable(l, 2, &index, &term));
    ck_assert_uint_eq(index, 9025);
    ck_assert_uint_eq(l->safepoint, 150);
    struct lsm_row row;
    struct lsm_miss miss;
    lsm_set_blocking(l, true);
    ck_assert_int_eq(lsm_get(l, slice_str("key/00161"), LSM_TS_MAX, &row, &miss), STATUS_OK);
    ck_assert_uint_eq(row.ts, 9023);
    ck_assert(slice_starts(row.value, slice_str("value 23 of 9000 ")));
    ck_assert_int_eq(lsm_get(l, slice_str("key/00119"), LSM_TS_MAX, &row, &miss), STATUS_NOT_FOUND); /* excised */
    put_rows(0, 60, 20000);
    settle();
    ck_assert_int_eq(lsm_get(l, slice_str("key/00119"), LSM_TS_MAX, &row, &miss), STATUS_OK);
    close_store();
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "make") == 0) {
        make();
        return EXIT_SUCCESS;
    }
    Suite *suite = suite_create("lsm/golden");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, a_store_of_format_1_is_read_and_written_on);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
