/* What surrounds every request, whatever it asks: its id and its place in a distributed trace, who may read the answer from another site's
 * page, compression, and a line in the log when it was slow. */
#ifndef QUORATE_GATEWAY_EXCHANGE_H
#define QUORATE_GATEWAY_EXCHANGE_H

#include "env/http.h"

#define REQUEST_ID_MAX 64u
#define TRACE_ID_TEXT 32u
#define SPAN_ID_TEXT 16u

struct exchange {
    char id[REQUEST_ID_MAX + 1];                           /* the client's X-Request-Id, or one of ours */
    char trace[TRACE_ID_TEXT + 1], span[SPAN_ID_TEXT + 1]; /* of its traceparent; empty: none */
    bool sampled;                                          /* it wants to be seen: logged in any case */
    uint64_t asked_ns;                                     /* parsed, and handed to the router */
};

/* W3C Trace Context, version 00 or what later versions keep of it. False: none, or malformed (and then to be ignored). */
bool traceparent_parse(const char *text, struct exchange *out);
/* 1 to 64 of A-Z a-z 0-9 . _ : / + = -: nothing that could break a log line. */
bool request_id_valid(const char *text);
/* Is `coding` acceptable by an Accept-Encoding header (RFC 9110, 12.5.3)? */
bool accepts_coding(const char *header, const char *coding);
/* allowed: "*", or origins with commas between; NULL: none. */
bool origin_allowed(const char *allowed, const char *origin);

/* An address with which only this machine can be meant, or "unix:...". */
bool address_is_local(const char *address);
/* A Host header that names this gateway: an IP address or localhost, or one of `names` ("*": any), each with any port. NULL: admitted, no
 * browser leaves it out. A page that had its own name resolved to this machine (DNS rebinding) sends that name. */
bool host_admitted(const char *names, const char *host);
/* Whether a page of this origin is one of ours, or one of those allowed. NULL: no page asks. */
bool origin_admitted(const char *allowed, const char *origin, const char *host);

/* What an answer is compressed with: lz4 for who names it, else gzip for who takes it. NULL: neither. */
const char *coding_of(const char *accepted);
/* text as gzip, or as an LZ4 frame, into out; false: it does not become smaller. */
struct buf;
bool gzip_append(struct buf *out, struct slice text);
bool lz4_append(struct buf *out, struct slice text);

#endif
