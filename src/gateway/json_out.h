/* JSON written straight into a buf: no tree, no copies. The caller keeps the nesting right; commas are put here: a value
 * or a key after another one gets its comma. */
#ifndef QUORATE_GATEWAY_JSON_OUT_H
#define QUORATE_GATEWAY_JSON_OUT_H

#include "base/buf.h"

void json_open(struct buf *b, char bracket);    /* '{' or '[' */
void json_close(struct buf *b, char bracket);   /* '}' or ']' */
void json_key(struct buf *b, const char *name); /* plain ASCII, written as it is */
void json_text(struct buf *b, struct slice s);  /* valid UTF-8; escaped and quoted */
void json_str(struct buf *b, const char *s);
void json_bool(struct buf *b, bool v);
void json_u64(struct buf *b, uint64_t v);      /* a number: for what stays below 2^53 */
void json_u64_text(struct buf *b, uint64_t v); /* "123": versions and whatever may exceed 2^53 */
/* "name":"text" when s is valid UTF-8 and base64 is not forced, otherwise "name_b64":"...". */
void json_bytes(struct buf *b, const char *name, struct slice s, bool force_base64);

#endif
