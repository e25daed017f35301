/* The disk's root: posix_disk_root.c makes, locks and frees it; posix_disk.c does the calls below it. */
#ifndef QUORATE_ENV_POSIX_POSIX_DISK_INT_H
#define QUORATE_ENV_POSIX_POSIX_DISK_INT_H

#include "base/log.h"
#include "env/disk.h"

struct posix_disk {
    struct disk disk; /* first */
    struct logger *log;
    int root_fd;
    int lock_fd; /* -1: not locked; the lock lives as long as this descriptor */
    char root[]; /* for messages */
};

extern const struct disk_ops posix_disk_ops;
enum status posix_disk_lock(struct disk *d, struct errbuf *err);

#endif
