/* Behaviours of one replica that a scenario would show less well: tables of cases, times, bounds, memory. */
#include "raft/raft_int.h"

#include "lib/cover.h"
#include "lib/raft_cluster.h"

#include <check.h>
#include <stdlib.h>

static const struct raft_config three = {.voters = {1, 2, 3}, .voter_count = 3};

static void elected(struct raft_cluster *c, size_t nodes, const struct raft_config *config)
{
    raft_cluster_init(c, nodes, config, NULL, 0, 1);
    raft_cluster_step(c, 1, (struct raft_event){.type = RAFT_EVENT_CAMPAIGN});
    ck_assert(raft_cluster_settle(c));
    ck_assert_uint_eq(raft_cluster_leader(c), 1);
}

static struct raft *raft_of(struct raft_cluster *c, uint64_t id)
{
    return raft_cluster_node(c, id)->raft;
}

/* Sends a message to replica `to`, durable at once, and returns its first answer (zero: none). */
static struct raft_message answer(struct raft_cluster *c, struct raft_message m)
{
    while (c->message_count > 0) raft_cluster_drop(c, 0);
    raft_cluster_step(c, m.to, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &m});
    raft_cluster_persist(c, m.to, 16, false);
    return c->message_count > 0 ? c->messages[0].m : (struct raft_message){0};
}

/* A follower of term 2 whose log ends with (3, 2), leader unknown. */
static void voter(struct raft_cluster *c)
{
    raft_cluster_init(c, 3, &three, NULL, 0, 1);
    struct raft_entry e[3] = {{.index = 1, .term = 1, .type = RAFT_ENTRY_NOOP, .data = SLICE_EMPTY},
                              {.index = 2, .term = 1, .type = RAFT_ENTRY_COMMAND, .data = SLICE_EMPTY},
                              {.index = 3, .term = 2, .type = RAFT_ENTRY_NOOP, .data = SLICE_EMPTY}};
    (void)answer(c, (struct raft_message){
                        .type = RAFT_MSG_APPEND, .from = 2, .to = 1, .term = 2, .entries = e, .entry_count = 3});
    c->now_ms += 3000; /* the leader has not been heard for long */
}

START_TEST(test_votes_by_log_and_term)
{
    static const struct {
        enum raft_message_type type;
        uint64_t term, index, log_term;
        bool granted;
    } cases[] = {
        {RAFT_MSG_VOTE, 3, 3, 2, true},      {RAFT_MSG_VOTE, 3, 2, 2, false},     {RAFT_MSG_VOTE, 3, 9, 1, false},
        {RAFT_MSG_VOTE, 4, 1, 3, true},      {RAFT_MSG_VOTE, 3, 4, 2, true},      {RAFT_MSG_VOTE, 1, 9, 9, false},
        {RAFT_MSG_VOTE, 2, 9, 2, false}, /* the term has a leader already: our vote in it is not free */
        {RAFT_MSG_PRE_VOTE, 3, 3, 2, true},  {RAFT_MSG_PRE_VOTE, 3, 2, 2, false}, {RAFT_MSG_PRE_VOTE, 3, 9, 1, false},
        {RAFT_MSG_PRE_VOTE, 2, 9, 9, false}, {RAFT_MSG_PRE_VOTE, 1, 9, 9, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct raft_cluster c;
        voter(&c);
        struct raft_message m = {.type = cases[i].type, .from = 3, .to = 1, .term = cases[i].term};
        m.index = cases[i].index;
        m.log_term = cases[i].log_term;
        struct raft_message a = answer(&c, m);
        bool pre = cases[i].type == RAFT_MSG_PRE_VOTE;
        ck_assert_int_eq(a.type, pre ? RAFT_MSG_PRE_VOTE_REPLY : RAFT_MSG_VOTE_REPLY);
        ck_assert_msg(a.reject == !cases[i].granted, "case %zu", i);
        uint64_t term = cases[i].term > 2 ? cases[i].term : 2;
        ck_assert_uint_eq(raft_term(raft_of(&c, 1)), pre ? 2 : term);
        if (a.reject) ck_assert_uint_eq(a.term, raft_term(raft_of(&c, 1)));
        if (!a.reject) ck_assert_uint_eq(a.term, m.term);
        raft_cluster_free(&c);
    }
}
END_TEST

START_TEST(test_one_vote_per_term)
{
    struct raft_cluster c;
    voter(&c);
    struct raft_message m = {.type = RAFT_MSG_VOTE, .from = 3, .to = 1, .term = 3, .index = 3, .log_term = 2};
    ck_assert(!answer(&c, m).reject);
    m.from = 2;
    ck_assert(answer(&c, m).reject);
    m.from = 3; /* its answer was lost: the same again */
    ck_assert(!answer(&c, m).reject);
    raft_cluster_crash(&c, 1);
    raft_cluster_restart(&c, 1);
    ck_assert(!answer(&c, m).reject);
    m.from = 2;
    ck_assert(answer(&c, m).reject);
    raft_cluster_free(&c);
}
END_TEST

START_TEST(test_older_terms_are_answered)
{
    static const struct {
        enum raft_message_type asked, told;
    } cases[] = {{RAFT_MSG_APPEND, RAFT_MSG_APPEND_REPLY},
                 {RAFT_MSG_HEARTBEAT, RAFT_MSG_APPEND_REPLY},
                 {RAFT_MSG_SNAPSHOT, RAFT_MSG_APPEND_REPLY},
                 {RAFT_MSG_VOTE, RAFT_MSG_VOTE_REPLY},
                 {RAFT_MSG_PRE_VOTE, RAFT_MSG_PRE_VOTE_REPLY},
                 {RAFT_MSG_READ, RAFT_MSG_READ_REPLY},
                 {RAFT_MSG_APPEND_REPLY, 0},
                 {RAFT_MSG_HEARTBEAT_REPLY, 0},
                 {RAFT_MSG_VOTE_REPLY, 0},
                 {RAFT_MSG_PRE_VOTE_REPLY, 0},
                 {RAFT_MSG_READ_REPLY, 0},
                 {RAFT_MSG_TIMEOUT_NOW, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct raft_cluster c;
        voter(&c);
        struct raft_message m = {.type = cases[i].asked, .from = 3, .to = 1, .term = 1, .context = 77, .commit = 3};
        struct raft_message a = answer(&c, m);
        ck_assert_int_eq(a.type, cases[i].told);
        if (cases[i].told != 0) {
            ck_assert(a.reject);
            ck_assert_uint_eq(a.term, 2);
        }
        ck_assert_uint_eq(raft_commit(raft_of(&c, 1)), 0);
        ck_assert_uint_eq(raft_leader(raft_of(&c, 1)), 2);
        raft_cluster_free(&c);
    }
}
END_TEST

/* A follower's commit index follows only what it knows to match, whatever the leader says. */
START_TEST(test_commit_is_capped)
{
    struct raft_cluster c;
    voter(&c);
    (void)answer(&c,
                 (struct raft_message){
                     .type = RAFT_MSG_APPEND, .from = 3, .to = 1, .term = 3, .index = 2, .log_term = 1, .commit = 3});
    ck_assert_uint_eq(raft_commit(raft_of(&c, 1)), 2); /* entry 3 of ours may not be the leader's */
    raft_cluster_free(&c);
}
END_TEST

START_TEST(test_malformed_appends_are_ignored)
{
    struct raft_entry gap[2] = {{.index = 4, .term = 3, .data = SLICE_EMPTY},
                                {.index = 6, .term = 3, .data = SLICE_EMPTY}};
    struct raft_entry back[2] = {{.index = 4, .term = 3, .data = SLICE_EMPTY},
                                 {.index = 5, .term = 2, .data = SLICE_EMPTY}};
    struct raft_entry future[1] = {{.index = 4, .term = 9, .data = SLICE_EMPTY}};
    struct raft_entry bad[1] = {{.index = 4, .term = 3, .type = RAFT_ENTRY_CONFIG, .data = slice_str("nonsense")}};
    struct raft_entry old[1] = {{.index = 4, .term = 1, .data = SLICE_EMPTY}};
    const struct {
        const struct raft_entry *entries;
        size_t count;
    } cases[] = {{gap, 2}, {back, 2}, {future, 1}, {bad, 1}, {old, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct raft_cluster c;
        voter(&c);
        struct raft_message m = {.type = RAFT_MSG_APPEND, .from = 3, .to = 1, .term = 3, .index = 3, .log_term = 2};
        m.entries = cases[i].entries;
        m.entry_count = cases[i].count;
        ck_assert_int_eq(answer(&c, m).type, 0);
        ck_assert_uint_eq(raft_last_index(raft_of(&c, 1)), 3);
        raft_cluster_free(&c);
    }
    ck_assert_uint_gt(cover_count("raft.append_malformed"), 0);
}
END_TEST

/* Timeouts lie in election_ms .. 2 * election_ms, differ between replicas and lives, and repeat with the seed. */
START_TEST(test_election_timeouts)
{
    uint64_t low = UINT64_MAX, high = 0, distinct = 0, before = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct raft_options o;
        raft_options_default(&o);
        struct raft_self self = {.id = 1, .seed = seed};
        struct raft_restore restore = {.config = three};
        struct raft *a = raft_new(&o, &self, &restore, 100), *b = raft_new(&o, &self, &restore, 100);
        raft_restore_done(a);
        raft_restore_done(b);
        uint64_t at = raft_deadline_ms(a);
        ck_assert_uint_eq(at, raft_deadline_ms(b));
        ck_assert_uint_ge(at, 1100);
        ck_assert_uint_le(at, 2100);
        if (at < low) low = at;
        if (at > high) high = at;
        if (at != before) distinct++;
        before = at;
        raft_free(a);
        raft_free(b);
    }
    ck_assert_uint_lt(low, 1120);
    ck_assert_uint_gt(high, 2080);
    ck_assert_uint_gt(distinct, 450);
}
END_TEST

/* A tick at the deadline has something to do, one before it has not, and afterwards the deadline lies ahead. */
START_TEST(test_deadlines)
{
    struct raft_cluster c;
    elected(&c, 3, &three);
    for (unsigned i = 0; i < 50; i++) {
        for (uint64_t id = 1; id <= 3; id++) {
            struct raft *r = raft_of(&c, id);
            uint64_t at = raft_deadline_ms(r);
            ck_assert_uint_gt(at, c.now_ms);
            struct raft_effects fx;
            raft_effects_init(&fx);
            raft_step(r, &(struct raft_event){.type = RAFT_EVENT_TICK, .now_ms = c.now_ms}, &fx);
            ck_assert_uint_eq(fx.message_count, 0);
            ck_assert(!fx.state_changed && !fx.persist_hard_state);
            raft_effects_free(&fx);
        }
        c.now_ms = raft_deadline_ms(raft_of(&c, 1));
        raft_cluster_tick(&c, 1);
        ck_assert_uint_gt(c.message_count, 0);
        ck_assert(raft_cluster_settle(&c));
    }
    raft_cluster_free(&c);
    struct raft_config one = {.voters = {1}, .voter_count = 1};
    elected(&c, 1, &one);
    ck_assert_uint_eq(raft_deadline_ms(raft_of(&c, 1)), RAFT_NEVER); /* alone there is nothing to wait for */
    raft_cluster_free(&c);
}
END_TEST

static void propose_some(struct raft_cluster *c, unsigned count)
{
    for (unsigned i = 0; i < count; i++) ck_assert_int_eq(raft_cluster_propose(c, 1, slice_str("x")), STATUS_OK);
    ck_assert(raft_cluster_settle(c));
}

/* That entries have committed followers learn with the next ones, or a little later. */
START_TEST(test_news_of_a_commit_wait)
{
    struct raft_cluster c;
    elected(&c, 3, &three);
    c.now_ms += 10; /* and of the election's */
    raft_cluster_tick(&c, 1);
    ck_assert(raft_cluster_settle(&c));
    uint64_t commit = raft_commit(raft_of(&c, 1));
    ck_assert_uint_eq(raft_commit(raft_of(&c, 2)), commit);
    propose_some(&c, 1);
    ck_assert_uint_eq(raft_commit(raft_of(&c, 1)), commit + 1);
    ck_assert_uint_eq(raft_commit(raft_of(&c, 2)), commit);
    propose_some(&c, 1);
    ck_assert_uint_eq(raft_commit(raft_of(&c, 2)), commit + 1); /* it came with the second */
    ck_assert_uint_eq(raft_deadline_ms(raft_of(&c, 1)), c.now_ms + c.options.news_ms);
    c.now_ms += c.options.news_ms;
    raft_cluster_tick(&c, 1);
    ck_assert_uint_eq(c.message_count, 2);
    ck_assert(raft_cluster_settle(&c));
    ck_assert_uint_eq(raft_commit(raft_of(&c, 2)), commit + 2);
    ck_assert_uint_eq(raft_commit(raft_of(&c, 3)), commit + 2);
    ck_assert_uint_gt(raft_deadline_ms(raft_of(&c, 1)), c.now_ms + c.options.news_ms); /* nothing waits any more */
    raft_cluster_free(&c);
}
END_TEST

START_TEST(test_time_never_goes_back)
{
    struct raft_cluster c;
    elected(&c, 3, &three);
    uint64_t at = raft_deadline_ms(raft_of(&c, 1));
    c.now_ms = 5; /* a host that errs */
    raft_cluster_tick(&c, 1);
    ck_assert_uint_eq(raft_deadline_ms(raft_of(&c, 1)), at);
    ck_assert_int_eq(raft_role(raft_of(&c, 1)), RAFT_LEADER);
    raft_cluster_free(&c);
}
END_TEST

START_TEST(test_min_match)
{
    struct raft_cluster c;
    elected(&c, 3, &three);
    c.cut[1][3] = true;
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(raft_cluster_propose(&c, 1, slice_str("x")), STATUS_OK);
        ck_assert(raft_cluster_settle(&c));
    }
    ck_assert_uint_eq(raft_min_match(raft_of(&c, 1), 1000),
                      1); /* 3 was heard of a moment ago: its part of the log is kept */
    raft_cluster_run(&c, 1200, 50);
    ck_assert_uint_eq(raft_min_match(raft_of(&c, 1), 1000), 6); /* given up: it may need a snapshot */
    ck_assert_uint_eq(raft_min_match(raft_of(&c, 2), 1000), raft_of(&c, 2)->durable.index);
    raft_cluster_free(&c);
}
END_TEST

START_TEST(test_propose_bounds_and_roles)
{
    struct raft_cluster c;
    elected(&c, 3, &three);
    uint64_t index, term;
    ck_assert_int_eq(raft_propose(raft_of(&c, 2), RAFT_ENTRY_COMMAND, slice_str("x"), &index, &term),
                     STATUS_NOT_LEADER);
    ck_assert_int_eq(raft_propose(raft_of(&c, 1), RAFT_ENTRY_COMMAND, slice_str("x"), &index, &term), STATUS_OK);
    ck_assert_uint_eq(index, 2);
    ck_assert_uint_eq(term, 1);
    const struct raft_entry *e = raft_entry_at(raft_of(&c, 1), 2);
    ck_assert(slice_eq(e->data, slice_str("x")));
    uint64_t target;
    ck_assert_int_eq(raft_propose_config(raft_of(&c, 2), &three, SLICE_EMPTY, &target), STATUS_NOT_LEADER);
    raft_cluster_free(&c);
    /* A fresh leader takes proposals, but no change of configuration before its no-op has committed (T10). */
    raft_cluster_init(&c, 3, &three, NULL, 0, 1);
    raft_cluster_step(&c, 1, (struct raft_event){.type = RAFT_EVENT_CAMPAIGN});
    while (raft_cluster_leader(&c) == 0) {
        for (uint64_t id = 1; id <= 3; id++) raft_cluster_persist(&c, id, 16, true);
        if (c.message_count > 0) raft_cluster_deliver(&c, 0, false);
    }
    ck_assert(!raft_leader_ready(raft_of(&c, 1)));
    ck_assert_int_eq(raft_propose_config(raft_of(&c, 1), &three, SLICE_EMPTY, &target), STATUS_BUSY);
    ck_assert_int_eq(raft_cluster_propose(&c, 1, slice_str("early")), STATUS_OK);
    ck_assert(raft_cluster_settle(&c));
    ck_assert(raft_leader_ready(raft_of(&c, 1)));
    ck_assert_uint_eq(raft_cluster_commit(&c), 2);
    raft_cluster_free(&c);
}
END_TEST

/* Voters unchanged: one entry, no joint phase. Promotion and demotion go through one. */
START_TEST(test_learner_changes)
{
    struct raft_cluster c;
    elected(&c, 4, &three);
    struct raft_config with = three;
    with.learners[with.learner_count++] = 4;
    ck_assert_int_eq(raft_cluster_config(&c, 1, &with), STATUS_OK);
    ck_assert(!raft_config_is_joint(raft_config_now(raft_of(&c, 1))));
    ck_assert(raft_cluster_settle(&c));
    ck_assert_uint_eq(raft_last_index(raft_of(&c, 1)), 2);
    ck_assert_uint_eq(raft_cluster_node(&c, 4)->store.index, 2);
    struct raft_config promoted = {.voters = {1, 2, 4}, .voter_count = 3, .learners = {3}, .learner_count = 1};
    ck_assert_int_eq(raft_cluster_config(&c, 1, &promoted), STATUS_OK);
    ck_assert(raft_config_is_joint(raft_config_now(raft_of(&c, 1))));
    ck_assert(raft_cluster_settle(&c));
    ck_assert_mem_eq(raft_config_now(raft_of(&c, 3)), &promoted, sizeof(promoted));
    /* T13: the promotion outlives compaction, restart and a change of leader. */
    raft_cluster_compact(&c, 4, 4);
    raft_cluster_crash(&c, 4);
    raft_cluster_restart(&c, 4);
    ck_assert_mem_eq(raft_config_now(raft_of(&c, 4)), &promoted, sizeof(promoted));
    raft_cluster_crash(&c, 1);
    raft_cluster_run(&c, 6000, 20);
    uint64_t leader = raft_cluster_leader(&c);
    ck_assert(leader == 2 || leader == 4);
    ck_assert_mem_eq(raft_config_now(raft_of(&c, leader)), &promoted, sizeof(promoted));
    raft_cluster_free(&c);
}
END_TEST

/* The hot path reuses what it has: no array grows after the first passes. */
START_TEST(test_steady_state_memory)
{
    struct raft_cluster c;
    elected(&c, 3, &three);
    struct raft *r = raft_of(&c, 1);
    struct raft_effects *fx = &raft_cluster_node(&c, 1)->fx;
    const void *messages = NULL, *flights = NULL;
    for (unsigned i = 0; i < 800; i++) {
        for (unsigned k = 0; k < 4; k++) {
            uint64_t index, term;
            ck_assert_int_eq(raft_propose(r, RAFT_ENTRY_COMMAND, slice_str("payload"), &index, &term), STATUS_OK);
        }
        raft_cluster_step(&c, 1, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = raft_applied(r)});
        ck_assert_uint_eq(c.message_count, 2); /* one append per follower, with all four */
        ck_assert_uint_eq(c.messages[0].m.entry_count, 4);
        ck_assert(raft_cluster_settle(&c));
        if (i % 8 == 0) raft_cluster_compact(&c, 1, raft_applied(r));
        if (i == 100) {
            messages = fx->messages;
            flights = r->peers[1].flights;
        }
        if (i > 100) {
            ck_assert_ptr_eq(fx->messages, messages);
            ck_assert_ptr_eq(r->peers[1].flights, flights);
        }
        ck_assert_uint_le(r->log.capacity, 128);
    }
    raft_cluster_free(&c);
}
END_TEST

START_TEST(test_idle_memory)
{
    ck_assert_uint_le(sizeof(struct raft), 1024);
    struct raft_cluster c;
    elected(&c, 3, &three);
    raft_cluster_run(&c, 2000, 50);
    const struct raft *leader = raft_of(&c, 1), *follower = raft_of(&c, 2);
    ck_assert_ptr_null(follower->peers);
    ck_assert_ptr_null(follower->held);
    ck_assert_ptr_null(follower->reads);
    for (size_t i = 0; i < leader->peer_count; i++) ck_assert_ptr_null(leader->peers[i].flights);
    ck_assert_uint_le(sizeof(struct raft_progress) * leader->peer_count, 512);
    raft_cluster_free(&c);
}
END_TEST

START_TEST(test_describe)
{
    struct raft_cluster c;
    elected(&c, 3, &three);
    struct buf b;
    buf_init(&b, 4096);
    raft_describe(raft_of(&c, 1), &b);
    buf_append_byte(&b, 0);
    const char *text = (const char *)b.data;
    ck_assert_ptr_nonnull(strstr(text, "replica=1 leader term=1 leader=1"));
    ck_assert_ptr_nonnull(strstr(text, "voters=1,2,3"));
    ck_assert_ptr_nonnull(strstr(text, "2:replicate,match=1,next=2"));
    ck_assert_ptr_null(strchr(text, '\n'));
    buf_free(&b);
    raft_cluster_free(&c);
}
END_TEST

/* Reads beyond the bound are refused, and a follower's expire together. */
START_TEST(test_reads_bounded)
{
    struct raft_cluster c;
    elected(&c, 3, &three);
    struct raft *r = raft_of(&c, 1);
    for (uint64_t i = 1; i <= RAFT_READS_MAX; i++) ck_assert_int_eq(raft_read(r, i), STATUS_OK);
    ck_assert_int_eq(raft_read(r, 1), STATUS_BUSY);
    struct raft_effects fx;
    raft_effects_init(&fx);
    raft_flush(r, c.now_ms, &fx); /* one round for all */
    ck_assert_uint_eq(fx.message_count, 2);
    struct raft_message m = {
        .type = RAFT_MSG_HEARTBEAT_REPLY, .from = 2, .to = 1, .term = 1, .context = fx.messages[0].context};
    raft_effects_clear(&fx);
    raft_step(r, &(struct raft_event){.type = RAFT_EVENT_MESSAGE, .now_ms = c.now_ms, .message = &m}, &fx);
    ck_assert_uint_eq(fx.read_count, RAFT_READS_MAX);
    for (size_t i = 0; i < fx.read_count; i++) {
        ck_assert_int_eq(fx.reads[i].status, STATUS_OK);
        ck_assert_uint_eq(fx.reads[i].context, i + 1);
    }
    raft_check(r);
    ck_assert_ptr_null(r->reads);
    raft_effects_free(&fx);
    raft_cluster_free(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_core");
    TCase *t = tcase_create("core");
    tcase_add_test(t, test_votes_by_log_and_term);
    tcase_add_test(t, test_one_vote_per_term);
    tcase_add_test(t, test_older_terms_are_answered);
    tcase_add_test(t, test_commit_is_capped);
    tcase_add_test(t, test_malformed_appends_are_ignored);
    tcase_add_test(t, test_election_timeouts);
    tcase_add_test(t, test_deadlines);
    tcase_add_test(t, test_news_of_a_commit_wait);
    tcase_add_test(t, test_time_never_goes_back);
    tcase_add_test(t, test_min_match);
    tcase_add_test(t, test_propose_bounds_and_roles);
    tcase_add_test(t, test_learner_changes);
    tcase_add_test(t, test_steady_state_memory);
    tcase_add_test(t, test_idle_memory);
    tcase_add_test(t, test_describe);
    tcase_add_test(t, test_reads_bounded);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
