/* Certificates that are believed no more before they end: a list (X.509 CRL) that an authority signs, as PEM text in memory. */
#ifndef QUORATE_TLS_REVOKED_H
#define QUORATE_TLS_REVOKED_H

#include "base/buf.h"
#include "base/status.h"

/* The list with one more certificate; former: empty when it is the first. Twice is once. STATUS_INVALID: not this authority's. */
MUST_CHECK enum status revoked_add(struct slice authority_certificate, struct slice authority_key, struct slice former,
                                   struct slice certificate, uint64_t now_s, struct buf *list, struct errbuf *err);
/* All lists in the text are signed by one of the authorities. Empty: fine. */
MUST_CHECK enum status revoked_check(struct slice authorities, struct slice lists, struct errbuf *err);

#endif
