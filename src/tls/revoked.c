#include "tls/revoked_int.h"

#include <openssl/err.h>
#include <openssl/pem.h>

static BIO *reader_of(struct slice pem)
{
    return BIO_new_mem_buf(pem.data, (int)pem.size);
}

static X509_CRL *next_list(BIO *b)
{
    X509_CRL *list = b == NULL ? NULL : PEM_read_bio_X509_CRL(b, NULL, NULL, NULL);
    if (list == NULL) ERR_clear_error(); /* the end of the text */
    return list;
}

static X509 *certificate_of(struct slice pem)
{
    BIO *b = reader_of(pem);
    X509 *x = b == NULL ? NULL : PEM_read_bio_X509(b, NULL, NULL, NULL);
    BIO_free(b);
    return x;
}

static EVP_PKEY *key_of(struct slice pem)
{
    BIO *b = reader_of(pem);
    EVP_PKEY *k = b == NULL ? NULL : PEM_read_bio_PrivateKey(b, NULL, NULL, (void *)(uintptr_t) "");
    BIO_free(b);
    return k;
}

/* --- heeding --- */

bool revoked_names(struct slice lists, X509 *certificate)
{
    BIO *b = reader_of(lists);
    bool named = false;
    for (X509_CRL *list; (list = next_list(b)) != NULL; X509_CRL_free(list)) {
        X509_REVOKED *entry;
        bool same = X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_issuer_name(certificate)) == 0;
        named = named || (same && X509_CRL_get0_by_cert(list, &entry, certificate) == 1);
    }
    BIO_free(b);
    return named;
}

static int without_a_list(int good, X509_STORE_CTX *ctx)
{
    if (good || X509_STORE_CTX_get_error(ctx) != X509_V_ERR_UNABLE_TO_GET_CRL) return good;
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

void revoked_heed(SSL_CTX *ctx, struct slice lists)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *b = reader_of(lists);
    bool any = false;
    for (X509_CRL *list; (list = next_list(b)) != NULL; X509_CRL_free(list))
        any = X509_STORE_add_crl(store, list) == 1 || any;
    BIO_free(b);
    if (!any) return;
    (void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    X509_STORE_set_verify_cb(store, without_a_list);
}

/* --- checking --- */

static bool is_signed_by_one(X509_CRL *list, struct slice authorities)
{
    BIO *b = reader_of(authorities);
    bool good = false;
    for (X509 *a; b != NULL && (a = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL; X509_free(a))
        good = good || (X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(a)) == 0 &&
                        X509_CRL_verify(list, X509_get0_pubkey(a)) == 1);
    BIO_free(b);
    ERR_clear_error();
    return good;
}

enum status revoked_check(struct slice authorities, struct slice lists, struct errbuf *err)
{
    BIO *b = reader_of(lists);
    bool any = false, good = true;
    for (X509_CRL *list; (list = next_list(b)) != NULL; X509_CRL_free(list)) {
        any = true;
        good = good && is_signed_by_one(list, authorities);
    }
    BIO_free(b);
    if (lists.size == 0 || (any && good)) return STATUS_OK;
    errbuf_set(err, any ? "the list of revoked certificates was not signed by this authority"
                        : "the list of revoked certificates is none in PEM form");
    return STATUS_INVALID;
}

/* --- making --- */

static bool add_entry(X509_CRL *list, X509 *certificate, const ASN1_TIME *now)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    bool added = entry != NULL && X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate)) == 1 &&
                 X509_REVOKED_set_revocationDate(entry, (ASN1_TIME *)(uintptr_t)now) == 1 &&
                 X509_CRL_add0_revoked(list, entry) == 1;
    if (!added) X509_REVOKED_free(entry);
    return added;
}

/* Without a date of the next one: it holds until it is replaced. */
static bool fill_list(X509_CRL *list, X509 *authority, EVP_PKEY *key, X509 *certificate, uint64_t now_s)
{
    X509_REVOKED *there;
    ASN1_TIME *now = ASN1_TIME_set(NULL, (time_t)now_s);
    bool good = now != NULL && X509_CRL_set_version(list, X509_CRL_VERSION_2) == 1 &&
                X509_CRL_set_issuer_name(list, X509_get_subject_name(authority)) == 1 &&
                X509_CRL_set1_lastUpdate(list, now) == 1 &&
                (X509_CRL_get0_by_cert(list, &there, certificate) == 1 || add_entry(list, certificate, now)) &&
                X509_CRL_sort(list) == 1 && X509_CRL_sign(list, key, EVP_sha256()) > 0;
    ASN1_TIME_free(now);
    return good;
}

static bool write_list(X509_CRL *list, struct buf *out)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *text;
    bool good = b != NULL && PEM_write_bio_X509_CRL(b, list) == 1;
    long size = good ? BIO_get_mem_data(b, &text) : 0;
    if (size > 0) buf_append(out, text, (size_t)size);
    BIO_free(b);
    return good;
}

enum status revoked_add(struct slice authority_certificate, struct slice authority_key, struct slice former,
                        struct slice certificate, uint64_t now_s, struct buf *out, struct errbuf *err)
{
    enum status s = revoked_check(authority_certificate, former, err);
    if (s != STATUS_OK) return s;
    X509 *authority = certificate_of(authority_certificate), *x = certificate_of(certificate);
    EVP_PKEY *key = key_of(authority_key);
    BIO *b = reader_of(former);
    X509_CRL *list = next_list(b);
    if (list == NULL) list = X509_CRL_new();
    if (authority == NULL || key == NULL || X509_check_private_key(authority, key) != 1) {
        errbuf_set(err, "the authority's certificate and key cannot be used");
        s = STATUS_INVALID;
    } else if (x == NULL || X509_verify(x, X509_get0_pubkey(authority)) != 1) {
        errbuf_set(err, "this is no certificate of this authority");
        s = STATUS_INVALID;
    } else if (!fill_list(list, authority, key, x, now_s) || !write_list(list, out)) {
        errbuf_set(err, "the list cannot be made");
        s = STATUS_INVALID;
    }
    ERR_clear_error();
    BIO_free(b);
    X509_CRL_free(list);
    X509_free(authority);
    X509_free(x);
    EVP_PKEY_free(key);
    return s;
}
