/* The HTTP seam: a server and a client. Production speaks HTTP/1.1 over libevent; tests may call a handler directly.
 * Everything runs on the loop. Strings are borrowed for as long as the request lives. */
#ifndef QUORATE_ENV_HTTP_H
#define QUORATE_ENV_HTTP_H

#include "base/buf.h"
#include "base/status.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_PUT, HTTP_POST, HTTP_DELETE, HTTP_OPTIONS, HTTP_OTHER };

struct http;
struct http_server;
struct http_request; /* a request received; alive until http_reply */

struct http_header {
    const char *name, *value; /* NUL-terminated */
};

struct http_reply_head {
    int code;
    const char *content_type;          /* NULL: none */
    const struct http_header *headers; /* further ones; copied */
    size_t header_count;
};

struct http_ops {
    /* Bodies above max_body get 413 and heads above max_head 431, as JSON errors, without a call of on_request.
     * on_request may reply at once or later, exactly once; on_gone tells that the client has left: the request is dead, do
     * not reply (its outcome, if it is a write, stands). */
    enum status (*listen)(struct http *, const char *address, size_t max_head, size_t max_body,
                          void (*on_request)(void *ctx, struct http_request *),
                          void (*on_gone)(void *ctx, struct http_request *), void *ctx, struct http_server **out,
                          struct errbuf *);
    void (*unlisten)(struct http_server *); /* open requests must have been replied to */

    enum http_method (*method)(const struct http_request *);
    struct slice (*path)(const struct http_request *);                    /* raw: still percent-encoded, no query */
    struct slice (*query)(const struct http_request *);                   /* raw, without '?' */
    const char *(*header)(const struct http_request *, const char *name); /* NULL when absent; name in any case */
    struct slice (*body)(const struct http_request *);
    void (*set_ctx)(struct http_request *, void *ctx); /* the handler's own state of this request */
    void *(*get_ctx)(const struct http_request *);
    void (*reply)(struct http_request *, const struct http_reply_head *,
                  struct slice body); /* copied; frees the request */
    /* An answer whose length is not known: the head, any number of pieces (copied; each leaves as a chunk of its own), the end, which
     * frees the request. Until then on_gone may come, also when the client has not read for too long. */
    void (*stream_begin)(struct http_request *, const struct http_reply_head *);
    void (*stream_send)(struct http_request *, struct slice piece);
    size_t (*stream_unsent)(const struct http_request *); /* bytes that wait in our memory */
    void (*stream_end)(struct http_request *);

    /* Client: one keep-alive connection, one request at a time. `done` is called exactly once, from the loop; code 0 means
     * that no answer came; then `why` says what happened. UNAVAILABLE: there was no connection; else the request may
     * have been acted on. */
    struct http_client *(*client_new)(struct http *, const char *address, unsigned timeout_ms);
    void (*client_send)(struct http_client *, enum http_method, const char *path_and_query, const struct http_header *,
                        size_t header_count, struct slice body,
                        void (*done)(void *ctx, int code, enum status why, struct slice body), void *ctx);
    void (*client_free)(struct http_client *); /* a request under way is dropped without a call of done */
};
struct http {
    const struct http_ops *ops;
};

#endif
