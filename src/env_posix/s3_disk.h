/* A bucket of an S3-compatible object store as a disk (env/disk.h), for whole files that are written once, in one go:
 *  - what is opened for writing begins empty, and is in memory alone until it is synced;
 *  - a sync stores the whole object, durable when it returns. But what is called *.tmp is a draft: it is stored when it is renamed, under its
 *    new name, and never under its own;
 *  - there are no directories: mkdir and sync_dir do nothing, and any name may hold slashes. link and space are not supported;
 *  - a lock keeps nobody out: there is nothing in a store that ends with a process. */
#ifndef QUORATE_ENV_POSIX_S3_DISK_H
#define QUORATE_ENV_POSIX_S3_DISK_H

#include "base/log.h"
#include "env/disk.h"

struct s3_disk_options {
    const char *url;                                     /* s3://BUCKET[/PREFIX] */
    const char *endpoint;                                /* http://HOST:PORT, https://HOST; NULL: AWS's of the region */
    const char *region;                                  /* NULL: us-east-1 */
    const char *access_key, *secret_key, *session_token; /* session_token: NULL, if there is none */
    const char *ca_file;                                 /* NULL: whom this machine believes */
};
bool s3_disk_is_url(const char *text);
/* Asks the store once whether it may be read: a text for a person if not. Blocks. */
MUST_CHECK enum status s3_disk_new(const struct s3_disk_options *o, struct logger *log, struct disk **out,
                                   struct errbuf *err);
void s3_disk_free(struct disk *disk); /* no file is open; NULL is harmless */

#endif
