/* The two halves of http/: a server (server.c, with connection.c) and a client (client.c). Their common timer work is an
 * actor: server.c. */
#ifndef QUORATE_HTTP_HTTP_INT_H
#define QUORATE_HTTP_HTTP_INT_H

#include "base/heap.h"
#include "http/http.h"
#include "http/reader.h"

struct http_client;

struct http_both {
    struct http seam; /* first */
    struct env *env;
    struct actor actor;
    struct list servers;
    struct list clients;
    struct list freed;         /* clients that their owners gave back; freed in the pass */
    struct heap client_timers; /* of requests under way */
    unsigned timeout_ms;
};

const char *http_method_name(enum http_method m);

/* client.c */
struct http_client *http_client_new(struct http *http, const char *address, unsigned timeout_ms);
void http_client_send(struct http_client *c, enum http_method method, const char *path_and_query,
                      const struct http_header *headers, size_t header_count, struct slice body,
                      void (*done)(void *ctx, int code, enum status why, struct slice body), void *ctx);
void http_client_free(struct http_client *c);
uint64_t http_clients_pass(struct http_both *h, uint64_t now_ns); /* timeouts; returns the next deadline */
void http_clients_free(struct http_both *h);

/* head_out.c: appends the head of a reply, with Date and length; body_size counts also where no body is sent. The other: without length,
 * in chunks, or up to the end of the connection. */
void http_head_compose(struct buf *out, const struct http_reply_head *head, size_t body_size, const char *date,
                       const char *connection);
void http_head_compose_stream(struct buf *out, const struct http_reply_head *head, const char *date, bool chunked);
#define HTTP_DATE_SIZE 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL */
void http_date(uint64_t wall_ms, char out[HTTP_DATE_SIZE]);

#endif
