/* Requests to an S3-compatible store, one after the other on each thread: they block, as a disk's calls do. A request that got no answer, or one
 * that says "later", is sent again a few times: all that are sent here may be repeated. */
#ifndef QUORATE_ENV_POSIX_S3_HTTP_H
#define QUORATE_ENV_POSIX_S3_HTTP_H

#include "base/log.h"
#include "base/status.h"
#include "env_posix/s3_sign.h"

struct s3_http;
struct s3_http_options {
    const char *endpoint; /* http://HOST[:PORT] or https://...; copied, as all are */
    struct s3_keys keys;
    const char *ca_file; /* whom to believe; NULL: whom this machine believes */
};
MUST_CHECK enum status s3_http_new(const struct s3_http_options *o, struct logger *log, struct s3_http **out,
                                   struct errbuf *err);
void s3_http_free(struct s3_http *h);

struct s3_request {
    const char *method, *path, *query; /* as s3_to_sign has them */
    struct slice body;
    uint64_t from, size; /* size > 0: only these bytes of the object */
};
struct s3_answer {
    int code;        /* 0: none came */
    uint64_t length; /* of the whole body, as it says; of HEAD too */
    struct buf body;
    char why[300]; /* of what is not 2xx */
};
/* Any thread. STATUS_OK for 2xx; NOT_FOUND, FORBIDDEN, IO. The answer is to be freed in any case. */
enum status s3_ask(struct s3_http *h, const struct s3_request *r, struct s3_answer *out);
void s3_answer_free(struct s3_answer *a);

#endif
