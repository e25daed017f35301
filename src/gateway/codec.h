/* Text codings of bytes: base64 (RFC 4648, both alphabets) and UTF-8 validity. Pure. */
#ifndef QUORATE_GATEWAY_CODEC_H
#define QUORATE_GATEWAY_CODEC_H

#include "base/arena.h"
#include "base/buf.h"

void base64_append(struct buf *b, struct slice s);    /* standard alphabet, padded */
void base64url_append(struct buf *b, struct slice s); /* URL-safe alphabet, no padding */
/* Accepts either alphabet, padded or not; no white space. False: not base64. The result is in the arena. */
bool base64_decode(struct slice text, struct arena *a, struct slice *out);
/* Valid UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_valid(struct slice s);

#endif
