/* Store keys sort as (keyspace, user key, row type, id); bounds separate user keys; what is not ours is refused. */
#include "base/prng.h"
#include "lib/txn_example.h"
#include "txn/txn.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define SEED 20240611u
#define KEYS_MD "docs/formats/keys.md"

struct sample {
    uint32_t keyspace;
    uint8_t bytes[12];
    size_t size;
    enum row_type type;
    struct txn_id id;
};

/* Few byte values and short keys, so that equal bytes, prefixes, zeroes and 0xFF meet often. */
static struct sample random_sample(struct prng *p)
{
    static const uint8_t bytes[] = {0x00, 0x00, 0x01, 0x02, 0x61, 0xfe, 0xff};
    static const uint32_t keyspaces[] = {0, 1, 0xff, 0x100, TXN_KEYSPACE_MAX};
    struct sample s = {.keyspace = keyspaces[prng_below(p, 5)], .size = (size_t)prng_below(p, 6)};
    for (size_t i = 0; i < s.size; i++) s.bytes[i] = bytes[prng_below(p, sizeof(bytes))];
    s.type = prng_chance(p, 1, 2) ? ROW_DATA : ROW_IDEMPOTENCY;
    for (size_t i = 0; i < TXN_ID_BYTES && s.type == ROW_IDEMPOTENCY; i++) s.id.bytes[i] = bytes[prng_below(p, 3)];
    return s;
}

static struct slice user_key(const struct sample *s)
{
    return slice_make(s->bytes, s->size);
}

static void encode(const struct sample *s, struct buf *out)
{
    buf_clear(out);
    if (s->type == ROW_DATA) {
        key_encode_data(out, s->keyspace, user_key(s));
    } else {
        key_encode_idempotency(out, s->keyspace, user_key(s), &s->id);
    }
}

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static int sample_cmp(const struct sample *a, const struct sample *b)
{
    if (a->keyspace != b->keyspace) return a->keyspace < b->keyspace ? -1 : 1;
    int c = slice_cmp(user_key(a), user_key(b));
    if (c != 0) return sign(c);
    if (a->type != b->type) return a->type < b->type ? -1 : 1;
    return sign(memcmp(a->id.bytes, b->id.bytes, TXN_ID_BYTES));
}

START_TEST(order_of_store_keys)
{
    struct prng p;
    prng_init(&p, SEED);
    struct buf one, two;
    buf_init(&one, 4096);
    buf_init(&two, 4096);
    unsigned equal = 0;
    for (int i = 0; i < 200000; i++) {
        struct sample a = random_sample(&p), b = random_sample(&p);
        if (prng_chance(&p, 1, 3)) b.keyspace = a.keyspace;
        encode(&a, &one);
        encode(&b, &two);
        int expected = sample_cmp(&a, &b);
        ck_assert_int_eq(sign(slice_cmp(buf_slice(&one), buf_slice(&two))), expected);
        equal += expected == 0;
    }
    ck_assert_uint_gt(equal, 10);
    buf_free(&one);
    buf_free(&two);
}
END_TEST

START_TEST(bounds_separate_user_keys)
{
    struct prng p;
    prng_init(&p, SEED + 1);
    struct buf row, bound;
    buf_init(&row, 4096);
    buf_init(&bound, 4096);
    for (int i = 0; i < 200000; i++) {
        struct sample a = random_sample(&p), at = random_sample(&p);
        if (prng_chance(&p, 1, 2)) at.keyspace = a.keyspace;
        encode(&a, &row);
        buf_clear(&bound);
        key_encode_bound(&bound, at.keyspace, user_key(&at));
        bool below =
            a.keyspace < at.keyspace || (a.keyspace == at.keyspace && slice_cmp(user_key(&a), user_key(&at)) < 0);
        ck_assert_int_eq(slice_cmp(buf_slice(&row), buf_slice(&bound)) < 0, below);
        if (at.keyspace != a.keyspace) continue;
        buf_clear(&bound); /* the end of the keyspace is above all of it */
        key_encode_bound(&bound, a.keyspace + 1, SLICE_EMPTY);
        ck_assert_int_lt(slice_cmp(buf_slice(&row), buf_slice(&bound)), 0);
    }
    buf_free(&row);
    buf_free(&bound);
}
END_TEST

START_TEST(keys_round_trip)
{
    struct prng p;
    prng_init(&p, SEED + 2);
    struct buf key, user;
    buf_init(&key, 4096);
    buf_init(&user, 4096);
    for (int i = 0; i < 50000; i++) {
        struct sample a = random_sample(&p);
        encode(&a, &key);
        buf_clear(&user);
        buf_append_str(&user, "kept");
        uint32_t keyspace;
        enum row_type type;
        ck_assert_int_eq(key_decode(buf_slice(&key), &keyspace, &user, &type), STATUS_OK);
        ck_assert_uint_eq(keyspace, a.keyspace);
        ck_assert_int_eq(type, a.type);
        ck_assert(slice_starts(buf_slice(&user), slice_str("kept")));
        ck_assert(slice_eq(slice_make(user.data + 4, user.size - 4), user_key(&a)));
    }
    buf_free(&key);
    buf_free(&user);
}
END_TEST

/* Whatever decodes is the one encoding of what it decodes to: no two store keys mean the same row. */
static void check_damaged(struct slice bytes, struct buf *user, struct buf *again)
{
    uint32_t keyspace;
    enum row_type type;
    buf_clear(user);
    enum status s = key_decode(bytes, &keyspace, user, &type);
    if (s != STATUS_OK) {
        ck_assert_int_eq(s, STATUS_CORRUPT);
        ck_assert_uint_eq(user->size, 0);
        return;
    }
    buf_clear(again);
    if (type == ROW_DATA) {
        key_encode_data(again, keyspace, buf_slice(user));
    } else if (type == ROW_RANGE) {
        key_encode_range(again, keyspace, buf_slice(user));
    } else {
        struct txn_id id;
        memcpy(id.bytes, bytes.data + bytes.size - TXN_ID_BYTES, TXN_ID_BYTES);
        if (type == ROW_HELD) {
            key_encode_held(again, keyspace, buf_slice(user), &id);
        } else {
            key_encode_idempotency(again, keyspace, buf_slice(user), &id);
        }
    }
    ck_assert(slice_eq(bytes, buf_slice(again)));
}

START_TEST(damaged_keys)
{
    struct prng p;
    prng_init(&p, SEED + 3);
    struct buf key, user, again;
    buf_init(&key, 4096);
    buf_init(&user, 4096);
    buf_init(&again, 4096);
    for (int i = 0; i < 2000; i++) {
        struct sample a = random_sample(&p);
        encode(&a, &key);
        for (size_t cut = 0; cut < key.size; cut++) {
            uint32_t keyspace;
            enum row_type type;
            uint8_t *exact = malloc(cut + 1); /* so that a read behind the end is seen by a sanitizer */
            memcpy(exact + 1, key.data, cut);
            buf_clear(&user);
            ck_assert_int_eq(key_decode(slice_make(exact + 1, cut), &keyspace, &user, &type), STATUS_CORRUPT);
            free(exact);
        }
        buf_append_byte(&key, 0);
        check_damaged(buf_slice(&key), &user, &again);
        key.size--;
        for (int flip = 0; flip < 20; flip++) {
            size_t at = (size_t)prng_below(&p, key.size);
            uint8_t was = key.data[at];
            key.data[at] = (uint8_t)prng_next(&p);
            check_damaged(buf_slice(&key), &user, &again);
            key.data[at] = was;
        }
    }
    buf_free(&key);
    buf_free(&user);
    buf_free(&again);
}
END_TEST

START_TEST(largest_key_fits_the_store)
{
    static uint8_t zeroes[LIMIT_KEY_BYTES];
    struct buf key;
    buf_init(&key, 1u << 16);
    struct txn_id id = {{1}};
    key_encode_idempotency(&key, TXN_KEYSPACE_MAX, slice_make(zeroes, sizeof(zeroes)), &id);
    ck_assert_uint_eq(key.size, 8216);
    buf_free(&key);
}
END_TEST

START_TEST(rows_decode)
{
    static const uint8_t raw[] = {ROW_RAW, 'h', 'i'};
    static uint8_t counter[] = {ROW_COUNTER, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                0xff,        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00};
    char text[I128_TEXT_MAX];
    struct row r;
    ck_assert_int_eq(row_decode(slice_make(raw, sizeof(raw)), &r), STATUS_OK);
    ck_assert(slice_eq(row_value(&r, text), slice_str("hi")));
    ck_assert_int_eq(row_decode(slice_make(raw, 1), &r), STATUS_OK);
    ck_assert_uint_eq(row_value(&r, text).size, 0);
    ck_assert_int_eq(row_decode(slice_make(counter, 17), &r), STATUS_OK);
    ck_assert(slice_eq(row_value(&r, text), slice_str("-1")));
    ck_assert_int_eq(row_decode(slice_make(counter, 16), &r), STATUS_CORRUPT);
    ck_assert_int_eq(row_decode(slice_make(counter, 18), &r), STATUS_CORRUPT);
    ck_assert_int_eq(row_decode(SLICE_EMPTY, &r), STATUS_CORRUPT);
    counter[0] = 3;
    ck_assert_int_eq(row_decode(slice_make(counter, 17), &r), STATUS_CORRUPT);
}
END_TEST

START_TEST(documents_example)
{
    struct buf b, expected, user;
    buf_init(&b, 4096);
    buf_init(&expected, 4096);
    buf_init(&user, 4096);
    ck_assert(example_load(KEYS_MD, "key", &b));
    key_encode_data(&expected, 7, slice_make("a\0b", 3));
    ck_assert(slice_eq(buf_slice(&b), buf_slice(&expected)));
    uint32_t keyspace;
    enum row_type type;
    ck_assert_int_eq(key_decode(buf_slice(&b), &keyspace, &user, &type), STATUS_OK);
    ck_assert_uint_eq(keyspace, 7);
    ck_assert(slice_eq(buf_slice(&user), slice_make("a\0b", 3)));
    buf_clear(&b);
    ck_assert(example_load(KEYS_MD, "counter", &b));
    struct row r;
    char text[I128_TEXT_MAX];
    ck_assert_int_eq(row_decode(buf_slice(&b), &r), STATUS_OK);
    ck_assert(slice_eq(row_value(&r, text), slice_str("1000")));
    buf_free(&b);
    buf_free(&expected);
    buf_free(&user);
}
END_TEST

int main(void)
{
    printf("seed %u\n", SEED);
    Suite *s = suite_create("txn_keys");
    TCase *tc = tcase_create("keys");
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, order_of_store_keys);
    tcase_add_test(tc, bounds_separate_user_keys);
    tcase_add_test(tc, keys_round_trip);
    tcase_add_test(tc, damaged_keys);
    tcase_add_test(tc, largest_key_fits_the_store);
    tcase_add_test(tc, rows_decode);
    tcase_add_test(tc, documents_example);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
