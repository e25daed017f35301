/* Where a range is cut: both sides have something, as evenly as can be, whatever the samples. */
#include "base/prng.h"
#include "node/split_key.h"
#include "txn/txn.h"

#include <check.h>
#include <stdlib.h>

enum { SAMPLES = 64 };

struct world {
    struct lsm_sample samples[SAMPLES];
    struct buf keys[SAMPLES];
    size_t count;
};

static void add(struct world *w, const char *user, size_t size, enum row_type type, uint64_t bytes, size_t cut)
{
    struct buf *b = &w->keys[w->count];
    struct txn_id id = {{9}};
    buf_init(b, LSM_KEY_MAX);
    if (type == ROW_DATA) {
        key_encode_data(b, 3, slice_make(user, size));
    } else {
        key_encode_idempotency(b, 3, slice_make(user, size), &id);
    }
    if (cut > 0) b->size -= cut;
    w->samples[w->count++] = (struct lsm_sample){.key = buf_slice(b), .bytes = bytes};
}

static void world_free(struct world *w)
{
    for (size_t i = 0; i < w->count; i++) buf_free(&w->keys[i]);
    w->count = 0;
}

START_TEST(half_of_the_bytes)
{
    struct world w = {.count = 0};
    struct buf key;
    buf_init(&key, LIMIT_KEY_BYTES);
    add(&w, "a", 1, ROW_DATA, 100, 0);
    add(&w, "b", 1, ROW_DATA, 100, 0);
    add(&w, "c", 1, ROW_DATA, 500, 0);
    add(&w, "d", 1, ROW_DATA, 300, 0);
    add(&w, "e", 1, ROW_DATA, 400, 0);
    ck_assert(split_key_choose(w.samples, w.count, SLICE_EMPTY, &key));
    ck_assert(slice_eq(buf_slice(&key), slice_str("d")));
    world_free(&w);
    buf_free(&key);
}
END_TEST

/* T34: a huge key, one key only, nothing at all, the start key. */
START_TEST(what_cannot_be_cut)
{
    struct world w = {.count = 0};
    struct buf key;
    buf_init(&key, LIMIT_KEY_BYTES);
    ck_assert(!split_key_choose(w.samples, 0, SLICE_EMPTY, &key));
    add(&w, "one", 3, ROW_DATA, 100000, 0);
    ck_assert(!split_key_choose(w.samples, w.count, SLICE_EMPTY, &key));
    add(&w, "one", 3, ROW_IDEMPOTENCY, 100, 0);
    add(&w, "one", 3, ROW_IDEMPOTENCY, 100, 3); /* cut short by the store */
    ck_assert(!split_key_choose(w.samples, w.count, SLICE_EMPTY, &key));
    ck_assert(!split_key_choose(w.samples, w.count, slice_str("one"), &key));
    add(&w, "two", 3, ROW_DATA, 1, 0);
    ck_assert(split_key_choose(w.samples, w.count, slice_str("one"), &key));
    ck_assert(slice_eq(buf_slice(&key), slice_str("two")));
    world_free(&w);
    buf_free(&key);
}
END_TEST

/* T34: a sample that was cut short may lie below the range; then its first key rises above it, and would leave one side empty. */
START_TEST(not_at_the_start)
{
    struct world w = {.count = 0};
    struct buf key;
    buf_init(&key, LIMIT_KEY_BYTES);
    add(&w, "on", 2, ROW_DATA, 100, 0);
    add(&w, "one", 3, ROW_DATA, 100, 0);
    ck_assert(!split_key_choose(w.samples, w.count, slice_str("one"), &key));
    world_free(&w);
    buf_free(&key);
}
END_TEST

START_TEST(zero_bytes_and_keys_cut_short)
{
    struct world w = {.count = 0};
    struct buf key;
    buf_init(&key, LIMIT_KEY_BYTES);
    add(&w, "a\0b", 3, ROW_DATA, 10, 0);
    add(&w, "a\0c\0", 4, ROW_DATA, 10, 2); /* without the end of its terminator: the zero that is left ends nothing */
    ck_assert(split_key_choose(w.samples, w.count, SLICE_EMPTY, &key));
    ck_assert(slice_eq(buf_slice(&key), slice_make("a\0c\0", 4)));
    world_free(&w);
    buf_free(&key);
}
END_TEST

START_TEST(any_samples)
{
    struct prng p;
    prng_init(&p, (uint64_t)_i + 1);
    struct world w = {.count = 0};
    struct buf key, user;
    buf_init(&key, LIMIT_KEY_BYTES);
    buf_init(&user, LSM_KEY_MAX);
    char text[8] = "a";
    size_t n = prng_below(&p, SAMPLES);
    for (size_t i = 0; i < n; i++) {
        if (prng_chance(&p, 1, 2)) text[0] = (char)(text[0] + 1);
        add(&w, text, 1, prng_chance(&p, 1, 3) ? ROW_IDEMPOTENCY : ROW_DATA, prng_below(&p, 1000), 0);
        if (i > 0 && slice_cmp(w.samples[i - 1].key, w.samples[i].key) > 0) w.samples[i].key = w.samples[i - 1].key;
    }
    bool found = split_key_choose(w.samples, w.count, SLICE_EMPTY, &key);
    size_t below = 0, above = 0;
    for (size_t i = 0; i < w.count; i++) {
        buf_clear(&user);
        key_user_of(w.samples[i].key, &user);
        if (!found) continue;
        if (slice_cmp(buf_slice(&user), buf_slice(&key)) < 0) {
            below++;
        } else {
            above++;
        }
    }
    if (found) ck_assert(below > 0 && above > 0);
    world_free(&w);
    buf_free(&key);
    buf_free(&user);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("node_split_key");
    TCase *t = tcase_create("choose");
    tcase_add_test(t, half_of_the_bytes);
    tcase_add_test(t, what_cannot_be_cut);
    tcase_add_test(t, not_at_the_start);
    tcase_add_test(t, zero_bytes_and_keys_cut_short);
    tcase_add_loop_test(t, any_samples, 0, 200);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
