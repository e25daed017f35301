/* The contract about durability, seen from a host that looks at every effect: what may leave before a mark has come back. */
#include "raft/raft_int.h"

#include "lib/cover.h"

#include "base/mem.h"

#include <check.h>
#include <stdlib.h>

struct fixture {
    struct raft *r;
    struct raft_effects fx;
    uint64_t now;
};

static struct fixture fresh(uint64_t term)
{
    struct fixture f = {.now = 1000};
    static struct raft_options o;
    raft_options_default(&o);
    struct raft_restore restore = {.hard = {.term = term}, .config = {.voters = {1, 2, 3}, .voter_count = 3}};
    f.r = raft_new(&o, &(struct raft_self){.id = 1, .seed = 1}, &restore, f.now);
    raft_restore_done(f.r);
    raft_effects_init(&f.fx);
    return f;
}

static void finish(struct fixture *f)
{
    raft_free(f->r);
    raft_effects_free(&f->fx);
}

/* One step, its effects alone. */
static void step(struct fixture *f, struct raft_event ev)
{
    raft_effects_clear(&f->fx);
    ev.now_ms = f->now;
    raft_step(f->r, &ev, &f->fx);
    raft_check(f->r);
}

static void recv(struct fixture *f, struct raft_message m)
{
    m.to = 1;
    step(f, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &m});
}

static void persisted(struct fixture *f, struct raft_persist_mark mark)
{
    step(f, (struct raft_event){.type = RAFT_EVENT_PERSISTED, .mark = mark});
}

/* Appends `count` entries of `term` after (index, log_term), from replica 2. */
static struct raft_persist_mark append(struct fixture *f, uint64_t message_term, uint64_t index, uint64_t log_term,
                                       uint64_t term, size_t count)
{
    struct raft_entry entries[8];
    ck_assert_uint_le(count, 8);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct raft_entry){
            .index = index + 1 + i, .term = term, .type = RAFT_ENTRY_COMMAND, .data = slice_str("x")};
    }
    recv(f, (struct raft_message){.type = RAFT_MSG_APPEND,
                                  .from = 2,
                                  .term = message_term,
                                  .index = index,
                                  .log_term = log_term,
                                  .entries = entries,
                                  .entry_count = count});
    return f->fx.mark;
}

static void expect_ack(const struct fixture *f, uint64_t index)
{
    ck_assert_uint_eq(f->fx.message_count, 1);
    ck_assert_int_eq(f->fx.messages[0].type, RAFT_MSG_APPEND_REPLY);
    ck_assert(!f->fx.messages[0].reject);
    ck_assert_uint_eq(f->fx.messages[0].index, index);
}

static const struct raft_message *find(const struct fixture *f, enum raft_message_type type)
{
    for (size_t i = 0; i < f->fx.message_count; i++) {
        if (f->fx.messages[i].type == type) return &f->fx.messages[i];
    }
    return NULL;
}

START_TEST(test_vote_waits)
{
    struct fixture f = fresh(4);
    recv(&f, (struct raft_message){.type = RAFT_MSG_VOTE, .from = 2, .term = 5});
    ck_assert_uint_eq(f.fx.message_count, 0);
    ck_assert(f.fx.persist_hard_state);
    ck_assert(f.fx.must_sync);
    ck_assert_uint_eq(f.fx.mark.term, 5);
    ck_assert_uint_eq(f.fx.mark.vote, 2);
    ck_assert_uint_eq(f.fx.append_from, 0);
    ck_assert_uint_eq(raft_hard_state_now(f.r).vote, 2);
    persisted(&f, f.fx.mark);
    ck_assert_uint_eq(f.fx.message_count, 1);
    ck_assert_int_eq(f.fx.messages[0].type, RAFT_MSG_VOTE_REPLY);
    ck_assert(!f.fx.messages[0].reject);
    ck_assert_uint_eq(f.fx.messages[0].term, 5);
    finish(&f);
}
END_TEST

/* A refusal carries the new term, so it waits as well; and what waits in an older term never leaves. */
START_TEST(test_held_is_void_in_a_newer_term)
{
    struct fixture f = fresh(4);
    recv(&f, (struct raft_message){.type = RAFT_MSG_VOTE, .from = 2, .term = 5});
    struct raft_persist_mark first = f.fx.mark;
    recv(&f, (struct raft_message){.type = RAFT_MSG_VOTE, .from = 3, .term = 5});
    ck_assert_uint_eq(f.fx.message_count, 0);
    ck_assert(!f.fx.must_sync); /* nothing new to write */
    recv(&f, (struct raft_message){.type = RAFT_MSG_VOTE, .from = 3, .term = 6});
    struct raft_persist_mark second = f.fx.mark;
    persisted(&f, first);
    ck_assert_uint_eq(f.fx.message_count, 0);
    persisted(&f, second);
    ck_assert_uint_eq(f.fx.message_count, 1);
    ck_assert_uint_eq(f.fx.messages[0].to, 3);
    ck_assert_uint_eq(f.fx.messages[0].term, 6);
    finish(&f);
}
END_TEST

START_TEST(test_candidate_waits_for_its_own_vote)
{
    struct fixture f = fresh(4);
    step(&f, (struct raft_event){.type = RAFT_EVENT_CAMPAIGN});
    ck_assert_ptr_nonnull(find(&f, RAFT_MSG_PRE_VOTE));
    ck_assert(!f.fx.must_sync);
    recv(&f, (struct raft_message){.type = RAFT_MSG_PRE_VOTE_REPLY, .from = 2, .term = 5});
    ck_assert_int_eq(raft_role(f.r), RAFT_CANDIDATE);
    ck_assert_uint_eq(f.fx.message_count, 0);
    struct raft_persist_mark mark = f.fx.mark;
    /* Nobody can have been asked yet; even so an answer would not help while its own vote is not durable. */
    recv(&f, (struct raft_message){.type = RAFT_MSG_VOTE_REPLY, .from = 2, .term = 5});
    ck_assert_int_eq(raft_role(f.r), RAFT_CANDIDATE);
    persisted(&f, mark);
    ck_assert_int_eq(raft_role(f.r), RAFT_LEADER);
    ck_assert_ptr_nonnull(find(&f, RAFT_MSG_VOTE));
    finish(&f);
}
END_TEST

static struct fixture leader(void)
{
    struct fixture f = fresh(4);
    step(&f, (struct raft_event){.type = RAFT_EVENT_CAMPAIGN});
    recv(&f, (struct raft_message){.type = RAFT_MSG_PRE_VOTE_REPLY, .from = 2, .term = 5});
    persisted(&f, f.fx.mark);
    recv(&f, (struct raft_message){.type = RAFT_MSG_VOTE_REPLY, .from = 2, .term = 5});
    ck_assert_int_eq(raft_role(f.r), RAFT_LEADER);
    ck_assert_uint_eq(f.fx.append_from, 1);
    return f;
}

START_TEST(test_leader_sends_before_its_sync_and_counts_after_it)
{
    struct fixture f = leader();
    struct raft_persist_mark mark = f.fx.mark;
    raft_effects_clear(&f.fx);
    raft_flush(f.r, f.now, &f.fx);
    const struct raft_message *m = find(&f, RAFT_MSG_APPEND);
    ck_assert_ptr_nonnull(m);
    ck_assert_uint_eq(m->entry_count, 1);
    recv(&f, (struct raft_message){.type = RAFT_MSG_APPEND_REPLY, .from = 2, .term = 5, .index = 1});
    ck_assert_uint_eq(raft_commit(f.r), 0); /* 2 alone; 1 is not durable here */
    persisted(&f, mark);
    ck_assert_uint_eq(raft_commit(f.r), 1);
    ck_assert_uint_eq(f.fx.commit_to, 1);
    ck_assert(f.fx.persist_hard_state);
    ck_assert(!f.fx.must_sync); /* a commit index is only a hint to itself */
    finish(&f);
}
END_TEST

START_TEST(test_commit_by_followers_alone)
{
    struct fixture f = leader();
    recv(&f, (struct raft_message){.type = RAFT_MSG_APPEND_REPLY, .from = 2, .term = 5, .index = 1});
    recv(&f, (struct raft_message){.type = RAFT_MSG_APPEND_REPLY, .from = 3, .term = 5, .index = 1});
    ck_assert_uint_eq(f.fx.commit_to, 1);
    ck_assert_uint_eq(f.r->durable.index, 0);
    step(&f, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = 1});
    raft_compact(f.r, 1); /* applied, but not durable: the host may still have to write it */
    ck_assert_ptr_nonnull(raft_entry_at(f.r, 1));
    raft_check(f.r);
    finish(&f);
}
END_TEST

START_TEST(test_ack_only_what_is_durable)
{
    struct fixture f = fresh(5);
    struct raft_persist_mark a = append(&f, 5, 0, 0, 5, 2);
    ck_assert_uint_eq(f.fx.message_count, 0);
    struct raft_persist_mark b = append(&f, 5, 2, 5, 5, 2);
    struct raft_persist_mark c = append(&f, 5, 4, 5, 5, 1);
    persisted(&f, a);
    expect_ack(&f, 2);
    (void)b; /* one batch with both: the host reports the last mark */
    persisted(&f, c);
    expect_ack(&f, 5);
    persisted(&f, b); /* late: changes nothing */
    ck_assert_uint_eq(f.fx.message_count, 0);
    (void)append(&f, 5, 0, 0, 5, 3); /* repeated by the network: acknowledged at once, with all that is known */
    expect_ack(&f, 5);
    finish(&f);
}
END_TEST

/* What is committed is acknowledged only when it is durable as well. */
START_TEST(test_ack_of_committed_waits_too)
{
    struct fixture f = fresh(5);
    struct raft_persist_mark a = append(&f, 5, 0, 0, 5, 3);
    recv(&f, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 5, .commit = 3});
    ck_assert_uint_eq(raft_commit(f.r), 3);
    recv(&f, (struct raft_message){.type = RAFT_MSG_APPEND, .from = 2, .term = 5, .index = 1, .log_term = 5});
    ck_assert_uint_eq(f.fx.message_count, 0);
    persisted(&f, a);
    expect_ack(&f, 3);
    finish(&f);
}
END_TEST

START_TEST(test_effects_of_several_steps_in_one)
{
    struct fixture f = fresh(5);
    struct raft_entry e = {.index = 1, .term = 5, .type = RAFT_ENTRY_COMMAND, .data = slice_str("a")};
    struct raft_message m = {.type = RAFT_MSG_APPEND, .from = 2, .to = 1, .term = 5, .entries = &e, .entry_count = 1};
    struct raft_event ev = {.type = RAFT_EVENT_MESSAGE, .now_ms = f.now, .message = &m};
    raft_step(f.r, &ev, &f.fx);
    e.index = 2;
    m.index = 1;
    m.log_term = 5;
    raft_step(f.r, &ev, &f.fx);
    /* a newer leader replaces the second */
    e.term = 6;
    m.term = 6;
    m.from = 3;
    raft_step(f.r, &ev, &f.fx);
    ck_assert_uint_eq(f.fx.append_from, 1);
    ck_assert_uint_eq(f.fx.append_to, 2);
    ck_assert(f.fx.persist_hard_state);
    ck_assert_uint_eq(f.fx.mark.index_term, 6);
    ck_assert_uint_eq(f.fx.mark.seq, 3);
    persisted(&f, f.fx.mark);
    expect_ack(&f, 2);
    ck_assert_uint_eq(f.fx.messages[0].to, 3);
    finish(&f);
}
END_TEST

/* Truncated, written again, truncated back: the first mark fits by index and term and yet must not count. */
START_TEST(test_aba)
{
    struct fixture f = fresh(1);
    persisted(&f, append(&f, 1, 0, 0, 1, 1));
    struct raft_persist_mark a = append(&f, 1, 1, 1, 1, 3); /* 2/1 3/1 4/1 */
    struct raft_persist_mark b = append(&f, 2, 1, 1, 2, 1); /* 2/2 */
    struct raft_persist_mark c = append(&f, 3, 1, 1, 1, 3); /* 2/1 3/1 4/1 again */
    ck_assert_uint_eq(raft_term_at(f.r, a.index), a.index_term);
    uint64_t before = cover_count("raft.mark_before_truncation");
    persisted(&f, a);
    ck_assert_uint_eq(f.r->durable.index, 1);
    ck_assert_uint_eq(f.fx.message_count, 0);
    persisted(&f, b);
    ck_assert_uint_eq(f.r->durable.index, 1);
    ck_assert_uint_eq(f.fx.message_count, 0);
    persisted(&f, c);
    expect_ack(&f, 4);
    ck_assert_uint_eq(cover_count("raft.mark_before_truncation"), before + 2);
    finish(&f);
}
END_TEST

/* Two truncations, the newer one higher up: an old mark counts only below the lower one. */
START_TEST(test_lowest_truncation_counts)
{
    struct fixture f = fresh(1);
    persisted(&f, append(&f, 1, 0, 0, 1, 1));
    struct raft_persist_mark a = append(&f, 1, 1, 1, 1, 4); /* 2/1 .. 5/1 */
    struct raft_persist_mark b = append(&f, 2, 1, 1, 2, 3); /* 2/2 .. 4/2: cut at 2 */
    struct raft_persist_mark c = append(&f, 3, 3, 2, 3, 1); /* 4/3: cut at 4 */
    persisted(&f, a);
    ck_assert_uint_eq(f.r->durable.index, 1);
    persisted(&f, b); /* 2/2 and 3/2 are durable now; held to be only below the lowest cut, to be safe */
    ck_assert_uint_le(f.r->durable.index, 3);
    ck_assert_uint_ge(f.r->durable.index, 1);
    persisted(&f, c);
    ck_assert_uint_eq(f.r->durable.index, 4);
    ck_assert_uint_eq(f.r->durable.trunc_from, RAFT_NEVER);
    finish(&f);
}
END_TEST

/* What was durable before a truncation and below it stays so. */
START_TEST(test_truncation_keeps_what_is_below)
{
    struct fixture f = fresh(1);
    persisted(&f, append(&f, 1, 0, 0, 1, 4));
    ck_assert_uint_eq(f.r->durable.index, 4);
    struct raft_persist_mark b = append(&f, 2, 2, 1, 2, 1); /* cut at 3 */
    ck_assert_uint_eq(f.r->durable.index, 2);
    ck_assert_uint_eq(f.fx.append_from, 3);
    ck_assert_uint_eq(f.fx.append_to, 3);
    persisted(&f, b);
    expect_ack(&f, 3);
    finish(&f);
}
END_TEST

START_TEST(test_install_voids_older_marks)
{
    struct fixture f = fresh(1);
    struct raft_persist_mark a = append(&f, 1, 0, 0, 1, 3);
    struct raft_config config = {.voters = {1, 2, 3, 4}, .voter_count = 4};
    raft_effects_clear(&f.fx);
    raft_install(f.r, 10, 1, &config, &f.fx);
    raft_check(f.r);
    ck_assert(f.fx.must_sync);
    ck_assert(f.fx.persist_hard_state);
    ck_assert_uint_eq(f.fx.append_from, 0);
    ck_assert_uint_eq(f.fx.commit_to, 0); /* the store has it: nothing to apply */
    ck_assert_uint_eq(raft_applied(f.r), 10);
    ck_assert_uint_eq(raft_config_now(f.r)->voter_count, 4);
    struct raft_persist_mark b = f.fx.mark;
    ck_assert_uint_eq(b.index, 10);
    struct raft_persist_mark c = append(&f, 1, 10, 1, 1, 1);
    persisted(&f, a);
    ck_assert_uint_eq(f.fx.message_count, 0);
    ck_assert_uint_eq(f.r->durable.index, 0);
    persisted(&f, b);
    expect_ack(&f, 10);
    persisted(&f, c);
    expect_ack(&f, 11);
    finish(&f);
}
END_TEST

/* A snapshot whose last entry is in the log: what follows it was acknowledged, and stays. */
START_TEST(test_install_keeps_the_tail)
{
    struct fixture f = fresh(1);
    struct raft_config config = {.voters = {1, 2, 3}, .voter_count = 3};
    persisted(&f, append(&f, 1, 0, 0, 1, 5));
    expect_ack(&f, 5);
    raft_effects_clear(&f.fx);
    raft_install(f.r, 3, 1, &config, &f.fx);
    raft_check(f.r);
    ck_assert_uint_eq(raft_last_index(f.r), 5);
    ck_assert_uint_eq(raft_first_index(f.r), 4);
    ck_assert_uint_eq(f.fx.append_from, 4); /* again, for the host's log is reset in this batch */
    ck_assert_uint_eq(f.fx.append_to, 5);
    ck_assert_uint_eq(f.r->durable.index, 5);
    ck_assert_uint_eq(raft_commit(f.r), 3);
    finish(&f);
}
END_TEST

/* More than a replica will hold while its disk hangs: the rest is as if the network had lost it. */
START_TEST(test_held_is_bounded)
{
    struct fixture f = fresh(4);
    recv(&f, (struct raft_message){.type = RAFT_MSG_VOTE, .from = 2, .term = 5});
    struct raft_persist_mark mark = f.fx.mark;
    for (unsigned i = 0; i < 1000; i++) recv(&f, (struct raft_message){.type = RAFT_MSG_VOTE, .from = 3, .term = 5});
    persisted(&f, mark);
    ck_assert_uint_eq(f.fx.message_count, RAFT_HELD_MAX);
    ck_assert_ptr_null(f.r->held);
    ck_assert_uint_gt(cover_count("raft.held_full"), 0);
    finish(&f);
}
END_TEST

/* A restart reports what is committed, so that it is applied again. */
START_TEST(test_restore)
{
    struct raft_options o;
    raft_options_default(&o);
    struct raft_restore restore = {.hard = {.term = 7, .vote = 3, .commit = 12},
                                   .config = {.voters = {1, 2, 3}, .voter_count = 3},
                                   .snapshot_index = 10,
                                   .snapshot_term = 6,
                                   .applied = 10};
    struct raft *r = raft_new(&o, &(struct raft_self){.id = 1}, &restore, 5);
    struct raft_entry e = {.index = 11, .term = 6, .type = RAFT_ENTRY_COMMAND};
    e.data = mem_dup_slice(slice_str("a")); /* taken over */
    raft_restore_entry(r, &e);
    e.index = 12;
    e.data = mem_dup_slice(slice_str("a")); /* taken over */
    raft_restore_entry(r, &e);
    e.index = 13;
    e.data = mem_dup_slice(slice_str("a")); /* taken over */
    raft_restore_entry(r, &e);
    e.index = 12; /* the log was rewritten from here */
    e.term = 7;
    e.data = mem_dup_slice(slice_str("a")); /* taken over */
    raft_restore_entry(r, &e);
    raft_restore_done(r);
    ck_assert_uint_eq(raft_last_index(r), 12);
    ck_assert_uint_eq(raft_term_at(r, 12), 7);
    ck_assert_uint_eq(raft_term(r), 7);
    ck_assert_uint_eq(raft_hard_state_now(r).vote, 3);
    ck_assert_uint_eq(raft_commit(r), 12);
    struct raft_effects fx;
    raft_effects_init(&fx);
    raft_step(r, &(struct raft_event){.type = RAFT_EVENT_TICK, .now_ms = 6}, &fx);
    ck_assert_uint_eq(fx.commit_to, 12);
    ck_assert(!fx.must_sync);
    ck_assert_uint_eq(fx.message_count, 0);
    raft_effects_free(&fx);
    raft_free(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_persist");
    TCase *t = tcase_create("persist");
    tcase_add_test(t, test_vote_waits);
    tcase_add_test(t, test_held_is_void_in_a_newer_term);
    tcase_add_test(t, test_candidate_waits_for_its_own_vote);
    tcase_add_test(t, test_leader_sends_before_its_sync_and_counts_after_it);
    tcase_add_test(t, test_commit_by_followers_alone);
    tcase_add_test(t, test_ack_only_what_is_durable);
    tcase_add_test(t, test_ack_of_committed_waits_too);
    tcase_add_test(t, test_effects_of_several_steps_in_one);
    tcase_add_test(t, test_aba);
    tcase_add_test(t, test_lowest_truncation_counts);
    tcase_add_test(t, test_truncation_keeps_what_is_below);
    tcase_add_test(t, test_install_voids_older_marks);
    tcase_add_test(t, test_install_keeps_the_tail);
    tcase_add_test(t, test_held_is_bounded);
    tcase_add_test(t, test_restore);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
