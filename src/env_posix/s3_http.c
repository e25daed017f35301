#define _GNU_SOURCE /* gmtime_r, SOCK_CLOEXEC */
#include "env_posix/s3_http.h"

#include "base/list.h"
#include "base/mem.h"
#include "env_posix/process.h"
#include "http/reader.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPTS_MAX 6u
#define PAUSE_MS 200u
#define SILENCE_S 60 /* a send or receive that makes no progress for so long is given up */
#define HEAD_MAX 65536u
#define BODY_MAX ((512u << 20) + 65536u)
#define PIECE_BYTES 65536u

struct s3_conn {
    struct list link; /* of those that are idle */
    int fd;
    SSL *ssl; /* NULL: plain */
};
struct s3_http {
    struct logger *log;
    struct s3_keys keys;
    char *endpoint, *host, *port; /* host: without brackets */
    char *authority;              /* of the Host header */
    SSL_CTX *tls;
    pthread_mutex_t lock; /* over `idle` */
    struct list idle;
};

/* --- connections --- */

static void conn_free(struct s3_conn *c)
{
    if (c->ssl != NULL) SSL_free(c->ssl);
    if (c->fd >= 0) (void)close(c->fd);
    mem_free(c);
}

static int dial(const struct s3_http *h)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    struct timeval silence = {.tv_sec = SILENCE_S};
    int one = 1, fd = -1;
    if (getaddrinfo(h->host, h->port, &hints, &found) != 0) return -1;
    for (struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) continue;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof silence); /* of connect, too */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(fd, a->ai_addr, a->ai_addrlen) == 0) break;
        (void)close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static void say(struct s3_answer *a, const char *what, const char *more)
{
    (void)snprintf(a->why, sizeof a->why, "%s%s%s", what, more[0] != '\0' ? ": " : "", more);
}

static bool handshake(const struct s3_http *h, struct s3_conn *c, struct s3_answer *out)
{
    char text[200] = "";
    c->ssl = SSL_new(h->tls);
    if (c->ssl == NULL) return false;
    SSL_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    bool is_ip = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), h->host) == 1;
    bool ok = is_ip || (SSL_set1_host(c->ssl, h->host) == 1 && SSL_set_tlsext_host_name(c->ssl, h->host) == 1);
    ok = ok && SSL_set_fd(c->ssl, c->fd) == 1 && SSL_connect(c->ssl) == 1;
    if (ok) return true;
    long verdict = SSL_get_verify_result(c->ssl);
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    say(out, "no encrypted connection", verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : text);
    return false;
}

static struct s3_conn *conn_take(struct s3_http *h, bool fresh, struct s3_answer *out)
{
    struct s3_conn *c = NULL;
    (void)pthread_mutex_lock(&h->lock);
    if (!fresh && !list_empty(&h->idle)) {
        c = LIST_ENTRY(h->idle.next, struct s3_conn, link);
        list_remove(&c->link);
    }
    (void)pthread_mutex_unlock(&h->lock);
    if (c != NULL) return c;
    c = mem_zalloc(sizeof *c);
    c->fd = dial(h);
    if (c->fd >= 0 && (h->tls == NULL || handshake(h, c, out))) return c;
    if (c->fd < 0) say(out, "it cannot be reached", h->authority);
    conn_free(c);
    return NULL;
}

static void conn_give_back(struct s3_http *h, struct s3_conn *c)
{
    (void)pthread_mutex_lock(&h->lock);
    list_push_front(&h->idle, &c->link);
    (void)pthread_mutex_unlock(&h->lock);
}

static bool conn_send(struct s3_conn *c, struct slice bytes)
{
    while (bytes.size > 0) {
        size_t piece = bytes.size < (1u << 20) ? bytes.size : 1u << 20;
        ssize_t n;
        if (c->ssl != NULL)
            n = SSL_write(c->ssl, bytes.data, (int)piece);
        else
            n = send(c->fd, bytes.data, piece, MSG_NOSIGNAL);
        if (n < 0 && c->ssl == NULL && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes = slice_make(bytes.data + n, bytes.size - (size_t)n);
    }
    return true;
}

static ssize_t conn_receive(struct s3_conn *c, void *bytes, size_t size)
{
    ssize_t n;
    if (c->ssl != NULL) return SSL_read(c->ssl, bytes, (int)size);
    do {
        n = recv(c->fd, bytes, size, 0);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* --- one request --- */

static void write_head(const struct s3_http *h, const struct s3_request *r, struct buf *head)
{
    struct s3_to_sign sign = {.method = r->method, .host = h->authority, .path = r->path, .query = r->query};
    time_t now = time(NULL);
    struct tm t;
    (void)gmtime_r(&now, &t);
    (void)strftime(sign.date, sizeof sign.date, "%Y%m%dT%H%M%SZ", &t);
    s3_hash(r->body, sign.payload_hash);
    buf_printf(head, "%s %s%s%s HTTP/1.1\r\n", r->method, r->path, r->query[0] != '\0' ? "?" : "", r->query);
    s3_sign(&h->keys, &sign, head);
    if (r->size > 0)
        buf_printf(head, "Range: bytes=%llu-%llu\r\n", (unsigned long long)r->from,
                   (unsigned long long)(r->from + r->size - 1));
    buf_printf(head, "Content-Length: %zu\r\n\r\n", r->body.size);
}

/* What stands in an error's <Message>, or its <Code>. */
static void error_text(const struct s3_answer *a, char *text, size_t size)
{
    static const char open[] = "<Message>";
    struct slice body = buf_slice(&a->body);
    const char *at = body.size > 0 ? memmem(body.data, body.size, open, strlen(open)) : NULL;
    const char *end = at != NULL ? memchr(at + 1, '<', (size_t)((const char *)body.data + body.size - at - 1)) : NULL;
    text[0] = '\0';
    if (end != NULL) (void)snprintf(text, size, "%.*s", (int)(end - at - (int)strlen(open)), at + strlen(open));
}

static void take_answer(struct http_reader *in, struct s3_answer *out)
{
    const char *length = http_reader_field(in, "content-length");
    char text[200];
    out->code = in->code;
    out->length = length != NULL ? strtoull(length, NULL, 10) : in->body.size;
    out->body = in->body;
    buf_init(&in->body, BODY_MAX);
    if (in->code / 100 == 2) return;
    error_text(out, text, sizeof text);
    (void)snprintf(out->why, sizeof out->why, "it answers %d%s%s", in->code, text[0] != '\0' ? ": " : "", text);
}

static bool exchange(struct s3_http *h, struct s3_conn *c, const struct s3_request *r, struct s3_answer *out)
{
    struct http_reader in;
    struct buf head;
    uint8_t *piece = mem_alloc(PIECE_BYTES);
    buf_init(&head, HEAD_MAX);
    write_head(h, r, &head);
    bool ok = !head.overflow && conn_send(c, buf_slice(&head)) && conn_send(c, r->body);
    http_reader_init(&in, false, HEAD_MAX, BODY_MAX);
    http_reader_begin(&in, strcmp(r->method, "HEAD") == 0);
    while (ok && in.state != READER_DONE && in.state != READER_BAD) {
        ssize_t n = conn_receive(c, piece, PIECE_BYTES);
        if (n > 0) {
            (void)http_reader_feed(&in, slice_make(piece, (size_t)n));
            continue;
        }
        http_reader_end(&in);
        ok = in.state == READER_DONE;
    }
    ok = ok && in.state == READER_DONE;
    if (ok) take_answer(&in, out);
    bool again = ok && in.keep_alive;
    if (!ok) say(out, "the connection broke", in.state == READER_BAD && in.fault != NULL ? in.fault : "");
    http_reader_free(&in);
    buf_free(&head);
    mem_free(piece);
    if (again)
        conn_give_back(h, c);
    else
        conn_free(c);
    return ok;
}

enum status s3_ask(struct s3_http *h, const struct s3_request *r, struct s3_answer *out)
{
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
        if (i > 0) {
            s3_answer_free(out);
            process_sleep_ms(PAUSE_MS << (i - 1));
        }
        *out = (struct s3_answer){.code = 0};
        struct s3_conn *c = conn_take(h, i > 0, out); /* one that was idle may have been closed meanwhile */
        if (c == NULL) continue;
        if (exchange(h, c, r, out) && out->code < 500 && out->code != 429) break;
    }
    if (out->code / 100 == 2) return STATUS_OK;
    if (out->code == 404) return STATUS_NOT_FOUND;
    log_event(h->log, LOG_ERROR, "s3.failed", "endpoint=%s method=%s path=%s why=\"%s\"", h->endpoint, r->method,
              r->path, out->why);
    return out->code == 401 || out->code == 403 ? STATUS_FORBIDDEN : STATUS_IO;
}

void s3_answer_free(struct s3_answer *a)
{
    buf_free(&a->body);
}

/* --- life --- */

/* http://HOST, https://HOST:PORT, http://[::1]:9000: into its parts. */
static bool endpoint_parse(struct s3_http *h, const char *endpoint, bool *tls)
{
    *tls = strncmp(endpoint, "https://", 8) == 0;
    if (!*tls && strncmp(endpoint, "http://", 7) != 0) return false;
    h->endpoint = mem_strdup(endpoint);
    h->authority = mem_strdup(endpoint + (*tls ? 8 : 7));
    size_t size = strcspn(h->authority, "/");
    if (size == 0 || h->authority[size + (h->authority[size] == '/')] != '\0') return false;
    h->authority[size] = '\0';
    bool bracket = h->authority[0] == '[';
    h->host = mem_strdup(h->authority + bracket);
    char *end = bracket ? strchr(h->host, ']') : strchr(h->host, ':');
    char *colon = end != NULL && bracket ? end + 1 : end;
    if (bracket && end == NULL) return false;
    h->port = mem_strdup(colon != NULL && *colon == ':' ? colon + 1 : *tls ? "443" : "80");
    if (end != NULL) *end = '\0';
    return h->host[0] != '\0';
}

static bool tls_prepare(struct s3_http *h, const char *ca_file)
{
    h->tls = SSL_CTX_new(TLS_client_method());
    if (h->tls == NULL || SSL_CTX_set_min_proto_version(h->tls, TLS1_2_VERSION) != 1) return false;
    SSL_CTX_set_mode(h->tls, SSL_MODE_AUTO_RETRY);
    if (ca_file == NULL) return SSL_CTX_set_default_verify_paths(h->tls) == 1;
    return SSL_CTX_load_verify_locations(h->tls, ca_file, NULL) == 1;
}

enum status s3_http_new(const struct s3_http_options *o, struct logger *log, struct s3_http **out, struct errbuf *err)
{
    struct s3_http *h = mem_zalloc(sizeof *h);
    bool tls;
    h->log = log;
    list_init(&h->idle);
    (void)pthread_mutex_init(&h->lock, NULL);
    h->keys = (struct s3_keys){.region = mem_strdup(o->keys.region),
                               .access_key = mem_strdup(o->keys.access_key),
                               .secret_key = mem_strdup(o->keys.secret_key),
                               .session_token = mem_strdup(o->keys.session_token)};
    *out = NULL;
    if (!endpoint_parse(h, o->endpoint, &tls)) {
        errbuf_set(err, "%s: expected http://HOST:PORT or https://HOST", o->endpoint);
    } else if (tls && !tls_prepare(h, o->ca_file)) {
        errbuf_set(err, "the certificates to believe cannot be read%s%s", o->ca_file != NULL ? ": " : "",
                   o->ca_file != NULL ? o->ca_file : "");
    } else {
        *out = h;
        return STATUS_OK;
    }
    s3_http_free(h);
    return STATUS_INVALID;
}

void s3_http_free(struct s3_http *h)
{
    if (h == NULL) return;
    LIST_FOR(it, &h->idle) conn_free(LIST_ENTRY(it, struct s3_conn, link));
    if (h->tls != NULL) SSL_CTX_free(h->tls);
    OPENSSL_cleanse((void *)(uintptr_t)h->keys.secret_key, strlen(h->keys.secret_key));
    mem_free((void *)(uintptr_t)h->keys.region);
    mem_free((void *)(uintptr_t)h->keys.access_key);
    mem_free((void *)(uintptr_t)h->keys.secret_key);
    mem_free((void *)(uintptr_t)h->keys.session_token);
    mem_free(h->endpoint);
    mem_free(h->host);
    mem_free(h->port);
    mem_free(h->authority);
    (void)pthread_mutex_destroy(&h->lock);
    mem_free(h);
}
