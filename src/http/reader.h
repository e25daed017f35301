/* Reads one HTTP/1.1 message, a request or a response, from bytes that come in any portions: start line, headers, a body by
 * Content-Length, in chunks, or (a response) until the connection ends. Pure: no I/O. The bytes are not trusted: what does not
 * parse is READER_BAD with a reason, and nothing exceeds the ceilings. RFC 9110 and 9112; where they leave a choice, the
 * strict one: what two programs on the way could read as two different messages is refused.
 *
 *   HEAD --1xx--> HEAD                               CHUNK_SIZE <-----------.
 *    |--- length ------> BODY ---------> DONE          | size > 0           |
 *    |--- chunked -----> CHUNK_SIZE                    v                    |
 *    |--- neither -----> UNTIL_END --http_reader_end   CHUNK_DATA --> CHUNK_END
 *    '--- no body -----> DONE                          size 0: TRAILER --empty line--> DONE     any: BAD
 *
 * A request without length and chunks has no body. */
#ifndef QUORATE_HTTP_READER_H
#define QUORATE_HTTP_READER_H

#include "base/buf.h"
#include "env/http.h"

#define HTTP_HEADERS_MAX 100u

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

struct http_field { /* offsets in the head; each text ends with a NUL */
    uint32_t name, value;
};

struct http_reader {
    enum reader_state state;
    bool of_requests; /* for life */
    bool to_head;     /* the request was HEAD: no body follows in its response whatever the headers say */
    bool keep_alive;  /* the connection can take another message after this one */
    bool is_1_1;      /* else 1.0 */
    bool expects;     /* a request's body waits for "100 Continue" */
    enum http_method method;
    uint32_t target;   /* of a request: offset in the head */
    int code;          /* of a response, once the head was read; of a bad request: what to answer */
    const char *fault; /* why READER_BAD */
    uint64_t left;     /* bytes to come: of the body, or of the chunk */
    struct buf head;   /* stays until the next message begins */
    struct buf line;   /* between chunks: the line so far */
    struct buf body;
    size_t trailer_bytes;
    struct http_field fields[HTTP_HEADERS_MAX];
    size_t field_count;
};

void http_reader_init(struct http_reader *r, bool of_requests, size_t max_head, size_t max_body);
void http_reader_free(struct http_reader *r);
void http_reader_begin(struct http_reader *r, bool to_head); /* the next message */
/* Takes bytes until the message is complete; returns how many it took (fewer only in DONE and BAD). */
size_t http_reader_feed(struct http_reader *r, struct slice bytes);
void http_reader_end(struct http_reader *r); /* the connection has ended: completes UNTIL_END, else BAD */
/* Borrowed until the next message begins; NULL when absent. The name in any case. The first, where there are several. */
const char *http_reader_field(const struct http_reader *r, const char *name);

#endif
