/* Calls to whoever leads: src/rpc/meta_call.c. */
#include "lib/rpc_rig.h"
#include "lib/suite.h"
#include "rpc/meta_call.h"

#include <check.h>
#include <stdio.h>

#define MEMBERS 3

struct member {
    struct actor actor;
    struct env *env;
    struct rpc_identity self;
    struct rpc_server *server;
    uint64_t *leader; /* node id; 0: an election is under way */
    bool knows;       /* gives a hint */
    bool hangs;       /* takes requests and never answers */
    enum status says; /* unless STATUS_OK: the answer of the leader */
    uint64_t served, refused;
    struct list kept;
};

static struct fakenet *net;
static struct env *env;
static struct member members[MEMBERS];
static uint64_t leader;
static struct meta_call *meta;
static struct rpc_identity self;
static struct actor actor;

static struct {
    unsigned done;
    enum status status, head;
    bool sent;
    uint64_t at_ns;
    char message[512];
} last;

/* Where all of them are. */
static void tell_members(struct rpc_request *r)
{
    struct meta_status_reply status = {.member_count = MEMBERS, .group = SLICE_EMPTY};
    char addresses[MEMBERS][16];
    struct buf b;
    buf_init(&b, 4096);
    for (unsigned i = 0; i < MEMBERS; i++) {
        (void)snprintf(addresses[i], sizeof addresses[i], "meta:%u", i + 1);
        status.members[i].id = i + 1;
        status.members[i].address = slice_str(addresses[i]);
    }
    pack_meta_status_reply(&b, &status);
    rpc_reply(r, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&b)});
    buf_free(&b);
}

static void on_request(void *ctx, struct rpc_request *r)
{
    struct member *m = ctx;
    if (r->method == METHOD_META_STATUS && !m->hangs) {
        tell_members(r);
        return;
    }
    struct reply_head head = {.status = STATUS_OK, .message = slice_str("hello from the leader"), .payload = r->params};
    if (m->hangs) {
        list_push_back(&m->kept, &r->link);
        return;
    }
    if (*m->leader != m->self.node_id) {
        head = (struct reply_head){.status = STATUS_NOT_LEADER, .message = slice_str("not me"), .payload = SLICE_EMPTY};
        head.leader_hint = m->knows ? *m->leader : 0;
        m->refused++;
    } else {
        head.status = m->says;
        m->served++;
    }
    rpc_reply(r, &head);
}

static uint64_t member_pass(struct actor *a, uint64_t now_ns)
{
    struct member *m = LIST_ENTRY(a, struct member, actor);
    rpc_server_pass(m->server, now_ns);
    rpc_server_flush(m->server);
    return now_ns + 20 * MS;
}

static uint64_t meta_pass(struct actor *a, uint64_t now_ns)
{
    (void)a;
    return meta_call_pass(meta, now_ns);
}

static void start(uint64_t seed)
{
    printf("seed %llu\n", (unsigned long long)seed);
    net = fakenet_new(&(struct fakenet_options){.seed = seed, .delay_min_ns = 50000, .delay_max_ns = 500000});
    memset(&last, 0, sizeof(last));
    leader = 1;
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct member *m = &members[i];
        *m = (struct member){
            .env = fakenet_env(net), .self = {.role = ROLE_META, .node_id = i + 1}, .leader = &leader, .knows = true};
        m->actor.pass = member_pass;
        list_init(&m->kept);
        char address[16];
        (void)snprintf(address, sizeof(address), "meta:%u", i + 1);
        ck_assert_int_eq(rpc_server_new(m->env, address, &m->self, on_request, m, &m->server, NULL), STATUS_OK);
        m->env->ops->attach(m->env, &m->actor);
    }
    env = fakenet_env(net);
    self = (struct rpc_identity){.role = ROLE_NODE};
    struct errbuf err;
    ck_assert_int_eq(meta_call_new(env, "meta:1,meta:2,meta:3", &self, &meta, &err), STATUS_OK);
    actor = (struct actor){.pass = meta_pass};
    env->ops->attach(env, &actor);
}

static void stop(void)
{
    env->ops->detach(env, &actor);
    meta_call_free(meta);
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct member *m = &members[i];
        for (struct list *it; (it = list_pop_front(&m->kept)) != NULL;)
            rpc_request_drop(LIST_ENTRY(it, struct rpc_request, link));
        m->env->ops->detach(m->env, &m->actor);
        rpc_server_free(m->server);
    }
    fakenet_free(net);
}

static void on_done(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    (void)ctx;
    last.done++;
    last.status = status;
    last.head = head->status;
    last.sent = sent;
    last.at_ns = env_mono_ns(env);
    (void)snprintf(last.message, sizeof(last.message), "%.*s", (int)head->message.size,
                   (const char *)head->message.data);
}

static uint64_t call(uint64_t timeout_ns)
{
    static const uint8_t PARAMS[] = {0xc0};
    env->ops->wake(env);
    return meta_call(meta, METHOD_META_MAP, slice_make(PARAMS, 1), env_mono_ns(env) + timeout_ns, on_done, NULL);
}

static bool is_done(void *ctx)
{
    return last.done >= *(const unsigned *)ctx;
}

static bool wait_done(unsigned count, uint64_t span_ns)
{
    return fakenet_run(net, is_done, &count, span_ns);
}

START_TEST(addresses)
{
    start(1);
    static const char *const BAD[] = {"", "meta", "meta:1,", ",meta:1", "a:1,b:2,c:3,d:4,e:5,f:6,g:7,h:8"};
    for (unsigned i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct meta_call *m;
        struct errbuf err = {{0}};
        ck_assert_int_eq(meta_call_new(env, BAD[i], &self, &m, &err), STATUS_INVALID);
        ck_assert(strlen(err.text) > 10);
    }
    stop();
}
END_TEST

START_TEST(follows_hints)
{
    start(2 + (uint64_t)_i);
    for (unsigned i = 0; i < 12; i++) {
        leader = 1 + (12 - i) % MEMBERS; /* against the order in which members are tried */
        (void)call(5 * SECOND);
        ck_assert(wait_done(i + 1, SECOND));
        ck_assert_int_eq(last.head, STATUS_OK);
        ck_assert_str_eq(last.message, "hello from the leader");
    }
    /* With all members known, a change of leader costs one detour. */
    uint64_t refused = members[0].refused + members[1].refused + members[2].refused;
    ck_assert_uint_le(refused, 14);
    (void)call(5 * SECOND);
    ck_assert(wait_done(13, SECOND));
    stop();
}
END_TEST

/* Whoever knows former members only is told where the leader is, that came after them. */
START_TEST(asks_where_an_unknown_leader_is)
{
    start(20 + (uint64_t)_i);
    struct errbuf err;
    meta_call_free(meta);
    leader = 3;
    ck_assert_int_eq(meta_call_new(env, _i % 2 == 0 ? "meta:1" : "meta:2,meta:1", &self, &meta, &err), STATUS_OK);
    (void)call(5 * SECOND);
    ck_assert(wait_done(1, SECOND));
    ck_assert_int_eq(last.head, STATUS_OK);
    ck_assert_uint_eq(members[2].served, 1);
    stop();
}
END_TEST

/* However many members have come and gone, there is room for those that are. */
START_TEST(forgets_who_is_gone)
{
    enum { GONE = 40 };
    start(40);
    struct errbuf err;
    meta_call_free(meta);
    leader = 3;
    ck_assert_int_eq(meta_call_new(env, "meta:1", &self, &meta, &err), STATUS_OK);
    for (unsigned i = 0; i < GONE; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "gone:%u", i + 1);
        meta_call_learn(meta, &(struct meta_address){.id = 10 + i, .address = slice_str(text)}, 1);
        (void)fakenet_run(net, NULL, NULL, (_i == 0 ? 0 : 20) * MS);
    }
    (void)call(20 * SECOND);
    ck_assert(wait_done(1, 20 * SECOND));
    ck_assert_int_eq(last.head, STATUS_OK);
    ck_assert_uint_eq(members[2].served, 1);
    stop();
}
END_TEST

START_TEST(goes_round_past_the_dead)
{
    start(10 + (uint64_t)_i);
    unsigned dead = (unsigned)_i % MEMBERS;
    leader = 1 + (dead + 1) % MEMBERS;
    fakenet_down(members[dead].env, true);
    for (unsigned i = 0; i < MEMBERS; i++) members[i].knows = _i >= MEMBERS;
    (void)call(5 * SECOND);
    ck_assert(wait_done(1, SECOND));
    ck_assert_int_eq(last.head, STATUS_OK);
    uint64_t before = env_mono_ns(env);
    (void)call(5 * SECOND);
    ck_assert(wait_done(2, SECOND));
    ck_assert_uint_lt(last.at_ns - before, 3 * MS); /* straight to the leader */
    stop();
}
END_TEST

START_TEST(waits_through_an_election)
{
    start(20);
    leader = 0;
    (void)call(5 * SECOND);
    (void)fakenet_run(net, NULL, NULL, SECOND);
    ck_assert_uint_eq(last.done, 0);
    uint64_t refused = members[0].refused + members[1].refused + members[2].refused;
    ck_assert_uint_ge(refused, 15); /* it does ask ... */
    ck_assert_uint_le(refused, 90); /* ... with pauses */
    leader = 3;
    ck_assert(wait_done(1, 150 * MS));
    ck_assert_int_eq(last.head, STATUS_OK);
    stop();
}
END_TEST

/* The leader's process is gone: while the others elect, nobody waits for the next attempt to reach it. */
START_TEST(the_dead_one_is_not_waited_for)
{
    start(30 + (uint64_t)_i);
    (void)call(5 * SECOND);
    ck_assert(wait_done(1, SECOND));
    fakenet_down(members[0].env, true);
    leader = 0;
    (void)call(5 * SECOND);
    (void)fakenet_run(net, NULL, NULL, (400 + 61 * (uint64_t)_i) * MS);
    ck_assert_uint_eq(last.done, 1);
    leader = 3;
    ck_assert(wait_done(2, 150 * MS));
    ck_assert_int_eq(last.head, STATUS_OK);
    stop();
}
END_TEST

START_TEST(does_not_wait_for_a_member_that_hangs)
{
    start(21);
    (void)call(5 * SECOND);
    ck_assert(wait_done(1, SECOND));
    members[0].hangs = true;
    leader = 2;
    uint64_t before = env_mono_ns(env);
    (void)call(5 * SECOND);
    ck_assert(wait_done(2, 3 * SECOND));
    ck_assert_int_eq(last.head, STATUS_OK);
    ck_assert_uint_lt(last.at_ns - before, SECOND + 10 * MS);
    stop();
}
END_TEST

START_TEST(last_status_at_the_deadline)
{
    start(22);
    leader = 0;
    uint64_t before = env_mono_ns(env);
    (void)call(300 * MS);
    ck_assert(wait_done(1, SECOND));
    ck_assert_int_eq(last.status, STATUS_OK);
    ck_assert_int_eq(last.head, STATUS_NOT_LEADER);
    ck_assert(!last.sent); /* nobody has taken it */
    ck_assert(strstr(last.message, "not me") != NULL);
    ck_assert_uint_ge(last.at_ns - before, 250 * MS);
    ck_assert_uint_le(last.at_ns - before, 301 * MS);
    for (unsigned i = 0; i < MEMBERS; i++) fakenet_down(members[i].env, true);
    (void)call(300 * MS);
    ck_assert(wait_done(2, SECOND));
    ck_assert(last.status == STATUS_CLOSED || last.status == STATUS_TIMEOUT);
    ck_assert(!last.sent);
    stop();
}
END_TEST

/* A refusal by the second member says nothing of what the first has done. */
START_TEST(a_lost_try_is_remembered)
{
    start(26);
    members[0].hangs = true;
    (void)call(5 * SECOND);
    (void)fakenet_run(net, NULL, NULL, 100 * MS);
    ck_assert_uint_eq(last.done, 0);
    leader = 2;
    members[1].says = STATUS_EXISTS;
    ck_assert(wait_done(1, 3 * SECOND));
    ck_assert_int_eq(last.head, STATUS_EXISTS);
    ck_assert(last.sent);
    (void)call(5 * SECOND);
    ck_assert(wait_done(2, 3 * SECOND));
    ck_assert_int_eq(last.head, STATUS_EXISTS);
    ck_assert(!last.sent);
    stop();
}
END_TEST

START_TEST(verdicts_are_passed_on)
{
    start(23);
    members[0].says = STATUS_NOT_INITIALIZED;
    (void)call(SECOND);
    ck_assert(wait_done(1, SECOND));
    ck_assert_int_eq(last.status, STATUS_OK);
    ck_assert_int_eq(last.head, STATUS_NOT_INITIALIZED);
    ck_assert_uint_eq(members[0].served, 1);
    members[0].says = STATUS_RETRY;
    (void)call(100 * MS);
    ck_assert(wait_done(2, SECOND));
    ck_assert_int_eq(last.head == STATUS_RETRY || last.head == STATUS_NOT_LEADER, 1);
    ck_assert_uint_gt(members[0].served, 2);
    stop();
}
END_TEST

START_TEST(other_cluster_ends_at_once)
{
    start(24);
    struct cluster_id none = meta_call_cluster(meta);
    ck_assert(cluster_id_is_none(&none));
    for (unsigned i = 0; i < MEMBERS; i++) members[i].self.cluster.bytes[0] = 1;
    self.cluster.bytes[0] = 2;
    uint64_t before = env_mono_ns(env);
    (void)call(10 * SECOND);
    ck_assert(wait_done(1, SECOND));
    ck_assert_int_eq(last.status, STATUS_WRONG_CLUSTER);
    ck_assert_uint_lt(last.at_ns - before, 20 * MS);
    self.cluster.bytes[0] = 0;
    (void)call(10 * SECOND);
    ck_assert(wait_done(2, 2 * SECOND));
    ck_assert_int_eq(last.head, STATUS_OK);
    ck_assert_uint_eq(meta_call_cluster(meta).bytes[0], 1);
    stop();
}
END_TEST

START_TEST(cancelled_and_freed_calls_are_silent)
{
    start(25);
    for (unsigned i = 0; i < MEMBERS; i++) members[i].hangs = true;
    uint64_t a = call(5 * SECOND);
    uint64_t b = call(5 * SECOND);
    meta_call_cancel(meta, a);
    (void)fakenet_run(net, NULL, NULL, 100 * MS);
    meta_call_cancel(meta, b);
    meta_call_cancel(meta, b);
    (void)call(100 * SECOND); /* freed with meta */
    (void)fakenet_run(net, NULL, NULL, 10 * SECOND);
    ck_assert_uint_eq(last.done, 0);
    stop();
}
END_TEST

/* Leaders come and go, members die and hang; in the end each call has ended once, and well. */
START_TEST(random_faults)
{
    start(100 + (uint64_t)_i);
    struct prng prng;
    prng_init(&prng, (uint64_t)_i);
    unsigned calls = 0;
    for (unsigned round = 0; round < 200; round++) {
        leader = prng_below(&prng, MEMBERS + 1);
        struct member *m = &members[prng_below(&prng, MEMBERS)];
        fakenet_down(m->env, prng_chance(&prng, 1, 2));
        members[prng_below(&prng, MEMBERS)].knows = prng_chance(&prng, 1, 2);
        if (prng_chance(&prng, 1, 4)) fakenet_reset_one(net);
        if (prng_chance(&prng, 1, 2)) calls += call(60 * SECOND) > 0;
        (void)fakenet_run(net, NULL, NULL, prng_below(&prng, 200) * MS);
    }
    leader = 2;
    for (unsigned i = 0; i < MEMBERS; i++) fakenet_down(members[i].env, false);
    ck_assert(wait_done(calls, 10 * SECOND));
    ck_assert_uint_eq(last.done, calls);
    ck_assert_int_eq(last.head, STATUS_OK);
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rpc_meta_call");
    TCase *t = tcase_create("meta_call");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, addresses);
    tcase_add_loop_test(t, follows_hints, 0, 5);
    tcase_add_loop_test(t, asks_where_an_unknown_leader_is, 0, 6);
    tcase_add_loop_test(t, forgets_who_is_gone, 0, 2);
    tcase_add_loop_test(t, goes_round_past_the_dead, 0, 6);
    tcase_add_test(t, waits_through_an_election);
    tcase_add_loop_test(t, the_dead_one_is_not_waited_for, 0, 8);
    tcase_add_test(t, does_not_wait_for_a_member_that_hangs);
    tcase_add_test(t, last_status_at_the_deadline);
    tcase_add_test(t, a_lost_try_is_remembered);
    tcase_add_test(t, verdicts_are_passed_on);
    tcase_add_test(t, other_cluster_ends_at_once);
    tcase_add_test(t, cancelled_and_freed_calls_are_silent);
    tcase_add_loop_test(t, random_faults, 0, 20);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
