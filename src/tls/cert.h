/* A small authority: keys (P-256) and certificates (X.509), as PEM text in memory. Files are the caller's. */
#ifndef QUORATE_TLS_CERT_H
#define QUORATE_TLS_CERT_H

#include "base/buf.h"
#include "base/status.h"

struct cert_request {
    const char *name;  /* the subject's CN */
    const char *role;  /* the subject's OU; of an authority: "authority" */
    const char *hosts; /* "127.0.0.1,::1,db1.example": whom it speaks for; NULL or "": nobody */
    uint32_t days;     /* valid for */
    uint64_t now_s;    /* since 1970; valid from an hour before */
    bool is_authority;
};

/* Makes a key and a certificate for it. The issuer's PEM texts; both empty: the certificate signs itself. `certificate` and `key`
 * are appended to. STATUS_INVALID with a text. */
MUST_CHECK enum status cert_make(const struct cert_request *r, struct slice issuer_certificate, struct slice issuer_key,
                                 struct buf *certificate, struct buf *key, struct errbuf *err);

struct cert_facts {
    char name[128], role[64];
    char hosts[512]; /* as in a request; cut when longer */
    uint64_t from_s, until_s;
    bool is_authority;
};
/* Of the first certificate in the text. */
MUST_CHECK enum status cert_read(struct slice certificate, struct cert_facts *out, struct errbuf *err);
/* Whether key and certificate belong together and one of the authorities has signed it. */
MUST_CHECK enum status cert_check(struct slice authorities, struct slice certificate, struct slice key,
                                  struct errbuf *err);

#endif
