/* TLS over the net seam: a net whose connections are encrypted, on top of a net whose are not. It offers the same seam, so that
 * whoever uses a net need not know. Both ends believe certificates of one authority, and of nobody else.
 *
 * Certificates (docs/security.md): the subject's OU is a role. An outgoing connection demands the role "server" and a certificate
 * that names the host or IP address that was connected to (a Unix socket has none). An accepting end demands a certificate of one
 * of the roles that it admits, or none at all. TLS 1.2 at least; no renegotiation, no compression, no session tickets. */
#ifndef QUORATE_TLS_TLS_H
#define QUORATE_TLS_TLS_H

#include "env/env.h"

#define TLS_ROLE_SERVER "server" /* metadata servers, nodes, gateways */
#define TLS_ROLE_ADMIN "admin"   /* people and programs that speak to servers as the command line does */

struct tls_options {
    struct slice authority;        /* PEM: whose certificates are believed */
    struct slice certificate, key; /* PEM: our own; both empty: a client that shows none */
    struct slice revoked;          /* PEM: lists of the authorities; empty: none */
    bool ask_peers;                /* those who connect must show a certificate, of a role below */
    const char *admitted[4];       /* ends with a NULL */
};

/* Wraps `under`, which outlives it. STATUS_INVALID with a text: what of the options is not what it should be. */
MUST_CHECK enum status tls_net_new(struct env *env, struct net *under, const struct tls_options *o, struct net **out,
                                   struct errbuf *err);
/* Connections made from now on use these; those whose peer's certificate is revoked now end. On failure the former ones stay in use. */
MUST_CHECK enum status tls_net_reload(struct net *net, const struct tls_options *o, struct errbuf *err);
void tls_net_free(struct net *net); /* no connection of it may be left with an owner */

#endif
