/* Connections. One is in exactly one state.
 *
 *             under opens             handshake, and the peer is whom we want
 *   OPENING ---------------> SHAKING ----------------------------------------> OPEN --close, the peer's end--> ENDED
 *   (outgoing only)             | refused: our log says why; the owner sees STATUS_CLOSED                       ^
 *                               '-------------------------------------------------------------------------------'
 *
 * Records travel through two memory BIOs: `in` is filled by on_data of the connection below, `out` is sent there at the end of
 * every call. ENDED ones are freed when no call of ours is on the stack. */
#include "tls/tls.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "tls/revoked_int.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define READ_BYTES (16u * 1024u) /* a record holds no more */
#define EARLY_BYTES_MAX                                                                                                \
    (256u * 1024u * 1024u) /* sent before the handshake is over; senders look at `unsent` long before */
#define HOST_MAX 256

enum tls_state { TLS_OPENING, TLS_SHAKING, TLS_OPEN, TLS_ENDED };

struct tls_net {
    struct net seam; /* first */
    struct env *env;
    struct net *under;
    SSL_CTX *ctx;
    struct tls_options options; /* the texts are not kept */
    struct actor actor;         /* takes up reading after a pause */
    struct list conns, resumed;
    uint8_t *plain; /* what was decrypted last; borrowed for one on_data */
};

struct tls_conn { /* a struct net_conn to its owner */
    struct tls_net *net;
    struct net_conn *under;
    const struct net_handler *handler;
    void *handler_ctx;
    struct list link, resumed;
    enum tls_state state;
    bool outgoing, paused;
    bool revoked;   /* its peer's certificate: it ends */
    unsigned depth; /* calls of ours on the stack that still need it */
    SSL *ssl;
    BIO *in, *out; /* the SSL's */
    struct buf early;
};

struct tls_listener {
    struct tls_net *net;
    struct net_listener *under;
    void (*accept)(void *ctx, struct net_conn *);
    void *ctx;
};

static struct tls_conn *conn_of(const struct net_conn *c)
{
    return (struct tls_conn *)(void *)(uintptr_t)c;
}

static struct net_conn *seam_of(struct tls_conn *c)
{
    return (struct net_conn *)(void *)c;
}

static const struct net_ops *under_of(const struct tls_conn *c)
{
    return c->net->under->ops;
}

static void conn_free(struct tls_conn *c)
{
    ASSERT(c->state == TLS_ENDED);
    list_remove(&c->link);
    list_remove(&c->resumed);
    SSL_free(c->ssl); /* with its BIOs */
    buf_free(&c->early);
    mem_free(c);
}

static void conn_leave(struct tls_conn *c)
{
    ASSERT(c->depth > 0);
    if (--c->depth == 0 && c->state == TLS_ENDED) conn_free(c);
}

static void conn_send_out(struct tls_conn *c)
{
    char *bytes;
    long size = BIO_get_mem_data(c->out, &bytes);
    if (size <= 0) return;
    under_of(c)->send(c->under, slice_make(bytes, (size_t)size));
    (void)BIO_reset(c->out);
}

/* The owner has closed it, or is about to learn of its end. The connection below stands. */
static void conn_close_under(struct tls_conn *c)
{
    if (c->state == TLS_OPEN) (void)SSL_shutdown(c->ssl);
    if (c->state != TLS_OPENING) conn_send_out(c); /* an alert, or the end */
    ERR_clear_error();
    c->state = TLS_ENDED;
    under_of(c)->close(c->under);
    c->under = NULL;
}

static void conn_fail(struct tls_conn *c, enum status why)
{
    const struct net_handler *handler = c->handler;
    conn_close_under(c);
    if (handler != NULL) handler->on_close(c->handler_ctx, seam_of(c), why);
}

/* --- who is at the other end --- */

static bool role_is(const X509 *x, const char *role)
{
    char ou[64] = "";
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_organizationalUnitName, ou, (int)sizeof(ou));
    return strcmp(ou, role) == 0;
}

static bool peer_is_admitted(const struct tls_conn *c, const char **why)
{
    if (!c->outgoing && !c->net->options.ask_peers) return true;
    *why = "authorities or lists of revoked certificates were replaced during the handshake: it may try again";
    if (SSL_get_SSL_CTX(c->ssl) != c->net->ctx) return false; /* it was judged by the former ones */
    X509 *x = SSL_get1_peer_certificate(c->ssl);
    bool good = false;
    *why = "the peer's certificate has not the role that is needed here";
    if (x != NULL && c->outgoing) good = role_is(x, TLS_ROLE_SERVER);
    for (size_t i = 0; x != NULL && !c->outgoing && c->net->options.admitted[i] != NULL; i++)
        good = good || role_is(x, c->net->options.admitted[i]);
    X509_free(x);
    return good;
}

static void log_refusal(const struct tls_conn *c, const char *why)
{
    char text[160] = "";
    unsigned long code = ERR_peek_last_error();
    long verdict = SSL_get_verify_result(c->ssl);
    if (why != NULL) {
        (void)snprintf(text, sizeof(text), "%s", why);
    } else if (verdict != X509_V_OK) {
        (void)snprintf(text, sizeof(text), "%s", X509_verify_cert_error_string(verdict));
    } else {
        const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
        (void)snprintf(text, sizeof(text), "%s", reason != NULL ? reason : "the peer does not speak TLS");
    }
    log_event(c->net->env->log, LOG_WARN, "tls.refused", "peer=%s direction=%s why=\"%s\"", under_of(c)->peer(c->under),
              c->outgoing ? "out" : "in", text);
    ERR_clear_error();
}

/* --- the pump --- */

static void conn_write(struct tls_conn *c, struct slice bytes)
{
    while (bytes.size > 0) {
        size_t wrote = 0;
        int rc = SSL_write_ex(c->ssl, bytes.data, bytes.size, &wrote);
        ASSERT(rc == 1); /* memory takes all; a broken session was ended before */
        bytes = slice_make(bytes.data + wrote, bytes.size - wrote);
    }
    conn_send_out(c);
}

static void conn_shake(struct tls_conn *c)
{
    const char *why = NULL;
    int rc = SSL_do_handshake(c->ssl);
    if (rc != 1 && SSL_get_error(c->ssl, rc) == SSL_ERROR_WANT_READ) {
        conn_send_out(c);
        return;
    }
    if (rc != 1 || !peer_is_admitted(c, &why)) {
        log_refusal(c, why);
        conn_fail(c, STATUS_CLOSED);
        return;
    }
    c->state = TLS_OPEN;
    conn_send_out(c);
    conn_write(c, buf_slice(&c->early));
    buf_free(&c->early);
    if (c->outgoing && c->handler != NULL) c->handler->on_open(c->handler_ctx, seam_of(c));
}

static void conn_read(struct tls_conn *c)
{
    while (c->state == TLS_OPEN && !c->paused) {
        size_t got = 0;
        int rc = SSL_read_ex(c->ssl, c->net->plain, READ_BYTES, &got);
        if (rc == 1) {
            c->handler->on_data(c->handler_ctx, seam_of(c), slice_make(c->net->plain, got));
            continue;
        }
        int error = SSL_get_error(c->ssl, rc);
        if (error == SSL_ERROR_WANT_READ) break;
        if (error != SSL_ERROR_ZERO_RETURN) log_refusal(c, NULL);
        conn_fail(c, STATUS_CLOSED);
    }
    if (c->state == TLS_OPEN) conn_send_out(c);
}

/* From callbacks of the loop only: it calls the owner. */
static void conn_pump(struct tls_conn *c)
{
    c->depth++;
    if (c->state == TLS_SHAKING) conn_shake(c);
    if (c->state == TLS_OPEN && c->revoked) {
        log_refusal(c, "the peer's certificate has been revoked");
        conn_fail(c, STATUS_CLOSED);
    }
    if (c->state == TLS_OPEN) conn_read(c);
    conn_leave(c);
}

static void under_on_open(void *ctx, struct net_conn *under)
{
    struct tls_conn *c = ctx;
    (void)under;
    ASSERT(c->state == TLS_OPENING);
    c->state = TLS_SHAKING;
    conn_pump(c);
}

static void under_on_data(void *ctx, struct net_conn *under, struct slice bytes)
{
    struct tls_conn *c = ctx;
    (void)under;
    int taken = BIO_write(c->in, bytes.data, (int)bytes.size);
    ASSERT(taken == (int)bytes.size);
    conn_pump(c);
}

static void under_on_close(void *ctx, struct net_conn *under, enum status why)
{
    struct tls_conn *c = ctx;
    (void)under;
    const struct net_handler *handler = c->handler;
    c->depth++;
    c->state = TLS_ENDED;
    c->under = NULL;
    if (handler != NULL) handler->on_close(c->handler_ctx, seam_of(c), why);
    conn_leave(c);
}

static const struct net_handler under_handler = {
    .on_open = under_on_open, .on_data = under_on_data, .on_close = under_on_close};

/* --- the seam --- */

static struct tls_conn *conn_new(struct tls_net *n, bool outgoing)
{
    struct tls_conn *c = mem_zalloc(sizeof(*c));
    c->net = n;
    c->outgoing = outgoing;
    c->ssl = SSL_new(n->ctx);
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    ASSERT(c->ssl != NULL);
    ASSERT(c->in != NULL);
    ASSERT(c->out != NULL);
    SSL_set_bio(c->ssl, c->in, c->out);
    buf_init(&c->early, EARLY_BYTES_MAX);
    list_init(&c->resumed);
    list_push_back(&n->conns, &c->link);
    return c;
}

static void tls_accept(void *ctx, struct net_conn *under)
{
    struct tls_listener *l = ctx;
    struct tls_conn *c = conn_new(l->net, false);
    c->under = under;
    c->state = TLS_SHAKING;
    SSL_set_accept_state(c->ssl);
    SSL_set_verify(
        c->ssl, l->net->options.ask_peers ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, NULL);
    under_of(c)->attach(under, &under_handler, c);
    c->depth++;
    l->accept(l->ctx, seam_of(c));
    conn_leave(c);
}

static enum status tls_listen(struct net *net, const char *address, void (*accept)(void *ctx, struct net_conn *),
                              void *ctx, struct net_listener **out, struct errbuf *err)
{
    struct tls_net *n = (struct tls_net *)(void *)net;
    struct tls_listener *l = mem_zalloc(sizeof(*l));
    *l = (struct tls_listener){.net = n, .accept = accept, .ctx = ctx};
    enum status s = n->under->ops->listen(n->under, address, tls_accept, l, &l->under, err);
    *out = NULL;
    if (s == STATUS_OK) {
        *out = (struct net_listener *)(void *)l;
    } else {
        mem_free(l);
    }
    return s;
}

static void tls_unlisten(struct net_listener *listener)
{
    struct tls_listener *l = (struct tls_listener *)(void *)listener;
    l->net->under->ops->unlisten(l->under);
    mem_free(l);
}

/* The host of "host:port" or "[::1]:port", which the certificate has to name. */
static void demand_host(SSL *ssl, const char *address)
{
    char host[HOST_MAX];
    const char *colon = strrchr(address, ':');
    if (strncmp(address, "unix:", 5) == 0 || colon == NULL) return;
    size_t size = (size_t)(colon - address);
    if (size > 1 && address[0] == '[' && address[size - 1] == ']') {
        address++;
        size -= 2;
    }
    if (size >= sizeof(host)) size = sizeof(host) - 1; /* no certificate names that: refused */
    memcpy(host, address, size);
    host[size] = '\0';
    X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1) return;
    ERR_clear_error();
    int rc = X509_VERIFY_PARAM_set1_host(p, host, size);
    ASSERT(rc == 1);
    (void)SSL_set_tlsext_host_name(ssl, host);
}

static struct net_conn *tls_connect(struct net *net, const char *address, const struct net_handler *handler, void *ctx)
{
    struct tls_net *n = (struct tls_net *)(void *)net;
    struct tls_conn *c = conn_new(n, true);
    c->handler = handler;
    c->handler_ctx = ctx;
    SSL_set_connect_state(c->ssl);
    SSL_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    demand_host(c->ssl, address);
    c->under = n->under->ops->connect(n->under, address, &under_handler, c);
    return seam_of(c);
}

static void tls_attach(struct net_conn *conn, const struct net_handler *handler, void *ctx)
{
    struct tls_conn *c = conn_of(conn);
    ASSERT(c->handler == NULL);
    c->handler = handler;
    c->handler_ctx = ctx;
}

static void tls_send(struct net_conn *conn, struct slice bytes)
{
    struct tls_conn *c = conn_of(conn);
    if (c->state == TLS_ENDED || bytes.size == 0) return; /* on_close is on its way */
    if (c->state == TLS_OPEN) {
        conn_write(c, bytes);
    } else {
        buf_append_slice(&c->early, bytes);
    }
}

static size_t tls_unsent(const struct net_conn *conn)
{
    const struct tls_conn *c = conn_of(conn);
    return (c->under == NULL ? 0 : under_of(c)->unsent(c->under)) + c->early.size;
}

static void tls_pause(struct net_conn *conn, bool paused)
{
    struct tls_conn *c = conn_of(conn);
    if (c->paused == paused || c->state == TLS_ENDED) return;
    c->paused = paused;
    under_of(c)->pause(c->under, paused);
    if (paused || !list_empty(&c->resumed)) return;
    list_push_back(&c->net->resumed, &c->resumed); /* what is here already comes from the loop */
    c->net->env->ops->wake(c->net->env);
}

static void tls_close(struct net_conn *conn)
{
    struct tls_conn *c = conn_of(conn);
    ASSERT(c->state != TLS_ENDED);
    c->depth++;
    c->handler = NULL;
    conn_close_under(c);
    conn_leave(c);
}

static const char *tls_peer(const struct net_conn *conn)
{
    const struct tls_conn *c = conn_of(conn);
    return c->under == NULL ? "" : under_of(c)->peer(c->under);
}

static uint64_t tls_pass(struct actor *a, uint64_t now_ns)
{
    struct tls_net *n = LIST_ENTRY(a, struct tls_net, actor);
    (void)now_ns;
    for (struct list *node; (node = list_pop_front(&n->resumed)) != NULL;)
        conn_pump(LIST_ENTRY(node, struct tls_conn, resumed));
    return DEADLINE_NONE;
}

/* --- settings --- */

static bool context_trust(SSL_CTX *ctx, struct slice pem)
{
    BIO *b = BIO_new_mem_buf(pem.data, (int)pem.size);
    bool any = false;
    for (X509 *x; b != NULL && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL; X509_free(x))
        any = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) == 1 || any;
    BIO_free(b);
    ERR_clear_error(); /* the end of the text */
    return any;
}

static bool context_own(SSL_CTX *ctx, struct slice certificate, struct slice key)
{
    BIO *b = BIO_new_mem_buf(certificate.data, (int)certificate.size);
    X509 *x = b == NULL ? NULL : PEM_read_bio_X509(b, NULL, NULL, NULL);
    BIO_free(b);
    b = BIO_new_mem_buf(key.data, (int)key.size);
    EVP_PKEY *k = b == NULL ? NULL : PEM_read_bio_PrivateKey(b, NULL, NULL, (void *)(uintptr_t) "");
    BIO_free(b);
    bool good = x != NULL && k != NULL && SSL_CTX_use_certificate(ctx, x) == 1 && SSL_CTX_use_PrivateKey(ctx, k) == 1 &&
                SSL_CTX_check_private_key(ctx) == 1;
    X509_free(x);
    EVP_PKEY_free(k);
    return good;
}

static enum status context_new(const struct tls_options *o, SSL_CTX **out, struct errbuf *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    ASSERT(ctx != NULL);
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(ctx, 0);
    *out = ctx;
    bool own = o->certificate.size > 0 || o->key.size > 0;
    if (!context_trust(ctx, o->authority)) {
        errbuf_set(err, "the authority's certificate is none in PEM form");
    } else if (own && !context_own(ctx, o->certificate, o->key)) {
        errbuf_set(err, "certificate and key are not in PEM form, or do not belong together");
    } else if (revoked_check(o->authority, o->revoked, err) == STATUS_OK) {
        revoked_heed(ctx, o->revoked);
        return STATUS_OK;
    }
    ERR_clear_error();
    SSL_CTX_free(ctx);
    *out = NULL;
    return STATUS_INVALID;
}

static void options_keep(struct tls_net *n, const struct tls_options *o)
{
    n->options = *o;
    n->options.authority = n->options.certificate = n->options.key = n->options.revoked = SLICE_EMPTY;
}

/* The owners learn of it in the next pass. */
static void end_revoked(struct tls_net *n, struct slice lists)
{
    LIST_FOR(it, &n->conns)
    {
        struct tls_conn *c = LIST_ENTRY(it, struct tls_conn, link);
        X509 *x = c->state == TLS_OPEN ? SSL_get1_peer_certificate(c->ssl) : NULL;
        if (x == NULL) continue;
        c->revoked = revoked_names(lists, x);
        X509_free(x);
        if (!c->revoked || c->handler == NULL) continue;
        list_remove(&c->resumed);
        list_push_back(&n->resumed, &c->resumed);
        n->env->ops->wake(n->env);
    }
}

enum status tls_net_reload(struct net *net, const struct tls_options *o, struct errbuf *err)
{
    struct tls_net *n = (struct tls_net *)(void *)net;
    SSL_CTX *ctx;
    enum status s = context_new(o, &ctx, err);
    if (s != STATUS_OK) return s;
    SSL_CTX_free(n->ctx); /* connections hold theirs */
    n->ctx = ctx;
    options_keep(n, o);
    end_revoked(n, o->revoked);
    return STATUS_OK;
}

enum status tls_net_new(struct env *env, struct net *under, const struct tls_options *o, struct net **out,
                        struct errbuf *err)
{
    static const struct net_ops ops = {.listen = tls_listen,
                                       .unlisten = tls_unlisten,
                                       .connect = tls_connect,
                                       .attach = tls_attach,
                                       .send = tls_send,
                                       .unsent = tls_unsent,
                                       .pause = tls_pause,
                                       .close = tls_close,
                                       .peer = tls_peer};
    SSL_CTX *ctx;
    *out = NULL;
    enum status s = context_new(o, &ctx, err);
    if (s != STATUS_OK) return s;
    struct tls_net *n = mem_zalloc(sizeof(*n));
    n->seam.ops = &ops;
    n->env = env;
    n->under = under;
    n->ctx = ctx;
    options_keep(n, o);
    n->plain = mem_alloc(READ_BYTES);
    list_init(&n->conns);
    list_init(&n->resumed);
    n->actor.pass = tls_pass;
    env->ops->attach(env, &n->actor);
    *out = &n->seam;
    return STATUS_OK;
}

void tls_net_free(struct net *net)
{
    struct tls_net *n = (struct tls_net *)(void *)net;
    LIST_FOR(it, &n->conns)
    {
        struct tls_conn *c = LIST_ENTRY(it, struct tls_conn, link);
        if (c->state != TLS_ENDED) tls_close(seam_of(c));
    }
    n->env->ops->detach(n->env, &n->actor);
    SSL_CTX_free(n->ctx);
    mem_free(n->plain);
    mem_free(n);
}
