#include "base/buf.h"
#include "base/cursor.h"
#include "base/prng.h"

#include <check.h>
#include <stdlib.h>

START_TEST(everything_put_is_read_back)
{
    static const uint64_t values[] = {0, 1, 127, 128, 255, 16383, 16384, UINT32_MAX, (uint64_t)1 << 63, UINT64_MAX};
    struct buf b;
    buf_init(&b, 10000);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        buf_put_u8(&b, (uint8_t)values[i]);
        buf_put_u16(&b, (uint16_t)values[i]);
        buf_put_u32(&b, (uint32_t)values[i]);
        buf_put_u64(&b, values[i]);
        buf_put_varint(&b, values[i]);
        buf_append_str(&b, "xyz");
    }
    struct cursor c = cursor_make(buf_slice(&b));
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        ck_assert_uint_eq(cursor_u8(&c), (uint8_t)values[i]);
        ck_assert_uint_eq(cursor_u16(&c), (uint16_t)values[i]);
        ck_assert_uint_eq(cursor_u32(&c), (uint32_t)values[i]);
        ck_assert(cursor_u64(&c) == values[i]);
        ck_assert(cursor_varint(&c) == values[i]);
        ck_assert(slice_eq(cursor_bytes(&c, 3), slice_str("xyz")));
    }
    ck_assert(!c.failed);
    ck_assert_uint_eq(cursor_left(&c), 0);
    buf_free(&b);
}
END_TEST

/* One record with a field of each kind; its fields' values when whole. */
static void read_record(struct cursor *c, uint64_t out[6])
{
    out[0] = cursor_u8(c);
    out[1] = cursor_u16(c);
    out[2] = cursor_varint(c);
    out[3] = cursor_u32(c);
    out[4] = cursor_u64(c);
    out[5] = cursor_bytes(c, 5).size;
}

START_TEST(every_truncation_fails_reads_zero_and_stays_failed)
{
    struct buf b;
    buf_init(&b, 100);
    buf_put_u8(&b, 0xff);
    buf_put_u16(&b, 0xffff);
    buf_put_varint(&b, UINT64_MAX);
    buf_put_u32(&b, 0xffffffff);
    buf_put_u64(&b, UINT64_MAX);
    buf_append_str(&b, "12345");
    for (size_t size = 0; size <= b.size; size++) {
        /* A copy of exactly this size, so that a sanitizer sees a read behind it. */
        uint8_t *copy = malloc(size + 1);
        ck_assert_ptr_nonnull(copy);
        uint8_t *exact = copy + 1;
        memcpy(exact, b.data, size);
        struct cursor c = cursor_make(slice_make(exact, size));
        uint64_t out[6];
        read_record(&c, out);
        ck_assert(c.failed == (size < b.size));
        bool whole_so_far = true;
        for (unsigned i = 0; i < 6; i++) {
            if (out[i] == 0) whole_so_far = false;
            if (!whole_so_far) ck_assert(out[i] == 0);
        }
        ck_assert(whole_so_far == (size == b.size));
        if (c.failed) {
            ck_assert_uint_eq(cursor_u8(&c), 0);
            ck_assert(c.failed);
        }
        free(copy);
    }
    buf_free(&b);
}
END_TEST

START_TEST(a_size_from_the_wire_cannot_wrap)
{
    struct cursor c = cursor_make(slice_str("abcdef"));
    ck_assert_uint_eq(cursor_bytes(&c, SIZE_MAX).size, 0);
    ck_assert(c.failed);
    c = cursor_make(slice_str("abcdef"));
    ck_assert_uint_eq(cursor_bytes(&c, 6).size, 6);
    ck_assert_uint_eq(cursor_bytes(&c, 0).size, 0);
    ck_assert(!c.failed);
    c = cursor_make(slice_make(NULL, 0));
    ck_assert_uint_eq(cursor_left(&c), 0);
    ck_assert_uint_eq(cursor_u16(&c), 0);
    ck_assert(c.failed);
}
END_TEST

START_TEST(varints_beyond_64_bits_fail)
{
    static const struct {
        const char *bytes;
        size_t size;
        bool good;
    } cases[] = {
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, true},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, false},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, false},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, false},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11, false},
        {"\x80\x80\x80", 3, false},
        {"\x80\x00", 2, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cursor c = cursor_make(slice_make(cases[i].bytes, cases[i].size));
        uint64_t v = cursor_varint(&c);
        ck_assert_msg(c.failed == !cases[i].good, "case %zu", i);
        if (!cases[i].good) ck_assert(v == 0);
    }
}
END_TEST

START_TEST(fixed_offsets)
{
    uint8_t p[8];
    le_set_u64(p, 0x0807060504030201);
    for (unsigned i = 0; i < 8; i++) ck_assert_uint_eq(p[i], i + 1);
    ck_assert_uint_eq(le_u16(p), 0x0201);
    ck_assert_uint_eq(le_u32(p + 4), 0x08070605);
    ck_assert(le_u64(p) == 0x0807060504030201);
    le_set_u32(p, 0xa0b0c0d0);
    ck_assert_uint_eq(p[0], 0xd0);
    be_set_u64(p, 0x0102030405060708);
    for (unsigned i = 0; i < 8; i++) ck_assert_uint_eq(p[i], i + 1);
    ck_assert(be_u64(p) == 0x0102030405060708);
    ck_assert_uint_eq(be_u32(p + 4), 0x05060708);
    be_set_u32(p, 0xfffefdfc);
    ck_assert_uint_eq(be_u32(p), 0xfffefdfc);
    ck_assert_uint_eq(p[0], 0xff);
}
END_TEST

START_TEST(big_endian_bytes_sort_as_the_numbers_do)
{
    struct prng random;
    prng_init(&random, 42);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t a = prng_next(&random) >> prng_below(&random, 64), b = prng_next(&random) >> prng_below(&random, 64);
        uint8_t pa[8], pb[8];
        be_set_u64(pa, a);
        be_set_u64(pb, b);
        int c = memcmp(pa, pb, 8);
        ck_assert_int_eq((c > 0) - (c < 0), (a > b) - (a < b));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/cursor");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, everything_put_is_read_back);
    tcase_add_test(tcase, every_truncation_fails_reads_zero_and_stays_failed);
    tcase_add_test(tcase, a_size_from_the_wire_cannot_wrap);
    tcase_add_test(tcase, varints_beyond_64_bits_fail);
    tcase_add_test(tcase, fixed_offsets);
    tcase_add_test(tcase, big_endian_bytes_sort_as_the_numbers_do);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
