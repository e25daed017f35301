/* TLS between two environments over real sockets: certificates of a small authority, and everything that must be refused. */
#include "test_env_posix_common.h"

#include "base/prng.h"
#include "tls/cert.h"
#include "tls/revoked.h"
#include "tls/tls.h"

#include <string.h>

#define NOW_S 1795000000u /* 2026-11 */

struct pem {
    struct buf certificate, key;
};

static uint64_t now_s(void)
{
    struct env *env = test_env_new(NULL);
    uint64_t s = env_wall_ms(env) / 1000;
    env_posix_free(env);
    return s;
}

static void make(struct pem *out, const char *name, const char *role, const char *hosts, const struct pem *issuer,
                 uint64_t at_s)
{
    struct errbuf err;
    struct cert_request r = {
        .name = name, .role = role, .hosts = hosts, .days = 10, .now_s = at_s, .is_authority = issuer == NULL};
    buf_init(&out->certificate, 65536);
    buf_init(&out->key, 65536);
    enum status s =
        cert_make(&r, issuer != NULL ? buf_slice(&issuer->certificate) : SLICE_EMPTY,
                  issuer != NULL ? buf_slice(&issuer->key) : SLICE_EMPTY, &out->certificate, &out->key, &err);
    ck_assert_msg(s == STATUS_OK, "%s", err.text);
}

static void pem_free(struct pem *p)
{
    buf_free(&p->certificate);
    buf_free(&p->key);
}

static struct tls_options options_of(const struct pem *authority, const struct pem *own)
{
    struct tls_options o = {.authority = buf_slice(&authority->certificate),
                            .admitted = {TLS_ROLE_SERVER, TLS_ROLE_ADMIN}};
    if (own != NULL) {
        o.certificate = buf_slice(&own->certificate);
        o.key = buf_slice(&own->key);
    }
    return o;
}

static struct env *env_with(const struct tls_options *tls)
{
    struct errbuf err;
    struct env_posix_options o = {.log_path = "/dev/null", .http_timeout_ms = 400, .tls = tls};
    struct env *env = env_posix_new(&o, &err);
    ck_assert_msg(env != NULL, "%s", err.text);
    return env;
}

/* ---- an echo over the net seam -------------------------------------------------------------------------------------------- */

struct end {
    struct env *env;
    struct net_conn *conn;
    struct buf got;
    size_t wanted;
    bool opened, closed, echo;
};

static void on_open(void *ctx, struct net_conn *c)
{
    (void)c;
    ((struct end *)ctx)->opened = true;
}
static void on_data(void *ctx, struct net_conn *c, struct slice bytes)
{
    struct end *e = ctx;
    buf_append_slice(&e->got, bytes);
    if (e->echo) e->env->net->ops->send(c, bytes);
}
static void on_close(void *ctx, struct net_conn *c, enum status why)
{
    struct end *e = ctx;
    (void)why;
    ck_assert_ptr_eq(e->conn, c);
    e->closed = true;
    e->conn = NULL;
}
static const struct net_handler handler = {.on_open = on_open, .on_data = on_data, .on_close = on_close};

static void on_accept(void *ctx, struct net_conn *c)
{
    struct end *e = ctx;
    if (e->conn != NULL) e->env->net->ops->close(e->conn); /* one at a time */
    e->conn = c;
    e->closed = false;
    e->env->net->ops->attach(c, &handler, e);
}

/* Both loops turn until it holds. */
static bool turn_until(struct end *a, struct end *b, bool (*done)(void *), void *ctx)
{
    uint64_t until = env_mono_ns(a->env) + WAIT_NS;
    while (!done(ctx) && env_mono_ns(a->env) < until) {
        env_posix_run_until(a->env, done, ctx, NS_PER_MS);
        env_posix_run_until(b->env, done, ctx, NS_PER_MS);
    }
    return done(ctx);
}
static bool has_wanted(void *ctx)
{
    const struct end *e = ctx;
    return e->got.size >= e->wanted || e->closed;
}
static bool is_closed(void *ctx)
{
    return ((struct end *)ctx)->closed;
}
static bool is_over(void *ctx)
{
    const struct end *e = ctx;
    return e->closed || e->got.size > 0;
}

struct link {
    struct end server, client;
    struct net_listener *listener;
    char address[96];
};

static void link_open(struct link *l, const struct tls_options *server, const struct tls_options *client)
{
    static unsigned number;
    struct errbuf err;
    *l = (struct link){.server.env = env_with(server), .client.env = env_with(client), .server.echo = true};
    buf_init(&l->server.got, 1u << 26);
    buf_init(&l->client.got, 1u << 26);
    (void)snprintf(l->address, sizeof(l->address), "127.0.0.1:%u",
                   20000u + (unsigned)getpid() % 10000u + number++ % 50u);
    enum status s =
        l->server.env->net->ops->listen(l->server.env->net, l->address, on_accept, &l->server, &l->listener, &err);
    ck_assert_msg(s == STATUS_OK, "%s", err.text);
}
static void link_connect(struct link *l)
{
    l->client.closed = false;
    l->client.conn = l->client.env->net->ops->connect(l->client.env->net, l->address, &handler, &l->client);
}
static void link_close(struct link *l)
{
    l->server.env->net->ops->unlisten(l->listener);
    if (l->client.conn != NULL) l->client.env->net->ops->close(l->client.conn);
    if (l->server.conn != NULL) l->server.env->net->ops->close(l->server.conn);
    env_posix_free(l->client.env);
    env_posix_free(l->server.env);
    buf_free(&l->client.got);
    buf_free(&l->server.got);
}

/* Whether a word comes back. */
static bool talks(struct link *l)
{
    link_connect(l);
    l->client.env->net->ops->send(l->client.conn, slice_str("are you there"));
    ck_assert(turn_until(&l->client, &l->server, is_over, &l->client));
    bool came = l->client.got.size > 0;
    if (!came) ck_assert_uint_eq(l->server.got.size, 0); /* nothing of a refused one is heard */
    return came;
}

static bool pair_talks(const struct tls_options *server, const struct tls_options *client)
{
    struct link l;
    link_open(&l, server, client);
    bool came = talks(&l);
    link_close(&l);
    return came;
}

/* ---- tests ---------------------------------------------------------------------------------------------------------------- */

START_TEST(bytes_come_back_in_order)
{
    struct pem authority, node, admin;
    uint64_t now = now_s();
    make(&authority, "test", "authority", NULL, NULL, now);
    make(&node, "node-1", TLS_ROLE_SERVER, "127.0.0.1,localhost", &authority, now);
    make(&admin, "me", TLS_ROLE_ADMIN, NULL, &authority, now);
    struct tls_options server = options_of(&authority, &node), client = options_of(&authority, &admin);
    server.ask_peers = true;
    struct link l;
    link_open(&l, &server, &client);
    link_connect(&l);
    struct prng p;
    struct buf sent;
    prng_init(&p, 22);
    buf_init(&sent, 1u << 26);
    const struct net_ops *net = l.client.env->net->ops;
    for (unsigned round = 0; round < 60; round++) {
        uint8_t part[70000];
        size_t size = prng_between(&p, 1, sizeof(part));
        for (size_t i = 0; i < size; i++) part[i] = (uint8_t)prng_next(&p);
        buf_append(&sent, part, size);
        net->send(l.client.conn, slice_make(part, size)); /* the first ones before the handshake */
        if (prng_chance(&p, 1, 4)) net->pause(l.client.conn, true);
        env_posix_run_until(l.server.env, has_wanted, &l.client, NS_PER_MS);
        if (prng_chance(&p, 1, 2)) net->pause(l.client.conn, false);
    }
    net->pause(l.client.conn, false);
    l.client.wanted = sent.size;
    ck_assert(turn_until(&l.client, &l.server, has_wanted, &l.client));
    ck_assert(l.client.opened);
    ck_assert(slice_eq(buf_slice(&l.client.got), buf_slice(&sent)));
    ck_assert_uint_eq(net->unsent(l.client.conn), 0);
    net->close(l.client.conn);
    l.client.conn = NULL;
    ck_assert(turn_until(&l.client, &l.server, is_closed, &l.server));
    link_close(&l);
    buf_free(&sent);
    pem_free(&authority);
    pem_free(&node);
    pem_free(&admin);
}
END_TEST

START_TEST(who_is_refused)
{
    struct pem authority, other, node, elsewhere, admin, foreign, user, old, early;
    uint64_t now = now_s();
    make(&authority, "test", "authority", NULL, NULL, now);
    make(&other, "test", "authority", NULL, NULL, now); /* of the same name */
    make(&node, "node-1", TLS_ROLE_SERVER, "127.0.0.1", &authority, now);
    make(&elsewhere, "node-2", TLS_ROLE_SERVER, "127.0.0.2,example.org", &authority, now);
    make(&admin, "me", TLS_ROLE_ADMIN, "127.0.0.1", &authority, now);
    make(&foreign, "me", TLS_ROLE_ADMIN, "127.0.0.1", &other, now);
    make(&user, "you", "user", "127.0.0.1", &authority, now);
    make(&old, "me", TLS_ROLE_ADMIN, "127.0.0.1", &authority, now - 11u * 86400u);
    make(&early, "me", TLS_ROLE_ADMIN, "127.0.0.1", &authority, now + 2u * 3600u);
    struct tls_options server = options_of(&authority, &node), client = options_of(&authority, &admin), o;
    server.ask_peers = true;
    ck_assert(pair_talks(&server, &client));
    /* clients */
    o = options_of(&authority, NULL);
    ck_assert_msg(!pair_talks(&server, &o), "a client without a certificate");
    o = options_of(&authority, &foreign);
    ck_assert_msg(!pair_talks(&server, &o), "a client of another authority");
    o = options_of(&authority, &user);
    ck_assert_msg(!pair_talks(&server, &o), "a client with another role");
    o = options_of(&authority, &old);
    ck_assert_msg(!pair_talks(&server, &o), "a client whose certificate has expired");
    o = options_of(&authority, &early);
    ck_assert_msg(!pair_talks(&server, &o), "a client whose certificate is not valid yet");
    /* servers */
    o = options_of(&authority, &elsewhere);
    ck_assert_msg(!pair_talks(&o, &client), "a server of another address");
    o = options_of(&authority, &admin);
    ck_assert_msg(!pair_talks(&o, &client), "a client's certificate at the server's end");
    o = options_of(&other, &foreign);
    ck_assert_msg(!pair_talks(&o, &client), "a server of another authority");
    /* one that asks nobody, as HTTP's does */
    server.ask_peers = false;
    o = options_of(&authority, NULL);
    ck_assert(pair_talks(&server, &o));
    /* plain and encrypted do not understand one another, and neither hangs */
    ck_assert(!pair_talks(&server, NULL));
    pem_free(&authority);
    pem_free(&other);
    pem_free(&node);
    pem_free(&elsewhere);
    pem_free(&admin);
    pem_free(&foreign);
    pem_free(&user);
    pem_free(&old);
    pem_free(&early);
}
END_TEST

START_TEST(certificates_are_replaced_while_it_runs)
{
    struct pem authority, node, admin, next_authority, next_node;
    struct errbuf err;
    uint64_t now = now_s();
    make(&authority, "test", "authority", NULL, NULL, now);
    make(&node, "node-1", TLS_ROLE_SERVER, "127.0.0.1", &authority, now);
    make(&admin, "me", TLS_ROLE_ADMIN, NULL, &authority, now);
    make(&next_authority, "next", "authority", NULL, NULL, now);
    make(&next_node, "node-1", TLS_ROLE_SERVER, "127.0.0.1", &next_authority, now);
    struct tls_options server = options_of(&authority, &node), client = options_of(&authority, &admin);
    struct link l;
    link_open(&l, &server, &client);
    ck_assert(talks(&l));
    struct tls_options bad = options_of(&authority, &node);
    bad.key = buf_slice(&admin.key);
    ck_assert_int_eq(env_posix_tls_reload(l.server.env, &bad, &err), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "do not belong together"));
    struct tls_options next = options_of(&next_authority, &next_node);
    ck_assert_int_eq(env_posix_tls_reload(l.server.env, &next, &err), STATUS_OK);
    l.client.wanted = l.client.got.size + 1; /* the connection that stands goes on */
    l.client.env->net->ops->send(l.client.conn, slice_str("y"));
    ck_assert(turn_until(&l.client, &l.server, has_wanted, &l.client));
    l.client.env->net->ops->close(l.client.conn);
    buf_clear(&l.client.got);
    buf_clear(&l.server.got);
    ck_assert(!talks(&l)); /* a new one sees the new certificate, which this client does not believe */
    link_close(&l);
    pem_free(&authority);
    pem_free(&node);
    pem_free(&admin);
    pem_free(&next_authority);
    pem_free(&next_node);
}
END_TEST

START_TEST(revoked_certificates)
{
    struct pem authority, other, node, admin, thief;
    struct buf first, both, foreign, again;
    struct errbuf err;
    uint64_t now = now_s();
    make(&authority, "test", "authority", NULL, NULL, now);
    make(&other, "other", "authority", NULL, NULL, now);
    make(&node, "node-1", TLS_ROLE_SERVER, "127.0.0.1", &authority, now);
    make(&admin, "me", TLS_ROLE_ADMIN, NULL, &authority, now);
    make(&thief, "you", TLS_ROLE_ADMIN, NULL, &authority, now);
    buf_init(&first, 65536);
    buf_init(&both, 65536);
    buf_init(&foreign, 65536);
    buf_init(&again, 65536);
    struct slice crt = buf_slice(&authority.certificate), key = buf_slice(&authority.key);
    ck_assert_int_eq(revoked_add(crt, key, SLICE_EMPTY, buf_slice(&thief.certificate), now, &first, &err), STATUS_OK);
    ck_assert_int_eq(revoked_add(crt, key, buf_slice(&first), buf_slice(&node.certificate), now, &both, &err),
                     STATUS_OK);
    ck_assert_int_eq(revoked_add(crt, key, buf_slice(&both), buf_slice(&node.certificate), now, &again, &err),
                     STATUS_OK);
    ck_assert_uint_lt(again.size,
                      both.size + 16); /* twice is once: an entry is larger than what signatures differ by */
    struct slice others_crt = buf_slice(&other.certificate), others_key = buf_slice(&other.key);
    ck_assert_int_eq(
        revoked_add(others_crt, others_key, SLICE_EMPTY, buf_slice(&node.certificate), now, &foreign, &err),
        STATUS_INVALID); /* not its own */
    struct tls_options server = options_of(&authority, &node), mine = options_of(&authority, &admin);
    struct tls_options stolen = options_of(&authority, &thief);
    server.ask_peers = true;
    ck_assert(pair_talks(&server, &stolen));
    server.revoked = buf_slice(&first);
    ck_assert_msg(!pair_talks(&server, &stolen), "a client whose certificate was revoked");
    ck_assert_msg(pair_talks(&server, &mine), "the others may as before");
    mine.revoked = buf_slice(&both);
    ck_assert_msg(!pair_talks(&server, &mine), "a server whose certificate was revoked");
    mine.revoked = SLICE_EMPTY;
    /* A list of nobody's is refused, and what was in use stays. A connection that stands ends when its peer is listed. */
    struct link l;
    server.revoked = SLICE_EMPTY;
    link_open(&l, &server, &stolen);
    ck_assert(talks(&l));
    server.revoked = slice_str("nonsense");
    ck_assert_int_eq(env_posix_tls_reload(l.server.env, &server, &err), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "PEM"));
    server.revoked = buf_slice(&first);
    ck_assert(!l.client.closed);
    ck_assert_int_eq(env_posix_tls_reload(l.server.env, &server, &err), STATUS_OK);
    ck_assert(turn_until(&l.client, &l.server, is_closed, &l.client));
    link_close(&l);
    buf_free(&first);
    buf_free(&both);
    buf_free(&foreign);
    buf_free(&again);
    pem_free(&authority);
    pem_free(&other);
    pem_free(&node);
    pem_free(&admin);
    pem_free(&thief);
}
END_TEST

static bool has_come(void *ctx)
{
    return ((struct end *)ctx)->conn != NULL;
}

/* Who began before the list came, and takes its time, is not let in by what was so then. */
START_TEST(revoked_while_it_shakes_hands)
{
    struct pem authority, node, thief;
    struct buf list;
    struct errbuf err;
    uint64_t now = now_s();
    make(&authority, "test", "authority", NULL, NULL, now);
    make(&node, "node-1", TLS_ROLE_SERVER, "127.0.0.1", &authority, now);
    make(&thief, "you", TLS_ROLE_ADMIN, NULL, &authority, now);
    buf_init(&list, 65536);
    ck_assert_int_eq(revoked_add(buf_slice(&authority.certificate), buf_slice(&authority.key), SLICE_EMPTY,
                                 buf_slice(&thief.certificate), now, &list, &err),
                     STATUS_OK);
    struct tls_options server = options_of(&authority, &node), stolen = options_of(&authority, &thief);
    server.ask_peers = true;
    struct link l;
    link_open(&l, &server, &stolen);
    link_connect(&l);
    l.client.env->net->ops->send(l.client.conn, slice_str("let me in"));
    env_posix_run_until(l.server.env, has_come, &l.server, WAIT_NS);
    ck_assert(l.server.conn != NULL && !l.client.opened);
    server.revoked = buf_slice(&list);
    ck_assert_int_eq(env_posix_tls_reload(l.server.env, &server, &err), STATUS_OK);
    ck_assert(turn_until(&l.client, &l.server, is_over, &l.client));
    ck_assert_uint_eq(l.client.got.size, 0);
    ck_assert_uint_eq(l.server.got.size, 0);
    link_close(&l);
    buf_free(&list);
    pem_free(&authority);
    pem_free(&node);
    pem_free(&thief);
}
END_TEST

START_TEST(an_authority_that_has_revoked_nothing)
{
    struct pem authority, other, trusted, node, thief, theirs;
    struct buf list;
    struct errbuf err;
    uint64_t now = now_s();
    make(&authority, "test", "authority", NULL, NULL, now);
    make(&other, "other", "authority", NULL, NULL, now);
    make(&node, "node-1", TLS_ROLE_SERVER, "127.0.0.1", &authority, now);
    make(&thief, "you", TLS_ROLE_ADMIN, NULL, &authority, now);
    make(&theirs, "them", TLS_ROLE_ADMIN, NULL, &other, now);
    buf_init(&list, 65536);
    buf_init(&trusted.certificate, 65536);
    buf_init(&trusted.key, 65536);
    buf_append_slice(&trusted.certificate, buf_slice(&authority.certificate));
    buf_append_slice(&trusted.certificate, buf_slice(&other.certificate));
    ck_assert_int_eq(revoked_add(buf_slice(&authority.certificate), buf_slice(&authority.key), SLICE_EMPTY,
                                 buf_slice(&thief.certificate), now, &list, &err),
                     STATUS_OK);
    struct tls_options server = options_of(&trusted, &node), of_other = options_of(&trusted, &theirs);
    struct tls_options stolen = options_of(&trusted, &thief);
    server.ask_peers = true;
    server.revoked = buf_slice(&list);
    ck_assert(pair_talks(&server, &of_other));
    ck_assert(!pair_talks(&server, &stolen));
    buf_free(&list);
    pem_free(&authority);
    pem_free(&other);
    pem_free(&trusted);
    pem_free(&node);
    pem_free(&thief);
    pem_free(&theirs);
}
END_TEST

START_TEST(garbage_ends_the_connection)
{
    struct pem authority, node;
    struct prng p;
    uint64_t now = now_s();
    make(&authority, "test", "authority", NULL, NULL, now);
    make(&node, "node-1", TLS_ROLE_SERVER, "127.0.0.1", &authority, now);
    struct tls_options server = options_of(&authority, &node);
    struct link l;
    link_open(&l, &server, NULL); /* a client without TLS */
    prng_init(&p, 23);
    for (unsigned round = 0; round < 100; round++) {
        uint8_t bytes[600] = {22, 3, 1, 2, 0}; /* a record of a handshake, so it begins */
        for (size_t i = round % 2 == 0 ? 0 : 5; i < sizeof(bytes); i++) bytes[i] = (uint8_t)prng_next(&p);
        link_connect(&l);
        l.client.env->net->ops->send(l.client.conn, slice_make(bytes, prng_between(&p, 1, sizeof(bytes))));
        for (unsigned i = 0; i < 3; i++) {
            env_posix_run_until(l.client.env, is_over, &l.client, NS_PER_MS / 4);
            env_posix_run_until(l.server.env, is_over, &l.client, NS_PER_MS / 4);
        }
        if (l.client.conn != NULL) l.client.env->net->ops->close(l.client.conn);
        l.client.conn = NULL;
    }
    ck_assert_uint_eq(l.server.got.size, 0);
    link_close(&l);
    pem_free(&authority);
    pem_free(&node);
}
END_TEST

START_TEST(http_over_tls)
{
    struct pem authority, node;
    uint64_t now = now_s();
    make(&authority, "test", "authority", NULL, NULL, now);
    make(&node, "gateway", TLS_ROLE_SERVER, "127.0.0.1", &authority, now);
    struct tls_options o = options_of(&authority, &node);
    struct link l;
    link_open(&l, &o, &o);
    l.server.echo = false;
    struct http_client *c = l.client.env->http->ops->client_new(l.client.env->http, l.address, 5000);
    ck_assert_ptr_nonnull(c); /* the same seam below: what HTTP sends arrives in plain at the other end */
    l.client.env->http->ops->client_send(c, HTTP_GET, "/secret", NULL, 0, SLICE_EMPTY, NULL, NULL);
    l.server.wanted = 10;
    ck_assert(turn_until(&l.client, &l.server, has_wanted, &l.server));
    ck_assert_int_eq(memcmp(l.server.got.data, "GET /secret HTTP/1.1\r\n", 22), 0);
    l.client.env->http->ops->client_free(c);
    link_close(&l);
    pem_free(&authority);
    pem_free(&node);
}
END_TEST

START_TEST(certificates_say_what_was_asked)
{
    struct pem authority, node;
    struct errbuf err;
    struct cert_facts f;
    make(&authority, "bank", "authority", NULL, NULL, NOW_S);
    make(&node, "node-1", TLS_ROLE_SERVER, "127.0.0.1,::1,db.example", &authority, NOW_S);
    ck_assert_int_eq(cert_read(buf_slice(&node.certificate), &f, &err), STATUS_OK);
    ck_assert_str_eq(f.name, "node-1");
    ck_assert_str_eq(f.role, "server");
    ck_assert_str_eq(f.hosts, "127.0.0.1,0:0:0:0:0:0:0:1,db.example");
    ck_assert_uint_eq(f.from_s, NOW_S - 3600);
    ck_assert_uint_eq(f.until_s, NOW_S + 864000);
    ck_assert(!f.is_authority);
    ck_assert_int_eq(cert_read(buf_slice(&authority.certificate), &f, &err), STATUS_OK);
    ck_assert(f.is_authority);
    ck_assert_int_eq(
        cert_check(buf_slice(&authority.certificate), buf_slice(&node.certificate), buf_slice(&node.key), &err),
        STATUS_OK);
    ck_assert_int_eq(
        cert_check(buf_slice(&authority.certificate), buf_slice(&node.certificate), buf_slice(&authority.key), &err),
        STATUS_INVALID);
    ck_assert_int_eq(cert_check(buf_slice(&node.certificate), buf_slice(&node.certificate), buf_slice(&node.key), &err),
                     STATUS_INVALID);
    struct pem other; /* two authorities, while one takes over from the other */
    make(&other, "other", "authority", NULL, NULL, NOW_S);
    ck_assert_int_eq(
        cert_check(buf_slice(&other.certificate), buf_slice(&node.certificate), buf_slice(&node.key), &err),
        STATUS_INVALID);
    buf_append_slice(&other.certificate, buf_slice(&authority.certificate));
    ck_assert_int_eq(
        cert_check(buf_slice(&other.certificate), buf_slice(&node.certificate), buf_slice(&node.key), &err), STATUS_OK);
    pem_free(&other);
    ck_assert_int_eq(cert_read(slice_str("nonsense"), &f, &err), STATUS_INVALID);
    struct cert_request bad = {.name = "x", .role = "server", .hosts = "a b", .days = 1, .now_s = NOW_S};
    struct buf out;
    buf_init(&out, 65536);
    ck_assert_int_eq(cert_make(&bad, buf_slice(&authority.certificate), buf_slice(&authority.key), &out, &out, &err),
                     STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "'a b'"));
    bad.hosts = NULL;
    bad.days = 0;
    ck_assert_int_eq(cert_make(&bad, buf_slice(&authority.certificate), buf_slice(&authority.key), &out, &out, &err),
                     STATUS_INVALID);
    bad.days = 1;
    ck_assert_int_eq(cert_make(&bad, buf_slice(&authority.certificate), buf_slice(&node.key), &out, &out, &err),
                     STATUS_INVALID);
    ck_assert_uint_eq(out.size, 0);
    buf_free(&out);
    pem_free(&authority);
    pem_free(&node);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tls_net");
    TCase *tc = tcase_create("tls");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, bytes_come_back_in_order);
    tcase_add_test(tc, who_is_refused);
    tcase_add_test(tc, certificates_are_replaced_while_it_runs);
    tcase_add_test(tc, revoked_certificates);
    tcase_add_test(tc, revoked_while_it_shakes_hands);
    tcase_add_test(tc, an_authority_that_has_revoked_nothing);
    tcase_add_test(tc, garbage_ends_the_connection);
    tcase_add_test(tc, http_over_tls);
    tcase_add_test(tc, certificates_say_what_was_asked);
    suite_add_tcase(suite, tc);
    return test_run_suite(suite);
}
