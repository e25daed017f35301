/* Private to tls/: lists of revoked certificates, to the connections. */
#ifndef QUORATE_TLS_REVOKED_INT_H
#define QUORATE_TLS_REVOKED_INT_H

#include "tls/revoked.h"

#include <openssl/ssl.h>

/* Connections of ctx's refuse what is listed. An authority without a list has revoked nothing. */
void revoked_heed(SSL_CTX *ctx, struct slice lists);
bool revoked_names(struct slice lists, X509 *certificate);

#endif
