/* The file CATALOGUE: the example in its document, damage of any byte, and a life on a disk that crashes and fills up. */
#include "lib/memdisk.h"
#include "lib/suite.h"
#include "lib/testenv.h"
#include "lib/txn_example.h"
#include "node/catalogue.h"

static struct catalogue_row ROWS[] = {
    {{(const uint8_t *)"c", 1}, {(const uint8_t *)"x", 1}},
    {{(const uint8_t *)"s/a", 3}, {(const uint8_t *)"\x07", 1}},
};

static void example(struct buf *rows, struct buf *file)
{
    buf_init(rows, 1000);
    buf_init(file, 1000);
    pack_catalogue_rows(rows, &(struct catalogue_rows){.rows = ROWS, .row_count = 2});
    catalogue_file_encode(
        &(struct catalogue){.map_version = 12, .term = 3, .ts_bound = 1ull << 40, .rows = buf_slice(rows)}, file);
}

/* Lives on a disk: asked for once, there after a restart, asked for anew when it is damaged; written again when time has gone on. */
START_TEST(lives)
{
    struct memdisk *disk = memdisk_new(5);
    struct testenv te;
    struct env *env = &te.env;
    testenv_init(&te, memdisk_disk(disk), 6);
    struct node_catalogue c;
    struct buf rows, file;
    example(&rows, &file);
    catalogue_open(&c, env);
    ck_assert_uint_eq(c.hash, 0);
    struct meta_heartbeat_reply reply = {
        .map_version = 12, .term = 3, .ts_bound = 1ull << 40, .catalogue = buf_slice(&rows)};
    catalogue_learn(&c, &reply, 1);
    (void)catalogue_pass(&c, 1);
    testenv_run(&te);
    uint64_t hash = c.hash;
    ck_assert_uint_ne(hash, 0);
    ck_assert(slice_eq(memdisk_content(disk, "CATALOGUE"), buf_slice(&file)));
    reply.catalogue = SLICE_EMPTY; /* it has it */
    reply.ts_bound += 59999ull << TS_COUNTER_BITS;
    catalogue_learn(&c, &reply, 2);
    ck_assert(!c.stale);
    reply.ts_bound += 2ull << TS_COUNTER_BITS;
    catalogue_learn(&c, &reply, 3);
    ck_assert(c.stale);
    (void)catalogue_pass(&c, 3);
    testenv_run(&te);
    catalogue_free(&c);
    memdisk_crash(disk, MEMDISK_DROP);
    catalogue_open(&c, env);
    ck_assert_uint_eq(c.hash, hash);
    ck_assert_uint_eq(c.now.ts_bound, reply.ts_bound);
    reply.term = 2; /* a former service's word */
    reply.ts_bound <<= 1;
    catalogue_learn(&c, &reply, 4);
    ck_assert_uint_lt(c.now.ts_bound, reply.ts_bound);
    catalogue_free(&c);
    memdisk_flip(disk, "CATALOGUE", 20, 3);
    catalogue_open(&c, env);
    ck_assert_uint_eq(c.hash, 0);
    catalogue_free(&c);
    buf_free(&rows);
    buf_free(&file);
    testenv_free(&te);
    memdisk_free(disk);
}
END_TEST

START_TEST(the_document)
{
    struct buf rows, file, known;
    struct catalogue c;
    example(&rows, &file);
    buf_init(&known, 1000);
    ck_assert(example_load("docs/formats/catalogue.md", "catalogue", &known));
    ck_assert(slice_eq(buf_slice(&known), buf_slice(&file)));
    ck_assert_int_eq(catalogue_file_decode(buf_slice(&known), &c), STATUS_OK);
    ck_assert_uint_eq(c.map_version, 12);
    ck_assert_uint_eq(c.ts_bound, 1ull << 40);
    ck_assert(slice_eq(c.rows, buf_slice(&rows)));
    for (size_t i = 0; i < known.size * 8; i++) {
        known.data[i / 8] = (uint8_t)(known.data[i / 8] ^ 1u << i % 8);
        ck_assert_int_eq(catalogue_file_decode(buf_slice(&known), &c), STATUS_CORRUPT);
        known.data[i / 8] = (uint8_t)(known.data[i / 8] ^ 1u << i % 8);
    }
    for (size_t i = 0; i < known.size; i++)
        ck_assert_int_eq(catalogue_file_decode(slice_make(known.data, i), &c), STATUS_CORRUPT);
    buf_free(&rows);
    buf_free(&file);
    buf_free(&known);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("node_catalogue");
    TCase *tc = tcase_create("catalogue");
    tcase_add_test(tc, the_document);
    tcase_add_test(tc, lives);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
