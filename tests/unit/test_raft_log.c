#include "raft/log.h"

#include "base/prng.h"

#include <check.h>
#include <stdlib.h>

#define MODEL_MAX 4096u

struct model { /* entry i stands at [i]; those up to base are gone */
    uint64_t term[MODEL_MAX];
    uint64_t value[MODEL_MAX];
    uint64_t base, last;
};

static void append(struct raft_log *l, struct model *m, uint64_t term, uint64_t value)
{
    struct raft_entry e = {.index = m->last + 1, .term = term, .type = RAFT_ENTRY_COMMAND};
    e.data = slice_make(&value, (size_t)(value % 9)); /* sizes 0 to 8 */
    raft_log_append(l, &e);
    m->last++;
    m->term[m->last] = term;
    m->value[m->last] = value;
}

static uint64_t model_meet(const struct model *m, uint64_t index, uint64_t term)
{
    if (index > m->last) index = m->last;
    while (index > m->base && m->term[index] > term) index--;
    return index;
}

static void compare(const struct raft_log *l, const struct model *m, struct prng *random)
{
    raft_log_check(l);
    ck_assert_uint_eq(raft_log_last(l), m->last);
    ck_assert_uint_eq(raft_log_last_term(l), m->term[m->last]);
    ck_assert_ptr_null(raft_log_at(l, m->base));
    ck_assert_ptr_null(raft_log_at(l, m->last + 1));
    ck_assert_uint_eq(raft_log_term(l, m->last + 1), 0);
    ck_assert_uint_eq(raft_log_term(l, m->base), m->term[m->base]);
    if (m->base > 0) ck_assert_uint_eq(raft_log_term(l, m->base - 1), 0);
    for (uint64_t i = m->base + 1; i <= m->last; i++) {
        const struct raft_entry *e = raft_log_at(l, i);
        ck_assert_uint_eq(e->index, i);
        ck_assert_uint_eq(e->term, m->term[i]);
        ck_assert(slice_eq(e->data, slice_make(&m->value[i], (size_t)(m->value[i] % 9))));
    }
    uint64_t index = prng_between(random, m->base, m->last + 3), term = prng_below(random, m->term[m->last] + 2);
    ck_assert_uint_eq(raft_log_meet(l, index, term), model_meet(m, index, term));
}

static void against_model(uint64_t seed)
{
    struct prng random;
    prng_init(&random, seed);
    static struct model m;
    m = (struct model){.base = prng_below(&random, 3)};
    m.last = m.base;
    m.term[m.base] = m.base > 0 ? 2 : 0;
    struct raft_log l;
    raft_log_init(&l, m.base, m.term[m.base]);
    for (unsigned turn = 0; turn < 500 && m.last + 10 < MODEL_MAX; turn++) {
        switch (prng_below(&random, 8)) {
        case 0:
            if (m.last > m.base) {
                uint64_t from = prng_between(&random, m.base + 1, m.last);
                raft_log_truncate(&l, from);
                m.last = from - 1;
            }
            break;
        case 1:
            m.base = prng_between(&random, m.base, m.last);
            raft_log_compact(&l, m.base);
            break;
        case 2:
            if (prng_chance(&random, 1, 10)) {
                uint64_t base = m.last + prng_below(&random, 5);
                m.term[base] = m.term[m.last] + 1;
                m.base = m.last = base;
                raft_log_reset(&l, base, m.term[base]);
            }
            break;
        default:
            for (uint64_t n = prng_below(&random, 8); n > 0; n--) {
                uint64_t term = m.term[m.last] + prng_below(&random, 2);
                append(&l, &m, term > 0 ? term : 1, prng_next(&random));
            }
        }
        compare(&l, &m, &random);
    }
    raft_log_free(&l);
    ck_assert_uint_eq(l.bytes, 0);
}

START_TEST(test_against_model)
{
    for (uint64_t seed = 1; seed <= 15; seed++) against_model(seed);
}
END_TEST

/* What an append message borrows is one contiguous run, at least one entry, and no more than fits. */
START_TEST(test_run)
{
    struct raft_log l;
    struct model *m = calloc(1, sizeof(*m));
    raft_log_init(&l, 0, 0);
    for (unsigned i = 0; i < 20; i++) append(&l, m, 1, 5); /* 5 bytes each */
    uint64_t bytes;
    ck_assert_uint_eq(raft_log_run(&l, 1, 0, &bytes), 1);
    ck_assert_uint_eq(bytes, 5);
    ck_assert_uint_eq(raft_log_run(&l, 1, 14, &bytes), 2);
    ck_assert_uint_eq(raft_log_run(&l, 1, 15, &bytes), 3);
    ck_assert_uint_eq(bytes, 15);
    ck_assert_uint_eq(raft_log_run(&l, 18, 1000, &bytes), 3);
    ck_assert_uint_eq(raft_log_run(&l, 21, 1000, &bytes), 0);
    const struct raft_entry *run = raft_log_at(&l, 3);
    for (unsigned i = 0; i < 10; i++) ck_assert_uint_eq(run[i].index, 3 + i);
    raft_log_free(&l);
    free(m);
}
END_TEST

/* A log that is appended to and compacted for ever does not grow; an emptied one gives its memory back. */
START_TEST(test_memory_bounded)
{
    struct raft_log l;
    raft_log_init(&l, 0, 0);
    for (uint64_t i = 1; i <= 20000; i++) {
        struct raft_entry e = {.index = i, .term = 1, .type = RAFT_ENTRY_COMMAND, .data = SLICE_EMPTY};
        raft_log_append(&l, &e);
        if (i > 10) raft_log_compact(&l, i - 10);
    }
    ck_assert_uint_le(l.capacity, 32);
    for (uint64_t i = 20001; i <= 21000; i++) {
        struct raft_entry e = {.index = i, .term = 1, .type = RAFT_ENTRY_COMMAND, .data = SLICE_EMPTY};
        raft_log_append(&l, &e);
    }
    ck_assert_uint_ge(l.capacity, 1000);
    raft_log_compact(&l, 21000);
    ck_assert_uint_le(l.capacity, 8);
    raft_log_check(&l);
    raft_log_free(&l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_log");
    TCase *t = tcase_create("log");
    tcase_add_test(t, test_against_model);
    tcase_add_test(t, test_run);
    tcase_add_test(t, test_memory_bounded);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
