/* The three verdicts on guarded adds, against every fate that the others may have: each undecided add commits below the new one,
 * above it, or not at all. */
#include "base/mem.h"
#include "base/prng.h"
#include "lib/suite.h"
#include "txn/table_int.h"

#include <stdio.h>

#define SEED 77u
enum { OTHERS_MAX = 4, TRIALS = 40000 };

struct other {
    struct held txn;
    struct hold hold;
};
struct set {
    struct lock_key key;
    struct other others[OTHERS_MAX];
    unsigned count;
};

static void add_other(struct set *s, enum held_state state, i128 delta, i128 min)
{
    struct other *o = &s->others[s->count++];
    *o = (struct other){.txn = {.state = state, .ts = s->count}};
    o->hold = (struct hold){.mode = HOLD_RESERVED, .txn = &o->txn, .delta = delta, .min = min, .max = I128_MAX};
    list_init(&o->hold.link);
    list_push_back(&s->key.reservations, &o->hold.link);
}

static void init(struct set *s)
{
    *s = (struct set){.count = 0};
    list_init(&s->key.locks);
    list_init(&s->key.reservations);
}

struct
    fates { /* over all fates: was the guard ever true, ever false; was anybody else's ever false that was true without us */
    bool ever_true, ever_false, harms;
};

/* Fates of undecided ones: 0 aborted, 1 below us, 2 above us. Decided ones are below us (the leader sees to it), but may be above
 * or below the undecided ones: those above us are above all decided ones. */
static void try_fates(const struct set *s, i128 folded, const struct guarded_add *add, struct fates *f)
{
    unsigned total = 1;
    for (unsigned i = 0; i < s->count; i++) total *= 3;
    for (unsigned code = 0; code < total; code++) {
        unsigned rest = code;
        i128 below = folded, above;
        bool legal = true;
        for (unsigned i = 0; i < s->count; i++, rest /= 3) {
            const struct other *o = &s->others[i];
            if (o->txn.state == HELD_COMMITTED && rest % 3 != 1) legal = false;
            if (rest % 3 == 1) below += o->hold.delta;
        }
        if (!legal) continue;
        i128 mine = below + add->delta;
        bool holds = mine >= add->min && mine <= add->max;
        f->ever_true = f->ever_true || holds;
        f->ever_false = f->ever_false || !holds;
        rest = code;
        above = mine;
        i128 without = below;
        for (unsigned i = 0; i < s->count; i++, rest /= 3) { /* those above us, in their order */
            const struct other *o = &s->others[i];
            if (rest % 3 != 2) continue;
            above += o->hold.delta;
            without += o->hold.delta;
            if (without >= o->hold.min && above < o->hold.min) f->harms = true;
        }
    }
}

START_TEST(verdicts_agree_with_every_fate)
{
    struct prng p;
    prng_init(&p, SEED);
    unsigned seen[4] = {0};
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        struct set s;
        init(&s);
        i128 folded = (i128)prng_below(&p, 6);
        unsigned others = (unsigned)prng_below(&p, OTHERS_MAX + 1);
        for (unsigned i = 0; i < others; i++) {
            bool guarded = prng_chance(&p, 1, 2);
            struct guarded_add o = {
                .delta = (i128)prng_below(&p, 7) - 3, .min = guarded ? 0 : I128_MIN, .max = I128_MAX};
            if (escrow_judge(s.count > 0 ? &s.key : NULL, folded, &o) != VERDICT_TRUE) continue;
            /* a decided one has something undecided below it, or it would be in the row */
            add_other(&s, s.count > 0 && prng_chance(&p, 1, 3) ? HELD_COMMITTED : HELD_PREPARED, o.delta, o.min);
        }
        struct guarded_add add = {
            .delta = (i128)prng_below(&p, 9) - 5, .min = prng_chance(&p, 3, 4) ? 0 : I128_MIN, .max = I128_MAX};
        struct fates f = {0};
        try_fates(&s, folded, &add, &f);
        enum verdict v = escrow_judge(s.count > 0 ? &s.key : NULL, folded, &add);
        seen[v]++;
        if (v == VERDICT_TRUE) ck_assert(!f.ever_false && !f.harms);
        if (v == VERDICT_FALSE) ck_assert(!f.ever_true);
        if (v == VERDICT_WAIT) ck_assert_uint_gt(s.count, 0);
        if (v == VERDICT_WAIT) ck_assert(f.ever_false || s.count > 0);
        if (!f.ever_true && v != VERDICT_FALSE) ck_assert(s.count > 0);
    }
    printf("true %u, false %u, wait %u\n", seen[VERDICT_TRUE], seen[VERDICT_FALSE], seen[VERDICT_WAIT]);
    ck_assert(seen[VERDICT_TRUE] > TRIALS / 20 && seen[VERDICT_FALSE] > TRIALS / 20 &&
              seen[VERDICT_WAIT] > TRIALS / 20);
}
END_TEST

START_TEST(certain_guards_never_wait)
{
    struct set s;
    init(&s);
    add_other(&s, HELD_PREPARED, -10, 0);
    add_other(&s, HELD_PREPARED, 10, I128_MIN);
    struct guarded_add small = {.delta = -5, .min = 0, .max = I128_MAX},
                       large = {.delta = -200, .min = 0, .max = I128_MAX},
                       between = {.delta = -95, .min = 0, .max = I128_MAX};
    ck_assert_int_eq(escrow_judge(&s.key, 100, &small), VERDICT_TRUE);
    ck_assert_int_eq(escrow_judge(&s.key, 100, &large), VERDICT_FALSE);
    ck_assert_int_eq(escrow_judge(&s.key, 100, &between), VERDICT_WAIT);
    ck_assert_ptr_eq(escrow_waits_for(&s.key), &s.others[0].txn);
}
END_TEST

START_TEST(an_add_without_guard_may_not_break_anothers)
{
    struct set s;
    init(&s);
    add_other(&s, HELD_PREPARED, -10, 0);
    struct guarded_add fee = {.delta = -5, .min = I128_MIN, .max = I128_MAX};
    ck_assert_int_eq(escrow_judge(&s.key, 10, &fee), VERDICT_WAIT); /* the other may commit above it */
    ck_assert_int_eq(escrow_judge(&s.key, 15, &fee), VERDICT_TRUE);
}
END_TEST

START_TEST(the_ends_of_128_bits)
{
    struct set s;
    init(&s);
    struct guarded_add one = {.delta = 1, .min = I128_MIN, .max = I128_MAX};
    ck_assert_int_eq(escrow_judge(NULL, I128_MAX, &one), VERDICT_FALSE);
    ck_assert_int_eq(escrow_judge(NULL, I128_MAX - 1, &one), VERDICT_TRUE);
    add_other(&s, HELD_PREPARED, I128_MAX, I128_MIN);
    ck_assert_int_eq(escrow_judge(&s.key, 0, &one), VERDICT_WAIT);
    ck_assert_int_eq(escrow_judge(&s.key, 5, &one), VERDICT_WAIT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("txn_escrow");
    TCase *tc = tcase_create("escrow");
    suite_add_tcase(s, tc);
    tcase_add_test(tc, verdicts_agree_with_every_fate);
    tcase_add_test(tc, certain_guards_never_wait);
    tcase_add_test(tc, an_add_without_guard_may_not_break_anothers);
    tcase_add_test(tc, the_ends_of_128_bits);
    return run_suite(s);
}
