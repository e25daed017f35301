#define _GNU_SOURCE /* sockets */
/* The HTTP server and client, against each other and against raw bytes on a socket. */
#include "test_env_posix_common.h"

#include "base/prng.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#define MAX_HEAD 4096u
#define MAX_BODY (2u * 1024u * 1024u)

/* ---- a server that echoes, or keeps requests back ------------------------------------------------------------------------- */

struct world {
    struct env *env;
    struct http_server *server;
    bool hold; /* keep requests in `held` */
    struct http_request *held[64];
    size_t held_count, gone_count, request_count;
    enum http_method last_method;
    char last_path[256], last_query[256], last_header[64];
    size_t last_body_size;
    bool last_body_good;
    /* of the client */
    bool answered;
    int code;
    enum status why;
    struct buf reply;
};

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31u + (i >> 8));
}

static void copy_slice(char *to, size_t size, struct slice s)
{
    ck_assert_uint_lt(s.size, size);
    memcpy(to, s.data, s.size);
    to[s.size] = '\0';
}

static void answer(struct world *w, struct http_request *r, int code)
{
    static const struct http_header headers[] = {{"X-One", "1"}, {"X-Two", "two"}};
    struct http_reply_head head = {
        .code = code, .content_type = "application/octet-stream", .headers = headers, .header_count = 2};
    w->env->http->ops->reply(r, &head, w->env->http->ops->body(r));
}

static void on_request(void *ctx, struct http_request *r)
{
    struct world *w = ctx;
    const struct http_ops *ops = w->env->http->ops;
    struct slice body = ops->body(r);
    const char *header = ops->header(r, "x-TEST");
    w->request_count++;
    w->last_method = ops->method(r);
    w->last_body_size = body.size;
    w->last_body_good = true;
    for (size_t i = 0; i < body.size; i++) w->last_body_good = w->last_body_good && body.data[i] == pattern(i);
    copy_slice(w->last_path, sizeof(w->last_path), ops->path(r));
    copy_slice(w->last_query, sizeof(w->last_query), ops->query(r));
    (void)snprintf(w->last_header, sizeof(w->last_header), "%s", header != NULL ? header : "");
    if (w->hold) {
        ops->set_ctx(r, w);
        w->held[w->held_count++] = r;
    } else {
        answer(w, r, 200);
    }
}

static void on_gone(void *ctx, struct http_request *r)
{
    struct world *w = ctx;
    ck_assert_ptr_eq(w->env->http->ops->get_ctx(r), w);
    size_t at = 0;
    while (at < w->held_count && w->held[at] != r) at++;
    ck_assert_uint_lt(at, w->held_count);
    w->held[at] = w->held[--w->held_count];
    w->gone_count++;
}

static void world_init_env(struct world *w, struct env *env)
{
    struct errbuf err = {.text = ""};
    *w = (struct world){.env = env};
    buf_init(&w->reply, 64u * 1024u * 1024u);
    enum status s =
        env->http->ops->listen(env->http, "127.0.0.1:0", MAX_HEAD, MAX_BODY, on_request, on_gone, w, &w->server, &err);
    ck_assert_msg(s == STATUS_OK, "%s", err.text);
}
static void world_init(struct world *w)
{
    world_init_env(w, test_env_new(NULL));
}
static void world_free(struct world *w)
{
    w->env->http->ops->unlisten(w->server);
    env_posix_free(w->env);
    buf_free(&w->reply);
}

static void on_answer(void *ctx, int code, enum status why, struct slice body)
{
    struct world *w = ctx;
    ck_assert(!w->answered);
    w->answered = true;
    w->code = code;
    w->why = why;
    buf_clear(&w->reply);
    buf_append_slice(&w->reply, body);
}
static bool is_answered(void *ctx)
{
    return ((struct world *)ctx)->answered;
}
static bool is_held(void *ctx)
{
    return ((struct world *)ctx)->held_count > 0;
}
static bool is_gone(void *ctx)
{
    return ((struct world *)ctx)->gone_count > 0;
}

static void request(struct world *w, struct http_client *c, enum http_method m, const char *path, struct slice body)
{
    static const struct http_header headers[] = {{"X-Test", "value 1"}};
    w->answered = false;
    w->env->http->ops->client_send(c, m, path, headers, 1, body, on_answer, w);
    ck_assert(!w->answered); /* never from inside */
    test_wait(w->env, is_answered, w);
}

START_TEST(methods_paths_headers)
{
    static const enum http_method methods[] = {HTTP_GET, HTTP_HEAD, HTTP_PUT, HTTP_POST, HTTP_DELETE, HTTP_OPTIONS};
    struct world w;
    world_init(&w);
    struct http_client *c = w.env->http->ops->client_new(w.env->http, env_posix_http_address(w.server), 5000);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        request(&w, c, methods[i], "/v1/kv/a%2Fb%20c?x=%31&y", SLICE_EMPTY);
        ck_assert_int_eq(w.code, 200);
        ck_assert_int_eq((int)w.last_method, (int)methods[i]);
        ck_assert_str_eq(w.last_path, "/v1/kv/a%2Fb%20c");
        ck_assert_str_eq(w.last_query, "x=%31&y");
        ck_assert_str_eq(w.last_header, "value 1");
    }
    request(&w, c, HTTP_GET, "/?", SLICE_EMPTY);
    ck_assert_str_eq(w.last_path, "/");
    ck_assert_str_eq(w.last_query, "");
    ck_assert_uint_eq(w.request_count, 7);
    w.env->http->ops->client_free(c);
    world_free(&w);
}
END_TEST

START_TEST(bodies_of_all_sizes)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 65537, 1024u * 1024u, MAX_BODY};
    uint8_t *bytes = mem_alloc(MAX_BODY);
    for (size_t i = 0; i < MAX_BODY; i++) bytes[i] = pattern(i);
    struct world w;
    world_init(&w);
    struct http_client *c = w.env->http->ops->client_new(w.env->http, env_posix_http_address(w.server), 20000);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        request(&w, c, HTTP_PUT, "/", slice_make(bytes, sizes[i]));
        ck_assert_int_eq(w.code, 200);
        ck_assert_uint_eq(w.last_body_size, sizes[i]);
        ck_assert(w.last_body_good);
        ck_assert(slice_eq(buf_slice(&w.reply), slice_make(bytes, sizes[i])));
    }
    w.env->http->ops->client_free(c);
    world_free(&w);
    mem_free(bytes);
}
END_TEST

START_TEST(late_reply_and_timeout)
{
    struct world w;
    world_init(&w);
    struct http_client *c = w.env->http->ops->client_new(w.env->http, env_posix_http_address(w.server), 5000);
    w.hold = true;
    w.env->http->ops->client_send(c, HTTP_GET, "/late", NULL, 0, SLICE_EMPTY, on_answer, &w);
    test_wait(w.env, is_held, &w);
    ck_assert(!w.answered);
    answer(&w, w.held[0], 418);
    w.held_count = 0;
    test_wait(w.env, is_answered, &w);
    ck_assert_int_eq(w.code, 418);
    w.env->http->ops->client_free(c);

    c = w.env->http->ops->client_new(w.env->http, env_posix_http_address(w.server), 30);
    request(&w, c, HTTP_GET, "/never", SLICE_EMPTY);
    ck_assert_int_eq(w.code, 0);
    ck_assert_int_eq((int)w.why, (int)STATUS_TIMEOUT);
    test_wait(w.env, is_gone, &w); /* the client closed its connection */
    w.hold = false;
    request(&w, c, HTTP_GET, "/again", SLICE_EMPTY); /* on a new one */
    ck_assert_int_eq(w.code, 200);
    w.env->http->ops->client_free(c);
    world_free(&w);
}
END_TEST

START_TEST(nobody_listens)
{
    struct world w;
    world_init(&w);
    char address[64];
    (void)snprintf(address, sizeof(address), "%s", env_posix_http_address(w.server));
    w.env->http->ops->unlisten(w.server);
    struct http_client *c = w.env->http->ops->client_new(w.env->http, address, 5000);
    request(&w, c, HTTP_GET, "/", SLICE_EMPTY);
    ck_assert_int_eq(w.code, 0);
    ck_assert_int_eq((int)w.why, (int)STATUS_UNAVAILABLE);
    w.env->http->ops->client_free(c);
    env_posix_free(w.env);
    buf_free(&w.reply);
}
END_TEST

START_TEST(address_errors)
{
    struct world w;
    struct errbuf err;
    struct http_server *s;
    world_init(&w);
    const char *taken = env_posix_http_address(w.server);
    ck_assert_int_eq(w.env->http->ops->listen(w.env->http, taken, 1, 1, on_request, on_gone, &w, &s, &err),
                     STATUS_EXISTS);
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "address %s is in use by another process: stop it or choose another port with --listen", taken);
    ck_assert_str_eq(err.text, text);
    ck_assert_int_eq(w.env->http->ops->listen(w.env->http, "nonsense", 1, 1, on_request, on_gone, &w, &s, &err),
                     STATUS_INVALID);
    world_free(&w);
}
END_TEST

/* ---- raw bytes ------------------------------------------------------------------------------------------------------------ */

struct raw {
    int fd;
    struct buf in;
    bool ended;
    size_t wanted; /* replies */
};

static void raw_connect(struct raw *r, const char *address)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *r = (struct raw){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    buf_init(&r->in, 64u * 1024u * 1024u);
    ck_assert_int_eq(connect(r->fd, (struct sockaddr *)(void *)&a, sizeof(a)), 0);
    ck_assert_int_eq(fcntl(r->fd, F_SETFL, O_NONBLOCK), 0);
}
static void raw_free(struct raw *r)
{
    if (r->fd >= 0) (void)close(r->fd);
    buf_free(&r->in);
}
static void raw_send(struct raw *r, struct slice bytes)
{
    ck_assert_int_eq(send(r->fd, bytes.data, bytes.size, MSG_NOSIGNAL), (ssize_t)bytes.size);
}
static void raw_receive(struct raw *r)
{
    char part[65536];
    for (ssize_t got; !r->ended && (got = recv(r->fd, part, sizeof(part), 0)) != -1;) {
        r->ended = got == 0;
        buf_append(&r->in, part, (size_t)got);
    }
}
static size_t count_of(const struct buf *b, const char *what)
{
    size_t n = 0, size = strlen(what);
    for (size_t i = 0; i + size <= b->size; i++) n += memcmp(b->data + i, what, size) == 0;
    return n;
}
static bool raw_ended(void *ctx)
{
    raw_receive(ctx);
    return ((struct raw *)ctx)->ended;
}
static bool raw_has_replies(void *ctx)
{
    struct raw *r = ctx;
    raw_receive(r);
    return count_of(&r->in, "HTTP/1.1 200") >= r->wanted;
}
/* The loop knows nothing of this socket: look often. */
static void raw_wait(struct world *w, bool (*done)(void *), struct raw *r)
{
    uint64_t end = env_mono_ns(w->env) + WAIT_NS;
    while (!done(r) && env_mono_ns(w->env) < end) env_posix_run_until(w->env, done, r, NS_PER_MS);
    ck_assert(done(r));
}

static void expect_error_in(struct world *w, const char *bytes, int code, const char *name)
{
    struct raw r;
    size_t before = w->request_count;
    raw_connect(&r, env_posix_http_address(w->server));
    raw_send(&r, slice_str(bytes));
    raw_wait(w, raw_ended, &r);
    char line[32], json[64];
    (void)snprintf(line, sizeof(line), "HTTP/1.1 %d ", code);
    (void)snprintf(json, sizeof(json), "{\"error\":{\"code\":\"%s\",\"message\":\"", name);
    buf_append_byte(&r.in, '\0');
    ck_assert_msg(strncmp((char *)r.in.data, line, strlen(line)) == 0, "%s", (char *)r.in.data);
    ck_assert_msg(strstr((char *)r.in.data, json) != NULL, "%s", (char *)r.in.data);
    ck_assert_ptr_nonnull(strstr((char *)r.in.data, "\"outcome\":\"definite\"}}"));
    ck_assert_ptr_nonnull(strstr((char *)r.in.data, "Content-Type: application/json\r\n"));
    ck_assert_uint_eq(w->request_count, before);
    raw_free(&r);
}

static void expect_error(const char *bytes, int code, const char *name)
{
    struct world w;
    world_init(&w);
    expect_error_in(&w, bytes, code, name);
    world_free(&w);
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

START_TEST(errors_are_json)
{
    char big[2 * MAX_HEAD + 64];
    (void)snprintf(big, sizeof(big), "GET / HTTP/1.1\r\nHost: x\r\nA: %0*d\r\n\r\n", (int)MAX_HEAD + 1000, 7);
    expect_error(big, 431, "too_large");
    (void)snprintf(big, sizeof(big), "GET /%0*d HTTP/1.1\r\nHost: x\r\n\r\n", (int)MAX_HEAD + 1000, 7);
    expect_error(big, 431, "too_large");
    static const char *const bad[] = {"\x16\x03\x01\x02garbage\r\n\r\n",
                                      "GET\r\n\r\n",
                                      "GET / HTTP/9.x\r\n\r\n",
                                      "GET / HTTP/1.1\r\nno colon here\r\n\r\n",
                                      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                                      "GET / HTTP/1.1\r\n\r\n",
                                      "GET / HTTP/1.1\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) expect_error(bad[i], 400, "invalid");
}
END_TEST

START_TEST(body_too_large)
{
    struct world w;
    struct raw r;
    world_init(&w);
    /* announced: refused before it is sent */
    raw_connect(&r, env_posix_http_address(w.server));
    raw_send(&r, slice_str("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"));
    r.wanted = 0;
    raw_wait(&w, raw_ended, &r);
    ck_assert_uint_eq(count_of(&r.in, "HTTP/1.1 413 "), 1);
    ck_assert_uint_eq(count_of(&r.in, "\"code\":\"too_large\""), 1);
    raw_free(&r);
    /* by one byte, through the client, which sends all of it */
    uint8_t *bytes = mem_zalloc(MAX_BODY + 1);
    struct http_client *c = w.env->http->ops->client_new(w.env->http, env_posix_http_address(w.server), 20000);
    request(&w, c, HTTP_POST, "/", slice_make(bytes, MAX_BODY + 1));
    ck_assert_int_eq(w.code, 413);
    ck_assert_uint_eq(count_of(&w.reply, "\"outcome\":\"definite\""), 1);
    request(&w, c, HTTP_POST, "/", slice_str("small"));
    ck_assert_int_eq(w.code, 200);
    w.env->http->ops->client_free(c);
    mem_free(bytes);
    world_free(&w);
}
END_TEST

START_TEST(pipelined)
{
    struct world w;
    struct raw r;
    struct buf all;
    world_init(&w);
    buf_init(&all, 1u << 20);
    for (unsigned i = 0; i < 200; i++) {
        buf_printf(&all, "PUT /%u HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n<%02u>", i, i % 100);
    }
    raw_connect(&r, env_posix_http_address(w.server));
    raw_send(&r, buf_slice(&all));
    r.wanted = 200;
    raw_wait(&w, raw_has_replies, &r);
    size_t at = 0;
    buf_append_byte(&r.in, '\0');
    for (unsigned i = 0; i < 200; i++) { /* in order */
        char body[8];
        (void)snprintf(body, sizeof(body), "<%02u>", i % 100);
        const char *found = strstr((char *)r.in.data + at, body);
        ck_assert_ptr_nonnull(found);
        at = (size_t)(found - (char *)r.in.data) + 4;
    }
    ck_assert_uint_eq(w.request_count, 200);
    ck_assert_str_eq(w.last_path, "/199");
    buf_free(&all);
    raw_free(&r);
    world_free(&w);
}
END_TEST

START_TEST(one_byte_at_a_time_and_chunks)
{
    static const char text[] =
        "POST /a?b=c#d HTTP/1.1\r\nHost: x\r\nX-Test: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    struct world w;
    struct raw r;
    world_init(&w);
    raw_connect(&r, env_posix_http_address(w.server));
    r.wanted = SIZE_MAX;
    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        raw_send(&r, slice_make(text + i, 1));
        env_posix_run_until(w.env, raw_has_replies, &r, NS_PER_MS / 10);
        if (w.request_count == 1) {
            ck_assert_str_eq(w.last_path, "/a");
            ck_assert_str_eq(w.last_query, "b=c");
            ck_assert_str_eq(w.last_header, "t");
        }
    }
    raw_wait(&w, raw_ended, &r);
    ck_assert_msg(w.request_count == 2, "%.*s", (int)r.in.size, (char *)r.in.data);
    ck_assert_uint_eq(count_of(&r.in, "HTTP/1.1 200"), 2);
    ck_assert_uint_eq(count_of(&r.in, "abcdefg"), 1);
    ck_assert_uint_eq(count_of(&r.in, "X-Two: two\r\n"), 2);
    raw_free(&r);
    world_free(&w);
}
END_TEST

START_TEST(target_may_be_a_url)
{
    static const char *const targets[] = {"http://example.org/a/b?c=d", "http://example.org/a/b?c=d#e"};
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        struct raw r;
        char text[128];
        world_init(&w);
        raw_connect(&r, env_posix_http_address(w.server));
        (void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", targets[i]);
        raw_send(&r, slice_str(text));
        r.wanted = 1;
        raw_wait(&w, raw_has_replies, &r);
        ck_assert_str_eq(w.last_path, "/a/b");
        ck_assert_str_eq(w.last_query, "c=d");
        raw_free(&r);
        world_free(&w);
    }
}
END_TEST

START_TEST(other_methods_reach_the_handler)
{
    static const char *const names[] = {"PATCH", "TRACE", "BREW"};
    struct world w;
    world_init(&w);
    for (size_t i = 0; i < 3; i++) {
        struct raw r;
        char text[64];
        (void)snprintf(text, sizeof(text), "%s /x HTTP/1.1\r\nHost: x\r\n\r\n", names[i]);
        raw_connect(&r, env_posix_http_address(w.server));
        raw_send(&r, slice_str(text));
        r.wanted = 1;
        raw_wait(&w, raw_has_replies, &r);
        ck_assert_int_eq((int)w.last_method, (int)HTTP_OTHER);
        raw_free(&r);
    }
    ck_assert_uint_eq(w.request_count, 3);
    world_free(&w);
}
END_TEST

START_TEST(client_gone_while_pending)
{
    struct world w;
    struct raw r[3];
    world_init(&w);
    w.hold = true;
    for (size_t i = 0; i < 3; i++) {
        raw_connect(&r[i], env_posix_http_address(w.server));
        raw_send(&r[i], slice_str("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    uint64_t end = env_mono_ns(w.env) + WAIT_NS;
    while (w.held_count < 3 && env_mono_ns(w.env) < end) env_posix_run_until(w.env, raw_ended, &r[0], NS_PER_MS);
    ck_assert_uint_eq(w.held_count, 3);
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    ck_assert_int_eq(setsockopt(r[0].fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0); /* a reset */
    raw_free(&r[0]);
    raw_free(&r[1]); /* an orderly end */
    while (w.gone_count < 2 && env_mono_ns(w.env) < end) env_posix_run_until(w.env, raw_ended, &r[2], NS_PER_MS);
    ck_assert_uint_eq(w.gone_count, 2);
    ck_assert_uint_eq(w.held_count, 1);
    answer(&w, w.held[0], 200); /* the third is served */
    r[2].wanted = 1;
    raw_wait(&w, raw_has_replies, &r[2]);
    raw_free(&r[2]);
    world_free(&w);
}
END_TEST

/* The timeout is 400 ms here. One client says nothing, one sends a byte now and then, one leaves a body half sent. */
START_TEST(slow_clients_are_cut_off)
{
    struct world w;
    struct raw idle, slow, half;
    world_init(&w);
    raw_connect(&idle, env_posix_http_address(w.server));
    raw_connect(&slow, env_posix_http_address(w.server));
    raw_connect(&half, env_posix_http_address(w.server));
    raw_send(&half, slice_str("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"));
    uint64_t begun = env_mono_ns(w.env);
    for (uint64_t end = begun + WAIT_NS; !raw_ended(&slow) && env_mono_ns(w.env) < end;) {
        (void)!send(slow.fd, "G", 1, MSG_NOSIGNAL);
        env_posix_run_until(w.env, raw_ended, &slow, 50 * NS_PER_MS);
        if (slow.ended) break;
    }
    ck_assert(slow.ended);
    ck_assert_uint_ge(env_mono_ns(w.env) - begun, 350 * NS_PER_MS);
    raw_wait(&w, raw_ended, &idle);
    raw_wait(&w, raw_ended, &half);
    ck_assert_uint_eq(w.request_count, 0);
    raw_free(&idle);
    raw_free(&slow);
    raw_free(&half);
    world_free(&w);
}
END_TEST

START_TEST(random_garbage)
{
    struct world w;
    struct prng p;
    uint64_t seed = 20;
    printf("random_garbage seed %llu\n", (unsigned long long)seed);
    prng_init(&p, seed);
    world_init(&w);
    static const char *const parts[] = {"GET ",
                                        "POST ",
                                        "/",
                                        " HTTP/1.1",
                                        "\r\n",
                                        "\r\n\r\n",
                                        "Host: x",
                                        "Content-Length: ",
                                        "5",
                                        "Transfer-Encoding: chunked",
                                        "ffffffffffffffff",
                                        "\n",
                                        "0",
                                        ":",
                                        "Expect: 100-continue"};
    for (unsigned round = 0; round < 300; round++) {
        struct raw r;
        raw_connect(&r, env_posix_http_address(w.server));
        for (uint64_t i = prng_below(&p, 20); i > 0; i--) {
            const char *part = parts[prng_below(&p, sizeof(parts) / sizeof(parts[0]))];
            uint8_t byte = (uint8_t)prng_next(&p);
            (void)!send(r.fd, part, strlen(part), MSG_NOSIGNAL);
            if (prng_chance(&p, 1, 8)) (void)!send(r.fd, &byte, 1, MSG_NOSIGNAL);
        }
        env_posix_run_until(w.env, raw_ended, &r, NS_PER_MS / 2);
        raw_free(&r);
    }
    struct http_client *c = w.env->http->ops->client_new(w.env->http, env_posix_http_address(w.server), 5000);
    request(&w, c, HTTP_GET, "/alive", SLICE_EMPTY);
    ck_assert_int_eq(w.code, 200);
    w.env->http->ops->client_free(c);
    world_free(&w);
}
END_TEST

START_TEST(cap_of_connections)
{
    struct errbuf err;
    struct env_posix_options o = {.log_path = "/dev/null", .connections_max = 4, .http_timeout_ms = 400};
    struct world w;
    struct raw r[8];
    world_init_env(&w, env_posix_new(&o, &err));
    for (size_t i = 0; i < 8; i++) {
        raw_connect(&r[i], env_posix_http_address(w.server));
        raw_send(&r[i], slice_str("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        r[i].wanted = 1;
    }
    for (size_t i = 0; i < 8; i++) raw_wait(&w, raw_has_replies, &r[i]); /* the later ones after a sweep */
    for (size_t i = 0; i < 8; i++) raw_free(&r[i]);
    ck_assert_uint_eq(w.request_count, 8);
    world_free(&w);
}
END_TEST

/* The server asks for a body that its client holds back, and refuses one that is too large without having seen it. */
START_TEST(continue_is_sent)
{
    struct world w;
    struct raw r;
    world_init(&w);
    raw_connect(&r, env_posix_http_address(w.server));
    raw_send(&r, slice_str("PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
    uint64_t end = env_mono_ns(w.env) + WAIT_NS;
    while (count_of(&r.in, "HTTP/1.1 100 Continue\r\n\r\n") == 0 && env_mono_ns(w.env) < end) {
        env_posix_run_until(w.env, raw_ended, &r, NS_PER_MS);
    }
    ck_assert_uint_eq(w.request_count, 0);
    raw_send(&r, slice_str("abc"));
    r.wanted = 1;
    raw_wait(&w, raw_has_replies, &r);
    ck_assert_uint_eq(w.request_count, 1);
    ck_assert_uint_eq(count_of(&r.in, "100 Continue"), 1);
    raw_free(&r);
    expect_error_in(&w, "PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n", 413,
                    "too_large");
    world_free(&w);
}
END_TEST

START_TEST(heads_of_replies)
{
    struct world w;
    struct raw r;
    world_init(&w);
    raw_connect(&r, env_posix_http_address(w.server));
    raw_send(&r, slice_str("HEAD / HTTP/1.1\r\nHost: x\r\n\r\nPUT / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi"));
    raw_wait(&w, raw_ended, &r); /* the second says nothing of keeping the connection */
    ck_assert_uint_eq(count_of(&r.in, "HTTP/1.1 200 OK\r\nDate: "), 2);
    ck_assert_uint_eq(count_of(&r.in, " GMT\r\nContent-Type: application/octet-stream\r\n"), 2);
    ck_assert_uint_eq(count_of(&r.in, "Connection: close\r\n"), 1);
    ck_assert_uint_eq(count_of(&r.in, "Content-Length: 2\r\n\r\nhi"), 1);
    raw_free(&r);
    world_free(&w);
}
END_TEST

/* Asks much, reads nothing: memory is bounded, and in the end the connection is cut off. */
START_TEST(a_client_that_does_not_read)
{
    struct world w;
    struct raw r;
    struct buf ask;
    world_init(&w);
    buf_init(&ask, 1u << 20);
    buf_printf(&ask, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n");
    for (unsigned i = 0; i < 500000; i++) buf_append_byte(&ask, pattern(i));
    raw_connect(&r, env_posix_http_address(w.server));
    size_t sent = 0;
    bool cut = false;
    /* A closed connection drains for as long as its socket takes a little now and then, at most a minute. */
    for (uint64_t end = env_mono_ns(w.env) + 4 * WAIT_NS; !cut && env_mono_ns(w.env) < end;) {
        ssize_t n = send(r.fd, ask.data + sent % ask.size, ask.size - sent % ask.size, MSG_NOSIGNAL);
        if (n > 0) sent += (size_t)n;
        cut = n < 0 && errno != EAGAIN;
        env_posix_run_until(w.env, never, &r, NS_PER_MS);
    }
    ck_assert(cut);
    ck_assert_uint_ge(w.request_count, 8);
    ck_assert_uint_lt(w.request_count, 40); /* 4 MiB, what is in the sockets, and one more */
    raw_free(&r);
    buf_free(&ask);
    world_free(&w);
}
END_TEST

START_TEST(over_a_unix_socket)
{
    struct world w = {.env = test_env_new(NULL)};
    struct errbuf err;
    char address[128];
    (void)snprintf(address, sizeof(address), "unix:/tmp/quorate-http-%d.socket", (int)getpid());
    buf_init(&w.reply, 1024);
    ck_assert_int_eq(
        w.env->http->ops->listen(w.env->http, address, MAX_HEAD, MAX_BODY, on_request, on_gone, &w, &w.server, &err),
        STATUS_OK);
    struct http_client *c = w.env->http->ops->client_new(w.env->http, address, 5000);
    request(&w, c, HTTP_PUT, "/x", slice_str("y"));
    ck_assert_int_eq(w.code, 200);
    w.env->http->ops->client_free(c);
    world_free(&w);
    ck_assert_int_ne(access(address + 5, F_OK), 0);
}
END_TEST

/* ---- many clients in one process ------------------------------------------------------------------------------------------ */

struct flood {
    struct world *w;
    size_t left, under_way, failed;
};
struct flood_client {
    struct flood *flood;
    struct http_client *client;
};

static void flood_next(struct flood_client *f);
static void flood_done(void *ctx, int code, enum status why, struct slice body)
{
    struct flood_client *f = ctx;
    f->flood->under_way--;
    if (code != 200 || why != STATUS_OK || body.size != 11) f->flood->failed++;
    flood_next(f);
}
static void flood_next(struct flood_client *f)
{
    if (f->flood->left == 0) { /* frees itself inside its own callback */
        f->flood->w->env->http->ops->client_free(f->client);
        return;
    }
    f->flood->left--;
    f->flood->under_way++;
    f->flood->w->env->http->ops->client_send(f->client, HTTP_POST, "/v1/kv/abc", NULL, 0, slice_str("{\"ok\":true}"),
                                             flood_done, f);
}
static bool flood_over(void *ctx)
{
    return ((struct flood *)ctx)->under_way == 0;
}

START_TEST(many_clients)
{
    struct world w;
    struct flood flood = {.w = &w, .left = 20000};
    struct flood_client clients[64];
    world_init(&w);
    for (size_t i = 0; i < 64; i++) {
        clients[i] = (struct flood_client){
            &flood, w.env->http->ops->client_new(w.env->http, env_posix_http_address(w.server), 20000)};
        flood_next(&clients[i]);
    }
    uint64_t begun = env_mono_ns(w.env);
    test_wait(w.env, flood_over, &flood);
    uint64_t ms = (env_mono_ns(w.env) - begun) / NS_PER_MS;
    printf("20000 requests, client and server in one thread: %llu ms\n", (unsigned long long)ms);
    ck_assert_uint_eq(flood.failed, 0);
    ck_assert_uint_eq(w.request_count, 20000);
    world_free(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_server");
    TCase *tc = tcase_create("http");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, methods_paths_headers);
    tcase_add_test(tc, bodies_of_all_sizes);
    tcase_add_test(tc, late_reply_and_timeout);
    tcase_add_test(tc, nobody_listens);
    tcase_add_test(tc, address_errors);
    tcase_add_test(tc, errors_are_json);
    tcase_add_test(tc, body_too_large);
    tcase_add_test(tc, pipelined);
    tcase_add_test(tc, one_byte_at_a_time_and_chunks);
    tcase_add_test(tc, target_may_be_a_url);
    tcase_add_test(tc, other_methods_reach_the_handler);
    tcase_add_test(tc, client_gone_while_pending);
    tcase_add_test(tc, slow_clients_are_cut_off);
    tcase_add_test(tc, random_garbage);
    tcase_add_test(tc, cap_of_connections);
    tcase_add_test(tc, continue_is_sent);
    tcase_add_test(tc, heads_of_replies);
    tcase_add_test(tc, a_client_that_does_not_read);
    tcase_add_test(tc, over_a_unix_socket);
    tcase_add_test(tc, many_clients);
    suite_add_tcase(suite, tc);
    return test_run_suite(suite);
}
