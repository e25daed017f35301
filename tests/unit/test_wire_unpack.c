/* The cursor against msgpack-c's packer: every type and width, skipping, nesting, hostile counts, damaged bytes. */
#include "base/mem.h"
#include "base/prng.h"
#include "wire/wire.h"

#include <check.h>
#include <msgpack.h>
#include <stdio.h>

#define SEED 4242u

static struct buf b;

static void setup(void)
{
    buf_init(&b, 1u << 24);
}

static void teardown(void)
{
    buf_free(&b);
}

static struct unpack cursor(void)
{
    return unpack_make(buf_slice(&b));
}

START_TEST(integers_of_every_width)
{
    static const uint64_t edges[] = {0,      1,       0x7f,       0x80,       0xff,      0x100,
                                     0xffff, 0x10000, UINT32_MAX, 1ull << 32, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        buf_clear(&b);
        pack_uint(&b, edges[i]);
        struct unpack u = cursor();
        ck_assert_uint_eq(unpack_uint(&u), edges[i]);
        ck_assert(unpack_done(&u));
        u = cursor();
        int64_t v = unpack_int(&u);
        ck_assert_int_eq(u.failed, edges[i] > INT64_MAX);
        if (!u.failed) ck_assert_int_eq(v, (int64_t)edges[i]);
    }
    static const int64_t signed_edges[] = {-1,        -32, -33, -128, -129, -32768, -32769, INT32_MIN, INT32_MIN - 1ll,
                                           INT64_MIN, 5};
    for (size_t i = 0; i < sizeof(signed_edges) / sizeof(signed_edges[0]); i++) {
        buf_clear(&b);
        pack_int(&b, signed_edges[i]);
        struct unpack u = cursor();
        ck_assert_int_eq(unpack_int(&u), signed_edges[i]);
        ck_assert(unpack_done(&u));
        u = cursor();
        (void)unpack_uint(&u);
        ck_assert_int_eq(u.failed, signed_edges[i] < 0);
    }
    /* another implementation may use signed widths for what is not negative */
    static const uint8_t wide[] = {0xd3, 0, 0, 0, 0, 0, 0, 0, 5};
    struct unpack u = unpack_make(slice_make(wide, sizeof(wide)));
    ck_assert_uint_eq(unpack_uint(&u), 5);
    ck_assert(unpack_done(&u));
}
END_TEST

START_TEST(the_other_types)
{
    pack_array(&b, 6);
    pack_bool(&b, true);
    pack_bool(&b, false);
    pack_nil(&b);
    pack_bin(&b, slice_make("\0x", 2));
    pack_str(&b, "text");
    pack_bin(&b, SLICE_EMPTY);
    struct unpack u = cursor();
    ck_assert_uint_eq(unpack_array(&u), 6);
    ck_assert(!unpack_is_nil(&u));
    ck_assert(unpack_bool(&u));
    ck_assert(!unpack_bool(&u));
    ck_assert(unpack_is_nil(&u));
    ck_assert(slice_eq(unpack_bin(&u), slice_make("\0x", 2)));
    ck_assert(slice_eq(unpack_bin(&u), slice_str("text")));
    ck_assert_uint_eq(unpack_bin(&u).size, 0);
    ck_assert(unpack_done(&u));
    (void)unpack_uint(&u); /* behind the end */
    ck_assert(u.failed);
    ck_assert(!unpack_done(&u));
}
END_TEST

START_TEST(failure_sticks)
{
    pack_uint(&b, 7);
    pack_bool(&b, true);
    struct unpack u = cursor();
    (void)unpack_bool(&u);
    ck_assert(u.failed);
    ck_assert_uint_eq(unpack_uint(&u), 0);
    ck_assert(!unpack_bool(&u));
    ck_assert(!unpack_is_nil(&u));
    ck_assert_uint_eq(unpack_array(&u), 0);
    ck_assert_uint_eq(unpack_bin(&u).size, 0);
    ck_assert_int_eq(unpack_int(&u), 0);
    unpack_skip(&u);
    ck_assert(!unpack_done(&u));
}
END_TEST

START_TEST(sizes_of_bin)
{
    static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 1u << 20};
    uint8_t *bytes = mem_zalloc(1u << 20);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        buf_clear(&b);
        pack_bin(&b, slice_make(bytes, sizes[i]));
        struct unpack u = cursor();
        ck_assert_uint_eq(unpack_bin(&u).size, sizes[i]);
        ck_assert(unpack_done(&u));
        u = unpack_make(slice_make(b.data, b.size - 1));
        ck_assert_uint_eq(unpack_bin(&u).size, 0);
        ck_assert(u.failed);
        u = cursor();
        unpack_skip(&u);
        ck_assert(unpack_done(&u));
    }
    mem_free(bytes);
}
END_TEST

START_TEST(claimed_counts)
{
    static const uint8_t array32[] = {0xdd, 0xff, 0xff, 0xff, 0xff, 0x01};
    static const uint8_t array16[] = {0xdc, 0x00, 0x03, 0x01, 0x02};
    static const uint8_t map32[] = {0xdf, 0x80, 0x00, 0x00, 0x00, 0x01};
    static const uint8_t bin32[] = {0xc6, 0xff, 0xff, 0xff, 0xff, 0x01};
    const struct slice all[] = {slice_make(array32, 6), slice_make(array16, 5), slice_make(map32, 6),
                                slice_make(bin32, 6)};
    for (size_t i = 0; i < 4; i++) {
        struct unpack u = unpack_make(all[i]);
        ck_assert_uint_eq(unpack_array(&u), 0);
        ck_assert(u.failed);
        u = unpack_make(all[i]);
        ck_assert_uint_eq(unpack_bin(&u).size, 0);
        ck_assert(u.failed);
        u = unpack_make(all[i]);
        unpack_skip(&u);
        ck_assert(u.failed);
    }
}
END_TEST

START_TEST(extra_elements_are_skipped)
{
    pack_array(&b, 4);
    pack_uint(&b, 1);
    pack_uint(&b, 2);
    pack_array(&b, 2);
    pack_str(&b, "new");
    pack_nil(&b);
    pack_bool(&b, true);
    struct unpack u = cursor();
    uint32_t extra = unpack_open(&u, 2);
    ck_assert_uint_eq(extra, 2);
    ck_assert_uint_eq(unpack_uint(&u), 1);
    ck_assert_uint_eq(unpack_uint(&u), 2);
    unpack_close(&u, extra);
    ck_assert(unpack_done(&u));
    u = cursor();
    ck_assert(unpack_array_of(&u, 4));
    u = cursor();
    ck_assert(!unpack_array_of(&u, 5));
}
END_TEST

START_TEST(nesting)
{
    for (unsigned levels = 1; levels <= 40; levels++) {
        buf_clear(&b);
        for (unsigned i = 0; i + 1 < levels; i++) pack_array(&b, 1);
        pack_uint(&b, 1);
        struct unpack u = cursor();
        unpack_skip(&u);
        ck_assert_int_eq(unpack_done(&u), levels <= 32);
    }
    buf_clear(&b); /* a megabyte of opening brackets */
    for (unsigned i = 0; i < (1u << 20); i++) buf_append_byte(&b, 0x91);
    struct unpack u = cursor();
    unpack_skip(&u);
    ck_assert(u.failed);
}
END_TEST

/* --- against msgpack-c --- */

static void pack_random(struct prng *p, msgpack_packer *pk, unsigned depth)
{
    static const char text[300];
    size_t size = (size_t)prng_below(p, prng_chance(p, 1, 10) ? 300 : 10);
    switch (prng_below(p, depth > 4 ? 9 : 11)) {
    case 0: msgpack_pack_nil(pk); break;
    case 1: msgpack_pack_true(pk); break;
    case 2: msgpack_pack_uint64(pk, prng_next(p) >> prng_below(p, 64)); break;
    case 3: msgpack_pack_int64(pk, -(int64_t)(prng_next(p) >> (1 + prng_below(p, 63)))); break;
    case 4: msgpack_pack_double(pk, 1.5); break;
    case 5: msgpack_pack_float(pk, 1.5f); break;
    case 6: msgpack_pack_str_with_body(pk, text, size); break;
    case 7: msgpack_pack_bin_with_body(pk, text, size); break;
    case 8: msgpack_pack_ext_with_body(pk, text, size + 1, 3); break;
    case 9:
        msgpack_pack_array(pk, size);
        for (size_t i = 0; i < size; i++) pack_random(p, pk, depth + 1);
        break;
    default:
        msgpack_pack_map(pk, size % 20);
        for (size_t i = 0; i < 2 * (size % 20); i++) pack_random(p, pk, depth + 1);
        break;
    }
}

START_TEST(skips_whatever_msgpack_c_packs)
{
    struct prng p;
    prng_init(&p, SEED);
    for (int i = 0; i < 2000; i++) {
        msgpack_sbuffer sb;
        msgpack_packer pk;
        msgpack_sbuffer_init(&sb);
        msgpack_packer_init(&pk, &sb, msgpack_sbuffer_write);
        pack_random(&p, &pk, 2);
        struct unpack u = unpack_make(slice_make(sb.data, sb.size));
        unpack_skip(&u);
        ck_assert(unpack_done(&u));
        size_t cut = (size_t)prng_below(&p, sb.size);
        uint8_t *exact = mem_dup(sb.data, cut);
        u = unpack_make(slice_make(exact, cut));
        unpack_skip(&u);
        ck_assert(u.failed);
        mem_free(exact);
        msgpack_sbuffer_destroy(&sb);
    }
}
END_TEST

START_TEST(msgpack_c_reads_what_we_pack)
{
    pack_array(&b, 5);
    pack_uint(&b, UINT64_MAX);
    pack_int(&b, INT64_MIN);
    pack_bool(&b, true);
    pack_bin(&b, slice_str("bin"));
    pack_str(&b, "str");
    msgpack_unpacked m;
    msgpack_unpacked_init(&m);
    size_t off = 0;
    ck_assert_int_eq(msgpack_unpack_next(&m, (const char *)b.data, b.size, &off), MSGPACK_UNPACK_SUCCESS);
    ck_assert_uint_eq(off, b.size);
    const msgpack_object *o = m.data.via.array.ptr;
    ck_assert(m.data.type == MSGPACK_OBJECT_ARRAY && m.data.via.array.size == 5);
    ck_assert(o[0].type == MSGPACK_OBJECT_POSITIVE_INTEGER && o[0].via.u64 == UINT64_MAX);
    ck_assert(o[1].type == MSGPACK_OBJECT_NEGATIVE_INTEGER && o[1].via.i64 == INT64_MIN);
    ck_assert(o[2].type == MSGPACK_OBJECT_BOOLEAN && o[2].via.boolean);
    ck_assert(o[3].type == MSGPACK_OBJECT_BIN && o[3].via.bin.size == 3);
    ck_assert(o[4].type == MSGPACK_OBJECT_STR && o[4].via.str.size == 3);
    msgpack_unpacked_destroy(&m);
}
END_TEST

START_TEST(random_bytes)
{
    struct prng p;
    prng_init(&p, SEED + 1);
    for (int i = 0; i < 100000; i++) {
        size_t size = (size_t)prng_below(&p, 24);
        uint8_t *exact = mem_alloc(size);
        for (size_t k = 0; k < size; k++) exact[k] = (uint8_t)prng_next(&p);
        struct slice s = slice_make(exact, size);
        struct unpack u = unpack_make(s);
        while (!u.failed && u.at < u.end) unpack_skip(&u);
        ck_assert(u.at <= u.end);
        u = unpack_make(s);
        for (int k = 0; k < 6; k++) {
            switch (prng_below(&p, 6)) {
            case 0: (void)unpack_uint(&u); break;
            case 1: (void)unpack_int(&u); break;
            case 2: (void)unpack_bool(&u); break;
            case 3: ck_assert_uint_le(unpack_bin(&u).size, size); break;
            case 4: (void)unpack_is_nil(&u); break;
            default: ck_assert_uint_le(unpack_array(&u), size); break;
            }
            ck_assert(u.at <= u.end);
        }
        mem_free(exact);
    }
}
END_TEST

int main(void)
{
    printf("seed %u\n", SEED);
    Suite *s = suite_create("wire_unpack");
    TCase *tc = tcase_create("unpack");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, integers_of_every_width);
    tcase_add_test(tc, the_other_types);
    tcase_add_test(tc, failure_sticks);
    tcase_add_test(tc, sizes_of_bin);
    tcase_add_test(tc, claimed_counts);
    tcase_add_test(tc, extra_elements_are_skipped);
    tcase_add_test(tc, nesting);
    tcase_add_test(tc, skips_whatever_msgpack_c_packs);
    tcase_add_test(tc, msgpack_c_reads_what_we_pack);
    tcase_add_test(tc, random_bytes);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
