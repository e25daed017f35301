/* The certificates that a command or a server uses (docs/security.md). PREFIX names these files: PREFIX.crt and PREFIX.key, its own,
 * authority.crt beside them, and perhaps authority.crl: what that authority has revoked. */
#ifndef QUORATE_CLI_CERTS_H
#define QUORATE_CLI_CERTS_H

#include "cli/local.h"
#include "tls/tls.h"

#define CERTS_AUTHORITY "authority"

struct certs {
    bool on; /* false: connections are plain */
    char prefix[LOCAL_PATH_MAX];
    struct buf authority, certificate, key, revoked;
    struct tls_options options; /* borrows from these */
};

/* Reads the files. Key and certificate may both be missing: a client that shows none. */
MUST_CHECK enum status certs_read(struct certs *c, const char *prefix, bool ask_peers, struct errbuf *err);
void certs_free(struct certs *c); /* harmless when nothing was read */
bool certs_same(const struct certs *a, const struct certs *b);

/* Of a local cluster: DIR/certs, made by `cluster start --secure`. */
bool certs_of_local(const char *dir, const char *name, char prefix[LOCAL_PATH_MAX]); /* false: it has none */
bool keys_of_local(const char *dir, char path[LOCAL_PATH_MAX]); /* DIR/encryption.keys; false: it has none */
MUST_CHECK enum status certs_make_local(const char *dir, struct errbuf *err);

#endif
