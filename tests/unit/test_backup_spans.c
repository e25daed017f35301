/* What is still to be read: with what has been read, it covers every keyspace in use without a hole or an overlap, whatever was there before. */
#include <check.h>
#include <stdio.h>

#include "backup/spans.h"
#include "base/prng.h"
#include "lib/suite.h"

enum { POINTS = 12, KEYSPACE = 5 };

static char names[POINTS][4];

/* Point 0 is the beginning, and as an end the end of the keyspace. */
static struct slice point(unsigned i)
{
    return i == 0 ? SLICE_EMPTY : slice_str(names[i]);
}

/* Some of the spans between neighbouring points, none twice: as a backup that was broken off has them. */
static size_t some_chunks(struct prng *r, struct backup_chunk *out, unsigned per_cent)
{
    size_t n = 0;
    for (unsigned i = 0; i < POINTS; i++) {
        if (prng_below(r, 100) >= per_cent) continue;
        out[n++] = (struct backup_chunk){.keyspace = KEYSPACE, .start = point(i), .end = point((i + 1) % POINTS)};
    }
    return n;
}

static unsigned index_of(struct slice key)
{
    for (unsigned i = 0; i < POINTS; i++)
        if (slice_eq(key, point(i))) return i;
    ck_abort_msg("a boundary that nobody made");
    return 0;
}

START_TEST(everything_is_covered_once)
{
    struct prng r;
    prng_init(&r, 77 + (uint64_t)_i);
    struct backup_chunk done[POINTS], formers[POINTS];
    size_t done_count = some_chunks(&r, done, (unsigned)prng_below(&r, 101));
    size_t former_count = some_chunks(&r, formers, (unsigned)prng_below(&r, 101));
    struct range_desc ranges[POINTS];
    size_t range_count = 0;
    for (unsigned i = 0; i < POINTS; i++) /* the map may lack some */
        if (prng_below(&r, 2) == 0)
            ranges[range_count++] = (struct range_desc){.keyspace = KEYSPACE, .start = point(i)};
    struct keyspace_info keyspaces[2] = {{.id = KEYSPACE}, {.id = 6, .dropped_ts = 9}};
    struct meta_map_reply map = {
        .keyspaces = keyspaces, .keyspace_count = 2, .ranges = ranges, .range_count = range_count};
    unsigned covered[POINTS] = {0};
    struct arena arena;
    struct spans spans;
    arena_init(&arena, 4096);
    spans_plan(&spans, &arena, &map, done, done_count, formers, former_count);
    for (size_t i = 0; i < done_count; i++) covered[index_of(done[i].start)]++;
    for (struct span *s; (s = spans_pop(&spans)) != NULL;) {
        unsigned from = index_of(s->start), to = s->end.size == 0 ? POINTS : index_of(s->end);
        ck_assert_uint_eq(s->keyspace, KEYSPACE);
        ck_assert_uint_lt(from, to);
        for (unsigned i = from; i < to; i++) covered[i]++;
        if (s->former != NULL) ck_assert(slice_eq(s->former->start, s->start) && slice_eq(s->former->end, s->end));
    }
    for (unsigned i = 0; i < POINTS; i++) ck_assert_msg(covered[i] == 1, "point %u is covered %u times", i, covered[i]);
    arena_free(&arena);
}
END_TEST

int main(void)
{
    for (unsigned i = 1; i < POINTS; i++) (void)snprintf(names[i], sizeof names[i], "k%c", (char)('a' + i));
    Suite *suite = suite_create("backup_spans");
    TCase *tcase = tcase_create("spans");
    tcase_add_loop_test(tcase, everything_is_covered_once, 0, 500);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
