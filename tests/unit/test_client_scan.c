/* Pages over several ranges: src/client/scan.c. */
#include "lib/client_rig.h"
#include "lib/suite.h"

#include <check.h>
#include <stdio.h>

static struct fake_cluster f;
static struct outcome o;

static const char *const ROWS[] = {"a", "b", "c", "g", "h", "i", "k", "o", "p", "q", "z"};
#define ROWS_COUNT (sizeof(ROWS) / sizeof(ROWS[0]))

static void put_rows(void)
{
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        fake_add(&f, &o, ROWS[i], (int)i + 1, 0);
        ck_assert_int_eq(o.status, STATUS_OK);
    }
}

static void start_scan(const char *start, const char *end, uint32_t rows, uint32_t bytes, bool reverse)
{
    o = (struct outcome){.f = &f};
    struct client_scan s = {
        .start = slice_str(start), .end = slice_str(end), .limit_rows = rows, .limit_bytes = bytes, .reverse = reverse};
    client_scan(f.client, slice_str("bank"), &s, 5000, outcome_on_scan, &o);
}

static void scan(const char *start, const char *end, uint32_t rows, bool reverse)
{
    start_scan(start, end, rows, 0, reverse);
    fake_wait(&f, &o, 6 * SECOND);
    ck_assert_int_eq(o.status, STATUS_OK);
}

START_TEST(all_ranges_both_ways)
{
    fake_start(&f, (uint64_t)_i + 1, (size_t)_i * 11);
    put_rows();
    scan("", "", 0, false);
    ck_assert_str_eq(o.keys, "a b c g h i k o p q z");
    ck_assert_str_eq(o.value, "1");
    ck_assert(!o.more);
    scan("", "", 0, true);
    ck_assert_str_eq(o.keys, "z q p o k i h g c b a");
    ck_assert_str_eq(o.value, "11");
    ck_assert(!o.more);
    fake_stop(&f);
}
END_TEST

START_TEST(bounds)
{
    fake_start(&f, 2, 0);
    put_rows();
    static const struct {
        const char *start, *end, *forward, *reverse;
    } CASES[] = {{"b", "h", "b c g", "g c b"},
                 {"h", "p", "h i k o", "o k i h"},
                 {"g", "q", "g h i k o p", "p o k i h g"},
                 {"gg", "hh", "h", "h"},
                 {"i", "", "i k o p q z", "z q p o k i"},
                 {"", "b", "a", "a"},
                 {"q", "q", "", ""},
                 {"x", "c", "", ""},
                 {"d", "f", "", ""},
                 {"zz", "", "", ""},
                 {"", "a", "", ""}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        scan(CASES[i].start, CASES[i].end, 0, false);
        ck_assert_str_eq(o.keys, CASES[i].forward);
        ck_assert(!o.more);
        scan(CASES[i].start, CASES[i].end, 0, true);
        ck_assert_str_eq(o.keys, CASES[i].reverse);
        ck_assert(!o.more);
    }
    /* A full page that ends with its span has no more, when one range holds it all. */
    for (unsigned reverse = 0; reverse < 2; reverse++) {
        scan("h", "p", 4, reverse == 1);
        ck_assert_uint_eq(o.row_count, 4);
        ck_assert(!o.more);
        scan("hh", "oo", 3, reverse == 1);
        ck_assert_uint_eq(o.row_count, 3);
        ck_assert(!o.more);
        scan("h", "p", 3, reverse == 1);
        ck_assert(o.more);
    }
    fake_stop(&f);
}
END_TEST

/* Takes the first word off rest; words are separated by blanks. False: there is none. */
static bool next_word(struct slice *rest, struct slice *word)
{
    size_t begin = 0, end;
    while (begin < rest->size && rest->data[begin] == ' ') begin++;
    for (end = begin; end < rest->size && rest->data[end] != ' ';) end++;
    *word = slice_make(rest->data + begin, end - begin);
    *rest = slice_make(rest->data + end, rest->size - end);
    return word->size > 0;
}

/* Pages put together give the whole, at any size of page, by rows and by bytes, in both directions. */
START_TEST(pages)
{
    fake_start(&f, 3, 0);
    put_rows();
    for (uint32_t limit = 1; limit <= ROWS_COUNT + 1; limit++) {
        for (unsigned mode = 0; mode < 4; mode++) {
            bool reverse = mode % 2 == 1, by_bytes = mode >= 2;
            char whole[256] = "", start[32] = "", end[32] = "";
            unsigned page = 0;
            for (bool more = true; more; page++) {
                start_scan(start, end, by_bytes ? 0 : limit, by_bytes ? limit : 0, reverse);
                fake_wait(&f, &o, SECOND);
                ck_assert_int_eq(o.status, STATUS_OK);
                ck_assert_uint_le(o.row_count, limit);
                if (o.more) ck_assert_uint_gt(o.row_count, 0);
                for (struct slice rest = slice_str(o.keys), key; next_word(&rest, &key);) {
                    size_t at = strlen(whole);
                    int size = (int)key.size;
                    (void)snprintf(whole + at, sizeof(whole) - at, at > 0 ? " %.*s" : "%.*s", size,
                                   (const char *)key.data);
                    if (reverse)
                        (void)snprintf(end, sizeof(end), "%.*s", size, (const char *)key.data);
                    else /* keys of this test hold no smaller byte */
                        (void)snprintf(start, sizeof(start), "%.*s\x01", size, (const char *)key.data);
                }
                more = o.more;
                ck_assert_uint_le(page, ROWS_COUNT + 1);
            }
            ck_assert_str_eq(whole, reverse ? "z q p o k i h g c b a" : "a b c g h i k o p q z");
            if (!by_bytes && limit > ROWS_COUNT) ck_assert_uint_eq(page, 1);
        }
    }
    fake_stop(&f);
}
END_TEST

START_TEST(through_splits_moves_and_breaks)
{
    fake_start(&f, 100 + (uint64_t)_i, 40);
    put_rows();
    for (unsigned round = 0; round < 40; round++) {
        struct fake_range *r = &f.ranges[prng_below(&f.prng, f.range_count)];
        r->leader = r->nodes[prng_below(&f.prng, 3)];
        if (prng_chance(&f.prng, 1, 2)) fake_split(&f, ROWS[prng_below(&f.prng, ROWS_COUNT)]);
        if (prng_chance(&f.prng, 1, 2)) fake_merge(&f, f.ranges[prng_below(&f.prng, f.range_count)].start);
        fake_sync(&f);
        bool reverse = prng_chance(&f.prng, 1, 2);
        start_scan("", "", 0, 0, reverse);
        (void)fakenet_run(f.net, NULL, NULL, prng_below(&f.prng, 1500000));
        if (prng_chance(&f.prng, 1, 2)) fakenet_reset_one(f.net);
        if (prng_chance(&f.prng, 1, 2)) fake_split(&f, ROWS[prng_below(&f.prng, ROWS_COUNT)]);
        fake_wait(&f, &o, 6 * SECOND);
        ck_assert_int_eq(o.status, STATUS_OK);
        ck_assert_str_eq(o.keys, reverse ? "z q p o k i h g c b a" : "a b c g h i k o p q z");
    }
    fake_stop(&f);
}
END_TEST

static struct scan_reply lie;

static bool liar(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    (void)ctx;
    (void)n;
    if (r->method != METHOD_SCAN) return false;
    struct buf payload;
    buf_init(&payload, 65536);
    pack_scan_reply(&payload, &lie);
    fake_answer(r, &payload);
    buf_free(&payload);
    return true;
}

/* Rows that were not asked for are never passed on. */
START_TEST(wrong_answers)
{
    fake_start(&f, 4, 0);
    put_rows();
    f.hook = liar;
    struct scan_row rows[3] = {{.key = slice_str("c"), .value = SLICE_EMPTY},
                               {.key = slice_str("b"), .value = SLICE_EMPTY},
                               {.key = slice_str("d"), .value = SLICE_EMPTY}};
    static const struct {
        size_t from, count;
        bool reverse;
    } CASES[] = {
        {0, 2, false}, {1, 2, true}, {0, 3, false}}; /* out of order; out of order; too many for the limit as well */
    for (size_t i = 0; i < 3; i++) {
        lie = (struct scan_reply){.rows = rows + CASES[i].from, .row_count = CASES[i].count};
        start_scan("a", "h", 2, 0, CASES[i].reverse);
        fake_wait(&f, &o, SECOND);
        ck_assert_int_eq(o.status, STATUS_CORRUPT);
    }
    lie = (struct scan_reply){.rows = rows, .row_count = 1};
    start_scan("d", "h", 0, 0, false); /* "c" lies outside */
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_CORRUPT);
    lie = (struct scan_reply){.more = true}; /* gets nowhere: repeated, with pauses */
    start_scan("d", "h", 0, 0, false);
    (void)fakenet_run(f.net, NULL, NULL, 500 * MS);
    ck_assert_uint_eq(o.done, 0);
    ck_assert_uint_le(fake_stats(&f).retries, 40);
    f.hook = NULL;
    fake_wait(&f, &o, SECOND);
    ck_assert_str_eq(o.keys, "g");
    fake_stop(&f);
}
END_TEST

START_TEST(keys_only_and_deadline)
{
    fake_start(&f, 5, 0);
    put_rows();
    o = (struct outcome){.f = &f};
    struct client_scan s = {.start = slice_str("a"), .end = SLICE_EMPTY, .keys_only = true};
    client_scan(f.client, slice_str("bank"), &s, 5000, outcome_on_scan, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_uint_eq(o.row_count, ROWS_COUNT);
    ck_assert_str_eq(o.value, "");
    f.ranges[2].leader = 0; /* the third range has no leader: the page fails as a whole, at the deadline */
    uint64_t began = fakenet_now_ns(f.net);
    o = (struct outcome){.f = &f};
    client_scan(f.client, slice_str("bank"), &s, 400, outcome_on_scan, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_TIMEOUT);
    ck_assert(!o.unknown);
    ck_assert_uint_eq(o.at_ns - began, 400 * MS);
    fake_stop(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_scan");
    TCase *t = tcase_create("scan");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, all_ranges_both_ways, 0, 4);
    tcase_add_test(t, bounds);
    tcase_add_test(t, pages);
    tcase_add_loop_test(t, through_splits_moves_and_breaks, 0, 10);
    tcase_add_test(t, wrong_answers);
    tcase_add_test(t, keys_only_and_deadline);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
