/* Reads one HTTP/1.1 response from bytes that come in any portions: status line, headers, a body by Content-Length, in
 * chunks, or until the connection ends. Pure: no I/O. The bytes come from another process and are not trusted: what does
 * not parse is READER_BAD with a reason, and nothing exceeds the two ceilings.
 *
 *   HEAD --1xx--> HEAD                               CHUNK_SIZE <-----------.
 *    |--- length ------> BODY ---------> DONE          | size > 0           |
 *    |--- chunked -----> CHUNK_SIZE                    v                    |
 *    |--- neither -----> UNTIL_END --http_reader_end   CHUNK_DATA --> CHUNK_END
 *    '--- no body -----> DONE                          size 0: TRAILER --empty line--> DONE     any: BAD */
#ifndef QUORATE_ENV_POSIX_HTTP_READER_H
#define QUORATE_ENV_POSIX_HTTP_READER_H

#include "base/buf.h"

enum reader_state {
    READER_HEAD,
    READER_BODY,
    READER_CHUNK_SIZE,
    READER_CHUNK_DATA,
    READER_CHUNK_END,
    READER_TRAILER,
    READER_UNTIL_END,
    READER_DONE,
    READER_BAD
};

struct http_reader {
    enum reader_state state;
    bool to_head;      /* the request was HEAD: no body follows whatever the headers say */
    bool keep_alive;   /* the connection can take another request after this response */
    int code;          /* 100..599 once the head was read */
    const char *fault; /* why READER_BAD */
    uint64_t left;     /* bytes to come: of the body, or of the chunk */
    struct buf head;   /* the head so far; in CHUNK_SIZE, CHUNK_END, TRAILER the line so far */
    struct buf body;
    size_t trailer_bytes;
};

void http_reader_init(struct http_reader *r, size_t max_head, size_t max_body);
void http_reader_free(struct http_reader *r);
void http_reader_begin(struct http_reader *r, bool to_head); /* the next response */
/* Takes bytes until the response is complete; returns how many it took (fewer only in DONE and BAD). */
size_t http_reader_feed(struct http_reader *r, struct slice bytes);
void http_reader_end(struct http_reader *r); /* the connection has ended: completes UNTIL_END, else BAD */

#endif
