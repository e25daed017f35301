/* The HTTP seam's two halves: a server on libevent's evhttp (http_server.c) and a client on our own net layer
 * (http_client.c, http_reader.c). Their common timer work is an actor: http_server.c. */
#ifndef QUORATE_ENV_POSIX_HTTP_INT_H
#define QUORATE_ENV_POSIX_HTTP_INT_H

#include "base/heap.h"
#include "env_posix/posix_int.h"

struct http_client;

struct posix_http {
    struct http seam; /* first */
    struct env_posix *p;
    struct actor actor;
    struct list servers;
    struct list clients;
    struct list freed;         /* clients that their owners gave back; freed in the pass */
    struct heap client_timers; /* of requests under way */
    size_t connections_max;
    unsigned timeout_ms;
};

const char *http_method_name(enum http_method m);

/* http_client.c */
struct http_client *http_client_new(struct http *http, const char *address, unsigned timeout_ms);
void http_client_send(struct http_client *c, enum http_method method, const char *path_and_query,
                      const struct http_header *headers, size_t header_count, struct slice body,
                      void (*done)(void *ctx, int code, enum status why, struct slice body), void *ctx);
void http_client_free(struct http_client *c);
uint64_t http_clients_pass(struct posix_http *h, uint64_t now_ns); /* timeouts; returns the next deadline */
void http_clients_free(struct posix_http *h);

/* http_server.c */
enum status http_server_listen(struct http *http, const char *address, size_t max_head, size_t max_body,
                               void (*on_request)(void *ctx, struct http_request *),
                               void (*on_gone)(void *ctx, struct http_request *), void *ctx, struct http_server **out,
                               struct errbuf *err);
void http_server_unlisten(struct http_server *s);

#endif
