/* The bytes of docs/formats/wal.md: the example that stands there is decoded, replayed and encoded again; each byte of a
 * header matters; garbage decodes to an error. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "lib/memdisk.h"
#include "lib/testenv.h"
#include "wal/wal_format.h"

#define EXAMPLE_BYTES 65536u
#define EXAMPLE_END (3u * WAL_BLOCK)

/* "00001000  51 57 ..." lines between the markers; what is not listed is zero. */
static void read_example(uint8_t *image)
{
    FILE *f = fopen("docs/formats/wal.md", "r");
    ck_assert_msg(f != NULL, "run from the top of the tree");
    memset(image, 0, EXAMPLE_BYTES);
    char line[256];
    bool inside = false;
    unsigned lines = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "<!-- example -->", 16) == 0) inside = true;
        if (strncmp(line, "<!-- /example -->", 17) == 0) inside = false;
        char *rest;
        unsigned long at = strtoul(line, &rest, 16);
        if (!inside || rest != line + 8) continue;
        for (lines++; *rest == ' ';) image[at++] = (uint8_t)strtoul(rest, &rest, 16);
    }
    (void)fclose(f);
    ck_assert_uint_ge(lines, 10);
}

/* What the document's text says, through the encoders. */
static void write_example(uint8_t *image)
{
    memset(image, 0, EXAMPLE_BYTES);
    struct wal_segment_header sh = {.log_id = 0x0123456789abcdefull,
                                    .segment = 1,
                                    .epoch = 1,
                                    .segment_bytes = EXAMPLE_BYTES,
                                    .first_batch = 1,
                                    .oldest_epoch = 1};
    wal_segment_header_encode(&sh, image);
    struct wal_batch_header mark = {.log_id = sh.log_id, .segment = 1, .epoch = 1, .offset = WAL_BLOCK, .number = 1};
    mark.payload_crc = crc32c(0, image + WAL_BLOCK + WAL_BATCH_HEADER, WAL_BLOCK - WAL_BATCH_HEADER);
    wal_batch_header_encode(&mark, image + WAL_BLOCK);
    uint8_t *at = image + 2 * WAL_BLOCK, *p = at + WAL_BATCH_HEADER;
    struct wal_record records[] = {
        {.kind = WAL_GROUP, .group = 7, .state = slice_str("seven")},
        {.kind = WAL_HARD_STATE, .group = 7, .hard_state = {.term = 3, .vote = 2, .commit = 299}},
        {.kind = WAL_ENTRY, .group = 7, .entry = {.index = 300, .term = 3, .type = 1, .data = slice_str("hello")}},
        {.kind = WAL_RESET, .group = 9, .entry = {.index = 5, .term = 1}},
    };
    for (size_t i = 0; i < 4; i++) {
        p += wal_record_encode_head(&records[i], p);
        struct slice data = records[i].kind == WAL_GROUP ? records[i].state : records[i].entry.data;
        if (data.size > 0) memcpy(p, data.data, data.size);
        p += data.size;
    }
    struct wal_batch_header h = mark;
    h.offset = 2 * WAL_BLOCK;
    h.number = 2;
    h.synced_through = 1;
    h.payload_bytes = (uint32_t)(p - at - WAL_BATCH_HEADER);
    h.records = 4;
    h.chain = mark.crc;
    h.payload_crc = crc32c(0, at + WAL_BATCH_HEADER, WAL_BLOCK - WAL_BATCH_HEADER);
    wal_batch_header_encode(&h, at);
}

static void print_image(const uint8_t *image)
{
    static const uint8_t zeros[16];
    for (unsigned at = 0; at < EXAMPLE_END; at += 16) {
        if (memcmp(image + at, zeros, 16) == 0) continue;
        printf("%08x", at);
        for (unsigned i = 0; i < 16; i++) printf(" %02x", image[at + i]);
        printf("\n");
    }
}

START_TEST(test_example_is_what_the_encoders_write)
{
    uint8_t *doc = mem_alloc(EXAMPLE_BYTES), *ours = mem_alloc(EXAMPLE_BYTES);
    write_example(ours);
    read_example(doc);
    bool same = memcmp(doc, ours, EXAMPLE_BYTES) == 0;
    if (!same) print_image(ours);
    mem_free(doc);
    mem_free(ours);
    ck_assert_msg(
        same, "the example in docs/formats/wal.md is not what the text above it says; printed is what it should be");
}
END_TEST

struct seen {
    char text[512];
};
static void note(struct seen *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct seen *s, const char *fmt, ...)
{
    size_t n = strlen(s->text);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(s->text + n, sizeof s->text - n, fmt, args);
    va_end(args);
}
static void on_group(void *ctx, uint64_t group, struct slice state)
{
    note(ctx, "group %u %.*s;", (unsigned)group, (int)state.size, (const char *)state.data);
}
static void on_group_dropped(void *ctx, uint64_t group)
{
    note(ctx, "dropped %u;", (unsigned)group);
}
static void on_hard_state(void *ctx, uint64_t group, const struct wal_hard_state *hs)
{
    note(ctx, "hard %u %u %u %u;", (unsigned)group, (unsigned)hs->term, (unsigned)hs->vote, (unsigned)hs->commit);
}
static void on_entry(void *ctx, uint64_t group, const struct wal_entry *e)
{
    note(ctx, "entry %u %u %u %u %.*s;", (unsigned)group, (unsigned)e->index, (unsigned)e->term, (unsigned)e->type,
         (int)e->data.size, (const char *)e->data.data);
}
static void on_reset(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    note(ctx, "reset %u %u %u;", (unsigned)group, (unsigned)index, (unsigned)term);
}

static enum status open_image(const uint8_t *image, struct seen *seen, struct errbuf *err)
{
    struct memdisk *d = memdisk_new(1);
    ck_assert_int_eq(disk_mkdir(memdisk_disk(d), "wal"), STATUS_OK);
    struct disk_file *f;
    ck_assert_int_eq(disk_open(memdisk_disk(d), "wal/0000000000000001.wal", DISK_WRITE | DISK_CREATE, &f, NULL),
                     STATUS_OK);
    ck_assert_int_eq(disk_write(f, 0, image, EXAMPLE_BYTES), STATUS_OK);
    disk_close(f);
    struct testenv t;
    testenv_init(&t, memdisk_disk(d), 1);
    struct wal_options o = {.dir = "wal", .segment_bytes = EXAMPLE_BYTES, .spare_segments = 1, .skip_self_test = true};
    struct wal_replay replay = {.group = on_group,
                                .group_dropped = on_group_dropped,
                                .hard_state = on_hard_state,
                                .entry = on_entry,
                                .reset = on_reset,
                                .ctx = seen};
    memset(seen, 0, sizeof *seen);
    struct wal *w = NULL;
    uint64_t before = memdisk_hash(d);
    enum status s = wal_open(&t.env, &o, &replay, &w, err);
    if (s != STATUS_OK) ck_assert_uint_eq(memdisk_hash(d), before);
    testenv_cancel(&t);
    if (w != NULL) wal_close(w);
    testenv_free(&t);
    memdisk_free(d);
    return s;
}

START_TEST(test_example_replays)
{
    uint8_t *image = mem_alloc(EXAMPLE_BYTES);
    read_example(image);
    struct seen seen;
    struct errbuf err = {.text = ""};
    ck_assert_int_eq(open_image(image, &seen, &err), STATUS_OK);
    ck_assert_str_eq(seen.text, "group 7 seven;hard 7 3 2 299;entry 7 300 3 1 hello;reset 9 5 1;");
    mem_free(image);
}
END_TEST

/* A newer version, under correct checksums, is refused by name and not taken for damage or for the end of the log. */
START_TEST(test_newer_versions_are_refused)
{
    uint8_t *image = mem_alloc(EXAMPLE_BYTES);
    struct seen seen;
    struct errbuf err = {.text = ""};
    read_example(image);
    image[8] = 2;
    le_set_u32(image + 68, crc32c(0, image, 68));
    ck_assert_int_eq(open_image(image, &seen, &err), STATUS_UNSUPPORTED);
    ck_assert_ptr_ne(strstr(err.text, "newer"), NULL);
    read_example(image);
    uint8_t *batch = image + 2 * WAL_BLOCK;
    batch[4] = 2;
    le_set_u32(batch + 76, crc32c(0, batch, 76));
    ck_assert_int_eq(open_image(image, &seen, &err), STATUS_UNSUPPORTED);
    read_example(image); /* an unknown kind of record */
    batch[80] = 6;
    le_set_u32(batch + 68, crc32c(0, batch + 80, WAL_BLOCK - 80));
    le_set_u32(batch + 76, crc32c(0, batch, 76));
    ck_assert_int_eq(open_image(image, &seen, &err), STATUS_UNSUPPORTED);
    mem_free(image);
}
END_TEST

/* Malformed under correct checksums: refused, never a crash. */
START_TEST(test_malformed_records_are_damage)
{
    uint8_t *image = mem_alloc(EXAMPLE_BYTES);
    uint8_t *batch = image + 2 * WAL_BLOCK;
    struct seen seen;
    struct errbuf err;
    for (unsigned at = 80; at < 80 + 30; at++) {
        for (unsigned v = 0; v < 256; v += 5) {
            read_example(image);
            batch[at] = (uint8_t)v;
            le_set_u32(batch + 68, crc32c(0, batch + 80, WAL_BLOCK - 80));
            le_set_u32(batch + 76, crc32c(0, batch, 76));
            (void)open_image(image, &seen, &err);
        }
    }
    uint32_t counts[] = {3, 5, 0xffffffffu};
    for (size_t i = 0; i < 3; i++) {
        read_example(image);
        le_set_u32(batch + 60, counts[i]);
        le_set_u32(batch + 76, crc32c(0, batch, 76));
        ck_assert_int_eq(open_image(image, &seen, &err), STATUS_CORRUPT);
    }
    mem_free(image);
}
END_TEST

/* A batch of another place, life, log or number is not there, whatever its checksums say; one that does not continue the
 * batch before is damage. */
START_TEST(test_a_batch_is_bound_to_its_place)
{
    uint8_t *image = mem_alloc(EXAMPLE_BYTES);
    uint8_t *batch = image + 2 * WAL_BLOCK;
    const unsigned fields[] = {8, 16, 24, 32, 40}; /* log id, segment, epoch, offset, number */
    struct seen seen;
    struct errbuf err = {.text = ""};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        read_example(image);
        le_set_u64(batch + fields[i], le_u64(batch + fields[i]) + 1);
        le_set_u32(batch + 76, crc32c(0, batch, 76));
        ck_assert_int_eq(open_image(image, &seen, &err), STATUS_OK);
        ck_assert_str_eq(seen.text, "");
    }
    read_example(image);
    batch[64] ^= 1;
    le_set_u32(batch + 76, crc32c(0, batch, 76));
    ck_assert_int_eq(open_image(image, &seen, &err), STATUS_CORRUPT);
    mem_free(image);
}
END_TEST

START_TEST(test_every_bit_of_the_headers_matters)
{
    uint8_t *image = mem_alloc(EXAMPLE_BYTES);
    struct wal_segment_header sh;
    struct wal_batch_header bh;
    write_example(image);
    ck_assert_int_eq(wal_segment_header_decode(image, &sh), STATUS_OK);
    ck_assert_int_eq(wal_batch_header_decode(image + WAL_BLOCK, &bh), STATUS_OK);
    for (unsigned bit = 0; bit < WAL_BLOCK * 8; bit++) {
        image[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_eq(wal_segment_header_decode(image, &sh), STATUS_NOT_FOUND);
        image[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (unsigned bit = 0; bit < WAL_BATCH_HEADER * 8; bit++) {
        image[WAL_BLOCK + bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_eq(wal_batch_header_decode(image + WAL_BLOCK, &bh), STATUS_NOT_FOUND);
        image[WAL_BLOCK + bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    mem_free(image);
}
END_TEST

static uint64_t edge(struct prng *p)
{
    uint64_t v = prng_next(p) >> prng_below(p, 64);
    return prng_chance(p, 1, 10) ? UINT64_MAX : v;
}

START_TEST(test_records_round_trip)
{
    struct prng p;
    prng_init(&p, 42);
    uint8_t data[64], bytes[256];
    for (unsigned i = 0; i < 64; i++) data[i] = (uint8_t)i;
    for (unsigned i = 0; i < 20000; i++) {
        struct slice s = slice_make(data, (size_t)prng_below(&p, 64));
        struct wal_record r = {
            .kind = (enum wal_record_kind)(1 + prng_below(&p, 5)), .group = edge(&p) | 1, .state = s};
        r.hard_state = (struct wal_hard_state){.term = edge(&p), .vote = edge(&p), .commit = edge(&p)};
        r.entry = (struct wal_entry){.index = edge(&p), .term = edge(&p), .type = (uint8_t)prng_next(&p), .data = s};
        size_t n = wal_record_encode_head(&r, bytes);
        bool with_data = r.kind == WAL_GROUP || r.kind == WAL_ENTRY;
        if (with_data && s.size > 0) memcpy(bytes + n, s.data, s.size);
        if (with_data) n += s.size;
        struct cursor c = cursor_make(slice_make(bytes, n));
        struct wal_record b;
        ck_assert_int_eq(wal_record_decode(&c, &b), STATUS_OK);
        ck_assert_uint_eq(cursor_left(&c), 0);
        ck_assert_int_eq(b.kind, r.kind);
        ck_assert_uint_eq(b.group, r.group);
        if (r.kind == WAL_GROUP) ck_assert(slice_eq(b.state, s));
        if (r.kind == WAL_HARD_STATE) ck_assert_int_eq(memcmp(&b.hard_state, &r.hard_state, sizeof r.hard_state), 0);
        if (r.kind == WAL_ENTRY || r.kind == WAL_RESET) {
            ck_assert_uint_eq(b.entry.index, r.entry.index);
            ck_assert_uint_eq(b.entry.term, r.entry.term);
        }
        if (r.kind == WAL_ENTRY) ck_assert(slice_eq(b.entry.data, s) && b.entry.type == r.entry.type);
        for (size_t cut = 0; cut < n; cut++) { /* cut anywhere it is malformed, not misread */
            c = cursor_make(slice_make(bytes, cut));
            ck_assert_int_eq(wal_record_decode(&c, &b), STATUS_CORRUPT);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wal_format");
    TCase *t = tcase_create("format");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_example_is_what_the_encoders_write);
    tcase_add_test(t, test_example_replays);
    tcase_add_test(t, test_newer_versions_are_refused);
    tcase_add_test(t, test_malformed_records_are_damage);
    tcase_add_test(t, test_a_batch_is_bound_to_its_place);
    tcase_add_test(t, test_every_bit_of_the_headers_matters);
    tcase_add_test(t, test_records_round_trip);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
