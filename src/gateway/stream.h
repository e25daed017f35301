/* Answers without an end: what is sent goes out piece by piece, and who has much unread is waited for. */
#ifndef QUORATE_GATEWAY_STREAM_H
#define QUORATE_GATEWAY_STREAM_H

#include "env/env.h"

struct streams { /* of one surface */
    struct actor actor;
    struct env *env;
    struct list waiting; /* for room */
    bool attached;
};
void streams_init(struct streams *s, struct env *env);
void streams_free(struct streams *s); /* nothing waits any more */

struct stream {
    struct list link;
    struct streams *all;
    struct http_request *http; /* NULL: the client has left, or it has ended */
    void (*room)(void *ctx);
    void *ctx;
};
void stream_open(struct stream *s, struct streams *all, struct http_request *http, const struct http_reply_head *head);
void stream_send(struct stream *s, struct slice piece);
/* False: so much is unread that `room` will be called, once, when it has become less; it may end the stream. */
bool stream_has_room(struct stream *s, void (*room)(void *ctx), void *ctx);
void stream_gone(struct stream *s); /* the client has left */
void stream_end(struct stream *s);

#endif
