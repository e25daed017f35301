/* Who may talk to whom, and garbage: src/rpc/hello.c, server.c, peer.c. */
#include "lib/rpc_rig.h"
#include "lib/suite.h"

#include <check.h>
#include <stdio.h>

static struct fakenet *net;
static struct env *server_env, *client_env;
static struct echo echo;
static struct arena arena;

static void start(uint64_t seed, size_t chunk)
{
    printf("seed %llu\n", (unsigned long long)seed);
    net = fakenet_new(&(struct fakenet_options){
        .seed = seed, .delay_min_ns = 50000, .delay_max_ns = 500000, .chunk_max_bytes = chunk});
    server_env = fakenet_env(net);
    client_env = fakenet_env(net);
    echo_start(&echo, server_env, "node:1");
    arena_init(&arena, 1024);
}

static void stop(void)
{
    arena_free(&arena);
    echo_stop(&echo);
    fakenet_free(net);
}

static struct cluster_id cluster(uint8_t byte)
{
    struct cluster_id id;
    memset(id.bytes, byte, sizeof(id.bytes));
    return id;
}

/* An address may have become another's: what was meant for one must not reach the other. */
START_TEST(somebody_else_at_the_address)
{
    start(7, 0);
    struct caller caller;
    caller_start(&caller, client_env, "node:1");
    rpc_peer_expect(caller.peer, ROLE_NODE, 8);
    (void)caller_call(&caller, 8, 5 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_CLOSED);
    ck_assert(!caller.last_sent);
    ck_assert(strstr(caller.last_message, "node 7") != NULL);
    rpc_peer_expect(caller.peer, ROLE_META, 7);
    (void)caller_call(&caller, 8, 5 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(echo.requests, 0);
    rpc_peer_expect(caller.peer, ROLE_NODE, 7);
    (void)caller_call(&caller, 8, 5 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(caller.answered, 1);
    caller_stop(&caller);
    stop();
}
END_TEST

static bool contains(struct slice s, const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i + size <= s.size; i++) {
        if (memcmp(s.data + i, text, size) == 0) return true;
    }
    return false;
}

START_TEST(other_cluster_is_refused_by_the_server)
{
    start((uint64_t)_i + 1, (size_t)_i * 3);
    echo.self.cluster = cluster(0xaa);
    struct raw raw;
    raw_connect(&raw, net, client_env, "node:1");
    struct cluster_id other = cluster(0xbb);
    raw_hello(&raw, PROTOCOL_VERSION, &other);
    ck_assert(fakenet_run(net, raw_is_closed, &raw, SECOND));
    struct reply_head head;
    ck_assert(raw_reply(&raw, &arena, &head));
    ck_assert_int_eq(head.status, STATUS_WRONG_CLUSTER);
    ck_assert(contains(head.message, "aaaaaaaa"));
    ck_assert(contains(head.message, "bbbbbbbb"));
    ck_assert_uint_eq(fakenet_logged(server_env, "rpc.refused"), 1);
    raw_stop(&raw);
    stop();
}
END_TEST

START_TEST(other_version_is_refused_by_the_server)
{
    start((uint64_t)_i + 1, (size_t)_i * 3);
    struct raw raw;
    raw_connect(&raw, net, client_env, "node:1");
    struct cluster_id none = cluster(0);
    raw_hello(&raw, 4242, &none);
    ck_assert(fakenet_run(net, raw_is_closed, &raw, SECOND));
    struct reply_head head;
    ck_assert(raw_reply(&raw, &arena, &head));
    ck_assert_int_eq(head.status, STATUS_UNSUPPORTED);
    char ours[32];
    (void)snprintf(ours, sizeof(ours), "process version %u", PROTOCOL_VERSION);
    ck_assert(contains(head.message, "4242"));
    ck_assert(contains(head.message, ours));
    raw_stop(&raw);
    stop();
}
END_TEST

START_TEST(calls_to_another_cluster_end_with_the_reason)
{
    start(3, 0);
    echo.self.cluster = cluster(1);
    struct caller caller;
    caller_start(&caller, client_env, "node:1");
    caller.self.cluster = cluster(2);
    (void)caller_call(&caller, 8, 10 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_WRONG_CLUSTER);
    ck_assert(!caller.last_sent);
    ck_assert(contains(slice_str(caller.last_message), "cluster 0101"));
    ck_assert_uint_eq(echo.requests, 0);
    caller.self.cluster = cluster(1); /* the peer keeps trying: a corrected identity is enough */
    (void)caller_call(&caller, 8, 10 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, 2 * SECOND));
    ck_assert_uint_eq(caller.answered, 1);
    caller_stop(&caller);
    stop();
}
END_TEST

/* A server that does not know the client's cluster yet admits it; the client's check of the answer is the one that counts. */
START_TEST(unknown_clusters_fit)
{
    for (uint8_t i = 0; i < 4; i++) {
        start(4, 0);
        struct caller caller;
        caller_start(&caller, client_env, "node:1");
        echo.self.cluster = cluster(i & 1);
        caller.self.cluster = cluster(i >> 1);
        (void)caller_call(&caller, 8, 10 * SECOND);
        ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
        ck_assert_uint_eq(caller.answered, 1);
        struct hello other;
        ck_assert(rpc_peer_hello(caller.peer, &other));
        ck_assert_int_eq(memcmp(other.cluster.bytes, echo.self.cluster.bytes, CLUSTER_ID_BYTES), 0);
        caller_stop(&caller);
        stop();
    }
}
END_TEST

/* --- cluster versions (docs/upgrade.md) --- */

START_TEST(too_old_for_what_is_finalised)
{
    start((uint64_t)_i + 11, (size_t)_i * 3);
    echo.self.finalised = 2;
    struct caller caller;
    caller_start(&caller, client_env, "node:1");
    caller.self.newest = 1;
    (void)caller_call(&caller, 8, 10 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_UNSUPPORTED);
    ck_assert(!caller.last_sent);
    ck_assert(contains(slice_str(caller.last_message), "finalised at version 2"));
    ck_assert_uint_eq(fakenet_logged(server_env, "rpc.refused"), 1);
    caller.self.newest = 0; /* of this program: it supports 2 */
    (void)caller_call(&caller, 8, 10 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, 2 * SECOND));
    ck_assert_uint_eq(caller.answered, 1);
    caller_stop(&caller);
    stop();
}
END_TEST

/* A server that is too old for what the caller knows is no reason for the caller to end: another may do. */
START_TEST(a_server_that_is_too_old)
{
    start(21, 0);
    echo.self.newest = 1;
    struct caller caller;
    caller_start(&caller, client_env, "node:1");
    caller.self.finalised = 2;
    (void)caller_call(&caller, 8, 10 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_int_eq(caller.last_status, STATUS_CLOSED);
    ck_assert(contains(slice_str(caller.last_message), "finalised at version 2"));
    ck_assert_uint_eq(echo.requests, 0);
    caller_stop(&caller);
    stop();
}
END_TEST

/* Connections from before are let go, by whoever hears first that the other is too old. */
START_TEST(finalising_lets_the_older_go)
{
    start(31, 0);
    struct caller caller;
    caller_start(&caller, client_env, "node:1");
    if (_i == 0)
        caller.self.newest = 1;
    else
        echo.self.newest = 1;
    (void)caller_call(&caller, 8, 10 * SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
    ck_assert_uint_eq(caller.answered, 1);
    if (_i == 0) {
        echo.self.finalised = 2;
        server_env->ops->wake(server_env);
    } else {
        caller.self.finalised = 2;
    }
    (void)fakenet_run(net, NULL, NULL, 100 * MS);
    (void)caller_call(&caller, 8, SECOND);
    ck_assert(fakenet_run(net, caller_idle, &caller, 2 * SECOND));
    ck_assert_uint_eq(caller.answered, 1);
    ck_assert_uint_eq(echo.requests, 1);
    caller_stop(&caller);
    stop();
}
END_TEST

/* As programs wrote it before versions were told: four elements. */
START_TEST(a_former_hello_is_of_version_1)
{
    struct hello hello;
    struct buf b;
    struct cluster_id none = cluster(0);
    arena_init(&arena, 1024);
    buf_init(&b, 256);
    pack_array(&b, 4);
    pack_uint(&b, PROTOCOL_VERSION);
    pack_uint(&b, ROLE_NODE);
    pack_uint(&b, 7);
    pack_bin(&b, slice_make(none.bytes, CLUSTER_ID_BYTES));
    ck_assert_int_eq(unpack_hello(buf_slice(&b), &arena, &hello), STATUS_OK);
    ck_assert_uint_eq(hello.newest, VERSION_FIRST);
    ck_assert_uint_eq(hello.oldest, VERSION_FIRST);
    ck_assert_uint_eq(hello.finalised, 0);
    buf_free(&b);
    arena_free(&arena);
}
END_TEST

static void send_bytes(struct raw *raw, const void *bytes, size_t size)
{
    raw->env->net->ops->send(raw->conn, slice_make(bytes, size));
}

static void expect_garbage(struct raw *raw, unsigned logged)
{
    ck_assert(fakenet_run(net, raw_is_closed, raw, SECOND));
    ck_assert_uint_eq(fakenet_logged(server_env, "rpc.garbage peer=client-of-node:1"), logged);
    struct reply_head head;
    ck_assert(raw_reply(raw, &arena, &head) || raw->in.size > 0);
    ck_assert_uint_eq(echo.requests, 0);
    raw_stop(raw);
}

START_TEST(garbage_is_answered_logged_and_closed)
{
    start(5, (size_t)_i);
    static const char *const TEXTS[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\xff\xff\xff\xff",
                                        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
    for (unsigned i = 0; i < 4; i++) {
        struct raw raw;
        raw_connect(&raw, net, client_env, "node:1");
        send_bytes(&raw, TEXTS[i], strlen(TEXTS[i]));
        expect_garbage(&raw, i + 1);
    }
    static const uint8_t ZEROES[64];
    struct raw raw;
    raw_connect(&raw, net, client_env, "node:1");
    send_bytes(&raw, ZEROES, sizeof(ZEROES));
    expect_garbage(&raw, 5);
    stop();
}
END_TEST

/* Well-formed frames that have no business there. */
START_TEST(frames_out_of_place)
{
    start(6, 0);
    static const struct {
        bool hello;
        enum frame_type type;
        enum method method;
    } CASES[] = {{false, FRAME_REQUEST, METHOD_TXN},
                 {false, FRAME_NOTIFY, METHOD_HELLO},
                 {false, FRAME_RESPONSE, METHOD_HELLO},
                 {false, FRAME_REQUEST, METHOD_HELLO}, /* with params that are no hello */
                 {true, FRAME_RESPONSE, METHOD_TXN}};
    for (unsigned i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct raw raw;
        raw_connect(&raw, net, client_env, "node:1");
        struct cluster_id none = cluster(0);
        if (CASES[i].hello) raw_hello(&raw, PROTOCOL_VERSION, &none);
        struct buf frame;
        buf_init(&frame, 4096);
        size_t mark = frame_begin(&frame, CASES[i].type, 1, CASES[i].method);
        pack_nil(&frame);
        frame_end(&frame, mark);
        raw.env->net->ops->send(raw.conn, buf_slice(&frame));
        buf_free(&frame);
        expect_garbage(&raw, i + 1);
    }
    stop();
}
END_TEST

/* One flipped bit anywhere in a good stream: an answer to the unharmed part at most, then an error, never a wrong request. */
START_TEST(flipped_bits)
{
    start(7, 0);
    struct buf stream;
    buf_init(&stream, 65536);
    struct hello hello = {.version = PROTOCOL_VERSION, .role = ROLE_CLIENT};
    size_t mark = frame_begin(&stream, FRAME_REQUEST, 0, METHOD_HELLO);
    pack_hello(&stream, &hello);
    frame_end(&stream, mark);
    size_t hello_size = stream.size;
    struct buf params;
    caller_params(&params, 1, 16);
    mark = frame_begin(&stream, FRAME_REQUEST, 1, METHOD_TXN);
    buf_append_slice(&stream, buf_slice(&params));
    frame_end(&stream, mark);
    for (size_t bit = (size_t)_i; bit < stream.size * 8; bit += 8) {
        struct raw raw;
        raw_connect(&raw, net, client_env, "node:1");
        stream.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        send_bytes(&raw, stream.data, stream.size);
        stream.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        (void)fakenet_run(net, NULL, NULL, 10 * MS);
        ck_assert_uint_eq(echo.requests, 0);
        /* A longer length makes the server wait for the rest; anything else is noticed at once. */
        bool length = bit / 8 % hello_size < 4;
        ck_assert(raw.closed || length);
        raw_stop(&raw);
    }
    buf_free(&params);
    buf_free(&stream);
    stop();
}
END_TEST

START_TEST(no_hello_is_closed_after_a_while)
{
    start(8, 0);
    struct raw raw;
    raw_connect(&raw, net, client_env, "node:1");
    send_bytes(&raw, "\x20", 1); /* a start, and no more */
    (void)fakenet_run(net, NULL, NULL, 4 * SECOND);
    ck_assert(!raw.closed);
    ck_assert(fakenet_run(net, raw_is_closed, &raw, 2 * SECOND));
    ck_assert_uint_eq(fakenet_logged(server_env, "rpc.no_hello"), 1);
    raw_stop(&raw);
    stop();
}
END_TEST

/* A server that talks nonsense: the client's side of the same. */
struct liar {
    struct env *env;
    struct net_conn *conn;
    const char *says;
    size_t size;
    unsigned accepted;
};
static void liar_on_data(void *ctx, struct net_conn *conn, struct slice bytes)
{
    struct liar *l = ctx;
    (void)bytes;
    if (l->conn == NULL) return;
    l->env->net->ops->send(conn, slice_make(l->says, l->size));
    l->conn = NULL; /* once */
}
static void liar_on_close(void *ctx, struct net_conn *conn, enum status why)
{
    (void)ctx;
    (void)conn;
    (void)why;
}
static const struct net_handler LIAR_HANDLER = {.on_data = liar_on_data, .on_close = liar_on_close};
static void liar_accept(void *ctx, struct net_conn *conn)
{
    struct liar *l = ctx;
    l->accepted++;
    l->conn = conn;
    l->env->net->ops->attach(conn, &LIAR_HANDLER, l);
}

START_TEST(garbage_from_a_server)
{
    start(9, (size_t)_i * 5);
    struct buf odd;
    buf_init(&odd, 65536);
    struct hello hello = {.version = PROTOCOL_VERSION, .role = ROLE_NODE};
    struct buf payload;
    buf_init(&payload, 4096);
    pack_hello(&payload, &hello);
    struct reply_head head = {.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&payload)};
    size_t mark = frame_begin(&odd, FRAME_RESPONSE, 0, METHOD_HELLO);
    pack_reply_head(&odd, &head);
    frame_end(&odd, mark);
    mark = frame_begin(&odd, FRAME_RESPONSE, 999, METHOD_TXN); /* never asked */
    pack_reply_head(&odd, &head);
    frame_end(&odd, mark);
    const struct slice says[] = {slice_str("HTTP/1.1 400 Bad Request\r\n\r\n"), buf_slice(&odd)};
    for (unsigned i = 0; i < 2; i++) {
        struct liar liar = {.env = client_env, .says = (const char *)says[i].data, .size = says[i].size};
        struct net_listener *listener;
        struct env *env = fakenet_env(net);
        ck_assert_int_eq(client_env->net->ops->listen(client_env->net, i == 0 ? "liar:0" : "liar:1", liar_accept, &liar,
                                                      &listener, NULL),
                         STATUS_OK);
        struct caller caller;
        caller_start(&caller, env, i == 0 ? "liar:0" : "liar:1");
        (void)caller_call(&caller, 8, 10 * SECOND);
        ck_assert(fakenet_run(net, caller_idle, &caller, SECOND));
        ck_assert_int_eq(caller.last_status, STATUS_CLOSED);
        ck_assert_uint_ge(fakenet_logged(env, "rpc.garbage"), 1);
        (void)fakenet_run(net, NULL, NULL, SECOND);
        ck_assert_uint_ge(liar.accepted, 2); /* it tries again, with pauses */
        ck_assert_uint_le(liar.accepted, 20);
        caller_stop(&caller);
        (void)fakenet_run(net, NULL, NULL, SECOND);
        client_env->net->ops->unlisten(listener);
    }
    buf_free(&payload);
    buf_free(&odd);
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rpc_hello");
    TCase *t = tcase_create("hello");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, other_cluster_is_refused_by_the_server, 0, 5);
    tcase_add_loop_test(t, other_version_is_refused_by_the_server, 0, 5);
    tcase_add_test(t, somebody_else_at_the_address);
    tcase_add_test(t, calls_to_another_cluster_end_with_the_reason);
    tcase_add_test(t, unknown_clusters_fit);
    tcase_add_loop_test(t, too_old_for_what_is_finalised, 0, 5);
    tcase_add_test(t, a_server_that_is_too_old);
    tcase_add_loop_test(t, finalising_lets_the_older_go, 0, 2);
    tcase_add_test(t, a_former_hello_is_of_version_1);
    tcase_add_loop_test(t, garbage_is_answered_logged_and_closed, 0, 6);
    tcase_add_test(t, frames_out_of_place);
    tcase_add_loop_test(t, flipped_bits, 0, 8);
    tcase_add_test(t, no_hello_is_closed_after_a_while);
    tcase_add_loop_test(t, garbage_from_a_server, 0, 4);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
