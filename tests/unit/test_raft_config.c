#include "raft/raft_int.h"

#include "base/prng.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define IDS 8u

static uint64_t value_of(const void *ctx, uint64_t id)
{
    const uint64_t *values = ctx;
    return values[id];
}

/* By definition: v is reached if more than half of the ids have at least v. */
static bool reached(const uint64_t *ids, unsigned count, const uint64_t *values, uint64_t v)
{
    unsigned have = 0;
    for (unsigned i = 0; i < count; i++) {
        if (values[ids[i]] >= v) have++;
    }
    return 2 * have > count;
}

static uint64_t brute_force(const struct raft_config *c, const uint64_t *values)
{
    uint64_t best = 0;
    for (uint64_t v = 0; v <= 5; v++) {
        bool both = reached(c->voters, c->voter_count, values, v);
        if (c->old_voter_count > 0) both = both && reached(c->old_voters, c->old_voter_count, values, v);
        if (both) best = v;
    }
    return best;
}

static uint8_t ids_of_mask(unsigned mask, uint64_t *ids)
{
    uint8_t count = 0;
    for (unsigned i = 0; i < 5; i++) {
        if ((mask >> i & 1u) != 0) ids[count++] = i + 1;
    }
    return count;
}

/* All pairs of voter sets over five replicas, with random values. */
START_TEST(test_quorum_brute_force)
{
    struct prng random;
    prng_init(&random, 1);
    for (unsigned now = 1; now < 32; now++) {
        for (unsigned old = 0; old < 32; old++) {
            struct raft_config c = {0};
            c.voter_count = ids_of_mask(now, c.voters);
            c.old_voter_count = ids_of_mask(old, c.old_voters);
            c.learners[c.learner_count++] = 6; /* has the highest value, and counts for nothing */
            for (unsigned turn = 0; turn < 40; turn++) {
                uint64_t values[IDS] = {0};
                for (unsigned i = 1; i < 6; i++) values[i] = prng_below(&random, 6);
                values[6] = 5;
                ck_assert_uint_eq(raft_config_quorum(&c, value_of, values), brute_force(&c, values));
            }
        }
    }
    struct raft_config none = {0};
    uint64_t values[IDS] = {9, 9, 9, 9, 9, 9, 9, 9};
    ck_assert_uint_eq(raft_config_quorum(&none, value_of, values), 0);
}
END_TEST

/* Any two decisions have a replica in common, also across the steps of a change: old with joint, joint with new. */
START_TEST(test_quorums_overlap)
{
    for (unsigned now = 1; now < 32; now++) {
        for (unsigned old = 1; old < 32; old++) {
            struct raft_config joint = {0}, before = {0}, after = {0};
            joint.voter_count = after.voter_count = ids_of_mask(now, joint.voters);
            joint.old_voter_count = before.voter_count = ids_of_mask(old, joint.old_voters);
            memcpy(after.voters, joint.voters, sizeof(after.voters));
            memcpy(before.voters, joint.old_voters, sizeof(before.voters));
            const struct raft_config *others[] = {&before, &after, &joint};
            for (unsigned yes = 0; yes < 32; yes++) { /* the others say no: both cannot win at once */
                uint64_t for_it[IDS] = {0}, against[IDS] = {0};
                for (unsigned i = 0; i < 5; i++) for_it[i + 1] = yes >> i & 1u;
                for (unsigned i = 0; i < 5; i++) against[i + 1] = 1 - for_it[i + 1];
                if (raft_config_quorum(&joint, value_of, for_it) == 0) continue;
                for (unsigned k = 0; k < 3; k++) ck_assert_uint_eq(raft_config_quorum(others[k], value_of, against), 0);
            }
        }
    }
}
END_TEST

static struct raft_config sample(void)
{
    return (struct raft_config){.voters = {1, 2, 4},
                                .voter_count = 3,
                                .old_voters = {1, 2, 3},
                                .old_voter_count = 3,
                                .learners = {9},
                                .learner_count = 1};
}

START_TEST(test_members)
{
    struct raft_config c = sample();
    uint64_t ids[RAFT_MEMBERS_MAX];
    static const uint64_t expected[] = {1, 2, 4, 3, 9};
    ck_assert_uint_eq(raft_config_members(&c, ids), 5);
    ck_assert_mem_eq(ids, expected, sizeof(expected));
    ck_assert(raft_config_is_voter(&c, 3));
    ck_assert(!raft_config_is_voter(&c, 9));
    ck_assert(raft_config_is_member(&c, 9));
    ck_assert(!raft_config_is_member(&c, 5));
    ck_assert(raft_config_is_joint(&c));
    struct raft_config other = {.voters = {4, 1, 2}, .voter_count = 3};
    ck_assert(raft_config_same_voters(&c, &other));
    other.voters[0] = 5;
    ck_assert(!raft_config_same_voters(&c, &other));
}
END_TEST

START_TEST(test_validity)
{
    struct raft_config c = sample();
    ck_assert(raft_config_is_valid(&c));
    c.learners[0] = 3; /* an old voter that is being demoted */
    ck_assert(raft_config_is_valid(&c));
    c.learners[0] = 4;
    ck_assert(!raft_config_is_valid(&c));
    c = sample();
    c.voters[2] = 1;
    ck_assert(!raft_config_is_valid(&c));
    c = sample();
    c.old_voters[0] = 0;
    ck_assert(!raft_config_is_valid(&c));
    c = sample();
    c.voter_count = 0;
    ck_assert(!raft_config_is_valid(&c));
    c.voter_count = RAFT_VOTERS_MAX + 1;
    ck_assert(!raft_config_is_valid(&c));
}
END_TEST

/* Every length but the right one, every single byte changed: a clear status, and nothing in the result. */
START_TEST(test_decode_damage)
{
    struct raft_config c = sample(), out;
    struct buf b;
    buf_init(&b, 1024);
    raft_config_encode(&c, SLICE_EMPTY, &b);
    ck_assert_int_eq(raft_config_decode(buf_slice(&b), &out), STATUS_OK);
    ck_assert_mem_eq(&out, &c, sizeof(c));
    for (size_t size = 0; size < b.size; size++) {
        ck_assert_int_eq(raft_config_decode(slice_make(b.data, size), &out), STATUS_CORRUPT);
        ck_assert_uint_eq(out.voter_count, 0);
    }
    buf_append_byte(&b, 0);
    ck_assert_int_eq(raft_config_decode(buf_slice(&b), &out), STATUS_CORRUPT);
    b.size--;
    for (size_t at = 0; at < b.size; at++) {
        for (unsigned v = 0; v < 256; v++) {
            uint8_t was = b.data[at];
            b.data[at] = (uint8_t)v;
            enum status s = raft_config_decode(buf_slice(&b), &out);
            ck_assert(s == STATUS_OK || s == STATUS_CORRUPT || (at == 0 && s == STATUS_UNSUPPORTED));
            if (s == STATUS_OK) ck_assert(raft_config_is_valid(&out));
            b.data[at] = was;
        }
    }
    buf_free(&b);
}
END_TEST

/* The example in docs/raft.md is what the code writes, and reads. */
START_TEST(test_note)
{
    struct raft_config c = sample(), out;
    uint8_t bytes[RAFT_NOTE_BYTES_MAX + 1] = {7, 0, 9};
    for (size_t size = 0; size <= RAFT_NOTE_BYTES_MAX + 1; size++) {
        struct buf b;
        buf_init(&b, 1024);
        raft_config_encode(&c, slice_make(bytes, size > RAFT_NOTE_BYTES_MAX ? 1 : size), &b);
        if (size > RAFT_NOTE_BYTES_MAX) {
            for (size_t i = 1; i < size; i++) buf_append_byte(&b, 0);
            ck_assert_int_eq(raft_config_decode(buf_slice(&b), &out), STATUS_CORRUPT);
        } else {
            ck_assert_int_eq(raft_config_decode(buf_slice(&b), &out), STATUS_OK);
            ck_assert_mem_eq(&out, &c, sizeof(c));
            ck_assert(slice_eq(raft_config_note(buf_slice(&b)), slice_make(bytes, size)));
        }
        buf_free(&b);
    }
}
END_TEST

START_TEST(test_document_example)
{
    FILE *f = fopen("docs/raft.md", "rb");
    ck_assert_msg(f != NULL, "docs/raft.md: run from the top of the tree");
    char line[512];
    bool inside = false, fenced = false;
    struct buf b, written;
    buf_init(&b, 1024);
    buf_init(&written, 1024);
    while (fgets(line, sizeof(line), f) != NULL) {
        if (strstr(line, "<!-- example:config -->") != NULL) inside = true;
        if (inside && strncmp(line, "```", 3) == 0) {
            if (fenced) break;
            fenced = true;
            continue;
        }
        char *at = line;
        for (char *end; inside && fenced; at = end) {
            unsigned long v = strtoul(at, &end, 16);
            if (end == at) break;
            buf_append_byte(&b, (uint8_t)v);
        }
    }
    fclose(f);
    struct raft_config c = sample(), out;
    raft_config_encode(&c, SLICE_EMPTY, &written);
    ck_assert(slice_eq(buf_slice(&b), buf_slice(&written)));
    ck_assert_int_eq(raft_config_decode(buf_slice(&b), &out), STATUS_OK);
    ck_assert_mem_eq(&out, &c, sizeof(c));
    buf_free(&b);
    buf_free(&written);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_config");
    TCase *t = tcase_create("config");
    tcase_add_test(t, test_quorum_brute_force);
    tcase_add_test(t, test_quorums_overlap);
    tcase_add_test(t, test_members);
    tcase_add_test(t, test_validity);
    tcase_add_test(t, test_decode_damage);
    tcase_add_test(t, test_note);
    tcase_add_test(t, test_document_example);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
