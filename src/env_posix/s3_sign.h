/* Signatures of requests to S3-compatible stores: AWS Signature Version 4 ("Authenticating Requests: Using the Authorization Header"), with
 * the whole payload's hash. Pure. */
#ifndef QUORATE_ENV_POSIX_S3_SIGN_H
#define QUORATE_ENV_POSIX_S3_SIGN_H

#include "base/buf.h"

#define S3_HASH_TEXT 65 /* SHA-256 in hexadecimal digits */
#define S3_DATE_TEXT 17 /* 20130524T000000Z */

struct s3_keys {
    const char *region, *access_key, *secret_key, *session_token; /* session_token: "" if there is none */
};
struct s3_to_sign {
    const char *method, *host, *path,
        *query; /* path and query as they are sent; the query's names in order, each with its `=` */
    char payload_hash[S3_HASH_TEXT];
    char date[S3_DATE_TEXT];
};
void s3_hash(struct slice bytes, char hex[S3_HASH_TEXT]);
/* Appends the header lines that carry it: Host, x-amz-..., Authorization. */
void s3_sign(const struct s3_keys *keys, const struct s3_to_sign *r, struct buf *headers);
/* Percent-encodes all but letters, digits and -._~ and, in a path, the slash. */
void s3_encode(struct buf *out, const char *text, bool in_path);

#endif
