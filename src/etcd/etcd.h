/* The etcd v3 JSON surface (docs/etcd.md): what clients of etcd's gateway speak, over the same client as the native one, on the same
 * port. Stateless but for what it knows of its own answers: everything is rows of the keyspace "etcd". */
#ifndef QUORATE_ETCD_ETCD_H
#define QUORATE_ETCD_ETCD_H

#include "gateway/gateway.h"

struct etcd;
/* address: where clients reach this gateway. auth: borrowed; NULL: everybody may do everything. */
struct etcd *etcd_new(struct env *env, struct client *client, struct auth *auth, const char *address);
struct gateway_guest etcd_guest(struct etcd *e);
/* After the gateway has been stopped, and the client freed: what is open is answered. Before gateway_free. */
void etcd_free(struct etcd *e);

#endif
