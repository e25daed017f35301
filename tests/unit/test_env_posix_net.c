/* The network seam: echo, sizes, many connections, ends of every kind, backpressure, refusals. */
#define _GNU_SOURCE /* sockets */
#include "test_env_posix_common.h"

#include "base/prng.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MESSAGE (1024u * 1024u)

/* A peer notes what happens to its connection. The server's ends echo when asked to. */
struct peer {
    struct env *env;
    struct net_conn *conn; /* NULL when ended */
    struct server *server; /* of the accepted ends */
    bool opened, closed, calls_forbidden;
    enum status why;
    struct buf in;
    size_t received;
    bool discard;
};
struct server {
    struct env *env;
    struct net_listener *listener;
    struct peer peers[256];
    size_t count;
    bool echo, refuse, paused, discard;
};

static void on_open(void *ctx, struct net_conn *c)
{
    struct peer *p = ctx;
    ck_assert(!p->calls_forbidden);
    ck_assert(!p->opened);
    ck_assert_ptr_eq(c, p->conn);
    p->opened = true;
}
static void on_data(void *ctx, struct net_conn *c, struct slice bytes)
{
    struct peer *p = ctx;
    ck_assert(!p->calls_forbidden);
    ck_assert_ptr_eq(c, p->conn);
    ck_assert_uint_gt(bytes.size, 0);
    p->received += bytes.size;
    if (p->server != NULL && p->server->echo) p->env->net->ops->send(c, bytes);
    if (!p->discard) buf_append_slice(&p->in, bytes);
}
static void on_close(void *ctx, struct net_conn *c, enum status why)
{
    struct peer *p = ctx;
    ck_assert(!p->calls_forbidden);
    ck_assert(!p->closed);
    ck_assert_ptr_eq(c, p->conn);
    p->closed = true;
    p->why = why;
    p->conn = NULL;
}
static const struct net_handler handler = {.on_open = on_open, .on_data = on_data, .on_close = on_close};

static void peer_init(struct peer *p, struct env *env)
{
    *p = (struct peer){.env = env};
    buf_init(&p->in, 64u * 1024u * 1024u);
}
static void peer_connect(struct peer *p, struct env *env, const char *address)
{
    peer_init(p, env);
    p->conn = env->net->ops->connect(env->net, address, &handler, p);
    ck_assert_ptr_nonnull(p->conn);
    ck_assert(!p->opened);
    ck_assert(!p->closed);
}
static void peer_close(struct peer *p)
{
    if (p->conn == NULL) return;
    p->env->net->ops->close(p->conn);
    p->conn = NULL;
    p->calls_forbidden = true;
}
static void peer_free(struct peer *p)
{
    peer_close(p);
    buf_free(&p->in);
}

static void on_accept(void *ctx, struct net_conn *c)
{
    struct server *s = ctx;
    if (s->refuse) {
        s->env->net->ops->close(c);
        s->count++;
        return;
    }
    ck_assert_uint_lt(s->count, 256);
    struct peer *p = &s->peers[s->count++];
    peer_init(p, s->env);
    p->server = s;
    p->conn = c;
    p->discard = s->discard;
    s->env->net->ops->attach(c, &handler, p);
    if (s->paused) s->env->net->ops->pause(c, true);
}
static struct server *server_new(struct env *env, const char *address)
{
    struct server *s = mem_zalloc(sizeof(*s));
    struct errbuf err = {.text = ""};
    s->env = env;
    enum status status = env->net->ops->listen(env->net, address, on_accept, s, &s->listener, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.text);
    return s;
}
static void server_free(struct server *s)
{
    for (size_t i = 0; i < s->count && !s->refuse; i++) peer_free(&s->peers[i]);
    s->env->net->ops->unlisten(s->listener);
    mem_free(s);
}

static bool is_open(void *ctx)
{
    return ((struct peer *)ctx)->opened;
}
static bool is_closed(void *ctx)
{
    return ((struct peer *)ctx)->closed;
}
static bool has_message(void *ctx)
{
    return ((struct peer *)ctx)->received >= MESSAGE;
}
static bool has_peer(void *ctx)
{
    return ((struct server *)ctx)->count > 0;
}
static uint8_t *message_new(uint64_t seed)
{
    struct prng p;
    uint8_t *bytes = mem_alloc(MESSAGE);
    prng_init(&p, seed);
    for (size_t i = 0; i < MESSAGE; i++) bytes[i] = (uint8_t)prng_next(&p);
    return bytes;
}

static void echo_over(const char *address)
{
    struct env *env = test_env_new(NULL);
    struct server *s = server_new(env, address);
    struct peer p;
    uint8_t *bytes = message_new(5);
    s->echo = true;
    peer_connect(&p, env, env_posix_listener_address(s->listener));
    for (unsigned round = 0; round < 3; round++) {
        env->net->ops->send(p.conn, slice_make(bytes, MESSAGE)); /* the first before it is open */
        ck_assert_uint_eq(env->net->ops->unsent(p.conn), MESSAGE);
        test_wait(env, has_message, &p);
        ck_assert_uint_eq(p.received, MESSAGE);
        ck_assert(slice_eq(buf_slice(&p.in), slice_make(bytes, MESSAGE)));
        ck_assert_uint_eq(env->net->ops->unsent(p.conn), 0);
        buf_clear(&p.in);
        p.received = 0;
    }
    ck_assert_uint_gt(strlen(env->net->ops->peer(p.conn)), 0);
    ck_assert(p.opened);
    peer_free(&p);
    server_free(s);
    env_posix_free(env);
    mem_free(bytes);
}

START_TEST(echo)
{
    echo_over("127.0.0.1:0");
    struct test_dir dir = test_dir_new();
    char path[128];
    (void)snprintf(path, sizeof(path), "unix:%s/socket", dir.path);
    echo_over(path);
    echo_over(path); /* the name is free again */
    test_dir_free(&dir);
}
END_TEST

START_TEST(echo_v6)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0); /* a machine without IPv6 is told apart by the system */
    struct env *env = test_env_new(NULL);
    struct errbuf err = {.text = ""};
    struct net_listener *l;
    enum status s = env->net->ops->listen(env->net, "[::1]:0", on_accept, NULL, &l, &err);
    if (s == STATUS_OK) {
        ck_assert_int_eq(strncmp(env_posix_listener_address(l), "[::1]:", 6), 0);
        env->net->ops->unlisten(l);
        echo_over("[::1]:0");
    } else {
        ck_assert_msg(strstr(err.text, "[::1]:0") != NULL, "%s", err.text);
    }
    env_posix_free(env);
    if (fd >= 0) (void)close(fd);
}
END_TEST

/* Names are resolved on a worker; localhost may have an IPv6 address first that nobody listens on. */
START_TEST(names_are_resolved)
{
    struct env *env = test_env_new(NULL);
    struct server *s = server_new(env, "127.0.0.1:0");
    struct peer p, unknown, gone;
    char address[64];
    (void)snprintf(address, sizeof(address), "localhost%s", strchr(env_posix_listener_address(s->listener), ':'));
    peer_connect(&p, env, address);
    test_wait(env, is_open, &p);
    peer_free(&p);
    peer_connect(&unknown, env, "no-such-name.invalid:1");
    test_wait(env, is_closed, &unknown);
    ck_assert_int_eq((int)unknown.why, (int)STATUS_UNAVAILABLE);
    peer_free(&unknown);
    peer_connect(&gone, env, address); /* closed while it is being looked up */
    peer_free(&gone);
    server_free(s);
    env_posix_free(env);
}
END_TEST

START_TEST(refused)
{
    struct env *env = test_env_new(NULL);
    struct server *s = server_new(env, "127.0.0.1:0");
    struct peer p;
    char address[64];
    (void)snprintf(address, sizeof(address), "%s", env_posix_listener_address(s->listener));
    server_free(s);
    peer_connect(&p, env, address);
    env->net->ops->send(p.conn, slice_str("lost"));
    test_wait(env, is_closed, &p);
    ck_assert(!p.opened);
    ck_assert_int_eq((int)p.why, (int)STATUS_UNAVAILABLE);
    peer_free(&p);
    static const char *const bad[] = {"",       "x",       "127.0.0.1", "127.0.0.1:",  ":80", "127.0.0.1:65536",
                                      "::1:80", "[::1]80", "unix:",     "127.0.0.1:8o"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct errbuf err;
        struct net_listener *l;
        peer_connect(&p, env, bad[i]);
        test_wait(env, is_closed, &p);
        ck_assert_int_eq((int)p.why, (int)STATUS_INVALID);
        peer_free(&p);
        ck_assert_int_eq(env->net->ops->listen(env->net, bad[i], on_accept, NULL, &l, &err), STATUS_INVALID);
        ck_assert_ptr_nonnull(strstr(err.text, "address"));
    }
    peer_connect(&p, env, "unix:/nonexistent/socket");
    test_wait(env, is_closed, &p);
    ck_assert_int_eq((int)p.why, (int)STATUS_UNAVAILABLE);
    peer_free(&p);
    env_posix_free(env);
}
END_TEST

START_TEST(listen_errors_name_cause_and_cure)
{
    struct env *env = test_env_new(NULL);
    struct server *s = server_new(env, "127.0.0.1:0");
    struct errbuf err;
    struct net_listener *l;
    char text[256];
    const char *taken = env_posix_listener_address(s->listener);
    ck_assert_int_eq(env->net->ops->listen(env->net, taken, on_accept, NULL, &l, &err), STATUS_EXISTS);
    (void)snprintf(text, sizeof(text),
                   "address %s is in use by another process: stop it or choose another port with --listen", taken);
    ck_assert_str_eq(err.text, text);
    ck_assert_ptr_null(l);
    ck_assert_int_eq(env->net->ops->listen(env->net, "192.0.2.1:1", on_accept, NULL, &l, &err), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "192.0.2.1:1 does not belong to this machine"));
    ck_assert_int_eq(env->net->ops->listen(env->net, "no-such-name.invalid:1", on_accept, NULL, &l, &err),
                     STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "is unknown"));
    server_free(s);
    env_posix_free(env);
}
END_TEST

START_TEST(stale_unix_socket_is_taken_over_and_a_live_one_is_not)
{
    struct test_dir dir = test_dir_new();
    struct env *env = test_env_new(NULL);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct errbuf err;
    struct net_listener *l;
    char address[128];
    (void)snprintf(address, sizeof(address), "unix:%s/s", dir.path);
    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", dir.path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)(void *)&a, sizeof(a)), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(env->net->ops->listen(env->net, address, on_accept, NULL, &l, &err), STATUS_EXISTS);
    (void)close(fd); /* as a killed process leaves it */
    struct server *s = server_new(env, address);
    server_free(s);
    env_posix_free(env);
    test_dir_free(&dir);
}
END_TEST

/* What was sent before a close arrives, all of it, then the end; both for a little and for more than the sockets hold. */
static void close_delivers(size_t copies)
{
    struct env *env = test_env_new(NULL);
    struct server *s = server_new(env, "127.0.0.1:0");
    struct peer p;
    uint8_t *bytes = message_new(6);
    s->paused = true;
    peer_connect(&p, env, env_posix_listener_address(s->listener));
    test_wait(env, is_open, &p);
    test_wait(env, has_peer, s);
    for (size_t i = 0; i < copies; i++) env->net->ops->send(p.conn, slice_make(bytes, MESSAGE));
    peer_close(&p); /* its callbacks fail the test from here on */
    env->net->ops->pause(s->peers[0].conn, false);
    test_wait(env, is_closed, &s->peers[0]);
    ck_assert_int_eq((int)s->peers[0].why, (int)STATUS_CLOSED);
    ck_assert_uint_eq(s->peers[0].received, copies * MESSAGE);
    for (size_t i = 0; i < copies; i++) ck_assert_int_eq(memcmp(s->peers[0].in.data + i * MESSAGE, bytes, MESSAGE), 0);
    peer_free(&p);
    server_free(s);
    env_posix_free(env);
    mem_free(bytes);
}

START_TEST(close_delivers_what_was_sent)
{
    close_delivers(1);
    close_delivers(12);
}
END_TEST

/* A reply followed by a close reaches a peer that is still sending: its bytes are read and dropped, not answered with a
 * reset. */
START_TEST(close_does_not_reset_a_peer_that_sends)
{
    struct env *env = test_env_new(NULL);
    struct server *s = server_new(env, "127.0.0.1:0");
    struct peer p;
    uint8_t *bytes = message_new(7);
    s->paused = true;
    peer_connect(&p, env, env_posix_listener_address(s->listener));
    for (size_t i = 0; i < 16; i++) env->net->ops->send(p.conn, slice_make(bytes, MESSAGE));
    test_wait(env, has_peer, s);
    env->net->ops->send(s->peers[0].conn, slice_str("go away"));
    peer_close(&s->peers[0]);
    test_wait(env, is_closed, &p);
    ck_assert(slice_eq(buf_slice(&p.in), slice_str("go away")));
    peer_free(&p);
    server_free(s);
    env_posix_free(env);
    mem_free(bytes);
}
END_TEST

START_TEST(accept_may_close)
{
    struct env *env = test_env_new(NULL);
    struct server *s = server_new(env, "127.0.0.1:0");
    struct peer p;
    s->refuse = true;
    peer_connect(&p, env, env_posix_listener_address(s->listener));
    test_wait(env, is_closed, &p);
    ck_assert_int_eq((int)p.why, (int)STATUS_CLOSED);
    ck_assert_uint_eq(s->count, 1);
    peer_free(&p);
    server_free(s);
    env_posix_free(env);
}
END_TEST

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

/* A receiver that pauses stops the sender's bytes in the sender's memory; it loses nothing when it goes on. */
START_TEST(backpressure)
{
    struct env *env = test_env_new(NULL);
    struct server *s = server_new(env, "127.0.0.1:0");
    struct peer p;
    uint8_t *bytes = message_new(8);
    s->paused = true;
    s->discard = true;
    peer_connect(&p, env, env_posix_listener_address(s->listener));
    for (size_t i = 0; i < 32; i++) env->net->ops->send(p.conn, slice_make(bytes, MESSAGE));
    test_wait(env, has_peer, s);
    struct peer *q = &s->peers[0];
    size_t before = 0;
    do { /* until the kernel takes no more */
        before = env->net->ops->unsent(p.conn);
        env_posix_run_until(env, never, NULL, 20 * NS_PER_MS);
    } while (env->net->ops->unsent(p.conn) != before);
    ck_assert_uint_gt(before, 8u * MESSAGE);
    ck_assert_uint_eq(q->received, 0);
    env->net->ops->pause(q->conn, false);
    while (q->received < 4u * MESSAGE)
        env_posix_run_until(env, has_message, q, WAIT_NS), env_posix_run_until(env, never, NULL, NS_PER_MS);
    env->net->ops->pause(q->conn, true);
    size_t stopped = q->received;
    env_posix_run_until(env, never, NULL, 20 * NS_PER_MS);
    ck_assert_uint_eq(q->received, stopped);
    env->net->ops->pause(q->conn, false);
    uint64_t end = env_mono_ns(env) + WAIT_NS;
    while (q->received < 32u * MESSAGE && env_mono_ns(env) < end) env_posix_run_until(env, never, NULL, NS_PER_MS);
    ck_assert_uint_eq(q->received, 32u * MESSAGE);
    ck_assert_uint_eq(env->net->ops->unsent(p.conn), 0);
    peer_free(&p);
    server_free(s);
    env_posix_free(env);
    mem_free(bytes);
}
END_TEST

struct crowd {
    struct server *server;
    struct peer peers[200];
};
static bool crowd_served(void *ctx)
{
    struct crowd *c = ctx;
    for (size_t i = 0; i < 200; i++) {
        if (c->peers[i].received < 6) return false;
    }
    return true;
}
static bool crowd_gone(void *ctx)
{
    struct crowd *c = ctx;
    for (size_t i = 0; i < c->server->count; i++) {
        if (!c->server->peers[i].closed) return false;
    }
    return c->server->count == 200;
}

START_TEST(many_connections)
{
    struct env *env = test_env_new(NULL);
    struct crowd c;
    c.server = server_new(env, "127.0.0.1:0");
    c.server->echo = true;
    for (size_t i = 0; i < 200; i++) {
        char text[8];
        peer_connect(&c.peers[i], env, env_posix_listener_address(c.server->listener));
        (void)snprintf(text, sizeof(text), "%06zu", i);
        for (size_t at = 0; at < 6; at++) env->net->ops->send(c.peers[i].conn, slice_make(text + at, 1)); /* one send */
    }
    test_wait(env, crowd_served, &c);
    for (size_t i = 0; i < 200; i++) {
        char text[8];
        (void)snprintf(text, sizeof(text), "%06zu", i);
        ck_assert(slice_eq(buf_slice(&c.peers[i].in), slice_str(text)));
        peer_free(&c.peers[i]);
    }
    test_wait(env, crowd_gone, &c);
    server_free(c.server);
    env_posix_free(env);
}
END_TEST

/* Above the cap they wait in the backlog, and are served when others have left. */
START_TEST(cap_of_connections)
{
    struct errbuf err;
    struct env_posix_options o = {.log_path = "/dev/null", .connections_max = 3};
    struct env *env = env_posix_new(&o, &err);
    struct server *s = server_new(env, "127.0.0.1:0");
    struct peer p[5];
    s->echo = true;
    for (size_t i = 0; i < 5; i++) {
        peer_connect(&p[i], env, env_posix_listener_address(s->listener));
        env->net->ops->send(p[i].conn, slice_str("x"));
    }
    uint64_t end = env_mono_ns(env) + WAIT_NS;
    while (p[2].received == 0 && env_mono_ns(env) < end) env_posix_run_until(env, never, NULL, NS_PER_MS);
    ck_assert_uint_eq(s->count, 3);
    ck_assert_uint_eq(p[3].received + p[4].received, 0);
    for (size_t i = 0; i < 2; i++) peer_free(&p[i]);
    while (p[4].received == 0 && env_mono_ns(env) < end) env_posix_run_until(env, never, NULL, NS_PER_MS);
    ck_assert_uint_eq(s->count, 5);
    for (size_t i = 2; i < 5; i++) {
        ck_assert_uint_eq(p[i].received, 1);
        peer_free(&p[i]);
    }
    server_free(s);
    env_posix_free(env);
}
END_TEST

struct counter {
    struct actor actor;
    unsigned passes;
};
static uint64_t counter_pass(struct actor *a, uint64_t now_ns)
{
    (void)now_ns;
    ((struct counter *)(void *)a)->passes++;
    return DEADLINE_NONE;
}

/* With no file left, a waiting connection must not make the loop spin; it is taken when there are files again. */
START_TEST(no_more_files)
{
    struct env *env = test_env_new(NULL);
    struct server *s = server_new(env, "127.0.0.1:0");
    struct counter counter = {.actor.pass = counter_pass};
    struct rlimit before, low;
    struct peer p;
    s->echo = true;
    peer_connect(&p, env, env_posix_listener_address(s->listener));
    int highest = dup(0);
    ck_assert_int_ge(highest, 0);
    (void)close(highest);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)highest;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    env->net->ops->send(p.conn, slice_str("x"));
    env->ops->attach(env, &counter.actor);
    env_posix_run_until(env, never, NULL, 50 * NS_PER_MS);
    ck_assert_uint_eq(s->count, 0);
    ck_assert_uint_le(counter.passes, 20);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    test_wait(env, has_peer, s);
    env->ops->detach(env, &counter.actor);
    peer_free(&p);
    server_free(s);
    env_posix_free(env);
}
END_TEST

/* A handler that closes the other connection whose failure waits for delivery: that one gets no callback. */
struct pair {
    struct env *env;
    struct net_conn *conn[2];
    unsigned closed;
};
static void pair_on_close(void *ctx, struct net_conn *c, enum status why)
{
    struct pair *p = ctx;
    size_t other = c == p->conn[0] ? 1 : 0;
    (void)why;
    p->closed++;
    p->conn[1 - other] = NULL;
    if (p->conn[other] != NULL) p->env->net->ops->close(p->conn[other]);
    p->conn[other] = NULL;
}
static bool pair_over(void *ctx)
{
    return ((struct pair *)ctx)->closed > 0;
}

START_TEST(no_callback_after_close)
{
    static const struct net_handler h = {.on_open = on_open, .on_data = on_data, .on_close = pair_on_close};
    struct pair p = {.env = test_env_new(NULL)};
    for (size_t i = 0; i < 2; i++) p.conn[i] = p.env->net->ops->connect(p.env->net, "malformed", &h, &p);
    test_wait(p.env, pair_over, &p);
    env_posix_run_until(p.env, never, NULL, 5 * NS_PER_MS);
    ck_assert_uint_eq(p.closed, 1);
    env_posix_free(p.env);
}
END_TEST

/* Random lives: connect, send, pause, close on both sides, in any order. Every byte that arrives is the right one. */
START_TEST(random_lives)
{
    enum { CONNS = 40 };
    struct env *env = test_env_new(NULL);
    struct server *s = server_new(env, "127.0.0.1:0");
    struct peer peers[CONNS];
    size_t sent[CONNS] = {0};
    struct prng p;
    uint64_t seed = 9;
    printf("random_lives seed %llu\n", (unsigned long long)seed);
    prng_init(&p, seed);
    s->echo = true;
    for (size_t i = 0; i < CONNS; i++) peer_connect(&peers[i], env, env_posix_listener_address(s->listener));
    for (unsigned round = 0; round < 3000; round++) {
        size_t i = prng_below(&p, CONNS);
        struct peer *peer = &peers[i];
        if (prng_chance(&p, 1, 4)) env_posix_run_until(env, never, NULL, 1000);
        if (peer->conn == NULL) {
            peer_free(peer);
            sent[i] = 0;
            if (s->count < 256)
                peer_connect(peer, env, env_posix_listener_address(s->listener));
            else
                peer_init(peer, env);
            continue;
        }
        switch (prng_below(&p, 16)) {
        case 0: peer_close(peer); break;
        case 1:
        case 2: env->net->ops->pause(peer->conn, prng_chance(&p, 1, 2)); break;
        case 3:
            if (s->count > 0 && prng_chance(&p, 1, 4)) peer_close(&s->peers[prng_below(&p, s->count)]);
            break;
        default: {
            uint8_t bytes[3000];
            size_t size = prng_below(&p, sizeof(bytes));
            for (size_t at = 0; at < size; at++) bytes[at] = (uint8_t)((sent[i] + at) * 7);
            env->net->ops->send(peer->conn, slice_make(bytes, size));
            sent[i] += size;
        }
        }
        ck_assert_uint_le(peer->received, sent[i]);
        for (size_t at = 0; at < peer->in.size; at += 97) ck_assert_int_eq(peer->in.data[at], (uint8_t)(at * 7));
    }
    for (size_t i = 0; i < CONNS; i++) peer_free(&peers[i]);
    server_free(s);
    env_posix_free(env);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("env_posix/net");
    TCase *tc = tcase_create("net");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, echo);
    tcase_add_test(tc, echo_v6);
    tcase_add_test(tc, names_are_resolved);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, listen_errors_name_cause_and_cure);
    tcase_add_test(tc, stale_unix_socket_is_taken_over_and_a_live_one_is_not);
    tcase_add_test(tc, close_delivers_what_was_sent);
    tcase_add_test(tc, close_does_not_reset_a_peer_that_sends);
    tcase_add_test(tc, accept_may_close);
    tcase_add_test(tc, backpressure);
    tcase_add_test(tc, many_connections);
    tcase_add_test(tc, cap_of_connections);
    tcase_add_test(tc, no_more_files);
    tcase_add_test(tc, no_callback_after_close);
    tcase_add_test(tc, random_lives);
    suite_add_tcase(suite, tc);
    return test_run_suite(suite);
}
