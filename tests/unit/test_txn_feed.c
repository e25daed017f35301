/* The feed against a plain list of all changes: what is told above a timestamp is the whole of it, in order, as far as the feed says that it
 * reaches, whatever was let go of, and however ring and window are joined. */
#include "txn/feed.h"

#include "base/prng.h"
#include "lib/suite.h"

#include <stdio.h>
#include <stdlib.h>

#define SEED 20260u
#define MOST 600u

struct plain {
    uint64_t ts[MOST];
    unsigned key[MOST];
    bool is_delete[MOST];
    size_t count;
};

static void take(struct feed *f, const struct plain *p, size_t i)
{
    char user[16];
    struct buf key, row;
    buf_init(&key, 1024);
    buf_init(&row, 1024);
    snprintf(user, sizeof(user), "k%u", p->key[i]);
    key_encode_data(&key, 7, slice_str(user));
    buf_append_byte(&row, ROW_RAW);
    buf_printf(&row, "%llu", (unsigned long long)p->ts[i]);
    feed_take(f, buf_slice(&key), p->is_delete[i], p->is_delete[i] ? SLICE_EMPTY : buf_slice(&row), p->ts[i]);
    buf_free(&key);
    buf_free(&row);
}

/* Transactions of one to four keys; ts rises, but a few come late, as a decision brings them. */
static void make(struct plain *p, struct prng *r, size_t count)
{
    uint64_t ts = 10;
    while (p->count < count) {
        ts += prng_between(r, 1, 3) * 4;
        uint64_t mine = prng_between(r, 0, 9) == 0 && ts > 40 ? ts - 18 - prng_between(r, 0, 1) : ts;
        unsigned first = (unsigned)prng_between(r, 0, 20), keys = (unsigned)prng_between(r, 1, 4);
        for (unsigned k = 0; k < keys && p->count < count; k++) {
            bool known = false;
            for (size_t i = 0; i < p->count; i++) known = known || (p->ts[i] == mine && p->key[i] == first + k);
            if (known) continue;
            p->ts[p->count] = mine;
            p->key[p->count] = first + k;
            p->is_delete[p->count++] = prng_between(r, 0, 4) == 0;
        }
    }
}

static void compare(const struct feed *f, const struct plain *p, size_t applied, uint64_t after, uint64_t upto,
                    size_t limit)
{
    struct arena a;
    struct feed_change *c;
    arena_init(&a, 4096);
    uint64_t told = upto;
    size_t n = feed_read(f, after, &told, slice_str("k1"), slice_str("k3"), limit, &a, &c), expected = 0;
    ck_assert_uint_le(told, upto);
    for (size_t i = 0; i < applied; i++) {
        bool inside = (p->key[i] >= 10 && p->key[i] < 30) || p->key[i] == 1 || p->key[i] == 2;
        if (!inside || p->ts[i] <= after || p->ts[i] > told) continue;
        char user[16];
        bool found = false;
        snprintf(user, sizeof(user), "k%u", p->key[i]);
        for (size_t k = 0; k < n; k++) {
            if (c[k].ts == p->ts[i] && slice_eq(c[k].key, slice_str(user))) found = c[k].is_delete == p->is_delete[i];
        }
        ck_assert_msg(found, "a change at %llu is missing", (unsigned long long)p->ts[i]);
        expected++;
    }
    ck_assert_uint_eq(n, expected);
    for (size_t k = 1; k < n; k++)
        ck_assert(c[k - 1].ts < c[k].ts || (c[k - 1].ts == c[k].ts && slice_cmp(c[k - 1].key, c[k].key) < 0));
    if (n == 0) ck_assert_uint_eq(told, upto);
    arena_free(&a);
}

START_TEST(a_ring_reaches_as_far_as_it_says)
{
    struct prng r;
    prng_init(&r, SEED + (uint64_t)_i);
    struct plain *p = calloc(1, sizeof(*p));
    make(p, &r, MOST);
    struct feed *f = feed_new(false, 4000);
    f->base = 0;
    for (size_t i = 0; i < MOST; i++) {
        take(f, p, i);
        feed_check(f);
        uint64_t floor = feed_floor(f), newest = feed_newest(f);
        uint64_t after = prng_between(&r, floor, newest), upto = prng_between(&r, after, newest + 5);
        compare(f, p, i + 1, after, upto, prng_between(&r, 0, 400));
    }
    ck_assert_uint_gt(feed_floor(f), 0);
    feed_free(f);
    free(p);
}
END_TEST

/* A ring is begun in the middle; a window of all that had been applied when it was read, which may be later, is joined to it. */
START_TEST(a_window_completes_a_ring)
{
    struct prng r;
    prng_init(&r, SEED + 1000 + (uint64_t)_i);
    struct plain *p = calloc(1, sizeof(*p));
    make(p, &r, 300);
    size_t begun = prng_between(&r, 0, 200), read = prng_between(&r, begun, 300);
    uint64_t after = prng_between(&r, 0, p->ts[begun]);
    struct feed *ring = feed_new(false, 1 << 20), *window = feed_new(true, 1 << 20);
    for (size_t i = begun; i < 300; i++) take(ring, p, i);
    ck_assert_uint_eq(feed_floor(ring), FEED_UNKNOWN);
    for (size_t i = 0; i < read; i++) {
        size_t mixed = (i * 7919) % read; /* 7919 is prime: every one of them, in another order */
        if (read % 7919 != 0 && p->ts[mixed] > after) take(window, p, mixed);
    }
    feed_sort(window);
    feed_join(ring, window, after);
    feed_check(ring);
    ck_assert_uint_eq(feed_floor(ring), after);
    for (unsigned n = 0; n < 20; n++) {
        uint64_t from = prng_between(&r, after, feed_newest(ring) + 1);
        compare(ring, p, 300, from, prng_between(&r, from, feed_newest(ring) + 5), prng_between(&r, 0, 2000));
    }
    feed_free(ring);
    free(p);
}
END_TEST

/* What would be let go of at once is not joined: the ring would never reach back to who asks. What is joined, is there. */
START_TEST(what_the_ring_has_no_room_for_is_not_joined)
{
    struct prng r;
    unsigned joined = 0, not_joined = 0;
    prng_init(&r, SEED + 3000 + (uint64_t)_i);
    struct plain *p = calloc(1, sizeof(*p));
    make(p, &r, 300);
    for (unsigned n = 0; n < 20; n++) {
        size_t begun = prng_between(&r, 0, 290);
        uint64_t after = n < 2 ? 0 : prng_between(&r, 0, p->ts[begun]);
        size_t room = n == 0 ? 2000 : n == 1 ? 1 << 20 : prng_between(&r, 2000, 20000);
        struct feed *ring = feed_new(false, room), *window = feed_new(true, n == 1 ? 1 << 20 : 24000);
        for (size_t i = begun; i < 300; i++) take(ring, p, i);
        for (size_t i = 0; i < 300; i++) {
            if (p->ts[i] > after) take(window, p, i);
        }
        feed_sort(window);
        if (feed_has_room(ring, window, after)) {
            joined++;
            feed_join(ring, window, after);
            feed_check(ring);
            ck_assert_uint_eq(feed_floor(ring), after);
            compare(ring, p, 300, after, feed_newest(ring) + 1, SIZE_MAX);
        } else { /* it is served from the window */
            not_joined++;
            compare(window, p, 300, after, window->cut - 1, SIZE_MAX);
            feed_free(window);
        }
        feed_free(ring);
    }
    ck_assert_uint_gt(joined, 0);
    ck_assert_uint_gt(not_joined, 0);
    free(p);
}
END_TEST

START_TEST(a_full_window_keeps_the_oldest)
{
    struct prng r;
    prng_init(&r, SEED + 2000 + (uint64_t)_i);
    struct plain *p = calloc(1, sizeof(*p));
    make(p, &r, 400);
    struct feed *window = feed_new(true, 3000);
    for (size_t i = 0; i < 400; i++) take(window, p, 399 - i);
    feed_sort(window);
    feed_check(window);
    ck_assert_uint_ne(window->cut, FEED_UNKNOWN);
    ck_assert_uint_le(window->bytes, 3000 + 600);
    compare(window, p, 400, 0, window->cut - 1, SIZE_MAX);
    feed_free(window);
    free(p);
}
END_TEST

START_TEST(rows_of_no_user_are_left_alone)
{
    struct feed *f = feed_new(false, 4000);
    struct buf key;
    struct txn_id id = {{1}};
    buf_init(&key, 1024);
    key_encode_idempotency(&key, 7, slice_str("k"), &id);
    feed_take(f, buf_slice(&key), false, slice_str("\x01x"), 5);
    buf_clear(&key);
    key_encode_range(&key, 7, slice_str("k"));
    feed_take(f, buf_slice(&key), false, slice_str("\x01x"), 6);
    ck_assert_uint_eq(f->count, 0);
    buf_free(&key);
    feed_free(f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("txn_feed");
    TCase *t = tcase_create("feed");
    tcase_add_loop_test(t, a_ring_reaches_as_far_as_it_says, 0, 20);
    tcase_add_loop_test(t, a_window_completes_a_ring, 0, 50);
    tcase_add_loop_test(t, what_the_ring_has_no_room_for_is_not_joined, 0, 20);
    tcase_add_loop_test(t, a_full_window_keeps_the_oldest, 0, 20);
    tcase_add_test(t, rows_of_no_user_are_left_alone);
    suite_add_tcase(s, t);
    return run_suite(s);
}
