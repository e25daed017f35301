/* HTTP/1.1 over the net seam: the implementation of env/http.h, for any env. Limits beyond those of http_ops.listen:
 * HTTP_HEADERS_MAX header fields; a client that is idle, sends more slowly than 16 KiB/s, or does not read what it asked for,
 * for longer than the timeout, is cut off. Requests may be pipelined: they are handled one after the other, in order. */
#ifndef QUORATE_HTTP_HTTP_H
#define QUORATE_HTTP_HTTP_H

#include "env/env.h"

/* Attaches itself to env's loop. `timeout_ms`: see above. */
struct http *http_new(struct env *env, unsigned timeout_ms);
void http_free(struct http *http); /* servers and clients that are left are freed; no request may be with a handler */

/* Where it listens. */
const struct net_listener *http_server_listener(const struct http_server *server);

#endif
