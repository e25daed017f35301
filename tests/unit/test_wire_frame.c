/* Frames: split at every byte, every bit flipped, many in a row, too large, taken back, the document's example. */
#include "base/cursor.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/prng.h"
#include "lib/txn_example.h"
#include "wire/messages.h"

#include <check.h>
#include <stdio.h>

#define SEED 99u
#define RPC_MD "docs/formats/rpc.md"

static struct buf b;

static void setup(void)
{
    buf_init(&b, 3 * LIMIT_FRAME_BYTES);
}

static void teardown(void)
{
    buf_free(&b);
}

static void add_frame(uint64_t id, struct slice payload)
{
    size_t mark = frame_begin(&b, FRAME_RESPONSE, id, METHOD_SCAN);
    pack_bin(&b, payload);
    frame_end(&b, mark);
}

START_TEST(split_at_every_byte)
{
    add_frame(UINT64_MAX, slice_str("payload"));
    ck_assert_uint_le(b.size, FRAME_OVERHEAD_BYTES + 9);
    struct frame f;
    size_t used;
    for (size_t cut = 0; cut < b.size; cut++) {
        uint8_t *exact = mem_dup(b.data, cut);
        ck_assert_int_eq(frame_parse(slice_make(exact, cut), &f, &used), STATUS_END);
        ck_assert_uint_eq(used, 0);
        mem_free(exact);
    }
    size_t whole = b.size;
    buf_append_str(&b, "the beginning of the next");
    ck_assert_int_eq(frame_parse(buf_slice(&b), &f, &used), STATUS_OK);
    ck_assert_uint_eq(used, whole);
    ck_assert(f.type == FRAME_RESPONSE && f.id == UINT64_MAX && f.method == METHOD_SCAN);
    struct unpack u = unpack_make(f.params);
    ck_assert(slice_eq(unpack_bin(&u), slice_str("payload")));
    ck_assert(unpack_done(&u));
}
END_TEST

START_TEST(every_flipped_bit_is_seen)
{
    add_frame(77, slice_str("a payload of some length, so that there is something to flip"));
    for (size_t bit = 0; bit < 8 * b.size; bit++) {
        struct frame f;
        size_t used;
        b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_ne(frame_parse(buf_slice(&b), &f, &used), STATUS_OK);
        b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

START_TEST(many_in_a_row)
{
    struct prng p;
    prng_init(&p, SEED);
    uint8_t bytes[200] = {1, 2, 3};
    size_t sizes[500];
    for (size_t i = 0; i < 500; i++) {
        sizes[i] = (size_t)prng_below(&p, sizeof(bytes));
        add_frame(i, slice_make(bytes, sizes[i]));
    }
    struct slice rest = buf_slice(&b);
    for (size_t i = 0; i < 500; i++) {
        struct frame f;
        size_t used;
        ck_assert_int_eq(frame_parse(rest, &f, &used), STATUS_OK);
        ck_assert_uint_eq(f.id, i);
        struct unpack u = unpack_make(f.params);
        ck_assert_uint_eq(unpack_bin(&u).size, sizes[i]);
        rest = slice_make(rest.data + used, rest.size - used);
    }
    ck_assert_uint_eq(rest.size, 0);
}
END_TEST

START_TEST(too_large)
{
    uint8_t *bytes = mem_zalloc(LIMIT_FRAME_BYTES);
    add_frame(1, slice_make(bytes, 100));
    size_t first = b.size;
    /* 1 array, 1 type, 1 id, 1 method, 5 head of bin */
    add_frame(2, slice_make(bytes, LIMIT_FRAME_BYTES - 9));
    ck_assert(!b.overflow);
    struct frame f;
    size_t used;
    ck_assert_int_eq(frame_parse(slice_make(b.data + first, b.size - first), &f, &used), STATUS_OK);
    ck_assert_uint_eq(used, FRAME_HEADER_BYTES + LIMIT_FRAME_BYTES);
    b.size = first;
    add_frame(2, slice_make(bytes, LIMIT_FRAME_BYTES - 8)); /* one byte more: taken back */
    ck_assert(b.overflow);
    ck_assert_uint_eq(b.size, first);
    mem_free(bytes);
    static const uint8_t huge[] = {0x01, 0x00, 0x00,
                                   0x01}; /* LIMIT_FRAME_BYTES + 1: refused before the rest has come */
    ck_assert_int_eq(frame_parse(slice_make(huge, 4), &f, &used), STATUS_TOO_LARGE);
    static const uint8_t tiny[] = {0x04, 0x00, 0x00, 0x00};
    ck_assert_int_eq(frame_parse(slice_make(tiny, 4), &f, &used), STATUS_INVALID);
}
END_TEST

START_TEST(a_full_buffer_never_holds_half_a_frame)
{
    for (size_t max = 0; max < 60; max++) {
        struct buf small;
        buf_init(&small, max);
        size_t mark = frame_begin(&small, FRAME_REQUEST, 1, METHOD_GET);
        pack_bin(&small, slice_str("twenty bytes of text"));
        frame_end(&small, mark);
        ck_assert_int_eq(small.overflow, max < FRAME_HEADER_BYTES + 4 + 22);
        if (small.overflow) ck_assert_uint_eq(small.size, 0);
        buf_free(&small);
    }
}
END_TEST

/* Bodies that carry a right checksum but are no [type, id, method, params]. */
static enum status parse_body(const void *body, size_t size)
{
    buf_clear(&b);
    size_t mark = frame_begin(&b, FRAME_REQUEST, 1, METHOD_GET);
    b.size = mark + FRAME_HEADER_BYTES;
    buf_append(&b, body, size);
    frame_end(&b, mark);
    struct frame f;
    size_t used;
    return frame_parse(buf_slice(&b), &f, &used);
}

START_TEST(bad_bodies)
{
    ck_assert_int_eq(parse_body("\x94\x00\x01\x0b\xc0", 5), STATUS_OK);
    ck_assert_int_eq(parse_body("\x93\x00\x01\x0b\xc0", 5), STATUS_INVALID);     /* three elements */
    ck_assert_int_eq(parse_body("\x95\x00\x01\x0b\xc0\xc0", 6), STATUS_INVALID); /* five */
    ck_assert_int_eq(parse_body("\x94\x03\x01\x0b\xc0", 5), STATUS_INVALID);     /* type 3 */
    ck_assert_int_eq(parse_body("\x94\xff\x01\x0b\xc0", 5), STATUS_INVALID);     /* type -1 */
    ck_assert_int_eq(parse_body("\x94\x00\xc0\x0b\xc0", 5), STATUS_INVALID);     /* id nil */
    ck_assert_int_eq(parse_body("\x94\x00\x01\xcd\x0b", 5), STATUS_INVALID);     /* cut short */
    ck_assert_int_eq(parse_body("\x94\x00\x01\xcc\x0b", 5), STATUS_INVALID);     /* no params */
    ck_assert_int_eq(parse_body("\x81\x00\x01\x0b\xc0", 5), STATUS_INVALID);     /* a map */
    ck_assert_int_eq(parse_body("\x94\x00\x01\xcf\x01\x00\x00\x00\x00\x00\x00\x00\xc0", 13),
                     STATUS_INVALID); /* method 2^56 */
}
END_TEST

START_TEST(random_bytes)
{
    struct prng p;
    prng_init(&p, SEED + 1);
    for (int i = 0; i < 100000; i++) {
        size_t size = (size_t)prng_below(&p, 40);
        uint8_t *exact = mem_alloc(size);
        for (size_t k = 0; k < size; k++) exact[k] = k > 0 && k < 4 ? 0 : (uint8_t)prng_below(&p, 40);
        struct frame f;
        size_t used;
        ck_assert_int_ne(frame_parse(slice_make(exact, size), &f, &used), STATUS_OK);
        mem_free(exact);
    }
}
END_TEST

START_TEST(names_of_methods)
{
    ck_assert_str_eq(method_name(METHOD_HELLO), "hello");
    ck_assert_str_eq(method_name(METHOD_META_IDS), "meta_ids");
    ck_assert_str_eq(method_name((enum method)9999), "?");
}
END_TEST

START_TEST(documents_frame)
{
    struct buf expected;
    buf_init(&expected, 4096);
    ck_assert(example_load(RPC_MD, "frame", &b));
    struct frame f;
    size_t used;
    ck_assert_int_eq(frame_parse(buf_slice(&b), &f, &used), STATUS_OK);
    ck_assert_uint_eq(used, b.size);
    ck_assert(f.type == FRAME_REQUEST && f.id == 300 && f.method == METHOD_GET);
    struct arena arena;
    arena_init(&arena, 4096);
    struct get_request r;
    ck_assert_int_eq(unpack_get_request(f.params, &arena, &r), STATUS_OK);
    ck_assert(r.to.range_id == 5 && r.to.epoch.conf_ver == 2 && r.to.epoch.version == 3 && r.to.deadline_ms == 1000);
    ck_assert(r.keyspace == 7 && slice_eq(r.key, slice_str("a")));
    size_t mark = frame_begin(&expected, FRAME_REQUEST, 300, METHOD_GET);
    pack_get_request(&expected, &r);
    frame_end(&expected, mark);
    ck_assert(slice_eq(buf_slice(&b), buf_slice(&expected)));
    arena_free(&arena);
    buf_free(&expected);
}
END_TEST

int main(void)
{
    printf("seed %u\n", SEED);
    Suite *s = suite_create("wire_frame");
    TCase *tc = tcase_create("frame");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, split_at_every_byte);
    tcase_add_test(tc, every_flipped_bit_is_seen);
    tcase_add_test(tc, many_in_a_row);
    tcase_add_test(tc, too_large);
    tcase_add_test(tc, a_full_buffer_never_holds_half_a_frame);
    tcase_add_test(tc, bad_bodies);
    tcase_add_test(tc, random_bytes);
    tcase_add_test(tc, names_of_methods);
    tcase_add_test(tc, documents_frame);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
