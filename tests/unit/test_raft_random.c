/* Groups of three to five voters under loss, duplication, reordering, partitions, delayed persistence, crashes that lose what
 * was not durable, compaction with snapshots, changes of configuration, transfers and reads. What is checked after each step
 * stands in tests/lib/raft_cluster.h; here are the dice, and the demand that a healed group makes progress.
 *
 * A failure prints its seed; SEED=n runs that one alone, with a trace on stdout. SEEDS=n sets how many. */
#include "lib/cover.h"
#include "lib/raft_cluster.h"

#include "base/mem.h"
#include "base/prng.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEDS_DEFAULT 1500u
#define ROUNDS 3u    /* of trouble and recovery, per seed */
#define ACTIONS 500u /* of trouble, per round */

struct knobs {                         /* drawn per seed, "off" included */
    uint32_t drop, duplicate, reorder; /* per mille, of deliveries */
    uint32_t crash, restart, partition, compact, config, transfer, read, propose, persist, deliver, tick, beat;
    uint32_t rot; /* per mille, of crashes; then nothing changes the configuration */
};

struct world {
    struct raft_cluster c;
    struct buf text; /* the trace of a single seed */
    struct prng random;
    struct knobs k;
    uint64_t next_command, next_context;
    uint64_t proposals, configs, rots;
    uint64_t rests, leaseless; /* groups that came to rest, and that had no lease at peace */
};

static uint32_t knob(struct prng *p, uint32_t max)
{
    return prng_chance(p, 1, 4) ? 0 : (uint32_t)prng_between(p, 1, max);
}

static void draw_knobs(struct world *w)
{
    struct prng *p = &w->random;
    w->k = (struct knobs){.drop = knob(p, 200),
                          .duplicate = knob(p, 150),
                          .reorder = knob(p, 500),
                          .crash = knob(p, 15),
                          .restart = 40,
                          .partition = knob(p, 10),
                          .compact = knob(p, 15),
                          .config = knob(p, 40),
                          .transfer = knob(p, 8),
                          .read = knob(p, 60),
                          .propose = (uint32_t)prng_between(p, 20, 120),
                          .persist = (uint32_t)prng_between(p, 60, 300),
                          .deliver = (uint32_t)prng_between(p, 200, 700),
                          .tick = (uint32_t)prng_between(p, 20, 120),
                          .beat = w->c.support_ms == 0 ? 0 : (uint32_t)prng_between(p, 20, 200)};
    if (!prng_chance(p, 1, 3)) return;
    w->k.rot = (uint32_t)prng_between(p, 100, 900);
    w->k.crash += 10;
    w->k.config = 0;
}

static uint64_t any_node(struct world *w)
{
    return 1 + prng_below(&w->random, w->c.node_count);
}

/* Mostly the leader, sometimes anybody: a deposed leader is asked as well. */
static uint64_t some_leader(struct world *w)
{
    uint64_t leader = raft_cluster_leader(&w->c);
    return leader == 0 || prng_chance(&w->random, 1, 4) ? any_node(w) : leader;
}

static void propose(struct world *w)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "c%llu", (unsigned long long)++w->next_command);
    if (raft_cluster_propose(&w->c, some_leader(w), slice_make(text, (size_t)size)) == STATUS_OK) w->proposals++;
}

static void change_config(struct world *w)
{
    struct raft_config target = {0};
    for (uint64_t id = 1; id <= w->c.node_count; id++) {
        switch (prng_below(&w->random, 5)) {
        case 0: break;
        case 1: target.learners[target.learner_count++] = id; break;
        default: target.voters[target.voter_count++] = id; break;
        }
    }
    if (target.voter_count == 0) return;
    if (raft_cluster_config(&w->c, some_leader(w), &target) == STATUS_OK) w->configs++;
}

static void partition(struct world *w)
{
    if (prng_chance(&w->random, 1, 3)) {
        memset(w->c.cut, 0, sizeof(w->c.cut));
        return;
    }
    uint64_t leader = raft_cluster_leader(&w->c);
    bool behead = leader != 0 && prng_chance(&w->random, 1, 2);
    uint64_t a = behead ? leader : any_node(w);
    bool one_way = !behead && prng_chance(&w->random, 1, 4);
    for (uint64_t b = 1; b <= w->c.node_count; b++) {
        if (a == b || (!behead && prng_chance(&w->random, 1, 4))) continue;
        w->c.cut[a][b] = true;
        if (!one_way) w->c.cut[b][a] = true;
    }
}

static void deliver(struct world *w)
{
    struct raft_cluster *c = &w->c;
    if (c->message_count == 0) return;
    size_t at = prng_chance(&w->random, w->k.reorder, 1000) ? (size_t)prng_below(&w->random, c->message_count) : 0;
    if (prng_chance(&w->random, w->k.drop, 1000)) {
        raft_cluster_drop(c, at);
    } else {
        raft_cluster_deliver(c, at, c->message_count < 300 && prng_chance(&w->random, w->k.duplicate, 1000));
    }
}

static void tick(struct world *w)
{
    struct raft_cluster *c = &w->c;
    c->now_ms += prng_below(&w->random, prng_chance(&w->random, 1, 10) ? 1500 : 150);
    uint64_t id = any_node(w);
    if (id == raft_cluster_leader(c) && prng_chance(&w->random, 1, 2))
        return; /* slow: learns late that it was deposed */
    raft_cluster_tick(c, id);
}

/* Never so many that no majority of those that have lost nothing is left: nobody could mend them. */
static void rot(struct world *w, uint64_t id)
{
    struct raft_cluster *c = &w->c;
    const struct raft_config *g = &c->nodes[id - 1].store.config;
    unsigned lost = 0;
    bool votes = false; /* nobody would mend one that is no member, until it is made one */
    for (unsigned i = 0; i < g->voter_count; i++) votes = votes || g->voters[i] == id;
    for (size_t i = 0; i < c->node_count; i++) {
        if (i + 1 != id && c->nodes[i].disk_recovering) lost++;
        if (memcmp(g, &c->nodes[i].store.config, sizeof(*g)) != 0) return; /* a change may be under way */
    }
    if (!votes || g->old_voter_count > 0 || (lost + 1) * 2 >= g->voter_count) return;
    struct rc_node *n = &c->nodes[id - 1];
    raft_cluster_rot(c, id, prng_below(&w->random, n->disk_count + 1), prng_below(&w->random, n->disk_hard.term + 1));
    w->rots++;
}

/* Heartbeats of nodes and their answers: late, in any order, lost. */
static void beat(struct world *w)
{
    struct raft_cluster *c = &w->c;
    if (prng_chance(&w->random, 1, 4)) {
        raft_nodes_beat(c);
    } else if (c->beat_count > 0 && prng_chance(&w->random, 2, 3)) {
        raft_nodes_deliver(c, (size_t)prng_below(&w->random, c->beat_count));
    } else {
        raft_nodes_send(c, any_node(w), any_node(w));
    }
}

static void crash(struct world *w)
{
    uint64_t id = any_node(w);
    raft_cluster_crash(&w->c, id);
    if (prng_chance(&w->random, w->k.rot, 1000)) rot(w, id);
}

static void act(struct world *w)
{
    const struct knobs *k = &w->k;
    struct raft_cluster *c = &w->c;
    uint32_t total = k->crash + k->restart + k->partition + k->compact + k->config + k->transfer + k->read +
                     k->propose + k->persist + k->deliver + k->tick + k->beat;
    uint32_t dice = (uint32_t)prng_below(&w->random, total);
#define ROLL(weight) (dice < (weight) || (dice -= (weight), false))
    if (ROLL(k->deliver)) {
        deliver(w);
    } else if (ROLL(k->persist)) {
        raft_cluster_persist(c, any_node(w), 1 + (size_t)prng_below(&w->random, 3), prng_chance(&w->random, 1, 2));
    } else if (ROLL(k->propose)) {
        propose(w);
    } else if (ROLL(k->tick)) {
        tick(w);
    } else if (ROLL(k->beat)) {
        beat(w);
    } else if (ROLL(k->read)) {
        (void)raft_cluster_read(c, prng_chance(&w->random, 1, 2) ? some_leader(w) : any_node(w), ++w->next_context);
    } else if (ROLL(k->restart)) {
        raft_cluster_restart(c, any_node(w));
    } else if (ROLL(k->crash)) {
        crash(w);
    } else if (ROLL(k->partition)) {
        partition(w);
    } else if (ROLL(k->compact)) {
        raft_cluster_compact(c, any_node(w), prng_below(&w->random, raft_cluster_commit(c) + 1));
    } else if (ROLL(k->config)) {
        change_config(w);
    } else {
        struct raft_event ev = {.type = prng_chance(&w->random, 2, 3) ? RAFT_EVENT_TRANSFER : RAFT_EVENT_UNREACHABLE};
        ev.to = any_node(w);
        raft_cluster_step(c, some_leader(w), ev);
    }
#undef ROLL
}

static void show(struct world *w)
{
    fwrite(w->text.data, 1, w->text.size, stdout);
    fflush(stdout); /* before an abort */
    buf_clear(&w->text);
}

/* At peace the leader has a lease, unless it tried to hand over in this term, and nobody has anything to do. */
static void demand_lease(struct world *w)
{
    struct raft_cluster *c = &w->c;
    if (c->support_ms == 0) return;
    raft_cluster_run(c, 2000, 50);
    const struct rc_node *n = raft_cluster_node(c, raft_cluster_leader(c));
    if (raft_nodes_lease_ms(c, n) == 0) {
        w->leaseless++;
        return;
    }
    const struct raft_config *g = raft_config_now(n->raft);
    if (g->voter_count + g->learner_count < c->node_count)
        return; /* one that was removed asks for votes now and then */
    for (unsigned i = 0; i < g->voter_count; i++) {
        const struct raft *r = raft_cluster_node(c, g->voters[i])->raft;
        if (raft_deadline_ms(r) != UINT64_MAX) fprintf(stderr, "SEED=%llu: no rest\n", (unsigned long long)c->seed);
        ck_assert_uint_eq(raft_deadline_ms(r), UINT64_MAX);
    }
    w->rests++;
}

/* Faults end: there is a leader within a few elections, what is proposed commits, and all members have all of it. */
static void demand_progress(struct world *w)
{
    struct raft_cluster *c = &w->c;
    memset(c->cut, 0, sizeof(c->cut));
    for (uint64_t id = 1; id <= c->node_count; id++) raft_cluster_restart(c, id);
    enum status s = STATUS_BUSY;
    for (unsigned i = 0; i < 60 && s != STATUS_OK; i++) {
        raft_cluster_run(c, 1000, 50);
        if (c->trace != NULL) show(w);
        uint64_t leader = raft_cluster_leader(c);
        if (leader != 0) s = raft_cluster_propose(c, leader, slice_str("last"));
    }
    if (s != STATUS_OK) fprintf(stderr, "SEED=%llu: no progress\n", (unsigned long long)c->seed);
    ck_assert_int_eq(s, STATUS_OK);
    uint64_t aim = raft_last_index(c->nodes[raft_cluster_leader(c) - 1].raft);
    raft_cluster_run(c, 3000, 50);
    if (c->trace != NULL) show(w);
    if (raft_cluster_leader(c) == 0) fprintf(stderr, "SEED=%llu: the leader is gone\n", (unsigned long long)c->seed);
    ck_assert_uint_ne(raft_cluster_leader(c), 0);
    const struct raft_config *g = raft_config_now(c->nodes[raft_cluster_leader(c) - 1].raft);
    ck_assert_uint_eq(g->old_voter_count, 0);
    for (unsigned i = 0; i < g->voter_count + g->learner_count; i++) {
        uint64_t id = i < g->voter_count ? g->voters[i] : g->learners[i - g->voter_count];
        if (c->nodes[id - 1].disk_recovering)
            fprintf(stderr, "SEED=%llu: replica %llu is not mended\n", (unsigned long long)c->seed,
                    (unsigned long long)id);
        ck_assert(!c->nodes[id - 1].disk_recovering);
        if (c->nodes[id - 1].store.index < aim) {
            fprintf(stderr, "SEED=%llu: replica %llu lags\n", (unsigned long long)c->seed, (unsigned long long)id);
        }
        ck_assert_uint_ge(c->nodes[id - 1].store.index, aim);
    }
    uint64_t leader = raft_cluster_leader(c), ok = c->reads_ok;
    ck_assert_int_eq(raft_cluster_read(c, leader, ++w->next_context), STATUS_OK);
    raft_cluster_run(c, 1000, 50);
    ck_assert_uint_gt(c->reads_ok, ok);
    demand_lease(w);
}

struct totals {
    uint64_t commits, reads_ok, reads_failed, configs, elections, rests, leaseless, rots;
};

static void run_seed(uint64_t seed, bool trace, struct totals *totals)
{
    struct world w = {0};
    buf_init(&w.text, 64u << 20);
    prng_init(&w.random, seed);
    struct raft_config config = {0};
    config.voter_count = (uint8_t)prng_between(&w.random, 3, 5);
    for (unsigned i = 0; i < config.voter_count; i++) config.voters[i] = i + 1;
    size_t nodes = config.voter_count + (size_t)prng_below(&w.random, 3);
    struct raft_options o;
    raft_options_default(&o);
    o.append_max_bytes = prng_chance(&w.random, 1, 2) ? 8 : 4096;
    o.inflight_max_count = (uint32_t)prng_between(&w.random, 1, 8);
    o.inflight_max_bytes = prng_chance(&w.random, 1, 2) ? 16 : 65536;
    o.uncommitted_max_bytes = prng_chance(&w.random, 1, 3) ? 20 : 65536;
    raft_cluster_init(&w.c, nodes, &config, &o, prng_chance(&w.random, 2, 3) ? 1500 : 0, seed);
    if (trace) w.c.trace = &w.text;
    raft_cluster_step(&w.c, 1, (struct raft_event){.type = RAFT_EVENT_CAMPAIGN});
    for (unsigned round = 0; round < ROUNDS; round++) {
        draw_knobs(&w);
        for (unsigned i = 0; i < ACTIONS; i++) {
            act(&w);
            if (trace) show(&w);
        }
        demand_progress(&w);
    }
    totals->commits += raft_cluster_commit(&w.c);
    totals->reads_ok += w.c.reads_ok;
    totals->reads_failed += w.c.reads_failed;
    totals->configs += w.configs;
    totals->rots += w.rots;
    totals->rests += w.rests;
    totals->leaseless += w.leaseless;
    totals->elections += w.c.leaders.count;
    raft_cluster_free(&w.c);
    buf_free(&w.text);
}

START_TEST(test_random)
{
    const char *one = getenv("SEED"), *many = getenv("SEEDS");
    struct totals t = {0};
    if (one != NULL) {
        run_seed(strtoull(one, NULL, 10), true, &t);
        return;
    }
    uint64_t seeds = many != NULL ? strtoull(many, NULL, 10) : SEEDS_DEFAULT;
    for (uint64_t seed = 1; seed <= seeds; seed++) run_seed(seed, false, &t);
    printf("seeds=1..%llu commits=%llu reads=%llu failed_reads=%llu configs=%llu elections=%llu rots=%llu rests=%llu "
           "leaseless=%llu\n",
           (unsigned long long)seeds, (unsigned long long)t.commits, (unsigned long long)t.reads_ok,
           (unsigned long long)t.reads_failed, (unsigned long long)t.configs, (unsigned long long)t.elections,
           (unsigned long long)t.rots, (unsigned long long)t.rests, (unsigned long long)t.leaseless);
    ck_assert_uint_gt(t.commits, seeds * 20);
    ck_assert_uint_gt(t.reads_ok, seeds * 5);
    ck_assert_uint_gt(t.configs, seeds);
    ck_assert_uint_gt(t.elections, seeds * 3);
    ck_assert_uint_gt(t.rots, seeds / 2);
    ck_assert_uint_gt(t.rests, seeds / 2);
    ck_assert_uint_lt(t.leaseless, seeds / 5);
}
END_TEST

/* Rare cases that the dice must have brought about, or the test above says less than it seems to. */
START_TEST(test_rare_cases_seen)
{
    static const char *const names[] = {"raft.check_quorum_failed",
                                        "raft.commit_before_own_sync",
                                        "raft.config_rolled_back",
                                        "raft.install_over_prefix",
                                        "raft.leader_removed",
                                        "raft.leave_joint",
                                        "raft.poke",
                                        "raft.promise_void",
                                        "raft.heard_in_vain",
                                        "raft.pre_vote_ignored",
                                        "raft.read_before_own_commit",
                                        "raft.mark_before_truncation",
                                        "raft.read_expired",
                                        "raft.recovered",
                                        "raft.recovery_counted_again",
                                        "raft.recovery_fence",
                                        "raft.reply_of_stranger",
                                        "raft.snapshot_wanted",
                                        "raft.transfer_given_up",
                                        "raft.truncate",
                                        "raft.vote_ignored"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && getenv("SEED") == NULL; i++) {
        if (cover_count(names[i]) == 0) fprintf(stderr, "never seen: %s\n", names[i]);
        ck_assert_uint_gt(cover_count(names[i]), 0);
    }
    if (getenv("SEED") != NULL) cover_print();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_random");
    TCase *t = tcase_create("random");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, test_random);
    tcase_add_test(t, test_rare_cases_seen);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
