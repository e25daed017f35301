/* Operators: the steps that a descriptor asks for, carried out on a model of a range, end; rows and settings keep what they
 * were given. */
#include "base/mem.h"
#include "base/prng.h"
#include "meta/operator.h"
#include "meta/settings.h"

#include <check.h>
#include <stdlib.h>

static const struct range_replica *at(const struct range_desc *d, uint64_t node)
{
    return range_desc_replica(d, node);
}

static void drop(struct range_desc *d, uint64_t node)
{
    for (size_t i = 0; i < d->replica_count; i++) {
        if (d->replicas[i].node_id != node) continue;
        d->replicas[i] = d->replicas[--d->replica_count];
        return;
    }
}

/* What the leader would do, or does by itself. */
static void obey(struct range_desc *d, uint64_t *leader, const struct range_order *o)
{
    ck_assert_uint_eq(o->conf_ver, d->epoch.conf_ver);
    if (o->kind == ORDER_TRANSFER) {
        for (size_t i = 0; i < d->replica_count; i++) {
            bool fits = o->to != 0 ? d->replicas[i].node_id == o->to : d->replicas[i].node_id != o->from;
            if (fits && d->replicas[i].role == RANGE_VOTER) *leader = d->replicas[i].node_id;
        }
        return;
    }
    d->epoch.conf_ver++;
    if (o->kind == ORDER_ADD) {
        ck_assert_ptr_null(at(d, o->to));
        d->replicas[d->replica_count++] = (struct range_replica){
            .node_id = o->to, .replica_id = RANGE_FIRST_REPLICAS + d->epoch.conf_ver, .role = RANGE_LEARNER};
        return;
    }
    ck_assert_int_eq(o->kind, ORDER_SWAP);
    ck_assert_uint_ne(o->from, *leader);
    for (size_t i = 0; i < d->replica_count; i++) {
        if (d->replicas[i].node_id == o->to) d->replicas[i].role = RANGE_INCOMING;
        if (d->replicas[i].node_id == o->from) d->replicas[i].role = RANGE_OUTGOING;
    }
}

static void leave_joint(struct range_desc *d)
{
    d->epoch.conf_ver++;
    for (size_t i = 0; i < d->replica_count;) {
        if (d->replicas[i].role == RANGE_OUTGOING) {
            drop(d, d->replicas[i].node_id);
            continue;
        }
        if (d->replicas[i].role == RANGE_INCOMING) d->replicas[i].role = RANGE_VOTER;
        i++;
    }
}

static size_t voters(const struct range_desc *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->replica_count; i++) n += d->replicas[i].role != RANGE_LEARNER;
    return n;
}

static struct range_desc three(void)
{
    struct range_desc d = {.id = 7, .epoch = {.conf_ver = 1, .version = 1}, .replica_count = 3};
    for (size_t i = 0; i < 3; i++)
        d.replicas[i] = (struct range_replica){.node_id = i + 1, .replica_id = i + 1, .role = RANGE_VOTER};
    return d;
}

/* Whatever leads meanwhile: the operator ends, and no step leaves fewer voters than there are to be. */
START_TEST(test_steps_end)
{
    struct prng p;
    prng_init(&p, 7);
    for (int round = 0; round < 2000; round++) {
        static const enum operator_kind kinds[] = {OPERATOR_ADD, OPERATOR_REPLACE, OPERATOR_REMOVE, OPERATOR_TRANSFER};
        struct range_desc d = three();
        uint64_t leader = prng_between(&p, 1, 3);
        struct operator_row row = {.id = 9, .range_id = 7, .kind = kinds[prng_below(&p, 4)]};
        if (row.kind != OPERATOR_ADD) row.from = prng_between(&p, 1, 3);
        if (row.kind == OPERATOR_ADD || row.kind == OPERATOR_REPLACE) row.to = 4;
        if (row.kind == OPERATOR_TRANSFER) row.to = prng_between(&p, 1, 3);
        row.conf_ver = d.epoch.conf_ver;
        size_t least = row.kind == OPERATOR_REMOVE ? 2 : 3;
        enum operator_next next;
        int steps = 0;
        struct range_order order;
        const char *what;
        while ((next = operator_next(&row, &d, leader, &order, &what)) != OPERATOR_NEXT_DONE) {
            ck_assert_int_lt(++steps, 40);
            ck_assert_int_ne(next, OPERATOR_NEXT_VOID);
            ck_assert_uint_ge(voters(&d), least);
            if (next == OPERATOR_NEXT_WAIT) {
                leave_joint(&d);
            } else {
                ck_assert_uint_eq(order.op, 9);
                obey(&d, &leader, &order);
            }
            if (row.kind != OPERATOR_TRANSFER && prng_chance(&p, 1, 5)) {
                uint64_t node = d.replicas[prng_below(&p, d.replica_count)].node_id;
                if (at(&d, node)->role == RANGE_VOTER) leader = node;
            }
        }
        ck_assert(!range_desc_joint(&d));
        size_t end = row.kind == OPERATOR_ADD ? 4 : row.kind == OPERATOR_REMOVE ? 2 : 3;
        ck_assert_uint_eq(voters(&d), end);
        ck_assert_uint_eq(d.replica_count, end);
    }
}
END_TEST

START_TEST(test_void)
{
    struct range_desc d = three();
    struct range_order order;
    const char *what;
    struct operator_row row = {.kind = OPERATOR_REPLACE, .from = 3, .to = 4};
    drop(&d, 3);
    ck_assert_int_eq(operator_next(&row, &d, 1, &order, &what), OPERATOR_NEXT_VOID);
    d = three(); /* a former operator's change, of which nobody knew, brought the replica in, and took another one away */
    drop(&d, 2);
    d.replicas[d.replica_count++] = (struct range_replica){.node_id = 4, .replica_id = 20, .role = RANGE_VOTER};
    ck_assert_int_eq(operator_next(&row, &d, 1, &order, &what), OPERATOR_NEXT_VOID);
    row = (struct operator_row){.kind = OPERATOR_TRANSFER, .from = 1, .to = 9};
    ck_assert_int_eq(operator_next(&row, &d, 1, &order, &what), OPERATOR_NEXT_VOID);
    d = three();
    row = (struct operator_row){.kind = OPERATOR_REMOVE, .from = 3, .conf_ver = d.epoch.conf_ver};
    ck_assert_int_eq(operator_next(&row, &d, 1, &order, &what), OPERATOR_NEXT_ORDER);
    d.epoch.conf_ver++; /* it may be one of the last three by now */
    ck_assert_int_eq(operator_next(&row, &d, 1, &order, &what), OPERATOR_NEXT_VOID);
    row = (struct operator_row){.kind = OPERATOR_ALONE, .to = 3, .conf_ver = d.epoch.conf_ver, .other = 1u << 20};
    ck_assert_int_eq(operator_next(&row, &d, 0, &order, &what), OPERATOR_NEXT_ORDER);
    d.epoch.conf_ver++;
    ck_assert_int_eq(operator_next(&row, &d, 0, &order, &what), OPERATOR_NEXT_ORDER);
    drop(&d, 3); /* the range has gone on, and has no need of it */
    ck_assert_int_eq(operator_next(&row, &d, 0, &order, &what), OPERATOR_NEXT_VOID);
    d = three();
    row = (struct operator_row){.kind = OPERATOR_SPLIT, .version = 1};
    ck_assert_int_eq(operator_next(&row, &d, 1, &order, &what), OPERATOR_NEXT_ORDER);
    d.epoch.version = 2;
    ck_assert_int_eq(operator_next(&row, &d, 1, &order, &what), OPERATOR_NEXT_DONE);
}
END_TEST

/* A merge: the second range's replicas go where the first one's are, one at a time, then it is taken in. */
START_TEST(test_merge)
{
    struct prng p;
    prng_init(&p, 3);
    for (int round = 0; round < 500; round++) {
        struct range_desc left = three(), right = three();
        left.end = right.start = slice_str("m");
        right.id = 8;
        right.replica_count = 0;
        for (uint64_t node = prng_between(&p, 1, 3), i = 0; i < 3; i++)
            right.replicas[right.replica_count++] =
                (struct range_replica){.node_id = node + i, .replica_id = i + 1, .role = RANGE_VOTER};
        uint64_t right_leader = right.replicas[prng_below(&p, 3)].node_id;
        struct operator_row row = {.id = 9, .range_id = 7, .kind = OPERATOR_MERGE, .other = 8};
        row.version = left.epoch.version;
        struct range_order order;
        enum operator_next next;
        const char *what;
        int steps = 0;
        for (;;) {
            next = operator_next_merge(&row, &left, &right, right_leader, &order, &what);
            if (next == OPERATOR_NEXT_ORDER && order.kind == ORDER_MERGE) break;
            ck_assert_int_lt(++steps, 60);
            ck_assert_uint_ge(voters(&right), 3);
            if (next == OPERATOR_NEXT_WAIT) {
                leave_joint(&right);
                continue;
            }
            ck_assert_int_eq(next, OPERATOR_NEXT_ORDER);
            ck_assert_uint_eq(order.range_id, 8);
            obey(&right, &right_leader, &order);
        }
        ck_assert_uint_eq(order.range_id, left.id);
        for (uint64_t node = 1; node <= 3; node++) ck_assert_ptr_nonnull(at(&right, node));
        ck_assert_int_eq(operator_next_merge(&row, &left, NULL, 0, &order, &what), OPERATOR_NEXT_DONE);
        left.epoch.version++;
        ck_assert_int_eq(operator_next_merge(&row, &left, &right, 1, &order, &what), OPERATOR_NEXT_VOID);
        left.epoch.version--;
        right.start = slice_str("n");
        ck_assert_int_eq(operator_next_merge(&row, &left, &right, 1, &order, &what), OPERATOR_NEXT_VOID);
    }
}
END_TEST

START_TEST(test_row)
{
    struct operator_row row = {.id = 1,
                               .range_id = 2,
                               .kind = OPERATOR_MERGE,
                               .from = 3,
                               .to = 4,
                               .other = 11,
                               .version = 5,
                               .conf_ver = 6,
                               .began_ms = 7,
                               .why = slice_str("because"),
                               .state = OPERATOR_FAILED,
                               .ended_ms = 8,
                               .how_ended = slice_str("badly")},
                        out;
    struct buf b;
    buf_init(&b, 1024);
    pack_operator_row(&b, &row);
    ck_assert_int_eq(unpack_operator_row(buf_slice(&b), NULL, &out), STATUS_OK);
    ck_assert(slice_eq(out.why, row.why));
    ck_assert(slice_eq(out.how_ended, row.how_ended));
    ck_assert_uint_eq(out.ended_ms, 8);
    ck_assert_int_eq(out.kind, OPERATOR_MERGE);
    ck_assert_uint_eq(out.other, 11);
    for (size_t size = 0; size < b.size; size++)
        ck_assert_int_ne(unpack_operator_row(slice_make(b.data, size), NULL, &out), STATUS_OK);
    buf_free(&b);
}
END_TEST

START_TEST(test_settings)
{
    struct settings s;
    settings_default(&s);
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        enum setting_id id = (enum setting_id)i;
        struct errbuf err = {{0}};
        uint64_t v;
        ck_assert_int_eq(setting_find(slice_str(setting_name(id))), id);
        ck_assert_int_eq(setting_parse(id, SLICE_EMPTY, &v, &err), STATUS_OK);
        ck_assert_uint_eq(v, s.values[id]);
        ck_assert_int_eq(setting_parse(id, slice_str("99999999999999999"), &v, &err), STATUS_INVALID);
        ck_assert_int_eq(setting_parse(id, slice_str("-1"), &v, &err), STATUS_INVALID);
        ck_assert_int_eq(setting_parse(id, slice_str("on"), &v, &err),
                         setting_is_switch(id) ? STATUS_OK : STATUS_INVALID);
    }
    ck_assert_int_eq(setting_find(slice_str("nothing")), SETTING_COUNT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("meta_operator");
    TCase *t = tcase_create("operator");
    tcase_add_test(t, test_steps_end);
    tcase_add_test(t, test_void);
    tcase_add_test(t, test_row);
    tcase_add_test(t, test_merge);
    tcase_add_test(t, test_settings);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
