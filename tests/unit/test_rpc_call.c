/* Calls and connections: src/rpc/peer.c, server.c, stream.c. */
#include "base/limits.h"
#include "base/mem.h"
#include "lib/rpc_rig.h"
#include "lib/suite.h"

#include <check.h>
#include <stdio.h>

static struct fakenet *net;
static struct env *server_env, *client_env;
static struct echo echo;
static struct caller caller;
static struct prng random_source;

static void start_accepting(uint64_t seed, size_t chunk, uint64_t accept_ns)
{
    printf("seed %llu\n", (unsigned long long)seed);
    net = fakenet_new(&(struct fakenet_options){
        .seed = seed, .delay_min_ns = 50000, .delay_max_ns = 500000, .chunk_max_bytes = chunk, .accept_ns = accept_ns});
    server_env = fakenet_env(net);
    client_env = fakenet_env(net);
    echo_start(&echo, server_env, "node:1");
    caller_start(&caller, client_env, "node:1");
}

static void start(uint64_t seed, size_t chunk)
{
    start_accepting(seed, chunk, 0);
}

static void stop(void)
{
    caller_stop(&caller);
    echo_stop(&echo);
    fakenet_free(net);
}

START_TEST(calls_are_answered_in_order)
{
    start((uint64_t)_i + 1, 0);
    for (unsigned i = 0; i < 500; i++) (void)caller_call(&caller, 8 + i, 5 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, 5 * SECOND));
    ck_assert_uint_eq(caller.answered, 500);
    ck_assert(!caller.out_of_order);
    ck_assert(!echo.out_of_order);
    ck_assert(rpc_peer_connected(caller.peer));
    struct hello other;
    ck_assert(rpc_peer_hello(caller.peer, &other));
    ck_assert_uint_eq(other.node_id, 7);
    /* The 500 waited for the hello and went out as one; so did the answers. */
    ck_assert_uint_le(fakenet_counts(client_env).sends, 3);
    ck_assert_uint_le(fakenet_counts(server_env).sends, 3);
    stop();
}
END_TEST

/* Each boundary that a delivery can have, the first bytes included. */
START_TEST(frames_cut_at_every_byte)
{
    start(1, (size_t)_i + 1);
    for (unsigned i = 0; i < 20; i++) (void)caller_call(&caller, 8 + 37 * i, 60 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, 60 * SECOND));
    ck_assert_uint_eq(caller.answered, 20);
    ck_assert(!caller.out_of_order);
    stop();
}
END_TEST

START_TEST(large_frames_pass)
{
    start(3, 0);
    (void)caller_call(&caller, LIMIT_TXN_BYTES, 5 * SECOND);
    (void)caller_call(&caller, 8, 5 * SECOND);
    (void)caller_call(&caller, LIMIT_TXN_BYTES, 5 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, 5 * SECOND));
    ck_assert_uint_eq(caller.answered, 3);
    (void)caller_call(&caller, LIMIT_FRAME_BYTES, 5 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, 5 * SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_TOO_LARGE);
    ck_assert(!caller.last_sent);
    ck_assert(rpc_peer_connected(caller.peer));
    stop();
}
END_TEST

START_TEST(refused_calls_fail_fast_and_unsent)
{
    start(4, 0);
    fakenet_down(server_env, true);
    uint64_t began = fakenet_now_ns(net);
    (void)caller_call(&caller, 8, 10 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_CLOSED);
    ck_assert(!caller.last_sent);
    ck_assert(strstr(caller.last_message, "node:1") != NULL);
    ck_assert_uint_lt(caller.last_ns - began, 50 * MS);
    ck_assert(rpc_peer_down(caller.peer));
    fakenet_down(server_env, false);
    (void)caller_call(&caller, 8, 10 * SECOND); /* waits for the next attempt */
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(caller.answered, 1);
    ck_assert(!rpc_peer_down(caller.peer));
    stop();
}
END_TEST

START_TEST(attempt_to_a_silent_host_ends_after_a_second)
{
    start(5, 0);
    fakenet_silent(server_env, true);
    uint64_t began = fakenet_now_ns(net);
    (void)caller_call(&caller, 8, 10 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, 3 * SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_CLOSED);
    ck_assert(!caller.last_sent);
    ck_assert_uint_ge(caller.last_ns - began, SECOND);
    ck_assert_uint_lt(caller.last_ns - began, SECOND + 20 * MS);
    stop();
}
END_TEST

START_TEST(timeout_tells_whether_it_was_sent)
{
    start(6, 0);
    echo.hold = true;
    fakenet_silent(server_env, true);
    (void)caller_call(&caller, 8, 100 * MS);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_TIMEOUT);
    ck_assert(!caller.last_sent);
    fakenet_silent(server_env, false);
    uint64_t began = fakenet_now_ns(net);
    (void)caller_call(&caller, 8, 100 * MS);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_TIMEOUT);
    ck_assert(caller.last_sent);
    ck_assert_uint_eq(caller.last_ns, began + 100 * MS);
    echo_release(&echo, 1); /* too late: nobody waits, nothing breaks */
    echo.hold = false;
    (void)caller_call(&caller, 8, SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(caller.answered, 1);
    ck_assert_uint_eq(fakenet_counts(client_env).connects, 1);
    stop();
}
END_TEST

static bool three_held(void *ctx)
{
    (void)ctx;
    return echo.held_count == 3;
}

START_TEST(broken_connection_ends_calls_and_sends_nothing_again)
{
    start(7, 0);
    echo.hold = true;
    for (unsigned i = 0; i < 3; i++) (void)caller_call(&caller, 8, 30 * SECOND);
    ck_assert(fakenet_run(net, three_held, NULL, SECOND));
    fakenet_reset(server_env);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(caller.failed_sent, 3);
    ck_assert_int_eq(caller.last_status, STATUS_CLOSED);
    echo_release(&echo, 3); /* requests outlive their connection */
    echo.hold = false;
    (void)caller_call(&caller, 8, 30 * SECOND); /* and the peer has come back by itself */
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(caller.answered, 1);
    ck_assert_uint_eq(echo.requests, 4);
    stop();
}
END_TEST

static bool server_left(void *ctx)
{
    (void)ctx;
    return rpc_server_left(echo.server);
}

/* A server that stops loses no request: what is on its way is answered, what comes later is known not to have been sent. */
START_TEST(a_server_that_leaves_answers_what_was_sent)
{
    start((uint64_t)_i + 1, 0);
    prng_init(&random_source, (uint64_t)_i + 1);
    (void)caller_call(&caller, 8, 5 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    echo.hold = true;
    (void)caller_call(&caller, 8, 5 * SECOND);
    (void)fakenet_run(net, NULL, NULL, prng_below(&random_source, 2 * MS));
    rpc_server_leave(echo.server);
    server_env->ops->wake(server_env);
    unsigned calls = 2;
    for (; calls < 12; calls++) { /* on the way while it leaves, or after */
        (void)caller_call(&caller, 8, 5 * SECOND);
        (void)fakenet_run(net, NULL, NULL, prng_below(&random_source, 300 * NS_PER_MS / 1000));
    }
    ck_assert(!rpc_server_left(echo.server)); /* it still owes answers */
    echo.hold = false;
    echo_release(&echo, 100);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert(fakenet_run(net, server_left, NULL, SECOND));
    ck_assert_uint_eq(caller.failed_sent, 0);
    ck_assert_uint_eq(caller.answered + caller.failed, calls);
    ck_assert_uint_eq(caller.answered, echo.requests);
    (void)caller_call(&caller, 8, 5 * SECOND); /* to come back is of no use */
    ck_assert(fakenet_run(net, caller_idle, &caller, 2 * SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_CLOSED);
    ck_assert(!caller.last_sent);
    ck_assert(strstr(caller.last_message, "stopping") != NULL);
    stop();
}
END_TEST

START_TEST(answers_before_the_end_count)
{
    start(8, 0);
    (void)caller_call(&caller, 8, SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    (void)caller_call(&caller, 8, SECOND);
    while (echo.requests < 2) (void)fakenet_run(net, NULL, NULL, 50000);
    echo_stop(&echo); /* closes; the answer is on its way */
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(caller.answered, 2);
    echo_start(&echo, server_env, "node:1");
    stop();
}
END_TEST

static uint64_t gaps[64];

START_TEST(pauses_between_attempts_grow)
{
    start(9 + (uint64_t)_i, 0);
    fakenet_down(server_env, true);
    (void)caller_call(&caller, 8, 60 * SECOND);
    size_t count = 0;
    uint64_t seen = 0, last = fakenet_now_ns(net), end = last + 10 * SECOND;
    while (fakenet_now_ns(net) < end && count < 64) {
        (void)fakenet_run(net, NULL, NULL, MS / 2);
        if (fakenet_counts(client_env).connects == seen) continue;
        seen = fakenet_counts(client_env).connects;
        gaps[count++] = fakenet_now_ns(net) - last;
        last = fakenet_now_ns(net);
    }
    ck_assert_uint_ge(count, 20);
    ck_assert_uint_le(count, 60);
    ck_assert_uint_ge(gaps[1], 10 * MS);
    ck_assert_uint_le(gaps[1], 23 * MS);
    ck_assert_uint_ge(gaps[3], 40 * MS);
    bool differ = false;
    for (size_t i = 7; i < count; i++) {
        ck_assert_uint_ge(gaps[i], 250 * MS);
        ck_assert_uint_le(gaps[i], 503 * MS);
        if (gaps[i] / MS != gaps[7] / MS) differ = true;
    }
    ck_assert(differ); /* jitter */
    fakenet_down(server_env, false);
    ck_assert(!rpc_peer_connected(caller.peer));
    (void)fakenet_run(net, NULL, NULL, SECOND);
    ck_assert(rpc_peer_connected(caller.peer)); /* without a call that asks for it */
    stop();
}
END_TEST

START_TEST(nothing_is_connected_before_it_is_used)
{
    start(20, 0);
    (void)fakenet_run(net, NULL, NULL, SECOND);
    ck_assert_uint_eq(fakenet_counts(client_env).connects, 0);
    stop();
}
END_TEST

START_TEST(cancelled_calls_are_never_told)
{
    start(21, 0);
    echo.hold = true;
    struct caller_call *before = caller_call(&caller, 8, SECOND); /* waits for the connection */
    rpc_call_cancel(caller.peer, before->id);
    mem_free(before);
    struct caller_call *flying = caller_call(&caller, 8, SECOND);
    while (echo.held_count == 0) (void)fakenet_run(net, NULL, NULL, 50000);
    rpc_call_cancel(caller.peer, flying->id);
    mem_free(flying);
    echo_release(&echo, 1);
    echo.hold = false;
    (void)caller_call(&caller, 8, SECOND);
    (void)fakenet_run(net, NULL, NULL, 2 * SECOND);
    ck_assert_uint_eq(caller.answered, 1);
    ck_assert_uint_eq(caller.failed, 0);
    ck_assert_uint_eq(echo.requests, 2);
    stop();
}
END_TEST

START_TEST(notifies_are_dropped_without_connection)
{
    start(22, 0);
    struct buf params;
    caller_params(&params, 1, 100);
    ck_assert(!rpc_notify(caller.peer, METHOD_RAFT, buf_slice(&params)));
    client_env->ops->wake(client_env);
    (void)fakenet_run(net, NULL, NULL, 50 * MS);
    ck_assert(rpc_peer_connected(caller.peer)); /* the first one asked for it */
    for (unsigned i = 0; i < 10; i++) ck_assert(rpc_notify(caller.peer, METHOD_RAFT, buf_slice(&params)));
    client_env->ops->wake(client_env);
    (void)fakenet_run(net, NULL, NULL, 50 * MS);
    ck_assert_uint_eq(echo.notifies, 10);
    ck_assert_uint_eq(fakenet_counts(client_env).sends, 2); /* hello, and all ten */
    buf_free(&params);
    stop();
}
END_TEST

/* A peer that vanishes without a reset is noticed: 2 s of silence, a ping, 3 s more. */
/* Whether the bytes look as if they had arrived, or wait in our kernel for a while. */
START_TEST(silence_is_noticed)
{
    start_accepting(23, 0, _i == 0 ? 0 : MS);
    (void)caller_call(&caller, 8, SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    fakenet_silent(server_env, true);
    uint64_t began = fakenet_now_ns(net);
    (void)caller_call(&caller, 8, 60 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, 60 * SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_CLOSED);
    ck_assert(caller.last_sent);
    ck_assert_uint_ge(caller.last_ns - began, 5 * SECOND);
    ck_assert_uint_le(caller.last_ns - began, 5 * SECOND + 50 * MS);
    stop();
}
END_TEST

/* A server that is merely slow answers pings: its calls are not given up. */
START_TEST(slow_is_not_silent)
{
    start(24, 0);
    echo.hold = true;
    (void)caller_call(&caller, 8, 60 * SECOND);
    (void)fakenet_run(net, NULL, NULL, 30 * SECOND);
    ck_assert_uint_eq(echo.held_count, 1);
    echo_release(&echo, 1);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(caller.answered, 1);
    ck_assert_uint_eq(fakenet_counts(client_env).connects, 1);
    /* and an idle connection is left in peace */
    uint64_t sends = fakenet_counts(client_env).sends;
    (void)fakenet_run(net, NULL, NULL, 60 * SECOND);
    ck_assert_uint_le(fakenet_counts(client_env).sends, sends + 1);
    stop();
}
END_TEST

/* Who can ask somebody else does so before the connection is given up; who cannot waits on, and may be answered after all. */
START_TEST(calls_leave_a_silent_one)
{
    start_accepting(25, 0, _i == 0 ? 0 : MS);
    (void)caller_call(&caller, 8, SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    echo.hold = true;
    struct caller_call *waits = caller_call(&caller, 8, 60 * SECOND);
    rpc_call_elsewhere(caller.peer, waits->id);
    (void)fakenet_run(net, NULL, NULL, 3 * SECOND); /* held, but its process answers pings */
    ck_assert(!rpc_peer_silent(caller.peer));
    ck_assert_uint_eq(caller.failed, 0);
    echo_release(&echo, 1);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(caller.answered, 2);

    fakenet_silent(server_env, true);
    uint64_t began = fakenet_now_ns(net);
    (void)caller_call(&caller, 8, 60 * SECOND);
    rpc_call_elsewhere(caller.peer, caller_call(&caller, 8, 60 * SECOND)->id);
    (void)fakenet_run(net, NULL, NULL, SECOND);
    ck_assert_uint_eq(caller.failed, 1);
    ck_assert_int_eq(caller.last_status, STATUS_TIMEOUT);
    ck_assert(caller.last_sent);
    ck_assert_uint_ge(caller.last_ns - began, 500 * MS);
    ck_assert_uint_le(caller.last_ns - began, 600 * MS);
    ck_assert(rpc_peer_silent(caller.peer));
    rpc_call_elsewhere(caller.peer, caller_call(&caller, 8, 60 * SECOND)->id); /* nobody else is left: it waits */
    (void)fakenet_run(net, NULL, NULL, SECOND);
    ck_assert_uint_eq(caller.failed, 1);
    echo.hold = false;
    fakenet_silent(server_env, false);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(caller.answered, 4);
    ck_assert(!rpc_peer_silent(caller.peer));
    stop();
}
END_TEST

/* Resets, refusals, silences and cut frames at random. Each call ends once; what was answered was asked once; what ended
 * unsent never arrived. */
START_TEST(random_faults)
{
    start((uint64_t)_i * 77 + 1000, (size_t)(_i % 3) * 700);
    struct prng prng;
    prng_init(&prng, (uint64_t)_i);
    for (unsigned round = 0; round < 400; round++) {
        unsigned calls = (unsigned)prng_below(&prng, 5);
        for (unsigned i = 0; i < calls; i++)
            (void)caller_call(&caller, (size_t)prng_below(&prng, 3000), prng_between(&prng, 1, 3000) * MS);
        (void)fakenet_run(net, NULL, NULL, prng_below(&prng, 10) * MS);
        echo.hold = prng_chance(&prng, 1, 3);
        if (!echo.hold) echo_release(&echo, SIZE_MAX);
        if (prng_chance(&prng, 1, 20)) fakenet_reset(server_env);
        if (prng_chance(&prng, 1, 20)) fakenet_reset_one(net);
        if (prng_chance(&prng, 1, 40))
            fakenet_down(server_env, true);
        else
            fakenet_down(server_env, false);
        fakenet_silent(client_env, prng_chance(&prng, 1, 30));
    }
    echo.hold = false;
    echo_release(&echo, SIZE_MAX);
    fakenet_down(server_env, false);
    fakenet_silent(client_env, false);
    ck_assert(fakenet_run(net, caller_idle, &caller, 10 * SECOND));
    ck_assert_uint_gt(caller.answered, 50);
    ck_assert_uint_gt(caller.failed_sent, 0);
    ck_assert_uint_gt(caller.failed, caller.failed_sent);
    ck_assert(!echo.out_of_order); /* in particular: none twice */
    ck_assert_uint_ge(echo.requests, caller.answered);
    ck_assert_uint_le(echo.requests, caller.answered + caller.failed_sent);
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rpc_call");
    TCase *t = tcase_create("call");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, calls_are_answered_in_order, 0, 10);
    tcase_add_loop_test(t, frames_cut_at_every_byte, 0, 64);
    tcase_add_test(t, large_frames_pass);
    tcase_add_test(t, refused_calls_fail_fast_and_unsent);
    tcase_add_test(t, attempt_to_a_silent_host_ends_after_a_second);
    tcase_add_test(t, timeout_tells_whether_it_was_sent);
    tcase_add_test(t, broken_connection_ends_calls_and_sends_nothing_again);
    tcase_add_loop_test(t, a_server_that_leaves_answers_what_was_sent, 0, 40);
    tcase_add_test(t, answers_before_the_end_count);
    tcase_add_loop_test(t, pauses_between_attempts_grow, 0, 5);
    tcase_add_test(t, nothing_is_connected_before_it_is_used);
    tcase_add_test(t, cancelled_calls_are_never_told);
    tcase_add_test(t, notifies_are_dropped_without_connection);
    tcase_add_loop_test(t, silence_is_noticed, 0, 2);
    tcase_add_test(t, slow_is_not_silent);
    tcase_add_loop_test(t, calls_leave_a_silent_one, 0, 2);
    tcase_add_loop_test(t, random_faults, 0, 40);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
