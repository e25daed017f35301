/* Hashes of what was applied, by replicas that see the same, less, or something else. */
#include "base/prng.h"
#include "lib/suite.h"
#include "range/effects.h"

#include <check.h>
#include <stdlib.h>

enum { EVERY = 16 };
static const uint64_t VOTERS[] = {1, 2, 3, 4, 5};

/* Entries up to `to`; the one at `wrong` (0: none) does something else. */
static void apply(struct effects *e, uint64_t to, uint64_t wrong)
{
    while (e->next <= to) {
        uint64_t value = e->next * 7 + (e->next == wrong);
        effects_note(e, e->next);
        effects_note_bytes(e, slice_make(&value, sizeof value));
        (void)effects_end(e, e->next);
    }
}

static void tell(struct effects *to, const struct effects *from, uint64_t replica)
{
    for (unsigned i = 0; i < EFFECTS_WINDOWS; i++) {
        if (effects_own(from)[i].index != 0) effects_claim(to, replica, &effects_own(from)[i]);
    }
}

static enum effects_verdict judge(const struct effects *e, unsigned voters, uint64_t self, uint64_t *index)
{
    struct effects_window at = {0};
    enum effects_verdict v = effects_judge(e, VOTERS, voters, self, &at);
    if (index != NULL) *index = at.index;
    return v;
}

START_TEST(equal_replicas_agree)
{
    struct effects a = {0}, b = {0}, c = {0};
    effects_init(&a, EVERY, 0);
    effects_init(&b, EVERY, 0);
    effects_init(&c, EVERY, 21); /* opened in the middle of the second window */
    apply(&a, 40, 0);
    apply(&b, 64, 0);
    apply(&c, 50, 0);
    ck_assert_int_eq(judge(&a, 3, 1, NULL), EFFECTS_UNKNOWN);
    tell(&a, &c, 3); /* knows the third window only, which a has not finished */
    ck_assert_int_eq(judge(&a, 3, 1, NULL), EFFECTS_UNKNOWN);
    tell(&a, &b, 2);
    ck_assert_int_eq(judge(&a, 3, 1, NULL), EFFECTS_AGREE);
    tell(&c, &b, 2);
    ck_assert_int_eq(judge(&c, 3, 3, NULL), EFFECTS_AGREE);
    ck_assert_uint_eq(effects_own(&c)[0].index, 48);
    ck_assert_uint_eq(effects_own(&c)[1].index, 0);
    effects_free(&a);
    effects_free(&b);
    effects_free(&c);
}
END_TEST

/* Whoever is wrong, and be it the leader, only that one finds itself in the minority. */
START_TEST(the_minority_is_wrong)
{
    for (uint64_t bad = 1; bad <= 3; bad++) {
        struct effects e[3] = {{0}};
        for (uint64_t i = 0; i < 3; i++) {
            effects_init(&e[i], EVERY, 0);
            apply(&e[i], 64, i + 1 == bad ? 30 : 0);
        }
        for (uint64_t i = 0; i < 3; i++) {
            for (uint64_t k = 0; k < 3; k++) {
                if (i != k) tell(&e[i], &e[k], k + 1);
            }
        }
        for (uint64_t i = 0; i < 3; i++) {
            uint64_t at;
            enum effects_verdict v = judge(&e[i], 3, i + 1, &at);
            ck_assert_int_eq(v, i + 1 == bad ? EFFECTS_DIVERGED : EFFECTS_DOUBT);
            ck_assert_uint_eq(at, 32);
        }
        for (uint64_t i = 0; i < 3; i++) effects_free(&e[i]);
    }
}
END_TEST

START_TEST(without_a_majority_nobody_is_condemned)
{
    struct effects a = {0}, b = {0}, c = {0};
    effects_init(&a, EVERY, 0);
    effects_init(&b, EVERY, 0);
    effects_init(&c, EVERY, 0);
    apply(&a, 32, 20);
    apply(&b, 32, 0);
    apply(&c, 32, 21);
    tell(&a, &b, 2);
    ck_assert_int_eq(judge(&a, 2, 1, NULL), EFFECTS_DOUBT); /* two replicas: either may be right */
    ck_assert_int_eq(judge(&a, 3, 1, NULL), EFFECTS_DOUBT);
    tell(&a, &c, 3); /* three that all differ */
    ck_assert_int_eq(judge(&a, 3, 1, NULL), EFFECTS_DOUBT);
    tell(&a, &b, 4);
    tell(&a, &b, 5); /* of five, three agree against us */
    ck_assert_int_eq(judge(&a, 5, 1, NULL), EFFECTS_DIVERGED);
    tell(&a, &b, 9); /* a stranger's word counts for nothing */
    ck_assert_int_eq(judge(&a, 3, 1, NULL), EFFECTS_DOUBT);
    effects_free(&a);
    effects_free(&b);
    effects_free(&c);
}
END_TEST

START_TEST(every_piece_counts)
{
    uint8_t bytes[64];
    struct prng p;
    prng_init(&p, 5);
    for (unsigned round = 0; round < 300; round++) {
        struct effects a = {0}, b = {0};
        effects_init(&a, 1, 0);
        effects_init(&b, 1, 0);
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)prng_next(&p);
        size_t size = (size_t)prng_between(&p, 1, sizeof bytes);
        effects_note(&a, round);
        effects_note_bytes(&a, slice_make(bytes, size));
        ck_assert(effects_end(&a, 1));
        bytes[prng_below(&p, size)] ^= (uint8_t)(1u << prng_below(&p, 8));
        effects_note(&b, round);
        effects_note_bytes(&b, slice_make(bytes, size));
        ck_assert(effects_end(&b, 1));
        ck_assert_uint_ne(effects_own(&a)[0].hash, effects_own(&b)[0].hash);
        effects_free(&a);
        effects_free(&b);
    }
}
END_TEST

/* A comparison cuts the window. Where one ends by itself there is nothing to cut: not for a replica that saw only a part of it,
 * and not for one that has remembered a hash of its rows since. */
START_TEST(a_cut_at_the_end_of_a_window_cuts_nothing)
{
    struct effects e[3] = {{0}};
    static const uint64_t FROM[] = {0, EVERY / 2, 0};
    for (unsigned i = 0; i < 3; i++) {
        bool whole;
        uint64_t hash;
        effects_init(&e[i], EVERY, FROM[i]);
        apply(&e[i], EVERY, 0);
        if (i == 2) effects_add_rows(&e[i], EVERY / 2, 7);
        ck_assert(!effects_cut(&e[i], &whole, &hash));
        ck_assert(whole);
        ck_assert_uint_eq(hash, 0);
        apply(&e[i], EVERY + 3, 0);
        ck_assert(effects_cut(&e[i], &whole, &hash));
        ck_assert_uint_eq(effects_own(&e[i])[0].index, EVERY + 3);
    }
    for (unsigned i = 0; i < 3; i++) {
        for (uint64_t k = 0; k < 3; k++) {
            if (i != k) tell(&e[i], &e[k], k + 1);
        }
        ck_assert_int_eq(judge(&e[i], 3, i + 1, NULL), EFFECTS_AGREE);
    }
    for (unsigned i = 0; i < 3; i++) effects_free(&e[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("range/effects");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, equal_replicas_agree);
    tcase_add_test(tc, the_minority_is_wrong);
    tcase_add_test(tc, without_a_majority_nobody_is_condemned);
    tcase_add_test(tc, every_piece_counts);
    tcase_add_test(tc, a_cut_at_the_end_of_a_window_cuts_nothing);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
