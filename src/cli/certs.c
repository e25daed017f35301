#include "cli/certs.h"

#include <stdio.h>
#include <string.h>

#include "tls/cert.h"
#include "tls/revoked.h"

#define PEM_BYTES_MAX 65536u
#define LOCAL_DAYS 3650u
#define REVOKED_BYTES_MAX (1024u * 1024u)

static enum status read_one(const char *prefix, const char *end, bool may_lack, struct buf *out, struct errbuf *err)
{
    char path[LOCAL_PATH_MAX + 8];
    snprintf(path, sizeof(path), "%s%s", prefix, end);
    buf_clear(out);
    enum status s = process_file_read(path, out, err);
    return s == STATUS_NOT_FOUND && may_lack ? STATUS_OK : s;
}

static void authority_path(const char *prefix, char path[LOCAL_PATH_MAX])
{
    const char *slash = strrchr(prefix, '/');
    int size = slash != NULL ? (int)(slash - prefix + 1) : 0;
    snprintf(path, LOCAL_PATH_MAX, "%.*s" CERTS_AUTHORITY, size < 900 ? size : 900, prefix);
}

enum status certs_read(struct certs *c, const char *prefix, bool ask_peers, struct errbuf *err)
{
    char authority[LOCAL_PATH_MAX];
    memset(c, 0, sizeof(*c));
    snprintf(c->prefix, sizeof(c->prefix), "%s", prefix);
    authority_path(prefix, authority);
    buf_init(&c->authority, PEM_BYTES_MAX);
    buf_init(&c->certificate, PEM_BYTES_MAX);
    buf_init(&c->key, PEM_BYTES_MAX);
    buf_init(&c->revoked, REVOKED_BYTES_MAX);
    c->on = true;
    enum status s = read_one(authority, ".crt", false, &c->authority, err);
    if (s == STATUS_OK) s = read_one(authority, ".crl", true, &c->revoked, err);
    if (s == STATUS_OK) s = revoked_check(buf_slice(&c->authority), buf_slice(&c->revoked), err);
    if (s == STATUS_OK) s = read_one(prefix, ".crt", !ask_peers, &c->certificate, err);
    if (s == STATUS_OK) s = read_one(prefix, ".key", c->certificate.size == 0, &c->key, err);
    if (s == STATUS_OK && c->certificate.size > 0)
        s = cert_check(buf_slice(&c->authority), buf_slice(&c->certificate), buf_slice(&c->key), err);
    c->options = (struct tls_options){.authority = buf_slice(&c->authority),
                                      .certificate = buf_slice(&c->certificate),
                                      .key = buf_slice(&c->key),
                                      .revoked = buf_slice(&c->revoked),
                                      .ask_peers = ask_peers,
                                      .admitted = {TLS_ROLE_SERVER, TLS_ROLE_ADMIN}};
    if (s == STATUS_OK) return s;
    struct errbuf why = *err;
    errbuf_set(err, "certificates %s.crt, %s.key, %s.crt: %s", prefix, prefix, authority, why.text);
    certs_free(c);
    return s;
}

void certs_free(struct certs *c)
{
    if (!c->on) return;
    if (c->key.size > 0) memset(c->key.data, 0, c->key.size);
    buf_free(&c->authority);
    buf_free(&c->certificate);
    buf_free(&c->key);
    buf_free(&c->revoked);
    c->on = false;
}

bool certs_same(const struct certs *a, const struct certs *b)
{
    return slice_eq(buf_slice(&a->certificate), buf_slice(&b->certificate)) &&
           slice_eq(buf_slice(&a->authority), buf_slice(&b->authority)) &&
           slice_eq(buf_slice(&a->revoked), buf_slice(&b->revoked));
}

/* --- a local cluster's --- */

bool certs_of_local(const char *dir, const char *name, char prefix[LOCAL_PATH_MAX])
{
    char path[LOCAL_PATH_MAX + 32];
    struct errbuf err;
    struct buf b;
    snprintf(prefix, LOCAL_PATH_MAX, "%.900s/certs/%s", dir, name);
    snprintf(path, sizeof(path), "%.900s/certs/" CERTS_AUTHORITY ".crt", dir);
    buf_init(&b, PEM_BYTES_MAX);
    bool there = process_file_read(path, &b, &err) == STATUS_OK;
    buf_free(&b);
    return there;
}

bool keys_of_local(const char *dir, char path[LOCAL_PATH_MAX])
{
    struct errbuf err;
    struct buf b;
    snprintf(path, LOCAL_PATH_MAX, "%.900s/encryption.keys", dir);
    buf_init(&b, PEM_BYTES_MAX);
    bool there = process_file_read(path, &b, &err) != STATUS_NOT_FOUND;
    buf_free(&b);
    return there;
}

static enum status write_pair(const char *dir, const char *name, struct slice certificate, struct slice key,
                              struct errbuf *err)
{
    char path[LOCAL_PATH_MAX];
    snprintf(path, sizeof(path), "%.800s/certs/%.64s.key", dir, name);
    enum status s = process_secret_write(path, key, err);
    if (s != STATUS_OK) return s;
    snprintf(path, sizeof(path), "%.800s/certs/%.64s.crt", dir, name);
    return process_file_write(path, certificate, err);
}

/* The authority's certificate is written last: while it is missing there are no certificates. */
enum status certs_make_local(const char *dir, struct errbuf *err)
{
    static const char hosts[] = "127.0.0.1,::1,localhost";
    struct buf authority[2], own[2];
    char path[LOCAL_PATH_MAX];
    if (certs_of_local(dir, "", path)) return STATUS_OK;
    snprintf(path, sizeof(path), "%.900s/certs", dir);
    enum status s = process_make_dirs(path, err);
    if (s != STATUS_OK) return s;
    for (unsigned i = 0; i < 2; i++) {
        buf_init(&authority[i], PEM_BYTES_MAX);
        buf_init(&own[i], PEM_BYTES_MAX);
    }
    uint64_t now_s = process_wall_s();
    struct cert_request r = {
        .name = "local", .role = "authority", .days = LOCAL_DAYS, .now_s = now_s, .is_authority = true};
    s = cert_make(&r, SLICE_EMPTY, SLICE_EMPTY, &authority[0], &authority[1], err);
    static const char *const roles[] = {TLS_ROLE_SERVER, TLS_ROLE_ADMIN};
    for (unsigned i = 0; i < 2 && s == STATUS_OK; i++) {
        r = (struct cert_request){
            .name = roles[i], .role = roles[i], .hosts = hosts, .days = LOCAL_DAYS, .now_s = now_s};
        buf_clear(&own[0]);
        buf_clear(&own[1]);
        s = cert_make(&r, buf_slice(&authority[0]), buf_slice(&authority[1]), &own[0], &own[1], err);
        if (s == STATUS_OK) s = write_pair(dir, roles[i], buf_slice(&own[0]), buf_slice(&own[1]), err);
    }
    if (s == STATUS_OK) s = write_pair(dir, CERTS_AUTHORITY, buf_slice(&authority[0]), buf_slice(&authority[1]), err);
    for (unsigned i = 0; i < 2; i++) {
        buf_free(&authority[i]);
        buf_free(&own[i]);
    }
    return s;
}
