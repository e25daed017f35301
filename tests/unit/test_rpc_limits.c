/* Ceilings and backpressure: src/rpc/server.c, stream.c, peer.c. */
#include "base/limits.h"
#include "base/mem.h"
#include "lib/rpc_rig.h"
#include "lib/suite.h"
#include "rpc/rpc_int.h"

#include <check.h>
#include <stdio.h>

static struct fakenet *net;
static struct env *server_env, *client_env;
static struct echo echo;
static struct caller caller;

static void start(uint64_t seed)
{
    printf("seed %llu\n", (unsigned long long)seed);
    net = fakenet_new(&(struct fakenet_options){.seed = seed, .delay_min_ns = 50000, .delay_max_ns = 500000});
    server_env = fakenet_env(net);
    client_env = fakenet_env(net);
    echo_start(&echo, server_env, "node:1");
    caller_start(&caller, client_env, "node:1");
}

static void stop(void)
{
    caller_stop(&caller);
    echo_stop(&echo);
    fakenet_free(net);
}

START_TEST(requests_with_the_owner_are_bounded_by_count)
{
    start(1);
    echo.hold = true;
    for (unsigned i = 0; i < 3 * RPC_UNANSWERED_MAX_COUNT; i++) (void)caller_call(&caller, 8, 60 * SECOND);
    (void)fakenet_run(net, NULL, NULL, SECOND);
    ck_assert_uint_eq(echo.held_count, RPC_UNANSWERED_MAX_COUNT);
    ck_assert_uint_ge(fakenet_counts(server_env).pauses, 1);
    echo_release(&echo, RPC_UNANSWERED_MAX_COUNT / 2 - 1); /* still more than half */
    (void)fakenet_run(net, NULL, NULL, SECOND / 2);
    ck_assert_uint_eq(echo.held_count, RPC_UNANSWERED_MAX_COUNT / 2 + 1);
    echo_release(&echo, 1);
    (void)fakenet_run(net, NULL, NULL, SECOND / 2);
    ck_assert_uint_eq(echo.held_count, RPC_UNANSWERED_MAX_COUNT);
    echo.hold = false;
    echo_release(&echo, SIZE_MAX);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(caller.answered, 3 * RPC_UNANSWERED_MAX_COUNT);
    ck_assert(!echo.out_of_order);
    ck_assert(!caller.out_of_order);
    stop();
}
END_TEST

START_TEST(requests_with_the_owner_are_bounded_by_bytes)
{
    start(2);
    echo.hold = true;
    for (unsigned i = 0; i < 12; i++) { /* 96 MiB, in turns that the sender's own ceiling lets pass */
        (void)caller_call(&caller, 8u << 20, 60 * SECOND);
        (void)fakenet_run(net, NULL, NULL, 10 * MS);
    }
    (void)fakenet_run(net, NULL, NULL, SECOND);
    ck_assert_uint_ge(echo.held_count, 7);
    ck_assert_uint_le(echo.held_count, 9); /* one beyond the ceiling at most */
    echo.hold = false;
    while (echo.held_count > 0) {
        echo_release(&echo, 1);
        (void)fakenet_run(net, NULL, NULL, 20 * MS);
    }
    ck_assert(fakenet_run(net, caller_idle, &caller, 10 * SECOND));
    ck_assert_uint_eq(caller.answered, 12);
    stop();
}
END_TEST

START_TEST(one_busy_connection_does_not_starve_another)
{
    start(3);
    struct env *env = fakenet_env(net);
    struct caller other;
    caller_start(&other, env, "node:1");
    for (unsigned i = 0; i < 20 * RPC_REQUESTS_PER_PASS; i++) (void)caller_call(&caller, 8, 60 * SECOND);
    (void)fakenet_run(net, NULL, NULL, 5 * MS);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(caller.answered, 20 * RPC_REQUESTS_PER_PASS);
    echo.last_number = 0;
    (void)caller_call(&other, 8, SECOND);
    ck_assert(fakenet_run(net, caller_idle, &other, SECOND));
    ck_assert_uint_eq(other.answered, 1);
    caller_stop(&other);
    stop();
}
END_TEST

/* A client that asks and does not read: first it gets no further, then, if answers still pile up, it is closed. */
START_TEST(slow_reader_is_choked_then_closed)
{
    start(4);
    struct raw raw;
    raw_connect(&raw, net, client_env, "node:1");
    struct cluster_id none = {{0}};
    raw_hello(&raw, PROTOCOL_VERSION, &none);
    (void)fakenet_run(net, NULL, NULL, 10 * MS);
    client_env->net->ops->pause(raw.conn, true);
    echo.hold = _i == 1;
    for (uint64_t i = 1; i <= 100; i++) {
        struct buf params, frame;
        caller_params(&params, i, 1u << 20);
        buf_init(&frame, LIMIT_FRAME_BYTES);
        ck_assert(rpc_append_frame(&frame, FRAME_REQUEST, i, METHOD_TXN, buf_slice(&params)));
        client_env->net->ops->send(raw.conn, buf_slice(&frame));
        buf_free(&params);
        buf_free(&frame);
        (void)fakenet_run(net, NULL, NULL, 5 * MS);
    }
    (void)fakenet_run(net, NULL, NULL, SECOND);
    if (_i == 0) {
        ck_assert_uint_ge(echo.requests, 8);
        ck_assert_uint_le(echo.requests, 10);
        ck_assert_uint_eq(fakenet_logged(server_env, "rpc.slow_reader"), 0);
        client_env->net->ops->pause(raw.conn, false); /* it reads again: all is served */
        (void)fakenet_run(net, NULL, NULL, 5 * SECOND);
        ck_assert_uint_eq(echo.requests, 100);
    } else {
        ck_assert_uint_ge(echo.held_count, 60); /* answered at once, each with twice its size: beyond the ceiling */
        uint8_t *bytes = mem_zalloc(2u << 20);
        for (struct list *it; (it = list_pop_front(&echo.held)) != NULL;) {
            struct reply_head head = {
                .status = STATUS_OK, .message = SLICE_EMPTY, .payload = slice_make(bytes, 2u << 20)};
            rpc_reply(LIST_ENTRY(it, struct rpc_request, link), &head);
        }
        mem_free(bytes);
        server_env->ops->wake(server_env);
        client_env->net->ops->pause(raw.conn, false);
        ck_assert(fakenet_run(net, raw_is_closed, &raw, 5 * SECOND));
        ck_assert_uint_eq(fakenet_logged(server_env, "rpc.slow_reader"), 1);
    }
    raw_stop(&raw);
    stop();
}
END_TEST

START_TEST(caller_has_ceilings_too)
{
    start(5);
    fakenet_silent(server_env, true);
    for (unsigned i = 0; i < 9; i++) (void)caller_call(&caller, 8u << 20, 500 * MS); /* 72 MiB wait */
    (void)fakenet_run(net, NULL, NULL, 10 * MS);
    ck_assert_uint_eq(caller.failed, 2);
    ck_assert_int_eq(caller.last_status, STATUS_BUSY);
    ck_assert(!caller.last_sent);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    for (unsigned i = 0; i < RPC_CALLS_MAX_COUNT + 5; i++) (void)caller_call(&caller, 8, 500 * MS);
    uint64_t failed = caller.failed;
    (void)fakenet_run(net, NULL, NULL, MS);
    ck_assert_uint_ge(caller.failed, failed + 5);
    fakenet_silent(server_env, false);
    ck_assert(fakenet_run(net, caller_idle, &caller, 2 * SECOND));
    (void)caller_call(&caller, 8, 2 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, 2 * SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_OK);
    stop();
}
END_TEST

START_TEST(notifies_to_a_slow_reader_are_dropped)
{
    start(6);
    (void)caller_call(&caller, 8, SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    fakenet_silent(server_env, true);
    struct buf params;
    caller_params(&params, 1, 1u << 20);
    unsigned taken = 0;
    while (taken < 100 && rpc_notify(caller.peer, METHOD_RAFT, buf_slice(&params))) {
        taken++;
        client_env->ops->wake(client_env);
        (void)fakenet_run(net, NULL, NULL, MS);
    }
    ck_assert_uint_ge(taken, 15);
    ck_assert_uint_le(taken, 17);
    ck_assert_uint_ge(rpc_peer_unsent(caller.peer), 14u << 20);
    fakenet_silent(server_env, false);
    (void)fakenet_run(net, NULL, NULL, SECOND);
    ck_assert_uint_eq(echo.notifies, taken);
    ck_assert(rpc_notify(caller.peer, METHOD_RAFT, buf_slice(&params)));
    buf_free(&params);
    stop();
}
END_TEST

START_TEST(answer_larger_than_a_frame)
{
    start(7);
    echo.hold = true;
    (void)caller_call(&caller, 8, SECOND);
    while (echo.held_count == 0) (void)fakenet_run(net, NULL, NULL, MS);
    struct rpc_request *r = LIST_ENTRY(list_pop_front(&echo.held), struct rpc_request, link);
    echo.held_count--;
    uint8_t *bytes = mem_zalloc(LIMIT_FRAME_BYTES);
    struct reply_head head = {
        .status = STATUS_OK, .message = SLICE_EMPTY, .payload = slice_make(bytes, LIMIT_FRAME_BYTES)};
    struct buf out;
    buf_init(&out, RPC_UNSENT_MAX_BYTES);
    buf_append_str(&out, "before");
    ck_assert(!rpc_append_reply(&out, 1, METHOD_TXN, &head));
    ck_assert_uint_eq(out.size, 6); /* taken back whole */
    ck_assert(!out.overflow);
    buf_free(&out);
    rpc_reply(r, &head);
    mem_free(bytes);
    server_env->ops->wake(server_env);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_OK);
    ck_assert_int_eq(caller.last_head, STATUS_TOO_LARGE);
    ck_assert(caller.last_unknown); /* it was served; only its answer cannot be told */
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rpc_limits");
    TCase *t = tcase_create("limits");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, requests_with_the_owner_are_bounded_by_count);
    tcase_add_test(t, requests_with_the_owner_are_bounded_by_bytes);
    tcase_add_test(t, one_busy_connection_does_not_starve_another);
    tcase_add_loop_test(t, slow_reader_is_choked_then_closed, 0, 2);
    tcase_add_test(t, caller_has_ceilings_too);
    tcase_add_test(t, notifies_to_a_slow_reader_are_dropped);
    tcase_add_test(t, answer_larger_than_a_frame);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
