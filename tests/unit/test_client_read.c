/* Reads by mode in the router: who is asked, what a refusal means, one timestamp over all ranges. src/client/attempt.c, scan.c. */
#include "base/arena.h"
#include "lib/client_rig.h"
#include "lib/suite.h"

#include <check.h>

static struct fake_cluster f;
static struct outcome o;

struct script { /* what the nodes do with reads of range 1, which node 1 leads */
    unsigned asked[FAKE_NODES + 1];
    enum status refuse; /* followers; STATUS_OK: they answer */
    bool leader_refuses;
    uint64_t first_ts; /* scans: the timestamp that a snapshot of now gets; then what was asked for, in order */
    uint64_t scan_ts[8];
    unsigned scans;
};

static bool on_read(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    struct script *s = ctx;
    struct arena arena;
    struct get_request get;
    if (r->method != METHOD_GET) return false;
    arena_init(&arena, 256);
    ck_assert_int_eq(unpack_get_request(r->params, &arena, &get), STATUS_OK);
    arena_free(&arena);
    uint64_t id = n->self.node_id;
    s->asked[id]++;
    bool leads = id == 1;
    if (s->refuse != STATUS_OK && (!leads || s->leader_refuses)) {
        fake_refuse(r, s->refuse, false, s->refuse == STATUS_NOT_LEADER ? 1 : 0);
        return true;
    }
    ck_assert(leads || get.how.any_replica);
    struct get_reply reply = {.value = SLICE_EMPTY, .mark = {.mode = get.how.mode, .ts = 7}};
    struct buf payload;
    buf_init(&payload, 256);
    pack_get_reply(&payload, &reply);
    fake_answer(r, &payload);
    buf_free(&payload);
    return true;
}

static void read_key(const struct read_how *how)
{
    o = (struct outcome){.f = &f};
    client_get_how(f.client, slice_str("bank"), slice_str("apple"), how, 5000, outcome_on_get, &o);
    fake_wait(&f, &o, 6 * SECOND);
}

static struct script script_start(uint64_t seed, enum status refuse)
{
    fake_start(&f, seed, 0);
    f.hook = on_read;
    return (struct script){.refuse = refuse};
}

START_TEST(any_replica_spreads)
{
    struct script s = script_start(1, STATUS_OK);
    f.hook_ctx = &s;
    for (unsigned i = 0; i < 60; i++) {
        read_key(&(struct read_how){.mode = i % 2 == 0 ? READ_EVENTUAL : READ_BOUNDED, .max_staleness_ms = 5});
        ck_assert_int_eq(o.status, STATUS_OK);
    }
    for (unsigned id = 1; id <= 3; id++) ck_assert_uint_gt(s.asked[id], 5);
    /* A follower's answer says nothing of who leads: strong reads still go straight to the leader. */
    memset(s.asked, 0, sizeof(s.asked));
    for (unsigned i = 0; i < 10; i++) read_key(&(struct read_how){.mode = READ_STRONG});
    ck_assert_uint_eq(s.asked[1], 10);
    ck_assert_uint_eq(s.asked[2] + s.asked[3], 0);
    fake_stop(&f);
}
END_TEST

START_TEST(what_a_follower_cannot_answer_the_leader_does)
{
    struct script s = script_start(2, STATUS_NOT_LEADER);
    f.hook_ctx = &s;
    for (unsigned i = 0; i < 30; i++) {
        read_key(&(struct read_how){.mode = READ_BOUNDED, .max_staleness_ms = 5});
        ck_assert_int_eq(o.status, STATUS_OK);
    }
    ck_assert_uint_eq(s.asked[1], 30);
    ck_assert_uint_gt(s.asked[2] + s.asked[3], 5);
    ck_assert_uint_le(s.asked[2] + s.asked[3], 30); /* never more than one detour */
    fake_stop(&f);
}
END_TEST

START_TEST(too_old_is_believed_when_all_have_said_so)
{
    struct script s = script_start(3, STATUS_TOO_OLD);
    f.hook_ctx = &s;
    s.leader_refuses = true;
    read_key(&(struct read_how){.mode = READ_SNAPSHOT, .ts = 3});
    ck_assert_int_eq(o.status, STATUS_TOO_OLD);
    ck_assert(!o.unknown);
    for (unsigned id = 1; id <= 3; id++) ck_assert_uint_eq(s.asked[id], 1);
    s.leader_refuses = false; /* and one that still has it answers */
    read_key(&(struct read_how){.mode = READ_SNAPSHOT, .ts = 3, .any_replica = true});
    ck_assert_int_eq(o.status, STATUS_OK);
    fake_stop(&f);
}
END_TEST

static bool on_scan(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    struct script *s = ctx;
    struct arena arena;
    struct scan_request scan;
    (void)n;
    if (r->method != METHOD_SCAN) return false;
    arena_init(&arena, 256);
    ck_assert_int_eq(unpack_scan_request(r->params, &arena, &scan), STATUS_OK);
    arena_free(&arena);
    ck_assert_uint_lt(s->scans, 8);
    s->scan_ts[s->scans++] = scan.how.ts;
    struct scan_reply reply = {.mark = {.mode = scan.how.mode,
                                        .ts = scan.how.mode != READ_SNAPSHOT ? 100 - s->scans
                                              : scan.how.ts != 0             ? scan.how.ts
                                                                             : s->first_ts,
                                        .staleness_ms = s->scans}};
    struct buf payload;
    buf_init(&payload, 256);
    pack_scan_reply(&payload, &reply);
    fake_answer(r, &payload);
    buf_free(&payload);
    return true;
}

static struct read_mark mark;
static void on_page(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    outcome_on_scan(ctx, e, reply);
    if (reply != NULL) mark = reply->mark;
}

START_TEST(a_snapshot_is_one_timestamp_of_all_ranges)
{
    struct script s = {.first_ts = 77};
    fake_start(&f, 4, 0);
    f.hook = on_scan;
    f.hook_ctx = &s;
    o = (struct outcome){.f = &f};
    struct client_scan scan = {.start = SLICE_EMPTY, .end = SLICE_EMPTY, .how = {.mode = READ_SNAPSHOT}};
    client_scan(f.client, slice_str("bank"), &scan, 5000, on_page, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_int_eq(o.status, STATUS_OK);
    ck_assert_uint_eq(s.scans, 3);
    ck_assert_uint_eq(s.scan_ts[0], 0);
    ck_assert_uint_eq(s.scan_ts[1], 77);
    ck_assert_uint_eq(s.scan_ts[2], 77);
    ck_assert_uint_eq(mark.ts, 77);
    s = (struct script){.scans = 0}; /* other modes: the oldest of what the ranges said */
    o = (struct outcome){.f = &f};
    scan.how.mode = READ_EVENTUAL;
    client_scan(f.client, slice_str("bank"), &scan, 5000, on_page, &o);
    fake_wait(&f, &o, SECOND);
    ck_assert_uint_eq(mark.ts, 97);
    ck_assert_uint_eq(mark.staleness_ms, 3);
    fake_stop(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_read");
    TCase *t = tcase_create("read");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, any_replica_spreads);
    tcase_add_test(t, what_a_follower_cannot_answer_the_leader_does);
    tcase_add_test(t, too_old_is_believed_when_all_have_said_so);
    tcase_add_test(t, a_snapshot_is_one_timestamp_of_all_ranges);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
