/* The head of a message (head.c), to reader.c. */
#ifndef QUORATE_HTTP_READER_INT_H
#define QUORATE_HTTP_READER_INT_H

#include "http/reader.h"

/* What the head says of the body. */
struct http_framing {
    bool has_length, chunked, closes;
    uint64_t length;
};

/* `code` is what a server answers to it. */
void http_reader_bad(struct http_reader *r, int code, const char *fault);
/* r->head holds a whole head. False: READER_BAD, with the reason. */
bool http_head_parse(struct http_reader *r, struct http_framing *f);

#endif
