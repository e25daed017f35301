#include "base/buf.h"
#include "base/mem.h"
#include "base/prng.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

START_TEST(appending_beyond_the_ceiling_appends_nothing)
{
    struct buf b;
    buf_init(&b, 10);
    buf_append_str(&b, "12345678");
    buf_append_str(&b, "abc");
    ck_assert(b.overflow);
    ck_assert_uint_eq(b.size, 8);
    buf_append_byte(&b, 'x'); /* would fit, but the message is incomplete already */
    ck_assert_uint_eq(b.size, 8);
    ck_assert_ptr_null(buf_extend(&b, 1));
    buf_clear(&b);
    ck_assert(!b.overflow);
    buf_append_str(&b, "1234567890");
    ck_assert(!b.overflow);
    ck_assert(slice_eq(buf_slice(&b), slice_str("1234567890")));
    buf_free(&b);
    buf_free(&b);
}
END_TEST

START_TEST(sizes_near_the_end_of_the_number_range_do_not_wrap)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_append_str(&b, "abc");
    ck_assert_ptr_null(buf_extend(&b, SIZE_MAX - 2));
    ck_assert(b.overflow);
    ck_assert_uint_eq(b.size, 3);
    buf_free(&b);
    buf_init(&b, 100);
    ck_assert_ptr_null(buf_extend(&b, SIZE_MAX));
    ck_assert_ptr_null(b.data);
    buf_free(&b);
}
END_TEST

START_TEST(growth_is_geometric_and_stops_at_the_ceiling)
{
    struct buf b;
    buf_init(&b, 100000);
    unsigned moves = 0;
    for (unsigned i = 0; i < 100000; i++) {
        size_t before = b.capacity;
        buf_append_byte(&b, (uint8_t)i);
        if (b.capacity != before) moves++;
        ck_assert_uint_le(b.capacity, b.max);
    }
    ck_assert(!b.overflow);
    ck_assert_uint_eq(b.capacity, 100000);
    ck_assert_uint_le(moves, 12);
    for (unsigned i = 0; i < 100000; i++) ck_assert_uint_eq(b.data[i], (uint8_t)i);
    buf_append_byte(&b, 1);
    ck_assert(b.overflow);
    buf_free(&b);
}
END_TEST

START_TEST(an_empty_ceiling_holds_empty_things)
{
    struct buf b;
    buf_init(&b, 0);
    buf_append(&b, NULL, 0);
    buf_append_str(&b, "");
    ck_assert_ptr_nonnull(buf_extend(&b, 0));
    ck_assert(!b.overflow);
    ck_assert_uint_eq(buf_slice(&b).size, 0);
    buf_put_u8(&b, 1);
    ck_assert(b.overflow);
    buf_free(&b);
}
END_TEST

START_TEST(printf_of_every_length)
{
    char text[600];
    for (size_t n = 0; n < sizeof(text); n++) {
        memset(text, 'a' + (int)(n % 26), n);
        text[n] = '\0';
        struct buf b;
        buf_init(&b, n + 3); /* exactly: no room for a NUL behind it */
        buf_printf(&b, "<%s>%d", text, 7);
        ck_assert(!b.overflow);
        ck_assert_uint_eq(b.size, n + 3);
        ck_assert_int_eq(memcmp(b.data + 1, text, n), 0);
        ck_assert_int_eq(memcmp(b.data + 1 + n, ">7", 2), 0);
        buf_free(&b);
        buf_init(&b, n + 2);
        buf_printf(&b, "<%s>%d", text, 7);
        ck_assert(b.overflow);
        ck_assert_uint_eq(b.size, 0);
        buf_free(&b);
    }
}
END_TEST

START_TEST(take_hands_over_and_leaves_an_empty_buffer)
{
    struct buf b;
    buf_init(&b, 50);
    size_t size;
    uint8_t *nothing = buf_take(&b, &size);
    ck_assert_ptr_nonnull(nothing);
    ck_assert_uint_eq(size, 0);
    mem_free(nothing);
    buf_append_str(&b, "money");
    uint8_t *data = buf_take(&b, &size);
    ck_assert(slice_eq(slice_make(data, size), slice_str("money")));
    ck_assert_ptr_null(b.data);
    buf_append_str(&b, "again");
    ck_assert_int_eq(memcmp(data, "money", 5), 0);
    ck_assert_uint_eq(b.max, 50);
    mem_free(data);
    buf_free(&b);
}
END_TEST

START_TEST(integers_are_little_endian)
{
    struct buf b;
    buf_init(&b, 100);
    buf_put_u8(&b, 0x01);
    buf_put_u16(&b, 0x0302);
    buf_put_u32(&b, 0x07060504);
    buf_put_u64(&b, 0x0f0e0d0c0b0a0908);
    ck_assert_uint_eq(b.size, 15);
    for (unsigned i = 0; i < 15; i++) ck_assert_uint_eq(b.data[i], i + 1);
    buf_clear(&b);
    buf_put_varint(&b, 0);
    buf_put_varint(&b, 127);
    buf_put_varint(&b, 300);
    ck_assert(slice_eq(buf_slice(&b), slice_make("\x00\x7f\xac\x02", 4)));
    buf_clear(&b);
    buf_put_varint(&b, UINT64_MAX);
    ck_assert_uint_eq(b.size, 10);
    ck_assert_uint_eq(b.data[9], 1);
    buf_free(&b);
}
END_TEST

/* Random operations against a plain array. An operation that would cross the ceiling changes nothing and latches. */
static void against_an_array(uint64_t seed)
{
    struct prng random;
    prng_init(&random, seed);
    size_t max = (size_t)prng_between(&random, 0, 700);
    uint8_t model[1400];
    size_t size = 0;
    bool overflow = false;
    struct buf b;
    buf_init(&b, max);
    for (unsigned step = 0; step < 300; step++) {
        uint8_t bytes[130];
        size_t n = (size_t)prng_below(&random, sizeof(bytes));
        for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)prng_next(&random);
        uint64_t what = prng_below(&random, 10);
        if (what == 0) {
            buf_clear(&b);
            size = 0;
            overflow = false;
        } else if (what <= 3) {
            n = (size_t)prng_between(&random, 0, size);
            buf_consume(&b, n);
            memmove(model, model + n, size - n);
            size -= n;
        } else {
            if (overflow || size + n > max) {
                overflow = overflow || n > 0;
            } else {
                memcpy(model + size, bytes, n);
                size += n;
            }
            if (what <= 6 && n > 0) {
                uint8_t *at = buf_extend(&b, n);
                ck_assert((at == NULL) == overflow);
                if (at != NULL) memcpy(at, bytes, n);
            } else {
                buf_append(&b, bytes, n);
            }
        }
        ck_assert_uint_eq(b.size, size);
        ck_assert(b.overflow == overflow);
        if (size > 0) ck_assert_int_eq(memcmp(b.data, model, size), 0);
    }
    buf_free(&b);
}

START_TEST(numbers_as_text)
{
    static const uint64_t numbers[] = {0, 9, 10, 4294967296, 9999999999999999999u, UINT64_MAX};
    struct buf b;
    buf_init(&b, 20);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char text[24];
        int size = snprintf(text, sizeof text, "%llu", (unsigned long long)numbers[i]);
        buf_clear(&b);
        buf_append_u64(&b, numbers[i]);
        ck_assert_uint_eq(b.size, (size_t)size);
        ck_assert_int_eq(memcmp(b.data, text, b.size), 0);
    }
    buf_append_u64(&b, 1);
    ck_assert(b.overflow);
    buf_free(&b);
}
END_TEST

START_TEST(room_for_what_comes_is_made_once)
{
    struct buf b;
    buf_init(&b, 1000);
    buf_expect(&b, 500);
    ck_assert_uint_eq(b.size, 0);
    ck_assert_uint_ge(b.capacity, 500);
    uint8_t *data = b.data;
    for (unsigned i = 0; i < 500; i++) buf_append_byte(&b, 'x');
    ck_assert_ptr_eq(b.data, data);
    buf_expect(&b, 501); /* more than it may hold: whoever appends it finds out */
    ck_assert(!b.overflow);
    buf_free(&b);
}
END_TEST

START_TEST(random_operations_agree_with_an_array)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        (void)fprintf(stderr, "seed %llu\r", (unsigned long long)seed);
        against_an_array(seed);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/buf");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, appending_beyond_the_ceiling_appends_nothing);
    tcase_add_test(tcase, sizes_near_the_end_of_the_number_range_do_not_wrap);
    tcase_add_test(tcase, growth_is_geometric_and_stops_at_the_ceiling);
    tcase_add_test(tcase, an_empty_ceiling_holds_empty_things);
    tcase_add_test(tcase, printf_of_every_length);
    tcase_add_test(tcase, take_hands_over_and_leaves_an_empty_buffer);
    tcase_add_test(tcase, integers_are_little_endian);
    tcase_add_test(tcase, numbers_as_text);
    tcase_add_test(tcase, room_for_what_comes_is_made_once);
    tcase_add_test(tcase, random_operations_agree_with_an_array);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
