#include "tls/cert.h"

#include "base/assert.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define SERIAL_BITS 127
#define BACKDATED_S 3600 /* clocks differ */

static enum status invalid(struct errbuf *err, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    errbuf_set(err, "%s%s%s", what, reason != NULL ? ": " : "", reason != NULL ? reason : "");
    ERR_clear_error();
    return STATUS_INVALID;
}

static X509 *parse_certificate(struct slice pem)
{
    BIO *b = BIO_new_mem_buf(pem.data, (int)pem.size);
    X509 *x = b == NULL ? NULL : PEM_read_bio_X509(b, NULL, NULL, NULL);
    BIO_free(b);
    return x;
}

static EVP_PKEY *parse_key(struct slice pem)
{
    BIO *b = BIO_new_mem_buf(pem.data, (int)pem.size);
    EVP_PKEY *k =
        b == NULL ? NULL : PEM_read_bio_PrivateKey(b, NULL, NULL, (void *)(uintptr_t) "" /* nobody is asked */);
    BIO_free(b);
    return k;
}

static void append_bio(struct buf *out, BIO *b)
{
    char *text;
    long size = BIO_get_mem_data(b, &text);
    if (size > 0) buf_append(out, text, (size_t)size);
}

/* --- making --- */

static bool add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool added = e != NULL && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return added;
}

static bool is_ip(const char *host)
{
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
    ASN1_OCTET_STRING_free(ip);
    return ip != NULL;
}

/* "127.0.0.1,db" as "IP:127.0.0.1,DNS:db". False: too long, or a name that is none. */
static bool alternative_names(const char *hosts, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    while (*hosts != '\0') {
        char host[256];
        size_t n = strcspn(hosts, ",");
        if (n == 0 || n >= sizeof(host)) return false;
        memcpy(host, hosts, n);
        host[n] = '\0';
        bool plain = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*:") == n;
        int wrote = snprintf(out + used, size - used, "%s%s:%s", used > 0 ? "," : "", is_ip(host) ? "IP" : "DNS", host);
        if (!plain || wrote < 0 || (size_t)wrote >= size - used) return false;
        used += (size_t)wrote;
        hosts += n + (hosts[n] == ',' ? 1 : 0);
    }
    return true;
}

static bool set_subject(X509 *x, const struct cert_request *r)
{
    X509_NAME *name = X509_get_subject_name(x);
    return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Quorate", -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_UTF8, (const unsigned char *)r->role, -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)r->name, -1, -1, 0) == 1;
}

static bool set_serial(X509 *x)
{
    BIGNUM *n = BN_new();
    bool set = n != NULL && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
               BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
    BN_free(n);
    return set;
}

static bool set_extensions(X509 *x, X509 *issuer, const struct cert_request *r, struct errbuf *err)
{
    char names[1024];
    if (r->is_authority) {
        return add_extension(x, issuer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
               add_extension(x, issuer, NID_key_usage, "critical,keyCertSign,cRLSign") &&
               add_extension(x, issuer, NID_subject_key_identifier, "hash");
    }
    if (!alternative_names(r->hosts != NULL ? r->hosts : "", names, sizeof(names))) {
        errbuf_set(err, "hosts '%s': expected names and IP addresses with commas between them", r->hosts);
        return false;
    }
    return add_extension(x, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(x, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(x, issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
           add_extension(x, issuer, NID_authority_key_identifier, "keyid") &&
           (names[0] == '\0' || add_extension(x, issuer, NID_subject_alt_name, names));
}

static bool fill(X509 *x, X509 *issuer, EVP_PKEY *own, const struct cert_request *r, struct errbuf *err)
{
    uint64_t from = r->now_s > BACKDATED_S ? r->now_s - BACKDATED_S : 0;
    uint64_t until = r->now_s + (uint64_t)r->days * 86400;
    return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
           ASN1_TIME_set(X509_getm_notBefore(x), (time_t)from) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(x), (time_t)until) != NULL && X509_set_pubkey(x, own) == 1 &&
           set_subject(x, r) && X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 &&
           set_extensions(x, issuer, r, err);
}

static bool write_out(X509 *x, EVP_PKEY *own, struct buf *certificate, struct buf *key)
{
    BIO *b = BIO_new(BIO_s_mem());
    bool good = b != NULL && PEM_write_bio_X509(b, x) == 1;
    if (good) append_bio(certificate, b);
    if (good) good = BIO_reset(b) == 1 && PEM_write_bio_PKCS8PrivateKey(b, own, NULL, NULL, 0, NULL, NULL) == 1;
    if (good) append_bio(key, b);
    BIO_free(b);
    return good;
}

enum status cert_make(const struct cert_request *r, struct slice issuer_certificate, struct slice issuer_key,
                      struct buf *certificate, struct buf *key, struct errbuf *err)
{
    bool own_issuer = issuer_certificate.size == 0 && issuer_key.size == 0;
    if (r->name[0] == '\0' || strlen(r->name) > 64 || strlen(r->role) > 63 || r->days == 0) {
        errbuf_set(err, "a certificate has a name of 1 to 64 bytes, and is valid for a day at least");
        return STATUS_INVALID;
    }
    enum status s = STATUS_OK;
    X509 *issuer = own_issuer ? NULL : parse_certificate(issuer_certificate);
    EVP_PKEY *signer = own_issuer ? NULL : parse_key(issuer_key);
    EVP_PKEY *own = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    err->text[0] = '\0';
    if (!own_issuer && (issuer == NULL || signer == NULL || X509_check_private_key(issuer, signer) != 1)) {
        s = invalid(err, "the authority's certificate and key cannot be used");
    } else if (own == NULL || x == NULL || !fill(x, own_issuer ? x : issuer, own, r, err) ||
               X509_sign(x, own_issuer ? own : signer, EVP_sha256()) == 0 || !write_out(x, own, certificate, key)) {
        s = err->text[0] != '\0' ? STATUS_INVALID : invalid(err, "the certificate cannot be made");
    }
    ERR_clear_error();
    X509_free(x);
    X509_free(issuer);
    EVP_PKEY_free(own);
    EVP_PKEY_free(signer);
    return s;
}

/* --- reading --- */

static void subject_part(const X509 *x, int nid, char *out, size_t size)
{
    out[0] = '\0';
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(x), nid, out, (int)size);
}

static void format_host(const GENERAL_NAME *g, char *out, size_t size)
{
    const unsigned char *at;
    out[0] = '\0';
    if (g->type == GEN_DNS) {
        at = ASN1_STRING_get0_data(g->d.dNSName);
        (void)snprintf(out, size, "%.*s", ASN1_STRING_length(g->d.dNSName), (const char *)at);
    } else if (g->type == GEN_IPADD) {
        at = ASN1_STRING_get0_data(g->d.iPAddress);
        if (ASN1_STRING_length(g->d.iPAddress) == 4) {
            (void)snprintf(out, size, "%u.%u.%u.%u", at[0], at[1], at[2], at[3]);
        } else if (ASN1_STRING_length(g->d.iPAddress) == 16) {
            int used = 0;
            for (int i = 0; i < 16 && used >= 0 && (size_t)used < size; i += 2)
                used += snprintf(out + used, size - (size_t)used, "%s%x", i > 0 ? ":" : "",
                                 (unsigned)at[i] << 8 | (unsigned)at[i + 1]);
        }
    }
}

static void read_hosts(const X509 *x, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        char host[256];
        format_host(sk_GENERAL_NAME_value(names, i), host, sizeof(host));
        int wrote = snprintf(out + used, size - used, "%s%s", used > 0 ? "," : "", host);
        if (wrote < 0 || (size_t)wrote >= size - used) break;
        used += (size_t)wrote;
    }
    GENERAL_NAMES_free(names);
}

static uint64_t seconds_of(const ASN1_TIME *t)
{
    int days = 0, seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool fine = epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, t) == 1;
    ASN1_TIME_free(epoch);
    return fine && days >= 0 ? (uint64_t)days * 86400 + (uint64_t)seconds : 0;
}

enum status cert_read(struct slice certificate, struct cert_facts *out, struct errbuf *err)
{
    X509 *x = parse_certificate(certificate);
    if (x == NULL) return invalid(err, "this is no certificate in PEM form");
    subject_part(x, NID_commonName, out->name, sizeof(out->name));
    subject_part(x, NID_organizationalUnitName, out->role, sizeof(out->role));
    read_hosts(x, out->hosts, sizeof(out->hosts));
    out->from_s = seconds_of(X509_get0_notBefore(x));
    out->until_s = seconds_of(X509_get0_notAfter(x));
    out->is_authority = X509_check_ca(x) == 1;
    X509_free(x);
    ERR_clear_error();
    return STATUS_OK;
}

/* One of the authorities in the text has signed it. `any`: there is one. */
static bool is_signed(struct slice authorities, X509 *x, bool *any)
{
    BIO *b = BIO_new_mem_buf(authorities.data, (int)authorities.size);
    bool good = false;
    *any = false;
    for (X509 *a; b != NULL && (a = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL; X509_free(a)) {
        *any = true;
        good = good || (x != NULL && X509_verify(x, X509_get0_pubkey(a)) == 1);
    }
    BIO_free(b);
    ERR_clear_error();
    return good;
}

enum status cert_check(struct slice authorities, struct slice certificate, struct slice key, struct errbuf *err)
{
    enum status s = STATUS_OK;
    bool any;
    X509 *x = parse_certificate(certificate);
    EVP_PKEY *k = parse_key(key);
    bool good = is_signed(authorities, x, &any);
    if (!any) {
        s = invalid(err, "the authority's certificate is none in PEM form");
    } else if (x == NULL) {
        s = invalid(err, "the certificate is none in PEM form");
    } else if (k == NULL) {
        s = invalid(err, "the key is none in PEM form without a passphrase");
    } else if (X509_check_private_key(x, k) != 1) {
        s = invalid(err, "certificate and key do not belong together");
    } else if (!good) {
        s = invalid(err, "the certificate was not signed by this authority");
    }
    ERR_clear_error();
    X509_free(x);
    EVP_PKEY_free(k);
    return s;
}
