/* What a range is and what changes it, as bytes: the document's examples, every kind, and damage. */
#include "base/prng.h"
#include "lib/txn_example.h"
#include "range/command.h"
#include "range/group_record.h"
#include "range/state.h"

#include <check.h>
#include <stdlib.h>

#define RANGES_MD "docs/formats/ranges.md"

static struct range_desc span(const char *start, const char *end)
{
    return (struct range_desc){.keyspace = 1, .start = slice_str(start), .end = slice_str(end)};
}

START_TEST(the_documents_split)
{
    struct buf b, again;
    struct range_command c;
    buf_init(&b, 4096);
    buf_init(&again, 4096);
    ck_assert(example_load(RANGES_MD, "split", &b));
    ck_assert(range_command_is(buf_slice(&b)));
    ck_assert_int_eq(range_command_decode(buf_slice(&b), &c), STATUS_OK);
    ck_assert_int_eq(c.kind, RANGE_SPLIT);
    ck_assert_uint_eq(c.epoch.conf_ver, 2);
    ck_assert_uint_eq(c.epoch.version, 3);
    ck_assert_uint_eq(c.other, 9);
    ck_assert_uint_eq(c.leader, 1);
    ck_assert(slice_eq(c.key, slice_str("m")));
    range_command_encode(&c, &again);
    ck_assert(slice_eq(buf_slice(&b), buf_slice(&again)));
    for (size_t size = 0; size < 49; size++) {
        ck_assert_int_ne(range_command_decode(slice_make(b.data, size), &c), STATUS_OK);
    }
    b.data[0] = 5; /* a transaction's */
    ck_assert(!range_command_is(buf_slice(&b)));
    ck_assert_int_ne(range_command_decode(buf_slice(&b), &c), STATUS_OK);
    buf_free(&b);
    buf_free(&again);
}
END_TEST

START_TEST(the_documents_state)
{
    struct buf b, again;
    struct range_state s;
    buf_init(&b, 4096);
    buf_init(&again, 4096);
    ck_assert(example_load(RANGES_MD, "state", &b));
    ck_assert_int_eq(range_state_unpack(buf_slice(&b), &s), STATUS_OK);
    ck_assert_uint_eq(s.desc.id, 9);
    ck_assert_uint_eq(s.desc.epoch.version, 4);
    ck_assert(slice_eq(s.desc.start, slice_str("m")));
    ck_assert_uint_eq(s.desc.replica_count, 1);
    ck_assert_uint_eq(s.row_base, 70);
    ck_assert_int_eq(s.merge.phase, RANGE_NORMAL);
    range_state_pack(&again, &s);
    ck_assert(slice_eq(buf_slice(&b), buf_slice(&again)));
    for (size_t size = 0; size < b.size; size++) {
        ck_assert_int_ne(range_state_unpack(slice_make(b.data, size), &s), STATUS_OK);
    }
    struct prng p;
    prng_init(&p, 7);
    for (unsigned i = 0; i < 5000; i++) { /* whatever it says, it is answered */
        uint8_t *at = &b.data[prng_below(&p, b.size)], was = *at;
        *at ^= (uint8_t)(1u << prng_below(&p, 8));
        ck_assert_int_lt(range_state_unpack(buf_slice(&b), &s), STATUS_COUNT);
        *at = was;
    }
    buf_free(&b);
    buf_free(&again);
}
END_TEST

/* T32: an end that may be a new one proves nothing of an intent that was there before it. */
START_TEST(only_an_end_that_has_stood_proves_an_abort)
{
    static const struct {
        uint64_t now, since;
        bool over;
    } OF_SEVEN[] = {{7, 3, false}, {6, 0, false}, {8, 0, true},  {9, 0, false},
                    {9, 7, true},  {20, 3, true}, {20, 8, false}};
    for (size_t i = 0; i < sizeof OF_SEVEN / sizeof OF_SEVEN[0]; i++) {
        struct range_state again, s = {.desc = span("a", "m"), .end_since = OF_SEVEN[i].since};
        struct buf b;
        s.desc.epoch.version = OF_SEVEN[i].now;
        buf_init(&b, 4096);
        range_state_pack(&b, &s);
        ck_assert_int_eq(range_state_unpack(buf_slice(&b), &again), STATUS_OK);
        ck_assert_uint_eq(again.end_since, s.end_since);
        ck_assert(range_intent_is_over(again.desc.epoch.version, again.end_since, 7) == OF_SEVEN[i].over);
        buf_free(&b);
    }
}
END_TEST

START_TEST(group_records_keep_what_they_are_given)
{
    struct buf b;
    struct group_record r, in = {.range = slice_str("state"),
                                 .recovering = slice_str("why"),
                                 .birth = {.group = 3, .index = 40, .leader = 2}};
    buf_init(&b, 4096);
    group_record_pack(&b, &in);
    ck_assert_int_eq(group_record_read(buf_slice(&b), &r), STATUS_OK);
    ck_assert(slice_eq(r.range, in.range));
    ck_assert(slice_eq(r.recovering, in.recovering));
    ck_assert_uint_eq(r.birth.group, 3);
    ck_assert_uint_eq(r.birth.index, 40);
    ck_assert_uint_eq(r.birth.leader, 2);
    ck_assert_uint_eq(r.mended, 0);
    buf_clear(&b);
    in.mended = 77;
    group_record_pack(&b, &in);
    ck_assert_int_eq(group_record_read(buf_slice(&b), &r), STATUS_OK);
    ck_assert_uint_eq(r.mended, 77);
    for (size_t size = 0; size < b.size; size++) {
        ck_assert_int_ne(group_record_read(slice_make(b.data, size), &r), STATUS_OK);
    }
    buf_free(&b);
}
END_TEST

START_TEST(who_overlaps_whom)
{
    struct range_desc all = span("", ""), low = span("", "m"), high = span("m", ""), middle = span("f", "p");
    struct range_desc other = span("f", "p");
    other.keyspace = 2;
    ck_assert(range_desc_overlaps(&all, &low) && range_desc_overlaps(&low, &all));
    ck_assert(!range_desc_overlaps(&low, &high) && !range_desc_overlaps(&high, &low));
    ck_assert(range_desc_overlaps(&middle, &low) && range_desc_overlaps(&high, &middle));
    ck_assert(!range_desc_overlaps(&other, &all));
    ck_assert(range_epoch_newer(&(struct range_epoch){.conf_ver = 1, .version = 3},
                                &(struct range_epoch){.conf_ver = 9, .version = 2}));
    ck_assert(!range_epoch_newer(&(struct range_epoch){.conf_ver = 1, .version = 3},
                                 &(struct range_epoch){.conf_ver = 1, .version = 3}));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("range_state");
    TCase *t = tcase_create("bytes");
    tcase_add_test(t, the_documents_split);
    tcase_add_test(t, the_documents_state);
    tcase_add_test(t, only_an_end_that_has_stood_proves_an_abort);
    tcase_add_test(t, group_records_keep_what_they_are_given);
    tcase_add_test(t, who_overlaps_whom);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
