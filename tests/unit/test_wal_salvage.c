/* A damaged log gives what can still be read of groups, and is replaced by a new one: wholly or not at all, wherever that is
 * interrupted; the damaged segments stay as evidence, and never speak again. */
#include <stdio.h>

#include "lib/suite.h"
#include "lib/wal_model.h"
#include "wal/wal_int.h"

#define MARK "begun anew"

struct heard {
    unsigned groups, dropped, hard_states, entries, resets;
    bool anew; /* the one record of the new log */
    uint64_t term_max;
};

static void on_group(void *ctx, uint64_t group, struct slice state)
{
    struct heard *h = ctx;
    h->groups++;
    if (group == 77 && slice_eq(state, slice_str(MARK))) h->anew = true;
}
static void on_dropped(void *ctx, uint64_t group)
{
    (void)group;
    ((struct heard *)ctx)->dropped++;
}
static void on_hard_state(void *ctx, uint64_t group, const struct wal_hard_state *hs)
{
    (void)group;
    struct heard *h = ctx;
    h->hard_states++;
    if (hs->term > h->term_max) h->term_max = hs->term;
}
static void on_entry(void *ctx, uint64_t group, const struct wal_entry *e)
{
    (void)group;
    (void)e;
    ((struct heard *)ctx)->entries++;
}
static void on_reset(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    (void)group;
    (void)index;
    (void)term;
    ((struct heard *)ctx)->resets++;
}

static struct wal_replay replay_into(struct heard *h)
{
    memset(h, 0, sizeof *h);
    return (struct wal_replay){.group = on_group,
                               .group_dropped = on_dropped,
                               .hard_state = on_hard_state,
                               .entry = on_entry,
                               .reset = on_reset,
                               .ctx = h};
}

static void count_evidence(void *ctx, const char *path, struct slice content)
{
    (void)content;
    if (strstr(path, ".wal.damaged") != NULL) (*(unsigned *)ctx)++;
}

/* A log of several segments, closed, with one block in the middle of its chain gone. */
static void build_damaged(struct wm *m, uint64_t seed, uint64_t *next_segment)
{
    wm_init(m, seed);
    m->data_max = 3000;
    ck_assert_int_eq(wm_open(m), WM_OK);
    for (unsigned i = 0; i < 80; i++) wm_batch(m, 6);
    const struct wal_segment *s = LIST_ENTRY(m->wal->live.next->next, struct wal_segment, link);
    char path[WAL_PATH_MAX];
    wal_path(path, m->wal->dir, s->number);
    *next_segment = m->wal->next_segment;
    wm_close(m);
    memdisk_poke(m->disk, path, (1 + seed % 8) * WAL_BLOCK, (uint8_t[WAL_BLOCK]){0}, WAL_BLOCK);
}

/* What a host does; false: it failed, and nothing is open. */
static bool begin_anew(struct wm *m, struct heard *heard)
{
    struct wal *w;
    struct wal_replay replay = replay_into(heard);
    if (wal_salvage(&m->env.env, &m->options, &replay, &w, &m->err) != STATUS_OK) return false;
    wal_put_group(w, 77, slice_str(MARK));
    wal_put_hard_state(w, 77, &(struct wal_hard_state){.term = heard->term_max});
    enum status s = wal_begin_anew(w, &m->err);
    if (s == STATUS_OK) testenv_run(&m->env);
    wal_close(w);
    testenv_run(&m->env);
    return s == STATUS_OK;
}

static enum status open_heard(struct wm *m, struct heard *heard)
{
    struct wal *w;
    struct wal_replay replay = replay_into(heard);
    enum status s = wal_open(&m->env.env, &m->options, &replay, &w, &m->err);
    if (s != STATUS_OK) return s;
    wal_close(w);
    testenv_run(&m->env);
    return s;
}

START_TEST(the_rest_is_read_and_a_new_log_begins)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct wm m;
        struct heard heard;
        uint64_t next;
        build_damaged(&m, seed, &next);
        uint64_t before = memdisk_hash(m.disk);
        ck_assert_int_eq(open_heard(&m, &heard), STATUS_CORRUPT);
        struct wal *w;
        struct wal_replay replay = replay_into(&heard);
        ck_assert_int_eq(wal_salvage(&m.env.env, &m.options, &replay, &w, &m.err), STATUS_OK);
        ck_assert_uint_eq(heard.entries + heard.resets, 0);
        ck_assert_uint_gt(heard.groups, 3);
        ck_assert_uint_gt(heard.hard_states, 3);
        wal_close(w);
        ck_assert_uint_eq(memdisk_hash(m.disk), before); /* reading changes nothing */
        uint64_t newest = 0; /* terms are unique and rise: the newest one is in a later segment, and was found */
        for (unsigned g = 0; g < WM_GROUPS; g++) {
            uint64_t term = m.acked.groups[g].hard_state.term;
            if (m.acked.groups[g].has_hard_state && term > newest) newest = term;
        }
        ck_assert_uint_ge(heard.term_max, newest);
        ck_assert(begin_anew(&m, &heard));
        memdisk_crash(m.disk, MEMDISK_DROP);
        ck_assert_int_eq(open_heard(&m, &heard), STATUS_OK);
        ck_assert(heard.anew);
        ck_assert_uint_eq(heard.groups + heard.hard_states, 2);
        ck_assert_uint_eq(heard.entries, 0);
        unsigned evidence = 0;
        memdisk_each(m.disk, count_evidence, &evidence);
        ck_assert_uint_ge(evidence, 3);
        wm_free(&m);
    }
}
END_TEST

/* The n-th call fails or is the last one, whatever it is: the log is the damaged one or the new one, and a second attempt works. */
static bool interrupted_at(uint64_t n, enum status with, uint64_t seed)
{
    struct wm m;
    struct heard heard;
    uint64_t next;
    build_damaged(&m, seed, &next);
    memdisk_fail_at(m.disk, MEMDISK_ANY, n, with, with == STATUS_CLOSED || n % 2 == 0);
    bool done = begin_anew(&m, &heard);
    bool fired = memdisk_fail_fired(m.disk);
    memdisk_crash(m.disk, n % 3 == 0 ? MEMDISK_DROP : n % 3 == 1 ? MEMDISK_RANDOM : MEMDISK_KEEP);
    testenv_cancel(&m.env);
    m.env.env.dead = false;
    m.env.fatal_count = 0;
    enum status s = open_heard(&m, &heard);
    if (done) ck_assert_int_eq(s, STATUS_OK);
    if (s == STATUS_OK) {
        ck_assert(heard.anew);
        ck_assert_uint_eq(heard.groups + heard.hard_states, 2);
        ck_assert_uint_eq(heard.entries + heard.resets, 0);
    } else {
        ck_assert_int_eq(s, STATUS_CORRUPT);
        ck_assert(begin_anew(&m, &heard));
        ck_assert_int_eq(open_heard(&m, &heard), STATUS_OK);
        ck_assert(heard.anew);
    }
    wm_free(&m);
    return fired;
}

START_TEST(interrupted_anywhere_it_is_the_old_or_the_new_log)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        uint64_t n = 1;
        while (interrupted_at(n, kind == 0 ? STATUS_CLOSED : STATUS_IO, n % 5 + 1)) n++;
        ck_assert_uint_gt(n, 40);
    }
}
END_TEST

/* Damaged again, and again: numbers are not used twice, the first evidence is not written over, the newest log counts. */
START_TEST(damaged_again)
{
    struct wm m;
    struct heard heard;
    uint64_t next;
    unsigned evidence = 0, more = 0;
    build_damaged(&m, 3, &next);
    ck_assert(begin_anew(&m, &heard));
    memdisk_each(m.disk, count_evidence, &evidence);
    for (unsigned i = 0; i < 3; i++) {
        char path[WAL_PATH_MAX];
        struct wal *w;
        struct wal_replay replay = replay_into(&heard);
        ck_assert_int_eq(wal_open(&m.env.env, &m.options, &replay, &w, &m.err), STATUS_OK);
        ck_assert_uint_gt(w->current->number, next - 1);
        wal_path(path, w->dir, w->current->number);
        wal_close(w);
        testenv_run(&m.env);
        memdisk_flip(m.disk, path, WAL_BLOCK + 90, 1);
        ck_assert_int_eq(open_heard(&m, &heard), STATUS_CORRUPT);
        ck_assert(begin_anew(&m, &heard));
        ck_assert_int_eq(open_heard(&m, &heard), STATUS_OK);
        ck_assert(heard.anew);
    }
    memdisk_each(m.disk, count_evidence, &more);
    ck_assert_uint_eq(more, evidence + 3);
    wm_free(&m);
}
END_TEST

START_TEST(a_log_that_must_exist)
{
    struct wm m;
    struct heard heard;
    wm_init(&m, 1);
    m.options.must_exist = true;
    ck_assert_int_eq(open_heard(&m, &heard), STATUS_NOT_FOUND);
    ck_assert_int_eq(open_heard(&m, &heard), STATUS_NOT_FOUND); /* the refusal has not made one */
    m.options.must_exist = false;
    ck_assert_int_eq(open_heard(&m, &heard), STATUS_OK);
    m.options.must_exist = true;
    ck_assert_int_eq(open_heard(&m, &heard), STATUS_OK);
    wm_free(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wal_salvage");
    TCase *t = tcase_create("salvage");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, the_rest_is_read_and_a_new_log_begins);
    tcase_add_test(t, interrupted_anywhere_it_is_the_old_or_the_new_log);
    tcase_add_test(t, damaged_again);
    tcase_add_test(t, a_log_that_must_exist);
    suite_add_tcase(s, t);
    return run_suite(s);
}
