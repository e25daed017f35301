/* A storage node: a host (range/host.h) with the key-value machine, registered with the metadata service. */
#ifndef QUORATE_NODE_NODE_H
#define QUORATE_NODE_NODE_H

#include "env/env.h"
#include "range/host.h"

struct node;
struct node_options {
    const char *listen;         /* address to bind */
    const char *advertise;      /* address that others connect to; NULL: listen */
    const char *meta_addresses; /* "host:port,..." */
    const char *host_label;     /* NULL: the address without port */
    uint64_t reserve_bytes;     /* of disk kept back for compaction when the disk is full; 0: none */
    struct host_options host;
};
/* Registers (waiting for the metadata service as long as it takes) and serves. Everything goes on inside actors. */
MUST_CHECK enum status node_new(struct env *env, const struct node_options *o, struct node **out, struct errbuf *err);
void node_stop(struct node *n);          /* hands leaderships away as well as can be, stops taking requests */
bool node_stopped(const struct node *n); /* nothing is under way: node_free may be called */
void node_free(struct node *n);
struct host *node_host(struct node *n); /* for tests and checkers; NULL before registration */

#endif
