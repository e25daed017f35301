/* The pure parts of the etcd surface: where keys lie, and what a range chooses. The rest is compared with etcd itself
 * (tests/process/test_etcd.sh). */
#include "base/prng.h"
#include "etcd/kv.h"
#include "lib/suite.h"

#include <stdio.h>

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, 4096);
}
static void teardown(void)
{
    arena_free(&arena);
}

static bool has(const char *key, size_t key_size, const char *end, size_t end_size, const char *user)
{
    struct span s = span_of(&arena, slice_make(key, key_size), slice_make(end, end_size));
    return !s.empty && span_has(&s, key_row(&arena, ROW_OF_USER, slice_str(user)));
}

START_TEST(spans_are_as_etcd_reads_them)
{
    ck_assert(has("a", 1, "", 0, "a"));
    ck_assert(!has("a", 1, "", 0, "ab"));
    ck_assert(has("a", 1, "b", 1, "ab"));
    ck_assert(!has("a", 1, "b", 1, "b"));
    ck_assert(has("b", 1, "\0", 1, "zz")); /* all from b on */
    ck_assert(!has("b", 1, "\0", 1, "a"));
    ck_assert(has("\0", 1, "\0", 1, "a")); /* all there is */
    ck_assert(!has("c", 1, "b", 1, "b"));  /* nothing */
    ck_assert(span_of(&arena, slice_str("c"), slice_str("b")).empty);
}
END_TEST

/* Rows of ours never lie among users' keys, whatever those are. */
START_TEST(rows_of_ours_are_apart)
{
    struct span all = span_of(&arena, slice_make("\0", 1), slice_make("\0", 1));
    ck_assert(!span_has(&all, key_lease(&arena, 0)));
    ck_assert(!span_has(&all, key_lease(&arena, UINT64_MAX)));
    ck_assert(!span_has(&all, key_attached(&arena, 5, slice_str("k"))));
    ck_assert(!span_has(&all, key_compacted(&arena)));
    struct span five = span_attached(&arena, 5), last = span_attached(&arena, UINT64_MAX);
    ck_assert(span_has(&five, key_attached(&arena, 5, slice_str("\xff\xff"))));
    ck_assert(!span_has(&five, key_attached(&arena, 6, slice_str("a"))));
    ck_assert(span_has(&last, key_attached(&arena, UINT64_MAX, slice_str("a"))));
}
END_TEST

static struct ekv row(unsigned i, struct prng *p)
{
    char *name = arena_alloc(&arena, 8);
    snprintf(name, 8, "k%03u", i);
    return (struct ekv){.key = slice_str(name),
                        .value = slice_make(name + prng_between(p, 0, 3), 1),
                        .mod = prng_between(p, 10, 40),
                        .created = prng_between(p, 1, 20),
                        .count = prng_between(p, 1, 5)};
}

static uint64_t number(const struct ekv *kv, unsigned target)
{
    return target == 1 ? kv->count : target == 2 ? kv->created : kv->mod;
}

START_TEST(ranges_are_filtered_sorted_and_cut)
{
    struct prng p;
    prng_init(&p, 77 + (uint64_t)_i);
    struct ekv rows[40], all[40], kept[40];
    for (unsigned i = 0; i < 40; i++) rows[i] = all[i] = row(i, &p);
    struct range_asked q = {.limit = (int64_t)prng_between(&p, 0, 30),
                            .min_mod = (int64_t)prng_between(&p, 0, 30),
                            .max_mod = (int64_t)prng_between(&p, 0, 1) * 35,
                            .min_created = (int64_t)prng_between(&p, 0, 5),
                            .order = (unsigned)prng_between(&p, 1, 2),
                            .target = (unsigned)prng_between(&p, 0, 3)};
    size_t matching = 0;
    for (unsigned i = 0; i < 40; i++) {
        bool in = (int64_t)all[i].mod >= q.min_mod && (q.max_mod == 0 || (int64_t)all[i].mod <= q.max_mod) &&
                  (int64_t)all[i].created >= q.min_created;
        matching += in ? 1 : 0;
    }
    bool more, same;
    size_t n = range_select(&q, rows, 40, &more), keeps = 0;
    for (unsigned i = 0; i < 40; i++) {
        struct ekv kv = all[i];
        if (range_keeps(&q, &kv, keeps)) kept[keeps++] = kv;
    }
    if (q.target == 0 && q.order == 1 && q.limit > 0) ck_assert_uint_le(keeps, (size_t)q.limit + 1);
    ck_assert_uint_eq(range_select(&q, kept, keeps, &same), n);
    ck_assert_int_eq(same, more);
    for (size_t i = 0; i < n; i++) ck_assert(slice_eq(kept[i].key, rows[i].key));
    ck_assert_uint_eq(n, q.limit > 0 && matching > (size_t)q.limit ? (size_t)q.limit : matching);
    ck_assert_int_eq(more, n < matching);
    for (size_t i = 1; i < n; i++) {
        int order = q.target == 0 ? slice_cmp(rows[i - 1].key, rows[i].key)
                                  : (number(&rows[i - 1], q.target) > number(&rows[i], q.target)) -
                                        (number(&rows[i - 1], q.target) < number(&rows[i], q.target));
        ck_assert(q.order == 1 ? order <= 0 : order >= 0);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("etcd_parts");
    TCase *t = tcase_create("parts");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, spans_are_as_etcd_reads_them);
    tcase_add_test(t, rows_of_ours_are_apart);
    tcase_add_loop_test(t, ranges_are_filtered_sorted_and_cut, 0, 200);
    suite_add_tcase(s, t);
    return run_suite(s);
}
