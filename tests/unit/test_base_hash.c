#include "base/crc32c.h"
#include "base/crc32c_int.h"
#include "base/hash.h"
#include "base/prng.h"

#include <check.h>
#include <stdlib.h>

typedef uint32_t crc_function(uint32_t crc, const void *data, size_t size);

/* RFC 3720, appendix B.4, and the check value of the catalogues of CRCs. */
static void look_at_vectors(crc_function *crc)
{
    uint8_t bytes[48];
    memset(bytes, 0, 32);
    ck_assert_uint_eq(crc(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    ck_assert_uint_eq(crc(0, bytes, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
    ck_assert_uint_eq(crc(0, bytes, 32), 0x46dd794e);
    for (unsigned i = 0; i < 32; i++) bytes[i] = (uint8_t)(31 - i);
    ck_assert_uint_eq(crc(0, bytes, 32), 0x113fdb5c);
    static const uint8_t read_pdu[48] = {0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,
                                         0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
                                         0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0};
    ck_assert_uint_eq(crc(0, read_pdu, 48), 0xd9963a56);
    ck_assert_uint_eq(crc(0, "123456789", 9), 0xe3069283);
    ck_assert_uint_eq(crc(0, NULL, 0), 0);
    ck_assert_uint_eq(crc(0x12345678, NULL, 0), 0x12345678);
}

START_TEST(crc32c_known_vectors)
{
    look_at_vectors(crc32c);
    look_at_vectors(crc32c_portable);
}
END_TEST

/* Bit by bit from the polynomial: neither table nor instruction. */
static uint32_t crc_slowly(uint32_t crc, const uint8_t *p, size_t size)
{
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (unsigned bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

START_TEST(crc32c_is_the_same_on_every_machine_and_in_pieces)
{
    struct prng random;
    prng_init(&random, 5);
    uint8_t bytes[300];
    for (unsigned i = 0; i < sizeof(bytes); i++) bytes[i] = (uint8_t)prng_next(&random);
    for (size_t size = 0; size < 260; size++) {
        const uint8_t *p = bytes + prng_below(&random, 40); /* any alignment */
        uint32_t whole = crc32c(0, p, size);
        ck_assert_uint_eq(whole, crc_slowly(0, p, size));
        ck_assert_uint_eq(whole, crc32c_portable(0, p, size));
        size_t cut = (size_t)prng_between(&random, 0, size);
        ck_assert_uint_eq(crc32c(crc32c(0, p, cut), p + cut, size - cut), whole);
    }
}
END_TEST

START_TEST(crc32c_sees_every_flipped_bit)
{
    uint8_t bytes[64] = {1, 2, 3};
    uint32_t good = crc32c(0, bytes, sizeof(bytes));
    for (unsigned bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_uint_ne(crc32c(0, bytes, sizeof(bytes)), good);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

/* Bloom filters on disk hold results of hash_bytes: these values never change. */
START_TEST(hash_bytes_is_stable)
{
    static const uint64_t expected[] = {
        0x818f9d87cd617846ull, 0x42e6df8d5aff7b4cull, 0xcd0f2b2a074319b1ull, 0x1abeb462cb01ae95ull,
        0x54c591fa7023eca3ull, 0x962cdaf5e4c50e1bull, 0x4f7490141f976b6dull, 0xbf36a49c2870642full,
        0x368af940333b90d0ull, 0xc40fc00cf3562673ull, 0xc4825e6bb21aa2caull, 0x25ce3e9de97419f4ull,
        0x539c7813095bf857ull, 0x47a4cb16ae32d949ull, 0xd118672cc62b8588ull, 0x1f2d49f75789a486ull,
    };
    uint8_t bytes[200];
    for (unsigned i = 0; i < sizeof(bytes); i++) bytes[i] = (uint8_t)(i * 7);
    static const size_t sizes[] = {0, 1, 3, 4, 7, 8, 9, 16, 17, 32, 48, 49, 96, 97, 150, 200};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        ck_assert_msg(hash_bytes(slice_make(bytes, sizes[i]), i) == expected[i], "size %zu: %llx", sizes[i],
                      (unsigned long long)hash_bytes(slice_make(bytes, sizes[i]), i));
    }
    ck_assert(hash_u64(0) == 0xe220a8397b1dcdafull);
}
END_TEST

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

START_TEST(hash_bytes_has_no_collisions_among_like_keys)
{
    enum { COUNT = 300000 };
    uint64_t *hashes = calloc(COUNT, sizeof(*hashes));
    ck_assert_ptr_nonnull(hashes);
    uint8_t key[80] = {0};
    for (size_t i = 0; i < COUNT; i++) { /* a counter in the middle of keys of many lengths */
        size_t size = 4 + i % 60;
        uint32_t number = (uint32_t)i;
        memcpy(key + (size - 4) / 2, &number, 4);
        hashes[i] = hash_bytes(slice_make(key, size), 1);
        memset(key, 0, sizeof(key));
    }
    qsort(hashes, COUNT, sizeof(*hashes), compare_hashes);
    for (size_t i = 1; i < COUNT; i++) ck_assert(hashes[i] != hashes[i - 1]);
    free(hashes);
}
END_TEST

/* One bit of input changes each bit of output about half of the time. */
START_TEST(hash_bytes_spreads_every_bit)
{
    struct prng random;
    prng_init(&random, 9);
    static const size_t sizes[] = {1, 5, 8, 16, 40, 64, 120};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        unsigned flips[64] = {0}, trials = 0;
        for (unsigned round = 0; round < 4000; round++, trials++) {
            uint8_t bytes[120];
            for (size_t i = 0; i < sizes[s]; i++) bytes[i] = (uint8_t)prng_next(&random);
            uint64_t before = hash_bytes(slice_make(bytes, sizes[s]), round);
            size_t bit = (size_t)prng_below(&random, sizes[s] * 8);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            uint64_t changed = before ^ hash_bytes(slice_make(bytes, sizes[s]), round);
            for (unsigned i = 0; i < 64; i++) flips[i] += (unsigned)(changed >> i & 1);
        }
        for (unsigned i = 0; i < 64; i++) {
            ck_assert_msg(flips[i] > trials * 45 / 100 && flips[i] < trials * 55 / 100, "size %zu bit %u: %u of %u",
                          sizes[s], i, flips[i], trials);
        }
    }
}
END_TEST

START_TEST(hash_depends_on_seed_and_length)
{
    const uint8_t zeros[100] = {0};
    for (size_t size = 0; size < 100; size++) {
        uint64_t h = hash_bytes(slice_make(zeros, size), 0);
        ck_assert(h != hash_bytes(slice_make(zeros, size), 1));
        for (size_t other = 0; other < size; other++) ck_assert(h != hash_bytes(slice_make(zeros, other), 0));
    }
}
END_TEST

START_TEST(prng_known_vectors)
{
    struct prng p = {{1, 2, 3, 4}}; /* the reference implementation's output for this state */
    ck_assert(prng_next(&p) == 11520);
    ck_assert(prng_next(&p) == 0);
    ck_assert(prng_next(&p) == 1509978240);
    ck_assert(prng_next(&p) == 1215971899390074240);
    prng_init(&p, 0);
    ck_assert(p.s[0] == 0xe220a8397b1dcdafull);
    ck_assert(p.s[1] == 0x6e789e6aa1b965f4ull);
    ck_assert(p.s[2] == 0x06c45d188009454full);
    ck_assert(p.s[3] == 0xf88bb8a8724c81ecull);
}
END_TEST

START_TEST(prng_keeps_its_bounds_and_reaches_them)
{
    struct prng p;
    prng_init(&p, 1);
    unsigned seen[10] = {0};
    for (unsigned i = 0; i < 100000; i++) seen[prng_below(&p, 10)]++;
    for (unsigned i = 0; i < 10; i++) ck_assert_msg(seen[i] > 9500 && seen[i] < 10500, "%u: %u", i, seen[i]);
    for (unsigned i = 0; i < 1000; i++) {
        ck_assert(prng_below(&p, 1) == 0);
        ck_assert(prng_between(&p, 5, 5) == 5);
        uint64_t v = prng_between(&p, UINT64_MAX - 1, UINT64_MAX);
        ck_assert(v >= UINT64_MAX - 1);
        ck_assert(prng_below(&p, (uint64_t)1 << 63 | 1) <= (uint64_t)1 << 63);
        ck_assert(!prng_chance(&p, 0, 3));
        ck_assert(prng_chance(&p, 3, 3));
    }
    (void)prng_between(&p, 0, UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/hash");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, crc32c_known_vectors);
    tcase_add_test(tcase, crc32c_is_the_same_on_every_machine_and_in_pieces);
    tcase_add_test(tcase, crc32c_sees_every_flipped_bit);
    tcase_add_test(tcase, hash_bytes_is_stable);
    tcase_add_test(tcase, hash_bytes_has_no_collisions_among_like_keys);
    tcase_add_test(tcase, hash_bytes_spreads_every_bit);
    tcase_add_test(tcase, hash_depends_on_seed_and_length);
    tcase_add_test(tcase, prng_known_vectors);
    tcase_add_test(tcase, prng_keeps_its_bounds_and_reaches_them);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
