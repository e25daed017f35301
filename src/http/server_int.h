/* A server and its connections. A connection is in exactly one state; `ready` puts it on its server's list when a pass has
 * something to do for it.
 *
 *   IDLE --first byte--> RECEIVING --whole, or bad--> READY --pass: on_request--> HANDLING --reply--> IDLE
 *                            ^                          |                                             |
 *                            |                          '-- bad: our error, the end                   |
 *                            '------------- bytes that came meanwhile --------------------------------'
 *
 * woken by: the connection's bytes; IDLE and RECEIVING also by the sweep, which cuts off who is idle or too slow; HANDLING by
 * the handler. The end of the connection frees it in any state; in HANDLING its handler is told. */
#ifndef QUORATE_HTTP_SERVER_INT_H
#define QUORATE_HTTP_SERVER_INT_H

#include "http/http_int.h"

enum connection_state { CONNECTION_IDLE, CONNECTION_RECEIVING, CONNECTION_READY, CONNECTION_HANDLING };

struct http_request {
    struct slice path, query; /* in the reader's head */
    void *ctx;
};

struct connection {
    struct http_request request; /* first: of HANDLING */
    struct http_server *server;
    struct net_conn *net;
    struct list link;  /* server->connections */
    struct list ready; /* server->ready */
    enum connection_state state;
    bool paused;
    bool continued; /* "100 Continue" was sent for this request */
    bool streaming; /* HANDLING: its answer has begun, and has no length */
    struct http_reader reader;
    struct buf next;       /* bytes behind the request under way */
    uint64_t begun_ns;     /* of the request being received, or of idleness */
    size_t received_bytes; /* of the request being received */
    size_t unsent_bytes;   /* at the last sweep */
    uint64_t stuck_ns;     /* since when they have not become less; 0: since the last sweep, or there are none */
};

struct http_server {
    struct http_both *http;
    struct list link; /* http->servers */
    struct net_listener *listener;
    struct list connections, ready;
    uint64_t sweep_ns; /* the next one */
    size_t max_head, max_body;
    size_t handling_count;
    void (*on_request)(void *ctx, struct http_request *);
    void (*on_gone)(void *ctx, struct http_request *);
    void *ctx;
    struct buf head; /* of the reply being sent; kept for its memory */
    uint64_t date_s; /* what `date` says, in seconds since 1970 */
    char date[HTTP_DATE_SIZE];
};

/* server.c */
const char *http_server_date(struct http_server *s);

/* connection.c */
void http_connection_accept(void *server, struct net_conn *net);
void http_connection_serve(struct connection *c); /* it was on server->ready */
/* Cuts off who takes too long. */
void http_connection_sweep(struct connection *c, uint64_t now_ns);
void http_connection_end(struct connection *c); /* closes and frees */
void http_request_reply(struct http_request *r, const struct http_reply_head *head, struct slice body);
void http_stream_begin(struct http_request *r, const struct http_reply_head *head);
void http_stream_send(struct http_request *r, struct slice piece);
size_t http_stream_unsent(const struct http_request *r);
void http_stream_end(struct http_request *r);

#endif
