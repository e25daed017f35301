/* An http seam without sockets: hands requests to the gateway and keeps its last answer. */
#ifndef QUORATE_TESTS_LIB_GATEWAY_FAKE_HTTP_H
#define QUORATE_TESTS_LIB_GATEWAY_FAKE_HTTP_H

#include "env/env.h"

struct fake_http {
    struct http http;
    struct env env; /* mono_ns advances 1 ms per call; http is ours */
    struct logger log;
    void (*on_request)(void *ctx, struct http_request *);
    void (*on_gone)(void *ctx, struct http_request *);
    void *ctx;
    bool listening;
    uint64_t now_ns;
    unsigned replies;
    size_t unsent;       /* what streams are told */
    struct actor *actor; /* the last one that was attached, until it is detached */
    /* the last answer */
    int code;
    char content_type[64];
    char head[2048]; /* "Name: value\n" per header */
    struct buf body; /* NUL-terminated beyond its size */
};
void fake_http_init(struct fake_http *f);
void fake_http_free(struct fake_http *f);
/* headers: "Name: value" strings, NULL-terminated; NULL: none. The request lives until answered or gone. */
struct http_request *fake_http_send(struct fake_http *f, enum http_method m, const char *target,
                                    const char *const *headers, const char *body);
void fake_http_leave(struct fake_http *f, struct http_request *r); /* the client goes away */

#endif
