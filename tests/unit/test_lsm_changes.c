/* Each way of changing many rows at once (a stretch deleted, replaced, cut out, a group dropped), with each call to the disk failing in
 * turn, then a crash: all of it has happened, or nothing, and the neighbours have not noticed. */
#include "lib/lsm_rig.h"
#include "lib/suite.h"

#include <stdio.h>

enum { ROWS = 120, FROM = 10, TO = 110, GROUP = 9, NEIGHBOUR = 8, CHANGE_INDEX = 500 };
enum change { CHANGE_ERASE, CHANGE_INGEST, CHANGE_EXCISE, CHANGE_DROP, CHANGE_COUNT };
static const char *const names[] = {"erase", "ingest", "excise", "drop"};

static struct slice key_of(unsigned i, char text[8])
{
    (void)snprintf(text, 8, "x%03u", i);
    return slice_make(text, 4);
}

/* Row i is entry i + 1 of the group's log. The last ones are in a memtable only. */
static void fill_from(struct rig *r, unsigned first)
{
    char text[8], value[40];
    memset(value, 'v', sizeof(value));
    const struct lsm_write beside[] = {{.kind = LSM_PUT, .key = slice_str("w"), .ts = 1, .value = slice_str("beside")},
                                       {.kind = LSM_PUT, .key = slice_str("y"), .ts = 1, .value = slice_str("beside")}};
    lsm_apply(r->l, NEIGHBOUR, 1, 1, beside, 2);
    for (unsigned i = first; i < ROWS; i++) {
        const struct lsm_write w = {
            .kind = LSM_PUT, .key = key_of(i, text), .ts = i + 1, .value = slice_make(value, sizeof(value))};
        lsm_apply(r->l, GROUP, i + 1, 1, &w, 1);
        if (i % 25 == 24) rig_flush(r);
        if (i == 60) rig_settle(r);
    }
}

static void note(void *ctx, enum status s)
{
    *(enum status *)ctx = s;
}

static void note_flushed(void *ctx)
{
    *(enum status *)ctx = STATUS_OK;
}

static void install(struct rig *r, struct slice from, struct slice to, enum status *done)
{
    struct lsm_ingest *g = lsm_ingest_new(r->l, from, to);
    enum status s = STATUS_OK;
    for (unsigned i = FROM; i < TO && s == STATUS_OK; i += 3) {
        char text[8];
        const struct lsm_write w = {.kind = LSM_PUT, .key = key_of(i, text), .ts = 1000, .value = slice_str("new")};
        s = lsm_ingest_add(g, &w);
    }
    if (s == STATUS_OK) s = lsm_ingest_finish(g);
    if (s == STATUS_OK) {
        lsm_ingest_install(g, GROUP, CHANGE_INDEX, 2, note, done);
    } else {
        *done = s;
        lsm_ingest_abort(g);
    }
}

/* `done` STATUS_COUNT: nobody was told. */
static void change(struct rig *r, enum change what, enum status *done)
{
    char from_text[8], to_text[8];
    struct slice from = key_of(FROM, from_text), to = key_of(TO, to_text);
    *done = STATUS_COUNT;
    switch (what) {
    case CHANGE_ERASE:
        lsm_apply_erase(r->l, from, to, 1000);
        lsm_apply(r->l, GROUP, CHANGE_INDEX, 2, NULL, 0);
        lsm_flush(r->l, note_flushed, done);
        break;
    case CHANGE_INGEST: install(r, from, to, done); break;
    case CHANGE_EXCISE: lsm_excise(r->l, from, to, note, done); break;
    case CHANGE_DROP: lsm_drop_group(r->l, GROUP, slice_str("x"), slice_str("y"), note, done); break;
    case CHANGE_COUNT: break;
    }
}

static enum status get(struct rig *r, struct slice key, struct lsm_row *row)
{
    struct lsm_miss miss;
    lsm_set_blocking(r->l, true);
    enum status s = lsm_get(r->l, key, LSM_TS_MAX, row, &miss);
    lsm_set_blocking(r->l, false);
    ck_assert(s == STATUS_OK || s == STATUS_NOT_FOUND);
    return s;
}

/* What is there is the state before or after. True: after. */
static bool has_happened(struct rig *r, enum change what)
{
    uint64_t index = 0, term;
    struct lsm_row row;
    char text[8];
    bool known = lsm_durable(r->l, GROUP, &index, &term), after = index == CHANGE_INDEX;
    if (what == CHANGE_EXCISE) after = get(r, key_of((FROM + TO) / 2, text), &row) == STATUS_NOT_FOUND;
    if (what == CHANGE_DROP) after = !known;
    if (!after || what == CHANGE_EXCISE) ck_assert_uint_le(index, ROWS);
    for (unsigned i = 0; i < ROWS; i++) {
        bool inside = what == CHANGE_DROP || (i >= FROM && i < TO);
        bool fresh = after && what == CHANGE_INGEST && inside && (i - FROM) % 3 == 0;
        bool there = fresh || (i < index && !(after && inside));
        ck_assert_msg((get(r, key_of(i, text), &row) == STATUS_OK) == there, "%s: row %u, %s", names[what], i,
                      after ? "after" : "before");
        if (there) ck_assert_uint_eq(row.value.size, fresh ? 3 : 40);
    }
    ck_assert_int_eq(get(r, slice_str("w"), &row), STATUS_OK);
    ck_assert_int_eq(get(r, slice_str("y"), &row), STATUS_OK);
    return after;
}

static bool fail_at(enum change what, uint64_t n, enum status with)
{
    struct rig r;
    enum status done;
    rig_init(&r, n);
    ck_assert(rig_open(&r));
    fill_from(&r, 0);
    memdisk_fail_at(r.disk, MEMDISK_ANY, n, with, with != STATUS_NO_SPACE);
    change(&r, what, &done);
    for (unsigned i = 0; i < 300 && !r.env.env.dead && done == STATUS_COUNT; i++) {
        rig_step(&r);
        if (memdisk_fail_fired(r.disk) && with == STATUS_CLOSED) break;
        testenv_advance_ms(&r.env, 10);
    }
    bool fired = memdisk_fail_fired(r.disk);
    if (with == STATUS_NO_SPACE) ck_assert_uint_eq(r.env.fatal_count, 0);
    ck_assert(fired || done == STATUS_OK);
    rig_crash(&r, (enum memdisk_crash)(n % 3));
    ck_assert_msg(rig_open(&r), "%s at %llu: %s", names[what], (unsigned long long)n, r.err.text);
    bool after = has_happened(&r, what);
    ck_assert_msg(after || done != STATUS_OK, "%s at %llu: was done, and is not", names[what], (unsigned long long)n);
    if (!after) { /* once more: the log is applied anew from where the store says */
        uint64_t index = 0, term;
        if (lsm_durable(r.l, GROUP, &index, &term)) fill_from(&r, (unsigned)index);
        change(&r, what, &done);
        while (done == STATUS_COUNT) rig_step(&r);
        ck_assert_int_eq(done, STATUS_OK);
        ck_assert(has_happened(&r, what));
    }
    rig_settle(&r);
    ck_assert(has_happened(&r, what));
    rig_free(&r);
    return fired;
}

/* The call fails; the process is killed before it; there is no room for it. */
START_TEST(a_change_is_all_or_nothing)
{
    static const enum status faults[] = {STATUS_IO, STATUS_CLOSED, STATUS_NO_SPACE};
    enum change what = (enum change)(_i % CHANGE_COUNT);
    enum status with = faults[_i / CHANGE_COUNT];
    uint64_t n = 1;
    while (fail_at(what, n, with)) n++;
    printf("%s: %s at each of %llu calls\n", names[what], status_name(with), (unsigned long long)n - 1);
    ck_assert_uint_gt(n, 5);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lsm/changes");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_change_is_all_or_nothing, 0, 3 * CHANGE_COUNT);
    suite_add_tcase(s, t);
    return run_suite(s);
}
